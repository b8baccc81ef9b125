//! The learning curve of an attempt while it grows: in memory whole, on disk as far as there is
//! room; and the stopping rule, asked after each epoch.

use std::mem;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::ops::Experiment;
use crate::ops::journal::Journal;
use crate::ops::reduce::refit::example_of;
use crate::ops::train::Claim;
use crate::outcome::Accuracy;
use crate::predictor::{AuditFindings, FittedPredictor, Prediction, is_audited};
use crate::seed::{Purpose, generator};
use crate::storage::view::StoredPredictor;
use crate::storage::{Curve, CurveRow, CurveWriter, Iteration, Knowledge, StorageError};
use crate::training::EpochReport;

/// Its file begins with the first report, which decides how much of an earlier attempt's curve
/// still stands.
#[derive(Debug)]
pub(crate) struct CurveInProgress {
    path: PathBuf,
    /// That of an earlier attempt.
    earlier: Curve,
    pub curve: Curve,
    /// Seconds of the earlier epochs that this curve begins with.
    pub kept_seconds: f64,
    file: CurveFile,
}

/// Longest an epoch can have taken, in seconds: a year.
const LONGEST_EPOCH: f64 = 366.0 * 24.0 * 3600.0;

#[derive(Debug)]
enum CurveFile {
    /// Nothing is to be written: there is no epoch yet, or every row is synced.
    Settled,
    /// It has every row.
    Open(CurveWriter),
    /// It lacks rows, which could not be written.
    Behind,
}

impl CurveInProgress {
    pub fn new(path: PathBuf, earlier: Curve) -> Self {
        let (curve, file) = (Curve::default(), CurveFile::Settled);
        Self { path, earlier, curve, kept_seconds: 0.0, file }
    }

    /// Appends an epoch, to whose row `judge` may add a prediction. Returns false when an epoch
    /// before it is missing: the checkpoint that the trainer goes on from is ahead of the curve.
    /// A file that cannot be written ends no training, since [`Self::finish`] writes it anew; one
    /// that is there already is that of another attempt, and an error.
    pub fn append(
        &mut self,
        report: &EpochReport,
        judge: impl FnOnce(&mut Curve),
    ) -> Result<bool, StorageError> {
        if self.curve.rows.is_empty() {
            let Some(kept) = self.earlier.before(report.start, report.epoch) else {
                return Ok(false);
            };
            self.keep(kept);
        }
        self.curve.rows.push(row(report));
        judge(&mut self.curve);
        let rows = &self.curve.rows;
        let written = match &mut self.file {
            CurveFile::Open(writer) => writer.append(&rows[rows.len() - 1]),
            CurveFile::Settled => CurveWriter::create(self.path.clone(), rows)
                .map(|writer| self.file = CurveFile::Open(writer)),
            CurveFile::Behind => Ok(()),
        };
        match written {
            Err(error) if error.is_taken() => return Err(error),
            Err(error) => {
                log::warn!("the training goes on, its curve is written later: {error}");
                self.file = CurveFile::Behind;
            }
            Ok(()) => {}
        }
        Ok(true)
    }

    /// Takes the earlier attempt's curve for this one's, after a trainer that had nothing left to
    /// train. Returns false when it does not reach the last of `epochs`.
    pub fn keep_earlier(&mut self, epochs: u32) -> bool {
        if self.earlier.rows.last().is_none_or(|last| last.epoch < epochs) {
            return false;
        }
        self.keep(self.earlier.clone());
        self.file = CurveFile::Behind;
        true
    }

    fn keep(&mut self, kept: Curve) {
        self.kept_seconds = kept.seconds();
        self.curve = kept;
    }

    /// Brings the whole curve to the disk; to be called again after an error. A training without an
    /// epoch has no file.
    pub fn finish(&mut self) -> Result<(), StorageError> {
        match mem::replace(&mut self.file, CurveFile::Behind) {
            CurveFile::Open(writer) => writer.finish(&self.curve.rows)?,
            CurveFile::Behind => CurveWriter::replace(&self.path, &self.curve.rows)?,
            CurveFile::Settled => {}
        }
        self.file = CurveFile::Settled;
        Ok(())
    }

    /// Seconds of earlier epochs that this attempt trains again.
    pub fn lost_seconds(&self) -> f64 {
        self.earlier.seconds() - self.kept_seconds
    }

    /// Estimates the seconds of the epochs that a whole training of `epochs` has more: each as long
    /// as the mean of this start, or of all epochs in `spent` seconds where the trainer reports no
    /// times.
    pub fn seconds_left(&self, epochs: u32, spent: f64) -> f64 {
        let start = self.curve.last_start();
        let known: Vec<f64> = start.iter().filter_map(|row| row.seconds).collect();
        let mean = if known.is_empty() {
            spent / self.curve.rows.len().max(1) as f64
        } else {
            known.iter().sum::<f64>() / known.len() as f64
        };
        mean * f64::from(epochs.saturating_sub(start.len() as u32))
    }
}

fn row(report: &EpochReport) -> CurveRow {
    let accuracy = |value: f64| Accuracy::new(value).expect("the protocol has checked it");
    // A time or a rate below 0 (a clock was set back) counts as not reported: tables and sums hold
    // none. So does a time stamp in the place of a duration, which would count as half a century.
    let not_negative = |number: Option<f64>| number.filter(|number| *number >= 0.0);
    let seconds = not_negative(report.seconds).filter(|seconds| *seconds <= LONGEST_EPOCH);
    CurveRow {
        epoch: report.epoch,
        start: report.start,
        learning_rate: not_negative(report.learning_rate),
        training_loss: report.training_loss,
        training_accuracy: report.training_accuracy.map(accuracy),
        validation_loss: report.validation_loss,
        validation_accuracy: accuracy(report.validation_accuracy),
        seconds,
        time: Timestamp::now().into(),
        predicted_accuracy: None,
        sigma: None,
        stop_probability: None,
        y_best: None,
    }
}

/// How often the log is read for the best network so far: what is older makes stopping less likely
/// only.
const READ_EVERY: Duration = Duration::from_secs(60);

/// Judges one training, by the predictor that was the newest when its architecture was claimed. It
/// is named in the row of the result, so that every verdict can be repeated.
pub(crate) struct Verdicts<'a> {
    experiment: &'a Experiment,
    predictor: FittedPredictor,
    /// Weights and layers of the network.
    cost: (u64, u32),
    is_audited: bool,
    read_at: Option<Instant>,
}

impl<'a> Verdicts<'a> {
    /// None while there is no predictor. One that cannot be read is a warning: an architecture is
    /// claimed already.
    pub fn of(
        experiment: &'a Experiment,
        stored: Option<StoredPredictor>,
        claim: &Claim,
    ) -> Option<Self> {
        let config = experiment.config();
        let predictor = stored?.predictor().inspect_err(|error| {
            log::warn!("no predictor, so that this training is not stopped: {error:#}");
        });
        let epochs = config.recipe.epochs as usize;
        let predictor = predictor.ok().filter(|predictor| predictor.epochs() == epochs)?;
        let cost = config.space.cost(&claim.architecture);
        Some(Self {
            experiment,
            predictor,
            cost: (cost.parameters, claim.architecture.depth() as u32),
            is_audited: is_of_audit(experiment, claim.attempt.iteration),
            read_at: None,
        })
    }

    /// Judges a training by the epochs of its last start: writes prediction and verdict into the
    /// newest row, and returns whether the training is to end.
    /// There is no prediction before the first-epoch test is passed, after the last epoch, and once
    /// the audits have switched stopping off.
    pub fn judge(&mut self, journal: &mut Journal, curve: &mut Curve) -> ControlFlow<()> {
        let Some(prediction) = self.predict(journal, curve.last_start()) else {
            return ControlFlow::Continue(());
        };
        let early_stopping = &self.experiment.config().early_stopping;
        let y_best = journal.state().last_accuracies.nth(early_stopping.top_n);
        // A blanked row leaves others unchecked.
        let y_best = y_best.filter(|best| Accuracy::new(*best).is_ok());
        let newest = curve.rows.last_mut().expect("what was predicted from has rows");
        let verdict = newest.judge(early_stopping.rule, prediction, y_best);
        match verdict.is_stop() && !self.is_audited {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }

    fn predict(&mut self, journal: &mut Journal, start: &[CurveRow]) -> Option<Prediction> {
        let first = start.first()?.validation_accuracy.value();
        if !self.experiment.config().recipe.passes_first_epoch(first) {
            return None;
        }
        if self.read_at.is_none_or(|at| at.elapsed() >= READ_EVERY) {
            self.read_at = Some(Instant::now());
            // A log that cannot be read now ends no training: what was known holds.
            if let Err(error) = journal.refresh() {
                log::warn!("the stopping rule goes by what was known before: {error:#}");
            }
        }
        if audit_findings(self.experiment, journal.state()).is_switched_off() {
            return None;
        }
        let seen = example_of(self.experiment, start, self.cost).ok()?;
        self.predictor.predict(seen.curve.values(), &seen.features)
    }
}

/// Whether a verdict to stop is not executed: the same for every attempt at an iteration.
fn is_of_audit(experiment: &Experiment, iteration: Iteration) -> bool {
    let config = experiment.config();
    let mut rng = generator(config.experiment.seed, Purpose::Audit, iteration.0, 0);
    is_audited(config.early_stopping.audit_share, &mut rng)
}

/// Returns the epoch of the first verdict to stop a network that was trained to the end to audit
/// it. An attempt goes on with the rows of the one before, so that none is forgotten.
pub(crate) fn audited_at<'a>(
    experiment: &Experiment,
    iteration: Iteration,
    start: &'a [CurveRow],
) -> Option<&'a CurveRow> {
    let rule = experiment.config().early_stopping.rule;
    let is_audited = is_of_audit(experiment, iteration);
    start.iter().find(|row| is_audited && row.is_stop(rule))
}

pub(crate) fn audit_findings(experiment: &Experiment, knowledge: &Knowledge) -> AuditFindings {
    let limit = experiment.config().early_stopping.false_stop_limit;
    AuditFindings::of(knowledge.audits.iter().map(|audit| audit.is_false_stop), limit)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::ops::init;
    use crate::predictor::StoppingRule;

    /// Returns the row of an epoch in the first start.
    pub fn curve_row(epoch: u32, validation_accuracy: f64) -> CurveRow {
        row(&report(1, epoch, validation_accuracy))
    }

    fn report(start: u32, epoch: u32, validation_accuracy: f64) -> EpochReport {
        EpochReport {
            epoch,
            start,
            learning_rate: None,
            training_loss: None,
            training_accuracy: None,
            validation_loss: None,
            validation_accuracy,
            seconds: Some(10.0),
        }
    }

    fn curve_of(reports: &[(u32, u32)]) -> Curve {
        let mut curve = Curve::default();
        reports.iter().for_each(|&(start, epoch)| curve.rows.push(row(&report(start, epoch, 0.5))));
        curve
    }

    fn positions(path: &std::path::Path) -> Vec<(u32, u32)> {
        Curve::read(path).unwrap().rows.iter().map(|row| (row.start, row.epoch)).collect()
    }

    #[test]
    fn a_training_taken_up_again_begins_with_the_epochs_that_still_stand() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("000001.2.csv");
        let mut curve =
            CurveInProgress::new(path.clone(), curve_of(&[(1, 1), (2, 1), (2, 2), (2, 3)]));
        assert!(curve.append(&report(2, 3, 0.75), |_| ()).unwrap());
        assert!(curve.append(&report(2, 4, 0.75), |_| ()).unwrap());
        curve.finish().unwrap();
        assert_eq!(positions(&path), [(1, 1), (2, 1), (2, 2), (2, 3), (2, 4)]);
        // Three of the four epochs of 10 s stand.
        assert_eq!((curve.kept_seconds, curve.lost_seconds()), (30.0, 10.0));
        let summary = curve.curve.summary().unwrap();
        assert_eq!((summary.epochs, summary.best_epoch, summary.best.value()), (4, 3, 0.75));
    }

    #[test]
    fn what_is_left_takes_as_long_as_what_there_was() {
        let folder = tempfile::tempdir().unwrap();
        let mut curve = CurveInProgress::new(folder.path().join("1.1.csv"), Curve::default());
        for (start, epoch, seconds) in [(1, 1, 50.0), (2, 1, 14.0), (2, 2, 10.0)] {
            let timed = EpochReport { seconds: Some(seconds), ..report(start, epoch, 0.5) };
            curve.append(&timed, |_| ()).unwrap();
        }
        // Epochs of 14 and 10 s, and six more to come.
        assert_eq!(curve.seconds_left(8, 99.0), 72.0);
        let mut silent = CurveInProgress::new(folder.path().join("2.1.csv"), Curve::default());
        for (start, epoch) in [(1, 1), (2, 1), (2, 2)] {
            let timed = EpochReport { seconds: None, ..report(start, epoch, 0.5) };
            silent.append(&timed, |_| ()).unwrap();
        }
        // Three epochs in 30 s.
        assert_eq!(silent.seconds_left(8, 30.0), 60.0);
        assert_eq!(silent.seconds_left(2, 30.0), 0.0);
    }

    #[test]
    fn a_time_below_zero_or_of_years_counts_as_unknown() {
        for seconds in [1.8e9, 1e308] {
            let timed = EpochReport { seconds: Some(seconds), ..report(1, 1, 0.5) };
            assert_eq!(row(&timed).seconds, None, "{seconds}");
        }
        let report =
            EpochReport { seconds: Some(-3600.0), learning_rate: Some(-1.0), ..report(1, 1, 0.5) };
        assert_eq!((row(&report).seconds, row(&report).learning_rate), (None, None));
        let report = EpochReport { seconds: Some(0.0), learning_rate: Some(0.0), ..report };
        assert_eq!((row(&report).seconds, row(&report).learning_rate), (Some(0.0), Some(0.0)));
    }

    #[test]
    fn a_prediction_is_made_from_the_last_start_and_written_with_its_epoch() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("1.2.csv");
        let mut curve = CurveInProgress::new(path.clone(), curve_of(&[(1, 1), (2, 1)]));
        let judge = |curve: &mut Curve| {
            let start = curve.last_start();
            assert_eq!(start.iter().map(|row| row.epoch).collect::<Vec<_>>(), [1, 2]);
            let prediction = Prediction { mean: 1.5, sigma: 0.25 };
            curve.rows.last_mut().unwrap().judge(StoppingRule::default(), prediction, Some(0.75));
        };
        curve.append(&report(2, 2, 0.5), judge).unwrap();
        curve.finish().unwrap();
        let rows = Curve::read(&path).unwrap();
        let predicted: Vec<_> = rows.rows.iter().map(|row| row.predicted_accuracy).collect();
        assert_eq!(predicted, [None, None, Some(1.5)]);
        let last = &rows.rows[2];
        assert_eq!((last.sigma, last.y_best), (Some(0.25), Some(0.75)));
        // Phi(-3) = 0.00135.
        assert!(last.stop_probability.is_some_and(|found| (found - 0.00135).abs() < 1e-5));
    }

    #[test]
    fn a_training_begun_anew_has_lost_what_was_there() {
        let folder = tempfile::tempdir().unwrap();
        let mut curve =
            CurveInProgress::new(folder.path().join("1.2.csv"), curve_of(&[(1, 1), (1, 2)]));
        curve.append(&report(1, 1, 0.5), |_| ()).unwrap();
        assert_eq!((curve.kept_seconds, curve.lost_seconds()), (0.0, 20.0));
        assert_eq!(curve.curve.last_start().len(), 1);
    }

    #[test]
    fn a_checkpoint_ahead_of_the_curve_is_found_out() {
        let path = PathBuf::from("/nowhere/1.2.csv");
        let begin = |reports: &[(u32, u32)]| CurveInProgress::new(path.clone(), curve_of(reports));
        let mut curve = begin(&[(1, 1), (1, 2)]);
        assert!(!curve.append(&report(1, 4, 0.5), |_| ()).unwrap());
        assert!(curve.curve.rows.is_empty());
        assert!(!begin(&[(1, 1), (1, 2)]).keep_earlier(3));
        assert!(begin(&[(1, 1), (1, 2)]).keep_earlier(2));
        assert!(!begin(&[]).keep_earlier(1));
    }

    #[test]
    fn a_trainer_that_had_nothing_left_to_do_keeps_the_whole_curve() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("1.2.csv");
        let mut curve = CurveInProgress::new(path.clone(), curve_of(&[(1, 1), (1, 2)]));
        assert!(curve.keep_earlier(2));
        curve.finish().unwrap();
        curve.finish().unwrap();
        assert_eq!(positions(&path), [(1, 1), (1, 2)]);
        assert_eq!((curve.kept_seconds, curve.lost_seconds()), (20.0, 0.0));
    }

    #[test]
    fn a_training_without_an_epoch_has_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("1.1.csv");
        let mut curve = CurveInProgress::new(path.clone(), Curve::default());
        curve.finish().unwrap();
        assert!(!path.exists() && curve.curve.summary().is_none());
    }

    /// An experiment that audits every verdict, or none.
    fn experiment(folder: &tempfile::TempDir, audit_share: &str) -> Experiment {
        let configuration = format!(
            "experiment: {{name: two, seed: 1}}\n\
             data: {{classes: 10, input_size: 16, channels: 1}}\n\
             training: {{trainer: synthetic}}\n\
             early_stopping: {{audit_share: {audit_share}}}\n"
        );
        init::tests::experiment(&folder.path().join(audit_share), &configuration)
    }

    /// A row whose verdict is to stop from 0.99 on when z, by which the best lies above the
    /// prediction in deviations, is at least 2.3264.
    fn judged(epoch: u32, z: Option<f64>) -> CurveRow {
        let mut row = curve_row(epoch, 0.5);
        if let Some(z) = z {
            let prediction = Prediction { mean: f64::from(epoch) - z, sigma: 1.0 };
            row.judge(StoppingRule::default(), prediction, Some(f64::from(epoch)));
        }
        row
    }

    #[test]
    fn an_audit_is_known_by_its_first_verdict() {
        let folder = tempfile::tempdir().unwrap();
        let (all, none) = (experiment(&folder, "1.0"), experiment(&folder, "0.0"));
        // An earlier attempt got the first verdict; this one was not asked, or changed its mind.
        let start =
            [judged(1, Some(0.0)), judged(2, Some(3.0)), judged(3, None), judged(4, Some(2.0))];
        assert_eq!(audited_at(&all, Iteration(1), &start).unwrap().epoch, 2);
        assert_eq!(audited_at(&none, Iteration(1), &start), None, "no audit: it should have ended");
        assert_eq!(audited_at(&all, Iteration(1), &start[2..]), None);
    }
}

//! One attempt at training a claimed architecture, from the request until its end is recorded and
//! learned from; and the stopping rule, asked after each epoch.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::ops::journal::Journal;
use crate::ops::reduce::refit::example_of;
use crate::ops::train::record::{is_of_audit, result_row};
use crate::ops::train::{Claim, TaskRun};
use crate::ops::{Experiment, Refusal, TrainEvent};
use crate::outcome::Accuracy;
use crate::predictor::{AuditFindings, FittedPredictor, Prediction};
use crate::regular_file;
use crate::seed::{Purpose, number};
use crate::storage::view::StoredPredictor;
use crate::storage::{Attempt, Curve, CurveInProgress, CurveRow, Knowledge, Row};
use crate::training::protocol::{LayerDescription, Request};
use crate::training::{EpochReport, KeptModels, Report, TrainerKind, TrainingEnd};

/// How often the log is read for the best network: an older one makes stopping less likely only.
const READ_EVERY: Duration = Duration::from_secs(60);
/// How often at most it is shown that an epoch goes on.
const SIGN_OF_LIFE: Duration = Duration::from_secs(5);
/// Longest an epoch can have taken, in seconds: a year.
const LONGEST_EPOCH: f64 = 366.0 * 24.0 * 3600.0;

/// Returns a request of 0 epochs: it names recipe and data, and asks for no network.
pub(crate) fn rehearsal(experiment: &Experiment, threads: u32) -> anyhow::Result<Request> {
    let config = experiment.config();
    let image = config.space.image;
    Ok(Request {
        classes: image.classes,
        channels: image.channels,
        input_size: image.size,
        experiment_seed: config.experiment.seed,
        data: serde_json::to_value(experiment.trainer_data())?,
        ..Request::rehearsal(config.training.clone(), threads)
    })
}

/// A training that has ended with a result, which is not recorded yet.
pub(crate) struct Trained {
    pub row: Row,
    attempt: Attempt,
    curve: CurveInProgress,
}

impl TaskRun<'_> {
    /// Trains from where an earlier attempt left the architecture. `None` where that came to
    /// nothing, and the claim is lost.
    pub fn train(&mut self, claim: &Claim) -> anyhow::Result<Option<Trained>> {
        let began = Instant::now();
        let (dir, attempt) = (self.experiment.dir(), claim.attempt);
        // No epoch is trained whose curve has no place.
        let path = dir.curve(attempt);
        if path.exists() {
            return Err(self.refuse(attempt, Refusal::curve_taken(&path).into(), 0.0)?);
        }
        let (earlier, resume) = match attempt.number {
            1 => (Curve::default(), false),
            _ => self.take_over(attempt)?,
        };
        let mut verdicts = Verdicts::of(self.experiment, self.predictor.take(), claim);
        let mut request = self.request(claim, resume);
        loop {
            let trained = self.train_from(&request, &earlier, claim, &mut verdicts, began)?;
            if let ControlFlow::Break(trained) = trained {
                return Ok(trained);
            }
            assert!(request.resume, "a training from the beginning needs no earlier epoch");
            log::warn!(
                "the checkpoint of iteration {} is ahead of its learning curve, so it is trained \
                 from the beginning",
                attempt.iteration
            );
            // Its weights are of that training.
            request.model.map(|model| regular_file::remove_folder(&model).ok());
            request = self.request(claim, false);
        }
    }

    /// Records a result, and learns from it.
    pub fn finish(&mut self, mut trained: Trained) -> anyhow::Result<()> {
        let attempt = trained.attempt;
        self.record(attempt, &trained.row, &mut trained.curve)?;
        if self.options.reduce { self.learn(attempt.iteration) } else { Ok(()) }
    }

    /// Returns the curve of the attempt before, and whether its checkpoint was copied.
    fn take_over(&self, attempt: Attempt) -> anyhow::Result<(Curve, bool)> {
        let dir = self.experiment.dir();
        let earlier = dir.curve_before(attempt)?;
        let resume = self.task.slurm.is_some() && dir.take_checkpoint_over(attempt)?;
        if let Some(place) = dir.scratch.as_deref().filter(|_| !resume && !earlier.rows.is_empty())
        {
            log::warn!(
                "no checkpoint of iteration {} is in `{}` (was it purged?), so it is trained from \
                 the beginning",
                attempt.iteration,
                place.display()
            );
        }
        Ok((earlier, resume))
    }

    fn request(&self, claim: &Claim, resume: bool) -> Request {
        let config = self.experiment.config();
        let iteration = claim.attempt.iteration.0;
        let stream = self.experiment.stream(&claim.row);
        // Under a scheduler only: in a local search no claim is taken up again.
        let checkpoint = self.task.slurm.as_ref();
        let end_time = self.task.end_time;
        let architecture = claim.architecture.to_string();
        let mut recipe = config.recipe.of(&architecture);
        let mut layers = LayerDescription::of(&config.space, &claim.architecture);
        LayerDescription::set_dropout(&mut layers, &recipe);
        Request {
            iteration,
            attempt: claim.attempt.number,
            initial_weights: recipe.initial_weights.pop().map(|(_, folder)| folder),
            architecture,
            layers,
            recipe,
            epochs: config.recipe.epochs,
            stream,
            seed: number(config.experiment.seed, Purpose::Weights, stream, 0),
            checkpoint: checkpoint.map(|_| self.experiment.dir().checkpoint(claim.attempt)),
            resume,
            model: (config.recipe.keep_models != KeptModels(0))
                .then(|| self.experiment.dir().unfinished_model(claim.attempt)),
            seconds_left: end_time.map(|end| end.duration_since(Timestamp::now()).as_secs_f64()),
            ..self.rehearsal.clone()
        }
    }

    /// Has the trainer train, keeps its reports and has them judged. Goes on, to be trained again,
    /// when the `earlier` curve, which it goes on from, lacks epochs that the checkpoint has.
    fn train_from(
        &mut self,
        request: &Request,
        earlier: &Curve,
        claim: &Claim,
        verdicts: &mut Option<Verdicts<'_>>,
        began: Instant,
    ) -> anyhow::Result<ControlFlow<Option<Trained>>> {
        let (dir, attempt) = (self.experiment.dir(), claim.attempt);
        let mut curve = CurveInProgress::new(dir.curve(attempt), earlier.clone());
        let mut kept = Ok(true);
        let mut sign_of_life = Instant::now();
        let end = self.trainer.train(request, &dir.trainer_log(attempt), &mut |report| {
            let report = match report {
                Report::Epoch(report) => report,
                Report::Batch { batch, of } => {
                    if sign_of_life.elapsed() >= SIGN_OF_LIFE {
                        sign_of_life = Instant::now();
                        let iteration = request.iteration;
                        (self.on_event)(TrainEvent::Batch { iteration, batch, of });
                    }
                    return ControlFlow::Continue(());
                }
            };
            sign_of_life = Instant::now();
            let mut flow = ControlFlow::Continue(());
            kept = curve.append(row(report), |curve| {
                if let Some(verdicts) = verdicts {
                    flow = verdicts.judge(&mut self.journal, curve);
                }
            });
            // A report that cannot be kept ends the training.
            if !matches!(kept, Ok(true)) {
                return ControlFlow::Break(());
            }
            (self.on_event)(TrainEvent::Epoch {
                iteration: request.iteration,
                epoch: report.epoch,
                start: report.start,
                validation_accuracy: report.validation_accuracy,
                training_loss: report.training_loss,
                seconds: report.seconds,
            });
            flow
        });
        let spent = match self.rehearsal.recipe.trainer {
            // Those of the network when it was trained.
            TrainerKind::Recorded => curve.curve.seconds() - curve.kept_seconds,
            _ => began.elapsed().as_secs_f64(),
        };
        // Lost with the claim, unless its epochs count.
        let seconds = spent + earlier.seconds();
        match kept {
            Ok(true) => {}
            Ok(false) => return Ok(ControlFlow::Continue(())),
            Err(error) => {
                let taken = Refusal::curve_taken(&dir.curve(attempt));
                let error = anyhow::Error::from(error).context(taken);
                return Err(self.refuse(attempt, error, seconds)?);
            }
        }
        let reason = match end {
            Ok(TrainingEnd::Interrupted) => {
                let own_seconds = curve.curve.seconds() - curve.kept_seconds;
                let has_epochs = !curve.curve.rows.is_empty();
                let trained_again = if has_epochs { curve.lost_seconds() } else { 0.0 };
                let lost_seconds = spent - own_seconds.min(spent) + trained_again;
                return Err(self.leave(claim, lost_seconds, seconds)?);
            }
            Ok(end) if !is_whole(&mut curve, request, &end) => {
                return Ok(ControlFlow::Continue(()));
            }
            Ok(end) => match result_row(self.experiment, claim, &end, &curve, spent) {
                Some(row) => {
                    self.write_card(claim, request, &row);
                    return Ok(ControlFlow::Break(Some(Trained { row, attempt, curve })));
                }
                None => "the trainer ended without a result".to_owned(),
            },
            Err(error) if error.is_refusal() => {
                return Err(self.refuse(attempt, error.into(), seconds)?);
            }
            Err(error) => format!("{:#}", anyhow::Error::from(error)),
        };
        self.lose(attempt, reason, seconds)?;
        if self.options.reduce {
            self.lose_ended_claims()?;
        }
        Ok(ControlFlow::Break(None))
    }
}

/// Whether the curve is that of the whole training. A checkpoint may have held the last epoch
/// already: then the trainer reports none, and the earlier attempt's curve is this one's.
fn is_whole(curve: &mut CurveInProgress, request: &Request, end: &TrainingEnd) -> bool {
    match end {
        _ if !request.resume || !curve.curve.rows.is_empty() => true,
        TrainingEnd::Done => curve.keep_earlier(request.epochs),
        // The earlier curve may lack epochs of another end; this one needs none.
        end => matches!(end, TrainingEnd::OutOfMemory { .. }),
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
        validation_accuracy: report.validation_accuracy.map(accuracy),
        seconds,
        time: Timestamp::now().into(),
        predicted_accuracy: None,
        sigma: None,
        stop_probability: None,
        y_best: None,
    }
}

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
    /// One that cannot be read is a warning: an architecture is claimed already.
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
            is_audited: is_of_audit(experiment, &claim.row),
            read_at: None,
        })
    }

    /// Writes prediction and verdict into the newest row. There is none before the first-epoch test
    /// is passed, after the last epoch, and once the audits have switched stopping off.
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
        let first = start.first()?.validation_accuracy?.value();
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

pub(crate) fn audit_findings(experiment: &Experiment, knowledge: &Knowledge) -> AuditFindings {
    let limit = experiment.config().early_stopping.false_stop_limit;
    AuditFindings::of(knowledge.audits.iter().map(|audit| audit.is_false_stop), limit)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::ops::init;
    use crate::ops::train::record::audited_at;
    use crate::predictor::StoppingRule;
    use crate::storage::Iteration;

    /// Returns the row of an epoch in the first start.
    pub fn curve_row(epoch: u32, validation_accuracy: f64) -> CurveRow {
        row(&report(1, epoch, validation_accuracy))
    }

    fn report(start: u32, epoch: u32, accuracy: f64) -> EpochReport {
        EpochReport {
            epoch,
            start,
            learning_rate: None,
            training_loss: None,
            training_accuracy: None,
            validation_loss: None,
            validation_accuracy: Some(accuracy),
            seconds: Some(10.0),
        }
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
        let first = Row { iteration: Some(Iteration(1)), ..Row::default() };
        // An earlier attempt got the first verdict; this one was not asked, or changed its mind.
        let start =
            [judged(1, Some(0.0)), judged(2, Some(3.0)), judged(3, None), judged(4, Some(2.0))];
        assert_eq!(audited_at(&all, &first, &start).unwrap().epoch, 2);
        assert_eq!(audited_at(&none, &first, &start), None, "no audit: it should have ended");
        assert_eq!(audited_at(&all, &first, &start[2..]), None);
    }
}

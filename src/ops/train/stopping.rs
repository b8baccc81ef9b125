//! The stopping rule, asked after each epoch of a training.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use crate::ops::Experiment;
use crate::ops::journal::Journal;
use crate::ops::reduce::refit::example_of;
use crate::ops::train::claim::Claim;
use crate::outcome::Accuracy;
use crate::predictor::{AuditFindings, FittedPredictor, Prediction, is_audited};
use crate::seed::{Purpose, generator};
use crate::storage::view::StoredPredictor;
use crate::storage::{Curve, CurveRow, Iteration, Knowledge};

/// How often the log is read for the best network so far.
const READ_EVERY: Duration = Duration::from_secs(60);

/// Judges one training, by the predictor that was the newest when its architecture was claimed. It
/// is named in the row of the result, so that every verdict can be repeated.
pub(crate) struct Verdicts<'a> {
    experiment: &'a Experiment,
    predictor: FittedPredictor,
    /// Weights and layers of the network.
    cost: (u64, u32),
    is_audited: bool,
    /// Read on when a verdict is due, and at most once a minute: what is older makes stopping less
    /// likely only.
    journal: &'a mut Journal,
    read_at: Option<Instant>,
}

impl<'a> Verdicts<'a> {
    /// None while there is no predictor. One that cannot be read is a warning: an architecture is
    /// claimed already.
    pub fn of(
        experiment: &'a Experiment,
        journal: &'a mut Journal,
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
            journal,
            read_at: None,
        })
    }

    /// Judges a training by the epochs of its last start: writes prediction and verdict into the
    /// newest row, and returns whether the training is to end.
    ///
    /// There is no prediction before the first-epoch test is passed, after the last epoch, and once
    /// the audits have switched stopping off.
    pub fn judge(&mut self, curve: &mut Curve) -> ControlFlow<()> {
        let Some(prediction) = self.predict(curve.last_start()) else {
            return ControlFlow::Continue(());
        };
        let early_stopping = &self.experiment.config().early_stopping;
        let last_accuracies = &self.journal.state().last_accuracies;
        let y_best = last_accuracies.nth(early_stopping.top_n);
        // A blanked row leaves others unchecked.
        let y_best = y_best.filter(|best| Accuracy::new(*best).is_ok());
        let newest = curve.rows.last_mut().expect("what was predicted from has rows");
        let verdict = newest.judge(early_stopping.rule(), prediction, y_best);
        if verdict.is_stop() && !self.is_audited {
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }

    fn predict(&mut self, start: &[CurveRow]) -> Option<Prediction> {
        let first = start.first()?.validation_accuracy.value();
        if !self.experiment.config().recipe.passes_first_epoch(first) {
            return None;
        }
        self.read_now_and_then();
        if audit_findings(self.experiment, self.journal.state()).is_switched_off() {
            return None;
        }
        let seen = example_of(self.experiment, start, self.cost).ok()?;
        self.predictor.predict(seen.curve.values(), &seen.features)
    }

    /// A log that cannot be read now ends no training: what was known holds.
    fn read_now_and_then(&mut self) {
        if self.read_at.is_none_or(|at| at.elapsed() >= READ_EVERY) {
            self.read_at = Some(Instant::now());
            if let Err(error) = self.journal.refresh() {
                log::warn!("the stopping rule goes by what was known before: {error:#}");
            }
        }
    }
}

/// Whether a verdict to stop is not executed: the same for every attempt at an iteration.
fn is_of_audit(experiment: &Experiment, iteration: Iteration) -> bool {
    let config = experiment.config();
    let mut rng = generator(config.experiment.seed, Purpose::Audit, iteration.0, 0);
    is_audited(config.early_stopping.audit_share, &mut rng)
}

/// Returns the epoch after which a training was stopped: its last.
pub(crate) fn stopped_at<'a>(
    experiment: &Experiment,
    start: &'a [CurveRow],
) -> Option<&'a CurveRow> {
    start.last().filter(|row| row.is_stop(experiment.config().early_stopping.rule()))
}

/// Returns the epoch of the first verdict to stop a network that was trained to the end to audit
/// it. An attempt goes on with the rows of the one before, so that none is forgotten.
pub(crate) fn audited_at<'a>(
    experiment: &Experiment,
    iteration: Iteration,
    start: &'a [CurveRow],
) -> Option<&'a CurveRow> {
    let rule = experiment.config().early_stopping.rule();
    let is_audited = is_of_audit(experiment, iteration);
    start.iter().find(|row| is_audited && row.is_stop(rule))
}

pub(crate) fn audit_findings(experiment: &Experiment, knowledge: &Knowledge) -> AuditFindings {
    let limit = experiment.config().early_stopping.false_stop_limit;
    AuditFindings::of(knowledge.audits.iter().map(|audit| audit.is_false_stop), limit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::init;
    use crate::ops::train::curve::tests::curve_row;
    use crate::predictor::StoppingRule;

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
    fn row(epoch: u32, z: Option<f64>) -> CurveRow {
        let mut row = curve_row(epoch, 0.5);
        if let Some(z) = z {
            let prediction = Prediction { mean: f64::from(epoch) - z, sigma: 1.0 };
            row.judge(StoppingRule::default(), prediction, Some(f64::from(epoch)));
        }
        row
    }

    #[test]
    fn an_audit_is_known_by_its_first_verdict_and_a_stop_by_its_last() {
        let folder = tempfile::tempdir().unwrap();
        let (all, none) = (experiment(&folder, "1.0"), experiment(&folder, "0.0"));
        // An earlier attempt got the first verdict; this one was not asked, or changed its mind.
        let start = [row(1, Some(0.0)), row(2, Some(3.0)), row(3, None), row(4, Some(2.0))];
        assert_eq!(audited_at(&all, Iteration(1), &start).unwrap().epoch, 2);
        assert_eq!(audited_at(&none, Iteration(1), &start), None, "no audit: it should have ended");
        assert_eq!(audited_at(&all, Iteration(1), &start[2..]), None);
        assert_eq!(stopped_at(&none, &start), None);
        assert_eq!(stopped_at(&none, &start[..2]).unwrap().epoch, 2);
    }
}

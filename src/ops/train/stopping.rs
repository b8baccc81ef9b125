//! The stopping rule, asked after each epoch of a training.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use rand::Rng;

use crate::ops::Experiment;
use crate::ops::known_rows::KnownRows;
use crate::ops::reduce::refit::example_of;
use crate::ops::train::attempt::Claim;
use crate::outcome::Accuracy;
use crate::predictor::{AuditFindings, FittedPredictor, Prediction, Verdict};
use crate::seed::{Purpose, generator};
use crate::storage::{CurveRow, Forecast, Iteration, Knowledge, ReplayLog, StopNumbers, View};

/// How often the log is read for the best network so far.
const READ_EVERY: Duration = Duration::from_secs(60);

/// What a verdict to stop comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Execution {
    /// The training ends.
    Stop,
    /// It goes on, to see whether the verdict was right.
    Audit,
}

/// Judges one training, by the predictor of the view that its architecture was claimed with. That
/// view stands in the row of the result, so that every verdict can be repeated.
pub(crate) struct Verdicts<'a> {
    experiment: &'a Experiment,
    predictor: FittedPredictor,
    /// Weights and layers of the network.
    cost: (u64, u32),
    execution: Execution,
    /// The view, and the rows after it, read when a verdict is due and at most once a minute. What is older makes
    /// stopping less likely only.
    known: KnownRows,
    read_at: Option<Instant>,
}

impl<'a> Verdicts<'a> {
    /// Begins to judge; none while there is no predictor: nobody is stopped.
    ///
    /// An architecture is claimed already, so a predictor that cannot be read is a warning, too.
    pub fn of(experiment: &'a Experiment, view: &View, claim: &Claim) -> Option<Self> {
        Self::read(experiment, view, claim).unwrap_or_else(|error| {
            log::warn!("no predictor, so that this training is not stopped: {error:#}");
            None
        })
    }

    fn read(
        experiment: &'a Experiment,
        view: &View,
        claim: &Claim,
    ) -> anyhow::Result<Option<Self>> {
        let config = experiment.config();
        let epochs = config.recipe.recipe().epochs as usize;
        let is_of_these = |predictor: &FittedPredictor| predictor.epochs() == epochs;
        let Some(predictor) = view.predictor()?.filter(is_of_these) else { return Ok(None) };
        let cost = config.space.cost(&claim.architecture);
        Ok(Some(Self {
            experiment,
            predictor,
            cost: (cost.parameters, claim.architecture.depth() as u32),
            execution: execution(experiment, claim.attempt.iteration),
            known: KnownRows::of(view, &ReplayLog::open(experiment.dir())?)?,
            read_at: None,
        }))
    }

    /// Foretells where a training ends; `start` are the epochs of its last start.
    ///
    /// None before the first-epoch test is passed, after the last epoch, and once the audits have
    /// switched stopping off.
    pub fn forecast(&mut self, start: &[CurveRow]) -> Option<Forecast> {
        let threshold = self.experiment.config().recipe.first_epoch_threshold();
        if start.first()?.validation_accuracy.value() <= threshold {
            return None;
        }
        self.read_now_and_then();
        if audit_findings(self.experiment, self.known.knowledge()).is_switched_off() {
            return None;
        }
        let seen = example_of(self.experiment, start, self.cost).ok()?;
        let prediction = self.predictor.predict(&seen.curve, &seen.features)?;
        Some(self.judge(prediction))
    }

    /// A log that cannot be read now ends no training: what was known holds.
    fn read_now_and_then(&mut self) {
        if self.read_at.is_none_or(|at| at.elapsed() >= READ_EVERY) {
            self.read_at = Some(Instant::now());
            let log = ReplayLog::open(self.experiment.dir()).map_err(anyhow::Error::from);
            if let Err(error) = log.and_then(|log| self.known.read_on(&log)) {
                log::warn!("the stopping rule goes by what was known before: {error:#}");
            }
        }
    }

    fn judge(&self, prediction: Prediction) -> Forecast {
        let early_stopping = &self.experiment.config().early_stopping;
        let rule = early_stopping.rule();
        let y_best = self.known.knowledge().nth_best_last_accuracy(early_stopping.params().top_n);
        // A blanked row leaves others unchecked.
        let y_best = y_best.and_then(|last| Accuracy::new(last).ok());
        let stop_probability = match rule.verdict(Some(prediction), y_best) {
            Verdict::Stop { stop_probability } => Some(stop_probability),
            Verdict::Continue { stop_probability } => stop_probability,
        };
        Forecast {
            predicted_accuracy: prediction.mean,
            sigma: prediction.sigma,
            y_best: y_best.map(Accuracy::value),
            stop_probability,
        }
    }

    /// Says whether a training goes on after an epoch with this forecast.
    pub fn flow(&self, forecast: Option<&Forecast>) -> ControlFlow<()> {
        let threshold = self.experiment.config().early_stopping.params().threshold;
        let is_stop = forecast.and_then(|forecast| forecast.stop(threshold)).is_some();
        match self.execution {
            Execution::Stop if is_stop => ControlFlow::Break(()),
            Execution::Stop | Execution::Audit => ControlFlow::Continue(()),
        }
    }
}

/// Draws whether a verdict to stop a training is executed; the same for every attempt at it.
fn execution(experiment: &Experiment, iteration: Iteration) -> Execution {
    let config = experiment.config();
    let mut rng = generator(config.seed(), Purpose::Audit, iteration.0, 0);
    if rng.random::<f64>() < config.early_stopping.params().audit_share {
        Execution::Audit
    } else {
        Execution::Stop
    }
}

/// Returns the numbers by which a training was stopped: those of its last epoch.
pub(crate) fn stopped_by(experiment: &Experiment, start: &[CurveRow]) -> Option<StopNumbers> {
    start.last()?.forecast()?.stop(experiment.config().early_stopping.params().threshold)
}

/// Returns the numbers of the first verdict to stop a network that was trained to the end to audit
/// it. An attempt goes on with the rows of the one before, so that none is forgotten.
pub(crate) fn audited_by(
    experiment: &Experiment,
    iteration: Iteration,
    start: &[CurveRow],
) -> Option<StopNumbers> {
    let threshold = experiment.config().early_stopping.params().threshold;
    let is_audit = execution(experiment, iteration) == Execution::Audit;
    start.iter().filter(|_| is_audit).find_map(|row| row.forecast()?.stop(threshold))
}

/// Returns what the audits have shown so far.
pub(crate) fn audit_findings(experiment: &Experiment, knowledge: &Knowledge) -> AuditFindings {
    let limit = experiment.config().early_stopping.params().false_stop_limit;
    AuditFindings::of(knowledge.state().audits.iter().map(|audit| audit.is_false_stop), limit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::init;
    use crate::ops::train::curve::tests::curve_row;

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

    fn row(epoch: u32, stop_probability: Option<f64>) -> CurveRow {
        let row = curve_row(epoch, 0.5);
        let forecast = Forecast {
            predicted_accuracy: 0.5 + f64::from(epoch) / 100.0,
            sigma: 0.1,
            y_best: Some(0.9),
            stop_probability,
        };
        stop_probability.map_or(row.clone(), |_| row.with_forecast(&forecast))
    }

    #[test]
    fn an_audit_is_known_by_its_first_verdict_and_a_stop_by_its_last() {
        let folder = tempfile::tempdir().unwrap();
        let (all, none) = (experiment(&folder, "1.0"), experiment(&folder, "0.0"));
        // An earlier attempt got the first verdict; this one was not asked, or changed its mind.
        let start = [row(1, Some(0.5)), row(2, Some(0.99)), row(3, None), row(4, Some(0.7))];
        let audited = audited_by(&all, Iteration(1), &start).unwrap();
        assert_eq!((audited.predicted_accuracy, audited.threshold), (0.52, 0.99));
        assert_eq!(audited_by(&none, Iteration(1), &start), None, "no audit: it should have ended");
        assert_eq!(audited_by(&all, Iteration(1), &start[2..]), None);
        assert_eq!(stopped_by(&none, &start), None);
        assert_eq!(stopped_by(&none, &start[..2]).unwrap().stop_probability, 0.99);
    }
}

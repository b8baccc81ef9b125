//! One attempt at training a claimed architecture: the request, the learning curve, and the row it comes to.

use std::ops::ControlFlow;
use std::time::Instant;

use jiff::Timestamp;

use crate::ops::train::curve::{Appended, CurveInProgress};
use crate::ops::train::result_row::result_row;
use crate::ops::train::stopping::Verdicts;
use crate::ops::train::task::Task;
use crate::ops::{Experiment, Refusal, TrainEvent};
use crate::seed::{Purpose, number};
use crate::space::Architecture;
use crate::storage::search_state::EarlierAttempt;
use crate::storage::{Attempt, Curve, ExperimentDir, Row, StorageError};
use crate::training::protocol::{LayerDescription, Request};
use crate::training::{EpochReport, Trainer, TrainingEnd, TrainingError};

/// A claim of this task, about to be trained.
#[derive(Debug, Clone)]
pub(crate) struct Claim {
    /// The `claimed` row.
    pub row: Row,
    /// The attempt that it began.
    pub attempt: Attempt,
    /// What is to be trained.
    pub architecture: Architecture,
    /// Attempts in a row before this one that left on the time warning without a new epoch.
    pub timeouts: u32,
}

/// How an attempt ended.
#[derive(Debug)]
pub(crate) enum AttemptEnd {
    /// With a result.
    Result {
        /// The row to record.
        row: Box<Row>,
        /// Its curve, to be finished before.
        curve: Box<CurveInProgress>,
    },
    /// Without one.
    Lost {
        /// Why.
        reason: String,
        /// Seconds that came to nothing, those of earlier attempts included.
        seconds: f64,
    },
    /// Because nothing can be trained here, whatever the network.
    Refused {
        /// Why: what the trainer says, a [`TrainingError`], or [`Refusal::CurveTaken`].
        error: anyhow::Error,
        /// Seconds that came to nothing, those of earlier attempts included.
        seconds: f64,
    },
    /// By a signal.
    Interrupted {
        /// Seconds that are in no curve, of this attempt and of epochs that it has trained again.
        lost_seconds: f64,
        /// Seconds that come to nothing if the claim is lost: those of the epochs before, too.
        all_seconds: f64,
    },
}

/// Where an attempt begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Beginning {
    /// With new weights.
    Anew,
    /// With the checkpoint of an earlier attempt.
    Checkpoint,
}

/// Everything an attempt needs.
pub(crate) struct Workbench<'a> {
    /// The experiment.
    pub experiment: &'a Experiment,
    /// Who trains.
    pub task: &'a Task,
    /// CPU threads of a network.
    pub threads: u32,
    /// What is to be trained.
    pub claim: &'a Claim,
    /// Who judges the training; nobody while there is no predictor.
    pub verdicts: Option<Verdicts<'a>>,
    /// What trains.
    pub trainer: &'a mut dyn Trainer,
    /// Where events go.
    pub on_event: &'a mut dyn FnMut(TrainEvent),
}

impl Workbench<'_> {
    /// Trains the claimed architecture, from where an earlier attempt left it.
    ///
    /// # Errors
    /// When files of the attempt cannot be written.
    pub fn train(mut self) -> anyhow::Result<AttemptEnd> {
        let began = Instant::now();
        let (dir, attempt) = (self.experiment.dir(), self.claim.attempt);
        // No epoch is trained whose curve has no place.
        let path = dir.curve(attempt);
        if path.exists() {
            let error = Refusal::CurveTaken { path }.into();
            return Ok(AttemptEnd::Refused { error, seconds: 0.0 });
        }
        let earlier = dir.curve_before(attempt)?;
        if self.keeps_checkpoints() && dir.take_checkpoint_over(attempt)? {
            if let Some(end) = self.train_from(Beginning::Checkpoint, &earlier, began)? {
                return Ok(end);
            }
            log::warn!(
                "the checkpoint of iteration {} is ahead of its learning curve, so it is trained from the beginning",
                attempt.iteration
            );
        } else if let Some(place) = dir.scratch().filter(|_| !earlier.rows().is_empty()) {
            log::warn!(
                "no checkpoint of iteration {} is in `{}` (was it purged?), so it is trained from the beginning",
                attempt.iteration,
                place.display()
            );
        }
        let end = self.train_from(Beginning::Anew, &earlier, began)?;
        Ok(end.expect("a training from the beginning needs no earlier epoch"))
    }

    /// Checkpoints are kept under a scheduler only: a local search has nobody to take a claim up again.
    const fn keeps_checkpoints(&self) -> bool {
        self.task.slurm.is_some()
    }

    /// Trains, and goes on from the `earlier` curve; `None` when that lacks epochs that the checkpoint has.
    fn train_from(
        &mut self,
        beginning: Beginning,
        earlier: &Curve,
        began: Instant,
    ) -> anyhow::Result<Option<AttemptEnd>> {
        let request = self.request(beginning)?;
        let path = self.experiment.dir().curve(self.claim.attempt);
        let mut curve = CurveInProgress::new(path.clone(), earlier.clone());
        let (ended, kept) = self.listen(&request, &mut curve);
        let spent = began.elapsed().as_secs_f64();
        match kept {
            Ok(Appended::Row) => {}
            Ok(Appended::Gap) => return Ok(None),
            Err(error) => {
                let error = anyhow::Error::from(error).context(Refusal::CurveTaken { path });
                return Ok(Some(AttemptEnd::Refused { error, seconds: spent + earlier.seconds() }));
            }
        }
        Ok(match ended {
            Ok(TrainingEnd::Interrupted) => {
                let trained_again = if curve.has_epochs() { curve.lost_seconds() } else { 0.0 };
                let in_curve = curve.own_seconds().min(spent);
                Some(AttemptEnd::Interrupted {
                    lost_seconds: spent - in_curve + trained_again,
                    all_seconds: spent + earlier.seconds(),
                })
            }
            Ok(ending) if !is_whole(&mut curve, &request, &ending) => None,
            Ok(ending) => Some(self.end(&ending, curve, spent)),
            Err(error) => {
                let (is_refusal, error) = (error.is_refusal(), anyhow::Error::from(error));
                let seconds = spent + earlier.seconds();
                Some(if is_refusal {
                    AttemptEnd::Refused { error, seconds }
                } else {
                    AttemptEnd::Lost { reason: format!("{error:#}"), seconds }
                })
            }
        })
    }

    /// Has the trainer train and keeps what it tells; ends it when that cannot be kept.
    fn listen(
        &mut self,
        request: &Request,
        curve: &mut CurveInProgress,
    ) -> (Result<TrainingEnd, TrainingError>, Result<Appended, StorageError>) {
        let log = self.experiment.dir().trainer_log(self.claim.attempt);
        let mut kept = Ok(Appended::Row);
        let ended = self.trainer.train(request, &log, &mut |report| {
            let mut flow = ControlFlow::Continue(());
            kept = curve.append(report, |curve| {
                if let Some(verdicts) = &mut self.verdicts {
                    flow = verdicts.judge(curve);
                }
            });
            if !matches!(kept, Ok(Appended::Row)) {
                return ControlFlow::Break(());
            }
            (self.on_event)(epoch_event(request.iteration, report));
            flow
        });
        (ended, kept)
    }

    fn request(&self, beginning: Beginning) -> anyhow::Result<Request> {
        let claim = self.claim;
        let config = self.experiment.config();
        let iteration = claim.attempt.iteration.0;
        let folder = self.experiment.dir().checkpoint(claim.attempt);
        Ok(Request {
            iteration,
            attempt: claim.attempt.number,
            architecture: claim.architecture.to_string(),
            layers: LayerDescription::of(&config.space, &claim.architecture),
            epochs: config.recipe.epochs,
            seed: number(config.experiment.seed, Purpose::Weights, iteration, 0),
            checkpoint: self.keeps_checkpoints().then_some(folder),
            resume: beginning == Beginning::Checkpoint,
            seconds_left: self
                .task
                .end_time
                .map(|end| end.duration_since(Timestamp::now()).as_secs_f64()),
            ..rehearsal(self.experiment, self.threads)?
        })
    }

    /// Returns what the end of a training comes to, after `spent` seconds in this attempt.
    fn end(&self, ending: &TrainingEnd, curve: CurveInProgress, spent: f64) -> AttemptEnd {
        match result_row(self.experiment, self.claim, ending, &curve, spent) {
            Some(row) => AttemptEnd::Result { row: Box::new(row), curve: Box::new(curve) },
            None => AttemptEnd::Lost {
                reason: "the trainer ended without a result".to_owned(),
                seconds: spent + curve.kept_seconds() + curve.lost_seconds(),
            },
        }
    }
}

/// Whether the curve is that of the whole training. A checkpoint may have held the last epoch
/// already: then the trainer tells none, and the earlier attempt's curve is this one's.
fn is_whole(curve: &mut CurveInProgress, request: &Request, ending: &TrainingEnd) -> bool {
    match ending {
        _ if !request.resume || curve.has_epochs() => true,
        TrainingEnd::Done => curve.keep_earlier(request.epochs) == Appended::Row,
        // Without an epoch nothing tells whether the earlier curve has all of them; this needs none.
        ending => matches!(ending, TrainingEnd::OutOfMemory { .. }),
    }
}

/// Tells how an attempt ended that left without a row, by its files.
///
/// It has added epochs when its curve reaches further than any before: an attempt that trains the
/// same epochs again, and ends where an earlier one ended, has not.
pub(crate) fn end_of(
    dir: &ExperimentDir,
    attempt: Attempt,
) -> Result<EarlierAttempt, StorageError> {
    let left = dir.left_on_signal(attempt);
    Ok(match left {
        Some(left) if !left.is_time_warning => EarlierAttempt::LeftOnSignal,
        _ if dir.reach(attempt) > dir.reach_before(attempt)? => EarlierAttempt::AddedEpochs,
        Some(left) => EarlierAttempt::TimedOut { lost_seconds: left.lost_seconds },
        None => EarlierAttempt::CameToNothing,
    })
}

/// Returns a request of 0 epochs: it names recipe and data, and asks for no network.
pub(crate) fn rehearsal(experiment: &Experiment, threads: u32) -> anyhow::Result<Request> {
    let config = experiment.config();
    let image = config.space.image();
    Ok(Request {
        classes: image.classes,
        channels: image.channels,
        input_size: image.size,
        experiment_seed: config.experiment.seed,
        data: serde_json::to_value(&config.config.data)?,
        ..Request::rehearsal(config.training.clone(), threads)
    })
}

fn epoch_event(iteration: u64, report: &EpochReport) -> TrainEvent {
    TrainEvent::Epoch {
        iteration,
        epoch: report.epoch,
        start: report.start,
        validation_accuracy: report.validation_accuracy,
        training_loss: report.training_loss,
        seconds: report.seconds,
    }
}

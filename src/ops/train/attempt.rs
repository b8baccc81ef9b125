//! One attempt at training a claimed architecture: the request, the learning curve, and how it
//! ends.

use std::ops::ControlFlow;
use std::time::Instant;

use jiff::Timestamp;

use crate::ops::train::claim::Claim;
use crate::ops::train::curve::CurveInProgress;
use crate::ops::train::result::result_row;
use crate::ops::train::stopping::Verdicts;
use crate::ops::train::task::Task;
use crate::ops::{Experiment, Refusal, TrainEvent};
use crate::seed::{Purpose, number};
use crate::storage::{Curve, Row, StorageError};
use crate::training::protocol::{LayerDescription, Request};
use crate::training::{EpochReport, Trainer, TrainingEnd, TrainingError};

/// How an attempt ended. `seconds` are those lost with the claim, earlier attempts included.
#[derive(Debug)]
pub(crate) enum AttemptEnd {
    /// With a row to record, once the curve is finished.
    Result {
        row: Box<Row>,
        curve: Box<CurveInProgress>,
    },
    Lost {
        reason: String,
        seconds: f64,
    },
    /// Nothing can be trained here, whatever the network: a [`TrainingError`], or a [`Refusal`].
    Refused {
        error: anyhow::Error,
        seconds: f64,
    },
    /// By a signal. `lost_seconds` are in no curve: those of this attempt, and of epochs that it
    /// has trained again.
    Interrupted {
        lost_seconds: f64,
        seconds: f64,
    },
}

pub(crate) struct Workbench<'a> {
    pub experiment: &'a Experiment,
    pub task: &'a Task,
    pub threads: u32,
    pub claim: &'a Claim,
    /// None while there is no predictor.
    pub verdicts: Option<Verdicts<'a>>,
    pub trainer: &'a mut dyn Trainer,
    pub on_event: &'a mut dyn FnMut(TrainEvent),
}

impl Workbench<'_> {
    /// Trains the claimed architecture, from where an earlier attempt left it.
    pub fn train(mut self) -> anyhow::Result<AttemptEnd> {
        let began = Instant::now();
        let (dir, attempt) = (self.experiment.dir(), self.claim.attempt);
        // No epoch is trained whose curve has no place.
        let path = dir.curve(attempt);
        if path.exists() {
            let error = Refusal::curve_taken(&path).into();
            return Ok(AttemptEnd::Refused { error, seconds: 0.0 });
        }
        let earlier = dir.curve_before(attempt)?;
        let iteration = attempt.iteration;
        if self.keeps_checkpoints() && dir.take_checkpoint_over(attempt)? {
            let request = Request { resume: true, ..self.request()? };
            if let Some(end) = self.train_from(&request, &earlier, began) {
                return Ok(end);
            }
            log::warn!(
                "the checkpoint of iteration {iteration} is ahead of its learning curve, so it is \
                 trained from the beginning"
            );
        } else if let Some(place) = dir.scratch.as_deref().filter(|_| !earlier.rows.is_empty()) {
            log::warn!(
                "no checkpoint of iteration {iteration} is in `{}` (was it purged?), so it is \
                 trained from the beginning",
                place.display()
            );
        }
        let end = self.train_from(&self.request()?, &earlier, began);
        Ok(end.expect("a training from the beginning needs no earlier epoch"))
    }

    /// Checkpoints are kept under a scheduler only: in a local search no claim is taken up again.
    const fn keeps_checkpoints(&self) -> bool {
        self.task.slurm.is_some()
    }

    /// Trains, and goes on from the `earlier` curve; `None` when that lacks epochs that the
    /// checkpoint has.
    fn train_from(
        &mut self,
        request: &Request,
        earlier: &Curve,
        began: Instant,
    ) -> Option<AttemptEnd> {
        let path = self.experiment.dir().curve(self.claim.attempt);
        let mut curve = CurveInProgress::new(path.clone(), earlier.clone());
        let (end, kept) = self.follow(request, &mut curve);
        let spent = began.elapsed().as_secs_f64();
        let seconds = spent + earlier.seconds();
        match kept {
            Ok(true) => {}
            Ok(false) => return None,
            Err(error) => {
                let error = anyhow::Error::from(error).context(Refusal::curve_taken(&path));
                return Some(AttemptEnd::Refused { error, seconds });
            }
        }
        Some(match end {
            Ok(TrainingEnd::Interrupted) => {
                let has_epochs = !curve.curve.rows.is_empty();
                let trained_again = if has_epochs { curve.lost_seconds() } else { 0.0 };
                let lost_seconds = spent - curve.own_seconds().min(spent) + trained_again;
                AttemptEnd::Interrupted { lost_seconds, seconds }
            }
            Ok(end) if !is_whole(&mut curve, request, &end) => return None,
            Ok(end) => match result_row(self.experiment, self.claim, &end, &curve, spent) {
                Some(row) => AttemptEnd::Result { row: Box::new(row), curve: Box::new(curve) },
                None => AttemptEnd::Lost {
                    reason: "the trainer ended without a result".to_owned(),
                    seconds: spent + curve.kept_seconds + curve.lost_seconds(),
                },
            },
            Err(error) if error.is_refusal() => {
                AttemptEnd::Refused { error: error.into(), seconds }
            }
            Err(error) => {
                AttemptEnd::Lost { reason: format!("{:#}", anyhow::Error::from(error)), seconds }
            }
        })
    }

    /// Has the trainer train, keeps its reports and has them judged; ends it when a report cannot
    /// be kept.
    fn follow(
        &mut self,
        request: &Request,
        curve: &mut CurveInProgress,
    ) -> (Result<TrainingEnd, TrainingError>, Result<bool, StorageError>) {
        let log = self.experiment.dir().trainer_log(self.claim.attempt);
        let mut kept = Ok(true);
        let end = self.trainer.train(request, &log, &mut |report| {
            let mut flow = ControlFlow::Continue(());
            kept = curve.append(report, |curve| {
                if let Some(verdicts) = &mut self.verdicts {
                    flow = verdicts.judge(curve);
                }
            });
            if !matches!(kept, Ok(true)) {
                return ControlFlow::Break(());
            }
            (self.on_event)(epoch_event(request.iteration, report));
            flow
        });
        (end, kept)
    }

    fn request(&self) -> anyhow::Result<Request> {
        let claim = self.claim;
        let config = self.experiment.config();
        let iteration = claim.attempt.iteration.0;
        let folder = self.experiment.dir().checkpoint(claim.attempt);
        let end_time = self.task.end_time;
        Ok(Request {
            iteration,
            attempt: claim.attempt.number,
            architecture: claim.architecture.to_string(),
            layers: LayerDescription::of(&config.space, &claim.architecture),
            epochs: config.recipe.epochs,
            seed: number(config.experiment.seed, Purpose::Weights, iteration, 0),
            checkpoint: self.keeps_checkpoints().then_some(folder),
            seconds_left: end_time.map(|end| end.duration_since(Timestamp::now()).as_secs_f64()),
            ..rehearsal(self.experiment, self.threads)?
        })
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

/// Returns a request of 0 epochs: it names recipe and data, and asks for no network.
pub(crate) fn rehearsal(experiment: &Experiment, threads: u32) -> anyhow::Result<Request> {
    let config = experiment.config();
    let image = config.space.image;
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

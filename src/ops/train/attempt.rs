//! One attempt at training a claimed architecture, from the request until its end is recorded and
//! learned from.

use std::ops::ControlFlow;
use std::time::Instant;

use jiff::Timestamp;

use crate::ops::reduce::lost_claims::{EndedJobs, lose_ended_claims};
use crate::ops::reduce::refit::refit_unless_started;
use crate::ops::reduce::switched_off_in;
use crate::ops::train::claim::end_of;
use crate::ops::train::curve::{CurveInProgress, Verdicts};
use crate::ops::train::record::{is_full, result_row};
use crate::ops::train::{Claim, TaskRun};
use crate::ops::{Experiment, Refusal, TrainEvent};
use crate::predictor::AuditFindings;
use crate::seed::{Purpose, number};
use crate::storage::search_state::{EarlierAttempt, is_last_timeout};
use crate::storage::{Attempt, Curve, Iteration, LeftOnSignal, TIME_TOO_SHORT, refusal_as_reason};
use crate::training::protocol::{LayerDescription, Request};
use crate::training::{EpochReport, Signal, TrainingEnd};

/// Results between two views that the tasks publish where no `reduce` does.
const RESULTS_PER_VIEW: u64 = 100;

impl TaskRun<'_> {
    /// Trains the claimed architecture, from where an earlier attempt left it, and records how that
    /// ended.
    pub(super) fn work_on(&mut self, claim: &Claim) -> anyhow::Result<()> {
        let began = Instant::now();
        let (dir, attempt) = (self.experiment.dir(), claim.attempt);
        // No epoch is trained whose curve has no place.
        let path = dir.curve(attempt);
        if path.exists() {
            return Err(self.refuse(attempt, Refusal::curve_taken(&path).into(), 0.0)?);
        }
        let earlier = dir.curve_before(attempt)?;
        let mut verdicts = Verdicts::of(self.experiment, self.predictor.take(), claim);
        let resume = self.keeps_checkpoints() && dir.take_checkpoint_over(attempt)?;
        if let Some(place) = dir.scratch.as_deref().filter(|_| !resume && !earlier.rows.is_empty())
        {
            log::warn!(
                "no checkpoint of iteration {} is in `{}` (was it purged?), so it is trained from \
                 the beginning",
                attempt.iteration,
                place.display()
            );
        }
        let mut request = Request { resume, ..self.request(claim)? };
        while !self.train_from(&request, &earlier, claim, &mut verdicts, began)? {
            assert!(request.resume, "a training from the beginning needs no earlier epoch");
            log::warn!(
                "the checkpoint of iteration {} is ahead of its learning curve, so it is trained \
                 from the beginning",
                attempt.iteration
            );
            request = self.request(claim)?;
        }
        Ok(())
    }

    /// Checkpoints are kept under a scheduler only: in a local search no claim is taken up again.
    const fn keeps_checkpoints(&self) -> bool {
        self.task.slurm.is_some()
    }

    fn request(&self, claim: &Claim) -> anyhow::Result<Request> {
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
            ..rehearsal(self.experiment, self.threads())?
        })
    }

    /// Has the trainer train, keeps its reports and has them judged; then records how it ended.
    /// Returns false, with nothing recorded, when the `earlier` curve, which it goes on from, lacks
    /// epochs that the checkpoint has.
    fn train_from(
        &mut self,
        request: &Request,
        earlier: &Curve,
        claim: &Claim,
        verdicts: &mut Option<Verdicts<'_>>,
        began: Instant,
    ) -> anyhow::Result<bool> {
        let (dir, attempt) = (self.experiment.dir(), claim.attempt);
        let mut curve = CurveInProgress::new(dir.curve(attempt), earlier.clone());
        let mut kept = Ok(true);
        let end = self.trainer.train(request, &dir.trainer_log(attempt), &mut |report| {
            let mut flow = ControlFlow::Continue(());
            kept = curve.append(report, |curve| {
                if let Some(verdicts) = verdicts {
                    flow = verdicts.judge(&mut self.journal, curve);
                }
            });
            // A report that cannot be kept ends the training.
            if !matches!(kept, Ok(true)) {
                return ControlFlow::Break(());
            }
            (self.on_event)(epoch_event(request.iteration, report));
            flow
        });
        let spent = began.elapsed().as_secs_f64();
        // Lost with the claim, unless its epochs count.
        let mut seconds = spent + earlier.seconds();
        match kept {
            Ok(true) => {}
            Ok(false) => return Ok(false),
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
            Ok(end) if !is_whole(&mut curve, request, &end) => return Ok(false),
            Ok(end) => match result_row(self.experiment, claim, &end, &curve, spent) {
                Some(row) => {
                    self.record(attempt, &row, &mut curve)?;
                    if self.options.reduce {
                        self.learn(attempt.iteration)?;
                    }
                    return Ok(true);
                }
                None => {
                    seconds = spent + curve.kept_seconds + curve.lost_seconds();
                    "the trainer ended without a result".to_owned()
                }
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
        Ok(true)
    }

    /// Ends since nothing can be trained here, whatever the network: the claim is lost at once, so
    /// that another machine may have it, and counted as no failure. Returns the error.
    fn refuse(
        &mut self,
        attempt: Attempt,
        error: anyhow::Error,
        seconds: f64,
    ) -> anyhow::Result<anyhow::Error> {
        self.lose(attempt, refusal_as_reason(&format!("{error:#}")), seconds)?;
        Ok(error)
    }

    /// Ends after a signal, and returns the error for it. The claim stays open: this task takes it
    /// up when it is queued again. It is lost when the time was too short too often.
    /// `lost_seconds` are in no curve: those of this attempt, and of epochs that it has trained
    /// again; `all_seconds` are lost with the claim.
    fn leave(
        &mut self,
        claim: &Claim,
        lost_seconds: f64,
        all_seconds: f64,
    ) -> anyhow::Result<anyhow::Error> {
        let (dir, attempt) = (self.experiment.dir(), claim.attempt);
        let iteration = attempt.iteration;
        let is_time_warning = self.interrupt.signal() == Some(Signal::TimeNearlyUp);
        // Without the mark the claim may count as a loss, and no more than that: a full disk must
        // not keep the task from being queued again. Only under a scheduler is a claim taken up
        // again.
        let left = LeftOnSignal { is_time_warning, lost_seconds };
        if self.task.slurm.is_some()
            && let Err(error) = dir.mark_left_on_signal(attempt, &left)
        {
            log::warn!("the attempt leaves unmarked: {error}");
        }
        if is_time_warning
            && self.task.slurm.is_some()
            && is_last_timeout(claim.timeouts)
            && matches!(end_of(dir, attempt)?, EarlierAttempt::TimedOut { .. })
        {
            self.lose(attempt, TIME_TOO_SHORT.to_owned(), all_seconds)?;
            return Ok(Refusal::Environment(format!(
                "the claim of iteration {iteration} is lost: three attempts in a row left on the \
                 time warning without a new epoch (`slurm.time` is too short, or the trainer keeps \
                 no checkpoint)"
            ))
            .into());
        }
        // Never after TERM: a cancelled job would come back.
        if is_time_warning {
            self.requeue()?;
        }
        let signal = if is_time_warning { "USR1" } else { "TERM" };
        Ok(Refusal::TryAgain(format!(
            "ended by {signal}; the claim of iteration {iteration} stays open"
        ))
        .into())
    }

    /// Learns of a result what a `reduce` would: says when it switched early stopping off, fits
    /// the predictor when one is due, and publishes a view after each 100th result. What does not
    /// fit on the disk now is published after a later one.
    fn learn(&mut self, recorded: Iteration) -> anyhow::Result<()> {
        let journal = &mut self.journal;
        let findings = switched_off_in(self.experiment, journal, |audit| audit == recorded);
        if let Some(AuditFindings { audited, false_stops, .. }) = findings {
            (self.on_event)(TrainEvent::StoppingSwitchedOff { audited, false_stops });
        }
        let is_due = (journal.state().known.len() as u64).is_multiple_of(RESULTS_PER_VIEW);
        unless_full(refit_unless_started(self.experiment, journal))?;
        if is_due {
            self.publish()?;
        }
        self.lose_ended_claims()
    }

    /// Records claims of workers that died, and results that they have left.
    fn lose_ended_claims(&mut self) -> anyhow::Result<()> {
        let lost = lose_ended_claims(self.experiment, &mut self.journal, &EndedJobs::None);
        unless_full(lost.map(drop))
    }

    pub(super) fn publish(&mut self) -> anyhow::Result<()> {
        let learned = self.q_values.learned(&self.journal)?;
        if learned.rows > self.journal.view_rows() {
            unless_full(self.journal.publish(learned).map(drop))?;
        }
        Ok(())
    }
}

/// What does not fit on the disk now is written by a later result, or by a reduce.
fn unless_full(written: anyhow::Result<()>) -> anyhow::Result<()> {
    written.or_else(|error| match is_full(&error) {
        true => {
            log::warn!("nothing is learned yet: {error:#}");
            Ok(())
        }
        false => Err(error),
    })
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

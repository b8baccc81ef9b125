//! One task: claim, train, record; again while more is wanted of it ([`train`]). In reading order:
//!
//! * `task`: who the task is ([`task::Task`]), and when its claims expire;
//! * `claim`: a draw under the lock, or its own open claim ([`claim::Sampler`]);
//! * `attempt`: one attempt at training a claim ([`attempt::Workbench`]), with its `curve`
//!   ([`curve::CurveInProgress`]) and `stopping` ([`stopping::Verdicts`]: the rule after each
//!   epoch, audits);
//! * `result`: the row for the end of a training;
//! * `record`: a result or a loss written to the log, with retries; the end after a signal;
//! * `attempt_files`: files without rows, and results left beside curves;
//! * `event`: progress events ([`TrainEvent`]).
//!
//! Used by `cli` (`train`); `reduce`, `verify` and `doctor` use parts.

pub(crate) mod attempt;
pub(crate) mod attempt_files;
pub(crate) mod claim;
pub(crate) mod curve;
pub(crate) mod event;
pub(crate) mod record;
pub(crate) mod result;
pub(crate) mod stopping;
pub(crate) mod task;

use std::num::NonZeroUsize;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use jiff::Timestamp;
use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1};

use self::record::is_full;
use crate::ops::journal::Journal;
use crate::ops::reduce::lost_claims::{EndedJobs, lose_ended_claims};
use crate::ops::reduce::refit::{newest_predictor, refit_unless_started};
use crate::ops::reduce::switched_off_in;
use crate::ops::rounds::round::Round;
use crate::ops::train::attempt::{AttemptEnd, Workbench, rehearsal};
use crate::ops::train::attempt_files::AttemptFiles;
use crate::ops::train::claim::{Claim, Claimed, QValues, Sampler};
use crate::ops::train::stopping::Verdicts;
use crate::ops::train::task::Task;
use crate::ops::{Experiment, Refusal, TrainEvent};
use crate::predictor::AuditFindings;
use crate::storage::view::StoredPredictor;
use crate::storage::view::files::skip;
use crate::storage::{Iteration, LockTimeout, RoundDir, TaskRefusal, refusal_as_reason};
use crate::training::{Interrupt, Signal, Trainer, TrainingError, trainer};

#[derive(Debug, Clone, Copy, Default, clap::Args)]
pub struct TrainOptions {
    /// Go on claiming until the schedule has nothing more to claim
    #[arg(long)]
    pub until_done: bool,
    /// Learn after every result, as the paper does and as `run` asks of its workers
    #[arg(long)]
    pub reduce: bool,
    /// The round that the task belongs to (what the rendered script says)
    #[arg(long, value_name = "N")]
    pub round: Option<u32>,
    /// How many workers share this machine's cores
    #[arg(long, default_value_t = 1, value_name = "N",
        value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub share: u32,
}

/// Where events of a task go. A listener that fails ends no training.
pub type Listener<'a> = dyn FnMut(TrainEvent) + 'a;

pub fn train(
    experiment: &Experiment,
    options: TrainOptions,
    on_event: &mut Listener<'_>,
) -> anyhow::Result<()> {
    if let Some(round) = options.round {
        Round::new(experiment, round).check_exists()?;
    }
    // Before any claim: a folder of another user, other images or a missing trainer must not cost
    // an architecture an attempt.
    experiment.dir().check_access()?;
    let note = |error: &anyhow::Error| note_refusal(experiment, options.round, error);
    let mut run = TaskRun::new(experiment, options, on_event).inspect_err(note)?;
    experiment.dir().make_scratch(experiment.trust)?;
    experiment.check_data()?;
    let rehearsal = rehearsal(experiment, run.threads())?;
    run.trainer.prepare(&rehearsal).map_err(anyhow::Error::from).inspect_err(note)?;
    if run.interrupt.signal() == Some(Signal::TimeNearlyUp) {
        return Err(Refusal::Environment(
            "the time warning came before the trainer was ready, so nothing was claimed \
             (is `slurm.time` too short for the data to be loaded, or \
             `slurm.signal_seconds` too long?)"
                .to_owned(),
        )
        .into());
    }
    let per_task = experiment.config().slurm.architectures_per_task.get();
    let most = if options.until_done { u32::MAX } else { per_task };
    let mut longest = Duration::ZERO;
    for _ in 0..most {
        if !run.time_is_left_for(longest) {
            break;
        }
        let began = Instant::now();
        match run.claim()? {
            Claimed::Claim(claim, _) => run.work_on(&claim)?,
            Claimed::Nothing(_) => break,
            Claimed::OtherConfiguration => {
                let settings = run.journal.state().settings.clone();
                drop(run);
                return train(&experiment.changed_by(settings)?, options, on_event);
            }
        }
        longest = longest.max(began.elapsed());
    }
    if options.reduce { run.publish() } else { Ok(()) }
}

/// Results between two views that the tasks publish where no `reduce` does.
const RESULTS_PER_VIEW: u64 = 100;

/// Leaves a note that the trainer refuses to work on this machine, for the count of bad hosts: the
/// log has no row of it, since nothing was claimed.
fn note_refusal(experiment: &Experiment, round: Option<u32>, error: &anyhow::Error) {
    let is_refusal = error.downcast_ref().is_some_and(TrainingError::is_refusal);
    let Some(round) = round.filter(|_| is_refusal) else { return };
    let noted = Task::current().and_then(|task| {
        let Task { host, job, task, .. } = task;
        let (reason, time) = (format!("{error:#}"), Timestamp::now().into());
        let refusal = TaskRefusal { host, job, task, reason, time };
        Ok(RoundDir::of(experiment.dir(), round).note_refusal(&refusal)?)
    });
    // The refusal itself is printed in any case.
    if let Err(error) = noted {
        log::info!("the refusal is not kept: {error:#}");
    }
}

struct TaskRun<'a> {
    experiment: &'a Experiment,
    options: TrainOptions,
    on_event: &'a mut Listener<'a>,
    task: Task,
    trainer: Box<dyn Trainer>,
    interrupt: Interrupt,
    journal: Journal,
    q_values: QValues,
    /// The predictor that judges the claim.
    predictor: Option<StoredPredictor>,
}

impl<'a> TaskRun<'a> {
    fn new(
        experiment: &'a Experiment,
        options: TrainOptions,
        on_event: &'a mut Listener<'a>,
    ) -> anyhow::Result<Self> {
        let interrupt = listen_for_signals()?;
        let trainer = trainer(&experiment.config().recipe, interrupt.clone())?;
        let task = Task::current()?;
        let files = AttemptFiles::list(experiment.dir())?;
        let journal = Journal::open(experiment)?;
        files.check(journal.state())?;
        Ok(Self {
            experiment,
            options,
            on_event,
            task,
            trainer,
            interrupt,
            journal,
            q_values: QValues::unread(experiment),
            predictor: None,
        })
    }

    fn claim(&mut self) -> anyhow::Result<Claimed> {
        self.journal.set_lock_timeout(LockTimeout::default());
        self.journal.renew()?;
        self.predictor = newest_predictor(self.experiment, &self.journal, skip)?;
        let sampler = Sampler {
            experiment: self.experiment,
            task: &self.task,
            round: self.options.round,
            predictor: self.predictor.as_ref().map(|stored| stored.full_curves),
            learns: self.options.reduce,
        };
        let claimed = sampler.claim(&mut self.journal, &mut self.q_values)?;
        match &claimed {
            Claimed::Nothing(why) => (self.on_event)(why.clone()),
            Claimed::OtherConfiguration => {}
            Claimed::Claim(claim, reused) => {
                for iteration in reused {
                    (self.on_event)(TrainEvent::Reused { iteration: iteration.0 });
                }
                (self.on_event)(TrainEvent::Claimed {
                    iteration: claim.attempt.iteration.0,
                    attempt: claim.attempt.number,
                    epsilon: claim.row.epsilon.unwrap_or(1.0),
                    architecture: claim.architecture.to_string(),
                    epochs: self.experiment.config().recipe.epochs,
                });
            }
        }
        Ok(claimed)
    }

    fn work_on(&mut self, claim: &Claim) -> anyhow::Result<()> {
        let threads = self.threads();
        let predictor = self.predictor.take();
        let verdicts = Verdicts::of(self.experiment, &mut self.journal, predictor, claim);
        let workbench = Workbench {
            experiment: self.experiment,
            task: &self.task,
            threads,
            claim,
            verdicts,
            trainer: self.trainer.as_mut(),
            on_event: &mut *self.on_event,
        };
        match workbench.train()? {
            AttemptEnd::Interrupted { lost_seconds, seconds } => {
                return self.leave(claim, lost_seconds, seconds);
            }
            AttemptEnd::Lost { reason, seconds } => {
                self.lose(claim.attempt, reason, seconds)?;
                if self.options.reduce {
                    self.lose_ended_claims()?;
                }
            }
            AttemptEnd::Refused { error, seconds } => {
                // Lost at once, so that another machine may have it; counted as no failure.
                self.lose(claim.attempt, refusal_as_reason(&format!("{error:#}")), seconds)?;
                return Err(error);
            }
            AttemptEnd::Result { row, mut curve } => {
                self.record(claim.attempt, &row, &mut curve)?;
                if self.options.reduce {
                    self.learn(claim.attempt.iteration)?;
                }
            }
        }
        Ok(())
    }

    /// Learns of a result what a `reduce` would: says when it switched early stopping off, fits
    /// the predictor when one is due, and publishes a view after each 100th result. What does not
    /// fit on the disk now is published after a later one.
    fn learn(&mut self, recorded: Iteration) -> anyhow::Result<()> {
        self.lose_ended_claims()?;
        let journal = &mut self.journal;
        let findings = switched_off_in(self.experiment, journal, |audit| audit == recorded);
        if let Some(AuditFindings { audited, false_stops, .. }) = findings {
            (self.on_event)(TrainEvent::StoppingSwitchedOff { audited, false_stops });
        }
        let is_due = (journal.state().known.len() as u64).is_multiple_of(RESULTS_PER_VIEW);
        unless_full(refit_unless_started(self.experiment, journal))?;
        if is_due { self.publish() } else { Ok(()) }
    }

    /// Records claims of workers that died, and results that they have left.
    fn lose_ended_claims(&mut self) -> anyhow::Result<()> {
        lose_ended_claims(self.experiment, &mut self.journal, &EndedJobs::None).map(drop)
    }

    fn publish(&mut self) -> anyhow::Result<()> {
        let learned = self.q_values.learned(&self.journal)?;
        if learned.rows > self.journal.view_rows() {
            unless_full(self.journal.publish(learned).map(drop))?;
        }
        Ok(())
    }

    /// Whether one more network as long as the longest so far ends before the warning of the
    /// scheduler; the first one is always tried, unless a signal has come.
    fn time_is_left_for(&self, longest: Duration) -> bool {
        let needed = longest + self.experiment.config().slurm.signal();
        let is_first = longest.is_zero();
        self.interrupt.signal().is_none()
            && (is_first || self.task.time_left().is_none_or(|left| left > needed))
    }

    /// CPU threads of a network: as configured, as allotted, or this worker's share of the machine.
    fn threads(&self) -> u32 {
        let recipe = &self.experiment.config().recipe;
        let allotted = self.task.slurm.as_ref().and_then(|task| task.cpus).map(|cpus| cpus.get());
        let share = || {
            let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get) as u32;
            (cores / self.options.share.max(1)).max(1)
        };
        recipe.threads.or(allotted).unwrap_or_else(share)
    }
}

/// A cache that does not fit on the disk now is published later.
fn unless_full(published: anyhow::Result<()>) -> anyhow::Result<()> {
    published.or_else(|error| match is_full(&error) {
        true => {
            log::warn!("nothing is learned yet: {error:#}");
            Ok(())
        }
        false => Err(error),
    })
}

fn listen_for_signals() -> anyhow::Result<Interrupt> {
    let interrupt = Interrupt::default();
    for (number, signal) in [
        (SIGUSR1, Signal::TimeNearlyUp),
        (SIGTERM, Signal::Terminate),
        // Ctrl-C in a terminal is a person's way to say the same.
        (SIGINT, Signal::Terminate),
    ] {
        signal_hook::flag::register(number, interrupt.flag(signal))
            .context("failed to listen for signals")?;
    }
    Ok(interrupt)
}

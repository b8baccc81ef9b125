//! One task: claim, train, record; again while more is wanted of it.

use std::env;
use std::num::NonZeroUsize;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use jiff::Timestamp;
use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1};

use super::attempt::{AttemptEnd, Bench, Claim, rehearsal};
use super::claim::{Claimed, Sampler, WhyNothing};
use super::live_log::{LiveLog, view_params};
use super::reduce::{ReduceOptions, Tables, reduce};
use super::task::Task;
use super::{Experiment, Refusal, TrainEvent};
use crate::q_learning::QTable;
use crate::slurm::{Slurm, Variables};
use crate::storage::knowledge::Record;
use crate::storage::{Row, StorageError, View};
use crate::training::{Interrupt, Signal, Trainer, trainer};

/// How long a task goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// For `slurm.architectures_per_task` architectures, while its time allows.
    Configured,
    /// Until nothing is left to claim.
    Done,
}

/// Whether a task learns, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reducing {
    /// The reduce of the round does.
    Never,
    /// After every result, as the paper does.
    AfterEachResult,
}

/// What is asked of a task.
#[derive(Debug, Clone, Copy)]
pub struct TrainOptions {
    /// How long it goes on.
    pub until: Until,
    /// Whether it learns.
    pub reducing: Reducing,
    /// How many workers share this machine's cores.
    pub sharing_workers: u32,
    /// The round that the task belongs to.
    pub round: Option<u32>,
}

/// Where events of a task go.
pub type Listener<'a> = dyn FnMut(TrainEvent) -> anyhow::Result<()> + 'a;

/// Claims, trains and records.
///
/// # Errors
/// When the experiment cannot be read or written, or the trainer refuses to work at all; [`Refusal::TryAgain`]
/// after a signal.
pub fn train(
    experiment: &Experiment,
    options: TrainOptions,
    on_event: &mut Listener<'_>,
) -> anyhow::Result<()> {
    let mut worker = Worker::new(experiment, options, on_event)?;
    // Before any claim: a missing trainer must not cost an architecture an attempt.
    let rehearsal = rehearsal(experiment, worker.threads())?;
    worker.trainer.prepare(&rehearsal)?;
    let most = match options.until {
        Until::Configured => experiment.config().slurm.params().architectures_per_task.get(),
        Until::Done => u32::MAX,
    };
    let mut longest = Duration::ZERO;
    for _ in 0..most {
        if !worker.time_is_left_for(longest) {
            break;
        }
        let began = Instant::now();
        match worker.claim()? {
            Some(claim) => worker.work_on(&claim)?,
            None => break,
        }
        longest = longest.max(began.elapsed());
    }
    Ok(())
}

struct Worker<'a> {
    experiment: &'a Experiment,
    options: TrainOptions,
    on_event: &'a mut Listener<'a>,
    task: Task,
    trainer: Box<dyn Trainer>,
    interrupt: Interrupt,
}

impl<'a> Worker<'a> {
    fn new(
        experiment: &'a Experiment,
        options: TrainOptions,
        on_event: &'a mut Listener<'a>,
    ) -> anyhow::Result<Self> {
        let interrupt = listen_for_signals()?;
        let executable = env::current_exe().context("failed to find the running program")?;
        let recipe = experiment.config().recipe.recipe();
        let trainer =
            trainer(recipe, &executable, env::var_os("PATH").as_deref(), interrupt.clone())?;
        Ok(Self { experiment, options, on_event, task: Task::current()?, trainer, interrupt })
    }

    /// Claims an architecture; `None` when there is nothing to claim.
    fn claim(&mut self) -> anyhow::Result<Option<Claim>> {
        let mut view = View::newest(self.experiment.dir(), view_params(self.experiment))?;
        let mut live = LiveLog::after(self.experiment, &view)?;
        let schedule = &self.experiment.config().schedule;
        let is_random =
            live.peek(|known| known.epsilon_in_force(schedule))?.is_some_and(|e| e.value() == 1.0);
        // At epsilon 1 nobody asks for a Q-value, and reading them is most of the work.
        let untrained;
        let rows = view.rows();
        let q_table = if is_random {
            let initial = self.experiment.config().q_learning.params().initial_q_value;
            untrained = QTable::new(self.experiment.config().space.clone(), initial);
            &untrained
        } else {
            view.learner()?.q_table()
        };
        let sampler = Sampler {
            experiment: self.experiment,
            task: &self.task,
            round: self.options.round,
            q_table,
            view: rows,
            device: self.task.slurm.as_ref().and_then(|task| task.visible_devices.clone()),
        };
        match sampler.claim(&mut live)? {
            Claimed::Nothing(why) => {
                self.tell_nothing(why)?;
                Ok(None)
            }
            Claimed::Claim(claim, reused) => {
                for iteration in reused {
                    (self.on_event)(TrainEvent::Reused { iteration: iteration.0 })?;
                }
                (self.on_event)(TrainEvent::Claimed {
                    iteration: claim.attempt.iteration.0,
                    attempt: claim.attempt.number,
                    epsilon: claim.row.epsilon.unwrap_or(1.0),
                    architecture: claim.architecture.to_string(),
                    epochs: self.experiment.config().recipe.recipe().epochs,
                })?;
                Ok(Some(*claim))
            }
        }
    }

    fn tell_nothing(&mut self, why: WhyNothing) -> anyhow::Result<()> {
        (self.on_event)(match why {
            WhyNothing::Halted => TrainEvent::Halted,
            WhyNothing::Finished => TrainEvent::Nothing { finished: true },
            WhyNothing::AllClaimed => TrainEvent::Nothing { finished: false },
        })
    }

    /// Trains a claim and records what it came to.
    fn work_on(&mut self, claim: &Claim) -> anyhow::Result<()> {
        let iteration = claim.attempt.iteration.0;
        let threads = self.threads();
        let mut bench = Bench {
            experiment: self.experiment,
            task: &self.task,
            threads,
            on_event: &mut *self.on_event,
        };
        match bench.train(claim, self.trainer.as_mut())? {
            AttemptEnd::Interrupted => return self.leave(iteration),
            AttemptEnd::Lost { reason, seconds } => {
                self.append(iteration, |live| {
                    live.locked(|session| {
                        let now = Timestamp::now().into();
                        let rows =
                            session.knowledge().lose(claim.attempt, &reason, Some(seconds), now);
                        session.stage_all(rows)?;
                        session.write()
                    })
                })?;
                (self.on_event)(TrainEvent::Lost { iteration, reason })?;
            }
            AttemptEnd::Result(row) => self.record(&row)?,
        }
        if self.options.reducing == Reducing::AfterEachResult {
            reduce(
                self.experiment,
                &ReduceOptions { tables: Tables::Keep, ..ReduceOptions::default() },
            )?;
        }
        Ok(())
    }

    fn record(&mut self, row: &Row) -> anyhow::Result<()> {
        let iteration = row.iteration.map_or(0, |iteration| iteration.0);
        let counts = self.append(iteration, |live| {
            live.locked(|session| {
                let (rows, counts) = match session.knowledge().record(row)? {
                    Record::Append(rows) => (rows, true),
                    Record::AlreadyKnown { due, .. } => (due, false),
                };
                session.stage_all(rows)?;
                session.write()?;
                Ok(counts)
            })
        })?;
        (self.on_event)(if counts {
            TrainEvent::Recorded {
                iteration,
                outcome: row.event.to_string(),
                reward: row.reward,
                seconds: row.train_seconds.unwrap_or(0.0),
            }
        } else {
            TrainEvent::Superseded { iteration }
        })
    }

    /// Appends, again and again with growing pauses while the disk is full: a result is worth waiting for.
    fn append<T>(
        &self,
        iteration: u64,
        mut write: impl FnMut(&mut LiveLog) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let mut pause = Duration::from_secs(1);
        loop {
            let written =
                LiveLog::open_for_result(self.experiment).and_then(|mut live| write(&mut live));
            match written {
                Err(error) if is_full(&error) && self.may_wait(pause) => {
                    log::warn!(
                        "iteration {iteration} is not recorded yet: {error:#}; trying again in {} s",
                        pause.as_secs()
                    );
                    self.sleep(pause);
                    pause = (2 * pause).min(Duration::from_secs(60));
                }
                Err(error) if is_full(&error) => {
                    self.requeue()?;
                    return Err(error.context(Refusal::Unrecorded { iteration }));
                }
                written => return written,
            }
        }
    }

    fn may_wait(&self, pause: Duration) -> bool {
        let margin = pause + self.experiment.config().slurm.signal();
        self.interrupt.signal().is_none() && self.time_left().is_none_or(|left| left > margin)
    }

    /// Sleeps in steps, so that a signal ends it.
    fn sleep(&self, pause: Duration) {
        let until = Instant::now() + pause;
        while Instant::now() < until && self.interrupt.signal().is_none() {
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// Ends after a signal. The claim stays open: this task takes it up when it is queued again.
    fn leave(&self, iteration: u64) -> anyhow::Result<()> {
        let signal = match self.interrupt.signal() {
            Some(Signal::TimeNearlyUp) => {
                self.requeue()?;
                "USR1"
            }
            // Never requeued by itself: a cancelled job would come back.
            _ => "TERM",
        };
        Err(Refusal::TryAgain { signal, iteration }.into())
    }

    fn requeue(&self) -> anyhow::Result<()> {
        if let Some(task) = &self.task.slurm
            && self.experiment.config().slurm.params().requeue
        {
            let variables: Variables = env::vars_os().collect();
            Slurm::new(&variables).requeue(task.id)?;
        }
        Ok(())
    }

    fn time_left(&self) -> Option<Duration> {
        let left = self.task.end_time?.duration_since(Timestamp::now());
        Some(Duration::try_from(left).unwrap_or(Duration::ZERO))
    }

    /// Whether one more network as long as the longest so far ends before the warning of the scheduler.
    fn time_is_left_for(&self, longest: Duration) -> bool {
        if longest.is_zero() {
            return true;
        }
        let needed = longest + self.experiment.config().slurm.signal();
        self.interrupt.signal().is_none() && self.time_left().is_none_or(|left| left > needed)
    }

    /// CPU threads of a network: as configured, as allotted, or this worker's share of the machine.
    fn threads(&self) -> u32 {
        let recipe = self.experiment.config().recipe.recipe();
        let allotted = self.task.slurm.as_ref().and_then(|task| task.cpus).map(|cpus| cpus.get());
        let share = || {
            let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get) as u32;
            (cores / self.options.sharing_workers.max(1)).max(1)
        };
        recipe.threads.or(allotted).unwrap_or_else(share)
    }
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

/// Whether an append failed for want of space, which may come back.
fn is_full(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<StorageError>())
        .any(StorageError::is_full)
}

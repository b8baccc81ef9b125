//! The whole search on this machine: worker processes that train and reduce, watched until the schedule is finished.
//!
//! Not a second implementation: a worker is `metaqnn train DIR --until-done --reduce`, which
//! claims, trains, records and reduces as the jobs on a cluster do. What happens to a worker is
//! therefore nothing that the log does not know how to mend.

use std::env;
use std::process::ExitStatus;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::ops::halt::{Switched, resume};
use crate::ops::reduce::{ReduceOptions, reduce};
use crate::ops::{Experiment, Refusal, TrainEvent};
use crate::slurm::{LocalWorkers, Stream, WorkerCommand, WorkerEvent, WorkerId};
use crate::storage::Trust;

/// Deaths of workers in a row, without a result between them, after which the search gives up.
const MOST_DEATHS: u32 = 3;
/// Trainings in a row that are lost, after which the search gives up: a trainer that never works
/// would have every architecture quarantined, one after the other, without an end.
const MOST_LOSSES: u32 = 10;
/// Messages of workers that are kept for the error that may follow.
const MOST_LAST_WORDS: usize = 20;
/// How often the tables are written anew while the search goes on.
const TABLES_EVERY: Duration = Duration::from_secs(60);
/// How long to wait before workers look again for what another machine may have lost.
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(10);
/// How long workers may take to end after a Ctrl-C.
const PATIENCE: Duration = Duration::from_secs(30);

/// Runs the search to the end of its schedule, or until it is halted, with so many networks trained at the same time;
/// `on_event` gets what each worker (from 0) tells. A search that was halted before goes on.
///
/// # Errors
/// When a worker cannot be started, can do no work here or keeps dying, when one training after the
/// other is lost, or when the person interrupts.
pub fn run(
    experiment: &Experiment,
    workers: u32,
    on_event: &mut dyn FnMut(usize, &TrainEvent),
) -> anyhow::Result<()> {
    let interrupted = catch_interrupts()?;
    if resume(experiment)? == Switched::Written {
        log::warn!("the search was halted and goes on");
    }
    let mut search = Search {
        experiment,
        workers,
        on_event,
        last_words: Vec::new(),
        deaths: 0,
        losses: 0,
        heard: Heard::default(),
    };
    loop {
        // Claims of workers that died, in this run or an earlier one, are lost here.
        // With the configuration of now, which a longer schedule may have changed.
        let experiment = experiment.reopened()?;
        let reduced = reduce(&experiment, &ReduceOptions::default())?;
        if reduced.finished || search.heard.is_halted {
            return Ok(());
        }
        search.watch_workers(&interrupted)?;
        if interrupted.load(Ordering::SeqCst) {
            bail!(Refusal::Interrupted);
        }
        if search.heard.others_train && !search.heard.has_claimed {
            sleep_unless(&interrupted, LOOK_AGAIN_AFTER);
        }
    }
}

/// What the workers have told since they were started last.
#[derive(Debug, Clone, Copy, Default)]
struct Heard {
    /// One of them has claimed something.
    has_claimed: bool,
    /// A person has halted the search.
    is_halted: bool,
    /// One found nothing to claim, while what is left was in training.
    others_train: bool,
}

/// Asks the workers to end, and makes them when they have been asked long ago.
fn tell_to_end(workers: &LocalWorkers, told: &mut Option<Instant>) {
    match *told {
        None => {
            workers.terminate();
            *told = Some(Instant::now());
        }
        Some(since) if since.elapsed() > PATIENCE => workers.kill(),
        Some(_) => {}
    }
}

fn sleep_unless(interrupted: &AtomicBool, pause: Duration) {
    let end = Instant::now() + pause;
    while Instant::now() < end && !interrupted.load(Ordering::SeqCst) {
        thread::sleep(Duration::from_millis(100));
    }
}

fn catch_interrupts() -> anyhow::Result<Arc<AtomicBool>> {
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        // A second Ctrl-C ends the program at once.
        signal_hook::flag::register_conditional_default(signal, Arc::clone(&interrupted))
            .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&interrupted)))
            .context("failed to listen for signals")?;
    }
    Ok(interrupted)
}

struct Search<'a> {
    experiment: &'a Experiment,
    workers: u32,
    on_event: &'a mut dyn FnMut(usize, &TrainEvent),
    last_words: Vec<String>,
    /// Workers that died since the last result.
    deaths: u32,
    /// Trainings that were lost since the last result.
    losses: u32,
    heard: Heard,
}

impl Search<'_> {
    /// Starts the workers and watches them until all have ended, since nothing is left to claim. One
    /// that dies is replaced.
    fn watch_workers(&mut self, interrupted: &AtomicBool) -> anyhow::Result<()> {
        self.heard = Heard::default();
        let mut workers = LocalWorkers::new();
        let command = self.worker_command()?;
        let mut seats: Vec<WorkerId> = Vec::new();
        for _ in 0..self.workers {
            seats.push(workers.start(&command)?);
        }
        let mut tables_written = Instant::now();
        let mut told_to_end: Option<Instant> = None;
        while workers.running().next().is_some() {
            if interrupted.load(Ordering::SeqCst) {
                tell_to_end(&workers, &mut told_to_end);
            }
            let seat_of = |worker: WorkerId| {
                seats.iter().position(|&id| id == worker).expect("a worker has a seat")
            };
            match workers.next_event(Duration::from_millis(200))? {
                Some(WorkerEvent::Line { worker, stream: Stream::Output, line }) => {
                    self.hear(seat_of(worker), &line)?;
                }
                Some(WorkerEvent::Line { stream: Stream::Messages, line, .. }) => {
                    self.remember(line)
                }
                Some(WorkerEvent::Ended { worker, status })
                    if !status.success() && told_to_end.is_none() =>
                {
                    let seat = seat_of(worker);
                    self.judge_death(status)?;
                    seats[seat] = workers.start(&command)?;
                }
                Some(WorkerEvent::Ended { .. }) | None => {}
            }
            if tables_written.elapsed() > TABLES_EVERY {
                // Copies for people: the search does not end over them.
                if let Err(error) = crate::ops::reduce::tables::write(self.experiment) {
                    log::warn!("the tables are not written anew: {error:#}");
                }
                tables_written = Instant::now();
            }
        }
        Ok(())
    }

    /// Decides after the death of a worker whether another may be luckier.
    fn judge_death(&mut self, status: ExitStatus) -> anyhow::Result<()> {
        self.deaths += 1;
        let reason = self.last_words.iter().rev().find_map(|line| line.strip_prefix("error: "));
        // Configuration, damage, environment: told in one line, and there for the next worker, too.
        if let (Some(code @ 2..=4), Some(reason)) = (status.code(), reason)
            && (!self.heard.has_claimed || self.deaths >= MOST_DEATHS)
        {
            bail!(Refusal::WorkerRefuses { code, reason: reason.to_owned() });
        }
        if self.deaths >= MOST_DEATHS {
            let last_words = self.last_words.join("\n");
            bail!(Refusal::WorkersDie { how: status.to_string(), last_words });
        }
        Ok(())
    }

    fn worker_command(&self) -> anyhow::Result<WorkerCommand> {
        let program = env::current_exe().context("failed to find the running program")?;
        let workers = self.workers.to_string();
        let mut arguments = vec!["train".into(), self.experiment.dir().root().into()];
        arguments.extend(
            ["--until-done", "--reduce", "--json", "--single-node", "--share", &workers]
                .map(Into::into),
        );
        if self.experiment.trust() == Trust::Group {
            arguments.push("--trust-group".into());
        }
        Ok(WorkerCommand { program, arguments, environment: Default::default() })
    }

    /// Takes in an event of a worker, and passes it on.
    fn hear(&mut self, seat: usize, line: &str) -> anyhow::Result<()> {
        let Ok(event) = serde_json::from_str(line) else {
            self.remember(line.to_owned());
            return Ok(());
        };
        match &event {
            TrainEvent::Recorded { .. } => (self.deaths, self.losses) = (0, 0),
            TrainEvent::Claimed { .. } => self.heard.has_claimed = true,
            TrainEvent::Lost { reason, .. } => {
                self.losses += 1;
                if self.losses >= MOST_LOSSES {
                    bail!(Refusal::OnlyLosses { losses: self.losses, reason: reason.clone() });
                }
            }
            TrainEvent::Halted => self.heard.is_halted = true,
            TrainEvent::Nothing { finished: false } => self.heard.others_train = true,
            _ => {}
        }
        (self.on_event)(seat, &event);
        Ok(())
    }

    /// Passes on what a worker says beside its events, and keeps it for the error that may follow.
    fn remember(&mut self, line: String) {
        match line.strip_prefix("warn: ") {
            Some(warning) => log::warn!("{warning}"),
            None => log::info!("worker: {line}"),
        }
        self.last_words.push(line);
        if self.last_words.len() > MOST_LAST_WORDS {
            self.last_words.remove(0);
        }
    }
}

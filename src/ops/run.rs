//! The whole search on this machine: worker processes, watched until the schedule is finished.
//!
//! Not a second implementation: a worker is `metaqnn train DIR --until-done --reduce`, which
//! claims, trains and records as the jobs on a cluster do, and learns by itself. Its death is
//! repaired as that of a job is.

use std::collections::BTreeSet;
use std::env;
use std::process::ExitStatus;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::ops::journal::Journal;
use crate::ops::reduce::lost_claims::EndedJobs;
use crate::ops::reduce::{reduce, switched_off, tables};
use crate::ops::train::task::LOSSES_TO_STOP;
use crate::ops::{Experiment, Refusal, TrainEvent};
use crate::storage::{Event, Trust};
use crate::training::{ChildCommand, ChildProcess, Interrupt, Output, Signal, TICK};

/// Deaths of workers without a result between them, after which the search gives up.
const MOST_DEATHS: u32 = 3;
/// Trainings in a row that are lost, after which the search gives up: a trainer that never works
/// would have every architecture quarantined, one after the other, without an end.
const MOST_LOSSES: u32 = 10;
/// In a list, where the trainer has worked: at most one network is quarantined.
const MOST_LOSSES_OF_LIST: u32 = 5;
/// Lines of the workers' stderr that are kept for the error that may follow.
const STDERR_LINES_KEPT: usize = 20;
const TABLES_EVERY: Duration = Duration::from_secs(60);
/// How long to wait before workers look again for what another machine may have lost.
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(10);
/// How long workers may take to end after a Ctrl-C.
const TIME_TO_END: Duration = Duration::from_secs(30);

/// Runs the search to the end of its schedule, or until it is halted; `on_event` gets the events of
/// each worker, numbered from 0. A search that was halted before goes on.
pub fn run(
    experiment: &Experiment,
    workers: u32,
    on_event: &mut dyn FnMut(usize, &TrainEvent),
) -> anyhow::Result<()> {
    let interrupt = catch_interrupts()?;
    if Journal::open(experiment)?.switch(Event::Resumed, |state| state.halted)? {
        log::warn!("the search was halted and goes on");
    }
    let mut search = Search {
        experiment,
        workers,
        on_event,
        stderr: Vec::new(),
        said: BTreeSet::new(),
        deaths: 0,
        losses: 0,
        has_result: false,
        has_claimed: false,
        is_halted: false,
        others_train: false,
    };
    loop {
        // Claims of workers that died, in this run or an earlier one, are lost here. With the
        // configuration of now, which a longer schedule may have changed.
        let experiment = experiment.reopened()?;
        let reduced = reduce(&experiment, &EndedJobs::None)?;
        search.say(&reduced.notices);
        if reduced.finished || search.is_halted {
            return Ok(());
        }
        search.watch_workers(&interrupt)?;
        if interrupt.signal().is_some() {
            bail!(Refusal::TryAgain(
                "interrupted (the same command goes on where it was)".to_owned()
            ));
        }
        if search.others_train && !search.has_claimed {
            interrupt.arrives_within(LOOK_AGAIN_AFTER);
        }
    }
}

fn end(workers: &mut [Option<ChildProcess>], asked: &mut Option<Instant>) {
    for worker in workers.iter_mut().flatten() {
        match *asked {
            None => worker.signal(Signal::Terminate),
            Some(since) if since.elapsed() > TIME_TO_END => worker.kill(),
            Some(_) => {}
        }
    }
    asked.get_or_insert_with(Instant::now);
}

pub(crate) fn catch_interrupts() -> anyhow::Result<Interrupt> {
    let interrupt = Interrupt::default();
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        // A second Ctrl-C ends the program at once.
        signal_hook::flag::register_conditional_default(signal, interrupt.flag(Signal::Terminate))
            .and_then(|_| signal_hook::flag::register(signal, interrupt.flag(Signal::Terminate)))
            .context("failed to listen for signals")?;
    }
    Ok(interrupt)
}

struct Search<'a> {
    experiment: &'a Experiment,
    workers: u32,
    on_event: &'a mut dyn FnMut(usize, &TrainEvent),
    stderr: Vec<String>,
    /// Notices of what is learned and written again and again.
    said: BTreeSet<String>,
    /// Workers that died, and trainings that were lost, since the last result.
    deaths: u32,
    losses: u32,
    has_result: bool,
    // What workers have reported since they were started last.
    has_claimed: bool,
    is_halted: bool,
    /// One found nothing to claim, while what is left was in training.
    others_train: bool,
}

impl Search<'_> {
    /// Until all have ended, since nothing is left to claim; one that dies is replaced.
    fn watch_workers(&mut self, interrupt: &Interrupt) -> anyhow::Result<()> {
        (self.has_claimed, self.is_halted, self.others_train) = (false, false, false);
        let command = self.worker_command()?;
        let start = || ChildProcess::worker(&command).map(Some);
        let mut workers = (0..self.workers).map(|_| start()).collect::<Result<Vec<_>, _>>()?;
        let mut tables_written = Instant::now();
        let mut asked_to_end: Option<Instant> = None;
        while workers.iter().any(Option::is_some) {
            if interrupt.signal().is_some() {
                end(&mut workers, &mut asked_to_end);
            }
            let mut is_quiet = true;
            for (number, slot) in workers.iter_mut().enumerate() {
                let Some(worker) = slot else { continue };
                match worker.read(Duration::ZERO) {
                    Output::Line(line) => self.take_line(number, &line)?,
                    Output::Stderr(line) => self.remember(&line),
                    Output::Exited(status) => {
                        *slot = None;
                        if !status.success() && asked_to_end.is_none() {
                            self.judge_death(status)?;
                            *slot = start()?;
                        }
                    }
                    Output::Nothing | Output::Closed | Output::Overlong(_) => continue,
                }
                is_quiet = false;
            }
            if is_quiet {
                thread::sleep(TICK);
            }
            if tables_written.elapsed() > TABLES_EVERY {
                let written = Journal::open_to_look(self.experiment).and_then(|journal| {
                    tables::write(self.experiment, &journal, journal.learn()?.q_table())
                });
                match written {
                    Ok(notices) => self.say(&notices),
                    // Copies for people: the search does not end over them.
                    Err(error) => log::warn!("the tables are not written anew: {error:#}"),
                }
                tables_written = Instant::now();
            }
        }
        Ok(())
    }

    /// Returns an error where no other worker is to be started.
    fn judge_death(&mut self, status: ExitStatus) -> anyhow::Result<()> {
        self.deaths += 1;
        let reason = self.stderr.iter().rev().find_map(|line| line.strip_prefix("error: "));
        // Configuration, damage, environment: the next worker would meet the same.
        if let (Some(code @ 2..=4), Some(reason)) = (status.code(), reason)
            && (!self.has_claimed || self.deaths >= MOST_DEATHS)
        {
            let refusal = match code {
                2 => Refusal::Usage,
                3 => Refusal::Damage,
                _ => Refusal::Environment,
            };
            bail!(refusal(reason.to_owned()));
        }
        if self.deaths >= MOST_DEATHS {
            let stderr = self.stderr.join("\n");
            bail!(Refusal::Environment(format!(
                "the workers keep dying ({status}); the tail of their stderr:\n{stderr}"
            )));
        }
        Ok(())
    }

    fn worker_command(&self) -> anyhow::Result<ChildCommand> {
        let program = env::current_exe().context("failed to find the running program")?;
        let workers = self.workers.to_string();
        let mut arguments = vec!["train".into(), self.experiment.dir().root().into()];
        let options = ["--until-done", "--reduce", "--json", "--single-node", "--share", &workers];
        arguments.extend(options.map(Into::into));
        if self.experiment.trust == Trust::Group {
            arguments.push("--trust-group".into());
        }
        Ok(ChildCommand { program, arguments })
    }

    fn take_line(&mut self, worker: usize, line: &[u8]) -> anyhow::Result<()> {
        let Ok(event) = serde_json::from_slice(line) else {
            self.remember(line);
            return Ok(());
        };
        match &event {
            TrainEvent::Recorded { .. } => {
                (self.deaths, self.losses, self.has_result) = (0, 0, true);
            }
            TrainEvent::Claimed { .. } => self.has_claimed = true,
            TrainEvent::Lost { reason, .. } => {
                self.losses += 1;
                let is_given = self.experiment.config().strategy.kind.is_given();
                let most = match (is_given, self.has_result) {
                    (false, _) => MOST_LOSSES,
                    (true, true) => MOST_LOSSES_OF_LIST,
                    (true, false) => LOSSES_TO_STOP,
                };
                if self.losses >= most {
                    bail!(Refusal::Environment(format!(
                        "{} trainings in a row came to nothing; the last one: {reason} \
                         (mend the trainer, then the same command goes on)",
                        self.losses
                    )));
                }
            }
            // The caller shows it; `reduce` finds it again.
            TrainEvent::StoppingSwitchedOff { audited, false_stops } => {
                self.said.insert(switched_off(*audited, *false_stops));
            }
            TrainEvent::Halted => self.is_halted = true,
            TrainEvent::Nothing { finished: false } => self.others_train = true,
            _ => {}
        }
        (self.on_event)(worker, &event);
        Ok(())
    }

    fn say(&mut self, notices: &[String]) {
        for notice in notices.iter().filter(|notice| self.said.insert((*notice).clone())) {
            log::warn!("{notice}");
        }
    }

    fn remember(&mut self, line: &[u8]) {
        let line = String::from_utf8_lossy(line).trim_end_matches('\r').to_owned();
        match line.strip_prefix("warn: ") {
            Some(warning) => log::warn!("{warning}"),
            None => log::info!("worker: {line}"),
        }
        self.stderr.push(line);
        if self.stderr.len() > STDERR_LINES_KEPT {
            self.stderr.remove(0);
        }
    }
}

//! A trainer that is a program: ours or anybody's.

use std::env;
use std::ops::ControlFlow;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;
use signal_hook::consts::{SIGTERM, SIGUSR1};
use signal_hook::low_level::signal_name;

use super::command::TrainerCommand;
use super::dialogue::{Dialogue, Turn};
use super::epoch_report::EpochReport;
use super::error::TrainingError;
use super::interrupt::Interrupt;
use super::last_words::readable;
use super::patience::{Patience, Wait};
use super::process::{Heard, Process, TICK};
use super::protocol::{LONGEST_LINE, Request, Stop, TRY_AGAIN};
use super::trainer::{Ending, Trainer};

/// Speaks the trainer protocol with a program.
///
/// The program is started at the first request and lives on for the next ones. It is ended when
/// the trainer is dropped, and after every training that went wrong; then the next request starts it again.
/// One that has ended between two requests is started again for the second, even where that is
/// only seen when it does not answer.
#[derive(Debug)]
pub struct ProgramTrainer {
    command: TrainerCommand,
    interrupt: Interrupt,
    patience: Patience,
    /// The program while it waits for a request.
    idle: Option<Process>,
    rehearsal: Rehearsal,
}

/// What is asked of the program before anything is claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rehearsal {
    /// That it starts.
    Start,
    /// That it answers a request of 0 epochs: it loads its data and finds its device for it.
    Request,
}

impl ProgramTrainer {
    /// Makes a trainer of `command`. Signals that arrive at `interrupt` are passed on to the program.
    pub fn new(command: TrainerCommand, interrupt: Interrupt) -> Self {
        Self {
            command,
            interrupt,
            patience: Patience::default(),
            idle: None,
            rehearsal: Rehearsal::Start,
        }
    }

    /// Has the program answer a request of 0 epochs when it prepares. Only for `metaqnn-torch`: the
    /// protocol does not ask others to know such requests.
    #[must_use]
    pub fn that_rehearses(self) -> Self {
        Self { rehearsal: Rehearsal::Request, ..self }
    }

    /// Replaces how long the program may take over what it is asked to do.
    #[must_use]
    pub fn with_patience(self, patience: Patience) -> Self {
        Self { patience, ..self }
    }

    fn start(&self, threads: u32) -> Result<Process, TrainingError> {
        let mut command = Command::new(&self.command.program);
        command
            .args(&self.command.arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        if env::var_os("OMP_NUM_THREADS").is_none() {
            command.env("OMP_NUM_THREADS", threads.to_string());
        }
        let child = command.spawn().map_err(|source| TrainingError::Start {
            program: self.command.program.clone(),
            source,
        })?;
        Process::new(child, self.patience).map_err(TrainingError::Thread)
    }

    /// Returns the waiting program. One that has ended meanwhile, or spoke without being asked, is none.
    fn waiting(&mut self) -> Option<Process> {
        let mut process = self.idle.take()?;
        // It may have ended, and the thread that reads its stdout not have come to the end yet.
        let is_there = process.exit().is_none() && !process.is_deaf();
        if is_there && process.hear(Duration::ZERO) == Heard::Nothing {
            return Some(process);
        }
        log::warn!("trainer `{}` did not wait for a request", self.command.program.display());
        process.kill();
        None
    }

    /// Says the request and listens until the training has ended one way or another.
    fn converse(
        &self,
        process: &mut Process,
        dialogue: &mut Dialogue,
        request: &Request,
        on_epoch: &mut dyn FnMut(&EpochReport) -> ControlFlow<()>,
    ) -> Result<Ending, TrainingError> {
        let mut wait = Wait::begin(request.recipe.silence_limit, self.patience);
        process.say(&to_line(request));
        loop {
            // One that was told to stop and does not listen may train to the end.
            if process.is_deaf() && !dialogue.is_stopped() {
                wait.pipe_closed("stdin");
            }
            if let Some(signal) = self.interrupt.signal()
                && !wait.is_for_exit_after(signal)
            {
                process.signal(signal);
                wait.told(signal);
            }
            match process.hear(TICK) {
                Heard::Line(line) => {
                    match dialogue.hear(&line).map_err(|problem| broken(problem, &line))? {
                        Turn::Epoch(report) if on_epoch(&report).is_break() => {
                            dialogue.stop();
                            process.say(&to_line(&Stop { stop: true }));
                            wait.asked_to_stop();
                        }
                        Turn::Epoch(_) | Turn::Late => {}
                        Turn::Ended(ending) => return Ok(ending),
                        Turn::Diverged(reason) => {
                            process.kill();
                            return Ok(Ending::Failed { reason });
                        }
                        Turn::Refused(reason) => {
                            let program = self.command.program.clone();
                            return Err(TrainingError::Refused { program, reason });
                        }
                    }
                    wait.heard();
                }
                Heard::Overlong(line) => {
                    return Err(broken(format!("a line longer than {LONGEST_LINE} bytes"), &line));
                }
                Heard::Exited(status) => return self.exited(process, status, &wait),
                Heard::Closed => wait.pipe_closed("stdout"),
                Heard::Nothing => {}
            }
            if wait.is_over() {
                // Its exit is the reason, though a child of it keeps the pipes open.
                return match process.exit() {
                    Some(status) => self.exited(process, status, &wait),
                    None => wait.outcome(),
                };
            }
        }
    }

    /// Judges an end of the program in the middle of a training.
    fn exited(
        &self,
        process: &Process,
        status: ExitStatus,
        wait: &Wait,
    ) -> Result<Ending, TrainingError> {
        if wait.is_for_exit() || self.shares_signal(status) {
            return Ok(Ending::Interrupted);
        }
        Err(TrainingError::Crashed { how: describe(status), last_words: process.last_line() })
    }

    /// Returns whether the program ended by a signal that this process gets too: the scheduler may
    /// send it to both, and the program may be the first to know.
    fn shares_signal(&self, status: ExitStatus) -> bool {
        let is_of_signal = matches!(status.signal(), Some(SIGTERM | SIGUSR1));
        if !is_of_signal && status.code() != Some(TRY_AGAIN) {
            return false;
        }
        let end = Instant::now() + self.patience.same_signal;
        while self.interrupt.signal().is_none() && Instant::now() < end {
            thread::sleep(TICK);
        }
        self.interrupt.signal().is_some()
    }
}

impl Trainer for ProgramTrainer {
    fn prepare(&mut self, request: &Request) -> Result<(), TrainingError> {
        let mut process = self.start(request.threads)?;
        if self.rehearsal == Rehearsal::Request {
            let mut dialogue = Dialogue::new(request);
            let ended = self
                .converse(&mut process, &mut dialogue, request, &mut |_| ControlFlow::Continue(()));
            if let Err(error) = ended {
                process.kill();
                return Err(error);
            }
        }
        self.idle = Some(process);
        Ok(())
    }

    fn train(
        &mut self,
        request: &Request,
        log: &Path,
        on_epoch: &mut dyn FnMut(&EpochReport) -> ControlFlow<()>,
    ) -> Result<Ending, TrainingError> {
        if self.interrupt.signal().is_some() {
            return Ok(Ending::Interrupted);
        }
        let waiting = self.waiting();
        let was_waiting = waiting.is_some();
        let mut process = waiting.map_or_else(|| self.start(request.threads), Ok)?;
        process.log_to(log);
        let mut dialogue = Dialogue::new(request);
        let mut ending = self.converse(&mut process, &mut dialogue, request, on_epoch);
        if was_waiting && is_end(&ending) && dialogue.has_just_begun() {
            // It was about to end when it was asked: that is not this network's doing.
            process.kill();
            process = self.start(request.threads)?;
            process.log_to(log);
            ending = self.converse(&mut process, &mut dialogue, request, on_epoch);
        }
        match ending {
            Ok(Ending::Interrupted) | Err(_) => process.kill(),
            Ok(_) if process.exit().is_some() => {}
            Ok(_) => self.idle = Some(process),
        }
        match ending {
            Ok(_) if dialogue.is_stopped() => Ok(Ending::Stopped),
            Err(error) if dialogue.is_stopped() => {
                log::warn!("the training was stopped, and its trainer is ended: {error}");
                Ok(Ending::Stopped)
            }
            ending => ending,
        }
    }
}

/// Whether the program ended, or was about to, without a reason given.
const fn is_end(ending: &Result<Ending, TrainingError>) -> bool {
    matches!(ending, Err(TrainingError::Crashed { .. } | TrainingError::ClosedPipe { .. }))
}

fn broken(problem: String, line: &[u8]) -> TrainingError {
    TrainingError::Protocol { problem, line: readable(line) }
}

fn to_line(message: &impl Serialize) -> String {
    serde_json::to_string(message).expect("what a trainer is told has only plain fields")
}

/// Says how a program ended: `exit status 3`, `signal 9 (KILL)`.
fn describe(status: ExitStatus) -> String {
    let Some(signal) = status.signal() else {
        return format!("exit status {}", status.code().unwrap_or_default());
    };
    let name = signal_name(signal).map_or("?", |name| name.trim_start_matches("SIG"));
    format!("signal {signal} ({name})")
}

#[cfg(test)]
mod tests;

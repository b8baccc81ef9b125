//! The trainer that a recipe asks for; one that is a program: `metaqnn-torch`, or the user's.

use std::env;
use std::ffi::OsStr;
use std::ops::ControlFlow;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::ExitStatus;
use std::thread;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGTERM, SIGUSR1};

use super::child::{ChildCommand, ChildProcess, Output, TICK};
use super::dialogue::Dialogue;
use super::protocol::{EpochReport, LONGEST_LINE, Message, Request, Stop, TRY_AGAIN};
use super::recipe::{Recipe, TrainerKind};
use super::stderr_tail::readable;
use super::synthetic::SyntheticTrainer;
use super::timeouts::{Awaited, Deadline, Timeouts};
use super::trainer::{Interrupt, Trainer, TrainingEnd, TrainingError};

/// Returns the trainer that a checked `recipe` asks for; nothing is started before its first
/// request. The signals of `interrupt` end a training.
pub(crate) fn trainer(
    recipe: &Recipe,
    interrupt: Interrupt,
) -> Result<Box<dyn Trainer>, TrainingError> {
    Ok(match recipe.trainer {
        TrainerKind::Synthetic => Box::new(SyntheticTrainer::new(interrupt)),
        TrainerKind::Torch => {
            // Where the running program cannot be found, PATH is left.
            let executable = env::current_exe().unwrap_or_default();
            let search_path = env::var_os("PATH");
            Box::new(ProgramTrainer::torch(&executable, search_path.as_deref(), interrupt)?)
        }
        TrainerKind::Command => Box::new(ProgramTrainer::given(&recipe.command, interrupt)),
    })
}

const TORCH: &str = "metaqnn-torch";

/// The program is started at the first request and lives on for the next ones. It is ended when the
/// trainer is dropped, and after every training that went wrong. One that has ended between two
/// requests is started again, even where that is only seen when it does not answer.
pub(super) struct ProgramTrainer {
    command: ChildCommand,
    interrupt: Interrupt,
    timeouts: Timeouts,
    idle: Option<ChildProcess>,
    /// Whether it answers a request of 0 epochs when it prepares: `metaqnn-torch` does.
    rehearses: bool,
}

impl ProgramTrainer {
    /// Finds `metaqnn-torch` beside `executable`, the running `metaqnn`, else in `search_path`.
    pub(super) fn torch(
        executable: &Path,
        search_path: Option<&OsStr>,
        interrupt: Interrupt,
    ) -> Result<Self, TrainingError> {
        let beside = executable.parent().unwrap_or(Path::new("")).to_path_buf();
        let program = std::iter::once(beside.clone())
            .chain(search_path.into_iter().flat_map(env::split_paths))
            .map(|folder| folder.join(TORCH))
            .find(|program| program.is_file())
            .ok_or(TrainingError::NoTorch { beside })?;
        let command = ChildCommand { program, arguments: Vec::new() };
        Ok(Self { rehearses: true, ..Self::new(command, interrupt) })
    }

    /// As in a shell, a program without `/` is looked up in `PATH` when it is started.
    pub(super) fn given(command: &[String], interrupt: Interrupt) -> Self {
        let (program, arguments) = command.split_first().expect("a checked command has a program");
        let arguments = arguments.iter().map(Into::into).collect();
        Self::new(ChildCommand { program: program.into(), arguments }, interrupt)
    }

    const fn new(command: ChildCommand, interrupt: Interrupt) -> Self {
        Self { command, interrupt, timeouts: Timeouts::DEFAULT, idle: None, rehearses: false }
    }

    fn start(&self, threads: u32) -> Result<ChildProcess, TrainingError> {
        ChildProcess::trainer(&self.command, threads, self.timeouts)
    }

    /// Returns the waiting program, unless it has ended meanwhile, or spoke without being asked.
    fn waiting(&mut self) -> Option<ChildProcess> {
        let mut process = self.idle.take()?;
        // It may have ended, and the thread that reads its stdout not have come to the end yet.
        let is_there = process.exit().is_none() && !process.is_stdin_closed();
        if is_there && process.read(Duration::ZERO) == Output::Nothing {
            return Some(process);
        }
        log::warn!("trainer `{}` did not wait for a request", self.command.program.display());
        process.kill();
        None
    }

    fn converse(
        &self,
        process: &mut ChildProcess,
        dialogue: &mut Dialogue,
        request: &Request,
        on_epoch: &mut dyn FnMut(&EpochReport) -> ControlFlow<()>,
    ) -> Result<TrainingEnd, TrainingError> {
        let mut deadline = Deadline::new(request.recipe.silence_limit, self.timeouts);
        process.write_line(request);
        loop {
            // One that was asked to stop and does not read may train to the end.
            if process.is_stdin_closed() && !dialogue.is_stopped() {
                deadline.wait_for(Awaited::ExitAfterClosing("stdin"));
            }
            if let Some(signal) = self.interrupt.signal()
                && deadline.wait_for(Awaited::ExitAfter(signal))
            {
                process.signal(signal);
            }
            match process.read(TICK) {
                Output::Line(line) => {
                    match dialogue.take(&line).map_err(|problem| broken(problem, &line))? {
                        Some(Message::Epoch(report)) if on_epoch(&report).is_break() => {
                            dialogue.stop();
                            process.write_line(&Stop { stop: true });
                            deadline.wait_for(Awaited::EndOfTraining);
                        }
                        Some(Message::Epoch(_)) | None => {}
                        Some(Message::Done { .. }) => return Ok(TrainingEnd::Done),
                        Some(Message::Failed(reason)) => {
                            return Ok(TrainingEnd::Failed { reason });
                        }
                        Some(Message::OutOfMemory { peak_bytes }) => {
                            return Ok(TrainingEnd::OutOfMemory { peak_bytes });
                        }
                        Some(Message::Diverged { epoch }) => {
                            process.kill();
                            let reason = format!(
                                "the loss or the accuracy of epoch {epoch} is not a finite number"
                            );
                            return Ok(TrainingEnd::Failed { reason });
                        }
                        Some(Message::Refused(reason)) => {
                            let program = self.command.program.clone();
                            return Err(TrainingError::Refused { program, reason });
                        }
                    }
                    deadline.line_came();
                }
                Output::Overlong(line) => {
                    return Err(broken(format!("a line longer than {LONGEST_LINE} bytes"), &line));
                }
                Output::Exited(status) => return self.exited(process, status, &deadline),
                Output::Closed => {
                    deadline.wait_for(Awaited::ExitAfterClosing("stdout"));
                }
                Output::Nothing | Output::Stderr(_) => {}
            }
            if deadline.has_passed() {
                // Its exit is the reason, though a child of it keeps the pipes open.
                return match process.exit() {
                    Some(status) => self.exited(process, status, &deadline),
                    None => deadline.outcome(),
                };
            }
        }
    }

    fn exited(
        &self,
        process: &ChildProcess,
        status: ExitStatus,
        deadline: &Deadline,
    ) -> Result<TrainingEnd, TrainingError> {
        if deadline.awaits_exit_after_signal() || self.shares_signal(status) {
            return Ok(TrainingEnd::Interrupted);
        }
        Err(TrainingError::Crashed { status, stderr: process.last_stderr_line() })
    }

    /// Whether the program ended by a signal that this process gets too, maybe a little later.
    fn shares_signal(&self, status: ExitStatus) -> bool {
        let is_of_signal = matches!(status.signal(), Some(SIGTERM | SIGUSR1));
        if !is_of_signal && status.code() != Some(TRY_AGAIN) {
            return false;
        }
        let end = Instant::now() + self.timeouts.same_signal;
        while self.interrupt.signal().is_none() && Instant::now() < end {
            thread::sleep(TICK);
        }
        self.interrupt.signal().is_some()
    }
}

impl Trainer for ProgramTrainer {
    fn prepare(&mut self, request: &Request) -> Result<Option<String>, TrainingError> {
        let mut process = self.start(request.threads)?;
        let mut dialogue = Dialogue::new(request);
        if self.rehearses {
            let ended = self
                .converse(&mut process, &mut dialogue, request, &mut |_| ControlFlow::Continue(()));
            if let Err(error) = ended {
                process.kill();
                return Err(error);
            }
        }
        self.idle = Some(process);
        Ok(dialogue.device)
    }

    fn train(
        &mut self,
        request: &Request,
        log: &Path,
        on_epoch: &mut dyn FnMut(&EpochReport) -> ControlFlow<()>,
    ) -> Result<TrainingEnd, TrainingError> {
        if self.interrupt.signal().is_some() {
            return Ok(TrainingEnd::Interrupted);
        }
        let waiting = self.waiting();
        let was_waiting = waiting.is_some();
        let mut process = waiting.map_or_else(|| self.start(request.threads), Ok)?;
        process.log_to(log);
        let mut dialogue = Dialogue::new(request);
        let mut ending = self.converse(&mut process, &mut dialogue, request, on_epoch);
        if was_waiting && is_end(&ending) && dialogue.has_no_epoch() {
            // It was about to end when it was asked: that is not this network's doing.
            process.kill();
            process = self.start(request.threads)?;
            process.log_to(log);
            ending = self.converse(&mut process, &mut dialogue, request, on_epoch);
        }
        match ending {
            Ok(TrainingEnd::Interrupted) | Err(_) => process.kill(),
            Ok(_) if process.exit().is_some() => {}
            Ok(_) => self.idle = Some(process),
        }
        match ending {
            Ok(_) if dialogue.is_stopped() => Ok(TrainingEnd::Stopped),
            Err(error) if dialogue.is_stopped() => {
                log::warn!("the training was stopped, and its trainer is ended: {error}");
                Ok(TrainingEnd::Stopped)
            }
            ending => ending,
        }
    }
}

/// Whether the program ended, or was about to, without a reason given.
const fn is_end(ending: &Result<TrainingEnd, TrainingError>) -> bool {
    matches!(ending, Err(TrainingError::Crashed { .. } | TrainingError::ClosedPipe { .. }))
}

fn broken(problem: String, line: &[u8]) -> TrainingError {
    TrainingError::Protocol { problem, line: readable(line) }
}

#[cfg(test)]
mod tests;

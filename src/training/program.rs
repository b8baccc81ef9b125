//! The trainer that a recipe asks for; one that is a program: `metaqnn-torch`, or the user's.

use std::env;
use std::ffi::OsStr;
use std::iter;
use std::ops::ControlFlow;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use signal_hook::consts::{SIGTERM, SIGUSR1};

use super::child::{ChildCommand, ChildProcess, Output};
use super::protocol::{LONGEST_LINE, Message, Request, Stop, TRY_AGAIN};
use super::recipe::{Recipe, TrainerKind};
use super::recorded::{RecordedTrainer, RecordedTrainings};
use super::stderr_tail::readable;
use super::synthetic::SyntheticTrainer;
use super::timeouts::{Awaited, Deadline, Timeouts};
use super::trainer::{Interrupt, Report, TICK, Trainer, TrainingEnd, TrainingError};

/// Returns the trainer that the recipe of `rehearsal` (a request of 0 epochs) asks for, ready to
/// train here, and where it trains, if it says so. The signals of `interrupt` end a training.
/// `recording`: what the trainer `recorded` answers from.
/// What a trainer says of itself before its first request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Introduction {
    /// Where it trains.
    pub device: Option<String>,
    pub libtorch: Option<String>,
}

pub(crate) fn start_trainer(
    rehearsal: &Request,
    recording: Option<&Arc<RecordedTrainings>>,
    interrupt: Interrupt,
) -> Result<(Box<dyn Trainer>, Introduction), TrainingError> {
    let recipe = &rehearsal.recipe;
    if recipe.trainer == TrainerKind::Recorded {
        let recording = recording.expect("read when the experiment was opened");
        return Ok((Box::new(RecordedTrainer(recording.clone())), Introduction::default()));
    }
    let Some(mut trainer) = ProgramTrainer::of(recipe, interrupt.clone())? else {
        return Ok((Box::new(SyntheticTrainer::new(interrupt)), Introduction::default()));
    };
    let mut introduction = Introduction::default();
    if recipe.trainer == TrainerKind::Torch {
        introduction = trainer.rehearse(rehearsal)?;
    } else {
        trainer.idle = Some(trainer.start(rehearsal.threads)?);
    }
    Ok((Box::new(trainer), introduction))
}

const TORCH: &str = "metaqnn-torch";

type Ending = Result<TrainingEnd, TrainingError>;

/// The program is started at the first request and lives on for the next ones. It is ended when the
/// trainer is dropped, and after every training that went wrong. One that has ended between two
/// requests is started again, even where that is only seen when it does not answer.
pub(crate) struct ProgramTrainer {
    command: ChildCommand,
    interrupt: Interrupt,
    timeouts: Timeouts,
    idle: Option<ChildProcess>,
}

impl ProgramTrainer {
    /// That of a recipe; none where its trainer is no program.
    pub fn of(recipe: &Recipe, interrupt: Interrupt) -> Result<Option<Self>, TrainingError> {
        Ok(Some(match recipe.trainer {
            TrainerKind::Synthetic | TrainerKind::Recorded => return Ok(None),
            TrainerKind::Torch => {
                // Where the running program cannot be found, PATH is left.
                let executable = env::current_exe().unwrap_or_default();
                let search_path = env::var_os("PATH");
                Self::torch(&executable, search_path.as_deref(), interrupt)?
            }
            TrainerKind::Command => Self::given(&recipe.command, interrupt),
        }))
    }

    /// Finds `metaqnn-torch` beside `executable`, the running `metaqnn`, else in `search_path`.
    fn torch(
        executable: &Path,
        search_path: Option<&OsStr>,
        interrupt: Interrupt,
    ) -> Result<Self, TrainingError> {
        let beside = executable.parent().unwrap_or(Path::new("")).to_path_buf();
        let program = iter::once(beside.clone())
            .chain(search_path.into_iter().flat_map(env::split_paths))
            .map(|folder| folder.join(TORCH))
            .find(|program| program.is_file())
            .ok_or(TrainingError::NoTorch { beside })?;
        Ok(Self::new(ChildCommand { program, arguments: Vec::new() }, interrupt))
    }

    /// As in a shell, a program without `/` is looked up in `PATH` when it is started.
    pub fn given(command: &[String], interrupt: Interrupt) -> Self {
        let (program, arguments) = command.split_first().expect("a checked command has a program");
        let arguments = arguments.iter().map(Into::into).collect();
        Self::new(ChildCommand { program: program.into(), arguments }, interrupt)
    }

    fn new(command: ChildCommand, interrupt: Interrupt) -> Self {
        Self { command, interrupt, timeouts: Timeouts::default(), idle: None }
    }

    pub fn start(&self, threads: u32) -> Result<ChildProcess, TrainingError> {
        ChildProcess::trainer(&self.command, threads, self.timeouts)
    }

    /// Waits no longer than that for anything but the next line.
    pub fn within(mut self, most: Duration) -> Self {
        let Timeouts { terminate, time_nearly_up, closed, .. } = &mut self.timeouts;
        [terminate, time_nearly_up, closed].into_iter().for_each(|it| *it = most.min(*it));
        self
    }

    fn rehearse(&mut self, request: &Request) -> Result<Introduction, TrainingError> {
        let mut process = self.start(request.threads)?;
        process.write_line(request);
        let mut dialogue = Dialogue::new(request);
        let ended = self.converse(&mut process, &mut dialogue, &mut |_| ControlFlow::Continue(()));
        ended.inspect_err(|_| process.kill())?;
        self.idle = Some(process);
        Ok(dialogue.introduction)
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

    /// Reads the answer to a request.
    pub fn converse(
        &self,
        process: &mut ChildProcess,
        dialogue: &mut Dialogue,
        on_report: &mut dyn FnMut(Report) -> ControlFlow<()>,
    ) -> Ending {
        let mut deadline = Deadline::new(dialogue.request.recipe.silence_limit, self.timeouts);
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
                        Some(Message::Epoch(report)) => {
                            let is_stop = on_report(Report::Epoch(&report)).is_break();
                            if is_stop {
                                dialogue.lines_after_stop = Some(0);
                                process.write_line(&Stop { stop: true });
                                deadline.wait_for(Awaited::EndOfTraining);
                            }
                        }
                        Some(Message::Batch { batch, of }) => {
                            let _ = on_report(Report::Batch { batch, of });
                        }
                        None => {}
                        Some(Message::Done { .. }) => return Ok(TrainingEnd::Done),
                        Some(Message::EndedItself) => return Ok(TrainingEnd::EndedItself),
                        Some(Message::Failed(reason)) => {
                            return Ok(TrainingEnd::Failed { reason });
                        }
                        Some(Message::OutOfMemory { peak_bytes }) => {
                            return Ok(TrainingEnd::OutOfMemory { peak_bytes });
                        }
                        Some(Message::Diverged { epoch }) => {
                            process.kill();
                            let what = format!("the loss or the accuracy of epoch {epoch}");
                            let reason = format!("{what} is not a finite number");
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
                Output::Exited(status) => return self.exited(process, status, &deadline, dialogue),
                Output::Closed => {
                    deadline.wait_for(Awaited::ExitAfterClosing("stdout"));
                }
                Output::Nothing | Output::Stderr(_) => {}
            }
            if deadline.has_passed() {
                // Its exit is the reason, though a child of it keeps the pipes open.
                return match process.exit() {
                    Some(status) => self.exited(process, status, &deadline, dialogue),
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
        dialogue: &Dialogue,
    ) -> Ending {
        let is_asked = matches!(deadline.awaited, Awaited::ExitAfter(_));
        if is_asked || self.shares_signal(status) {
            return Ok(TrainingEnd::Interrupted);
        }
        let of = dialogue.request.epochs;
        let place = match dialogue.last {
            Some((_, epoch)) => format!(" after epoch {epoch} of {of}"),
            None if of == 0 => String::new(),
            None => " before the first epoch".to_owned(),
        };
        Err(TrainingError::Crashed { status, place, stderr: process.last_stderr_line() })
    }

    /// Whether the program ended by a signal that this process gets too, maybe a little later.
    fn shares_signal(&self, status: ExitStatus) -> bool {
        let is_of_signal = matches!(status.signal(), Some(SIGTERM | SIGUSR1));
        if !is_of_signal && status.code() != Some(TRY_AGAIN) {
            return false;
        }
        self.interrupt.arrives_within(self.timeouts.same_signal)
    }
}

impl Trainer for ProgramTrainer {
    fn train(
        &mut self,
        request: &Request,
        log: &Path,
        on_report: &mut dyn FnMut(Report) -> ControlFlow<()>,
    ) -> Ending {
        if self.interrupt.signal().is_some() {
            return Ok(TrainingEnd::Interrupted);
        }
        let waiting = self.waiting();
        let was_waiting = waiting.is_some();
        let mut process = waiting.map_or_else(|| self.start(request.threads), Ok)?;
        process.log_to(log);
        process.write_line(request);
        let mut dialogue = Dialogue::new(request);
        let mut ending = self.converse(&mut process, &mut dialogue, on_report);
        let has_ended =
            matches!(ending, Err(TrainingError::Crashed { .. } | TrainingError::ClosedPipe { .. }));
        if was_waiting && has_ended && dialogue.last.is_none() {
            // It was about to end when it was asked: that is not this network's doing.
            process.kill();
            process = self.start(request.threads)?;
            process.log_to(log);
            process.write_line(request);
            ending = self.converse(&mut process, &mut dialogue, on_report);
        }
        match ending {
            Ok(TrainingEnd::Interrupted) | Err(_) => process.kill(),
            Ok(_) if process.exit().is_some() => {}
            Ok(_) => self.idle = Some(process),
        }
        if !dialogue.is_stopped() {
            return ending;
        }
        if let Err(error) = ending {
            log::warn!("the training was stopped, and its trainer is ended: {error}");
        }
        Ok(TrainingEnd::Stopped)
    }
}

fn broken(problem: String, line: &[u8]) -> TrainingError {
    TrainingError::Protocol { problem, line: readable(line) }
}

/// Which line may come next, by the request and the lines before.
pub(crate) struct Dialogue<'a> {
    request: &'a Request,
    /// Start and epoch of the last report.
    pub last: Option<(u32, u32)>,
    /// The last sign of life since then.
    batch: Option<u64>,
    /// Lines since the trainer was asked to stop; none before. From then on, whatever ends the
    /// training, it is stopped.
    lines_after_stop: Option<u32>,
    /// From its answer to a request of 0 epochs.
    introduction: Introduction,
}

impl<'a> Dialogue<'a> {
    pub const fn new(request: &'a Request) -> Self {
        let introduction = Introduction { device: None, libtorch: None };
        Self { request, last: None, batch: None, lines_after_stop: None, introduction }
    }

    const fn is_stopped(&self) -> bool {
        self.lines_after_stop.is_some()
    }

    /// Returns no message for an epoch that was on its way when the trainer was asked to stop.
    fn take(&mut self, line: &[u8]) -> Result<Option<Message>, String> {
        // What is wrong may quote the whole line.
        let read = Message::parse(line).map_err(|problem| readable(problem.as_bytes()));
        // A trainer that does not read the stop may train to the end, and writes no more than that.
        // Signs of life in between are bounded by the time that it has.
        let most = self.request.epochs;
        let counts = !matches!(read, Ok(Message::Batch { .. }));
        self.lines_after_stop = self.lines_after_stop.map(|lines| lines + u32::from(counts));
        if self.lines_after_stop > Some(most) {
            return Err(format!("more than {most} lines after it was asked to stop"));
        }
        let mut message = read?;
        match &mut message {
            Message::Batch { batch, of } => {
                if batch > of {
                    return Err(format!("batch {batch} of {of}"));
                }
                if let Some(last) = self.batch.replace(*batch).filter(|last| last >= batch) {
                    return Err(format!("batch {batch} after batch {last}, in one epoch"));
                }
            }
            Message::Epoch(report) => {
                self.check_order(report.start, report.epoch)?;
                if !self.request.has_validation() {
                    report.validation_accuracy = None;
                } else if report.validation_accuracy.is_none() {
                    return Err("an epoch without `validation_accuracy`".into());
                }
            }
            Message::Refused(_) if self.last.is_some() => {
                return Err("refused after an epoch".into());
            }
            Message::Done { device, libtorch } => {
                self.check_done()?;
                let text = |said: &mut Option<String>| Some(readable(said.take()?.as_bytes()));
                self.introduction = Introduction { device: text(device), libtorch: text(libtorch) };
            }
            Message::Refused(reason) | Message::Failed(reason) => {
                *reason = readable(reason.as_bytes());
            }
            Message::EndedItself if self.last.is_none() && !self.request.resume => {
                return Err("stopped before the first epoch".into());
            }
            Message::EndedItself | Message::Diverged { .. } | Message::OutOfMemory { .. } => {}
        }
        let is_epoch =
            matches!(message, Message::Epoch(_) | Message::Diverged { .. } | Message::Batch { .. });
        Ok(Some(message).filter(|_| !(is_epoch && self.is_stopped())))
    }

    fn check_order(&mut self, start: u32, epoch: u32) -> Result<(), String> {
        let (epochs, starts) = (self.request.epochs, self.request.recipe.learning_rate_tries);
        if epoch > epochs {
            return Err(format!("epoch {epoch} of {epochs}"));
        }
        if start > starts {
            return Err(format!("start {start} of {starts} (`training.learning_rate_tries`)"));
        }
        let follows = match self.last {
            None => self.request.resume || epoch == 1,
            Some((last_start, last)) if start == last_start => epoch == last + 1,
            Some((last_start, _)) => start > last_start && epoch == 1,
        };
        if !follows {
            let after = |(start, epoch)| format!("after epoch {epoch} of start {start}");
            let before = self.last.map_or_else(|| "at the beginning".to_owned(), after);
            return Err(format!("epoch {epoch} of start {start} {before}"));
        }
        (self.last, self.batch) = (Some((start, epoch)), None);
        Ok(())
    }

    /// A training that was resumed after its last epoch reports none; a stopped one may be short.
    fn check_done(&self) -> Result<(), String> {
        let (done, epochs) = (self.last.map_or(0, |(_, epoch)| epoch), self.request.epochs);
        let is_resumed = self.request.resume && self.last.is_none();
        if done == epochs || is_resumed || self.is_stopped() {
            return Ok(());
        }
        Err(format!(
            "done after epoch {done} of {epochs} (a trainer that ends a training by a rule of its \
             own says `{{\"done\": true, \"stopped\": true}}`)"
        ))
    }
}

#[cfg(test)]
mod tests;

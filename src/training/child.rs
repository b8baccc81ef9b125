//! A child process: started as the leader of a process group of its own, listened to, signalled,
//! killed with all that it has started, and reaped. TERM and USR1 go to the child alone (the
//! workers of a data loader would die of them); KILL goes to its whole group.

use std::env;
use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, SyncSender};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{self, Pid, WaitId, WaitIdOptions};
use serde::Serialize;

use super::protocol::{LONGEST_LINE, WAITING_LINES};
use super::stderr_tail::StderrTail;
use super::timeouts::Timeouts;
use super::trainer::{Signal, TICK, TrainingError};

/// How long a killed process may take to die; one that waits for a broken device may never.
const DEATH: Duration = Duration::from_secs(5);

/// Lines of a worker that may wait to be read, while tables are written.
const WAITING_LINES_OF_A_WORKER: usize = 1024;

#[derive(Debug)]
pub(crate) struct ChildCommand {
    pub program: PathBuf,
    pub arguments: Vec<OsString>,
}

/// A running child. Dropped, it ends: its stdin is closed, then it gets TERM, then KILL.
#[derive(Debug)]
pub(crate) struct ChildProcess {
    child: Child,
    /// Lines for the thread that writes them, so that a child that does not read blocks no one.
    stdin: Option<Sender<String>>,
    stdin_closed: Arc<AtomicBool>,
    output: Receiver<Output>,
    stderr: StderrTail,
    stderr_end: Receiver<()>,
    exit: Option<(ExitStatus, Instant)>,
    timeouts: Timeouts,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Output {
    /// Of stdout, without its line feed.
    Line(Vec<u8>),
    /// Of a worker.
    Stderr(Vec<u8>),
    /// The beginning of a line longer than [`LONGEST_LINE`]; the stream is read no further.
    Overlong(Vec<u8>),
    Nothing,
    /// Its streams are closed, and it lives.
    Closed,
    /// It has ended, and all that it wrote was read.
    Exited(ExitStatus),
}

impl ChildProcess {
    pub(super) fn trainer(
        command: &ChildCommand,
        threads: u32,
        timeouts: Timeouts,
    ) -> Result<Self, TrainingError> {
        let mut started = Command::new(&command.program);
        started.args(&command.arguments).stdin(Stdio::piped());
        // So that it prints 0.5, not 0,5. `LC_ALL` is stronger; of it the encoding counts.
        started.env("LC_NUMERIC", "C");
        if let Some(all) = env::var_os("LC_ALL") {
            started.env_remove("LC_ALL").env("LC_CTYPE", all);
        }
        if env::var_os("OMP_NUM_THREADS").is_none() {
            started.env("OMP_NUM_THREADS", threads.to_string());
        }
        let (mut process, mut stderr, _) =
            Self::start("the trainer", started, WAITING_LINES, timeouts)?;
        let mut stdin = process.child.stdin.take().expect("stdin is a pipe");
        let (to_stdin, lines) = mpsc::channel::<String>();
        process.stdin = Some(to_stdin);
        let closed = Arc::clone(&process.stdin_closed);
        spawn(move || {
            let written = lines.iter().try_for_each(|line| stdin.write_all(line.as_bytes()));
            closed.store(written.is_err(), Ordering::SeqCst);
        })?;
        let mut tail = process.stderr.clone();
        let (at_end, stderr_end) = mpsc::channel();
        process.stderr_end = stderr_end;
        spawn(move || {
            // Ends with the stream, or with an error of it.
            let _ = io::copy(&mut stderr, &mut tail);
            drop(at_end);
        })?;
        Ok(process)
    }

    /// Starts another process of this program, without stdin; both its streams are read line by
    /// line. It is no task of Slurm: several workers within one job would each take the others for
    /// copies.
    pub(crate) fn worker(command: &ChildCommand) -> Result<Self, TrainingError> {
        let mut started = Command::new(&command.program);
        started.args(&command.arguments).stdin(Stdio::null()).env_remove("SLURM_JOB_ID");
        let timeouts = Timeouts { farewell: Duration::ZERO, ..Timeouts::default() };
        let (process, stderr, to_output) =
            Self::start("the worker", started, WAITING_LINES_OF_A_WORKER, timeouts)?;
        spawn(move || read_lines(stderr, Output::Stderr, &to_output))?;
        Ok(process)
    }

    fn start(
        name: &'static str,
        mut command: Command,
        waiting_lines: usize,
        timeouts: Timeouts,
    ) -> Result<(Self, ChildStderr, SyncSender<Output>), TrainingError> {
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let mut child = command.spawn().map_err(|source| TrainingError::Start {
            child: name,
            program: command.get_program().into(),
            source,
        })?;
        let stdout = child.stdout.take().expect("stdout is a pipe");
        let stderr = child.stderr.take().expect("stderr is a pipe");
        let (to_output, output) = mpsc::sync_channel(waiting_lines);
        let process = Self {
            child,
            stdin: None,
            stdin_closed: Arc::default(),
            output,
            stderr: StderrTail::default(),
            stderr_end: mpsc::channel().1,
            exit: None,
            timeouts,
        };
        let to_same = to_output.clone();
        spawn(move || read_lines(stdout, Output::Line, &to_same))?;
        Ok((process, stderr, to_output))
    }

    pub(super) fn log_to(&self, path: &Path) {
        self.stderr.begin(path);
    }

    /// Does not wait until the child reads it.
    pub(crate) fn write_line(&self, message: &impl Serialize) {
        let line = serde_json::to_string(message).expect("a message has only plain fields");
        let stdin = self.stdin.as_ref().expect("stdin is open until the child is dropped");
        // A thread that has ended has set `stdin_closed`.
        let _ = stdin.send(format!("{line}\n"));
    }

    /// Whether a line could not be written; true at the latest when it ends.
    pub(super) fn is_stdin_closed(&self) -> bool {
        self.stdin_closed.load(Ordering::SeqCst)
    }

    pub(crate) fn read(&mut self, timeout: Duration) -> Output {
        let is_at_end = match self.output.recv_timeout(timeout) {
            Ok(output) => return output,
            Err(error) => error == RecvTimeoutError::Disconnected,
        };
        let status = self.exit();
        // It may have ended so long ago that no more lines are waited for.
        let rest_is_over = self.exit.is_some_and(|(_, at)| at.elapsed() >= self.timeouts.rest);
        match status {
            Some(status) if is_at_end || rest_is_over => Output::Exited(status),
            None if is_at_end => {
                thread::sleep(timeout);
                Output::Closed
            }
            _ => Output::Nothing,
        }
    }

    pub(crate) fn signal(&mut self, signal: Signal) {
        if self.exit().is_none() {
            let signal = match signal {
                Signal::TimeNearlyUp => process::Signal::USR1,
                Signal::Terminate => process::Signal::TERM,
            };
            let _ = process::kill_process(self.pid(), signal);
        }
    }

    pub(crate) fn kill(&mut self) {
        if self.exit().is_some() {
            return;
        }
        let _ = process::kill_process(self.pid(), process::Signal::KILL);
        let _ = process::kill_process_group(self.pid(), process::Signal::KILL);
        if !self.exits_within(DEATH) {
            log::warn!("process {} outlives KILL (it waits for a device?)", self.child.id());
        }
    }

    /// Returns how it ended, if it has. What it left running in its group is killed.
    pub(crate) fn exit(&mut self) -> Option<ExitStatus> {
        // Not reaped yet, as [`Child::try_wait`] does: its number belongs to its group until it is
        // waited for, so no other process is hit.
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        if self.exit.is_none()
            && !matches!(process::waitid(WaitId::Pid(self.pid()), look), Ok(None))
        {
            let _ = process::kill_process_group(self.pid(), process::Signal::KILL);
            let status = self.child.wait().unwrap_or_else(|error| {
                log::warn!(
                    "cannot wait for process {} (is SIGCHLD ignored here? start the search from an \
                     ordinary shell): {error}",
                    self.child.id()
                );
                ExitStatus::from_raw(0xff00)
            });
            self.exit = Some((status, Instant::now()));
        }
        self.exit.map(|(status, _)| status)
    }

    /// Once it has ended.
    pub(super) fn last_stderr_line(&self) -> String {
        // Ends at once when the thread that reads stderr does.
        let _ = self.stderr_end.recv_timeout(self.timeouts.rest);
        self.stderr.last_line()
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Closes its stdin; returns whether it ends within so long.
    pub(crate) fn ends_with_stdin(&mut self, timeout: Duration) -> bool {
        self.stdin = None;
        self.exits_within(timeout)
    }

    /// Discards its output.
    fn exits_within(&mut self, timeout: Duration) -> bool {
        let end = Instant::now() + timeout;
        while self.exit().is_none() {
            if Instant::now() >= end {
                return false;
            }
            self.read(TICK.min(timeout));
        }
        true
    }
}

impl Drop for ChildProcess {
    fn drop(&mut self) {
        if self.ends_with_stdin(self.timeouts.farewell) {
            return;
        }
        self.signal(Signal::Terminate);
        if !self.exits_within(self.timeouts.farewell) {
            self.kill();
        }
    }
}

fn spawn(work: impl FnOnce() + Send + 'static) -> Result<(), TrainingError> {
    thread::Builder::new().spawn(work).map(drop).map_err(TrainingError::Thread)
}

/// Passes on whole lines: the beginning of one that a child died over is discarded.
fn read_lines(stream: impl Read, output: fn(Vec<u8>) -> Output, to: &SyncSender<Output>) {
    let mut stream = BufReader::new(stream);
    loop {
        let mut line = Vec::new();
        let Ok(_) = stream.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line) else { return };
        if line.last() == Some(&b'\n') {
            line.pop();
            if to.send(output(line)).is_err() {
                return;
            }
        } else {
            if line.len() as u64 == LONGEST_LINE {
                let _ = to.send(Output::Overlong(line));
            }
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    /// Long enough for the slowest machine; nothing waits for it to pass.
    const LONG: Duration = Duration::from_secs(60);

    fn lines(stdout: &[u8]) -> Vec<Output> {
        let (to, lines) = mpsc::sync_channel(WAITING_LINES);
        read_lines(stdout, Output::Line, &to);
        drop(to);
        lines.iter().collect()
    }

    #[test]
    fn only_whole_lines_are_read() {
        assert_eq!(lines(b""), []);
        assert_eq!(lines(b"a\n\nb"), [Output::Line(b"a".into()), Output::Line(b"".into())]);
    }

    #[test]
    fn a_line_has_an_end() {
        let longest = LONGEST_LINE as usize;
        let mut text = vec![b'x'; longest - 1];
        text.push(b'\n');
        assert_eq!(lines(&text), [Output::Line(vec![b'x'; longest - 1])]);
        let endless = vec![b'x'; 3 * longest];
        assert_eq!(lines(&endless), [Output::Overlong(vec![b'x'; longest])]);
    }

    fn worker(script: &str) -> ChildProcess {
        let arguments = ["-c", script].map(OsString::from).to_vec();
        ChildProcess::worker(&ChildCommand { program: "/bin/sh".into(), arguments }).unwrap()
    }

    #[test]
    fn a_worker_writes_to_both_streams_and_its_exit_comes_last() {
        let mut worker = worker("echo one; seq 5000; echo two >&2; exit 3");
        let mut outputs = Vec::new();
        while !matches!(outputs.last(), Some(Output::Exited(_))) {
            outputs.push(worker.read(LONG));
        }
        // Between the end of its streams and its exit.
        outputs.retain(|one| *one != Output::Closed);
        let Some(Output::Exited(status)) = outputs.last() else { unreachable!() };
        assert_eq!((status.code(), outputs.len()), (Some(3), 5003));
        assert!(outputs.contains(&Output::Stderr(b"two".into())));
        assert_eq!(
            outputs.iter().find(|one| matches!(one, Output::Line(_))),
            Some(&Output::Line(b"one".into()))
        );
    }

    #[test]
    fn a_worker_may_finish_what_it_does_when_asked_to_end() {
        let mut worker = worker(
            "trap 'echo saved; exit 75' TERM; echo ready; while :; do sleep 1000 & wait $!; done",
        );
        assert_eq!(worker.read(LONG), Output::Line(b"ready".into()));
        assert_eq!(worker.read(Duration::ZERO), Output::Nothing);
        worker.signal(Signal::Terminate);
        assert_eq!(worker.read(LONG), Output::Line(b"saved".into()));
    }

    #[test]
    fn dropping_ends_the_children_of_a_worker_too() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        let mut worker =
            worker(&format!("mkfifo '{0}'; echo ready; sleep 1000 >'{0}' & wait", pipe.display()));
        worker.read(LONG);
        // Opens when the child of the worker has opened its end, and ends when that child has.
        let mut reader = File::open(&pipe).unwrap();
        drop(worker);
        assert_eq!(reader.read_to_end(&mut Vec::new()).unwrap(), 0);
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let command = ChildCommand { program: "/nonexistent/metaqnn".into(), arguments: vec![] };
        let error = ChildProcess::worker(&command).unwrap_err().to_string();
        assert!(error.contains("`/nonexistent/metaqnn`"), "{error}");
    }
}

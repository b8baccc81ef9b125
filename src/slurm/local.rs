//! The processes of `metaqnn run`: started, listened to, ended. Who does what is decided in `ops`.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use super::SlurmError;

/// Lines that may wait to be read; then a worker waits in its turn.
const LINES_AHEAD: usize = 1024;

/// What a worker is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerCommand {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// Variables besides those of this process.
    pub environment: BTreeMap<OsString, OsString>,
}

/// A worker, by the order in which they were started; never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkerId(pub u32);

/// Where a worker wrote a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output: results.
    Output,
    /// Standard error: everything else.
    Messages,
}

/// What is heard of a worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WorkerEvent {
    /// A line, without its end; bytes that are no UTF-8 replaced.
    Line {
        /// Who wrote it.
        worker: WorkerId,
        /// Where.
        stream: Stream,
        /// The text.
        line: String,
    },
    /// The last event of a worker: it has ended, and all that it wrote was read.
    Ended {
        /// Who.
        worker: WorkerId,
        /// How.
        status: ExitStatus,
    },
}

/// Worker processes, each the leader of a process group of its own, so that Ctrl-C at a terminal reaches `metaqnn run`
/// alone and it decides how the workers end. Dropping kills what still runs, the workers' own children included.
#[derive(Debug)]
pub struct LocalWorkers {
    workers: BTreeMap<WorkerId, Worker>,
    started: u32,
    sender: SyncSender<Heard>,
    receiver: Receiver<Heard>,
}

#[derive(Debug)]
struct Worker {
    child: Child,
    open_streams: u32,
}

#[derive(Debug)]
enum Heard {
    Line(WorkerId, Stream, String),
    Closed(WorkerId),
}

impl LocalWorkers {
    /// Makes an empty set of workers.
    pub fn new() -> Self {
        let (sender, receiver) = sync_channel(LINES_AHEAD);
        Self { workers: BTreeMap::new(), started: 0, sender, receiver }
    }

    /// Starts a worker, without standard input, and as no task of Slurm: of several workers within one job (`salloc`, or
    /// a batch script that says `metaqnn run`) each is a process of its own, and would take the others for copies.
    ///
    /// # Errors
    /// [`SlurmError::Start`] when the program cannot be started.
    pub fn start(&mut self, command: &WorkerCommand) -> Result<WorkerId, SlurmError> {
        let mut child = Command::new(&command.program)
            .args(&command.arguments)
            .envs(&command.environment)
            .env_remove("SLURM_JOB_ID")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .map_err(|source| SlurmError::Start { program: command.program.clone(), source })?;
        let worker = WorkerId(self.started);
        self.started += 1;
        let output = child.stdout.take().expect("standard output is piped");
        let messages = child.stderr.take().expect("standard error is piped");
        // From here on it ends with the set.
        self.workers.insert(worker, Worker { child, open_streams: 2 });
        self.listen(worker, Stream::Output, output)?;
        self.listen(worker, Stream::Messages, messages)?;
        Ok(worker)
    }

    fn listen(
        &self,
        worker: WorkerId,
        stream: Stream,
        source: impl Read + Send + 'static,
    ) -> Result<(), SlurmError> {
        let sender = self.sender.clone();
        // Ends with the stream, or when nobody listens any more.
        let listen = move || {
            let mut lines = BufReader::new(source).split(b'\n');
            while let Some(Ok(bytes)) = lines.next() {
                let line = String::from_utf8_lossy(&bytes).trim_end_matches('\r').to_owned();
                if sender.send(Heard::Line(worker, stream, line)).is_err() {
                    return;
                }
            }
            let _ = sender.send(Heard::Closed(worker));
        };
        thread::Builder::new().spawn(listen).map(drop).map_err(SlurmError::Thread)
    }

    /// Returns the workers that have not been heard to end.
    pub fn running(&self) -> impl Iterator<Item = WorkerId> + '_ {
        self.workers.keys().copied()
    }

    /// Waits for the next event. `None` when `timeout` has passed, or at once when no worker runs.
    ///
    /// # Errors
    /// [`SlurmError::Wait`] when the system does not say how a worker ended.
    pub fn next_event(&mut self, timeout: Duration) -> Result<Option<WorkerEvent>, SlurmError> {
        let deadline = Instant::now() + timeout;
        while !self.workers.is_empty() {
            match self.receiver.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(Heard::Line(worker, stream, line)) => {
                    return Ok(Some(WorkerEvent::Line { worker, stream, line }));
                }
                Ok(Heard::Closed(worker)) => {
                    if let Some(status) = self.closed(worker)? {
                        return Ok(Some(WorkerEvent::Ended { worker, status }));
                    }
                }
                Err(RecvTimeoutError::Timeout) => return Ok(None),
                Err(RecvTimeoutError::Disconnected) => unreachable!("a sender is held here"),
            }
        }
        Ok(None)
    }

    fn closed(&mut self, worker: WorkerId) -> Result<Option<ExitStatus>, SlurmError> {
        let open =
            self.workers.get_mut(&worker).expect("a worker is kept until its streams are closed");
        open.open_streams -= 1;
        if open.open_streams > 0 {
            return Ok(None);
        }
        let mut ended = self.workers.remove(&worker).expect("it was there a line ago");
        ended
            .child
            .wait()
            .map(Some)
            .map_err(|source| SlurmError::Wait { pid: ended.child.id(), source })
    }

    /// Asks all workers to end (TERM); they pass it on to their trainers. Go on reading events until none runs.
    pub fn terminate(&self) {
        for worker in self.workers.values() {
            // The worker was not waited for, so its process id is still its own; it may have ended.
            let _ = kill_process(worker.pid(), Signal::TERM);
        }
    }

    /// Ends all workers and their children without asking (KILL).
    pub fn kill(&self) {
        for worker in self.workers.values() {
            let _ = kill_process_group(worker.pid(), Signal::KILL);
        }
    }
}

impl Worker {
    fn pid(&self) -> Pid {
        let id = i32::try_from(self.child.id()).expect("a process id is a positive i32");
        Pid::from_raw(id).expect("a process id is not 0")
    }
}

impl Default for LocalWorkers {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for LocalWorkers {
    fn drop(&mut self) {
        self.kill();
        for worker in self.workers.values_mut() {
            let _ = worker.child.wait();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    /// Long enough for the slowest machine; nothing waits for it to pass.
    const LONG: Duration = Duration::from_secs(60);

    fn shell(script: &str) -> WorkerCommand {
        WorkerCommand {
            program: "/bin/sh".into(),
            arguments: vec!["-c".into(), script.into()],
            environment: BTreeMap::from([("GREETING".into(), "hello".into())]),
        }
    }

    fn events(workers: &mut LocalWorkers) -> Vec<WorkerEvent> {
        std::iter::from_fn(|| workers.next_event(LONG).unwrap()).collect()
    }

    fn lines_of(events: &[WorkerEvent], of: WorkerId) -> Vec<(Stream, &str)> {
        let line = |event| match event {
            &WorkerEvent::Line { worker, stream, ref line } if worker == of => {
                Some((stream, line.as_str()))
            }
            _ => None,
        };
        events.iter().filter_map(line).collect()
    }

    #[test]
    fn lines_come_in_order_and_the_end_comes_last() {
        let mut workers = LocalWorkers::new();
        let id =
            workers.start(&shell("echo $GREETING; echo again; printf unfinished; exit 3")).unwrap();
        let events = events(&mut workers);
        let expected =
            [(Stream::Output, "hello"), (Stream::Output, "again"), (Stream::Output, "unfinished")];
        assert_eq!(lines_of(&events, id), expected);
        let Some(WorkerEvent::Ended { worker, status }) = events.last() else {
            panic!("{events:?}")
        };
        assert_eq!((*worker, status.code()), (id, Some(3)));
        assert_eq!(workers.running().count(), 0);
    }

    #[test]
    fn several_workers_are_told_apart() {
        let mut workers = LocalWorkers::new();
        let first = workers.start(&shell("echo one")).unwrap();
        let second = workers.start(&shell("echo two >&2")).unwrap();
        let events = events(&mut workers);
        assert_eq!(lines_of(&events, first), [(Stream::Output, "one")]);
        assert_eq!(lines_of(&events, second), [(Stream::Messages, "two")]);
        assert_eq!(events.len(), 4);
    }

    #[test]
    fn more_lines_than_may_wait_are_all_read() {
        let mut workers = LocalWorkers::new();
        let id = workers.start(&shell("seq 5000")).unwrap();
        assert_eq!(lines_of(&events(&mut workers), id).len(), 5000);
    }

    #[test]
    fn waiting_ends_with_the_timeout() {
        let mut workers = LocalWorkers::new();
        workers.start(&shell("exec sleep 1000")).unwrap();
        assert_eq!(workers.next_event(Duration::ZERO).unwrap(), None);
        assert_eq!(workers.running().count(), 1);
    }

    #[test]
    fn a_worker_may_finish_what_it_does_when_asked_to_end() {
        let mut workers = LocalWorkers::new();
        let script =
            "trap 'echo saved; exit 75' TERM; echo ready; while :; do sleep 1000 & wait $!; done";
        let id = workers.start(&shell(script)).unwrap();
        workers.next_event(LONG).unwrap();
        workers.terminate();
        let Some(WorkerEvent::Line { line, .. }) = workers.next_event(LONG).unwrap() else {
            panic!("no line")
        };
        assert_eq!((line.as_str(), workers.running().next()), ("saved", Some(id)));
    }

    #[test]
    fn dropping_ends_the_children_of_workers_too() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        let script = format!("mkfifo '{0}'; echo ready; sleep 1000 >'{0}' & wait", pipe.display());
        let mut workers = LocalWorkers::new();
        workers.start(&shell(&script)).unwrap();
        workers.next_event(LONG).unwrap();
        // Opens when the child of the worker has opened its end, and ends when that child has.
        let mut reader = File::open(&pipe).unwrap();
        drop(workers);
        assert_eq!(reader.read_to_end(&mut Vec::new()).unwrap(), 0);
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let command = WorkerCommand { program: "/nonexistent/metaqnn".into(), ..shell("") };
        let error = LocalWorkers::new().start(&command).unwrap_err().to_string();
        assert!(error.contains("`/nonexistent/metaqnn`"), "{error}");
    }
}

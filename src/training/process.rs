//! A running trainer: its pipes, the signals it gets, and its end.
//!
//! The trainer leads a process group of its own. Polite signals go to it alone (the workers of a
//! data loader would die of them); what has to die dies with its whole group.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ExitStatus};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, SyncSender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{self, Pid, WaitId, WaitIdOptions};

use super::interrupt::Signal;
use super::last_words::LastWords;
use super::patience::Patience;
use super::protocol::{LONGEST_LINE, WAITING_LINES};

/// Time between two looks at a process or a flag.
pub(super) const TICK: Duration = Duration::from_millis(20);

/// How long a killed process may take to die; one that waits for a broken device may never.
const DEATH: Duration = Duration::from_secs(5);

/// A running trainer. Dropped, it ends: its stdin is closed, then it gets TERM, then KILL.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    /// What a thread writes to its stdin, so that nobody waits for a trainer that does not read.
    to_stdin: Option<Sender<String>>,
    /// Whether it has closed its stdin, as far as something was said since.
    is_deaf: Arc<AtomicBool>,
    lines: Receiver<Heard>,
    words: Arc<Mutex<LastWords>>,
    stderr_end: Receiver<()>,
    /// How it ended, and when that was seen.
    end: Option<(ExitStatus, Instant)>,
    patience: Patience,
}

/// What came of listening.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// A line, without its line feed.
    Line(Vec<u8>),
    /// The beginning of a line longer than [`LONGEST_LINE`]; nothing more will be heard.
    Overlong(Vec<u8>),
    /// Not a word yet.
    Nothing,
    /// Its stdout is closed, and it lives.
    Closed,
    /// It has ended, and all it said was heard.
    Exited(ExitStatus),
}

impl Process {
    /// Takes a process with three pipes that leads a process group. It may take twice `patience.farewell` to end.
    pub(super) fn new(mut child: Child, patience: Patience) -> io::Result<Self> {
        let stdin = child.stdin.take().expect("the stdin of a trainer is a pipe");
        let stdout = child.stdout.take().expect("the stdout of a trainer is a pipe");
        let stderr = child.stderr.take().expect("the stderr of a trainer is a pipe");
        let words = Arc::new(Mutex::new(LastWords::default()));
        let (to_lines, lines) = mpsc::sync_channel(WAITING_LINES);
        let (at_stderr_end, stderr_end) = mpsc::channel();
        let to_words = Arc::clone(&words);
        let is_deaf = Arc::new(AtomicBool::new(false));
        let (to_stdin, said) = mpsc::channel();
        let becomes_deaf = Arc::clone(&is_deaf);
        let write = move || {
            if write_lines(stdin, &said).is_err() {
                becomes_deaf.store(true, Ordering::SeqCst);
            }
        };
        let read = move || {
            read_words(stderr, &to_words);
            drop(at_stderr_end);
        };
        let to_stdin = Some(to_stdin);
        // Dropped, it ends the trainer: where a thread cannot be started.
        let process =
            Self { child, to_stdin, is_deaf, lines, words, stderr_end, end: None, patience };
        thread::Builder::new().spawn(write)?;
        thread::Builder::new().spawn(move || read_lines(stdout, &to_lines))?;
        thread::Builder::new().spawn(read)?;
        Ok(process)
    }

    /// Keeps what it writes to stderr from now on in the log at `path`.
    pub(super) fn log_to(&self, path: &Path) {
        lock(&self.words).begin(path);
    }

    /// Has a line written to its stdin, and does not wait until it is read: what nobody reads fills the pipe.
    pub(super) fn say(&self, line: &str) {
        let to_stdin = self.to_stdin.as_ref();
        let to_stdin = to_stdin.expect("stdin is open until the trainer is dropped");
        // A thread that has ended has told that the trainer is deaf.
        let _ = to_stdin.send(format!("{line}\n"));
    }

    /// Returns whether something said could not be written, since its stdin is closed; at the latest when it ends.
    pub(super) fn is_deaf(&self) -> bool {
        self.is_deaf.load(Ordering::SeqCst)
    }

    /// Waits for its next line, at most for `patience`.
    pub(super) fn hear(&mut self, patience: Duration) -> Heard {
        match self.lines.recv_timeout(patience) {
            Ok(heard) => heard,
            Err(error) => match (self.exit(), error) {
                (Some(status), RecvTimeoutError::Disconnected) => Heard::Exited(status),
                (Some(status), RecvTimeoutError::Timeout) if self.rest_is_over() => {
                    Heard::Exited(status)
                }
                (None, RecvTimeoutError::Disconnected) => {
                    thread::sleep(patience);
                    Heard::Closed
                }
                (_, RecvTimeoutError::Timeout) => Heard::Nothing,
            },
        }
    }

    /// Passes a signal on to it.
    pub(super) fn signal(&mut self, signal: Signal) {
        if self.exit().is_none() {
            let signal = match signal {
                Signal::TimeNearlyUp => process::Signal::USR1,
                Signal::Terminate => process::Signal::TERM,
            };
            let _ = process::kill_process(self.pid(), signal);
        }
    }

    /// Ends it and everything it started, at once.
    pub(super) fn kill(&mut self) {
        if self.exit().is_some() {
            return;
        }
        let _ = process::kill_process(self.pid(), process::Signal::KILL);
        let _ = process::kill_process_group(self.pid(), process::Signal::KILL);
        if !self.exits_within(DEATH) {
            log::warn!(
                "trainer process {} outlives KILL (it waits for a device?)",
                self.child.id()
            );
        }
    }

    /// Returns how it ended, if it has. What it left running in its group is killed.
    pub(super) fn exit(&mut self) -> Option<ExitStatus> {
        if self.end.is_none() && self.has_exited() {
            // Until it is waited for, its number belongs to its group: this hits no stranger.
            let _ = process::kill_process_group(self.pid(), process::Signal::KILL);
            self.end = Some((self.child.wait().unwrap_or_default(), Instant::now()));
        }
        self.end.map(|(status, _)| status)
    }

    /// Returns whether it ended so long ago that no more of its words are waited for.
    fn rest_is_over(&self) -> bool {
        self.end.is_some_and(|(_, since)| since.elapsed() >= self.patience.rest)
    }

    /// Returns the last line it wrote to stderr, once it has ended.
    pub(super) fn last_line(&self) -> String {
        // Ends at once when the thread that reads stderr does.
        let _ = self.stderr_end.recv_timeout(self.patience.rest);
        lock(&self.words).last_line()
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Returns whether it has ended, without waiting for it as [`Child::try_wait`] does.
    fn has_exited(&self) -> bool {
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        !matches!(process::waitid(WaitId::Pid(self.pid()), look), Ok(None))
    }

    /// Waits for its end, deaf to what it says.
    fn exits_within(&mut self, patience: Duration) -> bool {
        let end = Instant::now() + patience;
        while self.exit().is_none() {
            if Instant::now() >= end {
                return false;
            }
            self.hear(TICK.min(patience));
        }
        true
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.to_stdin = None;
        if self.exits_within(self.patience.farewell) {
            return;
        }
        self.signal(Signal::Terminate);
        if !self.exits_within(self.patience.farewell) {
            self.kill();
        }
    }
}

fn lock(words: &Mutex<LastWords>) -> MutexGuard<'_, LastWords> {
    words.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Writes what is said, until nothing more will be; then stdin closes.
fn write_lines(mut stdin: impl Write, said: &Receiver<String>) -> io::Result<()> {
    said.iter().try_for_each(|line| stdin.write_all(line.as_bytes()))
}

/// Passes on whole lines. The rest of a line that a trainer died over is none.
fn read_lines(stdout: impl Read, to: &SyncSender<Heard>) {
    let mut stdout = BufReader::new(stdout);
    loop {
        let mut line = Vec::new();
        let Ok(_) = stdout.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line) else { return };
        if line.last() == Some(&b'\n') {
            line.pop();
            if to.send(Heard::Line(line)).is_err() {
                return;
            }
        } else {
            if line.len() as u64 == LONGEST_LINE {
                let _ = to.send(Heard::Overlong(line));
            }
            return;
        }
    }
}

fn read_words(mut stderr: impl Read, to: &Mutex<LastWords>) {
    let mut words = [0; 8192];
    loop {
        match stderr.read(&mut words) {
            Ok(0) => return,
            Ok(length) => lock(to).hear(&words[..length]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(stdout: &[u8]) -> Vec<Heard> {
        let (to, lines) = mpsc::sync_channel(WAITING_LINES);
        read_lines(stdout, &to);
        drop(to);
        lines.iter().collect()
    }

    #[test]
    fn only_whole_lines_are_heard() {
        assert_eq!(heard(b""), []);
        assert_eq!(heard(b"a\n\nb"), [Heard::Line(b"a".into()), Heard::Line(b"".into())]);
    }

    #[test]
    fn a_line_has_an_end() {
        let longest = LONGEST_LINE as usize;
        let mut text = vec![b'x'; longest - 1];
        text.push(b'\n');
        assert_eq!(heard(&text), [Heard::Line(vec![b'x'; longest - 1])]);
        let endless = vec![b'x'; 3 * longest];
        assert_eq!(heard(&endless), [Heard::Overlong(vec![b'x'; longest])]);
    }
}

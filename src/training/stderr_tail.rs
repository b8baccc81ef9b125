//! The tail of a trainer's stderr, in memory and in the log of the attempt.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::fs::OFlags;

use super::protocol::STDERR_KEPT;
use crate::regular_file;

/// Longest line that goes into an error.
const READABLE: usize = 400;

/// Clones are the same tail.
#[derive(Debug, Clone, Default)]
pub(super) struct StderrTail(Arc<Mutex<KeptStderr>>);

#[derive(Debug, Default)]
struct KeptStderr {
    bytes: Vec<u8>,
    log: Option<Log>,
}

/// The log of an attempt, made when there is something to write.
#[derive(Debug)]
struct Log {
    path: PathBuf,
    file: Option<File>,
    written: usize,
}

impl StderrTail {
    fn lock(&self) -> MutexGuard<'_, KeptStderr> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins anew, with what comes from now on kept in the log at `path`.
    pub(super) fn begin(&self, path: &Path) {
        let log = Log { path: path.to_path_buf(), file: None, written: 0 };
        *self.lock() = KeptStderr { bytes: Vec::new(), log: Some(log) };
    }

    /// Returns the last line that is not blank. A progress bar's carriage return ends a line too.
    pub(super) fn last_line(&self) -> String {
        self.lock()
            .bytes
            .rsplit(|byte| matches!(byte, b'\n' | b'\r'))
            .map(readable)
            .find(|line| !line.is_empty())
            .unwrap_or_else(|| "it wrote nothing to stderr".into())
    }
}

impl Write for StderrTail {
    /// A log that cannot be written ends no training: one warning, and it is given up.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let KeptStderr { bytes: tail, log } = &mut *self.lock();
        tail.extend_from_slice(bytes);
        if tail.len() > 2 * STDERR_KEPT {
            tail.drain(..tail.len() - STDERR_KEPT);
        }
        if let Some(file) = log
            && let Err(error) = file.write(bytes, tail)
        {
            log::warn!("failed to write `{}`: {error}", file.path.display());
            *log = None;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn write(&mut self, bytes: &[u8], tail: &[u8]) -> io::Result<()> {
        if self.written + bytes.len() > 2 * STDERR_KEPT {
            let kept = &tail[tail.len().saturating_sub(STDERR_KEPT)..];
            let aside = self.path.with_extension("log.aside");
            open_itself(&aside, OpenOptions::new().write(true).create(true).truncate(true))?
                .write_all(kept)?;
            fs::rename(&aside, &self.path)?;
            (self.file, self.written) = (None, kept.len());
            return Ok(());
        }
        let file = match &mut self.file {
            Some(file) => file,
            none => {
                none.insert(open_itself(&self.path, OpenOptions::new().create(true).append(true))?)
            }
        };
        file.write_all(bytes)?;
        self.written += bytes.len();
        Ok(())
    }
}

/// Follows no link: nothing is written outside an experiment.
fn open_itself(path: &Path, options: &OpenOptions) -> io::Result<File> {
    regular_file::open(path, options, OFlags::NOFOLLOW)
}

/// A line without control characters, and not too long.
pub(super) fn readable(line: &[u8]) -> String {
    // Decoding at most what can be shown keeps a line of a megabyte cheap.
    let bytes = &line[..line.len().min(4 * READABLE)];
    let text = String::from_utf8_lossy(bytes);
    let shown: String =
        text.trim().chars().filter(|c| !c.is_control()).take(READABLE + 1).collect();
    match shown.char_indices().nth(READABLE) {
        Some((end, _)) => format!("{}...", &shown[..end]),
        None => shown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(tail: &mut StderrTail, bytes: &[u8]) {
        tail.write_all(bytes).unwrap();
    }

    #[test]
    fn the_last_line_is_the_last_that_says_something() {
        let mut tail = StderrTail::default();
        assert_eq!(tail.last_line(), "it wrote nothing to stderr");
        put(&mut tail, b"Traceback:\nRuntimeError: no \x1b[31mGPU");
        put(&mut tail, b"\r\n  \n");
        assert_eq!(tail.last_line(), "RuntimeError: no [31mGPU");
    }

    #[test]
    fn a_long_line_is_cut() {
        let line = readable("ä".repeat(1000).as_bytes());
        assert_eq!(line, "ä".repeat(READABLE) + "...");
    }

    #[test]
    fn the_log_is_bounded_and_ends_with_the_tail() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("000123.1.log");
        let mut tail = StderrTail::default();
        tail.begin(&path);
        assert!(!path.exists());
        for line in 0..40_000 {
            put(&mut tail, format!("this is the line of the number {line}\n").as_bytes());
        }
        let log = fs::read(&path).unwrap();
        assert!((STDERR_KEPT..=2 * STDERR_KEPT).contains(&log.len()), "{}", log.len());
        assert!(log.ends_with(b"number 39999\n"));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_link_in_the_place_of_a_log_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (other, path) = (folder.path().join("other"), folder.path().join("1.log"));
        for link in [path.clone(), path.with_extension("log.aside")] {
            fs::write(&other, "kept").unwrap();
            std::os::unix::fs::symlink(&other, &link).unwrap();
            let mut tail = StderrTail::default();
            tail.begin(&path);
            (0..40_000).for_each(|_| put(&mut tail, b"one more line of a trainer\n"));
            assert_eq!(fs::read_to_string(&other).unwrap(), "kept", "{}", link.display());
            assert_eq!(tail.last_line(), "one more line of a trainer");
            fs::remove_file(link).unwrap();
        }
    }

    #[test]
    fn each_attempt_has_its_own_log() {
        let folder = tempfile::tempdir().unwrap();
        let paths = ["1.log", "2.log"].map(|name| folder.path().join(name));
        let mut tail = StderrTail::default();
        for path in &paths {
            tail.begin(path);
            put(&mut tail, path.to_str().unwrap().as_bytes());
        }
        for path in &paths {
            assert_eq!(fs::read_to_string(path).unwrap(), path.to_str().unwrap());
        }
    }
}

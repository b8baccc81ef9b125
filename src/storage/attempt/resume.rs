//! What an attempt leaves: to the next one at its iteration its curve, its checkpoint with the
//! weights of its best epoch, and the mark that it left on a signal; to the log its result,
//! `curves/000123.1.result`.
//!
//! No attempt touches the files of another: the next one copies. It finds them by listing, since a
//! name that was looked up too early stays unseen on NFS.
//!
//! An attempt publishes the row of its result, with a checksum, before it appends it, and removes
//! the file after a synced append. So a finished training outlives its process: each place that
//! would record the claim as lost appends this row instead.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use sha2::{Digest, Sha256};

use crate::regular_file::{self, SMALL};
use crate::storage::attempt::curve::{Curve, CurveRow};
use crate::storage::fs::publish::{self, Published};
use crate::storage::log::event::{Attempt, Event, Row};
use crate::storage::{
    dir::ExperimentDir, dir::Files, dir::Folder, error::Result, error::StorageError,
    log::text::header,
};

/// The mark, a file in a checkpoint folder: `USR1` or `TERM`, and [`LeftOnSignal::lost_seconds`].
const LEFT_ON_SIGNAL: &str = "left_on_signal";

const TIME_WARNING: &str = "USR1";

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LeftOnSignal {
    pub is_time_warning: bool,
    /// Seconds of the attempt that are in no learning curve.
    pub lost_seconds: f64,
}

impl ExperimentDir {
    /// The curve of the newest attempt before this one that has one; empty when there is none, or
    /// when a power cut has left it unreadable.
    pub fn curve_before(&self, attempt: Attempt) -> Result<Curve> {
        let earlier = before(attempt, || self.list_curves())?;
        match earlier.first().map(|(_, path)| Curve::read(path)).transpose() {
            Err(error) if error.is_damage() => {
                log::warn!("the curve of an earlier attempt is passed over: {error}");
                Ok(Curve::default())
            }
            read => Ok(read?.unwrap_or_default()),
        }
    }

    /// Copies the checkpoint of the newest attempt before this one, whole or not at all, and the
    /// weights of its best epoch. Returns whether there was one.
    pub fn take_checkpoint_over(&self, attempt: Attempt) -> Result<bool> {
        for (earlier, source) in before(attempt, || self.list_checkpoints())? {
            if take_over(&source, &self.checkpoint(attempt))? {
                // One that was killed before its result was in the log may have finished its model.
                let models = [self.unfinished_model(earlier), self.model(earlier)];
                for model in models.iter().filter(|model| model.is_dir()) {
                    if let Err(error) = take_over(model, &self.unfinished_model(attempt)) {
                        log::warn!("the weights of an earlier attempt are not copied: {error}");
                    }
                }
                return Ok(true);
            }
        }
        Ok(false)
    }

    pub fn mark_left_on_signal(&self, attempt: Attempt, left: &LeftOnSignal) -> Result<()> {
        let signal = if left.is_time_warning { TIME_WARNING } else { "TERM" };
        let path = self.mark(attempt);
        let folder = path.parent().unwrap_or(Path::new(""));
        let mark = format!("{signal} {:.3}\n", left.lost_seconds);
        let mut options = File::options();
        options.write(true).create(true).truncate(true);
        fs::create_dir_all(folder)
            .and_then(|()| regular_file::open(&path, &options, OFlags::NOFOLLOW))
            .and_then(|mut file| file.write_all(mark.as_bytes()))
            .map_err(StorageError::io("write", &path))
    }

    /// Never in scratch: without its mark an attempt counts as a loss.
    fn mark(&self, attempt: Attempt) -> PathBuf {
        self.folder(Folder::Checkpoints).join(attempt.to_string()).join(LEFT_ON_SIGNAL)
    }

    /// `None` for any other end. A mark that a crash has cut short counts as no time warning.
    pub fn left_on_signal(&self, attempt: Attempt) -> Option<LeftOnSignal> {
        let path = self.mark(attempt);
        let mark = match regular_file::read(&path, SMALL) {
            Err(error) if error.kind() == ErrorKind::NotFound => return None,
            read => String::from_utf8(read.unwrap_or_default()).unwrap_or_default(),
        };
        let mut words = mark.strip_suffix('\n').unwrap_or_default().split(' ');
        let is_time_warning = words.next() == Some(TIME_WARNING);
        let seconds = words.next().and_then(|word| word.parse().ok()).unwrap_or(0.0);
        let lost_seconds = if (0.0..f64::INFINITY).contains(&seconds) { seconds } else { 0.0 };
        Some(LeftOnSignal { is_time_warning, lost_seconds })
    }

    /// The last start and epoch; `None` without a readable curve.
    pub fn reach(&self, attempt: Attempt) -> Option<(u32, u32)> {
        reach(&self.curve(attempt))
    }

    pub fn reach_before(&self, attempt: Attempt) -> Result<Option<(u32, u32)>> {
        let earlier = before(attempt, || self.list_curves())?;
        Ok(earlier.iter().filter_map(|(_, path)| reach(path)).max())
    }
}

fn reach(curve: &Path) -> Option<(u32, u32)> {
    Curve::read(curve).ok()?.rows.last().map(CurveRow::position)
}

/// What attempts before this one at the same iteration have left, the newest first. A first
/// attempt, as nearly all are, lists nothing: a folder of a long search is long.
fn before(attempt: Attempt, list: impl FnOnce() -> Result<Files>) -> Result<Files> {
    if attempt.number <= 1 {
        return Ok(Vec::new());
    }
    let is_before =
        |other: Attempt| other.iteration == attempt.iteration && other.number < attempt.number;
    let earlier = list()?.into_iter().rev().filter(|(other, _)| is_before(*other));
    Ok(earlier.collect())
}

/// Returns whether there was a file to copy.
fn take_over(source: &Path, own: &Path) -> Result<bool> {
    let mut files = 0;
    publish::folder_once(own, |aside| copy_folder(source, aside).map(|copied| files = copied))?;
    Ok(files > 0)
}

/// Copies the files of a checkpoint and returns how many. The attempt that owns it may live on,
/// as a second copy of the same task, and a reduce may remove it: what vanishes is left out.
fn copy_folder(source: &Path, target: &Path) -> Result<usize> {
    let names = unless_gone(regular_file::names(source));
    let names = names.map_err(StorageError::io("list", source))?.unwrap_or_default();
    let mut files = 0;
    for name in names.into_iter().filter(|name| name != LEFT_ON_SIGNAL) {
        let (from, to) = (source.join(&name), target.join(&name));
        let entry =
            unless_gone(from.symlink_metadata()).map_err(StorageError::io("read", &from))?;
        let Some(kind) = entry.map(|entry| entry.file_type()) else { continue };
        if kind.is_dir() {
            fs::create_dir(&to).map_err(StorageError::io("create", &to))?;
            files += copy_folder(&from, &to)?;
        // The socket of a trainer's helper is nothing to go on with, and a pipe would never end.
        } else if kind.is_file() || kind.is_symlink() {
            let copied =
                if kind.is_symlink() { copy_link(&from, &to) } else { fs::copy(&from, &to) };
            let copied = unless_gone(copied).map_err(StorageError::io("copy", &from))?;
            files += usize::from(copied.is_some());
        }
    }
    Ok(files)
}

fn unless_gone<T>(answer: io::Result<T>) -> io::Result<Option<T>> {
    match answer {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        answer => answer.map(Some),
    }
}

/// Copies a symbolic link. One to a file of the same folder, as `newest` may be, becomes that file:
/// by its whole path it would lead to the earlier attempt's. Any other stays a link: its target may
/// be large, elsewhere, or the folder itself.
fn copy_link(from: &Path, to: &Path) -> io::Result<u64> {
    let folder = from.parent().map(Path::canonicalize).transpose()?;
    let end = from.canonicalize().ok().filter(|end| end.is_file());
    match end {
        Some(file) if file.parent() == folder.as_deref() => fs::copy(file, to),
        _ => symlink(fs::read_link(from)?, to).map(|()| 0),
    }
}

impl ExperimentDir {
    pub fn publish_result(&self, attempt: Attempt, row: &Row) -> Result<Published> {
        let path = self.result(attempt);
        match row.to_line() {
            Ok(line) => publish::file_once(&path, &text(&line)),
            Err(source) => Err(StorageError::Unwritable { path, source }),
        }
    }

    pub fn read_result(&self, attempt: Attempt) -> Result<Row> {
        let path = self.result(attempt);
        let bytes = regular_file::read(&path, SMALL).map_err(StorageError::io("read", &path))?;
        let damaged = |how: &str| StorageError::line(&path, 2, how);
        let line = bytes.split_inclusive(|&byte| byte == b'\n').nth(1).unwrap_or_default();
        if text(line) != bytes {
            return Err(damaged("the file is not what its checksum says"));
        }
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let row = Row::parse(line).map_err(|error| damaged(&error.to_string()))?;
        let is_of_training = row.event.is_result() && row.event != Event::Imported;
        if !is_of_training || row.attempt() != Some(attempt) {
            return Err(damaged("the row is no result of this attempt"));
        }
        Ok(row)
    }

    /// Another process may have done so.
    pub fn remove_result(&self, attempt: Attempt) -> Result<()> {
        let path = self.result(attempt);
        let removed = fs::remove_file(&path).map_err(StorageError::io("remove", &path));
        removed.or_else(|error| if error.is_gone() { Ok(()) } else { Err(error) })
    }

    fn result(&self, attempt: Attempt) -> PathBuf {
        self.folder(Folder::Curves).join(format!("{attempt}.result"))
    }
}

/// The header of the log, the row, and the checksum of both.
fn text(line: &[u8]) -> Vec<u8> {
    let row = [header().as_bytes(), line].concat();
    let sum = format!("# SHA-256 {:x}\n", Sha256::digest(&row));
    [row, sum.into_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::{Event, Iteration};

    fn attempt(number: u32) -> Attempt {
        Attempt { iteration: Iteration(7), number }
    }

    fn save(experiment: &ExperimentDir, attempt: Attempt, name: &str, text: &str) {
        let path = experiment.checkpoint(attempt).join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn the_newest_checkpoint_is_copied_with_its_folders_and_without_its_mark() {
        let (_folder, experiment) = ExperimentDir::made_up();
        save(&experiment, attempt(1), "weights", "old");
        save(&experiment, attempt(2), "weights", "new");
        save(&experiment, attempt(2), "shards/0", "part");
        save(&experiment, Attempt { iteration: Iteration(8), number: 2 }, "weights", "other");
        let left = LeftOnSignal { is_time_warning: true, lost_seconds: 2.5 };
        experiment.mark_left_on_signal(attempt(2), &left).unwrap();
        assert_eq!(experiment.left_on_signal(attempt(2)), Some(left));
        assert!(experiment.take_checkpoint_over(attempt(3)).unwrap());
        let own = experiment.checkpoint(attempt(3));
        assert_eq!(fs::read_to_string(own.join("weights")).unwrap(), "new");
        assert_eq!(fs::read_to_string(own.join("shards/0")).unwrap(), "part");
        assert_eq!(experiment.left_on_signal(attempt(3)), None);
        let there = fs::read_to_string(experiment.checkpoint(attempt(2)).join("weights"));
        assert_eq!(there.unwrap(), "new");
    }

    #[test]
    fn links_of_a_checkpoint_are_not_followed_out_of_it() {
        let (folder, experiment) = ExperimentDir::made_up();
        save(&experiment, attempt(1), "epoch_3", "weights");
        let (own, images) = (experiment.checkpoint(attempt(1)), folder.path().join("images"));
        fs::create_dir(&images).unwrap();
        fs::write(images.join("large"), "").unwrap();
        symlink(own.join("epoch_3"), own.join("newest")).unwrap();
        symlink(&images, own.join("images")).unwrap();
        symlink(".", own.join("here")).unwrap();
        symlink("nowhere", own.join("gone")).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(own.join("socket")).unwrap();
        assert!(experiment.take_checkpoint_over(attempt(2)).unwrap());
        let copy = experiment.checkpoint(attempt(2));
        let link = |name: &str| fs::read_link(copy.join(name)).ok();
        assert_eq!((link("images"), link("here")), (Some(images), Some(".".into())));
        assert_eq!(link("gone"), Some("nowhere".into()));
        assert_eq!(link("newest"), None, "it would lead into the earlier attempt's folder");
        assert_eq!(fs::read_to_string(copy.join("newest")).unwrap(), "weights");
        assert!(!copy.join("socket").exists());
    }

    #[test]
    fn an_attempt_that_died_before_its_first_checkpoint_hides_none() {
        let (_folder, experiment) = ExperimentDir::made_up();
        save(&experiment, attempt(1), "weights", "of the first");
        let left = LeftOnSignal { is_time_warning: false, lost_seconds: 0.0 };
        experiment.mark_left_on_signal(attempt(2), &left).unwrap();
        fs::create_dir(experiment.checkpoint(attempt(3))).unwrap();
        assert!(experiment.take_checkpoint_over(attempt(4)).unwrap());
        let own = experiment.checkpoint(attempt(4)).join("weights");
        assert_eq!(fs::read_to_string(own).unwrap(), "of the first");
    }

    #[test]
    fn a_copy_that_a_crash_cut_short_is_no_checkpoint() {
        let (_folder, experiment) = ExperimentDir::made_up();
        save(&experiment, attempt(1), "weights", "whole");
        // What a killed copy leaves: a private folder, never the attempt's own.
        let aside = experiment.folder(Folder::Checkpoints).join(".000007.2.host.1.0.partial");
        fs::create_dir(&aside).unwrap();
        fs::write(aside.join("weights"), "who").unwrap();
        assert!(experiment.take_checkpoint_over(attempt(3)).unwrap());
        let own = experiment.checkpoint(attempt(3)).join("weights");
        assert_eq!(fs::read_to_string(own).unwrap(), "whole");
        assert_eq!(experiment.list_unfinished_checkpoints().unwrap(), [(attempt(2), aside)]);
    }

    #[test]
    fn a_mark_that_was_cut_short_counts_as_no_time_warning() {
        let (_folder, experiment) = ExperimentDir::made_up();
        for mark in ["", "USR", "USR1", "USR1 12"] {
            save(&experiment, attempt(1), LEFT_ON_SIGNAL, mark);
            let left = LeftOnSignal { is_time_warning: false, lost_seconds: 0.0 };
            assert_eq!(experiment.left_on_signal(attempt(1)), Some(left), "{mark}");
        }
    }

    #[test]
    fn a_first_attempt_takes_nothing_over() {
        let (_folder, experiment) = ExperimentDir::made_up();
        assert!(!experiment.take_checkpoint_over(attempt(1)).unwrap());
        assert!(experiment.curve_before(attempt(1)).unwrap().rows.is_empty());
    }

    #[test]
    fn an_unreadable_curve_is_passed_over() {
        let (_folder, experiment) = ExperimentDir::made_up();
        fs::write(experiment.curve(attempt(1)), "\0\0\0\0\n\0\0\n").unwrap();
        assert!(experiment.curve_before(attempt(2)).unwrap().rows.is_empty());
    }

    const ATTEMPT: Attempt = Attempt { iteration: Iteration(12), number: 2 };

    fn row() -> Row {
        let Attempt { iteration, number } = ATTEMPT;
        let reason = Some("said \"no\", twice".into());
        Row { iteration: Some(iteration), attempt: Some(number), reason, ..Row::new(Event::Failed) }
    }

    #[test]
    fn a_result_is_published_once_read_back_and_removed() {
        let (_folder, experiment) = ExperimentDir::made_up();
        assert_eq!(experiment.publish_result(ATTEMPT, &row()).unwrap(), Published::First);
        let other = Row { reason: None, ..row() };
        assert_eq!(experiment.publish_result(ATTEMPT, &other).unwrap(), Published::AlreadyThere);
        assert_eq!(experiment.read_result(ATTEMPT).unwrap(), row());
        let listed: Vec<Attempt> = experiment
            .list_curves_and_results()
            .unwrap()
            .1
            .into_iter()
            .map(|(attempt, _)| attempt)
            .collect();
        assert_eq!(listed, [ATTEMPT]);
        assert!(experiment.list_curves().unwrap().is_empty());
        experiment.remove_result(ATTEMPT).unwrap();
        experiment.remove_result(ATTEMPT).unwrap();
        assert!(experiment.list_curves_and_results().unwrap().1.is_empty());
    }

    #[test]
    fn a_file_with_one_byte_changed_or_cut_off_is_no_result() {
        let (_folder, experiment) = ExperimentDir::made_up();
        experiment.publish_result(ATTEMPT, &row()).unwrap();
        let path = experiment.result(ATTEMPT);
        let whole = fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            for bytes in [&changed[..], &whole[..at]] {
                fs::write(&path, bytes).unwrap();
                assert!(experiment.read_result(ATTEMPT).unwrap_err().is_damage(), "byte {at}");
            }
        }
        // The whole result of another attempt.
        fs::write(&path, text(&Row { attempt: Some(1), ..row() }.to_line().unwrap())).unwrap();
        assert!(experiment.read_result(ATTEMPT).unwrap_err().is_damage());
    }
}

//! Appending: what is written, cut, and shared under the exclusive lock.

use super::*;
use crate::storage::dir::Folder;
use crate::storage::fs::lock::LockTimeout;
use crate::storage::log::event::{Event, Iteration};
use std::fs;
use std::thread;

fn row(iteration: u64) -> Row {
    let architecture = Some(format!("[C({iteration},3,1), SM(10)]").into());
    Row { iteration: Some(Iteration(iteration)), architecture, ..Row::new(Event::Pending) }
}

fn append(log: &mut WritableReplayLog, rows: &[Row]) {
    log.lock_exclusive().unwrap().append(rows).unwrap();
}

fn rows(log: &WritableReplayLog) -> Vec<Row> {
    log.reader.read_from(&LogPosition::start()).unwrap().rows
}

#[test]
fn a_guard_sees_what_it_appends_and_excludes_all_others() {
    let (_folder, experiment) = ExperimentDir::made_up();
    let (mut one, mut other) =
        [(); 2].map(|()| WritableReplayLog::open(&experiment).unwrap()).into();
    let zero = std::time::Duration::ZERO;
    other.reader.timeout = LockTimeout { notice: zero, limit: zero };
    let mut guard = one.lock_exclusive().unwrap();
    assert!(matches!(other.lock_exclusive(), Err(StorageError::Locked { .. })));
    let start = LogPosition::start();
    assert!(matches!(other.reader.read_from(&start), Err(StorageError::Locked { .. })));
    guard.append(&[row(1)]).unwrap();
    guard.append(&[]).unwrap();
    guard.append(&[row(2)]).unwrap();
    let tail = guard.read_from(&start).unwrap();
    assert_eq!(tail.rows, [row(1), row(2)]);
    drop(guard);
    assert_eq!(other.lock_exclusive().unwrap().read_from(&tail.cursor).unwrap().rows, []);
}

#[test]
fn a_log_cut_at_any_byte_of_its_last_rows_is_mended_and_goes_on() {
    let (_folder, experiment) = ExperimentDir::made_up();
    let mut log = WritableReplayLog::open(&experiment).unwrap();
    append(&mut log, &(1..=4).map(row).collect::<Vec<_>>());
    let whole = fs::read(experiment.replay_log()).unwrap();
    let line_ends: Vec<usize> =
        (0..whole.len()).filter(|&at| whole[at] == b'\n').map(|at| at + 1).collect();
    for cut in line_ends[1]..whole.len() {
        fs::write(experiment.replay_log(), &whole[..cut]).unwrap();
        // The header's line, too, ends at or before the cut.
        let kept = line_ends.iter().filter(|&&end| end <= cut).count() - 1;
        append(&mut log, &[row(9)]);
        let expected: Vec<Row> = (1..=kept as u64).chain([9]).map(row).collect();
        assert_eq!(rows(&log), expected, "cut at byte {cut}");
        let end = line_ends[kept];
        let torn = (cut > end).then(|| {
            let pieces = fs::read_dir(experiment.folder(Folder::Torn)).unwrap();
            let mut pieces = pieces.map(|piece| fs::read(piece.unwrap().path()).unwrap());
            pieces.any(|piece| piece == whole[end..cut])
        });
        assert_ne!(torn, Some(false), "the piece cut at byte {cut} is saved");
    }
}

#[test]
fn nuls_at_the_end_are_saved_and_cut() {
    let (_folder, experiment) = ExperimentDir::made_up();
    let mut log = WritableReplayLog::open(&experiment).unwrap();
    append(&mut log, &[row(1)]);
    let whole = fs::read(experiment.replay_log()).unwrap();
    fs::write(experiment.replay_log(), [&whole[..], &[0; 10_000], b"\n"].concat()).unwrap();
    append(&mut log, &[row(2)]);
    assert_eq!(rows(&log), [row(1), row(2)]);
    let piece = fs::read_dir(experiment.folder(Folder::Torn)).unwrap().next().unwrap().unwrap();
    assert_eq!(piece.metadata().unwrap().len(), 10_001);
}

#[test]
fn the_ends_are_found_whatever_length_is_reported() {
    let (_folder, experiment) = ExperimentDir::made_up();
    let mut log = WritableReplayLog::open(&experiment).unwrap();
    append(&mut log, &(1..=200).map(row).collect::<Vec<_>>());
    let end = fs::metadata(experiment.replay_log()).unwrap().len();
    let torn = fs::read_to_string(experiment.replay_log()).unwrap() + "201,cl";
    fs::write(experiment.replay_log(), torn).unwrap();
    let length = end + 6;
    for reported in [0, 1, end - 1, end, length, length + 1, length + 3, length + 10_000] {
        assert_eq!(
            ends(&log.reader.file, reported).unwrap(),
            (end, length),
            "{reported} was reported"
        );
    }
}

#[test]
fn a_log_cut_within_its_header_is_refused() {
    let (_folder, experiment) = ExperimentDir::made_up();
    let mut log = WritableReplayLog::open(&experiment).unwrap();
    for length in [0, 1, header().len() - 1] {
        fs::write(experiment.replay_log(), &header()[..length]).unwrap();
        let refused = log.lock_exclusive().map(drop).unwrap_err();
        assert!(matches!(refused, StorageError::Changed { .. }), "{refused}");
        assert_eq!(fs::read(experiment.replay_log()).unwrap().len(), length);
    }
}

#[test]
fn what_cannot_be_saved_is_not_cut() {
    let (_folder, experiment) = ExperimentDir::made_up();
    let mut log = WritableReplayLog::open(&experiment).unwrap();
    let torn = fs::read_to_string(experiment.replay_log()).unwrap() + "1,cl";
    fs::write(experiment.replay_log(), &torn).unwrap();
    fs::remove_dir(experiment.folder(Folder::Torn)).unwrap();
    fs::write(experiment.folder(Folder::Torn), "in the way").unwrap();
    assert!(matches!(log.lock_exclusive(), Err(StorageError::Io { .. })));
    assert_eq!(fs::read_to_string(experiment.replay_log()).unwrap(), torn);
    fs::remove_file(experiment.folder(Folder::Torn)).unwrap();
    // The lock was let go of with the error.
    append(&mut log, &[row(1)]);
}

#[test]
fn a_write_that_fails_is_cut_back() {
    let (_folder, experiment) = ExperimentDir::made_up();
    let mut log = WritableReplayLog::open(&experiment).unwrap();
    append(&mut log, &[row(1)]);
    let before = fs::read(experiment.replay_log()).unwrap();
    let bytes = row(2).to_line().unwrap();
    let half = |file: &File, bytes: &[u8], at: u64| file.write_at(&bytes[..bytes.len() / 2], at);
    let full = |_: &File| Err(io::Error::from(ErrorKind::StorageFull));
    let end = before.len() as u64;
    let short = append_at(&log.reader, end, &bytes, half, File::sync_data).unwrap_err();
    let short = format!("{:#}", anyhow::Error::new(short));
    assert!(short.contains("only ") && short.contains("at the limit of `ulimit -f`?)"), "{short}");
    assert_eq!(fs::read(experiment.replay_log()).unwrap(), before);
    let unsynced = append_at(&log.reader, end, &bytes, File::write_at, full).unwrap_err();
    assert!(matches!(unsynced, StorageError::Io { action: "sync", .. }));
    assert_eq!(fs::read(experiment.replay_log()).unwrap(), before);
    append(&mut log, &[row(2)]);
    assert_eq!(rows(&log), [row(1), row(2)]);
}

#[test]
fn a_writer_without_room_cuts_no_row_of_another() {
    let (_folder, experiment) = ExperimentDir::made_up();
    let mut log = WritableReplayLog::open(&experiment).unwrap();
    append(&mut log, &[row(1)]);
    let end = fs::metadata(experiment.replay_log()).unwrap().len();
    // Where this writer takes the end to be another has appended.
    append(&mut log, &[row(2)]);
    let full = |_: &File, _: &[u8], _| Err(io::Error::from(ErrorKind::StorageFull));
    append_at(&log.reader, end, b"3,lost", full, File::sync_data).unwrap_err();
    assert_eq!(rows(&log), [row(1), row(2)]);
}

#[test]
fn a_writer_that_may_have_lost_its_lock_cuts_nothing() {
    let (_folder, experiment) = ExperimentDir::made_up();
    let mut log = WritableReplayLog::open(&experiment).unwrap();
    append(&mut log, &[row(1)]);
    let end = fs::metadata(experiment.replay_log()).unwrap().len();
    // What another machine has appended since is there when the sync fails.
    append(&mut log, &[row(2)]);
    let lost = |_: &File, _: &[u8], _| Err(io::Error::from_raw_os_error(5));
    let unwritten = append_at(&log.reader, end, b"3", lost, File::sync_data).unwrap_err();
    assert!(matches!(unwritten, StorageError::Io { action: "append to", .. }));
    let written = |_: &File, bytes: &[u8], _| Ok(bytes.len());
    let unsynced = |_: &File| Err(io::Error::from_raw_os_error(5));
    let unsynced = append_at(&log.reader, end, b"3", written, unsynced).unwrap_err();
    assert!(matches!(unsynced, StorageError::Io { action: "sync", .. }));
    assert_eq!(rows(&log), [row(1), row(2)]);
}

#[test]
fn a_row_that_cannot_be_text_is_refused_with_all_beside_it() {
    let (_folder, experiment) = ExperimentDir::made_up();
    let mut log = WritableReplayLog::open(&experiment).unwrap();
    let bad = Row { host: Some("a\nb".into()), ..row(2) };
    let mut guard = log.lock_exclusive().unwrap();
    assert!(matches!(guard.append(&[row(1), bad]), Err(StorageError::Unwritable { .. })));
    drop(guard);
    assert_eq!(rows(&log), []);
}

#[test]
fn many_writers_lose_nothing() {
    const WRITERS: u64 = 4;
    const ROWS: u64 = 25;
    let (_folder, experiment) = ExperimentDir::made_up();
    thread::scope(|scope| {
        for writer in 0..WRITERS {
            let mut log = WritableReplayLog::open(&experiment).unwrap();
            scope.spawn(move || {
                let mut cursor = LogPosition::start();
                for number in 0..ROWS {
                    let mut guard = log.lock_exclusive().unwrap();
                    cursor = guard.read_from(&cursor).unwrap().cursor;
                    // The number of the row says how many there were before it.
                    let task = Some(format!("{writer}.{number}").into());
                    guard.append(&[Row { task, ..row(cursor.rows) }]).unwrap();
                }
            });
        }
    });
    let log = WritableReplayLog::open(&experiment).unwrap();
    let rows = rows(&log);
    assert!(rows.iter().map(|row| row.iteration.unwrap().0).eq(0..WRITERS * ROWS));
    let mut tasks: Vec<_> = rows.iter().map(|row| row.task.clone()).collect();
    tasks.sort();
    tasks.dedup();
    assert_eq!(tasks.len() as u64, WRITERS * ROWS);
}

//! Damage found, named, saved and blanked.

use std::fs;

use proptest::prelude::*;

use super::*;
use crate::storage::{ExperimentDir, Folder, WritableReplayLog};

#[test]
fn lines_end_before_what_is_unfinished_or_holds_nul() {
    let end = |text: &str| end_of_whole_lines(text.as_bytes());
    assert_eq!(end("a\nb\n"), Some(4));
    assert_eq!(end("a\nb"), Some(2));
    assert_eq!(end("a\n\0\0\0"), Some(2));
    assert_eq!(end("a\nb\0\n\0\n"), Some(2));
    assert_eq!(end("a\n\n\n"), Some(2));
    assert_eq!(end("a\n\nb\n\n"), Some(5));
    assert_eq!(end("\n"), None);
    assert_eq!(end("a\0\n"), None);
    assert_eq!(end("a"), None);
    assert_eq!(end("\0\nb\n"), Some(4));
}

proptest! {
    #[test]
    fn the_end_is_found_from_either_side(
        lines in prop::collection::vec("[ab\0]{0,3}|a{3000}|\0{6000}", 0..6),
        rest in "[ab\0]{0,3}",
    ) {
        let begin = 7;
        let body = lines.iter().map(|line| line.clone() + "\n").collect::<String>() + &rest;
        let text = "header\n".to_owned() + &body;
        let path = tempfile::NamedTempFile::new().unwrap();
        fs::write(path.path(), &text).unwrap();
        let found = find_end(path.as_file(), begin, text.len() as u64).unwrap();
        let expected = end_of_whole_lines(body.as_bytes()).unwrap_or(0) as u64;
        prop_assert_eq!(found, begin + expected);
    }
}

#[test]
fn a_piece_is_saved_once() {
    let folder = tempfile::tempdir().unwrap();
    let torn = folder.path().join("torn");
    let first = save(&torn, 12, b"half a row").unwrap();
    assert_eq!(save(&torn, 12, b"half a row").unwrap(), first);
    assert_ne!(save(&torn, 12, b"half").unwrap(), first);
    assert_eq!(fs::read(first).unwrap(), b"half a row");
}

#[test]
fn the_marks_of_a_spreadsheet_are_named() {
    let header = header();
    let how = |text: &str| {
        let begin = &text.as_bytes()[..text.len().min(header.len())];
        header_problem(begin).unwrap()
    };
    assert_eq!(header_problem(header.as_bytes()), None);
    assert_eq!(how(&header.replace('\n', "\r\n")), "its lines end in another way");
    assert_eq!(how(&format!("\u{feff}{header}")), "it begins with a byte order mark");
    assert_eq!(how(&header.replace(',', ";")), "its columns are separated in another way");
    assert_eq!(how(&header.replace("event", "\"event\"")), "its columns are quoted");
    assert_eq!(how(&header.replace("event", "Event")), "its first line is not the header");
    assert_eq!(how(""), "it is empty");
}

fn row(iteration: u64) -> Row {
    let reason = Some("said \"no\", twice".into());
    Row { iteration: Some(Iteration(iteration)), attempt: Some(2), reason, ..Row::new(Event::Lost) }
}

fn log(rows: u64) -> Vec<u8> {
    let lines = (1..=rows).flat_map(|number| row(number).to_line().unwrap());
    header().into_bytes().into_iter().chain(lines).collect()
}

#[test]
fn lines_after_a_damaged_one_are_read() {
    let mut bytes = log(4);
    let second = header().len() + row(1).to_line().unwrap().len();
    bytes[second + 3] = 0;
    let raw = RawLog::of(bytes);
    let good: Vec<bool> = raw.lines.iter().map(|line| line.row.is_ok()).collect();
    assert_eq!(good, [true, false, true, true]);
    let damaged = &raw.lines[1];
    assert_eq!((damaged.line, damaged.byte), (3, second as u64));
    assert_eq!(damaged.readable(), Row::void(Some(Iteration(2)), Some(2)));
}

#[test]
fn an_open_quote_swallows_no_other_line() {
    let text = String::from_utf8(log(3)).unwrap().replacen("twice\"", "twice", 1);
    let raw = RawLog::of(text.into_bytes());
    let good: Vec<bool> = raw.lines.iter().map(|line| line.row.is_ok()).collect();
    assert_eq!(good, [false, true, true]);
}

#[test]
fn a_position_holds_until_a_byte_before_it_changes() {
    let bytes = log(3);
    let raw = RawLog::of(bytes.clone());
    let mut position = LogPosition::ORIGIN;
    position.advance(&log(2), 2);
    assert!(raw.holds(&position));
    assert!(RawLog::of(log(2)).holds(&position));
    assert!(!RawLog::of(log(1)).holds(&position));
    let mut changed = bytes;
    changed[header().len()] = b'7';
    assert!(!RawLog::of(changed).holds(&position));
}

#[test]
fn the_unfinished_end_is_found() {
    let mut bytes = log(2);
    let end = bytes.len() as u64;
    bytes.extend_from_slice(b"3,lo");
    assert_eq!(RawLog::of(bytes).torn_end(), Some((end, 4)));
    assert_eq!(RawLog::of(log(2)).torn_end(), None);
}

#[test]
fn under_the_lock_the_log_ends_where_it_did_when_the_lock_was_taken() {
    let (_folder, experiment) = ExperimentDir::made_up();
    let mut writer = WritableReplayLog::open(&experiment).unwrap();
    let mut guard = writer.lock_exclusive().unwrap();
    guard.append(&[row(1), row(2)]).unwrap();
    fs::write(experiment.replay_log(), [log(2), b"3,lo".to_vec()].concat()).unwrap();
    assert_eq!(guard.read_raw().unwrap(), RawLog::of(log(2)));
}

proptest! {
    #[test]
    fn any_bytes_are_taken_apart(
        bytes in prop::collection::vec(any::<u8>(), 0..300), with_header in any::<bool>(),
    ) {
        let begin = if with_header { header().into_bytes() } else { Vec::new() };
        let whole = [begin, bytes].concat();
        let raw = RawLog::of(whole.clone());
        for line in &raw.lines {
            let at = line.byte as usize;
            prop_assert_eq!(&whole[at..at + line.bytes.len()], &line.bytes[..]);
        }
    }
}

fn blanked(length: usize, iteration: Option<u64>, attempt: Option<u32>) -> Vec<u8> {
    super::blanked(length, &Row::void(iteration.map(Iteration), attempt))
}

#[test]
fn a_blanked_row_has_all_columns_where_they_fit() {
    let line = String::from_utf8(blanked(60, Some(12), Some(3))).unwrap();
    assert_eq!(line.matches(',').count(), COLUMNS.len() - 1);
    assert!(line.starts_with("12,void,3,,,"));
    assert_eq!(blanked(12, Some(12), Some(3)), b"12,void,3,  ");
    assert_eq!(blanked(9, Some(12), Some(3)), b"12,void,3");
    assert_eq!(blanked(8, Some(12), Some(3)), b"12,void,");
    assert_eq!(blanked(7, Some(12), Some(3)), b"12,void");
    assert_eq!(blanked(6, Some(12), Some(3)), b",void,");
    assert_eq!(blanked(3, Some(12), Some(3)), b",,,");
    // Attempt 10 does not fit, and is not cut to attempt 1.
    assert_eq!(blanked(7, None, Some(10)), b",void, ");
}

proptest! {
    #[test]
    fn a_blanked_row_has_its_length_and_is_read_back(
        length in 1usize..80,
        iteration in prop::option::of(any::<u64>()),
        attempt in prop::option::of(any::<u32>()),
    ) {
        let line = blanked(length, iteration, attempt);
        prop_assert_eq!(line.len(), length);
        let row = Row::parse(&line).unwrap();
        prop_assert_eq!(row.event, Event::Void);
        let read = row.iteration.map(|iteration| iteration.0);
        prop_assert!(read.is_none() || read == iteration);
        prop_assert!(row.attempt.is_none() || row.attempt == attempt);
        prop_assert_eq!(blanked(length, read, row.attempt), line);
    }
}

#[test]
fn blanking_that_was_killed_at_any_byte_is_repeated() {
    let (_folder, experiment) = ExperimentDir::made_up();
    let row = |number| Row {
        iteration: Some(Iteration(number)),
        attempt: Some(1),
        architecture: Some("[C(64,3,1), SM(10)]".into()),
        ..Row::new(Event::Claimed)
    };
    let mut log = WritableReplayLog::open(&experiment).unwrap();
    log.lock_exclusive().unwrap().append(&[row(1), row(2), row(3)]).unwrap();
    let mut whole = fs::read(experiment.replay_log()).unwrap();
    let line = RawLog::of(whole.clone()).lines[1].clone();
    let at = line.byte as usize;
    whole[at + 3] = b'x'; // 2,claimed -> 2,cxaimed
    let damaged = whole[at..at + line.bytes.len()].to_vec();
    let blank = blanked(damaged.len(), Some(2), Some(1));
    for killed_at in 0..=blank.len() {
        let mut bytes = whole.clone();
        bytes[at..at + killed_at].copy_from_slice(&blank[..killed_at]);
        fs::write(experiment.replay_log(), &bytes).unwrap();
        let mut guard = log.lock_exclusive().unwrap();
        let raw = guard.read_raw().unwrap();
        let line = &raw.lines[1];
        if line.row.is_err() {
            assert!(guard.blank(line, &line.readable()).unwrap().is_some());
        }
        let raw = guard.read_raw().unwrap();
        let rows: Vec<_> = raw.lines.iter().map(|line| line.row.clone().unwrap()).collect();
        assert_eq!((&rows[0], &rows[2]), (&row(1), &row(3)), "killed at {killed_at}");
        assert_eq!((rows[1].event, rows[1].iteration), (Event::Void, Some(Iteration(2))));
    }
    let kept = fs::read_dir(experiment.folder(Folder::Torn)).unwrap();
    assert!(
        kept.map(|piece| fs::read(piece.unwrap().path()).unwrap()).any(|piece| piece == damaged)
    );
}

//! Reading: from a cursor, around damage, and after a check of the prefix.

use super::*;
use crate::storage::WritableReplayLog;
use crate::storage::log::event::{Event, Iteration};

/// An experiment whose log has three rows, each a draw of nothing.
fn experiment() -> (tempfile::TempDir, ExperimentDir) {
    let (folder, experiment) = ExperimentDir::made_up();
    let mut log = WritableReplayLog::open(&experiment).unwrap();
    log.lock_exclusive().unwrap().append(&[row(1), row(2), row(3)]).unwrap();
    (folder, experiment)
}

fn row(iteration: u64) -> Row {
    Row { iteration: Some(Iteration(iteration)), ..Row::new(Event::Lost) }
}

fn message(error: StorageError) -> String {
    let source = std::error::Error::source(&error).map(ToString::to_string);
    [Some(error.to_string()), source].into_iter().flatten().collect::<Vec<_>>().join(": ")
}

#[test]
fn a_view_s_position_gives_the_rows_after_it() {
    let (_folder, experiment) = experiment();
    let log = ReplayLog::open(&experiment).unwrap();
    let all = log.read_from(&LogPosition::start()).unwrap();
    assert_eq!(all.rows, [row(1), row(2), row(3)]);
    let position = all.cursor;
    assert_eq!(position.byte, fs::metadata(experiment.replay_log()).unwrap().len());
    let mut writer = WritableReplayLog::open(&experiment).unwrap();
    writer.lock_exclusive().unwrap().append(&[row(4)]).unwrap();
    log.check_prefix(&position).unwrap();
    let tail = log.read_from(&all.cursor).unwrap();
    assert_eq!((tail.rows, tail.cursor.rows), (vec![row(4)], 4));
    let whole = log.read_from(&LogPosition::start()).unwrap();
    assert_eq!(whole.cursor, tail.cursor);
    log.check_prefix(&tail.cursor).unwrap();
}

#[test]
fn an_unfinished_last_line_is_not_read() {
    let (_folder, experiment) = experiment();
    let log = ReplayLog::open(&experiment).unwrap();
    let text = fs::read_to_string(experiment.replay_log()).unwrap();
    for rest in ["4,lost", "\0\0\0\0", "4,lo\0\n"] {
        fs::write(experiment.replay_log(), text.clone() + rest).unwrap();
        assert_eq!(log.read_from(&LogPosition::start()).unwrap().rows.len(), 3);
    }
}

#[test]
fn a_damaged_row_is_named_by_line_and_byte() {
    let (_folder, experiment) = experiment();
    let log = ReplayLog::open(&experiment).unwrap();
    let text = fs::read_to_string(experiment.replay_log()).unwrap();
    fs::write(experiment.replay_log(), text.replace("2,lost", "2,l\0st")).unwrap();
    let at = text.find("2,lost").unwrap();
    assert_eq!(
        message(log.read_from(&LogPosition::start()).unwrap_err()),
        format!(
            "`{}` is damaged at line 3, byte {at} (`metaqnn verify` lists what can be mended, and \
             mends it with `--repair`): \
             column `event` is unreadable: `l\0st`",
            experiment.replay_log().display()
        )
    );
    // A blanked row of the same length is read.
    let line = text.lines().nth(2).unwrap();
    let blanked = format!("{:width$}", "2,void,,", width = line.len());
    fs::write(experiment.replay_log(), text.replace(line, &blanked)).unwrap();
    let rows = log.read_from(&LogPosition::start()).unwrap().rows;
    assert_eq!((rows[1].event, rows[1].iteration), (Event::Void, Some(Iteration(2))));
    assert_eq!(rows[2], row(3));
}

#[test]
fn a_log_saved_by_a_spreadsheet_is_refused() {
    let (_folder, experiment) = experiment();
    let text = fs::read_to_string(experiment.replay_log()).unwrap();
    let quoted = text.replace("2,lost", "\"2\",lost");
    let saved_by_others = [
        text.replace('\n', "\r\n"),
        text.replace(',', ";"),
        format!("\u{feff}{text}"),
        text.replace("iteration,event", "\"iteration\",\"event\""),
        quoted,
        text.replace("2,lost", "2.0,lost").replace("event", "Event"),
    ];
    for text in saved_by_others {
        fs::write(experiment.replay_log(), &text).unwrap();
        let read =
            ReplayLog::open(&experiment).and_then(|log| log.read_from(&LogPosition::start()));
        let message = message(read.unwrap_err());
        assert!(message.contains("was changed by another program"), "{message}");
    }
}
#[test]
fn a_log_that_is_not_what_a_view_saw_is_refused() {
    let (_folder, experiment) = experiment();
    let log = ReplayLog::open(&experiment).unwrap();
    let cursor = log.read_from(&LogPosition::start()).unwrap().cursor;
    let position = cursor;
    let text = fs::read_to_string(experiment.replay_log()).unwrap();
    fs::write(experiment.replay_log(), text.replace("2,lost", "9,lost")).unwrap();
    assert!(
        message(log.check_prefix(&position).unwrap_err()).contains("changed by another program")
    );
    fs::write(experiment.replay_log(), &text[..text.len() - 5]).unwrap();
    assert!(
        message(log.check_prefix(&position).unwrap_err()).contains("changed by another program")
    );
    assert!(message(log.read_from(&cursor).unwrap_err()).contains("it ends at byte"));
}

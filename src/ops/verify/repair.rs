//! Mending what is safe to mend, under the exclusive lock of the log.
//!
//! Decided again from the log as it is under the lock, in an order in which it may be killed at any moment and
//! repeated: results are appended again before the row that holds them is blanked, and with them a `repaired` row, by which
//! others forget what they have read; what is replaced is saved before; views come last, since they follow from the log.
//! The lock is let go of before anything is learned.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::ops::Experiment;
use crate::ops::known_rows::{publish_view, set_aside_if_there};
use crate::ops::reduce::refit::refit;
use crate::ops::train::attempt_files::AttemptFiles;
use crate::ops::train::left_results;
use crate::ops::verify::files::check_attempts;
use crate::ops::verify::finding::Repair;
use crate::ops::verify::log::Examined;
use crate::ops::verify::views::Views;
use crate::storage::fs::publish;
use crate::storage::{Event, ExclusiveGuard, LogCursor, ReplayLog, Row, View, WritableReplayLog};

/// Mends the log, sets files aside that are in the way, and replaces views that are wrong; `differing` is the newest
/// one when it is not what its rows say.
///
/// # Errors
/// The lock stayed taken, or a file cannot be written: then all is as it was, or as far as it was mended.
pub(crate) fn mend(experiment: &Experiment, differing: Option<u64>) -> anyhow::Result<()> {
    let dir = experiment.dir();
    let files = AttemptFiles::list(dir)?;
    let mut log = WritableReplayLog::open(dir)?;
    // Cuts an unfinished end.
    let mut guard = log.lock_exclusive()?;
    // Under the lock: what a reduce publishes later is made of rows of which it sees the end.
    let listed = dir.list_views()?;
    // Another repair may have replaced it.
    let differing = differing.filter(|rows| listed.iter().any(|(listed, _)| listed == rows));
    let views = Views::read(experiment, &listed, &guard.read_raw()?)?;
    let seem_good = views.wrong.iter().filter(|view| view.seems_good).map(|view| view.rows);
    let misleading: BTreeSet<u64> = seem_good.chain(differing).collect();
    let Some(mended) = mend_log(&mut guard, experiment, views.vouched, &misleading)? else {
        return Ok(());
    };
    let wrong = Views::read(experiment, &listed, &guard.read_raw()?)?.wrong;
    let wrong: BTreeSet<u64> = wrong.iter().map(|view| view.rows).chain(misleading).collect();
    for rows in &wrong {
        set_aside_if_there(experiment, *rows)?;
    }
    let files = check_attempts(&files, dir, &mended.log)?.into_iter();
    for (path, _) in files.filter(|(_, finding)| finding.repair == Repair::SetAside) {
        let aside = publish::set_aside(&path)?;
        log::info!("`{}` was set aside as `{}`", path.display(), aside.display());
    }
    drop(guard);
    if !wrong.is_empty() || mended.told == Told::Readers {
        publish_new_view(experiment)?;
    }
    left_results::settle_all(experiment)
}

/// A log after its repair.
struct Mended {
    log: Examined,
    told: Told,
}

/// Whether the log tells those who have read it before that they must begin again.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Told {
    /// By a `repaired` row.
    Readers,
    /// What they have read holds.
    Nobody,
}

/// Returns the log as it is then, `None` when it is beyond repair and was left as it is.
fn mend_log(
    guard: &mut ExclusiveGuard<'_>,
    experiment: &Experiment,
    vouched: u64,
    misleading: &BTreeSet<u64>,
) -> anyhow::Result<Option<Mended>> {
    let raw = guard.read_raw()?;
    let examined = Examined::of(&raw, Some(experiment), vouched);
    if examined.is_beyond_repair() {
        return Ok(None);
    }
    let mut rows: Vec<Row> =
        examined.blanks.iter().filter_map(|blank| blank.again.clone()).collect();
    let told = if examined.blanks.is_empty() && misleading.is_empty() {
        Told::Nobody
    } else {
        rows.push(Row::at(Event::Repaired, Timestamp::now().into()));
        Told::Readers
    };
    guard.append(&rows)?;
    for blank in &examined.blanks {
        guard.blank(&raw.lines()[blank.index], blank.keep)?;
    }
    let examined = Examined::of(&guard.read_raw()?, Some(experiment), vouched);
    guard.append(&examined.knowledge.due_rows(Some(Timestamp::now().into())))?;
    let log = Examined::of(&guard.read_raw()?, Some(experiment), vouched);
    Ok(Some(Mended { log, told }))
}

/// Publishes a view of all rows, learned from nothing. Where another repair has begun meanwhile, that one does.
fn publish_new_view(experiment: &Experiment) -> anyhow::Result<()> {
    let log = ReplayLog::open(experiment.dir())?;
    let tail = log.read_from(&LogCursor::start())?;
    let end = tail.cursor.clone();
    let mut view = View::empty(experiment.view_params());
    view.apply(&tail)?;
    refit(experiment, &mut view, || Ok(tail.rows))?;
    if view.rows() > 0 {
        publish_view(experiment, &mut view, &log, &end)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use sha2::{Digest, Sha256};

    use super::*;
    use crate::ops::current::Current;
    use crate::ops::init;
    use crate::ops::live_log::LiveLog;
    use crate::ops::reduce::{ReduceOptions, reduce};
    use crate::ops::train::claim::{Claimed, Sampler};
    use crate::ops::train::task::Task;
    use crate::ops::verify::{repair, verify};
    use crate::storage::search_state::Record;
    use crate::storage::{Event, Iteration, Training};

    const CONFIGURATION: &str = "
experiment: {name: repaired, seed: 1}
data: {classes: 10, input_size: 16, channels: 1}
epsilon_schedule: [{epsilon: 1.0, architectures: 9}]
training: {trainer: synthetic}
";

    fn experiment(folder: &tempfile::TempDir) -> Experiment {
        init::tests::experiment(&folder.path().join("search"), CONFIGURATION)
    }

    /// Claims with what was read before, and returns the row.
    fn claim(experiment: &Experiment, current: &mut Current) -> Row {
        let Current { view, live } = current;
        // A task of its own each time, which has no claim to take up again.
        let task = format!("{}", live.rows());
        let task = Task { task, ..Task::current().unwrap() };
        let sampler = Sampler { experiment, task: &task, round: None, view };
        match sampler.claim(live).unwrap() {
            Claimed::Claim(claim, _) => claim.row,
            other => panic!("{other:?}"),
        }
    }

    /// Claims an architecture and records that it failed.
    fn fail(experiment: &Experiment) {
        let mut current = Current::read(experiment).unwrap();
        let claim = claim(experiment, &mut current);
        let training =
            Training { learning_rate: None, ..Training::made_up(Timestamp::now().into()) };
        let row =
            Row { reward: Some(0.1), ..claim.result(Event::Failed, &training).with_curve(None) };
        let row = Row { parameters: None, macs: None, layers: None, ..row };
        let recorded = current.live.locked(|session| {
            let Record::Append(rows) = session.knowledge().record(&row)? else { unreachable!() };
            session.stage_all(rows)?;
            session.write()
        });
        recorded.unwrap();
    }

    fn views(experiment: &Experiment) -> Vec<u64> {
        experiment.dir().list_views().unwrap().into_iter().map(|(rows, _)| rows).collect()
    }

    /// The events of the log, an initial each.
    fn events(experiment: &Experiment) -> String {
        let log = ReplayLog::open(experiment.dir()).unwrap();
        let rows = log.read_from(&LogCursor::start()).unwrap().rows;
        rows.iter().map(|row| row.event.to_string().remove(0)).collect()
    }

    #[track_caller]
    fn assert_clean(experiment: &Experiment) {
        let audit = verify(experiment.dir().root()).unwrap();
        assert!(audit.is_clean(), "{:?}", audit.findings);
    }

    /// A search of two failed networks, and its view, which is whole but says that the next iteration is the seventh.
    fn misled(folder: &tempfile::TempDir) -> Experiment {
        let experiment = experiment(folder);
        fail(&experiment);
        fail(&experiment);
        reduce(&experiment, &ReduceOptions::default()).unwrap();
        let view = experiment.dir().view(4);
        edit(&view.join("view.yaml"), "next_iteration: 3", "next_iteration: 7");
        let text = fs::read(view.join("view.yaml")).unwrap();
        let sums = fs::read_to_string(view.join("SHA256SUMS")).unwrap();
        let others = sums.split_once('\n').unwrap().1;
        let sums = format!("{:x}  view.yaml\n{others}", Sha256::digest(text));
        fs::write(view.join("SHA256SUMS"), sums).unwrap();
        assert_eq!((events(&experiment).as_str(), views(&experiment)), ("cfcf", vec![4]));
        experiment
    }

    fn edit(path: &Path, from: &str, to: &str) {
        let text = fs::read_to_string(path).unwrap();
        assert!(text.contains(from), "no `{from}` in {text}");
        fs::write(path, text.replacen(from, to, 1)).unwrap();
    }

    #[test]
    fn a_claim_between_the_view_and_the_lock_goes_by_the_mended_log() {
        let folder = tempfile::tempdir().unwrap();
        let experiment = misled(&folder);
        let mut current = Current::read(&experiment).unwrap();
        assert_eq!(current.live.knowledge().next_iteration(), Iteration(7));
        assert!(repair(experiment.dir().root()).unwrap().is_clean());
        assert_eq!(claim(&experiment, &mut current).iteration, Some(Iteration(3)));
        assert_eq!((events(&experiment).as_str(), views(&experiment)), ("cfcfrc", vec![5]));
        assert_clean(&experiment);
    }

    #[test]
    fn a_row_that_was_read_and_blanked_before_the_lock_decides_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let experiment = experiment(&folder);
        fail(&experiment);
        let mut current = Current::read(&experiment).unwrap();
        assert_eq!(current.live.peek(|known| known.known().len()).unwrap(), 1);
        edit(&experiment.dir().replay_log(), "1,failed,1", "?,failed,1");
        assert!(repair(experiment.dir().root()).unwrap().is_clean());
        let known = current.live.locked(|session| Ok(session.knowledge().clone())).unwrap();
        assert_eq!((known.known().len(), known.state().events[&Event::Void]), (0, 1));
        // The row may have been the claim of the second iteration.
        assert_eq!(claim(&experiment, &mut current).iteration, Some(Iteration(3)));
        assert_eq!(events(&experiment), "cvrc");
        assert_clean(&experiment);
    }

    #[test]
    fn a_view_from_before_a_repair_decides_nothing_though_it_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let experiment = misled(&folder);
        // As after a repair that was killed, or where a client of NFS shows the folder of views as it was.
        let mut log = WritableReplayLog::open(experiment.dir()).unwrap();
        log.lock_exclusive()
            .unwrap()
            .append(&[Row::at(Event::Repaired, Timestamp::now().into())])
            .unwrap();
        let mut current = Current::read(&experiment).unwrap();
        assert_eq!(current.view.rows(), 4);
        assert_eq!(claim(&experiment, &mut current).iteration, Some(Iteration(3)));
        reduce(&experiment, &ReduceOptions::default()).unwrap();
        assert_eq!(views(&experiment), [4, 6]);
        assert_clean(&experiment);
    }

    #[test]
    fn a_view_whose_rows_were_blanked_meanwhile_is_passed_over_and_not_published() {
        let folder = tempfile::tempdir().unwrap();
        let experiment = experiment(&folder);
        fail(&experiment);
        let log = ReplayLog::open(experiment.dir()).unwrap();
        let tail = log.read_from(&LogCursor::start()).unwrap();
        let mut view = View::empty(experiment.view_params());
        view.apply(&tail).unwrap();
        edit(&experiment.dir().replay_log(), "1,failed,1", "1,frailty,");
        assert!(repair(experiment.dir().root()).unwrap().is_clean());
        view.publish(experiment.dir()).unwrap();
        // Nobody sees the newest one yet.
        fs::rename(experiment.dir().view(3), folder.path().join("3")).unwrap();
        assert_eq!(
            LiveLog::open(&experiment).unwrap().peek(|known| known.known().len()).unwrap(),
            0
        );
        fs::rename(folder.path().join("3"), experiment.dir().view(3)).unwrap();
        let published = publish_view(&experiment, &mut view, &log, &tail.cursor).unwrap();
        assert_eq!((published, views(&experiment)), (None, vec![3]));
        assert_clean(&experiment);
    }

    #[test]
    fn a_second_repair_of_what_the_first_has_mended_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let experiment = misled(&folder);
        mend(&experiment, Some(4)).unwrap();
        let after = (events(&experiment), views(&experiment));
        assert_eq!(after, ("cfcfr".to_owned(), vec![5]));
        // It has found the same before.
        mend(&experiment, Some(4)).unwrap();
        assert_eq!((events(&experiment), views(&experiment)), after);
        assert_clean(&experiment);
    }
}

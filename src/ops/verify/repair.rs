//! Mending what is safe to mend, under the exclusive lock of the log.
//!
//! It is decided again from the log under the lock, in an order in which it may be killed at any
//! moment and repeated: results are appended again before the row that holds them is blanked, and
//! with them a `repaired` row, after which others read the log again from its start; what is
//! replaced is saved before. After the blanks the `repaired` row is appended once more, for those
//! who have read, without the lock, the first one and then a row that was still to be blanked;
//! where it is missing, the next repair goes through the same steps. Caches come last, since they
//! follow from the log. The lock is released before anything is learned.

use std::collections::BTreeSet;
use std::path::PathBuf;

use jiff::Timestamp;

use crate::ops::journal::{AttemptFiles, Journal};
use crate::ops::train::record::settle_all;
use crate::ops::verify::views::{read_predictors, read_views};
use crate::ops::verify::{files::check_attempts, finding::Repair, log::Examined};
use crate::ops::{Experiment, reduce::refit::refit};
use crate::storage::{Event, Row, WritableReplayLog, fs::publish};

/// Mends the log, renames files aside that are in the way, and replaces wrong caches; `differing`
/// are whole ones that are not what the log says.
pub(crate) fn mend(experiment: &Experiment, differing: &[PathBuf]) -> anyhow::Result<()> {
    let dir = experiment.dir();
    let files = AttemptFiles::list(dir)?;
    let mut log = WritableReplayLog::open(dir)?;
    // Cuts an unfinished end.
    let mut guard = log.lock_exclusive()?;
    // Under the lock: what a reduce publishes later is made of rows of which it sees the end.
    let listed = dir.list_views()?;
    // Another repair may have replaced them.
    let mut caches: BTreeSet<PathBuf> =
        differing.iter().filter(|folder| folder.exists()).cloned().collect();
    let raw = guard.read_raw()?;
    let (_, prefix) = read_views(experiment, &listed, &raw);
    let mut examined = Examined::of(&raw, Some(experiment), prefix);
    if examined.beyond_repair.is_some() {
        return Ok(());
    }
    let now = Timestamp::now().into();
    // What others have read before holds no more.
    let is_repaired =
        !caches.is_empty() || !examined.blanks.is_empty() || examined.lacks_second_row();
    if is_repaired {
        let again = examined.blanks.iter().filter_map(|blank| blank.again.clone());
        let repaired = Row::at(Event::Repaired, now);
        guard.append(&again.chain([repaired.clone()]).collect::<Vec<_>>())?;
        for blank in &examined.blanks {
            guard.blank(&raw.lines[blank.index], &examined.rows[blank.index])?;
        }
        examined = Examined::of(&guard.read_raw()?, Some(experiment), prefix);
        if examined.knowledge.events.contains_key(&Event::Void) {
            guard.append(&[repaired])?;
        }
    }
    let due = examined.knowledge.due_rows(Some(now));
    guard.append(&due)?;
    due.iter().try_for_each(|row| examined.knowledge.apply(row))?;
    // Against the rows as they are now: a view may be of one that was blanked.
    let (views, _) = read_views(experiment, &listed, &guard.read_raw()?);
    let wrong = [views.0, read_predictors(experiment, &examined.rows)?.0].concat();
    caches.extend(wrong.into_iter().map(|finding| finding.path));
    let attempts = check_attempts(&files, dir, &examined)?.into_iter();
    let unknown = attempts.filter(|one| one.repair == Repair::SetAside).map(|one| one.path);
    for path in caches.iter().cloned().chain(unknown) {
        match publish::set_aside(&path) {
            Ok(aside) => log::info!("`{}` was set aside as `{}`", path.display(), aside.display()),
            // By another process.
            Err(error) if error.is_gone() => {}
            Err(error) => return Err(error.into()),
        }
    }
    drop(guard);
    if is_repaired || !caches.is_empty() {
        // What was set aside. Where another repair has begun meanwhile, that one does.
        let mut journal = Journal::open(experiment)?;
        refit(experiment, &journal, |_| Ok(true))?;
        if !journal.new_rows().is_empty() {
            let learned = journal.learn()?;
            journal.publish(&learned, &mut *journal.strategy(experiment)?)?;
        }
    }
    settle_all(experiment)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use sha2::{Digest, Sha256};

    use super::*;
    use crate::ops::init;
    use crate::ops::reduce::lost_claims::EndedJobs;
    use crate::ops::reduce::reduce;
    use crate::ops::train::learn::QValues;
    use crate::ops::train::task::{Claimed, Sampler};
    use crate::ops::train::{Task, TrainOptions};
    use crate::ops::verify::{repair, verify};
    use crate::storage::search_state::Record;
    use crate::storage::view::q_table::write_q_table;
    use crate::storage::{Event, Iteration, LogPosition, ReplayLog};

    fn experiment(folder: &tempfile::TempDir) -> Experiment {
        init::tests::random_search(folder, 9)
    }

    /// Claims with what was read before, and returns the row.
    fn claim(experiment: &Experiment, journal: &mut Journal) -> Row {
        // A task of its own each time, which has no claim to take up again.
        let task = format!("{}", journal.rows().len());
        let task = Task { task, ..Task::current().unwrap() };
        let (options, q_values) = (TrainOptions::default(), &mut QValues::unread(experiment));
        let (task, predictor, reused) = (&task, None, Vec::new());
        let strategy = &mut *experiment.strategy();
        let mut sampler =
            Sampler { experiment, task, options, predictor, q_values, strategy, reused };
        match sampler.claim(journal).unwrap() {
            Claimed::Claim(claim) => claim.row,
            other => panic!("{other:?}"),
        }
    }

    /// Claims an architecture and records that it failed.
    fn fail(experiment: &Experiment) {
        let mut journal = Journal::open(experiment).unwrap();
        let claim = claim(experiment, &mut journal);
        let row = claim.made_up_result(Event::Failed, 0.1, Timestamp::now().into());
        let row = Row { parameters: None, macs: None, layers: None, ..row };
        let recorded = journal.transaction(|transaction| {
            let Record::Append(rows) = transaction.state().record(&row)? else { unreachable!() };
            transaction.push_all(rows)
        });
        recorded.unwrap();
    }

    fn views(experiment: &Experiment) -> Vec<u64> {
        experiment.dir().list_views().unwrap().into_iter().map(|(rows, _)| rows).collect()
    }

    /// The events of the log, an initial each.
    fn events(experiment: &Experiment) -> String {
        let log = ReplayLog::open(experiment.dir()).unwrap();
        let rows = log.read_from(&LogPosition::start()).unwrap().rows;
        rows.iter().map(|row| row.event.to_string().remove(0)).collect()
    }

    #[track_caller]
    fn assert_clean(experiment: &Experiment) {
        let audit = verify(experiment.dir().root()).unwrap();
        assert!(audit.is_clean(), "{:?}", audit.findings);
    }

    /// A search of two failed networks, and its view, which is whole but has another Q-value.
    fn misled(folder: &tempfile::TempDir) -> Experiment {
        let experiment = experiment(folder);
        fail(&experiment);
        fail(&experiment);
        reduce(&experiment, &EndedJobs::None).unwrap();
        let view = experiment.dir().view(4);
        edit(&view.join("q_table.csv"), ",0.5,0", ",0.75,0");
        let text = fs::read(view.join("q_table.csv")).unwrap();
        let sums = fs::read_to_string(view.join("SHA256SUMS")).unwrap();
        let of_view = sums.split_once('\n').unwrap().0;
        let sums = format!("{of_view}\n{:x}  q_table.csv\n", Sha256::digest(text));
        fs::write(view.join("SHA256SUMS"), sums).unwrap();
        assert_eq!((events(&experiment).as_str(), views(&experiment)), ("cfcf", vec![4]));
        experiment
    }

    fn learned(journal: &Journal) -> Vec<u8> {
        write_q_table(journal.learn().unwrap().q_table())
    }

    fn edit(path: &Path, from: &str, to: &str) {
        let text = fs::read_to_string(path).unwrap();
        assert!(text.contains(from), "no `{from}` in {text}");
        fs::write(path, text.replacen(from, to, 1)).unwrap();
    }

    #[test]
    fn a_task_that_learned_from_a_wrong_q_table_learns_again_after_the_repair() {
        let folder = tempfile::tempdir().unwrap();
        let experiment = misled(&folder);
        let mut journal = Journal::open(&experiment).unwrap();
        let mut q_table = journal.learn().unwrap();
        let wrong = write_q_table(q_table.q_table());
        assert!(repair(experiment.dir().root()).unwrap().is_clean());
        assert_eq!((events(&experiment).as_str(), views(&experiment)), ("cfcfr", vec![5]));
        journal.refresh().unwrap();
        journal.learn_on(&mut q_table).unwrap();
        let right = write_q_table(q_table.q_table());
        assert_eq!(right, learned(&Journal::open(&experiment).unwrap()));
        assert_ne!(right, wrong);
        assert_clean(&experiment);
    }

    #[test]
    fn a_row_that_was_read_and_blanked_before_the_lock_decides_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let experiment = experiment(&folder);
        fail(&experiment);
        let mut journal = Journal::open(&experiment).unwrap();
        assert_eq!(journal.state().known.len(), 1);
        edit(&experiment.dir().replay_log(), "1,failed,1", "?,failed,1");
        assert!(repair(experiment.dir().root()).unwrap().is_clean());
        let known = journal.transaction(|transaction| Ok(transaction.state().clone())).unwrap();
        assert_eq!((known.known.len(), known.events[&Event::Void]), (0, 1));
        // The row may have been the claim of the second iteration.
        assert_eq!(claim(&experiment, &mut journal).iteration, Some(Iteration(3)));
        assert_eq!(events(&experiment), "cvrrc");
        assert_clean(&experiment);
    }

    #[test]
    fn a_view_from_before_a_repair_is_not_learned_from_though_it_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let experiment = misled(&folder);
        // As after a repair that was killed, or where a client of NFS shows the folder of views as
        // it was.
        let mut opened = Journal::open(&experiment).unwrap();
        let mut learned = opened.learn().unwrap();
        let mut log = WritableReplayLog::open(experiment.dir()).unwrap();
        let repaired = Row::at(Event::Repaired, Timestamp::now().into());
        log.lock_exclusive().unwrap().append(&[repaired]).unwrap();
        let mut journal = Journal::open(&experiment).unwrap();
        let anew = journal.learn().unwrap();
        assert_ne!(learned.q_table(), anew.q_table());
        opened.refresh().unwrap();
        opened.learn_on(&mut learned).unwrap();
        assert_eq!(learned.q_table(), anew.q_table());
        assert!(journal.view().is_none());
        assert_eq!(claim(&experiment, &mut journal).iteration, Some(Iteration(3)));
        reduce(&experiment, &EndedJobs::None).unwrap();
        assert_eq!(views(&experiment), [4, 6]);
        assert_clean(&experiment);
    }

    #[test]
    fn a_view_whose_rows_were_blanked_meanwhile_is_skipped_and_not_published() {
        let folder = tempfile::tempdir().unwrap();
        let experiment = experiment(&folder);
        fail(&experiment);
        let mut journal = Journal::open(&experiment).unwrap();
        let old = journal.learn().unwrap();
        edit(&experiment.dir().replay_log(), "1,failed,1", "1,frailty,");
        assert!(repair(experiment.dir().root()).unwrap().is_clean());
        old.publish(experiment.dir(), journal.position(), journal.rows(), None).unwrap();
        // Nobody sees the newest one yet.
        fs::rename(experiment.dir().view(4), folder.path().join("4")).unwrap();
        let other = Journal::open(&experiment).unwrap();
        assert!(other.view().is_none() && other.state().known.is_empty());
        fs::rename(folder.path().join("4"), experiment.dir().view(4)).unwrap();
        assert!(!journal.publish(&old, &mut *experiment.strategy()).unwrap());
        assert_eq!(views(&experiment), [4]);
        assert_clean(&experiment);
    }

    #[test]
    fn a_repair_killed_between_its_rows_is_completed_by_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let experiment = experiment(&folder);
        fail(&experiment);
        fail(&experiment);
        let path = experiment.dir().replay_log();
        edit(&path, "1,failed,1", "?,failed,1");
        let dir = experiment.dir().root();
        assert!(repair(dir).unwrap().is_clean());
        assert_eq!(events(&experiment), "cvcfrr");
        // It was killed after its last blank, and a task goes on, which has read before that.
        let text = fs::read_to_string(&path).unwrap();
        let end = text.trim_end().rfind('\n').unwrap() + 1;
        fs::write(&path, &text[..end]).unwrap();
        fs::remove_dir_all(experiment.dir().view(6)).unwrap();
        fail(&experiment);
        let mut reader = Journal::open(&experiment).unwrap();
        let learned = reader.learn().unwrap();
        let audit = verify(dir).unwrap();
        assert!(audit.findings.iter().any(|it| it.repair == Repair::AppendRows), "{audit}");
        assert!(repair(dir).unwrap().findings[0].repaired);
        assert_eq!(events(&experiment), "cvcfrcfrr");
        reader.refresh().unwrap();
        assert_ne!(reader.learn().unwrap().replays, learned.replays);
        let after = verify(dir).unwrap();
        assert!(after.findings.iter().all(|it| it.repair == Repair::None), "{after}");
    }

    #[test]
    fn a_second_repair_of_what_the_first_has_mended_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let experiment = misled(&folder);
        let wrong = [experiment.dir().view(4)];
        mend(&experiment, &wrong).unwrap();
        let after = (events(&experiment), views(&experiment));
        assert_eq!(after, ("cfcfr".to_owned(), vec![5]));
        // It has found the same before.
        mend(&experiment, &wrong).unwrap();
        assert_eq!((events(&experiment), views(&experiment)), after);
        assert_clean(&experiment);
    }
}

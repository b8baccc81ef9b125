//! The replay log, opened, and all that follows from its rows.
//!
//! A [`Journal`] reads the whole log without a lock, up to the last whole row, and what came since
//! under it. Rows are decided and appended in a [`Transaction`], under the exclusive lock, which is
//! taken when some hundred rows at most are left to read.
//!
//! A repair appends a `repaired` row before it blanks rows that others have read. Who finds one
//! under the lock replays the log from the start; views from before it decide nothing. (The folder
//! of views could not say so: a client of NFS may show it as it was for up to `acdirmax`, 60 s by
//! default, but never the end of a log that it has locked.) After an error, too, all is replayed.

use std::mem;
use std::path::{Path, PathBuf};
use std::time::Instant;

use jiff::Timestamp;

use crate::ops::{Experiment, Refusal};
use crate::q_learning::QTable;
use crate::storage::view::files::{set_aside, skip};
use crate::storage::view::{Learned, View, ViewParams};
use crate::storage::{
    Attempt, Event, ExclusiveGuard, ExperimentDir, Knowledge, LockTimeout, LogPosition, ReplayLog,
    Row, StorageError, Tail, WritableReplayLog,
};
use crate::strategy::{SearchHistory, Strategy};

/// Bytes of the log that are too many to be read under the exclusive lock: about 100 rows.
const FAR_BEHIND: u64 = 1 << 15;
const MOST_RETREATS: u32 = 3;

/// The rows of the log up to a cursor, and the search state folded from them.
struct Prefix {
    rows: Vec<Row>,
    state: Knowledge,
    cursor: LogPosition,
    /// Device and inode of the file: another program may put one in its place.
    file: (u64, u64),
    /// How often it was replayed from the start: what was made of rows before may be of others.
    replays: u32,
}

impl Prefix {
    fn nothing(file: (u64, u64), replays: u32) -> Self {
        let state = Knowledge::default();
        Self { rows: Vec::new(), state, cursor: LogPosition::start(), file, replays }
    }

    /// Takes in all rows after the cursor, or none: after a repair, or where the rules refuse one.
    fn take_in(&mut self, tail: Tail) -> Result<(), StorageError> {
        let is_repair = |row: &Row| row.event == Event::Repaired;
        if !self.rows.is_empty() && tail.rows.iter().any(is_repair) {
            return Err(StorageError::Changed { path: tail.path, how: "a repair began".into() });
        }
        for (before, row) in (self.cursor.rows..).zip(&tail.rows) {
            if let Err(violation) = self.state.apply(row) {
                self.state = Knowledge::default();
                self.rows.iter().try_for_each(|row| self.state.apply(row)).expect("applied before");
                return Err(StorageError::row(&tail.path, before, violation));
            }
        }
        match self.rows.is_empty() {
            true => self.rows = tail.rows,
            false => self.rows.extend(tail.rows),
        }
        self.cursor = tail.cursor;
        Ok(())
    }

    /// Takes in what was read under the lock; `false` where the log was repaired or put back from a
    /// copy, so that all is to be read again.
    fn read_on(&mut self, tail: Result<Tail, StorageError>) -> Result<bool, StorageError> {
        match tail.and_then(|tail| self.take_in(tail)) {
            Err(error) if error.is_damage() && !self.rows.is_empty() => {
                *self = Self::nothing(self.file, self.replays + 1);
                Ok(false)
            }
            read => read.map(|()| true),
        }
    }
}

pub(crate) struct Journal {
    dir: ExperimentDir,
    params: ViewParams,
    pub timeout: LockTimeout,
    /// Whether whole rows are read without the lock when that stays taken.
    only_looks: bool,
    replay: Prefix,
    view: Option<View>,
    /// The view that was checked last, and against the rows of which replay.
    checked: Option<(u32, LogPosition)>,
}

impl Journal {
    /// Replays the log. The folders that rows speak of are there afterwards.
    pub fn open(experiment: &Experiment) -> anyhow::Result<Self> {
        experiment.dir().make_folders()?;
        Self::open_with(experiment, false)
    }

    /// Refuses a log that lacks the rows of an attempt whose files are there.
    pub fn open_checked(experiment: &Experiment) -> anyhow::Result<Self> {
        let files = AttemptFiles::list(experiment.dir())?;
        let journal = Self::open(experiment)?;
        files.check(journal.state())?;
        Ok(journal)
    }

    /// Waits 2 s for the lock, then takes what is there.
    pub fn open_to_look(experiment: &Experiment) -> anyhow::Result<Self> {
        Self::open_with(experiment, true)
    }

    fn open_with(experiment: &Experiment, only_looks: bool) -> anyhow::Result<Self> {
        let mut journal = Self {
            dir: experiment.dir().clone(),
            params: experiment.view_params(),
            timeout: LockTimeout::default(),
            only_looks,
            replay: Prefix::nothing((0, 0), 0),
            view: None,
            checked: None,
        };
        journal.refresh()?;
        journal.renew()?;
        Ok(journal)
    }

    pub fn rows(&self) -> &[Row] {
        &self.replay.rows
    }

    pub const fn state(&self) -> &Knowledge {
        &self.replay.state
    }

    pub const fn replays(&self) -> u32 {
        self.replay.replays
    }

    /// The newest view when the journal was opened or renewed; none once a repair has begun since.
    pub fn view(&self) -> Option<&View> {
        self.view.as_ref().filter(|view| !self.is_repaired_after(view.rows()))
    }

    pub fn view_rows(&self) -> usize {
        self.view().map_or(0, |view| view.rows() as usize)
    }

    pub fn new_rows(&self) -> &[Row] {
        self.rows().get(self.view_rows()..).unwrap_or_default()
    }

    pub fn position(&self) -> LogPosition {
        self.replay.cursor
    }

    fn open_log(&self) -> Result<ReplayLog, StorageError> {
        (if self.only_looks { ReplayLog::open_to_look } else { ReplayLog::open })(&self.dir)
    }

    pub fn refresh(&mut self) -> anyhow::Result<()> {
        let log = self.open_log()?;
        self.read_whole_rows(&log)?;
        while !self.replay.read_on(log.read_from(&self.replay.cursor))? {
            self.read_whole_rows(&log)?;
        }
        Ok(())
    }

    /// Reads on without the lock, as far as that goes, and never waits.
    pub fn look(&mut self) {
        let read = self.open_log().and_then(|log| self.read_whole_rows(&log));
        log::debug!("read on: {}", read.is_ok());
    }

    /// Reads on without the lock; damage, which may be a row that is being written, is left to it:
    /// returns false.
    fn read_whole_rows(&mut self, log: &ReplayLog) -> Result<bool, StorageError> {
        let file = log.identity()?;
        if self.replay.file != file {
            self.replay = Prefix::nothing(file, self.replay.replays + 1);
        }
        let tail = log.read_unlocked(&self.replay.cursor);
        let read = tail.and_then(|tail| self.replay.take_in(tail));
        if let Err(error) = &read {
            log::debug!("the log is read under its lock: {error}");
        }
        Ok(read.is_ok())
    }

    /// Reads on, and looks for a newer view; one that does not fit the log is an error. Without the
    /// lock where it can be: a claim is decided under it anyway, and need not wait for it twice.
    pub fn renew(&mut self) -> anyhow::Result<()> {
        // First, so that its rows are read; NFS may show it before them.
        let view = View::newest(&self.dir, &self.params.sha256, Ok, skip)?;
        let is_read = self.read_whole_rows(&self.open_log()?)?;
        if !is_read || view.as_ref().is_some_and(|view| view.rows() > self.position().rows) {
            self.refresh()?;
        }
        self.view = view;
        let found = self.view().map(|view| (self.replay.replays, view.position));
        if let Some((replays, position)) = found.filter(|_| found != self.checked) {
            // What was checked in this replay changes no more.
            let before = self.checked.filter(|(of, at)| *of == replays && at.byte <= position.byte);
            let checked = before.map_or(LogPosition::ORIGIN, |(_, at)| at);
            self.open_log()?.check_from(&checked, &position)?;
        }
        self.checked = found;
        Ok(())
    }

    /// Whether the rows before a place are those of this log.
    pub fn begins_with(&self, position: &LogPosition) -> bool {
        // The view was checked when it was found.
        self.view().is_some_and(|view| view.position == *position)
            || self.open_log().and_then(|log| log.check_prefix(position)).is_ok()
    }

    /// Whether a repair has begun after so many rows, so that what was made of them is stale.
    fn is_repaired_after(&self, rows: u64) -> bool {
        self.rows().iter().skip(rows as usize).any(|row| row.event == Event::Repaired)
    }

    pub fn published_q_table(&self) -> anyhow::Result<(usize, QTable)> {
        let read = |view: View| Ok((view.rows() as usize, view.q_table(&self.params)?));
        let newest = self.newest(read)?;
        let initial = self.params.q_learning.initial_q_value;
        Ok(newest.unwrap_or_else(|| (0, QTable::new(self.params.space.clone(), initial))))
    }

    /// Learns from all rows that were read, beginning with the newest view that is whole.
    pub fn learn(&self) -> anyhow::Result<Learned> {
        let log = self.dir.replay_log();
        let resume = |view: View| {
            let mut learned = Learned::resume(self.params.clone(), &view, self.rows(), &log)?;
            learned.learn(self.rows(), &log).map(|()| learned)
        };
        let newest = self.newest(resume)?;
        let mut learned = newest.unwrap_or_else(|| Learned::nothing(self.params.clone()));
        learned.replays = self.replay.replays;
        self.learn_on(&mut learned)?;
        Ok(learned)
    }

    pub fn learn_on(&self, learned: &mut Learned) -> anyhow::Result<()> {
        if learned.replays != self.replay.replays {
            *learned = self.learn()?;
        }
        Ok(learned.learn(self.rows(), &self.dir.replay_log())?)
    }

    /// Reads the newest view that `read` accepts, not newer than that of the journal.
    fn newest<T>(
        &self,
        read: impl Fn(View) -> Result<T, StorageError>,
    ) -> anyhow::Result<Option<T>> {
        let Some(newest) = self.view() else { return Ok(None) };
        let log = self.open_log()?;
        let read = |view: View| {
            // Published meanwhile, or older than the damaged newest one.
            if view.rows() > newest.rows() || self.is_repaired_after(view.rows()) {
                return Err(self.other_rows());
            }
            if view.rows() != newest.rows() {
                log.check_prefix(&view.position)?;
            }
            read(view)
        };
        Ok(View::newest(&self.dir, &self.params.sha256, read, skip)?)
    }

    fn other_rows(&self) -> StorageError {
        let (path, how) = (self.dir.replay_log(), "a view is of other rows".to_owned());
        StorageError::Changed { path, how }
    }

    /// What a strategy goes by that has seen so many rows.
    fn history<'a>(&'a self, rows: usize, q_table: &'a QTable) -> SearchHistory<'a> {
        let (rows, replays, state) = (&self.rows()[..rows], self.replays(), self.state());
        SearchHistory { rows, replays, state, epsilon: None, q_table }
    }

    /// The strategy as the newest view that is whole has it, or new.
    pub fn strategy(&self, experiment: &Experiment) -> anyhow::Result<Box<dyn Strategy>> {
        let q_table = QTable::new(self.params.space.clone(), 0.0);
        let resume = |view: View| {
            let mut strategy = experiment.strategy();
            if let Some(state) = view.strategy()? {
                let resumed =
                    strategy.resume(&self.history(view.rows() as usize, &q_table), &state);
                resumed.ok_or_else(|| view.wrong_strategy())?;
            }
            Ok(strategy)
        };
        Ok(self.newest(resume)?.unwrap_or_else(|| experiment.strategy()))
    }

    /// Publishes what was learned from all rows; `false` where a repair has voided it meanwhile.
    pub fn publish(
        &mut self,
        learned: &Learned,
        strategy: &mut dyn Strategy,
    ) -> anyhow::Result<bool> {
        let position = self.position();
        let state = strategy.state(&self.history(self.rows().len(), learned.q_table()));
        learned.publish(&self.dir, position, self.rows(), state.as_deref())?;
        self.refresh()?;
        let is_stale = self.is_repaired_after(position.rows);
        if is_stale {
            set_aside(&self.dir.view(position.rows), &self.other_rows());
        }
        Ok(!is_stale)
    }

    /// Lets `decide` push rows under the exclusive lock, which are appended when it returns.
    pub fn transaction<T>(
        &mut self,
        decide: impl FnOnce(&mut Transaction<'_>) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let mut log = WritableReplayLog::open(&self.dir)?;
        log.reader.timeout = self.timeout;
        let mut retreats = 0..MOST_RETREATS;
        let guard = loop {
            self.read_whole_rows(&log.reader)?;
            let guard = log.lock_exclusive()?;
            let is_near = guard.end <= self.replay.cursor.byte + FAR_BEHIND;
            if (is_near || retreats.next().is_none())
                && self.replay.read_on(guard.read_from(&self.replay.cursor))?
            {
                break guard;
            }
        };
        let locked = Instant::now();
        let again = Prefix::nothing(self.replay.file, self.replay.replays + 1);
        let replay = mem::replace(&mut self.replay, again);
        let mut transaction = Transaction { guard, written: replay.rows.len(), replay };
        let decided = decide(&mut transaction)?;
        transaction.write()?;
        self.replay = transaction.replay;
        drop(transaction.guard);
        log::debug!("the log was locked for {} us", locked.elapsed().as_micros());
        Ok(decided)
    }

    /// Appends `halted` or `resumed` where the search, as it is under the lock, `needs` it; returns
    /// whether it did.
    pub fn switch(
        &mut self,
        event: Event,
        needs: impl FnOnce(&Knowledge) -> bool,
    ) -> anyhow::Result<bool> {
        self.transaction(|transaction| {
            let is_needed = needs(transaction.state());
            if is_needed {
                transaction.push(Row::at(event, Timestamp::now().into()))?;
            }
            Ok(is_needed)
        })
    }
}

pub(crate) struct Transaction<'a> {
    guard: ExclusiveGuard<'a>,
    replay: Prefix,
    written: usize,
}

impl Transaction<'_> {
    pub const fn state(&self) -> &Knowledge {
        &self.replay.state
    }

    pub const fn replays(&self) -> u32 {
        self.replay.replays
    }

    /// The rows of the log, and those that were pushed.
    pub fn rows(&self) -> &[Row] {
        &self.replay.rows
    }

    pub fn push(&mut self, row: Row) -> anyhow::Result<()> {
        self.replay.state.apply(&row)?;
        self.replay.rows.push(row);
        Ok(())
    }

    pub fn push_all(&mut self, rows: Vec<Row>) -> anyhow::Result<()> {
        rows.into_iter().try_for_each(|row| self.push(row))
    }

    /// Whether this very result, of this attempt, is in the log.
    pub fn has_result_of(&self, result: &Row) -> bool {
        let key = |row: &Row| (row.iteration, row.attempt, row.reward);
        self.rows().iter().any(|row| row.event.is_result() && key(row) == key(result))
    }

    /// Syncs what was appended before, perhaps by a writer whose own sync failed.
    pub fn sync(&self) -> anyhow::Result<()> {
        Ok(self.guard.sync()?)
    }

    /// Appends what was pushed, in one write, before the end of the transaction.
    pub fn write(&mut self) -> anyhow::Result<()> {
        let pushed = &self.replay.rows[self.written..];
        if !pushed.is_empty() {
            self.guard.append(pushed)?;
            self.written = self.replay.rows.len();
            self.replay.cursor = self.guard.read_from(&self.replay.cursor)?.cursor;
        }
        Ok(())
    }
}

/// Files of attempts: to be listed before the log is read, so that the log holds the claim of each.
///
/// An attempt begins with a row of the log, so a file of one without any row means that rows were
/// lost: the log was put back from an older copy, or its server has lost its last seconds. It would
/// be in the way of the attempt that gets its number.
#[derive(Debug, Clone)]
pub(crate) struct AttemptFiles {
    pub curves: Vec<(Attempt, PathBuf)>,
    pub results: Vec<(Attempt, PathBuf)>,
    pub checkpoints: Vec<(Attempt, PathBuf)>,
    pub models: Vec<(Attempt, PathBuf)>,
}

impl AttemptFiles {
    pub fn list(dir: &ExperimentDir) -> Result<Self, StorageError> {
        let (curves, results) = dir.list_curves_and_results()?;
        let (checkpoints, models) = (dir.list_checkpoints()?, dir.list_models()?);
        Ok(Self { curves, results, checkpoints, models })
    }

    pub fn unknown(&self, knows: impl Fn(Attempt) -> bool) -> impl Iterator<Item = &Path> {
        let all = [&self.curves, &self.results, &self.checkpoints, &self.models];
        all.into_iter()
            .flatten()
            .filter(move |(attempt, _)| !knows(*attempt))
            .map(|(_, path)| path.as_path())
    }

    /// Refuses to go on where the log, read after they were listed, lacks the rows of one.
    pub fn check(&self, knowledge: &Knowledge) -> Result<(), Refusal> {
        let mut unknown = self.unknown(|attempt| knowledge.has_begun(attempt));
        let Some(file) = unknown.next() else { return Ok(()) };
        let others = match unknown.count() {
            0 => String::new(),
            others => format!(" (and {others} other files)"),
        };
        Err(Refusal::Damage(format!(
            "the log lacks rows: `{}`{others} is there, and no row of it (the next iteration would \
             be {}; put back the newer log if it was replaced by an older copy, else `metaqnn \
             verify --repair` sets such files aside)",
            file.display(),
            knowledge.next_iteration
        )))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::ops::init;
    use crate::ops::reduce::lost_claims::EndedJobs;
    use crate::ops::reduce::reduce;
    use crate::storage::Iteration;

    fn experiment(folder: &tempfile::TempDir) -> Experiment {
        init::tests::random_search(folder, 1)
    }

    /// Returns a search of one row, which was read.
    fn halted_search(folder: &tempfile::TempDir) -> (Experiment, Journal) {
        let experiment = experiment(folder);
        let mut journal = Journal::open(&experiment).unwrap();
        journal.switch(Event::Halted, |_| true).unwrap();
        assert!(journal.state().halted);
        (experiment, journal)
    }

    #[test]
    fn a_newer_view_is_found_by_renewing() {
        let folder = tempfile::tempdir().unwrap();
        let (experiment, mut journal) = halted_search(&folder);
        Journal::open(&experiment).unwrap().switch(Event::Resumed, |state| state.halted).unwrap();
        reduce(&experiment, &EndedJobs::None).unwrap();
        journal.refresh().unwrap();
        assert_eq!((journal.view_rows(), journal.rows().len()), (0, 2));
        journal.renew().unwrap();
        assert_eq!((journal.view_rows(), journal.new_rows().len()), (2, 0));
    }

    #[test]
    fn rows_of_a_transaction_that_fails_are_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let (experiment, mut journal) = halted_search(&folder);
        let failed = journal.transaction(|transaction| {
            transaction.push(Row::at(Event::Resumed, Timestamp::now().into()))?;
            assert!(!transaction.state().halted);
            anyhow::bail!("made up");
            #[allow(unreachable_code)]
            Ok(())
        });
        assert!(failed.is_err() && journal.rows().is_empty());
        journal.refresh().unwrap();
        assert!(journal.state().halted && journal.rows().len() == 1);
        assert_eq!(Journal::open(&experiment).unwrap().rows().len(), 1);
    }

    #[test]
    fn damage_that_is_seen_without_the_lock_costs_no_row_and_a_repair_is_noticed_under_it() {
        let folder = tempfile::tempdir().unwrap();
        let (experiment, mut journal) = halted_search(&folder);
        let path = experiment.dir().replay_log();
        let text = fs::read_to_string(&path).unwrap();
        let log = ReplayLog::open(experiment.dir()).unwrap();
        let replays = journal.replay.replays;
        let repaired = text.lines().last().unwrap().replace("halted", "repaired") + "\n";
        let lost = Row::at(Event::Lost, Timestamp::now().into());
        let lost = Row { iteration: Some(Iteration(7)), attempt: Some(1), ..lost };
        let without_a_claim = String::from_utf8(lost.to_line().unwrap()).unwrap();
        for end in ["1,trained\n", &without_a_claim, &repaired] {
            fs::write(&path, text.clone() + end).unwrap();
            journal.read_whole_rows(&log).unwrap();
            let kept = (journal.rows().len(), journal.state().halted, journal.replay.replays);
            assert_eq!(kept, (1, true, replays), "{end}");
        }
        journal.refresh().unwrap();
        assert_eq!((journal.rows().len(), journal.replay.replays), (2, replays + 1));
    }

    #[test]
    fn a_log_in_the_place_of_the_one_that_was_read_is_read_anew() {
        let folder = tempfile::tempdir().unwrap();
        let (experiment, mut journal) = halted_search(&folder);
        let log = experiment.dir().replay_log();
        let text = fs::read_to_string(&log).unwrap();
        let header = text.split_inclusive('\n').next().unwrap();
        for is_replaced in [false, true] {
            if is_replaced {
                fs::rename(&log, folder.path().join("old")).unwrap();
            }
            fs::write(&log, header).unwrap();
            journal.refresh().unwrap();
            assert!(journal.rows().is_empty() && !journal.state().halted);
            fs::write(&log, &text).unwrap();
            journal.refresh().unwrap();
            assert!(journal.state().halted);
        }
    }

    #[test]
    fn a_view_that_does_not_fit_the_log_stops_until_a_repair() {
        let folder = tempfile::tempdir().unwrap();
        let (experiment, mut journal) = halted_search(&folder);
        reduce(&experiment, &EndedJobs::None).unwrap();
        let log = experiment.dir().replay_log();
        let text = fs::read_to_string(&log).unwrap();
        fs::write(&log, text.replace("halted", "resumed")).unwrap();
        let error = Journal::open(&experiment).err().unwrap();
        assert!(matches!(error.downcast_ref(), Some(StorageError::Changed { .. })), "{error:#}");
        journal.transaction(|_| Ok(())).unwrap();
    }
}

//! A view: what was learned from the first rows of the log, `views/<rows>/`.
//!
//! `view.yaml` says of which rows, `q_table.csv` holds the Q-table, `strategy.bin` the numbers that
//! the strategy has learned, if it does, 8 bytes each, the least significant first; `SHA256SUMS`
//! checks them (by hand: `sha256sum -c SHA256SUMS`). The replay memory behind the Q-table is made of
//! the rows.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::outcome::Accuracy;
use crate::q_learning::{Learner, QTable, ValidQLearningParams};
use crate::seed::{Purpose, generator};
use crate::space::Space;
use crate::storage::log::event::{Event, Row};
use crate::storage::view::files::{self, OnDamage, read_checked};
use crate::storage::view::q_table::{read_q_table, write_q_table};
use crate::storage::{
    dir::ExperimentDir, error::Result, error::StorageError, fs::publish::Published, fs::yaml,
    log::position::LogPosition,
};

/// What a view is a function of, besides the rows.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ViewParams {
    pub space: Space,
    pub q_learning: ValidQLearningParams,
    pub seed: u64,
    /// Checksum of `experiment.yaml`, which decides all of it.
    pub sha256: String,
}

const VIEW: &str = "view.yaml";
const Q_TABLE: &str = "q_table.csv";
const STRATEGY: &str = "strategy.bin";

/// A published Q-table, not yet read: what `view.yaml` says, and where it lies.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct View {
    program: String,
    /// The prefix of the log that it was learned from.
    #[serde(rename = "log")]
    pub position: LogPosition,
    configuration_sha256: String,
    /// `set` rows in that prefix.
    set_rows: usize,
    /// Numbers in `strategy.bin`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    strategy: Option<usize>,
    #[serde(skip)]
    pub folder: PathBuf,
}

impl View {
    pub fn read(folder: &Path, rows: u64, sha256: &str) -> Result<Self> {
        let path = folder.join(VIEW);
        let view: Self = yaml::parse(&read_checked(folder, VIEW)?, &path)?;
        if view.rows() != rows {
            return Err(StorageError::damaged(&path, "is of other rows than its name"));
        }
        if view.configuration_sha256 != sha256 {
            return Err(StorageError::OtherConfiguration { path: folder.to_owned() });
        }
        Ok(Self { folder: folder.to_owned(), ..view })
    }

    pub fn newest<T>(
        dir: &ExperimentDir,
        sha256: &str,
        read: impl Fn(Self) -> Result<T>,
        on_damage: OnDamage,
    ) -> Result<Option<T>> {
        let read = |rows, folder: &Path| read(Self::read(folder, rows, sha256)?);
        files::newest(dir.list_views()?, read, on_damage)
    }

    pub const fn rows(&self) -> u64 {
        self.position.rows
    }

    pub fn q_table_csv(&self) -> Result<Vec<u8>> {
        read_checked(&self.folder, Q_TABLE)
    }

    pub fn strategy(&self) -> Result<Option<Vec<f64>>> {
        let Some(count) = self.strategy else { return Ok(None) };
        let bytes = read_checked(&self.folder, STRATEGY)?;
        if bytes.len() != 8 * count {
            return Err(self.wrong_strategy());
        }
        let number = |bytes: &[u8]| f64::from_le_bytes(bytes.try_into().expect("8 bytes"));
        Ok(Some(bytes.chunks_exact(8).map(number).collect()))
    }

    pub fn wrong_strategy(&self) -> StorageError {
        StorageError::damaged(&self.folder.join(STRATEGY), "is of another strategy")
    }

    pub fn q_table(&self, params: &ViewParams) -> Result<QTable> {
        let initial = params.q_learning.initial_q_value;
        let path = self.folder.join(Q_TABLE);
        read_q_table(&self.q_table_csv()?, params.space.clone(), initial, &path)
    }

    /// Whether the view is what is learned from its rows.
    pub fn is_as_learned(&self, params: ViewParams, rows: &[Row], log: &Path) -> Result<bool> {
        let rows = &rows[..self.rows() as usize];
        let mut learned = Learned::nothing(params);
        learned.learn(rows, log)?;
        let is_same = self.q_table_csv()? == write_q_table(learned.q_table());
        Ok(is_same && self.set_rows == set_rows(rows))
    }
}

/// The Q-table and the replay memory after some rows of the log. A row's draws from the memory
/// depend on its iteration alone: it does not matter who learns from it, nor when.
#[derive(Debug, Clone)]
pub(crate) struct Learned {
    params: ViewParams,
    learner: Learner,
    /// The folder of the view that it was resumed from.
    resumed_from: PathBuf,
    pub rows: usize,
    /// Which replay of the journal read them.
    pub replays: u32,
}

impl Learned {
    pub fn nothing(params: ViewParams) -> Self {
        let learner = Learner::new(params.q_learning.clone(), params.space.clone());
        Self { params, learner, resumed_from: PathBuf::new(), rows: 0, replays: 0 }
    }

    pub fn resume(params: ViewParams, view: &View, rows: &[Row], log: &Path) -> Result<Self> {
        let count = view.rows() as usize;
        let q_table = view.q_table(&params)?;
        let rows = rows.get(..count).ok_or_else(|| {
            StorageError::damaged(&view.folder, "is of more rows than the log has")
        })?;
        let memory = rows.iter().enumerate();
        let memory = memory.filter_map(|(before, row)| in_memory(row, before, log).transpose());
        let memory = memory.collect::<Result<Vec<_>>>()?;
        let learner = Learner::resume(params.q_learning.clone(), q_table, memory);
        let resumed_from = view.folder.clone();
        Ok(Self { params, learner, resumed_from, rows: count, replays: 0 })
    }

    /// `rows` are all rows of the log, also those that it has learned from.
    pub fn learn(&mut self, rows: &[Row], log: &Path) -> Result<()> {
        for row in rows.iter().skip(self.rows) {
            let before = self.rows;
            if let Some((architecture, reward)) = in_memory(row, before, log)? {
                let read = self.params.space.parse(&architecture);
                let architecture =
                    read.map_err(|error| StorageError::row(log, before as u64, error))?;
                let iteration = row.iteration.expect("results and their reuse have one");
                let mut rng = generator(self.params.seed, Purpose::Replay, iteration.0, 0);
                self.learner.learn(&architecture, reward, &mut rng).map_err(|error| {
                    StorageError::damaged(&self.resumed_from, error.to_string())
                })?;
            }
            self.rows += 1;
        }
        Ok(())
    }

    pub const fn q_table(&self) -> &QTable {
        self.learner.q_table()
    }

    pub fn publish(
        &self,
        dir: &ExperimentDir,
        position: LogPosition,
        rows: &[Row],
        strategy: Option<&[f64]>,
    ) -> Result<Published> {
        assert_eq!(position.rows, self.rows as u64, "a view is that of the rows learned from");
        let path = dir.view(position.rows);
        let view = View {
            program: env!("CARGO_PKG_VERSION").to_owned(),
            position,
            configuration_sha256: self.params.sha256.clone(),
            set_rows: set_rows(&rows[..self.rows]),
            strategy: strategy.map(<[f64]>::len),
            folder: path.clone(),
        };
        let view = yaml::print(&view, &path.join(VIEW))?.into_bytes();
        let q_table = write_q_table(self.q_table());
        let numbers = strategy.map(|it| it.iter().flat_map(|it| it.to_le_bytes()).collect());
        let of_strategy = numbers.map(|bytes| (STRATEGY, bytes));
        let files = [(VIEW, view), (Q_TABLE, q_table)].into_iter().chain(of_strategy);
        let published = files::publish(&path, files.collect())?;
        files::remove_old(dir.list_views()?);
        Ok(published)
    }
}

fn set_rows(rows: &[Row]) -> usize {
    rows.iter().filter(|row| row.event == Event::Set).count()
}

/// What a row of the log, after `before` others, adds to the replay memory.
fn in_memory(row: &Row, before: usize, log: &Path) -> Result<Option<(Arc<str>, Accuracy)>> {
    let taken = row.architecture.clone().zip(row.memory());
    let Some((architecture, (_, reward))) = taken else { return Ok(None) };
    let reward =
        Accuracy::new(reward).map_err(|error| StorageError::row(log, before as u64, error))?;
    Ok(Some((architecture, reward)))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use proptest::prelude::*;

    use super::*;
    use crate::storage::dir::Folder;
    use crate::storage::log::position::LogPosition;
    use crate::storage::log::random_log::{params, random_log};
    use crate::storage::view::files::{SUMS, set_aside, skip};

    fn learned(rows: &[Row]) -> Learned {
        let mut learned = Learned::nothing(params());
        learned.learn(rows, Path::new("replay.csv")).unwrap();
        learned
    }

    /// Publishes the view of all these rows, and returns its folder.
    fn published(dir: &ExperimentDir, rows: &[Row]) -> PathBuf {
        publish(dir, rows);
        dir.view(rows.len() as u64)
    }

    fn publish(dir: &ExperimentDir, rows: &[Row]) -> Published {
        let mut cursor = LogPosition::start();
        rows.iter().for_each(|row| cursor.advance(&row.to_line().unwrap(), 1));
        learned(rows).publish(dir, cursor, rows, Some(&[1.5, -0.0])).unwrap()
    }

    fn newest(dir: &ExperimentDir, on_damage: OnDamage) -> Option<View> {
        let read = |view: View| {
            assert_eq!(view.q_table(&params()).and(view.strategy())?, Some(vec![1.5, -0.0]));
            Ok(view)
        };
        View::newest(dir, &params().sha256, read, on_damage).unwrap()
    }

    fn newest_rows(dir: &ExperimentDir) -> u64 {
        newest(dir, skip).map_or(0, |view| view.rows())
    }

    fn q_table(learned: &Learned) -> Vec<u8> {
        write_q_table(learned.q_table())
    }

    #[test]
    fn results_and_reused_rows_with_a_reward_are_learned_from_by_the_generator_of_their_iteration()
    {
        let log = random_log(3, 60);
        let ViewParams { space, q_learning, seed, .. } = params();
        let mut learner = Learner::new(q_learning, space.clone());
        for row in &log {
            if let Some((architecture, reward)) = row.memory() {
                let architecture = space.parse(architecture).unwrap();
                let mut rng = generator(seed, Purpose::Replay, row.iteration.unwrap().0, 0);
                learner.learn(&architecture, Accuracy::new(reward).unwrap(), &mut rng).unwrap();
            }
        }
        assert!(learned(&log).q_table() == learner.q_table());
    }

    #[test]
    fn a_row_that_cannot_be_right_is_named() {
        let log = random_log(5, 10);
        let mut wrong = log.iter().find(|row| row.memory().is_some()).unwrap().clone();
        wrong.reward = Some(86.0);
        let mut learned = learned(&log);
        let rows = [&log[..], &[wrong]].concat();
        let error = learned.learn(&rows, Path::new("replay.csv")).unwrap_err();
        // After the header and the rows of the log.
        let line = format!("`replay.csv` is damaged at line {}", log.len() + 2);
        assert!(error.to_string().contains(&line), "{error}");
    }

    #[test]
    fn the_newest_view_is_read_and_three_are_kept() {
        let (_folder, dir) = ExperimentDir::made_up();
        assert_eq!(newest_rows(&dir), 0);
        let log = random_log(12, 30);
        for rows in [2, 9, 5, 12, 3] {
            published(&dir, &log[..rows]);
        }
        assert_eq!(newest_rows(&dir), 12);
        let views: Vec<u64> = dir.list_views().unwrap().into_iter().map(|(rows, _)| rows).collect();
        assert_eq!(views, [5, 9, 12]);
        assert_eq!(fs::read_dir(dir.folder(Folder::Views)).unwrap().count(), 3);
    }

    #[test]
    fn the_first_of_two_reducers_publishes() {
        let (_folder, dir) = ExperimentDir::made_up();
        let log = random_log(13, 20);
        assert_eq!(publish(&dir, &log), Published::First);
        assert_eq!(publish(&dir, &log), Published::AlreadyThere);
    }

    #[test]
    fn a_damaged_view_is_skipped_and_set_aside_by_a_reduce() {
        let (_folder, dir) = ExperimentDir::made_up();
        let log = random_log(14, 40);
        published(&dir, &log[..10]);
        let damages: [fn(&Path); 5] = [
            |path| fs::remove_file(path).unwrap(),
            |path| fs::write(path, "").unwrap(),
            |path| {
                // As one that may not be read.
                fs::remove_file(path).unwrap();
                fs::create_dir(path).unwrap();
            },
            |path| {
                let bytes = fs::read(path).unwrap();
                fs::write(path, &bytes[..bytes.len() - 1]).unwrap();
            },
            |path| {
                let mut bytes = fs::read(path).unwrap();
                let middle = bytes.len() / 2;
                bytes[middle] ^= 1;
                fs::write(path, bytes).unwrap();
            },
        ];
        for name in [VIEW, Q_TABLE, STRATEGY, SUMS] {
            for damage in damages {
                let view = published(&dir, &log);
                damage(&view.join(name));
                assert_eq!(newest_rows(&dir), 10, "{name}");
                assert!(view.exists());
                newest(&dir, set_aside);
                assert!(!view.exists());
            }
        }
    }

    #[test]
    fn a_view_under_the_name_of_another_is_damaged() {
        let (_folder, dir) = ExperimentDir::made_up();
        let view = published(&dir, &random_log(15, 20)[..10]);
        fs::rename(view, dir.view(11)).unwrap();
        fs::create_dir(dir.view(12)).unwrap();
        fs::write(dir.view(13), "").unwrap();
        assert_eq!(newest_rows(&dir), 0);
    }

    #[test]
    fn a_view_of_another_configuration_stops() {
        let (_folder, dir) = ExperimentDir::made_up();
        published(&dir, &random_log(15, 20)[..10]);
        let other = View::newest(&dir, "another", Ok, skip);
        assert!(matches!(other, Err(StorageError::OtherConfiguration { .. })));
    }

    #[test]
    fn reducers_and_readers_at_once_do_each_other_no_harm() {
        let (_folder, dir) = ExperimentDir::made_up();
        let log = random_log(20, 40);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| (1..=20).for_each(|rows| drop(published(&dir, &log[..rows]))));
                scope.spawn(|| {
                    for _ in 0..50 {
                        let Some(view) = newest(&dir, skip) else { continue };
                        let expected = learned(&log[..view.rows() as usize]);
                        let read = view.q_table_csv();
                        assert!(read.is_err() || read.unwrap() == q_table(&expected));
                    }
                });
            }
        });
        assert_eq!(newest_rows(&dir), 20);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn a_view_and_the_rows_after_it_say_what_the_whole_log_says(
            seed in 0u64..1000, cuts in prop::collection::vec(1usize..60, 1..3),
        ) {
            let (_folder, dir) = ExperimentDir::made_up();
            let log = random_log(seed, 60);
            let path = Path::new("replay.csv");
            for cut in cuts {
                published(&dir, &log[..cut.min(log.len())]);
                let view = newest(&dir, skip).unwrap();
                let mut resumed = Learned::resume(params(), &view, &log, path).unwrap();
                resumed.learn(&log, path).unwrap();
                prop_assert!(q_table(&resumed) == q_table(&learned(&log)));
            }
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let folder = tempfile::tempdir().unwrap();
            let files = vec![(VIEW, bytes.clone()), (Q_TABLE, bytes)];
            files::publish(&folder.path().join("1"), files).unwrap();
            prop_assert!(View::read(&folder.path().join("1"), 1, "made up").is_err());
        }
    }
}

//! The files of a view: `views/000003141/`, what was digested from the first 3,141 rows of the log.
//!
//! `view.yaml` (where in the log the view stands, and all that is known but the results),
//! `known.csv` (the results), `memory.csv` and `q_table.csv` (what is learned), `predictor.yaml` once
//! there is a predictor, and `SHA256SUMS`, by which they are checked when they are read (and by
//! hand: `sha256sum -c SHA256SUMS`).
//!
//! `memory.csv` and `known.csv` grow with the search. Who only decides leaves the first unread and
//! checks the second by the CRC-32 in `view.yaml`, at the speed of memory.
//!
//! A view is published whole, once, and the three newest are kept. One that is damaged in itself
//! is put out of sight, with a message, and the next older one is taken: views only save time.
//! Whether a view fits the log is seen when the log is read on from its position.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::crc32::Crc32;
use super::error::StorageError;
use super::experiment_dir::ExperimentDir;
use super::knowledge::{Knowledge, KnowledgeState, KnownArchitectures};
use super::known_csv::KnownCsv;
use super::log_position::LogPosition;
use super::memory_csv::{MemoryRows, write_memory};
use super::predictor_yaml::{PREDICTOR, StoredPredictor};
use super::publish::{self, Published};
use super::q_table_csv::{read_q_table, write_q_table};
use super::view::{View, ViewParams};
use super::yaml;
use crate::q_learning::{Learner, QTable};

const VIEW: &str = "view.yaml";
const KNOWN: &str = "known.csv";
const MEMORY: &str = "memory.csv";
const Q_TABLE: &str = "q_table.csv";
const SUMS: &str = "SHA256SUMS";
/// How many views are kept: a reader that listed the folder still finds the one it has chosen.
const KEPT: usize = 3;

/// `view.yaml`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ViewYaml {
    /// Version of the program that wrote the view.
    program: String,
    log: LogPosition,
    /// Checksum of `known.csv`.
    known_crc32: Crc32,
    /// Full curves in the log when the predictor was fitted; null without a predictor.
    #[serde(default)]
    predictor_curves: Option<usize>,
    knowledge: KnowledgeState,
}

/// Files by their names, in the order of `SHA256SUMS`.
type Files = Vec<(&'static str, Vec<u8>)>;

/// What somebody reads a view for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reading {
    /// To claim, to record, to look: what is known, and the Q-values.
    ToDecide,
    /// To make the next view: all of it.
    ToLearn,
}

/// The learned part of a view, not yet read.
#[derive(Debug, Clone)]
pub(super) struct StoredLearner {
    folder: PathBuf,
    /// Whoever only decides leaves it where it is.
    memory: Option<Vec<u8>>,
    q_table: Vec<u8>,
}

impl StoredLearner {
    /// Reads the Q-table alone.
    pub(super) fn read_q_table(&self, params: &ViewParams) -> Result<QTable, StorageError> {
        let path = self.folder.join(Q_TABLE);
        let initial = params.q_learning.params().initial_q_value;
        read_q_table(&self.q_table, params.space.clone(), initial, &path)
    }

    /// Reads Q-table and replay memory, which must belong together.
    pub(super) fn read(&self, params: &ViewParams) -> Result<Learner, StorageError> {
        let q_table = self.read_q_table(params)?;
        let path = self.folder.join(MEMORY);
        let memory = match &self.memory {
            Some(bytes) => MemoryRows::read(bytes, &params.space, &path)?,
            None => {
                let bytes = CheckedFiles::open(&self.folder)?.read(MEMORY)?;
                MemoryRows::read(&bytes, &params.space, &path)?
            }
        };
        Learner::resume(params.q_learning.clone(), q_table, memory.rows())
            .map_err(|source| StorageError::Learner { path: self.folder.clone(), source })
    }
}

impl View {
    /// Reads the newest view that is whole, as far as decisions need it; the empty one when there is none.
    ///
    /// # Errors
    /// The operating system refuses to read a view; a damaged one is no error.
    pub fn newest(experiment: &ExperimentDir, params: ViewParams) -> Result<Self, StorageError> {
        Self::newest_whole(experiment, params, Reading::ToDecide)
    }

    /// Reads the newest view that is whole with all that is learned, to make the next one.
    ///
    /// # Errors
    /// Those of [`View::newest`].
    pub fn newest_to_learn(
        experiment: &ExperimentDir,
        params: ViewParams,
    ) -> Result<Self, StorageError> {
        Self::newest_whole(experiment, params, Reading::ToLearn)
    }

    fn newest_whole(
        experiment: &ExperimentDir,
        params: ViewParams,
        reading: Reading,
    ) -> Result<Self, StorageError> {
        for (rows, folder) in experiment.list_views()?.into_iter().rev() {
            match Self::load(&folder, rows, &params, reading) {
                Ok(view) => return Ok(view),
                Err(error) if is_damage(&error) => put_out_of_sight(&folder, &error),
                Err(error) => return Err(error),
            }
        }
        Ok(Self::empty(params))
    }

    /// Reads the published view of so many rows.
    ///
    /// # Errors
    /// It is damaged, or not there.
    pub fn published(
        experiment: &ExperimentDir,
        rows: u64,
        params: &ViewParams,
    ) -> Result<Self, StorageError> {
        Self::load(&experiment.view(rows), rows, params, Reading::ToLearn)
    }

    /// Publishes the view, unless one of its rows is there already, and removes old ones.
    ///
    /// # Errors
    /// A file cannot be written.
    ///
    /// # Panics
    /// When rows were taken in that are not in the log yet.
    pub fn publish(&mut self, experiment: &ExperimentDir) -> Result<Published, StorageError> {
        assert_eq!(self.position().rows, self.rows(), "a view is made of rows of the log");
        let path = experiment.view(self.rows());
        let mut files = self.files(&path)?;
        files.push((SUMS, sums(&files)));
        let published = publish::folder_once(&path, |aside| {
            for (name, bytes) in &files {
                let path = aside.join(name);
                fs::write(&path, bytes).map_err(StorageError::io("write", &path))?;
            }
            Ok(())
        })?;
        remove_old(experiment)?;
        Ok(published)
    }

    /// Compares this view with the published one of the same rows: the names of the files that
    /// differ, `None` when there is no such view. The version of the program is left out.
    ///
    /// # Errors
    /// The published view is damaged or cannot be read.
    pub fn compare(
        &mut self,
        experiment: &ExperimentDir,
    ) -> Result<Option<Vec<&'static str>>, StorageError> {
        let rows = self.rows();
        let listed = experiment.list_views()?.into_iter().find(|(listed, _)| *listed == rows);
        let Some((_, folder)) = listed else { return Ok(None) };
        let published =
            Self::load(&folder, rows, self.params(), Reading::ToLearn)?.files(&folder)?;
        let own = self.files(&folder)?;
        let of = |files: &Files, name: &str| files.iter().find(|(file, _)| *file == name).cloned();
        let differs = |name: &&'static str| of(&own, name) != of(&published, name);
        Ok(Some([VIEW, KNOWN, MEMORY, Q_TABLE, PREDICTOR].into_iter().filter(differs).collect()))
    }

    fn load(
        folder: &Path,
        rows: u64,
        params: &ViewParams,
        reading: Reading,
    ) -> Result<Self, StorageError> {
        let files = CheckedFiles::open(folder)?;
        let path = folder.join(VIEW);
        let view: ViewYaml = yaml::parse(&files.read(VIEW)?, &path)?;
        if view.log.rows != rows {
            return Err(StorageError::DamagedView {
                path,
                how: "it is of other rows than its name",
            });
        }
        let (known, memory) = match reading {
            Reading::ToDecide => (files.read_fast(KNOWN, view.known_crc32)?, None),
            Reading::ToLearn => (files.read(KNOWN)?, Some(files.read(MEMORY)?)),
        };
        let known = KnownArchitectures::kept(KnownCsv::new(known, &folder.join(KNOWN))?);
        let knowledge = Knowledge::from_parts(known, view.knowledge);
        let q_table = files.read(Q_TABLE)?;
        let learner = StoredLearner { folder: folder.to_owned(), memory, q_table };
        let predictor = match view.predictor_curves {
            Some(full_curves) => {
                let bytes = files.read(PREDICTOR)?;
                Some(StoredPredictor { full_curves, bytes, path: folder.join(PREDICTOR) })
            }
            None => None,
        };
        Ok(Self::stored(params.clone(), view.log, knowledge, learner, predictor))
    }

    /// Returns the files but the sums, with their contents.
    fn files(&mut self, folder: &Path) -> Result<Files, StorageError> {
        let known = self.knowledge().known().to_csv();
        let view = ViewYaml {
            program: env!("CARGO_PKG_VERSION").to_owned(),
            log: self.position().clone(),
            known_crc32: Crc32::of(&known),
            predictor_curves: self.predictor_curves(),
            knowledge: self.knowledge().state().clone(),
        };
        let view = yaml::print(&view, &folder.join(VIEW))?.into_bytes();
        let learner = self.learner()?;
        let memory = write_memory(learner.memory());
        let q_table = write_q_table(learner.q_table());
        let mut files = vec![(VIEW, view), (KNOWN, known), (MEMORY, memory), (Q_TABLE, q_table)];
        let predictor = self.stored_predictor();
        files.extend(predictor.map(|predictor| (PREDICTOR, predictor.bytes.clone())));
        Ok(files)
    }
}

/// Puts the view of `rows` rows out of sight, where it does no harm: it does not fit the log.
///
/// # Errors
/// The folder cannot be renamed.
pub fn set_view_aside(experiment: &ExperimentDir, rows: u64) -> Result<PathBuf, StorageError> {
    publish::set_aside(&experiment.view(rows))
}

/// Returns the lines of `SHA256SUMS`.
fn sums(files: &[(&'static str, Vec<u8>)]) -> Vec<u8> {
    files.iter().flat_map(|(name, bytes)| sum(name, bytes)).collect()
}

fn sum(name: &str, bytes: &[u8]) -> Vec<u8> {
    format!("{:x}  {name}\n", Sha256::digest(bytes)).into_bytes()
}

/// The files of a view, each checked when it is read.
struct CheckedFiles<'a> {
    folder: &'a Path,
    sums: Vec<u8>,
}

impl<'a> CheckedFiles<'a> {
    fn open(folder: &'a Path) -> Result<Self, StorageError> {
        let path = folder.join(SUMS);
        let sums = fs::read(&path).map_err(StorageError::io("read", &path))?;
        Ok(Self { folder, sums })
    }

    /// Reads a file and checks it by its line of `SHA256SUMS`.
    fn read(&self, name: &str) -> Result<Vec<u8>, StorageError> {
        self.read_if(name, |bytes| {
            let sum = sum(name, bytes);
            self.sums.split_inclusive(|&byte| byte == b'\n').any(|line| line == sum)
        })
    }

    /// Reads a file and checks it by a checksum that another one vouches for.
    fn read_fast(&self, name: &str, crc32: Crc32) -> Result<Vec<u8>, StorageError> {
        self.read_if(name, |bytes| Crc32::of(bytes) == crc32)
    }

    fn read_if(
        &self,
        name: &str,
        is_whole: impl Fn(&[u8]) -> bool,
    ) -> Result<Vec<u8>, StorageError> {
        let path = self.folder.join(name);
        let bytes = fs::read(&path).map_err(StorageError::io("read", &path))?;
        if is_whole(&bytes) {
            return Ok(bytes);
        }
        Err(StorageError::DamagedView { path, how: "it is not what was written" })
    }
}

/// Tells a view that cannot be used from a file system that cannot be used.
fn is_damage(error: &StorageError) -> bool {
    match error {
        // Gone since the folder was listed: not found, or on NFS a stale handle.
        StorageError::Io { source, .. } => matches!(
            source.kind(),
            ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::StaleNetworkFileHandle
        ),
        _ => true,
    }
}

/// A reader may lack the permission, and a view that was removed just now is gone: the next older
/// one is taken in any case.
fn put_out_of_sight(folder: &Path, damage: &StorageError) {
    match publish::set_aside(folder) {
        Ok(aside) => log::warn!(
            "a damaged view was set aside as `{}` and is made anew ({damage})",
            aside.display()
        ),
        Err(error) => log::debug!("view `{}` is passed over: {damage}; {error}", folder.display()),
    }
}

fn remove_old(experiment: &ExperimentDir) -> Result<(), StorageError> {
    for (_, folder) in experiment.list_views()?.into_iter().rev().skip(KEPT) {
        // Another reducer may remove it at the same time; one left behind does no harm.
        let removed = publish::set_aside(&folder).and_then(|aside| {
            let around = aside.parent().expect("what is set aside lies in a folder of its own");
            fs::remove_dir_all(around).map_err(StorageError::io("remove", around))
        });
        if let Err(error) = removed {
            log::debug!("an old view is left: {error}");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::view::tests::{params, random_log, tail_of, view_of};
    use super::*;
    use crate::predictor::{
        Example, Features, FittedPredictor, LearningCurve, PredictorParams, Regressor,
    };
    use crate::seed::{Purpose, generator};
    use crate::storage::replay_row::Row;
    use crate::storage::{ReplayLog, WritableReplayLog};
    use proptest::prelude::*;

    fn experiment() -> (tempfile::TempDir, ExperimentDir) {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("search");
        let experiment = ExperimentDir::create(&root, "format_version: 1\n").unwrap();
        (folder, experiment)
    }

    fn newest(experiment: &ExperimentDir) -> View {
        View::newest(experiment, params()).unwrap()
    }

    fn published(experiment: &ExperimentDir, rows: &[Row]) -> PathBuf {
        assert_eq!(view_of(rows).publish(experiment).unwrap(), Published::First);
        experiment.view(rows.len() as u64)
    }

    /// Everything that a view says.
    fn contents(view: &mut View) -> Files {
        view.files(Path::new("")).unwrap()
    }

    #[test]
    fn a_person_can_read_and_check_the_files() {
        let (_folder, experiment) = experiment();
        let view = published(&experiment, &random_log(11, 12));
        let text = |name| fs::read_to_string(view.join(name)).unwrap();
        let head = format!("program: {}\nlog:\n  rows: ", env!("CARGO_PKG_VERSION"));
        assert!(text(VIEW).starts_with(&head));
        // The format of sha256sum: the sum, two spaces, the name.
        let sum = format!("{:x}  known.csv", Sha256::digest(text(KNOWN)));
        assert_eq!(text(SUMS).lines().nth(1), Some(sum.as_str()));
    }

    #[test]
    fn the_newest_view_is_read_and_three_are_kept() {
        let (_folder, experiment) = experiment();
        assert_eq!(newest(&experiment).rows(), 0);
        let log = random_log(12, 30);
        for rows in [2, 9, 5, 12, 3] {
            published(&experiment, &log[..rows]);
        }
        assert_eq!(newest(&experiment).rows(), 12);
        let views: Vec<u64> =
            experiment.list_views().unwrap().into_iter().map(|(rows, _)| rows).collect();
        assert_eq!(views, [5, 9, 12]);
        let names = fs::read_dir(experiment.views()).unwrap().count();
        assert_eq!(names, 3);
    }

    #[test]
    fn the_first_of_two_reducers_publishes() {
        let (_folder, experiment) = experiment();
        let log = random_log(13, 20);
        published(&experiment, &log);
        let again = view_of(&log).publish(&experiment).unwrap();
        assert_eq!(again, Published::AlreadyThere);
        assert_eq!(contents(&mut newest(&experiment)), contents(&mut view_of(&log)));
    }

    #[test]
    fn a_damaged_view_is_put_out_of_sight_and_the_one_before_is_taken() {
        let (_folder, experiment) = experiment();
        let log = random_log(14, 40);
        published(&experiment, &log[..10]);
        let damages: [fn(&Path); 4] = [
            |path| fs::remove_file(path).unwrap(),
            |path| fs::write(path, "").unwrap(),
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
        for name in [VIEW, KNOWN, MEMORY, Q_TABLE, SUMS] {
            for damage in damages {
                let view = published(&experiment, &log);
                damage(&view.join(name));
                let newest = View::newest_to_learn(&experiment, params()).unwrap();
                assert_eq!(newest.rows(), 10, "{name}");
                assert!(!view.exists());
            }
        }
    }

    fn predictor(first: f64) -> FittedPredictor {
        let example = |last| Example {
            features: Features::new(vec![]).unwrap(),
            curve: LearningCurve::new(vec![first, last]).unwrap(),
        };
        let params = PredictorParams { regressor: Regressor::LastSeen, ..Default::default() };
        let mut rng = generator(1, Purpose::Predictor, 0, 0);
        let examples = vec![example(0.25), example(0.5), example(0.75)];
        FittedPredictor::fit(examples, &params.check().unwrap(), &mut rng).unwrap()
    }

    #[test]
    fn a_predictor_is_carried_from_view_to_view() {
        let (_folder, experiment) = experiment();
        let log = random_log(21, 30);
        let mut view = view_of(&log[..10]);
        assert_eq!((view.predictor_curves(), view.predictor().unwrap()), (None, None));
        view.set_predictor(3, &predictor(0.1)).unwrap();
        view.publish(&experiment).unwrap();
        let mut view = newest(&experiment);
        view.apply(&tail_of(&log, &view)).unwrap();
        view.publish(&experiment).unwrap();
        let mut view = newest(&experiment);
        assert_eq!((view.rows(), view.predictor_curves()), (log.len() as u64, Some(3)));
        assert_eq!(view.predictor().unwrap(), Some(predictor(0.1)));
        view.set_predictor(3, &predictor(0.2)).unwrap();
        assert_eq!(view.compare(&experiment).unwrap(), Some(vec![PREDICTOR]));
        view.forget_predictor();
        assert_eq!(view.compare(&experiment).unwrap(), Some(vec![VIEW, PREDICTOR]));
    }

    #[test]
    fn a_view_without_the_predictor_it_names_is_damaged() {
        let (_folder, experiment) = experiment();
        let log = random_log(22, 20);
        let mut view = view_of(&log);
        view.set_predictor(3, &predictor(0.1)).unwrap();
        let files = view.files(Path::new("")).unwrap();
        let folder = experiment.view(view.rows());
        let without = |name| files.iter().filter(|file| file.0 != name).cloned().collect();
        for kept in [files.clone(), without(PREDICTOR)] as [Files; 2] {
            view.publish(&experiment).unwrap();
            fs::remove_file(folder.join(PREDICTOR)).unwrap();
            // Whoever makes the sums fit is found out by what the view says of itself.
            fs::write(folder.join(SUMS), sums(&kept)).unwrap();
            assert_eq!(newest(&experiment).rows(), 0);
        }
    }

    #[test]
    fn who_only_decides_passes_over_what_decides_nothing() {
        let (_folder, experiment) = experiment();
        let log = random_log(21, 40);
        published(&experiment, &log[..10]);
        for (name, rows) in [(MEMORY, log.len()), (KNOWN, 10)] {
            let view = published(&experiment, &log).join(name);
            fs::write(&view, fs::read_to_string(&view).unwrap().replace(",0", ",1")).unwrap();
            assert_eq!(newest(&experiment).rows(), rows as u64, "{name}");
            assert!(newest(&experiment).learner().is_err() || name != MEMORY);
            assert_eq!(View::newest_to_learn(&experiment, params()).unwrap().rows(), 10);
        }
    }

    #[test]
    fn a_view_under_another_ones_name_is_damaged() {
        let (_folder, experiment) = experiment();
        let log = random_log(15, 20);
        let view = published(&experiment, &log[..10]);
        fs::rename(view, experiment.view(11)).unwrap();
        fs::create_dir(experiment.view(12)).unwrap();
        fs::write(experiment.view(13), "").unwrap();
        assert_eq!(newest(&experiment).rows(), 0);
        assert!(experiment.list_views().unwrap().is_empty());
    }

    #[test]
    fn a_view_is_compared_file_by_file() {
        let (_folder, experiment) = experiment();
        let log = random_log(16, 40);
        assert_eq!(view_of(&log).compare(&experiment).unwrap(), None);
        published(&experiment, &log);
        assert_eq!(view_of(&log).compare(&experiment).unwrap(), Some(vec![]));
        let mut other = View::empty(ViewParams { seed: 8, ..params() });
        other.apply(&tail_of(&log, &other)).unwrap();
        assert_eq!(other.compare(&experiment).unwrap(), Some(vec![Q_TABLE]));
    }

    #[test]
    fn reducers_and_readers_at_once_do_each_other_no_harm() {
        let (_folder, experiment) = experiment();
        let log = random_log(20, 40);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    for rows in 1..=20 {
                        view_of(&log[..rows]).publish(&experiment).unwrap();
                    }
                });
                scope.spawn(|| {
                    for _ in 0..50 {
                        let mut view = View::newest_to_learn(&experiment, params()).unwrap();
                        let mut expected = view_of(&log[..view.rows() as usize]);
                        assert!(contents(&mut view) == contents(&mut expected));
                    }
                });
            }
        });
        let views = experiment.list_views().unwrap();
        assert_eq!(views.last().unwrap().0, 20);
        assert!(contents(&mut newest(&experiment)) == contents(&mut view_of(&log[..20])));
    }

    #[test]
    fn a_view_goes_on_from_its_place_in_the_log() {
        let (_folder, experiment) = experiment();
        let rows = random_log(17, 40);
        let append = |rows: &[Row]| {
            let mut log = WritableReplayLog::open(&experiment).unwrap();
            log.lock_exclusive().unwrap().append(rows).unwrap();
        };
        let read_on = |view: &mut View| {
            let log = ReplayLog::open(&experiment).unwrap();
            let cursor = log.cursor_at(view.position()).unwrap();
            view.apply(&log.read_from(&cursor).unwrap()).unwrap();
        };
        append(&rows[..10]);
        let mut view = newest(&experiment);
        read_on(&mut view);
        view.publish(&experiment).unwrap();
        append(&rows[10..]);
        let mut view = newest(&experiment);
        assert_eq!(view.rows(), 10);
        read_on(&mut view);
        assert!(contents(&mut view) == contents(&mut view_of(&rows)));
    }

    #[test]
    fn a_view_that_does_not_fit_the_log_is_refused_and_can_be_set_aside() {
        let (_folder, experiment) = experiment();
        published(&experiment, &random_log(18, 20)[..10]);
        let mut log = WritableReplayLog::open(&experiment).unwrap();
        log.lock_exclusive().unwrap().append(&random_log(19, 20)).unwrap();
        let log = ReplayLog::open(&experiment).unwrap();
        let refused = log.cursor_at(newest(&experiment).position());
        assert!(matches!(refused, Err(StorageError::Changed { .. })));
        let aside = set_view_aside(&experiment, 10).unwrap();
        assert!(aside.join(VIEW).exists());
        assert_eq!(newest(&experiment).rows(), 0);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn a_view_and_the_rows_after_it_say_what_the_whole_log_says(
            seed in 0u64..1000, cuts in prop::collection::vec(0usize..60, 1..3),
        ) {
            let (_folder, experiment) = experiment();
            let log = random_log(seed, 60);
            let mut whole = view_of(&log);
            let mut view = View::empty(params());
            for cut in cuts {
                let cut = cut.min(log.len());
                if (view.rows() as usize) < cut {
                    view.apply(&tail_of(&log[..cut], &view)).unwrap();
                    view.publish(&experiment).unwrap();
                    view = newest(&experiment);
                    prop_assert_eq!(view.rows() as usize, cut);
                }
            }
            view.apply(&tail_of(&log, &view)).unwrap();
            prop_assert!(view.knowledge() == whole.knowledge());
            prop_assert!(contents(&mut view) == contents(&mut whole));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let folder = tempfile::tempdir().unwrap();
            let files = [VIEW, KNOWN, MEMORY, Q_TABLE].map(|name| (name, bytes.clone()));
            for (name, bytes) in &files {
                fs::write(folder.path().join(name), bytes).unwrap();
            }
            fs::write(folder.path().join(SUMS), sums(&files)).unwrap();
            for reading in [Reading::ToDecide, Reading::ToLearn] {
                prop_assert!(View::load(folder.path(), 1, &params(), reading).is_err());
            }
        }
    }
}

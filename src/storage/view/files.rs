//! The files of a view: `views/000003141/`, what was digested from the first 3,141 rows of the log.
//!
//! `view.yaml` (where in the log the view stands, and all that is known but the results),
//! `known.csv` (the results), `memory.csv` and `q_table.csv` (what is learned), `predictor.yaml` once
//! there is a predictor, and `SHA256SUMS`, by which they are checked when they are read (and by
//! hand: `sha256sum -c SHA256SUMS`).
//!
//! `memory.csv` and `known.csv` grow with the search. Who only decides leaves the first unread and
//! checks the second by the CRC-32 in `view.yaml`, at the speed of memory.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::storage::error::StorageError;
use crate::storage::fs::checked_files::CheckedFiles;
use crate::storage::fs::checksum::Crc32;
use crate::storage::fs::yaml;
use crate::storage::log::position::LogPosition;
use crate::storage::search_state::{Knowledge, KnowledgeState, KnownArchitectures};
use crate::storage::view::known_csv::KnownCsv;
use crate::storage::view::learned::StoredLearner;
use crate::storage::view::memory_csv::write_memory;
use crate::storage::view::predictor_yaml::{PREDICTOR, StoredPredictor};
use crate::storage::view::q_table::write_q_table;
use crate::storage::view::{View, ViewParams};

const VIEW: &str = "view.yaml";
const KNOWN: &str = "known.csv";
pub(crate) const MEMORY: &str = "memory.csv";
pub(crate) const Q_TABLE: &str = "q_table.csv";
/// The names of all files, in the order of `SHA256SUMS`.
pub(crate) const FILES: [&str; 5] = [VIEW, KNOWN, MEMORY, Q_TABLE, PREDICTOR];

/// `view.yaml`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ViewYaml {
    /// Version of the program that wrote the view.
    program: String,
    log: LogPosition,
    /// Checksum of `experiment.yaml`.
    configuration_sha256: String,
    /// `set` rows in the log up to there.
    set_rows: usize,
    /// Checksum of `known.csv`.
    known_crc32: Crc32,
    /// Full curves in the log when the predictor was fitted; null without a predictor.
    #[serde(default)]
    predictor_curves: Option<usize>,
    knowledge: KnowledgeState,
}

/// Files by their names, in the order of `SHA256SUMS`.
pub(crate) type Files = Vec<(&'static str, Vec<u8>)>;

/// What somebody reads a view for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reading {
    /// To claim, to record, to look: what is known, and the Q-values.
    ToDecide,
    /// To make the next view: all of it.
    ToLearn,
}

impl View {
    /// Reads the view of so many rows from its folder.
    pub(crate) fn load(
        folder: &Path,
        rows: u64,
        params: &ViewParams,
        reading: Reading,
    ) -> Result<Self, StorageError> {
        let files = CheckedFiles::open(folder)?;
        let path = folder.join(VIEW);
        let view: ViewYaml = yaml::parse(&files.read(VIEW)?, &path)?;
        if view.log.rows != rows {
            return Err(StorageError::damaged(
                &path,
                "is damaged: it is of other rows than its name",
            ));
        }
        if view.configuration_sha256 != params.sha256 {
            return Err(StorageError::OtherConfiguration { path: folder.to_owned() });
        }
        if view.set_rows != view.knowledge.settings.len() {
            return Err(StorageError::damaged(
                &path,
                "is damaged: it counts other `set` rows than it knows",
            ));
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
        let sums = files.into_sums();
        Ok(Self::stored(params.clone(), view.log, knowledge, learner, predictor, sums))
    }

    /// Returns the files but the sums, with their contents.
    pub(crate) fn files(&mut self, folder: &Path) -> Result<Files, StorageError> {
        let known = self.knowledge().known().to_csv();
        let view = ViewYaml {
            program: env!("CARGO_PKG_VERSION").to_owned(),
            configuration_sha256: self.params().sha256.clone(),
            set_rows: self.knowledge().state().settings.len(),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::predictor::{
        Example, Features, FittedPredictor, LearningCurve, PredictorParams, Regressor,
    };
    use crate::seed::{Purpose, generator};
    use crate::storage::ExperimentDir;
    use crate::storage::fs::checked_files::{SUMS, sums};
    use crate::storage::log::random_log::{params, random_log};
    use crate::storage::view::tests::{tail_of, view_of};
    use crate::storage::view::views::tests::{newest, published};
    use proptest::prelude::*;
    use sha2::{Digest, Sha256};
    use std::fs;

    #[test]
    fn a_person_can_read_and_check_the_files() {
        let (_folder, experiment) = ExperimentDir::made_up();
        let view = published(&experiment, &random_log(11, 12));
        let text = |name| fs::read_to_string(view.join(name)).unwrap();
        let head = format!("program: {}\nlog:\n  rows: ", env!("CARGO_PKG_VERSION"));
        assert!(text(VIEW).starts_with(&head));
        // The format of sha256sum: the sum, two spaces, the name.
        let sum = format!("{:x}  known.csv", Sha256::digest(text(KNOWN)));
        assert_eq!(text(SUMS).lines().nth(1), Some(sum.as_str()));
    }

    #[test]
    fn who_only_decides_passes_over_what_decides_nothing() {
        let (_folder, experiment) = ExperimentDir::made_up();
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
        let (_folder, experiment) = ExperimentDir::made_up();
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
        let (_folder, experiment) = ExperimentDir::made_up();
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

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
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

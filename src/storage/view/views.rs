//! The views of an experiment: which one is read, and which are kept.
//!
//! A view is published whole, once, and the three newest are kept. One that is damaged in itself
//! is put out of sight, with a message, and the next older one is taken: views only save time.
//! Whether a view fits the log is seen when the log is read on from its position.

use std::fs;
use std::path::{Path, PathBuf};

use crate::regular_file::{self, SMALL};
use crate::storage::dir::ExperimentDir;
use crate::storage::error::StorageError;
use crate::storage::fs::checked_files::{SUMS, sums};
use crate::storage::fs::publish::{self, Published};
use crate::storage::view::files::{FILES, Files, Reading};
use crate::storage::view::{View, ViewParams};

/// How many views are kept: a reader that listed the folder still finds the one it has chosen.
const KEPT: usize = 3;

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

    /// Returns whether this view, as it was read, is the newest one: its name and the sums of its files
    /// are still those. So a task need not read them again for its next claim.
    ///
    /// # Errors
    /// The operating system refuses to list the views.
    pub fn is_newest(&self, experiment: &ExperimentDir) -> Result<bool, StorageError> {
        let newest = experiment.list_views()?.pop();
        Ok(match (newest, self.sums()) {
            (None, None) => self.rows() == 0,
            (Some((rows, folder)), Some(sums)) => {
                // One that is gone meanwhile, or cannot be read, is not what was read.
                rows == self.rows()
                    && regular_file::read(&folder.join(SUMS), SMALL).is_ok_and(|now| now == sums)
            }
            _ => false,
        })
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
        Ok(Some(FILES.into_iter().filter(differs).collect()))
    }
}

/// Puts the view of `rows` rows out of sight, where it does no harm: it does not fit the log.
///
/// # Errors
/// The folder cannot be renamed.
pub fn set_view_aside(experiment: &ExperimentDir, rows: u64) -> Result<PathBuf, StorageError> {
    publish::set_aside(&experiment.view(rows))
}

/// Tells a view that cannot be used from a file system that cannot be used.
fn is_damage(error: &StorageError) -> bool {
    match error {
        // Gone since the folder was listed, or no file.
        StorageError::Io { .. } => error.is_gone() || error.is_damage(),
        // Not of this experiment, or this one is no longer what it was: nothing is made anew of it.
        StorageError::OtherConfiguration { .. } => false,
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
            regular_file::remove_folder(around).map_err(StorageError::io("remove", around))
        });
        if let Err(error) = removed {
            log::debug!("an old view is left: {error}");
        }
    }
    Ok(())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::storage::log::event::Row;
    use crate::storage::log::random_log::{params, random_log};
    use crate::storage::view::predictor_yaml::PREDICTOR;
    use crate::storage::view::tests::{tail_of, view_of};
    use crate::storage::{ReplayLog, WritableReplayLog};
    use proptest::prelude::*;

    pub(in super::super) fn newest(experiment: &ExperimentDir) -> View {
        View::newest(experiment, params()).unwrap()
    }

    pub(in super::super) fn published(experiment: &ExperimentDir, rows: &[Row]) -> PathBuf {
        assert_eq!(view_of(rows).publish(experiment).unwrap(), Published::First);
        experiment.view(rows.len() as u64)
    }

    /// Everything that a view says.
    fn contents(view: &mut View) -> Files {
        view.files(Path::new("")).unwrap()
    }

    #[test]
    fn the_newest_view_is_read_and_three_are_kept() {
        let (_folder, experiment) = ExperimentDir::made_up();
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
    fn a_view_is_the_newest_until_there_is_another_or_other_files_under_its_name() {
        let (_folder, experiment) = ExperimentDir::made_up();
        let is_newest = |view: &View| view.is_newest(&experiment).unwrap();
        let nothing = newest(&experiment);
        assert!(is_newest(&nothing));
        let (log, other) = (random_log(12, 30), random_log(13, 30));
        published(&experiment, &log[..9]);
        let first = newest(&experiment);
        assert!(is_newest(&first) && !is_newest(&nothing));
        published(&experiment, &log[..12]);
        assert!(!is_newest(&first) && is_newest(&newest(&experiment)));
        set_view_aside(&experiment, 12).unwrap();
        assert!(is_newest(&first));
        // As after a repair that has blanked a row.
        set_view_aside(&experiment, 9).unwrap();
        assert!(!is_newest(&first));
        published(&experiment, &other[..9]);
        assert!(!is_newest(&first) && is_newest(&newest(&experiment)));
    }

    #[test]
    fn the_first_of_two_reducers_publishes() {
        let (_folder, experiment) = ExperimentDir::made_up();
        let log = random_log(13, 20);
        published(&experiment, &log);
        let again = view_of(&log).publish(&experiment).unwrap();
        assert_eq!(again, Published::AlreadyThere);
        assert_eq!(contents(&mut newest(&experiment)), contents(&mut view_of(&log)));
    }

    #[test]
    fn a_damaged_view_is_put_out_of_sight_and_the_one_before_is_taken() {
        let (_folder, experiment) = ExperimentDir::made_up();
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
        for name in FILES.into_iter().filter(|name| *name != PREDICTOR).chain([SUMS]) {
            for damage in damages {
                let view = published(&experiment, &log);
                damage(&view.join(name));
                let newest = View::newest_to_learn(&experiment, params()).unwrap();
                assert_eq!(newest.rows(), 10, "{name}");
                assert!(!view.exists());
            }
        }
    }

    #[test]
    fn a_view_under_another_ones_name_is_damaged() {
        let (_folder, experiment) = ExperimentDir::made_up();
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
        let (_folder, experiment) = ExperimentDir::made_up();
        let log = random_log(16, 40);
        assert_eq!(view_of(&log).compare(&experiment).unwrap(), None);
        published(&experiment, &log);
        assert_eq!(view_of(&log).compare(&experiment).unwrap(), Some(vec![]));
        let mut other = View::empty(ViewParams { seed: 8, ..params() });
        other.apply(&tail_of(&log, &other)).unwrap();
        assert_eq!(other.compare(&experiment).unwrap(), Some(vec!["q_table.csv"]));
    }

    #[test]
    fn reducers_and_readers_at_once_do_each_other_no_harm() {
        let (_folder, experiment) = ExperimentDir::made_up();
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
        let (_folder, experiment) = ExperimentDir::made_up();
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
        let (_folder, experiment) = ExperimentDir::made_up();
        published(&experiment, &random_log(18, 20)[..10]);
        let mut log = WritableReplayLog::open(&experiment).unwrap();
        log.lock_exclusive().unwrap().append(&random_log(19, 20)).unwrap();
        let log = ReplayLog::open(&experiment).unwrap();
        let refused = log.cursor_at(newest(&experiment).position());
        assert!(matches!(refused, Err(StorageError::Changed { .. })));
        let aside = set_view_aside(&experiment, 10).unwrap();
        assert!(aside.join("view.yaml").exists());
        assert_eq!(newest(&experiment).rows(), 0);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn a_view_and_the_rows_after_it_say_what_the_whole_log_says(
            seed in 0u64..1000, cuts in prop::collection::vec(0usize..60, 1..3),
        ) {
            let (_folder, experiment) = ExperimentDir::made_up();
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
    }
}

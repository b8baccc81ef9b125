//! The tables of an experiment, written for people: read only to see what new rows come after.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Metadata};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::{Context, Result};
use rayon::iter::Either;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::ops::Experiment;
use crate::ops::import::imported_q_values;
use crate::ops::journal::Journal;
use crate::ops::reduce::refit::{newest_predictor, predictor_curves};
use crate::ops::train::attempt::audit_findings;
use crate::ops::verify::results::has_curve;
use crate::q_learning::QTable;
use crate::regular_file::{self, SMALL};
use crate::report::tables::{Settled, TableSet, add_all};
use crate::report::{EarlyStopping, QValue, SearchData, by_iteration, who_trained};
use crate::storage::fs::{publish, yaml};
use crate::storage::log::position::crc32_on;
use crate::storage::view::files::skip;
use crate::storage::{Attempt, Curve, Event, Folder, Iteration, Knowledge, LogPosition, Row};

const SHOWN: &str = ".shown";

/// What the tables beside it show, and what of them stays as it is.
#[derive(Serialize, Deserialize)]
struct Shown {
    program: String,
    log: LogPosition,
    predictor: u64,
    /// CRC-32 of what else all rows of the tables depend on: the columns, and who trained.
    columns: u32,
    settled: Settled,
    /// Of the files that rows are added to: a spreadsheet may have saved over one.
    stamps: BTreeMap<String, Stamp>,
}

impl Shown {
    fn of(experiment: &Experiment, read: impl FnOnce(&Path) -> Option<Vec<u8>>) -> Option<Self> {
        let path = experiment.dir().folder(Folder::Tables).join(SHOWN);
        let shown: Self = yaml::parse(&read(&path)?, &path).ok()?;
        (shown.program == env!("CARGO_PKG_VERSION")).then_some(shown)
    }

    /// Whether the log begins with what is shown, and all rows since are about other iterations than
    /// the settled ones.
    fn is_of(&self, journal: &Journal) -> bool {
        let changes = |row: &Row| {
            let is_settled = |iteration: Iteration| iteration.0 < self.settled.before;
            row.event == Event::Repaired || row.iteration.is_some_and(is_settled)
        };
        let since = journal.rows().get(self.log.rows as usize..);
        since.is_some_and(|rows| !rows.iter().any(changes))
            && journal.begins_with(&self.log)
            && !self.stamps.is_empty()
    }

    fn are_there(&self, experiment: &Experiment) -> bool {
        let folder = experiment.dir().folder(Folder::Tables);
        let is_there = |(name, written): (&String, &Stamp)| {
            fs::symlink_metadata(folder.join(name)).is_ok_and(|found| stamp(&found) == *written)
        };
        self.stamps.iter().all(is_there)
    }
}

/// Length, and time of the last change in seconds and nanoseconds.
type Stamp = (u64, i64, i64);

fn stamp(file: &Metadata) -> Stamp {
    (file.len(), file.mtime(), file.mtime_nsec())
}

pub(crate) fn are_of(experiment: &Experiment, journal: &Journal) -> Result<bool> {
    let predictor = predictor_curves(experiment, journal)?.unwrap_or(0);
    Ok(Shown::of(experiment, |path| regular_file::read(path, SMALL).ok()).is_some_and(|shown| {
        let is_it = shown.log == journal.position() && shown.predictor == predictor;
        is_it && shown.are_there(experiment)
    }))
}

/// Writes the tables, of those to which rows come at the end the new ones; returns notices.
pub(crate) fn write(
    experiment: &Experiment,
    journal: &Journal,
    q_table: &QTable,
) -> Result<Vec<String>> {
    // The one process that takes it adds to the files in their place. Others, and all after its
    // death, find none and replace them.
    let shown = Shown::of(experiment, publish::take_file).filter(|shown| shown.is_of(journal));
    let added = shown.map(|shown| write_after(experiment, journal, q_table, Some(shown)));
    match added.transpose()?.flatten() {
        Some(notices) => Ok(notices),
        None => Ok(write_after(experiment, journal, q_table, None)?.unwrap_or_default()),
    }
}

/// `None` where the tables that are shown have other columns, or are others since just now.
fn write_after(
    experiment: &Experiment,
    journal: &Journal,
    q_table: &QTable,
    shown: Option<Shown>,
) -> Result<Option<Vec<String>>> {
    // First: what comes meanwhile is shown by the next one.
    let predictor = predictor_curves(experiment, journal)?.unwrap_or(0);
    let mut search = search_data(experiment, journal)?;
    let mut tables = TableSet::default();
    let before = shown.map(|shown| {
        tables.kept = shown.settled;
        (shown.columns, shown.stamps)
    });
    let (notices, are_all) = {
        let (of, from) = ((experiment, journal), tables.kept.before);
        add_details(&mut search, of, q_table, from)?
    };
    tables.settled.before = tables.kept.before;
    // A curve that is missing or cut short may come back.
    if are_all {
        let Knowledge { open, pending, next_iteration, .. } = journal.state();
        let unfinished = open.keys().chain(pending.keys()).min();
        tables.settled.before = unfinished.unwrap_or(next_iteration).0;
    }
    add_all(&mut tables, &search);
    let dictionary = tables.files.last().expect("the data dictionary");
    let columns = crc32_on(crc32_on(0, dictionary.text.as_bytes()), search.trainer.as_bytes());
    if before.as_ref().is_some_and(|before| before.0 != columns || tables.is_split) {
        return Ok(None);
    }
    let folder = experiment.dir().folder(Folder::Tables);
    let context = || format!("failed to create `{}`", folder.display());
    fs::create_dir_all(&folder).with_context(context)?;
    let mut stamps = BTreeMap::new();
    for file in &tables.files {
        let (path, text) = (folder.join(&file.name), file.text.as_bytes());
        let was = before.as_ref().and_then(|(_, stamps)| stamps.get(&file.name));
        let written = match file.after {
            Some(end) => publish::write_after(&path, end.byte, text, |it| was == Some(&stamp(it)))?,
            None => Some(publish::replace_file(&path, text)?),
        };
        let Some(written) = written else { return Ok(None) };
        if tables.settled.files.contains_key(&file.name) {
            stamps.insert(file.name.clone(), stamp(&written));
        }
    }
    remove_other_parts(&tables, &folder)?;
    // Written whole each time.
    if tables.is_split {
        (tables.settled, stamps) = (Settled::default(), BTreeMap::new());
    }
    let settled = tables.settled;
    let (program, log) = (env!("CARGO_PKG_VERSION").to_owned(), journal.position());
    let path = folder.join(SHOWN);
    let shown = Shown { program, log, predictor, columns, settled, stamps };
    let shown = yaml::print(&shown, &path)?;
    publish::replace_file(&path, shown.as_bytes())?;
    Ok(Some([tables.notices, notices].concat()))
}

/// Removes the parts of tables that had more of them.
pub(crate) fn remove_other_parts(tables: &TableSet, folder: &Path) -> Result<()> {
    for file in &tables.files {
        for path in tables.other_parts(&file.name).map(|name| folder.join(name)) {
            match fs::remove_file(&path) {
                Err(error) if error.kind() == ErrorKind::NotFound => break,
                removed => {
                    removed.with_context(|| format!("cannot remove `{}`", path.display()))?
                }
            }
        }
    }
    Ok(())
}

/// Adds what `status` does not show: curves from an iteration on, Q-values, scores. Returns notices,
/// and whether all curves are there whole.
pub(crate) fn add_details(
    search: &mut SearchData,
    (experiment, journal): (&Experiment, &Journal),
    q_table: &QTable,
    from: u64,
) -> Result<(Vec<String>, bool)> {
    let (curves, notices, are_all) = curves(experiment, search, from);
    search.curves = curves;
    let q_values =
        q_table.rows().flat_map(|(state, values)| {
            values.iter().zip(q_table.updates(&state)).map(move |(&(action, value), &updates)| {
                QValue { state, action, value, updates: Some(updates) }
            })
        });
    search.q_values = q_values.collect();
    search.imported_q_values = imported_q_values(experiment)?;
    search.initial_q_value = experiment.config().q_learning.initial_q_value;
    if let Some(stored) = newest_predictor(experiment, journal, skip)? {
        let fitted = stored.predictor()?;
        search.predictor_networks = fitted.examples().len() as u64;
        search.predictor_scores = fitted.scores().collect();
    }
    Ok((notices, are_all))
}

pub(crate) fn search_data(experiment: &Experiment, journal: &Journal) -> Result<SearchData> {
    let (config, knowledge) = (experiment.config(), journal.state());
    let stopping = &config.early_stopping;
    let counts = knowledge.stage_counts(&config.strategy.schedule);
    let iterations = by_iteration(journal.rows());
    Ok(SearchData {
        experiment: config.experiment.name.clone(),
        family: experiment.family(),
        trainer: who_trained(config.recipe.trainer.into(), &iterations),
        epochs: config.recipe.epochs,
        validation_images: experiment.validation_images(),
        stages: config.strategy.schedule.stages().iter().copied().zip(counts).collect(),
        iterations,
        early_stopping: EarlyStopping {
            enabled: stopping.enabled,
            burn_in: stopping.burn_in as u64,
            full_curves: knowledge.full_curves as u64,
            predictor_curves: predictor_curves(experiment, journal)?,
            findings: audit_findings(experiment, knowledge),
            ..EarlyStopping::default()
        },
        ..SearchData::default()
    })
}

/// Says how many results lack the file of their learning curve: what is made anew lacks them, too.
pub(crate) fn missing_curves(experiment: &Experiment, rows: &[Row]) -> Result<Option<String>> {
    let (listed, _) = experiment.dir().list_curves_and_results()?;
    let there: BTreeSet<_> = listed.into_iter().map(|(attempt, _)| attempt).collect();
    let of_results = rows.iter().filter(|row| has_curve(row)).filter_map(Row::attempt);
    let all: BTreeSet<_> = of_results.collect();
    let missing = all.difference(&there).count();
    Ok((missing > 0).then(|| {
        format!(
            "{missing} learning curves are missing in `{}`: what is made of them anew lacks them (put \
             the files back from a copy; `metaqnn verify` names them)",
            experiment.dir().folder(Folder::Curves).display()
        )
    }))
}

/// The curves of results from an iteration on, and whether all are there whole. A damaged one is left
/// out with a notice: tables must not end the search.
fn curves(
    experiment: &Experiment,
    search: &SearchData,
    from: u64,
) -> (BTreeMap<Attempt, Curve>, Vec<String>, bool) {
    let is_asked = |row: &&Row| row.event.is_result() && row.iteration >= Some(Iteration(from));
    let results: Vec<_> = search.iterations.iter().filter(is_asked).collect();
    let attempts = results.par_iter().filter_map(|row| row.attempt());
    let files = attempts.map(|attempt| (attempt, experiment.dir().curve(attempt)));
    // A network that does not fit into memory has no epoch. Read at once: a server gives many small
    // files faster when several are asked for.
    let files = files.filter(|(_, path)| path.exists());
    let (curves, notices): (BTreeMap<_, _>, _) = files.partition_map(|(attempt, path)| {
        match Curve::read(&path).map_err(anyhow::Error::from) {
            Ok(curve) => Either::Left((attempt, curve)),
            Err(error) => {
                Either::Right(format!("a learning curve is left out of the tables: {error:#}"))
            }
        }
    });
    let epochs = |row: &Row| Some(curves.get(&row.attempt()?)?.last_start().len());
    let is_whole = |row: &&Row| epochs(row).unwrap_or(0) >= row.epochs.unwrap_or(0) as usize;
    let are_all = results.iter().all(is_whole);
    (curves, notices, are_all)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::path::PathBuf;
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::ops::init;
    use crate::ops::train::attempt::tests::curve_row;
    use crate::space::Candidate;
    use crate::storage::log::random_log::{claimant, random_log};
    use crate::storage::{CurveRow, WritableReplayLog};

    fn texts(folder: &Path) -> BTreeMap<String, String> {
        let names = regular_file::names(folder).unwrap().into_iter();
        let names = names.map(|name| name.into_string().unwrap());
        names.map(|name| (name.clone(), fs::read_to_string(folder.join(name)).unwrap())).collect()
    }

    /// Appends rows, with the curves of results.
    fn append(experiment: &Experiment, rows: &[Row]) {
        for row in rows.iter().filter(|row| row.event == Event::Trained) {
            let rows = (1..=3).map(|epoch| {
                let (predicted_accuracy, sigma) = (row.reward.map(|it| it / 3.0), Some(0.07));
                CurveRow { predicted_accuracy, sigma, ..curve_row(epoch, row.reward.unwrap()) }
            });
            let path = experiment.dir().curve(row.attempt().unwrap());
            Curve { rows: rows.collect() }.replace(&path).unwrap();
        }
        let mut log = WritableReplayLog::open(experiment.dir()).unwrap();
        log.lock_exclusive().unwrap().append(rows).unwrap();
    }

    fn damage(path: &Path, how: usize) {
        let Ok(bytes) = fs::read(path) else { return };
        let later = fs::metadata(path).unwrap().modified().unwrap() + Duration::from_secs(1);
        match how {
            0 => return fs::remove_file(path).unwrap(),
            1 => fs::write(path, &bytes[..bytes.len() / 2]).unwrap(),
            2 => fs::write(path, bytes.to_ascii_uppercase()).unwrap(),
            _ => fs::write(path, [&bytes[..], b"1,2,3\n"].concat()).unwrap(),
        }
        File::options().write(true).open(path).unwrap().set_modified(later).unwrap();
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn tables_written_after_each_step_are_those_written_from_nothing(
            seed in 0u64..1000,
            steps in prop::collection::vec((1usize..20, 0usize..40, 0usize..4, 0usize..8), 1..6),
        ) {
            let folder = tempfile::tempdir().unwrap();
            let experiment = init::tests::random_search(&folder, 1);
            let (tables, aside) = (experiment.dir().folder(Folder::Tables), folder.path().join("t"));
            let config = experiment.config();
            let q_table = QTable::new(config.space.clone(), config.q_learning.initial_q_value);
            let mut log = &random_log(seed, 60)[..];
            let mut short: Option<(PathBuf, String)> = None;
            for (rows, file, how, cut) in steps {
                let (new, rest) = log.split_at(rows.min(log.len()));
                log = rest;
                append(&experiment, new);
                if let Some((path, text)) = short.take() {
                    fs::write(path, text).unwrap();
                }
                // A curve may be read while a part of it is there.
                let newest = new.iter().rfind(|row| row.event == Event::Trained);
                if let Some(row) = newest.filter(|_| cut < 4) {
                    let path = experiment.dir().curve(row.attempt().unwrap());
                    let text = fs::read_to_string(&path).unwrap();
                    let kept: String = text.split_inclusive('\n').take(1 + cut).collect();
                    fs::write(&path, kept).unwrap();
                    short = Some((path, text));
                }
                let journal = Journal::open(&experiment).unwrap();
                write(&experiment, &journal, &q_table).unwrap();
                let added = texts(&tables);
                fs::rename(&tables, &aside).unwrap();
                write(&experiment, &journal, &q_table).unwrap();
                let is_table = |(name, _): &(&String, &String)| *name != SHOWN;
                let whole = texts(&tables);
                prop_assert!(added.iter().filter(is_table).eq(whole.iter().filter(is_table)));
                fs::remove_dir_all(&tables).unwrap();
                fs::rename(&aside, &tables).unwrap();
                if let Some(name) = added.keys().nth(file) {
                    damage(&tables.join(name), how);
                }
            }
        }
    }

    #[test]
    fn a_file_is_added_to_until_one_of_its_rows_changes() {
        let folder = tempfile::tempdir().unwrap();
        let experiment = init::tests::random_search(&folder, 1);
        let path = experiment.dir().folder(Folder::Tables).join("curves_long.csv");
        let first = experiment.dir().curve(Attempt { iteration: Iteration(1), number: 1 });
        let config = experiment.config();
        let q_table = QTable::new(config.space.clone(), config.q_learning.initial_q_value);
        let (by, mut keeps_first) = (claimant(0), Vec::new());
        let mut step = |decide: &dyn Fn(&Knowledge) -> Vec<Row>| {
            append(&experiment, &decide(Journal::open(&experiment).unwrap().state()));
            write(&experiment, &Journal::open(&experiment).unwrap(), &q_table).unwrap();
            // A curve that was shown is not read again.
            let _ = fs::remove_file(&first);
            keeps_first.push(fs::read_to_string(&path).unwrap().contains("\n1,"));
        };
        let claim = |number: u64| {
            let attempt = Attempt { iteration: Iteration(number), number: 1 };
            let candidate = Candidate::once(format!("[C({number},1,1), SM(10)]"));
            Row::claimed(attempt, Some(1.0), &candidate, &by)
        };
        let result = |number| claim(number).made_up_trained(0.5, 3, by.time);
        let lost = |of: &Knowledge| of.lose(claim(3).attempt().unwrap(), "gone", None, by.time);
        step(&|_| vec![claim(1), result(1)]);
        step(&|_| vec![claim(2), result(2), claim(3)]);
        step(&|_| vec![claim(4), result(4)]);
        step(&lost);
        step(&|_| vec![claim(5)]);
        step(&|_| vec![result(3)]);
        assert_eq!(keeps_first, [true, true, true, true, true, false]);
    }
}

//! Experiments side by side. Reads everything, appends nothing.

use std::collections::BTreeMap;
use std::ffi::OsStr;

use anyhow::{Result, bail};
use itertools::Itertools;
use serde_json::Value;

use crate::ops::finalize::certificate;
use crate::ops::journal::Journal;
use crate::ops::reduce::tables::search_data;
use crate::ops::{Experiment, Refusal};
use crate::report::compare::{ComparedSearch, SideBySide, differing};

const TRAINER: &str = "training.trainer";

/// Names and places, which decide nothing; seeds make siblings.
const NO_DIFFERENCES: [&str; 8] = [
    "experiment.",
    "data.path",
    "data.cache",
    "data.class_names",
    "training.checkpoint_dir",
    "training.recorded",
    "strategy.list.f",
    "slurm.",
];

pub fn compare(experiments: &[Experiment]) -> Result<SideBySide> {
    let mut searches = experiments.iter().map(compared).collect::<Result<Vec<_>>>()?;
    // Folders of one name are distinguished by their paths.
    if !searches.iter().map(|(of, _)| &of.name).all_unique() {
        for ((of, _), experiment) in searches.iter_mut().zip(experiments) {
            of.name = named(experiment.dir().root().as_os_str());
        }
    }
    let name = |number: usize| experiments[number].dir().root().display();
    // What is known of one alone may be the same of the other.
    let is_other = |key: &str, values: &[Option<String>]| match key.strip_prefix("data") {
        Some(rest) if rest.starts_with(' ') => !values.iter().flatten().all_equal(),
        Some(rest) => !rest.starts_with(".augment"),
        None => key == TRAINER && values.contains(&Some("synthetic".to_owned())),
    };
    let differing = differing(&searches.iter().map(|(of, _)| of.clone()).collect_vec());
    if let Some((key, values)) = differing.iter().find(|(key, values)| is_other(key, values)) {
        let other = values.iter().position(|value| *value != values[0]).expect("they differ");
        let [first, value] = [0, other].map(|at| values[at].as_deref().unwrap_or("not known"));
        bail!(Refusal::Usage(format!(
            "`{}` has other data than `{}`: `{key}` is `{value}`, not `{first}` (accuracies on \
             other data cannot be compared)",
            name(other),
            name(0)
        )));
    }
    let same = |(a, b): &(usize, usize)| {
        let [a, b] = [a, b].map(|at| &searches[*at].0);
        (&a.search.family, a.seed) == (&b.search.family, b.seed)
    };
    if let Some((first, again)) = (0..searches.len()).tuple_combinations().find(same) {
        bail!(Refusal::Usage(format!(
            "`{}` is the same search as `{}`, by configuration and seed (leave one of them out)",
            name(again),
            name(first)
        )));
    }
    let unfinished = searches.iter().filter(|(_, is_finished)| !is_finished);
    let notices = unfinished.map(|(of, _)| format!("`{}` is not finished.", of.name)).collect();
    Ok(SideBySide::of(&searches.into_iter().map(|(of, _)| of).collect_vec(), notices))
}

/// And whether it is finished.
fn compared(experiment: &Experiment) -> Result<(ComparedSearch, bool)> {
    let (config, frozen) = (experiment.config(), &experiment.frozen);
    let journal = Journal::open_to_look(experiment)?;
    let root = experiment.dir().root();
    let mut keys = BTreeMap::new();
    flatten("", &serde_json::to_value(&config.config)?, &mut keys);
    keys.retain(|key, _| !NO_DIFFERENCES.iter().any(|prefix| key.starts_with(prefix)));
    let search = search_data(experiment, &journal)?;
    // What the results are from: `imported`, too.
    keys.insert(TRAINER.to_owned(), search.trainer.to_owned());
    let mut stages = config.config.epsilon_schedule.0.iter().map(|stage| {
        let epsilon = stage.epsilon.map(|epsilon| format!("{epsilon} x "));
        epsilon.unwrap_or_default() + &stage.architectures.to_string()
    });
    keys.insert("epsilon_schedule".to_owned(), stages.join(", "));
    // Facts, not keys: their names have spaces.
    if let Some(files) = &frozen.data_files {
        flatten("data of", &serde_json::to_value(files)?, &mut keys);
    }
    if let Some(sha256) = &frozen.recording {
        keys.insert("data recorded".to_owned(), sha256.clone());
    }
    let finals = certificate(experiment).unwrap_or_else(|notice| {
        log::warn!("{notice}");
        None
    });
    let winner = finals.and_then(|finals| finals.results.into_iter().next());
    let tests = winner.into_iter().flat_map(|winner| winner.test.into_values());
    let is_finished = journal.state().is_finished(&config.strategy.schedule);
    let compared = ComparedSearch {
        seed: config.experiment.seed,
        search,
        keys,
        test_errors: tests.map(|test| test.error).collect(),
        name: named(root.file_name().unwrap_or(root.as_os_str())),
    };
    Ok((compared, is_finished))
}

/// In one line.
fn named(path: &OsStr) -> String {
    path.to_string_lossy().escape_debug().to_string()
}

/// Every key below `path` with its value, dotted; lists are values.
fn flatten(path: &str, value: &Value, keys: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(below) => below.iter().for_each(|(key, value)| {
            let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            flatten(&path, value, keys);
        }),
        Value::Array(list) => {
            drop(keys.insert(path.to_owned(), format!("[{}]", list.iter().join(", "))))
        }
        Value::String(text) => drop(keys.insert(path.to_owned(), text.clone())),
        value => drop(keys.insert(path.to_owned(), value.to_string())),
    }
}

//! The claims of the papers beside what experiments say of them. Reads everything, appends nothing.

use std::path::Path;

use anyhow::Result;

use crate::dataset::DataKind;
use crate::ops::Experiment;
use crate::ops::finalize::certificates;
use crate::ops::journal::Journal;
use crate::ops::reduce::tables::{add_details, search_data};
use crate::report::IMPORTED;
use crate::report::figures::Replay;
use crate::report::reproduce::{ClaimRow, SearchEvidence, judge};

/// SHA-256 of the training labels, packed and plain, which identify the data sets in IDX;
/// the third one of Fashion-MNIST is of Debian's package.
const LABELS: [(&str, &str); 5] = [
    ("MNIST", "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"),
    ("MNIST", "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"),
    ("Fashion-MNIST", "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"),
    ("Fashion-MNIST", "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9"),
    ("Fashion-MNIST", "0ae29f65d86684f32d1b9c85147786c547b9c6aebcaf235f0400a0cce308b056"),
];

/// Learning curves for a replay, of which an import has none.
const FEWEST: usize = 20;

/// The rows, and notices.
pub fn reproduce(
    experiments: &[Experiment],
    replay: impl Fn(&Path) -> Result<Option<Replay>>,
) -> Result<(Vec<ClaimRow>, Vec<String>)> {
    let (mut all, mut notices) = (Vec::new(), Vec::new());
    for experiment in experiments {
        let journal = Journal::open_to_look(experiment)?;
        let mut search = search_data(experiment, &journal)?;
        if search.trainer == "synthetic" {
            notices.push(format!(
                "`{}` is left out: its accuracies are made up (trainer `synthetic`)",
                experiment.dir().root().display()
            ));
            continue;
        }
        add_details(&mut search, (experiment, &journal), journal.learn()?.q_table(), 0)?;
        let mut finals = Vec::new();
        for (child, certificate) in certificates(experiment) {
            match (child, certificate) {
                // Final trainings may be made up where the search is not.
                (Ok(child), Ok(it)) if it.trainer != "synthetic" => {
                    finals.push((data_set(&child), it));
                }
                (Err(error), _) => notices.push(format!("{error:#}")),
                (_, Err(notice)) => notices.push(notice),
                _ => {}
            }
        }
        let config = experiment.config();
        let is_without = config.config.data.kind.is_none() && search.trainer == IMPORTED;
        let named = Some(&search.experiment).filter(|_| is_without).and_then(|it| known_name(it));
        notices.extend(named.map(|name| {
            format!("`{}` is taken for a search on {name} by its name alone", search.experiment)
        }));
        let curves = search.iterations.iter().filter(|row| row.has_full_curve()).count();
        let root = experiment.dir().root();
        let replay = if curves < FEWEST { Ok(None) } else { replay(root) };
        let no_replay = replay.as_ref().err();
        let no_replay =
            no_replay.map(|error| format!("`{}` cannot be replayed: {error:#}", root.display()));
        notices.extend(no_replay.clone());
        // Searches with other seeds or strategies may share a name, but no folder.
        let folder = root.file_name().unwrap_or_default();
        search.experiment = folder.to_string_lossy().into_owned();
        all.push(SearchEvidence {
            data: named.map_or_else(|| data_set(experiment), str::to_owned),
            strategy: config.strategy.kind.into(),
            training_images: experiment.frozen.training_images,
            max_layers: config.config.search_space.max_layers,
            finals,
            no_replay,
            replay: replay.unwrap_or_default(),
            search,
        });
    }
    Ok((judge(&all), notices))
}

fn data_set(experiment: &Experiment) -> String {
    let files = experiment.frozen.data_files.as_ref();
    let known = || LABELS.iter().find(|(_, sha256)| files.is_some_and(|it| it.has(sha256)));
    let name = match experiment.config().config.data.kind {
        Some(DataKind::Cifar10) => "CIFAR-10",
        Some(DataKind::Cifar100) => "CIFAR-100",
        Some(DataKind::Svhn) => "SVHN",
        Some(DataKind::Idx) => known().map_or("IDX files of an unknown set", |it| it.0),
        Some(DataKind::Images) => "pictures of one's own",
        Some(DataKind::Npz) => "arrays of one's own",
        None => "images of its trainer",
    };
    name.to_owned()
}

/// The data set that an experiment without files is named after, as an import has none.
fn known_name(experiment: &str) -> Option<&'static str> {
    let plain = experiment.to_lowercase().replace(['-', '_'], "");
    let known = [("cifar10", "CIFAR-10"), ("svhn", "SVHN"), ("mnist", "MNIST")];
    known.into_iter().find(|(name, _)| *name == plain).map(|(_, name)| name)
}

//! What people read of the final trainings: tables, the certificate, the model of the winner. All
//! of it follows from other files, and is written anew each time.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use itertools::Itertools;

use super::networks::{NETWORKS, Networks, came_of, iterations_of};
use super::test::{IMAGES, TestFolder, read, why_no_images};
use super::{CERTIFICATE, VALIDATE, WHOLE};
use crate::dataset::DataParams;
use crate::model::{MeasuredError, ModelCard};
use crate::ops::{Experiment, Refusal};
use crate::report::certificate::page;
use crate::report::finals::{FinalNetwork, Finals, Outputs};
use crate::report::tables::of_finals;
use crate::storage::fs::{publish, sealed};
use crate::storage::{ExperimentDir, Folder, StorageError};

pub const MODEL: &str = "model";
const TEST: &str = "test";
const RECOMPUTE: &str = include_str!("../../../scripts/recompute-finals.py");

/// `untested`: why no test error is known.
pub fn write(
    parent: &Experiment,
    networks: &Networks,
    [validate, whole]: [&Experiment; 2],
    untested: Option<String>,
) -> Result<Finals> {
    let place = whole.dir().root().parent().context("an experiment below `final/`")?;
    let mut finals = Finals {
        search: networks.search.clone(),
        control: networks.control.clone(),
        seed: validate.config().experiment.seed,
        trainer: <&str>::from(validate.config().recipe.trainer).to_owned(),
        images: images([validate, whole]),
        search_epochs: parent.config().recipe.epochs,
        final_epochs: validate.config().recipe.epochs,
        validation_images: validate.validation_images(),
        ensemble: networks.options.ensemble as usize,
        has_test_images: untested.is_none() || why_no_images(whole)?.is_none(),
        transfer: networks.config.as_ref().map(|of| {
            let (images, weights) = (&of.experiment.name, &networks.options.weights);
            format!(
                "Transfer: all but the search is on other images, `{images}` (weights: {weights})."
            )
        }),
        networks: trained(networks, [validate, whole], place, untested.is_none())?,
        untested,
        reads: TestFolder::of(place).reads()?,
        sha256: checksums(parent, place)?,
        ..Finals::default()
    }
    .summed_up();
    let model = model_of_winner(&finals, whole.dir());
    let card = model.as_ref().and_then(|folder| ModelCard::read(folder).ok());
    finals.versions = card.map(|card| card.versions).unwrap_or_default();
    finals.versions.insert("metaqnn".to_owned(), env!("CARGO_PKG_VERSION").to_owned());
    let json = serde_json::to_string_pretty(&finals)? + "\n";
    let texts = [
        ("recompute.py", RECOMPUTE.to_owned()),
        ("certificate.json", json),
        (CERTIFICATE, page(&finals)),
    ];
    let texts = texts.map(|(name, text)| (name.to_owned(), text));
    let tables = of_finals(&finals).files.into_iter().map(|file| (file.name, file.text));
    for (name, text) in tables.chain(texts) {
        publish::replace_file(&place.join(name), text.as_bytes())?;
    }
    if let Some(folder) = model {
        let test = finals.results.first().and_then(|winner| winner.test.get(&1));
        hand_out(&folder, &place.join(MODEL), test)?;
    }
    Ok(finals)
}

fn images(children: [&Experiment; 2]) -> String {
    let DataParams { classes, channels, input_size, .. } = &children[0].config().config.data;
    let counts = children.map(|of| of.frozen.training_images.unwrap_or(0));
    let kind = format!("{classes} classes, {channels} x {input_size} x {input_size}");
    match counts {
        [0, _] | [_, 0] => kind,
        [some, all] => format!("{kind}; {some} for training in step 2, {all} in step 3"),
    }
}

/// The networks of the first step, those of the second with what came of them there.
fn trained(
    networks: &Networks,
    [validate, whole]: [&Experiment; 2],
    place: &Path,
    is_tested: bool,
) -> Result<Vec<FinalNetwork>> {
    let test = TestFolder::of(place);
    let outputs =
        |model: &Option<String>| model.as_ref().map_or(Ok(None), |model| test.read_outputs(model));
    let iterations = iterations_of(whole)?;
    let Some(list) = &whole.config().strategy.list else { return Ok(Vec::new()) };
    let mut judged = networks.judged(validate)?;
    for network in &mut judged {
        network.validation = outputs(&network.model)?;
        for candidate in list.iter().filter(|of| *of.architecture == network.architecture) {
            let mut repeat = came_of(&iterations, whole, candidate);
            repeat.test = outputs(&repeat.model)?;
            if is_tested && repeat.test.is_none() {
                let is_gone = || "its folder was not there before the test".to_owned();
                repeat.problem.get_or_insert_with(is_gone);
            }
            network.repeats.push(repeat);
        }
    }
    check_images(judged.iter().filter_map(|of| of.validation.as_ref()), place)?;
    let repeats = judged.iter().flat_map(|of| &of.repeats);
    check_images(repeats.filter_map(|of| of.test.as_ref()), place)?;
    Ok(judged)
}

/// Checks that all outputs of a part are of the same images.
fn check_images<'a>(outputs: impl Iterator<Item = &'a Outputs>, place: &Path) -> Result<()> {
    let mut pairs = outputs.tuple_windows();
    let differ = |(one, other): &(&Outputs, &Outputs)| {
        (&one.labels, one.classes) != (&other.labels, other.classes)
    };
    let Some((one, other)) = pairs.find(differ) else { return Ok(()) };
    let [one, other] = [one, other].map(|of| place.join(TEST).join(&of.file));
    bail!(Refusal::Damage(format!(
        "`{}` and `{}` are of different images (remove the damaged one: it is made again)",
        one.display(),
        other.display()
    )))
}

/// Of what all else follows from, by paths below the search.
fn checksums(parent: &Experiment, place: &Path) -> Result<BTreeMap<String, String>> {
    let is_named = |name: &str| (name.starts_with("plan") || name == IMAGES).then_some(());
    let of_test = publish::listing(&place.join(TEST), is_named)?;
    let children = [VALIDATE, WHOLE].map(|name| ExperimentDir::unchecked(&place.join(name)));
    let children = children.iter().flat_map(|dir| [dir.configuration(), dir.replay_log()]);
    let files = [parent.dir().configuration(), place.join(NETWORKS)].into_iter().chain(children);
    let sum = |path: PathBuf| {
        let name = path.strip_prefix(parent.dir().root()).unwrap_or(&path);
        Ok((name.display().to_string(), sealed::checksum(&read(&path)?)))
    };
    files.chain(of_test.into_iter().map(|(_, path)| path)).map(sum).collect()
}

/// The folder of repeat 1 of the top model, where it was kept.
fn model_of_winner(finals: &Finals, whole: &ExperimentDir) -> Option<PathBuf> {
    let first = finals.selection().winner()?.repeats.iter().find(|of| of.repeat == 1)?;
    let attempt = first.model.as_deref()?.strip_prefix(WHOLE)?.strip_prefix('-')?;
    Some(whole.folder(Folder::Models).join(attempt)).filter(|folder| folder.is_dir())
}

/// Copies a model, with its test error, unless that copy is there.
fn hand_out(folder: &Path, to: &Path, test: Option<&MeasuredError>) -> Result<()> {
    let card = ModelCard::check_network(folder)?;
    // Numbers of the card may have changed in a bit since they were written.
    let is_same = |copy: &ModelCard| {
        let mut weights = card.sha256.iter().filter(|(name, _)| name.ends_with("weight"));
        copy.test.is_some() == test.is_some()
            && weights.all(|(name, sum)| copy.sha256.get(name) == Some(sum))
    };
    if ModelCard::check(to).is_ok_and(|copy| is_same(&copy)) {
        return Ok(());
    }
    if to.symlink_metadata().is_ok() {
        publish::remove_folder(to)?;
    }
    publish::folder_once(to, |aside| {
        let copied = ModelCard::copy(folder, aside)
            .and_then(|card| ModelCard { test: test.cloned(), ..card }.complete(aside));
        copied.map_err(|error| StorageError::Unusable {
            path: folder.to_owned(),
            problem: format!("cannot be copied: {error}"),
        })
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_of_other_images_are_damage_that_names_the_files() {
        let outputs = |file: &str, label: i64| Outputs {
            file: file.to_owned(),
            probabilities: vec![0.5, 0.5],
            labels: vec![label],
            classes: 2,
        };
        let of = [outputs("a.npz", 1), outputs("b.npz", 1), outputs("c.npz", 0)];
        check_images(of[..2].iter(), Path::new("final")).unwrap();
        let problem = check_images(of.iter(), Path::new("final")).unwrap_err().to_string();
        assert!(problem.contains("`final/test/b.npz` and `final/test/c.npz`"), "{problem}");
    }
}

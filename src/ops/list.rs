//! The networks of a `list`: read from a file or taken from an experiment, once, at `init`.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail};
use itertools::Itertools;

use crate::config::ExperimentConfig;
use crate::ops::journal::Journal;
use crate::ops::{Experiment, Refusal};
use crate::regular_file::{self, SMALL};
use crate::report::{ArchitectureRecord, by_iteration, ranking};
use crate::space::{Architecture, Space, SpaceError};
use crate::storage::{Event, Row};
use crate::strategy::{ListParams, StrategyKind};

/// Fills in the architectures of a list from where it says. Returns with which learning rates those
/// of an experiment have passed their first epochs.
pub fn fill(config: &mut ExperimentConfig) -> Result<Vec<(String, f64)>> {
    let ListParams { architectures, file, from, .. } = &config.strategy.list;
    if config.strategy.kind != StrategyKind::List || !architectures.is_empty() {
        return Ok(Vec::new());
    }
    let space = config.space()?.buildable();
    let mut rates = Vec::new();
    config.strategy.list.architectures = match (file, &from.experiment) {
        (Some(_), Some(_)) => {
            bail!(Refusal::together("strategy.list.file", "`strategy.list.from.experiment`"))
        }
        (Some(path), None) => read(path, |text| space.parse(text))?,
        (None, Some(path)) => {
            let taken = take(path, from.top, from.per_depth, &space);
            let key = "strategy.list.from.experiment";
            let taken = taken.with_context(|| format!("`{key}: {}`", path.display()))?;
            let rate = |(text, rate): &(String, Option<f64>)| Some((text.clone(), (*rate)?));
            rates = taken.iter().filter_map(rate).collect();
            taken.into_iter().map(|(text, _)| text).collect()
        }
        (None, None) => Vec::new(),
    };
    Ok(rates)
}

/// One a line; empty lines and those that begin with `#` are passed over.
pub fn read(
    path: &Path,
    parse: impl Fn(&str) -> Result<Architecture, SpaceError>,
) -> Result<Vec<String>> {
    if !path.exists() {
        bail!(Refusal::not_there(path));
    }
    let bytes = regular_file::read_input(path, SMALL)
        .with_context(|| format!("failed to read the list `{}`", path.display()))?;
    let text = String::from_utf8_lossy(&bytes);
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let mut lines = BTreeMap::new();
    let mut architectures = Vec::new();
    for (line, text) in (1..).zip(text.lines().map(str::trim)) {
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        let place = || format!("`{}`, line {line}: `{text}`", path.display());
        let own = parse(text).map_err(|error| {
            let remedy = "correct it, or leave it out";
            Refusal::Usage(format!("{} cannot be trained here: {error} ({remedy})", place()))
        })?;
        if let Some(first) = lines.insert(own.to_string(), line) {
            bail!(Refusal::Usage(format!(
                "{} stands on line {first}, too (leave it out: `strategy.list.repeats` trains \
                 each network several times)",
                place()
            )));
        }
        architectures.push(own.to_string());
    }
    if architectures.is_empty() {
        let remedy = "write one a line, such as `[C(64,3,1), P(2,2), SM(10)]`";
        bail!(Refusal::Usage(format!("`{}` names no network ({remedy})", path.display())));
    }
    Ok(architectures)
}

/// The selected networks as they are built here, each with its learning rate.
fn take(
    path: &Path,
    top: u32,
    per_depth: u32,
    space: &Space,
) -> Result<Vec<(String, Option<f64>)>> {
    let experiment = Experiment::open(path)?;
    let iterations = by_iteration(Journal::open_to_look(&experiment)?.rows());
    let ranked = ranked(&iterations)?;
    let selected = select(&ranked, top, per_depth).into_iter();
    let architectures: Vec<_> =
        selected.filter_map(|record| adapted(record, &experiment, space)).collect();
    if architectures.is_empty() {
        bail!(Refusal::Usage(
            "none of its networks is left to train (raise `top` or `per_depth`, or choose images \
             of a size at which they can be built)"
                .to_owned()
        ));
    }
    Ok(architectures)
}

/// The networks of an experiment that were trained to the end and judged, the best first.
pub fn ranked(iterations: &[Row]) -> Result<Vec<ArchitectureRecord<'_>>> {
    let ranked = ranking(ArchitectureRecord::gather(iterations), usize::MAX);
    if ranked.is_empty() {
        if iterations.iter().any(|row| row.event == Event::Trained) {
            bail!(Refusal::Usage(
                "its networks are trained, but not judged: no image of it is for validation (name \
                 another experiment, or the networks in `strategy.list.architectures`)"
                    .to_owned()
            ));
        }
        let remedy = "wait for its first results, or name another experiment";
        bail!(Refusal::Usage(format!("no network of it is trained to the end ({remedy})")));
    }
    Ok(ranked)
}

/// A network of an experiment as it is built in this space, where that is possible, with the
/// learning rate with which it has passed its first epoch.
pub fn adapted(
    record: &ArchitectureRecord,
    experiment: &Experiment,
    space: &Space,
) -> Option<(String, Option<f64>)> {
    let text = record.architecture;
    let rate = record.learning_rate.filter(|rate| *rate > 0.0);
    let rate = rate.map(|rate| experiment.config().recipe.begun_with(rate));
    match space.adapted(text) {
        Ok(own) => Some((own.to_string(), rate)),
        Err(why) => {
            log::warn!("`{text}` is left out, it cannot be built here: {why}");
            None
        }
    }
}

/// Of the networks of a [`ranking`] the best `top`, then the best `per_depth` of each depth from
/// the median depth up, that are not among them.
pub fn select<'a>(
    ranked: &'a [ArchitectureRecord<'a>],
    top: u32,
    per_depth: u32,
) -> Vec<&'a ArchitectureRecord<'a>> {
    // The best of its repeats counts.
    let ranked: Vec<_> = ranked.iter().unique_by(|record| record.architecture).collect();
    let depths: Vec<_> = ranked.iter().filter_map(|record| record.layers).sorted().collect();
    let median = depths.get(depths.len().saturating_sub(1) / 2).copied().unwrap_or(0);
    let deep = ranked.iter().copied().filter(|record| record.layers >= Some(median));
    let by_depth = deep.sorted_by_key(|record| record.layers).chunk_by(|record| record.layers);
    let best_of_each = by_depth.into_iter().flat_map(|(_, of)| of.take(per_depth as usize));
    let best = ranked.iter().take(top as usize).copied();
    best.chain(best_of_each).unique_by(|record| record.architecture).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::{Iteration, Row};

    fn selected(rows: &[Row], top: u32, per_depth: u32) -> Vec<String> {
        let ranked = ranking(ArchitectureRecord::gather(rows), usize::MAX);
        let selected = select(&ranked, top, per_depth).into_iter();
        selected.map(|record| record.architecture.to_owned()).collect()
    }

    /// A network of so many layers, as iteration `number`.
    fn trained(number: u64, layers: u32, accuracy: f64) -> Row {
        Row {
            iteration: Some(Iteration(number)),
            architecture: Some(format!("{layers}.{number}").into()),
            repeat: Some(1),
            layers: Some(layers),
            best_validation_accuracy: Some(accuracy),
            ..Row::new(Event::Trained)
        }
    }

    #[test]
    fn the_best_and_the_best_of_each_depth_from_the_median_up_are_taken() {
        // Depths 1, 2, 3, 4, 4, 5: the median is 3.
        let rows = [
            trained(1, 1, 0.9),
            trained(2, 2, 0.8),
            trained(3, 3, 0.1),
            trained(4, 4, 0.3),
            trained(5, 4, 0.4),
            trained(6, 5, 0.7),
            Row { event: Event::Stopped, ..trained(7, 6, 0.95) },
        ];
        assert_eq!(selected(&rows, 1, 1), ["1.1", "3.3", "4.5", "5.6"]);
        assert_eq!(selected(&rows, 3, 0), ["1.1", "2.2", "5.6"]);
        assert_eq!(selected(&rows, 0, 2), ["3.3", "4.5", "4.4", "5.6"]);
        assert_eq!(selected(&rows, 9, 9).len(), 6, "none stands twice");
        assert!(selected(&[], 9, 9).is_empty());
    }

    #[test]
    fn an_architecture_of_several_repeats_stands_once_by_its_best() {
        let again = Row {
            repeat: Some(2),
            iteration: Some(Iteration(3)),
            learning_rate: Some(0.4),
            ..trained(1, 1, 0.9)
        };
        let rows = [trained(1, 1, 0.2), trained(2, 1, 0.5), again];
        assert_eq!(selected(&rows, 2, 0), ["1.1", "1.2"]);
        let ranked = ranking(ArchitectureRecord::gather(&rows), usize::MAX);
        assert_eq!(select(&ranked, 1, 0)[0].learning_rate, Some(0.4), "that of its best");
    }
}

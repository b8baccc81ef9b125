//! `export`: the results of an experiment as the published program would write them.

use std::collections::HashMap;
use std::fs;
use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, bail};
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::exchange::{
    Q_VALUES, REPLAY_DATABASE, ReplayRow, write_q_values, write_replay_database,
};
use crate::ops::journal::Journal;
use crate::ops::{Experiment, Refusal, recording};
use crate::outcome::Accuracy;
use crate::q_learning::Epsilon;
use crate::storage::Event;
use crate::storage::fs::publish;

#[derive(Debug, clap::Args)]
pub struct ExportOptions {
    /// The folder to write into; made when missing. With `--recorded` a file, packed if its name
    /// ends in .gz
    target: PathBuf,
    /// Replace files of these names that are there
    #[arg(long)]
    overwrite: bool,
    /// Write one file: the learning curves of all networks that were not stopped, which the
    /// trainer `recorded` answers from
    #[arg(long)]
    recorded: bool,
}

/// Writes `replay_database.csv` and `q_values.csv`, or a recording, and returns their paths.
pub fn export(experiment: &Experiment, options: &ExportOptions) -> anyhow::Result<Vec<PathBuf>> {
    let target = &options.target;
    let refuse_to_replace = |path: &PathBuf| {
        let problem = "is there (name another target, or replace it with `--overwrite`)";
        match !options.overwrite && path.exists() {
            true => Err(Refusal::Usage(format!("`{}` {problem}", path.display()))),
            false => Ok(()),
        }
    };
    if options.recorded {
        refuse_to_replace(target)?;
        let (dir, journal) = (experiment.dir(), Journal::open_to_look(experiment)?);
        let trainer = experiment.config().recipe.trainer.into();
        let (mut text, stopped) = recording::written(dir, journal.rows(), trainer)?;
        if stopped > 0 {
            log::warn!(
                "{stopped} networks are left out: they were stopped, so their curves are cut"
            );
        }
        if target.extension().is_some_and(|extension| extension == "gz") {
            let mut packed = GzEncoder::new(Vec::new(), Compression::best());
            packed.write_all(&text)?;
            text = packed.finish()?;
        }
        publish::replace_file(target, &text)?;
        return Ok(vec![target.clone()]);
    }
    let kind = experiment.config().strategy.kind;
    if !kind.has_epsilon() {
        bail!(Refusal::Usage(format!(
            "the strategy `{kind}` has no replay memory or Q-table to export (`tables/models.csv` \
             has its results)"
        )));
    }
    if target.exists() && !target.is_dir() {
        bail!(Refusal::no_folder(target));
    }
    let paths = [REPLAY_DATABASE, Q_VALUES].map(|name| target.join(name));
    paths.iter().try_for_each(refuse_to_replace)?;
    let journal = Journal::open_to_look(experiment)?;
    let rows = replay_rows(experiment, &journal)?;
    fs::create_dir_all(target)
        .with_context(|| format!("failed to create `{}`", target.display()))?;
    publish::replace_file(&paths[0], &write_replay_database(&rows))?;
    publish::replace_file(&paths[1], &write_q_values(journal.learn()?.q_table()))?;
    Ok(paths.into())
}

/// The rows of the replay memory. A network met again has the numbers of its first result.
fn replay_rows(experiment: &Experiment, journal: &Journal) -> anyhow::Result<Vec<ReplayRow>> {
    // Optimizer steps; 1 when the trainer brings its own images, so that steps are epochs.
    let batch = u64::from(experiment.config().recipe.batch_size);
    let steps = experiment.frozen.training_images.map_or(1, |images| (images / batch).max(1));
    let results = journal.rows().iter().filter(|row| row.event.is_result());
    let results: HashMap<_, _> = results.map(|row| (row.iteration, row)).collect();
    let mut written = Vec::new();
    for row in journal.rows() {
        let Some((architecture, reward)) = row.memory() else { continue };
        let known = row.candidate().and_then(|candidate| journal.state().known.get(&candidate));
        let first = known.and_then(|known| results.get(&Some(known.iteration)));
        let result = first.copied().unwrap_or(row);
        let reward = Accuracy::new(reward)?;
        // As the published code writes it: its chance level twice, reached at step 0.
        let is_failed = result.event == Event::Failed && result.best_validation_accuracy.is_none();
        let last = result.last_validation_accuracy.map_or(Ok(reward), Accuracy::new)?;
        let step =
            |epoch: Option<u32>| if is_failed { 0 } else { u64::from(epoch.unwrap_or(0)) * steps };
        written.push(ReplayRow {
            architecture: experiment.config().space.parse(architecture)?,
            best_validation_accuracy: reward,
            best_step: step(result.best_epoch),
            last_validation_accuracy: if is_failed { reward } else { last },
            last_step: step(result.epochs),
            iteration: row.iteration.map_or(0, |iteration| iteration.0),
            epsilon: Epsilon::new(row.epsilon.unwrap_or(1.0))?,
            finished: row.time,
            machine: result.host.as_deref().unwrap_or("unknown").to_owned(),
        });
    }
    Ok(written)
}

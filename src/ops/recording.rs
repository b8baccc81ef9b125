//! Recordings: read for the trainer `recorded`, and written from an experiment.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Result, bail};
use itertools::Itertools;

use crate::config::{ExperimentConfig, ValidConfig};
use crate::ops::journal::Journal;
use crate::ops::{Experiment, Refusal};
use crate::regular_file::{self, LARGE};
use crate::storage::{Curve, CurveRow, Event, ExperimentDir, LogPosition, ReplayLog, Row};
use crate::training::{RecordedEvent, RecordedRow, RecordedTrainings, TrainerKind};

/// Checks a configuration, with the recording that its trainer answers from.
pub fn checked(config: ExperimentConfig) -> Result<ValidConfig> {
    let paths = &config.training.recorded;
    if config.training.trainer != TrainerKind::Recorded || paths.is_empty() {
        return Ok(config.check()?);
    }
    let (mut trainings, space) = (RecordedTrainings::default(), config.space_of_strategy()?);
    for path in paths {
        let (text, stopped) = read(path)?;
        trainings.stopped += stopped;
        trainings.add(text, path, &space)?;
    }
    trainings.check(&config.training)?;
    Ok(config.check_with(Some(Arc::new(trainings)))?)
}

/// Refuses an experiment that goes on: with its next result it would be another recording, and no
/// search that was made of it could be opened.
pub fn check_finished(config: &ExperimentConfig) -> Result<()> {
    for path in config.training.recorded.iter().filter(|path| path.is_dir()) {
        let experiment = Experiment::open(path)?;
        let journal = Journal::open_to_look(&experiment)?;
        if !journal.state().is_finished(&experiment.config().strategy.schedule) {
            let path = path.display();
            bail!(Refusal::Usage(format!(
                "`training.recorded` is `{path}`, which is not finished: its next result would make \
                 another recording of it (`metaqnn export {path} FILE --recorded` keeps what is \
                 there: name that file)"
            )));
        }
    }
    Ok(())
}

/// Checks that the recording is that of the beginning.
pub fn check_unchanged(config: &ValidConfig, sha256: Option<&String>) -> Result<()> {
    let found = config.recording.as_ref().map(|trainings| trainings.sha256());
    if found.as_ref() != sha256 {
        let path = |path: &PathBuf| format!("`{}`", path.display());
        bail!(Refusal::Usage(format!(
            "the recording {} has changed since the experiment was created: its checksum is `{}`, \
             and was `{}` (restore it)",
            config.recipe.recorded.iter().map(path).join(", "),
            found.unwrap_or_default(),
            sha256.map_or("", String::as_str),
        )));
    }
    Ok(())
}

fn read(path: &Path) -> Result<(Vec<u8>, usize)> {
    if !path.exists() {
        bail!(Refusal::not_there(path));
    }
    if !path.is_dir() {
        return Ok((regular_file::read_input(path, LARGE)?, 0));
    }
    let dir = ExperimentDir::open_frozen(path)?.0;
    let log = ReplayLog::open_to_look(&dir)?.read_from(&LogPosition::start())?;
    written(&dir, &log.rows, "")
}

/// Returns the CSV of the trainings of an experiment, and how many networks are left out since
/// they were stopped: their curves are cut.
pub fn written(
    dir: &ExperimentDir,
    log: &[Row],
    trainer: &'static str,
) -> Result<(Vec<u8>, usize)> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for row in log {
        let event = match row.event {
            Event::Trained if row.has_full_curve() => RecordedEvent::Trained,
            Event::Failed => RecordedEvent::Failed,
            Event::OutOfMemory => RecordedEvent::OutOfMemory,
            _ => continue,
        };
        let (Some(attempt), Some(architecture)) = (row.attempt(), &row.architecture) else {
            continue;
        };
        let row_of = |epoch: Option<&CurveRow>| RecordedRow {
            architecture: architecture.to_string(),
            repeat: row.repeat.unwrap_or(1),
            event,
            reason: row.reason.as_deref().map(str::to_owned),
            start: epoch.map(|it| it.start),
            epoch: epoch.map(|it| it.epoch),
            learning_rate: epoch.and_then(|it| it.learning_rate),
            validation_accuracy: epoch.and_then(|it| it.validation_accuracy),
            // Microseconds are enough, and short.
            seconds: epoch.and_then(|it| Some((it.seconds? * 1e6).round() / 1e6)),
            trainer,
            parameters: row.parameters,
            macs: row.macs,
            layers: row.layers,
        };
        let path = dir.curve(attempt);
        // One without an epoch has none.
        let curve = if path.exists() { Curve::read(&path)? } else { Curve::default() };
        for epoch in curve.rows.iter().map(Some).pad_using(1, |_| None) {
            writer.serialize(row_of(epoch))?;
        }
    }
    let stopped = log.iter().filter(|row| row.has_cut_curve()).count();
    Ok((writer.into_inner().expect("written to memory"), stopped))
}

//! The predictor fitted when the log held so many full curves: `predictors/<full curves>/`.
//!
//! While a worker of `run` fits one, `predictors/started.<full curves>.<host>.<process>` keeps
//! others from the same work. Nobody waits for it; two fits cost time and do no harm.

use std::fs;
use std::path::{Path, PathBuf};
use std::process;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::predictor::FittedPredictor;
use crate::storage::log::event::{Attempt, Row};
use crate::storage::view::files::{self, OnDamage, read_checked};
use crate::storage::{
    dir::ExperimentDir, dir::Folder, error::Result, error::StorageError, fs::publish::Published,
    fs::yaml,
};

const FIT: &str = "fit.yaml";
const PREDICTOR: &str = "predictor.yaml";
const STARTED: &str = "started.";
const STARTED_FOR: Duration = Duration::from_secs(15 * 60);

/// A published predictor, not yet parsed: what `fit.yaml` says, and `predictor.yaml`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StoredPredictor {
    program: String,
    configuration_sha256: String,
    /// The attempts whose curves it was fitted to, in the order of the log.
    curves: Vec<String>,
    #[serde(skip)]
    pub full_curves: u64,
    #[serde(skip)]
    bytes: Vec<u8>,
    #[serde(skip)]
    path: PathBuf,
}

impl StoredPredictor {
    pub fn read(folder: &Path, full_curves: u64, sha256: &str) -> Result<Self> {
        let fit: Self = yaml::parse(&read_checked(folder, FIT)?, &folder.join(FIT))?;
        if fit.configuration_sha256 != sha256 {
            return Err(StorageError::OtherConfiguration { path: folder.to_owned() });
        }
        let (bytes, path) = (read_checked(folder, PREDICTOR)?, folder.join(PREDICTOR));
        Ok(Self { full_curves, bytes, path, ..fit })
    }

    /// The newest that is whole, of `at_most` full curves.
    pub fn newest(
        dir: &ExperimentDir,
        sha256: &str,
        at_most: u64,
        is_of_log: impl Fn(&Self) -> bool,
        on_damage: OnDamage,
    ) -> Result<Option<Self>> {
        let mut listed = dir.list_predictors()?;
        listed.retain(|(full_curves, _)| *full_curves <= at_most);
        let read = |full_curves, folder: &Path| {
            let stored = Self::read(folder, full_curves, sha256)?;
            if is_of_log(&stored) { Ok(stored) } else { Err(stored.stale()) }
        };
        files::newest(listed, read, on_damage)
    }

    pub fn is_of<'a>(&self, rows: impl Iterator<Item = &'a Row>) -> bool {
        rows.map(name_of).eq(self.curves.iter().cloned())
    }

    pub fn stale(&self) -> StorageError {
        StorageError::damaged(&self.path, "it was fitted to other curves than the log has")
    }

    pub fn predictor(&self) -> Result<FittedPredictor> {
        yaml::parse(&self.bytes, &self.path)
    }

    pub fn publish<'a>(
        dir: &ExperimentDir,
        sha256: &str,
        full_curves: u64,
        rows: impl Iterator<Item = &'a Row>,
        predictor: &FittedPredictor,
    ) -> Result<Published> {
        let folder = dir.predictor(full_curves);
        let path = folder.join(PREDICTOR);
        let stored = Self {
            program: env!("CARGO_PKG_VERSION").to_owned(),
            configuration_sha256: sha256.to_owned(),
            curves: rows.map(name_of).collect(),
            full_curves,
            bytes: yaml::print(predictor, &path)?.into_bytes(),
            path,
        };
        let fit = yaml::print(&stored, &folder.join(FIT))?.into_bytes();
        let published = files::publish(&folder, vec![(FIT, fit), (PREDICTOR, stored.bytes)])?;
        files::remove_old(dir.list_predictors()?);
        for (_, file) in dir.list_started_fits()?.into_iter().filter(|(of, _)| *of <= full_curves) {
            let _ = fs::remove_file(file);
        }
        Ok(published)
    }

    /// `false` when another process has begun the fit within a quarter of an hour.
    pub fn start_fit(dir: &ExperimentDir, host: &str, full_curves: u64) -> Result<bool> {
        let is_new = |path: &PathBuf| {
            let began = fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
            began.and_then(|began| began.elapsed().ok()).is_some_and(|age| age < STARTED_FOR)
        };
        let started = dir.list_started_fits()?;
        if started.iter().any(|(of, path)| *of == full_curves && is_new(path)) {
            return Ok(false);
        }
        let name = format!("{STARTED}{full_curves:06}.{host}.{}", process::id());
        let path = dir.folder(Folder::Predictors).join(name);
        fs::write(&path, b"").map_err(StorageError::io("write", &path))?;
        Ok(true)
    }
}

fn name_of(row: &Row) -> String {
    row.attempt().as_ref().map(Attempt::to_string).unwrap_or_default()
}

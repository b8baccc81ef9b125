//! The audit of an experiment: every file read, and the caches compared with what the log says.
//! Called by `cli::checks`.
//!
//! | file | holds |
//! | --- | --- |
//! | `finding.rs` | [`Finding`], [`Repair`] |
//! | `log.rs` | [`log::Examined`]: the log, row by row, through `storage::search_state` |
//! | `results.rs` | result rows recomputed from search space, configuration and curves |
//! | `views.rs` | views and predictors, the newest ones against a rebuild |
//! | `rounds.rs` | the files by which rounds are submitted |
//! | `files.rs` | curves, results, checkpoints, what was imported, saved or left behind |
//! | `repair.rs` | mending, under the exclusive lock |

mod files;
mod finding;
mod log;
mod repair;
mod results;
mod rounds;
mod views;

use std::fmt;
use std::io::ErrorKind;
use std::path::{Path, PathBuf, absolute};

use anyhow::Context;
use jiff::Timestamp;

use self::log::Examined;
use self::views::{differing, read_predictors, read_views};
use crate::config::ConfigError;
use crate::ops::Experiment;
use crate::ops::train::attempt_files::AttemptFiles;
use crate::storage::view::View;
use crate::storage::{ExperimentDir, RawLog, StorageError};

pub use finding::{Finding, Repair};

#[derive(Debug, Clone, Default)]
pub struct AuditReport {
    /// In the order of the files.
    pub findings: Vec<Finding>,
    rows: usize,
    results: usize,
    views: usize,
    curves: usize,
    rounds: usize,
    /// Caches that are whole and fit the log, but are not what it says.
    differing: Vec<PathBuf>,
}

impl AuditReport {
    /// Whether there is no damage, or none any more.
    pub fn is_clean(&self) -> bool {
        !self.findings.iter().any(Finding::is_damage)
    }
}

/// One line: whether it is clean, and what was examined.
impl fmt::Display for AuditReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { findings, rows, results, views, curves, rounds, .. } = self;
        match findings.iter().filter(|finding| finding.is_damage()).count() {
            0 => f.write_str("clean")?,
            1 => f.write_str("1 damage")?,
            several => write!(f, "{several} damages")?,
        }
        let repaired = findings.iter().filter(|finding| finding.repaired).count();
        if repaired > 0 {
            write!(f, ", {repaired} repaired")?;
        }
        write!(f, ": {rows} rows, {results} results, {views} views, {curves} curves, ")?;
        write!(f, "{rounds} rounds")
    }
}

/// Audits an experiment, and changes nothing. Damage is no error but a finding.
pub fn verify(path: &Path) -> anyhow::Result<AuditReport> {
    Subject::open(path)?.audit()
}

/// Audits an experiment, mends what is safe to mend, and audits it again.
pub fn repair(path: &Path) -> anyhow::Result<AuditReport> {
    let subject = Subject::open(path)?;
    let before = subject.audit()?;
    let can_be_mended = before.findings.iter().any(|finding| finding.repair != Repair::None);
    let Some(experiment) = subject.experiment.as_ref().filter(|_| can_be_mended) else {
        return Ok(before);
    };
    repair::mend(experiment, &before.differing)?;
    let mut report = subject.audit()?;
    let after = std::mem::take(&mut report.findings);
    let is_gone = |finding: &Finding| {
        let is_same =
            |other: &Finding| (&other.path, &other.problem) == (&finding.path, &finding.problem);
        finding.repair != Repair::None && !after.iter().any(is_same)
    };
    let gone = before.findings.into_iter().filter(is_gone);
    let repaired = gone.map(|finding| Finding { repaired: true, ..finding });
    report.findings = repaired.collect();
    report.findings.extend(after);
    Ok(report)
}

struct Subject {
    dir: ExperimentDir,
    /// `None` when its configuration is damaged: then only the log is checked, nothing is mended.
    experiment: Option<Experiment>,
    /// What is wrong with `experiment.yaml`.
    configuration: Option<Finding>,
}

impl Subject {
    fn open(path: &Path) -> anyhow::Result<Self> {
        let damage = |problem: String| {
            Some(Finding::damage("experiment.yaml", format!("{problem}; only the log is checked")))
        };
        // A `set` row that cannot be in force is damage of the log, and mended there.
        let error =
            match Experiment::open(path).or_else(|error| Experiment::open_as_frozen(path, error)) {
                Ok(experiment) => {
                    let dir = experiment.dir().clone();
                    let configuration = other_configuration(&experiment).and_then(damage);
                    let experiment = configuration.is_none().then_some(experiment);
                    return Ok(Self { dir, experiment, configuration });
                }
                Err(error) => error,
            };
        let path = absolute(path).context("failed to find the current folder")?;
        let dir = ExperimentDir::unchecked(&path);
        let is_damaged = match error.downcast_ref::<StorageError>() {
            Some(StorageError::NotAnExperiment { .. }) => dir.replay_log().exists(),
            Some(error) => error.is_damage(),
            None => error.chain().any(|cause| cause.is::<ConfigError>()),
        };
        if !is_damaged {
            return Err(error);
        }
        Ok(Self { dir, experiment: None, configuration: damage(format!("{error:#}")) })
    }

    fn audit(&self) -> anyhow::Result<AuditReport> {
        let findings = self.configuration.iter().cloned().collect();
        let mut report = AuditReport { findings, ..AuditReport::default() };
        let misplaced = files::misplaced(&self.dir);
        if !misplaced.is_empty() {
            report.findings.extend(misplaced);
            return Ok(report);
        }
        // Before the log: it then has the claim of each listed file.
        let files = AttemptFiles::list(&self.dir)?;
        let listed = self.dir.list_views()?;
        let raw = match RawLog::read(&self.dir) {
            Err(StorageError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {
                report.findings.push(Finding::damage(log::LOG, "missing"));
                return Ok(report);
            }
            raw => raw?,
        };
        let experiment = self.experiment.as_ref();
        let views = experiment.map(|experiment| read_views(experiment, &listed, &raw));
        let prefix = views.as_ref().map_or(0, |(_, prefix)| *prefix);
        let examined = Examined::of(&raw, experiment, prefix);
        report.rows = examined.rows.len();
        report.results = examined.knowledge.known.len();
        report.views = listed.len();
        report.curves = files.curves.len();
        report.rounds = self.dir.list_rounds()?.len();
        if let Some(how) = raw.header_problem {
            // Without rows nothing else can be compared.
            report.findings.push(log::changed(how).at(1, 0));
            return Ok(report);
        }
        report.findings.extend(examined.findings(&raw, Timestamp::now()));
        if let (Some(experiment), Some((views, _))) = (experiment, views) {
            report.findings.extend(results::check_rows(&raw, &examined.rows, experiment.config()));
            let predictors = read_predictors(experiment, &examined.rows)?;
            let newest = (views.1.as_ref(), predictors.1.as_ref());
            let differing = differing(experiment, newest, &examined.rows)?;
            report.differing =
                differing.iter().map(|found| self.dir.root().join(&found.path)).collect();
            report.findings.extend([views.0, predictors.0, differing].concat());
            report.findings.extend(files::check_attempts(&files, &self.dir, &examined)?);
            let rule = experiment.config().early_stopping.rule();
            report.findings.extend(files::check_curves(&files, &self.dir, rule, &examined)?);
            report.findings.extend(rounds::check_rounds(&self.dir, &examined)?);
            let space = &experiment.config().space;
            report.findings.extend(files::check_imported(&self.dir, space)?);
        }
        report.findings.extend(files::left_behind(&self.dir)?);
        if examined.is_beyond_repair() {
            for finding in report.findings.iter_mut().filter(|one| one.repair != Repair::CutEnd) {
                finding.repair = Repair::None;
            }
        }
        Ok(report)
    }
}

/// How a view shows that it was made with another configuration: then this one says nothing of the
/// rows.
fn other_configuration(experiment: &Experiment) -> Option<String> {
    let sha256 = experiment.view_params().sha256;
    // A folder that cannot be listed is reported by the check of all views.
    let views = experiment.dir().list_views().unwrap_or_default().into_iter().rev();
    let mut errors = views.filter_map(|(rows, folder)| View::read(&folder, rows, &sha256).err());
    let other = errors.find(|error| matches!(error, StorageError::OtherConfiguration { .. }));
    other.map(|error| error.to_string())
}

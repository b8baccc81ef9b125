//! What an experiment is worth: every file read, and the views compared with what the log says.
//!
//! An audit only reads, and takes no lock but the shared one while it reads the log. What it finds are values
//! ([`Finding`]); a repair ([`repair()`]) mends what is safe to mend and audits again.
//!
//! | file | holds |
//! | --- | --- |
//! | `finding.rs` | [`Finding`] |
//! | `log.rs` | the replay log, row by row, through the one pure function `storage::knowledge` |
//! | `results.rs` | result rows against search space, configuration and curves |
//! | `views.rs` | views, and the newest one against a rebuild |
//! | `rounds.rs` | the files by which rounds are submitted |
//! | `files.rs` | curves, checkpoints, what was imported, saved or left behind |
//! | `repair.rs` | mending, under the exclusive lock |

mod files;
mod finding;
mod log;
mod repair;
mod results;
mod rounds;
mod views;

use std::env;
use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use jiff::Timestamp;
use serde::Serialize;

use self::log::Examined;
use self::views::{Views, differing_predictor, differing_view, read_predictors};
use crate::config::ConfigError;
use crate::ops::Experiment;
use crate::ops::train::attempt_files::AttemptFiles;
use crate::storage::view::View;
use crate::storage::{ExperimentDir, RawLog, Row, StorageError};

pub use finding::{Finding, Repair};

/// What an audit has looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Counts {
    /// Rows of the log.
    pub rows: usize,
    /// Architectures that have a result.
    pub results: usize,
    /// Views.
    pub views: usize,
    /// Learning curves.
    pub curves: usize,
    /// Rounds.
    pub rounds: usize,
}

/// What an audit has found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audit {
    /// What it has looked at.
    pub counts: Counts,
    /// What it has found, in the order of the files.
    pub findings: Vec<Finding>,
}

impl Audit {
    /// Whether there is no damage, or none any more.
    pub fn is_clean(&self) -> bool {
        !self.findings.iter().any(Finding::is_damage)
    }
}

/// One line: whether it is clean, and what was looked at.
impl fmt::Display for Audit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts { rows, results, views, curves, rounds } = self.counts;
        let damages = self.findings.iter().filter(|finding| finding.is_damage()).count();
        let repaired = self.findings.iter().filter(|finding| finding.repaired).count();
        match damages {
            0 => f.write_str("clean")?,
            1 => f.write_str("1 damage")?,
            several => write!(f, "{several} damages")?,
        }
        if repaired > 0 {
            write!(f, ", {repaired} repaired")?;
        }
        write!(
            f,
            ": {rows} rows, {results} results, {views} views, {curves} curves, {rounds} rounds"
        )
    }
}

/// Audits an experiment, and changes nothing.
///
/// # Errors
/// `path` is no experiment, or one of another format version; a file that is there cannot be read. Damage is no
/// error but a finding.
pub fn verify(path: &Path) -> anyhow::Result<Audit> {
    Subject::open(path)?.audit().map(|(audit, _)| audit)
}

/// Audits an experiment, mends what is safe to mend, and audits it again.
///
/// # Errors
/// Those of [`verify`]; the lock of the log stayed taken, or a file cannot be written.
pub fn repair(experiment_path: &Path) -> anyhow::Result<Audit> {
    let subject = Subject::open(experiment_path)?;
    let (before, differing) = subject.audit()?;
    let can_be_mended = before.findings.iter().any(|finding| finding.repair != Repair::None);
    let Some(experiment) = subject.experiment.as_ref().filter(|_| can_be_mended) else {
        return Ok(before);
    };
    repair::mend(experiment, &differing)?;
    let (after, _) = subject.audit()?;
    let is_gone = |finding: &Finding| {
        let is_same =
            |other: &Finding| (&other.path, &other.problem) == (&finding.path, &finding.problem);
        finding.repair != Repair::None && !after.findings.iter().any(is_same)
    };
    let repaired = before.findings.into_iter().filter(is_gone);
    let repaired = repaired.map(|finding| Finding { repaired: true, ..finding });
    Ok(Audit { counts: after.counts, findings: repaired.chain(after.findings.clone()).collect() })
}

/// Finds a view that was made with another configuration: then nothing can be said of the rows by this one, and nothing
/// is mended.
fn of_another_configuration(experiment: &Experiment) -> Option<Finding> {
    let sha256 = experiment.view_params().sha256;
    // A folder that cannot be listed is reported by the check of all views.
    let mut views = experiment.dir().list_views().unwrap_or_default().into_iter().rev();
    let other = views.find_map(|(rows, folder)| {
        View::read(&folder, rows, &sha256)
            .err()
            .filter(|error| matches!(error, StorageError::OtherConfiguration { .. }))
    });
    other.map(|error| {
        Finding::damage("experiment.yaml", format!("{error}; only the log is checked"))
    })
}

/// An experiment directory whose configuration may be damaged.
struct Subject {
    dir: ExperimentDir,
    experiment: Option<Experiment>,
    /// What is wrong with `experiment.yaml`.
    configuration: Option<Finding>,
}

impl Subject {
    fn open(path: &Path) -> anyhow::Result<Self> {
        // A `set` row that cannot be in force is damage of the log, and mended there.
        let opened =
            Experiment::open(path).or_else(|error| Experiment::open_as_frozen(path, error));
        let error = match opened {
            Ok(experiment) => {
                let configuration = of_another_configuration(&experiment);
                let dir = experiment.dir().clone();
                let experiment = configuration.is_none().then_some(experiment);
                return Ok(Self { dir, experiment, configuration });
            }
            Err(error) => error,
        };
        let folder = env::current_dir().context("failed to find the current folder")?;
        let dir = ExperimentDir::unchecked(&folder.join(path));
        let is_damaged = match error.downcast_ref::<StorageError>() {
            Some(StorageError::NotAnExperiment { .. }) => dir.replay_log().exists(),
            Some(error) => error.is_damage(),
            None => error.chain().any(|cause| cause.is::<ConfigError>()),
        };
        if !is_damaged {
            return Err(error);
        }
        let problem = format!("{error:#}; only the log is checked");
        let configuration = Some(Finding::damage("experiment.yaml", problem));
        Ok(Self { dir, experiment: None, configuration })
    }

    /// Returns what is found, and the newest view and predictor where they are not what they should be.
    fn audit(&self) -> anyhow::Result<(Audit, Vec<PathBuf>)> {
        let findings = self.configuration.iter().cloned().collect();
        let mut audit = Audit { counts: Counts::default(), findings };
        let differing = self.look_into(&mut audit)?;
        Ok((audit, differing))
    }

    fn look_into(&self, audit: &mut Audit) -> anyhow::Result<Vec<PathBuf>> {
        let Audit { counts, findings } = audit;
        let misplaced = files::misplaced(&self.dir);
        if !misplaced.is_empty() {
            findings.extend(misplaced);
            return Ok(Vec::new());
        }
        // Before the log: what is listed now is told of in the log as it is read after.
        let files = AttemptFiles::list(&self.dir)?;
        let listed = self.dir.list_views()?;
        let raw = match RawLog::read(&self.dir) {
            Ok(raw) => raw,
            Err(StorageError::Io { source, .. })
                if source.kind() == std::io::ErrorKind::NotFound =>
            {
                findings.push(Finding::damage(log::LOG, "missing"));
                return Ok(Vec::new());
            }
            Err(error) => return Err(error.into()),
        };
        let experiment = self.experiment.as_ref();
        let views = match experiment {
            Some(experiment) => Views::read(experiment, &listed, &raw),
            None => Views::default(),
        };
        let examined = Examined::of(&raw, experiment, views.vouched);
        *counts = Counts {
            rows: examined.rows.len(),
            results: examined.knowledge.known().len(),
            views: listed.len(),
            curves: files.curves.len(),
            rounds: self.dir.list_rounds()?.len(),
        };
        if let Some(how) = raw.header_problem() {
            // What is known without the log is not worth much: nothing else can be compared.
            findings.push(log::changed(how).at(1, 0));
            return Ok(Vec::new());
        }
        findings.extend(examined.findings(&raw, Timestamp::now()));
        let mut differing = Vec::new();
        if let Some(experiment) = experiment {
            findings.extend(results::check_rows(&examined.rows, experiment.config()));
            findings.extend(views.wrong.iter().map(|view| view.finding(experiment)));
            let rows: Vec<Row> = examined.rows.iter().map(|placed| placed.row.clone()).collect();
            if let Some(view) = &views.newest_good
                && let Some(wrong) = differing_view(experiment, view, &rows)?
            {
                findings.push(wrong.finding(experiment));
                differing.push(wrong.folder);
            }
            let (wrong, newest) = read_predictors(experiment, &rows)?;
            findings.extend(wrong.iter().map(|predictor| predictor.finding(experiment)));
            if let Some(stored) = newest
                && let Some(wrong) = differing_predictor(experiment, &stored, &rows)?
            {
                findings.push(wrong.finding(experiment));
                differing.push(wrong.folder);
            }
            let rule = experiment.config().early_stopping.rule();
            let attempts = files::check_attempts(&files, &self.dir, &examined)?;
            findings.extend(attempts.into_iter().map(|(_, finding)| finding));
            findings.extend(files::check_curves(&files, &self.dir, rule, &examined)?);
            findings.extend(rounds::check_rounds(&self.dir, &examined)?);
            findings.extend(files::check_imported(&self.dir, &experiment.config().space)?);
        }
        findings.extend(files::left_behind(&self.dir)?);
        if examined.is_beyond_repair() {
            for finding in findings.iter_mut().filter(|one| one.repair != Repair::CutEnd) {
                finding.repair = Repair::None;
            }
        }
        Ok(differing)
    }
}

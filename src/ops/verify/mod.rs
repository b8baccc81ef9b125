//! The audit of an experiment: every file read, and the caches compared with what the log says.
//! Called by `cli::checks`.
//!
//! * `finding.rs`: [`Finding`], [`Repair`]
//! * `log.rs`: [`log::Examined`]: the log, row by row, through `storage::search_state`
//! * `results.rs`: result rows recomputed from search space, configuration and curves
//! * `views.rs`: views and predictors, the newest ones against a rebuild
//! * `files.rs`: curves, results, checkpoints, models, rounds, what was imported, saved or left behind
//! * `repair.rs`: mending, under the exclusive lock

mod files;
pub(crate) mod finding;
mod log;
mod repair;
pub(crate) mod results;
pub(crate) mod views;

use std::fmt;
use std::io::ErrorKind;
use std::path::{Path, PathBuf, absolute};

use anyhow::{Context, ensure};
use jiff::Timestamp;

use self::log::{Examined, LOG};
use self::{finding::one_line, views::differing, views::read_predictors, views::read_views};
use crate::config::ConfigError;
use crate::ops::{Experiment, finalize, journal::AttemptFiles};
use crate::storage::{ExperimentDir, RawLog, StorageError, view::View};

pub use finding::{Finding, Repair};

#[derive(Debug, Clone)]
pub struct AuditReport {
    pub findings: Vec<Finding>,
    examined: String,
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
        match self.findings.iter().filter(|finding| finding.is_damage()).count() {
            0 => f.write_str("clean")?,
            1 => f.write_str("1 damage")?,
            several => write!(f, "{several} damages")?,
        }
        match self.findings.iter().filter(|finding| finding.repaired).count() {
            0 => write!(f, ": {}", self.examined),
            repaired => write!(f, ", {repaired} repaired: {}", self.examined),
        }
    }
}

/// Audits an experiment and those of its final trainings, and changes nothing. Damage is no error
/// but a finding.
pub fn verify(path: &Path) -> anyhow::Result<AuditReport> {
    with_children(path, |path| Subject::open(path)?.audit())
}

/// Audits them, mends what is safe to mend, and audits them again.
pub fn repair(path: &Path) -> anyhow::Result<AuditReport> {
    with_children(path, repair_one)
}

fn with_children(
    path: &Path,
    audit: impl Fn(&Path) -> anyhow::Result<AuditReport>,
) -> anyhow::Result<AuditReport> {
    let mut report = audit(path)?;
    for below in finalize::children(path) {
        let of_child = audit(&path.join(&below))?;
        let found = of_child.findings.into_iter();
        report.findings.extend(found.map(|one| Finding { path: below.join(&one.path), ..one }));
        report.examined += &format!("; `{}`: {}", below.display(), of_child.examined);
    }
    report.findings.extend(finalize::check_files(path));
    Ok(report)
}

fn repair_one(path: &Path) -> anyhow::Result<AuditReport> {
    let subject = Subject::open(path)?;
    let before = subject.audit()?;
    let can_be_mended = before.findings.iter().any(|finding| finding.repair != Repair::None);
    let Some(experiment) = subject.experiment.as_ref().ok().filter(|_| can_be_mended) else {
        return Ok(before);
    };
    repair::mend(experiment, &before.differing)?;
    let mut after = subject.audit()?;
    let is_same = |a: &Finding, b: &Finding| (&a.path, &a.problem) == (&b.path, &b.problem);
    let is_gone = |one: &Finding| {
        one.repair != Repair::None && !after.findings.iter().any(|other| is_same(one, other))
    };
    let gone = before.findings.into_iter().filter(is_gone);
    let repaired: Vec<_> = gone.map(|finding| Finding { repaired: true, ..finding }).collect();
    after.findings.splice(..0, repaired);
    Ok(after)
}

struct Subject {
    dir: ExperimentDir,
    /// Or how its configuration is damaged: then only the log is checked, nothing is mended.
    experiment: Result<Experiment, String>,
}

impl Subject {
    fn open(path: &Path) -> anyhow::Result<Self> {
        // A `set` row that cannot be in force is damage of the log, and mended there.
        let opened =
            Experiment::open(path).or_else(|error| Experiment::open_as_frozen(path, error));
        let (dir, experiment) = match opened {
            Ok(experiment) => {
                let other = other_configuration(&experiment);
                (experiment.dir().clone(), other.map_or(Ok(experiment), Err))
            }
            Err(error) => {
                let path = absolute(path).context("failed to find the current folder")?;
                let dir = ExperimentDir::unchecked(&path);
                let is_damaged = match error.downcast_ref::<StorageError>() {
                    Some(StorageError::NotAnExperiment { .. }) => dir.replay_log().exists(),
                    Some(error) => error.is_damage(),
                    None => error.chain().any(|cause| cause.is::<ConfigError>()),
                };
                ensure!(is_damaged, error);
                (dir, Err(format!("{error:#}")))
            }
        };
        Ok(Self { dir, experiment })
    }

    fn audit(&self) -> anyhow::Result<AuditReport> {
        let examined = "the log was not examined".to_owned();
        let mut report = AuditReport { findings: Vec::new(), examined, differing: Vec::new() };
        self.examine(&mut report)?;
        for finding in &mut report.findings {
            if let Ok(below) = finding.path.strip_prefix(self.dir.root()) {
                finding.path = if below == Path::new("") { ".".into() } else { below.to_owned() };
            }
        }
        Ok(report)
    }

    fn examine(&self, report: &mut AuditReport) -> anyhow::Result<()> {
        let findings = &mut report.findings;
        findings.extend(self.experiment.as_ref().err().map(|problem| {
            Finding::damage("experiment.yaml", format!("{problem}; only the log is checked"))
        }));
        let misplaced = files::misplaced(&self.dir);
        if !misplaced.is_empty() {
            findings.extend(misplaced);
            return Ok(());
        }
        // Before the log: it then has the claim of each listed file.
        let files = AttemptFiles::list(&self.dir)?;
        let listed = self.dir.list_views()?;
        let raw = match RawLog::read(&self.dir) {
            Err(StorageError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {
                findings.push(Finding::damage(LOG, "missing".to_owned()));
                return Ok(());
            }
            Err(error) if error.is_damage() => {
                findings.push(Finding::damage(LOG, one_line(error)));
                return Ok(());
            }
            raw => raw?,
        };
        let experiment = self.experiment.as_ref().ok();
        let views = experiment.map(|experiment| read_views(experiment, &listed, &raw));
        let prefix = views.as_ref().map_or(0, |(_, prefix)| *prefix);
        let examined = Examined::of(&raw, experiment, prefix);
        report.examined = format!(
            "{} rows, {} results, {} views, {} curves, {} rounds",
            examined.rows.len(),
            examined.knowledge.known.len(),
            listed.len(),
            files.curves.len(),
            self.dir.list_rounds()?.len()
        );
        if let Some(how) = raw.header_problem {
            // Without rows nothing else can be compared.
            findings.push(log::changed(how).at(1, 0));
            return Ok(());
        }
        findings.extend(examined.findings(&raw, Timestamp::now()));
        if let (Some(experiment), Some((views, _))) = (experiment, views) {
            findings.extend(results::check_rows(&raw, &examined.rows, experiment.config()));
            let predictors = read_predictors(experiment, &examined.rows)?;
            let newest = (views.1.as_ref(), predictors.1.as_ref());
            let differing = differing(experiment, newest, &examined.rows)?;
            report.differing = differing.iter().map(|found| found.path.clone()).collect();
            findings.extend([views.0, predictors.0, differing].concat());
            findings.extend(files::check_attempts(&files, &self.dir, &examined)?);
            findings.extend(files::check_curves(&files, experiment, &examined)?);
            findings.extend(files::check_models(experiment, &examined));
            findings.extend(files::check_rounds(&self.dir, &examined)?);
            findings.extend(files::check_imported(experiment)?);
        }
        findings.extend(files::left_behind(&self.dir)?);
        if examined.beyond_repair.is_some() {
            for finding in findings.iter_mut().filter(|one| one.repair != Repair::CutEnd) {
                finding.repair = Repair::None;
            }
        }
        Ok(())
    }
}

/// How a view shows that it was made with another configuration: this one says nothing of the rows.
fn other_configuration(experiment: &Experiment) -> Option<String> {
    let sha256 = experiment.view_params().sha256;
    // A folder that cannot be listed is reported by the check of all views.
    let views = experiment.dir().list_views().unwrap_or_default().into_iter().rev();
    let mut errors = views.filter_map(|(rows, folder)| View::read(&folder, rows, &sha256).err());
    let other = errors.find(|error| matches!(error, StorageError::OtherConfiguration { .. }));
    other.map(|error| error.to_string())
}

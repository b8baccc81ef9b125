//! Every file beside the log and the views: learning curves, checkpoints, rounds, what an import brought, what was
//! saved and what was left behind.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use super::finding::{Finding, Repair, below};
use super::log::{Examined, LOG};
use super::results::{has_curve, wrong_curve};
use super::views::one_line;
use crate::space::Space;
use crate::storage::{
    Attempt, Curve, ExperimentDir, Iteration, RoundDir, StorageError, publish, read_q_values,
};

/// Files of attempts. Listed before the log is read, so that the log holds the claim of each.
#[derive(Debug, Clone)]
pub(super) struct AttemptFiles {
    curves: Vec<(Attempt, PathBuf)>,
    checkpoints: Vec<(Attempt, PathBuf)>,
}

impl AttemptFiles {
    /// Lists them.
    ///
    /// # Errors
    /// A folder cannot be listed.
    pub fn list(dir: &ExperimentDir) -> Result<Self, StorageError> {
        Ok(Self { curves: dir.list_curves()?, checkpoints: dir.list_checkpoints()? })
    }

    /// Returns how many curves there are.
    pub fn count_curves(&self) -> usize {
        self.curves.len()
    }

    /// Returns those that the log does not know of: they would be in the way of the attempt that gets their number.
    pub fn unknown_to<'a>(&'a self, log: &'a Examined) -> impl Iterator<Item = &'a Path> {
        let all = self.curves.iter().chain(&self.checkpoints);
        all.filter(|(attempt, _)| !log.knows(*attempt)).map(|(_, path)| path.as_path())
    }

    /// Checks curves against result rows, and all of them against the log.
    ///
    /// # Errors
    /// A file that is there cannot be read.
    pub fn findings(&self, dir: &ExperimentDir, log: &Examined) -> anyhow::Result<Vec<Finding>> {
        let name = |path: &Path| below(dir.root(), path);
        let mut findings: Vec<Finding> = self
            .unknown_to(log)
            .map(|path| {
                let problem = "the log holds no claim of it, and it would be in the way of the attempt that gets its number";
                Finding::damage(name(path), problem).mended_by(Repair::SetAside)
            })
            .collect();
        let there: BTreeSet<Attempt> = self.curves.iter().map(|(attempt, _)| *attempt).collect();
        let mut with_result = BTreeSet::new();
        for placed in log.rows.iter().filter(|placed| has_curve(&placed.row)) {
            let row = &placed.row;
            let Some(attempt) = attempt_of(row.iteration, row.attempt) else { continue };
            with_result.insert(attempt);
            let path = dir.curve(attempt);
            // One that was written since the folder was listed is there, too.
            if !there.contains(&attempt) && !path.exists() {
                let problem =
                    format!("missing, though iteration {} has a result", attempt.iteration);
                findings.push(Finding::damage(name(&path), problem));
                continue;
            }
            match Curve::read(&path) {
                Ok(curve) => {
                    if let Some(problem) = wrong_curve(row, &curve) {
                        findings.push(Finding::damage(name(&path), problem));
                    }
                }
                Err(error) if error.is_damage() => {
                    findings.push(Finding::damage(name(&path), one_line(&error)));
                }
                Err(error) => return Err(error.into()),
            }
        }
        for (attempt, path) in self.curves.iter().filter(|(one, _)| !with_result.contains(one)) {
            // Nothing was made from it: the next attempt passes it over.
            if let Err(error) = Curve::read(path)
                && error.is_damage()
            {
                let problem = format!("{} (no result came of {attempt})", one_line(&error));
                findings.push(Finding::note(name(path), problem));
            }
        }
        let known = log.knowledge.known();
        let ended: BTreeSet<Iteration> = known.iter().map(|(_, known)| known.iteration).collect();
        let left = self
            .checkpoints
            .iter()
            .filter(|(attempt, _)| ended.contains(&attempt.iteration))
            .count();
        if left > 0 {
            let problem = format!(
                "{left} checkpoints of networks that have a result (reduce keeps the best ones')"
            );
            findings.push(Finding::note(name(&dir.checkpoints()), problem));
        }
        Ok(findings)
    }
}

fn attempt_of(iteration: Option<Iteration>, number: Option<u32>) -> Option<Attempt> {
    Some(Attempt { iteration: iteration?, number: number? })
}

/// Returns what stands in the way of a folder, or of the log: nothing more can be looked at then.
pub(super) fn misplaced(dir: &ExperimentDir) -> Vec<Finding> {
    let folders =
        [dir.views(), dir.curves(), dir.checkpoints(), dir.rounds(), dir.imported(), dir.torn()];
    let problem = "no folder (move it away: the program makes the folder when it needs one)";
    let in_the_way = folders.iter().filter(|path| path.exists() && !path.is_dir());
    let mut findings: Vec<Finding> =
        in_the_way.map(|path| Finding::damage(below(dir.root(), path), problem)).collect();
    if dir.replay_log().is_dir() {
        findings.push(Finding::damage(LOG, "a folder, in place of the log"));
    }
    findings
}

/// Checks the files by which rounds are submitted.
///
/// # Errors
/// A file that is there cannot be read.
pub(super) fn check_rounds(dir: &ExperimentDir, log: &Examined) -> anyhow::Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for ((number, folder), expected) in dir.list_rounds()?.into_iter().zip(1..) {
        let name = below(dir.root(), &folder);
        if number != expected {
            let problem = format!("round {expected} is missing before it");
            findings.push(Finding::damage(name, problem));
            break;
        }
        let round = RoundDir::of(dir, number);
        let (plan, array, jobs) = (round.plan(), round.array(), round.jobs());
        let errors = [plan.as_ref().err(), array.as_ref().err(), jobs.as_ref().err()];
        let mut damages: Vec<String> =
            errors.into_iter().flatten().filter(|error| error.is_damage()).map(one_line).collect();
        let (plan, array, jobs) = match (plan, array, jobs) {
            (Ok(plan), Ok(array), Ok(jobs)) => (plan, array, jobs),
            (Err(error), ..) | (_, Err(error), _) | (.., Err(error)) if !error.is_damage() => {
                return Err(error.into());
            }
            _ => {
                findings.extend(damages.drain(..).map(|text| Finding::damage(name.clone(), text)));
                continue;
            }
        };
        if let Some(plan) = &plan
            && (plan.round != number || plan.parts.iter().sum::<u32>() != plan.array_size)
        {
            damages
                .push("plan.yaml is that of another round, or its parts are not its array".into());
        }
        if (plan.is_none() && array.is_some()) || (array.is_none() && jobs.is_some()) {
            damages.push("a file is missing that was written before one that is there".into());
        }
        findings.extend(damages.into_iter().map(|text| Finding::damage(name.clone(), text)));
        match round.refusals() {
            Err(error) if error.is_damage() => {
                findings.push(Finding::note(name.clone(), one_line(&error)));
            }
            Err(error) => return Err(error.into()),
            Ok(_) => {}
        }
        let named: BTreeSet<&str> =
            array.iter().flat_map(|array| &array.array_jobs).map(String::as_str).collect();
        let others: BTreeSet<&str> = log
            .rows
            .iter()
            .filter(|placed| placed.row.round == Some(number))
            .filter_map(|placed| placed.row.job.as_deref())
            .filter(|job| !named.contains(job))
            .collect();
        if !others.is_empty() {
            let jobs: Vec<&str> = others.into_iter().collect();
            let problem =
                format!("jobs that array.yaml does not name worked on it: {}", jobs.join(", "));
            findings.push(Finding::note(name, problem));
        }
    }
    Ok(findings)
}

/// Checks what an import has left.
///
/// # Errors
/// A file that is there cannot be read.
pub(super) fn check_imported(dir: &ExperimentDir, space: &Space) -> anyhow::Result<Vec<Finding>> {
    let path = dir.imported().join("q_values.csv");
    let Ok(file) = File::open(&path) else { return Ok(Vec::new()) };
    let name = below(dir.root(), &path);
    Ok(match read_q_values(file, space, &path) {
        Err(error) if error.is_damage() => vec![Finding::damage(name, one_line(&error))],
        Err(error) => return Err(error.into()),
        Ok(readable) if readable.problems.is_empty() => Vec::new(),
        Ok(readable) => {
            let problem = format!("{} rows are not of this search space", readable.problems.len());
            vec![Finding::note(name, problem)]
        }
    })
}

/// Returns what was saved from the log, and what interrupted writes have left behind or was set aside.
///
/// # Errors
/// A folder cannot be listed.
pub(super) fn left_behind(dir: &ExperimentDir) -> anyhow::Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for (_, path) in publish::listing(&dir.torn(), |name| Some(name.to_owned()))? {
        let bytes = fs::metadata(&path).map_or(0, |file| file.len());
        let problem = format!("{bytes} bytes that were cut or replaced in {LOG}");
        findings.push(Finding::note(below(dir.root(), &path), problem));
    }
    let rounds = dir.list_rounds()?.into_iter().map(|(_, folder)| folder);
    let folders = [
        dir.root().to_owned(),
        dir.views(),
        dir.curves(),
        dir.checkpoints(),
        dir.rounds(),
        dir.torn(),
    ];
    for folder in folders.into_iter().chain(rounds) {
        let private = publish::private_names(&folder)?;
        if private > 0 {
            let name = match below(dir.root(), &folder) {
                root if root.is_empty() => ".".to_owned(),
                name => name,
            };
            let problem = format!(
                "{private} names `.*.partial` of interrupted writes, or of what was set aside; nothing reads them"
            );
            findings.push(Finding::note(name, problem));
        }
    }
    Ok(findings)
}

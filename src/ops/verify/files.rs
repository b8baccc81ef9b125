//! Files beside the log, the views and the rounds: learning curves, checkpoints, what an import brought, what was saved
//! and what was left behind.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::exchange::read_q_values;
use crate::ops::train::attempt_files::AttemptFiles;
use crate::ops::verify::finding::{Finding, Repair, below, one_line, or_damage};
use crate::ops::verify::log::{Examined, LOG};
use crate::ops::verify::results::{has_curve, wrong_curve};
use crate::predictor::StoppingRule;
use crate::regular_file::{self, LARGE};
use crate::space::Space;
use crate::storage::fs::publish;
use crate::storage::search_state::Record;
use crate::storage::{Attempt, Curve, ExperimentDir, Iteration, StorageError};

impl AttemptFiles {
    /// Returns those that a repair sets aside: of attempts that the log does not know of, and results that it can never
    /// have.
    ///
    /// # Errors
    /// A file that is there cannot be read.
    pub(crate) fn to_set_aside(
        &self,
        dir: &ExperimentDir,
        log: &Examined,
    ) -> anyhow::Result<Vec<PathBuf>> {
        let mut aside: Vec<PathBuf> =
            self.unknown(|attempt| log.knows(attempt)).map(Path::to_owned).collect();
        for (attempt, path) in self.results.iter().filter(|(attempt, _)| log.knows(*attempt)) {
            let left = left_result(dir, *attempt, String::new(), log)?;
            if left.is_some_and(|finding| finding.repair == Repair::SetAside) {
                aside.push(path.clone());
            }
        }
        Ok(aside)
    }

    /// Checks curves against result rows, and all files of attempts against the log.
    ///
    /// # Errors
    /// A file that is there cannot be read.
    pub(crate) fn findings(
        &self,
        dir: &ExperimentDir,
        rule: StoppingRule,
        log: &Examined,
    ) -> anyhow::Result<Vec<Finding>> {
        let name = |path: &Path| below(dir.root(), path);
        let mut findings: Vec<Finding> = self
            .unknown(|attempt| log.knows(attempt))
            .map(|path| {
                let problem = "the log holds neither a claim nor a result of it, and it would be in the way of the attempt that gets its number";
                Finding::damage(name(path), problem).mended_by(Repair::SetAside)
            })
            .collect();
        let there: BTreeSet<Attempt> = self.curves.iter().map(|(attempt, _)| *attempt).collect();
        let mut with_result = BTreeSet::new();
        for placed in log.rows.iter().filter(|placed| has_curve(&placed.row)) {
            let row = &placed.row;
            let Some(attempt) = row.attempt() else { continue };
            with_result.insert(attempt);
            let path = dir.curve(attempt);
            // One that was written since the folder was listed is there, too.
            if !there.contains(&attempt) && !path.exists() {
                let problem =
                    format!("missing, though iteration {} has a result", attempt.iteration);
                findings.push(Finding::damage(name(&path), problem));
                continue;
            }
            // One that cannot be read costs that curve, not the audit.
            let wrong = match Curve::read(&path) {
                Ok(curve) => wrong_curve(row, &curve, rule),
                Err(error) => Some(one_line(error)),
            };
            findings.extend(wrong.map(|problem| Finding::damage(name(&path), problem)));
        }
        for (attempt, path) in self.curves.iter().filter(|(one, _)| !with_result.contains(one)) {
            // Nothing was made from it: the next attempt passes it over.
            if let Ok(Err(damage)) = or_damage(Curve::read(path)) {
                let problem = format!("{damage} (no result came of {attempt})");
                findings.push(Finding::note(name(path), problem));
            }
        }
        for (attempt, path) in self.results.iter().filter(|(attempt, _)| log.knows(*attempt)) {
            findings.extend(left_result(dir, *attempt, name(path), log)?);
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

/// Returns the finding about a result that waits to be appended; none when it was appended meanwhile.
fn left_result(
    dir: &ExperimentDir,
    attempt: Attempt,
    name: String,
    log: &Examined,
) -> anyhow::Result<Option<Finding>> {
    let set_aside = |problem| Finding::damage(&name, problem).mended_by(Repair::SetAside);
    let row = match dir.read_result(attempt) {
        Err(error) if error.is_gone() => return Ok(None),
        read => match or_damage(read)? {
            Ok(row) => row,
            Err(damage) => return Ok(Some(set_aside(damage))),
        },
    };
    let problem = match log.knowledge.record(&row) {
        Ok(Record::Append(_)) => {
            format!("the result of iteration {} is not in the log yet", attempt.iteration)
        }
        Ok(Record::AlreadyKnown { of_iteration, .. }) => {
            format!(
                "left over: the log has a result of its architecture, of iteration {of_iteration}"
            )
        }
        Err(violation) => {
            return Ok(Some(set_aside(format!("it can never be appended: {violation}"))));
        }
    };
    Ok(Some(Finding::note(name, problem).mended_by(Repair::SettleResult)))
}

/// Returns what stands in the way of a folder, or of the log: nothing more can be looked at then.
pub(crate) fn misplaced(dir: &ExperimentDir) -> Vec<Finding> {
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

/// Checks what an import has left.
///
/// # Errors
/// A file that is there cannot be read.
pub(crate) fn check_imported(dir: &ExperimentDir, space: &Space) -> anyhow::Result<Vec<Finding>> {
    let path = dir.imported().join("q_values.csv");
    let read = regular_file::read(&path, LARGE).map_err(StorageError::io("read", &path));
    if read.as_ref().is_err_and(StorageError::is_gone) {
        return Ok(Vec::new());
    }
    let table = read.and_then(|bytes| read_q_values(bytes, space, &path));
    let finding = match or_damage(table)? {
        Err(damage) => Finding::damage(below(dir.root(), &path), damage),
        Ok(usable) if usable.set_aside.is_empty() => return Ok(Vec::new()),
        Ok(usable) => {
            let problem = format!("{} rows are not of this search space", usable.set_aside.len());
            Finding::note(below(dir.root(), &path), problem)
        }
    };
    Ok(vec![finding])
}

/// Returns what was saved from the log, and what interrupted writes have left behind or was set aside.
///
/// # Errors
/// A folder cannot be listed.
pub(crate) fn left_behind(dir: &ExperimentDir) -> anyhow::Result<Vec<Finding>> {
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
    let scratch = dir.scratch().map(Path::to_owned);
    for folder in folders.into_iter().chain(scratch).chain(rounds) {
        let private = publish::private_listing(&folder, |_| Some(()))?.len();
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

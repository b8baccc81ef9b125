//! Files beside the log and the views.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use strum::VariantArray;

use crate::exchange::read_q_values;
use crate::model::ModelCard;
use crate::ops::reduce::models::best_attempts;
use crate::ops::verify::finding::{Finding, Repair, one_line, or_damage};
use crate::ops::verify::log::{Examined, LOG};
use crate::ops::verify::results::{has_curve, wrong_curve};
use crate::ops::{Experiment, journal::AttemptFiles};
use crate::regular_file::{self, LARGE};
use crate::storage::{Curve, ExperimentDir, Folder, Iteration, RoundDir, StorageError};
use crate::storage::{fs::publish, search_state::Record};
use crate::training::TrainerKind;

/// Checks files of attempts without a row in the log, and results that wait to be appended: all
/// that a repair needs of an audit of files.
pub(crate) fn check_attempts(
    files: &AttemptFiles,
    dir: &ExperimentDir,
    log: &Examined,
) -> anyhow::Result<Vec<Finding>> {
    let has_begun = |attempt| log.knowledge.has_begun(attempt);
    let problem = "the log holds neither a claim nor a result of it, and it would be in the way of \
                   the attempt that gets its number";
    let unknown = files.unknown(has_begun);
    let mut findings: Vec<Finding> =
        unknown.map(|path| Finding::damage(path, problem).mended_by(Repair::SetAside)).collect();
    for (attempt, path) in files.results.iter().filter(|(attempt, _)| has_begun(*attempt)) {
        let read = dir.read_result(*attempt);
        // It was appended meanwhile.
        if read.as_ref().is_err_and(StorageError::is_gone) {
            continue;
        }
        let record = or_damage(read)?.and_then(|row| {
            let record = log.knowledge.record(&row);
            record.map_err(|violation| format!("it can never be appended: {violation}"))
        });
        let waits = |problem| Finding::note(path, problem).mended_by(Repair::SettleResult);
        findings.push(match record {
            Err(problem) => Finding::damage(path, problem).mended_by(Repair::SetAside),
            Ok(Record::Append(_)) => waits(format!(
                "the result of iteration {} is not in the log yet",
                attempt.iteration
            )),
            Ok(Record::AlreadyKnown { of_iteration: other, .. }) => waits(format!(
                "left over: the log has a result of its architecture, of iteration {other}"
            )),
        });
    }
    Ok(findings)
}

pub(crate) fn check_curves(
    files: &AttemptFiles,
    experiment: &Experiment,
    log: &Examined,
) -> anyhow::Result<Vec<Finding>> {
    let (dir, rule) = (experiment.dir(), experiment.config().early_stopping.rule);
    let mut findings = Vec::new();
    let mut with_result = BTreeSet::new();
    let unjudged = |curve: &Curve| {
        let mut rows = curve.rows.iter().filter(|_| experiment.config().data.has_validation());
        let at = rows.find(|at| at.validation_accuracy.is_none())?;
        Some(format!("epoch {} has no validation accuracy", at.epoch))
    };
    for row in log.rows.iter().filter(|row| has_curve(row)) {
        let Some(attempt) = row.attempt() else { continue };
        with_result.insert(attempt);
        let path = dir.curve(attempt);
        // One that cannot be read costs that curve, not the audit.
        let wrong = match Curve::read(&path) {
            Ok(curve) => unjudged(&curve).or_else(|| wrong_curve(row, &curve, rule)),
            Err(error) if error.is_gone() => {
                Some(format!("missing, though iteration {} has a result", attempt.iteration))
            }
            Err(error) => Some(one_line(error)),
        };
        findings.extend(wrong.map(|problem| Finding::damage(path, problem)));
    }
    for (attempt, path) in files.curves.iter().filter(|(one, _)| !with_result.contains(one)) {
        // Nothing was made from it: the next attempt ignores it.
        if let Ok(Err(damage)) = or_damage(Curve::read(path)) {
            let problem = format!("{damage} (no result came of {attempt})");
            findings.push(Finding::note(path, problem));
        }
    }
    let known = log.knowledge.known.values();
    let ended: BTreeSet<Iteration> = known.map(|known| known.iteration).collect();
    let checkpoints = files.checkpoints.iter();
    let left = checkpoints.filter(|(attempt, _)| ended.contains(&attempt.iteration)).count();
    if left > 0 {
        let problem = format!(
            "{left} checkpoints of networks that have a result (reduce keeps the best ones')"
        );
        findings.push(Finding::note(dir.folder(Folder::Checkpoints), problem));
    }
    Ok(findings)
}

/// Checks the models of the best networks. One that is lost is no result lost.
pub(crate) fn check_models(experiment: &Experiment, log: &Examined) -> Vec<Finding> {
    let (dir, recipe) = (experiment.dir(), &experiment.config().recipe);
    let best = best_attempts(log.rows.iter(), recipe.keep_models).into_iter();
    let problems = best.filter_map(|attempt| {
        let folder = dir.model(attempt);
        let problem = match ModelCard::check(&folder) {
            // Other trainers need not write any.
            Err(_) if !folder.exists() && recipe.trainer != TrainerKind::Torch => return None,
            Err(error) => format!("{:#}", anyhow::Error::from(error)),
            Ok(card) if card.is_of(attempt.iteration.0, attempt.number) => return None,
            Ok(_) => "it is the model of another attempt".to_owned(),
        };
        Some(Finding::note(folder, problem))
    });
    problems.collect()
}

/// Checks the files of rounds, as far as no round is missing, and the tasks that worked on them.
pub(crate) fn check_rounds(dir: &ExperimentDir, log: &Examined) -> anyhow::Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for ((number, folder), expected) in dir.list_rounds()?.into_iter().zip(1..) {
        if number != expected {
            let problem = format!("round {expected} is missing before it");
            findings.push(Finding::damage(folder, problem));
            break;
        }
        findings.extend(check_round(&RoundDir { round: number, folder }, log)?);
    }
    Ok(findings)
}

fn check_round(round: &RoundDir, log: &Examined) -> anyhow::Result<Vec<Finding>> {
    let (mut findings, mut named) = (Vec::new(), BTreeSet::new());
    for (rendering, expected) in round.renderings()?.into_iter().zip(1..) {
        let mut wrong = |problem| findings.push(Finding::damage(&rendering.folder, problem));
        if rendering.number != expected {
            wrong(format!("rendering {expected} of the round is missing before it"));
            break;
        }
        let plan = or_damage(rendering.plan())?;
        let (array, jobs) = (or_damage(rendering.array())?, or_damage(rendering.jobs())?);
        let (Ok(plan), Ok(array), Ok(jobs)) = (&plan, &array, &jobs) else {
            [plan.err(), array.err(), jobs.err()].into_iter().flatten().for_each(wrong);
            continue;
        };
        if plan.round != round.round || plan.parts.iter().sum::<u32>() != plan.array_size {
            wrong("plan.yaml is that of another round, or its parts are not its array".to_owned());
        }
        if array.is_none() && jobs.is_some() {
            wrong("a file is missing that was written before one that is there".to_owned());
        }
        named.extend(array.iter().flat_map(|array| array.array_jobs.iter().cloned()));
    }
    let mut notes: Vec<String> = or_damage(round.refusals())?.err().into_iter().collect();
    let rows = log.rows.iter().filter(|row| row.round == Some(round.round));
    let jobs: BTreeSet<&str> = rows.filter_map(|row| row.job.as_deref()).collect();
    let others: Vec<&str> = jobs.into_iter().filter(|job| !named.contains(*job)).collect();
    if !others.is_empty() {
        let jobs = others.join(", ");
        notes.push(format!("jobs that array.yaml does not name worked on it: {jobs}"));
    }
    findings.extend(notes.into_iter().map(|problem| Finding::note(&round.folder, problem)));
    Ok(findings)
}

/// The folders that an audit lists.
fn folders(dir: &ExperimentDir) -> impl Iterator<Item = PathBuf> {
    let listed = Folder::VARIANTS.iter().filter(|&&folder| folder != Folder::Tables);
    listed.map(|&folder| dir.folder(folder))
}

/// What stands in the way of a folder: nothing more can be examined then.
pub(crate) fn misplaced(dir: &ExperimentDir) -> Vec<Finding> {
    let problem = "no folder (move it away: the program makes the folder when it needs one)";
    let in_the_way = folders(dir).chain([dir.imported()]);
    let in_the_way = in_the_way.filter(|path| path.exists() && !path.is_dir());
    in_the_way.map(|path| Finding::damage(path, problem)).collect()
}

pub(crate) fn check_imported(experiment: &Experiment) -> anyhow::Result<Option<Finding>> {
    let path = experiment.dir().imported().join("q_values.csv");
    let read = regular_file::read(&path, LARGE).map_err(StorageError::io("read", &path));
    if read.as_ref().is_err_and(StorageError::is_gone) {
        return Ok(None);
    }
    let table =
        or_damage(read.and_then(|bytes| read_q_values(bytes, &experiment.config().space, &path)))?;
    Ok(match table.map(|usable| usable.set_aside.len()) {
        Err(damage) => Some(Finding::damage(path, damage)),
        Ok(0) => None,
        Ok(rows) => Some(Finding::note(path, format!("{rows} rows are not of this search space"))),
    })
}

/// What was saved from the log, and what interrupted writes have left or was renamed aside.
pub(crate) fn left_behind(dir: &ExperimentDir) -> anyhow::Result<Vec<Finding>> {
    let saved = publish::listing(&dir.folder(Folder::Torn), |name| Some(name.to_owned()))?;
    let saved = saved.into_iter().map(|(_, path)| {
        let bytes = fs::metadata(&path).map_or(0, |file| file.len());
        Finding::note(path, format!("{bytes} bytes that were cut or replaced in {LOG}"))
    });
    let mut findings: Vec<Finding> = saved.collect();
    let rounds = dir.list_rounds()?.into_iter().map(|(_, folder)| folder);
    let others = [dir.root().to_owned()].into_iter().chain(dir.scratch.clone());
    for folder in others.chain(folders(dir)).chain(rounds) {
        let private = publish::private_listing(&folder, |_| Some(()))?.len();
        if private > 0 {
            let problem = format!(
                "{private} names `.*.partial` of interrupted writes, or of what was set aside; \
                 nothing reads them"
            );
            findings.push(Finding::note(folder, problem));
        }
    }
    Ok(findings)
}

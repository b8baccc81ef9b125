//! The files by which rounds are submitted, and the tasks that worked on them.

use std::collections::BTreeSet;

use crate::ops::verify::finding::{Finding, below, or_damage};
use crate::ops::verify::log::Examined;
use crate::storage::{ExperimentDir, RoundDir};

/// Checks every round, as far as none is missing before it.
pub(crate) fn check_rounds(dir: &ExperimentDir, log: &Examined) -> anyhow::Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for ((number, folder), expected) in dir.list_rounds()?.into_iter().zip(1..) {
        let name = below(dir.root(), &folder);
        if number != expected {
            let problem = format!("round {expected} is missing before it");
            findings.push(Finding::damage(name, problem));
            break;
        }
        findings.extend(check_round(&RoundDir::of(dir, number), &name, log)?);
    }
    Ok(findings)
}

fn check_round(round: &RoundDir, name: &str, log: &Examined) -> anyhow::Result<Vec<Finding>> {
    let (mut findings, mut named) = (Vec::new(), BTreeSet::new());
    for (rendering, expected) in round.renderings()?.into_iter().zip(1..) {
        let name = format!("{name}/{}", rendering.number);
        if rendering.number != expected {
            let problem = format!("rendering {expected} of the round is missing before it");
            findings.push(Finding::damage(name, problem));
            break;
        }
        let plan = or_damage(rendering.plan())?;
        let (array, jobs) = (or_damage(rendering.array())?, or_damage(rendering.jobs())?);
        let (Ok(plan), Ok(array), Ok(jobs)) = (&plan, &array, &jobs) else {
            let damages = [plan.err(), array.err(), jobs.err()].into_iter().flatten();
            findings.extend(damages.map(|problem| Finding::damage(&name, problem)));
            continue;
        };
        if plan.round != round.round || plan.parts.iter().sum::<u32>() != plan.array_size {
            let problem = "plan.yaml is that of another round, or its parts are not its array";
            findings.push(Finding::damage(&name, problem));
        }
        if array.is_none() && jobs.is_some() {
            let problem = "a file is missing that was written before one that is there";
            findings.push(Finding::damage(&name, problem));
        }
        named.extend(array.iter().flat_map(|array| array.array_jobs.iter().cloned()));
    }
    if let Err(damage) = or_damage(round.refusals())? {
        findings.push(Finding::note(name, damage));
    }
    let rows = log.rows.iter().filter(|row| row.round == Some(round.round));
    let jobs: BTreeSet<&str> = rows.filter_map(|row| row.job.as_deref()).collect();
    let others: Vec<&str> = jobs.into_iter().filter(|job| !named.contains(*job)).collect();
    if !others.is_empty() {
        let jobs = others.join(", ");
        let problem = format!("jobs that array.yaml does not name worked on it: {jobs}");
        findings.push(Finding::note(name, problem));
    }
    Ok(findings)
}

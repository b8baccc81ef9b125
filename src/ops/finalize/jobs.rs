//! Final trainings as jobs of the scheduler: each step is submitted by the last reduce of the one
//! before it.

use std::path::Path;

use anyhow::Result;
use itertools::Itertools;

use crate::ops::Experiment;
use crate::ops::rounds::plan::{batch_script, job_prefix, newest_plan, scheduler_of_plan};
use crate::ops::rounds::submit::submit_as;
use crate::slurm::{JobSpec, JobStates, Scheduler, Work, job_name};
use crate::storage::fs::publish;

const TEST_SCRIPT: &str = "finalize.sbatch";

/// Submits the trainings of a child, as the search was submitted.
pub fn submit_child(parent: &Experiment, child: &Experiment) -> Result<Vec<String>> {
    let said = submit_as(child, newest_plan(parent)?.unwrap_or_default())?;
    let of_child = |line| format!("`{}`: {line}", child.dir().root().display());
    Ok(said.into_iter().map(of_child).collect())
}

/// Submits the test as one job, unless it is in the queue. (A second one would write the same.)
pub fn submit_test(parent: &Experiment, folder: &Path, data: Option<&Path>) -> Result<Vec<String>> {
    let asked = newest_plan(parent)?.unwrap_or_default();
    let scheduler = scheduler_of_plan(&asked);
    let place = folder.parent().and_then(Path::file_name).unwrap_or_default();
    let name = job_name(&format!("{}-{}-test", job_prefix(parent), place.to_string_lossy()));
    let queue = scheduler.find(std::slice::from_ref(&name))?;
    let live = queue.iter().filter(|(_, states)| JobStates::is_live(states));
    let live = live.map(|(job, _)| job).join(", ");
    if !live.is_empty() {
        return Ok(vec![format!("the test is under way: job {live}")]);
    }
    let script = folder.join(TEST_SCRIPT);
    let text = batch_script(parent, Work::Finalize(data), folder, &asked)?;
    publish::replace_file(&script, text.as_bytes())?;
    let job = JobSpec { script, name, extra_options: asked.sbatch_options, ..JobSpec::default() };
    Ok(vec![format!("submitted the test: job {}", scheduler.submit(&job)?)])
}

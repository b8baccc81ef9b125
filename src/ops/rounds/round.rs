//! One round submitted exactly once, by any number of submitters that may crash anywhere.
//!
//! The steps, each of which leaves a file or folder that is created once and by one submitter only:
//!
//! ```text
//! render 1/ (plan.yaml and scripts) -> sbatch --hold the array(s) -> create 1/array.yaml
//! -> submit the reduces behind that array -> create 1/jobs.yaml
//! -> release the array that array.yaml names -> scancel held arrays that it does not name
//! ```
//!
//! A later submitter goes on at the first file that is missing ([`crate::ops::rounds::step`]). A
//! rendering of which no job exists (the scheduler refused it, say) is withdrawn when something
//! else would be rendered now: an `array.yaml` that names no array closes it for all submitters,
//! and 2/ takes its place. An array that a submitter held and could not name has the round's job
//! name and is cancelled by the submitter that finishes, or by the reduce of the round. A reduce
//! too many does no harm: all of them submit the same next round.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use anyhow::{Context, bail};
use itertools::Itertools;

use crate::ops::rounds::chain::{
    array_name, job_ids, not_submitted, reduce_name, submit_jobs, test,
};
use crate::ops::rounds::plan::{Rendered, TRAIN_SCRIPT, plan_round};
use crate::ops::rounds::step::{Arrays, Seen, Step, next_step};
use crate::ops::{Experiment, Refusal};
use crate::slurm::{JobId, JobStates, Scheduler, meaning};
use crate::storage::{Rendering, RoundArray, RoundDir, RoundJobs, RoundPlan};

const FINISHED: &str = "the search is finished; nothing to submit";
/// How long after a release the scheduler has considered an array.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

pub(crate) fn check_exists(experiment: &Experiment, number: u32) -> anyhow::Result<()> {
    // An NFS client may have a stale listing of the rounds, and still find by its name the folder
    // into which the scheduler writes the log of this task.
    if RoundDir::of(experiment.dir(), number).folder.is_dir() {
        return Ok(());
    }
    let newest = experiment.dir().newest_round()?;
    let rounds = newest.map(|newest| format!("the newest is round {newest}"));
    let rounds = rounds.unwrap_or_else(|| "none was submitted yet".to_owned());
    bail!(Refusal::Usage(format!(
        "there is no round {number}: {rounds} (leave out `--round` where none is meant)"
    )))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Not all of its jobs are submitted.
    Unsubmitted,
    /// Its jobs are submitted, and an array of it waits to be released.
    Held,
    /// A reduce of it waits or runs, so the chain goes on by itself.
    UnderWay,
    /// No reduce of it is left: it has ended, or was cancelled. Tasks that are ending may remain.
    Over,
}

/// Arrays of tasks, and reduces, which are no arrays.
#[derive(Debug, Clone, Default)]
pub(crate) struct Queue(pub BTreeMap<JobId, JobStates>);

impl Queue {
    pub fn named<'a>(&'a self, named: &'a [JobId]) -> impl Iterator<Item = &'a JobStates> {
        named.iter().filter_map(|job| self.0.get(job))
    }

    pub fn reduces(&self) -> impl Iterator<Item = (&JobId, &JobStates)> {
        self.0.iter().filter(|(_, states)| !states.is_array)
    }

    pub fn has_reduce_at_work(&self) -> bool {
        self.reduces().any(|(_, states)| states.goes_on())
    }

    fn jobs(&self, is_wanted: impl Fn(JobId, &JobStates) -> bool) -> Vec<JobId> {
        let wanted = self.0.iter().filter(|(job, states)| is_wanted(**job, states));
        wanted.map(|(job, _)| *job).collect()
    }

    pub fn arrays_but(&self, named: &[JobId]) -> Vec<JobId> {
        self.jobs(|job, states| states.is_array && !named.contains(&job))
    }

    pub fn all_but_running_reduces(&self) -> Vec<JobId> {
        self.jobs(|_, states| states.is_array || states.running_tasks() == 0)
    }

    pub fn cannot_start(&self) -> Option<String> {
        let mut reasons = self.0.iter().map(|(job, states)| (job, states.cannot_start()));
        let words = |reason| meaning(reason).map_or(String::new(), |it| format!(" ({it})"));
        reasons.find_map(|(job, reason)| {
            let reason = reason?;
            Some(format!("`{reason}` of job {job}{}", words(reason)))
        })
    }
}

pub(crate) struct Round<'a> {
    pub experiment: &'a Experiment,
    pub scheduler: &'a dyn Scheduler,
    pub files: RoundDir,
}

impl<'a> Round<'a> {
    pub fn new(experiment: &'a Experiment, number: u32, scheduler: &'a dyn Scheduler) -> Self {
        Self { experiment, scheduler, files: RoundDir::of(experiment.dir(), number) }
    }

    /// The jobs of the round that have not ended: none before it is planned.
    pub fn queue(&self) -> anyhow::Result<Queue> {
        let Some(plan) = self.files.plan()? else { return Ok(Queue::default()) };
        Ok(Queue(self.scheduler.find(&[array_name(&plan), reduce_name(&plan)])?))
    }

    /// The jobs of the round and the reduces of the round before, by one question to the scheduler.
    fn queues(&self) -> anyhow::Result<(Queue, Queue)> {
        let before = RoundDir::of(self.experiment.dir(), self.files.round.saturating_sub(1));
        let (plan, plan_before) = (self.files.plan()?, before.plan()?);
        let names = plan.iter().flat_map(|plan| [array_name(plan), reduce_name(plan)]);
        let names = names.chain(plan_before.as_ref().map(reduce_name)).collect_vec();
        if names.is_empty() {
            return Ok(Default::default());
        }
        let jobs = before.newest()?.map(|rendering| rendering.jobs()).transpose()?.flatten();
        let of_before = |job: &JobId| {
            let reduces =
                jobs.iter().flat_map(|it| it.second_reduce_job.iter().chain([&it.reduce_job]));
            reduces.into_iter().any(|reduce| *reduce == job.to_string())
        };
        let found = self.scheduler.find(&names)?.into_iter();
        let (before, own) = found.partition(|(job, _)| of_before(job));
        Ok((Queue(own), Queue(before)))
    }

    /// With the reduces of the round before, which may be about to submit it. Round 0, which never
    /// exists, is over.
    pub fn look(&self) -> anyhow::Result<(Stage, Queue, Queue)> {
        let Some(rendering) = self.files.newest()? else {
            let stage = if self.files.round == 0 { Stage::Over } else { Stage::Unsubmitted };
            let (queue, before) = self.queues()?;
            return Ok((stage, queue, before));
        };
        let named = rendering.array()?.map(|array| job_ids(&array)).transpose()?;
        let has_jobs_file = rendering.jobs()?.is_some();
        // After the files: jobs that they name are in it, or have ended.
        let (queue, before) = self.queues()?;
        let stage = match named.filter(|_| has_jobs_file) {
            None => Stage::Unsubmitted,
            Some(_) if !queue.has_reduce_at_work() => Stage::Over,
            Some(named) if queue.named(&named).any(JobStates::is_held) => Stage::Held,
            Some(_) => Stage::UnderWay,
        };
        Ok((stage, queue, before))
    }

    /// Submits the round, or completes it, unless the schedule is finished and learned. A rendering
    /// of which no job exists gives way, once, to what `asked` would render now.
    pub fn submit(&self, asked: &RoundPlan) -> anyhow::Result<Vec<String>> {
        let (mut said, mut may_render) = (Vec::new(), true);
        // What this process has held counts as live, even if the queue is slow to show it.
        let mut held = None;
        let rendered_now = || self.rendered_now(asked, self.scheduler.max_array_size()?);
        loop {
            // In this order: one that was named, then gone, then without `jobs.yaml` never ran.
            let rendering = self.files.newest()?.unwrap_or_else(|| self.files.rendering(0));
            let (number, array) = (rendering.number, rendering.array()?);
            let queue = self.queue()?;
            let has_jobs_file = rendering.jobs()?.is_some();
            let named = array.as_ref().map_or(Ok(Vec::new()), job_ids)?;
            let arrays = match &array {
                None => Arrays::Unnamed,
                Some(array) if named.is_empty() && !array.withdrawn => Arrays::None,
                _ if held == Some(number) || queue.named(&named).any(JobStates::is_live) => {
                    Arrays::Live
                }
                _ => Arrays::Gone,
            };
            let has_queued_jobs = !queue.0.is_empty();
            let seen = Seen { rendering: number, arrays, has_queued_jobs, has_jobs_file };
            let gives_way = may_render && seen.may_give_way();
            let anew = if gives_way { rendered_now()? } else { None };
            let anew = anew.filter(|now| !now.is(&rendering));
            match next_step(&seen, anew.is_some()) {
                Step::Render(number) => {
                    let now = anew.map_or_else(&rendered_now, |now| Ok(Some(now)))?;
                    let Some(now) = now else { return Ok(vec![FINISHED.to_owned()]) };
                    let files = RoundDir::create(self.experiment.dir(), self.files.round)?;
                    files.render(&files.rendering(number), &now.plan, &now.scripts)?;
                    if number > 1 {
                        let round = format!("round {}", self.files.round);
                        said.push(format!("{round} is rendered anew, since nothing of it has run"));
                    }
                    may_render = false;
                }
                Step::Withdraw => {
                    withdraw(&rendering)?;
                    may_render = false;
                }
                Step::HoldArrays => {
                    let is_mine = self.submit_jobs(&rendering, &queue, None, &mut said)?;
                    held = is_mine.then_some(number);
                }
                Step::QueueReduces => {
                    self.submit_jobs(&rendering, &queue, Some(&named), &mut said)?;
                }
                Step::Release => {
                    said.extend(self.release(&rendering)?);
                    return Ok(said);
                }
            }
        }
    }

    fn rendered_now(&self, asked: &RoundPlan, most: u32) -> anyhow::Result<Option<Rendered>> {
        let plan = plan_round(self.experiment, self.files.round, asked, most)?;
        let Some(mut plan) = plan else { return Ok(None) };
        // All renderings of a round have one name, by which its jobs are found.
        if let Some(before) = self.files.plan()? {
            plan.job_prefix = before.job_prefix;
        }
        Rendered::of(self.experiment, plan).map(Some)
    }

    /// Submits the arrays of a rendering, or the reduces behind its `arrays`; returns whether its
    /// file names them: if not, they are cancelled. When one is refused, so are those that no file
    /// names: the ones before it, and others of their kind that were not in the queue `before`.
    fn submit_jobs(
        &self,
        rendering: &Rendering,
        before: &Queue,
        arrays: Option<&[JobId]>,
        said: &mut Vec<String>,
    ) -> anyhow::Result<bool> {
        let (plan, folder) = (rendering.plan()?, &rendering.folder);
        let mut accepted = Vec::new();
        let mut submit = || {
            if arrays.is_none() {
                said.extend(test(&plan, folder, self.scheduler)?);
            }
            submit_jobs(&plan, folder, arrays, |job| {
                let id = self.scheduler.submit(job)?;
                accepted.push(id);
                Ok(id)
            })
        };
        let Err(error) = submit() else {
            let mut jobs: Vec<String> = accepted.iter().map(JobId::to_string).collect();
            let is_mine = if arrays.is_none() {
                let mine =
                    RoundArray { array_jobs: jobs, job_name: array_name(&plan), withdrawn: false };
                rendering.settle_array(mine.clone())? == mine
            } else {
                let second_reduce_job = jobs.pop();
                let reduce_job = jobs.pop().expect("two reduces were submitted");
                let mine = RoundJobs { reduce_job, second_reduce_job };
                rendering.settle_jobs(mine.clone())? == mine
            };
            if !is_mine {
                self.scheduler.cancel(&accepted)?;
            }
            return Ok(is_mine);
        };
        let round = plan.round;
        match self.queue() {
            Ok(queue) => accepted.extend(queue.jobs(|job, states| {
                states.is_array == arrays.is_none() && !before.0.contains_key(&job)
            })),
            Err(error) => log::warn!("jobs of round {round} may stay behind: {error:#}"),
        }
        let named = named_arrays(rendering).unwrap_or_default();
        accepted.retain(|job| !named.contains(job));
        accepted.sort_unstable();
        accepted.dedup();
        let cancelled = self.scheduler.cancel(&accepted);
        if let Err(error) = &cancelled {
            log::warn!("jobs of round {round} stay behind: {error}");
        }
        let left = if cancelled.is_ok() { Vec::new() } else { accepted };
        let held = if arrays.is_none() { left } else { named };
        Err(not_submitted(self.experiment, &plan, error, &held))
    }

    fn release(&self, rendering: &Rendering) -> anyhow::Result<Vec<String>> {
        let (plan, named) = (rendering.plan()?, named_arrays(rendering)?);
        let jobs = rendering.jobs()?.context("the reduces of a round have vanished")?;
        named.iter().try_for_each(|&job| self.scheduler.release(job))?;
        let mut queue = self.queue()?;
        if queue.named(&named).any(JobStates::is_unseen) {
            // Why it cannot start (its time is above the limit, say) is known a moment after.
            thread::sleep(LOOK_AGAIN);
            queue = self.queue()?;
        }
        // A greater rendering, which holds when this one was cancelled, has arrays of its own.
        if self.files.newest()?.as_ref() == Some(rendering) {
            self.scheduler.cancel(&queue.arrays_but(&named))?;
        }
        let mut said =
            vec![format!("{}, then reduce (job {})", summary(&plan, &named), jobs.reduce_job)];
        if let Some(why) = queue.cannot_start() {
            said.push(format!("round {} cannot start: the scheduler says {why}", plan.round));
        }
        Ok(said)
    }

    pub fn show(&self, asked: &RoundPlan) -> anyhow::Result<Vec<String>> {
        // Slurm's own default where there is no answer: on a laptop, say.
        let most = self.scheduler.max_array_size().unwrap_or(1001);
        let Some(Rendered { plan, scripts }) = self.rendered_now(asked, most)? else {
            return Ok(vec![FINISHED.to_owned()]);
        };
        let newest = self.files.newest()?.map_or(0, |rendering| rendering.number);
        let folder = self.files.rendering(newest + 1).folder;
        let arrays = (1..).map(JobId).take(plan.parts.len()).collect_vec();
        let mut lines = vec![format!("{}, then reduce", summary(&plan, &arrays))];
        for (name, text) in &scripts {
            if *name != TRAIN_SCRIPT || !plan.parts.is_empty() {
                lines.push(format!("# {}\n{text}", folder.join(name).display()));
            }
        }
        let mut number = 0;
        for arrays in [None, Some(&arrays[..])] {
            submit_jobs(&plan, &folder, arrays, |job| {
                number += 1;
                lines.push(format!("{}  # job {number}", job.sbatch_command()));
                Ok(JobId(number))
            })?;
        }
        lines.extend(arrays.iter().map(|job| format!("scontrol release {job}")));
        Ok(lines)
    }
}

fn named_arrays(rendering: &Rendering) -> anyhow::Result<Vec<JobId>> {
    job_ids(&rendering.array()?.context("the array of a round has vanished")?)
}

/// Has `array.yaml` name no array, unless it is there; returns whether it is withdrawn now.
pub(crate) fn withdraw(rendering: &Rendering) -> anyhow::Result<bool> {
    let job_name = array_name(&rendering.plan()?);
    let none = RoundArray { array_jobs: Vec::new(), job_name, withdrawn: true };
    Ok(rendering.settle_array(none)?.withdrawn)
}

fn summary(plan: &RoundPlan, arrays: &[JobId]) -> String {
    let round = plan.round;
    if plan.array_size == 0 {
        return format!("round {round}: no tasks, waits for open claims");
    }
    let at = plan.epsilon.map_or(String::new(), |epsilon| format!(" at epsilon {epsilon}"));
    format!("round {round}: {} tasks{at} (job {})", plan.array_size, arrays.iter().join(", "))
}

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
//! A later submitter reads the files that exist and goes on at the first that is missing
//! ([`crate::ops::rounds::step`]). A rendering of which no job exists (the scheduler refused it,
//! say) is withdrawn when something else would be rendered now: an `array.yaml` that names no array
//! closes it for all submitters, and 2/ takes its place.
//!
//! An array that a submitter held and could not name, because it died or another was first, has the
//! round's job name and is cancelled by the submitter that finishes, or by the reduce of the round;
//! it never ran, since it was held. A reduce too many does no harm: all of them submit the same
//! next round, which is submitted once.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use anyhow::{Context, bail};

use crate::ops::rounds::chain::{
    array_name, in_words, job_ids, not_submitted, reduce_name, submit_arrays, submit_reduces, test,
};
use crate::ops::rounds::plan::{Rendered, TRAIN_SCRIPT, plan_round};
use crate::ops::rounds::queue::{Queue, Stage};
use crate::ops::rounds::step::{Arrays, Seen, Step, next_step};
use crate::ops::{Experiment, Refusal};
use crate::slurm::{JobId, JobSpec, JobStates, Scheduler, SlurmError};
use crate::storage::{Rendering, RoundArray, RoundDir, RoundJobs, RoundPlan};

/// How long after a release the scheduler has considered an array.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

pub(crate) struct Round<'a> {
    pub experiment: &'a Experiment,
    pub files: RoundDir,
}

impl<'a> Round<'a> {
    pub fn new(experiment: &'a Experiment, number: u32) -> Self {
        Self { experiment, files: RoundDir::of(experiment.dir(), number) }
    }

    pub const fn number(&self) -> u32 {
        self.files.round
    }

    /// Refuses a number that no round has: a person has mistyped it.
    pub fn check_exists(&self) -> anyhow::Result<()> {
        // An NFS client may have a stale listing of the rounds, and still find by its name the
        // folder into which the scheduler writes the log of this task.
        if self.files.folder.is_dir() {
            return Ok(());
        }
        let listed = self.experiment.dir().list_rounds()?;
        let numbers: Vec<u32> = listed.into_iter().map(|(number, _)| number).collect();
        let rounds = match numbers.as_slice() {
            [] => "none was submitted yet".to_owned(),
            [only] => format!("round {only} alone is there"),
            [first, .., last] => format!("rounds {first} to {last} are there"),
        };
        bail!(Refusal::Usage(format!(
            "there is no round {}: {rounds} (leave out `--round` where none is meant)",
            self.number()
        )))
    }

    /// The jobs of the round that have not ended: none before it is planned.
    pub fn queue(&self, scheduler: &dyn Scheduler) -> anyhow::Result<Queue> {
        let Some(plan) = self.files.plan()? else { return Ok(Queue::default()) };
        let jobs = scheduler.find(&[array_name(&plan), reduce_name(&plan)])?;
        let (arrays, reduces) = jobs.into_iter().partition(|(_, states)| states.is_array);
        Ok(Queue { arrays, reduces })
    }

    /// How far the round has come, and its queue. Round 0, which never exists, is over.
    pub fn look(&self, scheduler: &dyn Scheduler) -> anyhow::Result<(Stage, Queue)> {
        if self.number() == 0 {
            return Ok((Stage::Over, Queue::default()));
        }
        let Some(rendering) = self.files.newest()? else {
            return Ok((Stage::Unsubmitted, Queue::default()));
        };
        let named = rendering.array()?.map(|array| job_ids(&array.array_jobs)).transpose()?;
        let has_jobs_file = rendering.jobs()?.is_some();
        // After the files: jobs that they name are in it, or have ended.
        let queue = self.queue(scheduler)?;
        let stage = match named {
            Some(_) if has_jobs_file && !queue.has_reduce_at_work() => Stage::Over,
            Some(named) if has_jobs_file && queue.named(&named).any(JobStates::is_held) => {
                Stage::Held
            }
            Some(_) if has_jobs_file => Stage::UnderWay,
            _ => Stage::Unsubmitted,
        };
        Ok((stage, queue))
    }

    /// Whether the rendering that holds was submitted, so that its reduce goes on with the chain.
    /// (The reduce of a round without tasks may begin before `jobs.yaml` says so.)
    pub fn was_submitted(&self) -> anyhow::Result<bool> {
        let Some(rendering) = self.files.newest()? else { return Ok(false) };
        let array = rendering.array()?;
        let waits_only = array.is_some_and(|array| array.array_jobs.is_empty() && !array.withdrawn);
        Ok(waits_only || rendering.jobs()?.is_some())
    }

    /// Submits the round, or completes what another submitter began; `None` when the schedule is
    /// finished and learned. A rendering of which no job exists gives way, once, to what `asked`
    /// would render now.
    pub fn submit(
        &self,
        asked: &RoundPlan,
        scheduler: &dyn Scheduler,
    ) -> anyhow::Result<Option<Vec<String>>> {
        let (mut said, mut may_render) = (Vec::new(), true);
        // What this process has held counts as live, even if the queue is slow to show it.
        let mut held = None;
        let rendered_now = || self.rendered_now(asked, &|| scheduler.max_array_size());
        loop {
            // In this order: an array that was named, then gone, then without `jobs.yaml` never
            // ran.
            let newest = self.files.newest()?;
            let array = newest.as_ref().map(Rendering::array).transpose()?.flatten();
            let queue = self.queue(scheduler)?;
            let mut seen = seen(newest.as_ref(), array.as_ref(), &queue)?;
            if seen.arrays == Arrays::Gone && held == Some(seen.rendering) {
                seen.arrays = Arrays::Live;
            }
            let anew = match &newest {
                Some(rendering) if may_render && seen.may_give_way() => {
                    rendered_now()?.filter(|now| !now.is(rendering))
                }
                _ => None,
            };
            match (next_step(&seen, anew.is_some()), newest.as_ref()) {
                (Step::Render(number), _) => {
                    let now = anew.map_or_else(&rendered_now, |now| Ok(Some(now)))?;
                    let Some(now) = now else { return Ok(None) };
                    let files = RoundDir::create(self.experiment.dir(), self.number())?;
                    files.render(&files.rendering(number), &now.plan, &now.scripts)?;
                    if number > 1 {
                        let round = format!("round {}", self.number());
                        said.push(format!("{round} is rendered anew, since nothing of it has run"));
                    }
                    may_render = false;
                }
                (Step::Withdraw, Some(rendering)) => {
                    withdraw(rendering)?;
                    may_render = false;
                }
                (Step::HoldArrays, Some(rendering)) => {
                    let is_mine = self.hold_arrays(rendering, &queue, scheduler, &mut said)?;
                    held = is_mine.then_some(seen.rendering);
                }
                (Step::QueueReduces, Some(rendering)) => {
                    self.queue_reduces(rendering, &queue, scheduler)?;
                }
                (Step::Release, Some(rendering)) => {
                    said.extend(self.release(rendering, scheduler)?);
                    return Ok(Some(said));
                }
                (_, None) => unreachable!("a round without a rendering is rendered first"),
            }
        }
    }

    /// Withdraws the rendering that holds, if no array of it was named yet.
    pub fn withdraw_unnamed(&self) -> anyhow::Result<bool> {
        match self.files.newest()? {
            Some(rendering) => Ok(withdraw(&rendering)?.withdrawn),
            None => Ok(false),
        }
    }

    fn rendered_now(
        &self,
        asked: &RoundPlan,
        max_array_size: &dyn Fn() -> Result<u32, SlurmError>,
    ) -> anyhow::Result<Option<Rendered>> {
        let plan = plan_round(self.experiment, self.number(), asked, max_array_size)?;
        let Some(mut plan) = plan else { return Ok(None) };
        // All renderings of a round have one name, by which its jobs are found.
        if let Some(before) = self.files.plan()? {
            plan.job_prefix = before.job_prefix;
        }
        Rendered::of(self.experiment, plan).map(Some)
    }

    /// Returns whether `array.yaml` names these arrays: when another submitter was first, they are
    /// cancelled.
    fn hold_arrays(
        &self,
        rendering: &Rendering,
        before: &Queue,
        scheduler: &dyn Scheduler,
        said: &mut Vec<String>,
    ) -> anyhow::Result<bool> {
        let (plan, mut jobs) = (rendering.plan()?, Vec::new());
        let submit = &mut |job: &_| scheduler.submit(job);
        let submitted = test(&plan, &rendering.folder, scheduler, said)
            .and_then(|()| submit_arrays(&plan, &rendering.folder, submit, &mut jobs));
        if let Err(error) = submitted {
            // A job whose id could not be read, and parts before the one that was refused.
            let left = self.take_back(rendering, jobs, before, |it| &it.arrays, scheduler);
            return Err(not_submitted(self.experiment, &plan, error, &left));
        }
        let array_jobs = jobs.iter().map(ToString::to_string).collect();
        let job_name = array_name(&plan);
        let mine = RoundArray { array_jobs, job_name, withdrawn: false };
        let is_mine = rendering.settle_array(mine.clone())? == mine;
        if !is_mine {
            scheduler.cancel(&jobs)?;
        }
        Ok(is_mine)
    }

    fn queue_reduces(
        &self,
        rendering: &Rendering,
        before: &Queue,
        scheduler: &dyn Scheduler,
    ) -> anyhow::Result<()> {
        let (plan, mut jobs) = (rendering.plan()?, Vec::new());
        let array = rendering.array()?.context("the array of a round has vanished")?;
        let arrays = job_ids(&array.array_jobs)?;
        let submit = &mut |job: &_| scheduler.submit(job);
        let submitted = submit_reduces(&plan, &rendering.folder, &arrays, submit, &mut jobs);
        if let Err(error) = submitted {
            self.take_back(rendering, jobs, before, |it| &it.reduces, scheduler);
            return Err(not_submitted(self.experiment, &plan, error, &arrays));
        }
        let mut ids = jobs.iter().map(ToString::to_string);
        let reduce_job = ids.next().context("a round without a reduce")?;
        let mine = RoundJobs { reduce_job, second_reduce_job: ids.next() };
        if rendering.settle_jobs(mine.clone())? != mine {
            scheduler.cancel(&jobs)?;
        }
        Ok(())
    }

    /// Cancels jobs that no file names: these, and those of a kind that were not in the queue
    /// before. Returns those that could not be cancelled.
    fn take_back(
        &self,
        rendering: &Rendering,
        mut jobs: Vec<JobId>,
        before: &Queue,
        kind: fn(&Queue) -> &BTreeMap<JobId, JobStates>,
        scheduler: &dyn Scheduler,
    ) -> Vec<JobId> {
        let round = self.number();
        match self.queue(scheduler) {
            Ok(queue) => {
                jobs.extend(kind(&queue).keys().filter(|job| !kind(before).contains_key(job)));
            }
            Err(error) => log::warn!("jobs of round {round} may stay behind: {error:#}"),
        }
        let array = rendering.array().ok().flatten();
        let named = array.map(|array| array.array_jobs).unwrap_or_default();
        jobs.retain(|job| !named.contains(&job.to_string()));
        jobs.sort_unstable();
        jobs.dedup();
        match scheduler.cancel(&jobs) {
            Ok(()) => Vec::new(),
            Err(error) => {
                log::warn!("jobs of round {round} stay behind: {error}");
                jobs
            }
        }
    }

    fn release(
        &self,
        rendering: &Rendering,
        scheduler: &dyn Scheduler,
    ) -> anyhow::Result<Vec<String>> {
        let (plan, array) = (rendering.plan()?, rendering.array()?);
        let array = array.context("the array of a round has vanished")?;
        let jobs = rendering.jobs()?.context("the reduces of a round have vanished")?;
        let named = job_ids(&array.array_jobs)?;
        for &job in &named {
            scheduler.release(job)?;
        }
        let mut queue = self.queue(scheduler)?;
        if queue.named(&named).any(JobStates::is_unseen) {
            // The scheduler's reason (a time above the limit of the partition, say) comes a moment
            // after the release.
            thread::sleep(LOOK_AGAIN);
            queue = self.queue(scheduler)?;
        }
        // The arrays of a greater rendering, which holds when this one's was cancelled, are
        // unknown.
        if self.files.newest()?.as_ref() == Some(rendering) {
            scheduler.cancel(&queue.arrays_but(&named))?;
        }
        let mut said =
            vec![format!("{}, then reduce (job {})", summary(&plan, &named), jobs.reduce_job)];
        if let Some(why) = queue.cannot_start() {
            said.push(format!("round {} cannot start: the scheduler says {why}", plan.round));
        }
        Ok(said)
    }

    /// The scripts of the round and the commands that would submit it.
    pub fn show(
        &self,
        asked: &RoundPlan,
        max_array_size: u32,
    ) -> anyhow::Result<Option<Vec<String>>> {
        let rendered = self.rendered_now(asked, &|| Ok(max_array_size))?;
        let Some(Rendered { plan, scripts }) = rendered else {
            return Ok(None);
        };
        let newest = self.files.newest()?.map_or(0, |rendering| rendering.number);
        let folder = self.files.rendering(newest + 1).folder;
        let (mut arrays, mut commands, mut number) = (Vec::new(), Vec::new(), 0);
        let mut submit = |job: &JobSpec| {
            number += 1;
            commands.push(format!("{}  # job {number}", job.sbatch_command()?));
            Ok(JobId(number))
        };
        submit_arrays(&plan, &folder, &mut submit, &mut arrays)?;
        submit_reduces(&plan, &folder, &arrays, &mut submit, &mut Vec::new())?;
        commands.extend(arrays.iter().map(|job| format!("scontrol release {job}")));
        let mut lines = vec![format!("{}, then reduce", summary(&plan, &arrays))];
        for (name, text) in &scripts {
            if *name != TRAIN_SCRIPT || !plan.parts.is_empty() {
                lines.push(format!("# {}\n{text}", folder.join(name).display()));
            }
        }
        lines.extend(commands);
        Ok(Some(lines))
    }
}

/// Returns what `array.yaml` says in the end, since another submitter may be first.
fn withdraw(rendering: &Rendering) -> anyhow::Result<RoundArray> {
    let job_name = array_name(&rendering.plan()?);
    Ok(rendering.settle_array(RoundArray { array_jobs: Vec::new(), job_name, withdrawn: true })?)
}

/// What a submitter sees of the round, whose rendering and array were read before the queue.
fn seen(
    rendering: Option<&Rendering>,
    array: Option<&RoundArray>,
    queue: &Queue,
) -> anyhow::Result<Seen> {
    let Some(rendering) = rendering else { return Ok(Seen::default()) };
    let arrays = match array {
        None => Arrays::Unnamed,
        Some(array) => match job_ids(&array.array_jobs)?.as_slice() {
            [] if !array.withdrawn => Arrays::None,
            named if queue.named(named).any(JobStates::is_live) => Arrays::Live,
            _ => Arrays::Gone,
        },
    };
    Ok(Seen {
        rendering: rendering.number,
        arrays,
        has_queued_jobs: !(queue.arrays.is_empty() && queue.reduces.is_empty()),
        has_jobs_file: rendering.jobs()?.is_some(),
    })
}

fn summary(plan: &RoundPlan, arrays: &[JobId]) -> String {
    let round = plan.round;
    if plan.array_size == 0 {
        return format!("round {round}: no tasks, waits for open claims");
    }
    let at = plan.epsilon.map_or(String::new(), |epsilon| format!(" at epsilon {epsilon}"));
    format!("round {round}: {} tasks{at} (job {})", plan.array_size, in_words(arrays))
}

//! How a search stands that is trained in rounds: whether the chain of jobs goes on, what its jobs
//! wait for, and what a person is to do.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::Result;

use crate::ops::Experiment;
use crate::ops::journal::Journal;
use crate::ops::rounds::chain::end_of_chain;
use crate::ops::rounds::plan::scheduler;
use crate::ops::rounds::round::{Queue, Round, Stage};
use crate::ops::rounds::unclaimed::{Unclaimed, last_line_of_reduce, unclaimed};
use crate::report::{Condition, JobQueue, WaitingJobs};
use crate::slurm::{JobStates, SlurmError, meaning};
use crate::storage::{Event, RoundDir, Row, TaskRefusal};

/// How long a person waits for the scheduler.
const PATIENCE: Duration = Duration::from_secs(10);

/// Reduces that wait for their tasks, as they should, are left out.
fn jobs(queue: &Queue) -> JobQueue {
    let mut waiting = BTreeMap::<&str, u64>::new();
    for states in queue.0.values() {
        let said = states.waiting.iter();
        for (reason, jobs) in said.filter(|(it, _)| states.is_array || *it != "Dependency") {
            *waiting.entry(reason).or_default() += jobs;
        }
    }
    let words = |(reason, jobs): (&str, u64)| WaitingJobs {
        jobs,
        reason: reason.to_owned(),
        meaning: meaning(reason),
    };
    JobQueue {
        problem: None,
        running: queue.0.values().map(JobStates::running_tasks).sum::<usize>() as u64,
        waiting: waiting.into_iter().map(words).collect(),
    }
}

pub(crate) type Diagnosis = (Condition, Vec<String>);

const ACTIVE: Diagnosis = (Condition::Active, Vec::new());

pub(crate) struct Evidence<'a> {
    pub experiment: &'a Experiment,
    pub journal: &'a Journal,
    pub refusals: &'a [TaskRefusal],
}

impl Evidence<'_> {
    /// With what the scheduler says of the newest round, where that matters.
    pub fn diagnosis(&self, newest: Option<u32>) -> (Diagnosis, Option<JobQueue>) {
        // First: it may have been halted before its last results came.
        let knowledge = self.journal.state();
        if knowledge.is_finished(&self.experiment.config().strategy.schedule) {
            return ((Condition::Finished, Vec::new()), None);
        }
        if knowledge.halted {
            let notice = "The search is halted: `metaqnn submit` goes on.";
            return ((Condition::Halted, vec![notice.to_owned()]), None);
        }
        let Some(newest) = newest else { return (ACTIVE, None) };
        let looked = scheduler(self.experiment)
            .and_then(|slurm| Round::new(self.experiment, newest, &slurm.within(PATIENCE)).look());
        // Without a scheduler to ask (another machine, say) nothing is known of the chain.
        let (seen, jobs) = match looked {
            Ok((stage, queue, before)) => {
                let jobs = jobs(&queue);
                (self.of_chain(newest, stage, &queue, &before), jobs)
            }
            Err(error) => {
                let brief = error.downcast_ref().map(SlurmError::brief);
                let problem = Some(brief.unwrap_or_else(|| format!("{error:#}")));
                (Err(error), JobQueue { problem, ..JobQueue::default() })
            }
        };
        let diagnosis = seen.unwrap_or_else(|error| {
            log::info!("nothing is known of the chain of rounds: {error:#}");
            ACTIVE
        });
        (diagnosis, Some(jobs))
    }

    fn of_chain(
        &self,
        newest: u32,
        stage: Stage,
        queue: &Queue,
        before: &Queue,
    ) -> Result<Diagnosis> {
        match stage {
            Stage::UnderWay => return self.under_way(newest, queue),
            Stage::Over => return self.after(newest, queue),
            Stage::Unsubmitted | Stage::Held => {}
        }
        // The reduce before it may be about to submit it; a person's `submit` takes a moment, too.
        if before.has_reduce_at_work() {
            return Ok(ACTIVE);
        }
        let why = format!("Chain broken: round {newest} was not submitted to its end.");
        Ok((Condition::ChainBroken, vec![why, "Run `metaqnn submit`.".to_owned()]))
    }

    fn under_way(&self, newest: u32, queue: &Queue) -> Result<Diagnosis> {
        let cannot_start = queue.cannot_start().map(|why| {
            format!(
                "Round {newest} cannot start: the scheduler says {why}. Run `metaqnn cancel`, \
                 correct the request with `metaqnn set`, then run `metaqnn submit`."
            )
        });
        // Held by a person or after a failed launch: no reduce is submitted so.
        let first_reduce = queue.reduces().next().filter(|(_, states)| states.is_held());
        let is_held = first_reduce.map(|(job, _)| {
            format!(
                "The reduce of round {newest} is held (job {job}), and the chain waits for it: \
                 `scontrol release {job}`."
            )
        });
        if let Some(notice) = cannot_start.or(is_held) {
            return Ok((Condition::Stuck, vec![notice]));
        }
        let mut unclaimed = self.unclaimed(newest, queue)?;
        if unclaimed.is_none() && newest > 1 && self.claims_of(newest).next().is_none() {
            // Its tasks have not begun: those of the round before are the newest known.
            let before = self.unclaimed(newest - 1, &Queue::default())?;
            unclaimed = before.filter(|before| !before.was_halted);
        }
        let Some(Unclaimed { is_every_task, sentence, .. }) = unclaimed else { return Ok(ACTIVE) };
        if !is_every_task {
            return Ok((Condition::Active, vec![sentence]));
        }
        let remedy =
            "Correct that: `metaqnn cancel` ends the round, `metaqnn submit` begins another.";
        Ok((Condition::Stuck, vec![sentence, remedy.to_owned()]))
    }

    /// When no job in the queue submits the next round.
    fn after(&self, newest: u32, queue: &Queue) -> Result<Diagnosis> {
        let plan = self.files(newest).plan()?;
        let end = plan.and_then(|plan| end_of_chain(self.journal.state(), &plan));
        let mut new_rows = self.journal.new_rows().iter();
        let is_behind = new_rows.any(|row| row.round.is_some_and(|of| of <= newest));
        let unclaimed = self.unclaimed(newest, queue)?;
        let has_claims = !unclaimed.as_ref().is_some_and(|unclaimed| unclaimed.is_every_task);
        let mut notices: Vec<_> = unclaimed.into_iter().map(|it| it.sentence).collect();
        if has_claims && !is_behind && end.as_ref().is_some_and(|end| end.was_asked) {
            notices.push("The rounds asked for are done: `metaqnn submit` goes on.".to_owned());
            return Ok((Condition::Paused, notices));
        }
        // Rounds without a result bring none again unless something is corrected.
        let vain = end.filter(|end| !end.was_asked).map(|end| end.reason);
        if notices.is_empty() && vain.is_none() {
            notices.extend(last_line_of_reduce(&self.files(newest))?);
        }
        let is_to_correct = !notices.is_empty() || vain.is_some();
        let remedy = if is_to_correct { "Correct that, then run" } else { "Run" };
        let why = vain.unwrap_or_else(|| "no round is queued or running".to_owned());
        notices.insert(0, format!("Chain broken: {why}."));
        notices.push(format!("{remedy} `metaqnn submit`."));
        Ok((Condition::ChainBroken, notices))
    }

    fn files(&self, round: u32) -> RoundDir {
        RoundDir::of(self.experiment.dir(), round)
    }

    fn unclaimed(&self, round: u32, queue: &Queue) -> Result<Option<Unclaimed>> {
        unclaimed(&self.files(round), queue, self.journal.rows(), self.refusals)
    }

    fn claims_of(&self, round: u32) -> impl Iterator<Item = &Row> {
        let is_its = move |row: &&Row| row.event == Event::Claimed && row.round == Some(round);
        self.journal.rows().iter().filter(is_its)
    }

    /// Whether the newest round has failures; without rounds, whether nothing trains.
    pub fn fails_in(&self, newest: Option<u32>) -> bool {
        let Some(newest) = newest else { return self.journal.state().open.is_empty() };
        let claimed: BTreeSet<_> = self.claims_of(newest).map(|row| row.iteration).collect();
        let is_loss = |row: &Row| row.event == Event::Lost && claimed.contains(&row.iteration);
        self.journal.rows().iter().any(is_loss)
            || self.files(newest).refusals().is_ok_and(|it| !it.is_empty())
    }
}

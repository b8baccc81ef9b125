//! How far a search is. Reads everything, appends nothing.

use std::collections::BTreeSet;

use crate::ops::Experiment;
use crate::ops::reduce::tables::search_data;
use crate::ops::rounds::chain::{EndOfChain, end_of_chain, scheduler};
use crate::ops::rounds::host_tasks::{refusals, tasks};
use crate::ops::rounds::hosts::Hosts;
use crate::ops::rounds::queue::{Queue, Stage};
use crate::ops::rounds::round::Round;
use crate::ops::rounds::unclaimed::{Unclaimed, last_line_of_reduce, unclaimed};
use crate::ops::snapshot::Snapshot;
use crate::ops::train::attempt_files::AttemptFiles;
use crate::report::terminal::{self, Colour};
use crate::report::{ArchitectureRecord, Condition, Summary, first_start, ranking};
use crate::storage::{Event, Knowledge, RoundDir, Row, TaskRefusal};

/// Returns the search in numbers.
///
/// # Errors
/// When the log cannot be read.
pub fn status(experiment: &Experiment) -> anyhow::Result<Summary> {
    let files = AttemptFiles::list(experiment.dir())?;
    let snapshot = Snapshot::read(experiment)?;
    let rows = snapshot.all_rows(experiment)?;
    let knowledge = snapshot.knowledge();
    let schedule = &experiment.config().schedule;
    let refusals = refusals(experiment)?;
    let hosts = Hosts::judge(tasks(&rows, &refusals));
    let round = experiment.dir().newest_round()?;
    let evidence = Evidence { experiment, snapshot: &snapshot, rows: &rows, refusals: &refusals };
    let Diagnosis { mut condition, mut notices } = evidence.diagnosis(round)?;
    if let Some(common) = &hosts.common_failure
        && !matches!(condition, Condition::Finished | Condition::Halted)
    {
        notices.insert(0, format!("{common}."));
        // Failures of the rounds before may be history: a person has corrected their reason.
        if condition == Condition::Active && evidence.fails_in(round) {
            condition = Condition::Stuck;
        }
    }
    if let Some(notice) = want_of_time(knowledge)
        && !matches!(condition, Condition::Finished | Condition::Halted)
    {
        notices.insert(0, notice);
        let is_stuck = condition == Condition::Active && knowledge.is_time_too_short();
        condition = if is_stuck { Condition::Stuck } else { condition };
    }
    if !experiment.settings().is_empty() {
        let settings = experiment.settings().join(", ");
        notices.push(format!("Changed with `metaqnn set`: {settings}."));
    }
    if let Err(missing) = files.check(knowledge) {
        notices.push(format!("Damaged: {missing}."));
        // Every command but those that only look refuses it.
        condition = if condition == Condition::Active { Condition::Stuck } else { condition };
    }
    let epsilon = knowledge.epsilon_in_force(schedule).map(|epsilon| epsilon.value());
    let started_at = first_start(&rows);
    let hosts = hosts.tallies;
    let search = search_data(experiment, &snapshot, &rows);
    Ok(Summary { condition, round, epsilon, started_at, hosts, notices, ..Summary::of(&search) })
}

/// Returns the ranking of the best networks as text for a terminal.
pub fn ranked(experiment: &Experiment, at_most: usize, colour: Colour) -> anyhow::Result<String> {
    let snapshot = Snapshot::read(experiment)?;
    let search = search_data(experiment, &snapshot, &snapshot.all_rows(experiment)?);
    let best = ranking(&ArchitectureRecord::gather(&search.iterations), at_most);
    Ok(terminal::ranked(&best, search.trainer, colour))
}

/// Says that tasks leave on the time warning without a new epoch, again and again.
fn want_of_time(knowledge: &Knowledge) -> Option<String> {
    let state = knowledge.state();
    let timed_out = state.open.iter().find(|(_, open)| open.timeouts > 0);
    let what = match (timed_out, state.claims_timed_out) {
        (None, 0) => return None,
        (Some((iteration, open)), 0) => {
            let times = open.timeouts;
            format!(
                "Iteration {iteration} left on the time warning without a new epoch (attempts in a row: {times})"
            )
        }
        (_, claims) => format!(
            "Claims in a row that were lost after three attempts without a new epoch before the time warning: {claims}"
        ),
    };
    let remedy = "is `slurm.time` too short, or does the trainer keep no checkpoint?";
    Some(format!("{what}; {remedy} See `metaqnn set DIR slurm.time=...`."))
}

/// Where a search stands, and what a person should know of it.
struct Diagnosis {
    condition: Condition,
    notices: Vec<String>,
}

impl Diagnosis {
    fn of(condition: Condition, notices: impl IntoIterator<Item = String>) -> Self {
        Self { condition, notices: notices.into_iter().collect() }
    }
}

/// What was read of a search, from which its diagnosis follows.
struct Evidence<'a> {
    experiment: &'a Experiment,
    snapshot: &'a Snapshot,
    rows: &'a [Row],
    refusals: &'a [TaskRefusal],
}

impl Evidence<'_> {
    fn diagnosis(&self, newest: Option<u32>) -> anyhow::Result<Diagnosis> {
        let knowledge = self.snapshot.knowledge();
        // First: nothing is left to go on with, should a person have halted it before its last results came.
        if knowledge.is_finished(&self.experiment.config().schedule) {
            return Ok(Diagnosis::of(Condition::Finished, None));
        }
        if knowledge.is_halted() {
            let notice = "The search is halted: `metaqnn submit` goes on.".to_owned();
            return Ok(Diagnosis::of(Condition::Halted, Some(notice)));
        }
        let Some(newest) = newest else { return Ok(Diagnosis::of(Condition::Active, None)) };
        // Without a scheduler to ask (another machine, say) nothing is known of the chain.
        self.diagnosis_of_chain(newest).or_else(|error| {
            log::info!("the scheduler cannot be asked: {error:#}");
            Ok(Diagnosis::of(Condition::Active, None))
        })
    }

    fn diagnosis_of_chain(&self, newest: u32) -> anyhow::Result<Diagnosis> {
        let scheduler = scheduler(self.experiment)?;
        let (stage, queue) = Round::new(self.experiment, newest).look(&scheduler)?;
        match stage {
            Stage::UnderWay => self.diagnosis_under_way(newest, &queue),
            Stage::Over => self.diagnosis_after(newest, &queue),
            // The reduce before it may be about to submit it; a person's `submit` takes a moment, too.
            Stage::Unsubmitted | Stage::Held
                if newest > 1
                    && Round::new(self.experiment, newest - 1)
                        .queue(&scheduler)?
                        .has_reduce_at_work() =>
            {
                Ok(Diagnosis::of(Condition::Active, None))
            }
            Stage::Unsubmitted | Stage::Held => {
                let why = format!("Chain broken: round {newest} was not submitted to its end.");
                let remedy = "Run `metaqnn submit`.".to_owned();
                Ok(Diagnosis::of(Condition::ChainBroken, [why, remedy]))
            }
        }
    }

    fn diagnosis_under_way(&self, newest: u32, queue: &Queue) -> anyhow::Result<Diagnosis> {
        if let Some(why) = queue.cannot_start() {
            let notice = format!(
                "Round {newest} cannot start: the scheduler says {why}. Run `metaqnn cancel`, correct the request \
                 with `metaqnn set`, then run `metaqnn submit`."
            );
            return Ok(Diagnosis::of(Condition::Stuck, [notice]));
        }
        if let Some(job) = queue.held_reduce() {
            let notice = format!(
                "The reduce of round {newest} is held (job {job}), and the chain waits for it: `scontrol release {job}`."
            );
            return Ok(Diagnosis::of(Condition::Stuck, [notice]));
        }
        let unclaimed = match self.unclaimed(newest, queue)? {
            // Its tasks have not begun: those of the round before are the newest known.
            None if newest > 1 && !self.has_claims_of(newest) => {
                let before = self.unclaimed(newest - 1, &Queue::default())?;
                before.filter(|before| !before.was_halted)
            }
            unclaimed => unclaimed,
        };
        let Some(unclaimed) = unclaimed else { return Ok(Diagnosis::of(Condition::Active, None)) };
        let notice = unclaimed.sentence();
        if !unclaimed.is_every_task {
            return Ok(Diagnosis::of(Condition::Active, Some(notice)));
        }
        let remedy =
            "Correct that: `metaqnn cancel` ends the round, `metaqnn submit` begins another.";
        Ok(Diagnosis::of(Condition::Stuck, [notice, remedy.to_owned()]))
    }

    /// Where the search stands when no job in the queue submits the next round.
    fn diagnosis_after(&self, newest: u32, queue: &Queue) -> anyhow::Result<Diagnosis> {
        let plan = Round::new(self.experiment, newest).files.plan()?;
        let end = plan.and_then(|plan| end_of_chain(self.snapshot.knowledge(), &plan));
        let is_behind =
            self.snapshot.new_rows().iter().any(|row| row.round.is_some_and(|of| of <= newest));
        let unclaimed = self.unclaimed(newest, queue)?;
        let all_are_unclaimed = unclaimed.as_ref().is_some_and(|unclaimed| unclaimed.is_every_task);
        let tasks = unclaimed.map(|unclaimed| unclaimed.sentence());
        if matches!(end, Some(EndOfChain::AskedFor { .. })) && !is_behind && !all_are_unclaimed {
            let done = "The rounds asked for are done: `metaqnn submit` goes on.".to_owned();
            return Ok(Diagnosis::of(Condition::Paused, tasks.into_iter().chain([done])));
        }
        // Rounds that came to nothing do so again unless something is corrected.
        let is_vain = matches!(end, Some(EndOfChain::Fruitless { .. } | EndOfChain::TimeTooShort));
        let (why, reduce) = match end {
            Some(end) if is_vain => (end.to_string(), None),
            _ => {
                let reduce = last_line_of_reduce(&Round::new(self.experiment, newest))?;
                ("no round is queued or running".to_owned(), reduce)
            }
        };
        let said = tasks.or(reduce);
        let remedy = if said.is_some() || is_vain { "Correct that, then run" } else { "Run" };
        let notices = [Some(format!("Chain broken: {why}.")), said];
        let remedy = format!("{remedy} `metaqnn submit`.");
        let notices = notices.into_iter().flatten().chain([remedy]);
        Ok(Diagnosis::of(Condition::ChainBroken, notices))
    }

    /// Tasks of a round that ended without a claim.
    fn unclaimed(&self, round: u32, queue: &Queue) -> anyhow::Result<Option<Unclaimed>> {
        unclaimed(&Round::new(self.experiment, round), queue, self.rows, self.refusals)
    }

    fn claims_of(&self, round: u32) -> impl Iterator<Item = &Row> {
        let claims = self.rows.iter().filter(|row| row.event == Event::Claimed);
        claims.filter(move |row| row.round == Some(round))
    }

    fn has_claims_of(&self, round: u32) -> bool {
        self.claims_of(round).next().is_some()
    }

    /// Whether the newest round has failures, and not only the ones before; without rounds, whether nothing trains.
    fn fails_in(&self, newest: Option<u32>) -> bool {
        let Some(newest) = newest else { return self.snapshot.knowledge().state().open.is_empty() };
        let claimed: BTreeSet<_> = self.claims_of(newest).map(|row| row.iteration).collect();
        let is_loss = |row: &Row| row.event == Event::Lost && claimed.contains(&row.iteration);
        self.rows.iter().any(is_loss)
            || RoundDir::of(self.experiment.dir(), newest).refusals().is_ok_and(|it| !it.is_empty())
    }
}

//! How far a search is. Reads everything, appends nothing.

use std::collections::BTreeSet;

use anyhow::Result;

use crate::ops::Experiment;
use crate::ops::journal::{AttemptFiles, Journal};
use crate::ops::reduce::tables::search_data;
use crate::ops::rounds::chain::end_of_chain;
use crate::ops::rounds::hosts::{Hosts, refusals, tasks};
use crate::ops::rounds::plan::scheduler;
use crate::ops::rounds::round::{Queue, Round, Stage};
use crate::ops::rounds::unclaimed::{Unclaimed, last_line_of_reduce, unclaimed};
use crate::report::{ArchitectureRecord, Condition, Summary, first_start, ranking, terminal};
use crate::space::Candidate;
use crate::storage::search_state::Standing;
use crate::storage::{Event, Iteration, Knowledge, RoundDir, Row, TaskRefusal};
use crate::strategy::ValidStrategyParams;

pub fn status(experiment: &Experiment) -> Result<Summary> {
    let files = AttemptFiles::list(experiment.dir())?;
    let journal = Journal::open_to_look(experiment)?;
    let (knowledge, refusals) = (journal.state(), refusals(experiment)?);
    let search = search_data(experiment, &journal)?;
    let hosts = Hosts::judge(tasks(journal.rows(), &refusals));
    let newest = experiment.dir().newest_round()?;
    let evidence = Evidence { experiment, journal: &journal, refusals: &refusals };
    let (mut condition, mut notices) = evidence.diagnosis(newest);
    let mut is_stuck = false;
    if !matches!(condition, Condition::Finished | Condition::Halted) {
        if let Some(common) = &hosts.common_failure {
            notices.insert(0, format!("{common}."));
            // Failures of the rounds before may be history: a person has corrected their reason.
            is_stuck |= evidence.fails_in(newest);
        }
        if let Some(notice) = timeouts(knowledge) {
            notices.insert(0, notice);
            is_stuck |= knowledge.is_time_too_short();
        }
    }
    if !experiment.settings.is_empty() {
        let settings = experiment.settings.join(", ");
        notices.push(format!("Changed with `metaqnn set`: {settings}."));
    }
    notices.extend(quarantined(&experiment.config().strategy, knowledge));
    if let Err(missing) = files.check(knowledge) {
        notices.push(format!("Damaged: {missing}."));
        // Every command but those that only look refuses it.
        is_stuck = true;
    }
    if is_stuck && condition == Condition::Active {
        condition = Condition::Stuck;
    }
    let in_force = knowledge.stage_in_force(&experiment.config().strategy.schedule);
    let mut summary = Summary {
        condition,
        round: newest,
        epsilon: in_force.and_then(|stage| Some(stage.epsilon?.value())),
        started_at: first_start(journal.rows()),
        hosts: hosts.tallies,
        notices,
        ..Summary::of(&search)
    };
    if let Some(best) = &mut summary.best {
        let is_its = |row: &&Row| {
            row.event == Event::Trained && row.iteration == Some(Iteration(best.iteration))
        };
        let attempt = journal.rows().iter().find(is_its).and_then(Row::attempt);
        let name = |attempt| format!("models/{attempt}");
        best.model = attempt.filter(|attempt| experiment.dir().model(*attempt).is_dir()).map(name);
    }
    Ok(summary)
}

pub fn ranked(experiment: &Experiment, at_most: usize) -> Result<String> {
    let search = search_data(experiment, &Journal::open_to_look(experiment)?)?;
    let best = ranking(ArchitectureRecord::gather(&search.iterations), at_most);
    Ok(terminal::ranked(&best, &status(experiment)?))
}

/// Tasks that leave on the time warning without a new epoch, again and again.
fn timeouts(knowledge: &Knowledge) -> Option<String> {
    let timed_out = knowledge.open.iter().find(|(_, open)| open.timeouts > 0);
    let what = match (knowledge.claims_timed_out, timed_out) {
        (0, None) => return None,
        (0, Some((iteration, open))) => format!(
            "Iteration {iteration} left on the time warning without a new epoch (attempts in a \
             row: {})",
            open.timeouts
        ),
        (claims, _) => format!(
            "Claims in a row that were lost after three attempts without a new epoch before the \
             time warning: {claims}"
        ),
    };
    Some(format!(
        "{what}; is `slurm.time` too short, or does the trainer keep no checkpoint? See `metaqnn \
         set DIR slurm.time=...`."
    ))
}

/// Networks of a list that are passed over.
fn quarantined(strategy: &ValidStrategyParams, knowledge: &Knowledge) -> Option<String> {
    let list = strategy.list.as_ref()?;
    let is_passed_over = |it: &&Candidate| knowledge.standing(it) == Standing::Quarantined;
    let names = list.iter().filter(is_passed_over);
    let names: Vec<_> =
        names.map(|it| format!("{}, repeat {}", it.architecture, it.repeat)).collect();
    let problem = "Passed over, since three trainings of each were lost";
    (!names.is_empty()).then(|| format!("{problem}: {}.", names.join("; ")))
}

type Diagnosis = (Condition, Vec<String>);

const ACTIVE: Diagnosis = (Condition::Active, Vec::new());

struct Evidence<'a> {
    experiment: &'a Experiment,
    journal: &'a Journal,
    refusals: &'a [TaskRefusal],
}

impl Evidence<'_> {
    fn diagnosis(&self, newest: Option<u32>) -> Diagnosis {
        // First: it may have been halted before its last results came.
        let knowledge = self.journal.state();
        if knowledge.is_finished(&self.experiment.config().strategy.schedule) {
            return (Condition::Finished, Vec::new());
        }
        if knowledge.halted {
            let notice = "The search is halted: `metaqnn submit` goes on.";
            return (Condition::Halted, vec![notice.to_owned()]);
        }
        // Without a scheduler to ask (another machine, say) nothing is known of the chain.
        newest.map_or(Ok(ACTIVE), |newest| self.of_chain(newest)).unwrap_or_else(|error| {
            log::info!("the scheduler cannot be asked: {error:#}");
            ACTIVE
        })
    }

    fn of_chain(&self, newest: u32) -> Result<Diagnosis> {
        let scheduler = scheduler(self.experiment)?;
        let round = |number| Round::new(self.experiment, number, &scheduler);
        let (stage, queue) = round(newest).look()?;
        match stage {
            Stage::UnderWay => return self.under_way(newest, &queue),
            Stage::Over => return self.after(newest, &queue),
            Stage::Unsubmitted | Stage::Held => {}
        }
        // The reduce before it may be about to submit it; a person's `submit` takes a moment, too.
        if newest > 1 && round(newest - 1).queue()?.has_reduce_at_work() {
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
    fn fails_in(&self, newest: Option<u32>) -> bool {
        let Some(newest) = newest else { return self.journal.state().open.is_empty() };
        let claimed: BTreeSet<_> = self.claims_of(newest).map(|row| row.iteration).collect();
        let is_loss = |row: &Row| row.event == Event::Lost && claimed.contains(&row.iteration);
        self.journal.rows().iter().any(is_loss)
            || self.files(newest).refusals().is_ok_and(|it| !it.is_empty())
    }
}

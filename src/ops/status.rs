//! How far a search is. Reads everything, appends nothing.

use super::Experiment;
use super::attempt_files::AttemptFiles;
use super::chain::end_of_chain;
use super::hosts;
use super::records;
use super::round::Round;
use super::round_stage::Stage;
use super::snapshot::Snapshot;
use super::submit::scheduler;
use crate::report::terminal::{self, Colour};
use crate::report::{ArchitectureRecord, Condition, SearchState, Summary, ranking};
use crate::storage::Knowledge;

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
    let (condition, mut notices) = condition(experiment, knowledge)?;
    notices.extend(files.check(knowledge).err().map(|missing| format!("Damaged: {missing}.")));
    let state = SearchState {
        condition,
        round: experiment.dir().list_rounds()?.last().map(|(number, _)| *number),
        epsilon: knowledge.epsilon_in_force(schedule).map(|epsilon| epsilon.value()),
        hosts: hosts::tallies(&rows, &hosts::refusals(experiment)?),
        early_stopping: records::early_stopping(experiment, &snapshot)?,
        notices,
    };
    let iterations = records::iterations(&rows);
    let settings = records::settings(experiment, knowledge, &iterations);
    Ok(Summary::new(&settings, &state, &iterations))
}

/// Returns the ranking of the best networks as text for a terminal.
///
/// # Errors
/// When the log cannot be read.
pub fn ranked(experiment: &Experiment, at_most: usize, colour: Colour) -> anyhow::Result<String> {
    let snapshot = Snapshot::read(experiment)?;
    let iterations = records::iterations(&snapshot.all_rows(experiment)?);
    let best = ranking(&ArchitectureRecord::gather(&iterations), at_most);
    let trainer = records::settings(experiment, snapshot.knowledge(), &iterations).trainer;
    Ok(terminal::ranked(&best, trainer, colour))
}

fn condition(
    experiment: &Experiment,
    knowledge: &Knowledge,
) -> anyhow::Result<(Condition, Vec<String>)> {
    // First: nothing is left to go on with, should a person have halted it before its last results came.
    if knowledge.is_finished(&experiment.config().schedule) {
        return Ok((Condition::Finished, Vec::new()));
    }
    if knowledge.is_halted() {
        let notice = "The search is halted: `metaqnn submit` goes on.".to_owned();
        return Ok((Condition::Halted, vec![notice]));
    }
    // Without a scheduler to ask (another machine, say) nothing is known of the chain.
    match broken_chain(experiment, knowledge) {
        Ok(notices) if notices.is_empty() => Ok((Condition::Active, notices)),
        Ok(notices) => Ok((Condition::ChainBroken, notices)),
        Err(error) => {
            log::info!("the scheduler cannot be asked: {error:#}");
            Ok((Condition::Active, Vec::new()))
        }
    }
}

/// Says why no round goes on by itself; nothing when one does, or when there was none yet.
fn broken_chain(experiment: &Experiment, knowledge: &Knowledge) -> anyhow::Result<Vec<String>> {
    let Some((newest, _)) = experiment.dir().list_rounds()?.pop() else { return Ok(Vec::new()) };
    let scheduler = scheduler();
    let round = Round::new(experiment, newest);
    let notice = match round.stage(&scheduler)? {
        Stage::UnderWay => return Ok(Vec::new()),
        Stage::Over => {
            let plan = round.files().plan()?;
            let why = plan.and_then(|plan| end_of_chain(knowledge, &plan));
            why.unwrap_or_else(|| "no round is queued or running".to_owned())
        }
        Stage::Unplanned | Stage::Unsubmitted | Stage::Held => {
            // The reduce before it may be about to submit it; a person's `submit` takes a moment, too.
            if newest > 1
                && Round::new(experiment, newest - 1).queue(&scheduler)?.has_reduce_at_work()
            {
                return Ok(Vec::new());
            }
            format!("round {newest} was not submitted to its end")
        }
    };
    Ok(vec![format!("Chain broken: {notice}. Run `metaqnn submit`.")])
}

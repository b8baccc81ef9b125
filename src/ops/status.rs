//! How far a search is. Reads everything, appends nothing.

use super::Experiment;
use super::live_log::Snapshot;
use super::records;
use super::round::Round;
use super::submit::{fruitless, is_live, scheduler};
use crate::report::terminal::{self, Colour};
use crate::report::{ArchitectureRecord, Condition, SearchState, Summary, ranking};
use crate::storage::Knowledge;

/// Returns the search in numbers.
///
/// # Errors
/// When the log cannot be read.
pub fn status(experiment: &Experiment) -> anyhow::Result<Summary> {
    let snapshot = Snapshot::read(experiment)?;
    let rows = snapshot.all_rows(experiment)?;
    let knowledge = snapshot.knowledge();
    let schedule = &experiment.config().schedule;
    let (condition, notices) = condition(experiment, knowledge)?;
    let state = SearchState {
        condition,
        round: experiment.dir().list_rounds()?.last().map(|(number, _)| *number),
        epsilon: knowledge.epsilon_in_force(schedule).map(|epsilon| epsilon.value()),
        notices,
    };
    let settings = records::settings(experiment, knowledge);
    Ok(Summary::new(&settings, &state, &records::iterations(&rows)))
}

/// Returns the ranking of the best networks as text for a terminal.
///
/// # Errors
/// When the log cannot be read.
pub fn ranked(experiment: &Experiment, at_most: usize, colour: Colour) -> anyhow::Result<String> {
    let snapshot = Snapshot::read(experiment)?;
    let iterations = records::iterations(&snapshot.all_rows(experiment)?);
    let best = ranking(&ArchitectureRecord::gather(&iterations), at_most);
    let trainer = records::settings(experiment, snapshot.knowledge()).trainer;
    Ok(terminal::ranked(&best, trainer, colour))
}

fn condition(
    experiment: &Experiment,
    knowledge: &Knowledge,
) -> anyhow::Result<(Condition, Vec<String>)> {
    if knowledge.is_halted() {
        let notice = "The search is halted: `metaqnn submit` goes on.".to_owned();
        return Ok((Condition::Halted, vec![notice]));
    }
    if knowledge.is_finished(&experiment.config().schedule) {
        return Ok((Condition::Finished, Vec::new()));
    }
    let Some((newest, _)) = experiment.dir().list_rounds()?.pop() else {
        return Ok((Condition::Active, Vec::new()));
    };
    let round = Round::new(experiment, newest);
    // Without a scheduler to ask (another machine, say) nothing is known of the chain.
    match is_live(&round, &scheduler()) {
        Ok(true) => Ok((Condition::Active, Vec::new())),
        Ok(false) => {
            let broken =
                "Chain broken, no round is queued or running: run `metaqnn submit`.".to_owned();
            let why = fruitless(knowledge, newest);
            Ok((Condition::ChainBroken, [why.into_iter().collect(), vec![broken]].concat()))
        }
        Err(error) => {
            log::info!("the scheduler cannot be asked: {error:#}");
            Ok((Condition::Active, Vec::new()))
        }
    }
}

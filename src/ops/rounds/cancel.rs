//! `metaqnn cancel`.

use crate::ops::Experiment;
use crate::ops::journal::Journal;
use crate::ops::rounds::chain::in_words;
use crate::ops::rounds::plan::scheduler;
use crate::ops::rounds::round::Round;
use crate::slurm::Scheduler;
use crate::storage::{Event, Knowledge};

/// The newest round may be about to be submitted while the one before it ends.
const ROUNDS: usize = 3;

/// Claims stay open until `submit` goes on. A reduce that runs is not cancelled: it takes seconds,
/// learns what was found, and sees the `halted` row before it submits the next round or right
/// after.
pub fn cancel(experiment: &Experiment) -> anyhow::Result<Vec<String>> {
    // Written first: every process that starts from now on sees it and ends. Jobs that are not in
    // the queue below are cancelled by their submitter, which reads it afterwards.
    let mut journal = Journal::open(experiment)?;
    let schedule = &experiment.config().schedule;
    let goes_on = |state: &Knowledge| !state.halted && !state.is_finished(schedule);
    let halted = if journal.switch(Event::Halted, goes_on)? {
        "halted: no new claim, no next round (`metaqnn submit` goes on)"
    } else if journal.state().is_finished(schedule) {
        "the search is finished, so there is nothing to halt"
    } else {
        "the search was halted already"
    };
    let mut said = vec![halted.to_owned()];
    let rounds = experiment.dir().list_rounds()?;
    if rounds.is_empty() {
        return Ok(said);
    }
    let scheduler = scheduler(experiment)?;
    let mut ended = Vec::new();
    for (number, _) in rounds.iter().rev().take(ROUNDS) {
        let round = Round::new(experiment, *number, &scheduler);
        // Before the queue is read: an array that is held meanwhile is cancelled by its submitter.
        if round.withdraw_unnamed()? {
            said.push(format!("round {number} is withdrawn: no job of it was named"));
        }
        let queue = round.queue()?;
        ended.extend(queue.all_but_running_reduces());
        if queue.has_running_reduce() {
            said.push(format!("the reduce of round {number} runs, and ends by itself"));
        }
    }
    scheduler.cancel(&ended)?;
    said.push(match ended.as_slice() {
        [] => "no other job was in the queue".to_owned(),
        jobs => format!("cancelled the jobs {}", in_words(jobs)),
    });
    Ok(said)
}

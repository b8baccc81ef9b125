//! A search taken back from the scheduler.

use crate::ops::Experiment;
use crate::ops::halt::{Switched, halt};
use crate::ops::rounds::round::Round;
use crate::ops::rounds::scheduler::scheduler;
use crate::slurm::{JobId, Scheduler};

/// Rounds that are looked at: the newest may be in the making while the one before it ends.
const ROUNDS: usize = 3;

/// Ends the chain: no new claim, no next round. What is in training is ended too; its claims stay open
/// until `submit` goes on.
///
/// A reduce that runs is let be: it takes seconds, learns what was found, and submits nothing, since it sees the
/// `halted` row before it submits or right after.
///
/// # Errors
/// When the log cannot be written or the scheduler refuses.
pub fn cancel(experiment: &Experiment) -> anyhow::Result<Vec<String>> {
    let mut said = Vec::new();
    // Written first: whatever starts from now on sees it and ends, and whoever submits looks at it afterwards. So
    // jobs that are not in the queue below are cancelled by their submitter.
    said.push(match halt(experiment)? {
        Switched::Written => {
            "halted: no new claim, no next round (`metaqnn submit` goes on)".to_owned()
        }
        Switched::NotNeeded => "the search was halted already".to_owned(),
        Switched::Finished => "the search is finished, so there is nothing to halt".to_owned(),
    });
    let rounds = experiment.dir().list_rounds()?;
    if rounds.is_empty() {
        return Ok(said);
    }
    let mut scheduler = scheduler(experiment)?;
    let mut ended: Vec<JobId> = Vec::new();
    for (number, _) in rounds.iter().rev().take(ROUNDS) {
        let round = Round::new(experiment, *number);
        // Before the queue is read: an array that is held meanwhile is taken back by its submitter.
        if round.withdraw_unnamed()? {
            said.push(format!("round {number} is withdrawn: no job of it was named"));
        }
        let queue = round.queue(&scheduler)?;
        ended.extend(queue.all_but_running_reduces());
        if queue.has_running_reduce() {
            said.push(format!("the reduce of round {number} runs, and ends by itself"));
        }
    }
    if ended.is_empty() {
        said.push("no other job was in the queue".to_owned());
    } else {
        scheduler.cancel(&ended)?;
        let jobs: Vec<String> = ended.iter().map(JobId::to_string).collect();
        said.push(format!("cancelled the jobs {}", jobs.join(", ")));
    }
    Ok(said)
}

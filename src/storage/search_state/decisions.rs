//! Rows decided from what is known, to be appended in one write. The caller applies them, and so
//! sees what follows from them before they are on disk.

use std::collections::BTreeSet;

use crate::q_learning::Epsilon;
use crate::space::Candidate;
use crate::storage::fs::time::Time;
use crate::storage::log::event::{
    AFTER_TIMEOUT, Attempt, CAME_TO_NOTHING, Claimant, Event, Iteration, QUARANTINED, Row,
    TIME_TOO_SHORT, plain,
};
use crate::storage::search_state::{
    Knowledge, LOSSES_TO_QUARANTINE, Open, Standing, TIMEOUTS_TO_LOSE, Violation,
};

/// How an attempt has ended, by its checkpoint folder and curve. An epoch is new when no earlier
/// attempt at the iteration has reached it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum EarlierAttempt {
    AddedEpochs,
    /// On TERM, which says nothing of it.
    LeftOnSignal,
    /// It left on the time warning without a new epoch; `lost_seconds` are in no curve.
    TimedOut {
        lost_seconds: f64,
    },
    /// Neither: perhaps the architecture kills its trainer or its node.
    CameToNothing,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Record {
    Append(Vec<Row>),
    /// It is dropped, since its architecture has a result; `due` are rows that an interrupted write
    /// left out.
    AlreadyKnown {
        of_iteration: Iteration,
        due: Vec<Row>,
    },
}

impl Knowledge {
    /// The row of a draw, while [`Self::stage_in_force`] gives a stage of this epsilon.
    pub fn draw(&self, candidate: &Candidate, epsilon: Option<Epsilon>, by: &Claimant) -> Row {
        let epsilon = epsilon.map(Epsilon::value);
        let iteration = self.next_iteration;
        let drawn = |event| Row::by(event, by).of(iteration, epsilon, candidate);
        match self.standing(candidate) {
            Standing::Free => {
                Row::claimed(Attempt { iteration, number: 1 }, epsilon, candidate, by)
            }
            Standing::Open(open) => Row { of_iteration: Some(open), ..drawn(Event::Pending) },
            Standing::Known(known) => Row {
                of_iteration: Some(known.iteration),
                reward: known.reward,
                ..drawn(Event::Reused)
            },
            Standing::Quarantined => Row { reason: Some(QUARANTINED.into()), ..drawn(Event::Lost) },
        }
    }

    /// The attempt that a task resumes when it starts: its newest claim, if that is open.
    pub fn resumable(&self, job: &str, task: &str) -> Option<Attempt> {
        let mut open = self.open.iter();
        let (&iteration, open) =
            open.find(|(_, open)| open.is_newest_of_task && open.is_of_task(job, task))?;
        let is_known = self.known.contains_key(&open.candidate);
        (!is_known).then_some(Attempt { iteration, number: open.attempt })
    }

    /// The rows by which a task takes up its [`Self::resumable`] attempt: a `claimed` row of the
    /// next one, or the rows of its loss, when it was the third loss of the architecture or the
    /// third in a row that timed out. After a halt an attempt that came to nothing is no loss.
    pub fn resume(&self, earlier: Attempt, end: EarlierAttempt, by: &Claimant) -> Vec<Row> {
        let Some(open) = self.open_at(earlier) else { return Vec::new() };
        let is_loss = end == EarlierAttempt::CameToNothing && !open.was_halted;
        if is_loss && self.losses(&open.candidate) + 1 >= LOSSES_TO_QUARANTINE {
            return self.lose(earlier, CAME_TO_NOTHING, None, by.time);
        }
        let (reason, lost_seconds) = match end {
            EarlierAttempt::TimedOut { lost_seconds } => {
                if is_last_timeout(open.timeouts) {
                    return self.lose(earlier, TIME_TOO_SHORT, Some(lost_seconds), by.time);
                }
                (Some(AFTER_TIMEOUT), Some(lost_seconds))
            }
            _ => (is_loss.then_some(CAME_TO_NOTHING), None),
        };
        let next = Attempt { number: earlier.number + 1, ..earlier };
        let claim = Row::claimed(next, open.epsilon, &open.candidate, by);
        vec![Row { reason: reason.map(Into::into), lost_seconds, ..claim }]
    }

    /// If the result counts, the rows that were due, it, and a `reused` row for every other open or
    /// pending iteration of its architecture.
    pub fn record(&self, result: &Row) -> Result<Record, Violation> {
        let time = result.time;
        let due = self.due_rows(time);
        let candidate = result.candidate();
        if let Some(known) = candidate.as_ref().and_then(|candidate| self.known.get(candidate)) {
            return Ok(Record::AlreadyKnown { of_iteration: known.iteration, due });
        }
        self.allow_result(result)?;
        let others = self.unfinished().filter(|other| {
            other.candidate() == candidate
                && other.iteration != result.iteration
                && due.iter().all(|row| row.iteration != other.iteration)
        });
        let reused = others.map(|other| reused(other, result.iteration, result.reward, time));
        let rows = [result.clone()].into_iter().chain(reused).collect();
        Ok(Record::Append([due, rows].concat()))
    }

    /// The rows that were due, the `lost` row, and one for every pending iteration of its
    /// architecture. Only those due when another process has ended or resumed the attempt.
    pub fn lose(
        &self,
        attempt: Attempt,
        reason: &str,
        lost_seconds: Option<f64>,
        time: Time,
    ) -> Vec<Row> {
        let mut rows = self.due_rows(Some(time));
        let is_due = rows.iter().any(|row| row.iteration == Some(attempt.iteration));
        let Some(open) = self.open_at(attempt).filter(|_| !is_due) else { return rows };
        let is_of_it = |one: &Row| one.candidate().as_ref() == Some(&open.candidate);
        let (claims, waiting): (Vec<_>, Vec<_>) = self
            .unfinished()
            .filter(is_of_it)
            .partition(|one| one.iteration == Some(attempt.iteration));
        rows.extend(claims.into_iter().map(|claim| Row {
            attempt: Some(attempt.number),
            lost_seconds,
            host: open.host.clone(),
            job: Some(open.job.clone()),
            task: Some(open.task.clone()),
            started_at: open.claimed_at,
            ..lost(claim, reason, Some(time))
        }));
        let reason = format!("iteration {} was lost", attempt.iteration);
        rows.extend(waiting.into_iter().map(|pending| lost(pending, &reason, Some(time))));
        rows
    }

    /// The rows that a power cut has dropped from the end of a write: an open or pending
    /// iteration of an architecture with a result is `reused`; a pending one of an architecture
    /// neither known nor open is `lost`. They are appended before a result or a loss.
    pub fn due_rows(&self, time: Option<Time>) -> Vec<Row> {
        let open: BTreeSet<_> = self.open.values().map(|open| &open.candidate).collect();
        let due = |one: Row| {
            let candidate = one.candidate()?;
            match self.known.get(&candidate) {
                Some(known) => Some(reused(one, Some(known.iteration), known.reward, time)),
                None if open.contains(&candidate) => None,
                None => Some(lost(one, "what it waited for was lost", time)),
            }
        };
        self.unfinished().filter_map(due).collect()
    }

    pub fn open_attempts(&self, is_it: impl Fn(&Open) -> bool) -> Vec<Attempt> {
        let open = self.open.iter().filter(|(_, open)| is_it(open));
        open.map(|(&iteration, open)| Attempt { iteration, number: open.attempt }).collect()
    }

    pub fn expired(&self, now: Time) -> Vec<Attempt> {
        self.open_attempts(|open| open.expires_at <= now)
    }

    fn open_at(&self, attempt: Attempt) -> Option<&Open> {
        self.open.get(&attempt.iteration).filter(|open| open.attempt == attempt.number)
    }

    fn unfinished(&self) -> impl Iterator<Item = Row> {
        let open = self.open.iter().map(|(of, one)| (of, &one.candidate, one.epsilon, one.round));
        let pending =
            self.pending.iter().map(|(of, one)| (of, &one.candidate, one.epsilon, one.round));
        open.chain(pending).map(|(&iteration, candidate, epsilon, round)| {
            Row { round, ..Row::default() }.of(iteration, epsilon, candidate)
        })
    }
}

/// Whether an attempt that times out, after `before` others in a row, ends its claim.
pub const fn is_last_timeout(before: u32) -> bool {
    before + 1 >= TIMEOUTS_TO_LOSE
}

fn reused(by: Row, of: Option<Iteration>, reward: Option<f64>, time: Option<Time>) -> Row {
    Row { event: Event::Reused, of_iteration: of, reward, time, ..by }
}

fn lost(one: Row, reason: &str, time: Option<Time>) -> Row {
    Row { event: Event::Lost, reason: plain(reason), time, ..one }
}

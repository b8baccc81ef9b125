//! Sampling under the lock: the task must see what others have claimed and finished.

use jiff::Timestamp;

use super::Experiment;
use super::attempt::{Bench, Claim};
use super::live_log::{LiveLog, Session};
use super::task::Task;
use crate::q_learning::{Epsilon, QTable, sample_trajectory};
use crate::seed::{Purpose, generator};
use crate::storage::knowledge::EarlierAttempt;
use crate::storage::{Attempt, Claimant, Event, Iteration, Row};

/// What a task got.
#[derive(Debug)]
pub(super) enum Claimed {
    /// An architecture to train; and iterations that a known architecture was drawn in before it.
    Claim(Box<Claim>, Vec<Iteration>),
    /// Nothing.
    Nothing(WhyNothing),
}

/// Why there is nothing to claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WhyNothing {
    /// The schedule is finished.
    Finished,
    /// A person has halted the search.
    Halted,
    /// Others train what is left of it.
    AllClaimed,
}

/// Draws without anything new after which an epsilon is closed.
const MOST_DRAWS: u32 = 1_000;

/// Who samples, from what.
pub(super) struct Sampler<'a> {
    /// The experiment.
    pub experiment: &'a Experiment,
    /// The task.
    pub task: &'a Task,
    /// The round it belongs to.
    pub round: Option<u32>,
    /// The Q-table of the newest view, and how many rows that digests.
    pub q_table: &'a QTable,
    /// Rows of the log behind the Q-table.
    pub view: u64,
    /// The device networks are trained on, as far as it is known.
    pub device: Option<String>,
}

impl Sampler<'_> {
    /// Takes up the task's own open claim if it has one, else samples and claims.
    pub fn claim(&self, live: &mut LiveLog) -> anyhow::Result<Claimed> {
        // The files of an earlier attempt are looked at before the lock: they are nobody else's.
        let earlier =
            live.peek(|knowledge| knowledge.resumable(&self.task.job, &self.task.task))?;
        let earlier = match earlier {
            Some(attempt) => Some((attempt, earlier_end(self.experiment, attempt)?)),
            None => None,
        };
        live.locked(|session| {
            if let Some((attempt, end)) = earlier
                && session.knowledge().resumable(&self.task.job, &self.task.task) == Some(attempt)
                && let Some(row) = self.resume(session, attempt, end)?
            {
                session.write()?;
                return self.claimed(row, Vec::new());
            }
            self.draw(session)
        })
    }

    fn resume(
        &self,
        session: &mut Session<'_>,
        attempt: Attempt,
        end: EarlierAttempt,
    ) -> anyhow::Result<Option<Row>> {
        let rows = session.knowledge().resume(attempt, end, &self.claimant());
        let claim = rows.iter().find(|row| row.event == Event::Claimed).cloned();
        session.stage_all(rows)?;
        Ok(claim)
    }

    fn draw(&self, session: &mut Session<'_>) -> anyhow::Result<Claimed> {
        let schedule = &self.experiment.config().schedule;
        let by = self.claimant();
        let mut reused = Vec::new();
        let mut draws = 0;
        let mut drawn_at = None;
        loop {
            let Some(epsilon) = session.knowledge().epsilon_in_force(schedule) else {
                let why = why_nothing(session, self.experiment);
                session.write()?;
                return Ok(Claimed::Nothing(why));
            };
            if drawn_at != Some(epsilon) {
                (drawn_at, draws) = (Some(epsilon), 0);
            }
            if draws == MOST_DRAWS {
                session.stage(Row::exhausted(epsilon, &by))?;
                continue;
            }
            draws += 1;
            let row = self.sample(session, epsilon, &by);
            session.stage(row.clone())?;
            match row.event {
                Event::Claimed => {
                    session.write()?;
                    return self.claimed(row, reused);
                }
                Event::Reused => reused.extend(row.iteration),
                _ => {}
            }
        }
    }

    /// One draw. Its generator depends on the iteration alone, so it can be repeated.
    fn sample(&self, session: &Session<'_>, epsilon: Epsilon, by: &Claimant) -> Row {
        let iteration = session.knowledge().next_iteration();
        let seed = self.experiment.config().seed();
        let mut rng = generator(seed, Purpose::Sample, iteration.0, 0);
        let architecture = sample_trajectory(self.q_table, epsilon, &mut rng).to_string();
        session.knowledge().draw(&architecture, epsilon, by)
    }

    fn claimed(&self, row: Row, reused: Vec<Iteration>) -> anyhow::Result<Claimed> {
        let expected = "a claimed row has an iteration, an attempt and an architecture";
        let attempt = Attempt {
            iteration: row.iteration.expect(expected),
            number: row.attempt.expect(expected),
        };
        let text = row.architecture.as_deref().expect(expected);
        let architecture = self.experiment.config().space.parse(text)?;
        Ok(Claimed::Claim(Box::new(Claim { row, attempt, architecture }), reused))
    }

    fn claimant(&self) -> Claimant {
        let now = Timestamp::now();
        let lifetime = self.experiment.config().recipe.recipe().claim_lifetime;
        Claimant {
            round: self.round,
            view: Some(self.view),
            device: self.device.clone(),
            host: self.task.host.clone(),
            job: self.task.job.clone(),
            task: self.task.task.clone(),
            time: now.into(),
            expires_at: self.task.claim_end(now, lifetime).into(),
        }
    }
}

fn earlier_end(experiment: &Experiment, attempt: Attempt) -> anyhow::Result<EarlierAttempt> {
    Bench::end_of(experiment, attempt)
}

fn why_nothing(session: &Session<'_>, experiment: &Experiment) -> WhyNothing {
    if session.knowledge().is_halted() {
        WhyNothing::Halted
    } else if session.knowledge().is_finished(&experiment.config().schedule) {
        WhyNothing::Finished
    } else {
        WhyNothing::AllClaimed
    }
}

//! What a task claims: it samples under the lock, where it sees what others have claimed and
//! finished, or takes up its own open claim again.

use jiff::Timestamp;

use crate::ops::journal::{Journal, Transaction};
use crate::ops::train::attempt_files::LeftResults;
use crate::ops::train::task::Task;
use crate::ops::{Experiment, Refusal, TrainEvent};
use crate::q_learning::{Epsilon, EpsilonSchedule, QTable, sample_trajectory};
use crate::seed::{Purpose, generator};
use crate::space::Architecture;
use crate::storage::search_state::EarlierAttempt;
use crate::storage::view::Learned;
use crate::storage::{
    Attempt, Claimant, Event, ExperimentDir, Iteration, Knowledge, Row, StorageError,
};

#[derive(Debug, Clone)]
pub(crate) struct Claim {
    pub row: Row,
    pub attempt: Attempt,
    pub architecture: Architecture,
    /// Attempts in a row before this one that left on the time warning without a new epoch.
    pub timeouts: u32,
}

#[derive(Debug)]
pub(crate) enum Claimed {
    /// An architecture to train; and iterations that a known architecture was drawn in before it.
    Claim(Box<Claim>, Vec<Iteration>),
    Nothing(TrainEvent),
    /// Nothing yet: the configuration was changed since it was read.
    OtherConfiguration,
}

#[derive(Debug)]
enum DrawEnd {
    Done(Claimed),
    /// Nothing was drawn: the task has an open claim, which it takes up again.
    HasOpenClaim(Attempt),
    /// An epsilon has come into force whose Q-values were not read.
    NeedsQValues,
}

/// Draws without anything new after which an epsilon is closed.
const MOST_DRAWS: u32 = 1_000;

pub(crate) struct Sampler<'a> {
    pub experiment: &'a Experiment,
    pub task: &'a Task,
    pub round: Option<u32>,
    /// Full curves of the predictor that will judge.
    pub predictor: Option<u64>,
    /// Whether the Q-table is learned on from the rows of the log, and not by a `reduce`.
    pub learns: bool,
}

/// The Q-table that draws are made with, kept from one claim to the next.
pub(crate) enum QValues {
    /// None was read, though there is one of so many rows: at epsilon 1 no draw depends on it, and
    /// reading it is most of the work.
    Unread(usize, QTable),
    /// That of the newest view, with the number of its rows.
    Published(usize, QTable),
    /// Learned on from the rows that were read.
    Learned(Box<Learned>),
}

impl QValues {
    pub fn unread(experiment: &Experiment) -> Self {
        let config = experiment.config();
        let initial = config.q_learning.initial_q_value;
        Self::Unread(0, QTable::new(config.space.clone(), initial))
    }

    fn bring_up_to_date(
        &mut self,
        journal: &Journal,
        epsilon: Option<Epsilon>,
        learns: bool,
    ) -> anyhow::Result<()> {
        let is_random = epsilon.is_none_or(|epsilon| epsilon == Epsilon::RANDOM);
        match self {
            Self::Unread(rows, _) if is_random => *rows = journal.view_rows(),
            _ if is_random => {}
            _ if learns => drop(self.learned(journal)?),
            Self::Published(rows, _) if *rows == journal.view_rows() => {}
            _ => {
                let (rows, table) = journal.published_q_table()?;
                *self = Self::Published(rows, table);
            }
        }
        Ok(())
    }

    /// Learns from the rows that were read, whatever was read before.
    pub fn learned(&mut self, journal: &Journal) -> anyhow::Result<&Learned> {
        match self {
            Self::Learned(learned) => journal.learn_on(learned)?,
            _ => *self = Self::Learned(Box::new(journal.learn()?)),
        }
        let Self::Learned(learned) = self else { unreachable!("it was learned just now") };
        Ok(learned)
    }

    const fn table(&self) -> &QTable {
        match self {
            Self::Unread(_, table) | Self::Published(_, table) => table,
            Self::Learned(learned) => learned.q_table(),
        }
    }

    const fn rows(&self) -> usize {
        match self {
            Self::Unread(rows, _) | Self::Published(rows, _) => *rows,
            Self::Learned(learned) => learned.rows,
        }
    }
}

impl Sampler<'_> {
    /// Takes up the task's own open claim if it has one, else samples and claims.
    pub fn claim(&self, journal: &mut Journal, q_values: &mut QValues) -> anyhow::Result<Claimed> {
        let schedule = &self.experiment.config().schedule;
        let mut reused = Vec::new();
        loop {
            // Before the lock, which is not held while files are read; so the epsilon is a guess.
            let epsilon = journal.state().epsilon_in_force(schedule);
            q_values.bring_up_to_date(journal, epsilon, self.learns)?;
            let draw = |transaction: &mut Transaction<'_>| {
                self.draw(transaction, q_values, epsilon, &mut reused)
            };
            match journal.transaction(draw)? {
                DrawEnd::Done(claimed) => return Ok(claimed),
                DrawEnd::HasOpenClaim(earlier) => {
                    if let Some(claimed) = self.take_up_again(journal, q_values, earlier)? {
                        return Ok(claimed);
                    }
                }
                DrawEnd::NeedsQValues => {}
            }
        }
    }

    fn open_claim(&self, knowledge: &Knowledge) -> Option<Attempt> {
        knowledge.resumable(&self.task.job, &self.task.task)
    }

    fn take_up_again(
        &self,
        journal: &mut Journal,
        q_values: &QValues,
        earlier: Attempt,
    ) -> anyhow::Result<Option<Claimed>> {
        let dir = self.experiment.dir();
        // What an attempt of this task has finished is not trained again.
        let left = LeftResults::of(dir, earlier.iteration)?;
        if !left.is_empty() {
            let settled = journal.transaction(|transaction| left.settle(transaction))?;
            if let Some(event) = settled.into_iter().next() {
                return Ok(Some(Claimed::Nothing(event)));
            }
        }
        let end = end_of(dir, earlier)?;
        journal.transaction(|transaction| {
            if self.open_claim(transaction.state()) != Some(earlier) {
                return Ok(None);
            }
            let by = self.claimant(q_values);
            let rows = transaction.state().resume(earlier, end, &by);
            // None when the earlier attempt was the third loss of the architecture.
            let claim = rows.iter().find(|row| row.event == Event::Claimed).cloned();
            transaction.push_all(rows)?;
            let known = transaction.state();
            claim.map(|row| self.claimed(row, Vec::new(), known)).transpose()
        })
    }

    fn draw(
        &self,
        transaction: &mut Transaction<'_>,
        q_values: &QValues,
        expected: Option<Epsilon>,
        reused: &mut Vec<Iteration>,
    ) -> anyhow::Result<DrawEnd> {
        if transaction.state().settings != self.experiment.settings {
            return Ok(DrawEnd::Done(Claimed::OtherConfiguration));
        }
        if let Some(earlier) = self.open_claim(transaction.state()) {
            return Ok(DrawEnd::HasOpenClaim(earlier));
        }
        let schedule = &self.experiment.config().schedule;
        let by = self.claimant(q_values);
        let mut draws = 0;
        let mut drawn_at = None;
        loop {
            let Some(epsilon) = transaction.state().epsilon_in_force(schedule) else {
                let why = why_nothing(transaction.state(), schedule);
                return Ok(DrawEnd::Done(Claimed::Nothing(why)));
            };
            // Without a scheduler there is no time limit.
            if self.task.slurm.is_some() && transaction.state().is_time_too_short() {
                anyhow::bail!(Refusal::time_too_short());
            }
            if epsilon != Epsilon::RANDOM && expected != Some(epsilon) {
                return Ok(DrawEnd::NeedsQValues);
            }
            if drawn_at != Some(epsilon) {
                (drawn_at, draws) = (Some(epsilon), 0);
            }
            if draws == MOST_DRAWS {
                transaction.push(Row::exhausted(epsilon, &by))?;
                continue;
            }
            draws += 1;
            let row = self.sample(transaction.state(), q_values.table(), epsilon, &by);
            transaction.push(row.clone())?;
            match row.event {
                Event::Claimed => {
                    let known = transaction.state();
                    return self.claimed(row, std::mem::take(reused), known).map(DrawEnd::Done);
                }
                Event::Reused => reused.extend(row.iteration),
                _ => {}
            }
        }
    }

    /// One draw. Its generator depends on the iteration alone, so it can be repeated.
    fn sample(
        &self,
        knowledge: &Knowledge,
        q_table: &QTable,
        epsilon: Epsilon,
        by: &Claimant,
    ) -> Row {
        let seed = self.experiment.config().experiment.seed;
        let mut rng = generator(seed, Purpose::Sample, knowledge.next_iteration.0, 0);
        let architecture = sample_trajectory(q_table, epsilon, &mut rng).to_string();
        knowledge.draw(&architecture, epsilon, by)
    }

    fn claimed(
        &self,
        row: Row,
        reused: Vec<Iteration>,
        known: &Knowledge,
    ) -> anyhow::Result<Claimed> {
        let expected = "a claimed row has an iteration, an attempt and an architecture";
        let attempt = row.attempt().expect(expected);
        let text = row.architecture.as_deref().expect(expected);
        let architecture = self.experiment.config().space.parse(text)?;
        let open = known.open.get(&attempt.iteration);
        let timeouts = open.map_or(0, |open| open.timeouts);
        let claim = Claim { row, attempt, architecture, timeouts };
        Ok(Claimed::Claim(Box::new(claim), reused))
    }

    fn claimant(&self, q_values: &QValues) -> Claimant {
        let now = Timestamp::now();
        let lifetime = self.experiment.config().recipe.claim_lifetime;
        Claimant {
            round: self.round,
            view: Some(q_values.rows() as u64),
            predictor: self.predictor,
            device: self.task.slurm.as_ref().and_then(|task| task.visible_devices.clone()),
            host: self.task.host.clone(),
            job: self.task.job.clone(),
            task: self.task.task.clone(),
            time: now.into(),
            expires_at: self.task.claim_end(now, lifetime).into(),
        }
    }
}

/// Returns how an attempt ended that left without a row, by its files.
///
/// It has added epochs when its curve reaches further than any before: an attempt that trains the
/// same epochs again, and ends where an earlier one ended, has not.
pub(crate) fn end_of(
    dir: &ExperimentDir,
    attempt: Attempt,
) -> Result<EarlierAttempt, StorageError> {
    let left = dir.left_on_signal(attempt);
    Ok(match left {
        Some(left) if !left.is_time_warning => EarlierAttempt::LeftOnSignal,
        _ if dir.reach(attempt) > dir.reach_before(attempt)? => EarlierAttempt::AddedEpochs,
        Some(left) => EarlierAttempt::TimedOut { lost_seconds: left.lost_seconds },
        None => EarlierAttempt::CameToNothing,
    })
}

fn why_nothing(knowledge: &Knowledge, schedule: &EpsilonSchedule) -> TrainEvent {
    if knowledge.halted {
        TrainEvent::Halted
    } else {
        TrainEvent::Nothing { finished: knowledge.is_finished(schedule) }
    }
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::ops::init;
    use crate::storage::Training;
    use crate::storage::search_state::Record;

    /// One architecture at epsilon 1, then one at 0.5.
    const CONFIGURATION: &str = "
experiment: {name: two, seed: 1}
data: {classes: 10, input_size: 16, channels: 1}
epsilon_schedule:
  - {epsilon: 1.0, architectures: 1}
  - {epsilon: 0.5, architectures: 1}
training: {trainer: synthetic}
";

    fn experiment(folder: &tempfile::TempDir) -> Experiment {
        init::tests::experiment(&folder.path().join("search"), CONFIGURATION)
    }

    fn record(journal: &mut Journal, claim: &Row) {
        let training =
            Training { learning_rate: None, ..Training::made_up(Timestamp::now().into()) };
        let row =
            Row { reward: Some(0.1), ..claim.result(Event::Failed, &training).with_curve(None) };
        let recorded = journal.transaction(|transaction| {
            let Record::Append(rows) = transaction.state().record(&row)? else { unreachable!() };
            transaction.push_all(rows)
        });
        recorded.unwrap();
    }

    #[test]
    fn no_draw_is_made_with_q_values_that_were_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let experiment = experiment(&folder);
        let task = Task::current().unwrap();
        let sampler = Sampler {
            experiment: &experiment,
            task: &task,
            round: None,
            predictor: None,
            learns: false,
        };
        let mut journal = Journal::open(&experiment).unwrap();
        let mut q_values = QValues::unread(&experiment);
        let at_random = Some(Epsilon::RANDOM);
        let draw = |journal: &mut Journal, q_values: &QValues, expected| {
            let draw = |transaction: &mut Transaction<'_>| {
                sampler.draw(transaction, q_values, expected, &mut Vec::new())
            };
            journal.transaction(draw).unwrap()
        };
        let DrawEnd::Done(Claimed::Claim(first, _)) = draw(&mut journal, &q_values, at_random)
        else {
            panic!("at 1")
        };
        record(&mut journal, &first.row);
        // Another task has ended epsilon 1 since the Q-values were left unread.
        assert!(matches!(draw(&mut journal, &q_values, at_random), DrawEnd::NeedsQValues));
        assert_eq!(journal.rows().len(), 2, "nothing was drawn");
        let claimed = sampler.claim(&mut journal, &mut q_values).unwrap();
        let Claimed::Claim(second, _) = claimed else { panic!("at 0.5") };
        assert_eq!(second.row.epsilon, Some(0.5));
    }
}

//! What a task claims: it samples under the lock, where it sees what others have claimed and
//! finished, or takes up its own open claim again.

use jiff::{SignedDuration, Timestamp};

use crate::ops::journal::{Journal, Transaction};
use crate::ops::reduce::refit::newest_predictor;
use crate::ops::train::record::LeftResults;
use crate::ops::train::{Claim, Task, TaskRun, TrainOptions};
use crate::ops::{Experiment, Refusal, TrainEvent};
use crate::q_learning::{Epsilon, QTable, sample_trajectory};
use crate::seed::{Purpose, generator};
use crate::storage::search_state::EarlierAttempt;
use crate::storage::view::Learned;
use crate::storage::view::files::skip;
use crate::storage::{
    Attempt, Claimant, Event, ExperimentDir, Iteration, Knowledge, LockTimeout, Row, StorageError,
};

#[derive(Debug)]
pub(crate) enum Claimed {
    Claim(Box<Claim>),
    Nothing(TrainEvent),
    /// Nothing yet: the configuration was changed since it was read.
    OtherConfiguration,
}

/// Draws without anything new after which an epsilon is closed.
const MOST_DRAWS: u32 = 1_000;

impl TaskRun<'_> {
    pub(super) fn claim(&mut self) -> anyhow::Result<Claimed> {
        self.journal.timeout = LockTimeout::default();
        self.journal.renew()?;
        self.predictor = newest_predictor(self.experiment, &self.journal, skip)?;
        let mut sampler = Sampler {
            experiment: self.experiment,
            task: &self.task,
            options: self.options,
            predictor: self.predictor.as_ref().map(|stored| stored.full_curves),
            q_values: &mut self.q_values,
            reused: Vec::new(),
        };
        let claimed = sampler.claim(&mut self.journal)?;
        match &claimed {
            Claimed::Nothing(why) => (self.on_event)(why.clone()),
            Claimed::OtherConfiguration => {}
            Claimed::Claim(claim) => {
                for iteration in sampler.reused {
                    (self.on_event)(TrainEvent::Reused { iteration: iteration.0 });
                }
                (self.on_event)(TrainEvent::Claimed {
                    iteration: claim.attempt.iteration.0,
                    attempt: claim.attempt.number,
                    epsilon: claim.row.epsilon.unwrap_or(1.0),
                    architecture: claim.architecture.to_string(),
                    epochs: self.experiment.config().recipe.epochs,
                });
            }
        }
        Ok(claimed)
    }
}

pub(crate) struct Sampler<'a> {
    pub experiment: &'a Experiment,
    pub task: &'a Task,
    pub options: TrainOptions,
    /// Full curves of the predictor that will judge.
    pub predictor: Option<u64>,
    pub q_values: &'a mut QValues,
    /// Iterations that drew an architecture with a result.
    pub reused: Vec<Iteration>,
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
        Self::Unread(0, QTable::new(config.space.clone(), config.q_learning.initial_q_value))
    }

    /// `learns`: from the rows of the log, and does not wait for the view of a `reduce`.
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

    const fn table(&self) -> (usize, &QTable) {
        match self {
            Self::Unread(rows, table) | Self::Published(rows, table) => (*rows, table),
            Self::Learned(learned) => (learned.rows, learned.q_table()),
        }
    }
}

impl Sampler<'_> {
    /// Takes up the task's own open claim if it has one, else samples and claims.
    pub fn claim(&mut self, journal: &mut Journal) -> anyhow::Result<Claimed> {
        let schedule = &self.experiment.config().schedule;
        loop {
            // Before the lock, which is not held while files are read; so all of this is looked at
            // again under it.
            let state = journal.state();
            if state.settings != self.experiment.settings {
                return Ok(Claimed::OtherConfiguration);
            }
            let (epsilon, earlier) = (state.epsilon_in_force(schedule), self.open_claim(state));
            self.q_values.bring_up_to_date(journal, epsilon, self.options.reduce)?;
            let claimed = match earlier {
                Some(earlier) => self.take_up_again(journal, earlier)?,
                None => journal.transaction(|transaction| self.draw(transaction, epsilon))?,
            };
            if let Some(claimed) = claimed {
                return Ok(claimed);
            }
        }
    }

    fn open_claim(&self, knowledge: &Knowledge) -> Option<Attempt> {
        knowledge.resumable(&self.task.job, &self.task.task)
    }

    /// `None` when another process was faster, or the earlier attempt was the last that its
    /// architecture gets.
    fn take_up_again(
        &self,
        journal: &mut Journal,
        earlier: Attempt,
    ) -> anyhow::Result<Option<Claimed>> {
        let dir = self.experiment.dir();
        let left = LeftResults::read(dir, Some(earlier.iteration))?;
        let end = end_of(dir, earlier);
        journal.transaction(|transaction| {
            // What an attempt of this task has finished is not trained again.
            if let Some(event) = left.settle(transaction)? {
                return Ok(Some(Claimed::Nothing(event)));
            }
            if self.open_claim(transaction.state()) != Some(earlier) {
                return Ok(None);
            }
            let rows = transaction.state().resume(earlier, end?, &self.claimant());
            let claim = rows.iter().find(|row| row.event == Event::Claimed).cloned();
            transaction.push_all(rows)?;
            claim.map(|row| self.claimed(row, transaction.state())).transpose()
        })
    }

    /// Draws until something is claimed. `None` when what was seen before the lock holds no more:
    /// the configuration, that the task has no open claim, the epsilon whose Q-values were read.
    fn draw(
        &mut self,
        transaction: &mut Transaction<'_>,
        expected: Option<Epsilon>,
    ) -> anyhow::Result<Option<Claimed>> {
        let state = transaction.state();
        if state.settings != self.experiment.settings || self.open_claim(state).is_some() {
            return Ok(None);
        }
        let (config, by) = (self.experiment.config(), self.claimant());
        let mut draws = 0;
        let mut drawn_at = None;
        loop {
            let state = transaction.state();
            let Some(epsilon) = state.epsilon_in_force(&config.schedule) else {
                return Ok(Some(Claimed::Nothing(match state.halted {
                    true => TrainEvent::Halted,
                    false => TrainEvent::Nothing { finished: state.is_finished(&config.schedule) },
                })));
            };
            // Without a scheduler there is no time limit.
            if self.task.slurm.is_some() && state.is_time_too_short() {
                anyhow::bail!(Refusal::time_too_short());
            }
            if epsilon != Epsilon::RANDOM && expected != Some(epsilon) {
                return Ok(None);
            }
            if drawn_at != Some(epsilon) {
                (drawn_at, draws) = (Some(epsilon), 0);
            }
            if draws == MOST_DRAWS {
                transaction.push(Row::exhausted(epsilon, &by))?;
                continue;
            }
            draws += 1;
            // The generator depends on the iteration alone, so that the draw can be repeated.
            let (seed, iteration) = (config.experiment.seed, state.next_iteration.0);
            let mut rng = generator(seed, Purpose::Sample, iteration, 0);
            let architecture = sample_trajectory(self.q_values.table().1, epsilon, &mut rng);
            let row = state.draw(&architecture.to_string(), epsilon, &by);
            transaction.push(row.clone())?;
            match row.event {
                Event::Claimed => return self.claimed(row, transaction.state()).map(Some),
                Event::Reused => self.reused.extend(row.iteration),
                _ => {}
            }
        }
    }

    fn claimed(&self, row: Row, state: &Knowledge) -> anyhow::Result<Claimed> {
        let expected = "a claimed row has an iteration, an attempt and an architecture";
        let attempt = row.attempt().expect(expected);
        let text = row.architecture.as_deref().expect(expected);
        let architecture = self.experiment.config().space.parse(text)?;
        let timeouts = state.open.get(&attempt.iteration).map_or(0, |open| open.timeouts);
        Ok(Claimed::Claim(Box::new(Claim { row, attempt, architecture, timeouts })))
    }

    fn claimant(&self) -> Claimant {
        let now = Timestamp::now();
        let lifetime = self.experiment.config().recipe.claim_lifetime;
        Claimant {
            round: self.options.round,
            view: Some(self.q_values.table().0 as u64),
            predictor: self.predictor,
            device: self.task.slurm.as_ref().and_then(|task| task.visible_devices.clone()),
            host: self.task.host.clone(),
            job: self.task.job.clone(),
            task: self.task.task.clone(),
            time: now.into(),
            expires_at: claim_end(now, lifetime, self.task.end_time).into(),
        }
    }
}

/// When a claim made now ends by itself: with its task, and after its lifetime at the latest.
fn claim_end(now: Timestamp, lifetime_seconds: f64, task_end: Option<Timestamp>) -> Timestamp {
    let lifetime = SignedDuration::try_from_secs_f64(lifetime_seconds);
    let latest = now.checked_add(lifetime.unwrap_or(SignedDuration::MAX));
    let latest = latest.unwrap_or(Timestamp::MAX);
    task_end.map_or(latest, |end| end.min(latest))
}

/// Returns how an attempt ended that left without a row, by its files. It has added epochs when its
/// curve reaches further than any before, not when it has trained the same epochs again.
pub(crate) fn end_of(
    dir: &ExperimentDir,
    attempt: Attempt,
) -> Result<EarlierAttempt, StorageError> {
    Ok(match dir.left_on_signal(attempt) {
        Some(left) if !left.is_time_warning => EarlierAttempt::LeftOnSignal,
        _ if dir.reach(attempt) > dir.reach_before(attempt)? => EarlierAttempt::AddedEpochs,
        Some(left) => EarlierAttempt::TimedOut { lost_seconds: left.lost_seconds },
        None => EarlierAttempt::CameToNothing,
    })
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
        let mut sampler = Sampler {
            experiment: &experiment,
            task: &task,
            options: TrainOptions::default(),
            predictor: None,
            q_values: &mut QValues::unread(&experiment),
            reused: Vec::new(),
        };
        let mut journal = Journal::open(&experiment).unwrap();
        let at_random = Some(Epsilon::RANDOM);
        let draw = |sampler: &mut Sampler<'_>, journal: &mut Journal| {
            journal.transaction(|transaction| sampler.draw(transaction, at_random)).unwrap()
        };
        let Some(Claimed::Claim(first)) = draw(&mut sampler, &mut journal) else { panic!("at 1") };
        record(&mut journal, &first.row);
        // Another task has ended epsilon 1 since the Q-values were left unread.
        assert!(draw(&mut sampler, &mut journal).is_none());
        assert_eq!(journal.rows().len(), 2, "nothing was drawn");
        let claimed = sampler.claim(&mut journal).unwrap();
        let Claimed::Claim(second) = claimed else { panic!("at 0.5") };
        assert_eq!(second.row.epsilon, Some(0.5));
    }

    #[test]
    fn a_claim_ends_with_the_task_or_its_lifetime() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let end = |task_end: Option<i64>| claim_end(at(1_000), 100.0, task_end.map(at));
        assert_eq!(end(None), at(1_100));
        assert_eq!(end(Some(1_050)), at(1_050));
        assert_eq!(end(Some(9_999)), at(1_100));
    }
}

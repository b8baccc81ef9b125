//! Sampling under the lock: the task must see what others have claimed and finished.

use jiff::Timestamp;

use crate::ops::live_log::{LiveLog, Session};
use crate::ops::train::attempt::{Claim, end_of};
use crate::ops::train::left_results::LeftResults;
use crate::ops::train::task::Task;
use crate::ops::{Experiment, Refusal, TrainEvent};
use crate::q_learning::{Epsilon, EpsilonSchedule, QTable, sample_trajectory};
use crate::seed::{Purpose, generator};
use crate::storage::{Attempt, Claimant, Event, Iteration, Knowledge, Row, View};

/// What a task got.
#[derive(Debug)]
pub(crate) enum Claimed {
    /// An architecture to train; and iterations that a known architecture was drawn in before it.
    Claim(Box<Claim>, Vec<Iteration>),
    /// Nothing, for the reason that is told.
    Nothing(TrainEvent),
    /// Nothing yet: the configuration was changed since it was read.
    OtherConfiguration,
}

/// What came of the time under the lock.
#[derive(Debug)]
enum Drawn {
    /// Something to train, or nothing to do.
    Done(Claimed),
    /// Nothing was drawn: the task has an open claim, which it takes up again.
    HasOpenClaim(Attempt),
    /// An epsilon has come into force whose Q-values were not read.
    NeedsQValues,
}

/// Draws without anything new after which an epsilon is closed.
const MOST_DRAWS: u32 = 1_000;

/// Who samples, from what.
pub(crate) struct Sampler<'a> {
    /// The experiment.
    pub experiment: &'a Experiment,
    /// The task.
    pub task: &'a Task,
    /// The round it belongs to.
    pub round: Option<u32>,
    /// The newest view.
    pub view: &'a View,
}

/// The Q-values that draws are made with.
enum QValues {
    /// Those of the view.
    Learned(QTable),
    /// None was read: at epsilon 1 nobody asks for one, and reading them is most of the work.
    Unread(QTable),
}

impl QValues {
    /// Whether draws at an epsilon may be made with these.
    fn serve(&self, epsilon: Epsilon) -> bool {
        matches!(self, Self::Learned(_)) || epsilon == Epsilon::RANDOM
    }

    const fn table(&self) -> &QTable {
        let (Self::Learned(table) | Self::Unread(table)) = self;
        table
    }
}

impl Sampler<'_> {
    /// Takes up the task's own open claim if it has one, else samples and claims.
    pub fn claim(&self, live: &mut LiveLog) -> anyhow::Result<Claimed> {
        let schedule = &self.experiment.config().schedule;
        let mut reused = Vec::new();
        loop {
            // Before the lock, which is not held while files are read; so the epsilon is a guess.
            let q_values = self.q_values(live.knowledge().epsilon_in_force(schedule))?;
            match live.locked(|session| self.draw(session, &q_values, &mut reused))? {
                Drawn::Done(claimed) => return Ok(claimed),
                Drawn::HasOpenClaim(earlier) => {
                    if let Some(claimed) = self.take_up_again(live, earlier)? {
                        return Ok(claimed);
                    }
                }
                Drawn::NeedsQValues => {}
            }
        }
    }

    fn q_values(&self, epsilon: Option<Epsilon>) -> anyhow::Result<QValues> {
        Ok(match epsilon {
            None | Some(Epsilon::RANDOM) => {
                let config = self.experiment.config();
                let initial = config.q_learning.initial_q_value;
                QValues::Unread(QTable::new(config.space.clone(), initial))
            }
            Some(_) => QValues::Learned(self.view.q_table()?),
        })
    }

    fn open_claim(&self, knowledge: &Knowledge) -> Option<Attempt> {
        knowledge.resumable(&self.task.job, &self.task.task)
    }

    fn take_up_again(
        &self,
        live: &mut LiveLog,
        earlier: Attempt,
    ) -> anyhow::Result<Option<Claimed>> {
        let dir = self.experiment.dir();
        // What an attempt of this task has finished is not trained again.
        let left = LeftResults::of(dir, earlier.iteration)?;
        if !left.is_empty() {
            let settled = live.locked(|session| left.settle(session))?;
            if let Some(event) = settled.into_iter().next() {
                return Ok(Some(Claimed::Nothing(event)));
            }
        }
        let end = end_of(dir, earlier)?;
        live.locked(|session| {
            if self.open_claim(session.knowledge()) != Some(earlier) {
                return Ok(None);
            }
            let rows = session.knowledge().resume(earlier, end, &self.claimant());
            // None when the earlier attempt was the third loss of the architecture.
            let claim = rows.iter().find(|row| row.event == Event::Claimed).cloned();
            session.stage_all(rows)?;
            session.write()?;
            let known = session.knowledge();
            claim.map(|row| self.claimed(row, Vec::new(), known)).transpose()
        })
    }

    /// Draws until there is something to train.
    fn draw(
        &self,
        session: &mut Session<'_>,
        q_values: &QValues,
        reused: &mut Vec<Iteration>,
    ) -> anyhow::Result<Drawn> {
        if session.knowledge().state().settings != self.experiment.settings() {
            return Ok(Drawn::Done(Claimed::OtherConfiguration));
        }
        if let Some(earlier) = self.open_claim(session.knowledge()) {
            return Ok(Drawn::HasOpenClaim(earlier));
        }
        let schedule = &self.experiment.config().schedule;
        let by = self.claimant();
        let mut draws = 0;
        let mut drawn_at = None;
        loop {
            let Some(epsilon) = session.knowledge().epsilon_in_force(schedule) else {
                let why = why_nothing(session.knowledge(), schedule);
                session.write()?;
                return Ok(Drawn::Done(Claimed::Nothing(why)));
            };
            // Without a scheduler there is no time limit.
            if self.task.slurm.is_some() && session.knowledge().is_time_too_short() {
                anyhow::bail!(Refusal::TimeTooShort);
            }
            if !q_values.serve(epsilon) {
                session.write()?;
                return Ok(Drawn::NeedsQValues);
            }
            if drawn_at != Some(epsilon) {
                (drawn_at, draws) = (Some(epsilon), 0);
            }
            if draws == MOST_DRAWS {
                session.stage(Row::exhausted(epsilon, &by))?;
                continue;
            }
            draws += 1;
            let row = self.sample(session.knowledge(), q_values.table(), epsilon, &by);
            session.stage(row.clone())?;
            match row.event {
                Event::Claimed => {
                    session.write()?;
                    let known = session.knowledge();
                    return self.claimed(row, std::mem::take(reused), known).map(Drawn::Done);
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
        let mut rng = generator(seed, Purpose::Sample, knowledge.next_iteration().0, 0);
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
        let open = known.state().open.get(&attempt.iteration);
        let timeouts = open.map_or(0, |open| open.timeouts);
        let claim = Claim { row, attempt, architecture, timeouts };
        Ok(Claimed::Claim(Box::new(claim), reused))
    }

    fn claimant(&self) -> Claimant {
        let now = Timestamp::now();
        let lifetime = self.experiment.config().recipe.claim_lifetime;
        Claimant {
            round: self.round,
            view: Some(self.view.rows()),
            predictor: self.view.predictor_curves().map(|curves| curves as u64),
            device: self.task.slurm.as_ref().and_then(|task| task.visible_devices.clone()),
            host: self.task.host.clone(),
            job: self.task.job.clone(),
            task: self.task.task.clone(),
            time: now.into(),
            expires_at: self.task.claim_end(now, lifetime).into(),
        }
    }
}

fn why_nothing(knowledge: &Knowledge, schedule: &EpsilonSchedule) -> TrainEvent {
    if knowledge.is_halted() {
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

    fn record(live: &mut LiveLog, claim: &Row) {
        let training =
            Training { learning_rate: None, ..Training::made_up(Timestamp::now().into()) };
        let row =
            Row { reward: Some(0.1), ..claim.result(Event::Failed, &training).with_curve(None) };
        let recorded = live.locked(|session| {
            let Record::Append(rows) = session.knowledge().record(&row)? else { unreachable!() };
            session.stage_all(rows)?;
            session.write()
        });
        recorded.unwrap();
    }

    #[test]
    fn no_draw_is_made_with_q_values_that_were_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let experiment = experiment(&folder);
        let view = View::empty(experiment.view_params());
        let task = Task::current().unwrap();
        let sampler = Sampler { experiment: &experiment, task: &task, round: None, view: &view };
        let mut live = LiveLog::after(&experiment, &view).unwrap();
        let unread = || sampler.q_values(Some(Epsilon::RANDOM)).unwrap();
        let draw = |live: &mut LiveLog, q_values: &QValues| {
            live.locked(|session| sampler.draw(session, q_values, &mut Vec::new())).unwrap()
        };
        let Drawn::Done(Claimed::Claim(first, _)) = draw(&mut live, &unread()) else {
            panic!("at 1")
        };
        record(&mut live, &first.row);
        // Another task has ended epsilon 1 since the Q-values were left unread.
        assert!(matches!(draw(&mut live, &unread()), Drawn::NeedsQValues));
        assert_eq!(live.rows(), 2, "nothing was drawn");
        let Claimed::Claim(second, _) = sampler.claim(&mut live).unwrap() else { panic!("at 0.5") };
        assert_eq!(second.row.epsilon, Some(0.5));
    }
}

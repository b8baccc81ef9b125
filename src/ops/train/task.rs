//! One task: who it is, and its loop. It samples under the lock, where it sees what others have
//! claimed and finished, trains without it, and records under it.

use std::num::NonZeroUsize;
use std::process;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use jiff::{SignedDuration, Timestamp};
use rand_chacha::ChaCha8Rng;
use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1};

use crate::ops::journal::{Journal, Transaction};
use crate::ops::reduce::refit::newest_predictor;
use crate::ops::rounds::round::check_exists;
use crate::ops::train::attempt::rehearsal;
use crate::ops::train::learn::QValues;
use crate::ops::train::{Claim, LOCAL, TaskRun, host, process_name};
use crate::ops::{Experiment, Refusal, TrainEvent};
use crate::q_learning::{Epsilon, EpsilonStage};
use crate::seed::{Purpose, generator};
use crate::slurm::{Slurm, SlurmTask, Variables};
use crate::storage::search_state::Standing;
use crate::storage::view::files::skip;
use crate::storage::{
    Attempt, Claimant, Event, Iteration, Knowledge, LockTimeout, RoundDir, Row, TaskRefusal,
};
use crate::strategy::{MOST_DRAWS, SearchHistory, Strategy};
use crate::training::protocol::THE_CPU;
use crate::training::{Interrupt, Introduction, Signal, TrainingError, start_trainer};

/// A trainer that has not worked yet loses so many trainings of a list: a third loss of a network
/// would quarantine it.
pub(crate) const LOSSES_TO_STOP: u32 = 2;

#[derive(Debug, Clone, Copy, Default, clap::Args)]
pub struct TrainOptions {
    /// Go on claiming until the schedule has nothing more to claim
    #[arg(long)]
    pub until_done: bool,
    /// Learn after every result, as the paper does and as `run` asks of its workers
    #[arg(long)]
    pub reduce: bool,
    /// The round that the task belongs to (what the rendered script says)
    #[arg(long, value_name = "N")]
    pub round: Option<u32>,
    /// How many workers share this machine's cores
    #[arg(long, default_value_t = 1, value_name = "N",
        value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub share: u32,
}

pub fn train(
    experiment: &Experiment,
    options: TrainOptions,
    on_event: &mut dyn FnMut(TrainEvent),
) -> anyhow::Result<()> {
    if let Some(round) = options.round {
        check_exists(experiment, round)?;
    }
    // Before any claim: a folder of another user, other images or a missing trainer must not cost
    // an architecture an attempt.
    let dir = experiment.dir();
    dir.check_access()?;
    let interrupt = listen_for_signals()?;
    let mut run = TaskRun::start(experiment, options, Task::current()?, interrupt, on_event)?;
    if run.interrupt.signal() == Some(Signal::TimeNearlyUp) {
        return Err(Refusal::Environment(
            "the time warning came before the trainer was ready, so nothing was claimed \
             (is `slurm.time` too short for the data to be loaded, or \
             `slurm.signal_seconds` too long?)"
                .to_owned(),
        )
        .into());
    }
    let per_task = experiment.config().slurm.architectures_per_task.get();
    let most = if options.until_done { u32::MAX } else { per_task };
    let (mut longest, mut has_result, mut losses) = (Duration::ZERO, false, 0);
    for _ in 0..most {
        if !run.time_is_left_for(longest) {
            break;
        }
        let began = Instant::now();
        match run.claim()? {
            Claimed::Claim(claim) => {
                if let Some(trained) = run.train(&claim)? {
                    run.finish(trained)?;
                }
                let standing = claim.row.candidate().map(|it| run.journal.state().standing(&it));
                has_result |= matches!(standing, Some(Standing::Known(_)));
                losses += 1;
                let is_given = experiment.config().strategy.kind.is_given();
                if is_given && !has_result && losses == LOSSES_TO_STOP {
                    bail!(Refusal::Environment(format!(
                        "the first {losses} trainings came to nothing: `metaqnn status` says why \
                         (mend the trainer, then the same command goes on)"
                    )));
                }
            }
            Claimed::Nothing(why) => {
                (run.on_event)(why);
                break;
            }
            Claimed::OtherConfiguration => {
                let settings = run.journal.state().settings.clone();
                drop(run);
                return train(&experiment.changed_by(settings)?, options, on_event);
            }
        }
        longest = longest.max(began.elapsed());
    }
    if options.reduce { run.publish() } else { Ok(()) }
}

fn listen_for_signals() -> anyhow::Result<Interrupt> {
    let interrupt = Interrupt::default();
    for (number, signal) in [
        (SIGUSR1, Signal::TimeNearlyUp),
        (SIGTERM, Signal::Terminate),
        // Ctrl-C in a terminal is a person's way to say the same.
        (SIGINT, Signal::Terminate),
    ] {
        signal_hook::flag::register(number, interrupt.flag(signal))
            .context("failed to listen for signals")?;
    }
    Ok(interrupt)
}

/// An element of a scheduler's array, or a local process.
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    /// The array job, or `local`.
    pub job: String,
    /// The element of the array, or the local process.
    pub task: String,
    pub host: String,
    /// From the variables of the scheduler, if there is one.
    pub slurm: Option<SlurmTask>,
    pub end_time: Option<Timestamp>,
    /// `cpu`, or the GPUs that it may use.
    pub device: Option<String>,
}

impl Task {
    pub fn current() -> anyhow::Result<Self> {
        let variables: Variables = std::env::vars_os().collect();
        let host = host()?;
        let Some(task) = SlurmTask::from_variables(&variables)? else {
            let name = process_name(&host, process::id())?;
            let task = name.context("failed to read `/proc/self/stat`")?;
            let job = LOCAL.into();
            return Ok(Self { job, task, host, slurm: None, end_time: None, device: None });
        };
        // Older Slurm sets no variable for it, so it is asked, once. Without an answer the claim
        // has its lifetime, which is safe and only wasteful.
        let ask = || {
            Slurm::new(&variables, None).end_time(task.id).unwrap_or_else(|error| {
                log::warn!("the end of this task is unknown: {error}");
                None
            })
        };
        Ok(Self {
            job: task.id.job.to_string(),
            task: task.id.task.map_or_else(|| "0".into(), |index| index.to_string()),
            host: task.host.clone().unwrap_or(host),
            end_time: task.end_time.or_else(ask),
            device: task.visible_devices.clone(),
            slurm: Some(task),
        })
    }

    /// Until the scheduler ends the task, if it says when.
    pub fn time_left(&self) -> Option<Duration> {
        let left = self.end_time?.duration_since(Timestamp::now());
        Some(Duration::try_from(left).unwrap_or(Duration::ZERO))
    }

    /// CPU threads of a network: as configured, as allotted, or this worker's share of the machine.
    fn threads(&self, experiment: &Experiment, share: u32) -> u32 {
        let allotted = self.slurm.as_ref().and_then(|task| task.cpus).map(|cpus| cpus.get());
        experiment.config().recipe.threads.or(allotted).unwrap_or_else(|| {
            let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get) as u32;
            (cores / share.max(1)).max(1)
        })
    }

    /// For the count of bad hosts: nothing was claimed, so the log has no row of it.
    fn note_refusal(&self, experiment: &Experiment, options: TrainOptions, error: &anyhow::Error) {
        let is_refusal = error.downcast_ref().is_some_and(TrainingError::is_refusal);
        let Some(round) = options.round.filter(|_| is_refusal) else { return };
        let Self { host, job, task, .. } = self.clone();
        let (reason, time) = (format!("{error:#}"), Timestamp::now().into());
        let refusal = TaskRefusal { host, job, task, reason, time };
        // The refusal itself is printed in any case.
        if let Err(error) = RoundDir::of(experiment.dir(), round).note_refusal(&refusal) {
            log::info!("the refusal is not kept: {error}");
        }
    }
}

#[derive(Debug)]
pub(crate) enum Claimed {
    Claim(Box<Claim>),
    Nothing(TrainEvent),
    /// Nothing yet: the configuration was changed since it was read.
    OtherConfiguration,
}

impl<'a> TaskRun<'a> {
    /// Opens the log, and has the trainer ready. A file of an attempt without a row is refused.
    pub fn start(
        experiment: &'a Experiment,
        options: TrainOptions,
        mut task: Task,
        interrupt: Interrupt,
        on_event: &'a mut dyn FnMut(TrainEvent),
    ) -> anyhow::Result<Self> {
        let journal = Journal::open_checked(experiment)?;
        experiment.dir().make_scratch(experiment.trust)?;
        experiment.check_data()?;
        let rehearsal = rehearsal(experiment, task.threads(experiment, options.share))?;
        let recording = experiment.config().recording.as_ref();
        let started = start_trainer(&rehearsal, recording, interrupt.clone());
        let (trainer, introduction) = started
            .map_err(anyhow::Error::from)
            .inspect_err(|error| task.note_refusal(experiment, options, error))?;
        let Introduction { device, libtorch } = introduction;
        if device.as_ref().is_some_and(|device| device.starts_with(THE_CPU)) {
            task.device = Some("cpu".to_owned());
        }
        let device = device.or_else(|| task.device.clone());
        let (version, host) = (env!("METAQNN_VERSION").to_owned(), task.host.clone());
        on_event(TrainEvent::Started { version, host, device, libtorch });
        let strategy = journal.strategy(experiment)?;
        let (q_values, predictor) = (QValues::unread(experiment), None);
        Ok(Self {
            experiment,
            options,
            on_event,
            task,
            rehearsal,
            trainer,
            interrupt,
            journal,
            q_values,
            strategy,
            predictor,
        })
    }

    /// For one more network as long as the longest so far; the first one is tried unless a signal
    /// has come.
    fn time_is_left_for(&self, longest: Duration) -> bool {
        let needed = longest + self.experiment.config().slurm.signal();
        let is_first = longest.is_zero();
        self.interrupt.signal().is_none()
            && (is_first || self.task.time_left().is_none_or(|left| left > needed))
    }

    pub fn claim(&mut self) -> anyhow::Result<Claimed> {
        self.journal.timeout = LockTimeout::default();
        self.journal.renew()?;
        self.predictor = newest_predictor(self.experiment, &self.journal, skip)?;
        let mut sampler = Sampler {
            experiment: self.experiment,
            task: &self.task,
            options: self.options,
            predictor: self.predictor.as_ref().map(|stored| stored.full_curves),
            q_values: &mut self.q_values,
            strategy: &mut *self.strategy,
            reused: Vec::new(),
        };
        let claimed = sampler.claim(&mut self.journal)?;
        if let Claimed::Claim(claim) = &claimed {
            for iteration in sampler.reused {
                (self.on_event)(TrainEvent::Reused { iteration: iteration.0 });
            }
            let (state, schedule) =
                (self.journal.state(), &self.experiment.config().strategy.schedule);
            let counts = state.stage_counts(schedule).into_iter().enumerate();
            let wanted: u64 = counts.map(|(stage, it)| schedule.still_wanted(stage, it)).sum();
            (self.on_event)(TrainEvent::Claimed {
                iteration: claim.attempt.iteration.0,
                of: state.next_iteration.0 - 1 + wanted,
                attempt: claim.attempt.number,
                epsilon: claim.row.epsilon,
                repeat: claim.row.repeat.unwrap_or(1),
                architecture: claim.architecture.to_string(),
                epochs: self.rehearsal.recipe.epochs,
            });
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
    pub strategy: &'a mut dyn Strategy,
    /// Iterations that drew an architecture with a result.
    pub reused: Vec<Iteration>,
}

impl Sampler<'_> {
    /// Takes up the task's own open claim if it has one, else samples and claims.
    pub fn claim(&mut self, journal: &mut Journal) -> anyhow::Result<Claimed> {
        let schedule = &self.experiment.config().strategy.schedule;
        loop {
            // Before the lock, which is not held while files are read; so all of this is looked at
            // again under it.
            let state = journal.state();
            if state.settings != self.experiment.settings {
                return Ok(Claimed::OtherConfiguration);
            }
            let stage = state.stage_in_force(schedule);
            let (epsilon, earlier) =
                (stage.and_then(|stage| stage.epsilon), self.open_claim(state));
            match epsilon {
                None | Some(Epsilon::RANDOM) => self.q_values.view_rows = journal.view_rows(),
                Some(_) => self.q_values.bring_up_to_date(journal, self.options.reduce)?,
            }
            let claimed = match earlier {
                Some(earlier) => self.take_up_again(journal, earlier)?,
                None => {
                    let (mut rng, q_table) = (self.generator(state), self.q_values.table());
                    let (rows, replays) = (journal.rows(), journal.replays());
                    let history = SearchHistory { rows, replays, state, epsilon, q_table };
                    if stage.is_some() {
                        self.strategy.prepare(&history, &mut rng);
                    }
                    journal.transaction(|transaction| self.draw(transaction, epsilon))?
                }
            };
            if let Some(claimed) = claimed {
                return Ok(claimed);
            }
        }
    }

    /// The generator depends on the iteration alone, so that the draw can be repeated.
    fn generator(&self, state: &Knowledge) -> ChaCha8Rng {
        let seed = self.experiment.config().experiment.seed;
        generator(seed, Purpose::Sample, state.next_iteration.0, 0)
    }

    pub(super) fn open_claim(&self, knowledge: &Knowledge) -> Option<Attempt> {
        knowledge.resumable(&self.task.job, &self.task.task)
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
            let schedule = &config.strategy.schedule;
            let Some(EpsilonStage { epsilon, .. }) = state.stage_in_force(schedule) else {
                return Ok(Some(Claimed::Nothing(match state.halted {
                    true => TrainEvent::Halted,
                    false => TrainEvent::Nothing { finished: state.is_finished(schedule) },
                })));
            };
            // Without a scheduler there is no time limit.
            if self.task.slurm.is_some() && state.is_time_too_short() {
                bail!(Refusal::time_too_short());
            }
            if epsilon.is_some_and(|it| it != Epsilon::RANDOM) && expected != epsilon {
                return Ok(None);
            }
            if drawn_at != epsilon {
                (drawn_at, draws) = (epsilon, 0);
            }
            if draws == MOST_DRAWS {
                transaction.push(Row::exhausted(epsilon, &by))?;
                continue;
            }
            draws += 1;
            let (mut rng, q_table) = (self.generator(state), self.q_values.table());
            let (rows, replays) = (transaction.rows(), transaction.replays());
            let history = SearchHistory { rows, replays, state, epsilon, q_table };
            let Some((candidate, why)) = self.strategy.next(&history, &mut rng) else {
                // What others train may be lost, and then be trained again.
                if !state.open.is_empty() {
                    return Ok(Some(Claimed::Nothing(TrainEvent::Nothing { finished: false })));
                }
                transaction.push(Row::exhausted(epsilon, &by))?;
                continue;
            };
            let strategy = why.map(Into::into);
            let row = Row { strategy, ..state.draw(&candidate, epsilon, &by) };
            transaction.push(row.clone())?;
            match row.event {
                Event::Claimed => return self.claimed(row, transaction.state()).map(Some),
                Event::Reused => self.reused.extend(row.iteration),
                _ => {}
            }
        }
    }

    pub(super) fn claimed(&self, row: Row, state: &Knowledge) -> anyhow::Result<Claimed> {
        let expected = "a claimed row has an iteration, an attempt and an architecture";
        let attempt = row.attempt().expect(expected);
        let text = row.architecture.as_deref().expect(expected);
        let architecture = self.experiment.config().space.parse(text)?;
        let timeouts = state.open.get(&attempt.iteration).map_or(0, |open| open.timeouts);
        Ok(Claimed::Claim(Box::new(Claim { row, attempt, architecture, timeouts })))
    }

    pub(super) fn claimant(&self) -> Claimant {
        let now = Timestamp::now();
        let lifetime = self.experiment.config().recipe.claim_lifetime;
        Claimant {
            round: self.options.round,
            view: Some(self.q_values.view_rows as u64),
            predictor: self.predictor,
            device: self.task.device.clone(),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::init;
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
        let row = claim.made_up_result(Event::Failed, 0.1, Timestamp::now().into());
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
            strategy: &mut *experiment.strategy(),
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
        record(&mut journal, &second.row);
        let claimed = Sampler { strategy: &mut Unasked, ..sampler }.claim(&mut journal).unwrap();
        assert!(matches!(claimed, Claimed::Nothing(TrainEvent::Nothing { finished: true })));
    }

    /// Preparing may take long.
    struct Unasked;

    impl Strategy for Unasked {
        fn prepare(&mut self, _: &SearchHistory<'_>, _: &mut ChaCha8Rng) {
            unreachable!("no network is wanted")
        }

        fn next(
            &mut self,
            _: &SearchHistory<'_>,
            _: &mut ChaCha8Rng,
        ) -> Option<(crate::space::Candidate, Option<String>)> {
            unreachable!("no network is wanted")
        }
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

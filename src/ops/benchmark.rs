//! Whole searches in simulated time: strategies compared on a recording.
//!
//! Not a second implementation: each search is an experiment in a folder of its own, whose tasks
//! claim, train, record and learn as those of `run` do. One thread is all of its workers, in turn:
//! a training is answered at once, and its result recorded when by the recorded seconds it ends.

use std::collections::{BTreeMap, HashMap};
use std::fs::{File, Metadata};
use std::os::unix::fs::MetadataExt;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use std::{env, fs, io, mem, thread};

use anyhow::{Context, Result, bail};
use itertools::Itertools;
use rayon::ThreadPoolBuilder;
use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::process::geteuid;
use rustix::time::{ClockId, clock_gettime};
use tempfile::{NamedTempFile, TempDir};

use crate::config::ExperimentConfig;
use crate::ops::run::catch_interrupts;
use crate::ops::train::task::Claimed;
use crate::ops::train::{LOCAL, Task, TaskRun, TrainOptions, host};
use crate::ops::{Refusal, init, recording};
use crate::q_learning::EpsilonStage;
use crate::regular_file;
use crate::report::benchmark::{Comparison, Contender, SearchCost, SimulatedSearch, course};
use crate::report::tables::of_comparison;
use crate::storage::fs::publish;
use crate::storage::{Event, Row, Trust};
use crate::strategy::{StrategyKind, StrategyParams};
use crate::training::{Interrupt, KeptModels, RecordedTrainings, TrainerKind};

#[derive(Debug, Clone, clap::Args)]
pub struct BenchmarkOptions {
    /// Searches of each strategy, with the seeds from `experiment.seed` on
    #[arg(long, default_value_t = 20, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub seeds: u64,
    /// Results of each search, or with `s` recorded seconds (`7200s`): then the last epsilon goes
    /// on until they are over [default: half of the recorded networks]
    #[arg(long, value_name = "NETWORKS|SECONDS")]
    pub budget: Option<Budget>,
    /// Simulated workers of each search
    #[arg(long, default_value_t = 8, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub workers: u32,
    /// With early stopping, without, or both [default: as configured]
    #[arg(long, value_name = "HOW", value_enum)]
    pub stopping: Option<WithStopping>,
    /// The folder for tables and figure; files of their names there are replaced
    #[arg(long, default_value = "benchmark", value_name = "DIR")]
    pub output: PathBuf,
}

/// What each search may cost.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Budget {
    Networks(u64),
    Seconds(f64),
}

impl FromStr for Budget {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let budget = match text.strip_suffix('s') {
            Some(seconds) => {
                seconds.parse().ok().filter(|it| *it > 0.0 && *it < 1e12).map(Self::Seconds)
            }
            None => text.parse().ok().map(Self::Networks),
        };
        budget.ok_or("give a number of networks (`500`) or of seconds (`7200s`)")
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum WithStopping {
    Both,
    On,
    Off,
}

/// How far a benchmark is.
#[derive(Debug, Clone, Copy, Default)]
pub struct SearchesDone {
    pub done: usize,
    pub all: usize,
    /// By what the searches of each strategy have taken.
    pub seconds_left: f64,
}

/// Runs all searches, on all cores, and writes tables and figure of them, over those that are
/// there. What comes out does not depend on the number of threads, but for the times that the
/// program took.
pub fn benchmark(
    config: &ExperimentConfig,
    strategies: &[StrategyKind],
    options: BenchmarkOptions,
    on_search: impl Fn(SearchesDone) + Sync,
) -> Result<Comparison> {
    if config.training.trainer != TrainerKind::Recorded {
        bail!(Refusal::Usage(format!(
            "`training.trainer` is `{}`: a benchmark is made of recorded trainings (`recorded`, \
             and in `training.recorded` an experiment, or what `metaqnn export --recorded` wrote)",
            <&str>::from(config.training.trainer)
        )));
    }
    let stopping = match options.stopping {
        Some(WithStopping::Both) => vec![false, true],
        Some(how) => vec![how == WithStopping::On],
        None => vec![config.early_stopping.enabled],
    };
    let contenders = strategies.iter().copied().unique().cartesian_product(stopping).collect_vec();
    recording::check_finished(config)?;
    let recording = recording::checked(config_of(config, contenders[0], 1, 1))?.recording;
    if recording.iter().any(|it| !it.has_all_seconds()) {
        bail!(Refusal::Usage(
            "`training.recorded` has epochs without `seconds`, which would cost nothing: strategies \
             cannot be compared in time (leave these trainings out)"
                .to_owned()
        ));
    }
    let accuracies = recording.iter().flat_map(|it| it.accuracies(config.training.epochs));
    let accuracies: HashMap<_, _> = accuracies.map(|(name, it)| (name.clone(), it)).collect();
    let networks = accuracies.len() as u64;
    let (budget, most) = match options.budget {
        None => (networks.div_ceil(2), networks.div_ceil(2)),
        Some(Budget::Networks(count)) => (count, count),
        Some(Budget::Seconds(seconds)) => {
            let each = recording.iter().map(|it| it.mean_seconds()).sum::<f64>();
            let count = seconds * f64::from(options.workers) / each;
            ((count.round() as u64).clamp(1, networks), networks)
        }
    };
    if !(1..=networks).contains(&budget) {
        bail!(Refusal::Usage(format!(
            "`--budget {budget}`: {networks} networks are recorded (give 1 to {networks})"
        )));
    }
    let configs =
        contenders.into_iter().map(|it| config_of(config, it, budget, most)).collect_vec();
    // All are checked before anything is made.
    let checked = configs.iter().map(|config| config.clone().check_with(recording.clone()));
    let warnings =
        checked.map_ok(|it| it.warnings()).flatten_ok().collect::<Result<Vec<_>, _>>()?;
    warnings.iter().unique().for_each(|warning| log::warn!("{warning}"));
    if options.output.exists() && !options.output.is_dir() {
        bail!(Refusal::no_folder(&options.output));
    }
    let made = fs::create_dir_all(&options.output);
    made.with_context(|| format!("failed to create `{}`", options.output.display()))?;
    // Seed by seed, so that soon all contenders have been measured.
    let jobs = (0..options.seeds).cartesian_product(0..configs.len()).collect_vec();
    let (scratch, _lock) = scratch().context("failed to make a folder for the searches")?;
    let searches = Searches {
        scratch,
        threads: rayon::current_num_threads().min(jobs.len()),
        left: Mutex::new(jobs.into_iter()),
        took: Mutex::new(vec![Vec::new(); configs.len()]),
        interrupt: catch_interrupts()?,
        configs,
        recording,
        accuracies,
        options,
    };
    let mut found = thread::scope(|scope| {
        let run = || searches.run(&on_search);
        let threads = (0..searches.threads).map(|_| scope.spawn(run)).collect_vec();
        let joined = threads.into_iter().map(|it| it.join().unwrap_or_else(|it| resume_unwind(it)));
        joined.flatten_ok().collect::<Result<Vec<_>>>()
    })?;
    found.sort_by_key(|(contender, search)| (*contender, search.seed));
    let found = found.into_iter().map(|(_, search)| search).collect();
    let comparison = Comparison::of(found, &searches.accuracies.values().copied().collect_vec());
    let figure = ("benchmark.svg".to_owned(), comparison.figure());
    let tables = of_comparison(&comparison).files.into_iter().map(|file| (file.name, file.text));
    for (name, text) in tables.chain([figure]) {
        publish::replace_file(&searches.options.output.join(name), text.as_bytes())?;
    }
    Ok(comparison)
}

fn config_of(
    config: &ExperimentConfig,
    (kind, early_stopping): (StrategyKind, bool),
    budget: u64,
    most: u64,
) -> ExperimentConfig {
    let mut config = config.clone();
    let architectures = (!kind.has_epsilon()).then_some(most);
    config.strategy =
        StrategyParams { kind, architectures, list: Default::default(), ..config.strategy };
    if most > budget {
        // As of a search of so many networks: seconds may end it long before `most`.
        let StrategyParams { evolution, bayesian, .. } = &mut config.strategy;
        (*evolution, *bayesian) = (evolution.scaled(budget), bayesian.scaled(budget));
    }
    let stages = &mut config.epsilon_schedule.0;
    *stages = scaled(stages, budget);
    if let Some(last) = stages.last_mut() {
        last.architectures += most - budget;
    }
    config.early_stopping.enabled = early_stopping;
    config.training.keep_models = KeptModels(0);
    config.training.checkpoint_dir = None;
    config
}

/// The stages in the same proportions, with so many networks in all; what has none is left out.
fn scaled(stages: &[EpsilonStage], budget: u64) -> Vec<EpsilonStage> {
    let all = stages.iter().map(|stage| u128::from(stage.architectures)).sum::<u128>().max(1);
    let up_to = |sum: u128| ((sum * u128::from(budget) + all / 2) / all) as u64;
    let mut sum = 0;
    let scaled = stages.iter().map(|stage| {
        let before = up_to(sum);
        sum += u128::from(stage.architectures);
        EpsilonStage { architectures: up_to(sum) - before, ..*stage }
    });
    scaled.filter(|stage| stage.architectures > 0).collect()
}

struct Searches {
    /// One a contender.
    configs: Vec<ExperimentConfig>,
    options: BenchmarkOptions,
    recording: Option<Arc<RecordedTrainings>>,
    /// What is true of each network, by its name in the log.
    accuracies: HashMap<String, f64>,
    interrupt: Interrupt,
    threads: usize,
    /// Where the folders of the searches lie.
    scratch: TempDir,
    /// Seed, counted from that of the configuration, and contender.
    left: Mutex<std::vec::IntoIter<(u64, usize)>>,
    /// Seconds of each search that has ended, by contender.
    took: Mutex<Vec<Vec<f64>>>,
}

impl Searches {
    /// Runs one search after another, all of each on this thread.
    fn run(&self, on_search: &impl Fn(SearchesDone)) -> Result<Vec<(usize, SimulatedSearch)>> {
        let pool = ThreadPoolBuilder::new().num_threads(1).use_current_thread().build();
        let _pool = pool.context("cannot start the threads that compute (see `ulimit -u`)")?;
        let left = || self.left.lock().expect("nothing panics with it");
        let mut found = Vec::new();
        loop {
            let Some((seed, contender)) = left().next() else { return Ok(found) };
            let mut config = self.configs[contender].clone();
            config.experiment.seed = config.experiment.seed.wrapping_add(seed);
            let began = Instant::now();
            // After an error the others end with the searches that they are in.
            let search = self.search(config).inspect_err(|_| left().by_ref().for_each(drop))?;
            found.push((contender, search));
            let mut took = self.took.lock().expect("nothing panics with it");
            took[contender].push(began.elapsed().as_secs_f64());
            on_search(self.progress(&took));
        }
    }

    fn progress(&self, took: &[Vec<f64>]) -> SearchesDone {
        let mean = |of: &[f64]| of.iter().sum::<f64>() / of.len().max(1) as f64;
        let (of_all, seeds) = (took.concat(), self.options.seeds as usize);
        let left = took.iter().map(|of| {
            let each = if of.is_empty() { mean(&of_all) } else { mean(of) };
            (seeds - of.len()) as f64 * each
        });
        let seconds_left = left.sum::<f64>() / self.threads as f64;
        SearchesDone { done: of_all.len(), all: seeds * took.len(), seconds_left }
    }

    fn search(&self, config: ExperimentConfig) -> Result<SimulatedSearch> {
        let contender = Contender {
            strategy: config.strategy.kind.to_string(),
            early_stopping: config.early_stopping.enabled,
        };
        let (seed, began) = (config.experiment.seed, processor_time());
        let folder = tempfile::tempdir_in(&self.scratch);
        let folder = folder.context("failed to make a folder for a search")?;
        let config = config.check_with(self.recording.clone())?;
        let experiment = init::init(config, &folder.path().join("search"), Trust::Owner)?;
        let task = Task {
            job: LOCAL.to_owned(),
            task: String::new(),
            host: host()?,
            slurm: None,
            end_time: None,
            device: None,
        };
        let options = TrainOptions { until_done: true, reduce: true, share: 1, round: None };
        let mut ignore = |_| {};
        let mut run =
            TaskRun::start(&experiment, options, task, self.interrupt.clone(), &mut ignore)?;
        let (mut results, mut cost) = (Vec::new(), SearchCost::default());
        // By when they end, in microseconds, and by worker.
        let mut trainings = BTreeMap::new();
        let (mut now, mut free) = (0, (1..=self.options.workers).collect_vec());
        let until = match self.options.budget {
            Some(Budget::Seconds(seconds)) => (seconds * 1e6) as u64,
            _ => u64::MAX,
        };
        loop {
            for worker in mem::take(&mut free) {
                run.task.task = worker.to_string();
                let (wall, processor) = (Instant::now(), processor_time());
                let claimed = run.claim()?;
                match claimed {
                    Claimed::Claim(claim) => {
                        cost.draw_wall_seconds += wall.elapsed().as_secs_f64();
                        cost.draw_processor_seconds += (processor_time() - processor).as_secs_f64();
                        cost.draws += 1;
                        let trained = run.train(&claim)?.context("a recorded training was lost")?;
                        let seconds = trained.row.train_seconds.unwrap_or_default();
                        let ends = now + (seconds * 1e6).round() as u64;
                        trainings.insert((ends, worker), trained);
                    }
                    // It looks again when another has a result.
                    _ => free.push(worker),
                }
            }
            let next = trainings.pop_first().filter(|((ends, _), _)| *ends <= until);
            let Some(((ends, worker), trained)) = next else { break };
            if self.interrupt.signal().is_some() {
                bail!(Refusal::TryAgain("interrupted: nothing is kept of a benchmark".to_owned()));
            }
            now = ends;
            results.push((now as f64 / 1e6, self.accuracy(&trained.row)));
            run.finish(trained)?;
            free.push(worker);
        }
        cost.processor_seconds = (processor_time() - began).as_secs_f64();
        Ok(SimulatedSearch { contender, seed, course: course(results), cost })
    }

    /// `None` where it was not trained to the end.
    fn accuracy(&self, row: &Row) -> Option<f64> {
        let architecture = row.architecture.as_deref().filter(|_| row.event == Event::Trained)?;
        self.accuracies.get(architecture).copied()
    }
}

/// Of the folders in which benchmarks work, and of the file in each that is locked while its
/// process lives.
const SCRATCH: (&str, &str) = ("metaqnn-benchmark.", "lock");

/// A folder of this process, in memory where that can be, with its lock. What killed benchmarks of
/// this user have left is removed.
fn scratch() -> io::Result<(TempDir, File)> {
    let (prefix, lock) = SCRATCH;
    let make = |place: &Path| {
        remove_left(place);
        let folder = tempfile::Builder::new().prefix(prefix).tempdir_in(place)?;
        // It has its name once it is locked.
        let file = NamedTempFile::new_in(&folder)?;
        flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        let file = file.persist(folder.path().join(lock))?;
        Ok((folder, file))
    };
    make(Path::new("/dev/shm")).or_else(|_: io::Error| make(&env::temp_dir()))
}

fn remove_left(place: &Path) {
    let (prefix, lock) = SCRATCH;
    let names = regular_file::names(place).unwrap_or_default().into_iter();
    for name in names.filter(|name| name.to_string_lossy().starts_with(prefix)) {
        let folder = place.join(name);
        let is_own = |it: Metadata| it.is_dir() && it.uid() == geteuid().as_raw();
        let read = File::options().read(true).clone();
        let lock = || regular_file::open(&folder.join(lock), &read, OFlags::NOFOLLOW).ok();
        let lock = folder.symlink_metadata().is_ok_and(is_own).then(lock).flatten();
        let is_left = |file: &File| flock(file, FlockOperation::NonBlockingLockExclusive).is_ok();
        if lock.as_ref().is_some_and(is_left) && regular_file::remove_folder(&folder).is_ok() {
            log::info!("removed `{}`, which a killed benchmark has left", folder.display());
        }
    }
}

/// Of this thread.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::q_learning::{Epsilon, EpsilonScheduleParams};

    #[test]
    fn seconds_scale_every_strategy_to_the_networks_that_they_are_enough_for() {
        let text = "{experiment: {name: a}, data: {classes: 10, input_size: 28, channels: 1}}";
        let config: ExperimentConfig = serde_yaml::from_str(text).unwrap();
        let of = |kind, budget, most| config_of(&config, (kind, false), budget, most);
        let StrategyParams { evolution, architectures, .. } =
            of(StrategyKind::Evolution, 35, 3426).strategy;
        // A fifth of 35, of the 25 of 100 as many; the search may go on.
        assert_eq!((evolution.population, evolution.sample), (7, 2));
        assert_eq!(architectures, Some(3426));
        assert_eq!(of(StrategyKind::Bayesian, 35, 3426).strategy.bayesian.burn_in, 7);
        let schedule = of(StrategyKind::QLearning, 35, 3426).epsilon_schedule.0;
        assert_eq!(schedule.iter().map(|stage| stage.architectures).sum::<u64>(), 3426);
        assert_eq!(schedule[0].architectures, 19);
        // Of networks it is the configuration that is checked, which says what it scales.
        assert_eq!(of(StrategyKind::Evolution, 35, 35).strategy.evolution.population, 100);
    }

    #[test]
    fn a_schedule_keeps_its_proportions_and_its_sum_is_the_budget() {
        let paper = EpsilonScheduleParams::default().0;
        let counts =
            |budget| scaled(&paper, budget).iter().map(|stage| stage.architectures).collect_vec();
        // 2,700 in all: 1,500, 3 x 100, 6 x 150.
        assert_eq!(counts(270), [150, 10, 10, 10, 15, 15, 15, 15, 15, 15]);
        for budget in [1, 2, 7, 50, 1713, 5400] {
            assert_eq!(counts(budget).iter().sum::<u64>(), budget);
        }
        assert_eq!(scaled(&paper, 1)[0].epsilon, Some(Epsilon::RANDOM));
        assert_eq!(scaled(&paper, 1).len(), 1);
    }
}

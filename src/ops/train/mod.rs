//! One task: claim, train, record; again while more is wanted of it ([`train`]). In reading order:
//!
//! * this file: the loop; who a task is ([`Task`]); which files attempts have ([`AttemptFiles`])
//! * `claim`: a draw under the lock, or its own open claim ([`claim::Sampler`])
//! * `attempt`: one attempt at training a claim, until its end is recorded and learned from
//! * `curve`: its learning curve ([`curve::CurveInProgress`]), judged by the stopping rule after
//!   each epoch, and audits of the rule ([`curve::Verdicts`])
//! * `record`: the row of a result; a result or a loss written to the log, with retries; results
//!   left beside curves ([`record::LeftResults`])
//! * `event`: progress events ([`TrainEvent`])
//!
//! Used by `cli` (`train`); `reduce`, `rounds`, `verify` and `doctor` use parts.

pub(crate) mod attempt;
pub(crate) mod claim;
pub(crate) mod curve;
pub(crate) mod event;
pub(crate) mod record;

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use jiff::Timestamp;
use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1};

use self::attempt::rehearsal;
use self::claim::{Claimed, QValues};
use crate::ops::journal::Journal;
use crate::ops::rounds::round::check_exists;
use crate::ops::{Experiment, Refusal, TrainEvent};
use crate::regular_file::{self, SMALL};
use crate::slurm::{Slurm, SlurmTask, Variables};
use crate::space::Architecture;
use crate::storage::view::StoredPredictor;
use crate::storage::{Attempt, ExperimentDir, Knowledge, RoundDir, Row, StorageError, TaskRefusal};
use crate::training::{Interrupt, Signal, Trainer, TrainingError, trainer};

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
    let task = Task::current()?;
    let note = |error: &anyhow::Error| note_refusal(dir, options.round, &task, error);
    let trainer = trainer(&experiment.config().recipe, interrupt.clone());
    let trainer = trainer.map_err(anyhow::Error::from).inspect_err(note)?;
    let files = AttemptFiles::list(dir)?;
    let journal = Journal::open(experiment)?;
    files.check(journal.state())?;
    let mut run = TaskRun {
        experiment,
        options,
        on_event,
        task: task.clone(),
        trainer,
        interrupt,
        journal,
        q_values: QValues::unread(experiment),
        predictor: None,
    };
    dir.make_scratch(experiment.trust)?;
    experiment.check_data()?;
    let rehearsal = rehearsal(experiment, run.threads())?;
    run.trainer.prepare(&rehearsal).map_err(anyhow::Error::from).inspect_err(note)?;
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
    let mut longest = Duration::ZERO;
    for _ in 0..most {
        if !run.time_is_left_for(longest) {
            break;
        }
        let began = Instant::now();
        match run.claim()? {
            Claimed::Claim(claim) => run.work_on(&claim)?,
            Claimed::Nothing(_) => break,
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

/// Leaves a note that the trainer refuses to work on this machine, for the count of bad hosts: the
/// log has no row of it, since nothing was claimed.
fn note_refusal(dir: &ExperimentDir, round: Option<u32>, task: &Task, error: &anyhow::Error) {
    let is_refusal = error.downcast_ref().is_some_and(TrainingError::is_refusal);
    let Some(round) = round.filter(|_| is_refusal) else { return };
    let Task { host, job, task, .. } = task.clone();
    let (reason, time) = (format!("{error:#}"), Timestamp::now().into());
    let refusal = TaskRefusal { host, job, task, reason, time };
    // The refusal itself is printed in any case.
    if let Err(error) = RoundDir::of(dir, round).note_refusal(&refusal) {
        log::info!("the refusal is not kept: {error}");
    }
}

/// What a task has claimed.
#[derive(Debug, Clone)]
pub(crate) struct Claim {
    pub row: Row,
    pub attempt: Attempt,
    pub architecture: Architecture,
    /// Attempts in a row before this one that left on the time warning without a new epoch.
    pub timeouts: u32,
}

struct TaskRun<'a> {
    experiment: &'a Experiment,
    options: TrainOptions,
    on_event: &'a mut dyn FnMut(TrainEvent),
    task: Task,
    trainer: Box<dyn Trainer>,
    interrupt: Interrupt,
    journal: Journal,
    q_values: QValues,
    /// The predictor that judges the claim.
    predictor: Option<StoredPredictor>,
}

impl TaskRun<'_> {
    /// Whether one more network as long as the longest so far ends before the warning of the
    /// scheduler; the first one is always tried, unless a signal has come.
    fn time_is_left_for(&self, longest: Duration) -> bool {
        let needed = longest + self.experiment.config().slurm.signal();
        let is_first = longest.is_zero();
        self.interrupt.signal().is_none()
            && (is_first || self.task.time_left().is_none_or(|left| left > needed))
    }

    /// CPU threads of a network: as configured, as allotted, or this worker's share of the machine.
    fn threads(&self) -> u32 {
        let recipe = &self.experiment.config().recipe;
        let allotted = self.task.slurm.as_ref().and_then(|task| task.cpus).map(|cpus| cpus.get());
        let share = || {
            let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get) as u32;
            (cores / self.options.share.max(1)).max(1)
        };
        recipe.threads.or(allotted).unwrap_or_else(share)
    }
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

pub(crate) fn sleep_unless(is_over: impl Fn() -> bool, pause: Duration) {
    let end = Instant::now() + pause;
    while Instant::now() < end && !is_over() {
        thread::sleep(Duration::from_millis(100));
    }
}

/// Who a task is, as it stands in the rows of the log: an element of a scheduler's array, or a
/// local process.
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
}

/// The job of tasks without a scheduler.
pub(crate) const LOCAL: &str = "local";

impl Task {
    pub fn current() -> anyhow::Result<Self> {
        let variables: Variables = std::env::vars_os().collect();
        let slurm = SlurmTask::from_variables(&variables)?;
        let host = host()?;
        let Some(task) = slurm else {
            let process = process_name(&host, std::process::id())?;
            let task = process.context("failed to read `/proc/self/stat`")?;
            return Ok(Self { job: LOCAL.into(), task, host, slurm: None, end_time: None });
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
            slurm: Some(task),
        })
    }

    /// Returns the time until the scheduler ends the task, if it says when.
    pub fn time_left(&self) -> Option<Duration> {
        let left = self.end_time?.duration_since(Timestamp::now());
        Some(Duration::try_from(left).unwrap_or(Duration::ZERO))
    }
}

pub(crate) fn host() -> anyhow::Result<String> {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    anyhow::ensure!(!name.is_empty(), "this machine has no name");
    Ok(name)
}

/// Returns `host:boot:process:start` of a live process of this machine, as no other ever was: a
/// process number alone comes again.
fn process_name(host: &str, pid: u32) -> anyhow::Result<Option<String>> {
    let path = "/proc/sys/kernel/random/boot_id";
    let boot = kernel_text(path).with_context(|| format!("failed to read `{path}`"))?;
    // The first part of the boot's identifier is enough, and the column stays narrow.
    Ok(start_time(pid).map(|start| format!("{host}:{boot:.8}:{pid}:{start}")))
}

/// Whether a process that [`process_name`] has named is known to be gone: it was one of this
/// machine and is not there any more.
pub(crate) fn is_gone(process: &str) -> bool {
    let parts: Vec<&str> = process.rsplitn(4, ':').collect();
    let [_, pid, _, its_host] = parts[..] else { return false };
    let (Ok(pid), Ok(host)) = (pid.parse(), host()) else { return false };
    let name = process_name(&host, pid);
    its_host == host && name.is_ok_and(|found| found.as_deref() != Some(process))
}

fn kernel_text(path: &str) -> std::io::Result<String> {
    let bytes = regular_file::read(Path::new(path), SMALL)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Returns when a live process started, in clock ticks since boot.
fn start_time(pid: u32) -> Option<u64> {
    let stat = kernel_text(&format!("/proc/{pid}/stat")).ok()?;
    // The name of the program stands in parentheses and may hold anything, so fields count from the
    // last one: the state is field 3 and the start time field 22 of proc(5).
    let (_, after_name) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let is_dead = matches!(*fields.first()?, "Z" | "X");
    fields.get(19)?.parse().ok().filter(|_| !is_dead)
}

/// Files of attempts: to be listed before the log is read, so that the log holds the claim of each.
///
/// An attempt begins with a row of the log, so a file of one without any row means that rows were
/// lost: the log was put back from an older copy, or its server has lost its last seconds. It would
/// be in the way of the attempt that gets its number.
#[derive(Debug, Clone)]
pub(crate) struct AttemptFiles {
    pub curves: Vec<(Attempt, PathBuf)>,
    pub results: Vec<(Attempt, PathBuf)>,
    pub checkpoints: Vec<(Attempt, PathBuf)>,
}

impl AttemptFiles {
    pub fn list(dir: &ExperimentDir) -> Result<Self, StorageError> {
        Ok(Self {
            curves: dir.list_curves()?,
            results: dir.list_results()?,
            checkpoints: dir.list_checkpoints()?,
        })
    }

    pub fn unknown(&self, knows: impl Fn(Attempt) -> bool) -> impl Iterator<Item = &Path> {
        let all = self.curves.iter().chain(&self.results).chain(&self.checkpoints);
        all.filter(move |(attempt, _)| !knows(*attempt)).map(|(_, path)| path.as_path())
    }

    /// Refuses to go on where the log, read after they were listed, lacks the rows of one.
    pub fn check(&self, knowledge: &Knowledge) -> Result<(), Refusal> {
        let mut unknown = self.unknown(|attempt| knowledge.has_begun(attempt));
        let Some(file) = unknown.next() else { return Ok(()) };
        let others = match unknown.count() {
            0 => String::new(),
            others => format!(" (and {others} other files)"),
        };
        Err(Refusal::Damage(format!(
            "the log lacks rows: `{}`{others} is there, and no row of it (the next iteration would \
             be {}; put back the newer log if it was replaced by an older copy, else `metaqnn \
             verify --repair` sets such files aside)",
            file.display(),
            knowledge.next_iteration
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_not_gone_and_its_successor_is_another() {
        let host = host().unwrap();
        let process = process_name(&host, std::process::id()).unwrap().unwrap();
        let boot = process.rsplit(':').nth(2).unwrap();
        assert!(!is_gone(&process));
        let (other, start) = process.rsplit_once(':').unwrap();
        let earlier = format!("{other}:{}", start.parse::<u64>().unwrap() - 1);
        assert!(is_gone(&earlier), "a process of the same number that started earlier has ended");
        let elsewhere = earlier.replacen(&host, "else:where", 1);
        assert!(!is_gone(&elsewhere), "nothing is known of other machines");
        assert!(is_gone(&process.replace(boot, "00000000")), "before a reboot");
        assert!(!is_gone("17") && !is_gone(&format!("{host}:{boot}:x:1")));
    }
}

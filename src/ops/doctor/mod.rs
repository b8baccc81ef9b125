//! What this place can do for a search: file system, locks, clocks, trainer, scheduler.
//!
//! Much of it only several processes find out. Under `srun` the tasks of the step examine together; by hand, as many
//! processes as a person starts; alone, the program starts a second one of itself. They meet in a folder below the
//! directory, which the first one removes, and what each has seen it tells the first, who tells the person.
//!
//! | file | holds |
//! | --- | --- |
//! | `check.rs` | [`Check`]: one thing that was looked at |
//! | `meeting.rs` | how processes find each other and speak |
//! | `together.rs` | locks, the log, names |
//! | `clocks.rs` | clocks, and how soon files are seen |
//! | `place.rs` | mount, room, what this user may do, how long a sync takes |
//! | `machine.rs` | trainer, device, images |
//! | `scheduler.rs` | what Slurm allows |

mod check;
mod clocks;
mod machine;
mod meeting;
mod place;
mod scheduler;
mod together;

use std::collections::BTreeSet;
use std::env;
use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};

use self::meeting::{Meeting, REPORT};
use self::place::MOUNT;
use self::together::Participant;
use crate::ops::train::task::host;
use crate::ops::{Experiment, Refusal};
use crate::slurm::{LocalWorkers, SlurmStep, Variables, WorkerCommand};
use crate::storage::{StorageError, Trust};

pub use check::{Check, Verdict};
pub use meeting::Party;

/// How long is waited for what the others have seen, a trainer that loads its images included.
const REPORTS: Duration = Duration::from_secs(300);

/// Examines this place; returns everything that was looked at, to the process that tells it: the others have nothing
/// to tell.
///
/// `dir` is where experiments lie or are to lie, or one of them; without it trainer and scheduler alone are looked at.
/// `party` says who examines together, when it is not the step of a job, nor this process and one that it starts.
///
/// # Errors
/// When the directory is not there, or this process cannot learn its own identity. What does not work is no error but
/// a failed [`Check`].
pub fn doctor(
    dir: Option<&Path>,
    party: Option<Party>,
    trust: Trust,
) -> anyhow::Result<Vec<Check>> {
    let Some(dir) = dir else {
        return Ok([vec![machine::examine_torch()], scheduler::examine()].concat());
    };
    let dir = folder(dir)?;
    // Its trainer is tried.
    let experiment =
        experiment(&dir)?.map(|experiment| experiment.trusted_by(trust)).transpose()?;
    let place = place::examine(&dir);
    // What is tried together would only take its time on such a file system.
    if place.iter().any(|check| check.check == MOUNT && check.verdict == Verdict::Failure) {
        let machine =
            experiment.as_ref().map_or_else(|| vec![machine::examine_torch()], machine::examine);
        return Ok([on(&node()?, [place, machine].concat()), scheduler::examine()].concat());
    }
    let me = Participant { host: node()?, pid: std::process::id() };
    // Its companion ends with it.
    let (party, _companion) = match party.or_else(step) {
        Some(party) => (party, None),
        None => {
            let party =
                |rank| Party::Step { name: format!("{}.{}", me.host, me.pid), rank, size: 2 };
            (party(0), Some(start_companion(&dir, &party(1))?))
        }
    };
    let meeting = match Meeting::join(&dir, &party, &me) {
        Ok(meeting) => meeting,
        Err(error) => {
            let remedy = "tasks write there: see permissions and quota";
            let mut checks = place;
            checks.push(Check::failure("folder", format!("{error:#}"), remedy));
            return Ok(on(&me.host, checks));
        }
    };
    let mut checks = examine(&meeting, &me, &dir, experiment.as_ref());
    if !meeting.is_first() {
        meeting.say(REPORT, &checks)?;
        return Ok(Vec::new());
    }
    // An error said already who is missing.
    if !checks.iter().any(|check| check.check == TOGETHER) {
        meeting.say(REPORT, &checks)?;
        for report in meeting.hear_reports::<Vec<Check>>(REPORTS).into_iter().skip(1) {
            checks.extend(report.unwrap_or_else(|error| vec![broken_off(&error)]));
        }
    }
    meeting.end();
    checks.extend(scheduler::examine());
    Ok(checks)
}

const TOGETHER: &str = "processes";

fn broken_off(error: &anyhow::Error) -> Check {
    let remedy = match error.chain().find_map(|cause| cause.downcast_ref::<StorageError>()) {
        // These name their remedy.
        Some(StorageError::Locked { .. } | StorageError::LocksUnsupported { .. }) => "",
        _ => "start all of them at about the same time, on machines that see the same directory",
    };
    Check::failure(TOGETHER, format!("{error:#}"), remedy)
}

/// Looks at everything: together with the others, and what only one process of each machine need look at.
fn examine(
    meeting: &Meeting,
    me: &Participant,
    dir: &Path,
    experiment: Option<&Experiment>,
) -> Vec<Check> {
    let everybody = match meeting.everybody::<Participant>() {
        Ok(everybody) => everybody,
        Err(error) => return vec![broken_off(&error)],
    };
    let mut checks = Vec::new();
    if meeting.is_first() {
        let hosts: BTreeSet<&str> = everybody.iter().map(|one| one.host.as_str()).collect();
        let hosts: Vec<&str> = hosts.into_iter().collect();
        checks.push(presence(everybody.len(), &hosts));
    }
    match together::examine(meeting, &everybody) {
        Ok(seen) => checks.extend(seen),
        Err(error) => {
            checks.push(broken_off(&error));
            return checks;
        }
    }
    let first_here = everybody.iter().position(|one| one.host == me.host);
    if first_here == Some(meeting.rank() as usize) {
        let mut here = place::examine(dir);
        here.push(place::sync_check(&meeting.path(""), &format!("sync-{}", meeting.rank())));
        here.extend(experiment.map(place::access_check));
        here.extend(experiment.map(place::scratch_checks).unwrap_or_default());
        here.extend(experiment.map_or_else(|| vec![machine::examine_torch()], machine::examine));
        checks.extend(on(&me.host, here));
    }
    checks
}

fn presence(processes: usize, hosts: &[&str]) -> Check {
    let seen = format!("{processes} examine together, on {}", hosts.join(", "));
    if hosts.len() > 1 {
        return Check::ok("machines", seen);
    }
    let seen = format!("{seen} alone (`srun -N2 metaqnn doctor DIR` examines several)");
    Check::ok("machines", seen)
}

fn on(host: &str, checks: Vec<Check>) -> Vec<Check> {
    checks.into_iter().map(|check| check.on(host)).collect()
}

/// Returns the whole path of the directory.
fn folder(path: &Path) -> anyhow::Result<PathBuf> {
    let named = |what| format!("failed to {what} `{}`", path.display());
    let dir = match path.canonicalize() {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            bail!(Refusal::NotThere { path: path.to_owned() })
        }
        dir => dir.with_context(|| named("find"))?,
    };
    if !dir.metadata().with_context(|| named("look at"))?.is_dir() {
        bail!(Refusal::NoFolder { path: path.to_owned() });
    }
    Ok(dir)
}

/// Opens the experiment, if that is what the directory is.
fn experiment(dir: &Path) -> anyhow::Result<Option<Experiment>> {
    match Experiment::open(dir) {
        Ok(experiment) => Ok(Some(experiment)),
        Err(error)
            if matches!(error.downcast_ref(), Some(StorageError::NotAnExperiment { .. })) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Returns the name of this machine: of several nodes on one machine, the node's.
fn node() -> anyhow::Result<String> {
    match env::var("SLURMD_NODENAME") {
        Ok(name) if !name.is_empty() => Ok(name),
        _ => host(),
    }
}

/// The step of a job that this process is a task of, if it has others.
fn step() -> Option<Party> {
    let variables: Variables = env::vars_os().collect();
    let step = SlurmStep::from_variables(&variables)?;
    let SlurmStep { name, rank, tasks: size } = step;
    (size > 1).then_some(Party::Step { name, rank, size })
}

/// Starts a second process of this program, so that there are two.
fn start_companion(dir: &Path, party: &Party) -> anyhow::Result<LocalWorkers> {
    let Party::Step { name, rank, size } = party else {
        unreachable!("a companion is told its number")
    };
    let mut companion = LocalWorkers::new();
    let words =
        ["doctor", "--party", name, "--rank", &rank.to_string(), "--peers", &size.to_string()];
    let words = words.into_iter().map(OsString::from);
    companion.start(&WorkerCommand {
        program: env::current_exe().context("failed to find the running program")?,
        arguments: words.chain([OsString::from("--"), dir.as_os_str().to_owned()]).collect(),
        environment: Default::default(),
    })?;
    Ok(companion)
}

//! Whether a search can work here: file system, locks, clocks, trainer, scheduler.
//!
//! Much of it only several processes can find out. Under `srun` the tasks of the step examine
//! together; by hand, as many processes as a person starts; otherwise the program starts a second
//! one of itself. The first process collects the checks of all. Called by `cli::checks`.
//!
//! | file | holds |
//! | --- | --- |
//! | `check.rs` | [`Check`], [`Health`] |
//! | `rendezvous.rs` | [`rendezvous::Rendezvous`]: messages between processes, by files alone |
//! | `several_processes.rs` | lock exclusion, log integrity, names that are given once |
//! | `clocks.rs` | clock skew, directory caching |
//! | `place.rs` | mount options, free space, permissions, fsync latency |
//! | `machine.rs` | trainer, device, images |
//! | `slurm.rs` | limits, preemption and requeueing of the scheduler |

mod check;
mod clocks;
mod machine;
mod place;
mod rendezvous;
mod several_processes;
mod slurm;

use std::collections::BTreeSet;
use std::env;
use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use self::rendezvous::{HERE, REPORT, Rendezvous};
use crate::ops::train::host;
use crate::ops::{Experiment, Refusal};
use crate::slurm::{Variables, slurm_step};
use crate::storage::{StorageError, Trust};
use crate::training::{ChildCommand, ChildProcess};

pub use check::{Check, Health};
pub use rendezvous::Party;

/// Returns all checks in the first process, none in the others; what does not work is no error but
/// a failed [`Check`]. `party` says which processes examine together, when it is neither the step
/// of a job, nor this process and one that it starts.
pub fn doctor(
    dir: Option<&Path>,
    party: Option<Party>,
    trust: Trust,
) -> anyhow::Result<Vec<Check>> {
    let Some(dir) = dir else {
        return Ok([machine::examine(None), slurm::examine()].concat());
    };
    let dir = folder(dir)?;
    let experiment = experiment(&dir, trust)?;
    let host = node()?;
    let place = place::examine(&dir);
    // On such a file system the checks of several processes would only run into their timeouts.
    if place.iter().any(|check| check.check == "mount" && check.verdict == Health::Failure) {
        let here = [place, machine::examine(experiment.as_ref())].concat();
        return Ok([Check::on(&host, here), slurm::examine()].concat());
    }
    // The second process ends with this value.
    let (party, _second) = match party.or_else(step) {
        Some(party) => (party, None),
        None => {
            let name = format!("{host}.{}", std::process::id());
            let second = start_second(&dir, &name)?;
            (Party::Step { name, rank: 0, size: 2 }, Some(second))
        }
    };
    let all = match Rendezvous::join(&dir, &party, &host) {
        Ok(all) => all,
        Err(error) => {
            let remedy = "tasks write there: see permissions and quota";
            let here = [place, vec![Check::error("folder", error, remedy)]].concat();
            return Ok(Check::on(&host, here));
        }
    };
    let mut checks = examine(&all, &host, &dir, experiment.as_ref());
    if !all.is_first() {
        all.publish(REPORT, &checks)?;
        return Ok(Vec::new());
    }
    // Otherwise a failure says already who is missing.
    if !checks.iter().any(|check| check.check == TOGETHER) {
        all.publish(REPORT, &checks)?;
        for rank in 1..all.size {
            let report = all.wait_for(REPORT, rank);
            checks.extend(report.unwrap_or_else(|error| vec![broken_off(error)]));
        }
    }
    all.end();
    checks.extend(slurm::examine());
    Ok(checks)
}

const TOGETHER: &str = "processes";

fn broken_off(error: anyhow::Error) -> Check {
    let remedy = match error.chain().find_map(|cause| cause.downcast_ref::<StorageError>()) {
        // These name their remedy.
        Some(StorageError::Locked { .. } | StorageError::LocksUnsupported { .. }) => "",
        _ => "start all of them at about the same time, on machines that see the same directory",
    };
    Check::error(TOGETHER, error, remedy)
}

/// Examines together with the others, and once a machine what needs one process.
fn examine(
    all: &Rendezvous,
    host: &str,
    dir: &Path,
    experiment: Option<&Experiment>,
) -> Vec<Check> {
    let hosts: Vec<String> = match all.wait_for_all(HERE) {
        Ok(hosts) => hosts,
        Err(error) => return vec![broken_off(error)],
    };
    let mut checks = if all.is_first() { vec![presence(&hosts)] } else { Vec::new() };
    if let Err(error) = several_processes::examine(all, &hosts, &mut checks) {
        checks.push(broken_off(error));
        return checks;
    }
    let first_here = hosts.iter().position(|other| other == host);
    if first_here == Some(all.rank as usize) {
        let mut here = place::examine(dir);
        here.push(place::sync_check(&all.path(&format!("sync-{}", all.rank))));
        here.extend(experiment.map(place::access_check));
        here.extend(experiment.map(place::scratch_checks).unwrap_or_default());
        here.extend(machine::examine(experiment));
        checks.extend(Check::on(host, here));
    }
    checks
}

fn presence(hosts: &[String]) -> Check {
    let machines: Vec<_> = BTreeSet::from_iter(hosts.iter().cloned()).into_iter().collect();
    let alone = match machines.len() {
        1 => " alone (`srun -N2 metaqnn doctor DIR` examines several)",
        _ => "",
    };
    let machines = machines.join(", ");
    Check::ok("machines", format!("{} examine together, on {machines}{alone}", hosts.len()))
}

fn folder(path: &Path) -> anyhow::Result<PathBuf> {
    let failed = || format!("failed to find `{}`", path.display());
    let dir = match path.canonicalize() {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            bail!(Refusal::not_there(path))
        }
        dir => dir.with_context(failed)?,
    };
    if !dir.metadata().with_context(failed)?.is_dir() {
        bail!(Refusal::no_folder(path));
    }
    Ok(dir)
}

/// Opens the experiment, if the directory is one. Its trainer will be started.
fn experiment(dir: &Path, trust: Trust) -> anyhow::Result<Option<Experiment>> {
    match Experiment::open(dir) {
        Err(error)
            if matches!(error.downcast_ref(), Some(StorageError::NotAnExperiment { .. })) =>
        {
            Ok(None)
        }
        opened => opened?.trusted_by(trust).map(Some),
    }
}

/// The name of this machine: of several nodes on one machine, the node's.
fn node() -> anyhow::Result<String> {
    match env::var("SLURMD_NODENAME") {
        Ok(name) if !name.is_empty() => Ok(name),
        _ => host(),
    }
}

/// The step of a job that this process is a task of, if it has others.
fn step() -> Option<Party> {
    let variables: Variables = env::vars_os().collect();
    let (name, size, rank) = slurm_step(&variables)?;
    (size > 1).then_some(Party::Step { name, rank, size })
}

fn start_second(dir: &Path, party: &str) -> anyhow::Result<ChildProcess> {
    let words = ["doctor", "--party", party, "--rank", "1", "--peers", "2", "--"];
    let words = words.into_iter().map(OsString::from);
    let command = ChildCommand {
        program: env::current_exe().context("failed to find the running program")?,
        arguments: words.chain([dir.as_os_str().to_owned()]).collect(),
    };
    Ok(ChildProcess::worker(&command)?)
}

//! Whether a search can work here: file system, locks, clocks, trainer, scheduler.
//!
//! Much of it only several processes can find out: the tasks of a step of `srun`, or those that a
//! person starts; otherwise the program starts a second one of itself. The first process collects
//! the checks of all. Called by `cli::checks`.
//!
//! * `check.rs`: [`Check`], [`Health`]
//! * `rendezvous.rs`: [`rendezvous::Rendezvous`]: messages between processes, by files alone
//! * `several_processes.rs`: clock skew, directory caching, lock exclusion, log integrity, names
//! * `place.rs`: mount options, free space, permissions, fsync latency
//! * `machine.rs`: trainer, device, images
//! * `slurm.rs`: limits, preemption and requeueing of the scheduler

mod check;
mod machine;
mod place;
mod rendezvous;
mod several_processes;
mod slurm;

use std::env;
use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process;

use anyhow::{Context, Result, bail};

use self::rendezvous::{REPORT, Rendezvous};
use crate::ops::{Experiment, Refusal, train::host};
use crate::slurm::slurm_step;
use crate::storage::{StorageError, Trust};
use crate::training::{ChildCommand, ChildProcess};

pub use check::{Check, Health};
pub use rendezvous::{BY_HAND, Party};

/// Returns all checks in the first process, none in the others; what does not work is a failed
/// [`Check`]. Without a `party` it is the step of a job, or this process and one that it starts.
pub fn doctor(dir: Option<&Path>, party: Option<Party>, trust: Trust) -> Result<Vec<Check>> {
    let Some(dir) = dir else {
        return Ok([machine::examine(None), slurm::examine()].concat());
    };
    let dir = folder(dir)?;
    let experiment = experiment(&dir, trust)?;
    // Of several nodes on one machine, the node's name.
    let node = env::var("SLURMD_NODENAME").ok().filter(|name| !name.is_empty());
    let host = node.map_or_else(host, Ok)?;
    let mut here = place::examine(&dir);
    // On such a file system the checks of several processes would only run into their timeouts.
    if here.iter().any(|check| check.check == "mount" && check.verdict == Health::Failure) {
        here.extend(machine::examine(experiment.as_ref()));
        return Ok([Check::on(&host, here), slurm::examine()].concat());
    }
    let step = slurm_step(&env::vars_os().collect()).filter(|(_, size, _)| *size > 1);
    let step = step.map(|(name, size, rank)| Party { name, size, rank: Some(rank) });
    let (party, is_alone) = match party.or(step) {
        Some(party) => (party, false),
        None => (Party { name: format!("{host}.{}", process::id()), size: 2, rank: Some(0) }, true),
    };
    let all = match Rendezvous::join(&dir, &party, &host) {
        Ok(all) => all,
        Err(error) => {
            let remedy = "tasks write there: see permissions and quota";
            here.push(Check::error("folder", error, remedy));
            return Ok(Check::on(&host, here));
        }
    };
    // It ends with this value.
    let second = is_alone.then(|| start_second(&dir, &party.name)).transpose();
    let _second = second.inspect_err(|_| all.end())?;
    let mut checks = Vec::new();
    let together = several_processes::examine(&all, &mut checks);
    if !all.is_first() {
        checks.clear();
    }
    let mut others = 1..all.size;
    match together {
        // Once a machine.
        Ok(hosts) if hosts.iter().position(|other| *other == host) == Some(all.rank as usize) => {
            here.push(place::sync_check(&all.path(&format!("sync-{}", all.rank))));
            if let Some(experiment) = &experiment {
                here.push(place::access_check(experiment));
                here.extend(place::scratch_checks(experiment));
            }
            here.extend(machine::examine(experiment.as_ref()));
            checks.extend(Check::on(&host, here));
        }
        Ok(_) => {}
        Err(error) => {
            checks.push(broken_off(error));
            // It says already who is missing.
            others = 0..0;
        }
    }
    if !all.is_first() {
        all.publish(REPORT, &checks)?;
        return Ok(Vec::new());
    }
    for rank in others {
        let report = all.wait_for(REPORT, rank);
        checks.extend(report.unwrap_or_else(|error| vec![broken_off(error)]));
    }
    all.end();
    checks.extend(slurm::examine());
    Ok(checks)
}

fn broken_off(error: anyhow::Error) -> Check {
    let remedy = match error.chain().find_map(|cause| cause.downcast_ref::<StorageError>()) {
        // These name their remedy.
        Some(StorageError::Locked { .. } | StorageError::LocksUnsupported { .. }) => "",
        _ => "start all of them at about the same time, on machines that see the same directory",
    };
    Check::error("processes", error, remedy)
}

fn folder(path: &Path) -> Result<PathBuf> {
    match path.canonicalize().and_then(|dir| Ok((dir.metadata()?.is_dir(), dir))) {
        Ok((true, dir)) => Ok(dir),
        Ok((false, _)) => bail!(Refusal::no_folder(path)),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            bail!(Refusal::not_there(path))
        }
        Err(error) => Err(error).with_context(|| format!("failed to find `{}`", path.display())),
    }
}

/// Opens the experiment, if the directory is one. Its trainer will be started.
fn experiment(dir: &Path, trust: Trust) -> Result<Option<Experiment>> {
    match Experiment::open(dir) {
        Err(error)
            if matches!(error.downcast_ref(), Some(StorageError::NotAnExperiment { .. })) =>
        {
            Ok(None)
        }
        opened => opened?.trusted_by(trust).map(Some),
    }
}

fn start_second(dir: &Path, party: &str) -> Result<ChildProcess> {
    let words = ["doctor", "--party", party, "--peers", "2", "--"].map(OsString::from);
    let command = ChildCommand {
        program: env::current_exe().context("failed to find the running program")?,
        arguments: words.into_iter().chain([dir.into()]).collect(),
    };
    Ok(ChildProcess::worker(&command)?)
}

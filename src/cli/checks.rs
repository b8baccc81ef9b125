//! `metaqnn verify`, `doctor` and `check-trainer`: an experiment audited, its surroundings and its
//! trainer examined.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::{args::SharedDir, exit_code::ExitStatus, printer::Printer};
use crate::ops::check_trainer::check_trainer;
use crate::ops::doctor::{self, Check, Health, Party};
use crate::ops::verify;
use crate::storage::{Trust, check_locks_of_mount};

/// Audit an experiment: every file parses, the Q-table equals what the log says, nothing is lost
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    metaqnn verify DIR\n  \
    metaqnn verify DIR --repair\n  \
    metaqnn verify DIR --json            one object a finding\n\n\
    Exits 0 when there is no damage, and 3 when there is. Nothing is changed without --repair.\n\n\
    With --repair:\n  \
    - corrupt rows of the log are copied to torn/ and blanked in place\n  \
    - an unfinished last row is copied to torn/ and cut\n  \
    - views and predictors that do not fit the log are renamed aside and made again from it\n  \
    - files of attempts without a row in the log are renamed aside: their numbers come again\n  \
    - results that wait beside their curves are appended\n\
    Nothing is dropped without a copy. A repair takes the lock of the log and appends a `repaired` \
    row, after which running tasks read the log again from its start; nothing need be stopped. \
    Killed at any moment, it can be repeated. It refuses to blank more than a tenth of the log, or \
    rows of a prefix whose checksum matches a view: then another program has written the log, or \
    `experiment.yaml` was changed (put the file back from a copy).")]
pub struct VerifyArgs {
    #[command(flatten)]
    place: SharedDir,
    /// Mend what is safe to mend
    #[arg(long)]
    repair: bool,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

pub fn verify(args: VerifyArgs, printer: &Printer) -> anyhow::Result<ExitStatus> {
    let dir = &args.place.dir;
    let audit = if args.repair {
        if dir.exists() && !args.place.single_node {
            check_locks_of_mount(dir)?;
        }
        verify::repair(dir)?
    } else {
        verify::verify(dir)?
    };
    for finding in &audit.findings {
        printer.answer(args.json, finding, finding)?;
    }
    if !args.json {
        printer.result(&audit.to_string())?;
    }
    Ok(if audit.is_clean() { ExitStatus::Done } else { ExitStatus::Damaged })
}

/// Check what a search needs here: locks, file system, clocks, libtorch and GPU, Slurm
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    metaqnn doctor                          the trainer and Slurm\n  \
    metaqnn doctor DIR                      also the file system, with two local processes\n  \
    srun -N2 metaqnn doctor DIR             between machines\n  \
    metaqnn doctor DIR --peers 2            the same, started by hand on two machines\n\n\
    It checks lock exclusion across machines, log integrity, atomic names, directory caching, \
    clock skew, mount options, fsync latency, free space, permissions, trainer and device, images, \
    and Slurm's limits and preemption; each check is ok, a warning or a failure with a remedy. \
    Exits 4 after a failure.\n\n\
    Under srun the first task prints the checks of all. A folder `doctor.*` in DIR is the \
    rendezvous; it is removed at the end.\n\n\
    On NFS 4, a machine that stands still for longer than its server's lease (90 s usually) loses \
    the lock of the log: the server refuses its next write, and the task ends with an input/output \
    error. With `recover_lost_locks=1` (/sys/module/nfs/parameters/; the default is 0) the client \
    takes a lost lock again and may overwrite rows that others have appended since, so that this \
    is a failure here. The lock of a dead machine is free one lease later.")]
pub struct DoctorArgs {
    /// An experiment, whose trainer and images are tried too, or where experiments are to lie
    dir: Option<PathBuf>,
    /// Wait up to a minute for as many processes, started by hand on other machines
    #[arg(long, value_name = "N", requires = "dir")]
    #[arg(value_parser = clap::value_parser!(u32).range(2..=4096))]
    peers: Option<u32>,
    /// Which party to join (how the program starts a second one of itself)
    #[arg(long, hide = true, default_value = doctor::BY_HAND)]
    party: String,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

pub fn doctor(args: DoctorArgs, trust: Trust, printer: &Printer) -> anyhow::Result<ExitStatus> {
    let party = args.peers.map(|size| Party { name: args.party, size, rank: None });
    show(&doctor::doctor(args.dir.as_deref(), party, trust)?, args.json, printer)
}

/// Have a conversation with a trainer of your own, and say where it departs from the protocol
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    metaqnn check-trainer python3 my_trainer.py\n  \
    metaqnn check-trainer --config mine.yaml --timeout 600    its `training.command`, its data\n\n\
    It is asked to train a small network for two epochs, then to stop a long training, and to end \
    with its stdin; TERM interrupts another training, which is taken up again from its checkpoint \
    until USR1 comes. Each check is ok, a warning (it works, and costs time) or a failure, with \
    what to do. Exits 4 after a failure. JSON, one object a check: verdict, check, seen, remedy.")]
pub struct CheckTrainerArgs {
    /// Ask for a network of this configuration, with its recipe and data
    #[arg(long, value_name = "CONFIG")]
    config: Option<PathBuf>,
    /// Longest time for an epoch, a stop, an end
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    timeout: u64,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
    /// The program and its arguments; no shell reads them
    #[arg(trailing_var_arg = true, required_unless_present = "config", value_name = "COMMAND")]
    command: Vec<String>,
}

pub fn run_check_trainer(args: &CheckTrainerArgs, printer: &Printer) -> anyhow::Result<ExitStatus> {
    let patience = Duration::from_secs(args.timeout);
    show(&check_trainer(&args.command, args.config.as_deref(), patience)?, args.json, printer)
}

fn show(checks: &[Check], json: bool, printer: &Printer) -> anyhow::Result<ExitStatus> {
    for check in checks {
        printer.answer(json, check, check)?;
    }
    let fails = checks.iter().any(|check| check.verdict == Health::Failure);
    Ok(if fails { ExitStatus::Environment } else { ExitStatus::Done })
}

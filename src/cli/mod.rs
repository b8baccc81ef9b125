//! The command line: each command is an `Args` type, its help and a function that calls one
//! operation of `ops`.
//!
//! `config` has `init`, `set`, `config` and `completions`; `man` writes the help as man pages;
//! `rounds` has `submit`, `reduce` and `cancel`; `train` has `run`; `checks` has `verify`, `doctor`
//! and `check-trainer`; `exchange` has `import` and `export`. Results go to stdout, everything else
//! to stderr (`printer`, `progress`).

mod args;
mod benchmark;
mod checks;
mod compare;
mod config;
mod exchange;
mod exit_code;
mod explain;
mod finalize;
mod man;
mod predict;
mod printer;
mod progress;
mod report;
mod reproduce;
mod rounds;
mod simulate;
mod space;
mod status;
mod train;

use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::SystemTime;

use anyhow::{Context, Result};
use clap::builder::FalseyValueParser;
use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser, Subcommand};
use jiff::Timestamp;
use log::LevelFilter;
use rayon::ThreadPoolBuilder;
use signal_hook::consts::SIGXFSZ;

use crate::storage::Trust;
use exit_code::ExitStatus;
use printer::Printer;

/// Finds convolutional networks for an image-classification data set, on one machine or as Slurm
/// jobs.
#[derive(Debug, Parser)]
#[command(
    name = "metaqnn",
    version = env!("METAQNN_VERSION"),
    after_help = "Try it:\n  \
        metaqnn run configs/quickstart.yaml          a whole search on this machine\n  \
        metaqnn init configs/cluster.yaml DIR        prepare a search for a cluster\n  \
        metaqnn submit DIR                           submit it to Slurm, to the end\n  \
        metaqnn status DIR                           see how far it is\n\n\
        Exit codes: 0 done; 1 a bug; 2 usage or configuration; 3 damaged data;\n\
        4 the environment (lock, disk, GPU, scheduler); 75 try again (requeue me)."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Trust every member of the experiment's group to run programs as you: their write permission
    /// is no reason to refuse it
    #[arg(long, global = true, env = "METAQNN_TRUST_GROUP", hide_env_values = true)]
    #[arg(value_parser = FalseyValueParser::new())]
    trust_group: bool,
    /// Say less: only results and errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,
    /// Say more; twice for even more
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
}

#[derive(Debug, Subcommand)]
enum Command {
    Init(config::InitArgs),
    Run(train::RunArgs),
    Submit(rounds::SubmitArgs),
    Cancel(rounds::CancelArgs),
    Set(config::SetArgs),
    Status(status::StatusArgs),
    Train(train::TrainArgs),
    Reduce(rounds::ReduceArgs),
    Verify(checks::VerifyArgs),
    Doctor(checks::DoctorArgs),
    CheckTrainer(checks::CheckTrainerArgs),
    Finalize(finalize::FinalizeArgs),
    Report(report::ReportArgs),
    Explain(explain::ExplainArgs),
    Compare(compare::CompareArgs),
    Reproduce(reproduce::ReproduceArgs),
    Predict(predict::PredictArgs),
    Space(space::SpaceArgs),
    Simulate(Box<simulate::SimulateArgs>),
    Benchmark(benchmark::BenchmarkArgs),
    Import(exchange::ImportArgs),
    Export(exchange::ExportArgs),
    Config(config::ConfigArgs),
    Completions(config::CompletionsArgs),
    Man(man::ManArgs),
}

impl Command {
    /// `given` are its arguments as parsed, without the global ones.
    fn run(self, given: &ArgMatches, trust: Trust, printer: &Printer) -> Result<ExitStatus> {
        check_clock()?;
        keep_running_at_file_size_limit()?;
        // They may fit or read a predictor, or read many curves or pictures at once.
        use Command::{
            Benchmark, Config, Finalize, Init, Reduce, Report, Reproduce, Run, Simulate, Status,
            Train, Verify,
        };
        let fits = matches!(self, Run(_) | Status(_) | Train(_) | Reduce(_) | Verify(_));
        let fits = fits || matches!(self, Finalize(_) | Report(_) | Reproduce(_));
        if fits || matches!(self, Simulate(_) | Init(_) | Config(_) | Benchmark(_)) {
            start_threads()?;
        }
        let done = match self {
            Self::Verify(args) => return checks::verify(args, printer),
            Self::Doctor(args) => return checks::doctor(args, trust, printer),
            Self::CheckTrainer(args) => return checks::run_check_trainer(&args, printer),
            Self::Import(args) => return exchange::run_import(args, printer),
            Self::Export(args) => exchange::run_export(&args, printer),
            Self::Simulate(args) => simulate::run(&args, given, printer),
            Self::Benchmark(args) => benchmark::run(args, printer),
            Self::Init(args) => config::init(args, trust, printer),
            Self::Run(args) => train::run_search(args, trust, printer),
            Self::Submit(args) => rounds::run_submit(args, trust, printer),
            Self::Cancel(args) => rounds::run_cancel(args, printer),
            Self::Set(args) => config::set(args, printer),
            Self::Status(args) => status::run(args, printer),
            Self::Train(args) => train::run_task(args, trust, printer),
            Self::Reduce(args) => rounds::run_reduce(args, trust, printer),
            Self::Finalize(args) => finalize::run(&args, given, trust, printer),
            Self::Report(args) => report::run(args, printer),
            Self::Explain(args) => explain::run(&args, printer),
            Self::Compare(args) => compare::run(&args, printer),
            Self::Reproduce(args) => reproduce::run(&args, printer),
            Self::Predict(args) => predict::run(&args, printer),
            Self::Space(args) => space::run(args, printer),
            Self::Config(args) => config::config(args, printer),
            Self::Completions(args) => config::completions(&args, printer),
            Self::Man(args) => man::run(&args, printer),
        };
        done.map(|()| ExitStatus::Done)
    }
}

pub fn run() -> ExitCode {
    ExitCode::from(exit_status() as u8)
}

fn exit_status() -> ExitStatus {
    let parsed = Cli::command().try_get_matches();
    let parsed = parsed.and_then(|matches| Ok((Cli::from_arg_matches(&matches)?, matches)));
    let (cli, matches) = match parsed {
        Ok(parsed) => parsed,
        Err(error) => return show(&error),
    };
    let (_, given) = matches.subcommand().expect("a command is required");
    let printer = Printer::new(match cli.verbose {
        _ if cli.quiet => LevelFilter::Error,
        0 => LevelFilter::Warn,
        1 => LevelFilter::Info,
        _ => LevelFilter::Debug,
    });
    printer.start_logging();
    let trust = if cli.trust_group { Trust::Group } else { Trust::Owner };
    trust.set_umask();
    // A panic is a bug: it has its own code, and its message is printed by the default hook.
    let command = AssertUnwindSafe(|| cli.command.run(given, trust, &printer));
    panic::catch_unwind(command).unwrap_or(Ok(ExitStatus::Bug)).unwrap_or_else(|error| {
        log::error!("{error:#}");
        ExitStatus::of(&error)
    })
}

/// Help that cannot be written is a failure, unless its reader has closed the pipe.
fn show(error: &clap::Error) -> ExitStatus {
    match error.print() {
        _ if error.use_stderr() => ExitStatus::Usage,
        Err(failure) if failure.kind() != io::ErrorKind::BrokenPipe => ExitStatus::Environment,
        _ => ExitStatus::Done,
    }
}

/// A later date would make libraries panic.
fn check_clock() -> io::Result<()> {
    let beyond = "the clock of this machine is beyond the year 9999 (have it set, by NTP)";
    Timestamp::try_from(SystemTime::now()).map(drop).map_err(|_| io::Error::other(beyond))
}

/// Makes a write beyond `ulimit -f` an error. By default the signal ends the process without a
/// message, and a finished training would not be kept until there is room.
fn keep_running_at_file_size_limit() -> io::Result<()> {
    signal_hook::flag::register(SIGXFSZ, Arc::default()).map(drop)
}

fn start_threads() -> Result<()> {
    let started = ThreadPoolBuilder::new().build_global().map_err(io::Error::other);
    let remedy = "see `ulimit -u`, or set RAYON_NUM_THREADS=1";
    started.with_context(|| format!("cannot start the threads that compute ({remedy})"))
}

//! The command line: words in, words out.
//!
//! Each command is a file here that turns arguments into options and calls the operation of the
//! same name in `ops`. Results go to stdout, everything else to stderr (see `printer`); the
//! exit code follows from the type of the error (see `exit_code`).

mod args;
mod completions;
mod config;
mod doctor;
mod exit_code;
mod export;
mod import;
mod init;
mod machine;
mod printer;
mod progress;
mod reduce;
mod run;
mod set;
mod simulate;
mod space;
mod status;
mod submit;
mod train;
mod verify;

use std::io;
use std::process::ExitCode;

use clap::builder::FalseyValueParser;
use clap::{Args, Parser, Subcommand};

use crate::storage::Trust;
use printer::{Printer, Verbosity};

/// Finds convolutional networks for an image-classification data set, on one machine or as Slurm jobs.
#[derive(Debug, Parser)]
#[command(
    name = "metaqnn",
    version,
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
    #[command(flatten)]
    global: Global,
}

#[derive(Debug, Args)]
struct Global {
    /// Trust every member of the experiment's group to run programs as you: their write permission is no reason to refuse it
    #[arg(long, global = true, env = "METAQNN_TRUST_GROUP", hide_env_values = true, value_parser = FalseyValueParser::new())]
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
    Init(init::InitArgs),
    Run(run::RunArgs),
    Submit(submit::SubmitArgs),
    Cancel(submit::CancelArgs),
    Set(set::SetArgs),
    Status(status::StatusArgs),
    Train(train::TrainArgs),
    Reduce(reduce::ReduceArgs),
    Verify(verify::VerifyArgs),
    Doctor(doctor::DoctorArgs),
    Space(space::SpaceArgs),
    Simulate(Box<simulate::SimulateArgs>),
    Import(import::ImportArgs),
    Export(export::ExportArgs),
    Config(config::ConfigArgs),
    Completions(completions::CompletionsArgs),
}

impl Command {
    /// Whether it may fit or read a predictor, or read many curves at once.
    const fn computes(&self) -> bool {
        matches!(
            self,
            Self::Run(_)
                | Self::Status(_)
                | Self::Train(_)
                | Self::Reduce(_)
                | Self::Verify(_)
                | Self::Simulate(_)
        )
    }
}

/// Parses the arguments of the process, runs the command, and reports its error if it has one.
pub fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return show(&error),
    };
    let printer = Printer::new(Verbosity::new(cli.global.quiet, cli.global.verbose));
    printer.start_logging();
    let trust = if cli.global.trust_group { Trust::Group } else { Trust::Owner };
    trust.set_umask();
    // A panic is a bug: it gets its own code, and the message that the default hook has printed.
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        machine::check_clock()?;
        machine::keep_running_at_file_size_limit()?;
        if cli.command.computes() {
            machine::start_threads()?;
        }
        match cli.command {
            Command::Init(args) => init::run(args, trust, &printer),
            Command::Run(args) => run::run(args, trust, &printer),
            Command::Submit(args) => submit::run(args, trust, &printer),
            Command::Cancel(args) => submit::run_cancel(args, &printer),
            Command::Set(args) => set::run(args, &printer),
            Command::Status(args) => status::run(args, &printer),
            Command::Train(args) => train::run(args, trust, &printer),
            Command::Reduce(args) => reduce::run(args, trust, &printer),
            Command::Verify(args) => verify::run(args, &printer),
            Command::Doctor(args) => doctor::run(args, trust, &printer),
            Command::Space(args) => space::run(args, &printer),
            Command::Simulate(args) => simulate::run(&args, &printer),
            Command::Import(args) => import::run(args, &printer),
            Command::Export(args) => export::run(args, &printer),
            Command::Config(args) => config::run(args, &printer),
            Command::Completions(args) => completions::run(&args, &printer),
        }
    }));
    match result {
        Ok(Ok(code)) => code.into(),
        Ok(Err(error)) => {
            let code = exit_code::ExitStatus::of(&error);
            if code != exit_code::ExitStatus::Done {
                printer.error(&error);
            }
            code.into()
        }
        Err(_) => exit_code::ExitStatus::Bug.into(),
    }
}

/// Prints help on stdout, or a usage error on stderr: exit codes 0 and 2. Help that cannot be written is a failure,
/// unless its reader has seen enough.
fn show(error: &clap::Error) -> ExitCode {
    match error.print() {
        Err(failure) if failure.kind() != io::ErrorKind::BrokenPipe && !error.use_stderr() => {
            exit_code::ExitStatus::Environment.into()
        }
        _ if error.use_stderr() => exit_code::ExitStatus::Usage.into(),
        _ => exit_code::ExitStatus::Done.into(),
    }
}

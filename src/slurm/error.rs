//! What can go wrong between the program and the scheduler.

use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;

/// An error of the room `slurm`.
#[derive(Debug, thiserror::Error)]
pub enum SlurmError {
    /// A command of Slurm is not installed here.
    #[error(
        "`{command}` is not on PATH (go to a login node of the cluster, or search on this machine alone with `metaqnn run`)"
    )]
    Missing {
        /// The program: `sbatch`, `squeue`, `scontrol` or `scancel`.
        command: &'static str,
    },

    /// A limit of the system.
    #[error("cannot start a thread that listens to a worker (see `ulimit -u`)")]
    Thread(#[source] io::Error),

    /// A program could not be started.
    #[error("cannot start `{}` (is it an executable file of this machine?)", program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// Why.
        source: io::Error,
    },

    /// The system does not say how a worker ended.
    #[error(
        "cannot wait for process {pid} (is SIGCHLD ignored here? start the search from an ordinary shell)"
    )]
    Wait {
        /// The process.
        pid: u32,
        /// Why.
        source: io::Error,
    },

    /// A command of Slurm ended with an error.
    #[error("`{command}` failed with {status}: {stderr} (run the command by hand to look closer)")]
    Failed {
        /// The whole command, quoted for a shell.
        command: String,
        /// How it ended.
        status: ExitStatus,
        /// What it said, on one line.
        stderr: String,
    },

    /// A request that the scheduler can never serve.
    #[error("the scheduler can never start this job: {words} (it was asked with `{command}`)")]
    Impossible {
        /// The whole command, quoted for a shell.
        command: String,
        /// What the scheduler says, on one line.
        words: String,
    },

    /// No more jobs may be queued now; later, when others have ended, they may.
    #[error(
        "`{command}` met a limit on submitted jobs, {status}: {stderr} (wait until queued jobs have ended, or choose a smaller `slurm.array_size`)"
    )]
    SubmitLimit {
        /// The whole command, quoted for a shell.
        command: String,
        /// How it ended.
        status: ExitStatus,
        /// What it said, on one line.
        stderr: String,
    },

    /// A command of Slurm answered something that cannot be read.
    #[error(
        "cannot read the answer `{answer}` of `{command}`: expected {expected} (is it the scheduler's own program?)"
    )]
    Answer {
        /// The whole command, quoted for a shell.
        command: String,
        /// The line that was not understood.
        answer: String,
        /// What was looked for.
        expected: &'static str,
    },

    /// A variable of the environment is not what Slurm documents.
    #[error(
        "environment variable `{name}` is `{value}`, expected {expected} (was it set by hand?)"
    )]
    Variable {
        /// The variable.
        name: &'static str,
        /// Its value.
        value: String,
        /// What it should be.
        expected: &'static str,
    },

    /// Text that is not in one of Slurm's notations.
    #[error("`{text}` is no {notation} ({hint})")]
    Notation {
        /// What was written.
        text: String,
        /// What it should be: a time limit, a job id.
        notation: &'static str,
        /// Examples.
        hint: &'static str,
    },

    /// An option that the program sets itself.
    #[error(
        "`{option}` cannot be given to `sbatch`: metaqnn sets `--{reserved}` itself (leave it out)"
    )]
    ReservedOption {
        /// What was written.
        option: String,
        /// The option it is, or abbreviates.
        reserved: &'static str,
    },

    /// A path that cannot stand in a batch script.
    #[error("path `{}` {problem} (choose another folder)", path.display())]
    Path {
        /// The path.
        path: PathBuf,
        /// Why not.
        problem: &'static str,
    },
}

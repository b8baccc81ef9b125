//! Reasons not to begin, or to end without a fault of the program: each has its exit code.

use std::path::PathBuf;

/// Why an operation does not begin or go on.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The experiment was made with another configuration.
    #[error(
        "`{}` holds an experiment with another configuration: {differences} (name another directory, or use the same configuration)",
        dir.display()
    )]
    OtherConfiguration {
        /// The experiment directory.
        dir: PathBuf,
        /// The keys that differ, with their values.
        differences: String,
    },
    /// One key, two values.
    #[error("`{key}` is given twice (leave out one of them)")]
    SetTwice {
        /// The key.
        key: String,
    },
    /// A schedule that takes back what has begun.
    #[error(
        "stage {stage} of the epsilon schedule has begun: it has to stay in its place, with epsilon {epsilon} and {architectures} architectures or more (new stages come after it)"
    )]
    TakesBack {
        /// Its place, from 1.
        stage: usize,
        /// Its epsilon.
        epsilon: f64,
        /// How many it wants.
        architectures: u64,
    },
    /// A task was told to end; its claim stays open, or it is to be queued again.
    #[error("told to end by {signal}; the claim of iteration {iteration} stays open")]
    TryAgain {
        /// The signal's name.
        signal: &'static str,
        /// What was being trained.
        iteration: u64,
    },
    /// One claim after the other was lost for want of time.
    #[error(
        "nothing more is claimed: three claims in a row were lost since each had three attempts in a row that left on the time \
         warning without a new epoch (`slurm.time` is too short, or the trainer keeps no checkpoint: \
         `metaqnn set DIR slurm.time=...`, then `metaqnn submit DIR`)"
    )]
    TimeTooShort,
    /// The last of some attempts in a row that came to nothing for want of time.
    #[error(
        "the claim of iteration {iteration} is lost: three attempts in a row left on the time warning without a new epoch \
         (`slurm.time` is too short, or the trainer keeps no checkpoint)"
    )]
    LostForTime {
        /// The iteration.
        iteration: u64,
    },
    /// The time warning came before anything was claimed.
    #[error(
        "the time warning came before the trainer was ready, so nothing was claimed (is `slurm.time` too short for the data \
         to be loaded, or `slurm.signal_seconds` too long?)"
    )]
    WarnedTooEarly,
    /// Checkpoints that are to lie outside of the experiment do not.
    #[error(
        "`training.checkpoint_dir` is `{}`, inside the experiment (name a folder outside, or `null` for `checkpoints/` in it)",
        place.display()
    )]
    CheckpointsInside {
        /// The place.
        place: PathBuf,
    },
    /// A person interrupted a local search.
    #[error("interrupted (the same command goes on where it was)")]
    Interrupted,
    /// A local worker can do no work here, and another would say the same.
    #[error("{reason}")]
    WorkerRefuses {
        /// Its exit code.
        code: i32,
        /// The error that it ended with.
        reason: String,
    },
    /// One training after the other is lost: it is not the networks' fault.
    #[error(
        "{losses} trainings in a row came to nothing; the last one: {reason} (mend the trainer, then the same command goes on)"
    )]
    OnlyLosses {
        /// How many.
        losses: u32,
        /// Why the last one was lost.
        reason: String,
    },
    /// Local workers die without any result.
    #[error("the workers keep dying ({how}); their last words:\n{stderr}")]
    WorkersDie {
        /// Exit status or signal of the last one.
        how: String,
        /// What they wrote to stderr.
        stderr: String,
    },
    /// The rebuilt Q-table is not the one of the view.
    #[error("the newest view `{}` is not what its {rows} rows of the log say: {what} (`metaqnn verify --repair` sets it aside and makes it anew)", view.display())]
    ViewDiffers {
        /// The view.
        view: PathBuf,
        /// Rows it claims to digest.
        rows: u64,
        /// What differs.
        what: String,
    },
    /// The learning curve of a network that was trained to the end does not reach there.
    #[error("`{}` has {found} epochs instead of {wanted}", path.display())]
    CurveLength {
        /// The curve.
        path: PathBuf,
        /// Its epochs.
        found: usize,
        /// Epochs of a whole training.
        wanted: u32,
    },
    /// Nodes to avoid, from two sides.
    #[error(
        "`{option}` and `--exclude-bad-hosts` both say which nodes to avoid (put yours into `slurm.exclude` of the configuration, or add the bad ones of `metaqnn status` to it)"
    )]
    TwoExcludes {
        /// What stands after `--`.
        option: String,
    },
    /// Every node is bad.
    #[error(
        "`--exclude-bad-hosts` would leave no node: {bad} are all {of}, so nothing is submitted (`metaqnn status` has their reasons)"
    )]
    NoNodeLeft {
        /// Their names.
        bad: String,
        /// What they are all of.
        of: &'static str,
    },
    /// An import into an experiment that has begun.
    #[error("`{}` has {rows} events already (import into a fresh experiment: `metaqnn init CONFIG NEW_DIR`)", dir.display())]
    NotFresh {
        /// The experiment directory.
        dir: PathBuf,
        /// Events in its log.
        rows: u64,
    },
    /// A file that was named and is not there.
    #[error("`{}` is not there (is the name right, and its disk mounted?)", path.display())]
    NotThere {
        /// The file.
        path: PathBuf,
    },
    /// A file where a folder is to be.
    #[error("`{}` is no folder (name a folder)", path.display())]
    NoFolder {
        /// The file.
        path: PathBuf,
    },
    /// An option that says how to read a file, given for an experiment.
    #[error("`{}` is an experiment, which knows its curves and features (leave out `{option}`)", dir.display())]
    OnlyForFiles {
        /// The experiment directory.
        dir: PathBuf,
        /// The option.
        option: &'static str,
    },
    /// Options that mean nothing together.
    #[error("`{option}` does not go with {other} (leave out one of them)")]
    Together {
        /// The option.
        option: &'static str,
        /// What it was given with.
        other: &'static str,
    },
    /// A file of a simulation that would have no row.
    #[error(
        "`{}` would be empty: of {networks} networks of {epochs} epochs, a burn-in of {burn_in} leaves nothing to predict (choose a smaller `--burn-in`, and curves of two epochs or more)",
        path.display()
    )]
    NothingToWrite {
        /// The file.
        path: PathBuf,
        /// Networks that are replayed.
        networks: usize,
        /// Epochs of each.
        epochs: usize,
        /// Networks that are trained to the end first.
        burn_in: usize,
    },
    /// A line on stdin that is no architecture, nor the beginning of one.
    #[error("line {number} of stdin has more than a mebibyte (write one architecture a line)")]
    LongLine {
        /// Its number, from 1.
        number: u64,
    },
    /// A file to be written that has no place.
    #[error("cannot write `{}` (name a file in a folder that exists, no folder, link or device)", path.display())]
    NoTarget {
        /// The file.
        path: PathBuf,
    },
    /// A file to be written that is there.
    #[error("`{}` is there (name another folder, or replace it with `--overwrite`)", path.display())]
    IsThere {
        /// The file.
        path: PathBuf,
    },
    /// A file to be written in the place of what is read.
    #[error("cannot write `{}`: `{}` is replayed (name another file)", path.display(), input.display())]
    OverInput {
        /// The file.
        path: PathBuf,
        /// The input that it is, or lies in.
        input: PathBuf,
    },
    /// A round that was never submitted.
    #[error("there is no round {round}: {rounds} (leave out `--round` where none is meant)")]
    NoRound {
        /// What was asked for.
        round: u32,
        /// The rounds there are, in words.
        rounds: String,
    },
    /// The arrays of a round are still in the queue.
    #[error(
        "the tasks of round {round} have not ended yet, so it is too early to reduce them (wait, or end them with `metaqnn cancel`)"
    )]
    StillRunning {
        /// The round.
        round: u32,
    },
    /// A job that was said to have ended is still in the queue.
    #[error(
        "job {job} has not ended yet, so its claims are not lost (wait until `squeue --jobs={job}` shows it no more)"
    )]
    JobRuns {
        /// The job.
        job: String,
    },
    /// The scheduler refused a job of a round.
    #[error("round {round} is not submitted ({remedy})")]
    NotSubmitted {
        /// The round.
        round: u32,
        /// What is left of it, and how to go on.
        remedy: String,
    },
    /// The scheduler takes no more jobs now.
    #[error(
        "the next round is not submitted: a limit on submitted jobs was met (it is when others have ended: run `metaqnn submit` then)"
    )]
    SubmitLimit,
    /// The log could not be written until the time was nearly up.
    #[error(
        "failed to record iteration {iteration} until the time was nearly up (a result is kept beside its learning curve: the next attempt or `metaqnn reduce` records it)"
    )]
    Unrecorded {
        /// The iteration.
        iteration: u64,
    },
    /// The log could not be written for long, and no scheduler queues the task again.
    #[error(
        "failed to record iteration {iteration} for ten minutes (a result is kept beside its learning curve: once the log can be written the next `metaqnn run` or `metaqnn reduce` records it)"
    )]
    UnrecordedHere {
        /// The iteration.
        iteration: u64,
    },
    /// A claim whose learning curve has no place.
    #[error(
        "`{}` is there before its attempt has begun, so that the claim is given back (`metaqnn verify --repair` sets aside what the log does not know of)",
        path.display()
    )]
    CurveTaken {
        /// The curve.
        path: PathBuf,
    },
    /// Files of attempts that the log holds no row of.
    #[error(
        "the log lacks rows: `{}`{} is there, and no row of it (the next iteration would be {next}; put back the newer log if it was replaced by an older copy, else `metaqnn verify --repair` sets such files aside)",
        file.display(),
        and_others(*others)
    )]
    RowsMissing {
        /// The first such file.
        file: PathBuf,
        /// How many others there are.
        others: usize,
        /// The next iteration by the log.
        next: u64,
    },
}

fn and_others(others: usize) -> String {
    match others {
        0 => String::new(),
        others => format!(" (and {others} other files)"),
    }
}

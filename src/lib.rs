//! `metaqnn`: designs convolutional networks by Q-learning, as batch jobs on an HPC cluster.
//!
//! The house has four floors; each uses the ones below it and never one above
//! (`tests/suite/layers.rs` reads the source and says so).
//!
//! | floor | rooms |
//! | --- | --- |
//! | roof | [`cli`]: words in, words out |
//! | second | [`ops`]: one operation per verb; [`simulate`]: the stopping rule on recorded curves; [`config`]: the YAML; [`report`]: results as values, tables and text |
//! | first | [`storage`]: all that lies on disk; [`exchange`]: files of the published program; [`dataset`]: images, checked; [`training`]: trainers and their protocol; [`slurm`]: the scheduler |
//! | ground | [`space`]: which networks exist; [`q_learning`]: which layer to place next; [`predictor`]: when to stop; [`outcome`]; [`seed`]; [`maths`]; [`regular_file`], [`yaml_bounds`]: reading files within bounds; [`invalid`]: refused values |
//!
//! The other program of the crate, `metaqnn-torch` (`src/torch`), trains with libtorch and sees
//! `training`, `space`, `dataset`, `seed`, `maths` and `regular_file` alone. This library is never linked to libtorch.
//!
//! # How a round goes
//!
//! 1. `submit` plans the round by what the log says and hands an array of tasks and a reduce to the
//!    scheduler ([`ops::rounds::submit`]). `run` starts local processes in their place ([`ops::run`]).
//! 2. Each task is `train` ([`ops::train`]). It reads the newest view (what was learned up to some row
//!    of the log); under the log's lock it reads the rows after that, samples an architecture by
//!    epsilon and Q-values, and appends its claim.
//! 3. A [`training::Trainer`], most often a program of its own, trains the network and tells each
//!    epoch, which becomes a row of the curve; the stopping rule may end the training there. Then the
//!    result is appended, again under the lock.
//! 4. `reduce` ([`ops::reduce`]) loses the claims that ended without a result, learns from the new
//!    rows (each with draws from the replay memory), fits the predictor when enough curves are new,
//!    publishes the next view, writes the tables, and submits the next round.
//!
//! A task that is killed leaves a claim; queued again it takes its claim up, from the checkpoint and
//! the curve of the attempt before. Nothing else is remembered anywhere: a program starts, reads,
//! appends, and ends.
//!
//! # Who writes which file
//!
//! | file of an experiment | written by | read by |
//! | --- | --- | --- |
//! | `experiment.yaml` | `init`, `run` | every command |
//! | `replay.csv` | `train`, `reduce`, `run`, `cancel`, `submit`, `set`, `import` (appended under its lock) | every command |
//! | `views/`, `predictors/` | `reduce`, `train --reduce` | every command but `init` |
//! | `curves/*.csv` | `train`, each attempt its own | `train` (a later attempt), `reduce` |
//! | `curves/*.log` | `train`: what the trainer says | people |
//! | `curves/*.result` | `train`: a result until it is in the log | `train` (a later attempt), `reduce`, `verify --repair` |
//! | `checkpoints/`, or a folder in `training.checkpoint_dir` | the trainer, each attempt its own | `train` (a later attempt); `reduce` removes what is no longer needed |
//! | `rounds/` | `submit`, and `reduce` for the next round; the scheduler its logs; `train` where its trainer refuses to work; in `rounds/N/k/` the k-th rendering: plan, scripts, job ids | `submit`, `reduce`, `status`, `cancel` |
//! | `imported/` | `import` | people |
//! | `torn/` | whoever locks the log after a crash; `verify --repair` | people |
//! | `tables/` | `reduce`, `run` | people |
//!
//! The types say who may write: paths come from [`storage::ExperimentDir`], and only the exclusive
//! guard of the log, which exists while the lock is held, can append.

pub(crate) mod cli;
pub(crate) mod config;
pub mod dataset;
pub(crate) mod exchange;
pub mod invalid;
pub mod maths;
pub(crate) mod ops;
pub mod outcome;
pub mod predictor;
pub mod q_learning;
pub mod regular_file;
pub(crate) mod report;
pub mod seed;
pub(crate) mod simulate;
pub(crate) mod slurm;
pub mod space;
pub(crate) mod storage;
pub mod training;
pub(crate) mod yaml_bounds;

pub use cli::run;

/// What the benchmarks and tests of the crate link besides the trainer's rooms.
#[doc(hidden)]
pub mod internals {
    pub use crate::ops::{
        Experiment, TrainEvent, init,
        reduce::{lost_claims::EndedJobs, rebuild, reduce},
        train::{TrainOptions, train},
    };
    pub use crate::simulate::{
        CurveOptions, EpochScore, Orders, RecordedCurves, SearchScope, SimulationParams,
        read_recorded, score_regressor,
    };
    pub use crate::storage::{
        Attempt, Claimant, CurveRow, CurveSummary, CurveWriter, Event, Knowledge, LogCursor, Row,
        Time, Training, Trust, WritableReplayLog, search_state::Record,
    };
}

//! `metaqnn`: designs convolutional networks by Q-learning, as batch jobs on an HPC cluster.
//!
//! # Modules
//!
//! Each uses those below it (`tests/suite/layers.rs` enforces it).
//!
//! * Commands: [`cli`]. Operations: [`ops`], one a command; [`simulate`]: early stopping on
//!   recorded curves.
//! * On values: [`config`] (the YAML), [`report`] (tables and text), [`exchange`] (files of the
//!   published program).
//! * [`strategy`]: which network comes next.
//! * [`model`]: a trained network as a folder.
//! * The world outside: [`storage`] (an experiment on disk), [`training`] (trainers and their
//!   protocol), [`slurm`] (the scheduler), [`dataset`] (images).
//! * The papers: [`space`] (which networks exist), [`q_learning`] (which layer comes next),
//!   [`predictor`] (when to stop).
//! * Base: [`outcome`], [`seed`] (random numbers), [`maths`] (equal bits everywhere), [`invalid`]
//!   (refused values), [`regular_file`] and [`yaml_bounds`] (bounded reading).
//!
//! The trainer `metaqnn-torch` (`src/torch`) is another program, which links this library and
//! libtorch; this library never links libtorch.
//!
//! # A round
//!
//! 1. `submit` hands a Slurm array of tasks and a reduce to the scheduler ([`ops::rounds`]); `run`
//!    starts local workers instead ([`ops::run`]).
//! 2. Each task is `train` ([`ops::train`]): it reads the newest view (a cached Q-table) and the
//!    log ([`ops::journal`]), and under the log's lock samples an architecture and appends a claim.
//!    It trains without the lock ([`training::Trainer`]), until the last epoch or the stopping
//!    rule, and appends the result under it.
//! 3. `reduce` ([`ops::reduce`]) marks claims that ended without a result as lost, performs the
//!    Q-updates of the new rows, fits the predictor when it is due, publishes the next view, writes
//!    the tables, and submits the next round.
//!
//! A killed task leaves an open claim; requeued, it resumes it from checkpoint and curve.
//!
//! # Where a decision is made
//!
//! | decision | function |
//! | --- | --- |
//! | legal layers | [`space::Space::legal_actions`] |
//! | the next network | `Strategy::next` in `strategy/` |
//! | the next layer | [`q_learning::choose_action`] |
//! | a Q-update | `QTable::update` in `q_learning/update.rs` |
//! | what a result is worth | [`q_learning::RewardParams::reward`] |
//! | which epsilon is in force | [`q_learning::EpsilonSchedule::stage_in_force`] |
//! | the learning rate of an epoch | [`training::ValidRecipe::learning_rate`] |
//! | whether a first epoch passes | [`training::ValidRecipe::passes_first_epoch`] |
//! | whether a training is stopped | [`predictor::StoppingRule::judge`] |
//! | which models are kept | `best_attempts` in `ops/reduce/models.rs` |
//! | which networks are trained for long | `Networks::choose` in `ops/finalize/networks.rs` |
//! | which of these are trained on all images | `Selection::of` in `report/finals.rs` |
//! | what the log means | [`storage::search_state`] |

pub(crate) mod cli;
pub(crate) mod config;
pub mod dataset;
pub(crate) mod exchange;
pub mod invalid;
pub mod maths;
pub mod model;
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
pub(crate) mod strategy;
pub mod training;
pub(crate) mod yaml_bounds;

pub use cli::run;

/// What benchmarks link besides the trainer's modules.
#[doc(hidden)]
pub mod internals {
    pub use crate::ops::{
        Experiment, TrainEvent, init,
        reduce::{learn, lost_claims::EndedJobs, rebuild, reduce},
        train::{TrainOptions, train},
    };
    pub use crate::simulate::{
        CurveOptions, EpochScore, Orders, RecordedCurves, SearchScope, SimulationParams,
        read_recorded, score_regressor,
    };
    pub use crate::storage::{
        Attempt, Claimant, Curve, CurveRow, Event, Knowledge, LogPosition, Row, Time, Trust,
        WritableReplayLog, search_state::Record,
    };
}

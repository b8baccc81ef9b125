//! `metaqnn`: designs convolutional networks by Q-learning, as batch jobs on an HPC cluster.
//!
//! The house has four floors; each uses the ones below it and never one above
//! (`tests/suite/floors.rs` reads the source and says so).
//!
//! | floor | rooms |
//! | --- | --- |
//! | roof | [`cli`]: words in, words out |
//! | second | [`ops`]: one operation per verb; [`config`]: the YAML; [`report`]: results as values, tables and text |
//! | first | [`storage`]: all that lies on disk; [`dataset`]: images, checked; [`training`]: trainers and their protocol; [`slurm`]: the scheduler |
//! | ground | [`space`]: which networks exist; [`q_learning`]: which layer to place next; [`predictor`]: when to stop; [`outcome`]; [`seed`] |
//!
//! The other program of the crate, `metaqnn-torch` (`src/torch`), trains with libtorch and sees
//! `training`, `space`, `dataset` and `seed` alone. This library is never linked to libtorch.
//!
//! # Who writes which file
//!
//! | file of an experiment | written by | read by |
//! | --- | --- | --- |
//! | `experiment.yaml` | `init`, `run` | every command |
//! | `replay.csv` | `train`, `reduce`, `cancel`, `submit`, `import` (appended under its lock) | every command |
//! | `views/` | `reduce` | `train`, `reduce`, `submit`, `status`, `export` |
//! | `curves/`, `checkpoints/` | `train`, each attempt its own | `train` (a later attempt), `reduce` |
//! | `rounds/` | `submit`, and `reduce` for the next round | `submit`, `reduce`, `status`, `cancel` |
//! | `imported/` | `import` | people |
//! | `torn/` | whoever locks the log after a crash | people |
//! | `tables/` | `reduce`, `run` | people |
#![deny(missing_docs)]

pub mod cli;
pub mod config;
pub mod dataset;
pub mod ops;
pub mod outcome;
pub mod predictor;
pub mod q_learning;
pub mod report;
pub mod seed;
pub mod slurm;
pub mod space;
pub mod storage;
pub mod training;

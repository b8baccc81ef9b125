//! `metaqnn`: designs convolutional networks by Q-learning, as batch jobs on an HPC cluster.
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

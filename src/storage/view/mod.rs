//! Caches of what is expensive to compute: the Q-table, what a strategy has learned, the predictor.
//!
//! Each is a pure function of the configuration, the seed, the rows of the log and their learning
//! curves, so that losing one costs time and nothing else. The search state is never stored.
//!
//! * `files.rs`: folders that are published once, checked when read, three kept
//! * `q_table.rs`: the Q-table as CSV
//! * `view.rs`: [`View`]: `views/<rows>/`; [`Learned`]: Q-table and memory after some rows
//! * `predictor.rs`: [`StoredPredictor`]: `predictors/<full curves>/`, and who is fitting one
//!
//! Readers skip a cache that is damaged in itself; `reduce` sets it aside and makes it again. A
//! view whose checksum does not fit the log says that another program changed the log: that is for
//! [`crate::ops::journal`] to judge.

pub(crate) mod files;
pub(crate) mod predictor;
pub(crate) mod q_table;
#[allow(clippy::module_inception)]
pub(crate) mod view;

pub(crate) use predictor::StoredPredictor;
pub(crate) use view::{Learned, View, ViewParams};

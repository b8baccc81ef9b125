//! Everything of an experiment that lies on disk.
//!
//! ```text
//! EXPERIMENT/
//!   experiment.yaml         frozen configuration; its format version decides who may open it
//!   replay.csv              the replay log: one row per event; the record of truth, and the lock
//!   views/000003141/        what was learned from the first 3,141 rows of the log
//!   curves/000123.1.csv     learning curve of iteration 123, attempt 1; .log: its trainer's stderr;
//!                           .result: the row to be appended, until that has succeeded
//!   checkpoints/000123.1/   of that attempt
//!   rounds/0007/1/          plan, batch scripts, job ids of a round, first rendering; beside it scheduler logs
//!   imported/               the reference's Q-table, after an import
//!   torn/                   what was cut or replaced in the log, each piece once
//!   tables/, report/        for people
//!   final/                  the final training
//! ```
//!
//! Shared file systems decide the form. On NFS only a locked file itself is coherent between
//! machines, never one beside it; and a name that was looked up too early stays unseen for half a
//! minute. So there are two kinds of files:
//!
//! * **The log**, which is its own lock ([`ReplayLog`], [`WritableReplayLog`]). All that happens is
//!   decided from its rows, by [`search_state`], as read under the exclusive lock, and becomes a row.
//! * **Everything else is written once** under a name never used before, and appears whole
//!   ([`fs::publish`]). Readers list the folder.
//!
//! What has one owner may also grow or be replaced: a curve and a checkpoint belong to the attempt in
//! their name. `tables/` and `report/` are copies that no program reads.
//!
//! Tasks append claims and results and write their curves and checkpoints; the reducer appends
//! losses and publishes views and tables; `submit` publishes rounds; everybody reads. `verify` looks at
//! the log as it lies there ([`RawLog`]), and its repair alone overwrites anything: a damaged row, by a
//! `void` row of the same length, its bytes saved before ([`ExclusiveGuard::blank`]). Before that it
//! appends a `repaired` row, by which everybody who reads on from an earlier place, under the lock at
//! the latest, learns that what was read is to be forgotten ([`Tail::tells_of_repair`]): on NFS the
//! folder of views may be shown as it was, but never the end of the locked log. This room knows
//! nothing of trainers and schedulers, and decides nothing about learning.

pub(crate) mod attempt;
pub(crate) mod dir;
pub(crate) mod error;
pub(crate) mod fs;
pub(crate) mod log;
pub(crate) mod round;
pub mod search_state;
pub(crate) mod view;

pub use attempt::curve::{Curve, CurveRow, CurveWriter};
pub use attempt::resume::LeftOnSignal;
pub use dir::{ExperimentDir, FORMAT_VERSION};
pub use error::StorageError;

pub use fs::lock::LockTimeout;
pub use fs::mount::{DiskSpace, MountPoint, Nodes, check_locks_of_mount};
pub use fs::time::Time;
pub use fs::trust::Trust;
pub use log::damage::{Kept, RawLine, RawLog};
pub use log::event::{
    Attempt, Claimant, CurveSummary, Event, Iteration, Row, TIME_TOO_SHORT, Training,
    counts_as_loss, is_for_want_of_time, plain, refusal_as_reason,
};
pub use log::file::{ExclusiveGuard, ReplayLog, Tail, WritableReplayLog};
pub use log::position::{LogCursor, LogPosition};
pub use log::text::RowError;
pub use round::{Rendering, RoundArray, RoundDir, RoundJobs, RoundPlan, TaskRefusal};
pub use search_state::Knowledge;

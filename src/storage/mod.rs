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
//!   decided from its rows, by [`knowledge`], as read under the exclusive lock, and becomes a row.
//! * **Everything else is written once** under a name never used before, and appears whole
//!   ([`publish`]). Readers list the folder.
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

mod append;
mod blank;
mod checked_files;
mod crc32;
mod curve_csv;
mod curve_row;
mod curve_writer;
mod direct_io;
mod disk_space;
mod error;
mod experiment_dir;
mod experiment_making;
mod foreign_csv;
mod foreign_records;
mod format;
mod handover;
pub mod knowledge;
mod known_csv;
mod learned;
mod lock;
mod log_check;
mod log_position;
mod memory_csv;
mod mount;
mod predictor_yaml;
pub mod publish;
mod q_table_csv;
#[cfg(test)]
mod random_log;
mod raw_log;
mod recorded_columns;
mod recorded_csv;
mod recorded_error;
mod reference;
mod reference_q_values;
mod reference_tuple;
mod replay_csv;
mod replay_event;
mod replay_log;
mod replay_row;
mod result_file;
mod round_files;
mod row_error;
mod row_reader;
mod rows_before;
mod task_refusal;
mod time;
mod torn;
mod trust;
mod view;
mod view_files;
mod views;
pub mod yaml;

pub use append::{ExclusiveGuard, WritableReplayLog};
pub use blank::Kept;
pub use crc32::Crc32;
pub use curve_csv::Curve;
pub use curve_row::{CurveRow, Forecast};
pub use curve_writer::CurveWriter;
pub use disk_space::DiskSpace;
pub use error::{RefusedRow, StorageError};
pub use experiment_dir::ExperimentDir;
pub use experiment_making::FrozenText;
pub use foreign_csv::{Problem, Readable, Reason};
pub use format::FormatVersion;
pub use handover::LeftOnSignal;
pub use knowledge::Knowledge;
pub use lock::Patience;
pub use log_position::{LogCursor, LogPosition};
pub use mount::{MountPoint, Nodes, check_locks_of_mount};
pub use predictor_yaml::PREDICTOR;
pub use raw_log::{RawLine, RawLog};
pub use recorded_columns::RecordedColumns;
pub use recorded_csv::{Recording, read_recorded};
pub use recorded_error::RecordedError;
pub use reference::{ReferenceRow, read_replay_database, write_replay_database};
pub use reference_q_values::{ReferenceQValue, read_q_values, write_q_values};
pub use reference_tuple::{LayerType, ReferenceTuple};
pub use replay_event::{
    Claimant, CurveSummary, StopNumbers, TIME_TOO_SHORT, Training, counts_as_loss,
    is_for_want_of_time, refusal_as_reason,
};
pub use replay_log::{ReplayLog, Tail};
pub use replay_row::{Attempt, Event, Iteration, Row};
pub use round_files::{Rendering, RoundArray, RoundDir, RoundJobs, RoundPlan};
pub use row_error::RowError;
pub use rows_before::RowsBefore;
pub use task_refusal::TaskRefusal;
pub use time::Time;
pub use trust::Trust;
pub use view::{View, ViewParams};
pub use views::set_view_aside;

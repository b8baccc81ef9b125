//! Everything of an experiment that lies on disk; the root of the crate lists the files and their
//! writers. For `ops`, `exchange` and `report`; knows nothing of trainers and schedulers.
//!
//! On NFS only a locked file itself is coherent between machines, never one beside it; and a name
//! that was looked up too early stays unseen for half a minute. So there are two kinds of files:
//! the log, which is its own lock, and everything else, written once under a new name, so that it
//! appears whole and readers list the folder. (What has one owner may grow or be replaced: a curve
//! and a checkpoint belong to the attempt in their name.)
//!
//! * `fs/`: [`fs::publish`], locks, direct I/O, mounts, [`Trust`], [`Time`]
//! * `log/`: a [`Row`] is an event, a line, a place in the file, or damage; [`ReplayLog`] reads,
//!   [`WritableReplayLog`] appends
//! * `search_state/`: [`Knowledge`], the fold over the rows, and all decisions about new ones
//! * `dir.rs`, `dir/`: paths, making and opening of an [`ExperimentDir`]; `error.rs`
//! * `view/`: what is learned from a prefix of the log, cached
//! * `attempt/`: [`Curve`], checkpoint and weights of one attempt; `round.rs`: the files of a round
//!
//! Only the repair of `verify` overwrites anything: a damaged row, by [`ExclusiveGuard::blank`],
//! around which it appends a `repaired` row: what was read before is stale. (On NFS the folder of
//! views may be shown as it was, but never the end of the locked log.)

pub(crate) mod attempt;
pub(crate) mod dir;
pub(crate) mod error;
pub(crate) mod fs;
pub(crate) mod log;
pub(crate) mod round;
pub mod search_state;
pub(crate) mod view;

pub use attempt::curve::{Curve, CurveInProgress, CurveRow};
pub use attempt::resume::LeftOnSignal;
pub use dir::{ExperimentDir, FORMAT_VERSION, Folder};
pub use error::StorageError;
pub use fs::lock::LockTimeout;
pub use fs::mount::{DiskSpace, MountPoint, check_locks_of_mount};
pub use fs::permissions::Trust;
pub use fs::time::Time;
pub use log::damage::{RawLine, RawLog};
pub use log::event::{
    AT_RANDOM, Attempt, Claimant, CurveSummary, Event, Iteration, Row, TIME_OVER, TIME_TOO_SHORT,
    counts_as_loss, is_for_want_of_time, plain, refusal_as_reason,
};

pub use log::append::{ExclusiveGuard, WritableReplayLog};
pub use log::file::{ReplayLog, Tail};
pub use log::position::LogPosition;
pub use log::text::RowError;
pub use round::{Rendering, RoundArray, RoundDir, RoundJobs, RoundPlan, TaskRefusal};
pub use search_state::Knowledge;

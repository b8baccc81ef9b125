//! The replay log, `replay.csv`: one row an event; the record of truth, and the lock.
//!
//! * `event.rs`: [`event::Row`] and its columns; [`event::Event`], [`event::Iteration`]
//! * `text.rs`: a row as a line: [`text::parse_rows`], [`text::RowError`]
//! * `position.rs`: a place between two rows, with the checksum of the prefix
//! * `damage.rs`: an unfinished end, files of other programs, blanked rows: [`damage::RawLog`]
//! * `file.rs`: the file read under its shared lock: [`file::ReplayLog`]
//! * `append.rs`: appended to under its exclusive lock: [`append::ExclusiveGuard`]

pub(crate) mod append;
pub(crate) mod damage;
pub(crate) mod event;
pub(crate) mod file;
pub(crate) mod position;
#[cfg(test)]
pub(crate) mod random_log;
pub(crate) mod text;

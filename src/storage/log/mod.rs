//! The replay log: its rows, their text, the file under its lock, and damage.

pub(crate) mod append;
pub(crate) mod blank;
pub(crate) mod damage;
pub(crate) mod event;
pub(crate) mod file;
pub(crate) mod log_check;
pub(crate) mod position;
#[cfg(test)]
pub(crate) mod random_log;
pub(crate) mod row;
pub(crate) mod row_error;
pub(crate) mod row_reader;
pub(crate) mod rows_before;
pub(crate) mod text;
pub(crate) mod torn;

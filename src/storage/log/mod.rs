//! The replay log: its rows, their text, the file under its lock, and damage.

pub(crate) mod damage;
pub(crate) mod event;
pub(crate) mod file;
pub(crate) mod position;
#[cfg(test)]
pub(crate) mod random_log;
pub(crate) mod text;

//! The files of one attempt.
//!
//! * `curve.rs`: its learning [`curve::Curve`], read and written
//! * `result_file.rs`: its result, until that is in the log
//! * `resume.rs`: what the next attempt takes over: checkpoint, curve, and why it left

pub(crate) mod curve;
pub(crate) mod result_file;
pub(crate) mod resume;

//! The files of one attempt.
//!
//! * `curve.rs`: its learning [`curve::Curve`], read and written
//! * `resume.rs`: what the next attempt takes over (checkpoint, curve, why it left); its result,
//!   until that is in the log

pub(crate) mod curve;
pub(crate) mod resume;

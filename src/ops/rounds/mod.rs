//! Rounds of batch jobs: planned, submitted, chained, cancelled.

pub mod cancel;
pub mod chain;
pub mod hosts;
pub mod jobs;
pub mod plan;
pub mod refused;
pub mod round;
pub mod scheduler;
pub mod size;
pub mod stage;
pub mod step;
pub mod submit;
pub mod unclaimed;

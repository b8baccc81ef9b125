//! Rounds of batch jobs on a cluster. Used by `cli`, `status`, `doctor`, and `train` and `reduce`
//! for what they need of their round.
//!
//! | file | holds |
//! | --- | --- |
//! | `submit.rs` | `submit`: the next round; `cancel`; `end_round`: reduce, then the next round |
//! | `round.rs` | [`round::Round`]: submitted once, whatever crashes; its [`round::Queue`] |
//! | `step.rs` | the next step of a submitter: pure, checked over all interleavings |
//! | `chain.rs` | the jobs of a round, their dependencies and refusals; when the chain ends |
//! | `plan.rs` | how many tasks a round has, and its batch scripts |
//! | `hosts.rs` | [`hosts::Hosts`]: which hosts are bad, by what became of their tasks |
//! | `diagnosis.rs` | what `status` says of the chain and its jobs |
//! | `unclaimed.rs` | tasks that ended without a claim, from their logs |

pub mod chain;
pub mod diagnosis;
pub mod hosts;
pub mod plan;
pub mod round;
pub mod step;
pub mod submit;
pub mod unclaimed;

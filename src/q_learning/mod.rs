//! Q-learning: which layer to place next, learned from the networks trained so far.
//!
//! The agent writes a network one layer at a time. In state s it picks the next layer u, with
//! probability epsilon any legal one, else one of those with the greatest Q-value
//! ([`sample_trajectory`]). The network is trained; its validation accuracy is the reward of the
//! whole trajectory, given with the last action ([`RewardParams::reward`]). The Q-values
//! move towards what was earned, from the softmax back to the first layer:
//!
//! ```text
//! Q(s,u) <- Q(s,u) + alpha (r + gamma max_u' Q(s',u') - Q(s,u))
//! ```
//!
//! (Baker et al., 2017, MetaQNN, section 3). Training is expensive and an update is not, so each
//! result enters a replay memory, and K of its rows, drawn at random, are learned from again
//! ([`Learner::learn`]). Epsilon falls by the [`EpsilonSchedule`], each of its stages lasting a
//! number of distinct architectures.
//!
//! The search as a whole (Algorithm 1 of the paper):
//!
//! ```text
//! while some stage of the schedule is in force, of exploration rate epsilon:
//!     architecture <- sample_trajectory(q_table, epsilon)
//!     reward       <- that of its first result, else train it
//!     learn(architecture, reward)
//! ```
//!
//! Files in reading order: `epsilon`, `reward`, `trajectory`, `policy`, `q_table`, `update`,
//! `replay`, `learner`. Pure: nothing here reads a file, a clock or a generator of its own.

mod epsilon;
mod learner;
mod params;
mod policy;
mod q_table;
mod replay;
mod reward;
mod trajectory;
mod update;

pub use epsilon::{Epsilon, EpsilonSchedule, EpsilonScheduleParams, EpsilonStage, StageCounts};
pub use learner::Learner;
pub use params::{QLearningParams, ValidQLearningParams};
pub use policy::{choose_action, sample_trajectory};
pub use q_table::{QLearningError, QTable};
pub use reward::{OutOfMemoryReward, RewardParams};
pub use trajectory::Trajectory;

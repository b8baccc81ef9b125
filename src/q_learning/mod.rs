//! Q-learning: which layer to place next, learned from the networks trained so far.
//!
//! In state s the agent picks the next layer u, with probability epsilon any legal one, else one of
//! those with the greatest Q-value ([`sample_trajectory`]). The network's validation accuracy is
//! the reward of the last action ([`RewardParams::reward`]), and the Q-values move towards it, from
//! the softmax back to the first layer (`update`; Baker et al., 2017, MetaQNN, section 3). K rows
//! of the replay memory are learned from again ([`Learner::learn`]). The search (Algorithm 1):
//!
//! ```text
//! while some stage of the schedule is in force, of exploration rate epsilon:
//!     architecture <- sample_trajectory(q_table, epsilon)
//!     reward       <- that of its first result, else train it
//!     learn(architecture, reward)
//! ```
//!
//! Pure: nothing here reads a file, a clock or a generator of its own.

mod epsilon;
mod learner;
mod params;
mod policy;
mod q_table;
mod reward;
mod trajectory;
mod update;

pub use epsilon::{Epsilon, EpsilonSchedule, EpsilonScheduleParams, EpsilonStage, StageCounts};
pub use learner::Learner;
pub use params::{QLearningParams, ValidQLearningParams};
pub use policy::{Choice, choose_action, sample_trajectory, walk};
pub use q_table::{QLearningError, QTable};
pub use reward::{OutOfMemoryReward, RewardParams};
pub use trajectory::Trajectory;

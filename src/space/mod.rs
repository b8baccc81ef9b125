//! The search space: which convolutional networks exist.
//!
//! A network is written one layer at a time. The [`State`] is what the agent sees of it: the last
//! layer, its depth, the side of its output. An [`Action`] is the next layer, the softmax the last.
//! Which are legal follows from the state ([`Space::legal_actions`]) and, where only some networks
//! are, from all layers so far ([`Mask`]). A finished sequence is
//! an [`Architecture`]; its text, `[C(64,3,1), P(2,2), SM(10)]`, is its name everywhere.
//!
//! A [`State`] has the true side of the representation; a [`StateKey`] has its [`Bin`], by which
//! the Q-table is indexed and legality is decided (Baker et al., 2017, MetaQNN, section 4.1).
//!
//! No random numbers and no files here; used by every layer above.

mod action;
mod architecture;
mod buildable;
mod census;
mod cost;
mod layer;
mod mask;
mod notation;
mod params;
mod published_state;
mod size;
mod state;

pub use action::Action;
pub use architecture::{Architecture, Candidate, DropoutMark, SpaceError};
pub use cost::{Cost, LayerCost};
pub use layer::Layer;
pub use mask::Mask;
pub use params::{DataShape, KernelRule, Padding, Pool, PoolRounding, Space, SpaceParams};
pub use size::{conv_output, pool_output};
pub use state::{Bin, LastLayer, State, StateKey};

pub(crate) use published_state::{PAIR_COLUMNS, StateTuple, whole_number};

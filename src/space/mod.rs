//! The search space: which convolutional networks exist.
//!
//! A network is written one layer at a time. The [`State`] is the network so far as far as the
//! agent sees it: the last layer, its depth, the side of its output. An [`Action`] is the next
//! layer, or termination by the softmax classifier. Which actions are legal follows from the
//! state alone ([`Space::legal_actions`]); a finished sequence is an [`Architecture`], and its
//! text, with dropout marks, is its name everywhere (`[C(64,3,1), P(2,2), SM(10)]`).
//!
//! Sizes come in two forms: the true side of the representation, which the agent carries along, and
//! its [`Bin`], by which the Q-table is indexed and legality is decided (Baker et al., 2017,
//! MetaQNN, section 4.1). So a [`State`] is exact and a [`StateKey`] is binned.
//!
//! In reading order: `params` ([`SpaceParams`], checked into [`Space`]), `layer` ([`Layer`] and the
//! sizes of outputs), `state`, `action` (the rules), `architecture` (with dropout marks),
//! `notation` (as text), `cost`, `census` (how large the space is), `published_state` (states and
//! actions in the published code's columns). Used by every layer above; nothing here draws random
//! numbers or touches a file.

mod action;
mod architecture;
mod census;
mod cost;
mod error;
mod layer;
mod notation;
mod params;
mod published_state;
mod state;

pub use action::Action;
pub use architecture::{Architecture, DropoutMark};
pub use cost::Cost;
pub use error::SpaceError;
pub use layer::{Layer, conv_output, pool_output};
pub use params::{DataShape, KernelRule, Padding, Pool, PoolRounding, Space, SpaceParams};
pub use state::{Bin, LastLayer, State, StateKey};

pub(crate) use published_state::{PAIR_COLUMNS, StateTuple, whole_number};

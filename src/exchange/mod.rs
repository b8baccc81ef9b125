//! The files of the published program: what `import` reads and `export` writes.
//!
//! | file | what |
//! | --- | --- |
//! | `patient_csv.rs` | rows by column name; a row that cannot be used is set aside with a reason |
//! | `replay_database.rs` | [`ReplayRow`]: the sampled networks and their accuracies |
//! | `q_values.rs` | the Q-table, by [`StateTuple`](crate::space::StateTuple) |

pub(crate) mod patient_csv;
mod q_values;
mod replay_database;

pub use q_values::{read_q_values, write_q_values};
pub use replay_database::{ReplayRow, read_replay_database, write_replay_database};

/// The usual names of the files.
pub const REPLAY_DATABASE: &str = "replay_database.csv";
pub const Q_VALUES: &str = "q_values.csv";

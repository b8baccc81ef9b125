//! The files of the published program, `replay_database.csv` and `q_values.csv`: what `import`
//! takes over, `export` writes and `verify` looks at. `csv_rows` also reads the curves of
//! `simulate`.

pub(crate) mod csv_rows;
mod q_values;
mod replay_database;

pub use q_values::{read_q_values, write_q_values};
pub use replay_database::{ReplayRow, read_replay_database, write_replay_database};

pub const REPLAY_DATABASE: &str = "replay_database.csv";
pub const Q_VALUES: &str = "q_values.csv";

//! Why recorded learning curves cannot be replayed.

use std::path::PathBuf;

use crate::predictor::PredictorError;

/// A file of recorded curves that cannot be replayed.
#[derive(Debug, thiserror::Error)]
#[error("`{path}` cannot be replayed")]
pub struct CurvesFileError {
    /// The file.
    pub path: PathBuf,
    /// Why not.
    pub source: RecordedError,
}

/// Why a file of recorded curves cannot be replayed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum RecordedError {
    /// No file of that name.
    #[error("there is no such file")]
    Missing,
    /// A header without a curve.
    #[error(
        "no columns of a learning curve (they share a name and end in the number of the epoch: `y1`, `y2`, ..)"
    )]
    NoCurve,
    /// A header of one column.
    #[error(
        "its header is one column, `{header}` (separate columns by commas, and write decimals with a full stop)"
    )]
    OneColumn {
        /// The header.
        header: String,
    },
    /// A header that begins with a column of the curve.
    #[error(
        "its first column, `{name}`, is one of the curve (begin with a column that names the networks)"
    )]
    NoId {
        /// The column.
        name: String,
    },
    /// A header without the curve that was asked for.
    #[error("no columns `{prefix}1`, `{prefix}2`, .. (there are: {found})")]
    NoSuchCurve {
        /// What their names should begin with.
        prefix: String,
        /// What the names of numbered columns begin with.
        found: String,
    },
    /// A header with several curves.
    #[error("columns of several curves: {prefixes} (choose one with `--curve`)")]
    SeveralCurves {
        /// What the names of their columns begin with.
        prefixes: String,
    },
    /// A curve whose epochs do not go up one by one.
    #[error("columns of the curve `{prefix}` {how}")]
    Epochs {
        /// What their names begin with.
        prefix: String,
        /// What is wrong.
        how: String,
    },
    /// A feature that is no column.
    #[error("no column `{name}` to be a feature")]
    NoFeature {
        /// Its name.
        name: String,
    },
    /// A feature that is something else already.
    #[error("column `{name}` cannot be a feature (it is the id or part of the curve)")]
    NotAFeature {
        /// Its name.
        name: String,
    },
    /// A header and nothing else.
    #[error("no networks")]
    Empty,
    /// A row of another length.
    #[error("line {line} has {found} cells where the header has {wanted}")]
    Ragged {
        /// Where the row begins, from 1.
        line: u64,
        /// Its cells.
        found: usize,
        /// Columns of the header.
        wanted: usize,
    },
    /// A cell that is no number.
    #[error("line {line}, column `{column}` is `{value}` (must be a finite number)")]
    Cell {
        /// Where the row begins, from 1.
        line: u64,
        /// The column.
        column: String,
        /// What stands there.
        value: String,
    },
    /// A network that the predictor cannot take.
    #[error("line {line}")]
    Network {
        /// Where its row begins, from 1.
        line: u64,
        /// Why not.
        source: PredictorError,
    },
}

impl RecordedError {
    /// Whether the file may be whole, and other options would do.
    pub(crate) const fn is_usage(&self) -> bool {
        matches!(
            self,
            Self::Missing
                | Self::NoCurve
                | Self::OneColumn { .. }
                | Self::NoId { .. }
                | Self::NoSuchCurve { .. }
                | Self::SeveralCurves { .. }
                | Self::NoFeature { .. }
                | Self::NotAFeature { .. }
        )
    }
}

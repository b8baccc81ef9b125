//! Reasons not to begin, or to end without a fault of the program.

use std::path::Path;

/// What happened, to what, and what to do. The kind decides the exit code.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub enum Refusal {
    Usage(String),
    /// Files are not what this program wrote.
    Damage(String),
    /// Something outside of the experiment is to be mended first.
    Environment(String),
    /// The same command can succeed later.
    TryAgain(String),
}

impl Refusal {
    pub fn not_there(path: &Path) -> Self {
        let remedy = "is the name right, and its disk mounted?";
        Self::Usage(format!("`{}` is not there ({remedy})", path.display()))
    }

    pub fn no_folder(path: &Path) -> Self {
        Self::Usage(format!("`{}` is no folder (name a folder)", path.display()))
    }

    pub fn no_target(path: &Path) -> Self {
        let remedy = "name a file in a folder that exists, no folder, link or device";
        Self::Usage(format!("cannot write `{}` ({remedy})", path.display()))
    }

    pub fn together(option: &str, other: &str) -> Self {
        Self::Usage(format!("`{option}` does not go with {other} (leave out one of them)"))
    }

    pub fn curve_taken(path: &Path) -> Self {
        Self::Damage(format!(
            "`{}` is there before its attempt has begun, so that the claim is given back \
             (`metaqnn verify --repair` sets aside what the log does not know of)",
            path.display()
        ))
    }

    pub fn time_too_short() -> Self {
        Self::Environment(
            "nothing more is claimed: three claims in a row were lost since each had three \
             attempts in a row that left on the time warning without a new epoch (`slurm.time` is \
             too short, or the trainer keeps no checkpoint: `metaqnn set DIR slurm.time=...`, then \
             `metaqnn submit DIR`)"
                .to_owned(),
        )
    }
}

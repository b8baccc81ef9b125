//! `--single-node`: which machines work on an experiment.

use clap::Args;

use crate::storage::Nodes;

/// For commands that may meet others of their kind on other machines.
#[derive(Debug, Args)]
pub struct NodesArg {
    /// Accept a file system whose locks do not reach other machines: only this one works on the experiment
    ///
    /// For jobs: `export METAQNN_SINGLE_NODE=1` among `slurm.setup_lines`.
    #[arg(long, env = "METAQNN_SINGLE_NODE", value_parser = yes_or_no)]
    single_node: bool,
}

impl NodesArg {
    /// Returns which machines the person says there are.
    pub const fn nodes(&self) -> Nodes {
        if self.single_node { Nodes::Single } else { Nodes::Many }
    }
}

/// Reads what the variable says; the option itself says yes. An empty variable is as good as none.
fn yes_or_no(text: &str) -> Result<bool, String> {
    match text.trim().to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Ok(true),
        "" | "0" | "false" | "no" | "off" => Ok(false),
        _ => Err("`METAQNN_SINGLE_NODE` must be 1 or 0, yes or no".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variable_says_yes_or_no_and_is_named() {
        assert_eq!(
            (yes_or_no("1"), yes_or_no("Yes"), yes_or_no("true")),
            (Ok(true), Ok(true), Ok(true))
        );
        assert_eq!(
            (yes_or_no(""), yes_or_no("0"), yes_or_no("off")),
            (Ok(false), Ok(false), Ok(false))
        );
        assert!(yes_or_no("maybe").unwrap_err().contains("METAQNN_SINGLE_NODE"));
    }
}

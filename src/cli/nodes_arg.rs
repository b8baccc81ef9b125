//! `--single-node`: which machines work on an experiment.

use clap::Args;
use clap::builder::BoolishValueParser;

use crate::storage::Nodes;

/// For commands that may meet others of their kind on other machines.
#[derive(Debug, Args)]
pub struct NodesArg {
    /// Accept a file system whose locks do not reach other machines: only this one works on the experiment
    ///
    /// For jobs: `export METAQNN_SINGLE_NODE=1` among `slurm.setup_lines`.
    #[arg(long, env = "METAQNN_SINGLE_NODE", value_parser = BoolishValueParser::new())]
    single_node: bool,
}

impl NodesArg {
    /// Returns which machines the person says there are.
    pub const fn nodes(&self) -> Nodes {
        if self.single_node { Nodes::Single } else { Nodes::Many }
    }
}

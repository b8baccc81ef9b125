//! Arguments that several commands share.

use std::path::PathBuf;

use clap::Args;

use crate::ops::Experiment;
use crate::storage::{Trust, check_locks_of_mount};

/// An experiment that tasks on several machines may write to at once.
#[derive(Debug, Args)]
pub struct SharedDir {
    /// The experiment directory
    pub dir: PathBuf,
    /// Accept a file system whose locks do not reach other machines: only this one works on the
    /// experiment
    ///
    /// For jobs: `export METAQNN_SINGLE_NODE=1` among `slurm.setup_lines`.
    #[arg(long, env = "METAQNN_SINGLE_NODE", value_parser = yes_or_no)]
    pub single_node: bool,
}

impl SharedDir {
    pub fn open(&self, trust: Trust) -> anyhow::Result<Experiment> {
        let experiment = Experiment::open(&self.dir)?.trusted_by(trust)?;
        if !self.single_node {
            check_locks_of_mount(experiment.dir().root())?;
        }
        Ok(experiment)
    }
}

/// Parses the variable; the option itself is `true`. An empty variable counts as none.
fn yes_or_no(text: &str) -> Result<bool, String> {
    match text.trim().to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Ok(true),
        "" | "0" | "false" | "no" | "off" => Ok(false),
        _ => Err("`METAQNN_SINGLE_NODE` must be 1 or 0, yes or no".to_owned()),
    }
}

fn number(text: &str, allowed: &str, rule: impl Fn(f64) -> bool) -> Result<f64, String> {
    // The sum makes 0 of -0.
    let number = text.trim().parse().ok().map(|number: f64| number + 0.0);
    let number = number.filter(|number| number.is_finite() && rule(*number));
    number.ok_or_else(|| format!("must be {allowed}"))
}

pub fn threshold(text: &str) -> Result<f64, String> {
    number(text, "above 0.5 and below 1", |threshold| threshold > 0.5 && threshold < 1.0)
}

pub fn not_negative(text: &str) -> Result<f64, String> {
    number(text, "a number of at least 0", |value| value >= 0.0)
}

pub fn share(text: &str) -> Result<f64, String> {
    number(text, "above 0 and at most 1", |share| share > 0.0 && share <= 1.0)
}

pub fn at_least<const LEAST: usize>(text: &str) -> Result<usize, String> {
    let number = text.trim().parse().ok().filter(|number| *number >= LEAST);
    number.ok_or_else(|| format!("must be a whole number of at least {LEAST}"))
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

    #[test]
    fn what_is_outside_is_refused_with_what_is_allowed() {
        assert_eq!(threshold("0.99"), Ok(0.99));
        for text in ["0.5", "1", "nan", "inf", "", "x"] {
            assert_eq!(threshold(text), Err("must be above 0.5 and below 1".into()), "{text}");
        }
        assert_eq!((not_negative("0"), not_negative("-0.1").is_err()), (Ok(0.0), true));
        assert!(not_negative("-0").is_ok_and(f64::is_sign_positive), "0 has no sign");
        assert_eq!(
            (share("1"), share("1.01").is_err(), share("0").is_err()),
            (Ok(1.0), true, true)
        );
        assert_eq!((at_least::<3>("3"), at_least::<3>("2").is_err()), (Ok(3), true));
    }
}

//! The same search with other seeds.

use anyhow::{Context, Result};

use crate::ops::init::{images_of, open_or_init};
use crate::ops::{Experiment, recording};

/// Returns so many experiments, the first of them this one. Each of the others has the next seed,
/// of pictures the same parts, and lies beside it. All are made before the first is run.
pub fn siblings(first: Experiment, seeds: u32) -> Result<Vec<Experiment>> {
    let mut all = (2..=seeds).map(|number| sibling(&first, number)).collect::<Result<Vec<_>>>()?;
    all.insert(0, first);
    Ok(all)
}

fn sibling(first: &Experiment, number: u32) -> Result<Experiment> {
    let end = format!("-seed{number}");
    let mut config = first.config().config.clone();
    config.experiment.name.push_str(&end);
    config.experiment.seed = config.experiment.seed.wrapping_add(u64::from(number) - 1);
    config.data = images_of(first, &config.data)?;
    let root = first.dir().root();
    let mut name = root.file_name().unwrap_or_default().to_owned();
    name.push(&end);
    let dir = root.with_file_name(name);
    let config = recording::checked(config).with_context(|| format!("`{}`", dir.display()))?;
    open_or_init(config, &dir, first.trust)
}

//! The same search with other seeds.

use anyhow::{Context, Result};

use crate::ops::Experiment;
use crate::ops::init::open_or_init;

/// Returns so many experiments, the first of them this one. Each of the others has the next seed
/// and lies beside it, where it is made unless it is there.
pub fn siblings(first: Experiment, seeds: u32) -> Result<Vec<Experiment>> {
    let mut all = vec![first];
    for number in 2..=seeds {
        let next = sibling(&all[0], number)?;
        all.push(next);
    }
    Ok(all)
}

fn sibling(first: &Experiment, number: u32) -> Result<Experiment> {
    let end = format!("-seed{number}");
    let mut config = first.config().config.clone();
    config.experiment.name.push_str(&end);
    config.experiment.seed = config.experiment.seed.wrapping_add(u64::from(number) - 1);
    if first.frozen.pictures.is_some() {
        // Their parts follow from the seed: a picture that tests one would train another.
        first.check_data()?;
        config.data = first.trainer_data();
    }
    let root = first.dir().root();
    let mut name = root.file_name().unwrap_or_default().to_owned();
    name.push(&end);
    let dir = root.with_file_name(name);
    let config = config.check().with_context(|| format!("`{}`", dir.display()))?;
    open_or_init(config, &dir, first.trust)
}

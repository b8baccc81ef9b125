//! A configuration for a folder of pictures: `configs/images.yaml` with what the pictures say.

use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::thread;

use anyhow::{Context, bail};

use crate::config::{self, Setting, ValidConfig};
use crate::dataset::{FoundPictures, find_pictures};
use crate::ops::init::{absolute, load};
use crate::ops::{Experiment, Refusal};
use crate::storage::ExperimentDir;
use crate::storage::fs::publish;

const TEMPLATE: &str = include_str!("../../configs/images.yaml");

/// What an experiment is made of, and where.
pub struct Chosen {
    pub config: ValidConfig,
    pub dir: PathBuf,
    /// The configuration used for a folder of pictures, with comments where it is as written.
    pub text: Option<String>,
}

/// Reads a configuration, or writes one for a folder of pictures. Without a directory the
/// experiment lies in the current folder under its name; one that is there keeps its configuration.
pub fn choose(path: &Path, dir: Option<&Path>, settings: &[Setting]) -> anyhow::Result<Chosen> {
    if !path.is_dir() || ExperimentDir::is_at(path) {
        let config = load(path, settings)?;
        let dir = dir.map_or_else(|| PathBuf::from(&config.experiment.name), Path::to_owned);
        return Ok(Chosen { config, dir, text: None });
    }
    let named = || format!("`{}`", path.display());
    let path = path.canonicalize().with_context(named)?;
    let name = name_of_search(&path);
    let dir = dir.map_or_else(|| PathBuf::from(&name), Path::to_owned);
    let text = if ExperimentDir::is_at(&dir) {
        let frozen = Experiment::open(&dir)?.frozen.config;
        if frozen.data.path.as_ref() != Some(&path) {
            bail!(Refusal::Usage(format!(
                "`{}` holds an experiment on other images (name another directory)",
                dir.display()
            )));
        }
        frozen.to_yaml()
    } else {
        configuration(&path, &name, &find_pictures(&path)?)?
    };
    let config = absolute(config::parse(&text, settings).with_context(named)?, &path)?;
    let all =
        || format!("# `metaqnn config --defaults` explains the keys.\n{}", config.config.to_yaml());
    let text = if settings.is_empty() { text } else { all() };
    Ok(Chosen { config, dir, text: Some(text) })
}

/// Keeps the configuration of a folder of pictures for people, once.
pub fn keep_text(experiment: &Experiment, text: Option<&str>) -> anyhow::Result<()> {
    let path = experiment.dir().root().join("images.yaml");
    if let Some(text) = text.filter(|_| !path.exists()) {
        publish::replace_file(&path, text.as_bytes())?;
    }
    Ok(())
}

/// Of the folder's name what may stand in the name of an experiment.
fn name_of_search(pictures: &Path) -> String {
    let name = pictures.file_name().unwrap_or_default().to_string_lossy();
    let plain = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' };
    let name: String = name.chars().map(plain).take(50).collect();
    let name = name.trim_start_matches(|c: char| !c.is_ascii_alphanumeric());
    format!("{}-search", if name.is_empty() { "pictures" } else { name })
}

/// What the search may take, of the hour that a person may wait.
const SECONDS: f64 = 2_400.0;
/// Of a core, to train on a pixel once: measured with the networks of `configs/images.yaml`.
const SECONDS_PER_PIXEL: f64 = 2e-6;
const FEWEST_NETWORKS: usize = 12;
const FEWEST_EPOCHS: usize = 3;

/// Fills in `configs/images.yaml`.
fn configuration(path: &Path, name: &str, found: &FoundPictures) -> anyhow::Result<String> {
    let cores = thread::available_parallelism().map_or(1, NonZero::get) as f64;
    let seconds_per_picture = f64::from(found.input_size.pow(2)) * SECONDS_PER_PIXEL / cores;
    // How often a picture can be trained on in all.
    let most = (SECONDS / seconds_per_picture) as usize;
    let all = found.training.iter().sum::<usize>();
    // So many that the smallest class has its share.
    let least = 2 * all.div_ceil(found.training.iter().copied().min().unwrap_or(1).max(1));
    let training = (most / FEWEST_NETWORKS / FEWEST_EPOCHS).max(least).min(all).max(1);
    let epochs = (most / FEWEST_NETWORKS / training).clamp(FEWEST_EPOCHS, 20);
    let networks = (most / epochs / training).clamp(FEWEST_NETWORKS, 60);
    let limit = if training < all { training.to_string() } else { "null".to_owned() };
    let path = serde_json::to_string(path)?;
    let values = [
        ("name: images", name.to_owned()),
        ("classes: 10", found.training.len().to_string()),
        ("input_size: 32", found.input_size.to_string()),
        ("channels: 3", found.channels.to_string()),
        ("training_images: null", limit),
        ("epochs: 20", epochs.to_string()),
        ("{epochs: 60", (3 * epochs).to_string()),
        ("batch_size: 16", (training / 60).clamp(16, 128).to_string()),
        // First that of two stages: the number of the other may be 12.
        ("architectures: 12", (networks / 4).to_string()),
        ("architectures: 24", (networks - networks / 4 * 2).to_string()),
        // Last: a folder may have any of these names.
        ("path: data/pictures", path),
    ];
    Ok(values.iter().fold(TEMPLATE.to_owned(), |text, (default, value)| {
        let key = default.split(' ').next().unwrap_or_default();
        text.replace(default, &format!("{key} {value}"))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(training: [usize; 3], input_size: u32) -> config::ExperimentConfig {
        let found = FoundPictures { training: training.to_vec(), input_size, channels: 1 };
        let path = Path::new("/data/my \"classes: 10\" folder");
        let text = configuration(path, "mine-search", &found).unwrap();
        let config = config::parse(&text, &[]).unwrap();
        assert_eq!(config.data.path.as_deref(), Some(path));
        assert_eq!(config.experiment.name, "mine-search");
        let data = (config.data.classes, config.data.input_size, config.data.channels);
        assert_eq!(data, (3, input_size, 1));
        let epochs = config.training.epochs;
        let last = config.clone().check().unwrap().final_config(Vec::new()).unwrap();
        assert_eq!(last.training.epochs, 3 * epochs);
        config
    }

    #[test]
    fn more_and_larger_pictures_get_fewer_networks_and_epochs() {
        let cores = thread::available_parallelism().unwrap().get() as f64;
        let mut before = f64::INFINITY;
        for (pictures, size) in [(100, 16), (5_000, 64), (2_000_000, 64)] {
            let config = written([pictures / 3; 3], size);
            let stages = config.epsilon_schedule.clone().check().unwrap();
            let networks = stages.networks();
            let epochs = networks as f64 * f64::from(config.training.epochs);
            let images = f64::from(config.data.training_images.unwrap_or(pictures as u32));
            let pixels = epochs * images * f64::from(size * size);
            assert!(pixels * SECONDS_PER_PIXEL / cores <= 1.01 * SECONDS, "{pictures}");
            assert!(networks >= FEWEST_NETWORKS as u64 && epochs <= before, "{pictures}");
            before = epochs;
        }
    }

    #[test]
    fn every_number_of_networks_is_shared_by_the_stages() {
        let cores = thread::available_parallelism().unwrap().get() as f64;
        let most = SECONDS / (64.0 * 64.0 * SECONDS_PER_PIXEL) * cores;
        for networks in 12..=60 {
            let config = written([(most / 20.0 / 3.0 / f64::from(networks)) as usize; 3], 64);
            let stages = config.epsilon_schedule.clone().check().unwrap();
            let [random, rest, last] =
                [0, 1, 2].map(|stage: usize| stages.stages()[stage].architectures);
            assert!(rest == last && random >= 2 * rest, "{networks}: {random} {rest} {last}");
        }
    }

    #[test]
    fn fewer_images_leave_some_of_the_smallest_class() {
        let small = written([1_000_000, 1_000_000, 20], 64).data.training_images;
        assert!(small.is_none_or(|images| images >= 200_000), "{small:?}");
    }

    #[test]
    fn a_folder_s_name_becomes_that_of_its_search() {
        for (folder, name) in
            [("/a/flowers", "flowers"), ("/a/.Löwen und so", "L-wen-und-so"), ("/", "pictures")]
        {
            assert_eq!(name_of_search(Path::new(folder)), format!("{name}-search"));
        }
    }
}

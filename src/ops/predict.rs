//! Which classes a trained network finds in pictures.

use std::fs;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::num::NonZero;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::thread;

use anyhow::{Context, Result, bail};
use clap::Args;
use rustix::fs::OFlags;
use serde::Serialize;

use crate::dataset::{Array, DataParams, GivenImages, ValidDataParams, read_array, read_given};
use crate::model::ModelCard;
use crate::ops::Refusal;
use crate::ops::run::catch_interrupts;
use crate::regular_file;
use crate::training::protocol::{EvaluatedPart, Evaluation};
use crate::training::{Interrupt, Recipe, TICK, TrainingEnd, evaluate};

/// Of the trainer, in seconds: it says nothing until it has seen all pictures, however many.
const LONGEST_SILENCE: f64 = 1e9;

#[derive(Debug, Args)]
pub struct PredictOptions {
    /// The folder of the model, such as `DIR/models/000123.1` (`metaqnn status DIR` names the best)
    pub model: PathBuf,
    /// Pictures, folders of pictures, and `.npy` arrays `[N, C, H, W]` or `[N, H, W, C]`
    #[arg(required = true, value_name = "PICTURE|FOLDER")]
    pub pictures: Vec<PathBuf>,
    /// Leave out pictures that cannot be read
    #[arg(long)]
    pub skip_unreadable: bool,
    /// Write what the network sees, before its own preprocessing, to a new file: numbers
    /// `[N, C, H, W]`, 0 to 255
    #[arg(long, value_name = "FILE.npy")]
    pub dump: Option<PathBuf>,
}

/// The three classes that are the most likely, where there are so many.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Classification {
    pub file: String,
    pub class: String,
    pub probability: f32,
    pub second_class: Option<String>,
    pub second_probability: Option<f32>,
    pub third_class: Option<String>,
    pub third_probability: Option<f32>,
}

/// One of each image, in the order in which they are named, those of a folder by their names.
pub fn predict(options: &PredictOptions) -> Result<Vec<Classification>> {
    let PredictOptions { model, dump, .. } = options;
    if !model.join("model.json").exists() {
        bail!(Refusal::Usage(format!(
            "`{}` is no folder of a model (name one of those in `models/` of an experiment: \
             `metaqnn status DIR` names the best)",
            model.display()
        )));
    }
    if let Some(path) = dump.as_ref().filter(|path| path.symlink_metadata().is_ok()) {
        bail!(Refusal::Usage(format!(
            "`{}` exists (name a new file for `--dump`)",
            path.display()
        )));
    }
    // Before there is a folder to remove.
    let interrupt = catch_interrupts()?;
    let work = tempfile::tempdir().context("failed to make a folder (set TMPDIR)")?;
    let [copy, output] = ["model", "output"].map(|name| work.path().join(name));
    for folder in [&copy, &output] {
        fs::create_dir(folder).with_context(|| format!("failed to make `{}`", folder.display()))?;
    }
    let card = ModelCard::copy(model, &copy)?;
    let skip_unreadable = options.skip_unreadable;
    let data =
        DataParams { kind: None, path: None, skip_unreadable, ..card.data.clone() }.check()?;
    let GivenImages { names, numbers, notices } =
        read_unless_interrupted(options.pictures.clone(), data.clone(), &interrupt)?;
    notices.iter().for_each(|notice| log::warn!("{notice}"));
    let arrays = dump.clone().unwrap_or_else(|| work.path().join("pictures.npy"));
    let shape = data.shape();
    let bytes = numbers.into_iter().flat_map(f32::to_le_bytes).collect();
    let sides = vec![names.len(), shape.channels, shape.size, shape.size];
    write(&arrays, &Array::new("f4", sides, bytes))
        .with_context(|| format!("failed to write `{}`", arrays.display()))?;
    let asked = Evaluation {
        models: vec![copy],
        part: EvaluatedPart::Arrays(std::path::absolute(&arrays)?),
        output: output.clone(),
        experiment_seed: card.request.experiment_seed,
        threads: thread::available_parallelism().map_or(1, NonZero::get) as u32,
        // Never the command of a model that came from elsewhere.
        recipe: Recipe {
            precision: card.request.recipe.precision,
            silence_limit: LONGEST_SILENCE,
            ..Recipe::default()
        },
        ..Evaluation::default()
    };
    match evaluate(asked, &work.path().join("log"), interrupt)? {
        TrainingEnd::Done => {}
        TrainingEnd::Interrupted => return Err(interrupted()),
        other => bail!(Refusal::Environment(format!("the trainer ended otherwise: {other:?}"))),
    }
    let probabilities = read_array(&output.join("model.npz"), "probabilities")?;
    let probabilities = probabilities.numbers().unwrap_or_default();
    if probabilities.len() != names.len() * card.classes.len() {
        bail!(Refusal::Damage(format!(
            "`{}` names {} classes, and its network has others (restore `model.json`)",
            model.display(),
            card.classes.len()
        )));
    }
    let rows = probabilities.chunks_exact(card.classes.len());
    Ok(names.into_iter().zip(rows).map(|(file, row)| of(file, row, &card.classes)).collect())
}

/// Ends at the first signal, not at the last picture.
fn read_unless_interrupted(
    pictures: Vec<PathBuf>,
    data: ValidDataParams,
    interrupt: &Interrupt,
) -> Result<GivenImages> {
    let reading = thread::spawn(move || read_given(&pictures, &data));
    while !reading.is_finished() && !interrupt.arrives_within(TICK) {}
    if interrupt.signal().is_some() {
        return Err(interrupted());
    }
    Ok(reading.join().unwrap_or_else(|panic| resume_unwind(panic))?)
}

fn interrupted() -> anyhow::Error {
    Refusal::TryAgain("interrupted".to_owned()).into()
}

fn write(path: &Path, array: &Array) -> std::io::Result<()> {
    let mut options = File::options();
    options.write(true).create_new(true);
    let mut writer = BufWriter::new(regular_file::open(path, &options, OFlags::NOFOLLOW)?);
    array.write(&mut writer)?;
    writer.flush()
}

/// Of equally likely classes the first comes first.
fn of(file: String, probabilities: &[f32], classes: &[String]) -> Classification {
    let mut ranked: Vec<_> = probabilities.iter().copied().zip(classes).collect();
    ranked.sort_by(|(one, _), (other, _)| other.total_cmp(one));
    let mut ranked = ranked.into_iter();
    let (probability, class) = ranked.next().expect("a model has classes");
    let mut next = || ranked.next().map(|(share, class)| (class.clone(), share)).unzip();
    let (second_class, second_probability) = next();
    let (third_class, third_probability) = next();
    Classification {
        file,
        class: class.clone(),
        probability,
        second_class,
        second_probability,
        third_class,
        third_probability,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::training::Signal;

    #[test]
    fn a_file_that_is_there_is_not_written_over_and_a_signal_ends_the_reading() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in ["model.json", "replay.csv"] {
            fs::write(at(name), "mine").unwrap();
        }
        let options = PredictOptions {
            model: folder.path().to_owned(),
            pictures: vec![at("none.png")],
            skip_unreadable: false,
            dump: Some(at("replay.csv")),
        };
        let problem = predict(&options).unwrap_err().to_string();
        assert!(problem.contains("replay.csv` exists (name a new file"), "{problem}");
        let array = Array::new("f4", vec![0], Vec::new());
        write(&at("replay.csv"), &array).unwrap_err();
        assert_eq!(fs::read(at("replay.csv")).unwrap(), b"mine");

        let interrupt = Interrupt::default();
        interrupt.raise(Signal::Terminate);
        let data = serde_json::json!({"classes": 2, "input_size": 8, "channels": 1});
        let data: DataParams = serde_json::from_value(data).unwrap();
        let read = read_unless_interrupted(vec![at("none.png")], data.check().unwrap(), &interrupt);
        assert_eq!(read.unwrap_err().to_string(), "interrupted");
    }

    #[test]
    fn the_three_likeliest_classes_are_named_in_order() {
        let classes = ["a", "b", "c", "d"].map(str::to_owned);
        let found = of("x.png".into(), &[0.125, 0.5, 0.125, 0.25], &classes);
        let names = [Some("b"), Some("d"), Some("a")];
        let three = [Some(&found.class), found.second_class.as_ref(), found.third_class.as_ref()];
        assert_eq!(three.map(|class| class.map(String::as_str)), names);
        let shares = (found.probability, found.second_probability, found.third_probability);
        assert_eq!(shares, (0.5, Some(0.25), Some(0.125)));
        let two = of("x.png".into(), &[0.75, 0.25], &classes[..2]);
        assert_eq!((two.second_class.as_deref(), two.third_class), (Some("b"), None));
    }
}

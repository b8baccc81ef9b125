//! Recorded trainings in the place of new ones: an experiment as a benchmark.
//!
//! A recording is a CSV file, or its gzip, which `metaqnn export EXPERIMENT FILE --recorded`
//! writes: a row for each epoch of each training, in order, and one without an epoch for a training
//! that has none. Its columns go by name; others are passed over:
//!
//! | column | is |
//! | --- | --- |
//! | `architecture`, `repeat` | what was trained |
//! | `event` | how it ended: `trained`, `failed`, `out_of_memory` |
//! | `reason` | of a failure |
//! | `start`, `epoch`, `learning_rate`, `validation_accuracy`, `seconds` | as in a learning curve |
//! | `trainer`, `parameters`, `macs`, `layers` | for people: who trained, and features |
//!
//! An architecture may have several trainings, in one file or in several.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use flate2::read::MultiGzDecoder;
use itertools::Itertools;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::protocol::{EpochReport, Request};
use super::recipe::Recipe;
use super::trainer::{Report, Trainer, TrainingEnd, TrainingError};
use crate::invalid::Invalid;
use crate::maths::mean;
use crate::outcome::Accuracy;
use crate::regular_file::{LARGE, NotAFile};
use crate::seed::{self, Purpose};
use crate::space::{Architecture, Space};

/// A row of the file; of the columns for people alone none is needed.
#[derive(Debug, Serialize, Deserialize)]
pub struct RecordedRow {
    pub architecture: String,
    #[serde(default = "one")]
    pub repeat: u32,
    pub event: RecordedEvent,
    pub reason: Option<String>,
    pub start: Option<u32>,
    pub epoch: Option<u32>,
    pub learning_rate: Option<f64>,
    pub validation_accuracy: Option<Accuracy>,
    pub seconds: Option<f64>,
    #[serde(skip_deserializing)]
    pub trainer: &'static str,
    #[serde(skip_deserializing)]
    pub parameters: Option<u64>,
    #[serde(skip_deserializing)]
    pub macs: Option<u64>,
    #[serde(skip_deserializing)]
    pub layers: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordedEvent {
    Trained,
    Failed,
    OutOfMemory,
}

const fn one() -> u32 {
    1
}

#[derive(Debug, Default)]
pub struct RecordedTrainings {
    /// By their names in the log.
    trainings: BTreeMap<String, Vec<RecordedTraining>>,
    /// Of the files, unpacked.
    hasher: Sha256,
    /// Networks that were recorded but are not in the search space.
    illegal: usize,
    /// Networks whose curves are cut, and therefore left out.
    pub stopped: usize,
}

#[derive(Debug, PartialEq)]
struct RecordedTraining {
    /// All starts.
    curve: Vec<EpochReport>,
    end: TrainingEnd,
}

impl RecordedTraining {
    fn of(rows: &[RecordedRow]) -> Result<Self, &'static str> {
        let mut curve: Vec<EpochReport> = Vec::new();
        for row in rows.iter().filter(|row| rows.len() > 1 || row.epoch.is_some()) {
            let (start, epoch) = row.start.zip(row.epoch).ok_or("`start` or `epoch` is empty")?;
            let follows = match curve.last() {
                Some(last) if last.start == start => epoch == last.epoch + 1,
                last => epoch == 1 && start > last.map_or(0, |last| last.start),
            };
            if !follows {
                return Err("the epochs of a start do not count from 1");
            }
            curve.push(EpochReport {
                epoch,
                start,
                learning_rate: row.learning_rate,
                validation_accuracy: row.validation_accuracy.map(Accuracy::value),
                seconds: row.seconds,
                ..EpochReport::default()
            });
        }
        let end = match rows[0].event {
            RecordedEvent::Trained if curve.is_empty() => {
                return Err("a network is trained and has no epoch");
            }
            RecordedEvent::Trained => TrainingEnd::Done,
            RecordedEvent::Failed => {
                TrainingEnd::Failed { reason: rows[0].reason.clone().unwrap_or_default() }
            }
            RecordedEvent::OutOfMemory => TrainingEnd::OutOfMemory { peak_bytes: None },
        };
        Ok(Self { curve, end })
    }

    /// Of the last start.
    fn epochs(&self) -> u32 {
        self.curve.last().map_or(0, |last| last.epoch)
    }

    /// Of a training that is asked for so many epochs.
    fn end_after(&self, epochs: u32) -> TrainingEnd {
        // Whatever came after these; a first epoch may have been the last.
        let is_whole = self.epochs() >= epochs.max(2);
        if is_whole { TrainingEnd::Done } else { self.end.clone() }
    }
}

impl RecordedTrainings {
    /// Adds the trainings of a file's networks as far as they are in the space.
    pub fn add(&mut self, bytes: Vec<u8>, path: &Path, space: &Space) -> Result<(), Invalid> {
        let problem = |why: String| {
            let remedy = "`metaqnn export EXPERIMENT FILE --recorded` writes a recording";
            Invalid::new("training.recorded", path.display(), format!("{why}; {remedy}"))
        };
        let text = unpacked(bytes).map_err(|error| problem(format!("is not readable: {error}")))?;
        self.hasher.update(&text);
        let rows: Result<Vec<RecordedRow>, _> =
            csv::Reader::from_reader(&*text).deserialize().collect();
        let rows = rows.map_err(|error| problem(format!("has no learning curves: {error}")))?;
        if rows.iter().all(|row| row.validation_accuracy.is_none()) {
            return Err(problem("has no learning curves".to_owned()));
        }
        for rows in rows.chunk_by(|one, other| {
            (&one.architecture, one.repeat) == (&other.architecture, other.repeat)
        }) {
            let text = &rows[0].architecture;
            let of_network = |why| problem(format!("repeat {} of `{text}`: {why}", rows[0].repeat));
            let training = RecordedTraining::of(rows).map_err(of_network)?;
            match space.parse(text) {
                Ok(own) => self.trainings.entry(own.to_string()).or_default().push(training),
                Err(_) => self.illegal += 1,
            }
        }
        Ok(())
    }

    /// Checks that a search can be made of it.
    pub fn check(&self, recipe: &Recipe) -> Result<(), Invalid> {
        let allowed = match self.trainings.len() {
            0 => format!(
                "none of its {} trainings is of `search_space`: is it the recording of another \
                 one?",
                self.illegal
            ),
            _ => "it has one network of `search_space`, and a search needs two".to_owned(),
        };
        let paths = recipe.recorded.iter().map(|path| path.display()).join(", ");
        Invalid::unless(self.trainings.len() > 1, "training.recorded", paths, &allowed)?;
        let done = self.trainings.values().flatten().filter(|it| it.end == TrainingEnd::Done);
        let least = done.map(RecordedTraining::epochs).min().unwrap_or(u32::MAX);
        let allowed = format!("`training.trainer` is `recorded`: at most {least}, those recorded");
        Invalid::unless(recipe.epochs <= least, "training.epochs", recipe.epochs, &allowed)
    }

    pub fn sha256(&self) -> String {
        format!("{:x}", self.hasher.clone().finalize())
    }

    pub fn has_all_seconds(&self) -> bool {
        let mut epochs = self.trainings.values().flatten().flat_map(|it| &it.curve);
        epochs.all(|epoch| epoch.seconds.is_some_and(|it| it.is_finite() && it >= 0.0))
    }

    /// Of a whole training.
    pub fn mean_seconds(&self) -> f64 {
        let seconds =
            |it: &RecordedTraining| it.curve.iter().filter_map(|epoch| epoch.seconds).sum();
        mean(self.trainings.values().flatten().map(seconds).collect_vec().into_iter())
    }

    /// What is true of each network: the mean over its trainings of the best validation accuracy,
    /// 0 of one that no training of so many epochs brings to its end, so that none finds it.
    pub fn accuracies(&self, epochs: u32) -> impl Iterator<Item = (&String, f64)> {
        let best = |training: &RecordedTraining| {
            let last_start = training.curve.last().map(|last| last.start);
            let epochs = training.curve.iter().filter(|epoch| Some(epoch.start) == last_start);
            epochs.filter_map(|epoch| epoch.validation_accuracy).fold(0.0, f64::max)
        };
        self.trainings.iter().map(move |(name, all)| {
            let is_trained = all.iter().any(|it| it.end_after(epochs) == TrainingEnd::Done);
            (name, if is_trained { mean(all.iter().map(best)) } else { 0.0 })
        })
    }

    /// Those of the space that it was read with, in the order of their names.
    pub fn networks(&self, space: &Space) -> Vec<Architecture> {
        let names = self.trainings.keys();
        names.map(|name| space.parse(name).expect("read in this space")).collect()
    }
}

fn unpacked(bytes: Vec<u8>) -> io::Result<Vec<u8>> {
    if !bytes.starts_with(&[0x1f, 0x8b]) {
        return Ok(bytes);
    }
    let mut text = Vec::new();
    let read = MultiGzDecoder::new(&*bytes).take(LARGE + 1).read_to_end(&mut text)?;
    if read as u64 > LARGE { Err(NotAFile::TooLarge(LARGE).into()) } else { Ok(text) }
}

/// Answers at once with what was recorded of the architecture, times included. Of several trainings
/// one answers that follows from the seed of the experiment, the architecture and its repeat: the
/// same for every strategy.
#[derive(Debug)]
pub(super) struct RecordedTrainer(pub Arc<RecordedTrainings>);

impl Trainer for RecordedTrainer {
    fn train(
        &mut self,
        request: &Request,
        _log: &Path,
        on_report: &mut dyn FnMut(Report) -> ControlFlow<()>,
    ) -> Result<TrainingEnd, TrainingError> {
        let Some(trainings) = self.0.trainings.get(&request.architecture) else {
            let reason = format!("`{}` is not recorded", request.architecture);
            return Err(TrainingError::Refused { program: "recorded".into(), reason });
        };
        let drawn = seed::number(request.experiment_seed, Purpose::Recorded, request.stream, 0);
        let training = &trainings[drawn as usize % trainings.len()];
        for report in training.curve.iter().filter(|report| report.epoch <= request.epochs) {
            if on_report(Report::Epoch(report)).is_break() {
                return Ok(TrainingEnd::Stopped);
            }
        }
        Ok(training.end_after(request.epochs))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::fixture::{request, request_for};
    use super::*;
    use crate::space::{DataShape, SpaceParams};

    const HEADER: &str = "seconds,architecture,event,reason,start,epoch,validation_accuracy\n";

    fn space() -> Space {
        let image = DataShape { size: 32, channels: 3, classes: 10 };
        SpaceParams::default().check(image).unwrap()
    }

    fn read(text: &str) -> Result<RecordedTrainings, Invalid> {
        let mut trainings = RecordedTrainings::default();
        let bytes = format!("{HEADER}{text}").into_bytes();
        trainings.add(bytes, Path::new("curves.csv"), &space()).map(|()| trainings)
    }

    /// The answer to a request of so many epochs: epochs with start and accuracy, and the end.
    fn answer(text: &str, epochs: u32) -> (Vec<(u32, u32, f64)>, TrainingEnd) {
        let mut trainer = RecordedTrainer(Arc::new(read(text).unwrap()));
        let (request, mut reports) = (request_for("[SM(10)]", epochs), Vec::new());
        let end = trainer.train(&request, Path::new("unused"), &mut |report| {
            let Report::Epoch(report) = report else { unreachable!() };
            assert_eq!(report.seconds, Some(0.25));
            reports.push((report.start, report.epoch, report.validation_accuracy.unwrap()));
            ControlFlow::Continue(())
        });
        (reports, end.unwrap())
    }

    /// Diverges after its second start's third epoch.
    const FAILED: &str = "0.25,[SM(10)],failed,is NaN,1,1,0.1\n0.25,[SM(10)],failed,is NaN,2,1,0.3\n\
                          0.25,[SM(10)],failed,is NaN,2,2,0.5\n0.25,[SM(10)],failed,is NaN,2,3,0.4\n";

    #[test]
    fn every_start_is_reported_and_a_failure_after_the_last_epoch_is_none() {
        let all = [(1, 1, 0.1), (2, 1, 0.3), (2, 2, 0.5), (2, 3, 0.4)];
        let failed = TrainingEnd::Failed { reason: "is NaN".into() };
        assert_eq!(answer(FAILED, 4), (all.to_vec(), failed));
        assert_eq!(answer(FAILED, 3), (all.to_vec(), TrainingEnd::Done));
        assert_eq!(answer(FAILED, 2), (all[..3].to_vec(), TrainingEnd::Done));
    }

    #[test]
    fn a_training_without_an_epoch_is_one() {
        let text = format!("{FAILED},[ SM(10) ],out_of_memory,,,,\n");
        let trainings = read(&text).unwrap();
        let ends: Vec<_> = trainings.trainings["[SM(10)]"].iter().map(|it| &it.end).collect();
        assert_eq!(*ends[1], TrainingEnd::OutOfMemory { peak_bytes: None });
        assert_eq!(trainings.trainings["[SM(10)]"][1].curve, []);
    }

    #[test]
    fn what_no_training_brings_to_its_end_is_not_among_the_best() {
        let truth = |text: &str, epochs| {
            let found = read(text).unwrap();
            found.accuracies(epochs).map(|(_, accuracy)| accuracy).collect::<Vec<_>>()
        };
        assert_eq!((truth(FAILED, 3), truth(FAILED, 4)), (vec![0.5], vec![0.0]));
        let trained = "0.25,[ SM(10) ],trained,,1,1,0.3\n0.25,[ SM(10) ],trained,,1,2,0.25\n";
        assert_eq!(truth(&format!("{FAILED}{trained}"), 2), [0.4]);
    }

    #[test]
    fn what_is_not_recorded_is_not_trained() {
        let mut trainer = RecordedTrainer(Arc::new(read(FAILED).unwrap()));
        let refused = trainer.train(&request(2), Path::new("unused"), &mut |_| unreachable!());
        assert!(refused.unwrap_err().is_refusal());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(
            bytes in prop::collection::vec(any::<u8>(), 0..200),
            cells in prop::collection::vec("[-0-9.eN]{0,4}", 3),
            is_packed: bool,
        ) {
            let packed = [&[0x1f, 0x8b][..], &bytes].concat();
            let bytes = if is_packed { packed } else { bytes };
            let mut trainings = RecordedTrainings::default();
            let _ = trainings.add(bytes, Path::new("any"), &space());
            let _ = read(&format!("0.25,[SM(10)],trained,,{}\n", cells.join(",")));
        }
    }
}

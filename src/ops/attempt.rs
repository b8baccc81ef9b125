//! One attempt at training a claimed architecture: the request, the learning curve, and the row it comes to.

use std::fs;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::Context;
use jiff::Timestamp;

use super::task::Task;
use super::{Experiment, TrainEvent};
use crate::outcome::{Accuracy, Outcome};
use crate::predictor::{StoppingRule, Verdict};
use crate::seed::{Purpose, number};
use crate::space::Architecture;
use crate::storage::knowledge::EarlierAttempt;
use crate::storage::{
    Attempt, Curve, CurveRow, CurveSummary, CurveWriter, Row, StorageError, Training,
};
use crate::training::protocol::{LayerDescription, Request, VERSION};
use crate::training::{Ending, EpochReport, Trainer, TrainingError};

/// A claim of this task, about to be trained.
#[derive(Debug, Clone)]
pub(super) struct Claim {
    /// The `claimed` row.
    pub row: Row,
    /// The attempt that it began.
    pub attempt: Attempt,
    /// What is to be trained.
    pub architecture: Architecture,
}

/// How an attempt ended.
#[derive(Debug)]
pub(super) enum AttemptEnd {
    /// With a result: the row to record.
    Result(Box<Row>),
    /// Without one, for this reason, after so many seconds.
    Lost { reason: String, seconds: f64 },
    /// By a signal.
    Interrupted,
}

/// The file in a checkpoint folder that says: the attempt left on a signal, so its end counts as no loss.
const LEFT_ON_SIGNAL: &str = "left_on_signal";

/// Everything an attempt needs beside its claim.
pub(super) struct Bench<'a> {
    /// The experiment.
    pub experiment: &'a Experiment,
    /// Who trains.
    pub task: &'a Task,
    /// CPU threads of a network.
    pub threads: u32,
    /// Where events go.
    pub on_event: &'a mut dyn FnMut(TrainEvent) -> anyhow::Result<()>,
}

impl Bench<'_> {
    /// Trains the claimed architecture.
    ///
    /// # Errors
    /// When files of the attempt cannot be written, or the trainer refuses to work at all.
    pub fn train(
        &mut self,
        claim: &Claim,
        trainer: &mut dyn Trainer,
    ) -> anyhow::Result<AttemptEnd> {
        let began = Instant::now();
        let earlier = self.earlier_curve(claim.attempt)?;
        let request = self.request(claim)?;
        let dir = self.experiment.dir();
        let mut log = CurveInProgress {
            path: dir.curve(claim.attempt),
            earlier,
            writer: None,
            rows: Vec::new(),
            problem: None,
        };
        let rule = StoppingRule::default();
        let iteration = claim.attempt.iteration.0;
        let on_event = &mut *self.on_event;
        let ended = trainer.train(&request, &dir.trainer_log(claim.attempt), &mut |report| {
            // No predictor yet: the rule is asked all the same, and says to go on.
            let verdict = rule.verdict(None, None);
            let kept = log.append(report).map_err(anyhow::Error::from);
            if let Err(problem) = kept.and_then(|()| on_event(epoch_event(iteration, report))) {
                log.problem.get_or_insert(problem);
                return ControlFlow::Break(());
            }
            match verdict {
                Verdict::Continue { .. } => ControlFlow::Continue(()),
                Verdict::Stop { .. } => ControlFlow::Break(()),
            }
        });
        let seconds = began.elapsed().as_secs_f64();
        if let Some(problem) = log.problem.take() {
            return Err(problem);
        }
        match ended {
            Ok(Ending::Interrupted) => {
                self.mark_signal(claim.attempt)?;
                Ok(AttemptEnd::Interrupted)
            }
            Ok(ending) => {
                let lost_seconds = log.lost_seconds();
                let rows = log.finish()?;
                self.result(claim, &ending, &rows, seconds, lost_seconds)
            }
            Err(error) if error.is_refusal() => Err(error.into()),
            Err(error) => Ok(AttemptEnd::Lost { reason: one_line(&error), seconds }),
        }
    }

    fn request(&self, claim: &Claim) -> anyhow::Result<Request> {
        let config = self.experiment.config();
        let checkpoint = self.checkpoint(claim.attempt)?;
        let resume = checkpoint.is_some() && claim.attempt.number > 1;
        let iteration = claim.attempt.iteration.0;
        Ok(Request {
            iteration,
            attempt: claim.attempt.number,
            architecture: claim.architecture.to_string(),
            layers: LayerDescription::of(&config.space, &claim.architecture),
            epochs: config.recipe.recipe().epochs,
            seed: number(config.seed(), Purpose::Weights, iteration, 0),
            checkpoint,
            resume,
            seconds_left: self
                .task
                .end_time
                .map(|end| end.duration_since(Timestamp::now()).as_secs_f64()),
            ..rehearsal(self.experiment, self.threads)?
        })
    }

    /// Returns the attempt's own checkpoint folder, with what the newest earlier attempt left in it.
    /// Checkpoints are kept under a scheduler only: a local search has nobody to take a claim up again.
    fn checkpoint(&self, attempt: Attempt) -> anyhow::Result<Option<PathBuf>> {
        if self.task.slurm.is_none() {
            return Ok(None);
        }
        let dir = self.experiment.dir();
        let folder = dir.checkpoint(attempt);
        fs::create_dir_all(&folder)
            .with_context(|| format!("failed to create `{}`", folder.display()))?;
        let earlier = dir
            .list_checkpoints()?
            .into_iter()
            .filter(|(other, _)| {
                other.iteration == attempt.iteration && other.number < attempt.number
            })
            .max_by_key(|(other, _)| other.number);
        if let Some((_, source)) = earlier {
            copy_files(&source, &folder)?;
        }
        Ok(Some(folder))
    }

    fn earlier_curve(&self, attempt: Attempt) -> anyhow::Result<Curve> {
        let dir = self.experiment.dir();
        for number in (1..attempt.number).rev() {
            let path = dir.curve(Attempt { number, ..attempt });
            if path.exists() {
                return Ok(Curve::read(&path)?);
            }
        }
        Ok(Curve::default())
    }

    fn mark_signal(&self, attempt: Attempt) -> anyhow::Result<()> {
        let folder = self.experiment.dir().checkpoint(attempt);
        let path = folder.join(LEFT_ON_SIGNAL);
        fs::create_dir_all(&folder)
            .and_then(|()| fs::write(&path, ""))
            .with_context(|| format!("failed to write `{}`", path.display()))
    }

    fn result(
        &self,
        claim: &Claim,
        ending: &Ending,
        rows: &[CurveRow],
        seconds: f64,
        lost_seconds: f64,
    ) -> anyhow::Result<AttemptEnd> {
        let config = self.experiment.config();
        let cost = config.space.cost(&claim.architecture);
        // A start counts once its first epoch has beaten the threshold.
        let threshold = config.recipe.first_epoch_threshold();
        let passed = rows.first().is_some_and(|row| row.validation_accuracy.value() > threshold);
        let training = Training {
            parameters: cost.parameters,
            macs: cost.macs,
            layers: claim.architecture.depth() as u32,
            learning_rate: rows.first().filter(|_| passed).and_then(|row| row.learning_rate),
            restarts: rows.first().map_or(0, |row| row.start - 1),
            train_seconds: seconds,
            lost_seconds,
            time: Timestamp::now().into(),
        };
        let curve = summary(rows);
        let classes = config.space.image().classes;
        let reward =
            |outcome: &Outcome| config.reward().reward(outcome, classes).map(Accuracy::value);
        let expected = "every outcome of a training but one has a reward";
        let row = match (ending, curve) {
            (Ending::Done, Some(curve)) => {
                let outcome = Outcome::Trained { best: curve.best, last: curve.last };
                Row::trained(&claim.row, &training, curve, None, reward(&outcome).expect(expected))
            }
            (Ending::Failed { reason }, curve) => {
                let curve = curve.filter(|_| passed);
                let outcome = Outcome::Failed { best: curve.map(|curve| curve.best) };
                Row::failed(&claim.row, &training, curve, reason, reward(&outcome).expect(expected))
            }
            (Ending::OutOfMemory { peak_bytes }, _) => {
                let reason = peak_bytes
                    .map_or(String::new(), |bytes| format!("{bytes} bytes in use at most"));
                Row::out_of_memory(&claim.row, &training, &reason, reward(&Outcome::OutOfMemory))
            }
            (Ending::Done | Ending::Stopped | Ending::Interrupted, _) => {
                let reason = "the trainer ended without an epoch".to_owned();
                return Ok(AttemptEnd::Lost { reason, seconds });
            }
        };
        Ok(AttemptEnd::Result(Box::new(row)))
    }

    /// Tells how an earlier attempt ended, by what it left behind.
    pub fn end_of(experiment: &Experiment, attempt: Attempt) -> anyhow::Result<EarlierAttempt> {
        let dir = experiment.dir();
        if dir.checkpoint(attempt).join(LEFT_ON_SIGNAL).exists() {
            return Ok(EarlierAttempt::LeftOnSignal);
        }
        let curve = |number: u32| -> anyhow::Result<Curve> {
            let path = dir.curve(Attempt { number, ..attempt });
            Ok(if number > 0 && path.exists() { Curve::read(&path)? } else { Curve::default() })
        };
        // A curve begins with what an earlier attempt had; more than that is its own.
        let (before, after) = (curve(attempt.number - 1)?, curve(attempt.number)?);
        let added_nothing = before.rows().starts_with(after.rows());
        Ok(if added_nothing { EarlierAttempt::CameToNothing } else { EarlierAttempt::AddedEpochs })
    }
}

/// Returns a request of 0 epochs: it names recipe and data, and asks for no network.
pub(super) fn rehearsal(experiment: &Experiment, threads: u32) -> anyhow::Result<Request> {
    let config = experiment.config();
    let image = config.space.image();
    Ok(Request {
        protocol: VERSION,
        iteration: 0,
        attempt: 0,
        architecture: String::new(),
        layers: Vec::new(),
        classes: image.classes,
        channels: image.channels,
        input_size: image.size,
        epochs: 0,
        seed: 0,
        experiment_seed: config.seed(),
        checkpoint: None,
        resume: false,
        seconds_left: None,
        threads,
        recipe: config.recipe.recipe().clone(),
        data: serde_json::to_value(&config.config.data)?,
    })
}

/// The curve of an attempt while it grows. Its file begins with the first report, which tells how
/// much of an earlier attempt's curve still stands.
struct CurveInProgress {
    path: PathBuf,
    earlier: Curve,
    writer: Option<CurveWriter>,
    rows: Vec<CurveRow>,
    problem: Option<anyhow::Error>,
}

impl CurveInProgress {
    fn append(&mut self, report: &EpochReport) -> Result<(), StorageError> {
        let accuracy =
            |value: f64| Accuracy::new(value).expect("the protocol lets no other number through");
        let row = CurveRow {
            epoch: report.epoch,
            start: report.start,
            learning_rate: report.learning_rate,
            training_loss: report.training_loss,
            training_accuracy: report.training_accuracy.map(accuracy),
            validation_loss: report.validation_loss,
            validation_accuracy: accuracy(report.validation_accuracy),
            seconds: report.seconds,
            time: Timestamp::now().into(),
            predicted_accuracy: None,
            sigma: None,
            stop_probability: None,
        };
        if self.writer.is_none() {
            self.rows = self.earlier.before(row.start, row.epoch).to_vec();
            self.writer = Some(CurveWriter::create(self.path.clone(), &self.rows)?);
        }
        self.writer.as_mut().expect("made above").append(&row)?;
        self.rows.push(row);
        Ok(())
    }

    /// Seconds of earlier attempts that this one could not build on.
    fn lost_seconds(&self) -> f64 {
        let kept = if self.writer.is_some() {
            self.earlier.rows().iter().filter(|row| self.rows.contains(row)).count()
        } else {
            self.earlier.rows().len()
        };
        self.earlier.rows()[kept..]
            .iter()
            .filter_map(|row| row.seconds)
            .fold(0.0, |sum, more| sum + more)
    }

    /// Syncs and closes the file; returns the rows of the last start.
    fn finish(mut self) -> Result<Vec<CurveRow>, StorageError> {
        if self.writer.is_none() {
            // Nothing was left to train: the earlier attempt's curve is this one's.
            self.rows = self.earlier.rows().to_vec();
            self.writer = Some(CurveWriter::create(self.path.clone(), &self.rows)?);
        }
        self.writer.take().expect("made above").finish()?;
        let last = self.rows.last().map_or(0, |row| row.start);
        Ok(self.rows.into_iter().filter(|row| row.start == last).collect())
    }
}

fn summary(rows: &[CurveRow]) -> Option<CurveSummary> {
    let last = rows.last()?;
    let mut best = rows.first()?;
    for row in rows {
        // Of equal epochs the first, as the published code has it.
        if row.validation_accuracy > best.validation_accuracy {
            best = row;
        }
    }
    Some(CurveSummary {
        best: best.validation_accuracy,
        best_epoch: best.epoch,
        last: last.validation_accuracy,
        epochs: rows.len() as u32,
    })
}

fn epoch_event(iteration: u64, report: &EpochReport) -> TrainEvent {
    TrainEvent::Epoch {
        iteration,
        epoch: report.epoch,
        start: report.start,
        validation_accuracy: report.validation_accuracy,
        training_loss: report.training_loss,
        seconds: report.seconds,
    }
}

fn one_line(error: &TrainingError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// Copies the files of a checkpoint; whoever owns it may replace one meanwhile, which is a whole one too.
fn copy_files(source: &std::path::Path, target: &std::path::Path) -> anyhow::Result<()> {
    let failed = || format!("failed to copy the checkpoint `{}`", source.display());
    for entry in fs::read_dir(source).with_context(failed)? {
        let entry = entry.with_context(failed)?;
        let is_file = entry.file_type().with_context(failed)?.is_file();
        if is_file && entry.file_name() != LEFT_ON_SIGNAL {
            fs::copy(entry.path(), target.join(entry.file_name())).with_context(failed)?;
        }
    }
    Ok(())
}

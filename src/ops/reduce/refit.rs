//! The predictor of a view: fitted when the log holds enough full curves, and again at fixed counts.
//!
//! Which curves, and the generator of the fit, follow from their number alone; so the same log has
//! the same predictor, however often it was reduced.

use anyhow::{Context, ensure};

use crate::ops::{Experiment, Refusal};
use crate::predictor::{Example, Features, FittedPredictor, LearningCurve, TrainingSet};
use crate::seed::{Purpose, generator};
use crate::storage::{Curve, CurveRow, Event, Row, View};

/// Brings the predictor of a view up to date; `rows` reads the rows of the log that the view has
/// taken in, when they are needed. Returns how many full curves it was fitted to, when it was fitted just now.
///
/// Curves that nothing can be learned from end no search: a warning says so, and nobody is stopped.
///
/// # Errors
/// When the log cannot be read.
pub(crate) fn refit(
    experiment: &Experiment,
    view: &mut View,
    rows: impl FnOnce() -> anyhow::Result<Vec<Row>>,
) -> anyhow::Result<Option<usize>> {
    let params = &experiment.config().early_stopping;
    let full_curves = view.knowledge().full_curves();
    let Some(set) = TrainingSet::at(full_curves, params).filter(|_| params.enabled) else {
        view.forget_predictor();
        return Ok(None);
    };
    if view.predictor_curves() == Some(set.full_curves()) {
        return Ok(None);
    }
    view.forget_predictor();
    match fit(experiment, &set, &rows()?) {
        Ok(predictor) => {
            view.set_predictor(set.full_curves(), &predictor)?;
            Ok(Some(predictor.examples().len()))
        }
        Err(problem) => {
            log::warn!("no predictor, so that nobody is stopped: {problem:#}");
            Ok(None)
        }
    }
}

fn fit(
    experiment: &Experiment,
    set: &TrainingSet,
    rows: &[Row],
) -> anyhow::Result<FittedPredictor> {
    let trained: Vec<&Row> = rows.iter().filter(|row| row.event == Event::Trained).collect();
    let examples = set
        .places()
        .map(|place| example(experiment, trained[place]))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let first = examples[0].curve.last();
    ensure!(
        examples.iter().any(|example| example.curve.last() != first),
        "all {} full learning curves end at `{first}`, so that there is nothing to predict",
        examples.len()
    );
    let config = experiment.config();
    let mut rng =
        generator(config.experiment.seed, Purpose::Predictor, set.full_curves() as u64, 0);
    Ok(FittedPredictor::fit(examples, &config.early_stopping, &mut rng)?)
}

/// Returns what is learned from the row of a network that was trained to the end.
///
/// # Errors
/// When its curve cannot be read, is not as long as trainings are, or cannot be learned from.
pub(crate) fn example(experiment: &Experiment, row: &Row) -> anyhow::Result<Example> {
    let attempt = row.attempt().expect("the row of a result has an iteration and an attempt");
    let path = experiment.dir().curve(attempt);
    let (curve, epochs) = (Curve::read(&path)?, experiment.config().recipe.epochs);
    let last_start = curve.last_start();
    let found = last_start.len();
    ensure!(found == epochs as usize, Refusal::CurveLength { path, found, wanted: epochs });
    let cost = (row.parameters.unwrap_or(0), row.layers.unwrap_or(0));
    example_of(experiment, last_start, cost).with_context(|| format!("`{}`", path.display()))
}

/// How far apart the predictions of two processors may be, as accuracies: the last bits of `exp`
/// differ, and the solver ends within its tolerance.
const ALIKE: f64 = 1e-4;

/// Whether the predictors of two views predict the networks they were fitted to alike.
///
/// # Errors
/// A view whose predictor cannot be read.
pub(crate) fn decide_alike(one: &View, other: &View) -> anyhow::Result<bool> {
    let (Some(one), Some(other)) = (one.predictor()?, other.predictor()?) else {
        return Ok(false);
    };
    let is_alike = |example: &Example| {
        (1..one.epochs()).all(|epoch| {
            let of =
                |by: &FittedPredictor| by.predict(&example.curve.up_to(epoch), &example.features);
            match (of(&one), of(&other)) {
                (Some(one), Some(other)) => {
                    (one.mean - other.mean).abs() < ALIKE && (one.sigma - other.sigma).abs() < ALIKE
                }
                (one, other) => one == other,
            }
        })
    };
    Ok(one.examples() == other.examples() && one.examples().iter().all(is_alike))
}

/// Returns what the predictor sees of a network: `rows` are those of the last start, at least one,
/// `cost` its weights and its layers.
pub(crate) fn example_of(
    experiment: &Experiment,
    rows: &[CurveRow],
    (parameters, layers): (u64, u32),
) -> anyhow::Result<Example> {
    let first = rows.first().context("no epoch")?;
    // A trainer that does not tell its learning rate is taken to keep to the recipe; so is one that
    // begins with a rate of 0 to warm up, which has no logarithm.
    let recipe = || experiment.config().recipe.learning_rate(first.start, 1);
    let learning_rate = first.learning_rate.filter(|rate| *rate > 0.0).unwrap_or_else(recipe);
    let accuracies: Vec<_> = rows.iter().map(|row| row.validation_accuracy).collect();
    Ok(Example {
        features: Features::of_network(parameters, layers, learning_rate)?,
        curve: LearningCurve::from_accuracies(&accuracies)?,
    })
}

//! The predictor: fitted when the log holds enough full curves, and again at fixed counts.
//!
//! Which curves, and the generator of the fit, follow from their number alone; so the same log has
//! the same predictor, however often it was reduced.

use anyhow::{Context, ensure};

use crate::ops::journal::Journal;
use crate::ops::train::host;
use crate::ops::{Experiment, Refusal};
use crate::predictor::{Example, Features, FittedPredictor, LearningCurve, TrainingSet};
use crate::seed::{Purpose, generator};
use crate::storage::view::StoredPredictor;
use crate::storage::view::files::{OnDamage, set_aside, skip};
use crate::storage::{Curve, CurveRow, Event, Knowledge, Row};

/// The set of full curves that a predictor is to be fitted to now.
fn due_set(experiment: &Experiment, state: &Knowledge) -> Option<TrainingSet> {
    let params = &experiment.config().early_stopping;
    TrainingSet::at(state.full_curves(), params).filter(|_| params.enabled)
}

/// The networks that a predictor of so many full curves is fitted to; fewer where a repair has
/// blanked some.
fn rows_of<'a>(
    experiment: &Experiment,
    full_curves: u64,
    rows: &'a [Row],
) -> impl Iterator<Item = &'a Row> {
    let trained: Vec<&Row> = rows.iter().filter(|row| row.event == Event::Trained).collect();
    let set = TrainingSet::at(full_curves as usize, &experiment.config().early_stopping);
    let places = set.into_iter().flat_map(|set| set.places().collect::<Vec<_>>());
    places.map_while(move |place| trained.get(place).copied())
}

pub(crate) fn is_of_log(experiment: &Experiment, stored: &StoredPredictor, rows: &[Row]) -> bool {
    stored.is_of(rows_of(experiment, stored.full_curves, rows))
}

/// Finds the newest predictor that was fitted to curves of this log, which may be of fewer than are
/// due; `on_damage` gets others.
pub(crate) fn newest_predictor(
    experiment: &Experiment,
    journal: &Journal,
    on_damage: OnDamage,
) -> anyhow::Result<Option<StoredPredictor>> {
    let Some(set) = due_set(experiment, journal.state()) else { return Ok(None) };
    let is_of_log = |stored: &StoredPredictor| is_of_log(experiment, stored, journal.rows());
    let (dir, sha256) = (experiment.dir(), experiment.view_params().sha256);
    let at_most = set.full_curves as u64;
    Ok(StoredPredictor::newest(dir, &sha256, at_most, is_of_log, on_damage)?)
}

/// Returns how many full curves the log held when the newest predictor was fitted, unread.
pub(crate) fn predictor_curves(
    experiment: &Experiment,
    journal: &Journal,
) -> anyhow::Result<Option<u64>> {
    let Some(set) = due_set(experiment, journal.state()) else { return Ok(None) };
    let listed = experiment.dir().list_predictors()?.into_iter().map(|(curves, _)| curves);
    Ok(listed.filter(|curves| *curves <= set.full_curves as u64).max())
}

/// Fits and publishes the predictor that is due; returns how many full curves it was fitted to just
/// now. Curves that nothing can be learned from end no search: training goes on without it.
pub(crate) fn refit(experiment: &Experiment, journal: &Journal) -> anyhow::Result<Option<usize>> {
    let Some(set) = due_set(experiment, journal.state()) else { return Ok(None) };
    let full_curves = set.full_curves as u64;
    let newest = newest_predictor(experiment, journal, set_aside)?;
    if newest.is_some_and(|it| it.full_curves == full_curves) {
        return Ok(None);
    }
    match fit(experiment, &set, journal.rows()) {
        Ok(predictor) => {
            let rows = rows_of(experiment, full_curves, journal.rows());
            let (dir, sha256) = (experiment.dir(), experiment.view_params().sha256);
            StoredPredictor::publish(dir, &sha256, full_curves, rows, &predictor)?;
            Ok(Some(predictor.examples().len()))
        }
        Err(problem) => {
            log::warn!("no predictor is fitted, an older one goes on judging: {problem:#}");
            Ok(None)
        }
    }
}

/// As [`refit`], unless another worker is fitting the same.
pub(crate) fn refit_unless_started(
    experiment: &Experiment,
    journal: &Journal,
) -> anyhow::Result<()> {
    let Some(set) = due_set(experiment, journal.state()) else { return Ok(()) };
    let full_curves = set.full_curves as u64;
    let newest = newest_predictor(experiment, journal, skip)?;
    if newest.is_none_or(|it| it.full_curves < full_curves)
        && StoredPredictor::start_fit(experiment.dir(), &host()?, full_curves)?
    {
        refit(experiment, journal)?;
    }
    Ok(())
}

fn fit(
    experiment: &Experiment,
    set: &TrainingSet,
    rows: &[Row],
) -> anyhow::Result<FittedPredictor> {
    let full_curves = set.full_curves as u64;
    let examples = rows_of(experiment, full_curves, rows)
        .map(|row| example(experiment, row))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let first = examples[0].curve.last();
    ensure!(
        examples.iter().any(|example| example.curve.last() != first),
        "all {} full learning curves end at `{first}`, so that there is nothing to predict",
        examples.len()
    );
    let config = experiment.config();
    let mut rng = generator(config.experiment.seed, Purpose::Predictor, full_curves, 0);
    Ok(FittedPredictor::fit(examples, &config.early_stopping, &mut rng)?)
}

pub(crate) fn example(experiment: &Experiment, row: &Row) -> anyhow::Result<Example> {
    let attempt = row.attempt().expect("the row of a result has an iteration and an attempt");
    let path = experiment.dir().curve(attempt);
    let (curve, epochs) = (Curve::read(&path)?, experiment.config().recipe.epochs);
    let last_start = curve.last_start();
    let found = last_start.len();
    ensure!(
        found == epochs as usize,
        Refusal::Damage(format!("`{}` has {found} epochs instead of {epochs}", path.display()))
    );
    let cost = (row.parameters.unwrap_or(0), row.layers.unwrap_or(0));
    example_of(experiment, last_start, cost).with_context(|| format!("`{}`", path.display()))
}

/// How far apart the predictions of two processors may be, as accuracies: the last bits of `exp`
/// differ, and the solver ends within its tolerance.
const ALIKE: f64 = 1e-4;

/// Whether two predictors predict the networks they were fitted to alike.
fn decide_alike(one: &FittedPredictor, other: &FittedPredictor) -> bool {
    let is_alike = |example: &Example| {
        (1..one.epochs()).all(|epoch| {
            let observed = &example.curve.values()[..epoch];
            let of = |by: &FittedPredictor| by.predict(observed, &example.features);
            match (of(one), of(other)) {
                (Some(one), Some(other)) => {
                    (one.mean - other.mean).abs() < ALIKE && (one.sigma - other.sigma).abs() < ALIKE
                }
                (one, other) => one == other,
            }
        })
    };
    one.examples() == other.examples() && one.examples().iter().all(is_alike)
}

/// Whether a stored predictor is what its curves say, fitted again. One that cannot be fitted
/// again, since a curve is damaged, is left as it is.
pub(crate) fn is_as_fitted(
    experiment: &Experiment,
    stored: &StoredPredictor,
    rows: &[Row],
) -> anyhow::Result<bool> {
    let predictor = stored.predictor()?;
    let set = TrainingSet::at(stored.full_curves as usize, &experiment.config().early_stopping);
    let set = set.filter(|_| is_of_log(experiment, stored, rows));
    let set = set.ok_or_else(|| stored.stale())?;
    match fit(experiment, &set, rows) {
        Ok(again) => Ok(decide_alike(&again, &predictor)),
        Err(problem) => {
            log::warn!("the predictor cannot be fitted again: {problem:#}");
            Ok(true)
        }
    }
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
    let accuracies = rows.iter().map(|row| row.validation_accuracy.value());
    Ok(Example {
        features: Features::of_network(parameters, layers, learning_rate)?,
        curve: LearningCurve::try_from(accuracies.collect::<Vec<_>>())?,
    })
}

//! The predictor: fitted when the log holds enough full curves, and again at fixed counts. Which
//! curves, and the generator of the fit, follow from their number alone.

use anyhow::{Context, Result, ensure};

use crate::ops::journal::Journal;
use crate::ops::train::host;
use crate::ops::{Experiment, Refusal};
use crate::outcome::Accuracy;
use crate::predictor::{Example, Features, FittedPredictor, LearningCurve, TrainingSet};
use crate::seed::{Purpose, generator};
use crate::storage::view::StoredPredictor;
use crate::storage::view::files::{OnDamage, set_aside};
use crate::storage::{Curve, CurveRow, Row};

/// Of how many full curves a predictor is to be fitted now.
fn due(experiment: &Experiment, journal: &Journal) -> Option<u64> {
    let params = &experiment.config().early_stopping;
    let set = TrainingSet::at(journal.state().full_curves, params);
    set.filter(|_| params.enabled).map(|set| set.full_curves as u64)
}

/// The networks a predictor of so many full curves is fitted to; fewer where some were blanked.
fn rows_of<'a>(
    experiment: &Experiment,
    full_curves: u64,
    rows: &'a [Row],
) -> impl Iterator<Item = &'a Row> {
    let trained: Vec<&Row> = rows.iter().filter(|row| row.has_full_curve()).collect();
    let set = TrainingSet::at(full_curves as usize, &experiment.config().early_stopping);
    let places = set.into_iter().flat_map(|set| set.places().collect::<Vec<_>>());
    places.map_while(move |place| trained.get(place).copied())
}

pub(crate) fn is_of_log(experiment: &Experiment, stored: &StoredPredictor, rows: &[Row]) -> bool {
    stored.is_of(rows_of(experiment, stored.full_curves, rows))
}

/// The newest predictor of this log, of as many full curves as are due, or fewer.
pub(crate) fn newest_predictor(
    experiment: &Experiment,
    journal: &Journal,
    on_damage: OnDamage,
) -> Result<Option<StoredPredictor>> {
    let Some(at_most) = due(experiment, journal) else { return Ok(None) };
    let is_of_log = |stored: &StoredPredictor| is_of_log(experiment, stored, journal.rows());
    let (dir, sha256) = (experiment.dir(), experiment.view_params().sha256);
    Ok(StoredPredictor::newest(dir, &sha256, at_most, is_of_log, on_damage)?)
}

/// How many full curves the log held when the newest predictor was fitted, unread.
pub(crate) fn predictor_curves(experiment: &Experiment, journal: &Journal) -> Result<Option<u64>> {
    let Some(at_most) = due(experiment, journal) else { return Ok(None) };
    let listed = experiment.dir().list_predictors()?.into_iter().map(|(curves, _)| curves);
    Ok(listed.filter(|curves| *curves <= at_most).max())
}

/// As [`refit`], unless another worker is fitting the same.
pub(crate) fn refit_unless_started(experiment: &Experiment, journal: &Journal) -> Result<()> {
    let dir = experiment.dir();
    refit(experiment, journal, |of| Ok(StoredPredictor::start_fit(dir, &host()?, of)?)).map(drop)
}

/// Fits and publishes the predictor that is due, where `start` says so; returns of how many full
/// curves. Curves that nothing can be learned from end no search.
pub(crate) fn refit(
    experiment: &Experiment,
    journal: &Journal,
    start: impl FnOnce(u64) -> Result<bool>,
) -> Result<Option<usize>> {
    let Some(full_curves) = due(experiment, journal) else { return Ok(None) };
    let newest = newest_predictor(experiment, journal, set_aside)?;
    let next = if newest.is_some() { "an older one goes on judging" } else { "none is stopped" };
    if newest.is_some_and(|it| it.full_curves == full_curves) || !start(full_curves)? {
        return Ok(None);
    }
    let fitted = fit(experiment, full_curves, journal.rows()).inspect_err(|problem| {
        log::warn!("no predictor is fitted, {next}: {problem:#}");
    });
    let Ok(predictor) = fitted else { return Ok(None) };
    let rows = rows_of(experiment, full_curves, journal.rows());
    let (dir, sha256) = (experiment.dir(), experiment.view_params().sha256);
    StoredPredictor::publish(dir, &sha256, full_curves, rows, &predictor)?;
    Ok(Some(predictor.examples().len()))
}

fn fit(experiment: &Experiment, full_curves: u64, rows: &[Row]) -> Result<FittedPredictor> {
    let examples = rows_of(experiment, full_curves, rows).map(|row| example(experiment, row));
    let examples = examples.collect::<Result<Vec<_>>>()?;
    let first = examples.first().context("no full curve")?.curve.last();
    ensure!(
        examples.iter().any(|example| example.curve.last() != first),
        "all {} full learning curves end at `{first}`, so that there is nothing to predict",
        examples.len()
    );
    let config = experiment.config();
    let mut rng = generator(config.experiment.seed, Purpose::Predictor, full_curves, 0);
    Ok(FittedPredictor::fit(examples, &config.early_stopping, &mut rng)?)
}

pub(crate) fn example(experiment: &Experiment, row: &Row) -> Result<Example> {
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

/// Whether a predictor of this log is what its curves say, to the last bit; yes where one of these
/// is damaged.
pub(crate) fn is_as_fitted(
    experiment: &Experiment,
    stored: &StoredPredictor,
    rows: &[Row],
) -> Result<bool> {
    let predictor = stored.predictor()?;
    let again = fit(experiment, stored.full_curves, rows).inspect_err(|problem| {
        log::warn!("the predictor cannot be fitted again: {problem:#}");
    });
    Ok(again.map_or(true, |again| again == predictor))
}

/// What the predictor sees of a network: `rows` are those of the last start.
pub(crate) fn example_of(
    experiment: &Experiment,
    rows: &[CurveRow],
    (parameters, layers): (u64, u32),
) -> Result<Example> {
    let first = rows.first().context("no epoch")?;
    // The recipe's for a trainer that reports none, or 0 to warm up, which has no logarithm.
    let recipe = || experiment.config().recipe.learning_rate(first.start, 1);
    let learning_rate = first.learning_rate.filter(|rate| *rate > 0.0).unwrap_or_else(recipe);
    let accuracies = rows.iter().map(|row| row.validation_accuracy.map(Accuracy::value));
    let accuracies: Option<Vec<_>> = accuracies.collect();
    Ok(Example {
        features: Features::of_network(parameters, layers, learning_rate)?,
        curve: LearningCurve::try_from(accuracies.context("an epoch has no validation accuracy")?)?,
    })
}

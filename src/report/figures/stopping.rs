//! The predictor and the stopping rule: the figures of the talk.

use itertools::Itertools;

use super::Drawing;
use super::plot::{Axis, CIRCLE, CROSS, Mark, Panel, Series, TRIANGLE, point, span};
use crate::report::iterations::{ArchitectureRecord, ranking};
use crate::report::search::SearchData;
use crate::report::tables::table::*;
use crate::storage::{Event, Iteration};

/// The curves of networks trained to their end, replayed under the stopping rule.
#[derive(Debug, Clone, Default)]
pub struct Replay {
    pub networks: usize,
    /// The predictor was fitted to the first so many of an order.
    pub burn_in: usize,
    pub orders: usize,
    /// Of the networks after the burn-in, in one order: observed epochs, predicted, final accuracy.
    pub predictions: Vec<(u32, f64, f64)>,
    /// Regressor, observed epochs, R squared, its standard error over orders.
    pub scores: Vec<(String, u32, Option<f64>, Option<f64>)>,
    pub settings: Vec<ReplayedSetting>,
    /// Of Hyperband with stopping against without: speedup, loss of the best accuracy, its error.
    pub hyperband: Option<(f64, f64, f64)>,
}

#[derive(Debug, Clone, Copy, Default)]
pub struct ReplayedSetting {
    pub delta: f64,
    pub top_n: u64,
    pub offset: f64,
    pub speedup: f64,
    /// Orders in which the best network came after the burn-in, and those in which it was kept.
    pub orders: u64,
    pub best_kept: u64,
}

const CURVES: usize = 200;

type CurvePoint = (Iteration, &'static str, u32, f64);

pub fn learning_curves(drawing: &mut Drawing, search: &SearchData) {
    let of_results = search.curves.iter().filter_map(|(attempt, curve)| {
        let event = search.row_of(attempt.iteration)?.event;
        let kind = match event {
            Event::Trained => "trained",
            Event::Stopped => "stopped",
            _ => return None,
        };
        Some((attempt.iteration, kind, curve.last_start()))
    });
    let all = of_results.collect_vec();
    let best = ranking(ArchitectureRecord::gather(&search.iterations), 1);
    let best = best.first().and_then(|best| best.iteration);
    let every = all.len().div_ceil(CURVES).max(1);
    let shown = all.iter().enumerate();
    let shown = shown.filter(|(at, of)| at % every == 0 || Some(of.0) == best).map(|(_, of)| of);
    let rows = shown.clone().flat_map(|(iteration, kind, curve)| {
        curve.iter().filter_map(|epoch| {
            Some((*iteration, *kind, epoch.epoch, epoch.validation_accuracy?.value()))
        })
    });
    let rows: Vec<CurvePoint> = rows.collect();
    let points = |of: &dyn Fn(&CurvePoint) -> bool| {
        rows.iter().filter(|row| of(row)).map(|row| point(row.2.into(), row.3)).collect_vec()
    };
    let ends = rows.chunk_by(|a, b| a.0 == b.0).filter(|of| of[0].1 == "stopped");
    let ends = ends.filter_map(|of| of.last()).map(|row| point(row.2.into(), row.3));
    let series = vec![
        Series::of("trained to the end", Mark::Hair, 6, points(&|row| row.1 == "trained")),
        Series::of("stopped", Mark::Hair, 2, points(&|row| row.1 == "stopped")),
        Series::of("where it was stopped", Mark::Dots(CROSS), 2, ends),
        Series::of("the best one", Mark::Line, 0, points(&|row| Some(row.0) == best)),
    ];
    let axes = [Axis::whole("epoch"), Axis::of("validation accuracy")];
    let part = match every {
        1 => "all".to_owned(),
        _ => format!("each {every}th and the best one"),
    };
    let caption = format!(
        "Validation accuracy by epoch of networks that learned: {} curves of {}, {part}.",
        shown.count(),
        all.len()
    );
    let panel = Panel::of("", axes, series);
    let names = ["learning_curves", "Learning curves"];
    let columns = columns! { CurvePoint:
        iteration: POSITIVE, "The iteration that was trained", |row| row.0;
        status: one_of("trained | stopped"), "What became of it", |row| row.1;
        epoch: POSITIVE, "The epoch, of the last start", |row| row.2;
        validation_accuracy: SHARE, "Share of validation images classified correctly after it",
            |row| row.3;
    };
    drawing.add(names, caption, &[panel], columns, &rows);
}

/// After a quarter of the epochs, of a replay or, without one, of the search itself.
pub fn predicted(drawing: &mut Drawing, search: &SearchData, replay: Option<&Replay>) {
    let quarter = (search.epochs / 4).max(1);
    let of_search = search.curves.iter().filter_map(|(attempt, curve)| {
        let row = search.row_of(attempt.iteration).filter(|row| row.has_full_curve())?;
        let epoch = curve.last_start().iter().find(|row| row.epoch == quarter)?;
        Some((quarter, epoch.predicted_accuracy?, row.last_validation_accuracy?))
    });
    let rows = replay.map_or_else(|| of_search.collect(), |replay| replay.predictions.clone());
    let dots = rows.iter().map(|row| point(row.2, row.1)).collect_vec();
    let ends = dots.iter().flat_map(|dot| [dot.x, dot.y]).minmax_by(f64::total_cmp);
    let Some((low, high)) = ends.into_option() else { return };
    let ends = [low, high].map(|end| point(end, end));
    let series = vec![
        Series::of("network", Mark::Dots(CIRCLE), 1, dots),
        Series::of("predicted = true", Mark::Line, 0, ends),
    ];
    let axes = [Axis::of("accuracy after the last epoch"), Axis::of("predicted")];
    let source = match replay {
        Some(replay) => format!(
            "The predictor was fitted to {} curves of this search, and predicts the others.",
            replay.burn_in
        ),
        None => "Predictions made in the search, of networks that were then trained to their end: \
            those that looked good, and those audited."
            .to_owned(),
    };
    let caption = format!(
        "The accuracy after the last of {} epochs against what was predicted after {quarter} of \
         them ({} networks): near the line predictions are right. {source}",
        search.epochs,
        rows.len()
    );
    let panel = Panel::of("", axes, series);
    let names = ["predicted_accuracy", "Predicted and true accuracy at 25 % of the curve"];
    let columns = columns! { (u32, f64, f64):
        observed_epochs: POSITIVE, "Epochs from which the last one is predicted", |row| row.0;
        predicted_accuracy: NUMBER, "Predicted validation accuracy after the last epoch",
            |row| row.1;
        final_accuracy: SHARE, "Validation accuracy after the last epoch", |row| row.2;
    };
    drawing.add(names, caption, &[panel], columns, &rows);
}

/// Whose predictions, after how many epochs of all, R squared, its standard error.
type Scored = (String, u32, Option<f64>, Option<f64>);

pub fn r_squared(drawing: &mut Drawing, search: &SearchData, replay: Option<&Replay>) {
    const OWN: &str = "predictor of the search, left out of its fit";
    let own = search.predictor_scores.iter().zip(1..);
    let own = own.map(|((_, scores), epoch)| (OWN.to_owned(), epoch, scores.r_squared, None));
    let replayed = replay.map(|replay| replay.scores.clone()).unwrap_or_default();
    let rows: Vec<Scored> = own.chain(replayed).collect();
    let share = |epoch: u32| 100.0 * f64::from(epoch) / f64::from(search.epochs.max(1));
    let series = rows.chunk_by(|a, b| a.0 == b.0).enumerate().flat_map(|(style, of)| {
        let line = of.iter().filter_map(|row| Some(point(share(row.1), row.2?)));
        let whiskers = of.iter().filter_map(|row| {
            let [low, high] = [row.2? - row.3?, row.2? + row.3?];
            Some(span(share(row.1), low, [share(row.1), high]))
        });
        let whiskers = Series::of("", Mark::Whiskers, style, whiskers);
        [Series::of(&of[0].0, Mark::Line, style, line), whiskers]
    });
    let axes = [
        Axis::within("% of the epochs observed", [0.0, 100.0]),
        Axis::within("R squared", [0.0, 1.0]),
    ];
    let replayed = replay.map_or(String::new(), |replay| {
        format!(
            " Replayed curves: fitted to {} of {}, scored on the others; means and standard errors \
             over {} orders.",
            replay.burn_in, replay.networks, replay.orders
        )
    });
    let caption = format!(
        "How well the accuracy after the last epoch is predicted from the first ones: 1 is \
         perfect, 0 (and below, drawn at 0) no better than the mean.{replayed}"
    );
    let panel = Panel::of("", axes, series.collect());
    let names = ["r_squared", "Quality of predictions against the share observed"];
    let columns = columns! { Scored:
        predictor: TEXT, "Whose predictions, and of which networks", |row| row.0.clone();
        observed_epochs: POSITIVE, "Epochs from which the last one is predicted", |row| row.1;
        observed_share: SHARE, "Their share of all epochs", |row| share(row.1) / 100.0;
        r_squared: NUMBER, "R squared of the predictions", |row| row.2;
        standard_error: NOT_NEGATIVE, "Of its mean over orders; missing of a single one",
            |row| row.3;
    };
    drawing.add(names, caption, &[panel], columns, &rows);
}

pub fn speedup(drawing: &mut Drawing, replay: &Replay) {
    let rows = &replay.settings;
    let rule = |row: &ReplayedSetting| (row.top_n, row.offset.to_bits());
    let lines = rows.iter().map(rule).unique().enumerate().map(|(style, of)| {
        let own = rows.iter().filter(|row| rule(row) == of);
        let label = match (of.0, f64::from_bits(of.1)) {
            (1, 0.0) => "compared with the best".to_owned(),
            (1, offset) => format!("the best less {offset}"),
            (top, _) => format!("the {top}th best"),
        };
        Series::of(label, Mark::Line, style, own.map(|row| point(row.delta, row.speedup)))
    });
    let is_kept = |row: &ReplayedSetting| 2 * row.best_kept > row.orders;
    let dots = |kept: bool| {
        let own = rows.iter().filter(move |row| is_kept(row) == kept);
        own.map(|row| point(row.delta, row.speedup)).collect_vec()
    };
    let mut series = lines.collect_vec();
    series.push(Series::of("best network kept", Mark::Dots(TRIANGLE), 3, dots(true)));
    series.push(Series::of("lost", Mark::Dots(CROSS), 2, dots(false)));
    let axes = [Axis::of("Delta"), Axis::of("speedup")];
    let caption = format!(
        "{} trainings of this search replayed in {} random orders: how many times fewer epochs the \
         stopping rule would have needed, the {} of the burn-in included, at each threshold Delta. \
         A triangle where the best network would have been trained to its end in more than half of \
         the orders that had it after the burn-in, else a cross. Compared with the tenth best, or \
         with an offset, the rule stops fewer.",
        replay.networks, replay.orders, replay.burn_in
    );
    let panel = Panel::of("", axes, series);
    let names = ["speedup", "Speedup by early stopping against its threshold"];
    let columns = columns! { ReplayedSetting:
        delta: SHARE, "Stop probability from which a training is ended";
        top_n: POSITIVE, "Compared with which of the best networks, 1 for the best";
        offset: NOT_NEGATIVE, "Networks predicted within this of it are trained on";
        speedup: NOT_NEGATIVE, "Epochs of all trainings over epochs spent, mean over orders";
        best_kept: COUNT, "Orders in which the best network was trained to its end, after the \
            burn-in";
        orders: COUNT, "Orders in which it came after the burn-in";
    };
    drawing.add(names, caption, &[panel], columns, rows);
}

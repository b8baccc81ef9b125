//! What result rows claim, against the search space, the configuration and the learning curves.

use crate::config::ValidConfig;
use crate::ops::verify::finding::Finding;
use crate::ops::verify::log::{LOG, Placed};
use crate::outcome::{Accuracy, Outcome};
use crate::predictor::StoppingRule;

use crate::storage::{Curve, CurveSummary, Event, Row};

/// Checks the numbers of result rows that follow from the architecture and the configuration.
pub(crate) fn check_rows(rows: &[Placed], config: &ValidConfig) -> Vec<Finding> {
    let mut findings = Vec::new();
    let results = || rows.iter().filter(|placed| placed.row.event.is_result());
    for placed in results() {
        let wrong = wrong_cost(&placed.row, config).or_else(|| wrong_reward(&placed.row, config));
        if let Some(problem) = wrong {
            findings.push(Finding::damage(LOG, problem).at(placed.line, placed.byte));
        }
    }
    let threshold = config.early_stopping.threshold;
    let mut others = results().filter(|placed| is_verdict_at_another(&placed.row, threshold));
    if let Some(first) = others.next() {
        let problem = format!(
            "{} verdicts were not made at the threshold {threshold} that `experiment.yaml` asks for",
            1 + others.count()
        );
        findings.push(Finding::damage(LOG, problem).at(first.line, first.byte));
    }
    let epochs = config.recipe.epochs;
    let mut others = results()
        .filter(|placed| placed.row.event == Event::Trained && placed.row.epochs != Some(epochs));
    // One finding for all: most likely it is the configuration that was changed.
    if let Some(first) = others.next() {
        let problem = format!(
            "{} networks were not trained for the {epochs} epochs that `experiment.yaml` asks for",
            1 + others.count()
        );
        findings.push(Finding::damage(LOG, problem).at(first.line, first.byte));
    }
    findings
}

fn is_verdict_at_another(row: &Row, threshold: f64) -> bool {
    row.threshold.is_some_and(|told| told != threshold)
}

fn wrong_cost(row: &Row, config: &ValidConfig) -> Option<String> {
    let architecture = config.space.parse(row.architecture.as_deref()?).ok()?;
    let cost = config.space.cost(&architecture);
    let own = [
        ("parameters", row.parameters, cost.parameters),
        ("macs", row.macs, cost.macs),
        ("layers", row.layers.map(u64::from), architecture.depth() as u64),
    ];
    own.into_iter().find_map(|(column, told, own)| {
        let told = told.filter(|told| *told != own)?;
        Some(format!("column `{column}` is {told}, and {own} for its architecture"))
    })
}

/// Returns how the reward of a result is not that of its outcome.
fn wrong_reward(row: &Row, config: &ValidConfig) -> Option<String> {
    let accuracy = |number: Option<f64>| Accuracy::new(number?).ok();
    let best = accuracy(row.best_validation_accuracy);
    let outcome = match row.event {
        Event::Trained => {
            Outcome::Trained { best: best?, last: accuracy(row.last_validation_accuracy)? }
        }
        Event::Stopped => Outcome::Stopped { predicted: row.predicted_accuracy? },
        Event::Failed => Outcome::Failed { best },
        Event::OutOfMemory => Outcome::OutOfMemory,
        Event::Imported => Outcome::Imported { best: best? },
        _ => return None,
    };
    let classes = config.space.image().classes;
    let own = config.reward().reward(&outcome, classes).map(Accuracy::value);
    (own != row.reward).then(|| {
        format!("column `reward` is {}, and {} for its outcome", said(row.reward), said(own))
    })
}

fn said(number: Option<f64>) -> String {
    number.map_or_else(|| "empty".to_owned(), |number| number.to_string())
}

/// Whether a result was trained for epochs that its curve must hold.
pub(crate) fn has_curve(row: &Row) -> bool {
    row.event.is_result() && row.epochs.is_some_and(|epochs| epochs > 0)
}

/// Returns how the curve of a result is not the one that its row was made from.
pub(crate) fn wrong_curve(row: &Row, curve: &Curve, rule: StoppingRule) -> Option<String> {
    let own = curve.summary();
    let numbers = |summary: &CurveSummary| {
        (summary.epochs, summary.best.value(), summary.best_epoch, summary.last.value())
    };
    let told = (
        row.epochs?,
        row.best_validation_accuracy?,
        row.best_epoch?,
        row.last_validation_accuracy?,
    );
    let words = |(epochs, best, best_epoch, last): (u32, f64, u32, f64)| {
        format!("{epochs} epochs, the best {best} in epoch {best_epoch}, the last {last}")
    };
    match own.as_ref().map(numbers) {
        None => Some(format!("it has no epoch, and its result tells of {}", words(told))),
        Some(own) if own != told => {
            Some(format!("it has {}; its result tells of {}", words(own), words(told)))
        }
        Some(_) => wrong_verdict(row, curve, rule),
    }
}

/// Returns how the verdict of a stopped or audited network is not that of the epoch in which it was stopped, or was to
/// be for the first time.
fn wrong_verdict(row: &Row, curve: &Curve, rule: StoppingRule) -> Option<String> {
    row.threshold?;
    let mut verdicts = curve.last_start().iter().filter(|at| at.is_stop(rule));
    let own = match row.event {
        Event::Stopped => verdicts.next_back().filter(|at| Some(at.epoch) == row.epochs),
        _ => verdicts.next().filter(|_| row.audit == Some(true)),
    };
    let words = |[predicted, sigma, y_best, stop_probability]: [Option<f64>; 4]| {
        format!(
            "{predicted}, sigma {sigma}, y_best {y_best}, probability {stop_probability}",
            predicted = said(predicted),
            sigma = said(sigma),
            y_best = said(y_best),
            stop_probability = said(stop_probability)
        )
    };
    let told = [row.predicted_accuracy, row.sigma, row.y_best, row.stop_probability];
    let Some(at) = own else {
        return Some(format!("it has no verdict of {}, which its result tells of", words(told)));
    };
    let own = [at.predicted_accuracy, at.sigma, at.y_best, at.stop_probability];
    (own != told).then(|| {
        let (epoch, own, told) = (at.epoch, words(own), words(told));
        format!("epoch {epoch} predicts {own}; its result tells of {told}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::train::curve::tests::curve_row;
    use crate::predictor::Prediction;
    use crate::storage::Iteration;

    fn curve(accuracies: &[f64]) -> Curve {
        let mut curve = Curve::default();
        for (epoch, &accuracy) in (1..).zip(accuracies) {
            curve.push(curve_row(epoch, accuracy));
        }
        curve
    }

    fn trained() -> Row {
        Row {
            iteration: Some(Iteration(1)),
            epochs: Some(3),
            best_validation_accuracy: Some(0.5),
            best_epoch: Some(2),
            last_validation_accuracy: Some(0.25),
            ..Row::new(Event::Trained)
        }
    }

    #[test]
    fn a_curve_has_the_epochs_and_the_accuracies_of_its_row() {
        let wrong = |accuracies: &[f64]| wrong_curve(&trained(), &curve(accuracies), rule());
        assert_eq!(wrong(&[0.1, 0.5, 0.25]), None);
        assert!(wrong(&[0.1, 0.5]).unwrap().starts_with("it has 2 epochs"));
        assert!(wrong(&[0.1, 0.75, 0.25]).unwrap().contains("the best 0.75"));
        assert!(wrong(&[0.5, 0.5, 0.25]).unwrap().contains("in epoch 1"));
        assert!(wrong(&[]).unwrap().contains("no epoch"));
    }

    /// A curve of three epochs whose best lies so many deviations above the prediction.
    fn judged(z: [Option<f64>; 3]) -> Curve {
        let mut judged = Curve::default();
        for (row, z) in curve(&[0.1, 0.5, 0.25]).rows().iter().zip(z) {
            judged.push(row.clone());
            if let Some(z) = z {
                let prediction = Prediction { mean: 0.5, sigma: 0.25 };
                judged.last_mut().unwrap().judge(rule(), prediction, Some(0.5 + 0.25 * z));
            }
        }
        judged
    }

    /// Stops from a z of 2.3264 on.
    fn rule() -> StoppingRule {
        StoppingRule::default()
    }

    #[test]
    fn a_verdict_is_the_last_of_a_stopped_network_and_the_first_of_an_audited_one() {
        let curve = judged([Some(3.0), Some(0.0), Some(4.0)]);
        let with_verdict = |row: Row, epoch: usize| {
            let at = &curve.rows()[epoch - 1];
            Row {
                predicted_accuracy: at.predicted_accuracy,
                sigma: at.sigma,
                y_best: at.y_best,
                stop_probability: at.stop_probability,
                threshold: Some(0.99),
                ..row
            }
        };
        let wrong_curve = |row: &Row, curve: &Curve| super::wrong_curve(row, curve, rule());
        let stopped = with_verdict(Row { event: Event::Stopped, ..trained() }, 3);
        let audited = with_verdict(Row { audit: Some(true), ..trained() }, 1);
        assert_eq!(wrong_curve(&stopped, &curve), None);
        assert_eq!(wrong_curve(&audited, &curve), None);
        let changes: [fn(&mut Row); 4] = [
            |row| row.sigma = Some(0.2),
            |row| row.y_best = Some(0.7),
            |row| row.stop_probability = Some(0.999),
            |row| row.predicted_accuracy = Some(0.4),
        ];
        for change in changes {
            for row in [&stopped, &audited] {
                let mut changed = row.clone();
                change(&mut changed);
                let wrong = wrong_curve(&changed, &curve).unwrap();
                assert!(wrong.contains("predicts 0.5"), "{wrong}");
            }
        }
        // No epoch was to be its last; or nobody says that it was audited.
        let never = judged([Some(0.0), None, Some(0.0)]);
        assert!(wrong_curve(&stopped, &never).unwrap().starts_with("it has no verdict"));
        let unmarked = Row { audit: None, ..audited };
        assert!(wrong_curve(&unmarked, &curve).unwrap().starts_with("it has no verdict"));
        assert!(is_verdict_at_another(&stopped, 0.9) && !is_verdict_at_another(&stopped, 0.99));
        assert!(!is_verdict_at_another(&trained(), 0.9));
    }

    #[test]
    fn results_without_an_epoch_have_no_curve() {
        assert!(has_curve(&trained()));
        assert!(!has_curve(&Row { epochs: Some(0), ..Row::new(Event::Failed) }));
        assert!(!has_curve(&Row::new(Event::OutOfMemory)));
        assert!(!has_curve(&Row { epochs: Some(3), ..Row::new(Event::Claimed) }));
    }
}

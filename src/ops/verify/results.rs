//! Result rows recomputed: from architecture, outcome and configuration, and from their curves.

use serde_json::Value;

use crate::config::ValidConfig;
use crate::ops::train::record::{with_curve, with_verdict};
use crate::ops::verify::{finding::Finding, log::damaged_line};
use crate::outcome::{Accuracy, Outcome};
use crate::predictor::StoppingRule;
use crate::storage::{Curve, Event, RawLog, Row};

pub(crate) fn check_rows(raw: &RawLog, rows: &[Row], config: &ValidConfig) -> Vec<Finding> {
    let lines = raw.lines.iter().zip(rows);
    let results: Vec<_> = lines.filter(|(_, row)| row.event.is_result()).collect();
    let differing = results.iter().filter_map(|(line, row)| {
        let problem = difference(row, &recomputed(row, config))?;
        Some(damaged_line(line, format!("{problem} for its architecture and outcome")))
    });
    let mut findings: Vec<Finding> = differing.collect();
    // One finding for all of a kind: most likely the configuration was changed.
    let mut count = |is_other: &dyn Fn(&Row) -> bool, problem: String| {
        let mut others = results.iter().filter(|(_, row)| is_other(row));
        if let Some((first, _)) = others.next() {
            findings.push(damaged_line(first, format!("{} {problem}", 1 + others.count())));
        }
    };
    let (threshold, epochs) = (config.early_stopping.threshold, config.recipe.epochs);
    count(
        &|row| row.threshold.is_some_and(|at| at != threshold),
        format!("verdicts were not made at the threshold {threshold} of `experiment.yaml`"),
    );
    count(
        &|row| row.has_full_curve() && row.epochs != Some(epochs),
        format!("networks were not trained for the {epochs} epochs of `experiment.yaml`"),
    );
    findings
}

/// The row with what follows from its architecture and outcome.
fn recomputed(row: &Row, config: &ValidConfig) -> Row {
    let mut own = row.clone();
    let text = row.architecture.as_deref();
    if let Some(architecture) = text.and_then(|text| config.space.parse(text).ok()) {
        let cost = config.space.cost(&architecture);
        own.parameters = row.parameters.and(Some(cost.parameters));
        own.macs = row.macs.and(Some(cost.macs));
        own.layers = row.layers.and(Some(architecture.depth() as u32));
    }
    if let Some(outcome) = outcome(row) {
        let classes = config.space.image.classes;
        own.reward = config.reward.reward(&outcome, classes).map(Accuracy::value);
    }
    own
}

fn outcome(row: &Row) -> Option<Outcome> {
    let accuracy = |number: Option<f64>| Accuracy::new(number?).ok();
    let best = accuracy(row.best_validation_accuracy);
    Some(match row.event {
        Event::Trained => {
            Outcome::Trained { best: best?, last: accuracy(row.last_validation_accuracy)? }
        }
        Event::Stopped => Outcome::Stopped { predicted: row.predicted_accuracy? },
        Event::Failed => Outcome::Failed { best },
        Event::OutOfMemory => Outcome::OutOfMemory,
        Event::Imported => Outcome::Imported { best: best? },
        _ => return None,
    })
}

/// Whether a result was trained for epochs that its curve must hold.
pub(crate) fn has_curve(row: &Row) -> bool {
    row.event.is_result() && row.epochs.is_some_and(|epochs| epochs > 0)
}

/// How a result row differs from the one that its curve gives.
pub(crate) fn wrong_curve(row: &Row, curve: &Curve, rule: StoppingRule) -> Option<String> {
    let Some(summary) = curve.summary() else { return Some("it has no epoch".to_owned()) };
    let mut own = with_curve(row.clone(), Some(summary));
    if row.threshold.is_some() {
        // The last verdict of a stopped network, the first one of an audited network.
        let mut verdicts = curve.last_start().iter().filter(|at| at.is_stop(rule));
        let at = match row.event {
            Event::Stopped => verdicts.next_back().filter(|at| Some(at.epoch) == row.epochs),
            _ => verdicts.next().filter(|_| row.audit == Some(true)),
        };
        own = with_verdict(own, at, row.threshold);
    }
    difference(row, &own).map(|problem| format!("in the row of its result {problem} by this curve"))
}

/// Names the columns in which two rows differ.
fn difference(row: &Row, own: &Row) -> Option<String> {
    let [row, own] = [row, own].map(|row| serde_json::to_value(row).expect("a row is plain data"));
    let words = |value: &Value| match value {
        Value::Null => "empty".to_owned(),
        value => value.to_string(),
    };
    let differing = own.as_object().into_iter().flatten().filter(|(name, own)| row[name] != **own);
    let columns = differing
        .map(|(name, own)| format!("`{name}` is {}, and {}", words(&row[name]), words(own)));
    Some(columns.collect::<Vec<_>>().join("; ")).filter(|columns| !columns.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::train::attempt::tests::curve_row;
    use crate::predictor::Prediction;
    use crate::storage::Iteration;

    fn curve(accuracies: &[f64]) -> Curve {
        let mut curve = Curve::default();
        for (epoch, &accuracy) in (1..).zip(accuracies) {
            curve.rows.push(curve_row(epoch, accuracy));
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
        assert!(wrong(&[0.1, 0.5]).unwrap().contains("`epochs` is 3, and 2"));
        assert!(wrong(&[0.1, 0.75, 0.25]).unwrap().contains("accuracy` is 0.5, and 0.75"));
        assert!(wrong(&[0.5, 0.5, 0.25]).unwrap().contains("`best_epoch` is 2, and 1"));
        assert_eq!(wrong(&[]).unwrap(), "it has no epoch");
    }

    /// A curve of three epochs whose best lies so many deviations above the prediction.
    fn judged(z: [Option<f64>; 3]) -> Curve {
        let mut judged = Curve::default();
        for (row, z) in curve(&[0.1, 0.5, 0.25]).rows.iter().zip(z) {
            judged.rows.push(row.clone());
            if let Some(z) = z {
                let prediction = Prediction { mean: 0.5, sigma: 0.25 };
                judged.rows.last_mut().unwrap().judge(rule(), prediction, Some(0.5 + 0.25 * z));
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
            let at = &curve.rows[epoch - 1];
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
        type Change = fn(&mut Row);
        let changes: [(&str, Change); 4] = [
            ("`sigma` is 0.2, and 0.25", |row| row.sigma = Some(0.2)),
            ("`y_best` is 0.7", |row| row.y_best = Some(0.7)),
            ("`stop_probability` is 0.999", |row| row.stop_probability = Some(0.999)),
            ("`predicted_accuracy` is 0.4, and 0.5", |row| row.predicted_accuracy = Some(0.4)),
        ];
        for (expected, change) in changes {
            for row in [&stopped, &audited] {
                let mut changed = row.clone();
                change(&mut changed);
                let wrong = wrong_curve(&changed, &curve).unwrap();
                assert!(wrong.contains(expected), "{wrong}");
            }
        }
        // No epoch was to be its last; or no mark says that it was audited.
        let never = judged([Some(0.0), None, Some(0.0)]);
        assert!(wrong_curve(&stopped, &never).unwrap().contains("`sigma` is 0.25, and empty"));
        let unmarked = Row { audit: None, ..audited };
        assert!(wrong_curve(&unmarked, &curve).unwrap().contains("`sigma` is 0.25, and empty"));
    }

    #[test]
    fn results_without_an_epoch_have_no_curve() {
        assert!(has_curve(&trained()));
        assert!(!has_curve(&Row { epochs: Some(0), ..Row::new(Event::Failed) }));
        assert!(!has_curve(&Row::new(Event::OutOfMemory)));
        assert!(!has_curve(&Row { epochs: Some(3), ..Row::new(Event::Claimed) }));
    }
}

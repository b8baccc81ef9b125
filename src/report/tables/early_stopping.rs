//! `early_stopping.csv`: one row per verdict to stop, executed or audited.

use super::iterations::iteration_columns;
use super::table::*;
use crate::predictor::AuditFindings;
use crate::report::search::SearchData;
use crate::storage::{Curve, Event, Row};

pub(super) struct VerdictRow<'a> {
    iteration: &'a Row,
    /// The epoch after which it was given, if the curve is there.
    verdict_epoch: Option<u32>,
    /// This and the rest of an audited network.
    final_accuracy: Option<f64>,
    /// How far it has ended above the best one of its verdict.
    ahead: Option<f64>,
    audits: Option<AuditFindings>,
}

pub(super) fn table(search: &SearchData) -> Table<'_, VerdictRow<'_>> {
    let mut so_far = AuditFindings::default();
    let rows = search.iterations.iter().filter(|row| is_verdict(row)).map(|iteration| {
        let curve = iteration.attempt().and_then(|attempt| search.curves.get(&attempt));
        let is_audit = iteration.event == Event::Trained;
        let final_accuracy = iteration.last_validation_accuracy.filter(|_| is_audit);
        let ahead = final_accuracy.zip(iteration.y_best).map(|(last, best)| last - best);
        so_far.audited += u64::from(is_audit);
        so_far.false_stops += u64::from(ahead > Some(0.0));
        VerdictRow {
            iteration,
            verdict_epoch: curve.and_then(|curve| verdict_epoch(iteration, curve)),
            final_accuracy,
            ahead,
            audits: is_audit.then_some(so_far),
        }
    });
    let names = "iteration status epsilon round architecture epochs predicted_accuracy sigma \
        y_best stop_probability threshold saved_seconds view";
    let mut columns = of_part(pick(iteration_columns(), names), |row: &VerdictRow| row.iteration);
    columns.extend(columns! { VerdictRow:
        verdict_epoch: POSITIVE, "Epoch after which the verdict was given";
        audit: BOOLEAN,
            "Whether the network was trained to the end all the same, to audit the verdict",
            |row| row.audits.is_some();
        final_accuracy: SHARE,
            "Validation accuracy after the last epoch, of an audited network";
        prediction_error: NUMBER, "predicted_accuracy less final_accuracy",
            |row| Some(row.iteration.predicted_accuracy? - row.final_accuracy?);
        false_stop: BOOLEAN,
            "Whether final_accuracy is above y_best: stopping would have cost the best network",
            |row| row.ahead.map(|ahead| ahead > 0.0);
        regret: NOT_NEGATIVE,
            "How far final_accuracy is above y_best; 0 where the verdict was right",
            |row| row.ahead.map(|ahead| ahead.max(0.0));
        audits_so_far: POSITIVE, "Audits in the iterations up to this one",
            |row| row.audits.map(|audits| audits.audited);
        false_stop_rate: SHARE, "Share of false stops among the audits so far",
            |row| row.audits?.rate();
        false_stop_rate_lower: SHARE,
            "Lower end of the 95 % interval of that share (Wilson)",
            |row| row.audits?.interval().map(|ends| ends.0);
        false_stop_rate_upper: SHARE,
            "Upper end of the 95 % interval of that share (Wilson)",
            |row| row.audits?.interval().map(|ends| ends.1);
    });
    columns.push(trainer(|_| search.trainer));
    Table { name: "early_stopping", columns, rows: rows.collect() }
}

fn is_verdict(row: &Row) -> bool {
    row.event == Event::Stopped || row.event == Event::Trained && row.audit == Some(true)
}

/// The last epoch of a stopped network; of an audited one the first with the numbers of its row.
fn verdict_epoch(iteration: &Row, curve: &Curve) -> Option<u32> {
    let verdict = (iteration.predicted_accuracy, iteration.stop_probability);
    let mut epochs = curve.last_start().iter();
    Some(epochs.find(|row| (row.predicted_accuracy, row.stop_probability) == verdict)?.epoch)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample::iteration;

    fn audited(number: u64, last: f64) -> Row {
        Row {
            audit: Some(true),
            y_best: Some(0.75),
            predicted_accuracy: Some(0.5),
            last_validation_accuracy: Some(last),
            ..iteration(number, Event::Trained)
        }
    }

    #[test]
    fn audits_are_judged_one_after_the_other() {
        // Beside a network that was not to be stopped and one that was stopped.
        let iterations = vec![
            audited(1, 0.5),
            audited(2, 0.75),
            audited(3, 0.875),
            Row { audit: None, ..audited(4, 0.25) },
            Row { y_best: Some(0.75), ..iteration(5, Event::Stopped) },
        ];
        let search = SearchData { iterations, ..SearchData::default() };
        let text = table(&search).files(10)[0].text.clone();
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let header = reader.headers().unwrap().clone();
        let rows: Vec<_> = reader.records().map(Result::unwrap).collect();
        let column = |name: &str| -> Vec<&str> {
            let place = header.iter().position(|column| column == name).unwrap();
            rows.iter().map(|row| &row[place]).collect()
        };
        assert_eq!(column("iteration"), ["1", "2", "3", "5"]);
        assert_eq!(column("audit"), ["true", "true", "true", "false"]);
        assert_eq!(column("false_stop"), ["false", "false", "true", ""]);
        assert_eq!(column("regret"), ["0", "0", "0.125", ""]);
        assert_eq!(column("prediction_error"), ["0", "-0.25", "-0.375", ""]);
        assert_eq!(column("audits_so_far"), ["1", "2", "3", ""]);
        assert_eq!(column("false_stop_rate"), ["0", "0", "0.333333333333333", ""]);
        // 1 of 3: middle 0.33333 + 0.64024, reach 1.95996 sqrt(0.074074 + 0.106708), scale 2.28049.
        assert!(column("false_stop_rate_lower")[2].starts_with("0.06149"));
        assert!(column("false_stop_rate_upper")[2].starts_with("0.7923"));
    }
}

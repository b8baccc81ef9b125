//! `early_stopping.csv`: one row per verdict to stop, executed or audited.

use std::collections::BTreeMap;

use super::super::records::{CurveRecord, EpochRecord, IterationRecord, Status};
use super::Search;
use super::column::Domain::*;
use super::column::{Column, column, of_part, pick};
use super::iterations;
use super::table::Table;
use crate::predictor::wilson_interval;

/// One verdict.
pub(super) struct Row<'a> {
    record: &'a IterationRecord,
    /// The epoch after which it was given, where the curve tells.
    verdict_epoch: Option<u32>,
    /// Audits up to this one, and the false stops among them; none of a stopped network.
    audits: Option<(u64, u64)>,
}

impl Row<'_> {
    fn final_accuracy(&self) -> Option<f64> {
        self.record.last_validation_accuracy.filter(|_| self.audits.is_some())
    }

    /// How far an audited network has ended above the best one of its verdict.
    fn ahead(&self) -> Option<f64> {
        Some(self.final_accuracy()? - self.record.y_best?)
    }

    fn rate(&self) -> Option<f64> {
        self.audits.map(|(audits, false_stops)| false_stops as f64 / audits as f64)
    }

    fn interval(&self) -> Option<(f64, f64)> {
        self.audits.and_then(|(audits, false_stops)| wilson_interval(false_stops, audits))
    }
}

/// Returns the verdicts in the order of their iterations.
pub(super) fn table<'a>(search: &Search<'a>) -> Table<'a, Row<'a>> {
    let curves: BTreeMap<(u64, Option<u32>), &CurveRecord> =
        search.curves.iter().map(|curve| ((curve.iteration, Some(curve.attempt)), curve)).collect();
    let mut records: Vec<_> =
        search.iterations.iter().filter(|record| is_verdict(record)).collect();
    records.sort_by_key(|record| record.iteration);
    let (mut audits, mut false_stops) = (0, 0);
    let rows = records.into_iter().map(|record| {
        let curve = curves.get(&(record.iteration, record.attempt));
        let mut row = Row {
            record,
            verdict_epoch: curve.and_then(|curve| verdict_epoch(record, &curve.epochs)),
            audits: None,
        };
        if record.status == Status::Trained {
            audits += 1;
            row.audits = Some((audits, false_stops));
            false_stops += u64::from(row.ahead().is_some_and(|ahead| ahead > 0.0));
            row.audits = Some((audits, false_stops));
        }
        row
    });
    let names = "iteration status epsilon round architecture epochs predicted_accuracy sigma y_best \
        stop_probability threshold saved_seconds view";
    let mut columns = of_part(pick(iterations::columns(), names), |row: &Row<'a>| row.record);
    columns.extend(audit_columns());
    columns.push(iterations::trainer(search.settings.trainer));
    Table { name: "early_stopping", columns, rows: rows.collect() }
}

/// Stopped, or trained to the end to audit a verdict to stop.
fn is_verdict(record: &IterationRecord) -> bool {
    match record.status {
        Status::Stopped => true,
        Status::Trained => record.audit == Some(true),
        _ => false,
    }
}

/// The last epoch of a stopped network; of an audited one the first with the numbers of its row.
fn verdict_epoch(record: &IterationRecord, epochs: &[EpochRecord]) -> Option<u32> {
    let start = epochs.last()?.start;
    let is_verdict = |epoch: &&EpochRecord| {
        epoch.start == start
            && epoch.predicted_accuracy == record.predicted_accuracy
            && epoch.stop_probability == record.stop_probability
    };
    epochs.iter().find(is_verdict).map(|epoch| epoch.epoch)
}

fn audit_columns<'a>() -> Vec<Column<'a, Row<'a>>> {
    vec![
        column(
            "verdict_epoch",
            AtLeast(1),
            "Epoch after which the verdict was given",
            |row: &Row<'a>| row.verdict_epoch,
        ),
        column(
            "audit",
            Boolean,
            "Whether the network was trained to the end all the same, to audit the verdict",
            |row: &Row<'a>| row.audits.is_some(),
        ),
        column(
            "final_accuracy",
            Share,
            "Validation accuracy after the last epoch, of an audited network",
            Row::final_accuracy,
        ),
        column(
            "prediction_error",
            Number,
            "predicted_accuracy less final_accuracy",
            |row: &Row<'a>| Some(row.record.predicted_accuracy? - row.final_accuracy()?),
        ),
        column(
            "false_stop",
            Boolean,
            "Whether final_accuracy is above y_best: stopping would have cost the best network",
            |row: &Row<'a>| row.ahead().map(|ahead| ahead > 0.0),
        ),
        column(
            "regret",
            NotNegative,
            "How far final_accuracy is above y_best; 0 where the verdict was right",
            |row: &Row<'a>| row.ahead().map(|ahead| ahead.max(0.0)),
        ),
        column(
            "audits_so_far",
            AtLeast(1),
            "Audits in the iterations up to this one",
            |row: &Row<'a>| row.audits.map(|(audits, _)| audits),
        ),
        column("false_stop_rate", Share, "Share of false stops among the audits so far", Row::rate),
        column(
            "false_stop_rate_lower",
            Share,
            "Lower end of the 95 % interval of that share (Wilson)",
            |row: &Row<'a>| row.interval().map(|(lower, _)| lower),
        ),
        column(
            "false_stop_rate_upper",
            Share,
            "Upper end of the 95 % interval of that share (Wilson)",
            |row: &Row<'a>| row.interval().map(|(_, upper)| upper),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::super::sample;
    use super::super::super::settings::TrainedBy;
    use super::*;

    fn audited(iteration: u64, last: f64) -> IterationRecord {
        IterationRecord {
            audit: Some(true),
            y_best: Some(0.75),
            predicted_accuracy: Some(0.5),
            last_validation_accuracy: Some(last),
            ..IterationRecord::new(iteration, Status::Trained)
        }
    }

    #[test]
    fn audits_are_judged_one_after_the_other() {
        let settings = sample::settings(TrainedBy::Torch);
        // Beside a network that nobody wanted to stop and one that was stopped.
        let iterations = [
            audited(3, 0.875),
            audited(1, 0.5),
            audited(2, 0.75),
            IterationRecord { audit: None, ..audited(4, 0.25) },
            IterationRecord { y_best: Some(0.75), ..IterationRecord::new(5, Status::Stopped) },
        ];
        let search = Search {
            settings: &settings,
            iterations: &iterations,
            curves: &[],
            q_values: &[],
            early_stopping: &Default::default(),
        };
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

//! `early_stopping.csv`: one row per verdict to stop, executed or audited.

use derive_more::Deref;

use super::iterations::iteration_columns;
use super::table::*;
use crate::predictor::AuditFindings;
use crate::report::search::SearchData;
use crate::storage::{Event, Iteration, Row};

#[derive(Deref)]
pub(super) struct VerdictRow<'a> {
    #[deref(forward)]
    iteration: &'a Row,
    /// Up to this one, which was audited.
    audits: Option<AuditFindings>,
}

impl VerdictRow<'_> {
    fn final_accuracy(&self) -> Option<f64> {
        self.audits.and(self.last_validation_accuracy)
    }

    /// How far an audited network has ended above the best one of its verdict.
    fn ahead(&self) -> Option<f64> {
        Some(self.final_accuracy()? - self.y_best?)
    }

    /// The last epoch of a stopped network; of an audited one the first with the numbers of its
    /// row. None without the curve.
    fn verdict_epoch(&self, search: &SearchData) -> Option<u32> {
        let verdict = (self.predicted_accuracy, self.stop_probability);
        let mut epochs = search.curves.get(&self.attempt()?)?.last_start().iter();
        Some(epochs.find(|row| (row.predicted_accuracy, row.stop_probability) == verdict)?.epoch)
    }
}

pub(super) fn add(set: &mut TableSet, search: &SearchData) {
    let is_verdict = |row: &&Row| {
        row.event == Event::Stopped || row.event == Event::Trained && row.audit == Some(true)
    };
    let mut so_far = AuditFindings::default();
    let rows = search.iterations.iter().filter(is_verdict).map(|iteration| {
        let is_audit = iteration.event == Event::Trained;
        let mut row = VerdictRow { iteration, audits: is_audit.then_some(so_far) };
        so_far.audited += u64::from(is_audit);
        so_far.false_stops += u64::from(row.ahead() > Some(0.0));
        row.audits = is_audit.then_some(so_far);
        row
    });
    let names = "iteration status epsilon round architecture epochs predicted_accuracy sigma \
        y_best stop_probability threshold saved_seconds view";
    let mut columns = pick(iteration_columns(search), names);
    columns.extend(columns! { VerdictRow:
        verdict_epoch: POSITIVE, "Epoch after which the verdict was given",
            |row| row.verdict_epoch(search);
        audit: BOOLEAN,
            "Whether the network was trained to the end all the same, to audit the verdict",
            |row| row.audits.is_some();
        final_accuracy: SHARE, "Validation accuracy after the last epoch, of an audited network",
            |row| row.final_accuracy();
        prediction_error: NUMBER, "predicted_accuracy less final_accuracy",
            |row| Some(row.predicted_accuracy? - row.final_accuracy()?);
        false_stop: BOOLEAN,
            "Whether final_accuracy is above y_best: stopping would have cost the best network",
            |row| row.ahead().map(|ahead| ahead > 0.0);
        regret: NOT_NEGATIVE,
            "How far final_accuracy is above y_best; 0 where the verdict was right",
            |row| row.ahead().map(|ahead| ahead.max(0.0));
        audits_so_far: POSITIVE, "Audits in the iterations up to this one",
            |row| row.audits.map(|audits| audits.audited);
        false_stop_rate: SHARE, "Share of false stops among the audits so far",
            |row| row.audits?.rate();
        false_stop_rate_lower: SHARE, "Lower end of the 95 % interval of that share (Wilson)",
            |row| row.audits?.interval().map(|ends| ends.0);
        false_stop_rate_upper: SHARE, "Upper end of the 95 % interval of that share (Wilson)",
            |row| row.audits?.interval().map(|ends| ends.1);
        trainer: TRAINER, WHO_TRAINED, |_| search.trainer;
    });
    let is_new = |row: &VerdictRow| row.iteration.iteration >= Some(Iteration(set.kept.before));
    let rows = Vec::from_iter(rows.filter(is_new));
    set.add_growing("early_stopping", &columns, &rows, |row| row.iteration.iteration);
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
        let mut set = TableSet::default();
        add(&mut set, &search);
        let text = &set.files[0].text;
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

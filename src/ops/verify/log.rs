//! The log, row by row: what is to be blanked, and the search state once it is.

use jiff::Timestamp;

use crate::ops::Experiment;
use crate::ops::verify::finding::{Finding, Repair};
use crate::outcome::Accuracy;
use crate::storage::{Attempt, Event, Iteration, Knowledge, RawLine, RawLog, Row, RowError};

/// The name of the log in findings.
pub(crate) const LOG: &str = "replay.csv";

pub(crate) fn damaged_line(line: &RawLine, problem: impl Into<String>) -> Finding {
    Finding::damage(LOG, problem).at(line.line, line.byte)
}

/// A line to be blanked.
#[derive(Debug, Clone)]
pub(crate) struct Blank {
    pub index: usize,
    /// The result that it is, which then counts where it is appended again.
    pub again: Option<Row>,
    finding: Finding,
}

#[derive(Debug, Clone)]
pub(crate) struct Examined {
    /// One a line; damaged ones as the `void` rows that a repair makes of them.
    pub rows: Vec<Row>,
    pub knowledge: Knowledge,
    pub blanks: Vec<Blank>,
    /// Why blanking would be no repair: another program wrote the log, or `experiment.yaml` was
    /// changed.
    pub beyond_repair: Option<Finding>,
}

impl Examined {
    /// Reads every line; the checksum of the first `prefix` ones matches a view. Without an
    /// experiment, architectures and settings are not checked.
    pub fn of(raw: &RawLog, experiment: Option<&Experiment>, prefix: u64) -> Self {
        let highest = raw.lines.iter().filter_map(|line| line.row.as_ref().ok()?.iteration).max();
        let most = highest.unwrap_or_default().next();
        let (mut rows, mut blanks) = (Vec::new(), Vec::<Blank>::new());
        let mut knowledge = Knowledge::default();
        for (index, line) in raw.lines.iter().enumerate() {
            let applied = line.row.as_ref().map_err(ToString::to_string).and_then(|row| {
                check(experiment, row, &knowledge)?;
                knowledge.apply(row).map_err(|violation| violation.to_string())?;
                Ok(row.clone())
            });
            rows.push(applied.unwrap_or_else(|problem| {
                let void = void(line, most, &knowledge);
                let result = line.row.as_ref().ok().filter(|row| row.event.is_result());
                let again = result.filter(|row| check(experiment, row, &knowledge).is_ok());
                let finding = blanked(line, &void, &problem);
                blanks.push(Blank { index, again: again.cloned(), finding });
                knowledge.apply(&void).expect("a void row may stand anywhere");
                void
            }));
        }
        // A result that counts already, be it by a repair that was killed, is not appended again.
        let mut mended = knowledge.clone();
        for blank in &mut blanks {
            blank.again.take_if(|row| mended.apply(row).is_err());
        }
        let (wrong, all) = (blanks.len(), rows.len());
        let beyond_repair = if blanks.iter().any(|blank| (blank.index as u64) < prefix) {
            let problem =
                "rows that were good when a view was made of them are none of this search";
            Some(Finding::damage("experiment.yaml", problem))
        } else if wrong > (all / 10).max(3) {
            Some(changed(&format!("{wrong} of {all} rows are none of this search")))
        } else {
            None
        };
        Self { rows, knowledge, blanks, beyond_repair }
    }

    /// Whether readers may hold rows that were blanked after they had read them: where rows are
    /// blank, the newest `repaired` row stands twice, the second time after the blanks.
    pub fn lacks_second_row(&self) -> bool {
        let newest = self.rows.iter().rposition(|row| row.event == Event::Repaired);
        let stands_twice = |newest| newest > 0 && self.rows[newest - 1] == self.rows[newest];
        self.knowledge.events.contains_key(&Event::Void) && !newest.is_some_and(stands_twice)
    }

    pub fn findings(&self, raw: &RawLog, now: Timestamp) -> Vec<Finding> {
        let blanks = self.blanks.iter();
        let mut findings: Vec<Finding> = blanks.map(|blank| blank.finding.clone()).collect();
        findings.extend(self.beyond_repair.clone());
        if let Some((byte, length)) = raw.torn_end() {
            let line = raw.lines.len() as u64 + 2;
            let problem = format!("it ends in {length} bytes that are no row");
            findings.push(Finding::damage(LOG, problem).at(line, byte).mended_by(Repair::CutEnd));
        }
        findings.extend(self.knowledge.due_rows(None).into_iter().map(|row| {
            let (iteration, event) = (row.iteration.unwrap_or_default(), row.event);
            let problem = format!(
                "iteration {iteration} lacks its `{event}` row, which an interrupted write left \
                 out (the next writer appends it, too)"
            );
            Finding::damage(LOG, problem).mended_by(Repair::AppendRows)
        }));
        findings.extend(raw.lines.iter().filter_map(blanked_before));
        if self.blanks.is_empty() && self.lacks_second_row() {
            let problem = "a repair was killed after it had blanked rows: what runs since before \
                           may not have seen it";
            findings.push(Finding::note(LOG, problem).mended_by(Repair::AppendRows));
        }
        findings.extend(self.knowledge.expired(now.into()).into_iter().map(|attempt| {
            let iteration = attempt.iteration;
            let then = "the next reduce records it as lost";
            Finding::note(LOG, format!("the claim of iteration {iteration} has expired ({then})"))
        }));
        findings
    }
}

fn blanked(line: &RawLine, void: &Row, problem: &str) -> Finding {
    let what = match void.attempt() {
        Some(Attempt { iteration, number }) => {
            format!(" (of iteration {iteration}, attempt {number})")
        }
        None if line.bytes.starts_with(b",set,") => {
            " (a blanked row sets nothing: `metaqnn set` it again)".to_owned()
        }
        None => String::new(),
    };
    let repair = if line.bytes.is_empty() { Repair::None } else { Repair::BlankRow };
    damaged_line(line, format!("{problem}{what}")).mended_by(repair)
}

/// The finding about a row that an earlier repair has blanked.
fn blanked_before(line: &RawLine) -> Option<Finding> {
    let row = line.row.as_ref().ok().filter(|row| row.event == Event::Void)?;
    let of = row.iteration.map(|iteration| format!(" of iteration {iteration}"));
    let problem = format!(
        "a row{} was blanked (its bytes are in torn/; what it set, if it was a `set` row, is not \
         in force)",
        of.unwrap_or_default()
    );
    Some(Finding::note(LOG, problem).at(line.line, line.byte))
}

/// A log that is not what this program wrote.
pub(crate) fn changed(how: &str) -> Finding {
    Finding::damage(LOG, format!("it was changed by another program: {how}"))
}

/// What a repair makes of a damaged row: it keeps numbers that can still be read and can be right.
fn void(line: &RawLine, most: Iteration, knowledge: &Knowledge) -> Row {
    let readable = line.readable();
    let is_right = readable.iteration.is_some_and(|iteration| {
        let may_be_of = match &line.row {
            Ok(_) => true,
            // It may be what a hole in the log has left of several rows.
            Err(RowError::Columns { .. }) => false,
            Err(_) => knowledge.may_change(iteration),
        };
        may_be_of && (Iteration::FIRST..=most).contains(&iteration)
    });
    if is_right { readable } else { Row::void(None, None) }
}

/// Checks that architecture and reward can be of the search, and that a setting can be in force.
fn check(experiment: Option<&Experiment>, row: &Row, knowledge: &Knowledge) -> Result<(), String> {
    if let Some(reward) = row.reward {
        Accuracy::new(reward).map_err(|error| format!("column `reward`: {error}"))?;
    }
    let Some(experiment) = experiment else { return Ok(()) };
    if let (Event::Set, Some(setting)) = (row.event, &row.reason) {
        let settings = [&knowledge.settings[..], &[setting.to_string()]].concat();
        let in_force = experiment.frozen.in_force(experiment.dir(), &settings).map(drop);
        return in_force.map_err(|error| format!("column `reason`: {}", error.root_cause()));
    }
    let drawn = row.candidate();
    if drawn.is_some() || row.event == Event::Exhausted {
        let problem = experiment.config().strategy.problem_of(drawn.as_ref(), row.epsilon);
        problem.map_or(Ok(()), Err)?;
    }
    let Some(text) = &row.architecture else { return Ok(()) };
    match experiment.config().space.parse(text) {
        Err(error) => Err(format!("column `architecture`: {error}")),
        Ok(own) if own.to_string() != **text => {
            Err(format!("column `architecture`: `{text}` should be written `{own}`"))
        }
        Ok(_) => Ok(()),
    }
}

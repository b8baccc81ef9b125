//! The replay log, row by row: which lines are no rows, which rows may not stand where they stand, and what the log
//! says when those are blanked.

use std::collections::BTreeMap;
use std::slice;

use jiff::Timestamp;

use crate::ops::Experiment;
use crate::ops::verify::finding::{Finding, Repair};
use crate::outcome::Accuracy;
use crate::storage::{Attempt, Event, Iteration, Kept, Knowledge, RawLine, RawLog, Row, RowError};

/// The name of the log in findings.
pub(crate) const LOG: &str = "replay.csv";

/// A row of the log, or the `void` one that a repair makes of it.
#[derive(Debug, Clone)]
pub(crate) struct Placed {
    pub line: u64,
    pub byte: u64,
    pub row: Row,
}

/// A line to be blanked.
#[derive(Debug, Clone)]
pub(crate) struct Blank {
    /// Index of the line.
    pub index: usize,
    /// What it keeps.
    pub keep: Kept,
    /// The result that it is, which then counts where it is appended again.
    pub again: Option<Row>,
    problem: String,
}

/// What a log says.
#[derive(Debug, Clone)]
pub(crate) struct Examined {
    /// Its rows, damaged ones as if they were blanked.
    pub rows: Vec<Placed>,
    /// What is known from them.
    pub knowledge: Knowledge,
    /// What is to be blanked.
    pub blanks: Vec<Blank>,
    /// How many rows a view vouches for: they are what they were when it was made.
    vouched: u64,
    /// The newest attempt of each iteration that a row names.
    attempts: BTreeMap<Iteration, u32>,
}

impl Examined {
    /// Reads every line. Without an experiment, architectures and settings are not looked at; `vouched` tells how many
    /// rows are those that a view was made from.
    pub fn of(raw: &RawLog, experiment: Option<&Experiment>, vouched: u64) -> Self {
        let highest = raw.lines().iter().filter_map(|line| line.row.as_ref().ok()?.iteration).max();
        let most = highest.unwrap_or_default().next();
        let mut legal = Legal { experiment, met: BTreeMap::new() };
        let (mut rows, mut blanks) = (Vec::new(), Vec::<Blank>::new());
        let mut knowledge = Knowledge::default();
        for (index, line) in raw.lines().iter().enumerate() {
            let taken = match &line.row {
                Err(error) => Err(error.to_string()),
                Ok(row) => legal
                    .check(row, &knowledge)
                    .and_then(|()| knowledge.apply(row).map_err(|violation| violation.to_string()))
                    .map(|()| row.clone()),
            };
            let row = taken.unwrap_or_else(|problem| {
                let keep = kept(line, most, &knowledge);
                let result = line.row.as_ref().ok().filter(|row| row.event.is_result());
                let again = result.filter(|row| legal.check(row, &knowledge).is_ok()).cloned();
                blanks.push(Blank { index, keep, again, problem });
                let Kept { iteration, attempt } = keep;
                let void = Row { iteration, attempt, ..Row::new(Event::Void) };
                knowledge.apply(&void).expect("a void row may stand anywhere");
                void
            });
            rows.push(Placed { line: line.line, byte: line.byte, row });
        }
        // A result that counts already, be it by a repair that was killed, is not appended again.
        let mut mended = knowledge.clone();
        for blank in &mut blanks {
            blank.again.take_if(|row| mended.apply(row).is_err());
        }
        let attempts = newest_attempts(&rows);
        Self { rows, knowledge, blanks, vouched, attempts }
    }

    /// Whether blanking would be no repair. So much is refused, a tenth of the rows and more than three, that another
    /// program wrote the log; or a row that a view vouches for is, so that `experiment.yaml` was changed.
    pub fn is_beyond_repair(&self) -> bool {
        self.blanks.len() > (self.rows.len() / 10).max(3) || self.refuses_a_vouched_row()
    }

    fn refuses_a_vouched_row(&self) -> bool {
        self.blanks.iter().any(|blank| (blank.index as u64) < self.vouched)
    }

    /// Whether a row of the log names an attempt or a later one, or may have before it was blanked; the files of any other
    /// attempt are in the way of the one that gets its number.
    pub fn knows(&self, attempt: Attempt) -> bool {
        self.attempts.get(&attempt.iteration).is_some_and(|newest| attempt.number <= *newest)
            || (attempt.iteration < self.knowledge.next_iteration()
                && self.rows.iter().any(|placed| is_blank_of(&placed.row, attempt)))
    }

    /// Returns what is wrong with the log. `now` tells which claims are past their end.
    pub fn findings(&self, raw: &RawLog, now: Timestamp) -> Vec<Finding> {
        let mut findings = Vec::new();
        let repair = if self.is_beyond_repair() { Repair::None } else { Repair::BlankRow };
        for blank in &self.blanks {
            let line = &raw.lines()[blank.index];
            let what = match blank.keep.attempt() {
                Some(Attempt { iteration, number }) => {
                    format!(" (of iteration {iteration}, attempt {number})")
                }
                None if line.bytes.starts_with(b",set,") => {
                    " (a blanked row sets nothing: `metaqnn set` it again)".to_owned()
                }
                None => String::new(),
            };
            let repair = if line.bytes.is_empty() { Repair::None } else { repair };
            findings.push(
                Finding::damage(LOG, format!("{}{what}", blank.problem))
                    .at(line.line, line.byte)
                    .mended_by(repair),
            );
        }
        if self.refuses_a_vouched_row() {
            let problem =
                "rows that were good when a view was made of them are none of this search";
            findings.push(Finding::damage("experiment.yaml", problem));
        } else if self.is_beyond_repair() {
            let problem = format!(
                "it was changed by another program: {} of {} rows are none of this search",
                self.blanks.len(),
                self.rows.len()
            );
            findings.push(Finding::damage(LOG, problem));
        }
        if let Some((byte, length)) = raw.torn_end() {
            let line = raw.lines().len() as u64 + 2;
            let problem = format!("it ends in {length} bytes that are no row");
            findings.push(Finding::damage(LOG, problem).at(line, byte).mended_by(Repair::CutEnd));
        }
        findings.extend(self.unfinished());
        findings.extend(self.notes(raw, now));
        findings
    }

    fn unfinished(&self) -> impl Iterator<Item = Finding> {
        self.knowledge.due_rows(None).into_iter().map(|row| {
            let problem = format!(
                "iteration {} lacks its `{}` row, which an interrupted write left out",
                row.iteration.unwrap_or_default(),
                row.event
            );
            Finding::damage(LOG, problem).mended_by(Repair::AppendRows)
        })
    }

    fn notes(&self, raw: &RawLog, now: Timestamp) -> Vec<Finding> {
        let is_blank = |placed: &&Placed| {
            placed.row.event == Event::Void
                && raw.lines()[placed.line as usize - 2].row.is_ok()
                && !self.blanks.iter().any(|blank| blank.index as u64 + 2 == placed.line)
        };
        let blanks = self.rows.iter().filter(is_blank).map(|placed| {
            let problem = match placed.row.iteration {
                Some(iteration) => {
                    format!("a row of iteration {iteration} was blanked (its bytes are in torn/)")
                }
                None => "a row was blanked (its bytes are in torn/; what it set, if it was a `set` row, is not in force)".to_owned(),
            };
            Finding::note(LOG, problem).at(placed.line, placed.byte)
        });
        let expired = self.knowledge.expired(now.into()).into_iter().map(|attempt| {
            let problem = format!(
                "the claim of iteration {} is past its end (the next reduce records it as lost)",
                attempt.iteration
            );
            Finding::note(LOG, problem)
        });
        blanks.chain(expired).collect()
    }
}

/// Says that the log begins as no log of this program does.
pub(crate) fn foreign(how: &str) -> Finding {
    let problem = format!("it was changed by another program: {how}");
    Finding::damage(LOG, problem).at(1, 0)
}

/// What a damaged row keeps: numbers that can still be read and can be right. A line without its columns may be what a
/// hole in the log has left of several rows.
fn kept(line: &RawLine, most: Iteration, knowledge: &Knowledge) -> Kept {
    if matches!(line.row, Err(RowError::Columns { .. })) {
        return Kept::default();
    }
    let Kept { iteration, attempt } = line.readable();
    let iteration = iteration.filter(|iteration| {
        (Iteration::FIRST..=most).contains(iteration)
            && (line.row.is_ok() || knowledge.may_change(*iteration))
    });
    Kept { iteration, attempt: attempt.filter(|_| iteration.is_some()) }
}

/// Claims, results and losses name their attempts.
fn newest_attempts(rows: &[Placed]) -> BTreeMap<Iteration, u32> {
    let mut newest = BTreeMap::new();
    for attempt in rows.iter().filter_map(|placed| placed.row.attempt()) {
        let number: &mut u32 = newest.entry(attempt.iteration).or_default();
        *number = attempt.number.max(*number);
    }
    newest
}

/// Whether a blanked row may be the claim of an attempt.
fn is_blank_of(row: &Row, attempt: Attempt) -> bool {
    row.event == Event::Void
        && row.iteration.is_none_or(|iteration| iteration == attempt.iteration)
        && row.attempt.is_none_or(|number| number == attempt.number)
}

/// Architectures and rewards that a search space can have, and settings that can be in force.
struct Legal<'a> {
    experiment: Option<&'a Experiment>,
    /// What was said of each text.
    met: BTreeMap<String, Result<(), String>>,
}

impl Legal<'_> {
    fn check(&mut self, row: &Row, knowledge: &Knowledge) -> Result<(), String> {
        if let Some(reward) = row.reward {
            Accuracy::new(reward).map_err(|error| format!("column `reward`: {error}"))?;
        }
        let Some(experiment) = self.experiment else { return Ok(()) };
        if let (Event::Set, Some(setting)) = (row.event, &row.reason) {
            let settings = [&knowledge.state().settings[..], slice::from_ref(setting)].concat();
            let in_force = experiment.in_force(&settings);
            return in_force
                .map(drop)
                .map_err(|error| format!("column `reason`: {}", error.root_cause()));
        }
        let Some(text) = &row.architecture else { return Ok(()) };
        if let Some(said) = self.met.get(text) {
            return said.clone();
        }
        let said = match experiment
            .config()
            .space
            .parse(text)
            .map(|architecture| architecture.to_string())
        {
            Err(error) => Err(format!("column `architecture`: {error}")),
            Ok(own) if own != *text => {
                Err(format!("column `architecture`: `{text}` should be written `{own}`"))
            }
            Ok(_) => Ok(()),
        };
        self.met.insert(text.clone(), said.clone());
        said
    }
}

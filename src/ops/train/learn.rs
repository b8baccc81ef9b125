//! The Q-values that draws are made with, and what a task learns of its result where no `reduce`
//! does.

use crate::ops::Experiment;
use crate::ops::journal::Journal;
use crate::ops::reduce::lost_claims::{EndedJobs, has_ended_claims, lose_ended_claims};
use crate::ops::reduce::models::remove_models;
use crate::ops::reduce::refit::refit_unless_started;
use crate::ops::reduce::switched_off_in;
use crate::ops::train::TaskRun;
use crate::ops::train::event::TrainEvent;
use crate::ops::train::record::is_full;
use crate::predictor::AuditFindings;
use crate::q_learning::QTable;
use crate::storage::Iteration;
use crate::storage::view::Learned;

/// Results between two views that the tasks publish where no `reduce` does.
const RESULTS_PER_VIEW: u64 = 100;

/// The Q-values of the last draw, kept for the next.
pub(crate) struct QValues {
    /// Rows of the log that they were learned from; at epsilon 1, where no draw depends on them,
    /// those of the newest view.
    pub view_rows: usize,
    source: Source,
}

enum Source {
    /// Not read yet: reading is most of the work of a claim.
    Unread(QTable),
    /// The newest view, of so many rows.
    Published(usize, QTable),
    /// Learned on from the rows that were read.
    Learned(Box<Learned>),
}

impl QValues {
    pub fn unread(experiment: &Experiment) -> Self {
        let config = experiment.config();
        let table = QTable::new(config.space.clone(), config.q_learning.initial_q_value);
        Self { view_rows: 0, source: Source::Unread(table) }
    }

    /// `learns`: from the rows of the log, and does not wait for the view of a `reduce`.
    pub fn bring_up_to_date(&mut self, journal: &Journal, learns: bool) -> anyhow::Result<()> {
        if learns {
            self.view_rows = self.learned(journal)?.rows;
            return Ok(());
        }
        match self.source {
            Source::Published(rows, _) if rows == journal.view_rows() => self.view_rows = rows,
            _ => {
                let (rows, table) = journal.published_q_table()?;
                self.view_rows = rows;
                self.source = Source::Published(rows, table);
            }
        }
        Ok(())
    }

    fn learned(&mut self, journal: &Journal) -> anyhow::Result<&Learned> {
        match &mut self.source {
            Source::Learned(learned) => journal.learn_on(learned)?,
            source => *source = Source::Learned(Box::new(journal.learn()?)),
        }
        let Source::Learned(learned) = &self.source else { unreachable!("learned just now") };
        Ok(learned)
    }

    pub const fn table(&self) -> &QTable {
        match &self.source {
            Source::Unread(table) | Source::Published(_, table) => table,
            Source::Learned(learned) => learned.q_table(),
        }
    }
}

impl TaskRun<'_> {
    /// Learns of a result what a `reduce` would: says when it switched early stopping off, fits
    /// the predictor when one is due, and publishes a view after each 100th result.
    pub fn learn(&mut self, recorded: Iteration) -> anyhow::Result<()> {
        let journal = &mut self.journal;
        let findings = switched_off_in(self.experiment, journal, |audit| audit == recorded);
        if let Some(AuditFindings { audited, false_stops, .. }) = findings {
            (self.on_event)(TrainEvent::StoppingSwitchedOff { audited, false_stops });
        }
        let is_due = (journal.state().known.len() as u64).is_multiple_of(RESULTS_PER_VIEW);
        unless_full(refit_unless_started(self.experiment, journal))?;
        if is_due {
            self.publish()?;
        }
        self.lose_ended_claims()?;
        unless_full(remove_models(self.experiment, &self.journal))
    }

    pub fn lose_ended_claims(&mut self) -> anyhow::Result<()> {
        // Its lists of files grow with the results.
        if !has_ended_claims(self.journal.state()) {
            return Ok(());
        }
        let lost = lose_ended_claims(self.experiment, &mut self.journal, &EndedJobs::None);
        unless_full(lost.map(drop))
    }

    pub fn publish(&mut self) -> anyhow::Result<()> {
        let learned = self.q_values.learned(&self.journal)?;
        if learned.rows > self.journal.view_rows() {
            unless_full(self.journal.publish(learned, &mut *self.strategy).map(drop))?;
        }
        Ok(())
    }
}

/// What does not fit on the disk now is written by a later result, or by a reduce.
fn unless_full(written: anyhow::Result<()>) -> anyhow::Result<()> {
    written.or_else(|error| match is_full(&error) {
        true => {
            log::warn!("nothing is learned yet: {error:#}");
            Ok(())
        }
        false => Err(error),
    })
}

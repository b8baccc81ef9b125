//! The experiment as it is at one moment: the newest view and the rows of the log after it.

use crate::ops::Experiment;
use crate::ops::known_rows::with_tail;
use crate::predictor::FittedPredictor;
use crate::q_learning::QTable;
use crate::storage::{Knowledge, LogPosition, ReplayLog, Row, View};

/// Reads the rows of the log before a position.
pub(crate) fn log_rows(experiment: &Experiment, end: &LogPosition) -> anyhow::Result<Vec<Row>> {
    let log = ReplayLog::open_to_look(experiment.dir())?;
    Ok(log.rows_before(end)?)
}

/// The experiment as it is at one moment, for those who only look.
pub(crate) struct Snapshot {
    view: View,
    /// Where the view stood before the rows after it were taken in.
    digested: LogPosition,
    /// The rows after it.
    tail: Vec<Row>,
}

impl Snapshot {
    /// Reads the newest view, all of it, and the rows after it.
    pub fn read(experiment: &Experiment) -> anyhow::Result<Self> {
        let view = View::newest_to_learn(experiment.dir(), experiment.view_params())?;
        let log = ReplayLog::open_to_look(experiment.dir())?;
        let (mut view, tail) = with_tail(experiment, &log, view)?;
        let digested = view.position().clone();
        view.apply(&tail)?;
        Ok(Self { view, digested, tail: tail.rows })
    }

    /// Returns what is known.
    pub const fn knowledge(&self) -> &Knowledge {
        self.view.knowledge()
    }

    /// Whether the newest view lacks rows of the log.
    pub const fn view_is_behind(&self) -> bool {
        !self.tail.is_empty()
    }

    /// Returns the rows that the newest view lacks.
    pub fn new_rows(&self) -> &[Row] {
        &self.tail
    }

    /// Returns the Q-table after all rows.
    pub fn q_table(&self) -> anyhow::Result<QTable> {
        Ok(self.view.q_table()?)
    }

    /// Reads the predictor of the newest view, with the number of full curves at its fit.
    pub fn predictor(&self) -> anyhow::Result<Option<(usize, FittedPredictor)>> {
        Ok(self.view.predictor_curves().zip(self.view.predictor()?))
    }

    /// Returns the number of full curves that the predictor of the newest view was fitted to.
    pub fn predictor_curves(&self) -> Option<usize> {
        self.view.predictor_curves()
    }

    /// Whether the newest view has a predictor.
    pub fn has_predictor(&self) -> bool {
        self.view.predictor_curves().is_some()
    }

    /// Reads every row of the log, as far as this snapshot knows it.
    pub fn all_rows(&self, experiment: &Experiment) -> anyhow::Result<Vec<Row>> {
        let mut rows = log_rows(experiment, &self.digested)?;
        rows.extend_from_slice(&self.tail);
        Ok(rows)
    }
}

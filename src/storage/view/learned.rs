//! What a view has learned, as far as somebody has asked for it.
//!
//! Reading it costs more than all the rest of a view, and a task that samples at epsilon 1 never
//! asks for it. So it stays text, with the rows of the replay memory that came after, until somebody does.

use std::path::PathBuf;

use crate::outcome::Accuracy;
use crate::q_learning::{Learner, QTable};
use crate::seed::{Purpose, generator};
use crate::space::{Architecture, Space};
use crate::storage::error::StorageError;
use crate::storage::fs::checked_files::CheckedFiles;
use crate::storage::log::event::{Iteration, Row};
use crate::storage::log::text::RowError;
use crate::storage::view::ViewParams;
use crate::storage::view::files::{MEMORY, Q_TABLE};
use crate::storage::view::memory_csv::MemoryRows;
use crate::storage::view::q_table::read_q_table;

/// The learned part of a view.
#[derive(Debug, Clone)]
pub(crate) enum Learned {
    /// Read, or learned from nothing.
    Learner(Box<Learner>),
    /// What a view holds, and what came after it.
    Stored(StoredLearner, Vec<Lesson>),
}

impl Learned {
    /// Returns what is learned before the first row.
    pub fn nothing(params: &ViewParams) -> Self {
        let learner = Learner::new(params.q_learning.clone(), params.space.clone());
        Self::Learner(Box::new(learner))
    }

    /// Takes in a row that the rules of the log allow.
    pub fn take_in(&mut self, row: &Row, params: &ViewParams) -> Result<(), RowError> {
        match (Lesson::of(row, &params.space)?, self) {
            (None, _) => {}
            (Some(lesson), Self::Learner(learner)) => lesson.teach(learner, params.seed),
            (Some(lesson), Self::Stored(_, lessons)) => lessons.push(lesson),
        }
        Ok(())
    }

    /// Returns the Q-table; from its text alone, when nothing came after.
    pub fn q_table(&self, params: &ViewParams) -> Result<QTable, StorageError> {
        match self {
            Self::Stored(stored, lessons) if lessons.is_empty() => stored.read_q_table(params),
            _ => Ok(self.clone().learner(params)?.q_table().clone()),
        }
    }

    /// Returns what is learned. The first call may have to read it and to learn what came after.
    pub fn learner(&mut self, params: &ViewParams) -> Result<&Learner, StorageError> {
        if let Self::Stored(stored, lessons) = self {
            let mut learner = stored.read(params)?;
            for lesson in lessons {
                lesson.teach(&mut learner, params.seed);
            }
            *self = Self::Learner(Box::new(learner));
        }
        match self {
            Self::Learner(learner) => Ok(learner),
            Self::Stored(..) => unreachable!("it was read just now"),
        }
    }
}

/// The learned part of a view, not yet read.
#[derive(Debug, Clone)]
pub(crate) struct StoredLearner {
    pub folder: PathBuf,
    /// Whoever only decides leaves it where it is.
    pub memory: Option<Vec<u8>>,
    pub q_table: Vec<u8>,
}

impl StoredLearner {
    /// Reads the Q-table alone.
    fn read_q_table(&self, params: &ViewParams) -> Result<QTable, StorageError> {
        let path = self.folder.join(Q_TABLE);
        let initial = params.q_learning.initial_q_value;
        read_q_table(&self.q_table, params.space.clone(), initial, &path)
    }

    /// Reads Q-table and replay memory, which must belong together.
    fn read(&self, params: &ViewParams) -> Result<Learner, StorageError> {
        let q_table = self.read_q_table(params)?;
        let path = self.folder.join(MEMORY);
        let memory = match &self.memory {
            Some(bytes) => MemoryRows::read(bytes, &params.space, &path)?,
            None => {
                let bytes = CheckedFiles::open(&self.folder)?.read(MEMORY)?;
                MemoryRows::read(&bytes, &params.space, &path)?
            }
        };
        Learner::resume(params.q_learning.clone(), q_table, memory.rows()).map_err(|error| {
            let problem = format!("cannot be learned on from: {error}");
            StorageError::damaged(&self.folder, problem)
        })
    }
}

/// A row of the replay memory.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Lesson {
    iteration: Iteration,
    architecture: Architecture,
    reward: Accuracy,
}

impl Lesson {
    /// Returns the lesson of a row that the rules of the log allow, if it is one of the replay memory.
    fn of(row: &Row, space: &Space) -> Result<Option<Self>, RowError> {
        let Some((architecture, reward)) = row.memory() else { return Ok(None) };
        Ok(Some(Self {
            iteration: row.iteration.expect("by the rules a result and its reuse have one"),
            architecture: space.parse(architecture)?,
            reward: Accuracy::new(reward)?,
        }))
    }

    /// The draws of a row of the memory depend on its iteration alone, not on who learns it when.
    fn teach(&self, learner: &mut Learner, seed: u64) {
        let mut rng = generator(seed, Purpose::Replay, self.iteration.0, 0);
        learner.learn(&self.architecture, self.reward, &mut rng);
    }
}

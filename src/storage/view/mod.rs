//! A view: the replay log up to a row, digested.
//!
//! It is a pure function of [`ViewParams`] and the rows, so that a view and the rows after it say
//! what the whole log says, and nobody has to read the whole log. (The predictor is a function of
//! the rows and their learning curves; the reducer, which reads those, gives it to the view.) Its
//! files are the matter of [`crate::storage::view::files`], which one is read that of [`crate::storage::view::views`].

pub(crate) mod files;
pub(crate) mod known_csv;
pub(crate) mod learned;
pub(crate) mod memory_csv;
pub(crate) mod predictor_yaml;
pub(crate) mod q_table;
pub(crate) mod views;

use crate::predictor::FittedPredictor;
use crate::q_learning::{Learner, QTable, ValidQLearningParams};
use crate::space::Space;
use crate::storage::error::StorageError;
use crate::storage::log::event::Row;
use crate::storage::log::file::Tail;
use crate::storage::log::position::{LogCursor, LogPosition};
use crate::storage::log::text::RowError;
use crate::storage::search_state::Knowledge;
use crate::storage::view::learned::{Learned, StoredLearner};
use crate::storage::view::predictor_yaml::StoredPredictor;

/// What a view is a function of, besides the rows: parts of the frozen configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct ViewParams {
    /// The search space.
    pub space: Space,
    /// The constants of Q-learning.
    pub q_learning: ValidQLearningParams,
    /// The seed of the experiment.
    pub seed: u64,
    /// Checksum of `experiment.yaml`, which decides all of it.
    pub sha256: String,
}

/// What is known and what is learned after some rows of the log.
#[derive(Debug, Clone)]
pub struct View {
    params: ViewParams,
    position: LogPosition,
    rows: u64,
    knowledge: Knowledge,
    learned: Learned,
    predictor: Option<StoredPredictor>,
    /// The sums of the files it was read from, which are of this view and of no other.
    sums: Option<Vec<u8>>,
}

impl View {
    /// Returns the view before the first row.
    pub fn empty(params: ViewParams) -> Self {
        Self {
            position: LogCursor::start().position(),
            rows: 0,
            knowledge: Knowledge::default(),
            learned: Learned::nothing(&params),
            predictor: None,
            sums: None,
            params,
        }
    }

    /// Returns the view that lies on disk.
    pub(crate) fn stored(
        params: ViewParams,
        position: LogPosition,
        knowledge: Knowledge,
        learner: StoredLearner,
        predictor: Option<StoredPredictor>,
        sums: Vec<u8>,
    ) -> Self {
        let rows = position.rows;
        let learned = Learned::Stored(learner, Vec::new());
        let sums = Some(sums);
        Self { params, position, rows, knowledge, learned, predictor, sums }
    }

    /// Takes in the rows that follow in the log.
    ///
    /// # Errors
    /// A row that the rules of the log or the search space do not allow: the log is damaged, and
    /// this view is not to be used any more.
    ///
    /// # Panics
    /// When the rows are not those after [`View::position`].
    pub fn apply(&mut self, tail: &Tail) -> Result<(), StorageError> {
        tail.each(|row| self.apply_row(row))?;
        self.move_to(tail.cursor.position());
        Ok(())
    }

    /// Takes in one row, which may be one that is yet to be appended to the log: then the position
    /// stays behind until [`View::move_to`].
    ///
    /// # Errors
    /// Those of [`View::apply`].
    pub fn apply_row(&mut self, row: &Row) -> Result<(), RowError> {
        self.knowledge.apply(row)?;
        self.learned.take_in(row, &self.params)?;
        self.rows += 1;
        Ok(())
    }

    /// Says where in the log the rows taken in end.
    ///
    /// # Panics
    /// When `end` has another number of rows before it.
    pub fn move_to(&mut self, end: LogPosition) {
        assert_eq!(end.rows, self.rows, "a position is that of the rows taken in");
        self.position = end;
    }

    /// Returns where the rows that were read from the log end: where to read on.
    pub const fn position(&self) -> &LogPosition {
        &self.position
    }

    /// Returns the number of rows taken in.
    pub const fn rows(&self) -> u64 {
        self.rows
    }

    /// Returns what is known.
    pub const fn knowledge(&self) -> &Knowledge {
        &self.knowledge
    }

    /// Returns what the view is a function of, besides the rows.
    pub const fn params(&self) -> &ViewParams {
        &self.params
    }

    /// Returns how many full curves the log held when the predictor was fitted; none without one.
    pub fn predictor_curves(&self) -> Option<usize> {
        self.predictor.as_ref().map(|predictor| predictor.full_curves)
    }

    /// Reads the predictor, if there is one.
    ///
    /// # Errors
    /// A view whose predictor is none.
    pub fn predictor(&self) -> Result<Option<FittedPredictor>, StorageError> {
        self.predictor.as_ref().map(StoredPredictor::read).transpose()
    }

    /// Gives the view the predictor that was fitted when the log held so many full curves.
    ///
    /// # Errors
    /// One that cannot be written as text.
    pub fn set_predictor(
        &mut self,
        full_curves: usize,
        predictor: &FittedPredictor,
    ) -> Result<(), StorageError> {
        self.predictor = Some(StoredPredictor::new(full_curves, predictor)?);
        Ok(())
    }

    /// Takes the predictor away: nobody is stopped.
    pub fn forget_predictor(&mut self) {
        self.predictor = None;
    }

    /// Returns the sums of the files that the view was read from, if it was read.
    pub(crate) fn sums(&self) -> Option<&[u8]> {
        self.sums.as_deref()
    }

    pub(crate) const fn stored_predictor(&self) -> Option<&StoredPredictor> {
        self.predictor.as_ref()
    }

    /// Returns the Q-table as it lies on disk, without the replay memory, whose reading costs far
    /// more; when rows were taken in since, as learned from them.
    ///
    /// # Errors
    /// A view whose learned part is none of the search space.
    pub fn q_table(&self) -> Result<QTable, StorageError> {
        self.learned.q_table(&self.params)
    }

    /// Returns what is learned: the Q-table and the replay memory. The first call may have to read
    /// it from the text of a view and to learn the rows that came after.
    ///
    /// # Errors
    /// A view whose learned part is none of the search space.
    pub fn learner(&mut self) -> Result<&Learner, StorageError> {
        self.learned.learner(&self.params)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::outcome::Accuracy;
    use crate::q_learning::Epsilon;
    use crate::seed::{Purpose, generator};
    use crate::storage::log::event::Event;
    use crate::storage::log::random_log::{claimant, params, random_log};
    use proptest::prelude::*;

    /// Returns the rows of a log that a view has not taken in.
    pub(in super::super) fn tail_of(log: &[Row], view: &View) -> Tail {
        let mut cursor = LogCursor::start();
        for row in log {
            cursor.advance(&row.to_line().unwrap(), 1);
        }
        Tail { rows: log[view.rows() as usize..].to_vec(), cursor, path: "replay.csv".into() }
    }

    pub(in super::super) fn view_of(log: &[Row]) -> View {
        let mut view = View::empty(params());
        view.apply(&tail_of(log, &view)).unwrap();
        view
    }

    #[test]
    fn every_kind_of_row_occurs_in_the_random_logs() {
        let log = random_log(1, 200);
        for event in
            [Event::Claimed, Event::Trained, Event::OutOfMemory, Event::Lost, Event::Reused]
        {
            assert!(log.iter().any(|row| row.event == event), "{event}");
        }
        let without_reward = |row: &Row| row.event == Event::Reused && row.reward.is_none();
        assert!(log.iter().any(without_reward));
    }

    #[test]
    fn results_and_reused_rows_with_a_reward_are_learned_from_in_log_order() {
        let log = random_log(2, 60);
        let mut view = view_of(&log);
        let rewards: Vec<f64> =
            view.learner().unwrap().memory().rows().map(|row| row.reward().value()).collect();
        let expected: Vec<f64> =
            log.iter().filter_map(|row| row.memory()).map(|(_, reward)| reward).collect();
        assert!(!rewards.is_empty());
        assert_eq!(rewards, expected);
    }

    #[test]
    fn each_row_is_learned_with_the_generator_of_its_iteration() {
        let log = random_log(3, 60);
        let ViewParams { space, q_learning, seed, .. } = params();
        let mut learner = Learner::new(q_learning, space.clone());
        for row in &log {
            if let Some((architecture, reward)) = row.memory() {
                let architecture = space.parse(architecture).unwrap();
                let iteration = row.iteration.unwrap().0;
                let mut rng = generator(seed, Purpose::Replay, iteration, 0);
                learner.learn(&architecture, Accuracy::new(reward).unwrap(), &mut rng);
            }
        }
        assert!(view_of(&log).learner().unwrap().q_table() == learner.q_table());
    }

    #[test]
    fn a_row_that_is_yet_to_be_appended_leaves_the_position_behind() {
        let log = random_log(4, 10);
        let mut view = view_of(&log[..5]);
        view.apply_row(&log[5]).unwrap();
        assert_eq!((view.rows(), view.position().rows), (6, 5));
        let position = tail_of(&log[..6], &view).cursor.position();
        view.move_to(position.clone());
        assert_eq!(view.position(), &position);
    }

    #[test]
    fn a_row_that_cannot_be_right_is_named() {
        let log = random_log(5, 10);
        let mut view = view_of(&log[..3]);
        let repeated = [&log[..3], &log[..1]].concat();
        let error = view.apply(&tail_of(&repeated, &view)).unwrap_err();
        // After the header and three rows.
        assert!(error.to_string().contains("`replay.csv` is damaged at line 5"));

        let claim = Knowledge::default().draw("[C(9,3,1), SM(2)]", Epsilon::RANDOM, &claimant(0));
        let mut view = view_of(std::slice::from_ref(&claim));
        let failed = |reward| Row { reward: Some(reward), event: Event::Failed, ..claim.clone() };
        assert!(matches!(view.apply_row(&failed(0.5)), Err(RowError::Architecture(_))));

        let claim = Knowledge::default().draw("[SM(2)]", Epsilon::RANDOM, &claimant(0));
        let mut view = view_of(std::slice::from_ref(&claim));
        let failed = Row { reward: Some(86.0), event: Event::Failed, ..claim };
        assert!(matches!(view.apply_row(&failed), Err(RowError::Reward(_))));
    }

    proptest! {
        #[test]
        fn when_the_learner_is_asked_for_changes_nothing(seed in 0u64..1000, asked in 0usize..30) {
            let log = random_log(seed, 30);
            let mut view = view_of(&log[..asked.min(log.len())]);
            view.learner().unwrap();
            view.apply(&tail_of(&log, &view)).unwrap();
            let mut whole = view_of(&log);
            prop_assert!(view.learner().unwrap().q_table() == whole.learner().unwrap().q_table());
            prop_assert!(&view.q_table().unwrap() == whole.learner().unwrap().q_table());
        }
    }
}

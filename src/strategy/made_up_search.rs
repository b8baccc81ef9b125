//! A search in memory, for the tests of strategies.

use crate::q_learning::{Epsilon, QTable};
use crate::seed::{Purpose, generator};
use crate::space::{Candidate, DataShape, SpaceParams};
use crate::storage::{Claimant, Event, Knowledge, Row};
use crate::strategy::{Draw, SearchHistory, Strategy};

pub struct MadeUpSearch {
    rows: Vec<Row>,
    state: Knowledge,
    q_table: QTable,
    pub replays: u32,
}

impl MadeUpSearch {
    /// On grey images of 16 x 16 pixels and ten classes.
    pub fn new(space: SpaceParams) -> Self {
        let space = space.check(DataShape { size: 16, channels: 1, classes: 10 }).unwrap();
        let (state, q_table) = (Knowledge::default(), QTable::new(space, 0.5));
        Self { rows: Vec::new(), state, q_table, replays: 0 }
    }

    pub fn history(&self, epsilon: Option<Epsilon>) -> SearchHistory<'_> {
        let Self { rows, state, q_table, replays } = self;
        SearchHistory { rows, state, epsilon, q_table, replays: *replays }
    }

    pub fn next(
        &self,
        strategy: &mut dyn Strategy,
        epsilon: Option<Epsilon>,
        seed: u64,
    ) -> Option<Draw> {
        let rng = || generator(seed, Purpose::Sample, self.state.next_iteration.0, 0);
        strategy.prepare(&self.history(epsilon), &mut rng());
        strategy.next(&self.history(epsilon), &mut rng())
    }

    pub fn claim(&mut self, architecture: &str, epsilon: Option<Epsilon>) -> Row {
        let by = Claimant {
            round: None,
            view: None,
            predictor: None,
            device: None,
            host: "n1".into(),
            job: "local".into(),
            task: self.rows.len().to_string(),
            time: "2026-03-01T12:00:00Z".parse().unwrap(),
            expires_at: "2026-03-02T12:00:00Z".parse().unwrap(),
        };
        let row = self.state.draw(&Candidate::once(architecture), epsilon, &by);
        self.push(row.clone());
        row
    }

    pub fn train(
        &mut self,
        architecture: &str,
        epsilon: Option<Epsilon>,
        event: Event,
        reward: f64,
    ) {
        let claim = self.claim(architecture, epsilon);
        self.push(claim.made_up_result(event, reward, claim.time.unwrap()));
    }

    pub fn lose(&mut self, architecture: &str) {
        let claim = self.claim(architecture, None);
        let (attempt, time) = (claim.attempt().unwrap(), claim.time.unwrap());
        self.state.lose(attempt, "killed", None, time).into_iter().for_each(|row| self.push(row));
    }

    fn push(&mut self, row: Row) {
        self.state.apply(&row).unwrap();
        self.rows.push(row);
    }
}

//! Policy gradient: a recurrent network, the controller, proposes layer after layer, and learns by
//! REINFORCE which layers are followed by good networks (Zoph and Le, 2017, *Neural architecture
//! search with reinforcement learning*).
//!
//! Of that paper: an LSTM, uniform initial weights, Adam, and the moving average of the rewards as
//! the baseline. Ours: one LSTM layer of 32 units instead of two of 35; a step chooses a whole
//! layer, by a softmax over the legal ones, instead of one number of a layer; one update a result,
//! in the order of the log and with the weights of then, whichever task drew the network, so that
//! every process comes to the same controller; a larger learning rate, since a search has hundreds
//! of networks and not 12,800; and no network is trained twice: another is drawn in its place.
//!
//! A view keeps weights, moments and baseline, so that a process learns only from newer results.

use std::iter;

use rand_chacha::ChaCha8Rng;

use super::controller::{Controller, PolicyGradientParams};
use super::{Draw, SearchHistory, Strategy};
use crate::seed::{Purpose, generator};
use crate::space::{Candidate, Space};
use crate::storage::AT_RANDOM;

/// Draws without anything new after which one is taken at random: the controller is sure of itself
/// by then. Bounds the time under the lock.
const VAIN_DRAWS: usize = 100;

pub struct PolicyGradient {
    params: PolicyGradientParams,
    seed: u64,
    /// Made with the first draw.
    controller: Option<Controller>,
    /// Rows of the log that the controller has learned from, and of which replay.
    rows: usize,
    replays: u32,
}

impl PolicyGradient {
    pub const fn new(params: PolicyGradientParams, seed: u64) -> Self {
        Self { params, seed, controller: None, rows: 0, replays: 0 }
    }

    /// Learns from the results that are new.
    fn learn(&mut self, history: &SearchHistory<'_>) -> &Controller {
        if history.replays != self.replays {
            *self = Self { replays: history.replays, ..Self::new(self.params, self.seed) };
        }
        let (space, new) = (history.space(), &history.rows[self.rows..]);
        let new_controller = || new_controller(space, self.params, self.seed);
        let controller = self.controller.get_or_insert_with(new_controller);
        for (architecture, reward) in (SearchHistory { rows: new, ..*history }).results() {
            // A row of another space is damage, which `verify` names.
            let Ok(architecture) = space.parse(architecture) else { continue };
            controller.learn(space, architecture.layers(), reward);
        }
        self.rows = history.rows.len();
        controller
    }
}

fn new_controller(space: &Space, params: PolicyGradientParams, seed: u64) -> Controller {
    Controller::new(space, params, &mut generator(seed, Purpose::Controller, 0, 0))
}

impl Strategy for PolicyGradient {
    fn prepare(&mut self, history: &SearchHistory<'_>, _: &mut ChaCha8Rng) {
        self.learn(history);
    }

    fn next(&mut self, history: &SearchHistory<'_>, rng: &mut ChaCha8Rng) -> Option<Draw> {
        // Results that were read under the lock count for the next draw.
        let controller = match &self.controller {
            Some(controller) => controller,
            None => self.learn(history),
        };
        let mut draw = || controller.sample(history.space(), rng);
        for (layers, probability) in iter::repeat_with(&mut draw).take(VAIN_DRAWS) {
            let drawn = history.space().architecture(layers).expect("only legal layers");
            let candidate = Candidate::once(drawn.to_string());
            if history.is_free(&candidate) {
                let results = controller.updates();
                let s = if results == 1 { "" } else { "s" };
                let why = format!("probability {probability:.2e} after {results} result{s}");
                return Some((candidate, Some(why)));
            }
        }
        let why = format!("{AT_RANDOM}: {VAIN_DRAWS} draws of the controller were known");
        history.new_at_random(rng).map(|(candidate, _)| (candidate, Some(why)))
    }

    fn state(&mut self, history: &SearchHistory<'_>) -> Option<Vec<f64>> {
        Some(self.learn(history).state())
    }

    fn resume(&mut self, history: &SearchHistory<'_>, state: &[f64]) -> Option<()> {
        let controller = new_controller(history.space(), self.params, self.seed);
        let controller = controller.resumed(state)?;
        let (rows, replays) = (history.rows.len(), history.replays);
        *self = Self { controller: Some(controller), rows, replays, ..*self };
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::space::SpaceParams;
    use crate::storage::Event;
    use crate::strategy::made_up_search::MadeUpSearch;

    #[test]
    fn resumed_it_draws_as_if_it_had_learned_from_all_results() {
        let mut search = MadeUpSearch::new(SpaceParams::default());
        let new = || PolicyGradient::new(PolicyGradientParams::default(), 3);
        let mut resumed = [new(), new()];
        assert_eq!(resumed[0].state(&search.history(None)).unwrap()[0], 0.0);
        search.train("[SM(10)]", None, Event::Trained, 0.5);
        search.train("[GAP(10), SM(10)]", None, Event::Trained, 0.9);
        let mut state = new().state(&search.history(None)).unwrap();
        resumed[0].resume(&search.history(None), &state).unwrap();
        // What is read is gone by.
        state[2..].iter_mut().for_each(|number| *number = 0.5 * *number + 0.3);
        resumed[1].resume(&search.history(None), &state).unwrap();
        assert!(new().resume(&search.history(None), &state[1..]).is_none());
        search.train("[C(64,3,1), SM(10)]", None, Event::Failed, 0.1);
        let expected = search.next(&mut new(), None, 1);
        assert_eq!(search.next(&mut resumed[0], None, 1), expected);
        assert_ne!(search.next(&mut resumed[1], None, 1), expected);
        let state = |mut of: PolicyGradient| of.state(&search.history(None));
        let [resumed, _] = resumed;
        assert_eq!(state(resumed), state(new()));
    }

    #[test]
    fn after_a_replay_of_the_log_all_is_learned_anew() {
        let search = |reward: f64| {
            let mut search = MadeUpSearch::new(SpaceParams::default());
            search.train("[SM(10)]", None, Event::Trained, 0.5);
            search.train("[GAP(10), SM(10)]", None, Event::Trained, reward);
            search
        };
        let new = || PolicyGradient::new(PolicyGradientParams::default(), 3);
        let (mut fresh, mut stale) = (new(), new());
        let mut other = search(0.9);
        let expected = other.next(&mut fresh, None, 1);
        search(0.1).next(&mut stale, None, 1).unwrap();
        // As many rows, which are others.
        assert_ne!(other.next(&mut stale, None, 1), expected);
        other.replays = 1;
        assert_eq!(other.next(&mut stale, None, 1), expected);
    }
}

//! The Q-update: one trajectory, learned from its end.

use super::params::ValidQLearningParams;
use super::q_table::{Place, QTable};
use crate::outcome::Accuracy;

impl QTable {
    /// Updates the Q-values of a trajectory, the last transition first.
    ///
    /// For t = T-1, ..., 0, with s_T the terminal state, V(s) = max_u Q(s, u) over all legal
    /// actions (whether they were ever taken or not; the mask included, at that point of that
    /// trajectory) and V(s_T) = 0:
    ///
    /// ```text
    /// Q(s_t, u_t) <- Q(s_t, u_t) + alpha (r_t + gamma V(s_{t+1}) - Q(s_t, u_t))
    /// ```
    ///
    /// where r_{T-1} is `reward` and every other r_t is 0 (MetaQNN, section 3 and its appendix).
    /// Each step sees what the one before it wrote, so that a reward reaches the first layer at
    /// once. The operations are those of IEEE 754, one by one: the same on every machine.
    pub(super) fn update(
        &mut self,
        trajectory: &[Place],
        reward: Accuracy,
        params: &ValidQLearningParams,
    ) {
        let (alpha, gamma) = (params.learning_rate, params.discount_factor);
        let mut target = reward.value();
        for place in trajectory.iter().rev() {
            let value = self.value_to_update(place);
            *value += alpha * (target - *value);
            target = gamma * self.best_value(place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::params::QLearningParams;
    use super::super::trajectory::Trajectory;
    use super::*;
    use crate::space::{DataShape, SpaceParams};

    /// A table that learns from architectures one by one, by their text.
    struct Updates {
        q_table: QTable,
        params: ValidQLearningParams,
    }

    impl Updates {
        fn with(learning_rate: f64, discount_factor: f64) -> Self {
            let image = DataShape { size: 32, channels: 3, classes: 10 };
            let q_table = QTable::new(SpaceParams::default().check(image).unwrap(), 0.5);
            let params =
                QLearningParams { learning_rate, discount_factor, ..QLearningParams::default() };
            Self { q_table, params: params.check().unwrap() }
        }

        fn update(&mut self, architecture: &str, reward: f64) {
            let trajectory = self.trajectory(architecture);
            let places = self.q_table.places(&trajectory);
            self.q_table.update(&places, Accuracy::new(reward).unwrap(), &self.params);
        }

        fn trajectory(&self, architecture: &str) -> Trajectory {
            let space = self.q_table.space();
            Trajectory::of(space, &space.parse(architecture).unwrap())
        }

        /// The Q-values along a trajectory, from the start.
        fn values(&self, architecture: &str) -> Vec<f64> {
            let trajectory = self.trajectory(architecture);
            let transitions = trajectory.transitions().iter();
            transitions.map(|t| self.q_table.value(&t.state, t.action).unwrap()).collect()
        }
    }

    fn assert_close(found: &[f64], expected: &[f64]) {
        let close = |(a, b): (&f64, &f64)| (a - b).abs() < 1e-15;
        let all = found.len() == expected.len() && found.iter().zip(expected).all(close);
        assert!(all, "{found:?} is not {expected:?}");
    }

    const SHORT: &str = "[C(64,3,1), SM(10)]";
    const LONG: &str = "[C(64,3,1), C(64,3,1), SM(10)]";

    #[test]
    fn a_first_reward_moves_the_last_action_most() {
        // SM: 0.5 + 0.01 (0.9 - 0.5) = 0.504; C: 0.5 + 0.01 (0.504 - 0.5) = 0.50004.
        let mut updates = Updates::with(0.01, 1.0);
        updates.update(SHORT, 0.9);
        assert_close(&updates.values(SHORT), &[0.50004, 0.504]);
    }

    #[test]
    fn the_maximum_is_over_actions_never_taken_too() {
        // SM: 0.504 + 0.01 (0.1 - 0.504) = 0.49996. An untouched action of its state, at 0.5, is
        // now the best: C: 0.50004 + 0.01 (0.5 - 0.50004) = 0.5000396.
        let mut updates = Updates::with(0.01, 1.0);
        updates.update(SHORT, 0.9);
        updates.update(SHORT, 0.1);
        assert_close(&updates.values(SHORT), &[0.5000396, 0.49996]);
    }

    #[test]
    fn the_maximum_is_over_what_the_mask_leaves_at_that_point_of_that_trajectory() {
        // The third state of both is one row; the softmax alone is legal there in LONG, and the
        // convolution alone in the other.
        let other = "[C(64,1,1), C(64,3,1), C(64,3,1), SM(10)]";
        let mut updates = Updates::with(0.5, 1.0);
        let space = updates.q_table.space().clone();
        let networks = [LONG, other].map(|text| space.parse(text).unwrap());
        updates.q_table = QTable::new(space.restricted_to(&networks), 0.5);
        // SM: 0.5 + 0.5 (0 - 0.5) = 0.25. Second C: 0.5 + 0.5 (0.25 - 0.5) = 0.375; without the
        // mask the best after it would be another action, at 0.5. First C: 0.4375.
        updates.update(LONG, 0.0);
        assert_eq!(updates.values(LONG), [0.4375, 0.375, 0.25]);
        // SM: 0.75; third C: 0.625; second: 0.5 + 0.5 (0.625 - 0.5) = 0.5625; first: 0.53125.
        updates.update(other, 1.0);
        assert_eq!(updates.values(other), [0.53125, 0.5625, 0.625, 0.75]);
        // SM: 0.125; second C: 0.375 + 0.5 (0.125 - 0.375) = 0.25, though the row holds 0.625;
        // first: 0.4375 + 0.5 (0.25 - 0.4375) = 0.34375.
        updates.update(LONG, 0.0);
        assert_eq!(updates.values(LONG), [0.34375, 0.25, 0.125]);
    }

    #[test]
    fn a_reward_reaches_the_first_layer_at_once() {
        // SM: 0.5 + 0.5 (1 - 0.5) = 0.75; second C: 0.5 + 0.5 (0.75 - 0.5) = 0.625; first C:
        // 0.5 + 0.5 (0.625 - 0.5) = 0.5625. Forwards, both C would see 0.5 and stay there.
        let mut updates = Updates::with(0.5, 1.0);
        updates.update(LONG, 1.0);
        assert_eq!(updates.values(LONG), [0.5625, 0.625, 0.75]);
    }

    #[test]
    fn a_replay_of_three_rows_gives_the_numbers_worked_by_hand() {
        let mut updates = Updates::with(0.5, 1.0);
        updates.update(LONG, 1.0);
        // SM after one C: 0.5 + 0.5 (0 - 0.5) = 0.25. The best there is the second C of the long
        // network, 0.625. First C: 0.5625 + 0.5 (0.625 - 0.5625) = 0.59375.
        updates.update(SHORT, 0.0);
        assert_eq!(updates.values(SHORT), [0.59375, 0.25]);
        assert_eq!(updates.values(LONG), [0.59375, 0.625, 0.75]);
        // SM: 0.75 + 0.5 (1 - 0.75) = 0.875; second C: 0.625 + 0.5 (0.875 - 0.625) = 0.75;
        // first C: 0.59375 + 0.5 (0.75 - 0.59375) = 0.671875.
        updates.update(LONG, 1.0);
        assert_eq!(updates.values(LONG), [0.671875, 0.75, 0.875]);
        assert_eq!(updates.values(SHORT), [0.671875, 0.25]);
    }

    /// Three layers and the softmax at alpha 0.1, as a talk goes through an update. The
    /// specification of the papers gives no numbers of the talk's example, so these are our own.
    #[test]
    fn an_update_of_three_layers_at_alpha_one_tenth_worked_step_by_step() {
        let network = "[C(64,3,1), P(2,2), D(1,2), C(64,5,1), SM(10)]";
        let mut updates = Updates::with(0.1, 1.0);
        // All four Q-values are 0.5; the accuracy is 0.9. From the end, each step towards the
        // greatest Q-value of the state that the action leads to:
        //   SM            0.5 + 0.1 (0.9    - 0.5) = 0.54       the reward; nothing comes after
        //   C(64,5,1)     0.5 + 0.1 (0.54   - 0.5) = 0.504      all but SM are at 0.5 there
        //   P(2,2)        0.5 + 0.1 (0.504  - 0.5) = 0.5004
        //   C(64,3,1)     0.5 + 0.1 (0.5004 - 0.5) = 0.50004
        updates.update(network, 0.9);
        assert_close(&updates.values(network), &[0.50004, 0.5004, 0.504, 0.54]);
        // The same network again, now with 0.2 (as another one that ends in the same states):
        //   SM            0.54    + 0.1 (0.2    - 0.54)    = 0.506
        //   C(64,5,1)     0.504   + 0.1 (0.506  - 0.504)   = 0.5042      SM is still the best
        //   P(2,2)        0.5004  + 0.1 (0.5042 - 0.5004)  = 0.50078
        //   C(64,3,1)     0.50004 + 0.1 (0.50078 - 0.50004) = 0.500114
        updates.update(network, 0.2);
        assert_close(&updates.values(network), &[0.500114, 0.50078, 0.5042, 0.506]);
        // Ended after the pooling, with 0.1. SM there is another action, which falls from 0.5 to
        // 0.5 + 0.1 (0.1 - 0.5) = 0.46, so that the best after the pooling is still C(64,5,1):
        //   P(2,2)        0.50078  + 0.1 (0.5042  - 0.50078)  = 0.501122
        //   C(64,3,1)     0.500114 + 0.1 (0.501122 - 0.500114) = 0.5002148
        updates.update("[C(64,3,1), P(2,2), D(1,1), SM(10)]", 0.1);
        assert_close(&updates.values(network), &[0.5002148, 0.501122, 0.5042, 0.506]);
    }

    #[test]
    fn a_discounted_reward_is_worth_less_one_layer_earlier() {
        // SM: 1. Second C: 0.5 x max(1, 0.5) = 0.5. First C: 0.5 x max(0.5, 0.5) = 0.25.
        let mut updates = Updates::with(1.0, 0.5);
        updates.update(LONG, 1.0);
        assert_eq!(updates.values(LONG), [0.25, 0.5, 1.0]);
    }

    #[test]
    fn the_softmax_alone_learns_from_the_reward_only() {
        // 0.5 + 0.01 (0.1 - 0.5) = 0.496.
        let mut updates = Updates::with(0.01, 1.0);
        updates.update("[SM(10)]", 0.1);
        assert_close(&updates.values("[SM(10)]"), &[0.496]);
    }
}

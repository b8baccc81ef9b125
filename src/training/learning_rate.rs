//! The learning rate of an epoch, as a pure function of the recipe.

use super::recipe::ValidRecipe;
use crate::maths::pow;

impl ValidRecipe {
    /// Returns the learning rate a start begins with: `learning_rate * retry_factor^(start - 1)`,
    /// starts counted from 1 (paper, section 5: 0.001, and 0.4 times as much at each restart).
    pub fn initial_learning_rate(&self, start: u32) -> f64 {
        let recipe = self;
        recipe.learning_rate * pow(recipe.learning_rate_retry_factor, f64::from(start - 1))
    }

    /// Returns the learning rate of an epoch (from 1): the start's, times `decay_factor` for every
    /// `decay_every` epochs that are over.
    pub fn learning_rate(&self, start: u32, epoch: u32) -> f64 {
        let recipe = self;
        let steps = (epoch - 1) / recipe.decay_every;
        self.initial_learning_rate(start) * pow(recipe.decay_factor, f64::from(steps))
    }
}

#[cfg(test)]
mod tests {
    use super::super::recipe::Recipe;

    #[test]
    fn rates_are_those_of_the_paper() {
        let recipe = Recipe::default().check(10).unwrap();
        let close = |a: f64, b: f64| (a - b).abs() < 1e-12;
        for (start, rate) in [(1, 0.001), (2, 0.0004), (3, 0.00016), (4, 0.000064), (5, 0.0000256)]
        {
            assert!(close(recipe.initial_learning_rate(start), rate));
        }
        for (epoch, rate) in
            [(1, 1e-3), (5, 1e-3), (6, 2e-4), (10, 2e-4), (11, 4e-5), (16, 8e-6), (20, 8e-6)]
        {
            assert!(close(recipe.learning_rate(1, epoch), rate), "epoch {epoch}");
        }
        assert!(close(recipe.learning_rate(2, 6), 8e-5));
    }
}

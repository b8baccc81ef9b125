//! How far a training has come: starts, epochs, and what is next. Values only, no tensors.
//!
//! A network starts with the first learning rate. If its validation accuracy after one epoch does
//! not exceed the threshold it starts anew, with new weights and the next rate; when no rate is
//! left it has failed. Once the test is passed, training goes on from these weights.

use std::ops::ControlFlow;

use metaqnn::training::ValidRecipe;
use metaqnn::training::protocol::Message;
use serde::{Deserialize, Serialize};

use super::input::{Answer, DONE};

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TrainingState {
    /// Which learning rate, from 1.
    pub start: u32,
    /// Epochs done in this start.
    pub epoch: u32,
    /// Whether this start has passed the first-epoch test.
    pub passed: bool,
    pub diverged: bool,
    /// Of the last epoch.
    pub learning_rate: f64,
    /// Of this start.
    pub best_validation_accuracy: f64,
    pub best_epoch: u32,
    /// Images whose gradient is computed at once: the batch, or less where memory is short.
    pub micro_batch: i64,
}

impl TrainingState {
    pub fn beginning(batch_size: i64) -> Self {
        Self { start: 1, micro_batch: batch_size, ..Self::default() }
    }

    /// The start and epoch to train next; the first epoch begins with new weights. Breaks with the
    /// answer when the training is over.
    pub fn next(&self, recipe: &ValidRecipe, epochs: u32) -> ControlFlow<Answer, (u32, u32)> {
        let failed = |reason| ControlFlow::Break(Some(Message::Failed(reason)));
        match (self.epoch, self.passed) {
            (0, _) => ControlFlow::Continue((self.start, 1)),
            (_, false) if self.start >= recipe.learning_rate_tries => {
                failed("no learning rate passed the first-epoch test".into())
            }
            (_, false) => ControlFlow::Continue((self.start + 1, 1)),
            (last, true) if self.diverged => {
                failed(format!("loss is not a number in epoch {last}"))
            }
            (done, true) if done >= epochs => ControlFlow::Break(DONE),
            (done, true) => ControlFlow::Continue((self.start, done + 1)),
        }
    }

    /// `accuracy` is `None` when the loss was no longer a number, and `Some(None)` where no images
    /// are for validation: then every first epoch passes, and the last one is the best.
    pub fn record(
        &mut self,
        start: u32,
        epoch: u32,
        accuracy: Option<Option<f64>>,
        recipe: &ValidRecipe,
    ) {
        if epoch == 1 {
            let passes = |found: Option<f64>| found.is_none_or(|it| recipe.passes_first_epoch(it));
            self.passed = accuracy.is_some_and(passes);
            (self.best_epoch, self.best_validation_accuracy) = (0, 0.0);
        }
        (self.start, self.epoch) = (start, epoch);
        self.diverged = accuracy.is_none();
        self.learning_rate = recipe.learning_rate(start, epoch);
        if let Some(found) = accuracy
            && (self.best_epoch == 0
                || found.is_none_or(|found| found > self.best_validation_accuracy))
        {
            (self.best_epoch, self.best_validation_accuracy) = (epoch, found.unwrap_or(0.0));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use metaqnn::training::Recipe;

    /// Start and epoch within it.
    type Epoch = (u32, u32);

    /// Walks through accuracies until the training ends.
    fn walk(
        accuracies: &[Option<f64>],
        epochs: u32,
    ) -> (Vec<Epoch>, ControlFlow<Answer, Epoch>, TrainingState) {
        let recipe = Recipe::default().check(10).unwrap();
        let mut progress = TrainingState::beginning(128);
        let mut walked = Vec::new();
        for &accuracy in accuracies {
            let ControlFlow::Continue((start, epoch)) = progress.next(&recipe, epochs) else {
                break;
            };
            walked.push((start, epoch));
            progress.record(start, epoch, accuracy.map(Some), &recipe);
        }
        let next = progress.next(&recipe, epochs);
        (walked, next, progress)
    }

    #[test]
    fn a_healthy_network_trains_through() {
        let (walked, next, progress) = walk(&[Some(0.5), Some(0.7), Some(0.6)], 3);
        assert_eq!(walked, [(1, 1), (1, 2), (1, 3)]);
        assert_eq!(next, ControlFlow::Break(DONE));
        assert_eq!((progress.best_epoch, progress.best_validation_accuracy), (2, 0.7));
        assert!((progress.learning_rate - 0.001).abs() < 1e-15);
    }

    #[test]
    fn the_threshold_itself_does_not_pass() {
        let (walked, _, progress) = walk(&[Some(0.15), Some(0.1501), Some(0.2)], 20);
        assert_eq!(walked, [(1, 1), (2, 1), (2, 2)]);
        assert_eq!(progress.start, 2);
    }

    #[test]
    fn a_failed_first_start_leaves_no_best() {
        let (_, _, progress) = walk(&[Some(0.15), Some(0.12)], 20);
        assert_eq!((progress.best_epoch, progress.best_validation_accuracy), (1, 0.12));
    }

    #[test]
    fn five_learning_rates_and_no_more() {
        let (walked, next, _) = walk(&[Some(0.1); 9], 20);
        assert_eq!(walked, [(1, 1), (2, 1), (3, 1), (4, 1), (5, 1)]);
        let reason = "no learning rate passed the first-epoch test".into();
        assert_eq!(next, ControlFlow::Break(Some(Message::Failed(reason))));
    }

    #[test]
    fn a_loss_that_is_no_number_does_not_pass() {
        let (walked, next, _) = walk(&[None, Some(0.9)], 2);
        assert_eq!(walked, [(1, 1), (2, 1)]);
        assert_eq!(next, ControlFlow::Continue((2, 2)));
    }

    #[test]
    fn a_network_that_diverges_after_its_first_epoch_has_failed() {
        let (walked, next, progress) = walk(&[Some(0.5), None, Some(0.6)], 3);
        assert_eq!(walked, [(1, 1), (1, 2)]);
        let reason = "loss is not a number in epoch 2".into();
        assert_eq!(next, ControlFlow::Break(Some(Message::Failed(reason))));
        assert_eq!((progress.best_epoch, progress.best_validation_accuracy), (1, 0.5));
    }
}

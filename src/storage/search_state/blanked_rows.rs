//! What blanked rows may have been about, and so where the rules of the log are relaxed.
//!
//! A `void` row keeps the iteration of the row that it blanks where that could still be read. Then
//! it was about that iteration; else it may have been about any that had not ended, a draw, or a
//! halt. An iteration is in doubt until it ends, draws until the next one.

use std::collections::BTreeSet;

use crate::storage::log::event::{Event, Iteration};
use crate::storage::search_state::Knowledge;

const MOST_HIDDEN_DRAWS: u64 = 1000;

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Doubt {
    /// That a blanked row may have been about and that have not ended since.
    pub iterations: BTreeSet<Iteration>,
    pub draws: bool,
    /// Whether the search may have been halted or resumed, until the next draw.
    pub halt: bool,
}

impl Knowledge {
    pub(crate) fn is_in_doubt(&self, iteration: Iteration) -> bool {
        let doubt = &self.doubt;
        doubt.iterations.contains(&iteration)
            || (doubt.draws && iteration >= self.next_iteration && self.is_near(iteration))
    }

    /// Whether the draw of this iteration may have been blanked: no row names it.
    pub(crate) fn may_be_drawn_in_doubt(&self, iteration: Iteration) -> bool {
        self.is_in_doubt(iteration) && !self.is_unfinished(iteration)
    }

    pub(crate) fn has_blanks(&self) -> bool {
        self.events.contains_key(&Event::Void)
    }

    /// Whether a row that cannot be read may be about an iteration: one that has ended changes no
    /// more.
    pub fn may_change(&self, iteration: Iteration) -> bool {
        self.is_unfinished(iteration)
            || self.is_in_doubt(iteration)
            || (iteration >= self.next_iteration && self.is_near(iteration))
    }

    /// Takes in a blanked row. No number that it may have had is given again: the files of its
    /// attempt may be there.
    pub(crate) fn take_in_blank(&mut self, iteration: Option<Iteration>, attempt: Option<u32>) {
        match iteration {
            Some(iteration) if self.may_change(iteration) => {
                self.count_draw(iteration);
                self.doubt.iterations.insert(iteration);
                if let Some(open) = self.open.get_mut(&iteration) {
                    open.attempt = open.attempt.max(attempt.unwrap_or(0));
                }
            }
            // A second row of one that had ended, or a row of another search.
            Some(_) => {}
            None => {
                let next = self.next_iteration;
                let unfinished = self.open.keys().chain(self.pending.keys());
                let all: Vec<_> = unfinished.chain(self.lost.keys()).copied().collect();
                self.doubt.iterations.extend(all.into_iter().chain([next]));
                self.doubt.halt = true;
                self.count_draw(next);
            }
        }
        self.doubt.draws = true;
    }

    /// An iteration stands where the last row says: it has ended, or begun.
    pub(crate) fn end_doubt(&mut self, iteration: Iteration) {
        self.doubt.iterations.remove(&iteration);
    }

    /// Nothing is drawn while the search is halted, and draws are numbered one after the other.
    pub(crate) fn end_doubt_of_draws(&mut self) {
        let doubt = &mut self.doubt;
        doubt.draws = false;
        if std::mem::take(&mut doubt.halt) {
            self.halted = false;
        }
    }

    /// Draws are numbered without gaps but for those whose rows were blanked.
    pub(crate) fn count_draw(&mut self, iteration: Iteration) {
        let next = self.next_iteration;
        self.doubt.iterations.extend((next.0..iteration.0).map(Iteration));
        self.next_iteration = next.max(iteration.next());
    }

    fn is_unfinished(&self, iteration: Iteration) -> bool {
        self.open.contains_key(&iteration)
            || self.pending.contains_key(&iteration)
            || self.lost.contains_key(&iteration)
    }

    fn is_near(&self, iteration: Iteration) -> bool {
        iteration.0.saturating_sub(self.next_iteration.0) < MOST_HIDDEN_DRAWS
    }
}

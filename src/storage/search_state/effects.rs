//! What an allowed row changes.

use crate::storage::fs::time::Time;
use crate::storage::log::event::{Event, Iteration, Row, TIME_KEY};
use crate::storage::search_state::rules::{Drawn, Fact};
use crate::storage::search_state::{
    Audit, Best, EpsilonTally, Knowledge, Known, LostClaim, Open, Pending,
};

impl Knowledge {
    pub(crate) fn take_in(&mut self, fact: &Fact<'_>, row: &Row) {
        if let Fact::Claimed { drawn, .. }
        | Fact::Pending(drawn, _)
        | Fact::Reused(drawn, _)
        | Fact::Lost { drawn, .. } = *fact
        {
            // From the first draw on, its epsilon has begun.
            self.tally(drawn.epsilon);
        }
        match *fact {
            Fact::Claimed { drawn, attempt, job, task, expires_at, counts_loss, after_timeout } => {
                if counts_loss {
                    self.count_loss(drawn.architecture);
                }
                let before = self.open.get(&drawn.iteration);
                let before = before.map_or(0, |open| open.timeouts);
                let timeouts = if after_timeout { before + 1 } else { 0 };
                self.close_others(drawn);
                if attempt == 1 {
                    self.end_doubt(drawn.iteration);
                    self.end_doubt_of_draws();
                }
                self.open(drawn, (attempt, timeouts), (job, task), expires_at, row);
            }
            Fact::Pending(drawn, _) => {
                self.end(drawn.iteration);
                self.end_doubt(drawn.iteration);
                self.end_doubt_of_draws();
                let pending = Pending {
                    architecture: drawn.architecture.to_owned(),
                    epsilon: drawn.epsilon,
                    round: row.round,
                };
                self.pending.insert(drawn.iteration, pending);
            }
            Fact::Reused(drawn, _) => {
                self.end(drawn.iteration);
                if self.known.contains_key(drawn.architecture) {
                    self.end_doubt(drawn.iteration);
                } else {
                    // The result that it reuses was blanked: one of its own may come and is the
                    // only one.
                    self.doubt.iterations.insert(drawn.iteration);
                }
            }
            Fact::Lost { drawn, attempt, counts_loss, timed_out } => {
                self.claims_timed_out += u32::from(timed_out);
                self.lose_claim(drawn, attempt, counts_loss);
                // The result of a lost claim may still come, of an attempt whose row was blanked,
                // too.
                if attempt.is_none() {
                    self.end_doubt(drawn.iteration);
                }
            }
            Fact::Result(drawn, _) => self.know(drawn, row),
            Fact::Imported(drawn) => {
                self.know(drawn, row);
                self.end_doubt_of_draws();
            }
            Fact::Exhausted(epsilon) => self.tally(epsilon).exhausted = true,
            Fact::Halted => {
                self.halted = true;
                self.doubt.halt = false;
                self.open.values_mut().for_each(|open| open.was_halted = true);
            }
            Fact::Resumed => {
                self.halted = false;
                self.doubt.halt = false;
            }
            Fact::Set(setting) => {
                if setting.split('=').next() == Some(TIME_KEY) {
                    self.claims_timed_out = 0;
                }
                self.settings.push(setting.to_owned());
            }
            // It is for those who have read the rows before it.
            Fact::Repaired => {}
            Fact::Void => self.take_in_blank(row.iteration, row.attempt),
        }
        self.sum_up(row);
    }

    fn open(
        &mut self,
        drawn: Drawn<'_>,
        (attempt, timeouts): (u32, u32),
        (job, task): (&str, &str),
        expires_at: Time,
        row: &Row,
    ) {
        self.end(drawn.iteration);
        for open in self.open.values_mut() {
            if open.job == job && open.task == task {
                open.is_newest_of_task = false;
            }
        }
        let open = Open {
            architecture: drawn.architecture.to_owned(),
            epsilon: drawn.epsilon,
            attempt,
            round: row.round,
            job: job.to_owned(),
            task: task.to_owned(),
            host: row.host.clone(),
            claimed_at: row.time,
            expires_at,
            is_newest_of_task: true,
            was_halted: false,
            timeouts,
        };
        self.open.insert(drawn.iteration, open);
    }

    /// The iteration is no longer what it was.
    fn end(&mut self, iteration: Iteration) {
        self.count_draw(iteration);
        self.open.remove(&iteration);
        self.pending.remove(&iteration);
        self.lost.remove(&iteration);
    }

    /// An architecture is trained by one iteration at a time: the end of another one was blanked.
    fn close_others(&mut self, drawn: Drawn<'_>) {
        let others = self.open.iter().filter(|(iteration, open)| {
            open.architecture == drawn.architecture && **iteration != drawn.iteration
        });
        for iteration in others.map(|(&iteration, _)| iteration).collect::<Vec<_>>() {
            let open = self.open.remove(&iteration).expect("it was found there");
            let Open { architecture, epsilon, attempt, .. } = open;
            self.lost.insert(iteration, LostClaim { architecture, epsilon, attempt });
        }
    }

    /// A claim that ends without a result counts as a loss, unless the search was halted after it
    /// had begun, or the row says that no network could have been trained there.
    fn lose_claim(&mut self, drawn: Drawn<'_>, attempt: Option<u32>, counts_loss: bool) {
        let was_halted = self.open.get(&drawn.iteration).is_some_and(|open| open.was_halted);
        self.end(drawn.iteration);
        let Some(attempt) = attempt.filter(|_| !self.known.contains_key(drawn.architecture)) else {
            return;
        };
        if counts_loss && !was_halted {
            self.count_loss(drawn.architecture);
        }
        let Drawn { iteration, architecture, epsilon } = drawn;
        let architecture = architecture.to_owned();
        self.lost.insert(iteration, LostClaim { architecture, epsilon, attempt });
    }

    fn count_loss(&mut self, architecture: &str) {
        if !self.known.contains_key(architecture) {
            *self.losses.entry(architecture.to_owned()).or_default() += 1;
        }
    }

    fn know(&mut self, drawn: Drawn<'_>, row: &Row) {
        self.end(drawn.iteration);
        self.end_doubt(drawn.iteration);
        let known = Known {
            iteration: drawn.iteration,
            epsilon: drawn.epsilon,
            reward: row.reward,
            best_validation_accuracy: row.best_validation_accuracy,
        };
        self.known.insert(drawn.architecture.to_owned(), known);
        self.tally(drawn.epsilon).results += 1;
        if !self.is_time_too_short() {
            self.claims_timed_out = 0;
        }
        self.losses.remove(drawn.architecture);
        self.lost.retain(|_, lost| lost.architecture != drawn.architecture);
        self.compare_with_best(drawn, row);
    }

    fn compare_with_best(&mut self, drawn: Drawn<'_>, row: &Row) {
        self.newest_round_with_result = self.newest_round_with_result.max(row.round);
        // What a stopped or failed network has shown is no final accuracy.
        let is_final = matches!(row.event, Event::Trained | Event::Imported);
        if let Some(accuracy) = row.best_validation_accuracy.filter(|_| is_final)
            && self.best.as_ref().is_none_or(|best| best.best_validation_accuracy < accuracy)
        {
            self.best = Some(Best {
                iteration: drawn.iteration,
                architecture: drawn.architecture.to_owned(),
                best_validation_accuracy: accuracy,
            });
        }
        if let Some(last) = row.last_validation_accuracy.filter(|_| row.event == Event::Trained) {
            self.last_accuracies.add(last);
            if let Some(y_best) = row.y_best.filter(|_| row.audit == Some(true)) {
                let (iteration, is_false_stop) = (drawn.iteration, last > y_best);
                self.audits.push(Audit { iteration, is_false_stop });
            }
        }
    }

    fn sum_up(&mut self, row: &Row) {
        *self.events.entry(row.event).or_default() += 1;
        self.seconds.train += row.train_seconds.unwrap_or(0.0);
        self.seconds.saved += row.saved_seconds.unwrap_or(0.0);
        self.seconds.lost += row.lost_seconds.unwrap_or(0.0);
    }

    fn tally(&mut self, epsilon: f64) -> &mut EpsilonTally {
        let tallies = &mut self.epsilons;
        let index = tallies.iter().position(|tally| tally.epsilon == epsilon);
        let index = index.unwrap_or_else(|| {
            tallies.push(EpsilonTally { epsilon, results: 0, exhausted: false });
            tallies.len() - 1
        });
        &mut tallies[index]
    }
}

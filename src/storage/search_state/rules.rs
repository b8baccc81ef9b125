//! Which row may follow what is known (the table in [`super`], row by row), and what it changes.

use crate::space::Candidate;
use crate::storage::log::event::{
    AFTER_TIMEOUT, CAME_TO_NOTHING, Event, Iteration, Row, TIME_KEY, TIME_TOO_SHORT, counts_as_loss,
};
use crate::storage::search_state::{
    Audit, Best, EpsilonTally, Knowledge, Known, LostClaim, Open, Pending, Rule, Standing,
    Violation,
};

/// How many losses keep an architecture from being tried again.
pub(super) const LOSSES_TO_QUARANTINE: u32 = 3;

/// An iteration with its candidate and the epsilon at which that was drawn.
#[derive(Debug, Clone, PartialEq)]
struct Drawn {
    iteration: Iteration,
    candidate: Candidate,
    epsilon: Option<f64>,
}

impl Drawn {
    fn of(row: &Row) -> Result<Self, Rule> {
        need(row.architecture.as_ref(), "architecture")?;
        Ok(Self {
            iteration: need(row.iteration, "iteration")?,
            candidate: need(row.candidate(), "repeat")?,
            epsilon: row.epsilon,
        })
    }

    /// Checks that an iteration was drawn with this candidate and epsilon.
    fn check(&self, candidate: &Candidate, epsilon: Option<f64>) -> Result<(), Rule> {
        let is_same = (&self.candidate, self.epsilon) == (candidate, epsilon);
        is_same.then_some(()).ok_or(Rule::OtherDraw)
    }
}

fn need<T>(value: Option<T>, column: &'static str) -> Result<T, Rule> {
    value.ok_or(Rule::Missing(column))
}

impl Knowledge {
    /// Takes in the next row of the log; one that breaks a rule changes nothing.
    pub fn apply(&mut self, row: &Row) -> Result<(), Violation> {
        self.take_in(row).map_err(|rule| Violation::of(row, rule))
    }

    /// Each arm reads the columns that it needs, checks the rules, and then changes what is known.
    fn take_in(&mut self, row: &Row) -> Result<(), Rule> {
        match row.event {
            Event::Claimed => self.claim(row)?,
            Event::Pending => self.wait(row)?,
            Event::Reused => self.reuse(row)?,
            Event::Lost => self.lose_claim(row)?,
            Event::Trained | Event::Stopped | Event::Failed | Event::OutOfMemory => {
                self.know(&self.check_result(row)?, row);
            }
            Event::Imported => {
                let drawn = Drawn::of(row)?;
                self.check_draw(&drawn)?;
                self.check_unknown(&drawn.candidate)?;
                self.know(&drawn, row);
                self.end_doubt_of_draws();
            }
            Event::Exhausted => {
                self.check_wanted(row.epsilon)?;
                self.tally(row.epsilon).exhausted = true;
            }
            Event::Halted => {
                self.halted = true;
                self.doubt.halt = false;
                self.open.values_mut().for_each(|open| open.was_halted = true);
            }
            Event::Resumed => {
                self.halted = false;
                self.doubt.halt = false;
            }
            Event::Set => {
                let setting = need(row.reason.as_deref(), "reason")?;
                if setting.split('=').next() == Some(TIME_KEY) {
                    self.claims_timed_out = 0;
                }
                self.settings.push(setting.to_owned());
            }
            // It is for those who have read the rows before it.
            Event::Repaired => {}
            Event::Void => self.take_in_blank(row.iteration, row.attempt),
        }
        *self.events.entry(row.event).or_default() += 1;
        self.full_curves += usize::from(row.has_full_curve());
        self.seconds.train += row.train_seconds.unwrap_or(0.0);
        self.seconds.saved += row.saved_seconds.unwrap_or(0.0);
        self.seconds.lost += row.lost_seconds.unwrap_or(0.0);
        Ok(())
    }

    fn claim(&mut self, row: &Row) -> Result<(), Rule> {
        let drawn = Drawn::of(row)?;
        let claim = Open {
            candidate: drawn.candidate.clone(),
            epsilon: drawn.epsilon,
            attempt: need(row.attempt, "attempt")?,
            round: row.round,
            job: need(row.job.clone(), "job")?,
            task: need(row.task.clone(), "task")?,
            host: row.host.clone(),
            claimed_at: row.time,
            expires_at: need(row.expires_at, "expires_at")?,
            is_newest_of_task: true,
            was_halted: false,
            timeouts: match row.reason.as_deref() {
                Some(AFTER_TIMEOUT) => {
                    self.open.get(&drawn.iteration).map_or(0, |before| before.timeouts) + 1
                }
                _ => 0,
            },
        };
        let counts_loss = row.reason.as_deref() == Some(CAME_TO_NOTHING);
        if claim.attempt == 1 {
            self.check_first_claim(&drawn)?;
            self.end_doubt(drawn.iteration);
            self.end_doubt_of_draws();
        } else {
            self.check_next_claim(&drawn, &claim, counts_loss)?;
        }
        if counts_loss {
            self.count_loss(&drawn.candidate);
        }
        self.close_others(&drawn);
        self.end(&drawn);
        for open in self.open.values_mut().filter(|open| open.is_of_task(&claim.job, &claim.task)) {
            open.is_newest_of_task = false;
        }
        self.open.insert(drawn.iteration, claim);
        Ok(())
    }

    fn check_first_claim(&self, drawn: &Drawn) -> Result<(), Rule> {
        self.check_draw(drawn)?;
        match self.standing(&drawn.candidate) {
            Standing::Free => Ok(()),
            Standing::Known(known) => Err(Rule::Known(known.iteration)),
            Standing::Open(open) if self.is_in_doubt(open) => Ok(()),
            Standing::Open(open) => Err(Rule::Open(open)),
            Standing::Quarantined if self.has_blanks() => Ok(()),
            Standing::Quarantined => Err(Rule::Quarantined),
        }
    }

    fn check_next_claim(&self, drawn: &Drawn, claim: &Open, counts_loss: bool) -> Result<(), Rule> {
        let earlier = claim.attempt.saturating_sub(1);
        if self.is_in_doubt(drawn.iteration) {
            self.check_unknown(&drawn.candidate)?;
            return self.check_attempt(drawn, earlier);
        }
        self.check_attempt(drawn, earlier)?;
        let open = &self.open[&drawn.iteration];
        let losses = self.losses(&drawn.candidate) + u32::from(counts_loss);
        if !open.is_of_task(&claim.job, &claim.task) || !open.is_newest_of_task {
            Err(Rule::NotNewestOfTask)
        } else if losses >= LOSSES_TO_QUARANTINE && !self.has_blanks() {
            Err(Rule::Quarantined)
        } else {
            Ok(())
        }
    }

    fn wait(&mut self, row: &Row) -> Result<(), Rule> {
        let drawn = Drawn::of(row)?;
        let of_iteration = need(row.of_iteration, "of_iteration")?;
        self.check_draw(&drawn)?;
        match self.standing(&drawn.candidate) {
            Standing::Open(open) if open == of_iteration => {}
            Standing::Known(known) => return Err(Rule::Known(known.iteration)),
            Standing::Open(open) if !self.is_in_doubt(open) => return Err(Rule::NotOpen),
            _ if self.is_in_doubt(of_iteration) => {}
            _ => return Err(Rule::NotOpen),
        }
        self.end(&drawn);
        self.end_doubt(drawn.iteration);
        self.end_doubt_of_draws();
        let Drawn { iteration, candidate, epsilon } = drawn;
        self.pending.insert(iteration, Pending { candidate, epsilon, round: row.round });
        Ok(())
    }

    fn reuse(&mut self, row: &Row) -> Result<(), Rule> {
        let drawn = Drawn::of(row)?;
        let of_iteration = need(row.of_iteration, "of_iteration")?;
        // One whose draw was blanked may have waited since.
        if !self.may_be_drawn_in_doubt(drawn.iteration) {
            if drawn.iteration == self.next_iteration {
                self.check_draw(&drawn)?;
            } else {
                self.check_unfinished(&drawn)?;
            }
        }
        match self.known.get(&drawn.candidate) {
            Some(known) if known.iteration != of_iteration => return Err(Rule::NotKnown),
            Some(known) if known.reward != row.reward => return Err(Rule::OtherReward),
            Some(_) => self.end_doubt(drawn.iteration),
            // The result that it reuses was blanked: one of its own may come and is the only one.
            None if self.is_in_doubt(of_iteration) => {
                self.doubt.iterations.insert(drawn.iteration);
            }
            None => return Err(Rule::NotKnown),
        }
        self.end(&drawn);
        Ok(())
    }

    /// A claim that ends without a result counts as a loss, unless the search was halted after it
    /// had begun, or the row says that no network could have been trained there.
    fn lose_claim(&mut self, row: &Row) -> Result<(), Rule> {
        let drawn = Drawn::of(row)?;
        match row.attempt {
            Some(attempt) => self.check_attempt(&drawn, attempt)?,
            None => self.check_lost_without_attempt(&drawn)?,
        }
        let was_halted = self.open.get(&drawn.iteration).is_some_and(|open| open.was_halted);
        let reason = row.reason.as_deref();
        self.claims_timed_out += u32::from(reason == Some(TIME_TOO_SHORT));
        self.end(&drawn);
        let Some(attempt) = row.attempt else {
            self.end_doubt(drawn.iteration);
            return Ok(());
        };
        // Its result may still come, of an attempt whose row was blanked, too: the doubt stays.
        if !self.known.contains_key(&drawn.candidate) {
            if counts_as_loss(reason) && !was_halted {
                self.count_loss(&drawn.candidate);
            }
            let Drawn { iteration, candidate, epsilon } = drawn;
            self.lost.insert(iteration, LostClaim { candidate, epsilon, attempt });
        }
        Ok(())
    }

    /// A draw of a quarantined architecture, or a pending iteration whose training has ended.
    fn check_lost_without_attempt(&self, drawn: &Drawn) -> Result<(), Rule> {
        let standing = self.standing(&drawn.candidate);
        let in_doubt = self.may_be_drawn_in_doubt(drawn.iteration);
        if drawn.iteration == self.next_iteration && !in_doubt {
            self.check_draw(drawn)?;
            return match standing {
                Standing::Quarantined => Ok(()),
                Standing::Free if self.has_blanks() => Ok(()),
                Standing::Open(open) if self.is_in_doubt(open) => Ok(()),
                _ => Err(Rule::NotQuarantined),
            };
        }
        match self.pending.get(&drawn.iteration) {
            Some(pending) => drawn.check(&pending.candidate, pending.epsilon)?,
            None if in_doubt => {}
            None => return Err(Rule::Ended),
        }
        match standing {
            Standing::Known(known) => Err(Rule::Known(known.iteration)),
            Standing::Open(open) if self.is_in_doubt(open) => Ok(()),
            Standing::Open(open) => Err(Rule::Open(open)),
            Standing::Free | Standing::Quarantined => Ok(()),
        }
    }

    /// The iteration is open or a lost claim, the attempt one of its own, and its architecture has
    /// no result.
    fn check_result(&self, row: &Row) -> Result<Drawn, Rule> {
        let drawn = Drawn::of(row)?;
        let attempt = need(row.attempt, "attempt")?;
        self.check_unknown(&drawn.candidate)?;
        let newest = if let Some(open) = self.open.get(&drawn.iteration) {
            drawn.check(&open.candidate, open.epsilon)?;
            open.attempt
        } else if let Some(lost) = self.lost.get(&drawn.iteration) {
            drawn.check(&lost.candidate, lost.epsilon)?;
            lost.attempt
        } else if self.may_be_drawn_in_doubt(drawn.iteration) {
            return Ok(drawn);
        } else {
            return Err(Rule::Ended);
        };
        let is_there = (1..=newest).contains(&attempt) || self.is_in_doubt(drawn.iteration);
        is_there.then_some(drawn).ok_or(Rule::NotAtAttempt)
    }

    pub(super) fn allow_result(&self, row: &Row) -> Result<(), Violation> {
        self.check_result(row).map(drop).map_err(|rule| Violation::of(row, rule))
    }

    /// A draw takes the next number, at an epsilon that is still drawn at.
    fn check_draw(&self, drawn: &Drawn) -> Result<(), Rule> {
        let next = self.next_iteration;
        if drawn.iteration != next && !self.may_be_drawn_in_doubt(drawn.iteration) {
            return Err(Rule::NotNext(next));
        }
        self.check_wanted(drawn.epsilon)
    }

    fn check_wanted(&self, epsilon: Option<f64>) -> Result<(), Rule> {
        match (self.halted, self.is_exhausted(epsilon)) {
            (true, _) if !self.doubt.halt => Err(Rule::Halted),
            (_, true) => Err(Rule::Exhausted),
            _ => Ok(()),
        }
    }

    fn check_unknown(&self, candidate: &Candidate) -> Result<(), Rule> {
        self.known.get(candidate).map_or(Ok(()), |known| Err(Rule::Known(known.iteration)))
    }

    /// The iteration is open, and this is its newest attempt; in doubt a later one than is known.
    fn check_attempt(&self, drawn: &Drawn, attempt: u32) -> Result<(), Rule> {
        let in_doubt = self.is_in_doubt(drawn.iteration);
        match self.open.get(&drawn.iteration) {
            Some(open) if open.attempt == attempt || (in_doubt && open.attempt < attempt) => {
                drawn.check(&open.candidate, open.epsilon)
            }
            None if self.may_be_drawn_in_doubt(drawn.iteration) => Ok(()),
            _ => Err(Rule::NotAtAttempt),
        }
    }

    fn check_unfinished(&self, drawn: &Drawn) -> Result<(), Rule> {
        if let Some(open) = self.open.get(&drawn.iteration) {
            drawn.check(&open.candidate, open.epsilon)
        } else if let Some(pending) = self.pending.get(&drawn.iteration) {
            drawn.check(&pending.candidate, pending.epsilon)
        } else {
            Err(Rule::Ended)
        }
    }

    /// The iteration is no longer what it was. Its epsilon has begun.
    fn end(&mut self, drawn: &Drawn) {
        self.tally(drawn.epsilon);
        self.count_draw(drawn.iteration);
        self.open.remove(&drawn.iteration);
        self.pending.remove(&drawn.iteration);
        self.lost.remove(&drawn.iteration);
    }

    /// An architecture is trained by one iteration at a time: the end of another one was blanked.
    fn close_others(&mut self, drawn: &Drawn) {
        let others = self.open.iter().filter(|(iteration, open)| {
            open.candidate == drawn.candidate && **iteration != drawn.iteration
        });
        for iteration in others.map(|(&iteration, _)| iteration).collect::<Vec<_>>() {
            let open = self.open.remove(&iteration).expect("it was found there");
            let Open { candidate, epsilon, attempt, .. } = open;
            self.lost.insert(iteration, LostClaim { candidate, epsilon, attempt });
        }
    }

    fn count_loss(&mut self, candidate: &Candidate) {
        if !self.known.contains_key(candidate) {
            *self.losses.entry(candidate.clone()).or_default() += 1;
        }
    }

    fn know(&mut self, drawn: &Drawn, row: &Row) {
        self.end(drawn);
        self.end_doubt(drawn.iteration);
        let known = Known {
            iteration: drawn.iteration,
            epsilon: drawn.epsilon,
            reward: row.reward,
            best_validation_accuracy: row.best_validation_accuracy,
        };
        self.known.insert(drawn.candidate.clone(), known);
        self.tally(drawn.epsilon).results += 1;
        if !self.is_time_too_short() {
            self.claims_timed_out = 0;
        }
        self.losses.remove(&drawn.candidate);
        self.lost.retain(|_, lost| lost.candidate != drawn.candidate);
        self.compare_with_best(drawn, row);
    }

    fn compare_with_best(&mut self, drawn: &Drawn, row: &Row) {
        self.newest_round_with_result = self.newest_round_with_result.max(row.round);
        // What a stopped or failed network has shown is no final accuracy.
        let is_final = matches!(row.event, Event::Trained | Event::Imported);
        if let Some(accuracy) = row.best_validation_accuracy.filter(|_| is_final)
            && self.best.as_ref().is_none_or(|best| best.best_validation_accuracy < accuracy)
        {
            self.best = Some(Best {
                iteration: drawn.iteration,
                architecture: drawn.candidate.architecture.clone(),
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

    fn tally(&mut self, epsilon: Option<f64>) -> &mut EpsilonTally {
        let begun = self.epsilons.iter().position(|tally| tally.epsilon == epsilon);
        let index = begun.unwrap_or(self.epsilons.len());
        if begun.is_none() {
            self.epsilons.push(EpsilonTally { epsilon, results: 0, exhausted: false });
        }
        &mut self.epsilons[index]
    }
}

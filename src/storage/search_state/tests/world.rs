//! An experiment in miniature: a log, tasks that claim and record, a reducer, crashes.
//!
//! What must always hold is checked here from the rows alone, by other means than those of
//! [`Knowledge`].

use std::collections::{BTreeMap, BTreeSet};

use crate::q_learning::{Epsilon, EpsilonSchedule, EpsilonScheduleParams, EpsilonStage};
use crate::space::Candidate;
use crate::storage::fs::time::Time;
use crate::storage::log::event::Claimant;
use crate::storage::log::event::{Attempt, Event, Iteration, Row};
use crate::storage::search_state::{EarlierAttempt, Knowledge, Record, Standing};

/// How much of a write is on disk afterwards.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Write {
    Whole,
    /// This many rows; then the writer, too, is gone.
    CutAfter(usize),
}

/// The log of an experiment, with all that is known from it.
#[derive(Debug, Clone)]
pub(crate) struct World {
    pub(crate) log: Vec<Row>,
    pub(crate) knowledge: Knowledge,
    pub(crate) schedule: EpsilonSchedule,
    /// What a list asks for; empty for a search by Q-learning.
    pub(crate) list: Vec<Candidate>,
}

pub(crate) fn schedule(wanted: &[u64]) -> EpsilonSchedule {
    let stage = |(index, &architectures)| {
        let epsilon = Epsilon::new(1.0 - index as f64 / 8.0).unwrap();
        EpsilonStage { epsilon: Some(epsilon), architectures }
    };
    EpsilonScheduleParams(wanted.iter().enumerate().map(stage).collect()).check().unwrap()
}

/// `A` is the first repeat of architecture A, `A.2` the second.
pub(crate) fn candidate(name: &str) -> Candidate {
    let (architecture, repeat) = name.split_once('.').unwrap_or((name, "1"));
    Candidate { repeat: repeat.parse().unwrap(), ..Candidate::once(architecture) }
}

fn name(row: &Row) -> String {
    format!("{}.{}", row.architecture.as_deref().unwrap(), row.repeat.unwrap())
}

pub(crate) fn time() -> Time {
    "2026-03-01T12:00:00Z".parse().unwrap()
}

/// The time limit of jobs is set anew.
pub(crate) fn time_is_set() -> Row {
    Row { reason: Some("slurm.time=02:00:00".into()), ..Row::at(Event::Set, time()) }
}

pub(crate) fn claimant(job: &str, task: &str) -> Claimant {
    Claimant {
        round: Some(1),
        predictor: None,
        view: Some(0),
        device: None,
        host: "n1".into(),
        job: job.into(),
        task: task.into(),
        time: time(),
        expires_at: "2026-03-02T12:00:00Z".parse().unwrap(),
    }
}

/// Returns a result of a claim whose reward tells which iteration and attempt gave it.
pub(crate) fn result(claim: &Row) -> Row {
    let Attempt { iteration, number } = attempt_of(claim);
    let reward = 1.0 / (iteration.0 + 1) as f64 + f64::from(number) / 1024.0;
    Row { reward: Some(reward), ..claim.made_up_trained(reward / 2.0, 2, time()) }
}

pub(crate) fn attempt_of(row: &Row) -> Attempt {
    Attempt { iteration: row.iteration.unwrap(), number: row.attempt.unwrap() }
}

impl World {
    pub(crate) fn new(schedule: EpsilonSchedule) -> Self {
        Self { log: Vec::new(), knowledge: Knowledge::default(), schedule, list: Vec::new() }
    }

    pub(crate) fn of_list(names: &[&str]) -> Self {
        let list: Vec<_> = names.iter().map(|name| candidate(name)).collect();
        let schedule = EpsilonSchedule::of_networks(list.len() as u64).unwrap();
        Self { list, ..Self::new(schedule) }
    }

    /// Appends rows, or as many as the crash leaves.
    pub(crate) fn append(&mut self, rows: &[Row], write: Write) {
        let kept = match write {
            Write::Whole => rows.len(),
            Write::CutAfter(kept) => kept.min(rows.len()),
        };
        for row in &rows[..kept] {
            self.knowledge.apply(row).unwrap_or_else(|violation| panic!("{violation}"));
            self.log.push(row.clone());
        }
    }

    /// Draws, as a task does under the lock, the candidates of `choices` in turn, or of a list the
    /// first that is free; returns the rows, the last of them `claimed` if one is to be trained.
    pub(crate) fn draw(&self, choices: &[&str], by: &Claimant) -> Vec<Row> {
        let mut knowledge = self.knowledge.clone();
        let mut rows = Vec::new();
        if knowledge.is_time_too_short() {
            return rows;
        }
        let Some(stage) = knowledge.stage_in_force(&self.schedule) else { return rows };
        let is_free = |one: &&Candidate| knowledge.standing(one) == Standing::Free;
        let choices: Vec<_> = match self.list.iter().find(is_free) {
            Some(free) => vec![free.clone()],
            None if !self.list.is_empty() && !knowledge.open.is_empty() => return rows,
            None if !self.list.is_empty() => Vec::new(),
            None => choices.iter().map(|name| candidate(name)).collect(),
        };
        for candidate in choices {
            let row = knowledge.draw(&candidate, stage.epsilon, by);
            knowledge.apply(&row).unwrap();
            rows.push(row);
            if rows.last().is_some_and(|row| row.event == Event::Claimed) {
                return rows;
            }
        }
        rows.push(Row::exhausted(stage.epsilon, by));
        rows
    }

    /// Returns the rows by which a starting task takes up its claim; `None` when it has none.
    pub(crate) fn resume(&self, by: &Claimant, earlier: EarlierAttempt) -> Option<Vec<Row>> {
        let attempt = self.knowledge.resumable(&by.job, &by.task)?;
        Some(self.knowledge.resume(attempt, earlier, by))
    }

    /// Returns the rows by which the result of a claim is recorded, or dropped.
    pub(crate) fn record(&self, claim: &Row) -> Vec<Row> {
        match self.knowledge.record(&result(claim)).unwrap() {
            Record::Append(rows) | Record::AlreadyKnown { due: rows, .. } => rows,
        }
    }

    pub(crate) fn lose(&self, attempt: Attempt) -> Vec<Row> {
        self.knowledge.lose(attempt, "crashed", Some(0.5), time())
    }

    /// After a whole write of a result or a loss nothing is left to be mended.
    pub(crate) fn check_mended(&self) {
        assert_eq!(self.knowledge.due_rows(None), []);
        let state = &self.knowledge;
        for (iteration, pending) in &state.pending {
            let is_open = state.open.values().any(|open| open.candidate == pending.candidate);
            assert!(is_open, "iteration {iteration} waits for nobody");
        }
    }

    /// Checks what must hold of any log.
    pub(crate) fn check(&self) {
        let (mut open, mut waiting) = (BTreeMap::new(), BTreeMap::new());
        let (mut results, mut lost) = (BTreeMap::new(), BTreeSet::new());
        let mut ended = BTreeSet::new();
        let mut tallies: Vec<(Option<f64>, u64, u64)> = Vec::new();
        let mut drawn = 0;
        for row in self.log.iter().filter(|row| row.iteration.is_some()) {
            let iteration = row.iteration.unwrap();
            let candidate = name(row);
            if iteration.0 == drawn + 1 {
                drawn += 1;
                let is_claim = row.event == Event::Claimed;
                assert!(self.list.is_empty() || is_claim, "a list draws what is free");
            } else {
                assert!(iteration.0 <= drawn, "iteration {iteration} comes out of turn");
            }
            match row.event {
                Event::Claimed => {
                    assert!(
                        !results.contains_key(&candidate),
                        "{iteration} is trained for nothing"
                    );
                    assert!(!ended.contains(&iteration), "{iteration} goes on after its end");
                    let of = open.insert(candidate.clone(), iteration);
                    assert!(of.is_none_or(|of| of == iteration), "{candidate} is open twice");
                }
                Event::Pending => assert_eq!(waiting.insert(iteration, candidate), None),
                event if event.is_result() => {
                    let is_late = lost.remove(&iteration);
                    assert!(ended.insert(iteration) || is_late, "{iteration} ends twice");
                    let before = results.insert(candidate, row);
                    assert_eq!(before, None, "{}: two results", name(row));
                    count(&mut tallies, row.epsilon, is_late);
                }
                Event::Reused => {
                    assert!(ended.insert(iteration), "{iteration} ends twice");
                    assert_eq!(row.of_iteration, results[&candidate].iteration);
                    assert_eq!(row.reward, results[&candidate].reward);
                }
                Event::Lost => {
                    assert!(ended.insert(iteration), "{iteration} ends twice");
                    if row.attempt.is_some() {
                        lost.insert(iteration);
                    }
                }
                _ => {}
            }
            open.retain(|_, iteration| !ended.contains(iteration));
            waiting.retain(|iteration, _| !ended.contains(iteration));
        }
        self.check_tallies(&tallies);
        let iterations = |keys: &mut dyn Iterator<Item = Iteration>| keys.collect::<BTreeSet<_>>();
        let state = &self.knowledge;
        assert_eq!(
            iterations(&mut state.open.keys().copied()),
            iterations(&mut open.values().copied())
        );
        assert_eq!(
            iterations(&mut state.pending.keys().copied()),
            iterations(&mut waiting.keys().copied())
        );
        assert_eq!(self.knowledge.next_iteration.0, drawn + 1);
        assert_eq!(self.knowledge.known.len(), results.len());
        self.check_losses();
        self.check_time();
        let has_epsilon = |row: &Row| row.epsilon.is_some();
        assert!(self.list.is_empty() || !self.log.iter().any(has_epsilon));
    }

    /// A list that goes on without a crash ends with each of its candidates known or quarantined.
    pub(crate) fn finish_list(&mut self) {
        for row in [Row::at(Event::Resumed, time()), time_is_set()] {
            self.append(&[row], Write::Whole);
        }
        let by = claimant("999", "0");
        loop {
            let rows = self.draw(&[], &by);
            let Some(last) = rows.last().cloned() else { break };
            self.append(&rows, Write::Whole);
            if last.event == Event::Claimed {
                self.append(&self.record(&last), Write::Whole);
            }
        }
        let state = &self.knowledge;
        assert!(state.is_finished(&self.schedule));
        let is_over = |one: &Candidate| {
            matches!(state.standing(one), Standing::Known(_) | Standing::Quarantined)
        };
        assert!(self.list.iter().all(is_over));
        let exhausted = state.events.contains_key(&Event::Exhausted);
        let all_known = self.list.iter().all(|one| state.known.contains_key(one));
        assert!(exhausted || all_known, "{:?}", state.losses);
    }

    /// No claim times out more than three times in a row, and no claim begins after three in a row
    /// that were lost for it, without a result between them, until the time limit is set.
    fn check_time(&self) {
        let mut left: BTreeMap<_, u32> = BTreeMap::new();
        let mut lost = 0;
        for row in &self.log {
            let is_of_time = row.reason.as_deref().is_some_and(|reason| reason.contains("time"));
            match row.event {
                Event::Claimed => {
                    assert!(row.attempt != Some(1) || lost < 3, "a claim under too short a limit");
                    let left = left.entry(row.iteration).or_default();
                    *left = if is_of_time { *left + 1 } else { 0 };
                    assert!(*left < 3, "{:?} goes on after three timeouts", row.iteration);
                }
                Event::Lost if is_of_time => lost += 1,
                Event::Set if is_of_time => lost = 0,
                event if event.is_result() && lost < 3 => lost = 0,
                _ => {}
            }
        }
        assert_eq!(self.knowledge.is_time_too_short(), lost >= 3);
    }

    /// A lost claim is a loss unless a halt lies after it or its trainer refused to work; so is an
    /// attempt that says so of the one before. Three at most, and none of a known architecture.
    fn check_losses(&self) {
        let mut losses: BTreeMap<String, u32> = BTreeMap::new();
        let (mut claimed_at, mut halted_at) = (BTreeMap::new(), None);
        for (at, row) in self.log.iter().enumerate() {
            let is_loss = match row.event {
                Event::Claimed => {
                    claimed_at.insert(row.iteration, at);
                    row.reason.as_deref() == Some("the attempt before added no epoch")
                }
                Event::Lost => {
                    let is_refusal =
                        row.reason.as_deref().is_some_and(|reason| reason.starts_with("not the"));
                    row.attempt.is_some()
                        && !is_refusal
                        && halted_at < Some(claimed_at[&row.iteration])
                }
                Event::Halted => {
                    halted_at = Some(at);
                    false
                }
                _ => false,
            };
            if is_loss {
                *losses.entry(name(row)).or_default() += 1;
            }
        }
        losses.retain(|name, _| !self.knowledge.known.contains_key(&candidate(name)));
        let known = self.knowledge.losses.iter();
        let known = known.map(|(of, &n)| (format!("{}.{}", of.architecture, of.repeat), n));
        let known: BTreeMap<String, u32> = known.collect();
        assert_eq!(losses, known);
        assert!(losses.values().all(|&losses| losses <= 3));
    }

    /// Results exceed the schedule only by late ones.
    fn check_tallies(&self, tallies: &[(Option<f64>, u64, u64)]) {
        for &(epsilon, results, late) in tallies {
            let is_it = |it: &&EpsilonStage| it.epsilon.map(Epsilon::value) == epsilon;
            let wanted = self.schedule.stages().iter().find(is_it).unwrap().architectures;
            assert!(
                results <= wanted + late,
                "{results} results at {epsilon:?}, {late} of them late"
            );
        }
    }
}

fn count(tallies: &mut Vec<(Option<f64>, u64, u64)>, epsilon: Option<f64>, is_late: bool) {
    match tallies.iter_mut().find(|tally| tally.0 == epsilon) {
        Some(tally) => {
            tally.1 += 1;
            tally.2 += u64::from(is_late);
        }
        None => tallies.push((epsilon, 1, u64::from(is_late))),
    }
}

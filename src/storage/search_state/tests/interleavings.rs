//! Every interleaving of two tasks with two copies each, a reducer that loses claims at any moment,
//! and power cuts that leave any beginning of a write.

use std::collections::{BTreeMap, HashSet};
use std::rc::Rc;

use crate::space::Candidate;
use crate::storage::log::event::Claimant;
use crate::storage::log::event::{Event, Row};
use crate::storage::search_state::EarlierAttempt;
use crate::storage::search_state::tests::world::{
    World, Write, attempt_of, candidate, claimant, schedule,
};

/// Two repeats of one architecture, and another one.
const CANDIDATES: [&str; 3] = ["A", "A.2", "B"];

/// Where one copy of a task is.
#[derive(Debug, Clone)]
enum Copy {
    NotBegun,
    Training(Rc<Row>),
    Gone,
}

#[derive(Debug, Clone)]
struct Moment {
    world: World,
    /// Two copies of the first task, then two of the second. The second copy begins at any moment:
    /// a requeue after the first is gone, or beside it.
    copies: [Copy; 4],
    late_results: u64,
}

/// How large the search is.
struct Bounds {
    /// Candidates that can be drawn.
    candidates: usize,
    /// Draws in one attempt to claim.
    draws: usize,
    wanted: u64,
}

struct Search {
    bounds: Bounds,
    claimants: [Claimant; 4],
    seen: HashSet<Vec<u8>>,
    open: Vec<Moment>,
}

impl Search {
    /// Visits everything that can happen; returns the number of distinct moments.
    fn run(bounds: Bounds, world: World) -> usize {
        let begin = Moment { world, copies: [const { Copy::NotBegun }; 4], late_results: 0 };
        let claimants = ["0", "0", "1", "1"].map(|task| claimant("7", task));
        let mut search = Self { bounds, claimants, seen: HashSet::new(), open: vec![begin] };
        while let Some(moment) = search.open.pop() {
            search.go_on_from(&moment);
        }
        search.seen.len()
    }

    fn go_on_from(&mut self, moment: &Moment) {
        for copy in 0..4 {
            match &moment.copies[copy] {
                Copy::NotBegun => self.begin(moment, copy),
                Copy::Training(claim) => {
                    // Killed: its claim stays open.
                    self.write(moment, copy, &[], Copy::Gone);
                    let rows = moment.world.record(claim);
                    self.write(moment, copy, &rows, Copy::Gone);
                    let rows = moment.world.lose(attempt_of(claim));
                    self.write(moment, copy, &rows, Copy::Gone);
                }
                Copy::Gone => {}
            }
        }
        let open = &moment.world.knowledge.open;
        for attempt in open.iter().map(|(&iteration, open)| (iteration, open.attempt)) {
            let (iteration, number) = attempt;
            let attempt = crate::storage::log::event::Attempt { iteration, number };
            self.reduce(moment, &moment.world.lose(attempt));
        }
        self.reduce(moment, &moment.world.knowledge.due_rows(None));
    }

    fn begin(&mut self, moment: &Moment, copy: usize) {
        let by = &self.claimants[copy].clone();
        if moment.world.knowledge.resumable(&by.job, &by.task).is_some() {
            for earlier in [EarlierAttempt::AddedEpochs, EarlierAttempt::CameToNothing] {
                let rows = moment.world.resume(by, earlier).unwrap();
                self.write_claim(moment, copy, &rows);
            }
            return;
        }
        for choices in self.choices(moment) {
            // In a list there is no choice.
            let rows = moment.world.draw(&choices, by);
            self.write_claim(moment, copy, &rows);
        }
    }

    /// Returns all sequences of draws. Candidates not met so far are alike: only the first of
    /// them is tried.
    fn choices(&self, moment: &Moment) -> Vec<Vec<&'static str>> {
        let state = &moment.world.knowledge;
        let is_met = |one: &Candidate| {
            moment.world.knowledge.known.contains_key(one)
                || state.losses.contains_key(one)
                || state.open.values().any(|open| open.candidate == *one)
                || state.pending.values().any(|pending| pending.candidate == *one)
                || state.lost.values().any(|lost| lost.candidate == *one)
        };
        let met = CANDIDATES.iter().filter(|name| is_met(&candidate(name))).count();
        let alike = &CANDIDATES[..(met + 1).min(self.bounds.candidates)];
        let mut sequences = vec![Vec::new()];
        for _ in 0..self.bounds.draws {
            sequences = sequences
                .iter()
                .flat_map(|sequence: &Vec<_>| {
                    alike.iter().map(|&next| [sequence.as_slice(), &[next]].concat())
                })
                .collect();
        }
        sequences
    }

    fn write_claim(&mut self, moment: &Moment, copy: usize, rows: &[Row]) {
        let next = match rows.last() {
            Some(row) if row.event == Event::Claimed => Copy::Training(Rc::new(row.clone())),
            _ => Copy::Gone,
        };
        self.write(moment, copy, rows, next);
    }

    /// A copy writes; or a power cut ends it, and some of its rows stay.
    fn write(&mut self, moment: &Moment, copy: usize, rows: &[Row], next: Copy) {
        for kept in 0..rows.len() {
            let mut after = moment.after(&rows[..kept]);
            after.copies[copy] = Copy::Gone;
            self.reach(after);
        }
        let is_claim = matches!(moment.copies[copy], Copy::NotBegun);
        let mut after = moment.after(rows);
        after.copies[copy] = next;
        if !is_claim && !rows.is_empty() {
            after.world.check_mended();
        }
        self.reach(after);
    }

    fn reduce(&mut self, moment: &Moment, rows: &[Row]) {
        for kept in 1..=rows.len() {
            let after = moment.after(&rows[..kept]);
            if kept == rows.len() {
                after.world.check_mended();
            }
            self.reach(after);
        }
    }

    fn reach(&mut self, moment: Moment) {
        moment.check(self.bounds.wanted);
        if self.seen.insert(moment.key()) {
            self.open.push(moment);
        }
    }
}

impl Moment {
    fn after(&self, rows: &[Row]) -> Self {
        let mut after = self.clone();
        for row in rows {
            let is_late =
                after.world.knowledge.lost.contains_key(&row.iteration.unwrap_or_default());
            after.late_results += u64::from(row.event.is_result() && is_late);
        }
        after.world.append(rows, Write::Whole);
        after.world.log.clear();
        after
    }

    fn check(&self, wanted: u64) {
        let state = &self.world.knowledge;
        let open: HashSet<_> = state.open.values().map(|open| &open.candidate).collect();
        assert_eq!(open.len(), state.open.len(), "a candidate is open twice");
        let tally = state.epsilons.first();
        assert!(tally.is_none_or(|tally| tally.results <= wanted + self.late_results));
    }

    /// Returns all of the moment that decides what can follow.
    fn key(&self) -> Vec<u8> {
        let state = &self.world.knowledge;
        let mut key = vec![state.next_iteration.0 as u8, self.late_results as u8];
        let name = |one: &Candidate| one.architecture.as_bytes()[0] + 8 * (one.repeat - 1) as u8;
        let known: BTreeMap<_, _> = self.world.knowledge.known.iter().collect();
        for (candidate, known) in known {
            key.extend([1, name(candidate), known.iteration.0 as u8]);
            key.extend(known.reward.unwrap().to_bits().to_le_bytes());
        }
        for (iteration, open) in &state.open {
            let task = open.task.as_bytes()[0];
            let newest = u8::from(open.is_newest_of_task);
            key.extend([
                2,
                iteration.0 as u8,
                name(&open.candidate),
                open.attempt as u8,
                task,
                newest,
            ]);
        }
        for (iteration, pending) in &state.pending {
            key.extend([3, iteration.0 as u8, name(&pending.candidate)]);
        }
        for (iteration, lost) in &state.lost {
            key.extend([4, iteration.0 as u8, name(&lost.candidate), lost.attempt as u8]);
        }
        for (candidate, &losses) in &state.losses {
            key.extend([5, name(candidate), losses as u8]);
        }
        key.extend(state.epsilons.iter().map(|tally| 10 + u8::from(tally.exhausted)));
        for copy in &self.copies {
            match copy {
                Copy::NotBegun => key.push(6),
                Copy::Training(claim) => {
                    let attempt = attempt_of(claim);
                    key.extend([7, attempt.iteration.0 as u8, attempt.number as u8]);
                }
                Copy::Gone => key.push(8),
            }
        }
        key
    }
}

#[test]
fn no_interleaving_breaks_the_rules() {
    let bounds = match std::env::var_os("METAQNN_SCHEDULES") {
        None => Bounds { candidates: 2, draws: 1, wanted: 2 },
        Some(_) => Bounds { candidates: 3, draws: 2, wanted: 3 },
    };
    let world = World::new(schedule(&[bounds.wanted]));
    let moments = Search::run(bounds, world);
    assert!(moments > 1_000, "only {moments} moments");
}

#[test]
fn no_interleaving_of_a_list_breaks_the_rules() {
    let list = match std::env::var_os("METAQNN_SCHEDULES") {
        None => &CANDIDATES[..2],
        Some(_) => &CANDIDATES[..],
    };
    let bounds = Bounds { candidates: 0, draws: 0, wanted: list.len() as u64 };
    let moments = Search::run(bounds, World::of_list(list));
    assert!(moments > 100, "only {moments} moments");
}

//! Random schedules: tasks with two copies, late results, crashes and power cuts at any moment.

use std::collections::{BTreeMap, BTreeSet};

use rand::Rng;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;

use crate::seed::{Purpose, generator};
use crate::storage::log::event::{Claimant, TIME_TOO_SHORT};
use crate::storage::log::event::{Event, Row};
use crate::storage::search_state::tests::world::{
    World, Write, attempt_of, claimant, schedule, time, time_is_set,
};
use crate::storage::search_state::{EarlierAttempt, Knowledge, is_last_timeout};

/// Architectures with their repeats.
const CANDIDATES: [&str; 6] = ["A", "A.2", "B", "B.2", "B.3", "C"];

/// One copy of a task.
struct Process {
    by: Claimant,
    claim: Option<Row>,
    has_looked_back: bool,
}

struct Schedule {
    world: World,
    processes: Vec<Process>,
    jobs: u32,
    rng: ChaCha8Rng,
    candidates: usize,
    /// The time limit ends most attempts before their first epoch.
    is_short: bool,
}

impl Schedule {
    fn new(seed: u64) -> Self {
        let mut rng = generator(seed, Purpose::Sample, 0, 0);
        let wanted: Vec<u64> =
            (0..rng.random_range(1..4)).map(|_| rng.random_range(1..4)).collect();
        let candidates = rng.random_range(1..=CANDIDATES.len());
        let world = match rng.random_bool(0.3) {
            true => World::of_list(&CANDIDATES[..candidates]),
            false => World::new(schedule(&wanted)),
        };
        let is_short = rng.random_bool(0.3);
        Self { world, processes: Vec::new(), jobs: 0, rng, candidates, is_short }
    }

    fn choices(&mut self) -> Vec<&'static str> {
        let draws = self.rng.random_range(1..12);
        (0..draws).map(|_| CANDIDATES[self.rng.random_range(0..self.candidates)]).collect()
    }

    /// A write by a process that may crash in it; returns whether it did not.
    fn write(&mut self, rows: &[Row]) -> bool {
        let is_cut = !rows.is_empty() && self.rng.random_bool(0.15);
        if is_cut {
            let kept = self.rng.random_range(0..rows.len());
            self.world.append(rows, Write::CutAfter(kept));
        } else {
            self.world.append(rows, Write::Whole);
        }
        !is_cut
    }

    fn step(&mut self) {
        match self.rng.random_range(0..20) {
            0 if self.processes.len() < 8 => {
                self.jobs += 1;
                for task in 0..self.rng.random_range(1..4) {
                    let (job, task) = (self.jobs.to_string(), task.to_string());
                    self.begin(claimant(&job, &task));
                }
            }
            1 if !self.processes.is_empty() => {
                let copied = self.rng.random_range(0..self.processes.len());
                self.begin(self.processes[copied].by.clone());
            }
            2 | 3 => self.reduce(),
            5 if self.rng.random_bool(0.1) => {
                self.write(&[time_is_set()]);
            }
            4 => {
                let row = if self.world.knowledge.halted {
                    Row::at(Event::Resumed, time())
                } else if self.rng.random_bool(0.2) {
                    Row::at(Event::Halted, time())
                } else {
                    return;
                };
                self.write(&[row]);
            }
            _ if !self.processes.is_empty() => {
                let index = self.rng.random_range(0..self.processes.len());
                let process = self.processes.swap_remove(index);
                self.go_on(process);
            }
            _ => {}
        }
    }

    fn begin(&mut self, by: Claimant) {
        self.processes.push(Process { by, claim: None, has_looked_back: false });
    }

    fn go_on(&mut self, mut process: Process) {
        match process.claim.take() {
            None => {
                let earlier = [
                    EarlierAttempt::AddedEpochs,
                    EarlierAttempt::LeftOnSignal,
                    EarlierAttempt::CameToNothing,
                ];
                let timed_out = EarlierAttempt::TimedOut { lost_seconds: 0.5 };
                let is_timed_out = self.rng.random_bool(if self.is_short { 0.9 } else { 0.2 });
                let other = *earlier.choose(&mut self.rng).unwrap();
                let earlier = if is_timed_out { timed_out } else { other };
                let taken_up = (!process.has_looked_back)
                    .then(|| self.world.resume(&process.by, earlier))
                    .flatten();
                process.has_looked_back = true;
                let rows = match taken_up {
                    Some(rows) => rows,
                    None => {
                        let choices = self.choices();
                        self.world.draw(&choices, &process.by)
                    }
                };
                let is_alive = self.write(&rows);
                process.claim = rows.last().filter(|row| row.event == Event::Claimed).cloned();
                if is_alive && !rows.is_empty() {
                    self.processes.push(process);
                }
            }
            Some(_) if self.is_short && self.rng.random_bool(0.8) => self.begin(process.by),
            Some(claim) => match self.rng.random_range(0..10) {
                // Killed; a requeue starts the task again.
                0 | 1 => self.begin(process.by),
                2 => {}
                3 | 4 => {
                    let attempt = attempt_of(&claim);
                    // Either on its own account, or since it was the last allowed timeout in a row.
                    let open = self.world.knowledge.open.get(&attempt.iteration);
                    let rows = if open.is_some_and(|open| is_last_timeout(open.timeouts)) {
                        self.world.knowledge.lose(attempt, TIME_TOO_SHORT, Some(0.5), time())
                    } else {
                        self.world.lose(attempt)
                    };
                    if self.write(&rows) {
                        self.world.check_mended();
                        self.processes.push(process);
                    }
                }
                _ => {
                    let rows = self.world.record(&claim);
                    if self.write(&rows) {
                        self.world.check_mended();
                        self.processes.push(process);
                    }
                }
            },
        }
    }

    /// A reducer loses some claims, too early for all it knows, and mends.
    fn reduce(&mut self) {
        let expired = self.world.knowledge.expired("2030-01-01T00:00:00Z".parse().unwrap());
        for attempt in expired {
            if self.rng.random_bool(0.3) {
                let rows = self.world.lose(attempt);
                if !self.write(&rows) {
                    return;
                }
                self.world.check_mended();
            }
        }
        let rows = self.world.knowledge.due_rows(Some(time()));
        if self.write(&rows) {
            self.world.check_mended();
        }
    }

    /// All processes are gone; the reducer loses what is open.
    fn end(&mut self) {
        for attempt in self.world.knowledge.expired("2030-01-01T00:00:00Z".parse().unwrap()) {
            self.world.append(&self.world.lose(attempt), Write::Whole);
        }
        self.world.append(&self.world.knowledge.due_rows(None), Write::Whole);
        let state = &self.world.knowledge;
        assert!(state.open.is_empty() && state.pending.is_empty());
    }
}

impl Schedule {
    /// Blanks a row of the log, as a repair does, of which no number, its iteration or both may be
    /// readable still.
    fn blank_one(&mut self) {
        let at = self.rng.random_range(0..self.world.log.len());
        let row = &mut self.world.log[at];
        let kept = self.rng.random_range(0..3);
        *row = Row {
            iteration: row.iteration.filter(|_| kept > 0),
            attempt: row.attempt.filter(|_| kept > 1 && row.iteration.is_some()),
            ..Row::new(Event::Void)
        };
    }

    /// Blanks rows in place of which one is left, as where a piece of the log is missing.
    fn make_hole(&mut self) {
        let at = self.rng.random_range(0..self.world.log.len());
        let end = self.world.log.len().min(at + self.rng.random_range(1..6));
        self.world.log.splice(at..end, [Row::new(Event::Void)]);
    }

    /// Reads the log again.
    fn read(&mut self) {
        self.world.knowledge = Knowledge::default();
        for (at, row) in self.world.log.iter().enumerate() {
            let taken = self.world.knowledge.apply(row);
            taken.unwrap_or_else(|violation| {
                panic!("row {at}: {violation}\n{:#?}", brief(&self.world.log))
            });
        }
    }

    /// No candidate has a second result, and none that comes again is taken in.
    fn check_results(&self) {
        let results: Vec<_> = self.world.log.iter().filter(|row| row.event.is_result()).collect();
        let candidates: BTreeSet<_> = results.iter().map(|row| row.candidate()).collect();
        assert_eq!(candidates.len(), results.len());
        assert_eq!(self.world.knowledge.known.len(), results.len());
        for row in results {
            assert!(self.world.knowledge.clone().apply(row).is_err(), "a result is doubled");
        }
    }
}

fn brief(log: &[Row]) -> Vec<String> {
    let text = |row: &Row| String::from_utf8_lossy(&row.to_line().unwrap()).replace(",,", "");
    log.iter().map(text).collect()
}

/// A search whose log is blanked in places and goes on, its processes as if nothing had happened.
fn run_with_blanks(seed: u64) {
    let mut schedule = Schedule::new(seed);
    for _ in 0..4 {
        for _ in 0..30 {
            schedule.step();
        }
        if !schedule.world.log.is_empty() {
            schedule.blank_one();
            schedule.read();
        }
        schedule.check_results();
    }
    schedule.end();
    schedule.check_results();
}

/// A log with holes.
fn run_with_holes(seed: u64) {
    let mut schedule = Schedule::new(seed);
    for _ in 0..120 {
        schedule.step();
    }
    for _ in 0..3 {
        if !schedule.world.log.is_empty() {
            schedule.make_hole();
        }
    }
    schedule.read();
    schedule.check_results();
}

#[test]
fn no_blanked_row_has_another_row_or_a_result_refused() {
    for (name, run) in [("blanks", run_with_blanks as fn(u64)), ("holes", run_with_holes)] {
        for seed in 0..seeds() {
            let ran = std::panic::catch_unwind(|| run(seed));
            assert!(ran.is_ok(), "schedule {seed} with {name} breaks the rules");
        }
    }
}

fn seeds() -> u64 {
    std::env::var("METAQNN_SCHEDULES").map_or(1000, |number| number.parse().unwrap())
}

fn run(seed: u64) -> Vec<Row> {
    let mut schedule = Schedule::new(seed);
    for _ in 0..120 {
        schedule.step();
    }
    schedule.world.check();
    schedule.end();
    schedule.world.check();
    if !schedule.world.list.is_empty() {
        schedule.world.finish_list();
    }
    schedule.world.check();
    schedule.world.log
}

#[test]
fn no_schedule_breaks_the_rules() {
    let mut events = BTreeMap::new();
    let (mut claims_timed_out, mut blocked, mut later_repeats) = (0, 0, 0);
    for seed in 0..seeds() {
        let log = std::panic::catch_unwind(|| run(seed));
        let log = log.unwrap_or_else(|_| panic!("schedule {seed} breaks the rules"));
        log.iter().for_each(|row| *events.entry(row.event).or_insert(0u32) += 1);
        let mut knowledge = Knowledge::default();
        for row in &log {
            knowledge.apply(row).unwrap();
            let is_of_time = row.reason.as_deref().is_some_and(|reason| reason.contains("time"));
            claims_timed_out += u32::from(row.event == Event::Lost && is_of_time);
            blocked += u32::from(knowledge.is_time_too_short());
            later_repeats += u32::from(row.event.is_result() && row.repeat > Some(1));
        }
    }
    // The schedules reach what they are to check.
    let reached = [Event::Pending, Event::Reused, Event::Lost, Event::Exhausted, Event::Halted];
    assert!(reached.iter().all(|event| events[event] > 20), "{events:?}");
    assert!(claims_timed_out > 20 && blocked > 20, "{claims_timed_out} {blocked}");
    assert!(later_repeats > 20, "{later_repeats}");
}

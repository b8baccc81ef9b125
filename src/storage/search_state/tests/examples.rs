//! Each row of the table of rules, by hand.

use crate::storage::log::event::refusal_as_reason;
use crate::storage::log::event::{Attempt, Event, Iteration, Row};
use crate::storage::search_state::tests::world::{
    World, Write, attempt_of, candidate, claimant, result, schedule, time,
};
use crate::storage::search_state::{EarlierAttempt, Knowledge, Record, Rule, Standing};

/// A world in which stage 1 (epsilon 1) wants two architectures and stage 2 (epsilon 0.875) one.
fn world() -> World {
    World::new(schedule(&[2, 1]))
}

/// Draws one architecture in a task of job 7 and returns the row, which is appended.
fn draw(world: &mut World, task: &str, architecture: &str) -> Row {
    let stage = world.knowledge.stage_in_force(&world.schedule).unwrap();
    let by = claimant("7", task);
    let row = world.knowledge.draw(&candidate(architecture), stage.epsilon, &by);
    world.append(std::slice::from_ref(&row), Write::Whole);
    row
}

fn record(world: &mut World, claim: &Row) -> Vec<Row> {
    let rows = world.record(claim);
    world.append(&rows, Write::Whole);
    rows
}

fn lose(world: &mut World, claim: &Row) -> Vec<Row> {
    let rows = world.lose(attempt_of(claim));
    world.append(&rows, Write::Whole);
    rows
}

fn resume(world: &mut World, task: &str, earlier: EarlierAttempt) -> Vec<Row> {
    let rows = world.resume(&claimant("7", task), earlier).unwrap();
    world.append(&rows, Write::Whole);
    rows
}

/// Iteration, event, and `of_iteration`, or else the attempt.
fn brief(rows: &[Row]) -> Vec<(u64, Event, Option<u64>)> {
    let second = |row: &Row| row.of_iteration.map(|of| of.0).or(row.attempt.map(u64::from));
    rows.iter().map(|row| (row.iteration.unwrap().0, row.event, second(row))).collect()
}

fn rule(world: &World, row: &Row) -> Rule {
    world.knowledge.clone().apply(row).unwrap_err().rule
}

#[test]
fn a_free_architecture_is_claimed_and_counts_at_its_epsilon() {
    let mut world = world();
    let claim = draw(&mut world, "0", "A");
    assert_eq!(brief(std::slice::from_ref(&claim)), [(1, Event::Claimed, Some(1))]);
    assert_eq!(world.knowledge.standing(&candidate("A")), Standing::Open(Iteration(1)));
    let counts = world.knowledge.stage_counts(&world.schedule);
    assert_eq!((counts[0].open, counts[0].results), (1, 0));
    record(&mut world, &claim);
    let counts = world.knowledge.stage_counts(&world.schedule);
    assert_eq!((counts[0].open, counts[0].results), (0, 1));
    assert_eq!(rule(&world, &claim), Rule::NotNext(Iteration(2)));
}

#[test]
fn results_and_open_claims_fill_a_stage_and_then_the_next_is_in_force() {
    let mut world = world();
    let in_force = |world: &World| {
        world.knowledge.stage_in_force(&world.schedule).map(|it| it.epsilon.unwrap().value())
    };
    let first = draw(&mut world, "0", "A");
    record(&mut world, &first);
    let second = draw(&mut world, "1", "B");
    assert_eq!(in_force(&world), Some(0.875));
    let third = draw(&mut world, "2", "C");
    assert_eq!(in_force(&world), None);
    record(&mut world, &third);
    assert!(!world.knowledge.is_finished(&world.schedule));
    // A lost claim leaves its stage one short.
    lose(&mut world, &second);
    assert_eq!(in_force(&world), Some(1.0));
    let again = draw(&mut world, "3", "B");
    record(&mut world, &again);
    assert!(world.knowledge.is_finished(&world.schedule));
    // The result of the lost claim comes too late: B has one.
    assert!(matches!(
        world.knowledge.record(&result(&second)),
        Ok(Record::AlreadyKnown { of_iteration: Iteration(4), .. })
    ));
}

#[test]
fn a_draw_of_an_open_architecture_waits_and_is_reused_with_its_result() {
    let mut world = world();
    let claim = draw(&mut world, "0", "A");
    let pending = draw(&mut world, "1", "A");
    assert_eq!(brief(std::slice::from_ref(&pending)), [(2, Event::Pending, Some(1))]);
    let rows = record(&mut world, &claim);
    assert_eq!(brief(&rows), [(1, Event::Trained, Some(1)), (2, Event::Reused, Some(1))]);
    assert_eq!(rows[1].memory(), rows[0].memory());
    assert_eq!(
        rule(&world, &Row { iteration: Some(Iteration(3)), ..pending }),
        Rule::Known(Iteration(1))
    );
}

#[test]
fn a_draw_of_a_known_architecture_is_reused() {
    let mut world = world();
    let claim = draw(&mut world, "0", "A");
    record(&mut world, &claim);
    let reused = draw(&mut world, "1", "A");
    assert_eq!(brief(std::slice::from_ref(&reused)), [(2, Event::Reused, Some(1))]);
    assert_eq!(reused.reward, result(&claim).reward);
    let wrong = Row { iteration: Some(Iteration(3)), reward: Some(0.0), ..reused.clone() };
    assert_eq!(rule(&world, &wrong), Rule::OtherReward);
    assert_eq!(rule(&world, &reused), Rule::Ended);
}

#[test]
fn the_third_loss_quarantines_until_a_late_result() {
    let mut world = world();
    let mut claim = draw(&mut world, "0", "A");
    for _ in 0..2 {
        assert_eq!(lose(&mut world, &claim).len(), 1);
        assert_eq!(world.knowledge.standing(&candidate("A")), Standing::Free);
        claim = draw(&mut world, "0", "A");
    }
    lose(&mut world, &claim);
    assert_eq!(world.knowledge.standing(&candidate("A")), Standing::Quarantined);
    let lost = draw(&mut world, "0", "A");
    assert_eq!(
        (lost.event, lost.attempt, lost.reason.as_deref()),
        (Event::Lost, None, Some("quarantined"))
    );
    assert_eq!(world.knowledge.losses(&candidate("A")), 3);
    record(&mut world, &claim);
    assert!(matches!(
        world.knowledge.standing(&candidate("A")),
        Standing::Known(known) if known.iteration.0 == 3
    ));
    assert_eq!(world.knowledge.losses(&candidate("A")), 0);
}

#[test]
fn a_task_that_starts_again_takes_up_its_newest_claim() {
    let mut world = world();
    draw(&mut world, "0", "A");
    let rows = resume(&mut world, "0", EarlierAttempt::AddedEpochs);
    assert_eq!(brief(&rows), [(1, Event::Claimed, Some(2))]);
    assert_eq!(
        (world.knowledge.losses(&candidate("A")), world.knowledge.next_iteration),
        (0, Iteration(2))
    );
    assert_eq!(world.knowledge.resumable("7", "1"), None);
    assert_eq!(world.knowledge.resumable("8", "0"), None);
    // A second copy of the task records what the first attempt gave: any attempt may.
    let first = Row { attempt: Some(1), ..rows[0].clone() };
    record(&mut world, &first);
    assert_eq!(world.knowledge.resumable("7", "0"), None);
    assert_eq!(rule(&world, &Row { attempt: Some(3), ..rows[0].clone() }), Rule::NotAtAttempt);
}

#[test]
fn an_older_claim_of_a_task_is_not_taken_up() {
    let mut world = world();
    draw(&mut world, "0", "A");
    let second = draw(&mut world, "0", "B");
    assert_eq!(world.knowledge.resumable("7", "0"), Some(attempt_of(&second)));
    record(&mut world, &second);
    assert_eq!(world.knowledge.resumable("7", "0"), None);
}

#[test]
fn attempts_that_come_to_nothing_are_losses() {
    let mut world = world();
    draw(&mut world, "0", "A");
    resume(&mut world, "0", EarlierAttempt::LeftOnSignal);
    assert_eq!(world.knowledge.losses(&candidate("A")), 0);
    for losses in 1..3 {
        resume(&mut world, "0", EarlierAttempt::CameToNothing);
        assert_eq!(world.knowledge.losses(&candidate("A")), losses);
    }
    let pending = draw(&mut world, "1", "A");
    let rows = resume(&mut world, "0", EarlierAttempt::CameToNothing);
    assert_eq!(brief(&rows), [(1, Event::Lost, Some(4)), (2, Event::Lost, None)]);
    assert_eq!(world.knowledge.standing(&candidate("A")), Standing::Quarantined);
    assert_eq!(pending.iteration, Some(Iteration(2)));
}

#[test]
fn a_loss_after_a_halt_does_not_count() {
    let mut world = world();
    let claim = draw(&mut world, "0", "A");
    world.append(&[Row::at(Event::Halted, time())], Write::Whole);
    assert_eq!(world.knowledge.stage_in_force(&world.schedule), None);
    world.append(&[Row::at(Event::Resumed, time())], Write::Whole);
    lose(&mut world, &claim);
    assert_eq!(world.knowledge.losses(&candidate("A")), 0);
    // An attempt begun after the halt counts again.
    draw(&mut world, "0", "A");
    world.append(&[Row::at(Event::Halted, time())], Write::Whole);
    let rows = resume(&mut world, "0", EarlierAttempt::CameToNothing);
    assert_eq!(
        (brief(&rows), world.knowledge.losses(&candidate("A"))),
        (vec![(2, Event::Claimed, Some(2))], 0)
    );
    lose(&mut world, &rows[0]);
    assert_eq!(world.knowledge.losses(&candidate("A")), 1);
}

#[test]
fn a_trainer_that_refuses_to_work_costs_no_architecture_a_loss() {
    let mut world = world();
    for _ in 0..4 {
        let claim = draw(&mut world, "0", "A");
        assert_eq!(claim.event, Event::Claimed);
        let reason = refusal_as_reason("no GPU");
        let rows = world.knowledge.lose(attempt_of(&claim), &reason, None, time());
        world.append(&rows, Write::Whole);
        assert_eq!(world.knowledge.losses(&candidate("A")), 0);
    }
}

#[test]
fn nothing_is_drawn_while_halted_but_a_result_still_counts() {
    let mut world = world();
    let claim = draw(&mut world, "0", "A");
    world.append(&[Row::at(Event::Halted, time())], Write::Whole);
    let drawn =
        Row { iteration: Some(Iteration(2)), architecture: Some("B".into()), ..claim.clone() };
    assert_eq!(rule(&world, &drawn), Rule::Halted);
    record(&mut world, &claim);
    assert_eq!(world.knowledge.known.len(), 1);
}

#[test]
fn a_lost_claim_takes_its_pending_iterations_with_it() {
    let mut world = world();
    let claim = draw(&mut world, "0", "A");
    draw(&mut world, "1", "A");
    let rows = lose(&mut world, &claim);
    assert_eq!(brief(&rows), [(1, Event::Lost, Some(1)), (2, Event::Lost, None)]);
    assert_eq!(world.knowledge.losses(&candidate("A")), 1);
    assert_eq!(world.lose(attempt_of(&claim)), []);
    assert_eq!(rule(&world, &rows[0]), Rule::NotAtAttempt);
    assert_eq!(rule(&world, &rows[1]), Rule::Ended);
}

#[test]
fn a_late_result_ends_the_claim_that_followed() {
    let mut world = world();
    let first = draw(&mut world, "0", "A");
    lose(&mut world, &first);
    let second = draw(&mut world, "1", "A");
    let rows = record(&mut world, &first);
    assert_eq!(brief(&rows), [(1, Event::Trained, Some(1)), (2, Event::Reused, Some(1))]);
    let Ok(Record::AlreadyKnown { of_iteration, due }) = world.knowledge.record(&result(&second))
    else {
        panic!("the second result is dropped");
    };
    assert_eq!((of_iteration, due), (Iteration(1), vec![]));
    assert_eq!(rule(&world, &result(&second)), Rule::Known(Iteration(1)));
}

#[test]
fn what_a_power_cut_drops_is_due() {
    let mut world = world();
    let first = draw(&mut world, "0", "A");
    draw(&mut world, "1", "A");
    let other = draw(&mut world, "2", "B");
    draw(&mut world, "3", "B");
    let rows = world.record(&first);
    world.append(&rows, Write::CutAfter(1));
    let rows = world.lose(attempt_of(&other));
    // The interrupted write of the result is mended first, then the loss.
    assert_eq!(
        brief(&rows),
        [(2, Event::Reused, Some(1)), (3, Event::Lost, Some(1)), (4, Event::Lost, None)]
    );
    world.append(&rows, Write::CutAfter(2));
    let due = world.knowledge.due_rows(None);
    assert_eq!(brief(&due), [(4, Event::Lost, None)]);
    // Somebody draws B meanwhile: then iteration 4 waits for that one.
    let again = draw(&mut world, "4", "B");
    assert_eq!(world.knowledge.due_rows(None), []);
    assert_eq!(brief(&record(&mut world, &again))[1], (4, Event::Reused, Some(5)));
}

#[test]
fn a_claim_whose_architecture_has_a_result_is_not_taken_up() {
    let mut world = world();
    let first = draw(&mut world, "0", "A");
    lose(&mut world, &first);
    draw(&mut world, "1", "A");
    let rows = world.record(&first);
    world.append(&rows, Write::CutAfter(1));
    assert_eq!(world.knowledge.resumable("7", "1"), None);
    assert_eq!(brief(&world.knowledge.due_rows(None)), [(2, Event::Reused, Some(1))]);
}

#[test]
fn an_exhausted_epsilon_gives_way_to_the_next() {
    let mut world = world();
    let claim = draw(&mut world, "0", "A");
    let rows = world.draw(&["A"; 3], &claimant("7", "1"));
    assert_eq!(
        rows.iter().map(|row| row.event).collect::<Vec<_>>(),
        [Event::Pending, Event::Pending, Event::Pending, Event::Exhausted]
    );
    world.append(&rows, Write::Whole);
    assert_eq!(
        world.knowledge.stage_in_force(&world.schedule).unwrap().epsilon.unwrap().value(),
        0.875
    );
    assert_eq!(rule(&world, rows.last().unwrap()), Rule::Exhausted);
    record(&mut world, &claim);
    assert!(!world.knowledge.is_finished(&world.schedule));
    let last = draw(&mut world, "2", "B");
    record(&mut world, &last);
    assert!(world.knowledge.is_finished(&world.schedule));
}

#[test]
fn expired_claims_and_those_of_an_ended_job_are_found() {
    let mut world = world();
    let claim = draw(&mut world, "0", "A");
    let end = claim.expires_at.unwrap();
    assert_eq!(world.knowledge.expired(time()), []);
    assert_eq!(world.knowledge.expired(end), [attempt_of(&claim)]);
    assert_eq!(world.knowledge.open_attempts(|open| &*open.job == "7"), [attempt_of(&claim)]);
    assert_eq!(world.knowledge.open_attempts(|open| &*open.job == "8"), []);
}

#[test]
fn imported_results_are_known() {
    let accuracy = crate::outcome::Accuracy::new(0.9).unwrap();
    let row = Row::imported(Iteration(1), 0.7, "A", accuracy, None);
    let mut world = world();
    world.append(std::slice::from_ref(&row), Write::Whole);
    let reused = draw(&mut world, "0", "A");
    assert_eq!((reused.of_iteration, reused.reward), (Some(Iteration(1)), Some(0.9)));
    assert_eq!(world.knowledge.best.as_ref().unwrap().best_validation_accuracy, 0.9);
    let again = Row { iteration: Some(Iteration(3)), ..row };
    assert_eq!(rule(&world, &again), Rule::Known(Iteration(1)));
}

#[test]
fn a_violation_names_iteration_and_rule() {
    let claim = Row::claimed(
        Attempt { iteration: Iteration(3), number: 1 },
        Some(1.0),
        &candidate("A"),
        &claimant("7", "0"),
    );
    let violation = Knowledge::default().apply(&claim).unwrap_err();
    assert_eq!(
        violation.to_string(),
        "`claimed` row of iteration `3` breaks the rules of the log: the next iteration is `1`"
    );
    let violation = Knowledge::default().apply(&Row { task: None, ..claim }).unwrap_err();
    assert_eq!(violation.rule, Rule::Missing("task"));
}

/// A blanked row of this iteration, or of one that could not be read.
fn void(iteration: Option<u64>) -> Row {
    Row { iteration: iteration.map(Iteration), ..Row::new(Event::Void) }
}

#[test]
fn after_a_blanked_claim_the_rest_of_its_iteration_is_taken_in() {
    for blank in [void(Some(1)), void(None)] {
        let mut world = world();
        let claim = draw(&mut world, "0", "A");
        let rows = [world.record(&claim), vec![draw(&mut world, "1", "B")]].concat();
        let mut knowledge = Knowledge::default();
        assert!(knowledge.apply(&rows[0]).is_err());
        knowledge.apply(&blank).unwrap();
        rows.iter().for_each(|row| knowledge.apply(row).unwrap());
        assert_eq!((knowledge.known.len(), knowledge.next_iteration), (1, Iteration(3)));
        assert_eq!(knowledge.doubt, Default::default());
    }
}

#[test]
fn after_a_blanked_row_the_rules_hold_for_what_it_cannot_have_been_about() {
    for blank in [void(Some(2)), void(None)] {
        let mut world = World::new(schedule(&[9]));
        let first = draw(&mut world, "0", "A");
        let known = record(&mut world, &first);
        let second = draw(&mut world, "1", "B");
        // It may have been the result of the second iteration.
        world.knowledge.apply(&blank).unwrap();
        let third = Row { iteration: Some(Iteration(3)), ..first.clone() };
        assert_eq!(rule(&world, &known[0]), Rule::Known(Iteration(1)));
        assert_eq!(rule(&world, &third), Rule::Known(Iteration(1)));
        let unknown = Row { architecture: Some("C".into()), ..first.clone() };
        assert!(matches!(rule(&world, &unknown), Rule::NotNext(_)), "iteration 1 has ended");
        let ended = Row { architecture: Some("C".into()), ..result(&first) };
        assert_eq!(rule(&world, &ended), Rule::Ended);
        // The next draw ends the doubt of draws, and the end of the second iteration that of it.
        let next = draw(&mut world, "2", "D");
        let far = Row { iteration: Some(Iteration(99)), ..draw(&mut world, "3", "E") };
        assert!(matches!(
            rule(&world, &Row { architecture: Some("F".into()), ..far }),
            Rule::NotNext(_)
        ));
        record(&mut world, &second);
        assert_eq!(rule(&world, &second), Rule::NotNext(world.knowledge.next_iteration));
        assert_eq!(rule(&world, &result(&second)), Rule::Known(Iteration(2)));
        record(&mut world, &next);
    }
}

#[test]
fn the_number_of_a_blanked_claim_is_not_given_again_and_its_result_is_taken() {
    let mut world = world();
    let mut before = world.knowledge.clone();
    let claim = draw(&mut world, "0", "A");
    before.apply(&void(None)).unwrap();
    world.knowledge = before;
    assert_eq!(draw(&mut world, "1", "B").iteration, Some(Iteration(2)));
    record(&mut world, &claim);
    assert!(matches!(world.knowledge.standing(&candidate("A")), Standing::Known(_)));
}

#[test]
fn the_greatest_last_accuracies_are_kept() {
    let mut world = World::new(schedule(&[100]));
    for number in 0..60 {
        let claim = draw(&mut world, "0", &format!("A{number}"));
        record(&mut world, &claim);
    }
    let state = &world.knowledge;
    assert!(state.last_accuracies.nth(50).is_some() && state.last_accuracies.nth(51).is_none());
    let first = state.best.as_ref().unwrap();
    let best = state.last_accuracies.nth(1).unwrap();
    assert_eq!((first.iteration.0, first.best_validation_accuracy), (1, best));
}

#[test]
fn a_stopped_network_is_known_and_never_the_best() {
    let mut knowledge = Knowledge::default();
    let mut take = |iteration: u64, architecture: &str, change: &dyn Fn(Row) -> Row| {
        let attempt = Attempt { iteration: Iteration(iteration), number: 1 };
        let claim = Row::claimed(attempt, Some(1.0), &candidate(architecture), &claimant("7", "0"));
        let row = change(result(&claim));
        [claim, row].iter().for_each(|row| knowledge.apply(row).unwrap());
        knowledge.clone()
    };
    let with = |last: f64, row: Row| Row {
        best_validation_accuracy: Some(last),
        last_validation_accuracy: Some(last),
        ..row
    };
    take(1, "A", &|row| with(0.5, row));
    let after = take(2, "B", &|row| Row { event: Event::Stopped, ..with(0.75, row) });
    assert!(matches!(after.standing(&candidate("B")), Standing::Known(_)));
    assert_eq!(&*after.best.as_ref().unwrap().architecture, "A");
    assert_eq!((after.full_curves, after.last_accuracies.nth(1)), (1, Some(0.5)));
    let best = &after.last_accuracies;
    assert_eq!((best.nth(2), best.nth(0)), (None, None));

    let audited =
        |last, y_best, row| Row { audit: Some(true), y_best: Some(y_best), ..with(last, row) };
    take(3, "C", &|row| audited(0.625, 0.5, row));
    let after = take(4, "D", &|row| audited(0.5, 0.5, row));
    let audits: Vec<_> =
        after.audits.iter().map(|audit| (audit.iteration.0, audit.is_false_stop)).collect();
    assert_eq!(audits, [(3, true), (4, false)]);
    assert_eq!(after.full_curves, 3, "an audited network is trained to the end");
}

#[test]
fn no_attempt_of_a_blanked_row_is_begun_again() {
    let mut world = world();
    let claim = draw(&mut world, "0", "A");
    let void = Row { attempt: Some(2), iteration: claim.iteration, ..Row::new(Event::Void) };
    world.knowledge.apply(&void).unwrap();
    let attempt = Attempt { iteration: Iteration(1), number: 2 };
    assert_eq!(world.knowledge.resumable("7", "0"), Some(attempt));
}

//! Which lines of a trainer are taken, and in which order.

use proptest::prelude::*;

use super::*;

/// Returns what the last of `lines` is.
fn reply(request: &Request, lines: &[&str]) -> Result<Option<Message>, String> {
    let mut dialogue = Dialogue::new(request);
    let mut last = Err("no line".to_owned());
    for line in lines {
        last = Ok(dialogue.take(line.as_bytes())?);
    }
    last
}

fn epoch(start: u32, epoch: u32) -> String {
    format!(r#"{{"epoch": {epoch}, "start": {start}, "validation_accuracy": 0.5}}"#)
}

fn reply_after(
    request: &Request,
    epochs: &[(u32, u32)],
    ending: &str,
) -> Result<Option<Message>, String> {
    let mut lines: Vec<String> = epochs.iter().map(|&(start, at)| epoch(start, at)).collect();
    lines.push(ending.to_owned());
    reply(request, &lines.iter().map(String::as_str).collect::<Vec<_>>())
}

const DONE: &str = r#"{"done": true}"#;

#[test]
fn a_training_is_done_after_its_last_epoch() {
    let done = Ok(Some(Message::Done { device: None, libtorch: None }));
    assert_eq!(reply_after(&request(2), &[(1, 1), (1, 2)], DONE), done);
    assert_eq!(reply_after(&request(2), &[(1, 1), (2, 1), (3, 1), (3, 2)], DONE), done);
    let early = reply_after(&request(3), &[(1, 1)], DONE);
    assert!(early.unwrap_err().starts_with("done after epoch 1 of 3 (a trainer that ends"));
    let none = reply(&request(3), &[DONE]).unwrap_err();
    assert!(none.starts_with("done after epoch 0 of 3"));
}

#[test]
fn epochs_come_in_order() {
    let refused = |epochs: &[(u32, u32)]| reply_after(&request(3), epochs, DONE).unwrap_err();
    assert_eq!(refused(&[(1, 2)]), "epoch 2 of start 1 at the beginning");
    assert_eq!(refused(&[(1, 1), (1, 1)]), "epoch 1 of start 1 after epoch 1 of start 1");
    assert_eq!(refused(&[(1, 1), (1, 3)]), "epoch 3 of start 1 after epoch 1 of start 1");
    assert_eq!(refused(&[(2, 1), (1, 1)]), "epoch 1 of start 1 after epoch 1 of start 2");
    assert_eq!(refused(&[(1, 1), (2, 2)]), "epoch 2 of start 2 after epoch 1 of start 1");
    assert_eq!(refused(&[(1, 1), (1, 2), (1, 3), (1, 4)]), "epoch 4 of 3");
}

#[test]
fn an_epoch_has_an_accuracy_where_there_are_images_for_it() {
    let (without, with) = (r#"{"epoch": 1, "validation_accuracy": null}"#, epoch(1, 1));
    let refused = reply(&request(1), &[without]).unwrap_err();
    assert_eq!(refused, "an epoch without `validation_accuracy`");
    let data = serde_json::json!({"validation": {"images": 0}});
    let unjudged = Request { data, ..request(1) };
    // One that it made of images that train is none.
    for line in [without, &with] {
        let Ok(Some(Message::Epoch(report))) = reply(&unjudged, &[line]) else { panic!("{line}") };
        assert_eq!(report.validation_accuracy, None);
    }
    assert!(reply(&unjudged, &[without, DONE]).is_ok());
}

#[test]
fn a_training_has_as_many_starts_as_learning_rates() {
    let starts: Vec<_> = (1..=6).map(|start| (start, 1)).collect();
    let sixth = reply_after(&request(3), &starts, DONE).unwrap_err();
    assert_eq!(sixth, "start 6 of 5 (`training.learning_rate_tries`)");
    // A trainer may leave numbers out, and gains no start by that.
    assert!(reply_after(&request(3), &[(1, 1), (5, 1)], &epoch(5, 2)).is_ok());
    assert!(reply_after(&request(3), &[(1, 1)], &epoch(6, 1)).is_err());
}

#[test]
fn after_a_stop_no_more_lines_come_than_a_whole_training_has() {
    for line in [r#"{"epoch": 2, "validation_accuracy": NaN}"#.to_owned(), epoch(1, 2)] {
        let asked = request(3);
        let mut dialogue = Dialogue::new(&asked);
        dialogue.lines_after_stop = Some(0);
        let said = (0..10).map_while(|_| dialogue.take(line.as_bytes()).ok()).count();
        assert!(said <= 3, "{said} times {line}");
    }
}

#[test]
fn batches_of_an_epoch_go_up_and_are_no_epochs() {
    let batch = |batch: u64, of: u64| format!("{{\"batch\": {batch}, \"of\": {of}}}");
    let reply_to = |lines: &[&str]| reply(&request(2), lines);
    let (first, second, next) = (batch(1, 9), batch(5, 9), epoch(1, 1));
    let done = Ok(Some(Message::Done { device: None, libtorch: None }));
    assert_eq!(reply_to(&[&first, &second, &next, &first, &epoch(1, 2), DONE]), done);
    assert!(reply_to(&[&second, &first]).unwrap_err().contains("batch 1 after batch 5"));
    assert!(reply_to(&[&second, &second]).is_err());
    assert_eq!(reply_to(&[&batch(10, 9)]), Err("batch 10 of 9".into()));
}

#[test]
fn a_trainer_may_end_a_training_early_after_an_epoch() {
    let ended = r#"{"done": true, "stopped": true}"#;
    assert_eq!(reply_after(&request(3), &[(1, 1)], ended), Ok(Some(Message::EndedItself)));
    assert!(reply(&request(3), &[ended]).unwrap_err().contains("before the first epoch"));
}

#[test]
fn a_training_taken_up_again_begins_where_it_was() {
    let resumed = Request { resume: true, ..request(3) };
    let done = Ok(Some(Message::Done { device: None, libtorch: None }));
    assert_eq!(reply_after(&resumed, &[(2, 2), (2, 3)], DONE), done);
    assert_eq!(reply(&resumed, &[DONE]), done);
}

#[test]
fn whatever_ends_a_stopped_training_it_is_stopped() {
    for ending in [DONE, r#"{"failed": "diverged"}"#, r#"{"out_of_memory": true}"#] {
        let asked = request(3);
        let mut dialogue = Dialogue::new(&asked);
        assert!(matches!(dialogue.take(epoch(1, 1).as_bytes()), Ok(Some(Message::Epoch(_)))));
        dialogue.lines_after_stop = Some(0);
        assert_eq!(dialogue.take(epoch(1, 2).as_bytes()), Ok(None));
        assert!(dialogue.take(ending.as_bytes()).unwrap().is_some() && dialogue.is_stopped());
    }
}

#[test]
fn an_epoch_that_is_no_number_is_the_networks_fault_unless_it_was_stopped() {
    let nan = r#"{"epoch": 2, "validation_accuracy": NaN}"#;
    let diverged = Ok(Some(Message::Diverged { epoch: 2 }));
    assert_eq!(reply_after(&request(3), &[(1, 1)], nan), diverged);
    let asked = request(3);
    let mut dialogue = Dialogue::new(&asked);
    dialogue.lines_after_stop = Some(0);
    assert_eq!(dialogue.take(nan.as_bytes()), Ok(None));
}

#[test]
fn a_refusal_comes_before_the_first_epoch() {
    let refusal = r#"{"refused": "no GPU"}"#;
    assert_eq!(reply(&request(1), &[refusal]), Ok(Some(Message::Refused("no GPU".into()))));
    assert!(reply_after(&request(2), &[(1, 1)], refusal).is_err());
}

#[test]
fn a_reason_of_a_megabyte_is_cut() {
    let long = "x".repeat(1 << 20);
    let Ok(Some(Message::Failed(reason))) =
        reply(&request(1), &[&format!(r#"{{"failed": "{long}\n\u0007"}}"#)])
    else {
        panic!("a failure is an ending")
    };
    assert!(reason.len() < 500);
    assert!(reply(&request(1), &[&format!(r#"{{"done": "{long}"}}"#)]).unwrap_err().len() < 500);
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(line in proptest::collection::vec(any::<u8>(), 0..80)) {
        let _ = Dialogue::new(&request(1)).take(&line);
    }

    /// Whatever was said before, an accepted last epoch means a whole curve: 1, 2, ..., epochs.
    #[test]
    fn an_accepted_curve_is_whole(said in proptest::collection::vec((1..4_u32, 1..5_u32), 0..30)) {
        let asked = request(3);
        let mut dialogue = Dialogue::new(&asked);
        let mut curve = Vec::new();
        for (start, at) in said {
            if let Ok(Some(Message::Epoch(_))) = dialogue.take(epoch(start, at).as_bytes()) {
                if at == 1 {
                    curve.clear();
                }
                curve.push(at);
            }
        }
        if dialogue.take(DONE.as_bytes()).is_ok() {
            prop_assert_eq!(curve, vec![1, 2, 3]);
        }
    }
}

//! How trainers end: closed pipes, signals, crashes between two requests.

use super::*;

#[test]
fn a_closed_pipe_is_noticed() {
    let mut stage = Stage::new("read -r request; exec >&-; sleep 1000");
    stage.trainer.timeouts.closed = BRIEF;
    assert_eq!(stage.error(), "the trainer closed its stdout and lives on");
    // One that reads no second request is started again for it.
    let mut stage =
        Stage::new("read -r request; exec <&-; epoch 1 $$; epoch 2 0; done_; sleep 1000");
    stage.trainer.timeouts.closed = BRIEF;
    assert_eq!(stage.train().unwrap(), TrainingEnd::Done);
    assert_eq!(stage.train().unwrap(), TrainingEnd::Done);
    assert_ne!(stage.reports[0].training_loss, stage.reports[2].training_loss);
}

#[test]
fn a_program_that_ends_with_a_second_request_is_started_again() {
    // It is there when it is asked, so that it cannot be known before.
    let script = "read -r request; epoch 1 $$; epoch 2 0; done_; read -r request; exit 3";
    let mut stage = Stage::new(script);
    assert_eq!(stage.train().unwrap(), TrainingEnd::Done);
    assert_eq!(stage.train().unwrap(), TrainingEnd::Done);
    assert_ne!(stage.reports[0].training_loss, stage.reports[2].training_loss);
    // Once: a network that ends a program which has just begun is to blame.
    let mut stage = Stage::new(
        "if mkdir $1/first; then epoch_ok=1; fi; read -r request; \
        if [ $epoch_ok ]; then epoch 1 0; epoch 2 0; done_; read -r request; fi; exit 3",
    );
    assert_eq!(stage.train().unwrap(), TrainingEnd::Done);
    assert!(stage.error().contains("exit status 3"));
}

#[test]
fn a_trainer_that_does_not_read_blocks_no_one() {
    // A request that no pipe holds.
    let mut long = request(2);
    long.data = serde_json::Value::String("x".repeat(3_000_000));
    long.recipe.silence_limit = 0.2;
    let mut stage = Stage::new("sleep 1000");
    let silent = stage.train_with(&long, |_| ControlFlow::Continue(()));
    assert!(matches!(silent, Err(TrainingError::Silent { .. })), "{silent:?}");
    // Nor when a signal comes.
    let mut stage = Stage::new("epoch 1 0; sleep 1000");
    long.recipe.silence_limit = 1e6;
    let interrupt = stage.interrupt.clone();
    let interrupted = stage.train_with(&long, |_| {
        interrupt.raise(Signal::Terminate);
        ControlFlow::Continue(())
    });
    assert_eq!(interrupted.unwrap(), TrainingEnd::Interrupted);
}

#[test]
fn a_program_that_ends_while_it_waits_is_started_again() {
    let mut stage = Stage::new("read -r request; epoch 1 $$; epoch 2 0; done_");
    assert_eq!(stage.train().unwrap(), TrainingEnd::Done);
    assert!(ends_soon(stage.reports[0].training_loss.unwrap() as u32));
    assert_eq!(stage.train().unwrap(), TrainingEnd::Done);
    assert_ne!(stage.reports[0].training_loss, stage.reports[2].training_loss);
}

#[test]
fn a_program_that_talks_while_it_waits_is_started_again() {
    // No pipe holds three megabytes: when they are written or refused, the line before them was
    // read.
    let mut stage = Stage::new(
        r#"read -r request; epoch 1 $$; epoch 2 0; done_
        done_; head -c 3000000 /dev/zero | tr '\0' x; echo > $1/has_talked; read -r request"#,
    );
    assert_eq!(stage.train().unwrap(), TrainingEnd::Done);
    let mark = stage.folder.path().join("has_talked");
    assert!(comes_to(|| mark.exists()));
    assert_eq!(stage.train().unwrap(), TrainingEnd::Done);
    assert_ne!(stage.reports[0].training_loss, stage.reports[2].training_loss);
}

#[test]
fn signals_are_passed_on_and_the_last_epoch_is_read() {
    for signal in [Signal::TimeNearlyUp, Signal::Terminate] {
        let name = if signal == Signal::Terminate { "TERM" } else { "USR1" };
        let mut stage = Stage::new(&format!(
            "trap 'epoch 2 0; exit 75' {name}; read -r request; epoch 1 0
            while :; do sleep 0.01; done"
        ));
        assert_eq!(stage.train_until(signal).unwrap(), TrainingEnd::Interrupted);
        assert_eq!(stage.reports.len(), 2);
        // Nothing more is begun.
        assert_eq!(stage.train().unwrap(), TrainingEnd::Interrupted);
        assert_eq!(stage.reports.len(), 2);
    }
}

#[test]
fn lines_that_come_later_than_the_exit_are_read() {
    // On a busy machine the pipe is read late. Here it is written late: the echo outlives the
    // trainer.
    let mut stage = Stage::new(
        r#"read -r request; epoch 1 0
        setsid sh -c "echo > $1/outlives; sleep 0.3; echo '$(epoch 2 0)'" &
        until [ -e $1/outlives ]; do sleep 0.01; done; exit 3"#,
    );
    assert!(stage.error().contains("exit status 3"));
    assert_eq!(stage.reports.len(), 2);
}

#[test]
fn a_training_that_ends_in_time_is_done_all_the_same() {
    let mut stage = Stage::new(
        "trap 'epoch 2 0; done_' TERM; read -r request; epoch 1 0; while :; do sleep 0.01; done",
    );
    assert_eq!(stage.train_until(Signal::Terminate).unwrap(), TrainingEnd::Done);
}

#[test]
fn a_trainer_that_dies_of_a_signal_passed_on_has_not_crashed() {
    let mut stage = Stage::new("read -r request; epoch 1 0; while :; do sleep 0.01; done");
    assert_eq!(stage.train_until(Signal::TimeNearlyUp).unwrap(), TrainingEnd::Interrupted);
}

#[test]
fn a_trainer_that_ignores_signals_is_killed() {
    let mut stage = Stage::new(
        "trap '' TERM; echo $$ > $1/process; read -r request; epoch 1 0; while :; do sleep 0.01; done",
    );
    stage.trainer.timeouts.terminate = BRIEF;
    assert_eq!(stage.train_until(Signal::Terminate).unwrap(), TrainingEnd::Interrupted);
    assert!(!is_running(stage.process("process")));
}

#[test]
fn a_signal_to_both_may_reach_the_trainer_first() {
    for end in ["kill -TERM $$", "exit 75"] {
        let mut stage = Stage::new(&format!("echo $$ > $1/process; read -r request; {end}"));
        stage.trainer.timeouts.same_signal = LONG;
        let interrupt = stage.interrupt.clone();
        let process = stage.folder.path().join("process");
        let late = thread::spawn(move || {
            // A line feed ends the number.
            let number = || fs::read_to_string(&process).ok()?.strip_suffix('\n')?.parse().ok();
            assert!(comes_to(|| number().is_some_and(|number| !is_running(number))));
            interrupt.raise(Signal::Terminate);
        });
        assert_eq!(stage.train().unwrap(), TrainingEnd::Interrupted);
        late.join().unwrap();
    }
    // What the trainer does alone is its own misfortune.
    for (end, how) in [("kill -TERM $$", "signal 15 (TERM)"), ("exit 75", "exit status 75")] {
        let mut stage = Stage::new(&format!("read -r request; {end}"));
        stage.trainer.timeouts.same_signal = BRIEF;
        let alone = stage.error();
        let start = format!("the trainer crashed before the first epoch ({how})");
        assert!(alone.starts_with(&start), "{alone}");
    }
}

#[test]
fn a_dropped_trainer_leaves_no_process() {
    let ways = [
        ("", "read -r end"),
        ("", "while :; do sleep 0.01; done"),
        ("trap '' TERM", "while :; do sleep 0.01; done"),
        ("sleep 1000 & echo $! > $1/worker", "read -r end"),
    ];
    for (before, afterwards) in ways {
        let mut stage = Stage::new(&format!(
            "echo $$ > $1/process; echo $$ > $1/worker; {before}
            read -r request; epoch 1 0; epoch 2 0; done_; {afterwards}"
        ));
        assert_eq!(stage.train().unwrap(), TrainingEnd::Done);
        let Stage { trainer, folder, .. } = stage;
        drop(trainer);
        assert!(!is_running(process_in(&folder.path().join("process"))), "{afterwards}");
        assert!(ends_soon(process_in(&folder.path().join("worker"))), "{afterwards}");
    }
}

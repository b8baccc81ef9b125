//! Many tasks at once.

use std::collections::BTreeSet;
use std::process::Stdio;

use crate::support::{Experiment, SMALL};

#[test]
fn tasks_that_start_at_the_same_instant_claim_different_architectures() {
    let experiment = Experiment::init(&SMALL.replace("architectures: 12", "architectures: 40"));
    let tasks: Vec<_> = (0..16)
        .map(|_| experiment.command(&["train", "dir"]).stderr(Stdio::null()).spawn().unwrap())
        .collect();
    for mut task in tasks {
        assert!(task.wait().unwrap().success());
    }
    let log = experiment.log();
    let of = |event: &str| -> Vec<_> {
        log.iter()
            .filter(|row| row["event"] == event)
            .map(|row| row["architecture"].clone())
            .collect()
    };
    let claimed = of("claimed");
    assert_eq!(claimed.len(), 16);
    assert_eq!(claimed.iter().collect::<BTreeSet<_>>().len(), 16);
    assert_eq!(of("trained").len() + of("failed").len(), 16);
    let iterations: BTreeSet<u64> =
        log.iter().map(|row| row["iteration"].parse().unwrap()).collect();
    assert_eq!(*iterations.last().unwrap() as usize, iterations.len(), "numbered without gaps");
}

#[test]
fn reduces_at_the_same_time_do_no_harm() {
    let experiment = Experiment::init(SMALL);
    for _ in 0..5 {
        experiment.run(&["train", "dir"]).success();
    }
    let reduces: Vec<_> = (0..6)
        .map(|_| experiment.command(&["reduce", "dir"]).stderr(Stdio::null()).spawn().unwrap())
        .collect();
    for mut reduce in reduces {
        assert!(reduce.wait().unwrap().success());
    }
    experiment.run(&["reduce", "dir", "--rebuild"]).success();
}

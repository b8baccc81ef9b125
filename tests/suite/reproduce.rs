//! `reproduce`: the claims of the papers, beside experiments.

use std::fs;

use crate::support::{Experiment, SMALL};

const SVHN: &str = "
experiment: {name: svhn}
data: {classes: 10, input_size: 32, channels: 3}
training: {trainer: synthetic}
";

/// As the published program writes it: two networks, one of them at two epsilons.
const ROWS: &str = "\
net,accuracy_best_val,epsilon,ix_q_value_update
\"[C(64,3,1), P(2,2), D(1,1), SM(10)]\",0.8,1.0,1
\"[SM(10)]\",0.1,1.0,2
\"[C(64,3,1), P(2,2), D(1,1), SM(10)]\",0.8,0.9,3
";

#[test]
fn an_imported_log_is_their_search_and_our_program() {
    let one = Experiment::init(SVHN);
    fs::write(one.folder().join("rows.csv"), ROWS).unwrap();
    one.run(&["import", "dir", "rows.csv"]).success();
    let ran = one.run(&["reproduce", "dir", "--out", "out"]).success();
    let text = ran.stdout();
    assert!(text.contains("[dir: SVHN, 2 networks, their search, our program]"), "{text}");
    // (0.8 + 0.1) / 2 is beside the published number, and no reproduction of it.
    assert!(text.contains("published 0.5225") && text.contains("ours      0.4500"), "{text}");
    assert!(!text.contains("\nreproduced"), "{text}");
    let _ = ran.says("`svhn` is taken for a search on SVHN by its name alone");
    let table = fs::read_to_string(one.folder().join("out/reproduce.csv")).unwrap();
    assert!(table.lines().any(|row| row.contains(",partly,'1,0.5225,0.45,")), "{table}");
    assert!(one.folder().join("out/columns.csv").exists());
    let rows = one.run(&["reproduce", "dir", "--json"]).success().json();
    let partly = rows.iter().filter(|row| row["state"] == "partly");
    assert!(partly.clone().count() >= 3);
    assert!(partly.clone().all(|row| row["trainer"] == "imported" && row["networks"] == 2));
}

#[test]
fn accuracies_that_are_made_up_say_nothing_and_no_experiment_is_an_error() {
    let one = Experiment::with(SMALL);
    one.run(&["run", "config.yaml", "dir", "-q"]).success();
    let rows = one.run(&["reproduce", "dir", "--json"]).success();
    assert!(rows.json().iter().all(|row| row["state"] == "not_run"));
    let _ = rows.says("`").says("is left out: its accuracies are made up");
    let none = one.folder().join("none");
    fs::create_dir(&none).unwrap();
    let _ = one.run(&["reproduce", "none"]).fails_with(2).says("none");
}

/// A replay of few curves.
#[test]
fn a_replay_answers_claims_of_early_stopping_and_damaged_curves_leave_the_others() {
    let one = Experiment::with(SMALL);
    let all = "epsilon_schedule=[{epsilon: 1.0, architectures: 40}]";
    let made = ["--set", all, "--set", "early_stopping.enabled=false"];
    one.run(&[&["run", "config.yaml", "all", "-q"][..], &made].concat()).success();
    one.run(&["export", "all", "all.csv.gz", "--recorded"]).success();
    let recorded =
        ["--set", "training.trainer=recorded", "--set", "training.recorded=[all.csv.gz]"];
    one.run(&[&["run", "config.yaml", "dir", "-q"][..], &made, &recorded].concat()).success();
    let claim = |row: &serde_json::Value| row["run"] == "metaqnn reproduce DIR --replay 10";
    let rows = one.run(&["reproduce", "dir", "--json"]).success().json();
    let is_not_run = |row: &serde_json::Value| row["state"] == "not_run";
    assert!(rows.iter().filter(|row| claim(row)).all(is_not_run));
    let replay = ["reproduce", "dir", "--replay", "1"];
    let json = [&replay[..], &["--json"]].concat();
    let replayed = one.run(&json).success().json();
    let judged = replayed.iter().filter(|row| claim(row) && !is_not_run(row));
    assert!(judged.clone().count() >= 3, "{replayed:?}");
    assert!(judged.clone().all(|row| row["experiment"] == "dir"), "{replayed:?}");

    let curve = fs::read_dir(one.path("curves")).unwrap().map(|it| it.unwrap().path());
    fs::remove_file(curve.filter(|it| it.extension().unwrap() == "csv").min().unwrap()).unwrap();
    let damaged = one.run(&json).success().says("cannot be replayed").json();
    let rest = |rows: &[serde_json::Value]| -> Vec<_> {
        rows.iter().filter(|row| !claim(row)).cloned().collect()
    };
    assert_eq!(rest(&damaged), rest(&rows));
    let unjudged = damaged.iter().filter(|row| claim(row));
    assert!(unjudged.clone().count() >= 3);
    for row in unjudged {
        let why = row["missing"][0].as_str().unwrap();
        assert!(is_not_run(row) && why.contains("curves/"), "{row}");
    }
    let text = one.run(&replay).success().stdout();
    assert!(text.contains("cannot be judged: "), "{text}");
}

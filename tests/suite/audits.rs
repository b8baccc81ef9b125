//! Early stopping in a search: audits of its verdicts, and the ledger of what it saves.

use std::collections::HashMap;

use crate::early_stopping::{STOPPING, count, number, searched};
use crate::support::Experiment;
use crate::table_rules::broken_rules;

/// Whether there is a prediction of where each network ends.
fn is_predicted(experiment: &Experiment) -> Vec<bool> {
    let log = experiment.log();
    let results = log.iter().filter(|row| !row["last_validation_accuracy"].is_empty());
    let curve = |row: &HashMap<String, String>| {
        experiment.text(&format!("curves/{:0>6}.1.csv", row["iteration"]))
    };
    results.map(|row| curve(row).lines().skip(1).any(|line| !line.ends_with(",,,,"))).collect()
}

#[test]
fn audited_networks_are_trained_to_the_end_with_the_verdict_in_their_rows() {
    let experiment = Experiment::with(STOPPING);
    let audit = ["early_stopping.audit_share=1.0", "early_stopping.false_stop_limit=1.0"];
    experiment.run(&["run", "config.yaml", "dir", "--set", audit[0], "--set", audit[1]]).success();
    assert_eq!(count(&experiment, "stopped"), 0);
    let log = experiment.log();
    let audits: Vec<_> = log.iter().filter(|row| row["audit"] == "true").collect();
    assert!(audits.len() >= 5);
    for row in &audits {
        assert_eq!((row["event"].as_str(), row["epochs"].as_str()), ("trained", "8"));
        assert!(number(row, "stop_probability") >= 0.99 && !row["y_best"].is_empty());
        assert_eq!(row["reward"], row["best_validation_accuracy"], "what was measured counts");
    }
    // An audited network is a full curve, and a rebuild learns from it.
    experiment.run(&["reduce", "dir", "--rebuild"]).success();
    // Nothing is stopped, so the search is that without stopping.
    let plain = searched("early_stopping.enabled=false");
    let rewards = |log: Vec<HashMap<String, String>>| -> Vec<String> {
        log.into_iter().map(|row| row["reward"].clone()).collect()
    };
    assert_eq!(rewards(log.clone()), rewards(plain.log()));
}

#[test]
fn some_verdicts_are_audited_the_same_ones_each_time() {
    let audited = || -> Vec<String> {
        let experiment = searched("early_stopping.audit_share=0.3");
        assert!(count(&experiment, "stopped") > 0);
        let log = experiment.log().into_iter();
        log.filter(|row| row["audit"] == "true").map(|row| row["iteration"].clone()).collect()
    };
    let first = audited();
    assert!(!first.is_empty());
    assert_eq!(audited(), first);
}

#[test]
fn the_ledger_adds_up_and_the_tables_keep_their_rules() {
    let experiment = Experiment::with(STOPPING);
    let slow = "training.synthetic_epoch_seconds=0.01";
    let settings = ["--set", slow, "--set", "early_stopping.audit_share=0.3"];
    experiment.run(&[&["run", "config.yaml", "dir"], &settings[..]].concat()).success();
    assert_eq!(broken_rules(&experiment.path("tables")), [""; 0]);
    let rows = |name: &str| -> Vec<HashMap<String, String>> {
        let text = experiment.text(&format!("tables/{name}.csv"));
        csv::Reader::from_reader(text.as_bytes()).deserialize().map(Result::unwrap).collect()
    };
    let log = experiment.log();
    let sum = |column: &str| -> f64 {
        log.iter().filter_map(|row| row[column].parse::<f64>().ok()).sum::<f64>() / 3600.0
    };
    let total = &rows("gpu_hours")[0];
    assert_eq!(total["scope"], "total");
    let close = |column: &str, hours: f64| {
        assert!((number(total, column) - hours).abs() < 1e-9, "{column}: {hours} {total:?}");
    };
    close("spent_hours", sum("train_seconds") + sum("lost_seconds"));
    close("saved_hours", sum("saved_seconds"));
    assert!(number(total, "saved_hours") > 0.0);
    let is_verdict = |row: &&HashMap<String, String>| !row["threshold"].is_empty();
    let verdicts = rows("early_stopping");
    assert_eq!(verdicts.len(), log.iter().filter(is_verdict).count());
    assert!(verdicts.iter().any(|row| row["audit"] == "true" && !row["false_stop"].is_empty()));
    assert!(verdicts.iter().all(|row| (1.0..8.0).contains(&number(row, "verdict_epoch"))));
    let scores = rows("predictor_scores");
    assert_eq!(scores.len(), 7, "one row for each number of observed epochs");
    assert!(scores.iter().all(|row| number(row, "sigma") > 0.0));
    let status = experiment.run(&["status", "dir", "--json"]).success().json().remove(0);
    let stopping = &status["early_stopping"];
    assert_eq!(stopping["stopped"], count(&experiment, "stopped"));
    assert!(stopping["predictor_curves"].as_u64() >= Some(10));
    let text = experiment.run(&["status", "dir"]).success().stdout();
    assert!(text.contains("epochs saved"), "{text}");
}

#[test]
fn false_stops_switch_stopping_off_which_is_said_once() {
    let experiment = Experiment::with(STOPPING);
    // The naive rule: whatever is predicted below the best is stopped. All of it is audited.
    let settings = ["threshold=0.51", "audit_share=1.0", "false_stop_limit=0.0", "burn_in=4"];
    let settings = settings.map(|setting| format!("early_stopping.{setting}"));
    let mut arguments = vec!["run", "config.yaml", "dir"];
    settings.iter().for_each(|setting| arguments.extend(["--set", setting]));
    let ran = experiment.run(&arguments).success();
    let said = ran.stderr();
    assert_eq!(said.matches("early stopping is switched off").count(), 1, "{said}");
    let log = experiment.log();
    let is_false = |row: &&HashMap<String, String>| {
        row["audit"] == "true" && number(row, "last_validation_accuracy") > number(row, "y_best")
    };
    let false_stop = log.iter().find(is_false).unwrap();
    let results: Vec<_> =
        log.iter().filter(|row| !row["last_validation_accuracy"].is_empty()).collect();
    let place = results.iter().position(|row| row["iteration"] == false_stop["iteration"]).unwrap();
    let is_predicted = is_predicted(&experiment);
    assert!(is_predicted[place] && is_predicted.len() > place + 1);
    assert!(
        is_predicted[place + 1..].iter().all(|was_asked| !was_asked),
        "no predictor is asked any more"
    );
    experiment.run(&["reduce", "dir", "--rebuild"]).success();
}

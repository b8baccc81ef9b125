//! `metaqnn space`.

use crate::support::Experiment;

fn space(size: u32, layers: u32) -> Experiment {
    Experiment::with(&format!(
        "experiment: {{name: space}}\n\
         data: {{classes: 10, input_size: {size}, channels: 3}}\n\
         search_space: {{max_layers: {layers}}}\n\
         training: {{trainer: synthetic}}\n"
    ))
}

#[test]
fn the_spaces_of_the_paper_have_their_sizes() {
    for (size, layers, states, pairs, architectures) in [
        (32, 18, 565, 6_656, "282710031500590500770"),
        (28, 12, 351, 4_068, "53501710400882"),
        (32, 12, 349, 4_058, "57869407275938"),
    ] {
        let json =
            &space(size, layers).run(&["space", "config.yaml", "--json"]).success().json()[0];
        assert_eq!(json["states"], states);
        assert_eq!(json["state_action_pairs"], pairs);
        assert_eq!(json["architectures"], architectures);
        assert_eq!((&json["input_size"], &json["max_layers"]), (&size.into(), &layers.into()));
        assert!(json["limits"].is_null());
    }
}

#[test]
fn every_state_tells_its_fields_and_what_may_follow() {
    let states =
        space(32, 12).run(&["space", "config.yaml", "--states", "--json"]).success().json();
    assert_eq!(states.len(), 349);
    let start = &states[0];
    assert_eq!(start["layer_type"], "start");
    assert_eq!(start["image_size"], 8, "the size is that of its bin");
    assert_eq!(start["next"][0], "SM(10)");
    assert_eq!(start["next"].as_array().unwrap().len(), 14);
    let pairs: usize = states.iter().map(|state| state["next"].as_array().unwrap().len()).sum();
    assert_eq!(pairs, 4_058);
    let fc = states.iter().find(|s| s["layer_type"] == "fc" && s["filter_depth"] == 1).unwrap();
    assert_eq!((&fc["image_size"], &fc["next"]), (&1.into(), &serde_json::json!(["SM(10)"])));
}

#[test]
fn every_line_is_answered_in_order() {
    let input =
        "[C(64,3,1), P(2,2), SM(10)]\n\nnonsense\n[C(64,3,1), D(1,9), SM(10)]\n[GAP(10), SM(10)]";
    let answers = space(32, 12)
        .run_with_input(&["space", "config.yaml", "--check", "--json"], input)
        .success()
        .json();
    let legal: Vec<bool> = answers.iter().map(|a| a["legal"].as_bool().unwrap()).collect();
    assert_eq!(legal, [true, false, false, false, true]);
    assert_eq!(answers[0]["with_dropout"], "[C(64,3,1), P(2,2), D(1,1), SM(10)]");
    assert_eq!(answers[0]["parameters"], 1_792 + 163_850);
    assert_eq!(answers[0]["layers"], 2);
    assert_eq!(answers[0]["sizes"], serde_json::json!([32, 16]));
    assert!(answers[0]["reason"].is_null());
    assert_eq!(answers[1]["architecture"], "");
    assert!(answers[3]["reason"].as_str().unwrap().contains("dropout marks"));
    assert!(answers[3]["parameters"].is_null() && answers[3]["sizes"].is_null());
    assert_eq!(answers[4]["macs"], 30 * 1_024 + 100);
}

#[test]
fn samples_are_legal_and_follow_from_the_seed() {
    let experiment = space(28, 12);
    let sample = || experiment.run(&["space", "config.yaml", "--sample", "50"]).success().stdout();
    let first = sample();
    assert_eq!(first, sample());
    let checked =
        experiment.run_with_input(&["space", "config.yaml", "--check", "--json"], first.trim_end());
    assert!(checked.json().iter().all(|answer| answer["legal"] == true));
    let other =
        experiment.run(&["space", "config.yaml", "--sample", "50", "--set", "experiment.seed=1"]);
    assert_ne!(other.stdout(), first);
}

#[test]
fn what_may_follow_a_beginning_is_listed() {
    let experiment = space(32, 12);
    let next = |prefix| experiment.run(&["space", "config.yaml", "--next", prefix]);
    assert!(!next("[C(64,3,1), P(2,2)]").success().stdout().contains("\nP("));
    assert_eq!(next("[C(64,3,1), GAP(10)]").success().stdout(), "SM(10)\n");
    next("[C(64,7,1)]").fails_with(2).says("`C(64,7,1)` cannot be layer 1");
    experiment.run(&["space", "config.yaml", "--cost", "[C(64,3,1)]"]).fails_with(2).says("SM(10)");
    experiment.run(&["space", "config.yaml", "--sample", "1", "--epsilon", "2"]).fails_with(2);
    experiment.run(&["space", "config.yaml", "--sample", "0"]).fails_with(2);
    for question in [&["--states"][..], &["--check"], &[]] {
        let line = [&["space", "config.yaml", "--epsilon", "0.5"][..], question].concat();
        drop(experiment.run(&line).fails_with(2).says("`--epsilon` does not go with"));
    }
}

#[test]
fn bytes_that_are_no_text_are_answered_too() {
    use std::io::Write;
    use std::process::Stdio;
    let experiment = space(32, 12);
    let mut child = experiment
        .command(&["space", "config.yaml", "--check", "--json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let input = [b"\xff\x00[SM(10)]\n[SM(10)]\r\n".as_slice(), &[b'['; 1_000_000]].concat();
    child.stdin.take().unwrap().write_all(&input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let answers: Vec<serde_json::Value> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let legal: Vec<bool> = answers.iter().map(|answer| answer["legal"] == true).collect();
    assert_eq!(legal, [false, true, false]);
    assert_eq!(answers[1]["architecture"], "[SM(10)]");
}

#[test]
fn a_line_without_an_end_is_refused() {
    let experiment = space(32, 12);
    let mut command = experiment.command(&["space", "config.yaml", "--check"]);
    let zero = std::fs::File::open("/dev/zero").unwrap();
    let output = command.stdin(zero).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("line 1 of stdin has more than a mebibyte"), "{said}");
}

#[test]
fn the_greatest_space_is_counted_and_whoever_stops_reading_is_no_error() {
    use std::process::Stdio;
    let experiment = space(1024, 200);
    let size = experiment.run(&["space", "config.yaml", "--json"]).success().json().remove(0);
    assert!(size["architectures"].as_str().unwrap().len() > 200);
    let mut child = experiment
        .command(&["space", "config.yaml", "--states"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0));
}

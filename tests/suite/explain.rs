//! `metaqnn explain`: one iteration, with the numbers behind it.

use std::fs;

use serde_json::Value;

use crate::early_stopping::{STOPPING, count};
use crate::support::{Experiment, SMALL};

/// The text and the object of an iteration; no line is wider than a terminal, but for words that
/// cannot be broken.
fn explained(experiment: &Experiment, iteration: &str) -> (String, Value) {
    let text = experiment.run(&["explain", "dir", iteration]).success().stdout();
    let is_long = |line: &&str| line.chars().count() > 80 && line.trim().contains(' ');
    assert_eq!(text.lines().find(is_long), None, "{text}");
    let mut json = experiment.run(&["explain", "dir", iteration, "--json"]).success().json();
    assert_eq!(json.len(), 1);
    // One line each, so that words can be looked for.
    (text.split_whitespace().collect::<Vec<_>>().join(" "), json.remove(0))
}

fn iteration_of(experiment: &Experiment, is_wanted: impl Fn(&str, &str) -> bool) -> String {
    let log = experiment.log();
    let row = log.iter().find(|row| is_wanted(&row["event"], &row["audit"]));
    row.expect("the search has one")["iteration"].clone()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

/// Three networks of at most one layer before the softmax, and what they are worth.
const IMPORTED: &str = "net,accuracy_best_val,epsilon\n\
    \"[C(8,3,1), SM(10)]\",0.9,1.0\n\
    \"[C(16,3,1), SM(10)]\",0.1,1.0\n\
    \"[SM(10)]\",0.2,1.0\n";

const ONE_LAYER: &str = "
experiment: {name: one, seed: 5}
data: {classes: 10, input_size: 16, channels: 1}
search_space: {max_layers: 1, filters: [8, 16], kernels: [3]}
q_learning: {learning_rate: 0.5, experience_replay: false}
epsilon_schedule: [{epsilon: 1.0, architectures: 3}, {epsilon: 0.0, architectures: 1}]
training: {trainer: synthetic, epochs: 2}
";

#[test]
fn the_choices_and_updates_of_a_draw_have_the_numbers_worked_by_hand() {
    let experiment = Experiment::init(ONE_LAYER);
    fs::write(experiment.folder().join("rows.csv"), IMPORTED).unwrap();
    experiment.run(&["import", "dir", "rows.csv"]).success();
    experiment.run(&["train", "dir", "--reduce"]).success();
    // Each Q-value begins at 0.5. By the first row: SM after C(8,3,1): 0.5 + 0.5 (0.9 - 0.5) = 0.7;
    // C(8,3,1): 0.5 + 0.5 (0.7 - 0.5) = 0.6. By the second: SM: 0.3; C(16,3,1), after which SM
    // alone is legal: 0.5 + 0.5 (0.3 - 0.5) = 0.4. By the third: SM at the start: 0.35.
    let (text, first) = explained(&experiment, "1");
    assert!(text.contains("taken over from another search"), "{text}");
    let updates: Vec<_> = first["q_updates"].as_array().unwrap().iter().collect();
    let layers: Vec<_> = updates.iter().map(|it| it["layer"].as_str().unwrap()).collect();
    assert_eq!(layers, ["C(8,3,1)", "SM(10)"]);
    for (update, after) in updates.iter().zip([0.6, 0.7]) {
        assert_eq!(number(&update["before"]), 0.5);
        assert!((number(&update["after"]) - after).abs() < 1e-12, "{update}");
    }
    // At epsilon 0 the greatest is taken: the network of the first row, which is known.
    let (text, fourth) = explained(&experiment, "4");
    assert_eq!((&fourth["status"], &fourth["draw"]["is_same"]), (&"reused".into(), &true.into()));
    assert!(text.contains("takes the result of iteration 1, reward 0.9000"), "{text}");
    let choices = fourth["draw"]["choices"].as_array().unwrap();
    assert_eq!(choices.len(), 2);
    let of_start: Vec<_> = choices[0]["q_values"].as_array().unwrap().iter().collect();
    let of_start: Vec<_> =
        of_start.iter().map(|it| (it[0].as_str().unwrap(), number(&it[1]))).collect();
    let expected = [("SM(10)", 0.35), ("C(8,3,1)", 0.6), ("C(16,3,1)", 0.4), ("GAP(10)", 0.5)];
    assert_eq!(of_start.len(), expected.len());
    for ((layer, value), (name, by_hand)) in of_start.into_iter().zip(expected) {
        assert!(layer == name && (value - by_hand).abs() < 1e-12, "{layer}: {value}");
    }
    assert_eq!(choices[0]["equally_best"], 1);
    assert!(
        text.contains("1 after the image, side 8 or more: C(8,3,1) 0.600000, the best of 4"),
        "{text}"
    );
    assert!(text.contains("others: 0.500000 GAP(10); 0.400000 C(16,3,1); 0.350000 SM(10)"));
    // It is learned from again: SM 0.7 + 0.5 (0.9 - 0.7) = 0.8, C(8,3,1) 0.6 + 0.5 (0.8 - 0.6).
    let after = |at: usize| number(&fourth["q_updates"][at]["after"]);
    assert!((after(0) - 0.7).abs() < 1e-12 && (after(1) - 0.8).abs() < 1e-12);
}

#[test]
fn every_draw_of_q_learning_is_made_again_layer_by_layer() {
    let experiment = Experiment::with(SMALL);
    for (strategy, reduces) in [("q_learning", true), ("exploit_best", false)] {
        fs::remove_dir_all(experiment.path("")).ok();
        let set = format!("strategy.kind={strategy}");
        if reduces {
            experiment.run(&["run", "config.yaml", "dir", "--set", &set]).success();
        } else {
            // As tasks of a round: from the views that a reduce publishes.
            experiment.run(&["init", "config.yaml", "dir", "--set", &set]).success();
            for _ in 0..18 {
                experiment.run(&["train", "dir"]).success();
                experiment.run(&["reduce", "dir", "--no-tables"]).success();
            }
        }
        let log = experiment.log();
        let last = log.iter().filter_map(|row| row["iteration"].parse::<u64>().ok()).max().unwrap();
        let mut greedy = 0;
        for iteration in (1..=last).filter(|it| *it <= 2 || *it > last.saturating_sub(12)) {
            let iteration = iteration.to_string();
            let (text, found) = explained(&experiment, &iteration);
            let first = log.iter().find(|row| row["iteration"] == iteration).unwrap();
            if !first["strategy"].is_empty() {
                assert!(text.contains("It is an edit of iteration "), "{text}");
                assert!(found["parent"][1].is_string() && found["draw"].is_null(), "{found}");
                continue;
            }
            assert_eq!(found["draw"]["is_same"], true, "{text}");
            let choices = found["draw"]["choices"].as_array().unwrap();
            let layers: Vec<_> = choices.iter().map(|it| it["layer"].as_str().unwrap()).collect();
            let drawn = first["architecture"].trim_matches(['[', ']']).split(", ");
            let drawn: Vec<_> = drawn.filter(|layer| !layer.starts_with("D(")).collect();
            assert_eq!(layers, drawn);
            for choice in choices.iter().filter(|it| it["at_random"] == false) {
                let values = choice["q_values"].as_array().unwrap();
                let best = values.iter().map(|it| number(&it[1])).fold(0.0, f64::max);
                assert_eq!(number(&choice["q_value"]), best);
                greedy += 1;
            }
        }
        assert!(greedy > 0, "{strategy}");
    }
}

#[test]
fn a_draw_that_another_program_made_is_not_explained_by_choices() {
    let experiment = Experiment::init(SMALL);
    experiment.run(&["train", "dir"]).success();
    let log = experiment.text("replay.csv");
    let drawn = experiment.log()[0]["architecture"].clone();
    let other = if drawn == "[SM(10)]" { "[GAP(10), SM(10)]" } else { "[SM(10)]" };
    let quoted = format!("\"{drawn}\"");
    let drawn = if log.contains(&quoted) { quoted } else { drawn };
    let other = if other.contains(',') { format!("\"{other}\"") } else { other.to_owned() };
    fs::write(experiment.path("replay.csv"), log.replace(&drawn, &other)).unwrap();
    let (text, found) = explained(&experiment, "1");
    assert!(text.contains("the draw gives another architecture"), "{text}");
    assert_eq!(found["draw"]["is_same"], false);
    assert_eq!(found["draw"]["choices"].as_array().unwrap().len(), 0);
}

#[test]
fn a_stop_and_an_audit_have_their_curve_and_the_numbers_of_their_verdict() {
    let experiment = Experiment::with(STOPPING);
    let audit = "early_stopping.audit_share=0.3";
    experiment.run(&["run", "config.yaml", "dir", "--set", audit]).success();
    assert!(count(&experiment, "stopped") > 0);
    let stopped = iteration_of(&experiment, |event, _| event == "stopped");
    let (text, found) = explained(&experiment, &stopped);
    let row = found["rows"].as_array().unwrap().last().unwrap();
    assert!(text.contains(&format!("Stopped after epoch {} of 8;", row["epochs"])), "{text}");
    for (name, value) in [("sigma", 4), ("y_best", 4), ("stop_probability", 6)] {
        let shown = format!("{:.*}", value, number(&row[name]));
        assert!(text.contains(&shown), "{name} {shown}: {text}");
    }
    let more = text.contains("its training ended there") && text.contains("threshold, 0.99");
    assert!(more, "{text}");
    let drawn = experiment.run(&["explain", "dir", &stopped]).success().stdout();
    let curve: Vec<_> = drawn.lines().filter(|line| line.starts_with("  0.")).collect();
    assert_eq!(curve.len(), 10, "{drawn}");
    let epochs = row["epochs"].as_u64().unwrap() as usize;
    let points: usize = curve.iter().map(|line| line.matches('*').count()).sum();
    assert_eq!(points, epochs, "{drawn}");
    assert!(curve.iter().any(|line| line.contains("---")), "{drawn}");
    let audited = iteration_of(&experiment, |event, audit| event == "trained" && audit == "true");
    let (text, found) = explained(&experiment, &audited);
    let is_false = found["is_false_stop"].as_bool().unwrap();
    let verdict = if is_false { "It was wrong: the last" } else { "It was not: the last" };
    assert!(text.contains("it would have been stopped") && text.contains(verdict), "{text}");
    assert!(text.contains("(an audit)"), "{text}");
}

#[test]
fn a_loss_has_its_reason_and_the_last_lines_of_its_trainer() {
    let trainer = "read request; echo all went well >&2; echo GPU fell off >&2; exit 3";
    let config = SMALL.replace(
        "trainer: synthetic",
        &format!("trainer: command, command: [sh, -c, '{trainer}']"),
    );
    let experiment = Experiment::init(&config);
    experiment.run(&["train", "dir"]).success();
    let (text, found) = explained(&experiment, "1");
    assert_eq!(found["status"], "lost");
    // It was started twice.
    let said = found["stderr"].as_array().unwrap();
    assert_eq!(said[said.len() - 2..], ["all went well", "GPU fell off"]);
    assert!(text.contains("It ended without a result") && text.contains("Reason: "), "{text}");
    assert!(text.contains("claimed, attempt 1") && text.contains("lost, attempt 1"), "{text}");
    assert_eq!(found["rows"].as_array().unwrap().len(), 2);
}

#[test]
fn an_open_claim_has_its_age_and_its_end_and_an_unknown_iteration_is_refused() {
    let experiment = Experiment::init(SMALL);
    let refused = experiment.run(&["explain", "dir", "1"]).fails_with(2);
    refused.says("iteration 1 does not exist (the log has none yet)");
    experiment.run(&["train", "dir"]).success();
    let log = experiment.text("replay.csv");
    let claim: Vec<_> = log.lines().take(2).collect();
    fs::write(experiment.path("replay.csv"), claim.join("\n") + "\n").unwrap();
    let (text, found) = explained(&experiment, "1");
    assert_eq!(found["status"], "claimed");
    assert!(text.contains("Attempt 1 began 0.0 hours ago"), "{text}");
    assert!(text.contains("its claim expires in 24.0 hours"), "{text}");
    let refused = experiment.run(&["explain", "dir", "7"]).fails_with(2);
    refused.says("iteration 7 does not exist (the log has 1 to 1)");
}

#[test]
fn other_strategies_are_explained_by_the_reason_in_the_log() {
    let experiment = Experiment::with(SMALL);
    experiment.run(&["run", "config.yaml", "dir", "--set", "strategy.kind=bayesian"]).success();
    let (text, found) = explained(&experiment, "1");
    assert!(text.contains("Strategy `bayesian`. It was drawn at random"), "{text}");
    assert!(found["draw"].is_null() && found["q_updates"].as_array().unwrap().is_empty());
    let (text, _) = explained(&experiment, "18");
    assert!(text.contains("the greatest expected improvement on the best: expected 0."), "{text}");
    let policy = "strategy.kind=policy_gradient";
    experiment.run(&["init", "config.yaml", "policy", "--set", policy]).success();
    for results in ["0 results", "1 result"] {
        experiment.run(&["train", "policy"]).success();
        let row = experiment.folder().join("policy/replay.csv");
        let row = fs::read_to_string(row).unwrap();
        assert!(row.contains(&format!(" after {results}\n")), "{row}");
    }
}

#[test]
fn the_help_of_explain_names_every_key_of_its_json() {
    let experiment = Experiment::init(SMALL);
    experiment.run(&["train", "dir"]).success();
    let (_, found) = explained(&experiment, "1");
    let help = experiment.run(&["explain", "--help"]).success().stdout();
    let of_draw = found["draw"].as_object().unwrap().keys();
    for key in found.as_object().unwrap().keys().chain(of_draw) {
        let words = || help.split(|c: char| !c.is_alphanumeric() && c != '_');
        assert!(words().any(|word| word == key), "`metaqnn explain --help` lacks `{key}`");
    }
}

#[test]
fn a_damaged_curve_is_left_out_with_a_warning() {
    let experiment = Experiment::with(SMALL);
    experiment.run(&["run", "config.yaml", "dir", "-q"]).success();
    let iteration = iteration_of(&experiment, |event, _| event == "trained");
    let curve = format!("curves/{iteration:0>6}.1.csv");
    fs::write(experiment.path(&curve), experiment.text(&curve) + "x\n").unwrap();
    let ran = experiment.run(&["explain", "dir", &iteration]).success();
    assert!(ran.stderr().contains(&curve) && ran.stderr().contains("metaqnn verify"));
    assert!(ran.stdout().contains("What came of it") && !ran.stdout().contains("Learning curve"));
}

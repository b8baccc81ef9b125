//! Every strategy but Q-learning and lists: through the same log, tasks and commands.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::early_stopping::newest_view;
use crate::support::Experiment;

/// 34 networks.
const SPACE: &str = "
experiment: {name: small, seed: 5}
data: {classes: 10, input_size: 16, channels: 1}
search_space: {max_layers: 3, filters: [8, 16], kernels: [3], pools: [[2, 2]], fc_widths: [32]}
training: {trainer: synthetic, epochs: 4}
early_stopping: {enabled: false}
";

/// Without epsilons; all draw from the space above.
const SEARCHES: [&str; 4] = [
    "{kind: random, architectures: 12}",
    "{kind: bayesian, architectures: 12}",
    "{kind: evolution, architectures: 12}",
    "{kind: policy_gradient, architectures: 12}",
];

fn experiment(strategy: &str) -> Experiment {
    Experiment::with(&format!("{SPACE}strategy: {strategy}\n"))
}

/// What was drawn, in the order of the log, each with the reason.
fn draws(experiment: &Experiment) -> Vec<[String; 2]> {
    let log = experiment.log().into_iter().filter(|row| row["event"] == "claimed");
    log.map(|row| {
        assert_eq!(row["epsilon"], "");
        ["architecture", "strategy"].map(|column| row[column].clone())
    })
    .collect()
}

fn names(draws: &[[String; 2]]) -> BTreeSet<&String> {
    draws.iter().map(|[name, _]| name).collect()
}

#[test]
fn a_search_trains_as_many_new_networks_as_it_was_asked_for_and_says_why() {
    for strategy in SEARCHES {
        let one = experiment(strategy);
        let run = |experiment: &Experiment, workers| {
            experiment.run(&["run", "config.yaml", "dir", "--workers", workers]).success();
            experiment.run(&["verify", "dir"]).success();
            draws(experiment)
        };
        let drawn = run(&one, "1");
        assert_eq!((drawn.len(), names(&drawn).len()), (12, 12), "{strategy}");
        assert!(drawn.iter().all(|[_, why]| !why.is_empty()), "{strategy}");
        assert_eq!(run(&experiment(strategy), "1"), drawn, "{strategy} can be repeated");
        let by_four = run(&experiment(strategy), "4");
        assert_eq!((by_four.len(), names(&by_four).len()), (12, 12), "{strategy}");
        let status = one.run(&["status", "dir", "--json"]).success().json();
        assert_eq!(status[0]["condition"], "finished", "{strategy}");
        let at_random = drawn.iter().filter(|[_, why]| why.starts_with("at random")).count();
        assert_eq!(status[0]["results_at_random"], at_random, "{strategy}");
        one.run(&["reduce", "dir", "--rebuild"]).success();
        let other = ["--set", "strategy.kind=q_learning", "--set", "strategy.architectures=null"];
        let other = one.run(&[&["run", "config.yaml", "dir"][..], &other].concat()).fails_with(2);
        drop(other.says("`strategy.kind` is"));
    }
}

#[test]
fn a_search_of_a_space_ends_when_nothing_is_left() {
    for strategy in SEARCHES {
        let all = experiment(&strategy.replace("12", "99"));
        let run = all.run(&["run", "config.yaml", "dir", "--workers", "2"]).success();
        drop(run.says("its space holds 34"));
        assert_eq!(names(&draws(&all)).len(), 34, "{strategy}");
        assert_eq!(all.log().last().unwrap()["event"], "exhausted", "{strategy}");
        all.run(&["verify", "dir"]).success();
    }
}

#[test]
fn what_a_strategy_has_learned_lies_in_a_view_and_costs_time_alone_where_it_is_lost() {
    const STATE: &str = "strategy.bin";
    let edit = |path: &Path, change: fn(&mut Vec<u8>)| {
        let mut bytes = fs::read(path).unwrap();
        change(&mut bytes);
        fs::write(path, bytes).unwrap();
    };
    for kind in ["policy_gradient", "bayesian"] {
        let made = || {
            let one = experiment(&format!("{{kind: {kind}, architectures: 30}}"));
            one.run(&["init", "config.yaml", "dir"]).success();
            (0..8).for_each(|_| drop(one.run(&["train", "dir"]).success()));
            one.run(&["reduce", "dir"]).success();
            let view = newest_view(&one);
            (one, view)
        };
        let next = |one: &Experiment| {
            one.run(&["train", "dir"]).success();
            draws(one).pop().unwrap()
        };
        let (whole, view) = made();
        let kept = fs::read(view.join(STATE)).unwrap();
        whole.run(&["verify", "dir"]).success();
        whole.run(&["reduce", "dir", "--rebuild"]).success();
        let expected = next(&whole);
        let (without, view) = made();
        fs::remove_dir_all(view).unwrap();
        assert_eq!(next(&without), expected, "{kind}");
        for damage in [|it: &mut Vec<u8>| it[9] ^= 1, |it: &mut Vec<u8>| it.truncate(16)] {
            let (damaged, view) = made();
            edit(&view.join(STATE), damage);
            drop(damaged.run(&["verify", "dir"]).fails_with(3));
            damaged.run(&["reduce", "dir"]).success();
            assert_eq!(fs::read(view.join(STATE)).unwrap(), kept, "{kind}: it is made again");
            edit(&view.join(STATE), damage);
            assert_eq!(next(&damaged), expected, "{kind}");
        }
        // Changed with its sum: whole in itself, and not what the log says.
        let (changed, view) = made();
        edit(&view.join(STATE), |bytes| *bytes.last_mut().unwrap() ^= 1);
        let sums = "sha256sum view.yaml q_table.csv strategy.bin > SHA256SUMS";
        assert!(
            Command::new("sh").args(["-c", sums]).current_dir(&view).status().unwrap().success()
        );
        let rebuild = changed.run(&["reduce", "dir", "--rebuild"]).fails_with(3);
        drop(rebuild.says("it is not what its rows of the log say"));
        changed.run(&["verify", "dir", "--repair"]).success();
        assert_eq!(fs::read(newest_view(&changed).join(STATE)).unwrap(), kept, "{kind}");
        changed.run(&["verify", "dir"]).success();
    }
}

#[test]
fn an_exhaustive_search_trains_every_network_once_in_order() {
    let all = experiment("{kind: exhaustive}");
    all.run(&["run", "config.yaml", "dir"]).success();
    let drawn = draws(&all);
    assert_eq!((drawn.len(), names(&drawn).len()), (34, 34));
    assert_eq!(drawn[0], ["[SM(10)]", "1 of 34"]);
    assert_eq!(drawn[33][1], "34 of 34");
    all.run(&["verify", "dir"]).success();
    let status = all.run(&["status", "dir", "--json"]).success().json();
    assert_eq!(status[0]["condition"], "finished");
}

#[test]
fn evolution_edits_what_it_has_found() {
    let small = experiment("{kind: evolution, architectures: 20}");
    let init = small.run(&["run", "config.yaml", "dir", "--workers", "2"]).success();
    drop(init.says("`strategy.evolution.population` is 100, more than a fifth"));
    // The first four results are drawn at random.
    let edits = draws(&small).iter().filter(|[_, why]| why.starts_with("edit of ")).count();
    assert!((8..=16).contains(&edits), "{edits}");
}

#[test]
fn exploit_best_is_q_learning_that_edits_the_best_below_epsilon_1() {
    let of = |kind: &str| {
        let schedule = "[{epsilon: 1, architectures: 8}, {epsilon: 0.3, architectures: 8}]";
        let text = format!("{SPACE}strategy: {{kind: {kind}}}\nepsilon_schedule: {schedule}\n");
        let experiment = Experiment::with(&text);
        experiment.run(&["run", "config.yaml", "dir", "--workers", "1"]).success();
        experiment.run(&["verify", "dir"]).success();
        experiment.run(&["reduce", "dir", "--rebuild"]).success();
        experiment.log()
    };
    let draws = |log: &[HashMap<String, String>], epsilon: &str| -> Vec<[String; 3]> {
        let is_draw = |event| ["claimed", "pending", "reused"].contains(&event);
        let rows = log.iter().filter(|row| is_draw(&row["event"]) && row["epsilon"] == epsilon);
        rows.map(|row| ["iteration", "architecture", "strategy"].map(|it| row[it].clone()))
            .collect()
    };
    let (edits, learned) = (of("exploit_best"), of("q_learning"));
    assert_eq!(draws(&edits, "1.0"), draws(&learned, "1.0"));
    let below = draws(&edits, "0.3");
    let edited = below.iter().filter(|[_, _, why]| why.starts_with("edit of ")).count();
    assert!(edited > 0 && edited < below.len(), "{below:?}");
    assert_eq!(draws(&edits, "0.3"), draws(&of("exploit_best"), "0.3"), "it can be repeated");
}

#[test]
fn what_no_strategy_can_do_is_refused_before_anything_is_made() {
    let refused = |strategy: &str, space: &str, says: &str| {
        let text = SPACE.replace("max_layers: 3", space);
        let bad = Experiment::with(&format!("{text}strategy: {strategy}\n"));
        let init = bad.run(&["init", "config.yaml", "dir"]).fails_with(2);
        drop(init.says(says));
        assert!(!fs::exists(bad.folder().join("dir")).unwrap());
    };
    refused("{kind: exhaustive}", "max_layers: 12", "it must have at most 100000");
    refused("{kind: exhaustive, architectures: 5}", "max_layers: 3", "leave it null");
    refused("{kind: random, architectures: 0}", "max_layers: 3", "`strategy.architectures` is `0`");
    refused("{kind: greedy}", "max_layers: 3", "unknown value `greedy`");
    refused("{kind: evolution, evolution: {sample: 0}}", "max_layers: 3", "must be 1 to 10000");
    refused("{kind: bayesian, bayesian: {burn_in: 1}}", "max_layers: 3", "must be 2 to 1000");
    refused("{kind: exploit_best, exploit_best: {share: 1.5}}", "max_layers: 3", "must be 0 to 1");
    refused("{kind: exploit_best, architectures: 5}", "max_layers: 3", "leave it null");
    refused("{kind: random, list: {repeats: 2}}", "max_layers: 3", "only `strategy.kind: list`");
}

//! The trainer `recorded`: an experiment as a benchmark of strategies.

use std::collections::BTreeMap;
use std::fs;

use crate::support::Experiment;

/// 34 networks.
const SPACE: &str = "
data: {classes: 10, input_size: 16, channels: 1}
search_space: {max_layers: 3, filters: [8, 16], kernels: [3], pools: [[2, 2]], fc_widths: [32]}
early_stopping: {enabled: false}
";

/// A whole space, trained: the experiment `all` and its recording `all.csv.gz`.
fn recorded() -> Experiment {
    let one = Experiment::with(&format!(
        "experiment: {{name: all, seed: 5}}\nstrategy: {{kind: exhaustive}}\n\
         training: {{trainer: synthetic, epochs: 4, synthetic_epoch_seconds: 0.001}}\n{SPACE}"
    ));
    one.run(&["run", "config.yaml", "all"]).success();
    one.run(&["export", "all", "all.csv.gz", "--recorded"]).success();
    one
}

fn text(experiment: &Experiment, file: &str) -> String {
    fs::read_to_string(experiment.folder().join(file)).unwrap()
}

fn configure(experiment: &Experiment, name: &str, strategy: &str, training: &str) -> String {
    let file = format!("{name}.yaml");
    let text = format!(
        "experiment: {{name: {name}, seed: 9}}\nstrategy: {strategy}\n\
         training: {{trainer: recorded, {training}}}\n{SPACE}"
    );
    fs::write(experiment.folder().join(&file), text).unwrap();
    file
}

/// The results of the experiment `dir` by architecture: event, best and last accuracy, restarts.
fn results(experiment: &Experiment, dir: &str) -> BTreeMap<String, [String; 4]> {
    let log = text(experiment, &format!("{dir}/replay.csv"));
    let mut reader = csv::Reader::from_reader(log.as_bytes());
    let rows = reader.deserialize::<BTreeMap<String, String>>().map(Result::unwrap);
    let results = rows.filter(|row| ["trained", "failed"].contains(&&*row["event"]));
    let columns = ["event", "best_validation_accuracy", "last_validation_accuracy", "restarts"];
    let of = |row: BTreeMap<String, String>| {
        (row["architecture"].clone(), columns.map(|column| row[column].clone()))
    };
    results.map(of).collect()
}

#[test]
fn a_search_finds_what_was_recorded_whatever_its_strategy_and_trains_nothing() {
    let one = recorded();
    let all = results(&one, "all");
    let failed = all.values().filter(|result| result[0] == "failed").count();
    assert!(all.len() == 34 && failed > 0, "{failed}");
    let named = ["all.csv.gz", "all"];
    for (strategy, source) in
        ["{kind: random, architectures: 34}", "{kind: exhaustive}"].iter().zip(named)
    {
        let dir = format!("by-{source}");
        let file = configure(&one, "search", strategy, &format!("epochs: 4, recorded: [{source}]"));
        one.run(&["run", &file, &dir]).success();
        one.run(&["verify", &dir]).success();
        assert_eq!(results(&one, &dir), all, "{strategy}");
        let status = one.run(&["status", &dir]).success().stdout();
        assert!(status.contains("recorded ones: none was trained here"), "{status}");
    }
    // The seconds are those of the recording, four epochs of at least 0.001 s.
    let log = text(&one, "by-all/replay.csv");
    let mut rows = csv::Reader::from_reader(log.as_bytes());
    for row in rows.deserialize::<BTreeMap<String, String>>().map(Result::unwrap) {
        if row["event"] == "trained" && row["restarts"] == "0" {
            assert_eq!(row["train_seconds"], "0.004");
        }
    }
}

#[test]
fn fewer_epochs_are_the_beginning_of_what_was_recorded() {
    let one = recorded();
    let file = configure(&one, "short", "{kind: exhaustive}", "epochs: 2, recorded: [all.csv.gz]");
    one.run(&["run", &file, "short"]).success();
    one.run(&["verify", "short"]).success();
    let (all, short) = (results(&one, "all"), results(&one, "short"));
    let failed = |results: &BTreeMap<String, [String; 4]>| {
        results.values().filter(|result| result[0] == "failed").count()
    };
    // Who diverges in the third epoch or later has not by then.
    assert!(failed(&short) <= failed(&all) && short.len() == 34);
    assert!(short.iter().any(|(name, result)| result[1] < all[name][1]));
}

#[test]
fn of_several_recordings_the_seed_says_which_one_answers() {
    let one = recorded();
    let other =
        fs::read_to_string(one.folder().join("config.yaml")).unwrap().replace("seed: 5", "seed: 6");
    fs::write(one.folder().join("other.yaml"), other).unwrap();
    one.run(&["run", "other.yaml", "other"]).success();
    let training = "epochs: 4, recorded: [all, other]";
    let search = |name: &str, strategy: &str, more: &[&str]| {
        let file = configure(&one, name, strategy, training);
        one.run(&[&["run", &file, name][..], more].concat()).success();
        results(&one, name)
    };
    let random = search("random", "{kind: random, architectures: 34}", &[]);
    assert_eq!(search("exhaustive", "{kind: exhaustive}", &[]), random);
    let reseeded = ["--set", "experiment.seed=10"];
    assert_ne!(search("reseeded", "{kind: exhaustive}", &reseeded), random);
    let (all, other) = (results(&one, "all"), results(&one, "other"));
    let of =
        |which: &BTreeMap<_, _>| random.iter().filter(|(name, it)| which[*name] == **it).count();
    assert!(of(&all) > 8 && of(&other) > 8 && of(&all) + of(&other) >= 34);
}

#[test]
fn what_is_not_recorded_is_not_legal_whatever_the_strategy() {
    let one = recorded();
    let all = results(&one, "all");
    let some: Vec<_> = all.keys().step_by(3).collect();
    one.run(&["export", "all", "whole.csv", "--recorded"]).success();
    let whole = text(&one, "whole.csv");
    let is_kept = |line: &&str| {
        let name = line.rsplit_once(']').map_or("", |(name, _)| name).trim_start_matches('"');
        line.starts_with("architecture,")
            || some.iter().any(|it| it.strip_suffix(']') == Some(name))
    };
    let lines: Vec<_> = whole.lines().filter(is_kept).collect();
    fs::write(one.folder().join("some.csv"), lines.join("\n") + "\n").unwrap();
    let training = "epochs: 4, recorded: [some.csv]";
    for kind in
        ["q_learning", "exploit_best", "random", "exhaustive", "evolution", "policy_gradient"]
    {
        let file = configure(&one, kind, &format!("{{kind: {kind}}}"), training);
        let schedule =
            "epsilon_schedule=[{epsilon: 1, architectures: 6}, {epsilon: 0.1, architectures: 99}]";
        let run = one.run(&["run", &file, kind, "--set", schedule, "--workers", "2"]).success();
        drop(run.says("has 12 of the 34 networks of `search_space`, and no others are legal\n"));
        one.run(&["verify", kind]).success();
        one.run(&["reduce", kind, "--rebuild"]).success();
        let found = results(&one, kind);
        assert!(found.keys().eq(some.iter().copied()), "{kind}: {found:?}");
        assert!(found.iter().all(|(name, result)| *result == all[name]), "{kind}");
    }
    let missing = all.keys().nth(1).unwrap();
    let file = configure(
        &one,
        "list",
        &format!("{{kind: list, list: {{architectures: ['{missing}']}}}}"),
        training,
    );
    drop(
        one.run(&["init", &file, "list"])
            .fails_with(2)
            .says("no network that is recorded goes on so"),
    );
}

#[test]
fn what_is_no_recording_is_refused_before_anything_is_made() {
    let one = recorded();
    let header = "architecture,event,start,epoch,validation_accuracy\n";
    let files = [
        ("rewards.csv", "architecture,reward\n[SM(10)],0.5\n".to_owned()),
        ("empty.csv", format!("{header}[SM(10)],trained,,,\n")),
        ("single.csv", format!("{header}[SM(10)],trained,1,1,0.5\n")),
        ("gap.csv", format!("{header}[SM(10)],trained,1,1,0.5\n[SM(10)],trained,1,3,0.5\n")),
        ("percent.csv", format!("{header}[SM(10)],trained,1,1,50\n")),
        (
            "foreign.csv",
            format!("{header}\"[C(7,3,1), SM(10)]\",trained,1,1,0.5\n[SM(9)],trained,1,1,0.5\n"),
        ),
    ];
    for (name, text) in files {
        fs::write(one.folder().join(name), text).unwrap();
    }
    for (training, says) in [
        ("epochs: 1", "name recordings or experiments"),
        ("epochs: 1, recorded: [gone.csv]", "gone.csv` is not there"),
        ("epochs: 1, recorded: [rewards.csv]", "has no learning curves: "),
        ("epochs: 1, recorded: [empty.csv]", "has no learning curves;"),
        (
            "epochs: 1, recorded: [single.csv]",
            "single.csv` (it has one network of `search_space`, and a search needs two)",
        ),
        ("epochs: 1, recorded: [gap.csv]", "the epochs of a start do not count from 1"),
        ("epochs: 1, recorded: [percent.csv]", "accuracy `50` is outside [0, 1]"),
        (
            "epochs: 1, recorded: [foreign.csv]",
            "foreign.csv` (none of its 2 trainings is of `search_space`: is it",
        ),
        ("epochs: 5, recorded: [all.csv.gz]", "`training.epochs` is `5` ("),
    ] {
        let file = configure(&one, "bad", "{kind: random, architectures: 5}", training);
        drop(one.run(&["init", &file, "dir"]).fails_with(2).says(says));
        assert!(!one.folder().join("dir").exists(), "{training}");
    }
    // With two networks recorded, and the others to come.
    one.run(&["init", "config.yaml", "begun"]).success();
    (0..2).for_each(|_| drop(one.run(&["train", "begun"]).success()));
    let training = "epochs: 1, recorded: [begun]";
    let file = configure(&one, "bad", "{kind: random, architectures: 5}", training);
    drop(one.run(&["init", &file, "dir"]).fails_with(2).says("which is not finished"));
    let torch = ["init", "config.yaml", "dir", "--set", "training.recorded=[all]"];
    drop(one.run(&torch).fails_with(2).says("`training.trainer` is `recorded`, else"));
}

#[test]
fn a_recording_that_has_changed_is_refused() {
    let one = recorded();
    let file = configure(
        &one,
        "search",
        "{kind: random, architectures: 5}",
        "epochs: 4, recorded: [all.csv.gz]",
    );
    one.run(&["init", &file, "dir"]).success();
    let whole = fs::read(one.folder().join("all.csv.gz")).unwrap();
    one.run(&["export", "all", "other.csv", "--recorded"]).success();
    // One learning rate is another.
    let other = text(&one, "other.csv").replacen(",1,1,0.001,", ",1,1,0.002,", 1);
    fs::write(one.folder().join("all.csv.gz"), other).unwrap();
    drop(
        one.run(&["train", "dir"])
            .fails_with(2)
            .says("has changed since the experiment was created"),
    );
    fs::write(one.folder().join("all.csv.gz"), whole).unwrap();
    one.run(&["train", "dir"]).success();
}

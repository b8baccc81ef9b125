//! `metaqnn compare`: searches side by side.

use crate::support::{Experiment, SMALL};

fn fits(text: &str) {
    let is_long = |line: &&str| line.chars().count() > 80;
    assert_eq!(text.lines().find(is_long), None, "{text}");
}

fn in_one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn a_search_is_compared_with_its_random_control() {
    let experiment = Experiment::with(SMALL);
    experiment.run(&["run", "config.yaml", "own"]).success();
    experiment.run(&["run", "config.yaml", "random", "--set", "strategy.kind=random"]).success();
    let text = experiment.run(&["compare", "own", "random"]).success().stdout();
    fits(&text);
    assert!(text.starts_with("What differs"), "{text}");
    let lines: Vec<_> = text.lines().map(in_one_line).collect();
    assert!(lines.contains(&"strategy.kind q_learning random".to_owned()), "{text}");
    assert!(text.contains("Is own better than random (at random)? "), "{text}");
    let found = experiment.run(&["compare", "own", "random", "--json"]).success().json().remove(0);
    assert_eq!(
        found["differing"],
        serde_json::json!([["strategy.kind", ["q_learning", "random"]]])
    );
    // 18 results each: a quarter, a half and all, of networks and of seconds.
    let at = found["at"].as_array().unwrap();
    let networks: Vec<_> = at.iter().filter_map(|at| at["spent"]["networks"].as_u64()).collect();
    assert_eq!((networks, at.len()), (vec![5, 9, 18], 6));
    // With all networks the best is that of `status`.
    for (number, name) in ["own", "random"].into_iter().enumerate() {
        let status = experiment.run(&["status", name, "--json"]).success().json().remove(0);
        let best = &status["best"]["best_validation_accuracy"];
        assert_eq!(
            (
                &at[2]["of"][number]["best"],
                &found["searches"][number]["best"]["best_validation_accuracy"]
            ),
            (best, best)
        );
        assert_eq!(found["searches"][number]["networks"], 18);
    }
    assert_eq!(found["answers"][0]["than"], "random");
    // Whichever is named first: it is asked of the other one.
    let text = experiment.run(&["compare", "random", "own"]).success().stdout();
    assert!(text.contains("Is own better than random (at random)? "), "{text}");
}

#[test]
fn searches_with_other_seeds_count_as_one() {
    let experiment = Experiment::with(SMALL);
    let random = ["--set", "strategy.kind=random", "--seeds", "2"];
    experiment.run(&["run", "config.yaml", "a", "--seeds", "2"]).success();
    experiment.run(&[&["run", "config.yaml", "b"][..], &random].concat()).success();
    let all = ["compare", "a", "b", "a-seed2", "b-seed2"];
    let text = experiment.run(&all).success().stdout();
    fits(&text);
    assert!(text.contains("a (2 seeds)") && text.contains("b (2 seeds)"), "{text}");
    let asked = "Is a (2 seeds) better than b (2 seeds) (at random)? ";
    assert!(in_one_line(&text).contains(asked), "{text}");
    let found = experiment.run(&[&all[..], &["--json"]].concat()).success().json().remove(0);
    let of = &found["at"][0]["of"];
    let named = |at: usize| (of[at]["name"].as_str().unwrap(), of[at]["seeds"].as_u64().unwrap());
    assert_eq!([named(0), named(1)], [("a", 2), ("b", 2)]);
    // Two of each are set apart by chance in a third of all cases.
    assert!(found["answers"][0]["is_better"].is_null(), "{found}");
    let text = experiment.run(&["compare", "a", "a-seed2"]).success().stdout();
    assert!(text.starts_with("The configurations differ in name and seed alone."), "{text}");
}

#[test]
fn searches_in_folders_of_one_name_are_told_apart_by_their_paths() {
    let experiment = Experiment::with(SMALL);
    for (dir, kind) in [("1/dir", "random"), ("2/dir", "q_learning"), ("3/dir", "evolution")] {
        let set = format!("strategy.kind={kind}");
        std::fs::create_dir(experiment.folder().join(&dir[..1])).unwrap();
        experiment.run(&["init", "config.yaml", dir, "--set", &set]).success();
    }
    let all = ["compare", "1/dir", "2/dir", "3/dir"];
    let found = experiment.run(&[&all[..], &["--json"]].concat()).success().json().remove(0);
    let answers = found["answers"].as_array().unwrap();
    let names: Vec<_> = answers.iter().map(|it| it["name"].as_str().unwrap()).collect();
    assert!(names[0].ends_with("2/dir") && names.last().unwrap().ends_with("3/dir"), "{found}");
    assert!(answers.iter().all(|it| it["than"].as_str().unwrap().ends_with("1/dir")), "{found}");
    let text = in_one_line(&experiment.run(&all).success().stdout());
    assert_eq!(text.matches("Is /").count(), 2, "{text}");
    assert!(text.contains("2/dir` is not finished."), "{text}");
}

#[test]
fn schedules_are_whole_and_a_name_is_one_line() {
    let experiment = Experiment::with(SMALL);
    let schedule = "epsilon_schedule=[{epsilon: 1.0, architectures: 1200}, \
                    {epsilon: 0.25, architectures: 150}, {epsilon: 0.1, architectures: 10}]";
    experiment.run(&["init", "config.yaml", "a"]).success();
    let more = ["--set", schedule, "--set", "search_space.filters=[128, 256, 512]"];
    experiment.run(&[&["init", "config.yaml", "b"][..], &more].concat()).success();
    std::fs::rename(experiment.folder().join("b"), experiment.folder().join("b\nc")).unwrap();
    let all = ["compare", "a", "b\nc"];
    let found = experiment.run(&[&all[..], &["--json"]].concat()).success().json().remove(0);
    let differing = serde_json::json!([
        ["epsilon_schedule", ["1.0 x 12, 0.1 x 6", "1.0 x 1200, 0.25 x 150, 0.1 x 10"]],
        ["search_space.filters", ["[8, 16]", "[128, 256, 512]"]],
    ]);
    assert_eq!(found["differing"], differing);
    let text = experiment.run(&all).success().stdout();
    fits(&text);
    assert_eq!(in_one_line(text.lines().next().unwrap()), r"What differs a b\nc");
    assert!(in_one_line(&text).contains(r"Is b\nc better than a"), "{text}");
}

#[test]
fn other_data_and_the_same_search_again_are_refused_and_other_epochs_are_said() {
    let experiment = Experiment::with(SMALL);
    let others =
        [("a", "experiment.seed=5"), ("b", "data.input_size=32"), ("c", "training.epochs=5")];
    for (dir, set) in others {
        experiment.run(&["init", "config.yaml", dir, "--set", set]).success();
    }
    let refused = experiment.run(&["compare", "a", "b"]).fails_with(2);
    drop(refused.says("`data.input_size` is `32`, not `16`"));
    // The same images, but its results are from elsewhere.
    experiment.run(&["init", "config.yaml", "imported"]).success();
    let rows = "net,accuracy_best_val,epsilon\n[SM(10)],0.2,1.0\n";
    std::fs::write(experiment.folder().join("rows.csv"), rows).unwrap();
    experiment.run(&["import", "imported", "rows.csv"]).success();
    let refused = experiment.run(&["compare", "imported", "a"]).fails_with(2);
    drop(refused.says("`training.trainer` is `synthetic`, not `imported`"));
    drop(experiment.run(&["compare", "a", "a"]).fails_with(2).says("is the same search as"));
    drop(experiment.run(&["compare", "a"]).fails_with(2));
    drop(experiment.run(&["compare", "a", "nowhere"]).fails_with(2).says("nowhere"));
    let text = experiment.run(&["compare", "a", "c"]).success().stdout();
    let lines: Vec<_> = text.lines().map(in_one_line).collect();
    assert!(lines.contains(&"training.epochs 4 5".to_owned()), "{text}");
    assert!(in_one_line(&text).contains("were trained for other numbers of epochs"), "{text}");
    assert!(in_one_line(&text).contains("`a` is not finished."), "{text}");
}

#[test]
fn the_help_of_compare_names_every_key_of_its_json() {
    let experiment = Experiment::with(SMALL);
    experiment.run(&["run", "config.yaml", "a", "--seeds", "2"]).success();
    let found = experiment.run(&["compare", "a", "a-seed2", "--json"]).success().json().remove(0);
    let help = experiment.run(&["compare", "--help"]).success().stdout();
    let objects = [&found, &found["searches"][0], &found["at"][0], &found["at"][0]["of"][0]];
    for key in objects.iter().flat_map(|object| object.as_object().unwrap().keys()) {
        let words = || help.split(|c: char| !c.is_alphanumeric() && c != '_');
        assert!(words().any(|word| word == key), "`metaqnn compare --help` lacks `{key}`");
    }
}

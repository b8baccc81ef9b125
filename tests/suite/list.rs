//! `strategy.kind: list`: given networks, each so many times.

use std::collections::BTreeSet;
use std::fs;
use std::iter;

use metaqnn::model::sequential;
use metaqnn::space::{DataShape, Layer, Padding, PoolRounding, SpaceParams};
use metaqnn::training::protocol::LayerDescription;
use proptest::prelude::*;

use crate::support::{Experiment, SMALL};

/// Two networks, the second of which no grammar allows, three times each.
const LIST: &str = "
experiment: {name: listed, seed: 5}
data: {classes: 10, input_size: 16, channels: 1}
strategy:
  kind: list
  list: {architectures: ['[C(8,3,1), SM(10)]', '[P(2,2), C(7,3,2), SM(10)]'], repeats: 3}
training: {trainer: synthetic, epochs: 4}
";

const NETWORKS: [&str; 2] = ["[C(8,3,1), SM(10)]", "[P(2,2), C(7,3,2), D(1,1), SM(10)]"];

fn results(experiment: &Experiment) -> Vec<(String, String)> {
    let log = experiment.log().into_iter();
    let results = log.filter(|row| ["trained", "failed"].contains(&row["event"].as_str()));
    results.map(|row| (row["architecture"].clone(), row["repeat"].clone())).collect()
}

#[test]
fn every_repeat_of_every_network_is_trained_once() {
    let experiment = Experiment::with(LIST);
    experiment.run(&["run", "config.yaml", "dir", "--workers", "3"]).success();
    let all: Vec<_> = NETWORKS
        .iter()
        .flat_map(|text| ["1", "2", "3"].map(|repeat| ((*text).to_owned(), repeat.to_owned())))
        .collect();
    let mut found = results(&experiment);
    found.sort();
    assert_eq!(found, all);
    let log = experiment.log();
    let claims = log.iter().filter(|row| row["event"] == "claimed");
    let claims: Vec<_> = claims.map(|row| (&row["strategy"][..], &row["epsilon"][..])).collect();
    assert_eq!(
        (claims.len(), claims[0], claims[5]),
        (6, ("1 of a list of 6", ""), ("6 of a list of 6", ""))
    );
    assert_eq!(log.len(), 12, "no row but a claim and a result of each");
    experiment.run(&["verify", "dir"]).success();
    experiment.run(&["reduce", "dir", "--rebuild"]).success();
    experiment.run(&["train", "dir"]).success().says("the search is finished");
    let status = experiment.run(&["status", "dir", "--json"]).success().json();
    let numbers = ["wanted", "results", "left"].map(|key| status[0][key].as_u64());
    assert_eq!(
        (&status[0]["condition"], numbers),
        (&"finished".into(), [Some(6), Some(6), Some(0)])
    );
    assert_eq!(status[0]["epsilons"][0]["epsilon"], serde_json::Value::Null);
    let text = experiment.run(&["status", "dir"]).success().stdout();
    assert!(text.contains("6 of 6") && text.contains("      -  ######### "), "{text}");
    let models = experiment.text("tables/models.csv");
    let repeats: BTreeSet<_> =
        models.lines().skip(1).filter_map(|line| line.rsplit(',').next()).collect();
    assert_eq!((models.lines().count(), repeats), (7, BTreeSet::from(["1", "2", "3"])));
}

#[test]
fn without_validation_images_networks_are_trained_and_not_judged() {
    let all_train = LIST.replace("channels: 1", "channels: 1, validation: {images: 0}");
    let experiment = Experiment::with(&all_train);
    let output = experiment.run(&["run", "config.yaml", "dir"]).success();
    assert!(!output.stderr().contains("validation accuracy"), "{}", output.stderr());
    assert!(output.stdout().contains("They are not judged"), "{}", output.stdout());
    experiment.run(&["init", "--from", "dir", "new"]).fails_with(2).says("but not judged");
    let log = experiment.log();
    let results: Vec<_> = log.iter().filter(|row| row["event"] != "claimed").collect();
    assert_eq!(results.len(), 6);
    for row in results.iter().filter(|row| row["event"] == "trained") {
        let empty =
            ["reward", "best_validation_accuracy", "best_epoch", "last_validation_accuracy"];
        assert!(empty.iter().all(|column| row[*column].is_empty()), "{row:?}");
        assert_eq!((&row["epochs"][..], &row["learning_rate"][..]), ("4", "0.001"));
    }
    assert!(results.iter().filter(|row| row["event"] == "trained").count() >= 4);
    experiment.run(&["verify", "dir"]).success();
    experiment.run(&["reduce", "dir", "--rebuild"]).success();
    let curves = experiment.text("tables/curves_long.csv");
    assert!(curves.lines().count() > 16, "{curves}");
    assert!(experiment.text("tables/models.csv").lines().count() == 7);
    let status = experiment.run(&["status", "dir"]).success().stdout();
    assert!(status.contains("6 of 6") && status.contains("none yet"), "{status}");
    experiment.run(&["train", "dir"]).success().says("the search is finished");
    let search = all_train.replace("kind: list", "kind: q_learning");
    let refused =
        Experiment::with(&search).run(&["config", "--check", "config.yaml"]).fails_with(2);
    refused.says("`data.validation.images` is `0` (a search needs images that judge its networks");
}

#[test]
fn a_training_is_the_same_in_whatever_iteration_and_each_repeat_another() {
    let curves = |config: &str| {
        let experiment = Experiment::with(config);
        experiment.run(&["run", "config.yaml", "dir"]).success();
        let mut found: Vec<_> = experiment.log();
        found.retain(|row| row["event"] != "claimed");
        found.sort_by_key(|row| (row["architecture"].clone(), row["repeat"].clone()));
        found.into_iter().map(|row| row["last_validation_accuracy"].clone()).collect::<Vec<_>>()
    };
    let first = curves(LIST);
    let turned = LIST
        .replace("'[C(8,3,1), SM(10)]', ", "")
        .replace("SM(10)]'", "SM(10)]', '[C(8,3,1), SM(10)]'");
    assert_eq!(first, curves(&turned));
    let distinct = first.iter().collect::<BTreeSet<_>>();
    assert!(first.len() == 6 && distinct.len() > 4, "{first:?}");
}

#[test]
fn what_is_lost_three_times_is_passed_over_and_ends_the_list() {
    let trainer = "read -r request; case $request in *'\"filters\":7,'*) exit 1;; esac; \
                   echo '{\"epoch\": 1, \"validation_accuracy\": 0.5}'; echo '{\"done\": true}'";
    let config = LIST.replace("repeats: 3", "repeats: 1").replace(
        "{trainer: synthetic, epochs: 4}",
        &format!(
            "{{trainer: command, epochs: 1, command: [sh, -c, {}]}}",
            serde_json::json!(trainer)
        ),
    );
    let experiment = Experiment::with(&config);
    experiment.run(&["run", "config.yaml", "dir"]).success();
    let log = experiment.log();
    let events: Vec<_> = log.iter().map(|row| row["event"].as_str()).collect();
    let lost = ["claimed", "lost"].repeat(3);
    assert_eq!(events, [&["claimed", "trained"], &lost[..], &["exhausted"]].concat());
    assert_eq!(log.last().unwrap()["epsilon"], "");
    let status = experiment.run(&["status", "dir", "--json"]).success().json();
    assert_eq!(status[0]["condition"], "finished");
    let notices = status[0]["notices"].to_string();
    assert!(notices.contains("were lost: [P(2,2), C(7,3,2)"), "{notices}");
    experiment.run(&["verify", "dir"]).success();
}

#[test]
fn a_trainer_that_never_works_quarantines_no_network_of_a_list() {
    let broken = "{trainer: command, command: [sh, -c, 'exit 3']}";
    let experiment = Experiment::with(&LIST.replace("{trainer: synthetic, epochs: 4}", broken));
    let run = experiment.run(&["run", "config.yaml", "dir"]).fails_with(4);
    drop(run.says("2 trainings in a row came to nothing"));
    let notices = experiment.run(&["status", "dir", "--json"]).success().json()[0].to_string();
    assert!(!notices.contains("Passed over"), "{notices}");
}

#[test]
fn the_best_networks_of_a_search_are_a_list() {
    let last = "final_training: {rate: found, training: {epochs: 7}, data: {preprocess: none}}";
    let warming_up = SMALL.replace("epochs: 4", "epochs: 4, schedule: cosine, warm_up_epochs: 1");
    let experiment = Experiment::with(&format!("{warming_up}\n{last}\n"));
    experiment.run(&["run", "config.yaml", "dir"]).success();
    let top = experiment.text("tables/top_models.csv");
    let mut tops = csv::Reader::from_reader(top.as_bytes());
    let best: Vec<String> = tops.records().map(|row| row.unwrap()[1].to_owned()).collect();
    let from = ["init", "--from", "dir", "--top", "3", "--per-depth", "0", "best"];
    experiment.run(&from).success().says("metaqnn config --in-force");
    let in_force = experiment.run(&["config", "--in-force", "best"]).success().stdout();
    assert!(in_force.contains("name: small-list") && in_force.contains("top: 3"), "{in_force}");
    let own: serde_yaml::Value = serde_yaml::from_str(&in_force).unwrap();
    assert_eq!(
        (&own["training"]["epochs"], &own["data"]["preprocess"]),
        (&7.into(), &"none".into())
    );
    assert_eq!(own["training"]["keep_models"], "all");
    let rates = own["training"]["learning_rates"].as_sequence().unwrap();
    let tried: Vec<_> = iter::successors(Some(0.001), |rate| Some(rate * 0.4)).take(5).collect();
    let is_tried = |rate: f64| tried.iter().any(|tried| (rate / tried - 1.0).abs() < 1e-9);
    let are_tried = rates.iter().all(|rate| rate[1].as_f64().is_some_and(is_tried));
    assert!(rates.len() == 3 && are_tried, "without the factor of the warm-up: {rates:?}");
    fs::write(experiment.folder().join("best.yaml"), in_force).unwrap();
    experiment.run(&["run", "best.yaml", "best"]).success();
    let log = fs::read_to_string(experiment.folder().join("best/replay.csv")).unwrap();
    let mut rows = csv::Reader::from_reader(log.as_bytes());
    let claims = rows.records().map(Result::unwrap).filter(|row| &row[1] == "claimed");
    assert_eq!(claims.map(|row| row[5].to_owned()).collect::<Vec<_>>(), best[..3]);
    // A rate belongs to the network as it is built here, with other classes than in the search.
    let twelve = [&from[..7], &["--set", "data.classes=12", "twelve"]].concat();
    experiment.run(&twelve).success();
    let twelve = experiment.run(&["config", "--in-force", "twelve"]).success().stdout();
    let twelve: serde_yaml::Value = serde_yaml::from_str(&twelve).unwrap();
    let rates = twelve["training"]["learning_rates"].as_sequence().unwrap();
    let with_rates: Vec<_> = rates.iter().map(|rate| rate[0].clone()).collect();
    assert_eq!(&with_rates, twelve["strategy"]["list"]["architectures"].as_sequence().unwrap());
    // On other images: 12 classes of 8 pixels, the same list taken from the configuration.
    let other = "
experiment: {name: other}
data: {classes: 12, input_size: 8, channels: 3}
strategy: {kind: list, list: {from: {experiment: dir, top: 2, per_depth: 1}}}
training: {trainer: synthetic}
";
    fs::write(experiment.folder().join("other.yaml"), other).unwrap();
    experiment.run(&["run", "other.yaml", "other"]).success();
    let log = fs::read_to_string(experiment.folder().join("other/replay.csv")).unwrap();
    assert!(log.contains("SM(12)") && !log.contains("SM(10)"), "{log}");
    // What the origin says later changes nothing.
    fs::rename(experiment.folder().join("dir"), experiment.folder().join("away")).unwrap();
    experiment.run(&["status", "other"]).success();
    experiment.run(&["verify", "other"]).success();
}

#[test]
fn a_list_of_a_file_is_read_once_and_rows_that_are_not_in_it_are_damage() {
    let config = LIST.replace(
        "{architectures: ['[C(8,3,1), SM(10)]', '[P(2,2), C(7,3,2), SM(10)]'], repeats: 3}",
        "{file: nets.txt}",
    );
    let experiment = Experiment::with(&config);
    let file = experiment.folder().join("nets.txt");
    fs::write(&file, "\u{feff}# two networks\n\n [C(8,3,1), SM(10)]\n[SM(10)]\n").unwrap();
    experiment.run(&["run", "config.yaml", "dir"]).success();
    fs::write(&file, "[GAP(10), SM(10)]\n").unwrap();
    let again = experiment.run(&["run", "config.yaml", "dir"]).success();
    drop(again.says("the networks of `strategy.list` are others now"));
    assert_eq!(results(&experiment).len(), 2);
    let log = experiment.text("replay.csv");
    fs::write(experiment.path("replay.csv"), log.replace("[SM(10)]", "[GAP(10), SM(10)]")).unwrap();
    experiment.run(&["verify", "dir"]).fails_with(3);
    fs::write(experiment.path("replay.csv"), log.replace(",1,,1 of a list", ",2,,1 of a list"))
        .unwrap();
    let said = experiment.run(&["verify", "dir"]).fails_with(3);
    assert!(said.stdout().contains("repeat 2 of") || said.stderr().contains("repeat 2 of"));
}

#[test]
fn what_is_no_list_is_refused_by_file_line_and_remedy() {
    let experiment = Experiment::with(SMALL);
    let refused = |list: &str, says: &str| {
        let config = SMALL.replace(
            "epsilon_schedule:",
            &format!("strategy: {{kind: list, list: {list}}}\nepsilon_schedule:"),
        );
        fs::write(experiment.folder().join("list.yaml"), config).unwrap();
        experiment.run(&["init", "list.yaml", "new"]).fails_with(2).says(says).says("list.yaml");
        experiment.run(&["config", "--check", "list.yaml"]).fails_with(2).says(says);
        assert!(!experiment.folder().join("new").exists());
    };
    let lines = |text: &str| fs::write(experiment.folder().join("nets.txt"), text).unwrap();
    refused("{}", "(name networks here, a `file` with one a line, or `from.experiment`)");
    refused("{file: none.txt}", "none.txt");
    refused("{from: {experiment: nowhere}}", "nowhere` is not an experiment directory");
    refused("{from: {experiment: .}}", "is not an experiment directory");
    refused("{file: nets.txt, from: {experiment: dir}}", "leave out one of them");
    refused(
        "{architectures: ['[SM(10)]', '[SM(10)]']}",
        "architectures[2]` is `[SM(10)]` (stands twice",
    );
    refused("{architectures: ['[SM(9)]']}", "another number of classes");
    refused("{architectures: ['[SM(10)]'], repeats: 0}", "`strategy.list.repeats` is `0`");
    lines("[SM(10)]\n[C(8,3,1), SM(10)]\n\n[SM( 10 )]\n");
    refused(
        "{file: nets.txt}",
        "nets.txt`, line 4: `[SM( 10 )]` stands on line 1, too (leave it out",
    );
    lines("[SM(10)]\n[C(8,99,1), SM(10)]\n");
    refused("{file: nets.txt}", "nets.txt`, line 2: `[C(8,99,1), SM(10)]` cannot be trained here");
    lines("# nothing\n");
    refused("{file: nets.txt}", "names no network (write one a line");
    experiment.run(&["init", "config.yaml", "dir"]).success();
    let says = "no network of it is trained to the end (wait for its first results";
    refused("{from: {experiment: dir}}", says);
    experiment.run(&["init", "--from", "dir", "new"]).fails_with(2).says(says).says("dir");
    experiment.run(&["init", "new"]).fails_with(2);
    experiment.run(&["init", "--from", "dir", "config.yaml", "new"]).fails_with(2);
    experiment.run(&["init", "config.yaml", "new", "--top", "3"]).fails_with(2);
    let list = Experiment::init(LIST);
    list.run(&["set", "dir", "epsilon_schedule=[{epsilon: 1, architectures: 3}]"]).fails_with(2);
    list.run(&["import", "dir", "config.yaml"]).fails_with(2).says("takes no results");
    list.run(&["export", "dir", "target"]).fails_with(2).says("no replay memory");
    let judged = ["early_stopping.enabled=true", "--set", "data.validation.images=0"];
    let check = [&["config", "--check", "config.yaml", "--set"], &judged[..]].concat();
    drop(list.run(&check).fails_with(2).says("no network is judged"));
}

fn layer() -> impl Strategy<Value = Layer> {
    let number = || prop_oneof![8 => 1..8u32, 1 => Just(0), 1 => Just(15), 1 => any::<u32>()];
    prop_oneof![
        4 => (number(), number(), number())
            .prop_map(|(filters, kernel, stride)| Layer::Conv { filters, kernel, stride }),
        3 => (number(), number()).prop_map(|(kernel, stride)| Layer::Pool { kernel, stride }),
        1 => number().prop_map(|width| Layer::FullyConnected { width }),
        1 => Just(Layer::GlobalAveragePool { classes: 10 }),
    ]
}

proptest! {
    /// So that no network of a list is found to be none only when it is trained.
    #[test]
    fn what_is_legal_in_a_list_can_be_built_and_has_a_cost(
        layers in prop::collection::vec(layer(), 0..8), size in 1..40u32,
        valid: bool, ceil: bool, batch_norm: bool,
    ) {
        let params = SpaceParams {
            conv_padding: if valid { Padding::Valid } else { Padding::Same },
            pool_rounding: if ceil { PoolRounding::Ceil } else { PoolRounding::Floor },
            batch_norm,
            ..SpaceParams::default()
        };
        let space = params.check(DataShape { size, channels: 3, classes: 10 }).unwrap().buildable();
        let layers = [layers, vec![Layer::Softmax { classes: 10 }]].concat();
        if let Ok(architecture) = space.architecture(layers) {
            let described = LayerDescription::of(&space, &architecture);
            prop_assert!(sequential(&described, 3, size).is_ok(), "{architecture} at {size}");
            prop_assert!(space.cost(&architecture).parameters > 0);
            prop_assert_eq!(&space.parse(&architecture.to_string()).unwrap(), &architecture);
        }
    }
}

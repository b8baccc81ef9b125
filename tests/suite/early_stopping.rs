//! Early stopping in a search: the predictor and its verdicts.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use metaqnn::predictor::{Features, FittedPredictor};

use crate::run::ELSEWHERE;
use crate::support::{Experiment, wait_until};

/// A search whose trainings are stopped soon: burn-in 10.
pub const STOPPING: &str = "
experiment: {name: stopping, seed: 5}
data: {classes: 10, input_size: 16, channels: 1}
search_space: {max_layers: 6, filters: [8, 16], fc_widths: [32, 16]}
epsilon_schedule:
  - {epsilon: 1.0, architectures: 40}
  - {epsilon: 0.1, architectures: 10}
training: {trainer: synthetic, epochs: 8}
early_stopping: {burn_in: 10, refit_every: 5, draws: 4, audit_share: 0.0}
";

pub fn newest_view(experiment: &Experiment) -> PathBuf {
    let views = fs::read_dir(experiment.path("views")).unwrap();
    let views = views.map(|view| view.unwrap().path());
    views.filter(|path| path.file_name().unwrap().len() == 9).max().unwrap()
}

pub fn newest_predictor(experiment: &Experiment) -> Option<PathBuf> {
    let predictors = fs::read_dir(experiment.path("predictors")).unwrap();
    let predictors = predictors.map(|predictor| predictor.unwrap().path());
    predictors.filter(|path| path.file_name().unwrap().len() == 6).max()
}

pub fn predictor(experiment: &Experiment) -> Option<String> {
    fs::read_to_string(newest_predictor(experiment)?.join("predictor.yaml")).ok()
}

fn remove_caches(experiment: &Experiment) {
    for folder in ["views", "predictors"] {
        fs::remove_dir_all(experiment.path(folder)).unwrap();
        fs::create_dir(experiment.path(folder)).unwrap();
    }
}

pub fn count(experiment: &Experiment, event: &str) -> usize {
    experiment.log().iter().filter(|row| row["event"] == event).count()
}

/// Trains without learning until so many networks are trained to the end.
fn train_until(experiment: &Experiment, trained: usize) {
    for _ in 0..10 * trained {
        if count(experiment, "trained") >= trained {
            return;
        }
        experiment.run(&["train", "dir"]).success();
    }
    panic!("{trained} networks are not trained in {} tasks", 10 * trained);
}

#[test]
fn the_first_reduce_after_the_burn_in_fits_the_predictor() {
    let experiment = Experiment::init(STOPPING);
    train_until(&experiment, 9);
    experiment.run(&["reduce", "dir"]).success();
    assert_eq!(predictor(&experiment), None);
    train_until(&experiment, 10);
    let reduced = experiment.run(&["reduce", "dir"]).success();
    reduced.says("fitted the predictor to 10 learning curves");
    let first = predictor(&experiment).unwrap();
    let folder = newest_predictor(&experiment).unwrap();
    assert!(folder.ends_with("000010"), "{folder:?}");
    let sums = fs::read_to_string(folder.join("SHA256SUMS")).unwrap();
    assert!(sums.contains("predictor.yaml"), "{sums}");
    experiment.run(&["reduce", "dir", "--rebuild"]).success();
    // The next fit is at 15.
    experiment.run(&["train", "dir"]).success();
    let reduced = experiment.run(&["reduce", "dir"]).success();
    assert!(!reduced.stderr().contains("fitted"), "{}", reduced.stderr());
    assert_eq!(predictor(&experiment).unwrap(), first);
    // A predictor that nobody fitted is found out.
    let path = folder.join("predictor.yaml");
    fs::write(&path, first.replacen("sigma: 0", "sigma: 1", 1)).unwrap();
    let sums = ["-c", "sha256sum fit.yaml predictor.yaml > SHA256SUMS"];
    let summed = Command::new("sh").args(sums).current_dir(&folder).status();
    assert!(summed.unwrap().success());
    experiment.run(&["reduce", "dir", "--rebuild"]).fails_with(3);
}

#[test]
fn the_predictor_is_a_function_of_the_log_alone() {
    let experiment = Experiment::init(STOPPING);
    train_until(&experiment, 17);
    // One reduce of everything; fitted at 15 full curves.
    experiment.run(&["reduce", "dir"]).success();
    let at_once = predictor(&experiment).unwrap();
    assert!(newest_predictor(&experiment).unwrap().ends_with("000015"));
    // Result by result: views of a log that grows.
    let log = experiment.text("replay.csv");
    let lines: Vec<&str> = log.split_inclusive('\n').collect();
    remove_caches(&experiment);
    fs::rename(experiment.path("curves"), experiment.path("later")).unwrap();
    fs::create_dir(experiment.path("curves")).unwrap();
    for rows in (2..=lines.len()).filter(|&rows| !lines[rows - 1].contains(",claimed,")) {
        fs::write(experiment.path("replay.csv"), lines[..rows].concat()).unwrap();
        let iteration = lines[rows - 1].split(',').next().unwrap();
        let curve = format!("{iteration:0>6}.1.csv");
        let to = experiment.path("curves").join(&curve);
        // A draw of a network that has a result has no curve.
        let _ = fs::rename(experiment.path("later").join(&curve), to);
        experiment.run(&["reduce", "dir"]).success();
    }
    assert_eq!(experiment.text("replay.csv"), log);
    assert_eq!(predictor(&experiment).unwrap(), at_once);
}

#[test]
fn a_curve_that_is_missing_or_wrong_costs_the_predictor_and_not_the_search() {
    type Damage = fn(&PathBuf);
    let damages: [(Damage, &str); 4] = [
        (|path| fs::remove_file(path).unwrap(), "cannot read"),
        (|path| fs::write(path, "epoch,start\n\0\0\n").unwrap(), "is no CSV file of its kind"),
        (
            |path| {
                let text = fs::read_to_string(path).unwrap();
                let short: Vec<&str> = text.split_inclusive('\n').collect();
                fs::write(path, short[..short.len() - 1].concat()).unwrap();
            },
            "has 7 epochs instead of 8",
        ),
        (
            |path| {
                let text = fs::read_to_string(path).unwrap();
                let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
                let mut second: Vec<&str> = lines[2].split(',').collect();
                second[6] = "";
                lines[2] = second.join(",");
                fs::write(path, lines.join("\n") + "\n").unwrap();
            },
            "an epoch has no validation accuracy",
        ),
    ];
    let experiment = Experiment::init(STOPPING);
    train_until(&experiment, 10);
    let log = experiment.log();
    let third = log.iter().filter(|row| row["event"] == "trained").nth(2).unwrap();
    let curve = experiment.path(&format!("curves/{:0>6}.1.csv", third["iteration"]));
    let whole = fs::read(&curve).unwrap();
    for (damage, problem) in damages {
        remove_caches(&experiment);
        damage(&curve);
        let reduced = experiment.run(&["reduce", "dir"]).success();
        let said = reduced.stderr();
        let lines: Vec<&str> = said.lines().filter(|line| line.contains("predictor")).collect();
        assert!(lines.len() == 1 && lines[0].contains("no predictor is fitted"), "{said}");
        assert!(lines[0].contains(problem) && lines[0].contains(".1.csv"), "{said}");
        assert!(!said.contains("an older one"), "{said}");
        assert_eq!(predictor(&experiment), None);
        experiment.run(&["verify", "dir"]).fails_with(3);
        experiment.run(&["reduce", "dir", "--rebuild"]).success();
        experiment.run(&["train", "dir"]).success();
        fs::write(&curve, &whole).unwrap();
    }
}

#[test]
fn switched_off_nothing_is_fitted() {
    let experiment = Experiment::init(&STOPPING.replace("{burn_in", "{enabled: false, burn_in"));
    train_until(&experiment, 10);
    experiment.run(&["reduce", "dir"]).success();
    assert_eq!(predictor(&experiment), None);
}

pub fn number(row: &HashMap<String, String>, column: &str) -> f64 {
    row[column].parse().unwrap_or_else(|_| panic!("`{column}` is `{}`", row[column]))
}

pub fn searched(change: &str) -> Experiment {
    let experiment = Experiment::with(STOPPING);
    let with = if change.is_empty() { vec![] } else { vec!["--set", change] };
    experiment.run(&[&["run", "config.yaml", "dir"], &*with].concat()).success();
    experiment
}

#[test]
fn hopeless_networks_are_stopped_and_the_best_is_kept() {
    let (stopping, plain) = (searched(""), searched("early_stopping.enabled=false"));
    let epochs = |experiment: &Experiment| -> f64 {
        let log = experiment.log();
        log.iter().filter(|row| !row["epochs"].is_empty()).map(|row| number(row, "epochs")).sum()
    };
    assert!(epochs(&stopping) < 0.8 * epochs(&plain), "{}", epochs(&stopping));
    let log = stopping.log();
    let stopped: Vec<_> = log.iter().filter(|row| row["event"] == "stopped").collect();
    assert!(stopped.len() >= 5, "{}", stopped.len());
    for row in &stopped {
        let epochs = number(row, "epochs");
        assert!((1.0..8.0).contains(&epochs));
        // Phi(2.3263) = 0.99.
        let z = (number(row, "y_best") - number(row, "predicted_accuracy")) / number(row, "sigma");
        assert!(z >= 2.326 && number(row, "stop_probability") >= 0.99);
        assert_eq!(row["threshold"], "0.99");
        assert_eq!(number(row, "reward"), number(row, "predicted_accuracy").clamp(0.0, 1.0));
        assert!(!row["view"].is_empty() && !row["saved_seconds"].is_empty());
        let curve = stopping.text(&format!("curves/{:0>6}.1.csv", row["iteration"]));
        let last = curve.lines().last().unwrap();
        assert!(last.contains(&row["predicted_accuracy"]) && last.ends_with(&row["y_best"]));
    }
    // Up to the first stop both searches are the same one: epsilon is 1, the Q-values are not read.
    let best = |experiment: &Experiment| {
        let trained = experiment.log().into_iter().filter(|row| row["event"] == "trained");
        let random = trained.filter(|row| row["epsilon"] == "1.0");
        random
            .max_by(|a, b| {
                let last = |row| number(row, "last_validation_accuracy");
                last(a).total_cmp(&last(b))
            })
            .unwrap()["architecture"]
            .clone()
    };
    assert_eq!(best(&stopping), best(&plain));
    stopping.run(&["reduce", "dir", "--rebuild"]).success();
    let status = stopping.run(&["status", "dir", "--json"]).success().json();
    assert_eq!(status[0]["counts"]["stopped"], stopped.len());
}

#[test]
fn no_network_of_the_burn_in_is_stopped_and_y_best_is_measured() {
    let experiment = searched("");
    let (mut full_curves, mut best) = (0, 0.0_f64);
    for row in experiment.log() {
        match row["event"].as_str() {
            "trained" => {
                full_curves += 1;
                best = best.max(number(&row, "last_validation_accuracy"));
            }
            "stopped" => {
                assert!(full_curves >= 10);
                assert_eq!(number(&row, "y_best"), best, "never a prediction");
            }
            _ => {}
        }
    }
}

#[test]
fn the_same_seed_stops_the_same_networks() {
    let [first, second] = [searched(""), searched("")].map(|experiment| {
        let of_the_search = |mut row: HashMap<String, String>| {
            ELSEWHERE.iter().for_each(|column| drop(row.remove(*column)));
            row
        };
        experiment.log().into_iter().map(of_the_search).collect::<Vec<_>>()
    });
    assert_eq!(first, second);
}

#[test]
fn two_workers_stop_networks_too_and_a_rebuild_agrees() {
    let experiment = Experiment::with(STOPPING);
    experiment.run(&["run", "config.yaml", "dir", "--workers", "2"]).success();
    assert!(count(&experiment, "stopped") > 0);
    experiment.run(&["reduce", "dir", "--rebuild"]).success();
}

#[test]
fn workers_killed_at_random_stop_what_one_left_alone_stops() {
    let experiment = Experiment::init(STOPPING);
    for round in 0..10_u64 {
        let mut worker = experiment
            .command(&["train", "dir", "--until-done", "--reduce"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        sleep(Duration::from_millis(40 + 40 * round));
        worker.kill().unwrap();
        worker.wait().unwrap();
        // On a busy machine a search may end before a fit that was killed is begun again.
        if count(&experiment, "trained") > 20 {
            break;
        }
    }
    experiment.run(&["run", "config.yaml", "dir"]).success();
    experiment.run(&["reduce", "dir", "--rebuild"]).success();
    assert!(count(&experiment, "stopped") > 0);
    let results = experiment
        .log()
        .into_iter()
        .filter(|row| ["trained", "stopped", "failed"].contains(&row["event"].as_str()))
        .map(|row| row["architecture"].clone());
    let results: Vec<_> = results.collect();
    assert_eq!(results.len(), 50);
    assert_eq!(results.iter().collect::<BTreeSet<_>>().len(), 50);
}

#[test]
fn a_verdict_follows_from_the_log_and_the_predictor_it_names() {
    let experiment = searched("");
    let log = experiment.log();
    let stopped: Vec<_> = log.iter().filter(|row| row["event"] == "stopped").collect();
    // One of the first predictor and one of the last.
    for row in [stopped[0], stopped[stopped.len() - 1]] {
        let full_curves: usize = row["predictor"].parse().unwrap();
        let text = experiment.text("replay.csv");
        let again = Experiment::init(STOPPING);
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        let mut trained = (1..).filter(|&row: &usize| lines[row].contains(",trained,"));
        let rows = trained.nth(full_curves - 1).unwrap();
        fs::write(again.path("replay.csv"), lines[..=rows].concat()).unwrap();
        for line in &lines[1..=rows] {
            let curve = format!("{:0>6}.1.csv", line.split(',').next().unwrap());
            let from = experiment.path("curves").join(&curve);
            if from.exists() {
                fs::copy(&from, again.path("curves").join(&curve)).unwrap();
            }
        }
        again.run(&["reduce", "dir"]).success();
        let predictor: FittedPredictor = serde_yaml::from_str(&predictor(&again).unwrap()).unwrap();
        let curve = experiment.text(&format!("curves/{:0>6}.1.csv", row["iteration"]));
        let mut reader = csv::Reader::from_reader(curve.as_bytes());
        let rows: Vec<HashMap<String, String>> = reader.deserialize().map(Result::unwrap).collect();
        let start = rows.iter().filter(|of| of["start"] == rows.last().unwrap()["start"]);
        let curve: Vec<f64> = start.map(|row| number(row, "validation_accuracy")).collect();
        let features = Features::of_network(
            number(row, "parameters") as u64,
            number(row, "layers") as u32,
            number(row, "learning_rate"),
        );
        let prediction = predictor.predict(&curve, &features.unwrap()).unwrap();
        assert_eq!(prediction.mean, number(row, "predicted_accuracy"));
        assert_eq!(prediction.sigma, number(row, "sigma"));
    }
}

/// Trains 4 epochs of 10 s; each network better than the one before, the seventh hopeless. Its first
/// attempt waits after the second epoch to be killed; its second one, after the third, to be told to stop.
const TRAINER: &str = r#"
import json, os, select, sys
while line := sys.stdin.readline():
    request = json.loads(line)
    if "stop" in request:
        continue
    iteration, folder = request["iteration"], request["checkpoint"]
    level = 0.25 + iteration / 16 if iteration < 7 else 0.3125
    path = os.path.join(folder, "epochs") if folder else os.devnull
    done = int(open(path).read()) if request["resume"] else 0
    if folder:
        os.makedirs(folder, exist_ok=True)
    for epoch in range(done + 1, 5):
        told = {"epoch": epoch, "validation_accuracy": level * (1 - 0.5 ** epoch), "seconds": 10}
        print(json.dumps(told), flush=True)
        with open(path, "w") as file:
            file.write(str(epoch))
        if iteration == 7 and request["attempt"] == 1 and epoch == 2:
            sys.stdin.readline()
            sys.exit()
        if iteration == 7 and epoch == 3 and select.select([sys.stdin], [], [], 300)[0]:
            with open("told", "w") as file:
                file.write(sys.stdin.readline())
            break
    print('{"done": true}', flush=True)
"#;

#[test]
fn a_training_taken_up_from_its_checkpoint_is_judged_and_its_trainer_asked_to_stop() {
    let config = STOPPING
        .replace(
            "trainer: synthetic, epochs: 8",
            "trainer: command, command: [python3, trainer.py], epochs: 4",
        )
        .replace("burn_in: 10", "burn_in: 6, regressor: last-seen");
    let experiment = Experiment::with(&config);
    fs::write(experiment.folder().join("trainer.py"), TRAINER).unwrap();
    experiment.run(&["init", "config.yaml", "dir"]).success();
    train_until(&experiment, 6);
    let task = || experiment.task("dir", "0");
    let mut first = task().spawn().unwrap();
    // The header and two epochs; and the checkpoint of the second.
    let has = |name: &str, is_so: &dyn Fn(&str) -> bool| {
        fs::read_to_string(experiment.path(name)).is_ok_and(|text| is_so(&text))
    };
    let is_there = || {
        has("checkpoints/000007.1/epochs", &|text| text == "2")
            && has("curves/000007.1.csv", &|text| text.matches('\n').count() == 3)
    };
    wait_until("the second epoch", is_there);
    first.kill().unwrap();
    first.wait().unwrap();
    // Only now there is a predictor.
    experiment.run(&["reduce", "dir"]).success();
    assert!(task().status().unwrap().success());
    let log = experiment.log();
    let result = log.last().unwrap();
    let is = |column: &str, value: &str| assert_eq!(result[column], value, "{column}");
    is("event", "stopped");
    is("attempt", "2");
    is("epochs", "3");
    // The epoch that was not trained would have taken as long as each of the others.
    is("saved_seconds", "10.0");
    // The best of the burn-in: 0.625 (1 - 0.5^4).
    is("y_best", "0.5859375");
    let told = fs::read_to_string(experiment.folder().join("told")).unwrap();
    assert_eq!(told.trim(), r#"{"stop":true}"#);
}

/// A search with a burn-in of 3, whose networks are trained by a shell script for 2 epochs.
fn trained_by(script: &str) -> Experiment {
    let config = STOPPING.replace("burn_in: 10", "burn_in: 3").replace(
        "trainer: synthetic, epochs: 8",
        "trainer: command, command: [sh, trainer.sh], epochs: 2",
    );
    let experiment = Experiment::with(&config);
    fs::write(experiment.folder().join("trainer.sh"), script).unwrap();
    experiment.run(&["init", "config.yaml", "dir"]).success();
    experiment
}

/// Trains 2 epochs, all alike.
const CONSTANT: &str = r#"
while read -r request; do
    for epoch in 1 2; do echo "{\"epoch\": $epoch, \"validation_accuracy\": 0.5}"; done
    echo '{"done": true}'
done
"#;

#[test]
fn curves_that_all_end_alike_predict_nothing() {
    let experiment = trained_by(CONSTANT);
    train_until(&experiment, 3);
    let said = experiment.run(&["reduce", "dir"]).success();
    said.says("all 3 full learning curves end at `0.5`").says("no predictor is fitted");
    train_until(&experiment, 4);
}

/// Trains 2 epochs, each network better than the one before; the first epoch warms up from a rate of 0.
const WARMING_UP: &str = r#"
n=20
while read -r request; do
    n=$((n + 1))
    echo "{\"epoch\": 1, \"validation_accuracy\": 0.$n, \"learning_rate\": 0}"
    echo "{\"epoch\": 2, \"validation_accuracy\": 0.3$n, \"learning_rate\": 0.001}"
    echo '{"done": true}'
done
"#;

#[test]
fn networks_that_warm_up_from_a_learning_rate_of_zero_are_learned_from() {
    let experiment = trained_by(WARMING_UP);
    experiment.run(&["train", "dir", "--until-done"]).success();
    let reduced = experiment.run(&["reduce", "dir"]).success();
    reduced.says("fitted the predictor");
    assert!(experiment.log().iter().any(|row| row["learning_rate"] == "0.0"));
}

/// Where networks ended, in their order: name, epochs, and the probability at which one was stopped.
type Ends = Vec<(String, usize, Option<f64>)>;

fn ends_in_search(threshold: f64) -> Ends {
    let log = searched(&format!("early_stopping.threshold={threshold}")).log();
    let results = log.iter().filter(|row| !row["epochs"].is_empty());
    let end = |row: &HashMap<String, String>| {
        let stopped = (row["event"] == "stopped").then(|| number(row, "stop_probability"));
        (row["iteration"].clone(), row["epochs"].parse().unwrap(), stopped)
    };
    results.map(end).collect()
}

fn ends_in_simulation(threshold: f64) -> Ends {
    let folder = crate::simulate::folder(&crate::simulate::file(60, |y| y));
    let delta = threshold.to_string();
    let line = "simulate curves.csv --burn-in 20 --regressor ols --file-order --trace trace.csv";
    let line: Vec<&str> = line.split(' ').chain(["--delta", &delta]).collect();
    folder.run(&line).success();
    let mut reader = csv::Reader::from_path(folder.folder().join("trace.csv")).unwrap();
    let end = |row: HashMap<String, String>| {
        let stopped = (row["stopped"] == "true").then(|| number(&row, "stop_probability"));
        (row["id"].clone(), row["epoch"].parse().unwrap(), stopped)
    };
    reader.deserialize().map(|row| end(row.unwrap())).collect()
}

#[test]
fn a_probability_equal_to_the_threshold_stops_in_train_and_in_simulate() {
    for ends in [ends_in_search, ends_in_simulation] {
        let all = ends(0.9);
        // The first stop that is not certain: up to there a higher threshold changes nothing.
        let at = all.iter().position(|(_, _, stopped)| stopped.is_some_and(|p| p < 1.0)).unwrap();
        let probability = all[at].2.unwrap();
        assert_eq!(ends(probability)[..=at], all[..=at]);
        let next = &ends(f64::from_bits(probability.to_bits() + 1))[..=at];
        assert_eq!(next[..at], all[..at]);
        assert!(next[at].1 > all[at].1 || next[at].2.is_none(), "{:?}", next[at]);
    }
}

#[test]
fn a_first_epoch_equal_to_the_threshold_fails_in_train_and_is_not_simulated() {
    let search = |threshold: &str| {
        let experiment = Experiment::with(STOPPING);
        let mut line = vec!["run", "config.yaml", "dir"];
        let threshold = format!("training.first_epoch_threshold={threshold}");
        for change in ["early_stopping.enabled=false", "training.learning_rate_tries=1", &threshold]
        {
            line.extend(["--set", change]);
        }
        experiment.run(&line).success();
        let trained = count(&experiment, "trained");
        let simulated = experiment.run(&["simulate", "dir", "--regressor", "ols", "--orders", "1"]);
        drop(simulated.success().says(&format!("`dir`: {trained} networks of 8 epochs")));
        (experiment, trained)
    };
    let (plain, _) = search("null");
    let event_of = |experiment: &Experiment, iteration: &str| {
        let mut log = experiment.log().into_iter();
        log.rfind(|row| row["iteration"] == iteration).unwrap()["event"].clone()
    };
    let network = plain.log().into_iter().find(|row| row["event"] == "trained").unwrap();
    let network = &network["iteration"];
    let curve = plain.text(&format!("curves/{network:0>6}.1.csv"));
    let mut reader = csv::Reader::from_reader(curve.as_bytes());
    let first: HashMap<String, String> = reader.deserialize().next().unwrap().unwrap();
    let accuracy = number(&first, "validation_accuracy");
    let (at, trained_at) = search(&accuracy.to_string());
    let (below, trained_below) = search(&f64::from_bits(accuracy.to_bits() - 1).to_string());
    assert_eq!(
        (event_of(&at, network), event_of(&below, network)),
        ("failed".into(), "trained".into())
    );
    assert_eq!(trained_below, trained_at + 1);
}

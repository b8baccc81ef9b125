//! Early stopping in a search: the predictor, verdicts, audits, the ledger.

use std::fs;
use std::path::PathBuf;

use crate::support::Experiment;

/// A search whose trainings are stopped soon: burn-in 10.
const STOPPING: &str = "
experiment: {name: stopping, seed: 5}
data: {classes: 10, input_size: 16, channels: 1}
search_space: {max_layers: 6, filters: [8, 16], fc_widths: [32, 16]}
epsilon_schedule:
  - {epsilon: 1.0, architectures: 40}
  - {epsilon: 0.1, architectures: 10}
training: {trainer: synthetic, epochs: 8}
early_stopping: {burn_in: 10, refit_every: 5, draws: 4, audit_share: 0.0}
";

fn newest_view(experiment: &Experiment) -> PathBuf {
    let views = fs::read_dir(experiment.path("views")).unwrap();
    let views = views.map(|view| view.unwrap().path());
    views.filter(|path| path.file_name().unwrap().len() == 9).max().unwrap()
}

fn predictor(experiment: &Experiment) -> Option<String> {
    fs::read_to_string(newest_view(experiment).join("predictor.yaml")).ok()
}

fn count(experiment: &Experiment, event: &str) -> usize {
    experiment.log().iter().filter(|row| row["event"] == event).count()
}

/// Trains without learning until so many networks are trained to the end.
fn train_until(experiment: &Experiment, trained: usize) {
    while count(experiment, "trained") < trained {
        experiment.run(&["train", "dir"]).success();
    }
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
    let sums = fs::read_to_string(newest_view(&experiment).join("SHA256SUMS")).unwrap();
    assert!(sums.contains("predictor.yaml"), "{sums}");
    experiment.run(&["reduce", "dir", "--rebuild"]).success();
    // The next fit is at 15: until then the text is carried along.
    experiment.run(&["train", "dir"]).success();
    let reduced = experiment.run(&["reduce", "dir"]).success();
    assert!(!reduced.stderr().contains("fitted"), "{}", reduced.stderr());
    assert_eq!(predictor(&experiment).unwrap(), first);
    // A predictor that nobody fitted is found out.
    let path = newest_view(&experiment).join("predictor.yaml");
    fs::write(&path, first.replacen("sigma: 0", "sigma: 1", 1)).unwrap();
    experiment.run(&["reduce", "dir", "--rebuild"]).fails_with(3);
}

#[test]
fn the_predictor_is_a_function_of_the_log_alone() {
    let experiment = Experiment::init(STOPPING);
    train_until(&experiment, 17);
    // One reduce of everything; fitted at 15 full curves.
    experiment.run(&["reduce", "dir"]).success();
    let at_once = predictor(&experiment).unwrap();
    assert!(
        fs::read_to_string(newest_view(&experiment).join("view.yaml"))
            .unwrap()
            .contains("predictor_curves: 15")
    );
    // Result by result: views of a log that grows.
    let log = experiment.text("replay.csv");
    let lines: Vec<&str> = log.split_inclusive('\n').collect();
    fs::remove_dir_all(experiment.path("views")).unwrap();
    fs::create_dir(experiment.path("views")).unwrap();
    for rows in (2..=lines.len()).filter(|&rows| !lines[rows - 1].contains(",claimed,")) {
        fs::write(experiment.path("replay.csv"), lines[..rows].concat()).unwrap();
        experiment.run(&["reduce", "dir"]).success();
    }
    assert_eq!(experiment.text("replay.csv"), log);
    assert_eq!(predictor(&experiment).unwrap(), at_once);
}

#[test]
fn a_curve_that_is_missing_or_wrong_costs_the_predictor_and_not_the_search() {
    let damages: [(fn(&PathBuf), &str); 3] = [
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
    ];
    let experiment = Experiment::init(STOPPING);
    train_until(&experiment, 10);
    let log = experiment.log();
    let third = log.iter().filter(|row| row["event"] == "trained").nth(2).unwrap();
    let curve = experiment.path(&format!("curves/{:0>6}.1.csv", third["iteration"]));
    let whole = fs::read(&curve).unwrap();
    for (damage, problem) in damages {
        fs::remove_dir_all(experiment.path("views")).unwrap();
        fs::create_dir(experiment.path("views")).unwrap();
        damage(&curve);
        let reduced = experiment.run(&["reduce", "dir"]).success();
        let said = reduced.stderr();
        let lines: Vec<&str> = said.lines().filter(|line| line.contains("predictor")).collect();
        assert!(lines.len() == 1 && lines[0].contains("nobody is stopped"), "{said}");
        assert!(lines[0].contains(problem) && lines[0].contains(".1.csv"), "{said}");
        assert_eq!(predictor(&experiment), None);
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

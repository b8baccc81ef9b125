//! `metaqnn run`: a whole search on one machine.

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Command, Stdio};

use crate::support::{Experiment, SMALL, skip};

/// Columns that tell of the machine and the clock, not of the search.
pub const ELSEWHERE: [&str; 10] = [
    "train_seconds", "saved_seconds", "lost_seconds", "device", "host", "job", "task",
    "started_at", "time", "expires_at",
];

#[test]
fn a_search_runs_to_the_end_of_its_schedule() {
    let experiment = Experiment::with(SMALL);
    let ran = experiment.run(&["run", "config.yaml", "dir"]).success();
    assert!(ran.stdout().contains("rank"), "{}", ran.stdout());
    let log = experiment.log();
    let mut results: BTreeMap<&str, u32> = BTreeMap::new();
    for row in &log {
        if ["trained", "failed"].contains(&row["event"].as_str()) {
            *results.entry(row["epsilon"].as_str()).or_default() += 1;
        }
    }
    assert_eq!(results, BTreeMap::from([("1.0", 12), ("0.1", 6)]));
    let trained: Vec<_> = log
        .iter()
        .filter(|row| row["event"] == "claimed")
        .map(|row| &row["architecture"])
        .collect();
    assert_eq!(
        trained.len(),
        trained.iter().collect::<BTreeSet<_>>().len(),
        "none is trained twice"
    );
    let status = experiment.run(&["status", "dir", "--json"]).success().json();
    assert_eq!(status[0]["condition"], "finished");
    assert_eq!(status[0]["trainer"], "synthetic", "made-up results are marked");
}

#[test]
fn running_again_goes_on_and_another_configuration_is_refused() {
    let experiment = Experiment::with(SMALL);
    experiment.run(&["run", "config.yaml", "dir"]).success();
    let rows = experiment.log().len();
    experiment.run(&["run", "config.yaml", "dir"]).success();
    assert_eq!(experiment.log().len(), rows);
    experiment
        .run(&["run", "config.yaml", "dir", "--set", "training.epochs=9"])
        .fails_with(2)
        .says("`training.epochs` is 4 there and 9 here");
}

#[test]
fn siblings_are_the_searches_of_the_next_seeds() {
    let experiment = Experiment::with(SMALL);
    experiment.run(&["run", "config.yaml", "dir"]).success();
    let siblings = ["run", "config.yaml", "dir", "--seeds", "3", "--json"];
    let last = experiment.folder().join("dir-seed3/replay.csv");
    let mut sizes = Vec::new();
    for _ in 0..2 {
        let states = experiment.run(&siblings).success().json();
        let names: Vec<_> = states.iter().map(|state| &state["experiment"]).collect();
        assert_eq!(names, ["small", "small-seed2", "small-seed3"]);
        assert!(states.iter().all(|state| state["condition"] == "finished"));
        sizes.push(std::fs::metadata(&last).unwrap().len());
    }
    assert_eq!(sizes[0], sizes[1], "nothing is trained again");
    let alone = ["run", "config.yaml", "alone", "--set", "experiment.seed=7"];
    experiment.run(&alone).success();
    let architectures = |path: &std::path::Path| {
        let rows = csv::Reader::from_path(path).unwrap().into_deserialize();
        let rows = rows.map(|row: Result<BTreeMap<String, String>, _>| row.unwrap());
        rows.map(|row| row["architecture"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(architectures(&last), architectures(&experiment.folder().join("alone/replay.csv")));
    assert_ne!(architectures(&last), architectures(&experiment.path("replay.csv")));
}

#[test]
fn a_sibling_that_is_in_the_way_is_named_before_any_search_begins() {
    let experiment = Experiment::with(SMALL);
    experiment.run(&["init", "config.yaml", "dir-seed3"]).success();
    let siblings = ["run", "config.yaml", "dir", "--seeds", "3"];
    experiment.run(&siblings).fails_with(2).says("`experiment.seed` is 5 there and 7 here");
    assert_eq!(experiment.log().len(), 0);
}

#[test]
fn the_default_directory_is_the_name_of_the_experiment() {
    let experiment = Experiment::with(SMALL);
    experiment.run(&["run", "config.yaml"]).success();
    assert!(experiment.folder().join("small/replay.csv").exists());
}

#[test]
fn the_same_seed_gives_the_same_log_and_q_table() {
    let searches = [Experiment::with(SMALL), Experiment::with(SMALL)];
    for search in &searches {
        search.run(&["run", "config.yaml", "dir"]).success();
    }
    let [first, second] = searches.each_ref().map(|search| {
        let mut log = search.log();
        log.iter_mut()
            .for_each(|row| ELSEWHERE.iter().for_each(|column| drop(row.remove(*column))));
        log
    });
    assert_eq!(first, second);
    let [first, second] = searches.each_ref().map(|search| {
        let views = std::fs::read_dir(search.path("views")).unwrap();
        let newest = views.map(|view| view.unwrap().path()).max().unwrap();
        std::fs::read(newest.join("q_table.csv")).unwrap()
    });
    assert_eq!(first, second);
}

#[test]
fn several_workers_train_no_architecture_twice() {
    let experiment = Experiment::with(SMALL);
    let ran = experiment.run(&["run", "config.yaml", "dir", "--workers", "4"]).success();
    let ends = ran.stderr().matches("the search is finished").count();
    assert_eq!(ends, 1, "what each worker tells is said once");
    let log = experiment.log();
    let claimed: Vec<_> = log
        .iter()
        .filter(|row| row["event"] == "claimed")
        .map(|row| &row["architecture"])
        .collect();
    assert_eq!(claimed.len(), claimed.iter().collect::<BTreeSet<_>>().len());
    experiment.run(&["reduce", "dir", "--rebuild"]).success();
}

#[test]
fn within_a_job_of_slurm_workers_are_no_copies_of_one_task() {
    let experiment = Experiment::with(SMALL);
    let mut search = experiment.command(&["run", "config.yaml", "dir", "--workers", "2", "-q"]);
    search.env("SLURM_JOB_ID", "900").env("SLURM_JOB_END_TIME", "4102444800");
    assert!(search.stdout(Stdio::null()).status().unwrap().success());
    for row in experiment.log().iter().filter(|row| row["event"] == "claimed") {
        assert_eq!((row["job"].as_str(), row["attempt"].as_str()), ("local", "1"));
    }
}

#[test]
fn a_small_space_is_exhausted_and_the_search_ends() {
    // Two layers of one kind at most: far fewer architectures than the schedule asks for.
    let tiny = SMALL.replace(
        "max_layers: 4, filters: [8, 16], fc_widths: [32, 16]",
        "max_layers: 1, filters: [8], kernels: [1], pools: [[2, 2]], fc_widths: [16]",
    );
    let experiment = Experiment::with(&tiny);
    experiment.run(&["run", "config.yaml", "dir"]).success();
    let log = experiment.log();
    assert_eq!(log.iter().filter(|row| row["event"] == "exhausted").count(), 2);
    assert_eq!(log.iter().filter(|row| row["event"] == "claimed").count(), 3);
    // An epsilon is closed by a thousand draws of what is known.
    for (at, _) in log.iter().enumerate().filter(|(_, row)| row["event"] == "exhausted") {
        let known = log[..at].iter().rev().take_while(|row| row["event"] == "reused");
        assert_eq!(known.count(), 1_000);
    }
}

#[test]
fn of_two_searches_that_make_one_directory_both_work_on_it() {
    let experiment = Experiment::with(SMALL);
    let searches = [(); 2].map(|()| {
        let mut command = experiment.command(&["run", "config.yaml", "dir", "-q"]);
        command.stdout(Stdio::null()).spawn().unwrap()
    });
    for mut search in searches {
        assert!(search.wait().unwrap().success());
    }
    experiment.run(&["reduce", "dir", "--rebuild"]).success();
    let log = experiment.log();
    let claimed =
        log.iter().filter(|row| row["event"] == "claimed").map(|row| &row["architecture"]);
    assert_eq!(claimed.clone().count(), claimed.collect::<BTreeSet<_>>().len());
}

#[test]
fn without_replay_the_search_runs_too() {
    let experiment = Experiment::with(SMALL);
    experiment
        .run(&["run", "config.yaml", "dir", "--set", "q_learning.experience_replay=false"])
        .success();
    experiment.run(&["reduce", "dir", "--rebuild"]).success();
}

#[test]
fn in_a_file_there_is_one_line_an_epoch_and_quiet_says_nothing() {
    let experiment = Experiment::with(SMALL);
    let stderr = experiment.run(&["run", "config.yaml", "dir"]).success().stderr();
    let last = " iteration 1 of 18, epoch 4/4: validation accuracy 0.";
    assert!(stderr.contains(last), "{stderr}");
    assert!(!stderr.contains(['\u{1b}', '\r']), "{stderr}");
    let epochs = stderr.lines().filter(|line| line.contains("iteration 1 of 18, epoch")).count();
    assert_eq!(epochs, 4, "{stderr}");
    let quiet = experiment.run(&["run", "config.yaml", "quiet", "-q"]).success();
    assert_eq!(quiet.stderr(), "");
}

#[test]
fn on_a_terminal_bars_take_the_place_of_lines_and_leave_no_trace() {
    let experiment = Experiment::with(SMALL);
    let program = env!("CARGO_BIN_EXE_metaqnn");
    let on_terminal = |terminal: &str, directory: &str| {
        let line = format!("'{program}' run config.yaml {directory} --workers 2");
        let output = Command::new("script")
            .args(["-qec", &line, "/dev/null"])
            .current_dir(experiment.folder())
            .env("TERM", terminal)
            .stdin(Stdio::null())
            .output();
        output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let Ok(shown) = on_terminal("xterm", "bars") else {
        return skip("on_a_terminal_bars_take_the_place_of_lines", "there is no `script`");
    };
    assert!(
        shown.contains("search  [") && shown.contains("/18 networks, time left unkn"),
        "{shown}"
    );
    assert!(!shown.contains("epoch 4/4"), "{shown}");
    // After the last bar: the ranking, from the first column of a cleared line.
    let (bars, _) = shown.split_once("rank  accuracy").unwrap();
    assert!(
        bars.trim_end_matches(['\r', '\u{1b}', '[', '1', 'm']).ends_with("\u{1b}[2K"),
        "{bars:?}"
    );
    let shown = on_terminal("dumb", "lines").unwrap();
    assert!(shown.contains("epoch 4/4") && !shown.contains("search  ["), "{shown}");
}

#[test]
fn the_length_of_a_table_does_not_go_with_json() {
    let experiment = Experiment::with(SMALL);
    let line = ["run", "config.yaml", "dir", "--json", "--top", "3"];
    experiment.run(&line).fails_with(2).says("'--json' cannot be used with '--top <N>'");
    assert!(!experiment.path("").exists());
}

#[test]
fn what_learning_says_again_and_again_is_told_once() {
    let experiment = Experiment::with(SMALL);
    experiment.run(&["run", "config.yaml", "dir"]).success();
    std::fs::remove_file(experiment.path("curves/000001.1.csv")).unwrap();
    let told = |ran: crate::support::Ran| ran.stderr().matches("curves are missing").count();
    assert_eq!(told(experiment.run(&["run", "config.yaml", "dir"]).success()), 1);
    // Learned from at the beginning, and after two more networks.
    let longer = SMALL.replace("architectures: 6", "architectures: 8");
    std::fs::write(experiment.folder().join("config.yaml"), longer).unwrap();
    assert_eq!(told(experiment.run(&["run", "config.yaml", "dir"]).success()), 1);
}

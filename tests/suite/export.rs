//! `metaqnn import` and `metaqnn export`: the files of the published program.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::support::{Experiment, skip};

const SVHN: &str = "
experiment: {name: svhn}
data: {classes: 10, input_size: 32, channels: 3}
training: {trainer: synthetic}
";

/// Four rows as the published program writes them: a network met twice, one that failed, and
/// one row that a debugging client left in percent.
const ROWS: &str = "\
net,accuracy_best_val,iter_best_val,accuracy_last_val,iter_last_val,accuracy_best_test,accuracy_last_test,ix_q_value_update,epsilon,time_finished,machine_run_on
\"[C(64,3,1), P(2,2), D(1,1), SM(10)]\",0.8,5330.0,0.79,10660.0,-1.0,-1.0,1.0,1.0,0.0,unknown
\"[SM(10)]\",0.1,0.0,0.1,0.0,-1.0,-1.0,2.0,1.0,1480000000.5,worker
\"[GAP(10), SM(10)]\",86.0,10,86.0,10,-1,-1,3,0.7,0,debug
\"[C(64,3,1), P(2,2), D(1,1), SM(10)]\",0.8,5330.0,0.79,10660.0,-1.0,-1.0,4.0,0.9,0.0,unknown
";

fn with_rows() -> Experiment {
    let experiment = Experiment::init(SVHN);
    fs::write(experiment.folder().join("rows.csv"), ROWS).unwrap();
    experiment
}

#[test]
fn rows_of_the_published_program_are_taken_over_in_order() {
    let experiment = with_rows();
    let imported =
        experiment.run(&["import", "dir", "rows.csv", "--json"]).success().json().remove(0);
    assert_eq!((&imported["rows"], &imported["imported_rows"]), (&4.into(), &3.into()));
    assert_eq!(imported["distinct_architectures"], 2);
    assert!(imported["set_aside_rows"][0].as_str().unwrap().starts_with("line 4: "));
    let log = experiment.log();
    let events: Vec<_> =
        log.iter().map(|row| (row["iteration"].as_str(), row["event"].as_str())).collect();
    assert_eq!(events, [("1", "imported"), ("2", "imported"), ("3", "reused")]);
    assert_eq!(log[2]["reward"], "0.8");
    // By the architecture: C(64,3,1) on 3 channels, pooled to 16 x 16, a dense layer to 10.
    let costs = ["parameters", "macs", "layers"].map(|name| log[0][name].as_str());
    assert_eq!(costs, ["165642", "1933312", "2"]);
    assert_eq!(
        (log[0]["time"].as_str(), log[1]["time"].as_str()),
        ("", "2016-11-24T15:06:40.500Z")
    );
    experiment.run(&["reduce", "dir"]).success();
    experiment.run(&["import", "dir", "rows.csv"]).fails_with(2).says("fresh experiment");
}

#[test]
fn an_imported_search_is_called_imported() {
    let schedule = "[{epsilon: 1.0, architectures: 2}, {epsilon: 0.5, architectures: 3}]";
    let experiment = Experiment::init(&format!("{SVHN}epsilon_schedule: {schedule}\n"));
    fs::write(experiment.folder().join("rows.csv"), ROWS).unwrap();
    experiment.run(&["import", "dir", "rows.csv"]).success();
    experiment.run(&["reduce", "dir"]).success();
    let text = experiment.run(&["status", "dir"]).success().stdout();
    assert!(text.contains("The accuracies are imported") && !text.contains("made up"), "{text}");
    let status = experiment.run(&["status", "dir", "--json"]).success().json().remove(0);
    assert_eq!(status["trainer"], "imported");
    assert!(status["most_train_seconds_left"].is_null(), "nothing was trained here: {status}");
    for table in ["iterations", "models", "top_models", "epsilon_summary", "gpu_hours", "q_table"] {
        let text = experiment.text(&format!("tables/{table}.csv"));
        assert!(text.lines().count() > 1 && !text.contains("synthetic"), "{table}: {text}");
    }
    // What is trained here afterwards is not.
    experiment.run(&["train", "dir"]).success();
    experiment.run(&["reduce", "dir"]).success();
    let rows = experiment.text("tables/iterations.csv");
    let trained_by = |at: usize| rows.lines().nth(at).unwrap().contains("synthetic");
    assert_eq!([1, 2, 3, 4].map(trained_by), [false, false, false, true], "{rows}");
    let rows = experiment.text("tables/epsilon_summary.csv");
    let trained_by = |at: usize| rows.lines().nth(at).unwrap().contains("synthetic");
    assert_eq!([1, 2].map(trained_by), [false, true], "{rows}");
}

#[test]
fn an_import_of_no_row_at_all_has_failed_and_can_be_repeated() {
    let experiment = with_rows();
    let percent = ROWS.replace(",0.8,", ",80,").replace(",0.1,", ",10,");
    fs::write(experiment.folder().join("percent.csv"), percent).unwrap();
    let refused = experiment.run(&["import", "dir", "percent.csv"]).fails_with(3);
    assert!(refused.stdout().contains("imported 0 of 4 rows"), "{}", refused.stdout());
    drop(refused.says("line 2: accuracy `80` is outside [0, 1]"));
    experiment.run(&["import", "dir", "rows.csv"]).success();
}

#[test]
fn an_import_that_is_refused_keeps_nothing() {
    let experiment = with_rows();
    let folder = experiment.folder().join("reference");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("replay_database.csv"), ROWS).unwrap();
    experiment.run(&["import", "dir", "rows.csv"]).success();
    experiment.run(&["export", "dir", "out"]).success();
    fs::copy(experiment.folder().join("out/q_values.csv"), folder.join("q_values.csv")).unwrap();
    experiment.run(&["import", "dir", "reference"]).fails_with(2).says("fresh experiment");
    assert!(!experiment.path("imported").exists());
}

#[test]
fn what_is_exported_is_imported_alike() {
    let experiment = with_rows();
    experiment.run(&["import", "dir", "rows.csv"]).success();
    experiment.run(&["reduce", "dir"]).success();
    experiment.run(&["export", "dir", "out"]).success();
    let again = Experiment::init(SVHN);
    let out = experiment.folder().join("out");
    let imported =
        again.run(&["import", "dir", out.to_str().unwrap(), "--json"]).success().json().remove(0);
    assert_eq!((&imported["imported_rows"], &imported["q_values"]), (&3.into(), &4_058.into()));
    again.run(&["reduce", "dir"]).success();
    let q_table = |experiment: &Experiment| {
        let view = fs::read_dir(experiment.path("views")).unwrap().next().unwrap().unwrap().path();
        fs::read_to_string(view.join("q_table.csv")).unwrap()
    };
    assert_eq!(q_table(&experiment), q_table(&again));
}

#[test]
fn no_file_is_replaced_unasked() {
    let experiment = with_rows();
    experiment.run(&["import", "dir", "rows.csv"]).success();
    let out = experiment.folder().join("out");
    fs::create_dir(&out).unwrap();
    let theirs = out.join("q_values.csv");
    fs::write(&theirs, "theirs").unwrap();
    experiment.run(&["export", "dir", "out"]).fails_with(2).says("`out/q_values.csv` is there");
    assert_eq!(fs::read_to_string(&theirs).unwrap(), "theirs");
    assert!(!out.join("replay_database.csv").exists());
    experiment.run(&["export", "dir", "out", "--overwrite"]).success();
    assert_ne!(fs::read_to_string(&theirs).unwrap(), "theirs");
}

#[test]
fn the_authors_search_is_taken_over() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/metaqnn-svhn");
    if !data.exists() {
        return skip(
            "the_authors_search_is_taken_over",
            "the data of the authors' search are not here",
        );
    }
    let experiment = Experiment::init(SVHN);
    let imported = experiment
        .run(&["import", "dir", data.to_str().unwrap(), "--json"])
        .success()
        .json()
        .remove(0);
    assert_eq!((&imported["rows"], &imported["imported_rows"]), (&1_983.into(), &1_910.into()));
    assert_eq!(imported["distinct_architectures"], 1_789);
    let set_aside = imported["set_aside_rows"].as_array().unwrap();
    assert_eq!(set_aside.len(), 73);
    assert!(set_aside.iter().all(|row| row.as_str().unwrap().contains("86")));
    experiment.run(&["reduce", "dir"]).success();
    let mut summary =
        csv::Reader::from_path(experiment.path("tables/epsilon_summary.csv")).unwrap();
    let columns: Vec<String> = summary.headers().unwrap().iter().map(str::to_owned).collect();
    let mean = columns.iter().position(|column| column == "mean_reward_with_repeats").unwrap();
    let at_one = summary.records().next().unwrap().unwrap();
    let mean: f64 = at_one[mean].parse().unwrap();
    assert!((mean - 0.522514).abs() < 5e-7, "{mean}");

    // Every network of the file is legal, and its dropout marks are its own.
    let mut reader = csv::Reader::from_path(data.join("replay_database.csv")).unwrap();
    let networks: BTreeSet<String> =
        reader.records().map(|row| row.unwrap()[0].to_owned()).collect();
    assert_eq!(networks.len(), 1_843);
    let input: Vec<&str> = networks.iter().map(String::as_str).collect();
    let answers = experiment
        .run_with_input(&["space", "config.yaml", "--check", "--json"], &input.join("\n"))
        .success()
        .json();
    for (answer, network) in answers.iter().zip(&networks) {
        assert_eq!(answer["with_dropout"], network.as_str(), "{answer}");
    }
}

#[test]
fn what_is_not_there_or_no_folder_is_named() {
    let experiment = with_rows();
    experiment
        .run(&["import", "dir", "missing.csv"])
        .fails_with(2)
        .says("`missing.csv` is not there");
    experiment.run(&["export", "dir", "rows.csv"]).fails_with(2).says("`rows.csv` is no folder");
    experiment.run(&["import", "dir", "config.yaml"]).fails_with(3).says("config.yaml");
    assert_eq!(experiment.log().len(), 0);
}

#[test]
fn files_without_an_end_of_line_are_refused_before_they_fill_the_memory() {
    let experiment = with_rows();
    let hole = std::fs::File::create(experiment.folder().join("hole.csv")).unwrap();
    hole.set_len(1 << 36).unwrap();
    for (file, why) in [("/dev/zero", "it is a device"), ("hole.csv", "more than 1073741824 bytes")]
    {
        let refused = experiment.run(&["import", "dir", file]).fails_with(3);
        refused.says(file).says(why);
        let refused = experiment.run(&["simulate", file]).fails_with(3);
        refused.says(file).says(why);
    }
    // Beside a good file of rows.
    std::fs::create_dir(experiment.folder().join("both")).unwrap();
    let both = |name: &str| experiment.folder().join("both").join(name);
    std::fs::rename(experiment.folder().join("rows.csv"), both("replay_database.csv")).unwrap();
    std::fs::rename(experiment.folder().join("hole.csv"), both("q_values.csv")).unwrap();
    experiment.run(&["import", "dir", "both"]).fails_with(3).says("q_values.csv");
    assert_eq!(experiment.log().len(), 0);
}

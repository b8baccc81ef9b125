//! `metaqnn reduce`: learning, again and again.

use std::fs;

use crate::support::{Experiment, SMALL};

fn after_tasks(number: usize) -> Experiment {
    let experiment = Experiment::init(SMALL);
    (0..number).for_each(|_| drop(experiment.run(&["train", "dir"]).success()));
    experiment
}

fn views(experiment: &Experiment) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(experiment.path("views"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn reducing_twice_changes_nothing() {
    let experiment = after_tasks(4);
    experiment.run(&["reduce", "dir"]).success();
    let (log, first) = (experiment.text("replay.csv"), views(&experiment));
    assert_eq!(first, [format!("{:09}", experiment.log().len())]);
    experiment.run(&["reduce", "dir"]).success();
    assert_eq!((experiment.text("replay.csv"), views(&experiment)), (log, first));
}

#[test]
fn a_rebuild_from_nothing_gives_the_bytes_of_the_q_table() {
    let experiment = after_tasks(3);
    for _ in 0..3 {
        experiment.run(&["train", "dir"]).success();
        experiment.run(&["reduce", "dir"]).success();
    }
    experiment.run(&["reduce", "dir", "--rebuild"]).success();
    // A Q-value that nobody learned is found out.
    let newest =
        experiment.path("views").join(views(&experiment).last().unwrap()).join("q_table.csv");
    let text = fs::read_to_string(&newest).unwrap();
    fs::write(&newest, text.replacen(",0.5,0\n", ",0.25,0\n", 1)).unwrap();
    experiment.run(&["reduce", "dir", "--rebuild"]).fails_with(3);
}

#[test]
fn another_configuration_than_that_of_the_views_is_refused() {
    let experiment = after_tasks(8);
    experiment.run(&["reduce", "dir"]).success();
    let (log, views_before) = (experiment.text("replay.csv"), views(&experiment));
    experiment.refreeze("epochs: 4", "epochs: 5");
    for command in [
        &["train", "dir"][..],
        &["reduce", "dir"],
        &["reduce", "dir", "--rebuild"],
        &["status", "dir"],
        &["submit", "dir"],
    ] {
        experiment.run(command).fails_with(3).says("was made with another `experiment.yaml`");
    }
    let found = experiment.run(&["verify", "dir"]).fails_with(3).stdout();
    assert!(found.contains("was made with another `experiment.yaml`"), "{found}");
    experiment.run(&["verify", "dir", "--repair"]).fails_with(3);
    assert_eq!((experiment.text("replay.csv"), views(&experiment)), (log, views_before));
    experiment.refreeze("epochs: 5", "epochs: 4");
    experiment.run(&["verify", "dir"]).success();
    experiment.run(&["train", "dir"]).success();
}

#[test]
fn a_view_damaged_in_itself_is_rebuilt() {
    let experiment = after_tasks(4);
    experiment.run(&["reduce", "dir"]).success();
    let name = views(&experiment).pop().unwrap();
    fs::write(experiment.path("views").join(&name).join("view.yaml"), "rows: [").unwrap();
    experiment.run(&["reduce", "dir"]).success();
    experiment.run(&["reduce", "dir", "--rebuild"]).success();
    experiment.run(&["train", "dir"]).success();
}

#[test]
fn the_three_newest_views_are_kept() {
    let experiment = after_tasks(0);
    for _ in 0..5 {
        experiment.run(&["train", "dir"]).success();
        experiment.run(&["reduce", "dir"]).success();
    }
    let kept = views(&experiment).iter().filter(|name| name.parse::<u64>().is_ok()).count();
    assert_eq!(kept, 3);
}

#[test]
fn claims_of_an_ended_array_are_lost_and_drawn_again() {
    // A task that claims and dies: its trainer kills it.
    let config = SMALL.replace(
        "trainer: synthetic",
        "trainer: command, command: [sh, -c, 'read request; kill -9 $PPID']",
    );
    let dying = Experiment::init(&config);
    let status = dying
        .command(&["train", "dir"])
        .env("SLURM_JOB_ID", "77")
        .env("SLURM_ARRAY_JOB_ID", "77")
        .env("SLURM_ARRAY_TASK_ID", "0")
        .env("SLURM_JOB_END_TIME", "4102444800")
        .status()
        .unwrap();
    assert!(!status.success());
    assert_eq!(dying.log().len(), 1);
    dying.run(&["reduce", "dir"]).success();
    assert_eq!(dying.log().len(), 1, "a claim that has not ended stays open");
    dying.run(&["reduce", "dir", "--after", "78"]).success();
    assert_eq!(dying.log().len(), 1, "so does the claim of another job");
    dying.run(&["reduce", "dir", "--after", "77"]).success();
    let log = dying.log();
    assert_eq!((log.len(), log[1]["event"].as_str()), (2, "lost"));
}

#[test]
fn what_is_no_job_of_the_scheduler_has_not_ended() {
    let experiment = Experiment::init(SMALL);
    for job in ["local", "12x", "", "1_2"] {
        experiment.run(&["reduce", "dir", "--after", job]).fails_with(2).says("is no job id");
    }
}

#[test]
fn tables_are_written_with_their_dictionary() {
    let experiment = after_tasks(3);
    experiment.run(&["reduce", "dir"]).success();
    for table in [
        "iterations", "models", "curves_long", "curves_wide", "q_table", "epsilon_summary",
        "top_models", "q_by_layer_type", "q_by_kernel", "accuracy_histogram", "columns",
    ] {
        assert!(experiment.text(&format!("tables/{table}.csv")).lines().count() > 1, "{table}");
    }
}

#[test]
fn a_damaged_curve_is_left_out_of_the_tables_and_ends_nothing() {
    let experiment = after_tasks(3);
    fs::write(experiment.path("curves/000002.1.csv"), "epoch,start\n\0\0\n").unwrap();
    experiment.run(&["reduce", "dir"]).success().says("000002.1.csv");
    let curves = experiment.text("tables/curves_long.csv");
    let has = |iteration: &str| curves.lines().any(|line| line.starts_with(iteration));
    assert!(has("1,") && !has("2,") && has("3,"), "{curves}");
}

#[test]
fn checkpoints_that_nobody_needs_go_even_when_nothing_is_new() {
    let experiment = Experiment::with(SMALL);
    experiment.run(&["run", "config.yaml", "dir"]).success();
    let status = experiment.run(&["status", "dir", "--json"]).success().json().remove(0);
    let best = status["best"]["iteration"].as_u64().unwrap();
    let log = experiment.log();
    let worst = log.iter().find(|row| row["event"] == "failed").unwrap();
    let folder = |iteration: &str| experiment.path(&format!("checkpoints/{iteration:0>6}.1"));
    let (best, worst) = (folder(&best.to_string()), folder(&worst["iteration"]));
    // What a task leaves that is killed while it copies the checkpoint of an earlier attempt.
    let half_copied = best.with_file_name(format!(
        ".{}.node.1.0.partial",
        best.file_name().unwrap().to_str().unwrap()
    ));
    for folder in [&best, &worst, &half_copied] {
        fs::create_dir(folder).unwrap();
    }
    experiment.run(&["reduce", "dir"]).success();
    assert!(best.exists() && !worst.exists() && !half_copied.exists());
}

#[test]
fn curves_that_are_gone_are_told_every_time() {
    let experiment = Experiment::with(SMALL);
    experiment.run(&["run", "config.yaml", "dir"]).success();
    experiment.run(&["reduce", "dir"]).success();
    let curves = std::fs::read_dir(experiment.path("curves")).unwrap();
    curves.for_each(|entry| std::fs::remove_file(entry.unwrap().path()).unwrap());
    let trained = experiment.log().iter().filter(|row| row["event"] == "trained").count();
    for _ in 0..2 {
        let said = experiment.run(&["reduce", "dir"]).success();
        let said = said.stdout() + &said.stderr();
        let (before, _) = said.split_once(" learning curves are missing").unwrap();
        let missing: usize = before.rsplit([' ', '\n']).next().unwrap().parse().unwrap();
        assert!(missing >= trained, "{said}");
    }
}

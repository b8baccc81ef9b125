//! `metaqnn set`, and what is frozen.

use std::fs;

use crate::support::{Experiment, SMALL};

fn settings(experiment: &Experiment) -> Vec<String> {
    let log = experiment.log();
    log.iter().filter(|row| row["event"] == "set").map(|row| row["reason"].clone()).collect()
}

#[test]
fn a_cut_or_edited_configuration_is_an_error_for_every_command() {
    let experiment = Experiment::init(SMALL);
    experiment.run(&["train", "dir"]).success();
    experiment.run(&["reduce", "dir"]).success();
    let text = experiment.text("experiment.yaml");
    let log = experiment.text("replay.csv");
    let cut_lines = text.lines().take(30).collect::<Vec<_>>().join("\n") + "\n";
    let versions = [
        cut_lines,
        text[..text.len() - 1].to_owned(),
        String::new(),
        text.replace("epochs: 4", "epochs: 5"),
        text.replace("epochs: 4", "epochs: 4 "),
        format!("{text}# a note\n"),
        format!("{text}{text}"),
    ];
    for version in versions {
        fs::write(experiment.path("experiment.yaml"), &version).unwrap();
        for command in ["train", "reduce", "submit", "status", "cancel"] {
            experiment.run(&[command, "dir"]).fails_with(3).says("experiment.yaml");
        }
        let found = experiment.run(&["verify", "dir"]).fails_with(3).stdout();
        assert!(found.contains("damage    experiment.yaml"), "{found}");
        experiment.run(&["set", "dir", "slurm.memory=1G"]).fails_with(3);
        experiment.run(&["run", "config.yaml", "dir"]).fails_with(3);
        experiment.run(&["export", "dir", "out"]).fails_with(3);
        experiment.run(&["config", "--in-force", "dir"]).fails_with(3);
        experiment.run(&["verify", "dir", "--repair"]).fails_with(3);
        assert_eq!(experiment.text("experiment.yaml"), version, "nothing blesses it");
        assert_eq!(experiment.text("replay.csv"), log);
    }
}

#[test]
fn a_missing_key_is_its_default_and_an_unknown_one_a_newer_programs() {
    let experiment = Experiment::init(SMALL);
    experiment.refreeze("    replay_size: 100\n", "");
    experiment.run(&["train", "dir"]).success();
    experiment.refreeze("    epochs: 4\n", "    epochs: 4\n    epoch_colour: red\n");
    for command in ["train", "status", "verify"] {
        experiment
            .run(&[command, "dir"])
            .fails_with(2)
            .says("holds the key `epoch_colour`, which a newer program wrote");
    }
}

#[test]
fn what_may_change_is_changed_by_rows_of_the_log() {
    let experiment = Experiment::init(SMALL);
    let frozen = experiment.text("experiment.yaml");
    let set = |arguments: &[&str]| experiment.run(&[&["set", "dir"], arguments].concat());
    set(&["slurm.time=02:00:00", "slurm.setup_lines=[export A=b]", "slurm.gres=null"]).success();
    set(&["training.threads=2"]).success().says("last digits");
    set(&["training.threads=2"]).success().says("nothing to change");
    assert_eq!(
        settings(&experiment),
        [
            "slurm.time=\"02:00:00\"",
            "slurm.setup_lines=[\"export A=b\"]",
            "slurm.gres=null",
            "training.threads=2"
        ]
    );
    assert_eq!(experiment.text("experiment.yaml"), frozen);
    let in_force = experiment.run(&["config", "--in-force", "dir"]).success().stdout();
    for line in ["time: 02:00:00", "gres: null", "threads: 2", "- export A=b"] {
        assert!(in_force.contains(line), "{line}\n{in_force}");
    }
    let status = experiment.run(&["status", "dir"]).success().stdout();
    assert!(status.contains("Changed with `metaqnn set`: slurm.time="), "{status}");
    experiment.run(&["train", "dir"]).success();
    experiment.run(&["reduce", "dir"]).success();
    experiment.run(&["train", "dir"]).success();
    experiment.run(&["verify", "dir"]).success();
}

#[test]
fn all_settings_are_appended_or_none() {
    let experiment = Experiment::init(SMALL);
    let refuses = |settings: &[&str], problem: &str| {
        experiment.run(&[&["set", "dir"], settings].concat()).fails_with(2).says(problem);
    };
    refuses(&["slurm.memory=1G", "training.epochs=9"], "`training.epochs` is frozen");
    refuses(&["slurm.memory=1G", "slurm.tme=1"], "did you mean `slurm.time`?");
    refuses(&["slurm.memory=1G", "slurm.time=soon"], "soon");
    refuses(&["slurm.memory=1G", "slurm.memory=2G"], "`slurm.memory` is given twice");
    refuses(&["slurm={memory: 1G}"], "is a section");
    refuses(&["slurm.memory"], "PATH=VALUE");
    refuses(&["training.silence_limit=.nan"], "silence_limit");
    refuses(&["epsilon_schedule=[]"], "epsilon_schedule");
    assert_eq!(experiment.log().len(), 0);
}

#[test]
fn a_longer_schedule_goes_on_with_a_finished_search() {
    let experiment = Experiment::with(SMALL);
    experiment.run(&["run", "config.yaml", "dir"]).success();
    let set =
        |schedule: &str| experiment.run(&["set", "dir", &format!("epsilon_schedule={schedule}")]);
    for takes_back in [
        "[{epsilon: 1.0, architectures: 11}, {epsilon: 0.1, architectures: 6}]",
        "[{epsilon: 1.0, architectures: 12}]",
        "[{epsilon: 0.1, architectures: 6}, {epsilon: 1.0, architectures: 12}]",
        "[{epsilon: 1.0, architectures: 12}, {epsilon: 0.5, architectures: 3}, {epsilon: 0.1, architectures: 6}]",
    ] {
        set(takes_back).fails_with(2).says("has begun");
    }
    set("[{epsilon: 1.0, architectures: 12}, {epsilon: 0.1, architectures: 8}, {epsilon: 0.05, architectures: 2}]")
        .success();
    let results = || {
        experiment
            .log()
            .iter()
            .filter(|row| row["event"] == "trained" || row["event"] == "failed")
            .count()
    };
    assert_eq!(results(), 18);
    // The configuration as it was frozen resumes what is in force.
    experiment.run(&["run", "config.yaml", "dir"]).success();
    assert_eq!(results(), 22);
    experiment.run(&["verify", "dir"]).success();
    assert!(experiment.text("tables/epsilon_summary.csv").contains("\n0.05,"));
}

#[test]
fn more_architectures_go_on_with_a_finished_search_without_epsilons() {
    for kind in ["random", "evolution", "bayesian", "policy_gradient"] {
        let strategy = format!("strategy: {{kind: {kind}, bayesian: {{burn_in: 3}}}}\n");
        let experiment = Experiment::with(&format!("{SMALL}{strategy}"));
        let set = |count: &str| {
            experiment.run(&["set", "dir", &format!("strategy.architectures={count}")])
        };
        experiment.run(&["run", "config.yaml", "dir"]).success();
        set("17").fails_with(2).says("`strategy.architectures` has to stay 18 or more");
        set("20").success().says("goes on with it");
        let results = || {
            let is_result = |event: &str| ["trained", "failed"].contains(&event);
            experiment.log().iter().filter(|row| is_result(&row["event"])).count()
        };
        assert_eq!(results(), 18, "{kind}");
        experiment.run(&["run", "config.yaml", "dir"]).success();
        assert_eq!(results(), 20, "{kind}");
        experiment.run(&["verify", "dir"]).success();
        experiment.run(&["reduce", "dir", "--rebuild"]).success();
    }
}

#[test]
fn architectures_are_counted_where_the_strategy_counts_them_and_learned_numbers_stay() {
    let learns = Experiment::with(SMALL);
    learns.run(&["run", "config.yaml", "dir"]).success();
    learns.run(&["set", "dir", "strategy.architectures=99"]).fails_with(2).says("leave it null");
    let fitted = Experiment::with(&format!("{SMALL}strategy: {{kind: bayesian}}\n"));
    fitted.run(&["run", "config.yaml", "dir"]).success();
    let set = |count: &str| fitted.run(&["set", "dir", &format!("strategy.architectures={count}")]);
    set("60").fails_with(2).says("begun with a burn-in of 4, a fifth of its networks");
    set("19").success();
    fitted.run(&["run", "config.yaml", "dir"]).success();
    fitted.run(&["verify", "dir"]).success();
}

#[test]
fn run_appends_what_set_may_change_and_refuses_the_rest() {
    let experiment = Experiment::with(SMALL);
    experiment.run(&["run", "config.yaml", "dir"]).success();
    let run = |setting: &str| experiment.run(&["run", "config.yaml", "dir", "--set", setting]);
    run("slurm.time=00:10:00").success().says("`slurm.time=\"00:10:00\"` is in force from now on");
    run("slurm.time=00:10:00").success();
    experiment.run(&["run", "config.yaml", "dir"]).success();
    assert_eq!(settings(&experiment), ["slurm.time=\"00:10:00\""]);
    experiment
        .run(&[
            "run", "config.yaml", "dir", "--set", "training.epochs=9", "--set", "slurm.memory=1G",
        ])
        .fails_with(2)
        .says("`training.epochs` is 4 there and 9 here (name another directory");
    let schedule =
        "epsilon_schedule=[{epsilon: 1.0, architectures: 12}, {epsilon: 0.1, architectures: 7}]";
    run(schedule).success();
    assert_eq!(settings(&experiment).len(), 2);
}

#[test]
fn a_task_claims_with_what_was_set_while_it_trained() {
    let schedule =
        |architectures: u32| format!("[{{epsilon: 1.0, architectures: {architectures}}}]");
    // The first training asks for two more networks, and for another place of checkpoints.
    let script = format!(
        "mkdir -p scratch\nwhile read request; do\n  \
         if ! [ -e asked ]; then touch asked; {} set dir 'epsilon_schedule={}' training.checkpoint_dir=$PWD/scratch 2>&2; fi\n  \
         echo '{{\"epoch\": 1, \"validation_accuracy\": 0.5}}'; echo '{{\"done\": true}}'\ndone\n",
        env!("CARGO_BIN_EXE_metaqnn"),
        schedule(3)
    );
    let config = format!(
        "experiment: {{name: small, seed: 5}}\n\
         data: {{classes: 10, input_size: 16, channels: 1}}\n\
         epsilon_schedule: {}\n\
         training: {{trainer: command, command: [sh, trainer.sh], epochs: 1}}\n",
        schedule(1)
    );
    for command in ["train", "run"] {
        let experiment = Experiment::with(&config);
        fs::write(experiment.folder().join("trainer.sh"), &script).unwrap();
        experiment.run(&["init", "config.yaml", "dir"]).success();
        match command {
            "run" => experiment.run(&["run", "config.yaml", "dir"]).success(),
            _ => experiment.run(&["train", "dir", "--until-done"]).success(),
        };
        let count = |event| experiment.log().iter().filter(|row| row["event"] == event).count();
        assert_eq!((count("set"), count("trained")), (2, 3), "{command}");
        let scratch = fs::read_dir(experiment.folder().join("scratch")).unwrap();
        assert_eq!(scratch.count(), 1, "{command}: the folder of this experiment");
    }
}

#[test]
fn a_forged_row_sets_nothing_that_is_frozen() {
    let experiment = Experiment::init(SMALL);
    experiment.run(&["set", "dir", "slurm.signal_seconds=60"]).success();
    let log = experiment.text("replay.csv");
    for (forged, is_a_newer_programs) in [
        ("training.command=[sh]", true),
        ("slurm.colour=5", true),
        ("slurm.signal_seconds=soon", false),
        ("slurm.signal_seconds=0", false),
        ("slurm.signal_seconds", false),
    ] {
        assert!(log.contains("slurm.signal_seconds=60"));
        let damaged = log.replace("slurm.signal_seconds=60", forged);
        fs::write(experiment.path("replay.csv"), damaged).unwrap();
        for command in ["train", "reduce", "status"] {
            let refused = experiment.run(&[command, "dir"]).fails_with(2);
            refused.says("with the `set` rows of").says("replay.csv");
        }
        let found = experiment.run(&["verify", "dir"]).fails_with(3).stdout();
        let repaired = experiment.run(&["verify", "dir", "--repair"]);
        if is_a_newer_programs {
            repaired.fails_with(3);
            continue;
        }
        assert!(found.contains("damage    replay.csv:2 (byte "), "{found}");
        let said = repaired.success().stdout();
        assert!(said.contains("a blanked row sets nothing: `metaqnn set` it again"), "{said}");
        let in_force = experiment.run(&["config", "--in-force", "dir"]).success().stdout();
        assert!(in_force.contains("signal_seconds: 120"), "{in_force}");
        experiment.run(&["train", "dir"]).success();
        experiment.run(&["reduce", "dir"]).success();
        let found = experiment.run(&["verify", "dir"]).success().stdout();
        assert!(found.contains("what it set, if it was a `set` row, is not in force"), "{found}");
        fs::remove_dir_all(experiment.path("views")).unwrap();
        fs::remove_dir_all(experiment.path("curves")).unwrap();
        fs::create_dir(experiment.path("views")).unwrap();
        fs::create_dir(experiment.path("curves")).unwrap();
    }
}

#[test]
fn more_networks_at_a_closed_epsilon_are_said_to_need_another() {
    let tiny = "experiment: {name: tiny, seed: 5}\n\
                data: {classes: 10, input_size: 8, channels: 1}\n\
                search_space: {max_layers: 1, filters: [8], kernels: [1], fc_widths: [4]}\n\
                epsilon_schedule: [{epsilon: 1.0, architectures: 1000}]\n\
                training: {trainer: synthetic, epochs: 1}\n";
    let experiment = Experiment::with(tiny);
    experiment.run(&["run", "config.yaml", "dir"]).success();
    let set = |stages: &str| {
        let setting = format!("epsilon_schedule=[{{epsilon: 1.0, architectures: {stages}}}]");
        experiment.run(&["set", "dir", &setting]).success()
    };
    set("2000").says("nothing new can be drawn at epsilon 1.0, which is closed");
    let longer = set("2000}, {epsilon: 0.1, architectures: 5").stderr();
    assert!(!longer.contains("nothing new"), "{longer}");
}

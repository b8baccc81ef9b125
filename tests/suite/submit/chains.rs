//! Hosts at fault, tasks that claim nothing, and chains that end.

use std::fs;

use super::*;

#[test]
fn nodes_on_which_claims_are_lost_are_shown_and_avoided() {
    let config = SMALL.replace("training:", "slurm: {exclude: n9, array_size: 4}\ntraining:");
    // Kills its task, whose claim stays behind.
    let killer = "trainer: command, command: [sh, -c, '[ -e well ] || { read request; kill -9 $PPID; }; exec python3 trainer.py']";
    let cluster = Cluster::new(&config.replace("trainer: synthetic", killer));
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/example-trainer.py");
    fs::copy(example, cluster.experiment.folder().join("trainer.py")).unwrap();
    let crashes = |task: &str, node: &str| {
        let mut train = cluster.command(&["train", "dir"]);
        train.env("SLURM_JOB_ID", "500").env("SLURM_ARRAY_JOB_ID", "500");
        train.env("SLURM_ARRAY_TASK_ID", task).env("SLURMD_NODENAME", node);
        assert!(!train.output().unwrap().status.success());
    };
    ["0", "1", "2"].into_iter().for_each(|task| crashes(task, "n3"));
    crashes("3", "n4");
    fs::write(cluster.experiment.folder().join("well"), "").unwrap();
    let mut train = cluster.command(&["train", "dir"]);
    assert!(
        train.env("SLURM_JOB_ID", "501").env("SLURMD_NODENAME", "n4").status().unwrap().success()
    );
    let (code, _, stderr) = cluster.run(&["reduce", "dir", "--after", "500"]);
    assert_eq!(code, Some(0), "{stderr}");
    let (_, status, _) = cluster.run(&["status", "dir", "--json"]);
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    let hosts = status["hosts"].as_array().unwrap();
    assert_eq!((&hosts[0]["host"], &hosts[0]["bad"]), (&"n3".into(), &true.into()));
    assert_eq!((&hosts[1]["host"], &hosts[1]["bad"]), (&"n4".into(), &false.into()));
    let (_, text, _) = cluster.run(&["status", "dir"]);
    assert!(text.contains("bad hosts   n3 (3 of 3 tasks failed"), "{text}");

    let (code, _, stderr) =
        cluster.run(&["submit", "dir", "--exclude-bad-hosts", "--", "--exclude=n1"]);
    assert_eq!(code, Some(2), "{stderr}");
    let (code, said, stderr) = cluster.run(&["submit", "dir", "--exclude-bad-hosts"]);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(said.contains("bad hosts are avoided: n3"), "{said}");
    assert!(
        cluster.calls("sbatch")[0].contains("--exclude=n9,n3"),
        "{:?}",
        cluster.calls("sbatch")
    );
}

#[test]
fn nodes_whose_trainer_refuses_to_work_are_bad_without_a_claim() {
    let missing = "trainer: command, command: [./no-such-trainer]";
    let cluster = Cluster::new(&SMALL.replace("trainer: synthetic", missing));
    fs::create_dir(cluster.experiment.path("rounds/0001")).unwrap();
    for task in ["0", "1", "2", "2"] {
        let mut train = cluster.command(&["train", "dir", "--round", "1"]);
        train.env("SLURM_JOB_ID", "500").env("SLURM_ARRAY_JOB_ID", "500");
        train.env("SLURM_ARRAY_TASK_ID", task).env("SLURMD_NODENAME", "n3");
        assert_eq!(train.output().unwrap().status.code(), Some(4));
    }
    assert!(cluster.experiment.log().is_empty());
    // It is the only one that was tried: nothing says whose fault it is, and a person may try others.
    let (_, text, _) = cluster.run(&["status", "dir"]);
    assert!(text.contains("3 tasks in a row failed on n3, the only host tried: "), "{text}");
    assert!(!text.contains("exclude"), "{text}");
    cluster.experiment.run(&["verify", "dir"]).success();
    let (code, _, stderr) = cluster.run(&["submit", "dir", "--exclude-bad-hosts"]);
    assert_eq!(code, Some(4), "without an answer of sinfo: {stderr}");
    assert!(stderr.contains("would leave no node: n3 are all that have been tried"), "{stderr}");
    let nodes = |lines: &str| fs::write(cluster.experiment.folder().join("nodes"), lines).unwrap();
    nodes("n3|batch*|idle\nn4|batch*|down\nn5|other|idle\n");
    let (code, _, stderr) = cluster.run(&["submit", "dir", "--exclude-bad-hosts"]);
    assert_eq!(code, Some(4), "{stderr}");
    assert!(stderr.contains("n3 are all that can run its tasks"), "{stderr}");
    assert!(cluster.calls("sbatch").is_empty());
    nodes("n3|batch*|idle\nn4|batch*|idle\n");
    let (code, said, stderr) = cluster.run(&["submit", "dir", "--exclude-bad-hosts"]);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(said.contains("bad hosts are avoided: n3"), "{said}");
}

#[test]
fn what_fails_on_all_nodes_for_one_reason_is_said_once_and_excludes_none() {
    let missing = "trainer: command, command: [./no-such-trainer]";
    let cluster = Cluster::new(&SMALL.replace("trainer: synthetic", missing));
    cluster.run(&["submit", "dir"]);
    cluster.queue(&["101|0|RUNNING|None", "103|N/A|PENDING|Dependency"]);
    for (task, node) in [("0", "n3"), ("1", "n3"), ("2", "n3"), ("3", "n4")] {
        let mut train = cluster.command(&["train", "dir", "--round", "1"]);
        train.env("SLURM_JOB_ID", "101").env("SLURM_ARRAY_JOB_ID", "101");
        train.env("SLURM_ARRAY_TASK_ID", task).env("SLURMD_NODENAME", node);
        assert_eq!(train.output().unwrap().status.code(), Some(4));
    }
    let (_, text, _) = cluster.run(&["status", "dir"]);
    assert!(text.lines().next().unwrap().contains("stuck"), "{text}");
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        words.contains("4 tasks failed on 2 hosts for one reason, so it is not the hosts: "),
        "{text}"
    );
    assert_eq!(words.matches("no-such-trainer").count(), 1, "{text}");
    assert!(!text.contains("exclude"), "{text}");
    cluster.queue(&[]);
    let (code, said, stderr) = cluster.run(&["submit", "dir", "--exclude-bad-hosts"]);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(said.contains("no host is bad: 4 tasks failed on 2 hosts"), "{said}");
    assert!(cluster.calls("sbatch").iter().all(|call| !call.contains("--exclude")));
}

#[test]
fn a_fruitless_chain_is_to_be_corrected_before_it_is_submitted_again() {
    let crashes = "trainer: command, command: ['false']";
    let cluster = Cluster::new(&SMALL.replace("trainer: synthetic", crashes));
    for array in ["101", "104", "107"] {
        cluster.run(&["submit", "dir", "--array-size", "1"]);
        cluster.queue(&[&format!("{array}|0|RUNNING|None")]);
        let round = cluster.experiment.path("rounds").read_dir().unwrap().count().to_string();
        let mut train = cluster.command(&["train", "dir", "--round", &round]);
        train.env("SLURM_JOB_ID", array).env("SLURM_ARRAY_JOB_ID", array);
        train.env("SLURM_ARRAY_TASK_ID", "0").output().unwrap();
        cluster.queue(&[]);
    }
    let (_, text, _) = cluster.run(&["status", "dir"]);
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("3 rounds in a row brought no result"), "{text}");
    assert!(words.contains("Correct that, then run `metaqnn submit`."), "{text}");
}

/// Writes what a task or a reduce of round 1 has left in its log.
fn write_log(cluster: &Cluster, name: &str, text: &str) {
    fs::write(cluster.experiment.path("rounds/0001").join(name), text).unwrap();
}

#[test]
fn tasks_that_ended_without_a_claim_are_counted_and_one_of_their_logs_is_shown() {
    let cluster = Cluster::new(SMALL);
    cluster.run(&["submit", "dir"]);
    let words = || {
        let (_, text, _) = cluster.run(&["status", "dir"]);
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let failed = "metaqnn: setup line failed (exit status 127): module load cuda";
    write_log(
        &cluster,
        "101_0.log",
        &format!("module: command not found\n\u{1b}{failed}\nx: Success\n\n"),
    );
    write_log(&cluster, "reduce-103.log", "another line\n");
    let text = words();
    assert!(text.contains(": chain broken, "), "{text}");
    let said = format!(
        "12 of 12 tasks of round 1 ended without a claim. The last line of `rounds/0001/101_0.log`: {failed} Correct that, then run `metaqnn submit`."
    );
    assert!(text.contains(&said), "{text}");
    // Some of its tasks still wait.
    cluster.queue(&["101|4|PENDING|None", "101|5|RUNNING|None", "103|N/A|PENDING|Dependency"]);
    let text = words();
    assert!(text.contains(": stuck, ") && text.contains("10 of 12 tasks of round 1"), "{text}");
    // All of them do.
    let waiting: Vec<String> = [101, 102]
        .into_iter()
        .flat_map(|job| (0..6).map(move |task| format!("{job}|{task}|PENDING|None")))
        .chain(["103|N/A|PENDING|Dependency".to_owned()])
        .collect();
    cluster.queue(&waiting.iter().map(String::as_str).collect::<Vec<_>>());
    let text = words();
    assert!(text.contains(": active, ") && !text.contains("without a claim"), "{text}");
    // Without any log, and in the next submit.
    cluster.queue(&[]);
    fs::remove_file(cluster.experiment.path("rounds/0001/101_0.log")).unwrap();
    assert!(words().contains("no log of theirs in `rounds/0001` says why"));
    let (_, said, _) = cluster.run(&["submit", "dir"]);
    assert!(said.contains("12 of 12 tasks of round 1 ended without a claim"), "{said}");
}

#[test]
fn tasks_that_had_nothing_to_claim_are_no_failure() {
    let cluster = Cluster::new(&SMALL.replace("training:", "slurm: {array_size: 3}\ntraining:"));
    cluster.run(&["submit", "dir", "--rounds", "1"]);
    let mut train = cluster.command(&["train", "dir", "--round", "1"]);
    train.env("SLURM_JOB_ID", "101").env("SLURM_ARRAY_JOB_ID", "101");
    assert!(train.env("SLURM_ARRAY_TASK_ID", "0").status().unwrap().success());
    write_log(&cluster, "101_0.log", "iteration 1: trained\n");
    write_log(&cluster, "101_1.log", "nothing to claim: others train what is left\n");
    write_log(&cluster, "101_2.log", "the search is finished\n");
    let (code, ..) = cluster.run(&["reduce", "dir", "--round", "1"]);
    assert_eq!(code, Some(0));
    let (_, text, _) = cluster.run(&["status", "dir"]);
    assert!(!text.contains("without a claim"), "{text}");
    assert!(text.lines().next().unwrap().contains(": paused, round 1"), "{text}");
    assert!(text.contains("The rounds asked for are done: `metaqnn submit` goes on."), "{text}");
    let (_, json, _) = cluster.run(&["status", "dir", "--json"]);
    assert!(json.contains("\"condition\":\"paused\""), "{json}");
    assert!(cluster.run(&["submit", "dir"]).1.contains("round 2: 3 tasks"));
}

#[test]
fn a_round_asked_to_be_the_last_whose_reduce_failed_is_a_broken_chain() {
    let cluster = Cluster::new(&SMALL.replace("training:", "slurm: {array_size: 1}\ntraining:"));
    cluster.run(&["submit", "dir", "--rounds", "1"]);
    let mut train = cluster.command(&["train", "dir", "--round", "1"]);
    train.env("SLURM_JOB_ID", "101").env("SLURM_ARRAY_JOB_ID", "101");
    assert!(train.env("SLURM_ARRAY_TASK_ID", "0").status().unwrap().success());
    write_log(&cluster, "reduce-102.log", "error: no space left on device\n");
    let (_, text, _) = cluster.run(&["status", "dir"]);
    assert!(text.lines().next().unwrap().contains(": chain broken, "), "{text}");
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        words.contains("`rounds/0001/reduce-102.log`: error: no space left on device"),
        "{text}"
    );
}

#[test]
fn each_step_of_final_trainings_is_submitted_by_the_last_reduce_of_the_one_before() {
    let cluster = Cluster::new(&format!("{SMALL}final_training: {{training: {{epochs: 5}}}}\n"));
    let run = |arguments: &[&str]| {
        let (code, said, stderr) = cluster.run(arguments);
        assert_eq!(code, Some(0), "{arguments:?}: {stderr}");
        said + &stderr
    };
    run(&["submit", "dir", "--", "--account=lab"]);
    run(&["train", "dir", "--until-done"]);
    run(&["reduce", "dir"]);
    let of_search = cluster.calls("sbatch").len();
    let since = |calls: usize| cluster.calls("sbatch").split_off(calls);

    let said = run(&["finalize", "dir", "--top", "2", "--per-depth", "0", "--seeds", "2"]);
    assert!(said.contains("final/1-validate`: round 1: "), "{said}");
    let calls = since(of_search);
    assert!(calls[0].contains("--account=lab") && calls[0].contains("--hold"), "{calls:?}");
    assert!(calls[0].ends_with("dir/final/1-validate/rounds/0001/1/train.sbatch"), "{calls:?}");
    let of_first = cluster.calls("sbatch").len();
    let (code, _, stderr) = cluster.run(&["finalize", "dir", "--test-only"]);
    assert_eq!(code, Some(2), "{stderr}");
    assert!(stderr.contains("1-validate` is not trained to its end"), "{stderr}");

    // What the script of its reduce runs, before and after the last result.
    let said = run(&["reduce", "dir/final/1-validate", "--round", "1"]);
    assert!(!said.contains("2-whole"), "{said}");
    run(&["train", "dir/final/1-validate", "--until-done"]);
    let said = run(&["reduce", "dir/final/1-validate", "--round", "1"]);
    assert!(said.contains("final/2-whole`: round 1: 6 tasks"), "{said}");
    let calls = since(of_first);
    let of_whole = calls.iter().position(|call| call.contains("2-whole")).expect("an array");
    assert!(calls[of_whole].contains("--account=lab"), "{calls:?}");
    run(&["train", "dir/final/2-whole", "--until-done"]);
    let said = run(&["reduce", "dir/final/2-whole", "--round", "1"]);
    assert!(said.contains("Final trainings: done, see `"), "{said}");
    assert!(cluster.experiment.path("final/certificate.md").exists());
    let (_, text, _) = cluster.run(&["status", "dir"]);
    assert!(text.contains("Final trainings: done"), "{text}");

    // What is under way does not follow the file that it began with.
    let config = cluster.experiment.folder().join("other.yaml");
    let other = fs::read_to_string(cluster.experiment.folder().join("config.yaml")).unwrap();
    let other = other.replacen("name: ", "name: other-", 1);
    fs::write(&config, &other).unwrap();
    let data = ["finalize", "dir", "--data", "other.yaml", "--top", "1", "--per-depth", "0"];
    let place =
        run(&data).split_once("dir/final-").unwrap().1.split_once('/').unwrap().0.to_owned();
    let validate = format!("dir/final-{place}/1-validate");
    run(&["train", &validate, "--until-done"]);
    fs::write(&config, other.replacen("name: other-", "name: changed-", 1)).unwrap();
    let said = run(&["reduce", &validate, "--round", "1"]);
    assert!(said.contains(&format!("final-{place}/2-whole`: round 1: ")), "{said}");
}

//! Why jobs of the newest round wait, in words, by one question to the scheduler.

use super::*;

const QUEUE: &[&str] = &[
    "101|0|RUNNING|None",
    "101|1|PENDING|Priority",
    "101|2|PENDING|Priority",
    "101|3|PENDING|ReqNodeNotAvail, UnavailableNodes:n[1-4]",
    "101|4|PENDING|TeaBreak",
    "102|N/A|PENDING|Dependency",
    "103|N/A|PENDING|Dependency",
];

fn submitted() -> Cluster {
    let cluster = Cluster::new(SMALL);
    let (code, _, stderr) = cluster.run(&["submit", "dir", "--array-size", "5"]);
    assert_eq!(code, Some(0), "{stderr}");
    cluster
}

/// Its words, whatever the lines.
fn status(cluster: &Cluster) -> String {
    let (code, text, stderr) = cluster.run(&["status", "dir"]);
    assert_eq!(code, Some(0), "{stderr}");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn pending_jobs_say_why_in_words_and_in_the_schedulers() {
    let cluster = submitted();
    cluster.queue(QUEUE);
    let before = cluster.calls("squeue").len();
    let text = status(&cluster);
    assert_eq!(cluster.calls("squeue").len(), before + 1);
    for words in [
        "jobs 1 running;",
        "2 pending: waits for others with higher priority (Priority)",
        "1 pending: its nodes are down, drained or reserved (ReqNodeNotAvail, UnavailableNodes:n[1-4])",
        "1 pending (TeaBreak)",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    // The reduces wait for the tasks, as they should.
    assert!(!text.contains("Dependency"), "{text}");
    let (_, json, _) = cluster.run(&["status", "dir", "--json"]);
    let queue = &serde_json::from_str::<serde_json::Value>(&json).unwrap()["queue"];
    assert_eq!((&queue["running"], &queue["waiting"][0]["jobs"]), (&1.into(), &2.into()));
    assert!(queue["problem"].is_null() && queue["waiting"][2]["meaning"].is_null(), "{queue}");
}

#[test]
fn jobs_that_never_start_say_so() {
    let cluster = submitted();
    let line = |task| format!("101|{task}|PENDING|PartitionTimeLimit");
    let reduce = "102|N/A|PENDING|Dependency".to_owned();
    let lines: Vec<_> = (0..5).map(line).chain([reduce]).collect();
    cluster.queue(&lines.iter().map(String::as_str).collect::<Vec<_>>());
    let text = status(&cluster);
    let words = "5 pending: more time is asked for than the partition allows: it will never start";
    assert!(text.contains(words) && text.contains("stuck"), "{text}");
}

#[test]
fn a_round_that_is_about_to_be_submitted_costs_one_question_too() {
    let cluster = submitted();
    fs::create_dir(cluster.experiment.path("rounds/0002")).unwrap();
    for (reduce, condition) in [("RUNNING", "active"), ("COMPLETED", "chain broken")] {
        cluster.queue(&[&format!("102|N/A|{reduce}|None")]);
        let before = cluster.calls("squeue").len();
        assert!(status(&cluster).starts_with(&format!("small: {condition}, round 2")));
        assert_eq!(cluster.calls("squeue").len(), before + 1);
    }
}

#[test]
fn without_an_answer_of_the_scheduler_status_works_all_the_same() {
    let cluster = submitted();
    let squeue = cluster.experiment.folder().join("bin/squeue");
    let fails = "#!/bin/sh\necho 'slurm_load_jobs error: Unable to contact slurm controller \
                 (connect failure)' >&2\nexit 1\n";
    make_program(&squeue, Program::Script(fails));
    let text = status(&cluster);
    let words = "jobs unknown: `squeue` failed: slurm_load_jobs error: Unable to contact slurm \
                 controller (connect failure)";
    assert!(text.starts_with("small: active, round 1") && text.contains(words), "{text}");
    fs::remove_file(&squeue).unwrap();
    let mut command = cluster.experiment.command(&["status", "dir"]);
    let output = command.env("PATH", cluster.experiment.folder().join("bin")).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success() && text.contains("unknown: `squeue` is not on PATH\n"),
        "{text}"
    );
}

//! Rounds that the scheduler refuses, and what it answers.

use std::fs;

use super::*;

#[test]
fn a_refused_round_is_rendered_anew_from_the_options_of_now() {
    let config = SMALL.replace("training:", "slurm: {partition: gpux}\ntraining:");
    let cluster = Cluster::new(&config);
    cluster
        .lay("verdict", "rounds/0001/1/\nallocation failure: Invalid partition name specified\n");
    let (code, _, stderr) = cluster.run(&["submit", "dir"]);
    assert_eq!(code, Some(4), "{stderr}");
    assert!(stderr.contains("Invalid partition name specified"), "{stderr}");
    assert!(stderr.contains("slurm.partition=VALUE`"), "{stderr}");
    assert!(stderr.contains("-- --partition=VALUE`"), "{stderr}");
    assert!(cluster.calls("sbatch").is_empty());
    // As before, it is refused as before, and nothing piles up.
    let (code, ..) = cluster.run(&["submit", "dir"]);
    assert_eq!(code, Some(4));
    assert!(!cluster.experiment.path("rounds/0001/2").exists());
    let (code, stdout, stderr) = cluster.run(&["submit", "dir", "--", "--partition=batch"]);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(
        stdout.contains("round 1 is rendered anew") && stdout.contains("round 1: 12"),
        "{stdout}"
    );
    assert!(cluster.calls("sbatch")[0].contains("--partition=batch"));
    assert!(cluster.options("1/reduce.sbatch").contains(&"#SBATCH --partition=gpux".to_owned()));
    assert!(cluster.options("2/reduce.sbatch").contains(&"#SBATCH --partition=batch".to_owned()));
    assert!(cluster.experiment.text("rounds/0001/1/array.yaml").contains("withdrawn: true"));
    cluster.experiment.run(&["verify", "dir"]).success();
}

#[test]
fn cancel_withdraws_a_round_without_a_job() {
    let cluster = Cluster::new(SMALL);
    cluster.refuses(
        "--array",
        "sbatch: error: Batch job submission failed: Invalid qos specification",
    );
    let (code, _, stderr) = cluster.run(&["submit", "dir"]);
    assert_eq!(code, Some(4), "{stderr}");
    assert!(stderr.contains("slurm.qos=VALUE`"), "{stderr}");
    let (code, stdout, stderr) = cluster.run(&["cancel", "dir"]);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(format!("{stdout}{stderr}").contains("round 1 is withdrawn"), "{stdout}{stderr}");
    cluster.remove("refusal");
    let (code, stdout, stderr) = cluster.run(&["submit", "dir"]);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stdout.contains("round 1: 12 tasks"), "{stdout}");
    cluster.experiment.text("rounds/0001/2/jobs.yaml");
}

#[test]
fn a_reduce_that_is_refused_leaves_the_array_held_and_named() {
    let cluster = Cluster::new(SMALL);
    cluster.refuses(
        "reduce.sbatch",
        "sbatch: error: Batch job submission failed: Job dependency problem",
    );
    let (code, _, stderr) = cluster.run(&["submit", "dir", "--array-size", "3"]);
    assert_eq!(code, Some(4), "{stderr}");
    assert!(stderr.contains("Job dependency problem"), "{stderr}");
    assert!(
        stderr.contains("stays held (job 101)") && stderr.contains("metaqnn cancel"),
        "{stderr}"
    );
    assert!(cluster.calls("scancel").is_empty() && cluster.calls("scontrol release").is_empty());
    cluster.remove("refusal");
    cluster.queue(&["101|0|PENDING|JobHeldUser"]);
    let (code, stdout, _) = cluster.run(&["submit", "dir"]);
    assert_eq!(code, Some(0));
    assert!(stdout.contains("round 1: 3 tasks at epsilon 1.0 (job 101)"), "{stdout}");
    assert!(stdout.contains("keep to the options"), "{stdout}");
    assert_eq!(cluster.calls("scontrol release"), ["scontrol release 101"]);
}

#[test]
fn the_second_reduce_that_is_refused_takes_the_first_one_back() {
    let cluster = Cluster::new(SMALL);
    cluster.refuses("afternotok", "sbatch: error: AssocMaxSubmitJobLimit");
    let (code, _, stderr) = cluster.run(&["submit", "dir", "--array-size", "3"]);
    assert_eq!(code, Some(4), "{stderr}");
    assert_eq!(cluster.calls("scancel"), ["scancel 102"]);
}

#[test]
fn what_can_never_start_is_found_before_anything_is_held() {
    let cluster = Cluster::new(SMALL);
    let never = "allocation failure: Requested node configuration is not available";
    cluster.lay("verdict", &format!("reduce.sbatch\n{never}\n"));
    cluster.lay("nodes", "n1|batch*|idle\nn2|batch*|allocated\n");
    let (code, _, stderr) = cluster.run(&["submit", "dir"]);
    assert_eq!(code, Some(4), "{stderr}");
    assert!(stderr.contains("can never start") && stderr.contains(never), "{stderr}");
    // Options after `--` are for arrays.
    assert!(!stderr.contains("-- --"), "{stderr}");
    assert!(cluster.calls("sbatch").is_empty());
    // A node that is drained may be large enough.
    cluster.lay("nodes", "n1|batch*|idle\nn2|batch*|drained\n");
    let (code, stdout, stderr) = cluster.run(&["submit", "dir"]);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stdout.contains("the reduce cannot start now, the scheduler says"), "{stdout}");
    // One that is only busy now, and a wrapper that does not know the question.
    for words in
        ["allocation failure: Requested nodes are busy", "site: unknown option --test-only"]
    {
        let cluster = Cluster::new(SMALL);
        cluster.lay("verdict", &format!("train.sbatch\n{words}\n"));
        let (code, stdout, stderr) = cluster.run(&["submit", "dir"]);
        assert_eq!(code, Some(0), "{stderr}");
        assert_eq!(stdout.contains(words), words.contains("busy"), "{stdout}");
    }
}

#[test]
fn a_round_that_can_never_start_is_named_with_the_schedulers_reason() {
    let cluster = Cluster::new(SMALL);
    cluster.run(&["submit", "dir", "--array-size", "2"]);
    let waits = "102|N/A|PENDING|Dependency";
    let never = "PENDING|PartitionTimeLimit";
    cluster.queue(&[&format!("101|0|{never}"), &format!("101|1|{never}"), waits]);
    let (_, text, _) = cluster.run(&["status", "dir"]);
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains(": stuck, "), "{text}");
    assert!(
        words.contains("Round 1 cannot start: the scheduler says `PartitionTimeLimit` of job 101"),
        "{text}"
    );
    let (_, said, _) = cluster.run(&["submit", "dir"]);
    assert!(
        said.contains("round 1 cannot start: the scheduler says `PartitionTimeLimit`"),
        "{said}"
    );
    cluster.queue(&["102|N/A|PENDING|launch failed requeued held", "103|N/A|PENDING|Dependency"]);
    let (_, text, _) = cluster.run(&["status", "dir"]);
    assert!(text.contains(": stuck, ") && text.contains("is held (job 102)"), "{text}");
    cluster.queue(&["101|0|PENDING|Resources", "101|1|PENDING|Resources", waits]);
    let (_, text, _) = cluster.run(&["status", "dir"]);
    assert!(text.contains(": active, "), "{text}");
}

#[test]
fn the_id_is_found_among_other_lines() {
    for shown in [
        "echo $number; echo Remaining budget of project p123: 4711 core hours",
        "echo '*** 2026 ***'; echo Submitted batch job $number on cluster north",
        "printf '\\033[1m%s\\033[0m;north\\r\\n' $number",
        "echo Welcome; echo; echo $number; echo See https://wiki/42",
    ] {
        let cluster = Cluster::new(SMALL);
        cluster.lay("shown", shown);
        let (code, stdout, stderr) = cluster.run(&["submit", "dir", "--array-size", "3"]);
        assert_eq!(code, Some(0), "{shown}: {stderr}");
        assert!(stdout.contains("(job 101), then reduce (job 102)"), "{shown}: {stdout}");
    }
}

#[test]
fn of_several_lines_the_one_with_the_rounds_name_in_the_queue_is_the_id() {
    for shown in
        ["echo 4711; echo $number", "echo your job $number costs 4711", "echo job=$number >&2"]
    {
        let cluster = Cluster::new(SMALL);
        cluster.queue(&[
            "101|0|PENDING|JobHeldUser",
            "102|N/A|PENDING|Dependency",
            "103|N/A|PENDING|Dependency",
            "4711|0|RUNNING|None",
        ]);
        cluster.lay("jobs", "4711 another-search\n");
        cluster.lay("shown", shown);
        let (code, stdout, stderr) = cluster.run(&["submit", "dir", "--array-size", "3"]);
        // The second reduce has the name of the first, which one of the two numbers is.
        assert_eq!(code, Some(0), "{shown}: {stderr}");
        assert!(stdout.contains("(job 101)"), "{shown}: {stdout}");
        assert!(cluster.calls("scancel").is_empty(), "{:?}", cluster.calls("scancel"));
    }
}

#[test]
fn only_jobs_of_the_round_are_cancelled_after_a_test() {
    let cluster = Cluster::new(SMALL);
    cluster.queue(&["77|0|PENDING|JobHeldUser", "4711|0|RUNNING|None"]);
    cluster.lay("jobs", "4711 another-search\n");
    cluster.lay("tested", "echo 4711");
    let (code, _, stderr) = cluster.run(&["submit", "dir", "--array-size", "3", "--rounds", "1"]);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(cluster.calls("scancel").is_empty(), "{:?}", cluster.calls("scancel"));
    // A wrapper that leaves `--test-only` out.
    let cluster = Cluster::new(SMALL);
    cluster.queue(&["77|0|PENDING|JobHeldUser", "4711|0|RUNNING|None"]);
    cluster.lay("jobs", "4711 another-search\n");
    cluster.lay("tested", "echo \"77 ${3#--job-name=}\" >> $FAKE/jobs; echo 4711; echo job 77");
    cluster.run(&["submit", "dir", "--array-size", "3", "--rounds", "1"]);
    assert_eq!(cluster.calls("scancel")[0], "scancel 77");
    assert!(cluster.calls("scancel").iter().all(|call| !call.contains("4711")));
}

#[test]
fn a_job_without_a_readable_id_is_taken_back() {
    let cluster = Cluster::new(SMALL);
    // It appears in the queue with the round's name.
    cluster.lay("shown", "echo '101|0|PENDING|JobHeldUser' > $FAKE/queue; echo Thank you");
    for _ in 0..2 {
        let (code, _, stderr) = cluster.run(&["submit", "dir", "--array-size", "3"]);
        assert_eq!(code, Some(4), "{stderr}");
        assert!(
            stderr.contains("`Thank you`") && stderr.contains("round 1 is not submitted"),
            "{stderr}"
        );
        assert_eq!(cluster.calls("scancel").pop().unwrap(), "scancel 101");
        cluster.queue(&[]);
        cluster.lay("number", "100\n");
        fs::remove_file(cluster.experiment.folder().join("jobs")).unwrap();
    }
    assert!(!cluster.experiment.path("rounds/0001/1/array.yaml").exists());
}

//! `metaqnn submit`, with a scheduler of our own on PATH: what is asked of it, and in which order.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::{Experiment, Program, SMALL, make_program};

/// A scheduler that records its calls: numbers jobs, knows their names, runs nothing. Its queue is
/// given by the test: lines of job, index, state and reason.
const SCHEDULER: &str = r#"#!/bin/sh
# What a program named like Slurm's was asked, one line a call.
name=$(basename "$0")
case "$*" in
  *--test-only*)
    echo "test $*" >> "$FAKE/calls"
    [ ! -e "$FAKE/tested" ] || sh "$FAKE/tested" "$@"
    if [ -e "$FAKE/verdict" ] && case "$*" in *$(head -n 1 "$FAKE/verdict")*) true ;; *) false ;; esac; then
      tail -n +2 "$FAKE/verdict" >&2
      exit 1
    fi
    echo "sbatch: Job 99 to start at 2026-03-01T12:00:00 using 1 processors on nodes n1 in partition batch" >&2
    exit 0 ;;
esac
echo "$name $*" >> "$FAKE/calls"
echo "$name ${SLURM_CLUSTERS-}${SBATCH_ACCOUNT-}${SBATCH_GRES-}" >> "$FAKE/variables"
case "$name" in
  sbatch)
    if [ -e "$FAKE/refusal" ] && case "$*" in *$(head -n 1 "$FAKE/refusal")*) true ;; *) false ;; esac; then
      tail -n +2 "$FAKE/refusal" >&2
      exit 1
    fi
    if [ -e "$FAKE/limit" ] && case "$*" in *$(cat "$FAKE/limit")*) true ;; *) false ;; esac; then
      echo "sbatch: error: AssocMaxSubmitJobLimit" >&2
      echo "sbatch: error: Batch job submission failed: Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)" >&2
      exit 1
    fi
    number=$(($(cat "$FAKE/number" 2>/dev/null || echo 100) + 1))
    echo "$number" > "$FAKE/number"
    for argument; do case "$argument" in --job-name=*) echo "$number ${argument#--job-name=}" >> "$FAKE/jobs" ;; esac; done
    # What a site's wrapper makes of the answer.
    [ ! -e "$FAKE/shown" ] || { number=$number sh "$FAKE/shown"; exit 0; }
    echo "$number" ;;
  scontrol) case "$*" in *config*) echo "MaxArraySize            = 6" ;; *hostnames*) echo "$3" | tr , '\n' ;; esac ;;
  sinfo) cat "$FAKE/nodes" ;;
  squeue)
    touch "$FAKE/jobs" "$FAKE/queue"
    for argument; do case "$argument" in --name=*) names=${argument#--name=} ;; --jobs=*) jobs=${argument#--jobs=} ;; esac; done
    awk -v names=",$names," -v jobs=",$jobs," '
      FNR == NR { named[$1] = index(names, "," $2 ",") || index(jobs, "," $1 ","); next }
      { split($0, column, "|") } named[column[1]]' "$FAKE/jobs" "$FAKE/queue" ;;
esac
"#;

struct Cluster {
    experiment: Experiment,
}

impl Cluster {
    fn new(config: &str) -> Self {
        let experiment = Experiment::init(config);
        let bin = experiment.folder().join("bin");
        fs::create_dir(&bin).unwrap();
        for name in ["sbatch", "scontrol", "scancel", "squeue", "sinfo"] {
            make_program(&bin.join(name), Program::Script(SCHEDULER));
        }
        Self { experiment }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let folder = self.experiment.folder();
        let path = format!("{}:{}", folder.join("bin").display(), std::env::var("PATH").unwrap());
        let mut command = self.experiment.command(arguments);
        command.env("PATH", path).env("FAKE", folder);
        command
    }

    fn run(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        let output = self.command(arguments).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    }

    /// Lays down what is in the queue.
    fn queue(&self, lines: &[&str]) {
        fs::write(self.experiment.folder().join("queue"), lines.join("\n") + "\n").unwrap();
    }

    fn calls(&self, program: &str) -> Vec<String> {
        let calls = fs::read_to_string(self.experiment.folder().join("calls")).unwrap_or_default();
        calls.lines().filter(|line| line.starts_with(program)).map(str::to_owned).collect()
    }
}

#[test]
fn a_round_is_held_arrays_then_reduces_then_a_release() {
    let cluster = Cluster::new(SMALL);
    let (code, stdout, stderr) = cluster.run(&["submit", "dir"]);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stdout.contains("round 1: 12 tasks at epsilon 1"), "{stdout}");
    let sbatch = cluster.calls("sbatch");
    // 12 tasks at a MaxArraySize of 6 are two parts, one after the other.
    assert!(sbatch[0].contains("--array=0-5%10") && sbatch[0].contains("--hold"), "{sbatch:?}");
    assert!(
        sbatch[1].contains("--array=0-5%10") && sbatch[1].contains("--dependency=afterany:101")
    );
    assert!(sbatch[2].contains("--dependency=afterany:101:102"), "{sbatch:?}");
    assert!(sbatch[3].contains("--dependency=afternotok:103"), "{sbatch:?}");
    assert_eq!(sbatch.len(), 4);
    // Each script was tried before anything was held.
    let tested = cluster.calls("test");
    assert!(
        tested[0].contains("--array=0-5%10") && tested[0].ends_with("rounds/0001/1/train.sbatch")
    );
    assert!(tested[1].ends_with("rounds/0001/1/reduce.sbatch") && tested.len() == 2, "{tested:?}");
    let released = cluster.calls("scontrol release");
    assert_eq!(released.len(), 2, "{released:?}");
    for file in ["plan.yaml", "array.yaml", "jobs.yaml", "train.sbatch", "reduce.sbatch"] {
        assert!(cluster.experiment.path("rounds/0001/1").join(file).exists(), "{file}");
    }
    let script = cluster.experiment.text("rounds/0001/1/train.sbatch");
    assert!(
        script.contains("#SBATCH --signal=B:USR1@120") && script.contains("--round 1"),
        "{script}"
    );
}

#[test]
fn submitting_again_goes_on_at_the_first_missing_file() {
    let cluster = Cluster::new(SMALL);
    cluster.run(&["submit", "dir"]);
    fs::remove_file(cluster.experiment.path("rounds/0001/1/jobs.yaml")).unwrap();
    cluster.queue(&["101|0|PENDING|JobHeldUser", "102|0|PENDING|JobHeldUser"]);
    let (code, ..) = cluster.run(&["submit", "dir"]);
    assert_eq!(code, Some(0));
    let sbatch = cluster.calls("sbatch");
    assert_eq!(sbatch.len(), 6, "two more reduces, no more arrays: {sbatch:?}");
    assert!(sbatch[4].contains("--dependency=afterany:101:102"));
}

#[test]
fn a_dry_run_shows_everything_and_submits_nothing() {
    let cluster = Cluster::new(SMALL);
    let (code, stdout, _) = cluster.run(&["submit", "dir", "--dry-run", "--", "--mail-type=END"]);
    assert_eq!(code, Some(0));
    assert!(stdout.contains("--array=0-5%10") && stdout.contains("--mail-type=END"), "{stdout}");
    assert!(stdout.contains("#SBATCH"), "the script is shown: {stdout}");
    assert!(cluster.calls("sbatch").is_empty());
    assert!(!cluster.experiment.path("rounds/0001").exists());
}

#[test]
fn options_of_a_person_reach_sbatch_and_those_of_the_program_are_refused() {
    let cluster = Cluster::new(SMALL);
    let (code, _, stderr) = cluster.run(&["submit", "dir", "--", "--array=0-99"]);
    assert_eq!(code, Some(2), "{stderr}");
    assert!(cluster.calls("sbatch").is_empty());
    let (code, ..) =
        cluster.run(&["submit", "dir", "--array-size", "4", "--max-parallel", "2", "--", "--nice"]);
    assert_eq!(code, Some(0));
    assert!(
        cluster.calls("sbatch")[0].contains("--array=0-3%2")
            && cluster.calls("sbatch")[0].contains("--nice")
    );
}

#[test]
fn cancel_halts_and_submit_goes_on() {
    let cluster = Cluster::new(SMALL);
    cluster.run(&["submit", "dir"]);
    let (code, ..) = cluster.run(&["cancel", "dir"]);
    assert_eq!(code, Some(0));
    assert_eq!(cluster.experiment.log().last().unwrap()["event"], "halted");
    let trained = cluster.experiment.run(&["train", "dir"]).success();
    trained.says("halted");
    assert_eq!(cluster.experiment.log().len(), 1, "nothing is claimed while halted");
    cluster.run(&["cancel", "dir"]);
    assert_eq!(cluster.experiment.log().len(), 1, "halted once");
    cluster.run(&["submit", "dir"]);
    assert_eq!(cluster.experiment.log().last().unwrap()["event"], "resumed");
}

#[test]
fn a_limit_on_submitted_jobs_is_reported() {
    let cluster = Cluster::new(SMALL);
    fs::write(cluster.experiment.folder().join("limit"), "").unwrap();
    let (code, _, stderr) = cluster.run(&["submit", "dir"]);
    assert_eq!(code, Some(4), "{stderr}");
    assert!(
        stderr.contains("limit on submitted jobs") && stderr.contains("slurm.array_size"),
        "{stderr}"
    );
}

#[test]
fn an_unknown_limit_on_arrays_submits_nothing() {
    let cluster = Cluster::new(SMALL);
    let silent = Program::Script("#!/bin/sh\necho 'slurm_load_ctl_conf error' >&2\nexit 1\n");
    make_program(&cluster.experiment.folder().join("bin/scontrol"), silent);
    let (code, _, stderr) = cluster.run(&["submit", "dir"]);
    assert_eq!(code, Some(4), "{stderr}");
    assert!(stderr.contains("slurm_load_ctl_conf error"), "{stderr}");
    assert!(cluster.calls("sbatch").is_empty());
    assert!(!cluster.experiment.path("rounds/0001/1").exists());
    let (code, stdout, _) = cluster.run(&["submit", "dir", "--dry-run"]);
    assert_eq!(code, Some(0), "a dry run takes Slurm's default");
    assert!(stdout.contains("--array=0-11%10"), "{stdout}");
}

#[test]
fn without_a_scheduler_submit_says_what_to_do() {
    let experiment = Experiment::init(SMALL);
    let output =
        experiment.command(&["submit", "dir"]).env("PATH", "/nonexistent").output().unwrap();
    assert_eq!(output.status.code(), Some(4));
    assert!(String::from_utf8_lossy(&output.stderr).contains("metaqnn run"));
}

#[test]
fn a_broken_chain_is_seen_and_mended() {
    let cluster = Cluster::new(SMALL);
    cluster.run(&["submit", "dir"]);
    // The queue of this scheduler is always empty: the round has vanished.
    let (_, stdout, _) = cluster.run(&["status", "dir"]);
    assert!(stdout.contains("metaqnn submit"), "{stdout}");
    let (_, stdout, _) = cluster.run(&["submit", "dir"]);
    assert!(stdout.contains("round 2"), "{stdout}");
}

#[test]
fn a_folder_without_a_plan_is_the_next_round() {
    let cluster = Cluster::new(SMALL);
    fs::create_dir_all(cluster.experiment.path("rounds/0001")).unwrap();
    let (code, stdout, stderr) = cluster.run(&["submit", "dir"]);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stdout.contains("round 1: 12 tasks"), "{stdout}");
}

#[test]
fn a_round_whose_held_arrays_were_cancelled_is_rendered_anew() {
    let cluster = Cluster::new(SMALL);
    cluster.run(&["submit", "dir"]);
    fs::remove_file(cluster.experiment.path("rounds/0001/1/jobs.yaml")).unwrap();
    let (_, stdout, _) = cluster.run(&["submit", "dir", "--array-size", "3"]);
    assert!(stdout.contains("round 1 is rendered anew"), "{stdout}");
    assert!(stdout.contains("round 1: 3 tasks"), "{stdout}");
    cluster.experiment.text("rounds/0001/2/jobs.yaml");
    cluster.experiment.run(&["verify", "dir"]).success();
}

#[test]
fn a_round_whose_tasks_are_ending_is_not_waited_for() {
    let cluster = Cluster::new(SMALL);
    cluster.run(&["submit", "dir"]);
    cluster.queue(&["101|0|COMPLETING|None", "104|N/A|PENDING|DependencyNeverSatisfied"]);
    let (_, stdout, _) = cluster.run(&["submit", "dir"]);
    assert!(stdout.contains("round 2"), "{stdout}");
}

#[test]
fn a_round_under_way_keeps_to_its_options_and_says_so() {
    let cluster = Cluster::new(SMALL);
    cluster.run(&["submit", "dir"]);
    cluster.queue(&["101|0|RUNNING|None", "103|N/A|PENDING|Dependency"]);
    let (_, stdout, _) = cluster.run(&["submit", "dir", "--array-size", "3"]);
    assert!(stdout.contains("round 1 is under way") && stdout.contains("keep to"), "{stdout}");
    assert_eq!(cluster.calls("sbatch").len(), 4, "nothing more is submitted");
    let (_, stdout, _) = cluster.run(&["submit", "dir", "--dry-run"]);
    assert!(stdout.contains("round 1 is under way"), "{stdout}");
}

#[test]
fn a_round_that_was_never_released_is_a_broken_chain() {
    let cluster = Cluster::new(SMALL);
    cluster.run(&["submit", "dir"]);
    cluster.queue(&["101|0|PENDING|JobHeldUser", "103|N/A|PENDING|Dependency"]);
    let (_, stdout, _) = cluster.run(&["status", "dir"]);
    assert!(stdout.contains("Chain broken: round 1 was not submitted to its end"), "{stdout}");
    cluster.queue(&["101|0|RUNNING|None", "103|N/A|PENDING|Dependency"]);
    let (_, stdout, _) = cluster.run(&["status", "dir"]);
    assert!(!stdout.contains("hain broken"), "{stdout}");
}

#[test]
fn parts_of_a_round_that_meets_a_limit_are_taken_back() {
    let cluster = Cluster::new(SMALL);
    fs::write(cluster.experiment.folder().join("limit"), "afterany:101").unwrap();
    let (code, ..) = cluster.run(&["submit", "dir"]);
    assert_eq!(code, Some(4));
    assert_eq!(cluster.calls("scancel"), ["scancel 101"]);
    fs::remove_file(cluster.experiment.folder().join("limit")).unwrap();
    let (_, stdout, _) = cluster.run(&["submit", "dir"]);
    assert!(stdout.contains("round 1: 12 tasks at epsilon 1.0 (job 102, 103)"), "{stdout}");
}

#[test]
fn cancel_lets_a_running_reduce_end_by_itself() {
    let cluster = Cluster::new(SMALL);
    cluster.run(&["submit", "dir"]);
    cluster.queue(&["101|0|RUNNING|None", "103|N/A|RUNNING|None", "104|N/A|PENDING|Dependency"]);
    let (code, _, stderr) = cluster.run(&["cancel", "dir"]);
    assert_eq!(code, Some(0), "{stderr}");
    assert_eq!(cluster.calls("scancel"), ["scancel 101 104"]);
    assert!(stderr.contains("reduce of round 1 runs"), "{stderr}");
    let (_, _, stderr) = cluster.run(&["reduce", "dir", "--round", "2"]);
    assert!(stderr.contains("there is no round 2"), "{stderr}");
    assert!(!cluster.experiment.path("rounds/0002").exists(), "looking makes nothing");
}

#[test]
fn a_round_that_is_not_there_is_not_reduced() {
    let cluster = Cluster::new(SMALL);
    cluster.experiment.run(&["train", "dir"]).success();
    let reduce = |round| cluster.run(&["reduce", "dir", "--round", round]);
    let (code, _, stderr) = reduce("1");
    assert_eq!(code, Some(2), "{stderr}");
    assert!(stderr.contains("there is no round 1: none was submitted yet"), "{stderr}");
    cluster.run(&["submit", "dir"]);
    let (code, _, stderr) = reduce("99");
    assert_eq!(code, Some(2), "{stderr}");
    assert!(stderr.contains("there is no round 99: the newest is round 1"), "{stderr}");
    assert_eq!(fs::read_dir(cluster.experiment.path("views")).unwrap().count(), 0, "no view");
}

#[test]
fn the_reduce_of_a_halted_search_submits_nothing() {
    let cluster = Cluster::new(SMALL);
    cluster.run(&["submit", "dir"]);
    cluster.run(&["cancel", "dir"]);
    let (code, _, stderr) = cluster.run(&["reduce", "dir", "--round", "1"]);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stderr.contains("halted"), "{stderr}");
    assert_eq!(cluster.calls("sbatch").len(), 4);
}

/// Runs the reduce of round 1 as the job 103, as Slurm would.
fn reduce_as_a_job(cluster: &Cluster) -> (Option<i32>, String) {
    let output = cluster
        .command(&["reduce", "dir", "--round", "1"])
        .env("SLURM_JOB_ID", "103")
        .output()
        .unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn an_early_reduce_is_requeued() {
    let cluster = Cluster::new(SMALL);
    cluster.run(&["submit", "dir"]);
    cluster.queue(&["101|0|RUNNING|None", "103|N/A|RUNNING|None"]);
    let (code, stderr) = reduce_as_a_job(&cluster);
    assert_eq!(code, Some(75), "{stderr}");
    assert!(stderr.contains("have not ended yet"), "{stderr}");
    assert_eq!(cluster.calls("scontrol requeue"), ["scontrol requeue 103"]);
    // By hand it is an error and no more: this process is no job.
    let (code, ..) = cluster.run(&["reduce", "dir", "--round", "1"]);
    assert_eq!(code, Some(75));
    assert_eq!(cluster.calls("scontrol requeue").len(), 1);
}

#[test]
fn a_reduce_that_meets_a_limit_is_requeued() {
    let cluster = Cluster::new(SMALL);
    cluster.run(&["submit", "dir"]);
    cluster.queue(&["103|N/A|RUNNING|None"]);
    fs::write(cluster.experiment.folder().join("limit"), "0002").unwrap();
    let (code, stderr) = reduce_as_a_job(&cluster);
    assert_eq!(code, Some(75), "{stderr}");
    assert!(stderr.contains("limit on submitted jobs"), "{stderr}");
    assert_eq!(cluster.calls("scontrol requeue"), ["scontrol requeue 103"]);
}

#[test]
fn a_reduce_cancels_held_arrays_that_no_file_names() {
    let cluster = Cluster::new(SMALL);
    cluster.run(&["submit", "dir"]);
    let name = cluster.calls("sbatch")[0].split_whitespace().nth(2).unwrap().to_owned();
    let jobs = cluster.experiment.folder().join("jobs");
    let known = fs::read_to_string(&jobs).unwrap();
    fs::write(&jobs, format!("{known}99 {}\n", name.trim_start_matches("--job-name="))).unwrap();
    cluster.queue(&["99|0|PENDING|JobHeldUser", "103|N/A|RUNNING|None"]);
    reduce_as_a_job(&cluster);
    assert_eq!(cluster.calls("scancel"), ["scancel 99"]);
}

#[test]
fn the_claims_of_a_job_in_the_queue_are_not_lost() {
    let cluster = Cluster::new(SMALL);
    fs::write(cluster.experiment.folder().join("jobs"), "77 by-hand\n").unwrap();
    cluster.queue(&["77|0|RUNNING|None"]);
    let (code, _, stderr) = cluster.run(&["reduce", "dir", "--after", "77"]);
    assert_eq!(code, Some(75), "{stderr}");
    assert!(stderr.contains("job 77 has not ended yet"), "{stderr}");
    cluster.queue(&[]);
    let (code, ..) = cluster.run(&["reduce", "dir", "--after", "77"]);
    assert_eq!(code, Some(0));
}

#[test]
fn jobs_are_found_whatever_path_leads_to_the_experiment() {
    let cluster = Cluster::new(SMALL);
    std::os::unix::fs::symlink("dir", cluster.experiment.folder().join("link")).unwrap();
    cluster.run(&["submit", "link"]);
    cluster.queue(&["101|0|RUNNING|None", "103|N/A|PENDING|Dependency"]);
    let (_, stdout, _) = cluster.run(&["submit", "./dir/../dir"]);
    assert!(stdout.contains("round 1 is under way"), "{stdout}");
    cluster.run(&["cancel", "dir"]);
    assert_eq!(cluster.calls("scancel"), ["scancel 101 103"]);
}

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
    write_log(&cluster, "101_2.log", "the epsilon schedule is finished\n");
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

impl Cluster {
    /// Has `sbatch` refuse calls that hold `pattern`.
    fn refuses(&self, pattern: &str, words: &str) {
        self.lay("refusal", &format!("{pattern}\n{words}\n"));
    }

    fn lay(&self, name: &str, text: &str) {
        fs::write(self.experiment.folder().join(name), text).unwrap();
    }

    fn remove(&self, name: &str) {
        fs::remove_file(self.experiment.folder().join(name)).unwrap();
    }

    /// The lines of options in a script of round 1.
    fn options(&self, script: &str) -> Vec<String> {
        let text = self.experiment.text(&format!("rounds/0001/{script}"));
        text.lines().filter(|line| line.starts_with("#SBATCH")).map(str::to_owned).collect()
    }
}

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

/// Runs a command with more variables.
fn run_with(cluster: &Cluster, arguments: &[&str], variables: &[(&str, &str)]) -> (String, String) {
    let mut command = cluster.command(arguments);
    command.envs(variables.iter().copied());
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}", text(&output.stderr));
    (text(&output.stdout), text(&output.stderr))
}

#[test]
fn account_and_cluster_of_the_persons_environment_hold_in_every_round() {
    let config = SMALL.replace("training:", "slurm: {qos: long, array_size: 3}\ntraining:");
    let cluster = Cluster::new(&config);
    let variables = [
        ("SBATCH_ACCOUNT", "lab"),
        ("SBATCH_QOS", "short"),
        ("SLURM_CLUSTERS", "north"),
        ("SBATCH_GRES", "gpu:8"),
    ];
    let (_, stderr) = run_with(&cluster, &["submit", "dir"], &variables);
    assert!(stderr.contains("`SBATCH_QOS=short` is not used"), "{stderr}");
    assert!(stderr.contains("not used: SBATCH_GRES"), "{stderr}");
    for script in ["1/train.sbatch", "1/reduce.sbatch"] {
        let options = cluster.options(script);
        assert!(options.contains(&"#SBATCH --account=lab".to_owned()), "{options:?}");
        assert!(options.contains(&"#SBATCH --qos=long".to_owned()), "{options:?}");
    }
    assert!(cluster.experiment.text("rounds/0001/1/plan.yaml").contains("SBATCH_ACCOUNT: lab"));
    // The next round is submitted from within a job, whose environment says something else.
    let job = [("SBATCH_ACCOUNT", "other"), ("SLURM_CLUSTERS", "south"), ("SLURM_JOB_ID", "102")];
    run_with(&cluster, &["reduce", "dir", "--round", "1"], &job);
    let second = cluster.experiment.text("rounds/0002/1/train.sbatch");
    assert!(second.contains("#SBATCH --account=lab"), "{second}");
    run_with(&cluster, &["status", "dir"], &[]);
    run_with(&cluster, &["cancel", "dir"], &[]);
    let calls = fs::read_to_string(cluster.experiment.folder().join("calls")).unwrap();
    assert!(calls.lines().all(|call| call.contains("--clusters=north")), "{calls}");
    let seen = fs::read_to_string(cluster.experiment.folder().join("variables")).unwrap();
    assert!(seen.lines().all(|line| line.ends_with(" north")), "{seen}");
}

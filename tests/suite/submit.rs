//! `metaqnn submit`, with a scheduler of our own on PATH: what is asked of it, and in which order.

mod chains; // hosts at fault, tasks without a claim, chains that end
mod pending; // why jobs wait
mod refusals; // what the scheduler refuses, and how it answers

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
fn siblings_are_submitted_each_once() {
    let cluster = Cluster::new(SMALL);
    cluster.run(&["submit", "dir"]);
    cluster.queue(&["101|0|RUNNING|None", "103|N/A|PENDING|Dependency"]);
    let (code, stdout, stderr) = cluster.run(&["submit", "dir", "--seeds", "2"]);
    assert_eq!(code, Some(0), "{stderr}");
    let heads = |line: &&str| line.ends_with(':');
    assert_eq!(stdout.lines().filter(heads).count(), 2, "{stdout}");
    assert!(
        stdout.contains("round 1 is under way") && stdout.contains("/dir-seed2:\n"),
        "{stdout}"
    );
    let sbatch = cluster.calls("sbatch");
    let of_sibling = |line: &&String| line.contains("/dir-seed2/rounds/0001/1/");
    assert_eq!(sbatch.iter().filter(of_sibling).count(), 4, "{sbatch:?}");
    assert_eq!(sbatch.len(), 8, "none of the first again: {sbatch:?}");
    let (code, ..) = cluster.run(&["submit", "dir", "--seeds", "2", "--dry-run"]);
    assert_eq!(code, Some(2));
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

#[test]
fn tables_that_cannot_be_written_do_not_keep_the_next_round_back() {
    let cluster = Cluster::new(SMALL);
    cluster.run(&["submit", "dir"]);
    cluster.experiment.task("dir", "0").arg("--round=1").status().unwrap();
    // A folder where a file is to be.
    fs::create_dir_all(cluster.experiment.path("tables/iterations.csv")).unwrap();
    let (code, _, stderr) = cluster.run(&["reduce", "dir", "--round", "1", "-q"]);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stderr.contains("error: the tables are not written: "), "{stderr}");
    assert!(cluster.experiment.path("rounds/0002").exists(), "{stderr}");
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

#[test]
fn a_list_is_submitted_by_what_is_left_of_it() {
    let config = SMALL.replace(
        "epsilon_schedule:",
        "strategy: {kind: list, list: {architectures: ['[SM(10)]', '[GAP(10), SM(10)]'], \
         repeats: 4}}\n\
         slurm: {max_parallel: 3}\n\
         epsilon_schedule:",
    );
    let cluster = Cluster::new(&config);
    let task = |number: &str| {
        let mut train = cluster.command(&["train", "dir", "--round", "1"]);
        train.env("SLURM_JOB_ID", "101").env("SLURM_ARRAY_JOB_ID", "101");
        train.env("SLURM_ARRAY_TASK_ID", number);
        assert!(train.output().unwrap().status.success());
    };
    let (code, said, stderr) = cluster.run(&["submit", "dir"]);
    assert_eq!(code, Some(0), "{stderr}");
    // Of a cluster whose arrays have six tasks at most.
    assert!(said.contains("round 1: 8 tasks (job"), "{said}");
    assert!(cluster.calls("sbatch")[0].contains("--array=0-5%3"), "{:?}", cluster.calls("sbatch"));
    ["0", "1", "2"].into_iter().for_each(task);
    let (code, said, stderr) = cluster.run(&["reduce", "dir", "--round", "1"]);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(
        said.contains("round 2: 5 tasks") || stderr.contains("round 2: 5 tasks"),
        "{said}{stderr}"
    );
    for number in 0..5 {
        task(&format!("1{number}"));
    }
    let (code, said, stderr) = cluster.run(&["reduce", "dir", "--round", "2"]);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(format!("{said}{stderr}").contains("the search is finished"), "{said}{stderr}");
    cluster.experiment.run(&["verify", "dir"]).success();
}

//! `metaqnn submit`, with a scheduler of our own on PATH: what is asked of it, and in which order.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::support::{Experiment, SMALL};

/// A scheduler that takes down what it is told: numbers jobs, knows their names, runs nothing.
const SCHEDULER: &str = r#"#!/bin/sh
# What a program named like Slurm's was asked, one line a call.
name=$(basename "$0")
echo "$name $*" >> "$FAKE/calls"
case "$name" in
  sbatch)
    if [ -e "$FAKE/limit" ]; then
      echo "sbatch: error: AssocMaxSubmitJobLimit" >&2
      echo "sbatch: error: Batch job submission failed: Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)" >&2
      exit 1
    fi
    number=$(($(cat "$FAKE/number" 2>/dev/null || echo 100) + 1))
    echo "$number" > "$FAKE/number"
    for argument; do case "$argument" in --job-name=*) echo "$number ${argument#--job-name=}" >> "$FAKE/jobs" ;; esac; done
    echo "$number" ;;
  scontrol) case "$*" in *config*) echo "MaxArraySize            = 6" ;; esac ;;
  squeue) exit 0 ;;
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
        for name in ["sbatch", "scontrol", "scancel", "squeue"] {
            fs::write(bin.join(name), SCHEDULER).unwrap();
            fs::set_permissions(bin.join(name), fs::Permissions::from_mode(0o755)).unwrap();
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
    let released = cluster.calls("scontrol release");
    assert_eq!(released.len(), 2, "{released:?}");
    for file in ["plan.yaml", "array.yaml", "jobs.yaml", "train.sbatch", "reduce.sbatch"] {
        assert!(cluster.experiment.path("rounds/0001").join(file).exists(), "{file}");
    }
    let script = cluster.experiment.text("rounds/0001/train.sbatch");
    assert!(
        script.contains("#SBATCH --signal=B:USR1@120") && script.contains("--round 1"),
        "{script}"
    );
}

#[test]
fn submitting_again_goes_on_at_the_first_missing_file() {
    let cluster = Cluster::new(SMALL);
    cluster.run(&["submit", "dir"]);
    fs::remove_file(cluster.experiment.path("rounds/0001/jobs.yaml")).unwrap();
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
fn a_limit_on_submitted_jobs_is_told() {
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

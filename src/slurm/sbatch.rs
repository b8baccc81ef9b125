//! Slurm, through its commands: `sbatch`, `squeue`, `scontrol`, `scancel`.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::io::{self, ErrorKind};
use std::process::{Command, ExitStatus, Output, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use itertools::Itertools;
use jiff::Timestamp;
use rustix::process::{Pid, Signal, kill_process};

use super::answers::{
    ALLOCATION_FAILURE, FORGOTTEN, PartitionNode, SINFO_FORMAT, SQUEUE_FORMAT, is_submit_limit,
    one_line, parse_end_time, parse_sinfo, parse_squeue, refused_for_good,
};
use super::environment::{CLUSTER, Variables, submission_environment};
use super::job::{ids_on_lines, numbers_in, text_lines};
use super::quoting::command_line;
use super::{ClusterConfig, JobId, JobSpec, JobStates, Scheduler, SlurmError, TaskId};

#[derive(Debug, Clone)]
pub struct Slurm {
    environment: Variables,
    /// How long an answer may take: unlimited, unless a person waits for it.
    limit: Option<Duration>,
}

impl Slurm {
    /// The cluster that the commands on `PATH` lead to, or another one.
    pub fn new(variables: &Variables, cluster: Option<&str>) -> Self {
        let mut environment = submission_environment(variables);
        environment.extend(cluster.map(|cluster| (CLUSTER.into(), cluster.into())));
        Self { environment, limit: None }
    }

    pub fn within(self, limit: Duration) -> Self {
        Self { limit: Some(limit), ..self }
    }

    pub fn end_time(&self, task: TaskId) -> Result<Option<Timestamp>, SlurmError> {
        // Slurm writes the reader's local time, without its offset.
        let mut in_utc = self.clone();
        in_utc.environment.insert("TZ".into(), "UTC0".into());
        let arguments = ["show", "job", "--oneliner", &task.to_string()];
        let answer = in_utc.ask("scontrol", arguments)?.success()?;
        parse_end_time(&answer.stdout)
            .map_err(|line| answer.unreadable(&line, "`EndTime=` and a time"))
    }

    /// Ends this task now, to start again later; `false` when that is forbidden. Never in answer to
    /// TERM: such a job cannot be cancelled, since `scancel` sends TERM too.
    pub fn requeue(&self, task: TaskId) -> Result<bool, SlurmError> {
        let answer = self.ask("scontrol", ["requeue", &task.to_string()])?;
        let is_forbidden = answer.failed_with("Requested operation is presently disabled");
        // Slurm requeues a preempted task by itself.
        if is_forbidden || answer.failed_with("Job is pending execution") {
            return Ok(!is_forbidden);
        }
        answer.success().map(|_| true)
    }

    pub fn config(&self) -> Result<ClusterConfig, SlurmError> {
        let answer = self.ask("scontrol", ["show", "config"])?.success()?;
        Ok(ClusterConfig::parse(&answer.stdout))
    }

    /// Those of the partition, or of the default one, that take jobs now or later.
    pub fn nodes(&self, partition: Option<&str>) -> Result<BTreeSet<String>, SlurmError> {
        let nodes = self.sinfo(partition)?.into_iter();
        let is_wanted =
            |node: &PartitionNode| node.takes_jobs && (node.is_of_default || partition.is_some());
        Ok(nodes.filter(is_wanted).map(|node| node.name).collect())
    }

    fn sinfo(&self, partition: Option<&str>) -> Result<Vec<PartitionNode>, SlurmError> {
        let columns = ["--noheader", "--Node", SINFO_FORMAT].map(str::to_owned);
        let partition = partition.map(|partition| format!("--partition={partition}"));
        let answer = self.ask("sinfo", columns.into_iter().chain(partition))?.success()?;
        parse_sinfo(&answer.stdout)
            .map_err(|line| answer.unreadable(&line, "node, partition and state between `|`"))
    }

    pub fn host_names(&self, list: &str) -> Result<Vec<String>, SlurmError> {
        let answer = self.ask("scontrol", ["show", "hostnames", list])?.success()?;
        Ok(answer.stdout.split_whitespace().map(str::to_owned).collect())
    }

    fn squeue(&self, selection: [&str; 2]) -> Result<BTreeMap<JobId, JobStates>, SlurmError> {
        let columns = ["--noheader", "--array", SQUEUE_FORMAT];
        let answer = self.ask("squeue", columns.into_iter().chain(selection))?;
        // One job asked for, and forgotten: with several, squeue silently leaves it out.
        if answer.failed_with(FORGOTTEN) {
            return Ok(BTreeMap::new());
        }
        let answer = answer.success()?;
        parse_squeue(&answer.stdout)
            .map_err(|line| answer.unreadable(&line, "job, index, state and reason between `|`"))
    }

    /// Runs a command to its end, in this environment and no other.
    fn ask(
        &self,
        program: &'static str,
        arguments: impl IntoIterator<Item = impl Into<String>>,
    ) -> Result<CommandOutput, SlurmError> {
        let cluster = self.environment.get(OsStr::new(CLUSTER));
        let cluster = cluster.map(|name| format!("--clusters={}", name.display()));
        let all = cluster.into_iter().chain(arguments.into_iter().map(Into::into)).collect_vec();
        let mut command = Command::new(program);
        command.args(&all).env_clear().envs(&self.environment).stdin(Stdio::null());
        let output = match self.limit {
            None => command.output(),
            Some(limit) => output_within(command, limit),
        };
        let output = output.map_err(|source| match (source.kind(), self.limit) {
            (ErrorKind::NotFound, _) => SlurmError::Missing { command: program },
            (ErrorKind::TimedOut, Some(limit)) => {
                SlurmError::Silent { program, seconds: limit.as_secs() }
            }
            _ => SlurmError::Start { program, source },
        })?;
        Ok(CommandOutput {
            command: command_line(program, &all),
            status: output.status,
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        })
    }

    /// The only line that `sbatch` printed; of several ids, the one that is queued by this name.
    fn submitted_id(&self, job: &JobSpec, answer: &CommandOutput) -> Option<JobId> {
        let ids = ids_on_lines(&answer.stdout);
        let only_id = ids.first().copied().filter(|_| ids.len() == 1);
        if only_id.is_some() && text_lines(&answer.stdout).len() == 1 {
            return only_id;
        }
        let queued = self.find(std::slice::from_ref(&job.name)).unwrap_or_else(|error| {
            log::info!("the queue does not say which job was submitted: {error}");
            BTreeMap::new()
        });
        let numbers = numbers_in(&format!("{}\n{}", answer.stdout, answer.stderr));
        let named = [ids, numbers].into_iter().find_map(|candidates| {
            candidates.into_iter().filter(|id| queued.contains_key(id)).exactly_one().ok()
        });
        named.or(only_id.filter(|_| queued.is_empty()))
    }
}

impl Scheduler for Slurm {
    fn test(&self, job: &JobSpec) -> Result<Option<String>, SlurmError> {
        // Held: a wrapper that leaves `--test-only` out submits a job, which must not start.
        let mut arguments = vec!["--test-only".to_owned()];
        arguments.extend(JobSpec { held: true, ..job.clone() }.sbatch_arguments());
        let answer = self.ask("sbatch", arguments)?;
        // Only jobs of this name: a number in a wrapper's banner may be the id of another job.
        let mut submitted = numbers_in(&answer.stdout);
        if !submitted.is_empty() {
            let queued = self.find(std::slice::from_ref(&job.name))?;
            submitted.retain(|id| queued.contains_key(id));
            self.cancel(&Vec::from_iter(submitted))?;
        }
        if answer.status.success() {
            return Ok(None);
        }
        let words = format!("{}\n{}", answer.stderr, answer.stdout);
        if !words.contains(ALLOCATION_FAILURE) {
            // A wrapper that does not know `--test-only`: the submission itself decides.
            log::info!("`{}` is submitted untested: {}", job.name, one_line(&words));
            return Ok(None);
        }
        let is_out =
            || self.sinfo(None).is_ok_and(|nodes| nodes.iter().any(|node| !node.takes_jobs));
        match refused_for_good(&words) {
            // Only nodes that take jobs now are considered: a drained one may be large enough.
            Some(verdict) if !(verdict.contains("node configuration") && is_out()) => {
                let (words, command) = (one_line(&answer.stderr), answer.command);
                Err(SlurmError::Impossible { command, words })
            }
            _ => Ok(Some(one_line(&words))),
        }
    }

    fn submit(&self, job: &JobSpec) -> Result<JobId, SlurmError> {
        let answer = self.ask("sbatch", job.sbatch_arguments())?.success()?;
        self.submitted_id(job, &answer).ok_or_else(|| {
            answer.unreadable(&one_line(&answer.stdout), "a job id, or `id;cluster`")
        })
    }

    fn find(&self, names: &[String]) -> Result<BTreeMap<JobId, JobStates>, SlurmError> {
        let user = rustix::process::geteuid().as_raw();
        self.squeue([&format!("--user={user}"), &format!("--name={}", names.join(","))])
    }

    fn states(&self, jobs: &[JobId]) -> Result<BTreeMap<JobId, JobStates>, SlurmError> {
        if jobs.is_empty() {
            return Ok(BTreeMap::new());
        }
        self.squeue(["--states=all", &format!("--jobs={}", jobs.iter().join(","))])
    }

    fn release(&self, job: JobId) -> Result<(), SlurmError> {
        self.ask("scontrol", ["release", &job.to_string()])?.success_or_ended()
    }

    fn cancel(&self, jobs: &[JobId]) -> Result<(), SlurmError> {
        if jobs.is_empty() {
            return Ok(());
        }
        self.ask("scancel", jobs.iter().map(JobId::to_string))?.success_or_ended()
    }

    fn max_array_size(&self) -> Result<u32, SlurmError> {
        let answer = self.ask("scontrol", ["show", "config"])?.success()?;
        let size = ClusterConfig::parse(&answer.stdout).max_array_size;
        size.ok_or_else(|| answer.unreadable("", "a line `MaxArraySize = NUMBER`"))
    }
}

/// Kills a program that takes longer. What that has started itself may live on.
fn output_within(mut command: Command, limit: Duration) -> io::Result<Output> {
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let process = Pid::from_child(&child);
    let (sender, output) = mpsc::channel();
    thread::Builder::new().spawn(move || sender.send(child.wait_with_output()))?;
    output.recv_timeout(limit).unwrap_or_else(|_| {
        // It may have ended just now.
        let _ = kill_process(process, Signal::KILL);
        Err(ErrorKind::TimedOut.into())
    })
}

#[derive(Debug)]
struct CommandOutput {
    command: String,
    status: ExitStatus,
    stdout: String,
    stderr: String,
}

impl CommandOutput {
    fn failed_with(&self, words: &str) -> bool {
        !self.status.success() && self.stderr.contains(words)
    }

    fn success(self) -> Result<Self, SlurmError> {
        if self.status.success() {
            return Ok(self);
        }
        let Self { command, status, stderr, .. } = self;
        let (is_limit, stderr) = (is_submit_limit(&stderr), one_line(&stderr));
        Err(match is_limit {
            true => SlurmError::SubmitLimit { command, status, stderr },
            false => SlurmError::Failed { command, status, stderr },
        })
    }

    /// Of an array that has ended in part, Slurm lists the other tasks as well: `50_1: No error`.
    fn success_or_ended(self) -> Result<(), SlurmError> {
        const ENDED: [&str; 4] =
            [FORGOTTEN, "already finished", "already completing or completed", ": No error"];
        let has_ended = |line: &str| ENDED.iter().any(|words| line.contains(words));
        let only_ended = !self.stderr.is_empty() && self.stderr.lines().all(has_ended);
        if only_ended { Ok(()) } else { self.success().map(|_| ()) }
    }

    fn unreadable(&self, line: &str, expected: &'static str) -> SlurmError {
        let (command, answer) = (self.command.clone(), line.trim().to_owned());
        SlurmError::Answer { command, answer, expected }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Slurm's commands, but for `tests/fixtures/slurm/fake` in place of the programs.
    fn fake(variables: &[(&str, &str)]) -> Slurm {
        fake_on(None, variables)
    }

    fn fake_on(cluster: Option<&str>, variables: &[(&str, &str)]) -> Slurm {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/slurm/fake:/usr/bin:/bin");
        let mut all: Variables =
            variables.iter().map(|(name, value)| (name.into(), value.into())).collect();
        all.insert("PATH".into(), path.into());
        Slurm::new(&all, cluster)
    }

    fn failing(stderr: &str) -> Slurm {
        fake(&[("FAKE_STDERR", stderr), ("FAKE_STATUS", "1")])
    }

    fn job() -> JobSpec {
        JobSpec {
            script: "/scratch/svhn/rounds/0001/train.sbatch".into(),
            name: "svhn-0001".into(),
            held: true,
            ..JobSpec::default()
        }
    }

    const TASK: TaskId = TaskId { job: JobId(50), task: Some(1) };

    #[test]
    fn a_submitted_job_has_its_id() {
        assert_eq!(fake(&[("FAKE_STDOUT", "4011")]).submit(&job()).unwrap(), JobId(4011));
    }

    #[test]
    fn a_lonely_id_between_other_lines_is_the_jobs() {
        // The queue of this fake answers the same, which is no job: nothing contradicts the line.
        let banner = "Welcome\n4011\nRemaining budget: 12 core hours";
        assert_eq!(fake(&[("FAKE_STDOUT", banner)]).submit(&job()).unwrap(), JobId(4011));
    }

    #[test]
    fn a_test_says_never_or_not_now_or_nothing() {
        let test = |stderr: &str| failing(stderr).test(&job());
        let never = "allocation failure: Requested node configuration is not available";
        let error = test(never).unwrap_err();
        assert!(matches!(error, SlurmError::Impossible { .. }), "{error}");
        assert!(error.to_string().contains("node configuration is not available"), "{error}");
        let busy = "allocation failure: Requested nodes are busy";
        assert_eq!(test(busy).unwrap().as_deref(), Some(busy));
        assert_eq!(fake(&[]).test(&job()).unwrap(), None);
    }

    #[test]
    fn who_looks_waits_no_longer_than_the_limit() {
        let patient = |limit| fake(&[("FAKE_WAIT", "600")]).within(limit).find(&["a".to_owned()]);
        let error = patient(Duration::from_secs(1)).unwrap_err();
        assert_eq!(error.brief(), "`squeue` has not answered within 1 s");
        let answered =
            fake(&[("FAKE_STDOUT", "7|0|RUNNING|None")]).within(Duration::from_secs(600));
        assert_eq!(answered.find(&["a".to_owned()]).unwrap()[&JobId(7)].running_tasks(), 1);
        let nowhere = [("PATH".into(), "/nowhere".into())].into();
        let missing = Slurm::new(&nowhere, None).within(Duration::from_secs(600));
        let error = missing.find(&["a".to_owned()]).unwrap_err();
        assert!(matches!(error, SlurmError::Missing { .. }), "{error}");
    }

    #[test]
    fn every_command_asks_the_cluster_that_was_chosen() {
        let variables = [("FAKE_SHOW", "1"), ("SLURM_CLUSTERS", "south")];
        let shown = fake_on(Some("north"), &variables).ask("squeue", ["-h"]).unwrap().stdout;
        assert!(shown.starts_with("squeue --clusters=north -h\n"), "{shown}");
        assert!(shown.contains("SLURM_CLUSTERS=north"), "{shown}");
        let shown = fake(&variables).ask("squeue", ["-h"]).unwrap().stdout;
        assert!(!shown.contains("SLURM_CLUSTERS"));
    }

    #[test]
    fn an_answer_that_is_no_id_is_shown() {
        let error = fake(&[("FAKE_STDOUT", "hello")]).submit(&job()).unwrap_err().to_string();
        assert!(
            error.contains("`hello")
                && error.contains("`sbatch --parsable --job-name=svhn-0001 --hold"),
            "{error}"
        );
    }

    #[test]
    fn a_missing_sbatch_has_a_remedy() {
        let variables = [("PATH".into(), "/nonexistent".into())].into();
        let error = Slurm::new(&variables, None).submit(&job()).unwrap_err().to_string();
        assert_eq!(
            error,
            "`sbatch` is not on PATH (go to a login node of the cluster, or search on this machine alone with `metaqnn run`)"
        );
    }

    #[test]
    fn commands_run_without_the_variables_of_the_submitting_task() {
        let slurm = fake(&[
            ("FAKE_SHOW", "1"),
            ("SLURM_ARRAY_TASK_ID", "3"),
            ("SLURM_CONF", "/etc/s.conf"),
        ]);
        let shown = slurm.ask("squeue", ["--noheader"]).unwrap().stdout;
        assert!(shown.starts_with("squeue --noheader\n"));
        assert!(shown.contains("SLURM_CONF=/etc/s.conf") && !shown.contains("SLURM_ARRAY_TASK_ID"));
    }

    #[test]
    fn a_refusal_is_passed_on_with_command_and_status() {
        let error =
            failing("sbatch: error: invalid partition specified: nope").submit(&job()).unwrap_err();
        assert!(matches!(error, SlurmError::Failed { .. }));
        let text = error.to_string();
        assert!(
            text.contains("`sbatch --parsable")
                && text.contains("exit status: 1")
                && text.contains("nope"),
            "{text}"
        );
    }

    #[test]
    fn a_full_queue_is_an_error_of_its_own() {
        let error = failing("sbatch: error: AssocMaxSubmitJobLimit").submit(&job()).unwrap_err();
        assert!(matches!(error, SlurmError::SubmitLimit { .. }), "{error}");
        assert!(error.to_string().contains("AssocMaxSubmitJobLimit"), "{error}");
    }

    #[test]
    fn a_preempted_task_is_requeued_already() {
        let requeue = |stderr| failing(stderr).requeue(TASK);
        assert!(requeue("50_1: Job is pending execution").unwrap());
        assert!(!requeue("Requested operation is presently disabled for job 50").unwrap());
        assert!(fake(&[]).requeue(TASK).unwrap());
        assert!(requeue("slurm_suspend error: Access/permission denied").is_err());
    }

    #[test]
    fn jobs_that_have_ended_need_no_release_and_no_cancel() {
        for stderr in [
            "50_0-3: Job has already finished",
            "50_0: Job has already finished\n50_1: No error",
            "Invalid job id specified for job 50\nslurm_suspend error: Invalid job id specified",
            "scancel: error: Kill job error on job id 50: Job/step already completing or completed",
        ] {
            assert!(failing(stderr).release(JobId(50)).is_ok(), "{stderr}");
            assert!(failing(stderr).cancel(&[JobId(50)]).is_ok(), "{stderr}");
        }
        for stderr in ["", "50_0: Job has already finished\n50_1: Access/permission denied"] {
            assert!(failing(stderr).release(JobId(50)).is_err(), "{stderr}");
        }
    }

    #[test]
    fn a_forgotten_job_is_not_in_the_answer() {
        let slurm = failing("slurm_load_jobs error: Invalid job id specified");
        assert!(slurm.states(&[JobId(50)]).unwrap().is_empty());
        assert!(
            failing("slurm_load_jobs error: Unable to contact slurm controller")
                .states(&[JobId(50)])
                .is_err()
        );
    }

    #[test]
    fn complaints_of_several_lines_are_one_line_of_an_error() {
        let slurm = failing(
            "squeue: error: fetch_config: DNS SRV lookup failed\n\nsqueue: fatal: no source\n",
        );
        let error = slurm.find(&["svhn-0001".to_owned()]).unwrap_err().to_string();
        let expected =
            "squeue: error: fetch_config: DNS SRV lookup failed; squeue: fatal: no source (run";
        assert!(error.contains(expected) && error.lines().count() == 1, "{error}");
    }

    #[test]
    fn jobs_of_several_names_are_found_by_one_question() {
        let slurm = fake(&[("FAKE_STDOUT", "50|0|RUNNING|None\n52|N/A|PENDING|Dependency")]);
        let names = ["svhn-0001".to_owned(), "svhn-0001-reduce".to_owned()];
        assert_eq!(slurm.find(&names).unwrap().len(), 2);
    }

    #[test]
    fn nothing_is_asked_of_no_jobs() {
        assert!(failing("not called").states(&[]).unwrap().is_empty());
        assert!(failing("not called").cancel(&[]).is_ok());
    }

    #[test]
    fn the_end_of_a_task_and_the_size_of_arrays_are_asked() {
        let job = include_str!("../../tests/fixtures/slurm/scontrol_show_job.txt");
        let end = fake(&[("FAKE_STDOUT", job)]).end_time(TASK).unwrap();
        assert_eq!(end.unwrap().to_string(), "2026-11-24T09:02:08Z");
        let config = include_str!("../../tests/fixtures/slurm/scontrol_show_config.txt");
        assert_eq!(fake(&[("FAKE_STDOUT", config)]).max_array_size().unwrap(), 1001);
        assert!(fake(&[("FAKE_STDOUT", "hello")]).max_array_size().is_err());
    }
}

//! Slurm's environment variables: of a task, of a submission.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::num::NonZeroU32;
use std::str::FromStr;

use jiff::Timestamp;

use super::{JobId, SlurmError, TaskId};

pub type Variables = BTreeMap<OsString, OsString>;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlurmTask {
    /// Perhaps of two processes: the tasks of a node that Slurm cannot reach are restarted.
    pub id: TaskId,
    pub restarts: u32,
    pub cpus: Option<NonZeroU32>,
    /// Absent before Slurm 23; ask [`Slurm::end_time`](super::Slurm::end_time) then.
    pub end_time: Option<Timestamp>,
    /// `CUDA_VISIBLE_DEVICES`; `None` when no GPU was asked for, or all are hidden.
    pub visible_devices: Option<String>,
    pub host: Option<String>,
}

impl SlurmTask {
    pub fn from_variables(variables: &Variables) -> Result<Option<Self>, SlurmError> {
        let Some(job) = number(variables, "SLURM_JOB_ID", "a job id")? else { return Ok(None) };
        let array = number(variables, "SLURM_ARRAY_JOB_ID", "a job id")?;
        let task = number(variables, "SLURM_ARRAY_TASK_ID", "the index of a task")?;
        let cpus = |name| number(variables, name, "a number of CPUs");
        let time = |text: &str| Timestamp::from_second(text.parse().ok()?).ok();
        Ok(Some(Self {
            id: TaskId { job: JobId(array.unwrap_or(job)), task: array.and(task) },
            restarts: number(variables, "SLURM_RESTART_COUNT", "a count")?.unwrap_or(0),
            cpus: match cpus("SLURM_CPUS_PER_TASK")? {
                None => cpus("SLURM_CPUS_ON_NODE")?,
                asked => asked,
            },
            end_time: read(variables, "SLURM_JOB_END_TIME", "seconds since 1970", time)?,
            visible_devices: line(variables, "CUDA_VISIBLE_DEVICES")?,
            host: line(variables, "SLURMD_NODENAME")?,
        }))
    }
}

/// The job step of this process (`4711.0`), the number of its tasks, and which one this is, from 0.
pub fn slurm_step(variables: &Variables) -> Option<(String, u32, u32)> {
    let number = |name| number::<u32>(variables, name, "a number").ok().flatten();
    let (job, step) = (number("SLURM_JOB_ID")?, number("SLURM_STEP_ID")?);
    Some((format!("{job}.{step}"), number("SLURM_STEP_NUM_TASKS")?, number("SLURM_PROCID")?))
}

fn read<T>(
    variables: &Variables,
    name: &'static str,
    expected: &'static str,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Result<Option<T>, SlurmError> {
    let Some(value) = variables.get(OsStr::new(name)) else { return Ok(None) };
    let (text, expected) = match value.to_str() {
        Some(text) => (parse(text), expected),
        None => (None, "UTF-8 text"),
    };
    let value = || value.to_string_lossy().escape_debug().to_string();
    text.map(Some).ok_or_else(|| SlurmError::Variable { name, value: value(), expected })
}

fn number<T: FromStr>(
    variables: &Variables,
    name: &'static str,
    expected: &'static str,
) -> Result<Option<T>, SlurmError> {
    read(variables, name, expected, |text| text.parse().ok())
}

/// Text of a row of the log, which is one line; an empty value counts as none.
fn line(variables: &Variables, name: &'static str) -> Result<Option<String>, SlurmError> {
    let one_line = |text: &str| (!text.contains(char::is_control)).then(|| text.to_owned());
    let found = read(variables, name, "one line of text", one_line)?;
    Ok(found.filter(|text| !text.is_empty()))
}

/// The cluster that every command asks.
pub const CLUSTER: &str = "SLURM_CLUSTERS";
/// `sbatch` alone has a second name for the cluster.
const FOR_SUBMIT: [&str; 6] = [
    "SBATCH_CLUSTERS", CLUSTER, "SBATCH_ACCOUNT", "SBATCH_PARTITION", "SBATCH_QOS",
    "SBATCH_RESERVATION",
];

/// The variables that hold where the configuration says `null`, in every round of the chain.
pub fn submit_variables(variables: &Variables) -> Result<BTreeMap<String, String>, SlurmError> {
    let mut found = BTreeMap::new();
    for name in FOR_SUBMIT {
        let key = if name.ends_with("_CLUSTERS") { CLUSTER } else { name };
        let Some(value) = line(variables, name)? else { continue };
        if key == CLUSTER && value.contains(',') {
            return Err(SlurmError::Variable { name, value, expected: "the name of one cluster" });
        }
        if !value.trim().is_empty() {
            found.insert(key.to_owned(), value);
        }
    }
    Ok(found)
}

/// Variables with options of `sbatch` that a search does not use: later rounds could not keep them.
pub fn unused_variables(variables: &Variables) -> Vec<String> {
    let names = variables.iter().filter(|(_, value)| !value.is_empty());
    let names = names.map(|(name, _)| name.to_string_lossy().into_owned());
    let is_unused = |name: &String| name.starts_with("SBATCH_") && !FOR_SUBMIT.contains(&&**name);
    names.filter(is_unused).collect()
}

/// The environment in which commands are started, which a job inherits: without what describes the
/// *submitting* task, or a reduce would take itself for it, and without variables from which the
/// commands take options: they override those of a script, for the first round alone.
pub(super) fn submission_environment(variables: &Variables) -> Variables {
    const FAMILIES: [&[u8]; 6] =
        [b"SLURM_", b"SLURMD_", b"SBATCH_", b"SQUEUE_", b"SCANCEL_", b"SCONTROL_"];
    const DEVICES: [&str; 4] =
        ["CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "GPU_DEVICE_ORDINAL", "ZE_AFFINITY_MASK"];
    let mut kept = variables.clone();
    kept.retain(|name, _| {
        let of_a_task = FAMILIES.iter().any(|family| name.as_encoded_bytes().starts_with(family));
        name == "SLURM_CONF" || !(of_a_task || DEVICES.iter().any(|device| name == *device))
    });
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStringExt;

    /// The environment of a task of `--array=3 --gres=gpu:1 -c 2` under Slurm 22.05.8.
    const CAPTURED: &str = include_str!("../../tests/fixtures/slurm/environment.txt");

    fn variables(text: &str) -> Variables {
        text.lines()
            .filter_map(|line| line.split_once('='))
            .map(|(name, value)| (name.into(), value.into()))
            .collect()
    }

    fn with(changes: &str) -> Result<SlurmTask, String> {
        let mut all = variables(CAPTURED);
        all.extend(variables(changes));
        SlurmTask::from_variables(&all).map(Option::unwrap).map_err(|error| error.to_string())
    }

    #[test]
    fn a_task_is_its_array_and_index() {
        let task = with("SLURM_JOB_ID=64").unwrap();
        assert_eq!(task.id.to_string(), "60_3");
        assert_eq!(task.cpus, NonZeroU32::new(2));
        assert_eq!(task.restarts, 0);
        assert_eq!(task.end_time, None);
        assert_eq!(task.visible_devices.as_deref(), Some("0"));
        assert_eq!(task.host.as_deref(), Some("n1"));
    }

    #[test]
    fn a_plain_job_is_its_own_id() {
        let job = SlurmTask::from_variables(&variables("SLURM_JOB_ID=64\nSLURM_CPUS_ON_NODE=8"))
            .unwrap()
            .unwrap();
        assert_eq!(job.id.to_string(), "64");
        assert_eq!(job.cpus, NonZeroU32::new(8));
        assert_eq!(job.visible_devices, None);
    }

    #[test]
    fn outside_of_a_job_there_is_no_task() {
        assert_eq!(
            SlurmTask::from_variables(&variables("PATH=/bin\nSLURM_CONF=/etc/slurm.conf")).unwrap(),
            None
        );
    }

    #[test]
    fn a_requeued_task_knows_it_and_a_newer_slurm_tells_the_end() {
        let task = with("SLURM_RESTART_COUNT=2\nSLURM_JOB_END_TIME=1795510928").unwrap();
        assert_eq!(task.restarts, 2);
        assert_eq!(task.end_time.unwrap().to_string(), "2026-11-24T09:02:08Z");
    }

    #[test]
    fn a_malformed_value_is_named() {
        for (change, name) in [
            ("SLURM_JOB_ID=", "SLURM_JOB_ID"),
            ("SLURM_ARRAY_TASK_ID=x", "SLURM_ARRAY_TASK_ID"),
            ("SLURM_CPUS_PER_TASK=0", "SLURM_CPUS_PER_TASK"),
            ("SLURM_RESTART_COUNT=-1", "SLURM_RESTART_COUNT"),
            ("SLURM_JOB_END_TIME=9223372036854775807", "SLURM_JOB_END_TIME"),
        ] {
            let error = with(change).unwrap_err();
            assert!(error.contains(&format!("`{name}`")), "{change}: {error}");
        }
        let mut all = variables(CAPTURED);
        all.insert("SLURMD_NODENAME".into(), OsString::from_vec(vec![0xff]));
        assert!(SlurmTask::from_variables(&all).unwrap_err().to_string().contains("UTF-8"));
    }

    #[test]
    fn what_stands_in_rows_is_one_line() {
        for name in ["SLURMD_NODENAME", "CUDA_VISIBLE_DEVICES"] {
            let mut all = variables(CAPTURED);
            all.insert(name.into(), "n1\nn2".into());
            let error = SlurmTask::from_variables(&all).unwrap_err().to_string();
            let begin = format!("environment variable `{name}` is `n1\\nn2`, expected one line");
            assert!(error.starts_with(&begin), "{error}");
        }
        let nothing = with("SLURMD_NODENAME=\nCUDA_VISIBLE_DEVICES=").unwrap();
        assert_eq!((nothing.host, nothing.visible_devices), (None, None));
    }

    #[test]
    fn a_person_may_name_account_partition_qos_reservation_and_cluster() {
        let all = variables(
            "SBATCH_ACCOUNT=lab\nSBATCH_QOS= \nSBATCH_PARTITION=gpu,big\nSBATCH_CLUSTERS=north\nSBATCH_GRES=gpu:2\n\
             SBATCH_TIMELIMIT=60\nSBATCH_WCKEY=\nSLURM_JOB_ID=7\nSALLOC_ACCOUNT=x",
        );
        let expected =
            [("SBATCH_ACCOUNT", "lab"), ("SBATCH_PARTITION", "gpu,big"), (CLUSTER, "north")];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(submit_variables(&all).unwrap(), expected.into());
        assert_eq!(unused_variables(&all), ["SBATCH_GRES", "SBATCH_TIMELIMIT"]);
    }

    #[test]
    fn a_variable_that_no_script_can_hold_is_named() {
        for (name, value) in [("SBATCH_QOS", "a\nb"), (CLUSTER, "north,south")] {
            let all = [(name.into(), value.into())].into();
            let error = submit_variables(&all).unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
        }
    }

    #[test]
    fn a_submission_tells_nothing_of_the_task_that_submits() {
        let mut all = variables(CAPTURED);
        all.extend(variables(
            "PATH=/bin\nMETAQNN=/opt/metaqnn\nSBATCH_PARTITION=debug\nSQUEUE_USERS=eve\nSLURM=x",
        ));
        let kept: Vec<String> = submission_environment(&all)
            .into_keys()
            .map(|name| name.into_string().unwrap())
            .collect();
        assert_eq!(kept, ["METAQNN", "PATH", "SLURM", "SLURM_CONF"]);
    }
}

//! The section `slurm` of the configuration.

use std::num::NonZeroU32;
use std::ops::Deref;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::sbatch_option::{check_not_reserved, is_long_option};
use super::{ArraySize, Memory, TimeLimit};
use crate::invalid::Invalid;

/// What a search asks of Slurm, as written in the configuration. Absent options are left to the cluster's defaults.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SlurmParams {
    /// Partition of the training tasks, or several with commas (`--partition`).
    pub partition: Option<String>,
    /// Account that pays, for training and reducing (`--account`).
    pub account: Option<String>,
    /// Quality of service (`--qos`).
    pub qos: Option<String>,
    /// Time limit of a training task (`--time`).
    pub time: Option<TimeLimit>,
    /// CPUs of a training task (`--cpus-per-task`). The data lies on the GPU: two are enough there.
    pub cpus_per_task: NonZeroU32,
    /// Memory of a training task (`--mem`).
    pub memory: Option<Memory>,
    /// Generic resources of a training task (`--gres`); `null` to train on CPUs.
    pub gres: Option<String>,
    /// Features a node must have (`--constraint`).
    pub constraint: Option<String>,
    /// Nodes to avoid (`--exclude`).
    pub exclude: Option<String>,
    /// Greatest number of tasks of a round.
    pub array_size: ArraySize,
    /// Tasks of a round that run at once: the `%P` of `--array`.
    pub max_parallel: NonZeroU32,
    /// Architectures that a task trains one after the other, while its time allows. More than one only where
    /// trainings take less than a few minutes.
    pub architectures_per_task: NonZeroU32,
    /// How many seconds before the end of its time a task is told, to save a checkpoint and to requeue itself
    /// (`--signal`). Slurm may tell it up to a minute earlier.
    pub signal_seconds: u16,
    /// Whether tasks and reduces may be requeued: after preemption or a failed node, and by themselves when their
    /// time is up (`--requeue`). Without, what was trained in an unfinished task is lost.
    pub requeue: bool,
    /// Lines of shell to run before the program, such as `module load cuda`.
    pub setup_lines: Vec<String>,
    /// Further options of `sbatch` for training tasks, each as `--name` or `--name=value`.
    pub extra_options: Vec<String>,
    /// What differs for the reduce of each round.
    pub reduce: ReduceParams,
}

/// What the reduce of a round asks of Slurm. It uses no GPU, and runs for seconds to minutes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReduceParams {
    /// Partition (`--partition`); that of the training tasks when absent.
    pub partition: Option<String>,
    /// Quality of service (`--qos`); that of the training tasks when absent.
    pub qos: Option<String>,
    /// Time limit (`--time`).
    pub time: Option<TimeLimit>,
    /// CPUs (`--cpus-per-task`), used to fit the predictor.
    pub cpus_per_task: NonZeroU32,
    /// Memory (`--mem`).
    pub memory: Option<Memory>,
    /// Further options of `sbatch` for reduces, each as `--name` or `--name=value`.
    pub extra_options: Vec<String>,
}

impl Default for SlurmParams {
    fn default() -> Self {
        Self {
            partition: None,
            account: None,
            qos: None,
            time: None,
            cpus_per_task: count(2),
            memory: None,
            gres: Some("gpu:1".to_owned()),
            constraint: None,
            exclude: None,
            array_size: ArraySize::Auto,
            max_parallel: count(10),
            architectures_per_task: count(1),
            signal_seconds: 120,
            requeue: true,
            setup_lines: Vec::new(),
            extra_options: Vec::new(),
            reduce: ReduceParams::default(),
        }
    }
}

impl Default for ReduceParams {
    fn default() -> Self {
        Self {
            partition: None,
            qos: None,
            time: None,
            cpus_per_task: count(1),
            memory: None,
            extra_options: Vec::new(),
        }
    }
}

const fn count(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).expect("defaults are not zero")
}

/// Checked [`SlurmParams`]: every value can stand in a batch script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValidSlurmParams(SlurmParams);

impl Deref for ValidSlurmParams {
    type Target = SlurmParams;
    fn deref(&self) -> &SlurmParams {
        &self.0
    }
}

impl ValidSlurmParams {
    /// Returns how long before its end a task is told so.
    pub fn signal(&self) -> Duration {
        Duration::from_secs(self.0.signal_seconds.into())
    }
}

impl SlurmParams {
    /// Checks what the types do not: texts that reach a batch script, and numbers that must go together.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn check(self) -> Result<ValidSlurmParams, Invalid> {
        let texts = [
            ("partition", &self.partition),
            ("account", &self.account),
            ("qos", &self.qos),
            ("gres", &self.gres),
            ("constraint", &self.constraint),
            ("exclude", &self.exclude),
            ("reduce.partition", &self.reduce.partition),
            ("reduce.qos", &self.reduce.qos),
        ];
        for (key, text) in texts {
            text.as_deref().map_or(Ok(()), |text| check_text(key, text))?;
        }
        for (key, options) in [
            ("extra_options", &self.extra_options),
            ("reduce.extra_options", &self.reduce.extra_options),
        ] {
            options.iter().try_for_each(|option| check_option(key, option))?;
        }
        for line in &self.setup_lines {
            if line.contains('\0') {
                return Err(parameter("setup_lines", line, "a shell cannot carry a NUL character"));
            }
        }
        self.check_signal()?;
        Ok(ValidSlurmParams(self))
    }

    fn check_signal(&self) -> Result<(), Invalid> {
        let seconds = self.signal_seconds;
        if seconds == 0 {
            let problem = "a task must be told before its time is up: write 120";
            return Err(parameter("signal_seconds", &seconds.to_string(), problem));
        }
        // The signal may come a minute early, and Slurm rounds limits up to minutes.
        let needed = Duration::from_secs(u64::from(seconds) + 60);
        match self.time.and_then(TimeLimit::duration) {
            Some(limit) if limit <= needed => Err(parameter(
                "time",
                &self.time.unwrap_or(TimeLimit::UNLIMITED).to_string(),
                "a task would be told to stop as soon as it starts: allow at least `signal_seconds` and a minute more",
            )),
            _ => Ok(()),
        }
    }
}

fn parameter(key: &str, value: &str, problem: &str) -> Invalid {
    Invalid::new(format!("slurm.{key}"), value.escape_debug(), problem)
}

fn check_text(key: &str, text: &str) -> Result<(), Invalid> {
    if text.trim().is_empty() {
        return Err(parameter(
            key,
            text,
            "the text is empty: write `null` to leave the choice to the cluster",
        ));
    }
    if text.chars().any(char::is_control) {
        return Err(parameter(
            key,
            text,
            "a line of options cannot hold line breaks or other control characters",
        ));
    }
    Ok(())
}

fn check_option(key: &str, option: &str) -> Result<(), Invalid> {
    check_text(key, option)?;
    if !is_long_option(option) {
        let problem = "an option of `sbatch` is written `--name` or `--name=value`";
        return Err(parameter(key, option, problem));
    }
    let is_set = |error: super::SlurmError| parameter(key, option, &error.to_string());
    check_not_reserved(option).map_err(is_set)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(yaml: &str) -> Result<ValidSlurmParams, String> {
        let params: SlurmParams = serde_yaml::from_str(yaml).map_err(|error| error.to_string())?;
        params.check().map_err(|error| error.to_string())
    }

    #[test]
    fn an_empty_section_is_the_defaults() {
        assert_eq!(read("{}").unwrap().0, SlurmParams::default());
    }

    #[test]
    fn the_defaults_are_written_and_read_back() {
        let yaml = serde_yaml::to_string(&SlurmParams::default()).unwrap();
        assert_eq!(read(&yaml).unwrap().0, SlurmParams::default());
    }

    #[test]
    fn every_key_is_read() {
        let yaml = "
            partition: gpu
            account: lab
            qos: normal
            time: 04:00:00
            cpus_per_task: 4
            memory: 16G
            gres: gpu:a100:1
            constraint: '[v100|a100]'
            exclude: n[3-4]
            array_size: 500
            max_parallel: 32
            architectures_per_task: 3
            signal_seconds: 300
            requeue: false
            setup_lines: [module load cuda]
            extra_options: [--mail-type=END, --exclusive]
            reduce: {partition: cpu, qos: short, time: 30, cpus_per_task: 2, memory: 4000, extra_options: [--nice]}";
        let params = read(yaml).unwrap().0;
        assert_eq!(params.array_size, ArraySize::Tasks(count(500)));
        assert_eq!(params.time.unwrap().to_string(), "04:00:00");
        assert_eq!(params.reduce.time.unwrap().to_string(), "00:30:00");
        let yaml = serde_yaml::to_string(&params).unwrap();
        assert_eq!(read(&yaml).unwrap().0, params);
    }

    #[test]
    fn unknown_keys_are_refused() {
        assert!(read("partitions: gpu").unwrap_err().contains("unknown field `partitions`"));
        assert!(read("reduce: {gres: gpu:1}").unwrap_err().contains("unknown field `gres`"));
    }

    #[test]
    fn no_line_break_enters_an_option() {
        for yaml in [
            "partition: \"gpu\\n#SBATCH --array=0-9\"",
            "gres: \"gpu:1\\r\"",
            "extra_options: [\"--comment=a\\nb\"]",
            "reduce: {qos: \"a\\u0000\"}",
        ] {
            assert!(read(yaml).unwrap_err().contains("control characters"), "{yaml}");
        }
    }

    #[test]
    fn options_that_the_program_sets_are_refused() {
        for option in [
            "--array=0-9",
            "--arr=0-9",
            "--dependency=afterok:1",
            "--output=x",
            "--no-requeue",
            "--wrap=x",
        ] {
            let error = read(&format!("extra_options: ['{option}']")).unwrap_err();
            assert!(error.contains("metaqnn sets"), "{option}: {error}");
        }
        for option in ["-p gpu", "--mail-type END", "exclusive", "--"] {
            let error = read(&format!("extra_options: ['{option}']")).unwrap_err();
            assert!(error.contains("`--name=value`"), "{option}: {error}");
        }
    }

    #[test]
    fn the_warning_needs_time_before_it() {
        // 120 s of warning and up to 60 s early: a limit of 3 minutes leaves nothing, 4 minutes leave one.
        assert!(read("time: 3").unwrap_err().contains("as soon as it starts"));
        assert!(read("time: 4").is_ok());
        assert!(read("time: UNLIMITED").is_ok());
        assert!(read("signal_seconds: 0").unwrap_err().contains("write 120"));
    }

    #[test]
    fn numbers_out_of_range_are_refused() {
        for yaml in [
            "max_parallel: 0",
            "array_size: 0",
            "array_size: many",
            "cpus_per_task: -1",
            "signal_seconds: 70000",
        ] {
            assert!(read(yaml).is_err(), "{yaml}");
        }
    }
}

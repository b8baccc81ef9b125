//! The section `slurm` of the configuration.

use std::num::NonZeroU32;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use smart_default::SmartDefault;

use super::job::{check_not_reserved, is_long_option};
use super::{ArraySize, Memory, TimeLimit};
use crate::invalid::Invalid;

/// See the comments of `config/defaults.yaml`. Absent options are left to the cluster's defaults.
#[derive(Debug, Clone, PartialEq, Eq, SmartDefault, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SlurmParams {
    pub partition: Option<String>,
    pub account: Option<String>,
    pub qos: Option<String>,
    pub time: Option<TimeLimit>,
    #[default(count(2))]
    pub cpus_per_task: NonZeroU32,
    pub memory: Option<Memory>,
    #[default(Some("gpu:1".to_owned()))]
    pub gres: Option<String>,
    pub constraint: Option<String>,
    pub exclude: Option<String>,
    #[default(ArraySize::Auto)]
    pub array_size: ArraySize,
    #[default(count(10))]
    pub max_parallel: NonZeroU32,
    #[default(count(1))]
    pub architectures_per_task: NonZeroU32,
    /// Lead time of the USR1 warning before the time limit; Slurm may send it a minute earlier.
    #[default = 120]
    pub signal_seconds: u16,
    #[default = true]
    pub requeue: bool,
    pub setup_lines: Vec<String>,
    pub extra_options: Vec<String>,
    pub reduce: ReduceParams,
}

/// The reduce of each round uses no GPU, and runs for seconds to minutes.
#[derive(Debug, Clone, PartialEq, Eq, SmartDefault, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReduceParams {
    pub partition: Option<String>,
    pub qos: Option<String>,
    pub time: Option<TimeLimit>,
    #[default(count(1))]
    pub cpus_per_task: NonZeroU32,
    pub memory: Option<Memory>,
    pub extra_options: Vec<String>,
}

const fn count(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).expect("defaults are not zero")
}

/// Every value can stand in a batch script.
#[derive(Debug, Clone, PartialEq, Eq, derive_more::Deref)]
pub struct ValidSlurmParams(SlurmParams);

impl SlurmParams {
    pub fn signal(&self) -> Duration {
        Duration::from_secs(self.signal_seconds.into())
    }

    pub fn check(self) -> Result<ValidSlurmParams, Invalid> {
        for (key, text) in [
            ("partition", &self.partition),
            ("account", &self.account),
            ("qos", &self.qos),
            ("gres", &self.gres),
            ("constraint", &self.constraint),
            ("exclude", &self.exclude),
            ("reduce.partition", &self.reduce.partition),
            ("reduce.qos", &self.reduce.qos),
        ] {
            text.iter().try_for_each(|text| check_text(key, text))?;
        }
        let mut options = self.extra_options.iter();
        options.try_for_each(|option| check_option("extra_options", option))?;
        let mut options = self.reduce.extra_options.iter();
        options.try_for_each(|option| check_option("reduce.extra_options", option))?;
        let mut lines = self.setup_lines.iter();
        let nul = "a shell cannot carry a NUL character";
        lines.try_for_each(|line| ensure(!line.contains('\0'), "setup_lines", line, nul))?;
        let seconds = self.signal_seconds;
        let problem = "a task needs a warning before its time is up: write 120";
        ensure(seconds > 0, "signal_seconds", &seconds.to_string(), problem)?;
        if let Some(time) = self.time {
            // The signal may come a minute early, and Slurm rounds limits up to minutes.
            let least = self.signal() + Duration::from_secs(60);
            let is_enough = time.0.is_none_or(|limit| limit > least);
            let problem = "a task would be warned as soon as it starts: allow at least \
                           `signal_seconds` and a minute more";
            ensure(is_enough, "time", &time.to_string(), problem)?;
        }
        Ok(ValidSlurmParams(self))
    }
}

fn ensure(holds: bool, key: &str, value: &str, problem: &str) -> Result<(), Invalid> {
    Invalid::unless(holds, &format!("slurm.{key}"), value.escape_debug(), problem)
}

fn check_text(key: &str, text: &str) -> Result<(), Invalid> {
    let problem = "the text is empty: write `null` to leave the choice to the cluster";
    ensure(!text.trim().is_empty(), key, text, problem)?;
    let problem = "a line of options cannot hold line breaks or other control characters";
    ensure(!text.chars().any(char::is_control), key, text, problem)
}

fn check_option(key: &str, option: &str) -> Result<(), Invalid> {
    check_text(key, option)?;
    let problem = "an option of `sbatch` is written `--name` or `--name=value`";
    ensure(is_long_option(option), key, option, problem)?;
    check_not_reserved(option).or_else(|error| ensure(false, key, option, &error.to_string()))
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
            "--array=0-9", "--arr=0-9", "--dependency=afterok:1", "--output=x", "--no-requeue",
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
        // 120 s of warning and up to 60 s early: a limit of 3 minutes leaves nothing, 4 minutes
        // leave one.
        assert!(read("time: 3").unwrap_err().contains("as soon as it starts"));
        assert!(read("time: 4").is_ok());
        assert!(read("time: UNLIMITED").is_ok());
        assert!(read("signal_seconds: 0").unwrap_err().contains("write 120"));
    }

    #[test]
    fn numbers_out_of_range_are_refused() {
        for yaml in [
            "max_parallel: 0", "array_size: 0", "array_size: many", "cpus_per_task: -1",
            "signal_seconds: 70000",
        ] {
            assert!(read(yaml).is_err(), "{yaml}");
        }
    }
}

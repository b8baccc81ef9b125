//! The section `slurm` of the configuration, and its notations: time limits, memory, array sizes.

use std::fmt;
use std::marker::PhantomData;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use smart_default::SmartDefault;

use super::SlurmError;
use super::job::{check_not_reserved, is_long_option};
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

/// Beyond 10,000 days a number is a mistake; Slurm itself takes 49,711 days for no limit.
const MAX_SECONDS: u64 = 10_000 * 86_400;

/// How long a job may run, in every form that `sbatch --time` takes; `UNLIMITED`, `INFINITE`, `-1`
/// or zero for no limit. A field may pass 59 (`1:90:00`); Slurm rounds up to whole minutes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeLimit(pub Option<Duration>);

impl fmt::Display for TimeLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(limit) = self.0 else { return f.write_str("UNLIMITED") };
        let seconds = limit.as_secs();
        if seconds >= 86_400 {
            write!(f, "{}-", seconds / 86_400)?;
        }
        write!(f, "{:02}:{:02}:{:02}", seconds / 3600 % 24, seconds / 60 % 60, seconds % 60)
    }
}

impl FromStr for TimeLimit {
    type Err = SlurmError;

    fn from_str(text: &str) -> Result<Self, SlurmError> {
        if ["unlimited", "infinite", "-1"].iter().any(|word| text.eq_ignore_ascii_case(word)) {
            return Ok(Self(None));
        }
        let seconds = seconds(text).filter(|seconds| *seconds <= MAX_SECONDS);
        let what = "time limit (write `days-hours:minutes:seconds` such as `04:00:00` or \
                    `1-12:00:00`, minutes alone, or `UNLIMITED`; at most 10,000 days)";
        let seconds = seconds.ok_or_else(|| SlurmError::is_no(text, what))?;
        Ok(Self((seconds > 0).then(|| Duration::from_secs(seconds))))
    }
}

fn seconds(text: &str) -> Option<u64> {
    let (days, rest) = match text.split_once('-') {
        Some((days, rest)) => (Some(field(days)?), rest),
        None => (None, text),
    };
    let fields: Vec<u64> = rest.splitn(4, ':').map(field).collect::<Option<_>>()?;
    let units: &[u64] = match (days, fields.len()) {
        (Some(_), 1..=3) | (None, 3) => &[3600, 60, 1],
        (None, 1..=2) => &[60, 1],
        _ => return None,
    };
    let rest: u64 = fields.iter().zip(units).map(|(field, unit)| field * unit).sum();
    Some(days.unwrap_or(0) * 86_400 + rest)
}

/// A field has at most 10 digits, so that their sum in seconds cannot overflow.
fn field(text: &str) -> Option<u64> {
    is_number(text, 10).then(|| text.parse().ok()).flatten()
}

fn is_number(text: &str, most_digits: usize) -> bool {
    (1..=most_digits).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

impl Serialize for TimeLimit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Memory of a node for one job, as `sbatch --mem` takes it: a number with `K`, `M`, `G` or `T`, in
/// MB without one; 0 is all memory of the node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, derive_more::Display)]
pub struct Memory(String);

impl FromStr for Memory {
    type Err = SlurmError;

    fn from_str(text: &str) -> Result<Self, SlurmError> {
        let digits = text.strip_suffix(['K', 'M', 'G', 'T', 'k', 'm', 'g', 't']).unwrap_or(text);
        let what = "amount of memory (a whole number with K, M, G or T, such as `16G`; MB without \
                    one)";
        let memory = is_number(digits, 12).then(|| Self(text.to_owned()));
        memory.ok_or_else(|| SlurmError::is_no(text, what))
    }
}

/// How many tasks a round has, before the limits of the cluster and of the schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ArraySize {
    Auto,
    #[serde(untagged)]
    Tasks(NonZeroU32),
}

impl FromStr for ArraySize {
    type Err = SlurmError;

    fn from_str(text: &str) -> Result<Self, SlurmError> {
        if text == "auto" {
            return Ok(Self::Auto);
        }
        let what = "array size (`auto`, or a number from 1 on)";
        text.parse().map(Self::Tasks).map_err(|_| SlurmError::is_no(text, what))
    }
}

/// In YAML these may stand with or without quotes: `90` is a number there, `04:00:00` is not.
macro_rules! deserialize_from_text {
    ($($notation:ty),+) => {$(
        impl<'de> Deserialize<'de> for $notation {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(Scalar(PhantomData))
            }
        }
    )+};
}
deserialize_from_text!(TimeLimit, Memory, ArraySize);

struct Scalar<T>(PhantomData<T>);

impl<T: FromStr<Err = SlurmError>> Visitor<'_> for Scalar<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string or a whole number")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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

    fn written(text: &str) -> Option<String> {
        text.parse::<TimeLimit>().ok().map(|limit| limit.to_string())
    }

    /// Each pair was given to `sbatch --time` and read from `scontrol show job` (22.05), but for
    /// the seconds, which Slurm rounds up to a minute.
    #[test]
    fn every_form_is_read_as_slurm_reads_it() {
        for (text, expected) in [
            ("90", "01:30:00"),
            ("90:30", "01:30:30"),
            ("1:30:00", "01:30:00"),
            ("1:90:00", "02:30:00"),
            ("25:00:00", "1-01:00:00"),
            ("1-2", "1-02:00:00"),
            ("1-2:3", "1-02:03:00"),
            ("1-2:3:4", "1-02:03:04"),
            ("1-30", "2-06:00:00"),
            ("1-2:99:99", "1-03:40:39"),
            ("0:70", "00:01:10"),
            ("365-0", "365-00:00:00"),
            ("0", "UNLIMITED"),
            ("-1", "UNLIMITED"),
            ("UNLIMITED", "UNLIMITED"),
            ("infinite", "UNLIMITED"),
        ] {
            assert_eq!(written(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_sbatch_refuses_is_refused() {
        for text in [
            "", " 5", "5:", "1:2:3:4", "1-2-3", "1.5", "+5", "1h", "1-2:3:4:5", "-2", "99999999999",
        ] {
            assert_eq!(written(text), None, "{text}");
        }
    }

    #[test]
    fn ten_thousand_days_are_the_most() {
        assert_eq!(written("10000-0").as_deref(), Some("10000-00:00:00"));
        assert_eq!(written("10000-0:0:1"), None);
    }

    #[test]
    fn yaml_may_leave_the_quotes_away() {
        let read = |yaml: &str| serde_yaml::from_str::<TimeLimit>(yaml).unwrap().to_string();
        assert_eq!(read("04:00:00"), "04:00:00");
        assert_eq!(read("1-12"), "1-12:00:00");
        assert_eq!(read("90"), "01:30:00");
        assert_eq!(read("'10:00'"), "00:10:00");
    }

    #[test]
    fn memory_is_a_number_and_a_unit() {
        for text in ["0", "4000", "16G", "512m", "1T"] {
            assert_eq!(text.parse::<Memory>().unwrap().to_string(), text);
        }
        for text in ["", "G", "1.5G", "16GB", "16 G", "-1", "\u{663}G"] {
            assert!(text.parse::<Memory>().is_err(), "{text}");
        }
    }

    #[test]
    fn memory_in_yaml_needs_no_unit() {
        assert_eq!(serde_yaml::from_str::<Memory>("4000").unwrap().to_string(), "4000");
    }

    #[test]
    fn a_size_is_auto_or_a_number_of_tasks() {
        let read = |yaml| serde_yaml::from_str::<ArraySize>(yaml).ok();
        assert_eq!(read("auto"), Some(ArraySize::Auto));
        assert_eq!(read("500"), NonZeroU32::new(500).map(ArraySize::Tasks));
        for yaml in ["0", "-1", "many", "1.5", "''"] {
            assert_eq!(read(yaml), None, "{yaml}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(seconds in 1..=MAX_SECONDS) {
            let limit = TimeLimit(Some(Duration::from_secs(seconds)));
            prop_assert_eq!(limit.to_string().parse::<TimeLimit>().ok(), Some(limit));
            prop_assert_eq!(limit.0, Some(Duration::from_secs(seconds)));
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[0-9:-]{0,40}|\\PC*") {
            let _ = text.parse::<TimeLimit>();
        }
    }
}

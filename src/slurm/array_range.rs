//! Array ranges: `0-99%10`.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use super::SlurmError;

/// Slurm's own default of `MaxArraySize`: indices 0 to 1000.
pub const DEFAULT_MAX_ARRAY_SIZE: u32 = 1001;

/// The tasks 0 to n - 1 of an array, and how many of them may run at once.
///
/// Indices always begin at 0, since no task looks at its own: it samples what it trains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArrayRange {
    /// Number of tasks.
    pub tasks: NonZeroU32,
    /// Number of tasks that run at once; `None` is no limit.
    pub max_parallel: Option<NonZeroU32>,
}

impl ArrayRange {
    /// Splits the range into arrays that a cluster accepts: of `max_array_size` tasks, and the rest.
    ///
    /// `MaxArraySize` limits the index (1001 allows 0 to 1000) and an index of the second part would pass it just as
    /// well, so every part begins at 0. Submit them chained by `afterany`: `max_parallel` holds for each array by itself.
    pub fn parts(self, max_array_size: NonZeroU32) -> Vec<Self> {
        let (tasks, size) = (self.tasks.get(), max_array_size.get());
        let sizes = (0..tasks / size).map(|_| size).chain([tasks % size]);
        sizes.filter_map(NonZeroU32::new).map(|tasks| Self { tasks, ..self }).collect()
    }
}

impl fmt::Display for ArrayRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0-{}", self.tasks.get() - 1)?;
        self.max_parallel.map_or(Ok(()), |limit| write!(f, "%{limit}"))
    }
}

impl FromStr for ArrayRange {
    type Err = SlurmError;

    /// Reads `0-LAST` and `0-LAST%LIMIT`.
    fn from_str(text: &str) -> Result<Self, SlurmError> {
        parse(text).ok_or_else(|| SlurmError::Notation {
            text: text.to_owned(),
            notation: "array range",
            hint: "such as `0-99` or `0-99%10`",
        })
    }
}

fn parse(text: &str) -> Option<ArrayRange> {
    let (range, limit) = match text.split_once('%') {
        Some((range, limit)) => (range, Some(limit)),
        None => (text, None),
    };
    let tasks = number(range.strip_prefix("0-")?)?.checked_add(1)?;
    let max_parallel = match limit {
        Some(limit) => Some(NonZeroU32::new(number(limit)?)?),
        None => None,
    };
    Some(ArrayRange { tasks: NonZeroU32::new(tasks)?, max_parallel })
}

fn number(text: &str) -> Option<u32> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn range(tasks: u32, max_parallel: Option<u32>) -> ArrayRange {
        ArrayRange {
            tasks: NonZeroU32::new(tasks).expect("an array has tasks"),
            max_parallel: max_parallel.and_then(NonZeroU32::new),
        }
    }

    #[test]
    fn a_range_is_written_as_sbatch_reads_it() {
        assert_eq!(range(100, Some(10)).to_string(), "0-99%10");
        assert_eq!(range(1, None).to_string(), "0-0");
    }

    #[test]
    fn other_notations_are_refused() {
        for text in [
            "",
            "0-",
            "-5",
            "3-9",
            "0-9%",
            "0-9%0",
            "0-9%%2",
            "0-9:2",
            "0,3",
            "0-+9",
            "0-4294967295",
        ] {
            assert!(text.parse::<ArrayRange>().is_err(), "{text}");
        }
    }

    #[test]
    fn parts_fit_the_greatest_index() {
        // MaxArraySize 1001 allows the indices 0 to 1000. 2,500 tasks = 1,001 + 1,001 + 498.
        let parts = range(2500, Some(8)).parts(NonZeroU32::new(DEFAULT_MAX_ARRAY_SIZE).unwrap());
        let written: Vec<String> = parts.iter().map(ArrayRange::to_string).collect();
        assert_eq!(written, ["0-1000%8", "0-1000%8", "0-497%8"]);
    }

    #[test]
    fn a_round_that_fits_is_one_part() {
        assert_eq!(range(1001, None).parts(NonZeroU32::new(1001).unwrap()), [range(1001, None)]);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(tasks in 1..u32::MAX, limit in proptest::option::of(1..u32::MAX)) {
            let range = range(tasks, limit);
            prop_assert_eq!(range.to_string().parse::<ArrayRange>().ok(), Some(range));
        }

        #[test]
        fn parts_lose_no_task(tasks in 1..100_000u32, size in 1..2000u32) {
            let parts = range(tasks, None).parts(NonZeroU32::new(size).unwrap());
            prop_assert_eq!(parts.iter().map(|part| part.tasks.get()).sum::<u32>(), tasks);
            prop_assert!(parts.iter().all(|part| part.tasks.get() <= size));
        }

        #[test]
        fn any_text_is_read_or_refused(text in "\\PC*") {
            let _ = text.parse::<ArrayRange>();
        }
    }
}

//! What a refusal of `sbatch` is about.

/// What stands before the scheduler's verdict in an answer of `sbatch --test-only`.
pub(super) const ALLOCATION_FAILURE: &str = "allocation failure: ";

/// Returns the words of the scheduler by which `sbatch --test-only` says that a job can never start; `None` for one that
/// can, or not now, and where a wrapper or an option is at fault: then the submission itself decides.
pub(super) fn refused_for_good(words: &str) -> Option<&str> {
    const FOR_GOOD: [&str; 12] = [
        "node configuration is not available",
        "invalid",
        "exceed",
        "more processors requested than permitted",
        "task is not available",
        "not permitted",
        "permission denied",
        "not allowed",
        "not in this",
        "unsupported",
        "deprecated",
        "unspecified gres",
    ];
    // "Invalid" is said of these, too, which pass by.
    const FOR_NOW: [&str; 4] = ["credential", "job id", "protocol", "not usable now"];
    let (_, verdict) = words.split_once(ALLOCATION_FAILURE)?;
    let verdict = verdict.lines().next().unwrap_or_default().trim();
    let said = verdict.to_ascii_lowercase();
    let has = |texts: &[&str]| texts.iter().any(|text| said.contains(text));
    (has(&FOR_GOOD) && !has(&FOR_NOW)).then_some(verdict)
}

/// Returns the option of `sbatch` that a refusal is about, if its text names one.
pub fn refused_option(words: &str) -> Option<&'static str> {
    // The first that fits: "Invalid account or account/partition combination specified".
    const OPTIONS: [(&str, &str); 18] = [
        ("wallduration", "time"),
        ("submitjob", "array"),
        ("gres", "gres"),
        ("generic resource", "gres"),
        ("feature", "constraint"),
        ("constraint", "constraint"),
        ("time limit is invalid", "time"),
        ("--time", "time"),
        ("partitiontimelimit", "time"),
        ("reservation", "reservation"),
        ("invalid qos", "qos"),
        ("job's qos", "qos"),
        ("invalidaccount", "account"),
        ("account or", "account"),
        ("--account", "account"),
        ("job's account", "account"),
        ("partition", "partition"),
        ("memory", "mem"),
    ];
    let words = words.to_ascii_lowercase();
    OPTIONS.iter().find(|(word, _)| words.contains(word)).map(|(_, option)| *option)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_never_start_is_told_from_what_cannot_start_now() {
        // The first four as printed by Slurm 22.05.8.
        for words in [
            "allocation failure: Requested node configuration is not available",
            "sbatch: error: invalid partition specified: nope\nallocation failure: Invalid partition name specified",
            "allocation failure: Invalid feature specification",
            "sbatch: error: Invalid generic resource (gres) specification\nallocation failure: Invalid generic resource (gres) specification",
            "allocation failure: Requested time limit is invalid (missing or exceeds some limit)",
            "allocation failure: User's group not permitted to use this partition",
        ] {
            assert!(refused_for_good(words).is_some(), "{words}");
        }
        for words in [
            "sbatch: Job 15 to start at 2026-11-28T21:04:17 using 1 processors on nodes n1 in partition batch",
            "allocation failure: Requested nodes are busy",
            "allocation failure: Required node not available (down, drained or reserved)",
            "allocation failure: Requested partition configuration not available now",
            "allocation failure: Requested reservation not usable now",
            "allocation failure: Unable to contact slurm controller (connect failure)",
            "sbatch: unrecognized option '--test-only'",
            "sbatch: error: invalid option --test-only of this site's sbatch",
            "",
        ] {
            assert_eq!(refused_for_good(words), None, "{words}");
        }
    }

    #[test]
    fn a_refusal_names_the_option_to_correct() {
        for (words, option) in [
            ("sbatch: error: invalid partition specified: gpux", Some("partition")),
            ("Invalid account or account/partition combination specified", Some("account")),
            ("sbatch: error: several accounts are yours, name one with --account", Some("account")),
            ("Invalid qos specification", Some("qos")),
            ("sbatch: error: Invalid generic resource (gres) specification", Some("gres")),
            ("Invalid feature specification", Some("constraint")),
            ("Requested time limit is invalid (missing or exceeds some limit)", Some("time")),
            ("Requested reservation is invalid", Some("reservation")),
            ("sbatch: error: Memory specification can not be satisfied", Some("mem")),
            (
                "sbatch: error: QOSMaxWallDurationPerJobLimit; Job violates accounting/QOS policy",
                Some("time"),
            ),
            ("Requested node configuration is not available", None),
        ] {
            assert_eq!(refused_option(words), option, "{words}");
        }
    }
}

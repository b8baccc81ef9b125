//! The error of a round that the scheduler refused.

use crate::ops::rounds::chain::in_words;
use crate::ops::{Experiment, Refusal};
use crate::slurm::{JobId, SlurmError, refused_option};
use crate::storage::RoundPlan;

/// Adds to a refusal of the scheduler where to correct it. `held`: arrays of the round that stay in
/// the queue.
pub(crate) fn not_submitted(
    experiment: &Experiment,
    plan: &RoundPlan,
    error: SlurmError,
    held: &[JobId],
) -> anyhow::Error {
    let words = match &error {
        SlurmError::Failed { stderr, .. } | SlurmError::SubmitLimit { stderr, .. } => stderr,
        SlurmError::Impossible { words, .. } => words,
        SlurmError::Answer { .. } => "",
        _ => return error.into(),
    };
    let dir = experiment.dir().root().display();
    let corrected = correction(plan, refused_option(words), &error, &dir.to_string());
    let remedy = if held.is_empty() {
        format!("nothing of it is in the queue; {corrected}")
    } else {
        format!(
            "its array stays held (job {}): `metaqnn submit {dir}` goes on with it, \
             `metaqnn cancel {dir}` takes it back; after that, {corrected}",
            in_words(held)
        )
    };
    let refusal = format!("round {} is not submitted ({remedy})", plan.round);
    anyhow::Error::from(error).context(Refusal::Environment(refusal))
}

fn correction(
    plan: &RoundPlan,
    option: Option<&'static str>,
    error: &SlurmError,
    dir: &str,
) -> String {
    let is_reduce = error.to_string().contains("/reduce.sbatch");
    let value = option.map_or("KEY=VALUE".to_owned(), |option| setting(option, is_reduce));
    let mut said = format!("correct it with `metaqnn set {dir} slurm.{value}`");
    // Options after `--` are for arrays, and the reduce's own keys override them.
    if !is_reduce {
        let option = option.unwrap_or("OPTION");
        said += &format!(", or for this chain with `metaqnn submit {dir} -- --{option}=VALUE`");
    }
    if option.is_none() && error.to_string().contains("node configuration") {
        let keys = if is_reduce {
            "reduce.{cpus_per_task, memory}"
        } else {
            "{gres, memory, cpus_per_task, constraint}"
        };
        said += &format!("; `slurm.{keys}` say what a node must have");
    }
    if !plan.sbatch_options.is_empty() && !is_reduce {
        said += &format!("; after `--` it was given `{}`", plan.sbatch_options.join(" "));
    }
    let variable = option.map(|option| format!("SBATCH_{}", option.to_ascii_uppercase()));
    if let Some((name, value)) =
        variable.and_then(|name| plan.sbatch_variables.get_key_value(&name))
    {
        said += &format!("; where `submit` ran, `{name}` was `{value}`");
    }
    said
}

/// The key below `slurm` that sets an option of `sbatch`, with a value to be filled in.
fn setting(option: &str, is_reduce: bool) -> String {
    let (key, has_own) = match option {
        "reservation" => ("extra_options=[--reservation", true),
        "array" => ("array_size", false),
        "mem" => ("memory", true),
        option => (option, ["partition", "qos", "time"].contains(&option)),
    };
    let end = if key.contains('[') { "]" } else { "" };
    format!("{}{key}=VALUE{end}", if has_own && is_reduce { "reduce." } else { "" })
}

//! What a person is told of a round that the scheduler refused: what is left of it, and where to correct the request.

use super::round::in_words;
use super::{Experiment, Refusal};
use crate::slurm::{JobId, SlurmError, refused_option};
use crate::storage::RoundPlan;

/// Adds to a refusal of the scheduler where to correct it. `held` are arrays of the round that stay in the queue.
pub(super) fn not_submitted(
    experiment: &Experiment,
    plan: &RoundPlan,
    error: anyhow::Error,
    held: &[JobId],
) -> anyhow::Error {
    let words = match error.downcast_ref::<SlurmError>() {
        Some(SlurmError::Failed { stderr, .. } | SlurmError::SubmitLimit { stderr, .. }) => stderr,
        Some(SlurmError::Impossible { words, .. }) => words,
        Some(SlurmError::Answer { .. }) => "",
        _ => return error,
    };
    let option = refused_option(words);
    let dir = experiment.dir().root().display();
    let is_reduce = error.to_string().contains("/reduce.sbatch");
    let key = option.map_or("KEY", |option| key_of(option, is_reduce));
    let set = format!("`metaqnn set {dir} slurm.{key}=VALUE`");
    let given = format!("`metaqnn submit {dir} -- --{}=VALUE`", option.unwrap_or("OPTION"));
    let variable = option.map(|option| format!("SBATCH_{}", option.to_ascii_uppercase()));
    let variable = variable.filter(|variable| plan.sbatch_variables.contains_key(variable));
    let variable =
        variable.map_or_else(String::new, |name| format!(" (`{name}` was set where `submit` ran)"));
    let remedy = if held.is_empty() {
        format!(
            "nothing of it is in the queue; correct it with {set}, or for this chain with {given}{variable}"
        )
    } else {
        format!(
            "its array stays held (job {}): `metaqnn submit {dir}` goes on with it; `metaqnn cancel {dir}` \
             takes it back, and after that {set}, or {given}, corrects the request{variable}",
            in_words(held)
        )
    };
    error.context(Refusal::NotSubmitted { round: plan.round, remedy })
}

/// The key below `slurm` that sets an option of `sbatch`.
fn key_of(option: &'static str, is_reduce: bool) -> &'static str {
    match (option, is_reduce) {
        ("partition", true) => "reduce.partition",
        ("qos", true) => "reduce.qos",
        ("time", true) => "reduce.time",
        ("mem", true) => "reduce.memory",
        ("mem", false) => "memory",
        ("reservation", true) => "reduce.extra_options",
        ("reservation", false) => "extra_options",
        ("array", _) => "array_size",
        (option, _) => option,
    }
}

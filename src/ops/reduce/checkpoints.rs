//! Which checkpoints are kept.

use std::collections::BTreeSet;

use crate::ops::Experiment;
use crate::regular_file;
use crate::storage::Knowledge;
use crate::storage::search_state::Standing;

/// How many networks keep their checkpoints: those that a longer training would begin with.
const TOP_CHECKPOINTS: usize = 10;

/// Removes the checkpoints of architectures that are known or quarantined, but for the best ones'.
pub(crate) fn remove_checkpoints(
    experiment: &Experiment,
    knowledge: &Knowledge,
) -> anyhow::Result<()> {
    let checkpoints = experiment.dir().list_checkpoints()?;
    // A copy that was cut short is of no use once its architecture is done.
    let unfinished = experiment.dir().list_unfinished_checkpoints()?;
    if checkpoints.is_empty() && unfinished.is_empty() {
        return Ok(());
    }
    let mut best: Vec<_> = knowledge.known.values().collect();
    best.sort_by(|a, b| {
        b.best_validation_accuracy
            .unwrap_or(0.0)
            .total_cmp(&a.best_validation_accuracy.unwrap_or(0.0))
            .then(a.iteration.cmp(&b.iteration))
    });
    let kept: BTreeSet<_> =
        best.iter().take(TOP_CHECKPOINTS).map(|known| known.iteration).collect();
    let checkpoints =
        checkpoints.into_iter().filter(|(attempt, _)| !kept.contains(&attempt.iteration));
    for (attempt, folder) in checkpoints.chain(unfinished) {
        let iteration = attempt.iteration;
        let may_go_on = knowledge.open.contains_key(&iteration)
            || knowledge.lost.get(&iteration).is_some_and(|lost| {
                matches!(knowledge.standing(&lost.architecture), Standing::Free | Standing::Open(_))
            });
        let was_drawn_since = iteration >= knowledge.next_iteration;
        if !may_go_on && !was_drawn_since {
            // A task that still writes there makes its folder again.
            if let Err(error) = regular_file::remove_folder(&folder) {
                log::info!("`{}` stays: {error}", folder.display());
            }
        }
    }
    Ok(())
}

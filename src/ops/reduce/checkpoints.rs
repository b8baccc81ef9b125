//! Which checkpoints are kept.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Result;

use crate::ops::Experiment;
use crate::regular_file;
use crate::storage::Knowledge;
use crate::storage::search_state::{Known, LostClaim, Standing};

/// Networks that keep their checkpoints: those that a longer training would begin with.
const TOP_CHECKPOINTS: usize = 10;

/// Removes the checkpoints of architectures that are known or quarantined, but for the best ones'.
pub(crate) fn remove_checkpoints(experiment: &Experiment, knowledge: &Knowledge) -> Result<()> {
    let accuracy = |known: &&Known| known.best_validation_accuracy.unwrap_or(0.0);
    let mut best: Vec<_> = knowledge.known.values().collect();
    best.sort_by(|a, b| accuracy(b).total_cmp(&accuracy(a)).then(a.iteration.cmp(&b.iteration)));
    let kept: BTreeSet<_> =
        best.iter().take(TOP_CHECKPOINTS).map(|known| known.iteration).collect();
    let mut checkpoints = experiment.dir().list_checkpoints()?;
    checkpoints.retain(|(attempt, _)| !kept.contains(&attempt.iteration));
    // A copy that was cut short is of no use once its architecture is done.
    checkpoints.extend(experiment.dir().list_unfinished_checkpoints()?);
    for (attempt, folder) in checkpoints {
        let iteration = attempt.iteration;
        let may_go_on = knowledge.open.contains_key(&iteration)
            || knowledge.lost.get(&iteration).is_some_and(|lost| may_count(knowledge, lost));
        let was_drawn_since = iteration >= knowledge.next_iteration;
        // A task that still writes there makes its folder again.
        if !may_go_on && !was_drawn_since {
            remove_or_leave(&folder);
        }
    }
    Ok(())
}

/// One that stays costs room alone, and is tried again.
pub(crate) fn remove_or_leave(folder: &Path) {
    if let Err(error) = regular_file::remove_folder(folder) {
        log::info!("`{}` stays: {error}", folder.display());
    }
}

/// Whether a result of this lost claim would count: no other has one, and more may try.
pub(super) fn may_count(knowledge: &Knowledge, lost: &LostClaim) -> bool {
    matches!(knowledge.standing(&lost.candidate), Standing::Free | Standing::Open(_))
}

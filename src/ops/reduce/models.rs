//! Which models are kept.

use anyhow::Result;

use crate::ops::Experiment;
use crate::ops::journal::Journal;
use crate::regular_file;
use crate::storage::{Attempt, Event, Iteration, Row, TIME_OVER};
use crate::training::KeptModels;

/// Returns the attempts whose models are kept, the best first: of the networks trained to the end
/// those with the best validation accuracy, of equal ones the first in the log.
pub(crate) fn best_attempts<'a>(
    rows: impl Iterator<Item = &'a Row>,
    KeptModels(most): KeptModels,
) -> Vec<Attempt> {
    let accuracy = |row: &Row| row.best_validation_accuracy.unwrap_or(0.0);
    let mut trained: Vec<_> = rows.filter(|row| row.event == Event::Trained).enumerate().collect();
    let order = |a: &(usize, &Row), b: &(usize, &Row)| {
        accuracy(b.1).total_cmp(&accuracy(a.1)).then(a.0.cmp(&b.0))
    };
    // Asked after every result.
    if trained.len() > most as usize {
        trained.select_nth_unstable_by(most as usize, order);
        trained.truncate(most as usize);
    }
    trained.sort_by(order);
    trained.into_iter().filter_map(|(_, row)| row.attempt()).collect()
}

/// Removes what belongs to iterations that have ended, but for the best models. Decided from the
/// log alone, as it was read before the folder: later rows add nothing to what is kept of it.
pub(crate) fn remove_models(experiment: &Experiment, journal: &Journal) -> Result<()> {
    let (dir, knowledge) = (experiment.dir(), journal.state());
    let best = best_attempts(journal.rows().iter(), experiment.config().recipe.keep_models);
    for (attempt, folder) in [dir.list_models()?, dir.list_unfinished_copies()?].concat() {
        let is_best = best.contains(&attempt) && folder == dir.model(attempt);
        let (iteration, next) = (attempt.iteration, knowledge.next_iteration);
        if !is_best
            && iteration < next
            && !knowledge.open.contains_key(&iteration)
            && !may_come(journal, iteration)
            && let Err(error) = regular_file::remove_folder(&folder)
        {
            log::info!("`{}` stays: {error}", folder.display());
        }
    }
    Ok(())
}

/// Whether the task of a claim that has expired may still train for its result.
fn may_come(journal: &Journal, iteration: Iteration) -> bool {
    let is_loss = |row: &&Row| row.iteration == Some(iteration) && row.event == Event::Lost;
    journal.state().lost.contains_key(&iteration)
        && journal.rows().iter().rfind(is_loss).and_then(|row| row.reason.as_deref())
            == Some(TIME_OVER)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;

    use jiff::Timestamp;
    use proptest::prelude::*;

    use super::*;
    use crate::ops::init;
    use crate::q_learning::Epsilon;
    use crate::space::Candidate;
    use crate::storage::Time;
    use crate::storage::log::random_log::claimant;

    fn time() -> Time {
        Timestamp::UNIX_EPOCH.into()
    }

    #[derive(Debug, Clone)]
    enum End {
        Open,
        Trained { percent: u32 },
        Failed,
        Lost(&'static str),
    }

    fn end() -> impl Strategy<Value = End> {
        prop_oneof![
            2 => Just(End::Open),
            8 => (0..100u32).prop_map(|percent| End::Trained { percent }),
            1 => Just(End::Failed),
            1 => Just(End::Lost("its process is gone")),
            1 => Just(End::Lost(TIME_OVER)),
        ]
    }

    /// Draws a network in so many attempts, of which the last ends so.
    fn train(journal: &mut Journal, network: usize, attempts: u32, end: &End) {
        let transaction = journal.transaction(|transaction| {
            let candidate = Candidate::once(format!("[network {network}]"));
            let epsilon = Some(Epsilon::RANDOM);
            let mut claim = transaction.state().draw(&candidate, epsilon, &claimant(0));
            transaction.push(claim.clone())?;
            for _ in 1..attempts {
                claim.attempt = claim.attempt.map(|number| number + 1);
                transaction.push(claim.clone())?;
            }
            match end {
                End::Open => {}
                End::Trained { percent } => {
                    let accuracy = f64::from(*percent) / 100.0;
                    transaction.push(claim.made_up_trained(accuracy, 2, time()))?;
                }
                End::Failed => {
                    transaction.push(claim.made_up_result(Event::Failed, 0.1, time()))?;
                }
                End::Lost(reason) => {
                    let attempt = claim.attempt().unwrap();
                    let lost = transaction.state().lose(attempt, reason, None, time());
                    transaction.push_all(lost)?;
                }
            }
            Ok(())
        });
        transaction.unwrap();
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        /// Each network has the models that its attempts would leave if all were killed right
        /// before they could remove any.
        #[test]
        fn the_best_models_and_those_of_networks_in_training_are_left(
            networks in prop::collection::vec((1..=3u32, end()), 1..30),
        ) {
            let folder = tempfile::tempdir().unwrap();
            let experiment = init::tests::random_search(&folder, 99);
            let dir = experiment.dir();
            let mut journal = Journal::open(&experiment).unwrap();
            let (mut trained, mut in_training) = (Vec::new(), BTreeSet::new());
            for (network, (attempts, end)) in networks.iter().enumerate() {
                train(&mut journal, network, *attempts, end);
                let iteration = Iteration(network as u64 + 1);
                for number in 1..=*attempts {
                    let attempt = Attempt { iteration, number };
                    let paths = [dir.model(attempt), dir.unfinished_model(attempt)];
                    paths.iter().for_each(|path| fs::create_dir(path).unwrap());
                    if matches!(end, End::Open | End::Lost(TIME_OVER)) {
                        in_training.extend(paths);
                    }
                }
                if let End::Trained { percent } = end {
                    trained.push((*percent, dir.model(Attempt { iteration, number: *attempts })));
                }
            }
            let later = Attempt { iteration: Iteration(99), number: 1 };
            fs::create_dir(dir.unfinished_model(later)).unwrap();
            in_training.insert(dir.unfinished_model(later));
            remove_models(&experiment, &journal).unwrap();
            let left: BTreeSet<_> = dir.list_models().unwrap().into_iter().map(|at| at.1).collect();
            // Of each network that has a better one or an equal one before it, at most nine.
            let is_best = |index: usize| {
                let (percent, _) = trained[index];
                let before = trained[..index].iter().filter(|other| other.0 >= percent).count();
                before + trained[index..].iter().filter(|other| other.0 > percent).count() < 10
            };
            let best = (0..trained.len()).filter(|&index| is_best(index));
            in_training.extend(best.map(|index| trained[index].1.clone()));
            prop_assert_eq!(left, in_training);
        }
    }
}

//! Which models are kept.

use std::cmp::Reverse;

use anyhow::{Result, ensure};
use itertools::Itertools;

use crate::model::ModelCard;
use crate::ops::Experiment;
use crate::ops::journal::Journal;
use crate::ops::reduce::checkpoints::{may_count, remove_or_leave};
use crate::report::ordered_bits;
use crate::storage::{Attempt, Event, ExperimentDir, Iteration, Row, TIME_OVER, fs::publish};
use crate::training::KeptModels;

/// Returns the attempts whose models are kept, the best first: of the networks trained to the end
/// those with the best validation accuracy, of equal ones the first in the log; then all that were
/// not judged, as nothing ranks them.
pub(crate) fn best_attempts<'a>(
    rows: impl Iterator<Item = &'a Row>,
    KeptModels(most): KeptModels,
) -> Vec<Attempt> {
    let trained = rows.filter(|row| row.event == Event::Trained).enumerate();
    let (judged, unjudged): (Vec<_>, Vec<_>) =
        trained.partition(|(_, row)| row.best_validation_accuracy.is_some());
    let order = |(place, row): &(usize, &Row)| {
        (Reverse(row.best_validation_accuracy.map(ordered_bits)), *place)
    };
    let best = judged.into_iter().k_smallest_by_key(most as usize, order);
    let unjudged = unjudged.into_iter().filter(|_| most > 0);
    best.chain(unjudged).filter_map(|(_, row)| row.attempt()).collect()
}

/// Removes what belongs to iterations that have ended, but for the best models. Decided from the
/// log alone, as it was read before the folder: later rows add nothing to what is kept of it.
pub(crate) fn remove_models(experiment: &Experiment, journal: &Journal) -> Result<()> {
    let (dir, knowledge) = (experiment.dir(), journal.state());
    let best = best_attempts(journal.rows().iter(), experiment.config().recipe.keep_models);
    for (attempt, folder) in [dir.list_models()?, dir.list_unfinished_copies()?].concat() {
        // Its process was killed when the result was beside the curve.
        if best.contains(&attempt) && folder == dir.unfinished_model(attempt) {
            name_model(dir, attempt);
        }
        let is_best = best.contains(&attempt) && folder == dir.model(attempt);
        let (iteration, next) = (attempt.iteration, knowledge.next_iteration);
        if !is_best
            && iteration < next
            && !knowledge.open.contains_key(&iteration)
            && !may_come(journal, iteration)
            && folder.is_dir()
        {
            remove_or_leave(&folder);
        }
    }
    Ok(())
}

/// Completes an unfinished folder that has its card, and gives it its name.
pub(crate) fn name_model(dir: &ExperimentDir, attempt: Attempt) {
    let folder = dir.unfinished_model(attempt);
    let name = || -> Result<()> {
        let card = ModelCard::read(&folder)?;
        ensure!(card.is_of(attempt.iteration.0, attempt.number), "its card is of another attempt");
        card.complete(&folder)?;
        Ok(publish::rename_folder(&folder, &dir.model(attempt))?)
    };
    if let Err(error) = name() {
        log::warn!("the model of iteration {} is not kept: {error:#}", attempt.iteration);
    }
}

/// Whether the task of a claim that has expired may still train for its result.
fn may_come(journal: &Journal, iteration: Iteration) -> bool {
    let is_loss = |row: &&Row| row.iteration == Some(iteration) && row.event == Event::Lost;
    journal.state().lost.get(&iteration).is_some_and(|lost| may_count(journal.state(), lost))
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

    #[test]
    fn an_unfinished_model_goes_when_its_architecture_has_a_result_elsewhere() {
        let folder = tempfile::tempdir().unwrap();
        let experiment = init::tests::random_search(&folder, 99);
        let mut journal = Journal::open(&experiment).unwrap();
        train(&mut journal, 0, 1, &End::Lost(TIME_OVER));
        let part =
            experiment.dir().unfinished_model(Attempt { iteration: Iteration(1), number: 1 });
        fs::create_dir(&part).unwrap();
        remove_models(&experiment, &journal).unwrap();
        assert!(part.exists(), "its task may still train");
        train(&mut journal, 0, 1, &End::Failed);
        remove_models(&experiment, &journal).unwrap();
        assert!(!part.exists());
    }

    #[test]
    fn networks_that_were_not_judged_keep_their_models_all_of_them() {
        let row = |iteration, best_validation_accuracy| Row {
            event: Event::Trained,
            iteration: Some(Iteration(iteration)),
            attempt: Some(1),
            best_validation_accuracy,
            ..Row::default()
        };
        let rows = [row(1, Some(0.25)), row(2, None), row(3, Some(0.5)), row(4, None)];
        let kept = |most| {
            let best = best_attempts(rows.iter(), KeptModels(most)).into_iter();
            best.map(|attempt| attempt.iteration.0).collect::<Vec<_>>()
        };
        assert_eq!((kept(1), kept(0)), (vec![3, 2, 4], vec![]));
    }
}

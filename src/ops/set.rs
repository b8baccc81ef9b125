//! What may change of a frozen configuration, changed by rows of the log.

use anyhow::{Context, Result, bail};
use itertools::Itertools;
use jiff::Timestamp;

use crate::config::{Setting, check_changeable};
use crate::ops::experiment::check_checkpoint_dir;
use crate::ops::journal::Journal;
use crate::ops::{Experiment, Refusal, recording};
use crate::q_learning::{Epsilon, EpsilonSchedule};
use crate::storage::{Event, Knowledge, Row};
use crate::strategy::{StrategyKind, ValidStrategyParams};

/// Appends a `set` row for each setting that changes something, all or none; returns notices.
/// Tasks that are training go on as they were claimed.
pub fn set(experiment: &Experiment, settings: &[Setting]) -> Result<Vec<String>> {
    settings.iter().try_for_each(|setting| check_changeable(&setting.path).map(drop))?;
    if let Some(path) = settings.iter().map(|setting| &setting.path).duplicates().next() {
        bail!(Refusal::Usage(format!("`{path}` is given twice (leave out one of them)")));
    }
    Journal::open(experiment)?.transaction(|transaction| {
        let known = transaction.state();
        let before = experiment.frozen.in_force(experiment.dir(), &known.settings)?;
        let is_of_schedule = |setting: &Setting| setting.path == "epsilon_schedule";
        let kind = before.strategy.kind;
        if !kind.has_epsilon() && settings.iter().any(is_of_schedule) {
            let problem = format!("the strategy `{kind}` has no epsilons (nothing to set)");
            bail!(Refusal::Usage(problem));
        }
        let (mut said, mut rows, mut config) = (Vec::new(), Vec::new(), before.config.clone());
        for setting in settings {
            let after = config.in_force(std::slice::from_ref(setting))?;
            let line = setting.to_string();
            // The same limit again lets a search that ran out of time go on, its trainer mended.
            let goes_on = known.is_time_too_short() && setting.path == "slurm.time";
            if after == config && !goes_on {
                said.push(format!("`{line}` is in force already: nothing to change"));
                continue;
            }
            // As it will be read from the log: not NaN, say.
            if config.in_force(&[line.parse()?])? != after {
                let problem = format!("`{line}` cannot be written into the log");
                bail!(Refusal::Usage(problem));
            }
            let notice = check_changeable(&setting.path)?;
            said.push(format!("`{line}` is in force from now on{notice}"));
            let reason = Some(line.into());
            rows.push(Row { reason, ..Row::at(Event::Set, Timestamp::now().into()) });
            config = after;
        }
        let after = recording::checked(config).context("after these changes")?;
        check_checkpoint_dir(&after, experiment.dir().root())?;
        let [old, new] = [&before, &after].map(|config| &config.strategy.schedule);
        check_schedule(known, old, new)?;
        check_burn_in(known, &before.strategy, &after.strategy)?;
        let stages = new.stages().iter().zip(known.stage_counts(new));
        let is_new = |stage: &_| !old.stages().contains(stage);
        let closed = stages.filter(|(stage, counts)| counts.exhausted && is_new(stage));
        said.extend(closed.map(|(stage, _)| match stage.epsilon {
            Some(epsilon) => format!(
                "nothing new can be drawn at epsilon {epsilon}, which is closed: a stage of \
                 another epsilon is needed for more"
            ),
            None => "nothing new can be drawn: the search has ended".to_owned(),
        }));
        transaction.push_all(rows)?;
        Ok(said)
    })
}

/// Each stage up to the last that has begun keeps its place, its epsilon and its architectures.
fn check_schedule(known: &Knowledge, old: &EpsilonSchedule, new: &EpsilonSchedule) -> Result<()> {
    let has_begun = |epsilon: Option<f64>| known.epsilons.iter().any(|it| it.epsilon == epsilon);
    let stages = old.stages();
    let newest = stages.iter().rposition(|stage| has_begun(stage.epsilon.map(Epsilon::value)));
    for (index, stage) in stages[..newest.map_or(0, |index| index + 1)].iter().enumerate() {
        let (now, least) = (new.stages().get(index), stage.architectures);
        if !now.is_some_and(|now| now.epsilon == stage.epsilon && now.architectures >= least) {
            bail!(Refusal::Usage(match stage.epsilon {
                Some(epsilon) => format!(
                    "stage {} of the epsilon schedule has begun: it has to stay in its place, with \
                     epsilon {} and {least} architectures or more (new stages come after it)",
                    index + 1,
                    epsilon.value()
                ),
                None => format!(
                    "the search has begun: `strategy.architectures` has to stay {least} or more"
                ),
            }));
        }
    }
    Ok(())
}

/// Views keep hyperparameters that were found at multiples of the burn-in, which a short search
/// scales.
fn check_burn_in(
    known: &Knowledge,
    old: &ValidStrategyParams,
    new: &ValidStrategyParams,
) -> Result<()> {
    let [before, after] = [old, new].map(|it| it.bayesian.burn_in);
    if new.kind == StrategyKind::Bayesian && before != after && !known.epsilons.is_empty() {
        bail!(Refusal::Usage(format!(
            "the search has begun with a burn-in of {before}, a fifth of its networks; of so many \
             it would be {after}, and what was learned would be other (make a new experiment)"
        )));
    }
    Ok(())
}

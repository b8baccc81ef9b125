//! What is known of one iteration. Reads everything, appends nothing.

use anyhow::{Result, bail};
use itertools::Itertools;
use jiff::Timestamp;

use crate::ops::journal::Journal;
use crate::ops::{Experiment, Refusal};
use crate::q_learning::{Epsilon, Trajectory, walk};
use crate::regular_file::{self, MEDIUM};
use crate::report::explain::{Explanation, MadeChoice, QUpdate, RepeatedDraw};
use crate::seed::{Purpose, generator};
use crate::space::Architecture;
use crate::storage::view::Learned;
use crate::storage::{Attempt, Curve, Event, Iteration, Row, plain};
use crate::strategy::StrategyKind;

/// Of what a trainer wrote to stderr.
const LAST_LINES: usize = 10;

pub fn explain(experiment: &Experiment, iteration: u64) -> Result<Explanation> {
    let journal = Journal::open_to_look(experiment)?;
    let (log, state) = (journal.rows(), journal.state());
    let own = log.iter().positions(|row| row.iteration == Some(Iteration(iteration)));
    let own = own.collect_vec();
    let Some(&first) = own.first() else {
        let there = match state.next_iteration.0 - 1 {
            0 => "the log has none yet".to_owned(),
            last => format!("the log has 1 to {last}"),
        };
        bail!(Refusal::Usage(format!("iteration {iteration} does not exist ({there})")));
    };
    let rows = own.iter().map(|&at| log[at].clone()).collect_vec();
    let newest = &rows[rows.len() - 1];
    let text = rows.iter().find_map(|row| row.architecture.clone());
    let config = experiment.config();
    let architecture = text.as_ref().and_then(|text| config.space.parse(text).ok());
    let (mut draw, mut q_updates) = (None, Vec::new());
    if let Some(architecture) = architecture.filter(|_| config.strategy.kind.has_epsilon()) {
        let mut learned = Learned::nothing(experiment.view_params());
        draw = repeated(experiment, log, first, &mut learned, &architecture)?;
        if let Some(&at) = own.iter().find(|&&at| log[at].memory().is_some()) {
            q_updates = updates(experiment, log, at, &mut learned, &architecture)?;
        }
    }
    let attempt = rows.iter().rev().find_map(Row::attempt);
    let curve = attempt.map(|it| experiment.dir().curve(it)).filter(|path| path.exists());
    let curve = curve.and_then(|path| {
        let refused = |error| log::warn!("{error} (`metaqnn verify` names what is damaged)");
        Curve::read(&path).map_err(refused).ok()
    });
    let edited = rows[0].strategy.as_deref().and_then(|why| why.split_once("edit of "));
    let parent = edited.and_then(|(_, edit)| edit.split_once(':')?.0.parse::<Iteration>().ok());
    let is_parent = |row: &&Row| row.event.is_result() && row.iteration == parent;
    let parent = parent.and_then(|_| log.iter().find(is_parent));
    let audit = state.audits.iter().find(|audit| audit.iteration.0 == iteration);
    let is_without = !matches!(newest.event, Event::Trained | Event::Stopped | Event::Reused);
    let q_learning = &config.q_learning;
    Ok(Explanation {
        experiment: config.experiment.name.clone(),
        strategy: config.strategy.kind.into(),
        iteration,
        status: newest.event,
        architecture: text,
        draw,
        parent: parent
            .and_then(|row| Some((row.iteration?.0, row.architecture.clone()?, row.reward))),
        q_updates,
        replayed: q_learning.experience_replay.then_some(q_learning.replay_size),
        curve: curve.unwrap_or_default().rows,
        epochs: config.recipe.epochs,
        offset: config.early_stopping.offset,
        is_false_stop: audit.map(|audit| audit.is_false_stop),
        stderr: attempt.filter(|_| is_without).map_or(Vec::new(), |it| last_lines(experiment, it)),
        rows,
        now: Timestamp::now().into(),
    })
}

/// Draws again what the row at `first` says, with the Q-table of its column `view`. `None` where it
/// is no draw of Q-learning, or the log no longer has so many rows before it.
fn repeated(
    experiment: &Experiment,
    log: &[Row],
    first: usize,
    learned: &mut Learned,
    architecture: &Architecture,
) -> Result<Option<RepeatedDraw>> {
    let (config, row) = (experiment.config(), &log[first]);
    let is_draw =
        matches!(row.event, Event::Claimed | Event::Pending | Event::Reused | Event::Lost);
    let is_draw = is_draw && row.strategy.is_none();
    let (Some(epsilon), Some(view)) = (row.epsilon, row.view.filter(|_| is_draw)) else {
        return Ok(None);
    };
    let (iteration, epsilon) = (row.iteration.unwrap_or_default(), Epsilon::new(epsilon)?);
    let Some(before) = log[..first].get(..view as usize) else { return Ok(None) };
    learned.learn(before, &experiment.dir().replay_log())?;
    let mut rng = generator(config.experiment.seed, Purpose::Sample, iteration.0, 0);
    if config.strategy.kind == StrategyKind::ExploitBest
        && config.strategy.exploit_best.is_edit(Some(epsilon), &mut rng)
    {
        return Ok(None);
    }
    let mut choices = Vec::new();
    let table = learned.q_table();
    let drawn = walk(table, epsilon, &mut rng, |choice| choices.push(MadeChoice::of(&choice)));
    let is_same = drawn == *architecture;
    Ok(Some(RepeatedDraw {
        epsilon: epsilon.value(),
        view,
        has_blanks: before.iter().any(|row| row.event == Event::Void),
        architecture: drawn.to_string(),
        is_same,
        choices: if is_same { choices } else { Vec::new() },
    }))
}

/// What learning from the row at `at`, after all before it, did to the Q-values along its layers.
fn updates(
    experiment: &Experiment,
    log: &[Row],
    at: usize,
    learned: &mut Learned,
    architecture: &Architecture,
) -> Result<Vec<QUpdate>> {
    let trajectory = Trajectory::of(&experiment.config().space, architecture);
    let path = experiment.dir().replay_log();
    let values = |learned: &Learned| {
        let steps = trajectory.transitions().iter();
        let values = steps.filter_map(|step| {
            let values = learned.q_table().values(&step.state);
            values.iter().find(|(action, _)| *action == step.action).copied()
        });
        values.collect_vec()
    };
    learned.learn(&log[..at], &path)?;
    let before = values(learned);
    learned.learn(&log[..=at], &path)?;
    let both = before.into_iter().zip(values(learned));
    let updates = both.map(|((layer, before), (_, after))| {
        let layer = layer.to_string();
        QUpdate { layer, before, after }
    });
    Ok(updates.collect())
}

fn last_lines(experiment: &Experiment, attempt: Attempt) -> Vec<String> {
    let written = regular_file::read(&experiment.dir().trainer_log(attempt), MEDIUM);
    let text = String::from_utf8_lossy(&written.unwrap_or_default()).into_owned();
    let lines = text.split(['\n', '\r']).filter_map(plain).collect_vec();
    lines.iter().rev().take(LAST_LINES).rev().map(|line| line.to_string()).collect()
}

//! Numbers of a search by name, which claims are compared with. `claims.yaml` says the names.

use std::collections::BTreeMap;

use itertools::Itertools;

use super::SearchEvidence;
use crate::maths::{binomial_interval, mean, standard_error, variance};
use crate::report::finals::{Finals, NetworkRole};
use crate::report::iterations::{ArchitectureRecord, Ledger, final_accuracy, grouped, ranking};
use crate::report::search::SearchData;
use crate::report::summary::EpsilonSummary;
use crate::report::tables::{ActionGroup, depths, histogram, mean_q_values};
use crate::storage::Row;

/// A number and its 95 % interval: the number itself where none is known.
pub type Fact = (f64, [f64; 2]);
pub type Facts = BTreeMap<String, Fact>;

const fn exact(value: f64) -> Fact {
    (value, [value; 2])
}

fn add(facts: &mut Facts, name: impl Into<String>, fact: impl Into<Option<Fact>>) {
    facts.extend(fact.into().map(|fact| (name.into(), fact)));
}

pub fn count(facts: &Facts, name: &str) -> u64 {
    facts.get(name).map_or(0, |fact| fact.0 as u64)
}

fn with_error(value: f64, standard_error: f64) -> Fact {
    (value, [value - 1.96 * standard_error, value + 1.96 * standard_error])
}

/// The mean of several, by their variance.
fn mean_of(values: &[f64]) -> Option<Fact> {
    Some(with_error(mean(values.iter().copied()), standard_error(values)?))
}

/// `siblings`: the searches that differ in their seed alone, itself included.
pub fn facts(of: &SearchEvidence, siblings: &[&SearchEvidence]) -> Facts {
    let mut facts = Facts::new();
    of_epsilons(&of.search, &mut facts);
    of_networks(&of.search, &mut facts);
    // What is about all of them is said by the first.
    if std::ptr::eq(siblings[0], of) {
        of_seeds(siblings, &mut facts);
    }
    add(&mut facts, "searches", exact(siblings.len() as f64));
    for (data, finals) in &of.finals {
        of_finals(data, finals, &mut facts);
    }
    of_stopping(of, &mut facts);
    facts
}

fn of_epsilons(search: &SearchData, facts: &mut Facts) {
    let rewards = |rows: &[&Row]| rows.iter().filter_map(|row| row.reward).collect_vec();
    let by_epsilon = grouped(&search.iterations, |row| row.epsilon.map(f64::to_bits));
    let means = by_epsilon.iter().map(|(bits, rows)| (f64::from_bits(*bits), rewards(rows)));
    let means = means.filter_map(|(epsilon, of)| Some((epsilon, mean_of(&of)?))).collect_vec();
    for (epsilon, fact) in &means {
        add(facts, format!("mean at epsilon {epsilon}"), *fact);
    }
    if let [least, .., greatest] = means[..] {
        add(facts, "mean at the least epsilon", least.1);
        add(facts, "mean at the greatest epsilon", greatest.1);
    }
    for summary in EpsilonSummary::of_each(search) {
        let Some(epsilon) = summary.epsilon else { continue };
        let last = summary.last_iteration.map(|last| exact(last as f64));
        add(facts, format!("last iteration of epsilon {epsilon}"), last);
        add(facts, format!("networks at epsilon {epsilon}"), exact(summary.results as f64));
    }
    for row in histogram(search) {
        let name = format!("share at epsilon {} from {}", row.epsilon, row.bin as f64 / 100.0);
        add(facts, name, exact(row.share));
    }
    // The small networks that random draws meet again and again.
    let at_random = by_epsilon.get(&1.0_f64.to_bits()).map_or(&[][..], |rows| rows);
    let of_network =
        at_random.iter().filter_map(|row| Some((row.architecture.as_ref()?, row.reward?)));
    for (network, rewards) in of_network.into_group_map() {
        if rewards.len() > 1 {
            let share = rewards.len() as f64 / at_random.len() as f64;
            add(facts, format!("share of {network}"), exact(share));
            add(facts, format!("accuracy of {network}"), exact(mean(rewards.into_iter())));
        }
    }
    // A Q-table follows from any log: that of a search that has not learned says nothing.
    if means.first().is_none_or(|(epsilon, _)| *epsilon == 1.0) {
        return;
    }
    for (by, kind) in [(ActionGroup::LayerType, ""), (ActionGroup::Kernel, "kernel ")] {
        let all = mean_q_values(search, by).into_iter();
        let all = all.filter(|row| (row.table, row.entries) == ("learned", "all"));
        for (name, rows) in all.into_group_map_by(|row| row.of.clone()) {
            let mut at = |depth: &str, value| {
                add(facts, format!("Q of {kind}{name} at {depth}"), exact(value))
            };
            rows.iter().for_each(|row| at(&row.depth.to_string(), row.mean_q_value));
            if let [first, .., last] = &rows[..] {
                at("its first depth", first.mean_q_value);
                at("its last", last.mean_q_value);
            }
            let deep = rows.iter().filter(|row| (5..=10).contains(&row.depth));
            let deep = deep.map(|row| row.mean_q_value).collect_vec();
            if !deep.is_empty() {
                at("5 to 10", mean(deep.into_iter()));
            }
        }
    }
}

fn of_networks(search: &SearchData, facts: &mut Facts) {
    let iterations = &search.iterations;
    let results = iterations.iter().filter(|row| row.event.is_result());
    let (random, learned): (Vec<&Row>, Vec<_>) = results.partition(|row| row.is_at_random());
    add(facts, "networks", exact((random.len() + learned.len()) as f64));
    let each = random.len().min(learned.len());
    for (name, rows) in [("top ten at random", random), ("top ten learned", learned)] {
        let all = rows.into_iter().take(each).filter_map(final_accuracy);
        let top = all.sorted_by(|a, b| b.total_cmp(a)).take(10.min(each / 2)).collect_vec();
        add(facts, name, mean_of(&top));
    }
    let ranked = ranking(ArchitectureRecord::gather(iterations), usize::MAX);
    let sized = ranked.iter().map(|of| Some((final_accuracy(of)?, of.parameters?)));
    let best = sized.clone().next().flatten();
    let loss = best.and_then(|(accuracy, size)| {
        let small = sized.flatten().find(|(_, parameters)| 10 * parameters <= size)?;
        Some(exact(accuracy - small.0))
    });
    add(facts, "loss with a tenth of the parameters", loss);
    // An import has no times.
    let seconds = Some(Ledger::over(iterations).spent()).filter(|seconds| *seconds > 0.0);
    add(facts, "cost in GPU-days", seconds.map(|seconds| exact(seconds / 86_400.0)));
}

fn of_seeds(siblings: &[&SearchEvidence], facts: &mut Facts) {
    let accuracies = |of: &&SearchEvidence| {
        of.search.iterations.iter().filter_map(final_accuracy).reduce(f64::max)
    };
    let bests = siblings.iter().map(accuracies).collect::<Option<Vec<_>>>().unwrap_or_default();
    if let Some(variance) = variance(&bests) {
        add(facts, "best over seeds, mean", exact(mean(bests.into_iter())));
        add(facts, "best over seeds, standard deviation", exact(variance.sqrt()));
    }
}

/// Errors are of the first training of each; networks of other images have their name with them.
fn of_finals(data: &str, finals: &Finals, facts: &mut Facts) {
    for result in &finals.results {
        let Some(error) = result.test.get(&1) else { continue };
        let fact = (error.error, error.interval().unwrap_or([error.error; 2]));
        let name = match (&finals.transfer, result.architectures.len()) {
            (Some(how), _) if how.contains("(weights: found") => {
                format!("{} on {data}, found weights", result.name)
            }
            (Some(_), _) => format!("{} on {data}, new weights", result.name),
            (None, 1) => result.name.clone(),
            (None, members) => format!("{} of {members}", result.name),
        };
        add(facts, format!("test error of {name}"), fact);
    }
    if finals.transfer.is_some() {
        return;
    }
    add(facts, "epochs of the long training", exact(finals.final_epochs.into()));
    let is_found = |role| matches!(role, NetworkRole::Top | NetworkRole::PerDepth);
    let found = finals.networks.iter().filter(|network| is_found(network.role));
    let errors = found.filter_map(|network| network.repeats.first()?.test_error);
    for (place, error) in (1..).zip(errors.sorted_by(f64::total_cmp)) {
        add(facts, format!("test error of place {place}"), exact(error));
    }
    let judged = depths(finals)
        .into_iter()
        .filter_map(|it| Some((it.layers, it.best.search_accuracy?, it.best.validation_accuracy?)))
        .collect_vec();
    for (layers, search, long) in &judged {
        add(facts, format!("accuracy in the search, {layers} layers"), exact(*search));
        add(facts, format!("accuracy after the long training, {layers} layers"), exact(*long));
    }
    // By how much a pair of depths changes its order: the lesser one of both differences, with the
    // error of a difference of two shares of the validation images.
    let images = finals.validation_images.unwrap_or(0).max(1) as f64;
    let pairs = judged.iter().tuple_combinations();
    let gap = pairs.map(|(shallow, deep)| (shallow.1 - deep.1).min(deep.2 - shallow.2));
    if let Some(gap) = gap.max_by(f64::total_cmp) {
        let middle = mean(judged.iter().map(|it| it.2));
        let error = (2.0 * middle * (1.0 - middle) / images).sqrt();
        add(facts, "reversal of two depths", with_error(gap, error));
    }
}

fn of_stopping(of: &SearchEvidence, facts: &mut Facts) {
    let stopping = of.search.early_stopping.summed_up(&of.search);
    let false_stops = stopping.false_stop_rate.zip(stopping.findings.interval());
    add(facts, "false stops", false_stops.map(|(rate, (low, high))| (rate, [low, high])));
    if stopping.stopped > 0 {
        let trained = stopping.epochs_trained as f64;
        let speedup = (trained + stopping.epochs_saved as f64) / trained;
        add(facts, "speedup of the search", exact(speedup));
        let top = facts.get("test error of top model").copied();
        add(facts, "test error after stopping, top model", top);
    }
    let Some(replay) = &of.replay else { return };
    add(facts, "curves", exact(replay.networks as f64));
    let quarter = (of.search.epochs / 4).max(1);
    for (name, _, value, error) in replay.scores.iter().filter(|score| score.1 == quarter) {
        let name = format!("R squared of {}", name.trim_start_matches("replayed: "));
        add(facts, name, value.map(|value| with_error(value, error.unwrap_or(0.0))));
    }
    let settings = replay.settings.iter();
    let plain = settings.filter(|it| it.top_n == 1 && it.offset == 0.0 && it.orders > 0);
    for it in plain.clone().filter(|it| it.delta == 0.99) {
        let share = it.best_kept as f64 / it.orders as f64;
        let interval = binomial_interval(it.best_kept, it.orders);
        add(facts, "share of orders that keep the best at Delta 0.99", (share, interval));
        add(facts, "speedup at Delta 0.99", exact(it.speedup));
    }
    let kept = plain.filter(|it| 2 * it.best_kept > it.orders).map(|it| exact(it.speedup));
    let greatest = kept.max_by(|a, b| a.0.total_cmp(&b.0));
    add(facts, "greatest speedup that keeps the best", greatest);
    if let Some((speedup, loss, error)) = replay.hyperband {
        add(facts, "Hyperband's speedup", exact(speedup));
        add(facts, "Hyperband's loss of accuracy", with_error(loss, error));
    }
}

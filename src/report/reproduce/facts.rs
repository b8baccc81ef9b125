//! Numbers of a search by name, which claims are compared with. `claims.yaml` says the names.

use std::collections::BTreeMap;

use itertools::Itertools;

use super::SearchEvidence;
use crate::maths::{binomial_interval, mean, variance};
use crate::report::finals::{Finals, NetworkRole};
use crate::report::iterations::{ArchitectureRecord, Ledger, final_accuracy, grouped, ranking};
use crate::report::summary::EpsilonSummary;
use crate::report::tables::{ActionGroup, depths, histogram, mean_q_values};
use crate::storage::Row;

/// A number and its 95 % interval: the number itself where none is known.
pub type Fact = (f64, [f64; 2]);
pub type Facts = BTreeMap<String, Fact>;

const fn exact(value: f64) -> Fact {
    (value, [value; 2])
}

fn with_error(value: f64, standard_error: f64) -> Fact {
    (value, [value - 1.96 * standard_error, value + 1.96 * standard_error])
}

/// The mean of several, by their variance.
fn mean_of(values: &[f64]) -> Option<Fact> {
    let error = (variance(values)? / values.len() as f64).sqrt();
    Some(with_error(mean(values.iter().copied()), error))
}

/// `siblings`: the searches that differ from it in their seed alone, where it is the first of them.
pub fn facts(of: &SearchEvidence, siblings: &[&SearchEvidence]) -> Facts {
    let mut facts = Facts::new();
    of_epsilons(of, &mut facts);
    of_networks(of, siblings, &mut facts);
    for (data, finals) in &of.finals {
        of_finals(data, finals, &mut facts);
    }
    of_stopping(of, &mut facts);
    facts
}

fn of_epsilons(of: &SearchEvidence, facts: &mut Facts) {
    let search = &of.search;
    let mut add = |name: String, fact: Fact| facts.insert(name, fact);
    let rewards = |rows: &[&Row]| rows.iter().filter_map(|row| row.reward).collect_vec();
    let by_epsilon = grouped(&search.iterations, |row| row.epsilon.map(f64::to_bits));
    let means = by_epsilon.iter().map(|(bits, rows)| (f64::from_bits(*bits), rewards(rows)));
    let means = means.filter_map(|(epsilon, of)| Some((epsilon, mean_of(&of)?))).collect_vec();
    for (epsilon, fact) in &means {
        add(format!("mean at epsilon {epsilon}"), *fact);
    }
    if let [least, .., greatest] = means[..] {
        add("mean at the least epsilon".to_owned(), least.1);
        add("mean at the greatest epsilon".to_owned(), greatest.1);
    }
    for summary in EpsilonSummary::of_each(search) {
        if let (Some(epsilon), Some(last)) = (summary.epsilon, summary.last_iteration) {
            add(format!("last iteration of epsilon {epsilon}"), exact(last as f64));
        }
    }
    for row in histogram(search) {
        let (epsilon, from) = (row.epsilon, row.bin as f64 / 100.0);
        add(format!("share at epsilon {epsilon} from {from}"), exact(row.share));
    }
    // The small networks that random draws meet again and again.
    let at_random = by_epsilon.get(&1.0_f64.to_bits()).map_or(&[][..], |rows| rows);
    let of_network =
        at_random.iter().filter_map(|row| Some((row.architecture.clone()?, row.reward?)));
    for (network, rewards) in of_network.into_group_map() {
        if rewards.len() > 1 {
            let share = rewards.len() as f64 / at_random.len() as f64;
            add(format!("share of {network}"), exact(share));
            add(format!("accuracy of {network}"), exact(mean(rewards.into_iter())));
        }
    }
    // A Q-table follows from any log: that of a search that has not learned says nothing.
    if means.first().is_none_or(|(epsilon, _)| *epsilon == 1.0) {
        return;
    }
    for (by, kind) in [(ActionGroup::LayerType, ""), (ActionGroup::Kernel, "kernel ")] {
        let all = mean_q_values(search, by).into_iter();
        let all = all.filter(|it| (it.table, it.entries) == ("learned", "all"));
        for (name, rows) in all.into_group_map_by(|it| it.of.clone()) {
            let at = |depth: &str, value| (format!("Q of {kind}{name} at {depth}"), exact(value));
            facts.extend(rows.iter().map(|it| at(&it.depth.to_string(), it.mean_q_value)));
            let ends = rows.iter().minmax_by_key(|it| it.depth).into_option();
            let ends = ends.filter(|(first, last)| first.depth < last.depth);
            facts.extend(ends.into_iter().flat_map(|(first, last)| {
                [at("its first depth", first.mean_q_value), at("its last", last.mean_q_value)]
            }));
            let deep = rows.iter().filter(|it| (5..=10).contains(&it.depth));
            let deep = deep.map(|it| it.mean_q_value).collect_vec();
            facts.extend((!deep.is_empty()).then(|| at("5 to 10", mean(deep.into_iter()))));
        }
    }
}

fn of_networks(of: &SearchEvidence, siblings: &[&SearchEvidence], facts: &mut Facts) {
    let iterations = &of.search.iterations;
    let mut add = |name: &str, fact: Fact| facts.insert(name.to_owned(), fact);
    let results = iterations.iter().filter(|row| row.event.is_result());
    let (random, learned): (Vec<&Row>, Vec<_>) = results.partition(|row| row.is_at_random());
    let each = random.len().min(learned.len());
    for (name, rows) in [("top ten at random", random), ("top ten learned", learned)] {
        let all = rows.into_iter().take(each).filter_map(final_accuracy);
        let top = all.sorted_by(|a, b| b.total_cmp(a)).take(10.min(each / 2)).collect_vec();
        mean_of(&top).map(|fact| add(name, fact));
    }
    let ranked = ranking(ArchitectureRecord::gather(iterations), usize::MAX);
    if let Some((accuracy, size)) =
        ranked.first().and_then(|it| final_accuracy(it).zip(it.parameters))
    {
        let small = ranked.iter().find(|it| it.parameters.is_some_and(|own| 10 * own <= size));
        let small = small.and_then(|it| final_accuracy(it));
        small.map(|own| add("loss with a tenth of the parameters", exact(accuracy - own)));
    }
    let best = |of: &&SearchEvidence| {
        of.search.iterations.iter().filter_map(final_accuracy).reduce(f64::max)
    };
    let bests = siblings.iter().filter_map(best).collect_vec();
    if let Some(variance) = variance(&bests).filter(|_| bests.len() == siblings.len()) {
        add("best over seeds, mean", exact(mean(bests.into_iter())));
        add("best over seeds, standard deviation", exact(variance.sqrt()));
    }
    // An import has no times.
    let seconds = Some(Ledger::over(iterations).spent()).filter(|seconds| *seconds > 0.0);
    seconds.map(|seconds| add("cost in GPU-days", exact(seconds / 86_400.0)));
}

/// Errors are of the first training of each; networks of other images have their name with them.
fn of_finals(data: &str, finals: &Finals, facts: &mut Facts) {
    let mut add = |name: String, fact: Fact| facts.insert(name, fact);
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
        add(format!("test error of {name}"), fact);
    }
    if finals.transfer.is_some() {
        return;
    }
    let is_found = |role| matches!(role, NetworkRole::Top | NetworkRole::PerDepth);
    let found = finals.networks.iter().filter(|it| is_found(it.role));
    let errors = found.filter_map(|it| it.repeats.first()?.test_error);
    for (place, error) in (1..).zip(errors.sorted_by(f64::total_cmp)) {
        add(format!("test error of place {place}"), exact(error));
    }
    let judged = depths(finals)
        .into_iter()
        .filter_map(|it| Some((it.layers, it.best.search_accuracy?, it.best.validation_accuracy?)));
    let judged = judged.collect_vec();
    for (layers, search, long) in &judged {
        add(format!("accuracy in the search, {layers} layers"), exact(*search));
        add(format!("accuracy after the long training, {layers} layers"), exact(*long));
    }
    // By how much a pair of depths changes its order: the lesser one of both differences, with the
    // error of a difference of two shares of the validation images.
    let images = finals.validation_images.unwrap_or(0).max(1) as f64;
    let pairs = judged.iter().tuple_combinations();
    let gap = pairs.map(|(shallow, deep)| (shallow.1 - deep.1).min(deep.2 - shallow.2));
    if let Some(gap) = gap.max_by(f64::total_cmp) {
        let middle = mean(judged.iter().map(|it| it.2));
        let error = (2.0 * middle * (1.0 - middle) / images).sqrt();
        add("reversal of two depths".to_owned(), with_error(gap, error));
    }
}

fn of_stopping(of: &SearchEvidence, facts: &mut Facts) {
    let mut add = |name: &str, fact: Fact| facts.insert(name.to_owned(), fact);
    let stopping = of.search.early_stopping.summed_up(&of.search);
    if let (Some(rate), Some((low, high))) =
        (stopping.false_stop_rate, stopping.findings.interval())
    {
        add("false stops", (rate, [low, high]));
    }
    if stopping.stopped > 0 {
        let trained = stopping.epochs_trained as f64;
        add("speedup of the search", exact((trained + stopping.epochs_saved as f64) / trained));
        let top = facts.get("test error of top model").copied();
        facts.extend(top.map(|it| ("test error after stopping, top model".to_owned(), it)));
    }
    let Some(replay) = &of.replay else { return };
    let quarter = (of.search.epochs / 4).max(1);
    for (name, epoch, value, error) in &replay.scores {
        if let (Some(value), true) = (value, *epoch == quarter) {
            let name = name.trim_start_matches("replayed: ");
            facts.insert(format!("R squared of {name}"), with_error(*value, error.unwrap_or(0.0)));
        }
    }
    let mut add = |name: &str, fact: Fact| facts.insert(name.to_owned(), fact);
    let plain =
        replay.settings.iter().filter(|it| it.top_n == 1 && it.offset == 0.0 && it.orders > 0);
    for it in plain.clone().filter(|it| it.delta == 0.99) {
        let share = it.best_kept as f64 / it.orders as f64;
        let interval = binomial_interval(it.best_kept, it.orders);
        add("share of orders that keep the best at Delta 0.99", (share, interval));
        add("speedup at Delta 0.99", exact(it.speedup));
    }
    let kept = plain.filter(|it| 2 * it.best_kept > it.orders).map(|it| it.speedup);
    kept.reduce(f64::max)
        .map(|speedup| add("greatest speedup that keeps the best", exact(speedup)));
    if let Some((speedup, loss, error)) = replay.hyperband {
        add("Hyperband's speedup", exact(speedup));
        add("Hyperband's loss of accuracy", with_error(loss, error));
    }
}

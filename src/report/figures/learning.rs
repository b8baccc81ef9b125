//! What Q-learning learned: the figures of MetaQNN.

use std::collections::BTreeMap;

use itertools::Itertools;

use super::Drawing;
use super::plot::{Axis, Mark, Panel, Series, point, span};
use crate::maths::{mean, variance};
use crate::report::search::SearchData;
use crate::report::summary::EpsilonSummary;
use crate::report::tables::table::*;
use crate::report::tables::{
    ActionGroup, BINS, add_histogram, add_q_by_depth, histogram, mean_q_values,
};

const ACCURACY: &str = "validation accuracy";

/// A mean over iterations: which ones, the epsilon of an epsilon, the mean accuracy.
type MeanAccuracy = (&'static str, Option<f64>, u64, u64, f64);

/// Figure 3 of MetaQNN.
pub fn rolling_mean(drawing: &mut Drawing, search: &SearchData) {
    let rewards = search.iterations.iter().filter_map(|row| Some((row.iteration?.0, row.reward?)));
    let rewards = rewards.collect_vec();
    let window = (rewards.len() / 5).clamp(1, 100);
    let bars = EpsilonSummary::of_each(search);
    let bars = bars.iter().filter_map(|of| {
        let [first, last] = [of.first_iteration?, of.last_iteration?];
        Some(("epsilon", of.epsilon, first, last, of.mean_reward_with_repeats?))
    });
    let means = rewards.windows(window).map(|of| {
        let accuracy = mean(of.iter().map(|(_, reward)| *reward));
        ("rolling", None, of[0].0, of[window - 1].0, accuracy)
    });
    let rows: Vec<MeanAccuracy> = bars.chain(means).collect();
    let (bars, means) = rows.split_at(rows.iter().take_while(|row| row.0 == "epsilon").count());
    let bar = |row: &MeanAccuracy| span(row.2 as f64 - 0.5, row.4, [row.3 as f64 + 0.5, 0.0]);
    let epsilon =
        |row: &MeanAccuracy| Some((point((row.2 + row.3) as f64 / 2.0, 0.02), row.1?.to_string()));
    let x = Axis::whole("iteration (in the bars: epsilon)");
    let line = means.iter().map(|row| point(row.3 as f64, row.4));
    let series = vec![
        Series::of("mean at each epsilon", Mark::Bars, 6, bars.iter().map(bar)),
        Series::of(format!("mean of the last {window}"), Mark::Line, 0, line),
    ];
    let mut panel = Panel::of("", [x, Axis::within(ACCURACY, [0.0, 1.0])], series);
    panel.notes = bars.iter().filter_map(epsilon).collect();
    let caption = format!(
        "Accuracy of the networks in the order in which they were sampled, repeats included \
         ({} with a reward; of a stopped network its prediction, of a failed one chance). A bar is \
         as wide as the iterations of its epsilon, and as high as their mean: the search learns \
         where bars rise while epsilon falls. Figure 3 of MetaQNN.",
        rewards.len()
    );
    let columns = columns! { MeanAccuracy:
        mean: one_of("epsilon | rolling"), "Of all iterations of an epsilon, or of the last ones \
            up to an iteration", |row| row.0;
        epsilon: SHARE, "The epsilon; missing of a rolling mean", |row| row.1;
        first_iteration: POSITIVE, "First of the iterations", |row| row.2;
        last_iteration: POSITIVE, "Last of them", |row| row.3;
        mean_accuracy: SHARE, "Mean of their rewards, repeats included", |row| row.4;
    };
    let names = ["rolling_mean", "Accuracy of sampled networks"];
    drawing.add(names, caption, &[panel], columns, &rows);
}

pub fn accuracy_histogram(drawing: &mut Drawing, search: &SearchData) {
    let rows = histogram(search);
    let epsilons = rows.iter().map(|row| row.epsilon).dedup().collect_vec();
    let outline = |epsilon: f64| {
        let own = rows.iter().filter(move |row| row.epsilon == epsilon);
        let heights: BTreeMap<_, _> = own.map(|row| (row.bin, 100.0 * row.share)).collect();
        let height = move |bin: &u64| heights.get(bin).copied().unwrap_or(0.0);
        (0..=BINS).map(move |bin| point(bin as f64 / BINS as f64, height(&bin)))
    };
    let most = rows.iter().map(|row| 100.0 * row.share).fold(1.0, f64::max);
    let panel = |title: &str, shown: &[f64]| {
        let series = shown.iter().map(|epsilon| {
            let style = epsilons.iter().position(|it| it == epsilon).unwrap_or_default();
            Series::of(format!("epsilon {epsilon}"), Mark::Stairs, style, outline(*epsilon))
        });
        let y = Axis::within("% of the epsilon's networks", [0.0, 1.05 * most]);
        Panel::of(title, [Axis::of(ACCURACY), y], series.collect())
    };
    let mut panels = vec![panel("every epsilon", &epsilons)];
    if let [first, .., last] = epsilons[..] {
        panels.push(panel("the first and the last", &[first, last]));
    }
    let caption = "Which accuracies were reached at each epsilon, in bins of 0.01: percent of the \
        networks sampled at it, repeats included. Learning moves the later ones to the right; a \
        column at chance is failed trainings.";
    let names = ["accuracy_histogram", "Distribution of accuracies"];
    if drawing.draw(names, caption.to_owned(), &panels) {
        add_histogram(&mut drawing.tables, search);
    }
}

pub fn q_by_depth(drawing: &mut Drawing, search: &SearchData, by: ActionGroup) {
    let rows = mean_q_values(search, by);
    let labels = rows.iter().map(|row| &row.of).unique().collect_vec();
    let (kind, title) = match by {
        ActionGroup::LayerType => ("", "Q-values by kind of layer and depth"),
        ActionGroup::Kernel => ("kernel ", "Q-values of convolutions by kernel and depth"),
    };
    // Equal in all panels, to be compared.
    let values = rows.iter().map(|row| row.mean_q_value);
    let ends = values.minmax_by(f64::total_cmp).into_option().unwrap_or_default();
    let ends = [ends.0 - 0.02, ends.1 + 0.02];
    let panels = rows.chunk_by(|a, b| (a.table, a.entries) == (b.table, b.entries)).map(|of| {
        let series = labels.iter().enumerate().map(|(style, label)| {
            let own = of.iter().filter(|row| row.of == **label);
            let points = own.map(|row| point(row.depth.into(), row.mean_q_value));
            Series::of(format!("{kind}{label}"), Mark::Line, style, points)
        });
        let entries = if of[0].entries == "all" { "every pair" } else { "pairs updated" };
        let x = Axis::whole("depth of the layer to be placed");
        let y = Axis::within("mean Q-value", ends);
        Panel::of(format!("{} table, {entries}", of[0].table), [x, y], series.collect())
    });
    let panels = panels.collect_vec();
    let mut caption = "Mean Q-value of the actions that place a layer at a depth, at the end of \
        the search: where it is high, the search has come to prefer the layer. Every pair of state \
        and action counts, as in the paper, also those that no network has passed, which are at \
        the initial value and draw means towards it; beside it those updated at least once."
        .to_owned();
    if !search.imported_q_values.is_empty() {
        caption += " The imported table is beside the one learned here from the imported results; \
            which of its pairs were updated is judged by their value.";
        if search.imported_q_values.iter().any(|of| of.value > 1.0) {
            caption += " Values of it above 1 were learned from accuracies above 1, which the \
                import has set aside.";
        }
    }
    if drawing.draw([by.table(), title], caption, &panels) {
        add_q_by_depth(&mut drawing.tables, search, by);
    }
}

/// Whose mean at an epsilon: an experiment's, or over all of them (then with their number).
type MeanAtEpsilon = (Option<String>, f64, f64, Option<f64>, u64);

/// Of experiments with the same configuration and other seeds.
pub fn stability(drawing: &mut Drawing, searches: &[SearchData]) {
    let alike = searches.iter().filter(|it| it.family == searches[0].family).collect_vec();
    if alike.len() < 2 {
        return;
    }
    let mut by_epsilon = BTreeMap::<u64, Vec<f64>>::new();
    let mut rows: Vec<MeanAtEpsilon> = Vec::new();
    for search in &alike {
        let means = EpsilonSummary::of_each(search).into_iter();
        for (epsilon, mean) in means.filter_map(|of| of.epsilon.zip(of.mean_reward_with_repeats)) {
            by_epsilon.entry(epsilon.to_bits()).or_default().push(mean);
            rows.push((Some(search.experiment.clone()), epsilon, mean, None, 1));
        }
    }
    let all = by_epsilon.into_iter().rev().map(|(bits, means)| {
        let spread = variance(&means).map(f64::sqrt);
        (None, f64::from_bits(bits), mean(means.iter().copied()), spread, means.len() as u64)
    });
    rows.extend(all);
    let line = |name: &Option<String>, style: usize| {
        let all = || format!("mean of {} experiments", alike.len());
        let own = rows.iter().filter(|row| row.0 == *name).map(|row| point(row.1, row.2));
        Series::of(name.clone().unwrap_or_else(all), Mark::Line, style, own)
    };
    let spread = rows.iter().filter_map(|&(_, epsilon, mean, spread, _)| {
        Some(span(epsilon, mean - spread?, [epsilon, mean + spread?]))
    });
    let spread = Series::of("standard deviation", Mark::Whiskers, 0, spread);
    let names = rows.iter().map(|row| &row.0).filter(|name| name.is_some()).unique();
    let lines = names.enumerate().map(|(number, name)| line(name, number + 1)).collect();
    let panel = |title: &str, series| {
        let axes = [Axis::within("epsilon", [1.05, 0.0]), Axis::of("mean accuracy")];
        Panel::of(title, axes, series)
    };
    let panels = [panel("all", vec![line(&None, 0), spread]), panel("each experiment", lines)];
    let caption = format!(
        "Mean accuracy of the networks sampled at each epsilon, repeats included, of {} searches \
         that differ in their seed alone: how far what is found depends on chance.",
        alike.len()
    );
    let columns = columns! { MeanAtEpsilon:
        experiment: TEXT, "The experiment; missing in rows about all of them",
            |row| row.0.clone();
        epsilon: SHARE, "Share of random actions", |row| row.1;
        mean_accuracy: SHARE, "Mean reward of its iterations, repeats included; of all \
            experiments, the mean of theirs", |row| row.2;
        standard_deviation: NOT_NEGATIVE, "Of the experiments' means (n - 1)", |row| row.3;
        experiments: POSITIVE, "Number of experiments that the row is about", |row| row.4;
    };
    drawing.add(["stability", "Searches with other seeds"], caption, &panels, columns, &rows);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample::iteration;
    use crate::storage::{Event, Row};

    fn search(name: &str, rewards: &[(f64, f64)]) -> SearchData {
        let row = |(number, &(epsilon, reward))| {
            let row = iteration(number, Event::Trained);
            Row { epsilon: Some(epsilon), reward: Some(reward), ..row }
        };
        let iterations = (1..).zip(rewards).map(row).collect();
        SearchData { experiment: name.to_owned(), iterations, ..SearchData::default() }
    }

    fn table(drawing: &Drawing) -> Vec<&str> {
        drawing.tables.files[0].text.lines().skip(1).collect()
    }

    #[test]
    fn a_bar_is_the_mean_of_an_epsilon_and_the_line_that_of_the_last_ones() {
        let mut drawing = Drawing::default();
        let rewards: Vec<_> =
            (0..10).map(|n| (if n < 8 { 1.0 } else { 0.5 }, 0.0625 * f64::from(n))).collect();
        rolling_mean(&mut drawing, &search("a", &rewards));
        let rows = table(&drawing);
        // 3.5 and 8.5 sixteenths; the line begins with the mean of 0 and 1.
        assert_eq!(rows[..2], ["epsilon,1,1,8,0.21875,", "epsilon,0.5,9,10,0.53125,"]);
        assert_eq!((rows[2], rows.len()), ("rolling,,1,2,0.03125,", 2 + 9));
    }

    #[test]
    fn searches_with_other_seeds_have_a_mean_and_a_deviation() {
        let [a, b] = [("a", 0.5), ("b", 0.75)].map(|(name, mean)| search(name, &[(1.0, mean)]));
        let other = SearchData { family: "other".to_owned(), ..a.clone() };
        let mut drawing = Drawing::default();
        stability(&mut drawing, &[a.clone(), other.clone()]);
        assert!(drawing.figures.is_empty());
        stability(&mut drawing, &[a, other, b]);
        // Of 0.5 and 0.75: 0.125 x sqrt(2).
        let all = ",1,0.625,0.176776695296637,2,";
        assert_eq!(table(&drawing), ["a,1,0.5,,1,", "b,1,0.75,,1,", all]);
    }
}

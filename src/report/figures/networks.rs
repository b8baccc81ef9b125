//! What was found, and what it cost.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use itertools::Itertools;

use super::Drawing;
use super::plot::{Axis, CIRCLE, Mark, Panel, SMALL, Series, point, span};
use crate::report::finals::Finals;
use crate::report::iterations::{
    ArchitectureRecord, Ledger, final_accuracy, ordered_bits, ranking,
};
use crate::report::search::SearchData;
use crate::report::tables::table::*;
use crate::report::tables::{add_depths, depths};
use crate::storage::{Event, Row};

/// Of which search and whether of its random draws alone, results so far, hours, the best accuracy.
type BestSoFar = (String, bool, u64, f64, f64);

pub fn best_so_far(drawing: &mut Drawing, searches: &[SearchData]) {
    // What has no times, as an import, is not compared with what has.
    let has_times = |search: &&SearchData| Ledger::over(&search.iterations).spent() > 0.0;
    let alike = searches.iter().filter(|it| has_times(it) == has_times(&&searches[0]));
    let mut rows = alike.flat_map(|search| course(search, false)).collect_vec();
    rows.extend(course(&searches[0], true));
    // A search that is random throughout is no control of itself.
    if searches[0].iterations.iter().all(Row::is_at_random) {
        rows.retain(|row| !row.1);
    }
    let hours = rows.iter().map(|row| row.3).fold(0.0, f64::max);
    let (unit, label) = unit_of(hours);
    // An imported search has no times.
    let label = if hours > 0.0 { label } else { "networks with a result" };
    let x = |row: &BestSoFar| if hours > 0.0 { unit * row.3 } else { row.2 as f64 };
    let series = rows.chunk_by(|a, b| (&a.0, a.1) == (&b.0, b.1)).enumerate().map(|(style, of)| {
        let what = if of[0].1 { ", random draws alone" } else { "" };
        let points = of.iter().map(|row| point(x(row), row.4));
        Series::of(format!("{}{what}", of[0].0), Mark::Stairs, style, points)
    });
    let axes = [Axis::of(label), Axis::of("best validation accuracy so far")];
    let panel = Panel::of("", axes, series.collect());
    let caption = format!(
        "The best validation accuracy of a network trained to its end, against what training had \
         cost until then ({} networks). The line of random draws counts only the networks that \
         were drawn at random, and their cost: the control at equal cost, as far as it goes.",
        searches[0].iterations.iter().filter(|row| row.event.is_result()).count()
    );
    let names = ["best_so_far", "Best network so far"];
    let columns = columns! { BestSoFar:
        experiment: TEXT, "The search", |row| row.0.clone();
        random_draws_alone: BOOLEAN, "Whether only networks that were drawn at random count",
            |row| row.1;
        results: COUNT, "Networks with a result so far; there is a row where the best changes, \
            and for the last one", |row| row.2;
        gpu_hours: HOURS, "Time of training so far, summed over GPUs", |row| row.3;
        best_validation_accuracy: SHARE, "Of the networks trained to the end so far", |row| row.4;
    };
    drawing.add(names, caption, &[panel], columns, &rows);
}

/// How many of it an hour has, and its axis.
const fn unit_of(hours: f64) -> (f64, &'static str) {
    match hours {
        ..0.1 => (3600.0, "seconds of training, summed over workers"),
        _ => (1.0, "hours of training, summed over workers"),
    }
}

/// In the order of time: a row where the best changes, and one at the end.
fn course(search: &SearchData, at_random: bool) -> Vec<BestSoFar> {
    let rows = search.iterations.iter().filter(|row| !at_random || row.is_at_random());
    let (mut results, mut seconds, mut best) = (0, 0.0, 0.0);
    let mut course = Vec::<BestSoFar>::new();
    for row in rows.sorted_by_key(|row| row.time) {
        results += u64::from(row.event.is_result());
        seconds += Ledger::over([row]).spent();
        let found = final_accuracy(row).unwrap_or(0.0);
        if found > best {
            best = found;
            course.push((search.experiment.clone(), at_random, results, seconds / 3600.0, best));
        }
    }
    if best > 0.0 {
        course.push((search.experiment.clone(), at_random, results, seconds / 3600.0, best));
    }
    course
}

/// A network, and whether none with as few parameters, or as few operations, is better.
type Sized<'a> = (ArchitectureRecord<'a>, bool, bool);

pub fn accuracy_by_size(drawing: &mut Drawing, search: &SearchData) {
    let ranked = ranking(ArchitectureRecord::gather(&search.iterations), usize::MAX);
    let front = |size: fn(&Row) -> Option<u64>| {
        let mut least = u64::MAX;
        let sized = ranked.iter().enumerate().filter_map(|(at, of)| Some((at, of, size(of)?)));
        let best_first = |&(_, of, size): &(usize, &ArchitectureRecord, u64)| {
            (Reverse(final_accuracy(of).map(ordered_bits)), size)
        };
        let of_front = sized.sorted_by_key(best_first).filter(|&(.., size)| {
            let is_smaller = size < least;
            least = least.min(size);
            is_smaller
        });
        of_front.map(|(at, ..)| at).collect::<BTreeSet<usize>>()
    };
    let [by_parameters, by_macs] = [front(|row| row.parameters), front(|row| row.macs)];
    let rows = ranked.iter().enumerate();
    let rows = rows.map(|(at, of)| (*of, by_parameters.contains(&at), by_macs.contains(&at)));
    let rows: Vec<Sized> = rows.collect();
    // The poor ones lie on the axis, so that the good ones can be told apart.
    let accuracies = ranked.iter().filter_map(|of| final_accuracy(of)).collect_vec();
    let middle = accuracies.get(accuracies.len() / 2).copied().unwrap_or(0.0);
    let best = accuracies.first().copied().unwrap_or(1.0);
    let ends = [(2.5 * middle - 1.5 * best).max(0.0), best + 0.1 * (best - middle) + 1e-3];
    let panel = |label, size: fn(&Row) -> Option<u64>, is_in_front: fn(&Sized) -> bool| {
        let at = |row: &Sized| Some(point(size(&row.0)? as f64, final_accuracy(&row.0)?));
        let front = rows.iter().rev().filter(|row| is_in_front(row)).filter_map(at).collect_vec();
        let dots = rows.iter().filter_map(at).filter(|point| point.x > 0.0);
        let series = vec![
            Series::of("network", Mark::Dots(SMALL), 1, dots),
            Series::of("none as small is better", Mark::Stairs, 0, front.iter().copied()),
            Series::of("", Mark::Dots(CIRCLE), 0, front),
        ];
        let y = Axis::within("best validation accuracy", ends);
        Panel::of("", [Axis::logarithmic(label), y], series)
    };
    let panels = [
        panel("parameters (logarithmic)", |row| row.parameters, |row| row.1),
        panel("multiply-accumulates an image (logarithmic)", |row| row.macs, |row| row.2),
    ];
    let caption = format!(
        "Accuracy against size of the {} networks trained to their end. Those on the line are the \
         choice for a small device: no network as small is better (Pareto front). Much poorer ones \
         than the middle one lie on the lower axis.",
        rows.iter().filter(|row| row.0.parameters.is_some()).count()
    );
    let names = ["accuracy_by_size", "Accuracy and size"];
    let columns = columns! { Sized:
        iteration: POSITIVE, "Iteration with the result", |row| row.0.iteration;
        architecture: ARCHITECTURE, "The network's layers", |row| row.0.architecture.to_owned();
        parameters: COUNT, "Weights and biases", |row| row.0.parameters;
        macs: COUNT, "Multiply-accumulates for one image", |row| row.0.macs;
        best_validation_accuracy: SHARE, "Greatest validation accuracy over the epochs",
            |row| row.0.best_validation_accuracy;
        parameters_front: BOOLEAN, "Whether all networks as good have more parameters", |row| row.1;
        macs_front: BOOLEAN, "Whether all networks as good have more multiply-accumulates",
            |row| row.2;
    };
    drawing.add(names, caption, &panels, columns, &rows);
}

/// Machine, device, what became of it, hours.
type HoursAt = (String, String, &'static str, f64);

const KINDS: [&str; 5] = ["trained", "stopped", "failed", "lost", "saved"];

pub fn ledger(drawing: &mut Drawing, search: &SearchData) {
    let mut machines = BTreeMap::<(String, String), [f64; 5]>::new();
    for row in &search.iterations {
        let text = |text: &Option<std::sync::Arc<str>>| text.as_deref().unwrap_or("").to_owned();
        let hours = machines.entry((text(&row.host), text(&row.device))).or_default();
        let kind = match row.event {
            Event::Stopped => 1,
            Event::Failed | Event::OutOfMemory => 2,
            _ => 0,
        };
        let ledger = Ledger::over([row]);
        hours[kind] += ledger.train_seconds / 3600.0;
        hours[3] += ledger.lost_seconds / 3600.0;
        hours[4] += ledger.saved_seconds / 3600.0;
    }
    let sum = |hours: &[f64; 5]| hours.iter().sum::<f64>();
    machines.retain(|_, hours| sum(hours) > 0.0);
    let (unit, label) = unit_of(machines.values().map(sum).fold(0.0, f64::max));
    let series = KINDS.iter().enumerate().map(|(kind, name)| {
        let bars = machines.values().zip(0..).map(|(hours, row)| {
            let [begin, end] = [kind, kind + 1].map(|to| unit * hours[..to].iter().sum::<f64>());
            let row = f64::from(row);
            span(begin, row - 0.35, [end, row + 0.35])
        });
        let bars = bars.filter(|bar| bar.to.is_some_and(|to| to[0] > bar.x)).collect_vec();
        let name = if *name == "saved" { "saved by stopping (estimate)" } else { name };
        Series::of(if bars.is_empty() { "" } else { name }, Mark::Bars, [1, 3, 2, 4, 0][kind], bars)
    });
    let name =
        |host: &str, device: &str| [host, device].iter().filter(|it| !it.is_empty()).join(", ");
    let names = machines.keys().map(|(host, device)| name(host, device)).collect();
    let machines_axis = Axis { names, ..Axis::default() };
    let panel = Panel::of("", [Axis::of(label), machines_axis], series.collect());
    let caption = format!(
        "Time of training by machine and device ({} of them), in the order of the legend: of \
         networks trained to their end, stopped, failed; lost in attempts that came to nothing; and \
         what stopping has saved, as estimated. A network counts for the machine of its newest \
         attempt.",
        machines.len()
    );
    let rows = machines.iter().flat_map(|((host, device), hours)| {
        let of = KINDS.into_iter().zip(hours);
        of.map(|(kind, &hours)| (host.clone(), device.clone(), kind, hours))
    });
    let names = ["ledger", "Where the time went"];
    let columns = columns! { HoursAt:
        host: TEXT, "Machine that trained", |row| row.0.clone();
        device: TEXT, "Device that trained", |row| row.1.clone();
        kind: one_of("trained | stopped | failed | lost | saved"), "What the time came to; saved \
            was not spent", |row| row.2;
        hours: HOURS, "The time", |row| row.3;
    };
    drawing.add(names, caption, &[panel], columns, &rows.collect_vec());
}

pub fn depth(drawing: &mut Drawing, finals: &Finals) {
    let rows = depths(finals);
    let line = |name: &str, epochs: u32, style, of: &dyn Fn(usize) -> Option<f64>| {
        let points = rows.iter().enumerate();
        let points = points.filter_map(|(at, row)| Some(point(row.layers.into(), of(at)?)));
        let points = points.collect_vec();
        let label = format!("{name}, {epochs} epochs");
        let dots = Series::of("", Mark::Dots(CIRCLE), style, points.iter().copied());
        [Series::of(label, Mark::Line, style, points), dots]
    };
    let series = [
        line("in the search", finals.search_epochs, 0, &|at| rows[at].best.search_accuracy),
        line("trained for long", finals.final_epochs, 2, &|at| rows[at].best.validation_accuracy),
    ];
    let axes = [Axis::whole("layers"), Axis::of("validation accuracy")];
    let panel = Panel::of("", axes, series.into_iter().flatten().collect());
    let caption = format!(
        "The best network of each depth ({} depths), in the search and after the long training: \
         where the lines cross, a short training ranks depths wrongly.",
        rows.len()
    );
    if drawing.draw(["depth", "Short and long training by depth"], caption, &[panel]) {
        add_depths(&mut drawing.tables, finals);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample::iteration;

    fn network(number: u64, accuracy: f64, [parameters, macs]: [u64; 2], epsilon: f64) -> Row {
        Row {
            architecture: Some(number.to_string().into()),
            best_validation_accuracy: Some(accuracy),
            parameters: Some(parameters),
            macs: Some(macs),
            epsilon: Some(epsilon),
            train_seconds: Some(3600.0),
            ..iteration(number, Event::Trained)
        }
    }

    fn search() -> SearchData {
        let iterations = vec![
            network(1, 0.5, [10, 40], 1.0),
            network(2, 0.75, [20, 50], 1.0),
            network(3, 0.75, [30, 10], 0.5),
            network(4, 0.625, [40, 20], 0.5),
        ];
        SearchData { experiment: "e".into(), iterations, ..SearchData::default() }
    }

    #[test]
    fn nothing_on_the_front_is_larger_than_a_network_as_good() {
        let mut drawing = Drawing::default();
        accuracy_by_size(&mut drawing, &search());
        let rows = drawing.tables.files[0].text.lines().skip(1).collect_vec();
        let of =
            |number: &str| rows.iter().find(|row| row.starts_with(number)).unwrap().to_string();
        // Of the two best, one has fewer parameters, the other fewer operations.
        assert!(of("2,").contains(",true,false,") && of("3,").contains(",false,true,"), "{rows:?}");
        assert!(of("1,").contains(",true,false,") && of("4,").contains(",false,false,"));
    }

    #[test]
    fn the_control_counts_random_draws_and_their_cost_alone() {
        let course = |at_random| {
            let rows = course(&search(), at_random).into_iter();
            rows.map(|(_, _, results, hours, best)| (results, hours, best)).collect_vec()
        };
        assert_eq!(course(false), [(1, 1.0, 0.5), (2, 2.0, 0.75), (4, 4.0, 0.75)]);
        assert_eq!(course(true), [(1, 1.0, 0.5), (2, 2.0, 0.75), (2, 2.0, 0.75)]);
    }
}

//! The figure of a comparison, as SVG: the best true accuracy against simulated seconds.

use std::fmt::Write;

use itertools::Itertools;

use super::{Comparison, SimulatedSearch, Spent};
use crate::maths::{ln, pow};

/// Okabe and Ito, 2008: distinct for the colour-blind, too.
const COLOURS: [&str; 8] =
    ["#000000", "#e69f00", "#56b4e9", "#009e73", "#d55e00", "#0072b2", "#cc79a7", "#f0e442"];
/// The longest search is so many times as long as what the axis begins with.
const SPAN: f64 = 50.0;
const STEPS: u32 = 150;
const WIDTH: f64 = 560.0;
const HEIGHT: f64 = 360.0;
const LEFT: f64 = 60.0;
const TOP: f64 = 40.0;

/// Median over seeds and, around it, the half of them in the middle; dashed with early stopping.
pub(super) fn svg(comparison: &Comparison) -> String {
    let all = comparison.searches.chunk_by(|a, b| a.contender == b.contender).collect_vec();
    let ends = comparison.searches.iter().filter_map(|search| search.course.last());
    let longest = ends.map(|end| end.seconds).fold(1e-6, f64::max);
    let place = |step: u32| f64::from(step) / f64::from(STEPS);
    let times = (0..=STEPS).map(|step| longest * pow(SPAN, place(step) - 1.0)).collect_vec();
    let bands = all.iter().map(|of| times.iter().map(|at| quartiles(of, *at)).collect_vec());
    let bands = bands.collect_vec();
    // What is below it, in the first quarter, lies on the axis: differences are at the end.
    let low = bands.iter().map(|band| band[STEPS as usize / 4][0]).fold(1.0, f64::min);
    let high = bands.iter().flatten().map(|band| band[2]).fold(0.0, f64::max);
    let range = (high - low).max(1e-4);
    let x = |step: u32| LEFT + WIDTH * place(step);
    let y = |accuracy: f64| TOP + HEIGHT * (1.0 - (accuracy.max(low) - low) / range);
    let line = |points: &mut dyn Iterator<Item = (u32, f64)>| {
        points.map(|(step, at)| format!("{:.1},{:.1}", x(step), y(at))).join(" ")
    };
    let text = |x: f64, y: f64, anchor: &str, text: &str| {
        format!("<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>\n")
    };
    let (right, bottom) = (LEFT + WIDTH, TOP + HEIGHT);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <path d=\"M{LEFT} {TOP}V{bottom}H{right}\" fill=\"none\" stroke=\"black\"/>\n",
        right + 190.0,
        bottom + 50.0
    );
    svg +=
        &text(LEFT, 20.0, "start", "Best true accuracy (%), median and middle half of the seeds");
    svg += &text(LEFT + WIDTH / 2.0, bottom + 38.0, "middle", "simulated seconds (logarithmic)");
    for tick in 0..=4 {
        let accuracy = low + range * f64::from(tick) / 4.0;
        svg += &text(LEFT - 6.0, y(accuracy) + 4.0, "end", &format!("{:.2}", 100.0 * accuracy));
        let step = STEPS * tick / 4;
        let decimals = (2.0 - (ln(times[step as usize]) / ln(10.0)).floor()).clamp(0.0, 6.0);
        let seconds = format!("{:.*}", decimals as usize, times[step as usize]);
        svg += &text(x(step), bottom + 18.0, "middle", &seconds);
    }
    let strategies = all.iter().map(|of| &of[0].contender.strategy).unique().collect_vec();
    for (row, (of, band)) in all.iter().zip(&bands).enumerate() {
        let contender = &of[0].contender;
        let number = strategies.iter().position(|it| **it == contender.strategy);
        let colour = COLOURS[number.unwrap_or_default() % COLOURS.len()];
        let dashes = if contender.early_stopping { " stroke-dasharray=\"5 3\"" } else { "" };
        let edge = |which: usize| (0..=STEPS).map(move |step| (step, band[step as usize][which]));
        let area = line(&mut edge(2).chain(edge(0).rev()));
        let middle = line(&mut edge(1));
        let (at, line_end) = (TOP + 20.0 * row as f64 + 10.0, right + 40.0);
        let _ = write!(
            svg,
            "<polygon points=\"{area}\" fill=\"{colour}\" fill-opacity=\"0.12\"/>\n\
             <polyline points=\"{middle}\" fill=\"none\" stroke=\"{colour}\"{dashes}/>\n\
             <path d=\"M{} {at}H{line_end}\" stroke=\"{colour}\"{dashes}/>\n",
            right + 10.0
        );
        svg += &text(line_end + 6.0, at + 4.0, "start", &contender.to_string());
    }
    svg + "</svg>\n"
}

/// Over seeds, after so many seconds.
fn quartiles(of: &[SimulatedSearch], seconds: f64) -> [f64; 3] {
    let best = of.iter().map(|search| search.at(Spent::Seconds(seconds)).best);
    let best = best.sorted_by(f64::total_cmp).collect_vec();
    let last = best.len() - 1;
    [last / 4, last / 2, last - last / 4].map(|rank| best[rank])
}

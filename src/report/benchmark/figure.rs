//! The figure of a comparison, as SVG: the best true accuracy against simulated seconds.

use itertools::Itertools;

use super::{Comparison, SimulatedSearch, Spent};
use crate::maths::pow;
use crate::report::figures::plot::{self, Axis, Mark, Panel, Series, point, span};

/// The longest search is so many times as long as what the axis begins with.
const SPAN: f64 = 50.0;
const STEPS: u32 = 150;

/// Median over seeds and, around it, the half of them in the middle.
pub(super) fn svg(comparison: &Comparison) -> String {
    let all = comparison.searches.chunk_by(|a, b| a.contender == b.contender).collect_vec();
    let ends = comparison.searches.iter().filter_map(|search| search.course.last());
    let longest = ends.map(|end| end.seconds).fold(1e-6, f64::max);
    let place = |step: u32| f64::from(step) / f64::from(STEPS);
    let times = (0..=STEPS).map(|step| longest * pow(SPAN, place(step) - 1.0)).collect_vec();
    let bands = all.iter().map(|of| times.iter().map(|at| quartiles(of, *at)).collect_vec());
    let bands = bands.collect_vec();
    // What is below it, in the first quarter, lies on the axis: differences are at the end.
    let low = bands.iter().map(|band| band[STEPS as usize / 4][0]).fold(100.0, f64::min);
    let high = bands.iter().flatten().map(|band| band[2]).fold(0.0, f64::max).max(low + 0.01);
    let series = all.iter().zip(&bands).enumerate().flat_map(|(style, (of, band))| {
        let label = of[0].contender.to_string();
        let middle = times.iter().zip(band).map(|(time, band)| point(*time, band[1]));
        let halves =
            times.iter().zip(band).map(|(time, band)| span(*time, band[0], [*time, band[2]]));
        let halves = Series::of("", Mark::Band, style, halves);
        [halves, Series::of(label, Mark::Line, style, middle)]
    });
    let x = Axis::logarithmic("simulated seconds (logarithmic)");
    let x = Axis { range: Some([longest / SPAN, longest]), ..x };
    let y = Axis::within("best true accuracy (%)", [low, high]);
    let panel = Panel::of("", [x, y], series.collect());
    let title = "Best true accuracy, median and middle half of the seeds";
    let (svg, height) = plot::svg(title, title, &[panel]);
    plot::standalone(&svg, title, height)
}

/// Over seeds, after so many seconds, in percent.
fn quartiles(of: &[SimulatedSearch], seconds: f64) -> [f64; 3] {
    let best = of.iter().map(|search| 100.0 * search.at(Spent::Seconds(seconds)).best);
    let best = best.sorted_by(f64::total_cmp).collect_vec();
    let last = best.len() - 1;
    [last / 4, last / 2, last - last / 4].map(|rank| best[rank])
}

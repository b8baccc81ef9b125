//! Figures as SVG: axes with ticks, a legend, lines, stairs, dots, bars, bands and whiskers.
//!
//! Without a font at hand the widths of texts are estimated, generously. A series has a colour, and
//! beside it dashes or a marker, for print and for the colour-blind. Colours are `color` of classes
//! `s0` to `s7` ([`STYLE`]), all else is `currentColor`: inside a page it takes the page's.

use std::fmt::Write;

use itertools::Itertools;

use crate::maths::{log10, pow};

pub const WIDTH: f64 = 720.0;

/// Okabe and Ito, 2008, *Color universal design*: distinct for the colour-blind, too. `s0` is black
/// on paper, and the colour of the text in a page.
pub const STYLE: &str = ".s1{color:#0072b2}.s2{color:#d55e00}\
    .s3{color:#009e73}.s4{color:#cc79a7}.s5{color:#e69f00}.s6{color:#56b4e9}.s7{color:#8f8600}";
const COLOURS: usize = 8;
/// Of lines.
const DASHES: [&str; 5] = ["none", "7 3", "2 3", "8 3 2 3", "14 4"];

/// Drawn from where the path is.
pub const CIRCLE: &str = "m-2.5 0a2.5 2.5 0 1 0 5 0a2.5 2.5 0 1 0-5 0";
pub const CROSS: &str = "m-3.5-3.5l7 7m0-7l-7 7";
pub const TRIANGLE: &str = "m0-4.5l4.5 8h-9z";
/// For thousands of dots.
pub const SMALL: &str = "h0";

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Mark {
    /// Begins anew where `x` goes back.
    Line,
    /// The same, of hundreds.
    Hair,
    /// A value holds up to the next point.
    Stairs,
    Dots(&'static str),
    /// From a corner to the other.
    Bars,
    /// Between `y` and the other end.
    Band,
    /// From `y` to the other end.
    Whiskers,
}

#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Point {
    pub x: f64,
    pub y: f64,
    /// The other corner of a bar, the other end of a band or a whisker.
    pub to: Option<[f64; 2]>,
}

pub const fn point(x: f64, y: f64) -> Point {
    Point { x, y, to: None }
}

pub const fn span(x: f64, y: f64, to: [f64; 2]) -> Point {
    Point { x, y, to: Some(to) }
}

/// Of equal labels one stands in the legend, and of an empty one none.
#[derive(Debug, Clone)]
pub struct Series {
    pub label: String,
    pub mark: Mark,
    /// Which colour and dashes.
    pub style: usize,
    pub points: Vec<Point>,
}

impl Series {
    pub fn of(
        label: impl ToString,
        mark: Mark,
        style: usize,
        points: impl IntoIterator<Item = Point>,
    ) -> Self {
        Self { label: label.to_string(), mark, style, points: points.into_iter().collect() }
    }
}

#[derive(Debug, Clone, Default)]
pub struct Axis {
    pub label: String,
    pub is_logarithmic: bool,
    /// Of numbers without a fraction.
    pub is_whole: bool,
    /// Its ends, where it does not end with the data; the first may be the greater one. What is
    /// beyond them is drawn at the end.
    pub range: Option<[f64; 2]>,
    /// What 0, 1, .. are, in the place of numbers.
    pub names: Vec<String>,
}

impl Axis {
    pub fn of(label: impl ToString) -> Self {
        Self { label: label.to_string(), ..Self::default() }
    }

    pub fn whole(label: impl ToString) -> Self {
        Self { is_whole: true, ..Self::of(label) }
    }

    pub fn within(label: impl ToString, range: [f64; 2]) -> Self {
        Self { range: Some(range), ..Self::of(label) }
    }

    pub fn logarithmic(label: impl ToString) -> Self {
        Self { is_logarithmic: true, ..Self::of(label) }
    }
}

#[derive(Debug, Clone)]
pub struct Panel {
    pub title: String,
    pub x: Axis,
    pub y: Axis,
    pub series: Vec<Series>,
    /// Centred on a point.
    pub notes: Vec<(Point, String)>,
}

impl Panel {
    pub fn of(title: impl ToString, [x, y]: [Axis; 2], series: Vec<Series>) -> Self {
        Self { title: title.to_string(), x, y, series, notes: Vec::new() }
    }
}

/// An axis with its ends, as logarithms where it is logarithmic.
struct ScaledAxis<'a> {
    axis: &'a Axis,
    ends: [f64; 2],
}

impl<'a> ScaledAxis<'a> {
    fn of(axis: &'a Axis, values: impl Iterator<Item = f64>) -> Self {
        let scale = Self { axis, ends: [0.0, 1.0] };
        let values = values.map(|value| scale.scaled(value)).filter(|value| value.is_finite());
        let ends = values.minmax_by(f64::total_cmp).into_option();
        let ends = match (axis.range, ends) {
            (Some(range), _) => range.map(|end| scale.scaled(end)),
            (None, None) => scale.ends,
            (None, Some((low, high))) if !axis.names.is_empty() => [low - 0.5, high + 0.5],
            (None, Some((low, high))) => {
                let room = if low < high { 0.03 * (high - low) } else { 0.1 * low.abs().max(0.1) };
                // No accuracy, count or time is below zero.
                let below_zero = low >= 0.0 && low < room && !axis.is_logarithmic;
                [if below_zero { 0.0 } else { low - room }, high + room]
            }
        };
        Self { axis, ends }
    }

    fn scaled(&self, value: f64) -> f64 {
        if self.axis.is_logarithmic { log10(value) } else { value }
    }

    /// From 0 at its beginning to 1 at its end.
    fn at(&self, value: f64) -> f64 {
        let [low, high] = self.ends;
        ((self.scaled(value) - low) / (high - low)).clamp(0.0, 1.0)
    }

    fn ticks(&self, about: f64) -> Vec<(f64, String)> {
        if !self.axis.names.is_empty() {
            return (0..).map(f64::from).zip(self.axis.names.iter().cloned()).collect();
        }
        let [low, high] = [self.ends[0].min(self.ends[1]), self.ends[0].max(self.ends[1])];
        let is_within = |value: &f64| (low..=high).contains(&self.scaled(*value));
        let is_short = high - low < 2.0;
        let values: Vec<f64> = if self.axis.is_logarithmic {
            let steps: &[f64] = if is_short { &[1.0, 2.0, 5.0] } else { &[1.0] };
            let decades = (low.floor() as i32..=high.ceil() as i32).map(|it| pow(10.0, it.into()));
            decades.cartesian_product(steps).map(|(decade, step)| decade * step).collect()
        } else {
            let least = (high - low) / about;
            let least = if self.axis.is_whole { least.max(1.0) } else { least };
            let decade = pow(10.0, log10(least).floor());
            let steps = [1.0, 2.0, 5.0, 10.0].map(|step| step * decade);
            let step = steps.into_iter().find(|step| *step >= least).unwrap_or(least);
            let count = ((high - low) / step) as i64 + 1;
            (0..=count).map(|n| ((low / step).ceil() + n as f64) * step).collect()
        };
        values.into_iter().filter(is_within).map(|value| (value, number(value))).collect()
    }
}

/// With at most five digits.
fn number(value: f64) -> String {
    let (value, unit) = match value.abs() {
        1e9.. => (value / 1e9, " G"),
        1e6.. => (value / 1e6, " M"),
        1e4.. => (value / 1e3, " k"),
        ..1e-3 if value != 0.0 => return format!("{value:.0e}"),
        _ => (value, ""),
    };
    let text = format!("{value:.4}");
    format!("{}{unit}", text.trim_end_matches('0').trim_end_matches('.'))
}

/// As text or in an attribute of HTML and SVG.
pub fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    text.replace('"', "&quot;").replace('\'', "&#39;")
}

fn width(text: &str) -> f64 {
    6.8 * text.chars().count() as f64
}

fn text(x: f64, y: f64, more: &str, text: &str) -> String {
    format!("<text x=\"{x:.1}\" y=\"{y:.1}\" {more}>{}</text>\n", escaped(text))
}

const START: &str = "fill=\"currentColor\"";
const MIDDLE: &str = "fill=\"currentColor\" text-anchor=\"middle\"";
const END: &str = "fill=\"currentColor\" text-anchor=\"end\"";
const BOLD: &str = "fill=\"currentColor\" font-weight=\"bold\"";

const ROW: f64 = 20.0;

/// The panels, two beside each other where there are several, below the legend of all. Returns the
/// height, too.
pub fn svg(title: &str, description: &str, panels: &[Panel]) -> (String, f64) {
    let (mut body, mut top) = legend(panels);
    let columns = panels.len().clamp(1, 2);
    for row in panels.chunks(columns) {
        let names = row.iter().map(|panel| panel.y.names.len()).max().unwrap_or(0);
        let height = match names {
            0 if columns == 1 => 300.0,
            0 => 220.0,
            names => ROW * names as f64 + 10.0,
        };
        for (column, panel) in row.iter().enumerate() {
            let whole = WIDTH / columns as f64;
            body += &self::panel(panel, [column as f64 * whole, top, whole, height]);
        }
        top += height + 75.0;
    }
    let svg = format!(
        "<svg class=\"plot\" viewBox=\"0 0 {WIDTH} {top}\" \
         font-family=\"sans-serif\" font-size=\"12\" role=\"img\" aria-label=\"{0}\">\n\
         <title>{0}</title>\n<desc>{1}</desc>\n{body}</svg>\n",
        escaped(title),
        escaped(description)
    );
    (svg, top)
}

fn legend(panels: &[Panel]) -> (String, f64) {
    let (mut svg, mut x, mut y) = (String::new(), 10.0, 4.0);
    let series = panels.iter().flat_map(|panel| &panel.series).filter(|it| !it.points.is_empty());
    let series = series.filter(|it| !it.label.is_empty());
    for series in series.unique_by(|series| &series.label) {
        let whole = 40.0 + width(&series.label) + 14.0;
        if x + whole > WIDTH && x > 10.0 {
            (x, y) = (10.0, y + ROW);
        }
        let middle = y + 8.0;
        let points = match series.mark {
            Mark::Dots(_) => vec![[x + 16.0, middle]],
            Mark::Bars => vec![[x + 4.0, middle - 6.0], [x + 28.0, middle + 6.0]],
            Mark::Band | Mark::Whiskers => vec![[x + 16.0, middle - 6.0], [x + 16.0, middle + 6.0]],
            _ => vec![[x, middle], [x + 32.0, middle]],
        };
        svg += &drawn(series, &points);
        svg += &text(x + 40.0, middle + 4.0, START, &series.label);
        x += whole;
    }
    (svg, if x > 10.0 { y + ROW + 6.0 } else { y })
}

/// With its titles and ticks, in a place from its left and upper edge on; the height is that
/// between the axes.
fn panel(panel: &Panel, [left, top, whole, height]: [f64; 4]) -> String {
    let points = || panel.series.iter().flat_map(|series| &series.points);
    let ends = |of: usize| points().filter_map(move |point| point.to.map(|to| to[of]));
    let [x, y] = [
        ScaledAxis::of(&panel.x, points().map(|point| point.x).chain(ends(0))),
        ScaledAxis::of(&panel.y, points().map(|point| point.y).chain(ends(1))),
    ];
    let ticks = y.ticks(5.0);
    let widest = ticks.iter().map(|(_, name)| width(name)).fold(24.0, f64::max).min(whole / 3.0);
    let heading = if panel.title.is_empty() { 4.0 } else { 20.0 };
    let (left, top, right) = (left + widest + 30.0, top + heading, left + whole - 14.0);
    let bottom = top + height;
    let across = |value: f64| left + (right - left) * x.at(value);
    let down = |value: f64| bottom - height * y.at(value);
    let mut svg = String::new();
    if !panel.title.is_empty() {
        svg += &text(left, top - 7.0, BOLD, &panel.title);
    }
    for (value, name) in ticks {
        let at = down(value);
        let _ = writeln!(
            svg,
            "<path d=\"M{left:.1} {at:.1}H{right:.1}\" stroke=\"currentColor\" \
             stroke-opacity=\"0.15\"/>"
        );
        svg += &text(left - 6.0, at + 4.0, END, &name);
    }
    let mut free = f64::NEG_INFINITY;
    let about = (right - left) / 42.0;
    for (value, name) in
        x.ticks(about).into_iter().sorted_by(|a, b| x.at(a.0).total_cmp(&x.at(b.0)))
    {
        let (at, half) = (across(value), width(&name) / 2.0);
        if at - half >= free {
            free = at + half + 4.0;
            svg += &text(at, bottom + 17.0, MIDDLE, &name);
        }
        let _ = writeln!(svg, "<path d=\"M{at:.1} {bottom:.1}v4\" stroke=\"currentColor\"/>");
    }
    let _ = writeln!(
        svg,
        "<path d=\"M{left:.1} {top:.1}V{bottom:.1}H{right:.1}\" fill=\"none\" \
         stroke=\"currentColor\"/>"
    );
    svg += &text((left + right) / 2.0, bottom + 36.0, MIDDLE, &panel.x.label);
    let (at, middle) = (left - widest - 16.0, (top + bottom) / 2.0);
    let turned = format!("{MIDDLE} transform=\"rotate(-90 {at:.1} {middle:.1})\"");
    svg += &text(at, middle, &turned, &panel.y.label);
    for series in &panel.series {
        let of = |&Point { x, y, to }: &Point| {
            let of = [Some([x, y]), to].into_iter().flatten();
            of.map(|[x, y]| [across(x), down(y)]).collect_vec()
        };
        let is_known = |of: &Vec<[f64; 2]>| of.as_flattened().iter().all(|it| it.is_finite());
        let points = series.points.iter().map(of).filter(is_known).concat();
        svg += &drawn(series, &points);
    }
    let note = |(at, note): &(Point, String)| text(across(at.x), down(at.y), MIDDLE, note);
    svg + &panel.notes.iter().map(note).collect::<String>()
}

/// Its points, in the figure; of bars, bands and whiskers two belong together.
fn drawn(series: &Series, points: &[[f64; 2]]) -> String {
    let at = |[x, y]: [f64; 2]| format!("{x:.1} {y:.1}");
    let mut path = String::new();
    let pairs = || points.chunks_exact(2).map(|pair| (pair[0], pair[1]));
    match series.mark {
        Mark::Line | Mark::Hair => {
            let mut before = f64::INFINITY;
            for &[x, y] in points {
                path += &format!("{}{}", if x < before { 'M' } else { 'L' }, at([x, y]));
                before = x;
            }
        }
        Mark::Stairs => {
            for (number, &[x, y]) in points.iter().enumerate() {
                path += &if number == 0 {
                    format!("M{}", at([x, y]))
                } else {
                    format!("H{x:.1}V{y:.1}")
                };
            }
        }
        Mark::Dots(marker) => {
            points.iter().for_each(|point| path += &format!("M{}{marker}", at(*point)))
        }
        Mark::Bars => pairs().for_each(|([x, y], [right, bottom])| {
            path += &format!("M{}H{right:.1}V{bottom:.1}H{x:.1}z", at([x, y]));
        }),
        Mark::Band => {
            let there = pairs().map(|pair| pair.0);
            let back = pairs().map(|pair| pair.1).collect_vec().into_iter().rev();
            path = format!("M{}z", there.chain(back).map(at).join("L"));
        }
        Mark::Whiskers => pairs().for_each(|(one, other)| {
            path += &format!("M{}m-3 0h6m-3 0L{}m-3 0h6", at(one), at(other));
        }),
    }
    let (colour, dashes) = (series.style % COLOURS, DASHES[series.style % DASHES.len()]);
    let look = match series.mark {
        Mark::Bars => {
            "fill=\"currentColor\" fill-opacity=\"0.3\" stroke=\"currentColor\"".to_owned()
        }
        Mark::Band => "fill=\"currentColor\" fill-opacity=\"0.15\"".to_owned(),
        Mark::Dots(SMALL) => "stroke=\"currentColor\" stroke-width=\"3.5\" stroke-opacity=\"0.5\" \
            stroke-linecap=\"round\""
            .to_owned(),
        Mark::Dots(_) | Mark::Whiskers => "fill=\"none\" stroke=\"currentColor\" \
            stroke-width=\"1.5\""
            .to_owned(),
        Mark::Hair => {
            "fill=\"none\" stroke=\"currentColor\" stroke-width=\"0.7\" stroke-opacity=\"0.6\""
                .to_owned()
        }
        Mark::Line | Mark::Stairs => format!(
            "fill=\"none\" stroke=\"currentColor\" stroke-width=\"1.6\" stroke-dasharray=\"{}\"",
            dashes
        ),
    };
    format!("<g class=\"s{colour}\"><path d=\"{path}\" {look}/></g>\n")
}

/// With a title, on white, in colours of its own: a file.
pub fn standalone(svg: &str, title: &str, height: f64) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {whole}\" \
         width=\"{WIDTH}\" height=\"{whole}\" color=\"black\" font-family=\"sans-serif\" \
         font-size=\"14\">\n<style>{STYLE}</style>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"10\" y=\"20\" {BOLD}>{}</text>\n{}</svg>\n",
        escaped(title),
        svg.replacen("<svg ", &format!("<svg y=\"30\" width=\"{WIDTH}\" height=\"{height}\" "), 1),
        whole = height + 30.0,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticks(axis: &Axis, values: &[f64]) -> String {
        ScaledAxis::of(axis, values.iter().copied())
            .ticks(5.0)
            .iter()
            .map(|tick| &tick.1)
            .join(", ")
    }

    #[test]
    fn ticks_are_round_numbers_within_the_axis() {
        assert_eq!(ticks(&Axis::of(""), &[0.0, 1.0]), "0, 0.5, 1");
        assert_eq!(ticks(&Axis::of(""), &[0.52, 0.93]), "0.6, 0.7, 0.8, 0.9");
        assert_eq!(ticks(&Axis::of(""), &[1.0, 12_500.0]), "0, 5000, 10 k");
        assert_eq!(ticks(&Axis::within("", [1.0, 0.1]), &[]), "0.2, 0.4, 0.6, 0.8, 1");
        assert_eq!(ticks(&Axis::logarithmic(""), &[900.0, 2e6]), "1000, 10 k, 100 k, 1 M");
        assert_eq!(ticks(&Axis::logarithmic(""), &[0.9, 30.0]), "1, 2, 5, 10, 20");
        // Of one value, and of none.
        assert!(ticks(&Axis::of(""), &[7.0]).contains('7'));
        assert!(!ticks(&Axis::of(""), &[f64::NAN]).contains("NaN"));
    }

    #[test]
    fn whatever_is_drawn_is_xml_without_gaps() {
        let series = |mark, style| Series {
            label: format!("{mark:?} <&\""),
            mark,
            style,
            points: vec![span(1.0, f64::NAN, [2.0, 0.0]), span(2.0, 0.5, [3.0, f64::NAN])],
        };
        let marks = [Mark::Line, Mark::Stairs, Mark::Dots(CROSS), Mark::Bars, Mark::Band];
        let panel = Panel {
            title: "a < b".into(),
            x: Axis::of("x"),
            y: Axis::of("y"),
            notes: vec![(point(1.0, 0.5), "<".into())],
            series: marks.into_iter().zip(0..).map(|(mark, style)| series(mark, style)).collect(),
        };
        let (svg, height) = svg("a & b", "text", &[panel.clone(), panel]);
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        assert!(svg.contains("a &lt; b") && svg.contains("role=\"img\""));
        let file = standalone(&svg, "a & b", height);
        assert_eq!(file.matches("<svg ").count(), file.matches("</svg>").count());
    }
}

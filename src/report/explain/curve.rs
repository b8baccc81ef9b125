//! A learning curve in plain characters.

use itertools::Itertools;

use super::Explanation;
use crate::report::terminal::decimals;
use crate::storage::CurveRow;

const LINES: usize = 10;
const WIDEST: usize = 64;

impl Explanation {
    /// With the accuracy to beat and the prediction where the stopping rule has judged it; of two
    /// epochs and more.
    pub(super) fn drawn_curve(&self) -> Vec<String> {
        let row = self.newest();
        let accuracy = |at: &CurveRow| Some((at.epoch, at.validation_accuracy?.value()));
        let points = self.last_start().iter().filter_map(accuracy).collect_vec();
        let Some((end, _)) = points.last().filter(|_| points.len() > 1) else { return Vec::new() };
        let predicted = row.predicted_accuracy.zip(row.sigma);
        let marked = predicted.map(|(mean, _)| mean).into_iter().chain(row.y_best);
        let shown = points.iter().map(|(_, y)| *y).chain(marked).minmax_by(f64::total_cmp);
        let (low, high) = shown.into_option().expect("two points");
        let last = self.epochs.max(*end) as usize;
        let width = (6 * (last - 1) + 1).min(WIDEST);
        let column = |epoch: u32| (epoch as usize - 1) * (width - 1) / (last - 1);
        let step = ((high - low) / (LINES - 1) as f64).max(1e-6);
        let line = |y: f64| (((high - y) / step).round().max(0.0) as usize).min(LINES - 1);
        let mut cells = vec![vec![' '; width]; LINES];
        if let Some(y_best) = row.y_best {
            cells[line(y_best)].fill('-');
        }
        if let Some((mean, sigma)) = predicted {
            let [from, to] = [mean + 2.0 * sigma, mean - 2.0 * sigma].map(line);
            cells[from..=to].iter_mut().for_each(|line| line[width - 1] = '|');
            cells[line(mean)][width - 1] = '+';
        }
        for (epoch, y) in points {
            cells[line(y)][column(epoch)] = '*';
        }
        let mut lines = Vec::new();
        for (number, cells) in cells.into_iter().enumerate() {
            let label = decimals(high - number as f64 * step, 4);
            let cells = String::from_iter(cells);
            lines.push(format!("{label:>8} |{}", cells.trim_end()));
        }
        lines.push(format!("{:10}1{last:>1$}", "", width - 1));
        let best = row.y_best.map_or("", |_| ", - accuracy to beat");
        let judged = predicted.map_or("", |_| ", + prediction, | two sigma");
        lines.push(format!("  by epoch: * validation accuracy{best}{judged}"));
        lines
    }
}

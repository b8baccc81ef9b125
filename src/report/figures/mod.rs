//! Figures of a search: those of the papers and the talk, and what a search has cost and found.
//!
//! Each is drawn from the rows of a table, which lies beside it as CSV. `plot` draws them;
//! `learning` has what Q-learning learned, `stopping` the predictor and its rule, `networks` what
//! was found and what it cost.

mod learning;
pub mod plot;

use super::search::SearchData;
use super::tables::TableSet;
use plot::Panel;

#[derive(Default)]
pub struct FigureData<'a> {
    /// The first is the one reported; others are shown where searches are compared.
    pub searches: &'a [SearchData],
}

#[derive(Debug, Clone)]
pub struct Figure {
    /// Of its files, and of the table.
    pub name: &'static str,
    pub title: String,
    /// What is drawn, how it is read, how many.
    pub caption: String,
    /// For use within a page, which holds [`plot::STYLE`] once.
    pub svg: String,
    height: f64,
}

impl Figure {
    /// `None` where there is nothing to draw.
    fn of(name: &'static str, title: &str, caption: String, panels: &[Panel]) -> Option<Self> {
        let series = panels.iter().flat_map(|panel| &panel.series);
        if series.clone().all(|series| series.points.is_empty()) {
            return None;
        }
        let (svg, height) = plot::svg(name, title, &caption, panels);
        Some(Self { name, title: title.to_owned(), caption, svg, height })
    }

    /// As a file of its own.
    pub fn file(&self) -> String {
        plot::standalone(&self.svg, &self.title, self.height)
    }
}

/// Those that have data, and of each its table by the same name.
pub fn figures(data: &FigureData) -> (Vec<Figure>, TableSet) {
    let mut set = TableSet::default();
    let Some(search) = data.searches.first() else { return (Vec::new(), set) };
    let figures = [
        learning::rolling_mean(&mut set, search),
        learning::accuracy_histogram(&mut set, search),
        learning::q_by_layer_type(&mut set, search),
        learning::q_by_kernel(&mut set, search),
        learning::stability(&mut set, data.searches),
    ];
    let figures = figures.into_iter().flatten().collect();
    set.add_dictionary();
    (figures, set)
}

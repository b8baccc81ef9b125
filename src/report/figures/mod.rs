//! Figures of a search: those of the papers and the talk, and what a search has cost and found.
//!
//! Each is drawn from the rows of a table, which lies beside it as CSV. `plot` draws them;
//! `learning` has what Q-learning learned, `stopping` the predictor and its rule, `networks` what
//! was found and what it cost.

mod learning;
mod networks;
pub mod plot;
mod stopping;

use super::finals::Finals;
use super::search::SearchData;
use super::tables::ActionGroup;
use super::tables::table::*;
use plot::Panel;
pub use stopping::{Replay, ReplayedSetting};

#[derive(Default)]
pub struct FigureData<'a> {
    /// The first is the one reported; others are shown where searches are compared.
    pub searches: &'a [SearchData],
    /// Of the first.
    pub finals: Option<&'a Finals>,
    pub replay: Option<&'a Replay>,
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
    /// As a file of its own.
    pub fn file(&self) -> String {
        plot::standalone(&self.svg, &self.title, self.height)
    }
}

/// What has been drawn.
#[derive(Default)]
struct Drawing {
    figures: Vec<Figure>,
    tables: TableSet,
    trainer: &'static str,
}

impl Drawing {
    /// Of a name and a title; false where there is nothing to draw.
    fn draw(&mut self, [name, title]: [&'static str; 2], caption: String, of: &[Panel]) -> bool {
        let mut series = of.iter().flat_map(|panel| &panel.series);
        let is_drawn = series.any(|series| !series.points.is_empty());
        if is_drawn {
            let (svg, height) = plot::svg(title, &caption, of);
            self.figures.push(Figure { name, title: title.to_owned(), caption, svg, height });
        }
        is_drawn
    }

    /// With its table, to which a column says who trained.
    fn add<R>(
        &mut self,
        names: [&'static str; 2],
        caption: String,
        of: &[Panel],
        mut columns: Vec<Column<R>>,
        rows: &[R],
    ) {
        if self.draw(names, caption, of) {
            let trainer = self.trainer;
            columns.push(column("trainer", TRAINER, WHO_TRAINED, move |_: &R| trainer));
            self.tables.add(names[0], &columns, rows);
        }
    }
}

/// Those that have data, and of each its table by the same name.
pub fn figures(data: &FigureData) -> (Vec<Figure>, TableSet) {
    let mut all = Drawing::default();
    let Some(search) = data.searches.first() else { return (all.figures, all.tables) };
    all.trainer = search.trainer;
    networks::best_so_far(&mut all, data.searches);
    learning::rolling_mean(&mut all, search);
    learning::accuracy_histogram(&mut all, search);
    learning::q_by_depth(&mut all, search, ActionGroup::LayerType);
    learning::q_by_depth(&mut all, search, ActionGroup::Kernel);
    learning::stability(&mut all, data.searches);
    stopping::learning_curves(&mut all, search);
    stopping::predicted(&mut all, search, data.replay);
    stopping::r_squared(&mut all, search, data.replay);
    data.replay.inspect(|replay| stopping::speedup(&mut all, replay));
    networks::accuracy_by_size(&mut all, search);
    data.finals.inspect(|finals| networks::depth(&mut all, finals));
    networks::ledger(&mut all, search);
    all.tables.add_dictionary();
    (all.figures, all.tables)
}

#[cfg(test)]
mod tests {
    use resvg::usvg::{Options, Tree};

    use super::*;
    use crate::report::sample;

    #[test]
    fn each_figure_is_svg_with_its_table_and_one_without_data_is_left_out() {
        let search = sample::search("torch");
        let setting = ReplayedSetting { delta: 0.9, top_n: 1, speedup: 2.0, ..Default::default() };
        let replay = Replay {
            predictions: vec![(1, 0.5, 0.75)],
            scores: vec![("ols".to_owned(), 1, Some(0.5), Some(0.25))],
            settings: vec![setting],
            ..Replay::default()
        };
        let searches = [search.clone(), SearchData { experiment: "other".into(), ..search }];
        let finals = sample::finals();
        let data = FigureData { searches: &searches, finals: Some(&finals), replay: Some(&replay) };
        let (all, tables) = figures(&data);
        let names: Vec<_> = all.iter().map(|figure| figure.name).collect();
        let expected = [
            "best_so_far", "rolling_mean", "accuracy_histogram", "q_by_layer_type", "q_by_kernel",
            "stability", "learning_curves", "predicted_accuracy", "r_squared", "speedup",
            "accuracy_by_size", "depth", "ledger",
        ];
        assert_eq!(names, expected);
        let files: Vec<_> = tables.files.iter().map(|file| file.name.as_str()).collect();
        let expected: Vec<_> =
            names.iter().chain(&["columns"]).map(|it| format!("{it}.csv")).collect();
        assert_eq!(files, expected);
        for figure in &all {
            Tree::from_str(&figure.file(), &Options::default()).expect(figure.name);
            assert!(!figure.svg.contains("NaN") && !figure.svg.contains("inf"), "{}", figure.svg);
        }
        let (none, _) = figures(&FigureData { searches: &[SearchData::default()], ..data });
        let names: Vec<_> = none.iter().map(|figure| figure.name).collect();
        assert_eq!(names, ["predicted_accuracy", "r_squared", "speedup", "depth"]);
        assert!(figures(&FigureData::default()).0.is_empty());
    }

    /// Figure 3 of the paper: its bar at epsilon 1 is about 0.52 (the file is not part of this).
    #[test]
    fn the_bar_of_the_authors_search_at_epsilon_one_is_the_papers() {
        let Some(search) = sample::authors() else { return };
        let data = FigureData { searches: &[search], ..FigureData::default() };
        let (_, tables) = figures(&data);
        let text = &tables.files.iter().find(|file| file.name == "rolling_mean.csv").unwrap().text;
        assert!(text.lines().nth(1).unwrap().starts_with("epsilon,1,1,1615,0.5225"), "{text:.200}");
    }
}

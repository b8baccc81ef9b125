//! The figures, the page and the workbook of experiments. Reads everything, appends nothing.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use itertools::Itertools;
use rayon::prelude::*;
use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{Options, Tree};

use crate::config::ExperimentConfig;
use crate::dataset::DataParams;
use crate::ops::Experiment;
use crate::ops::finalize::certificate;
use crate::ops::journal::Journal;
use crate::ops::reduce::tables::{self, add_details, remove_other_parts, search_data};
use crate::ops::status::status;
use crate::report::SearchData;
use crate::report::figures::{Figure, FigureData, Replay, figures};
use crate::report::finals::Finals;
use crate::report::page::{ReportedSearch, page};
use crate::report::tables::{TableSet, add_all, with_decimal_commas};
use crate::report::workbook::workbook;
use crate::storage::fs::publish;

#[derive(Debug, Clone, clap::Args)]
pub struct ReportOptions {
    /// The folder for the report, in the place of DIR/report; then DIR/tables stays as it is
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Also replay the learning curves under the stopping rule, in N random orders: how well it
    /// predicts, and how much it would save. Of 100 curves of 20 epochs an order takes about 10
    /// seconds of a core; the hyperparameters are searched before, which takes as long
    #[arg(long, value_name = "N")]
    #[arg(value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=1000))]
    pub replay: Option<usize>,
    /// Also write report.xlsx: all tables of the first experiment in one workbook
    #[arg(long)]
    pub xlsx: bool,
    /// With `comma`, also write the tables of the first experiment to the folder tables-comma of the
    /// report, for spreadsheets of countries with a decimal comma: semicolons between cells. No
    /// command reads them there; those in DIR/tables keep their full stops
    #[arg(long, value_name = "MARK", default_value = "point", hide_default_value = true)]
    pub decimal: DecimalMark,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum DecimalMark {
    Point,
    Comma,
}

/// Of the page, in the folder of the report.
pub const PAGE: &str = "report.html";
pub const WORKBOOK: &str = "report.xlsx";
pub const COMMA_TABLES: &str = "tables-comma";

#[derive(Debug)]
pub struct Reported {
    pub folder: PathBuf,
    pub figures: usize,
    pub notices: Vec<String>,
}

/// Reports the first experiment, beside the others where searches are compared.
pub fn report(
    experiments: &[Experiment],
    options: &ReportOptions,
    replay: impl Fn(&Path, usize) -> Result<Option<Replay>>,
) -> Result<Reported> {
    let (mut searches, mut notices) = (Vec::new(), Vec::new());
    for (number, experiment) in experiments.iter().enumerate() {
        let journal = Journal::open_to_look(experiment)?;
        let learned = journal.learn()?;
        let mut search = search_data(experiment, &journal)?;
        let details = (experiment, &journal);
        notices.extend(add_details(&mut search, details, learned.q_table(), 0)?.0);
        if number == 0 && options.out.is_none() {
            notices.extend(tables::write(experiment, &journal, learned.q_table())?);
        }
        searches.push(search);
    }
    let replay = options.replay.map(|orders| replay(experiments[0].dir().root(), orders));
    let replay = replay.transpose()?.flatten();
    if options.replay.is_some() && replay.is_none() {
        notices.push("`--replay` needs 20 networks trained to their end: left out".to_owned());
    }
    let own = || experiments[0].dir().root().join("report");
    let folder = options.out.clone().unwrap_or_else(own);
    let mut reported = Vec::new();
    for (number, experiment) in experiments.iter().enumerate() {
        let finals = certificate(experiment).unwrap_or_else(|notice| {
            notices.push(notice);
            None
        });
        // The first is compared with the others.
        let (searches, replay) = match number {
            0 => (&searches[..], replay.as_ref()),
            _ => (&searches[number..=number], None),
        };
        let data = FigureData { searches, finals: finals.as_ref(), replay };
        let (figures, drawn) = figures(&data);
        if number == 0 {
            write_figures(&figures, &drawn, &folder.join("figures"))?;
            notices.extend(write_sheets(&searches[0], drawn, &folder, options)?);
        }
        reported.push(of_one(experiment, &searches[0], finals, figures)?);
    }
    publish::replace_file(&folder.join(PAGE), page(&reported).as_bytes())?;
    let figures = reported[0].figures.len();
    // The sheets say what the tables have said.
    Ok(Reported { folder, figures, notices: notices.into_iter().unique().collect() })
}

fn of_one<'a>(
    experiment: &'a Experiment,
    search: &'a SearchData,
    finals: Option<Finals>,
    figures: Vec<Figure>,
) -> Result<ReportedSearch<'a>> {
    let (config, frozen) = (experiment.config(), &experiment.frozen);
    let ExperimentConfig { data, search_space, training, .. } = &config.config;
    // The same images may lie in another place.
    let data = DataParams { path: None, cache: None, ..data.clone() };
    let conditions = (&frozen.data_files, data, search_space, training.epochs);
    Ok(ReportedSearch {
        search,
        summary: status(experiment)?,
        finals,
        space: &config.space,
        strategy: config.strategy.kind.into(),
        seed: config.experiment.seed,
        configuration: config.to_yaml(),
        conditions: serde_json::to_string(&conditions)?,
        program_version: &frozen.program_version,
        figures,
    })
}

fn create(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot create `{}`", folder.display()))
}

/// Returns notices.
fn write_sheets(
    search: &SearchData,
    drawn: TableSet,
    folder: &Path,
    options: &ReportOptions,
) -> Result<Vec<String>> {
    let mut notices = Vec::new();
    if options.decimal == DecimalMark::Comma {
        let (mut tables, folder) = (TableSet::default(), folder.join(COMMA_TABLES));
        create(&folder)?;
        add_all(&mut tables, search);
        for (name, text) in with_decimal_commas(&tables) {
            publish::replace_file(&folder.join(name), text.as_bytes())?;
        }
        remove_other_parts(&tables, &folder)?;
        notices = tables.notices;
    }
    if options.xlsx {
        let (book, of_book) = workbook(search, drawn).context("cannot make the workbook")?;
        publish::replace_file(&folder.join(WORKBOOK), &book)?;
        notices = of_book;
    }
    Ok(notices)
}

pub fn write_tables(tables: &TableSet, folder: &Path) -> Result<()> {
    create(folder)?;
    for file in &tables.files {
        publish::replace_file(&folder.join(&file.name), file.text.as_bytes())?;
    }
    remove_other_parts(tables, folder)
}

fn write_figures(figures: &[Figure], tables: &TableSet, folder: &Path) -> Result<()> {
    write_tables(tables, folder)?;
    let write = |name: &str, bytes: &[u8]| publish::replace_file(&folder.join(name), bytes);
    let mut font = Options { font_family: "DejaVu Sans".to_owned(), ..Options::default() };
    let fonts = Arc::make_mut(&mut font.fontdb);
    fonts.load_font_data(dejavu::sans::regular().to_vec());
    fonts.set_sans_serif_family("DejaVu Sans");
    figures.par_iter().try_for_each(|figure| {
        let svg = figure.file();
        write(&format!("{}.svg", figure.name), svg.as_bytes())?;
        write(&format!("{}.png", figure.name), &png(&svg, &font)?)?;
        Ok(())
    })
}

/// Twice as many pixels as the figure has units.
const SCALE: f32 = 2.0;

fn png(svg: &str, options: &Options) -> Result<Vec<u8>> {
    let tree = Tree::from_str(svg, options).context("a figure is no SVG (a bug)")?;
    let size = tree.size().to_int_size().scale_by(SCALE).context("a figure without a size")?;
    let mut pixels = Pixmap::new(size.width(), size.height()).context("a figure too large")?;
    resvg::render(&tree, Transform::from_scale(SCALE, SCALE), &mut pixels.as_mut());
    pixels.encode_png().context("a figure cannot be written as PNG")
}

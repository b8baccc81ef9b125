//! `metaqnn report`: what experiments have found, for people.

use std::path::PathBuf;

use clap::Args;

use super::printer::Printer;
use crate::ops::Experiment;
use crate::ops::report::{COMMA_TABLES, DecimalMark, PAGE, ReportOptions, WORKBOOK, report};
use crate::simulate::replay;

/// Show what a search has found and learned, and what it has cost: a page and figures
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    metaqnn report DIR\n  \
    metaqnn report DIR DIR-seed2 DIR-seed3     how far what is found depends on the seed\n  \
    metaqnn report DIR RANDOM                  beside another search\n  \
    metaqnn report DIR --replay 10             early stopping on its own learning curves\n  \
    metaqnn report DIR --xlsx                  also all tables and charts as a workbook\n  \
    metaqnn report DIR --decimal comma         also tables with decimal commas\n\n\
    Written to DIR/report of the first experiment: report.html, one page with the answer, the \
    figures, all models and how they were run, which needs no other file and no network, so that \
    it can be mailed; figures/NAME.svg and NAME.png, each with NAME.csv, which it was drawn from; \
    figures/columns.csv explains their columns. Files of their names are replaced; a figure without \
    data is left out. DIR/tables is brought up to date, too. With --xlsx report.xlsx: a sheet for each \
    table of DIR/tables with what its columns hold as notes on its header, and charts; what a \
    spreadsheet would round, whole numbers of more than 15 digits, is text there.")]
pub struct ReportArgs {
    /// The experiment directory; others are shown where searches are compared
    #[arg(required = true, value_name = "DIR")]
    dirs: Vec<PathBuf>,
    #[command(flatten)]
    options: ReportOptions,
}

pub fn run(args: ReportArgs, printer: &Printer) -> anyhow::Result<()> {
    let experiments = args.dirs.iter().map(|dir| Experiment::open(dir));
    let reported =
        report(&experiments.collect::<anyhow::Result<Vec<_>>>()?, &args.options, replay)?;
    reported.notices.iter().for_each(|notice| log::warn!("{notice}"));
    printer.result(&format!(
        "{} figures: {}",
        reported.figures,
        reported.folder.join("figures").display()
    ))?;
    let also = [
        ("page", PAGE, true),
        ("workbook", WORKBOOK, args.options.xlsx),
        ("tables", COMMA_TABLES, args.options.decimal == DecimalMark::Comma),
    ];
    also.iter().filter(|it| it.2).try_for_each(|(what, name, _)| {
        printer.result(&format!("{what}: {}", reported.folder.join(name).display()))
    })
}

//! The tables in one workbook (.xlsx): a sheet a table, what its columns hold as notes on its
//! header, and charts.
//!
//! Cells are those of the CSV files, of their types. No cell is a formula, which a program that
//! does not compute would show as 0, and none is a date. What a spreadsheet would round is text.

use itertools::Itertools;
use rust_xlsxwriter::{
    Chart, ChartFont, ChartFormat, ChartLine, ChartMarker, ChartMarkerType, ChartRange,
    ChartSeries, ChartSolidFill, ChartType, DocProperties, ExcelDateTime, Format, Note, Workbook,
    Worksheet, XlsxError,
};

use super::iterations::{ArchitectureRecord, ranking};
use super::search::{SearchData, mark};
use super::tables::table::{Definition, TableFile};
use super::tables::{SIGNIFICANT_DIGITS, TableSet, add_all};

/// Of the figures, the one whose table a chart shows.
const CHARTED: &str = "rolling_mean.csv";

/// `drawn`: the tables of the figures. Returns the file and notices.
pub fn workbook(
    search: &SearchData,
    mut drawn: TableSet,
) -> Result<(Vec<u8>, Vec<String>), XlsxError> {
    drawn.retain(&[CHARTED]);
    let mut tables = drawn;
    add_all(&mut tables, search);
    let mut book = Workbook::new();
    // The same log makes the same file.
    let newest = search.iterations.iter().filter_map(|row| row.time).max().unwrap_or_default();
    let time = ExcelDateTime::from_timestamp(newest.timestamp().as_second())?;
    let properties = DocProperties::new().set_title(&search.experiment);
    book.set_properties(&properties.set_creation_datetime(&time));
    add_charts(book.add_worksheet(), &tables, search)?;
    for file in &tables.files {
        let sheet = book.add_worksheet_with_low_memory()?;
        sheet.set_name(table_of(file))?;
        fill(sheet, file, &tables.columns(&file.name))?;
    }
    Ok((book.save_to_buffer()?, tables.notices))
}

fn table_of(file: &TableFile) -> &str {
    file.name.trim_end_matches(".csv")
}

/// In characters.
const WIDEST: usize = 60;
/// Of the arrow that opens a filter.
const ARROW: usize = 3;

fn fill(sheet: &mut Worksheet, file: &TableFile, columns: &[&Definition]) -> Result<(), XlsxError> {
    let formats = Formats::default();
    let mut widths = vec![0; columns.len()];
    let mut lines = 0;
    for (line, record) in (0..).zip(file.records()) {
        for ((place, cell), column) in (0..).zip(&record).zip(columns) {
            let width = match line {
                0 => {
                    sheet.write_string_with_format(line, place, cell, &formats.header)?;
                    cell.len() + ARROW
                }
                _ => formats.write(sheet, (line, place), cell, column.domain.0)?,
            };
            let widest = &mut widths[usize::from(place)];
            *widest = width.min(WIDEST).max(*widest);
        }
        lines = line;
    }
    for ((place, column), width) in (0..).zip(columns).zip(widths) {
        sheet.set_column_width(place, width as f64 + 1.0)?;
        sheet.insert_note(0, place, &note(column))?;
    }
    sheet.set_freeze_panes(1, 0)?.autofilter(0, 0, lines, columns.len() as u16 - 1)?;
    sheet.set_repeat_rows(0, 0)?.set_landscape().set_print_fit_to_pages(1, 0);
    Ok(())
}

fn note(column: &Definition) -> Note {
    let (kind, unit, allowed) = column.domain;
    let kind = [kind, unit, allowed].into_iter().filter(|it| !it.is_empty()).join(", ");
    let text = format!("{}\n{kind}", column.meaning);
    // About 50 characters a line of this width.
    let lines: usize = text.lines().map(|line| 1 + line.chars().count() / 48).sum();
    Note::new(text).add_author_prefix(false).set_width(300).set_height(16 * lines as u32 + 16)
}

struct Formats {
    header: Format,
    whole: Format,
    number: Format,
    small: Format,
}

impl Default for Formats {
    fn default() -> Self {
        let of = |format| Format::new().set_num_format(format);
        Self {
            header: Format::new().set_bold(),
            whole: of("0"),
            number: of("0.0000"),
            small: of("0.00E+00"),
        }
    }
}

impl Formats {
    /// Returns the characters that are shown.
    fn write(
        &self,
        sheet: &mut Worksheet,
        (row, column): (u32, u16),
        cell: &str,
        kind: &str,
    ) -> Result<usize, XlsxError> {
        match (kind, cell.parse::<f64>()) {
            _ if cell.is_empty() => return Ok(0),
            ("integer", Ok(number)) if cell.len() <= SIGNIFICANT_DIGITS => {
                sheet.write_number_with_format(row, column, number, &self.whole)?;
            }
            ("number", Ok(number)) => {
                let is_small = number != 0.0 && number.abs() < 1e-3;
                let format = if is_small { &self.small } else { &self.number };
                sheet.write_number_with_format(row, column, number, format)?;
                return Ok(format!("{number:.4}").len());
            }
            // Also what is true or false, of which LibreOffice makes the formula TRUE() or FALSE().
            _ => {
                sheet.write_string(row, column, cell)?;
            }
        }
        Ok(cell.chars().count())
    }
}

/// Of the networks whose learning curves are shown.
const BEST: usize = 10;

/// Charts of other sheets, one below the other.
fn add_charts(
    sheet: &mut Worksheet,
    tables: &TableSet,
    search: &SearchData,
) -> Result<(), XlsxError> {
    sheet.set_name("charts")?.set_print_fit_to_pages(1, 0);
    let title = Format::new().set_bold().set_font_size(14);
    sheet.write_string_with_format(0, 0, &search.experiment, &title)?;
    sheet.write_string(1, 0, mark(search.trainer).unwrap_or_default())?;
    let notes = "A sheet a table; a note on each header says what its column holds.";
    sheet.write_string(2, 0, notes)?;
    let charts = [rewards(tables), best_curves(tables, search), sizes(tables)];
    for (place, chart) in charts.iter().flatten().enumerate() {
        sheet.insert_chart(4 + 21 * place as u32, 0, chart)?;
    }
    Ok(())
}

/// The cells of a column, from a line on (0: the header); none where there are none.
fn cells(tables: &TableSet, table: &str, column: &str, from: u32) -> Option<ChartRange> {
    let file = tables.files.iter().find(|file| table_of(file) == table)?;
    let place = tables.columns(&file.name).iter().position(|it| it.column == column)? as u16;
    let last = file.records().count() as u32 - 1;
    let is_filled = file.records().skip(from as usize).any(|row| !row[place.into()].is_empty());
    is_filled.then(|| ChartRange::new_from_range(table, from, place, last, place))
}

fn chart(kind: ChartType, title: &str, [x, y]: [&str; 2]) -> Chart {
    let mut chart = Chart::new(kind);
    chart.title().set_name(title).set_font(ChartFont::new().set_size(12));
    chart.x_axis().set_name(x);
    chart.y_axis().set_name(y);
    chart.set_width(960).set_height(400).set_alt_text(title);
    chart
}

fn line(name: &str, [x, y]: [ChartRange; 2], width: f64) -> ChartSeries {
    let mut series = ChartSeries::new();
    series.set_name(name).set_categories(&x).set_values(&y);
    series.set_format(ChartFormat::new().set_line(ChartLine::new().set_width(width)));
    series.set_marker(ChartMarker::new().set_none());
    series
}

fn rewards(tables: &TableSet) -> Option<Chart> {
    let file = tables.files.iter().find(|file| file.name == CHARTED)?;
    let first = file.records().position(|row| &row[0] == "rolling")? as u32;
    let of = |column| cells(tables, table_of(file), column, first);
    let title = "Reward of sampled networks: mean of the last ones, and epsilon";
    let mut chart = chart(ChartType::ScatterStraight, title, ["iteration", "reward, epsilon"]);
    chart.push_series(&line("mean reward", [of("last_iteration")?, of("mean_accuracy")?], 2.25));
    let of = |column| cells(tables, "iterations", column, 1);
    if let (Some(x), Some(y)) = (of("iteration"), of("epsilon")) {
        chart.push_series(&line("epsilon", [x, y], 1.0));
    }
    chart.y_axis().set_min(0).set_max(1);
    Some(chart)
}

fn best_curves(tables: &TableSet, search: &SearchData) -> Option<Chart> {
    let file = tables.files.iter().find(|file| file.name == "curves_wide.csv")?;
    let columns = tables.columns(&file.name);
    let first = columns.iter().position(|it| it.column.starts_with("epoch_"))? as u16;
    let last = columns.len() as u16 - 1;
    let epochs = |row| ChartRange::new_from_range(table_of(file), row, first, row, last);
    let names = ["epoch", "validation accuracy"];
    let mut chart = chart(ChartType::Line, "Learning curves of the best networks", names);
    let best = ranking(ArchitectureRecord::gather(&search.iterations), BEST);
    // An imported network has no curve.
    let attempts = (1..).zip(&best).filter_map(|(rank, of)| Some((rank, of.attempt()?)));
    let shown = attempts.filter_map(|(rank, attempt)| {
        let row = search.curves.keys().position(|it| *it == attempt)? as u32 + 1;
        let name = format!("{rank}: iteration {}", attempt.iteration);
        Some(line(&name, [epochs(0), epochs(row)], 1.5))
    });
    let shown = shown.collect_vec();
    shown.iter().for_each(|series| _ = chart.push_series(series));
    (!shown.is_empty()).then_some(chart)
}

fn sizes(tables: &TableSet) -> Option<Chart> {
    let of = |column| cells(tables, "models", column, 1);
    let [x, y] = [of("parameters")?, of("best_validation_accuracy")?];
    let title = "Accuracy against size (of a stopped network: until it was stopped)";
    let axes = ["parameters", "best validation accuracy"];
    let mut chart = chart(ChartType::Scatter, title, axes);
    let mut series = ChartSeries::new();
    series.set_name("network").set_categories(&x).set_values(&y);
    let mut dot = ChartMarker::new();
    dot.set_type(ChartMarkerType::Circle).set_size(4);
    dot.set_format(ChartFormat::new().set_solid_fill(ChartSolidFill::new().set_color("#0072B2")));
    series.set_marker(&dot);
    chart.push_series(&series);
    chart.x_axis().set_log_base(10);
    chart.legend().set_hidden();
    Some(chart)
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Read};

    use roxmltree::{Document, Node};
    use zip::ZipArchive;

    use super::*;
    use crate::report::figures::{FigureData, figures};
    use crate::report::sample;

    /// 2^53 + 1, which a float does not have.
    const LARGE: &str = "9007199254740993";

    fn search() -> SearchData {
        let mut search = sample::search("synthetic");
        search.iterations[0].job = Some(LARGE.into());
        search.iterations[0].reason = Some("=1+1 <&> _x0041_ \u{ffff}".into());
        search
    }

    fn of(search: &SearchData) -> (Vec<u8>, TableSet) {
        let data = FigureData { searches: std::slice::from_ref(search), ..FigureData::default() };
        let (_, mut tables) = figures(&data);
        tables.retain(&[CHARTED]);
        add_all(&mut tables, search);
        (workbook(search, figures(&data).1).unwrap().0, tables)
    }

    fn part(book: &[u8], name: &str) -> String {
        let mut text = String::new();
        let mut book = ZipArchive::new(Cursor::new(book)).unwrap();
        book.by_name(name).expect(name).read_to_string(&mut text).unwrap();
        text
    }

    fn all<'a>(xml: &'a Document, tag: &'static str) -> impl Iterator<Item = Node<'a, 'a>> {
        xml.descendants().filter(move |node| node.tag_name().name() == tag)
    }

    fn texts(xml: &str, tag: &'static str) -> Vec<String> {
        let xml = Document::parse(xml).unwrap();
        let is_text = |it: &Node| it.is_text();
        let text = |of: Node| of.descendants().filter(is_text).filter_map(|it| it.text()).collect();
        all(&xml, tag).map(text).collect()
    }

    #[test]
    fn a_sheet_has_the_cells_of_its_table_with_their_types() {
        let (book, tables) = of(&search());
        let shared = texts(&part(&book, "xl/sharedStrings.xml"), "si");
        for (number, file) in (2..).zip(&tables.files) {
            let xml = part(&book, &format!("xl/worksheets/sheet{number}.xml"));
            let xml = Document::parse(&xml).unwrap();
            let mut cells = all(&xml, "c");
            for (line, record) in file.records().enumerate() {
                for (cell, column) in record.iter().zip(tables.columns(&file.name)) {
                    if cell.is_empty() {
                        continue;
                    }
                    let node = cells.next().unwrap();
                    let value = node.first_element_child().unwrap().text().unwrap();
                    let text = match node.attribute("t") {
                        Some("s") => shared[value.parse::<usize>().unwrap()].clone(),
                        _ => value.to_owned(),
                    };
                    let text = text.replace("_x005F_", "_").replace("_xFFFF_", "\u{ffff}");
                    assert_eq!(text, cell, "{} line {line}, {}", file.name, column.column);
                    let kind = match column.domain.0 {
                        _ if line == 0 || cell == LARGE => Some("s"),
                        "integer" | "number" => None,
                        _ => Some("s"),
                    };
                    assert_eq!(node.attribute("t"), kind, "{}: `{cell}`", file.name);
                }
            }
            assert!(cells.next().is_none() && all(&xml, "f").next().is_none(), "{}", file.name);
        }
    }

    #[test]
    fn headers_are_frozen_and_filtered_and_say_what_columns_hold() {
        let (book, tables) = of(&search());
        let names: Vec<_> = tables.files.iter().map(table_of).collect();
        let xml = part(&book, "xl/workbook.xml");
        let xml = Document::parse(&xml).unwrap();
        let sheets: Vec<_> = all(&xml, "sheet").filter_map(|it| it.attribute("name")).collect();
        assert_eq!(sheets, [&["charts"], &names[..]].concat());
        for (number, file) in (1..).zip(&tables.files) {
            let columns = tables.columns(&file.name);
            let xml = part(&book, &format!("xl/worksheets/sheet{}.xml", number + 1));
            let xml = Document::parse(&xml).unwrap();
            let pane = all(&xml, "pane").next().unwrap();
            assert_eq!(
                (pane.attribute("ySplit"), pane.attribute("state")),
                (Some("1"), Some("frozen"))
            );
            let filter = all(&xml, "autoFilter").next().unwrap().attribute("ref").unwrap();
            let lines = file.records().count().to_string();
            assert!(filter.starts_with("A1:") && filter.ends_with(&lines), "{filter} of {lines}");
            let widths = all(&xml, "col").map(|it| it.attribute("width").unwrap().parse().unwrap());
            assert!(widths.into_iter().all(|width: f64| (4.0..=63.0).contains(&width)));
            let notes = texts(&part(&book, &format!("xl/comments{number}.xml")), "comment");
            assert_eq!(notes.len(), columns.len());
            for (note, column) in notes.iter().zip(columns) {
                let expected = format!("{}\n{}", column.meaning, column.domain.0);
                assert!(note.starts_with(&expected), "{note}");
            }
        }
    }

    #[test]
    fn charts_show_rewards_the_best_curves_and_sizes() {
        let (book, _) = of(&search());
        let formulas = |number| texts(&part(&book, &format!("xl/charts/chart{number}.xml")), "f");
        let columns = |of: &str| formulas(1).iter().filter(|it| it.starts_with(of)).count();
        assert_eq!((columns("rolling_mean!"), columns("iterations!")), (2, 2));
        // The epochs, and the curve of iteration 1; iteration 2 has none, 8 was stopped.
        assert_eq!(formulas(2), ["curves_wide!$E$1:$G$1", "curves_wide!$E$2:$G$2"]);
        assert!(formulas(3)[0].starts_with("models!") && formulas(3)[1].starts_with("models!"));
        assert!(
            part(&book, "xl/sharedStrings.xml")
                .contains("accuracies of networks trained here are made up")
        );
    }

    #[test]
    fn a_search_makes_the_same_file_again_and_one_that_has_not_begun_has_no_chart() {
        let (search, none) = (search(), SearchData::default());
        assert!(of(&search).0 == of(&search).0);
        let (book, tables) = of(&none);
        let book = ZipArchive::new(Cursor::new(book)).unwrap();
        assert!(!book.file_names().flatten().any(|name| name.contains("chart")));
        let sheets =
            book.file_names().flatten().filter(|name| name.starts_with("xl/worksheets/sheet"));
        assert_eq!(sheets.count(), tables.files.len() + 1);
    }
}

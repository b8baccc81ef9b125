//! Tables for spreadsheets of countries with a decimal comma.

use csv::WriterBuilder;

use super::TableSet;

/// Semicolons between cells and a comma in numbers, as such spreadsheets save and open them, after
/// a byte order mark, without which Excel takes UTF-8 for the local code page. Name and text of
/// each file.
pub fn with_decimal_commas(set: &TableSet) -> impl Iterator<Item = (&str, String)> {
    set.files.iter().map(|file| {
        let columns = set.columns(&file.name);
        let mut writer = WriterBuilder::new().delimiter(b';').from_writer("\u{feff}".into());
        for record in file.records() {
            let cells = record.iter().zip(&columns).map(|(cell, column)| match column.domain.0 {
                "number" => cell.replace('.', ","),
                _ => cell.to_owned(),
            });
            writer.write_record(cells).expect("memory takes any text");
        }
        let bytes: Vec<u8> = writer.into_inner().expect("memory takes any text");
        (&*file.name, String::from_utf8(bytes).expect("cells are text"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;
    use crate::report::tables::add_all;

    #[test]
    fn only_numbers_change() {
        let mut set = TableSet::default();
        add_all(&mut set, &sample::search("torch"));
        for ((name, text), file) in with_decimal_commas(&set).zip(&set.files) {
            let mut reader = csv::ReaderBuilder::new();
            let reader = reader.delimiter(b';').has_headers(false);
            let rows: Vec<_> =
                reader.from_reader(text.as_bytes()).into_records().map(Result::unwrap).collect();
            for (row, wanted) in rows.iter().zip(file.records()) {
                for (cell, wanted) in row.iter().zip(&wanted) {
                    let is_number = wanted.contains('.') && wanted.parse::<f64>().is_ok();
                    let wanted = if is_number { wanted.replace('.', ",") } else { wanted.into() };
                    assert_eq!(cell, wanted, "{name}");
                }
            }
            assert_eq!(rows.len(), file.records().count(), "{name}");
        }
    }
}

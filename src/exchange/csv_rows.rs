//! Rows of CSV files that other programs wrote.

use csv::ByteRecord;

/// Bytes of the longest row. A row of the widest files has some thousand cells; one that is longer
/// comes of a quote that is never closed, or is no CSV at all.
const LONGEST_ROW: usize = 1 << 20;

/// Reads the header and the rows, of any length, each with the line on which it begins.
pub(crate) fn read_csv(mut bytes: Vec<u8>) -> Result<(ByteRecord, Vec<ByteRecord>), csv::Error> {
    // The reader counts line feeds: of a file with other line ends it would name the line before.
    let mut is_after_return = false;
    bytes.retain_mut(|byte| {
        let belongs_to_return = *byte == b'\n' && is_after_return;
        is_after_return = *byte == b'\r';
        if is_after_return {
            *byte = b'\n';
        }
        !belongs_to_return
    });
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(&bytes[..]);
    let header = reader.byte_headers()?.clone();
    let rows = reader.into_byte_records().collect::<Result<Vec<_>, _>>()?;
    let is_long = |row: &&ByteRecord| row.as_slice().len() > LONGEST_ROW;
    if let Some(row) = [&header].into_iter().chain(&rows).find(is_long) {
        let problem = format!(
            "the row at line {} has more than a mebibyte (is it the right file? is a quote not \
             closed?)",
            line(row)
        );
        return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, problem).into());
    }
    Ok((header, rows))
}

/// Returns the line on which a row begins, from 1.
pub(crate) fn line(row: &ByteRecord) -> u64 {
    row.position().map_or(0, csv::Position::line)
}

const SHOWN: usize = 60;

/// Returns as much of a cell as a line of a message has space for, control characters as escapes.
pub(crate) fn shown(cell: &str) -> String {
    let mut text = String::new();
    for character in cell.chars().take(SHOWN) {
        match character.is_control() {
            true => text.extend(character.escape_debug()),
            false => text.push(character),
        }
    }
    if cell.chars().nth(SHOWN).is_some() {
        text.push_str("..");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(text: &str) -> Result<usize, String> {
        let rows = read_csv(text.into()).map_err(|error| error.to_string())?.1;
        Ok(rows.len())
    }

    #[test]
    fn a_row_is_on_the_same_line_however_the_lines_of_its_file_end() {
        let text = "a,b\n1,2\n\"x\ny\",4\n5,6";
        for end in ["\n", "\r\n", "\r"] {
            let rows = read_csv(text.replace('\n', end).into()).unwrap().1;
            let found: Vec<_> = rows.iter().map(|row| (line(row), &row[1])).collect();
            assert_eq!(found, [(2, &b"2"[..]), (3, b"4"), (5, b"6")], "{end:?}");
        }
    }

    #[test]
    fn a_file_without_an_end_of_line_is_refused() {
        let long = "7".repeat(2 << 20);
        let refused = rows(&long).unwrap_err();
        assert!(refused.starts_with("the row at line 1 has more than a mebibyte"), "{refused}");
        let refused = rows(&format!("a,b\n1,2\n3,{long}")).unwrap_err();
        assert!(refused.starts_with("the row at line 3 has more than a mebibyte"), "{refused}");
    }

    #[test]
    fn a_quote_that_is_never_closed_is_refused() {
        let text = "a,b\n1,\"2\n".to_owned() + &"3,4\n".repeat(1 << 19);
        assert!(rows(&text).unwrap_err().contains("is a quote not closed?"));
    }

    #[test]
    fn a_long_file_of_long_rows_is_read() {
        let row = "0.5,".repeat(100_000) + "1\n";
        assert_eq!(rows(&("a\n".to_owned() + &row.repeat(10))), Ok(10));
    }

    #[test]
    fn a_message_shows_the_beginning_of_a_cell_on_one_line() {
        assert_eq!(shown("0.5"), "0.5");
        assert_eq!(shown("a\nb\u{1b}[31m"), "a\\nb\\u{1b}[31m");
        assert_eq!(shown(&"\u{e9}".repeat(61)), "\u{e9}".repeat(60) + "..");
    }
}

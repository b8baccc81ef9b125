//! The search as text for a terminal of 80 columns.

mod ranking;
mod status;

pub use ranking::ranked;
pub use status::status;

/// Columns of the terminal.
const WIDTH: usize = 80;

/// Whether text is coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    /// Plain text.
    Plain,
    /// With the escape sequences of ANSI terminals.
    Ansi,
}

impl Colour {
    pub(crate) fn bold(self, text: &str) -> String {
        self.paint("1", text)
    }

    fn warning(self, text: &str) -> String {
        self.paint("33", text)
    }

    fn paint(self, code: &str, text: &str) -> String {
        match self {
            Self::Plain => text.to_owned(),
            Self::Ansi => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
        }
    }
}

fn accuracy(share: Option<f64>) -> String {
    share.map_or("-".to_owned(), |share| decimals(share, 4))
}

/// Writes a number with so many decimals. What rounds to nothing is 0 and has no sign.
pub(crate) fn decimals(value: f64, places: usize) -> String {
    let text = format!("{value:.places$}");
    match text.strip_prefix('-') {
        Some(nothing) if nothing.bytes().all(|digit| matches!(digit, b'0' | b'.')) => {
            nothing.to_owned()
        }
        _ => text,
    }
}

/// Writes an epsilon with no more than four decimals.
fn rounded(epsilon: f64) -> String {
    ((epsilon * 1e4).round() / 1e4).to_string()
}

fn known(value: Option<impl ToString>) -> String {
    value.map_or("-".to_owned(), |value| value.to_string())
}

/// Writes a count as people say it: 730, 85.2k, 11.26M.
fn short(count: u64) -> String {
    match count {
        0..1_000 => count.to_string(),
        1_000..999_950 => format!("{:.1}k", count as f64 / 1e3),
        _ => format!("{:.2}M", count as f64 / 1e6),
    }
}

/// Text that begins after `first` and stays to the right of it.
fn hanging(first: &str, text: &str) -> Vec<String> {
    let indent = " ".repeat(first.len());
    wrapped(text, WIDTH - first.len())
        .iter()
        .enumerate()
        .map(|(line, text)| format!("{}{text}", if line == 0 { first } else { &indent }))
        .collect()
}

/// Breaks a text at spaces into lines of at most `width` characters; a longer word keeps a line
/// to itself, so that a path can be copied.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().expect("there is always a line");
        if line.is_empty() {
            line.push_str(word);
        } else if line.chars().count() + 1 + word.chars().count() <= width {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

pub(crate) fn text_of(lines: &[String]) -> String {
    lines.iter().map(|line| line.trim_end().to_owned() + "\n").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_written_as_people_say_them() {
        let counts = [0, 999, 1_000, 85_249, 999_949, 999_950, 11_263_498];
        assert_eq!(counts.map(short), ["0", "999", "1.0k", "85.2k", "999.9k", "1.00M", "11.26M"]);
    }

    #[test]
    fn nothing_has_no_sign() {
        let written = [-0.0, -4e-6, -5.1e-6, 4e-6, -1.0].map(|value| decimals(value, 5));
        assert_eq!(written, ["0.00000", "0.00000", "-0.00001", "0.00000", "-1.00000"]);
        assert_eq!(decimals(-0.4, 0), "0");
        assert_eq!(accuracy(Some(-0.0)), "0.0000");
    }

    #[test]
    fn lines_break_at_spaces_and_long_words_stay_whole() {
        assert_eq!(wrapped("a bc def /a/long/path g", 6), ["a bc", "def", "/a/long/path", "g"]);
        assert_eq!(wrapped("", 6), [""]);
        assert_eq!(hanging("x: ", "a b"), ["x: a b"]);
    }
}

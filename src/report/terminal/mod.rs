//! The search as text for a terminal of 80 columns.

mod status;

pub use status::status;

use super::architectures::ArchitectureRecord;
use super::search::mark;

/// Columns of the terminal.
const WIDTH: usize = 80;

/// Whether text is coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
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

/// Returns a ranking as a table of at most 80 columns, long architectures on several lines.
pub fn ranked(ranking: &[ArchitectureRecord], trainer: &str, colour: Colour) -> String {
    if ranking.is_empty() {
        return "No network has been trained to the end.\n".to_owned();
    }
    let mut lines = vec![colour.bold("rank  accuracy  parameters  layers  epsilon  architecture")];
    for (rank, record) in (1..).zip(ranking) {
        let deciding = record.deciding;
        let facts = format!(
            "{rank:>4}  {:>8}  {:>10}  {:>6}  {:>7}  ",
            accuracy(deciding.best_validation_accuracy),
            known(deciding.parameters.map(short)),
            known(deciding.layers),
            known(deciding.epsilon.map(rounded)),
        );
        lines.extend(hanging(&facts, record.architecture));
    }
    lines.extend(mark(trainer).map(|mark| colour.warning(mark)));
    text_of(&lines)
}

fn accuracy(share: Option<f64>) -> String {
    share.map_or("-".to_owned(), |share| decimals(share, 4))
}

/// Writes a number with so many decimals. What rounds to 0 has no sign.
pub(crate) fn decimals(value: f64, places: usize) -> String {
    let text = format!("{value:.places$}");
    if text.parse() == Ok(0.0) { text.trim_start_matches('-').to_owned() } else { text }
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

/// Breaks a text at spaces into lines that begin after `first` and stay to the right of it; a word
/// that is longer than a line stays whole, so that a path can be copied.
fn hanging(first: &str, text: &str) -> Vec<String> {
    let mut lines = vec![first.to_owned()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().expect("there is always a line");
        if line.len() == first.len() {
            line.push_str(word);
        } else if line.chars().count() + 1 + word.chars().count() <= WIDTH {
            *line += &format!(" {word}");
        } else {
            lines.push(" ".repeat(first.len()) + word);
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
    use crate::report::golden::assert_golden;
    use crate::report::ranking;
    use crate::report::sample::{self, iteration};
    use crate::storage::{Event, Row};
    use proptest::prelude::*;

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
        let (half, path) = ("a".repeat(40), format!("/{}", "b".repeat(90)));
        let text = format!("{half} c {half} {path} d");
        let lines =
            ["x: ".to_owned() + &half + " c", "   ".to_owned() + &half, format!("   {path}")];
        assert_eq!(hanging("x: ", &text)[..3], lines);
        assert_eq!(hanging("", ""), [""]);
    }

    #[test]
    fn the_ranking_is_the_accepted_one() {
        let mut iterations = sample::iterations();
        iterations.push(Row {
            architecture: Some(sample::DENSE.replace("64", "512")),
            best_validation_accuracy: Some(0.943_15),
            parameters: Some(11_263_498),
            layers: Some(5),
            epsilon: Some(1.0 / 3.0),
            ..iteration(12, Event::Trained)
        });
        let ranking = ranking(&ArchitectureRecord::gather(&iterations), 10);
        assert_golden("report/ranking.txt", &ranked(&ranking, "synthetic", Colour::Plain));
        assert_eq!(
            ranked(&[], "torch", Colour::Plain),
            "No network has been trained to the end.\n"
        );
    }

    proptest! {
        #[test]
        fn every_line_fits_the_terminal(
            layers in prop::collection::vec("C\\([0-9]{1,3},[0-9],1\\)", 1..20),
            parameters in 0..100_000_000_000u64,
            epsilon in 0.0..=1.0f64,
        ) {
            let iterations = [Row {
                architecture: Some(format!("[{}]", layers.join(", "))),
                best_validation_accuracy: Some(epsilon),
                parameters: Some(parameters),
                layers: Some(18),
                epsilon: Some(epsilon),
                ..iteration(1, Event::Trained)
            }];
            let ranking = ranking(&ArchitectureRecord::gather(&iterations), 10);
            let text = ranked(&ranking, "synthetic", Colour::Plain);
            prop_assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{}", text);
        }
    }
}

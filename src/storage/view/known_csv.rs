//! The known architectures of a view as `known.csv`: one row per architecture, its first result.
//!
//! The lines stand in the order of their bytes (that of `LC_ALL=C sort`), so that an architecture is
//! looked up by halving, and nothing else of the file has to be read: what a claim needs of a long
//! search costs as little as of a short one. The checksum of the file vouches for what is not read.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use crate::storage::error::StorageError;
use crate::storage::log::event::Iteration;
use crate::storage::search_state::Known;

const HEADER: &str = "architecture,iteration,epsilon,reward,best_validation_accuracy\n";

/// The text of `known.csv`, not read but where it is asked.
#[derive(Debug, Clone, Default)]
pub struct KnownCsv {
    /// The file; empty when there is none.
    bytes: Arc<Vec<u8>>,
}

impl KnownCsv {
    /// Takes the bytes of the file.
    ///
    /// # Errors
    /// They do not begin and end as this program writes them.
    pub(crate) fn new(bytes: Vec<u8>, path: &Path) -> Result<Self, StorageError> {
        if !bytes.starts_with(HEADER.as_bytes()) {
            return Err(StorageError::line(path, 1, "it is not the header of the known results"));
        }
        if !bytes.ends_with(b"\n") {
            let line = 1 + newlines(&bytes) as u64;
            return Err(StorageError::line(path, line, "it is cut off"));
        }
        Ok(Self { bytes: Arc::new(bytes) })
    }

    /// Returns the whole lines after the header.
    fn lines(&self) -> &[u8] {
        self.bytes.get(HEADER.len()..).unwrap_or_default()
    }

    /// Returns the bytes of the file that holds these results and those `since`, of other architectures.
    pub(crate) fn bytes_with(&self, since: &BTreeMap<String, Known>) -> Vec<u8> {
        let since: Vec<_> = since.iter().map(|(text, known)| line(text, known)).collect();
        let kept = self.lines().split_inclusive(|&byte| byte == b'\n');
        let mut lines: Vec<&[u8]> = kept.chain(since.iter().map(Vec::as_slice)).collect();
        lines.sort();
        lines.insert(0, HEADER.as_bytes());
        lines.concat()
    }

    /// Looks an architecture up.
    ///
    /// The checksum of the file vouches for its lines; one that is no row all the same is passed over.
    pub fn get(&self, architecture: &str) -> Option<Known> {
        let sought = cell(architecture);
        let mut lines = self.lines();
        while !lines.is_empty() {
            let (before, line, after) = middle(lines);
            match line[..line.len().min(sought.len())].cmp(&sought) {
                Ordering::Less => lines = after,
                Ordering::Greater => lines = before,
                Ordering::Equal => return row(line).map(|(_, known)| known),
            }
        }
        None
    }

    /// Returns the architectures with their results, in the order of the file.
    pub fn rows(&self) -> impl Iterator<Item = (Cow<'_, str>, Known)> {
        self.lines().split_inclusive(|&byte| byte == b'\n').filter_map(row)
    }

    /// Returns how many there are.
    pub fn len(&self) -> usize {
        newlines(self.lines())
    }
}

/// Returns the cell of an architecture, its comma included, with which its line begins and no other.
fn cell(architecture: &str) -> Vec<u8> {
    format!("\"{}\",", architecture.replace('"', "\"\"")).into_bytes()
}

fn line(architecture: &str, known: &Known) -> Vec<u8> {
    let number = |number: Option<f64>| number.map_or_else(String::new, |value| value.to_string());
    let numbers = format!(
        "{},{},{},{}\n",
        known.iteration,
        known.epsilon,
        number(known.reward),
        number(known.best_validation_accuracy)
    );
    [cell(architecture), numbers.into_bytes()].concat()
}

/// Reads a line; `None` when it is no row.
fn row(line: &[u8]) -> Option<(Cow<'_, str>, Known)> {
    let line = str::from_utf8(line).ok()?.strip_suffix('\n')?;
    let (architecture, numbers) = line.strip_prefix('"')?.rsplit_once("\",")?;
    let architecture = match architecture.contains('"') {
        true => Cow::Owned(architecture.replace("\"\"", "\"")),
        false => Cow::Borrowed(architecture),
    };
    let mut numbers = numbers.split(',');
    let known = Known {
        iteration: Iteration(numbers.next()?.parse().ok()?),
        epsilon: numbers.next()?.parse().ok()?,
        reward: number(numbers.next()?)?,
        best_validation_accuracy: number(numbers.next()?)?,
    };
    numbers.next().is_none().then_some((architecture, known))
}

/// Reads a number that may be missing; `None` when it is none.
fn number(text: &str) -> Option<Option<f64>> {
    if text.is_empty() { Some(None) } else { text.parse().ok().map(Some) }
}

/// Returns the line in the middle of whole lines, what stands before it and what after it.
fn middle(lines: &[u8]) -> (&[u8], &[u8], &[u8]) {
    let half = lines.len() / 2;
    let is_newline = |&byte: &u8| byte == b'\n';
    let begin = lines[..half].iter().rposition(is_newline).map_or(0, |at| at + 1);
    let end = lines[half..].iter().position(is_newline).map_or(lines.len(), |at| half + at + 1);
    (&lines[..begin], &lines[begin..end], &lines[end..])
}

fn newlines(bytes: &[u8]) -> usize {
    bytes.iter().filter(|&&byte| byte == b'\n').count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn known(iteration: u64, reward: Option<f64>) -> Known {
        Known {
            iteration: Iteration(iteration),
            epsilon: 0.9,
            reward,
            best_validation_accuracy: reward.map(|reward| reward / 3.0),
        }
    }

    fn read(bytes: &[u8]) -> Result<KnownCsv, StorageError> {
        KnownCsv::new(bytes.to_vec(), Path::new("known.csv"))
    }

    fn written(results: &BTreeMap<String, Known>) -> Vec<u8> {
        KnownCsv::default().bytes_with(results)
    }

    #[test]
    fn results_are_written_in_the_order_of_their_lines() {
        let results = BTreeMap::from([
            ("[C(64,3,1), SM(10)]".to_owned(), known(12, Some(0.1 + 0.2))),
            ("[SM(10)]".to_owned(), known(3, None)),
            ("a \"b\"".to_owned(), known(4, Some(0.0))),
        ]);
        let bytes = written(&results);
        assert_eq!(
            String::from_utf8(bytes.clone()).unwrap(),
            "architecture,iteration,epsilon,reward,best_validation_accuracy\n\
             \"[C(64,3,1), SM(10)]\",12,0.9,0.30000000000000004,0.10000000000000002\n\
             \"[SM(10)]\",3,0.9,,\n\
             \"a \"\"b\"\"\",4,0.9,0,0\n"
        );
        let read = read(&bytes).unwrap();
        let rows: BTreeMap<_, _> =
            read.rows().map(|(text, known)| (text.into_owned(), known)).collect();
        assert_eq!(rows, results);
        assert_eq!((read.len(), KnownCsv::default().len()), (3, 0));
        assert!(results.iter().all(|(text, known)| read.get(text) == Some(*known)));
        assert_eq!(read.get("[SM(10)"), None);
    }

    #[test]
    fn a_file_without_its_header_or_its_end_is_refused() {
        for (text, line) in [("", 1), ("iteration\n", 1), (&format!("{HEADER}\"[SM(10)]\",3"), 2)] {
            let error = read(text.as_bytes()).unwrap_err();
            assert!(error.to_string().contains(&format!("line {line}:")));
        }
    }

    /// Architectures, and texts that a foreign row might have for one.
    fn text() -> impl Strategy<Value = String> {
        prop_oneof!["[\\[\\] ,\"a!~\u{e9}]{1,6}", "\\[C\\([0-9],3,1\\), SM\\(10\\)\\]"]
    }

    proptest! {
        #[test]
        fn what_is_known_is_found_and_nothing_else(
            kept in prop::collection::btree_map(text(), 1u64.., 0..20),
            since in prop::collection::btree_map(text(), 1u64.., 0..20),
            others in prop::collection::vec(text(), 0..20),
        ) {
            let result = |(text, iteration)| (text, known(iteration, Some(1.0 / iteration as f64)));
            let kept: BTreeMap<_, _> = kept.into_iter().map(result).collect();
            let since: BTreeMap<_, _> =
                since.into_iter().filter(|(text, _)| !kept.contains_key(text)).map(result).collect();
            let first = read(&written(&kept)).unwrap();
            let both = read(&first.bytes_with(&since)).unwrap();
            let all: BTreeMap<_, _> = kept.into_iter().chain(since).collect();
            prop_assert_eq!(both.bytes_with(&BTreeMap::new()), written(&all));
            for text in all.keys().chain(&others) {
                prop_assert_eq!(both.get(text), all.get(text).copied());
            }
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let lines = [HEADER.as_bytes(), &bytes, b"\n"].concat();
            for csv in [read(&bytes), read(&lines)].into_iter().flatten() {
                let _ = (csv.get("[SM(10)]"), csv.get("\""), csv.rows().count());
            }
        }
    }
}

//! The architectures that have a result.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::storage::search_state::state::Known;
use crate::storage::view::known_csv::KnownCsv;

/// The architectures that have a result, each with its first one: those that a view has kept, which
/// are looked up in its text, and those since.
#[derive(Debug, Clone, Default)]
pub struct KnownArchitectures {
    kept: KnownCsv,
    /// None of them is among the kept ones.
    since: BTreeMap<String, Known>,
}

impl KnownArchitectures {
    /// Returns those that a view has kept.
    pub(in crate::storage) const fn kept(kept: KnownCsv) -> Self {
        Self { kept, since: BTreeMap::new() }
    }

    /// Returns the text in which a view keeps them.
    pub(in crate::storage) fn to_csv(&self) -> Vec<u8> {
        self.kept.bytes_with(&self.since)
    }

    /// Adds the first result of an architecture.
    pub(crate) fn insert(&mut self, architecture: String, known: Known) {
        self.since.insert(architecture, known);
    }

    /// Returns the first result of an architecture.
    pub fn get(&self, architecture: &str) -> Option<Known> {
        self.since.get(architecture).copied().or_else(|| self.kept.get(architecture))
    }

    /// Whether an architecture has a result.
    pub fn contains_key(&self, architecture: &str) -> bool {
        self.get(architecture).is_some()
    }

    /// Returns the architectures with their first results, in no order that means something.
    pub fn iter(&self) -> impl Iterator<Item = (Cow<'_, str>, Known)> {
        let since = self.since.iter().map(|(text, known)| (Cow::Borrowed(text.as_str()), *known));
        self.kept.rows().chain(since)
    }

    /// Returns how many there are.
    pub fn len(&self) -> usize {
        self.kept.len() + self.since.len()
    }

    /// Whether nothing has a result.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The same results, wherever they are kept.
impl PartialEq for KnownArchitectures {
    fn eq(&self, other: &Self) -> bool {
        self.to_csv() == other.to_csv()
    }
}

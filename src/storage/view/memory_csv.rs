//! The replay memory of a view as `memory.csv`: one row per row of the memory, in order.
//!
//! An experience is written out where it appears first; from then on its number stands for it.
//! So the file holds each architecture once, and needs no other file to be read.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::outcome::Accuracy;
use crate::q_learning::ReplayMemory;
use crate::space::{Architecture, Space};
use crate::storage::error::StorageError;

/// One line; the order of the fields is that of the columns.
#[derive(Serialize, Deserialize)]
struct MemoryRow<'a> {
    /// Number of the experience in the order of first appearance, from 1.
    experience: usize,
    /// Empty when the experience stands above.
    reward: Option<Accuracy>,
    /// Empty when the experience stands above.
    architecture: Option<&'a str>,
}

const HEADER: &str = "experience,reward,architecture\n";

/// Writes a replay memory.
pub(crate) fn write_memory(memory: &ReplayMemory) -> Vec<u8> {
    let mut numbers = BTreeMap::new();
    let mut bytes = HEADER.as_bytes().to_vec();
    let mut writer = csv::WriterBuilder::new().has_headers(false).from_writer(&mut bytes);
    for row in memory.rows() {
        let key = (row.architecture(), row.reward().value().to_bits());
        let next = numbers.len() + 1;
        let number = *numbers.entry(key).or_insert(next);
        let text = (number == next).then(|| row.architecture().to_string());
        let row = MemoryRow {
            experience: number,
            reward: text.is_some().then_some(row.reward()),
            architecture: text.as_deref(),
        };
        writer.serialize(row).expect("a row is flat and goes to memory");
    }
    drop(writer);
    bytes
}

/// The rows of a replay memory, as they stand in the file.
#[derive(Debug, PartialEq)]
pub(crate) struct MemoryRows {
    experiences: Vec<(Architecture, Accuracy)>,
    /// Indices into `experiences`.
    rows: Vec<usize>,
}

impl MemoryRows {
    /// Reads the rows of a replay memory back.
    ///
    /// # Errors
    /// A line that is no row of a memory over `space`; it is named.
    pub(crate) fn read(bytes: &[u8], space: &Space, path: &Path) -> Result<Self, StorageError> {
        let failed = StorageError::csv(path);
        let mut reader = csv::Reader::from_reader(bytes);
        let header = reader.headers().map_err(failed)?.clone();
        let mut read = Self { experiences: Vec::new(), rows: Vec::new() };
        let mut record = csv::StringRecord::new();
        while reader.read_record(&mut record).map_err(failed)? {
            let row: MemoryRow = record.deserialize(Some(&header)).map_err(failed)?;
            read.push(row, space).map_err(|reason| {
                StorageError::line(path, record.position().map_or(0, csv::Position::line), reason)
            })?;
        }
        Ok(read)
    }

    fn push(&mut self, row: MemoryRow, space: &Space) -> Result<(), String> {
        let above = self.experiences.len();
        match (row.reward, row.architecture) {
            (Some(reward), Some(text)) if row.experience == above + 1 => {
                let architecture = space.parse(text).map_err(|error| error.to_string())?;
                self.experiences.push((architecture, reward));
            }
            (None, None) if (1..=above).contains(&row.experience) => {}
            _ => return Err("it is neither a new experience nor one that stands above".to_owned()),
        }
        self.rows.push(row.experience - 1);
        Ok(())
    }

    /// Returns the rows in order.
    pub(crate) fn rows(&self) -> impl Iterator<Item = (Architecture, Accuracy)> {
        self.rows.iter().map(|&index| self.experiences[index].clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::q_learning::{Learner, QLearningParams};
    use crate::seed::{Purpose, generator};
    use crate::space::{DataShape, SpaceParams};
    use proptest::prelude::*;

    fn space() -> Space {
        let image = DataShape { size: 32, channels: 3, classes: 10 };
        SpaceParams::default().check(image).unwrap()
    }

    fn read(text: &str) -> Result<MemoryRows, StorageError> {
        MemoryRows::read(text.as_bytes(), &space(), Path::new("memory.csv"))
    }

    #[test]
    fn a_memory_is_read_back_row_by_row() {
        let lessons = [("[SM(10)]", 0.25), ("[C(64,3,1), SM(10)]", 0.1 + 0.2), ("[SM(10)]", 0.25)];
        let lessons = lessons
            .map(|(text, reward)| (space().parse(text).unwrap(), Accuracy::new(reward).unwrap()));
        let mut learner = Learner::new(QLearningParams::default().check().unwrap(), space());
        for (architecture, reward) in &lessons {
            learner.learn(architecture, *reward, &mut generator(1, Purpose::Replay, 1, 0));
        }
        let text = String::from_utf8(write_memory(learner.memory())).unwrap();
        assert_eq!(
            text,
            "experience,reward,architecture\n\
             1,0.25,[SM(10)]\n\
             2,0.30000000000000004,\"[C(64,3,1), SM(10)]\"\n\
             1,,\n"
        );
        assert!(read(&text).unwrap().rows().eq(lessons));
    }

    #[test]
    fn a_damaged_line_is_named() {
        let wrong = |rows: &str| {
            let error = read(&format!("{HEADER}1,0.5,[SM(10)]\n{rows}")).unwrap_err();
            assert!(error.to_string().contains("line 3:"), "{error}");
        };
        wrong("2,,\n");
        wrong("0,,\n");
        wrong("3,0.5,[SM(10)]\n");
        wrong("1,0.5,\n");
        wrong("2,0.5,[SM(9)]\n");
        assert!(matches!(
            read(&format!("{HEADER}1,1.5,[SM(10)]\n")),
            Err(StorageError::Csv { .. })
        ));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let any = |bytes: &[u8]| MemoryRows::read(bytes, &space(), Path::new("any"));
            let _ = any(&bytes);
            let _ = any(&[HEADER.as_bytes(), &bytes].concat());
        }
    }
}

//! Tasks that could not even claim, since the trainer refuses to work where they are: `rounds/0007/refused.*.yaml`.
//!
//! The log tells of claims, and such a task makes none: it would leave no trace but its output. A node without its GPU
//! eats one task after the other, so that somebody must be able to count them. One file a task and node, written once.

use serde::{Deserialize, Serialize};

use crate::storage::error::StorageError;
use crate::storage::fs::publish;
use crate::storage::fs::time::Time;
use crate::storage::fs::yaml;
use crate::storage::round::RoundDir;

/// A task that could not work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskRefusal {
    /// The machine.
    pub host: String,
    /// The array job.
    pub job: String,
    /// Its task.
    pub task: String,
    /// What the trainer says.
    pub reason: String,
    /// When.
    pub time: Time,
}

const BEGIN: &str = "refused.";
const END: &str = ".yaml";

impl RoundDir {
    /// Keeps the refusal of a task of this round, once for each task and machine.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn note_refusal(&self, refusal: &TaskRefusal) -> Result<(), StorageError> {
        // Names of machines are plain; whatever else this one may hold stays within the folder.
        let plain = |letter: char| if letter.is_ascii_alphanumeric() { letter } else { '-' };
        let host: String = refusal.host.chars().map(plain).collect();
        let name = format!("{BEGIN}{}_{}.{host}{END}", refusal.job, refusal.task);
        let path = self.folder().join(name);
        publish::file_once(&path, yaml::print(refusal, &path)?.as_bytes())?;
        Ok(())
    }

    /// Returns the refusals of this round's tasks, in the order of their time.
    ///
    /// # Errors
    /// The folder cannot be listed, or a file cannot be read.
    pub fn refusals(&self) -> Result<Vec<TaskRefusal>, StorageError> {
        let is_one =
            |name: &str| (name.starts_with(BEGIN) && name.ends_with(END)).then(|| name.to_owned());
        let files = publish::listing(self.folder(), is_one)?;
        let mut refusals = files
            .iter()
            .map(|(_, path)| yaml::read(path))
            .collect::<Result<Vec<TaskRefusal>, _>>()?;
        refusals.sort_by_key(|refusal| refusal.time);
        Ok(refusals)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::ExperimentDir;

    #[test]
    fn refusals_are_kept_once_for_each_task_and_machine() {
        let (_folder, experiment) = ExperimentDir::made_up();
        let round = RoundDir::create(&experiment, 3).unwrap();
        let refusal = |host: &str, second: i64| TaskRefusal {
            host: host.into(),
            job: "7".into(),
            task: "0".into(),
            reason: "no GPU".into(),
            time: jiff::Timestamp::from_second(second).unwrap().into(),
        };
        assert_eq!(round.refusals().unwrap(), []);
        round.note_refusal(&refusal("n2/../x", 20)).unwrap();
        round.note_refusal(&refusal("n1", 10)).unwrap();
        round.note_refusal(&refusal("n1", 30)).unwrap();
        assert_eq!(round.refusals().unwrap(), [refusal("n1", 10), refusal("n2/../x", 20)]);
        assert_eq!(std::fs::read_dir(round.folder()).unwrap().count(), 2);
    }
}

//! What a task has read of its experiment, kept from one claim to the next.
//!
//! Reading the newest view, and checking that the log before it is what it was made from, is most of the work of a
//! claim in a long search. Both stay what they are until another view is published, or a repair says in the log that
//! they may not be ([`crate::ops::known_rows`]). (A client of NFS may show the folder of views as it was for up to `acdirmax`,
//! 60 s by default: nfs(5). A view from before a repair then serves for its Q-values and its predictor alone.)

use crate::ops::Experiment;
use crate::ops::live_log::LiveLog;
use crate::storage::View;

/// The newest view, and the log after it.
pub(crate) struct Current {
    /// The view.
    pub view: View,
    /// The log.
    pub live: LiveLog,
}

impl Current {
    /// Reads the view, and checks the log by it.
    pub fn read(experiment: &Experiment) -> anyhow::Result<Self> {
        let view = View::newest(experiment.dir(), experiment.view_params())?;
        let live = LiveLog::after(experiment, &view)?;
        Ok(Self { view, live })
    }

    /// Goes on with what was read, as long as the view is the newest and the rows after it are still there; else
    /// everything is read again.
    pub fn renewed(self, experiment: &Experiment) -> anyhow::Result<Self> {
        if self.view.is_newest(experiment.dir())?
            && let Some(live) = self.live.reopened(experiment)?
        {
            return Ok(Self { view: self.view, live });
        }
        Self::read(experiment)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::ops::init;
    use crate::ops::reduce::{ReduceOptions, reduce};
    use crate::storage::{Event, Row};

    const CONFIGURATION: &str = "
experiment: {name: kept, seed: 1}
data: {classes: 10, input_size: 16, channels: 1}
epsilon_schedule: [{epsilon: 1.0, architectures: 1}]
training: {trainer: synthetic}
";

    fn experiment(folder: &tempfile::TempDir) -> Experiment {
        init::tests::experiment(&folder.path().join("search"), CONFIGURATION)
    }

    fn append(experiment: &Experiment, row: Row) {
        let appended = LiveLog::open(experiment).unwrap().locked(|session| {
            session.stage(row)?;
            session.write()
        });
        appended.unwrap();
    }

    /// Returns a search of one row, which was read.
    fn halted_search(folder: &tempfile::TempDir) -> (Experiment, Current) {
        let experiment = experiment(folder);
        append(&experiment, Row::at(Event::Halted, "2026-03-01T12:00:00Z".parse().unwrap()));
        let mut current = Current::read(&experiment).unwrap();
        assert!(current.live.peek(|known| known.is_halted()).unwrap());
        (experiment, current)
    }

    #[test]
    fn what_was_read_is_kept_until_there_is_a_newer_view() {
        let folder = tempfile::tempdir().unwrap();
        let (experiment, current) = halted_search(&folder);
        let mut current = current.renewed(&experiment).unwrap();
        assert_eq!((current.view.rows(), current.live.rows()), (0, 1), "nothing is read twice");
        append(&experiment, Row::at(Event::Resumed, "2026-03-01T13:00:00Z".parse().unwrap()));
        assert!(!current.live.peek(|known| known.is_halted()).unwrap());
        reduce(&experiment, &ReduceOptions::default()).unwrap();
        let current = current.renewed(&experiment).unwrap();
        assert_eq!((current.view.rows(), current.live.rows()), (2, 2));
    }

    #[test]
    fn a_row_that_a_repair_has_blanked_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let (experiment, current) = halted_search(&folder);
        let log = experiment.dir().replay_log();
        let text = fs::read_to_string(&log).unwrap();
        let line = text.lines().last().unwrap();
        let blanked = format!("{:width$}", ",void,,", width = line.len());
        fs::write(&log, text.replace(line, &blanked)).unwrap();
        let mut current = current.renewed(&experiment).unwrap();
        let events = current.live.peek(|known| known.state().events.clone()).unwrap();
        assert_eq!(events.into_keys().collect::<Vec<_>>(), [Event::Void]);
        assert!(!current.live.peek(|known| known.is_halted()).unwrap());
    }
}

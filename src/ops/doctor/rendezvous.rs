//! Processes on several machines exchange messages by files alone, as tasks of a search do: a
//! message is a file that is published once, and receivers list the folder.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::ops::doctor::check::{Check, Health};
use crate::regular_file::{self, SMALL};
use crate::storage::fs::publish::{self, Published};

/// Which processes examine together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Party {
    pub name: String,
    pub size: u32,
    /// From 0; of processes that a person starts it follows from the order of arrival.
    pub rank: Option<u32>,
}

/// The name of a party of processes that a person starts.
pub const BY_HAND: &str = "by-hand";

const TIMEOUT: Duration = Duration::from_secs(60);
/// For the checks of the others: a trainer that loads its images included.
const REPORT_TIMEOUT: Duration = Duration::from_secs(300);
/// Between two looks at the folder.
const PAUSE: Duration = Duration::from_millis(10);
/// Since the last message of an abandoned rendezvous by hand.
const ABANDONED: Duration = Duration::from_secs(600);

#[derive(Debug)]
pub(crate) struct Rendezvous {
    folder: PathBuf,
    pub rank: u32,
    pub size: u32,
}

/// The last message of each process: its checks.
pub(crate) const REPORT: &str = "report";
/// The first one: its machine.
pub(crate) const HERE: &str = "here";

impl Rendezvous {
    pub fn join(dir: &Path, party: &Party, host: &str) -> Result<Self> {
        let folder = dir.join(format!("doctor.{}", party.name));
        // One by hand whose first process was killed is in the way of the next.
        let changed = fs::metadata(&folder).and_then(|folder| folder.modified());
        let is_by_hand = party.name == BY_HAND;
        if is_by_hand
            && changed.is_ok_and(|changed| changed.elapsed().is_ok_and(|age| age > ABANDONED))
        {
            publish::remove_folder(&folder)?;
        }
        fs::create_dir_all(&folder)
            .with_context(|| format!("failed to create `{}`", folder.display()))?;
        let size = party.size;
        for rank in party.rank.map_or(0..size, |rank| rank..rank + 1) {
            let joined = Self { folder: folder.clone(), rank, size };
            if joined.publish(HERE, &host)? == Published::First {
                return Ok(joined);
            }
        }
        let folder = folder.display();
        bail!("{size} processes are there already (wait until they end, or remove `{folder}`)")
    }

    /// The first process asks the others and prints the checks of all.
    pub const fn is_first(&self) -> bool {
        self.rank == 0
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub fn publish(&self, what: &str, message: &impl Serialize) -> Result<Published> {
        let path = self.path(&format!("{what}.{}", self.rank));
        Ok(publish::file_once(&path, &serde_json::to_vec(message)?)?)
    }

    /// Sends a message, and waits for that of each process; returns them by rank.
    pub fn gather<T: Serialize + DeserializeOwned>(&self, what: &str, own: &T) -> Result<Vec<T>> {
        self.publish(what, own)?;
        self.wait_for_all(what)
    }

    pub fn wait_for_all<T: DeserializeOwned>(&self, what: &str) -> Result<Vec<T>> {
        (0..self.size).map(|rank| self.wait_for(what, rank)).collect()
    }

    pub fn wait_for<T: DeserializeOwned>(&self, what: &str, rank: u32) -> Result<T> {
        let timeout = if what == REPORT { REPORT_TIMEOUT } else { TIMEOUT };
        let (size, begin) = (self.size, Instant::now());
        loop {
            let there = publish::listing(&self.folder, |name| {
                let (what, rank) = name.rsplit_once('.')?;
                Some((what.to_owned(), rank.parse::<u32>().ok()?))
            })?;
            ensure!(!there.is_empty(), "the first process has ended the examination");
            let there = BTreeMap::from_iter(there);
            if let Some(path) = there.get(&(what.to_owned(), rank)) {
                return read(path);
            }
            // A process that has ended sends nothing more, but has left its checks.
            if let Some(report) = there.get(&(REPORT.to_owned(), rank)) {
                let checks: Vec<Check> = read(report)?;
                let why = checks.iter().find(|check| check.verdict == Health::Failure);
                let why = why.map_or_else(|| "it does not say why".to_owned(), Check::to_string);
                bail!("process {rank} of {size} has ended: {why}");
            }
            ensure!(
                begin.elapsed() < timeout,
                "process {rank} of {size} has not answered for {} s: it was not started, or a file \
                 that one machine writes is not seen by another",
                timeout.as_secs()
            );
            thread::sleep(PAUSE);
        }
    }

    pub fn end(&self) {
        // On NFS an open file that is removed leaves a name behind for a moment.
        for _ in 0..20 {
            if regular_file::remove_folder(&self.folder).is_ok() {
                return;
            }
            thread::sleep(5 * PAUSE);
        }
        log::warn!("`{}` is left behind", self.folder.display());
    }
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let failed = || format!("failed to read `{}`", path.display());
    serde_json::from_slice(&regular_file::read(path, SMALL).with_context(failed)?)
        .with_context(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(dir: &Path, rank: u32) -> Rendezvous {
        let party = Party { name: "7.0".into(), rank: Some(rank), size: 2 };
        Rendezvous::join(dir, &party, &format!("host{rank}")).unwrap()
    }

    #[test]
    fn a_message_reaches_the_other_process() {
        let dir = tempfile::tempdir().unwrap();
        let (one, other) = (step(dir.path(), 0), step(dir.path(), 1));
        assert_eq!(one.wait_for_all::<String>(HERE).unwrap(), ["host0", "host1"]);
        other.publish("pong", &3).unwrap();
        assert_eq!(one.wait_for::<u32>("pong", 1).unwrap(), 3);
        one.end();
        assert!(other.wait_for::<u32>("ping", 0).unwrap_err().to_string().contains("has ended"));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_process_that_has_ended_is_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let (one, other) = (step(dir.path(), 0), step(dir.path(), 1));
        let checks = [Check::ok("mount", "nfs"), Check::failure("locks", "no locks here", "none")];
        other.publish(REPORT, &checks).unwrap();
        let error = one.wait_for::<u32>("pong", 1).unwrap_err().to_string();
        assert_eq!(error, "process 1 of 2 has ended: failure  locks: no locks here (none)");
    }

    #[test]
    fn processes_by_hand_get_ranks_in_the_order_of_arrival() {
        let dir = tempfile::tempdir().unwrap();
        let party = Party { name: "by-hand".into(), size: 2, rank: None };
        let join = || Rendezvous::join(dir.path(), &party, "host");
        assert_eq!((join().unwrap().rank, join().unwrap().rank), (0, 1));
        assert!(join().unwrap_err().to_string().contains("there already"));
    }
}

//! Processes on several machines that find each other and speak by files alone, as tasks of a search do: whoever says
//! something publishes a file, whoever listens lists the folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::ops::doctor::check::{Check, Verdict};
use crate::regular_file::{self, SMALL};
use crate::storage::fs::publish::{self, Published};

/// How processes find each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Party {
    /// The tasks of a job step: everybody knows their number.
    Step {
        /// Job and step.
        name: String,
        /// Number of this one, from 0.
        rank: u32,
        /// How many there are.
        size: u32,
    },
    /// Processes that a person starts on machines of their choice: who comes first is the first.
    ByHand {
        /// How many there are.
        size: u32,
    },
}

/// How long is waited for the others.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(10);
/// A party by hand that is older has come to nothing.
const STALE: SignedDuration = SignedDuration::from_mins(10);

/// A party that has begun.
#[derive(Debug)]
pub(crate) struct Meeting {
    folder: PathBuf,
    rank: u32,
    size: u32,
}

/// The last thing that everybody says.
pub(crate) const REPORT: &str = "report";
const HERE: &str = "here";

impl Meeting {
    /// Joins a party in a folder below `dir`, and says who this is.
    ///
    /// # Errors
    /// The folder cannot be written, or the party is complete already.
    pub fn join(dir: &Path, party: &Party, who: &impl Serialize) -> anyhow::Result<Self> {
        let folder = |name: &str| dir.join(format!("doctor.{name}"));
        match party {
            Party::Step { name, rank, size } => {
                let meeting = Self { folder: folder(name), rank: *rank, size: *size };
                make(&meeting.folder)?;
                meeting.say(HERE, who)?;
                Ok(meeting)
            }
            Party::ByHand { size } => {
                let folder = folder("by-hand");
                make(&folder)?;
                remove_if_stale(&folder)?;
                make(&folder)?;
                for rank in 0..*size {
                    let meeting = Self { folder: folder.clone(), rank, size: *size };
                    if meeting.publish(HERE, who)? == Published::First {
                        return Ok(meeting);
                    }
                }
                anyhow::bail!(
                    "{size} processes are there already (wait until they have ended, or remove `{}`)",
                    folder.display()
                )
            }
        }
    }

    /// Returns the number of this one, from 0.
    pub const fn rank(&self) -> u32 {
        self.rank
    }

    /// Returns how many there are.
    pub const fn size(&self) -> u32 {
        self.size
    }

    /// Whether this is the one that asks and tells.
    pub const fn is_first(&self) -> bool {
        self.rank == 0
    }

    /// Returns a path in the folder of the party.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Says something, once.
    pub fn say(&self, what: &str, text: &impl Serialize) -> anyhow::Result<()> {
        self.publish(what, text).map(|_| ())
    }

    /// Hears who is there.
    pub fn everybody<T: DeserializeOwned>(&self) -> anyhow::Result<Vec<T>> {
        self.hear_all(HERE)
    }

    /// Waits until everybody has said something; returns it by number.
    pub fn hear_all<T: DeserializeOwned>(&self, what: &str) -> anyhow::Result<Vec<T>> {
        self.hear(what, &(0..self.size).collect::<Vec<_>>(), PATIENCE)
    }

    /// Waits until one has said something.
    pub fn hear_one<T: DeserializeOwned>(&self, what: &str, rank: u32) -> anyhow::Result<T> {
        let mut heard = self.hear(what, &[rank], PATIENCE)?;
        Ok(heard.pop().expect("one was asked for"))
    }

    /// Waits for what everybody says at the end, which may take longer.
    pub fn hear_reports<T: DeserializeOwned>(&self, patience: Duration) -> Vec<anyhow::Result<T>> {
        (0..self.size)
            .map(|rank| {
                let mut heard = self.hear(REPORT, &[rank], patience)?;
                Ok(heard.pop().expect("one was asked for"))
            })
            .collect()
    }

    /// Removes the folder: the party is over.
    pub fn end(&self) {
        // On NFS a file that somebody has open leaves a name behind for a moment.
        for _ in 0..20 {
            match regular_file::remove_folder(&self.folder) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    thread::sleep(5 * PAUSE)
                }
                _ => return,
            }
        }
        log::warn!("`{}` is left behind", self.folder.display());
    }

    fn publish(&self, what: &str, text: &impl Serialize) -> anyhow::Result<Published> {
        let path = self.folder.join(format!("{what}.{}", self.rank));
        Ok(publish::file_once(&path, &serde_json::to_vec(text)?)?)
    }

    fn hear<T: DeserializeOwned>(
        &self,
        what: &str,
        ranks: &[u32],
        patience: Duration,
    ) -> anyhow::Result<Vec<T>> {
        let begin = Instant::now();
        loop {
            let there = publish::listing(&self.folder, |name| {
                let (what, rank) = name.rsplit_once('.')?;
                Some((what.to_owned(), rank.parse::<u32>().ok()?))
            })?;
            anyhow::ensure!(!there.is_empty(), "the first process has ended the examination");
            let path = |what: &str, rank: u32| {
                let found = there.iter().find(|((said, by), _)| said == what && *by == rank);
                found.map(|(_, path)| path)
            };
            let missing = ranks.iter().find(|&&rank| path(what, rank).is_none());
            let Some(&missing) = missing else {
                let read = |&rank: &u32| read(path(what, rank).expect("none is missing"));
                return ranks.iter().map(read).collect();
            };
            // A process that has ended sends nothing more, but has left its error.
            if what != REPORT
                && let Some(report) = path(REPORT, missing)
            {
                let checks: Vec<Check> = read(report)?;
                let why = checks.iter().find(|check| check.verdict == Verdict::Failure);
                let why = why.map_or_else(|| "it does not say why".to_owned(), Check::to_string);
                anyhow::bail!("process {missing} of {} has ended: {why}", self.size);
            }
            anyhow::ensure!(
                begin.elapsed() < patience,
                "process {missing} of {} is not to be seen after {} s: it was not started, or a file that one machine \
                 writes is not seen by another",
                self.size,
                patience.as_secs()
            );
            thread::sleep(PAUSE);
        }
    }
}

fn read<T: DeserializeOwned>(path: &Path) -> anyhow::Result<T> {
    let said = || format!("failed to read `{}`", path.display());
    serde_json::from_slice(&regular_file::read(path, SMALL).with_context(said)?).with_context(said)
}

fn make(folder: &Path) -> anyhow::Result<()> {
    match fs::create_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        made => made.with_context(|| format!("failed to create `{}`", folder.display())),
    }
}

/// A party by hand whose first process was killed is in the way of the next.
fn remove_if_stale(folder: &Path) -> anyhow::Result<()> {
    let Ok(metadata) = fs::metadata(folder) else { return Ok(()) };
    let Ok(changed) = metadata.modified().map(Timestamp::try_from) else { return Ok(()) };
    let age = changed.map(|changed| Timestamp::now().duration_since(changed));
    if age.is_ok_and(|age| age > STALE) {
        let aside = publish::set_aside(folder)?;
        let around = aside.parent().expect("what is set aside lies in a folder of its own");
        regular_file::remove_folder(around)
            .with_context(|| format!("failed to remove `{}`", around.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(dir: &Path, rank: u32) -> Meeting {
        let party = Party::Step { name: "7.0".into(), rank, size: 2 };
        Meeting::join(dir, &party, &format!("host{rank}")).unwrap()
    }

    #[test]
    fn what_one_says_the_other_hears() {
        let dir = tempfile::tempdir().unwrap();
        let (one, other) = (step(dir.path(), 0), step(dir.path(), 1));
        assert_eq!(one.everybody::<String>().unwrap(), ["host0", "host1"]);
        other.say("pong", &3).unwrap();
        assert_eq!(one.hear_one::<u32>("pong", 1).unwrap(), 3);
        one.end();
        assert!(other.hear_one::<u32>("ping", 0).unwrap_err().to_string().contains("has ended"));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn nobody_waits_for_one_that_has_reported() {
        let dir = tempfile::tempdir().unwrap();
        let (one, other) = (step(dir.path(), 0), step(dir.path(), 1));
        let checks = [Check::ok("mount", "nfs"), Check::failure("locks", "no locks here", "none")];
        other.say(REPORT, &checks).unwrap();
        let error = one.hear_one::<u32>("pong", 1).unwrap_err().to_string();
        assert_eq!(error, "process 1 of 2 has ended: failure  locks: no locks here (none)");
    }

    #[test]
    fn who_comes_by_hand_gets_the_next_number() {
        let dir = tempfile::tempdir().unwrap();
        let join = || Meeting::join(dir.path(), &Party::ByHand { size: 2 }, &());
        assert_eq!((join().unwrap().rank(), join().unwrap().rank()), (0, 1));
        assert!(join().unwrap_err().to_string().contains("there already"));
    }
}

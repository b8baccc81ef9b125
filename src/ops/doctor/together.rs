//! What only several processes can find out: whether their locks exclude each other, whether the log stays whole,
//! whether one name goes to one of them.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::ops::doctor::check::Check;
use crate::ops::doctor::clocks::clocks;
use crate::ops::doctor::meeting::Meeting;
use crate::regular_file::{self, SMALL};
use crate::storage::fs::publish::{self, Published};
use crate::storage::{
    Event, ExperimentDir, FormatVersion, Iteration, LockTimeout, LogCursor, Row, StorageError,
    Trust, WritableReplayLog,
};

/// Who takes part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Participant {
    pub host: String,
    pub pid: u32,
}

/// Rows that each process appends.
const ROWS: u64 = 25;
/// Names that all want to publish under.
const NAMES: u32 = 20;
const ONCE: LockTimeout = LockTimeout { notice: Duration::ZERO, limit: Duration::ZERO };
const A_WHILE: LockTimeout =
    LockTimeout { notice: Duration::from_secs(10), limit: Duration::from_secs(60) };

/// Examines the file system together; returns what the first process has to tell.
///
/// # Errors
/// Somebody is missing, or a file cannot be read or written.
pub(crate) fn examine(meeting: &Meeting, everybody: &[Participant]) -> anyhow::Result<Vec<Check>> {
    let mut checks = clocks(meeting, everybody)?;
    let mut log = WritableReplayLog::open(&private_log(meeting)?)?;
    checks.extend(exclusion(meeting, everybody, &mut log)?);
    checks.extend(coherence(meeting, everybody, &mut log)?);
    checks.extend(names(meeting)?);
    Ok(checks)
}

/// Returns the log of an experiment without a search, made by the first.
fn private_log(meeting: &Meeting) -> anyhow::Result<ExperimentDir> {
    let root = meeting.path("log");
    if meeting.is_first() {
        let configuration = format!("format_version: {}\n", FormatVersion::CURRENT);
        let made = ExperimentDir::create(&root, &configuration, Trust::Owner)?;
        meeting.say("log", &())?;
        return Ok(made);
    }
    let () = meeting.hear_one("log", 0)?;
    Ok(ExperimentDir::open(&root)?)
}

/// One holds the lock, and everybody else must not get it; freed, everybody must.
fn exclusion(
    meeting: &Meeting,
    everybody: &[Participant],
    log: &mut WritableReplayLog,
) -> anyhow::Result<Vec<Check>> {
    if meeting.is_first() {
        log.set_lock_timeout(A_WHILE);
        let guard = log.lock_exclusive()?;
        meeting.say("held", &())?;
        let got = (1..meeting.size())
            .map(|rank| meeting.hear_one::<bool>("tried", rank).map(|got| (rank, got)))
            .collect::<anyhow::Result<Vec<_>>>()?;
        drop(guard);
        meeting.say("freed", &())?;
        let holder = &everybody[0].host;
        let also: Vec<&str> = got
            .iter()
            .filter(|(_, got)| *got)
            .map(|(rank, _)| everybody[*rank as usize].host.as_str())
            .collect();
        return Ok(vec![exclusion_check(holder, &also)]);
    }
    let () = meeting.hear_one("held", 0)?;
    log.set_lock_timeout(ONCE);
    let got = match log.lock_exclusive() {
        Ok(_) => true,
        Err(StorageError::Locked { .. }) => false,
        Err(error) => return Err(error.into()),
    };
    meeting.say("tried", &got)?;
    let () = meeting.hear_one("freed", 0)?;
    log.set_lock_timeout(A_WHILE);
    drop(log.lock_exclusive()?);
    Ok(Vec::new())
}

fn exclusion_check(holder: &str, also: &[&str]) -> Check {
    if also.is_empty() {
        return Check::ok("locks", format!("while {holder} holds a lock nobody else gets it"));
    }
    let seen = format!("{} got a lock that {holder} was holding", also.join(", "));
    let remedy = "put experiments on a file system whose `flock` reaches all machines: NFS 4 without `local_lock`, Lustre \
                  mounted with `flock`, GPFS; or search on one machine with `--single-node`";
    Check::failure("locks", seen, remedy)
}

/// Everybody appends to one log, as tasks do: each row carries how many there were before it.
fn coherence(
    meeting: &Meeting,
    everybody: &[Participant],
    log: &mut WritableReplayLog,
) -> anyhow::Result<Vec<Check>> {
    // Begin together.
    meeting.say("ready", &())?;
    let _: Vec<()> = meeting.hear_all("ready")?;
    let mut cursor = LogCursor::start();
    let mut longest = Duration::ZERO;
    let began = Instant::now();
    let appended = (0..ROWS).try_for_each(|number| {
        let began = Instant::now();
        let mut guard = log.lock_exclusive()?;
        cursor = guard.read_from(&cursor)?.cursor;
        guard.append(&[probe(meeting.rank(), number, cursor.rows())])?;
        drop(guard);
        longest = longest.max(began.elapsed());
        Ok::<(), StorageError>(())
    });
    // That the log is damaged is what was to be found out.
    let said: Result<[f64; 2], String> = match appended {
        Ok(()) => Ok([began.elapsed().as_secs_f64() / ROWS as f64, longest.as_secs_f64()]),
        Err(error) if error.is_damage() => Err(error.to_string()),
        Err(error) => return Err(error.into()),
    };
    meeting.say("appended", &said)?;
    if !meeting.is_first() {
        return Ok(Vec::new());
    }
    let said: Vec<Result<[f64; 2], String>> = meeting.hear_all("appended")?;
    let rows = log.reader().read_from(&LogCursor::start()).map(|tail| tail.rows);
    let damage = said.iter().find_map(|said| said.clone().err());
    let damage = damage.or_else(|| match rows {
        Ok(rows) => wrong_rows(&rows, meeting.size()),
        Err(error) => Some(error.to_string()),
    });
    let means: Vec<f64> = said.iter().flatten().map(|[mean, _]| *mean).collect();
    let longest = said.iter().flatten().map(|[_, longest]| *longest).fold(0.0, f64::max);
    let mean = means.iter().sum::<f64>() / means.len().max(1) as f64;
    Ok(vec![coherence_check(damage, everybody.len(), mean, longest)])
}

fn probe(rank: u32, number: u64, before: u64) -> Row {
    Row {
        iteration: Some(Iteration(before)),
        attempt: Some(rank),
        task: Some(format!("{rank}.{number}")),
        ..Row::new(Event::Pending)
    }
}

/// Returns how the rows are not those that `size` processes appended, if they are not.
fn wrong_rows(rows: &[Row], size: u32) -> Option<String> {
    let expected = u64::from(size) * ROWS;
    let mut tasks: Vec<_> = rows.iter().filter_map(|row| row.task.as_deref()).collect();
    tasks.sort_unstable();
    tasks.dedup();
    let distinct = tasks.len() as u64;
    if distinct < expected {
        return Some(format!("{} of {expected} rows are gone", expected - distinct));
    }
    let in_order = rows.iter().map(|row| row.iteration.unwrap_or_default().0).eq(0..expected);
    (!in_order).then(|| "a process has read less than was there".to_owned())
}

fn coherence_check(damage: Option<String>, processes: usize, mean: f64, longest: f64) -> Check {
    if let Some(damage) = damage {
        let seen = format!("the log does not stay whole: {damage}");
        let remedy = "put experiments on another file system: this one loses what is written under its own locks";
        return Check::failure("log", seen, remedy);
    }
    let seen = format!(
        "{processes} processes appended {ROWS} rows each at once, none is lost; {:.0} ms a row, the longest {:.0} ms",
        mean * 1e3,
        longest * 1e3
    );
    if mean < 1.0 {
        return Check::ok("log", seen);
    }
    let remedy = "fewer tasks at once (`slurm.max_parallel`), or a faster file system: every claim and every result waits so long";
    Check::warning("log", seen, remedy)
}

/// Everybody publishes under the same names: each goes to exactly one, and holds all that this one wrote.
fn names(meeting: &Meeting) -> anyhow::Result<Vec<Check>> {
    meeting.say("set", &())?;
    let _: Vec<()> = meeting.hear_all("set")?;
    let text = vec![b'a' + (meeting.rank() % 26) as u8; 4096];
    let (mut won, mut torn) = (0u32, 0u32);
    for name in 0..NAMES {
        let path = meeting.path(&format!("race-{name}"));
        let folder = meeting.path(&format!("rename-{name}"));
        match publish::file_once(&path, &text)? {
            Published::First => won += 1,
            Published::AlreadyThere => torn += u32::from(!is_whole(&path)),
        }
        let published = publish::folder_once(&folder, |aside| {
            let path = aside.join("file");
            std::fs::write(&path, &text).map_err(StorageError::io("write", &path))
        })?;
        won += u32::from(published == Published::First);
        torn += u32::from(!is_whole(&folder.join("file")));
    }
    meeting.say("won", &(won, torn))?;
    if !meeting.is_first() {
        return Ok(Vec::new());
    }
    let said: Vec<(u32, u32)> = meeting.hear_all("won")?;
    let (won, torn) = said.iter().fold((0, 0), |(won, torn), one| (won + one.0, torn + one.1));
    let wanted = 2 * NAMES;
    Ok(vec![if (won, torn) == (wanted, 0) {
        Check::ok("rename", format!("of {wanted} names that all wanted each went to one, whole"))
    } else {
        let seen =
            format!("of {wanted} names that all wanted {won} were given, {torn} seen in part");
        let remedy = "put experiments on another file system: views and rounds would be published twice here";
        Check::failure("rename", seen, remedy)
    }])
}

/// A name that a stale look-up hides is there all the same: only what is seen and is not whole counts.
fn is_whole(path: &std::path::Path) -> bool {
    regular_file::read(path, SMALL)
        .map_or(true, |bytes| bytes.len() == 4096 && bytes.iter().all(|&byte| byte == bytes[0]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::doctor::check::Verdict;

    #[test]
    fn rows_that_are_gone_or_out_of_order_are_seen() {
        let rows: Vec<Row> =
            (0..2 * ROWS).map(|row| probe((row % 2) as u32, row / 2, row)).collect();
        assert_eq!(wrong_rows(&rows, 2), None);
        assert_eq!(wrong_rows(&rows[1..], 2).unwrap(), "1 of 50 rows are gone");
        let mut swapped = rows;
        swapped.swap(3, 4);
        assert!(wrong_rows(&swapped, 2).is_some());
    }

    #[test]
    fn a_lock_that_two_hold_is_a_failure() {
        assert_eq!(exclusion_check("n1", &[]).verdict, Verdict::Ok);
        let check = exclusion_check("n1", &["n2", "n3"]);
        assert_eq!(check.verdict, Verdict::Failure);
        assert_eq!(check.seen, "n2, n3 got a lock that n1 was holding");
    }
}

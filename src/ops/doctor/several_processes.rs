//! What only several processes can find out: whether their locks exclude each other, whether the
//! log stays whole, whether a name is given to one of them.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::ops::doctor::check::{Check, Health};
use crate::ops::doctor::clocks::clocks;
use crate::ops::doctor::rendezvous::Rendezvous;
use crate::regular_file::{self, SMALL};
use crate::storage::fs::publish::{self, Published};
use crate::storage::{
    Event, ExperimentDir, FORMAT_VERSION, Iteration, LockTimeout, LogPosition, Row, StorageError,
    Trust, WritableReplayLog,
};

const ROWS: u64 = 25;
const NAMES: u32 = 20;
const ONCE: LockTimeout = LockTimeout { notice: Duration::ZERO, limit: Duration::ZERO };
const A_WHILE: LockTimeout =
    LockTimeout { notice: Duration::from_secs(10), limit: Duration::from_secs(60) };

/// Examines the file system together; only the first process gets checks.
pub(crate) fn examine(
    all: &Rendezvous,
    hosts: &[String],
    checks: &mut Vec<Check>,
) -> anyhow::Result<()> {
    checks.extend(clocks(all, hosts)?);
    let mut log = WritableReplayLog::open(&private_log(all)?)?;
    checks.extend(exclusion(all, hosts, &mut log)?);
    checks.extend(coherence(all, &mut log)?);
    checks.extend(names(all)?);
    Ok(())
}

/// The log of an experiment without a search, made by the first process.
fn private_log(all: &Rendezvous) -> anyhow::Result<ExperimentDir> {
    let root = all.path("log");
    if all.is_first() {
        let configuration = format!("format_version: {FORMAT_VERSION}\n");
        let made = ExperimentDir::create(&root, &configuration, Trust::Owner)?;
        all.publish("log", &())?;
        return Ok(made);
    }
    let () = all.wait_for("log", 0)?;
    Ok(ExperimentDir::open(&root)?)
}

/// The first process holds the lock, and no other may get it; once it is free, each must.
fn exclusion(
    all: &Rendezvous,
    hosts: &[String],
    log: &mut WritableReplayLog,
) -> anyhow::Result<Option<Check>> {
    if all.is_first() {
        log.reader.timeout = A_WHILE;
        let guard = log.lock_exclusive()?;
        all.publish("held", &())?;
        let mut also = Vec::new();
        for rank in 1..all.size {
            if all.wait_for("tried", rank)? {
                also.push(hosts[rank as usize].as_str());
            }
        }
        drop(guard);
        all.publish("freed", &())?;
        return Ok(Some(exclusion_check(&hosts[0], &also)));
    }
    let () = all.wait_for("held", 0)?;
    log.reader.timeout = ONCE;
    let got = match log.lock_exclusive() {
        Ok(_) => true,
        Err(StorageError::Locked { .. }) => false,
        Err(error) => return Err(error.into()),
    };
    all.publish("tried", &got)?;
    let () = all.wait_for("freed", 0)?;
    log.reader.timeout = A_WHILE;
    drop(log.lock_exclusive()?);
    Ok(None)
}

fn exclusion_check(holder: &str, also: &[&str]) -> Check {
    if also.is_empty() {
        return Check::ok("locks", format!("while {holder} holds a lock no other process gets it"));
    }
    let seen = format!("{} got a lock that {holder} was holding", also.join(", "));
    let remedy = "put experiments on a file system whose `flock` reaches all machines: NFS 4 \
                  without `local_lock`, Lustre mounted with `flock`, GPFS; or search on one \
                  machine with `--single-node`";
    Check::failure("locks", seen, remedy)
}

/// All append to one log, as tasks do: each row carries how many there were before it.
fn coherence(all: &Rendezvous, log: &mut WritableReplayLog) -> anyhow::Result<Option<Check>> {
    // Begin at the same time.
    all.gather("ready", &())?;
    let mut cursor = LogPosition::start();
    let mut longest = Duration::ZERO;
    let began = Instant::now();
    let appended = (0..ROWS).try_for_each(|number| {
        let began = Instant::now();
        let mut guard = log.lock_exclusive()?;
        cursor = guard.read_from(&cursor)?.cursor;
        guard.append(&[probe(all.rank, number, cursor.rows)])?;
        drop(guard);
        longest = longest.max(began.elapsed());
        Ok::<(), StorageError>(())
    });
    // Damage of the log is a check that fails, not an error.
    let own: Result<[f64; 2], String> = match appended {
        Ok(()) => Ok([began.elapsed().as_secs_f64() / ROWS as f64, longest.as_secs_f64()]),
        Err(error) if error.is_damage() => Err(error.to_string()),
        Err(error) => return Err(error.into()),
    };
    let times = all.gather("appended", &own)?;
    if !all.is_first() {
        return Ok(None);
    }
    let rows = log.reader.read_from(&LogPosition::start()).map(|tail| tail.rows);
    let damage = times.iter().find_map(|own| own.clone().err());
    let damage = damage.or_else(|| match rows {
        Ok(rows) => wrong_rows(&rows, all.size),
        Err(error) => Some(error.to_string()),
    });
    if let Some(damage) = damage {
        let seen = format!("the log does not stay whole: {damage}");
        let remedy = "put experiments on another file system: this one loses what is written under \
                      its own locks";
        return Ok(Some(Check::failure("log", seen, remedy)));
    }
    let mean = times.iter().flatten().map(|[mean, _]| mean).sum::<f64>() / times.len() as f64;
    let longest = times.iter().flatten().map(|[_, longest]| *longest).fold(0.0, f64::max);
    let seen = format!(
        "{} processes appended {ROWS} rows each at once, none is lost; {:.0} ms a row, the longest \
         {:.0} ms",
        all.size,
        mean * 1e3,
        longest * 1e3
    );
    let verdict = if mean < 1.0 { Health::Ok } else { Health::Warning };
    let remedy = "fewer tasks at once (`slurm.max_parallel`), or a faster file system: each claim \
                  and each result waits so long";
    Ok(Some(Check::new(verdict, "log", seen, remedy)))
}

fn probe(rank: u32, number: u64, before: u64) -> Row {
    Row {
        iteration: Some(Iteration(before)),
        attempt: Some(rank),
        task: Some(format!("{rank}.{number}")),
        ..Row::new(Event::Pending)
    }
}

/// How the rows differ from those that `size` processes appended.
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

/// All publish under the same names: each is given to exactly one, and holds all that it wrote.
fn names(all: &Rendezvous) -> anyhow::Result<Option<Check>> {
    all.gather("set", &())?;
    let text = vec![b'a' + (all.rank % 26) as u8; 4096];
    let (mut won, mut torn) = (0u32, 0u32);
    for name in 0..NAMES {
        let path = all.path(&format!("race-{name}"));
        let folder = all.path(&format!("rename-{name}"));
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
    let counts = all.gather("won", &(won, torn))?;
    if !all.is_first() {
        return Ok(None);
    }
    let (won, torn) = counts.iter().fold((0, 0), |(won, torn), one| (won + one.0, torn + one.1));
    let wanted = 2 * NAMES;
    let is_right = (won, torn) == (wanted, 0);
    let seen =
        format!("of {wanted} names that all published {won} were given, {torn} seen in part");
    let remedy = "put experiments on another file system: views and rounds would be published \
                  twice here";
    let verdict = if is_right { Health::Ok } else { Health::Failure };
    Ok(Some(Check::new(verdict, "rename", seen, remedy)))
}

/// A name that a stale look-up hides is there all the same: only a visible partial file counts.
fn is_whole(path: &Path) -> bool {
    regular_file::read(path, SMALL)
        .map_or(true, |bytes| bytes.len() == 4096 && bytes.iter().all(|&byte| byte == bytes[0]))
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(exclusion_check("n1", &[]).verdict, Health::Ok);
        let check = exclusion_check("n1", &["n2", "n3"]);
        assert_eq!(check.verdict, Health::Failure);
        assert_eq!(check.seen, "n2, n3 got a lock that n1 was holding");
    }
}

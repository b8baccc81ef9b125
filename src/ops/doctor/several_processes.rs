//! What only several processes can find out.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;
use jiff::Timestamp;

use crate::ops::doctor::check::{Check, Health};
use crate::ops::doctor::rendezvous::{HERE, Rendezvous};
use crate::regular_file::{self, SMALL};
use crate::storage::fs::publish::{self, Published};
use crate::storage::{
    Event, ExperimentDir, FORMAT_VERSION, Iteration, LockTimeout, LogPosition, Row, StorageError,
    Trust, WritableReplayLog,
};

const PINGS: u32 = 3;
const ROWS: u64 = 25;
const NAMES: usize = 20;
const ONCE: LockTimeout = LockTimeout { notice: Duration::ZERO, limit: Duration::ZERO };
const A_WHILE: LockTimeout =
    LockTimeout { notice: Duration::from_secs(10), limit: Duration::from_secs(60) };

/// Examines the file system together, and returns the machine of each process. All have a check of
/// what all have done; that of the first process counts.
pub(crate) fn examine(all: &Rendezvous, checks: &mut Vec<Check>) -> Result<Vec<String>> {
    let hosts: Vec<String> = all.wait_for_all(HERE)?;
    let machines = Vec::from_iter(BTreeSet::from_iter(hosts.iter().map(String::as_str)));
    let alone = match machines.len() {
        1 => " alone (`srun -N2 metaqnn doctor DIR` examines several)",
        _ => "",
    };
    let seen = format!("{} examine together, on {}{alone}", hosts.len(), machines.join(", "));
    checks.push(Check::ok("machines", seen));
    checks.extend(clocks(all, &hosts)?);
    // The log of an experiment without a search.
    let root = all.path("log");
    if all.is_first() {
        let configuration = format!("format_version: {FORMAT_VERSION}\n");
        ExperimentDir::create(&root, &configuration, Trust::Owner)?;
    }
    all.gather("log", &())?;
    let mut log = WritableReplayLog::open(&ExperimentDir::unchecked(&root))?;
    checks.push(exclusion(all, &hosts, &mut log)?);
    checks.push(coherence(all, &mut log)?);
    checks.push(names(all)?);
    Ok(hosts)
}

/// The first process asks each other one for the time, which lies between question and answer.
fn clocks(all: &Rendezvous, hosts: &[String]) -> Result<Vec<Check>> {
    if !all.is_first() {
        for ping in 0..PINGS {
            let () = all.wait_for(&format!("ping-{}-{ping}", all.rank), 0)?;
            all.publish(&format!("pong-{ping}"), &Timestamp::now().as_microsecond())?;
        }
        return Ok(Vec::new());
    }
    let (mut skews, mut slowest) = (Vec::new(), Duration::ZERO);
    for (rank, host) in (1..all.size).zip(&hosts[1..]) {
        let (mut ahead, mut within) = (0.0, f64::INFINITY);
        for ping in 0..PINGS {
            let (asked, began) = (Timestamp::now().as_microsecond(), Instant::now());
            all.publish(&format!("ping-{rank}-{ping}"), &())?;
            let answer: i64 = all.wait_for(&format!("pong-{ping}"), rank)?;
            slowest = slowest.max(began.elapsed());
            let error = began.elapsed().as_secs_f64() / 2.0;
            if error < within {
                (ahead, within) = (seconds_ahead(asked, answer, error), error);
            }
        }
        skews.push((ahead, within, host));
    }
    let widest = skews.into_iter().max_by(|a, b| a.0.abs().total_cmp(&b.0.abs()));
    let (ahead, within, other) = widest.expect("a party is of two processes at least");
    let milliseconds = slowest.as_millis();
    let seen = format!(
        "a new file is seen by listing its folder: an answer comes within {milliseconds} ms"
    );
    let remedy = "ask for a mount without long directory caching (NFS: `acdirmax`): a search \
                  works, and its rounds lag";
    let visibility = Check::ok_if(slowest < Duration::from_secs(5), "visibility", seen, remedy);
    Ok(vec![clock_check([&hosts[0], other], ahead, within), visibility])
}

/// How far another clock is ahead, with an error of at most `within`. The times are microseconds.
fn seconds_ahead(asked: i64, answer: i64, within: f64) -> f64 {
    (answer - asked) as f64 / 1e6 - within
}

fn clock_check([here, there]: [&str; 2], ahead: f64, within: f64) -> Check {
    let seconds = ahead.abs();
    let seen =
        format!("those of {here} and {there} are {seconds:.3} s apart, give or take {within:.3} s");
    let verdict = match (seconds - within).max(0.0) {
        apart if apart > 300.0 => Health::Failure,
        apart if apart > 2.0 => Health::Warning,
        _ => Health::Ok,
    };
    Check::new(verdict, "clocks", seen, "set the clocks by NTP (chrony): claims expire by them")
}

/// The first process holds the lock, and no other may get it; once it is free, all append.
fn exclusion(all: &Rendezvous, hosts: &[String], log: &mut WritableReplayLog) -> Result<Check> {
    log.reader.timeout = if all.is_first() { A_WHILE } else { ONCE };
    if !all.is_first() {
        all.wait_for::<bool>("locked", 0)?;
    }
    let guard = match log.lock_exclusive() {
        Err(StorageError::Locked { .. }) if !all.is_first() => None,
        guard => Some(guard?),
    };
    let have_it = all.gather("locked", &guard.is_some())?;
    let also = hosts.iter().zip(have_it).skip(1).filter(|(_, has_it)| *has_it);
    let also: Vec<&str> = also.map(|(host, _)| host.as_str()).collect();
    Ok(exclusion_check(&hosts[0], &also))
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
fn coherence(all: &Rendezvous, log: &mut WritableReplayLog) -> Result<Check> {
    log.reader.timeout = A_WHILE;
    // Begin at the same time.
    all.gather("ready", &())?;
    let mut cursor = LogPosition::start();
    let append = |number| {
        let began = Instant::now();
        let mut guard = log.lock_exclusive()?;
        cursor = guard.read_from(&cursor)?.cursor;
        guard.append(&[probe(all.rank, number, cursor.rows)])?;
        drop(guard);
        Ok(began.elapsed().as_secs_f64())
    };
    // Damage of the log is a check that fails, not an error.
    let own: Result<Vec<f64>, String> = match (0..ROWS).map(append).collect() {
        Err(error) if StorageError::is_damage(&error) => Err(error.to_string()),
        seconds => Ok(seconds?),
    };
    let seconds: Result<Vec<_>, _> = all.gather("appended", &own)?.into_iter().collect();
    let checked = seconds.and_then(|seconds| {
        let tail = log.reader.read_from(&LogPosition::start());
        check_rows(&tail.map_err(|error| error.to_string())?.rows, all.size)?;
        Ok(seconds.concat())
    });
    let seconds = match checked {
        Ok(seconds) => seconds,
        Err(damage) => {
            let seen = format!("the log does not stay whole: {damage}");
            let remedy = "put experiments on another file system: this one loses what is written \
                          under its own locks";
            return Ok(Check::failure("log", seen, remedy));
        }
    };
    let mean = 1e3 * seconds.iter().sum::<f64>() / seconds.len() as f64;
    let longest = 1e3 * seconds.into_iter().fold(0.0, f64::max);
    let seen = format!(
        "{} processes appended {ROWS} rows each at once, none is lost; {mean:.0} ms a row, the \
         longest {longest:.0} ms",
        all.size
    );
    let remedy = "fewer tasks at once (`slurm.max_parallel`), or a faster file system: each claim \
                  and each result waits so long";
    Ok(Check::ok_if(mean < 1e3, "log", seen, remedy))
}

fn probe(rank: u32, number: u64, before: u64) -> Row {
    Row {
        iteration: Some(Iteration(before)),
        attempt: Some(rank),
        task: Some(format!("{rank}.{number}").into()),
        ..Row::new(Event::Pending)
    }
}

/// Checks that the rows are those that `size` processes appended.
fn check_rows(rows: &[Row], size: u32) -> Result<(), String> {
    let expected = u64::from(size) * ROWS;
    let tasks: BTreeSet<_> = rows.iter().filter_map(|row| row.task.as_deref()).collect();
    let distinct = tasks.len() as u64;
    if distinct < expected {
        return Err(format!("{} of {expected} rows are gone", expected - distinct));
    }
    let in_order = rows.iter().map(|row| row.iteration.unwrap_or_default().0).eq(0..expected);
    if in_order { Ok(()) } else { Err("a process has read less than was there".to_owned()) }
}

/// All publish under the same names: each is given to exactly one, and holds all that it wrote.
fn names(all: &Rendezvous) -> Result<Check> {
    all.gather("set", &())?;
    let text = vec![b'a' + (all.rank % 26) as u8; 4096];
    let (mut own_won, mut own_torn) = (0, 0);
    for name in 0..NAMES {
        let path = all.path(&format!("race-{name}"));
        let folder = all.path(&format!("rename-{name}"));
        let published = [
            publish::file_once(&path, &text)?,
            publish::folder_once(&folder, |aside| {
                let path = aside.join("file");
                fs::write(&path, &text).map_err(StorageError::io("write", &path))
            })?,
        ];
        own_won += published.iter().filter(|one| **one == Published::First).count();
        own_torn += [path, folder.join("file")].iter().filter(|path| !is_whole(path)).count();
    }
    let (won, torn): (Vec<_>, Vec<_>) =
        all.gather("won", &(own_won, own_torn))?.into_iter().unzip();
    let (won, torn) = (won.iter().sum::<usize>(), torn.iter().sum::<usize>());
    let wanted = 2 * NAMES;
    let seen =
        format!("of {wanted} names that all published {won} were given, {torn} seen in part");
    let remedy = "put experiments on another file system: views and rounds would be published \
                  twice here";
    let is_right = (won, torn) == (wanted, 0);
    let verdict = if is_right { Health::Ok } else { Health::Failure };
    Ok(Check::new(verdict, "rename", seen, remedy))
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
        assert_eq!(check_rows(&rows, 2), Ok(()));
        assert_eq!(check_rows(&rows[1..], 2).unwrap_err(), "1 of 50 rows are gone");
        let mut swapped = rows;
        swapped.swap(3, 4);
        assert!(check_rows(&swapped, 2).is_err());
    }

    #[test]
    fn a_lock_that_two_hold_is_a_failure() {
        assert_eq!(exclusion_check("n1", &[]).verdict, Health::Ok);
        let check = exclusion_check("n1", &["n2", "n3"]);
        assert_eq!(check.verdict, Health::Failure);
        assert_eq!(check.seen, "n2, n3 got a lock that n1 was holding");
    }

    #[test]
    fn a_clock_is_judged_by_what_is_certain() {
        // Asked at 100, heard a second later: at 100.5 in between the other clock showed 110.
        assert_eq!(seconds_ahead(100_000_000, 110_000_000, 0.5), 9.5);
        let verdict = |ahead, within| clock_check(["a", "b"], ahead, within).verdict;
        assert_eq!(verdict(9.5, 0.5), Health::Warning);
        assert_eq!(verdict(-9.5, 9.0), Health::Ok);
        assert_eq!(verdict(-400.0, 0.5), Health::Failure);
    }
}

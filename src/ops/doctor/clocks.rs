//! How far the clocks of several machines are apart, and how soon one sees what another writes.

use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::ops::doctor::check::Check;
use crate::ops::doctor::meeting::Meeting;
use crate::ops::doctor::together::Participant;
use crate::storage::Time;

/// Questions about the time.
const PINGS: u32 = 3;

/// Asks everybody for the time: the answer lies between question and its receipt.
///
/// # Errors
/// Somebody is missing, or a file cannot be read or written.
pub(crate) fn clocks(meeting: &Meeting, everybody: &[Participant]) -> anyhow::Result<Vec<Check>> {
    if !meeting.is_first() {
        for ping in 0..PINGS {
            let name = format!("ping-{}-{ping}", meeting.rank());
            let () = meeting.hear_one(&name, 0)?;
            meeting.say(&format!("pong-{ping}"), &Time::from(Timestamp::now()))?;
        }
        return Ok(Vec::new());
    }
    let mut widest = Skew { seconds: 0.0, within: f64::INFINITY };
    let mut whose = 0;
    let mut slowest = Duration::ZERO;
    for rank in 1..meeting.size() {
        let mut best = Skew { seconds: 0.0, within: f64::INFINITY };
        for ping in 0..PINGS {
            let asked = Timestamp::now();
            let began = Instant::now();
            meeting.say(&format!("ping-{rank}-{ping}"), &())?;
            let told: Time = meeting.hear_one(&format!("pong-{ping}"), rank)?;
            slowest = slowest.max(began.elapsed());
            best = best.narrower(Skew::of(asked, told.timestamp(), Timestamp::now()));
        }
        if rank == 1 || best.seconds.abs() > widest.seconds.abs() {
            (widest, whose) = (best, rank);
        }
    }
    let (here, there) = (&everybody[0].host, &everybody[whose as usize].host);
    Ok(vec![widest.check(here, there), visibility(slowest)])
}

/// How far another clock is ahead.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Skew {
    seconds: f64,
    /// The truth lies this near.
    within: f64,
}

impl Skew {
    fn of(asked: Timestamp, told: Timestamp, heard: Timestamp) -> Self {
        let within = heard.duration_since(asked).as_secs_f64() / 2.0;
        Self { seconds: told.duration_since(asked).as_secs_f64() - within, within }
    }

    fn narrower(self, other: Self) -> Self {
        if other.within < self.within { other } else { self }
    }

    fn check(self, here: &str, there: &str) -> Check {
        let seconds = self.seconds.abs();
        let seen = format!(
            "those of {here} and {there} are {seconds:.3} s apart, give or take {:.3} s",
            self.within
        );
        let remedy = "set the clocks by NTP (chrony): claims end by them";
        match (seconds - self.within).max(0.0) {
            apart if apart > 300.0 => Check::failure("clocks", seen, remedy),
            apart if apart > 2.0 => Check::warning("clocks", seen, remedy),
            _ => Check::ok("clocks", seen),
        }
    }
}

fn visibility(slowest: Duration) -> Check {
    let seen = format!(
        "a new file is seen by listing its folder: an answer comes within {} ms",
        slowest.as_millis()
    );
    if slowest < Duration::from_secs(5) {
        return Check::ok("visibility", seen);
    }
    let remedy = "ask for a mount without long directory caching (NFS: `acdirmax`): a search works, and its rounds lag";
    Check::warning("visibility", seen, remedy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::doctor::check::Verdict;

    #[test]
    fn a_clock_is_judged_by_what_is_certain() {
        let at = |second: f64| Timestamp::from_millisecond((second * 1e3) as i64).unwrap();
        // Asked at 100, heard at 101: at 100.5 in between the other clock showed 110.
        let skew = Skew::of(at(100.0), at(110.0), at(101.0));
        assert_eq!(skew, Skew { seconds: 9.5, within: 0.5 });
        let verdict = |seconds, within| Skew { seconds, within }.check("a", "b").verdict;
        assert_eq!(verdict(9.5, 0.5), Verdict::Warning);
        assert_eq!(verdict(-9.5, 9.0), Verdict::Ok);
        assert_eq!(verdict(-400.0, 0.5), Verdict::Failure);
    }
}

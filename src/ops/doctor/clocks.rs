//! Clock skew between machines, and how soon one sees the files of another.

use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::ops::doctor::check::{Check, Health};
use crate::ops::doctor::rendezvous::Rendezvous;
use crate::storage::Time;

const PINGS: u32 = 3;

/// The first process asks each other one for the time, which lies between question and answer.
pub(crate) fn clocks(all: &Rendezvous, hosts: &[String]) -> anyhow::Result<Vec<Check>> {
    if !all.is_first() {
        for ping in 0..PINGS {
            let () = all.wait_for(&format!("ping-{}-{ping}", all.rank), 0)?;
            all.publish(&format!("pong-{ping}"), &Time::from(Timestamp::now()))?;
        }
        return Ok(Vec::new());
    }
    let (mut skews, mut slowest) = (Vec::new(), Duration::ZERO);
    for (rank, host) in (1..all.size).zip(&hosts[1..]) {
        let mut best = Skew { seconds: 0.0, within: f64::INFINITY };
        for ping in 0..PINGS {
            let (asked, began) = (Timestamp::now(), Instant::now());
            all.publish(&format!("ping-{rank}-{ping}"), &())?;
            let time: Time = all.wait_for(&format!("pong-{ping}"), rank)?;
            slowest = slowest.max(began.elapsed());
            let skew = Skew::of(asked, time.timestamp(), Timestamp::now());
            if skew.within < best.within {
                best = skew;
            }
        }
        skews.push((best, host));
    }
    let widest =
        skews.into_iter().max_by(|(a, _), (b, _)| a.seconds.abs().total_cmp(&b.seconds.abs()));
    let clocks = widest.map(|(skew, other)| skew.check(&hosts[0], other));
    Ok(clocks.into_iter().chain([visibility(slowest)]).collect())
}

/// How far another clock is ahead.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Skew {
    seconds: f64,
    /// The error is at most this.
    within: f64,
}

impl Skew {
    fn of(asked: Timestamp, answer: Timestamp, received: Timestamp) -> Self {
        let within = received.duration_since(asked).as_secs_f64() / 2.0;
        Self { seconds: answer.duration_since(asked).as_secs_f64() - within, within }
    }

    fn check(self, here: &str, there: &str) -> Check {
        let (seconds, within) = (self.seconds.abs(), self.within);
        let seen = format!(
            "those of {here} and {there} are {seconds:.3} s apart, give or take {within:.3} s"
        );
        let verdict = match (seconds - within).max(0.0) {
            apart if apart > 300.0 => Health::Failure,
            apart if apart > 2.0 => Health::Warning,
            _ => Health::Ok,
        };
        Check::new(verdict, "clocks", seen, "set the clocks by NTP (chrony): claims expire by them")
    }
}

fn visibility(slowest: Duration) -> Check {
    let milliseconds = slowest.as_millis();
    let seen = format!(
        "a new file is seen by listing its folder: an answer comes within {milliseconds} ms"
    );
    let is_soon = slowest < Duration::from_secs(5);
    let remedy = "ask for a mount without long directory caching (NFS: `acdirmax`): a search \
                  works, and its rounds lag";
    Check::new(if is_soon { Health::Ok } else { Health::Warning }, "visibility", seen, remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_judged_by_what_is_certain() {
        let at = |second: f64| Timestamp::from_millisecond((second * 1e3) as i64).unwrap();
        // Asked at 100, heard at 101: at 100.5 in between the other clock showed 110.
        let skew = Skew::of(at(100.0), at(110.0), at(101.0));
        assert_eq!(skew, Skew { seconds: 9.5, within: 0.5 });
        let verdict = |seconds, within| Skew { seconds, within }.check("a", "b").verdict;
        assert_eq!(verdict(9.5, 0.5), Health::Warning);
        assert_eq!(verdict(-9.5, 9.0), Health::Ok);
        assert_eq!(verdict(-400.0, 0.5), Health::Failure);
    }
}

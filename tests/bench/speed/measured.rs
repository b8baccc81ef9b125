//! Durations of many runs, and how they are printed.

use std::time::{Duration, Instant};

/// Durations in ascending order.
pub struct Measured(Vec<Duration>);

impl Measured {
    /// Takes durations in any order.
    pub fn new(mut durations: Vec<Duration>) -> Self {
        durations.sort();
        Self(durations)
    }

    /// Runs something so many times.
    pub fn of(times: u32, mut run: impl FnMut()) -> Self {
        let timed = |_| {
            let began = Instant::now();
            run();
            began.elapsed()
        };
        Self::new((0..times).map(timed).collect())
    }

    /// Prints median, 99th percentile and greatest, and what they are compared with.
    pub fn print(&self, what: &str, compared_with: &str) {
        let at = |share: f64| self.0[((self.0.len() - 1) as f64 * share).round() as usize];
        println!(
            "  {what:<42} median {:>8.2} ms, p99 {:>8.2} ms, most {:>8.2} ms of {:>4}  ({compared_with})",
            milliseconds(at(0.5)),
            milliseconds(at(0.99)),
            milliseconds(at(1.0)),
            self.0.len()
        );
    }
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

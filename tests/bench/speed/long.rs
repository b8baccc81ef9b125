//! A search far longer than any paper's: 100,000 rows in the log.

use crate::{claims, commands, learning};

/// Architectures with a result: each has two rows, and those met again have one.
const RESULTS: u64 = 50_000;

/// Measures whatever must not suffer from a long log.
pub fn measure() {
    claims::under_the_lock(RESULTS);
    for (workers, epsilon) in [(1, 1.0), (1, 0.5), (8, 0.5)] {
        println!("  {workers} at once, epsilon {epsilon}:");
        claims::measure_after(RESULTS, workers, epsilon);
    }
    learning::one_more(RESULTS);
    commands::status(RESULTS, "no limit is set");
}

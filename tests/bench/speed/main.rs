//! How fast the program is, each figure with what it is compared with: `cargo bench --bench speed
//! --no-default-features`, or some of them: `... -- claims`, or of those `... -- claims 8 1000`: of
//! eight workers after 1,000 results.
//!
//! Nothing here passes or fails: machines differ, and a shared one differs from hour to hour. What
//! is made before a measurement is made outside of it.
#![allow(clippy::print_stdout, missing_docs)] // Figures are its result.

mod claims; // workers that claim and record at once, in searches of different length
mod commands; // from exec to exit, for commands a person waits for
mod learning; // the Q-updates of a whole search, and the reduce of one new result
mod long; // all of these in a search of 100,000 rows
mod measured;
mod search;
mod strategies; // the next network of each strategy, by a fresh process

fn main() {
    // Cargo passes `--bench`.
    let arguments: Vec<String> =
        std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if let [word, directory] = arguments.as_slice()
        && word == claims::WORKER
    {
        return claims::work(directory.as_ref());
    }
    if let [word, workers, results] = arguments.as_slice()
        && let (true, Ok(workers), Ok(results)) =
            (word == claims::WORD, workers.parse(), results.parse())
    {
        return claims::measure_one(workers, results);
    }
    let figures: [(&str, fn()); 5] = [
        ("commands", commands::measure),
        ("learning", learning::measure),
        (claims::WORD, claims::measure),
        ("strategies", strategies::measure),
        ("long", long::measure),
    ];
    for (name, measure) in figures {
        if arguments.is_empty() || arguments.iter().any(|argument| argument == name) {
            println!("{name}");
            measure();
        }
    }
}

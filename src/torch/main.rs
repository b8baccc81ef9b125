//! The program `metaqnn-torch`: trains networks with libtorch.
//!
//! It speaks the trainer protocol ([`metaqnn::training::protocol`]) over stdin and stdout and
//! notes for people over stderr. It is the only part of the crate that knows libtorch, so that a
//! crash inside libtorch ends this process and not the search.
//!
//! The way of a request: [`input`] hands its line to [`trainer`], which reads it, chooses the
//! [`device`] and loads the images ([`data_cache`], [`batches`]); [`fit`] then trains its
//! [`network`] (as [`plan`] says) start by start ([`restart`]) and [`epoch`] by epoch, and saves a
//! [`checkpoint`] after each.
//!
//! Exit codes: 0 stdin has ended; 2 a line that is no request; 3 bad images; 4 the environment (no
//! GPU, disk, libtorch); 75 a signal came, and the training can be taken up from its checkpoint.

mod augment;
mod batches;
mod checkpoint;
mod data_cache;
mod device;
mod epoch;
mod error;
mod evaluate;
mod fit;
#[cfg(test)]
mod fixture;
mod initialisation;
mod input;
mod memory;
mod network;
mod normaliser;
mod optimizer;
mod parameters;
mod plan;
mod restart;
mod trainer;

use std::io::{self, Write};
use std::process::ExitCode;

use metaqnn::training::protocol::TRY_AGAIN;

use crate::error::TorchError;
use crate::input::{Exit, Inbox};
use crate::trainer::TorchTrainer;

const USAGE: &str = "\
Trains networks for `metaqnn`, which starts this program by itself (`training.trainer: torch`).

Usage: metaqnn-torch < REQUESTS

One JSON request a line on stdin, one JSON message a line on stdout.
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        [] => exit_code(run()),
        words => usage(words),
    }
}

fn exit_code(ended: Result<Exit, TorchError>) -> ExitCode {
    match ended {
        Ok(Exit::EndOfInput) => ExitCode::SUCCESS,
        Ok(Exit::Signal) => ExitCode::from(TRY_AGAIN as u8),
        Err(error) => {
            // When stderr is gone too, the exit code is all that is left to say.
            let _ = writeln!(io::stderr(), "metaqnn-torch: {}", error::chain(&error));
            ExitCode::from(error.exit_code())
        }
    }
}

fn run() -> Result<Exit, TorchError> {
    memory::keep_freed_memory();
    let inbox =
        Inbox::open().map_err(|source| TorchError::Pipe { doing: "catch signals", source })?;
    TorchTrainer::new(inbox, io::stdout().lock(), io::stderr()).run()
}

fn usage(words: &[&str]) -> ExitCode {
    let asked = matches!(words, ["-h" | "--help"]);
    let written = match asked {
        true => io::stdout().write_all(USAGE.as_bytes()),
        false => io::stderr().write_all(USAGE.as_bytes()),
    };
    ExitCode::from(if asked && written.is_ok() { 0 } else { 2 })
}

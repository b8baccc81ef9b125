//! The program `metaqnn-torch`: trains networks with libtorch.
//!
//! It speaks the trainer protocol ([`metaqnn::training::protocol`]). It alone knows libtorch, so
//! that a crash inside libtorch ends this process and not the search.
//!
//! The way of a request: [`input`] hands its line to [`trainer`], which reads it, chooses the
//! [`device`] and loads the images ([`batches`]); [`fit`] then trains its [`network`] (as [`plan`]
//! says) start by start ([`restart`]) and [`epoch`] by epoch, and saves a [`checkpoint`] after
//! each.
//!
//! Exit codes: 0 stdin has ended; 2 a line that is no request; 3 bad images; 4 the environment (no
//! GPU, disk, libtorch); 75 a signal came, and the training can be taken up from its checkpoint.

mod augment;
mod batches;
mod checkpoint;
mod device;
mod epoch;
mod error;
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

use crate::error::TorchError;
use crate::input::Inbox;
use crate::trainer::TorchTrainer;

const USAGE: &str = "\
Trains networks for `metaqnn`, which starts this program by itself (`training.trainer: torch`).

Usage: metaqnn-torch < REQUESTS

One JSON request a line on stdin, one JSON message a line on stdout.
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if !arguments.is_empty() {
        return usage(matches!(&arguments[..], [one] if one == "-h" || one == "--help"));
    }
    match run() {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            // When stderr is gone too, the exit code is all that is left to say.
            let _ = writeln!(io::stderr(), "metaqnn-torch: {}", error::chain(&error));
            ExitCode::from(error.exit_code())
        }
    }
}

fn run() -> Result<u8, TorchError> {
    memory::keep_freed_memory();
    let inbox = Inbox::open()
        .map_err(|error| TorchError::Failed(format!("failed to catch signals: {error}")))?;
    TorchTrainer::new(inbox, io::stdout().lock()).run()
}

fn usage(asked: bool) -> ExitCode {
    let written = match asked {
        true => io::stdout().write_all(USAGE.as_bytes()),
        false => io::stderr().write_all(USAGE.as_bytes()),
    };
    ExitCode::from(if asked && written.is_ok() { 0 } else { 2 })
}

//! The program `metaqnn-torch`: trains networks with libtorch, by the trainer protocol
//! ([`metaqnn::training::protocol`]). A crash inside libtorch ends this process, not the search.
//!
//! The way of a request: [`input`] hands its line to [`trainer`], which reads it, chooses the
//! [`device`] and loads the images ([`batches`]); [`fit`] then trains its [`network`] (as [`plan`]
//! says) start by start ([`restart`]) and [`epoch`] by epoch, and saves a [`checkpoint`] after
//! each, the [`weights`] after the best, and its [`latency`] at the end. Or it asks what trained networks say of images
//! ([`evaluate`]).
//!
//! Exit codes: 0 stdin has ended; 2 a line that is no request; 3 bad images; 4 the environment (no
//! GPU, disk, libtorch); 75 a signal came, and the training can be taken up from its checkpoint.

mod augment;
mod batches;
mod checkpoint;
mod device;
mod epoch;
mod error;
mod evaluate;
mod fit;
#[cfg(test)]
mod fixture;
mod initialisation;
mod input;
mod latency;
mod memory;
mod network;
mod normaliser;
mod optimizer;
mod parameters;
mod plan;
mod restart;
mod trainer;
mod weights;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use metaqnn::training::Device;

use crate::device::{choose_device, describe};
use crate::error::TorchError;
use crate::input::Inbox;

/// Trains networks for `metaqnn`, which starts this program by itself (`training.trainer: torch`):
/// one JSON request a line on stdin, one JSON message a line on stdout.
#[derive(Parser)]
#[command(name = "metaqnn-torch")]
#[command(version = version())]
#[command(override_usage = "metaqnn-torch < REQUESTS")]
struct Arguments {}

/// With the device that a training without a wish for one gets, or why there is none.
fn version() -> &'static str {
    if !std::env::args().any(|word| ["-V", "--version"].contains(&&*word)) {
        return ""; // no GPU is looked for before a request
    }
    let variable = |name: &str| std::env::var(name).ok();
    let device = choose_device(Device::Auto, tch::Cuda::is_available(), variable);
    let device = device.map_or_else(|error| format!("no device: {error}"), describe);
    let [own, libtorch] = [env!("METAQNN_VERSION"), env!("LIBTORCH_VERSION")];
    format!("{own}, libtorch {libtorch}, {device}").leak()
}

fn main() -> ExitCode {
    let Arguments {} = Arguments::parse();
    memory::keep_freed_memory();
    let answered = Inbox::open()
        .map_err(|error| TorchError::Failed(format!("failed to catch signals: {error}")))
        .and_then(|inbox| trainer::run(inbox, io::stdout().lock()));
    match answered {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            // When stderr is gone too, the exit code is all that is left to say.
            let _ = writeln!(io::stderr(), "metaqnn-torch: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

//! One optimizer step of `metaqnn-torch`, against PyTorch eager where there is one.
//!
//! Several networks of the paper's spaces with their dropout marks and the search recipe, on made-up
//! images of 1x28x28 and 3x32x32: shallow and deep, with large and small kernels, with and without
//! a fully connected layer. Both programs train in turn, several rounds, so that other work on the
//! machine meets both. The first epoch of a process warms it up; the medians of the others are
//! compared. The time of `metaqnn-torch` includes an evaluation on 16 images an epoch.
//!
//! `cargo bench --bench training_step [-- THREADS]`; `METAQNN_BENCH_PYTHON` names a Python that
//! has torch 2.11.0 (`python3` when not set).
#![allow(clippy::print_stdout, missing_docs)]

use std::error::Error;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use metaqnn::seed::{Purpose, generator};
use metaqnn::space::{DataShape, SpaceParams};
use metaqnn::training::Recipe;
use metaqnn::training::protocol::{LayerDescription, Message, Request, VERSION};
use rand::RngCore;

const STEPS: usize = 8;
const BATCH: usize = 128;
const VALIDATION: usize = 16;
const EPOCHS: u32 = 4;
const ROUNDS: usize = 4;

/// Channels, size of an image, architecture.
const NETWORKS: [(u32, u32, &str); 7] = [
    (1, 28, "[C(64,3,1), P(2,2), C(128,3,1), P(2,2), FC(128), SM(10)]"),
    (1, 28, "[C(64,5,1), P(3,2), C(64,5,1), P(3,2), FC(512), FC(256), SM(10)]"),
    (1, 28, "[C(128,1,1), P(3,2), C(128,3,1), P(2,2), GAP(10), SM(10)]"),
    (1, 28, "[SM(10)]"),
    (3, 32, "[C(64,3,1), P(2,2), C(128,3,1), P(3,2), FC(128), SM(10)]"),
    (
        3,
        32,
        "[C(64,3,1), C(64,3,1), P(2,2), C(128,3,1), C(128,3,1), P(2,2), C(256,3,1), P(3,2), GAP(10), SM(10)]",
    ),
    (3, 32, "[C(64,1,1), P(5,3), C(512,3,1), C(256,1,1), P(2,2), FC(256), SM(10)]"),
];

fn main() -> Result<(), Box<dyn Error>> {
    let threads = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(1);
    let python = std::env::var("METAQNN_BENCH_PYTHON").unwrap_or_else(|_| "python3".into());
    println!("batch {BATCH}, {threads} threads; ms a step: metaqnn-torch, PyTorch eager, speed");
    let mut speeds = Vec::new();
    for (channels, size, architecture) in NETWORKS {
        let folder = tempfile::tempdir()?;
        write_images(folder.path(), channels, size)?;
        let request = request(folder.path(), architecture, channels, size, threads)?;
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            ours.extend(train_here(&request)?.into_iter().skip(1));
            theirs.extend(train_in_pytorch(&python, &request)?.into_iter().skip(1));
        }
        let (ours, theirs) = (step(ours).ok_or("no epoch")?, step(theirs));
        match theirs {
            Some(theirs) => {
                println!(
                    "{ours:8.2} {theirs:8.2} {:6.2}  {channels}x{size}x{size} {architecture}",
                    theirs / ours
                );
                speeds.push(theirs / ours);
            }
            None => println!("{ours:8.2}        -      -  {channels}x{size}x{size} {architecture}"),
        }
    }
    match median(speeds) {
        Some(speed) => println!("median speed against PyTorch eager {speed:.2}"),
        None => {
            println!("PyTorch was not measured: `{python}` has no torch (METAQNN_BENCH_PYTHON)")
        }
    }
    Ok(())
}

/// Returns the milliseconds of a step in the median epoch.
fn step(seconds: Vec<f64>) -> Option<f64> {
    Some(median(seconds)? / STEPS as f64 * 1e3)
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.get(values.len() / 2)?;
    // Of an even number the mean of the two in the middle.
    Some((middle + values[(values.len() - 1) / 2]) / 2.0)
}

/// Writes as many random images as the steps need, and those of the evaluation.
fn write_images(folder: &Path, channels: u32, size: u32) -> Result<(), Box<dyn Error>> {
    let count = STEPS * BATCH + VALIDATION;
    let mut rng = generator(1, Purpose::Synthetic, 0, 0);
    let mut random = |bytes: usize| {
        let mut buffer = vec![0; bytes];
        rng.fill_bytes(&mut buffer);
        buffer
    };
    let label = |index: usize| (index % 10) as u8;
    if channels == 1 {
        let number = |value: u32| value.to_be_bytes();
        let images = [number(0x0803), number(count as u32), number(size), number(size)].concat();
        let pixels = random(count * (size * size) as usize);
        fs::write(folder.join("train-images-idx3-ubyte"), [images, pixels].concat())?;
        let labels = [number(0x0801), number(count as u32)].concat();
        let classes: Vec<u8> = (0..count).map(label).collect();
        fs::write(folder.join("train-labels-idx1-ubyte"), [labels, classes].concat())?;
    } else {
        for batch in 1..=5 {
            let records =
                (0..count / 5).flat_map(|index| [vec![label(index)], random(3072)].concat());
            fs::write(folder.join(format!("data_batch_{batch}.bin")), Vec::from_iter(records))?;
        }
    }
    Ok(())
}

fn request(
    folder: &Path,
    architecture: &str,
    channels: u32,
    size: u32,
    threads: u32,
) -> Result<String, Box<dyn Error>> {
    let space = SpaceParams::default().check(DataShape { size, channels, classes: 10 })?;
    let architecture = space.parse(architecture)?;
    let request = Request {
        protocol: VERSION,
        iteration: 1,
        stream: 1,
        attempt: 1,
        architecture: architecture.to_string(),
        layers: LayerDescription::of(&space, &architecture),
        classes: 10,
        channels,
        input_size: size,
        epochs: EPOCHS,
        seed: 1,
        experiment_seed: 1,
        checkpoint: None,
        resume: false,
        model: None,
        initial_weights: None,
        seconds_left: None,
        threads,
        // Random labels are not learnt, and the first epoch must pass all the same.
        recipe: Recipe { first_epoch_threshold: Some(0.0), ..Recipe::default() },
        data: serde_json::json!({
            "kind": if channels == 1 { "idx" } else { "cifar10" },
            "path": folder, "classes": 10, "input_size": size, "channels": channels,
            "validation": { "images": VALIDATION },
        }),
    };
    Ok(serde_json::to_string(&request)?)
}

/// Returns the seconds of each epoch.
fn train_here(request: &str) -> Result<Vec<f64>, Box<dyn Error>> {
    let output = answer(Command::new(env!("CARGO_BIN_EXE_metaqnn-torch")), request)?;
    let mut seconds = Vec::new();
    for line in output.lines() {
        if let Message::Epoch(report) = Message::parse(line.as_bytes())? {
            seconds.push(report.seconds.ok_or("an epoch without its seconds")?);
        }
    }
    Ok(seconds)
}

/// Returns the seconds of each epoch, none when this Python has no torch.
fn train_in_pytorch(python: &str, request: &str) -> Result<Vec<f64>, Box<dyn Error>> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bench/training_step.py");
    let mut command = Command::new(python);
    command.args(["-W", "ignore"]).arg(script).arg((STEPS * BATCH).to_string());
    Ok(answer(command, request)?.lines().map(str::parse).collect::<Result<_, _>>()?)
}

/// Returns what a program says to a request.
fn answer(mut command: Command, request: &str) -> Result<String, Box<dyn Error>> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    // One that does not start at all has said nothing.
    let _ = writeln!(child.stdin.take().ok_or("no stdin")?, "{request}");
    Ok(String::from_utf8(child.wait_with_output()?.stdout)?)
}

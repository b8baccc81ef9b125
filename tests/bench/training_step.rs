//! One optimizer step of `metaqnn-torch`, against PyTorch eager where there is one.
//!
//! The network is `[C(64,3,1), P(2,2), C(128,3,1), P(2,2), FC(128), SM(10)]` with its dropout marks
//! and the search recipe, on made-up images of 1x28x28; then of 3x32x32, where the second pooling
//! is `P(3,2)` (a fully connected layer needs a map below 8 pixels). Both programs train in
//! turn, several rounds, so that other work on the machine meets both; the least time of each
//! counts. The time of `metaqnn-torch` includes an evaluation on 100 images an epoch.
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
use metaqnn::space::{ImageShape, SpaceParams};
use metaqnn::training::Recipe;
use metaqnn::training::protocol::{LayerDescription, Message, Request, VERSION};
use rand::RngCore;

const STEPS: usize = 20;
const BATCH: usize = 128;
const VALIDATION: usize = 100;
const EPOCHS: u32 = 3;
const ROUNDS: usize = 4;

fn main() -> Result<(), Box<dyn Error>> {
    let threads = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(1);
    let python = std::env::var("METAQNN_BENCH_PYTHON").unwrap_or_else(|_| "python3".into());
    for (channels, size, pool) in [(1, 28, 2), (3, 32, 3)] {
        let architecture = format!("[C(64,3,1), P(2,2), C(128,3,1), P({pool},2), FC(128), SM(10)]");
        let folder = tempfile::tempdir()?;
        write_images(folder.path(), channels, size)?;
        let request = request(folder.path(), &architecture, channels, size, threads)?;
        let (mut ours, mut theirs) = (f64::INFINITY, f64::INFINITY);
        for _ in 0..ROUNDS {
            ours = ours.min(train_here(&request)?);
            theirs = theirs.min(train_in_pytorch(&python, [channels, size, pool, threads])?);
        }
        let step = |seconds: f64| seconds / STEPS as f64 * 1e3;
        println!("{architecture}, {channels}x{size}x{size}, batch {BATCH}, {threads} threads");
        println!("  metaqnn-torch   {:8.2} ms a step", step(ours));
        if theirs.is_finite() {
            println!("  PyTorch eager   {:8.2} ms a step", step(theirs));
            println!("  speed against PyTorch {:.2}", theirs / ours);
        } else {
            println!(
                "  PyTorch eager   not measured: `{python}` has no torch (METAQNN_BENCH_PYTHON)"
            );
        }
    }
    Ok(())
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
    let space = SpaceParams::default().check(ImageShape { size, channels, classes: 10 })?;
    let architecture = space.parse(architecture)?;
    let request = Request {
        protocol: VERSION,
        iteration: 1,
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

/// Returns the seconds of the fastest epoch.
fn train_here(request: &str) -> Result<f64, Box<dyn Error>> {
    let mut child = Command::new(env!("CARGO_BIN_EXE_metaqnn-torch"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    writeln!(child.stdin.take().ok_or("no stdin")?, "{request}")?;
    let output = child.wait_with_output()?;
    let mut fastest = f64::INFINITY;
    for line in String::from_utf8(output.stdout)?.lines() {
        if let Message::Epoch(report) = Message::parse(line)? {
            fastest = fastest.min(report.seconds.ok_or("an epoch without its seconds")?);
        }
    }
    Ok(fastest)
}

/// Returns the seconds of the fastest epoch, infinity when this Python has no torch.
fn train_in_pytorch(
    python: &str,
    [channels, size, pool, threads]: [u32; 4],
) -> Result<f64, Box<dyn Error>> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bench/training_step.py");
    let numbers =
        [(STEPS * BATCH) as u32, channels, size, pool, EPOCHS, threads].map(|n| n.to_string());
    let output = Command::new(python).arg("-W").arg("ignore").arg(script).args(numbers).output()?;
    let seconds = String::from_utf8(output.stdout)?;
    let parsed = seconds.lines().map(str::parse).collect::<Result<Vec<f64>, _>>()?;
    Ok(parsed.into_iter().fold(f64::INFINITY, f64::min))
}

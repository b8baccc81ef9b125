//! `metaqnn-torch` where memory is short, the disk is full, or it is killed.
#![cfg(feature = "torch")]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use metaqnn::training::protocol::{LayerDescription, Message, Request, VERSION};
use metaqnn::training::{Device, EpochReport, Recipe};

use crate::full_disk::SmallDisk;
use crate::support::{Experiment, skip, wait_until};
use crate::torch::{TINY, write_images};

/// Asks for two epochs of a network whose maps are large and whose parameters are few: a batch of
/// 128 images takes hundreds of megabytes, one of 4 takes ten.
fn request(folder: &Path, batch_size: u32) -> Request {
    write_images(&folder.join("data"), 300);
    Request {
        protocol: VERSION,
        iteration: 1,
        stream: 1,
        attempt: 1,
        architecture: "[C(2048,1,1), P(2,2), SM(2)]".into(),
        layers: vec![
            LayerDescription::Conv {
                filters: 2048,
                kernel: 1,
                stride: 1,
                padding: 0,
                batch_norm: false,
            },
            LayerDescription::Pool { kernel: 2, stride: 2, ceil: false, batch_norm: false },
            LayerDescription::Softmax { classes: 2 },
        ],
        classes: 2,
        channels: 1,
        input_size: 8,
        epochs: 2,
        seed: 3,
        experiment_seed: 3,
        checkpoint: None,
        resume: false,
        model: None,
        initial_weights: None,
        seconds_left: None,
        threads: 1,
        recipe: Recipe {
            batch_size,
            validation_batch_size: batch_size,
            first_epoch_threshold: Some(0.0),
            device: Device::Cpu,
            ..Recipe::default()
        },
        data: serde_json::json!({
            "kind": "idx", "path": folder.join("data"), "classes": 2, "input_size": 8, "channels": 1,
            "validation": { "images": 44 },
        }),
    }
}

/// Starts the trainer with at most so many KiB of address space, and says the request.
fn start(request: &Request, address_space: Option<u64>) -> Child {
    let limit =
        address_space.map_or_else(|| "unlimited".to_owned(), |kibibytes| kibibytes.to_string());
    let mut child = Command::new("sh")
        .args([
            "-c",
            &format!("ulimit -v {limit}; exec \"$0\""),
            env!("CARGO_BIN_EXE_metaqnn-torch"),
        ])
        .env("OMP_NUM_THREADS", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let line = serde_json::to_string(request).unwrap();
    writeln!(child.stdin.as_mut().unwrap(), "{line}").unwrap();
    child
}

fn messages(output: &Output) -> Vec<Message> {
    let text = std::str::from_utf8(&output.stdout).unwrap();
    text.lines().map(|line| Message::parse(line.as_bytes()).unwrap()).collect()
}

fn reports(output: &Output) -> Vec<EpochReport> {
    let report = |message| match message {
        Message::Epoch(report) => Some(report),
        _ => None,
    };
    messages(output).into_iter().filter_map(report).collect()
}

/// The most address space that a training on small batches takes, in KiB.
fn least_address_space(folder: &Path) -> u64 {
    let mut child = start(&request(folder, 4), None);
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while !line.contains("done") {
        line.clear();
        assert_ne!(stdout.read_line(&mut line).unwrap(), 0, "it ended before it was done");
    }
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    drop(child.stdin.take());
    stdout.read_to_end(&mut Vec::new()).unwrap();
    assert!(child.wait().unwrap().success());
    let peak = status.lines().find_map(|line| line.strip_prefix("VmPeak:")).unwrap();
    peak.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn a_batch_that_does_not_fit_is_trained_in_parts() {
    let folder = tempfile::tempdir().unwrap();
    let whole = start(&request(folder.path(), 128), None).wait_with_output().unwrap();
    let limit = least_address_space(folder.path()) + 80 * 1024;
    let parts = start(&request(folder.path(), 128), Some(limit)).wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&parts.stderr);
    assert!(told.contains("memory is short: gradients are summed over"), "{told}");
    assert_eq!(messages(&parts).last(), Some(&Message::Done { device: None, libtorch: None }));
    let (whole, parts) = (reports(&whole), reports(&parts));
    assert_eq!((whole.len(), parts.len()), (2, 2));
    for (whole, parts) in whole.iter().zip(&parts) {
        let (whole, parts) = (whole.training_loss.unwrap(), parts.training_loss.unwrap());
        // Sums in another order differ in the last of 24 bits, and a few steps amplify that.
        assert!((whole - parts).abs() <= 1e-3 * whole.abs(), "{whole} {parts}");
    }
}

#[test]
fn a_network_that_does_not_fit_at_all_is_out_of_memory() {
    let folder = tempfile::tempdir().unwrap();
    let mut huge = request(folder.path(), 128);
    // 64 * 10^9 weights of 4 bytes, of which the machine has a part at best and the limit none.
    huge.layers[0] = LayerDescription::FullyConnected { width: 1_000_000_000 };
    huge.layers.remove(1);
    let limit = least_address_space(folder.path()) + 80 * 1024;
    let output = start(&huge, Some(limit)).wait_with_output().unwrap();
    assert!(output.status.success());
    let [Message::OutOfMemory { peak_bytes: Some(bytes) }] = messages(&output)[..] else {
        panic!("{output:?}")
    };
    assert!((10 << 20..limit << 10).contains(&bytes), "{bytes}");
}

#[test]
fn a_full_disk_costs_a_checkpoint_and_no_training() {
    let test = "a_full_disk_costs_a_checkpoint_and_no_training";
    let folder = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::mount(&folder.path().join("small")) else {
        return skip(test, "this user may not mount a tmpfs");
    };
    let checkpoint = folder.path().join("small/000001.1");
    let mut request = request(folder.path(), 16);
    request.checkpoint = Some(checkpoint.clone());
    let _filler = disk.fill();
    let output = start(&request, None).wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(told.matches("goes on without this checkpoint").count(), 2, "{told}");
    assert_eq!(messages(&output).last(), Some(&Message::Done { device: None, libtorch: None }));
    let left: Vec<_> = fs::read_dir(&checkpoint).into_iter().flatten().collect();
    assert!(left.is_empty(), "a half-written file takes up the room that is missing: {left:?}");
}

fn send(signal: &str, process: u32) {
    assert!(Command::new("kill").args([signal, &process.to_string()]).status().unwrap().success());
}

/// The trainer that a task has started.
fn trainer_of(task: &Child) -> u32 {
    let path = format!("/proc/{0}/task/{0}/children", task.id());
    fs::read_to_string(path).unwrap().trim().parse().unwrap()
}

fn await_epochs(path: &Path, epochs: usize) {
    let lines = || fs::read_to_string(path).unwrap_or_default().lines().count();
    wait_until(&format!("{epochs} epochs in `{}`", path.display()), || lines() > epochs);
}

/// What a curve says of learning: all but when, and how long it took.
fn learning(path: &Path) -> Vec<Vec<String>> {
    let mut reader = csv::Reader::from_path(path).unwrap();
    let headers = reader.headers().unwrap().clone();
    let of_time = ["seconds", "time"];
    let rows = reader.records().map(|row| {
        let row = row.unwrap();
        let cells = headers.iter().zip(&row).filter(|(header, _)| !of_time.contains(header));
        cells.map(|(_, cell)| cell.to_owned()).collect()
    });
    rows.collect()
}

#[test]
fn a_training_killed_again_and_again_ends_bit_for_bit_as_if_it_had_not_been() {
    let config = TINY
        .replace("epochs: 2, batch_size: 16", "epochs: 8, batch_size: 4")
        .replace("filters: [4], kernels: [1, 3]", "filters: [16], kernels: [3]")
        + "slurm: {requeue: false}\n";
    let experiment = Experiment::with(&config);
    write_images(&experiment.folder().join("data"), 2000);
    for dir in ["straight", "parts"] {
        experiment.run(&["init", "config.yaml", dir]).success();
    }
    assert!(experiment.task("straight", "0").spawn().unwrap().wait().unwrap().success());
    let path = |below: &str| experiment.folder().join(below);

    // After its first epoch, in the middle of the next, the node dies; then the time is up; then
    // the job is preempted.
    for (attempt, end) in (1..).zip(["-KILL", "-USR1", "-TERM"]) {
        let mut task = experiment.task("parts", "0").spawn().unwrap();
        await_epochs(&path(&format!("parts/curves/000001.{attempt}.csv")), attempt);
        let trainer = trainer_of(&task);
        send(end, task.id());
        if end == "-KILL" {
            send(end, trainer);
        }
        let status = task.wait().unwrap();
        assert_eq!(status.code(), if end == "-KILL" { None } else { Some(75) }, "{status:?}");
    }
    assert!(experiment.task("parts", "0").spawn().unwrap().wait().unwrap().success());

    let result = |dir: &str| {
        let mut reader = csv::Reader::from_path(path(dir).join("replay.csv")).unwrap();
        let rows: Vec<std::collections::HashMap<String, String>> =
            reader.deserialize().map(Result::unwrap).collect();
        rows.last().unwrap().clone()
    };
    let (straight, parts) = (result("straight"), result("parts"));
    assert_eq!((parts["event"].as_str(), parts["attempt"].as_str()), ("trained", "4"));
    for column in ["architecture", "epochs", "reward", "last_validation_accuracy", "best_epoch"] {
        assert_eq!(straight[column], parts[column], "{column}");
    }
    assert_eq!(
        learning(&path("straight/curves/000001.1.csv")),
        learning(&path("parts/curves/000001.4.csv"))
    );
    // Weights, optimizer and progress.
    let saved = |attempt: &str| fs::read(path(attempt).join("checkpoint.safetensors")).unwrap();
    assert!(saved("straight/checkpoints/000001.1") == saved("parts/checkpoints/000001.4"));
}

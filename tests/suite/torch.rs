//! `metaqnn-torch`, where it was built: a search on real trainings of a tiny data set.

use std::fs;

use crate::support::{Experiment, Program, make_program, skip};

/// Images of 8 x 8 pixels in two classes: bright above, or bright below.
pub fn write_images(folder: &std::path::Path, count: usize) {
    write_part(folder, "train", count);
}

/// The same as the files of a part, `train` or `t10k`.
pub fn write_part(folder: &std::path::Path, part: &str, count: usize) {
    fs::create_dir_all(folder).unwrap();
    let mut images = vec![0, 0, 8, 3];
    let mut labels = vec![0, 0, 8, 1];
    for size in [count as u32, 8, 8] {
        images.extend(size.to_be_bytes());
    }
    labels.extend((count as u32).to_be_bytes());
    for image in 0..count {
        let class = image % 2;
        labels.push(class as u8);
        for pixel in 0..64 {
            let is_bright = (pixel < 32) == (class == 0);
            let noise = (image * 31 + pixel * 17) % 40;
            images.push(if is_bright { 180 } else { 40 } + noise as u8);
        }
    }
    fs::write(folder.join(format!("{part}-images-idx3-ubyte")), images).unwrap();
    fs::write(folder.join(format!("{part}-labels-idx1-ubyte")), labels).unwrap();
}

/// A search of four networks on [`write_images`].
pub const TINY: &str = "
experiment: {name: tiny, seed: 2}
data: {kind: idx, path: data, classes: 2, input_size: 8, channels: 1, validation: {images: 40}}
search_space: {max_layers: 2, filters: [4], kernels: [1, 3], fc_widths: [8]}
epsilon_schedule:
  - {epsilon: 1.0, architectures: 3}
  - {epsilon: 0.1, architectures: 1}
training: {epochs: 2, batch_size: 16, device: cpu, threads: 1}
";

pub fn with_images(config: &str) -> Experiment {
    let experiment = Experiment::with(config);
    write_images(&experiment.folder().join("data"), 200);
    experiment
}

pub fn is_built(test: &str) -> bool {
    if cfg!(feature = "torch") {
        return true;
    }
    skip(test, "built without the feature `torch`");
    false
}

#[test]
fn a_search_trains_real_networks() {
    if !is_built("a_search_trains_real_networks") {
        return;
    }
    let experiment = with_images(TINY);
    experiment.run(&["run", "config.yaml", "dir"]).success();
    let log = experiment.log();
    let trained: Vec<_> = log.iter().filter(|row| row["event"] == "trained").collect();
    let best: f64 = trained
        .iter()
        .map(|row| row["best_validation_accuracy"].parse().unwrap())
        .fold(0.0, f64::max);
    assert!(best > 0.9, "two plain classes are distinguished: {best}");
    assert!(trained.iter().all(|row| row["epochs"] == "2"));
    let status = &experiment.run(&["status", "dir", "--json"]).success().json()[0];
    assert_eq!(status["trainer"], "torch");
    let model = experiment.path(status["best"]["model"].as_str().unwrap());
    assert!(model.join("model.onnx").is_file());
    let audit = experiment.run(&["verify", "dir"]).success().stdout();
    assert!(!audit.contains("models/"), "each model is whole: {audit}");
}

#[test]
fn pictures_of_sixteen_bits_train_networks() {
    if !is_built("pictures_of_sixteen_bits_train_networks") {
        return;
    }
    let experiment = Experiment::with(TINY);
    // Depths around 700 and 900 of 65,535: read as bytes, all of them would be white, or 2 and 3.
    for (class, name) in ["far", "near"].into_iter().enumerate() {
        let folder = experiment.folder().join("pictures").join(name);
        fs::create_dir_all(&folder).unwrap();
        for number in 0..100 {
            let depth = |x: u32, y: u32| 700 + ((x * 31 + y * 17 + number * 7) % 90) as u16;
            let add = |depth: u16, y: u32| depth + if (y < 4) == (class == 0) { 200 } else { 0 };
            let pixel = |x, y| image::Luma([add(depth(x, y), y)]);
            let picture = image::ImageBuffer::<_, Vec<u16>>::from_fn(8, 8, pixel);
            picture.save(folder.join(format!("{number}.png"))).unwrap();
        }
    }
    let images = ["data.kind=images", "data.path=pictures", "training.epochs=4"];
    let settings = images.iter().flat_map(|setting| ["--set", setting]);
    let run: Vec<_> = ["run", "config.yaml", "dir"].into_iter().chain(settings).collect();
    experiment.run(&run).success();
    assert!(experiment.text("experiment.yaml").contains("value_range:\n    - 700\n    - 98"));
    let rewards = experiment.log();
    let rewards = rewards.iter().filter_map(|row| row["reward"].parse::<f64>().ok());
    assert!(rewards.fold(0.0, f64::max) > 0.9, "two plain classes are distinguished");

    let status = &experiment.run(&["status", "dir", "--json"]).success().json()[0];
    let model = experiment.path(status["best"]["model"].as_str().unwrap());
    let predict = |more: &[&str]| {
        experiment.run(&[&["predict", model.to_str().unwrap(), "pictures"], more].concat())
    };
    let table = predict(&["--dump", "pixels.npy"]).success().stdout();
    let rows: Vec<Vec<_>> = table.lines().skip(1).map(|row| row.split(',').collect()).collect();
    assert_eq!((rows.len(), rows[0][0]), (200, "pictures/far/0.png"));
    let right = rows.iter().filter(|row| row[0].split('/').nth(1) == Some(row[1])).count();
    assert!(right > 180, "{table}");
    // The first number of the first picture, by the range that the search has frozen.
    let frozen = experiment.text("experiment.yaml");
    let range = frozen.split_once("value_range:").unwrap().1.split_whitespace();
    let range: Vec<f64> = range.take(4).filter_map(|word| word.parse().ok()).collect();
    let bytes = fs::read(experiment.folder().join("pixels.npy")).unwrap();
    let numbers = bytes[bytes.len() - 200 * 64 * 4..].as_chunks().0;
    let expected = 255.0 * (900.0 - range[0]) / (range[1] - range[0]);
    assert_eq!(f32::from_le_bytes(numbers[0]), expected as f32);

    let weights = model.join("weights.safetensors");
    let whole = fs::read(&weights).unwrap();
    fs::write(&weights, &whole[..whole.len() - 4]).unwrap();
    predict(&[]).fails_with(3).says("is no whole safetensors file");
    experiment.run(&["predict", "dir", "pictures"]).fails_with(2).says("is no folder of a model");
}

#[test]
fn the_same_seed_trains_the_same_networks() {
    if !is_built("the_same_seed_trains_the_same_networks") {
        return;
    }
    let [first, second] = [with_images(TINY), with_images(TINY)].map(|experiment| {
        experiment.run(&["run", "config.yaml", "dir"]).success();
        let rows = experiment.log();
        let told = rows.iter().map(|row| {
            [
                "iteration",
                "event",
                "architecture",
                "reward",
                "last_validation_accuracy",
                "learning_rate",
            ]
            .map(|column| row[column].clone())
        });
        told.collect::<Vec<_>>()
    });
    assert_eq!(first, second);
}

#[test]
fn a_missing_gpu_is_refused_before_any_claim() {
    if !is_built("a_missing_gpu_is_refused_before_any_claim") {
        return;
    }
    let experiment = with_images(&TINY.replace("device: cpu", "device: cuda"));
    experiment.run(&["init", "config.yaml", "dir"]).success();
    let output =
        experiment.command(&["train", "dir"]).env("CUDA_VISIBLE_DEVICES", "").output().unwrap();
    assert_eq!(output.status.code(), Some(4));
    assert!(String::from_utf8_lossy(&output.stderr).contains("GPU"));
    assert_eq!(experiment.log().len(), 0, "nothing was claimed");
}

#[test]
fn images_that_changed_meanwhile_are_refused_before_any_claim() {
    if !is_built("images_that_changed_meanwhile_are_refused_before_any_claim") {
        return;
    }
    let experiment = with_images(TINY);
    experiment.run(&["init", "config.yaml", "dir"]).success();
    let path = experiment.folder().join("data/train-images-idx3-ubyte");
    let mut bytes = fs::read(&path).unwrap();
    bytes.truncate(bytes.len() - 7);
    fs::write(&path, bytes).unwrap();
    experiment.run(&["train", "dir"]).fails_with(3).says("since the experiment was created");
    assert_eq!(experiment.log().len(), 0, "nothing was claimed");
}

#[test]
fn networks_learn_real_images() {
    let test = "networks_learn_real_images";
    if !is_built(test) {
        return;
    }
    let Some(images) = std::env::var_os("METAQNN_FASHION_MNIST") else {
        return skip(test, "METAQNN_FASHION_MNIST does not name the folder of the images");
    };
    let experiment = Experiment::with(&format!(
        "experiment: {{name: real}}\n\
         data: {{kind: idx, path: {}, classes: 10, input_size: 28, channels: 1, training_images: 4000, validation: {{images: 1000}}}}\n\
         search_space: {{max_layers: 1, filters: [8], kernels: [3], fc_widths: [16]}}\n\
         epsilon_schedule: [{{epsilon: 1.0, architectures: 2}}]\n\
         training: {{epochs: 2, device: cpu}}\n",
        images.display()
    ));
    experiment.run(&["run", "config.yaml", "dir"]).success();
    let status = &experiment.run(&["status", "dir", "--json"]).success().json()[0];
    let best = status["best"]["best_validation_accuracy"].as_f64().unwrap();
    assert!(best > 0.7, "{best}");
}

#[test]
fn the_program_of_the_search_is_not_linked_to_libtorch() {
    let program = fs::read(env!("CARGO_BIN_EXE_metaqnn")).unwrap();
    for library in ["libtorch_cpu.so", "libc10.so", "libtorch.so"] {
        let is_named = program.windows(library.len()).any(|bytes| bytes == library.as_bytes());
        assert!(!is_named, "`{library}` is named in `metaqnn`");
    }
}

#[test]
fn without_its_trainer_a_search_says_how_to_build_it() {
    let experiment = with_images(TINY);
    experiment.run(&["init", "config.yaml", "dir"]).success();
    // A copy of the program alone in a folder, and no other on PATH.
    let alone = experiment.folder().join("alone");
    fs::create_dir(&alone).unwrap();
    let program = alone.join("metaqnn");
    make_program(&program, Program::CopyOf(env!("CARGO_BIN_EXE_metaqnn").as_ref()));
    let output = std::process::Command::new(program)
        .args(["train", "dir"])
        .current_dir(experiment.folder())
        .env("PATH", "/usr/bin:/bin")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(4));
    assert!(String::from_utf8_lossy(&output.stderr).contains("setup-libtorch.sh"));
    assert_eq!(experiment.log().len(), 0);
}

//! `metaqnn init`: what is refused before any work is done.

use std::fs;
use std::path::PathBuf;

use crate::support::{Experiment, SMALL};

#[test]
fn an_experiment_is_made_once() {
    let experiment = Experiment::init(SMALL);
    let frozen = experiment.text("experiment.yaml");
    assert!(frozen.starts_with("format_version: 2\n"));
    assert!(frozen.contains("replay_size: 100"), "every default is spelled out");
    assert_eq!(experiment.text("replay.csv").lines().count(), 1);
    experiment.run(&["init", "config.yaml", "dir"]).fails_with(2).says("exists already");
}

#[test]
fn settings_of_the_command_line_are_frozen() {
    let experiment = Experiment::with(SMALL);
    experiment.run(&["init", "config.yaml", "dir", "--set", "training.epochs=7"]).success();
    assert!(experiment.text("experiment.yaml").contains("epochs: 7"));
}

#[test]
fn another_format_version_is_refused() {
    let experiment = Experiment::init(SMALL);
    let path = experiment.path("experiment.yaml");
    let text = experiment.text("experiment.yaml");
    let refuses = |version: u32| {
        let sentence = format!(
            "has format version {version}, this program reads version 2 (use the program that began the experiment, or \
             begin a new one)"
        );
        for command in ["train", "reduce", "status", "submit", "verify", "cancel"] {
            experiment.run(&[command, "dir"]).fails_with(2).says(&sentence);
        }
        experiment.run(&["verify", "dir", "--repair"]).fails_with(2).says(&sentence);
        experiment.run(&["run", "config.yaml", "dir"]).fails_with(2).says(&sentence);
        experiment.run(&["export", "dir", "out"]).fails_with(2).says(&sentence);
    };
    for version in [1, 9] {
        fs::write(&path, text.replace("format_version: 2", &format!("format_version: {version}")))
            .unwrap();
        refuses(version);
    }
}

#[test]
fn a_folder_that_is_no_experiment_is_refused() {
    let experiment = Experiment::with(SMALL);
    experiment.run(&["status", "."]).fails_with(2).says("is not an experiment directory");
    experiment.run(&["status", "missing"]).fails_with(2).says("metaqnn init");
}

/// An IDX file: magic with the number of dimensions, their sizes, the bytes.
fn idx(sizes: &[u32], bytes: &[u8]) -> Vec<u8> {
    let mut file = vec![0, 0, 8, sizes.len() as u8];
    sizes.iter().for_each(|size| file.extend(size.to_be_bytes()));
    file.extend(bytes);
    file
}

fn with_images(labels: &[u8], cut: usize) -> Experiment {
    let experiment = Experiment::with(
        "experiment: {name: images}\n\
         data: {kind: idx, path: data, classes: 3, input_size: 4, channels: 1, validation: {images: 3}}\n\
         training: {trainer: synthetic}\n",
    );
    let data = experiment.folder().join("data");
    fs::create_dir(&data).unwrap();
    let count = labels.len() as u32;
    let images = idx(&[count, 4, 4], &vec![7; labels.len() * 16]);
    fs::write(data.join("train-images-idx3-ubyte"), &images[..images.len() - cut]).unwrap();
    fs::write(data.join("train-labels-idx1-ubyte"), idx(&[count], labels)).unwrap();
    experiment
}

#[test]
fn images_are_checked_and_their_bytes_remembered() {
    let experiment = with_images(&[0, 1, 2, 0, 1, 2, 0, 1, 2], 0);
    experiment.run(&["init", "config.yaml", "dir"]).success();
    let frozen = experiment.text("experiment.yaml");
    assert!(frozen.contains("sha256") && frozen.contains("train-labels-idx1-ubyte"));
    let path = experiment.folder().join("data").canonicalize().unwrap();
    assert!(frozen.contains(path.to_str().unwrap()), "the path of the data is absolute");
}

#[test]
fn weights_to_begin_with_that_are_no_models_are_refused() {
    let experiment = with_images(&[0, 1, 2, 0, 1, 2, 0, 1, 2], 0);
    let begin = |network: &str, trainer: &str| {
        let weights = format!("training.initial_weights=[[\"{network}\", models]]");
        let trainer = format!("training.trainer={trainer}");
        experiment.run(&["init", "config.yaml", "dir", "--set", &weights, "--set", &trainer])
    };
    let named = "`training.initial_weights` of `[SM(3)]`: cannot read `";
    begin("[SM(3)]", "torch").fails_with(4).says(named).says("/models/model.json`");
    begin("SM(3)", "torch").fails_with(2).says("give the network as the log has it");
    begin("[SM(3)]", "synthetic").fails_with(2).says("unless `training.trainer` is `torch`");
    assert!(!experiment.path("").exists());
}

#[test]
fn damaged_images_are_refused() {
    let truncated = with_images(&[0, 1, 2, 0, 1, 2], 5);
    truncated
        .run(&["init", "config.yaml", "dir"])
        .fails_with(3)
        .says("truncated")
        .says("train-images");
    let label = with_images(&[0, 1, 2, 0, 1, 3], 0);
    label.run(&["init", "config.yaml", "dir"]).fails_with(2).says("label `3`");
    let class = with_images(&[0, 1, 1, 0, 1, 0], 0);
    class.run(&["init", "config.yaml", "dir"]).fails_with(2).says("no image of class `2`");
    let missing = with_images(&[0, 1, 2], 0);
    fs::remove_dir_all(missing.folder().join("data")).unwrap();
    let torch = "training.trainer=torch";
    missing
        .run(&["init", "config.yaml", "dir", "--set", torch])
        .fails_with(2)
        .says("is not there, and `data.path` is the folder of the files");
    for experiment in [truncated, label, class, missing] {
        assert!(!experiment.path("").exists(), "nothing is left behind");
    }
}

#[test]
fn the_first_label_that_was_found_is_told_and_frozen() {
    let experiment = with_images(&[1, 2, 3, 1, 2, 3, 1, 2, 3], 0);
    let made = experiment.run(&["init", "config.yaml", "dir"]).success();
    drop(made.says("labels begin at 1, not at 0: `data.first_label: 1` is filled in"));
    assert!(experiment.text("experiment.yaml").contains("first_label: 1\n"));
    let again = &["init", "config.yaml", "other", "--set", "data.first_label=0"];
    experiment.run(again).fails_with(2).says("outside the `3` classes, which begin at `0`");
}

#[test]
fn a_class_that_would_not_be_judged_is_refused() {
    // Of ten images each of two classes and two of the first, three judge: none of the first.
    let labels = [[1, 2]; 10].concat();
    let experiment = with_images(&[&labels[..], &[0, 0]].concat(), 0);
    for command in [&["init", "config.yaml", "dir"][..], &["config", "--check", "config.yaml"]] {
        let refused = experiment.run(command).fails_with(2);
        let refused =
            refused.says("no image of class `0`, which has `2`, among the `3` for validation");
        drop(refused.says("raise `data.validation.images` to at least"));
    }
    assert!(!experiment.path("").exists(), "nothing is left behind");
}

#[test]
fn a_constant_answer_that_would_lead_is_warned_of() {
    // 16 of 20 images are of class 0, and 6 of the 8 that judge.
    let labels = [&[0; 16][..], &[1, 1, 2, 2]].concat();
    let experiment = with_images(&labels, 0);
    let images = ["--set", "data.validation.images=8"];
    for command in [["init", "config.yaml", "dir"], ["config", "--check", "config.yaml"]] {
        let warned = experiment.run(&[&command[..], &images].concat()).success();
        drop(
            warned
                .says("6 of the 8 images for validation are of class 0")
                .says("accuracy of 0.7500"),
        );
    }
}

#[test]
fn a_search_goes_on_only_with_the_images_it_began_with() {
    let experiment = with_images(&[0, 1, 2, 0, 1, 2, 0, 1, 2], 0);
    experiment.run(&["init", "config.yaml", "dir"]).success();
    experiment.run(&["train", "dir"]).success();
    let rows = experiment.log().len();
    let labels = experiment.folder().join("data/train-labels-idx1-ubyte");
    fs::write(&labels, idx(&[9], &[2, 1, 0, 2, 1, 0, 2, 1, 0])).unwrap();
    experiment.run(&["train", "dir"]).fails_with(3).says("train-labels-idx1-ubyte").says("changed");
    assert_eq!(experiment.log().len(), rows, "nothing was claimed");
}

/// Pictures of two classes, four bits of noise in each, below `<folder>/pictures`.
fn write_pictures(experiment: &Experiment, each: u32) -> PathBuf {
    let pictures = experiment.folder().join("pictures");
    for (class, name) in ["cat", "dog"].into_iter().enumerate() {
        fs::create_dir_all(pictures.join(name)).unwrap();
        for number in 0..each {
            let value = |x: u32, y: u32| (x * 71 + y * 13 + number * 37 + class as u32 * 101) as u8;
            let noise = image::GrayImage::from_fn(12, 9, |x, y| image::Luma([value(x, y)]));
            noise.save(pictures.join(format!("{name}/{number:03}.png"))).unwrap();
        }
    }
    pictures
}

#[test]
fn a_folder_of_pictures_needs_no_configuration() {
    let experiment = Experiment::with(SMALL);
    let pictures = write_pictures(&experiment, 10);
    let synthetic = ["--set", "training.trainer=synthetic", "--set"];
    let few = "epsilon_schedule=[{epsilon: 1.0, architectures: 2}]";
    let run = [&["run", "pictures/"], &synthetic[..], &[few]].concat();
    experiment.run(&run).success();
    let dir = experiment.folder().join("pictures-search");
    let frozen = fs::read_to_string(dir.join("experiment.yaml")).unwrap();
    for part in [
        "kind: images",
        "classes: 2",
        "input_size: 9",
        "channels: 1",
        "name: pictures-search",
        "\n  training,cat,cat/",
        "\n  validation,dog,dog/",
    ] {
        assert!(frozen.contains(part), "{part}: {frozen}");
    }
    let text = fs::read_to_string(dir.join("images.yaml")).unwrap();
    assert!(text.contains("  input_size: 9\n") && text.contains("  trainer: synthetic\n"));
    fs::remove_file(dir.join("images.yaml")).unwrap();
    // The same command goes on, whatever was added meanwhile, and another one does not.
    fs::write(pictures.join("dog/later.png"), "").unwrap();
    fs::remove_dir_all(experiment.folder().join(".metaqnn-cache")).unwrap();
    experiment.run(&run).success();
    let again = fs::read_to_string(dir.join("images.yaml")).unwrap();
    assert!(again.contains("  input_size: 9\n") && again.contains("  trainer: synthetic\n"));
    experiment.run(&["run", "pictures/", "--set", "data.classes=3"]).fails_with(2).says("classes");
    let other = ["run", ".", "pictures-search"];
    experiment.run(&other).fails_with(2).says("holds an experiment on other images");
}

#[test]
fn a_list_trains_on_the_pictures_of_its_search_unless_it_names_others() {
    let experiment = Experiment::with(SMALL);
    write_pictures(&experiment, 10);
    let few = "epsilon_schedule=[{epsilon: 1.0, architectures: 9}]";
    let run = ["run", "pictures/", "dir", "--set", "training.trainer=synthetic", "--set", few];
    let threshold = ["--set", "training.first_epoch_threshold=0.1"];
    experiment.run(&[&run[..], &threshold].concat()).success();
    let data = |dir: &str| {
        let in_force = experiment.run(&["config", "--in-force", dir]).success().stdout();
        let config: serde_yaml::Value = serde_yaml::from_str(&in_force).unwrap();
        (config["data"].clone(), config["training"]["first_epoch_threshold"].clone())
    };
    // A cache that is gone is made again, before the list is made and later.
    let cache = experiment.folder().join(".metaqnn-cache");
    fs::remove_dir_all(&cache).unwrap();
    experiment.run(&["init", "--from", "dir", "best"]).success();
    assert_eq!(
        (&data("best").0["kind"], &data("best").0["class_names"][0]),
        (&"npz".into(), &"cat".into())
    );
    fs::remove_dir_all(&cache).unwrap();
    experiment.run(&["train", "best"]).success();
    assert!(cache.is_dir());
    let other = experiment.folder().join("other");
    fs::rename(experiment.folder().join("pictures"), &other).unwrap();
    for class in ["cat", "dog"] {
        fs::rename(other.join(class), other.join(format!("{class}fish"))).unwrap();
    }
    experiment.run(&["init", "--from", "dir", "fish", "--set", "data.path=other"]).success();
    let (fish, threshold) = data("fish");
    assert_eq!((&fish["kind"], &fish["class_names"]), (&"images".into(), &serde_yaml::Value::Null));
    assert!(threshold.as_f64() > Some(0.5), "found anew: {threshold:?}");
}

#[test]
fn siblings_have_the_pictures_of_the_first_in_the_same_parts() {
    let experiment = Experiment::with(SMALL);
    write_pictures(&experiment, 100);
    let run = [
        "run",
        "pictures",
        "dir",
        "--seeds",
        "2",
        "--set",
        "training.trainer=synthetic",
        "--set",
        "epsilon_schedule=[{epsilon: 1.0, architectures: 1}]",
    ];
    experiment.run(&run).success();
    let cache = fs::read_dir(experiment.folder().join(".metaqnn-cache")).unwrap();
    let caches: Vec<_> = cache.map(|file| file.unwrap().path()).collect();
    assert_eq!(caches.len(), 1, "no other parts were made");
    let frozen = fs::read_to_string(experiment.folder().join("dir-seed2/experiment.yaml")).unwrap();
    let path = format!("path: {}\n", caches[0].display());
    for line in ["seed: 2\n", "kind: npz\n", &path, "- cat\n", "validation_images: 32\n"] {
        assert!(frozen.contains(line), "no {line} in {frozen}");
    }
    // A cache that is gone is made again from the list of the first.
    fs::remove_file(&caches[0]).unwrap();
    experiment.run(&run).success();
    assert!(caches[0].exists());
}

#[test]
fn what_pictures_cannot_be_used_is_named() {
    let experiment = Experiment::with(SMALL);
    let pictures = write_pictures(&experiment, 10);
    let inside = ["init", "pictures", "pictures/search", "--set", "training.trainer=synthetic"];
    experiment.run(&inside).fails_with(2).says("may not contain each other");
    fs::write(pictures.join("cat/cut.jpg"), [0xff, 0xd8, 0xff]).unwrap();
    let init = ["init", "pictures", "dir", "--set", "training.trainer=synthetic"];
    let refused = experiment.run(&init).fails_with(2);
    drop(refused.says("1 of 21 pictures in").says("\n  `cat/cut.jpg`: "));
    assert!(!experiment.path("").exists(), "nothing is left behind");
    let skipping = [&init[..], &["--skip-unreadable"]].concat();
    experiment.run(&skipping).success().says("are left out");
    assert!(experiment.text("experiment.yaml").contains("skip_unreadable: true"));
    experiment.run(&["train", "dir"]).success();
    // A cache that is gone is made again, unless a picture has changed.
    let cache = experiment.folder().join(".metaqnn-cache");
    fs::remove_dir_all(&cache).unwrap();
    let changed = pictures.join("dog/003.png");
    fs::copy(pictures.join("cat/003.png"), &changed).unwrap();
    experiment.run(&["train", "dir"]).fails_with(3).says("dog/003.png").says("has changed since");
}

#[test]
fn a_cache_that_cannot_be_written_names_the_remedy() {
    let experiment = Experiment::with(SMALL);
    write_pictures(&experiment, 10);
    fs::write(experiment.folder().join("file"), "").unwrap();
    let init = ["init", "pictures", "dir", "--set", "data.cache=file/below"];
    experiment.run(&init).fails_with(2).says("--set data.cache=FOLDER");
    let init = ["init", "pictures", "dir", "--set", "data.cache=cache"];
    experiment.run(&init).success();
    assert_eq!(fs::read_dir(experiment.folder().join("cache")).unwrap().count(), 1);
    // Spelt so that it resolves to another text once it is there.
    let few = "epsilon_schedule=[{epsilon: 1.0, architectures: 1}]";
    let synthetic = ["--set", "training.trainer=synthetic", "--set", few];
    std::os::unix::fs::symlink(".", experiment.folder().join("link")).unwrap();
    let run = ["run", "pictures", "other", "--set", "data.cache=link/later"];
    for _ in 0..2 {
        experiment.run(&[&run[..], &synthetic].concat()).success();
    }
}

#[test]
fn a_constant_answer_never_passes_the_first_epoch_of_own_pictures() {
    let experiment = Experiment::with(SMALL);
    let pictures = write_pictures(&experiment, 20);
    for number in 5..20 {
        fs::remove_file(pictures.join(format!("dog/{number:03}.png"))).unwrap();
    }
    // Of 20 and 5 pictures 4 and 2 are for validation: five of six must be right, and not four.
    experiment.run(&["init", "pictures", "dir"]).success();
    assert!(experiment.text("images.yaml").starts_with("# Pictures of one's own"));
    let text = experiment.text("experiment.yaml");
    assert!(text.contains("first_epoch_threshold: 0.8333333333333334\n"), "{text}");
}

#[test]
fn a_trainer_that_needs_no_images_begins_without_them() {
    let experiment = with_images(&[0, 1, 2], 0);
    fs::remove_dir_all(experiment.folder().join("data")).unwrap();
    experiment.run(&["init", "config.yaml", "dir"]).success().says("no image is checked");
    experiment.run(&["train", "dir"]).success();
}

#[test]
fn a_missing_trainer_is_refused_before_any_claim() {
    let experiment = Experiment::with(SMALL);
    experiment
        .run(&[
            "init",
            "config.yaml",
            "dir",
            "--set",
            "training.trainer=command",
            "--set",
            "training.command=[no-such-trainer]",
        ])
        .success();
    experiment.run(&["train", "dir"]).fails_with(4).says("no-such-trainer");
    assert_eq!(experiment.log().len(), 0, "nothing was claimed");
}

#[test]
fn a_path_that_scripts_and_logs_cannot_bear_is_refused() {
    let experiment = Experiment::with(SMALL);
    experiment.run(&["init", "config.yaml", "a%b"]).fails_with(2).says("contains `%`");
    experiment.run(&["init", "config.yaml", "a\nb"]).fails_with(2).says("control character");
    let no_text = std::os::unix::ffi::OsStrExt::from_bytes(b"a\xff");
    let mut command = experiment.command(&["init", "config.yaml"]);
    let output = command.arg::<&std::ffi::OsStr>(no_text).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("not valid UTF-8"));
    assert_eq!(fs::read_dir(experiment.folder()).unwrap().count(), 1, "nothing was made");
}

#[test]
fn an_init_that_was_killed_does_not_stand_in_the_way() {
    let experiment = Experiment::init(SMALL);
    // The last step of all makes it an experiment.
    fs::remove_file(experiment.path("experiment.yaml")).unwrap();
    fs::remove_dir(experiment.path("rounds")).unwrap();
    experiment.run(&["train", "dir"]).fails_with(2).says("is not an experiment directory");
    experiment.run(&["init", "config.yaml", "dir"]).success();
    experiment.run(&["train", "dir"]).success();
    // A search that has lost its configuration is not taken for one.
    fs::remove_file(experiment.path("experiment.yaml")).unwrap();
    for command in ["init", "run"] {
        experiment.run(&[command, "config.yaml", "dir"]).fails_with(2).says("exists already");
    }
    assert_eq!(experiment.log().len(), 2);
}

#[test]
fn a_file_in_the_place_of_the_directory_is_refused() {
    let experiment = Experiment::with(SMALL);
    for command in ["init", "run"] {
        experiment
            .run(&[command, "config.yaml", "config.yaml"])
            .fails_with(2)
            .says("config.yaml` exists already");
    }
    experiment
        .run(&["init", "config.yaml", "config.yaml/dir"])
        .fails_with(2)
        .says("config.yaml` exists already");
    // Not even root makes a folder there.
    experiment.run(&["init", "config.yaml", "/proc/dir"]).fails_with(4).says("/proc/dir");
    experiment.run(&["status", "config.yaml"]).fails_with(2).says("is not an experiment directory");
}

#[test]
fn an_experiment_is_the_same_wherever_it_lies() {
    let experiment = Experiment::init(SMALL);
    experiment.run(&["train", "dir"]).success();
    let moved = experiment.folder().join("a b/\u{e9}");
    fs::create_dir(experiment.folder().join("a b")).unwrap();
    fs::rename(experiment.path(""), &moved).unwrap();
    let moved = moved.to_str().unwrap();
    let gone = experiment.folder().join("gone");
    fs::create_dir(&gone).unwrap();
    let mut elsewhere = std::process::Command::new("sh");
    elsewhere.args(["-c", "cd \"$0\" && rmdir \"$0\" && \"$1\" status \"$2\" -q"]);
    elsewhere.arg(&gone).args([env!("CARGO_BIN_EXE_metaqnn"), moved]);
    assert!(elsewhere.output().unwrap().status.success(), "from a folder that is gone");
    experiment.run(&["run", "config.yaml", moved]).success();
    experiment.run(&["reduce", moved, "--rebuild"]).success();
    let status = experiment.run(&["status", moved, "--json"]).success().json();
    assert_eq!(status[0]["condition"], "finished");
}

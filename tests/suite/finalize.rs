//! `metaqnn finalize`: long trainings of the best networks, and their test.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use metaqnn::dataset::read_array;

use crate::support::{Experiment, SMALL, wait_until};
use crate::torch::{TINY, is_built, with_images, write_part};

/// A search of 18 networks, whose best are trained twice as long.
fn searched() -> Experiment {
    searched_with("{training: {epochs: 8}}")
}

fn searched_with(final_training: &str) -> Experiment {
    let experiment = Experiment::with(&format!("{SMALL}final_training: {final_training}\n"));
    experiment.run(&["run", "config.yaml", "dir", "-q"]).success();
    experiment
}

/// The results of a child: by architecture and repeat, what came of it.
fn results(experiment: &Experiment, child: &str) -> BTreeMap<(String, String), [String; 3]> {
    let log = experiment.path(&format!("final/{child}/replay.csv"));
    let mut rows = csv::Reader::from_path(&log).unwrap();
    let rows = rows.deserialize::<BTreeMap<String, String>>().map(Result::unwrap);
    let results = rows.filter(|row| ["trained", "failed"].contains(&row["event"].as_str()));
    let result = |row: BTreeMap<String, String>| {
        let of = |column: &str| row[column].clone();
        let came = ["event", "best_validation_accuracy", "epochs"].map(of);
        ((of("architecture"), of("repeat")), came)
    };
    results.map(result).collect()
}

/// Architectures by their roles, in order.
fn chosen(experiment: &Experiment) -> Vec<(String, String)> {
    let networks: serde_yaml::Value =
        serde_yaml::from_str(&experiment.text("final/networks.yaml")).unwrap();
    let networks = networks["networks"].as_sequence().unwrap().iter();
    let text = |of: &serde_yaml::Value, key: &str| of[key].as_str().unwrap().to_owned();
    networks.map(|of| (text(of, "role"), text(of, "architecture"))).collect()
}

fn list(experiment: &Experiment, child: &str) -> Vec<String> {
    let text = experiment.text(&format!("final/{child}/experiment.yaml"));
    let frozen: serde_yaml::Value = serde_yaml::from_str(&text).unwrap();
    let list = frozen["config"]["strategy"]["list"]["architectures"].as_sequence().unwrap();
    list.iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

/// `summary.csv` without what a killed command takes longer for, and iterations.
fn summary(experiment: &Experiment) -> Vec<BTreeMap<String, String>> {
    let mut rows = csv::Reader::from_path(experiment.path("final/summary.csv")).unwrap();
    let rows = rows.deserialize::<BTreeMap<String, String>>().map(Result::unwrap);
    let is_kept = |column: &str| column != "seconds" && !column.contains("outputs");
    rows.map(|row| row.into_iter().filter(|(column, _)| is_kept(column)).collect()).collect()
}

/// All files below a folder, and their contents.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.insert(path.display().to_string(), fs::read(&path).unwrap());
        }
    }
    found
}

#[test]
fn the_best_are_trained_for_long_and_the_best_of_these_on_all_images() {
    let images = "channels: 1, training_images: 100, validation: {images: 20}";
    let config = SMALL.replace("channels: 1", images);
    let experiment =
        Experiment::with(&format!("{config}final_training: {{training: {{epochs: 8}}}}\n"));
    experiment.run(&["run", "config.yaml", "dir", "-q"]).success();
    fs::write(
        experiment.folder().join("mine.txt"),
        "# mine\n[C(8,3,1), P(2,2), SM(10)]\n[P(2,2), SM(10)]\n",
    )
    .unwrap();
    let finalize = ["finalize", "dir", "--top", "3", "--ensemble", "2", "--baselines", "mine.txt"];
    let text = experiment.run(&finalize).success().stdout();
    assert!(text.contains("top model") && text.contains("No test error is known"), "{text}");

    let networks = chosen(&experiment);
    let of_role = |role: &str| networks.iter().filter(|of| of.0 == role).map(|of| &of.1).collect();
    let [top, control]: [Vec<&String>; 2] = ["top", "control"].map(of_role);
    let models = experiment.text("tables/models.csv");
    let mut best: Vec<_> = csv::Reader::from_reader(models.as_bytes())
        .deserialize::<BTreeMap<String, String>>()
        .map(Result::unwrap)
        .filter(|row| row["status"] == "trained")
        .map(|row| (row["best_validation_accuracy"].parse::<f64>().unwrap(), row))
        .collect();
    best.sort_by(|one, other| other.0.total_cmp(&one.0));
    let texts = |most: usize| best.iter().map(|(_, row)| &row["architecture"]).take(most);
    assert!(top.iter().copied().eq(texts(3)), "{top:?}");
    let distinct: BTreeSet<_> = networks.iter().map(|of| &of.1).collect();
    assert_eq!(distinct.len(), networks.len(), "each has one role");
    let others: Vec<_> = networks.iter().filter(|of| of.0 != "control").map(|of| &of.1).collect();
    let at_random = best.iter().filter(|(_, row)| row["epsilon"] == "1");
    let at_random = at_random.map(|(_, row)| &row["architecture"]);
    assert!(at_random.filter(|text| !others.contains(text)).take(10).eq(control), "{networks:?}");
    assert!(networks.contains(&("baseline".into(), "[P(2,2), SM(10)]".into())));

    assert!(list(&experiment, "1-validate").iter().eq(networks.iter().map(|of| &of.1)));
    let judged = results(&experiment, "1-validate");
    assert_eq!(judged.len(), networks.len());
    assert!(judged.values().any(|[event, _, epochs]| event == "trained" && epochs == "8"));
    let accuracy = |text: &str| {
        let [event, accuracy, _] = &judged[&(text.to_owned(), "1".to_owned())];
        accuracy.parse::<f64>().ok().filter(|_| event == "trained")
    };
    let best_of = |roles: &[&str]| {
        let of_roles = networks.iter().filter(|of| roles.contains(&of.0.as_str()));
        let mut of_roles: Vec<_> = of_roles.map(|of| &of.1).collect();
        of_roles.retain(|text| accuracy(text).is_some());
        of_roles.sort_by(|one, other| accuracy(other).unwrap().total_cmp(&accuracy(one).unwrap()));
        of_roles
    };
    let members = best_of(&["top", "per_depth"]);
    let expected = [members[0], members[1], best_of(&["control"])[0], best_of(&["baseline"])[0]];
    assert!(list(&experiment, "2-whole").iter().eq(expected));
    let whole = results(&experiment, "2-whole");
    assert_eq!(whole.len(), 12, "three times each");
    assert!(whole.values().all(|[_, accuracy, _]| accuracy.is_empty()), "none is judged");
    let frozen = experiment.text("final/2-whole/experiment.yaml");
    for key in [
        " images: 0\n",
        " training_images: 120\n",
        "keep_models: all\n",
        "repeats: 3\n",
        "name: small-whole\n",
    ] {
        assert!(frozen.contains(key), "{key} in {frozen}");
    }
    let table = experiment.text("final/summary.csv");
    let table: Vec<BTreeMap<String, String>> =
        csv::Reader::from_reader(table.as_bytes()).deserialize().map(Result::unwrap).collect();
    assert!(table.iter().map(|row| &row["architecture"]).eq(networks.iter().map(|of| &of.1)));
    for row in &table {
        let found = accuracy(&row["architecture"]).unwrap_or(-1.0);
        let shown = row["validation_accuracy"].parse::<f64>().unwrap_or(-1.0);
        assert!((shown - found).abs() < 1e-9, "{row:?}");
        let place = members.iter().take(2).position(|of| **of == row["architecture"]);
        assert_eq!(row["place"], place.map_or(String::new(), |place| (place + 1).to_string()));
        assert!(row["mean_test_error"].is_empty() && row["trainer"] == "synthetic");
    }
    let page = experiment.text("final/certificate.md");
    assert!(page.contains("**No test error: validation error only**"), "no images would help");
    assert!(page.contains(&format!("`{}`", members[0])) && page.contains("are made up"), "{page}");
    for file in ["depth.csv", "reads.csv", "columns.csv", "recompute.py", "certificate.json"] {
        assert!(!experiment.text(&format!("final/{file}")).is_empty());
    }
    let parent = experiment.path("");
    assert!(
        frozen
            .contains(&format!("experiment: {}\n", parent.to_str().unwrap().trim_end_matches('/')))
    );
}

#[test]
fn trainings_on_all_images_begin_with_the_rate_that_passed_the_first_epoch() {
    let experiment = searched();
    experiment.run(&["finalize", "dir", "--top", "12", "--ensemble", "12", "-q"]).success();
    let rates = |child: &str| {
        let path = experiment.path(&format!("final/{child}/replay.csv"));
        let mut log = csv::Reader::from_path(path).unwrap();
        let rows = log.deserialize::<BTreeMap<String, String>>().map(Result::unwrap);
        let trained = rows.filter(|row| row["event"] == "trained");
        trained.map(|row| (row["architecture"].clone(), row["learning_rate"].clone())).collect()
    };
    let [judged, whole]: [BTreeMap<String, String>; 2] = ["1-validate", "2-whole"].map(rates);
    assert!(whole.values().any(|rate| rate != "0.001"), "none began again: {whole:?}");
    for (network, rate) in whole {
        assert_eq!(rate, judged[&network], "{network}");
    }
}

#[test]
fn repeated_it_changes_nothing_and_a_longer_search_neither() {
    let experiment = searched();
    experiment.run(&["finalize", "dir", "--top", "2"]).success();
    let before = files(&experiment.path("final"));
    experiment.run(&["finalize", "dir"]).success();
    assert_eq!(files(&experiment.path("final")), before);
    let longer = "epsilon_schedule=[{epsilon: 1.0, architectures: 24}, {epsilon: 0.1, \
                  architectures: 6}]";
    experiment.run(&["set", "dir", longer]).success();
    experiment.run(&["train", "dir", "--until-done", "-q"]).success();
    experiment.run(&["finalize", "dir", "--seeds", "3", "-q"]).success();
    assert_eq!(files(&experiment.path("final")), before);
    experiment.run(&["verify", "dir"]).success();
    let status = experiment.run(&["status", "dir"]).success().stdout();
    assert!(status.contains("Final trainings: "), "{status}");
}

#[test]
fn other_options_are_refused_by_name_and_bad_ones_before_anything_is_made() {
    let experiment = searched();
    let refused = |options: &[&str], why: &str| {
        experiment.run(&[&["finalize", "dir"], options].concat()).fails_with(2).says(why);
    };
    fs::write(experiment.folder().join("mine.txt"), "[C(8,3,1), SM(7)]\n[P(99,2)]\n").unwrap();
    refused(&["--baselines", "mine.txt"], "line 2: `[P(99,2)]` cannot be trained here");
    refused(&["--baselines", "none.txt"], "none.txt` is not there");
    refused(&["--control", "none"], "none` is not an experiment directory");
    refused(&["--control", "dir"], "is no random search");
    refused(&["--top", "0", "--per-depth", "0"], "`--top` and `--per-depth` are 0");
    refused(&["--seeds", "0"], "--seeds");
    let others = SMALL.replace("  - {epsilon: 0.1, architectures: 6}\n", "");
    let others = others.replace("input_size: 16", "input_size: 12");
    fs::write(experiment.folder().join("others.yaml"), others).unwrap();
    experiment.run(&["init", "others.yaml", "others"]).success();
    refused(&["--control", "others"], "`--control`: `");
    assert!(!experiment.path("final").exists());

    experiment.run(&["finalize", "dir", "--top", "2", "-q"]).success();
    refused(&["--top", "3"], "`--top` is 3 here, and 2 in `");
    let step = experiment.run(&["finalize", "dir/final/1-validate"]).fails_with(2);
    step.says("dir/final/1-validate` is a step of a final training (name its search, `");
    refused(&["--seeds", "5"], "`--seeds` is 5 here, and 3 in `");
    refused(&["--per-depth", "2"], "`--per-depth` is 2 here");
    refused(&["--baselines", "mine.txt"], "`--baselines` is \"");
    let unsearched = Experiment::init(SMALL);
    unsearched.run(&["finalize", "dir"]).fails_with(2).says("no network of it is trained");
    assert!(!unsearched.path("final").exists());
}

#[test]
fn a_control_of_equal_cost_is_another_search_at_random() {
    let experiment = searched();
    let random = SMALL.replace("  - {epsilon: 0.1, architectures: 6}\n", "");
    let random = random.replace("seed: 5", "seed: 6").replace("name: small", "name: random");
    fs::write(experiment.folder().join("random.yaml"), random).unwrap();
    experiment.run(&["run", "random.yaml", "random", "-q"]).success();
    experiment.run(&["finalize", "dir", "--top", "2", "--control", "random", "-q"]).success();
    let found = fs::read_to_string(experiment.folder().join("random/replay.csv")).unwrap();
    let networks = chosen(&experiment);
    let controls = networks.iter().filter(|of| of.0 == "control");
    assert!(controls.clone().count() > 5 && controls.clone().all(|of| found.contains(&of.1)));
    assert!(experiment.text("final/networks.yaml").contains("\ncontrol:\n  experiment: random\n"));
    let mut depths = csv::Reader::from_path(experiment.path("final/depth.csv")).unwrap();
    let depths = depths.deserialize::<BTreeMap<String, String>>().map(Result::unwrap);
    let count: usize = depths.map(|row| row["networks"].parse::<usize>().unwrap()).sum();
    assert_eq!(count, networks.len() - controls.count(), "those of the search");
}

#[test]
fn a_trainer_of_ones_own_that_keeps_no_models_is_not_tested() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/example-trainer.py");
    let command = format!("trainer: command, command: [python3, {}]", script.display());
    let experiment = Experiment::with(&SMALL.replace("trainer: synthetic", &command));
    experiment.run(&["run", "config.yaml", "dir", "-q"]).success();
    let finalize = ["finalize", "dir", "--top", "1", "--per-depth", "0", "--seeds", "1", "-q"];
    let text = experiment.run(&finalize).success().stdout();
    assert!(text.contains("the trainer has kept no model"), "{text}");
    let status = experiment.run(&["status", "dir", "--json"]).success().stdout();
    assert!(status.contains("Final trainings: done, see "), "{status}");
}

#[test]
fn on_other_images_the_networks_are_trained_in_a_folder_of_their_own() {
    let experiment = searched();
    let few = "classes: 4, input_size: 20, training_images: 100, validation: {images: 20}";
    let other = SMALL.replace("classes: 10, input_size: 16", few);
    let other = other.replace("name: small", "name: other").replace("seed: 5", "seed: 6");
    let write = |name: &str, epochs: u32| {
        let text = format!("{other}final_training: {{training: {{epochs: {epochs}}}}}\n");
        let text = text.replace("name: other", &format!("name: {name}"));
        fs::write(experiment.folder().join("other.yaml"), text).unwrap();
    };
    write("other", 3);
    let finalize = ["finalize", "dir", "--data", "other.yaml"];
    experiment.run(&[&finalize[..], &["--top", "2", "--per-depth", "0"]].concat()).success();
    assert!(!experiment.path("final").exists());
    let frozen = experiment.text("final-other/1-validate/experiment.yaml");
    for key in ["input_size: 20\n", "epochs: 3\n", "seed: 6\n", "name: other-validate\n"] {
        assert!(frozen.contains(key), "{key} in {frozen}");
    }
    let whole = experiment.text("final-other/2-whole/experiment.yaml");
    assert!(frozen.contains("training_images: 100\n") && whole.contains("training_images: 120\n"));
    let models = experiment.text("tables/models.csv");
    let networks = experiment.text("final-other/networks.yaml");
    let networks = networks.lines().filter_map(|line| line.split_once("architecture: "));
    let networks: Vec<_> = networks.map(|(_, text)| text.trim_matches('\'')).collect();
    assert!(networks.len() > 2, "two of the best, others that were drawn at random");
    for text in networks {
        assert!(text.ends_with("SM(4)]"), "{text}");
        assert!(models.contains(&text.replace("SM(4)", "SM(10)").replace("GAP(4)", "GAP(10)")));
    }
    let certificate = experiment.text("final-other/certificate.md");
    let transfer =
        "**Transfer: all but the search is on other images, `other` (weights: scratch).**";
    assert!(certificate.contains(transfer), "{certificate}");

    // What was begun does not follow the file.
    let before = files(&experiment.path("final-other"));
    write("other", 5);
    experiment.run(&finalize).success();
    assert_eq!(files(&experiment.path("final-other")), before);
    assert!(certificate.contains("* Seed 6: the random numbers of a training"), "{certificate}");
    let found = [&finalize[..], &["--weights", "found"]].concat();
    experiment.run(&found).fails_with(2).says("`--weights` is \"found\" here, and \"scratch\" in");
    experiment.run(&["finalize", "dir", "--weights", "found"]).fails_with(2).says("--data");
    write("warm", 3);
    experiment.run(&found).success().says("is kept: it begins with new weights");
    experiment.run(&["verify", "dir"]).success();
    fs::remove_dir_all(experiment.path("final-warm/2-whole")).unwrap();
    let status = experiment.run(&["status", "dir", "--json"]).success().json();
    let notices = status[0]["notices"].as_array().unwrap().iter();
    let finals: Vec<_> = notices.filter_map(|it| it.as_str()?.strip_prefix("Final")).collect();
    assert!(finals[0].ends_with("final-other/certificate.md`."), "{finals:?}");
    assert!(finals[1].contains("next is `2-whole`: `metaqnn finalize /"), "{finals:?}");
    assert!(finals[1].ends_with("/other.yaml`."), "{finals:?}");
}

#[test]
fn pictures_of_the_search_keep_their_parts() {
    let data = "kind: images, path: pictures, classes: 2, input_size: 8, validation: {images: 20}";
    let config = SMALL.replace("classes: 10, input_size: 16", data);
    let experiment = Experiment::with(&config);
    for class in ["far", "near"] {
        let folder = experiment.folder().join("pictures").join(class);
        fs::create_dir_all(&folder).unwrap();
        for number in 0..100_u8 {
            let pixel =
                |x: u32, y: u32| image::Luma([number.wrapping_mul(37) ^ (x * 29 + y * 7) as u8]);
            let picture = image::ImageBuffer::<_, Vec<u8>>::from_fn(8, 8, pixel);
            picture.save(folder.join(format!("{number}.png"))).unwrap();
        }
    }
    experiment.run(&["run", "config.yaml", "dir", "-q"]).success();
    let data = |config: &str| {
        fs::write(experiment.folder().join("other.yaml"), config).unwrap();
        experiment.run(&["finalize", "dir", "--data", "other.yaml", "--top", "2", "-q"])
    };
    let other = config.replace("seed: 5", "seed: 6");
    data(&other).fails_with(2).says("with another seed").says("`experiment.seed` to 5");
    data(&config).success();
}

#[test]
fn two_at_once_and_kills_at_any_moment_end_in_the_same_trainings() {
    let slow = "{training: {epochs: 6, synthetic_epoch_seconds: 0.004}}";
    let whole = searched_with(slow);
    whole.run(&["finalize", "dir", "--top", "2", "-q"]).success();
    let experiment = searched_with(slow);
    let options = ["finalize", "dir", "--top", "2", "-q", "--workers", "2"];
    let start = || {
        let mut command = experiment.command(&options);
        command.process_group(0).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    };
    for kill in 0..20_u64 {
        let mut child = start();
        let mut other = (kill % 4 == 3).then(start);
        std::thread::sleep(Duration::from_millis(20 + kill * 53 % 190));
        for child in other.iter_mut().chain([&mut child]) {
            let group = rustix::process::Pid::from_child(child);
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
            child.wait().unwrap();
        }
    }
    let mut pair = [start(), start()];
    assert!(pair.each_mut().map(|child| child.wait().unwrap().success()).iter().all(|it| *it));
    assert_eq!(chosen(&experiment), chosen(&whole));
    for child in ["1-validate", "2-whole"] {
        assert_eq!(results(&experiment, child), results(&whole, child), "{child}");
    }
    assert_eq!(summary(&experiment), summary(&whole));
    experiment.run(&["verify", "dir"]).success();
}

#[test]
fn a_network_whose_training_is_killed_with_the_command_is_not_passed_over() {
    let experiment = searched_with("{training: {epochs: 6, synthetic_epoch_seconds: 0.4}}");
    let count = |what: &str| {
        let log = fs::read_to_string(experiment.path("final/1-validate/replay.csv"));
        log.map_or(0, |log| log.matches(what).count())
    };
    let options = ["finalize", "dir", "--top", "1", "--per-depth", "0", "--seeds", "1", "-q"];
    // A worker may outlive the command for a moment, and another network be claimed meanwhile.
    while count("its process is gone") < 3 {
        let before = count(",claimed,");
        let mut command = experiment.command(&options);
        let mut child = command.process_group(0).stderr(Stdio::null()).spawn().unwrap();
        wait_until("a network is in training", || count(",claimed,") > before);
        let group = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process_group(group, rustix::process::Signal::KILL).unwrap();
        child.wait().unwrap();
    }
    experiment.run(&[&options[..], &["--workers", "12"]].concat()).success();
    let log = experiment.text("final/1-validate/replay.csv");
    assert!(!log.contains("quarantined") && !log.contains("exhausted"), "{log}");
    assert_eq!(results(&experiment, "1-validate").len(), chosen(&experiment).len());
}

/// A search of real networks, finalized as far as `options` and its images let it.
fn tested(options: &[&str]) -> Experiment {
    let experiment = with_images(&format!("{TINY}final_training: {{training: {{epochs: 3}}}}\n"));
    write_part(&experiment.folder().join("data"), "t10k", 60);
    experiment.run(&["run", "config.yaml", "dir", "-q"]).success();
    experiment.run(&[&["finalize", "dir", "--seeds", "2", "-q"], options].concat()).success();
    experiment
}

#[test]
fn networks_begin_with_copies_of_the_weights_that_the_search_has_kept() {
    if !is_built("networks_begin_with_copies_of_the_weights_that_the_search_has_kept") {
        return;
    }
    let experiment = with_images(TINY);
    experiment.run(&["run", "config.yaml", "dir", "-q"]).success();
    for part in ["train", "t10k"] {
        write_part(&experiment.folder().join("others"), part, 180);
    }
    let others = TINY.replace("path: data", "path: others").replace("name: tiny", "name: others");
    let finalize = |channels: u32| {
        let others = others.replace("channels: 1", &format!("channels: {channels}"));
        fs::write(experiment.folder().join("others.yaml"), others).unwrap();
        let found = ["--data", "others.yaml", "--weights", "found", "--seeds", "1", "-q"];
        experiment.run(&[&["finalize", "dir"], &found[..]].concat())
    };
    finalize(3).fails_with(3).says("is of images of 1 channels, not of 3");
    assert!(!experiment.path("final-others").exists());
    finalize(1).success();
    // The search may go on without them.
    fs::remove_dir_all(experiment.path("models")).unwrap();
    let place = experiment.path("final-others");
    for child in ["1-validate", "2-whole"] {
        for model in fs::read_dir(place.join(child).join("models")).unwrap() {
            let card = fs::read(model.unwrap().path().join("model.json")).unwrap();
            let card: serde_json::Value = serde_json::from_slice(&card).unwrap();
            let begun_with = Path::new(card["request"]["initial_weights"].as_str().unwrap());
            assert!(begun_with.starts_with(place.join("weights")), "{}", begun_with.display());
            let source = fs::read(begun_with.join("model.json")).unwrap();
            let source: serde_json::Value = serde_json::from_slice(&source).unwrap();
            assert_eq!(source["request"]["architecture"], card["request"]["architecture"]);
        }
    }
    let certificate = experiment.text("final-others/certificate.md");
    assert!(certificate.contains("`others` (weights: found)"), "{certificate}");
    finalize(1).success();

    let results =
        |page: &str| page.lines().filter(|line| line.starts_with("| ")).collect::<String>();
    let mut here = experiment.path("").components().collect::<std::path::PathBuf>();
    let after = [("one", &["2-whole", "test"][..]), ("two", &["1-validate", "2-whole", "test"])];
    for (moved, steps) in after {
        for step in steps {
            fs::remove_dir_all(here.join("final-others").join(step)).unwrap();
        }
        let from = std::mem::replace(&mut here, experiment.folder().join(moved));
        fs::rename(from, &here).unwrap();
        experiment.run(&["finalize", moved, "--data", "others.yaml", "-q"]).success();
        let page = fs::read_to_string(here.join("final-others/certificate.md")).unwrap();
        assert_eq!(results(&page), results(&certificate), "{moved}");
    }
}

#[test]
fn a_trainer_that_evaluates_no_models_costs_the_test_alone() {
    if !is_built("a_trainer_that_evaluates_no_models_costs_the_test_alone") {
        return;
    }
    // `metaqnn-torch`, but for `evaluate`.
    let script = "\
import json, os, subprocess, sys
trainer = subprocess.Popen([os.environ['TRAINER']], stdin=subprocess.PIPE, text=True)
for line in sys.stdin:
    if json.loads(line).get('evaluate'):
        print(os.environ['ANSWER'], flush=True)
    else:
        trainer.stdin.write(line)
        trainer.stdin.flush()
trainer.stdin.close()
trainer.wait()
";
    let command = TINY
        .replace("training: {", "training: {trainer: command, command: [python3, trainer.py], ");
    let experiment = with_images(&command);
    write_part(&experiment.folder().join("data"), "t10k", 60);
    fs::write(experiment.folder().join("trainer.py"), script).unwrap();
    let trainer = Path::new(env!("CARGO_BIN_EXE_metaqnn")).with_file_name("metaqnn-torch");
    let run = |arguments: &[&str], answer: &str| {
        let mut command = experiment.command(arguments);
        let output = command.env("TRAINER", &trainer).env("ANSWER", answer).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).replace("\n", " ")
    };
    run(&["run", "config.yaml", "dir", "-q"], "");
    let finalize = ["finalize", "dir", "--top", "1", "--per-depth", "0", "--seeds", "1", "-q"];
    let answers = [
        (r#"{"failed": "what is that"}"#, "what is that"),
        (r#"{"done": true}"#, "1-validate-000001.1.npz"),
    ];
    for (answer, why) in answers {
        let said = run(&finalize, answer);
        assert!(said.contains("the trainer evaluates no models: ") && said.contains(why), "{said}");
        assert!(experiment.text("final/certificate.md").contains("validation error only"));
    }
}

fn reads(experiment: &Experiment) -> Vec<String> {
    let folder = fs::read_dir(experiment.path("final/test/reads")).unwrap();
    folder.map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap()).collect()
}

fn outputs(experiment: &Experiment) -> BTreeMap<String, Vec<u8>> {
    let mut outputs = files(&experiment.path("final/test"));
    outputs.retain(|name, _| name.ends_with(".npz"));
    outputs
}

#[test]
fn each_model_is_tested_once_by_a_plan_made_before() {
    if !is_built("each_model_is_tested_once_by_a_plan_made_before") {
        return;
    }
    let experiment = tested(&[]);
    let plan = experiment.text("final/test/plan.yaml");
    let trained = |child: &str| {
        results(&experiment, child).into_values().filter(|[event, ..]| event == "trained").count()
    };
    let [judged, whole] = ["1-validate", "2-whole"].map(trained);
    let counts = ["part: validation", "part: test"].map(|part| plan.matches(part).count());
    assert_eq!(counts, [judged, whole]);
    assert_eq!((outputs(&experiment).len(), reads(&experiment).len()), (judged + whole, 1));
    assert_eq!(reads(&experiment)[0].matches("- 2-whole-").count(), whole, "and no other model");

    // Outputs of the validation part have the accuracy of the training, those of the test part its
    // labels.
    let mut log = csv::Reader::from_path(experiment.path("final/1-validate/replay.csv")).unwrap();
    let rows = log.deserialize::<BTreeMap<String, String>>().map(Result::unwrap);
    for row in rows.filter(|row| row["event"] == "trained") {
        let name = format!("final/test/1-validate-{:0>6}.{}.npz", row["iteration"], row["attempt"]);
        let (right, labels) = hits(&experiment.path(&name));
        let accuracy: f64 = row["best_validation_accuracy"].parse().unwrap();
        assert!((right as f64 / 40.0 - accuracy).abs() < 1e-6 && labels.len() == 40, "{row:?}");
    }
    for name in outputs(&experiment).keys().filter(|name| name.contains("2-whole")) {
        let (_, labels) = hits(Path::new(name));
        assert!((0..60).map(|image| image % 2).eq(labels), "{name}");
    }

    let before = files(&experiment.path("final"));
    experiment.run(&["finalize", "dir", "-q"]).success();
    assert_eq!(files(&experiment.path("final")), before, "nothing is read again");
    assert!(
        experiment.text("final/certificate.md").contains("SHA-256 of `final/test/images.yaml`")
    );
    let again = ["finalize", "dir", "--read-test-again"];
    let problem = "`--read-test-again`: the models are those of";
    experiment.run(&again).fails_with(2).says(problem);
    experiment.run(&["verify", "dir"]).success();
}

fn hits(path: &Path) -> (usize, Vec<i64>) {
    let labels = read_array(path, "labels").unwrap().integers().unwrap();
    let probabilities = read_array(path, "probabilities").unwrap().numbers().unwrap();
    let is_right = |(row, label): &(&[f32], &i64)| (row[1] > row[0]) == (**label == 1);
    (probabilities.chunks(2).zip(&labels).filter(is_right).count(), labels)
}

#[test]
fn what_is_known_of_the_test_stays_without_models_and_images_but_not_without_its_openings() {
    if !is_built(
        "what_is_known_of_the_test_stays_without_models_and_images_but_not_without_its_openings",
    ) {
        return;
    }
    let experiment = tested(&["--top", "1", "--per-depth", "0"]);
    let before = summary(&experiment);
    assert!(!before[0]["test_error_1"].is_empty());
    for child in ["1-validate", "2-whole"] {
        fs::remove_dir_all(experiment.path(&format!("final/{child}/models"))).unwrap();
    }
    fs::remove_dir_all(experiment.folder().join("data")).unwrap();
    experiment.run(&["finalize", "dir", "-q"]).success();
    assert_eq!(summary(&experiment), before);
    assert!(experiment.path("final/model/model.onnx").is_file());

    let cut = outputs(&experiment).into_iter().next().unwrap();
    fs::write(&cut.0, &cut.1[..200]).unwrap();
    let problem = "damaged outputs (put it back from a copy";
    experiment.run(&["finalize", "dir", "-q"]).fails_with(3).says(problem);
    fs::write(&cut.0, &cut.1).unwrap();
    let weights = experiment.path("final/model/weights.safetensors");
    fs::write(&weights, &fs::read(&weights).unwrap()[..200]).unwrap();
    let verified = experiment.run(&["verify", "dir"]).stdout();
    assert!(verified.contains("note      final/model: "), "{verified}");

    let reads = experiment.path("final/test/reads");
    let read = fs::read_dir(&reads).unwrap().next().unwrap().unwrap().path();
    let text = fs::read_to_string(&read).unwrap();
    fs::write(&read, text.replace("plan: 1", "plan: 2")).unwrap();
    experiment.run(&["finalize", "dir", "-q"]).fails_with(3).says("is not what metaqnn wrote");
    fs::remove_file(&read).unwrap();
    let problem = "test/reads` says when the test images were opened for `";
    experiment.run(&["finalize", "dir", "-q"]).fails_with(3).says(problem);
    assert!(experiment.run(&["verify", "dir"]).fails_with(3).stdout().contains(problem));
    assert_eq!(summary(&experiment), before);
    fs::write(experiment.path("final/test/plan.yaml"), "plan: 1\n").unwrap();
    let verified = experiment.run(&["verify", "dir"]).fails_with(3).stdout();
    assert_eq!(verified.matches("plan.yaml`").count(), 1, "{verified}");
}

#[test]
fn every_opening_of_the_test_part_is_recorded_before_it_and_other_models_are_refused() {
    if !is_built(
        "every_opening_of_the_test_part_is_recorded_before_it_and_other_models_are_refused",
    ) {
        return;
    }
    let experiment = tested(&[]);
    let before = outputs(&experiment);
    let lost = before.keys().find(|name| name.contains("2-whole")).unwrap();
    fs::remove_file(lost).unwrap();
    let images = experiment.folder().join("data/t10k-images-idx3-ubyte");
    let whole = fs::read(&images).unwrap();
    // The same labels with other pixels.
    let other: Vec<_> =
        whole.iter().enumerate().map(|(at, byte)| byte ^ u8::from(at > 99)).collect();
    fs::write(&images, other).unwrap();
    let problem = "`t10k-images-idx3-ubyte` holds other test images than at the first reading";
    experiment.run(&["finalize", "dir", "-q"]).fails_with(3).says(problem);
    assert_eq!(reads(&experiment).len(), 2);
    fs::write(&images, whole).unwrap();
    let folders = || {
        let test = fs::read_dir(experiment.path("final/test")).unwrap();
        test.filter(|entry| entry.as_ref().unwrap().path().is_dir()).count()
    };
    assert_eq!(folders(), 2, "`reads`, and what the failed one has left");
    fs::write(lost, &before[lost]).unwrap();
    experiment.run(&["finalize", "dir", "-q"]).success();
    assert_eq!((folders(), reads(&experiment).len()), (1, 2), "nothing was left to test");
    fs::remove_file(lost).unwrap();
    experiment.run(&["finalize", "dir", "-q"]).success();
    assert_eq!((outputs(&experiment), reads(&experiment).len()), (before.clone(), 3));
    assert!(reads(&experiment).iter().all(|read| read.contains("plan: 1")));
    assert!(!experiment.text("final/test/plan.yaml").is_empty());
    assert_eq!(folders(), 1);

    // Another model in the place of one of the plan.
    fs::remove_file(lost).unwrap();
    let model = Path::new(lost).file_stem().unwrap().to_str().unwrap().replace("2-whole-", "");
    let folder = experiment.path("final/2-whole/models").join(&model);
    let other = fs::read_dir(experiment.path("final/1-validate/models")).unwrap().next().unwrap();
    fs::rename(&folder, experiment.folder().join("kept")).unwrap();
    copy(&other.unwrap().path(), &folder);
    let problem = format!("2-whole/models/{model}` is not the model that `");
    experiment.run(&["finalize", "dir", "-q"]).fails_with(3).says(&problem);
    assert_eq!(reads(&experiment).len(), 3, "nothing was opened");
    fs::remove_dir_all(&folder).unwrap();
    let again = ["finalize", "dir", "--read-test-again"];
    experiment.run(&again).success().says(&format!("2-whole/models/{model}` is not there"));
    let plan = experiment.text("final/test/plan.2.yaml");
    assert!(!plan.contains(&format!("2-whole-{model}")) && plan.contains("part: test"), "{plan}");
    assert_eq!(reads(&experiment).iter().filter(|read| read.contains("plan: 2")).count(), 1);
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
    }
}

#[test]
fn without_test_images_the_test_is_left_out_and_made_up_for_when_there_are_some() {
    if !is_built("without_test_images_the_test_is_left_out_and_made_up_for_when_there_are_some") {
        return;
    }
    let experiment = with_images(TINY);
    experiment.run(&["run", "config.yaml", "dir", "-q"]).success();
    let finalize = ["finalize", "dir", "--seeds", "1", "--top", "1", "--per-depth", "0"];
    experiment.run(&finalize).success();
    assert!(experiment.text("final/certificate.json").contains("t10k-images-idx3-ubyte"));
    assert!(!experiment.path("final/test").exists());
    write_part(&experiment.folder().join("data"), "t10k", 60);
    let status = || experiment.run(&["status", "dir", "--json"]).success().stdout();
    assert!(status().contains("next is `test`"));
    let untested = experiment.text("final/certificate.md");
    experiment.run(&finalize).success();
    assert!(status().contains("Final trainings: done"));
    fs::write(experiment.path("final/certificate.md"), untested).unwrap();
    assert!(status().contains("next is the report"), "it is of before the test");
    assert_eq!(reads(&experiment).len(), 1);
}

#[test]
fn killed_at_any_moment_real_trainings_and_outputs_are_the_same() {
    if !is_built("killed_at_any_moment_real_trainings_and_outputs_are_the_same") {
        return;
    }
    let options = ["--top", "2", "--per-depth", "0"];
    let whole = tested(&options);
    let experiment = with_images(&format!("{TINY}final_training: {{training: {{epochs: 3}}}}\n"));
    write_part(&experiment.folder().join("data"), "t10k", 60);
    experiment.run(&["run", "config.yaml", "dir", "-q"]).success();
    let finalize = [&["finalize", "dir", "--seeds", "2", "-q"], &options[..]].concat();
    for kill in 0..12_u64 {
        let mut command = experiment.command(&finalize);
        let mut child = command.process_group(0).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(100 + kill * 137 % 900));
        let group = rustix::process::Pid::from_child(&child);
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        child.wait().unwrap();
    }
    experiment.run(&finalize).success();
    for child in ["1-validate", "2-whole"] {
        assert_eq!(results(&experiment, child), results(&whole, child), "{child}");
    }
    assert_eq!(summary(&experiment), summary(&whole));
    let bytes = |of: &Experiment| outputs(of).into_values().collect::<BTreeSet<_>>();
    assert_eq!(bytes(&experiment), bytes(&whole), "whatever iteration they were of");
    assert!(!reads(&experiment).is_empty());
}

#[test]
fn damaged_and_edited_files_are_named() {
    let experiment = searched();
    experiment.run(&["finalize", "dir", "--top", "2", "-q"]).success();
    let networks = experiment.text("final/networks.yaml");
    for damaged in [networks.replace("role: top", "role: control"), networks[..200].to_owned()] {
        fs::write(experiment.path("final/networks.yaml"), damaged).unwrap();
        let problem = "final/networks.yaml` is not what metaqnn wrote";
        experiment.run(&["finalize", "dir"]).fails_with(3).says(problem);
        let verified = experiment.run(&["verify", "dir"]).fails_with(3).stdout();
        assert!(verified.contains("damage    final: ") && verified.contains(problem), "{verified}");
        let status = experiment.run(&["status", "dir", "--json"]).success().stdout();
        assert!(status.contains(problem), "{status}");
    }
    let other = searched_with("{training: {epochs: 9}}");
    other.run(&["finalize", "dir", "--top", "2", "-q"]).success();
    fs::write(experiment.path("final/networks.yaml"), other.text("final/networks.yaml")).unwrap();
    experiment.run(&["finalize", "dir"]).fails_with(3).says("is of another search than `");
    fs::write(experiment.path("final/networks.yaml"), networks).unwrap();
    let log = experiment.text("final/1-validate/replay.csv");
    fs::write(experiment.path("final/1-validate/replay.csv"), &log[..log.len() - 9]).unwrap();
    let verified = experiment.run(&["verify", "dir"]).fails_with(3).stdout();
    assert!(verified.contains("damage    final/1-validate/replay.csv:"), "{verified}");
    experiment.run(&["verify", "dir", "--repair"]);
    experiment.run(&["finalize", "dir", "-q"]).success();
    experiment.run(&["verify", "dir"]).success();
}

//! `metaqnn finalize`: long trainings of the best networks, and their test.

mod test_part; // with metaqnn-torch: outputs, openings, weights that were found

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
fn where_the_trainer_evaluates_no_models_the_test_is_left_out() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/proofs/model-trainer.py");
    // It ends at what it does not know.
    let script = fs::read_to_string(script).unwrap().replace("continue", "sys.exit()");
    let training = "final_training: {training: {epochs: 1}}\n";
    let command = "trainer: command, command: [python3, trainer.py, '0']";
    let experiment = Experiment::with(&(SMALL.replace("trainer: synthetic", command) + training));
    fs::write(experiment.folder().join("trainer.py"), script).unwrap();
    experiment.run(&["run", "config.yaml", "dir", "-q"]).success();
    let finalize = ["finalize", "dir", "--top", "1", "--per-depth", "0", "--seeds", "1"];
    let ran = experiment.run(&finalize).success().says("is asked to evaluate ");
    let said = ran.stdout().split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains("No test error is known: the trainer evaluates no models: "), "{said}");
    assert!(experiment.path("final/model/model.json").exists());
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

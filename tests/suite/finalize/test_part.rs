//! What `finalize` does with the test part and the models of real trainings.

use super::*;

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
    let problem = "damaged outputs (remove it: `metaqnn finalize` makes it again; or put it back";
    experiment.run(&["finalize", "dir", "-q"]).fails_with(3).says(problem);
    let other = outputs(&experiment).into_iter().next_back().unwrap();
    fs::write(&cut.0, &other.1).unwrap();
    let problem = "npz` holds outputs of another model than `1-validate/models/000";
    assert!(experiment.run(&["verify", "dir"]).fails_with(3).stdout().contains(problem));
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

//! The models of the best networks, with a trainer that writes them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{Experiment, SMALL, skip, wait_until};

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/proofs").join(name)
}

/// An experiment whose trainer is `model-trainer.py` with these arguments.
fn experiment(trainer: &str) -> Experiment {
    let command = format!(
        "trainer: command, command: [python3, {}, {trainer}]",
        script("model-trainer.py").display()
    );
    Experiment::init(&SMALL.replace("trainer: synthetic", &command))
}

/// Asserts that the ten best results have their models, and that there are no others.
#[track_caller]
fn has_the_best_models(experiment: &Experiment) {
    let mut check = Command::new(script("models.py"));
    let output = check.arg(experiment.path("")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

fn models(experiment: &Experiment) -> Vec<String> {
    let names = fs::read_dir(experiment.path("models")).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

#[test]
fn the_ten_best_networks_keep_their_weights_and_a_damaged_one_is_noted() {
    let experiment = experiment("'0'");
    experiment.run(&["run", "config.yaml", "dir", "--workers", "2"]).success();
    has_the_best_models(&experiment);
    let status = &experiment.run(&["status", "dir", "--json"]).success().json()[0];
    let best = status["best"]["model"].as_str().unwrap();
    let iteration: u64 = best["models/".len()..].split_once('.').unwrap().0.parse().unwrap();
    assert_eq!(status["best"]["iteration"], iteration);
    let shown = experiment.run(&["status", "dir"]).success().stdout();
    assert!(shown.replace("\n            ", " ").contains(&format!("model {best}")), "{shown}");
    let verify = || experiment.run(&["verify", "dir"]).success().stdout();
    assert!(!verify().contains("models/"), "{}", verify());
    let weights = experiment.path(best).join("weights.safetensors");
    let mut bytes = fs::read(&weights).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&weights, bytes).unwrap();
    assert!(verify().contains(&format!("note      {best}: ")), "{}", verify());
}

#[test]
fn as_many_models_are_kept_as_are_asked_for() {
    for (keep, expected) in [("0", 0), ("3", 3), ("all", 18)] {
        let experiment = experiment("'0'");
        fs::remove_dir_all(experiment.path("")).unwrap();
        let keep = format!("training.keep_models={keep}");
        experiment.run(&["init", "config.yaml", "dir", "--set", &keep]).success();
        experiment.run(&["train", "dir", "--until-done", "--reduce"]).success();
        assert_eq!(models(&experiment).len(), expected, "{:?}", models(&experiment));
    }
    let refused = experiment("'0'");
    fs::remove_dir_all(refused.path("")).unwrap();
    let few = ["init", "config.yaml", "dir", "--set", "training.keep_models=few"];
    refused.run(&few).fails_with(2).says("a number of models, or `all`");
}

/// An attempt that was killed goes on in the next one: after its third epoch of four, or when its
/// model had its name and its result was not in the log yet.
#[test]
fn the_weights_of_a_killed_attempt_are_those_of_the_next() {
    for has_its_name in [false, true] {
        let experiment = experiment("0, '3'");
        let mut first = experiment.task("dir", "0").spawn().unwrap();
        let text = |name| fs::read_to_string(experiment.path(name)).unwrap_or_default();
        wait_until("the third epoch", || {
            let rows = text("curves/000001.1.csv").matches('\n').count();
            rows == 4 && text("checkpoints/000001.1/epochs") == "3"
        });
        first.kill().unwrap();
        first.wait().unwrap();
        assert_eq!(models(&experiment), ["000001.1.part"]);
        let part = experiment.path("models/000001.1.part");
        if has_its_name {
            fs::rename(&part, experiment.path("models/000001.1")).unwrap();
        }
        assert!(experiment.task("dir", "0").status().unwrap().success());
        let result = experiment.log().pop().unwrap();
        assert_eq!((result["event"].as_str(), result["attempt"].as_str()), ("trained", "2"));
        let best_epoch: u32 = result["best_epoch"].parse().unwrap();
        assert!(best_epoch < 4, "the first attempt has trained it");
        let weights = fs::read(experiment.path("models/000001.2/weights.safetensors")).unwrap();
        let value = f32::from_le_bytes(*weights.last_chunk().unwrap());
        assert_eq!(value, 1.0 + 1.0 / 256.0);
        assert_eq!(models(&experiment).len(), 2);
        experiment.run(&["reduce", "dir"]).success();
        assert_eq!(models(&experiment), ["000001.2"]);
        has_the_best_models(&experiment);
    }
}

#[test]
fn a_model_that_is_not_what_it_should_be_costs_no_result() {
    let trainer = r#"
import json, os, sys
for line in sys.stdin:
    request = json.loads(line)
    os.makedirs(request["model"])
    for name in ["weights", "preprocessing"]:
        open(request["model"] + f"/{name}.safetensors", "w").write("numbers")
    for epoch in range(1, request["epochs"] + 1):
        print(json.dumps({"epoch": epoch, "validation_accuracy": 0.5}), flush=True)
    print('{"done": true}', flush=True)
"#;
    let command = "trainer: command, command: [python3, trainer.py]";
    let experiment = Experiment::with(&SMALL.replace("trainer: synthetic", command));
    fs::write(experiment.folder().join("trainer.py"), trainer).unwrap();
    experiment.run(&["init", "config.yaml", "dir"]).success();
    experiment
        .run(&["train", "dir"])
        .success()
        .says("the model of iteration 1 is not kept: ")
        .says("weights.safetensors` is no whole safetensors file");
    assert_eq!(experiment.log()[1]["event"], "trained");
    assert!(models(&experiment).is_empty());
}

#[test]
fn classify_refuses_a_picture_of_other_bits_than_those_of_the_training() {
    let python = |script: &str, folder: &Path| {
        Command::new("python3").args(["-c", script]).current_dir(folder).output().unwrap()
    };
    let folder = tempfile::tempdir().unwrap();
    if !python("import numpy, PIL", folder.path()).status.success() {
        let test = "classify_refuses_a_picture_of_other_bits_than_those_of_the_training";
        return skip(test, "python3 has no numpy or Pillow");
    }
    let classify = include_bytes!("../../src/model/classify.py");
    fs::write(folder.path().join("classify.py"), classify).unwrap();
    for (range, bits, refused) in [
        ("[0, 255]", 8, None),
        ("[0, 255]", 16, Some("has 16 bits, and the network was trained on 8")),
        ("[100, 3000]", 8, Some("has 8 bits, and the network was trained on 16")),
        ("[100, 3000]", 16, None),
    ] {
        let data = format!(r#"{{"channels": 1, "input_size": 4, "value_range": {range}}}"#);
        let card = format!(r#"{{"classes": ["a"], "data": {data}}}"#);
        fs::write(folder.path().join("model.json"), card).unwrap();
        let script = format!(
            "import numpy, PIL.Image\n\
             PIL.Image.fromarray(numpy.full((4, 4), 90, numpy.uint{bits})).save('x.png')\n\
             import classify\n\
             classify.read('x.png')"
        );
        let output = python(&script, folder.path());
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.success(), refused.is_none(), "{range}, {bits}: {said}");
        assert!(said.contains(refused.unwrap_or("")), "{range}, {bits}: {said}");
    }
}

#[test]
fn no_model_of_the_best_is_lost_to_kills() {
    let experiment = experiment("'0.02'");
    let kills = Command::new(script("kills.py"))
        .args([env!("CARGO_BIN_EXE_metaqnn").as_ref(), experiment.path("").as_os_str()])
        .args(["12", "1", "3"])
        .output()
        .unwrap();
    assert!(kills.status.success(), "{}", String::from_utf8_lossy(&kills.stdout));
    experiment.run(&["run", "config.yaml", "dir", "--workers", "2"]).success();
    has_the_best_models(&experiment);
}

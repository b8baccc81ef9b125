//! `check-trainer` on trainers with one fault each.

use std::fs;

use crate::support::Experiment;

/// A trainer without a fault, in which each test spoils a line.
const GOOD: &str = r#"
import json, os, select, signal, sys
left = []
for name in (signal.SIGTERM, signal.SIGUSR1):
    signal.signal(name, lambda *_: left.append(1))
def say(**message):
    print(json.dumps(message), flush=True)
def is_stopped():
    return select.select([sys.stdin], [], [], 0)[0] and sys.stdin.readline()
def train(request):
    first, folder = 1, request["checkpoint"]
    if request["resume"]:
        first = 1 + int(open(os.path.join(folder, "epoch")).read())
    for epoch in range(first, request["epochs"] + 1):
        say(epoch=epoch, validation_accuracy=0.5)
        if folder:
            os.makedirs(folder, exist_ok=True)
            with open(os.path.join(folder, "epoch.part"), "w") as file:
                file.write(str(epoch))
            os.replace(file.name, os.path.join(folder, "epoch"))
        if left:
            sys.exit(75)
        if is_stopped():
            break
    say(done=True)
while True:
    line = sys.stdin.readline()
    if not line:
        break
    train(json.loads(line))
"#;

/// Longer than the start of Python takes on a busy machine.
const WAITS_IN_VAIN: &str = "10";

/// The lines of the checks, without those that are ok, and the exit status.
fn check(trainer: &str, timeout: &str) -> (Vec<String>, Option<i32>) {
    let place = Experiment::with("");
    fs::write(place.folder().join("trainer.py"), trainer).unwrap();
    let command = ["check-trainer", "--timeout", timeout, "python3", "trainer.py"];
    let output = place.command(&command).env_remove("PYTHONUNBUFFERED").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let wrong = text.lines().filter(|line| !line.starts_with("ok "));
    (wrong.map(str::to_owned).collect(), output.status.code())
}

#[test]
fn a_trainer_without_a_fault_has_no_finding() {
    assert_eq!(check(GOOD, "60"), (vec![], Some(0)));
}

#[test]
fn each_of_many_faults_is_named_with_what_to_do() {
    let accuracy = "say(epoch=epoch, validation_accuracy=0.5)";
    let spoilt = [
        ("import json", "print('Using device: cpu')\nimport json", "stdout is for one JSON object"),
        ("json.dumps(message)", "message", "json.dumps"),
        ("json.dumps(message)", "json.dumps(message).replace('0.5', '0,5')", "decimal comma"),
        (accuracy, "say(epoch=epoch, validation_accuracy=50)", "outside [0, 1]"),
        (accuracy, "say(epoch=epoch - 1, validation_accuracy=0.5)", "epochs count from 1"),
        (accuracy, "say(epoch=epoch, val_acc=0.5)", "an epoch without `validation_accuracy`"),
        ("    say(done=True)", "    sys.exit()", "without a line `{\"done\": true}`"),
        (", flush=True", "", "flush=True"),
        ("    first, folder", "    1 / 0\n    first, folder", "ZeroDivisionError"),
        ("if is_stopped():", "if False:", "`{\"stop\": true}`"),
        ("while True:", "for _ in range(1):", "wait for the next request"),
        ("    if not line:\n        break", "    while not line:\n        pass", "when stdin ends"),
        ("lambda *_: left.append(1)", "signal.SIG_IGN", "it goes on after the signal"),
        ("sys.exit(75)", "sys.exit(1)", "exit with 75"),
        ("first = 1 + int", "first = 5 + int", "the curve lacks epochs"),
        ("if request[\"resume\"]:", "if False:", "it goes on with epoch 1"),
        ("        if folder:", "        if False:", "No such file or directory"),
    ];
    for (part, fault, named) in spoilt {
        assert!(GOOD.contains(part), "{part}");
        let waits = ["", "    while not line:\n        pass"];
        let timeout = if waits.contains(&fault) { WAITS_IN_VAIN } else { "60" };
        let (wrong, status) = check(&GOOD.replacen(part, fault, 1), timeout);
        assert!(wrong.iter().any(|line| line.contains(named)), "{fault}: {wrong:#?}");
        // A warning works, and costs time.
        let fails = wrong.iter().any(|line| line.starts_with("failure"));
        assert_eq!(status, Some(if fails { 4 } else { 0 }), "{fault}: {wrong:#?}");
    }
}

#[test]
fn a_trainer_may_be_that_of_a_configuration_and_answers_may_be_json() {
    let place = Experiment::with(
        "experiment: {name: t}
data: {classes: 3, input_size: 9, channels: 1}
training: {trainer: command, command: [python3, trainer.py]}
early_stopping: {enabled: false}
",
    );
    let asked =
        "assert (request[\"classes\"], request[\"input_size\"]) == (3, 9)\n    first, folder";
    let trainer = GOOD.replacen("first, folder", asked, 1);
    fs::write(place.folder().join("trainer.py"), trainer).unwrap();
    let command = ["check-trainer", "--config", "config.yaml", "--json"];
    let checks = place.run(&command).success().json();
    let names: Vec<_> = checks.iter().map(|check| check["check"].as_str().unwrap()).collect();
    assert_eq!(names, ["training", "stop", "end of stdin", "TERM", "resume", "USR1"]);
    assert!(checks.iter().all(|check| check["verdict"] == "ok"), "{checks:?}");
    let ran = place.run(&["check-trainer", "./none"]).fails_with(4).stdout();
    assert!(ran.contains("it is not there"), "{ran}");
    place.run(&["check-trainer"]).fails_with(2);
}

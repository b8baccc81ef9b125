//! Trainers that are processes: good ones, and one for each way to be bad.

use std::fs;
use std::thread;
use std::time::Instant;

use tempfile::TempDir;

use super::super::fixture::request;
use super::super::protocol::EpochReport;
use super::super::trainer::Signal;
use super::*;

mod dialogue;
mod ends;

/// For what is waited for in vain.
const BRIEF: Duration = Duration::from_millis(100);

/// For what happens soon; enough for the busiest machine, since nothing waits for it to pass.
const LONG: Duration = Duration::from_secs(120);

/// A shell's way to end an epoch, well.
const SAY: &str = r#"
epoch() { echo "{\"epoch\": $1, \"validation_accuracy\": 0.5, \"training_loss\": $2}"; }
done_() { echo '{"done": true}'; }
"#;

/// A trainer, the place of its logs, and what its callback got.
struct Stage {
    trainer: ProgramTrainer,
    interrupt: Interrupt,
    folder: TempDir,
    reports: Vec<EpochReport>,
}

impl Stage {
    /// Sets up a trainer that runs `script` in a shell; `$1` is an empty folder.
    fn new(script: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let script = format!("{SAY}{script}");
        let place = folder.path().to_str().unwrap();
        Self::of(&["sh", "-c", &script, "trainer", place].map(str::to_owned), folder)
    }

    fn of(command: &[String], folder: TempDir) -> Self {
        let interrupt = Interrupt::default();
        let mut trainer = ProgramTrainer::given(command, interrupt.clone());
        trainer.timeouts = Timeouts { farewell: BRIEF, rest: LONG, ..Timeouts::default() };
        Self { trainer, interrupt, folder, reports: Vec::new() }
    }

    fn train_with(
        &mut self,
        request: &Request,
        mut then: impl FnMut(&EpochReport) -> ControlFlow<()>,
    ) -> Result<TrainingEnd, TrainingError> {
        let log =
            self.folder.path().join(format!("{:06}.{}.log", request.iteration, request.attempt));
        self.trainer.train(request, &log, &mut |report| {
            let Report::Epoch(report) = report else { return ControlFlow::Continue(()) };
            self.reports.push(report.clone());
            then(report)
        })
    }

    /// Trains for two epochs, to the end.
    fn train(&mut self) -> Result<TrainingEnd, TrainingError> {
        self.train_with(&request(2), |_| ControlFlow::Continue(()))
    }

    /// Trains for two epochs; `signal` arrives after the first.
    fn train_until(&mut self, signal: Signal) -> Result<TrainingEnd, TrainingError> {
        let interrupt = self.interrupt.clone();
        self.train_with(&request(2), |_| {
            interrupt.raise(signal);
            ControlFlow::Continue(())
        })
    }

    fn error(&mut self) -> String {
        self.train().unwrap_err().to_string()
    }

    /// Returns the process number that the script wrote into `name`.
    fn process(&self, name: &str) -> u32 {
        process_in(&self.folder.path().join(name))
    }
}

fn process_in(file: &Path) -> u32 {
    fs::read_to_string(file).unwrap().trim().parse().unwrap()
}

/// Returns whether a process runs; one that is not reaped yet does not.
fn is_running(process: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with('Z'))
}

/// Returns whether it became so, within [`LONG`].
fn comes_to(mut is_so: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + LONG;
    while !is_so() {
        if Instant::now() >= end {
            return false;
        }
        thread::sleep(Duration::from_millis(5));
    }
    true
}

fn ends_soon(process: u32) -> bool {
    comes_to(|| !is_running(process))
}

#[test]
fn one_program_serves_many_requests() {
    let mut stage = Stage::new(
        r#"while read -r request; do
            case $request in *'"architecture":"[C(64,3,1), '*) epoch 1 $$; epoch 2 $$; done_;; esac
        done"#,
    );
    assert_eq!(stage.train().unwrap(), TrainingEnd::Done);
    assert_eq!(stage.train().unwrap(), TrainingEnd::Done);
    assert_eq!(stage.reports.iter().map(|report| report.epoch).collect::<Vec<_>>(), [1, 2, 1, 2]);
    assert!(
        stage.reports.iter().all(|report| report.training_loss == stage.reports[0].training_loss)
    );
}

#[test]
fn the_example_is_a_trainer() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/example-trainer.py");
    let command = ["python3", script].map(str::to_owned);
    let mut stage = Stage::of(&command, tempfile::tempdir().unwrap());
    assert_eq!(stage.train().unwrap(), TrainingEnd::Done);
    // It learns of the stop when it has trained to the end, and passes it over.
    let stopped = stage.train_with(&request(3), |_| ControlFlow::Break(()));
    assert_eq!(stopped.unwrap(), TrainingEnd::Stopped);
    assert_eq!(stage.reports.len(), 3, "no epoch is reported after a stop");
    assert_eq!(stage.train().unwrap(), TrainingEnd::Done);
    assert_eq!(stage.reports[0], stage.reports[3], "the same seed, the same curve");
}

#[test]
fn a_trainer_asked_to_stop_ends_early_and_waits() {
    let mut stage = Stage::new(
        r#"while read -r request; do
            epoch 1 $$; read -r line
            case $line in '{"stop":true}') done_;; esac
        done"#,
    );
    for _ in 0..2 {
        let ending = stage.train_with(&request(20), |_| ControlFlow::Break(()));
        assert_eq!(ending.unwrap(), TrainingEnd::Stopped);
    }
    assert_eq!(stage.reports[0], stage.reports[1], "one process");
}

#[test]
fn a_trainer_that_does_not_stop_is_killed_and_the_verdict_stands() {
    // Neither silence nor words buy time.
    let nan = r#"echo '{"epoch": 2, "validation_accuracy": NaN}'; sleep 0.05"#;
    for goes_on in ["sleep 0.01", nan] {
        let mut stage = Stage::new(&format!(
            "echo $$ > $1/process; read -r request; epoch 1 0; while :; do {goes_on}; done"
        ));
        let mut quick = request(20);
        quick.recipe.silence_limit = 0.3;
        let ending = stage.train_with(&quick, |_| ControlFlow::Break(()));
        assert_eq!(ending.unwrap(), TrainingEnd::Stopped, "{goes_on}");
        assert!(!is_running(stage.process("process")), "{goes_on}");
    }
}

#[test]
fn a_trainer_that_begins_again_and_again_is_ended() {
    let mut stage = Stage::new(
        r#"read -r request; s=0
        while :; do s=$((s+1)); echo "{\"epoch\": 1, \"start\": $s, \"validation_accuracy\": 0.1}"; done"#,
    );
    let error = stage.error();
    assert!(error.contains("start 6 of 5"), "{error}");
    assert_eq!(stage.reports.iter().map(|report| report.start).max(), Some(5));
}

#[test]
fn a_verdict_stands_even_if_the_trainer_dies_of_it() {
    let mut stage = Stage::new("read -r request; epoch 1 $$; read -r line; exit 1");
    let ending = stage.train_with(&request(20), |_| ControlFlow::Break(()));
    assert_eq!(ending.unwrap(), TrainingEnd::Stopped);
}

#[test]
fn the_fault_of_a_network_is_an_ending() {
    let mut stage = Stage::new(
        r#"read -r request; epoch 1 0; echo '{"failed": "diverged"}'
        read -r request; echo '{"out_of_memory": true, "peak_bytes": 7}'; read -r end"#,
    );
    assert_eq!(stage.train().unwrap(), TrainingEnd::Failed { reason: "diverged".into() });
    assert_eq!(stage.train().unwrap(), TrainingEnd::OutOfMemory { peak_bytes: Some(7) });
}

#[test]
fn a_network_that_diverges_has_failed_and_its_trainer_is_ended() {
    let mut stage = Stage::new(
        r#"echo $$ > $1/process; read -r request; epoch 1 0
        echo '{"epoch": 2, "validation_accuracy": 0.1, "training_loss": NaN}'
        while :; do sleep 0.01; done"#,
    );
    let Ok(TrainingEnd::Failed { reason }) = stage.train() else {
        panic!("a divergence is an ending")
    };
    assert_eq!(reason, "the loss or the accuracy of epoch 2 is not a finite number");
    assert_eq!(stage.reports.len(), 1);
    assert!(!is_running(stage.process("process")));
}

#[test]
fn a_breach_of_the_protocol_ends_the_program_and_the_next_request_begins_afresh() {
    for (line, problem) in [
        ("loading...", "stdout is for one JSON object a line"),
        (r#"{"epoch": 1, "validation_accuracy": 86.0}"#, "outside [0, 1]"),
        (r#"{"epoch": 2, "validation_accuracy": 0.5}"#, "at the beginning"),
        (r#"{"done": true}"#, "done after epoch 0 of 2"),
    ] {
        let mut stage = Stage::new(&format!(
            "echo $$ > $1/process; read -r request
            if mkdir $1/first; then echo '{line}'; else epoch 1 0; epoch 2 0; done_; fi
            while :; do sleep 0.01; done"
        ));
        let error = stage.error();
        assert!(error.contains(problem) && error.contains(line), "{error}");
        assert!(!is_running(stage.process("process")));
        assert_eq!(stage.train().unwrap(), TrainingEnd::Done);
    }
}

#[test]
fn a_line_of_megabytes_is_refused() {
    let mut stage =
        Stage::new("read -r request; head -c 9000000 /dev/zero | tr '\\0' x; read -r end");
    let error = stage.error();
    assert!(error.contains("longer than 1048576 bytes, in `xxx"), "{error}");
    assert!(error.len() < 600);
}

#[test]
fn a_crash_says_how_and_keeps_the_stderr_tail() {
    let mut stage =
        Stage::new("read -r request; epoch 1 0; echo 'Illegal memory access' >&2; kill -9 $$");
    assert_eq!(
        stage.error(),
        "the trainer crashed after epoch 1 of 2 (signal 9 (KILL), mostly for want of memory: raise \
         `slurm.memory`, see `oom-kill` in the job's log): Illegal memory access"
    );
    assert_eq!(stage.reports.len(), 1);
    let log = fs::read_to_string(stage.folder.path().join("000001.1.log")).unwrap();
    assert_eq!(log, "Illegal memory access\n");
    let exit = Stage::new("read -r request; exit 3").error();
    assert_eq!(
        exit,
        "the trainer crashed before the first epoch (exit status 3): it wrote nothing to stderr"
    );
}

#[test]
fn a_crash_takes_along_what_the_trainer_had_started() {
    let mut stage = Stage::new("read -r request; sleep 1000 & echo $! > $1/worker; exit 1");
    assert!(stage.error().contains("exit status 1"));
    assert!(ends_soon(stage.process("worker")));
}

#[test]
fn a_refusal_is_no_crash() {
    let mut stage = Stage::new(r#"read -r request; echo '{"refused": "no GPU"}'; exit 4"#);
    assert_eq!(stage.error(), "the trainer `sh` refused to work: no GPU");
}

#[test]
fn a_program_that_is_missing_is_named() {
    let command = ["./no-such-trainer".to_owned()];
    let mut stage = Stage::of(&command, tempfile::tempdir().unwrap());
    assert_eq!(
        stage.error(),
        "failed to start the trainer `./no-such-trainer` (it is not there; no shell reads `$`, `~` or \
         a second word)"
    );
}

#[test]
fn silence_has_a_limit() {
    let mut stage = Stage::new(
        "echo $$ > $1/process; read -r request; epoch 1 0; epoch 2 0; done_; read -r request; sleep 1000",
    );
    assert_eq!(stage.train().unwrap(), TrainingEnd::Done);
    let mut quick = request(2);
    quick.recipe.silence_limit = 0.2;
    let silent = stage.train_with(&quick, |_| ControlFlow::Continue(()));
    assert!(matches!(silent, Err(TrainingError::Silent { seconds: 0.2, .. })), "{silent:?}");
    assert!(!is_running(stage.process("process")));
}

#[test]
fn a_batch_is_a_sign_of_life() {
    let mut stage = Stage::new(
        r#"read -r request; for b in 1 2 3 4 5 6; do echo "{\"batch\": $b, \"of\": 6}"; sleep 0.2; done
        epoch 1 0; epoch 2 0; done_"#,
    );
    let mut quick = request(2);
    quick.recipe.silence_limit = 1.0;
    let ending = stage.train_with(&quick, |_| ControlFlow::Continue(()));
    assert_eq!((ending.unwrap(), stage.reports.len()), (TrainingEnd::Done, 2));
}

#[test]
fn a_trainer_writes_numbers_with_a_full_stop_and_keeps_its_encoding() {
    let mut stage =
        Stage::new("read -r request; epoch 1 0; echo \"$LC_NUMERIC $LC_ALL\" >&2; exit");
    let error = stage.error();
    assert!(error.starts_with("the trainer ended after epoch 1 of 2 without a line"), "{error}");
    assert!(error.ends_with(": C"), "{error}");
}

#[test]
fn threads_are_in_the_environment_too() {
    let mut stage =
        Stage::new("read -r request; epoch 1 $OMP_NUM_THREADS; epoch 2 0; done_; read -r end");
    assert_eq!(stage.train().unwrap(), TrainingEnd::Done);
    let inherited = env::var("OMP_NUM_THREADS").ok().and_then(|threads| threads.parse().ok());
    assert_eq!(stage.reports[0].training_loss, Some(inherited.unwrap_or(2.0)));
}

#[test]
fn the_torch_trainer_is_looked_for_beside_metaqnn_first() {
    let folder = tempfile::tempdir().unwrap();
    let (bin, path) = (folder.path().join("bin"), folder.path().join("path"));
    for place in [&bin, &path] {
        fs::create_dir(place).unwrap();
    }
    let find = || {
        let (executable, path) = (bin.join("metaqnn"), Some(path.as_os_str()));
        ProgramTrainer::torch(&executable, path, Interrupt::default())
            .map(|trainer| trainer.command.program)
    };
    let missing = find().unwrap_err().to_string();
    assert!(missing.contains("cargo build --release"), "{missing}");
    fs::write(path.join(TORCH), "").unwrap();
    assert_eq!(find().unwrap(), path.join(TORCH));
    fs::write(bin.join(TORCH), "").unwrap();
    assert_eq!(find().unwrap(), bin.join(TORCH));
}

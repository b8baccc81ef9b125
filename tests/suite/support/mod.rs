//! An experiment in a folder of its own, and the program run on it.

#![allow(dead_code)] // Each module of tests uses its part.
#![allow(clippy::print_stderr)] // A skipped test says so.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use sha2::Digest;

/// A temporary folder with a configuration and, once made, an experiment.
pub struct Experiment {
    folder: tempfile::TempDir,
}

/// A search in no time: the synthetic trainer on a small space.
pub const SMALL: &str = "
experiment: {name: small, seed: 5}
data: {classes: 10, input_size: 16, channels: 1}
search_space: {max_layers: 4, filters: [8, 16], fc_widths: [32, 16]}
epsilon_schedule:
  - {epsilon: 1.0, architectures: 12}
  - {epsilon: 0.1, architectures: 6}
training: {trainer: synthetic, epochs: 4}
";

impl Experiment {
    /// Makes a folder that holds `config.yaml`.
    pub fn with(config: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("config.yaml"), config).unwrap();
        Self { folder }
    }

    /// Makes an experiment directory of it, `dir`.
    pub fn init(config: &str) -> Self {
        let experiment = Self::with(config);
        experiment.run(&["init", "config.yaml", "dir"]).success();
        experiment
    }

    /// The folder that commands run in.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A path below the experiment directory.
    pub fn path(&self, below: &str) -> PathBuf {
        self.folder.path().join("dir").join(below)
    }

    /// The text of a file below the experiment directory.
    pub fn text(&self, below: &str) -> String {
        let path = self.path(below);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// Replaces a part of the frozen configuration and makes its checksum fit, as only a program that means harm does.
    pub fn refreeze(&self, from: &str, to: &str) {
        let text = self.text("experiment.yaml");
        let (text, _) = text.rsplit_once("# SHA-256").expect("a checksum ends the file");
        assert!(text.contains(from), "{from}");
        let text = text.replace(from, to);
        let checksum = format!("{:x}", sha2::Sha256::digest(&text));
        let sealed = format!("{text}# SHA-256 of all before this line: {checksum}\n");
        fs::write(self.path("experiment.yaml"), sealed).unwrap();
    }

    /// `train` as a task of the array job 500, without output.
    pub fn task(&self, dir: &str, task: &str) -> Command {
        let mut command = self.command(&["train", dir]);
        command
            .env("SLURM_JOB_ID", "500")
            .env("SLURM_ARRAY_JOB_ID", "500")
            .env("SLURM_ARRAY_TASK_ID", task)
            .env("SLURM_JOB_END_TIME", "4102444800") // 2100-01-01
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    }

    /// A command in the folder, free of the scheduler's variables.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_metaqnn"));
        command.args(arguments).current_dir(self.folder.path());
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("SLURM_") && name != "SLURM_CONF" {
                command.env_remove(name);
            }
        }
        command
    }

    /// Runs the program to its end.
    pub fn run(&self, arguments: &[&str]) -> Ran {
        self.run_with_input(arguments, "")
    }

    /// Runs the program with something on its stdin.
    pub fn run_with_input(&self, arguments: &[&str], input: &str) -> Ran {
        let mut child = self
            .command(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (mut stdin, input) = (child.stdin.take().unwrap(), input.to_owned());
        // Beside the reading of its output: a pipe that is full holds both up. A program that does
        // not read its stdin closes it, which is no failure of the test.
        let writer = std::thread::spawn(move || drop(stdin.write_all(input.as_bytes())));
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap();
        Ran { line: arguments.join(" "), output }
    }

    /// The replay log as one map a row, without a row that somebody is writing.
    pub fn log(&self) -> Vec<std::collections::HashMap<String, String>> {
        let text = self.text("replay.csv");
        let whole = text.rfind('\n').map_or("", |end| &text[..=end]);
        csv::Reader::from_reader(whole.as_bytes()).deserialize().map(Result::unwrap).collect()
    }
}

/// A program that has ended.
pub struct Ran {
    line: String,
    output: Output,
}

impl Ran {
    /// What it printed.
    pub fn stdout(&self) -> String {
        String::from_utf8(self.output.stdout.clone()).unwrap()
    }

    /// What it said beside that.
    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.output.stderr).into_owned()
    }

    /// Its exit code.
    pub fn code(&self) -> Option<i32> {
        self.output.status.code()
    }

    /// Asserts exit code 0.
    #[track_caller]
    pub fn success(self) -> Self {
        self.fails_with(0)
    }

    /// Asserts an exit code.
    #[track_caller]
    pub fn fails_with(self, code: i32) -> Self {
        assert_eq!(
            self.code(),
            Some(code),
            "metaqnn {}\n-- stdout\n{}\n-- stderr\n{}",
            self.line,
            self.stdout(),
            self.stderr()
        );
        self
    }

    /// Asserts that stderr holds a text.
    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        assert!(
            self.stderr().contains(text),
            "metaqnn {}: no `{text}` in\n{}",
            self.line,
            self.stderr()
        );
        self
    }

    /// Its results, one JSON object a line.
    pub fn json(&self) -> Vec<serde_json::Value> {
        self.stdout().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// Waits until something is so, for minutes if need be: nothing is claimed of how soon it is, since
/// the machine may be busy.
#[track_caller]
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(300);
    while !holds() {
        assert!(Instant::now() < end, "waited in vain for: {what}");
        sleep(Duration::from_millis(10));
    }
}

/// Makes a program, a copy of another one or a script. Not by this process: it starts programs at any
/// moment, each of which has every file of it open until it has begun, and a file that somebody
/// writes cannot be started (`ETXTBSY`).
pub fn make_program(path: &Path, what: Program) {
    let (mut command, text) = match what {
        Program::CopyOf(other) => {
            let mut command = Command::new("cp");
            command.arg("--").args([other, path]);
            (command, "")
        }
        Program::Script(text) => {
            let mut command = Command::new("sh");
            command.args(["-c", "cat > \"$0\" && chmod 755 \"$0\""]).arg(path);
            (command, text)
        }
    };
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
}

/// What [`make_program`] makes.
pub enum Program<'a> {
    CopyOf(&'a Path),
    Script(&'a str),
}

/// Says loudly that a test cannot run here; `scripts/test.sh` counts it as skipped.
pub fn skip(test: &str, why: &str) {
    eprintln!("skipped: {test}: {why}");
    if let Some(path) = std::env::var_os("METAQNN_SKIPPED") {
        let mut file = fs::OpenOptions::new().append(true).create(true).open(path).unwrap();
        writeln!(file, "{test}: {why}").unwrap();
    }
}

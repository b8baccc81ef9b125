//! Results to stdout, everything else to stderr.

use std::env;
use std::io::{self, IsTerminal, Write};

use anyhow::Context;
use indicatif::{MultiProgress, ProgressDrawTarget};

use crate::ops::TrainEvent;
use crate::report::terminal::Colour;

/// How much is said beside the results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    /// Errors only.
    Quiet,
    /// What a person wants to know.
    Normal,
    /// What helps to understand.
    Verbose,
    /// Everything.
    Debug,
}

impl Verbosity {
    /// Reads `-q` and the number of `-v`.
    pub const fn new(quiet: bool, verbose: u8) -> Self {
        match (quiet, verbose) {
            (true, _) => Self::Quiet,
            (false, 0) => Self::Normal,
            (false, 1) => Self::Verbose,
            (false, _) => Self::Debug,
        }
    }
}

/// The one way out for text.
#[derive(Debug)]
pub struct Printer {
    verbosity: Verbosity,
    /// The bars at the bottom of the terminal, if there are any: what is said goes above them.
    bars: MultiProgress,
}

impl Printer {
    /// Makes a printer that says as much as asked.
    pub fn new(verbosity: Verbosity) -> Self {
        Self { verbosity, bars: MultiProgress::with_draw_target(draw_target()) }
    }

    /// Sends the log messages of all rooms to stderr.
    pub fn start_logging(&self) {
        let level = match self.verbosity {
            Verbosity::Quiet => log::LevelFilter::Error,
            Verbosity::Normal => log::LevelFilter::Warn,
            Verbosity::Verbose => log::LevelFilter::Info,
            Verbosity::Debug => log::LevelFilter::Debug,
        };
        let started = env_logger::Builder::new()
            .filter_level(level)
            .target(env_logger::Target::Pipe(Box::new(AboveBars(self.bars.clone()))))
            .format(|buffer, record| {
                writeln!(buffer, "{}: {}", record.level().as_str().to_lowercase(), record.args())
            })
            .try_init();
        debug_assert!(started.is_ok(), "logging starts once");
    }

    /// Whether notes and progress are wanted at all.
    pub fn says_notes(&self) -> bool {
        self.verbosity > Verbosity::Quiet
    }

    /// Returns where progress may draw bars: a person watches stderr, on a terminal that can move its cursor.
    pub fn bars(&self) -> Option<&MultiProgress> {
        (self.says_notes() && !self.bars.is_hidden()).then_some(&self.bars)
    }

    /// Whether stdout is a terminal.
    pub fn stdout_is_terminal(&self) -> bool {
        io::stdout().is_terminal()
    }

    /// Returns whether results are coloured: on a terminal, unless `NO_COLOR` is set.
    pub fn colour(&self) -> Colour {
        let unwanted = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        if self.stdout_is_terminal() && !unwanted { Colour::Ansi } else { Colour::Plain }
    }

    /// Prints a result on stdout, with a line feed at its end.
    ///
    /// # Errors
    /// When stdout cannot be written. A closed pipe (`| head`) ends the program quietly.
    pub fn result(&self, text: &str) -> anyhow::Result<()> {
        let mut stdout = io::stdout().lock();
        let newline = if text.ends_with('\n') { "" } else { "\n" };
        match write!(stdout, "{text}{newline}").and_then(|()| stdout.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => std::process::exit(0),
            written => written.context("failed to write to stdout"),
        }
    }

    /// Prints an event as a line of JSON on stdout. That it cannot be written, as on a full disk, is
    /// a warning: what it tells of goes on. Whoever tells events watches for a closed pipe.
    pub fn event(&self, event: &TrainEvent) {
        let line = serde_json::to_string(event).expect("an event has only plain fields");
        let mut stdout = io::stdout().lock();
        match writeln!(stdout, "{line}").and_then(|()| stdout.flush()) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            Err(error) => log::warn!("an event is not told: {error:#}"),
        }
    }

    /// Prints a note on stderr, unless quiet.
    pub fn note(&self, text: &str) {
        if self.says_notes() {
            self.say(text);
        }
    }

    /// Prints an error with its chain of causes on one line.
    pub fn error(&self, error: &anyhow::Error) {
        self.say(&format!("error: {error:#}"));
    }

    fn say(&self, text: &str) {
        // Nobody can be told when stderr is gone, and the work goes on without it.
        let _ = AboveBars(self.bars.clone()).write_all(format!("{text}\n").as_bytes());
    }
}

/// Returns where bars are drawn: on stderr, unless it is no terminal or one that cannot move its cursor.
fn draw_target() -> ProgressDrawTarget {
    let is_dumb = env::var_os("TERM").is_none_or(|name| name.is_empty() || name == "dumb");
    if is_dumb { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() }
}

/// Standard error, its bars taken away while something is written.
struct AboveBars(MultiProgress);

impl Write for AboveBars {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.suspend(|| io::stderr().write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

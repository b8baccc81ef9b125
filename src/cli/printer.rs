//! Results to stdout, everything else to stderr.

use std::io::{self, IsTerminal, Write};

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

    /// Sends the log messages of all rooms to stderr.
    pub fn start_logging(self) {
        let level = match self {
            Self::Quiet => log::LevelFilter::Error,
            Self::Normal => log::LevelFilter::Warn,
            Self::Verbose => log::LevelFilter::Info,
            Self::Debug => log::LevelFilter::Debug,
        };
        let started = env_logger::Builder::new()
            .filter_level(level)
            .format(|buffer, record| {
                writeln!(buffer, "{}: {}", record.level().as_str().to_lowercase(), record.args())
            })
            .try_init();
        debug_assert!(started.is_ok(), "logging starts once");
    }
}

/// The exit code of [`super::exit_code::ExitStatus::Environment`].
const ENVIRONMENT: i32 = 4;

/// The one way out for text.
#[derive(Debug, Clone, Copy)]
pub struct Printer {
    verbosity: Verbosity,
}

impl Printer {
    /// Makes a printer that says as much as asked.
    pub const fn new(verbosity: Verbosity) -> Self {
        Self { verbosity }
    }

    /// Whether notes and progress are wanted at all.
    pub fn says_notes(&self) -> bool {
        self.verbosity > Verbosity::Quiet
    }

    /// Whether progress may redraw lines: a person watches stderr.
    pub fn may_redraw(&self) -> bool {
        self.says_notes() && io::stderr().is_terminal()
    }

    /// Whether stdout is a terminal.
    pub fn stdout_is_terminal(&self) -> bool {
        io::stdout().is_terminal()
    }

    /// Returns whether results are coloured: on a terminal, unless `NO_COLOR` is set.
    pub fn colour(&self) -> Colour {
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
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
            written => Ok(written?),
        }
    }

    /// Prints an event as a line of JSON on stdout. That it cannot be written, as on a full disk, is
    /// a warning: what it tells of goes on. A closed pipe ends the program, as when a `run` dies
    /// that nobody else would end its workers for; its exit code does not say that the work is done.
    pub fn event(&self, event: &TrainEvent) {
        let line = serde_json::to_string(event).expect("an event has only plain fields");
        let mut stdout = io::stdout().lock();
        match writeln!(stdout, "{line}").and_then(|()| stdout.flush()) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                std::process::exit(ENVIRONMENT)
            }
            Err(error) => log::warn!("an event is not told: {error:#}"),
        }
    }

    /// Prints a note on stderr, unless quiet.
    pub fn note(&self, text: &str) {
        if self.says_notes() {
            // Nobody can be told when stderr is gone, and the work goes on without it.
            let _ = writeln!(io::stderr(), "{text}");
        }
    }

    /// Prints an error with its chain of causes on one line.
    pub fn error(&self, error: &anyhow::Error) {
        let _ = writeln!(io::stderr(), "error: {error:#}");
    }
}

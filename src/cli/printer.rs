//! Results to stdout, everything else to stderr.

use std::env;
use std::fmt::Display;
use std::io::{self, ErrorKind, IsTerminal, Write};

use anyhow::{Context, Result};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use log::LevelFilter;
use serde::Serialize;

use crate::ops::TrainEvent;

#[derive(Debug)]
pub struct Printer {
    /// Errors are always printed; notes and progress from `Warn` on.
    level: LevelFilter,
    /// The bars at the bottom of the terminal: text is printed above them.
    bars: MultiProgress,
}

impl Printer {
    pub fn new(level: LevelFilter) -> Self {
        let target = match moves_cursor() {
            true => ProgressDrawTarget::stderr(),
            false => ProgressDrawTarget::hidden(),
        };
        Self { level, bars: MultiProgress::with_draw_target(target) }
    }

    /// Sends the log messages of all modules to stderr; the error that ends a command is one.
    pub fn start_logging(&self) {
        let started = env_logger::Builder::new()
            .filter_level(self.level)
            .target(env_logger::Target::Pipe(Box::new(AboveBars(self.bars.clone()))))
            .format(|buffer, record| {
                writeln!(buffer, "{}: {}", record.level().as_str().to_lowercase(), record.args())
            })
            .try_init();
        debug_assert!(started.is_ok(), "logging starts once");
    }

    /// Draws a bar of progress on stderr, if that is a terminal that can move its cursor.
    pub fn bar(&self, length: u64, template: &str) -> Option<ProgressBar> {
        let has_bars = self.level > LevelFilter::Error && !self.bars.is_hidden();
        let style = ProgressStyle::with_template(template).expect("the template is well formed");
        let bar = || self.bars.add(ProgressBar::new(length));
        has_bars.then(|| bar().with_style(style.progress_chars("=> ")))
    }

    /// Keeps the colours of a text on a terminal, unless `NO_COLOR` is set.
    pub fn styled(&self, text: &str) -> String {
        let unwanted = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let keeps = io::stdout().is_terminal() && !unwanted;
        if keeps { text.to_owned() } else { anstream::adapter::strip_str(text).to_string() }
    }

    /// On stdout, with a line feed at its end. A closed pipe (`| head`) ends the program quietly.
    pub fn result(&self, text: &str) -> Result<()> {
        match write_line(text.strip_suffix('\n').unwrap_or(text)) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => std::process::exit(0),
            written => written.context("failed to write to stdout"),
        }
    }

    /// On stdout in the place of what was drawn before, or below it where that is no terminal.
    pub fn redraw(&self, text: &str) -> Result<()> {
        let text = self.styled(text);
        if !io::stdout().is_terminal() || !moves_cursor() {
            return self.result(&format!("{text}\n"));
        }
        // Each line erases what was behind it, the last one what was below: nothing flickers.
        let lines = text.replace('\n', "\x1b[K\n");
        self.result(&format!("\x1b[H{lines}\x1b[J"))
    }

    pub fn answer(&self, json: bool, object: &impl Serialize, text: impl Display) -> Result<()> {
        self.result(&if json { serde_json::to_string(object)? } else { text.to_string() })
    }

    /// Where it cannot be written, as on a full disk, the task goes on. Its command watches for a
    /// closed pipe.
    pub fn event(&self, event: &TrainEvent) {
        let line = serde_json::to_string(event).expect("an event has only plain fields");
        if let Err(error) = write_line(&line)
            && error.kind() != ErrorKind::BrokenPipe
        {
            log::warn!("an event cannot be written: {error:#}");
        }
    }

    /// Prints a note on stderr, unless quiet.
    pub fn note(&self, text: &str) {
        if self.level > LevelFilter::Error {
            // Without stderr the work goes on.
            let _ = AboveBars(self.bars.clone()).write_all(format!("{text}\n").as_bytes());
        }
    }
}

fn moves_cursor() -> bool {
    env::var_os("TERM").is_some_and(|name| !name.is_empty() && name != "dumb")
}

fn write_line(line: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{line}")?;
    stdout.flush()
}

/// Stderr, its bars taken away while something is written.
struct AboveBars(MultiProgress);

impl Write for AboveBars {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.suspend(|| io::stderr().write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

//! Progress for people: bars on a terminal, one line an epoch in a file.

use std::mem;
use std::path::Path;
use std::time::{Duration, Instant};

use indicatif::{HumanDuration, ProgressBar};
use jiff::Timestamp;

use super::printer::Printer;
use crate::ops::TrainEvent;
use crate::ops::reduce::switched_off;
use crate::ops::status::Watch;
use crate::report::{Summary, terminal};
use crate::storage::{Event, Time};

/// Shows the progress events of tasks. Dropped, it takes its bars away.
pub struct Progress<'a> {
    printer: &'a Printer,
    /// Of the whole search, where that is shown.
    search: Option<SearchBar>,
    /// None where the terminal has no bars.
    workers: Vec<(ProgressBar, EpochsLeft)>,
    /// Of a whole training.
    epochs: u32,
    /// Iterations in sight; 0 before the first claim.
    in_sight: u64,
    /// The line that was shown when a task started: every worker has the same.
    started: Option<String>,
    best: Option<f64>,
    /// Of the epoch whose batches were shown last.
    tenth: u64,
    /// Every worker reports the end, some before an earlier event of another is read.
    end_is_shown: bool,
    /// Since the last claim: that others train what is left.
    wait_is_shown: bool,
}

struct SearchBar {
    bar: ProgressBar,
    watch: Watch,
    workers: u32,
    looked: Instant,
    /// By what networks have cost.
    time_left: String,
}

/// How often at most the log is read for the time left.
const LOOK_EVERY: Duration = Duration::from_secs(5);

impl SearchBar {
    fn take_stock(&mut self, summary: &Summary) {
        let left = summary.time_left().map(|left| left.on(self.workers, summary.left));
        let left = left.map(|left| format!("{} left", terminal::range(left)));
        self.time_left = left.unwrap_or_else(|| "time left unknown".to_owned());
        self.bar.set_length(summary.wanted);
        self.bar.set_position(summary.results);
    }

    fn show(&mut self, best: Option<f64>) {
        let best = best.map_or(String::new(), |best| format!(", best {best:.4}"));
        self.bar.set_message(format!("{}{best}", self.time_left));
    }

    fn count(&mut self, best: Option<f64>) {
        self.bar.inc(1);
        if self.looked.elapsed() >= LOOK_EVERY {
            self.looked = Instant::now();
            // The search itself says what is wrong.
            self.watch.results().map_or_else(drop, |summary| self.take_stock(&summary));
        }
        self.show(best);
    }
}

/// Trainers count batches as they like.
fn percent(batch: u64, of: u64) -> u64 {
    (100.0 * batch as f64 / of.max(1) as f64) as u64
}

/// By the epochs of this start but the first, in which the device warms up and a network may fail
/// its test.
#[derive(Debug, Default)]
struct EpochsLeft {
    epochs: u32,
    seconds: f64,
}

impl EpochsLeft {
    /// Counts an epoch; returns the seconds of the others up to `all`, if the trainer says.
    fn after(&mut self, epoch: u32, seconds: Option<f64>, all: u32) -> Option<f64> {
        if epoch == 1 {
            *self = Self::default();
            return None;
        }
        self.epochs += 1;
        self.seconds += seconds?;
        let left = all.saturating_sub(epoch);
        (left > 0).then(|| self.seconds / f64::from(self.epochs) * f64::from(left))
    }
}

impl<'a> Progress<'a> {
    /// Shows tasks.
    pub fn new(printer: &'a Printer, workers: u32) -> Self {
        let template = "network [{bar:18}] {pos}/{len} epochs{prefix} {wide_msg}";
        let worker = |_| Some((printer.bar(1, template)?, EpochsLeft::default()));
        let workers = (0..workers).filter_map(worker).collect();
        Self {
            printer,
            search: None,
            workers,
            epochs: 0,
            in_sight: 0,
            started: None,
            tenth: 0,
            best: None,
            end_is_shown: false,
            wait_is_shown: false,
        }
    }

    /// Shows a whole search, and what is left of it.
    pub fn of_search(printer: &'a Printer, workers: u32, dir: &Path) -> anyhow::Result<Self> {
        let mut watch = Watch::open(dir)?;
        let before = watch.results()?;
        let mut progress = Self::new(printer, workers);
        progress.best = before.best.as_ref().map(|best| best.best_validation_accuracy);
        let template = "search  [{bar:18}] {pos}/{len} networks, {wide_msg}";
        progress.search = printer.bar(before.wanted, template).map(|bar| {
            bar.enable_steady_tick(Duration::from_secs(1));
            let (looked, time_left) = (Instant::now(), String::new());
            let mut search = SearchBar { bar, watch, workers, looked, time_left };
            search.take_stock(&before);
            search.show(progress.best);
            search
        });
        Ok(progress)
    }

    pub fn show(&mut self, worker: usize, event: &TrainEvent) {
        // What was stopped or failed has shown no final accuracy.
        if let TrainEvent::Recorded { reward: Some(reward), outcome, .. } = event
            && *outcome == Event::Trained.to_string()
        {
            self.best = Some(self.best.map_or(*reward, |best: f64| best.max(*reward)));
        }
        // Bars show the current state; what went wrong is printed above them and stays.
        if !self.show_on_bars(worker, event)
            && let Some(line) = self.line(event)
        {
            // In a log file; what stands above bars is of now.
            let time = match self.workers.is_empty() {
                true => format!("{} ", Time::from(Timestamp::now())),
                false => String::new(),
            };
            self.printer.note(&format!("{time}{line}"));
        }
    }

    /// Returns whether the event has a place on the bars.
    fn show_on_bars(&mut self, worker: usize, event: &TrainEvent) -> bool {
        let Some((bar, left)) = self.workers.get_mut(worker) else { return false };
        match event {
            TrainEvent::Claimed { iteration, epochs, architecture, .. } => {
                bar.set_length(u64::from(*epochs));
                bar.set_position(0);
                bar.set_prefix(format!(" #{iteration}"));
                bar.set_message(architecture.clone());
            }
            TrainEvent::Epoch {
                iteration, epoch, validation_accuracy: accuracy, seconds, ..
            } => {
                let all = bar.length().unwrap_or_default() as u32;
                let left = left.after(*epoch, *seconds, all).map_or(String::new(), |seconds| {
                    let left = HumanDuration(Duration::from_secs_f64(seconds));
                    format!(", at most {left:#} left")
                });
                bar.set_position(u64::from(*epoch));
                let accuracy = accuracy.map_or(String::new(), |found| format!(" {found:.4}"));
                bar.set_prefix(format!("{left} #{iteration}{accuracy}"));
            }
            TrainEvent::Batch { batch, of, .. } => {
                let prefix = bar.prefix();
                let rest = prefix.split_once(" %").map_or(&*prefix, |(_, rest)| rest);
                bar.set_prefix(format!(" + {} %{rest}", percent(*batch, *of)));
            }
            TrainEvent::Recorded { .. } => {
                if let Some(search) = &mut self.search {
                    search.count(self.best);
                }
            }
            TrainEvent::Reused { .. } | TrainEvent::Started { .. } => {}
            TrainEvent::Nothing { .. } => {
                bar.set_prefix("");
                bar.set_message("");
                return self.search.is_some();
            }
            _ => return false,
        }
        true
    }

    /// None for what is no news.
    fn line(&mut self, event: &TrainEvent) -> Option<String> {
        let past_first =
            |number: u32, words: String| if number > 1 { words } else { String::new() };
        if let TrainEvent::Claimed { of, epochs, .. } = event {
            (self.wait_is_shown, self.epochs, self.in_sight) = (false, *epochs, *of);
        }
        let named = |iteration: &u64| match self.in_sight {
            0 => format!("iteration {iteration}"),
            // Of another worker, perhaps, which has begun since.
            in_sight => format!("iteration {iteration} of {}", in_sight.max(*iteration)),
        };
        Some(match event {
            TrainEvent::Started { version, host, device, libtorch } => {
                let device = device.as_ref().map(|it| format!(", device {it}"));
                let libtorch = libtorch.as_ref().map(|it| format!(", libtorch {it}"));
                let facts = device.into_iter().chain(libtorch).collect::<String>();
                let line = format!("metaqnn {version}, host {host}{facts}");
                let is_news = self.started.replace(line.clone()).as_ref() != Some(&line);
                return is_news.then_some(line);
            }
            TrainEvent::Claimed { iteration, attempt, epsilon, architecture, repeat, .. } => {
                let again = past_first(*attempt, format!(" (attempt {attempt})"));
                let at = epsilon.map_or(String::new(), |epsilon| format!(", epsilon {epsilon}"));
                let repeat = past_first(*repeat, format!(", repeat {repeat}"));
                format!("{}{again}{at}{repeat}: {architecture}", named(iteration))
            }
            TrainEvent::Epoch { iteration, epoch, start, validation_accuracy, seconds, .. } => {
                let start = past_first(*start, format!(" of start {start}"));
                let all = self.epochs;
                let seconds = seconds.map(|seconds| format!("{seconds:.1} s"));
                let accuracy = validation_accuracy.map(|it| format!("validation accuracy {it:.4}"));
                let words: Vec<_> = accuracy.into_iter().chain(seconds).collect();
                let words = if words.is_empty() { "done".to_owned() } else { words.join(", ") };
                format!("{}, epoch {epoch}/{all}{start}: {words}", named(iteration))
            }
            // A tenth of an epoch is news for a log.
            TrainEvent::Batch { iteration, batch, of } => {
                let tenth = percent(*batch, *of) / 10;
                if mem::replace(&mut self.tenth, tenth) == tenth {
                    return None;
                }
                format!("{}: batch {batch} of {of} of the epoch", named(iteration))
            }
            TrainEvent::Recorded { iteration, outcome, reward, .. } => {
                // The reward of a stopped network is what was predicted of it.
                let is_stopped = *outcome == Event::Stopped.to_string();
                let what = if is_stopped { "predicted" } else { "reward" };
                let reward = reward.map_or(String::new(), |reward| format!(", {what} {reward:.4}"));
                format!("{}: {outcome}{reward}", named(iteration))
            }
            TrainEvent::Superseded { iteration } => format!(
                "{}: another copy of this task was first; its result stands",
                named(iteration)
            ),
            TrainEvent::Lost { iteration, reason } => {
                format!("{}: lost ({reason})", named(iteration))
            }
            TrainEvent::StoppingSwitchedOff { audited, false_stops } => {
                switched_off(*audited, *false_stops)
            }
            TrainEvent::Nothing { finished: false } if self.end_is_shown => return None,
            _ => {
                let reason = event.reason_to_claim_nothing()?;
                let waits = matches!(event, TrainEvent::Nothing { finished: false });
                let is_shown = if waits { &mut self.wait_is_shown } else { &mut self.end_is_shown };
                return (!mem::replace(is_shown, true)).then(|| reason.to_owned());
            }
        })
    }
}

impl Drop for Progress<'_> {
    fn drop(&mut self) {
        let workers = self.workers.iter().map(|(bar, _)| bar);
        let search = self.search.iter().map(|search| &search.bar);
        workers.chain(search).for_each(ProgressBar::finish_and_clear);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_epochs_that_are_left_take_as_long_as_those_of_this_start() {
        let mut left = EpochsLeft::default();
        // A start that fails its test, then the one that counts; its first epoch is slow.
        let left_after = [(1, 50.0), (1, 50.0), (2, 10.0), (3, 10.0), (4, 10.0)]
            .map(|(epoch, seconds)| left.after(epoch, Some(seconds), 4));
        assert_eq!(left_after, [None, None, Some(20.0), Some(10.0), None]);
        // The next network, whose trainer does not say how long an epoch takes.
        assert_eq!([1, 2, 3].map(|epoch| left.after(epoch, None, 4)), [None; 3]);
        // One that goes on at epoch 3 after a requeue.
        let mut resumed = EpochsLeft::default();
        assert_eq!([3, 4].map(|epoch| resumed.after(epoch, Some(6.0), 5)), [Some(12.0), Some(6.0)]);
    }
}

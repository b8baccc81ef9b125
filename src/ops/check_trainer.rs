//! A conversation with a trainer of one's own, as searches have it: two short trainings, a stop, the
//! end of stdin, both signals and a training taken up from its checkpoint. Whatever departs from
//! the protocol is named, with what to do.

use std::fs;
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::ops::doctor::{Check, Health};
use crate::ops::{Refusal, init};
use crate::q_learning::{Epsilon, QTable, sample_trajectory};
use crate::seed::{Purpose, generator};
use crate::space::{DataShape, SpaceParams};
use crate::training::protocol::{LayerDescription, Request, TRY_AGAIN};
use crate::training::{
    ChildProcess, Dialogue, Interrupt, ProgramTrainer, Recipe, Report, Signal, TrainingEnd,
    TrainingError,
};

/// More than a trainer reports before it can be stopped.
const MANY: u32 = 100_000;

struct Conversation {
    command: Vec<String>,
    request: Request,
    folder: tempfile::TempDir,
    /// For everything that a trainer may take its time for.
    patience: Duration,
}

/// What came of a request.
struct Answer {
    ending: Result<TrainingEnd, TrainingError>,
    /// As reported; the last one stands there twice, since it may come after a stop.
    epochs: Vec<u32>,
    /// None where it does not start.
    process: Option<ChildProcess>,
}

/// Asks for a network of the configuration, with its recipe and data, or for a small one; an empty
/// command is that of the configuration.
pub fn check_trainer(
    command: &[String],
    config: Option<&Path>,
    patience: Duration,
) -> Result<Vec<Check>> {
    let mut request = request(config)?;
    let command = if command.is_empty() { &request.recipe.command } else { command }.to_vec();
    if command.is_empty() {
        bail!(Refusal::Usage("the configuration has no `training.command` (name one)".to_owned()));
    }
    request.recipe.silence_limit = patience.as_secs_f64();
    let folder = tempfile::tempdir().context("failed to make a folder for checkpoints")?;
    let talk = Conversation { command, request, folder, patience };
    let mut checks = Vec::new();
    let two = Request { epochs: 2, ..talk.request.clone() };
    let answer = talk.ask(None, &two, |_, _| ControlFlow::Continue(()));
    let seen = "epochs were reported, then `done`";
    checks.push(checked("training", &answer.ending, seen, ""));
    if checks[0].verdict == Health::Ok {
        talk.stop(answer.process, &mut checks);
        talk.signals(&mut checks);
    }
    Ok(checks)
}

fn request(config: Option<&Path>) -> Result<Request> {
    let (space, recipe, data) = match config.map(|path| init::load(path, &[])).transpose()? {
        Some(it) => (it.space.clone(), it.training.clone(), serde_json::to_value(&it.config.data)?),
        None => {
            let small = SpaceParams { max_layers: 3, filters: vec![8], ..SpaceParams::default() };
            let space = small.check(DataShape { size: 28, channels: 1, classes: 10 })?;
            (space, Recipe::default(), serde_json::Value::Null)
        }
    };
    let mut rng = generator(1, Purpose::Sample, 1, 0);
    let table = QTable::new(space.clone(), 0.0);
    let architecture = sample_trajectory(&table, Epsilon::RANDOM, &mut rng);
    let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get) as u32;
    Ok(Request {
        iteration: 1,
        stream: 1,
        attempt: 1,
        seed: 1,
        layers: LayerDescription::of(&space, &architecture),
        architecture: architecture.to_string(),
        classes: space.image.classes,
        channels: space.image.channels,
        input_size: space.image.size,
        data,
        ..Request::rehearsal(recipe, cores)
    })
}

impl Conversation {
    /// `then` gets the number of epochs reported so far.
    fn ask(
        &self,
        process: Option<ChildProcess>,
        request: &Request,
        mut then: impl FnMut(usize, &Interrupt) -> ControlFlow<()>,
    ) -> Answer {
        let (interrupt, mut epochs) = (Interrupt::default(), Vec::new());
        let trainer = ProgramTrainer::given(&self.command, interrupt.clone()).within(self.patience);
        let mut process = match process.map_or_else(|| trainer.start(request.threads), Ok) {
            Ok(process) => process,
            Err(error) => return Answer { ending: Err(error), epochs, process: None },
        };
        process.write_line(request);
        let mut dialogue = Dialogue::new(request);
        let ending = trainer.converse(&mut process, &mut dialogue, &mut |report| match report {
            Report::Epoch(report) => {
                epochs.push(report.epoch);
                then(epochs.len(), &interrupt)
            }
            Report::Batch { .. } => ControlFlow::Continue(()),
        });
        epochs.extend(dialogue.last.map(|(_, epoch)| epoch));
        Answer { ending, epochs, process: Some(process) }
    }

    fn many(&self) -> Request {
        Request { epochs: MANY, ..self.request.clone() }
    }

    /// A second request, which is to be stopped after its first epoch; then stdin ends.
    fn stop(&self, process: Option<ChildProcess>, checks: &mut Vec<Check>) {
        let stop = |_: usize, _: &Interrupt| ControlFlow::Break(());
        let mut answer = self.ask(process, &self.many(), stop);
        if let (Err(error), true) = (&answer.ending, answer.epochs.is_empty()) {
            let remedy = "after `done` wait for the next request, until stdin ends, and print \
                          nothing: else the program is started anew for each network";
            checks.push(Check::warning("next request", error.to_string(), remedy));
            answer = self.ask(None, &self.many(), stop);
        }
        let last = answer.epochs.last().copied().unwrap_or_default();
        let seen = format!("asked to stop after the first epoch, it did after epoch {last}");
        let remedy = "between two epochs look whether stdin has a line `{\"stop\": true}`; early \
                      stopping saves nothing without";
        let check = checked("stop", &answer.ending, &seen, remedy);
        let is_ok = check.verdict == Health::Ok;
        let is_deaf = is_ok && last == MANY;
        checks.push(if is_deaf { Check::warning("stop", seen, remedy) } else { check });
        if let Some(mut process) = answer.process.filter(|_| is_ok) {
            let limit = self.patience.min(Duration::from_secs(10));
            let ends = process.ends_with_stdin(limit);
            let seen = if ends { "it ends" } else { "it goes on" };
            let seen = format!("{seen} within {limit:?} after its stdin has ended");
            let remedy = "leave when stdin ends: else it stays behind when `metaqnn` is killed";
            checks.push(Check::ok_if(ends, "end of stdin", seen, remedy));
        }
    }

    /// TERM after two epochs; then the training is taken up, until USR1 comes.
    fn signals(&self, checks: &mut Vec<Check>) {
        let place = |attempt: u32| self.folder.path().join(format!("000001.{attempt}"));
        let request = Request { checkpoint: Some(place(1)), ..self.many() };
        let (check, epochs) = self.signal(&request, "TERM", Signal::Terminate);
        checks.push(check);
        let Some(&last) = epochs.last() else { return };
        let is_saved = fs::rename(place(1), place(2)).is_ok();
        let request = Request { attempt: 2, resume: true, checkpoint: Some(place(2)), ..request };
        let (check, epochs) = self.signal(&request, "USR1", Signal::TimeNearlyUp);
        checks.push(match epochs.first() {
            None => Check { check: "resume".to_owned(), ..check.clone() },
            Some(&first) => {
                let seen = format!("taken up after epoch {last}, it goes on with epoch {first}");
                let no_folder = "; the folder `checkpoint` was not made";
                let seen = seen + if is_saved { "" } else { no_folder };
                let remedy = "after each epoch save weights, optimizer and epoch in the folder \
                              `checkpoint`, and begin with them where `resume` is true: a requeued \
                              job trains everything again otherwise";
                let gap = "report an epoch before its checkpoint is saved: the curve lacks epochs";
                match first > last + 1 {
                    true => Check::failure("resume", seen, gap),
                    false => Check::ok_if(first >= last, "resume", seen, remedy),
                }
            }
        });
        checks.extend(epochs.first().map(|_| check));
    }

    /// Sends it after two epochs; returns the epochs reported, too.
    fn signal(&self, request: &Request, name: &str, signal: Signal) -> (Check, Vec<u32>) {
        let Answer { ending, epochs, process } = self.ask(None, request, |epochs, interrupt| {
            if epochs == 2 {
                interrupt.raise(signal);
            }
            ControlFlow::Continue(())
        });
        let remedy = "catch TERM and USR1: finish or drop the epoch, make the checkpoint whole, \
                      and exit with 75";
        let exit = process.and_then(|mut process| process.exit());
        let check = match exit.filter(|_| matches!(ending, Ok(TrainingEnd::Interrupted))) {
            None if matches!(ending, Ok(TrainingEnd::Done)) => {
                Check::warning(name, "it goes on after the signal, to the last epoch", remedy)
            }
            None if !matches!(ending, Ok(TrainingEnd::Interrupted)) => {
                checked(name, &ending, "the training was over before it came", "")
            }
            None => Check::failure(name, "it goes on after the signal, and is killed", remedy),
            Some(status) => {
                let is_whole = status.code() == Some(TRY_AGAIN);
                Check::ok_if(is_whole, name, format!("the signal ended it: {status}"), remedy)
            }
        };
        (check, epochs)
    }
}

/// Ok where the training is over; the remedy is for one that is not over in time.
fn checked(
    name: &str,
    ending: &Result<TrainingEnd, TrainingError>,
    seen: &str,
    remedy: &str,
) -> Check {
    let at_once = "print each line at once (Python: `flush=True`), or allow more time: `--timeout`";
    let remedy = if remedy.is_empty() { at_once } else { remedy };
    match ending {
        Ok(TrainingEnd::Failed { reason }) => {
            Check::failure(name, format!("it says that the network has failed: {reason}"), "")
        }
        Ok(TrainingEnd::OutOfMemory { .. }) => {
            Check::failure(name, "it says that the network does not fit into memory", "")
        }
        Ok(_) => Check::ok(name, seen),
        Err(error @ TrainingError::Silent { .. }) => {
            Check::failure(name, error.to_string(), remedy)
        }
        // In words that say what to do.
        Err(error) => Check::failure(name, error.to_string(), ""),
    }
}

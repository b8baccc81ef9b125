//! A search halted and taken up again by a person: one row each, by itself.

use jiff::Timestamp;

use crate::ops::Experiment;
use crate::ops::live_log::LiveLog;
use crate::storage::{Event, Row};

/// Whether a row was needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Switched {
    /// It was, and is written.
    Written,
    /// The search was in that state already.
    NotNeeded,
    /// The schedule is finished: nothing is left to halt.
    Finished,
}

/// Appends `halted` to a search that goes on, and is not finished, or `resumed` to one that is halted.
pub(crate) fn halt(experiment: &Experiment) -> anyhow::Result<Switched> {
    switch(experiment, Event::Halted)
}

/// See [`halt`].
pub(crate) fn resume(experiment: &Experiment) -> anyhow::Result<Switched> {
    switch(experiment, Event::Resumed)
}

fn switch(experiment: &Experiment, event: Event) -> anyhow::Result<Switched> {
    LiveLog::open(experiment)?.locked(|session| {
        let wants_halt = event == Event::Halted;
        let knowledge = session.knowledge();
        if wants_halt && knowledge.is_finished(&experiment.config().schedule) {
            return Ok(Switched::Finished);
        }
        if knowledge.is_halted() == wants_halt {
            return Ok(Switched::NotNeeded);
        }
        let now = Timestamp::now().into();
        session.stage(if wants_halt {
            Row::at(Event::Halted, now)
        } else {
            Row::at(Event::Resumed, now)
        })?;
        session.write()?;
        Ok(Switched::Written)
    })
}

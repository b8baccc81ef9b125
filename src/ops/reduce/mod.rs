//! Learning from what the tasks recorded: [`lost_claims`], the view, the predictor ([`mod@refit`]),
//! the [`checkpoints`] and [`models`] that are kept, [`tables`].

pub(crate) mod checkpoints;
pub mod lost_claims;
pub(crate) mod models;
pub(crate) mod refit;
pub mod tables;

use std::fmt;

use anyhow::{Result, bail};

use crate::ops::journal::Journal;
use crate::ops::reduce::checkpoints::remove_checkpoints;
use crate::ops::reduce::lost_claims::{EndedJobs, lose_ended_claims};
use crate::ops::reduce::models::remove_models;
use crate::ops::reduce::refit::{newest_predictor, refit};
use crate::ops::train::attempt::audit_findings;
use crate::ops::verify::finding::Finding;
use crate::ops::verify::views::differing;
use crate::ops::{Experiment, Refusal};
use crate::predictor::AuditFindings;
use crate::storage::view::files::{set_aside, skip};
use crate::storage::view::{Learned, View};
use crate::storage::{Event, Iteration, Row};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reduced {
    pub rows: u64,
    pub new_rows: u64,
    /// Full curves that the predictor was fitted to just now.
    pub fitted: Option<usize>,
    pub lost: usize,
    pub finished: bool,
    pub notices: Vec<String>,
}

impl fmt::Display for Reduced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "learned from {} new rows of {}", self.new_rows, self.rows)?;
        if let Some(curves) = self.fitted {
            write!(f, "; fitted the predictor to {curves} learning curves")?;
        }
        if self.lost > 0 {
            write!(f, "; {} claims ended without a result", self.lost)?;
        }
        self.notices.iter().try_for_each(|notice| write!(f, "\n{notice}"))
    }
}

pub fn switched_off(audited: u64, false_stops: u64) -> String {
    format!(
        "early stopping is switched off: {false_stops} of {audited} audited networks have beaten \
         the best one although they were to be stopped, which is surely more than \
         `early_stopping.false_stop_limit` allows"
    )
}

/// Reduces. Running it twice changes nothing; two at once do double work and no harm.
pub fn reduce(experiment: &Experiment, ended: &EndedJobs) -> Result<Reduced> {
    let (mut reduced, journal, learned) = learn_new(experiment, ended)?;
    if !tables::are_of(experiment, &journal)? {
        let mut learned = learned.map_or_else(|| journal.learn(), Ok)?;
        journal.learn_on(&mut learned)?;
        match tables::write(experiment, &journal, learned.q_table()) {
            Ok(notices) => reduced.notices.extend(notices),
            // They are made anew each time, for people: the next round need not wait for them.
            Err(error) => log::error!("the tables are not written: {error:#}"),
        }
    }
    reduced.notices.extend(tables::missing_curves(experiment, journal.rows())?);
    Ok(reduced)
}

/// All of a [`reduce`] but the tables.
pub fn learn(experiment: &Experiment, ended: &EndedJobs) -> Result<Reduced> {
    learn_new(experiment, ended).map(|(reduced, ..)| reduced)
}

fn learn_new(
    experiment: &Experiment,
    ended: &EndedJobs,
) -> Result<(Reduced, Journal, Option<Learned>)> {
    let sha256 = experiment.view_params().sha256;
    // Damaged ones are set aside, newest first, so that they are made again.
    let is_whole = |view: View| view.q_table_csv().and(view.strategy()).map(drop);
    View::newest(experiment.dir(), &sha256, is_whole, set_aside)?;
    let mut journal = Journal::open(experiment)?;
    let lost = lose_ended_claims(experiment, &mut journal, ended)?;
    journal.refresh()?;
    let (before, rows) = (journal.view_rows(), journal.rows().len());
    let fitted = refit(experiment, &journal, |_| Ok(true))?;
    let (mut learned, mut strategy) = (None, journal.strategy(experiment)?);
    if rows > before && !journal.publish(learned.insert(journal.learn()?), &mut *strategy)? {
        log::info!("the search was repaired meanwhile: everything is learned again");
        let (again, journal, learned) = learn_new(experiment, ended)?;
        return Ok((Reduced { lost: lost + again.lost, ..again }, journal, learned));
    }
    // Even without a new row: the reduce that published this view may have died here.
    remove_checkpoints(experiment, journal.state())?;
    remove_models(experiment, &journal)?;
    let is_new = |audit| {
        let is_it = |row: &Row| row.iteration == Some(audit) && row.event == Event::Trained;
        journal.rows()[before..].iter().any(is_it)
    };
    let findings = switched_off_in(experiment, &journal, is_new);
    let said = findings.map(|findings| switched_off(findings.audited, findings.false_stops));
    let reduced = Reduced {
        rows: rows as u64,
        new_rows: (rows - before) as u64,
        fitted,
        lost,
        finished: journal.state().is_finished(&experiment.config().strategy.schedule),
        notices: Vec::from_iter(said),
    };
    Ok((reduced, journal, learned))
}

/// Compares the newest view and predictor with what is learned from nothing; returns its rows.
pub fn rebuild(experiment: &Experiment) -> Result<u64> {
    let journal = Journal::open(experiment)?;
    let Some(view) = journal.view() else { return Ok(0) };
    let stored = newest_predictor(experiment, &journal, skip)?;
    let differing = differing(experiment, (Some(view), stored.as_ref()), journal.rows())?;
    if let Some(Finding { path, problem, .. }) = differing.first() {
        bail!(Refusal::Damage(format!(
            "`{}`: {problem} (`metaqnn verify --repair` sets it aside and makes it anew)",
            path.display()
        )));
    }
    if !view.folder.exists() {
        let folder = view.folder.display();
        bail!(Refusal::TryAgain(format!("`{folder}` was removed by a reduce (compare again)")));
    }
    Ok(view.rows())
}

/// What the audits have shown, if the one that switched early stopping off `is_new`.
pub(crate) fn switched_off_in(
    experiment: &Experiment,
    journal: &Journal,
    is_new: impl Fn(Iteration) -> bool,
) -> Option<AuditFindings> {
    let findings = audit_findings(experiment, journal.state());
    let audit = findings.switched_off_after?.checked_sub(1)?;
    let audit = journal.state().audits.get(audit as usize)?;
    is_new(audit.iteration).then_some(findings)
}

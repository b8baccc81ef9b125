//! How far a search is. Reads everything, appends nothing.

use std::path::Path;

use anyhow::Result;

use crate::ops::Experiment;
use crate::ops::journal::{AttemptFiles, Journal};
use crate::ops::reduce::tables::search_data;
use crate::ops::rounds::diagnosis::Evidence;
use crate::ops::rounds::hosts::{Hosts, refusals, tasks};
use crate::report::{ArchitectureRecord, Condition, Summary, first_start, ranking, terminal};
use crate::space::Candidate;
use crate::storage::search_state::Standing;
use crate::storage::{Event, Iteration, Knowledge, Row};
use crate::strategy::ValidStrategyParams;

pub fn status(experiment: &Experiment) -> Result<Summary> {
    let files = AttemptFiles::list(experiment.dir())?;
    summary(experiment, &Journal::open_to_look(experiment)?, &files)
}

/// An experiment that is looked at again and again. Its log is read on from where it was, without
/// the lock unless it was damaged or files are there before their rows.
pub struct Watch {
    pub experiment: Experiment,
    journal: Option<Journal>,
}

impl Watch {
    pub fn open(dir: &Path) -> Result<Self> {
        Ok(Self { experiment: Experiment::open(dir)?, journal: None })
    }

    pub fn look(&mut self) -> Result<Summary> {
        let files = AttemptFiles::list(self.experiment.dir())?;
        let journal = match &mut self.journal {
            None => self.journal.insert(Journal::open_to_look(&self.experiment)?),
            Some(journal) => {
                journal.renew()?;
                // A client of NFS may show a file before the row that was written before it.
                if files.check(journal.state()).is_err() {
                    journal.refresh()?;
                }
                journal
            }
        };
        see_settings(&mut self.experiment, journal)?;
        summary(&self.experiment, journal, &files)
    }

    /// What the log alone says, without waiting for its lock once it was read.
    pub fn results(&mut self) -> Result<Summary> {
        let journal = match &mut self.journal {
            None => self.journal.insert(Journal::open_to_look(&self.experiment)?),
            Some(journal) => {
                journal.look();
                journal
            }
        };
        see_settings(&mut self.experiment, journal)?;
        Ok(Summary::of(&search_data(&self.experiment, journal)?))
    }
}

fn see_settings(experiment: &mut Experiment, journal: &Journal) -> Result<()> {
    let settings = &journal.state().settings;
    if *settings != experiment.settings {
        *experiment = experiment.seen_with(settings.clone())?;
    }
    Ok(())
}

fn summary(experiment: &Experiment, journal: &Journal, files: &AttemptFiles) -> Result<Summary> {
    let (knowledge, refusals) = (journal.state(), refusals(experiment)?);
    let search = search_data(experiment, journal)?;
    let hosts = Hosts::judge(tasks(journal.rows(), &refusals));
    let newest = experiment.dir().newest_round()?;
    let evidence = Evidence { experiment, journal, refusals: &refusals };
    let ((mut condition, mut notices), queue) = evidence.diagnosis(newest);
    let mut is_stuck = false;
    if !matches!(condition, Condition::Finished | Condition::Halted) {
        if let Some(common) = &hosts.common_failure {
            notices.insert(0, format!("{common}."));
            // Failures of the rounds before may be history: a person has corrected their reason.
            is_stuck |= evidence.fails_in(newest);
        }
        if let Some(notice) = timeouts(knowledge) {
            notices.insert(0, notice);
            is_stuck |= knowledge.is_time_too_short();
        }
    }
    if !experiment.settings.is_empty() {
        let settings = experiment.settings.join(", ");
        notices.push(format!("Changed with `metaqnn set`: {settings}."));
    }
    notices.extend(quarantined(&experiment.config().strategy, knowledge));
    if let Err(missing) = files.check(knowledge) {
        notices.push(format!("Damaged: {missing}."));
        // Every command but those that only look refuses it.
        is_stuck = true;
    }
    if is_stuck && condition == Condition::Active {
        condition = Condition::Stuck;
    }
    let in_force = knowledge.stage_in_force(&experiment.config().strategy.schedule);
    let mut summary = Summary {
        condition,
        round: newest,
        queue,
        epsilon: in_force.and_then(|stage| Some(stage.epsilon?.value())),
        started_at: first_start(journal.rows()),
        hosts: hosts.tallies,
        notices,
        ..Summary::of(&search)
    };
    if let Some(best) = &mut summary.best {
        let is_its = |row: &&Row| {
            row.event == Event::Trained && row.iteration == Some(Iteration(best.iteration))
        };
        let attempt = journal.rows().iter().find(is_its).and_then(Row::attempt);
        let name = |attempt| format!("models/{attempt}");
        best.model = attempt.filter(|attempt| experiment.dir().model(*attempt).is_dir()).map(name);
    }
    Ok(summary)
}

pub fn ranked(experiment: &Experiment, at_most: usize) -> Result<String> {
    let search = search_data(experiment, &Journal::open_to_look(experiment)?)?;
    let best = ranking(ArchitectureRecord::gather(&search.iterations), at_most);
    Ok(terminal::ranked(&best, &status(experiment)?))
}

/// Tasks that leave on the time warning without a new epoch, again and again.
fn timeouts(knowledge: &Knowledge) -> Option<String> {
    let timed_out = knowledge.open.iter().find(|(_, open)| open.timeouts > 0);
    let what = match (knowledge.claims_timed_out, timed_out) {
        (0, None) => return None,
        (0, Some((iteration, open))) => format!(
            "Iteration {iteration} left on the time warning without a new epoch (attempts in a \
             row: {})",
            open.timeouts
        ),
        (claims, _) => format!(
            "Claims in a row that were lost after three attempts without a new epoch before the \
             time warning: {claims}"
        ),
    };
    Some(format!(
        "{what}; is `slurm.time` too short, or does the trainer keep no checkpoint? See `metaqnn \
         set DIR slurm.time=...`."
    ))
}

/// Networks of a list that are passed over.
fn quarantined(strategy: &ValidStrategyParams, knowledge: &Knowledge) -> Option<String> {
    let list = strategy.list.as_ref()?;
    let is_passed_over = |it: &&Candidate| knowledge.standing(it) == Standing::Quarantined;
    let names = list.iter().filter(is_passed_over);
    let names: Vec<_> =
        names.map(|it| format!("{}, repeat {}", it.architecture, it.repeat)).collect();
    let problem = "Passed over, since three trainings of each were lost";
    (!names.is_empty()).then(|| format!("{problem}: {}.", names.join("; ")))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;

    use jiff::Timestamp;

    use super::*;
    use crate::ops::{init, set};

    fn append(experiment: &Experiment, event: Event) {
        let line = Row::at(event, Timestamp::now().into()).to_line().unwrap();
        let mut log = fs::File::options().append(true).open(experiment.dir().replay_log()).unwrap();
        log.write_all(&line).unwrap();
    }

    #[test]
    fn a_watch_reads_only_what_has_come_since() {
        let folder = tempfile::tempdir().unwrap();
        let experiment = init::tests::random_search(&folder, 3);
        let mut watch = Watch::open(experiment.dir().root()).unwrap();
        let mut condition = || watch.look().map(|summary| summary.condition);
        assert_eq!(condition().unwrap(), Condition::Active);
        append(&experiment, Event::Halted);
        assert_eq!(condition().unwrap(), Condition::Halted);
        // What was read before is not read again: it is unreadable now.
        let log = experiment.dir().replay_log();
        let text = fs::read_to_string(&log).unwrap();
        fs::write(&log, text.replace("halted", "ha?ted")).unwrap();
        append(&experiment, Event::Resumed);
        assert!(status(&experiment).is_err());
        assert_eq!(condition().unwrap(), Condition::Active);
        // A log in its place is another one.
        fs::rename(&log, folder.path().join("old")).unwrap();
        fs::write(&log, text).unwrap();
        assert_eq!(condition().unwrap(), Condition::Halted);
    }

    #[test]
    fn a_watch_sees_what_is_set_meanwhile() {
        let folder = tempfile::tempdir().unwrap();
        let experiment = init::tests::random_search(&folder, 3);
        let mut watch = Watch::open(experiment.dir().root()).unwrap();
        assert_eq!(watch.look().unwrap().wanted, 3);
        let setting = "epsilon_schedule=[{epsilon: 1.0, architectures: 5}]".parse().unwrap();
        set::set(&experiment, &[setting]).unwrap();
        let summary = watch.look().unwrap();
        assert_eq!(summary.wanted, 5);
        assert!(summary.notices[0].contains("epsilon_schedule"), "{:?}", summary.notices);
    }
}

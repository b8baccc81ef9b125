//! `metaqnn verify`: what an experiment is worth.

use clap::Args;

use super::args::SharedDir;
use super::exit_code::ExitStatus;
use super::printer::Printer;
use crate::ops::verify::{repair, verify};
use crate::storage::check_locks_of_mount;

/// Audit an experiment: every file parses, the view equals what the log says, nothing is lost
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    metaqnn verify DIR\n  \
    metaqnn verify DIR --repair\n  \
    metaqnn verify DIR --json            one object a finding\n\n\
    Exits 0 when there is no damage, and 3 when there is. Without --repair nothing is changed. With it, damaged rows of \
    the log are kept in torn/ and blanked in place, an unfinished end is kept and cut, views that do not fit the log \
    are set aside and learned again, files of attempts that the log does not know are set aside, and results that wait \
    beside their curves are appended; nothing is dropped without a copy. It takes the lock of the log and appends a row \
    after which tasks that run read it again. Killed, it can be repeated.")]
pub struct VerifyArgs {
    #[command(flatten)]
    place: SharedDir,
    /// Mend what is safe to mend
    #[arg(long)]
    repair: bool,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(args: VerifyArgs, printer: &Printer) -> anyhow::Result<ExitStatus> {
    let audit = if args.repair {
        if args.place.dir.exists() {
            check_locks_of_mount(&args.place.dir, args.place.nodes())?;
        }
        repair(&args.place.dir)?
    } else {
        verify(&args.place.dir)?
    };
    for finding in &audit.findings {
        let line = if args.json { serde_json::to_string(finding)? } else { finding.to_string() };
        printer.result(&line)?;
    }
    if !args.json {
        printer.result(&audit.to_string())?;
    }
    Ok(if audit.is_clean() { ExitStatus::Done } else { ExitStatus::Damaged })
}

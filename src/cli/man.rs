//! `metaqnn man`: the help as pages for `man`.

use std::fs;
use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, Command, CommandFactory};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};

use super::printer::Printer;
use crate::storage::fs::publish::replace_file;

/// Print the man page of the program, or write it and one for each command to a folder
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    metaqnn man ~/.local/share/man/man1     then `man metaqnn-status`\n  \
    metaqnn man | man -l -")]
pub struct ManArgs {
    /// The folder for metaqnn.1, metaqnn-init.1 and so on
    dir: Option<PathBuf>,
}

pub fn run(args: &ManArgs, printer: &Printer) -> anyhow::Result<()> {
    let mut program = super::Cli::command().disable_help_subcommand(true);
    program.build();
    let Some(dir) = &args.dir else {
        return printer.result(&String::from_utf8_lossy(&page(&program)?));
    };
    fs::create_dir_all(dir).with_context(|| format!("cannot create `{}`", dir.display()))?;
    for command in program.get_subcommands().chain([&program]) {
        let path = dir.join(Man::new(command.clone()).get_filename());
        replace_file(&path, &page(command)?)?;
    }
    printer.note(&format!("wrote the man pages to `{}`", dir.display()));
    Ok(())
}

/// With the examples as they stand in the help, for which `clap_mangen` has no paragraphs.
fn page(command: &Command) -> anyhow::Result<Vec<u8>> {
    let man = Man::new(command.clone());
    let name = command.get_display_name().unwrap_or_else(|| command.get_name()).to_uppercase();
    // Without a date, which `clap_mangen` cannot leave empty.
    let title = format!(".TH {name} 1 \"\" \"metaqnn {}\"\n", env!("METAQNN_VERSION"));
    let mut page = title.into_bytes();
    let parts = [
        Man::render_name_section,
        Man::render_synopsis_section,
        Man::render_description_section,
        Man::render_options_section,
    ];
    parts.iter().try_for_each(|part| part(&man, &mut page))?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut page)?;
    }
    let notes = command.get_after_help().context("a command without examples")?.to_string();
    let mut roff = Roff::new();
    roff.control("SH", ["EXAMPLES AND NOTES"]);
    for line in notes.lines() {
        match line {
            "" => roff.control("PP", []),
            line => roff.text([roman(line)]),
        };
    }
    roff.to_writer(&mut page)?;
    Ok(page)
}

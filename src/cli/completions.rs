//! `metaqnn completions`: for the shell.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::exit_code::ExitStatus;
use super::printer::Printer;

/// Print the completions of a shell
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  \
    metaqnn completions bash > ~/.local/share/bash-completion/completions/metaqnn")]
pub struct CompletionsArgs {
    /// bash, elvish, fish, powershell or zsh
    shell: Shell,
}

/// Runs the command.
pub fn run(args: &CompletionsArgs, printer: &Printer) -> anyhow::Result<ExitStatus> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut super::Cli::command(), "metaqnn", &mut script);
    printer.result(&String::from_utf8_lossy(&script))?;
    Ok(ExitStatus::Done)
}

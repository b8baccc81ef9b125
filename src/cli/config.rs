//! `metaqnn init`, `set`, `config`: the configuration of an experiment; and `completions`.

use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::printer::Printer;
use crate::config::{DEFAULTS, Setting, load};
use crate::ops::{self, Experiment};
use crate::storage::Trust;

/// Check a configuration and its data, and make the experiment directory
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    metaqnn init configs/cifar10.yaml /scratch/me/cifar10\n  \
    metaqnn init configs/svhn.yaml svhn-2 --set experiment.seed=2 --set data.path=/data/svhn\n  \
    metaqnn init flowers/ flowers-search          a configuration is written for the pictures\n  \
    metaqnn init --from svhn --top 10 --per-depth 1 svhn-best --set strategy.list.repeats=3\n\n\
    `strategy.kind` says who chooses networks: `q_learning`, the paper's, unless it is set. On the \
    benchmark configs/fashion_grid.yaml (3,426 networks, 100 searches each) one of the three best \
    was found after so many seconds of training (median, 95 %): bayesian 17 (17 to 18), evolution \
    54 (49 to 58), policy_gradient 55 (43 to 65), q_learning and exploit_best 103 (87 to 122), \
    random 103 (80 to 128). Other spaces may order them otherwise.")]
#[command(allow_missing_positional = true)]
pub struct InitArgs {
    /// The configuration, or a folder of pictures with one folder a class
    #[arg(
        value_name = "CONFIG|PICTURES",
        required_unless_present = "from",
        conflicts_with = "from"
    )]
    config: Option<PathBuf>,
    /// The experiment directory to make; it must not exist, or be empty
    dir: PathBuf,
    /// Replace a value of the configuration
    #[arg(long = "set", value_name = "PATH=VALUE")]
    settings: Vec<Setting>,
    /// Leave out pictures that cannot be read: `--set data.skip_unreadable=true`
    #[arg(long)]
    skip_unreadable: bool,
    /// Train the best networks of this experiment, with its configuration as `final_training`
    /// changes it: `strategy.kind: list`
    #[arg(long, value_name = "EXPERIMENT")]
    from: Option<PathBuf>,
    /// With `--from`: how many of the best
    #[arg(long, default_value_t = 10, value_name = "K", conflicts_with = "config")]
    top: u32,
    /// With `--from`: and how many of each depth from the median depth up
    #[arg(long, default_value_t = 1, value_name = "K", conflicts_with = "config")]
    per_depth: u32,
}

pub fn init(args: InitArgs, trust: Trust, printer: &Printer) -> anyhow::Result<()> {
    let settings = with_skipping(args.settings, args.skip_unreadable)?;
    let (config, text) = match (&args.config, &args.from) {
        (Some(config), _) => {
            let chosen = ops::pictures::choose(config, Some(&args.dir), &settings)?;
            (chosen.config, chosen.text)
        }
        (None, from) => {
            let from = from.as_ref().expect("clap asks for one of both");
            (ops::init::load_from(from, (args.top, args.per_depth), &settings)?, None)
        }
    };
    let experiment = ops::init::init(config, &args.dir, trust)?;
    ops::pictures::keep_text(&experiment, text.as_deref())?;
    let dir = experiment.dir().root().display();
    let here = match args.from {
        None => "`metaqnn run` here with the arguments of this `init`".to_owned(),
        Some(_) => format!(
            "here: `metaqnn config --in-force {dir} > list.yaml`, then \
             `metaqnn run list.yaml {dir}`"
        ),
    };
    printer.note(&format!(
        "made the experiment `{dir}` (next: `metaqnn submit` it to a cluster, or {here})"
    ));
    Ok(())
}

pub fn with_skipping(mut settings: Vec<Setting>, skip: bool) -> anyhow::Result<Vec<Setting>> {
    if skip {
        settings.push("data.skip_unreadable=true".parse()?);
    }
    Ok(settings)
}

/// Change what may change of an experiment's configuration
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    metaqnn set DIR slurm.time=12:00:00 slurm.memory=16G\n  \
    metaqnn set DIR 'epsilon_schedule=[{epsilon: 1.0, architectures: 1500}, \
    {epsilon: 0.1, architectures: 300}]'\n\n\
    Each change is a row of the log, and in force for what begins after it; `experiment.yaml` \
    stays as it is. `metaqnn config --in-force DIR` prints what is in force. Keys that may \
    change:\n  \
    slurm.*                             how jobs are submitted\n  \
    training.device, training.threads   last digits of accuracies change\n  \
    training.silence_limit, training.claim_lifetime, training.checkpoint_dir\n  \
    epsilon_schedule                    each stage that has begun keeps its place and epsilon and \
    gets no fewer architectures; new ones come after it\n  \
    strategy.architectures              of strategies without epsilons; once begun, no fewer")]
pub struct SetArgs {
    /// The experiment directory
    dir: PathBuf,
    /// The keys to change, each with its new value (`null` where a key may be empty)
    #[arg(required = true, value_name = "KEY=VALUE")]
    settings: Vec<Setting>,
}

pub fn set(args: SetArgs, printer: &Printer) -> anyhow::Result<()> {
    let experiment = Experiment::open(&args.dir)?;
    ops::set::set(&experiment, &args.settings)?.iter().for_each(|line| printer.note(line));
    Ok(())
}

/// Show every key of a configuration with its default, check a file, or show what is in force in an
/// experiment
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    metaqnn config --defaults > mine.yaml\n  \
    metaqnn config --check mine.yaml\n  \
    metaqnn config --in-force DIR")]
#[command(group = clap::ArgGroup::new("what").required(true))]
pub struct ConfigArgs {
    /// Print every key with its default and a comment
    #[arg(long, group = "what")]
    defaults: bool,
    /// Check a configuration, and its data where they are, and print it with every default
    #[arg(long, group = "what", value_name = "FILE")]
    check: Option<PathBuf>,
    /// Print what is in force in an experiment: its frozen configuration, with what `metaqnn set`
    /// has changed
    #[arg(long, group = "what", value_name = "DIR", conflicts_with = "settings")]
    in_force: Option<PathBuf>,
    /// Replace a value of the configuration
    #[arg(long = "set", value_name = "PATH=VALUE", conflicts_with = "defaults")]
    settings: Vec<Setting>,
}

pub fn config(args: ConfigArgs, printer: &Printer) -> anyhow::Result<()> {
    if let Some(path) = args.check {
        let named = || format!("`{}`", path.display());
        let mut config = load(&path, &args.settings).with_context(named)?;
        ops::list::fill(&mut config).with_context(named)?;
        let config = ops::recording::checked(config).with_context(named)?;
        config.warnings().iter().for_each(|warning| log::warn!("{warning}"));
        if config.config.data.path.as_ref().is_some_and(|data| data.exists()) {
            ops::init::check_images(&config)?;
        }
        printer.result(&config.to_yaml())
    } else if let Some(dir) = args.in_force {
        printer.result(&Experiment::open(&dir)?.config().to_yaml())
    } else {
        printer.result(DEFAULTS)
    }
}

/// Print the completions of a shell
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  \
    metaqnn completions bash > ~/.local/share/bash-completion/completions/metaqnn")]
pub struct CompletionsArgs {
    /// bash, elvish, fish, powershell or zsh
    shell: Shell,
}

pub fn completions(args: &CompletionsArgs, printer: &Printer) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut super::Cli::command(), "metaqnn", &mut script);
    printer.result(&String::from_utf8_lossy(&script))
}

//! `metaqnn finalize`: from a search to trained networks with a test error.

use std::ops::ControlFlow;
use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::parser::ValueSource;
use clap::{ArgMatches, Args};

use super::printer::Printer;
use super::progress::Progress;
use crate::ops::finalize::{By, FinalizeOptions, finalize};
use crate::ops::{Experiment, Refusal, run::run as train};
use crate::report::certificate::finals_text;
use crate::storage::Trust;

/// Train the best networks of a search for long, and test them once
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    metaqnn finalize DIR\n  \
    metaqnn finalize DIR --baselines configs/baselines.txt --workers 2\n  \
    metaqnn finalize DIR --control RANDOM     at equal cost: RANDOM is a search of epsilon 1\n  \
    metaqnn finalize DIR --data configs/svhn.yaml     the same networks on other images\n\n\
    Steps, each below DIR/final/; those that are done are not done again:\n  \
    networks.yaml   which networks: the best of the search, of each depth, and the best that were \
    drawn at random, as control\n  \
    1-validate/     each is trained as `final_training` says, and judged on the validation part\n  \
    2-whole/        the best on validation, N times each, with all images but those for testing\n  \
    test/           what these say of the test images: read once, by a plan made before\n  \
    summary.csv, depth.csv, certificate.md, certificate.json, model/: the report\n\n\
    Interrupt it at any time (Ctrl-C); the same command goes on where it was. `1-validate` and \
    `2-whole` are experiments: `metaqnn status DIR/final/2-whole`.\n\n\
    Of a search that was submitted to Slurm the steps are jobs, too, with the options of its newest \
    round: this submits the first, and the last reduce of each the next. `--workers` trains here.")]
pub struct FinalizeArgs {
    /// The experiment directory of the search
    dir: PathBuf,
    #[command(flatten)]
    options: FinalizeOptions,
    /// How many networks are trained at the same time, on this machine (1 unless the search was
    /// submitted to Slurm)
    #[arg(long, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=4096))]
    workers: Option<u32>,
    /// Only the test and the report, here and now (what `slurm/finalize.sbatch` runs)
    #[arg(long, conflicts_with = "workers")]
    test_only: bool,
    /// Print what `certificate.json` holds, on one line, or `{"submitted": [..]}`
    #[arg(long)]
    json: bool,
}

pub fn run(args: &FinalizeArgs, given: &ArgMatches, trust: Trust, printer: &Printer) -> Result<()> {
    let parent = Experiment::open(&args.dir)?.trusted_by(trust)?;
    let is_given = |id: &&str| given.value_source(id) == Some(ValueSource::CommandLine);
    let given = given.ids().map(clap::Id::as_str).filter(is_given).map(str::to_owned).collect();
    let options = FinalizeOptions { given, ..args.options.clone() };
    let train = &mut |child: &Experiment| {
        if args.test_only {
            bail!(Refusal::Usage(format!(
                "`{}` is not trained to its end (leave `--test-only` out)",
                child.dir().root().display()
            )));
        }
        let (workers, dir) = (args.workers.unwrap_or(1), child.dir().root());
        printer.note(&format!("`{}`:", dir.display()));
        let mut progress = Progress::of_search(printer, workers, dir)?;
        train(child, workers, &mut |worker, event| progress.show(worker, event))
    };
    let is_local = parent.dir().newest_round()?.is_none();
    let is_here = args.test_only || args.workers.is_some() || is_local;
    match finalize(&parent, &options, if is_here { By::Machine(train) } else { By::Jobs })? {
        ControlFlow::Continue(finals) => printer.answer(args.json, &finals, finals_text(&finals)),
        ControlFlow::Break(said) => {
            printer.answer(args.json, &serde_json::json!({ "submitted": said }), said.join("\n"))
        }
    }
}

//! `metaqnn simulate`: what early stopping would have saved, and lost, on recorded curves.

mod args;

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use serde_json::json;

use self::args::Scheduler;
pub use self::args::SimulateArgs;
use super::exit_code::ExitStatus;
use super::printer::Printer;
use crate::ops::Refusal;
use crate::report::terminal::Colour;
use crate::simulate::{self, Replayed, SimulationParams, table};

/// Runs the command.
pub fn run(args: &SimulateArgs, printer: &Printer) -> anyhow::Result<ExitStatus> {
    // All that can be wrong is found before anything is computed.
    let params = args.params()?;
    args.check()?;
    // No refusal: one line of options may serve all regressors.
    let predictor = &params.predictor;
    for name in predictor.without_meaning() {
        log::warn!("`--{name}` is ignored: the regressor `{}` has none", predictor.regressor);
    }
    for option in args.ignored_options() {
        log::warn!("`{option}` is ignored: plain Hyperband predicts nothing");
    }
    let reading = args.file.reading();
    let replayed = args.inputs.iter().map(|path| simulate::read(path, &reading));
    let replayed = replayed.collect::<anyhow::Result<Vec<_>>>()?;
    for input in &replayed {
        printer.note(&input.summary);
        input.warnings.iter().for_each(|warning| log::warn!("{warning}"));
        let (networks, burn_in) = (input.curves.networks(), predictor.burn_in);
        let is_empty = networks <= burn_in || input.curves.epochs() == 1;
        if let Some(file) = args.trace.as_ref().or(args.scores.as_ref()).filter(|_| is_empty) {
            let (path, networks, epochs) = (file.clone(), networks, input.curves.epochs());
            return Err(Refusal::NothingToWrite { path, networks, epochs, burn_in }.into());
        }
        if networks <= burn_in && args.hyperband.scheduler != Scheduler::Hyperband {
            log::warn!(
                "the burn-in of {burn_in} leaves none of {networks} networks to be stopped (choose a smaller --burn-in)"
            );
        }
    }
    for input in &replayed {
        args.replay(input, &params, printer)?;
    }
    Ok(ExitStatus::Done)
}

impl SimulateArgs {
    /// Checks that the options go together, and that the files to be written can be and hold one simulation.
    fn check(&self) -> anyhow::Result<()> {
        let mut targets = Vec::new();
        if let Some((option, other)) = self.idle_option() {
            return Err(Refusal::Together { option, other }.into());
        }
        for (option, file) in [("--trace", &self.trace), ("--scores", &self.scores)] {
            let Some(file) = file else { continue };
            targets.push(simulate::check_target(file, &self.inputs)?);
            if self.inputs.len() > 1 {
                return Err(Refusal::Together { option, other: "several inputs" }.into());
            }
        }
        if let [trace, scores] = targets.as_slice()
            && trace == scores
        {
            let other = "`--scores` of the same file";
            return Err(Refusal::Together { option: "--trace", other }.into());
        }
        Ok(())
    }

    fn replay(
        &self,
        input: &Replayed,
        params: &SimulationParams,
        printer: &Printer,
    ) -> anyhow::Result<()> {
        let (curves, seed) = (&input.curves, self.walk.seed);
        let orders = if self.walk.file_order { 1 } else { self.walk.orders };
        let bar = bar(printer, orders);
        let on_order = || bar.inc(1);
        match self.hyperband.scheduler() {
            None => {
                let simulation = simulate::stopping(curves, params, seed, &on_order)?;
                bar.finish_and_clear();
                self.print(input, &simulation.summaries, table::stopping, printer)?;
                if let Some(file) = &self.trace {
                    simulate::write_trace(file, &simulation.trace)?;
                }
            }
            Some(scheduler) => {
                let summaries = simulate::hyperband(curves, params, &scheduler, seed, &on_order)?;
                bar.finish_and_clear();
                self.print(input, &summaries, table::hyperband, printer)?;
            }
        }
        if let Some(file) = &self.scores {
            simulate::write_scores(file, &simulate::scores(curves, params, seed)?)?;
        }
        Ok(())
    }

    fn print<T: Serialize>(
        &self,
        input: &Replayed,
        summaries: &[T],
        text: impl Fn(&[T], Colour) -> String,
        printer: &Printer,
    ) -> anyhow::Result<()> {
        let file = (self.inputs.len() > 1).then(|| input.path.display().to_string());
        if !self.json {
            let heading = file.map_or(String::new(), |file| format!("{file}\n"));
            return printer.result(&(heading + &text(summaries, printer.colour())));
        }
        for summary in summaries {
            let object = serde_json::to_string(summary)?;
            printer.result(&match &file {
                None => object,
                // Before the columns that are fixed.
                Some(file) => format!("{{\"file\":{},{}", json!(file), &object[1..]),
            })?;
        }
        Ok(())
    }
}

/// A bar over the orders, where a person watches.
fn bar(printer: &Printer, orders: usize) -> ProgressBar {
    let Some(bars) = printer.bars() else { return ProgressBar::hidden() };
    let template = "simulate [{bar:28}] {pos}/{len} orders, {elapsed} gone";
    let style = ProgressStyle::with_template(template).expect("the template is well formed");
    let bar = bars.add(ProgressBar::new(orders as u64)).with_style(style.progress_chars("=> "));
    bar.enable_steady_tick(Duration::from_secs(1));
    bar
}

//! An experiment is the same on every machine. glibc computes with fused instructions where the processor has
//! them; its tunables hide them, so that one machine stands for two.

use std::collections::HashMap;
use std::fs;

use crate::early_stopping::{count, newest_predictor, newest_view};
use crate::run::ELSEWHERE;
use crate::simulate;
use crate::support::Experiment;

/// `GLIBC_TUNABLES` of this processor, and of one without fused instructions.
const PROCESSORS: [&str; 2] = ["", "glibc.cpu.hwcaps=-AVX2,-FMA,-FMA4,-AVX,-AVX512F"];

/// Enough kernel values, draws and curves that some differ between the two where the C library computes them.
const SEARCH: &str = "
experiment: {name: portable, seed: 5}
data: {classes: 10, input_size: 16, channels: 1}
search_space: {max_layers: 6, filters: [8, 16], fc_widths: [32, 16]}
epsilon_schedule:
  - {epsilon: 1.0, architectures: 40}
  - {epsilon: 0.1, architectures: 10}
training: {trainer: synthetic, epochs: 8}
early_stopping: {burn_in: 30, refit_every: 5, draws: 20}
";

fn run_on(processor: &str, experiment: &Experiment, arguments: &[&str]) -> String {
    let mut command = experiment.command(arguments);
    let output = command.env("GLIBC_TUNABLES", processor).output().unwrap();
    assert!(output.status.success(), "metaqnn {arguments:?} on `{processor}`: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The rows of a CSV file without what depends on clock and machine.
fn rows(text: &str) -> Vec<HashMap<String, String>> {
    let rows = csv::Reader::from_reader(text.as_bytes()).into_deserialize();
    let of_the_search = |row: Result<HashMap<String, String>, _>| {
        let is_of_the_search = |column: &str| column != "seconds" && !ELSEWHERE.contains(&column);
        row.unwrap().into_iter().filter(|(column, _)| is_of_the_search(column)).collect()
    };
    rows.map(of_the_search).collect()
}

#[test]
fn a_search_is_the_same_on_every_processor_and_sound_on_every_other() {
    let searches = PROCESSORS.map(|processor| {
        let experiment = Experiment::with(SEARCH);
        run_on(processor, &experiment, &["run", "config.yaml", "dir"]);
        experiment
    });
    assert!(count(&searches[0], "stopped") > 0);
    let [here, there] = searches.each_ref();
    assert_eq!(rows(&here.text("replay.csv")), rows(&there.text("replay.csv")));
    for curve in fs::read_dir(here.path("curves")).unwrap() {
        let name = curve.unwrap().file_name().into_string().unwrap();
        let [here, there] =
            [here, there].map(|search| rows(&search.text(&format!("curves/{name}"))));
        assert_eq!(here, there, "{name}");
    }
    let q_tables = [here, there].map(|search| newest_view(search).join("q_table.csv"));
    let predictors =
        [here, there].map(|search| newest_predictor(search).unwrap().join("predictor.yaml"));
    for files in [q_tables, predictors] {
        let [here, there] = files.each_ref().map(|path| fs::read(path).unwrap());
        assert!(here == there, "{files:?} differ");
    }
    for (search, processor) in searches.iter().zip(PROCESSORS.iter().rev()) {
        run_on(processor, search, &["verify", "dir"]);
        run_on(processor, search, &["reduce", "dir", "--rebuild"]);
    }
}

#[test]
fn what_a_strategy_draws_and_has_learned_is_the_same_on_every_processor() {
    for kind in ["bayesian", "policy_gradient"] {
        let [here, there] = PROCESSORS.map(|processor| {
            let strategy = format!("strategy: {{kind: {kind}, architectures: 16}}");
            let experiment = Experiment::with(&format!("{SEARCH}{strategy}\n"));
            run_on(processor, &experiment, &["run", "config.yaml", "dir"]);
            experiment
        });
        assert_eq!(rows(&here.text("replay.csv")), rows(&there.text("replay.csv")), "{kind}");
        let learned = [&here, &there].map(|it| fs::read(newest_view(it).join("strategy.bin")));
        let [a, b] = learned.map(Result::unwrap);
        assert!(a == b, "{kind}");
        run_on(PROCESSORS[1], &here, &["verify", "dir"]);
    }
}

#[test]
fn a_simulation_is_the_same_on_every_processor() {
    let folder = simulate::folder(&simulate::file(60, |y| y));
    let [here, there] = PROCESSORS.map(|processor| {
        let arguments = ["simulate", "curves.csv", "--burn-in", "30", "--orders", "2", "--json"];
        run_on(processor, &folder, &[&arguments[..], &["--scores", "scores.csv"]].concat())
            + &fs::read_to_string(folder.folder().join("scores.csv")).unwrap()
    });
    assert_eq!(here, there);
}

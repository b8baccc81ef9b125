//! `metaqnn space`: the search space itself.

use std::io::{self, BufRead, Read};
use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Args;
use serde_json::{Value, json};

use super::printer::Printer;
use crate::config;
use crate::ops::Refusal;
use crate::q_learning::{Epsilon, QTable, sample_trajectory};
use crate::report::terminal::with_commas;
use crate::seed::{Purpose, generator};
use crate::space::{Architecture, Space, SpaceError, StateKey, StateTuple};

/// Show the search space of a configuration: its size, what is legal, samples, costs
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    metaqnn space configs/cifar10.yaml\n  \
    metaqnn space configs/svhn.yaml --next '[C(64,3,1), P(2,2)]'\n  \
    metaqnn space configs/svhn.yaml --sample 5\n  \
    metaqnn space configs/svhn.yaml --cost '[C(64,3,1), P(2,2), SM(10)]'\n  \
    metaqnn space configs/svhn.yaml --check --json < architectures.txt\n\n\
    JSON, one object a line:\n  \
    (no option)  states, state_action_pairs, architectures (a string: it may pass 2^53), \
    input_size, max_layers, limits\n  \
    --states     layer_type, layer_depth, filter_depth, filter_size, stride, image_size (of its \
    bin), fc_size, next\n  \
    --check      architecture, legal, reason, with_dropout, layers, parameters, macs, sizes")]
pub struct SpaceArgs {
    /// The configuration
    config: PathBuf,
    /// List every reachable state with its legal next layers
    #[arg(long, group = "question")]
    states: bool,
    /// Check architectures read from stdin, one a line; exits 0 whatever they are
    #[arg(long, group = "question")]
    check: bool,
    /// List the layers that may follow the beginning of an architecture
    #[arg(long, group = "question", value_name = "PREFIX")]
    next: Option<String>,
    /// Sample N architectures, untrained and uniformly over the legal layers unless --epsilon says
    /// otherwise
    #[arg(long, group = "question", value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    sample: Option<u64>,
    /// Epsilon of --sample; below 1 the untrained Q-table ties, so the choice stays random
    /// [default: 1]
    #[arg(long)]
    epsilon: Option<f64>,
    /// Show what an architecture costs
    #[arg(long, group = "question", value_name = "ARCHITECTURE")]
    cost: Option<String>,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
    /// Replace a value of the configuration
    #[arg(long = "set", value_name = "PATH=VALUE")]
    settings: Vec<config::Setting>,
}

pub fn run(args: SpaceArgs, printer: &Printer) -> anyhow::Result<()> {
    let config = config::load(&args.config, &args.settings)
        .and_then(config::ExperimentConfig::check)
        .with_context(|| format!("`{}`", args.config.display()))?;
    // Not left to clap, which waives what an option requires when a third one rules that out.
    if args.epsilon.is_some() && args.sample.is_none() {
        bail!(Refusal::together("--epsilon", "another question than `--sample`"));
    }
    let space = &config.space;
    let print = |(object, text): (Value, String)| printer.answer(args.json, &object, text);
    if args.states {
        space.states().iter().try_for_each(|key| print(state(space, key)))?;
    } else if args.check {
        let mut stdin = io::stdin().lock();
        for number in 1.. {
            let Some(line) = read_line(&mut stdin, number)? else { break };
            let parsed = space.parse(&line);
            let legal = parsed.as_ref().map(|architecture| format!("legal: {architecture}"));
            let text = legal.unwrap_or_else(|problem| format!("illegal: {problem}"));
            print((checked(space, &line, parsed.as_ref()), text))?;
        }
    } else if let Some(prefix) = &args.next {
        let state = space.parse_prefix(prefix)?;
        for action in space.legal_actions(&space.key(&state)) {
            let layer = action.to_string();
            print((json!({ "layer": layer }), layer))?;
        }
    } else if let Some(number) = args.sample {
        let epsilon = Epsilon::new(args.epsilon.unwrap_or(1.0))?;
        let q_table = QTable::new(space.clone(), config.q_learning.initial_q_value);
        for iteration in 1..=number {
            let mut rng = generator(config.experiment.seed, Purpose::Sample, iteration, 0);
            let architecture = sample_trajectory(&q_table, epsilon, &mut rng).to_string();
            print((json!({ "architecture": architecture }), architecture))?;
        }
    } else if let Some(text) = &args.cost {
        let architecture = space.parse(text)?;
        let text = cost(space, &architecture);
        print((checked(space, &architecture.to_string(), Ok(&architecture)), text))?;
    } else {
        print(size(space))?;
    }
    Ok(())
}

/// Bytes of the longest line that is read; the longest architecture has some thousand.
const LONGEST_LINE: u64 = 1 << 20;

/// `None` after the last line.
fn read_line(stdin: &mut impl BufRead, number: u64) -> anyhow::Result<Option<String>> {
    let mut line = Vec::new();
    let read = stdin.take(LONGEST_LINE).read_until(b'\n', &mut line);
    let is_whole = line.pop_if(|end| *end == b'\n').is_some();
    match read.context("failed to read stdin")? as u64 {
        0 => Ok(None),
        LONGEST_LINE if !is_whole => bail!(Refusal::Usage(format!(
            "line {number} of stdin has more than a mebibyte (write one architecture a line)"
        ))),
        _ => Ok(Some(String::from_utf8_lossy(&line).trim_end_matches('\r').to_owned())),
    }
}

fn size(space: &Space) -> (Value, String) {
    let (image, max_layers) = (space.image, space.max_layers);
    let (states, pairs) = (space.states().len(), space.count_state_action_pairs());
    let architectures = space.count_architectures().to_string();
    let text = format!(
        "images          {0} x {0} pixels, {1} channel{2}, {3} classes\n\
         most layers     {max_layers}\n\
         states          {4}\n\
         state-actions   {5}\n\
         architectures   {6}\n",
        image.size,
        image.channels,
        if image.channels == 1 { "" } else { "s" },
        image.classes,
        with_commas(states),
        with_commas(pairs),
        with_commas(&architectures),
    );
    let object = json!({
        "states": states, "state_action_pairs": pairs, "architectures": architectures,
        "input_size": image.size, "max_layers": max_layers, "limits": null,
    });
    (object, text)
}

/// In the published columns.
fn state(space: &Space, key: &StateKey) -> (Value, String) {
    let next: Vec<String> = space.legal_actions(key).iter().map(ToString::to_string).collect();
    let state = StateTuple::of_state(key);
    let mut object = json!(state);
    object["next"] = json!(next);
    let StateTuple { layer_type, layer_depth, filter_depth, filter_size, stride, .. } = state;
    let (fc_size, size, next) = (state.fc_size, state.image_size, next.join(" "));
    let text = format!(
        "depth {layer_depth:>2}  {layer_type:<5} {filter_depth:>3} {filter_size} {stride} \
         {fc_size:>3}  size {size}: {next}"
    );
    (object, text)
}

fn checked(space: &Space, text: &str, parsed: Result<&Architecture, &SpaceError>) -> Value {
    let architecture = parsed.ok();
    let cost = architecture.map(|architecture| space.cost(architecture));
    json!({
        "architecture": text,
        "legal": parsed.is_ok(),
        "reason": parsed.err().map(ToString::to_string),
        "with_dropout": architecture.map(ToString::to_string),
        "layers": architecture.map(Architecture::depth),
        "parameters": cost.map(|cost| cost.parameters),
        "macs": cost.map(|cost| cost.macs),
        "sizes": architecture.map(|architecture| space.sizes(architecture)),
    })
}

fn cost(space: &Space, architecture: &Architecture) -> String {
    let cost = space.cost(architecture);
    let sizes: Vec<_> = space.sizes(architecture).iter().map(ToString::to_string).collect();
    format!(
        "architecture          {architecture}\n\
         layers                {}\n\
         parameters            {}\n\
         multiply-accumulates  {}\n\
         sizes                 {}\n",
        architecture.depth(),
        with_commas(cost.parameters),
        with_commas(cost.macs),
        sizes.join(" "),
    )
}

//! `metaqnn space`: the search space itself.

use std::io::{self, BufRead, Read};
use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Args;
use serde::Serialize;
use serde_json::json;

use super::exit_code::ExitStatus;
use super::printer::Printer;
use crate::config;
use crate::ops::Refusal;
use crate::q_learning::{Epsilon, QTable, sample_trajectory};
use crate::seed::{Purpose, generator};
use crate::space::{Architecture, LastLayer, Space, StateKey};

/// Show the search space of a configuration: its size, what is legal, samples, costs
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    metaqnn space configs/cifar10.yaml\n  \
    metaqnn space configs/svhn.yaml --next '[C(64,3,1), P(2,2)]'\n  \
    metaqnn space configs/svhn.yaml --sample 5\n  \
    metaqnn space configs/svhn.yaml --cost '[C(64,3,1), P(2,2), SM(10)]'\n  \
    metaqnn space configs/svhn.yaml --check --json < architectures.txt\n\n\
    JSON, one object a line:\n  \
    (no option)  states, state_action_pairs, architectures (a string: it may pass 2^53), input_size, max_layers, limits\n  \
    --states     layer_type, layer_depth, filter_depth, filter_size, stride, image_size (of its bin), fc_size, next\n  \
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
    /// Sample N architectures, untrained and uniformly over the legal layers unless --epsilon says otherwise
    #[arg(long, group = "question", value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    sample: Option<u64>,
    /// Epsilon of --sample; below 1 the untrained Q-table ties, so the choice stays random [default: 1]
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

/// Runs the command.
pub fn run(args: SpaceArgs, printer: &Printer) -> anyhow::Result<ExitStatus> {
    let config = config::load(&args.config, &args.settings)
        .and_then(config::ExperimentConfig::check)
        .with_context(|| format!("`{}`", args.config.display()))?;
    // Not left to clap, which waives what an option requires when a third one rules that out.
    if args.epsilon.is_some() && args.sample.is_none() {
        let other = "another question than `--sample`";
        bail!(Refusal::Together { option: "--epsilon", other });
    }
    let space = &config.space;
    if args.states {
        for key in space.states() {
            printer.result(&state_line(space, &key, args.json)?)?;
        }
    } else if args.check {
        let mut stdin = io::stdin().lock();
        let mut number = 1;
        while let Some(line) = read_line(&mut stdin, number)? {
            printer.result(&check_line(space, &line, args.json)?)?;
            number += 1;
        }
    } else if let Some(prefix) = &args.next {
        let state = space.parse_prefix(prefix)?;
        for action in space.legal_actions(&space.key(&state)) {
            printer.result(&text_or_json(
                args.json,
                action.to_string(),
                |layer| json!({ "layer": layer }),
            )?)?;
        }
    } else if let Some(number) = args.sample {
        sample(&config, number, &args, printer)?;
    } else if let Some(text) = &args.cost {
        let architecture = space.parse(text)?;
        printer.result(&cost_text(space, &architecture, args.json)?)?;
    } else {
        printer.result(&size_text(space, args.json)?)?;
    }
    Ok(ExitStatus::Done)
}

/// Bytes of the longest line that is read; the longest architecture has some thousand.
const LONGEST_LINE: u64 = 1 << 20;

/// Reads a line without its end; `None` after the last one.
fn read_line(stdin: &mut impl BufRead, number: u64) -> anyhow::Result<Option<String>> {
    let mut line = Vec::new();
    stdin.take(LONGEST_LINE).read_until(b'\n', &mut line).context("failed to read stdin")?;
    if line.is_empty() {
        return Ok(None);
    }
    if line.pop_if(|end| *end == b'\n').is_none() && line.len() as u64 == LONGEST_LINE {
        bail!(Refusal::LongLine { number });
    }
    Ok(Some(String::from_utf8_lossy(&line).trim_end_matches('\r').to_owned()))
}

fn sample(
    config: &config::ValidConfig,
    number: u64,
    args: &SpaceArgs,
    printer: &Printer,
) -> anyhow::Result<()> {
    let epsilon = Epsilon::new(args.epsilon.unwrap_or(1.0))?;
    let q_table = QTable::new(config.space.clone(), config.q_learning.params().initial_q_value);
    for iteration in 1..=number {
        let mut rng = generator(config.seed(), Purpose::Sample, iteration, 0);
        let architecture = sample_trajectory(&q_table, epsilon, &mut rng);
        let line = text_or_json(
            args.json,
            architecture.to_string(),
            |text| json!({ "architecture": text }),
        )?;
        printer.result(&line)?;
    }
    Ok(())
}

fn text_or_json(
    json: bool,
    text: String,
    object: impl Fn(&str) -> serde_json::Value,
) -> anyhow::Result<String> {
    Ok(if json { serde_json::to_string(&object(&text))? } else { text })
}

#[derive(Serialize)]
struct Size {
    states: usize,
    state_action_pairs: usize,
    architectures: String,
    input_size: u32,
    max_layers: u32,
    limits: Option<()>,
}

fn size_text(space: &Space, json: bool) -> anyhow::Result<String> {
    let size = Size {
        states: space.states().len(),
        state_action_pairs: space.count_state_action_pairs(),
        architectures: space.count_architectures().to_string(),
        input_size: space.image().size,
        max_layers: space.params().max_layers,
        limits: None,
    };
    if json {
        return Ok(serde_json::to_string(&size)?);
    }
    Ok(format!(
        "images          {0} x {0} pixels, {1}, {2} classes\n\
         most layers     {3}\n\
         states          {4}\n\
         state-actions   {5}\n\
         architectures   {6}\n",
        size.input_size,
        match space.image().channels {
            1 => "1 channel".to_owned(),
            channels => format!("{channels} channels"),
        },
        space.image().classes,
        size.max_layers,
        with_commas(&size.states.to_string()),
        with_commas(&size.state_action_pairs.to_string()),
        with_commas(&size.architectures),
    ))
}

/// Groups the digits of a whole number by three, for people.
fn with_commas(digits: &str) -> String {
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The fields of a state under the names of the reference's files.
#[derive(Serialize)]
struct StateLine {
    layer_type: &'static str,
    layer_depth: u32,
    filter_depth: u32,
    filter_size: u32,
    stride: u32,
    image_size: u32,
    fc_size: u32,
    next: Vec<String>,
}

fn state_line(space: &Space, key: &StateKey, json: bool) -> anyhow::Result<String> {
    let next: Vec<String> = space.legal_actions(key).iter().map(ToString::to_string).collect();
    let (layer_type, filter_depth, filter_size, stride, fc_size) = match key.last {
        LastLayer::Start => ("start", 1, 0, 0, 0),
        LastLayer::Conv { filters, kernel, stride } => ("conv", filters, kernel, stride, 0),
        LastLayer::Pool { kernel, stride } => ("pool", 0, kernel, stride, 0),
        LastLayer::FullyConnected { index, width } => ("fc", index, 0, 0, width),
        LastLayer::GlobalAveragePool => ("gap", 0, 0, 0, 0),
    };
    let line = StateLine {
        layer_type,
        layer_depth: key.depth,
        filter_depth,
        filter_size,
        stride,
        image_size: key.bin.size(),
        fc_size,
        next,
    };
    if json {
        return Ok(serde_json::to_string(&line)?);
    }
    Ok(format!(
        "depth {:>2}  {:<5} {:>3} {} {} {:>3}  size {}: {}",
        line.layer_depth,
        layer_type,
        filter_depth,
        filter_size,
        stride,
        fc_size,
        key.bin.size(),
        line.next.join(" ")
    ))
}

#[derive(Serialize)]
struct CheckLine<'a> {
    architecture: &'a str,
    legal: bool,
    reason: Option<String>,
    with_dropout: Option<String>,
    layers: Option<usize>,
    parameters: Option<u64>,
    macs: Option<u64>,
    sizes: Option<Vec<u32>>,
}

fn check_line(space: &Space, text: &str, json: bool) -> anyhow::Result<String> {
    let parsed = space.parse(text);
    let architecture = parsed.as_ref().ok();
    let cost = architecture.map(|architecture| space.cost(architecture));
    let line = CheckLine {
        architecture: text,
        legal: parsed.is_ok(),
        reason: parsed.as_ref().err().map(ToString::to_string),
        with_dropout: architecture.map(ToString::to_string),
        layers: architecture.map(Architecture::depth),
        parameters: cost.map(|cost| cost.parameters),
        macs: cost.map(|cost| cost.macs),
        sizes: architecture.map(|architecture| space.sizes(architecture)),
    };
    if json {
        return Ok(serde_json::to_string(&line)?);
    }
    Ok(match &line.reason {
        Some(reason) => format!("illegal: {reason}"),
        None => format!("legal: {}", line.with_dropout.unwrap_or_default()),
    })
}

fn cost_text(space: &Space, architecture: &Architecture, json: bool) -> anyhow::Result<String> {
    if json {
        return check_line(space, &architecture.to_string(), true);
    }
    let cost = space.cost(architecture);
    let sizes: Vec<String> = space.sizes(architecture).iter().map(ToString::to_string).collect();
    Ok(format!(
        "architecture          {architecture}\n\
         layers                {}\n\
         parameters            {}\n\
         multiply-accumulates  {}\n\
         sizes                 {}\n",
        architecture.depth(),
        with_commas(&cost.parameters.to_string()),
        with_commas(&cost.macs.to_string()),
        sizes.join(" "),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_grouped_for_people() {
        assert_eq!(with_commas("7"), "7");
        assert_eq!(with_commas("565"), "565");
        assert_eq!(with_commas("282710031500590500770"), "282,710,031,500,590,500,770");
    }
}

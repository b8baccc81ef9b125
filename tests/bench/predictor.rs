//! What the predictor costs. (What it is worth on recorded curves, `metaqnn simulate` says.)
//!
//! ```text
//! cargo bench --no-default-features --bench predictor -- [--python PATH]
//! ```
//!
//! The fit, with leave-one-out, of 100 curves of 20 epochs, and of the same stretched to 50, on one
//! core; beside it, with `--python` (a Python that has scikit-learn), the same by `predictor.py` in
//! the same run.
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::error::Error;
use std::io::Write;
use std::process::{Command, Stdio};

use metaqnn::predictor::{Example, FittedPredictor, PredictorParams};
use metaqnn::seed::{Purpose, generator};
use rustix::time::{ClockId, clock_gettime};

type Outcome<T> = Result<T, Box<dyn Error>>;

const NETWORKS: &str = include_str!("../golden/predictor/networks.json");

#[derive(serde::Deserialize, serde::Serialize)]
struct RecordedNetworks {
    networks: Vec<Example>,
}

fn main() -> Outcome<()> {
    time_fits(python()?.as_deref())
}

/// Returns the Python to compare with, if one is named.
fn python() -> Outcome<Option<String>> {
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            // Cargo's own.
            "--bench" => {}
            "--python" => return Ok(Some(words.next().ok_or("--python PATH")?)),
            _ => return Err(format!("`{word}` is no option (there is --python PATH)").into()),
        }
    }
    Ok(None)
}

fn time_fits(python: Option<&str>) -> Outcome<()> {
    let mut golden = serde_json::from_str::<RecordedNetworks>(NETWORKS)?;
    golden.networks.truncate(100);
    let given = PredictorParams {
        c: Some(10.0),
        nu: Some(0.5),
        gamma: Some(0.01),
        ..PredictorParams::default()
    };
    println!("100 curves, nu-SVR RBF, one core, seconds of processor time");
    for epochs in [20, 50] {
        let networks =
            golden.networks.iter().map(|of| stretched(of, epochs)).collect::<Outcome<_>>()?;
        let networks = RecordedNetworks { networks };
        println!("{epochs} epochs");
        for (what, params) in [
            ("fit and leave-one-out, C 10, nu 0.5, gamma 0.01", given.clone()),
            ("the same after a search of 60 draws in 3 folds", PredictorParams::default()),
        ] {
            time_fit(&networks.networks, what, params)?;
        }
        if let Some(python) = python {
            let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/bench/predictor.py");
            let mut child = Command::new(python)
                .arg(script)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()?;
            let networks = serde_json::to_vec(&networks)?;
            child.stdin.take().ok_or("no stdin")?.write_all(&networks)?;
            print!("{}", String::from_utf8(child.wait_with_output()?.stdout)?);
        }
    }
    Ok(())
}

/// The same network trained for so many epochs: straight lines between the recorded ones, with
/// noise (the fractional part of multiples of the golden ratio, within 0.005).
fn stretched(example: &Example, epochs: usize) -> Outcome<Example> {
    let recorded = example.curve.values();
    if recorded.len() == epochs {
        return Ok(example.clone());
    }
    let value = |at: usize| {
        let place = at as f64 * (recorded.len() - 1) as f64 / (epochs - 1) as f64;
        let (before, after) = (recorded[place as usize], recorded[place.ceil() as usize]);
        let noise = (at as f64 * 0.618_034 + recorded[0] * 1e4).fract() - 0.5;
        before + (after - before) * place.fract() + noise * 0.01
    };
    let curve = (0..epochs).map(value).collect::<Vec<_>>().try_into()?;
    Ok(Example { features: example.features.clone(), curve })
}

fn time_fit(networks: &[Example], what: &str, params: PredictorParams) -> Outcome<()> {
    let params = params.check()?;
    let one_core = rayon::ThreadPoolBuilder::new().num_threads(1).build()?;
    let began = processor_seconds();
    let fit = || {
        let mut rng = generator(1, Purpose::Predictor, 0, 0);
        FittedPredictor::fit(networks.to_vec(), &params, &mut rng)
    };
    let predictor = one_core.install(fit)?;
    println!("  {:6.2}  {what}", processor_seconds() - began);
    let began = processor_seconds();
    let text = serde_yaml::to_string(&predictor)?;
    let _: FittedPredictor = serde_yaml::from_str(&text)?;
    let (seconds, kilobytes) = (processor_seconds() - began, text.len() / 1000);
    println!("  {seconds:6.2}  saved ({kilobytes} kB of YAML) and loaded");
    Ok(())
}

/// Of all threads of this process.
fn processor_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

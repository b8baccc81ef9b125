//! What the predictor costs. (What it is worth on recorded curves, `metaqnn simulate` says.)
//!
//! ```text
//! cargo bench --no-default-features --bench predictor -- [--python PATH]
//! ```
//!
//! The fit, with leave-one-out, of 100 curves of 20 epochs on one core; beside it, with `--python`
//! (a Python that has scikit-learn), the same by `predictor.py` in the same run.
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::error::Error;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Instant;

use metaqnn::predictor::{Example, FittedPredictor, PredictorParams};
use metaqnn::seed::{Purpose, generator};

type Outcome<T> = Result<T, Box<dyn Error>>;

const NETWORKS: &str = include_str!("../golden/predictor/networks.json");

#[derive(serde::Deserialize)]
struct Networks {
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
    let mut examples = serde_json::from_str::<Networks>(NETWORKS)?.networks;
    examples.truncate(100);
    let given = PredictorParams {
        c: Some(10.0),
        nu: Some(0.5),
        gamma: Some(0.01),
        ..PredictorParams::default()
    };
    let one_core = rayon::ThreadPoolBuilder::new().num_threads(1).build()?;
    println!("100 curves of 20 epochs, nu-SVR RBF, one core, seconds");
    for (what, params) in [
        ("fit and leave-one-out, C 10, nu 0.5, gamma 0.01", given.clone()),
        ("the same after a search of 60 draws in 3 folds", PredictorParams::default()),
    ] {
        let params = params.check()?;
        let began = Instant::now();
        let fit = || {
            FittedPredictor::fit(
                examples.clone(),
                &params,
                &mut generator(1, Purpose::Predictor, 0, 0),
            )
        };
        let predictor = one_core.install(fit)?;
        println!("  {:6.2}  {what}", began.elapsed().as_secs_f64());
        let began = Instant::now();
        let text = serde_yaml::to_string(&predictor)?;
        let _: FittedPredictor = serde_yaml::from_str(&text)?;
        let (seconds, kilobytes) = (began.elapsed().as_secs_f64(), text.len() / 1000);
        println!("  {seconds:6.2}  saved ({kilobytes} kB of YAML) and loaded");
    }
    if let Some(python) = python {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/bench/predictor.py");
        let mut child = Command::new(python)
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        child.stdin.take().ok_or("no stdin")?.write_all(NETWORKS.as_bytes())?;
        let output = child.wait_with_output()?;
        print!("{}", String::from_utf8(output.stdout)?);
    }
    Ok(())
}

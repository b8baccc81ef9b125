//! What the predictor costs and what it is worth on recorded curves.
//!
//! ```text
//! cargo bench --no-default-features --bench predictor -- [--orders N] [--python PATH] [CURVES.csv]
//! ```
//!
//! The fit, with leave-one-out, of 100 curves of 20 epochs on one core; beside it, with `--python`
//! (a Python that has scikit-learn), the same by `predictor.py` in the same run. With curves of
//! losses (an id, features, then `valloss_1` ..): R squared of each regressor at a quarter of the
//! curve, what stopping would have saved, and Hyperband with and without it.
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::error::Error;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Instant;

use metaqnn::predictor::{
    Better, Example, Features, FittedPredictor, FoldScaling, HyperbandParams, LearningCurve,
    MetricScale, Orders, PredictorParams, RecordedCurves, Regressor, SearchScope, SimulationParams,
    ValidPredictorParams, score_regressor, simulate, simulate_hyperband,
};
use metaqnn::seed::{Purpose, generator};

type Outcome<T> = Result<T, Box<dyn Error>>;

const NETWORKS: &str = include_str!("../golden/predictor/networks.json");

#[derive(serde::Deserialize)]
struct Networks {
    networks: Vec<Example>,
}

struct Arguments {
    orders: usize,
    python: Option<String>,
    curves: Option<String>,
}

fn main() -> Outcome<()> {
    let arguments = arguments()?;
    time_fits(arguments.python.as_deref())?;
    if let Some(path) = &arguments.curves {
        let recorded = read_losses(path)?;
        score_regressors(&recorded, arguments.orders)?;
        simulate_stopping(&recorded, arguments.orders)?;
        simulate_schedulers(&recorded, arguments.orders)?;
    }
    Ok(())
}

fn arguments() -> Outcome<Arguments> {
    let mut found = Arguments { orders: 20, python: None, curves: None };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            // Cargo's own.
            "--bench" => {}
            "--orders" => found.orders = words.next().ok_or("--orders N")?.parse()?,
            "--python" => found.python = Some(words.next().ok_or("--python PATH")?),
            _ => found.curves = Some(word),
        }
    }
    Ok(found)
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

/// Reads an id, features and losses per epoch; losses by their logarithm.
fn read_losses(path: &str) -> Outcome<RecordedCurves> {
    let mut reader = csv::Reader::from_path(path)?;
    let is_loss: Vec<bool> =
        reader.headers()?.iter().map(|name| name.starts_with("valloss_")).collect();
    let mut networks = Vec::new();
    for record in reader.records() {
        let record = record?;
        let (mut features, mut losses) = (Vec::new(), Vec::new());
        for (cell, is_loss) in record.iter().zip(&is_loss).skip(1) {
            if *is_loss { &mut losses } else { &mut features }.push(cell.parse()?);
        }
        let curve = LearningCurve::recorded(losses, Better::Lower, MetricScale::Logarithmic)?;
        networks
            .push((record[0].to_owned(), Example { features: Features::new(features)?, curve }));
    }
    Ok(RecordedCurves::new(networks)?)
}

fn params(predictor: ValidPredictorParams, orders: usize) -> SimulationParams {
    SimulationParams {
        predictor,
        orders: Orders::Random(orders),
        thresholds: vec![0.9, 0.95, 0.99],
        top_n: vec![1],
        offsets: vec![0.0],
        search: SearchScope::Once,
        scaling: FoldScaling::Refit,
    }
}

fn score_regressors(recorded: &RecordedCurves, orders: usize) -> Outcome<()> {
    println!(
        "\nR squared after 10 %, 25 %, 50 % of the epochs, 100 curves learned from, {orders} orders"
    );
    for regressor in Regressor::ALL {
        let predictor = PredictorParams { regressor, ..PredictorParams::default() }.check()?;
        let rng = &mut generator(1, Purpose::Predictor, 1, 0);
        let began = Instant::now();
        let scores = score_regressor(recorded, &params(predictor, orders), rng)?;
        print!("  {regressor:14}");
        for share in [0.1, 0.25, 0.5] {
            let epoch = (recorded.epochs() as f64 * share) as usize;
            let score = &scores[epoch - 1];
            let (r_squared, error) = (score.r_squared, score.r_squared_standard_error);
            print!("  {:.3} +- {:.3}", r_squared.unwrap_or(f64::NAN), error.unwrap_or(f64::NAN));
        }
        println!("  {:6.1} s", began.elapsed().as_secs_f64());
    }
    Ok(())
}

fn simulate_stopping(recorded: &RecordedCurves, orders: usize) -> Outcome<()> {
    println!("\nstopping, burn-in 100, {orders} orders");
    println!(
        "  regressor       delta  speedup  after burn-in  stopped  best kept  top 10  regret mean  max"
    );
    // The linear nu-SVR is left out: a thousand times a hundred fits of a tenth of a second.
    for regressor in
        [Regressor::NuSvrRbf, Regressor::Ols, Regressor::RandomForest, Regressor::LastSeen]
    {
        let predictor = PredictorParams { regressor, ..PredictorParams::default() }.check()?;
        let rng = &mut generator(1, Purpose::Predictor, 2, 0);
        let began = Instant::now();
        let simulation = simulate(recorded, &params(predictor, orders), rng, &|| ())?;
        for row in simulation.summaries {
            println!(
                "  {regressor:14}  {:5}  {:7.2}  {:13.2}  {:7.3}  {:>4} of {:>2}  {:6.2}  {:11.5}  {:.5}",
                row.delta,
                row.speedup,
                row.speedup_after_burn_in.unwrap_or(f64::NAN),
                row.share_stopped,
                row.best_kept,
                row.orders_best_in_walk,
                row.top10_kept,
                row.regret_mean,
                row.regret_max,
            );
        }
        println!("  {:6.1} s", began.elapsed().as_secs_f64());
    }
    Ok(())
}

fn simulate_schedulers(recorded: &RecordedCurves, orders: usize) -> Outcome<()> {
    println!("\nHyperband, eta 3, burn-in 30, {orders} orders");
    println!(
        "  scheduler    kappa  delta  epochs  speedup  stopped  best             regret mean  max"
    );
    for kappa in [0.2, 0.33, 0.5] {
        let predictor = PredictorParams { burn_in: 30, ..PredictorParams::default() }.check()?;
        let mut params = params(predictor, orders);
        params.thresholds = vec![0.95];
        let scheduler = HyperbandParams { eta: 3, kappas: vec![kappa] };
        let rng = &mut generator(1, Purpose::Predictor, 3, 0);
        for row in simulate_hyperband(recorded, &params, &scheduler, rng, &|| ())? {
            let or_none = |value: Option<f64>| value.map_or_else(|| "-".into(), |v| v.to_string());
            println!(
                "  {:11}  {:>5}  {:>5}  {:6.0}  {:7.2}  {:7.3}  {:.4} +- {:.4}  {:11.5}  {:.5}",
                row.scheduler,
                or_none(row.kappa),
                or_none(row.delta),
                row.epochs,
                row.speedup,
                row.share_stopped,
                row.best_mean,
                row.best_standard_error.unwrap_or(f64::NAN),
                row.regret_mean,
                row.regret_max,
            );
        }
    }
    Ok(())
}

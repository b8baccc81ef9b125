//! `metaqnn simulate`.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use metaqnn::internals::{
    CurveOptions, EpochScore, Orders, RecordedCurves, SearchScope, SimulationParams, read_recorded,
    score_regressor,
};
use metaqnn::maths::exp;
use metaqnn::predictor::{FoldScaling, PredictorParams, Regressor};
use metaqnn::seed::{Purpose, generator};
use statrs::distribution::{ContinuousCDF, Normal};

use crate::support::{Experiment, SMALL, skip};

const EPOCHS: usize = 8;

/// Accuracies of a network that rise to a level set by its size and depth; every tenth network
/// stays at chance.
fn accuracies(network: usize) -> (f64, f64, Vec<f64>) {
    // Low-discrepancy sequences stand for random numbers in [0, 1).
    let part = |step: f64| (network as f64 * step).fract();
    let (size, depth) = (part(0.618_034), part(0.414_214));
    let level = 0.3 + 0.4 * size + 0.2 * depth;
    let noise = |epoch: usize| 0.02 * ((network * 31 + epoch) as f64 * 0.236_068).fract();
    let accuracy = |epoch: usize| match network % 10 {
        9 => 0.1 + noise(epoch) / 10.0,
        _ => level * (1.0 - exp(-0.5 * epoch as f64)) + noise(epoch),
    };
    (size, depth, (1..=EPOCHS).map(accuracy).collect())
}

/// A file of networks, each value changed by `change`.
pub fn file(networks: usize, change: impl Fn(f64) -> f64) -> String {
    let mut text = "id,size,depth".to_owned();
    (1..=EPOCHS).for_each(|epoch| write!(text, ",y{epoch}").unwrap());
    for network in 0..networks {
        let (size, depth, curve) = accuracies(network);
        write!(text, "\nn{network},{size},{depth}").unwrap();
        curve.iter().for_each(|y| write!(text, ",{}", change(*y)).unwrap());
    }
    text + "\n"
}

/// A folder with `curves.csv`.
pub fn folder(text: &str) -> Experiment {
    let folder = Experiment::with("");
    fs::write(folder.folder().join("curves.csv"), text).unwrap();
    folder
}

/// Ordinary least squares: nothing to search, and fitted in no time.
const QUICK: [&str; 6] = ["simulate", "curves.csv", "--burn-in", "20", "--regressor", "ols"];

fn with<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&QUICK[..], more].concat()
}

fn read_csv(path: &Path) -> (String, Vec<Vec<String>>) {
    let text = fs::read_to_string(path).unwrap();
    let (header, rows) = text.split_once('\n').unwrap();
    (
        header.to_owned(),
        rows.lines().map(|row| row.split(',').map(str::to_owned).collect()).collect(),
    )
}

#[test]
fn every_setting_is_one_object_with_the_promised_columns() {
    let folder = folder(&file(60, |y| y));
    let grid = ["--delta", "0.9,0.99", "--top-n", "1,3", "--offset", "0,0.05", "--orders", "4"];
    let ran = folder.run(&with(&[&grid[..], &["--json"]].concat())).success();
    let first = ran.stdout().lines().next().unwrap().to_owned();
    let columns =
        first.split(['{', ',']).filter_map(|part| part.strip_prefix('"')?.split('"').next());
    assert_eq!(
        columns.collect::<Vec<_>>(),
        [
            "delta", "top_n", "offset", "speedup", "speedup_after_burn_in", "share_stopped",
            "best_kept", "orders_best_in_walk", "top10_kept", "regret_mean", "regret_max"
        ]
    );
    let settings = ran.json();
    assert_eq!(settings.len(), 8);
    assert_eq!((&settings[7]["delta"], &settings[7]["top_n"]), (&0.99.into(), &3.into()));
    for setting in &settings {
        // 60 * 8 / (20 * 8 + 40 * 1) = 2.4.
        let speedup = setting["speedup"].as_f64().unwrap();
        assert!((1.0..=2.4).contains(&speedup), "{setting}");
        assert!(setting["best_kept"].as_u64() <= setting["orders_best_in_walk"].as_u64());
    }
    let table = folder.run(&with(&grid)).success().stdout();
    assert_eq!(table.lines().count(), 9);
    assert!(table.lines().all(|line| line.len() <= 80), "{table}");
}

#[test]
#[expect(clippy::disallowed_methods, reason = "compared within a tolerance")]
fn a_trace_can_be_checked_by_its_own_numbers() {
    let folder = folder(&file(60, |y| y));
    let trace = ["--file-order", "--delta", "0.9,0.99", "--offset", "0.01", "--trace", "trace.csv"];
    folder.run(&with(&trace)).success();
    let (header, rows) = read_csv(&folder.folder().join("trace.csv"));
    assert_eq!(header, "delta,top_n,offset,id,stopped,epoch,predicted,sigma,best,stop_probability");
    assert_eq!(rows.len(), 2 * 40);
    let mut best = (0..20).map(|n| accuracies(n).2[EPOCHS - 1]).fold(0.0, f64::max);
    for (network, row) in (20..60).zip(&rows) {
        let number = |at: usize| row[at].parse::<f64>().unwrap();
        let (predicted, sigma, probability) = (number(6), number(7), number(9));
        assert_eq!((row[3].as_str(), number(8)), (format!("n{network}").as_str(), best));
        // Phi((best - offset - predicted) / sigma): the probability that it ends below.
        let expected = Normal::standard().cdf((best - 0.01 - predicted) / sigma);
        assert!((probability - expected).abs() < 1e-10, "{row:?}");
        let stopped = row[4] == "true";
        assert_eq!(stopped, probability >= 0.9, "{row:?}");
        assert!(stopped || number(5) == EPOCHS as f64 - 1.0, "{row:?}");
        if !stopped {
            best = best.max(accuracies(network).2[EPOCHS - 1]);
        }
    }
}

#[test]
fn predictions_stand_beside_the_true_last_value() {
    let folder = folder(&file(60, |y| y));
    for (order, networks) in [(&["--file-order"][..], Some(20..60)), (&["--orders", "2"], None)] {
        let command = with(&[order, &["--predictions", "predictions.csv"]].concat());
        folder.run(&command).success();
        let (header, rows) = read_csv(&folder.folder().join("predictions.csv"));
        assert_eq!(header, "id,epoch,predicted,sigma,true");
        assert_eq!(rows.len(), 40 * (EPOCHS - 1));
        let Some(networks) = networks else { continue };
        for (network, rows) in networks.zip(rows.chunks(EPOCHS - 1)) {
            let last = accuracies(network).2[EPOCHS - 1];
            assert!(rows.iter().all(|row| row[4].parse::<f64>().unwrap() == last));
            assert_eq!((rows[0][1].as_str(), &rows[0][0]), ("1", &rows[1][0]));
        }
    }
    let both = ["--predictions", "same.csv", "--scores", "same.csv"];
    folder.run(&with(&both)).fails_with(2).says("of the same file");
    let scheduler = ["--scheduler", "hyperband", "--predictions", "p.csv"];
    folder
        .run(&with(&scheduler))
        .fails_with(2)
        .says("`--predictions` does not go with a scheduler");
}

#[test]
fn networks_at_chance_are_stopped_and_the_best_is_not() {
    let folder = folder(&file(60, |y| y));
    let trace = ["--file-order", "--delta", "0.99", "--trace", "trace.csv"];
    folder.run(&with(&trace)).success();
    let (_, rows) = read_csv(&folder.folder().join("trace.csv"));
    let last = |row: &Vec<String>| accuracies(row[3][1..].parse().unwrap()).2[EPOCHS - 1];
    let at_chance: Vec<_> = rows.iter().filter(|row| last(row) < 0.12).collect();
    assert_eq!(at_chance.len(), 4);
    assert!(at_chance.iter().all(|row| row[4] == "true"), "{at_chance:?}");
    let best = rows.iter().max_by(|a, b| last(a).total_cmp(&last(b))).unwrap();
    assert_eq!(best[4], "false", "{best:?}");
}

#[test]
fn losses_are_judged_as_accuracies_are() {
    let accuracies = folder(&file(60, |y| y)).run(&with(&["--orders", "3", "--json"])).success();
    let losses = folder(&file(60, |y| -y));
    let losses = losses.run(&with(&["--orders", "3", "--json", "--loss"])).success();
    let powers = folder(&file(60, exp));
    let powers = powers.run(&with(&["--orders", "3", "--json", "--log"])).success();
    for (at, expected) in accuracies.json().iter().enumerate() {
        for found in [&losses.json()[at], &powers.json()[at]] {
            for column in ["share_stopped", "best_kept", "orders_best_in_walk", "top10_kept"] {
                assert_eq!(found[column], expected[column], "{column}");
            }
            let difference = |column: &str| {
                (found[column].as_f64().unwrap() - expected[column].as_f64().unwrap()).abs()
            };
            assert!(difference("speedup") < 1e-12 && difference("regret_mean") < 1e-12);
        }
    }
}

#[test]
fn the_seed_decides_the_orders() {
    let folder = folder(&file(60, |y| y));
    let by = |seed| folder.run(&with(&["--orders", "3", "--seed", seed])).success().stdout();
    assert_eq!(by("1"), by("1"));
    assert_ne!(by("1"), by("2"));
}

#[test]
fn scores_stand_beside_those_of_the_last_value_seen() {
    let folder = folder(&file(60, |y| y));
    folder.run(&with(&["--orders", "3", "--scores", "scores.csv"])).success();
    let (header, rows) = read_csv(&folder.folder().join("scores.csv"));
    assert_eq!(header, "regressor,epoch,r_squared,r_squared_standard_error,mean_absolute_error");
    assert_eq!(rows.len(), 2 * (EPOCHS - 1));
    let r_squared = |at: usize| rows[at][2].parse::<f64>().unwrap();
    assert_eq!((&rows[1][0][..], &rows[1][1][..]), ("ols", "2"));
    assert_eq!((&rows[8][0][..], &rows[8][1][..]), ("last-seen", "2"));
    assert!(r_squared(1) > 0.9 && r_squared(1) > r_squared(8), "{rows:?}");
}

#[test]
fn a_burn_in_of_all_networks_stops_nobody_and_says_so() {
    let folder = folder(&file(15, |y| y));
    let ran = folder.run(&with(&["--json"])).success().says("leaves none of 15 networks");
    let setting = &ran.json()[0];
    assert_eq!((&setting["speedup"], &setting["share_stopped"]), (&1.0.into(), &0.0.into()));
    assert!(setting["speedup_after_burn_in"].is_null());
}

#[test]
fn a_file_that_would_be_empty_is_refused_before_any_work() {
    let folder = folder(&file(15, |y| y));
    let files = [&["--file-order", "--trace", "rows.csv"][..], &["--scores", "rows.csv"]];
    for options in files {
        folder.run(&with(options)).fails_with(2).says("`rows.csv` would be empty");
    }
    fs::write(folder.folder().join("curves.csv"), file(30, |y| y)).unwrap();
    for more in [&["--orders", "1"][..], &["--orders", "4", "--json"], &[]] {
        let line = [&["--trace", "rows.csv"][..], more].concat();
        let refused = folder.run(&with(&line)).fails_with(2);
        drop(refused.says("`--trace` does not go with random orders, but with `--file-order`"));
    }
    let lone = "id,size,y1\na,1,0.5\nb,2,0.6\nc,3,0.7\nd,4,0.8\n";
    fs::write(folder.folder().join("lone.csv"), lone).unwrap();
    let line = ["simulate", "lone.csv", "--curve", "y", "--burn-in", "3", "--scores", "rows.csv"];
    folder.run(&line).fails_with(2);
    assert!(!folder.folder().join("rows.csv").exists());
}

#[test]
fn an_option_that_plain_hyperband_does_not_look_at_is_refused_or_warned_of() {
    let folder = folder(&file(60, |y| y));
    let plain = ["simulate", "curves.csv", "--scheduler", "hyperband", "--orders", "1"];
    for (option, value) in
        [("--delta", "0.9"), ("--offset", "0"), ("--top-n", "1"), ("--kappa", "0.5")]
    {
        let refused = folder.run(&[&plain[..], &[option, value]].concat()).fails_with(2);
        drop(refused.says(&format!("`{option}` does not go with")));
    }
    for (option, value) in
        [("--burn-in", "20"), ("--regressor", "ols"), ("--c", "1"), ("--sigma", "shared")]
    {
        let ran = folder.run(&[&plain[..], &[option, value]].concat()).success();
        drop(ran.says(&format!("`{option}` is ignored: plain Hyperband predicts nothing")));
    }
    assert_eq!(folder.run(&plain).success().stderr().lines().count(), 1, "what was read");
    let scored = ["--scores", "s.csv", "--burn-in", "20", "--regressor", "ols"];
    folder.run(&[&plain[..], &scored].concat()).success();
    assert_eq!(read_csv(&folder.folder().join("s.csv")).1.len(), 2 * (EPOCHS - 1));
}

#[test]
fn constant_curves_are_no_trouble() {
    for regressor in ["nu-svr-rbf", "nu-svr-linear", "ols", "random-forest", "last-seen"] {
        let folder = folder(&file(15, |_| 0.1));
        let line = ["simulate", "curves.csv", "--burn-in", "5", "--orders", "2", "--json"];
        let ran = folder.run(&[&line[..], &["--regressor", regressor]].concat()).success();
        assert_eq!(ran.json()[0]["regret_max"], 0.0, "{regressor}");
    }
}

#[test]
fn what_is_wrong_with_a_file_is_said_before_any_work() {
    let cases = [
        (
            "id,a_1,a_2,b_1,b_2\nx,0,0,0,0\n",
            2,
            "`curves.csv` cannot be replayed: columns of several curves: `a_`, `b_` (choose one with `--curve`)",
        ),
        ("id,a,b\nx,0,0\n", 2, "no columns of a learning curve"),
        ("y0,y1,y2\n0.1,0.2,0.3\n", 2, "its first column, `y0`, is one of the curve"),
        ("id,y1,y3\nx,0,0\n", 3, "columns of the curve `y` lack number 2"),
        (
            "id,y1,y2\nx,0.1,0.2\ny,0.1,NaN\n",
            3,
            "line 3, column `y2` is `NaN` (must be a finite number",
        ),
        ("id,y1,y2\nx,0.1,0.2\ny,0.1\n", 3, "line 3 has 2 cells where the header has 3"),
        ("id,f,y1,y2\nx,1,0.1,0.2\ny,,0.1,0.2\n", 3, "line 3, column `f` is ``"),
        ("id,y1,y2\n", 3, "no networks"),
    ];
    for (text, code, message) in cases {
        folder(text).run(&QUICK).fails_with(code).says(message);
    }
    let good = folder(&file(30, |y| y));
    good.run(&["simulate", "missing.csv"])
        .fails_with(2)
        .says("`missing.csv` cannot be replayed: there is no such file");
    good.run(&["simulate", "."]).fails_with(2).says("not an experiment directory");
    good.run(&with(&["--features", "size,width"])).fails_with(2).says("no column `width`");
    good.run(&with(&["--curve", "z"])).fails_with(2).says("no columns `z1`");
    good.run(&with(&["--log", "--orders", "1"])).success();
    folder(&file(30, |y| -y)).run(&with(&["--log"])).fails_with(3).says("line 2").says("logarithm");
    let typed = folder("id,kind,y1,y2\nx,rnn,0.1,0.2\n");
    typed.run(&with(&["--features", "kind"])).fails_with(3).says("line 2, column `kind` is `rnn`");
    typed.run(&QUICK).success().says("left out, since not all numbers: kind");
}

#[test]
fn what_is_replayed_is_not_written_over() {
    let text = file(30, |y| y);
    let folder = folder(&text);
    let curves = folder.folder().join("curves.csv").display().to_string();
    std::os::unix::fs::symlink(".", folder.folder().join("here")).unwrap();
    for target in ["curves.csv", "./curves.csv", "here/curves.csv", &curves] {
        for options in [&["--scores", target][..], &["--file-order", "--trace", target]] {
            folder.run(&with(options)).fails_with(2).says("`curves.csv` is replayed");
        }
    }
    assert_eq!(fs::read_to_string(&curves).unwrap(), text);
    for scores in ["new.csv", "./new.csv", "here/new.csv"] {
        let both = ["--file-order", "--trace", "new.csv", "--scores", scores];
        folder
            .run(&with(&both))
            .fails_with(2)
            .says("`--trace` does not go with `--scores` of the same file");
    }
}

#[test]
fn only_a_plain_file_is_written_over() {
    let folder = folder(&file(30, |y| y));
    let at = |name: &str| folder.folder().join(name);
    drop(std::os::unix::net::UnixListener::bind(at("socket")).unwrap());
    std::os::unix::fs::symlink("/dev/null", at("link")).unwrap();
    fs::create_dir(at("folder")).unwrap();
    for target in ["socket", "link", "folder"] {
        let kind = || fs::symlink_metadata(at(target)).unwrap().file_type();
        let before = kind();
        folder.run(&with(&["--file-order", "--trace", target])).fails_with(2).says("cannot write");
        assert_eq!(kind(), before);
    }
}

#[test]
fn what_is_wrong_with_an_option_names_it() {
    let folder = folder(&file(30, |y| y));
    for (more, message) in [
        (&["--delta", "0.9,1.5"][..], "'1.5' for '--delta <LIST>': must be above 0.5 and below 1"),
        (&["--delta", "0.5"], "must be above 0.5"),
        (&["--top-n", "0"], "must be a whole number of at least 1"),
        (&["--offset", "-0.1"], "must be a number of at least 0"),
        (&["--burn-in", "2"], "at least 3"),
        (&["--orders", "0"], "0 is not in 1..=100000"),
        (&["--nu", "1.5"], "must be above 0 and at most 1"),
        (&["--c", "-1"], "`--c` is `-1` (must be above 0 and at most 1e6"),
        (&["--c", "1e12"], "must be above 0 and at most 1e6"),
        (&["--gamma", "0"], "`--gamma` is `0` (must be a finite number above 0)"),
        (&["--tolerance", "1e-14"], "must be 1e-9 or more, below 1"),
        (&["--kappa", "0"], "must be above 0 and at most 1"),
        (&["--eta", "1"], "at least 2"),
        (&["--eta", "2"], "--scheduler"),
        (&["--kappa", "0.5"], "--scheduler"),
        (
            &["--kappa", "0.5", "--scheduler", "hyperband"],
            "`--kappa` does not go with `--scheduler hyperband`",
        ),
        (
            &["--scheduler", "none", "--eta", "2"],
            "`--eta` does not go with `--scheduler none` (leave out one of them)",
        ),
        (
            &["--scheduler", "none", "--kappa", "0.5"],
            "`--kappa` does not go with `--scheduler none`",
        ),
        (
            &["--top-n", "2", "--scheduler", "f-hyperband"],
            "`--top-n` does not go with a scheduler, where kappa",
        ),
        (&["--regressor", "svr"], "nu-svr-rbf"),
        (&["--orders", "2", "--file-order"], "--file-order"),
        (&["--trace", "trace.csv"], "--file-order"),
        (&["--scores", "nowhere/scores.csv"], "cannot write `nowhere/scores.csv`"),
        (
            &["--scheduler", "hyperband", "--file-order", "--trace", "t.csv"],
            "`--trace` does not go with a scheduler",
        ),
        (&["curves.csv", "--scores", "s.csv"], "`--scores` does not go with several inputs"),
    ] {
        // The last of two equal options counts.
        let line: Vec<&str> =
            ["simulate", "curves.csv"].into_iter().chain(more.iter().copied()).collect();
        folder.run(&line).fails_with(2).says(message);
    }
}

#[test]
fn a_hyperparameter_that_the_regressor_does_not_have_is_told() {
    let folder = folder(&file(30, |y| y));
    let line = ["simulate", "curves.csv", "--burn-in", "20", "--orders", "1", "--c", "1"];
    let given = [&line[..], &["--nu", "0.5", "--gamma", "0.1"]].concat();
    let linear = folder.run(&[&given[..], &["--regressor", "nu-svr-linear"]].concat()).success();
    let linear = linear.says("`--gamma` is ignored: the regressor `nu-svr-linear` has none");
    assert!(!linear.stderr().contains("`--nu` is"));
    let ols = folder.run(&[&given[..], &["--regressor", "ols"]].concat()).success();
    drop(ols.says("`--c` is ignored").says("`--nu` is ignored").says("`--gamma` is ignored"));
    assert!(!folder.run(&given).success().stderr().contains("ignored"));
}

#[test]
fn several_inputs_are_told_apart() {
    let folder = folder(&file(30, |y| y));
    fs::write(folder.folder().join("other.csv"), file(40, |y| y)).unwrap();
    let line = ["other.csv", "--orders", "2", "--delta", "0.9"];
    let settings = folder.run(&with(&[&line[..], &["--json"]].concat())).success().json();
    let files: Vec<_> = settings.iter().map(|setting| setting["file"].as_str().unwrap()).collect();
    assert_eq!(files, ["curves.csv", "other.csv"]);
    assert!(folder.run(&with(&line)).success().stdout().contains("other.csv\ndelta"));
}

#[test]
fn the_trained_networks_of_an_experiment_are_replayed() {
    let experiment = Experiment::with(SMALL);
    experiment.run(&["run", "config.yaml", "dir", "-q"]).success();
    let trained = experiment.log().iter().filter(|row| row["event"] == "trained").count();
    let line = ["simulate", "dir", "--burn-in", "6", "--regressor", "ols", "--orders", "3"];
    let log = fs::read(experiment.path("replay.csv")).unwrap();
    let over = experiment.run(&[&line[..], &["--scores", "dir/replay.csv"]].concat());
    over.fails_with(2).says("`dir` is replayed");
    assert_eq!(fs::read(experiment.path("replay.csv")).unwrap(), log);
    let ran = experiment.run(&[&line[..], &["--json"]].concat()).success();
    assert_eq!(ran.json().len(), 3);
    let ran = ran.says(&format!("`dir`: {trained} networks of 4 epochs"));
    let ran = ran.says("log10(parameters), layers, log10(learning_rate)");
    drop(ran.says("the accuracies are made up"));
    experiment.run(&[&line[..], &["--loss"]].concat()).fails_with(2).says("leave out `--loss`");
    let first = experiment.log().into_iter().find(|row| row["event"] == "trained").unwrap();
    let curve = experiment.path(&format!("curves/{:0>6}.1.csv", first["iteration"]));
    let text = fs::read_to_string(&curve).unwrap();
    let whole: Vec<&str> = text.split_inclusive('\n').collect();
    fs::write(&curve, whole[..whole.len() - 1].concat()).unwrap();
    experiment.run(&line).fails_with(3).says("has 3 epochs instead of 4");
    let fresh = Experiment::init(SMALL);
    fresh
        .run(&["simulate", "dir"])
        .fails_with(2)
        .says("0 full learning curves (at least 1 needed)");
}

#[test]
fn hyperband_costs_less_with_stopping_inside_its_rungs() {
    let folder = folder(&file(300, |y| y));
    let line =
        ["--scheduler", "f-hyperband", "--kappa", "0.3,1", "--delta", "0.95", "--orders", "2"];
    let settings = folder.run(&with(&[&line[..], &["--json"]].concat())).success().json();
    let [plain, stopping, protecting] = &settings[..] else { panic!("{settings:?}") };
    assert_eq!((&plain["scheduler"], &plain["speedup"]), (&"hyperband".into(), &1.0.into()));
    assert_eq!(plain["networks"], stopping["networks"]);
    assert!(stopping["epochs"].as_f64() < plain["epochs"].as_f64(), "{stopping}");
    assert_eq!(protecting["epochs"], plain["epochs"]);
    let table = folder.run(&with(&line)).success().stdout();
    assert!(table.lines().all(|line| line.len() <= 80), "{table}");
    let plain_only = folder.run(&with(&["--scheduler", "hyperband", "--json"])).success();
    assert_eq!(plain_only.json().len(), 1);
    let few = self::folder(&file(15, |y| y));
    few.run(&with(&["--scheduler", "f-hyperband", "--json"])).success().says("leaves none of 15");
    few.run(&with(&["--scheduler", "hyperband", "--eta", "2"]))
        .fails_with(2)
        .says("15 networks are recorded (one run of Hyperband begins 22)");
}

/// Losses of 341 recurrent networks over 50 epochs, where the data lie beside the project.
fn recurrent_networks(test: &str) -> Option<String> {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/curves/wikitext2_rnn_50ep.csv");
    if !path.exists() {
        skip(test, "no recorded curves in ../shared/data");
        return None;
    }
    Some(path.to_str().unwrap().to_owned())
}

fn scores(path: &str, regressor: Regressor) -> Vec<EpochScore> {
    let predictor = PredictorParams {
        regressor,
        c: Some(10.0),
        nu: Some(0.5),
        gamma: Some(0.01),
        ..PredictorParams::default()
    };
    let params = SimulationParams {
        predictor: predictor.check().unwrap(),
        orders: Orders::Random(4),
        settings: vec![],
        search: SearchScope::Once,
        scaling: FoldScaling::Refit,
    };
    let options = CurveOptions { loss: true, ..CurveOptions::default() };
    let recording = read_recorded(Path::new(path), &options).unwrap();
    let recorded = RecordedCurves::new(recording.networks).unwrap();
    score_regressor(&recorded, &params, &mut generator(1, Purpose::Simulation, 0, 0))
}

/// The short form of `scripts/prove.sh simulate`, which searches hyperparameters over 20 orders.
#[test]
fn real_curves_are_predicted_better_than_by_their_last_value() {
    let test = "real_curves_are_predicted_better_than_by_their_last_value";
    let Some(path) = recurrent_networks(test) else { return };
    // A quarter of 50 epochs.
    let at_a_quarter = |regressor| scores(&path, regressor)[11].r_squared.unwrap();
    let (predicted, last_seen) =
        (at_a_quarter(Regressor::NuSvrRbf), at_a_quarter(Regressor::LastSeen));
    assert!(predicted > 0.8 && (0.4..0.7).contains(&last_seen), "{predicted} {last_seen}");
}

#[test]
fn of_real_networks_the_best_is_kept() {
    let Some(path) = recurrent_networks("of_real_networks_the_best_is_kept") else { return };
    // Every fifth epoch, so that it takes seconds.
    let mut reader = csv::Reader::from_path(path).unwrap();
    let mut text = "id,parameters".to_owned();
    (1..=10).for_each(|epoch| write!(text, ",y{epoch}").unwrap());
    for record in reader.records().map(Result::unwrap) {
        write!(text, "\n{},{}", &record[0], &record[1]).unwrap();
        (1..=10).for_each(|epoch| write!(text, ",{}", &record[6 + 5 * epoch]).unwrap());
    }
    let given = ["--loss", "--c", "10", "--nu", "0.5", "--gamma", "0.01", "--orders", "2"];
    let line = ["simulate", "curves.csv", "--delta", "0.99", "--json"];
    let setting = &folder(&text).run(&[&line[..], &given[..]].concat()).success().json()[0];
    assert_eq!(setting["best_kept"], setting["orders_best_in_walk"], "{setting}");
    assert!(setting["speedup_after_burn_in"].as_f64().unwrap() > 3.0, "{setting}");
}

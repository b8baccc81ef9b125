//! Agreement of a walk with another implementation, on numbers written by
//! `scripts/golden-predictor.py`.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::Deserialize;

use super::walk::{RuleSetting, WalkedNetwork};
use super::{Orders, RecordedCurves, SearchScope, SimulationParams, simulate};
use crate::predictor::golden::networks;
use crate::predictor::{FoldScaling, PredictorParams, Regressor};

#[derive(Deserialize)]
struct Walk {
    burn_in: usize,
    delta: f64,
    verdicts: Vec<Judged>,
}

#[derive(Deserialize)]
struct Judged {
    stopped: bool,
    epoch: usize,
    predicted: f64,
    sigma: f64,
    best: f64,
    stop_probability: f64,
}

#[test]
fn a_walk_stops_where_another_implementation_stops() {
    let walk: Walk =
        serde_json::from_str(include_str!("../../tests/golden/predictor/walk.json")).unwrap();
    let named = networks().into_iter().enumerate().map(|(id, e)| (id.to_string(), e));
    let recorded = RecordedCurves::new(named.collect()).unwrap();
    // C, nu, gamma and tolerance as in the file.
    let predictor = PredictorParams {
        regressor: Regressor::NuSvrRbf,
        burn_in: walk.burn_in,
        c: Some(10.0),
        nu: Some(0.5),
        gamma: Some(0.01),
        tolerance: 1e-6,
        ..PredictorParams::default()
    };
    let params = SimulationParams {
        predictor: predictor.check().unwrap(),
        orders: Orders::File,
        settings: RuleSetting::grid(&[walk.delta], &[1], &[0.0]),
        search: SearchScope::Once,
        scaling: FoldScaling::Refit,
    };
    let rng = &mut ChaCha8Rng::seed_from_u64(0);
    let trace = simulate(&recorded, &params, rng, &|| ()).trace;
    let trace: Vec<WalkedNetwork> = trace.into_iter().map(|(_, walked)| walked).collect();
    assert_eq!(trace.len(), walk.verdicts.len());
    for (found, expected) in trace.iter().zip(&walk.verdicts) {
        assert_eq!((found.stopped, found.epoch), (expected.stopped, expected.epoch), "{found:?}");
        let close = |found: Option<f64>, expected: f64| (found.unwrap() - expected).abs() < 1e-4;
        assert!(close(found.prediction.map(|it| it.mean), expected.predicted), "{found:?}");
        assert!(
            close(found.prediction.map(|it| it.sigma), expected.sigma)
                && close(found.best, expected.best),
            "{found:?}"
        );
        assert!((found.stop_probability.unwrap() - expected.stop_probability).abs() < 1e-3);
    }
    // Chance-level curves are stopped, and the best of all is trained to the end.
    let at_chance = |row: &&WalkedNetwork| recorded.last(row.network) < 0.2;
    assert!(trace.iter().filter(at_chance).count() > 3);
    assert!(trace.iter().filter(at_chance).all(|row| row.stopped && row.epoch <= 4));
    let best = recorded.ranking()[0];
    assert!(trace.iter().find(|row| row.network == best).is_none_or(|row| !row.stopped));
}

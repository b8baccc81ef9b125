//! Q-learning on the rewards of the synthetic trainer, without a directory, a log or a process:
//! what the paper's figure 3 shows happens, and only because the agent exploits what it learned.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;

use metaqnn::outcome::Accuracy;
use metaqnn::q_learning::{Epsilon, Learner, QLearningParams, sample_trajectory};
use metaqnn::seed::{Purpose, generator};
use metaqnn::space::{Architecture, DataShape, Space, SpaceParams};
use metaqnn::training::protocol::{LayerDescription, Request, VERSION};
use metaqnn::training::{
    Interrupt, Recipe, Report, SyntheticTrainer, Trainer, TrainerKind, TrainingEnd,
};

/// (epsilon, number of distinct architectures), in the order of a search.
type Schedule<'a> = &'a [(f64, usize)];

/// The paper's schedule (section 4.3).
const PAPER: Schedule<'static> = &[
    (1.0, 1500),
    (0.9, 100),
    (0.8, 100),
    (0.7, 100),
    (0.6, 150),
    (0.5, 150),
    (0.4, 150),
    (0.3, 150),
    (0.2, 150),
    (0.1, 150),
];

fn request(seed: u64, iteration: u64, space: &Space, architecture: &Architecture) -> Request {
    let image = space.image;
    let recipe = Recipe { trainer: TrainerKind::Synthetic, ..Recipe::default() };
    Request {
        protocol: VERSION,
        iteration,
        stream: iteration,
        attempt: 1,
        architecture: architecture.to_string(),
        layers: LayerDescription::of(space, architecture),
        classes: image.classes,
        channels: image.channels,
        input_size: image.size,
        epochs: recipe.epochs,
        seed: iteration,
        experiment_seed: seed,
        checkpoint: None,
        resume: false,
        model: None,
        initial_weights: None,
        seconds_left: None,
        threads: 1,
        recipe,
        data: serde_json::Value::Null,
    }
}

/// Trains a network and returns its reward as the paper defines it: the best validation accuracy,
/// chance when no learning rate passed the first-epoch test.
fn train(request: &Request) -> Accuracy {
    let mut accuracies = Vec::new();
    let ending = SyntheticTrainer::new(Interrupt::default())
        .train(request, Path::new("unused"), &mut |report| {
            let Report::Epoch(report) = report else { unreachable!() };
            if report.epoch == 1 {
                accuracies.clear();
            }
            accuracies.extend(report.validation_accuracy);
            ControlFlow::Continue(())
        })
        .unwrap();
    match ending {
        TrainingEnd::Failed { .. } if accuracies.len() == 1 => Accuracy::chance(request.classes),
        _ => Accuracy::clamped(accuracies.into_iter().fold(0.0, f64::max)),
    }
}

/// Searches by `schedule` and returns the mean reward at each epsilon, re-samples included (as in figure 3).
fn search(seed: u64, schedule: Schedule<'_>) -> Vec<f64> {
    let image = DataShape { size: 32, channels: 3, classes: 10 };
    let space = SpaceParams::default().check(image).unwrap();
    let mut learner = Learner::new(QLearningParams::default().check().unwrap(), space.clone());
    let mut known = BTreeMap::new();
    let mut iteration = 0;
    let mut means = Vec::new();
    for &(epsilon, wanted) in schedule {
        let end = known.len() + wanted;
        let mut rewards = Vec::new();
        while known.len() < end {
            iteration += 1;
            let rng = &mut generator(seed, Purpose::Sample, iteration, 0);
            let epsilon = Epsilon::new(epsilon).unwrap();
            let architecture = sample_trajectory(learner.q_table(), epsilon, rng);
            let reward = *known
                .entry(architecture.clone())
                .or_insert_with(|| train(&request(seed, iteration, &space, &architecture)));
            rewards.push(reward.value());
            let rng = &mut generator(seed, Purpose::Replay, iteration, 0);
            learner.learn(&architecture, reward, rng).unwrap();
        }
        means.push(rewards.iter().sum::<f64>() / rewards.len() as f64);
    }
    means
}

#[test]
fn exploiting_what_was_learned_finds_better_networks() {
    let means = search(1, PAPER);
    assert!((0.50..0.56).contains(&means[0]), "{means:?}");
    assert!((0.84..0.92).contains(&means[9]), "{means:?}");
}

#[test]
fn exploring_for_ever_finds_no_better_networks() {
    let random: Vec<_> = PAPER.iter().map(|&(_, wanted)| (1.0, wanted)).collect();
    let means = search(1, &random);
    assert!(means.iter().all(|mean| (0.45..0.61).contains(mean)), "{means:?}");
}

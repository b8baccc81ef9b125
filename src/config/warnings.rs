//! What is allowed in a configuration, but hardly meant: each sentence names key and value, what
//! follows from them, and what to do.

use std::cmp::Reverse;

use num_bigint::BigUint;

use super::ValidConfig;
use crate::outcome::Accuracy;
use crate::predictor::{Prediction, PredictorParams, Regressor, n_features};
use crate::training::{
    Recipe, Schedule, TrainerKind, default_first_epoch_threshold, doubt_of_command,
};

impl ValidConfig {
    /// Those that need no data.
    pub fn warnings(&self) -> Vec<String> {
        let others = [
            self.of_schedule(),
            self.of_scaled(),
            self.of_first_epoch(),
            self.of_decay(),
            self.of_recording(),
            self.of_command(),
        ];
        self.of_stopping().into_iter().chain(others.into_iter().flatten()).collect()
    }

    /// Warns when a network that answers the same for every image passes the first-epoch test;
    /// `validation` counts the images of each class.
    pub fn warning_of_constant_answer(&self, validation: &[usize]) -> Option<String> {
        let counts = validation.iter().enumerate();
        let (class, most) = counts.max_by_key(|(class, count)| (**count, Reverse(*class)))?;
        let all: usize = validation.iter().sum();
        let share = *most as f64 / all as f64;
        let threshold = self.recipe.first_epoch_threshold();
        // A lowered threshold asks for no test: then only classes of very different sizes matter.
        if all == 0 || share <= threshold.max(default_first_epoch_threshold(self.data.classes)) {
            return None;
        }
        // One image more, where that leaves a network anything to pass with.
        let remedy = if most + 2 < all {
            let rounded_up = ((most + 1) as f64 / all as f64 * 1e4).ceil() / 1e4;
            format!("set `training.first_epoch_threshold` to {rounded_up:.4} or more")
        } else {
            "raise `data.validation.images`".to_owned()
        };
        Some(format!(
            "{most} of the {all} images for validation are of class {class}: a network that \
             always answers {class} reaches an accuracy of {share:.4} and passes the first-epoch \
             test, which asks for more than {threshold:.4} ({remedy}, or take the same number of \
             every class: `data.validation.method: balanced`, with `data.training_images`)"
        ))
    }

    fn of_command(&self) -> Option<String> {
        let search_path = std::env::var_os("PATH").unwrap_or_default();
        let doubt = doubt_of_command(&self.recipe.command, &search_path)?;
        Some(format!("`training.command`: {doubt}"))
    }

    fn of_recording(&self) -> Option<String> {
        let stopped = self.recording.as_ref()?.stopped;
        let (recorded, all) = (self.space.count_architectures(), self.config.space().ok()?);
        let is_search = self.strategy.list.is_none();
        (stopped > 0 || is_search && self.space.mask().is_some()).then(|| {
            let cut = format!(" ({stopped} more were stopped, so that their curves are cut)");
            let cut = if stopped > 0 { &*cut } else { "" };
            format!(
                "`training.recorded` has {recorded} of the {} networks of `search_space`, and no \
                 others are legal{cut}",
                all.count_architectures()
            )
        })
    }

    fn of_stopping(&self) -> Vec<String> {
        const OFF: &str = "or set `early_stopping.enabled: false`";
        let PredictorParams { burn_in, top_n, refit_every, regressor, .. } = *self.early_stopping;
        let PredictorParams { audit_share, threshold, offset, .. } = *self.early_stopping;
        let (epochs, networks) = (self.training.epochs, self.strategy.schedule.networks());
        let mut warnings = Vec::new();
        if !self.early_stopping.enabled {
            return warnings;
        }
        if epochs == 1 {
            warnings.push(format!(
                "`training.epochs` is 1: early stopping has no epoch to save (train longer, {OFF})"
            ));
        }
        let (key, first) = if top_n > burn_in { ("top_n", top_n) } else { ("burn_in", burn_in) };
        if networks <= first as u64 {
            warnings.push(format!(
                "`early_stopping.{key}` is {first}, but the schedule has {networks} networks: \
                 none is ever stopped (lower it, {OFF})"
            ));
        } else if refit_every != PredictorParams::default().refit_every
            && (burn_in + refit_every) as u64 > networks
        {
            warnings.push(format!(
                "`early_stopping.refit_every` is {refit_every}, but the schedule has {networks} \
                 networks, {burn_in} of them the burn-in: the predictor is never fitted again \
                 (lower it, or set it to 0)"
            ));
        }
        if audit_share >= 1.0 {
            warnings.push(format!(
                "`early_stopping.audit_share` is 1: every network that is to be stopped is \
                 trained to the end, and nothing is saved (lower it, {OFF})"
            ));
        }
        // Sigma is at least the sampling error of an accuracy near chance on so many images.
        let chance = Accuracy::chance(self.data.classes).value();
        let images = self.validation_images();
        let sigma = images.map_or(1e-6, |n| (chance * (1.0 - chance) / f64::from(n)).sqrt());
        let guess = Prediction { mean: chance, sigma };
        if !self.early_stopping.rule.judge(Some(guess), Some(1.0)).is_stop() {
            let images = images.map_or(String::new(), |n| format!("on {n} images for validation "));
            warnings.push(format!(
                "`early_stopping.threshold` is {threshold} and `early_stopping.offset` is \
                 {offset}: not even a network that guesses is ever stopped, since accuracies \
                 {images}are not known so well (lower them, {OFF})"
            ));
        }
        // Parameters, layers and learning rate beside the curve, up to the epoch before the last.
        let features = n_features(3, epochs.saturating_sub(1) as usize);
        if regressor == Regressor::Ols && epochs > 1 && burn_in <= features {
            warnings.push(format!(
                "`early_stopping.burn_in` is {burn_in}, but the regressor `ols` fits up to \
                 {features} features at `training.epochs: {epochs}`: it fits any curves and \
                 predicts none (raise it above {features}, or choose another regressor)"
            ));
        }
        for name in self.early_stopping.without_meaning() {
            warnings.push(format!(
                "`early_stopping.{name}` is ignored: the regressor `{regressor}` has none (set \
                 it to null)"
            ));
        }
        warnings
    }

    fn validation_images(&self) -> Option<u32> {
        self.data.kind.and(self.data.validation.images).filter(|images| *images > 0)
    }

    fn of_schedule(&self) -> Option<String> {
        if self.strategy.kind.is_given() {
            return None;
        }
        let (networks, all) = (self.strategy.schedule.networks(), self.space.count_architectures());
        if BigUint::from(networks) <= all {
            return None;
        }
        Some(format!(
            "the search wants {networks} architectures, but its space holds {all}: it ends when \
             all are trained (lower {}, or widen `search_space`)",
            match self.strategy.architectures {
                Some(_) => "`strategy.architectures`",
                None => "`epsilon_schedule`",
            }
        ))
    }

    fn of_scaled(&self) -> Option<String> {
        let [given, taken] = [&self.config.strategy, &*self.strategy];
        let scaled = [
            ("evolution.population", given.evolution.population, taken.evolution.population),
            ("bayesian.burn_in", given.bayesian.burn_in, taken.bayesian.burn_in),
        ];
        let (key, given, taken) = scaled.into_iter().find(|(_, given, taken)| given != taken)?;
        Some(format!(
            "`strategy.{key}` is {given}, more than a fifth of the networks of the search: it is \
             {taken} here (lower it, or train more)"
        ))
    }

    fn of_first_epoch(&self) -> Option<String> {
        let chance = Accuracy::chance(self.data.classes).value();
        let threshold = self.recipe.first_epoch_threshold();
        let images = self.validation_images();
        let step = images.map_or(0.0, |images| 1.0 / f64::from(images));
        // Floats: 0.15 - 0.1 is a little less than 1/20.
        let is_at_most = |a: f64, b: f64| a <= b + 1e-12;
        let it_is = format!("`training.first_epoch_threshold` is {threshold}");
        if threshold == 0.0 {
            None // no test is asked for
        } else if is_at_most(1.0 - step, threshold) {
            let who =
                if threshold >= 1.0 { "no network" } else { "only a network without an error" };
            Some(format!("{it_is}: {who} passes the first-epoch test, others fail (lower it)"))
        } else if threshold < chance {
            Some(format!(
                "{it_is}, less than the {chance:.4} of a guess: every network passes the \
                 first-epoch test (raise it, or set it to 0 for no test)"
            ))
        } else if let Some(images) = images
            && threshold > chance
            && is_at_most(threshold - chance, step)
        {
            Some(format!(
                "`data.validation.images` is {images}: one image is {step:.4} of accuracy, no \
                 less than what lies between a guess ({chance:.4}) and the first-epoch threshold \
                 ({threshold:.4}), so that luck decides the test (raise it)"
            ))
        } else {
            None
        }
    }

    fn of_decay(&self) -> Option<String> {
        let Recipe { trainer, schedule, epochs, decay_every, decay_factor, .. } = self.training;
        if trainer != TrainerKind::Torch
            || schedule != Schedule::Steps
            || epochs <= 1
            || epochs > decay_every
            || decay_factor >= 1.0
        {
            return None;
        }
        Some(format!(
            "`training.decay_every` is {decay_every} and `training.epochs` {epochs}: the learning \
             rate never falls (lower `training.decay_every`, or set `training.decay_factor: 1` if \
             that is meant)"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load::parse;

    /// Warnings of the defaults with something changed.
    fn warnings(changes: &[&str]) -> Vec<String> {
        config(changes).warnings()
    }

    fn config(changes: &[&str]) -> ValidConfig {
        let least = "experiment: {name: x}\n\
                     data: {kind: idx, path: x, classes: 10, input_size: 28, channels: 1}\n";
        let settings: Vec<_> = changes.iter().map(|change| change.parse().unwrap()).collect();
        parse(least, &settings).unwrap().check().unwrap()
    }

    fn only(changes: &[&str]) -> String {
        let [warning] =
            warnings(changes).try_into().unwrap_or_else(|found| panic!("{changes:?}: {found:?}"));
        warning
    }

    const SHORT: &str =
        "epsilon_schedule=[{epsilon: 1, architectures: 60}, {epsilon: 0.1, architectures: 40}]";

    #[test]
    fn the_defaults_give_no_warning() {
        assert_eq!(warnings(&[]), [""; 0]);
        assert_eq!(
            warnings(&["training.first_epoch_threshold=0"]),
            [""; 0],
            "no test was asked for"
        );
    }

    #[test]
    fn a_burn_in_that_is_never_over_is_warned_of_with_both_numbers() {
        assert_eq!(
            only(&[SHORT]),
            "`early_stopping.burn_in` is 100, but the schedule has 100 networks: none is ever \
             stopped (lower it, or set \
             `early_stopping.enabled: false`)"
        );
        assert_eq!(warnings(&[SHORT, "early_stopping.burn_in=99"]), [""; 0]);
        assert_eq!(warnings(&[SHORT, "early_stopping.enabled=false"]), [""; 0]);
        let top = only(&[
            "epsilon_schedule=[{epsilon: 1, architectures: 30}]",
            "early_stopping.burn_in=10",
            "early_stopping.top_n=40",
        ]);
        assert!(top.starts_with("`early_stopping.top_n` is 40"), "{top}");
    }

    #[test]
    fn stopping_that_can_do_nothing_is_warned_of() {
        let begins = |changes: &[&str], beginning: &str| {
            let warning = only(changes);
            assert!(warning.starts_with(beginning), "{warning}");
        };
        begins(&["training.epochs=1"], "`training.epochs` is 1: early stopping");
        begins(&["early_stopping.audit_share=1"], "`early_stopping.audit_share` is 1");
        begins(
            &["early_stopping.offset=0.95"],
            "`early_stopping.threshold` is 0.99 and `early_stopping.offset` is 0.95",
        );
        begins(&["early_stopping.refit_every=2700"], "`early_stopping.refit_every` is 2700");
        begins(
            &["early_stopping.regressor=ols", "early_stopping.burn_in=57"],
            "`early_stopping.burn_in` is 57",
        );
        begins(
            &["early_stopping.regressor=ols", "early_stopping.gamma=1"],
            "`early_stopping.gamma` is ignored",
        );
        // Two images: the sampling error of a guess is 0.35, and (1 - 0.5) / 0.35 = 1.4 sigma are
        // 0.92.
        let few =
            ["data.classes=2", "data.validation.images=2", "training.first_epoch_threshold=0"];
        begins(&few, "`early_stopping.threshold` is 0.99");
        assert_eq!(warnings(&[&few[..], &["early_stopping.threshold=0.9"]].concat()), [""; 0]);
    }

    #[test]
    fn a_schedule_larger_than_the_space_is_warned_of() {
        let warning = only(&["search_space.max_layers=1"]);
        // 12 convolutions, global average pooling, nothing.
        assert!(
            warning.starts_with("the search wants 2700 architectures, but its space holds 14"),
            "{warning}"
        );
    }

    #[test]
    fn what_is_too_large_for_the_search_is_scaled_and_warned_of() {
        const EVOLUTION: &str = "strategy.kind=evolution";
        assert_eq!(warnings(&[EVOLUTION]), [""; 0]);
        assert_eq!(
            only(&[EVOLUTION, "strategy.architectures=200"]),
            "`strategy.evolution.population` is 100, more than a fifth of the networks of the \
             search: it is 40 here (lower it, or train more)"
        );
        // The space holds 14.
        let [_, small] = &warnings(&[EVOLUTION, "search_space.max_layers=1"])[..] else { panic!() };
        assert!(small.contains("it is 3 here"), "{small}");
        let [.., few] = &warnings(&["strategy.kind=bayesian", "strategy.architectures=20"])[..]
        else {
            panic!()
        };
        assert!(
            few.starts_with("`strategy.bayesian.burn_in` is 10, ") && few.contains("is 4 here")
        );
    }

    #[test]
    fn a_first_epoch_test_that_says_nothing_is_warned_of() {
        let at = |threshold: &str| {
            warnings(&[&format!("training.first_epoch_threshold={threshold}")]).join("")
        };
        assert!(at("1").contains("is 1: no network passes"), "{}", at("1"));
        assert!(at("0.9998").contains("only a network without an error"), "{}", at("0.9998"));
        assert!(at("0.05").contains("less than the 0.1000 of a guess"), "{}", at("0.05"));
        assert_eq!([at("0.1"), at("0.3"), at("0.9997")], ["", "", ""]);
        let of = |images: &str| warnings(&[&format!("data.validation.images={images}")]).join("");
        let says = "`data.validation.images` is 20: one image is 0.0500 of accuracy";
        assert!(of("20").starts_with(says), "{}", of("20"));
        assert_eq!(of("21"), "");
        // How many images a trainer with data of its own validates on is unknown.
        assert_eq!(
            warnings(&[
                "data.kind=null",
                "data.path=null",
                "training.trainer=synthetic",
                "data.validation.images=20"
            ]),
            [""; 0]
        );
    }

    #[test]
    fn a_learning_rate_that_never_falls_is_warned_of() {
        assert!(
            only(&["training.epochs=5"])
                .starts_with("`training.decay_every` is 5 and `training.epochs` 5")
        );
        assert_eq!(warnings(&["training.epochs=6"]), [""; 0]);
        assert_eq!(warnings(&["training.epochs=5", "training.decay_factor=1"]), [""; 0]);
        assert_eq!(warnings(&["training.epochs=5", "training.schedule=cosine"]), [""; 0]);
    }

    #[test]
    fn a_constant_answer_that_passes_the_first_epoch_is_warned_of_with_its_accuracy() {
        let two = config(&["data.classes=2"]);
        assert_eq!(
            two.warning_of_constant_answer(&[9, 91]).unwrap(),
            "91 of the 100 images for validation are of class 1: a network that always answers 1 \
             reaches an accuracy of 0.9100 and passes the first-epoch test, which asks for more \
             than 0.5278 (set `training.first_epoch_threshold` to 0.9200 or more, or take the same \
             number of every class: `data.validation.method: balanced`, with `data.training_images`)"
        );
        let few = two.warning_of_constant_answer(&[1, 19]).unwrap();
        assert!(
            few.contains("(raise `data.validation.images`, or take"),
            "1 is never passed: {few}"
        );
        assert_eq!(two.warning_of_constant_answer(&[50, 50]), None);
        assert_eq!(two.warning_of_constant_answer(&[0, 0]), None, "none is for validation");
        assert_eq!(two.warning_of_constant_answer(&[52, 48]), None, "0.52 does not pass 0.5278");
        let raised = config(&["data.classes=2", "training.first_epoch_threshold=0.92"]);
        assert_eq!(raised.warning_of_constant_answer(&[9, 91]), None);
        let none = config(&["training.first_epoch_threshold=0"]);
        assert_eq!(none.warning_of_constant_answer(&[10; 10]), None, "equal classes");
    }
}

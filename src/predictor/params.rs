//! The `early_stopping` section of a configuration, as written and checked.

use serde::{Deserialize, Serialize};
use smart_default::SmartDefault;

use super::regressor::Regressor;
use super::stopping::StoppingRule;
use crate::invalid::Invalid;

/// Fewest full curves of a fit: each of the search's three folds must leave two.
pub(super) const LEAST_CURVES: usize = 3;
/// More would take days, and a mistyped number all memory.
const MOST_DRAWS: usize = 100_000;
/// Of the nu-SVR's solver: near the precision of a float it cycles for minutes, then gives up.
const LEAST_TOLERANCE: f64 = 1e-9;
/// Of the nu-SVR: ten thousand times the greatest that is searched. Beyond, a fit takes minutes.
const MOST_C: f64 = 1e6;
/// So many of the best accuracies are kept.
pub const MOST_TOP_N: usize = 50;

/// `config/defaults.yaml` explains the keys. Burn-in, regressor and threshold are the paper's.
#[derive(Debug, Clone, PartialEq, SmartDefault, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PredictorParams {
    #[default = true]
    pub enabled: bool,
    #[default(Regressor::NuSvrRbf)]
    pub regressor: Regressor,
    /// Networks trained to the end before the first may be stopped.
    #[default = 100]
    pub burn_in: usize,
    /// Further full curves between two fits; 0: one fit.
    #[default = 50]
    pub refit_every: usize,
    #[default = 0.99]
    pub threshold: f64,
    pub offset: f64,
    /// The rule compares with the n-th best network, so that the best n are trained to the end.
    #[default = 1]
    pub top_n: usize,
    /// Of the networks to be stopped, those trained to the end all the same.
    #[default = 0.02]
    pub audit_share: f64,
    /// Stopping switches itself off when the share of false stops is surely (95 %) above this.
    #[default = 0.05]
    pub false_stop_limit: f64,
    #[default = 60]
    pub draws: usize,
    #[default = 1e-3]
    pub tolerance: f64,
    /// C, nu in (0, 1] and gamma of the nu-SVR; null means searched.
    pub c: Option<f64>,
    pub nu: Option<f64>,
    pub gamma: Option<f64>,
}

#[derive(Debug, Clone, PartialEq, derive_more::Deref)]
pub struct ValidPredictorParams {
    #[deref]
    params: PredictorParams,
    pub rule: StoppingRule,
}

impl PredictorParams {
    /// The hyperparameters, and whether the regressor has them.
    fn hyperparameters(&self) -> [(&'static str, Option<f64>, bool); 3] {
        let has_gamma = self.regressor == Regressor::NuSvrRbf;
        let is_nu_svr = has_gamma || self.regressor == Regressor::NuSvrLinear;
        [("c", self.c, is_nu_svr), ("nu", self.nu, is_nu_svr), ("gamma", self.gamma, has_gamma)]
    }

    pub fn without_meaning(&self) -> impl Iterator<Item = &'static str> {
        let is_idle = |(_, value, has): &(_, Option<f64>, bool)| value.is_some() && !has;
        self.hyperparameters().into_iter().filter(is_idle).map(|(name, ..)| name)
    }

    pub(super) fn is_search_needed(&self) -> bool {
        self.hyperparameters().iter().any(|(_, value, has)| value.is_none() && *has)
    }

    pub fn check(self) -> Result<ValidPredictorParams, Invalid> {
        let rule = StoppingRule::new(self.threshold, self.offset)?;
        Invalid::unless_in(1..=MOST_TOP_N, "early_stopping.top_n", self.top_n)?;
        Invalid::unless_in(1..=MOST_DRAWS, "early_stopping.draws", self.draws)?;
        Invalid::unless_in(0.0..=1.0, "early_stopping.audit_share", self.audit_share)?;
        Invalid::unless_in(0.0..=1.0, "early_stopping.false_stop_limit", self.false_stop_limit)?;
        let (burn_in, offset, tolerance) = (self.burn_in as f64, self.offset, self.tolerance);
        let [c, nu, gamma] = [self.c, self.nu, self.gamma].map(|fixed| fixed.unwrap_or(1.0));
        let is_tolerance = (LEAST_TOLERANCE..1.0).contains(&tolerance);
        for (key, value, holds, allowed) in [
            ("burn_in", burn_in, self.burn_in >= LEAST_CURVES, "must be at least 3"),
            ("offset", offset, offset <= 1.0, "must be 0 to 1, a difference of accuracies"),
            ("tolerance", tolerance, is_tolerance, "must be 1e-9 or more, below 1"),
            ("c", c, c > 0.0 && c <= MOST_C, "must be above 0 and at most 1e6"),
            ("gamma", gamma, gamma > 0.0 && gamma.is_finite(), "must be a finite number above 0"),
            ("nu", nu, nu > 0.0 && nu <= 1.0, "must be above 0 and at most 1"),
        ] {
            Invalid::unless(holds, &format!("early_stopping.{key}"), value, allowed)?;
        }
        Ok(ValidPredictorParams { params: self, rule })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Change = fn(&mut PredictorParams);

    fn with(change: Change) -> Result<ValidPredictorParams, Invalid> {
        let mut params = PredictorParams::default();
        change(&mut params);
        params.check()
    }

    #[test]
    fn each_rule_has_its_error() {
        assert!(with(|_| ()).is_ok());
        let changes: [(&str, Change); 15] = [
            ("threshold", |p| p.threshold = 0.5),
            ("offset", |p| p.offset = -0.1),
            ("burn_in", |p| p.burn_in = 2),
            ("offset", |p| p.offset = 5.0),
            ("top_n", |p| p.top_n = 51),
            ("draws", |p| p.draws = 0),
            ("draws", |p| p.draws = usize::MAX),
            ("audit_share", |p| p.audit_share = 2.0),
            ("false_stop_limit", |p| p.false_stop_limit = f64::NAN),
            ("tolerance", |p| p.tolerance = 0.0),
            ("tolerance", |p| p.tolerance = 1e-14),
            ("c", |p| p.c = Some(-1.0)),
            ("c", |p| p.c = Some(1e7)),
            ("nu", |p| p.nu = Some(1.5)),
            ("gamma", |p| p.gamma = Some(f64::INFINITY)),
        ];
        for (key, change) in changes {
            let message = with(change).unwrap_err().to_string();
            assert!(message.starts_with(&format!("`early_stopping.{key}` is ")), "{message}");
        }
    }

    #[test]
    fn the_defaults_are_those_of_the_paper_and_our_decisions() {
        let text = "{enabled: true, regressor: nu-svr-rbf, burn_in: 100, refit_every: 50, \
             threshold: 0.99, offset: 0, top_n: 1, audit_share: 0.02, false_stop_limit: 0.05, \
             draws: 60, tolerance: 0.001, c: null, nu: null, gamma: null}";
        let written: PredictorParams = serde_yaml::from_str(text).unwrap();
        assert_eq!(written, PredictorParams::default());
    }

    #[test]
    fn all_given_means_no_search() {
        assert!(with(|_| ()).unwrap().is_search_needed());
        let given = with(|p| (p.c, p.nu, p.gamma) = (Some(1.0), Some(0.5), Some(0.1)));
        assert!(!given.unwrap().is_search_needed());
        let half = |p: &mut PredictorParams| (p.c, p.nu) = (Some(1.0), Some(0.5));
        assert!(with(half).unwrap().is_search_needed());
        let linear = with(|p| {
            (p.c, p.nu, p.regressor) = (Some(1.0), Some(0.5), Regressor::NuSvrLinear);
        });
        assert!(!linear.unwrap().is_search_needed());
    }

    #[test]
    fn a_misspelt_key_is_refused() {
        assert!(serde_yaml::from_str::<PredictorParams>("treshold: 0.9").is_err());
        let params: PredictorParams = serde_yaml::from_str("regressor: ols\nburn_in: 20").unwrap();
        assert_eq!(
            (params.regressor, params.burn_in, params.refit_every),
            (Regressor::Ols, 20, 50)
        );
    }
}

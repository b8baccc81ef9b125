//! The orders of a simulation, each with the fit to its burn-in.

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::recorded::RecordedCurves;
use super::simulation::SimulationParams;
use super::walk::{Setting, Step, predict_all, walk};
use crate::predictor::FittedPredictor;
use crate::predictor::PredictorError;
use crate::predictor::regressor::Hyperparameters;
use crate::predictor::search;

/// Whose burn-in hyperparameters are searched on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SearchScope {
    /// The first order's, for all orders.
    Once,
    /// Each order's own.
    PerOrder,
}

/// The orders with all that their fits need, so that each can be fitted on any thread.
pub(super) struct OrderedFits<'a> {
    recorded: &'a RecordedCurves,
    params: &'a SimulationParams,
    orders: Vec<Vec<usize>>,
    generators: Vec<ChaCha8Rng>,
    /// Chosen on the first order's burn-in, where once is enough.
    chosen: Option<Vec<Hyperparameters>>,
}

impl<'a> OrderedFits<'a> {
    pub fn new(
        recorded: &'a RecordedCurves,
        params: &'a SimulationParams,
        rng: &mut impl Rng,
    ) -> Result<Self, PredictorError> {
        let orders = params.orders.draw(recorded.networks(), rng)?;
        let generators = orders.iter().map(|_| ChaCha8Rng::from_rng(rng)).collect();
        let mut fits = Self { recorded, params, orders, generators, chosen: None };
        if params.search == SearchScope::Once && fits.walks_any() {
            fits.chosen = Some(fits.choose(0)?);
        }
        Ok(fits)
    }

    pub fn count(&self) -> usize {
        self.orders.len()
    }

    /// Whether the burn-in leaves any network to walk.
    pub fn walks_any(&self) -> bool {
        self.recorded.networks() > self.params.predictor.burn_in
    }

    /// Returns the networks of the burn-in and those walked after it.
    pub fn parts(&self, number: usize) -> (&[usize], &[usize]) {
        let order = &self.orders[number];
        order.split_at(self.params.predictor.burn_in.min(order.len()))
    }

    /// Returns the hyperparameters of an order's models.
    pub fn choose(&self, number: usize) -> Result<Vec<Hyperparameters>, PredictorError> {
        if let Some(chosen) = &self.chosen {
            return Ok(chosen.clone());
        }
        let examples = self.recorded.examples(self.parts(number).0, self.recorded.epochs());
        let rng = &mut self.generators[number].clone();
        search::hyperparameters(&examples, &self.params.predictor, rng)
    }

    /// Fits an order's predictor and walks the rest under every setting.
    pub fn walk(&self, number: usize, grid: &[Setting]) -> Result<Vec<Vec<Step>>, PredictorError> {
        if !self.walks_any() {
            return Ok(vec![Vec::new(); grid.len()]);
        }
        let (burn_in, walked) = self.parts(number);
        let examples = self.recorded.examples(burn_in, self.recorded.epochs());
        let chosen = self.choose(number)?;
        let predictor = FittedPredictor::fit_with(examples, &chosen, self.params.scaling)?;
        let predictions = predict_all(self.recorded, &predictor, walked);
        let walk = |setting| walk(self.recorded, burn_in, walked, &predictions, setting);
        Ok(grid.iter().map(walk).collect())
    }
}

//! Which full curves a predictor is fitted to: a function of how many there are.

use super::params::ValidPredictorParams;

/// Newest full curves that a refit adds to those of the burn-in.
const NEWEST: usize = 100;

/// The places, in log order, of the full curves of one fit. Those of the burn-in always stay: later
/// ones are of networks that looked good (spec, section 7). Fits happen at fixed counts, so that
/// the same log always gives the same predictor, however often it was reduced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrainingSet {
    burn_in: usize,
    /// Names the fit, and keys its generator.
    pub full_curves: usize,
}

impl TrainingSet {
    /// Of so many full curves in the log; none during the burn-in.
    pub fn at(full_curves: usize, params: &ValidPredictorParams) -> Option<Self> {
        let (burn_in, every) = (params.burn_in, params.refit_every);
        let further = full_curves.checked_sub(burn_in)?;
        let refitted = further.checked_div(every).map_or(0, |refits| refits * every);
        Some(Self { burn_in, full_curves: burn_in + refitted })
    }

    pub fn places(&self) -> impl Iterator<Item = usize> + use<> {
        let newest = self.burn_in.max(self.full_curves.saturating_sub(NEWEST))..self.full_curves;
        (0..self.burn_in).chain(newest)
    }
}

#[cfg(test)]
mod tests {
    use super::super::params::PredictorParams;
    use super::*;

    fn places(full_curves: usize, refit_every: usize) -> Option<Vec<usize>> {
        let params = PredictorParams { refit_every, ..PredictorParams::default() };
        Some(TrainingSet::at(full_curves, &params.check().unwrap())?.places().collect())
    }

    #[test]
    fn during_the_burn_in_there_is_none() {
        assert_eq!(places(99, 50), None);
        assert_eq!(places(100, 50), Some((0..100).collect()));
    }

    #[test]
    fn refits_happen_at_fixed_counts() {
        assert_eq!(places(149, 50), places(100, 50));
        assert_eq!(places(150, 50), Some((0..150).collect()));
        assert_eq!(places(249, 50), Some((0..200).collect()));
    }

    #[test]
    fn the_first_hundred_stay_and_the_newest_hundred_are_added() {
        assert_eq!(places(460, 50), Some((0..100).chain(350..450).collect()));
    }

    #[test]
    fn without_refits_the_first_fit_stays() {
        assert_eq!(places(1_000, 0), Some((0..100).collect()));
    }
}

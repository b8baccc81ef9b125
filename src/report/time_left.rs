//! How much training is left: from what networks have cost, as a range, or not at all.

use super::search::SearchData;
use crate::maths::{mean_if_any, variance};
use crate::storage::{Event, Row};

/// Seconds, of all workers together.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct TimeLeft {
    pub least: f64,
    pub most: f64,
}

/// Fewest networks whose costs say something of those to come.
const FEWEST: usize = 3;
/// The same since networks are stopped: some are, some are not.
const FEWEST_SINCE_STOPPING: usize = 10;
/// Networks whose costs count, the newest: the agent turns to others as it learns.
const NEWEST: usize = 50;
const SURE: f64 = 2.0;

impl TimeLeft {
    /// None while too few networks have been trained here. Networks in training count whole at most
    /// and not at all at least. Until networks are stopped, it is unknown how many will be: each
    /// after the burn-in costs an epoch at least.
    pub fn of(search: &SearchData, left: u64) -> Option<Self> {
        if left == 0 {
            return Some(Self::default());
        }
        let (iterations, stopping) = (&search.iterations, search.early_stopping);
        // In the order of iterations, not of times: clocks differ, and jump.
        let results = iterations.iter().filter(|row| row.event.is_result());
        let cost = |row: &Row| Some((row.event == Event::Stopped, row.train_seconds?));
        let costs: Vec<(bool, f64)> = results.filter_map(cost).collect();
        let open = iterations.iter().filter(|row| row.event == Event::Claimed).count();
        let not_begun = left.saturating_sub(open as u64) as f64;
        let is_stopping = stopping.enabled && !stopping.findings.is_switched_off();
        let first_stopped = costs.iter().position(|(is_stopped, _)| *is_stopped);
        let since_stopping = &costs[first_stopped.unwrap_or(costs.len())..];
        if is_stopping && since_stopping.len() >= FEWEST_SINCE_STOPPING {
            let costs = since_stopping.iter().map(|(_, seconds)| *seconds);
            return Self::at_costs(costs, not_begun, left as f64);
        }
        let of_burn_in = stopping.burn_in.saturating_sub(stopping.full_curves) as f64;
        let least = if is_stopping && of_burn_in < not_begun {
            of_burn_in + (not_begun - of_burn_in) / f64::from(search.epochs.max(1))
        } else {
            not_begun
        };
        // Stopped networks are no measure of whole trainings.
        let whole = costs.iter().filter(|(is_stopped, _)| !is_stopped);
        Self::at_costs(whole.map(|(_, seconds)| *seconds), least, left as f64)
    }

    /// Of `few` to `many` networks, by the newest costs; none by too few of these. The sum of costs
    /// varies, and so does the mean it is inferred from.
    fn at_costs(costs: impl DoubleEndedIterator<Item = f64>, few: f64, many: f64) -> Option<Self> {
        let newest: Vec<f64> = costs.rev().take(NEWEST).collect();
        let networks = newest.len() as f64;
        let mean = mean_if_any(&newest).filter(|_| newest.len() >= FEWEST)?;
        let deviation = variance(&newest)?.sqrt();
        let error = |count: f64| SURE * deviation * (count + count * count / networks).sqrt();
        let cheapest = newest.iter().copied().fold(mean, f64::min);
        let least = (few * mean - error(few)).max(few * cheapest);
        Some(Self { least, most: many * mean + error(many) })
    }

    /// Seconds until so many networks are trained on so many workers: each is trained by one.
    pub fn on(self, workers: u32, networks: u64) -> Self {
        let (workers, networks) = (f64::from(workers), networks.max(1) as f64);
        Self {
            least: self.least / workers.min(networks),
            most: self.most / networks * (networks / workers).ceil(),
        }
    }

    /// None where the range is too wide for a single number.
    pub fn middle(self) -> Option<f64> {
        (self.most <= 3.0 * self.least).then_some((self.least + self.most) / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::super::sample::iteration;
    use super::super::search::EarlyStopping;
    use super::*;
    use crate::predictor::AuditFindings;

    fn result(network: usize, event: Event, seconds: f64) -> Row {
        Row { train_seconds: Some(seconds), ..iteration(network as u64 + 1, event) }
    }

    fn time_left(iterations: &[Row], early_stopping: EarlyStopping, left: u64) -> Option<TimeLeft> {
        let iterations = iterations.to_vec();
        let search = SearchData { iterations, early_stopping, epochs: 20, ..SearchData::default() };
        TimeLeft::of(&search, left)
    }

    fn without_stopping() -> EarlyStopping {
        EarlyStopping::default()
    }

    /// The estimate before each network of a search, beside what was really left.
    fn estimates(
        all: &[Row],
        stopping: impl Fn(&[Row]) -> EarlyStopping,
    ) -> Vec<(Option<TimeLeft>, f64)> {
        (0..all.len())
            .map(|done| {
                let (done, to_come) = all.split_at(done);
                let left = to_come.len() as u64;
                let really = to_come.iter().filter_map(|row| row.train_seconds).sum();
                (time_left(done, stopping(done), left), really)
            })
            .collect()
    }

    #[test]
    fn networks_of_one_cost_leave_exactly_what_they_will_take() {
        let all: Vec<_> = (0..40).map(|network| result(network, Event::Trained, 50.0)).collect();
        for (done, (estimate, really)) in
            estimates(&all, |_| without_stopping()).into_iter().enumerate()
        {
            match estimate {
                None => assert!(done < FEWEST, "{done}"),
                Some(estimate) => {
                    assert_eq!((estimate.least, estimate.most), (really, really), "{done}");
                    assert_eq!(estimate.middle(), Some(really));
                }
            }
        }
    }

    #[test]
    fn what_is_really_left_lies_within_the_range() {
        let (mut within, mut count) = (0, 0);
        for seed in 0..20 {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            // Costs that differ tenfold, a tenth of the networks failing at once.
            let mut cost = |network: usize| match rng.random_range(0..10) {
                0 => result(network, Event::Failed, 5.0),
                _ => result(network, Event::Trained, rng.random_range(20.0..200.0)),
            };
            let all: Vec<_> = (0..200).map(&mut cost).collect();
            for (estimate, really) in estimates(&all, |_| without_stopping()) {
                let Some(estimate) = estimate else { continue };
                count += 1;
                within += usize::from((estimate.least..=estimate.most).contains(&really));
                if let Some(middle) = estimate.middle() {
                    assert!(middle < 2.5 * really && really < 2.5 * middle, "{middle} {really}");
                }
            }
        }
        assert!(within * 10 >= count * 9, "{within} of {count}");
    }

    #[test]
    fn stopping_that_is_still_to_come_is_within_the_range() {
        // 30 whole trainings of 100 s; then four of five networks are stopped after a quarter.
        let all: Vec<_> = (0..200)
            .map(|network| match network {
                30.. if network % 5 != 0 => result(network, Event::Stopped, 25.0),
                _ => result(network, Event::Trained, 100.0),
            })
            .collect();
        let stopping = |done: &[Row]| EarlyStopping {
            enabled: true,
            burn_in: 30,
            full_curves: done.iter().filter(|row| row.event == Event::Trained).count() as u64,
            ..EarlyStopping::default()
        };
        for (done, (estimate, really)) in estimates(&all, stopping).into_iter().enumerate() {
            let Some(estimate) = estimate else { continue };
            // The last few are too few for a range of two standard errors to hold each time.
            assert!(estimate.least <= really + 1e-9 || done > 190, "{done}: {estimate:?} {really}");
            assert!(estimate.most >= really - 1e-9 || done > 190, "{done}: {estimate:?} {really}");
            // No single number while it is unknown how many will be stopped.
            assert!(estimate.middle().is_none() || done > 30, "{done}: {estimate:?}");
        }
    }

    #[test]
    fn stopping_that_was_switched_off_saves_nothing_more() {
        let all: Vec<_> = (0..20)
            .map(|network| match network {
                5..10 => result(network, Event::Stopped, 25.0),
                _ => result(network, Event::Trained, 100.0),
            })
            .collect();
        let off = EarlyStopping {
            enabled: true,
            burn_in: 5,
            findings: AuditFindings { audited: 9, false_stops: 5, switched_off_after: Some(9) },
            ..EarlyStopping::default()
        };
        let estimate = time_left(&all[..10], off, 10).unwrap();
        assert_eq!((estimate.least, estimate.most), (1000.0, 1000.0));
    }

    #[test]
    fn workers_share_networks_and_none_is_trained_by_two() {
        let left = TimeLeft { least: 60.0, most: 120.0 };
        let seconds = |workers, networks| {
            let TimeLeft { least, most } = left.on(workers, networks);
            (least, most)
        };
        assert_eq!(seconds(1, 6), (60.0, 120.0));
        assert_eq!(seconds(2, 6), (30.0, 60.0));
        // Two rounds of at most four.
        assert_eq!(seconds(4, 6), (15.0, 40.0));
        assert_eq!(seconds(4, 1), (60.0, 120.0));
        assert_eq!(TimeLeft::default().on(3, 0), TimeLeft::default());
    }

    #[test]
    fn networks_in_training_are_done_in_part() {
        let mut iterations: Vec<_> =
            (0..5).map(|network| result(network, Event::Trained, 50.0)).collect();
        iterations.push(iteration(6, Event::Claimed));
        // Imported networks cost nothing here, and repeats neither.
        iterations.push(iteration(7, Event::Imported));
        iterations.push(iteration(8, Event::Reused));
        let estimate = time_left(&iterations, without_stopping(), 4).unwrap();
        assert_eq!((estimate.least, estimate.most), (150.0, 200.0));
        assert_eq!(time_left(&iterations[5..], without_stopping(), 4), None);
        assert_eq!(time_left(&[], without_stopping(), 0).unwrap().most, 0.0);
    }
}

//! How much training is left: from what networks have cost, as a range, or not at all.

use super::search::SearchData;
use crate::storage::Event;

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
        let results: Vec<(Event, f64)> = iterations
            .iter()
            .filter(|row| row.event.is_result())
            .filter_map(|row| Some((row.event, row.train_seconds?)))
            .collect();
        let open = iterations.iter().filter(|row| row.event == Event::Claimed).count();
        let not_begun = left.saturating_sub(open as u64) as f64;
        let is_stopped = |result: &(Event, f64)| result.0 == Event::Stopped;
        let is_stopping = stopping.enabled && !stopping.findings.is_switched_off();
        let first_stopped = results.iter().position(is_stopped);
        let since_stopping = &results[first_stopped.unwrap_or(results.len())..];
        if is_stopping
            && since_stopping.len() >= FEWEST_SINCE_STOPPING
            && let Some(cost) = CostSample::of(since_stopping.iter())
        {
            return Some(cost.between(not_begun, left as f64));
        }
        // Stopped networks are no measure of whole trainings.
        let whole = CostSample::of(results.iter().filter(|&result| !is_stopped(result)))?;
        let of_burn_in = stopping.burn_in.saturating_sub(stopping.full_curves) as f64;
        let least = if is_stopping && of_burn_in < not_begun {
            of_burn_in + (not_begun - of_burn_in) / f64::from(search.epochs.max(1))
        } else {
            not_begun
        };
        Some(whole.between(least, left as f64))
    }

    /// None where the range is too wide for a single number.
    pub fn middle(self) -> Option<f64> {
        (self.most <= 3.0 * self.least).then_some((self.least + self.most) / 2.0)
    }
}

struct CostSample {
    networks: f64,
    mean: f64,
    deviation: f64,
    least: f64,
}

impl CostSample {
    /// Of the newest costs; none of too few.
    fn of<'a>(results: impl DoubleEndedIterator<Item = &'a (Event, f64)>) -> Option<Self> {
        let newest: Vec<f64> = results.rev().take(NEWEST).map(|(_, seconds)| *seconds).collect();
        if newest.len() < FEWEST {
            return None;
        }
        let networks = newest.len() as f64;
        let mean = newest.iter().sum::<f64>() / networks;
        let squares: f64 = newest.iter().map(|cost| (cost - mean) * (cost - mean)).sum();
        let deviation = (squares / (networks - 1.0)).sqrt();
        Some(Self { networks, mean, deviation, least: newest.iter().copied().fold(mean, f64::min) })
    }

    /// The sum of costs varies, and so does the mean it is inferred from.
    fn between(&self, few: f64, many: f64) -> TimeLeft {
        let error =
            |count: f64| SURE * self.deviation * (count + count * count / self.networks).sqrt();
        let least = (few * self.mean - error(few)).max(few * self.least);
        TimeLeft { least, most: many * self.mean + error(many) }
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
    use crate::storage::Row;

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

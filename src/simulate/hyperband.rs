//! Hyperband's schedule: how many networks are trained for how long (Li et al., 2018, algorithm 1).

use crate::invalid::Invalid;

/// A rung of successive halving: so many networks, trained until they have so many epochs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rung {
    /// n_i, the networks that begin the rung.
    pub networks: usize,
    /// r_i, the epochs each has at its end.
    pub epochs: usize,
}

/// The rungs of one bracket, from many networks and few epochs to few and all.
pub type Bracket = Vec<Rung>;

/// Returns the brackets of one run of Hyperband, the most aggressive first.
///
/// With R epochs at most and s_max the largest s with eta^s <= R, bracket s = s_max .. 0 begins with
/// `n = ceil((s_max + 1) eta^s / (s + 1))` networks; its rung i = 0 .. s has `floor(n / eta^i)` of
/// them, trained to `R / eta^(s - i)` epochs, which is rounded to a whole epoch, at least 1.
pub fn hyperband(max_epochs: usize, eta: usize) -> Result<Vec<Bracket>, Invalid> {
    Invalid::unless(eta >= 2, "eta", eta, "must be at least 2")?;
    Invalid::unless(max_epochs >= 1, "epochs", max_epochs, "must be at least 1")?;
    // Powers 1, eta, eta^2 .. up to R.
    let powers: Vec<usize> = std::iter::successors(Some(1_usize), |power| power.checked_mul(eta))
        .take_while(|power| *power <= max_epochs)
        .collect();
    let bracket = |s: usize| {
        let begins = (powers.len() * powers[s]).div_ceil(s + 1);
        let rung = |i: usize| Rung {
            networks: begins / powers[i],
            epochs: rounded_share(max_epochs, powers[s - i]).max(1),
        };
        (0..=s).map(rung).collect()
    };
    Ok((0..powers.len()).rev().map(bracket).collect())
}

/// Returns `whole / parts`, rounded to the nearest, halves up.
fn rounded_share(whole: usize, parts: usize) -> usize {
    (whole + parts / 2) / parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn schedule(max_epochs: usize, eta: usize) -> Vec<Vec<(usize, usize)>> {
        let pairs = |bracket: &Bracket| bracket.iter().map(|r| (r.networks, r.epochs)).collect();
        hyperband(max_epochs, eta).unwrap().iter().map(pairs).collect()
    }

    #[test]
    fn the_schedule_for_81_epochs_by_hand() {
        // s_max = 4; brackets begin with 5/5 * 81, ceil(5/4 * 27) = 34, 5/3 * 9, ceil(5/2 * 3) = 8 and 5.
        assert_eq!(
            schedule(81, 3),
            [
                vec![(81, 1), (27, 3), (9, 9), (3, 27), (1, 81)],
                vec![(34, 3), (11, 9), (3, 27), (1, 81)],
                vec![(15, 9), (5, 27), (1, 81)],
                vec![(8, 27), (2, 81)],
                vec![(5, 81)],
            ]
        );
    }

    #[test]
    fn epochs_are_whole() {
        // 50 / 27 = 1.85, 50 / 9 = 5.56, 50 / 3 = 16.67.
        assert_eq!(schedule(50, 3)[0], [(27, 2), (9, 6), (3, 17), (1, 50)]);
    }

    #[test]
    fn a_single_epoch_is_a_single_rung() {
        assert_eq!(schedule(1, 3), [[(1, 1)]]);
        assert!(hyperband(10, 1).is_err() && hyperband(0, 3).is_err());
    }

    proptest! {
        #[test]
        fn rungs_get_smaller_and_longer(max_epochs in 1_usize..400, eta in 2_usize..6) {
            for bracket in hyperband(max_epochs, eta).unwrap() {
                prop_assert_eq!(bracket.last().unwrap().epochs, max_epochs);
                for pair in bracket.windows(2) {
                    prop_assert!(pair[0].networks >= pair[1].networks && pair[1].networks >= 1);
                    prop_assert!(pair[0].epochs < pair[1].epochs);
                }
            }
        }
    }
}

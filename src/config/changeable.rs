//! Which keys `metaqnn set` may change.

use super::error::ConfigError;
use super::keys::{KNOWN, refuse_unknown};

/// What changing a key means for a search that has begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Nothing that is compared depends on it.
    Free,
    /// The last digits of accuracies: sums are added up in another order.
    LastDigits,
    /// More architectures: what has begun must go on as it was.
    Schedule,
}

impl Change {
    /// The one place that decides whether a key may be changed once an experiment is made.
    pub fn of(key: &str) -> Result<Self, ConfigError> {
        refuse_unknown(key)?;
        let is_section = || KNOWN.iter().any(|known| known.starts_with(&format!("{key}.")));
        match key {
            "epsilon_schedule" => Ok(Self::Schedule),
            "training.device" | "training.threads" => Ok(Self::LastDigits),
            "training.silence_limit" | "training.claim_lifetime" | "training.checkpoint_dir" => {
                Ok(Self::Free)
            }
            _ if is_section() => Err(ConfigError::WholeSection(key.to_owned())),
            _ if key.starts_with("slurm.") => Ok(Self::Free),
            _ => Err(ConfigError::Frozen(key.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_leaves_the_search_as_it_is_may_change() {
        let changeable: Vec<&String> = KNOWN.iter().filter(|key| Change::of(key).is_ok()).collect();
        assert!(changeable.iter().any(|key| *key == "slurm.reduce.time"));
        let others = changeable.into_iter().filter(|key| !key.starts_with("slurm."));
        let others: Vec<&str> = others.map(String::as_str).collect();
        let allowed = [
            "epsilon_schedule",
            "training.checkpoint_dir",
            "training.claim_lifetime",
            "training.device",
            "training.silence_limit",
            "training.threads",
        ];
        assert!(others.iter().all(|key| allowed.contains(key)), "{others:?}");
        for frozen in ["experiment.seed", "training.epochs", "training.command", "data.path"] {
            let problem = Change::of(frozen).unwrap_err().to_string();
            assert!(problem.contains("is frozen") && problem.contains("metaqnn init"), "{problem}");
        }
        for section in ["slurm", "slurm.reduce", "training"] {
            let problem = Change::of(section).unwrap_err().to_string();
            assert!(problem.contains("is a section"), "{problem}");
        }
        let problem = Change::of("slurm.tme").unwrap_err().to_string();
        assert!(problem.contains("did you mean `slurm.time`?"), "{problem}");
    }
}

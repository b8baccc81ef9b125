//! The keys of a configuration: which there are, which one was meant, which may change.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use serde_yaml::{Mapping, Value};

use super::{ConfigError, DEFAULTS};

/// The paths of the defaults, which hold every key there is.
pub(super) static KNOWN: LazyLock<BTreeSet<String>> = LazyLock::new(|| {
    let defaults = serde_yaml::from_str(DEFAULTS).expect("the defaults are YAML, as a test shows");
    paths(&defaults).into_iter().collect()
});

/// No known key is nearly as long; the start of a longer one shows that it is not meant as a key.
const LONGEST_KEY: usize = 100;

pub(super) fn refuse_unknown(key: &str) -> Result<(), ConfigError> {
    // The final training has keys of other sections.
    let meant = key.strip_prefix("final_training.").filter(|key| key.contains('.'));
    if KNOWN.contains(key) || meant.is_some_and(|key| KNOWN.contains(key)) {
        return Ok(());
    }
    let key: String = key.chars().take(LONGEST_KEY).flat_map(char::escape_debug).collect();
    let hint = match nearest(&key) {
        Some(known) => format!("did you mean `{known}`?"),
        None => "see `metaqnn config --defaults`".to_owned(),
    };
    Err(ConfigError::UnknownKey { key, hint })
}

/// Whether a key may change once an experiment is made; returns what a person should know of it.
pub fn check_changeable(key: &str) -> Result<&'static str, ConfigError> {
    refuse_unknown(key)?;
    let is_section = || KNOWN.iter().any(|known| known.starts_with(&format!("{key}.")));
    match key {
        "epsilon_schedule" | "strategy.architectures" => Ok(" (`submit` or `run` goes on with it)"),
        // Sums are added up in another order.
        "training.device" | "training.threads" => {
            Ok(" (networks trained from now on differ in their last digits from those before)")
        }
        "training.silence_limit" | "training.claim_lifetime" | "training.checkpoint_dir" => Ok(""),
        _ if is_section() => {
            Err(ConfigError::Unusable(format!("`{key}` is a section (name one of its keys)")))
        }
        _ if key.starts_with("slurm.") => Ok(""),
        _ => Err(ConfigError::Frozen(key.to_owned())),
    }
}

/// Every key with its path and value, in the order of the document; lists are values.
pub(super) fn entries<'a>(mapping: &'a Mapping, prefix: &str) -> Vec<(String, &'a Value)> {
    let mut found = Vec::new();
    for (key, value) in mapping {
        // A key that is no text is shown as it would be written.
        let key = key.as_str().map_or_else(
            || serde_yaml::to_string(key).unwrap_or_default().trim_end().replace('\n', " "),
            str::to_owned,
        );
        let path = if prefix.is_empty() { key } else { format!("{prefix}.{key}") };
        found.push((path.clone(), value));
        found.extend(value.as_mapping().into_iter().flat_map(|below| entries(below, &path)));
    }
    found
}

/// The path of every key, those in the mappings of a list included: its entries share their paths.
pub(super) fn paths(document: &Value) -> Vec<String> {
    let mut found = Vec::new();
    for (path, value) in document.as_mapping().into_iter().flat_map(|all| entries(all, "")) {
        found.push(path.clone());
        let items = value.as_sequence().into_iter().flatten().filter_map(Value::as_mapping);
        found.extend(items.flat_map(|item| entries(item, &path)).map(|(path, _)| path));
    }
    found
}

/// The known path most like `key`: the same name in another section, or a misspelling.
fn nearest(key: &str) -> Option<&'static String> {
    let name = |path: &str| path.rsplit('.').next().unwrap_or_default().to_owned();
    // Of names that are equally like it, the one in the likest section.
    let likeness = |path: &&String| {
        (strsim::jaro_winkler(&name(path), &name(key)), strsim::jaro_winkler(path, key))
    };
    let known =
        KNOWN.iter().max_by(|a, b| likeness(a).partial_cmp(&likeness(b)).expect("no NaN"))?;
    (likeness(&known).0 > 0.8).then_some(known)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load::parse;

    fn problem(extra: &str) -> String {
        let least = "experiment: {name: x}\ndata: {classes: 10, input_size: 28, channels: 1}\n";
        parse(&format!("{least}{extra}"), &[]).unwrap_err().to_string()
    }

    #[test]
    fn an_unknown_key_is_named_with_the_nearest_known_one() {
        assert_eq!(
            problem("training: {epoch: 3}"),
            "unknown key `training.epoch` (did you mean `training.epochs`?)"
        );
        assert_eq!(problem("epochs: 3"), "unknown key `epochs` (did you mean `training.epochs`?)");
        assert_eq!(problem("zzz: 3"), "unknown key `zzz` (see `metaqnn config --defaults`)");
    }

    #[test]
    fn a_name_in_another_section_is_found_before_one_that_is_only_near() {
        assert_eq!(
            problem("training: {replay_size: 3}"),
            "unknown key `training.replay_size` (did you mean `q_learning.replay_size`?)"
        );
        assert_eq!(
            problem("slurm: {reduce: {foo: 3}}"),
            "unknown key `slurm.reduce.foo` (see `metaqnn config --defaults`)"
        );
        assert_eq!(problem("3: 4"), "unknown key `3` (see `metaqnn config --defaults`)");
        assert_eq!(
            problem("\"a\\nb\": 4"),
            "unknown key `a\\nb` (see `metaqnn config --defaults`)"
        );
    }

    #[test]
    fn of_a_very_long_key_the_start_is_shown() {
        let long = problem(&format!("? {}\n: 3", "x".repeat(10_000)));
        assert_eq!(
            long,
            format!("unknown key `{}` (see `metaqnn config --defaults`)", "x".repeat(100))
        );
    }

    #[test]
    fn only_what_leaves_the_search_as_it_is_may_change() {
        let changeable: Vec<&String> =
            KNOWN.iter().filter(|key| check_changeable(key).is_ok()).collect();
        assert!(changeable.iter().any(|key| *key == "slurm.reduce.time"));
        let others = changeable.into_iter().filter(|key| !key.starts_with("slurm."));
        let others: Vec<&str> = others.map(String::as_str).collect();
        let allowed = [
            "epsilon_schedule",
            "strategy.architectures",
            "training.checkpoint_dir",
            "training.claim_lifetime",
            "training.device",
            "training.silence_limit",
            "training.threads",
        ];
        assert!(others.iter().all(|key| allowed.contains(key)), "{others:?}");
        for frozen in ["experiment.seed", "training.epochs", "training.command", "data.path"] {
            let problem = check_changeable(frozen).unwrap_err().to_string();
            assert!(problem.contains("is frozen") && problem.contains("metaqnn init"), "{problem}");
        }
        for section in ["slurm", "slurm.reduce", "training"] {
            let problem = check_changeable(section).unwrap_err().to_string();
            assert!(problem.contains("is a section"), "{problem}");
        }
        let problem = check_changeable("slurm.tme").unwrap_err().to_string();
        assert!(problem.contains("did you mean `slurm.time`?"), "{problem}");
    }
}

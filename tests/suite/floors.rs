//! The forbidden doors between the rooms, read from the source files.
//!
//! The rooms stand on floors; each may use those below it and never one above. The compiler
//! cannot see that within one crate, so this reads `src/`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Which rooms each room may name as `crate::<room>`.
const DOORS: &[(&str, &[&str])] = &[
    ("space", &[]),
    ("outcome", &[]),
    ("seed", &[]),
    ("maths", &[]),
    ("regular_file", &[]),
    ("yaml_bounds", &[]),
    ("q_learning", &["space", "outcome"]),
    ("predictor", &["space", "outcome", "maths"]),
    (
        "storage",
        &["space", "outcome", "seed", "q_learning", "predictor", "regular_file", "yaml_bounds"],
    ),
    ("dataset", &["seed", "maths", "regular_file"]),
    ("training", &["space", "outcome", "seed", "maths", "regular_file"]),
    ("slurm", &[]),
    (
        "config",
        &[
            "space",
            "outcome",
            "q_learning",
            "predictor",
            "dataset",
            "training",
            "slurm",
            "regular_file",
            "yaml_bounds",
        ],
    ),
    ("report", &["space", "outcome", "q_learning", "predictor"]),
    (
        "ops",
        &[
            "space",
            "outcome",
            "seed",
            "q_learning",
            "predictor",
            "storage",
            "dataset",
            "training",
            "slurm",
            "config",
            "report",
            "regular_file",
        ],
    ),
    // Exit codes follow from the types of the errors of all rooms; `space` answers from the ground floor.
    (
        "cli",
        &[
            "ops",
            "config",
            "report",
            "space",
            "q_learning",
            "predictor",
            "seed",
            "storage",
            "dataset",
            "training",
            "slurm",
        ],
    ),
];

fn sources() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![root.clone()];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path.strip_prefix(&root).unwrap().to_owned(), text));
            }
        }
    }
    found.sort();
    found
}

/// The first component of a path below `src`, without `.rs`.
fn room(path: &Path) -> String {
    let first = path.iter().next().unwrap().to_str().unwrap();
    first.trim_end_matches(".rs").to_owned()
}

/// The code of a file: without comments, and without its tests, which may look anywhere.
fn code(text: &str) -> String {
    let tests = ["mod tests", "pub(super) mod tests", "pub(crate) mod tests"];
    let end = tests.iter().filter_map(|tests| text.find(&format!("#[cfg(test)]\n{tests}"))).min();
    let before_tests = &text[..end.unwrap_or(text.len())];
    before_tests.lines().map(|line| line.split("//").next().unwrap()).collect::<Vec<_>>().join("\n")
}

#[test]
fn every_room_uses_only_the_rooms_below_it() {
    let doors: BTreeMap<_, _> = DOORS.iter().copied().collect();
    for (path, text) in sources() {
        let room = room(&path);
        let Some(allowed) = doors.get(room.as_str()) else {
            assert!(["lib", "main", "torch"].contains(&room.as_str()), "unknown room `{room}`");
            continue;
        };
        for used in code(&text).split("crate::").skip(1) {
            let used: String =
                used.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            let is_room = doors.contains_key(used.as_str());
            assert!(
                !is_room || used == room || allowed.contains(&used.as_str()),
                "src/{} uses `{used}`, which is no floor below `{room}`",
                path.display()
            );
        }
    }
}

#[test]
fn the_trainer_uses_only_what_trainers_may_know() {
    for (path, text) in sources().iter().filter(|(path, _)| room(path) == "torch") {
        for used in code(text).split("metaqnn::").skip(1) {
            let used: String =
                used.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            assert!(
                ["training", "space", "dataset", "seed", "maths", "regular_file"]
                    .contains(&used.as_str()),
                "src/{} uses `{used}`",
                path.display()
            );
        }
    }
}

#[test]
fn effects_stay_in_their_rooms() {
    for (path, text) in sources() {
        let (text, room) = (code(&text), room(&path));
        let forbid = |word: &str, allowed: bool| {
            let is_used = text
                .match_indices(word)
                .any(|(at, _)| !text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_'));
            assert!(allowed || !is_used, "src/{} uses `{word}`", path.display());
        };
        forbid("tch::", room == "torch");
        forbid("fs2", path == Path::new("storage/fs/lock.rs"));
        forbid("clap::", room == "cli");
        let is_of_tests = ["golden.rs", "tests.rs", "tests"]
            .iter()
            .any(|name| path.iter().any(|component| component == *name));
        // Whatever else stands in the place of a file is waited for, or read without an end.
        for opening in [
            "File::open",
            "File::create",
            "fs::read(",
            "fs::read_to_string",
            "read_dir(",
            "fs::remove_dir_all",
        ] {
            forbid(opening, room == "regular_file" || is_of_tests);
        }
        let may_start_programs = room == "slurm" || path.starts_with("training/program");
        forbid("process::Command", may_start_programs || path == Path::new("training/program.rs"));
        let is_ground = ["space", "q_learning", "predictor", "outcome", "seed", "maths"]
            .contains(&room.as_str());
        for effect in ["std::fs", "std::process", "std::env", "SystemTime", "Instant::now", "log::"]
        {
            forbid(effect, !is_ground);
        }
    }
}

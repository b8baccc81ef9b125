//! Which pictures a folder holds: one folder a class, below `train`, `validation` and `test` where
//! they are given.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::{DatasetError, Result};
use super::images::Part;
use crate::regular_file;

/// Names of the folder of a part, in any case.
const PARTS: [(Part, &[&str]); 3] = [
    (Part::Training, &["train", "training"]),
    (Part::Validation, &["validation", "valid", "val"]),
    (Part::Test, &["test"]),
];
/// What operating systems put beside pictures.
const SKIPPED: [&str; 2] = ["Thumbs.db", "desktop.ini"];

/// A row of the list that an experiment keeps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ListedPicture {
    /// Training for all where the folder says nothing of parts.
    pub(super) part: Part,
    pub(super) class: String,
    /// Below the folder of all pictures.
    pub(super) file: String,
    pub(super) sha256: String,
    /// A near-identical picture of another part.
    pub(super) copy_of: Option<String>,
}

#[derive(Debug)]
pub(super) struct Listing {
    /// In the order of their names.
    pub(super) classes: Vec<String>,
    /// By part, class and name, not read yet.
    pub(super) files: Vec<ListedPicture>,
    /// The parts that have a folder with those of classes, by its name.
    pub(super) given: BTreeMap<Part, String>,
    /// Files outside of the folders of the classes.
    pub(super) others: Vec<String>,
}

pub(super) fn list(root: &Path) -> Result<Listing> {
    let refuse = |problem: String| Err(DatasetError::unsuitable(root, problem));
    let (folders, mut others) = entries(root, "")?;
    let mut parts = BTreeMap::new();
    let mut beside = Vec::new();
    for name in &folders {
        match PARTS.iter().find(|(_, names)| names.contains(&name.to_lowercase().as_str())) {
            None => beside.push(name.as_str()),
            Some((part, _)) => {
                if let Some(other) = parts.insert(*part, name.as_str()) {
                    return refuse(format!("`{other}` and `{name}` are one part (merge them)"));
                }
            }
        }
    }
    match (parts.get(&Part::Training), parts.values().next(), beside.first()) {
        (Some(train), _, Some(class)) => {
            let remedy = "move the folders of the classes below those of the parts";
            return refuse(format!("`{class}` lies beside `{train}` ({remedy})"));
        }
        (None, Some(part), _) => {
            return refuse(format!(
                "has a folder `{part}` and none called `train` (put the folders of the classes \
                 below `train`; if `{part}` is a class, rename it)"
            ));
        }
        (None, None, _) => drop(parts.insert(Part::Training, "")),
        _ => {}
    }
    let (mut classes, mut files) = (BTreeMap::<_, BTreeSet<String>>::new(), Vec::new());
    let mut given = BTreeMap::new();
    for (part, above) in parts {
        let prefix = if above.is_empty() { String::new() } else { format!("{above}/") };
        let (found, beside) = entries(root, &prefix)?;
        others.extend(if above.is_empty() { Vec::new() } else { beside });
        if !above.is_empty() && !found.is_empty() {
            given.insert(part, above.to_owned());
        }
        for class in &found {
            let within = format!("{prefix}{class}/");
            let (below, found) = entries(root, &within)?;
            if let Some(folder) = below.first() {
                let problem = format!("`{within}{folder}` is a folder in a class");
                return refuse(format!("{problem} (move its pictures up)"));
            }
            if found.is_empty() {
                return refuse(format!(
                    "the folder `{within}` is empty (add pictures, or remove it)"
                ));
            }
            files.extend(found.into_iter().map(|file| ListedPicture {
                part,
                class: class.clone(),
                file,
                sha256: String::new(),
                copy_of: None,
            }));
        }
        classes.insert(part, found.into_iter().collect());
    }
    let training = classes.remove(&Part::Training).unwrap_or_default();
    if training.len() < 2 {
        let remedy = "put the pictures of each class into a folder of its own";
        return refuse(format!(
            "has {} of at least 2 folders of classes ({remedy})",
            training.len()
        ));
    }
    for (part, others) in &classes {
        if let Some(class) = others.difference(&training).next() {
            return refuse(format!(
                "class `{class}` has pictures in the {part} part and none to train with (add some)"
            ));
        }
    }
    let mut lowercase = BTreeMap::new();
    for class in &training {
        if class.starts_with(['=', '+', '-', '@']) || class.contains(char::is_control) {
            let class = class.escape_debug();
            return refuse(format!(
                "class `{class}` has a name that a spreadsheet takes for a formula (rename it)"
            ));
        }
        if let Some(other) = lowercase.insert(class.to_lowercase(), class) {
            return refuse(format!(
                "classes `{other}` and `{class}` differ in case only (merge or rename them)"
            ));
        }
    }
    Ok(Listing { classes: training.into_iter().collect(), files, given, others })
}

/// The files in a folder, then those in the folders below.
pub(super) fn files_below(root: &Path, prefix: &str) -> Result<Vec<PathBuf>> {
    let (folders, files) = entries(root, prefix)?;
    let folder = root.join(prefix);
    let above = folder.ancestors().take_while(|above| above.starts_with(root));
    let above: Vec<_> = above.filter_map(|above| above.canonicalize().ok()).collect();
    // But for a link to a folder that it lies in.
    let is_new = |name: &&String| {
        folder.join(name.as_str()).canonicalize().map_or(true, |real| !above.contains(&real))
    };
    let below = folders
        .iter()
        .filter(is_new)
        .map(|folder| files_below(root, &format!("{prefix}{folder}/")));
    let below: Vec<_> = below.collect::<Result<_>>()?;
    let files = files.iter().map(|file| root.join(file));
    Ok(files.chain(below.into_iter().flatten()).collect())
}

/// The folders, by their names, and the files, by their paths below the root; sorted, without what
/// is hidden.
pub(super) fn entries(root: &Path, prefix: &str) -> Result<(Vec<String>, Vec<String>)> {
    let folder = root.join(prefix);
    let mut names = regular_file::names(&folder).map_err(DatasetError::unreadable(&folder))?;
    names.sort_unstable();
    let (mut folders, mut files) = (Vec::new(), Vec::new());
    for name in names {
        let path = folder.join(&name);
        let Some(name) = name.to_str() else {
            return Err(DatasetError::unsuitable(&path, "its name is not UTF-8 (rename it)"));
        };
        if path.is_dir() && !name.starts_with('.') {
            folders.push(name.to_owned());
        } else if !name.starts_with('.') && !SKIPPED.contains(&name) {
            files.push(format!("{prefix}{name}"));
        }
    }
    Ok((folders, files))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;
    use std::fs;
    use std::os::unix::ffi::OsStrExt;

    fn folder(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            match file.strip_suffix('/') {
                Some(_) => fs::create_dir_all(path).unwrap(),
                None => {
                    fs::create_dir_all(path.parent().unwrap()).unwrap();
                    fs::write(path, "").unwrap();
                }
            }
        }
        folder
    }

    #[test]
    fn classes_are_folders_in_the_order_of_their_names() {
        let folder =
            folder(&["b/2.png", "b/1.png", "a/1.png", "a/.hidden", "a/Thumbs.db", "note.txt"]);
        let found = list(folder.path()).unwrap();
        assert_eq!(found.classes, ["a", "b"]);
        let paths: Vec<_> = found.files.iter().map(|row| row.file.as_str()).collect();
        assert_eq!(paths, ["a/1.png", "b/1.png", "b/2.png"]);
        assert_eq!(found.others, ["note.txt"]);
        assert!(found.given.is_empty());
    }

    #[test]
    fn parts_are_taken_as_given() {
        let folder = folder(&[
            "Train/a/1.png", "Train/b/1.png", "val/a/2.png", "val/b/2.png", "TEST/b/3.png",
        ]);
        let found = list(folder.path()).unwrap();
        let of_part = |part| found.files.iter().filter(|file| file.part == part).count();
        assert_eq!([Part::Training, Part::Validation, Part::Test].map(of_part), [2, 2, 1]);
        assert_eq!(found.given.len(), 3);
    }

    #[test]
    fn a_link_to_a_folder_above_it_is_not_followed() {
        let folder = folder(&["a/1.png", "b/2.png"]);
        for (to, link) in [("../b", "a/b"), ("../a", "b/a"), ("..", "a/up")] {
            std::os::unix::fs::symlink(to, folder.path().join(link)).unwrap();
        }
        let found = files_below(folder.path(), "").unwrap();
        let names: Vec<_> = found.iter().map(|path| path.strip_prefix(folder.path())).collect();
        let names: Vec<_> = names.into_iter().map(|name| name.unwrap().to_str()).collect();
        let all = ["a/1.png", "a/b/2.png", "b/2.png", "b/a/1.png"];
        assert_eq!(names, all.map(Some));
    }

    #[test]
    fn folders_that_make_no_sense_are_named_with_the_remedy() {
        for (files, problem) in [
            (&["a/1.png"][..], "has 1 of at least 2 folders of classes (put the pictures of each"),
            (&["1.png"], "has 0 of at least 2 folders of classes (put"),
            (&["a/1.png", "A/1.png"], "classes `A` and `a` differ in case only (merge"),
            (&["a/1.png", "b/"], "the folder `b/` is empty (add pictures, or remove it)"),
            (&["a/1.png", "=1+1/1.png"], "class `=1+1` has a name that a spreadsheet"),
            (&["a/1.png", "b/c/1.png"], "`b/c` is a folder in a class (move"),
            (&["a/1.png", "test/b/1.png"], "has a folder `test` and none called `train`"),
            (&["train/a/1.png", "b/1.png"], "`b` lies beside `train` (move"),
            (&["train/a/1.png", "training/b/1.png"], "`train` and `training` are one part"),
            (
                &["train/a/1.png", "train/b/1.png", "test/c/1.png"],
                "class `c` has pictures in the test part and none to train with",
            ),
        ] {
            let folder = folder(files);
            let message = list(folder.path()).unwrap_err().to_string();
            let names = message.contains(folder.path().to_str().unwrap());
            assert!(names && message.contains(problem), "{message}");
        }
        let folder = folder(&["a/1.png"]);
        fs::write(folder.path().join("a").join(OsStr::from_bytes(b"\xff.png")), "").unwrap();
        fs::create_dir(folder.path().join("b")).unwrap();
        fs::write(folder.path().join("b/1.png"), "").unwrap();
        let message = list(folder.path()).unwrap_err().to_string();
        assert!(message.contains("its name is not UTF-8 (rename it)"), "{message}");
        let message = list(&folder.path().join("none")).unwrap_err().to_string();
        assert!(message.starts_with("cannot read"), "{message}");
    }
}

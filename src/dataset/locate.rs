//! The files of a data set, found under their names; where they are not, what lies there instead.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use itertools::Itertools;

use super::error::{DatasetError, Result, quoted};
use super::images::Part;
use super::sniff::sniff_file;
use super::{DataKind, ValidDataParams, folders};

/// Of files in a message.
const MOST_NAMED: usize = 8;
const MOST_KINDS: usize = 3;

/// The folder of the files of a part, and their names in it; an archive holds all parts.
pub(super) fn files_of(params: &ValidDataParams, part: Part) -> Result<(PathBuf, Vec<String>)> {
    let (kind, path) = params.files()?;
    if kind == DataKind::Npz {
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(DatasetError::damaged(path, "a folder, not an `.npz` file"));
        };
        return Ok((folder.to_owned(), vec![name.to_string_lossy().into_owned()]));
    }
    let mut names = locate(path, kind, part)?;
    if params.extra && part == Part::Training {
        names.extend(locate(path, kind, Part::Extra)?);
    }
    Ok((path.to_owned(), names))
}

/// The files of a part in the order in which they are read.
const fn names(kind: DataKind, part: Part) -> &'static [&'static str] {
    match (kind, part) {
        (DataKind::Idx, Part::Test) => &["t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"],
        (DataKind::Idx, _) => &["train-images-idx3-ubyte", "train-labels-idx1-ubyte"],
        (DataKind::Cifar10, Part::Test) => &["test_batch.bin"],
        (DataKind::Cifar10, _) => &[
            "data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin",
            "data_batch_5.bin",
        ],
        (DataKind::Cifar100, Part::Test) => &["test.bin"],
        (DataKind::Cifar100, _) => &["train.bin"],
        (DataKind::Svhn, Part::Test) => &["test_32x32.mat"],
        (DataKind::Svhn, Part::Extra) => &["extra_32x32.mat"],
        (DataKind::Svhn, _) => &["train_32x32.mat"],
        // Looked for by their reader.
        (DataKind::Images | DataKind::Npz, _) => &[],
    }
}

/// The name, relative to `folder`, under which each file of a part is there: its own, that of the
/// packed file, where the archive puts it, or of IDX one like it.
pub(super) fn locate(folder: &Path, kind: DataKind, part: Part) -> Result<Vec<String>> {
    let other: fn(&str) -> Option<String> = match kind {
        DataKind::Images => {
            let problem =
                "a folder of pictures, which `init` makes arrays of (name its `.npz` file)";
            return Err(DatasetError::damaged(folder, problem));
        }
        DataKind::Idx => |name| Some(format!("{name}.gz")),
        DataKind::Cifar10 => |name| Some(format!("cifar-10-batches-bin/{name}")),
        DataKind::Cifar100 => |name| Some(format!("cifar-100-binary/{name}")),
        DataKind::Svhn | DataKind::Npz => |_| None,
    };
    // Test images are of the set that trains.
    let training = match (kind, part) {
        (DataKind::Idx, Part::Test) => locate(folder, kind, Part::Training)?,
        _ => Vec::new(),
    };
    let set = training.first().and_then(|file| set(file, &["train"], "images"));
    let usual = |name: &&str| [(*name).to_owned()].into_iter().chain(other(name)).collect_vec();
    let usual = names(kind, part).iter().map(usual).collect_vec();
    let mut missing = usual.first();
    if set.is_none_or(str::is_empty) {
        let found: Vec<_> = usual.iter().map(|names| locate_one(folder, names)).try_collect()?;
        match found.iter().position(Option::is_none) {
            None => return Ok(found.into_iter().flatten().collect()),
            Some(first) => missing = usual.get(first),
        }
    }
    let files = files_near(folder)?;
    if kind == DataKind::Idx
        && let Some(found) = one_set(folder, &files, part, set)?
    {
        return Ok(found);
    }
    let remedy = match kind {
        DataKind::Idx => "name their folder in `data.path`".to_owned(),
        _ => {
            let extra = if part == Part::Extra { "-extra" } else { "" };
            format!("`scripts/fetch-data.sh {kind}{extra} {}` fetches it", folder.display())
        }
    };
    let names = quoted(missing.map_or(&[], Vec::as_slice), " or ");
    let problem = format!("found no {names} in `{}` ({remedy})", folder.display());
    Err(DatasetError::Unsuitable(format!("{problem}{}", in_words(folder, &files))))
}

fn locate_one(folder: &Path, names: &[String]) -> Result<Option<String>> {
    for name in names {
        let path = folder.join(name);
        match fs::metadata(&path) {
            Ok(metadata) if metadata.is_file() => return Ok(Some(name.clone())),
            Err(error)
                if !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) =>
            {
                return Err(DatasetError::unreadable(&path)(error));
            }
            // A folder or a pipe under this name is no data file; reading the latter never ends.
            _ => {}
        }
    }
    Ok(None)
}

/// Files in the folder, in those below, and in those below these, such as `MNIST/raw`.
fn files_near(folder: &Path) -> Result<Vec<String>> {
    if !folder.is_dir() {
        let found = if folder.exists() { "a file" } else { "is not there" };
        let what = sniff_file(folder).map_or_else(String::new, |what| format!(": {what}"));
        let problem = format!("{found}, and `data.path` is the folder of the files{what}");
        return Err(DatasetError::unsuitable(folder, problem));
    }
    let (folders, mut files) = folders::entries(folder, "")?;
    for below in folders {
        // One that cannot be read holds nothing.
        let (deeper, found) = folders::entries(folder, &format!("{below}/")).unwrap_or_default();
        files.extend(found);
        for deepest in deeper {
            let found = folders::entries(folder, &format!("{below}/{deepest}/"));
            files.extend(found.unwrap_or_default().1);
        }
    }
    files.retain(|file| folder.join(file).is_file());
    Ok(files)
}

/// What the path of a file of images or labels has before `train`, `t10k` or `test`.
fn set<'a>(file: &'a str, parts: &[&str], of: &str) -> Option<&'a str> {
    let name = file.to_ascii_lowercase().replace(['.', '_'], "-");
    let (before, rest) = name.rsplit_once(&format!("-{of}"))?;
    let is_type = |word: &str| word.starts_with("idx") || ["", "ubyte", "int"].contains(&word);
    let set = parts.iter().find_map(|part| before.strip_suffix(part))?;
    let holds = rest.strip_suffix("-gz").unwrap_or(rest).split('-').all(is_type);
    (holds && (set.is_empty() || set.ends_with(['-', '/']))).then(|| &file[..set.len()])
}

/// The images and labels of the only set that is there, of those nearest to the folder; of the
/// `wanted` one where it is known.
fn one_set(
    folder: &Path,
    files: &[String],
    part: Part,
    wanted: Option<&str>,
) -> Result<Option<Vec<String>>> {
    let parts: &[&str] = if part == Part::Test { &["t10k", "test"] } else { &["train"] };
    let mut sets = BTreeMap::<_, [Option<&String>; 2]>::new();
    for (at, of) in ["images", "labels"].into_iter().enumerate() {
        // Of a plain file and a packed one the plain one is first.
        for file in files.iter().sorted() {
            if let Some(set) = set(file, parts, of).filter(|it| wanted.is_none_or(|set| set == *it))
            {
                sets.entry((set.matches('/').count(), set)).or_default()[at].get_or_insert(file);
            }
        }
    }
    sets.retain(|_, files| files.iter().all(Option::is_some));
    let nearest = sets.keys().next().map(|(depth, _)| *depth);
    let found = sets.iter().filter(|((depth, _), _)| Some(*depth) == nearest).collect_vec();
    match found[..] {
        [] => Ok(None),
        [(_, files)] => Ok(Some(files.iter().copied().flatten().cloned().collect())),
        _ => {
            let images = found.iter().filter_map(|(_, files)| files[0]).collect_vec();
            let problem = format!(
                "holds several data sets: {} (put the files of one into a folder of their own)",
                quoted(&images, ", ")
            );
            Err(DatasetError::unsuitable(folder, problem))
        }
    }
}

/// The files that are there, and of the first of each kind what it is.
fn in_words(folder: &Path, files: &[String]) -> String {
    if files.is_empty() {
        return "; it holds no files".to_owned();
    }
    let named = quoted(&files[..files.len().min(MOST_NAMED)], ", ");
    let more = if files.len() > MOST_NAMED { ", .." } else { "" };
    let kinds = files.iter().take(100).map(|file| (file, sniff_file(&folder.join(file))));
    let kinds = kinds.filter_map(|(file, what)| Some((file, what?)));
    let kinds = kinds.unique_by(|(_, what)| what.clone()).take(MOST_KINDS);
    let kinds = kinds.map(|(file, what)| format!("\n  `{file}`: {what}"));
    format!("; it holds {named}{more}{}", kinds.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes files with these names and contents.
    fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        folder
    }

    fn found(names: &[&str], part: Part) -> Result<Vec<String>, String> {
        let files = names.iter().map(|name| (*name, &[][..])).collect_vec();
        locate(folder(&files).path(), DataKind::Idx, part).map_err(|error| error.to_string())
    }

    #[test]
    fn idx_files_are_found_under_the_names_that_they_are_given() {
        for names in [
            ["train-images-idx3-ubyte", "train-labels-idx1-ubyte.gz"],
            ["train-images.idx3-ubyte", "train-labels.idx1-ubyte"],
            ["MNIST/raw/train-images-idx3-ubyte", "MNIST/raw/train-labels-idx1-ubyte"],
            ["emnist-letters-train-images-idx3-ubyte.gz", "emnist-letters-train-labels-idx1-ubyte"],
            ["qmnist-train-images-idx3-ubyte", "qmnist-train-labels-idx2-int.gz"],
        ] {
            assert_eq!(found(&names, Part::Training).unwrap(), names);
        }
        let both = ["raw/train-images-idx3-ubyte.gz", "raw/train-images-idx3-ubyte"];
        let labels = "raw/train-labels-idx1-ubyte";
        assert_eq!(found(&[both[0], both[1], labels], Part::Training).unwrap(), [both[1], labels]);
    }

    #[test]
    fn one_set_is_not_mixed_with_another() {
        let letters =
            ["gzip/letters-train-images-idx3-ubyte", "gzip/letters-train-labels-idx1-ubyte"];
        let digits = ["gzip/digits-test-images-idx3-ubyte", "gzip/digits-test-labels-idx1-ubyte"];
        let problem = found(&[letters[0], digits[1]], Part::Training).unwrap_err();
        assert!(problem.starts_with("found no `train-images-idx3-ubyte` or"), "{problem}");
        let all = [letters, digits].concat();
        assert_eq!(found(&all, Part::Training).unwrap(), letters);
        let problem = found(&all, Part::Test).unwrap_err();
        assert!(problem.starts_with("found no `t10k-images-idx3-ubyte` or"), "{problem}");
        let own = letters.map(|name| name.replace("train", "test"));
        let all = [&letters[..], &digits, &[&own[0], &own[1]]].concat();
        assert_eq!(found(&all, Part::Test).unwrap(), own);
        let trained = digits.map(|name| name.replace("test", "train"));
        let problem = found(&[letters[0], letters[1], &trained[0], &trained[1]], Part::Training);
        let problem = problem.unwrap_err();
        assert!(
            problem.contains("holds several data sets: `gzip/digits-train-images"),
            "{problem}"
        );
    }

    #[test]
    fn what_lies_there_instead_is_named_and_no_other_data_set_is_offered() {
        let pickle: &[u8] = b"\x80\x02}q\x01";
        let files = folder(&[
            ("cifar-10-batches-py/data_batch_1", pickle),
            ("cifar-10-batches-py/data_batch_2", pickle),
            ("emnist.zip", b"PK\x03\x04"),
            ("train-images-idx3-ubyte", b"version https://git-lfs.github.com/spec/v1\n"),
        ]);
        let missing = |kind| locate(files.path(), kind, Part::Training).unwrap_err().to_string();
        let problem = missing(DataKind::Cifar10);
        for part in [
            "found no `data_batch_1.bin` or `cifar-10-batches-bin/data_batch_1.bin` in `",
            "(`scripts/fetch-data.sh cifar10 ",
            "\n  `cifar-10-batches-py/data_batch_1`: a pickle of Python (CIFAR's binary version is",
            "\n  `emnist.zip`: a zip archive (unpack it;",
            "\n  `train-images-idx3-ubyte`: a pointer of Git LFS",
        ] {
            assert!(problem.contains(part), "{problem}");
        }
        assert!(!problem.contains("\n  `cifar-10-batches-py/data_batch_2`"), "{problem}");
        let problem = missing(DataKind::Idx);
        assert!(problem.starts_with("found no `train-labels-idx1-ubyte` or"), "{problem}");
        assert!(!problem.contains("fetch-data"), "{problem}");
        let of =
            |path: PathBuf| locate(&path, DataKind::Idx, Part::Training).unwrap_err().to_string();
        let problem = of(files.path().join("emnist.zip"));
        assert!(problem.contains("`data.path` is the folder of the files: a zip archive"));
        assert!(of(files.path().join("none")).contains("none`: is not there"));
    }

    #[test]
    fn a_folder_is_no_file() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("train_32x32.mat")).unwrap();
        let error = locate(folder.path(), DataKind::Svhn, Part::Training).unwrap_err();
        assert!(error.to_string().starts_with("found no `train_32x32.mat`"), "{error}");
    }
}

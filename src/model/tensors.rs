//! Files of named tensors, as the trainer writes them.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use safetensors::{Dtype, SafeTensors, serialize, tensor::TensorView};

use crate::regular_file;

pub const WEIGHTS: &str = "weights.safetensors";
pub const PREPROCESSING: &str = "preprocessing.safetensors";

/// In the metadata of weights: after which epoch they are so. A trainer may leave it out.
const EPOCH: &str = "epoch";

#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    #[error("cannot {action} `{}` (see whether it is there and the disk has room)", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error("`{}` {problem} (restore the folder from a copy, or use another)", path.display())]
    Damaged { path: PathBuf, problem: String },
}

impl ModelError {
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, path: path.to_owned(), source }
    }

    pub(super) fn damaged(path: &Path, problem: impl ToString) -> Self {
        Self::Damaged { path: path.to_owned(), problem: problem.to_string() }
    }
}

/// Name, shape, and 32-bit numbers in little-endian order, the last axis the fastest.
pub type NamedTensor = (String, Vec<usize>, Vec<u8>);

/// Replaces a file by one that is whole, as the umask allows others to read it. (The crate's own
/// writer makes files that this user alone can read.)
pub fn write_tensors(
    path: &Path,
    tensors: &[NamedTensor],
    epoch: Option<u32>,
) -> Result<(), ModelError> {
    let views = tensors.iter().map(|(name, shape, bytes)| {
        let view = TensorView::new(Dtype::F32, shape.clone(), bytes);
        (name, view.expect("a tensor has the values of its shape"))
    });
    let words = epoch.map(|epoch| HashMap::from([(EPOCH.to_owned(), epoch.to_string())]));
    let bytes = serialize(views, words).expect("names and shapes can be written as JSON");
    let aside = path.with_extension("unfinished");
    let mut options = File::options();
    options.write(true).create(true).truncate(true);
    let written = regular_file::open(&aside, &options, OFlags::NOFOLLOW)
        .and_then(|mut file| file.write_all(&bytes).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&aside, path))
        .and_then(|()| regular_file::sync_folder(path.parent().unwrap_or(Path::new("."))));
    written.map_err(|error| {
        // A half of it would only take up room, which may be what was missing.
        let _ = fs::remove_file(&aside);
        ModelError::io("write", path)(error)
    })
}

pub(super) type Tensors<'a> = BTreeMap<String, TensorView<'a>>;

/// Reads the bytes of a file that has the tensors of these names and shapes, and of this epoch.
pub(super) fn parse<'a>(
    bytes: &'a [u8],
    path: &Path,
    shapes: &BTreeMap<String, Vec<usize>>,
    epoch: u32,
) -> Result<Tensors<'a>, ModelError> {
    let file = SafeTensors::deserialize(bytes)
        .and_then(|file| Ok((file, SafeTensors::read_metadata(bytes)?.1)));
    let (file, header) = file.map_err(|error| {
        ModelError::damaged(path, format!("is no whole safetensors file: {error}"))
    })?;
    let found = header.metadata().as_ref().and_then(|words| words.get(EPOCH));
    if let Some(found) = found.filter(|found| **found != epoch.to_string()) {
        return Err(ModelError::damaged(path, format!("is of epoch {found}, not of {epoch}")));
    }
    let tensors: Tensors = file.tensors().into_iter().collect();
    let expected = shapes.iter().map(|(name, shape)| (name, Dtype::F32, shape.as_slice()));
    match tensors.iter().map(|(name, one)| (name, one.dtype(), one.shape())).eq(expected) {
        true => Ok(tensors),
        false => {
            let problem = format!("holds other tensors than 32-bit ones of {shapes:?}");
            Err(ModelError::damaged(path, problem))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn tensors() -> [NamedTensor; 2] {
        let tensor = |name: &str, shape: &[usize], values: &[f32]| {
            let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            (name.to_owned(), shape.to_vec(), bytes)
        };
        [tensor("3.bias", &[2], &[0.5, -1.0]), tensor("10.weight", &[1, 2], &[1e-30, 7.0])]
    }

    fn shapes() -> BTreeMap<String, Vec<usize>> {
        tensors().map(|(name, shape, _)| (name, shape)).into()
    }

    #[test]
    fn what_is_written_is_read_back_and_others_may_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(WEIGHTS);
        fs::write(&path, "old").unwrap();
        write_tensors(&path, &tensors(), Some(7)).unwrap();
        let bytes = regular_file::read(&path, 1_000).unwrap();
        let read = parse(&bytes, &path, &shapes(), 7).unwrap();
        for (name, shape, bytes) in tensors() {
            assert_eq!((read[&name].shape(), read[&name].data()), (&shape[..], &bytes[..]));
        }
        let other = folder.path().join("other");
        fs::write(&other, "").unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&path), mode(&other));
        assert_eq!(regular_file::names(folder.path()).unwrap().len(), 2, "nothing is left aside");
    }

    #[test]
    fn a_file_cut_anywhere_of_another_epoch_or_with_other_tensors_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(WEIGHTS);
        write_tensors(&path, &tensors(), Some(7)).unwrap();
        let whole = regular_file::read(&path, 1_000).unwrap();
        let problem = |bytes: &[u8], shapes: &BTreeMap<String, Vec<usize>>, epoch| {
            parse(bytes, &path, shapes, epoch).unwrap_err().to_string()
        };
        for length in 0..whole.len() {
            assert!(problem(&whole[..length], &shapes(), 7).contains("no whole safetensors file"));
        }
        assert!(problem(&whole, &shapes(), 8).contains("is of epoch 7, not of 8"));
        let mut turned = shapes();
        turned.insert("10.weight".to_owned(), vec![2, 1]);
        for wrong in [BTreeMap::new(), turned] {
            assert!(problem(&whole, &wrong, 7).contains("holds other tensors"));
        }
        write_tensors(&path, &tensors(), None).unwrap();
        parse(&regular_file::read(&path, 1_000).unwrap(), &path, &shapes(), 8).unwrap();
    }
}

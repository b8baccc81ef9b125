//! The images in the files of a data set.

use std::path::Path;

use itertools::Itertools;

use super::error::{DatasetError, Result, WrongFile};
use super::images::Part;
use super::labels::labelled;
use super::locate::locate;
use super::npz::Archive;
use super::{DataKind, Images, ValidDataParams, cifar, idx, svhn};
use crate::regular_file;

/// Far more than any data set that a trainer holds in memory.
const MOST_BYTES: u64 = 1 << 37;

/// In the order of the files, those for validation, or extra ones, last where the files say which
/// they are. Every class has an image.
pub fn load_training_images(params: &ValidDataParams) -> Result<Images> {
    let (kind, path) = params.files()?;
    let training = load_part(params, Part::Training)?.expect("the loaders refuse to have none");
    let params = &params.beginning_at(training.first_label);
    let others = match kind {
        _ if params.extra => load_part(params, Part::Extra)?,
        DataKind::Npz => load_part(params, Part::Validation)?,
        _ => None,
    };
    let images = match others {
        Some(extra) if params.extra => training.with_extra(extra),
        Some(validation) => training.with_validation(validation),
        None => Ok(training),
    };
    let images = images.map_err(|problem| DatasetError::damaged(path, problem))?;
    let counts = images.class_counts();
    let Some(class) = counts.iter().position(|&count| count == 0) else { return Ok(images) };
    let found: Vec<_> = counts.iter().positions(|&count| count > 0).collect();
    Err(DatasetError::Unsuitable(format!(
        "no image of class `{class}` of `{}` in `{}`, which has {} classes, {} to {} (is \
         `data.classes` right?)",
        params.classes,
        path.display(),
        found.len(),
        found[0],
        found[found.len() - 1]
    )))
}

/// Says what is missing of the test images, by the names of files and arrays alone.
pub fn find_test_images(params: &ValidDataParams) -> Result<()> {
    let (kind, path) = params.files()?;
    if kind != DataKind::Npz {
        return locate(path, kind, Part::Test).map(drop);
    }
    Archive::open(path, params)?.names(Part::Test).map(drop).ok_or_else(|| no_test_images(path))
}

fn no_test_images(path: &Path) -> DatasetError {
    DatasetError::Unsuitable(format!("`{}` has no test images", path.display()))
}

/// The only reader of test images. Called to answer `evaluate`, after a search, and by nothing
/// else, which `tests/suite/layers.rs` checks.
pub fn load_test_images(params: &ValidDataParams) -> Result<Images> {
    let path = params.files()?.1;
    load_part(params, Part::Test)?.ok_or_else(|| no_test_images(path))
}

/// None where an archive has no arrays of this part.
fn load_part(params: &ValidDataParams, part: Part) -> Result<Option<Images>> {
    match params.files()? {
        (DataKind::Npz, path) => Archive::open(path, params)?.images(part),
        _ => load_files(params, part).map(Some),
    }
}

fn load_files(params: &ValidDataParams, part: Part) -> Result<Images> {
    let (kind, folder) = params.files()?;
    let names = locate(folder, kind, part)?;
    let read = |name: &String| {
        let path = folder.join(name);
        regular_file::read_linked(&path, MOST_BYTES).map_err(DatasetError::unreadable(&path))
    };
    let files = names.iter().map(read).collect::<Result<Vec<_>>>()?;
    let of = |(file, problem): (usize, _)| DatasetError::of(&folder.join(&names[file]), problem);
    let shape = params.shape();
    let (pixels, labels) = match kind {
        DataKind::Idx => idx::parse(&files, shape),
        DataKind::Svhn => svhn::parse(&files[0]).map_err(|problem| (0, problem)),
        DataKind::Cifar10 | DataKind::Cifar100 => {
            return cifar::parse(&files, shape, params.classes as usize).map_err(of);
        }
        DataKind::Images | DataKind::Npz => unreachable!("these are read as arrays"),
    }
    .map_err(of)?;
    labelled(pixels, &labels, part, params)
        .map_err(|problem| of((names.len() - 1, WrongFile::Unsuitable(problem))))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::dataset::idx::tests::{image_file, label_file};
    use crate::dataset::locate::files_of;
    use crate::dataset::svhn::tests::svhn_file;
    use crate::dataset::{DataParams, ImageShape, split};
    use std::fs;

    /// Writes the training files of a small IDX data set: 2x2 pixels, each the index of its image.
    pub(in crate::dataset) fn write_idx(folder: &Path, labels: &[u8]) {
        let pixels: Vec<u8> = (0..labels.len()).flat_map(|index| [index as u8; 4]).collect();
        let images = image_file(labels.len() as u32, 2, &pixels);
        fs::write(folder.join("train-images-idx3-ubyte"), images).unwrap();
        fs::write(folder.join("train-labels-idx1-ubyte"), label_file(labels)).unwrap();
    }

    pub(in crate::dataset) fn params(folder: &Path, yaml: &str) -> ValidDataParams {
        let mut params: DataParams = serde_yaml::from_str(yaml).unwrap();
        params.path = Some(folder.to_owned());
        params.check().unwrap()
    }

    const SMALL_IDX: &str =
        "{kind: idx, path: x, classes: 2, input_size: 2, channels: 1, validation: {images: 4}}";

    #[test]
    fn a_data_set_is_read_and_split() {
        let folder = tempfile::tempdir().unwrap();
        write_idx(folder.path(), &[0, 1, 0, 1, 0, 1, 0, 1]);
        let params = params(folder.path(), SMALL_IDX);
        let images = load_training_images(&params).unwrap();
        let parts = split(&images, &params, 7).unwrap();
        assert_eq!(images.subset(&parts.validation).class_counts(), [2, 2]);
        assert_eq!(images.subset(&parts.training).class_counts(), [2, 2]);
    }

    #[test]
    fn the_test_files_are_not_opened_by_a_search() {
        let folder = tempfile::tempdir().unwrap();
        write_idx(folder.path(), &[0, 1]);
        let params = params(folder.path(), SMALL_IDX);
        fs::write(folder.path().join("t10k-images-idx3-ubyte"), "no IDX").unwrap();
        assert_eq!(load_training_images(&params).unwrap().count(), 2);
    }

    #[test]
    fn test_images_have_files_of_their_own() {
        let folder = tempfile::tempdir().unwrap();
        write_idx(folder.path(), &[0, 1]);
        let idx = params(folder.path(), SMALL_IDX);
        let missing = load_test_images(&idx).unwrap_err().to_string();
        assert!(missing.starts_with("found no `t10k-images-idx3-ubyte` or"), "{missing}");
        let write =
            |name: &str, bytes: Vec<u8>| fs::write(folder.path().join(name), bytes).unwrap();
        write("t10k-images-idx3-ubyte", image_file(3, 2, &[9; 12]));
        write("t10k-labels-idx1-ubyte", label_file(&[1, 1, 1]));
        assert_eq!(load_test_images(&idx).unwrap().labels, [1, 1, 1]);
        assert_eq!(load_training_images(&idx).unwrap().labels, [0, 1]);

        let record = |labels: &[u8]| [labels, &[7; 3072]].concat();
        write("test_batch.bin", record(&[4]));
        write("test.bin", record(&[1, 99]));
        write("test_32x32.mat", svhn_file(&[10.0, 1.0]));
        for (kind, classes, labels) in
            [("cifar10", 10, &[4][..]), ("cifar100", 100, &[99]), ("svhn", 10, &[9, 0])]
        {
            let yaml = format!(
                "{{kind: {kind}, path: x, classes: {classes}, input_size: 32, channels: 3}}"
            );
            let params = params(folder.path(), &yaml);
            assert_eq!(load_test_images(&params).unwrap().labels, labels, "{kind}");
        }
    }

    #[test]
    fn colours_in_an_idx_file_may_come_last_or_first() {
        let folder = tempfile::tempdir().unwrap();
        write_idx(folder.path(), &[0, 1]);
        let colours: Vec<u8> = (0..24).collect();
        let yaml = "{kind: idx, path: x, classes: 2, input_size: 2, channels: 3}";
        let params = params(folder.path(), yaml);
        for (sides, first) in [
            ([2, 2, 3], [0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11]),
            ([3, 2, 2], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]),
        ] {
            let header = [2, sides[0], sides[1], sides[2]].map(u32::to_be_bytes).concat();
            let file = [&[0, 0, 8, 4], &header[..], &colours].concat();
            fs::write(folder.path().join("train-images-idx3-ubyte"), file).unwrap();
            assert_eq!(load_training_images(&params).unwrap().image(0), first);
        }
        let grey = load_training_images(&self::params(folder.path(), SMALL_IDX)).unwrap_err();
        assert!(grey.to_string().contains("images of `3x2x2` values, but"), "{grey}");
    }

    #[test]
    fn a_damaged_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        write_idx(folder.path(), &[0, 1, 2]);
        let error = load_training_images(&params(folder.path(), SMALL_IDX)).unwrap_err();
        let message = error.to_string();
        assert!(message.contains("train-labels-idx1-ubyte`: label `2` of image `2`"), "{message}");
        // The file is whole.
        assert!(matches!(error, DatasetError::Unsuitable(_)));
    }

    #[test]
    fn a_class_without_images_is_named() {
        let folder = tempfile::tempdir().unwrap();
        write_idx(folder.path(), &[0, 0]);
        let error = load_training_images(&params(folder.path(), SMALL_IDX)).unwrap_err();
        let message = error.to_string();
        assert!(message.starts_with("no image of class `1` of `2` in `"), "{message}");
        assert!(message.contains("which has 1 classes, 0 to 0 ("), "{message}");
    }

    #[test]
    fn cifar_is_read_from_the_folder_of_its_archive() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("cifar-10-batches-bin");
        fs::create_dir(&inner).unwrap();
        for batch in 0..5u8 {
            let records =
                [batch * 2, batch * 2 + 1].map(|label| [vec![label], vec![batch; 3072]].concat());
            fs::write(inner.join(format!("data_batch_{}.bin", batch + 1)), records.concat())
                .unwrap();
        }
        let yaml = "{kind: cifar10, path: x, classes: 10, input_size: 32, channels: 3}";
        let images = load_training_images(&params(folder.path(), yaml)).unwrap();
        assert_eq!(images.labels, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
        assert_eq!(images.shape, ImageShape { channels: 3, size: 32 });
        assert_eq!(images.image(9)[0], 4);
    }

    #[test]
    fn svhn_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let digits: Vec<f64> = (1..=10).map(f64::from).collect();
        fs::write(folder.path().join("train_32x32.mat"), svhn_file(&digits)).unwrap();
        let yaml = "{kind: svhn, path: x, classes: 10, input_size: 32, channels: 3}";
        assert_eq!(load_training_images(&params(folder.path(), yaml)).unwrap().count(), 10);
    }

    #[test]
    fn extra_images_of_svhn_train_and_change_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let digits: Vec<f64> = (0..60).map(|index| f64::from(index % 10 + 1)).collect();
        fs::write(folder.path().join("train_32x32.mat"), svhn_file(&digits)).unwrap();
        let with = |rest: &str| {
            let yaml = "kind: svhn, path: x, classes: 10, input_size: 32, channels: 3";
            let params = params(folder.path(), &format!("{{{yaml}, {rest}}}"));
            let images = load_training_images(&params)?;
            let names = files_of(&params, Part::Training)?.1;
            Ok::<_, DatasetError>((split(&images, &params, 3)?, images, names))
        };
        let problem = with("extra: true").unwrap_err().to_string();
        assert!(problem.contains("found no `extra_32x32.mat` in"), "{problem}");
        assert!(problem.contains("scripts/fetch-data.sh svhn-extra"), "{problem}");
        fs::write(folder.path().join("extra_32x32.mat"), svhn_file(&[4.0, 10.0, 4.0])).unwrap();
        for validation in ["null", "20", "0"] {
            let part = format!("validation: {{images: {validation}}}");
            let (own, ..) = with(&part).unwrap();
            let (mut both, images, names) = with(&format!("{part}, extra: true")).unwrap();
            assert_eq!(both.validation, own.validation);
            both.training.sort_unstable();
            let mut expected = [own.training, vec![60, 61, 62]].concat();
            expected.sort_unstable();
            assert_eq!((both.training, &images.labels[60..]), (expected, &[3, 9, 3][..]));
            assert_eq!(names, ["train_32x32.mat", "extra_32x32.mat"]);
        }
    }
}

//! What can be wrong with a data set or its configuration.

use std::io;
use std::path::PathBuf;

use super::DataKind;
use crate::invalid::Invalid;

/// A data set that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DatasetError {
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// Images are wanted, but the configuration names none.
    #[error("no images are configured (set `data.kind` and `data.path`)")]
    NoFiles,
    /// A file is not there under any of its names.
    #[error("found no {} in `{}` ({})", quoted(names, " or "), folder.display(), fetch_hint(*kind, folder))]
    Missing {
        /// Where it was looked for.
        folder: PathBuf,
        /// The names that were looked for.
        names: &'static [&'static str],
        /// The format.
        kind: DataKind,
    },
    /// A file cannot be read.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file does not hold what it should.
    #[error("`{}`: {defect}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        defect: FileDefect,
    },
    /// The training files lack a class.
    #[error("no image of class `{class}` of `{classes}` in `{}` (is `data.classes` right?)", folder.display())]
    ClassWithoutImages {
        /// The folder of the files.
        folder: PathBuf,
        /// The first class without images.
        class: usize,
        /// The number of classes.
        classes: usize,
    },
    /// There are fewer images than the configuration asks for.
    #[error("`{validation}` images{} for validation and at least `{training}` to train with are \
             asked for, but there are `{available}` (lower `data.validation.images` or \
             `data.training_images`)", of_class(*class))]
    TooFewImages {
        /// Images asked for, for validation.
        validation: usize,
        /// Images asked for to train with.
        training: usize,
        /// Images in the training files.
        available: usize,
        /// The class that lacks them, when the numbers are for one class.
        class: Option<usize>,
    },
    /// No image of a class would train.
    #[error(
        "the split leaves no image of class `{class}` to train with (lower `data.validation.images` or raise `data.training_images`)"
    )]
    NothingToTrain {
        /// The first such class.
        class: usize,
    },
    /// No image of a class would judge: networks that never answer it would lose nothing.
    #[error(
        "the split leaves no image of class `{class}`, which has `{available}`, among the `{validation}` for validation ({}, or take the same number of every class: `data.validation.method: balanced`, with `data.training_images`)",
        least.map_or("lower `data.classes` or add images".to_owned(), |least| format!("raise `data.validation.images` to at least {least}"))
    )]
    NothingToValidate {
        /// The first such class.
        class: usize,
        /// Its images.
        available: usize,
        /// Images asked for, for validation.
        validation: usize,
        /// The fewest images for validation that leave every class in both parts, if any number does.
        least: Option<usize>,
    },
    /// A class cannot be in both parts.
    #[error(
        "class `{class}` has a single image, but a class needs at least 2, one to train with and one for validation (add images, or leave the class out)"
    )]
    SingleImage {
        /// The first such class.
        class: usize,
    },
    /// Other files than those of the fingerprint would be read.
    #[error("the training files in `{}` are now {}, but were {} when the experiment was created \
             (restore them)", folder.display(), quoted(found, ", "), quoted(expected, ", "))]
    OtherFiles {
        /// The folder of the files.
        folder: PathBuf,
        /// Their names now.
        found: Vec<String>,
        /// Their names in the fingerprint.
        expected: Vec<String>,
    },
    /// A file has another size than its fingerprint.
    #[error("`{}` has `{found}` bytes, but had `{expected}` when the experiment was created \
             (restore it)", path.display())]
    OtherSize {
        /// The file.
        path: PathBuf,
        /// Its size now.
        found: u64,
        /// Its size in the fingerprint.
        expected: u64,
    },
    /// A file has other bytes than its fingerprint.
    #[error("`{}` has changed since the experiment was created: its sha256 is `{found}`, was \
             `{expected}` (restore it)", path.display())]
    OtherBytes {
        /// The file.
        path: PathBuf,
        /// Its digest now.
        found: String,
        /// Its digest in the fingerprint.
        expected: String,
    },
}

/// What is wrong with the bytes of a file.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum FileDefect {
    /// The file ends early.
    #[error("truncated: `{found}` of `{expected}` bytes are there (fetch it again)")]
    Truncated {
        /// Bytes that should follow.
        expected: u64,
        /// Bytes that do.
        found: u64,
    },
    /// Compressed data promise more than images could have been packed to.
    #[error(
        "its `{packed}` packed bytes promise `{promised}`, too many to be images (unpack it if they are)"
    )]
    Promise {
        /// Bytes that it says it holds.
        promised: u64,
        /// Bytes that are there, packed.
        packed: usize,
    },
    /// The compressed data are damaged.
    #[error("damaged compressed data (fetch it again)")]
    Corrupt,
    /// Something follows the end of the data.
    #[error("bytes follow the end of the data (fetch it again)")]
    TrailingBytes,
    /// The first four bytes are those of another format.
    #[error("starts with `{found:#010x}`, but IDX {what} start with `{expected:#010x}`")]
    WrongMagic {
        /// What the file should hold.
        what: &'static str,
        /// The first four bytes it should have.
        expected: u32,
        /// The first four bytes it has.
        found: u32,
    },
    /// The images have another size than configured.
    #[error("images of `{rows}x{columns}` pixels, but `data.input_size` is `{expected}`")]
    ImageSize {
        /// Height in the file.
        rows: u32,
        /// Width in the file.
        columns: u32,
        /// Height and width of the configuration.
        expected: usize,
    },
    /// There is no image.
    #[error("no images")]
    NoImages,
    /// The file does not consist of whole records.
    #[error(
        "`{bytes}` bytes are not a whole number of records of `{record}` bytes (fetch it again)"
    )]
    PartialRecord {
        /// Size of the file.
        bytes: usize,
        /// Size of a record.
        record: usize,
    },
    /// A batch of CIFAR-10 is not as large as the first.
    #[error("`{found}` images, but the first batch has `{expected}` (fetch it again)")]
    BatchCount {
        /// Images of this batch.
        found: usize,
        /// Images of the first batch.
        expected: usize,
    },
    /// There is not one label for each image.
    #[error("`{labels}` labels for `{images}` images")]
    CountsDiffer {
        /// Number of images.
        images: usize,
        /// Number of labels.
        labels: usize,
    },
    /// A label is no class.
    #[error("label `{label}` of image `{index}` is outside the `{classes}` classes")]
    LabelOutOfRange {
        /// Index of the image, from 0.
        index: usize,
        /// The label as stored.
        label: f64,
        /// The number of classes.
        classes: usize,
    },
    /// No MAT-file of level 5.
    #[error("no MATLAB file of level 5")]
    NotMatlab,
    /// A MAT-file of level 7.3, which is HDF5.
    #[error("a MATLAB file of version 7.3 (save it with `-v7`)")]
    Matlab73,
    /// A MAT-file of a big-endian machine.
    #[error("a MATLAB file of a big-endian machine (save it again on another)")]
    BigEndian,
    /// An element of a MAT-file is not of the type that belongs there.
    #[error("MATLAB element of type `{found}` where {expected} belongs")]
    Element {
        /// What belongs there.
        expected: &'static str,
        /// The type code found.
        found: u32,
    },
    /// An element of a MAT-file has an impossible size.
    #[error("MATLAB element of `{bytes}` bytes where {expected} belongs")]
    ElementSize {
        /// What belongs there.
        expected: &'static str,
        /// The size found.
        bytes: u32,
    },
    /// A MAT-file lacks a variable.
    #[error("no variable `{0}`")]
    NoVariable(&'static str),
    /// A variable of a MAT-file has another shape than it should.
    #[error("variable `{name}` has the shape `{}`, must be {expected}", times(found))]
    VariableShape {
        /// The variable.
        name: &'static str,
        /// The shape found.
        found: Vec<u32>,
        /// The shape wanted, in words.
        expected: String,
    },
}

impl FileDefect {
    /// Says which file has the defect.
    pub(super) fn at(self, path: &std::path::Path) -> DatasetError {
        DatasetError::File { path: path.to_owned(), defect: self }
    }
}

impl DatasetError {
    /// Whether the bytes of a file are not what they should be, whatever the configuration says.
    pub const fn is_damage(&self) -> bool {
        matches!(self, Self::File { .. } | Self::OtherSize { .. } | Self::OtherBytes { .. })
    }
}

fn quoted(names: &[impl AsRef<str>], separator: &str) -> String {
    let quoted: Vec<_> = names.iter().map(|name| format!("`{}`", name.as_ref())).collect();
    quoted.join(separator)
}

fn times(dimensions: &[u32]) -> String {
    let numbers: Vec<_> = dimensions.iter().map(u32::to_string).collect();
    numbers.join("x")
}

fn of_class(class: Option<usize>) -> String {
    class.map_or_else(String::new, |class| format!(" of class `{class}`"))
}

fn fetch_hint(kind: DataKind, folder: &std::path::Path) -> String {
    let name = match kind {
        DataKind::Idx => "fashion-mnist",
        DataKind::Cifar10 => "cifar10",
        DataKind::Cifar100 => "cifar100",
        DataKind::Svhn => "svhn",
    };
    let also = if kind == DataKind::Idx { ", or with `mnist` that one" } else { "" };
    format!("`scripts/fetch-data.sh {name} {}` fetches it{also}", folder.display())
}

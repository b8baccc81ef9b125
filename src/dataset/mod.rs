//! Images and labels from files, checked, split and described by numbers. No tensors here.
//!
//! The way of the data: [`DataParams`] (the `data:` section of a configuration) are checked once
//! into [`ValidDataParams`]; [`load_training_images`] reads the files of the training part into
//! [`Images`]; [`split()`] sets a validation part aside; [`Normalisation::fit`] takes its statistics
//! from the images that train and from no others. [`load_training_data`] is these steps in a row,
//! what a trainer wants before its first network.
//!
//! * A search never reads test data: only [`load_test_images`] opens the test files, for the
//!   networks that a search has ended with.
//! * `init` calls [`load_training_data`] to refuse bad data before any work, and keeps a
//!   [`Fingerprint`] so that a later task notices other files under the same names.
//! * Files are not trusted: whatever their bytes, reading them ends in images or in a
//!   [`DatasetError`] that names the file, never in a panic, and never takes more memory than a
//!   small multiple of what the file really holds.
//!
//! The room knows nothing of networks, devices or experiments; it uses `seed` and nothing else.

mod bounded_read;
mod cifar;
mod error;
mod fingerprint;
mod idx;
mod images;
mod load;
mod matlab;
mod params;
mod preprocess;
mod source_file;
mod split;
mod svhn;

pub use error::{DatasetError, FileDefect};
pub use fingerprint::{FileDigest, Fingerprint};
pub use images::{ImageShape, Images};
pub use load::{TrainingData, load_test_images, load_training_data, load_training_images};
pub use params::{
    AugmentParams, DataKind, DataParams, Preprocess, SplitMethod, ValidDataParams, ValidationParams,
};
pub use preprocess::{LOCAL_FLOOR, LOCAL_KERNEL_SIZE, Normalisation, gaussian_kernel};
pub use split::{Split, split};

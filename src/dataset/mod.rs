//! Images and labels from files, checked, split and described by numbers. No tensors here.
//!
//! * `params`: [`DataParams`], the `data:` section, checked once into [`ValidDataParams`];
//! * `load`: [`load_training_data`], all steps in a row: files, split, statistics;
//! * `source_file`: which files a data set has, found and read;
//! * `idx`, `cifar`, `svhn` (in `matlab` files): the formats; `bounded_read`: reading untrusted
//!   headers;
//! * `images`: [`Images`] in memory;
//! * `split`: the validation part, [`Split`];
//! * `preprocess`: [`Normalisation`], with the statistics of the images that train and no others;
//! * `fingerprint`: [`Fingerprint`], kept by `init`, shows a later task other files under the same
//!   names.
//!
//! A search never reads test data: no name of a test file stands here. Files are not trusted:
//! whatever their bytes, reading them ends in images or in a [`DatasetError`] that names the file,
//! never in a panic, and never takes more memory than a small multiple of what the file holds.
//!
//! Used by `config`, `ops` and the trainer; knows nothing of networks, devices or experiments.

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

pub use error::DatasetError;
pub use fingerprint::{FileDigest, Fingerprint};
pub use images::{ImageShape, Images};
pub use load::{TrainingData, load_training_data, load_training_images};
pub use params::{
    AugmentParams, DataKind, DataParams, Preprocess, SplitMethod, ValidDataParams, ValidationParams,
};
pub use preprocess::{LOCAL_FLOOR, LOCAL_KERNEL_SIZE, Normalisation, gaussian_kernel};
pub use split::{Split, split};

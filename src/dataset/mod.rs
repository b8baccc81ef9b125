//! Images and labels from files, checked and split. No tensors here.
//!
//! In reading order: `params` ([`DataParams`], checked into [`ValidDataParams`]), `load`
//! ([`load_training_images`]), `idx`, `cifar`, `svhn` (in `matlab` files) and `bounded_read`
//! (untrusted headers), `images` ([`Images`]), `split` ([`Split`]), `fingerprint` ([`Fingerprint`],
//! kept by `init`). A parser's error is the number of the damaged file and what is wrong with it.
//!
//! A search never reads test data: no name of a test file stands here. Files are not trusted:
//! whatever their bytes, reading them ends in images or in a [`DatasetError`] that names the file,
//! never in a panic, and never takes more memory than a small multiple of what the file holds.

mod bounded_read;
mod cifar;
mod error;
mod fingerprint;
mod idx;
mod images;
mod load;
mod matlab;
mod params;
mod split;
mod svhn;

pub use error::DatasetError;
pub use fingerprint::{FileDigest, Fingerprint};
pub use images::{ImageShape, Images};
pub use load::load_training_images;
pub use params::{
    AugmentParams, DataKind, DataParams, Preprocess, SplitMethod, ValidDataParams, ValidationParams,
};
pub use split::{Split, split};

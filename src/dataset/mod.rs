//! Images and labels from files, checked and split. No tensors here.
//!
//! In reading order: `params` ([`DataParams`], checked into [`ValidDataParams`]), `load`
//! ([`load_training_images`]), `locate` (the files), `idx`, `cifar`, `svhn` (in `matlab` files),
//! `npz` and `bounded_read` (untrusted headers), `labels` (numbers as classes), `sniff` (what a
//! file is instead), `images` ([`Images`]), `split` ([`Split`]), `fingerprint` ([`Fingerprint`],
//! kept by `init`). Pictures: `folders` (which there are), `picture` (decoding one), `resize`,
//! `near` (copies), `given` (to be classified), `pictures` (their list, and the cache, an `.npz`
//! file like any other). A parser's error is the number of the file and what is wrong with it.
//!
//! A search never reads test images: [`load_test_images`] alone does, and it has one caller. Files
//! are not trusted: whatever their bytes, reading them ends in images or in a [`DatasetError`] that
//! names the file, never in a panic, and never takes more memory than a small multiple of what the
//! file holds, of a packed one unpacked, which is bounded, of a picture what its 100 megapixels
//! need.

mod bounded_read;
mod cifar;
mod error;
mod fingerprint;
mod folders;
mod given;
mod idx;
mod images;
mod labels;
mod load;
mod locate;
mod matlab;
mod near;
mod npz;
mod params;
mod picture;
mod pictures;
mod resize;
mod sniff;
mod split;
mod svhn;

pub use error::DatasetError;
pub use fingerprint::{FileDigest, Fingerprint};
pub use given::{GivenImages, read_given};
pub use images::{BYTES, ImageShape, Images, Part, Pixels, ValueRange};
pub use load::{find_test_images, load_test_images, load_training_images};
pub use npz::{Array, read as read_array, write as write_arrays};
pub use params::{
    AugmentParams, DataKind, DataParams, Preprocess, SplitMethod, ValidDataParams, ValidationParams,
};
pub use pictures::{FoundPictures, find_pictures, prepare_pictures, restore_pictures};
pub use resize::Resize;
pub use split::{Split, split};

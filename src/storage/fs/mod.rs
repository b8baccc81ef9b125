//! Files of a shared file system: publishing, locks, direct reads, checksums, times.

pub(crate) mod checked_files;
pub(crate) mod checksum;
pub(crate) mod direct_io;
pub(crate) mod lock;
pub(crate) mod mount;
pub mod publish;
pub(crate) mod time;
pub(crate) mod trust;
pub mod yaml;

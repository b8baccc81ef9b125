//! What shared file systems ask for.
//!
//! * `publish.rs`: files that appear whole and once, by link or rename
//! * `lock.rs`, `direct_io.rs`: the lock of a file, and reads past the page cache under it
//! * `mount.rs`: whether locks reach other machines, and what room is left
//! * `permissions.rs`: who else may write
//! * `time.rs`, `yaml.rs`, `sealed.rs`: points in time and YAML as files hold them, with a checksum

pub(crate) mod direct_io;
pub(crate) mod lock;
pub(crate) mod mount;
pub(crate) mod permissions;
pub mod publish;
pub mod sealed;
pub(crate) mod time;
pub mod yaml;

//! The file system of a path: whether its locks exclude other machines, and what room it has left.
//!
//! NFS with `nolock` or `local_lock`, Lustre with `localflock`, sshfs, 9p and virtiofs answer every
//! lock and keep it to this machine: two machines would both hold the log. On cifs a failed try
//! from the holder's own machine frees the lock on the server. All of them are refused, unless only
//! this machine works on the experiment.

use std::fs;
use std::path::{Path, PathBuf};

use crate::regular_file::{self, LARGE};
use crate::storage::error::{Result, StorageError};

pub fn check_locks_of_mount(path: &Path) -> Result<()> {
    MountPoint::of(path)?.map_or(Ok(()), |mount| mount.check_locks(path))
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountPoint {
    pub point: PathBuf,
    /// `nfs4`, `lustre`, `ext4`.
    pub file_system: String,
    /// Options of the mount, then those of the file system.
    pub options: Vec<String>,
}

impl MountPoint {
    /// The mount that a path lies on; `None` where the kernel does not say.
    pub fn of(path: &Path) -> Result<Option<Self>> {
        let Ok(mounts) = regular_file::read_linked(Path::new("/proc/self/mountinfo"), LARGE) else {
            return Ok(None);
        };
        let path = fs::canonicalize(path).map_err(StorageError::io("find", path))?;
        Ok(mount_of(&String::from_utf8_lossy(&mounts), &path))
    }

    /// `36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue` (proc(5)):
    /// the fifth field is the mount point, any number of fields stands before the hyphen.
    fn parse(line: &str) -> Option<Self> {
        let (mount, file_system) = line.split_once(" - ")?;
        let mut fields = mount.split(' ').skip(4);
        // The kernel writes these four as octal digits.
        let point = fields.next()?.replace("\\040", " ").replace("\\011", "\t");
        let point = point.replace("\\012", "\n").replace("\\134", "\\").into();
        let of_mount = fields.next()?.split(',');
        let mut fields = file_system.split(' ');
        let kind = fields.next()?.to_owned();
        let options = of_mount.chain(fields.nth(1)?.split(',')).map(str::to_owned);
        Some(Self { point, file_system: kind, options: options.collect() })
    }

    /// Refuses to work at `path`, which lies on it, where its locks do not reach other machines.
    pub fn check_locks(&self, path: &Path) -> Result<()> {
        let Some(why) = self.node_local() else { return Ok(()) };
        let problem = format!(
            "lies on a file system that {why}: its locks do not reach other machines (put the \
             experiment on another, such as NFS 4 without `nolock`, Lustre mounted with `flock`, \
             GPFS; or, if only this machine works on it, `metaqnn run`, or `--single-node`)"
        );
        Err(StorageError::Unsafe { path: path.to_owned(), problem })
    }

    /// What keeps locks to this machine, if anything does.
    pub fn node_local(&self) -> Option<String> {
        let kind = self.file_system.strip_prefix("fuse.").unwrap_or(&self.file_system);
        if matches!(kind, "cifs" | "smb3" | "smbfs" | "sshfs" | "9p" | "virtiofs") {
            return Some(format!("is {kind}"));
        }
        let local = ["nolock", "localflock", "local_lock=flock", "local_lock=all"];
        let option = self.options.iter().find(|option| local.contains(&option.as_str()))?;
        Some(format!("is mounted with `{option}`"))
    }
}

/// The mount with the longest mount point, and of equal ones the last, which hides the others.
fn mount_of(mounts: &str, path: &Path) -> Option<MountPoint> {
    let lying = mounts.lines().filter_map(MountPoint::parse);
    lying
        .filter(|mount| path.starts_with(&mount.point))
        .max_by_key(|mount| mount.point.components().count())
}

/// What is free without privileges; quotas are not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskSpace {
    pub bytes: u64,
    /// `None` where the file system makes room for them as it goes.
    pub inodes: Option<u64>,
}

impl DiskSpace {
    pub fn of(path: &Path) -> Result<Self> {
        let stat = rustix::fs::statvfs(path)
            .map_err(|error| StorageError::io("look at the file system of", path)(error.into()))?;
        let inodes = (stat.f_files > 0).then_some(stat.f_favail);
        Ok(Self { bytes: stat.f_bavail.saturating_mul(stat.f_frsize), inodes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MOUNTS: &str = "\
22 1 0:20 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 0:40 / /mnt/a rw,relatime shared:20 - nfs4 srv:/a rw,vers=4.2,local_lock=none,addr=10.0.0.1
31 22 0:41 / /mnt/b rw,relatime - nfs srv:/b rw,vers=3,nolock,local_lock=all,addr=10.0.0.1
32 22 0:42 / /mnt/b/posix rw - nfs srv:/c rw,vers=3,local_lock=posix
33 22 0:43 / /mnt/two\\040words rw - lustre mds@tcp:/scratch rw,localflock
34 22 0:44 / /mnt/a rw - lustre mds@tcp:/home rw,flock
35 22 0:45 / /mnt/c rw,relatime - cifs //srv/share rw,vers=3.1.1,cache=strict,addr=10.0.0.1
36 22 0:46 / /mnt/d rw,relatime - smb3 //srv/share rw,vers=3.1.1
37 22 0:47 / /mnt/e rw,nosuid,nodev - fuse.sshfs me@srv: rw,user_id=0,group_id=0,allow_other
38 22 0:48 / /mnt/f rw,relatime - 9p share rw,trans=virtio
39 22 0:49 / /mnt/g rw,relatime - virtiofs share rw
40 22 0:50 / /mnt/h rw,relatime - fuse.glusterfs srv:v rw,user_id=0,group_id=0,max_read=131072
";

    fn mount(path: &str) -> MountPoint {
        mount_of(MOUNTS, Path::new(path)).unwrap()
    }

    fn why(path: &str) -> Option<String> {
        mount(path).node_local()
    }

    #[test]
    fn locks_kept_to_one_machine_are_found() {
        assert_eq!(why("/home/x"), None);
        assert_eq!(why("/mnt/b/experiment").as_deref(), Some("is mounted with `nolock`"));
        assert_eq!(why("/mnt/bc"), None);
        assert_eq!(why("/mnt/b/posix/experiment"), None);
        assert_eq!(why("/mnt/two words").as_deref(), Some("is mounted with `localflock`"));
        let kinds = ["c", "d", "e", "f", "g", "h"].map(|name| why(&format!("/mnt/{name}/x")));
        let refused = ["cifs", "smb3", "sshfs", "9p", "virtiofs"].map(|kind| format!("is {kind}"));
        assert_eq!(kinds, [refused.map(Some).as_slice(), &[None]].concat()[..]);
    }

    #[test]
    fn a_later_mount_hides_an_earlier_one() {
        let mount = mount("/mnt/a/x");
        assert_eq!(mount.file_system, "lustre");
        assert_eq!(mount.options, ["rw", "rw", "flock"]);
    }

    #[test]
    fn an_ordinary_folder_is_fine() {
        let folder = tempfile::tempdir().unwrap();
        check_locks_of_mount(folder.path()).unwrap();
    }

    #[test]
    fn a_folder_has_room_and_a_missing_one_is_named() {
        let folder = tempfile::tempdir().unwrap();
        assert!(DiskSpace::of(folder.path()).unwrap().bytes > 0);
        let error = DiskSpace::of(&folder.path().join("none")).unwrap_err().to_string();
        assert!(error.contains("none"), "{error}");
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in "[\\\\0-9a-z /,\n-]{0,80}") {
            let _ = mount_of(&text, Path::new("/a/b"));
        }
    }
}

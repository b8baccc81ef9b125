//! The file system that an experiment lies on, as one machine sees it.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::OFlags;

use crate::ops::Experiment;
use crate::ops::doctor::check::Check;
use crate::regular_file::{self, SMALL};
use crate::storage::{DiskSpace, MountPoint, WritableReplayLog};

/// Name of what is said of the mount.
pub(crate) const MOUNT: &str = "mount";

/// Examines how the file system is mounted and what room there is.
pub(crate) fn examine(path: &Path) -> Vec<Check> {
    let mount = match MountPoint::of(path) {
        Ok(Some(mount)) if mount.file_system == "nfs4" && takes_lost_locks_again() => {
            let seen = "NFS takes a lock again that it lost (`nfs.recover_lost_locks=1`)";
            let remedy = "set it to 0: a machine that stood still may write over others' rows";
            Check::failure(MOUNT, seen, remedy)
        }
        Ok(Some(mount)) => mount_check(&mount),
        Ok(None) => Check::warning(MOUNT, "its options are not to be read", "see `mount` by hand"),
        Err(error) => Check::failure(MOUNT, format!("{error:#}"), ""),
    };
    let space = match DiskSpace::of(path) {
        Ok(space) => space_check("space", space),
        Err(error) => Check::failure("space", format!("{error:#}"), ""),
    };
    vec![mount, space]
}

/// Examines whether this user may do with an experiment what every task does: append to its log, and write beside it.
pub(crate) fn access_check(experiment: &Experiment) -> Check {
    const NAME: &str = "access";
    let dir = experiment.dir();
    let log = WritableReplayLog::open(dir).map(drop);
    match log.and_then(|()| dir.check_access()) {
        Ok(()) => Check::ok(NAME, "this user may append to the log, and write beside it"),
        Err(error) => {
            let remedy = "whoever runs tasks or commands must be allowed to";
            Check::failure(NAME, format!("{:#}", anyhow::Error::from(error)), remedy)
        }
    }
}

/// File systems that lie on the disks or in the memory of one machine.
const OF_ONE_MACHINE: [&str; 7] = ["ext2", "ext3", "ext4", "xfs", "btrfs", "tmpfs", "overlay"];

/// Examines the place outside of the experiment that keeps its checkpoints.
pub(crate) fn scratch_checks(experiment: &Experiment) -> Vec<Check> {
    const NAME: &str = "checkpoints";
    let Some(folder) = experiment.dir().scratch() else { return Vec::new() };
    let place = folder.display();
    if let Err(error) = experiment.dir().make_scratch(experiment.trust()) {
        let remedy = "every node must see it, and this user write there: `metaqnn set DIR training.checkpoint_dir=...`";
        return vec![Check::failure(
            NAME,
            format!("`{place}`: {:#}", anyhow::Error::from(error)),
            remedy,
        )];
    }
    let seen = match MountPoint::of(folder) {
        Ok(Some(mount)) if OF_ONE_MACHINE.contains(&mount.file_system.as_str()) => {
            let seen = format!(
                "`{place}` lies on {}, which may be of this machine alone",
                mount.file_system
            );
            let remedy =
                "where other nodes do not see it, a requeued task trains from the beginning";
            Check::warning(NAME, seen, remedy)
        }
        Ok(Some(mount)) => Check::ok(NAME, format!("`{place}` on {}", mount.file_system)),
        Ok(None) | Err(_) => Check::ok(NAME, format!("`{place}`")),
    };
    let space = DiskSpace::of(folder).map_or_else(
        |error| Check::failure(NAME, format!("{error:#}"), ""),
        |space| space_check(NAME, space),
    );
    vec![seen, space]
}

/// Whether this machine goes on writing after its NFS server has given its lock to another.
fn takes_lost_locks_again() -> bool {
    let path = Path::new("/sys/module/nfs/parameters/recover_lost_locks");
    regular_file::read(path, SMALL).is_ok_and(|value| value.trim_ascii() == b"Y")
}

fn mount_check(mount: &MountPoint) -> Check {
    let seen = format!(
        "{} at `{}` ({})",
        mount.file_system,
        mount.point.display(),
        mount.options.join(",")
    );
    let has = |option: &str| mount.options.iter().any(|other| other == option);
    if has("ro") {
        return Check::failure(MOUNT, seen, "it is mounted for reading only: choose another");
    }
    if let Some(why) = mount.node_local() {
        let remedy = format!(
            "it {why}, which keeps locks to one machine: put experiments on another file system, such as NFS 4 without \
             `nolock`, Lustre mounted with `flock`, GPFS; or search on one machine with `--single-node`"
        );
        return Check::failure(MOUNT, seen, remedy);
    }
    if mount.file_system == "lustre" && !has("flock") {
        return Check::failure(MOUNT, seen, "Lustre has no locks unless mounted with `flock`");
    }
    if mount.file_system.starts_with("nfs") && has("soft") {
        let remedy = "`soft` gives up a write when the server is slow: mount it with `hard`";
        return Check::warning(MOUNT, seen, remedy);
    }
    Check::ok(MOUNT, seen)
}

const MIB: u64 = 1 << 20;

fn space_check(name: &'static str, space: DiskSpace) -> Check {
    let inodes = space
        .inodes
        .map_or_else(|| "no limit on files".to_owned(), |inodes| format!("{inodes} files"));
    let seen = format!("{} MiB and {inodes} are free", space.bytes / MIB);
    let remedy = "make room, or have the quota raised: a network takes a curve of a few KiB, checkpoints take megabytes";
    let inodes = space.inodes.unwrap_or(u64::MAX);
    if space.bytes < 16 * MIB || inodes < 100 {
        Check::failure(name, seen, remedy)
    } else if space.bytes < 1024 * MIB || inodes < 10_000 {
        Check::warning(name, seen, remedy)
    } else {
        Check::ok(name, seen)
    }
}

/// How often a write is synced.
const SYNCS: usize = 15;
/// Bytes that must be written, which a quota may not allow though the file system has room.
const BYTES: usize = 4 << 20;

/// Writes into a folder of its own, and tells how long a sync takes.
pub(crate) fn sync_check(folder: &Path, name: &str) -> Check {
    let path = folder.join(name);
    match sync_times(&path) {
        Ok(mut times) => {
            times.sort_unstable();
            let median = times[times.len() / 2].as_secs_f64() * 1e3;
            let longest = times[times.len() - 1].as_secs_f64() * 1e3;
            let seen = format!("500 bytes are synced in {median:.1} ms, {longest:.0} ms at most");
            if median < 50.0 {
                Check::ok("sync", seen)
            } else {
                let remedy = "fewer tasks at once, or a faster file system: a claim syncs once, under the lock that all share";
                Check::warning("sync", seen, remedy)
            }
        }
        Err(error) => {
            let seen = format!("`{}` cannot be written and synced: {error}", path.display());
            Check::failure("sync", seen, "see quota and permissions")
        }
    }
}

fn sync_times(path: &Path) -> std::io::Result<Vec<Duration>> {
    let options = File::options().write(true).create(true).truncate(true).clone();
    let mut file = regular_file::open(path, &options, OFlags::NOFOLLOW)?;
    file.write_all(&vec![b'x'; BYTES])?;
    file.sync_all()?;
    (0..SYNCS)
        .map(|_| {
            file.write_all(&[b'x'; 500])?;
            let began = Instant::now();
            file.sync_data()?;
            Ok(began.elapsed())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::doctor::check::Verdict;

    fn mount(file_system: &str, options: &[&str]) -> Verdict {
        mount_check(&MountPoint {
            point: "/mnt".into(),
            file_system: file_system.to_owned(),
            options: options.iter().map(|&option| option.to_owned()).collect(),
        })
        .verdict
    }

    #[test]
    fn mounts_without_shared_locks_fail() {
        assert_eq!(mount("nfs4", &["rw", "vers=4.2", "hard", "local_lock=none"]), Verdict::Ok);
        assert_eq!(mount("nfs", &["rw", "nolock", "local_lock=all"]), Verdict::Failure);
        assert_eq!(mount("nfs", &["rw", "soft"]), Verdict::Warning);
        assert_eq!(mount("lustre", &["rw", "flock"]), Verdict::Ok);
        assert_eq!(mount("lustre", &["rw", "localflock"]), Verdict::Failure);
        assert_eq!(mount("lustre", &["rw"]), Verdict::Failure);
        assert_eq!(mount("ext4", &["ro"]), Verdict::Failure);
        assert_eq!(mount("fuse.glusterfs", &["rw"]), Verdict::Ok);
        for kind in ["cifs", "smb3", "fuse.sshfs", "9p", "virtiofs"] {
            assert_eq!(mount(kind, &["rw"]), Verdict::Failure, "{kind}");
        }
    }

    #[test]
    fn little_room_is_told() {
        let verdict = |bytes, inodes| space_check("space", DiskSpace { bytes, inodes }).verdict;
        assert_eq!(verdict(1 << 40, None), Verdict::Ok);
        assert_eq!(verdict(1 << 40, Some(5_000)), Verdict::Warning);
        assert_eq!(verdict(1 << 29, Some(1 << 20)), Verdict::Warning);
        assert_eq!(verdict(1 << 20, Some(1 << 20)), Verdict::Failure);
        assert_eq!(verdict(1 << 40, Some(0)), Verdict::Failure);
    }

    #[test]
    fn a_folder_that_cannot_be_written_fails() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(sync_check(folder.path(), "probe").verdict, Verdict::Ok);
        assert_eq!(sync_check(&folder.path().join("none"), "probe").verdict, Verdict::Failure);
    }
}

//! The file system that an experiment lies on, as one machine sees it.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::Instant;

use rustix::fs::OFlags;

use crate::ops::Experiment;
use crate::ops::doctor::check::{Check, Health};
use crate::regular_file::{self, SMALL};
use crate::storage::{DiskSpace, MountPoint, WritableReplayLog};

pub(crate) fn examine(path: &Path) -> Vec<Check> {
    let mount = match MountPoint::of(path) {
        Ok(Some(mount)) if mount.file_system == "nfs4" && recovers_lost_locks() => {
            let seen = "NFS takes a lock again that it lost (`nfs.recover_lost_locks=1`)";
            let remedy = "set it to 0: a machine that stood still may write over others' rows";
            Check::failure("mount", seen, remedy)
        }
        Ok(Some(mount)) => mount_check(&mount),
        Ok(None) => Check::warning("mount", "its options cannot be read", "see `mount` by hand"),
        Err(error) => Check::error("mount", error, ""),
    };
    vec![mount, space_check("space", path)]
}

/// Whether this user may do what every task does: append to the log, and write beside it.
pub(crate) fn access_check(experiment: &Experiment) -> Check {
    let dir = experiment.dir();
    let remedy = "every user who runs tasks or commands must be allowed to";
    match WritableReplayLog::open(dir).and_then(|_| dir.check_access()) {
        Ok(()) => Check::ok("access", "this user may append to the log, and write beside it"),
        Err(error) => Check::error("access", error, remedy),
    }
}

const OF_ONE_MACHINE: [&str; 7] = ["ext2", "ext3", "ext4", "xfs", "btrfs", "tmpfs", "overlay"];

/// The folder outside of the experiment that keeps its checkpoints, if there is one.
pub(crate) fn scratch_checks(experiment: &Experiment) -> Vec<Check> {
    const NAME: &str = "checkpoints";
    let Some(folder) = &experiment.dir().scratch else { return Vec::new() };
    if let Err(error) = experiment.dir().make_scratch(experiment.trust) {
        let remedy = "every node must see it, and this user write there: `metaqnn set DIR \
                      training.checkpoint_dir=...`";
        return vec![Check::error(NAME, error, remedy)];
    }
    let mount = MountPoint::of(folder).ok().flatten();
    let kind = mount.map_or("an unknown file system".to_owned(), |mount| mount.file_system);
    let remedy = "it may be of this machine alone: where other nodes do not see it, a requeued \
                  task trains from the beginning";
    let is_shared = !OF_ONE_MACHINE.contains(&kind.as_str());
    let seen = format!("`{}` on {kind}", folder.display());
    vec![Check::ok_if(is_shared, NAME, seen, remedy), space_check(NAME, folder)]
}

/// Whether this machine goes on writing after its server has given its lock to another.
fn recovers_lost_locks() -> bool {
    let path = Path::new("/sys/module/nfs/parameters/recover_lost_locks");
    regular_file::read(path, SMALL).is_ok_and(|value| value.trim_ascii() == b"Y")
}

fn mount_check(mount: &MountPoint) -> Check {
    let (kind, options) = (mount.file_system.as_str(), mount.options.join(","));
    let seen = format!("{kind} at `{}` ({options})", mount.point.display());
    let has = |option: &str| mount.options.iter().any(|other| other == option);
    if has("ro") {
        Check::failure("mount", seen, "it is mounted for reading only: choose another")
    } else if let Some(why) = mount.node_local() {
        let remedy = format!(
            "it {why}, which keeps locks to one machine: put experiments on another file system, \
             such as NFS 4 without `nolock`, Lustre mounted with `flock`, GPFS; or search on one \
             machine with `--single-node`"
        );
        Check::failure("mount", seen, &remedy)
    } else if kind == "lustre" && !has("flock") {
        Check::failure("mount", seen, "Lustre has no locks unless mounted with `flock`")
    } else if kind.starts_with("nfs") && has("soft") {
        let remedy = "`soft` gives up a write when the server is slow: mount it with `hard`";
        Check::warning("mount", seen, remedy)
    } else {
        Check::ok("mount", seen)
    }
}

fn space_check(name: &str, path: &Path) -> Check {
    const MIB: u64 = 1 << 20;
    let DiskSpace { bytes, inodes } = match DiskSpace::of(path) {
        Ok(space) => space,
        Err(error) => return Check::error(name, error, ""),
    };
    let files = inodes.map_or("no limit on files".to_owned(), |inodes| format!("{inodes} files"));
    let seen = format!("{} MiB and {files} are free", bytes / MIB);
    let remedy = "make room, or have the quota raised: a network takes a curve of a few KiB, \
                  checkpoints take megabytes";
    Check::new(space_verdict(bytes / MIB, inodes.unwrap_or(u64::MAX)), name, seen, remedy)
}

const fn space_verdict(mebibytes: u64, inodes: u64) -> Health {
    match (mebibytes, inodes) {
        (..16, _) | (_, ..100) => Health::Failure,
        (..1024, _) | (_, ..10_000) => Health::Warning,
        _ => Health::Ok,
    }
}

const SYNCS: usize = 15;
/// Bytes that must be written, which a quota may not allow though the file system has room.
const BYTES: usize = 4 << 20;

pub(crate) fn sync_check(path: &Path) -> Check {
    match sync_milliseconds(path) {
        Ok([median, longest]) => {
            let seen = format!("500 bytes are synced in {median:.1} ms, {longest:.0} ms at most");
            let remedy = "fewer tasks at once, or a faster file system: a claim syncs once, under \
                          the lock that all share";
            Check::ok_if(median < 50.0, "sync", seen, remedy)
        }
        Err(error) => {
            let seen = format!("`{}` cannot be written and synced: {error}", path.display());
            Check::failure("sync", seen, "see quota and permissions")
        }
    }
}

/// The median, and the longest of the times.
fn sync_milliseconds(path: &Path) -> std::io::Result<[f64; 2]> {
    let options = File::options().write(true).create(true).truncate(true).clone();
    let mut file = regular_file::open(path, &options, OFlags::NOFOLLOW)?;
    file.write_all(&vec![b'x'; BYTES])?;
    file.sync_all()?;
    let mut times = [0.0; SYNCS];
    for time in &mut times {
        file.write_all(&[b'x'; 500])?;
        let began = Instant::now();
        file.sync_data()?;
        *time = began.elapsed().as_secs_f64() * 1e3;
    }
    times.sort_by(f64::total_cmp);
    Ok([times[SYNCS / 2], times[SYNCS - 1]])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount(file_system: &str, options: &[&str]) -> Health {
        mount_check(&MountPoint {
            point: "/mnt".into(),
            file_system: file_system.to_owned(),
            options: options.iter().map(|&option| option.to_owned()).collect(),
        })
        .verdict
    }

    #[test]
    fn mounts_without_shared_locks_fail() {
        assert_eq!(mount("nfs4", &["rw", "vers=4.2", "hard", "local_lock=none"]), Health::Ok);
        assert_eq!(mount("nfs", &["rw", "nolock", "local_lock=all"]), Health::Failure);
        assert_eq!(mount("nfs", &["rw", "soft"]), Health::Warning);
        assert_eq!(mount("lustre", &["rw", "flock"]), Health::Ok);
        assert_eq!(mount("lustre", &["rw", "localflock"]), Health::Failure);
        assert_eq!(mount("lustre", &["rw"]), Health::Failure);
        assert_eq!(mount("ext4", &["ro"]), Health::Failure);
        assert_eq!(mount("fuse.glusterfs", &["rw"]), Health::Ok);
        for kind in ["cifs", "smb3", "fuse.sshfs", "9p", "virtiofs"] {
            assert_eq!(mount(kind, &["rw"]), Health::Failure, "{kind}");
        }
    }

    #[test]
    fn little_room_is_a_warning_and_almost_none_a_failure() {
        assert_eq!(space_verdict(1 << 20, u64::MAX), Health::Ok);
        assert_eq!(space_verdict(1 << 20, 5_000), Health::Warning);
        assert_eq!(space_verdict(1 << 9, 1 << 20), Health::Warning);
        assert_eq!(space_verdict(1, 1 << 20), Health::Failure);
        assert_eq!(space_verdict(1 << 20, 0), Health::Failure);
    }

    #[test]
    fn a_folder_that_cannot_be_written_fails() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(sync_check(&folder.path().join("probe")).verdict, Health::Ok);
        assert_eq!(sync_check(&folder.path().join("none/probe")).verdict, Health::Failure);
    }
}

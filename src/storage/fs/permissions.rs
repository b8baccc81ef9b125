//! Who may write to an experiment: its configuration and log name programs that this user runs.

use std::fs::{self, Metadata, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use rustix::fs::Mode;
use rustix::process::{getegid, geteuid, getgroups, umask};

use crate::storage::error::{Result, StorageError};

/// Whom the person who starts a command trusts besides root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    Owner,
    /// The members of the experiment's group.
    Group,
}

/// Write permission. (With an access control list, the bits of the group are the most that any user
/// or group named in it has.)
const OTHERS: u32 = 0o002;
const GROUP: u32 = 0o020;

impl Trust {
    /// Of this process and its children.
    pub fn set_umask(self) {
        let before = umask(Mode::empty()).as_raw_mode();
        let before = if self == Self::Group { before & !0o070 } else { before };
        umask(Mode::from_raw_mode(before | self.refused_bits()));
    }

    const fn refused_bits(self) -> u32 {
        match self {
            Self::Owner => GROUP | OTHERS,
            Self::Group => OTHERS,
        }
    }

    /// Takes away write permissions that were there before, or came by an access control list.
    pub(crate) fn restrict(self, path: &Path) -> Result<()> {
        let entry = fs::metadata(path).map_err(StorageError::io("read", path))?;
        if entry.uid() == geteuid().as_raw() && entry.mode() & self.refused_bits() != 0 {
            let mode = Permissions::from_mode(entry.mode() & 0o7777 & !self.refused_bits());
            fs::set_permissions(path, mode)
                .map_err(StorageError::io("change the mode of", path))?;
        }
        Ok(())
    }

    /// Refuses an entry that others may write, or that belongs to another user.
    pub(crate) fn check(self, path: &Path, entry: &Metadata) -> Result<()> {
        let (owner, me) = (entry.uid(), geteuid().as_raw());
        let is_of_my_group = || {
            let gid = entry.gid();
            gid == getegid().as_raw()
                || getgroups().is_ok_and(|groups| groups.iter().any(|group| group.as_raw() == gid))
        };
        let (why, remedy) = if owner != me
            && owner != 0
            && !(self == Self::Group && is_of_my_group())
        {
            let remedy = if is_of_my_group() {
                "run it as that user; if every member of its group may run programs as you, add \
                 `--trust-group` or set METAQNN_TRUST_GROUP=1"
            } else {
                "run it as that user, or make an experiment of your own"
            };
            (format!("belongs to user {owner}, not to you ({me}) or root"), remedy)
        } else if entry.mode() & OTHERS != 0 {
            let remedy = "look whether it is as it was, then `chmod -R o-w` the experiment";
            ("can be written by every user".to_owned(), remedy)
        } else if entry.mode() & self.refused_bits() != 0 {
            let remedy = "`chmod -R g-w` the experiment; or, if every member may run programs as \
                 you, add `--trust-group` or set METAQNN_TRUST_GROUP=1";
            (format!("can be written by its group ({})", entry.gid()), remedy)
        } else {
            return Ok(());
        };
        let problem = format!("{why}, and what stands in an experiment is run as you ({remedy})");
        Err(StorageError::Unsafe { path: path.to_owned(), problem })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::dir::ExperimentDir;

    #[test]
    fn what_others_or_the_group_may_write_is_not_trusted() {
        let (_folder, experiment) = ExperimentDir::made_up();
        experiment.check_trust(Trust::Owner).unwrap();
        for path in experiment.trusted_paths() {
            let mode = fs::metadata(&path).unwrap().permissions().mode();
            let with = |bits| {
                fs::set_permissions(&path, Permissions::from_mode(mode | bits)).unwrap();
                (
                    experiment.check_trust(Trust::Owner).is_ok(),
                    experiment.check_trust(Trust::Group).is_ok(),
                )
            };
            assert_eq!(with(OTHERS), (false, false), "{}", path.display());
            assert_eq!(with(GROUP), (false, true), "{}", path.display());
            let named = experiment.check_trust(Trust::Owner).unwrap_err().to_string();
            assert!(named.contains(&format!("`{}`", path.display())), "{named}");
            assert_eq!(with(0), (true, true), "{}", path.display());
        }
    }

    #[test]
    fn an_empty_folder_that_others_may_write_is_closed_before_anything_is_put_there() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("search");
        for (trust, left) in [(Trust::Owner, 0o755), (Trust::Group, 0o775)] {
            fs::create_dir(&root).unwrap();
            fs::set_permissions(&root, Permissions::from_mode(0o777)).unwrap();
            let experiment = ExperimentDir::create(&root, "format_version: 2\n", trust).unwrap();
            assert_eq!(fs::metadata(&root).unwrap().mode() & 0o777, left);
            experiment.check_trust(trust).unwrap();
            fs::remove_dir_all(&root).unwrap();
        }
    }
}

//! Past the page cache of an NFS client, while the exclusive lock of a file is held.
//!
//! A client that stood still for longer than its lease has lost its locks and does not know it. Its
//! server refuses what it writes (`EIO`), but a write through the page cache, which all processes
//! of the machine share, seems to succeed and fails at the sync. Such a machine was seen to read
//! NULs, under a lock taken afterwards, where another had appended whole rows. `fadvise` keeps
//! pages that are dirty or being written, and opening the file again does no more than locking it.
//! With `O_DIRECT` the server alone answers (open(2)): a writer without its lock is refused at the
//! write.
//!
//! A file opened so asks for no delegation either (NFS 4.1 on), which a server gives to the only
//! machine that has a file open, and with which a client keeps locks to itself. Eight processes of
//! one machine were seen to stop for good then (Linux 6.1): one waits for the delegation's mutex to
//! unlock, one has it and asks the server for the first one's lock, a third has been given that.
//!
//! On FUSE (Gluster) the kernel and the client keep the length of a file for up to 1 s, whatever
//! the locks: "read to the end, write there" lost 10 rows of 160 with two mounts, with `O_DIRECT`
//! too. Appends by `O_APPEND` are placed by the server and lost none, but 14 rows were written by
//! processes that had read too little. Gluster's quick-read answers reads of a small file from
//! memory for 1 s, even after a sync; it forgets when room is reserved. After that, a sync, which
//! brings the length from the server, and a `statx` that takes no cached answer, all 160 were
//! right, and all of 450 changes of the mount that appended next.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

use rustix::fs::{
    AtFlags, FallocateFlags, FsWord, NFS_SUPER_MAGIC, OFlags, StatxFlags, fallocate, fcntl_getfl,
    fcntl_setfl, fstatfs, statfs, statx,
};

use crate::regular_file::{self, read_up_to};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answers {
    /// The server alone, by `O_DIRECT`.
    Server,
    Cache,
}

/// Opens a file, on NFS without asking for a delegation. The cache answers for it.
pub(crate) fn open(path: &Path, options: &OpenOptions) -> io::Result<File> {
    if statfs(path)?.f_type != NFS_SUPER_MAGIC {
        return regular_file::open(path, options, OFlags::NOFOLLOW);
    }
    let file = regular_file::open(path, options, OFlags::NOFOLLOW | OFlags::DIRECT)?;
    set_answers(&file, Answers::Cache)?;
    Ok(file)
}

/// Linux's number of the file systems that programs serve.
const FUSE: FsWord = 0x6573_5546;

/// Makes what is read of an opened file come from the server, on FUSE; to be called under its lock.
/// Of a file opened for reading only what is cached may be 1 s old all the same.
pub(crate) fn refresh(file: &File) -> io::Result<()> {
    if fstatfs(file)?.f_type == FUSE {
        // Room that the file has already. Some file systems cannot reserve any, and a file opened
        // for reading cannot.
        let _ = fallocate(file, FallocateFlags::KEEP_SIZE, 0, 1);
        file.sync_all()?;
        statx(file, "", AtFlags::EMPTY_PATH | AtFlags::STATX_FORCE_SYNC, StatxFlags::SIZE)?;
    }
    Ok(())
}

/// Opens a file once more, on FUSE, for a write that the server places at its end. `None` where
/// this machine places writes.
pub(crate) fn open_to_append(file: &File, path: &Path) -> io::Result<Option<File>> {
    if fstatfs(file)?.f_type != FUSE {
        return Ok(None);
    }
    regular_file::open(path, File::options().append(true), OFlags::NOFOLLOW).map(Some)
}

/// Of other file systems than NFS the cache is coherent, but for [`refresh`].
pub(crate) fn set_answers(file: &File, answers: Answers) -> io::Result<()> {
    if fstatfs(file)?.f_type != NFS_SUPER_MAGIC {
        return Ok(());
    }
    let mut flags = fcntl_getfl(file)?;
    flags.set(OFlags::DIRECT, answers == Answers::Server);
    Ok(fcntl_setfl(file, flags)?)
}

/// The length of a file, read on from `reported`: what an NFS client reports may be an answer that
/// was on its way for long, and to append there would overwrite rows.
pub(crate) fn length_by_reading(file: &File, reported: u64) -> io::Result<u64> {
    let mut length = reported;
    let mut bytes = [0; 4096];
    loop {
        let read = read_up_to(file, &mut bytes, length)?;
        length += read as u64;
        if read < bytes.len() {
            return Ok(length);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_file_is_as_long_as_it_can_be_read() {
        let path = tempfile::NamedTempFile::new().unwrap();
        fs::write(path.path(), vec![b'a'; 10_000]).unwrap();
        let length = |reported| length_by_reading(path.as_file(), reported).unwrap();
        assert_eq!([0, 1, 9_999, 10_000].map(length), [10_000; 4]);
    }

    #[test]
    fn elsewhere_than_on_nfs_the_flags_of_a_file_stay() {
        let path = tempfile::NamedTempFile::new().unwrap();
        let flags = fcntl_getfl(path.as_file()).unwrap();
        for answers in [Answers::Server, Answers::Cache] {
            set_answers(path.as_file(), answers).unwrap();
            assert_eq!(fcntl_getfl(path.as_file()).unwrap(), flags);
        }
    }
}

//! What libraries require of a machine and would panic without.

use std::io;
use std::sync::Arc;
use std::time::SystemTime;

use jiff::Timestamp;
use rayon::ThreadPoolBuilder;
use signal_hook::consts::SIGXFSZ;

pub(super) fn check_clock() -> io::Result<()> {
    let is_right = Timestamp::try_from(SystemTime::now()).is_ok();
    let beyond = "the clock of this machine is beyond the year 9999 (have it set, by NTP)";
    if is_right { Ok(()) } else { Err(io::Error::other(beyond)) }
}

/// Makes a write beyond the file size limit (`ulimit -f`) an error. By default the signal ends the
/// process without a message, and a finished training would not be kept until there is room.
pub(super) fn keep_running_at_file_size_limit() -> io::Result<()> {
    signal_hook::flag::register(SIGXFSZ, Arc::default()).map(drop)
}

/// Starts the threads that computations share.
pub(super) fn start_threads() -> io::Result<()> {
    ThreadPoolBuilder::new().build_global().map_err(|error| {
        let remedy = "see `ulimit -u`, or set RAYON_NUM_THREADS=1";
        io::Error::other(format!("cannot start the threads that compute ({remedy}): {error}"))
    })
}

//! What libraries take for granted of a machine, and would panic without.

use std::io;
use std::time::SystemTime;

use jiff::Timestamp;
use rayon::ThreadPoolBuilder;

/// Looks at the clock.
///
/// # Errors
/// It cannot be right.
pub(super) fn check_clock() -> io::Result<()> {
    if Timestamp::try_from(SystemTime::now()).is_err() {
        let beyond = "the clock of this machine is beyond the year 9999 (have it set, by NTP)";
        return Err(io::Error::other(beyond));
    }
    Ok(())
}

/// Has computations use this thread alone where no others can be started.
///
/// # Errors
/// There is no way to compute.
pub(super) fn prepare_threads() -> io::Result<()> {
    if let Err(error) = ThreadPoolBuilder::new().build() {
        log::warn!("computations have one thread, since no others can be started: {error}");
        let alone = ThreadPoolBuilder::new().num_threads(1).use_current_thread();
        alone.build_global().map_err(io::Error::other)?;
    }
    Ok(())
}

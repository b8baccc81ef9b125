//! Memory: micro-batches when it is short; on the CPU kept between optimizer steps, and measured.

use std::path::Path;

use metaqnn::regular_file::{self, SMALL};

use super::error::TorchError;

/// Makes the allocator of libc keep what is freed: a training step allocates and frees the same
/// maps of some ten megabytes again and again. To fetch them page by page took 12 % of the time of
/// a step (137 against 122 ms, one thread, batch 128, 64 and 128 filters on 28x28 pixels).
pub fn keep_freed_memory() {
    // No block of its own from the system, and no giving back from the end of the heap.
    for (parameter, value) in [(libc::M_MMAP_MAX, 0), (libc::M_TRIM_THRESHOLD, -1)] {
        #[expect(unsafe_code, reason = "a setting of libc that only C reaches")]
        // SAFETY: takes two numbers, locks the allocator, and touches no memory of ours. It
        // returns 0 when it does not know the parameter, which leaves the default in place.
        let _ = unsafe { libc::mallopt(parameter, value) };
    }
}

/// What the allocator keeps may be missing elsewhere (oneDNN takes room for its code past it).
pub fn give_freed_memory_back() {
    #[expect(unsafe_code, reason = "a request to libc that only C reaches")]
    // SAFETY: locks the allocator and lets go of pages that hold no allocation.
    let _ = unsafe { libc::malloc_trim(0) };
}

/// The most bytes that this process has occupied so far, libtorch and images included.
pub fn greatest_occupied() -> Option<u64> {
    let status = regular_file::read(Path::new("/proc/self/status"), SMALL).ok()?;
    let status = String::from_utf8_lossy(&status);
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kibibytes * 1024)
}

/// Tries with `micro` images at a time, and with half as many whenever memory is short.
pub fn fitting_memory<T>(
    micro: &mut i64,
    mut attempt: impl FnMut(i64) -> Result<T, TorchError>,
) -> Result<T, TorchError> {
    loop {
        match attempt(*micro) {
            Err(TorchError::OutOfMemory { .. }) if *micro > 1 => {
                give_freed_memory_back();
                *micro = (*micro + 1) / 2;
            }
            other => return other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn short() -> TorchError {
        TorchError::OutOfMemory { message: "CUDA out of memory".into(), in_use: None }
    }

    #[test]
    fn short_memory_halves_the_micro_batch_until_it_fits() {
        let mut tried = Vec::new();
        let mut micro = 128;
        let fits = |micro| {
            tried.push(micro);
            if micro > 20 { Err(short()) } else { Ok(micro) }
        };
        assert_eq!(fitting_memory(&mut micro, fits).unwrap(), 16);
        assert_eq!(tried, [128, 64, 32, 16]);
        assert_eq!(micro, 16);
    }

    #[test]
    fn an_image_that_does_not_fit_is_out_of_memory() {
        let mut micro = 5;
        let error = fitting_memory(&mut micro, |_| Err::<(), _>(short())).unwrap_err();
        assert!(matches!(error, TorchError::OutOfMemory { .. }));
        assert_eq!(micro, 1);
    }

    #[test]
    fn other_failures_are_not_tried_again() {
        let mut times = 0;
        let mut micro = 128;
        let failure = |_| {
            times += 1;
            Err::<(), _>(TorchError::Failed("device-side assert".into()))
        };
        assert!(fitting_memory(&mut micro, failure).is_err());
        assert_eq!((times, micro), (1, 128));
    }

    #[test]
    fn what_was_occupied_once_is_measured() {
        const BYTES: i64 = 300 << 20;
        drop(tch::Tensor::ones([BYTES], (tch::Kind::Uint8, tch::Device::Cpu)));
        give_freed_memory_back();
        assert!(greatest_occupied().unwrap() > BYTES as u64);
    }
}

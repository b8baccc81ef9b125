//! Why `metaqnn-torch` cannot go on. A network that fails is no error, but an answer.

use metaqnn::dataset::DatasetError;
use metaqnn::invalid::Invalid;
use metaqnn::model::ModelError;
use tch::TchError;

#[derive(Debug, thiserror::Error)]
pub enum TorchError {
    /// Becomes the answer `out_of_memory` when micro-batches do not help. `in_use`: bytes on the
    /// device, where libtorch says so.
    #[error("memory is short: {message}")]
    OutOfMemory { message: String, in_use: Option<u64> },
    /// This request is unusable.
    #[error("{0}")]
    Request(String),
    /// Every request of the program that starts this one is unusable.
    #[error("{0}")]
    Refused(String),
    #[error(transparent)]
    Recipe(#[from] Invalid),
    #[error("{}", anyhow::Chain::new(.0).map(ToString::to_string).collect::<Vec<_>>().join(": "))]
    Data(#[from] DatasetError),
    #[error("{}", anyhow::Chain::new(.0).map(ToString::to_string).collect::<Vec<_>>().join(": "))]
    Model(#[from] ModelError),
    #[error("{0}")]
    NoDevice(String),
    /// libtorch, the disk or a pipe failed.
    #[error("{0}")]
    Failed(String),
}

impl TorchError {
    /// Whether no network can be trained here, whichever is asked for.
    pub const fn is_refusal(&self) -> bool {
        matches!(
            self,
            Self::Refused(_) | Self::Recipe(_) | Self::Data(_) | Self::Model(_) | Self::NoDevice(_)
        )
    }

    /// 2 the request, 3 damaged data, 4 the environment.
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Request(_) | Self::Refused(_) | Self::Recipe(_) => 2,
            Self::Data(_) | Self::Model(_) => 3,
            Self::OutOfMemory { .. } | Self::NoDevice(_) | Self::Failed(_) => 4,
        }
    }

    pub fn unreadable(problem: impl std::fmt::Display) -> Self {
        Self::Request(format!("request cannot be read: {problem}"))
    }
}

/// In the messages of the CUDA allocator, the CPU allocator (twice), C++, cuBLAS and cuDNN (twice).
const OUT_OF_MEMORY: [&str; 6] = [
    "out of memory", "can't allocate memory", "not enough memory", "bad_alloc", "ALLOC_FAILED",
    "ALLOCATION_FAILED",
];
/// All that oneDNN says when it finds no room for the code it generates. (Of an unknown kind of
/// layer it says more.)
const NO_ROOM_FOR_CODE: &str = "could not create a primitive";
const LONGEST_MESSAGE: usize = 200;

impl From<TchError> for TorchError {
    fn from(error: TchError) -> Self {
        let text = match error {
            TchError::Torch(text) => text,
            other => other.to_string(),
        };
        // The lines after the first are a C++ backtrace, or a whole tensor.
        let message: String =
            text.lines().next().unwrap_or_default().chars().take(LONGEST_MESSAGE).collect();
        let is_short = OUT_OF_MEMORY.iter().any(|part| message.contains(part));
        if is_short || message == NO_ROOM_FOR_CODE {
            Self::OutOfMemory { message, in_use: allocated(&text) }
        } else {
            Self::Failed(format!("libtorch failed: {message}"))
        }
    }
}

/// Bytes, from `Of the allocated memory 70.12 GiB is allocated by PyTorch, and ...`.
fn allocated(text: &str) -> Option<u64> {
    let (before, _) = text.split_once(" is allocated by PyTorch")?;
    let mut words = before.rsplit(' ');
    let unit = words.next()?;
    let power = ["bytes", "KiB", "MiB", "GiB"].iter().position(|&name| name == unit)?;
    let number: f64 = words.next()?.parse().ok()?;
    Some((number * (1_u64 << (10 * power)) as f64) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind, Tensor};

    fn of(message: &str) -> TorchError {
        TchError::Torch(message.to_owned()).into()
    }

    #[test]
    fn short_memory_is_told_from_other_failures() {
        let memory = |error| matches!(error, TorchError::OutOfMemory { .. });
        assert!(memory(of("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has ...")));
        assert!(memory(of("cuDNN error: CUDNN_STATUS_ALLOC_FAILED")));
        assert!(memory(of("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED")));
        assert!(memory(of("std::bad_alloc")));
        assert!(memory(of("could not create a primitive")));
        assert!(!memory(of("could not create a primitive descriptor for a pooling")));
        assert!(memory(of("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate`")));
        assert!(!memory(of("CUDA error: device-side assert triggered")));
        // 2^50 bytes from the allocator of this very libtorch.
        let real = Tensor::f_zeros([1_i64 << 48], (Kind::Float, Device::Cpu)).unwrap_err();
        assert!(memory(real.into()));
    }

    #[test]
    fn what_a_gpu_had_in_use_is_read_from_its_message() {
        let message = "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of \
            79.10 GiB of which 1.25 GiB is free. Including non-PyTorch memory, this process has 77.84 GiB \
            memory in use. Of the allocated memory 70.50 GiB is allocated by PyTorch, and 6.83 GiB is \
            reserved by PyTorch but unallocated.";
        let in_use = |text| match of(text) {
            TorchError::OutOfMemory { in_use, .. } => in_use,
            other => panic!("{other}"),
        };
        // 70.5 * 2^30.
        assert_eq!(in_use(message), Some(75_698_798_592));
        assert_eq!(in_use("CUDA out of memory: ? is allocated by PyTorch"), None);
        assert_eq!(in_use("CUDA out of memory"), None);
    }

    #[test]
    fn only_the_first_line_is_kept() {
        assert_eq!(
            of("shapes differ\nException raised from /home/x").to_string(),
            "libtorch failed: shapes differ"
        );
        assert!(of(&"x".repeat(10_000)).to_string().len() < 250);
    }
}

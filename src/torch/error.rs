//! Why `metaqnn-torch` cannot go on. A network that fails is no error, but an answer.

use std::io;
use std::path::PathBuf;

use metaqnn::dataset::DatasetError;
use metaqnn::training::{TrainingError, protocol};
use tch::TchError;

use super::plan::Misplaced;

/// An error of the trainer.
#[derive(Debug, thiserror::Error)]
pub enum TorchError {
    /// The device has no room. Becomes the answer `out_of_memory` when micro-batches do not help.
    #[error("out of memory: {message}")]
    OutOfMemory {
        /// What libtorch says.
        message: String,
    },
    /// Any other failure inside libtorch.
    #[error("libtorch failed: {message}")]
    Libtorch {
        /// What libtorch says.
        message: String,
    },
    /// A GPU is wanted and none is seen.
    #[error("{wanted}, but libtorch sees no GPU ({remedy})")]
    NoGpu {
        /// Who wants it.
        wanted: &'static str,
        /// What to check.
        remedy: &'static str,
    },
    /// A line of stdin that is no request.
    #[error("request cannot be read: {problem}")]
    NoRequest {
        /// What is wrong with it.
        problem: String,
    },
    /// A request of another version of the protocol.
    #[error(
        "request speaks protocol `{found}`, this trainer `{}` (use programs of one version)",
        protocol::VERSION
    )]
    OtherProtocol {
        /// Its version.
        found: u32,
    },
    /// Layers that make no network.
    #[error(transparent)]
    Misplaced(#[from] Misplaced),
    /// A recipe with a value outside its range.
    #[error(transparent)]
    Recipe(#[from] TrainingError),
    /// Images that cannot be read, or a wrong `data` section.
    #[error(transparent)]
    Data(#[from] DatasetError),
    /// A checkpoint that cannot be written or read.
    #[error("failed to {doing} checkpoint `{}`: {reason}", path.display())]
    Checkpoint {
        /// `read` or `write`.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A checkpoint of another training.
    #[error("checkpoint `{}` belongs to another training (remove it, or resume with the request it was made for)", path.display())]
    OtherTraining {
        /// The file.
        path: PathBuf,
    },
    /// stdin or stdout is gone.
    #[error("failed to {doing}")]
    Pipe {
        /// What was being done.
        doing: &'static str,
        /// Why.
        source: io::Error,
    },
}

impl TorchError {
    /// Whether no network can be trained here, whichever is asked for.
    pub const fn is_refusal(&self) -> bool {
        matches!(
            self,
            Self::NoGpu { .. } | Self::OtherProtocol { .. } | Self::Recipe(_) | Self::Data(_)
        )
    }

    /// Returns the exit code: 2 the request, 3 damaged data, 4 the environment.
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::NoRequest { .. }
            | Self::OtherProtocol { .. }
            | Self::Misplaced(_)
            | Self::Recipe(_)
            | Self::OtherTraining { .. } => 2,
            Self::Data(_) => 3,
            Self::OutOfMemory { .. }
            | Self::Libtorch { .. }
            | Self::NoGpu { .. }
            | Self::Checkpoint { .. }
            | Self::Pipe { .. } => 4,
        }
    }
}

/// Joins an error with its causes.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

/// Parts of the messages by which libtorch says that memory is short: its CUDA allocator, its CPU
/// allocator, cuDNN and cuBLAS.
const OUT_OF_MEMORY: [&str; 4] =
    ["out of memory", "can't allocate memory", "not enough memory", "ALLOC_FAILED"];

/// The longest message that is passed on.
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
        if OUT_OF_MEMORY.iter().any(|part| message.contains(part)) {
            Self::OutOfMemory { message }
        } else {
            Self::Libtorch { message }
        }
    }
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
        assert!(memory(of("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate`")));
        assert!(!memory(of("CUDA error: device-side assert triggered")));
        // 2^50 bytes from the allocator of this very libtorch.
        let real = Tensor::f_zeros([1_i64 << 48], (Kind::Float, Device::Cpu)).unwrap_err();
        assert!(memory(real.into()));
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

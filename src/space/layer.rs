//! The layers a network is made of.

use std::fmt;

/// One layer of an architecture. Dropout is no layer: its marks follow from the layers (see [`super::Architecture`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Layer {
    /// A convolution followed by a ReLU.
    Conv {
        /// Number of filters.
        filters: u32,
        /// Side of the square kernel.
        kernel: u32,
        /// Stride.
        stride: u32,
    },
    /// A max pooling.
    Pool {
        /// Side of the square window.
        kernel: u32,
        /// Stride.
        stride: u32,
    },
    /// A dense layer followed by a ReLU.
    FullyConnected {
        /// Number of neurons.
        width: u32,
    },
    /// A 1x1 convolution to one map per class, a ReLU, and the mean of each map.
    GlobalAveragePool {
        /// Number of classes.
        classes: u32,
    },
    /// The classifier: a dense layer and a softmax. Always last.
    Softmax {
        /// Number of classes.
        classes: u32,
    },
}

/// Writes the layer in the notation of the paper: `C(64,3,1)`, `P(2,2)`, `FC(128)`, `GAP(10)`, `SM(10)`.
impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Conv { filters, kernel, stride } => write!(f, "C({filters},{kernel},{stride})"),
            Self::Pool { kernel, stride } => write!(f, "P({kernel},{stride})"),
            Self::FullyConnected { width } => write!(f, "FC({width})"),
            Self::GlobalAveragePool { classes } => write!(f, "GAP({classes})"),
            Self::Softmax { classes } => write!(f, "SM({classes})"),
        }
    }
}

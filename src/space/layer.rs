//! The layers a network is made of.

/// Shown in the notation of the paper. Dropout is no layer: its marks follow from the layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, derive_more::Display)]
pub enum Layer {
    /// Followed by a ReLU.
    #[display("C({filters},{kernel},{stride})")]
    Conv { filters: u32, kernel: u32, stride: u32 },
    /// By the maximum.
    #[display("P({kernel},{stride})")]
    Pool { kernel: u32, stride: u32 },
    /// Followed by a ReLU.
    #[display("FC({width})")]
    FullyConnected { width: u32 },
    /// A 1x1 convolution to one map per class, a ReLU, and the mean of each map.
    #[display("GAP({classes})")]
    GlobalAveragePool { classes: u32 },
    /// A dense layer and a softmax. Always last.
    #[display("SM({classes})")]
    Softmax { classes: u32 },
}

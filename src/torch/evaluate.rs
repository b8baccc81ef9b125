//! How well a network classifies, without gradients.

use tch::{Kind, Reduction, Tensor};

use super::batches::Batches;
use super::error::TorchError;
use super::network::{Network, Phase};

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Evaluation {
    /// Mean cross-entropy; `None` when it is not a number.
    pub loss: Option<f64>,
    /// Share classified correctly, in [0, 1].
    pub accuracy: f64,
}

/// Sums of loss and hits, kept on the device so that no batch waits for the host.
#[derive(Debug)]
pub struct Tally {
    loss: Tensor,
    hits: Tensor,
    images: i64,
}

impl Tally {
    pub fn new(device: tch::Device) -> Result<Self, TorchError> {
        Ok(Self {
            loss: Tensor::f_zeros([0_i64; 0], (Kind::Double, device))?,
            hits: Tensor::f_zeros([0_i64; 0], (Kind::Int64, device))?,
            images: 0,
        })
    }

    /// Adds a batch: its summed loss, its logits `[B, classes]` and its labels `[B]`.
    pub fn add(
        &mut self,
        loss: &Tensor,
        logits: &Tensor,
        labels: &Tensor,
    ) -> Result<(), TorchError> {
        let _guard = tch::no_grad_guard();
        let hits = logits.f_argmax(1, false)?.f_eq_tensor(labels)?.f_sum(Kind::Int64)?;
        let _ = self.loss.f_add_(loss)?;
        let _ = self.hits.f_add_(&hits)?;
        self.images += labels.size()[0];
        Ok(())
    }

    /// Reads the sums, which waits for the device.
    pub fn scores(&self) -> Result<Evaluation, TorchError> {
        let loss = self.loss.f_double_value(&[])? / self.images as f64;
        let hits = self.hits.f_int64_value(&[])?;
        Ok(Evaluation {
            loss: loss.is_finite().then_some(loss),
            accuracy: hits as f64 / self.images as f64,
        })
    }
}

/// Returns the cross-entropy of logits `[B, classes]` with labels `[B]`, summed over the batch.
pub fn summed_loss(logits: &Tensor, labels: &Tensor) -> Result<Tensor, TorchError> {
    Ok(logits.f_cross_entropy_loss(labels, None::<Tensor>, Reduction::Sum, -100, 0.0)?)
}

/// Returns the scores over all validation images, `batch` at a time.
pub fn evaluate(network: &Network, data: &Batches, batch: i64) -> Result<Evaluation, TorchError> {
    let _guard = tch::no_grad_guard();
    let mut tally = Tally::new(data.device())?;
    let count = data.validation.count();
    for first in (0..count).step_by(batch as usize) {
        let (images, labels) = data.validation_batch(first, batch.min(count - first))?;
        let logits = network.forward(&images, Phase::Evaluation)?;
        tally.add(&summed_loss(&logits, &labels)?, &logits, &labels)?;
    }
    tally.scores()
}

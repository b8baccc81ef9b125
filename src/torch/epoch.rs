//! One epoch: every optimizer step, and the evaluation after it.

use std::ops::ControlFlow;

use metaqnn::training::ValidRecipe;
use tch::{Kind, Reduction, Tensor};

use super::batches::Batches;
use super::error::TorchError;
use super::input::Answer;
use super::memory::fitting_memory;
use super::network::{Network, Phase};
use super::optimizer::Optimizer;
use super::parameters::Accumulation;

/// `floor(N / batch_size)` steps over the images in a random order; those left over sit out this
/// epoch. (With fewer images than a batch there is one step, with all.) All is drawn from
/// libtorch's generator, which the caller seeds. `micro_batch` shrinks when memory is short, and
/// stays so for the epochs to come. Loss and accuracy are those while training, dropout and label
/// smoothing included. `before_step` gets the number of steps begun, and of all; on a GPU these run
/// a little ahead of what is computed.
pub fn train_epoch(
    network: &mut Network,
    optimizer: &mut Optimizer,
    data: &Batches,
    recipe: &ValidRecipe,
    learning_rate: f64,
    micro_batch: &mut i64,
    before_step: &mut dyn FnMut(i64, i64) -> Result<ControlFlow<Answer>, TorchError>,
) -> Result<ControlFlow<Answer, Classified>, TorchError> {
    let batch_size = i64::from(recipe.batch_size).min(data.training.count());
    let order = data.random_order()?;
    let mut tally = Tally::new(data.device())?;
    let steps = data.training.count() / batch_size;
    for step in 0..steps {
        if let ControlFlow::Break(answer) = before_step(step, steps)? {
            return Ok(ControlFlow::Break(answer));
        }
        let indices = order.f_narrow(0, step * batch_size, batch_size)?;
        let (images, labels) = data.training_batch(&indices)?;
        // Weights change only after the last micro-batch, so a step that ran out of memory can be
        // done over; only its dropout is drawn anew.
        let answers = fitting_memory(micro_batch, |micro| {
            gradient(network, &images, &labels, recipe.label_smoothing, micro)
        })?;
        for (loss, logits, labels) in &answers {
            tally.add(loss, logits, labels)?;
        }
        let (parameters, gradient) = network.parameters.for_update();
        optimizer.step(parameters, gradient, learning_rate)?;
    }
    Ok(ControlFlow::Continue(tally.scores()?))
}

/// Of the mean loss over a batch; returns summed loss, logits and labels of each part.
fn gradient(
    network: &mut Network,
    images: &Tensor,
    labels: &Tensor,
    smoothing: f64,
    micro: i64,
) -> Result<Vec<(Tensor, Tensor, Tensor)>, TorchError> {
    let batch = labels.size()[0];
    let mut answers = Vec::new();
    let mut accumulation = Accumulation::Fresh;
    for first in (0..batch).step_by(micro as usize) {
        let count = micro.min(batch - first);
        let (images, labels) =
            (images.f_narrow(0, first, count)?, labels.f_narrow(0, first, count)?);
        let logits = network.forward(&images, Phase::Training)?;
        let loss = summed_loss(&logits, &labels, smoothing)?;
        network.parameters.backward(&loss.f_div_scalar(batch as f64)?, accumulation)?;
        accumulation = Accumulation::Added;
        answers.push((loss.detach(), logits.detach(), labels));
    }
    Ok(answers)
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Classified {
    /// Mean cross-entropy; `None` when it is not a number.
    pub loss: Option<f64>,
    /// Share classified correctly, in [0, 1].
    pub accuracy: f64,
}

/// Sums of loss and hits, kept on the device so that no batch waits for the host.
#[derive(Debug)]
struct Tally {
    loss: Tensor,
    hits: Tensor,
    images: i64,
}

impl Tally {
    fn new(device: tch::Device) -> Result<Self, TorchError> {
        Ok(Self {
            loss: Tensor::f_zeros([0_i64; 0], (Kind::Double, device))?,
            hits: Tensor::f_zeros([0_i64; 0], (Kind::Int64, device))?,
            images: 0,
        })
    }

    /// Adds a batch: its summed loss, its logits `[B, classes]` and its labels `[B]`.
    fn add(&mut self, loss: &Tensor, logits: &Tensor, labels: &Tensor) -> Result<(), TorchError> {
        let _guard = tch::no_grad_guard();
        let hits = logits.f_argmax(1, false)?.f_eq_tensor(labels)?.f_sum(Kind::Int64)?;
        let _ = self.loss.f_add_(loss)?;
        let _ = self.hits.f_add_(&hits)?;
        self.images += labels.size()[0];
        Ok(())
    }

    /// Reads the sums, which waits for the device.
    fn scores(&self) -> Result<Classified, TorchError> {
        let loss = self.loss.f_double_value(&[])? / self.images as f64;
        let hits = self.hits.f_int64_value(&[])?;
        Ok(Classified {
            loss: loss.is_finite().then_some(loss),
            accuracy: hits as f64 / self.images as f64,
        })
    }
}

/// The cross-entropy of logits `[B, classes]` with labels `[B]`, summed over the batch. The label
/// counts `1 - smoothing + smoothing / classes`, every other class `smoothing / classes`.
fn summed_loss(logits: &Tensor, labels: &Tensor, smoothing: f64) -> Result<Tensor, TorchError> {
    Ok(logits.f_cross_entropy_loss(labels, None::<Tensor>, Reduction::Sum, -100, smoothing)?)
}

/// Classifies all validation images, of which there are some, `batch` at a time, without gradients.
pub fn evaluate(network: &Network, data: &Batches, batch: i64) -> Result<Classified, TorchError> {
    let _guard = tch::no_grad_guard();
    let mut tally = Tally::new(data.device())?;
    let count = data.validation.count();
    for first in (0..count).step_by(batch as usize) {
        let (images, labels) = data.validation_batch(first, batch.min(count - first))?;
        let logits = network.forward(&images, Phase::Evaluation)?;
        tally.add(&summed_loss(&logits, &labels, 0.0)?, &logits, &labels)?;
    }
    tally.scores()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{alone, batches, layers};
    use crate::initialisation::initialise;
    use crate::plan::Plan;
    use metaqnn::training::Initialisation;
    use metaqnn::training::protocol::LayerDescription;
    use tch::Device;

    #[test]
    fn micro_batches_give_the_gradient_of_the_batch() {
        let _alone = alone();
        // Without dropout and batch normalisation, whose results depend on what is computed
        // together.
        let plain: Vec<_> = layers()
            .into_iter()
            .filter(|layer| !matches!(layer, LayerDescription::Dropout { .. }))
            .map(|layer| match layer {
                LayerDescription::Conv { filters, kernel, stride, padding, .. } => {
                    LayerDescription::Conv { filters, kernel, stride, padding, batch_norm: false }
                }
                LayerDescription::Pool { kernel, stride, ceil, .. } => {
                    LayerDescription::Pool { kernel, stride, ceil, batch_norm: false }
                }
                other => other,
            })
            .collect();
        let data = batches();
        let (images, labels) =
            data.training_batch(&Tensor::arange(31, (tch::Kind::Int64, Device::Cpu))).unwrap();
        let plan = Plan::new(&plain, 8, 1, Kind::Float).unwrap();
        let mut network = Network::build(plan, Device::Cpu).unwrap();
        tch::manual_seed(3);
        initialise(&network.parameters, Initialisation::CaffeXavier).unwrap();
        let mut with = |micro| {
            let answers = gradient(&mut network, &images, &labels, 0.1, micro).unwrap();
            (answers.len(), network.parameters.for_update().1.copy())
        };
        let (whole, parts) = (with(31), with(8));
        assert_eq!((whole.0, parts.0), (1, 4));
        let difference = (&whole.1 - &parts.1).abs().max().double_value(&[]);
        assert!(difference < 1e-6 && whole.1.abs().max().double_value(&[]) > 1e-3, "{difference}");
    }

    #[test]
    fn a_smoothed_label_is_shared_with_every_class() {
        let logits = Tensor::from_slice(&[2.0, -1.0, 0.5, 0.0, 0.0, 3.0]).view([2, 3]);
        let labels = Tensor::from_slice(&[0_i64, 1]);
        // PyTorch 2.11: cross_entropy(.., reduction="sum", label_smoothing=0.1). By hand: the log
        // of the sums of exponents is 2.241309 and 3.094925, so the negated logarithms are
        // (0.241309, 3.241309, 1.741309) and (3.094925, 3.094925, 0.094925). The labels' give
        // 3.336234, all of them 11.508703: 0.9 * 3.336234 + 0.1 / 3 * 11.508703 = 3.386234.
        for (smoothing, expected) in [(0.0, 3.336_234_253_078_118), (0.1, 3.386_234_253_078_118)] {
            let found = summed_loss(&logits, &labels, smoothing).unwrap().double_value(&[]);
            assert!((found - expected).abs() < 1e-12, "{found}");
        }
    }
}

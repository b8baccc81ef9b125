//! One epoch: every optimizer step, and nothing around it.

use tch::Tensor;

use super::batches::Batches;
use super::error::TorchError;
use super::evaluate::{Scores, Tally, summed_loss};
use super::inbox::Interruption;
use super::memory::give_freed_memory_back;
use super::network::{Mode, Network};
use super::optimizer::Adam;
use super::parameters::Accumulation;

/// How an epoch ended.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum EpochEnd {
    /// Loss and accuracy while training, dropout included.
    Finished(Scores),
    /// Cut short; weights are half-way and of no use.
    Dropped(Interruption),
}

/// What does not change within an epoch.
#[derive(Debug, Clone, Copy)]
pub struct EpochSettings {
    /// Images of an optimizer step.
    pub batch_size: i64,
    /// The learning rate.
    pub learning_rate: f64,
}

/// Trains one epoch over the images in a random order, `floor(N / batch_size)` steps; the images
/// left over sit out this epoch. (With fewer images than a batch there is one step, with all.)
///
/// The order, augmentation and dropout are drawn from libtorch's generator, which the caller seeds.
/// `micro_batch` shrinks when memory is short, and stays so for the epochs to come.
///
/// # Errors
/// When libtorch fails, or when not even one image fits into memory.
pub fn train_epoch(
    network: &mut Network,
    optimizer: &mut Adam,
    data: &Batches,
    settings: EpochSettings,
    micro_batch: &mut i64,
    interruption: &mut dyn FnMut() -> Option<Interruption>,
) -> Result<EpochEnd, TorchError> {
    let batch_size = settings.batch_size.min(data.training_images());
    let order = data.random_order()?;
    let mut tally = Tally::new(data.device())?;
    for step in 0..data.training_images() / batch_size {
        if let Some(reason) = interruption() {
            return Ok(EpochEnd::Dropped(reason));
        }
        let indices = order.f_narrow(0, step * batch_size, batch_size)?;
        let (images, labels) = data.training_batch(&indices)?;
        // Weights change only after the last micro-batch, so a step that ran out of memory can be
        // done over; only its dropout is drawn anew.
        let answers =
            fitting_memory(micro_batch, |micro| gradient(network, &images, &labels, micro))?;
        for (loss, logits, labels) in &answers {
            tally.add(loss, logits, labels)?;
        }
        let (parameters, gradient) = network.parameters.for_update();
        optimizer.step(parameters, gradient, settings.learning_rate)?;
    }
    Ok(EpochEnd::Finished(tally.scores()?))
}

/// Computes the gradient of the mean loss over a batch, `micro` images at a time; returns summed
/// loss, logits and labels of each part.
fn gradient(
    network: &mut Network,
    images: &Tensor,
    labels: &Tensor,
    micro: i64,
) -> Result<Vec<(Tensor, Tensor, Tensor)>, TorchError> {
    let batch = labels.size()[0];
    let mut answers = Vec::new();
    let mut accumulation = Accumulation::Fresh;
    for first in (0..batch).step_by(micro as usize) {
        let count = micro.min(batch - first);
        let (images, labels) =
            (images.f_narrow(0, first, count)?, labels.f_narrow(0, first, count)?);
        let logits = network.forward(&images, Mode::Training)?;
        let loss = summed_loss(&logits, &labels)?;
        network.parameters.backward(&loss.f_div_scalar(batch as f64)?, accumulation)?;
        accumulation = Accumulation::Added;
        answers.push((loss.detach(), logits.detach(), labels));
    }
    Ok(answers)
}

/// Tries with `micro` images at a time, and with half as many whenever memory is short.
///
/// # Errors
/// The last failure, when one image does not fit either; any other failure at once.
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
    use crate::fixture::{alone, batches, layers};
    use crate::initialisation::initialise;
    use crate::plan::{Plan, Precision};
    use metaqnn::training::Initialisation;
    use metaqnn::training::protocol::LayerDescription;
    use tch::Device;

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
            Err::<(), _>(TorchError::Libtorch { message: "device-side assert".into() })
        };
        assert!(fitting_memory(&mut micro, failure).is_err());
        assert_eq!((times, micro), (1, 128));
    }

    #[test]
    fn micro_batches_give_the_gradient_of_the_batch() {
        let _alone = alone();
        // Without dropout and batch normalisation, whose results depend on what is computed together.
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
        let plan = Plan::new(&plain, 8, 1, Precision::Float32).unwrap();
        let mut network = Network::build(plan, Device::Cpu).unwrap();
        tch::manual_seed(3);
        initialise(&network.parameters, Initialisation::CaffeXavier).unwrap();
        let mut with = |micro| {
            let answers = gradient(&mut network, &images, &labels, micro).unwrap();
            (answers.len(), network.parameters.for_update().1.copy())
        };
        let (whole, parts) = (with(31), with(8));
        assert_eq!((whole.0, parts.0), (1, 4));
        let difference = (&whole.1 - &parts.1).abs().max().double_value(&[]);
        assert!(difference < 1e-6 && whole.1.abs().max().double_value(&[]) > 1e-3, "{difference}");
    }
}

//! A network with weights: what [`super::plan`] plans, with tensors.

use metaqnn::model::{BATCH_NORM_EPSILON, Module};
use tch::{Device, Kind, TchError, Tensor};

use super::parameters::Parameters;
use super::plan::{Plan, PlannedModule};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Dropout drops, batch normalisation uses and records the batch's statistics.
    Training,
    Evaluation,
}

#[derive(Debug)]
pub struct Network {
    plan: Plan,
    pub parameters: Parameters,
    /// Mean and variance of each batch normalisation.
    running: Vec<(Tensor, Tensor)>,
}

/// How far the running statistics move towards a batch's.
const BATCH_NORM_MOMENTUM: f64 = 0.1;

impl Network {
    pub fn build(plan: Plan, device: Device) -> Result<Self, TchError> {
        let parameters = Parameters::zeros(plan.shapes.clone(), device)?;
        let options = (Kind::Float, device);
        let mut running = Vec::new();
        for &(_, channels) in &plan.running {
            let mean = Tensor::f_zeros([channels], options)?;
            running.push((mean, Tensor::f_ones([channels], options)?));
        }
        Ok(Self { plan, parameters, running })
    }

    /// Computes the logits `[N, classes]` of images `[N, C, H, W]`.
    pub fn forward(&self, images: &Tensor, phase: Phase) -> Result<Tensor, TchError> {
        let mut maps = images.shallow_clone();
        for &step in &self.plan.steps {
            maps = self.apply(step, maps, phase)?;
        }
        maps.f_to_kind(Kind::Float)
    }

    fn apply(
        &self,
        step: PlannedModule,
        mut maps: Tensor,
        phase: Phase,
    ) -> Result<Tensor, TchError> {
        let is_training = phase == Phase::Training;
        let PlannedModule { module, weight, running } = step;
        match module {
            Module::Conv2d { stride, padding, .. } => {
                let (maps, weight, bias) = self.operands(&maps, weight)?;
                let (stride, padding) = ([stride, stride], [padding, padding]);
                maps.f_conv2d(&weight, Some(bias), stride, padding, [1, 1], 1)
            }
            Module::Linear { .. } => {
                let (maps, weight, bias) = self.operands(&maps, weight)?;
                maps.f_linear(&weight, Some(bias))
            }
            Module::BatchNorm2d { .. } => {
                let (mean, variance) = &self.running[running];
                maps.f_batch_norm(
                    Some(self.parameters.view(weight)),
                    Some(self.parameters.view(weight + 1)),
                    Some(mean),
                    Some(variance),
                    is_training,
                    BATCH_NORM_MOMENTUM,
                    BATCH_NORM_EPSILON,
                    true,
                )
            }
            // In place: no layer needs its own output again.
            Module::ReLU {} => maps.f_relu_(),
            Module::MaxPool2d { kernel_size: side, stride, ceil_mode } => {
                maps.f_max_pool2d([side, side], [stride, stride], [0, 0], [1, 1], ceil_mode)
            }
            Module::Dropout { p } => maps.f_dropout(p, is_training),
            Module::AdaptiveAvgPool2d { .. } => {
                maps.f_mean_dim([2, 3].as_slice(), true, None::<Kind>)
            }
            Module::Flatten {} => maps.f_flatten(1, -1),
        }
    }

    /// Its weights by their names in PyTorch's `Sequential`, in memory shared with its own.
    pub fn state(&self) -> Vec<(String, Tensor)> {
        let parameters = self.parameters.iter();
        let mut state: Vec<_> =
            parameters.map(|(shape, view)| (shape.name.clone(), view.shallow_clone())).collect();
        for ((number, _), (mean, variance)) in self.plan.running.iter().zip(&self.running) {
            state.push((format!("{number}.running_mean"), mean.shallow_clone()));
            state.push((format!("{number}.running_var"), variance.shallow_clone()));
        }
        state
    }

    /// All that it has learned as it is saved, in memory shared with its own.
    pub fn tensors(&self) -> Vec<(String, Tensor)> {
        let mut tensors = vec![("parameters".to_owned(), self.parameters.flat().shallow_clone())];
        for (index, (mean, variance)) in self.running.iter().enumerate() {
            tensors.push((format!("batch_norm.{index}.mean"), mean.shallow_clone()));
            tensors.push((format!("batch_norm.{index}.variance"), variance.shallow_clone()));
        }
        tensors
    }

    pub fn reset_statistics(&mut self) -> Result<(), TchError> {
        for (mean, variance) in &mut self.running {
            let _ = mean.f_zero_()?;
            let _ = variance.f_fill_(1.0)?;
        }
        Ok(())
    }

    /// Input, weight and bias in the precision of the network.
    fn operands(&self, maps: &Tensor, weight: usize) -> Result<(Tensor, Tensor, Tensor), TchError> {
        let kind = self.plan.precision;
        let (weight, bias) = (self.parameters.view(weight), self.parameters.view(weight + 1));
        Ok((maps.f_to_kind(kind)?, weight.f_to_kind(kind)?, bias.f_to_kind(kind)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{alone, layers};
    use crate::initialisation::initialise;
    use crate::parameters::Accumulation;
    use metaqnn::seed::{Purpose, generator};
    use metaqnn::space::{Architecture, DataShape, Padding, PoolRounding, Space, SpaceParams};
    use metaqnn::training::Initialisation;
    use metaqnn::training::protocol::LayerDescription;
    use rand::Rng;

    const CPU: Device = Device::Cpu;

    fn space(image: DataShape, params: SpaceParams) -> Space {
        params.check(image).unwrap()
    }

    fn sample(space: &Space, rng: &mut impl Rng) -> Architecture {
        let mut layers = Vec::new();
        let mut here = Some(space.start());
        while let Some(state) = here {
            let actions = space.legal_actions(&space.key(&state));
            let action = actions[rng.random_range(0..actions.len())];
            layers.push(action);
            here = space.next(&state, action);
        }
        space.architecture(layers).unwrap()
    }

    /// Builds an architecture and compares it with what the space says of it.
    fn check(space: &Space, architecture: &Architecture) {
        let image = space.image;
        let layers = LayerDescription::of(space, architecture);
        let plan = Plan::new(&layers, image.size, image.channels, Kind::Float).unwrap();
        let network = Network::build(plan, CPU).unwrap();
        assert_eq!(network.parameters.count() as u64, space.cost(architecture).parameters);
        let _guard = tch::no_grad_guard();
        let size = i64::from(image.size);
        let mut maps = Tensor::zeros([1, size, size, image.channels.into()], (Kind::Float, CPU))
            .permute([0, 3, 1, 2]);
        let mut sizes = Vec::new();
        for &step in &network.plan.steps {
            maps = network.apply(step, maps, Phase::Evaluation).unwrap();
            match step.module {
                Module::Conv2d { .. } | Module::MaxPool2d { .. } => {
                    assert_eq!(maps.size()[2], maps.size()[3]);
                    sizes.push(maps.size()[2] as u32);
                }
                // Its convolution is no layer of its own.
                Module::AdaptiveAvgPool2d { .. } => drop(sizes.pop()),
                _ => {}
            }
        }
        assert_eq!(sizes, space.sizes(architecture), "{architecture}");
        assert_eq!(maps.size(), [1, image.classes.into()], "{architecture}");
    }

    fn check_samples(size: u32, channels: u32, max_layers: u32) {
        let image = DataShape { size, channels, classes: 10 };
        let space = space(image, SpaceParams { max_layers, ..SpaceParams::default() });
        let mut rng = generator(1, Purpose::Sample, max_layers.into(), size.into());
        for _ in 0..200 {
            check(&space, &sample(&space, &mut rng));
        }
    }

    #[test]
    fn networks_of_the_cifar_space_are_those_it_describes() {
        check_samples(32, 3, 18);
    }

    #[test]
    fn networks_of_the_mnist_space_are_those_it_describes() {
        check_samples(28, 1, 12);
    }

    #[test]
    fn networks_of_the_svhn_space_are_those_it_describes() {
        check_samples(32, 3, 12);
    }

    #[test]
    fn every_switch_of_a_space_reaches_its_networks() {
        let image = DataShape { size: 32, channels: 3, classes: 10 };
        let params = SpaceParams {
            filters: vec![4, 8],
            conv_padding: Padding::Valid,
            pool_rounding: PoolRounding::Ceil,
            batch_norm: true,
            allow_initial_pooling: true,
            allow_consecutive_pooling: true,
            ..SpaceParams::default()
        };
        let space = space(image, params);
        let mut rng = generator(1, Purpose::Sample, 0, 0);
        for _ in 0..200 {
            check(&space, &sample(&space, &mut rng));
        }
    }

    #[test]
    fn rectifying_after_a_pooling_changes_neither_result_nor_gradient() {
        let _alone = alone();
        let with = |between: Option<LayerDescription>| {
            let conv = LayerDescription::Conv {
                filters: 6,
                kernel: 3,
                stride: 1,
                padding: 1,
                batch_norm: false,
            };
            let pool =
                LayerDescription::Pool { kernel: 3, stride: 2, ceil: false, batch_norm: false };
            let softmax = LayerDescription::Softmax { classes: 4 };
            [Some(conv), between, Some(pool), Some(softmax)]
                .into_iter()
                .flatten()
                .collect::<Vec<_>>()
        };
        let images = Tensor::rand([5, 9, 9, 2], (Kind::Float, CPU)).permute([0, 3, 1, 2]);
        let answer = |between| {
            let plan = Plan::new(&with(between), 9, 2, Kind::Float).unwrap();
            let moved = plan.steps[1].module != Module::ReLU {};
            let mut network = Network::build(plan, CPU).unwrap();
            tch::manual_seed(5);
            initialise(&network.parameters, Initialisation::CaffeXavier).unwrap();
            let logits = network.forward(&images, Phase::Training).unwrap();
            let loss = logits.square().sum(Kind::Float);
            network.parameters.backward(&loss, Accumulation::Fresh).unwrap();
            (moved, logits.detach(), network.parameters.for_update().1.copy())
        };
        // A dropout of nothing stands in the way.
        let (moved, logits, gradient) = answer(None);
        let (kept, same_logits, same_gradient) =
            answer(Some(LayerDescription::Dropout { probability: 0.0 }));
        assert_eq!((moved, kept), (true, false));
        assert_eq!(logits, same_logits);
        assert_eq!(gradient, same_gradient);
    }

    #[test]
    fn dropout_drops_and_scales_while_training_only() {
        let _alone = alone();
        let plan = Plan::new(&[LayerDescription::Dropout { probability: 0.25 }], 8, 1, Kind::Float);
        let network = Network::build(plan.unwrap(), CPU).unwrap();
        let ones = Tensor::ones([50, 1, 8, 8], (Kind::Float, CPU));
        assert_eq!(network.forward(&ones, Phase::Evaluation).unwrap(), ones);
        let dropped = network.forward(&ones, Phase::Training).unwrap();
        // 3,200 values are 0 or 1 / 0.75; the mean of them deviates by 0.01 from 1.
        assert!((dropped.max().double_value(&[]) - 4.0 / 3.0).abs() < 1e-6);
        assert!((dropped.mean(Kind::Float).double_value(&[]) - 1.0).abs() < 0.06);
    }

    #[test]
    fn bfloat16_rounds_and_still_learns() {
        let _alone = alone();
        let build = |precision| {
            let network =
                Network::build(Plan::new(&layers(), 8, 1, precision).unwrap(), CPU).unwrap();
            tch::manual_seed(4);
            initialise(&network.parameters, Initialisation::CaffeXavier).unwrap();
            network
        };
        let images = Tensor::rand([16, 8, 8, 1], (Kind::Float, CPU)).permute([0, 3, 1, 2]);
        let exact = build(Kind::Float).forward(&images, Phase::Evaluation).unwrap();
        let mut rounding = build(Kind::BFloat16);
        let rounded = rounding.forward(&images, Phase::Evaluation).unwrap();
        let difference = (&exact - &rounded).abs().max().double_value(&[]);
        assert!(
            difference > 0.0 && difference < 0.05 * exact.abs().max().double_value(&[]),
            "{difference}"
        );
        let loss = rounding.forward(&images, Phase::Training).unwrap().square().sum(Kind::Float);
        rounding.parameters.backward(&loss, Accumulation::Fresh).unwrap();
        assert!(rounding.parameters.for_update().1.abs().max().double_value(&[]) > 0.0);
    }
}

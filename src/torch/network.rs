//! From the layers of a request to a network with weights.
//!
//! Order of the operations: convolution, (batch normalisation), ReLU, (dropout); (batch
//! normalisation), pooling, (dropout); dense, ReLU, (dropout); the classifier.

use metaqnn::space::{PoolRounding, pool_output};
use metaqnn::training::protocol::LayerDescription;
use tch::{Device, Kind, TchError, Tensor};

use super::parameters::{ParameterShape, Parameters, Role};

/// What convolutions and dense layers compute in; parameters and loss are always 32 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// 32 bits, as libtorch does it (on recent GPUs convolutions then use TF32).
    Float32,
    /// bfloat16: parameters and maps are rounded where they enter a layer. Slow on most CPUs.
    BFloat16,
}

/// Whether a network learns or is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Dropout drops, batch normalisation uses and records the batch's statistics.
    Training,
    /// Dropout does nothing, batch normalisation uses the recorded statistics.
    Evaluation,
}

/// A layer that cannot stand where it does.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("layer {position} of the request {problem}")]
pub struct Misplaced {
    /// Position from 1, dropout counted.
    pub position: usize,
    /// What is wrong with it.
    pub problem: &'static str,
}

/// One operation on a batch. Parameters are indices into [`Parameters`].
#[derive(Debug, Clone, Copy, PartialEq)]
enum Operation {
    Convolution { weight: usize, stride: i64, padding: i64 },
    BatchNorm { scale: usize, running: usize },
    Relu,
    MaxPool { kernel: i64, stride: i64, rounding: PoolRounding },
    Dropout { probability: f64 },
    GlobalMean,
    Flatten,
    Dense { weight: usize },
}

/// A network as planned: which operations, which parameters. No tensors yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    layers: Vec<Vec<Operation>>,
    shapes: Vec<ParameterShape>,
    /// Channels of each batch normalisation.
    running: Vec<i64>,
    precision: Precision,
}

/// A network with weights.
#[derive(Debug)]
pub struct Network {
    plan: Plan,
    /// Its parameters.
    pub parameters: Parameters,
    /// Mean and variance of each batch normalisation, as recorded while training.
    running: Vec<(Tensor, Tensor)>,
}

/// How far the running statistics of batch normalisation move towards a batch's.
const BATCH_NORM_MOMENTUM: f64 = 0.1;
const BATCH_NORM_EPSILON: f64 = 1e-5;

impl Plan {
    /// Plans the network of a layer sequence on square images.
    ///
    /// # Errors
    /// Names the first layer that does not fit the maps before it.
    pub fn new(
        layers: &[LayerDescription],
        input_size: u32,
        channels: u32,
        precision: Precision,
    ) -> Result<Self, Misplaced> {
        let mut planner = Planner {
            side: input_size,
            channels: i64::from(channels),
            flat: false,
            shapes: Vec::new(),
            running: Vec::new(),
        };
        let mut planned = layers
            .iter()
            .enumerate()
            .map(|(index, layer)| {
                let misplaced = |problem| Misplaced { position: index + 1, problem };
                planner.layer(layer).map_err(misplaced)
            })
            .collect::<Result<Vec<_>, _>>()?;
        rectify_after_pooling(&mut planned);
        Ok(Self { layers: planned, shapes: planner.shapes, running: planner.running, precision })
    }

    /// Gives the network its tensors, all parameters 0.
    ///
    /// # Errors
    /// When the device has no room.
    pub fn build(self, device: Device) -> Result<Network, TchError> {
        let options = (Kind::Float, device);
        let running = self
            .running
            .iter()
            .map(|&channels| {
                Ok((Tensor::f_zeros([channels], options)?, Tensor::f_ones([channels], options)?))
            })
            .collect::<Result<_, TchError>>()?;
        let parameters = Parameters::zeros(self.shapes.clone(), device)?;
        Ok(Network { plan: self, parameters, running })
    }
}

/// Moves a ReLU that stands right before a pooling behind it.
///
/// max(relu(x)) = relu(max(x)), and the gradient is the same too: it goes to the greatest value of
/// a window, if that is above 0. But the pooling leaves a quarter of the values or fewer to rectify.
fn rectify_after_pooling(layers: &mut [Vec<Operation>]) {
    for index in 1..layers.len() {
        let (before, after) = layers.split_at_mut(index);
        let (before, after) = (&mut before[index - 1], &mut after[0]);
        if let (Some(Operation::Relu), Some(Operation::MaxPool { .. })) =
            (before.last(), after.first())
        {
            before.pop();
            after.insert(1, Operation::Relu);
        }
    }
}

/// Walks the layers with the shape of the maps between them.
struct Planner {
    side: u32,
    channels: i64,
    flat: bool,
    shapes: Vec<ParameterShape>,
    running: Vec<i64>,
}

impl Planner {
    fn layer(&mut self, layer: &LayerDescription) -> Result<Vec<Operation>, &'static str> {
        let mut operations = Vec::new();
        match *layer {
            LayerDescription::Conv { filters, kernel, stride, padding, batch_norm } => {
                operations.push(self.convolution(filters, kernel, stride, padding)?);
                operations.extend(batch_norm.then(|| self.batch_norm()));
                operations.push(Operation::Relu);
            }
            LayerDescription::Pool { kernel, stride, ceil, batch_norm } => {
                operations.extend(batch_norm.then(|| self.batch_norm()));
                operations.push(self.max_pool(kernel, stride, ceil)?);
            }
            LayerDescription::GlobalAveragePool { classes } => {
                operations.push(self.convolution(classes, 1, 1, 0)?);
                operations.extend([Operation::Relu, Operation::GlobalMean]);
                (self.side, self.flat) = (1, true);
            }
            LayerDescription::FullyConnected { width } => {
                operations.extend(self.dense(width));
                operations.push(Operation::Relu);
            }
            LayerDescription::Softmax { classes } => operations.extend(self.dense(classes)),
            LayerDescription::Dropout { probability } => {
                if !(0.0..1.0).contains(&probability) {
                    return Err("drops with a probability outside [0, 1)");
                }
                operations.push(Operation::Dropout { probability });
            }
        }
        Ok(operations)
    }

    fn convolution(
        &mut self,
        filters: u32,
        kernel: u32,
        stride: u32,
        padding: u32,
    ) -> Result<Operation, &'static str> {
        self.slide(kernel, stride)?;
        let padded = self.side.saturating_add(padding.saturating_mul(2));
        self.side = pool_output(padded, kernel, stride, PoolRounding::Floor);
        if self.side == 0 {
            return Err("has a kernel greater than its map");
        }
        let (filters, kernel) = (i64::from(filters), i64::from(kernel));
        let area = kernel * kernel;
        let role = Role::Weight { fan_in: self.channels * area, fan_out: filters * area };
        let weight = self.weight_and_bias(vec![filters, self.channels, kernel, kernel], role);
        self.channels = filters;
        Ok(Operation::Convolution { weight, stride: stride.into(), padding: padding.into() })
    }

    fn max_pool(
        &mut self,
        kernel: u32,
        stride: u32,
        ceil: bool,
    ) -> Result<Operation, &'static str> {
        self.slide(kernel, stride)?;
        let rounding = if ceil { PoolRounding::Ceil } else { PoolRounding::Floor };
        self.side = pool_output(self.side, kernel, stride, rounding);
        if self.side == 0 {
            return Err("has a window greater than its map");
        }
        Ok(Operation::MaxPool { kernel: kernel.into(), stride: stride.into(), rounding })
    }

    /// Checks that a window can slide over a map.
    fn slide(&self, kernel: u32, stride: u32) -> Result<(), &'static str> {
        match (self.flat, kernel, stride) {
            (true, ..) => Err("needs a map, but the layer before it has none"),
            (_, 0, _) | (_, _, 0) => Err("has a window or a stride of 0"),
            _ => Ok(()),
        }
    }

    fn dense(&mut self, width: u32) -> Vec<Operation> {
        let mut operations = Vec::new();
        if !self.flat {
            operations.push(Operation::Flatten);
            self.channels *= i64::from(self.side) * i64::from(self.side);
            (self.side, self.flat) = (1, true);
        }
        let width = i64::from(width);
        let role = Role::Weight { fan_in: self.channels, fan_out: width };
        let weight = self.weight_and_bias(vec![width, self.channels], role);
        self.channels = width;
        operations.push(Operation::Dense { weight });
        operations
    }

    /// Adds a weight and the bias after it; returns the weight's index.
    fn weight_and_bias(&mut self, size: Vec<i64>, role: Role) -> usize {
        let bias = ParameterShape { size: vec![size[0]], role: Role::Bias };
        self.shapes.extend([ParameterShape { size, role }, bias]);
        self.shapes.len() - 2
    }

    fn batch_norm(&mut self) -> Operation {
        let scale = self.weight_and_bias(vec![self.channels], Role::Scale);
        self.running.push(self.channels);
        Operation::BatchNorm { scale, running: self.running.len() - 1 }
    }
}

impl Network {
    /// Computes the logits `[N, classes]` of images `[N, C, H, W]`.
    ///
    /// # Errors
    /// When the device has no room.
    pub fn forward(&self, images: &Tensor, mode: Mode) -> Result<Tensor, TchError> {
        let mut maps = images.shallow_clone();
        for index in 0..self.plan.layers.len() {
            maps = self.forward_layer(index, maps, mode)?;
        }
        maps.f_to_kind(Kind::Float)
    }

    /// Computes the output of one layer, its dropout included.
    ///
    /// # Errors
    /// When the device has no room.
    pub fn forward_layer(
        &self,
        index: usize,
        mut maps: Tensor,
        mode: Mode,
    ) -> Result<Tensor, TchError> {
        for &operation in &self.plan.layers[index] {
            maps = self.apply(operation, maps, mode)?;
        }
        Ok(maps)
    }

    /// Returns mean and variance of each batch normalisation by name. They share memory with the
    /// network's own.
    pub fn running_statistics(&self) -> Vec<(String, Tensor)> {
        let named = |(index, (mean, variance)): (usize, &(Tensor, Tensor))| {
            [
                (format!("batch_norm.{index}.mean"), mean.shallow_clone()),
                (format!("batch_norm.{index}.variance"), variance.shallow_clone()),
            ]
        };
        self.running.iter().enumerate().flat_map(named).collect()
    }

    /// Sets every running mean to 0 and variance to 1.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn reset_statistics(&mut self) -> Result<(), TchError> {
        for (mean, variance) in &mut self.running {
            let _ = mean.f_zero_()?;
            let _ = variance.f_fill_(1.0)?;
        }
        Ok(())
    }

    fn apply(
        &self,
        operation: Operation,
        mut maps: Tensor,
        mode: Mode,
    ) -> Result<Tensor, TchError> {
        match operation {
            Operation::Convolution { weight, stride, padding } => {
                let (maps, weight, bias) = self.operands(&maps, weight)?;
                maps.f_conv2d(&weight, Some(bias), [stride, stride], [padding, padding], [1, 1], 1)
            }
            Operation::Dense { weight } => {
                let (maps, weight, bias) = self.operands(&maps, weight)?;
                maps.f_linear(&weight, Some(bias))
            }
            Operation::BatchNorm { scale, running } => {
                let (mean, variance) = &self.running[running];
                maps.f_batch_norm(
                    Some(self.parameters.view(scale)),
                    Some(self.parameters.view(scale + 1)),
                    Some(mean),
                    Some(variance),
                    mode == Mode::Training,
                    BATCH_NORM_MOMENTUM,
                    BATCH_NORM_EPSILON,
                    true,
                )
            }
            // In place: neither a convolution nor a normalisation nor a dense layer needs its own output again.
            Operation::Relu => maps.f_relu_(),
            Operation::MaxPool { kernel, stride, rounding } => maps.f_max_pool2d(
                [kernel, kernel],
                [stride, stride],
                [0, 0],
                [1, 1],
                rounding == PoolRounding::Ceil,
            ),
            Operation::Dropout { probability } => {
                maps.f_dropout(probability, mode == Mode::Training)
            }
            Operation::GlobalMean => maps.f_mean_dim([2, 3].as_slice(), false, None::<Kind>),
            Operation::Flatten => maps.f_flatten(1, -1),
        }
    }

    /// Returns a layer's input, weight and bias in the precision it computes in.
    fn operands(&self, maps: &Tensor, weight: usize) -> Result<(Tensor, Tensor, Tensor), TchError> {
        let kind = match self.plan.precision {
            Precision::Float32 => Kind::Float,
            Precision::BFloat16 => Kind::BFloat16,
        };
        let (weight, bias) = (self.parameters.view(weight), self.parameters.view(weight + 1));
        Ok((maps.f_to_kind(kind)?, weight.f_to_kind(kind)?, bias.f_to_kind(kind)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::alone;
    use crate::initialisation::initialise;
    use crate::parameters::Accumulation;
    use metaqnn::seed::{Purpose, generator};
    use metaqnn::space::{Architecture, ImageShape, Padding, Space, SpaceParams};
    use metaqnn::training::Initialisation;
    use rand::Rng;

    const CPU: Device = Device::Cpu;

    fn space(image: ImageShape, params: SpaceParams) -> Space {
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
        let image = space.image();
        let layers = LayerDescription::of(space, architecture);
        let plan = Plan::new(&layers, image.size, image.channels, Precision::Float32).unwrap();
        let network = plan.build(CPU).unwrap();
        assert_eq!(network.parameters.count() as u64, space.cost(architecture).parameters);
        let _guard = tch::no_grad_guard();
        let size = i64::from(image.size);
        let mut maps = Tensor::zeros([1, size, size, image.channels.into()], (Kind::Float, CPU))
            .permute([0, 3, 1, 2]);
        let mut sizes = Vec::new();
        for (index, layer) in layers.iter().enumerate() {
            maps = network.forward_layer(index, maps, Mode::Evaluation).unwrap();
            if matches!(layer, LayerDescription::Conv { .. } | LayerDescription::Pool { .. }) {
                assert_eq!(maps.size()[2], maps.size()[3]);
                sizes.push(maps.size()[2] as u32);
            }
        }
        assert_eq!(sizes, space.sizes(architecture), "{architecture}");
        assert_eq!(maps.size(), [1, image.classes.into()], "{architecture}");
    }

    fn check_samples(size: u32, channels: u32, max_layers: u32) {
        let image = ImageShape { size, channels, classes: 10 };
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
        let image = ImageShape { size: 32, channels: 3, classes: 10 };
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
    fn layers_that_do_not_fit_are_named() {
        let plan = |layers: &[LayerDescription]| {
            Plan::new(layers, 4, 1, Precision::Float32)
                .map(|_| ())
                .map_err(|error| error.to_string())
        };
        let pool =
            |kernel| LayerDescription::Pool { kernel, stride: 2, ceil: false, batch_norm: false };
        let dense = LayerDescription::FullyConnected { width: 8 };
        assert_eq!(plan(&[pool(2), dense.clone()]), Ok(()));
        assert!(
            plan(&[pool(2), pool(3)]).unwrap_err().contains("layer 2 of the request has a window")
        );
        assert!(plan(&[dense, pool(2)]).unwrap_err().contains("needs a map"));
        let dropout = LayerDescription::Dropout { probability: 1.0 };
        assert!(plan(&[dropout]).unwrap_err().contains("probability"));
    }

    #[test]
    fn rectifying_after_a_pooling_changes_neither_result_nor_gradient() {
        let _alone = alone();
        let layers = |between: Option<LayerDescription>| {
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
            let plan = Plan::new(&layers(between), 9, 2, Precision::Float32).unwrap();
            let moved = plan.layers[0].last() != Some(&Operation::Relu);
            let mut network = plan.build(CPU).unwrap();
            tch::manual_seed(5);
            initialise(&network.parameters, Initialisation::CaffeXavier).unwrap();
            let logits = network.forward(&images, Mode::Training).unwrap();
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
        let plan =
            Plan::new(&[LayerDescription::Dropout { probability: 0.25 }], 8, 1, Precision::Float32);
        let network = plan.unwrap().build(CPU).unwrap();
        let ones = Tensor::ones([50, 1, 8, 8], (Kind::Float, CPU));
        assert_eq!(network.forward(&ones, Mode::Evaluation).unwrap(), ones);
        let dropped = network.forward(&ones, Mode::Training).unwrap();
        // 3,200 values are 0 or 1 / 0.75; the mean of them deviates by 0.01 from 1.
        assert!((dropped.max().double_value(&[]) - 4.0 / 3.0).abs() < 1e-6);
        assert!((dropped.mean(Kind::Float).double_value(&[]) - 1.0).abs() < 0.06);
    }

    #[test]
    fn bfloat16_rounds_and_still_learns() {
        let _alone = alone();
        let build = |precision| {
            let network =
                Plan::new(&crate::fixture::layers(), 8, 1, precision).unwrap().build(CPU).unwrap();
            tch::manual_seed(4);
            initialise(&network.parameters, Initialisation::CaffeXavier).unwrap();
            network
        };
        let images = Tensor::rand([16, 8, 8, 1], (Kind::Float, CPU)).permute([0, 3, 1, 2]);
        let exact = build(Precision::Float32).forward(&images, Mode::Evaluation).unwrap();
        let mut rounding = build(Precision::BFloat16);
        let rounded = rounding.forward(&images, Mode::Evaluation).unwrap();
        let difference = (&exact - &rounded).abs().max().double_value(&[]);
        assert!(
            difference > 0.0 && difference < 0.05 * exact.abs().max().double_value(&[]),
            "{difference}"
        );
        let loss = rounding.forward(&images, Mode::Training).unwrap().square().sum(Kind::Float);
        rounding.parameters.backward(&loss, Accumulation::Fresh).unwrap();
        assert!(rounding.parameters.for_update().1.abs().max().double_value(&[]) > 0.0);
    }
}

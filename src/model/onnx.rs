//! `model.onnx`: preprocessing, network and softmax as one graph of ONNX operators, from raw pixels
//! `[N, C, H, W]`, 0 to 255, to probabilities `[N, classes]`.

use prost::Message;
use safetensors::tensor::TensorView;

use super::sequential::Module;
use crate::dataset::{DataParams, Preprocess};
use crate::space::{PoolRounding, pool_output};

const OPSET: i64 = 17;
const IR_VERSION: i64 = 8;
const INPUT: &str = "pixels";
const OUTPUT: &str = "probabilities";

/// Returns the bytes of the file. The tensors are those of the modules and of the preprocessing.
pub(super) fn encode<'a>(
    data: &DataParams,
    modules: &[Module],
    tensors: impl Iterator<Item = (&'a String, &'a TensorView<'a>)>,
) -> Vec<u8> {
    let (size, channels) = (data.input_size, i64::from(data.channels));
    let stored = tensors.map(|(name, tensor)| {
        let dims: Vec<_> = tensor.shape().iter().map(|&size| size as i64).collect();
        TensorProto::floats(name, &dims, tensor.data().to_vec())
    });
    let graph = GraphProto {
        name: "network".to_owned(),
        input: vec![ValueInfoProto::floats(INPUT, &[channels, size.into(), size.into()])],
        output: vec![ValueInfoProto::floats(OUTPUT, &[data.classes.into()])],
        initializer: stored.collect(),
        node: Vec::new(),
    };
    let mut builder = GraphBuilder { graph, value: INPUT.to_owned(), side: size };
    builder.prepare(data.preprocess, channels);
    for (number, module) in modules.iter().enumerate() {
        builder.add(number, module);
    }
    builder.then("Softmax", &[], Vec::new());
    builder.graph.node.last_mut().expect("one was added").output = vec![OUTPUT.to_owned()];
    let opset = OperatorSetIdProto { domain: String::new(), version: OPSET };
    let (producer_name, graph) = ("metaqnn".to_owned(), Some(builder.graph));
    let opset_import = vec![opset];
    ModelProto { ir_version: IR_VERSION, producer_name, graph, opset_import }.encode_to_vec()
}

struct GraphBuilder {
    graph: GraphProto,
    /// What the newest node computes.
    value: String,
    /// Of the maps.
    side: u32,
}

impl GraphBuilder {
    /// Adds a node of the newest value and of others by name; returns the name of its result.
    fn then(&mut self, operator: &str, others: &[&str], attribute: Vec<AttributeProto>) -> String {
        let value = self.value.clone();
        self.node(operator, &[&[value.as_str()], others].concat(), attribute)
    }

    fn node(&mut self, operator: &str, input: &[&str], attribute: Vec<AttributeProto>) -> String {
        self.value = format!("value.{}", self.graph.node.len() + 1);
        self.graph.node.push(NodeProto {
            input: input.iter().map(|&name| name.to_owned()).collect(),
            output: vec![self.value.clone()],
            op_type: operator.to_owned(),
            attribute,
        });
        self.value.clone()
    }

    /// By the formulas of [`Preprocess`].
    fn prepare(&mut self, method: Preprocess, channels: i64) {
        let (dividend, mean_square) = match method {
            Preprocess::None => return,
            Preprocess::MeanSubtraction | Preprocess::GlobalContrastNormalisation => {
                self.then("Sub", &["mean"], Vec::new());
                self.then("Div", &["deviation"], Vec::new());
                return;
            }
            Preprocess::StandardWhitening => {
                let over_pixels = vec![AttributeProto::ints("axes", &[2, 3])];
                let mean = self.then("ReduceMean", &[], over_pixels.clone());
                let centred = self.node("Sub", &[INPUT, &mean], Vec::new());
                self.then("Mul", &[&centred], Vec::new());
                (centred, self.then("ReduceMean", &[], over_pixels))
            }
            Preprocess::LocalContrastNormalisation => {
                self.add_blur(channels);
                let mean = self.blur(INPUT, channels);
                let squares = self.node("Mul", &[INPUT, INPUT], Vec::new());
                let mean_square = self.blur(&squares, channels);
                (self.node("Sub", &[INPUT, &mean], Vec::new()), mean_square)
            }
        };
        self.node("Sqrt", &[&mean_square], Vec::new());
        let divisor = self.then("Max", &["floor"], Vec::new());
        self.node("Div", &[&dividend, &divisor], Vec::new());
    }

    /// Turns the kernel into what [`Self::blur`] needs: rows, columns, and the mirrored border.
    fn add_blur(&mut self, channels: i64) {
        let tensors = &mut self.graph.initializer;
        let index = tensors.iter().position(|tensor| tensor.name == "blur");
        let kernel = tensors.remove(index.expect("the constants were checked"));
        let (steps, bytes) = (kernel.dims[0], kernel.raw_data.repeat(channels as usize));
        let reach = steps / 2;
        let border = [0, 0, reach, reach, 0, 0, reach, reach];
        let border_bytes = border.iter().flat_map(|size| size.to_le_bytes()).collect();
        tensors.push(TensorProto::floats("rows", &[channels, 1, 1, steps], bytes.clone()));
        tensors.push(TensorProto::floats("columns", &[channels, 1, steps, 1], bytes));
        let integers = TensorProto::floats("border", &[8], border_bytes);
        tensors.push(TensorProto { data_type: TensorProto::INT64, ..integers });
    }

    fn blur(&mut self, value: &str, channels: i64) -> String {
        let of_channel = || vec![AttributeProto::int("group", channels)];
        self.node("Pad", &[value, "border"], vec![AttributeProto::text("mode", "reflect")]);
        self.then("Conv", &["rows"], of_channel());
        self.then("Conv", &["columns"], of_channel())
    }

    fn add(&mut self, number: usize, module: &Module) {
        let tensors = module.tensors().into_iter();
        let names: Vec<_> = tensors.map(|(name, _)| format!("{number}.{name}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let (operator, attributes) = match *module {
            Module::Conv2d { kernel_size, stride, padding, .. } => {
                self.side += 2 * padding as u32;
                let border = [padding, padding];
                ("Conv", self.window(kernel_size, stride, PoolRounding::Floor, Some(border)))
            }
            Module::MaxPool2d { kernel_size, stride, ceil_mode } => {
                let rounding = if ceil_mode { PoolRounding::Ceil } else { PoolRounding::Floor };
                ("MaxPool", self.window(kernel_size, stride, rounding, None))
            }
            // The default of its epsilon is PyTorch's.
            Module::BatchNorm2d { .. } => ("BatchNormalization", Vec::new()),
            Module::ReLU {} => ("Relu", Vec::new()),
            Module::AdaptiveAvgPool2d { .. } => ("GlobalAveragePool", Vec::new()),
            Module::Flatten {} => ("Flatten", Vec::new()),
            Module::Linear { .. } => ("Gemm", vec![AttributeProto::int("transB", 1)]),
            // It passes everything on.
            Module::Dropout { .. } => return,
        };
        self.then(operator, &names, attributes);
    }

    /// Slides a window over maps; `border` none is what the last window needs, since programs
    /// differ in what they make of `ceil_mode`.
    fn window(
        &mut self,
        kernel: i64,
        stride: i64,
        rounding: PoolRounding,
        border: Option<[i64; 2]>,
    ) -> Vec<AttributeProto> {
        let windows = pool_output(self.side, kernel as u32, stride as u32, rounding);
        let reach = (i64::from(windows) - 1) * stride + kernel;
        let [begin, end] = border.unwrap_or([0, (reach - i64::from(self.side)).max(0)]);
        self.side = windows;
        vec![
            AttributeProto::ints("kernel_shape", &[kernel, kernel]),
            AttributeProto::ints("strides", &[stride, stride]),
            AttributeProto::ints("pads", &[begin, begin, end, end]),
        ]
    }
}

/// Messages of onnx.proto, of their fields those that are written.
macro_rules! messages {
    ($($name:ident { $($field:ident: $type:ty = ($($prost:tt)*),)* })*) => {
        $(
            #[derive(Clone, PartialEq, Message)]
            struct $name {
                $(#[prost($($prost)*)] $field: $type,)*
            }
        )*
    };
}

messages! {
    ModelProto {
        ir_version: i64 = (int64, tag = "1"),
        producer_name: String = (string, tag = "2"),
        graph: Option<GraphProto> = (message, optional, tag = "7"),
        opset_import: Vec<OperatorSetIdProto> = (message, repeated, tag = "8"),
    }
    OperatorSetIdProto {
        domain: String = (string, tag = "1"),
        version: i64 = (int64, tag = "2"),
    }
    GraphProto {
        node: Vec<NodeProto> = (message, repeated, tag = "1"),
        name: String = (string, tag = "2"),
        initializer: Vec<TensorProto> = (message, repeated, tag = "5"),
        input: Vec<ValueInfoProto> = (message, repeated, tag = "11"),
        output: Vec<ValueInfoProto> = (message, repeated, tag = "12"),
    }
    NodeProto {
        input: Vec<String> = (string, repeated, tag = "1"),
        output: Vec<String> = (string, repeated, tag = "2"),
        op_type: String = (string, tag = "4"),
        attribute: Vec<AttributeProto> = (message, repeated, tag = "5"),
    }
    AttributeProto {
        name: String = (string, tag = "1"),
        i: Option<i64> = (int64, optional, tag = "3"),
        s: Option<Vec<u8>> = (bytes = "vec", optional, tag = "4"),
        ints: Vec<i64> = (int64, repeated, tag = "8"),
        r#type: i32 = (int32, tag = "20"),
    }
    TensorProto {
        dims: Vec<i64> = (int64, repeated, tag = "1"),
        data_type: i32 = (int32, tag = "2"),
        name: String = (string, tag = "8"),
        raw_data: Vec<u8> = (bytes = "vec", tag = "9"),
    }
    ValueInfoProto {
        name: String = (string, tag = "1"),
        r#type: Option<TypeProto> = (message, optional, tag = "2"),
    }
    TypeProto {
        tensor_type: Option<TensorTypeProto> = (message, optional, tag = "1"),
    }
    TensorTypeProto {
        elem_type: i32 = (int32, tag = "1"),
        shape: Option<TensorShapeProto> = (message, optional, tag = "2"),
    }
    TensorShapeProto {
        dim: Vec<DimensionProto> = (message, repeated, tag = "1"),
    }
    DimensionProto {
        dim_value: Option<i64> = (int64, optional, tag = "1"),
        dim_param: Option<String> = (string, optional, tag = "2"),
    }
}

impl AttributeProto {
    fn int(name: &str, value: i64) -> Self {
        Self { name: name.to_owned(), i: Some(value), r#type: 2, ..Self::default() }
    }

    fn text(name: &str, value: &str) -> Self {
        Self { name: name.to_owned(), s: Some(value.into()), r#type: 3, ..Self::default() }
    }

    fn ints(name: &str, values: &[i64]) -> Self {
        Self { name: name.to_owned(), ints: values.to_vec(), r#type: 7, ..Self::default() }
    }
}

impl TensorProto {
    const FLOAT: i32 = 1;
    const INT64: i32 = 7;

    fn floats(name: &str, dims: &[i64], raw_data: Vec<u8>) -> Self {
        Self { dims: dims.to_vec(), data_type: Self::FLOAT, name: name.to_owned(), raw_data }
    }
}

impl ValueInfoProto {
    /// Any number of arrays of this shape.
    fn floats(name: &str, shape: &[i64]) -> Self {
        let batch = DimensionProto { dim_value: None, dim_param: Some("N".to_owned()) };
        let size = |&size: &i64| DimensionProto { dim_value: Some(size), dim_param: None };
        let dim = [batch].into_iter().chain(shape.iter().map(size)).collect();
        let shape = Some(TensorShapeProto { dim });
        let tensor_type = Some(TensorTypeProto { elem_type: TensorProto::FLOAT, shape });
        Self { name: name.to_owned(), r#type: Some(TypeProto { tensor_type }) }
    }
}

//! The `search_space` section, unchecked ([`SpaceParams`]) and checked ([`Space`]).

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use smart_default::SmartDefault;

use super::mask::Mask;
use crate::invalid::Invalid;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Padding {
    /// Padded by half a kernel: the size stays.
    Same,
    Valid,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PoolRounding {
    /// Incomplete windows are dropped.
    Floor,
    /// Incomplete windows count (Caffe's rule).
    Ceil,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KernelRule {
    /// Smaller than the smallest size of its bin: what the published code does.
    StrictBin,
    /// At most that: what the paper says. Its one effect is a 1x1 convolution in the smallest bin.
    LeBin,
}

/// Side and stride of the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Pool(pub u32, pub u32);

/// Images of `size` x `size` pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DataShape {
    pub size: u32,
    pub channels: u32,
    pub classes: u32,
}

/// The defaults are those of the paper's runs.
#[derive(Debug, Clone, PartialEq, SmartDefault, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SpaceParams {
    /// Dropout and softmax not counted. The paper's CIFAR-10 search has 18.
    #[default = 12]
    pub max_layers: u32,
    #[default(vec![64, 128, 256, 512])]
    pub filters: Vec<u32>,
    /// Odd with `same` padding.
    #[default(vec![1, 3, 5])]
    pub kernels: Vec<u32>,
    #[default(vec![Pool(5, 3), Pool(3, 2), Pool(2, 2)])]
    pub pools: Vec<Pool>,
    /// Those below the number of classes are left out.
    #[default(vec![512, 256, 128])]
    pub fc_widths: Vec<u32>,
    /// The classifier is not counted.
    #[default = 2]
    pub max_fc_layers: u32,
    #[default(Padding::Same)]
    pub conv_padding: Padding,
    pub allow_initial_pooling: bool,
    pub allow_consecutive_pooling: bool,
    /// Between each convolution and its ReLU and before each pooling.
    pub batch_norm: bool,
    #[default(KernelRule::StrictBin)]
    pub kernel_rule: KernelRule,
    /// In the grammar and in training alike.
    #[default(PoolRounding::Floor)]
    pub pool_rounding: PoolRounding,
    /// See [`Space::sampling_key`].
    pub fc_bin_quirk: bool,
}

#[derive(Debug, Clone, PartialEq, derive_more::Deref)]
pub struct Space {
    #[deref]
    params: SpaceParams,
    pub image: DataShape,
    pub(super) legal: Legal,
    pub(super) mask: Option<Arc<Mask>>,
}

/// Which networks are legal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Legal {
    ByGrammar,
    /// Whatever can be built at the size of the images.
    Buildable,
}

/// Bounds the work of counting.
pub(super) const MOST_LAYERS: u32 = 200;
const LARGEST_IMAGE: u32 = 1024;
/// The greatest number in a layer. With it the costs of every legal network fit into 64 bits: 200
/// layers of 16,384 filters on 16,384 with kernels of at most 8 (the rule of the bins) over 1,024^2
/// pixels are 200 * 2^14 * 2^14 * 2^6 * 2^20 < 2^62 multiply-accumulates.
pub(super) const GREATEST: u32 = 16_384;
/// Of one kind of layer; bounds the actions of a state.
const MOST_CHOICES: usize = 64;
const MOST_CLASSES: u32 = 65_536;

impl SpaceParams {
    pub fn check(self, image: DataShape) -> Result<Space, Invalid> {
        Invalid::unless_in(1..=LARGEST_IMAGE, "data.input_size", image.size)?;
        Invalid::unless_in(1..=1024, "data.channels", image.channels)?;
        Invalid::unless_in(2..=MOST_CLASSES, "data.classes", image.classes)?;
        Invalid::unless_in(1..=MOST_LAYERS, "search_space.max_layers", self.max_layers)?;
        Invalid::unless_in(0..=MOST_LAYERS, "search_space.max_fc_layers", self.max_fc_layers)?;
        let squares = |sides: &[u32]| sides.iter().map(|&side| Pool(side, side)).collect();
        check_list("search_space.filters", squares(&self.filters))?;
        check_list("search_space.kernels", squares(&self.kernels))?;
        check_list("search_space.fc_widths", squares(&self.fc_widths))?;
        check_list("search_space.pools", self.pools.clone())?;
        let even = self.kernels.iter().find(|&kernel| kernel % 2 == 0);
        if let (Padding::Same, Some(even)) = (self.conv_padding, even) {
            let allowed = "`same` padding needs odd kernels, or set `conv_padding: valid`";
            return Err(Invalid::new("search_space.kernels", even, allowed));
        }
        Ok(Space { params: self, image, legal: Legal::ByGrammar, mask: None })
    }
}

/// A value that stands twice would be two actions with one meaning.
fn check_list(key: &str, values: Vec<Pool>) -> Result<(), Invalid> {
    let length = format!("a list of {}", values.len());
    let allowed = format!("must have at most {MOST_CHOICES} values");
    Invalid::unless(values.len() <= MOST_CHOICES, key, length, &allowed)?;
    for (index, value @ &Pool(side, stride)) in values.iter().enumerate() {
        Invalid::unless_in(1..=GREATEST, key, side)?;
        Invalid::unless_in(1..=GREATEST, key, stride)?;
        let is_new = !values[..index].contains(value);
        Invalid::unless(is_new, key, side, "stands twice in the list")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const IMAGE: DataShape = DataShape { size: 32, channels: 3, classes: 10 };

    #[test]
    fn each_rule_has_its_error() {
        let with = |change: fn(&mut SpaceParams)| {
            let mut params = SpaceParams::default();
            change(&mut params);
            params.check(IMAGE)
        };
        assert!(with(|_| {}).is_ok());
        let refused = |change| with(change).unwrap_err().to_string();
        assert_eq!(
            refused(|p| p.kernels = vec![2]),
            "`search_space.kernels` is `2` (`same` padding needs odd kernels, or set \
             `conv_padding: valid`)"
        );
        assert!(with(|p| (p.kernels, p.conv_padding) = (vec![2], Padding::Valid)).is_ok());
        assert_eq!(
            refused(|p| p.filters = vec![64, 64]),
            "`search_space.filters` is `64` (stands twice in the list)"
        );
        assert_eq!(
            refused(|p| p.max_layers = 0),
            "`search_space.max_layers` is `0` (must be 1 to 200)"
        );
        assert_eq!(
            refused(|p| p.pools = vec![Pool(2, 0)]),
            "`search_space.pools` is `0` (must be 1 to 16384)"
        );
        assert_eq!(
            refused(|p| p.filters = (1..=65).collect()),
            "`search_space.filters` is `a list of 65` (must have at most 64 values)"
        );
    }
}

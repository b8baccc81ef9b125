//! The `data:` section of a configuration: which images, how they are split and prepared.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use smart_default::SmartDefault;

use super::error::DatasetError;
use super::images::{ImageShape, ValueRange};
use super::resize::Resize;
use crate::invalid::Invalid;

/// `classes`, `input_size` and `channels` have no defaults; they are compared with the files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataParams {
    /// A trainer that brings its own data needs neither this nor `path`.
    pub kind: Option<DataKind>,
    /// The folder of the files, or the file.
    pub path: Option<PathBuf>,
    pub classes: u32,
    /// What stands in the files for class 0, those of CIFAR and of pictures aside; null means 0, of
    /// SVHN 1, unless training labels have another meaning (`init` fills it in).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_label: Option<u32>,
    /// Height and width of an image in pixels. Images are square.
    pub input_size: u32,
    pub channels: u32,
    #[serde(default)]
    pub validation: ValidationParams,
    /// All that are not for validation when absent. Fewer take from every class its share.
    pub training_images: Option<u32>,
    /// Whether the extra images of SVHN train, too. They never judge, so that the validation part
    /// is the same with and without them.
    #[serde(default)]
    pub extra: bool,
    #[serde(default)]
    pub preprocess: Preprocess,
    #[serde(default)]
    pub augment: AugmentParams,
    /// Which values of pixels become 0 and 255. Null means those; of own images `init` fills it in,
    /// for words with the least and the greatest value of the training part.
    pub value_range: Option<ValueRange>,
    /// Names of images and labels in an `.npz` file, by part; null means their usual names.
    pub arrays: Option<Vec<String>>,
    /// In the order of the labels; when absent the folders of pictures, else numbers.
    #[serde(default)]
    pub class_names: Option<Vec<String>>,
    #[serde(default)]
    pub resize: Resize,
    /// Whether pictures that cannot be read are left out.
    #[serde(default)]
    pub skip_unreadable: bool,
    /// Folder of the decoded pictures; null means `.metaqnn-cache` beside their folder.
    pub cache: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, strum::Display)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum DataKind {
    /// Plain or gzip, under the names that MNIST and Fashion-MNIST use.
    Idx,
    Cifar10,
    /// The binary version, fine classes.
    Cifar100,
    /// The cropped digits (format 2, `train_32x32.mat`); class 9 is the digit 0.
    Svhn,
    /// A folder of pictures, see [`folders`](super::folders).
    Images,
    /// One file of arrays.
    Npz,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, SmartDefault, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ValidationParams {
    /// The default is the paper's. Null means a fifth of every class, at least two images; 0 trains
    /// with all images, which only a list may.
    #[default(Some(5_000))]
    pub images: Option<u32>,
    pub method: SplitMethod,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, strum::Display)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum SplitMethod {
    /// Of every class its share, drawn at random, as the paper describes.
    #[default]
    Random,
    /// Of every class its share, the first in the order of the files, as the reference code does.
    First,
    /// The same number of every class in the order of the files: first those that train, then
    /// those for validation (the reference's small version of SVHN: 700 and 300 of each class).
    Balanced,
}

/// What is done to the bytes of the files, 0 to 255; none scales to [0, 1]. Statistics come from
/// the training part only and are applied to every other image unchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Preprocess {
    None,
    /// `x - mean`, with a mean for each channel and pixel over the training part.
    #[default]
    MeanSubtraction,
    /// `(x - mean) / max(deviation, 0.001)`, both for each channel and pixel over the training
    /// part. The reference's name for it; what is usually called so works within one image.
    GlobalContrastNormalisation,
    /// `(x - mean) / max(deviation, 1 / sqrt(H W))`, with mean and deviation over the pixels of one
    /// channel of one image.
    StandardWhitening,
    /// `(x - blur(x)) / max(sqrt(blur(x^2)), 0.001)` for each channel of an image (the local root
    /// mean square, not the deviation, as in the reference); `blur` is a 7x7 Gaussian of sigma 1,
    /// the border mirrored about its outermost pixel (`c b | a b c`).
    LocalContrastNormalisation,
}

/// Of training images, at random, anew in each epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AugmentParams {
    /// Left to right, with probability 1/2.
    pub mirror: bool,
    /// The largest shift along each axis, in pixels; 0 shifts nothing.
    pub translate: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, derive_more::Deref)]
pub struct ValidDataParams(DataParams);

impl DataParams {
    /// Without it, all images train, and networks are neither judged nor compared.
    pub fn has_validation(&self) -> bool {
        self.validation.images != Some(0)
    }

    pub fn check(self) -> Result<ValidDataParams, Invalid> {
        // The mirrored border of the blur reaches three pixels into the image.
        let is_blurred = self.preprocess == Preprocess::LocalContrastNormalisation;
        let smallest = if is_blurred { 4 } else { 1 };
        Invalid::unless_in(2..=256, "data.classes", self.classes)?;
        Invalid::unless_in(smallest..=1_024, "data.input_size", self.input_size)?;
        Invalid::unless_in(1..=64, "data.channels", self.channels)?;
        if self.kind.is_some() != self.path.is_some() {
            let missing = if self.kind.is_none() { "data.kind" } else { "data.path" };
            let allowed = "give both `data.kind` and `data.path`, or none when the trainer brings \
                           its own data";
            return Err(Invalid::new(missing, "null", allowed));
        }
        self.kind.map_or(Ok(()), |kind| self.check_format(kind))?;
        let training = self.training_images;
        Invalid::unless_in(1..=u32::MAX, "data.training_images", training.unwrap_or(1))?;
        self.check_balanced()?;
        let allowed = "only `data.kind: svhn` has extra images, which train all or not at all: \
                       leave it out, or `data.training_images`";
        let holds = self.kind == Some(DataKind::Svhn) && training.is_none();
        Invalid::unless(holds || !self.extra, "data.extra", self.extra, allowed)?;
        let most = self.input_size - 1;
        Invalid::unless_in(0..=most, "data.augment.translate", self.augment.translate)?;
        if let Some([low, high]) = self.value_range {
            let allowed = "two values, the lesser first, of 0 to 65535";
            let holds = low < high && high <= u16::MAX.into();
            Invalid::unless(holds, "data.value_range", format!("[{low}, {high}]"), allowed)?;
        }
        let most = match self.kind {
            Some(DataKind::Svhn) => 1,
            Some(DataKind::Cifar10 | DataKind::Cifar100 | DataKind::Images) => 0,
            _ => u32::MAX,
        };
        Invalid::unless_in(0..=most, "data.first_label", self.first_label.unwrap_or(0))?;
        let names = self.class_names.as_ref().map_or(self.classes as usize, Vec::len);
        let allowed = format!("name all `{}` classes, in the order of their labels", self.classes);
        Invalid::unless(names == self.classes as usize, "data.class_names", names, &allowed)?;
        let names = self.arrays.as_ref().map_or(2, Vec::len);
        let allowed = "give the names of 2, 4 or 6 arrays: images and labels of each part";
        Invalid::unless([2, 4, 6].contains(&names), "data.arrays", names, allowed)?;
        Ok(ValidDataParams(self))
    }

    fn check_format(&self, kind: DataKind) -> Result<(), Invalid> {
        let (classes, input_size, channels) = match kind {
            DataKind::Images => {
                let holds = matches!(self.channels, 1 | 3);
                let allowed = "pictures are grey, `1`, or coloured, `3`";
                Invalid::unless(holds, "data.channels", self.channels, allowed)?;
                let method = self.validation.method;
                let allowed = "pictures are drawn by `random` (or split by folders)";
                let holds = method == SplitMethod::Random;
                return Invalid::unless(holds, "data.validation.method", method, allowed);
            }
            DataKind::Idx | DataKind::Npz => return Ok(()),
            DataKind::Cifar10 | DataKind::Svhn => (10, 32, 3),
            DataKind::Cifar100 => (100, 32, 3),
        };
        for (key, value, fixed) in [
            ("data.classes", self.classes, classes),
            ("data.input_size", self.input_size, input_size),
            ("data.channels", self.channels, channels),
        ] {
            let allowed = format!("must be `{fixed}` for data of kind `{kind}`");
            Invalid::unless(value == fixed, key, value, &allowed)?;
        }
        Ok(())
    }

    fn check_balanced(&self) -> Result<(), Invalid> {
        if self.validation.method != SplitMethod::Balanced {
            return Ok(());
        }
        let needs = "`data.validation.method: balanced` needs a number";
        for (key, value) in [
            ("data.training_images", self.training_images),
            ("data.validation.images", self.validation.images),
        ] {
            let value = value.ok_or_else(|| Invalid::new(key, "null", needs))?;
            let holds = value.is_multiple_of(self.classes);
            let allowed = format!("a balanced split needs a multiple of `{}`", self.classes);
            Invalid::unless(holds, key, value, &allowed)?;
        }
        Ok(())
    }
}

impl ValidDataParams {
    pub fn shape(&self) -> ImageShape {
        ImageShape { channels: self.0.channels as usize, size: self.0.input_size as usize }
    }

    pub(super) fn beginning_at(&self, first_label: u32) -> Self {
        Self(DataParams { first_label: Some(first_label), ..self.0.clone() })
    }

    pub fn files(&self) -> Result<(DataKind, &Path), DatasetError> {
        let none = "no images are configured (set `data.kind` and `data.path`)";
        let files = self.kind.zip(self.path.as_deref());
        files.ok_or_else(|| DatasetError::Unsuitable(none.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fashion_mnist() -> DataParams {
        serde_yaml::from_str(
            "{kind: idx, path: /data/fashion-mnist, classes: 10, input_size: 28, channels: 1}",
        )
        .unwrap()
    }

    fn refusal(change: impl FnOnce(&mut DataParams)) -> String {
        let mut params = fashion_mnist();
        change(&mut params);
        params.check().unwrap_err().to_string()
    }

    #[test]
    fn the_defaults_are_those_of_the_paper() {
        let params = fashion_mnist().check().unwrap();
        let validation = ValidationParams { images: Some(5_000), method: SplitMethod::Random };
        assert_eq!(params.validation, validation);
        assert_eq!(params.training_images, None);
        assert_eq!(params.preprocess, Preprocess::MeanSubtraction);
        assert_eq!(params.augment, AugmentParams { mirror: false, translate: 0 });
        assert_eq!(params.shape(), ImageShape { channels: 1, size: 28 });
    }

    #[test]
    fn written_parameters_read_back_equal() {
        let mut params = fashion_mnist();
        params.training_images = Some(5_000);
        params.validation.method = SplitMethod::Balanced;
        params.preprocess = Preprocess::LocalContrastNormalisation;
        let text = serde_yaml::to_string(&params).unwrap();
        assert_eq!(serde_yaml::from_str::<DataParams>(&text).unwrap(), params);
    }

    #[test]
    fn classes_size_and_channels_have_no_defaults() {
        for missing in ["classes", "input_size", "channels"] {
            let mut value = serde_yaml::to_value(fashion_mnist()).unwrap();
            value.as_mapping_mut().unwrap().remove(missing);
            let error = serde_yaml::from_value::<DataParams>(value).unwrap_err().to_string();
            assert!(error.contains(missing), "{error}");
        }
    }

    #[test]
    fn unknown_keys_are_refused_at_every_depth() {
        for (section, key) in
            [(None, "clases"), (Some("validation"), "image"), (Some("augment"), "flip")]
        {
            let mut value = serde_yaml::to_value(fashion_mnist()).unwrap();
            let target = match section {
                Some(section) => &mut value[section],
                None => &mut value,
            };
            target[key] = 1.into();
            let error = serde_yaml::from_value::<DataParams>(value).unwrap_err().to_string();
            assert!(error.contains(key), "{error}");
        }
    }

    #[test]
    fn every_rule_is_refused_with_its_key_and_value() {
        for (message, key, value) in [
            (refusal(|p| p.classes = 1), "`data.classes`", "`1`"),
            (refusal(|p| p.classes = 257), "`data.classes`", "`257`"),
            (refusal(|p| p.input_size = 0), "`data.input_size`", "`0`"),
            (refusal(|p| p.input_size = 2_000), "`data.input_size`", "`2000`"),
            (refusal(|p| p.channels = 0), "`data.channels`", "`0`"),
            (refusal(|p| p.path = None), "`data.kind`", "`data.path`"),
            (refusal(|p| p.value_range = Some([9, 9])), "`data.value_range`", "`[9, 9]`"),
            (refusal(|p| p.kind = Some(DataKind::Svhn)), "`data.input_size`", "`32`"),
            (refusal(|p| p.kind = Some(DataKind::Cifar100)), "`data.classes`", "`100`"),
            (
                refusal(|p| (p.kind, p.first_label) = (Some(DataKind::Images), Some(1))),
                "`data.first_label`",
                "`1`",
            ),
            (
                refusal(|p| {
                    (p.kind, p.validation.method) = (Some(DataKind::Images), SplitMethod::First)
                }),
                "`data.validation.method`",
                "`first`",
            ),
            (refusal(|p| p.training_images = Some(0)), "`data.training_images`", "`0`"),
            (refusal(|p| p.augment.translate = 28), "`data.augment.translate`", "`28`"),
        ] {
            assert!(message.contains(key) && message.contains(value), "{message}");
        }
    }

    #[test]
    fn a_balanced_split_needs_equal_classes() {
        let balanced = |p: &mut DataParams| p.validation.method = SplitMethod::Balanced;
        assert!(refusal(balanced).contains("`data.training_images`"));
        let message = refusal(|p| {
            balanced(p);
            p.training_images = Some(7_005);
        });
        assert!(message.contains("`7005`"), "{message}");
    }

    #[test]
    fn a_blur_needs_four_pixels() {
        let message = refusal(|p| {
            p.preprocess = Preprocess::LocalContrastNormalisation;
            p.input_size = 3;
        });
        assert!(message.contains("`data.input_size`"), "{message}");
    }

    #[test]
    fn a_trainer_with_its_own_data_names_no_files() {
        let params = DataParams { kind: None, path: None, ..fashion_mnist() }.check().unwrap();
        assert!(params.files().unwrap_err().to_string().starts_with("no images are configured"));
    }
}

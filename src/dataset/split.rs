//! Training and validation part: of every class its share.

use std::ops::Range;

use rand::seq::SliceRandom;

use super::error::Result;
use super::{DatasetError, Images, SplitMethod, ValidDataParams};
use crate::seed::{Purpose, generator};

/// Indices into the images.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Split {
    /// Shuffled.
    pub training: Vec<usize>,
    /// In the order of the files.
    pub validation: Vec<usize>,
}

/// A class of `count` images gives `round(share * count)` of them to validation, with `share =
/// validation.images / N`. Where rounding gives too many in sum, the last class gives fewer, as in
/// the reference code; where it gives too few, the last classes give one more (the reference stops
/// there). The rest trains; of it, too, every class gives its share when `training_images` is set.
///
/// A class that would have no image in one of the parts is an error. (The reference goes on, with
/// networks that never see a class, or are never asked for it.)
///
/// Where the files say which images are for validation, the others train. Where none is wanted for
/// validation, all train, or of every class its share. Extra images all train and count nowhere
/// else.
pub fn split(images: &Images, params: &ValidDataParams, experiment_seed: u64) -> Result<Split> {
    let mut rng = generator(experiment_seed, Purpose::Split, 0, 0);
    let method = params.validation.method;
    // Images that are for validation come first of their class, and are not drawn.
    let given_validation = if params.has_validation() { images.given_validation } else { 0 };
    let count = images.count() - images.extra;
    let free = count - given_validation;
    let (mut classes, mut given) = (vec![Vec::new(); images.classes], vec![0; images.classes]);
    for index in (free..count).chain(0..free) {
        let class = usize::from(images.labels[index]);
        classes[class].push(index);
        given[class] += usize::from(index >= free);
    }
    if free < count
        && let Some(class) = given.iter().position(|&count| count == 0)
    {
        let name = params.class_names.as_ref().and_then(|names| names.get(class).cloned());
        let name = name.unwrap_or_else(|| class.to_string());
        let problem = format!("no image of class `{name}` is for validation (add some)");
        return Err(DatasetError::Unsuitable(problem));
    }
    if method == SplitMethod::Random {
        let drawn = classes.iter_mut().zip(&given);
        drawn.for_each(|(class, given)| class[*given..].shuffle(&mut rng));
    }
    let counts: Vec<usize> = classes.iter().map(Vec::len).collect();
    let validation = params.validation.images.map(|images| images as usize);
    let training = params.training_images.map(|images| images as usize);
    let parts = match (method, validation, training) {
        _ if given_validation > 0 => stratified(&counts, given, training),
        (SplitMethod::Balanced, Some(validation), Some(training)) => {
            balanced(&classes, validation, training)
        }
        (_, Some(validation), _) => stratified(&counts, shares(&counts, validation), training),
        (_, None, _) => stratified(&counts, fifths(&counts), training),
    };
    let mut split = Split::default();
    for (class, (validation, training)) in classes.iter().zip(parts?) {
        split.validation.extend(&class[validation]);
        split.training.extend(&class[training]);
    }
    split.validation.sort_unstable();
    split.training.extend(count..images.count());
    split.training.shuffle(&mut rng);
    Ok(split)
}

/// What of a class is for validation, and what trains.
type Parts = (Range<usize>, Range<usize>);

/// The first of every class are for validation, the next train.
fn stratified(
    counts: &[usize],
    for_validation: Vec<usize>,
    training: Option<usize>,
) -> Result<Vec<Parts>> {
    let validation = for_validation.iter().sum();
    let available = counts.iter().sum();
    let least = training.unwrap_or(1);
    if validation + least > available {
        return Err(too_few(validation, least, available, ""));
    }
    let lacking = |class: usize, part: &str, remedy: &str| {
        Err(DatasetError::Unsuitable(format!(
            "the split leaves no image of class `{class}`, which has `{}`, {part} ({remedy})",
            counts[class]
        )))
    };
    if validation > 0
        && let Some(class) = counts.iter().position(|&count| count == 1)
    {
        return lacking(
            class,
            "in one of the parts",
            "a class needs at least 2: add images, or leave it out",
        );
    }
    if validation > 0
        && let Some(class) = for_validation.iter().position(|&count| count == 0)
    {
        let is_in_both = |validation: &usize| {
            let shares = shares(counts, *validation);
            shares.iter().zip(counts).all(|(taken, count)| (1..*count).contains(taken))
        };
        let enough = match (validation + 1..=available - least).find(is_in_both) {
            Some(enough) => format!("raise `data.validation.images` to at least {enough}"),
            None => "lower `data.classes` or add images".to_owned(),
        };
        let remedy = format!(
            "{enough}, or take the same number of every class: `data.validation.method: \
             balanced`, with `data.training_images`"
        );
        return lacking(class, &format!("among the `{validation}` for validation"), &remedy);
    }
    let left: Vec<usize> = counts.iter().zip(&for_validation).map(|(n, taken)| n - taken).collect();
    let for_training = shares(&left, training.unwrap_or(available - validation));
    if let Some(class) = for_training.iter().position(|&count| count == 0) {
        let remedy = "lower `data.validation.images` or raise `data.training_images`";
        return lacking(class, "to train with", remedy);
    }
    let taken = for_validation.into_iter().zip(for_training);
    Ok(taken.map(|(first, next)| (0..first, first..first + next)).collect())
}

/// The same number of every class: the first train, the next are for validation.
fn balanced(classes: &[Vec<usize>], validation: usize, training: usize) -> Result<Vec<Parts>> {
    let [validation, training] = [validation, training].map(|images| images / classes.len());
    let all = validation + training;
    match classes.iter().position(|class| class.len() < all) {
        Some(class) => {
            let of_class = format!(" of class `{class}`");
            Err(too_few(validation, training, classes[class].len(), &of_class))
        }
        None => Ok(vec![(training..all, 0..training); classes.len()]),
    }
}

fn too_few(validation: usize, training: usize, available: usize, of_class: &str) -> DatasetError {
    DatasetError::Unsuitable(format!(
        "`{validation}` images{of_class} for validation and at least `{training}` to train with \
         are asked for, but there are `{available}` (lower `data.validation.images` or \
         `data.training_images`)"
    ))
}

/// A fifth of every class, at least two images.
pub(super) fn fifths(counts: &[usize]) -> Vec<usize> {
    counts.iter().map(|count| ((count + 2) / 5).max(2)).collect()
}

/// Returns how many of `wanted` images each class gives; in sum `wanted`.
pub(super) fn shares(counts: &[usize], wanted: usize) -> Vec<usize> {
    let sum: usize = counts.iter().sum();
    let mut left = wanted;
    let rounded = |&count: &usize| {
        let share = ((2 * wanted * count + sum) / (2 * sum)).min(left);
        left -= share;
        share
    };
    let mut shares: Vec<usize> = counts.iter().map(rounded).collect();
    for (share, count) in shares.iter_mut().zip(counts).rev() {
        let was_rounded_down = *share * sum < wanted * count;
        if left > 0 && was_rounded_down {
            *share += 1;
            left -= 1;
        }
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::ImageShape;
    use crate::dataset::load::tests::params;
    use proptest::prelude::*;
    use std::collections::BTreeSet;
    use std::path::Path;

    fn images(labels: Vec<u8>, classes: usize) -> Images {
        Images::new(ImageShape { channels: 1, size: 1 }, classes, vec![0; labels.len()], labels)
    }

    fn asking(
        classes: usize,
        validation: usize,
        method: &str,
        training: Option<usize>,
    ) -> ValidDataParams {
        let training = training.map_or("null".to_owned(), |images| images.to_string());
        params(
            Path::new("x"),
            &format!(
                "{{kind: idx, path: x, classes: {classes}, input_size: 1, channels: 1, \
             validation: {{images: {validation}, method: {method}}}, training_images: {training}}}"
            ),
        )
    }

    fn class_counts(images: &Images, part: &[usize]) -> Vec<usize> {
        images.subset(part).class_counts()
    }

    #[test]
    fn the_shares_of_svhn_sum_to_five_thousand() {
        // 5,000 / 73,257 = 0.068253; of the 13,861 images of class 0, 946.05 are wanted, and so on.
        let counts = [13_861, 10_585, 8_497, 7_458, 6_882, 5_727, 5_595, 5_045, 4_659, 4_948];
        let shares = shares(&counts, 5_000);
        assert_eq!(shares, [946, 722, 580, 509, 470, 391, 382, 344, 318, 338]);
        assert_eq!(shares.iter().sum::<usize>(), 5_000);
    }

    #[test]
    fn the_last_classes_make_up_for_rounding() {
        // 5/3 = 1.67 is rounded to 2 for each of three classes, but only five are wanted.
        assert_eq!(shares(&[4, 4, 4], 5), [2, 2, 1]);
        // 4/3 = 1.33 is rounded to 1 for each of three classes, but four are wanted.
        assert_eq!(shares(&[4, 4, 4], 4), [1, 1, 2]);
        // 2 * 5/11 = 0.91 is rounded to 1 and 2 * 1/11 = 0.18 to 0: nothing is missing.
        assert_eq!(shares(&[5, 5, 1], 2), [1, 1, 0]);
    }

    #[test]
    fn without_images_for_validation_all_train() {
        // A class of one image cannot be divided, and need not be.
        let images = images(vec![0, 0, 0, 0, 1], 2);
        for method in ["random", "first"] {
            let mut whole = split(&images, &asking(2, 0, method, None), 3).unwrap();
            whole.training.sort_unstable();
            assert_eq!((whole.validation.len(), whole.training), (0, vec![0, 1, 2, 3, 4]));
        }
        let fewer = split(&images, &asking(2, 0, "random", Some(3)), 3).unwrap();
        assert_eq!(class_counts(&images, &fewer.training), [2, 1]);
        let balanced = split(&images, &asking(2, 0, "balanced", Some(2)), 3).unwrap();
        assert_eq!(class_counts(&images, &balanced.training), [1, 1]);
    }

    #[test]
    fn first_takes_the_first_of_each_class() {
        let images = images(vec![0, 0, 1, 1, 0, 1, 0, 1], 2);
        let mut split = split(&images, &asking(2, 4, "first", None), 1).unwrap();
        assert_eq!(split.validation, [0, 1, 2, 3]);
        split.training.sort_unstable();
        assert_eq!(split.training, [4, 5, 6, 7]);
    }

    #[test]
    fn balanced_takes_the_same_of_each_class_training_first() {
        // Class 0 has five images and class 1 three; two of each train and one of each judges.
        let images = images(vec![0, 0, 0, 1, 1, 1, 0, 0], 2);
        let mut split = split(&images, &asking(2, 2, "balanced", Some(4)), 1).unwrap();
        assert_eq!(split.validation, [2, 5]);
        split.training.sort_unstable();
        assert_eq!(split.training, [0, 1, 3, 4]);
    }

    #[test]
    fn a_class_too_small_for_a_balanced_split_is_named() {
        let images = images(vec![0, 0, 0, 1], 2);
        let error = split(&images, &asking(2, 2, "balanced", Some(2)), 1).unwrap_err();
        assert!(error.to_string().contains("`1` images of class `1`"), "{error}");
    }

    #[test]
    fn the_seed_alone_decides() {
        let images = images((0..200).map(|index| index % 4).collect(), 4);
        let params = asking(4, 40, "random", None);
        let with_seed = |seed| split(&images, &params, seed).unwrap();
        assert_eq!(with_seed(3), with_seed(3));
        assert_ne!(with_seed(3).validation, with_seed(4).validation);
        assert_ne!(with_seed(3).training, with_seed(4).training);
    }

    #[test]
    fn a_seed_gives_the_same_split_for_ever() {
        // What seed 7 gave when this was written: another split would change every search.
        let images = images(vec![0, 1, 0, 1, 0, 1, 0, 1], 2);
        let split = split(&images, &asking(2, 4, "random", None), 7).unwrap();
        assert_eq!(split.validation, [0, 1, 3, 4]);
        assert_eq!(split.training, [7, 2, 6, 5]);
    }

    #[test]
    fn the_default_is_not_the_first_images() {
        let images = images((0..200).map(|index| index % 4).collect(), 4);
        let random = split(&images, &asking(4, 40, "random", None), 3).unwrap();
        let first = split(&images, &asking(4, 40, "first", None), 3).unwrap();
        assert_ne!(random.validation, first.validation);
    }

    #[test]
    fn fewer_training_images_keep_the_shares_of_the_classes() {
        // 90 and 30 images: 30 and 10 judge, 60 and 20 are left, of 40 three quarters are class 0.
        let labels = (0..120).map(|index| u8::from(index % 4 == 0)).collect();
        let images = images(labels, 2);
        let split = split(&images, &asking(2, 40, "random", Some(40)), 5).unwrap();
        assert_eq!(class_counts(&images, &split.validation), [30, 10]);
        assert_eq!(class_counts(&images, &split.training), [30, 10]);
    }

    #[test]
    fn without_a_number_a_fifth_of_every_class_and_at_least_two_images_validate() {
        // 23 and 4 images: 4.6 is rounded to 5, 0.8 becomes 2.
        let images = images((0..27).map(|index| u8::from(index >= 23)).collect(), 2);
        let params = params(
            Path::new("x"),
            "{kind: idx, path: x, classes: 2, input_size: 1, channels: 1, \
             validation: {images: null}}",
        );
        let split = split(&images, &params, 3).unwrap();
        assert_eq!(class_counts(&images, &split.validation), [5, 2]);
        assert_eq!(class_counts(&images, &split.training), [18, 2]);
    }

    #[test]
    fn images_that_are_for_validation_stay_so() {
        let mut images = images(vec![0, 0, 0, 1, 1, 1, 1, 0], 2);
        images.given_validation = 2;
        let mut whole = split(&images, &asking(2, 4, "random", None), 3).unwrap();
        assert_eq!(whole.validation, [6, 7]);
        whole.training.sort_unstable();
        assert_eq!(whole.training, [0, 1, 2, 3, 4, 5]);
        let fewer = split(&images, &asking(2, 4, "random", Some(4)), 3).unwrap();
        assert_eq!(class_counts(&images, &fewer.training), [2, 2]);
        images.given_validation = 1;
        let mut named = crate::dataset::DataParams::clone(&asking(2, 4, "random", None));
        named.class_names = Some(vec!["cat".into(), "dog".into()]);
        let error = split(&images, &named.check().unwrap(), 3).unwrap_err();
        assert_eq!(error.to_string(), "no image of class `dog` is for validation (add some)");
    }

    #[test]
    fn more_images_than_there_are_is_an_error() {
        let images = images(vec![0, 1, 0, 1], 2);
        for (validation, training) in [(4, None), (5, None), (2, Some(3))] {
            let error = split(&images, &asking(2, validation, "random", training), 1).unwrap_err();
            assert!(error.to_string().contains("but there are `4` ("), "{error}");
        }
    }

    #[test]
    fn a_class_with_nothing_to_train_is_named() {
        // Of eight and two images four and one judge; of the rest, one in five is of class 1: none
        // of two.
        let images = images(vec![0, 0, 0, 0, 0, 0, 0, 0, 1, 1], 2);
        let error = split(&images, &asking(2, 5, "first", Some(2)), 1).unwrap_err();
        assert!(error.to_string().contains("`1`, which has `2`, to train with ("), "{error}");
    }

    #[test]
    fn a_class_without_an_image_in_validation_is_refused_with_the_number_that_is_enough() {
        // 2 of 100 images are of class 1: 2/100 of 20 rounds to none, of 25 to one (0.5), but 24.5
        // of class 0 come first, rounded to 25; of 26 images 25.48 are rounded to 25.
        let labels: Vec<u8> = (0..100).map(|index| u8::from(index % 50 == 7)).collect();
        for method in ["random", "first"] {
            let images = images(labels.clone(), 2);
            let error = split(&images, &asking(2, 20, method, None), 3).unwrap_err();
            assert_eq!(
                error.to_string(),
                "the split leaves no image of class `1`, which has `2`, among the `20` for \
                 validation (raise \
                 `data.validation.images` to at least 26, or take the same number of every class: \
                 `data.validation.method: balanced`, with `data.training_images`)"
            );
            assert!(split(&images, &asking(2, 25, method, None), 3).is_err());
            let enough = split(&images, &asking(2, 26, method, None), 3).unwrap();
            assert_eq!(class_counts(&images, &enough.validation), [25, 1]);
        }
    }

    #[test]
    fn fewer_images_for_validation_than_classes_are_refused() {
        let images = images((0..40).map(|index| index % 4).collect(), 4);
        let error = split(&images, &asking(4, 3, "random", None), 3).unwrap_err();
        assert!(error.to_string().contains("to at least 4,"), "{error}");
    }

    #[test]
    fn a_class_of_one_image_is_refused() {
        let images = images(vec![0, 1, 2, 3], 4);
        let error = split(&images, &asking(4, 2, "random", None), 3).unwrap_err();
        assert!(error.to_string().contains("class `0`, which has `1`, in one of"), "{error}");
    }

    proptest! {
        #[test]
        fn every_class_gives_its_share_and_no_image_is_in_both_parts(
            labels in proptest::collection::vec(0u8..5, 30..300),
            share in 0.02f64..0.9,
            training in proptest::option::of(1usize..100),
            seed: u64,
            method in prop_oneof![Just("random"), Just("first")],
        ) {
            let images = images(labels, 5);
            let wanted = ((images.count() as f64 * share) as usize).max(1);
            let Ok(split) = split(&images, &asking(5, wanted, method, training), seed) else {
                return Ok(());
            };
            let all: BTreeSet<_> = split.training.iter().chain(&split.validation).collect();
            prop_assert_eq!(all.len(), split.training.len() + split.validation.len());
            prop_assert_eq!(split.validation.len(), wanted);
            prop_assert_eq!(split.training.len(), training.unwrap_or(images.count() - wanted));
            let share = wanted as f64 / images.count() as f64;
            let counts = images.class_counts();
            for part in [&split.training, &split.validation] {
                prop_assert!(!class_counts(&images, part).contains(&0));
            }
            for (taken, count) in class_counts(&images, &split.validation).iter().zip(&counts) {
                prop_assert!((*taken as f64) < share * *count as f64 + 1.0);
            }
        }
    }
}

//! Pictures are decoded once: the list of them, which stands in `experiment.yaml`, and the cache of
//! their pixels, an `.npz` file that a trainer reads.
//!
//! The list says which picture is of which part, so that pictures added later change nothing. From
//! it and the pictures the cache can be made again, with the same bytes: it may be removed, and be
//! written by several processes at once.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Cursor};
use std::path::{Path, PathBuf};

use itertools::Itertools;
use rand::seq::SliceRandom;
use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::error::{DatasetError, Result, quoted};
use super::folders::{self, ListedPicture, Listing};
use super::images::{Part, Pixels};
use super::npz::{self, Array};
use super::split::{fifths, shares};
use super::{DataKind, DataParams, ValidDataParams, near, picture};
use crate::regular_file;
use crate::seed::{Purpose, generator};

/// Enters the name of the cache: raised when the same pictures give other pixels.
const DECODER: u32 = 1;
/// Classes of so many pictures give a fifth of them to a test part.
const ENOUGH_FOR_TEST: usize = 100;
/// At most so many pictures, evenly chosen, tell size and channels of all.
const LOOKED_AT: usize = 200;
const LARGEST_SIZE: u32 = 64;
/// Of files in a notice.
const MOST_NAMED: usize = 20;

/// What a configuration for a folder of pictures needs.
#[derive(Debug)]
pub struct FoundPictures {
    /// How many of each class train.
    pub training: Vec<usize>,
    /// The median of the shorter sides, at most 64.
    pub input_size: u32,
    /// 3 where a picture has colour.
    pub channels: u32,
}

pub fn find_pictures(root: &Path) -> Result<FoundPictures> {
    let listing = folders::list(root)?;
    let files = listing.files.iter().filter(|row| row.part != Part::Test).collect_vec();
    let look = |row: &&ListedPicture| {
        let picture = picture::open(&picture::read(&root.join(&row.file)).ok()?).ok()?;
        Some((picture.width().min(picture.height()), picture.color().has_color()))
    };
    let chosen = files.par_iter().step_by(files.len().div_ceil(LOOKED_AT).max(1));
    let looks: Vec<(u32, bool)> = chosen.filter_map(look).collect();
    let sides = looks.iter().map(|(side, _)| *side).sorted().collect_vec();
    let Some(median) = sides.get(sides.len() / 2) else {
        return Err(DatasetError::unsuitable(root, "no picture can be read (PNG, JPEG, ..)"));
    };
    let of_class = |class: &String| {
        files.iter().filter(|row| row.part == Part::Training && row.class == *class).count()
    };
    let mut training = listing.classes.iter().map(of_class).collect_vec();
    for part in [Part::Test, Part::Validation] {
        if is_drawn(part, &listing, &training) {
            let both = training.iter().zip(fifths(&training));
            training = both.map(|(all, drawn)| all.saturating_sub(drawn)).collect();
        }
    }
    Ok(FoundPictures {
        training,
        input_size: LARGEST_SIZE.min(*median),
        channels: if looks.iter().any(|(_, has_color)| *has_color) { 3 } else { 1 },
    })
}

/// Reads every picture, splits them into parts and writes the cache. Returns the list, and what a
/// person should know, a sentence each. Test pictures are decoded, too, so that what is wrong with
/// them is known before the search; no network sees them.
pub fn prepare_pictures(params: &ValidDataParams, seed: u64) -> Result<(String, Vec<String>)> {
    let root = params.files()?.1;
    let listing = folders::list(root)?;
    let (found, expected) = (listing.classes.len(), params.classes as usize);
    if found != expected {
        let names = quoted(&listing.classes, ", ");
        let problem =
            format!("{found} folders of classes, but `data.classes` is {expected}: {names}");
        return Err(DatasetError::unsuitable(root, problem));
    }
    let (mut pictures, mut notices) = read_all(root, &listing, params)?;
    draw_parts(root, &mut pictures, &listing, params, seed)?;
    pictures
        .sort_by(|(a, _), (b, _)| (a.part, &a.class, &a.file).cmp(&(b.part, &b.class, &b.file)));
    let parts = pictures.iter().map(|(row, _)| row.part).collect_vec();
    let hashes = pictures.par_iter().map(|(_, pixels)| near::hashes(pixels, params.shape()));
    for (at, copy) in near::copies(&parts, &hashes.collect::<Vec<_>>()).into_iter().enumerate() {
        pictures[at].0.copy_of = copy.map(|copy| pictures[copy].0.file.clone());
    }
    notices.extend(of_copies(&pictures));
    let mut rows = csv::Writer::from_writer(Vec::new());
    pictures.iter().try_for_each(|(row, _)| rows.serialize(row)).expect("memory takes text");
    let list = rows.into_inner().expect("memory takes text");
    let list = String::from_utf8(list).expect("names of files are UTF-8 here");
    write_cache(params, &list, &pictures)?;
    Ok((list, notices))
}

/// Makes the cache again. What comes of it is compared with the fingerprint afterwards.
pub fn restore_pictures(params: &ValidDataParams, list: &str) -> Result<()> {
    let root = params.files()?.1;
    let read = |row: ListedPicture| {
        let path = root.join(&row.file);
        let damaged = |problem| DatasetError::damaged(&path, problem);
        let bytes = picture::read(&path).map_err(damaged)?;
        if sha256(&bytes) != row.sha256 {
            let problem = "it has changed since the experiment was created (restore it)";
            return Err(damaged(problem.to_owned()));
        }
        Ok((row, picture::pixels(&bytes, params).map_err(damaged)?))
    };
    let pictures = read_list(list)?.into_par_iter().map(read).collect::<Result<_>>()?;
    write_cache(params, list, &pictures)
}

/// The names of the classes, in the order of their labels.
fn class_names(list: &str) -> Result<Vec<String>> {
    Ok(read_list(list)?.into_iter().map(|row| row.class).sorted().dedup().collect())
}

impl ValidDataParams {
    /// What a trainer gets: arrays. `list` is that of pictures.
    pub fn for_trainer(&self, list: Option<&str>) -> DataParams {
        let mut data = DataParams::clone(self);
        if let (Some(DataKind::Images), Some(path), Some(list)) = (self.kind, &self.path, list) {
            // Named by what its bytes follow from.
            let (size, channels, resize) = (self.input_size, self.channels, self.resize);
            let key = sha256(format!("{DECODER} {size} {channels} {resize}\n{list}").as_bytes());
            let beside = || path.with_file_name(".metaqnn-cache");
            let cache =
                self.cache.clone().unwrap_or_else(beside).join(format!("{}.npz", &key[..32]));
            (data.kind, data.path) = (Some(DataKind::Npz), Some(cache));
            data.class_names = data.class_names.or_else(|| class_names(list).ok());
        }
        data
    }
}

fn sha256(bytes: &[u8]) -> String {
    format!("{:x}", Sha256::digest(bytes))
}

fn read_list(list: &str) -> Result<Vec<ListedPicture>> {
    let rows = csv::Reader::from_reader(list.as_bytes()).into_deserialize().try_collect();
    rows.map_err(|error: csv::Error| DatasetError::Unsuitable(format!("the list: {error}")))
}

type Pictures = Vec<(ListedPicture, Pixels)>;

fn read_all(
    root: &Path,
    listing: &Listing,
    params: &ValidDataParams,
) -> Result<(Pictures, Vec<String>)> {
    let read = |row: &ListedPicture| {
        let mut row = row.clone();
        let bytes = picture::read(&root.join(&row.file))
            .map_err(|problem| (row.file.clone(), Some(problem)))?;
        let pixels = picture::pixels(&bytes, params).map_err(|problem| {
            let is_meant = picture::is_meant(&row.file, &bytes);
            (row.file.clone(), is_meant.then_some(problem))
        })?;
        row.sha256 = sha256(&bytes);
        Ok((row, pixels, picture::has_more_frames(&bytes)))
    };
    let (mut pictures, mut stacks) = (Vec::new(), Vec::new());
    let (mut unreadable, mut others) = (Vec::new(), Vec::new());
    for result in listing.files.par_iter().map(read).collect::<Vec<_>>() {
        match result {
            Ok((row, pixels, has_more_frames)) => {
                stacks.extend(has_more_frames.then(|| row.file.clone()));
                pictures.push((row, pixels));
            }
            Err((path, Some(problem))) => unreadable.push(format!("\n  `{path}`: {problem}")),
            Err((path, None)) => others.push(path),
        }
    }
    let mut notices = Vec::new();
    if !unreadable.is_empty() {
        let (count, all) = (unreadable.len(), pictures.len() + unreadable.len());
        let (files, root) = (unreadable.concat(), root.display());
        let problem = format!("{count} of {all} pictures in `{root}` cannot be read");
        if !params.skip_unreadable {
            let remedy = "mend or remove them, or leave them out with `--skip-unreadable`";
            return Err(DatasetError::Unsuitable(format!("{problem} ({remedy}):{files}")));
        }
        notices.push(format!("{problem} and are left out:{files}"));
    }
    for (files, what) in [
        (&others, "files that are no pictures are left out"),
        (&listing.others, "files outside of the folders of the classes are left out"),
        (&stacks, "of files with several pictures the first is taken"),
    ] {
        if !files.is_empty() {
            let first = quoted(&files[..files.len().min(MOST_NAMED)], ", ");
            let more = if files.len() > MOST_NAMED { ", .." } else { "" };
            notices.push(format!("{what} ({}): {first}{more}", files.len()));
        }
    }
    let is_narrow = |pixels: &Pixels| matches!(pixels, Pixels::Bytes(_));
    let of_depth = |narrow| pictures.iter().find(|(_, pixels)| is_narrow(pixels) == narrow);
    if let (Some((narrow, _)), Some((wide, _))) = (of_depth(true), of_depth(false)) {
        let (narrow, wide) = (&narrow.file, &wide.file);
        let problem =
            format!("mixed depths: `{narrow}` has 8 bits, `{wide}` 16 (save all with one)");
        return Err(DatasetError::unsuitable(root, problem));
    }
    Ok((pictures, notices))
}

fn is_drawn(part: Part, listing: &Listing, counts: &[usize]) -> bool {
    let are_enough = part != Part::Test || counts.iter().all(|&count| count >= ENOUGH_FOR_TEST);
    are_enough && !listing.given.contains_key(&part)
}

/// Draws a test part and a validation part where no folder gives them.
fn draw_parts(
    root: &Path,
    pictures: &mut Pictures,
    listing: &Listing,
    params: &ValidDataParams,
    seed: u64,
) -> Result<()> {
    let refuse = |problem: String| Err(DatasetError::unsuitable(root, problem));
    let mut classes: BTreeMap<_, _> =
        listing.classes.iter().map(|name| (name.as_str(), vec![])).collect();
    if let Some(folder) = listing.given.get(&Part::Validation).filter(|_| params.has_validation()) {
        if let Some(images) = params.validation.images {
            return refuse(format!(
                "`data.validation.images` is {images}, but the folder `{folder}` says which \
                 pictures are for validation (set it to null)"
            ));
        }
        let has_some = |class| {
            let mut of_class = pictures.iter().filter(|(row, _)| row.class == class);
            of_class.any(|(row, _)| row.part == Part::Validation)
        };
        if let Some(class) = classes.keys().find(|class| !has_some(**class)) {
            return refuse(format!("no picture of class `{class}` is in `{folder}` (add some)"));
        }
    }
    for (index, (row, _)) in pictures.iter().enumerate() {
        if let (Part::Training, Some(class)) = (row.part, classes.get_mut(row.class.as_str())) {
            class.push(index);
        }
    }
    let least = if listing.given.contains_key(&Part::Validation) { 1 } else { 4 };
    if let Some((class, found)) = classes.iter().find(|(_, found)| found.len() < least) {
        let remedy = format!("at least {least} are needed: add some, or remove the class");
        let found = found.len();
        return refuse(format!("class `{class}` has {found} pictures to train with ({remedy})"));
    }
    let mut classes = classes.into_values().collect_vec();
    let mut draw = |classes: &mut [Vec<usize>], part, seed, number, wanted: Vec<usize>| {
        let mut rng = generator(seed, Purpose::Split, 0, number);
        for (class, wanted) in classes.iter_mut().zip(wanted) {
            class.shuffle(&mut rng);
            class.drain(..wanted).for_each(|index| pictures[index].0.part = part);
            class.sort_unstable();
        }
    };
    let counts = |classes: &[Vec<usize>]| classes.iter().map(Vec::len).collect_vec();
    if is_drawn(Part::Test, listing, &counts(&classes)) {
        let wanted = fifths(&counts(&classes));
        // Not by the experiment's seed: none may train on what another is tested on.
        draw(&mut classes, Part::Test, 0, 1, wanted);
    }
    let counts = counts(&classes);
    if is_drawn(Part::Validation, listing, &counts) {
        let wanted = params.validation.images.map(|images| images as usize);
        let wanted = wanted.map_or_else(|| fifths(&counts), |images| shares(&counts, images));
        if wanted.iter().zip(&counts).any(|(wanted, count)| wanted >= count) {
            let remedy = "lower it, or set it to null for a fifth of every class";
            let problem = "`data.validation.images` leaves nothing to train with";
            return refuse(format!("{problem} ({remedy})"));
        }
        draw(&mut classes, Part::Validation, seed, 0, wanted);
    }
    Ok(())
}

fn of_copies(pictures: &Pictures) -> Option<String> {
    let copies = pictures.iter().filter_map(|(row, _)| Some((&row.file, row.copy_of.as_ref()?)));
    let copies = copies.map(|(file, copy)| format!("\n  `{file}` like `{copy}`")).collect_vec();
    (!copies.is_empty()).then(|| {
        let first = copies.iter().take(MOST_NAMED).join("");
        format!(
            "{} pictures look like one of another part (their 64-bit hashes differ in at most 4 \
             bits); where they are copies, accuracies look better than they are (remove them, or \
             put them into one part; `copy_of` in `experiment.yaml` names all):{first}",
            copies.len()
        )
    })
}

fn write_cache(params: &ValidDataParams, list: &str, pictures: &Pictures) -> Result<()> {
    let (classes, shape) = (class_names(list)?, params.shape());
    let mut arrays = Vec::new();
    for group in pictures.chunk_by(|(a, _), (b, _)| a.part == b.part) {
        let (part, count) = (group[0].0.part, group.len());
        let kind = if let Pixels::Bytes(_) = group[0].1 { "u1" } else { "u2" };
        let bytes = group.iter().flat_map(|(_, pixels)| pixels.to_bytes()).collect();
        let label = |row: &ListedPicture| classes.iter().position(|class| *class == row.class);
        let labels = group.iter().filter_map(|(row, _)| label(row)).map(|label| label as u8);
        let sides = vec![count, shape.channels, shape.size, shape.size];
        arrays.push((format!("{part}_images"), Array::new(kind, sides, bytes)));
        arrays.push((format!("{part}_labels"), Array::new("u1", vec![count], labels.collect())));
    }
    let path = params.for_trainer(Some(list)).path.unwrap_or_default();
    let written = publish(&path, &arrays).or_else(|error| {
        // Another person's, whose folder is not writable here.
        let mut bytes = Cursor::new(Vec::new());
        npz::write(&mut bytes, &arrays).map_err(io::Error::other)?;
        let there = regular_file::read_linked(&path, u64::MAX - 1);
        if there.is_ok_and(|there| there == bytes.into_inner()) { Ok(()) } else { Err(error) }
    });
    written.map_err(|error| {
        let problem = format!(
            "cannot write the cache of decoded pictures: {error} (make its folder writable, or \
             name another one at `init`: `--set data.cache=FOLDER`)"
        );
        DatasetError::unsuitable(&path, problem)
    })
}

fn aside(path: &Path) -> PathBuf {
    let host = rustix::system::uname();
    let own = format!("{}.{}", host.nodename().to_string_lossy(), std::process::id());
    path.with_extension(format!("{own}.partial"))
}

/// Aside, and in place by one step. Not synced: one that a power cut damaged is made again.
fn publish(path: &Path, arrays: &[(String, Array)]) -> io::Result<()> {
    fs::create_dir_all(path.parent().unwrap_or(Path::new(".")))?;
    let aside = aside(path);
    let file = OpenOptions::new().write(true).create(true).truncate(true).open(&aside)?;
    let written = npz::write(file, arrays).map_err(io::Error::other);
    written.and_then(|()| fs::rename(&aside, path)).inspect_err(|_| {
        let _ = fs::remove_file(&aside);
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::load::tests::params;
    use crate::dataset::picture::tests::encoded;
    use crate::dataset::{load_test_images, load_training_images, split};
    use image::{DynamicImage, GrayImage, ImageFormat};
    use std::collections::BTreeSet;

    /// A grey picture of 4x4 noise, another for each number.
    fn picture(number: usize) -> Vec<u8> {
        use rand::Rng;
        let mut rng = generator(number as u64, Purpose::Synthetic, 0, 0);
        let noise = GrayImage::from_fn(4, 4, |_, _| image::Luma([rng.random()]));
        encoded(&DynamicImage::ImageLuma8(noise), ImageFormat::Png)
    }

    /// So many pictures in each of two classes, in `<folder>/<below>`.
    fn write(folder: &Path, below: &str, first: usize, each: usize) {
        for (class, name) in ["a", "b"].iter().enumerate() {
            let folder = folder.join(below).join(name);
            fs::create_dir_all(&folder).unwrap();
            for number in 0..each {
                let bytes = picture(first + 2 * number + class);
                fs::write(folder.join(format!("{number:03}.png")), bytes).unwrap();
            }
        }
    }

    const SMALL: &str = "{kind: images, path: x, classes: 2, input_size: 4, channels: 1, \
                         validation: {images: null}}";

    /// A folder of pictures in a folder of its own, which gets the cache, too.
    fn small(below: &[(&str, usize)]) -> (tempfile::TempDir, ValidDataParams) {
        let folder = tempfile::tempdir().unwrap();
        let pictures = folder.path().join("pictures");
        for (index, (below, each)) in below.iter().enumerate() {
            write(&pictures, below, index * 10_000, *each);
        }
        let params = params(&pictures, SMALL);
        (folder, params)
    }

    fn prepare(params: &ValidDataParams) -> (String, ValidDataParams) {
        let (list, _) = prepare_pictures(params, 1).unwrap();
        let data = params.for_trainer(Some(&list)).check().unwrap();
        (list, data)
    }

    fn part(list: &str, wanted: Part) -> BTreeSet<String> {
        let rows = read_list(list).unwrap().into_iter();
        rows.filter(|row| row.part == wanted).map(|row| row.sha256).collect()
    }

    #[test]
    fn a_folder_becomes_arrays_of_the_same_pixels() {
        let (_folder, params) = small(&[("", 10)]);
        let (list, data) = prepare(&params);
        let images = load_training_images(&data).unwrap();
        // A fifth of ten, of each class.
        assert_eq!((images.count(), images.given_validation), (20, 4));
        let parts = split(&images, &data, 1).unwrap();
        assert_eq!(parts.validation, [16, 17, 18, 19]);
        let of_file = |row: &ListedPicture| {
            let bytes = fs::read(params.path.as_ref().unwrap().join(&row.file)).unwrap();
            picture::pixels(&bytes, &params).unwrap()
        };
        let rows = read_list(&list).unwrap();
        let single = |index| images.subset(&[index]).pixels;
        assert!(rows.iter().enumerate().all(|(index, row)| of_file(row) == single(index)));
        assert_eq!(data.class_names.clone().unwrap(), ["a", "b"]);
        assert!(load_test_images(&data).unwrap_err().to_string().contains("has no test images"));
    }

    #[test]
    fn a_hundred_of_each_class_give_a_test_part_whatever_the_seed() {
        let (_folder, params) = small(&[("", 100)]);
        let [one, two] = [1, 2].map(|seed| prepare_pictures(&params, seed).unwrap().0);
        assert_eq!(part(&one, Part::Test), part(&two, Part::Test));
        assert_ne!(part(&one, Part::Validation), part(&two, Part::Validation));
        for list in [&one, &two] {
            let sizes = [Part::Training, Part::Validation, Part::Test];
            assert_eq!(sizes.map(|of| part(list, of).len()), [128, 32, 40]);
        }
        let test = load_test_images(&params.for_trainer(Some(&one)).check().unwrap()).unwrap();
        assert_eq!(test.class_counts(), [20, 20]);
    }

    #[test]
    fn given_parts_are_kept() {
        let (folder, params) = small(&[("train", 100), ("validation", 3), ("test", 2)]);
        let (list, _) = prepare(&params);
        let sizes = [Part::Training, Part::Validation, Part::Test];
        assert_eq!(sizes.map(|of| part(&list, of).len()), [200, 6, 4]);
        let refusal = |params: &_| prepare_pictures(params, 1).unwrap_err().to_string();
        let mut asking = DataParams::clone(&params);
        asking.validation.images = Some(5);
        let message = refusal(&asking.check().unwrap());
        assert!(message.contains("images` is 5, but the folder `validation` says"), "{message}");
        fs::remove_dir_all(folder.path().join("pictures/validation/b")).unwrap();
        let message = refusal(&params);
        assert!(message.contains("no picture of class `b` is in `validation`"), "{message}");
    }

    #[test]
    fn so_many_train_as_are_found_to_train_with() {
        for parts in [
            &[("", 10)][..],
            &[("", 100)],
            &[("train", 10), ("validation", 6)],
            &[("train", 120), ("validation", 6), ("test", 2)],
        ] {
            let (folder, params) = small(parts);
            let found = find_pictures(&folder.path().join("pictures")).unwrap();
            let (list, _) = prepare(&params);
            let training = part(&list, Part::Training).len();
            assert_eq!(found.training, [training / 2; 2], "{parts:?}");
        }
    }

    #[test]
    fn the_cache_is_made_again_with_the_same_bytes_and_without_later_pictures() {
        let (_folder, params) = small(&[("", 10)]);
        let (list, data) = prepare(&params);
        let path = data.path.as_ref().unwrap();
        let whole = fs::read(path).unwrap();
        // One that cannot be written will do as long as it is whole.
        fs::create_dir(aside(path)).unwrap();
        restore_pictures(&params, &list).unwrap();
        fs::write(path, &whole[1..]).unwrap();
        let message = restore_pictures(&params, &list).unwrap_err().to_string();
        assert!(message.contains("cannot write the cache"), "{message}");
        fs::remove_dir(aside(path)).unwrap();
        write(params.path.as_ref().unwrap(), "later", 500, 1);
        for damage in [&b""[..], &whole[..whole.len() / 2], b"of another"] {
            fs::write(path, damage).unwrap();
            restore_pictures(&params, &list).unwrap();
            assert!(fs::read(path).unwrap() == whole);
        }
        fs::remove_dir_all(path.parent().unwrap()).unwrap();
        let changed = params.path.as_ref().unwrap().join("a/003.png");
        fs::write(&changed, picture(777)).unwrap();
        let message = restore_pictures(&params, &list).unwrap_err().to_string();
        assert!(message.contains("a/003.png`: it has changed since"), "{message}");
        fs::write(&changed, picture(6)).unwrap();
        restore_pictures(&params, &list).unwrap();
        assert!(fs::read(path).unwrap() == whole);
    }

    #[test]
    fn every_unreadable_picture_is_named_or_left_out() {
        let (folder, params) = small(&[("", 10)]);
        let at = |name: &str| folder.path().join("pictures").join(name);
        fs::write(at("a/cut.png"), &picture(1)[..50]).unwrap();
        fs::write(at("b/one.jpg"), "\x01").unwrap();
        fs::write(at("b/notes.txt"), "BMW").unwrap();
        fs::write(at("b/cut.1"), &picture(2)[..50]).unwrap();
        let message = prepare_pictures(&params, 1).unwrap_err().to_string();
        for part in [
            "3 of 23 pictures",
            "`b/cut.1`: ",
            "`a/cut.png`: ",
            "`b/one.jpg`: no picture",
            "--skip-unr",
        ] {
            assert!(message.contains(part), "{message}");
        }
        let mut skipping = DataParams::clone(&params);
        skipping.skip_unreadable = true;
        let (list, notices) = prepare_pictures(&skipping.check().unwrap(), 1).unwrap();
        assert!(notices[0].contains("are left out:\n  `a/cut.png`: "), "{notices:?}");
        assert!(notices[1].ends_with("no pictures are left out (1): `b/notes.txt`"));
        assert_eq!(list.lines().count(), 1 + 20);
    }

    #[test]
    fn files_outside_of_the_classes_are_named_and_give_no_part() {
        let (folder, params) = small(&[("train", 100)]);
        fs::create_dir(folder.path().join("pictures/test")).unwrap();
        for number in 10..40 {
            fs::write(folder.path().join(format!("pictures/test/{number}.png")), "").unwrap();
        }
        let (list, notices) = prepare_pictures(&params, 1).unwrap();
        assert_eq!(part(&list, Part::Test).len(), 40);
        let begin = "files outside of the folders of the classes are left out (30): ";
        assert!(notices[0].starts_with(begin) && notices[0].ends_with("`test/29.png`, .."));
    }

    #[test]
    fn what_cannot_be_split_or_mixed_is_refused() {
        let refusal =
            |params: &ValidDataParams| prepare_pictures(params, 1).unwrap_err().to_string();
        let (_folder, few) = small(&[("", 3)]);
        assert!(refusal(&few).contains("class `a` has 3 pictures to train with (at least 4"));
        let (folder, params) = small(&[("", 4)]);
        for number in 0..4 {
            fs::write(folder.path().join(format!("pictures/b/{number:03}.png")), "").unwrap();
        }
        let mut skipping = DataParams::clone(&params);
        skipping.skip_unreadable = true;
        let message = refusal(&skipping.check().unwrap());
        assert!(message.contains("class `b` has 0 pictures to train with"), "{message}");
        let (folder, params) = small(&[("", 4)]);
        let wide = image::ImageBuffer::from_raw(1, 1, vec![500_u16]).unwrap();
        let wide = encoded(&DynamicImage::ImageLuma16(wide), ImageFormat::Png);
        fs::write(folder.path().join("pictures/b/wide.png"), wide).unwrap();
        let message = refusal(&params);
        assert!(message.contains("`a/000.png` has 8 bits, `b/wide.png` 16"), "{message}");
        let mut three = DataParams::clone(&few);
        three.classes = 3;
        assert!(
            refusal(&three.check().unwrap())
                .contains("2 folders of classes, but `data.classes` is 3")
        );
    }

    #[test]
    fn copies_in_two_parts_are_counted_and_named() {
        let (folder, params) = small(&[("train", 10), ("test", 2)]);
        let at = |name: &str| folder.path().join("pictures").join(name);
        fs::copy(at("train/a/003.png"), at("test/a/copy.png")).unwrap();
        let notice = prepare_pictures(&params, 1).unwrap().1.concat();
        assert!(notice.contains("`test/a/copy.png` like `train/a/003.png`"), "{notice}");
    }
}

//! Pictures and arrays that a person names, to be classified by a trained network.

use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::error::{DatasetError, Result};
use super::images::{BYTES, Pixels};
use super::npz::Array;
use super::{ValidDataParams, folders, picture};

#[derive(Debug, Default)]
pub struct GivenImages {
    /// The path of each image; in an array its number follows, from 0.
    pub names: Vec<String>,
    /// `[N, C, H, W]`, on the scale of the network.
    pub numbers: Vec<f32>,
    /// What a person should know, a sentence each.
    pub notices: Vec<String>,
}

/// Reads files, and those in folders and in the folders below, as the network's own images were
/// read; of an `.npy` file every image.
pub fn read_given(paths: &[PathBuf], params: &ValidDataParams) -> Result<GivenImages> {
    let mut files = Vec::new();
    for path in paths {
        match path.to_str() {
            None => {
                return Err(DatasetError::unsuitable(path, "its name is not UTF-8 (rename it)"));
            }
            Some(_) if path.is_dir() => files.extend(folders::files_below(path, "")?),
            Some(_) => files.push(path.clone()),
        }
    }
    let read = |path: &PathBuf| {
        let bytes = picture::read(path).map_err(|problem| (problem, true))?;
        let is_meant =
            || paths.contains(path) || picture::is_meant(&path.to_string_lossy(), &bytes);
        pixels(&bytes, params).map_err(|problem| (problem, is_meant()))
    };
    let mut found = GivenImages::default();
    let (mut unreadable, mut others) = (Vec::new(), 0);
    for (path, pixels) in files.iter().zip(files.par_iter().map(read).collect::<Vec<_>>()) {
        let name = name(path);
        match pixels {
            Ok((pixels, numbers)) => {
                found.names.extend(numbers.iter().map(|number| format!("{name}{number}")));
                let range = params.value_range.unwrap_or(BYTES);
                found.numbers.extend(pixels.numbers(range));
            }
            Err((problem, true)) => unreadable.push(format!("\n  `{name}`: {problem}")),
            Err((_, false)) => others += 1,
        }
    }
    if !unreadable.is_empty() {
        let remedy = "mend them, or leave them out with `--skip-unreadable`";
        let how = if params.skip_unreadable { "left out" } else { remedy };
        let (count, all, files) = (unreadable.len(), files.len(), unreadable.concat());
        let notice = format!("{count} of {all} files cannot be read ({how}):{files}");
        if !params.skip_unreadable {
            return Err(DatasetError::Unsuitable(notice));
        }
        found.notices.push(notice);
    }
    if others > 0 {
        found.notices.push(format!("{others} files that are no pictures are left out"));
    }
    if found.names.is_empty() {
        let problem = "found no picture (PNG, JPEG, .., or an `.npy` array) in what was named";
        return Err(DatasetError::Unsuitable(problem.to_owned()));
    }
    Ok(found)
}

/// As it is given, but for what a spreadsheet would compute.
fn name(path: &Path) -> String {
    let name = path.display().to_string();
    if name.starts_with(['=', '+', '-', '@']) { format!("./{name}") } else { name }
}

/// And what follows the name of each image, of an array its number.
fn pixels(bytes: &[u8], params: &ValidDataParams) -> Result<(Pixels, Vec<String>), String> {
    let (pixels, numbers) = if Array::is_in(bytes) {
        let pixels = Array::parse(bytes)?.pixels(params.shape())?;
        let count = pixels.iter().len() / params.shape().values();
        (pixels, (0..count).map(|index| format!("[{index}]")).collect())
    } else if matches!(params.channels, 1 | 3) {
        (picture::pixels(bytes, params)?, vec![String::new()])
    } else {
        return Err(format!(
            "a picture has 1 or 3 channels, and the network {} (give an `.npy` array)",
            params.channels
        ));
    };
    // A scale that goes on after 255 is one of words; that of bytes is 0 to 255 unless it was
    // configured.
    let range = params.value_range.unwrap_or(BYTES);
    let [here, there] = match pixels {
        Pixels::Bytes(_) if range[1] > BYTES[1] => [8, 16],
        Pixels::Words(_) if range == BYTES => [16, 8],
        _ => return Ok((pixels, numbers)),
    };
    Err(format!("has {here} bits, and the network was trained on {there} (give such pictures)"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::DataParams;
    use crate::dataset::picture::tests::encoded;
    use image::{DynamicImage, GrayImage, ImageBuffer, ImageFormat};
    use std::fs;

    fn params(change: &str) -> ValidDataParams {
        let yaml = format!("{{classes: 2, input_size: 2, channels: 1{change}}}");
        serde_yaml::from_str::<DataParams>(&yaml).unwrap().check().unwrap()
    }

    fn png(values: [u8; 4]) -> Vec<u8> {
        let picture = GrayImage::from_raw(2, 2, values.to_vec()).unwrap();
        encoded(&DynamicImage::ImageLuma8(picture), ImageFormat::Png)
    }

    fn npy(shape: &[usize], bytes: &[u8]) -> Vec<u8> {
        let mut file = Vec::new();
        Array::new("u1", shape.to_vec(), bytes.to_vec()).write(&mut file).unwrap();
        file
    }

    #[test]
    fn folders_pictures_and_arrays_are_read_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("b")).unwrap();
        fs::write(at("b/2.png"), png([5, 6, 7, 8])).unwrap();
        fs::write(at("a.png"), png([1, 2, 3, 4])).unwrap();
        fs::write(at("notes.txt"), "no picture").unwrap();
        fs::write(at("two.npy"), npy(&[2, 2, 2], &[9; 8])).unwrap();
        let named = [folder.path().to_owned(), at("a.png")];
        let found = read_given(&named, &params("")).unwrap();
        let of = |name: &str| at(name).display().to_string();
        let two = of("two.npy");
        let names = [of("a.png"), format!("{two}[0]"), format!("{two}[1]"), of("b/2.png")];
        assert_eq!(found.names, [&names[..], &[of("a.png")]].concat());
        let numbers = [1, 2, 3, 4, 9, 9, 9, 9, 9, 9, 9, 9, 5, 6, 7, 8, 1, 2, 3, 4];
        assert_eq!(found.numbers, numbers.map(|number| number as f32));
        assert_eq!(found.notices, ["1 files that are no pictures are left out"]);
        assert_eq!(name(Path::new("=1+1.png")), "./=1+1.png");
    }

    #[test]
    fn what_cannot_be_read_is_named_or_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("cut.png"), &png([1; 4])[..40]).unwrap();
        fs::write(at("whole.png"), png([1; 4])).unwrap();
        let named = [at("cut.png"), at("gone.png"), at("whole.png")];
        let problem = read_given(&named, &params("")).unwrap_err().to_string();
        assert!(problem.starts_with("2 of 3 files cannot be read (mend them"), "{problem}");
        assert!(problem.contains("cut.png`: ") && problem.contains("gone.png`: No such file"));
        let found = read_given(&named, &params(", skip_unreadable: true")).unwrap();
        assert_eq!((found.names.len(), found.numbers), (1, vec![1.0; 4]));
        assert!(
            found.notices[0].starts_with("2 of 3 files cannot be read (left out)"),
            "{:?}",
            found.notices
        );
        let none = read_given(&[at("cut.png")], &params(", skip_unreadable: true"));
        assert!(none.unwrap_err().to_string().starts_with("found no picture"));
    }

    #[test]
    fn pictures_unlike_those_of_the_training_are_refused() {
        let words = ImageBuffer::from_raw(2, 2, vec![0u16, 100, 200, 400]).unwrap();
        let words = encoded(&DynamicImage::ImageLuma16(words), ImageFormat::Png);
        let problem = |bytes: &[u8], change| pixels(bytes, &params(change)).unwrap_err();
        assert!(problem(&words, "").starts_with("has 16 bits, and the network was trained on 8"));
        let wide = ", value_range: [0, 400]";
        assert!(problem(&png([1; 4]), wide).starts_with("has 8 bits, and the network"));
        assert_eq!(pixels(&words, &params(wide)).unwrap().0.numbers([0, 400])[3], 255.0);
        assert!(problem(&npy(&[1, 3, 3], &[0; 9]), "").contains("images of `3x3` values"));
        let four = serde_yaml::from_str::<DataParams>("{classes: 2, input_size: 2, channels: 4}");
        let refused = pixels(&png([1; 4]), &four.unwrap().check().unwrap()).unwrap_err();
        assert!(refused.starts_with("a picture has 1 or 3 channels, and the network 4"));
    }
}

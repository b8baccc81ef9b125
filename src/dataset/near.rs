//! Near-identical pictures in different parts: what was learned by heart would count as recognised.

use std::f64::consts::PI;

use rayon::prelude::*;

use super::images::{ImageShape, Part, Pixels};
use super::resize::{Plane, Resize};
use crate::maths::cos;

/// Two pictures are near-identical when their hashes differ in at most so many of 64 bits.
const DISTANCE: u32 = 4;
/// Side of the picture that is hashed, and how many frequencies along each axis count.
const SIDE: usize = 32;
const FREQUENCIES: usize = 8;

/// A perceptual hash, and that of the mirrored picture: which of the 64 lowest frequencies (of a
/// cosine transform of the grey picture) lie above their median.
pub(super) fn hashes(pixels: &Pixels, shape: ImageShape) -> [u64; 2] {
    let values: Vec<u16> = pixels.iter().collect();
    let mean = |pixel: usize| {
        let channels = values.iter().skip(pixel).step_by(shape.pixels());
        (channels.map(|&value| usize::from(value)).sum::<usize>() / shape.channels) as u16
    };
    let grey = (0..shape.pixels()).map(mean).collect();
    let grey = Plane { width: shape.size, height: shape.size, values: grey };
    let grey = grey.square(Resize::Stretch, SIDE, u16::MAX).values;
    let transform = |row: &[f64]| -> Vec<f64> {
        let wave = |k: usize, x: usize| cos(PI / (2 * SIDE) as f64 * ((2 * x + 1) * k) as f64);
        let product = |k| row.iter().enumerate().map(|(x, value)| value * wave(k, x)).sum();
        (0..FREQUENCIES).map(product).collect()
    };
    let rows = grey.chunks_exact(SIDE).map(|row| row.iter().copied().map(f64::from).collect());
    let rows: Vec<Vec<f64>> = rows.map(|row: Vec<f64>| transform(&row)).collect();
    let column = |u: usize| transform(&rows.iter().map(|row| row[u]).collect::<Vec<_>>());
    let columns: Vec<Vec<f64>> = (0..FREQUENCIES).map(column).collect();
    // A mirrored wave is the same or the negative one.
    [1.0, -1.0].map(|odd| {
        let sign = |u: usize| if u.is_multiple_of(2) { 1.0 } else { odd };
        let signed = columns
            .iter()
            .enumerate()
            .flat_map(|(u, column)| column.iter().map(move |frequency| sign(u) * frequency));
        above_median(&signed.collect::<Vec<_>>())
    })
}

fn above_median(values: &[f64]) -> u64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let median = (sorted[31] + sorted[32]) / 2.0;
    values.iter().fold(0, |hash, &value| hash << 1 | u64::from(value > median))
}

/// For each picture of a later part the nearest near-identical one of an earlier part.
pub(super) fn copies(parts: &[Part], hashes: &[[u64; 2]]) -> Vec<Option<usize>> {
    let nearest = |at: usize| {
        let distance = |other: usize| hashes[other].map(|one| (hashes[at][0] ^ one).count_ones());
        let earlier = (0..parts.len()).filter(|&other| parts[other] < parts[at]);
        let near = earlier.map(|other| (distance(other).into_iter().min(), other)).min();
        near.filter(|(distance, _)| *distance <= Some(DISTANCE)).map(|(_, other)| other)
    };
    (0..parts.len()).into_par_iter().map(nearest).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::{Purpose, generator};
    use rand::Rng;

    /// A picture of some random waves.
    fn picture(seed: u64, size: usize, mirrored: bool) -> [u64; 2] {
        let mut rng = generator(seed, Purpose::Synthetic, 0, 0);
        let waves: Vec<[f64; 4]> = (0..12).map(|_| rng.random()).collect();
        let value = |at: usize| {
            let (row, column) = (at / size, at % size);
            let column = if mirrored { size - 1 - column } else { column };
            let place = |at: usize| (at as f64 + 0.5) / size as f64;
            let wave = |[a, b, c, d]: &[f64; 4]| {
                a * cos(2.0 * PI * (4.0 * b * place(row) + 4.0 * c * place(column) + d))
            };
            (128.0 + 16.0 * waves.iter().map(wave).sum::<f64>()).clamp(0.0, 255.0) as u8
        };
        let bytes = (0..size * size).map(value).collect();
        hashes(&Pixels::Bytes(bytes), ImageShape { channels: 1, size })
    }

    #[test]
    fn resized_and_mirrored_copies_are_found_and_other_pictures_are_none() {
        let parts =
            [Part::Training, Part::Training, Part::Validation, Part::Test, Part::Test, Part::Test];
        let hashes = [
            picture(1, 40, false),
            picture(2, 40, false),
            picture(1, 60, false),
            picture(2, 48, true),
            picture(3, 40, false),
            picture(4, 40, false),
        ];
        assert_eq!(copies(&parts, &hashes), [None, None, Some(0), Some(1), None, None]);
    }

    #[test]
    fn copies_in_one_part_do_not_count() {
        let hashes = [picture(1, 40, false); 2];
        assert_eq!(copies(&[Part::Test; 2], &hashes), [None, None]);
    }
}

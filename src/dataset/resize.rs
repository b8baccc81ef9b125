//! A picture becomes square and small by integers alone, so that no version of a library matters:
//! the bilinear method of Pillow up to 12, which `classify.py` repeats.

use serde::{Deserialize, Serialize};

/// How a picture becomes square before it is made small.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, strum::Display)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Resize {
    /// Each axis by a factor of its own.
    #[default]
    Stretch,
    /// The largest square around the centre is cut out.
    Crop,
    /// Black borders are put on both sides.
    Pad,
}

/// One channel, row by row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plane {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) values: Vec<u16>,
}

/// The sums of weights have this many binary places.
const PLACES: u32 = 22;

impl Plane {
    /// No result exceeds `greatest`, 255 or 65,535.
    pub(super) fn square(self, resize: Resize, size: usize, greatest: u16) -> Self {
        let (width, height) = (self.width, self.height);
        let plane = match resize {
            Resize::Stretch => self,
            Resize::Crop => self.within(width.min(height)),
            Resize::Pad => self.within(width.max(height)),
        };
        plane.resampled(size, greatest).transposed().resampled(size, greatest).transposed()
    }

    /// The square of that side around the centre, black where the plane does not reach.
    fn within(&self, side: usize) -> Self {
        // A border of an odd width is wider on the right and below.
        let offset = |length: usize| (length as isize - side as isize) / 2;
        let (left, top) = (offset(self.width), offset(self.height));
        let at = |row: usize, column: usize| {
            let row = usize::try_from(row as isize + top).ok()?;
            let column = usize::try_from(column as isize + left).ok()?;
            let is_there = row < self.height && column < self.width;
            is_there.then(|| self.values[row * self.width + column])
        };
        let places = (0..side).flat_map(|row| (0..side).map(move |column| (row, column)));
        let values = places.map(|(row, column)| at(row, column).unwrap_or(0)).collect();
        Self { width: side, height: side, values }
    }

    /// With rows of `size` values.
    fn resampled(self, size: usize, greatest: u16) -> Self {
        if self.width == size {
            return self;
        }
        let weights: Vec<_> = (0..size).map(|output| weights(self.width, size, output)).collect();
        let weighted = |row: &[u16], (first, weights): &(usize, Vec<i64>)| {
            let products = weights.iter().zip(&row[*first..]).map(|(w, &v)| w * i64::from(v));
            let sum = (1 << (PLACES - 1)) + products.sum::<i64>();
            (sum >> PLACES).clamp(0, greatest.into()) as u16
        };
        let rows = self.values.chunks_exact(self.width);
        let values = rows.flat_map(|row| weights.iter().map(move |one| weighted(row, one)));
        Self { width: size, height: self.height, values: values.collect() }
    }

    fn transposed(&self) -> Self {
        let columns = (0..self.width)
            .flat_map(|column| self.values.iter().skip(column).step_by(self.width.max(1)));
        Self { width: self.height, height: self.width, values: columns.copied().collect() }
    }
}

/// The first of the values that an output value is a mean of, and their weights, of sum 2^22: a
/// triangle around the centre of the output value, as wide as two steps of the coarser side.
fn weights(input: usize, output: usize, index: usize) -> (usize, Vec<i64>) {
    let scale = input as f64 / output as f64;
    let reach = scale.max(1.0);
    let centre = (index as f64 + 0.5) * scale;
    let first = (centre - reach + 0.5).max(0.0) as usize;
    let end = ((centre + reach + 0.5) as usize).min(input);
    let weight = |at| (1.0 - ((at as f64 - centre + 0.5) * (1.0 / reach)).abs()).max(0.0);
    let weights: Vec<f64> = (first..end).map(weight).collect();
    let sum: f64 = weights.iter().sum();
    let whole = |weight: &f64| (weight / sum * f64::from(1 << PLACES) + 0.5) as i64;
    (first, weights.iter().map(whole).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plane(width: usize, height: usize, values: &[u16]) -> Plane {
        Plane { width, height, values: values.to_vec() }
    }

    #[test]
    fn pixels_are_those_of_pillow_12() {
        // Image.fromarray(..).resize((4, 4), Image.BILINEAR) of noise, and to (5, 5); Pillow 12.3.0
        let noise = [
            255, 228, 34, 121, 243, 189, 6, 131, 102, 168, 82, 193, 187, 150, 81, 243, 205, 24,
            236, 8, 246, 164, 231, 36, 210, 111, 172, 210, 174, 176, 218, 242, 169, 114, 205,
        ];
        let small = plane(7, 5, &noise).square(Resize::Stretch, 4, 255);
        let expected =
            [205, 106, 189, 114, 135, 144, 148, 158, 174, 140, 143, 170, 180, 193, 171, 170];
        assert_eq!(small.values, expected);
        let large = plane(3, 2, &[160, 47, 212, 79, 72, 112]).square(Resize::Stretch, 5, 255);
        let expected = [
            160, 115, 47, 146, 212, 152, 111, 49, 141, 202, 120, 96, 60, 121, 162, 87, 80, 70, 101,
            122, 79, 76, 72, 96, 112,
        ];
        assert_eq!(large.values, expected);
    }

    #[test]
    fn sixteen_bits_keep_their_range() {
        let white = plane(3, 2, &[u16::MAX; 6]).square(Resize::Stretch, 2, u16::MAX);
        assert_eq!(white.values, [u16::MAX; 4]);
    }

    #[test]
    fn a_crop_is_the_square_in_the_middle_and_a_pad_the_whole_between_borders() {
        // Of four columns the middle two; of two rows in a square of four the middle ones.
        let wide = || plane(4, 2, &[1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(wide().square(Resize::Crop, 2, 255).values, [2, 3, 6, 7]);
        let padded = wide().square(Resize::Pad, 4, 255).values;
        assert_eq!(padded, [0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 0]);
        // An odd border: one column of three is left out on the right, one is added below.
        assert_eq!(
            plane(3, 2, &[1, 2, 3, 4, 5, 6]).square(Resize::Crop, 2, 255).values,
            [1, 2, 4, 5]
        );
        let padded = plane(3, 2, &[1, 2, 3, 4, 5, 6]).square(Resize::Pad, 3, 255).values;
        assert_eq!(padded, [1, 2, 3, 4, 5, 6, 0, 0, 0]);
    }
}

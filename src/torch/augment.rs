//! Random changes of training images, drawn from libtorch's generator, which the caller seeds.

use tch::{Kind, TchError, Tensor};

/// Mirrors each image of `[B, H, W, C]` left to right with probability 1/2.
pub fn mirror(images: &Tensor) -> Result<Tensor, TchError> {
    let batch = images.size()[0];
    let coins = Tensor::f_rand([batch, 1, 1, 1], (Kind::Float, images.device()))?;
    images.f_flip([2])?.f_where_self(&coins.f_lt(0.5)?, images)
}

/// Shifts each image of `[B, H, W, C]` by up to `most` pixels along each axis; `fill` comes in.
pub fn translate(images: &Tensor, most: i64, fill: f64) -> Result<Tensor, TchError> {
    let [batch, height, width, _] = images.size()[..] else {
        unreachable!("a batch of images has four axes")
    };
    let whole = (Kind::Int64, images.device());
    let padded = images.f_pad([0, 0, most, most, most, most], "constant", fill)?;
    let shifts = Tensor::f_randint(2 * most + 1, [2, batch, 1], whole)?;
    // Row y of image b is row y + shift of the padded image; columns likewise.
    let places =
        |axis: i64, length: i64| shifts.f_select(0, axis)?.f_add(&Tensor::f_arange(length, whole)?);
    let rows = places(0, height)?.f_view([batch, height, 1])?;
    let columns = places(1, width)?.f_view([batch, 1, width])?;
    let image = Tensor::f_arange(batch, whole)?.f_view([batch, 1, 1])?;
    padded.f_index(&[Some(image), Some(rows), Some(columns)])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `[64, 2, 3, 1]`, every image with the rows 1 2 3 and 4 5 6.
    fn images() -> Tensor {
        Tensor::from_slice(&[1_f32, 2., 3., 4., 5., 6.]).view([1, 2, 3, 1]).repeat([64, 1, 1, 1])
    }

    fn all(images: &Tensor) -> Vec<Vec<f32>> {
        (0..images.size()[0])
            .map(|index| Vec::try_from(images.get(index).reshape([-1])).unwrap())
            .collect()
    }

    #[test]
    fn about_half_of_the_images_are_mirrored() {
        let found = all(&mirror(&images()).unwrap());
        let (plain, mirrored) = ([1., 2., 3., 4., 5., 6.], [3., 2., 1., 6., 5., 4.]);
        assert!(found.iter().all(|image| image[..] == plain || image[..] == mirrored));
        let count = found.iter().filter(|image| image[..] == mirrored).count();
        // 64 fair coins: fewer than 8 or more than 56 have a probability below 1e-9.
        assert!((8..=56).contains(&count), "{count}");
    }

    #[test]
    fn every_shift_occurs_and_the_border_is_filled() {
        let found = all(&translate(&images(), 1, 9.0).unwrap());
        assert!(found.iter().all(|image| image.len() == 6));
        // The padded image is 9 9 9 9 9 / 9 1 2 3 9 / 9 4 5 6 9 / 9 9 9 9 9.
        let at = |row: usize, column: usize| -> Vec<f32> {
            let padded = [
                [9., 9., 9., 9., 9.],
                [9., 1., 2., 3., 9.],
                [9., 4., 5., 6., 9.],
                [9., 9., 9., 9., 9.],
            ];
            (row..row + 2).flat_map(|y| padded[y][column..column + 3].to_vec()).collect()
        };
        let windows: Vec<_> =
            (0..3).flat_map(|y| (0..3).map(move |x| (y, x))).map(|(y, x)| at(y, x)).collect();
        assert!(found.iter().all(|image| windows.contains(image)));
        // Each of 9 windows is missed by 64 draws with probability (8/9)^64 = 0.0005; at least 6
        // occur.
        assert!(windows.iter().filter(|window| found.contains(window)).count() >= 6);
    }
}

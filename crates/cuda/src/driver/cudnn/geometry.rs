//! A convolution as cuDNN expects it: sizes and strides of three tensors, and steps along each spatial axis.

use glad_ops::Conv;

/// A convolution over two or three axes. Sizes of tensors are `[samples, channels, axes…]`, those of the weights
/// `[co, ci / groups, axes…]`; in memory the channels are last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Geometry {
    pub x: Vec<i64>,
    pub w: Vec<i64>,
    pub y: Vec<i64>,
    pub stride: Vec<i64>,
    pub pad: Vec<i64>,
    pub pad_end: Vec<i64>,
    pub dilation: Vec<i64>,
}

impl Geometry {
    /// cuDNN has more and better kernels for two axes than for three, so axes along which the kernel has size 1 are merged
    /// with their neighbours, which changes nothing in memory:
    /// - frame by frame (1×k×k): frames are samples;
    /// - along time alone (k×1×1): rows and columns are one axis;
    /// - else three axes.
    pub(super) fn of(conv: &Conv) -> Geometry {
        // Along such an axis the output is as long as the input and each value depends on one input value.
        let still = |a: usize| conv.kernel[a] == 1 && conv.stride[a] == 1 && conv.pad[a] == 0 && conv.pad_end[a] == 0;
        let [t, h, w] = conv.input;
        let [to, ho, wo] = conv.output();
        // Samples; sizes of the input and output along the axes that stay; and which axes of the convolution these are.
        let (n, input, output, axes): (usize, &[usize], &[usize], &[usize]) = if still(0) {
            (conv.n * t, &[h, w], &[ho, wo], &[1, 2])
        } else if still(1) && still(2) {
            (conv.n, &[t, h * w], &[to, ho * wo], &[0, 2])
        } else {
            (conv.n, &[t, h, w], &[to, ho, wo], &[0, 1, 2])
        };
        let tensor = |n: usize, channels: usize, sizes: &mut dyn Iterator<Item = usize>| {
            [n, channels].into_iter().chain(sizes).map(long).collect::<Vec<_>>()
        };
        let along = |of: &[usize; 3]| axes.iter().map(|&a| long(of[a])).collect::<Vec<_>>();
        Geometry {
            x: tensor(n, conv.ci, &mut input.iter().copied()),
            w: tensor(
                conv.co,
                conv.ci / conv.groups.max(1),
                &mut axes.iter().map(|&a| conv.kernel[a]),
            ),
            y: tensor(n, conv.co, &mut output.iter().copied()),
            stride: along(&conv.stride),
            pad: along(&conv.pad),
            pad_end: along(&conv.pad_end),
            dilation: along(&conv.dilation),
        }
    }
}

fn long(n: usize) -> i64 {
    // Sizes of memory that exists.
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// The strides of a tensor `[n, c, axes…]` whose channels are last in memory.
pub(super) fn channels_last(sizes: &[i64]) -> Vec<i64> {
    let mut strides = vec![1; sizes.len()];
    let mut step = sizes[1];
    for axis in (2..sizes.len()).rev() {
        strides[axis] = step;
        step *= sizes[axis];
    }
    strides[0] = step;
    strides
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_samples_where_the_kernel_looks_at_one() {
        let conv = Conv::new_3d(2, [8, 56, 48], 64, 32, [1, 3, 5], [1, 2, 1], [0, 1, 2]);
        let g = Geometry::of(&conv);
        assert_eq!(g.x, [16, 64, 56, 48]);
        assert_eq!(g.w, [32, 64, 3, 5]);
        assert_eq!(g.y, [16, 32, 28, 48]);
        assert_eq!((g.stride, g.pad, g.dilation), (vec![2, 1], vec![1, 2], vec![1, 1]));
        assert_eq!(channels_last(&g.x), [56 * 48 * 64, 1, 48 * 64, 64]);
    }

    #[test]
    fn a_frame_is_one_axis_where_the_kernel_goes_along_time() {
        let conv = Conv::new_3d(2, [8, 7, 5], 64, 32, [3, 1, 1], [2, 1, 1], [1, 0, 0]);
        let g = Geometry::of(&conv);
        assert_eq!(g.x, [2, 64, 8, 35]);
        assert_eq!(g.w, [32, 64, 3, 1]);
        assert_eq!(g.y, [2, 32, 4, 35]);
        assert_eq!((g.stride, g.pad), (vec![2, 1], vec![1, 0]));
    }

    #[test]
    fn all_other_kernels_keep_three_axes_and_both_paddings() {
        let conv = Conv {
            pad_end: [1, 0, 2],
            groups: 4,
            ..Conv::new_3d(2, [8, 7, 5], 64, 32, [3, 1, 3], [1, 1, 1], [1, 0, 1])
        };
        let g = Geometry::of(&conv);
        assert_eq!(g.x, [2, 64, 8, 7, 5]);
        assert_eq!(g.w, [32, 16, 3, 1, 3]);
        assert_eq!(g.y, [2, 32, 8, 7, 6]);
        assert_eq!((g.pad, g.pad_end), (vec![1, 0, 1], vec![1, 0, 2]));
        assert_eq!(channels_last(&g.w), [16 * 9, 1, 3 * 16, 3 * 16, 16]);
        // A stride over frames keeps the time axis, although the kernel covers one frame.
        let strided = Conv::new_3d(2, [8, 7, 5], 4, 4, [1, 1, 1], [2, 1, 1], [0, 0, 0]);
        assert_eq!(Geometry::of(&strided).x, [2, 4, 8, 35]);
        assert_eq!(Geometry::of(&strided).y, [2, 4, 4, 35]);
    }

    #[test]
    fn folding_keeps_the_number_of_values() {
        for kernel in [[1, 1, 1], [1, 3, 3], [3, 1, 1], [3, 3, 3], [5, 7, 7]] {
            let pad = kernel.map(|k| k / 2);
            for stride in [[1, 1, 1], [1, 2, 2], [2, 1, 1], [2, 2, 2]] {
                let conv = Conv::new_3d(3, [8, 14, 10], 6, 9, kernel, stride, pad);
                let g = Geometry::of(&conv);
                let values = |sizes: &[i64]| usize::try_from(sizes.iter().product::<i64>()).unwrap();
                assert_eq!(values(&g.x), conv.input_len());
                assert_eq!(values(&g.y), conv.output_len());
                assert_eq!(values(&g.w), conv.weight_len());
            }
        }
    }
}

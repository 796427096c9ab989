//! Effects of padding on a convolution: TensorFlow's "same" padding, and kernel taps that only ever meet padding.

use glad_ops::conv::Source;
use glad_ops::{Conv, Result, buffer};

/// Leading and trailing zeros for `⌈size / stride⌉` outputs along each axis, an odd one trailing (TensorFlow's "same").
pub(crate) fn same_padding(input: [usize; 3], kernel: [usize; 3], stride: [usize; 3]) -> ([usize; 3], [usize; 3]) {
    let total: [usize; 3] = std::array::from_fn(|a| {
        let step = stride[a].max(1);
        let covered = match input[a] % step {
            0 => step,
            rest => rest,
        };
        kernel[a].saturating_sub(covered)
    });
    (total.map(|n| n / 2), total.map(|n| n - n / 2))
}

/// A convolution without the taps of its kernel that meet only padding at every output position. Where a clip has
/// one frame left, a 3×1×1 kernel reduces to its middle tap: a third of the work for the same result.
pub(crate) struct Taps {
    /// The convolution that is computed.
    pub conv: Conv,
    /// Size of the kernel of its weights.
    whole: [usize; 3],
    /// The first tap that is used.
    first: [usize; 3],
}

impl Taps {
    pub(crate) fn of(conv: Conv) -> Taps {
        let mut used = conv;
        let mut first = [0; 3];
        let output = conv.output();
        for a in 0..3 {
            let (kernel, pad, input) = (conv.kernel[a], conv.pad[a], conv.input[a]);
            if conv.dilation[a] != 1 || output[a] == 0 || input == 0 {
                continue;
            }
            // Tap `k` of output `o` reads the input at `o · stride + k − pad`.
            let last_start = (output[a] - 1) * conv.stride[a];
            let from = pad.saturating_sub(last_start);
            let to = kernel.min(input + pad);
            if from >= to {
                continue;
            }
            first[a] = from;
            used.kernel[a] = to - from;
            used.pad[a] = pad - from;
            used.pad_end[a] = conv.pad_end[a].saturating_sub(kernel - to);
        }
        Taps {
            conv: used,
            whole: conv.kernel,
            first,
        }
    }

    fn all(&self) -> bool {
        self.conv.kernel == self.whole
    }

    /// Which of the weights' taps are used.
    pub(crate) fn source(&self) -> Source {
        Source {
            kernel: self.whole,
            first: self.first,
        }
    }

    /// The gradient of all taps, from that of the used ones: zero for the others.
    pub(crate) fn place(&self, grad: Vec<f32>) -> Result<Vec<f32>> {
        if self.all() {
            return Ok(grad);
        }
        let mut whole = buffer(grad.len() / self.conv.taps() * self.whole.iter().product::<usize>());
        self.source().place(&self.conv, &grad, &mut whole)?;
        Ok(whole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn same_padding_is_tensorflows() {
        assert_eq!(same_padding([8, 224, 225], [7; 3], [2; 3]), ([2, 2, 3], [3, 3, 3]));
        assert_eq!(same_padding([1, 1, 2], [2; 3], [2; 3]), ([0; 3], [1, 1, 0]));
        assert_eq!(same_padding([5; 3], [3; 3], [1; 3]), ([1; 3], [1; 3]));
        assert_eq!(same_padding([4; 3], [1; 3], [2; 3]), ([0; 3], [0; 3]));
    }

    #[test]
    fn one_frame_leaves_the_middle_tap() {
        let taps = Taps::of(Conv::new_3d(1, [1, 4, 4], 2, 3, [3, 1, 1], [1; 3], [1, 0, 0]));
        assert_eq!(
            (taps.conv.kernel, taps.conv.pad, taps.conv.pad_end),
            ([1; 3], [0; 3], [0; 3])
        );
        let source = Source {
            kernel: [3, 1, 1],
            first: [1, 0, 0],
        };
        assert_eq!(taps.source(), source);
        let back = taps.place(vec![1.0; 6]).unwrap();
        assert_eq!(back, [0.0, 1.0, 0.0].repeat(6));
    }

    proptest! {
        /// The output keeps its size, and the used taps are exactly those that meet the input.
        #[test]
        fn taps_that_meet_padding_alone_go(
            input in 1usize..6, kernel in 1usize..8, stride in 1usize..4, front in 0usize..5, behind in 0usize..5,
        ) {
            let conv = Conv { pad_end: [behind, 0, 0], ..Conv::new_3d(1, [input, 1, 1], 1, 1, [kernel, 1, 1], [stride, 1, 1], [front, 0, 0]) };
            prop_assume!(conv.output()[0] > 0);
            let taps = Taps::of(conv);
            prop_assert_eq!(taps.conv.output(), conv.output());
            let meets = |k: usize| (0..conv.output()[0]).any(|o| (front..front + input).contains(&(o * stride + k)));
            let used: Vec<usize> = (0..kernel).filter(|k| meets(*k)).collect();
            let first = taps.source().first[0];
            let picked: Vec<usize> = (first..first + taps.conv.kernel[0]).collect();
            // Where a stride skips input positions, more taps than needed may stay.
            prop_assert!(used.iter().all(|k| picked.contains(k)), "{:?} and {:?} meet", picked, used);
            if stride == 1 && !used.is_empty() {
                prop_assert_eq!(picked, used);
            }
        }
    }
}

//! The shape of a convolution.

use crate::error::{Result, shape};

const OP: &str = "convolution";

/// The shape of a convolution. Triples are (time, height, width); a 2-D convolution has `t = 1` everywhere.
///
/// Input `[n, t, h, w, ci]`, output `[n, t', h', w', co]`, weights `[co, ci / groups, kt, kh, kw]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Conv {
    /// Samples (for a 2-D network: frames).
    pub n: usize,
    /// Size of the input.
    pub input: [usize; 3],
    /// Input channels.
    pub ci: usize,
    /// Output channels.
    pub co: usize,
    /// Size of the kernel.
    pub kernel: [usize; 3],
    /// Step of the kernel.
    pub stride: [usize; 3],
    /// Zeros before the input along each axis.
    pub pad: [usize; 3],
    /// Zeros after the input along each axis; differs from `pad` for TensorFlow's "same" padding only.
    pub pad_end: [usize; 3],
    /// Distance between the kernel's taps.
    pub dilation: [usize; 3],
    /// Groups of channels that do not see each other.
    pub groups: usize,
}

impl Conv {
    /// A square 2-D convolution of `n` frames of `h × w × ci`.
    pub fn new_2d(
        n: usize,
        [h, w]: [usize; 2],
        ci: usize,
        co: usize,
        kernel: usize,
        stride: usize,
        pad: usize,
    ) -> Self {
        Self::new_3d(
            n,
            [1, h, w],
            ci,
            co,
            [1, kernel, kernel],
            [1, stride, stride],
            [0, pad, pad],
        )
    }

    /// A 3-D convolution without dilation or groups; set those fields for others.
    pub fn new_3d(
        n: usize,
        input: [usize; 3],
        ci: usize,
        co: usize,
        kernel: [usize; 3],
        stride: [usize; 3],
        pad: [usize; 3],
    ) -> Self {
        Self {
            n,
            input,
            ci,
            co,
            kernel,
            stride,
            pad,
            pad_end: pad,
            dilation: [1; 3],
            groups: 1,
        }
    }

    /// The same convolution on another number of samples of another size: the weights stay.
    pub fn on(self, n: usize, input: [usize; 3]) -> Self {
        Self { n, input, ..self }
    }

    /// Whether packed weights of `other` fit this convolution too: everything is equal except samples and input size.
    pub fn same_weights(&self, other: &Conv) -> bool {
        other.on(self.n, self.input) == *self
    }

    /// Size of the output along (time, height, width); zero where the kernel does not fit.
    pub fn output(&self) -> [usize; 3] {
        std::array::from_fn(|a| {
            let reach = self.dilation[a] * self.kernel[a].saturating_sub(1) + 1;
            let padded = self.input[a] + self.pad[a] + self.pad_end[a];
            if padded < reach || self.stride[a] == 0 {
                0
            } else {
                (padded - reach) / self.stride[a] + 1
            }
        })
    }

    /// Taps of the kernel.
    pub fn taps(&self) -> usize {
        self.kernel.iter().product()
    }

    /// Output pixels: `n · t' · h' · w'`.
    pub fn rows(&self) -> usize {
        self.n * self.output().iter().product::<usize>()
    }

    /// Values of the input.
    pub fn input_len(&self) -> usize {
        self.n * self.input.iter().product::<usize>() * self.ci
    }

    /// Values of the output.
    pub fn output_len(&self) -> usize {
        self.rows() * self.co
    }

    /// Values of the weights.
    pub fn weight_len(&self) -> usize {
        self.co * (self.ci / self.groups.max(1)) * self.taps()
    }

    /// Multiply-adds of the forward pass (padding counted in, as is usual).
    pub fn macs(&self) -> u64 {
        (self.rows() as u64).saturating_mul(self.weight_len() as u64)
    }

    /// Checks the shape.
    ///
    /// # Errors
    /// A zero size or step, channels that the groups do not divide, or a kernel larger than the padded input.
    pub fn validate(&self) -> Result<()> {
        let Self {
            input,
            kernel,
            stride,
            dilation,
            ..
        } = self;
        for (name, sizes) in [
            ("input", input),
            ("kernel", kernel),
            ("stride", stride),
            ("dilation", dilation),
        ] {
            if sizes.contains(&0) {
                return Err(shape(OP, format!("{name} {sizes:?} (time, height, width) has a zero")));
            }
        }
        for (name, size) in [
            ("samples", self.n),
            ("input channels", self.ci),
            ("output channels", self.co),
        ] {
            if size == 0 {
                return Err(shape(OP, format!("the number of {name} is zero")));
            }
        }
        if self.groups == 0 || !self.ci.is_multiple_of(self.groups) || !self.co.is_multiple_of(self.groups) {
            let Self { ci, co, groups, .. } = self;
            return Err(shape(
                OP,
                format!("{groups} groups do not divide {ci} input and {co} output channels"),
            ));
        }
        if self.output().contains(&0) {
            let Self { pad, pad_end, .. } = self;
            return Err(shape(
                OP,
                format!(
                    "a kernel of {kernel:?} with dilation {dilation:?} does not fit an input of {input:?} padded by \
                     {pad:?} and {pad_end:?} (time, height, width)"
                ),
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_those_of_pytorch() {
        let stem = Conv::new_2d(2, [224, 224], 3, 64, 7, 2, 3);
        assert_eq!(stem.output(), [1, 112, 112]);
        assert_eq!(stem.macs(), 2 * 118_013_952);
        let inflated = Conv::new_3d(1, [32, 224, 224], 3, 64, [5, 7, 7], [2, 2, 2], [2, 3, 3]);
        assert_eq!(inflated.output(), [16, 112, 112]);
        let dilated = Conv {
            dilation: [1, 2, 3],
            ..Conv::new_3d(1, [1, 9, 9], 1, 1, [1, 3, 3], [1, 1, 1], [0, 0, 1])
        };
        assert_eq!(dilated.output(), [1, 5, 5]);
        assert!(stem.same_weights(&stem.on(7, [1, 48, 48])));
        assert!(!stem.same_weights(&dilated));
    }

    #[test]
    fn mistakes_are_named() {
        let good = Conv::new_2d(1, [4, 4], 6, 6, 3, 1, 0);
        good.validate().unwrap();
        let printed = |conv: Conv| conv.validate().unwrap_err().to_string();
        assert!(printed(Conv { groups: 4, ..good }).contains("4 groups do not divide"));
        assert!(
            printed(Conv {
                stride: [1, 0, 1],
                ..good
            })
            .contains("stride [1, 0, 1]")
        );
        assert!(
            printed(Conv {
                input: [1, 2, 4],
                ..good
            })
            .contains("does not fit")
        );
        assert!(printed(Conv { n: 0, ..good }).contains("samples"));
    }
}

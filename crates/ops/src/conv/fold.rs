//! A convolution with stride 2 over pixels as one with stride 1 over squares of 2×2 pixels, whose channels are those of the
//! four pixels: the same sums, and of a form that Winograd's filtering serves.
//!
//! Output pixel `i` reads the padded input at `2i + k` for each tap `k`, that is pixel `k mod 2` of square `i + k / 2`. A
//! kernel of 7×7 becomes one of 4×4, whose taps beyond the seventh are zero.

use super::shape::Conv;
use crate::parallel::{self, Shared};
use crate::scratch::{self, Scratch};

/// Pixels of a square, along height and width.
const SIDE: usize = 2;
/// Values that an output value sums before Winograd pays for its transforms, measured from the products of short
/// sums a core does. Stems of 2-D networks have fewer.
const LEAST_DEPTH: usize = 48;

/// How a convolution is folded. Depends on the weights alone, which are packed for it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fold {
    conv: Conv,
    /// The convolution over squares: its input is padded already.
    pub folded: Conv,
}

impl Fold {
    /// The fold of a convolution, if folding makes it faster.
    pub(super) fn of(conv: &Conv) -> Option<Fold> {
        let [kt, kh, kw] = conv.kernel;
        let kernel = [kh, kw].map(|k| k.div_ceil(SIDE));
        let strided = conv.stride[1..] == [SIDE; 2] && conv.dilation[1..] == [1; 2] && conv.groups == 1;
        let depth = kt * SIDE * SIDE * conv.ci;
        if !strided || kernel != [4; 2] || depth < LEAST_DEPTH {
            return None;
        }
        let [_, oh, ow] = conv.output();
        Some(Fold {
            conv: *conv,
            folded: Conv {
                input: [conv.input[0], oh + kernel[0] - 1, ow + kernel[1] - 1],
                ci: SIDE * SIDE * conv.ci,
                kernel: [kt, kernel[0], kernel[1]],
                stride: [conv.stride[0], 1, 1],
                pad: [conv.pad[0], 0, 0],
                pad_end: [conv.pad_end[0], 0, 0],
                ..*conv
            },
        })
    }

    /// The input in squares, `[n, t, rows, columns, (y, x, ci)]`, with zeros for the padding.
    pub(super) fn input(&self, x: &[f32]) -> Scratch {
        let [_, height, width] = self.conv.input;
        let [_, rows, columns] = self.folded.input;
        let [_, above, left] = self.conv.pad;
        let (ci, square) = (self.conv.ci, self.folded.ci);
        let mut all = scratch::take(self.folded.input_len());
        let (to, line) = (Shared::new(&mut all), columns * square);
        parallel::run(
            self.conv.n * self.conv.input[0] * rows,
            self.folded.input_len(),
            |task| {
                let (frame, row) = (task / rows, task % rows);
                // SAFETY: tasks have lines of their own.
                let line = unsafe { to.part(task * line, line) };
                for y in 0..SIDE {
                    let source = (SIDE * row + y).checked_sub(above).filter(|&y| y < height);
                    let source = source.map(|y| &x[(frame * height + y) * width * ci..][..width * ci]);
                    for (column, square) in line.chunks_exact_mut(square).enumerate() {
                        let pixels = &mut square[y * SIDE * ci..][..SIDE * ci];
                        let first = SIDE * column;
                        match source {
                            // Both pixels are adjacent.
                            Some(source) if first >= left && first + SIDE <= left + width => {
                                pixels.copy_from_slice(&source[(first - left) * ci..][..SIDE * ci]);
                            }
                            Some(source) => {
                                for (x, pixel) in pixels.chunks_exact_mut(ci).enumerate() {
                                    match (first + x).checked_sub(left).filter(|&x| x < width) {
                                        Some(x) => pixel.copy_from_slice(&source[x * ci..][..ci]),
                                        None => pixel.fill(0.0),
                                    }
                                }
                            }
                            None => pixels.fill(0.0),
                        }
                    }
                }
            },
        );
        all
    }

    /// Where a tap and a channel of the convolution are in the folded one: its tap, and its channel.
    pub(super) fn place(&self, tap: usize, channel: usize) -> (usize, usize) {
        let [_, kh, kw] = self.conv.kernel;
        let [_, fh, fw] = self.folded.kernel;
        let (x, y, t) = (tap % kw, tap / kw % kh, tap / kw / kh);
        let pixel = (y % SIDE) * SIDE + x % SIDE;
        ((t * fh + y / SIDE) * fw + x / SIDE, pixel * self.conv.ci + channel)
    }

    /// The gradient of the weights from that of the folded ones.
    pub(super) fn weight_grads(&self, folded: &[f32], dw: &mut [f32]) {
        let (taps, folded_taps) = (self.conv.taps(), self.folded.taps());
        let filter = self.conv.ci * taps;
        for (dw, folded) in dw
            .chunks_exact_mut(filter)
            .zip(folded.chunks_exact(self.folded.ci * folded_taps))
        {
            for (i, dw) in dw.iter_mut().enumerate() {
                let (tap, channel) = self.place(i % taps, i / taps);
                *dw = folded[channel * folded_taps + tap];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stems_of_3d_networks_are_folded() {
        let stem = Conv::new_3d(1, [32, 224, 224], 3, 64, [5, 7, 7], [2, 2, 2], [2, 3, 3]);
        let fold = Fold::of(&stem).unwrap();
        assert_eq!((fold.folded.input, fold.folded.ci), ([32, 115, 115], 12));
        assert_eq!(fold.folded.output(), stem.output());
        assert!(
            Fold::of(&Conv::new_2d(8, [224, 224], 3, 64, 7, 2, 3)).is_none(),
            "few values"
        );
        assert!(Fold::of(&fold.folded).is_none());
        assert!(Fold::of(&Conv::new_2d(8, [28, 28], 64, 64, 3, 2, 1)).is_none(), "3×3");
        assert!(Fold::of(&Conv { stride: [1; 3], ..stem }).is_none(), "stride 1");
    }

    #[test]
    fn taps_and_channels_have_places_of_their_own() {
        let fold = Fold::of(&Conv::new_3d(1, [5, 9, 9], 3, 1, [5, 7, 8], [1, 2, 2], [2, 3, 3])).unwrap();
        let mut seen = vec![false; fold.folded.weight_len()];
        for tap in 0..fold.conv.taps() {
            for channel in 0..3 {
                let (tap, channel) = fold.place(tap, channel);
                assert!(!std::mem::replace(&mut seen[channel * fold.folded.taps() + tap], true));
            }
        }
    }
}

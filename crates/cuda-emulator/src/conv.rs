//! Convolutions over up to three axes, channels last, by loops.

use crate::blas::read;
use crate::memory::Memory;
use half::bf16;
use rayon::prelude::*;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pass {
    Forward,
    Data,
    Filter,
}

/// A convolution as its descriptors define it: sizes `[samples, channels, axes…]`, padded to three axes.
#[derive(Clone, Debug)]
pub(crate) struct Conv {
    pub pass: Pass,
    pub x: [usize; 5],
    pub w: [usize; 5],
    pub y: [usize; 5],
    pub stride: [usize; 3],
    pub pad: [usize; 3],
    pub dilation: [usize; 3],
    pub bf: bool,
    /// Factors are rounded to 10 bits of mantissa.
    pub tf32: bool,
    pub alpha: f32,
    pub beta: f32,
    pub alignment: u64,
}

fn len(sizes: &[usize; 5]) -> usize {
    sizes.iter().product()
}

/// An output position, and the input position that a tap reads for it; both without channels.
struct Pair {
    y: usize,
    x: usize,
}

impl Conv {
    /// The pairs of output and input positions of a sample that a tap connects.
    fn pairs(&self, tap: [usize; 3]) -> Vec<Pair> {
        let axis = |a: usize, o: usize| {
            let at = o * self.stride[a] + tap[a] * self.dilation[a];
            at.checked_sub(self.pad[a]).filter(|&i| i < self.x[a + 2])
        };
        let [.., yt, yh, yw] = self.y;
        let [.., xh, xw] = self.x;
        let mut all = Vec::new();
        for t in 0..yt {
            for h in 0..yh {
                for w in 0..yw {
                    if let (Some(i), Some(j), Some(k)) = (axis(0, t), axis(1, h), axis(2, w)) {
                        all.push(Pair {
                            y: (t * yh + h) * yw + w,
                            x: (i * xh + j) * xw + k,
                        });
                    }
                }
            }
        }
        all
    }

    /// Runs it on the addresses of input, weights and output.
    pub(crate) fn run(&self, memory: &Memory, [x, w, y]: [u64; 3]) -> Result<(), String> {
        let size = if self.bf { 2 } else { 4 };
        for (name, at, sizes) in [("x", x, &self.x), ("w", w, &self.w), ("y", y, &self.y)] {
            memory
                .check(at, len(sizes) * size)
                .map_err(|e| format!("{name}: {e}"))?;
            if at % self.alignment != 0 {
                return Err(format!("{name} at {at:#x} is not aligned to {} bytes", self.alignment));
            }
        }
        // SAFETY: checked.
        let get = |at, sizes| unsafe { read(at, len(sizes), self.bf, self.tf32) };
        let (to, sizes, sums) = match self.pass {
            Pass::Forward => (y, &self.y, self.forward(&get(x, &self.x), &get(w, &self.w))),
            Pass::Data => (x, &self.x, self.data(&get(y, &self.y), &get(w, &self.w))),
            Pass::Filter => (w, &self.w, self.filter(&get(x, &self.x), &get(y, &self.y))),
        };
        debug_assert_eq!(sums.len(), len(sizes));
        for (i, sum) in sums.iter().enumerate() {
            let old = |v: f32| if self.beta == 0.0 { 0.0 } else { self.beta * v };
            // SAFETY: inside what was checked.
            unsafe {
                if self.bf {
                    let to = (to as *mut bf16).add(i);
                    *to = bf16::from_f32(self.alpha * sum + old((*to).to_f32()));
                } else {
                    let to = (to as *mut f32).add(i);
                    *to = self.alpha * sum + old(*to);
                }
            }
        }
        Ok(())
    }

    fn taps(&self) -> Vec<(usize, Vec<Pair>)> {
        let [.., kt, kh, kw] = self.w;
        let each = |i: usize| (i, self.pairs([i / (kh * kw), i / kw % kh, i % kw]));
        (0..kt * kh * kw).map(each).collect()
    }

    /// Groups, and the input's and output's channels of each.
    fn channels(&self) -> (usize, usize, usize) {
        let groups = self.x[1] / self.w[1];
        (groups, self.w[1], self.w[0] / groups)
    }

    fn forward(&self, x: &[f32], w: &[f32]) -> Vec<f32> {
        let (groups, ci, co) = self.channels();
        let (taps, all) = (self.taps(), self.w[2..].iter().product::<usize>());
        // `[group, tap, ci, co]`, so that the innermost loop is over the output's channels.
        let mut turned = vec![0.0; w.len()];
        for (i, &v) in w.iter().enumerate() {
            let (o, tap, c) = (i / (all * ci), i / ci % all, i % ci);
            turned[((o / co * all + tap) * ci + c) * co + o % co] = v;
        }
        let (nx, ny) = (len(&self.x) / self.x[0], len(&self.y) / self.y[0]);
        let mut y = vec![0.0; len(&self.y)];
        y.par_chunks_mut(ny).zip(x.par_chunks(nx)).for_each(|(y, x)| {
            for (tap, pairs) in &taps {
                for pair in pairs {
                    for g in 0..groups {
                        let to = &mut y[(pair.y * groups + g) * co..][..co];
                        for c in 0..ci {
                            let v = x[(pair.x * groups + g) * ci + c];
                            add(to, v, &turned[((g * all + tap) * ci + c) * co..][..co]);
                        }
                    }
                }
            }
        });
        y
    }

    fn data(&self, dy: &[f32], w: &[f32]) -> Vec<f32> {
        let (groups, ci, co) = self.channels();
        let (taps, all) = (self.taps(), self.w[2..].iter().product::<usize>());
        let (nx, ny) = (len(&self.x) / self.x[0], len(&self.y) / self.y[0]);
        let mut dx = vec![0.0; len(&self.x)];
        dx.par_chunks_mut(nx).zip(dy.par_chunks(ny)).for_each(|(dx, dy)| {
            for (tap, pairs) in &taps {
                for pair in pairs {
                    for g in 0..groups {
                        let to = &mut dx[(pair.x * groups + g) * ci..][..ci];
                        for o in g * co..(g + 1) * co {
                            let v = dy[pair.y * groups * co + o];
                            add(to, v, &w[(o * all + tap) * ci..][..ci]);
                        }
                    }
                }
            }
        });
        dx
    }

    fn filter(&self, x: &[f32], dy: &[f32]) -> Vec<f32> {
        let (groups, ci, co) = self.channels();
        let (taps, all) = (self.taps(), self.w[2..].iter().product::<usize>());
        let (nx, ny) = (len(&self.x) / self.x[0], len(&self.y) / self.y[0]);
        let mut dw = vec![0.0; len(&self.w)];
        // One part for each output channel.
        dw.par_chunks_mut(all * ci).enumerate().for_each(|(o, dw)| {
            for (dy, x) in dy.chunks(ny).zip(x.chunks(nx)) {
                for (tap, pairs) in &taps {
                    for pair in pairs {
                        let v = dy[pair.y * groups * co + o];
                        let from = (pair.x * groups + o / co) * ci;
                        add(&mut dw[tap * ci..][..ci], v, &x[from..][..ci]);
                    }
                }
            }
        });
        dw
    }
}

fn add(to: &mut [f32], v: f32, from: &[f32]) {
    for (t, f) in to.iter_mut().zip(from) {
        *t += v * f;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blas::tf32;

    #[test]
    fn a_factor_keeps_ten_bits() {
        assert_eq!(tf32(1.0 + 1.0 / 1024.0), 1.0 + 1.0 / 1024.0);
        assert_eq!(tf32(1.0 + 1.0 / 4096.0), 1.0);
        assert!(tf32(f32::NAN).is_nan());
    }

    #[test]
    fn a_row_is_convolved() {
        let conv = Conv {
            pass: Pass::Forward,
            x: [1, 1, 1, 1, 4],
            w: [1, 1, 1, 1, 3],
            y: [1, 1, 1, 1, 4],
            stride: [1; 3],
            pad: [0, 0, 1],
            dilation: [1; 3],
            bf: false,
            tf32: false,
            alpha: 1.0,
            beta: 0.0,
            alignment: 16,
        };
        let (x, w) = ([1.0, 2.0, 3.0, 4.0], [1.0, 10.0, 100.0]);
        assert_eq!(conv.forward(&x, &w), [210.0, 321.0, 432.0, 43.0]);
        assert_eq!(conv.data(&[1.0, 0.0, 0.0, 1.0], &w), [10.0, 100.0, 1.0, 10.0]);
        assert_eq!(conv.filter(&x, &[1.0, 0.0, 0.0, 0.0]), [0.0, 1.0, 2.0]);
    }
}

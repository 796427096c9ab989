//! The geometry of one pass: which input values each output pixel multiplies.

use super::shape::Conv;

/// A tap along one axis: its index in the kernel, and its source position at grid position 0.
type Axis = Vec<(usize, isize)>;

/// A gather-GEMM over a grid of output pixels. Along each axis, grid position `i` is written to
/// `out_at + i · out_step` and reads the source at `i · src_step + offset` for each tap.
///
/// Taps that are neighbours along the width are merged into **runs** of contiguous source values.
#[derive(Debug, Clone)]
pub(super) struct Gather {
    pub n: usize,
    pub grid: [usize; 3],
    pub out_dims: [usize; 3],
    pub out_step: [usize; 3],
    pub out_at: [usize; 3],
    pub src_dims: [usize; 3],
    pub src_step: [usize; 3],
    /// The (time, height) offsets of the source lines that a grid line reads.
    pub lines: Vec<[isize; 2]>,
    /// The runs: (index into `lines`, offset along the width).
    pub runs: Vec<(usize, isize)>,
    /// The kernel's taps in the order of the runs, `taps_per_run` for each.
    pub taps: Vec<usize>,
    pub taps_per_run: usize,
    /// Channels that are gathered, in one group, and in all.
    pub channels: usize,
    pub groups: usize,
}

/// Taps along an axis in the forward pass: `src = i · stride + k · dilation − pad`.
fn forward_axis(conv: &Conv, a: usize) -> Axis {
    (0..conv.kernel[a])
        .map(|k| (k, (k * conv.dilation[a]) as isize - conv.pad[a] as isize))
        .collect()
}

/// Taps along an axis of the input gradient at positions `at + i · stride`: those with
/// `src = i + (at + pad − k · dilation) / stride` a whole number, by ascending source.
fn backward_axis(conv: &Conv, a: usize, at: usize) -> Axis {
    let stride = conv.stride[a] as isize;
    let numerator = |k: usize| (at + conv.pad[a]) as isize - (k * conv.dilation[a]) as isize;
    let whole = (0..conv.kernel[a]).filter(|&k| numerator(k).rem_euclid(stride) == 0);
    let mut axis: Axis = whole.map(|k| (k, numerator(k).div_euclid(stride))).collect();
    axis.reverse();
    axis
}

impl Gather {
    /// The forward pass; also the order of the weight gradient.
    pub(super) fn forward(conv: &Conv) -> Self {
        let axes = std::array::from_fn(|a| forward_axis(conv, a));
        let out = conv.output();
        Self {
            n: conv.n,
            grid: out,
            out_dims: out,
            out_step: [1; 3],
            out_at: [0; 3],
            src_dims: conv.input,
            src_step: conv.stride,
            channels: conv.ci / conv.groups,
            groups: conv.groups,
            ..Self::of_axes(conv, &axes)
        }
        .flattened()
    }

    /// The input gradient: one gather per residue class of the input position modulo the stride. A class without runs
    /// gets no gradient. Classes that hold no pixel are left out by [`Gather::is_empty`].
    pub(super) fn backward(conv: &Conv) -> Vec<Self> {
        let [st, sh, sw] = conv.stride;
        let mut classes = Vec::with_capacity(st * sh * sw);
        for at_t in 0..st {
            for at_h in 0..sh {
                for at_w in 0..sw {
                    let at = [at_t, at_h, at_w];
                    let axes = std::array::from_fn(|a| backward_axis(conv, a, at[a]));
                    let class = Self {
                        n: conv.n,
                        grid: std::array::from_fn(|a| conv.input[a].saturating_sub(at[a]).div_ceil(conv.stride[a])),
                        out_dims: conv.input,
                        out_step: conv.stride,
                        out_at: at,
                        src_dims: conv.output(),
                        src_step: [1; 3],
                        channels: conv.co / conv.groups,
                        groups: conv.groups,
                        ..Self::of_axes(conv, &axes)
                    };
                    classes.push(class.flattened());
                }
            }
        }
        classes
    }

    /// Lines, runs and taps; the other fields are left empty.
    fn of_axes(conv: &Conv, axes: &[Axis; 3]) -> Self {
        let [t, h, w] = axes;
        let merged = w.windows(2).all(|pair| pair[1].1 - pair[0].1 == 1);
        let runs_along: Vec<&[(usize, isize)]> = if merged && !w.is_empty() {
            vec![w]
        } else {
            w.chunks(1).collect()
        };
        let (mut lines, mut runs, mut taps) = (Vec::new(), Vec::new(), Vec::new());
        for &(kt, ot) in t {
            for &(kh, oh) in h {
                for run in &runs_along {
                    runs.push((lines.len(), run[0].1));
                    taps.extend(
                        run.iter()
                            .map(|&(kw, _)| (kt * conv.kernel[1] + kh) * conv.kernel[2] + kw),
                    );
                }
                lines.push([ot, oh]);
            }
        }
        if runs.is_empty() {
            lines.clear();
        }
        let taps_per_run = runs_along.first().map_or(0, |run| run.len());
        Self {
            n: 0,
            grid: [0; 3],
            out_dims: [0; 3],
            out_step: [1; 3],
            out_at: [0; 3],
            src_dims: [0; 3],
            src_step: [1; 3],
            lines,
            runs,
            taps,
            taps_per_run,
            channels: 0,
            groups: 1,
        }
    }

    /// If every pixel reads and writes its own position, all pixels are merged into one line.
    fn flattened(mut self) -> Self {
        let own_place = self.lines == [[0, 0]]
            && self.runs == [(0, 0)]
            && self.taps_per_run == 1
            && self.src_step == [1; 3]
            && self.out_step == [1; 3]
            && self.grid == self.src_dims
            && self.grid == self.out_dims;
        if own_place {
            let line = [1, 1, self.rows()];
            self.n = 1;
            (self.grid, self.out_dims, self.src_dims) = (line, line, line);
        }
        self
    }

    pub(super) fn rows(&self) -> usize {
        self.n * self.grid.iter().product::<usize>()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows() == 0
    }

    /// Values of one run.
    pub(super) fn run_len(&self) -> usize {
        self.taps_per_run * self.channels
    }

    /// Values that one output pixel multiplies, per group.
    pub(super) fn depth(&self) -> usize {
        self.runs.len() * self.run_len()
    }

    /// First source column that a line reads (negative in the padding), and how many.
    pub(super) fn columns(&self) -> (isize, usize) {
        let first = self.runs.iter().map(|run| run.1).min().unwrap_or(0);
        let last = self.runs.iter().map(|run| run.1).max().unwrap_or(0) + self.taps_per_run as isize - 1;
        let last = last + ((self.grid[2].max(1) - 1) * self.src_step[2]) as isize;
        (first, (last - first + 1) as usize)
    }

    /// Whether lines have to be copied: to be padded, or because the channels of a group are not contiguous in a run.
    pub(super) fn is_staged(&self) -> bool {
        let (first, width) = self.columns();
        first < 0 || first as usize + width > self.src_dims[2] || (self.groups > 1 && self.taps_per_run > 1)
    }

    /// The output pixel that grid row `row` is written to.
    pub(super) fn out_row(&self, row: usize) -> usize {
        let (x, rest) = (row % self.grid[2], row / self.grid[2]);
        let (y, rest) = (rest % self.grid[1], rest / self.grid[1]);
        let (z, n) = (rest % self.grid[0], rest / self.grid[0]);
        let place = |a: usize, i: usize| self.out_at[a] + i * self.out_step[a];
        ((n * self.out_dims[0] + place(0, z)) * self.out_dims[1] + place(1, y)) * self.out_dims[2] + place(2, x)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taps_of_a_kernel_row_are_one_run() {
        let g = Gather::forward(&Conv::new_2d(1, [8, 8], 4, 4, 3, 2, 1));
        assert_eq!((g.runs.len(), g.taps_per_run, g.run_len()), (3, 3, 12));
        assert_eq!(g.columns(), (-1, 9));
        assert!(g.is_staged());
    }

    #[test]
    fn a_dilated_kernel_has_a_run_per_tap() {
        let conv = Conv {
            dilation: [1, 1, 2],
            ..Conv::new_2d(1, [8, 8], 4, 4, 3, 1, 2)
        };
        let g = Gather::forward(&conv);
        assert_eq!((g.runs.len(), g.taps_per_run), (9, 1));
        assert_eq!(g.taps, [0, 1, 2, 3, 4, 5, 6, 7, 8]);
    }

    #[test]
    fn residue_classes_share_the_taps() {
        let conv = Conv::new_2d(1, [8, 8], 4, 4, 3, 2, 1);
        let mut taps: Vec<usize> = Gather::backward(&conv).iter().flat_map(|g| g.taps.clone()).collect();
        taps.sort_unstable();
        assert_eq!(taps, (0..9).collect::<Vec<_>>());
        let pointwise = Gather::backward(&Conv::new_2d(1, [8, 8], 4, 4, 1, 2, 0));
        assert_eq!(pointwise.iter().filter(|g| g.depth() == 0).count(), 3);
    }

    #[test]
    fn a_pointwise_convolution_is_one_line() {
        let g = Gather::forward(&Conv::new_2d(5, [3, 7], 4, 4, 1, 1, 0));
        assert_eq!((g.n, g.grid), (1, [1, 1, 105]));
        assert!(!g.is_staged());
    }
}

//! Maximum, average and global average pooling, channels-last.

use crate::conv::Conv;
use crate::error::{Result, check_len, shape};
use crate::isa::{self, per_isa};
use crate::parallel::{self, Shared};

const OP: &str = "pooling";

/// Channels that are handled at once.
const LANES: usize = 16;

/// The shape of a pooling layer; triples are (time, height, width), and 2-D is `t = 1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Pool {
    /// Samples.
    pub n: usize,
    /// Size of the input.
    pub input: [usize; 3],
    /// Channels.
    pub channels: usize,
    /// Size of the window.
    pub kernel: [usize; 3],
    /// Step of the window.
    pub stride: [usize; 3],
    /// Leading padding along each axis: never the maximum, zero in an average.
    pub pad: [usize; 3],
    /// Trailing padding along each axis.
    pub pad_end: [usize; 3],
}

impl Pool {
    /// A pooling layer with the same padding on both sides.
    pub fn new(
        n: usize,
        input: [usize; 3],
        channels: usize,
        kernel: [usize; 3],
        stride: [usize; 3],
        pad: [usize; 3],
    ) -> Self {
        Self {
            n,
            input,
            channels,
            kernel,
            stride,
            pad,
            pad_end: pad,
        }
    }

    fn as_conv(&self) -> Conv {
        let Self {
            n,
            input,
            channels,
            kernel,
            stride,
            pad,
            pad_end,
        } = *self;
        Conv {
            pad_end,
            ..Conv::new_3d(n, input, channels, channels, kernel, stride, pad)
        }
    }

    /// Size of the output.
    pub fn output(&self) -> [usize; 3] {
        self.as_conv().output()
    }

    /// Values of the input.
    pub fn input_len(&self) -> usize {
        self.as_conv().input_len()
    }

    /// Values of the output.
    pub fn output_len(&self) -> usize {
        self.as_conv().output_len()
    }

    /// Checks the shape.
    ///
    /// # Errors
    /// A zero size, a window larger than the padded input or wholly in the padding, or one of more than 256 values.
    pub fn validate(&self) -> Result<()> {
        self.as_conv().validate()?;
        for a in 0..3 {
            if self.pad[a].max(self.pad_end[a]) >= self.kernel[a] {
                let Self {
                    pad, pad_end, kernel, ..
                } = self;
                return Err(shape(
                    OP,
                    format!("padding {pad:?} and {pad_end:?} must be less than the window {kernel:?}"),
                ));
            }
        }
        if self.kernel.iter().product::<usize>() > 256 {
            return Err(shape(
                OP,
                format!("a window of {:?} holds more than 256 values", self.kernel),
            ));
        }
        Ok(())
    }

    fn check(&self, input: (&'static str, usize), output: (&'static str, usize)) -> Result<()> {
        self.validate()?;
        check_len(OP, input.0, input.1, self.input_len())?;
        check_len(OP, output.0, output.1, self.output_len())
    }

    /// The window of output line `line` along time and height, and the sample.
    fn window(&self, line: usize) -> (usize, [Span; 2]) {
        let out = self.output();
        let (y, rest) = (line % out[1], line / out[1]);
        let (z, n) = (rest % out[0], rest / out[0]);
        (n, [self.taps(0, z), self.taps(1, y)])
    }

    /// The taps of output position `i` along an axis that lie in the input.
    fn taps(&self, a: usize, i: usize) -> Span {
        let start = i * self.stride[a];
        let first = self.pad[a].saturating_sub(start);
        let end = (self.input[a] + self.pad[a]).saturating_sub(start).min(self.kernel[a]);
        Span {
            first,
            end: end.max(first),
            base: (start + first).saturating_sub(self.pad[a]),
        }
    }

    /// The output positions along an axis whose windows hold input position `i`, and the tap of the first.
    fn covering(&self, a: usize, i: usize) -> std::ops::Range<usize> {
        let at = i + self.pad[a];
        let first = (at + 1).saturating_sub(self.kernel[a]).div_ceil(self.stride[a]);
        first..(at / self.stride[a] + 1).min(self.output()[a]).max(first)
    }

    /// Calls `body(tap, input pixel)` for the taps of an output pixel that lie in the input.
    #[inline(always)]
    fn each_tap(&self, n: usize, [t, h, w]: [Span; 3], mut body: impl FnMut(usize, usize)) {
        for kt in t.first..t.end {
            let z = n * self.input[0] + t.base + kt - t.first;
            for kh in h.first..h.end {
                let y = z * self.input[1] + h.base + kh - h.first;
                for kw in w.first..w.end {
                    let tap = (kt * self.kernel[1] + kh) * self.kernel[2] + kw;
                    body(tap, y * self.input[2] + w.base + kw - w.first);
                }
            }
        }
    }

    /// For each input position along an axis, the windows that hold it.
    fn covers(&self, a: usize) -> Vec<Cover> {
        let cover = |i: usize| {
            let windows = self.covering(a, i);
            Cover {
                tap: (i + self.pad[a]).saturating_sub(windows.start * self.stride[a]),
                first: windows.start,
                count: windows.len(),
            }
        };
        (0..self.input[a]).map(cover).collect()
    }
}

/// The windows that hold an input position, along an axis: `count` from window `first` on, in which it is tap `tap`, and
/// a stride less in each further one.
#[derive(Clone, Copy)]
struct Cover {
    first: usize,
    count: usize,
    tap: usize,
}

/// Taps `[first, end)` of a window, the first of which reads input position `base`.
#[derive(Clone, Copy)]
struct Span {
    first: usize,
    end: usize,
    base: usize,
}

/// `y = max` over windows; `index` receives the position of the maximum in its window (time-major), for the backward pass.
/// The first of equals wins; NaN wins over everything.
///
/// # Errors
/// The shape makes no sense, or a buffer's length is not the shape's.
pub fn max_forward(pool: &Pool, x: &[f32], y: &mut [f32], index: &mut [u8]) -> Result<()> {
    pool.check(("x", x.len()), ("y", y.len()))?;
    check_len(OP, "index", index.len(), y.len())?;
    let [ot, oh, ow] = pool.output();
    let line_len = ow * pool.channels;
    let (y, index) = (Shared::new(y), Shared::new(index));
    let isa = isa::current();
    parallel::run(pool.n * ot * oh, x.len(), |line| {
        // SAFETY: each task writes one line, and the lengths were checked.
        let (y, index) = unsafe { (y.part(line * line_len, line_len), index.part(line * line_len, line_len)) };
        max_line(isa, pool, line, x, y, index);
    });
    Ok(())
}

per_isa! {
    fn max_line(pool: &Pool, line: usize, x: &[f32], y: &mut [f32], index: &mut [u8]) {
        let channels = pool.channels;
        let (n, [t, h]) = pool.window(line);
        let mut taps = Vec::with_capacity(pool.kernel.iter().product());
        for (ox, (y, index)) in y.chunks_exact_mut(channels).zip(index.chunks_exact_mut(channels)).enumerate() {
            taps.clear();
            pool.each_tap(n, [t, h, pool.taps(2, ox)], |tap, pixel| taps.push((tap as u8, pixel)));
            // No window lies in the padding alone.
            let Some((&(first, pixel), others)) = taps.split_first() else { continue };
            y.copy_from_slice(&x[pixel * channels..][..channels]);
            index.fill(first);
            for &(tap, pixel) in others {
                take_greater(&x[pixel * channels..][..channels], tap, y, index);
            }
        }
    }
}

/// Takes values greater than `y`, or NaN, and the tap that they come from.
#[inline(always)]
fn take_greater(x: &[f32], tap: u8, y: &mut [f32], index: &mut [u8]) {
    for ((x, y), index) in x.iter().zip(y).zip(index) {
        let wins = (*x > *y) | x.is_nan();
        *y = if wins { *x } else { *y };
        *index = if wins { tap } else { *index };
    }
}

/// `dx`: each output's gradient goes to its maximum, which `index` from [`max_forward`] names.
///
/// # Errors
/// As [`max_forward`].
pub fn max_backward(pool: &Pool, dy: &[f32], index: &[u8], dx: &mut [f32]) -> Result<()> {
    pool.check(("dx", dx.len()), ("dy", dy.len()))?;
    check_len(OP, "index", index.len(), dy.len())?;
    backward(pool, dy, Some(index), dx);
    Ok(())
}

/// `y = Σ x / window` over windows; the padding counts as zeros, as is PyTorch's default.
///
/// # Errors
/// The shape makes no sense, or a buffer's length is not the shape's.
pub fn average_forward(pool: &Pool, x: &[f32], y: &mut [f32]) -> Result<()> {
    pool.check(("x", x.len()), ("y", y.len()))?;
    let [ot, oh, ow] = pool.output();
    let line_len = ow * pool.channels;
    let y = Shared::new(y);
    let isa = isa::current();
    parallel::run(pool.n * ot * oh, x.len(), |line| {
        // SAFETY: each task writes one line, and the length was checked.
        let y = unsafe { y.part(line * line_len, line_len) };
        average_line(isa, pool, line, x, y);
    });
    Ok(())
}

per_isa! {
    fn average_line(pool: &Pool, line: usize, x: &[f32], y: &mut [f32]) {
        let channels = pool.channels;
        let scale = 1.0 / pool.kernel.iter().product::<usize>() as f32;
        let (n, [t, h]) = pool.window(line);
        for (ox, y) in y.chunks_exact_mut(channels).enumerate() {
            y.fill(0.0);
            pool.each_tap(n, [t, h, pool.taps(2, ox)], |_, pixel| {
                for (y, x) in y.iter_mut().zip(&x[pixel * channels..][..channels]) {
                    *y += x;
                }
            });
            for y in y {
                *y *= scale;
            }
        }
    }
}

/// `dx` of [`average_forward`].
///
/// # Errors
/// As [`average_forward`].
pub fn average_backward(pool: &Pool, dy: &[f32], dx: &mut [f32]) -> Result<()> {
    pool.check(("dx", dx.len()), ("dy", dy.len()))?;
    backward(pool, dy, None, dx);
    Ok(())
}

/// Each input pixel gathers from the windows that hold it, so that tasks share nothing.
fn backward(pool: &Pool, dy: &[f32], index: Option<&[u8]>, dx: &mut [f32]) {
    let [t, h, w] = pool.input;
    let line_len = w * pool.channels;
    let work = dx.len();
    let (covers, output) = ([0, 1, 2].map(|a| pool.covers(a)), pool.output());
    let dx = Shared::new(dx);
    let isa = isa::current();
    parallel::run(pool.n * t * h, work, |line| {
        let (y, z, n) = (line % h, line / h % t, line / h / t);
        let (z, y) = (covers[0][z], covers[1][y]);
        // The lines of windows that hold this line: the tap that starts it in the window, and the output line.
        let mut lines = Vec::with_capacity(z.count * y.count);
        for i in 0..z.count {
            for j in 0..y.count {
                let tap = (z.tap - i * pool.stride[0]) * pool.kernel[1] + y.tap - j * pool.stride[1];
                let at = (n * output[0] + z.first + i) * output[1] + y.first + j;
                lines.push((tap * pool.kernel[2], at * output[2]));
            }
        }
        // SAFETY: each task writes one line, and the length was checked.
        let dx = unsafe { dx.part(line * line_len, line_len) };
        backward_line(isa, pool, &lines, &covers[2], dy, index, dx);
    });
}

per_isa! {
    fn backward_line(
        pool: &Pool,
        lines: &[(usize, usize)],
        covers: &[Cover],
        dy: &[f32],
        index: Option<&[u8]>,
        dx: &mut [f32],
    ) {
        let channels = pool.channels;
        let scale = 1.0 / pool.kernel.iter().product::<usize>() as f32;
        for (dx, cover) in dx.chunks_exact_mut(channels).zip(covers) {
            let mut c = 0;
            while c < channels {
                let lanes = LANES.min(channels - c);
                let mut sums = [0.0; LANES];
                for &(tap, line) in lines {
                    for i in 0..cover.count {
                        let tap = tap + cover.tap - i * pool.stride[2];
                        let at = (line + cover.first + i) * channels + c;
                        let dy = whole(&dy[at..at + lanes], 0.0);
                        match index {
                            Some(index) => {
                                let index = whole(&index[at..at + lanes], 0);
                                for i in 0..LANES {
                                    sums[i] += if index[i] == tap as u8 { dy[i] } else { 0.0 };
                                }
                            }
                            None => (0..LANES).for_each(|i| sums[i] += dy[i] * scale),
                        }
                    }
                }
                dx[c..c + lanes].copy_from_slice(&sums[..lanes]);
                c += lanes;
            }
        }
    }
}

/// A vector of the values, and of as many of `rest` as it has more lanes.
#[inline(always)]
fn whole<T: Copy>(values: &[T], rest: T) -> [T; LANES] {
    match values.first_chunk() {
        Some(values) => *values,
        None => {
            let mut all = [rest; LANES];
            all[..values.len()].copy_from_slice(values);
            all
        }
    }
}

/// Checks the operands, each with its name and length, of a mean over `[n, positions, channels]`: its input `x`, its output `y`.
///
/// # Errors
/// An empty shape, or a length is not the shape's.
pub fn check_global(
    n: usize,
    positions: usize,
    channels: usize,
    x: (&'static str, usize),
    y: (&'static str, usize),
) -> Result<()> {
    if n * positions * channels == 0 {
        return Err(shape(
            OP,
            format!("a mean over [{n}, {positions}, {channels}] (samples, positions, channels) is empty"),
        ));
    }
    check_len(OP, x.0, x.1, n * positions * channels)?;
    check_len(OP, y.0, y.1, n * channels)
}

/// The mean over all positions: `x` `[n, positions, channels]`, `y` `[n, channels]`.
///
/// # Errors
/// An empty shape, or a buffer's length is not the shape's.
pub fn global_mean(n: usize, positions: usize, channels: usize, x: &[f32], y: &mut [f32]) -> Result<()> {
    check_global(n, positions, channels, ("x", x.len()), ("y", y.len()))?;
    let y = Shared::new(y);
    let isa = isa::current();
    parallel::run(n, x.len(), |i| {
        // SAFETY: each task writes one sample, and the length was checked.
        let y = unsafe { y.part(i * channels, channels) };
        mean_of(isa, &x[i * positions * channels..][..positions * channels], y);
    });
    Ok(())
}

per_isa! {
    fn mean_of(x: &[f32], y: &mut [f32]) {
        let channels = y.len();
        y.fill(0.0);
        for x in x.chunks_exact(channels) {
            for (y, x) in y.iter_mut().zip(x) {
                *y += x;
            }
        }
        let scale = 1.0 / (x.len() / channels) as f32;
        for y in y {
            *y *= scale;
        }
    }
}

/// `dx` of [`global_mean`].
///
/// # Errors
/// As [`global_mean`].
pub fn global_mean_backward(n: usize, positions: usize, channels: usize, dy: &[f32], dx: &mut [f32]) -> Result<()> {
    check_global(n, positions, channels, ("dx", dx.len()), ("dy", dy.len()))?;
    let work = dx.len();
    let dx = Shared::new(dx);
    let scale = 1.0 / positions as f32;
    parallel::run(n, work, |i| {
        // SAFETY: each task writes one sample, and the length was checked.
        let dx = unsafe { dx.part(i * positions * channels, positions * channels) };
        let dy = &dy[i * channels..][..channels];
        for dx in dx.chunks_exact_mut(channels) {
            for (dx, dy) in dx.iter_mut().zip(dy) {
                *dx = dy * scale;
            }
        }
    });
    Ok(())
}

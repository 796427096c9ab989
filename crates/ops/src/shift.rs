//! The temporal shift of TSM (Lin, Gan and Han, 2019): the first `1 / fold` of the channels take the value of the next
//! frame, the next `1 / fold` that of the frame before, zero at the ends, the rest stay.

use crate::error::{Result, check_len, shape};
use crate::isa::{self, per_isa};
use crate::parallel::{self, Shared};

const OP: &str = "temporal shift";

/// The shape of a temporal shift: tensors are `[n, t, pixels, channels]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shift {
    /// Clips.
    pub n: usize,
    /// Frames of a clip.
    pub t: usize,
    /// Pixels of a frame.
    pub pixels: usize,
    /// Channels.
    pub channels: usize,
    /// One channel in `fold` moves each way; 8 in TSM.
    pub fold: usize,
}

impl Shift {
    /// Values of the tensor.
    pub fn numel(&self) -> usize {
        self.n * self.t * self.pixels * self.channels
    }

    /// Channels that move each way.
    pub fn folded(&self) -> usize {
        self.channels / self.fold.max(1)
    }

    /// Shifts `x` into `y`.
    ///
    /// # Errors
    /// Fewer than two parts to fold into, or a buffer's length is not the shape's.
    pub fn forward(&self, x: &[f32], y: &mut [f32]) -> Result<()> {
        self.run(("x", x), ("y", y), 1, false)
    }

    /// Shifts the gradient back: `dy` into `dx`.
    ///
    /// # Errors
    /// As [`Shift::forward`].
    pub fn backward(&self, dy: &[f32], dx: &mut [f32]) -> Result<()> {
        self.run(("dy", dy), ("dx", dx), -1, false)
    }

    /// Adds the gradient, shifted back, to `dx`.
    ///
    /// # Errors
    /// As [`Shift::forward`].
    pub fn backward_add(&self, dy: &[f32], dx: &mut [f32]) -> Result<()> {
        self.run(("dy", dy), ("dx", dx), -1, true)
    }

    /// The first fold reads the frame `ahead`, the second the one before.
    fn run(&self, from: (&'static str, &[f32]), to: (&'static str, &mut [f32]), ahead: isize, add: bool) -> Result<()> {
        if self.fold < 2 {
            return Err(shape(
                OP,
                format!(
                    "1/{} of the channels cannot move both ways: fold must be 2 or more",
                    self.fold
                ),
            ));
        }
        check_len(OP, from.0, from.1.len(), self.numel())?;
        check_len(OP, to.0, to.1.len(), self.numel())?;
        let (channels, fold, from) = (self.channels, self.folded(), from.1);
        let frame_len = self.pixels * channels;
        let isa = isa::current();
        let masks = Masks::new(self, frame_len);
        let to = Shared::new(to.1);
        parallel::run(self.n * self.t, self.numel(), |frame| {
            // SAFETY: each task writes one frame, and the length was checked.
            let to = unsafe { to.part(frame * frame_len, frame_len) };
            let t = frame % self.t;
            let other = |by: isize| {
                t.checked_add_signed(by).filter(|&t| t < self.t)?;
                Some(&from[frame.checked_add_signed(by)? * frame_len..][..frame_len])
            };
            let same = &from[frame * frame_len..][..frame_len];
            let (next, before) = (other(ahead), other(-ahead));
            match &masks {
                Some(masks) => choose(isa, masks, same, next, before, add, to),
                None => copy(isa, channels, fold, same, next, before, add, to),
            }
        });
        Ok(())
    }
}

/// Channels of a fold that are copied at once.
const LANES: usize = 8;

/// Which values move, written out for as many pixels as a long loop needs.
struct Masks {
    next: Vec<u32>,
    before: Vec<u32>,
    zeros: Vec<f32>,
}

impl Masks {
    /// `None` where folds are whole vectors: those are copied.
    fn new(shift: &Shift, frame_len: usize) -> Option<Self> {
        let (channels, fold) = (shift.channels, shift.folded());
        if channels.is_multiple_of(LANES) && fold.is_multiple_of(LANES) {
            return None;
        }
        let period = channels * 256usize.div_ceil(channels.max(1)).next_multiple_of(16);
        let mask = |range: std::ops::Range<usize>| -> Vec<u32> {
            let moves = |at: usize| if range.contains(&(at % channels)) { u32::MAX } else { 0 };
            (0..period.min(frame_len)).map(moves).collect()
        };
        let (next, before) = (mask(0..fold), mask(fold..2 * fold));
        let zeros = vec![0.0; next.len()];
        Some(Masks { next, before, zeros })
    }
}

per_isa! {
    /// Takes each pixel's folds, whole vectors, from the frames that have them.
    fn copy(
        channels: usize,
        fold: usize,
        same: &[f32],
        next: Option<&[f32]>,
        before: Option<&[f32]>,
        add: bool,
        to: &mut [f32],
    ) {
        for (pixel, to) in to.chunks_exact_mut(channels.max(1)).enumerate() {
            let at = pixel * channels;
            let (first, rest) = to.split_at_mut(fold);
            let (second, rest) = rest.split_at_mut(fold);
            moved(next.map(|frame| &frame[at..at + fold]), add, first);
            moved(before.map(|frame| &frame[at + fold..at + 2 * fold]), add, second);
            moved(Some(&same[at + 2 * fold..at + channels]), add, rest);
        }
    }
}

/// Copies or adds vectors; those of a missing frame are zero.
#[inline(always)]
fn moved(from: Option<&[f32]>, add: bool, to: &mut [f32]) {
    let (to, _) = to.as_chunks_mut::<LANES>();
    match from {
        Some(from) => {
            let (from, _) = from.as_chunks::<LANES>();
            for (to, from) in to.iter_mut().zip(from) {
                if add {
                    to.iter_mut().zip(from).for_each(|(to, from)| *to += from);
                } else {
                    *to = *from;
                }
            }
        }
        None if add => {}
        None => to.fill([0.0; LANES]),
    }
}

per_isa! {
    /// Takes each value from the frame whose mask selects it, period by period; a missing frame is `zeros`. The masks
    /// are bit masks because compilers turn a choice of three into branches.
    fn choose(
        masks: &Masks,
        same: &[f32],
        next: Option<&[f32]>,
        before: Option<&[f32]>,
        add: bool,
        to: &mut [f32],
    ) {
        let zeros = &masks.zeros;
        let period = zeros.len();
        for at in (0..to.len()).step_by(period.max(1)) {
            let len = period.min(to.len() - at);
            let next = next.map_or(&zeros[..len], |frame| &frame[at..at + len]);
            let before = before.map_or(&zeros[..len], |frame| &frame[at..at + len]);
            let frames = same[at..at + len].iter().zip(next).zip(before);
            let all = frames.zip(to[at..].iter_mut().zip(masks.next.iter().zip(&masks.before)));
            let pick = |((same, next), before): ((&f32, &f32), &f32), n: &u32, b: &u32| {
                f32::from_bits((same.to_bits() & !(n | b)) | (next.to_bits() & n) | (before.to_bits() & b))
            };
            if add {
                all.for_each(|(frames, (to, (n, b)))| *to += pick(frames, n, b));
            } else {
                all.for_each(|(frames, (to, (n, b)))| *to = pick(frames, n, b));
            }
        }
    }
}

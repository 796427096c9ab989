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
        self.run(("x", x), ("y", y), 1)
    }

    /// Shifts the gradient back: `dy` into `dx`.
    ///
    /// # Errors
    /// As [`Shift::forward`].
    pub fn backward(&self, dy: &[f32], dx: &mut [f32]) -> Result<()> {
        self.run(("dy", dy), ("dx", dx), -1)
    }

    /// The first fold reads the frame `ahead`, the second the one behind.
    fn run(&self, from: (&'static str, &[f32]), to: (&'static str, &mut [f32]), ahead: isize) -> Result<()> {
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
        // Which frame each value comes from, written out for as many pixels as a long loop needs.
        let pixel = |c: usize| {
            if c < fold {
                Source::Next
            } else if c < 2 * fold {
                Source::Before
            } else {
                Source::Same
            }
        };
        let period = channels * 256usize.div_ceil(channels).next_multiple_of(16);
        let sources: Vec<i32> = (0..period.min(frame_len))
            .map(|at| pixel(at % channels) as i32)
            .collect();
        let zeros = vec![0.0; sources.len()];
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
            choose(isa, &sources, &zeros, same, other(ahead), other(-ahead), to);
        });
        Ok(())
    }
}

/// The frame that a value comes from.
#[derive(Clone, Copy)]
enum Source {
    Same,
    Next,
    Before,
}

per_isa! {
    /// Takes each value from the frame that `sources` names, period by period; a frame that is missing is `zeros`.
    fn choose(
        sources: &[i32],
        zeros: &[f32],
        same: &[f32],
        next: Option<&[f32]>,
        before: Option<&[f32]>,
        to: &mut [f32],
    ) {
        for at in (0..to.len()).step_by(sources.len().max(1)) {
            let len = sources.len().min(to.len() - at);
            let next = next.map_or(&zeros[..len], |frame| &frame[at..at + len]);
            let before = before.map_or(&zeros[..len], |frame| &frame[at..at + len]);
            let all = to[at..at + len].iter_mut().zip(&same[at..at + len]).zip(next).zip(before).zip(sources);
            for ((((to, same), next), before), source) in all {
                let moved = if *source == Source::Next as i32 { *next } else { *before };
                *to = if *source == Source::Same as i32 { *same } else { moved };
            }
        }
    }
}

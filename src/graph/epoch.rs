//! What an epoch of a phase is.

use crate::diag::Spanned;
use crate::keys::Word;

/// Over which list a pass is an epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EpochOver {
    /// That of the first stream.
    #[default]
    First,
    /// The longest, the first of equals: no video of any stream is left out of an epoch.
    Longest,
}

impl Word for EpochOver {
    const WHAT: &'static str = "epoch";
    const ALL: &'static [EpochOver] = &[EpochOver::First, EpochOver::Longest];

    fn word(self) -> &'static str {
        match self {
            EpochOver::First => "first",
            EpochOver::Longest => "longest",
        }
    }
}

/// What an epoch of a phase is: a pass over one list, cut into steps.
#[derive(Clone, Debug, Default)]
pub struct Epoch {
    /// Over which list.
    pub over: Option<Spanned<EpochOver>>,
    /// Whether the last step is left out where it has fewer videos than the others.
    pub drop_last: bool,
}

impl Epoch {
    /// The stream over whose list a pass is an epoch, of streams with lists of these lengths.
    pub fn stream(&self, sizes: &[usize]) -> usize {
        match self.over.as_ref().map(|o| o.value).unwrap_or_default() {
            EpochOver::First => 0,
            EpochOver::Longest => (0..sizes.len()).rev().max_by_key(|s| sizes[*s]).unwrap_or(0),
        }
    }

    /// How many of the `streams`' lists, from the first on, an epoch's length depends on.
    pub fn lists(&self, streams: usize) -> usize {
        match self.over.as_ref().map(|o| o.value).unwrap_or_default() {
            EpochOver::First => streams.min(1),
            EpochOver::Longest => streams,
        }
    }

    /// Steps in an epoch: 0 where the only one is left out.
    pub fn steps(&self, sizes: &[usize], batch: usize) -> u64 {
        let videos = sizes.get(self.stream(sizes)).copied().unwrap_or(0);
        let steps = match self.drop_last {
            true => videos / batch.max(1),
            false => videos.div_ceil(batch.max(1)),
        };
        steps as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diag::Files;

    #[test]
    fn steps_of_an_epoch() {
        let of = |over: EpochOver, drop_last| Epoch {
            over: Some(Spanned::new(over, Files::default().add_text("", "").start())),
            drop_last,
        };
        let first = of(EpochOver::First, false);
        assert_eq!(Epoch::default().steps(&[10, 14], 4), first.steps(&[10, 14], 4));
        assert_eq!([10, 11, 12, 13].map(|n| first.steps(&[n, 40], 4)), [3, 3, 3, 4]);
        let dropped = of(EpochOver::First, true);
        assert_eq!([3, 10, 12, 13].map(|n| dropped.steps(&[n, 40], 4)), [0, 2, 3, 3]);
        let longest = of(EpochOver::Longest, true);
        assert_eq!([3, 10, 12, 13].map(|n| longest.steps(&[n, 11, 9], 4)), [2, 2, 3, 3]);
        assert_eq!([[3, 5, 5], [5, 5, 3], [4, 4, 4]].map(|s| longest.stream(&s)), [1, 0, 0]);
    }
}

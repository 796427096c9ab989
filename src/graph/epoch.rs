//! What an epoch of a phase is.

use crate::diag::Spanned;
use crate::keys::Word;

/// Over which list a pass is an epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EpochOver {
    /// That of the first stream.
    #[default]
    First,
    /// The one with the most steps, the first of equals: no video of any stream is left out of an epoch.
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
    /// The stream over whose list a pass is an epoch, of streams with lists of these lengths and so many videos of each in a
    /// step.
    pub fn stream(&self, sizes: &[usize], batches: &[usize]) -> usize {
        // Lengths in steps, as fractions: none is 0 videos a step.
        let steps = |s: usize| (sizes[s] as u128, batches[s].max(1) as u128);
        let longer = |a: &usize, b: &usize| {
            let ((n, per), (m, each)) = (steps(*a), steps(*b));
            (n * each).cmp(&(m * per))
        };
        match self.over.as_ref().map(|o| o.value).unwrap_or_default() {
            EpochOver::First => 0,
            EpochOver::Longest => (0..sizes.len()).rev().max_by(longer).unwrap_or(0),
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
    pub fn steps(&self, sizes: &[usize], batches: &[usize]) -> u64 {
        let leads = self.stream(sizes, batches);
        let (videos, batch) = (
            sizes.get(leads).copied().unwrap_or(0),
            batches.get(leads).map_or(1, |b| (*b).max(1)),
        );
        let steps = match self.drop_last {
            true => videos / batch,
            false => videos.div_ceil(batch),
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
        assert_eq!(
            Epoch::default().steps(&[10, 14], &[4; 2]),
            first.steps(&[10, 14], &[4; 2])
        );
        assert_eq!([10, 11, 12, 13].map(|n| first.steps(&[n, 40], &[4; 2])), [3, 3, 3, 4]);
        let dropped = of(EpochOver::First, true);
        assert_eq!([3, 10, 12, 13].map(|n| dropped.steps(&[n, 40], &[4; 2])), [0, 2, 3, 3]);
        let longest = of(EpochOver::Longest, true);
        assert_eq!(
            [3, 10, 12, 13].map(|n| longest.steps(&[n, 11, 9], &[4; 3])),
            [2, 2, 3, 3]
        );
        assert_eq!(
            [[3, 5, 5], [5, 5, 3], [4, 4, 4]].map(|s| longest.stream(&s, &[4; 3])),
            [1, 0, 0]
        );
        // Ten videos, two at a time, are more steps than twelve, four at a time; and as many as twenty.
        assert_eq!([12, 20, 21].map(|n| longest.stream(&[n, 10], &[4, 2])), [1, 0, 0]);
        assert_eq!([12, 20, 21].map(|n| longest.steps(&[n, 10], &[4, 2])), [5; 3]);
        assert_eq!(first.steps(&[12, 10], &[4, 2]), 3);
    }
}

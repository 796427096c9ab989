//! Where the numbers of a value are in a loop over other axes.

use super::graph::Graph;
use crate::formula::typed::Axis;

/// The steps that a value takes along a loop: sizes and steps, the outermost first. Neighbouring axes that are one run of
/// numbers are one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Access(Vec<[usize; 2]>);

impl Access {
    /// Of a value with the axes `own` in a loop over the axes `of`.
    pub(super) fn new(graph: &Graph, own: &[Axis], of: &[Axis]) -> Access {
        let step = |axis: &Axis| match own.iter().position(|a| a == axis) {
            Some(i) => graph.elements(&own[i + 1..]),
            None => 0,
        };
        let mut runs: Vec<[usize; 2]> = vec![];
        for axis in of {
            let (size, step) = (graph.size(*axis), step(axis));
            match runs.last_mut() {
                Some(last) if last[1] == size * step => *last = [last[0] * size, step],
                _ => runs.push([size, step]),
            }
        }
        Access(runs)
    }

    /// Whether the numbers are those of the loop, one after the other.
    pub(super) fn is_whole(&self) -> bool {
        matches!(self.0[..], [] | [[_, 1]])
    }

    /// Whether it is one number.
    pub(super) fn is_single(&self) -> bool {
        matches!(self.0[..], [[_, 0]])
    }

    /// Cuts the loop's elements `start..start + len` into runs along which the step is the same, and gives each: its place
    /// after `start`, its length, where it begins among the value's numbers, and the step.
    pub(super) fn runs(&self, start: usize, len: usize, mut run: impl FnMut(usize, usize, usize, usize)) {
        let Some(([inner, step], outer)) = self.0.split_last() else {
            return run(0, len, start, 1);
        };
        let (mut row, mut column, mut at) = (start / inner, start % inner, 0);
        while at < len {
            let (mut offset, mut left) = (column * step, row);
            for [size, step] in outer.iter().skip(1).rev() {
                offset += left % size * step;
                left /= size;
            }
            offset += outer.first().map_or(0, |[_, step]| left * step);
            let count = (inner - column).min(len - at);
            run(at, count, offset, *step);
            (row, column, at) = (row + 1, 0, at + count);
        }
    }

    /// The numbers for the loop's elements from `start` on.
    pub(super) fn read(&self, start: usize, from: &[f32], to: &mut [f32]) {
        self.runs(start, to.len(), |at, len, offset, step| {
            let to = &mut to[at..at + len];
            match step {
                0 => to.fill(from[offset]),
                1 => to.copy_from_slice(&from[offset..offset + len]),
                _ => {
                    let numbers = from[offset..].iter().step_by(step);
                    to.iter_mut().zip(numbers).for_each(|(to, x)| *to = *x);
                }
            }
        });
    }

    /// The first and the last of the value's numbers that the loop's elements `start..start + len` may have to do with.
    pub(super) fn span(&self, start: usize, len: usize) -> [usize; 2] {
        let (mut low, mut high, mut differ) = (0, 0, false);
        let (mut first, mut last) = (start, start + len - 1);
        let mut below: usize = self.0.iter().map(|[size, _]| size).product();
        for [size, step] in &self.0 {
            below /= size;
            // Where outer places differ, the inner ones may be any.
            if differ {
                high += (size - 1) * step;
                continue;
            }
            let (a, b) = (first / below, last / below);
            (low, high, differ) = (low + a * step, high + b * step, a != b);
            (first, last) = (first % below, last % below);
        }
        [low, high]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The place of a loop's element among the numbers of a value.
    fn place(graph: &Graph, own: &[Axis], of: &[Axis], element: usize) -> usize {
        let index = |axis: &Axis| {
            let inner: usize = of
                .iter()
                .skip_while(|a| *a != axis)
                .skip(1)
                .map(|a| graph.size(*a))
                .product();
            element / inner % graph.size(*axis)
        };
        own.iter().fold(0, |at, axis| at * graph.size(*axis) + index(axis))
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn every_element_is_at_its_place(
            sizes in prop::collection::vec(2usize..5, 4),
            of in Just(vec![0usize, 1, 2, 3]).prop_shuffle(),
            own in prop::sample::subsequence(vec![0usize, 1, 2, 3], 0..=4).prop_shuffle(),
            from in 0.0..1.0f64,
            to in 0.0..1.0f64,
        ) {
            let graph = Graph::new(sizes);
            let len = graph.elements(&of);
            let (a, b) = ((from * len as f64) as usize, (to * len as f64) as usize);
            let (start, len) = (a.min(b), a.max(b) - a.min(b) + 1);
            let numbers: Vec<f32> = (0..graph.elements(&own)).map(|i| i as f32).collect();
            let access = Access::new(&graph, &own, &of);
            let mut found = vec![-1.0; len];
            access.read(start, &numbers, &mut found);
            let [low, high] = access.span(start, len);
            for (i, found) in found.into_iter().enumerate() {
                let place = place(&graph, &own, &of, start + i);
                prop_assert_eq!(found, place as f32);
                prop_assert!((low..=high).contains(&place));
            }
            prop_assert!(high < numbers.len());
            prop_assert_eq!(access.is_whole(), own == of);
        }
    }
}

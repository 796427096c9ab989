//! Positions of the cells of a layer across the flow: as near to their neighbours as the order allows.

use super::grid::Grid;

const ROUNDS: usize = 160;

/// Distances between neighbours of a layer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gaps {
    /// Between items.
    pub items: f64,
    /// Between items that belong together.
    pub mates: f64,
    /// Where a lane is one of the two.
    pub lanes: f64,
    /// The weight of a straight edge between two items, between an item and a lane, between two lanes.
    pub straight: [f64; 3],
    /// How strongly every layer is pulled to the middle of the longest ones, from 0 to 1.
    pub pull: f64,
}

/// The beginning of every cell, across the flow; the least is 0.
pub(super) fn place(g: &Grid, gaps: Gaps) -> Vec<f64> {
    let mut at = vec![0.0; g.cells.len()];
    for layer in &g.layers {
        let offsets = offsets(g, layer, gaps);
        let total = offsets.last().map_or(0.0, |o| o + g.room[layer[layer.len() - 1]]);
        for (c, o) in layer.iter().zip(&offsets) {
            at[*c] = o - total / 2.0;
        }
    }
    let depth = g.layers.len();
    let long = g.layers.iter().map(|l| extent(g, l, gaps)).fold(0.0, f64::max);
    for round in 0..ROUNDS {
        let both = round > ROUNDS / 2;
        for k in 0..depth {
            let l = if round % 2 == 0 { k } else { depth - 1 - k };
            let (before, after) = if both {
                (true, true)
            } else {
                (round % 2 == 0, round % 2 == 1)
            };
            settle(g, l, &mut at, gaps, before, after);
        }
        if both {
            centre(g, &mut at, long, gaps.pull);
        }
    }
    let least = at.iter().copied().fold(f64::INFINITY, f64::min);
    at.iter_mut().for_each(|y| *y -= least);
    at
}

/// The space that a layer takes across.
fn extent(g: &Grid, layer: &[usize], gaps: Gaps) -> f64 {
    let last = layer.last().map_or(0.0, |c| g.room[*c]);
    offsets(g, layer, gaps).last().map_or(0.0, |o| o + last)
}

/// Moves every layer a little towards the middle of the longest ones, as a whole: a thin part of the graph is placed
/// next to the middle of a thick one.
fn centre(g: &Grid, at: &mut [f64], long: f64, pull: f64) {
    let span = |layer: &Vec<usize>| {
        let (first, last) = (layer[0], layer[layer.len() - 1]);
        (at[first], at[last] + g.room[last])
    };
    let spans: Vec<(f64, f64)> = g.layers.iter().filter(|l| !l.is_empty()).map(span).collect();
    let longest = spans.iter().filter(|(a, b)| b - a > 0.8 * long).copied();
    let (top, bottom) = longest.fold((f64::INFINITY, f64::NEG_INFINITY), |(t, b), (x, y)| {
        (t.min(x), b.max(y))
    });
    if !(top.is_finite() && bottom.is_finite()) {
        return;
    }
    for layer in g.layers.iter().filter(|l| !l.is_empty()) {
        let (a, b) = (
            at[layer[0]],
            at[layer[layer.len() - 1]] + g.room[layer[layer.len() - 1]],
        );
        let move_by = pull * ((top + bottom) / 2.0 - (a + b) / 2.0);
        layer.iter().for_each(|c| at[*c] += move_by);
    }
}

/// Where each cell of a layer begins when packed as closely as allowed.
fn offsets(g: &Grid, layer: &[usize], gaps: Gaps) -> Vec<f64> {
    let mut at = 0.0;
    let mut out = vec![];
    for (i, c) in layer.iter().enumerate() {
        if i > 0 {
            let before = layer[i - 1];
            let gap = match g.is_lane(*c) || g.is_lane(before) {
                true => gaps.lanes,
                false if g.mates(*c, before) => gaps.mates,
                false => gaps.items,
            };
            at += g.room[before] + gap;
        }
        out.push(at);
    }
    out
}

/// Moves the cells of a layer to the mean of the positions that their edges prefer, as far as order and sizes allow:
/// the least squares solution, by pooling neighbours that would overlap.
fn settle(g: &Grid, l: usize, at: &mut [f64], gaps: Gaps, before: bool, after: bool) {
    let layer = &g.layers[l];
    let offsets = offsets(g, layer, gaps);
    let weight = |a: usize, b: usize| match (g.is_lane(a), g.is_lane(b)) {
        (false, false) => gaps.straight[0],
        (true, true) => gaps.straight[2],
        _ => gaps.straight[1],
    };
    // Blocks of (mean, weight, cells), of preferred position minus offset.
    let mut blocks: Vec<(f64, f64, usize)> = vec![];
    for (c, o) in layer.iter().zip(&offsets) {
        let (mut sum, mut total) = (0.0, 0.0);
        if before && l > 0 {
            for s in g.stretches[l - 1].iter().filter(|s| s.b == *c) {
                let w = weight(s.a, s.b);
                sum += w * (at[s.a] + s.out - s.into);
                total += w;
            }
        }
        if after {
            for s in g.stretches[l].iter().filter(|s| s.a == *c) {
                let w = weight(s.a, s.b);
                sum += w * (at[s.b] + s.into - s.out);
                total += w;
            }
        }
        let (want, w) = if total > 0.0 {
            (sum / total, total)
        } else {
            (at[*c], 0.05)
        };
        blocks.push((want - o, w, 1));
        while let [.., (m1, w1, n1), (m2, w2, n2)] = blocks[..]
            && m2 < m1
        {
            blocks.truncate(blocks.len() - 2);
            blocks.push(((m1 * w1 + m2 * w2) / (w1 + w2), w1 + w2, n1 + n2));
        }
    }
    let means = blocks.iter().flat_map(|(m, _, n)| std::iter::repeat_n(*m, *n));
    for ((c, o), m) in layer.iter().zip(&offsets).zip(means) {
        at[*c] = m + o;
    }
}

#[cfg(test)]
mod tests {
    use super::super::grid::{Item, Wire};
    use super::super::order::order;
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn nothing_overlaps(
            edges in prop::collection::vec((0usize..10, 0usize..10), 0..25),
            sizes in prop::collection::vec(1.0f64..60.0, 10),
        ) {
            let items: Vec<Item> =
                sizes.iter().map(|s| Item { along: 1.0, across: *s, ..Item::default() }).collect();
            let wires: Vec<Wire> = edges
                .into_iter()
                .filter(|(a, b)| a < b)
                .enumerate()
                .map(|(bundle, (from, to))| Wire { from, to, out: 0.5, into: 0.5, bundle, room: 2.0 })
                .collect();
            let mut g = Grid::new(&items, &wires);
            let gaps = Gaps { items: 5.0, mates: 5.0, lanes: 3.0, straight: [1.0, 2.0, 8.0], pull: 0.3 };
            order(&mut g, gaps);
            let at = place(&g, gaps);
            for layer in &g.layers {
                for two in layer.windows(2) {
                    prop_assert!(at[two[0]] + g.room[two[0]] + 3.0 <= at[two[1]] + 1e-6);
                }
            }
        }
    }
}

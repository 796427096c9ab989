//! The order within layers: barycentres, then swaps of neighbours while the number of crossings falls; from several
//! starts.

use super::grid::{Grid, Stretch};
use super::place::{Gaps, place};

const SWEEPS: usize = 16;
const STARTS: usize = 10;

/// Orders the cells of every layer so that few edges cross, and prefers short edges among such orders.
pub(super) fn order(g: &mut Grid, gaps: Gaps) {
    let given = g.layers.clone();
    let mut best: Option<(usize, f64, Vec<Vec<usize>>)> = None;
    for start in 0..STARTS {
        g.layers = given.clone();
        if start > 0 {
            g.layers
                .iter_mut()
                .enumerate()
                .for_each(|(l, cells)| shuffle(cells, start * 1000 + l));
        }
        let found = sweeps(g);
        let length = length(g, &place(g, gaps));
        if best.as_ref().is_none_or(|(c, l, _)| (found, length) < (*c, *l)) {
            best = Some((found, length, g.layers.clone()));
        }
    }
    if let Some((.., layers)) = best {
        g.layers = layers;
    }
    gather(g);
}

/// Puts items that belong together next to each other, where that adds no crossing.
fn gather(g: &mut Grid) {
    for l in 0..g.layers.len() {
        let mut kinds: Vec<usize> = g.layers[l].iter().map(|c| g.mate[*c]).filter(|m| *m != 0).collect();
        kinds.sort_unstable();
        kinds.dedup();
        for kind in kinds {
            let before = g.layers[l].clone();
            let crossed = around(g, l);
            let alike: Vec<usize> = before.iter().copied().filter(|c| g.mate[*c] == kind).collect();
            // Around the middle one, so that as few others as possible change sides.
            let middle = alike[alike.len() / 2];
            let (mut first, mut last): (Vec<usize>, Vec<usize>) = (vec![], vec![]);
            let mut passed = false;
            for c in &before {
                passed |= *c == middle;
                if g.mate[*c] != kind {
                    if passed { &mut last } else { &mut first }.push(*c);
                }
            }
            g.layers[l] = [first, alike, last].concat();
            if around(g, l) > crossed {
                g.layers[l] = before;
            }
        }
    }
}

/// Puts cells into an order that depends only on `seed`.
fn shuffle(cells: &mut [usize], seed: usize) {
    let mut state = seed as u64;
    for i in (1..cells.len()).rev() {
        // A step of splitmix64: enough to try different starts.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        cells.swap(i, ((z >> 33) % (i as u64 + 1)) as usize);
    }
}

/// The total length of edges across the flow.
fn length(g: &Grid, at: &[f64]) -> f64 {
    g.stretches
        .iter()
        .flatten()
        .map(|s| (at[s.a] + s.out - at[s.b] - s.into).abs())
        .sum()
}

fn sweeps(g: &mut Grid) -> usize {
    let mut best = (crossings(g), g.layers.clone());
    for sweep in 0..SWEEPS {
        let down = sweep % 2 == 0;
        let count = g.layers.len();
        for k in 0..count {
            barycentres(g, if down { k } else { count - 1 - k }, down);
        }
        swap_neighbours(g);
        let now = crossings(g);
        if now < best.0 {
            best = (now, g.layers.clone());
        }
    }
    g.layers = best.1;
    best.0
}

/// Sorts layer `l` by the mean position of its neighbours in the layer before (or behind).
fn barycentres(g: &mut Grid, l: usize, down: bool) {
    let (stretches, other) = match (down, l) {
        (true, 0) => return,
        (true, l) => (&g.stretches[l - 1], &g.layers[l - 1]),
        (false, l) if l + 1 >= g.layers.len() => return,
        (false, l) => (&g.stretches[l], &g.layers[l + 1]),
    };
    let place = |c: usize| other.iter().position(|o| *o == c).unwrap_or(0) as f64;
    // Where an edge meets a tall item counts, too.
    let within = |c: usize, at: f64| at / g.room[c].max(1.0);
    let mean = |c: usize, old: usize| {
        let at = stretches.iter().filter_map(|s| match down {
            true if s.b == c => Some(place(s.a) + within(s.a, s.out)),
            false if s.a == c => Some(place(s.b) + within(s.b, s.into)),
            _ => None,
        });
        let (sum, n) = at.fold((0.0, 0), |(sum, n), p| (sum + p, n + 1));
        if n == 0 { old as f64 } else { sum / n as f64 }
    };
    let mut keyed: Vec<(f64, usize)> = g.layers[l].iter().enumerate().map(|(i, c)| (mean(*c, i), *c)).collect();
    keyed.sort_by(|a, b| a.0.total_cmp(&b.0));
    g.layers[l] = keyed.into_iter().map(|(_, c)| c).collect();
}

fn swap_neighbours(g: &mut Grid) {
    for _ in 0..4 {
        let mut better = false;
        for l in 0..g.layers.len() {
            let mut now = around(g, l);
            for i in 1..g.layers[l].len() {
                g.layers[l].swap(i - 1, i);
                let swapped = around(g, l);
                if swapped < now {
                    (now, better) = (swapped, true);
                } else {
                    g.layers[l].swap(i - 1, i);
                }
            }
        }
        if !better {
            break;
        }
    }
}

/// Crossings before and behind layer `l`.
fn around(g: &Grid, l: usize) -> usize {
    if l == 0 {
        between(g, 0)
    } else {
        between(g, l - 1) + between(g, l)
    }
}

/// Crossings between layer `l` and the next.
fn between(g: &Grid, l: usize) -> usize {
    let Some(next) = g.layers.get(l + 1) else { return 0 };
    let place = |layer: &[usize], c: usize| layer.iter().position(|o| *o == c);
    let end = |s: &Stretch| ((place(&g.layers[l], s.a), s.out), (place(next, s.b), s.into));
    let ends: Vec<_> = g.stretches[l].iter().map(end).collect();
    let crossed = |i: usize| {
        let (a, b) = ends[i];
        ends[..i]
            .iter()
            .filter(|(c, d)| (a < *c && b > *d) || (a > *c && b < *d))
            .count()
    };
    (0..ends.len()).map(crossed).sum()
}

/// How many edges cross.
pub(super) fn crossings(g: &Grid) -> usize {
    (0..g.layers.len()).map(|l| between(g, l)).sum()
}

#[cfg(test)]
mod tests {
    use super::super::grid::{Item, Wire};
    use super::*;

    #[test]
    fn two_crossed_edges_are_uncrossed() {
        let items = vec![
            Item {
                along: 1.0,
                across: 1.0,
                ..Item::default()
            };
            4
        ];
        let wire = |from, to, bundle| Wire {
            from,
            to,
            out: 0.5,
            into: 0.5,
            bundle,
            room: 1.0,
        };
        let mut g = Grid::new(&items, &[wire(0, 3, 0), wire(1, 2, 1)]);
        assert_eq!(crossings(&g), 1);
        order(
            &mut g,
            Gaps {
                items: 1.0,
                mates: 1.0,
                lanes: 1.0,
                straight: [1.0; 3],
                pull: 0.0,
            },
        );
        assert_eq!(crossings(&g), 0);
    }

    #[test]
    fn items_that_are_alike_stand_together() {
        let item = |mate| Item {
            along: 1.0,
            across: 1.0,
            at_least: 0,
            mate,
        };
        let items = [0, 1, 2, 1, 2, 1].map(item);
        let wires: Vec<Wire> = (1..6)
            .map(|to| Wire {
                from: 0,
                to,
                out: 0.5,
                into: 0.5,
                bundle: 0,
                room: 1.0,
            })
            .collect();
        let mut g = Grid::new(&items, &wires);
        gather(&mut g);
        let kinds: Vec<usize> = g.layers[1].iter().map(|c| g.mate[*c]).collect();
        assert_eq!(kinds, [1, 1, 1, 2, 2]);
    }
}

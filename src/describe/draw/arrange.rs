//! From a picture to positions: composites first, from the top down; then everything from left to right.

use super::grid::{Grid, Item, Wire};
use super::order::order;
use super::picture::{Picture, Zone};
use super::place::{Gaps, place};
use super::sizes::{FRAME_BOTTOM, FRAME_SIDE, FRAME_TOP, LANE, box_size, node_width, port_at};
use std::collections::HashMap;

/// A rectangle.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Rect {
    pub x: f64,
    pub y: f64,
    pub w: f64,
    pub h: f64,
}

/// The position of everything.
#[derive(Debug, Default)]
pub(super) struct Arrangement {
    /// The boxes.
    pub boxes: Vec<Rect>,
    /// The frames.
    pub frames: Vec<Rect>,
    /// The edges: points of a smooth line; pairs with the same y are straight.
    pub edges: Vec<Route>,
    /// The x of the line between host and device.
    pub border: Option<f64>,
    /// The size of the whole.
    pub size: (f64, f64),
}

/// The route of an edge.
#[derive(Clone, Debug, Default)]
pub(super) struct Route {
    /// Its points.
    pub points: Vec<(f64, f64)>,
    /// Whether it runs downwards (inside a composite), not to the right.
    pub down: bool,
}

/// A node or a composite, within the composite around both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Part {
    Box(usize),
    Frame(usize),
}

/// Positions all of `p`.
pub(super) fn arrange(p: &Picture) -> Arrangement {
    let mut a = Arrangement {
        boxes: p
            .boxes
            .iter()
            .map(|b| {
                let (w, h) = box_size(b);
                Rect {
                    w,
                    h,
                    ..Rect::default()
                }
            })
            .collect(),
        frames: vec![Rect::default(); p.frames.len()],
        edges: vec![Route::default(); p.edges.len()],
        ..Arrangement::default()
    };
    // Inner composites come after outer ones in the list.
    for f in (0..p.frames.len()).rev() {
        inside(p, f, &mut a);
    }
    outside(p, &mut a);
    a
}

/// The item of scope `frame` that box `b` is, or is in; `None` where it is not in that scope.
fn part_of(p: &Picture, b: usize, frame: Option<usize>) -> Option<Part> {
    let (mut part, mut around) = (Part::Box(b), p.boxes[b].frame);
    while around != frame {
        part = Part::Frame(around?);
        around = p.frames[around?].parent;
    }
    Some(part)
}

fn parts(p: &Picture, frame: Option<usize>) -> Vec<Part> {
    let mut all = vec![];
    for b in 0..p.boxes.len() {
        if let Some(part) = part_of(p, b, frame)
            && !all.contains(&part)
        {
            all.push(part);
        }
    }
    all
}

fn rect(a: &Arrangement, part: Part) -> Rect {
    match part {
        Part::Box(b) => a.boxes[b],
        Part::Frame(f) => a.frames[f],
    }
}

/// Moves an item and everything in it.
fn shift(p: &Picture, a: &mut Arrangement, part: Part, dx: f64, dy: f64) {
    let (boxes, frames): (Vec<usize>, Vec<usize>) = match part {
        Part::Box(b) => (vec![b], vec![]),
        Part::Frame(f) => {
            let within = |mut at: Option<usize>| loop {
                match at {
                    Some(g) if g == f => return true,
                    Some(g) => at = p.frames[g].parent,
                    None => return false,
                }
            };
            (
                (0..p.boxes.len()).filter(|b| within(p.boxes[*b].frame)).collect(),
                (0..p.frames.len()).filter(|g| within(Some(*g))).collect(),
            )
        }
    };
    for b in &boxes {
        a.boxes[*b].x += dx;
        a.boxes[*b].y += dy;
    }
    for f in frames {
        a.frames[f].x += dx;
        a.frames[f].y += dy;
    }
    for (e, edge) in p.edges.iter().enumerate() {
        if boxes.contains(&edge.from) && boxes.contains(&edge.to) {
            for point in &mut a.edges[e].points {
                point.0 += dx;
                point.1 += dy;
            }
        }
    }
}

/// The edges drawn in scope `frame`: those between different items of it.
fn edges_of(p: &Picture, frame: Option<usize>) -> Vec<(usize, Part, Part)> {
    let ends = |e: usize| Some((part_of(p, p.edges[e].from, frame)?, part_of(p, p.edges[e].to, frame)?));
    (0..p.edges.len())
        .filter_map(|e| ends(e).filter(|(a, b)| a != b).map(|(a, b)| (e, a, b)))
        .collect()
}

/// Lays out the inside of a composite, from the top down, which gives its size.
fn inside(p: &Picture, frame: usize, a: &mut Arrangement) {
    let all = parts(p, Some(frame));
    let index: HashMap<Part, usize> = all.iter().enumerate().map(|(i, part)| (*part, i)).collect();
    let own: Vec<usize> = all
        .iter()
        .filter_map(|part| if let Part::Box(b) = part { Some(*b) } else { None })
        .collect();
    let widest = own.iter().map(|b| a.boxes[*b].w).fold(0.0, f64::max);
    own.iter().for_each(|b| a.boxes[*b].w = widest);
    let items: Vec<Item> = all
        .iter()
        .map(|part| {
            let r = rect(a, *part);
            Item {
                along: r.h,
                across: r.w,
                ..Item::default()
            }
        })
        .collect();
    let edges = edges_of(p, Some(frame));
    let mut wires: Vec<Wire> = edges
        .iter()
        .map(|(e, from, to)| Wire {
            from: index[from],
            to: index[to],
            out: rect(a, *from).w / 2.0,
            into: rect(a, *to).w / 2.0,
            bundle: p.edges[*e].from,
            room: LANE,
        })
        .collect();
    let (mut grid, gaps) = (
        Grid::new(&items, &wires),
        Gaps {
            items: 18.0,
            mates: 18.0,
            lanes: 7.0,
            straight: [8.0, 0.02, 0.1],
            pull: 0.0,
        },
    );
    order(&mut grid, gaps);
    beside(&grid, &items, &mut wires, &place(&grid, gaps));
    let mut ordered = Grid::new(&items, &wires);
    ordered.layers = grid.layers.clone();
    let across = place(&ordered, gaps);
    let depth: Vec<f64> = ordered.layers.iter().map(|l| thickness(&ordered, l, &items)).collect();
    const STEP: f64 = 13.0;
    let start: Vec<f64> = begin(&depth, STEP);
    let origin = (FRAME_SIDE, FRAME_TOP);
    for (i, part) in all.iter().enumerate() {
        shift(p, a, *part, origin.0 + across[i], origin.1 + start[ordered.layer_of[i]]);
    }
    for (w, (e, ..)) in edges.iter().enumerate() {
        let wire = &wires[w];
        let from = ordered.layer_of[wire.from];
        let mut points = vec![(
            origin.0 + across[wire.from] + wire.out,
            origin.1 + start[from] + items[wire.from].along,
        )];
        for (i, lane) in ordered.lanes[w].iter().enumerate() {
            let (l, x) = (from + 1 + i, origin.0 + across[*lane] + ordered.room[*lane] / 2.0);
            points.push((x, origin.1 + start[l]));
            points.push((x, origin.1 + start[l] + depth[l]));
        }
        points.push((
            origin.0 + across[wire.to] + wire.into,
            origin.1 + start[ordered.layer_of[wire.to]],
        ));
        a.edges[*e] = Route { points, down: true };
    }
    let most = |c: &dyn Fn(usize) -> f64| (0..ordered.cells.len()).map(c).fold(0.0, f64::max);
    let width = most(&|c| across[c] + ordered.room[c]);
    let height: f64 = start.last().copied().unwrap_or(0.0) + depth.last().copied().unwrap_or(0.0);
    let head = super::sizes::frame_head(&p.frames[frame]);
    a.frames[frame] = Rect {
        x: 0.0,
        y: 0.0,
        w: (width + 2.0 * FRAME_SIDE).max(head),
        h: height + FRAME_TOP + FRAME_BOTTOM,
    };
}

fn thickness(g: &Grid, layer: &[usize], items: &[Item]) -> f64 {
    layer
        .iter()
        .filter(|c| !g.is_lane(**c))
        .map(|c| items[*c].along)
        .fold(0.0, f64::max)
}

fn begin(depth: &[f64], gap: f64) -> Vec<f64> {
    let mut at = 0.0;
    depth
        .iter()
        .map(|d| {
            let here = at;
            at += d + gap;
            here
        })
        .collect()
}

/// Lets the wires that pass other items leave and enter next to the middle, on the side of their lanes.
fn beside(g: &Grid, items: &[Item], wires: &mut [Wire], at: &[f64]) {
    const FROM_SIDE: f64 = 14.0;
    let mut taken: HashMap<(usize, bool, bool), f64> = HashMap::new();
    for (wire, lanes) in wires.iter_mut().zip(&g.lanes) {
        for (enters, item) in [(false, wire.from), (true, wire.to)] {
            let lane = if enters { lanes.last() } else { lanes.first() };
            let Some(lane) = lane else { continue };
            let wide = items[item].across;
            let right = at[*lane] > at[item] + wide / 2.0;
            let used = taken.entry((item, enters, right)).or_insert(0.0);
            let from_side = (FROM_SIDE + *used).min(wide / 2.0);
            // What leaves is one bundle; what enters has separate points.
            *used += if enters { 10.0 } else { 0.0 };
            let place = if right { wide - from_side } else { from_side };
            if enters { wire.into = place } else { wire.out = place }
        }
    }
}

/// Lays out the whole, from left to right.
fn outside(p: &Picture, a: &mut Arrangement) {
    let all = parts(p, None);
    let index: HashMap<Part, usize> = all.iter().enumerate().map(|(i, part)| (*part, i)).collect();
    let edges = edges_of(p, None);
    let least = zones(p, &all, &index, &edges);
    let mut kinds: Vec<&str> = vec![""];
    let mut mate = |part: &Part| match part {
        Part::Frame(_) => 0,
        Part::Box(b) => {
            let kind = p.boxes[*b].kind.as_str();
            kinds.iter().position(|k| *k == kind).unwrap_or_else(|| {
                kinds.push(kind);
                kinds.len() - 1
            })
        }
    };
    let items: Vec<Item> = all
        .iter()
        .zip(least.iter())
        .map(|(part, least)| {
            let r = rect(a, *part);
            Item {
                along: r.w,
                across: r.h,
                at_least: *least,
                mate: mate(part),
            }
        })
        .collect();
    // Where a box is within its item: the items have not been moved yet.
    let top = |b: usize, part: Part| a.boxes[b].y - rect(a, part).y;
    let mut bundles: HashMap<(usize, usize), usize> = HashMap::new();
    let mut wires: Vec<Wire> = vec![];
    for (e, from, to) in &edges {
        let edge = &p.edges[*e];
        let next = bundles.len();
        wires.push(Wire {
            from: index[from],
            to: index[to],
            out: top(edge.from, *from) + port_at(&p.boxes[edge.from], edge.output),
            into: top(edge.to, *to) + a.boxes[edge.to].h / 2.0,
            bundle: *bundles.entry((edge.from, edge.output)).or_insert(next),
            room: LANE,
        });
    }
    let (mut grid, gaps) = (
        Grid::new(&items, &wires),
        Gaps {
            items: 28.0,
            mates: 11.0,
            lanes: 12.0,
            straight: [1.0, 2.0, 16.0],
            pull: 0.35,
        },
    );
    order(&mut grid, gaps);
    let first = place(&grid, gaps);
    enter_boxes(p, a, &grid, &edges, &mut wires, &first, &top);
    let mut ordered = Grid::new(&items, &wires);
    ordered.layers = grid.layers.clone();
    let across = place(&ordered, gaps);
    // The nodes of a column have the same width.
    let widths: Vec<f64> = ordered.layers.iter().map(|l| thickness(&ordered, l, &items)).collect();
    const STEP: f64 = 48.0;
    let start = begin(&widths, STEP);
    for (i, part) in all.iter().enumerate() {
        let layer = ordered.layer_of[i];
        if let Part::Box(b) = part {
            let column = ordered.layers[layer].iter().filter_map(|c| match all.get(*c) {
                Some(Part::Box(b)) => Some(a.boxes[*b].w),
                _ => None,
            });
            let widest = column.fold(0.0, f64::max);
            a.boxes[*b].w = node_width(widest);
        }
        shift(p, a, *part, start[layer], across[i]);
    }
    for (w, (e, ..)) in edges.iter().enumerate() {
        let (wire, edge) = (&wires[w], &p.edges[*e]);
        let (l0, l1) = (ordered.layer_of[wire.from], ordered.layer_of[wire.to]);
        let from = a.boxes[edge.from];
        let mut points = vec![
            (from.x + from.w, across[wire.from] + wire.out),
            (start[l0] + widths[l0], across[wire.from] + wire.out),
        ];
        for (i, lane) in ordered.lanes[w].iter().enumerate() {
            let (l, y) = (l0 + 1 + i, across[*lane] + ordered.room[*lane] / 2.0);
            points.push((start[l], y));
            points.push((start[l] + widths[l], y));
        }
        points.push((start[l1], across[wire.to] + wire.into));
        points.push((a.boxes[edge.to].x, across[wire.to] + wire.into));
        a.edges[*e] = Route { points, down: false };
    }
    let border = p.boxes.iter().zip(&a.boxes).filter(|(b, _)| b.zone == Zone::Boundary);
    a.border = border.map(|(_, r)| r.x + r.w / 2.0).reduce(f64::max);
    let bottom = (0..ordered.cells.len())
        .map(|c| across[c] + ordered.room[c])
        .fold(0.0, f64::max);
    a.size = (
        start.last().copied().unwrap_or(0.0) + widths.last().copied().unwrap_or(0.0),
        bottom,
    );
}

/// The first layer of each item: all of the host before the boundary, all of the device behind it.
fn zones(p: &Picture, all: &[Part], index: &HashMap<Part, usize>, edges: &[(usize, Part, Part)]) -> Vec<usize> {
    let zone = |part: &Part| match part {
        Part::Box(b) => p.boxes[*b].zone,
        Part::Frame(f) => (0..p.boxes.len())
            .filter(|b| part_of(p, *b, None) == Some(Part::Frame(*f)))
            .map(|b| p.boxes[b].zone)
            .max()
            .unwrap_or_default(),
    };
    let zones: Vec<Zone> = all.iter().map(zone).collect();
    if !zones.contains(&Zone::Boundary) {
        return vec![0; all.len()];
    }
    let host: Vec<(usize, usize)> = edges
        .iter()
        .map(|(_, a, b)| (index[a], index[b]))
        .filter(|(a, b)| zones[*a] == Zone::Host && zones[*b] == Zone::Host)
        .collect();
    let layers = super::layers::layers(all.len(), &host, &vec![0; all.len()]);
    let of_host = (0..all.len())
        .filter(|i| zones[*i] == Zone::Host)
        .map(|i| layers[i] + 1);
    let border = of_host.max().unwrap_or(0);
    let least = |z: &Zone| match z {
        Zone::Host => 0,
        Zone::Boundary => border,
        Zone::Device => border + 1,
    };
    zones.iter().map(least).collect()
}

/// Gives the edges into each box separate points on its left side, in the order in which they come; edges from one
/// output enter together.
fn enter_boxes(
    p: &Picture,
    a: &Arrangement,
    g: &Grid,
    edges: &[(usize, Part, Part)],
    wires: &mut [Wire],
    at: &[f64],
    top: &dyn Fn(usize, Part) -> f64,
) {
    for to in 0..p.boxes.len() {
        let mut groups: Vec<(f64, usize, Vec<usize>)> = vec![];
        for (w, (e, ..)) in edges.iter().enumerate().filter(|(_, (e, ..))| p.edges[*e].to == to) {
            let _ = e;
            let y = match g.lanes[w].last() {
                Some(lane) => at[*lane],
                None => at[wires[w].from] + wires[w].out,
            };
            match groups.iter_mut().find(|(_, bundle, _)| *bundle == wires[w].bundle) {
                Some((.., all)) => all.push(w),
                None => groups.push((y, wires[w].bundle, vec![w])),
            }
        }
        groups.sort_by(|a, b| a.0.total_cmp(&b.0));
        let count = groups.len() as f64;
        let step = (a.boxes[to].h / (count + 1.0)).min(16.0);
        for (i, (.., all)) in groups.iter().enumerate() {
            for w in all {
                let offset = (i as f64 - (count - 1.0) / 2.0) * step;
                wires[*w].into = top(to, edges[*w].2) + a.boxes[to].h / 2.0 + offset;
            }
        }
    }
}

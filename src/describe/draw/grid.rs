//! Items in layers, with a lane in every layer that an edge passes.

use super::layers::layers;
use std::collections::HashMap;

/// Something that takes up space: a node, or a composite with its nodes.
#[derive(Clone, Debug, Default)]
pub(super) struct Item {
    /// Its size along the flow.
    pub along: f64,
    /// Its size across the flow.
    pub across: f64,
    /// The first layer that it may be in.
    pub at_least: usize,
    /// Items with the same number are placed together; 0 is none.
    pub mate: usize,
}

/// An edge between items.
#[derive(Clone, Debug)]
pub(super) struct Wire {
    /// From this item.
    pub from: usize,
    /// To this item.
    pub to: usize,
    /// Where it leaves, across the flow, from the item's beginning.
    pub out: f64,
    /// Where it enters.
    pub into: f64,
    /// Wires of one bundle leave at one point and share their lanes.
    pub bundle: usize,
    /// How much space its lane takes.
    pub room: f64,
}

/// The content of a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Cell {
    /// An item.
    Item(usize),
    /// The lane of a bundle in this layer.
    Lane(usize, usize),
}

/// A piece of an edge between two neighbouring layers.
#[derive(Clone, Debug)]
pub(super) struct Stretch {
    /// The cell in the earlier layer.
    pub a: usize,
    /// The cell in the later layer.
    pub b: usize,
    /// Where it leaves `a`.
    pub out: f64,
    /// Where it enters `b`.
    pub into: f64,
}

/// Layers of cells and what connects them.
#[derive(Debug)]
pub(super) struct Grid {
    /// The layer of each item.
    pub layer_of: Vec<usize>,
    /// All cells.
    pub cells: Vec<Cell>,
    /// The space across that each cell takes.
    pub room: Vec<f64>,
    /// Which cells belong together; 0 is none.
    pub mate: Vec<usize>,
    /// Cells by layer, in order.
    pub layers: Vec<Vec<usize>>,
    /// Pieces from each layer to the next.
    pub stretches: Vec<Vec<Stretch>>,
    /// The lanes of each wire, layer by layer.
    pub lanes: Vec<Vec<usize>>,
}

impl Grid {
    /// Assigns items to layers. Wires within a layer or backwards (of a cycle) get no lanes.
    pub(super) fn new(items: &[Item], wires: &[Wire]) -> Grid {
        let edges: Vec<_> = wires.iter().map(|w| (w.from, w.to)).collect();
        let at_least: Vec<_> = items.iter().map(|i| i.at_least).collect();
        let layer_of = layers(items.len(), &edges, &at_least);
        let depth = layer_of.iter().max().map_or(0, |m| m + 1);
        let mut g = Grid {
            cells: (0..items.len()).map(Cell::Item).collect(),
            room: items.iter().map(|i| i.across).collect(),
            mate: items.iter().map(|i| i.mate).collect(),
            layers: vec![vec![]; depth],
            stretches: vec![vec![]; depth],
            lanes: vec![vec![]; wires.len()],
            layer_of,
        };
        for i in 0..items.len() {
            g.layers[g.layer_of[i]].push(i);
        }
        let mut lanes: HashMap<Cell, usize> = HashMap::new();
        for (w, wire) in wires.iter().enumerate() {
            let (from, to) = (g.layer_of[wire.from], g.layer_of[wire.to]);
            let (mut a, mut out) = (wire.from, wire.out);
            for l in from + 1..to {
                let lane = Cell::Lane(wire.bundle, l);
                let b = match lanes.get(&lane) {
                    Some(b) => *b,
                    None => {
                        let b = g.cells.len();
                        lanes.insert(lane, b);
                        g.cells.push(lane);
                        g.room.push(wire.room);
                        g.mate.push(0);
                        g.layers[l].push(b);
                        b
                    }
                };
                g.room[b] = g.room[b].max(wire.room);
                g.lanes[w].push(b);
                let mid = g.room[b] / 2.0;
                g.connect(l - 1, Stretch { a, b, out, into: mid });
                (a, out) = (b, mid);
            }
            if from < to {
                g.connect(
                    to - 1,
                    Stretch {
                        a,
                        b: wire.to,
                        out,
                        into: wire.into,
                    },
                );
            }
        }
        g
    }

    fn connect(&mut self, layer: usize, s: Stretch) {
        let all = &mut self.stretches[layer];
        if !all
            .iter()
            .any(|t| (t.a, t.b) == (s.a, s.b) && t.out == s.out && t.into == s.into)
        {
            all.push(s);
        }
    }

    /// Whether two cells are items that belong together.
    pub(super) fn mates(&self, a: usize, b: usize) -> bool {
        self.mate[a] != 0 && self.mate[a] == self.mate[b]
    }

    /// Whether a cell is a lane.
    pub(super) fn is_lane(&self, cell: usize) -> bool {
        matches!(self.cells[cell], Cell::Lane(..))
    }
}

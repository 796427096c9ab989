//! How large boxes and frames are.

use super::picture::{Frame, NodeBox};
use crate::describe::svg::{mono_width, width};

/// Font size of names.
pub(super) const NAME: f64 = 13.0;
/// Font size of kinds and marks.
pub(super) const KIND: f64 = 11.0;
/// Font size of types.
pub(super) const TYPE: f64 = 10.5;
/// From the side of a box to its text.
pub(super) const PAD: f64 = 10.0;
/// The space across that an edge's lane takes.
pub(super) const LANE: f64 = 7.0;
/// Height of a line of types.
pub(super) const LINE: f64 = 15.0;
/// Height of the part of a box that holds its name and kind.
pub(super) const HEAD: f64 = 38.0;
/// The same where name and kind share a line.
pub(super) const HEAD_ONE: f64 = 24.0;
/// Height of a line of terms.
pub(super) const TERM: f64 = 20.0;
/// From a frame's top to what is inside.
pub(super) const FRAME_TOP: f64 = 40.0;
/// From what is inside to a frame's bottom.
pub(super) const FRAME_BOTTOM: f64 = 12.0;
/// From what is inside to a frame's side.
pub(super) const FRAME_SIDE: f64 = 12.0;

const LEAST: f64 = 96.0;

/// The label of a kind: nothing where the name already says it.
pub(super) fn kind_text(b: &NodeBox) -> String {
    let printed = b.kind == b.name || (b.frame.is_some() && b.kind.ends_with(&format!("_{}", b.name)));
    let kind = (!printed).then(|| b.kind.clone());
    kind.into_iter()
        .chain(b.marks.iter().cloned())
        .collect::<Vec<_>>()
        .join(" · ")
}

/// Whether name and kind share a line: in composites, and where there is no kind to write.
pub(super) fn one_line(b: &NodeBox) -> bool {
    b.frame.is_some() || kind_text(b).is_empty()
}

/// What follows the name in its line, at the end.
pub(super) enum Beside {
    /// Nothing.
    Nothing,
    /// The type of the only output.
    Type,
    /// The only term.
    Term,
}

/// What follows the name: in composites, where space is scarce, what fits one line.
pub(super) fn beside(b: &NodeBox) -> Beside {
    match (b.frame, b.outputs.len(), b.terms.len()) {
        (Some(_), 1, 0) => Beside::Type,
        (Some(_), 0, 1) => Beside::Term,
        _ => Beside::Nothing,
    }
}

/// Height of the part above the types.
pub(super) fn head(b: &NodeBox) -> f64 {
    if one_line(b) { HEAD_ONE } else { HEAD }
}

/// Width of a term's chip.
pub(super) fn term_width(term: &str) -> f64 {
    width(term, KIND) + 14.0
}

/// Width of a box's name.
pub(super) fn name_width(b: &NodeBox) -> f64 {
    width(&b.name, NAME) * 1.05
}

/// Width and height of a box.
pub(super) fn box_size(b: &NodeBox) -> (f64, f64) {
    let (name, kind) = (name_width(b), width(&kind_text(b), KIND));
    let types = b.lines().iter().map(|l| mono_width(l, TYPE)).fold(0.0, f64::max);
    let terms: f64 = b.terms.iter().map(|t| term_width(t) + 5.0).sum();
    let title = if one_line(b) {
        name + if kind > 0.0 { kind + 7.0 } else { 0.0 }
    } else {
        name.max(kind)
    };
    let (w, below) = match beside(b) {
        Beside::Type => (title + 14.0 + types, 0.0),
        Beside::Term => (title + 14.0 + terms, 0.0),
        Beside::Nothing => {
            let terms_high = if b.terms.is_empty() { 0.0 } else { TERM + 2.0 };
            (title.max(types).max(terms), LINE * b.outputs.len() as f64 + terms_high)
        }
    };
    let bottom = if one_line(b) && below == 0.0 { 2.0 } else { 6.0 };
    (node_width(w + 2.0 * PAD), head(b) + below + bottom)
}

/// The minimum width of a box.
pub(super) fn node_width(w: f64) -> f64 {
    w.max(LEAST).ceil()
}

/// From the top of a box to the middle of the line of its output `i`.
pub(super) fn port_at(b: &NodeBox, i: usize) -> f64 {
    match beside(b) {
        Beside::Nothing if !b.outputs.is_empty() => head(b) + LINE * (i as f64 + 0.5) - 0.5,
        _ => box_size(b).1 / 2.0,
    }
}

/// Width that a frame's heading needs.
pub(super) fn frame_head(f: &Frame) -> f64 {
    width(&f.name, NAME).max(width(&f.kind, KIND)) + 24.0
}

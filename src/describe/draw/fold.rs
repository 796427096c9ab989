//! Of equal composites one is drawn open; each of the others becomes one box. Many boxes with the same kind, types and
//! neighbours become one. So a graph with many heads stays readable.

use super::picture::{Edge, Frame, NodeBox, Picture};
use std::collections::HashMap;

/// Composites of one file are folded from this many on.
const ALIKE: usize = 3;
/// The most composites that are drawn open.
const OPEN: usize = 5;
/// Equivalent boxes are merged from this many on.
const MANY: usize = 4;

/// Folds what need not be drawn open.
pub(super) fn fold(p: &mut Picture) {
    composites(p);
    many(p);
}

/// Merges boxes that are equal and whose neighbours are.
fn many(p: &mut Picture) {
    let class = classes(p);
    let mut first: HashMap<usize, usize> = HashMap::new();
    let (mut boxes, mut at): (Vec<NodeBox>, Vec<usize>) = (vec![], vec![]);
    for (i, b) in p.boxes.iter().enumerate() {
        let place = *first.entry(class[i]).or_insert(boxes.len());
        at.push(place);
        if place == boxes.len() {
            let alike: Vec<&NodeBox> = (0..p.boxes.len())
                .filter(|j| class[*j] == class[i])
                .map(|j| &p.boxes[j])
                .collect();
            boxes.push(if alike.len() > 1 { all_of(&alike) } else { b.clone() });
        }
    }
    let mut edges: Vec<Edge> = vec![];
    for e in &p.edges {
        let moved = Edge {
            from: at[e.from],
            to: at[e.to],
            ..e.clone()
        };
        add(&mut edges, moved);
    }
    (p.boxes, p.edges) = (boxes, edges);
}

/// Adds an edge, or its label to the one that exists already.
fn add(edges: &mut Vec<Edge>, new: Edge) {
    let same = |o: &&mut Edge| (o.from, o.output, o.to, o.stream) == (new.from, new.output, new.to, new.stream);
    match edges.iter_mut().find(same) {
        Some(there) => {
            there.tip = format!("{}\n{}", there.tip, new.tip);
            there.pale &= new.pale;
        }
        None => edges.push(new),
    }
}

/// Boxes with the same number are drawn as one: they have the same kind and types, and edges of the same streams from
/// and to boxes with the same numbers (colour refinement). Classes of fewer than [`MANY`] boxes are split into single
/// boxes.
fn classes(p: &Picture) -> Vec<usize> {
    let mut keys: Vec<String> = vec![];
    for (i, b) in p.boxes.iter().enumerate() {
        let alone = b.frame.is_some().then_some(i);
        let seen = (&b.kind, &b.outputs, b.zone, &b.marks, b.train_only, b.pale);
        keys.push(format!("{seen:?} {alone:?}"));
    }
    let mut class = numbered(&keys);
    loop {
        let before = class.iter().max().copied();
        let keys: Vec<String> = (0..p.boxes.len())
            .map(|i| {
                let end = |e: &Edge| match (e.from == i, e.to == i) {
                    (true, _) => Some((true, class[e.to], e.output, e.stream, e.pale)),
                    (_, true) => Some((false, class[e.from], e.output, e.stream, e.pale)),
                    _ => None,
                };
                let mut ends: Vec<_> = p.edges.iter().filter_map(end).collect();
                ends.sort_unstable();
                ends.dedup();
                format!("{} {ends:?}", class[i])
            })
            .collect();
        class = numbered(&keys);
        if class.iter().max().copied() != before {
            continue;
        }
        // Neighbours distinguish nothing further. Small classes are drawn box by box, which may distinguish others.
        let few = |i: usize| (2..MANY).contains(&class.iter().filter(|c| **c == class[i]).count());
        let keys: Vec<String> = (0..class.len())
            .map(|i| format!("{} {:?}", class[i], few(i).then_some(i)))
            .collect();
        let apart = numbered(&keys);
        if apart.iter().max() == class.iter().max() {
            return class;
        }
        class = apart;
    }
}

/// Equal keys get equal numbers.
fn numbered(keys: &[String]) -> Vec<usize> {
    let mut known: HashMap<&str, usize> = HashMap::new();
    keys.iter()
        .map(|k| {
            let next = known.len();
            *known.entry(k).or_insert(next)
        })
        .collect()
}

/// The box that stands for many.
fn all_of(alike: &[&NodeBox]) -> NodeBox {
    let (first, last) = (alike[0], alike[alike.len() - 1]);
    let mut terms = terms(alike);
    // More than these would make the box too wide; the cards and the plan list them all.
    if terms.len() > 3 {
        terms.truncate(2);
        terms.push("…".into());
    }
    let inside = |b: &&NodeBox| match b.folded.is_empty() {
        true => vec![format!("{} ({})", b.path, b.kind)],
        false => b.folded.clone(),
    };
    NodeBox {
        path: format!("{} … {}", first.path, last.path),
        name: format!("{} … {}", first.name, last.name),
        marks: std::iter::once(format!("{} alike", alike.len()))
            .chain(first.marks.clone())
            .collect(),
        terms,
        folded: alike.iter().flat_map(inside).collect(),
        ..first.clone()
    }
}

/// The terms of boxes, each once.
fn terms(boxes: &[&NodeBox]) -> Vec<String> {
    let mut terms: Vec<String> = vec![];
    for t in boxes.iter().flat_map(|b| &b.terms) {
        if !terms.contains(t) {
            terms.push(t.clone());
        }
    }
    terms
}

/// Replaces each composite that is not drawn open by one box.
fn composites(p: &mut Picture) {
    let folded = to_fold(&p.frames);
    if folded.is_empty() {
        return;
    }
    // The folded composite that each box is in.
    let inside: Vec<Option<usize>> = p
        .boxes
        .iter()
        .map(|b| outermost(&p.frames, b.frame).filter(|f| folded.contains(f)))
        .collect();
    let mut boxes: Vec<NodeBox> = vec![];
    let mut frame_box = vec![None; p.frames.len()];
    let mut at = vec![0; p.boxes.len()];
    for (i, b) in p.boxes.iter().enumerate() {
        at[i] = boxes.len();
        match inside[i] {
            None => boxes.push(b.clone()),
            Some(f) => match frame_box[f] {
                Some(there) => at[i] = there,
                None => {
                    frame_box[f] = Some(boxes.len());
                    let members: Vec<&NodeBox> = (0..p.boxes.len())
                        .filter(|j| inside[*j] == Some(f))
                        .map(|j| &p.boxes[j])
                        .collect();
                    boxes.push(whole(&p.frames, f, &folded, &members));
                }
            },
        }
    }
    let mut edges: Vec<Edge> = vec![];
    for e in &p.edges {
        let (from, to) = (at[e.from], at[e.to]);
        if from == to && inside[e.from].is_some() {
            continue;
        }
        let output = match inside[e.from] {
            None => e.output,
            Some(_) => leaving(&mut boxes[from], &p.boxes[e.from].outputs[e.output]),
        };
        let moved = Edge {
            from,
            output,
            to,
            ..e.clone()
        };
        add(&mut edges, moved);
    }
    let left: Vec<usize> = (0..p.frames.len())
        .filter(|f| outermost(&p.frames, Some(*f)).is_none_or(|o| !folded.contains(&o)))
        .collect();
    let moved = |f: Option<usize>| f.and_then(|f| left.iter().position(|l| *l == f));
    for b in &mut boxes {
        b.frame = moved(b.frame);
    }
    p.frames = left
        .iter()
        .map(|f| Frame {
            parent: moved(p.frames[*f].parent),
            ..p.frames[*f].clone()
        })
        .collect();
    (p.boxes, p.edges) = (boxes, edges);
}

/// The outermost composite around what is in `frame`.
fn outermost(frames: &[Frame], frame: Option<usize>) -> Option<usize> {
    let mut at = frame?;
    while let Some(parent) = frames[at].parent {
        at = parent;
    }
    Some(at)
}

fn to_fold(frames: &[Frame]) -> Vec<usize> {
    let outer = || (0..frames.len()).filter(|f| frames[*f].parent.is_none());
    let (mut open, mut folded): (Vec<usize>, Vec<usize>) = (vec![], vec![]);
    for f in outer() {
        let alike = |o: &usize| frames[*o].kind == frames[f].kind;
        let shown = outer().filter(alike).count() >= ALIKE && open.iter().any(alike);
        if shown || open.len() == OPEN {
            folded.push(f);
        } else {
            open.push(f);
        }
    }
    folded
}

/// The box that stands for a composite; its outputs come with the edges that leave it.
fn whole(frames: &[Frame], f: usize, folded: &[usize], members: &[&NodeBox]) -> NodeBox {
    let frame = &frames[f];
    let alike = |o: &usize| frames[*o].parent.is_none() && frames[*o].kind == frame.kind && !folded.contains(o);
    let open = (0..frames.len()).find(alike);
    let count = |g: &str| members.iter().filter(|b| b.group == g).count();
    let group = members
        .iter()
        .map(|b| b.group)
        .reduce(|a, b| if count(b) > count(a) { b } else { a });
    NodeBox {
        path: frame.name.clone(),
        name: frame.name.clone(),
        kind: frame.kind.clone(),
        group: group.unwrap_or(""),
        zone: members.iter().map(|b| b.zone).max().unwrap_or_default(),
        outputs: vec![],
        terms: terms(members),
        marks: open.map(|o| format!("as {}", frames[o].name)).into_iter().collect(),
        train_only: members.iter().all(|b| b.train_only),
        pale: members.iter().all(|b| b.pale),
        frame: None,
        folded: members.iter().map(|b| format!("{} ({})", b.path, b.kind)).collect(),
    }
}

/// The index of an output among those of the whole composite.
fn leaving(whole: &mut NodeBox, output: &(String, String)) -> usize {
    match whole.outputs.iter().position(|o| o == output) {
        Some(i) => i,
        None => {
            whole.outputs.push(output.clone());
            whole.outputs.len() - 1
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(kinds: &[&str]) -> Picture {
        let mut p = Picture::default();
        p.boxes.push(NodeBox {
            path: "trunk".into(),
            outputs: vec![("y".into(), "Feature[B,D]".into())],
            ..NodeBox::default()
        });
        for (i, kind) in kinds.iter().enumerate() {
            p.frames.push(Frame {
                name: format!("head{i}"),
                kind: kind.to_string(),
                parent: None,
            });
            for name in ["mlp", "bce"] {
                p.boxes.push(NodeBox {
                    path: format!("head{i}.{name}"),
                    name: name.into(),
                    terms: if name == "bce" {
                        vec![format!("main × {i}")]
                    } else {
                        vec![]
                    },
                    outputs: vec![("logits".into(), "Logits[B,1]".into())],
                    frame: Some(i),
                    ..NodeBox::default()
                });
            }
            let mlp = p.boxes.len() - 2;
            for (from, to) in [(0, mlp), (mlp, mlp + 1)] {
                p.edges.push(Edge {
                    from,
                    output: 0,
                    to,
                    stream: None,
                    pale: false,
                    tip: format!("{from} → {to}"),
                });
            }
        }
        p
    }

    #[test]
    fn alike_composites_are_open_once() {
        let mut p = picture(&["a.toml", "b.toml", "a.toml", "a.toml"]);
        fold(&mut p);
        let names: Vec<&str> = p.boxes.iter().map(|b| b.path.as_str()).collect();
        assert_eq!(
            names,
            [
                "trunk",
                "head0.mlp",
                "head0.bce",
                "head1.mlp",
                "head1.bce",
                "head2",
                "head3"
            ]
        );
        assert_eq!(
            p.frames.iter().map(|f| f.name.as_str()).collect::<Vec<_>>(),
            ["head0", "head1"]
        );
        assert_eq!(p.boxes[6].terms, ["main × 3"]);
        assert_eq!(p.boxes[6].marks, ["as head0"]);
        assert_eq!(p.boxes[6].folded.len(), 2);
        let into: Vec<(usize, usize)> = p.edges.iter().map(|e| (e.from, e.to)).collect();
        assert_eq!(into, [(0, 1), (1, 2), (0, 3), (3, 4), (0, 5), (0, 6)]);
    }

    #[test]
    fn two_alike_stay_open_and_many_are_folded() {
        let mut p = picture(&["a.toml", "a.toml"]);
        fold(&mut p);
        assert_eq!(p.frames.len(), 2);
        let mut p = picture(&["a.toml", "b.toml", "c.toml", "d.toml", "e.toml", "f.toml", "g.toml"]);
        fold(&mut p);
        assert_eq!(p.frames.len(), OPEN);
        assert!(
            p.boxes
                .iter()
                .filter(|b| !b.folded.is_empty())
                .all(|b| b.marks.is_empty())
        );
    }

    #[test]
    fn many_heads_are_one_box() {
        let mut p = picture(&["a.toml"; 12]);
        fold(&mut p);
        let names: Vec<&str> = p.boxes.iter().map(|b| b.name.as_str()).collect();
        assert_eq!(names, ["", "mlp", "bce", "head1 … head11"]);
        assert_eq!(p.boxes[3].marks, ["11 alike", "as head0"]);
        assert_eq!(p.boxes[3].folded.len(), 22);
        assert_eq!(p.boxes[3].terms, ["main × 1", "main × 2", "…"]);
        assert_eq!(p.edges.len(), 3);
    }

    /// One box for each layer of twelve equal chains; a different neighbour keeps a box separate.
    #[test]
    fn chains_are_folded_layer_by_layer() {
        let mut p = Picture::default();
        let node = |path: &str, kind: &str| NodeBox {
            path: path.into(),
            name: path.into(),
            kind: kind.into(),
            outputs: vec![("y".into(), "Feature[B,D]".into())],
            ..NodeBox::default()
        };
        p.boxes.push(node("trunk", "mean"));
        let edge = |from, to| Edge {
            from,
            output: 0,
            to,
            stream: None,
            pale: false,
            tip: String::new(),
        };
        for i in 0..12 {
            p.boxes.push(node(&format!("head{i}"), "linear"));
            p.boxes.push(node(&format!("loss{i}"), "cross_entropy"));
            p.edges.extend([edge(0, 2 * i + 1), edge(2 * i + 1, 2 * i + 2)]);
        }
        p.boxes.push(node("scores", "classification"));
        p.edges.push(edge(5, 25));
        many(&mut p);
        let names: Vec<&str> = p.boxes.iter().map(|b| b.path.as_str()).collect();
        assert_eq!(
            names,
            ["trunk", "head0 … head11", "loss0 … loss11", "head2", "loss2", "scores"]
        );
        let ends: Vec<_> = p.edges.iter().map(|e| (e.from, e.to)).collect();
        assert_eq!(ends, [(0, 1), (1, 2), (0, 3), (3, 4), (3, 5)]);
    }

    #[test]
    fn what_leaves_a_folded_composite_leaves_its_box() {
        let mut p = picture(&["a.toml", "a.toml", "a.toml"]);
        p.boxes.push(NodeBox {
            path: "reader".into(),
            ..NodeBox::default()
        });
        let (last, reader) = (p.boxes.len() - 2, p.boxes.len() - 1);
        p.edges.push(Edge {
            from: last,
            output: 0,
            to: reader,
            stream: Some(1),
            pale: false,
            tip: String::new(),
        });
        fold(&mut p);
        let e = p.edges.last().unwrap();
        assert_eq!(p.boxes[e.from].path, "head2");
        assert_eq!(p.boxes[e.from].outputs[e.output].1, "Logits[B,1]");
        assert_eq!(p.boxes[e.to].path, "reader");
    }
}

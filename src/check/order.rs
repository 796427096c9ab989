//! The order of calls.

use super::prune::Needs;
use super::scene::{Inst, Scene};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

/// A future call: the instances of a joint node are grouped.
pub(super) struct Group {
    /// One, or for a joint node one per stream.
    pub insts: Vec<Inst>,
}

/// What is needed, grouped into calls, in the order of the file and then of the streams.
pub(super) fn groups(scene: &Scene, needs: &Needs) -> Vec<Group> {
    let mut groups: Vec<Group> = vec![];
    let mut joint: HashMap<usize, usize> = HashMap::new();
    for inst in needs.ports.keys() {
        if scene.contract(*inst).is_some_and(|c| c.joint) {
            match joint.get(&inst.node) {
                Some(g) => groups[*g].insts.push(*inst),
                None => {
                    joint.insert(inst.node, groups.len());
                    groups.push(Group { insts: vec![*inst] });
                }
            }
        } else {
            groups.push(Group { insts: vec![*inst] });
        }
    }
    groups
}

/// Sorts every group after those that it depends on; groups that are ready keep the order of the file, then of the
/// streams. Sums of gradients depend on it, so it may not be any topological order, as `petgraph`'s is.
pub(super) fn in_order<'g>(scene: &Scene<'_, 'g>, needs: &mut Needs<'_, '_, 'g>, groups: &[Group]) -> Vec<usize> {
    let group_of: HashMap<Inst, usize> = groups
        .iter()
        .enumerate()
        .flat_map(|(i, g)| g.insts.iter().map(move |inst| (*inst, i)))
        .collect();
    let mut feeds: Vec<Vec<usize>> = vec![vec![]; groups.len()];
    let mut waits = vec![0usize; groups.len()];
    for (i, g) in groups.iter().enumerate() {
        let mut from: Vec<usize> = vec![];
        for inst in &g.insts {
            let Some(c) = scene.contract(*inst) else { continue };
            for input in needs.taken(*inst, &c) {
                let edges = needs.kept(*inst, input).unwrap_or_default();
                from.extend(edges.iter().filter_map(|e| group_of.get(&e.out.inst)));
            }
        }
        from.sort();
        from.dedup();
        waits[i] = from.len();
        from.into_iter().for_each(|f| feeds[f].push(i));
    }
    // Groups are already in the order of the file and of the streams.
    let mut ready: BinaryHeap<Reverse<usize>> = (0..groups.len()).filter(|i| waits[*i] == 0).map(Reverse).collect();
    let mut order = vec![];
    while let Some(Reverse(i)) = ready.pop() {
        order.push(i);
        for f in &feeds[i] {
            waits[*f] -= 1;
            if waits[*f] == 0 {
                ready.push(Reverse(*f));
            }
        }
    }
    order
}

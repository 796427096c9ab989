//! Which layer each item is in: longest paths, then short edges.

/// Assigns each of `count` items a layer such that every edge leads to a later one; an item is at `at_least[i]` or
/// later. Edges that close a cycle (a composite that a node outside both reads and feeds) are ignored.
pub(super) fn layers(count: usize, edges: &[(usize, usize)], at_least: &[usize]) -> Vec<usize> {
    let (next, order) = without_circles(count, edges);
    let mut before = vec![vec![]; count];
    for (a, to) in next.iter().enumerate() {
        to.iter().for_each(|b| before[*b].push(a));
    }
    let mut layer = at_least.to_vec();
    for a in &order {
        for b in &next[*a] {
            layer[*b] = layer[*b].max(layer[*a] + 1);
        }
    }
    // An item with more edges out than in moves towards what it feeds.
    for _ in 0..count {
        let mut moved = false;
        for a in order.iter().rev() {
            if next[*a].len() > before[*a].len()
                && let Some(first) = next[*a].iter().map(|b| layer[*b]).min()
                && first > layer[*a] + 1
            {
                layer[*a] = first - 1;
                moved = true;
            }
        }
        if !moved {
            break;
        }
    }
    layer
}

/// The successors of each item, once each, without the edges that lead back; and a topological order.
fn without_circles(count: usize, edges: &[(usize, usize)]) -> (Vec<Vec<usize>>, Vec<usize>) {
    #[derive(Clone, Copy, PartialEq)]
    enum Seen {
        Not,
        Open,
        Done,
    }
    let mut next = vec![vec![]; count];
    for (a, b) in edges {
        if a != b && !next[*a].contains(b) {
            next[*a].push(*b);
        }
    }
    let mut seen = vec![Seen::Not; count];
    let mut order = vec![];
    for root in 0..count {
        if seen[root] != Seen::Not {
            continue;
        }
        seen[root] = Seen::Open;
        let mut path = vec![(root, 0)];
        while let Some((a, i)) = path.last_mut() {
            let a = *a;
            match next[a].get(*i).copied() {
                None => {
                    seen[a] = Seen::Done;
                    order.push(a);
                    path.pop();
                }
                Some(b) => match seen[b] {
                    Seen::Open => {
                        next[a].remove(*i);
                    }
                    Seen::Done => *i += 1,
                    Seen::Not => {
                        *i += 1;
                        seen[b] = Seen::Open;
                        path.push((b, 0));
                    }
                },
            }
        }
    }
    order.reverse();
    (next, order)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn items_go_towards_what_reads_them() {
        // 0 → 1 → 2 → 3, and 4 → 3 alone: 4 belongs next to 2.
        let l = layers(5, &[(0, 1), (1, 2), (2, 3), (4, 3)], &[0; 5]);
        assert_eq!(l, [0, 1, 2, 3, 2]);
    }

    proptest! {
        #[test]
        fn every_edge_goes_forward(edges in prop::collection::vec((0usize..12, 0usize..12), 0..40)) {
            let forward: Vec<_> = edges.into_iter().filter(|(a, b)| a < b).collect();
            let l = layers(12, &forward, &[0; 12]);
            prop_assert!(forward.iter().all(|(a, b)| l[*a] < l[*b]));
        }

        #[test]
        fn circles_end(edges in prop::collection::vec((0usize..8, 0usize..8), 0..40)) {
            prop_assert!(layers(8, &edges, &[0; 8]).iter().all(|l| *l < 8));
        }
    }
}

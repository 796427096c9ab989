//! Sums of products of two values: one product of matrices where each has axes of its own, else a loop that forms nothing.

use super::graph::{Graph, Kind, Val};
use crate::formula::typed::Axis;
use crate::op::matmul::Form;

/// The axes of `of` that are in none of `others`.
fn only(of: &[Axis], others: &[Axis]) -> Vec<Axis> {
    of.iter().filter(|a| !others.contains(a)).copied().collect()
}

/// The sum of `a · b` over the axes `over`, of which both may lack some.
pub(super) fn contract(graph: &mut Graph, a: Val, b: Val, over: &[Axis]) -> Val {
    // What only one of them has is summed before.
    let alone = |graph: &Graph, a: Val, b: Val| only(&only(graph.axes(a), graph.axes(b)), &only(graph.axes(a), over));
    let (first, second) = (alone(graph, a, b), alone(graph, b, a));
    let over = only(over, &[&first[..], &second].concat());
    let (a, b) = (graph.sum(a, &first), graph.sum(b, &second));
    let (of_a, of_b) = (graph.axes(a).to_vec(), graph.axes(b).to_vec());
    let (shared, rows): (Vec<Axis>, Vec<Axis>) = of_a.iter().partition(|x| of_b.contains(x));
    let columns = only(&of_b, &of_a);
    let (inner, batch): (Vec<Axis>, Vec<Axis>) = shared.iter().partition(|x| over.contains(x));
    if rows.is_empty() || columns.is_empty() || inner.is_empty() {
        let product = graph.times(a, b);
        return graph.sum(product, &over);
    }
    let missing = only(&over, &inner);
    let count = graph.elements(&missing) as f64;
    let (a, a_turned) = matrix(graph, a, &batch, &rows, &inner);
    let (b, b_turned) = matrix(graph, b, &batch, &inner, &columns);
    let [n, i, k, j] = [&batch, &rows, &inner, &columns].map(|axes| graph.elements(axes));
    let product = match (a_turned, b_turned) {
        (false, b_turned) => {
            let form = if b_turned { Form::Abt } else { Form::Ab };
            let axes = [&batch[..], &rows, &columns].concat();
            graph.add(Kind::Product(form, [n, i, k, j], a, b), axes)
        }
        (true, false) => {
            let axes = [&batch[..], &rows, &columns].concat();
            graph.add(Kind::Product(Form::Atb, [n, i, k, j], a, b), axes)
        }
        // (a b)ᵀ = bᵀ aᵀ, and both lie turned.
        (true, true) => {
            let axes = [&batch[..], &columns, &rows].concat();
            graph.add(Kind::Product(Form::Ab, [n, j, k, i], b, a), axes)
        }
    };
    graph.scaled(product, count)
}

/// A value as matrices `[batch, rows, columns]`, or `[batch, columns, rows]` (`true`) where it lies so.
fn matrix(graph: &mut Graph, of: Val, batch: &[Axis], rows: &[Axis], columns: &[Axis]) -> (Val, bool) {
    let turned = [batch, columns, rows].concat();
    match graph.axes(of) == turned {
        true => (of, true),
        false => (graph.ordered(of, &[batch, rows, columns].concat()), false),
    }
}

//! The values that plans read: inputs, gradients, what the host makes of labels and masks, and numbers.

use super::graph::{Graph, Kind, Val};
use super::run::{Slot, Slots};
use crate::formula::host::Arrived;
use crate::formula::program::Program;
use crate::formula::typed::Op;
use crate::kernel::{Floats, floats};
use anyhow::{Context, Result, bail};
use candle_core::Tensor;

/// The inputs among the sources of a plan.
pub(super) fn lent<'t>(
    program: &Program,
    graph: &Graph,
    sources: &[Val],
    inputs: &'t [Tensor],
) -> Result<Vec<(Val, Floats<'t>)>> {
    let mut lent = vec![];
    for v in sources {
        if let Kind::Input(i) = graph.nodes[*v].kind
            && !program.typed.inputs[i].is_mask()
        {
            lent.push((*v, floats(inputs.get(i).context("an input was not kept")?)?));
        }
    }
    Ok(lent)
}

/// The gradients among the sources of a plan.
pub(super) fn given<'t>(graph: &Graph, sources: &[Val], given: &'t [Option<Tensor>]) -> Result<Vec<(Val, Floats<'t>)>> {
    let mut lent = vec![];
    for v in sources {
        if let Kind::Given(o) = graph.nodes[*v].kind
            && let Some(grad) = &given[o]
        {
            lent.push((*v, floats(grad)?));
        }
    }
    Ok(lent)
}

/// The values of a graph, of which only what is lent and numbers are there.
pub(super) fn slots<'s>(
    graph: &Graph,
    lent: impl IntoIterator<Item = &'s (Val, Floats<'s>)>,
    numbers: &[f64],
) -> Slots<'s> {
    let number = |kind: &Kind| match kind {
        Kind::Constant(bits) => Slot::single(f64::from_bits(*bits)),
        Kind::Number(id) => numbers.get(*id).map_or(Slot::Empty, |x| Slot::single(*x)),
        _ => Slot::Empty,
    };
    let mut slots = Slots(graph.nodes.iter().map(|n| number(&n.kind)).collect());
    for (v, numbers) in lent {
        slots.0[*v] = Slot::Lent(numbers);
    }
    slots
}

/// Adds what the host makes among the sources of a plan, and says which that is.
///
/// # Errors
/// A label has no class.
pub(super) fn made(
    program: &Program,
    graph: &Graph,
    sources: &[Val],
    arrived: &Arrived<'_>,
    numbers: &[f64],
    slots: &mut Slots<'_>,
) -> Result<Vec<Val>> {
    let mut made = vec![];
    for v in sources
        .iter()
        .filter(|v| matches!(slots.0[**v], Slot::Empty))
        .copied()
        .collect::<Vec<Val>>()
    {
        let own = match graph.nodes[v].kind {
            Kind::Input(i) => arrived.marks(i)?,
            Kind::Labels(i) => arrived.label_numbers(i)?,
            Kind::Host(id) => {
                let node = &program.typed.nodes[id];
                match &node.op {
                    Op::OneHot(i) => arrived.one_hot(*i, &arrived.shape(&node.axes)?)?,
                    Op::Class(i, _, class, equal) => arrived.is_class(*i, numbers[*class], *equal)?,
                    Op::Index => (0..arrived.size(node.axes[0])).map(|i| i as f32).collect(),
                    _ => bail!("the host makes no value of this operation"),
                }
            }
            _ => bail!("a value of a formula is not there"),
        };
        slots.0[v] = Slot::Own(own);
        made.push(v);
    }
    Ok(made)
}

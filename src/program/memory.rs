//! The memory of a step, estimated before anything runs.

use super::{Call, Program, ProgramKind, ValueId};
use glad_nodes::{Body, Cost, Gradient, Head, Precision, Side};
use std::collections::BTreeSet;
use std::collections::{HashMap, HashSet};

/// An estimate of the cost of one forward (and backward) pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Multiply-adds of the forward pass; of a phase with rounds of all of them.
    pub macs: u64,
    /// How many of these are of calls that also run backward, where each takes about twice as many again.
    pub backward: u64,
    /// Peak bytes of activations (outputs and what is kept for the backward pass), of gradients and of the operations'
    /// buffers.
    pub peak: u64,
    /// Bytes of weights, with the optimiser's state of trained ones.
    pub weights: u64,
}

impl Memory {
    /// Approximate multiply-adds with the backward passes.
    pub fn both_ways(&self) -> u64 {
        self.macs + 2 * self.backward
    }

    /// The sum of the bytes.
    pub fn total(&self) -> u64 {
        self.peak + self.weights
    }
}

/// Bytes of a value on the device for a batch of `batch` samples; 0 where a size is known only at run time.
pub(crate) fn value_bytes(program: &Program, id: ValueId, batch: usize) -> u64 {
    let v = &program.values[id.0];
    let call = &program.calls[v.call];
    // Clips cross as bytes; everything else on the device has four bytes per number.
    let each = if call.side != Side::Device && v.ty.head == Head::Clip {
        1
    } else {
        4
    };
    match v.ty.head {
        // The size of the list is a part of the type alone.
        Head::Index => 4 * batch as u64,
        _ => v.ty.elements(batch).map_or(0, |n| n as u64 * each),
    }
}

/// The cost of a call, for the videos that it has, computed in `precision`.
pub(crate) fn cost(program: &Program, call: &Call, precision: Precision) -> Cost {
    match &program.bodies[call.body] {
        Body::Compute(c) => c.cost(call.batch, precision),
        _ => Cost::default(),
    }
}

/// The cost of a step's rounds: the peak of the largest, and the multiply-adds of all. Where a step has more passes than
/// one, its batch is there until the last of them. `precision` is the one really used.
pub fn memory(program: &Program, precision: Precision) -> Memory {
    let again = program.passes().count() > 1;
    let (mut macs, mut backward, mut peak) = (0, 0, 0);
    for (index, round) in program.rounds.iter().enumerate() {
        let one = pass(program, index, precision, again);
        macs += one.macs * round.repeat as u64;
        backward += one.backward * round.repeat as u64;
        peak = peak.max(one.peak);
    }
    if again {
        peak += batch_bytes(program) * program.parts.saturating_sub(1) as u64;
    }
    Memory {
        macs,
        backward,
        peak,
        weights: weight_bytes(program),
    }
}

/// Walks a round: forward, each value until its last use or, where a backward pass needs it, until then; backward, each
/// gradient from the call that first produces it to the call that consumes it. The cost is that without the weights. With
/// `again`, the batch is needed afterwards, too.
fn pass(program: &Program, index: usize, precision: Precision, again: bool) -> Memory {
    let round = &program.rounds[index];
    let device: Vec<usize> = (0..program.calls.len())
        .filter(|i| {
            program.calls[*i].side != Side::Host && (round.runs[*i] || program.calls[*i].side == Side::Boundary)
        })
        .collect();
    let bytes = |id: &ValueId| value_bytes(program, *id, program.batch_of(*id));
    let mut last: HashMap<ValueId, usize> = HashMap::new();
    for i in &device {
        let c = &program.calls[*i];
        for id in c.inputs.iter().flat_map(|(_, v)| v).chain(c.outputs.iter().flatten()) {
            last.insert(*id, *i);
        }
    }
    let kept = |id: &ValueId| again && program.calls[program.values[id.0].call].side == Side::Boundary;
    let wanted = |id: &ValueId| program.roots.contains(id) || kept(id);
    let backward = |i: usize| {
        let c = &program.calls[i];
        let takes = c.inputs.iter().flat_map(|(_, v)| v).any(|id| round.grads[id.0]);
        program.kind == ProgramKind::Phase && c.gradient != Gradient::Stops && (round.trains[i] || takes)
    };
    let (mut now, mut peak, mut macs, mut twice) = (0u64, 0u64, 0u64, 0u64);
    for i in &device {
        let c = &program.calls[*i];
        let cost = cost(program, c, precision);
        macs += cost.macs;
        now += c.outputs.iter().flatten().map(bytes).sum::<u64>();
        if backward(*i) {
            now += cost.kept;
            twice += cost.macs;
        }
        peak = peak.max(now + cost.scratch);
        for (id, at) in &last {
            let made = program.values[id.0].call;
            if at == i && program.calls[made].side != Side::Host && !backward(made) && !wanted(id) {
                now -= bytes(id).min(now);
            }
        }
    }
    let mut grads: HashMap<ValueId, u64> = program
        .losses
        .iter()
        .filter(|l| l.round == index)
        .flat_map(|l| &l.values)
        .map(|id| (*id, bytes(id)))
        .collect();
    now += grads.values().sum::<u64>();
    let mut reached: HashSet<&str> = HashSet::new();
    for i in device.iter().rev().filter(|i| backward(**i)) {
        let c = &program.calls[*i];
        let cost = cost(program, c, precision);
        for id in c.inputs.iter().flat_map(|(_, v)| v).filter(|id| round.grads[id.0]) {
            if grads.insert(*id, bytes(id)).is_none() {
                now += bytes(id);
            }
        }
        peak = peak.max(now + cost.scratch);
        now = now.saturating_sub(cost.kept);
        // Gradients of weights stay until the optimiser step.
        if round.trains[*i] && reached.insert(&c.owner) {
            let specs = program.weights.get(&c.owner).into_iter().flatten();
            now += specs.map(glad_nodes::WeightSpec::gradient_bytes).sum::<u64>();
            peak = peak.max(now);
        }
        for id in c.outputs.iter().flatten() {
            now = now.saturating_sub(bytes(id) + grads.remove(id).unwrap_or(0));
        }
    }
    Memory {
        macs,
        backward: twice,
        peak,
        weights: 0,
    }
}

fn weight_bytes(program: &Program) -> u64 {
    let of = |(node, specs): (&String, &Vec<glad_nodes::WeightSpec>)| -> u64 {
        let trains = program.trains(node);
        let times = |s: &glad_nodes::WeightSpec| {
            if trains && s.role != glad_nodes::Role::Buffer {
                1 + program.kept as u64
            } else {
                1
            }
        };
        specs.iter().map(|s| s.elements() as u64 * 4 * times(s)).sum()
    };
    program.weights.iter().map(of).sum()
}

/// Bytes of one finished sample of a stream: what waits to be transferred to the device.
pub fn sample_bytes(program: &Program, stream: usize) -> u64 {
    let mut ids: Vec<ValueId> = program
        .calls
        .iter()
        .filter(|c| c.side == Side::Boundary && c.stream == Some(stream))
        .flat_map(|c| c.inputs.iter().flat_map(|(_, v)| v.iter().copied()))
        .collect();
    ids.sort();
    ids.dedup();
    // Labels and masks are held as whole host values.
    ids.iter()
        .map(|id| {
            if matches!(program.values[id.0].ty.head, Head::Clip | Head::Feature) {
                value_bytes(program, *id, 1)
            } else {
                16
            }
        })
        .sum()
}

/// Bytes of one stacked batch, which waits while the device computes the one before.
pub(crate) fn batch_bytes(program: &Program) -> u64 {
    let boundary = program.calls.iter().filter(|c| c.side == Side::Boundary);
    let outputs = boundary.flat_map(|c| c.outputs.iter().flatten());
    outputs.map(|id| value_bytes(program, *id, program.batch_of(*id))).sum()
}

/// Bytes that nodes over lists hold of each video: in a view what they take, until its last batch; in a phase what they gave.
pub(crate) fn row_bytes(program: &Program) -> u64 {
    let calls = || program.calls.iter().filter(|c| c.over_list);
    let given = calls().flat_map(|c| c.outputs.iter().flatten());
    let taken = calls().flat_map(|c| c.inputs.iter().flat_map(|(_, ids)| ids));
    let all: BTreeSet<ValueId> = given.chain(taken).copied().collect();
    let elements = |id: ValueId| program.values[id.0].ty.elements(1).unwrap_or(0) as u64;
    all.into_iter().map(|id| 4 * elements(id)).fold(0, u64::saturating_add)
}

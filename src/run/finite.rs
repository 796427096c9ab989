//! Numbers that are not finite: which was the first, and what to do about it.
//!
//! What a step gives anyway (its losses, the norm of its gradient, whether the update left weights that are finite) says
//! that something went wrong. What it was is found by taking the step once more, with the same keys and so the same bits,
//! and looking at everything that is made, in the order in which it is made.

use super::exec::{Exec, Part, Seen};
use crate::graph::PhaseDef;
use crate::program::{Call, Program, Round};
use anyhow::{Result, bail};
use candle_core::{DType, Tensor};
use glad_nodes::{Precision, Role, WeightStore};
use std::collections::HashMap;
use std::fmt;

/// What was noticed at the end of a step.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Symptom {
    /// A loss or metric.
    Value(String, f64),
    /// The norm of the gradient.
    Gradient(f64),
    /// A weight, after the update.
    Weight(String),
}

impl fmt::Display for Symptom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Symptom::Value(name, v) => write!(f, "`{name}` is {}", word(*v)),
            Symptom::Gradient(v) => write!(f, "the norm of the gradient is {}", word(*v)),
            Symptom::Weight(name) => write!(f, "the update leaves `{name}` with numbers that are not finite"),
        }
    }
}

/// Where a step was.
pub(super) struct At<'a> {
    /// The step.
    pub step: u64,
    /// Its round.
    pub round: &'a Round,
    /// Which of the round's repetitions, from 0.
    pub time: usize,
}

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "step {}", self.step)?;
        match (self.round.name.as_str(), self.round.repeat) {
            ("", _) => Ok(()),
            (name, 1) => write!(f, ", round `{name}`"),
            (name, of) => write!(f, ", round `{name}` ({} of {of})", self.time + 1),
        }
    }
}

/// The first number that was not finite.
pub(super) struct Culprit {
    value: f64,
    place: Place,
    /// The call that made it; none for weights, which were there before the step.
    call: Option<String>,
    /// Of an output: the first statistics inside the node that are not finite, which name the layer.
    inside: Option<String>,
}

enum Place {
    Weight(String),
    Output(String),
    Buffer(String),
    WeightGradient(String),
    InputGradient(String),
    /// Of the gradients of a value that several calls take.
    Sum(String),
}

/// What was noticed, the first number that was not finite, and what to try.
pub(super) fn message(
    program: &Program,
    def: &PhaseDef,
    precision: Precision,
    at: &At<'_>,
    symptom: &Symptom,
    culprit: Option<&Culprit>,
) -> String {
    let part = if at.round.name.is_empty() { "step" } else { "round" };
    let mut text = format!("{at}: {symptom}");
    match (symptom, culprit) {
        (Symptom::Weight(full), _) => {
            let inside = |node: &&String| full.strip_prefix(node.as_str()).is_some_and(|r| r.starts_with('.'));
            if let Some(node) = program.weights.keys().find(inside) {
                text += &format!(", which is a weight of node `{node}`");
            }
        }
        (_, None) => text += &format!("\n  every number that the {part} makes is finite when it is taken again"),
        (_, Some(c)) => {
            let (value, place) = (word(c.value), &c.place);
            let what = match place {
                Place::Weight(name) => format!("weight `{name}`, before the {part}"),
                Place::Output(port) => format!("the output `{port}`"),
                Place::Buffer(name) => format!("the statistics `{name}`"),
                Place::WeightGradient(name) => format!("the gradient of the weight `{name}`"),
                Place::InputGradient(port) => format!("the gradient of the input `{port}`"),
                Place::Sum(name) => format!("the sum of the gradients of {name}, the last of them"),
            };
            text += &format!("\n  the first number that is not finite: {value} in {what}");
            if let Some(call) = &c.call {
                text += &format!(" of {call}");
            }
            if let Some(name) = &c.inside {
                text += &format!("; inside, `{name}` is the first of its statistics that is not finite");
            }
        }
    }
    if !matches!(symptom, Symptom::Weight(_)) {
        text += &format!("\n  the weights are those before this {part}, and nothing was saved since");
    } else {
        text += "\n  nothing was saved since";
    }
    text + "\n  try " + &advice(def, precision, at.step)
}

/// What to try.
fn advice(def: &PhaseDef, precision: Precision, step: u64) -> String {
    let (name, o) = (&def.name, &def.optimizer);
    let mut all = vec![format!(
        "a lower learning rate (phases.{name}.optimizer.lr is {:?})",
        o.lr
    )];
    all.push(match o.clip_norm {
        Some(c) => format!("a lower clip_norm there (it is {c:?})"),
        None => "a bound for the gradient's norm (clip_norm there)".into(),
    });
    if precision != Precision::F32 {
        all.push(format!("precision = \"f32\" (it is {precision})"));
    }
    if step == 0 {
        all.push(
            "other parameters of that node, or other weights to start from: this is the phase's first step".into(),
        );
    }
    let last = all.pop().unwrap_or_default();
    format!("{}, or {last}", all.join(", "))
}

fn word(v: f64) -> &'static str {
    match v {
        v if v.is_nan() => "NaN",
        v if v > 0.0 => "infinity",
        _ => "minus infinity",
    }
}

/// Takes a step again, and finds the first number that is not finite: of its weights, or of what it makes. The weights in
/// `store` are those before the step; what else is in it is used up.
pub(super) fn first(
    program: &Program,
    exec: &mut Exec<'_>,
    store: &mut WeightStore,
    parts: impl Iterator<Item = Result<Part>>,
) -> Result<Option<Culprit>> {
    store.clear_grads();
    for node in program.weights.keys() {
        // Running statistics of what is not frozen were moved by the step itself.
        let before = |role| role != Role::Buffer || program.frozen.contains(node);
        if let Some((name, value)) = odd_weight(program, store, node, before)? {
            return Ok(Some(Culprit {
                value,
                place: Place::Weight(format!("{node}.{name}")),
                call: None,
                inside: None,
            }));
        }
    }
    for part in parts {
        let Part { info, batch, share } = part?;
        let mut found: Option<(Culprit, &str)> = None;
        let mut watch = |call: &Call, seen: Seen<'_>| -> Result<()> {
            if let Some((value, place)) = look(program, call, seen)? {
                let culprit = Culprit {
                    value,
                    place,
                    call: Some(caller(program, call)),
                    inside: None,
                };
                let node = program.weights.keys().find(|n| **n == call.owner);
                found = Some((culprit, node.map_or("", String::as_str)));
                bail!("found");
            }
            Ok(())
        };
        let pass = exec
            .forward(store, info, batch, true, &mut HashMap::new(), Some(&mut watch))
            .and_then(|out| exec.backward(store, info, out, &share, Some(&mut watch)));
        match (found, pass) {
            (Some((mut culprit, node)), _) => {
                if matches!(culprit.place, Place::Output(_)) {
                    culprit.inside = odd_weight(program, store, node, |r| r == Role::Buffer)?.map(|(name, _)| name);
                }
                return Ok(Some(culprit));
            }
            (None, Err(e)) => return Err(e),
            (None, Ok(())) => {}
        }
    }
    Ok(None)
}

/// Looks at something that a call has made.
fn look(program: &Program, call: &Call, seen: Seen<'_>) -> Result<Option<(f64, Place)>> {
    let port = |i: usize| {
        let mut ports = call.inputs.iter().flat_map(|(port, ids)| ids.iter().map(move |_| port));
        ports.nth(i).cloned().unwrap_or_default()
    };
    let buffer = |role| role == Role::Buffer;
    Ok(match seen {
        Seen::Output(i, t) => {
            let port = call.ports.get(i).cloned().unwrap_or_default();
            odd(t)?.map(|v| (v, Place::Output(port)))
        }
        Seen::Forward(store) => odd_weight(program, store, &call.owner, buffer)?.map(|(n, v)| (v, Place::Buffer(n))),
        Seen::Backward(store) => odd_gradient(program, store, &call.owner)?.map(|(n, v)| (v, Place::WeightGradient(n))),
        Seen::Input(i, t) => odd(t)?.map(|v| (v, Place::InputGradient(port(i)))),
        Seen::Sum(id, t) => odd(t)?.map(|v| (v, Place::Sum(format!("`{}`", program.values[id.0].name)))),
    })
}

fn caller(program: &Program, call: &Call) -> String {
    let stream = call.stream.map(|s| format!(" in stream {}", program.streams[s]));
    format!("node `{}` ({}){}", call.node, call.kind, stream.unwrap_or_default())
}

/// The first of a node's weights that is not finite, below the node, with the number.
fn odd_weight(
    program: &Program,
    store: &WeightStore,
    node: &str,
    takes: impl Fn(Role) -> bool,
) -> Result<Option<(String, f64)>> {
    for spec in program
        .weights
        .get(node)
        .into_iter()
        .flatten()
        .filter(|s| takes(s.role))
    {
        let Some(w) = store.get(&format!("{node}.{}", spec.name)) else {
            continue;
        };
        if let Some(v) = odd(&w.value)? {
            return Ok(Some((spec.name.clone(), v)));
        }
    }
    Ok(None)
}

/// As [`odd_weight`], of the gradients. A node's backward pass begins with its last weights.
fn odd_gradient(program: &Program, store: &WeightStore, node: &str) -> Result<Option<(String, f64)>> {
    for spec in program.weights.get(node).into_iter().flatten().rev() {
        let w = store.get(&format!("{node}.{}", spec.name));
        if let Some(g) = w.and_then(|w| w.grad.as_ref())
            && let Some(v) = odd(g)?
        {
            return Ok(Some((spec.name.clone(), v)));
        }
    }
    Ok(None)
}

/// The name of the first weight of all that is not finite.
pub(super) fn broken(store: &WeightStore) -> Result<Option<String>> {
    for (name, w) in store.iter() {
        if odd(&w.value)?.is_some() {
            return Ok(Some(name.clone()));
        }
    }
    Ok(None)
}

/// The first number of a tensor that is not finite. Looks at it on its device, a stretch at a time.
fn odd(t: &Tensor) -> Result<Option<f64>> {
    const STRETCH: usize = 1 << 24;
    if !t.dtype().is_float() {
        return Ok(None);
    }
    let flat = t.flatten_all()?;
    let n = flat.elem_count();
    for at in (0..n).step_by(STRETCH) {
        let part = flat.narrow(0, at, STRETCH.min(n - at))?.to_dtype(DType::F32)?;
        // 0 of what is finite, NaN of all else.
        let zero = (&part * 0.0)?.sum_all()?.to_scalar::<f32>()?;
        if zero.is_nan() {
            let numbers = part.to_vec1::<f32>()?;
            return Ok(numbers.into_iter().find(|v| !v.is_finite()).map(f64::from));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn finds_the_first_number_that_is_not_finite() {
        let mut v = vec![f32::MAX; 1000];
        let tensor = |v: &[f32]| Tensor::from_slice(v, (10, 100), &Device::Cpu).unwrap();
        assert_eq!(odd(&tensor(&v)).unwrap(), None);
        v[700] = f32::NEG_INFINITY;
        v[800] = f32::NAN;
        assert_eq!(odd(&tensor(&v)).unwrap(), Some(f64::NEG_INFINITY));
        assert_eq!(odd(&tensor(&v).t().unwrap()).unwrap(), Some(f64::NEG_INFINITY));
        assert!(odd(&tensor(&v).narrow(0, 8, 2).unwrap()).unwrap().unwrap().is_nan());
        assert_eq!(odd(&tensor(&v).narrow(0, 0, 7).unwrap()).unwrap(), None);
        assert_eq!(odd(&Tensor::new(&[1u32], &Device::Cpu).unwrap()).unwrap(), None);
    }
}

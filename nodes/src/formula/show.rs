//! The typed form of formulas as text.

use super::typed::{Axis, Id, Op, Typed};
use std::fmt::Write;

/// Inputs, names and outputs with their axes, and what is computed as a product of matrices.
pub(super) fn form(typed: &Typed) -> String {
    let mut out = String::new();
    let axes = &typed.axes;
    for (input, differentiable) in typed.inputs.iter().zip(typed.differentiable()) {
        let head = input.head.as_deref().unwrap_or("any");
        let note = if differentiable { "" } else { ", gets no gradient" };
        let _ = writeln!(out, "  {}: {head}{}{note}", input.name, axes.show(&input.axes));
    }
    for text in &typed.texts {
        let name = text.path.split_once('.').map_or(text.path.as_str(), |(_, name)| name);
        let shown = text.value.map(|id| axes.show(&typed.nodes[id].axes));
        // A name of `let` for labels has no value of its own.
        let shown = shown.unwrap_or_else(|| "Label".into());
        let _ = writeln!(out, "  {name}: {shown} = {}", text.text);
    }
    let renamed = axes.names.iter().enumerate().filter(|(i, a)| *i != a.of);
    let runs: Vec<String> = renamed
        .map(|(_, a)| format!("{} over {}", a.name, axes.name(a.of)))
        .collect();
    if !runs.is_empty() {
        let _ = writeln!(out, "  axes: {}", runs.join(", "));
    }
    let needed = typed.needed();
    for id in (0..typed.nodes.len()).filter(|id| needed[*id]) {
        if let Some([rows, inner, columns]) = matrices(typed, id) {
            let matrix = |a: &[Axis], b: &[Axis]| axes.show(&[a, b].concat());
            let (left, right) = (matrix(&rows, &inner), matrix(&inner, &columns));
            let path = &typed.texts[typed.nodes[id].text].path;
            let _ = writeln!(out, "  {path} has the product of matrices {left} · {right}");
        }
    }
    out
}

/// Rows, what is summed over, and columns of an operation that is a product of two matrices.
fn matrices(typed: &Typed, id: Id) -> Option<[Vec<Axis>; 3]> {
    let of = |ids: &[Id]| -> Vec<Axis> { ids.iter().flat_map(|i| typed.nodes[*i].axes.clone()).collect() };
    let (left, right) = match &typed.nodes[id].op {
        Op::Distance(a, b, _) => (of(&[*a]), of(&[*b])),
        Op::Product(groups, _) => {
            let (last, before) = groups.split_last()?;
            (of(&before.concat()), of(last))
        }
        _ => return None,
    };
    let left_over = &typed.nodes[id].axes;
    let only = |a: &[Axis], b: &[Axis]| -> Vec<Axis> {
        let mut found = vec![];
        for axis in a.iter().filter(|x| !b.contains(x) && left_over.contains(x)) {
            if !found.contains(axis) {
                found.push(*axis);
            }
        }
        found
    };
    let mut inner: Vec<Axis> = vec![];
    for axis in left.iter().filter(|x| right.contains(x) && !left_over.contains(x)) {
        if !inner.contains(axis) {
            inner.push(*axis);
        }
    }
    let (rows, columns) = (only(&left, &right), only(&right, &left));
    let all = [rows, inner, columns];
    all.iter().all(|part| !part.is_empty()).then_some(all)
}

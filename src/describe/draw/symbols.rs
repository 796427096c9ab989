//! Types with the graph's names for sizes: `Feature[B,G+L,64]`, where a program has `Feature[B,3,64]`.

use crate::program::{Program, ValueId};
use glad_nodes::{Contract, DimExpr, Registry, Size, Type, TypeExpr, Wiring};
use std::collections::HashMap;

/// The types of a program's values, as text.
pub(super) fn types(program: &Program, registry: &Registry) -> HashMap<ValueId, String> {
    let mut known: HashMap<ValueId, Vec<DimExpr>> = HashMap::new();
    for call in &program.calls {
        let streams = call.joint.as_ref().map_or(1, Vec::len).max(1);
        let count = call
            .inputs
            .iter()
            .map(|(port, ids)| (port.clone(), ids.len() / streams))
            .collect();
        let node = registry.get(call.kind).and_then(|k| k.parse(&call.params).ok());
        let contract = node.map(|n| n.contract(&Wiring { count }));
        let names = contract
            .as_ref()
            .map(|c| bind(c, call, streams, &known))
            .unwrap_or_default();
        for (i, id) in call.outputs.iter().enumerate() {
            let Some(id) = id else { continue };
            let ty = &program.values[id.0].ty;
            let port = &call.ports[i];
            let output = contract
                .as_ref()
                .and_then(|c| c.outputs.iter().find(|o| o.name == *port));
            let written = output.and_then(|o| names.apply(&o.ty)).unwrap_or_default();
            known.insert(*id, held_to(written, ty, program));
        }
    }
    known
        .into_iter()
        .map(|(id, dims)| (id, text(program.values[id.0].ty.head.name(), &dims)))
        .collect()
}

/// What a contract's own names stand for.
#[derive(Default)]
struct Names {
    locals: HashMap<String, DimExpr>,
    rests: HashMap<String, Vec<DimExpr>>,
}

fn bind(c: &Contract, call: &crate::program::Call, streams: usize, known: &HashMap<ValueId, Vec<DimExpr>>) -> Names {
    let mut n = Names::default();
    for (port, ids) in &call.inputs {
        let Some(input) = c.inputs.iter().find(|i| i.name == *port) else {
            continue;
        };
        for (i, id) in ids.iter().take(ids.len() / streams).enumerate() {
            let pattern = input.types.get(i).or(input.types.first());
            if let (Some(pattern), Some(dims)) = (pattern, known.get(id)) {
                n.take(pattern, dims);
            }
        }
    }
    n
}

impl Names {
    fn take(&mut self, pattern: &TypeExpr, dims: &[DimExpr]) {
        for (p, d) in pattern.dims.iter().zip(dims) {
            if let DimExpr::Local(name) = p {
                let old = self.locals.entry(name.clone()).or_insert_with(|| d.clone());
                // A name is more informative than a number.
                if matches!(old, DimExpr::Number(_)) {
                    *old = d.clone();
                }
            }
        }
        if let Some(rest) = &pattern.rest {
            let tail = dims.get(pattern.dims.len()..).unwrap_or_default().to_vec();
            self.rests.entry(rest.clone()).or_insert(tail);
        }
    }

    fn apply(&self, ty: &TypeExpr) -> Option<Vec<DimExpr>> {
        let mut dims = ty.dims.iter().map(|d| self.dim(d)).collect::<Option<Vec<_>>>()?;
        if let Some(rest) = &ty.rest {
            dims.extend(self.rests.get(rest)?.iter().cloned());
        }
        Some(dims)
    }

    fn dim(&self, d: &DimExpr) -> Option<DimExpr> {
        let all = |v: &[DimExpr]| v.iter().map(|e| self.dim(e)).collect::<Option<Vec<_>>>();
        Some(match d {
            DimExpr::Local(n) => self.locals.get(n)?.clone(),
            DimExpr::Sum(v) => {
                let mut terms = vec![];
                for t in all(v)? {
                    match t {
                        DimExpr::Sum(inner) => terms.extend(inner),
                        t => terms.push(t),
                    }
                }
                match terms.iter().all(|t| *t == terms[0]) {
                    true if terms.len() > 1 => DimExpr::Product(vec![DimExpr::Number(terms.len()), terms.remove(0)]),
                    _ => DimExpr::Sum(terms),
                }
            }
            DimExpr::Product(v) => DimExpr::Product(all(v)?),
            DimExpr::Factorial(e) => DimExpr::Factorial(Box::new(self.dim(e)?)),
            d => d.clone(),
        })
    }
}

/// The symbols where they agree with the sizes that the checker found, else those sizes.
fn held_to(written: Vec<DimExpr>, ty: &Type, program: &Program) -> Vec<DimExpr> {
    let plain = |s: &Size| match s {
        Size::Known(n) => DimExpr::Number(*n),
        Size::Batch(1) => DimExpr::Batch,
        Size::Batch(n) => DimExpr::Product(vec![DimExpr::Number(*n), DimExpr::Batch]),
        Size::Ragged => DimExpr::Ragged,
    };
    ty.dims
        .iter()
        .enumerate()
        .map(|(i, size)| match written.get(i) {
            Some(d) if written.len() == ty.dims.len() && d.eval(&program.dims).as_ref() == Ok(size) => d.clone(),
            _ => plain(size),
        })
        .collect()
}

fn text(head: &str, dims: &[DimExpr]) -> String {
    let dims: Vec<String> = dims.iter().map(DimExpr::to_string).collect();
    format!("{head}[{}]", dims.join(","))
}

//! What a value of a program is computed from.

use crate::program::{Program, ValueId};
use std::collections::BTreeSet;

/// The calls that compute some values, with all calls before these.
pub(super) fn makers(program: &Program, of: &[ValueId]) -> BTreeSet<usize> {
    let mut found = BTreeSet::new();
    let mut asked: Vec<usize> = of.iter().map(|v| program.values[v.0].call).collect();
    while let Some(call) = asked.pop() {
        if found.insert(call) {
            let inputs = program.calls[call].inputs.iter().flat_map(|(_, ids)| ids);
            asked.extend(inputs.map(|v| program.values[v.0].call));
        }
    }
    found
}

/// The values at a port of a call.
pub(super) fn at<'p>(program: &'p Program, call: usize, port: &str) -> &'p [ValueId] {
    let inputs = &program.calls[call].inputs;
    inputs.iter().find(|(n, _)| n == port).map_or(&[], |(_, ids)| ids)
}

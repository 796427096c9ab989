//! What the weights of networks start from, where a graph has to state it.

use super::absent::{left_out, runs};
use crate::diag::{Problem, shown};
use crate::graph::Graph;
use crate::program::{Checked, Program};
use glad_nodes::{Body, StartsFrom};
use std::collections::BTreeMap;
use std::path::Path;

/// Hexadecimal digits shown of a file's hash.
const DIGITS: usize = 12;

/// The nodes of these programs that have this choice, each once, with what they start from.
fn choices<'c>(graph: &Graph, programs: impl Iterator<Item = &'c Program>) -> BTreeMap<&'c str, StartsFrom<'c>> {
    let of_program = |program: &'c Program| {
        program
            .calls
            .iter()
            .filter(|call| call.owner == call.node && graph.copied(&call.owner).is_none())
            .filter_map(|call| match &program.bodies[call.body] {
                Body::Compute(compute) => Some((call.node.as_str(), compute.starts_from()?)),
                _ => None,
            })
    };
    programs.flat_map(of_program).collect()
}

/// Adds a note for each node of these programs that has to state what its weights start from and does not.
pub fn not_given<'c>(graph: &Graph, programs: impl Iterator<Item = &'c Program>) -> Vec<Problem> {
    let note = |node: &str| {
        Problem::note(format!("`{node}` starts from: not given"))
            .at(&graph.nodes[node].place, "has no `init`")
            .help(
                "say what its weights start from: `init = \"FILE\"` for published weights (the README says which fit), or \
                 `init = \"random\"`; a run needs one of them",
            )
    };
    let choices = choices(graph, programs);
    let open = choices.iter().filter(|(_, from)| **from == StartsFrom::NotGiven);
    open.map(|(node, _)| note(node)).collect()
}

/// What the weights of each node of a run start from, in words: `random`, or a file's name with the hash of its content.
pub fn starts_from(graph: &Graph, checked: &Checked) -> BTreeMap<String, String> {
    let left_out = left_out(graph, checked);
    let taken = |p: &&Program| left_out.iter().all(|(name, _)| *name != p.name);
    let words = |from: StartsFrom<'_>| match from {
        StartsFrom::NotGiven => "not given".to_string(),
        StartsFrom::Random => "random".to_string(),
        StartsFrom::File(path) => file(path),
    };
    choices(graph, runs(graph, checked).filter(taken))
        .into_iter()
        .map(|(node, from)| (node.to_string(), words(from)))
        .collect()
}

fn file(path: &Path) -> String {
    let name = path
        .file_name()
        .map_or_else(|| shown(path), |n| n.to_string_lossy().into_owned());
    match hash(path) {
        Ok(hash) => format!("{name} (blake3 {hash})"),
        Err(why) => format!("{name} ({why})"),
    }
}

/// The beginning of the hash of a file's content.
fn hash(path: &Path) -> Result<String, &'static str> {
    let there = std::fs::metadata(path).map_err(|_| "not there")?;
    if !there.is_file() {
        return Err("not a file");
    }
    let mut hash = blake3::Hasher::new();
    let read = glad_video::open_file(path).and_then(|f| hash.update_reader(f).map(drop));
    read.map_err(|_| "cannot be read")?;
    Ok(hash.finalize().to_hex()[..DIGITS].to_string())
}

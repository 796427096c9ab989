//! Checks of optimisers beyond their keys.

use crate::diag::Problem;
use crate::graph::OptimizerDef;
use crate::keys::{Rules, Sub, Value};
use crate::tree::{Out, Tree, TreeValue};

/// Reads `phases.X.optimizer`.
pub(super) fn optimizer(at: &str, t: &Tree, out: &mut Out) -> Option<OptimizerDef> {
    let mut t = t.clone();
    let none = |c: &&Tree| matches!(c.value, TreeValue::Float(0.0) | TreeValue::Integer(0));
    if let Some(c) = t.get("clip_norm").filter(none) {
        let p = Problem::error(format!("`{at}.clip_norm` of 0 leaves no gradient")).at(&c.place, "here");
        out.push(p.help("without clipping, leave the key out"));
        t.entries_mut()?.shift_remove("clip_norm");
    }
    if t.entries().is_some_and(|keys| !keys.contains_key("lr")) {
        out.push(Problem::error(format!("`{at}` has no learning rate")).at(&t.key, "it needs `lr = …`"));
    }
    Sub::read(at, &t, &Rules::NONE, out).map(|Sub(optimizer)| optimizer)
}

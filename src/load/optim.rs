//! Checks of optimisers beyond their keys.

use crate::diag::Problem;
use crate::graph::{OptimizerDef, OptimizerKind};
use crate::keys::{Rules, Sub, Value, Word};
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
    others_keys(at, &mut t, out);
    Sub::<OptimizerDef>::read(at, &t, &Rules::NONE, out).map(|Sub(mut optimizer)| {
        optimizer.fill();
        optimizer
    })
}

/// Reports keys that only other optimisers have, and takes them away.
fn others_keys(at: &str, t: &mut Tree, out: &mut Out) {
    let written = t.get("kind").cloned();
    let kind = match &written {
        None => Some(OptimizerKind::default()),
        Some(k) => (OptimizerKind::ALL.iter().copied()).find(|w| Some(w.word()) == k.text()),
    };
    // Of an optimiser that there is not, nothing is known.
    let Some(kind) = kind else { return };
    let Some(keys) = t.entries_mut() else { return };
    for key in OptimizerKind::ALL.iter().flat_map(|other| other.own_keys()) {
        if kind.own_keys().contains(key) {
            continue;
        }
        let Some(value) = keys.shift_remove(*key) else { continue };
        let having: Vec<String> = (OptimizerKind::ALL.iter().filter(|k| k.own_keys().contains(key)))
            .map(|k| format!("`{}`", k.word()))
            .collect();
        let (word, having) = (kind.word(), having.join(" and "));
        let p = Problem::error(format!(
            "`{at}.{key}` is a key of {having}, and this optimizer is `{word}`"
        ))
        .at(&value.key, format!("`{word}` has no such key"));
        let p = match &written {
            Some(k) => p.at(&k.place, "this optimizer"),
            None => p,
        };
        let mut help = match (*key, kind) {
            ("momentum", _) => {
                "leave it out: the first of `betas` (0.9 by default) takes the place of momentum".to_owned()
            }
            (_, OptimizerKind::Sgd) => "leave it out, or write `kind = \"adam\"` or `kind = \"adamw\"`".to_owned(),
            _ => "leave it out".to_owned(),
        };
        // What a layer below writes cannot be left out here.
        if written.as_ref().is_some_and(|k| k.place.file != value.key.file) {
            help += &format!("; a layer below writes it: `drop = [\"{at}.{key}\"]`");
        }
        out.push(p.help(help));
    }
}

//! Optimisers and schedules.

use super::read::Out;
use crate::diag::{Place, Problem, Spanned, suggest};
use crate::graph::{GroupDef, OptimizerDef, ScheduleDef};
use crate::tree::Tree;
use glad_nodes::Role;
use indexmap::IndexMap;

const KEYS: [&str; 9] = [
    "kind",
    "lr",
    "momentum",
    "weight_decay",
    "nesterov",
    "clip_norm",
    "warmup_steps",
    "schedule",
    "groups",
];
const GROUP_KEYS: [&str; 4] = ["nodes", "roles", "lr_scale", "weight_decay"];
/// Roles by the names that graphs give them.
pub(super) const ROLES: [(&str, Role); 3] = [("weight", Role::Weight), ("bias", Role::Bias), ("norm", Role::Norm)];

/// Reads `phases.X.optimizer`.
pub(super) fn optimizer(name: &str, t: &Tree, out: &mut Out) -> Option<OptimizerDef> {
    let table = out.table(name, t)?;
    out.unknown_keys(&format!("`{name}`"), table, &KEYS);
    if let Some(kind) = table.get("kind").and_then(|t| out.string(&format!("{name}.kind"), t)) {
        choice(&kind, "optimizer", &["sgd"], out);
    }
    let mut number = |key: &str, default: f64| match table.get(key) {
        Some(t) => out
            .number_from(&format!("{name}.{key}"), t, 0.0)
            .map_or(default, |n| n.value),
        None => default,
    };
    let (lr, momentum, weight_decay) = (number("lr", 0.0), number("momentum", 0.0), number("weight_decay", 0.0));
    if !table.contains_key("lr") {
        let p = Problem::error(format!("`{name}` has no learning rate")).at(&t.key, "it needs `lr = …`");
        out.push(p);
    }
    if let Some(m) = table.get("momentum").filter(|_| momentum >= 1.0) {
        out.push(
            Problem::error(format!("`{name}.momentum` is {momentum}, and has to be below 1")).at(&m.place, "here"),
        );
    }
    let clip_norm = table
        .get("clip_norm")
        .and_then(|t| out.number_from(&format!("{name}.clip_norm"), t, 0.0));
    if let Some(c) = clip_norm.as_ref().filter(|c| c.value == 0.0) {
        let p = Problem::error(format!("`{name}.clip_norm` of 0 leaves no gradient")).at(&c.place, "here");
        out.push(p.help("without clipping, leave the key out"));
    }
    let nesterov = table
        .get("nesterov")
        .and_then(|t| out.boolean(&format!("{name}.nesterov"), t));
    let warmup = table
        .get("warmup_steps")
        .and_then(|t| out.count(&format!("{name}.warmup_steps"), t, 0));
    let schedule = table
        .get("schedule")
        .and_then(|t| schedule(&format!("{name}.schedule"), t, out));
    let groups = table
        .get("groups")
        .and_then(|t| out.list(&format!("{name}.groups"), t))
        .unwrap_or_default();
    let groups = groups
        .iter()
        .filter_map(|t| group(&format!("{name}.groups"), t, out))
        .collect();
    Some(OptimizerDef {
        lr,
        momentum,
        weight_decay,
        nesterov: nesterov.unwrap_or(false),
        clip_norm: clip_norm.map(|c| c.value),
        warmup_steps: warmup.map_or(0, |w| w.value),
        schedule: schedule.unwrap_or(ScheduleDef::Constant),
        groups,
        place: Some(t.key.clone()),
    })
}

/// Reads `schedule`: a table with a kind, or a kind alone.
fn schedule(name: &str, t: &Tree, out: &mut Out) -> Option<ScheduleDef> {
    let empty = IndexMap::new();
    let (kind, table) = match t.text() {
        Some(_) => (out.string(name, t)?, &empty),
        None => {
            let table = out.table(name, t)?;
            let Some(kind) = table.get("kind") else {
                let p = Problem::error(format!("`{name}` has no kind")).at(&t.place, "it needs `kind = …`");
                out.push(p.help("kinds: constant, step, cosine"));
                return None;
            };
            (out.string(&format!("{name}.kind"), kind)?, table)
        }
    };
    let of = format!("a schedule of kind `{}`", kind.value);
    match choice(&kind, "schedule", &["constant", "step", "cosine"], out)? {
        "constant" => {
            out.unknown_keys(&of, table, &["kind"]);
            Some(ScheduleDef::Constant)
        }
        "step" => {
            out.unknown_keys(&of, table, &["kind", "at", "gamma"]);
            let gamma = needed(name, "gamma", table, &kind.place, out)?;
            let gamma = out.number_from(&format!("{name}.gamma"), gamma, 0.0)?.value;
            let at = needed(name, "at", table, &kind.place, out)?;
            let mut steps: Vec<usize> = vec![];
            for t in out.list(&format!("{name}.at"), at)? {
                let n = out.count(&format!("items of {name}.at"), t, 0)?;
                if steps.last().is_some_and(|last| *last >= n.value) {
                    let p = Problem::error(format!("`{name}.at` has to rise")).at(&n.place, "not above the one before");
                    out.push(p);
                }
                steps.push(n.value);
            }
            Some(ScheduleDef::Step { at: steps, gamma })
        }
        _ => {
            out.unknown_keys(&of, table, &["kind", "end"]);
            let end = table
                .get("end")
                .and_then(|t| out.number_from(&format!("{name}.end"), t, 0.0));
            Some(ScheduleDef::Cosine {
                end: end.map_or(0.0, |e| e.value),
            })
        }
    }
}

fn needed<'t>(
    name: &str,
    key: &str,
    table: &'t IndexMap<String, Tree>,
    kind: &Place,
    out: &mut Out,
) -> Option<&'t Tree> {
    let value = table.get(key);
    if value.is_none() {
        out.push(Problem::error(format!("`{name}` has no `{key}`")).at(kind, "this kind needs it"));
    }
    value
}

fn group(name: &str, t: &Tree, out: &mut Out) -> Option<GroupDef> {
    let table = out.table(name, t)?;
    out.unknown_keys(&format!("a group of `{name}`"), table, &GROUP_KEYS);
    let nodes = table
        .get("nodes")
        .and_then(|t| out.names(&format!("{name}.nodes"), t))
        .unwrap_or_default();
    let mut roles = vec![];
    for role in table
        .get("roles")
        .and_then(|t| out.names(&format!("{name}.roles"), t))
        .unwrap_or_default()
    {
        let names = ROLES.map(|r| r.0);
        if let Some(known) = choice(&role, "role", &names, out) {
            roles.extend(ROLES.iter().find(|r| r.0 == known).map(|r| r.1));
        }
    }
    let scale = table
        .get("lr_scale")
        .and_then(|t| out.number_from(&format!("{name}.lr_scale"), t, 0.0));
    let decay = table
        .get("weight_decay")
        .and_then(|t| out.number_from(&format!("{name}.weight_decay"), t, 0.0));
    Some(GroupDef {
        nodes,
        roles,
        lr_scale: scale.map_or(1.0, |s| s.value),
        weight_decay: decay.map(|d| d.value),
    })
}

/// One of `known`; anything else is told.
pub(super) fn choice<'k>(text: &Spanned<String>, what: &str, known: &[&'k str], out: &mut Out) -> Option<&'k str> {
    let found = known.iter().find(|k| **k == text.value).copied();
    if found.is_none() {
        let p = Problem::error(format!("unknown {what} `{}`", text.value)).at(&text.place, format!("no such {what}"));
        out.push(p.help(suggest(&text.value, &format!("{what}s"), known.iter().copied())));
    }
    found
}

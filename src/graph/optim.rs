//! A phase's optimiser, as written.

use crate::diag::{Problem, Spanned};
use crate::keys::{Rules, Value, Word, Words, schema, table};
use crate::tree::{Out, Tree, TreeValue, Written, list, string};
use glad_nodes::Role;
use indexmap::IndexMap;
use serde_json::{Value as Json, json};

/// An optimiser.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OptimizerKind {
    /// SGD with momentum, as PyTorch defines it.
    #[default]
    Sgd,
}

impl Word for OptimizerKind {
    const WHAT: &'static str = "optimizer";
    const ALL: &'static [OptimizerKind] = &[OptimizerKind::Sgd];

    fn word(self) -> &'static str {
        match self {
            OptimizerKind::Sgd => "sgd",
        }
    }
}

table! {
    /// SGD with momentum, as PyTorch defines it.
    pub struct OptimizerDef as "optimizer" {
        /// The optimiser.
        kind: OptimizerKind;
        /// Learning rate before schedule and groups.
        lr: f64, [least = 0.0];
        /// 0 is plain SGD.
        momentum: f64, [least = 0.0, below = 1.0];
        /// L2 added to the gradient.
        weight_decay: f64, [least = 0.0];
        /// Nesterov's form.
        nesterov: bool;
        /// The gradient's largest L2 norm over all weights.
        clip_norm: Option<f64>, [above = 0.0];
        /// Steps over which the rate rises from 0: `lr · min(1, (step + 1) / warmup_steps)`.
        warmup_steps: usize, [omit = 0.0];
        /// The schedule of the learning rate.
        schedule: ScheduleDef = ScheduleDef::Constant;
        /// Learning rates and weight decays of parts of the weights; the first group that matches a weight applies.
        groups: Vec<GroupDef>;
    }
}

table! {
    /// A parameter group.
    pub struct GroupDef as "group" {
        /// Nodes or composites; default: all.
        nodes: Vec<Spanned<String>>;
        /// Which of their weights; default: all.
        roles: Words<Role>;
        /// Factor of the learning rate.
        lr_scale: f64 = 1.0, [least = 0.0];
        /// Replaces the optimiser's.
        weight_decay: Option<f64>, [least = 0.0];
    }
}

/// The schedule of the learning rate.
#[derive(Clone, Debug, PartialEq)]
pub enum ScheduleDef {
    /// Constant.
    Constant,
    /// Times `gamma` at each of these epochs (or steps, where the phase is given in steps).
    Step {
        /// Epochs (or steps) at which the rate falls.
        at: Vec<usize>,
        /// The factor.
        gamma: f64,
    },
    /// Half a cosine to `end · lr`, over the phase.
    Cosine {
        /// The final share of the rate.
        end: f64,
    },
}

#[derive(Clone, Copy)]
enum Kind {
    Constant,
    Step,
    Cosine,
}

impl Word for Kind {
    const WHAT: &'static str = "schedule";
    const ALL: &'static [Kind] = &[Kind::Constant, Kind::Step, Kind::Cosine];

    fn word(self) -> &'static str {
        match self {
            Kind::Constant => "constant",
            Kind::Step => "step",
            Kind::Cosine => "cosine",
        }
    }
}

/// A table with a kind, or a kind alone.
impl Value for ScheduleDef {
    fn read(at: &str, t: &Tree, _: &Rules, out: &mut Out) -> Option<Self> {
        let none = IndexMap::new();
        let (kind, table) = match t.text() {
            Some(_) => (t, &none),
            None => {
                let table = out.table(at, t)?;
                let Some(kind) = table.get("kind") else {
                    let p = Problem::error(format!("`{at}` has no kind")).at(&t.place, "it needs `kind = …`");
                    out.push(p.help("kinds: constant, step, cosine"));
                    return None;
                };
                (kind, table)
            }
        };
        let path = if t.text().is_some() {
            at.to_owned()
        } else {
            format!("{at}.kind")
        };
        let word = Kind::read(&path, kind, &Rules::NONE, out)?;
        let mut keys = |known: &[&str]| {
            out.unknown_keys(&format!("a schedule of kind `{}`", word.word()), table, known);
        };
        let positive = Rules {
            least: Some(0.0),
            ..Rules::NONE
        };
        match word {
            Kind::Constant => {
                keys(&["kind"]);
                Some(ScheduleDef::Constant)
            }
            Kind::Step => {
                keys(&["kind", "at", "gamma"]);
                let needed = |key: &str, out: &mut Out| {
                    let value = table.get(key);
                    if value.is_none() {
                        let p = Problem::error(format!("`{at}` has no `{key}`"));
                        out.push(p.at(&kind.place, "this kind needs it"));
                    }
                    value
                };
                let gamma = f64::read(&format!("{at}.gamma"), needed("gamma", out)?, &positive, out)?;
                let steps = rising(&format!("{at}.at"), needed("at", out)?, out)?;
                Some(ScheduleDef::Step { at: steps, gamma })
            }
            Kind::Cosine => {
                keys(&["kind", "end"]);
                let end = table
                    .get("end")
                    .and_then(|t| f64::read(&format!("{at}.end"), t, &positive, out));
                Some(ScheduleDef::Cosine {
                    end: end.unwrap_or(0.0),
                })
            }
        }
    }

    fn write(&self, _: &Rules) -> Option<TreeValue> {
        let mut to = Written::nowhere();
        match self {
            ScheduleDef::Constant => to.put("kind", string("constant")),
            ScheduleDef::Step { at, gamma } => {
                to.put("kind", string("step"));
                to.put("at", list(at.iter().map(|n| TreeValue::Integer(*n as i64))));
                to.put("gamma", TreeValue::Float(*gamma));
            }
            ScheduleDef::Cosine { end } => {
                to.put("kind", string("cosine"));
                to.put("end", TreeValue::Float(*end));
            }
        }
        Some(to.tree().value)
    }

    fn schema(doc: &str, _: &Rules) -> Json {
        let positive = Rules {
            least: Some(0.0),
            ..Rules::NONE
        };
        let by = |kind: &str, doc: &str, more: &[(&str, Json)]| {
            let mut keys: serde_json::Map<_, _> = more.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect();
            keys.insert("kind".into(), json!({ "const": kind }));
            schema::object(doc, keys, json!(false))
        };
        let at = json!({
            "type": "array",
            "items": usize::schema("An epoch or a step.", &Rules::NONE),
            "description": "Epochs at which the rate falls (or steps, where the phase is given in steps).",
        });
        let gamma = f64::schema("The factor.", &positive);
        let end = f64::schema("The share of the rate at the end.", &positive);
        json!({ "description": doc, "anyOf": [
            schema::one_of(&["constant", "cosine"], "A schedule without parameters."),
            by("constant", "The rate stays.", &[]),
            by("step", "Times `gamma` at each of `at`.", &[("at", schema::or_param(at)), ("gamma", gamma)]),
            by("cosine", "Half a cosine to `end` times the rate, over the phase.", &[("end", end)]),
        ] })
    }
}

/// Whole numbers, each above the one before.
fn rising(at: &str, t: &Tree, out: &mut Out) -> Option<Vec<usize>> {
    let mut steps: Vec<usize> = vec![];
    for t in out.list(at, t)? {
        let n = usize::read(&format!("items of {at}"), t, &Rules::NONE, out)?;
        if steps.last().is_some_and(|last| *last >= n) {
            let p = Problem::error(format!("`{at}` has to rise"));
            out.push(p.at(&t.place, "not above the one before"));
        }
        steps.push(n);
    }
    Some(steps)
}

//! The schedule of a phase's learning rate, as written.

use crate::diag::Problem;
use crate::keys::{Rules, Table, Value, Word, schema, table};
use crate::tree::{Out, Tree, TreeValue, Written, list, string};
use indexmap::IndexMap;
use serde_json::{Value as Json, json};

/// The schedule of the learning rate.
#[derive(Clone, Debug)]
pub enum ScheduleDef {
    /// Constant.
    Constant,
    /// Falls at some epochs or steps.
    Step(StepDef),
    /// Half a cosine.
    Cosine(CosineDef),
    /// A straight line.
    Linear(LinearDef),
    /// A power of the progress of the phase, or of the number of steps.
    Inverse(InverseDef),
}

table! {
    /// Times `gamma` at each of `at`.
    pub struct StepDef as "step schedule" {
        /// Epochs at which the rate falls (or steps, where the phase is given in steps, or `per` says so).
        at: Rising;
        /// The factor.
        gamma: f64, [least = 0.0];
        /// The unit of `at`; default: that of the phase's length.
        per: Option<Per>;
    }
}

table! {
    /// Half a cosine to `end` times the rate, over the phase.
    pub struct CosineDef as "cosine schedule" {
        /// The share of the rate at the end.
        end: f64, [least = 0.0];
        /// When the rate changes: at each step (the default), or at the beginning of each epoch.
        per: Option<Per>;
    }
}

table! {
    /// A straight line to `end` times the rate, over the phase.
    pub struct LinearDef as "linear schedule" {
        /// The share of the rate at the end.
        end: f64, [least = 0.0];
        /// When the rate changes: at each step (the default), or at the beginning of each epoch.
        per: Option<Per>;
    }
}

table! {
    /// `(1 + gamma · x)^(−power)` times the rate, x the progress of the phase from 0 to 1 (DANN, Ganin et al., JMLR
    /// 2016: `gamma` 10, `power` 0.75) or the number of steps so far.
    pub struct InverseDef as "inverse schedule" {
        /// How fast the rate falls.
        gamma: f64, [least = 0.0];
        /// The power; 0.75 by default.
        power: f64 = 0.75, [least = 0.0];
        /// What x is: the progress of the `phase` (the default), or the number of `steps`.
        over: Over;
        /// When the rate changes: at each step (the default), or at the beginning of each epoch.
        per: Option<Per>;
    }
}

/// A unit of a schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Per {
    /// Optimiser steps.
    Step,
    /// Passes over the data.
    Epoch,
}

impl Word for Per {
    const WHAT: &'static str = "unit";
    const ALL: &'static [Per] = &[Per::Step, Per::Epoch];

    fn word(self) -> &'static str {
        match self {
            Per::Step => "step",
            Per::Epoch => "epoch",
        }
    }
}

/// What an inverse schedule is a function of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Over {
    /// The progress of the phase, from 0 to 1.
    #[default]
    Phase,
    /// The number of steps so far.
    Steps,
}

impl Word for Over {
    const WHAT: &'static str = "measure";
    const ALL: &'static [Over] = &[Over::Phase, Over::Steps];

    fn word(self) -> &'static str {
        match self {
            Over::Phase => "phase",
            Over::Steps => "steps",
        }
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Constant,
    Step,
    Cosine,
    Linear,
    Inverse,
}

impl Word for Kind {
    const WHAT: &'static str = "schedule";
    const ALL: &'static [Kind] = &[Kind::Constant, Kind::Step, Kind::Cosine, Kind::Linear, Kind::Inverse];

    fn word(self) -> &'static str {
        match self {
            Kind::Constant => "constant",
            Kind::Step => "step",
            Kind::Cosine => "cosine",
            Kind::Linear => "linear",
            Kind::Inverse => "inverse",
        }
    }
}

impl ScheduleDef {
    /// Its `per`.
    pub fn per(&self) -> Option<Per> {
        match self {
            ScheduleDef::Constant => None,
            ScheduleDef::Step(s) => s.per,
            ScheduleDef::Cosine(s) => s.per,
            ScheduleDef::Linear(s) => s.per,
            ScheduleDef::Inverse(s) => s.per,
        }
    }
}

/// The keys of a schedule of this kind; `None` if a required one is missing.
fn keys<T: Table>(
    at: &str,
    kind: (Kind, &Tree),
    table: &IndexMap<String, Tree>,
    needed: &[&str],
    out: &mut Out,
) -> Option<T> {
    let mut known = vec!["kind"];
    known.extend(T::names());
    out.unknown_keys(&format!("a schedule of kind `{}`", kind.0.word()), table, &known);
    let missing: Vec<_> = needed.iter().filter(|k| !table.contains_key(**k)).collect();
    for key in &missing {
        let p = Problem::error(format!("`{at}` has no `{key}`"));
        out.push(p.at(&kind.1.place, "this kind needs it"));
    }
    let read = T::read(&format!("{at}."), table, out);
    missing.is_empty().then_some(read)
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
                    let kinds: Vec<&str> = Kind::ALL.iter().map(|k| k.word()).collect();
                    out.push(p.help(format!("kinds: {}", kinds.join(", "))));
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
        let of = (word, kind);
        Some(match word {
            Kind::Constant => {
                out.unknown_keys("a schedule of kind `constant`", table, &["kind"]);
                ScheduleDef::Constant
            }
            Kind::Step => ScheduleDef::Step(keys(at, of, table, &["at", "gamma"], out)?),
            Kind::Cosine => ScheduleDef::Cosine(keys(at, of, table, &[], out)?),
            Kind::Linear => ScheduleDef::Linear(keys(at, of, table, &[], out)?),
            Kind::Inverse => ScheduleDef::Inverse(keys(at, of, table, &["gamma"], out)?),
        })
    }

    fn write(&self, _: &Rules) -> Option<TreeValue> {
        let mut to = Written::nowhere();
        let mut kind = |k: Kind| to.put("kind", string(k.word()));
        match self {
            ScheduleDef::Constant => kind(Kind::Constant),
            ScheduleDef::Step(s) => {
                kind(Kind::Step);
                s.write(&mut to);
            }
            ScheduleDef::Cosine(s) => {
                kind(Kind::Cosine);
                s.write(&mut to);
            }
            ScheduleDef::Linear(s) => {
                kind(Kind::Linear);
                s.write(&mut to);
            }
            ScheduleDef::Inverse(s) => {
                kind(Kind::Inverse);
                s.write(&mut to);
            }
        }
        Some(to.tree().value)
    }

    fn schema(doc: &str, _: &Rules) -> Json {
        fn by<T: Table>(kind: Kind, needed: &[&str]) -> Json {
            let mut keys = T::properties();
            keys.insert("kind".into(), json!({ "const": kind.word() }));
            let mut made = schema::object(&schema::sentence(T::DOC), keys, json!(false));
            let needed: Vec<&str> = ["kind"].iter().chain(needed).copied().collect();
            made["required"] = json!(needed);
            made
        }
        let constant: serde_json::Map<_, _> = [("kind".into(), json!({ "const": "constant" }))].into_iter().collect();
        json!({ "description": doc, "anyOf": [
            schema::one_of(&["constant", "cosine", "linear"], "A schedule without parameters."),
            schema::object("The rate stays.", constant, json!(false)),
            by::<StepDef>(Kind::Step, &["at", "gamma"]),
            by::<CosineDef>(Kind::Cosine, &[]),
            by::<LinearDef>(Kind::Linear, &[]),
            by::<InverseDef>(Kind::Inverse, &["gamma"]),
        ] })
    }
}

/// Whole numbers, each above the one before.
#[derive(Clone, Debug, Default)]
pub struct Rising(pub Vec<usize>);

impl Value for Rising {
    fn read(at: &str, t: &Tree, _: &Rules, out: &mut Out) -> Option<Self> {
        let mut steps: Vec<usize> = vec![];
        for t in out.list(at, t)? {
            let n = usize::read(&format!("items of {at}"), t, &Rules::NONE, out)?;
            if steps.last().is_some_and(|last| *last >= n) {
                let p = Problem::error(format!("`{at}` has to rise"));
                out.push(p.at(&t.place, "not above the one before"));
            }
            steps.push(n);
        }
        Some(Rising(steps))
    }

    fn write(&self, _: &Rules) -> Option<TreeValue> {
        Some(list(self.0.iter().map(|n| TreeValue::Integer(*n as i64))))
    }

    fn schema(doc: &str, _: &Rules) -> Json {
        let items = usize::schema("An epoch or a step.", &Rules::NONE);
        schema::or_param(json!({ "type": "array", "items": items, "description": doc }))
    }
}

//! Whose weights a node has, where it has none of its own making.

use crate::diag::{Problem, Spanned};
use crate::keys::{Rules, Value, Word, schema};
use crate::tree::{Out, Tree, TreeValue, Written, string};
use glad_nodes::{Change, Schedule, Scheduled};
use serde_json::{Value as Json, json};

/// `weights` of a node: `"node"` for those of that node, or `{ of = "node", ema = 0.99 }` for a copy that follows them.
#[derive(Clone, Debug)]
pub struct WeightsKeys {
    /// The other node.
    pub of: Spanned<String>,
    /// Of a copy: the share of itself that each update leaves in it.
    pub ema: Option<Ema>,
}

/// What a node's weights are a copy of.
#[derive(Clone, Debug)]
pub struct CopyDef {
    /// The path of the other node, which has weights of its own.
    pub of: Spanned<String>,
    /// After each step that updates the other's weights `w` (in rounds, after the last one) the copy is `ema · copy + (1 − ema) · w`:
    /// from 0 to 1, at which it stays.
    pub ema: Ema,
}

/// The share of itself that an update leaves in a copy.
#[derive(Clone, Debug)]
pub struct Ema(pub Spanned<Scheduled>);

impl Ema {
    /// Whether it is this number throughout.
    pub fn is(&self, share: f64) -> bool {
        self.0.value == Scheduled::Number(share)
    }
}

/// The share at a fraction `progress` of the phase, after `step` steps.
pub fn ema_at(ema: &Scheduled, progress: f64, step: u64) -> f64 {
    match *ema {
        Scheduled::Number(share) => share,
        Scheduled::Changing(Change { from, to, schedule }) => from + schedule.strength(progress, step) * (to - from),
    }
}

/// In words: `0.99`, or `0.9 to 0.999 (linear)`.
pub fn ema_shown(ema: &Scheduled) -> String {
    match ema {
        Scheduled::Number(share) => format!("{share:?}"),
        Scheduled::Changing(c) => format!("{:?} to {:?} ({})", c.from, c.to, c.schedule.word()),
    }
}

const CHANGE: [&str; 3] = ["from", "to", "schedule"];

impl Value for Ema {
    fn read(at: &str, t: &Tree, rules: &Rules, out: &mut Out) -> Option<Self> {
        let Some(long) = t.entries() else {
            let share = Spanned::<f64>::read(at, t, rules, out)?;
            return Some(Ema(Spanned::new(Scheduled::Number(share.value), share.place)));
        };
        out.unknown_keys(&format!("`{at}`"), long, &CHANGE);
        let missing: Vec<String> = (CHANGE.iter().filter(|k| !long.contains_key(**k)))
            .map(|k| format!("`{k}`"))
            .collect();
        if !missing.is_empty() {
            let p = Problem::error(format!("`{at}` is a table without {}", missing.join(" and "))).at(&t.key, "here");
            out.push(p.help("a share that changes is written `{ from = 0.9, to = 0.999, schedule = \"linear\" }`"));
        }
        let mut share = |key: &str| f64::read(&format!("{at}.{key}"), long.get(key)?, rules, out);
        let (from, to) = (share("from"), share("to"));
        let word = long.get("schedule")?;
        let schedule = Schedule::read(&format!("{at}.schedule"), word, &Rules::NONE, out)?;
        if schedule == Schedule::Constant {
            let p = Problem::error(format!(
                "`{at}` does not change: a constant schedule has `to` from the first step on"
            ));
            out.push(
                p.at(&word.place, "here")
                    .help("write the number alone, or another schedule"),
            );
            return None;
        }
        let (from, to) = (from?, to?);
        let change = Scheduled::Changing(Change { from, to, schedule });
        Some(Ema(Spanned::new(change, t.place.clone())))
    }

    fn write(&self, _: &Rules) -> Option<TreeValue> {
        let Change { from, to, schedule } = match self.0.value {
            Scheduled::Number(share) => return Some(TreeValue::Float(share)),
            Scheduled::Changing(change) => change,
        };
        let mut table = Written::nowhere();
        table.put("from", TreeValue::Float(from));
        table.put("to", TreeValue::Float(to));
        table.put("schedule", string(schedule.word()));
        Some(table.tree().value)
    }

    fn schema(doc: &str, rules: &Rules) -> Json {
        let mut long = serde_json::Map::new();
        long.insert("from".into(), f64::schema("What it begins with.", rules));
        long.insert("to".into(), f64::schema("What it comes to.", rules));
        let words: Vec<&str> = Schedule::ALL.iter().map(|s| s.word()).collect();
        long.insert(
            "schedule".into(),
            schema::one_of(&words, "How it changes over the phase."),
        );
        let mut long = schema::object("A share that changes.", long, json!(false));
        long["required"] = json!(CHANGE);
        json!({ "description": doc, "anyOf": [f64::schema("The same throughout.", rules), long] })
    }
}

const KEYS: [&str; 2] = ["of", "ema"];
/// Of `ema`.
const SHARE: Rules = Rules {
    least: Some(0.0),
    most: Some(1.0),
    ..Rules::NONE
};

impl Value for WeightsKeys {
    fn read(at: &str, t: &Tree, _: &Rules, out: &mut Out) -> Option<Self> {
        let Some(long) = t.entries() else {
            let TreeValue::String(_) = &t.value else {
                out.mistyped(at, t, "a node's name, or a table with `of` and `ema`");
                return None;
            };
            let of = out.string(at, t)?;
            return Some(WeightsKeys { of, ema: None });
        };
        out.unknown_keys(&format!("`{at}`"), long, &KEYS);
        let missing: Vec<&str> = KEYS.into_iter().filter(|k| !long.contains_key(*k)).collect();
        if !missing.is_empty() {
            let missing = missing.iter().map(|k| format!("`{k}`")).collect::<Vec<_>>();
            let p = Problem::error(format!("`{at}` is a table without {}", missing.join(" and "))).at(&t.key, "here");
            out.push(p.help(
                "a copy is written `{ of = \"node\", ema = 0.99 }`; `weights = \"node\"` uses the weights of the other node",
            ));
        }
        let of = long.get("of").and_then(|t| out.string(&format!("{at}.of"), t));
        let ema = long
            .get("ema")
            .and_then(|t| Ema::read(&format!("{at}.ema"), t, &SHARE, out));
        Some(WeightsKeys {
            of: of?,
            ema: Some(ema?),
        })
    }

    fn write(&self, _: &Rules) -> Option<TreeValue> {
        let of = string(&self.of.value);
        let Some(ema) = &self.ema else { return Some(of) };
        let mut to = Written::nowhere();
        to.put("of", of);
        to.opt("ema", ema.write(&SHARE));
        Some(to.tree().value)
    }

    fn schema(doc: &str, _: &Rules) -> Json {
        let mut long = serde_json::Map::new();
        long.insert("of".into(), schema::typed("string", "The other node."));
        let ema = "The share of itself that each update leaves in the copy; 1 for a copy that stays as it is.";
        long.insert("ema".into(), Ema::schema(ema, &SHARE));
        let mut long = schema::object("A copy of its weights that follows them.", long, json!(false));
        long["required"] = json!(KEYS);
        let shared = schema::typed("string", "The node whose weights it uses.");
        json!({ "description": doc, "anyOf": [shared, long] })
    }
}

//! Whose weights a node has, where it has none of its own making.

use crate::diag::{Problem, Spanned};
use crate::keys::{Rules, Value, schema};
use crate::tree::{Out, Tree, TreeValue, Written, string};
use serde_json::{Value as Json, json};

/// `weights` of a node: `"node"` for those of that node, or `{ of = "node", ema = 0.99 }` for a copy that follows them.
#[derive(Clone, Debug)]
pub struct WeightsKeys {
    /// The other node.
    pub of: Spanned<String>,
    /// Of a copy: the share of itself that each update leaves in it.
    pub ema: Option<Spanned<f64>>,
}

/// What a node's weights are a copy of.
#[derive(Clone, Debug)]
pub struct CopyDef {
    /// The path of the other node, which has weights of its own.
    pub of: Spanned<String>,
    /// After each step that updates the other's weights `w` (in rounds, after the last one) the copy is `ema · copy + (1 − ema) · w`: from 0 to 1, at which it stays.
    pub ema: Spanned<f64>,
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
            .and_then(|t| Spanned::<f64>::read(&format!("{at}.ema"), t, &SHARE, out));
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
        to.put("ema", TreeValue::Float(ema.value));
        Some(to.tree().value)
    }

    fn schema(doc: &str, _: &Rules) -> Json {
        let mut long = serde_json::Map::new();
        long.insert("of".into(), schema::typed("string", "The other node."));
        let ema = "The share of itself that each update leaves in the copy; 1 for a copy that stays as it is.";
        long.insert("ema".into(), f64::schema(ema, &SHARE));
        let mut long = schema::object("A copy of its weights that follows them.", long, json!(false));
        long["required"] = json!(KEYS);
        let shared = schema::typed("string", "The node whose weights it uses.");
        json!({ "description": doc, "anyOf": [shared, long] })
    }
}

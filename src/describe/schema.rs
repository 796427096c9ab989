//! The JSON schema of graph files, for editors (draft 07, which taplo and others read).

use super::nodes::{first_sentence, plain};
use crate::graph::{
    CompositeKeys, GroupDef, NodeKeys, OptimizerDef, PhaseKeys, RefreshKeys, RoundKeys, TopKeys, ViewKeys,
};
use crate::keys::Table;
use crate::keys::schema::{names, object, or_param, reference, to, typed};
use glad_nodes::{KindEntry, Registry};
use serde_json::{Map, Value, json};

/// The schema of graph files: experiments, settings, overlays and composites, with the parameters of every kind.
pub fn schema(registry: &Registry) -> Value {
    let mut definitions = Map::new();
    for k in registry.iter() {
        kind(k, &mut definitions);
    }
    definitions.insert("node".into(), node(registry));
    for (name, value) in [
        ("reference", reference()),
        ("inputs", inputs()),
        ("names", names("Names.")),
        (OptimizerDef::NAME, OptimizerDef::definition()),
        (GroupDef::NAME, GroupDef::definition()),
        (PhaseKeys::NAME, PhaseKeys::definition()),
        (RoundKeys::NAME, RoundKeys::definition()),
        (RefreshKeys::NAME, RefreshKeys::definition()),
        (ViewKeys::NAME, ViewKeys::definition()),
        (CompositeKeys::NAME, CompositeKeys::definition()),
    ] {
        definitions.insert(name.into(), value);
    }
    let mut top = TopKeys::properties();
    let files = json!({ "description": "Files that this one is laid over, relative to it, or built-in ones (`glad:full`).",
        "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" } }] });
    top.insert("extends".into(), files);
    let setting = "The layer below: data, sizes, backbone and lengths of phases; a file, or a built-in one (`glad:settings/mini`). \
                   `--setting` takes another.";
    top.insert("setting".into(), typed("string", setting));
    let under = "What changes under a setting alone, by its name: an overlay, such as `[under.mini.set.phases.main]`.";
    let overlay = json!({ "type": "object" });
    top.insert("under".into(), object(under, Map::new(), overlay));
    // Verbs take parts of the top level of a graph: their values are checked when they are applied.
    for (verb, doc) in [
        (
            "set",
            "Changes values that a layer below writes: `set.phases.main.steps = 100`.",
        ),
        ("append", "Adds items to lists: `append.run = [\"main\"]`."),
        ("remove", "Takes items out of lists, or (with `true`) takes a key out."),
    ] {
        top.insert(verb.into(), object(doc, Map::new(), json!(true)));
    }
    let table = |doc: &str| object(doc, Map::new(), json!({ "type": "object" }));
    let mut replace = Map::new();
    replace.insert("nodes".into(), object("Whole nodes.", Map::new(), to("node")));
    replace.insert("phases".into(), table("Whole phases."));
    replace.insert("views".into(), table("Whole views."));
    let replace = object(
        "Puts whole nodes, phases or views in the place of those below.",
        replace,
        json!(false),
    );
    top.insert("replace".into(), replace);
    top.insert(
        "drop".into(),
        names(
            "Leaves out nodes (with the losses and roots that name them), losses, or paths such as \"phases.warmup\".",
        ),
    );
    top.insert("composite".into(), to("composite"));
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "glad graph",
        "description": "An experiment, a setting, an overlay or a composite of glad.",
        "type": "object",
        "properties": top,
        "additionalProperties": false,
        "definitions": definitions,
    })
}

fn inputs() -> Value {
    let many = json!({ "type": "array", "items": to("reference") });
    object(
        "References, by input port.",
        Map::new(),
        json!({ "anyOf": [to("reference"), many] }),
    )
}

fn node(registry: &Registry) -> Value {
    let kinds: Vec<Value> = registry
        .iter()
        .map(|k| json!({ "const": k.name, "description": first_sentence(k.doc()) }))
        .chain([json!({ "type": "string", "pattern": "(\\.toml$|^glad:)", "description": "A composite: a file of nodes, relative to this one, or a built-in one (`glad:lib/order`)." })])
        .collect();
    let kind = json!({ "description": "The node's kind, or a composite's file.", "anyOf": kinds });
    let mut properties = NodeKeys::properties();
    properties.insert("kind".into(), kind);
    let by_kind: Vec<Value> = registry
        .iter()
        .map(|k| {
            let is = json!({ "properties": { "kind": { "const": k.name } }, "required": ["kind"] });
            json!({ "if": is, "then": to(&format!("kind.{}", k.name)) })
        })
        .collect();
    json!({ "description": "A node.", "type": "object", "properties": properties, "allOf": by_kind })
}

/// The parameters of a kind. A table under another key is a stream's.
fn kind(k: &KindEntry, definitions: &mut Map<String, Value>) {
    let own = |name: &str| format!("{}.{name}", k.name);
    for defs in ["$defs", "definitions"] {
        for (name, value) in k.schema[defs].as_object().into_iter().flatten() {
            definitions.insert(own(name), draft_07(value, &own));
        }
    }
    let mut properties = Map::new();
    for (name, p) in k.schema["properties"].as_object().into_iter().flatten() {
        properties.insert(name.clone(), or_param(draft_07(p, &own)));
    }
    for name in NodeKeys::names() {
        properties.insert(name.into(), json!(true));
    }
    let of_stream = json!({ "type": "object", "description": "Parameters that differ in the stream of this name." });
    definitions.insert(
        format!("kind.{}", k.name),
        object(&plain(k.doc()), properties, of_stream),
    );
}

/// A schema of 2020-12 rewritten as draft 07: `$ref` stands alone, tuples are `items`, and definitions are in one
/// place. `own` names this kind's definitions.
fn draft_07(schema: &Value, own: &impl Fn(&str) -> String) -> Value {
    let Value::Object(o) = schema else {
        return schema.clone();
    };
    let mut out = Map::new();
    let mut target = None;
    for (key, value) in o {
        match (key.as_str(), value) {
            ("$ref", Value::String(r)) => target = r.rsplit('/').next().map(|n| to(&own(n))),
            ("description", Value::String(d)) => {
                out.insert(key.clone(), json!(plain(d)));
            }
            ("prefixItems", Value::Array(items)) => {
                out.insert("items".into(), items.iter().map(|i| draft_07(i, own)).collect());
            }
            ("items", Value::Bool(false)) if o.contains_key("prefixItems") => {
                out.insert("additionalItems".into(), json!(false));
            }
            ("properties", Value::Object(p)) => {
                let p = p.iter().map(|(k, v)| (k.clone(), or_param(draft_07(v, own)))).collect();
                out.insert(key.clone(), Value::Object(p));
            }
            ("items" | "additionalProperties", Value::Object(_)) => {
                out.insert(key.clone(), or_param(draft_07(value, own)));
            }
            ("default", v) => {
                out.insert(key.clone(), tidy(v));
            }
            ("anyOf" | "oneOf" | "allOf", Value::Array(all)) => {
                // Alternatives may overlap once each of them also takes a parameter.
                let name = if key == "oneOf" { "anyOf" } else { key };
                out.insert(name.into(), all.iter().map(|v| draft_07(v, own)).collect());
            }
            // Another layer may give a node's required parameters; formats such as `uint` exist in schemars alone.
            ("$schema" | "$defs" | "definitions" | "title" | "required" | "format", _) => {}
            _ => {
                out.insert(key.clone(), value.clone());
            }
        }
    }
    match target {
        Some(t) if out.is_empty() => t,
        Some(t) => {
            out.insert("allOf".into(), json!([t]));
            Value::Object(out)
        }
        None => Value::Object(out),
    }
}

/// A value whose single-precision numbers are written as such: `0.9`, not `0.8999999761581421`.
fn tidy(v: &Value) -> Value {
    match v {
        Value::Number(n) => match n.as_f64().map(|x| (x, x as f32)) {
            Some((x, single)) if n.is_f64() && f64::from(single) == x => {
                json!(single.to_string().parse::<f64>().unwrap_or(x))
            }
            _ => v.clone(),
        },
        Value::Array(a) => a.iter().map(tidy).collect(),
        Value::Object(o) => Value::Object(o.iter().map(|(k, v)| (k.clone(), tidy(v))).collect()),
        v => v.clone(),
    }
}

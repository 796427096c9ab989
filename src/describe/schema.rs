//! The JSON schema of graph files, for editors (draft 07, which taplo and others read).

use super::nodes::{first_sentence, plain};
use glad_nodes::{KindEntry, Precision, Registry};
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
        ("schedule", schedule()),
        ("optimizer", optimizer()),
        ("phase", phase()),
        ("view", view()),
        ("composite", composite()),
    ] {
        definitions.insert(name.into(), value);
    }
    let mut top = experiment();
    // Verbs take what stands at the top of a graph, in part: their values are checked when they are laid over it.
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
    top.insert("bypass".into(), names("Nodes that pass their input through."));
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

fn to(definition: &str) -> Value {
    json!({ "$ref": format!("#/definitions/{definition}") })
}

fn object(doc: &str, properties: Map<String, Value>, rest: Value) -> Value {
    json!({ "description": doc, "type": "object", "properties": properties, "additionalProperties": rest })
}

/// A value of this schema, or `"$name"` of a parameter.
fn or_param(schema: Value) -> Value {
    let takes_strings = schema["type"] == "string" && schema.get("enum").is_none();
    if takes_strings {
        return schema;
    }
    let mut schema = schema;
    let mut outer = Map::new();
    for key in ["description", "default"] {
        outer.extend(
            schema
                .as_object_mut()
                .and_then(|o| o.shift_remove(key))
                .map(|v| (key.to_string(), v)),
        );
    }
    let parameter = json!({ "type": "string", "pattern": "^\\$", "description": "A parameter of the graph." });
    outer.insert("anyOf".into(), json!([schema, parameter]));
    Value::Object(outer)
}

fn typed(ty: &str, doc: &str) -> Value {
    or_param(json!({ "type": ty, "description": doc }))
}

fn at_least(ty: &str, least: u64, doc: &str) -> Value {
    or_param(json!({ "type": ty, "minimum": least, "description": doc }))
}

fn one_of(names: &[&str], doc: &str) -> Value {
    or_param(json!({ "enum": names, "description": doc }))
}

fn names(doc: &str) -> Value {
    or_param(json!({ "type": "array", "items": { "type": "string" }, "uniqueItems": true, "description": doc }))
}

fn sizes(doc: &str) -> Value {
    object(doc, Map::new(), at_least("integer", 0, "A size."))
}

fn keys(entries: Vec<(&str, Value)>) -> Map<String, Value> {
    entries.into_iter().map(|(k, v)| (k.to_string(), v)).collect()
}

fn experiment() -> Map<String, Value> {
    let files = json!({ "description": "Files that this one is laid over, relative to it.",
        "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" } }] });
    keys(vec![
        ("title", typed("string", "What the experiment is called.")),
        (
            "expect",
            typed("string", "The published number for this row, printed beside ours."),
        ),
        ("extends", files),
        (
            "setting",
            typed(
                "string",
                "The layer below: data, sizes, backbone and lengths of phases. `--setting FILE` takes another.",
            ),
        ),
        (
            "streams",
            names("Every node exists once per stream, with shared weights."),
        ),
        ("held_out", names("Streams whose labels may reach no training loss.")),
        (
            "oracle",
            typed(
                "boolean",
                "Lets held-out labels be used after all; every output says so.",
            ),
        ),
        (
            "select",
            one_of(
                &["last", "best"],
                "Which weights are scored: the last, or those of the best validation score (needs `oracle`).",
            ),
        ),
        ("seed", at_least("integer", 0, "The seed of everything random.")),
        (
            "precision",
            one_of(
                &Precision::ALL.map(Precision::name),
                "With how many bits a GPU computes: bf16 activations inside backbones, f32 numbers whose products may round \
                 to TF32, or f32 (the default). The CPU computes in f32 whatever stands here.",
            ),
        ),
        (
            "bad_videos",
            or_param(
                json!({ "type": "number", "minimum": 0, "maximum": 1, "description": "The share of a list's videos that may be unusable." }),
            ),
        ),
        ("classes", names("Names of the classes.")),
        ("dims", sizes("Names for sizes, for the whole graph.")),
        (
            "params",
            object("Values that `\"$name\"` stands for.", Map::new(), json!(true)),
        ),
        ("run", names("Phases and views to run, in order.")),
        ("nodes", object("Nodes, by name.", Map::new(), to("node"))),
        ("phases", object("Training phases, by name.", Map::new(), to("phase"))),
        (
            "views",
            object(
                "Ways to run the graph without training, by name.",
                Map::new(),
                to("view"),
            ),
        ),
    ])
}

fn reference() -> Value {
    or_param(
        json!({ "type": "string", "description": "`node.port` or `node.port@stream`; inside a composite `in.port`." }),
    )
}

fn inputs() -> Value {
    let many = json!({ "type": "array", "items": to("reference") });
    object(
        "References, by input port.",
        Map::new(),
        json!({ "anyOf": [to("reference"), many] }),
    )
}

/// What the framework reads of every node.
fn node_keys() -> Vec<(&'static str, Value)> {
    vec![
        ("inputs", to("inputs")),
        (
            "only",
            names("The streams it works in; in others it is bypassed or absent."),
        ),
        ("train_only", typed("boolean", "Bypassed in views.")),
        (
            "folder",
            typed(
                "string",
                "The folder that relative paths in its parameters are meant in.",
            ),
        ),
    ]
}

fn node(registry: &Registry) -> Value {
    let kinds: Vec<Value> = registry
        .iter()
        .map(|k| json!({ "const": k.name, "description": first_sentence(k.doc()) }))
        .chain([json!({ "type": "string", "pattern": "\\.toml$", "description": "A composite: a file of nodes, relative to this one." })])
        .collect();
    let kind = json!({ "description": "The node's kind, or a composite's file.", "anyOf": kinds });
    let mut properties = keys(node_keys());
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
    for (name, _) in node_keys() {
        properties.insert(name.into(), json!(true));
    }
    properties.insert("kind".into(), json!(true));
    let of_stream = json!({ "type": "object", "description": "Parameters that differ in the stream of this name." });
    definitions.insert(
        format!("kind.{}", k.name),
        object(&plain(k.doc()), properties, of_stream),
    );
}

/// A schema of 2020-12 as draft 07 writes it: where a reference may have nothing beside it, tuples are `items`, and
/// definitions have one place. `own` names this kind's definitions.
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
            // A node may have what is required from another layer; formats such as `uint` are of schemars alone.
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

/// A value whose numbers of single precision are written as such: `0.9`, not `0.8999999761581421`.
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

fn schedule() -> Value {
    let by = |kind: &str, doc: &str, more: Vec<(&str, Value)>| {
        let mut p = keys(more);
        p.insert("kind".into(), json!({ "const": kind }));
        object(doc, p, json!(false))
    };
    let at = json!({ "type": "array", "items": at_least("integer", 0, "When."), "description": "Epochs at which the rate falls (or steps, where the phase is given in steps)." });
    json!({ "description": "How the learning rate falls.", "anyOf": [
        one_of(&["constant", "cosine"], "A schedule without parameters."),
        by("constant", "Not at all.", vec![]),
        by("step", "Times `gamma` at each of `at`.", vec![("at", or_param(at)), ("gamma", at_least("number", 0, "By how much."))]),
        by("cosine", "Half a cosine to `end` times the rate, over the phase.", vec![("end", at_least("number", 0, "The share that is left at the end."))]),
    ] })
}

fn optimizer() -> Value {
    let roles = json!({ "type": "array", "items": { "enum": ["weight", "bias", "norm"] }, "description": "What of them; left out: all." });
    let group = object(
        "Part of the weights.",
        keys(vec![
            ("nodes", names("Nodes or composites; left out: all.")),
            ("roles", or_param(roles)),
            ("lr_scale", at_least("number", 0, "Times the learning rate.")),
            ("weight_decay", at_least("number", 0, "Instead of the optimiser's.")),
        ]),
        json!(false),
    );
    object(
        "SGD with momentum, as PyTorch defines it.",
        keys(vec![
            ("kind", one_of(&["sgd"], "The optimiser.")),
            ("lr", at_least("number", 0, "Learning rate before schedule and groups.")),
            (
                "momentum",
                or_param(
                    json!({ "type": "number", "minimum": 0, "exclusiveMaximum": 1, "description": "0 is plain SGD." }),
                ),
            ),
            ("weight_decay", at_least("number", 0, "L2 added to the gradient.")),
            ("nesterov", typed("boolean", "Nesterov's form.")),
            (
                "clip_norm",
                or_param(
                    json!({ "type": "number", "exclusiveMinimum": 0, "description": "The gradient's largest L2 norm over all weights." }),
                ),
            ),
            (
                "warmup_steps",
                at_least("integer", 0, "Steps over which the rate rises from 0."),
            ),
            ("schedule", to("schedule")),
            (
                "groups",
                json!({ "type": "array", "items": group, "description": "The first that matches a weight counts." }),
            ),
        ]),
        json!(false),
    )
}

/// What phases and views share.
fn shared(split: &str) -> Vec<(&'static str, Value)> {
    let per_node = json!({ "type": "object", "description": "Parameters that differ here." });
    vec![
        ("streams", names("Its own streams, if not the graph's.")),
        (
            "split",
            typed("string", &format!("Which list it reads: `{split}` unless said.")),
        ),
        ("batch", at_least("integer", 1, "Videos per stream at a time.")),
        ("dims", sizes("Sizes that differ from the graph's.")),
        (
            "nodes",
            object("Node parameters that differ, by node.", Map::new(), per_node),
        ),
    ]
}

fn phase() -> Value {
    let long = object(
        "A term.",
        keys(vec![
            ("of", typed("string", "The output.")),
            ("weight", typed("number", "Its weight.")),
        ]),
        json!(false),
    );
    let losses = object(
        "The objective: weights by node (its first output) or `\"node.port\"`.",
        Map::new(),
        json!({ "anyOf": [typed("number", "The term's weight."), long] }),
    );
    let mut all = shared("train");
    all.extend([
        (
            "epochs",
            at_least("integer", 1, "Length in passes over the first stream."),
        ),
        ("steps", at_least("integer", 1, "Length in optimiser steps.")),
        (
            "micro_batch",
            at_least(
                "integer",
                1,
                "Videos per stream in one forward and backward; gradients of the parts add up.",
            ),
        ),
        ("losses", losses),
        ("reset", names("Nodes or composites whose weights start anew here.")),
        ("frozen", names("Nodes or composites whose weights stay as they are.")),
        (
            "seed",
            at_least(
                "integer",
                0,
                "A seed of its own, so that runs with other seeds share the phase.",
            ),
        ),
        ("optimizer", to("optimizer")),
        (
            "validate",
            typed("string", "A view that is scored after every epoch, and at the end."),
        ),
    ]);
    object("A training phase.", keys(all), json!(false))
}

fn view() -> Value {
    let mut all = shared("test");
    all.extend([
        ("roots", names("What is computed.")),
        (
            "optional",
            typed(
                "boolean",
                "A run leaves it out, and says so, where data or weights that it starts from are not there.",
            ),
        ),
    ]);
    object("A way to run the graph without training.", keys(all), json!(false))
}

fn composite() -> Value {
    object(
        "Makes this file a kind of node.",
        keys(vec![
            ("inputs", names("Its input ports; nodes refer to them as `in.NAME`.")),
            (
                "outputs",
                object(
                    "Its output ports, by name: references inside.",
                    Map::new(),
                    to("reference"),
                ),
            ),
            (
                "params",
                object(
                    "Its parameters with their defaults; `{}` has to be given.",
                    Map::new(),
                    json!(true),
                ),
            ),
        ]),
        json!(false),
    )
}

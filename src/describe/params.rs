//! Parameters of a kind, read from its JSON schema.

use serde_json::{Map, Value};

/// A parameter.
#[derive(Clone, Debug, Default)]
pub(super) struct Param {
    /// Its name.
    pub name: String,
    /// What it accepts, in words.
    pub what: String,
    /// Its documentation.
    pub doc: String,
    /// Its default, where the schema states it.
    pub default: Option<Value>,
    /// Whether it is required.
    pub required: bool,
    /// Its fixed values, each with documentation.
    pub choices: Vec<(String, String)>,
    /// The keys of a table.
    pub inner: Vec<Param>,
}

/// The parameters that a kind's schema lists.
pub(super) fn params(schema: &Value) -> Vec<Param> {
    of_object(schema, schema, 0)
}

fn of_object(root: &Value, object: &Value, depth: usize) -> Vec<Param> {
    let Some(properties) = object["properties"].as_object() else {
        return vec![];
    };
    let required = |name: &str| {
        object["required"]
            .as_array()
            .is_some_and(|r| r.iter().any(|v| v == name))
    };
    properties
        .iter()
        .map(|(name, p)| {
            let target = resolved(root, p);
            let shown = present(root, &target);
            Param {
                name: name.clone(),
                what: what(root, p),
                doc: text(p).or(text(&target)).unwrap_or_default(),
                default: p.get("default").cloned(),
                required: required(name),
                choices: choices(root, &target),
                // Of tables nested three deep only the names are shown.
                inner: if depth < 2 {
                    of_object(root, &shown, depth + 1)
                } else {
                    vec![]
                },
            }
        })
        .collect()
}

fn text(schema: &Value) -> Option<String> {
    schema["description"].as_str().map(str::to_string)
}

/// What a reference resolves to; the schema itself where it is none.
pub(super) fn resolved(root: &Value, schema: &Value) -> Value {
    let mut at = schema;
    for _ in 0..16 {
        let Some(target) = at["$ref"]
            .as_str()
            .and_then(|r| root.pointer(r.trim_start_matches('#')))
        else {
            break;
        };
        at = target;
    }
    at.clone()
}

fn variants(schema: &Value) -> &[Value] {
    let of = |key: &str| schema[key].as_array().map(Vec::as_slice);
    of("anyOf").or(of("oneOf")).unwrap_or(&[])
}

/// `T` of an optional `T`.
fn present(root: &Value, schema: &Value) -> Value {
    let some: Vec<&Value> = variants(schema).iter().filter(|v| v["type"] != "null").collect();
    match some.as_slice() {
        [one] => resolved(root, one),
        _ => schema.clone(),
    }
}

/// Fixed values of an enumeration, each with documentation.
fn choices(root: &Value, schema: &Value) -> Vec<(String, String)> {
    let schema = present(root, schema);
    let one = |v: &Value| {
        let value = v
            .get("const")
            .or(v["enum"].as_array().and_then(|e| match e.as_slice() {
                [one] => Some(one),
                _ => None,
            }))?;
        Some((value.to_string(), text(v)?))
    };
    variants(&schema)
        .iter()
        .map(|v| resolved(root, v))
        .filter_map(|v| one(&v))
        .collect()
}

/// Whether this is a size that may be given by the graph's `dims`.
fn is_count(schema: &Value) -> bool {
    let name = schema["$ref"].as_str().and_then(|r| r.rsplit('/').next());
    name.is_some_and(|n| n == "Count" || n == "CountSchema")
}

/// What a schema accepts, in words.
pub(super) fn what(root: &Value, schema: &Value) -> String {
    if is_count(schema) {
        return "number or dims".into();
    }
    let s = resolved(root, schema);
    if let Some(c) = s.get("const") {
        return c.to_string();
    }
    if let Some(all) = s["enum"].as_array() {
        let all: Vec<String> = all.iter().map(Value::to_string).collect();
        return all.join(" | ");
    }
    let some: Vec<&Value> = variants(&s).iter().filter(|v| v["type"] != "null").collect();
    if !some.is_empty() {
        let mut words: Vec<String> = vec![];
        for w in some.into_iter().map(|v| what(root, v)) {
            if !words.contains(&w) {
                words.push(w);
            }
        }
        let all_fixed = words.iter().all(|w| w.starts_with('"'));
        return words.join(if all_fixed { " | " } else { " or " });
    }
    let types: Vec<&str> = match &s["type"] {
        Value::String(t) => vec![t],
        Value::Array(a) => a.iter().filter_map(Value::as_str).filter(|t| *t != "null").collect(),
        _ => return "any value".into(),
    };
    let word = |t: &str| match t {
        "integer" => "whole number".to_string(),
        "boolean" => "true | false".to_string(),
        "array" if s["prefixItems"].is_array() => {
            let items: Vec<String> = s["prefixItems"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|i| what(root, i))
                .collect();
            format!("[{}]", items.join(", "))
        }
        "array" => match (s["minItems"].as_u64(), s["maxItems"].as_u64()) {
            (Some(a), Some(b)) if a == b => format!("list of {a}: {}", what(root, &s["items"])),
            _ => format!("list of {}", what(root, &s["items"])),
        },
        "object" if s["additionalProperties"].is_object() => {
            format!("table of {}", what(root, &s["additionalProperties"]))
        }
        "object" => "table".to_string(),
        t => t.to_string(),
    };
    types.into_iter().map(word).collect::<Vec<_>>().join(" or ")
}

/// The required parameters, each with an example: the schema's own, else one made from its type.
pub(super) fn example(schema: &Value) -> Map<String, Value> {
    if let Some(Value::Object(o)) = schema["examples"].as_array().and_then(|e| e.first()) {
        return o.clone();
    }
    let required = schema["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str);
    required
        .filter_map(|name| Some((name.to_string(), made_up(schema, &schema["properties"][name], 0)?)))
        .collect()
}

fn made_up(root: &Value, schema: &Value, depth: usize) -> Option<Value> {
    if depth > 8 {
        return None;
    }
    if is_count(schema) {
        return Some("N".into());
    }
    let first = |s: &Value| s["examples"].as_array().and_then(|e| e.first()).cloned();
    let s = resolved(root, schema);
    if let Some(v) = first(schema).or(first(&s)).or(s.get("const").cloned()) {
        return Some(v);
    }
    if let Some(v) = s["enum"].as_array().and_then(|e| e.first()) {
        return Some(v.clone());
    }
    if let Some(v) = variants(&s).iter().find(|v| v["type"] != "null") {
        return made_up(root, v, depth + 1);
    }
    Some(match s["type"].as_str()? {
        "integer" => s["minimum"].as_u64().unwrap_or(0).max(1).into(),
        "number" => 1.0.into(),
        "boolean" => false.into(),
        "string" => "…".into(),
        "array" => Value::Array(vec![
            made_up(root, &s["items"], depth + 1)?;
            s["minItems"].as_u64().unwrap_or(1).max(1) as usize
        ]),
        "object" => {
            let mut o = example(&Value::Object(s.as_object()?.clone()));
            if s["additionalProperties"].is_object() {
                o.insert("a".into(), made_up(root, &s["additionalProperties"], depth + 1)?);
            }
            Value::Object(o)
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn types_in_words() {
        let root = json!({ "$defs": { "Head": { "oneOf": [
            { "const": "Feature", "description": "a" }, { "const": "Logits", "description": "b" } ] } } });
        let w = |s: Value| what(&root, &s);
        assert_eq!(w(json!({ "$ref": "#/$defs/Head" })), "\"Feature\" | \"Logits\"");
        assert_eq!(w(json!({ "type": ["number", "null"] })), "number");
        assert_eq!(
            w(json!({ "anyOf": [{ "type": "integer" }, { "type": "string" }] })),
            "whole number or string"
        );
        assert_eq!(
            w(json!({ "type": "array", "items": { "type": "string" } })),
            "list of string"
        );
        assert_eq!(
            w(json!({ "type": "object", "additionalProperties": { "type": "number" } })),
            "table of number"
        );
    }

    #[test]
    fn examples_have_what_is_required() {
        let s = json!({ "required": ["a", "b"], "properties": {
            "a": { "anyOf": [{ "type": "integer" }, { "type": "string" }] },
            "b": { "type": "object", "additionalProperties": { "type": "boolean" } },
            "c": { "type": "string" } } });
        assert_eq!(Value::Object(example(&s)), json!({ "a": 1, "b": { "a": false } }));
    }
}

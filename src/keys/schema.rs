//! Pieces of JSON schemas.

use serde_json::{Map, Value, json};

pub(crate) fn to(definition: &str) -> Value {
    json!({ "$ref": format!("#/definitions/{definition}") })
}

pub(crate) fn object(doc: &str, properties: Map<String, Value>, rest: Value) -> Value {
    json!({ "description": doc, "type": "object", "properties": properties, "additionalProperties": rest })
}

/// A value of this schema, or `"$name"` of a parameter.
pub(crate) fn or_param(schema: Value) -> Value {
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

pub(crate) fn typed(ty: &str, doc: &str) -> Value {
    or_param(json!({ "type": ty, "description": doc }))
}

pub(crate) fn one_of(names: &[&str], doc: &str) -> Value {
    or_param(json!({ "enum": names, "description": doc }))
}

pub(crate) fn names(doc: &str) -> Value {
    or_param(json!({ "type": "array", "items": { "type": "string" }, "uniqueItems": true, "description": doc }))
}

/// A doc comment as one line, without rustdoc's link brackets.
pub(crate) fn sentence(doc: &str) -> String {
    let plain = doc.replace("[`", "`").replace("`]", "`");
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A reference.
pub(crate) fn reference() -> Value {
    or_param(
        json!({ "type": "string", "description": "`node.port` or `node.port@stream`; inside a composite `in.port`." }),
    )
}

//! `--set a.b=value` as a layer.

use super::layers::{Layer, Reader};
use super::raw;
use crate::diag::{Place, Problem};
use crate::tree::Role;
use crate::tree::{Tree, TreeValue};
use indexmap::IndexMap;

/// The verbs allowed at the top level of a layer.
pub(super) const VERBS: [&str; 6] = ["set", "append", "remove", "replace", "drop", "bypass"];

/// Reads one `--set`. The value is TOML, else a string; a key that starts with another verb is that verb:
/// `--set drop=tol`, `--set append.run='["gap"]'`.
pub(super) fn parse(reader: &mut Reader, arg: &str) -> Option<Layer> {
    let file = reader.files.add_text("--set", arg);
    let all = Place {
        file,
        span: 0..arg.len(),
    };
    let Some(equals) = arg.find('=') else {
        reader.problems.push(
            Problem::error("`--set` takes KEY=VALUE")
                .at(&all, "there is no `=` here")
                .help("such as `--set dims.T=4`"),
        );
        return None;
    };
    let Some(path) = key_path(&arg[..equals]) else {
        let place = Place { file, span: 0..equals };
        reader.problems.push(
            Problem::error("`--set` takes KEY=VALUE with a dotted key")
                .at(&place, "this is no dotted key")
                .help("such as `--set nodes.tol.hidden=256`"),
        );
        return None;
    };
    let start = equals + 1 + arg[equals + 1..].len() - arg[equals + 1..].trim_start().len();
    let end = start + arg[start..].trim_end().len();
    let key = Place { file, span: 0..equals };
    let mut value = raw::parse_value(file, &arg[..end], start).unwrap_or_else(|| Tree {
        value: TreeValue::String(arg[start..end].to_string()),
        place: Place { file, span: start..end },
        key: key.clone(),
    });
    if path[0] == "drop" || path[0] == "bypass" {
        // One name stands for a list of one.
        if value.text().is_some() {
            let place = value.place.clone();
            value = Tree {
                value: TreeValue::Array(vec![value]),
                key: key.clone(),
                place,
            };
        }
    }
    value.key = key.clone();
    let mut path = path;
    if !VERBS.contains(&path[0].as_str()) {
        path.insert(0, "set".into());
    }
    let tree = path.into_iter().rev().fold(value, |inner, name| Tree {
        value: TreeValue::Table(IndexMap::from([(name, inner)])),
        place: key.clone(),
        key: key.clone(),
    });
    Some(Layer {
        file,
        role: Role::Set,
        tree,
    })
}

/// The keys of a dotted key, as TOML reads it.
pub(super) fn key_path(text: &str) -> Option<Vec<String>> {
    if text.contains('\n') || text.contains('=') {
        return None;
    }
    let table: toml::Table = format!("{text}=0").parse().ok()?;
    let mut path = vec![];
    let mut at = &toml::Value::Table(table);
    while let toml::Value::Table(t) = at {
        let (k, v) = t.iter().next()?;
        path.push(k.clone());
        at = v;
    }
    Some(path)
}

//! No layer of the framework imports from a later one: a folder of `src` imports only from those before it, except in
//! tests.

use crate::common::repository;
use std::path::{Path, PathBuf};

/// Each layer may use those above it in this list. `lint` and `report` do not use each other.
const LAYERS: [&str; 11] = [
    "diag", "tree", "keys", "graph", "program", "load", "check", "describe", "run", "report", "lint",
];

/// The files of a folder and its subfolders, by path.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = vec![];
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => found.extend(path.extension().is_some_and(|e| e == "rs").then_some(path)),
        }
    }
    found.sort();
    found
}

/// The layers that code names by `crate::`, with the line.
fn named(code: &str) -> Vec<(usize, String)> {
    let mut found = vec![];
    for (number, line) in code.lines().enumerate() {
        if line.trim_start().starts_with("//") {
            continue;
        }
        for rest in line.split("crate::").skip(1) {
            let names = match rest.strip_prefix('{') {
                Some(list) => list.split(['{', '}', ',']).map(str::trim).collect(),
                None => vec![rest],
            };
            for name in names {
                let end = name
                    .find(|c: char| !c.is_alphanumeric() && c != '_')
                    .unwrap_or(name.len());
                found.push((number + 1, name[..end].to_owned()));
            }
        }
    }
    found
}

/// Imports of `layer` from later layers.
fn reaching_back(layer: usize, code: &str) -> Vec<(usize, String)> {
    let shipped = code.split("#[cfg(test)]\nmod ").next().unwrap();
    let mut found = named(shipped);
    found.retain(|(_, name)| {
        let of = LAYERS.iter().position(|l| l == name);
        let apart = LAYERS[layer] == "lint" && name == "report";
        of.is_some_and(|of| of > layer) || apart || name == "cli"
    });
    found
}

#[test]
fn no_layer_reaches_back() {
    let src = repository().join("src");
    let mut wrong = vec![];
    for (i, layer) in LAYERS.iter().enumerate() {
        let all = files(&src.join(layer));
        assert!(!all.is_empty(), "{layer}");
        for path in all
            .iter()
            .filter(|p| !p.ends_with("tests.rs") && !p.ends_with("testing.rs"))
        {
            let code = std::fs::read_to_string(path).unwrap();
            for (line, name) in reaching_back(i, &code) {
                wrong.push(format!(
                    "{}:{line}: {layer} uses {name}",
                    path.strip_prefix(&src).unwrap().display()
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_folder_is_a_layer_or_above_them() {
    let mut folders: Vec<String> = std::fs::read_dir(repository().join("src"))
        .unwrap()
        .map(|e| e.unwrap())
        .filter(|e| e.path().is_dir())
        .map(|e| e.file_name().into_string().unwrap())
        .filter(|name| !LAYERS.contains(&name.as_str()))
        .collect();
    folders.sort();
    assert_eq!(folders, ["cli"]);
}

#[test]
fn an_import_that_reaches_back_is_seen() {
    let graph = LAYERS.iter().position(|l| *l == "graph").unwrap();
    let code = "use crate::diag::Place;\nuse crate::{load::Tree, tree};\nlet x = crate::run::run();\n#[cfg(test)]\nmod tests { use crate::report; }";
    assert_eq!(reaching_back(graph, code), [(2, "load".into()), (3, "run".into())]);
    assert_eq!(reaching_back(graph, "use crate::{\n"), []);
}

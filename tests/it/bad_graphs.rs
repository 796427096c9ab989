//! Broken graphs and the message that each gets: `bad_graphs/NAME.toml` and `bad_graphs/snapshots/NAME.snap`.
//!
//! A file may begin with lines such as `#: --set dims.T=4`, `#: --with bad_graphs/overlays/x.toml`, `#: --setting
//! FILE`: it is loaded with these options. `INSTA_UPDATE=always cargo test --release --test it bad_graphs` writes the
//! snapshots; read them as a user would.

use glad::check::{absent, check};
use glad::diag::{Problems, render};
use glad::load::{LoadOptions, load};
use std::path::{Path, PathBuf};

const FOLDER: &str = "tests/bad_graphs";

/// The graph with the options that its first lines name.
fn options(path: &Path) -> LoadOptions {
    let mut options = LoadOptions::of(path);
    let text = String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned();
    for line in text.lines().filter_map(|l| l.strip_prefix("#: ")) {
        match line.split_once(' ').unwrap_or((line, "")) {
            ("--set", v) => options.set.push(v.into()),
            ("--with", v) => options.with.push(v.into()),
            ("--setting", v) => options.setting = Some(v.into()),
            ("--graph", v) => options.graph = v.into(),
            other => panic!("{}: {other:?}", path.display()),
        }
    }
    options
}

fn problems(options: &LoadOptions, lists: bool) -> Option<Problems> {
    match load(options) {
        Ok(graph) => match check(&graph, &glad::nodes::registry()) {
            // The graph's own lists are read; data that would have to be generated does not exist.
            Ok(checked) if lists => Some(absent(&graph, &checked, false)),
            checked => checked.err(),
        },
        Err(problems) => Some(problems),
    }
}

#[test]
fn each_is_reported() {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(FOLDER).unwrap().map(|e| e.unwrap().path()).collect();
    paths.retain(|p| p.extension().is_some_and(|e| e == "toml"));
    paths.sort();
    assert!(paths.len() >= 30);
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../bad_graphs/snapshots");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    let _guard = settings.bind_to_scope();
    let mut accepted = vec![];
    for path in &paths {
        let name = path.file_stem().unwrap().to_string_lossy();
        match problems(&options(path), name.starts_with("lists_")) {
            Some(p) if p.has_errors() => {
                insta::assert_snapshot!(path.file_stem().unwrap().to_str().unwrap(), render(&p, false));
            }
            _ => accepted.push(path),
        }
    }
    assert!(accepted.is_empty(), "accepted: {accepted:?}");
}

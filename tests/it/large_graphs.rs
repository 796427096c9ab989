//! Graphs that are deeper, wider or larger than any use end in an error message, quickly and in little memory.

use glad::check::check;
use glad::diag::Problems;
use glad::load::{LoadOptions, load, load_text};
use std::fmt::Write;
use std::path::Path;

const COMPOSITE: &str = "[composite]\ninputs = [\"x\"]\noutputs = { y = \"n0.y\" }\n";

fn refused(graph: &Path) -> String {
    refused_with(&LoadOptions::of(graph))
}

fn refused_with(options: &LoadOptions) -> String {
    let problems: Problems = match load(options) {
        Ok(graph) => check(&graph, &glad::nodes::registry()).err().expect("it is refused"),
        Err(problems) => problems,
    };
    problems.to_string()
}

fn graph(dir: &Path, kind: &str) -> std::path::PathBuf {
    let full = crate::common::graph("full.toml");
    let path = dir.join("g.toml");
    let text = format!(
        "extends = \"{full}\"\n[nodes.k]\nkind = \"{kind}\"\ninputs = {{ x = \"classify.logits\" }}\n[append.views.infer]\nroots = [\"k.y@target\"]\n"
    );
    std::fs::write(&path, text).unwrap();
    path
}

#[test]
fn composites_of_composites() {
    let dir = tempfile::tempdir().unwrap();
    let leaf = "[nodes.n0]\nkind = \"softmax\"\ninputs = { x = \"in.x\" }\n";
    std::fs::write(dir.path().join("k0.toml"), format!("{COMPOSITE}{leaf}")).unwrap();
    // Ten of the one before, nine times over: a billion nodes from eleven small files.
    for i in 1..=9 {
        let mut text = COMPOSITE.to_string();
        for j in 0..10 {
            writeln!(
                text,
                "[nodes.n{j}]\nkind = \"k{}.toml\"\ninputs = {{ x = \"in.x\" }}",
                i - 1
            )
            .unwrap();
        }
        std::fs::write(dir.path().join(format!("k{i}.toml")), text).unwrap();
    }
    let printed = refused(&graph(dir.path(), "k9.toml"));
    assert!(
        printed.contains("a graph may have 2000 nodes, and this one has more"),
        "{printed}"
    );
    assert!(printed.ends_with("1 error\n"), "{printed}");
    // Nested a thousand times.
    std::fs::write(dir.path().join("d0.toml"), format!("{COMPOSITE}{leaf}")).unwrap();
    for i in 1..1000 {
        let inner = format!("[nodes.n0]\nkind = \"d{}.toml\"\ninputs = {{ x = \"in.x\" }}\n", i - 1);
        std::fs::write(dir.path().join(format!("d{i}.toml")), format!("{COMPOSITE}{inner}")).unwrap();
    }
    let printed = refused(&graph(dir.path(), "d999.toml"));
    assert!(
        printed.contains("composites are more than 16 deep inside one another"),
        "{printed}"
    );
    assert!(printed.ends_with("1 error\n"), "{printed}");
}

#[test]
fn files_that_extend_files() {
    let dir = tempfile::tempdir().unwrap();
    for i in 0..1000 {
        let base = if i == 999 {
            crate::common::graph("full.toml")
        } else {
            format!("e{}.toml", i + 1)
        };
        std::fs::write(dir.path().join(format!("e{i}.toml")), format!("extends = \"{base}\"\n")).unwrap();
    }
    let printed = refused(&dir.path().join("e0.toml"));
    assert!(printed.contains("`extends` goes deeper than 32 files"), "{printed}");
    for i in 0..400 {
        std::fs::write(dir.path().join(format!("w{i}.toml")), "[params]\n").unwrap();
    }
    let options = LoadOptions {
        with: (0..400).map(|i| dir.path().join(format!("w{i}.toml"))).collect(),
        ..LoadOptions::of(crate::common::graph("full.toml"))
    };
    let printed = refused_with(&options);
    assert!(printed.contains("a graph may consist of 256 files"), "{printed}");
}

#[test]
fn parameters_of_parameters() {
    let mut text = String::from("extends = \"full.toml\"\n[params]\np0 = [1, 1, 1, 1, 1, 1, 1, 1]\n");
    for i in 1..40 {
        let one = format!("\"$p{}\"", i - 1);
        writeln!(text, "p{i} = [{}]", vec![one; 8].join(", ")).unwrap();
    }
    let printed = load_text("g.toml", &text, Path::new("graphs"))
        .expect_err("it is refused")
        .to_string();
    assert!(printed.contains("stand for more than 100000 values"), "{printed}");
}

#[test]
fn values_inside_values() {
    let deep = 100_000;
    for text in [
        format!("x = {}1{}", "[".repeat(deep), "]".repeat(deep)),
        format!("x = {}1{}", "{a=".repeat(deep), "}".repeat(deep)),
        format!("{}a = 1", "a.".repeat(deep)),
        format!("[{}a]\n", "a.".repeat(deep)),
        format!("[dims]\nT = \"{}\"", "(".repeat(deep)),
        format!(
            "extends = \"full.toml\"\n[set.nodes.local]\nclips = \"{}L{}\"",
            "(".repeat(deep),
            ")".repeat(deep)
        ),
        format!(
            "extends = \"full.toml\"\n[set.nodes.local]\nclips = \"L{}\"",
            "!".repeat(deep)
        ),
        "not TOML\n".repeat(deep),
        format!("classes = [{}]", "\"a\", ".repeat(deep)),
    ] {
        let printed = match load_text("g.toml", &text, Path::new("graphs")) {
            Ok(graph) => check(&graph, &glad::nodes::registry())
                .err()
                .expect("it is refused")
                .to_string(),
            Err(problems) => problems.to_string(),
        };
        assert!(printed.contains("error"), "{printed}");
    }
}

#[test]
fn a_setting_or_another_file_given_as_a_graph_is_one_error() {
    use crate::common::{graph, repository, smoke};
    let cargo = repository().join("Cargo.toml");
    for (options, message) in [
        (LoadOptions::of(smoke()), "is no whole graph: it has no `streams`"),
        (
            LoadOptions::of(graph("settings/mini.toml")),
            "this file is a setting, not a graph",
        ),
        (
            LoadOptions::of(&cargo),
            "is no graph: none of its keys is one of a graph",
        ),
        (
            LoadOptions {
                setting: Some(graph("dann.toml").into()),
                ..LoadOptions::of(graph("gap.toml"))
            },
            "full.toml` is a graph, not a setting",
        ),
        (
            LoadOptions {
                setting: Some(graph("dann.toml").into()),
                ..LoadOptions::of(graph("full.toml"))
            },
            "dann.toml` is laid on this graph, so it cannot be its setting",
        ),
        (
            LoadOptions {
                setting: Some(cargo.clone()),
                ..LoadOptions::of(graph("full.toml"))
            },
            "is no setting",
        ),
        (
            LoadOptions {
                with: vec![cargo.clone()],
                ..LoadOptions::of(graph("full.toml"))
            },
            "is no overlay",
        ),
        (
            LoadOptions {
                with: vec![graph("gap.toml").into()],
                ..LoadOptions::of(graph("full.toml"))
            },
            "gap.toml` is a graph of its own, not an overlay",
        ),
    ] {
        let printed = refused_with(&options);
        assert!(printed.contains(message), "{printed}");
        assert!(printed.ends_with("1 error\n"), "{printed}");
    }
    let overlay = load_text(
        "o.toml",
        "drop = [\"tol\"]\nset.params.bg_prob = 0.1\n",
        Path::new("graphs"),
    );
    let printed = overlay.expect_err("it is no graph").to_string();
    assert!(
        printed.contains("o.toml` is an overlay, not a graph") && printed.ends_with("1 error\n"),
        "{printed}"
    );
}

//! The results of layers, verbs, parameters and composites.

use glad::diag::Problems;
use glad::graph::Graph;
use glad::load::{LoadOptions, effective, explain, load};
use std::path::PathBuf;

/// A graph of a few kinds, which is loaded and not checked.
const BASE: &str = r#"
streams = ["source", "target"]
dims = { K = 3 }
run = ["main"]
params = { rate = 0.1, double = "$rate", size = { short = 8 } }

[nodes.videos]
kind = "video_list"
list = "list.txt"

[nodes.a]
kind = "one"
size = "$size"
x.y = [1, 2]
source.x.z = 3
inputs = { x = "videos.video" }

[nodes.loss]
kind = "loss"
inputs = { x = ["a.y@source", "a.y@target"] }

[phases.main]
steps = 2
batch = 4
losses = { loss = 1 }
reset = ["a"]
optimizer = { lr = "$double", schedule = "constant", groups = [{ nodes = ["a", "loss"], lr_scale = 2 }, { nodes = ["a"] }] }
nodes.a = { x.y = [3] }

[views.infer]
roots = ["a.y", "loss.x"]
"#;

/// A folder with these files; loads `graph`.
fn loaded(files: &[(&str, &str)], options: LoadOptions) -> Result<Graph, Problems> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("base.toml"), BASE).unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let inside = |p: PathBuf| folder.path().join(p);
    load(&LoadOptions {
        graph: inside(options.graph),
        setting: options.setting.map(inside),
        with: options.with.into_iter().map(inside).collect(),
        set: options.set,
    })
}

fn overlaid(text: &str) -> Graph {
    let text = format!("extends = \"base.toml\"\n{text}");
    loaded(&[("x.toml", &text)], LoadOptions::of("x.toml")).unwrap_or_else(|p| panic!("{text}\n{p}"))
}

fn refs(g: &Graph, node: &str, port: &str) -> Vec<String> {
    let all = g.nodes[node].inputs.get(port);
    all.into_iter()
        .flatten()
        .map(|r| format!("{}.{}", r.value.node, r.value.port))
        .collect()
}

#[test]
fn parameters_keep_their_types() {
    let g = overlaid("set.params.rate = 0.5");
    assert_eq!(g.phases["main"].optimizer.lr, 0.5);
    assert_eq!(g.nodes["a"].params["size"].to_string(), "{ short = 8 }");
    assert!(g.notes.is_empty(), "`rate` is used, by `double`");
    let g = overlaid("params.spare = 1");
    assert!(g.notes[0].message.contains("spare"));
}

#[test]
fn verbs_before_plain_tables() {
    // Dropped and written anew in one file.
    let g = overlaid(
        "drop = [\"phases.main.optimizer\"]\n[phases.main.optimizer]\nlr = 3\nschedule = { kind = \"step\", at = [1], gamma = 0.5 }",
    );
    assert_eq!(g.phases["main"].optimizer.lr, 3.0);
    assert!(g.phases["main"].optimizer.groups.is_empty());
    // A node of the same file may be bypassed.
    let g = overlaid("bypass = [\"b\"]\nnodes.b = { kind = \"two\", inputs = { x = \"a.y\" } }");
    assert!(g.nodes["b"].bypass.is_some() && g.nodes["a"].bypass.is_none());
}

#[test]
fn lists_are_patched() {
    let g = overlaid("append.nodes.a.inputs.x = [\"videos.other\"]\nremove.nodes.loss.inputs.x = [\"a.y@target\"]");
    assert_eq!(refs(&g, "a", "x"), ["videos.video", "videos.other"]);
    assert_eq!(refs(&g, "loss", "x"), ["a.y"]);
    let g = overlaid("append.nodes.a.x.y = [2, 5]");
    assert_eq!(g.nodes["a"].params["x"].to_string(), "{ y = [1, 2, 2, 5] }");
}

#[test]
fn replaced_whole() {
    let g = overlaid("[replace.nodes.a]\nkind = \"three\"");
    assert_eq!(g.nodes["a"].kind.value, "three");
    assert!(g.nodes["a"].params.is_empty() && g.nodes["a"].inputs.is_empty());
    // It stays in its position.
    assert_eq!(g.nodes.get_index_of("a"), Some(1));
}

#[test]
fn a_dropped_node_leaves_groups_and_roots() {
    let g = overlaid("drop = [\"a\"]\nset.nodes.loss.inputs.x = \"videos.video\"");
    let groups = &g.phases["main"].optimizer.groups;
    assert_eq!(groups.len(), 1, "a group of nothing would be a group of all");
    assert_eq!(groups[0].nodes[0].value, "loss");
    assert!(g.phases["main"].reset.is_empty() && g.phases["main"].nodes.is_empty());
    assert_eq!(g.views["infer"].roots.len(), 1);
}

#[test]
fn a_composites_defaults_may_use_its_other_parameters() {
    let graph = r#"
extends = "base.toml"

[nodes.c]
kind   = "c.toml"
inputs = { x = "a.y" }

[nodes.d]
kind   = "c.toml"
width  = 5
inputs = { x = "a.y" }
"#;
    let composite = r#"
[composite]
inputs  = ["x"]
outputs = { y = "n.y" }

[composite.params]
width  = 3
hidden = "$width"

[nodes.n]
kind   = "k"
hidden = "$hidden"
width  = "$width"
inputs = { x = "in.x" }
"#;
    let g = loaded(&[("g.toml", graph), ("c.toml", composite)], LoadOptions::of("g.toml"))
        .unwrap_or_else(|p| panic!("{p}"));
    for (node, width) in [("c.n", "3"), ("d.n", "5")] {
        for name in ["width", "hidden"] {
            assert_eq!(g.nodes[node].params[name].to_string(), width, "{node}.{name}");
        }
    }
}

#[test]
fn layers_are_laid_once_and_in_order() {
    let files = [
        ("setting.toml", "dims.T = 4\nnodes.a.extra = 1"),
        ("other/setting.toml", "extends = \"../setting.toml\"\nset.dims.T = 6"),
        (
            "x.toml",
            "extends = [\"base.toml\", \"y.toml\"]\nsetting = \"setting.toml\"",
        ),
        ("y.toml", "extends = \"base.toml\"\ntitle = \"y\""),
        ("w/with.toml", "extends = \"../base.toml\"\nset.title = \"with\""),
    ];
    let g = loaded(&files, LoadOptions::of("x.toml")).unwrap_or_else(|p| panic!("{p}"));
    assert_eq!((g.dims["T"].value, g.title.as_ref().unwrap().value.as_str()), (4, "y"));
    let options = LoadOptions {
        with: vec!["w/with.toml".into()],
        setting: Some("other/setting.toml".into()),
        set: vec!["dims.K=7".into(), "nodes.a.extra=2".into()],
        ..LoadOptions::of("x.toml")
    };
    let g = loaded(&files, options).unwrap_or_else(|p| panic!("{p}"));
    assert_eq!(
        (
            g.dims["T"].value,
            g.dims["K"].value,
            g.title.as_ref().unwrap().value.as_str()
        ),
        (6, 7, "with")
    );
    assert_eq!(g.history.layers.len(), 8);
    let reported = explain(&g, "nodes.a.extra").unwrap();
    assert!(reported.starts_with("nodes.a.extra = 2\n  --set set 2\n"), "{reported}");
    assert!(reported.contains("setting.toml:2 wrote 1"), "{reported}");
}

const INNER: &str = r#"
[composite]
inputs  = ["x", "y"]
outputs = { out = "last.y", through = "in.x", first = "deep.first" }
params  = { n = 1, form = {} }

[nodes.deep]
kind   = "deep.toml"
inputs = { x = ["in.x", "in.y"] }

[nodes.last]
kind   = "last"
n      = "$n"
form   = "$form"
only   = ["source", "target"]
inputs = { x = "deep.first", y = "in.y", z = ["in.x", "deep.first@source"] }
"#;

const DEEP: &str = r#"
composite = { inputs = ["x"], outputs = { first = "first.y" } }

[nodes.first]
kind   = "first"
inputs = { x = "in.x" }
"#;

#[test]
fn composites_nest() {
    let graph = r#"
extends = "../base.toml"

[nodes.c]
kind       = "../lib/inner.toml"
form       = "f"
only       = ["source"]
train_only = true
inputs     = { x = ["a.y", "a.z@target"] }

[nodes.d]
kind   = "d"
inputs = { p = "c.through", q = "c.first@source", r = "c.last.y" }

[phases.main]
losses = { c = 2.0, total = { of = "c.first", weight = 3 } }
nodes.c = { n = 4, form = "g" }
nodes."c.last" = { n = 5 }
frozen = ["c.deep"]
"#;
    let files = [
        ("sub/g.toml", graph),
        ("lib/inner.toml", INNER),
        ("lib/deep.toml", DEEP),
    ];
    let g = loaded(&files, LoadOptions::of("sub/g.toml")).unwrap_or_else(|p| panic!("{p}"));
    assert_eq!(refs(&g, "c.deep.first", "x"), ["a.y", "a.z"], "`in.y` is not connected");
    assert_eq!(refs(&g, "c.last", "x"), ["c.deep.first.y"]);
    assert!(!g.nodes["c.last"].inputs.contains_key("y"));
    assert_eq!(refs(&g, "c.last", "z"), ["a.y", "a.z", "c.deep.first.y"]);
    let streams: Vec<_> = g.nodes["c.last"].inputs["z"]
        .iter()
        .map(|r| r.value.stream.as_deref())
        .collect();
    assert_eq!(streams, [None, Some("target"), Some("source")]);
    assert_eq!(refs(&g, "d", "p"), ["a.y", "a.z"]);
    assert_eq!(
        (refs(&g, "d", "q"), refs(&g, "d", "r")),
        (vec!["c.deep.first.y".into()], vec!["c.last.y".into()])
    );
    let last = &g.nodes["c.last"];
    let only: Vec<_> = last.only.as_ref().unwrap().iter().map(|s| s.value.as_str()).collect();
    assert_eq!((only, last.train_only), (vec!["source"], true));
    let inside = |n: &str| g.nodes[n].inside.iter().map(|s| s.value.clone()).collect::<Vec<_>>();
    assert_eq!(inside("c.deep.first"), ["c", "c.deep"]);
    let loss = |n: &str| &g.phases["main"].losses[n].target.value;
    assert_eq!(
        (loss("c").node.as_str(), loss("total").node.as_str()),
        ("c.last", "c.deep.first")
    );
    let changed = &g.phases["main"].nodes;
    assert_eq!(
        changed.keys().collect::<Vec<_>>(),
        ["c.last", "a"],
        "nothing of `c.deep` differs"
    );
    let last = &changed["c.last"].value;
    assert_eq!(
        (last["n"].to_string(), last["form"].to_string()),
        ("5".into(), "\"g\"".into())
    );
    assert_eq!(g.nodes["c.last"].params["n"].to_string(), "1");
    assert!(effective(&g).contains("[nodes.\"c.deep.first\"]"));
    assert!(
        explain(&g, "nodes.c")
            .unwrap()
            .contains("made of ../lib/inner.toml: c.deep.first, c.last")
    );
}

/// Reading from a named pipe blocks until somebody writes to it.
#[test]
#[cfg(unix)]
fn a_graph_or_setting_that_is_no_file_is_refused_unopened() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe.toml");
    assert!(
        std::process::Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
    );
    let mut options = LoadOptions::of("base.toml");
    options.setting = Some(pipe.clone());
    for options in [LoadOptions::of(pipe.clone()), options] {
        let p = loaded(&[], options).unwrap_err();
        let printed = &p.list[0].message;
        assert!(
            printed.contains("pipe.toml`: it is a named pipe, not a file"),
            "{printed}"
        );
    }
    let p = loaded(&[], LoadOptions::of("/dev/zero")).unwrap_err();
    assert!(p.list[0].message.contains("it is a device, not a file"));
    let p = loaded(&[], LoadOptions::of(".")).unwrap_err();
    assert!(p.list[0].message.contains("it is a folder"));
}

#[test]
fn a_missing_graph_has_no_place_but_a_hint() {
    let p = loaded(&[], LoadOptions::of("bsae.toml")).unwrap_err();
    assert!(p.list[0].help.as_ref().unwrap().contains("did you mean `base.toml`?"));
}

#[test]
fn what_is_under_a_setting_is_a_layer_there_and_nothing_elsewhere() {
    let of = |graph: &str, setting: Option<&str>, with: &[&str]| {
        let files = [
            ("small.toml", "dims.T = 4"),
            ("large.toml", "extends = \"small.toml\""),
            (
                "x.toml",
                "extends = \"base.toml\"\nset.phases.main.batch = 3\n[under.small]\nset.phases.main.steps = 7\ndims.Z = 5",
            ),
            ("y.toml", "extends = \"x.toml\"\nset.phases.main.steps = 9"),
            (
                "with.toml",
                "under.small.set.phases.main.batch = 8\nunder.small.drop = [\"views.infer\"]",
            ),
        ];
        let mut options = LoadOptions::of(graph);
        options.setting = setting.map(PathBuf::from);
        options.with = with.iter().map(PathBuf::from).collect();
        loaded(&files, options).unwrap_or_else(|p| panic!("{graph} {setting:?}\n{p}"))
    };
    let lengths = |g: &Graph| {
        effective(g)
            .lines()
            .filter(|l| l.starts_with("steps = ") || l.starts_with("batch = "))
            .collect::<Vec<_>>()
            .join(" ")
    };
    let there = of("x.toml", Some("small.toml"), &[]);
    assert_eq!(lengths(&there), "steps = 7 batch = 3");
    assert_eq!(there.dims["Z"].value, 5);
    let story = explain(&there, "phases.main.steps").unwrap();
    assert!(
        story.contains("x.toml:4 set 7") && story.contains("base.toml"),
        "{story}"
    );
    // By the name alone, also where the setting extends that one.
    for setting in [None, Some("large.toml")] {
        let elsewhere = of("x.toml", setting, &[]);
        assert_eq!(lengths(&elsewhere), "steps = 2 batch = 3");
        assert!(!elsewhere.dims.contains_key("Z") && !effective(&elsewhere).contains("under"));
    }
    // It is right above its file, and below what extends that.
    assert_eq!(lengths(&of("y.toml", Some("small.toml"), &[])), "steps = 9 batch = 3");
    let with = of("x.toml", Some("small.toml"), &["with.toml"]);
    assert_eq!((lengths(&with).as_str(), with.views.len()), ("steps = 7 batch = 8", 0));
    assert_eq!(of("x.toml", None, &["with.toml"]).views.len(), 1);
}

#[test]
fn a_misspelt_setting_is_reported() {
    let warned = |name: &str| {
        let g = overlaid(&format!("under.{name}.set.phases.main.steps = 7"));
        g.notes
            .iter()
            .map(|n| (n.message.clone(), n.help.clone()))
            .collect::<Vec<_>>()
    };
    let [(message, help)] = &warned("minni")[..] else {
        panic!()
    };
    assert!(message.contains("`under.minni`"), "{message}");
    assert_eq!(help.as_deref(), Some("did you mean `mini`?"));
    assert!(warned("mini").is_empty() && warned("quite_another").is_empty());
}

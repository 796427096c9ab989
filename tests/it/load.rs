//! Loading the graphs of the repository: they load, their effective form loads to the same, `explain` and `diff` work
//! on them.

use glad::diag::Problems;
use glad::graph::Graph;
use glad::load::{LoadOptions, diff, effective, explain, load, load_text};
use std::path::{Path, PathBuf};

fn full() -> LoadOptions {
    LoadOptions::of("graphs/full.toml")
}

fn loaded(options: &LoadOptions) -> Graph {
    load(options).unwrap_or_else(|p| panic!("{options:?}\n{p}"))
}

/// Every experiment in graphs/: what has a setting or extends something; not composites, settings and tables.
fn experiments() -> Vec<PathBuf> {
    let mut found = vec![];
    let mut folders = vec![PathBuf::from("graphs")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_string();
            if path.is_dir() {
                if !["lib", "settings", "tables"].contains(&name.as_str()) {
                    folders.push(path);
                }
            } else if name.ends_with(".toml") {
                found.push(path);
            }
        }
    }
    found.sort();
    assert!(found.len() > 1);
    found
}

#[test]
fn the_full_graph() {
    let g = loaded(&full());
    let run: Vec<&str> = g.run.iter().map(|r| r.value.as_str()).collect();
    assert_eq!(run, ["pretrain", "warmup", "main"]);
    assert_eq!(g.dims["K"].value, 12);
    let tol = &g.phases["main"].losses["tol"];
    assert_eq!(
        (tol.target.value.node.as_str(), tol.target.value.port.as_str()),
        ("tol.ce", "loss")
    );
    assert_eq!(tol.weight.value, 0.1);
    let rows = &g.nodes["align_x.rows"];
    let sources: Vec<_> = rows.inputs["source"]
        .iter()
        .map(|r| (&*r.value.node, r.value.stream.as_deref()))
        .collect();
    assert_eq!(
        sources,
        [("global_mean", Some("source")), ("local_mean", Some("source"))]
    );
    assert_eq!(rows.inside[0].value, "align_x");
    assert!(g.nodes["videos"].per_stream.contains_key("auxiliary"));
    assert_eq!(g.nodes["videos"].folder, Path::new("graphs/settings"));
    assert_eq!(g.nodes["tol.head"].folder, Path::new("graphs/lib"));
}

#[test]
fn effective_graphs_load_to_the_same_from_any_folder() {
    let elsewhere = tempfile::tempdir().unwrap();
    for path in experiments() {
        let g = loaded(&LoadOptions::of(&path));
        let text = effective(&g);
        let again = load_text("graph.toml", &text, elsewhere.path())
            .unwrap_or_else(|p| panic!("{}\n{p}\n{text}", path.display()));
        assert_eq!(diff(&g, &again), "", "{}", path.display());
        assert_eq!(again.history.layers.len(), 1);
        // To the byte, so that a run made from one resumes from the other.
        assert_eq!(effective(&again), text);
    }
}

#[test]
fn settings_replace_each_other() {
    let mini = loaded(&full());
    for entry in std::fs::read_dir("graphs/settings").unwrap() {
        let setting = entry.unwrap().path();
        let with = |graph: &str| LoadOptions {
            setting: Some(setting.clone()),
            ..LoadOptions::of(graph)
        };
        if setting.to_string_lossy().ends_with("_flow.toml") {
            // For graphs with a second modality.
            loaded(&with("graphs/methods/mm_sada.toml"));
            let missing = load(&with("graphs/full.toml")).unwrap_err().to_string();
            assert!(missing.contains("unknown node `flow_decode`"), "{missing}");
            continue;
        }
        let differs = !diff(&mini, &loaded(&with("graphs/full.toml"))).is_empty();
        assert_eq!(differs, !setting.ends_with("mini.toml"), "{}", setting.display());
    }
}

fn with_set(set: &[&str]) -> Result<Graph, Problems> {
    load(&LoadOptions {
        set: set.iter().map(|s| s.to_string()).collect(),
        ..full()
    })
}

#[test]
fn the_command_line_sets() {
    let base = loaded(&full());
    let changed = |set: &[&str]| diff(&base, &with_set(set).unwrap_or_else(|p| panic!("{set:?}\n{p}")));
    assert_eq!(
        changed(&["params.bg_weight=0.75"]),
        "~ nodes.bg_mix.weight  0.5 → 0.75\n"
    );
    assert_eq!(changed(&["params.grl=constant"]).lines().count(), 3);
    assert_eq!(changed(&["dims.T = 4"]), "~ dims.T  8 → 4\n");
    // A value that no file writes: a parameter of the kind, which the checker knows.
    assert_eq!(
        changed(&["nodes.videos.generate.mini.seed=3"]),
        "+ nodes.videos.generate.mini.seed  3\n"
    );
    assert_eq!(changed(&["title=a b"]), "~ title  \"GLAD\" → \"a b\"\n");
    assert_eq!(changed(&["run=[\"main\"]"]), "- run  pretrain, warmup\n");
    assert_eq!(changed(&["append.run=[\"infer\"]"]), "+ run  infer\n");
    assert_eq!(
        changed(&["nodes.local.ordered=true", "nodes.local.ordered=false"])
            .lines()
            .count(),
        changed(&["nodes.local.ordered=false"]).lines().count()
    );
    assert!(changed(&["drop=tol"]).contains("- nodes.tol"));
    assert!(changed(&["setting=graphs/settings/smoke.toml"]).contains("nodes.videos.generate.mini.source_train"));
}

#[test]
fn a_dropped_node_leaves_every_list() {
    let text = "extends = \"full.toml\"\ndrop = [\"tol\"]\ntitle_ = 1\n".replace("title_ = 1\n", "");
    let g = load_text("no_tol.toml", &text, Path::new("graphs")).unwrap_or_else(|p| panic!("{p}"));
    assert!(!g.nodes.keys().any(|k| k.starts_with("tol")));
    assert!(!g.phases.contains_key("warmup"), "its only loss was `tol`");
    assert!(g.run.iter().all(|r| r.value != "warmup"));
    assert!(g.phases["main"].reset.is_empty());
    assert!(g.phases["main"].losses.contains_key("ce"));
    let notes: Vec<&str> = g.notes.iter().map(|n| n.message.as_str()).collect();
    assert!(notes.iter().any(|n| n.contains("phase `warmup`")), "{notes:?}");
    let reported = explain(&g, "tol").unwrap();
    assert!(reported.contains("dropped in graphs/no_tol.toml:2"), "{reported}");
}

#[test]
fn nodes_inside_composites_may_be_bypassed_and_referred_to() {
    let text = "extends = \"full.toml\"\nbypass = [\"align_g.grl\"]\nappend.views.infer.roots = [\"align_g.mlp.logits\", \"align_l.accuracy\"]\n";
    let g = load_text("x.toml", text, Path::new("graphs")).unwrap_or_else(|p| panic!("{p}"));
    assert!(g.nodes["align_g.grl"].bypass.is_some());
    let roots: Vec<(&str, &str)> = g.views["infer"]
        .roots
        .iter()
        .map(|r| (&*r.value.node, &*r.value.port))
        .collect();
    assert!(roots.contains(&("align_g.mlp", "logits")) && roots.contains(&("align_l.bce", "accuracy")));
    let again = load_text("y.toml", &effective(&g), Path::new("")).unwrap_or_else(|p| panic!("{p}"));
    assert_eq!(diff(&g, &again), "");
}

fn reported(options: &LoadOptions, path: &str) -> String {
    explain(&loaded(options), path).unwrap_or_else(|e| e)
}

#[test]
fn explained() {
    let tuned = LoadOptions {
        set: vec!["params.order_hidden=64".into(), "nodes.tol.form=mlp".into()],
        ..full()
    };
    let mut out = String::new();
    for path in [
        "nodes.tol.hidden",
        "tol.head.hidden",
        "nodes.tol",
        "main.losses.tol",
        "run",
        "params.order_hiden",
        "nodes.tol.hiden",
    ] {
        out.push_str(&format!("$ explain {path}\n{}\n\n", reported(&tuned, path).trim_end()));
    }
    let teacher = LoadOptions::of("graphs/methods/mean_teacher.toml");
    for path in ["teacher", "teacher.depth"] {
        out.push_str(&format!(
            "$ explain {path}\n{}\n\n",
            reported(&teacher, path).trim_end()
        ));
    }
    let judge = "extends = \"full.toml\"\n[nodes.judge]\nweights = { of = \"align_g\", ema = 0.9 }\ninputs = { source = \
                 \"consensus.y@source\", target = \"consensus.y@target\" }\n";
    let judge = load_text("judge.toml", judge, Path::new("graphs")).unwrap_or_else(|p| panic!("{p}"));
    out.push_str(&format!(
        "$ explain judge.mlp\n{}\n",
        explain(&judge, "judge.mlp").unwrap()
    ));
    insta::assert_snapshot!(out);
}

#[test]
fn a_node_that_names_anothers_weights_is_as_that_one() {
    let g = loaded(&LoadOptions::of("graphs/methods/mean_teacher.toml"));
    let (teacher, backbone) = (&g.nodes["teacher"], &g.nodes["backbone"]);
    assert_eq!(teacher.kind.value, backbone.kind.value);
    // All but what its weights start from.
    let params = |n: &glad::graph::NodeDef| {
        let all = n.params.iter().filter(|(name, _)| *name != "init");
        all.map(|(name, t)| format!("{name} = {t}")).collect::<Vec<_>>()
    };
    assert_eq!(params(teacher), params(backbone));
    assert!(backbone.params.contains_key("init") && !teacher.params.contains_key("init"));
}

#[test]
fn differences_are_listed() {
    let tuned = LoadOptions {
        set: vec![
            "params.order_hidden=64".into(),
            "nodes.tol.form=mlp".into(),
            "drop=align_x".into(),
            "phases.main.dims.L=3".into(),
        ],
        ..full()
    };
    insta::assert_snapshot!(diff(&loaded(&full()), &loaded(&tuned)));
}

/// MCD with an overlay on it.
fn mcd(overlay: &str) -> Graph {
    let text = format!("extends = \"methods/mcd.toml\"\n{overlay}");
    load_text("overlay.toml", &text, Path::new("graphs")).unwrap_or_else(|p| panic!("{p}"))
}

#[test]
fn a_layer_changes_one_round() {
    let base = mcd("");
    let changed = |overlay: &str| diff(&base, &mcd(overlay));
    assert_eq!(
        changed("set.phases.main.rounds.features.repeat = 2"),
        "~ phases.main.rounds.features.repeat  4 → 2\n"
    );
    assert_eq!(
        changed("append.phases.main.rounds.features.train = [\"classify\"]"),
        "+ phases.main.rounds.features.train  classify\n"
    );
    assert_eq!(
        changed("drop = [\"phases.main.rounds.all\"]"),
        "- phases.main.rounds.all.losses.ce         1.0\n- phases.main.rounds.all.losses.second_ce  1.0\n"
    );
    let names = |g: &Graph| {
        g.phases["main"]
            .rounds
            .iter()
            .map(|r| r.name.clone())
            .collect::<Vec<_>>()
    };
    // A loss is dropped from all rounds, and a round without one is left out; so is what names a node.
    let alone = mcd("drop = [\"second\", \"second_ce\", \"apart\"]");
    assert_eq!(names(&alone), ["all", "classifiers"]);
    assert_eq!(
        alone.phases["main"].losses.keys().collect::<Vec<_>>(),
        ["all/ce", "classifiers/ce"]
    );
    let train = alone.phases["main"].rounds[1].train.as_ref().unwrap();
    assert_eq!(train.iter().map(|n| n.value.as_str()).collect::<Vec<_>>(), ["classify"]);
    let notes: Vec<&str> = alone.notes.iter().map(|n| n.message.as_str()).collect();
    assert!(
        notes.contains(&"round `features` of phase `main` has no loss, so it is left out"),
        "{notes:?}"
    );
    assert!(!mcd("drop = [\"phases.main.rounds\"]").phases.contains_key("main"));
    // Those of a layer above come after those below, and their order is a difference.
    let after = mcd("[phases.main.rounds.last]\nlosses = { ce = 0.5 }");
    assert_eq!(names(&after), ["all", "classifiers", "features", "last"]);
    let turned =
        "drop = [\"phases.main.rounds.all\"]\n[phases.main.rounds.all]\nlosses = { ce = 1.0, second_ce = 1.0 }";
    assert_eq!(
        changed(turned),
        "~ phases.main.rounds  all, classifiers, features → classifiers, features, all\n"
    );
    let whole = explain(&base, "phases.main.rounds.features.repeat").unwrap();
    assert_eq!(
        whole,
        "phases.main.rounds.features.repeat = 4\n  graphs/methods/mcd.toml:32 wrote 4\n"
    );
}

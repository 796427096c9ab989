//! The checker's result for graphs that it accepts. Those that it refuses: `bad_graphs/check_*.toml`.

use glad::check::{absent, check};
use glad::diag::{Problems, Severity};
use glad::graph::Graph;
use glad::load::load_text;
use glad::nodes::{Body, Side};
use glad::program::Checked;
use glad::program::{Call, Program};
use proptest::prelude::*;
use std::path::Path;

/// An overlay on the whole method, as if it were stored next to it.
fn graph(overlay: &str) -> Graph {
    let text = format!("extends = \"full.toml\"\n{overlay}");
    load_text("overlay.toml", &text, Path::new("graphs")).unwrap_or_else(|p| panic!("{p}"))
}

fn try_check(graph: &Graph) -> Result<Checked, Problems> {
    check(graph, &glad::nodes::registry())
}

fn checked(overlay: &str) -> Checked {
    try_check(&graph(overlay)).unwrap_or_else(|p| panic!("{p}"))
}

fn refused(overlay: &str) -> String {
    match try_check(&graph(overlay)) {
        Ok(_) => panic!("accepted: {overlay}"),
        Err(p) => p.to_string(),
    }
}

fn calls<'p>(p: &'p Program, node: &str) -> Vec<&'p Call> {
    p.calls.iter().filter(|c| c.node == node).collect()
}

/// The streams in which a node runs.
fn streams<'p>(p: &'p Program, node: &str) -> Vec<&'p str> {
    calls(p, node)
        .iter()
        .map(|c| c.stream.map_or("-", |s| p.streams[s].as_str()))
        .collect()
}

/// The inputs at a port of the `i`-th call of a node, by name.
fn arrives<'p>(p: &'p Program, node: &str, i: usize, port: &str) -> Vec<&'p str> {
    let call = calls(p, node)[i];
    let ids = call
        .inputs
        .iter()
        .find(|(n, _)| n == port)
        .map_or(&[][..], |(_, ids)| ids);
    ids.iter().map(|id| p.values[id.0].name.as_str()).collect()
}

fn ty(p: &Program, value: &str) -> String {
    let v = p
        .values
        .iter()
        .find(|v| v.name == value)
        .unwrap_or_else(|| panic!("no value {value}"));
    v.ty.to_string()
}

fn sign(p: &Program, loss: &str, node: &str) -> Option<i8> {
    p.reach
        .iter()
        .find(|r| r.loss == loss && r.node == node)
        .map(|r| r.sign)
}

/// Every value is computed before it is used, by the call that it names; indices are all in range.
fn sound(p: &Program) {
    let mut made = vec![false; p.values.len()];
    for (i, c) in p.calls.iter().enumerate() {
        for id in c.inputs.iter().flat_map(|(_, v)| v) {
            assert!(made[id.0], "{} uses {} before it is made", c.node, p.values[id.0].name);
        }
        assert_eq!(c.outputs.len(), c.ports.len());
        for id in c.outputs.iter().flatten() {
            assert_eq!(p.values[id.0].call, i);
            assert!(!made[id.0]);
            made[id.0] = true;
        }
        assert!(c.body < p.bodies.len());
        assert!(c.side == Side::Device || c.stream.is_some() || c.whole_list.is_some() || c.inputs.is_empty());
    }
    assert!(made.iter().all(|m| *m));
    assert_eq!(p.sources.len(), p.streams.len());
    for (s, i) in p.sources.iter().enumerate() {
        assert_eq!(p.calls[*i].stream, Some(s));
        assert!(matches!(p.bodies[p.calls[*i].body], Body::Source(_)));
    }
    for r in &p.reach {
        assert!(p.weights.contains_key(&r.node));
    }
}

#[test]
fn the_method_has_its_types_in_every_phase() {
    let c = checked("");
    c.phases.values().chain(c.views.values()).for_each(sound);
    let (warmup, main) = (&c.phases["warmup"], &c.phases["main"]);
    assert_eq!(ty(warmup, "tol.head.logits@source"), "Logits[B,6]");
    assert_eq!(ty(main, "tol.head.logits@target"), "Logits[B,2]");
    assert_eq!(ty(main, "align_x.rows.x"), "Feature[4*B,64]");
    assert_eq!(ty(main, "decode.clips@source"), "Clip[B,3,8,~,~,3]");
    assert_eq!(ty(&c.views["infer"], "scores.mean_class_accuracy@target"), "Metric[]");
}

#[test]
fn what_is_not_needed_does_not_run() {
    let c = checked("");
    let warmup = &c.phases["warmup"];
    // G = 0: a sampler without clips, what only losses of `main` need, and the labels.
    for node in [
        "global",
        "global_mean",
        "consensus",
        "classify",
        "ce",
        "align_g.mlp",
        "scores",
    ] {
        assert!(calls(warmup, node).is_empty(), "{node}");
    }
    assert!(warmup.values.iter().all(|v| !v.name.starts_with("videos.label")));
    assert_eq!(arrives(warmup, "decode", 0, "index"), ["local.index@source"]);
    let infer = &c.views["infer"];
    for node in [
        "tol.head",
        "align_g.mlp",
        "views",
        "bg_mix",
        "backgrounds",
        "augment.flip",
    ] {
        assert!(calls(infer, node).is_empty(), "{node}");
    }
    // A port that nothing needs has no value, though the node runs.
    let batch = calls(infer, "batch")[0];
    let valid = batch.ports.iter().position(|p| p == "valid");
    assert!(valid.is_none_or(|i| batch.outputs[i].is_none()));
    assert!(batch.inputs.iter().all(|(p, _)| p != "valid"));
}

#[test]
fn nodes_exist_once_per_stream_or_once() {
    let c = checked("");
    let main = &c.phases["main"];
    assert_eq!(main.streams, ["source", "target"]);
    assert_eq!(streams(main, "tol.head"), ["source", "target"]);
    assert_eq!(streams(main, "ce"), ["-"]);
    assert_eq!(arrives(main, "ce", 0, "logits"), ["classify.logits@source"]);
    // `classify` is only needed in the source.
    assert_eq!(streams(main, "classify"), ["source"]);
    // A port that takes all streams takes them in the order of the graph.
    assert_eq!(
        arrives(main, "tol.ce", 0, "logits"),
        ["tol.head.logits@source", "tol.head.logits@target"]
    );
    assert_eq!(
        arrives(main, "align_x.rows", 0, "source"),
        ["global_mean.y@source", "local_mean.y@source"]
    );
    // Joint batch statistics: one call, its inputs and outputs stream by stream.
    let backbone = calls(main, "backbone");
    assert_eq!(backbone.len(), 1);
    assert_eq!(backbone[0].joint.as_deref(), Some(&[0, 1][..]));
    assert_eq!(
        arrives(main, "backbone", 0, "clips"),
        ["normalize.clips@source", "normalize.clips@target"]
    );
    let outputs: Vec<&str> = backbone[0]
        .outputs
        .iter()
        .flatten()
        .map(|id| main.values[id.0].name.as_str())
        .collect();
    assert_eq!(outputs, ["backbone.feature@source", "backbone.feature@target"]);
    // A phase with its own streams.
    assert_eq!(c.phases["pretrain"].streams, ["auxiliary"]);
    assert_eq!(streams(&c.phases["pretrain"], "videos"), ["auxiliary"]);
}

#[test]
fn what_is_bypassed_is_passed_by() {
    let c = checked("");
    let main = &c.phases["main"];
    // `only = ["source"]`: in the target the clips bypass it.
    assert_eq!(streams(main, "bg_mix"), ["source"]);
    assert_eq!(arrives(main, "batch", 0, "clips"), ["bg_mix.clips@source"]);
    assert_eq!(arrives(main, "batch", 1, "clips"), ["augment.centre.clips@target"]);
    // `train_only`: in a view in every stream.
    assert_eq!(
        arrives(&c.views["infer"], "batch", 0, "clips"),
        ["augment.centre.clips@source"]
    );
    assert_eq!(
        arrives(&c.views["infer"], "augment.centre", 0, "clips"),
        ["augment.resize.clips@source"]
    );
    // `bypass`: everywhere, and what only it needed is gone.
    let c = checked("bypass = [\"bg_mix\"]");
    let main = &c.phases["main"];
    assert!(calls(main, "bg_mix").is_empty() && calls(main, "backgrounds").is_empty());
    assert_eq!(arrives(main, "batch", 0, "clips"), ["augment.centre.clips@source"]);
}

#[test]
fn references_that_do_not_count_cost_nothing() {
    let two = |take: &str| {
        format!(
            r#"
            [nodes.second]
            kind = "window_sampler"
            train_only = true
            clips = "L"
            frames = "T"
            stride = 4
            inputs = {{ video = "videos.video" }}
            [nodes.decode_second]
            kind = "decoder"
            inputs = {{ video = "videos.video", index = "second.index" }}
            [nodes.jitter]
            kind = "colour_jitter"
            hue = 0.1
            inputs = {{ clips = "decode_second.clips" }}
            [nodes.crop]
            kind = "random_crop"
            size = 48
            inputs = {{ clips = "jitter.clips" }}
            [nodes.join]
            kind = "join_clips"
            inputs = {{ clips = ["bg_mix.clips", "crop.clips"] }}
            [set.nodes.batch.inputs]
            clips = "join.clips"
            [nodes.views]
            parts.second = "L"
            [views.infer.nodes]
            join = {{ {take} }}
            [views.validate.nodes]
            join = {{ take = 1 }}
            "#
        )
    };
    let c = checked(&two("take = 1"));
    let (main, warmup, infer) = (&c.phases["main"], &c.phases["warmup"], &c.views["infer"]);
    for p in c.phases.values().chain(c.views.values()) {
        sound(p);
    }
    assert_eq!(ty(main, "join.clips@target"), "Clip[B,5,8,48,48,3]");
    assert_eq!(ty(warmup, "join.clips@source"), "Clip[B,6,8,48,48,3]");
    assert_eq!(streams(main, "crop"), ["source", "target"]);
    // in a view the second chain does not run, and needs nothing
    assert_eq!(ty(infer, "join.clips@target"), "Clip[B,3,8,48,48,3]");
    for node in ["second", "decode_second", "jitter", "crop"] {
        assert!(calls(infer, node).is_empty(), "{node}");
    }
    assert!(
        refused(&two("")).contains("there is no `second.index@target`"),
        "{}",
        refused(&two(""))
    );
}

#[test]
fn a_whole_list_is_taken_once() {
    let c = checked("");
    let main = &c.phases["main"];
    let call = calls(main, "backgrounds");
    assert_eq!(call.len(), 1);
    assert_eq!(call[0].whole_list.as_deref(), Some("source"));
    assert!(matches!(main.bodies[call[0].body], Body::Resource(_)));
    // Also the list of a stream that does not run: it has a source and no samples.
    let c = checked("[set.nodes.bg_mix]\nonly = [\"source\", \"auxiliary\"]");
    let pretrain = &c.phases["pretrain"];
    sound(pretrain);
    assert_eq!(pretrain.streams, ["auxiliary"]);
    assert_eq!(calls(pretrain, "backgrounds")[0].whole_list.as_deref(), Some("source"));
    assert_eq!(streams(pretrain, "videos"), ["auxiliary", "-"]);
}

#[test]
fn parameters_of_node_stream_phase_and_both() {
    let c = checked(
        r#"
        [nodes.local.target]
        interval = 5
        [views.infer.nodes.local]
        interval = 7
        [views.infer.nodes.local.source]
        interval = 9
        "#,
    );
    let interval = |p: &Program| -> Vec<u64> {
        calls(p, "local")
            .iter()
            .map(|c| c.params["interval"].as_u64().expect("a number"))
            .collect()
    };
    // mini: local_interval 4, order_interval 2 in the warm-up.
    assert_eq!(interval(&c.phases["main"]), [4, 5]);
    assert_eq!(interval(&c.phases["warmup"]), [2, 2]);
    assert_eq!(interval(&c.views["infer"]), [9, 7]);
}

#[test]
fn calls_of_one_node_share_a_body() {
    let c = checked("");
    let main = &c.phases["main"];
    for node in ["tol.head", "decode", "local", "normalize"] {
        let all = calls(main, node);
        assert_eq!(all.len(), 2, "{node}");
        assert_eq!(all[0].body, all[1].body, "{node}");
    }
    // The lists differ by stream, so they are two.
    let videos = calls(main, "videos");
    assert_ne!(videos[0].body, videos[1].body);
}

#[test]
fn the_order_is_the_same_every_time() {
    let order = || -> Vec<String> {
        let c = checked("");
        c.phases["main"].values.iter().map(|v| v.name.clone()).collect()
    };
    assert_eq!(order(), order());
}

#[test]
fn the_audit_shows_the_reversal() {
    let c = checked("");
    let main = &c.phases["main"];
    for loss in ["align_g", "align_l", "align_x"] {
        assert_eq!(sign(main, loss, "backbone"), Some(-1), "{loss}");
        assert_eq!(sign(main, loss, &format!("{loss}.mlp")), Some(1), "{loss}");
        assert_eq!(sign(main, loss, "classify"), None, "{loss}");
    }
    assert_eq!(sign(main, "ce", "backbone"), Some(1));
    assert_eq!(sign(main, "tol", "tol.head"), Some(1));
    assert!(
        main.calls
            .iter()
            .filter(|c| main.weights.contains_key(&c.node))
            .all(|c| c.trains)
    );
    let needs = |name: &str| main.values.iter().find(|v| v.name == name).expect("a value").needs_grad;
    assert!(needs("backbone.feature@target") && needs("align_g.grl.x") && needs("ce.loss"));
    // Nothing trains before the clips, and no gradient goes to labels.
    assert!(!needs("normalize.clips@source") && !needs("tol.shuffle.order@source"));
    // Both ways at once: with a negative weight the reversal is undone.
    let c = checked("[set.phases.main.losses]\nalign_g = -1.0");
    assert_eq!(sign(&c.phases["main"], "align_g", "backbone"), Some(1));
    assert!(c.notes.to_string().contains("negative weight"), "{}", c.notes);
}

#[test]
fn what_is_frozen_needs_no_gradient() {
    let c = checked("[phases.main]\nfrozen = [\"backbone\"]");
    let main = &c.phases["main"];
    assert_eq!(main.frozen, ["backbone"]);
    assert!(!calls(main, "backbone")[0].trains && calls(main, "classify")[0].trains);
    assert_eq!(sign(main, "ce", "backbone"), None);
    assert!(
        main.values
            .iter()
            .all(|v| !v.name.starts_with("backbone.") || !v.needs_grad)
    );
}

#[test]
fn scores_that_cost_nothing_come_along() {
    let c = checked("");
    let main = &c.phases["main"];
    for score in [
        "align_g.bce.accuracy",
        "align_x.bce.accuracy",
        "ce.accuracy",
        "tol.ce.accuracy",
    ] {
        assert_eq!(ty(main, score), "Metric[]");
    }
}

#[test]
fn views_may_use_held_out_labels_and_oracles_may_train_on_them() {
    let c = checked("");
    let held = |p: &Program, name: &str| p.values.iter().find(|v| v.name == name).expect("a value").held_out;
    let infer = &c.views["infer"];
    assert!(held(infer, "scores.mean_class_accuracy@target"));
    assert!(!held(infer, "scores.mean_class_accuracy@source") && !held(infer, "classify.logits@target"));
    let train_on_target =
        "[set.nodes.ce.inputs]\nlogits = \"classify.logits@target\"\nlabel = \"batch.label@target\"\n";
    assert!(refused(train_on_target).contains("held out"));
    let c = checked(&format!("oracle = true\n{train_on_target}"));
    assert!(
        c.notes
            .to_string()
            .contains("oracle: loss `ce` depends on the labels of `target`"),
        "{}",
        c.notes
    );
    assert!(held(&c.phases["main"], "ce.loss"));
}

#[test]
fn weights_may_pass_from_phase_to_phase() {
    // Two clips in both phases: the order head is the same, and needs no reset.
    let c = checked("remove.phases.main.reset = [\"tol\"]\n[set.phases.warmup.dims]\nL = 2");
    assert!(c.phases["main"].reset.is_empty());
    assert_eq!(checked("").phases["main"].reset, ["tol.head"]);
    let c = checked("set.run = [\"main\"]");
    let notes = c.notes.to_string();
    assert!(
        notes.contains("`reset` of `tol` in phase main changes nothing"),
        "{notes}"
    );
    assert!(notes.contains("phase warmup is not in `run`"), "{notes}");
}

#[test]
fn the_best_is_chosen_by_an_oracle_with_scores() {
    let c = checked("oracle = true\nselect = \"best\"\n[phases.main]\nvalidate = \"validate\"");
    assert_eq!(c.views["validate"].split, "val");
    // Choosing by scores of the source alone needs no oracle.
    let source = "[set.views.validate]\nroots = [\"scores.mean_class_accuracy@source\"]";
    checked(&format!(
        "select = \"best\"\n{source}\n[phases.main]\nvalidate = \"validate\""
    ));
}

#[test]
fn notes_say_what_is_unused() {
    let c = checked("[nodes.extra]\nkind = \"mean\"\ninputs = { x = \"views.local\" }");
    assert!(!c.notes.has_errors());
    assert!(
        c.notes.to_string().contains("`extra` is used by no phase and no view"),
        "{}",
        c.notes
    );
    assert!(checked("").notes.list.is_empty(), "{}", checked("").notes);
    let notes = checked("drop = [\"ce\", \"scores\"]").notes.to_string();
    for stream in ["source", "target"] {
        assert!(
            notes.contains(&format!("the labels of stream {stream} are used by nothing")),
            "{notes}"
        );
    }
    let c = checked(
        "[phases.main.losses]\nunweighted = 0.0\n[nodes.unweighted]\nkind = \"entropy\"\ninputs = { logits = \"classify.logits@target\" }",
    );
    assert!(c.notes.to_string().contains("has weight 0"), "{}", c.notes);
}

#[test]
fn a_batch_may_be_cut_in_parts() {
    let c = checked("[phases.main]\nmicro_batch = 4");
    assert_eq!(c.phases["main"].batch, 4);
    assert_eq!(c.phases["warmup"].batch, 8);
    assert_eq!(c.views["infer"].batch, 25);
}

/// A graph with its data in `folder`.
fn with_lists(folder: &Path, list: &str) -> Graph {
    let text = format!(
        "extends = \"{full}\"\n[replace.nodes.videos]\nkind = \"video_list\"\nclasses = [{classes}]\nsource.list = {{ {list} }}\n\
         target.list = {{ {target} }}\nauxiliary.list = {{ {list} }}\n[phases.main]\nvalidate = \"validate\"\n",
        full = Path::new(env!("CARGO_MANIFEST_DIR")).join("graphs/full.toml").display(),
        target = list.replace("l.txt", "t.txt"),
        classes = (0..12).map(|i| format!("\"c{i}\"")).collect::<Vec<_>>().join(", "),
    );
    load_text("own.toml", &text, folder).unwrap_or_else(|p| panic!("{p}"))
}

#[test]
fn absent_data_is_a_note_and_malformed_data_an_error() {
    let folder = tempfile::tempdir().expect("a folder");
    let all = "train = \"l.txt\", val = \"l.txt\", test = \"l.txt\"";
    let g = with_lists(folder.path(), all);
    let c = try_check(&g).unwrap_or_else(|p| panic!("{p}"));
    let found = absent(&g, &c, false);
    assert!(!found.list.is_empty() && !found.has_errors(), "{found}");
    assert!(found.to_string().contains("l.txt"), "{found}");
    let with_files = absent(&g, &c, true);
    assert!(
        with_files.list.iter().all(|p| p.severity == Severity::Error),
        "{with_files}"
    );

    std::fs::write(folder.path().join("t.txt"), "c.mp4 0\nd.mp4 3\n").expect("written");
    std::fs::write(folder.path().join("l.txt"), "a.mp4 0\nb.mp4 three\n").expect("written");
    let found = absent(&g, &c, false);
    assert!(found.has_errors() && found.to_string().contains("l.txt:2"), "{found}");

    std::fs::write(folder.path().join("l.txt"), "a.mp4 0\nb.mp4 3\n").expect("written");
    assert!(!absent(&g, &c, false).has_errors(), "{}", absent(&g, &c, false));
    assert!(absent(&g, &c, true).has_errors());

    let g = with_lists(folder.path(), "train = \"l.txt\", test = \"l.txt\"");
    let c = try_check(&g).unwrap_or_else(|p| panic!("{p}"));
    let found = absent(&g, &c, false).to_string();
    assert!(found.contains("`videos` has no split `val`"), "{found}");
}

#[test]
fn every_graph_of_the_repository_is_accepted() {
    fn below(folder: &Path, all: &mut Vec<std::path::PathBuf>) {
        for e in std::fs::read_dir(folder).expect("a folder") {
            let p = e.expect("an entry").path();
            if p.is_dir() {
                below(&p, all);
            } else if p.extension().is_some_and(|e| e == "toml") {
                all.push(p);
            }
        }
    }
    let mut all = vec![];
    below(Path::new("graphs"), &mut all);
    all.sort();
    let mut seen = 0;
    for path in all {
        if ["graphs/settings", "graphs/lib"].iter().any(|f| path.starts_with(f)) {
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("readable");
        let mut top = text.lines().take_while(|l| !l.starts_with('['));
        if !top.any(|l| ["extends", "setting", "streams"].iter().any(|k| l.starts_with(k))) {
            continue;
        }
        let g = glad::load::load(&glad::load::LoadOptions::of(&path)).unwrap_or_else(|p| panic!("{p}"));
        let c = try_check(&g).unwrap_or_else(|p| panic!("{}: {p}", path.display()));
        assert!(c.notes.warnings().is_empty(), "{}: {}", path.display(), c.notes);
        c.phases.values().chain(c.views.values()).for_each(sound);
        seen += 1;
    }
    assert!(seen >= 20, "{seen}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    /// For any numbers of clips and anything left out, a graph is refused with a place, or gives programs that can be
    /// walked.
    #[test]
    fn any_sizes_and_any_parts(
        g in 0usize..4, l in 0usize..4, warm_g in 0usize..3, warm_l in 0usize..4,
        dropped in proptest::sample::subsequence(vec!["tol", "align_g", "align_l", "align_x", "ce"], 0..5),
        bypass in any::<bool>(), stats in proptest::sample::select(vec!["joint", "per_stream"]),
    ) {
        let drop: Vec<String> = dropped.iter().map(|d| format!("\"{d}\"")).collect();
        let warm = if dropped.contains(&"tol") {
            String::new()
        } else {
            format!("[set.phases.warmup.dims]\nG = {warm_g}\nL = {warm_l}\n")
        };
        let overlay = format!(
            "extends = \"full.toml\"\ndrop = [{}]\n{}\n[set.dims]\nG = {g}\nL = {l}\n{warm}[set.nodes.backbone]\nbatch_stats = \"{stats}\"\n\
             [set.views.infer.nodes.local]\ntest_starts = [{}]\n",
            drop.join(", "),
            if bypass { "bypass = [\"bg_mix\"]" } else { "" },
            (0..l).map(|i| format!("0.{i}")).collect::<Vec<_>>().join(", "),
        );
        match load_text("random.toml", &overlay, Path::new("graphs")) {
            Err(p) => prop_assert!(p.has_errors()),
            Ok(graph) => match try_check(&graph) {
                Err(p) => {
                    let errors = || p.list.iter().filter(|p| p.severity == Severity::Error);
                    prop_assert!(errors().count() > 0);
                    prop_assert!(errors().all(|p| !p.labels.is_empty()), "{p}");
                }
                Ok(c) => c.phases.values().chain(c.views.values()).for_each(sound),
            },
        }
    }
}

#[test]
fn a_loss_for_a_nodes_own_weights_reaches_no_other() {
    let critic = "[nodes.critic]\nkind = \"critic\"\ninputs = { source = \"consensus.y@source\", target = \"consensus.y@target\" }\n\
                  [phases.main.losses]\ndistance = { of = \"critic.distance\", weight = -0.1 }\npenalty = { of = \
                  \"critic.penalty\", weight = 10.0 }";
    let p = &checked(critic).phases["main"];
    assert_eq!(sign(p, "distance", "backbone"), Some(-1));
    assert_eq!(sign(p, "penalty", "backbone"), None);
    assert_eq!(sign(p, "penalty", "critic"), Some(1));
}

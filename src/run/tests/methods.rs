//! The kinds of CoMix and CO2A in graphs: the checker joins them, and the trainer takes steps with them.

use crate::load::load_text;
use crate::run::rehearsal::Rehearsal;
use candle_core::Device;
use std::collections::BTreeMap;
use std::path::Path;

const KINDS: &str = r#"
extends     = "full.toml"
set.setting = "settings/smoke.toml"

[nodes.thin]
kind   = "thin_clips"
counts = [1, 2]
inputs = { x = "backbone.feature" }

[nodes.head]
kind   = "lib/graph_head.toml"
hidden = 8
inputs = { x = "backbone.feature" }

[nodes.head_slow]
kind   = "lib/graph_head.toml"
hidden = 8
inputs = { x = "backbone.feature", keep = "thin.keep" }

[nodes.soft]
kind   = "softmax"
inputs = { x = "head.logits" }

[nodes.soft_slow]
kind   = "softmax"
inputs = { x = "head_slow.logits" }

[nodes.bgm]
kind        = "contrastive"
temperature = 0.5
inputs      = { x = ["soft.y", "soft_slow.y"] }

[nodes.pseudo]
kind   = "pseudo_label"
select = "all"
inputs = { logits = ["head.logits@target", "head_slow.logits@target"] }

[nodes.tpl]
kind        = "contrastive"
temperature = 0.5
inputs      = { x = ["soft.y@target", "soft_slow.y@target"], label = "pseudo.label", mask = "pseudo.mask" }

[nodes.attend]
kind   = "clip_attention"
inputs = { x = "backbone.feature" }

[nodes.labelled]
kind   = "pseudo_label"
select = "all"
inputs = { logits = "classify.logits@source" }

[nodes.inter]
kind        = "contrastive"
temperature = 0.5
normalize   = true
pairs       = "across"
inputs      = { x = ["attend.y@source", "attend.y@target"], label = ["batch.label@source", "pseudo.label"], mask = ["labelled.mask", "pseudo.mask"] }

[nodes.rows]
kind   = "fold"
inputs = { x = "backbone.feature" }

[nodes.project]
kind    = "linear"
outputs = 4
inputs  = { x = "rows.x" }

[nodes.project_2]
kind    = "linear"
outputs = 4
inputs  = { x = "rows.x" }

[nodes.clip_nce]
kind        = "contrastive"
temperature = 0.5
normalize   = true
clips       = "G+L"
keep_self   = true
inputs      = { x = ["project.y", "project_2.y"] }

[nodes.clips]
kind   = "unfold"
inputs = { like = "backbone.feature", x = "project.y" }

[nodes.summed]
kind   = "sum"
inputs = { x = "clips.x" }

[nodes.consist]
kind   = "pair_consistency"
inputs = { source = "classify.logits@source", target = "classify.logits@target", source_feature = "summed.y@source", target_feature = "summed.y@target" }

[phases.main.losses]
bgm      = 0.1
tpl      = 0.01
inter    = 1.0
clip_nce = 1.0
consist  = 0.02
"#;

#[test]
fn the_heads_and_losses_of_comix_and_co2a_train() {
    let graph = load_text("overlay.toml", KINDS, Path::new("graphs")).unwrap_or_else(|p| panic!("{p}"));
    let checked = crate::check::check(&graph, &glad_nodes::registry()).unwrap_or_else(|p| panic!("{p}"));
    let mut rehearsal = Rehearsal::new(&graph, &checked, "main", &Device::Cpu).unwrap();
    for _ in 0..2 {
        let values: BTreeMap<String, f64> = rehearsal.step().unwrap().into_iter().collect();
        for name in ["bgm", "inter", "clip_nce", "consist"] {
            assert!(values[name] > 0.0, "{name} in {values:?}");
        }
        assert_eq!(values["pseudo.share"], 1.0, "{values:?}");
    }
}

#[test]
fn held_out_labels_do_not_pass_fold_or_join_rows() {
    let leaks = "extends = \"full.toml\"\n[nodes.rows]\nkind = \"fold\"\ninputs = { x = \"backbone.feature@target\", label = \
                 \"batch.label@target\" }\n[nodes.joined]\nkind = \"join_rows\"\ninputs = { x = [\"rows.label\", \
                 \"rows.label\"] }\n[nodes.features]\nkind = \"join_rows\"\ninputs = { x = [\"rows.x\", \"rows.x\"] }\n\
                 [nodes.nce]\nkind = \"contrastive\"\ntemperature = 0.5\ninputs = { x = \"features.y\", label = \
                 \"joined.y\" }\n[phases.main.losses]\nnce = 1.0";
    let graph = load_text("overlay.toml", leaks, Path::new("graphs")).unwrap_or_else(|p| panic!("{p}"));
    let refused = crate::check::check(&graph, &glad_nodes::registry())
        .err()
        .expect("accepted");
    let reported: Vec<&str> = refused.list.iter().map(|p| p.message.as_str()).collect();
    let what = "loss `nce` depends on the labels of `target`, which is held out (in phase main)";
    assert!(reported.contains(&what), "{reported:?}");
}

//! The plan of the whole method as printed, and what its phases' keys depend on.

use crate::common::*;
use candle_core::DeviceLocation;
use glad::check::check;
use glad::describe::{Plan, Target, plan_schema, plan_text};
use glad::graph::Graph;
use glad::load::{LoadOptions, load, load_text};
use glad::program::Checked;
use glad::program::{memory, sample_bytes};
use glad::run::{Inputs, cache_key, cache_keys};
use glad_nodes::Precision::{Bf16, F32, Tf32};
use glad_nodes::Role;
use std::path::Path;

const CPU: DeviceLocation = DeviceLocation::Cpu;
const GPU: DeviceLocation = DeviceLocation::Cuda { gpu_id: 0 };

fn of(overlay: &str) -> (Graph, Checked) {
    let text = format!("extends = \"full.toml\"\n{overlay}");
    let graph = load_text("overlay.toml", &text, Path::new("graphs")).unwrap_or_else(|p| panic!("{p}"));
    let checked = check(&graph, &glad::nodes::registry()).unwrap_or_else(|p| panic!("{p}"));
    (graph, checked)
}

fn key(overlay: &str, phase: &str, seed: u64) -> String {
    key_on(overlay, phase, seed, CPU)
}

fn key_on(overlay: &str, phase: &str, seed: u64, device: DeviceLocation) -> String {
    let (graph, checked) = of(overlay);
    let inputs = Inputs::of_phases(&checked).unwrap();
    let key = cache_key(&checked, &graph, &inputs, phase, seed, (device, "")).unwrap();
    key.expect("the data is generated")
}

#[test]
fn reads_well() {
    // An empty cache: the length of generated lists is not known before they are generated.
    let cache = tempfile::tempdir().unwrap();
    let out = command(&["plan", "graphs/full.toml", "--workers", "2"])
        .env("GLAD_CACHE", cache.path())
        .output()
        .unwrap();
    let text = String::from_utf8(out.stdout).unwrap();
    // Keys hash this program: they change with every build.
    let text: String = text
        .lines()
        .filter(|l| !l.starts_with("  key "))
        .map(|l| format!("{l}\n"))
        .collect();
    insta::assert_snapshot!(text);
}

fn plan(graph: &Graph, checked: &Checked) -> serde_json::Value {
    let target = Target { device: CPU, ahead: 32 };
    let plan = Plan::new(checked, graph, target, &cache_keys(checked, graph, 1, CPU));
    serde_json::to_value(plan).unwrap()
}

#[test]
fn programs_read_the_same() {
    let (graph, checked) = of("");
    let json = plan(&graph, &checked);
    let schema = jsonschema::draft7::new(&plan_schema()).unwrap();
    let wrong: Vec<String> = schema.iter_errors(&json).map(|e| e.to_string()).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
    assert_eq!(json["run"], serde_json::json!(["pretrain", "warmup", "main", "infer"]));
    assert_eq!(json["setting"], "graphs/settings/mini.toml");
    let program = |name: &str| {
        let all = json["programs"].as_array().unwrap();
        all.iter().find(|p| p["name"] == name).unwrap().clone()
    };
    let main = program("main");
    let m = memory(&checked.phases["main"], F32);
    assert_eq!(main["forward"], m.macs);
    assert_eq!(main["total"], 300 * m.both_ways());
    assert_eq!(main["memory"]["activations"], m.peak);
    assert_eq!(main["trained"], 187_025);
    assert_eq!(main["losses"]["tol"], 0.1);
    assert_eq!(main["key"].as_str().unwrap(), key("", "main", 1));
    let reached = serde_json::json!({ "loss": "align_g", "node": "backbone", "sign": -1 });
    assert!(main["gradients"].as_array().unwrap().contains(&reached));
    let calls = main["calls"].as_array().unwrap();
    let backbone = calls.iter().find(|c| c["node"] == "backbone").unwrap();
    assert_eq!(backbone["streams"], serde_json::json!(["source", "target"]));
    assert_eq!(backbone["outputs"]["feature"], "Feature[B,3,64]");
    assert_eq!(
        (&program("validate")["runs"], &program("infer")["runs"]),
        (&false.into(), &true.into())
    );
}

/// Epochs are counted in steps where the lists exist.
#[test]
fn lists_say_how_long_epochs_are() {
    let dir = tempfile::tempdir().unwrap();
    own::lists(dir.path(), 9, |_, _, i| format!("{i}.mp4"));
    let load = |set: &str| {
        let options = LoadOptions {
            setting: Some(own::setting(dir.path()).into()),
            set: vec![set.into()],
            ..LoadOptions::of("full")
        };
        let graph = load(&options).unwrap_or_else(|p| panic!("{p}"));
        let checked = check(&graph, &glad::nodes::registry()).unwrap_or_else(|p| panic!("{p}"));
        let target = Target { device: CPU, ahead: 32 };
        let text = plan_text(&checked, &graph, target, &cache_keys(&checked, &graph, 1, CPU));
        (plan(&graph, &checked), text)
    };
    let (json, text) = load("phases.main.epochs=3");
    let main = json["programs"]
        .as_array()
        .unwrap()
        .iter()
        .find(|p| p["name"] == "main")
        .unwrap();
    assert_eq!((&main["videos"]["source"], &main["steps"]), (&9.into(), &6.into()));
    assert!(
        text.contains("3 epochs, 6 steps") && text.contains("9 videos in train of source"),
        "{text}"
    );
    std::fs::remove_file(dir.path().join("data/source_train.txt")).unwrap();
    let (json, text) = load("phases.main.epochs=3");
    let main = json["programs"]
        .as_array()
        .unwrap()
        .iter()
        .find(|p| p["name"] == "main")
        .unwrap();
    assert_eq!(
        (&main["videos"]["source"], &main["steps"]),
        (&serde_json::Value::Null, &serde_json::Value::Null)
    );
    assert!(
        text.contains("as long as the lists say, which are not there yet"),
        "{text}"
    );
}

#[test]
fn counts_what_waits_between_the_sides() {
    let (_, c) = of("");
    // 3 clips of 8 frames, 48 × 48, RGB, with a label and a mask.
    assert_eq!(sample_bytes(&c.phases["main"], 0), 3 * 8 * 48 * 48 * 3 + 2 * 16);
    assert_eq!(sample_bytes(&c.views["infer"], 0), 3 * 8 * 48 * 48 * 3 + 16);
}

#[test]
fn memory_grows_with_the_batch_and_with_training() {
    let (_, small) = of("[set.phases.main]\nbatch = 4");
    let (_, large) = of("[set.phases.main]\nbatch = 8");
    let (_, parts) = of("[phases.main]\nmicro_batch = 4");
    let at = |c: &Checked| memory(&c.phases["main"], F32);
    assert!(at(&large).peak > at(&small).peak);
    assert_eq!(at(&parts), at(&small));
    assert_eq!(at(&large).macs, 2 * at(&small).macs);
    // A view keeps nothing for a backward pass, and has no gradients and no momentum.
    let (_, view) = of("[set.views.infer]\nbatch = 8");
    let view = memory(&view.views["infer"], F32);
    assert!(view.peak < at(&large).peak);
    assert!(view.weights < at(&large).weights);
    // Adam keeps two numbers of each that trains, and SGD one.
    let optimizer = "drop = [\"phases.main.optimizer\"]\n[phases.main.optimizer]\nkind = \"adam\"\nlr = 0.001";
    let (graph, adam) = of(optimizer);
    let main = &adam.phases["main"];
    let trains = |node: &str| main.calls.iter().any(|c| c.node == node && c.trains);
    let trained = main
        .weights
        .iter()
        .filter(|(node, _)| trains(node))
        .flat_map(|(_, w)| w);
    let trained: usize = trained.filter(|w| w.role != Role::Buffer).map(|w| w.elements()).sum();
    assert_eq!(at(&adam).weights, at(&large).weights + 4 * trained as u64);
    assert_eq!(at(&adam).peak, at(&large).peak);
    let text = plan_text(&adam, &graph, Target { device: CPU, ahead: 32 }, &|_| Ok(None));
    assert!(
        text.contains("with both moments)") && text.contains("with momentum)"),
        "{text}"
    );
    // Neither does a frozen trunk.
    let (_, frozen) = of("[phases.main]\nfrozen = [\"backbone\"]");
    assert!(at(&frozen).peak < at(&large).peak);
}

#[test]
fn phases_share_a_key_where_they_are_the_same() {
    // A change to `main` alone changes nothing in the warm-up, and something in `main`.
    for overlay in [
        "drop = [\"align_g\", \"align_l\", \"align_x\"]",
        "[set.phases.main]\nsteps = 10",
        "set.title = \"x\"",
    ] {
        for phase in ["pretrain", "warmup"] {
            assert_eq!(key("", phase, 1), key(overlay, phase, 1), "{overlay} {phase}");
        }
    }
    assert_ne!(key("", "main", 1), key("drop = [\"align_g\"]", "main", 1));
    // The pretraining has its own seed.
    assert_eq!(key("", "pretrain", 1), key("", "pretrain", 2));
    assert_ne!(key("", "warmup", 1), key("", "warmup", 2));
    // The phases before it are part of its key.
    assert_ne!(key("", "main", 1), key("[set.phases.warmup]\nsteps = 10", "main", 1));
    for overlay in [
        "[set.phases.warmup]\nbatch = 4",
        "[set.phases.warmup.optimizer]\nlr = 0.5",
        "[set.nodes.bg_mix]\nprob = 0.9",
        "bypass = [\"bg_mix\"]",
        "[phases.warmup]\nfrozen = [\"backbone\"]",
        "[nodes.videos.generate.mini]\nseed = 5",
    ] {
        assert_ne!(key("", "warmup", 1), key(overlay, "warmup", 1), "{overlay}");
    }
}

#[test]
fn a_step_in_rounds_costs_what_its_passes_do() {
    let graph = load(&LoadOptions::of("graphs/methods/mcd.toml")).unwrap_or_else(|p| panic!("{p}"));
    let checked = check(&graph, &glad::nodes::registry()).unwrap_or_else(|p| panic!("{p}"));
    let target = Target { device: CPU, ahead: 32 };
    let plan = Plan::new(&checked, &graph, target, &|_| Ok(None));
    let main = plan.programs.iter().find(|p| p.name == "main").unwrap();
    let of = |node: &str| -> u64 {
        let calls = main.calls.iter().filter(|c| c.node == node);
        calls.map(|c| c.forward).sum()
    };
    // One pass of all, one of the classifiers, four of the features; a gradient reaches the backbone in five of them.
    let heads = of("classify") + of("second");
    assert_eq!(of("ce") + of("apart") + of("consensus"), 0);
    // The source alone is classified in the first round, the target alone in the last.
    let forward = 6 * (of("normalize") + of("backbone")) + (1 + 2 + 4) * heads / 2;
    assert_eq!(main.forward, forward);
    assert_eq!(main.step, forward + 2 * (5 * of("backbone") + (1 + 2 + 4) * heads / 2));
    let rounds: Vec<(&str, usize, usize)> = (main.rounds.iter())
        .map(|r| (r.name.as_str(), r.repeat, r.trains.len()))
        .collect();
    assert_eq!(rounds, [("all", 1, 3), ("classifiers", 1, 2), ("features", 4, 1)]);
}

#[test]
fn the_rounds_of_a_phase_belong_to_its_key() {
    let round = |name: &str, keys: &str| format!("[phases.warmup.rounds.{name}]\nlosses = {{ tol = 1.0 }}\n{keys}\n");
    let (all, heads) = (round("all", ""), round("heads", "train = [\"tol\"]"));
    let of = |rounds: &[&str]| {
        key(
            &format!("drop = [\"phases.warmup.losses\"]\n{}", rounds.concat()),
            "warmup",
            1,
        )
    };
    let whole = of(&[&all, &heads]);
    assert_eq!(whole, of(&[&all, &heads]));
    for other in [
        of(&[&all]),
        of(&[&heads, &all]),
        of(&[&all, &round("heads", "")]),
        of(&[&all, &round("heads", "train = [\"tol\"]\nrepeat = 2")]),
        of(&[&all, &round("heads", "train = [\"tol\", \"backbone\"]")]),
        of(&[&all, &round("other", "train = [\"tol\"]")]),
    ] {
        assert_ne!(whole, other);
    }
}

#[test]
fn passes_between_steps_are_planned_and_belong_to_their_phases_key() {
    let shot = |overlay: &str| {
        let text = format!("extends = \"methods/shot.toml\"\n{overlay}");
        let graph = load_text("overlay.toml", &text, Path::new("graphs")).unwrap_or_else(|p| panic!("{p}"));
        let checked = check(&graph, &glad::nodes::registry()).unwrap_or_else(|p| panic!("{p}"));
        (graph, checked)
    };
    let (graph, checked) = shot("");
    let all = plan(&graph, &checked);
    let program = |name: &str| {
        let programs = all["programs"].as_array().unwrap();
        programs.iter().find(|p| p["name"] == name).unwrap().clone()
    };
    let refresh = program("main")["refresh"].clone();
    assert_eq!((&refresh["view"], &refresh["passes"]), (&"labels".into(), &15.into()));
    // A label and a mask stay; a feature of 256 numbers and 12 scores are held besides until the pass is over.
    assert_eq!((&refresh["row"], &refresh["held"]), (&8.into(), &(8 + 4 * 268).into()));
    assert!(program("labels")["runs"] == true && program("warmup")["refresh"].is_null());
    let key = |overlay: &str, phase: &str| {
        let (graph, checked) = shot(overlay);
        let inputs = Inputs::of_phases(&checked).unwrap();
        cache_key(&checked, &graph, &inputs, phase, 1, (CPU, ""))
            .unwrap()
            .unwrap()
    };
    let (main, warmup) = (key("", "main"), key("", "warmup"));
    assert_eq!(key("", "main"), main);
    for overlay in [
        "[nodes.pseudo]\nrounds = 3",
        "[set.phases.main.refresh]\ntimes = 5",
        "[set.views.labels]\nbatch = 5",
        "[views.labels.nodes.local]\ninterval = 2",
    ] {
        assert_ne!(key(overlay, "main"), main, "{overlay}");
        assert_eq!(key(overlay, "warmup"), warmup, "{overlay}");
    }
}

#[test]
fn precision_belongs_to_a_phase_where_it_is_computed_with() {
    let at = |precision: &str, device| key_on(&format!("precision = \"{precision}\""), "warmup", 1, device);
    // The CPU computes in f32 whatever the graph requests.
    assert_eq!(at("f32", CPU), at("bf16", CPU));
    assert_eq!(at("f32", CPU), key("", "warmup", 1));
    assert_ne!(at("f32", GPU), at("bf16", GPU));
    assert_ne!(at("f32", GPU), at("tf32", GPU));
    assert_ne!(at("f32", GPU), at("f32", CPU));
}

#[test]
fn the_plan_says_what_is_computed_with() {
    let printed = |precision: &str, device| -> Vec<String> {
        let (graph, checked) = of(&format!("precision = \"{precision}\""));
        let text = plan_text(
            &checked,
            &graph,
            Target { device, ahead: 32 },
            &cache_keys(&checked, &graph, 1, device),
        );
        let lines = text.lines().filter(|l| l.contains("precision"));
        lines.map(String::from).collect()
    };
    assert_eq!(printed("f32", CPU), [""; 0]);
    assert_eq!(
        printed("bf16", CPU),
        ["precision: f32, for the CPU has no other (bf16 is for GPUs)"]
    );
    assert_eq!(
        printed("tf32", CPU),
        ["precision: f32, for the CPU has no other (tf32 is for GPUs)"]
    );
    assert_eq!(printed("f32", GPU), ["precision: f32"]);
    assert_eq!(
        printed("tf32", GPU),
        ["precision: f32, whose products may round to TF32"]
    );
    assert_eq!(
        printed("bf16", GPU),
        ["precision: bf16 inside backbones, f32 elsewhere"]
    );
}

#[test]
fn bf16_halves_what_backbones_keep() {
    let options = LoadOptions {
        setting: Some("graphs/settings/kinetics_babel_tsm.toml".into()),
        ..LoadOptions::of("graphs/full.toml")
    };
    let graph = load(&options).unwrap_or_else(|p| panic!("{p}"));
    let checked = check(&graph, &glad::nodes::registry()).unwrap_or_else(|p| panic!("{p}"));
    let [half, tf32, full] = [Bf16, Tf32, F32].map(|p| memory(&checked.phases["main"], p));
    assert_eq!(tf32, full);
    assert_eq!((half.macs, half.weights), (full.macs, full.weights));
    // Nearly all of a step's memory is activations of the backbone; gradients of weights and heads do not change.
    let share = half.peak as f64 / full.peak as f64;
    assert!((0.5..0.56).contains(&share), "{share}");
}

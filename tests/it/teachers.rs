//! Teachers, whose weights are an average of another's, and statistics of each stream, in whole runs.
#![cfg(unix)]

use crate::common::*;
use safetensors::SafeTensors;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

fn args(method: &str, out: &Path, more: &[&str]) -> Vec<String> {
    args_of(graph(&format!("methods/{method}.toml")), out, more)
}

fn args_of(graph: String, out: &Path, more: &[&str]) -> Vec<String> {
    let own = ["--setting", &smoke(), "--no-share", "--quiet", "--save-every", "2"].map(String::from);
    let mut v = vec![graph, "--out".into(), out.display().to_string()];
    v.extend(own);
    for set in [
        "phases.pretrain.steps=3",
        "phases.main.steps=6",
        "phases.main.optimizer.warmup_steps=1",
    ] {
        v.extend(["--set".into(), set.into()]);
    }
    v.extend(["--set".into(), "phases.pretrain.optimizer.warmup_steps=1".into()]);
    v.extend(more.iter().map(|m| m.to_string()));
    v
}

/// The numbers of a saved state below a node.
fn below(run: &Path, node: &str) -> BTreeMap<String, Vec<f32>> {
    let bytes = std::fs::read(run.join("checkpoints/last.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let numbers = |data: &[u8]| {
        let each = data.chunks_exact(4).map(|c| f32::from_le_bytes(c.try_into().unwrap()));
        each.collect::<Vec<_>>()
    };
    let tensors = file.tensors();
    let of_node = tensors.iter().filter_map(|(name, t)| {
        let name = name.strip_prefix("weight/")?.strip_prefix(node)?.strip_prefix('.')?;
        Some((name.to_string(), numbers(t.data())))
    });
    of_node.collect()
}

fn lines(run: &Path) -> usize {
    std::fs::read_to_string(run.join("metrics.jsonl"))
        .map_or(0, |t| t.lines().filter(|l| l.contains("\"main\"")).count())
}

/// Runs a method that is killed in its main phase, and resumed with another number of threads.
fn killed_and_resumed(method: &str, out: &Path) {
    let more = ["--threads", "1", "--workers", "1"];
    let mut child = command(&args(method, out, &more)).spawn().unwrap();
    while child.try_wait().unwrap().is_none() && lines(out) < 3 {
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    ok(&args(method, out, &["--resume"]));
}

/// The lines of what is printed that have scores.
fn scores(text: &str) -> Vec<String> {
    let lines = text.lines().map(str::trim_start);
    let scored = lines.filter(|l| ["source ", "target "].iter().any(|s| l.starts_with(s)));
    scored.map(String::from).collect()
}

#[test]
fn a_teacher_is_saved_resumed_and_scored() {
    let dir = tempfile::tempdir().unwrap();
    let (whole, cut) = (dir.path().join("whole"), dir.path().join("cut"));
    let printed = ok(&args("mean_teacher", &whole, &[]));
    // Its statistics are the student's, and its weights lag behind them.
    let (student, teacher) = (below(&whole, "backbone"), below(&whole, "teacher"));
    assert!(student.len() > 20 && student.keys().eq(teacher.keys()));
    for (name, value) in &student {
        let same = *value == teacher[name];
        assert_eq!(same, name.contains("running_"), "{name}");
        if !same {
            let square = |v: f32| f64::from(v) * f64::from(v);
            let apart: f64 = value.iter().zip(&teacher[name]).map(|(a, b)| square(a - b)).sum();
            let size: f64 = value.iter().map(|a| square(*a)).sum();
            assert!(apart < size.max(1e-6), "{name}: {apart} of {size}");
        }
    }
    killed_and_resumed("mean_teacher", &cut);
    assert_eq!(differing(&whole, &cut), Vec::<String>::new());
    // The folder is the model: the teacher in it is scored again.
    let again = ok(&["eval", "--run", &whole.display().to_string()]);
    assert_eq!(scores(&again).len(), 2, "{again}");
    assert_eq!(scores(&again), scores(&printed));
}

#[test]
fn statistics_of_the_target_are_computed_once() {
    let dir = tempfile::tempdir().unwrap();
    let (whole, cut) = (dir.path().join("whole"), dir.path().join("cut"));
    let printed = ok(&args("adabn", &whole, &[]));
    let weights = below(&whole, "backbone");
    let means = |stream: &str| {
        let of_stream = weights
            .iter()
            .filter(move |(n, _)| n.ends_with(&format!("running_mean{stream}")));
        of_stream
            .map(|(n, v)| (n.replace(stream, ""), v.clone()))
            .collect::<BTreeMap<_, _>>()
    };
    let (all, source, target) = (means(""), means("@source"), means("@target"));
    assert!(all.len() > 5 && all.keys().eq(source.keys()) && all.keys().eq(target.keys()));
    for (name, of_all) in &all {
        assert!(
            *of_all != source[name] && source[name] != target[name] && *of_all != target[name],
            "{name}"
        );
    }
    assert!(means("@auxiliary").is_empty(), "pretraining moves those of all streams");
    killed_and_resumed("adabn", &cut);
    assert_eq!(differing(&whole, &cut), Vec::<String>::new());
    // A run that is finished is not adapted again.
    ok(&args("adabn", &whole, &["--resume"]));
    assert_eq!(differing(&whole, &cut), Vec::<String>::new());
    let again = ok(&["eval", "--run", &whole.display().to_string()]);
    assert_eq!(scores(&again), scores(&printed));
}

/// A teacher of a network whose norms have statistics of each stream: trained with the source alone (AdaBN) or in a phase of both
/// streams after one of another (DSBN), and scored on the target.
#[test]
fn a_teacher_gains_the_statistics_of_streams_that_come_later() {
    let dir = tempfile::tempdir().unwrap();
    // DSBN's target is computed anew after both have followed it in training.
    let adapted = "append.run = [\"adapt\"]\n";
    let view =
        "[views.adapt]\nsplit = \"train\"\nbatch = 25\nstatistics = [\"backbone\"]\nroots = [\"consensus.y@target\"]\n";
    for (name, method, verb, view) in [
        ("adabn", "adabn", "", ""),
        ("dsbn", "dsbn", "", ""),
        ("anew", "dsbn", adapted, view),
    ] {
        let file = dir.path().join(format!("{name}.toml"));
        let text = format!(
            "extends = \"glad:methods/{method}\"\n{verb}{view}[nodes.t]\nweights = {{ of = \"backbone\", ema = 0.9 }}\ninputs = {{ clips = \
             \"normalize.clips\" }}\n[nodes.t_consensus]\nkind = \"mean\"\ninputs = {{ x = \"t.feature\" }}\n[nodes.t_classify]\n\
             weights = {{ of = \"classify\", ema = 0.9 }}\ninputs = {{ x = \"t_consensus.y\" }}\n[set.nodes.scores.inputs]\nlogits = \
             \"t_classify.logits\"\n[set.views.infer]\nroots = [\"t_classify.logits@target\", \
             \"scores.mean_class_accuracy@target\"]\n"
        );
        std::fs::write(&file, text).unwrap();
        let run = dir.path().join(name);
        ok(&args_of(file.display().to_string(), &run, &[]));
        let (student, teacher) = (below(&run, "backbone"), below(&run, "t"));
        let of_target = student.keys().filter(|n| n.ends_with("@target")).count();
        assert!(of_target > 5, "{name}: {:?}", student.keys());
        for (weight, numbers) in student.iter().filter(|(n, _)| n.contains("running_")) {
            // Until its view, AdaBN has nothing of the target, and neither has what is saved of its teacher.
            if let Some(found) = teacher.get(weight) {
                assert_eq!(found, numbers, "{name}: {weight}");
            }
        }
        assert!(
            teacher.keys().any(|n| n.ends_with("@source")),
            "{name}: {:?}",
            teacher.keys()
        );
    }
}

//! Banks: rows by the places of videos, moved by the trainer, and ATDOC's loss on them, beside numbers in f64.

use super::harness::{How, Trained, graph, near, numbers, trained};
use super::kinds::{FEATURES, Row, registry, seen};
use super::published::GIVEN;
use crate::check::check;
use crate::load::load_text;
use crate::program::memory;
use crate::run::data::FeedOptions;
use crate::run::progress::Progress;
use crate::run::setup::{set_up, set_up_with};
use crate::run::start::begin_phase;
use crate::run::view::{ViewCx, run_view};
use candle_core::{Device, Tensor};
use glad_nodes::{Body, Key, Precision, WeightStore};
use std::path::Path;

/// Videos of the target.
const VIDEOS: usize = 7;

/// A bank of what is drawn for the target's videos, which a loss needs.
const BANK: &str = r#"
losses.pull = 0.3
optimizer = { lr = 0.1 }

[nodes.pixels]
draws = 5

[nodes.bank]
kind   = "bank"
keep   = 0.25
inputs = { index = "batch.index@target", x = "rows.x@target" }

[nodes.pull]
kind   = "formula"
inputs = { x = "embed.y@target", b = "bank.rows" }
axes   = { x = "n,e", b = "v,d" }
loss   = "mean(x)*mean(b^2)"
"#;

/// Rows that are kept, by hand.
#[derive(Default)]
struct Kept {
    rows: Vec<f64>,
    known: Vec<f64>,
}

impl Kept {
    fn new() -> Kept {
        Kept {
            rows: vec![0.0; VIDEOS * FEATURES],
            known: vec![0.0; VIDEOS],
        }
    }

    /// Takes the rows of a forward pass, of a video that is twice there the last.
    fn take(&mut self, rows: &[&Row]) {
        let old = self.rows.clone();
        let known = self.known.clone();
        for row in rows {
            let keep = 0.25 * known[row.video];
            for (d, x) in row.x.iter().enumerate() {
                let at = row.video * FEATURES + d;
                self.rows[at] = keep * old[at] + (1.0 - keep) * x;
            }
            self.known[row.video] = 1.0;
        }
    }
}

/// Trains with a bank, and holds its rows after each step to those by hand; a step has so many forward passes of the target.
#[track_caller]
fn hold(changes: &str, passes: usize) -> Trained {
    let (graph, checked) = graph(&format!("{changes}{BANK}"));
    let run = trained(&graph, &checked, How::default());
    run.outcome.as_ref().unwrap();
    let of_target = |call: &&Vec<Row>| call.iter().all(|r| r.stream == 1);
    let calls: Vec<&Vec<Row>> = run.calls.iter().filter(of_target).collect();
    assert_eq!(calls.len(), passes * run.rows.len(), "{changes}");
    let mut kept = Kept::new();
    for (k, calls) in calls.chunks(passes).enumerate() {
        calls
            .iter()
            .for_each(|rows| kept.take(&rows.iter().collect::<Vec<_>>()));
        for (name, right) in [("bank.rows", &kept.rows), ("bank.known", &kept.known)] {
            let found = &run.weights[k + 1][name];
            assert_eq!(found.len(), right.len());
            let both = found.iter().zip(right).enumerate();
            both.for_each(|(i, (f, r))| near(&format!("after step {k}, {name}[{i}]"), *f, *r));
        }
    }
    run
}

#[test]
fn rows_are_written_in_the_places_of_their_videos() {
    let run = hold("steps = 9\nbatch = 3", 1);
    assert!(run.weights[9]["bank.known"].iter().all(|k| *k == 1.0));
    // Videos that cannot be used are replaced by others, which have places of their own.
    let bad = hold(
        "steps = 12\nbatch = 3\n[nodes.pixels]\ntarget.bad = [2]\n[]\nbad_videos = 0.3\n[phases.main]",
        1,
    );
    let known = &bad.weights[12]["bank.known"];
    assert_eq!(known.iter().sum::<f64>(), 6.0, "{known:?}");
    assert_eq!(known[2], 0.0);
}

#[test]
fn each_part_and_each_round_writes() {
    hold(
        "steps = 4\nbatch = 6\nmicro_batch = 3\n[nodes.videos]\nsource.videos = 12\n[phases.main]",
        2,
    );
    let rounds = "steps = 5\nbatch = 3\n[phases.main.rounds.one]\nlosses = { pull = 0.3 }\ntrain = [\"embed\"]\nrepeat = 2\n\
                  [phases.main.rounds.two]\nlosses = { ce = 1.0, pull = 0.1 }\ntrain = [\"classify\", \"embed\"]\n[phases.main]";
    hold(rounds, 3);
}

#[test]
fn a_bank_goes_on_where_it_was() {
    let (graph, checked) = graph(&format!("steps = 6\nbatch = 3{BANK}"));
    let whole = trained(&graph, &checked, How::default());
    let how = How {
        from: Some(whole.saved[2].clone()),
        workers: 1,
        ..How::default()
    };
    let rest = trained(&graph, &checked, how);
    assert_eq!(numbers(&rest.store), numbers(&whole.store));
    let frozen = super::harness::graph(&format!("steps = 4\nbatch = 3\nfrozen = [\"bank\"]{BANK}"));
    let run = trained(&frozen.0, &frozen.1, How::default());
    assert!(
        run.weights[4]["bank.rows"].iter().all(|x| *x == 0.0),
        "a frozen bank stays as it is"
    );
}

#[test]
fn a_view_leaves_it_as_it_is() {
    let view = "[views.infer]\nsplit = \"train\"\nbatch = 2\nroots = [\"bank.rows\"]\n[]\nrun = [\"main\", \"infer\"]";
    let (graph, checked) = graph(&format!("steps = 3\nbatch = 3{BANK}{view}"));
    let mut run = trained(&graph, &checked, How::default());
    let (program, progress, device) = (&checked.views["infer"], Progress::new(true), Device::Cpu);
    let before = numbers(&run.store);
    let cx = ViewCx {
        key: Key::new(4),
        feed: FeedOptions { workers: 2, ahead: 5 },
        device: &device,
        precision: Precision::F32,
        progress: &progress,
        ports: &[],
        each: None,
        bad_limit: Some(0.0),
        classes: None,
    };
    let setup = set_up(program, None, &progress).unwrap();
    run_view(program, setup, &mut run.store, &cx).unwrap();
    assert_eq!(numbers(&run.store), before);
}

#[test]
fn a_list_of_another_size_is_refused() {
    let (_, checked) = graph(&format!("steps = 3\nbatch = 3{BANK}"));
    let program = &checked.phases["main"];
    let fewer = |call: usize| {
        let Body::Source(source) = &program.bodies[program.calls[call].body] else {
            panic!()
        };
        let mut videos = source.videos("train").map_err(|e| anyhow::anyhow!("{e:?}"))?;
        videos.truncate(5);
        Ok(videos)
    };
    let found = set_up_with(program, None, &Progress::new(true), &fewer);
    assert_eq!(
        found.err().unwrap().to_string(),
        "stream `target`: batch.index@target is of a list of 7 videos, as it was when the graph was checked, and there are 5: start \
         again"
    );
}

#[test]
fn the_plan_counts_its_memory() {
    let bytes = |changes: &str| memory(&graph(changes).1.phases["main"], Precision::F32).weights;
    let without = bytes("steps = 3\nbatch = 3\noptimizer = { lr = 0.1 }");
    assert_eq!(
        bytes(&format!("steps = 3\nbatch = 3{BANK}")) - without,
        4 * (VIDEOS * (FEATURES + 1)) as u64
    );
}

const ATDOC: &str = r#"
extends     = "methods/atdoc.toml"
set.setting = "settings/smoke.toml"

[set.dims]
K = 3

[set.nodes.nearest]
count = 2

[replace.nodes.videos]
kind          = "numbers"
videos        = 6
target.videos = 9

[replace.nodes.backbone]
kind   = "given"
clips  = "G+L"
shape  = [3, 4]
videos = [6, 9]
inputs = { clips = "batch.clips" }

[set.phases.main]
steps = 8
batch = 3
"#;

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// The graph of ATDOC, held to its equations: the bank of directions and of sharpened predictions, two neighbours, and the loss.
#[test]
fn atdoc_trains_its_objective() {
    let graph =
        load_text("overlay.toml", &format!("{ATDOC}{GIVEN}"), Path::new("graphs")).unwrap_or_else(|p| panic!("{p}"));
    let checked = check(&graph, &registry()).unwrap_or_else(|p| panic!("{p}"));
    let mut store = WeightStore::default();
    let (program, progress) = (&checked.phases["main"], Progress::new(true));
    begin_phase(
        program,
        &graph.phases["main"],
        &mut store,
        true,
        0,
        &Device::Cpu,
        &progress,
    )
    .unwrap();
    for (name, w) in store
        .iter_mut()
        .filter(|(n, _)| !n.starts_with("features.") && !n.starts_with("predictions."))
    {
        let mut draw = Key::new(5).name(name).rng();
        let values: Vec<f32> = (0..w.value.elem_count()).map(|_| draw.normal() as f32).collect();
        w.value = Tensor::from_vec(values, w.value.dims(), &Device::Cpu).unwrap();
    }
    seen();
    let how = How {
        from: Some((0, store, None)),
        ..How::default()
    };
    let run = trained(&graph, &checked, how);
    run.outcome.as_ref().unwrap();
    assert_eq!((run.rows.len(), run.parts.len()), (8, 8));
    let mut bank: Vec<Option<(Vec<f64>, Vec<f64>)>> = vec![None; 9];
    let mut counted = 0;
    for (k, part) in run.parts.iter().enumerate() {
        let w = &run.weights[k];
        let videos: Vec<usize> = part.iter().filter(|r| r.stream == 1).map(|r| r.video).collect();
        assert_eq!(videos.len(), 3);
        let feature = |v: &usize| -> Vec<f64> {
            let clips = &w["backbone.feature"][(6 + v) * 12..][..12];
            (0..4)
                .map(|d| (0..3).map(|c| clips[4 * c + d]).sum::<f64>() / 3.0)
                .collect()
        };
        let logs = |x: &[f64]| -> Vec<f64> {
            let z: Vec<f64> = (0..3)
                .map(|c| dot(&w["classify.weight"][4 * c..][..4], x) + w["classify.bias"][c])
                .collect();
            let sum = z.iter().map(|z| z.exp()).sum::<f64>().ln();
            z.iter().map(|z| z - sum).collect()
        };
        let x: Vec<Vec<f64>> = videos.iter().map(feature).collect();
        let log_p: Vec<Vec<f64>> = x.iter().map(|x| logs(x)).collect();
        let direction = |x: &Vec<f64>| x.iter().map(|v| v / dot(x, x).sqrt()).collect::<Vec<f64>>();
        let (mut up, mut below) = (0.0, 0.0);
        for ((v, x), log_p) in videos.iter().zip(&x).zip(&log_p) {
            let all = bank.iter().enumerate().filter(|(i, _)| i != v);
            let mut all: Vec<(f64, &Vec<f64>)> = all
                .filter_map(|(_, b)| b.as_ref().map(|(f, q)| (dot(f, &direction(x)), q)))
                .collect();
            all.sort_by(|a, b| b.0.total_cmp(&a.0));
            if let [a, b, ..] = &all[..] {
                let q: Vec<f64> = a.1.iter().zip(b.1).map(|(a, b)| (a + b) / 2.0).collect();
                let best = (0..3).max_by(|i, j| q[*i].total_cmp(&q[*j])).unwrap();
                up -= q[best] * log_p[best];
                below += q[best];
                counted += 1;
            }
        }
        let agree = if below > 0.0 { up / below } else { 0.0 };
        let of = |name: &str| run.rows[k][name].as_f64().unwrap();
        near(&format!("step {k}, agree"), of("agree"), agree);
        near(
            &format!("step {k}, loss"),
            of("loss"),
            of("ce") + 0.2 * k as f64 / 8.0 * agree,
        );
        let sharp = |r: usize, c: usize| (2.0 * log_p[r][c]).exp();
        for (r, v) in videos.iter().enumerate() {
            let q = (0..3)
                .map(|c| sharp(r, c) / (0..3).map(|r| sharp(r, c)).sum::<f64>())
                .collect();
            bank[*v] = Some((direction(&x[r]), q));
        }
        for (v, kept) in bank.iter().enumerate() {
            let (f, q) = kept.clone().unwrap_or((vec![0.0; 4], vec![0.0; 3]));
            for (name, right) in [("features.rows", f), ("predictions.rows", q)] {
                let found = &run.weights[k + 1][name][v * right.len()..];
                right
                    .iter()
                    .zip(found)
                    .for_each(|(r, f)| near(&format!("after step {k}, {name}"), *f, *r));
            }
        }
    }
    assert!(counted > 12, "{counted}");
}

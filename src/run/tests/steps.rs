//! What a step is made of: parts of a batch, weights of losses, the gradient reversal, frozen nodes; and phases.

use super::harness::{How, graph, hold, near, numbers, trained};
use super::kinds::{FEATURES, Row, class};
use super::net::{Moments, Training};
use crate::program::memory;
use crate::run::train::{NodeTime, PhaseReport, node_times};
use glad_nodes::Precision;
use std::time::Duration;

/// tanh(5p), which is 2 / (1 + e^(-10p)) - 1.
fn ganin(steps: usize) -> Vec<f64> {
    (0..steps).map(|k| (5.0 * k as f64 / steps as f64).tanh()).collect()
}

#[test]
fn losses_have_their_weights() {
    let training = Training {
        losses: [0.25, 1.5],
        ..Training::plain(&[0.1; 4])
    };
    let changes = "steps = 4\nbatch = 4\noptimizer = { lr = 0.1 }\n\
        losses.ce = 0.25\nlosses.adv = 1.5";
    hold(changes, &training, &[1; 4]);
}

#[test]
fn weights_of_losses_grow_over_the_phase() {
    // Linear from a fifth of the phase to three fifths; and there from two fifths on.
    let training = Training {
        grow: |k| [[0.0, 0.0, 0.5, 1.0, 1.0][k], [0.0, 0.0, 1.0, 1.0, 1.0][k]],
        momentum: 0.9,
        ..Training::plain(&[0.1; 5])
    };
    let changes = "steps = 5\nbatch = 6\noptimizer = { lr = 0.1, momentum = 0.9 }\n\
        losses.ce = { weight = 1.0, schedule = \"linear\", from = 0.2, to = 0.6 }\n\
        losses.adv = { weight = 0.5, from = 0.4 }";
    hold(changes, &training, &[1; 5]);
    let training = Training {
        grow: |k| [1.0, (k as f64 / 2000.0).tanh()],
        ..Training::plain(&[0.1; 3])
    };
    let changes = "steps = 3\nbatch = 4\nmicro_batch = 2\noptimizer = { lr = 0.1 }\n\
        losses.adv = { weight = 0.5, schedule = \"warm_start\" }";
    hold(changes, &training, &[2, 2, 1]);
}

#[test]
fn a_loss_that_is_there_once_per_stream_adds_up() {
    let changes = "steps = 3\nbatch = 5\noptimizer = { lr = 0.0 }\n\
        losses.size = 0.1\n\
        [nodes.size]\nkind = \"entropy\"\ninputs = { logits = \"classify.logits\" }";
    let (graph, checked) = graph(changes);
    let term = checked.phases["main"].losses.iter().find(|l| l.name == "size");
    let run = trained(&graph, &checked, How::default());
    run.outcome.unwrap();
    assert_eq!(term.unwrap().values.len(), 2);
    let w = &run.weights[0];
    for (row, part) in run.rows.iter().zip(&run.parts) {
        let mut both = 0.0;
        for r in part {
            let dense = |name: &str, x: &[f64]| -> Vec<f64> {
                let (w, b) = (&w[&format!("{name}.weight")], &w[&format!("{name}.bias")]);
                let of = |(w, b): (&[f64], &f64)| b + w.iter().zip(x).map(|(w, x)| w * x).sum::<f64>();
                w.chunks(x.len()).zip(b).map(of).collect()
            };
            let z = dense("classify", &dense("embed", &r.x));
            let sum: f64 = z.iter().map(|z| z.exp()).sum();
            let p = z.iter().map(|z| z.exp() / sum);
            both -= p.map(|p| p * p.ln()).sum::<f64>() / 5.0;
        }
        let found = |name: &str| row[name].as_f64().unwrap();
        near("size", found("size"), both);
        near("loss", found("loss"), found("ce") + 0.5 * found("adv") + 0.1 * both);
    }
}

#[test]
fn the_gradient_reversal_grows_over_the_phase() {
    let training = Training {
        reversal: ganin(5),
        momentum: 0.9,
        ..Training::plain(&[0.1; 5])
    };
    let changes = "steps = 5\nbatch = 6\noptimizer = { lr = 0.1, momentum = 0.9 }\n[nodes.grl]\nschedule = \"ganin\"";
    hold(changes, &training, &[1; 5]);
    let training = Training {
        reversal: (0..4).map(|k| 0.5 * (f64::from(k) / 2000.0).tanh()).collect(),
        ..Training::plain(&[0.1; 4])
    };
    let changes = "steps = 4\nbatch = 6\noptimizer = { lr = 0.1 }\n[nodes.grl]\nschedule = \"warm_start\"\nscale = 0.5";
    hold(changes, &training, &[1; 4]);
}

#[test]
fn the_parts_of_a_batch_are_one_step() {
    // An epoch is a step of six videos and one of four: in parts of three, the last one has one video.
    let training = Training {
        reversal: ganin(6),
        momentum: 0.9,
        clip: Some(0.5),
        ..Training::plain(&[0.1; 6])
    };
    let changes = |micro: usize| {
        format!(
            "epochs = 3\nbatch = 6\nmicro_batch = {micro}\n\
             optimizer = {{ lr = 0.1, momentum = 0.9, clip_norm = 0.5 }}\n[nodes.grl]\nschedule = \"ganin\""
        )
    };
    let run = hold(&changes(3), &training, &[2; 6]);
    let sizes: Vec<usize> = run.parts.iter().map(Vec::len).collect();
    assert_eq!(sizes[..4], [6, 6, 6, 2]);
    assert_eq!(run.outcome.unwrap().samples, 3 * 2 * 10);
    hold(&changes(2), &training, &[3, 2, 3, 2, 3, 2]);
    hold(&changes(1), &training, &[6, 4, 6, 4, 6, 4]);
    hold(&changes(6), &training, &[1; 6]);
}

#[test]
fn streams_may_have_batches_of_their_own() {
    // Ten videos of the source, six at a time: the second step has four, and three of the target's four (⌈4 · 4 / 6⌉).
    let training = Training {
        reversal: ganin(6),
        momentum: 0.9,
        ..Training::plain(&[0.1; 6])
    };
    let rest = "optimizer = { lr = 0.1, momentum = 0.9 }\n[nodes.grl]\nschedule = \"ganin\"";
    let changes = format!("epochs = 3\nbatch = {{ source = 6, target = 4 }}\n{rest}");
    let run = hold(&changes, &training, &[1; 6]);
    let sizes: Vec<[usize; 2]> = (run.parts.iter())
        .map(|p| [0, 1].map(|s| p.iter().filter(|r| r.stream == s).count()))
        .collect();
    assert_eq!(sizes, [[6, 4], [4, 3], [6, 4], [4, 3], [6, 4], [4, 3]]);
    assert_eq!(run.outcome.unwrap().samples, 3 * (10 + 7));
    // In parts, which are of both streams, too; without the short step.
    let changes = format!(
        "steps = 6\ndrop_last = true\nbatch = {{ source = 6, target = 4 }}\nmicro_batch = {{ source = 3, target = 2 }}\n{rest}"
    );
    let run = hold(&changes, &training, &[2; 6]);
    assert!(
        run.parts
            .iter()
            .all(|p| p.len() == 5 && p.iter().filter(|r| r.stream == 1).count() == 2)
    );
    // With it: four videos are a part of three and one of one, three are two and one. The mean over the source counts its
    // first part three times as much as the second, the mean over all videos five times to two.
    let changes =
        format!("epochs = 3\nbatch = {{ source = 6, target = 4 }}\nmicro_batch = {{ source = 3, target = 2 }}\n{rest}");
    let run = hold(&changes, &training, &[2; 6]);
    let sizes: Vec<usize> = run.parts.iter().map(Vec::len).collect();
    assert_eq!(sizes[..4], [5, 5, 5, 2]);
}

#[test]
fn the_plan_counts_the_videos_of_each_stream() {
    let estimate = |batch: &str| {
        let (_, checked) = graph(&format!("steps = 1\nbatch = {batch}\noptimizer = {{ lr = 0.1 }}"));
        memory(&checked.phases["main"], Precision::F32)
    };
    // Multiply-adds: `embed` has 12 weights and takes both streams, as `judge` with its 4; `classify` has 12 and the source.
    let macs = |source: u64, target: u64| (FEATURES as u64 * 4 + 4) * (source + target) + 12 * source;
    for (source, target) in [(6, 6), (6, 2), (1, 5), (128, 74)] {
        let found = estimate(&format!("{{ source = {source}, target = {target} }}"));
        assert_eq!(found.macs, macs(source, target), "{source} and {target}");
    }
    // What no stream has cannot take part of the peak: this is linear in the rows, but for what does not depend on them.
    let peak = |batch: &str| estimate(batch).peak;
    let [even, fewer] = [peak("6"), peak("{ source = 6, target = 2 }")];
    assert_eq!(peak("{ source = 6, target = 4 }"), (even + fewer) / 2);
}

#[test]
fn what_is_frozen_stays_and_is_no_part_of_the_norm() {
    // It computes as in a view, too: its dropout does nothing.
    let training = Training {
        trains: |name| !name.starts_with("embed."),
        momentum: 0.9,
        group: |_| (1.0, 0.1),
        ..Training::plain(&[0.1; 4])
    };
    let changes = "steps = 4\nbatch = 5\nfrozen = [\"embed\"]\n\
        optimizer = { lr = 0.1, momentum = 0.9, weight_decay = 0.1 }\n[nodes.embed]\ndropout = 0.5";
    hold(changes, &training, &[1; 4]);
}

#[test]
fn a_phase_that_goes_on_is_the_same() {
    let (graph, checked) = graph(
        "epochs = 2\nbatch = 4\nmicro_batch = 2\n\
         optimizer = { lr = 0.1, momentum = 0.9, warmup_steps = 3, schedule = { kind = \"cosine\" } }\n\
         [nodes.grl]\nschedule = \"ganin\"",
    );
    let whole = trained(&graph, &checked, How::default());
    assert_eq!((whole.rows.len(), whole.saved.len()), (6, 5));
    for from in 0..5 {
        let steps = whole.saved[from].0 as usize;
        assert_eq!(steps, from + 1);
        let rest = trained(
            &graph,
            &checked,
            How {
                phase: "main",
                from: Some(whole.saved[from].clone()),
                refreshed: None,
                workers: 1,
                save_steps: None,
                save_every: Duration::MAX,
            },
        );
        let report = rest.outcome.unwrap();
        assert_eq!(report.steps as usize, 6 - steps);
        assert_eq!(rest.position.step, 6);
        assert_eq!(rest.rows, whole.rows[steps..]);
        assert_eq!(rest.weights.last(), whole.weights.last());
        assert_eq!(rest.saved.len(), 0, "nothing was asked for");
    }
}

#[test]
fn states_are_saved_as_often_as_asked() {
    let after = |steps: usize, save_steps, save_every| {
        let (graph, checked) = graph(&format!("steps = {steps}\nbatch = 4\noptimizer = {{ lr = 0.1 }}"));
        let how = How {
            save_steps,
            save_every,
            ..How::default()
        };
        let run = trained(&graph, &checked, how);
        let after: Vec<u64> = run.saved.iter().map(|s| s.0).collect();
        (after, run.epochs)
    };
    // An epoch has three steps; the phase's end is one, too, and is saved by the run that it is part of.
    assert_eq!(after(7, Some(3), Duration::MAX), (vec![3, 6], vec![3, 6, 7]));
    assert_eq!(after(6, Some(3), Duration::MAX), (vec![3], vec![3, 6]));
    assert_eq!(after(4, None, Duration::ZERO), (vec![1, 2, 3], vec![3, 4]));
    assert_eq!(after(4, None, Duration::MAX), (vec![], vec![3, 4]));
}

#[test]
fn a_report_counts_and_smooths() {
    let (graph, checked) = graph("steps = 4\nbatch = 4\noptimizer = { lr = 0.1 }");
    let run = trained(&graph, &checked, How::default());
    let report = run.outcome.unwrap();
    assert_eq!((report.steps, report.samples), (4, 2 * (4 + 4 + 2 + 4)));
    for name in ["ce", "adv", "loss", "lr", "grad_norm"] {
        let all: Vec<f64> = run.rows.iter().map(|r| r[name].as_f64().unwrap()).collect();
        let smooth = all.iter().skip(1).fold(all[0], |s, v| 0.95 * s + 0.05 * v);
        let found = report.smooth.iter().find(|(n, _)| n == name).unwrap().1;
        near(name, found, smooth);
    }
    // Packed copies of weights are made anew after each change.
    assert!(run.store.iter().all(|(_, w)| w.version == 4 && w.grad.is_none()));
    let nodes: Vec<&str> = report.nodes.iter().map(|n| n.node.as_str()).collect();
    assert!(nodes.contains(&"embed") && !nodes.contains(&"pixels"), "{nodes:?}");
    assert!(
        report.data_nodes.iter().any(|(n, _)| n == "pixels"),
        "{:?}",
        report.data_nodes
    );
    assert!(report.waited > Duration::ZERO, "the first batch is waited for");
    assert!(report.held > Duration::ZERO && report.data_busy > Duration::ZERO);
    let busy: Duration = report.nodes.iter().map(|n| n.forward + n.backward).sum();
    assert_eq!(report.rest(), report.wall - busy - report.optimizer - report.waited);
}

#[test]
fn times_of_calls_add_up_by_node() {
    let (_, checked) = graph("steps = 4\nbatch = 4\noptimizer = { lr = 0.1 }");
    let program = &checked.phases["main"];
    let ms = Duration::from_millis;
    let mut times = vec![(Duration::ZERO, Duration::ZERO); program.calls.len()];
    let calls = program.calls.iter().zip(&mut times);
    for (n, (_, time)) in calls.filter(|(c, _)| c.node == "embed").enumerate() {
        *time = (ms(1 + n as u64), ms(10));
    }
    let judge = program.calls.iter().position(|c| c.node == "judge").unwrap();
    times[judge] = (ms(30), ms(0));
    let found = node_times(program, &times);
    let found: Vec<_> = found.iter().map(|n| (n.node.as_str(), n.forward, n.backward)).collect();
    assert_eq!(found, [("judge", ms(30), ms(0)), ("embed", ms(3), ms(20))]);
}

#[test]
fn a_report_says_which_side_waits() {
    let s = Duration::from_secs;
    let node = |forward, backward| NodeTime {
        node: "n".into(),
        forward: s(forward),
        backward: s(backward),
    };
    let mut report = PhaseReport {
        wall: s(100),
        waited: s(25),
        held: s(10),
        nodes: vec![node(10, 20), node(5, 7)],
        optimizer: s(3),
        ..PhaseReport::default()
    };
    assert_eq!(report.rest(), s(30));
    assert_eq!(report.waits(), "waits for data 25 %, data waits 10 %");
    report.device_busy = Some(s(80));
    assert_eq!(report.waits(), "waits for data 25 %, data waits 10 %, device busy 80 %");
    report.device_busy = Some(s(120));
    assert!(report.waits().ends_with("device busy 100 %"), "{}", report.waits());
}

#[test]
fn a_phase_begins_with_its_own_optimiser_reversal_and_fresh_weights_where_it_resets() {
    let changes = "steps = 3\nbatch = 4\noptimizer = { lr = 0.1, momentum = 0.9, warmup_steps = 2 }\n\
        [phases.second]\nsteps = 3\nbatch = 5\nreset = [\"judge\"]\nlosses = { ce = 0.5, adv = 2.0 }\n\
        optimizer = { lr = 0.2, momentum = 0.9, warmup_steps = 2 }\n\
        [nodes.grl]\nschedule = \"ganin\"\n";
    let (graph, checked) = graph(&format!("{changes}[]\nrun = [\"main\", \"second\"]"));
    let first = trained(&graph, &checked, How::default());
    let start = first.weights[0].clone();
    let second = trained(
        &graph,
        &checked,
        How {
            phase: "second",
            from: Some((0, first.store.clone(), None)),
            ..How::default()
        },
    );
    let runs = [first, second];
    let mut weights = start.clone();
    let phases = [
        ("main", [1.0, 0.5], [0.05, 0.1, 0.1]),
        ("second", [0.5, 2.0], [0.1, 0.2, 0.2]),
    ];
    for (phase, (name, losses, lr)) in phases.into_iter().enumerate() {
        let training = Training {
            momentum: 0.9,
            losses,
            reversal: ganin(3),
            ..Training::plain(&lr)
        };
        if phase == 1 {
            for (name, v) in start.iter().filter(|(n, _)| n.starts_with("judge.")) {
                assert_ne!(&weights[name], v, "it was trained");
                weights.insert(name.clone(), v.clone());
            }
        }
        let mut kept = Moments::default();
        for k in 0..3 {
            let row = &runs[phase].rows[k];
            assert_eq!(
                (row["phase"].as_str(), row["step"].as_u64()),
                (Some(name), Some(k as u64))
            );
            for (what, right) in training.step(k, &mut weights, &mut kept, &runs[phase].parts[k]) {
                near(&format!("{name}, step {k}, {what}"), row[what].as_f64().unwrap(), right);
            }
        }
    }
    for (name, found) in numbers(&runs[1].store) {
        for (found, right) in found.iter().zip(&weights[&name]) {
            near(&name, *found, *right);
        }
    }
}

#[test]
fn an_epoch_may_be_over_the_longest_list_and_without_its_short_step() {
    // Ten source and seven target videos. The order of the streams does not matter.
    let training = |steps: usize| Training {
        reversal: ganin(steps),
        ..Training::plain(&vec![0.1; steps])
    };
    let changes = |keys: &str, streams: &str| {
        format!(
            "epochs = 2\nbatch = 4\n{keys}\noptimizer = {{ lr = 0.1 }}\n[nodes.grl]\nschedule = \"ganin\"\n[]\nstreams = \
             {streams}"
        )
    };
    let both = "[\"source\", \"target\"]";
    let run = hold(&changes("drop_last = true", both), &training(4), &[1; 4]);
    assert!(run.parts.iter().all(|p| p.len() == 8));
    let turned = "[\"target\", \"source\"]";
    let (first, _) = graph(&changes("", turned));
    assert_eq!(first.phases["main"].epoch.lists(2), 1);
    let steps = |keys: &str, streams: &str| {
        let (graph, checked) = graph(&changes(keys, streams));
        trained(&graph, &checked, How::default()).rows.len()
    };
    assert_eq!(steps("", turned), 2 * 2);
    assert_eq!(steps("epoch = \"longest\"", turned), 2 * 3);
    assert_eq!(steps("epoch = \"longest\"\ndrop_last = true", turned), 2 * 2);
    assert_eq!(steps("epoch = \"first\"", both), 2 * 3);
}

#[test]
fn parts_without_a_pair_are_counted() {
    let near = "[nodes.near]\nkind = \"contrastive\"\ntemperature = 0.5\ninputs = { x = \"embed.y@source\", label = \
                \"batch.label@source\" }";
    let run = |more: &str| {
        let changes = format!(
            "steps = 8\nbatch = 6\noptimizer = {{ lr = 0.01 }}\nlosses.near = 0.1\n{more}\n{near}\n[nodes.videos]\nsource.videos = 12"
        );
        let (graph, checked) = graph(&changes);
        let run = trained(&graph, &checked, How::default());
        run.outcome.as_ref().unwrap();
        run
    };
    let divided = run("micro_batch = 3");
    let (mut none, mut some) = (0, 0);
    for (row, parts) in divided.rows.iter().zip(divided.parts.chunks(2)) {
        let alone = |part: &&Vec<Row>| {
            let classes: Vec<usize> = part.iter().filter(|r| r.stream == 0).map(|r| class(r.video)).collect();
            assert_eq!(classes.len(), 3);
            classes[0] != classes[1] && classes[0] != classes[2] && classes[1] != classes[2]
        };
        let right = parts.iter().filter(alone).count();
        assert_eq!(row["near.parts_of_0"].as_f64(), Some(right as f64), "{row}");
        (none, some) = (none + right, some + 2 - right);
    }
    assert!(none > 0 && some > 0, "{none} {some}");
    // Whole steps, and losses that compare no rows, are not counted.
    assert!(run("").rows.iter().all(|r| r.get("near.parts_of_0").is_none()));
    assert!(divided.rows.iter().all(|r| r.get("ce.parts_of_0").is_none()));
}

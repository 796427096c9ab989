//! Nodes whose weights are a copy of another's: teachers.

use super::harness::{How, Trained, graph, near, trained};
use super::kinds::Row;
use super::net::{Numbers, WIDTH, pass};
use crate::program::Copied;
use crate::run::progress::Progress;
use crate::run::start::{begin_phase, start_weights};
use candle_core::Device;
use glad_nodes::{Key, Scheduled, WeightStore};
use std::time::Duration;

const RATE: f64 = 0.1;

/// The student's features of the target are drawn to the teacher's: the mean over rows of ‖a − b‖², times 0.7.
fn taught(ema: f64) -> String {
    format!(
        "optimizer = {{ lr = {RATE:?} }}\nlosses.apart = 0.7\n[nodes.teach]\nweights = {{ of = \"embed\", ema = {ema:?} }}\n\
         inputs = {{ x = \"rows.x\" }}\n[nodes.apart]\nkind = \"formula\"\naxes = {{ a = \"n,d\", b = \"n,d\" }}\nloss = \
         \"mean(sum((a - b)^2, d))\"\ninputs = {{ a = \"embed.y@target\", b = \"teach.y@target\" }}"
    )
}

/// The features of a row.
fn features(weights: &Numbers, node: &str, x: &[f64]) -> Vec<f64> {
    let (w, b) = (&weights[&format!("{node}.weight")], &weights[&format!("{node}.bias")]);
    let row = |(w, b): (&[f64], &f64)| b + w.iter().zip(x).map(|(w, x)| w * x).sum::<f64>();
    w.chunks(x.len()).zip(b).map(row).collect()
}

/// Adds the gradient of `share` times the distance of student and teacher on these rows of the target; gives the distance.
fn towards_teacher(weights: &Numbers, grads: &mut Numbers, rows: &[Row], share: f64) -> f64 {
    let rows: Vec<&Row> = rows.iter().filter(|r| r.stream == 1).collect();
    let mut distance = 0.0;
    for row in &rows {
        let (a, b) = (features(weights, "embed", &row.x), features(weights, "teach", &row.x));
        for d in 0..WIDTH {
            let apart = a[d] - b[d];
            distance += apart * apart / rows.len() as f64;
            let g = share * 2.0 * apart / rows.len() as f64;
            grads.get_mut("embed.bias").unwrap()[d] += g;
            let of_row = &mut grads.get_mut("embed.weight").unwrap()[d * row.x.len()..];
            of_row.iter_mut().zip(&row.x).for_each(|(w, x)| *w += g * x);
        }
    }
    distance
}

/// Holds each step of a run to f64: plain SGD on `share` times the distance and the small graph's own losses, then the copy.
#[track_caller]
fn hold(run: &Trained, ema: f64, share: f64, parts: usize) {
    hold_by(run, &|_| ema, share, parts);
}

/// As [`hold`], with the share of a step.
#[track_caller]
fn hold_by(run: &Trained, ema: &dyn Fn(usize) -> f64, share: f64, parts: usize) {
    run.outcome.as_ref().unwrap();
    let mut weights = run.weights[0].clone();
    for name in ["weight", "bias"] {
        assert_eq!(weights[&format!("teach.{name}")], weights[&format!("embed.{name}")]);
    }
    let mut moved = 0.0f64;
    for (k, parts) in run.parts.chunks(parts).enumerate() {
        let rows = parts.concat();
        let mut found = pass(&weights, &rows, [1.0, 0.5], 1.0);
        let distance = towards_teacher(&weights, &mut found.grads, &rows, share);
        if share != 0.0 {
            near(
                &format!("step {k}, apart"),
                run.rows[k]["apart"].as_f64().unwrap(),
                distance,
            );
            moved = moved.max(distance);
        }
        found.grads.retain(|name, _| !name.starts_with("teach."));
        let norm = found.grads.values().flatten().map(|g| g * g).sum::<f64>().sqrt();
        near(
            &format!("step {k}, norm"),
            run.rows[k]["grad_norm"].as_f64().unwrap(),
            norm,
        );
        for (name, grad) in &found.grads {
            let w = weights.get_mut(name).unwrap();
            w.iter_mut().zip(grad).for_each(|(w, g)| *w -= RATE * g);
        }
        for name in ["weight", "bias"] {
            let student = weights[&format!("embed.{name}")].clone();
            let teacher = weights.get_mut(&format!("teach.{name}")).unwrap();
            teacher
                .iter_mut()
                .zip(student)
                .for_each(|(t, s)| *t = ema(k) * *t + (1.0 - ema(k)) * s);
        }
        assert!(weights.keys().eq(run.weights[k + 1].keys()));
        for (name, right) in &weights {
            for (i, (found, right)) in run.weights[k + 1][name].iter().zip(right).enumerate() {
                near(&format!("after step {k}, {name}[{i}]"), *found, *right);
            }
        }
    }
    assert!(share == 0.0 || moved > 1e-3, "the teacher never lags behind: {moved}");
}

#[test]
fn a_teacher_follows_and_teaches() {
    for ema in [0.9, 0.5, 1.0] {
        let (graph, checked) = graph(&format!("steps = 4\nbatch = 5\n{}", taught(ema)));
        hold(&trained(&graph, &checked, How::default()), ema, 0.7, 1);
    }
    // A share that grows over the phase.
    let grows = taught(0.9).replace("ema = 0.9", "ema = { from = 0.5, to = 0.9, schedule = \"linear\" }");
    let (growing, checked) = graph(&format!("steps = 4\nbatch = 5\n{grows}"));
    hold_by(
        &trained(&growing, &checked, How::default()),
        &|k| 0.5 + 0.1 * k as f64,
        0.7,
        1,
    );
    // One update is one move, of however many parts.
    let (graph, checked) = graph(&format!("steps = 2\nbatch = 5\nmicro_batch = 5\n{}", taught(0.9)));
    hold(&trained(&graph, &checked, How::default()), 0.9, 0.7, 1);
}

#[test]
fn what_only_a_view_computes_follows_too() {
    let changes = format!(
        "steps = 3\nbatch = 4\nmicro_batch = 2\noptimizer = {{ lr = {RATE:?} }}\n[nodes.teach]\nweights = {{ of = \"embed\", ema = \
         0.8 }}\ninputs = {{ x = \"rows.x\" }}\n[views.infer]\nroots = [\"teach.y@target\"]"
    );
    let (graph, checked) = graph(&changes);
    let program = &checked.phases["main"];
    assert!(program.calls.iter().all(|c| c.node != "teach"));
    let copied = |begins, moves| Copied {
        node: "teach".into(),
        of: "embed".into(),
        ema: Scheduled::Number(0.8),
        begins,
        moves,
    };
    assert_eq!(program.copies, [copied(true, true)]);
    assert_eq!(checked.views["infer"].copies, [copied(false, false)]);
    let run = trained(&graph, &checked, How::default());
    let parts: Vec<Vec<Row>> = run.parts.chunks(2).map(<[_]>::concat).collect();
    hold(&Trained { parts, ..run }, 0.8, 0.0, 1);
}

#[test]
fn a_copy_begins_with_the_first_phase_that_computes_it() {
    let changes = format!(
        "steps = 2\nbatch = 4\n{}\n[phases.before]\nsteps = 2\nbatch = 4\nlosses = {{ ce = 1.0 }}\noptimizer = {{ lr = 0.5 }}\n\
         [phases.after]\nsteps = 2\nbatch = 4\nlosses = {{ adv = 1.0 }}\noptimizer = {{ lr = 0.5 }}\n\
         [phases.again]\nsteps = 2\nbatch = 4\nreset = [\"embed\"]\nlosses = {{ adv = 1.0 }}\noptimizer = {{ lr = 0.5 }}\n[]\n\
         run = [\"before\", \"main\", \"after\", \"again\"]",
        taught(0.9)
    );
    let (graph, checked) = graph(&changes);
    let copies = |phase: &str| {
        checked.phases[phase]
            .copies
            .iter()
            .map(|c| (c.begins, c.moves))
            .collect::<Vec<_>>()
    };
    assert!(copies("before").is_empty());
    assert_eq!(copies("main"), [(true, true)]);
    assert_eq!(
        copies("after"),
        [(false, true)],
        "it follows on, though no loss there needs it"
    );
    assert_eq!(copies("again"), [(true, true)], "as what it is a copy of");
    let phase = |phase, from: Option<WeightStore>| {
        let from = from.map(|store| (0, store, None));
        let how = How {
            phase,
            from,
            ..How::default()
        };
        trained(&graph, &checked, how)
    };
    let before = phase("before", None);
    assert!(before.store.iter().all(|(n, _)| !n.starts_with("teach.")));
    let main = phase("main", Some(before.store.clone()));
    assert_eq!(main.weights[0]["embed.weight"], before.weights[2]["embed.weight"]);
    hold(&main, 0.9, 0.7, 1);
    let after = phase("after", Some(main.store.clone()));
    assert_eq!(after.weights[0], main.weights[2]);
    let (first, then) = (&after.weights[0], &after.weights[1]);
    for (i, t) in then["teach.weight"].iter().enumerate() {
        near(
            "after",
            *t,
            0.9 * first["teach.weight"][i] + 0.1 * then["embed.weight"][i],
        );
    }
    let again = phase("again", Some(after.store.clone()));
    assert_eq!(again.weights[0]["teach.weight"], again.weights[0]["embed.weight"]);
    assert_ne!(again.weights[0]["embed.weight"], after.weights[2]["embed.weight"]);
}

#[test]
fn it_rests_where_nothing_trains_what_it_is_a_copy_of() {
    let changes = format!("steps = 3\nbatch = 4\nfrozen = [\"embed\"]\n{}", taught(0.9));
    let changes = changes.replace("losses.apart = 0.7\n", "");
    let (graph, checked) = graph(&format!("{changes}\n[views.infer]\nroots = [\"teach.y\"]"));
    assert!(checked.phases["main"].copies.is_empty(), "nothing there needs it");
    let run = trained(&graph, &checked, How::default());
    run.outcome.unwrap();
    // A view computes it as the weights are, and leaves nothing behind.
    let (mut store, program) = (run.store, &checked.views["infer"]);
    let made = start_weights(program, &mut store, Key::new(1), &Device::Cpu, &Progress::new(true)).unwrap();
    assert_eq!(made, ["teach.weight", "teach.bias"]);
    let values = |name: &str| {
        store
            .get(name)
            .unwrap()
            .value
            .flatten_all()
            .unwrap()
            .to_vec1::<f32>()
            .unwrap()
    };
    assert_eq!(values("teach.weight"), values("embed.weight"));
}

#[test]
fn resumed_at_any_step_it_ends_with_the_same_bits() {
    let (graph, checked) = graph(&format!("steps = 4\nbatch = 4\n{}", taught(0.7)));
    let whole = trained(&graph, &checked, How::default());
    for from in &whole.saved {
        let steps = from.0 as usize;
        let how = How {
            from: Some(from.clone()),
            workers: 1,
            save_steps: None,
            save_every: Duration::MAX,
            ..How::default()
        };
        let rest = trained(&graph, &checked, how);
        rest.outcome.unwrap();
        assert_eq!(rest.rows, whole.rows[steps..]);
        assert_eq!(rest.weights.last(), whole.weights.last());
    }
}

#[test]
fn a_copy_is_not_trained() {
    let (graph, checked) = graph(&format!("steps = 1\nbatch = 4\n{}", taught(0.9)));
    let (program, def) = (&checked.phases["main"], &graph.phases["main"]);
    let mut store = WeightStore::default();
    begin_phase(program, def, &mut store, true, 1, &Device::Cpu, &Progress::new(true)).unwrap();
    let (student, teacher) = (store.get("embed.weight").unwrap(), store.get("teach.weight").unwrap());
    assert!(student.trains && !teacher.trains);
    assert!(program.reach.iter().all(|r| r.node != "teach"));
}

#[test]
fn composites_are_copied_as_a_whole_and_the_effective_graph_says_so() {
    let text = "extends = \"full.toml\"\n[nodes.judge_2]\nweights = { of = \"align_g\", ema = 0.99 }\n\
                inputs = { source = \"consensus.y@source\", target = \"consensus.y@target\" }\n\
                [views.infer]\n[append.views.infer]\nroots = [\"judge_2.accuracy\"]";
    let load = |text: &str, folder: &str| {
        crate::load::load_text("copy.toml", text, std::path::Path::new(folder)).unwrap_or_else(|p| panic!("{p}"))
    };
    let graph = load(text, "graphs");
    let (own, other) = (&graph.nodes["judge_2.mlp"], &graph.nodes["align_g.mlp"]);
    assert_eq!(
        own.params.keys().collect::<Vec<_>>(),
        other.params.keys().collect::<Vec<_>>()
    );
    let effective = crate::load::effective(&graph);
    let line = "weights = { of = \"align_g.mlp\", ema = 0.99 }";
    assert!(effective.contains(line), "{effective}");
    assert_eq!(crate::load::effective(&load(&effective, "elsewhere")), effective);
    let checked = crate::check::check(&graph, &glad_nodes::registry()).unwrap_or_else(|p| panic!("{p}"));
    let copies = &checked.phases["main"].copies;
    assert_eq!(
        copies.iter().map(|c| c.node.as_str()).collect::<Vec<_>>(),
        ["judge_2.mlp"]
    );
}

#[test]
fn a_teacher_moves_once_a_step_however_many_rounds_it_has() {
    let (graph, checked) = graph(&format!(
        "steps = 3\nbatch = 5\n{}\n[phases.main.rounds.ce]\nlosses = {{ ce = 1.0 }}\nrepeat = 3\n[phases.main.rounds.all]\nlosses = \
         {{ adv = 0.5, apart = 0.7 }}",
        taught(0.9)
    ));
    let run = trained(&graph, &checked, How::default());
    run.outcome.as_ref().unwrap();
    for step in run.weights.windows(2) {
        for name in ["weight", "bias"] {
            let (student, teacher) = (format!("embed.{name}"), format!("teach.{name}"));
            let moved = step[0][&teacher]
                .iter()
                .zip(&step[1][&student])
                .map(|(t, s)| 0.9 * t + 0.1 * s);
            for (found, right) in step[1][&teacher].iter().zip(moved) {
                near(&teacher, *found, right);
            }
            assert_ne!(step[1][&teacher], step[1][&student]);
        }
    }
}

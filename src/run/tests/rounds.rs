//! Rounds of a step: each sees the same batch with the present weights, and moves what it names.

use super::harness::{How, Trained, graph, near, trained};
use super::kinds::Row;
use super::net::{Adam, Moments, Numbers, Training, pass};
use crate::run::checkpoint::{self, Position};
use candle_core::Device;
use std::collections::BTreeMap;

/// A round by hand.
struct By {
    name: &'static str,
    /// Weights of its two losses; none where it has no such loss.
    of: [Option<f64>; 2],
    trains: fn(&str) -> bool,
    repeat: usize,
}

fn judges(name: &str) -> bool {
    name.starts_with("judge.")
}

/// The classifier of domains, twice; then what it judges, against it.
const TWO: [By; 2] = [
    By {
        name: "judge",
        of: [None, Some(0.5)],
        trains: judges,
        repeat: 2,
    },
    By {
        name: "rest",
        of: [Some(1.0), Some(-0.25)],
        trains: |name| !judges(name),
        repeat: 1,
    },
];

const TWO_ROUNDS: &str = "\n[]\nbypass = [\"grl\"]\n\
    [phases.main.rounds.judge]\nlosses = { adv = 0.5 }\ntrain = [\"judge\"]\nrepeat = 2\n\
    [phases.main.rounds.rest]\nlosses = { ce = 1.0, adv = -0.25 }\ntrain = [\"embed\", \"classify\"]";

/// Trains the small graph without its reversal, and holds every number of each step, and every weight after it, to the rounds
/// by hand. Each step is computed in so many parts.
#[track_caller]
fn hold(changes: &str, training: &Training, rounds: &[By], parts: &[usize]) -> Trained {
    let (graph, checked) = graph(changes);
    let run = trained(&graph, &checked, How::default());
    run.outcome.as_ref().unwrap();
    let steps = training.lr.len();
    assert_eq!(
        (run.rows.len(), run.weights.len(), parts.len()),
        (steps, steps + 1, steps),
        "{changes}"
    );
    let (mut weights, mut kept) = (run.weights[0].clone(), Moments::default());
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    let mut calls = run.calls.iter();
    for (k, parts) in parts.iter().enumerate() {
        let (mut batch, mut total) = (None::<Vec<Vec<Row>>>, 0.0);
        for By {
            name,
            of,
            trains,
            repeat,
        } in rounds
        {
            for time in 0..*repeat {
                // The target is there where domains are told apart, and a round that needs only the source reads no other.
                let streams = if of[1].is_some() { 2 } else { 1 };
                let seen: Vec<Vec<Row>> = calls.by_ref().take(streams * parts).cloned().collect();
                let all = batch.get_or_insert_with(|| seen.clone());
                assert_eq!(all.len(), 2 * parts, "the first round has both streams");
                let right: Vec<&Vec<Row>> = all.iter().step_by(3 - streams).collect();
                assert!(seen.iter().eq(right), "step {k}, {name}: another batch");
                let rows = all.concat();
                let mut found = pass(&weights, &rows, of.map(|w| w.unwrap_or(0.0)), -1.0);
                found.grads.retain(|name, _| trains(name));
                let mut count = |name: &str| {
                    let n = times.entry(name.to_owned()).or_default();
                    *n += 1;
                    *n
                };
                let norm = training.update(training.lr[k], &found.grads, &mut weights, &mut kept, &mut count);
                if time + 1 < *repeat {
                    continue;
                }
                let losses = [found.ce, found.adv].into_iter().zip(of);
                let loss: f64 = losses.map(|(value, w)| w.unwrap_or(0.0) * value).sum();
                total += loss;
                let mut right = vec![("loss", loss), ("grad_norm", norm)];
                if of[0].is_some() {
                    right.extend([("ce", found.ce), ("ce.accuracy", found.ce_accuracy)]);
                }
                if of[1].is_some() {
                    right.extend([("adv", found.adv), ("adv.accuracy", found.adv_accuracy)]);
                }
                let label = format!("{name}/");
                let own = run.rows[k].as_object().unwrap().keys();
                assert_eq!(
                    own.filter(|n| n.starts_with(&label)).count(),
                    right.len(),
                    "{}",
                    run.rows[k]
                );
                for (what, right) in right {
                    let found = &run.rows[k][format!("{label}{what}")];
                    near(&format!("step {k}, {label}{what}"), found.as_f64().unwrap(), right);
                }
            }
        }
        near(&format!("step {k}, loss"), run.rows[k]["loss"].as_f64().unwrap(), total);
        near(
            &format!("step {k}, lr"),
            run.rows[k]["lr"].as_f64().unwrap(),
            training.lr[k],
        );
        same(&format!("after step {k}"), &run.weights[k + 1], &weights);
    }
    assert_eq!(calls.next(), None, "forward passes");
    run
}

#[track_caller]
fn same(when: &str, found: &Numbers, right: &Numbers) {
    assert!(found.keys().eq(right.keys()));
    for (name, right) in right {
        for (i, (found, right)) in found[name].iter().zip(right).enumerate() {
            near(&format!("{when}, {name}[{i}]"), *found, *right);
        }
    }
}

#[test]
fn two_rounds_with_momentum() {
    let training = |clip| Training {
        momentum: 0.9,
        clip,
        group: |name| if judges(name) { (2.0, 0.0) } else { (1.0, 0.05) },
        ..Training::plain(&[0.1, 0.08, 0.06, 0.04, 0.02])
    };
    let changes = |more: &str| {
        format!(
            "steps = 5\nbatch = 6\n{more}weight_decay = 0.05, groups = [{{ nodes = [\"judge\"], lr_scale = 2.0, weight_decay = \
             0.0 }}], schedule = \"linear\", lr = 0.1, momentum = 0.9 }}{TWO_ROUNDS}"
        )
    };
    hold(&changes("optimizer = { "), &training(None), &TWO, &[1; 5]);
    // Each round's gradient is clipped by its own norm, below which some are and others are not.
    let run = hold(
        &changes("optimizer = { clip_norm = 0.4, "),
        &training(Some(0.4)),
        &TWO,
        &[1; 5],
    );
    let norms: Vec<f64> = (run.rows.iter())
        .flat_map(|r| ["judge/grad_norm", "rest/grad_norm"].map(|n| r[n].as_f64().unwrap()))
        .collect();
    assert!(
        norms.iter().any(|n| *n > 0.4) && norms.iter().any(|n| *n < 0.4),
        "{norms:?}"
    );
    // In parts, each round takes all of them before its update.
    hold(
        &changes("micro_batch = 2\noptimizer = { clip_norm = 0.4, "),
        &training(Some(0.4)),
        &TWO,
        &[3, 2, 3, 2, 3],
    );
}

#[test]
fn two_rounds_by_adam() {
    let training = Training {
        adam: Some(Adam {
            betas: [0.8, 0.9],
            eps: 1e-2,
            decoupled: true,
        }),
        clip: Some(0.5),
        group: |_| (1.0, 0.1),
        ..Training::plain(&[0.01, 0.02, 0.02])
    };
    let optimizer = "optimizer = { kind = \"adamw\", lr = 0.02, betas = [0.8, 0.9], eps = 0.01, weight_decay = 0.1, clip_norm = \
                     0.5, warmup_steps = 2 }";
    let run = hold(
        &format!("steps = 3\nbatch = 5\n{optimizer}{TWO_ROUNDS}"),
        &training,
        &TWO,
        &[1; 3],
    );
    // How often a weight was moved is its own count.
    let (step, _, state) = run.saved.last().unwrap();
    let moved = |name: &str| state.as_ref().unwrap().weights[name].steps;
    assert_eq!((*step, moved("judge.weight"), moved("embed.weight")), (2, 4, 2));
}

#[test]
fn a_round_computes_what_it_needs() {
    // The second round needs the source alone; the last one trains all that its loss reaches.
    let rounds = [
        By {
            name: "a",
            of: [None, Some(0.5)],
            trains: judges,
            repeat: 1,
        },
        By {
            name: "b",
            of: [Some(0.5), None],
            trains: |name| name.starts_with("classify."),
            repeat: 3,
        },
        By {
            name: "c",
            of: [None, Some(-0.5)],
            trains: |name| !name.starts_with("classify."),
            repeat: 1,
        },
    ];
    let changes = "steps = 4\nbatch = 4\nmicro_batch = 2\noptimizer = { lr = 0.1, momentum = 0.5 }\n[]\nbypass = [\"grl\"]\n\
        [phases.main.rounds.a]\nlosses = { adv = 0.5 }\ntrain = [\"judge\"]\n\
        [phases.main.rounds.b]\nlosses = { ce = 0.5 }\ntrain = [\"classify\"]\nrepeat = 3\n\
        [phases.main.rounds.c]\nlosses = { adv = -0.5 }";
    let training = Training {
        momentum: 0.5,
        ..Training::plain(&[0.1; 4])
    };
    hold(changes, &training, &rounds, &[2, 2, 1, 2]);
}

#[test]
fn one_round_is_a_phase_without_rounds() {
    let keys = "steps = 4\nbatch = 4\noptimizer = { lr = 0.1, momentum = 0.9 }";
    let of = |changes: &str| {
        let (graph, checked) = graph(changes);
        trained(&graph, &checked, How::default())
    };
    let plain = of(keys);
    let round = of(&format!(
        "{keys}\n[phases.main.rounds.all]\nlosses = {{ ce = 1.0, adv = 0.5 }}"
    ));
    assert_eq!(plain.weights, round.weights);
    assert_eq!(plain.rows[3]["ce"], round.rows[3]["all/ce"]);
}

#[test]
fn each_pass_draws_anew() {
    let drawn = |rounds: &str, dropout: f64| {
        let (graph, checked) = graph(&format!(
            "steps = 1\nbatch = 7\noptimizer = {{ lr = 0.0 }}\n[nodes.judge]\ninputs = {{ x = \"drop.x\" }}\n[nodes.drop]\nkind = \
             \"dropout\"\ndropout = {dropout:?}\ninputs = {{ x = \"grl.x\" }}\n{rounds}"
        ));
        trained(&graph, &checked, How::default()).rows.remove(0)
    };
    let round = |name: &str, more: &str| format!("[phases.main.rounds.{name}]\nlosses = {{ adv = 1.0 }}\n{more}\n");
    let (a, b) = (round("a", ""), round("b", ""));
    let both = drawn(&format!("{a}{b}"), 0.5);
    assert_ne!(both["a/adv"], both["b/adv"]);
    // A round's draws do not depend on what comes before it.
    assert_eq!(drawn(&b, 0.5)["b/adv"], both["b/adv"]);
    let twice = drawn(&round("a", "repeat = 2"), 0.5);
    assert_ne!(twice["a/adv"], both["a/adv"]);
    let none = drawn(&format!("{a}{b}"), 0.0);
    assert_eq!(none["a/adv"], none["b/adv"]);
}

#[test]
fn a_phase_in_rounds_goes_on_from_a_file() {
    let (graph, checked) = graph(&format!(
        "steps = 4\nbatch = 4\nmicro_batch = 2\noptimizer = {{ kind = \"adam\", lr = 0.01, clip_norm = 0.5 }}{TWO_ROUNDS}"
    ));
    let whole = trained(&graph, &checked, How::default());
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state");
    for (step, weights, state) in &whole.saved {
        let position = Position {
            format: Position::FORMAT,
            step: *step,
            ..Position::default()
        };
        checkpoint::save(&path, &position, weights, state.as_ref(), None).unwrap();
        let loaded = checkpoint::load(&path, &Device::Cpu).unwrap();
        let from = Some((*step, loaded.store, loaded.optimizer));
        let rest = trained(
            &graph,
            &checked,
            How {
                from,
                workers: 1,
                ..How::default()
            },
        );
        assert_eq!(rest.rows, whole.rows[*step as usize..]);
        assert_eq!(rest.weights.last(), whole.weights.last());
    }
    assert_eq!(whole.saved.len(), 3);
}

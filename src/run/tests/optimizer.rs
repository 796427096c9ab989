//! Schedules, warm-up, groups, clipping, momentum and decay.

use super::harness::hold;
use super::net::Training;
use std::f64::consts::PI;

/// Five steps on whole lists: what a step sees does not matter, only what the optimiser makes of it.
const FIVE: &str = "steps = 5\nbatch = 10\n";

fn five(optimizer: &str, training: Training) {
    hold(&format!("{FIVE}optimizer = {{ {optimizer} }}"), &training, &[1; 5]);
}

#[test]
fn a_constant_rate() {
    five("lr = 0.1", Training::plain(&[0.1; 5]));
}

#[test]
fn warm_up_rises_from_its_first_step() {
    let lr = [0.05, 0.1, 0.15, 0.2, 0.2];
    five("lr = 0.2, warmup_steps = 4", Training::plain(&lr));
}

#[test]
fn a_rate_that_falls_at_steps() {
    let lr = [0.1, 0.1, 0.05, 0.05, 0.025];
    five(
        r#"lr = 0.1, schedule = { kind = "step", at = [2, 4], gamma = 0.5 }"#,
        Training::plain(&lr),
    );
}

#[test]
fn a_rate_that_falls_at_epochs() {
    // Ten videos in batches of four: three steps an epoch, the last of them of two videos.
    let lr = [0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.02, 0.02, 0.02];
    let run = hold(
        r#"
        epochs = 3
        batch = 4
        optimizer = { lr = 0.1, schedule = { kind = "step", at = [2], gamma = 0.2 } }
        "#,
        &Training::plain(&lr),
        &[1; 9],
    );
    let videos: Vec<usize> = run.parts.iter().map(Vec::len).collect();
    assert_eq!(videos, [8, 8, 4, 8, 8, 4, 8, 8, 4]);
    let epochs: Vec<u64> = run.rows.iter().map(|r| r["epoch"].as_u64().unwrap()).collect();
    assert_eq!(epochs, [0, 0, 0, 1, 1, 1, 2, 2, 2]);
    assert_eq!(run.epochs, [3, 6, 9]);
}

#[test]
fn a_cosine_over_the_phase_with_warm_up() {
    let cosine = |k: f64| 0.1 + 0.9 * (1.0 + (PI * k / 5.0).cos()) / 2.0;
    let lr = [
        0.1 * cosine(0.0),
        0.2 * cosine(1.0),
        0.2 * cosine(2.0),
        0.2 * cosine(3.0),
        0.2 * cosine(4.0),
    ];
    five(
        r#"lr = 0.2, warmup_steps = 2, schedule = { kind = "cosine", end = 0.1 }"#,
        Training::plain(&lr),
    );
}

#[test]
fn momentum_and_decay() {
    let training = Training {
        momentum: 0.9,
        group: |_| (1.0, 0.01),
        ..Training::plain(&[0.05; 5])
    };
    five("lr = 0.05, momentum = 0.9, weight_decay = 0.01", training);
}

#[test]
fn nesterov() {
    let training = Training {
        momentum: 0.8,
        nesterov: true,
        group: |_| (1.0, 0.02),
        ..Training::plain(&[0.05; 5])
    };
    five(
        "lr = 0.05, momentum = 0.8, nesterov = true, weight_decay = 0.02",
        training,
    );
}

#[test]
fn decay_without_momentum() {
    let training = Training {
        group: |_| (1.0, 0.1),
        ..Training::plain(&[0.1; 5])
    };
    five("lr = 0.1, weight_decay = 0.1", training);
}

#[test]
fn the_first_group_that_matches_counts() {
    // Biases of `judge` and `classify`, all of `judge` and all biases: by node and role, by node, by role.
    let training = Training {
        momentum: 0.5,
        group: |name| match name {
            "judge.bias" => (3.0, 0.01),
            "judge.weight" => (0.5, 0.0),
            "classify.bias" | "embed.bias" => (2.0, 0.05),
            _ => (1.0, 0.01),
        },
        ..Training::plain(&[0.05; 5])
    };
    five(
        r#"lr = 0.05, momentum = 0.5, weight_decay = 0.01, groups = [
            { nodes = ["judge"], roles = ["bias"], lr_scale = 3.0 },
            { nodes = ["judge"], lr_scale = 0.5, weight_decay = 0.0 },
            { roles = ["bias"], lr_scale = 2.0, weight_decay = 0.05 },
        ]"#,
        training,
    );
}

#[test]
fn a_gradient_is_clipped_by_its_norm() {
    // Between the norms that occur: some steps are clipped, others are not.
    let training = |clip| Training {
        momentum: 0.9,
        clip: Some(clip),
        group: |_| (1.0, 0.01),
        ..Training::plain(&[0.1; 5])
    };
    let norms = |clip: f64| {
        let optimizer =
            format!("optimizer = {{ lr = 0.1, momentum = 0.9, weight_decay = 0.01, clip_norm = {clip:?} }}");
        let run = hold(&format!("{FIVE}{optimizer}"), &training(clip), &[1; 5]);
        let norm = |r: &serde_json::Value| r["grad_norm"].as_f64().unwrap();
        run.rows.iter().map(norm).collect::<Vec<_>>()
    };
    assert!(norms(0.2).iter().all(|n| *n > 0.2), "{:?}", norms(0.2));
    let some = norms(0.6);
    assert!(
        some.iter().any(|n| *n > 0.6) && some.iter().any(|n| *n < 0.6),
        "{some:?}"
    );
}

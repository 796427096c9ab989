//! Learning rates of each schedule, in closed forms and by the field's released codes.

use super::harness::graph;
use crate::run::optim::{Length, Optimizer};
use std::f64::consts::PI;

/// Rates of an optimiser at these steps.
fn hold(optimizer: &str, steps: u64, per_epoch: Option<u64>, at: &[(u64, f64)]) {
    let (graph, _) = graph(&format!("epochs = 1\nbatch = 4\noptimizer = {{ {optimizer} }}"));
    let set = Optimizer::new(&graph.phases["main"].optimizer);
    for (step, right) in at {
        let found = set.lr(*step, Length { steps, per_epoch });
        let error = (found - right).abs();
        assert!(error <= 1e-12 * right, "{optimizer}, step {step}: {found}, not {right}");
    }
}

/// `schedules` of the golden values of the field's released codes (float64).
#[test]
fn the_released_schedules() {
    // lr0 (1 + 10 p)^-0.75, p the share of the phase.
    hold(
        r#"lr = 0.01, schedule = { kind = "inverse", gamma = 10.0, power = 0.75 }"#,
        1000,
        None,
        &[
            (0, 0.01),
            (100, 0.005946035575013605),
            (500, 0.0026084743001221454),
            (1000, 0.0016556002607617019),
        ],
    );
    // lr0 (1 + 0.001 i)^-0.75, i the step.
    hold(
        r#"lr = 0.01, schedule = { kind = "inverse", gamma = 0.001, over = "steps" }"#,
        20_000,
        None,
        &[
            (0, 0.01),
            (1, 0.00999250655649001),
            (1000, 0.005946035575013605),
            (10_000, 0.0016556002607617019),
        ],
    );
    hold(
        r#"lr = 0.01, schedule = { kind = "cosine" }"#,
        10_000,
        None,
        &[
            (0, 0.01),
            (1, 0.009999999753259893),
            (2500, 0.008535533905932738),
            (5000, 0.005),
        ],
    );
}

/// TA3N's code is an epoch ahead: p = (i + e · steps) / (epochs · steps), e from 1. That is another rate and gamma:
/// 1 + 10 (p + 1/30) = (1 + 1/3) (1 + 7.5 p).
#[test]
fn a_schedule_that_is_an_epoch_ahead() {
    let ahead = 0.03 * (1.0 + 10.0 / 30.0f64).powf(-0.75);
    let optimizer = format!(r#"lr = {ahead:?}, schedule = {{ kind = "inverse", gamma = 7.5 }}"#);
    let at = [
        (0, 0.02417782346602969),
        (10, 0.02073535092502209),
        (329, 0.004866593657398112),
    ];
    hold(&optimizer, 330, Some(11), &at);
}

#[test]
fn in_a_line() {
    let optimizer = r#"lr = 0.4, schedule = { kind = "linear", end = 0.25 }"#;
    hold(optimizer, 3, None, &[(0, 0.4), (1, 0.3), (2, 0.2)]);
    hold(
        r#"lr = 0.4, schedule = "linear""#,
        4,
        None,
        &[(0, 0.4), (1, 0.3), (3, 0.1)],
    );
}

#[test]
fn once_an_epoch() {
    // Four epochs of three steps: stairs, whose edges are the first steps of epochs.
    let stairs = |schedule: &str, rates: [f64; 4]| {
        let at: Vec<_> = (0..12u64).map(|step| (step, rates[step as usize / 3])).collect();
        hold(&format!("lr = 1.0, schedule = {{ {schedule} }}"), 12, Some(3), &at);
    };
    let cosine = |e: f64| 0.5 * (1.0 + (PI * e / 4.0).cos());
    stairs(
        r#"kind = "cosine", per = "epoch""#,
        [1.0, cosine(1.0), cosine(2.0), cosine(3.0)],
    );
    stairs(r#"kind = "linear", per = "epoch""#, [1.0, 0.75, 0.5, 0.25]);
    let power = |x: f64| (1.0 + 2.0 * x).powf(-0.5);
    stairs(
        r#"kind = "inverse", gamma = 2, power = 0.5, per = "epoch""#,
        [1.0, power(0.25), power(0.5), power(0.75)],
    );
    stairs(
        r#"kind = "inverse", gamma = 2, power = 0.5, per = "epoch", over = "steps""#,
        [1.0, power(3.0), power(6.0), power(9.0)],
    );
    for per in ["", r#", per = "epoch""#] {
        stairs(
            &format!(r#"kind = "step", at = [1, 3], gamma = 0.5{per}"#),
            [1.0, 0.5, 0.5, 0.25],
        );
    }
    let rates: Vec<_> = (0..12).map(|k| (k, if k < 4 { 1.0 } else { 0.5 })).collect();
    let steps = r#"lr = 1.0, schedule = { kind = "step", at = [4], gamma = 0.5, per = "step" }"#;
    hold(steps, 12, Some(3), &rates);
}

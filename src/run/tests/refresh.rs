//! Passes over whole lists between steps, and the rows that steps get of them.

use super::harness::{How, Trained, graph, near, trained};
use super::kinds::{CLASSES, Row};
use super::net::{Numbers, linear};
use crate::run::refreshed::Refreshed;

/// Steps are held near what the network said at the last pass: the loss `near` is the mean squared distance of a target row's
/// scores from those, over the rows that the pass could use.
fn changes(phase: &str, view: &str) -> String {
    format!(
        "steps = 9\nbatch = 4\noptimizer = {{ lr = 0.02 }}\nlosses.adv = 0.0\nlosses.near = 0.7\n{phase}\n[nodes.before]\nkind = \
         \"per_video\"\ninputs = {{ x = \"classify.logits@target\" }}\n[nodes.near]\nkind = \"formula\"\naxes = {{ z = \"Logits[n,k]\", \
         b = \"Logits[n,k]\", m = \"Mask[n]\" }}\nloss = \"sum(m*sum((z - b)^2, k))/size(n)\"\ninputs = {{ z = \
         \"classify.logits@target\", b = \"before.y\", m = \"before.mask\" }}\n[views.labels]\nsplit = \"train\"\nbatch = 3\nroots = \
         [\"before.y\", \"before.mask\"]\n{view}"
    )
}

fn run(changes: &str, how: How) -> Trained {
    let (graph, checked) = graph(changes);
    trained(&graph, &checked, how)
}

fn logits(w: &Numbers, row: &Row) -> Vec<f64> {
    let layer = |name: &str, x: &[f64]| linear(&w[&format!("{name}.weight")], &w[&format!("{name}.bias")], x);
    layer("classify", &layer("embed", &row.x))
}

/// Holds the loss of each step to float64, with passes before these steps of which some videos have no row.
#[track_caller]
fn hold(run: &Trained, passes: &[usize], without: &[usize]) {
    run.outcome.as_ref().unwrap();
    assert_eq!(run.rows.len(), 9);
    let mut largest = 0f64;
    for (k, row) in run.rows.iter().enumerate() {
        let pass = *passes.iter().rfind(|p| **p <= k).unwrap();
        let targets: Vec<&Row> = run.parts[k].iter().filter(|r| r.stream == 1).collect();
        let mut right = 0.0;
        for row in targets.iter().filter(|r| !without.contains(&r.video)) {
            let (now, before) = (logits(&run.weights[k], row), logits(&run.weights[pass], row));
            right += now.iter().zip(before).map(|(z, b)| (z - b).powi(2)).sum::<f64>() / targets.len() as f64;
        }
        let found = row["near"].as_f64().unwrap();
        assert!(
            (found - right).abs() <= 1e-6 + 2e-4 * right,
            "step {k}: {found}, and {right} is right"
        );
        largest = largest.max(right);
        assert_eq!(passes.contains(&k), right == 0.0, "step {k}");
    }
    assert!(largest > 1e-4, "{largest}");
}

#[test]
fn steps_get_the_rows_of_their_videos_from_the_last_pass() {
    // Ten source videos, four at a time: three steps an epoch.
    for (refresh, passes) in [
        ("{ view = \"labels\" }", &[0, 3, 6][..]),
        ("{ view = \"labels\", every = 2 }", &[0, 6]),
        ("{ view = \"labels\", steps = 4 }", &[0, 4, 8]),
        ("{ view = \"labels\", times = 4 }", &[0, 2, 4, 6]),
    ] {
        let run = run(&changes(&format!("refresh = {refresh}"), ""), How::default());
        hold(&run, passes, &[]);
    }
    // Parts of a step, and rounds.
    let parts = run(
        &changes("refresh = { view = \"labels\", steps = 4 }\nmicro_batch = 2", ""),
        How::default(),
    );
    parts.outcome.unwrap();
    assert_eq!(parts.rows[4]["near"].as_f64().unwrap(), 0.0);
}

#[test]
fn threads_change_nothing_and_a_run_goes_on_with_the_rows_that_were_saved() {
    let changes = changes("refresh = { view = \"labels\", steps = 4 }", "");
    let whole = run(&changes, How::default());
    let one = How {
        workers: 1,
        ..How::default()
    };
    assert_eq!(run(&changes, one).weights, whole.weights);
    for from in [0, 2, 3, 5] {
        let how = How {
            from: Some(whole.saved[from].clone()),
            refreshed: whole.passes[from].clone(),
            ..How::default()
        };
        let rest = run(&changes, how);
        assert_eq!(rest.weights.last(), whole.weights.last(), "after {} steps", from + 1);
        assert_eq!(rest.rows, whole.rows[from + 1..]);
    }
    // Other rows would show.
    let other = Refreshed {
        step: 0,
        ..whole.passes[5].clone().unwrap()
    };
    let how = How {
        from: Some(whole.saved[2].clone()),
        refreshed: Some(other),
        ..How::default()
    };
    assert_ne!(run(&changes, how).rows[0], whole.rows[3]);
}

#[test]
fn videos_that_the_pass_cannot_use_are_masked() {
    let bad = "nodes.pixels = { target = { bad = [2, 5] } }\n[]\nbad_videos = 0.5";
    let found = run(&changes("refresh = { view = \"labels\" }", bad), How::default());
    let met = |v: usize| found.parts.concat().iter().any(|r| r.stream == 1 && r.video == v);
    assert!(met(2) && met(5), "steps use them");
    hold(&found, &[0, 3, 6], &[2, 5]);
    let few = run(
        &changes("refresh = { view = \"labels\" }", &bad.replace("0.5", "0.1")),
        How::default(),
    );
    let e = format!("{:#}", few.outcome.unwrap_err());
    assert!(e.contains("2 of the 7 videos of stream `target` cannot be used"), "{e}");
}

/// Labels by centroids, and a cross-entropy with them.
fn centroids(inputs: &str, view: &str) -> String {
    format!(
        "steps = 6\nbatch = 4\nrefresh = {{ view = \"labels\" }}\noptimizer = {{ lr = 0.02 }}\nlosses.adv = 0.0\nlosses.pseudo = \
         1.0\n[nodes.nearest]\nkind = \"centroid_labels\"\ninputs = {{ x = \"embed.y@target\", logits = \"classify.logits@target\" \
         }}\n[nodes.pseudo]\nkind = \"cross_entropy\"\ninputs = {{ logits = \"classify.logits@target\", label = \
         \"nearest.label\"{inputs} }}\n[views.labels]\nsplit = \"train\"\nroots = [\"nearest.label\", \"nearest.mask\"]\n{view}"
    )
}

#[test]
fn a_label_that_is_missing_needs_its_mask() {
    let bad = "nodes.pixels = { target = { bad = [2] } }\n[]\nbad_videos = 0.5";
    let masked = run(&centroids(", mask = \"nearest.mask\"", bad), How::default());
    masked.outcome.unwrap();
    let e = format!("{:#}", run(&centroids("", bad), How::default()).outcome.unwrap_err());
    assert!(
        e.contains(
            "video2 (list:3) could not be used in the pass over the list, so `nearest` has no label of it, and a step takes it\n  \
             let what takes the label take the `mask` of `nearest`, too"
        ),
        "{e}"
    );
    // Labels are those of classes, and the loss is that of the labels that were saved.
    let whole = run(&centroids("", ""), How::default());
    whole.outcome.as_ref().unwrap();
    let rows = whole.passes[0].as_ref().unwrap().values["nearest.label"].rows.clone();
    let labels = rows.to_vec1::<f32>().unwrap();
    assert_eq!(labels.len(), 7);
    for (k, row) in whole.rows[..3].iter().enumerate() {
        let targets: Vec<&Row> = whole.parts[k].iter().filter(|r| r.stream == 1).collect();
        let mut right = 0.0;
        for row in &targets {
            let z = logits(&whole.weights[k], row);
            let label = labels[row.video] as usize;
            assert!(label < CLASSES);
            right += (z.iter().map(|z| z.exp()).sum::<f64>().ln() - z[label]) / targets.len() as f64;
        }
        near(&format!("step {k}"), row["pseudo"].as_f64().unwrap(), right);
    }
}

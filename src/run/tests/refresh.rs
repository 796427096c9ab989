//! Passes over whole lists between steps, and the rows that steps get of them.

use super::harness::{How, Trained, graph, near, trained};
use super::kinds::{CLASSES, Row, class};
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
    // Without the mask steps would come near zeros.
    let without = changes("refresh = { view = \"labels\" }", bad)
        .replace(", m = \"Mask[n]\"", "")
        .replace("m*sum(", "sum(")
        .replace(", m = \"before.mask\"", "");
    let e = format!("{:#}", run(&without, How::default()).outcome.unwrap_err());
    assert!(
        e.contains("could not be used in the pass over the list, so `before` has nothing of it"),
        "{e}"
    );
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
            "video2 (list:3) could not be used in the pass over the list, so `nearest` has nothing of it, and a step takes it\n  \
             let what takes the values take the `mask` of `nearest`, too"
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

/// Source and target features, classes of the source, and of the target with what is trusted.
type Batch = (Vec<Vec<f64>>, Vec<Vec<f64>>, Vec<usize>, Vec<(usize, bool)>);

/// The contrastive domain discrepancy by its definition, pair by pair.
fn discrepancy((s, t, y, z): &Batch) -> f64 {
    let apart = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>();
    let all: Vec<&Vec<f64>> = s.iter().chain(t).collect();
    let pairs = (all.len() * (all.len() - 1)) as f64;
    let h: f64 = all
        .iter()
        .flat_map(|a| all.iter().map(move |b| apart(a, b)))
        .sum::<f64>()
        / pairs;
    let own = |k: usize| -> [Vec<&[f64]>; 2] {
        [
            s.iter()
                .zip(y)
                .filter(|(_, l)| **l == k)
                .map(|(f, _)| f.as_slice())
                .collect(),
            t.iter()
                .zip(z)
                .filter(|(_, l)| **l == (k, true))
                .map(|(f, _)| f.as_slice())
                .collect(),
        ]
    };
    let mean = |a: &[&[f64]], b: &[&[f64]]| {
        let all = a.iter().flat_map(|a| b.iter().map(move |b| (-apart(a, b) / h).exp()));
        all.sum::<f64>() / (a.len() * b.len()) as f64
    };
    let both: Vec<[Vec<&[f64]>; 2]> = (0..CLASSES)
        .map(own)
        .filter(|[s, t]| !s.is_empty() && !t.is_empty())
        .collect();
    let (mut intra, mut inter) = (0.0, 0.0);
    for (i, [s, _]) in both.iter().enumerate() {
        for (j, [_, t]) in both.iter().enumerate() {
            let d = mean(s, s) + mean(t, t) - 2.0 * mean(s, t);
            *(if i == j { &mut intra } else { &mut inter }) += d;
        }
    }
    let n = both.len() as f64;
    intra / n.max(1.0) - inter / (n * (n - 1.0)).max(1.0)
}

#[test]
fn can_draws_clusters_to_their_classes() {
    let changes = "steps = 8\nbatch = 6\nrefresh = { view = \"labels\" }\noptimizer = { lr = 0.02 }\nlosses.adv = 0.0\nlosses.cdd = \
                   0.3\n[nodes.clusters]\nkind = \"cluster_labels\"\ndistance = 0.4\ninputs = { x = \"embed.y@target\", from = \
                   \"embed.y@source\", label = \"batch.label@source\" }\n[nodes.cdd]\nkind = \
                   \"glad:lib/class_discrepancy\"\n[nodes.cdd.inputs]\nsource = \"embed.y@source\"\ntarget = \
                   \"embed.y@target\"\nsource_label = \"batch.label@source\"\ntarget_label = \"clusters.label\"\ntarget_mask = \
                   \"clusters.mask\"\nlogits = \"classify.logits@target\"\n[views.labels]\nsplit = \"train\"\nroots = \
                   [\"clusters.label\", \"clusters.mask\"]";
    let found = run(changes, How::default());
    found.outcome.as_ref().unwrap();
    let mut some = 0;
    for (k, row) in found.rows.iter().enumerate().take(7) {
        // The state after a step has the rows that the step was taken with.
        let pass = found.passes[k].as_ref().unwrap();
        let kept = |port: &str| pass.values[&format!("clusters.{port}")].rows.to_vec1::<f32>().unwrap();
        let (label, mask) = (kept("label"), kept("mask"));
        let w = &found.weights[k];
        let feature = |row: &Row| linear(&w["embed.weight"], &w["embed.bias"], &row.x);
        let of = |s: usize| found.parts[k].iter().filter(move |r| r.stream == s);
        let batch: Batch = (
            of(0).map(feature).collect(),
            of(1).map(feature).collect(),
            of(0).map(|r| class(r.video)).collect(),
            of(1).map(|r| (label[r.video] as usize, mask[r.video] == 1.0)).collect(),
        );
        let right = discrepancy(&batch);
        let cdd = row["cdd"].as_f64().unwrap();
        assert!(
            (cdd - right).abs() <= 1e-5 + 1e-4 * right.abs(),
            "step {k}: {cdd}, and {right} is right"
        );
        some += usize::from(right != 0.0);
    }
    assert!(some > 3, "{some} steps have a class of both domains");
}

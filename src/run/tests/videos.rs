//! Which videos a step gets: order, fresh draws in each pass, and what happens to those that cannot be used.

use super::harness::{How, Trained, graph, trained};
use super::kinds::Row;
use std::collections::{BTreeMap, BTreeSet};

fn run(changes: &str) -> Trained {
    let (graph, checked) = graph(&format!("optimizer = {{ lr = 0.01 }}\n{changes}"));
    trained(&graph, &checked, How::default())
}

/// The rows of a stream, in order.
fn of(run: &Trained, stream: usize) -> Vec<Row> {
    let rows = run.parts.iter().flatten();
    rows.filter(|r| r.stream == stream).cloned().collect()
}

#[test]
fn every_pass_has_each_video_once_in_an_order_of_its_own() {
    let run = run("epochs = 7\nbatch = 4");
    run.outcome.as_ref().unwrap();
    for (stream, size) in [(0, 10), (1, 7)] {
        let videos: Vec<usize> = of(&run, stream).iter().map(|r| r.video).collect();
        assert_eq!(videos.len(), 70);
        let passes: Vec<&[usize]> = videos.chunks(size).collect();
        for pass in &passes {
            assert!(
                pass.iter().copied().collect::<BTreeSet<_>>().into_iter().eq(0..size),
                "{pass:?}"
            );
        }
        let orders: BTreeSet<&&[usize]> = passes.iter().collect();
        assert_eq!(orders.len(), passes.len());
    }
}

#[test]
fn augmentation_differs_from_pass_to_pass_from_video_to_video_and_from_stream_to_stream() {
    let run = run("epochs = 7\nbatch = 4\n[nodes.pixels]\ndraws = 256");
    run.outcome.as_ref().unwrap();
    let mut all: Vec<usize> = vec![];
    for stream in [0, 1] {
        let mut by_video: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for row in of(&run, stream) {
            by_video.entry(row.video).or_default().push(row.drawn);
        }
        for (video, drawn) in &by_video {
            let different: BTreeSet<&usize> = drawn.iter().collect();
            // Of 7 or 10 draws of 256 numbers one pair or two may be equal by chance, not more.
            assert!(different.len() + 2 >= drawn.len(), "video {video}: {drawn:?}");
        }
        let first: Vec<usize> = by_video.values().map(|d| d[0]).collect();
        assert!(
            first.iter().collect::<BTreeSet<_>>().len() + 2 >= first.len(),
            "{first:?}"
        );
        all.push(first[0]);
    }
    assert_ne!(all[0], all[1], "the first videos of the streams");
}

#[test]
fn bad_videos_are_replaced_by_different_ones_and_counted_once() {
    let run = run("epochs = 6\nbatch = 5\n[nodes.pixels]\nsource.bad = [2, 7]");
    run.outcome.as_ref().unwrap_err();
    let run = {
        let changes = "optimizer = { lr = 0.01 }\nepochs = 12\nbatch = 5\n[nodes.pixels]\nsource.bad = [2, 7]\n";
        let (mut graph, checked) = graph(changes);
        graph.bad_videos = 0.2;
        trained(&graph, &checked, How::default())
    };
    run.outcome.as_ref().unwrap();
    let rows = of(&run, 0);
    assert_eq!(rows.len(), 120, "no slot is left empty");
    assert!(rows.iter().all(|r| ![2, 7].contains(&r.video)));
    // In a pass each of the others comes once, and two stand for those that are bad.
    let mut stand: Vec<usize> = vec![];
    for pass in rows.chunks(10) {
        let mut left: Vec<usize> = pass.iter().map(|r| r.video).collect();
        for video in [0, 1, 3, 4, 5, 6, 8, 9] {
            left.remove(left.iter().position(|v| *v == video).unwrap());
        }
        stand.extend(left);
    }
    assert_eq!(stand.len(), 24);
    assert!(stand.iter().collect::<BTreeSet<_>>().len() >= 6, "{stand:?}");
    let bad = &run.position.bad;
    assert_eq!(bad.keys().collect::<Vec<_>>(), ["source"]);
    let (videos, reasons): (Vec<&str>, Vec<&str>) = bad["source"].iter().map(|(a, b)| (a.as_str(), b.as_str())).unzip();
    assert_eq!(videos, ["video2 (list:3)", "video7 (list:8)"]);
    assert_eq!(reasons, ["node `pixels`: its bytes are bad"; 2]);
}

#[test]
fn more_bad_videos_than_allowed_end_the_phase_and_no_fewer() {
    // Of ten videos, three are bad.
    for (limit, ends) in [
        (0.0, true),
        (0.15, true),
        (0.2, true),
        (0.21, false),
        (0.3, false),
        (1.0, false),
    ] {
        let changes = "optimizer = { lr = 0.01 }\nepochs = 2\nbatch = 5\n[nodes.pixels]\nsource.bad = [1, 4, 8]\n";
        let (mut graph, checked) = graph(changes);
        graph.bad_videos = limit;
        let run = trained(&graph, &checked, How::default());
        match (run.outcome, ends) {
            (Ok(report), false) => assert_eq!(report.steps, 4),
            (Err(e), true) => {
                let most = (10.0 * limit).ceil() as usize;
                let text = format!("{e:#}");
                let right = format!(
                    "phase `main`: {} of the 10 videos of stream `source` cannot be used",
                    most + 1
                );
                assert!(text.starts_with(&right), "{text}");
                for part in [
                    &format!("bad_videos = {limit} allows"),
                    "one of them: video",
                    "its bytes are bad",
                ] {
                    assert!(text.contains(part), "{text}");
                }
            }
            (outcome, _) => panic!("bad_videos = {limit}: {outcome:?}"),
        }
    }
}

#[test]
fn what_is_replaced_does_not_depend_on_the_workers() {
    let changes = "optimizer = { lr = 0.01 }\nepochs = 3\nbatch = 5\n[nodes.pixels]\nbad = [0, 3]\ndraws = 200";
    let (mut graph, checked) = graph(changes);
    graph.bad_videos = 1.0;
    let of = |workers| {
        let how = How {
            workers,
            ..How::default()
        };
        let run = trained(&graph, &checked, how);
        run.outcome.unwrap();
        (run.rows, run.parts, run.position)
    };
    assert_eq!(of(1), of(4));
}

//! What the weights of networks start from: stated by the graph, checked against the file before anything runs, and
//! recorded in every result.

use crate::common::{glad, graph, ok, repository, smoke};
use glad::check::{absent, check, starts_from};
use glad::diag::Problems;
use glad::graph::Graph;
use glad::load::load_text;
use glad::program::Checked;
use std::path::Path;

/// The whole method on the small data set with this `init` of a ResNet-18 as narrow as the file in the tests.
fn open(init: &str, depth: usize) -> (Graph, Checked) {
    let text = format!(
        "extends = \"full.toml\"\n[replace.nodes.backbone]\nkind = \"tsm\"\ndepth = {depth}\nwidths = [8, 8, 8, 8, 16]\n\
         batch_stats = \"joint\"\ninputs = {{ clips = \"normalize.clips\" }}\n{init}\n"
    );
    let graph = load_text("overlay.toml", &text, Path::new("graphs")).unwrap_or_else(|p| panic!("{p}"));
    let checked = check(&graph, &glad::nodes::registry()).unwrap_or_else(|p| panic!("{p}"));
    (graph, checked)
}

const FILE: &str = "../nodes/tests/parity/tsm18.pth";

/// Problems with the file only: the small data set may not exist yet.
fn problems(init: &str, depth: usize) -> String {
    let (graph, checked) = open(init, depth);
    let all = absent(&graph, &checked, false);
    let list = all
        .list
        .into_iter()
        .filter(|p| p.labels.iter().any(|l| l.1.contains("to start from")));
    let all = Problems {
        files: all.files,
        list: list.collect(),
    };
    glad::diag::render(&all, false)
}

#[test]
fn a_graph_says_what_weights_start_from() {
    let (graph, checked) = open("", 18);
    let notes = glad::diag::render(&checked.notes, false);
    assert!(!checked.notes.has_errors());
    insta::assert_snapshot!("not_given", notes);
    assert_eq!(starts_from(&graph, &checked)["backbone"], "not given");
    let (graph, checked) = open("init = \"random\"", 18);
    assert!(checked.notes.list.is_empty());
    assert_eq!(starts_from(&graph, &checked)["backbone"], "random");
    let (graph, checked) = open(&format!("init = \"{FILE}\""), 18);
    let bytes = std::fs::read(repository().join("graphs").join(FILE)).unwrap();
    let hash = blake3::hash(&bytes).to_hex();
    assert_eq!(
        starts_from(&graph, &checked)["backbone"],
        format!("tsm18.pth (blake3 {})", &hash[..12])
    );
    assert_eq!(
        absent(&graph, &checked, false)
            .list
            .iter()
            .filter(|p| p.message.contains("tsm18"))
            .count(),
        0
    );
}

#[test]
fn a_file_of_another_network_is_refused_at_its_line() {
    insta::assert_snapshot!("another_depth", problems(&format!("init = \"{FILE}\""), 34));
    insta::assert_snapshot!("not_there", problems("init = \"no.pth\"", 18));
    insta::assert_snapshot!("a_folder", problems("init = \"settings\"", 18));
    insta::assert_snapshot!("no_weights", problems("init = \"full.toml\"", 18));
    insta::assert_snapshot!(
        "nothing_left_out",
        problems(&format!("init = {{ file = \"{FILE}\", partial = [\"layer9\"] }}"), 18)
    );
}

#[test]
fn the_command_line_names_files_from_here_and_random_as_such() {
    let printed = |value: &str| {
        let set = format!("nodes.backbone.init={value}");
        ok(&["plan", &graph("full.toml"), "--setting", &smoke(), "--set", &set])
    };
    assert!(printed("random").contains("starts from: backbone random"));
    assert!(printed("Cargo.toml").contains("starts from: backbone Cargo.toml (blake3 "));
    assert!(
        printed("{ file = \"Cargo.toml\", partial = [\"layer4\"] }")
            .contains("starts from: backbone Cargo.toml (blake3 ")
    );
}

/// A run from a file: every output records what it started from.
#[test]
fn what_weights_started_from_is_written_down() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    let overlay = dir.path().join("narrow.toml");
    let file = repository().join("nodes/tests/parity/tsm18.pth");
    let text = format!(
        "[replace.nodes.backbone]\nkind = \"tsm\"\ndepth = 18\nwidths = [8, 8, 8, 8, 16]\nbatch_stats = \"joint\"\n\
         init = {:?}\ninputs = {{ clips = \"normalize.clips\" }}\n",
        file.display().to_string()
    );
    std::fs::write(&overlay, text).unwrap();
    let path = |p: &Path| p.display().to_string();
    let out = glad(&[
        &graph("source_only.toml"),
        "--setting",
        &smoke(),
        "--with",
        &path(&overlay),
        "--set",
        "run=[\"main\"]",
        "--set",
        "phases.main.steps=2",
        "--set",
        "phases.main.optimizer.warmup_steps=0",
        "--no-share",
        "--out",
        &path(&run),
    ]);
    let printed = format!(
        "{}{}",
        String::from_utf8_lossy(&out.stdout),
        String::from_utf8_lossy(&out.stderr)
    );
    assert_eq!(out.status.code(), Some(0), "{printed}");
    let hash = blake3::hash(&std::fs::read(&file).unwrap()).to_hex();
    let words = format!("tsm18.pth (blake3 {})", &hash[..12]);
    assert!(printed.contains(&format!("backbone starts from: {words}")), "{printed}");
    assert!(
        printed.contains("100 of 100 weights loaded; not used: fc."),
        "{printed}"
    );
    let read = |name: &str| std::fs::read_to_string(run.join(name)).unwrap();
    assert!(read("plan.txt").contains(&format!("starts from: backbone {words}")));
    assert!(read("report.html").contains(&format!("Starts from: backbone {words}")));
    let first = read("metrics.jsonl").lines().next().unwrap().to_string();
    assert_eq!(first, format!("{{\"starts_from\":{{\"backbone\":\"{words}\"}}}}"));
    let summary: serde_json::Value = serde_json::from_str(&read("summary.json")).unwrap();
    assert_eq!(summary["starts_from"]["backbone"], words);
}

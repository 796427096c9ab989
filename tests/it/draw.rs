//! Pictures of all our graphs.

use glad::check::check;
use glad::graph::Graph;
use glad::load::{LoadOptions, load};
use glad::program::Checked;
use roxmltree::{Document, Node};
use std::path::Path;

fn open(graph: &str) -> (Graph, Checked) {
    let graph = Path::new(env!("CARGO_MANIFEST_DIR")).join("graphs").join(graph);
    let graph = load(&LoadOptions {
        graph,
        ..LoadOptions::default()
    })
    .unwrap();
    let checked = check(&graph, &glad::nodes::registry()).unwrap();
    (graph, checked)
}

const GRAPHS: [&str; 6] = [
    "full.toml",
    "dann.toml",
    "supervised_target.toml",
    "methods/cdan.toml",
    "methods/mdd.toml",
    "ablations/2b_g3_l0.toml",
];

fn rect(n: Node) -> [f64; 4] {
    ["x", "y", "width", "height"].map(|a| n.attribute(a).unwrap().parse().unwrap())
}

fn class<'a>(n: Node<'a, '_>) -> &'a str {
    n.attribute("class").unwrap_or("")
}

#[test]
fn every_node_is_drawn_and_none_lies_on_another() {
    for name in GRAPHS {
        let (graph, checked) = open(name);
        let svg = glad::describe::draw(&graph, &checked, &glad::nodes::registry());
        let doc = Document::parse(&svg).unwrap_or_else(|e| panic!("{name}: {e}"));
        let boxes: Vec<(String, [f64; 4])> = doc
            .descendants()
            .filter(|n| class(*n) == "under")
            .map(|n| {
                (
                    n.parent().unwrap().first_child().unwrap().text().unwrap().to_string(),
                    rect(n),
                )
            })
            .collect();
        // The title of a folded composite names the nodes inside, too.
        for node in graph.nodes.values() {
            let title = format!("{} ({})", node.path, node.kind.value);
            let named = boxes.iter().flat_map(|(t, _)| t.lines()).filter(|l| *l == title);
            assert_eq!(named.count(), 1, "{name}: {title}");
        }
        for (i, (a, [x, y, w, h])) in boxes.iter().enumerate() {
            for (b, [u, v, p, q]) in &boxes[..i] {
                let apart = x + w <= *u || u + p <= *x || y + h <= *v || v + q <= *y;
                assert!(apart, "{name}: {a} lies on {b}");
            }
        }
        for (node, text) in doc
            .descendants()
            .flat_map(|n| ["d", "transform"].map(|a| (n, n.attribute(a).unwrap_or(""))))
        {
            assert!(
                !text.contains("NaN") && !text.contains("inf"),
                "{name}: {:?}",
                node.range()
            );
        }
    }
}

#[test]
fn pictures_fetch_nothing_and_are_the_same_every_time() {
    let (graph, checked) = open("full.toml");
    let draw = || glad::describe::draw(&graph, &checked, &glad::nodes::registry());
    let svg = draw();
    assert_eq!(svg, draw());
    for word in ["<script", "href", "url(", "@import", "<image"] {
        assert!(!svg.contains(word), "{word}");
    }
    assert_eq!(svg.matches("http").count(), 1, "the namespace alone");
}

#[test]
fn the_full_graph_says_what_matters() {
    let (graph, checked) = open("full.toml");
    let svg = glad::describe::draw(&graph, &checked, &glad::nodes::registry());
    for text in [
        "host",
        "device",
        "lib/adversary",
        "lib/adversary · as align_g",
        "Feature[B,G+L,64]",
        "Logits[B,L!]",
        "Clip[B,G+L,T,48,48,3]",
        "warmup × 1",
        "main × 0.33",
        "source only",
        "batch.label@source → ce.label",
    ] {
        assert!(svg.contains(text), "{text}");
    }
    assert!(!svg.contains("published"), "a number of other data");
    let options = LoadOptions {
        setting: Some("kinetics_babel_tsm".into()),
        ..LoadOptions::of("full")
    };
    let graph = load(&options).unwrap();
    let checked = check(&graph, &glad::nodes::registry()).unwrap();
    let svg = glad::describe::draw(&graph, &checked, &glad::nodes::registry());
    assert!(svg.contains("published: 37.7 ± 2.5 %"));
}

/// A graph with this many more heads, each a composite of the same file.
fn with_heads(n: usize) -> String {
    let mut text = String::from("extends = \"glad:full\"\n");
    for i in 0..n {
        text += &format!(
            "[nodes.head_{i}]\nkind = \"glad:lib/adversary\"\ninputs = {{ source = \"consensus.y@source\", target = \"consensus.y@target\" }}\n"
        );
    }
    text += "[phases.main.losses]\n";
    (0..n).for_each(|i| text += &format!("head_{i} = 0.1\n"));
    text
}

#[test]
fn many_heads_stay_a_picture() {
    let height = |n: usize| -> (f64, f64) {
        let graph =
            glad::load::load_text("heads.toml", &with_heads(n), Path::new("")).unwrap_or_else(|p| panic!("{p}"));
        let checked = check(&graph, &glad::nodes::registry()).unwrap();
        let high = |svg: String| -> f64 {
            let doc = Document::parse(&svg).unwrap();
            doc.root_element().attribute("height").unwrap().parse().unwrap()
        };
        let registry = glad::nodes::registry();
        let (folded, open) = (
            glad::describe::draw(&graph, &checked, &registry),
            glad::describe::draw_open(&graph, &checked, &registry),
        );
        assert!(folded.contains("head_1.mlp (mlp)"), "the title says what is inside");
        (high(folded), high(open))
    };
    let (folded, open) = height(12);
    assert!(folded < 1500.0 && open > 3500.0, "{folded} {open}");
}

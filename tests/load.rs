//! Loading the graphs that ship.

use glad::load::{LoadOptions, load};

#[test]
fn the_full_graph() {
    let g = load(&LoadOptions::of("graphs/full.toml")).unwrap_or_else(|p| panic!("{p}"));
    let run: Vec<&str> = g.run.iter().map(|r| r.value.as_str()).collect();
    assert_eq!(run, ["pretrain", "warmup", "main"]);
    assert_eq!(g.dims["K"].value, 12);
    assert!(g.notes.is_empty(), "{:?}", g.notes);
    let tol = &g.phases["main"].losses["tol"];
    assert_eq!((tol.target.value.node.as_str(), tol.target.value.port.as_str()), ("tol.ce", "loss"));
    assert_eq!(tol.weight.value, 0.1);
    let head = &g.nodes["align_x.rows"];
    assert_eq!(head.inputs["source"].len(), 2);
    assert_eq!(head.inputs["source"][1].value.node, "local_mean");
    assert_eq!(head.inputs["source"][1].value.stream.as_deref(), Some("source"));
    assert_eq!(head.inside[0].value, "align_x");
    assert!(g.nodes["videos"].per_stream.contains_key("auxiliary"));
}

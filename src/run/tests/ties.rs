//! Nodes that use the weights of another node.

use super::harness::{How, graph, hold, trained};
use super::net::Training;

/// The target's rows go through a node of their own with the source's weights, which is the same network.
const TIED: &str = "\n[nodes.embed]\nonly = [\"source\"]\n\
    [nodes.embed_t]\nkind = \"linear\"\nonly = [\"target\"]\noutputs = 4\nweights = \"embed\"\ninputs = { x = \"rows.x\" }\n\
    [nodes.domains]\ninputs = { source = \"embed.y@source\", target = \"embed_t.y@target\" }";

#[test]
fn both_train_one_set_of_weights() {
    let training = Training {
        momentum: 0.9,
        clip: Some(0.4),
        group: |name| {
            if name.starts_with("embed.") {
                (0.5, 0.1)
            } else {
                (1.0, 0.0)
            }
        },
        ..Training::plain(&[0.1; 4])
    };
    let optimizer = "optimizer = { lr = 0.1, momentum = 0.9, clip_norm = 0.4, groups = [{ nodes = [\"embed\"], lr_scale = 0.5, \
                     weight_decay = 0.1 }] }";
    hold(&format!("steps = 4\nbatch = 5\n{optimizer}{TIED}"), &training, &[1; 4]);
    // In parts, too, and the order of the nodes does not count.
    let training = Training {
        momentum: 0.9,
        ..Training::plain(&[0.1; 3])
    };
    let changes = "epochs = 1\nbatch = 4\nmicro_batch = 2\noptimizer = { lr = 0.1, momentum = 0.9 }";
    hold(&format!("{changes}{TIED}"), &training, &[2, 2, 1]);
}

#[test]
fn frozen_is_frozen_for_both() {
    let training = Training {
        trains: |name| !name.starts_with("embed."),
        ..Training::plain(&[0.1; 3])
    };
    let changes = "steps = 3\nbatch = 4\nfrozen = [\"embed\"]\noptimizer = { lr = 0.1 }";
    hold(&format!("{changes}{TIED}"), &training, &[1; 3]);
}

#[test]
fn a_saved_state_has_the_weights_once() {
    let (graph, checked) = graph(&format!("steps = 1\nbatch = 4\noptimizer = {{ lr = 0.1 }}{TIED}"));
    let names: Vec<&String> = checked.phases["main"].weights.keys().collect();
    assert_eq!(names, ["embed", "classify", "judge"]);
    let run = trained(&graph, &checked, How::default());
    run.outcome.unwrap();
    assert!(run.store.iter().all(|(name, _)| !name.starts_with("embed_t")));
}

#[test]
fn a_composite_shares_with_the_same_composite() {
    let text = "extends = \"full.toml\"\n[nodes.align_2]\nkind = \"lib/adversary.toml\"\nweights = \"align_g\"\n\
                layers = 4\nhidden = \"$domain_hidden\"\ninputs = { source = \"consensus.y@source\", target = \"consensus.y@target\" }\n\
                [phases.main.losses]\nalign_2 = 0.1";
    let graph =
        crate::load::load_text("twice.toml", text, std::path::Path::new("graphs")).unwrap_or_else(|p| panic!("{p}"));
    let checked = crate::check::check(&graph, &glad_nodes::registry()).unwrap_or_else(|p| panic!("{p}"));
    let program = &checked.phases["main"];
    assert!(program.weights.contains_key("align_g.mlp") && !program.weights.contains_key("align_2.mlp"));
    let reached = |loss: &str| {
        program
            .reach
            .iter()
            .any(|r| r.loss == loss && r.node == "align_g.mlp" && r.sign == 1)
    };
    assert!(reached("align_g") && reached("align_2"));
    // The expanded graph says it, too.
    let effective = crate::load::effective(&graph);
    assert!(effective.contains("weights = \"align_g.mlp\""), "{effective}");
}

//! Whole objectives behind the backbone, composed of kinds as a graph composes them, against golden values of the released
//! losses: values, and the gradients of all features and weights.

use super::golden::{Case, near};
use super::{Probe, device, labels, mask};
use crate::{Args, Gradient, Head, Saved, Size, Type};
use candle_core::Tensor;
use serde_json::{Value, json};
use std::collections::HashMap;

/// A graph that is written call by call. A call by the name of an earlier one has its weights.
#[derive(Default)]
struct Net {
    nodes: HashMap<String, Probe>,
    values: Vec<(Type, Tensor)>,
    grads: HashMap<usize, Tensor>,
    calls: Vec<Call>,
}

struct Call {
    node: String,
    args: Args<Tensor>,
    saved: Saved,
    inputs: Vec<usize>,
    outputs: Vec<usize>,
}

impl Net {
    fn value(&mut self, head: Head, tensor: Tensor) -> usize {
        let dims = tensor.dims().iter().map(|n| Size::Known(*n)).collect();
        self.values.push((Type { head, dims }, tensor));
        self.values.len() - 1
    }

    fn call(&mut self, node: &str, kind: &str, params: Value, inputs: &[(&str, &[usize])]) -> Vec<usize> {
        let (mut types, mut args) = (vec![], Args::default());
        for (port, ids) in inputs {
            let values = ids.iter().map(|i| self.values[*i].clone());
            let (given, tensors): (Vec<Type>, Vec<Tensor>) = values.unzip();
            types.push((*port, given));
            args = args.with(port, tensors);
        }
        let made = Probe::new(kind, params, &types, &[]).unwrap();
        let heads: Vec<Head> = made.outputs.iter().map(|t| t.head.clone()).collect();
        let probe = self.nodes.entry(node.into()).or_insert(made);
        let (out, saved) = probe.forward_kept(&args).unwrap();
        let outputs: Vec<usize> = heads.into_iter().zip(out).map(|(h, t)| self.value(h, t)).collect();
        self.calls.push(Call {
            node: node.into(),
            args,
            saved,
            inputs: inputs.iter().flat_map(|(_, ids)| ids.to_vec()).collect(),
            outputs: outputs.clone(),
        });
        outputs
    }

    /// A call of a kind with one input `x`, and its first output.
    fn of(&mut self, node: &str, kind: &str, params: Value, x: usize) -> usize {
        self.call(node, kind, params, &[("x", &[x])])[0]
    }

    fn join(&mut self, rows: &[usize]) -> usize {
        self.call("join", "join_rows", json!({}), &[("x", rows)])[0]
    }

    /// The gradients of the weighted sum of losses.
    fn backward(&mut self, losses: &[(usize, f64)]) {
        for (loss, weight) in losses {
            self.add(*loss, Tensor::new(*weight as f32, &device()).unwrap());
        }
        while let Some(call) = self.calls.pop() {
            let grads: Vec<Option<Tensor>> = call.outputs.iter().map(|o| self.grads.remove(o)).collect();
            let node = self.nodes.get_mut(&call.node).unwrap();
            if node.contract.gradient == Gradient::Stops || grads.iter().all(Option::is_none) {
                continue;
            }
            let back = node.backward(&call.args, call.saved, grads).unwrap();
            for (id, grad) in call.inputs.iter().zip(back) {
                if let Some(g) = grad {
                    self.add(*id, g);
                }
            }
        }
    }

    fn add(&mut self, id: usize, grad: Tensor) {
        let sum = match self.grads.remove(&id) {
            Some(old) => (old + grad).unwrap(),
            None => grad,
        };
        self.grads.insert(id, sum);
    }

    fn tensor(&self, id: usize) -> &Tensor {
        &self.values[id].1
    }

    /// Sets weights of a node.
    fn weights(&mut self, node: &str, weights: Vec<(&str, Tensor)>) {
        let probe = self.nodes.get_mut(node).unwrap();
        for (name, value) in weights {
            probe.set(name, value);
        }
    }
}

fn golden(name: &str) -> Case {
    Case::of(include_str!("../../tests/golden/methods.json"), name)
}

fn turned(t: Tensor) -> Tensor {
    t.t().unwrap().contiguous().unwrap()
}

/// The graph head on a branch.
fn comix_head(net: &mut Net, x: usize, keep: Option<usize>) -> usize {
    let mut x = x;
    let keep: Vec<usize> = keep.into_iter().collect();
    for (i, outputs) in [(1, 4), (2, 4), (3, 3)] {
        let params = json!({ "outputs": outputs, "head": if i == 3 { "Logits" } else { "Feature" } });
        let mut inputs = vec![("x", vec![x])];
        if !keep.is_empty() {
            inputs.push(("keep", keep.clone()));
        }
        let inputs: Vec<(&str, &[usize])> = inputs.iter().map(|(p, v)| (*p, v.as_slice())).collect();
        x = net.call(&format!("gc{i}"), "graph_conv", params, &inputs)[0];
        if i < 3 {
            x = net.of("relu", "activation", json!({ "form": "relu" }), x);
        }
    }
    match keep.is_empty() {
        true => net.of("mean", "mean", json!({}), x),
        false => net.call("mean_slow", "mean", json!({}), &[("x", &[x]), ("keep", &keep)])[0],
    }
}

#[test]
fn comix_is_the_released_objective() {
    let case = golden("comix_step");
    let mut net = Net::default();
    let names = ["s", "t", "s_mix", "t_mix"];
    let x = names.map(|n| net.value(Head::Feature, case.input(n)));
    let slow = mask(&[1f32, 0., 1., 0., 1.].repeat(4)).reshape((4, 5)).unwrap();
    let slow = net.value(Head::Mask, slow);
    let label = net.value(Head::Label, labels(&case.given("label")));
    // The nodes are made by a first pass, and then get their weights.
    comix_head(&mut net, x[0], None);
    for i in 1..=3 {
        let at = |name: &str| case.weight(&format!("gc{i}_{name}"));
        let own = ["bias", "w_one", "w_two"].map(|n| (n, at(n)));
        net.weights(
            &format!("gc{i}"),
            [vec![("weight", turned(at("weight")))], own.to_vec()].concat(),
        );
    }
    net.calls.clear();
    let fast = x.map(|x| comix_head(&mut net, x, None));
    let slow = x.map(|x| comix_head(&mut net, x, Some(slow)));
    let smooth = json!({ "smoothing": 0.1 });
    let ce = net.call(
        "ce",
        "cross_entropy",
        smooth,
        &[("logits", &[fast[0]]), ("label", &[label])],
    )[0];
    let [p_fast, p_slow] = [fast, slow].map(|z| z.map(|z| net.of("softmax", "softmax", json!({}), z)));
    let params = || json!({ "temperature": 0.5, "scale": 0.5 / 0.07 });
    let [bgm_s, bgm_t] = [[0, 2], [1, 3]].map(|[real, mixed]| {
        let views = [p_fast[real], p_slow[real], p_fast[mixed], p_slow[mixed]];
        net.call("bgm", "contrastive", params(), &[("x", &views)])[0]
    });
    let threshold = json!({ "threshold": 0.38 });
    let pseudo = net.call("pseudo", "pseudo_label", threshold, &[("logits", &[fast[1], slow[1]])]);
    let inputs: [(&str, &[usize]); 3] = [
        ("x", &[p_fast[1], p_slow[1]]),
        ("label", &pseudo[..1]),
        ("mask", &pseudo[1..2]),
    ];
    let tpl = net.call("tpl", "contrastive", params(), &inputs)[0];

    assert_eq!(net.tensor(pseudo[0]).to_vec1::<u32>().unwrap(), case.numbers("label_t"));
    near("mask", net.tensor(pseudo[1]), &case.output("mask_t"));
    near("ce", net.tensor(ce), &case.output("ce"));
    near(
        "bgm",
        &(net.tensor(bgm_s) + net.tensor(bgm_t)).unwrap(),
        &case.output("bgm"),
    );
    near("tpl", net.tensor(tpl), &case.output("tpl"));
    net.backward(&[(ce, 1.0), (bgm_s, 0.1), (bgm_t, 0.1), (tpl, 0.01)]);
    for (name, x) in names.iter().zip(x) {
        near(name, &net.grads[&x], &case.grad(name));
    }
    for i in 1..=3 {
        let (node, at) = (&net.nodes[&format!("gc{i}")], |name: &str| format!("gc{i}_{name}"));
        near(
            &at("weight"),
            &turned(node.grad("weight").unwrap()),
            &case.grad(&at("weight")),
        );
        for name in ["bias", "w_one", "w_two"] {
            near(&at(name), &node.grad(name).unwrap(), &case.grad(&at(name)));
        }
    }
}

/// What CO2A computes of a stream's clips: scores, features and projections of videos, and projections of clips.
struct Heads {
    logits: usize,
    feature: usize,
    z: usize,
    clips: usize,
}

fn linear(net: &mut Net, node: &str, outputs: usize, head: &str, x: usize, relu: bool) -> usize {
    let y = net.of(node, "linear", json!({ "outputs": outputs, "head": head }), x);
    match relu {
        true => net.of("relu", "activation", json!({ "form": "relu" }), y),
        false => y,
    }
}

fn co2a_heads(net: &mut Net, f: usize) -> Heads {
    let v = net.of("a", "clip_attention", json!({}), f);
    let mut class = linear(net, "cw1", 4, "Feature", v, true);
    class = linear(net, "cw2", 4, "Feature", class, true);
    let logits = linear(net, "ow", 3, "Logits", class, false);
    let mut feature = linear(net, "kw1", 4, "Feature", v, true);
    feature = linear(net, "kw2", 4, "Feature", feature, true);
    let z = linear(net, "pw1", 4, "Feature", feature, true);
    let z = linear(net, "pw2", 3, "Feature", z, false);
    let rows = net.of("fold", "fold", json!({}), f);
    let clips = linear(net, "qw1", 3, "Feature", rows, true);
    let clips = linear(net, "qw2", 3, "Feature", clips, false);
    Heads {
        logits,
        feature,
        z,
        clips,
    }
}

const LINEAR: [&str; 9] = ["cw1", "cw2", "ow", "kw1", "kw2", "pw1", "pw2", "qw1", "qw2"];

/// The golden name of a layer's bias.
fn bias(weight: &str) -> String {
    weight.replace('w', "b")
}

#[test]
fn co2a_is_the_released_objective() {
    let case = golden("co2a_step");
    let mut net = Net::default();
    let names = ["f_s", "f_1", "f_2"];
    let f = names.map(|n| net.value(Head::Feature, case.input(n)));
    let label = net.value(Head::Label, labels(&case.given("label")));
    let all = net.value(Head::Mask, mask(&[1.0; 4]));
    // The nodes are made by a first pass, and then get their weights.
    co2a_heads(&mut net, f[0]);
    let attention = [
        ("hidden.weight", "aw1"),
        ("hidden.bias", "ab1"),
        ("out.weight", "aw2"),
        ("out.bias", "ab2"),
    ];
    net.weights("a", attention.iter().map(|(own, at)| (*own, case.weight(at))).collect());
    for at in LINEAR {
        net.weights(at, vec![("weight", case.weight(at)), ("bias", case.weight(&bias(at)))]);
    }
    net.calls.clear();
    let [s, one, two] = f.map(|f| co2a_heads(&mut net, f));
    let [logits, feature, z] =
        [[one.logits, two.logits], [one.feature, two.feature], [one.z, two.z]].map(|views| net.join(&views));
    let ce = net.call(
        "ce",
        "cross_entropy",
        json!({}),
        &[("logits", &[s.logits]), ("label", &[label])],
    )[0];
    let nce = |more: Value| {
        let mut params = json!({ "temperature": 0.5, "normalize": true });
        for (key, value) in more.as_object().unwrap() {
            params[key] = value.clone();
        }
        params
    };
    let aug = net.call("aug", "contrastive", nce(json!({})), &[("x", &[one.z, two.z])])[0];
    let params = nce(json!({ "clips": 2, "keep_self": true }));
    let clip_aug = net.call("clip_aug", "contrastive", params, &[("x", &[one.clips, two.clips])])[0];
    let labelled: [(&str, &[usize]); 2] = [("x", &[s.z]), ("label", &[label])];
    let source_label = net.call("source_label", "contrastive", nce(json!({})), &labelled)[0];
    let params = json!({ "select": "entropy", "factor": 1.5 });
    let pseudo = net.call("pseudo", "pseudo_label", params, &[("logits", &[logits])]);
    let inputs: [(&str, &[usize]); 3] = [
        ("x", &[s.z, z]),
        ("label", &[label, pseudo[0]]),
        ("mask", &[all, pseudo[1]]),
    ];
    let inter = net.call("inter", "contrastive", nce(json!({ "pairs": "across" })), &inputs)[0];
    let inputs: [(&str, &[usize]); 4] = [
        ("source", &[s.logits]),
        ("target", &[logits]),
        ("source_feature", &[s.feature]),
        ("target_feature", &[feature]),
    ];
    let consistency = net.call("consistency", "pair_consistency", json!({}), &inputs)[0];

    assert_eq!(net.tensor(pseudo[0]).to_vec1::<u32>().unwrap(), case.numbers("label_t"));
    near("mask", net.tensor(pseudo[1]), &case.output("mask_t"));
    let losses = [
        ("ce", ce, 1.0),
        ("aug", aug, 0.2),
        ("clip_aug", clip_aug, 0.2),
        ("source_label", source_label, 1.0),
        ("inter", inter, 2.0),
        ("consistency", consistency, 0.02),
    ];
    for (name, loss, _) in losses {
        near(name, net.tensor(loss), &case.output(name));
    }
    net.backward(&losses.map(|(_, loss, weight)| (loss, weight)));
    for (name, f) in names.iter().zip(f) {
        near(name, &net.grads[&f], &case.grad(name));
    }
    for (own, at) in attention {
        near(at, &net.nodes["a"].grad(own).unwrap(), &case.grad(at));
    }
    for at in LINEAR {
        near(at, &net.nodes[at].grad("weight").unwrap(), &case.grad(at));
        near(&bias(at), &net.nodes[at].grad("bias").unwrap(), &case.grad(&bias(at)));
    }
}

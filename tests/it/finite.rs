//! A number that is not finite stops a run, which reports where it appeared first, in which step, and what to try; also
//! on the device that the environment variable `GLAD_TEST_DEVICE` names.

use crate::common::*;
use anyhow::Result;
use candle_core::{Device, DeviceLocation, Tensor};
use glad::check::check;
use glad::graph::Graph;
use glad::load::load_text;
use glad::program::Checked;
use glad::run::Rehearsal;
use glad_nodes::*;
use schemars::JsonSchema;
use serde::Deserialize;
use std::sync::LazyLock;

/// Passes values on with a weight of 1; from a given step on, something is not finite.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Poison {
    at: At,
    step: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum At {
    Output,
    Statistics,
    Input,
    Weight,
}

impl Kind for Poison {
    const NAME: &'static str = "poison";
    const GROUP: Group = Group::Tensor;

    fn contract(&self, _: &Wiring) -> Contract {
        Contract::on(Side::Device)
            .input("x", "?X[R,*S]", "values")
            .output("y", "?X[R,*S]", "the same values")
    }

    fn build(&self, _: &BuildCx<'_>) -> Result<Body, Vec<ParamProblem>> {
        Ok(Body::Compute(Box::new(self.clone())))
    }
}

impl Poison {
    fn strikes(&self, at: At, step: &Step<'_>) -> bool {
        self.at == at && step.step >= self.step
    }
}

impl Compute for Poison {
    fn weights(&self) -> Vec<WeightSpec> {
        vec![
            WeightSpec::new("scale", &[1], Init::Constant(1.0), Role::Weight),
            WeightSpec::new("largest", &[1], Init::Constant(1.0), Role::Buffer),
        ]
    }

    fn forward(&self, step: &mut Step<'_>, inputs: &Args<Tensor>) -> Result<(Vec<Tensor>, Saved)> {
        let x = inputs.one("x")?.clone();
        let factor = if self.strikes(At::Output, step) { f64::NAN } else { 1.0 };
        let y = (&x * factor)?;
        if self.strikes(At::Statistics, step) {
            let infinite = Tensor::new(&[f32::INFINITY], step.device)?;
            step.weights.set_buffer("largest", infinite)?;
        }
        Ok((vec![y], Box::new(x)))
    }

    fn backward(&self, step: &mut Step<'_>, _: Saved, grads: Vec<Option<Tensor>>) -> Result<Vec<Option<Tensor>>> {
        let Some(Some(g)) = grads.into_iter().next() else {
            return Ok(vec![None]);
        };
        let scale = if self.strikes(At::Weight, step) {
            f32::NEG_INFINITY
        } else {
            0.0
        };
        step.weights.add_grad("scale", Tensor::new(&[scale], step.device)?)?;
        let factor = if self.strikes(At::Input, step) {
            f64::INFINITY
        } else {
            1.0
        };
        Ok(vec![Some((g * factor)?)])
    }
}

/// The whole method on the small network, with what `overlay` changes.
fn experiment(overlay: &str) -> (Graph, Checked) {
    let folder = repository().join("graphs");
    let text = format!("extends = \"full.toml\"\nset.setting = \"settings/smoke.toml\"\n{overlay}");
    let graph = load_text("overlay.toml", &text, &folder).unwrap_or_else(|p| panic!("{p}"));
    let mut registry = glad::nodes::registry();
    registry.add::<Poison>();
    let checked = check(&graph, &registry).unwrap_or_else(|p| panic!("{p}"));
    (graph, checked)
}

/// With a [`Poison`] between the consensus and the classifier.
fn poisoned(at: &str, step: u64, more: &str) -> (Graph, Checked) {
    experiment(&format!(
        "{more}\n[nodes.poison]\nkind = \"poison\"\nat = \"{at}\"\nstep = {step}\n\
         inputs = {{ x = \"consensus.y\" }}\n[set.nodes.classify.inputs]\nx = \"poison.y\"\n"
    ))
}

/// The device of these tests: `cpu`, or `GLAD_TEST_DEVICE`.
fn device_name() -> String {
    std::env::var("GLAD_TEST_DEVICE").unwrap_or_else(|_| "cpu".into())
}

fn device() -> Device {
    static DEVICE: LazyLock<Device> = LazyLock::new(|| match glad::run::location(&device_name()).unwrap() {
        DeviceLocation::Cuda { gpu_id } => Device::new_cuda_with_stream(gpu_id).unwrap(),
        _ => Device::Cpu,
    });
    DEVICE.clone()
}

/// How many steps of `main` are taken, at most `most`, and why it stopped.
fn steps((graph, checked): &(Graph, Checked), most: usize) -> (usize, String) {
    let mut rehearsal = Rehearsal::new(graph, checked, "main", &device()).unwrap();
    for done in 0..most {
        if let Err(e) = rehearsal.step() {
            return (done, format!("{e:#}"));
        }
    }
    (most, String::new())
}

const TRY: &str = "\n  the weights are those before this step, and nothing was saved since\n  \
                   try a lower learning rate (phases.main.optimizer.lr is 0.05), or a bound for the gradient's norm \
                   (clip_norm there)";

#[test]
fn an_output_is_named() {
    let (done, printed) = steps(&poisoned("output", 2, ""), 4);
    let what = "phase `main`: step 2: `ce` is NaN\n  the first number that is not finite: NaN in the output `y` of node \
                `poison` (poison) in stream source";
    assert_eq!((done, printed), (2, format!("{what}{TRY}")));
}

#[test]
fn the_gradient_of_an_input_is_named() {
    let (done, printed) = steps(&poisoned("input", 1, ""), 4);
    let what = "phase `main`: step 1: the norm of the gradient is NaN\n  the first number that is not finite: infinity in \
                the gradient of the input `x` of node `poison` (poison) in stream source";
    assert_eq!(done, 1);
    // The first of the gradient's numbers may be positive or negative, and zero times infinity is NaN.
    let printed = printed
        .replace("minus infinity in", "infinity in")
        .replace("NaN in", "infinity in");
    assert_eq!(printed, format!("{what}{TRY}"));
}

#[test]
fn the_gradient_of_a_weight_is_named() {
    let (done, printed) = steps(&poisoned("weight", 1, ""), 4);
    let what = "phase `main`: step 1: the norm of the gradient is infinity\n  the first number that is not finite: minus \
                infinity in the gradient of the weight `scale` of node `poison` (poison) in stream source";
    assert_eq!((done, printed), (1, format!("{what}{TRY}")));
}

#[test]
fn it_is_found_in_the_part_of_a_step_that_made_it() {
    // Two parts of two videos: gradients that the second part adds must not hide those of the first.
    for (at, what) in [("weight", "gradient of the weight `scale`"), ("output", "output `y`")] {
        let overlay = "[phases.main]\nmicro_batch = 2";
        let (done, printed) = steps(&poisoned(at, 1, overlay), 3);
        assert_eq!(done, 1);
        assert!(printed.contains(what), "{printed}");
    }
}

#[test]
fn the_round_is_named() {
    // In the second round of the second step: the first trains what the poison is not before.
    let rounds = "drop = [\"phases.main.losses\"]\n[phases.main.rounds.order]\nlosses = { tol = 1.0 }\n\
                  [phases.main.rounds.classes]\nlosses = { ce = 1.0 }\ntrain = [\"classify\", \"poison\"]\nrepeat = 3";
    let (done, said) = steps(&poisoned("output", 1, rounds), 3);
    let what = "phase `main`: step 1, round `classes` (1 of 3): `classes/ce` is NaN\n  the first number that is not finite: \
                NaN in the output `y` of node `poison` (poison) in stream source";
    assert_eq!(
        (done, said),
        (1, format!("{what}{}", TRY.replace("this step", "this round")))
    );
    let (done, said) = steps(&poisoned("weight", 1, rounds), 3);
    assert!(
        done == 1
            && said.contains("step 1, round `classes` (1 of 3): the norm of the gradient")
            && said.contains("`scale`"),
        "{said}"
    );
}

#[test]
fn a_node_of_the_library_that_multiplies_too_much_is_named() {
    let grl =
        |name: &str, x: &str| format!("[nodes.{name}]\nkind = \"grl\"\nscale = 1e30\ninputs = {{ x = \"{x}\" }}\n");
    let overlay = grl("once", "consensus.y") + &grl("twice", "once.x");
    let overlay = overlay + "[set.nodes.classify.inputs]\nx = \"twice.x\"\n";
    let (done, printed) = steps(&experiment(&overlay), 2);
    assert_eq!(done, 0, "{printed}");
    assert!(
        printed.contains("in the gradient of the input `x` of node `once` (grl) in stream source"),
        "{printed}"
    );
    assert!(
        printed.ends_with("or other weights to start from: this is the phase's first step"),
        "{printed}"
    );
}

#[test]
fn an_update_that_is_too_large_is_named() {
    // Loss and gradient are finite, and the learning rate of the group exceeds f32.
    let overlay = "[set.phases.main.optimizer]\nlr = 3e38\n[phases.main.optimizer]\ngroups = [{ lr_scale = 1e6 }]";
    let (done, printed) = steps(&experiment(overlay), 3);
    if !device().is_cpu() {
        // Nothing waits for a GPU after its update: the next step notices.
        assert_eq!(done, 1, "{printed}");
        assert!(printed.starts_with("phase `main`: step 1: "), "{printed}");
        let left = "\n  the first number that is not finite: infinity in weight `backbone.conv1.conv.weight`, before the step\n";
        assert!(printed.replace("minus ", "").contains(left), "{printed}");
        return;
    }
    assert_eq!(done, 0, "{printed}");
    let first = printed.lines().next().unwrap();
    assert!(
        first.starts_with("phase `main`: step 0: the update leaves `")
            && first.contains("` with numbers that are not finite, which is a weight of node `"),
        "{printed}"
    );
    assert!(
        printed.contains("\n  nothing was saved since\n  try a lower learning rate (phases.main.optimizer.lr is 3e38)")
    );
}

/// A run with a learning rate at which training explodes. Returns its output and its folder.
fn explodes(lr: &str, more: &[&str]) -> (String, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("run").display().to_string();
    let lr = format!("phases.pretrain.optimizer.lr={lr}");
    let (full, smoke, device) = (graph("full.toml"), smoke(), device_name());
    let mut args = vec![
        &*full,
        "--setting",
        &smoke,
        "--device",
        &device,
        "--no-share",
        "--quiet",
        "--out",
        &out,
        "--set",
        &lr,
    ];
    args.extend(more);
    let printed = glad(&args);
    assert_eq!(printed.status.code(), Some(3));
    (String::from_utf8(printed.stderr).unwrap(), dir)
}

#[test]
fn a_run_that_explodes_stops_before_anything_is_saved() {
    // After the first update the weights are about 1e28: the first convolution's sums exceed f32.
    let (printed, dir) = explodes("1e30", &["--save-every", "1"]);
    assert_eq!(
        printed,
        "error: phase `pretrain`: step 1: `auxiliary_ce` is NaN\n  the first number that is not finite: NaN in the output \
         `feature` of node `backbone` (tsm); inside, `conv1.bn.running_var` is the first of its statistics that \
         is not finite\n  the weights are those before this step, and nothing was \
         saved since\n  try a lower learning rate (phases.pretrain.optimizer.lr is 1e30), or a bound for the gradient's \
         norm (clip_norm there)\n"
    );
    let run = dir.path().join("run");
    // The state after step 0 exists, and is finite.
    let state = glad::run::load(&run.join("checkpoints/last.safetensors"), &Device::Cpu).unwrap();
    assert_eq!(state.position.step, 1);
    for (name, w) in state.store.iter() {
        let v = w.value.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert!(v.iter().all(|v| v.is_finite()), "{name}");
    }
    // And the log has the one step that was taken.
    let log = std::fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    assert_eq!(log.lines().filter(|l| l.contains("\"phase\"")).count(), 1);
    // Resuming from there ends in the same way.
    let out = run.display().to_string();
    let (full, smoke, device) = (graph("full.toml"), smoke(), device_name());
    let lr = "phases.pretrain.optimizer.lr=1e30";
    let args = [
        &*full,
        "--setting",
        &smoke,
        "--device",
        &device,
        "--no-share",
        "--quiet",
        "--out",
        &out,
        "--set",
        lr,
        "--resume",
    ];
    let again = glad(&args);
    assert_eq!(String::from_utf8(again.stderr).unwrap(), printed);
}

#[test]
fn statistics_that_are_not_finite_are_not_saved() {
    // No value of the step shows it: it is noticed when the state is checked.
    let (graph, checked) = poisoned("statistics", 1, "set.run = [\"main\"]\n[set.phases.main]\nsteps = 3");
    let dir = tempfile::tempdir().unwrap();
    let options = glad::run::RunOptions {
        out: dir.path().join("run"),
        begin: glad::run::Begin::New,
        seed: 1,
        feed: glad::run::FeedOptions { workers: 2, ahead: 32 },
        device: device(),
        cache: Some(cache()),
        save_every: std::time::Duration::from_secs(3600),
        save_steps: Some(2),
        share: false,
        record: false,
    };
    let progress = glad::run::Progress::new(true);
    let text = glad::load::effective(&graph);
    let e = glad::run::run(&graph, &checked, &text, "", &options, &progress).unwrap_err();
    assert_eq!(
        format!("{e:#}"),
        "phase `main`: `poison.largest` holds numbers that are not finite after step 2 of the phase: nothing was saved \
         since the last state"
    );
}

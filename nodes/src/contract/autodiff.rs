//! Nodes that give only their forward pass, in Candle's operations: the backward pass is Candle's differentiation.

use super::compute::{Compute, Cost, Saved, Step};
use super::host::Args;
use super::precision::Precision;
use super::saved::{arrived, kept};
use super::weights::WeightSpec;
use anyhow::{Context, Result, ensure};
use candle_core::{Tensor, Var};
use indexmap::IndexMap;

/// A node written as its forward pass alone; [`Autodiff`] makes a [`Compute`] of it, gradients of weights included.
///
/// For heads and losses: every operation of the forward pass stays in memory until the backward pass, and each is a pass
/// over memory of its own. Whether the bits are the same in every run is up to the operations: `index_select`, `gather` and
/// others whose gradient is a scatter are not deterministic on a GPU.
///
/// ```
/// use candle_core::Tensor;
/// use glad_nodes::{Args, Autodiff, Body, Differentiable, Step, Tracked};
/// struct Norm;
/// impl Differentiable for Norm {
///     fn forward(&self, _: &Step<'_>, _: &Tracked, inputs: &Args<Tensor>) -> anyhow::Result<Vec<Tensor>> {
///         Ok(vec![inputs.one("x")?.sqr()?.mean_all()?])
///     }
/// }
/// let body = Body::Compute(Box::new(Autodiff(Norm)));
/// ```
pub trait Differentiable: Send + Sync {
    /// See [`Compute::weights`].
    fn weights(&self) -> Vec<WeightSpec> {
        vec![]
    }

    /// Computes the outputs, in the contract's order. `inputs` and `weights` are tracked where a gradient is wanted, so
    /// operations have to be Candle's, from end to end; `step.weights` are the same values without that. What must get no
    /// gradient is detached.
    ///
    /// # Errors
    /// As [`Compute::forward`].
    fn forward(&self, step: &Step<'_>, weights: &Tracked, inputs: &Args<Tensor>) -> Result<Vec<Tensor>>;

    /// See [`Compute::cost`].
    fn cost(&self, batch: usize, precision: Precision) -> Cost {
        let _ = (batch, precision);
        Cost::default()
    }
}

/// A node's weights as its forward pass sees them.
#[derive(Default)]
pub struct Tracked(IndexMap<String, Tensor>);

impl Tracked {
    /// The weight or buffer of this name.
    ///
    /// # Errors
    /// [`Differentiable::weights`] names no such weight.
    pub fn get(&self, name: &str) -> Result<&Tensor> {
        self.0.get(name).with_context(|| format!("there is no weight `{name}`"))
    }
}

/// A [`Differentiable`] as a [`Compute`].
pub struct Autodiff<T>(pub T);

/// What a backward pass needs: the outputs with all that led to them, and what they are differentiated by.
struct Tape {
    outputs: Vec<Tensor>,
    inputs: Vec<Leaf>,
    weights: Vec<(String, Tensor)>,
}

/// An input as the backward pass sees it.
enum Leaf {
    /// No gradient is wanted, or it is of labels.
    Constant,
    /// It has no elements, so its gradient is itself.
    Nothing(Tensor),
    /// A variable.
    Variable(Tensor),
}

impl Leaf {
    fn of(tensor: &Tensor, wanted: bool) -> Result<(Leaf, Tensor)> {
        Ok(match wanted && tensor.dtype().is_float() {
            false => (Leaf::Constant, tensor.clone()),
            true if tensor.elem_count() == 0 => (Leaf::Nothing(tensor.clone()), tensor.clone()),
            true => {
                let var = Var::from_tensor(tensor)?.into_inner();
                (Leaf::Variable(var.clone()), var)
            }
        })
    }
}

impl<T: Differentiable> Compute for Autodiff<T> {
    fn weights(&self) -> Vec<WeightSpec> {
        self.0.weights()
    }

    fn forward(&self, step: &mut Step<'_>, inputs: &Args<Tensor>) -> Result<(Vec<Tensor>, Saved)> {
        let mut tape = Tape {
            outputs: vec![],
            inputs: vec![],
            weights: vec![],
        };
        let mut tracked = Args::default();
        for (port, values) in inputs.ports() {
            let mut own = vec![];
            for value in values {
                let wanted = step.backward && step.wants.get(tape.inputs.len()).copied().unwrap_or(false);
                let (leaf, value) = Leaf::of(value, wanted)?;
                tape.inputs.push(leaf);
                own.push(value);
            }
            tracked.push(port.as_str(), own);
        }
        let mut weights = Tracked::default();
        for spec in self.0.weights() {
            let mut value = step.weights.value(&spec.name)?.clone();
            if step.backward && step.weights.trains(&spec.name) {
                value = Var::from_tensor(&value)?.into_inner();
                tape.weights.push((spec.name.clone(), value.clone()));
            }
            weights.0.insert(spec.name, value);
        }
        let outputs = self.0.forward(step, &weights, &tracked)?;
        let plain = outputs.iter().map(Tensor::detach).collect();
        if step.backward {
            tape.outputs = outputs;
        }
        Ok((plain, Box::new(tape)))
    }

    fn backward(
        &self,
        step: &mut Step<'_>,
        saved: Saved,
        mut grads: Vec<Option<Tensor>>,
    ) -> Result<Vec<Option<Tensor>>> {
        let tape = kept::<Tape>(saved)?;
        // The gradient of Σ output · (what arrived), a scalar.
        let mut objective: Option<Tensor> = None;
        for (i, output) in tape.outputs.iter().enumerate() {
            let Some(grad) = arrived(&mut grads, i).filter(|g| g.elem_count() > 0) else {
                continue;
            };
            ensure!(
                grad.dims() == output.dims(),
                "a gradient of shape {:?} arrived at an output of {:?}",
                grad.dims(),
                output.dims()
            );
            // Candle's sum of a scalar asks CUDA for no bytes, which it cannot give.
            let term = match (output * grad)? {
                term if term.rank() == 0 => term,
                term => term.sum_all()?,
            };
            objective = Some(match objective {
                None => term,
                Some(sum) => (sum + term)?,
            });
        }
        let Some(objective) = objective else {
            return Ok(vec![None; tape.inputs.len()]);
        };
        let found = objective.backward()?;
        for (name, value) in &tape.weights {
            let grad = found.get(value).cloned();
            step.weights
                .add_grad(name, grad.map_or_else(|| value.zeros_like(), Ok)?.contiguous()?)?;
        }
        let of = |leaf: &Leaf| -> Result<Option<Tensor>> {
            Ok(match leaf {
                Leaf::Constant => None,
                Leaf::Nothing(tensor) => Some(tensor.clone()),
                Leaf::Variable(var) => match found.get(var) {
                    Some(grad) => Some(grad.contiguous()?),
                    None => Some(var.zeros_like()?),
                },
            })
        };
        tape.inputs.iter().map(of).collect()
    }

    fn cost(&self, batch: usize, precision: Precision) -> Cost {
        self.0.cost(batch, precision)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Probe, dense, f64s, normal, ty};
    use crate::{Body, BuildCx, Contract, Group, Init, Kind, ParamProblem, Registry, Role, Side, Wiring};
    use serde_json::json;

    /// A linear head that also gives the mean of its squares.
    #[derive(serde::Deserialize, schemars::JsonSchema)]
    struct Head {}

    impl Kind for Head {
        const NAME: &'static str = "head";
        const GROUP: Group = Group::Model;

        fn contract(&self, _: &Wiring) -> Contract {
            Contract::on(Side::Device)
                .input("x", "Feature[R,D]", "features")
                .input("rest", "Feature[Q,D]", "features that nothing is computed from")
                .output("y", "Logits[R,2]", "scores")
                .output("loss", "Loss[]", "the mean of their squares")
        }

        fn build(&self, _: &BuildCx<'_>) -> Result<Body, Vec<ParamProblem>> {
            Ok(Body::Compute(Box::new(Autodiff(Head {}))))
        }
    }

    impl Differentiable for Head {
        fn weights(&self) -> Vec<WeightSpec> {
            vec![
                WeightSpec::new("weight", &[2, 3], Init::torch(3), Role::Weight),
                WeightSpec::new("bias", &[2], Init::torch(3), Role::Bias),
            ]
        }

        fn forward(&self, _: &Step<'_>, weights: &Tracked, inputs: &Args<Tensor>) -> Result<Vec<Tensor>> {
            let (x, w) = (inputs.one("x")?, weights.get("weight")?);
            let y = x.matmul(&w.t()?)?.broadcast_add(weights.get("bias")?)?;
            let loss = y.sqr()?.mean_all()?;
            Ok(vec![y, loss])
        }
    }

    fn probe() -> (Probe, Args<Tensor>) {
        let mut kinds = Registry::default();
        kinds.add::<Head>();
        let types = [("x", vec![ty("Feature", "4,3")]), ("rest", vec![ty("Feature", "5,3")])];
        let probe = Probe::of(&kinds, "head", json!({}), &types, &[]).unwrap();
        let args = Args::default()
            .with("x", vec![normal(1, &[4, 3])])
            .with("rest", vec![normal(2, &[5, 3])]);
        (probe.unusual_weights(), args)
    }

    #[test]
    fn inputs_and_weights_get_their_gradients() {
        let (mut probe, args) = probe();
        probe.check(&args, |x, w| {
            let y = dense(&x[0], &w[0], &w[1], 3);
            let loss = y.iter().map(|y| y * y).sum::<f64>() / 8.0;
            vec![y, vec![loss]]
        });
    }

    #[test]
    fn what_is_not_wanted_is_not_kept() {
        let (mut probe, args) = probe();
        let outputs = probe.forward(&args).unwrap();
        assert!(outputs.iter().all(|y| !y.track_op()), "outputs do not lead back");
        let (outputs, saved) = probe.forward_kept(&args).unwrap();
        assert!(outputs.iter().all(|y| !y.track_op()), "outputs do not lead back");
        // No gradient arrived at the scores.
        let one = Tensor::full(1f32, (), outputs[1].device()).unwrap();
        let grads = probe.backward(&args, saved, vec![None, Some(one)]).unwrap();
        assert!(f64s(grads[1].as_ref().unwrap()).iter().all(|g| *g == 0.0));
        let (_, saved) = probe.forward_kept(&args).unwrap();
        let shape = probe
            .backward(&args, saved, vec![Some(outputs[1].clone()), None])
            .unwrap_err();
        assert_eq!(
            shape.to_string(),
            "a gradient of shape [] arrived at an output of [4, 2]"
        );
    }
}

//! `split`: views of a video's clips by name.

use super::parts::part;
use crate::input::{input, known};
use crate::{Args, Body, BuildCx, Compute, Contract, Count, Group, Kind, ParamProblem, Saved, Side, Step, Wiring};
use anyhow::Result;
use candle_core::Tensor;
use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Deserialize;

/// Cuts the clips of a video (dimension 1) into named parts, in order: the global and the local views of eq. 3.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("examples" = [{ "parts": { "global": "G", "local": "L" } }]))]
pub struct Split {
    /// The parts in order, each with its number of clips; each part is an output of that name.
    pub parts: IndexMap<String, Count>,
}

impl Kind for Split {
    const NAME: &'static str = "split";
    const GROUP: Group = Group::Tensor;

    fn validate(&self) -> Vec<ParamProblem> {
        match self.parts.is_empty() {
            true => vec![
                ParamProblem::new("parts", "there are no parts")
                    .help("name them with their sizes, such as `parts = { global = \"G\", local = \"L\" }`"),
            ],
            false => vec![],
        }
    }

    fn contract(&self, _: &Wiring) -> Contract {
        let sizes: Vec<String> = self.parts.values().map(|c| format!("({c})")).collect();
        let mut c = Contract::on(Side::Device).input("x", &format!("?X[R,{},*S]", sizes.join("+")), "all parts");
        for (name, size) in &self.parts {
            c = c.output(name, &format!("?X[R,{size},*S]"), "the part of this name");
        }
        c
    }

    fn build(&self, cx: &BuildCx<'_>) -> Result<Body, Vec<ParamProblem>> {
        let mut problems = vec![];
        let mut sizes = vec![];
        for (name, count) in &self.parts {
            match count.get(cx.dims) {
                Ok(n) => sizes.push(n),
                Err(p) => problems.push(ParamProblem {
                    path: format!("parts.{name}"),
                    ..p
                }),
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        known(input(cx, "x")?, 1)?;
        Ok(Body::Compute(Box::new(Cut { sizes })))
    }
}

struct Cut {
    sizes: Vec<usize>,
}

impl Compute for Cut {
    fn forward(&self, _: &mut Step<'_>, inputs: &Args<Tensor>) -> Result<(Vec<Tensor>, Saved)> {
        let x = inputs.one("x")?;
        let mut at = 0;
        let mut parts = vec![];
        for n in &self.sizes {
            parts.push(part(x, 1, at, *n)?);
            at += n;
        }
        Ok((parts, Box::new(x.shape().clone())))
    }

    fn backward(&self, step: &mut Step<'_>, saved: Saved, grads: Vec<Option<Tensor>>) -> Result<Vec<Option<Tensor>>> {
        let shape = crate::kept::<candle_core::Shape>(saved)?;
        let parts = grads
            .into_iter()
            .zip(&self.sizes)
            .filter(|(_, n)| **n > 0)
            .map(|(grad, n)| match grad {
                Some(g) => Ok(g),
                None => {
                    let mut dims = shape.dims().to_vec();
                    dims[1] = *n;
                    Tensor::zeros(dims, candle_core::DType::F32, step.device)
                }
            })
            .collect::<candle_core::Result<Vec<_>>>()?;
        Ok(vec![Some(Tensor::cat(&parts, 1)?)])
    }
}

#[cfg(test)]
mod tests {
    use crate::Args;
    use crate::testing::{Probe, normal, ty};
    use serde_json::json;

    const DIMS: [(&str, usize); 3] = [("G", 1), ("L", 2), ("Z", 0)];

    #[test]
    fn parts_are_slices_and_gradients_come_back_in_place() {
        let params = json!({ "parts": { "global": "G", "none": "Z", "local": "L" } });
        let mut p = Probe::new("split", params, &[("x", vec![ty("Feature", "B,3,4")])], &DIMS).unwrap();
        assert_eq!(p.outputs[2].to_string(), "Feature[B,2,4]");
        assert!(p.outputs[1].is_empty());
        let x = Args::default().with("x", vec![normal(1, &[2, 3, 4])]);
        p.check(&x, |x, _| {
            let part = |from: usize, to: usize| x[0].chunks(12).flat_map(|v| v[4 * from..4 * to].to_vec()).collect();
            vec![part(0, 1), vec![], part(1, 3)]
        });
    }

    #[test]
    fn a_part_without_gradient_counts_as_zero() {
        let params = json!({ "parts": { "a": 1, "b": 2 } });
        let mut p = Probe::new("split", params, &[("x", vec![ty("Feature", "B,3,2")])], &[]).unwrap();
        let x = Args::default().with("x", vec![normal(1, &[1, 3, 2])]);
        let (out, saved) = p.forward_kept(&x).unwrap();
        let g = p
            .backward(&x, saved, vec![Some(out[0].ones_like().unwrap()), None])
            .unwrap();
        assert_eq!(
            g[0].as_ref().unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap(),
            [1., 1., 0., 0., 0., 0.]
        );
    }

    #[test]
    fn no_parts_is_a_mistake() {
        let e = Probe::new("split", json!({ "parts": {} }), &[], &[]).err().unwrap();
        assert_eq!(e[0].path, "parts");
    }
}

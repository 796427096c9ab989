//! `thin_clips`: fewer clips of a video.

use crate::input::{input, known};
use crate::{
    Args, Body, BuildCx, Compute, Contract, Draw, Gradient, Group, Kind, ParamProblem, Saved, Side, Step, Wiring,
};
use anyhow::Result;
use candle_core::{Device, Tensor};
use schemars::JsonSchema;
use serde::Deserialize;

/// Draws which clips are kept in training: a number M of `counts`, and one clip from each of M parts of the N clips, of which
/// the first N mod M are one longer. It is the slow branch of CoMix (Sahoo et al., NeurIPS 2021). Clips stay where they are,
/// and the mask says which are there. All videos of a step have the same. Outside training all clips are kept.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("examples" = [{ "counts": [4, 8, 12] }]))]
pub struct ThinClips {
    /// The numbers of clips to choose from.
    pub counts: Vec<usize>,
    /// The probability of each number; by default all are alike.
    #[serde(default)]
    pub chances: Option<Vec<f64>>,
    /// Whether all streams have the same clips.
    #[serde(default = "yes")]
    pub shared: bool,
}

fn yes() -> bool {
    true
}

impl Kind for ThinClips {
    const NAME: &'static str = "thin_clips";
    const GROUP: Group = Group::Tensor;

    fn validate(&self) -> Vec<ParamProblem> {
        let mut problems = vec![];
        if self.counts.is_empty() {
            problems.push(ParamProblem::new("counts", "there are no numbers of clips"));
        }
        for (i, _) in self.counts.iter().enumerate().filter(|(_, n)| **n == 0) {
            problems.push(ParamProblem::new(format!("counts[{i}]"), "at least one clip is kept"));
        }
        let Some(chances) = &self.chances else { return problems };
        if chances.len() != self.counts.len() {
            let message = format!("there are {} chances and {} counts", chances.len(), self.counts.len());
            problems.push(ParamProblem::new("chances", message));
        } else if chances.iter().any(|c| !(0.0..=1.0).contains(c)) || (chances.iter().sum::<f64>() - 1.0).abs() > 1e-6 {
            problems.push(ParamProblem::new(
                "chances",
                "they are not probabilities that add up to 1",
            ));
        }
        problems
    }

    fn contract(&self, _: &Wiring) -> Contract {
        Contract::on(Side::Device)
            .input("x", "?X[R,N,*S]", "one for each clip")
            .constant()
            .output("keep", "Mask[R,N]", "1 for a clip that is kept, else 0")
            .gradient(Gradient::Stops)
            .joint(self.shared)
            .random()
    }

    fn build(&self, cx: &BuildCx<'_>) -> Result<Body, Vec<ParamProblem>> {
        input(cx, "x")?;
        for ty in cx.inputs.get("x").into_iter().flatten() {
            let clips = known(ty, 1)?;
            if let Some(i) = self.counts.iter().position(|n| *n > clips) {
                let message = format!("{} clips are more than `{ty}` has", self.counts[i]);
                return Err(vec![ParamProblem::new(format!("counts[{i}]"), message)]);
            }
        }
        Ok(Body::Compute(Box::new(self.clone())))
    }
}

impl ThinClips {
    /// Which of `clips` are kept.
    fn draw(&self, draw: &mut Draw, clips: usize) -> Vec<f32> {
        let count = match &self.chances {
            None => self.counts[draw.below(self.counts.len())],
            Some(chances) => {
                let at = draw.unit();
                let mut below = 0.0;
                let found = self.counts.iter().zip(chances).find(|(_, c)| {
                    below += **c;
                    at < below
                });
                // Rounding may leave the sum a little below 1.
                let last = self.counts.iter().zip(chances).rfind(|(_, c)| **c > 0.0);
                found.or(last).map_or(clips, |(n, _)| *n)
            }
        };
        let mut keep = vec![0.0; clips];
        let mut from = 0;
        for part in 0..count {
            let len = clips / count + usize::from(part < clips % count);
            keep[from + draw.below(len)] = 1.0;
            from += len;
        }
        keep
    }
}

impl Compute for ThinClips {
    fn forward(&self, step: &mut Step<'_>, inputs: &Args<Tensor>) -> Result<(Vec<Tensor>, Saved)> {
        let mut out = vec![];
        for x in inputs.all("x") {
            let (rows, clips) = (x.dim(0)?, x.dim(1)?);
            // From the beginning for each stream, so that all have the same.
            let keep = match step.training {
                true => self.draw(&mut step.key.rng(), clips),
                false => vec![1.0; clips],
            };
            out.push(Tensor::from_vec(keep.repeat(rows), (rows, clips), &Device::Cpu)?);
        }
        Ok((out, Box::new(())))
    }

    fn backward(&self, step: &mut Step<'_>, _: Saved, _: Vec<Option<Tensor>>) -> Result<Vec<Option<Tensor>>> {
        Ok(vec![None; step.wants.len()])
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{Probe, f64s, normal, rejected, ty};
    use crate::{Args, Key};
    use serde_json::{Value, json};

    fn probe(params: Value, streams: usize) -> Probe {
        Probe::new(
            "thin_clips",
            params,
            &[("x", vec![ty("Feature", "B,16,2"); streams])],
            &[],
        )
        .unwrap()
    }

    fn x(streams: usize) -> Args<candle_core::Tensor> {
        Args::default().with("x", (0..streams).map(|s| normal(s as u64, &[3, 16, 2])).collect())
    }

    #[test]
    fn one_clip_of_each_part() {
        let mut p = probe(json!({ "counts": [4, 8, 12] }), 2);
        assert!(p.contract.joint && p.contract.random);
        let mut seen = std::collections::BTreeMap::new();
        for step in 0..300 {
            p.key = Key::new(step);
            let out = p.forward(&x(2)).unwrap();
            let keep = f64s(&out[0]);
            assert_eq!(keep, f64s(&out[1]), "streams");
            assert_eq!([&keep[..16], &keep[16..32]], [&keep[32..48]; 2], "videos");
            let count = keep[..16].iter().sum::<f64>() as usize;
            *seen.entry(count).or_insert(0) += 1;
            let mut from = 0;
            for part in 0..count {
                let len = 16 / count + usize::from(part < 16 % count);
                assert_eq!(
                    keep[from..from + len].iter().sum::<f64>(),
                    1.0,
                    "part {part} of {keep:?}"
                );
                from += len;
            }
        }
        assert_eq!(seen.keys().copied().collect::<Vec<_>>(), [4, 8, 12]);
        assert!(seen.values().all(|n| (70..130).contains(n)), "{seen:?}");
    }

    #[test]
    fn chances_are_kept() {
        let mut p = probe(
            json!({ "counts": [4, 8, 12], "chances": [0.0, 0.8, 0.2], "shared": false }),
            1,
        );
        assert!(!p.contract.joint);
        let mut of = |step: u64| {
            p.key = Key::new(step);
            f64s(&p.forward(&x(1)).unwrap()[0])[..16].iter().sum::<f64>()
        };
        let counts: Vec<f64> = (0..200).map(&mut of).collect();
        assert!(counts.iter().all(|n| [8.0, 12.0].contains(n)));
        let eights = counts.iter().filter(|n| **n == 8.0).count();
        assert!((140..180).contains(&eights), "{eights}");
    }

    #[test]
    fn all_clips_are_kept_outside_training() {
        let mut p = probe(json!({ "counts": [4] }), 1);
        p.training = false;
        assert_eq!(f64s(&p.forward(&x(1)).unwrap()[0]), vec![1.0; 48]);
    }

    #[test]
    fn mistakes_are_named() {
        let of = |params| rejected("thin_clips", params, &[("x", vec![ty("Feature", "B,16,2")])]);
        assert_eq!(of(json!({ "counts": [] })), ["counts: there are no numbers of clips"]);
        assert_eq!(
            of(json!({ "counts": [4, 0] })),
            ["counts[1]: at least one clip is kept"]
        );
        assert_eq!(
            of(json!({ "counts": [4, 17] })),
            ["counts[1]: 17 clips are more than `Feature[B,16,2]` has"]
        );
        assert_eq!(
            of(json!({ "counts": [4], "chances": [0.5, 0.5] })),
            ["chances: there are 2 chances and 1 counts"]
        );
        assert_eq!(
            of(json!({ "counts": [4, 8], "chances": [0.5, 0.4] })),
            ["chances: they are not probabilities that add up to 1"]
        );
    }
}

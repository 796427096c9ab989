//! `contrastive`: rows that belong together come closer than the others.

use super::pairs::{Choice, Compared, Pairs};
use crate::input::per_reference;
use crate::kernel::{labels, marks};
use crate::op::contrast;
use crate::op::directions::Directions;
use crate::tensor::parts::{cut, join, sizes};
use crate::{
    Args, Body, BuildCx, Compute, Contract, Count, Group, Kind, ParamProblem, Saved, Side, Size, Step, Wiring, arrived,
    kept,
};
use anyhow::{Result, bail};
use candle_core::Tensor;
use schemars::JsonSchema;
use serde::Deserialize;

/// The contrastive loss of rows from several views or domains, one for each reference of `x` (InfoNCE, van den Oord et al.,
/// 2018; with labels SupCon, Khosla et al., NeurIPS 2020). With `s_rq = ⟨z_r, z_q⟩ / temperature`, the candidates C of a row
/// (`pairs`) and its positives P, the candidates other than itself with its label, a row's loss is
/// `−(1/|P|) Σ_{q∈P} (s_rq − ln Σ_{c∈C} e^{s_rc})`, and the loss is `scale` times the mean over the rows that have a
/// positive; 0 where none has. Without labels the positives of a row are those at its place in the other views. A row
/// whose mask is 0 is neither a row nor a candidate. With `micro_batch` a row has fewer candidates.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("examples" = [{ "temperature": 0.5 }]))]
pub struct Contrastive {
    /// What products are divided by.
    pub temperature: f64,
    /// What the loss is multiplied by: CoMix has temperature/0.07 = 7.142857.
    #[serde(default = "one")]
    pub scale: f64,
    /// Whether rows are divided by their norm, so that products are cosines.
    #[serde(default)]
    pub normalize: bool,
    /// Which rows are candidates.
    #[serde(default)]
    pub pairs: Pairs,
    /// Rows are clips, so many in a row of the same video: the other clips of a row's video in its own view are no
    /// candidates. By default each row is a video.
    #[serde(default)]
    pub clips: Option<Count>,
    /// Whether a row is a candidate of itself, though never a positive.
    #[serde(default)]
    pub keep_self: bool,
}

fn one() -> f64 {
    1.0
}

impl Kind for Contrastive {
    const NAME: &'static str = "contrastive";
    const GROUP: Group = Group::Loss;

    fn validate(&self) -> Vec<ParamProblem> {
        let mut problems = vec![];
        if !(self.temperature.is_finite() && self.temperature > 0.0) {
            let message = format!("{} is not a number above zero", self.temperature);
            problems.push(ParamProblem::new("temperature", message));
        }
        if !(self.scale.is_finite() && self.scale >= 0.0) {
            let message = format!("{} is not a number of zero or more", self.scale);
            problems.push(ParamProblem::new("scale", message));
        }
        problems
    }

    fn remarks(&self) -> Vec<ParamProblem> {
        let mut remarks = vec![];
        if self.scale == 0.0 {
            remarks.push(ParamProblem::new("scale", "with 0 the loss trains nothing"));
        }
        if self.clips.is_some() && self.pairs == Pairs::Across {
            let message = "nothing of the own view is a candidate across views, with `clips` or without";
            remarks.push(ParamProblem::new("clips", message).help("leave `clips` out"));
        }
        remarks
    }

    fn contract(&self, wiring: &Wiring) -> Contract {
        let n = wiring.of("x");
        // What is one for all views, such as the place in the list, needs as many rows in each.
        let apart = |port: &str| n == wiring.of(port);
        let same = !apart("label") || !(apart("mask") || wiring.of("mask") == 0);
        let rows = |i: usize| if same || n < 2 { "R".into() } else { format!("R{i}") };
        Contract::on(Side::Device)
            .many(
                "x",
                &per_reference(n, |i| format!("?X[{},D]", rows(i))),
                "rows, for each view or domain",
            )
            .many(
                "label",
                &per_reference(wiring.of("label"), |i| format!("Label[{}]", rows(i))),
                "what rows with the same number belong together by, for each reference of `x` or one for all",
            )
            .optional()
            .constant()
            .labelled()
            .many(
                "mask",
                &per_reference(wiring.of("mask"), |i| format!("Mask[{}]", rows(i))),
                "1 for a row that counts, 0 for one that does not, for each reference of `x` or one for all",
            )
            .optional()
            .constant()
            .output(
                "loss",
                "Loss[]",
                "the mean over the rows with a positive; 0 where none has one",
            )
            .whole_step()
    }

    fn build(&self, cx: &BuildCx<'_>) -> Result<Body, Vec<ParamProblem>> {
        let count = |port: &str| cx.inputs.get(port).map_or(0, Vec::len);
        let views = count("x");
        for (port, n) in [("label", count("label")), ("mask", count("mask"))] {
            if n > 1 && n != views {
                let message = format!("`x` has {views} values and `{port}` {n}");
                return Err(vec![
                    ParamProblem::new("", message).help("connect one for each, in the same order, or one for all"),
                ]);
            }
        }
        if views == 1 && self.pairs == Pairs::Across {
            let message = "rows of one view have no candidates across views";
            return Err(vec![
                ParamProblem::new("pairs", message).help("connect several references to `x`, or choose \"all\""),
            ]);
        }
        if views == 1 && count("label") == 0 {
            let message = "no row has a positive: `x` is one view, and there are no labels";
            return Err(vec![
                ParamProblem::new("", message).help("connect a `label`, or several views of the same videos to `x`"),
            ]);
        }
        Ok(Body::Compute(Box::new(Loss {
            own: self.clone(),
            clips: self.clips(cx)?,
        })))
    }
}

impl Contrastive {
    /// Rows for each video of a view.
    fn clips(&self, cx: &BuildCx<'_>) -> Result<usize, Vec<ParamProblem>> {
        let Some(clips) = &self.clips else { return Ok(1) };
        let bad = |message: String| Err(vec![ParamProblem::new("clips", message)]);
        let clips = match clips.get(cx.dims) {
            Ok(0) => return bad("a video has at least one clip".into()),
            Ok(n) => n,
            Err(p) => return bad(p.message),
        };
        for ty in cx.inputs.get("x").into_iter().flatten() {
            if let Some(Size::Batch(n) | Size::Known(n)) = ty.dims.first()
                && !n.is_multiple_of(clips)
            {
                return bad(format!("the rows of `{ty}` are not {clips} clips for each video"));
            }
        }
        Ok(clips)
    }
}

struct Loss {
    own: Contrastive,
    /// Rows for each video of a view.
    clips: usize,
}

struct Kept {
    /// The rows of each view.
    rows: Vec<usize>,
    /// All rows, and what the loss comes from where a row has a positive.
    z: Tensor,
    found: Option<Found>,
}

struct Found {
    directions: Option<Directions>,
    /// `∂L/∂s` `[rows, rows]`.
    slope: Tensor,
}

impl Loss {
    fn choice(&self, inputs: &Args<Tensor>, rows: &[usize]) -> Result<Choice> {
        let all: usize = rows.iter().sum();
        let of_views = |given: &[Tensor]| match given {
            [one] if rows.len() > 1 => vec![one.clone(); rows.len()],
            several => several.to_vec(),
        };
        let label = match inputs.all("label") {
            [] => rows.iter().flat_map(|n| 0..*n as u32).collect(),
            given => of_views(given).iter().map(labels).collect::<Result<Vec<_>>>()?.concat(),
        };
        if label.len() != all {
            bail!("there are {all} rows and {} labels", label.len());
        }
        let counts = match inputs.all("mask") {
            [] => vec![true; all],
            given => {
                let given = of_views(given);
                if given.len() != rows.len() {
                    bail!("there are {} views and {} masks", rows.len(), given.len());
                }
                let each = given.iter().zip(rows).map(|(m, n)| marks(m, *n));
                let each = each.collect::<Result<Vec<_>>>()?.concat();
                each.iter().map(|m| *m != 0.0).collect()
            }
        };
        if !inputs.all("label").is_empty() && label.iter().zip(&counts).any(|(l, c)| *c && *l == u32::MAX) {
            bail!(super::UNLABELLED);
        }
        let compared = Compared {
            views: rows,
            clips: self.clips,
            pairs: self.own.pairs,
            keep_self: self.own.keep_self,
            label: &label,
            counts: &counts,
        };
        Ok(compared.choose(self.own.scale))
    }
}

impl Compute for Loss {
    fn forward(&self, step: &mut Step<'_>, inputs: &Args<Tensor>) -> Result<(Vec<Tensor>, Saved)> {
        let parts: Vec<&Tensor> = inputs.all("x").iter().collect();
        let rows = sizes(inputs.all("x"), 0)?;
        let x = join(&parts, 0)?;
        let choice = self.choice(inputs, &rows)?;
        if choice.anchors == 0 {
            let kept = Kept {
                rows,
                z: x,
                found: None,
            };
            return Ok((vec![Tensor::new(0f32, step.device)?], Box::new(kept)));
        }
        let directions = match self.own.normalize {
            true => Some(Directions::of(&x)?),
            false => None,
        };
        let z = directions.as_ref().map_or(&x, |d| &d.rows).clone();
        let (loss, slope) = contrast::forward(&z, self.own.temperature, choice.closed, choice.weights)?;
        let kept = Kept {
            rows,
            z,
            found: Some(Found { directions, slope }),
        };
        Ok((vec![loss], Box::new(kept)))
    }

    fn backward(
        &self,
        step: &mut Step<'_>,
        saved: Saved,
        mut grads: Vec<Option<Tensor>>,
    ) -> Result<Vec<Option<Tensor>>> {
        let Kept { rows, z, found } = *kept::<Kept>(saved)?;
        let mut out = vec![None; step.wants.len()];
        let Some(grad) = arrived(&mut grads, 0) else {
            return Ok(out);
        };
        let dx = match found {
            None if z.elem_count() == 0 => z,
            None => z.zeros_like()?,
            Some(Found { directions, slope }) => {
                let dz = contrast::backward(&z, self.own.temperature, &slope, &grad)?;
                match directions {
                    Some(d) => d.backward(&dz)?,
                    None => dz,
                }
            }
        };
        for (slot, part) in out.iter_mut().zip(cut(&dx, 0, &rows, step.wants)?) {
            *slot = part;
        }
        Ok(out)
    }
}

#[cfg(test)]
mod tests;

//! `join_clips`: clips of several chains side by side.

use crate::contract::*;
use crate::input::per_reference;
use anyhow::anyhow;
use schemars::JsonSchema;
use serde::Deserialize;
use std::sync::Arc;

/// Puts the clips of several chains side by side, in the order of the references: `[N1,T,H,W,C]`, `[N2,T,H,W,C]`, …
/// become `[N1+N2+…,T,H,W,C]`. So a backbone sees two views of a video, or its clips with and without a background
/// mixed in (CoMix, CO2A, FixMatch), in one call; `split` takes them apart again.
///
/// A second view of a video is a second chain of augmentation nodes: every node draws for itself.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JoinClips {
    /// How many of the references count, the first ones; without, all. Nothing is computed for the others, so that a
    /// view with `take = 1` has the clips of the first chain alone.
    #[serde(default)]
    pub take: Option<usize>,
}

impl Kind for JoinClips {
    const NAME: &'static str = "join_clips";
    const GROUP: Group = Group::Data;

    fn validate(&self) -> Vec<ParamProblem> {
        match self.take {
            Some(0) => vec![
                ParamProblem::new("take", "`take` must be at least 1")
                    .help("leave it out where all references count; `take = 1` is the first alone"),
            ],
            _ => vec![],
        }
    }

    fn contract(&self, wiring: &Wiring) -> Contract {
        let n = wiring.of("clips").min(self.take.unwrap_or(usize::MAX));
        let types = per_reference(n, |i| format!("Clip[B,N{i},T,H,W,C]"));
        let sum = per_reference(n, |i| format!("N{i}")).join("+");
        Contract::on(Side::Host)
            .many("clips", &types, "the clips of each chain")
            .first(self.take)
            .output("clips", &format!("Clip[B,{sum},T,H,W,C]"), "all of them")
    }

    fn build(&self, cx: &BuildCx<'_>) -> Result<Body, Vec<ParamProblem>> {
        let there = cx.inputs.get("clips").map_or(0, Vec::len);
        match self.take {
            Some(take) if take > there => {
                let message = format!("{there} references have clips here, and the first {take} are to count");
                Err(vec![ParamProblem::new("take", message).help(
                    "give it no more than there are; references whose clips are 0 in a phase or view do not count",
                )])
            }
            _ => Ok(Body::Stage(Box::new(SideBySide))),
        }
    }
}

struct SideBySide;

impl Stage for SideBySide {
    fn run(&self, _: &SampleCx, inputs: &Args<HostValue>) -> Result<Vec<HostValue>, DataError> {
        let clips = |v: &HostValue| match v {
            HostValue::Clips(c) => Ok(c.clone()),
            v => Err(anyhow!("port `clips` has no clips but {v:?}")),
        };
        let parts = inputs.all("clips").iter().map(clips).collect::<Result<Vec<_>, _>>()?;
        let [first, others @ ..] = parts.as_slice() else {
            return Err(DataError::fatal("nothing is connected to `clips`"));
        };
        if others.is_empty() {
            return Ok(vec![HostValue::Clips(first.clone())]);
        }
        let [_, t, h, w, c] = first.shape;
        if let Some(i) = others.iter().position(|o| o.shape[1..] != first.shape[1..]) {
            let size = |[_, t, h, w, c]: [usize; 5]| format!("{t} frames of {w}x{h} pixels with {c} channels");
            // The sizes are what the nodes before made of one and the same video.
            return Err(DataError::fatal(format!(
                "the clips of reference 1 are {}, those of reference {} are {}; crop or resize both chains to one size",
                size(first.shape),
                i + 2,
                size(others[i].shape)
            )));
        }
        let clips = parts.iter().map(|p| p.shape[0]).sum();
        let mut data = Vec::with_capacity(parts.iter().map(|p| p.data.len()).sum());
        parts.iter().for_each(|p| data.extend_from_slice(&p.data));
        let shape = [clips, t, h, w, c];
        Ok(vec![HostValue::Clips(Arc::new(Clips { shape, data }))])
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{built, clips, dims, node, problems, sample};
    use super::*;
    use crate::contract::DataError;
    use crate::testing::ty;
    use serde_json::json;

    fn joined(parts: &[&Arc<Clips>]) -> Result<Arc<Clips>, DataError> {
        let parts = parts.iter().map(|c| HostValue::Clips(Arc::clone(c))).collect();
        let inputs = Args::default().with("clips", parts);
        match built::<JoinClips>(json!({})).run(&sample(0, true), &inputs)?.remove(0) {
            HostValue::Clips(c) => Ok(c),
            v => panic!("{v:?}"),
        }
    }

    #[test]
    fn clips_follow_each_other_whatever_their_channels() {
        for c in [1, 2, 3] {
            let (a, b) = (clips([2, 3, 4, 5, c]), clips([1, 3, 4, 5, c]));
            let both = joined(&[&a, &a, &b]).unwrap();
            assert_eq!(both.shape, [5, 3, 4, 5, c]);
            assert_eq!(both.data, [&a.data[..], &a.data, &b.data].concat());
        }
    }

    #[test]
    fn one_chain_is_not_copied() {
        let a = clips([2, 1, 2, 2, 3]);
        assert!(Arc::ptr_eq(&joined(&[&a]).unwrap(), &a));
    }

    #[test]
    fn sizes_that_differ_end_the_run() {
        let e = joined(&[
            &clips([2, 3, 4, 5, 3]),
            &clips([1, 3, 4, 5, 3]),
            &clips([1, 3, 4, 6, 3]),
        ])
        .unwrap_err();
        assert!(matches!(e, DataError::Fatal(_)));
        assert_eq!(
            e.to_string(),
            "the clips of reference 1 are 3 frames of 5x4 pixels with 3 channels, those of reference 3 are 3 frames of 6x4 \
             pixels with 3 channels; crop or resize both chains to one size"
        );
    }

    #[test]
    fn the_clips_are_summed_over_those_that_count() {
        let of = |take: Option<usize>, refs: usize| {
            let wiring = Wiring {
                count: [("clips".to_string(), refs)].into(),
            };
            let params = take.map_or(json!({}), |t| json!({ "take": t }));
            let c = node::<JoinClips>(params).contract(&wiring);
            (c.inputs[0].first, c.inputs[0].types.len(), c.outputs[0].ty.to_string())
        };
        assert_eq!(of(None, 3), (None, 3, "Clip[B,N1+N2+N3,T,H,W,C]".into()));
        assert_eq!(of(Some(2), 3), (Some(2), 2, "Clip[B,N1+N2,T,H,W,C]".into()));
        assert_eq!(of(Some(1), 1), (Some(1), 1, "Clip[B,N1,T,H,W,C]".into()));
    }

    #[test]
    fn mistakes_are_reported() {
        let found = problems::<JoinClips>(json!({"take": 0}), &dims(&[]));
        assert_eq!(found, ["take: `take` must be at least 1"]);
        let dims = dims(&[]);
        let mut cx = super::super::testing::build_cx(&dims);
        cx.inputs.insert("clips".into(), vec![ty("Clip", "B,2,8,6,6,3"); 2]);
        assert!(node::<JoinClips>(json!({"take": 2})).build(&cx).is_ok());
        let Err(p) = node::<JoinClips>(json!({"take": 3})).build(&cx) else {
            panic!()
        };
        assert_eq!(
            p[0].message,
            "2 references have clips here, and the first 3 are to count"
        );
    }
}

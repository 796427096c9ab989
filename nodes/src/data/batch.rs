//! `batch`: the boundary between host and device.

use crate::contract::*;
use schemars::JsonSchema;
use serde::Deserialize;

/// Stacks the samples of a batch on the device: clips as bytes `[B,N,T,H,W,C]`, or features that were computed before
/// `[B,N,D]`, labels as whole numbers `[B]`, masks as 0 or 1 `[B]`, lengths as whole numbers `[B]`. Everything before it
/// works on one video, everything after it on a batch. `index` needs no input: it says which videos of the list these are, of
/// V in all, so that nodes can keep something for each video (`bank`).
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Batch {}

impl Kind for Batch {
    const NAME: &'static str = "batch";
    const GROUP: Group = Group::Data;

    fn contract(&self, wiring: &Wiring) -> Contract {
        // Without any wiring this is the reference page, which has all ports.
        let samples = wiring.of("clips") + wiring.of("features");
        let has = |port| wiring.of(port) > 0 || samples == 0;
        let mut c = Contract::on(Side::Boundary).input("clips", "Clip[B,N,T,H,W,C]", "clips of one size");
        // Where there are features, there need not be clips.
        if wiring.of("features") > 0 {
            c = c.optional();
        }
        c = c
            .input("features", "Feature[B,M,D]", "rows of features, of `gather_features`")
            .optional()
            .input("label", "Label[B]", "the video's class")
            .optional()
            .input("valid", "Mask[B]", "whether the order of the clips is defined")
            .optional()
            .input("length", "Length[B]", "the video's length")
            .optional();
        if has("clips") {
            c = c
                .output("clips", "Clip[B,N,T,H,W,C]", "the clips, bytes")
                .from(&["clips"]);
        }
        if has("features") {
            c = c
                .output("features", "Feature[B,M,D]", "the features")
                .from(&["features"]);
        }
        if has("label") {
            c = c.output("label", "Label[B]", "the classes").from(&["label"]);
        }
        if has("valid") {
            c = c.output("valid", "Mask[B]", "0 or 1").from(&["valid"]);
        }
        if has("length") {
            c = c.output("length", "Length[B]", "the lengths").from(&["length"]);
        }
        let of = if wiring.of("features") > 0 { "features" } else { "clips" };
        c.output("index", "Index[B,V]", "each video's place in its list of V, from 0")
            .from(&[of])
    }

    fn build(&self, cx: &BuildCx<'_>) -> Result<Body, Vec<ParamProblem>> {
        match cx.input("clips") {
            Some(ty) if ty.dims.contains(&Size::Ragged) => {
                let message = format!("clips of `{ty}` cannot be stacked: their size differs from video to video");
                Err(vec![ParamProblem::new("", message).help(
                    "put a `centre_crop`, a `multi_scale_crop` or a `resize` to a fixed size before it",
                )])
            }
            _ => Ok(Body::Boundary),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{build_cx, dims, node};
    use super::*;
    use serde_json::json;

    fn ports(connected: &[&str]) -> Vec<String> {
        let mut wiring = Wiring::default();
        for port in connected {
            wiring.count.insert(port.to_string(), 1);
        }
        let contract = node::<Batch>(json!({})).contract(&wiring);
        contract.outputs.into_iter().map(|o| o.name).collect()
    }

    #[test]
    fn gives_what_is_connected() {
        assert_eq!(ports(&["clips", "label"]), ["clips", "label", "index"]);
        assert_eq!(ports(&["clips"]), ["clips", "index"]);
        assert_eq!(ports(&["features", "label"]), ["features", "label", "index"]);
        assert_eq!(ports(&["clips", "features"]), ["clips", "features", "index"]);
        assert_eq!(ports(&[]), ["clips", "features", "label", "valid", "length", "index"]);
    }

    #[test]
    fn sizes_that_differ_are_refused() {
        let ty = |w| Type {
            head: Head::Clip,
            dims: vec![
                Size::Batch(1),
                Size::Known(3),
                Size::Known(8),
                Size::Known(48),
                w,
                Size::Known(3),
            ],
        };
        let build = |w| {
            let dims = dims(&[]);
            let mut cx = build_cx(&dims);
            cx.inputs.insert("clips".into(), vec![ty(w)]);
            node::<Batch>(json!({})).build(&cx)
        };
        assert!(matches!(build(Size::Known(48)), Ok(Body::Boundary)));
        let Err(problems) = build(Size::Ragged) else { panic!() };
        assert!(problems[0].message.contains("Clip[B,3,8,48,~,3]"), "{problems:?}");
    }
}

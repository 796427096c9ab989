//! `background`: the background of each video, as a clip of one frame.

use super::backgrounds::{Backgrounds, Medians};
use crate::contract::*;
use schemars::JsonSchema;
use serde::Deserialize;
use std::path::PathBuf;
use std::sync::Arc;

/// A video without what moves: the median over time of every pixel and channel, as one clip of one frame, for measures
/// of scenes. Images are made as those of `backgrounds`, by the same parameters, and kept in the same cache.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Background(pub Backgrounds);

impl Kind for Background {
    const NAME: &'static str = "background";
    const GROUP: Group = Group::Data;

    fn validate(&self) -> Vec<ParamProblem> {
        self.0.validate()
    }

    fn contract(&self, _: &Wiring) -> Contract {
        Contract::on(Side::Host).input("video", "Video[B]", "the video").output(
            "clips",
            "Clip[B,1,1,~,~,3]",
            "its background",
        )
    }

    fn build(&self, _: &BuildCx<'_>) -> Result<Body, Vec<ParamProblem>> {
        Ok(Body::Stage(Box::new(One {
            medians: Medians { params: self.0.clone() },
            cache: glad_mini::cache_dir().ok(),
        })))
    }
}

struct One {
    medians: Medians,
    cache: Option<PathBuf>,
}

impl Stage for One {
    fn run(&self, _: &SampleCx, inputs: &Args<HostValue>) -> Result<Vec<HostValue>, DataError> {
        let cx = PrepareCx {
            videos: vec![],
            cache: self.cache.as_deref(),
            progress: &|_, _| {},
            warn: &|_| {},
            // It costs time when the background is needed again, and nothing else.
            uncached: &|_| {},
        };
        let Frame { width, height, data } = self.medians.image(&cx, inputs.video("video")?)?.read()?;
        Ok(vec![HostValue::Clips(Arc::new(Clips {
            shape: [1, 1, height, width, 3],
            data: Arc::unwrap_or_clone(data),
        }))])
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{numbered, sample};
    use super::*;
    use serde_json::json;

    #[test]
    fn a_clip_of_one_frame() {
        let cache = tempfile::tempdir().unwrap();
        let Background(params) = serde_json::from_value(json!({})).unwrap();
        let stage = One {
            medians: Medians { params },
            cache: Some(cache.path().into()),
        };
        // frames filled with 0 to 8
        let inputs = Args::default().with("video", vec![numbered(9)]);
        let out = stage.run(&sample(0, false), &inputs).unwrap();
        let [HostValue::Clips(clips)] = &out[..] else {
            panic!("{out:?}")
        };
        assert_eq!((clips.shape, &clips.data), ([1, 1, 2, 4, 3], &vec![4; 24]));
    }
}

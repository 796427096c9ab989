//! `decoder`: frames of a video, laid out as clips.

use crate::contract::*;
use anyhow::{Context, Result, anyhow, ensure};
use schemars::JsonSchema;
use serde::Deserialize;
use std::sync::Arc;

/// Decodes the frames that samplers named, each once however many clips it is in, and lays them out as clips: those of
/// the first index, then of the next. RGB, 8 bits, at the video's own size.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Decoder {}

impl Kind for Decoder {
    const NAME: &'static str = "decoder";
    const GROUP: Group = Group::Data;

    fn contract(&self, wiring: &Wiring) -> Contract {
        let frames = Contract::on(Side::Host).input("video", "Video[B]", "the video");
        clips_of(frames, wiring, RGB)
    }

    fn build(&self, _: &BuildCx<'_>) -> Result<Body, Vec<ParamProblem>> {
        Ok(Body::Stage(Box::new(Decode {
            port: "video",
            channels: RGB,
        })))
    }
}

/// `from`, which has frames of so many channels, with the frame numbers and the clips.
pub(super) fn clips_of(from: Contract, wiring: &Wiring, channels: usize) -> Contract {
    let clips: Vec<String> = (0..wiring.of("index").max(1)).map(|i| format!("N{i}")).collect();
    let index: Vec<String> = clips.iter().map(|n| format!("FrameIndex[B,{n},T]")).collect();
    let clips = format!("Clip[B,{},T,~,~,{channels}]", clips.join("+"));
    from.many("index", &index, "frame numbers; clips of one length")
        .output("clips", &clips, "the clips")
}

/// Decodes frames of so many channels.
pub(super) struct Decode {
    /// The port of the video.
    pub port: &'static str,
    pub channels: usize,
}

impl Stage for Decode {
    fn run(&self, _: &SampleCx, inputs: &Args<HostValue>) -> Result<Vec<HostValue>, DataError> {
        let video = inputs.video(self.port)?;
        let mut wanted = vec![];
        let mut frames = 0;
        for value in inputs.all("index") {
            let HostValue::Index(index) = value else {
                return Err(anyhow!("port `index` has no frame numbers but {value:?}").into());
            };
            frames = index.frames;
            wanted.extend_from_slice(&index.data);
        }
        if wanted.is_empty() {
            return Err(DataError::sample("no frames are asked for"));
        }
        let mut layout = Layout::of(&wanted, self.channels);
        video.footage.visit(&wanted, &mut |number, frame| {
            Ok(layout
                .put(number, &frame)
                .with_context(|| format!("{}: {}", video.line, video.path.display()))?)
        })?;
        let (width, height) = layout.size.context("the video gave no frames")?;
        let shape = [wanted.len() / frames, frames, height, width, self.channels];
        let data = layout.data;
        Ok(vec![HostValue::Clips(Arc::new(Clips { shape, data }))])
    }
}

/// Frames laid out one after the other as they come.
struct Layout {
    /// Which frame is where, by frame.
    places: Vec<(usize, usize)>,
    /// Width and height of all frames, those of the first that came.
    size: Option<(usize, usize)>,
    channels: usize,
    data: Vec<u8>,
}

impl Layout {
    fn of(wanted: &[usize], channels: usize) -> Layout {
        let mut places: Vec<(usize, usize)> = wanted.iter().copied().zip(0..).collect();
        places.sort_unstable();
        Layout {
            places,
            size: None,
            channels,
            data: vec![],
        }
    }

    fn put(&mut self, number: usize, frame: &Frame) -> Result<()> {
        let bytes = frame.data.len();
        let (width, height) = *self.size.get_or_insert((frame.width, frame.height));
        ensure!(
            (width, height) == (frame.width, frame.height),
            "frame {number} has {}x{} pixels, another one {width}x{height}; all must be of one size",
            frame.width,
            frame.height,
        );
        ensure!(
            bytes == width * height * self.channels,
            "frame {number} of {width}x{height} pixels has {bytes} bytes, not {} a pixel",
            self.channels
        );
        self.data.resize(self.places.len() * bytes, 0);
        let first = self.places.partition_point(|(f, _)| *f < number);
        for (_, place) in self.places[first..].iter().take_while(|(f, _)| *f == number) {
            self.data[place * bytes..][..bytes].copy_from_slice(&frame.data);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{built, node, numbered, sample, video_of};
    use super::*;
    use serde_json::json;

    fn index(frames: usize, data: &[usize]) -> HostValue {
        HostValue::Index(Arc::new(FrameIndex {
            frames,
            data: data.to_vec(),
        }))
    }

    #[test]
    fn clips_in_the_order_of_the_indices() {
        let inputs = Args::default()
            .with("video", vec![numbered(9)])
            .with("index", vec![index(2, &[0, 8]), index(2, &[3, 4, 4, 3])]);
        let out = built::<Decoder>(json!({})).run(&sample(0, true), &inputs).unwrap();
        let HostValue::Clips(clips) = &out[0] else { panic!() };
        assert_eq!(clips.shape, [3, 2, 2, 4, 3]);
        let firsts: Vec<u8> = clips.data.chunks(24).map(|f| f[0]).collect();
        assert_eq!(firsts, [0, 8, 3, 4, 4, 3]);
    }

    #[test]
    fn the_contract_adds_up_the_clips() {
        let mut wiring = Wiring::default();
        wiring.count.insert("index".into(), 2);
        let contract = node::<Decoder>(json!({})).contract(&wiring);
        assert_eq!(contract.inputs[1].types.len(), 2);
        assert_eq!(contract.outputs[0].ty.to_string(), "Clip[B,N0+N1,T,~,~,3]");
    }

    #[test]
    fn frames_of_different_sizes_are_refused() {
        struct Growing;
        impl Footage for Growing {
            fn frame_count(&self) -> Result<usize, DataError> {
                Ok(9)
            }
            fn frames(&self, wanted: &[usize]) -> Result<Vec<Frame>, DataError> {
                let frame = |w: &usize| Frame {
                    width: *w,
                    height: 1,
                    data: Arc::new(vec![0; w * 3]),
                };
                Ok(wanted.iter().map(frame).collect())
            }
        }
        let inputs = Args::default()
            .with("video", vec![video_of(Growing)])
            .with("index", vec![index(2, &[4, 5])]);
        let e = built::<Decoder>(json!({})).run(&sample(0, true), &inputs).unwrap_err();
        let text = format!("{e:#}");
        assert!(text.starts_with("list.txt:1: a.mp4: frame 5 has 5x1 pixels"), "{text}");
    }
}

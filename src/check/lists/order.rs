//! Losses over rows that are masked where a video is too short: checks that some video of a list is long enough.

use super::place::list_place;
use super::{Cx, title, videos};
use crate::check::flow;
use crate::diag::Problem;
use crate::program::{Program, ValueId};
use glad_nodes::{Args, Body, DataError, Footage, Frame, Head, HostValue, Key, SampleCx, Side, Stage, Video};
use std::path::PathBuf;
use std::sync::Arc;

/// Random draws that a length is tried with, where a stage is random.
const DRAWS: u64 = 3;

/// Checks the masks that the losses of a phase take.
pub(super) fn check(cx: &mut Cx, program: &Program) {
    for term in &program.losses {
        for call in flow::makers(program, &term.values) {
            if program.calls[call].side != Side::Device {
                continue;
            }
            for mask in program.calls[call].inputs.iter().flat_map(|(_, ids)| ids) {
                if let Some(p) = masked(cx, program, &term.name, *mask) {
                    cx.sink.push_in(&title(program), p);
                }
            }
        }
    }
}

fn masked(cx: &Cx, program: &Program, loss: &str, mask: ValueId) -> Option<Problem> {
    let (call, port) = maker(program, mask)?;
    let stream = program.calls[call].stream?;
    let list = cx.lists.of(program, stream)?;
    // Lengths that the list does not state are known only when the files are opened.
    let lengths: Vec<usize> = list.frames.keys().copied().collect::<Option<_>>()?;
    let Body::Stage(stage) = &program.bodies[program.calls[call].body] else {
        return None;
    };
    if lengths.iter().any(|n| counts(stage.as_ref(), port, *n)) {
        return None;
    }
    let name = &program.streams[stream];
    let source = &cx.graph.nodes[&program.calls[program.sources[stream]].node];
    let sampler = &cx.graph.nodes[&program.calls[call].node];
    let term = &cx.graph.phases[&program.name].losses[loss];
    let frames = match (lengths.first()?, lengths.last()?) {
        (1, 1) => "1 frame each".to_string(),
        (a, b) if a == b => format!("{a} frames each"),
        (a, b) => format!("{a} to {b} frames"),
    };
    let what = format!("no video of stream {name} counts in loss `{loss}`: all are too short");
    Some(
        Problem::warning(what)
            .at(
                &list_place(source, Some(name), &program.split),
                format!("{}: {} of {frames}", list.name, videos(list.videos)),
            )
            .at(
                &sampler.place,
                format!("`{}` needs longer ones for clips in a defined order", sampler.path),
            )
            .at(&term.target.place, "counts the videos alone for which it is defined")
            .help("take longer videos, clips of fewer frames or a smaller `interval`, or leave the loss out"),
    )
}

/// The stage that computes a mask from the video alone, and the index of that output.
fn maker(program: &Program, mask: ValueId) -> Option<(usize, usize)> {
    let info = &program.values[mask.0];
    if info.ty.head != Head::Mask {
        return None;
    }
    let call = &program.calls[info.call];
    match call.side {
        Side::Boundary => {
            let inputs = call.inputs.iter().flat_map(|(_, ids)| ids);
            let mut masks = inputs.filter(|v| program.values[v.0].ty.head == Head::Mask);
            let mask = masks.next()?;
            masks.next().is_none().then(|| maker(program, *mask))?
        }
        Side::Host => {
            let [(_, from)] = call.inputs.as_slice() else {
                return None;
            };
            let [video] = from.as_slice() else { return None };
            let port = call.outputs.iter().position(|o| *o == Some(mask))?;
            matches!(program.values[video.0].ty.head, Head::Video | Head::Sequence).then_some((info.call, port))
        }
        Side::Device => None,
    }
}

/// Whether a video with this many frames may be unmasked.
fn counts(stage: &dyn Stage, port: usize, frames: usize) -> bool {
    let video = Arc::new(Video {
        index: 0,
        path: PathBuf::new(),
        line: String::new(),
        label: None,
        footage: Arc::new(Stated(frames)),
    });
    let inputs = Args::default().with("video", vec![HostValue::Video(video)]);
    (0..DRAWS).any(|draw| {
        let cx = SampleCx {
            key: Key::new(draw),
            training: true,
        };
        // What does not follow from the length alone may be unmasked.
        match stage.run(&cx, &inputs).map(|out| out.into_iter().nth(port)) {
            Ok(Some(HostValue::Mask(counts))) => counts,
            _ => true,
        }
    })
}

/// A video of which only the length stated by the list is known.
struct Stated(usize);

impl Footage for Stated {
    fn frame_count(&self) -> Result<usize, DataError> {
        Ok(self.0)
    }

    fn frames(&self, _: &[usize]) -> Result<Vec<Frame>, DataError> {
        Err(DataError::sample("there is no file behind it"))
    }
}

//! What stages read off their inputs.

use crate::contract::{Args, Contract, Count, DataError, DimScope, HostValue, ParamProblem, Side, Video};

/// Frames of the video at port `video`: at least one.
pub(super) fn length(inputs: &Args<HostValue>) -> Result<usize, DataError> {
    let video = inputs.video("video")?;
    let length = video.footage.frame_count()?;
    match length {
        0 => Err(video_without_frames(video)),
        _ => Ok(length),
    }
}

/// That a video has no frames.
pub(super) fn video_without_frames(video: &Video) -> DataError {
    DataError::sample(format!("{}: {} has no frames", video.line, video.path.display()))
}

/// The number behind a parameter in this phase or view; what is wrong with it goes to `problems`.
pub(super) fn number(count: &Count, param: &str, dims: &DimScope, problems: &mut Vec<ParamProblem>) -> usize {
    count.get(dims).unwrap_or_else(|mut p| {
        p.path = param.into();
        problems.push(p);
        0
    })
}

/// As [`number`], and 0 is wrong, too.
pub(super) fn positive(count: &Count, param: &str, dims: &DimScope, problems: &mut Vec<ParamProblem>) -> usize {
    let before = problems.len();
    let n = number(count, param, dims, problems);
    if n == 0 && problems.len() == before {
        problems.push(ParamProblem::new(param, format!("`{param}` must be at least 1")));
    }
    n
}

/// The contract of a stage from clips to clips.
pub(super) fn clips_stage(from: &str, to: &str) -> Contract {
    Contract::on(Side::Host)
        .input("clips", from, "the clips of a video")
        .output("clips", to, "the clips")
}

/// What is worth a warning of a probability of 0.
pub(super) fn never(p: f64, param: &str, done: &str) -> Vec<ParamProblem> {
    match p == 0.0 {
        false => vec![],
        true => vec![
            ParamProblem::new(param, format!("with 0 no video is ever {done}"))
                .help("`bypass` leaves the node out; a phase that does without it gives it 0 in its own `nodes`"),
        ],
    }
}

/// What is wrong with a probability.
pub(super) fn share(p: f64, param: &str) -> Vec<ParamProblem> {
    if (0.0..=1.0).contains(&p) {
        vec![]
    } else {
        let message = format!("{p} is no probability: 0 ≤ {param} ≤ 1");
        vec![ParamProblem::new(param, message)]
    }
}

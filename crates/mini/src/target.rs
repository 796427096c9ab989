//! Target videos: short, trimmed, a grey body over a grey checkerboard.

use crate::background::checkerboard;
use crate::config::MiniConfig;
use crate::figure::Figure;
use crate::motion::{Class, Manner};
use crate::pose::{individualise, smooth};
use crate::scene::{Scene, steps};
use crate::skeleton::Stance;
use crate::split::Split;
use crate::stream::Stream;

/// No video is shorter than this, in frames: one local clip.
const SHORTEST: usize = 8;

/// No figure travels farther than this, in body heights.
const FARTHEST: f32 = 0.8;

/// Makes target video `index` of `split`.
pub(crate) fn scene(config: &MiniConfig, split: Split, index: usize) -> Scene {
    let stream = &mut Stream::new(config.seed, split.name(), index, "figure");
    let class = Class::ALL[split.label(index)];
    let cycle = class.cycle_seconds() * stream.uniform(-config.tempo, config.tempo).exp();
    let amplitude = stream.within(config.amplitude);
    let manner = Manner::draw(amplitude, stream);
    let poses: Vec<_> = phases(config, class, cycle, stream)
        .into_iter()
        .map(|phase| class.pose(phase, manner))
        .collect();
    let mut poses = smooth(&poses);
    individualise(&mut poses, config.fps, config.joint_offset, config.joint_noise, stream);

    let facing = stream.sign();
    let seconds = poses.len() as f32 / config.fps;
    let way = (class.speed().target * stream.unit() * seconds).min(FARTHEST);
    let size = config.size as f32;
    let scale = size * stream.within(config.target_body);
    let origin = [size * stream.uniform(0.417, 0.583), size * stream.uniform(0.896, 0.98)];
    let count = poses.len();
    let moments = poses
        .into_iter()
        .zip(steps(-way / 2.0, way / 2.0, count))
        .map(|(pose, travel)| {
            (
                pose,
                Stance {
                    travel: facing * travel,
                    facing,
                    scale,
                    origin,
                },
            )
        })
        .collect();
    let figure = Figure::grey(stream);
    let stream = &mut Stream::new(config.seed, split.name(), index, "background");
    Scene {
        moments,
        figure,
        background: checkerboard(config.size, origin[0], stream),
    }
}

/// The phase at each frame, in cycles: cyclic classes from any phase for a while; one-shot classes
/// once or twice from beginning to end, with a little rest on both sides.
fn phases(config: &MiniConfig, class: Class, cycle: f32, stream: &mut Stream) -> Vec<f32> {
    let fps = config.fps;
    if class.cyclic() {
        let frames = ((stream.log_within(config.target_seconds) * fps).round() as usize).max(SHORTEST);
        let begin = stream.unit();
        return (0..frames).map(|t| begin + t as f32 / fps / cycle).collect();
    }
    let cycles = if stream.chance(config.twice) { 2.0 } else { 1.0 };
    let frames = ((cycles * cycle * fps).round() as usize).max(SHORTEST);
    let longest_rest = (config.rest_seconds * fps) as usize;
    let [before, after] = [0, 1].map(|_| stream.below(longest_rest + 1));
    let action = (0..frames).map(|t| t as f32 * cycles / frames as f32);
    std::iter::repeat_n(0.0, before)
        .chain(action)
        .chain(std::iter::repeat_n(0.0, after))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_shot_actions_are_whole() {
        let config = MiniConfig::default();
        for index in 0..50 {
            let stream = &mut Stream::new(1, "test", index, "phases");
            let phases = phases(&config, Class::PickUp, 1.9, stream);
            let last = phases.iter().copied().fold(0.0, f32::max);
            assert_eq!(phases[0], 0.0);
            assert!((last.ceil() - last) < 0.03, "video {index} ends at phase {last}");
        }
    }
}

//! Source videos: long, untrimmed, clothed, in front of textured backgrounds.

use crate::background::{FAMILIES, Look, painted};
use crate::config::MiniConfig;
use crate::figure::Figure;
use crate::motion::{Class, Filler, Manner};
use crate::pose::{Pose, individualise, smooth};
use crate::scene::{Scene, steps};
use crate::skeleton::Stance;
use crate::split::Split;
use crate::stream::Stream;

/// Longest pause between two one-shot actions, in cycles.
const LONGEST_PAUSE: f32 = 0.5;

/// Moving figures turn round this far from the middle, in body heights.
const TURN: f32 = 0.4;

/// The person's position and pose in each frame.
struct Story {
    poses: Vec<Pose>,
    /// Position along the ground, in body heights.
    travel: Vec<f32>,
    /// 1 to the right, -1 to the left.
    facing: Vec<f32>,
}

/// Makes source video `index` of `split`.
pub(crate) fn scene(config: &MiniConfig, split: Split, index: usize) -> Scene {
    let label = split.label(index);
    let stream = &mut Stream::new(config.seed, split.name(), index, "figure");
    let class = Class::ALL[label];
    let mut story = tell(config, class, stream);
    if class.speed().source == 0.0 {
        let drift = stream.sign() * stream.within(config.wander);
        let count = story.travel.len();
        for (travel, step) in story.travel.iter_mut().zip(steps(-0.5, 0.5, count)) {
            *travel += drift * step;
        }
    }
    story.poses = smooth(&story.poses);
    individualise(
        &mut story.poses,
        config.fps,
        config.joint_offset,
        config.joint_noise,
        stream,
    );

    let size = config.size as f32;
    let scale = size * stream.within(config.source_body);
    let origin = [size * stream.uniform(0.396, 0.604), size * stream.uniform(0.875, 0.98)];
    let moments = story
        .poses
        .into_iter()
        .zip(story.travel.into_iter().zip(story.facing))
        .map(|(pose, (travel, facing))| {
            (
                pose,
                Stance {
                    travel,
                    facing,
                    scale,
                    origin,
                },
            )
        })
        .collect();
    let figure = Figure::clothed(config.size, stream);

    // A separate stream, so that changing backgrounds does not change the figures.
    let stream = &mut Stream::new(config.seed, split.name(), index, "background");
    let family = if stream.chance(config.rho) {
        label
    } else {
        stream.below(FAMILIES)
    };
    let look = Look {
        contrast: config.contrast,
        texture: config.texture,
    };
    Scene {
        moments,
        figure,
        background: painted(family, config.size, look, stream),
    }
}

/// Lead-in, action, rest or walking off.
fn tell(config: &MiniConfig, class: Class, stream: &mut Stream) -> Story {
    let fps = config.fps;
    let frames = ((stream.within(config.source_seconds) * fps).round() as usize).max(8);
    let lead_frames = (frames as f32 * stream.within(config.lead_share)) as usize;
    let action_frames = ((frames as f32 * stream.within(config.action_share)) as usize).min(frames - lead_frames);
    let rest_frames = frames - lead_frames - action_frames;

    let lead = if stream.chance(config.typical_lead) {
        class.typical_lead()
    } else {
        stream.pick(&[Filler::Idle, Filler::Walk, Filler::Run])
    };
    let rest = stream.pick(&[Filler::Idle, Filler::Walk, Filler::Idle]);
    let facing = stream.sign();
    let amplitude = stream.within(config.amplitude);
    let manner = Manner::draw(amplitude, stream);
    let cycle = class.cycle_seconds() * stream.uniform(-config.tempo, config.tempo).exp();

    let mut story = Story {
        poses: Vec::with_capacity(frames),
        travel: Vec::with_capacity(frames),
        facing: Vec::with_capacity(frames),
    };
    // Travel of the action is computed first: the lead-in ends where it begins.
    let speed = class.speed().source * stream.uniform(0.4, 1.0);
    let (path, facings): (Vec<f32>, Vec<f32>) = (0..action_frames)
        .map(|t| to_and_fro(facing, t as f32 / fps * speed))
        .unzip();
    let begin = path.first().copied().unwrap_or(0.0);

    let approach = if lead == Filler::Idle {
        0.0
    } else {
        stream.uniform(0.5, 0.9)
    };
    let phase = stream.unit();
    for (t, ahead) in steps(approach, 0.0, lead_frames).enumerate() {
        story
            .poses
            .push(lead.pose(phase + t as f32 / fps / lead.cycle_seconds()));
        story.travel.push(begin - facing * ahead);
        story.facing.push(facing);
    }

    let pause = if class.cyclic() {
        0.0
    } else {
        stream.uniform(0.0, LONGEST_PAUSE) * cycle
    };
    for t in 0..action_frames {
        let time = t as f32 / fps;
        let phase = if class.cyclic() {
            time / cycle
        } else {
            ((time % (cycle + pause)) / cycle).min(0.999)
        };
        story.poses.push(class.pose(phase, manner));
    }
    story.travel.extend(path);
    story.facing.extend(facings);

    let end = story.travel.last().copied().unwrap_or(0.0);
    let facing = story.facing.last().copied().unwrap_or(facing);
    let leave = if rest == Filler::Idle {
        0.0
    } else {
        stream.uniform(0.4, 0.9)
    };
    for (t, gone) in steps(0.0, leave, rest_frames).enumerate() {
        story.poses.push(rest.pose(t as f32 / fps / rest.cycle_seconds()));
        story.travel.push(end + facing * gone);
        story.facing.push(facing);
    }
    story
}

/// Position and facing after `way` body heights of moving to and fro about the middle.
fn to_and_fro(facing: f32, way: f32) -> (f32, f32) {
    let lap = (way + TURN) % (4.0 * TURN);
    if lap < 2.0 * TURN {
        (facing * (lap - TURN), facing)
    } else {
        (facing * (3.0 * TURN - lap), -facing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn to_and_fro_stays_near_and_turns() {
        let path: Vec<(f32, f32)> = (0..400).map(|t| to_and_fro(1.0, t as f32 * 0.01)).collect();
        assert!(path.iter().all(|(place, _)| place.abs() <= TURN + 1e-4));
        assert!(path.windows(2).all(|w| (w[0].0 - w[1].0).abs() < 0.011));
        assert!(
            path.windows(2)
                .all(|w| w[0].1 != w[1].1 || (w[1].0 - w[0].0) * w[0].1 > 0.0)
        );
        assert!(path.iter().any(|(_, facing)| *facing < 0.0));
    }

    #[test]
    fn stories_have_no_jumps() {
        let config = MiniConfig::default();
        for index in 0..48 {
            let stream = &mut Stream::new(5, "test", index, "story");
            let story = tell(&config, Class::ALL[index % 12], stream);
            assert_eq!(story.poses.len(), story.travel.len());
            assert_eq!(story.poses.len(), story.facing.len());
            assert!((180..=204).contains(&story.poses.len()));
            let most = story.travel.windows(2).map(|w| (w[0] - w[1]).abs()).fold(0.0, f32::max);
            assert!(most < 0.1, "video {index} jumps by {most}");
        }
    }

    #[test]
    fn backgrounds_do_not_move_the_figure() {
        let config = MiniConfig::default();
        let other = MiniConfig {
            rho: 0.0,
            texture: 1.0,
            source_train: 12,
            ..config.clone()
        };
        let [a, b] = [&config, &other].map(|config| scene(config, Split::SourceTrain, 3));
        assert_eq!(a.moments.len(), b.moments.len());
        assert!(a.moments.iter().zip(&b.moments).all(|(a, b)| a.0 == b.0));
        assert_ne!(a.background(), b.background());
    }
}

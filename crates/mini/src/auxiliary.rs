//! Auxiliary videos: motions other than the twelve actions, in front of any background.

use std::f32::consts::TAU;

use crate::background::{FAMILIES, Look, painted};
use crate::config::{MiniConfig, Range};
use crate::figure::Figure;
use crate::pose::{Pose, individualise};
use crate::scene::Scene;
use crate::skeleton::Stance;
use crate::split::Split;
use crate::stream::Stream;

/// A class of motion: every joint swings as a sinusoid about a mean.
struct Motion {
    swings: [Swing; 9],
    flight: f32,
    /// Time of one cycle, in seconds.
    cycle: f32,
}

#[derive(Clone, Copy)]
struct Swing {
    mean: f32,
    size: f32,
    /// Swings a cycle: 1 or 2.
    rate: f32,
    phase: f32,
}

impl Motion {
    /// The motion of a class. It is the same under every seed: classes define the data set,
    /// seeds select the videos drawn from it.
    fn of_class(class: usize) -> Self {
        let stream = &mut Stream::new(0, "auxiliary classes", class, "motion");
        let thighs = stream.uniform(-10.0, 60.0);
        let apart = stream.uniform(0.0, 35.0);
        // In the order of `Pose::angles_mut`: lean, arms (shoulder, elbow), legs (hip, knee).
        let means = [
            stream.uniform(-10.0, 70.0),
            stream.uniform(-30.0, 140.0),
            stream.uniform(10.0, 90.0),
            stream.uniform(-30.0, 140.0),
            stream.uniform(10.0, 90.0),
            thighs + apart,
            stream.uniform(5.0, 100.0),
            thighs - apart,
            stream.uniform(5.0, 100.0),
        ];
        let largest = [18.0, 55.0, 45.0, 55.0, 45.0, 30.0, 30.0, 30.0, 30.0];
        let swings = std::array::from_fn(|joint| Swing {
            mean: means[joint],
            size: stream.uniform(0.0, largest[joint]),
            rate: stream.pick(&[1.0, 1.0, 2.0]),
            phase: stream.uniform(0.0, TAU),
        });
        Self {
            swings,
            flight: stream.uniform(-0.15, 0.15).max(0.0),
            cycle: stream.log_within(Range([0.5, 1.8])),
        }
    }

    fn pose(&self, phase: f32, amplitude: f32) -> Pose {
        let mut pose = Pose {
            flight: self.flight * (TAU * phase).sin().abs(),
            ..Pose::default()
        };
        for (angle, swing) in pose.angles_mut().into_iter().zip(&self.swings) {
            *angle = swing.mean + amplitude * swing.size * (TAU * swing.rate * phase + swing.phase).sin();
        }
        pose
    }
}

/// Makes auxiliary video `index` of `split`.
pub(crate) fn scene(config: &MiniConfig, split: Split, index: usize) -> Scene {
    let stream = &mut Stream::new(config.seed, split.name(), index, "figure");
    let motion = Motion::of_class(split.label(index));
    let frames = ((stream.within(config.auxiliary_seconds) * config.fps).round() as usize).max(8);
    let cycle = motion.cycle * stream.uniform(-0.3, 0.3).exp();
    let begin = stream.unit();
    let amplitude = stream.within(config.amplitude);
    let mut poses: Vec<Pose> = (0..frames)
        .map(|t| motion.pose(begin + t as f32 / config.fps / cycle, amplitude))
        .collect();
    individualise(&mut poses, config.fps, config.joint_offset, config.joint_noise, stream);

    let size = config.size as f32;
    let stance = Stance {
        travel: 0.0,
        facing: stream.sign(),
        scale: size * stream.within(config.source_body),
        origin: [size * stream.uniform(0.375, 0.625), size * stream.uniform(0.875, 0.98)],
    };
    let moments = poses.into_iter().map(|pose| (pose, stance)).collect();
    let figure = Figure::clothed(config.size, stream);

    let stream = &mut Stream::new(config.seed, split.name(), index, "background");
    let family = stream.below(FAMILIES);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_differ_and_seeds_do_not_change_them() {
        let curve = |class| -> Vec<f32> {
            let motion = Motion::of_class(class);
            (0..20)
                .flat_map(|t| motion.pose(t as f32 / 20.0, 1.0).angles_mut().map(|angle| *angle))
                .collect()
        };
        assert_eq!(curve(3), curve(3));
        for a in 0..12 {
            for b in a + 1..12 {
                let apart = curve(a)
                    .iter()
                    .zip(curve(b))
                    .map(|(a, b)| (a - b).abs())
                    .fold(0.0, f32::max);
                assert!(apart > 20.0, "classes {a} and {b} differ by {apart} degrees at most");
            }
        }
    }
}

//! The joint angles of one moment, and operations on sequences of them.

use crate::stream::Stream;

/// Angles among the values of a [`Pose`]: all but flight and travel.
const ANGLES: usize = 9;

/// The figure at one moment. Angles are in degrees, lengths in body heights.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Pose {
    /// Trunk from upright, forwards positive.
    pub lean: f32,
    /// Upper arms (right, left) from hanging down, forwards positive.
    pub shoulder: [f32; 2],
    /// Bend of the elbows.
    pub elbow: [f32; 2],
    /// Thighs from hanging down, forwards positive.
    pub hip: [f32; 2],
    /// Bend of the knees.
    pub knee: [f32; 2],
    /// Height above the ground.
    pub flight: f32,
    /// Sway of the whole body along the ground.
    pub travel: f32,
}

impl Pose {
    /// The joint angles, in a fixed order.
    pub(crate) fn angles_mut(&mut self) -> [&mut f32; ANGLES] {
        let Self {
            lean,
            shoulder: [sr, sl],
            elbow: [er, el],
            hip: [hr, hl],
            knee: [kr, kl],
            ..
        } = self;
        [lean, sr, er, sl, el, hr, kr, hl, kl]
    }

    /// The pose with right and left exchanged.
    pub(crate) fn mirrored(mut self) -> Self {
        for pair in [&mut self.shoulder, &mut self.elbow, &mut self.hip, &mut self.knee] {
            pair.swap(0, 1);
        }
        self
    }

    fn mean(poses: [&Pose; 3]) -> Self {
        let mean = |value: fn(&Pose) -> f32| poses.iter().map(|pose| value(pose)).sum::<f32>() / 3.0;
        Self {
            lean: mean(|p| p.lean),
            shoulder: [mean(|p| p.shoulder[0]), mean(|p| p.shoulder[1])],
            elbow: [mean(|p| p.elbow[0]), mean(|p| p.elbow[1])],
            hip: [mean(|p| p.hip[0]), mean(|p| p.hip[1])],
            knee: [mean(|p| p.knee[0]), mean(|p| p.knee[1])],
            flight: mean(|p| p.flight),
            travel: mean(|p| p.travel),
        }
    }
}

/// Rounds off the corners of a movement: each pose becomes the mean of itself and its neighbours.
pub(crate) fn smooth(poses: &[Pose]) -> Vec<Pose> {
    let mut smoothed = poses.to_vec();
    for (window, pose) in poses.windows(3).zip(smoothed.iter_mut().skip(1)) {
        *pose = Pose::mean([&window[0], &window[1], &window[2]]);
    }
    smoothed
}

/// Makes one person's movement differ from another's: a constant offset of every joint, smooth noise
/// with a knot every two thirds of a second (standard deviations in degrees), and sides swapped
/// in half of the videos.
pub(crate) fn individualise(poses: &mut [Pose], fps: f32, offset: f32, noise: f32, stream: &mut Stream) {
    let offsets: [f32; ANGLES] = std::array::from_fn(|_| stream.normal(offset));
    let knots = (poses.len() as f32 * 1.5 / fps) as usize + 2;
    let knots: Vec<[f32; ANGLES]> = (0..knots)
        .map(|_| std::array::from_fn(|_| stream.normal(noise)))
        .collect();
    let swap = stream.chance(0.5);
    let step = (knots.len() - 1) as f32 / (poses.len().max(2) - 1) as f32;
    for (t, pose) in poses.iter_mut().enumerate() {
        let at = t as f32 * step;
        let left = (at as usize).min(knots.len() - 2);
        let weight = at - left as f32;
        for (joint, angle) in pose.angles_mut().into_iter().enumerate() {
            *angle += offsets[joint] + knots[left][joint] * (1.0 - weight) + knots[left + 1][joint] * weight;
        }
        if swap {
            *pose = pose.mirrored();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mirroring_twice_changes_nothing() {
        let mut pose = Pose {
            flight: 0.2,
            travel: -0.1,
            ..Pose::default()
        };
        for (value, angle) in pose.angles_mut().into_iter().enumerate() {
            *angle = value as f32;
        }
        assert_ne!(pose.mirrored(), pose);
        assert_eq!(pose.mirrored().mirrored(), pose);
    }

    #[test]
    fn smoothing_keeps_straight_lines_and_ends() {
        let line: Vec<Pose> = (0..6)
            .map(|t| Pose {
                lean: t as f32,
                ..Pose::default()
            })
            .collect();
        assert_eq!(smooth(&line), line);
        let mut spike = vec![Pose::default(); 5];
        spike[2].hip[1] = 9.0;
        let hips: Vec<f32> = smooth(&spike).iter().map(|pose| pose.hip[1]).collect();
        assert_eq!(hips, [0.0, 3.0, 3.0, 3.0, 0.0]);
        assert_eq!(smooth(&line[..1]), line[..1]);
    }

    #[test]
    fn individualising_takes_any_length() {
        for length in [1, 2, 3, 200] {
            let mut poses = vec![Pose::default(); length];
            individualise(&mut poses, 24.0, 5.0, 3.5, &mut Stream::new(0, "test", length, "pose"));
            assert!(poses.iter().all(|pose| pose.lean.is_finite() && pose.lean.abs() < 60.0));
            assert_ne!(poses[0], Pose::default());
        }
    }
}

//! From joint angles to points in the picture.

use crate::pose::Pose;

/// A point of the picture, in pixels: x to the right, y down.
pub(crate) type Point = [f32; 2];

/// Position, direction and size of the figure.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stance {
    /// Position of the body's centre along the ground, in body heights from `origin`.
    pub travel: f32,
    /// 1 if the figure looks to the right, -1 to the left.
    pub facing: f32,
    /// Body height, in pixels.
    pub scale: f32,
    /// Where travel 0 meets the ground, in pixels.
    pub origin: Point,
}

/// The joints in the picture; pairs are right, left.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Joints {
    pub pelvis: Point,
    pub shoulders: Point,
    pub neck: Point,
    pub head: Point,
    pub elbow: [Point; 2],
    pub hand: [Point; 2],
    pub knee: [Point; 2],
    pub foot: [Point; 2],
}

/// Lengths of the limbs, in body heights.
const TO_SHOULDERS: f32 = 0.27;
const TO_NECK: f32 = 0.30;
const TO_HEAD: f32 = 0.10;
const UPPER_ARM: f32 = 0.155;
const FOREARM: f32 = 0.15;
const THIGH: f32 = 0.235;
const SHIN: f32 = 0.235;

impl Joints {
    /// Places the joints: the trunk rises from the pelvis, limbs hang from their angles, and the
    /// lowest of knees, feet and hands stands on the ground (or `flight` above it).
    pub(crate) fn place(pose: &Pose, stance: &Stance) -> Self {
        // Body coordinates: x forwards, y up, the pelvis at the origin.
        let down = |from: Point, degrees: f32, length: f32| {
            let (sin, cos) = degrees.to_radians().sin_cos();
            [from[0] + length * sin, from[1] - length * cos]
        };
        let up = |from: Point, degrees: f32, length: f32| {
            let (sin, cos) = degrees.to_radians().sin_cos();
            [from[0] + length * sin, from[1] + length * cos]
        };
        let pelvis = [0.0, 0.0];
        let shoulders = up(pelvis, pose.lean, TO_SHOULDERS);
        let neck = up(pelvis, pose.lean, TO_NECK);
        let head = up(neck, pose.lean * 0.9, TO_HEAD);
        let elbow = pose.shoulder.map(|angle| down(shoulders, angle, UPPER_ARM));
        let hand = [0, 1].map(|side| down(elbow[side], pose.shoulder[side] + pose.elbow[side], FOREARM));
        let knee = pose.hip.map(|angle| down(pelvis, angle, THIGH));
        let foot = [0, 1].map(|side| down(knee[side], pose.hip[side] - pose.knee[side], SHIN));
        let lowest = knee
            .iter()
            .chain(&foot)
            .chain(&hand)
            .fold(f32::INFINITY, |low, point| low.min(point[1]));
        let rise = pose.flight - lowest;
        let along = stance.travel + pose.travel;
        let to_picture = |[x, y]: Point| {
            [
                stance.origin[0] + stance.scale * (along + stance.facing * x),
                stance.origin[1] - stance.scale * (y + rise),
            ]
        };
        Self {
            pelvis: to_picture(pelvis),
            shoulders: to_picture(shoulders),
            neck: to_picture(neck),
            head: to_picture(head),
            elbow: elbow.map(to_picture),
            hand: hand.map(to_picture),
            knee: knee.map(to_picture),
            foot: foot.map(to_picture),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn length(a: Point, b: Point) -> f32 {
        (a[0] - b[0]).hypot(a[1] - b[1])
    }

    proptest! {
        /// Whatever the angles: limbs keep their lengths, and the body stands on the ground.
        #[test]
        fn limbs_keep_their_lengths(
            angles in prop::array::uniform9(-360f32..360.0),
            flight in 0f32..0.5,
            facing in prop::sample::select(vec![-1f32, 1.0]),
        ) {
            let mut pose = Pose { flight, ..Pose::default() };
            pose.angles_mut().into_iter().zip(angles).for_each(|(angle, value)| *angle = value);
            let stance = Stance { travel: 0.1, facing, scale: 100.0, origin: [50.0, 90.0] };
            let joints = Joints::place(&pose, &stance);
            for side in 0..2 {
                prop_assert!((length(joints.shoulders, joints.elbow[side]) - 15.5).abs() < 0.01);
                prop_assert!((length(joints.elbow[side], joints.hand[side]) - 15.0).abs() < 0.01);
                prop_assert!((length(joints.pelvis, joints.knee[side]) - 23.5).abs() < 0.01);
                prop_assert!((length(joints.knee[side], joints.foot[side]) - 23.5).abs() < 0.01);
            }
            let lowest = joints.knee.iter().chain(&joints.foot).chain(&joints.hand)
                .fold(f32::NEG_INFINITY, |low, point| low.max(point[1]));
            prop_assert!((lowest - (90.0 - 100.0 * flight)).abs() < 0.01);
        }
    }

    #[test]
    fn facing_mirrors_about_the_place() {
        let pose = Pose {
            lean: 20.0,
            shoulder: [70.0, -10.0],
            ..Pose::default()
        };
        let stance = Stance {
            travel: 0.0,
            facing: 1.0,
            scale: 40.0,
            origin: [24.0, 45.0],
        };
        let right = Joints::place(&pose, &stance);
        let left = Joints::place(&pose, &Stance { facing: -1.0, ..stance });
        assert!((right.head[0] - 24.0 + left.head[0] - 24.0).abs() < 1e-4);
        assert!(right.head[0] > 24.0 && right.head[1] == left.head[1]);
    }
}

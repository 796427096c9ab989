//! The optical flow of a scene: how far each pixel moves to the next frame, as the figure's joints say.

use crate::figure::Part;
use crate::scene::Scene;
use crate::skeleton::{Joints, Point};

/// The largest motion that is stored, in pixels of a frame of [`FRAME`] pixels; larger ones are cut off. These are the 20
/// pixels of TSN's flow (Wang et al., ECCV 2016), for frames of its size.
const BOUND: f32 = 20.0;
/// The height for which [`BOUND`] is given.
const FRAME: f32 = 256.0;

impl Scene {
    /// Number of images of flow: one between any two frames.
    pub fn flow_count(&self) -> usize {
        self.frame_count().saturating_sub(1)
    }

    /// The motion of each pixel from frame `index` to the next, in pixels, across (to the right) and down, row by row: that of
    /// the part of the body that covers its middle, and 0 of the background.
    ///
    /// # Panics
    /// If `index` is not below [`flow_count`](Self::flow_count).
    pub fn motion(&self, index: usize) -> Vec<[f32; 2]> {
        let parts = |frame: usize| {
            let (pose, stance) = &self.moments[frame];
            self.figure.parts(&Joints::place(pose, stance), stance.scale)
        };
        let (now, next) = (parts(index), parts(index + 1));
        let size = self.size();
        let pixel = |i: usize| {
            let at = [(i % size) as f32 + 0.5, (i / size) as f32 + 0.5];
            // The parts drawn last cover the others.
            let top = now.iter().zip(&next).rev().find(|(part, _)| covers(part, at));
            top.map_or([0.0; 2], |(part, to)| moved(part, to, at))
        };
        (0..size * size).map(pixel).collect()
    }

    /// [`motion`](Self::motion) as the field stores it: a byte for each component, 0 to 255 for the motions from minus to plus
    /// the largest, so that 128 is rest. Across and down, row by row.
    ///
    /// # Panics
    /// As [`motion`](Self::motion).
    pub fn flow(&self, index: usize) -> [Vec<u8>; 2] {
        let bound = BOUND * self.size() as f32 / FRAME;
        // The conversion saturates.
        let byte = |v: f32| (255.0 * (v + bound) / (2.0 * bound)).round() as u8;
        let motion = self.motion(index);
        [0, 1].map(|c| motion.iter().map(|v| byte(v[c])).collect())
    }
}

/// Whether a point lies in a part.
fn covers(part: &Part, at: Point) -> bool {
    let (along, from) = (minus(part.b, part.a), minus(at, part.a));
    let length = dot(along, along);
    let t = if length > 0.0 {
        (dot(from, along) / length).clamp(0.0, 1.0)
    } else {
        0.0
    };
    let away = minus(from, along.map(|x| t * x));
    dot(away, away) <= part.radius * part.radius
}

/// How a point of a part moves where the part becomes `to`: limbs are stiff, so they move and turn as a whole.
fn moved(part: &Part, to: &Part, at: Point) -> [f32; 2] {
    let (old, new) = (minus(part.b, part.a), minus(to.b, to.a));
    let from = minus(at, part.a);
    let length = dot(old, old);
    let turned = match length > 0.0 {
        true => {
            let (cos, sin) = (dot(old, new) / length, (old[0] * new[1] - old[1] * new[0]) / length);
            [cos * from[0] - sin * from[1], sin * from[0] + cos * from[1]]
        }
        false => from,
    };
    minus([to.a[0] + turned[0], to.a[1] + turned[1]], at)
}

fn minus(a: Point, b: Point) -> Point {
    [a[0] - b[0], a[1] - b[1]]
}

fn dot(a: Point, b: Point) -> f32 {
    a[0] * b[0] + a[1] * b[1]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::MiniConfig;
    use crate::split::Split;

    fn part(a: Point, b: Point) -> Part {
        Part {
            a,
            b,
            radius: 2.0,
            colour: [0.0; 3],
        }
    }

    fn near(a: [f32; 2], b: [f32; 2]) {
        assert!((a[0] - b[0]).abs() < 1e-4 && (a[1] - b[1]).abs() < 1e-4, "{a:?} {b:?}");
    }

    #[test]
    fn limbs_move_and_turn_as_a_whole() {
        let arm = part([10.0, 10.0], [14.0, 10.0]);
        near(moved(&arm, &part([11.0, 8.0], [15.0, 8.0]), [12.0, 11.0]), [1.0, -2.0]);
        // A quarter turn about the shoulder, from pointing right to pointing down.
        let down = part([10.0, 10.0], [10.0, 14.0]);
        near(moved(&arm, &down, [10.0, 10.0]), [0.0, 0.0]);
        near(moved(&arm, &down, [14.0, 10.0]), [-4.0, 4.0]);
        near(moved(&arm, &down, [12.0, 11.0]), [-3.0, 1.0]);
        // A circle moves as its middle does.
        let head = part([5.0, 5.0], [5.0, 5.0]);
        near(moved(&head, &part([6.5, 4.0], [6.5, 4.0]), [4.0, 6.0]), [1.5, -1.0]);
        assert!(covers(&arm, [16.0, 10.0]) && !covers(&arm, [16.5, 10.0]) && covers(&head, [5.0, 3.0]));
    }

    /// What moves stays on the body, though another part may cover it there; without the motion it often would not.
    #[test]
    fn the_body_is_where_the_flow_says() {
        let config = MiniConfig::default();
        let (mut fast, mut with, mut without) = (0, 0, 0);
        for index in 0..6 {
            let scene = Scene::new(&config, Split::TargetTest, index).unwrap();
            let size = scene.size();
            let behind = scene.background();
            let body = |frame: usize| -> Vec<bool> {
                let mut rgb = vec![];
                scene.frame(frame, &mut rgb);
                let pixels = rgb.chunks(3).zip(behind.chunks(3));
                pixels.map(|(a, b)| a[0].abs_diff(b[0]) > 12).collect()
            };
            for frame in 0..scene.flow_count() {
                let next = body(frame + 1);
                for (i, m) in scene.motion(frame).into_iter().enumerate() {
                    let to = [(i % size) as f32 + m[0].round(), (i / size) as f32 + m[1].round()];
                    let inside = to.iter().all(|x| (0.0..size as f32).contains(x));
                    if m[0].hypot(m[1]) > 1.5 && inside {
                        fast += 1;
                        with += usize::from(next[to[1] as usize * size + to[0] as usize]);
                        without += usize::from(next[i]);
                    }
                }
            }
        }
        assert!(
            fast > 1000 && 100 * with > 95 * fast && 100 * without < 85 * fast,
            "{fast} {with} {without}"
        );
    }

    #[test]
    fn bytes_are_motions_within_the_bound() {
        let config = MiniConfig::default();
        let scene = Scene::new(&config, Split::SourceTrain, 3).unwrap();
        assert_eq!(scene.flow_count(), scene.frame_count() - 1);
        let bound = 20.0 * 48.0 / 256.0;
        let mut moving = 0;
        for frame in 0..20 {
            let (bytes, motion) = (scene.flow(frame), scene.motion(frame));
            for (i, m) in motion.iter().enumerate() {
                for c in 0..2 {
                    let back = f32::from(bytes[c][i]) / 255.0 * 2.0 * bound - bound;
                    assert!((back - m[c].clamp(-bound, bound)).abs() <= bound / 255.0 + 1e-5);
                    assert!(m[c] != 0.0 || bytes[c][i] == 128);
                }
                moving += usize::from(m[0] != 0.0);
            }
        }
        assert!(moving > 1000, "{moving}");
    }
}

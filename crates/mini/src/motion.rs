//! The twelve actions, and the movements around them, as joint angles over the phase of a cycle.

use std::f32::consts::{PI, TAU};

use crate::pose::Pose;
use crate::stream::Stream;

/// The twelve actions, in the order of their labels. Several differ only in order or tempo: bend
/// and pick up, squat and jump, throw, punch, cleaning and clapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// Crouch, leap with raised arms, land.
    Jump,
    /// Run on the spot or across the picture.
    Run,
    /// Reach back, swing the arm over the shoulder and let go.
    Throw,
    /// Draw a leg back and swing it up.
    Kick,
    /// Bow down and up again with hanging arms.
    Bend,
    /// Sway, with arms waving above the head.
    Dance,
    /// Lean forwards and rub a surface with one hand.
    CleanSomething,
    /// Go down on the knees with arms held out, and up again.
    Squat,
    /// Strike with the right and the left fist in turn.
    Punch,
    /// Move on hands and knees.
    Crawl,
    /// Clap hands before the body.
    Clap,
    /// Bow down, take something and come up with bent elbows.
    PickUp,
}

/// Movements before and after the action in source videos.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Filler {
    /// Standing about.
    Idle,
    /// Walking.
    Walk,
    /// A run-up.
    Run,
}

/// How one person's movement differs from another's, apart from offsets and noise of the joints.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Manner {
    /// Factor of how far the joints swing.
    pub amplitude: f32,
    /// How much the knees bend when bowing, 0 to 1.
    pub give: f32,
    /// Phase of a dancer's left side against the right one, in radians.
    pub sway: f32,
}

impl Manner {
    /// Draws a manner with the given amplitude.
    pub(crate) fn draw(amplitude: f32, stream: &mut Stream) -> Self {
        Self {
            amplitude,
            give: stream.uniform(0.1, 0.9),
            sway: stream.pick(&[0.0, PI]) + stream.normal(0.4),
        }
    }

    /// The average manner.
    pub(crate) const PLAIN: Self = Self {
        amplitude: 1.0,
        give: 0.5,
        sway: 0.0,
    };
}

impl Class {
    /// The classes in the order of their labels.
    pub const ALL: [Class; 12] = [
        Class::Jump,
        Class::Run,
        Class::Throw,
        Class::Kick,
        Class::Bend,
        Class::Dance,
        Class::CleanSomething,
        Class::Squat,
        Class::Punch,
        Class::Crawl,
        Class::Clap,
        Class::PickUp,
    ];

    /// The name in lists and file names.
    pub fn name(self) -> &'static str {
        match self {
            Class::Jump => "jump",
            Class::Run => "run",
            Class::Throw => "throw",
            Class::Kick => "kick",
            Class::Bend => "bend",
            Class::Dance => "dance",
            Class::CleanSomething => "clean_something",
            Class::Squat => "squat",
            Class::Punch => "punch",
            Class::Crawl => "crawl",
            Class::Clap => "clap",
            Class::PickUp => "pick_up",
        }
    }

    /// Time of one cycle, in seconds.
    pub(crate) fn cycle_seconds(self) -> f32 {
        match self {
            Class::Clap => 0.5,
            Class::Run => 0.65,
            Class::Punch => 0.8,
            Class::CleanSomething => 1.0,
            Class::Jump | Class::Kick | Class::Crawl => 1.1,
            Class::Throw | Class::Dance => 1.3,
            Class::Squat => 1.7,
            Class::Bend | Class::PickUp => 1.9,
        }
    }

    /// Whether the action is cyclic; otherwise it has a beginning and an end.
    pub(crate) fn cyclic(self) -> bool {
        matches!(
            self,
            Class::Run | Class::Crawl | Class::CleanSomething | Class::Clap | Class::Dance | Class::Punch
        )
    }

    /// Largest speed over the ground in source and in target videos, in body heights a second;
    /// 0 for actions on the spot.
    pub(crate) fn speed(self) -> Speed {
        match self {
            Class::Run => Speed {
                source: 0.6,
                target: 0.5,
            },
            Class::Crawl => Speed {
                source: 0.22,
                target: 0.2,
            },
            _ => Speed {
                source: 0.0,
                target: 0.0,
            },
        }
    }

    /// What typically comes before the action.
    pub(crate) fn typical_lead(self) -> Filler {
        match self {
            Class::Jump | Class::Throw | Class::Kick => Filler::Run,
            Class::CleanSomething | Class::PickUp => Filler::Walk,
            _ => Filler::Idle,
        }
    }

    /// The pose at `phase` (in cycles; only the fraction counts for one-shot actions).
    pub(crate) fn pose(self, phase: f32, manner: Manner) -> Pose {
        let Manner {
            amplitude: a,
            give,
            sway,
        } = manner;
        let p = phase.rem_euclid(1.0);
        let (s, c) = (TAU * p).sin_cos();
        match self {
            Class::Jump => {
                let crouch = bump(p, 0.2, 0.12) + 0.7 * bump(p, 0.87, 0.09);
                let air = ((p - 0.36) / 0.4).clamp(0.0, 1.0);
                let (back, up) = (bump(p, 0.2, 0.12), bump(p, 0.55, 0.2));
                Pose {
                    lean: 28.0 * crouch,
                    hip: [60.0 * crouch * a, 55.0 * crouch * a],
                    knee: [105.0 * crouch * a, 100.0 * crouch * a],
                    flight: 0.30 * a * 4.0 * air * (1.0 - air),
                    shoulder: [150.0 * up - 45.0 * back, 145.0 * up - 45.0 * back],
                    elbow: [15.0; 2],
                    ..Pose::default()
                }
            }
            Class::Run => run(s, c, a),
            Class::Throw => {
                let at = [0.0, 0.25, 0.52, 0.66, 0.8, 1.0];
                let key = |values: [f32; 6]| interpolate(p, &at, &values);
                Pose {
                    // The arm goes once round: -360 degrees is the initial angle.
                    shoulder: [
                        key([0.0, -60.0, -140.0, -272.0, -335.0, -360.0]),
                        key([0.0, 30.0, 60.0, -10.0, -5.0, 0.0]),
                    ],
                    elbow: [key([10.0, 50.0, 90.0, 8.0, 10.0, 10.0]), 15.0],
                    lean: a * key([0.0, -12.0, -15.0, 26.0, 15.0, 0.0]),
                    hip: [
                        a * key([0.0, -8.0, -12.0, -25.0, -12.0, 0.0]),
                        a * key([0.0, 10.0, 22.0, 26.0, 10.0, 0.0]),
                    ],
                    knee: [0.0, key([0.0, 5.0, 25.0, 15.0, 5.0, 0.0])],
                    ..Pose::default()
                }
            }
            Class::Kick => {
                let at = [0.0, 0.3, 0.5, 0.7, 1.0];
                let key = |values: [f32; 5]| interpolate(p, &at, &values);
                Pose {
                    hip: [a * key([0.0, -35.0, 95.0, 40.0, 0.0]), 0.0],
                    knee: [key([0.0, 75.0, 5.0, 35.0, 0.0]), 6.0],
                    lean: a * key([0.0, 10.0, -20.0, -6.0, 0.0]),
                    shoulder: [key([0.0, 35.0, -40.0, -10.0, 0.0]), key([0.0, -30.0, 50.0, 12.0, 0.0])],
                    elbow: [20.0; 2],
                    ..Pose::default()
                }
            }
            Class::Bend => Pose {
                lean: 85.0 * depth(p, 1.4) * a,
                elbow: [8.0; 2],
                ..bow(p, give)
            },
            Class::PickUp => {
                // The elbows flex only after the lowest point and stretch again at the very end.
                let held = ((1.0 - p) / 0.06).clamp(0.0, 1.0) / (1.0 + (-(p - 0.52) / 0.03).exp());
                let bow = bow(p, give);
                Pose {
                    lean: 80.0 * depth(p, 1.4) * a,
                    shoulder: bow.shoulder.map(|angle| angle + 10.0 * held),
                    elbow: [8.0 + 95.0 * held, 8.0 + 90.0 * held],
                    ..bow
                }
            }
            Class::Dance => {
                let s2 = (TAU * p + sway).sin();
                let double = (2.0 * TAU * p).sin();
                Pose {
                    shoulder: [110.0 + 60.0 * s * a, 110.0 + 60.0 * s2 * a],
                    elbow: [40.0 + 40.0 * double, 40.0 - 40.0 * double],
                    lean: 13.0 * s * a,
                    hip: [12.0 + 18.0 * s, -12.0 + 18.0 * s2],
                    knee: [22.0 + 20.0 * c, 22.0 - 20.0 * c],
                    travel: 0.10 * s,
                    ..Pose::default()
                }
            }
            Class::CleanSomething => Pose {
                lean: 30.0 * a,
                shoulder: [65.0 + 28.0 * s * a, 20.0],
                elbow: [40.0 + 35.0 * c * a, 25.0],
                hip: [10.0, -12.0],
                knee: [15.0, 12.0],
                ..Pose::default()
            },
            Class::Squat => {
                let d = depth(p, 1.6) * a;
                Pose {
                    lean: 32.0 * d,
                    hip: [80.0 * d, 74.0 * d],
                    knee: [135.0 * d, 128.0 * d],
                    shoulder: [75.0 * d, 70.0 * d],
                    elbow: [8.0; 2],
                    ..Pose::default()
                }
            }
            Class::Punch => {
                let fist = [bump(p, 0.25, 0.10), bump(p, 0.75, 0.10)];
                Pose {
                    lean: 8.0 + 6.0 * (fist[0] + fist[1]),
                    shoulder: fist.map(|out| 35.0 + 55.0 * out),
                    elbow: fist.map(|out| 115.0 - 110.0 * out),
                    hip: [-14.0, 16.0],
                    knee: [8.0, 14.0],
                    ..Pose::default()
                }
            }
            Class::Crawl => Pose {
                lean: 82.0 + 3.0 * s,
                shoulder: [6.0 + 24.0 * s * a, 6.0 - 24.0 * s * a],
                elbow: [5.0; 2],
                hip: [12.0 - 22.0 * s * a, 12.0 + 22.0 * s * a],
                knee: [98.0; 2],
                ..Pose::default()
            },
            Class::Clap => {
                let apart = (PI * p).sin().abs();
                Pose {
                    shoulder: [72.0 + 48.0 * apart * a, 72.0 - 48.0 * apart * a],
                    elbow: [22.0; 2],
                    lean: 2.0 * s,
                    hip: [5.0, -5.0],
                    ..Pose::default()
                }
            }
        }
    }
}

/// Largest speed over the ground, in body heights a second.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Speed {
    /// In source videos.
    pub source: f32,
    /// In target videos.
    pub target: f32,
}

impl Filler {
    /// Time of one cycle, in seconds.
    pub(crate) fn cycle_seconds(self) -> f32 {
        match self {
            Filler::Idle => 2.5,
            Filler::Walk => 1.0,
            Filler::Run => 0.65,
        }
    }

    /// The pose at `phase`, in cycles.
    pub(crate) fn pose(self, phase: f32) -> Pose {
        let (s, c) = (TAU * phase).sin_cos();
        match self {
            Filler::Idle => Pose {
                shoulder: [4.0 + 2.0 * s, -4.0 + 2.0 * c],
                elbow: [10.0; 2],
                hip: [4.0, -4.0],
                ..Pose::default()
            },
            Filler::Walk => Pose {
                lean: 4.0,
                shoulder: [-22.0 * s, 22.0 * s],
                elbow: [12.0; 2],
                hip: [25.0 * s, -25.0 * s],
                knee: [12.0 + 28.0 * (-c).max(0.0), 12.0 + 28.0 * c.max(0.0)],
                ..Pose::default()
            },
            Filler::Run => run(s, c, Manner::PLAIN.amplitude),
        }
    }
}

/// Running, from sine and cosine of the phase.
fn run(s: f32, c: f32, a: f32) -> Pose {
    Pose {
        lean: 12.0 * a,
        shoulder: [-50.0 * s * a, 50.0 * s * a],
        elbow: [80.0; 2],
        hip: [15.0 + 45.0 * s * a, 15.0 - 45.0 * s * a],
        knee: [30.0 + 70.0 * (-c).max(0.0) * a, 30.0 + 70.0 * c.max(0.0) * a],
        flight: 0.04 * c.abs(),
        ..Pose::default()
    }
}

/// Arms and legs of someone bowing down: what bending and picking up share.
fn bow(p: f32, give: f32) -> Pose {
    let d = depth(p, 1.4);
    Pose {
        shoulder: [12.0 * d, 5.0 * d],
        hip: [-6.0 * d + give * 25.0 * d, -8.0 * d + give * 22.0 * d],
        knee: [give * 45.0 * d, give * 42.0 * d],
        ..Pose::default()
    }
}

/// From 0 at the ends of a cycle to 1 in its middle.
fn depth(p: f32, power: f32) -> f32 {
    (PI * p).sin().max(0.0).powf(power)
}

/// A bell of the given width about `centre`.
fn bump(p: f32, centre: f32, width: f32) -> f32 {
    (-((p - centre) / width).powi(2)).exp()
}

/// Piecewise linear through the points (`at`, `values`).
fn interpolate(p: f32, at: &[f32], values: &[f32]) -> f32 {
    let right = at.iter().position(|&x| p < x).unwrap_or(at.len() - 1).max(1);
    let weight = ((p - at[right - 1]) / (at[right] - at[right - 1])).clamp(0.0, 1.0);
    values[right - 1] + (values[right] - values[right - 1]) * weight
}

#[cfg(test)]
mod tests {
    use super::*;

    fn distance(mut a: Pose, mut b: Pose) -> f32 {
        // A full turn of a joint is no movement.
        a.angles_mut()
            .into_iter()
            .zip(b.angles_mut())
            .map(|(a, b)| (*a - *b + 180.0).rem_euclid(360.0) - 180.0)
            .fold(0.0, |most: f32, difference| most.max(difference.abs()))
    }

    #[test]
    fn cycles_close() {
        for class in Class::ALL {
            let gap = distance(class.pose(0.0, Manner::PLAIN), class.pose(0.9999, Manner::PLAIN));
            // A jump ends with the landing; the bell of its crouch has not quite faded.
            let allowed = if class == Class::Jump { 20.0 } else { 1.0 };
            assert!(gap < allowed, "{} jumps by {gap} degrees", class.name());
        }
    }

    #[test]
    fn classes_differ_somewhere_in_the_cycle() {
        for (i, a) in Class::ALL.into_iter().enumerate() {
            for b in Class::ALL.into_iter().skip(i + 1) {
                let most = (0..40)
                    .map(|t| t as f32 / 40.0)
                    .map(|p| distance(a.pose(p, Manner::PLAIN), b.pose(p, Manner::PLAIN)))
                    .fold(0.0, f32::max);
                assert!(
                    most > 30.0,
                    "{} and {} differ by {most} degrees at most",
                    a.name(),
                    b.name()
                );
            }
        }
    }

    #[test]
    fn bend_and_pick_up_share_the_way_down() {
        for p in [0.1, 0.2, 0.3, 0.4] {
            let (bend, pick_up) = (Class::Bend.pose(p, Manner::PLAIN), Class::PickUp.pose(p, Manner::PLAIN));
            assert!(distance(bend, pick_up) < 8.0, "at {p}");
        }
        let up = |class: Class| class.pose(0.7, Manner::PLAIN).elbow[0];
        assert!(up(Class::PickUp) - up(Class::Bend) > 80.0);
    }

    #[test]
    fn interpolates_between_and_beyond_points() {
        let (at, values) = ([0.0, 0.5, 1.0], [2.0, 4.0, 0.0]);
        for (p, expected) in [
            (-1.0, 2.0),
            (0.0, 2.0),
            (0.25, 3.0),
            (0.5, 4.0),
            (0.75, 2.0),
            (1.0, 0.0),
            (2.0, 0.0),
        ] {
            assert_eq!(interpolate(p, &at, &values), expected, "at {p}");
        }
    }
}

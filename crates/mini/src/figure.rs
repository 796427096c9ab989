//! The body's parts and clothes.

use crate::background::lattice_noise;
use crate::raster::{Picture, Rgb, hsv};
use crate::skeleton::{Joints, Point};
use crate::stream::Stream;

/// No part is thinner than this, in pixels, because thinner lines would break up.
const THINNEST: f32 = 0.75;

/// A part of the body: the points within a distance of a segment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Part {
    pub a: Point,
    pub b: Point,
    /// In pixels.
    pub radius: f32,
    pub colour: Rgb,
}

/// Colours and cloth of one person.
#[derive(Debug, Clone)]
pub(crate) struct Figure {
    torso: Rgb,
    thighs: Rgb,
    skin: Rgb,
    sleeves: Rgb,
    shins: Rgb,
    /// Factor of the colours of the far side's arm and leg.
    far: f32,
    /// Light and dark spots of the cloth, a value for every pixel of the frame.
    cloth: Option<Vec<f32>>,
}

impl Figure {
    /// Someone in dark, coloured, slightly patterned clothes; sleeves and trousers may be short.
    pub(crate) fn clothed(size: usize, stream: &mut Stream) -> Self {
        let garment = |stream: &mut Stream| hsv(stream.unit(), stream.uniform(0.1, 0.8), stream.uniform(0.08, 0.42));
        let skin = hsv(
            stream.uniform(0.04, 0.09),
            stream.uniform(0.3, 0.6),
            stream.uniform(0.25, 0.5),
        );
        let torso = garment(stream);
        let thighs = garment(stream);
        let sleeves = if stream.chance(0.6) { torso } else { skin };
        let shins = if stream.chance(0.7) { thighs } else { skin };
        let mut cloth = lattice_noise(size, 16, stream);
        cloth
            .iter_mut()
            .for_each(|value| *value = 0.12 * *value + stream.normal(0.06));
        Self {
            torso,
            thighs,
            skin,
            sleeves,
            shins,
            far: 0.75,
            cloth: Some(cloth),
        }
    }

    /// The uniform grey body of rendered motion capture.
    pub(crate) fn grey(stream: &mut Stream) -> Self {
        let grey = stream.uniform(80.0, 110.0);
        let colour = [0.97 * grey, grey, 1.05 * grey];
        Self {
            torso: colour,
            thighs: colour,
            skin: colour,
            sleeves: colour,
            shins: colour,
            far: 0.85,
            cloth: None,
        }
    }

    /// Draws the body, far side first; `scale` is its height in pixels.
    pub(crate) fn draw(&self, picture: &mut Picture, joints: &Joints, scale: f32) {
        for Part { a, b, radius, colour } in self.parts(joints, scale) {
            picture.capsule(a, b, radius, colour, self.cloth.as_deref());
        }
    }

    /// The parts of the body in the order in which they cover each other.
    pub(crate) fn parts(&self, joints: &Joints, scale: f32) -> [Part; 11] {
        let shade = |colour: Rgb, factor: f32| colour.map(|value| value * factor);
        let part = |a: Point, b: Point, radius: f32, colour: Rgb| Part {
            a,
            b,
            radius: (radius * scale).max(THINNEST),
            colour,
        };
        let j = joints;
        let (near, far) = (0, 1);
        [
            part(j.shoulders, j.elbow[far], 0.030, shade(self.sleeves, self.far)),
            part(j.elbow[far], j.hand[far], 0.027, shade(self.skin, self.far)),
            part(j.pelvis, j.knee[far], 0.046, shade(self.thighs, self.far)),
            part(j.knee[far], j.foot[far], 0.034, shade(self.shins, self.far)),
            part(j.pelvis, j.neck, 0.066, self.torso),
            part(j.neck, j.neck, 0.040, self.skin),
            part(j.head, j.head, 0.072, self.skin),
            part(j.pelvis, j.knee[near], 0.046, self.thighs),
            part(j.knee[near], j.foot[near], 0.034, self.shins),
            part(j.shoulders, j.elbow[near], 0.030, self.sleeves),
            part(j.elbow[near], j.hand[near], 0.027, self.skin),
        ]
    }
}

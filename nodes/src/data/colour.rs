//! Changes of colour of frames of 8-bit RGB, to the bit those of torchvision on tensors of bytes: every change computes in
//! 32-bit floats and cuts its result down to a byte.

/// A change of every pixel of a frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Change {
    /// Every byte times a factor.
    Brightness(f64),
    /// Away from (above 1) or towards the mean grey of the frame.
    Contrast(f64),
    /// Away from (above 1) or towards the grey of the pixel.
    Saturation(f64),
    /// The hue moved on by a share of the circle.
    Hue(f64),
    /// The grey of the pixel in all three channels.
    Grey,
}

impl Change {
    /// Changes a frame, `[H,W,3]`.
    pub(super) fn apply(self, frame: &mut [u8]) {
        let (pixels, _) = frame.as_chunks_mut::<3>();
        match self {
            Change::Brightness(f) => table(frame, |x| blend(f, x, 0.0)),
            Change::Contrast(f) => {
                let sum: u64 = pixels.iter().map(|p| u64::from(grey(*p))).sum();
                let mean = sum as f64 / pixels.len().max(1) as f64;
                table(frame, |x| blend(f, x, mean as f32));
            }
            Change::Saturation(f) => pixels.iter_mut().for_each(|p| {
                let g = f32::from(grey(*p));
                *p = p.map(|x| blend(f, x, g));
            }),
            Change::Hue(f) => pixels.iter_mut().for_each(|p| *p = turned(*p, f as f32)),
            Change::Grey => pixels.iter_mut().for_each(|p| *p = [grey(*p); 3]),
        }
    }
}

/// Every byte by a table of `change`.
fn table(frame: &mut [u8], change: impl Fn(u8) -> u8) {
    let table: [u8; 256] = std::array::from_fn(|x| change(x as u8));
    frame.iter_mut().for_each(|x| *x = table[usize::from(*x)]);
}

/// f·x + (1 − f)·y.
fn blend(f: f64, x: u8, y: f32) -> u8 {
    (f as f32 * f32::from(x) + (1.0 - f) as f32 * y).clamp(0.0, 255.0) as u8
}

/// The luma of ITU-R BT.601. Its weights add up to 0.9999, so that white becomes 254.
fn grey([r, g, b]: [u8; 3]) -> u8 {
    (0.2989 * f32::from(r) + 0.587 * f32::from(g) + 0.114 * f32::from(b)) as u8
}

/// The pixel with its hue moved on by `f` of the circle: RGB to HSV and back.
fn turned(pixel: [u8; 3], f: f32) -> [u8; 3] {
    let [r, g, b] = pixel.map(|x| f32::from(x) / 255.0);
    let (most, least) = (r.max(g).max(b), r.min(g).min(b));
    let range = most - least;
    // A grey has no hue; whatever is taken for it, saturation 0 gives the grey again.
    let (saturation, under) = if range == 0.0 {
        (0.0, 1.0)
    } else {
        (range / most, range)
    };
    let [from_r, from_g, from_b] = [r, g, b].map(|x| (most - x) / under);
    let sector = if most == r {
        from_b - from_g
    } else if most == g {
        2.0 + from_r - from_b
    } else {
        4.0 + from_g - from_r
    };
    let hue = wrapped(wrapped(sector / 6.0 + 1.0) + f);
    let at = (hue * 6.0).floor();
    let part = hue * 6.0 - at;
    let [low, falling, rising] =
        [saturation, saturation * part, saturation * (1.0 - part)].map(|s| (most * (1.0 - s)).clamp(0.0, 1.0));
    let rgb = match at as u32 % 6 {
        0 => [most, rising, low],
        1 => [falling, most, low],
        2 => [low, most, rising],
        3 => [low, falling, most],
        4 => [rising, low, most],
        _ => [most, low, falling],
    };
    rgb.map(|x| (x * 255.999) as u8)
}

/// The part of a turn that `x` is, from −1 to 2: exact, as a remainder is.
fn wrapped(x: f32) -> f32 {
    if x >= 1.0 {
        x - 1.0
    } else if x < 0.0 {
        x + 1.0
    } else {
        x
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    /// Frames and what torchvision makes of them: `tools/parity/colour.py`.
    fn table() -> Value {
        serde_json::from_str(include_str!("golden/colour.json")).unwrap()
    }

    fn bytes(v: &Value) -> Vec<u8> {
        v.as_array()
            .unwrap()
            .iter()
            .map(|b| b.as_u64().unwrap() as u8)
            .collect()
    }

    fn changed(change: Change, frame: &[u8]) -> Vec<u8> {
        let mut frame = frame.to_vec();
        change.apply(&mut frame);
        frame
    }

    #[test]
    fn every_change_is_torchvisions_to_the_bit() {
        let table = table();
        let frames: Vec<Vec<u8>> = table["frames"].as_array().unwrap().iter().map(bytes).collect();
        let mut checked = 0;
        for row in table["cases"].as_array().unwrap() {
            let f = row["factor"].as_f64().unwrap_or_default();
            let change = match row["change"].as_str().unwrap() {
                "brightness" => Change::Brightness(f),
                "contrast" => Change::Contrast(f),
                "saturation" => Change::Saturation(f),
                "hue" => Change::Hue(f),
                "grey" => Change::Grey,
                other => panic!("{other}"),
            };
            let frame = &frames[row["frame"].as_u64().unwrap() as usize];
            assert_eq!(changed(change, frame), bytes(&row["out"]), "{change:?} of {frame:?}");
            checked += 1;
        }
        assert!(checked >= 50, "{checked}");
    }

    /// Hue, saturation and value in double precision, from the corners of the colour cone.
    fn hsv(rgb: [f64; 3]) -> (f64, f64, f64) {
        let (max, min) = (
            rgb.iter().copied().fold(0.0, f64::max),
            rgb.iter().copied().fold(1.0, f64::min),
        );
        let angle = rgb
            .iter()
            .zip([0.0f64, 120.0, 240.0])
            .fold((0.0, 0.0), |(x, y), (v, degrees)| {
                let at = degrees.to_radians();
                (x + v * at.cos(), y + v * at.sin())
            });
        // The hexagon's hue from the two sorted differences, not from the circle's angle, which only gives the sector.
        let degrees = angle.1.atan2(angle.0).to_degrees().rem_euclid(360.0);
        let sector = (degrees / 60.0).floor().min(5.0) as usize;
        let mut sorted = rgb;
        sorted.sort_by(f64::total_cmp);
        let rest = if max == min {
            0.0
        } else {
            (sorted[1] - min) / (max - min)
        };
        let hue = sector as f64 + if sector.is_multiple_of(2) { rest } else { 1.0 - rest };
        (hue / 6.0, if max == 0.0 { 0.0 } else { (max - min) / max }, max)
    }

    /// The byte of value `v` at `60·k` degrees around: f(k) = v − v·s·max(0, min(k, 4 − k, 1)), k = (n + 6h) mod 6.
    fn rgb((h, s, v): (f64, f64, f64)) -> [f64; 3] {
        [5.0, 3.0, 1.0].map(|n| {
            let k = (n + 6.0 * h).rem_euclid(6.0);
            v - v * s * 0f64.max(k.min(4.0 - k).min(1.0))
        })
    }

    #[test]
    fn every_change_is_its_closed_form_within_a_byte() {
        let frame: Vec<u8> = (0..3 * 500u32).map(|i| (i * 7919 % 4093 % 256) as u8).collect();
        let pixels: Vec<[f64; 3]> = frame.chunks(3).map(|p| [p[0], p[1], p[2]].map(f64::from)).collect();
        let luma = |p: &[f64; 3]| (0.2989 * p[0] + 0.587 * p[1] + 0.114 * p[2]).floor();
        let mean = pixels.iter().map(luma).sum::<f64>() / pixels.len() as f64;
        let near = |change: Change, want: &dyn Fn(&[f64; 3]) -> [f64; 3]| {
            let out = changed(change, &frame);
            for (o, p) in out.chunks(3).zip(&pixels) {
                for (o, w) in o.iter().zip(want(p)) {
                    let gap = w.clamp(0.0, 255.0) - f64::from(*o);
                    // cut down to a byte: never above, and by less than one
                    assert!((-0.01..1.01).contains(&gap), "{change:?} of {p:?}: {o}, {w}");
                }
            }
        };
        for f in [0.0, 0.3, 0.85, 1.15, 2.7] {
            near(Change::Brightness(f), &|p| p.map(|x| f * x));
            near(Change::Contrast(f), &|p| p.map(|x| f * x + (1.0 - f) * mean));
            near(Change::Saturation(f), &|p| p.map(|x| f * x + (1.0 - f) * luma(p)));
        }
        near(Change::Grey, &|p| [luma(p); 3]);
        for f in [-0.5, -0.17, -0.05, 0.0, 0.05, 0.31, 0.5] {
            near(Change::Hue(f), &|p| {
                let (h, s, v) = hsv(p.map(|x| x / 255.0));
                rgb((h + f, s, v)).map(|x| x * 255.999)
            });
        }
    }

    #[test]
    fn pixels_worked_out_by_hand() {
        let one = |change, pixel: [u8; 3]| changed(change, &pixel);
        assert_eq!(one(Change::Brightness(1.5), [10, 101, 200]), [15, 151, 255]);
        // red, a third on: green; a half on: cyan
        assert_eq!(one(Change::Hue(1.0 / 3.0), [255, 0, 0]), [0, 255, 0]);
        assert_eq!(one(Change::Hue(0.5), [255, 0, 0]), [0, 255, 255]);
        assert_eq!(one(Change::Hue(0.25), [77, 77, 77]), [77, 77, 77]);
        // 0.2989·100 + 0.587·50 + 0.114·200 = 82.04
        assert_eq!(one(Change::Grey, [100, 50, 200]), [82, 82, 82]);
        assert_eq!(one(Change::Saturation(0.5), [100, 50, 200]), [91, 66, 141]);
        // of a frame of one pixel the mean is its grey
        assert_eq!(one(Change::Contrast(2.0), [100, 50, 200]), [118, 18, 255]);
        assert_eq!(one(Change::Grey, [255, 255, 255]), [254, 254, 254]);
    }

    #[test]
    fn nothing_is_changed_by_the_neutral_factors() {
        let all: Vec<u8> = (0..=255u8)
            .flat_map(|x| [x, x.wrapping_mul(37), x.wrapping_add(90)])
            .collect();
        for neutral in [
            Change::Brightness(1.0),
            Change::Contrast(1.0),
            Change::Saturation(1.0),
            Change::Hue(0.0),
        ] {
            assert_eq!(changed(neutral, &all), all, "{neutral:?}");
        }
    }
}

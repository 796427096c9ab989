//! From decoded planes to RGB.
//!
//! One conversion for everything that decodes to 8-bit planes with halved chroma, whichever backend decodes
//! it, so that a frame's bytes do not depend on the backend or the machine. It is swscale's, bit
//! for bit: what its x86 code computes for a picture of unchanged size without `accurate_rnd`, which
//! is what PyAV, torchcodec, decord and OpenCV return, and so what the field's models were
//! trained on. Each chroma sample covers 2×2 pixels; products are truncated to 16 bits before
//! they are added, so that channels differ by up to 3 levels from exact arithmetic, mostly downwards.

use crate::RgbFrame;

/// How Y, Cb and Cr become RGB.
///
/// The bitstream's description (VUI, H.264 annex E) is used; what it leaves open is interpreted as in
/// ffmpeg: limited range, and the matrix of BT.601 for every picture size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Colour {
    pub full_range: bool,
    /// `matrix_coefficients` of table E-5; 2 is "unspecified".
    pub matrix: u8,
}

impl Colour {
    pub(crate) const UNSPECIFIED: Self = Self {
        full_range: false,
        matrix: 2,
    };

    /// Cr to R, Cb to B, Cb to G and Cr to G (both negative), for full range, in 2^-16.
    fn inverse_matrix(self) -> Option<[i32; 4]> {
        Some(match self.matrix {
            1 => [117_489, 138_438, 13_975, 34_925],             // BT.709
            2 | 3 | 5 | 6 => [104_597, 132_201, 25_675, 53_279], // BT.601
            4 => [104_448, 132_798, 24_759, 53_109],             // FCC
            7 => [117_579, 136_230, 16_907, 35_559],             // SMPTE 240M
            9 | 10 => [110_013, 140_363, 12_277, 42_626],        // BT.2020
            _ => return None,
        })
    }

    /// Whether the matrix can be converted: not coded RGB, not YCgCo.
    pub(crate) fn is_supported(self) -> bool {
        self.inverse_matrix().is_some()
    }
}

/// The window of a decoded picture that is shown, in luma pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Window {
    pub left: usize,
    pub top: usize,
    pub width: usize,
    pub height: usize,
}

/// Three planes of a picture, 8 bits a sample, from the top left pixel on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Planes<'a> {
    /// Width and height in luma pixels.
    pub size: (usize, usize),
    pub planes: [&'a [u8]; 3],
    /// Bytes from one row to the next.
    pub strides: [usize; 3],
    /// Rows of luma to one of chroma: 2 in 4:2:0, 1 in 4:2:2.
    pub rows_per_chroma: usize,
}

/// Converts the window of a picture. `left` and `top` are even (4:2:0 crops in pairs).
/// The error is a sentence fragment.
pub(crate) fn to_rgb(picture: Planes<'_>, window: Window, colour: Colour) -> Result<RgbFrame, String> {
    let Window {
        left,
        top,
        width,
        height,
    } = window;
    let (has_width, has_height) = picture.size;
    let announced = || {
        format!(
            "the decoder gave a picture of {has_width}x{has_height} pixels where {}x{} were announced",
            left + width,
            top + height
        )
    };
    if left + width > has_width || top + height > has_height || width == 0 || height == 0 {
        return Err(announced());
    }
    let factors = Factors::of(colour).ok_or_else(|| format!("colour matrix {} is not supported", colour.matrix))?;
    let row = |plane: usize, y: usize, from: usize, length: usize| {
        let start = y * picture.strides[plane] + from;
        picture.planes[plane].get(start..start + length).ok_or_else(announced)
    };
    let mut rgb = vec![0; width * height * 3];
    for (y, out) in rgb.chunks_exact_mut(width * 3).enumerate() {
        let y = top + y;
        let chroma = y / picture.rows_per_chroma;
        convert_row(
            row(0, y, left, width)?,
            row(1, chroma, left / 2, width.div_ceil(2))?,
            row(2, chroma, left / 2, width.div_ceil(2))?,
            out,
            &factors,
        );
    }
    Ok(RgbFrame::of(width, height, rgb))
}

/// The constants of the conversion: samples count in eighths, factors in 2^-13.
struct Factors {
    luma_offset: i16,
    luma: i16,
    red_cr: i16,
    blue_cb: i16,
    green_cb: i16,
    green_cr: i16,
}

impl Factors {
    fn of(colour: Colour) -> Option<Self> {
        let factor = |f: i32| ((i64::from(f) * (1 << 13) + (1 << 15)) >> 16) as i16;
        let [red_cr, blue_cb, green_cb, green_cr] = colour.inverse_matrix()?;
        // The matrices are for limited-range chroma.
        let chroma = |f: i32| factor(if colour.full_range { f * 224 / 255 } else { f });
        Some(Self {
            luma_offset: if colour.full_range { 0 } else { 16 << 3 },
            luma: factor(if colour.full_range {
                1 << 16
            } else {
                (1 << 16) * 255 / 219
            }),
            red_cr: chroma(red_cr),
            blue_cb: chroma(blue_cb),
            green_cb: chroma(-green_cb),
            green_cr: chroma(-green_cr),
        })
    }
}

/// Pixels that are converted together.
const LANES: usize = 32;

fn convert_row(y: &[u8], u: &[u8], v: &[u8], out: &mut [u8], factors: &Factors) {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: AVX2 is available.
        return unsafe { convert_row_avx2(y, u, v, out, factors) };
    }
    convert_row_by(y, u, v, out, factors, interleave);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn convert_row_avx2(y: &[u8], u: &[u8], v: &[u8], out: &mut [u8], factors: &Factors) {
    convert_row_by(y, u, v, out, factors, |rgb, out| interleave_avx2(rgb, out));
}

/// A block of each channel.
type Channels = [[u8; LANES]; 3];

#[inline(always)]
fn convert_row_by(
    y: &[u8],
    u: &[u8],
    v: &[u8],
    out: &mut [u8],
    factors: &Factors,
    interleave: impl Fn(&Channels, &mut [u8; LANES * 3]),
) {
    let (y, y_rest) = y.as_chunks::<LANES>();
    let (out, out_rest) = out.as_chunks_mut::<{ LANES * 3 }>();
    let (u, u_rest) = u.split_at(y.len() * LANES / 2);
    let (v, v_rest) = v.split_at(y.len() * LANES / 2);
    let (u, _) = u.as_chunks::<{ LANES / 2 }>();
    let (v, _) = v.as_chunks::<{ LANES / 2 }>();
    for (((y, u), v), out) in y.iter().zip(u).zip(v).zip(out) {
        interleave(&convert_block(y, u, v, factors), out);
    }
    if !y_rest.is_empty() {
        let (mut y, mut u, mut v) = ([0; LANES], [0; LANES / 2], [0; LANES / 2]);
        y[..y_rest.len()].copy_from_slice(y_rest);
        u[..u_rest.len()].copy_from_slice(u_rest);
        v[..v_rest.len()].copy_from_slice(v_rest);
        let mut block = [0; LANES * 3];
        interleave(&convert_block(&y, &u, &v, factors), &mut block);
        out_rest.copy_from_slice(&block[..out_rest.len()]);
    }
}

#[inline(always)]
fn convert_block(y: &[u8; LANES], u: &[u8; LANES / 2], v: &[u8; LANES / 2], f: &Factors) -> Channels {
    let product = |a: i16, b: i16| ((i32::from(a) * i32::from(b)) >> 16) as i16;
    let byte = |v: i16| v.clamp(0, 255) as u8;
    // Each chroma sample covers two pixels.
    let (mut red, mut green, mut blue) = ([0i16; LANES], [0i16; LANES], [0i16; LANES]);
    for i in 0..LANES / 2 {
        let (cb, cr) = ((i16::from(u[i]) - 128) << 3, (i16::from(v[i]) - 128) << 3);
        let (r, g, b) = (
            product(cr, f.red_cr),
            product(cb, f.green_cb) + product(cr, f.green_cr),
            product(cb, f.blue_cb),
        );
        (red[2 * i], red[2 * i + 1]) = (r, r);
        (green[2 * i], green[2 * i + 1]) = (g, g);
        (blue[2 * i], blue[2 * i + 1]) = (b, b);
    }
    let mut out = [[0u8; LANES]; 3];
    for i in 0..LANES {
        let luma = product((i16::from(y[i]) << 3) - f.luma_offset, f.luma);
        out[0][i] = byte(luma + red[i]);
        out[1][i] = byte(luma + green[i]);
        out[2][i] = byte(luma + blue[i]);
    }
    out
}

#[inline(always)]
fn interleave([r, g, b]: &Channels, out: &mut [u8; LANES * 3]) {
    let (out, _) = out.as_chunks_mut::<3>();
    for (i, pixel) in out.iter_mut().enumerate() {
        *pixel = [r[i], g[i], b[i]];
    }
}

/// Where the bytes of three output vectors come from in one channel: 16 pixels make 48 bytes, and
/// byte `i` of them is channel `i % 3` of pixel `i / 3`. 0x80 leaves a byte zero.
#[cfg(target_arch = "x86_64")]
const SPREAD: [[[u8; 16]; 3]; 3] = {
    let mut out = [[[0x80; 16]; 3]; 3];
    let mut i = 0;
    while i < 48 {
        out[i / 16][i % 3][i % 16] = (i / 3) as u8;
        i += 1;
    }
    out
};

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn interleave_avx2(rgb: &Channels, out: &mut [u8; LANES * 3]) {
    use std::arch::x86_64::{__m128i, _mm_loadu_si128, _mm_or_si128, _mm_shuffle_epi8, _mm_storeu_si128};
    let load = |bytes: &[u8; 16]| {
        // SAFETY: 16 bytes can be read.
        unsafe { _mm_loadu_si128(bytes.as_ptr().cast::<__m128i>()) }
    };
    let (out, _) = out.as_chunks_mut::<16>();
    for half in 0..LANES / 16 {
        let channel = |c: usize| load(&rgb[c].as_chunks::<16>().0[half]);
        let channels = [channel(0), channel(1), channel(2)];
        for (part, spread) in SPREAD.iter().enumerate() {
            let [r, g, b] = [0, 1, 2].map(|c| _mm_shuffle_epi8(channels[c], load(&spread[c])));
            // SAFETY: 16 bytes can be read.
            unsafe {
                _mm_storeu_si128(
                    out[3 * half + part].as_mut_ptr().cast::<__m128i>(),
                    _mm_or_si128(_mm_or_si128(r, g), b),
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 16 x 4 pixels: luma 16 to 235 from left to right; the right half is red, by its chroma.
    struct Picture {
        y: Vec<u8>,
        u: Vec<u8>,
        v: Vec<u8>,
    }

    impl Picture {
        fn new() -> Self {
            let row = [16, 30, 60, 90, 120, 150, 200, 235, 81, 81, 81, 81, 81, 81, 81, 81];
            let chroma = |left: u8, right: u8| (0..16).map(|i| if i % 8 < 4 { left } else { right }).collect();
            Self {
                y: row.repeat(4),
                u: chroma(128, 90),
                v: chroma(128, 240),
            }
        }

        fn planes(&self) -> Planes<'_> {
            Planes {
                size: (16, 4),
                planes: [&self.y, &self.u, &self.v],
                strides: [16, 8, 8],
                rows_per_chroma: 2,
            }
        }
    }

    fn convert(window: Window, colour: Colour) -> RgbFrame {
        to_rgb(Picture::new().planes(), window, colour).unwrap()
    }

    fn window(left: usize, width: usize) -> Window {
        Window {
            left,
            top: 2,
            width,
            height: 2,
        }
    }

    fn limited(matrix: u8) -> Colour {
        Colour {
            full_range: false,
            matrix,
        }
    }

    #[test]
    fn ranges_and_matrices() {
        let grey = convert(window(0, 8), limited(2));
        assert_eq!(grey.pixel(0, 0), [0; 3]);
        // swscale's white.
        assert_eq!(grey.pixel(7, 1), [255; 3]);
        let full = Colour {
            full_range: true,
            matrix: 2,
        };
        let grey = convert(window(0, 8), full);
        assert_eq!(grey.pixel(3, 0), [90; 3]);
        // 81, 90, 240 is pure red in BT.601, which is also the meaning of "unspecified".
        for unspecified in [2, 5, 6] {
            let [r, g, b] = convert(window(8, 8), limited(unspecified)).pixel(4, 0);
            assert!(r >= 253 && g <= 2 && b <= 2, "{r} {g} {b}");
        }
        let [r, g, _] = convert(window(8, 8), limited(1)).pixel(4, 0);
        // BT.709: R = 1.164 (81 - 16) + 1.793 * 112, G = 75.7 + 0.213 * 38 - 0.533 * 112.
        assert!(r == 255 && g.abs_diff(24) <= 2, "{r} {g}");
        let e = to_rgb(Picture::new().planes(), window(0, 8), limited(0)).unwrap_err();
        assert!(e.contains("colour matrix 0 is not supported"), "{e}");
    }

    /// Every luma with some chroma, against arithmetic without rounding. That it matches swscale's to
    /// the bit is tested with the `ffmpeg` feature.
    #[test]
    fn within_three_levels_of_exact_arithmetic() {
        let y: Vec<u8> = (0..=255).collect();
        for (matrix, kr, kb) in [(2, 0.299, 0.114), (1, 0.2126, 0.0722), (9, 0.2627, 0.0593)] {
            for full_range in [false, true] {
                for (cb, cr) in [(128, 128), (30, 200), (240, 16), (100, 140), (255, 0)] {
                    let planes = Planes {
                        size: (256, 1),
                        planes: [&y, &[cb; 128], &[cr; 128]],
                        strides: [256, 128, 128],
                        rows_per_chroma: 2,
                    };
                    let line = Window {
                        left: 0,
                        top: 0,
                        width: 256,
                        height: 1,
                    };
                    let rgb = to_rgb(planes, line, Colour { full_range, matrix }).unwrap();
                    for &luma in &y {
                        let (l, c) = match full_range {
                            true => (f64::from(luma), 255.0 / 255.0),
                            false => ((f64::from(luma) - 16.0) * 255.0 / 219.0, 255.0 / 224.0),
                        };
                        let (pb, pr) = (c * (f64::from(cb) - 128.0), c * (f64::from(cr) - 128.0));
                        let r = l + 2.0 * (1.0 - kr) * pr;
                        let b = l + 2.0 * (1.0 - kb) * pb;
                        let g = (l - kr * r - kb * b) / (1.0 - kr - kb);
                        for (got, want) in rgb.pixel(luma.into(), 0).into_iter().zip([r, g, b]) {
                            let off = f64::from(got) - want.clamp(0.0, 255.0);
                            assert!(
                                off.abs() <= 3.0,
                                "{matrix} {full_range} {luma} {cb} {cr}: {got}, {want}"
                            );
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn the_window_is_cut_out_of_all_planes() {
        let whole = convert(window(0, 16), limited(2));
        for (left, width) in [(6, 6), (4, 5), (0, 1)] {
            let part = convert(window(left, width), limited(2));
            for x in 0..width {
                assert_eq!(part.pixel(x, 1), whole.pixel(x + left, 1));
            }
        }
        let beyond = Window {
            height: 3,
            ..window(10, 6)
        };
        let e = to_rgb(Picture::new().planes(), beyond, limited(2)).unwrap_err();
        assert!(e.contains("were announced"), "{e}");
    }

    #[test]
    fn long_rows_are_the_same_in_every_instruction_set() {
        let sample = |n: usize, k: usize| (0..n).map(|i| ((i * k) >> 3) as u8).collect::<Vec<u8>>();
        for width in [1, 31, 32, 33, 340, 641] {
            let (y, u, v) = (
                sample(width, 77),
                sample(width.div_ceil(2), 251),
                sample(width.div_ceil(2), 509),
            );
            let f = Factors::of(limited(1)).unwrap();
            let (mut a, mut b) = (vec![0; width * 3], vec![0; width * 3]);
            convert_row(&y, &u, &v, &mut a, &f);
            convert_row_by(&y, &u, &v, &mut b, &f, interleave);
            assert_eq!(a, b);
            for x in 0..width {
                let mut pixel = [0; 3];
                convert_row_by(
                    &y[x..=x],
                    &u[x / 2..=x / 2],
                    &v[x / 2..=x / 2],
                    &mut pixel,
                    &f,
                    interleave,
                );
                assert_eq!(pixel, a[3 * x..][..3]);
            }
        }
    }
}

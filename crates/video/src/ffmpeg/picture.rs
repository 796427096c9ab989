//! From libav's pictures to RGB.

use std::slice;

use ffmpeg_next::color::{Range, Space};
use ffmpeg_next::ffi::{sws_getCoefficients, sws_setColorspaceDetails};
use ffmpeg_next::format::Pixel;
use ffmpeg_next::frame;
use ffmpeg_next::software::scaling::{Context, Flags};

use crate::RgbFrame;
use crate::color::{Colour, Planes, Window, to_rgb};

/// Converts the window of a picture. 8-bit 4:2:0 and 4:2:2 use the conversion shared by all backends; other
/// formats, which only this backend reads, use swscale with the flags of PyAV and torchcodec. So do
/// pictures of odd height, for which swscale uses different code than for even ones.
pub(super) fn convert(picture: &frame::Video, window: Window) -> Result<RgbFrame, String> {
    let rows_per_chroma = match picture.format() {
        Pixel::YUV420P | Pixel::YUVJ420P => 2,
        Pixel::YUV422P | Pixel::YUVJ422P => 1,
        _ => return by_swscale(picture, window),
    };
    if picture.height() % 2 == 1 {
        return by_swscale(picture, window);
    }
    match planes(picture, rows_per_chroma) {
        Some(planes) => to_rgb(planes, window, colour(picture)),
        None => by_swscale(picture, window),
    }
}

/// Size of a picture as it is shown.
pub(super) fn size(picture: &frame::Video) -> (usize, usize) {
    (picture.width() as usize, picture.height() as usize)
}

/// The picture's colour description, with ffmpeg's defaults for what it leaves open.
fn colour(picture: &frame::Video) -> Colour {
    let j = matches!(
        picture.format(),
        Pixel::YUVJ420P | Pixel::YUVJ422P | Pixel::YUVJ444P | Pixel::YUVJ440P | Pixel::YUVJ411P
    );
    let matrix = match picture.color_space() {
        Space::BT709 => 1,
        Space::FCC => 4,
        Space::SMPTE240M => 7,
        Space::BT2020NCL => 9,
        Space::BT2020CL => 10,
        _ => Colour::UNSPECIFIED.matrix,
    };
    Colour {
        full_range: j || picture.color_range() == Range::JPEG,
        matrix,
    }
}

/// The planes of a picture, or `None` if its rows run upwards.
fn planes(picture: &frame::Video, rows_per_chroma: usize) -> Option<Planes<'_>> {
    let (width, height) = size(picture);
    let mut planes = [&[][..]; 3];
    let mut strides = [0; 3];
    for i in 0..3 {
        let (width, height) = match i {
            0 => (width, height),
            _ => (width.div_ceil(2), height.div_ceil(rows_per_chroma)),
        };
        // SAFETY: the picture comes from a decoder and has a format with three planes of 8-bit samples.
        let (start, stride) = unsafe { ((*picture.as_ptr()).data[i], (*picture.as_ptr()).linesize[i]) };
        let stride = usize::try_from(stride).ok().filter(|s| *s >= width)?;
        if start.is_null() || height == 0 {
            return None;
        }
        // SAFETY: a plane is `height` rows of at least `width` bytes, `stride` apart, which live
        // as long as the picture.
        planes[i] = unsafe { slice::from_raw_parts(start, stride * (height - 1) + width) };
        strides[i] = stride;
    }
    Some(Planes {
        size: (width, height),
        planes,
        strides,
        rows_per_chroma,
    })
}

fn by_swscale(picture: &frame::Video, window: Window) -> Result<RgbFrame, String> {
    let failed = |e: ffmpeg_next::Error| format!("colour conversion failed: {e}");
    let (width, height) = (picture.width(), picture.height());
    let format = picture.format();
    let mut scaler =
        Context::get(format, width, height, Pixel::RGB24, width, height, Flags::BILINEAR).map_err(failed)?;
    let colour = colour(picture);
    // SAFETY: the context is owned; the tables of coefficients are constants of the library. An
    // negative result means that the format has no such details.
    unsafe {
        let table = sws_getCoefficients(i32::from(colour.matrix));
        sws_setColorspaceDetails(
            scaler.as_mut_ptr(),
            table,
            i32::from(colour.full_range),
            table,
            1,
            0,
            1 << 16,
            1 << 16,
        );
    }
    // Padding after each row: swscale writes eight pixels at a time, and is inexact in a row's last
    // ones if the next row follows directly.
    let mut rgb = frame::Video::new(Pixel::RGB24, width + 16, height);
    rgb.set_width(width);
    scaler.run(picture, &mut rgb).map_err(failed)?;
    let Window {
        left,
        top,
        width,
        height,
    } = window;
    if left + width > rgb.width() as usize || top + height > rgb.height() as usize {
        return Err(format!(
            "the decoder gave a picture of {}x{} pixels where {}x{} were announced",
            rgb.width(),
            rgb.height(),
            left + width,
            top + height
        ));
    }
    let mut out = Vec::with_capacity(width * height * 3);
    for row in rgb.data(0).chunks_exact(rgb.stride(0)).skip(top).take(height) {
        out.extend_from_slice(&row[left * 3..(left + width) * 3]);
    }
    Ok(RgbFrame::of(width, height, out))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A picture of noise.
    fn noise(format: Pixel, width: u32, height: u32, seed: u32) -> frame::Video {
        let mut picture = frame::Video::new(format, width, height);
        let mut state = seed | 1;
        for i in 0..3 {
            for v in picture.data_mut(i) {
                state ^= state << 13;
                state ^= state >> 17;
                state ^= state << 5;
                *v = (state >> 11) as u8;
            }
        }
        picture
    }

    fn whole(picture: &frame::Video) -> Window {
        let (width, height) = size(picture);
        Window {
            left: 0,
            top: 0,
            width,
            height,
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        /// The crate's conversion equals swscale's, bit for bit: at even heights, in every range and
        /// matrix. (swscale's x86 code; elsewhere it differs by up to two levels.)
        #[test]
        fn the_conversion_is_swscales(
            width in 1u32..400,
            half in 1u32..40,
            seed: u32,
            (format, full) in prop_oneof![
                Just((Pixel::YUV420P, false)), Just((Pixel::YUV420P, true)), Just((Pixel::YUVJ420P, true)),
                Just((Pixel::YUV422P, false)), Just((Pixel::YUVJ422P, true)),
            ],
            space in prop_oneof![
                Just(Space::Unspecified), Just(Space::BT709), Just(Space::BT470BG), Just(Space::SMPTE170M),
                Just(Space::FCC), Just(Space::SMPTE240M), Just(Space::BT2020NCL),
            ],
        ) {
            let mut picture = noise(format, width, 2 * half, seed);
            picture.set_color_space(space);
            picture.set_color_range(if full { Range::JPEG } else { Range::MPEG });
            let ours = convert(&picture, whole(&picture)).unwrap();
            let theirs = by_swscale(&picture, whole(&picture)).unwrap();
            let most = if cfg!(target_arch = "x86_64") { 0 } else { 2 };
            let largest = ours.data().iter().zip(theirs.data()).map(|(a, b)| a.abs_diff(*b)).max();
            prop_assert!(largest <= Some(most), "{:?}", largest);
        }
    }
}

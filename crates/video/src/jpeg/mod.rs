//! JPEG files, complete ones only: the decoder stops quietly where a scan ends early, so scans are also counted here.

mod huffman;
mod scan;
mod segments;

use image::metadata::Orientation as Exif;
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use crate::orientation::Orientation;
use crate::{Limits, RgbFrame};

/// Decodes a picture, and turns it upright. Damage is an error, a sentence fragment: a missing end, and a scan that does not code each of its
/// MCUs. What follows the end of the picture is ignored (other pictures, padding), and so are bytes between segments.
pub(crate) fn read(bytes: &[u8], limits: &Limits) -> Result<RgbFrame, String> {
    let (segments, picture) = segments::split(bytes)?;
    scan::whole(&segments, limits)?;
    decode(&picture, limits)
}

/// Whether its segments reach the end of the picture; nothing is decoded.
pub(crate) fn is_whole(bytes: &[u8]) -> Result<(), String> {
    segments::split(bytes).map(drop)
}

/// Decodes in strict mode, where damage is an error; by default the decoder leaves unreadable parts grey.
fn decode(bytes: &[u8], limits: &Limits) -> Result<RgbFrame, String> {
    let side = usize::from(u16::MAX);
    let options = DecoderOptions::default()
        .set_strict_mode(true)
        .set_max_width(side)
        .set_max_height(side);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers().map_err(|e| e.to_string())?;
    let Some((width, height)) = decoder.dimensions() else {
        return Err("it has no header".to_owned());
    };
    let pixels = width as u64 * height as u64;
    if pixels > limits.max_pixels {
        return Err(format!("its {pixels} pixels are more than {}", limits.max_pixels));
    }
    let grey = matches!(decoder.input_colorspace(), Some(ColorSpace::Luma));
    let colours = if grey { ColorSpace::Luma } else { ColorSpace::RGB };
    decoder.set_options(options.jpeg_set_out_colorspace(colours));
    // Behind the six bytes `Exif\0\0` of the segment.
    let exif = decoder.exif().and_then(|chunk| Exif::from_exif_chunk(chunk));
    let mut data = decoder.decode().map_err(|e| e.to_string())?;
    if grey {
        data = data.into_iter().flat_map(|level| [level; 3]).collect();
    }
    let frame = RgbFrame::new(width, height, data).map_err(|e| e.to_string())?;
    Ok(exif
        .map_or(Orientation::UPRIGHT, |exif| Orientation::from_exif(exif.to_exif()))
        .apply(frame))
}

//! Image files, jpeg and png, complete ones only: a picture with a missing or damaged part is an error.

use std::io::{BufReader, Cursor, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use image::{ImageFormat, ImageReader, Limits as ImageLimits};
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use crate::regular::open_file;
use crate::{Limits, RgbFrame};

/// Width and height of a picture, from its header. The error is a sentence fragment.
pub(crate) fn size(file: &Path, limits: &Limits) -> Result<(u32, u32), String> {
    let opened = open_file(file).map_err(|e| e.to_string())?;
    let mut reader = ImageReader::new(BufReader::new(opened))
        .with_guessed_format()
        .map_err(|e| e.to_string())?;
    reader.limits(bounds(limits));
    guarded(|| reader.into_dimensions().map_err(|e| e.to_string()))
}

/// Decodes a picture. The error is a sentence fragment.
pub(crate) fn read(file: &Path, limits: &Limits) -> Result<RgbFrame, String> {
    let most = limits.max_pixels.saturating_mul(8);
    let mut bytes = Vec::new();
    let opened = open_file(file).map_err(|e| e.to_string())?;
    opened
        .take(most.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|e| e.to_string())?;
    if bytes.len() as u64 > most {
        return Err(format!("it is larger than {most} bytes"));
    }
    guarded(|| match image::guess_format(&bytes) {
        Ok(ImageFormat::Jpeg) => {
            jpeg_is_whole(&bytes)?;
            jpeg(&bytes, limits)
        }
        Ok(ImageFormat::Png) => {
            png_is_whole(&bytes)?;
            let mut reader = ImageReader::with_format(Cursor::new(&bytes), ImageFormat::Png);
            reader.limits(bounds(limits));
            let picture = reader.decode().map_err(|e| e.to_string())?.into_rgb8();
            let (width, height) = (picture.width() as usize, picture.height() as usize);
            Ok(RgbFrame::of(width, height, picture.into_raw()))
        }
        _ if bytes.is_empty() => Err("the file is empty".to_owned()),
        _ => Err("it is neither jpeg nor png".to_owned()),
    })
}

fn bounds(limits: &Limits) -> ImageLimits {
    let mut bounds = ImageLimits::default();
    // Room for the picture, and as much again for the decoder.
    bounds.max_alloc = Some(limits.max_pixels.saturating_mul(8));
    bounds
}

/// Calls a decoder, which untrusted input must not make panic.
fn guarded<T>(decode: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(decode)).unwrap_or_else(|_| Err("its decoder failed".to_owned()))
}

/// Decodes in strict mode, where damage is an error; by default the decoder leaves unreadable parts grey.
fn jpeg(bytes: &[u8], limits: &Limits) -> Result<RgbFrame, String> {
    match decode_jpeg(bytes, limits, true) {
        // Bytes between the headers do not damage the picture.
        Err(e) if e.contains("Extra bytes between headers") => decode_jpeg(bytes, limits, false),
        outcome => outcome,
    }
}

fn decode_jpeg(bytes: &[u8], limits: &Limits, strict: bool) -> Result<RgbFrame, String> {
    let side = usize::from(u16::MAX);
    let options = DecoderOptions::default()
        .set_strict_mode(strict)
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
    let mut data = decoder.decode().map_err(|e| e.to_string())?;
    if grey {
        data = data.into_iter().flat_map(|level| [level; 3]).collect();
    }
    RgbFrame::new(width, height, data).map_err(|e| e.to_string())
}

/// Whether a jpeg is complete: segments are skipped by their lengths, so that the end of an embedded thumbnail does not count.
fn jpeg_is_whole(bytes: &[u8]) -> Result<(), String> {
    const CUT: &str = "it is cut short: the end of the picture (EOI) is missing";
    let mut at = 2;
    loop {
        let Some(marker) = bytes.get(at..).and_then(|rest| rest.windows(2).position(is_marker)) else {
            return Err(CUT.to_owned());
        };
        at += marker + 2;
        match bytes[at - 1] {
            0xd9 => return Ok(()),
            0x01 | 0xd8 => {}
            _ => match bytes.get(at..at + 2) {
                Some(&[high, low]) => at += usize::from(u16::from_be_bytes([high, low])).max(2),
                _ => return Err(CUT.to_owned()),
            },
        }
    }
}

/// Whether two bytes are a marker: not an escaped 255, fill byte, or restart marker within the data.
fn is_marker(pair: &[u8]) -> bool {
    pair[0] == 0xff && !matches!(pair[1], 0 | 0xff | 0xd0..=0xd7)
}

/// Whether a png is complete.
fn png_is_whole(bytes: &[u8]) -> Result<(), String> {
    let mut at = 8;
    while let Some(head) = bytes.get(at..at + 8) {
        let length = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
        // Length, kind, data and checksum.
        let Some(end) = at.checked_add(12 + length).filter(|end| *end <= bytes.len()) else {
            break;
        };
        if &head[4..] == b"IEND" {
            return Ok(());
        }
        at = end;
    }
    Err("it is cut short: the end of the picture (IEND) is missing".to_owned())
}

//! Image files, jpeg and png, complete ones only: a picture with a missing or damaged part is an error.

use std::io::{BufReader, Cursor, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use image::{ImageFormat, ImageReader, Limits as ImageLimits};

use crate::jpeg;
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
        Ok(ImageFormat::Jpeg) => jpeg::read(&bytes, limits),
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

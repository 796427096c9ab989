//! Image files, jpeg and png, complete ones only: a picture with a missing or damaged part is an error.

use std::fs;
use std::io::{BufReader, Cursor, Read, Seek, SeekFrom};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use image::{ImageError, ImageFormat, ImageReader, Limits as ImageLimits};

use crate::jpeg;
use crate::regular::open_file;
use crate::{Limits, RgbFrame};

/// Width and height of a picture, from its header. The error is a sentence fragment.
pub(crate) fn size(file: &Path, limits: &Limits) -> Result<(u32, u32), String> {
    let opened = open_file(file).map_err(|e| e.to_string())?;
    let mut reader = ImageReader::new(BufReader::new(opened))
        .with_guessed_format()
        .map_err(|e| e.to_string())?;
    if !matches!(reader.format(), Some(ImageFormat::Jpeg | ImageFormat::Png)) {
        let empty = fs::metadata(file).is_ok_and(|m| m.len() == 0);
        return Err(if empty { EMPTY } else { NEITHER }.to_owned());
    }
    reader.limits(bounds(limits));
    guarded(|| reader.into_dimensions().map_err(|e| plain(&e)))
}

/// As [`size`], and an error where the end of the picture is missing. Only its header and its end are read, unless the end is
/// not where it should be.
pub(crate) fn examine(file: &Path, limits: &Limits) -> Result<(u32, u32), String> {
    let size = size(file, limits)?;
    let mut opened = open_file(file).map_err(|e| e.to_string())?;
    let length = opened.metadata().map_err(|e| e.to_string())?.len();
    let mut end = Vec::new();
    opened
        .seek(SeekFrom::Start(length.saturating_sub(END)))
        .and_then(|_| opened.take(END).read_to_end(&mut end))
        .map_err(|e| e.to_string())?;
    let ends = |mark: &[u8]| end.windows(mark.len()).any(|w| w == mark);
    if ends(&[0xff, 0xd9]) || ends(b"IEND") {
        return Ok(size);
    }
    let bytes = bytes(file, limits)?;
    guarded(|| match image::guess_format(&bytes) {
        Ok(ImageFormat::Jpeg) => jpeg::is_whole(&bytes),
        _ => png_is_whole(&bytes),
    })?;
    Ok(size)
}

/// Bytes at the end of a file among which the end of a picture is, commonly.
const END: u64 = 1024;

const EMPTY: &str = "the file is empty";
const NEITHER: &str = "it is neither jpeg nor png";

/// All of a file.
fn bytes(file: &Path, limits: &Limits) -> Result<Vec<u8>, String> {
    let most = limits.max_pixels.saturating_mul(8);
    let mut bytes = Vec::new();
    let opened = open_file(file).map_err(|e| e.to_string())?;
    opened
        .take(most.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|e| e.to_string())?;
    match bytes.len() as u64 > most {
        true => Err(format!("it is larger than {most} bytes")),
        false => Ok(bytes),
    }
}

/// Decodes a picture. The error is a sentence fragment.
pub(crate) fn read(file: &Path, limits: &Limits) -> Result<RgbFrame, String> {
    let bytes = bytes(file, limits)?;
    guarded(|| match image::guess_format(&bytes) {
        Ok(ImageFormat::Jpeg) => jpeg::read(&bytes, limits),
        Ok(ImageFormat::Png) => {
            png_is_whole(&bytes)?;
            let mut reader = ImageReader::with_format(Cursor::new(&bytes), ImageFormat::Png);
            reader.limits(bounds(limits));
            let picture = reader.decode().map_err(|e| plain(&e))?.into_rgb8();
            let (width, height) = (picture.width() as usize, picture.height() as usize);
            Ok(RgbFrame::of(width, height, picture.into_raw()))
        }
        _ if bytes.is_empty() => Err(EMPTY.to_owned()),
        _ => Err(NEITHER.to_owned()),
    })
}

fn bounds(limits: &Limits) -> ImageLimits {
    let mut bounds = ImageLimits::default();
    // Room for the picture, and as much again for the decoder.
    bounds.max_alloc = Some(limits.max_pixels.saturating_mul(8));
    bounds
}

/// An error of the decoder of png, whose own words name its types.
fn plain(e: &ImageError) -> String {
    let text = e.to_string();
    match e {
        ImageError::Decoding(_) if text.contains("CRC") => {
            "it is damaged: the checksum of a part of the png does not fit its bytes".to_owned()
        }
        ImageError::Decoding(_) if text.contains("deflate") => {
            "it is damaged: the compressed data of the png cannot be unpacked".to_owned()
        }
        ImageError::Limits(_) => "it takes more memory than the limits allow".to_owned(),
        _ => text,
    }
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

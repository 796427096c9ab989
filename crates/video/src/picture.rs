//! Image files, jpeg and png, complete ones only: a picture with a missing or damaged part is an error. They are turned upright by
//! their EXIF orientation, as videos are by their display matrix.

use std::fs;
use std::io::{BufReader, Cursor, Read, Seek, SeekFrom};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use image::metadata::Orientation as Exif;
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits as ImageLimits};

use crate::jpeg;
use crate::orientation::Orientation;
use crate::regular::open_file;
use crate::{Limits, RgbFrame};

/// What the header of a picture says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Header {
    /// Pixels across of the upright picture.
    pub width: usize,
    /// Pixels down of it.
    pub height: usize,
    /// The number of its EXIF orientation; 1 where it is stored upright.
    pub exif: u8,
}

/// Reads the header of a picture. The error is a sentence fragment.
pub(crate) fn header(file: &Path, limits: &Limits) -> Result<Header, String> {
    let opened = open_file(file).map_err(|e| e.to_string())?;
    let mut reader = ImageReader::new(BufReader::new(opened))
        .with_guessed_format()
        .map_err(|e| e.to_string())?;
    if !matches!(reader.format(), Some(ImageFormat::Jpeg | ImageFormat::Png)) {
        let empty = fs::metadata(file).is_ok_and(|m| m.len() == 0);
        return Err(if empty { EMPTY } else { NEITHER }.to_owned());
    }
    reader.limits(bounds(limits));
    guarded(|| {
        let mut decoder = reader.into_decoder().map_err(|e| plain(&e))?;
        let (width, height) = decoder.dimensions();
        let exif = exif(&mut decoder);
        let (width, height) = Orientation::from_exif(exif).size(width as usize, height as usize);
        Ok(Header { width, height, exif })
    })
}

/// The number of a picture's EXIF orientation. What cannot be read is none.
fn exif(decoder: &mut impl ImageDecoder) -> u8 {
    decoder.orientation().map_or(1, Exif::to_exif)
}

/// As [`header`], and an error where the end of the picture is missing. Only its header and its end are read, unless the end is
/// not where it should be.
pub(crate) fn examine(file: &Path, limits: &Limits) -> Result<Header, String> {
    let header = header(file, limits)?;
    let mut opened = open_file(file).map_err(|e| e.to_string())?;
    let length = opened.metadata().map_err(|e| e.to_string())?.len();
    let mut end = Vec::new();
    opened
        .seek(SeekFrom::Start(length.saturating_sub(END)))
        .and_then(|_| opened.take(END).read_to_end(&mut end))
        .map_err(|e| e.to_string())?;
    let ends = |mark: &[u8]| end.windows(mark.len()).any(|w| w == mark);
    if ends(&[0xff, 0xd9]) || ends(b"IEND") {
        return Ok(header);
    }
    let bytes = bytes(file, limits)?;
    guarded(|| match image::guess_format(&bytes) {
        Ok(ImageFormat::Jpeg) => jpeg::is_whole(&bytes),
        _ => png_is_whole(&bytes),
    })?;
    Ok(header)
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
            let mut decoder = reader.into_decoder().map_err(|e| plain(&e))?;
            let exif = exif(&mut decoder);
            let picture = DynamicImage::from_decoder(decoder).map_err(|e| plain(&e))?.into_rgb8();
            let (width, height) = (picture.width() as usize, picture.height() as usize);
            Ok(Orientation::from_exif(exif).apply(RgbFrame::of(width, height, picture.into_raw())))
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

//! The marker segments of a JPEG (ITU-T T.81, B.1).

const CUT: &str = "it is cut short: the end of the picture (EOI) is missing";

const CONVERTED: &str =
    "it was copied as text, with a byte 0D put before each byte 0A: copy it again, as a binary file";

/// A marker with its parameters, and after a start of scan its entropy-coded data.
#[derive(Debug)]
pub(super) struct Segment<'a> {
    /// The second byte of the marker.
    pub marker: u8,
    /// What its length covers, without the length.
    pub parameters: &'a [u8],
    /// The data up to the next marker that is not a restart; empty unless the marker is a start of scan.
    pub data: &'a [u8],
}

pub(super) const SOS: u8 = 0xda;
const SOI: u8 = 0xd8;
const EOI: u8 = 0xd9;
const TEM: u8 = 0x01;

/// The segments up to the end of the picture, and the picture's bytes without what is between segments and after the end: the
/// decoder accepts such bytes only together with damage. Segments are skipped by their lengths, so that the end of an
/// embedded thumbnail does not count.
pub(super) fn split(bytes: &[u8]) -> Result<(Vec<Segment<'_>>, Vec<u8>), String> {
    let mut segments = Vec::new();
    let mut picture = Vec::with_capacity(bytes.len());
    picture.extend_from_slice(&[0xff, SOI]);
    let mut at = 2;
    // Whether there are bytes between segments before the first scan; fill bytes are none.
    let mut stray = false;
    loop {
        let from = at;
        at = next_marker(bytes, at).ok_or(CUT)?;
        stray |= segments.iter().all(|s: &Segment<'_>| s.marker != SOS) && bytes[from..at].iter().any(|b| *b != 0xff);
        let marker = bytes[at + 1];
        let start = at;
        at += 2;
        match marker {
            EOI => {
                picture.extend_from_slice(&bytes[start..at]);
                return Ok((segments, picture));
            }
            TEM | SOI => continue,
            _ => {}
        }
        let length = bytes.get(at..at + 2).ok_or(CUT)?;
        let length = usize::from(u16::from_be_bytes([length[0], length[1]])).max(2);
        let parameters = bytes.get(at + 2..at + length).ok_or(CUT)?;
        at += length;
        let mut data = &[][..];
        if marker == SOS && stray && line_ends_converted(bytes) {
            return Err(CONVERTED.to_owned());
        }
        if marker == SOS {
            let end = next_marker(bytes, at).ok_or(CUT)?;
            data = &bytes[at..end];
            at = end;
        }
        picture.extend_from_slice(&bytes[start..at]);
        picture.truncate(picture.len() - after_scan(data));
        segments.push(Segment {
            marker,
            parameters,
            data,
        });
    }
}

/// Whether each line feed follows a carriage return, as in no picture: a program took the file for text. Its segments are then
/// longer than they say, and what they hold is not what was written.
fn line_ends_converted(bytes: &[u8]) -> bool {
    let mut feeds = (0..bytes.len()).filter(|&i| bytes[i] == b'\n').peekable();
    feeds.peek().is_some() && feeds.all(|i| i > 0 && bytes[i - 1] == b'\r')
}

/// The fill bytes and restart markers at the end of a scan's data: some encoders write them, and the decoder takes them for
/// damage.
fn after_scan(data: &[u8]) -> usize {
    let mut rest = data;
    while let [before @ .., 0xff] | [before @ .., 0xff, 0xd0..=0xd7] = rest {
        rest = before;
    }
    data.len() - rest.len()
}

/// The place of the next marker, from `from` on: not an escaped 255, a fill byte, or a restart within data.
fn next_marker(bytes: &[u8], from: usize) -> Option<usize> {
    let rest = bytes.get(from..)?;
    let marker = |pair: &[u8]| pair[0] == 0xff && !matches!(pair[1], 0 | 0xff | 0xd0..=0xd7);
    Some(from + rest.windows(2).position(marker)?)
}

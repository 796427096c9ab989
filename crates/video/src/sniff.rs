//! What kind of file this is, by its first bytes.

/// A kind of file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// mp4, mov and relatives.
    Mp4,
    /// Something else that can be named.
    Other(&'static str),
    /// Nothing at all.
    Empty,
    /// Anything else.
    Unknown,
}

/// Types of box that mp4 and mov files begin with.
const FIRST_BOXES: [&[u8]; 10] = [
    b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot", b"styp", b"moof", b"uuid",
];

/// Judges by the first 16 bytes or so.
pub(crate) fn sniff(head: &[u8]) -> Kind {
    let begins = |magic: &[u8]| head.starts_with(magic);
    let at = |i: usize, magic: &[u8]| head.get(i..).is_some_and(|h| h.starts_with(magic));
    if head.is_empty() {
        Kind::Empty
    } else if FIRST_BOXES.iter().any(|b| at(4, b)) {
        Kind::Mp4
    } else if begins(b"RIFF") && at(8, b"AVI ") {
        Kind::Other("an AVI file")
    } else if begins(&[0x1a, 0x45, 0xdf, 0xa3]) {
        Kind::Other("a Matroska or WebM file")
    } else if begins(b"FLV") {
        Kind::Other("a Flash video file")
    } else if begins(&[0x30, 0x26, 0xb2, 0x75]) {
        Kind::Other("a Windows Media file")
    } else if begins(&[0, 0, 1, 0xba]) || begins(&[0, 0, 1, 0xb3]) {
        Kind::Other("an MPEG program stream")
    } else if begins(&[0, 0, 0, 1]) || begins(&[0, 0, 1]) {
        Kind::Other("a raw video stream without a container")
    } else if begins(&[0x47]) {
        Kind::Other("an MPEG transport stream")
    } else if begins(b"OggS") {
        Kind::Other("an Ogg file")
    } else if begins(b"GIF8") {
        Kind::Other("a GIF file")
    } else if begins(&[0xff, 0xd8, 0xff]) || begins(b"\x89PNG") {
        Kind::Other("a single image")
    } else {
        Kind::Unknown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds() {
        assert_eq!(sniff(b"\0\0\0\x20ftypisom\0\0\x02\0"), Kind::Mp4);
        assert_eq!(sniff(b"\0\0\0\x08wide\0\0\0\0mdat"), Kind::Mp4);
        assert_eq!(sniff(b"RIFF\x10\0\0\0AVI LIST"), Kind::Other("an AVI file"));
        assert_eq!(
            sniff(b"\x1a\x45\xdf\xa3\x01\0\0\0"),
            Kind::Other("a Matroska or WebM file")
        );
        assert_eq!(sniff(b""), Kind::Empty);
        assert_eq!(sniff(b"hello, world"), Kind::Unknown);
        assert_eq!(sniff(b"RIFF"), Kind::Unknown);
    }
}

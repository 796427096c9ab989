//! The kind of a file, by its first bytes.

mod mpeg;

/// A kind of file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// mp4, mov and relatives.
    Mp4,
    /// A kind of video that is not supported.
    Other(&'static str),
    /// A format without video.
    NoVideo(&'static str),
    /// An empty file.
    Empty,
    /// Anything else.
    Unknown,
}

/// Bytes that [`sniff`] needs: they include the tracks of a Matroska file and the headers of an AVI file.
pub(crate) const HEAD: u64 = 1 << 16;

/// Types of box that mp4 and mov files begin with.
const FIRST_BOXES: [&[u8]; 10] = [
    b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot", b"styp", b"moof", b"uuid",
];

/// Files of NumPy, PyTorch and safetensors.
const FEATURES: &str = "a file of arrays, such as features or weights; `feature_list` reads features";

/// Kinds by the bytes at an offset.
const KINDS: [(usize, &[u8], Kind); 34] = [
    (0, b"GIF8", Kind::Other("a GIF file")),
    (0, b"FLV", Kind::Other("a Flash video file")),
    (0, b"DKIF", Kind::Other("an IVF file")),
    (0, b"YUV4MPEG2", Kind::Other("a YUV4MPEG file")),
    (0, b".RMF", Kind::Other("a RealMedia file")),
    (0, &[0x06, 0x0e, 0x2b, 0x34], Kind::Other("an MXF file")),
    (0, &[0xff, 0xd8, 0xff], Kind::Other("a single image (JPEG)")),
    (
        0,
        b"\x89PNG",
        Kind::NoVideo("a single image (PNG); a video may be a folder of them"),
    ),
    (8, b"WEBP", Kind::Other("an image (WebP)")),
    (0, b"BM", Kind::NoVideo("a single image (BMP)")),
    (0, b"II*\0", Kind::NoVideo("a single image (TIFF)")),
    (0, b"MM\0*", Kind::NoVideo("a single image (TIFF)")),
    (8, b"WAVE", Kind::NoVideo("a sound file (WAV)")),
    (0, b"ID3", Kind::NoVideo("a sound file (MP3)")),
    (0, &[0xff, 0xfb], Kind::NoVideo("a sound file (MP3)")),
    (0, &[0xff, 0xf3], Kind::NoVideo("a sound file (MP3)")),
    (0, &[0xff, 0xf1], Kind::NoVideo("a sound file (AAC)")),
    (0, &[0xff, 0xf9], Kind::NoVideo("a sound file (AAC)")),
    (0, b"fLaC", Kind::NoVideo("a sound file (FLAC)")),
    (0, b"\x93NUMPY", Kind::NoVideo(FEATURES)),
    // Safetensors.
    (8, b"{\"", Kind::NoVideo(FEATURES)),
    (0, &[0x80, 2], Kind::NoVideo(FEATURES)),
    (0, &[0x80, 3], Kind::NoVideo(FEATURES)),
    (0, &[0x80, 4], Kind::NoVideo(FEATURES)),
    (0, &[0x80, 5], Kind::NoVideo(FEATURES)),
    (
        0,
        b"PK\x03\x04",
        Kind::NoVideo("an archive (zip), as files of features and weights are (.npz, .pth)"),
    ),
    (0, &[0x1f, 0x8b], Kind::NoVideo("an archive (gzip)")),
    (0, b"7z\xbc\xaf", Kind::NoVideo("an archive (7z)")),
    (0, b"Rar!", Kind::NoVideo("an archive (rar)")),
    (0, &[0xfd, b'7', b'z', b'X', b'Z'], Kind::NoVideo("an archive (xz)")),
    (257, b"ustar", Kind::NoVideo("an archive (tar)")),
    (0, b"%PDF", Kind::NoVideo("a PDF document")),
    (0, &[0, 0, 1], Kind::Other("a raw video stream without a container")),
    (0, &[0, 0, 0, 1], Kind::Other("a raw video stream without a container")),
];

/// Decides by the first [`HEAD`] bytes, or all if there are fewer.
pub(crate) fn sniff(head: &[u8]) -> Kind {
    let begins = |magic: &[u8]| head.starts_with(magic);
    let at = |i: usize, magic: &[u8]| head.get(i..).is_some_and(|h| h.starts_with(magic));
    if head.is_empty() {
        Kind::Empty
    } else if FIRST_BOXES.iter().any(|b| at(4, b)) {
        Kind::Mp4
    } else if begins(b"RIFF") && at(8, b"AVI ") {
        match has(head, b"auds") && !has(head, b"vids") && !has(head, b"iavs") {
            true => Kind::NoVideo("an AVI file with sound alone"),
            false => Kind::Other("an AVI file"),
        }
    } else if begins(&[0x1a, 0x45, 0xdf, 0xa3]) {
        match matroska_tracks(head) {
            Some(tracks) if has(tracks, b"A_") && !has(tracks, b"V_") => {
                Kind::NoVideo("a Matroska or WebM file with sound alone")
            }
            _ => Kind::Other("a Matroska or WebM file"),
        }
    } else if begins(b"OggS") {
        let sound: [&[u8]; 4] = [b"\x01vorbis", b"OpusHead", b"\x7fFLAC", b"Speex   "];
        let video: [&[u8]; 4] = [b"\x80theora", b"BBCD\0", b"OVP80", b"\x01video"];
        let any = |magics: &[&[u8]]| magics.iter().any(|magic| has(head, magic));
        match any(&sound) && !any(&video) {
            true => Kind::NoVideo("an Ogg file with sound alone"),
            false => Kind::Other("an Ogg file"),
        }
    } else if begins(&[0x30, 0x26, 0xb2, 0x75]) {
        match has(head, &ASF_SOUND) && !has(head, &ASF_VIDEO) {
            true => Kind::NoVideo("a Windows Media file with sound alone"),
            false => Kind::Other("a Windows Media file"),
        }
    } else if begins(&[0, 0, 1, 0xba]) {
        match mpeg::sound_alone_in_program(head) {
            true => Kind::NoVideo("an MPEG program stream with sound alone"),
            false => Kind::Other("an MPEG program stream"),
        }
    } else if let Some((from, packet)) = mpeg::packets(head) {
        match mpeg::sound_alone_in_transport(head, from, packet) {
            true => Kind::NoVideo("an MPEG transport stream with sound alone"),
            false => Kind::Other("an MPEG transport stream"),
        }
    } else {
        let found = KINDS.iter().find(|(place, magic, _)| at(*place, magic));
        found.map_or_else(|| document(head), |(_, _, kind)| *kind)
    }
}

/// The types of the streams of a Windows Media file.
const ASF_SOUND: [u8; 16] = asf_stream(0xf869_9e40, [0xa8, 0xfd, 0x00, 0x80, 0x5f, 0x5c, 0x44, 0x2b]);
const ASF_VIDEO: [u8; 16] = asf_stream(0xbc19_efc0, [0xa8, 0xfd, 0x00, 0x80, 0x5f, 0x5c, 0x44, 0x2b]);

/// The bytes of a GUID `first`-5B4D-11CF-`last`.
const fn asf_stream(first: u32, last: [u8; 8]) -> [u8; 16] {
    let [a, b, c, d] = first.to_le_bytes();
    let [e, f, g, h, i, j, k, l] = last;
    [a, b, c, d, 0x4d, 0x5b, 0xcf, 0x11, e, f, g, h, i, j, k, l]
}

/// Text that stands in the place of a video: what a server answered instead of it, or where it is kept.
fn document(head: &[u8]) -> Kind {
    let mut text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
    while let Some(comment) = text.strip_prefix(b"<!--") {
        let end = comment.windows(3).position(|w| w == b"-->");
        text = end.map_or(&[][..], |end| comment[end + 3..].trim_ascii_start());
    }
    let begins = |start: &str| {
        text.get(..start.len())
            .is_some_and(|t| t.eq_ignore_ascii_case(start.as_bytes()))
    };
    let after = text.get(1..).unwrap_or_default().trim_ascii_start().first();
    if ["<!doctype", "<html", "<head", "<body"]
        .iter()
        .any(|start| begins(start))
    {
        Kind::NoVideo("a web page, as a download that fails leaves it")
    } else if begins("<?xml") || begins("<") && after.is_some_and(u8::is_ascii_alphabetic) {
        Kind::NoVideo("an XML document, as a download that fails leaves it")
    } else if begins("{") && matches!(after, Some(b'"' | b'}'))
        || begins("[") && matches!(after, Some(b'"' | b'{' | b']'))
    {
        Kind::NoVideo("a JSON document, as a download that fails leaves it")
    } else if begins("version https://git-lfs") {
        Kind::NoVideo("a Git LFS pointer in the place of the video: run `git lfs pull`")
    } else if head.len() < 4096 && has(head, b"/annex/objects/") {
        Kind::NoVideo("a git-annex pointer in the place of the video: run `git annex get`")
    } else {
        Kind::Unknown
    }
}

/// The element of a Matroska file that describes its tracks, if all of it is in the head.
fn matroska_tracks(head: &[u8]) -> Option<&[u8]> {
    const TRACKS: [u8; 4] = [0x16, 0x54, 0xae, 0x6b];
    let at = head.windows(4).position(|w| w == TRACKS)? + 4;
    // The length has one more byte than its first byte has leading zeros.
    let first = *head.get(at)?;
    let bytes = first.leading_zeros() as usize + 1;
    let length = head.get(at..at + bytes)?;
    let mask = 0xffu8.checked_shr(bytes as u32).unwrap_or(0);
    let length = length[1..]
        .iter()
        .fold(u64::from(first & mask), |n, b| n.wrapping_shl(8) | u64::from(*b));
    head.get(at + bytes..)?.get(..usize::try_from(length).ok()?)
}

fn has(bytes: &[u8], what: &[u8]) -> bool {
    bytes.windows(what.len()).any(|w| w == what)
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
        assert_eq!(sniff(b"GIF89a"), Kind::Other("a GIF file"));
        assert_eq!(
            sniff(b"\0\0\x01\xb3"),
            Kind::Other("a raw video stream without a container")
        );
        assert_eq!(sniff(b"<!DOCTYPE html>"), sniff(b"<html>"));
    }

    #[test]
    fn a_transport_stream_is_packets() {
        let ts = |from: usize, packet: usize| {
            let mut head = vec![0; from + 3 * packet];
            head[from..].iter_mut().step_by(packet).for_each(|b| *b = 0x47);
            head
        };
        for (from, packet) in [(0, 188), (4, 192), (0, 204)] {
            assert_eq!(
                sniff(&ts(from, packet)),
                Kind::Other("an MPEG transport stream"),
                "{packet}"
            );
        }
        // A text and an image that begin with the same byte.
        assert_eq!(
            sniff(&[b"Good morning".as_slice(), &[b' '; 400]].concat()),
            Kind::Unknown
        );
        assert_eq!(
            sniff(&[b"GIF87a".as_slice(), &[1; 4000]].concat()),
            Kind::Other("a GIF file")
        );
    }

    #[test]
    fn sound_alone_is_no_video() {
        let matroska = |codecs: &[u8]| {
            let head = [
                &b"\x1a\x45\xdf\xa3\x80"[..],
                b"\x16\x54\xae\x6b",
                &[0x40, codecs.len() as u8],
            ]
            .concat();
            [&head, codecs, b"V_ is a cluster's"].concat()
        };
        assert_eq!(
            sniff(&matroska(b"A_OPUS")),
            Kind::NoVideo("a Matroska or WebM file with sound alone")
        );
        assert_eq!(
            sniff(&matroska(b"A_OPUS V_VP9")),
            Kind::Other("a Matroska or WebM file")
        );
        let avi = |streams: &[u8]| [b"RIFF\x10\0\0\0AVI LIST", streams].concat();
        assert_eq!(sniff(&avi(b"strhauds")), Kind::NoVideo("an AVI file with sound alone"));
        assert_eq!(sniff(&avi(b"strhauds strhvids")), Kind::Other("an AVI file"));
        assert_eq!(sniff(b"OggS OpusHead"), Kind::NoVideo("an Ogg file with sound alone"));
        assert_eq!(sniff(b"OggS \x80theora \x01vorbis"), Kind::Other("an Ogg file"));
        assert_eq!(sniff(b"RIFF\x10\0\0\0WAVEfmt "), Kind::NoVideo("a sound file (WAV)"));
        let asf = |streams: &[&[u8]]| sniff(&[&[0x30, 0x26, 0xb2, 0x75, 0x8e][..], &streams.concat()].concat());
        // The GUIDs of the format's specification, as they lie in files.
        let sound = b"\x40\x9e\x69\xf8\x4d\x5b\xcf\x11\xa8\xfd\x00\x80\x5f\x5c\x44\x2b";
        let video = b"\xc0\xef\x19\xbc\x4d\x5b\xcf\x11\xa8\xfd\x00\x80\x5f\x5c\x44\x2b";
        assert_eq!(asf(&[sound]), Kind::NoVideo("a Windows Media file with sound alone"));
        assert_eq!(asf(&[sound, video]), Kind::Other("a Windows Media file"));
        assert_eq!(asf(&[]), Kind::Other("a Windows Media file"));
    }

    #[test]
    fn what_servers_and_tools_leave_in_the_place_of_a_video() {
        for (text, what) in [
            ("<!DOCTYPE html><title>404</title>", "a web page"),
            ("\n\n  <HTML>", "a web page"),
            ("<!-- cached --><!-- twice -->\r\n<html lang=\"en\">", "a web page"),
            ("\u{feff}<html>", "a web page"),
            ("<?xml version=\"1.0\"?><Error/>", "an XML document"),
            ("<Error><Code>AccessDenied</Code></Error>", "an XML document"),
            ("{\"message\": \"not found\"}", "a JSON document"),
            (" { }", "a JSON document"),
            ("[{\"error\": 1}]", "a JSON document"),
            ("version https://git-lfs.github.com/spec/v1\noid", "a Git LFS pointer"),
            ("/annex/objects/SHA256E-s3--ab.mp4\n", "a git-annex pointer"),
            ("../.git/annex/objects/a/b/SHA256E-s3--ab.mp4", "a git-annex pointer"),
        ] {
            let found = sniff(text.as_bytes());
            assert!(
                matches!(found, Kind::NoVideo(kind) if kind.starts_with(what)),
                "{text:?}: {found:?}"
            );
        }
        for text in ["<!-- never closed", "<", "< 3", "{", "[1, 2]", "a file", "  "] {
            assert_eq!(sniff(text.as_bytes()), Kind::Unknown, "{text:?}");
        }
    }
}

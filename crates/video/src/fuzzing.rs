//! The parsers of untrusted input, one function each: the fuzz targets and the tests with mutated files
//! call them. Each returns for any bytes; the result counts what was parsed.

use std::cell::RefCell;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use crate::lists::{Columns, ListFormat, ListOptions, parse_list};
use crate::nal::{self, Nal};
use crate::parameter_sets::ParameterSets;
use crate::{Limits, OpenOptions, Template, Video, sps};

/// Bounds under which a file of some kilobytes is decoded in some milliseconds.
pub fn limits() -> Limits {
    Limits {
        max_pixels: 1 << 20,
        max_samples: 10_000,
        max_sample_bytes: 1 << 20,
        max_index_bytes: 1 << 20,
        max_read: 2_000,
        ..Limits::default()
    }
}

thread_local! {
    /// A folder for each thread.
    static FOLDER: RefCell<Option<tempfile::TempDir>> = const { RefCell::new(None) };
}

fn with_folder<R>(body: impl FnOnce(&Path) -> R) -> R {
    FOLDER.with_borrow_mut(|folder| {
        let folder = folder.get_or_insert_with(|| tempfile::tempdir().expect("a temporary folder can be made"));
        body(folder.path())
    })
}

fn written(name: &str, bytes: &[u8], body: impl FnOnce(&Path) -> usize) -> usize {
    with_folder(|folder| {
        let path: PathBuf = folder.join(name);
        fs::write(&path, bytes).expect("a temporary file can be written");
        body(&path)
    })
}

/// Opens a video and decodes all of it. Returns the number of good frames.
fn decode_all(path: &Path, options: &OpenOptions) -> usize {
    let named = |e: &crate::VideoError| {
        let text = e.to_string();
        assert!(e.path().starts_with(path) && !text.is_empty(), "{text}");
    };
    let video = match Video::open(path, options) {
        Ok(video) => video,
        Err(e) => {
            named(&e);
            return 0;
        }
    };
    let (width, height) = (video.width(), video.height());
    let all: Vec<usize> = (0..video.frame_count()).collect();
    let mut good = 0;
    let ended = video.visit(&all, |_, outcome| {
        match outcome {
            Ok(frame) => {
                assert_eq!((frame.width(), frame.height()), (width, height));
                good += 1;
            }
            Err(e) => named(&e),
        }
        ControlFlow::Continue(())
    });
    if let Err(e) = ended {
        named(&e);
    }
    good
}

/// A video file: boxes, tables, fragments, and decoding of the samples.
pub fn video_file(bytes: &[u8]) -> usize {
    let options = OpenOptions {
        limits: limits(),
        ..OpenOptions::default()
    };
    written("video.mp4", bytes, |path| decode_all(path, &options))
}

/// A sample: its NAL units. Returns their number.
pub fn nal_units(bytes: &[u8]) -> usize {
    let mut found = 0;
    for length_size in [1, 2, 4] {
        let _ = nal::entry(&nal::split_head(bytes, length_size));
        if let Ok(nals) = nal::split(bytes, length_size) {
            let _ = nal::picture(&nals);
            let _ = nal::entry(&nals);
            found += nals.len();
        }
    }
    found
}

/// A stream of NAL units with 2-byte lengths: parameter sets, and slice headers with the sets in force. Returns the
/// number that was accepted.
pub fn headers(bytes: &[u8]) -> usize {
    let mut sets = ParameterSets::default();
    let mut good = 0;
    for nal in nal::split_head(bytes, 2) {
        let ok = match nal.kind() {
            nal::SPS => sps::parse(nal.bytes).is_ok() & sets.add(nal).is_ok(),
            nal::PPS => sets.add(nal).is_ok(),
            _ => sets.check_slice(nal).is_ok_and(|identity| identity.is_some()),
        };
        good += usize::from(ok);
    }
    // The bytes as one unit of each kind.
    for header in [0x67, 0x68, 0x65, 0x41] {
        let unit = [&[header], bytes].concat();
        let nal = Nal { bytes: &unit };
        let _ = (
            sps::parse(&unit).is_ok(),
            sets.add(nal).is_ok(),
            sets.check_slice(nal).is_ok(),
        );
    }
    good
}

/// A list of videos, with and without columns and classes; the first line is also read as columns and as the name of an
/// image. Returns the number of entries.
pub fn list(bytes: &[u8]) -> usize {
    let first = bytes.split(|b| *b == b'\n').next().unwrap_or_default();
    let first = String::from_utf8_lossy(first);
    if let Ok(template) = Template::parse(&first) {
        let _ = template.name(7);
    }
    let classes = || Some(vec!["jump".to_owned(), "run".to_owned()]);
    let mut found = 0;
    let formats = [ListFormat::Auto, ListFormat::EpicKitchens, ListFormat::FeatureIndex];
    for (columns, format) in formats
        .map(|f| (None, f))
        .into_iter()
        .chain([(Columns::parse(&first).ok(), ListFormat::Auto)])
    {
        for classes in [None, classes()] {
            let options = ListOptions {
                format,
                columns: columns.clone(),
                classes,
                first_frame: 1,
            };
            match parse_list(bytes, &options) {
                Ok(entries) => found += entries.len(),
                Err(bad) => assert!(!bad.is_empty() && bad.iter().all(|b| b.line > 0 && !b.reason.is_empty())),
            }
        }
    }
    found
}

/// An image of a folder. Returns 1 if it is valid.
pub fn image(bytes: &[u8]) -> usize {
    let options = OpenOptions {
        limits: limits(),
        template: Template::parse("%d.img").unwrap_or_default(),
        ..OpenOptions::default()
    };
    with_folder(|folder| {
        let folder = folder.join("images");
        fs::create_dir_all(&folder).expect("a temporary folder can be made");
        fs::write(folder.join("0.img"), bytes).expect("a temporary file can be written");
        decode_all(&folder, &options)
    })
}

/// Damage to the bytes of a slice that leaves all lengths around it correct.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Damage {
    /// The rest is zeros: a hole in the file, or a download that was never completed.
    Zeros,
    /// It ends early, with matching lengths.
    Cut,
    /// The rest is ones.
    Ones,
    /// This many bytes are random.
    Garbage(usize),
    /// One bit is flipped.
    Flip,
}

impl Damage {
    /// All kinds that are measured.
    pub const ALL: [Self; 6] = [
        Self::Zeros,
        Self::Cut,
        Self::Ones,
        Self::Garbage(16),
        Self::Garbage(512),
        Self::Flip,
    ];

    /// Damages a NAL unit of at least 32 bytes, which follow their 4-byte length, somewhere from its eighth
    /// byte on.
    pub fn apply(self, unit: &mut [u8], dice: &mut Mutator) {
        let length = unit.len();
        let at = 12 + dice.roll(length - 20);
        match self {
            Self::Zeros => unit[at..].fill(0),
            Self::Cut => {
                unit[..4].copy_from_slice(&(at as u32 - 4).to_be_bytes());
                // Filler data (NAL unit type 12) replaces what is cut off.
                let filler = (length - at - 4) as u32;
                unit[at..at + 4].copy_from_slice(&filler.to_be_bytes());
                unit[at + 4..].fill(0xff);
                unit[at + 4] = 12;
                unit[length - 1] = 0x80;
            }
            Self::Ones => unit[at..].fill(0xff),
            Self::Garbage(bytes) => (at..(at + bytes).min(length)).for_each(|i| unit[i] = dice.roll(256) as u8),
            Self::Flip => unit[at] ^= 1 << dice.roll(8),
        }
    }
}

/// The slices of an H.264 file that [`Damage`] can be applied to: the byte range of each, including its length prefix.
///
/// # Errors
/// If the file cannot be read.
pub fn slices(path: &Path) -> Result<Vec<std::ops::Range<usize>>, crate::VideoError> {
    let mut file = crate::open_file(path).map_err(|e| crate::VideoError::io(path, e))?;
    let index = crate::h264::H264Index::read(path, &mut file, &Limits::default())?;
    let bytes = fs::read(path).map_err(|e| crate::VideoError::io(path, e))?;
    let mut found = Vec::new();
    for sample in &index.samples {
        let mut at = sample.offset as usize;
        let end = at + sample.size as usize;
        while let Some(&[a, b, c, d]) = bytes.get(at..at + 4) {
            let next = at + 4 + u32::from_be_bytes([a, b, c, d]) as usize;
            if next > end {
                break;
            }
            if next - at >= 32
                && (Nal {
                    bytes: &bytes[at + 4..next],
                })
                .is_slice()
            {
                found.push(at..next);
            }
            at = next;
        }
    }
    Ok(found)
}

/// Mutates bytes at random, reproducibly from a seed.
#[derive(Debug, Clone)]
pub struct Mutator(u64);

impl Mutator {
    /// A mutator with a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    /// A number below `sides`.
    pub fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % sides.max(1) as u64) as usize
    }

    /// Some mutations of the bytes of `range`: bits that flip, bytes that change, integers that become 0, the maximum or
    /// close to it, pieces that are lost or repeated, a missing end.
    pub fn mutate(&mut self, bytes: &mut Vec<u8>, range: std::ops::Range<usize>) {
        for _ in 0..1 + self.roll(6) {
            if bytes.is_empty() {
                return;
            }
            let at = (range.start + self.roll(range.len())).min(bytes.len() - 1);
            match self.roll(7) {
                0 => bytes[at] ^= 1 << self.roll(8),
                1 => bytes[at] = self.roll(256) as u8,
                2 => {
                    let end = (at + 4).min(bytes.len());
                    bytes[at..end].fill([0, 0xff, 0x7f, 0x80][self.roll(4)]);
                }
                3 => {
                    let end = (at + self.roll(40)).min(bytes.len());
                    bytes.drain(at..end);
                }
                4 => {
                    let end = (at + self.roll(40)).min(bytes.len());
                    let copy = bytes[at..end].to_vec();
                    bytes.splice(at..at, copy);
                }
                5 => {
                    let end = (at + 1 + self.roll(400)).min(bytes.len());
                    bytes[at..end].fill(0);
                }
                _ if self.roll(4) == 0 => bytes.truncate(at),
                _ => bytes[at] = bytes[at].wrapping_add(1),
            }
        }
    }
}

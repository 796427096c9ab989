//! mp4 and mov files: from boxes to the samples of one H.264 track (ISO/IEC 14496-12 and -15).
//!
//! Boxes are walked here and only the few that matter are decoded, one by one: the file's
//! other boxes (metadata, audio, broken or vendor boxes) cannot make it unreadable.

use std::cmp::Reverse;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use shiguredo_mp4::boxes::{AvccBox, ElstBox, HdlrBox, MdhdBox, MvhdBox, TkhdBox, TrexBox};

use crate::Limits;
use crate::boxes::{Child, Fault, RawSample, children, find, malformed, name, need};
use crate::fragments::{Defaults, append_fragment};
use crate::orientation::Orientation;
use crate::sample_table::sample_table;

/// The H.264 track of a file.
#[derive(Debug)]
pub(crate) struct Track {
    /// A note on which of several was chosen.
    pub remark: Option<String>,
    pub samples: Vec<RawSample>,
    /// Spans of display time to show, one after the other; empty: everything.
    pub edits: Vec<Edit>,
    pub timescale: u32,
    pub orientation: Orientation,
    /// Width and height of the stored pictures, according to the container.
    pub size: (usize, usize),
    /// Bytes of the length before each NAL unit.
    pub length_size: usize,
    pub sps: Vec<Vec<u8>>,
    pub pps: Vec<Vec<u8>>,
}

/// A span of display time, in ticks of the track; no end: to the last frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Edit {
    pub start: i64,
    pub end: Option<i64>,
}

/// The boxes at the top of a file that hold its tables.
struct Tables {
    moov: Vec<u8>,
    /// Position in the file and bytes of each `moof`.
    moofs: Vec<(u64, Vec<u8>)>,
}

/// Walks the top of the file, reading only the tables.
fn read_tables(file: &mut File, limits: &Limits) -> Result<Tables, Fault> {
    let length = file.metadata()?.len();
    let (mut moov, mut moofs) = (None, Vec::new());
    let (mut at, mut budget) = (0u64, limits.max_index_bytes);
    let mut cut = None;
    let mut stills = false;
    while length - at >= 8 {
        let mut head = [0u8; 16];
        file.seek(SeekFrom::Start(at))?;
        let have = (length - at).min(16) as usize;
        file.read_exact(&mut head[..have])?;
        let kind = [head[4], head[5], head[6], head[7]];
        let size = match u32::from_be_bytes([head[0], head[1], head[2], head[3]]) {
            0 => length - at,
            1 if have == 16 => u64::from_be_bytes(std::array::from_fn(|i| head[8 + i])),
            n => u64::from(n),
        };
        if size < 8 {
            return malformed(format!("box {} at byte {at} claims {size} bytes", name(kind)));
        }
        let end = at.saturating_add(size);
        if end > length {
            cut = Some(format!(
                "the file is cut short: box {} should end at byte {end}, the file ends at {length}",
                name(kind)
            ));
        }
        if matches!(&kind, b"moov" | b"moof") {
            if let Some(reason) = cut {
                return malformed(reason);
            }
            if size > budget {
                return Err(Fault::Limit {
                    what: "the size of its tables, in bytes,",
                    found: limits.max_index_bytes - budget + size,
                    limit: limits.max_index_bytes,
                });
            }
            budget -= size;
            let mut bytes = vec![0; size as usize];
            file.seek(SeekFrom::Start(at))?;
            file.read_exact(&mut bytes)?;
            if kind == *b"moof" {
                moofs.push((at, bytes));
            } else if moov.is_none() {
                moov = Some(bytes);
            }
        }
        stills |= kind == *b"meta";
        if cut.is_some() {
            break;
        }
        at = end;
    }
    match (moov, cut) {
        (Some(moov), _) => Ok(Tables { moov, moofs }),
        (None, Some(reason)) => malformed(format!("{reason}, before its index (`moov`)")),
        (None, None) if stills => malformed("there is no video in it; it is a file of still images (HEIF, AVIF)"),
        (None, None) => malformed("it has no index (`moov`)"),
    }
}

/// A video track that may be read.
struct Candidate<'a> {
    head: TkhdBox,
    trak: Vec<Child<'a>>,
    mdia: Vec<Child<'a>>,
    stbl: Vec<Child<'a>>,
    /// Whether it has samples, or may have some in fragments.
    filled: bool,
    /// Width and height, according to the sample description.
    size: (usize, usize),
}

impl Candidate<'_> {
    /// The preference of FFmpeg's programs: by pixels, with a bonus for enabled tracks.
    fn score(&self) -> (bool, usize) {
        const ENABLED: usize = 5_000_000;
        let pixels = self.size.0 * self.size.1;
        (
            self.filled,
            pixels + if self.head.flag_track_enabled { ENABLED } else { 0 },
        )
    }
}

/// The video tracks of a file, in file order. A broken one counts if there is no other.
fn candidates<'a>(moov: &[Child<'a>], fragmented: bool) -> Result<Vec<Candidate<'a>>, Fault> {
    let mut found = Vec::new();
    let mut broken = None;
    for trak in moov.iter().filter(|b| b.kind == *b"trak") {
        match candidate(trak, fragmented) {
            Ok(track) => found.extend(track),
            Err(fault) => broken = broken.or(Some(fault)),
        }
    }
    match broken {
        Some(fault) if found.is_empty() => Err(fault),
        _ => Ok(found),
    }
}

/// A track, if it is a video track.
fn candidate<'a>(trak: &Child<'a>, fragmented: bool) -> Result<Option<Candidate<'a>>, Fault> {
    let trak = children(trak.payload)?;
    let Some(mdia) = find(&trak, b"mdia") else {
        return Ok(None);
    };
    let mdia = children(mdia.payload)?;
    let handler = need(&mdia, b"hdlr", "mdia")?.decode::<HdlrBox>()?;
    if handler.handler_type != *b"vide" {
        return Ok(None);
    }
    let head: TkhdBox = need(&trak, b"tkhd", "trak")?.decode()?;
    let minf = children(need(&mdia, b"minf", "mdia")?.payload)?;
    let stbl = children(need(&minf, b"stbl", "minf")?.payload)?;
    // Its count of samples follows version, flags and a size.
    let count = find(&stbl, b"stsz").and_then(|b| b.payload.get(8..12).map(|n| n != [0; 4]));
    Ok(Some(Candidate {
        head,
        trak,
        filled: fragmented || count == Some(true),
        size: described_size(need(&stbl, b"stsd", "stbl")?),
        mdia,
        stbl,
    }))
}

/// Reads the tables of the file's largest video track.
pub(crate) fn read_track(file: &mut File, limits: &Limits) -> Result<Track, Fault> {
    let tables = read_tables(file, limits)?;
    let moov_box = need(&children(&tables.moov)?, b"moov", "file")?;
    let moov = children(moov_box.payload)?;
    let movie_timescale = need(&moov, b"mvhd", "moov")?.decode::<MvhdBox>()?.timescale.get();

    let tracks = candidates(&moov, !tables.moofs.is_empty())?;
    let sizes: Vec<_> = tracks.iter().map(|t| (t.head.track_id, t.size)).collect();
    // In a tie, the lowest number.
    let chosen = tracks.into_iter().max_by_key(|t| (t.score(), Reverse(t.head.track_id)));
    let Some(chosen) = chosen else {
        let rest = match moov.iter().any(|b| b.kind == *b"trak") {
            true => "its tracks hold sound or something else",
            false => "it has no track at all",
        };
        return malformed(format!("there is no video in it; {rest}"));
    };
    let remark = choice(chosen.head.track_id, &sizes);
    let Candidate {
        head, trak, mdia, stbl, ..
    } = chosen;

    let timescale = need(&mdia, b"mdhd", "mdia")?.decode::<MdhdBox>()?.timescale.get();
    let (avcc, size) = avc_configuration(need(&stbl, b"stsd", "stbl")?)?;
    let mut samples = sample_table(&stbl, limits)?;

    let mut edits = Vec::new();
    if tables.moofs.is_empty() {
        if let Some(edts) = find(&trak, b"edts")
            && let Some(elst) = find(&children(edts.payload)?, b"elst")
        {
            edits = shown_spans(&elst.decode()?, movie_timescale, timescale);
        }
    } else {
        // An edit list of a fragmented file only shifts it: its durations are not known yet when
        // it is written.
        let defaults = match find(&moov, b"mvex") {
            Some(mvex) => children(mvex.payload)?
                .iter()
                .filter(|b| b.kind == *b"trex")
                .map(Child::decode::<TrexBox>)
                .find(|t| t.as_ref().map_or(true, |t| t.track_id == head.track_id))
                .transpose()?,
            None => None,
        };
        let defaults = Defaults::of(head.track_id, defaults.as_ref());
        for (at, moof) in &tables.moofs {
            append_fragment(&mut samples, *at, moof, &defaults, limits)?;
        }
    }
    if samples.is_empty() {
        return malformed("its video track has no frames");
    }
    Ok(Track {
        remark,
        samples,
        edits,
        timescale,
        orientation: Orientation::from_display_matrix(&head.matrix),
        size,
        length_size: usize::from(avcc.length_size_minus_one.get()) + 1,
        sps: avcc.sps_list,
        pps: avcc.pps_list,
    })
}

/// The remark if there are several video tracks, given by number and size.
pub(crate) fn choice<N: PartialEq + std::fmt::Display>(chosen: N, tracks: &[(N, (usize, usize))]) -> Option<String> {
    let named = |(number, (width, height)): &(N, (usize, usize))| format!("{number} of {width}x{height}");
    let read = tracks.iter().find(|t| t.0 == chosen)?;
    let others: Vec<String> = tracks.iter().filter(|t| t.0 != chosen).map(named).collect();
    (!others.is_empty()).then(|| {
        format!(
            "it has {} video tracks: track {} is read, not {}",
            tracks.len(),
            named(read),
            others.join(", ")
        )
    })
}

/// Width and height of the first sample description, if it is valid.
fn described_size(stsd: Child<'_>) -> (usize, usize) {
    // Version, flags and the number of entries; size, type and the fields before the width of an entry.
    let side = |at: usize| match stsd.payload.get(at..at + 2) {
        Some(&[high, low]) => usize::from(u16::from_be_bytes([high, low])),
        _ => 0,
    };
    (side(8 + 8 + 24), side(8 + 8 + 26))
}

/// The decoder configuration of a sample description, if it is one of H.264, and the picture size
/// that it states.
fn avc_configuration(stsd: Child<'_>) -> Result<(AvccBox, (usize, usize)), Fault> {
    // version and flags, entry_count
    let entries = children(stsd.payload.get(8..).unwrap_or(&[]))?;
    let Some(entry) = entries.first() else {
        return malformed("box `stsd` is empty");
    };
    let codec = match &entry.kind {
        b"avc1" | b"avc3" => {
            // The fixed fields of a visual sample entry.
            let boxes = children(entry.payload.get(78..).unwrap_or(&[]))?;
            return Ok((need(&boxes, b"avcC", "avc1")?.decode()?, described_size(stsd)));
        }
        b"hvc1" | b"hev1" | b"dvh1" | b"dvhe" => "HEVC (H.265)",
        b"av01" => "AV1",
        b"vp08" => "VP8",
        b"vp09" => "VP9",
        b"mp4v" => "MPEG-4 part 2",
        b"jpeg" | b"mjpa" | b"mjpb" => "Motion JPEG",
        // No build can decrypt.
        b"encv" | b"drmi" => return malformed("its video is encrypted, which no build reads"),
        [b'a', b'p', ..] => "ProRes",
        other => {
            return Err(Fault::Unsupported(format!(
                "an mp4 or mov file with video of the kind {}",
                name(*other)
            )));
        }
    };
    Err(Fault::Unsupported(format!("an mp4 or mov file with {codec} video")))
}

/// The spans that an edit list shows, as in ffmpeg: empty edits are pauses before the first frame and
/// change nothing here; rates are ignored.
fn shown_spans(list: &ElstBox, movie_timescale: u32, timescale: u32) -> Vec<Edit> {
    list.entries
        .iter()
        .filter(|e| e.media_time >= 0)
        .map(|e| {
            let ticks = u128::from(e.edit_duration) * u128::from(timescale);
            let ticks = (ticks + u128::from(movie_timescale) / 2) / u128::from(movie_timescale);
            let length = i64::try_from(ticks).ok().filter(|&t| t > 0);
            Edit {
                start: e.media_time,
                end: length.and_then(|t| e.media_time.checked_add(t)),
            }
        })
        .collect()
}

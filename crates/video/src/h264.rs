//! The index of an H.264 track: display order, entry points, parameter sets.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use crate::boxes::{Fault, RawSample, malformed};
use crate::color::Window;
use crate::mp4::{Track, read_track};
use crate::nal::{self, Entry, Nal};
use crate::orientation::Orientation;
use crate::parameter_sets::ParameterSets;
use crate::sps::{self, Sps, SpsError};
use crate::{Limits, VideoError};

/// Bytes read of a sample to see whether decoding can begin there: the parameter sets and messages
/// before its first slice.
const HEAD_BYTES: u64 = 8192;

/// Where one coded picture is, in decoding order.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    pub offset: u64,
    pub size: u32,
    /// Its position among all samples in display order, shown or not.
    pub rank: u32,
}

/// Everything that is needed to decode any frame.
#[derive(Debug)]
pub(crate) struct H264Index {
    /// A note on which of several tracks was chosen.
    pub remark: Option<String>,
    pub samples: Vec<Sample>,
    /// The sample of each frame, in display order.
    pub frames: Vec<u32>,
    /// The samples at which decoding can begin, ascending.
    pub entries: Vec<(u32, Entry)>,
    pub fps: Option<f64>,
    pub orientation: Orientation,
    /// Size and colour of the pictures.
    pub sps: Sps,
    /// The part of them that is shown.
    pub window: Window,
    /// Pictures that a decoder has to hold back to return them in display order, if known.
    #[cfg_attr(not(feature = "ffmpeg"), allow(dead_code))]
    pub delay: Option<usize>,
    pub length_size: usize,
    /// SPS and PPS with start codes, to prime a decoder.
    pub set_units: Vec<u8>,
    pub sets: ParameterSets,
}

impl H264Index {
    /// Reads the tables of a file, and the first bytes of each of its key frames.
    pub(crate) fn read(path: &Path, file: &mut File, limits: &Limits) -> Result<Self, VideoError> {
        Self::build(file, limits).map_err(|fault| fault.of(path))
    }

    fn build(file: &mut File, limits: &Limits) -> Result<Self, Fault> {
        let mut track = read_track(file, limits)?;
        let geometry = geometry(&track, limits)?;
        let mut sets = ParameterSets::default();
        let units = || track.sps.iter().chain(&track.pps).filter(|u| !u.is_empty());
        for bytes in units() {
            sets.add(Nal { bytes }).map_err(Fault::Malformed)?;
        }

        let order = display_order(&track.samples);
        let mut samples: Vec<Sample> = track
            .samples
            .iter()
            .map(|s| Sample {
                offset: s.offset,
                size: s.size,
                rank: 0,
            })
            .collect();
        for (rank, &s) in order.iter().enumerate() {
            samples[s as usize].rank = rank as u32;
        }
        let frames = shown_frames(&track, order, limits)?;
        Ok(Self {
            remark: track.remark.take(),
            fps: frame_rate(&track),
            entries: entries(file, &track)?,
            frames,
            orientation: track.orientation,
            sps: geometry,
            window: shown(geometry.window, track.size),
            delay: delay(&samples),
            samples,
            length_size: track.length_size,
            set_units: annex_b(units().map(Vec::as_slice)),
            sets,
        })
    }

    /// Width and height of an upright frame.
    pub(crate) fn size(&self) -> (usize, usize) {
        self.orientation.size(self.window.width, self.window.height)
    }

    /// The last sample at which decoding can begin to reach `sample` exactly.
    ///
    /// After the start of an open GOP, in decoding order, come pictures that are shown before it
    /// and are predicted from the GOP before: they need an earlier start.
    pub(crate) fn entry_before(&self, sample: usize) -> Option<(usize, Entry)> {
        let upto = self.entries.partition_point(|&(e, _)| e as usize <= sample);
        self.entries[..upto]
            .iter()
            .rev()
            .find(|&&(e, kind)| kind == Entry::Idr || self.samples[e as usize].rank <= self.samples[sample].rank)
            .map(|&(e, kind)| (e as usize, kind))
    }
}

/// Size and colour of the pictures; all announced sets must have the same size.
fn geometry(track: &Track, limits: &Limits) -> Result<Sps, Fault> {
    let mut first: Option<Sps> = None;
    for nal in &track.sps {
        let set = sps::parse(nal).map_err(|e| match e {
            SpsError::Unsupported(what) => Fault::Unsupported(what),
            SpsError::Broken(what) => Fault::Malformed(what),
        })?;
        if set.coded_pixels > limits.max_pixels {
            return Err(Fault::Limit {
                what: "the number of pixels of a picture",
                found: set.coded_pixels,
                limit: limits.max_pixels,
            });
        }
        if !first.get_or_insert(set).same_size(&set) {
            return Err(Fault::Unsupported(
                "an mp4 or mov file whose pictures change their size".to_owned(),
            ));
        }
    }
    match first {
        Some(set) => Ok(set),
        None => malformed("it has no sequence parameter set"),
    }
}

/// The stream's window, further cropped by the container: as in ffmpeg, a container may crop on the
/// right and at the bottom, within the last macroblock, what the stream does not crop.
fn shown(window: Window, (width, height): (usize, usize)) -> Window {
    let within = |side: usize, all: usize| side > 0 && side <= all && side.div_ceil(16) == all.div_ceil(16);
    if (window.left, window.top) == (0, 0) && within(width, window.width) && within(height, window.height) {
        Window {
            width,
            height,
            ..window
        }
    } else {
        window
    }
}

/// How many pictures a decoder has to hold back to return them in display order; `None` if the
/// container's display order is the decoding order, which says nothing about the stream.
fn delay(samples: &[Sample]) -> Option<usize> {
    let (mut most, mut waiting, mut shown) = (0, BTreeSet::new(), 0);
    for sample in samples {
        waiting.insert(sample.rank);
        while waiting.remove(&shown) {
            shown += 1;
        }
        most = most.max(waiting.len());
    }
    (most > 0).then_some(most)
}

/// NAL units with start codes (annex B).
pub(crate) fn annex_b<'a>(nals: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut out = Vec::new();
    for nal in nals {
        out.extend_from_slice(&[0, 0, 0, 1]);
        out.extend_from_slice(nal);
    }
    out
}

/// Samples by display time; at the same time, by decoding order.
fn display_order(samples: &[RawSample]) -> Vec<u32> {
    let mut order: Vec<u32> = (0..samples.len() as u32).collect();
    order.sort_by_key(|&s| samples[s as usize].pts);
    order
}

/// The frames that the edit list shows, span after span. As in ffmpeg: a frame belongs to a span if it begins
/// in it.
fn shown_frames(track: &Track, order: Vec<u32>, limits: &Limits) -> Result<Vec<u32>, Fault> {
    if track.edits.is_empty() {
        return Ok(order);
    }
    let mut frames = Vec::new();
    for edit in &track.edits {
        let pts = |&s: &u32| track.samples[s as usize].pts;
        let from = order.partition_point(|s| pts(s) < edit.start);
        let to = order.partition_point(|s| edit.end.is_none_or(|end| pts(s) < end));
        frames.extend_from_slice(order.get(from..to).unwrap_or(&[]));
        crate::sample_table::check_count(frames.len() as u64, limits)?;
    }
    if frames.is_empty() {
        return malformed("its edit list shows no frame");
    }
    Ok(frames)
}

/// Frames a second, on average.
fn frame_rate(track: &Track) -> Option<f64> {
    let ticks: u64 = track.samples.iter().map(|s| u64::from(s.duration)).sum();
    (ticks > 0).then(|| track.samples.len() as f64 * f64::from(track.timescale) / ticks as f64)
}

/// The samples at which decoding can begin: containers mark some by mistake, so their contents
/// decide. An unreadable one does not count.
fn entries(file: &mut File, track: &Track) -> Result<Vec<(u32, Entry)>, Fault> {
    let length = file.metadata()?.len();
    let mut out = Vec::new();
    let mut head = Vec::new();
    for (i, s) in track.samples.iter().enumerate().filter(|(_, s)| s.sync) {
        let have = u64::from(s.size).min(HEAD_BYTES).min(length.saturating_sub(s.offset));
        head.resize(have as usize, 0);
        file.seek(SeekFrom::Start(s.offset))?;
        file.read_exact(&mut head)?;
        let kind = nal::entry(&nal::split_head(&head, track.length_size));
        if kind != Entry::None {
            out.push((i as u32, kind));
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::color::Colour;

    #[test]
    fn containers_crop_within_the_last_macroblock() {
        let window = Window {
            left: 0,
            top: 0,
            width: 352,
            height: 256,
        };
        let size = |of: Window, container| {
            let w = shown(of, container);
            (w.width, w.height)
        };
        assert_eq!(size(window, (340, 250)), (340, 250));
        for odd in [(336, 256), (360, 256), (0, 0), (340, 240)] {
            assert_eq!(size(window, odd), (352, 256));
        }
        assert_eq!(size(Window { left: 2, ..window }, (340, 256)), (352, 256));
    }

    #[test]
    fn pictures_before_an_open_start_need_an_earlier_one() {
        // In decoding order, by display: 0 2 1 | 5 3 4 6, an open start at the picture shown as 5;
        // then | 9 8, another.
        let ranks = [0, 2, 1, 5, 3, 4, 6, 9, 8];
        let window = Window {
            left: 0,
            top: 0,
            width: 2,
            height: 2,
        };
        let index = H264Index {
            remark: None,
            samples: ranks
                .map(|rank| Sample {
                    offset: 0,
                    size: 0,
                    rank,
                })
                .to_vec(),
            frames: Vec::new(),
            entries: vec![(0, Entry::Idr), (3, Entry::Recovery), (7, Entry::Recovery)],
            fps: None,
            orientation: Orientation::UPRIGHT,
            sps: Sps {
                coded_pixels: 256,
                window,
                colour: Colour::UNSPECIFIED,
            },
            window,
            delay: None,
            length_size: 4,
            set_units: Vec::new(),
            sets: ParameterSets::default(),
        };
        assert_eq!(delay(&index.samples), Some(2));
        assert_eq!(delay(&index.samples[..1]), None);
        let starts: Vec<Option<usize>> = (0..9).map(|s| Some(index.entry_before(s)?.0)).collect();
        let want = [0, 0, 0, 3, 0, 0, 3, 7, 3].map(Some);
        assert_eq!(starts, want);
    }
}

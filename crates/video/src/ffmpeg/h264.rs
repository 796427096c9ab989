//! libavcodec as the decoder of the crate's own H.264 index: without libavformat.

use std::path::Path;

use ffmpeg_next::Packet;

use super::decoder::Decoder;
use super::stretch::{self, Coded, Track, Trouble};
use crate::access::Access;
use crate::color::Window;
use crate::h264::H264Index;
use crate::nal::Entry;
use crate::parameter_sets::ParameterSets;
use crate::{Limits, Sink, VideoError};

/// Decodes `frames` (each at most once) and passes each to `sink`.
pub(crate) fn decode_frames(
    path: &Path,
    index: &H264Index,
    limits: &Limits,
    frames: &[usize],
    sink: &mut Sink<'_>,
) -> Result<(), VideoError> {
    super::prepare();
    let targets: Vec<(usize, usize)> = frames.iter().map(|&f| (index.frames[f] as usize, f)).collect();
    let mut track = H264Track {
        path,
        index,
        limits,
        access: Access::open(path, index, limits, true)?,
        sets: ParameterSets::default(),
        entry: 0,
        read: 0,
        work: 0,
        idle: None,
    };
    // libavcodec has already applied the stream's cropping.
    let window = Window {
        left: 0,
        top: 0,
        ..index.window
    };
    stretch::decode(path, &mut track, &targets, (window, index.orientation), sink)
}

struct H264Track<'a> {
    path: &'a Path,
    index: &'a H264Index,
    limits: &'a Limits,
    access: Access<'a>,
    /// The parameter sets in force.
    sets: ParameterSets,
    entry: usize,
    read: u64,
    /// Macroblocks decoded.
    work: u64,
    /// The decoder of the stretch before. A start at an entry point resets its state.
    idle: Option<Decoder>,
}

impl Track for H264Track<'_> {
    fn entry_before(&self, sample: usize) -> Option<(usize, bool)> {
        let (entry, kind) = self.index.entry_before(sample)?;
        Some((entry, kind == Entry::Recovery))
    }

    fn rank(&self, sample: usize) -> u32 {
        self.index.samples[sample].rank
    }

    fn begin(&mut self, entry: usize, open: bool) -> Result<Decoder, VideoError> {
        self.entry = entry;
        self.sets = self.index.sets.clone();
        let decoder = match self.idle.take() {
            Some(mut decoder) => {
                decoder.flush();
                decoder
            }
            None => Decoder::h264(self.index.delay, self.limits.max_pixels)
                .map_err(|e| VideoError::malformed(self.path, format!("libavcodec has no decoder for H.264 ({e})")))?,
        };
        Ok(decoder.strict(!open))
    }

    fn packet(&mut self, sample: usize, wanted: bool) -> Result<Option<Coded>, Trouble> {
        if self.read >= self.limits.max_read {
            return Err(Trouble::Stop(VideoError::too_much_read(self.path, self.limits)));
        }
        self.read += 1;
        let picture = self
            .access
            .picture(&mut self.sets, sample, wanted, sample == self.entry)
            .map_err(Trouble::Fault)?;
        self.work += picture.as_ref().map_or(0, |p| p.work);
        if self.work > self.limits.max_macroblocks {
            return Err(Trouble::Stop(VideoError::too_much_work(
                self.path,
                self.work,
                self.limits,
            )));
        }
        Ok(picture.map(|p| Coded {
            packet: Packet::copy(&p.stream),
            reference: p.reference,
            shown: true,
        }))
    }

    fn end(&mut self, decoder: Decoder) {
        self.idle = Some(decoder);
    }
}

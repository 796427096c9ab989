//! A pass over the packets that the requested frames need, using an index.

use std::path::Path;

use ffmpeg_next::codec::Id;
use ffmpeg_next::{Error, Packet};

use super::decoder::Decoder;
use super::index::AvIndex;
use super::input::Reader;
use super::mpeg4::Unpacker;
use super::sample::unpacker;
use super::stretch::{self, Coded, Track, Trouble};
use crate::access::Fault;
use crate::color::Window;
use crate::index::{Index, Place};
use crate::{Limits, Sink, VideoError};

/// Up to this many packets are read to reach an entry point instead of seeking.
const NEAR: usize = 48;

/// A pass over the packets, forwards.
pub(super) struct AvTrack<'a> {
    path: &'a Path,
    index: &'a AvIndex,
    limits: &'a Limits,
    reader: Option<Reader>,
    unpacker: Option<Unpacker>,
    /// The sample that the reader returns next.
    next: usize,
    read: u64,
}

impl<'a> AvTrack<'a> {
    pub(super) fn of(path: &'a Path, index: &'a AvIndex, limits: &'a Limits) -> Self {
        Self {
            path,
            index,
            limits,
            reader: None,
            unpacker: unpacker(index.parameters.0.id()),
            next: 0,
            read: 0,
        }
    }

    fn broken(&self, e: Error) -> VideoError {
        VideoError::malformed(self.path, format!("libavformat does not read it any more ({e})"))
    }

    /// A reader at the beginning.
    fn rewind(&mut self) -> Result<Reader, VideoError> {
        self.next = 0;
        self.unpacker = unpacker(self.index.parameters.0.id());
        Reader::again(self.path, self.index.stream).map_err(|e| self.broken(e))
    }

    /// Moves the reader to a sample at or before `entry`, as near as possible.
    fn sought(&mut self, entry: usize) -> Result<(), VideoError> {
        let mut reader = match self.reader.take() {
            Some(reader) => reader,
            None => self.rewind()?,
        };
        let time = self.index.samples[entry].time;
        if entry >= self.next && entry - self.next <= NEAR {
            self.reader = Some(reader);
            return Ok(());
        }
        // Twice: to find out where it leads, and to return there.
        if time != i64::MIN
            && reader.seek(time).is_ok()
            && let Ok(Some(packet)) = reader.next()
            && let Some(sample) = self.index.find(packet.position() as i64, packet.size())
            && sample <= entry
            && self.index.samples[sample].clean
            && reader.seek(time).is_ok()
        {
            self.next = sample;
            self.unpacker = unpacker(self.index.parameters.0.id());
            self.reader = Some(reader);
            return Ok(());
        }
        let reader = self.rewind()?;
        self.reader = Some(reader);
        Ok(())
    }

    /// The packet of a sample, reading up to it.
    fn advance(&mut self, sample: usize) -> Result<Packet, Trouble> {
        loop {
            if self.read >= self.limits.max_read {
                return Err(Trouble::Stop(VideoError::too_much_read(self.path, self.limits)));
            }
            self.read += 1;
            let Some(reader) = &mut self.reader else {
                return Err(Trouble::Stop(self.broken(Error::StreamNotFound)));
            };
            let expected = &self.index.samples[self.next];
            let packet = match reader.next() {
                Ok(Some(packet)) => packet,
                Ok(None) => return Err(Trouble::Stop(self.broken(Error::Eof))),
                Err(e) => return Err(Trouble::Stop(self.broken(e))),
            };
            if packet.size() != expected.size as usize || packet.position() as i64 != expected.position {
                // The result of seeking differs from reading from the beginning.
                return Err(Trouble::Stop(VideoError::Changed {
                    path: self.path.to_owned(),
                }));
            }
            let packet = match &mut self.unpacker {
                Some(unpacker) => unpacker.unpack(packet),
                None => packet,
            };
            self.next += 1;
            if self.next > sample {
                return Ok(packet);
            }
        }
    }
}

impl Track for AvTrack<'_> {
    fn entry_before(&self, sample: usize) -> Option<(usize, bool)> {
        self.index.entry_before(sample)
    }

    fn rank(&self, sample: usize) -> u32 {
        self.index.samples[sample].rank
    }

    fn begin(&mut self, entry: usize, open: bool) -> Result<Decoder, VideoError> {
        self.sought(entry)?;
        let h264 = self.index.parameters.0.id() == Id::H264;
        Decoder::of(&self.index.parameters.0, self.limits.max_pixels)
            .map(|decoder| decoder.strict(!(open && h264)))
            .map_err(|e| VideoError::malformed(self.path, format!("libavcodec cannot decode its video ({e})")))
    }

    fn packet(&mut self, sample: usize, wanted: bool) -> Result<Option<Coded>, Trouble> {
        let known = self.index.samples[sample];
        if known.disposable && !wanted {
            return Ok(None);
        }
        let packet = self.advance(sample)?;
        let reference = !known.disposable;
        if known.damaged || packet.is_corrupt() {
            let reason = "its data is not all there".to_owned();
            return Err(Trouble::Fault(Fault { reason, reference }));
        }
        Ok(Some(Coded {
            packet,
            reference,
            shown: known.shown,
        }))
    }

    fn end(&mut self, _: Decoder) {
        // Each stretch gets a new decoder: not every decoder resets its whole state.
    }
}

impl Index for AvIndex {
    fn frame_count(&self) -> usize {
        self.frames.len()
    }

    fn size(&self) -> (usize, usize) {
        AvIndex::size(self)
    }

    fn fps(&self) -> Option<f64> {
        self.fps
    }

    fn remark(&self) -> Option<&str> {
        self.remark.as_deref()
    }

    fn decode(&self, place: &Place, frames: &[usize], sink: &mut Sink<'_>) -> Result<(), VideoError> {
        super::prepare();
        let targets: Vec<(usize, usize)> = frames.iter().map(|&f| (self.frames[f] as usize, f)).collect();
        let mut track = AvTrack::of(&place.path, self, &place.limits);
        let window = Window {
            left: 0,
            top: 0,
            width: self.width,
            height: self.height,
        };
        stretch::decode(&place.path, &mut track, &targets, (window, self.orientation), sink)
    }
}

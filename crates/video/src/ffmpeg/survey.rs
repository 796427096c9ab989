//! A pass over all packets of a stream, to determine their pictures and the display order.

use std::collections::HashSet;
use std::path::Path;

use ffmpeg_next::Packet;
use ffmpeg_next::codec::Parameters;

use super::decoder::Decoder;
use super::input::{Reader, is_hidden};
use super::mpeg4::Unpacker;
use super::order::{Syntax, Traits};
use super::picture;
use super::sample::{Sample, unpacker};
use crate::nal::Entry;
use crate::{Limits, VideoError};

/// A packet as read.
pub(super) struct Raw {
    pub sample: Sample,
    pub pts: Option<i64>,
    pub key: bool,
    pub hidden: bool,
    pub traits: Traits,
}

/// A pass over all packets.
pub(super) struct Survey<'a> {
    path: &'a Path,
    limits: &'a Limits,
    parameters: &'a Parameters,
    syntax: Syntax,
    pub raw: Vec<Raw>,
    /// The size of the first picture that could be decoded.
    pub size: Option<(usize, usize)>,
    decoder: Option<Decoder>,
    /// Samples in the order in which the decoder returned their pictures; rejected ones are at the position where
    /// they were rejected.
    shown: Vec<u32>,
    /// Samples whose pictures the decoder marks as key frames.
    keys: HashSet<u32>,
    unpacker: Option<Unpacker>,
}

impl<'a> Survey<'a> {
    pub(super) fn of(path: &'a Path, limits: &'a Limits, parameters: &'a Parameters, syntax: Syntax) -> Self {
        Self {
            path,
            limits,
            parameters,
            syntax,
            raw: Vec::new(),
            size: None,
            decoder: None,
            shown: Vec::new(),
            keys: HashSet::new(),
            unpacker: None,
        }
    }

    /// Reads the packets of a file that was just opened, and decodes them if `decode`.
    pub(super) fn packets(&mut self, reader: &mut Reader, decode: bool) -> Result<(), VideoError> {
        (self.raw, self.shown, self.keys, self.decoder) = (Vec::new(), Vec::new(), HashSet::new(), None);
        self.unpacker = unpacker(self.parameters.id());
        loop {
            let packet = match reader.next() {
                Ok(packet) => packet,
                Err(e) => {
                    let reason = format!("it breaks off after {} coded pictures ({e})", self.raw.len());
                    return Err(VideoError::malformed(self.path, reason));
                }
            };
            let Some(packet) = packet else { break };
            let mut packet = self.take(packet)?;
            if decode {
                self.decode(&mut packet)?;
            } else if self.size.is_none() && (packet.is_key() || self.raw.len() == 1) {
                self.measure(&mut packet)?;
            }
        }
        if let Some(mut decoder) = self.decoder.take()
            && decoder.finish().is_ok()
        {
            self.collect(&mut decoder);
        }
        Ok(())
    }

    /// Records a packet, and returns the part for the decoder.
    fn take(&mut self, packet: Packet) -> Result<Packet, VideoError> {
        let found = self.raw.len() as u64 + 1;
        if found > self.limits.max_samples {
            let what = "the number of coded pictures";
            return Err(VideoError::limit(self.path, what, found, self.limits.max_samples));
        }
        if packet.size() as u64 > self.limits.max_sample_bytes {
            let (size, most) = (packet.size() as u64, self.limits.max_sample_bytes);
            return Err(VideoError::limit(
                self.path,
                "the size of a coded picture, in bytes,",
                size,
                most,
            ));
        }
        let times = [packet.dts(), packet.pts()];
        let (position, size, damaged) = (packet.position() as i64, packet.size() as u32, packet.is_corrupt());
        let clean = self.unpacker.as_ref().is_none_or(Unpacker::is_empty);
        let packet = match &mut self.unpacker {
            Some(unpacker) => unpacker.unpack(packet),
            None => packet,
        };
        self.raw.push(Raw {
            sample: Sample {
                position,
                size,
                time: times.into_iter().flatten().min().unwrap_or(i64::MIN),
                rank: 0,
                shown: true,
                disposable: false,
                damaged,
                clean,
            },
            pts: packet.pts(),
            key: packet.is_key(),
            hidden: is_hidden(&packet),
            traits: self.syntax.look(packet.data().unwrap_or(&[])),
        });
        Ok(packet)
    }

    fn open(&self) -> Result<Decoder, VideoError> {
        Decoder::of(self.parameters, self.limits.max_pixels).map_err(|e| {
            let name = self.parameters.id().name();
            VideoError::malformed(
                self.path,
                format!("this libavcodec cannot decode its video, {name} ({e})"),
            )
        })
    }

    /// The size of the picture in a packet, decoded separately.
    fn measure(&mut self, packet: &mut Packet) -> Result<(), VideoError> {
        let mut decoder = self.open()?;
        if decoder.send(packet, 0).is_ok() && decoder.finish().is_ok() {
            self.collect(&mut decoder);
            (self.shown, self.keys) = (Vec::new(), HashSet::new());
        }
        Ok(())
    }

    fn decode(&mut self, packet: &mut Packet) -> Result<(), VideoError> {
        let sample = self.raw.len() - 1;
        let mut decoder = match self.decoder.take() {
            Some(decoder) => decoder,
            None => self.open()?,
        };
        if decoder.send(packet, sample).is_err() {
            self.shown.push(sample as u32);
        }
        self.collect(&mut decoder);
        self.decoder = Some(decoder);
        Ok(())
    }

    fn collect(&mut self, decoder: &mut Decoder) {
        while let Ok(Some(decoded)) = decoder.receive() {
            self.size.get_or_insert(picture::size(decoded.picture));
            let Some(sample) = decoded.sample.and_then(|s| u32::try_from(s).ok()) else {
                continue;
            };
            if !self.shown.contains_recent(sample) {
                self.shown.push(sample);
            }
            if decoded.picture.is_key() {
                self.keys.insert(sample);
            }
        }
    }

    /// Whether all pictures have different times.
    pub(super) fn times_tell_the_order(&self) -> bool {
        let shown = || self.raw.iter().filter(|r| r.traits.shown);
        let mut seen = HashSet::new();
        shown().all(|r| r.pts.is_some_and(|t| seen.insert(t)))
    }

    /// The samples by display time.
    pub(super) fn by_time(&self) -> Vec<u32> {
        let mut order: Vec<u32> = (0..self.raw.len() as u32)
            .filter(|&s| self.raw[s as usize].traits.shown)
            .collect();
        order.sort_by_key(|&s| self.raw[s as usize].pts);
        order
    }

    /// The samples in the decoder's output order.
    pub(super) fn by_decoding(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.shown)
    }

    /// Where decoding can begin: the entries that the packets show; otherwise the samples that both the container
    /// and, if it ran, the decoder mark as key frames.
    pub(super) fn entries(&self, intra: bool) -> Vec<(u32, Entry)> {
        let of = |(i, raw): (usize, &Raw)| {
            let sample = i as u32;
            let entry = match raw.traits.entry {
                Some(entry) => entry,
                None if intra => Entry::Idr,
                None if self.keys.is_empty() => {
                    if raw.key {
                        Entry::Recovery
                    } else {
                        Entry::None
                    }
                }
                None if self.keys.contains(&sample) => Entry::Recovery,
                None => Entry::None,
            };
            (entry != Entry::None && raw.sample.clean).then_some((sample, entry))
        };
        self.raw.iter().enumerate().filter_map(of).collect()
    }
}

trait Recent {
    fn contains_recent(&self, sample: u32) -> bool;
}

impl Recent for Vec<u32> {
    /// Whether a sample is among the last ones: a rejected one may still be returned.
    fn contains_recent(&self, sample: u32) -> bool {
        self.iter().rev().take(64).any(|&s| s == sample)
    }
}

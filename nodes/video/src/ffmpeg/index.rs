//! The index of a file that libavformat reads: display order, entry points.

use std::collections::HashSet;
use std::path::Path;

use ffmpeg_next::codec::{Id, Parameters};
use ffmpeg_next::{Error, Packet};

use super::decoder::Decoder;
use super::input::{Reader, is_hidden, is_intra_only};
use super::mpeg4::Unpacker;
use super::order::{Syntax, Traits};
use super::picture;
use super::stretch::{self, Coded, Track, Trouble};
use crate::access::Fault;
use crate::color::Window;
use crate::nal::Entry;
use crate::orientation::Orientation;
use crate::video::Sink;
use crate::{Limits, VideoError};

/// Packets that are read on to an entry point rather than sought.
const NEAR: usize = 48;

/// One packet, in decoding order.
#[derive(Debug, Clone, Copy)]
struct Sample {
    /// Its byte in the file, or -1; with the size, what it is known by after a seek.
    position: i64,
    size: u32,
    /// Where to seek to for it.
    time: i64,
    /// Its place among all samples in display order.
    rank: u32,
    /// Whether a decoder gives a picture for it.
    shown: bool,
    /// Whether nothing is predicted from it.
    disposable: bool,
    /// Whether it was short already when the index was made.
    damaged: bool,
    /// Whether reading can begin at it: it shares no packet with the one before.
    clean: bool,
}

/// All that is needed to decode any frame.
pub(crate) struct AvIndex {
    stream: usize,
    parameters: SharedParameters,
    samples: Vec<Sample>,
    /// The samples by position and size.
    by_position: Vec<u32>,
    /// The sample of each frame, in display order.
    pub frames: Vec<u32>,
    /// The samples at which decoding can begin, ascending.
    entries: Vec<(u32, Entry)>,
    pub fps: Option<f64>,
    orientation: Orientation,
    width: usize,
    height: usize,
}

/// Parameters that are only read.
struct SharedParameters(Parameters);

// SAFETY: a copy of its own, which nothing changes or takes out: it is copied into decoders.
unsafe impl Sync for SharedParameters {}

/// A packet as it was read.
struct Raw {
    sample: Sample,
    pts: Option<i64>,
    key: bool,
    hidden: bool,
    traits: Traits,
}

impl AvIndex {
    /// Reads all packets of a file's video stream; decodes them where they do not tell the order
    /// of the pictures.
    pub fn read(path: &Path, limits: &Limits) -> Result<Self, VideoError> {
        super::prepare();
        let refused = |e: Error| VideoError::malformed(path, format!("libavformat does not read it ({e})"));
        let Some(mut reader) = Reader::first(path).map_err(refused)? else {
            return Err(VideoError::malformed(path, "it has no video stream"));
        };
        let parameters = reader.stream().parameters().clone();
        let id = parameters.id();
        let syntax = Syntax::of(id, &reader.extradata());
        let mut survey = Survey {
            path,
            limits,
            parameters: &parameters,
            syntax,
            raw: Vec::new(),
            size: None,
            decoder: None,
            shown: Vec::new(),
            keys: HashSet::new(),
            unpacker: unpacker(id),
        };
        let intra = is_intra_only(id);
        let mut plain = intra || syntax.tells_pictures() && (id != Id::H264 || reader.is_progressive());
        survey.packets(&mut reader, !plain)?;
        if plain && !intra && !survey.times_tell_the_order() {
            plain = false;
            let mut again = Reader::again(path, reader.stream().index()).map_err(refused)?;
            survey.raw.clear();
            survey.unpacker = unpacker(id);
            survey.packets(&mut again, true)?;
        }
        let table = reader.table_length().unwrap_or(0);
        if survey.raw.len() < table {
            return Err(VideoError::malformed(
                path,
                format!(
                    "the file is cut short: {} of its {table} coded pictures are there",
                    survey.raw.len()
                ),
            ));
        }
        let Some((width, height)) = survey.size else {
            return Err(VideoError::malformed(path, "none of its pictures can be decoded"));
        };
        let order = match (plain, intra) {
            (true, true) => (0..survey.raw.len() as u32).collect(),
            (true, false) => survey.by_time(),
            (false, _) => survey.by_decoding(),
        };
        let entries = survey.entries(intra);
        let index = Self {
            stream: reader.stream().index(),
            orientation: reader.orientation(),
            fps: rate(&reader),
            width,
            height,
            ..Self::arranged(survey.raw, order, entries, parameters.clone())
        };
        if index.frames.is_empty() {
            return Err(VideoError::malformed(path, "its video stream has no frames"));
        }
        Ok(index)
    }

    /// Ranks the samples by `order`, their display order, and lists the frames that can be reached.
    fn arranged(raw: Vec<Raw>, order: Vec<u32>, entries: Vec<(u32, Entry)>, parameters: Parameters) -> Self {
        let topmost = raw.iter().map(|r| r.traits.layer).max();
        let hidden: Vec<bool> = raw.iter().map(|r| r.hidden).collect();
        let mut samples: Vec<Sample> = raw
            .iter()
            .map(|r| Sample {
                // In the topmost temporal layer nothing is left to be predicted from it.
                disposable: r.traits.disposable && Some(r.traits.layer) == topmost,
                shown: false,
                ..r.sample
            })
            .collect();
        for (rank, &s) in order.iter().enumerate() {
            samples[s as usize].rank = rank as u32;
            samples[s as usize].shown = true;
        }
        let mut by_position: Vec<u32> = (0..samples.len() as u32).collect();
        by_position.sort_by_key(|&s| samples[s as usize].place());
        let mut index = Self {
            stream: 0,
            parameters: SharedParameters(parameters),
            samples,
            by_position,
            frames: Vec::new(),
            entries,
            fps: None,
            orientation: Orientation::UPRIGHT,
            width: 0,
            height: 0,
        };
        // Pictures before the first start are not shown by any player.
        index.frames = order
            .into_iter()
            .filter(|&s| !hidden[s as usize] && index.entry_before(s as usize).is_some())
            .collect();
        index
    }

    /// Width and height of an upright frame.
    pub fn size(&self) -> (usize, usize) {
        self.orientation.size(self.width, self.height)
    }

    fn entry_before(&self, sample: usize) -> Option<(usize, bool)> {
        let upto = self.entries.partition_point(|&(e, _)| e as usize <= sample);
        self.entries[..upto]
            .iter()
            .rev()
            .find(|&&(e, kind)| kind == Entry::Idr || self.samples[e as usize].rank <= self.samples[sample].rank)
            .map(|&(e, kind)| (e as usize, kind == Entry::Recovery))
    }

    /// The sample at a place, if there is just one.
    fn find(&self, position: i64, size: usize) -> Option<usize> {
        let place = (position, u32::try_from(size).ok()?);
        let at = |i: usize| self.by_position.get(i).map(|&s| self.samples[s as usize].place());
        let i = self
            .by_position
            .partition_point(|&s| self.samples[s as usize].place() < place);
        (position >= 0 && at(i) == Some(place) && at(i + 1) != Some(place)).then(|| self.by_position[i] as usize)
    }

    /// Decodes `frames` (each at most once) and gives each to `sink`.
    pub fn decode(
        &self,
        path: &Path,
        limits: &Limits,
        frames: &[usize],
        sink: &mut Sink<'_>,
    ) -> Result<(), VideoError> {
        super::prepare();
        let targets: Vec<(usize, usize)> = frames.iter().map(|&f| (self.frames[f] as usize, f)).collect();
        let mut track = AvTrack {
            path,
            index: self,
            limits,
            reader: None,
            unpacker: unpacker(self.parameters.0.id()),
            next: 0,
            read: 0,
        };
        let window = Window {
            left: 0,
            top: 0,
            width: self.width,
            height: self.height,
        };
        stretch::decode(path, &mut track, &targets, (window, self.orientation), sink)
    }
}

impl Sample {
    fn place(&self) -> (i64, u32) {
        (self.position, self.size)
    }
}

/// What a codec's packets have to go through.
fn unpacker(id: Id) -> Option<Unpacker> {
    (id == Id::MPEG4).then(Unpacker::default)
}

/// Frames a second, on average.
fn rate(reader: &Reader) -> Option<f64> {
    let rate = reader.stream().avg_frame_rate();
    (rate.numerator() > 0 && rate.denominator() > 0)
        .then(|| f64::from(rate.numerator()) / f64::from(rate.denominator()))
}

/// A pass over all packets.
struct Survey<'a> {
    path: &'a Path,
    limits: &'a Limits,
    parameters: &'a Parameters,
    syntax: Syntax,
    raw: Vec<Raw>,
    /// Of the first picture that could be decoded.
    size: Option<(usize, usize)>,
    decoder: Option<Decoder>,
    /// Samples in the order in which the decoder gave their pictures; those it refused stand where
    /// they were refused.
    shown: Vec<u32>,
    /// Samples whose pictures the decoder calls key frames.
    keys: HashSet<u32>,
    unpacker: Option<Unpacker>,
}

impl Survey<'_> {
    fn packets(&mut self, reader: &mut Reader, decode: bool) -> Result<(), VideoError> {
        (self.shown, self.keys, self.decoder) = (Vec::new(), HashSet::new(), None);
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
        if let Some(mut decoder) = self.decoder.take() {
            if decoder.finish().is_ok() {
                self.collect(&mut decoder);
            }
        }
        Ok(())
    }

    /// Notes a packet, and gives what the decoder is to have of it.
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

    /// The size of the picture in a packet, on its own.
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

    /// Whether every picture has a time of its own.
    fn times_tell_the_order(&self) -> bool {
        let shown = || self.raw.iter().filter(|r| r.traits.shown);
        let mut seen = HashSet::new();
        shown().all(|r| r.pts.is_some_and(|t| seen.insert(t)))
    }

    fn by_time(&self) -> Vec<u32> {
        let mut order: Vec<u32> = (0..self.raw.len() as u32)
            .filter(|&s| self.raw[s as usize].traits.shown)
            .collect();
        order.sort_by_key(|&s| self.raw[s as usize].pts);
        order
    }

    fn by_decoding(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.shown)
    }

    /// Where decoding can begin: what the packets say of themselves; else what both the container
    /// and, if it was asked, the decoder calls a key frame.
    fn entries(&self, intra: bool) -> Vec<(u32, Entry)> {
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
    /// Whether a sample is among the last ones: one that was refused may still come out.
    fn contains_recent(&self, sample: u32) -> bool {
        self.iter().rev().take(64).any(|&s| s == sample)
    }
}

/// A pass over the packets, forwards.
struct AvTrack<'a> {
    path: &'a Path,
    index: &'a AvIndex,
    limits: &'a Limits,
    reader: Option<Reader>,
    unpacker: Option<Unpacker>,
    /// The sample that the reader gives next.
    next: usize,
    read: u64,
}

impl AvTrack<'_> {
    fn broken(&self, e: Error) -> VideoError {
        VideoError::malformed(self.path, format!("libavformat does not read it any more ({e})"))
    }

    /// A reader at the beginning.
    fn rewind(&mut self) -> Result<Reader, VideoError> {
        self.next = 0;
        self.unpacker = unpacker(self.index.parameters.0.id());
        Reader::again(self.path, self.index.stream).map_err(|e| self.broken(e))
    }

    /// Has the reader stand at a sample at or before `entry`, as near as can be had.
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
        // Twice: to find out where it leads, and to stand before that.
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

    /// The packet of a sample, reading on to it.
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
                // What a seek gave is not what reading on from the beginning gives.
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
        // Each stretch gets a decoder of its own: not every one forgets all that it knew.
    }
}

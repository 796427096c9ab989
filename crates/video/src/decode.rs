//! Decoding chosen frames of an H.264 track.
//!
//! Every stretch of pictures from one entry point to the next is decoded by a decoder of its own,
//! so a frame depends only on the bytes of its own stretch, never on the other requested frames.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use rusty_h264_common::YuvFrame;
use rusty_h264_decoder::Decoder;

use crate::access::{Access, Fault};
use crate::color::{Planes, to_rgb};
use crate::h264::H264Index;
use crate::nal::Entry;
use crate::parameter_sets::ParameterSets;
use crate::{Limits, Sink, VideoError};

/// Decodes `frames` (each at most once) and passes each to `sink`, in decoding order.
pub(crate) fn decode_frames(
    path: &Path,
    index: &H264Index,
    limits: &Limits,
    frames: &[usize],
    sink: &mut Sink<'_>,
) -> Result<(), VideoError> {
    let mut targets: Vec<(usize, usize)> = frames.iter().map(|&f| (index.frames[f] as usize, f)).collect();
    targets.sort_unstable();

    let mut run = Run {
        index,
        limits,
        access: Access::open(path, index, limits, false)?,
        chains: Vec::with_capacity(2),
        broken: None,
        read: 0,
        work: 0,
    };
    for (sample, frame) in targets {
        let outcome = match run.picture(sample) {
            Ok(picture) => planes(&picture)
                .and_then(|planes| to_rgb(planes, index.window, index.sps.colour))
                .map(|rgb| index.orientation.apply(rgb))
                .map_err(|reason| VideoError::damaged(path, frame, reason)),
            Err(Failure::Damage(reason)) => Err(VideoError::damaged(path, frame, reason)),
            Err(Failure::Read) => return Err(VideoError::too_much_read(path, limits)),
            Err(Failure::Work) => return Err(VideoError::too_much_work(path, run.work, limits)),
        };
        if sink(frame, outcome).is_break() {
            break;
        }
    }
    Ok(())
}

/// Why there is no picture.
enum Failure {
    /// The bytes are damaged; a sentence fragment.
    Damage(String),
    /// The limit of samples read was reached.
    Read,
    /// The limit of macroblocks would be exceeded.
    Work,
}

/// A decoder that started at an entry point.
struct Chain {
    decoder: Decoder,
    /// The active parameter sets.
    sets: ParameterSets,
    entry: usize,
    kind: Entry,
    /// The next sample to feed.
    at: usize,
}

/// A pass over the samples, forwards.
struct Run<'a> {
    index: &'a H264Index,
    limits: &'a Limits,
    access: Access<'a>,
    /// The newest last. Two, because pictures of two stretches alternate around the start of an
    /// open GOP.
    chains: Vec<Chain>,
    /// The last sample that is damaged and a reference.
    broken: Option<(usize, String)>,
    read: u64,
    /// Macroblocks decoded.
    work: u64,
}

impl Run<'_> {
    /// The picture of a sample. Samples must be requested in ascending order.
    fn picture(&mut self, wanted: usize) -> Result<YuvFrame, Failure> {
        let Some((entry, kind)) = self.index.entry_before(wanted) else {
            return Err(Failure::Damage("there is no key frame before it".to_owned()));
        };
        let needs = |sample: usize, reason: &str| {
            Failure::Damage(format!("it needs coded picture {sample}, which is damaged: {reason}"))
        };
        if let Some((at, reason)) = &self.broken
            && (entry..=wanted).contains(at)
        {
            return Err(needs(*at, reason));
        }
        // A chain is put back only if it has met no damage.
        let mut chain = self.chain(entry, kind, wanted);
        while chain.at < wanted {
            let sample = chain.at;
            if let Err(fault) = self.feed(&mut chain, sample, false)? {
                // Only reference pictures are fed otherwise.
                let failure = needs(sample, &fault.reason);
                self.broken = Some((sample, fault.reason));
                return Err(failure);
            }
        }
        match self.feed(&mut chain, wanted, true)? {
            Ok(Some(picture)) => {
                self.chains.push(chain);
                Ok(picture)
            }
            Ok(None) => Err(Failure::Damage("it was passed over".to_owned())),
            Err(fault) => {
                if fault.reference {
                    self.broken = Some((wanted, fault.reason.clone()));
                }
                Err(Failure::Damage(fault.reason))
            }
        }
    }

    /// The chain from `entry`, fresh or on its way to `wanted`.
    fn chain(&mut self, entry: usize, kind: Entry, wanted: usize) -> Chain {
        let known = self.chains.iter().position(|c| c.entry == entry && c.at <= wanted);
        if let Some(i) = known {
            return self.chains.remove(i);
        }
        if self.chains.len() == 2 {
            self.chains.remove(0);
        }
        Chain {
            decoder: Decoder::new(),
            sets: self.index.sets.clone(),
            entry,
            kind,
            at: entry,
        }
    }

    /// Feeds one sample to the decoder, unless it is neither requested nor a reference.
    fn feed(
        &mut self,
        chain: &mut Chain,
        sample: usize,
        wanted: bool,
    ) -> Result<Result<Option<YuvFrame>, Fault>, Failure> {
        chain.at = sample + 1;
        let samples = &self.index.samples;
        if chain.kind == Entry::Recovery && samples[sample].rank < samples[chain.entry].rank {
            // Decoded after the start of an open GOP but shown before it: predicted from pictures
            // that are missing.
            return Ok(Ok(None));
        }
        if self.read >= self.limits.max_read {
            return Err(Failure::Read);
        }
        self.read += 1;
        let outcome = self.decode(chain, sample, wanted);
        if self.work > self.limits.max_macroblocks {
            return Err(Failure::Work);
        }
        Ok(outcome)
    }

    fn decode(&mut self, chain: &mut Chain, sample: usize, wanted: bool) -> Result<Option<YuvFrame>, Fault> {
        let Some(picture) = self
            .access
            .picture(&mut chain.sets, sample, wanted, sample == chain.entry)?
        else {
            return Ok(None);
        };
        let reference = picture.reference;
        self.work += picture.work;
        if self.work > self.limits.max_macroblocks {
            return Ok(None);
        }
        let fault = |reason| Fault { reason, reference };
        // The decoder documents that it never panics; the process must not rely on that.
        match catch_unwind(AssertUnwindSafe(|| chain.decoder.decode(&picture.stream))) {
            Ok(Ok(Some(picture))) => Ok(Some(picture)),
            Ok(Ok(None)) => Err(fault("a part of the picture is missing".to_owned())),
            Ok(Err(e)) => Err(fault(e.to_string())),
            Err(_) => Err(fault("the decoder gave up".to_owned())),
        }
    }
}

/// The planes of a decoded picture.
fn planes(picture: &YuvFrame) -> Result<Planes<'_>, String> {
    if !picture.is_valid() {
        return Err("the decoder gave a picture without pixels".to_owned());
    }
    Ok(Planes {
        size: (picture.width, picture.height),
        planes: [&picture.y, &picture.u, &picture.v],
        strides: [picture.width, picture.width / 2, picture.width / 2],
        rows_per_chroma: 2,
    })
}

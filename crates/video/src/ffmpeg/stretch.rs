//! Decoding by stretches, each from an entry point to its last requested frame.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::path::Path;

use ffmpeg_next::{Error, Packet};

use super::decoder::Decoder;
use super::picture;
use crate::access::Fault;
use crate::color::Window;
use crate::orientation::Orientation;
use crate::{RgbFrame, Sink, VideoError};

/// More pictures than any decoder holds back.
const MAX_DELAY: usize = 64;

/// The input of decoding: coded pictures ("samples") in decoding order.
pub(super) trait Track {
    /// The last sample at which decoding can begin to reach `sample`, and whether pictures that
    /// follow it but are shown before it need an earlier one.
    fn entry_before(&self, sample: usize) -> Option<(usize, bool)>;
    /// The position of a sample in display order.
    fn rank(&self, sample: usize) -> u32;
    /// Seeks to an entry point, and returns a decoder to be fed from there. If it is `open`, pictures
    /// that follow it are left out.
    fn begin(&mut self, entry: usize, open: bool) -> Result<Decoder, VideoError>;
    /// The packet of a sample, later than all since `begin`; `None` if it is neither requested nor
    /// a reference.
    fn packet(&mut self, sample: usize, wanted: bool) -> Result<Option<Coded>, Trouble>;
    /// Returns a decoder that met no damage, for reuse.
    fn end(&mut self, decoder: Decoder);
}

/// A coded picture.
pub(super) struct Coded {
    pub packet: Packet,
    /// Whether it is a reference picture.
    pub reference: bool,
    /// Whether the decoder returns a picture for it.
    pub shown: bool,
}

/// Why there is no packet.
pub(super) enum Trouble {
    /// This one is damaged.
    Fault(Fault),
    /// Nothing more can be read.
    Stop(VideoError),
}

/// Decodes frames, given as pairs of sample and frame, and passes each to `sink`, turned upright.
pub(super) fn decode(
    path: &Path,
    track: &mut dyn Track,
    targets: &[(usize, usize)],
    (window, orientation): (Window, Orientation),
    sink: &mut Sink<'_>,
) -> Result<(), VideoError> {
    let mut deliver = |frame: usize, outcome: Result<RgbFrame, String>| {
        let outcome = outcome
            .map(|rgb| orientation.apply(rgb))
            .map_err(|reason| VideoError::damaged(path, frame, reason));
        sink(frame, outcome)
    };
    let mut stretches: BTreeMap<(usize, bool), BTreeMap<usize, Vec<usize>>> = BTreeMap::new();
    for &(sample, frame) in targets {
        match track.entry_before(sample) {
            Some(entry) => stretches
                .entry(entry)
                .or_default()
                .entry(sample)
                .or_default()
                .push(frame),
            None => {
                if deliver(frame, Err("there is no key frame before it".to_owned())).is_break() {
                    return Ok(());
                }
            }
        }
    }
    for ((entry, open), wanted) in stretches {
        let mut stretch = Stretch {
            window,
            wanted,
            outstanding: BTreeMap::new(),
            held: BTreeMap::new(),
            broken: None,
            deliver: &mut deliver,
        };
        if stretch.run(track, entry, open)?.is_break() {
            return Ok(());
        }
    }
    Ok(())
}

/// Receives a frame's picture or its error.
type Deliver<'a> = dyn FnMut(usize, Result<RgbFrame, String>) -> ControlFlow<()> + 'a;

struct Stretch<'a> {
    window: Window,
    /// Frames by sample, not delivered yet.
    wanted: BTreeMap<usize, Vec<usize>>,
    /// Samples that the decoder has not returned yet, and whether they are
    /// references.
    outstanding: BTreeMap<usize, bool>,
    /// Pictures held until all their possible references are known to be intact.
    held: BTreeMap<usize, RgbFrame>,
    /// The first damaged reference sample.
    broken: Option<(usize, String)>,
    deliver: &'a mut Deliver<'a>,
}

impl<'a> Stretch<'a> {
    fn run(&mut self, track: &mut dyn Track, entry: usize, open: bool) -> Result<ControlFlow<()>, VideoError> {
        let mut decoder = track.begin(entry, open)?;
        let last = self.wanted.keys().next_back().map_or(entry, |&s| s);
        for sample in entry..=last {
            // Pictures with references before the entry cannot be decoded from it.
            if open && track.rank(sample) < track.rank(entry) {
                continue;
            }
            if self.feed(track, &mut decoder, sample)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
            if self.broken.is_some() {
                break;
            }
        }
        let ended = decoder.finish();
        let flow = match ended {
            Ok(()) => self.collect(&mut decoder),
            Err(_) => ControlFlow::Continue(()),
        };
        if self.broken.is_none() {
            track.end(decoder);
        }
        if flow.is_break() {
            return Ok(flow);
        }
        Ok(self.settle())
    }

    /// Feeds one sample to the decoder and collects its output.
    fn feed(
        &mut self,
        track: &mut dyn Track,
        decoder: &mut Decoder,
        sample: usize,
    ) -> Result<ControlFlow<()>, VideoError> {
        let mut coded = match track.packet(sample, self.wanted.contains_key(&sample)) {
            Ok(Some(coded)) => coded,
            Ok(None) => return Ok(ControlFlow::Continue(())),
            Err(Trouble::Fault(fault)) => return Ok(self.fault(sample, fault)),
            Err(Trouble::Stop(e)) => return Err(e),
        };
        if coded.shown {
            self.outstanding.insert(sample, coded.reference);
        }
        if let Err(e) = decoder.send(&mut coded.packet, sample) {
            self.outstanding.remove(&sample);
            let fault = Fault {
                reason: refusal(e),
                reference: coded.reference,
            };
            if self.fault(sample, fault).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        if self.collect(decoder).is_break() {
            return Ok(ControlFlow::Break(()));
        }
        if self.outstanding.len() > MAX_DELAY
            && let Some((lost, reference)) = self.outstanding.pop_first()
        {
            return Ok(self.fault(
                lost,
                Fault {
                    reason: passed_over(),
                    reference,
                },
            ));
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Collects the decoder's finished pictures.
    fn collect(&mut self, decoder: &mut Decoder) -> ControlFlow<()> {
        loop {
            let decoded = match decoder.receive() {
                Ok(Some(decoded)) => decoded,
                Ok(None) => return ControlFlow::Continue(()),
                Err(e) => {
                    // It concerns the oldest outstanding sample.
                    let Some((sample, reference)) = self.outstanding.pop_first() else {
                        return ControlFlow::Continue(());
                    };
                    self.fault(
                        sample,
                        Fault {
                            reason: refusal(e),
                            reference,
                        },
                    )?;
                    continue;
                }
            };
            let Some(sample) = decoded.sample else { continue };
            let reference = self.outstanding.remove(&sample).unwrap_or(true);
            if decoded.concealed {
                let reason = "the decoder had to conceal errors".to_owned();
                self.fault(sample, Fault { reason, reference })?;
            } else if self.wanted.contains_key(&sample) {
                match picture::convert(decoded.picture, self.window) {
                    Ok(rgb) => drop(self.held.insert(sample, rgb)),
                    Err(reason) => self.fault(sample, Fault { reason, reference })?,
                }
            }
            self.release()?;
        }
    }

    /// Delivers the held pictures whose possible references have all left the decoder.
    fn release(&mut self) -> ControlFlow<()> {
        let sound = self.outstanding.keys().next().copied().unwrap_or(usize::MAX);
        while let Some(entry) = self.held.first_entry() {
            if *entry.key() > sound {
                break;
            }
            let (sample, rgb) = entry.remove_entry();
            let outcome = match &self.broken {
                Some((at, reason)) if *at < sample => Err(needs(*at, reason)),
                _ => Ok(rgb),
            };
            self.give(sample, outcome)?;
        }
        ControlFlow::Continue(())
    }

    fn give(&mut self, sample: usize, outcome: Result<RgbFrame, String>) -> ControlFlow<()> {
        let frames = self.wanted.remove(&sample).unwrap_or_default();
        for frame in frames {
            (self.deliver)(frame, outcome.clone())?;
        }
        ControlFlow::Continue(())
    }

    fn fault(&mut self, sample: usize, fault: Fault) -> ControlFlow<()> {
        if fault.reference && self.broken.as_ref().is_none_or(|(at, _)| sample < *at) {
            self.broken = Some((sample, fault.reason.clone()));
        }
        self.give(sample, Err(fault.reason))
    }

    /// At the end: samples still outstanding are lost.
    fn settle(&mut self) -> ControlFlow<()> {
        while let Some((sample, reference)) = self.outstanding.pop_first() {
            self.fault(
                sample,
                Fault {
                    reason: passed_over(),
                    reference,
                },
            )?;
        }
        self.release()?;
        let left: BTreeSet<usize> = self.wanted.keys().copied().collect();
        for sample in left {
            let reason = match &self.broken {
                Some((at, reason)) if *at < sample => needs(*at, reason),
                _ => passed_over(),
            };
            self.give(sample, Err(reason))?;
        }
        ControlFlow::Continue(())
    }
}

fn refusal(e: Error) -> String {
    format!("the decoder refuses it ({e})")
}

fn passed_over() -> String {
    "the decoder gave no picture for it".to_owned()
}

fn needs(sample: usize, reason: &str) -> String {
    format!("it needs coded picture {sample}, which is damaged: {reason}")
}

//! The properties of a packet that are known without decoding it.

use ffmpeg_next::codec::Id;
use rusty_h264_common::nal::split_annex_b;

use super::mpeg4;
use crate::nal::{self, Entry, Nal};

/// The contents of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Traits {
    /// Whether a decoder returns a picture for it.
    pub shown: bool,
    /// Whether decoding can begin at it; `None` if the packet does not show it.
    pub entry: Option<Entry>,
    /// No other picture refers to it, except in a higher temporal layer.
    pub disposable: bool,
    /// Its temporal layer.
    pub layer: u8,
}

impl Traits {
    const PLAIN: Self = Self {
        shown: true,
        entry: None,
        disposable: false,
        layer: 0,
    };
}

/// The structure of a stream's packets.
#[derive(Debug, Clone, Copy)]
pub(super) struct Syntax {
    id: Id,
    /// Bytes of the length before each NAL unit; `None`: start codes.
    length_size: Option<usize>,
}

impl Syntax {
    pub(super) fn of(id: Id, extradata: &[u8]) -> Self {
        let at = |i: usize| extradata.get(i).map(|b| usize::from(b & 3) + 1);
        let length_size = match (id, extradata.first()) {
            (Id::H264, Some(1)) => at(4),
            (Id::HEVC, Some(1)) => at(21),
            _ => None,
        };
        Self { id, length_size }
    }

    /// Whether every packet is one picture or none, and marks which.
    pub(super) fn tells_pictures(self) -> bool {
        matches!(self.id, Id::H264 | Id::HEVC | Id::VP8 | Id::VP9 | Id::AV1)
    }

    pub(super) fn look(self, packet: &[u8]) -> Traits {
        match self.id {
            Id::H264 => h264(&self.units(packet)),
            Id::HEVC => hevc(&self.units(packet)),
            Id::VP8 => Traits {
                shown: packet.first().is_some_and(|b| b & 0x10 != 0),
                entry: Some(entry_if(packet.first().is_some_and(|b| b & 1 == 0))),
                ..Traits::PLAIN
            },
            Id::VP9 => vp9(packet),
            Id::MPEG4 => Traits {
                disposable: mpeg4::is_single_b(packet),
                ..Traits::PLAIN
            },
            _ => Traits::PLAIN,
        }
    }

    fn units(self, packet: &[u8]) -> Vec<&[u8]> {
        match self.length_size {
            Some(size) => nal::split_head(packet, size).iter().map(|n| n.bytes).collect(),
            None => split_annex_b(packet).into_iter().filter(|u| !u.is_empty()).collect(),
        }
    }
}

fn entry_if(yes: bool) -> Entry {
    if yes { Entry::Idr } else { Entry::None }
}

fn h264(units: &[&[u8]]) -> Traits {
    let nals: Vec<Nal<'_>> = units.iter().map(|&bytes| Nal { bytes }).collect();
    let mut slices = nals
        .iter()
        .filter(|n| n.is_slice() || matches!(n.kind(), 2..=4))
        .peekable();
    let has_picture = slices.peek().is_some();
    let reference = slices.any(|n| n.is_reference());
    Traits {
        shown: has_picture,
        entry: Some(nal::entry(&nals)),
        disposable: has_picture && !reference,
        layer: 0,
    }
}

/// ITU-T H.265, table 7-1.
fn hevc(units: &[&[u8]]) -> Traits {
    let pictures = || {
        units
            .iter()
            .filter(|u| u.len() > 1)
            .map(|u| (u[0] >> 1 & 0x3f, u[1] & 7))
            .filter(|u| u.0 < 32)
    };
    let Some((kind, layer)) = pictures().next() else {
        return Traits {
            entry: Some(Entry::None),
            shown: false,
            ..Traits::PLAIN
        };
    };
    Traits {
        shown: true,
        entry: Some(match kind {
            19 | 20 => Entry::Idr,
            16..=18 | 21 => Entry::Recovery,
            _ => Entry::None,
        }),
        // Even numbers below 16: not a reference within its own temporal layer.
        disposable: kind < 16 && kind % 2 == 0,
        layer,
    }
}

/// The uncompressed header of the first frame in a packet; the last of several is always shown.
fn vp9(packet: &[u8]) -> Traits {
    let (Some(&first), Some(&last)) = (packet.first(), packet.last()) else {
        return Traits {
            entry: Some(Entry::None),
            shown: false,
            ..Traits::PLAIN
        };
    };
    let several = last & 0xe0 == 0xc0;
    // frame_marker, two profile bits, a reserved one in profile 3
    let at = if first & 0x30 == 0x30 { 5 } else { 4 };
    let bit = |i: usize| first >> (7 - i) & 1 == 1;
    let (existing, inter, show) = (bit(at), bit(at + 1), bit(at + 2));
    Traits {
        shown: several || existing || show,
        entry: Some(entry_if(!existing && !inter)),
        ..Traits::PLAIN
    }
}

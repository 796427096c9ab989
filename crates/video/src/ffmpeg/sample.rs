//! Packets as an index stores them.

use ffmpeg_next::codec::Id;

use super::mpeg4::Unpacker;

/// One packet, in decoding order.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sample {
    /// Its byte in the file, or -1; with the size it identifies the packet after a seek.
    pub position: i64,
    pub size: u32,
    /// The time to seek to for it.
    pub time: i64,
    /// Its position among all samples in display order.
    pub rank: u32,
    /// Whether a decoder returns a picture for it.
    pub shown: bool,
    /// Whether no other picture refers to it.
    pub disposable: bool,
    /// Whether it was already truncated when the index was made.
    pub damaged: bool,
    /// Whether reading can begin at it: it shares no packet with the one before.
    pub clean: bool,
}

impl Sample {
    pub(super) fn place(&self) -> (i64, u32) {
        (self.position, self.size)
    }
}

/// The unpacker that a codec's packets need, if any.
pub(super) fn unpacker(id: Id) -> Option<Unpacker> {
    (id == Id::MPEG4).then(Unpacker::default)
}

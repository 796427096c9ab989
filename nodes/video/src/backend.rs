//! Which code decodes.

use std::fmt;

/// What decodes video files. Frames of a sound file are the same bytes whichever it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Decoding {
    /// The system's FFmpeg where this build has it, which is faster and reads everything; else
    /// the pure-Rust decoder.
    #[default]
    Auto,
    /// The pure-Rust decoder: 8-bit 4:2:0 progressive H.264 in mp4 or mov.
    Rust,
    /// The system's FFmpeg, in a build with the feature `ffmpeg`.
    Ffmpeg,
}

impl Decoding {
    /// Whether this build has it.
    pub fn is_built(self) -> bool {
        self != Self::Ffmpeg || cfg!(feature = "ffmpeg")
    }

    /// Whether libavcodec decodes.
    pub(crate) fn is_ffmpeg(self) -> bool {
        cfg!(feature = "ffmpeg") && self != Self::Rust
    }
}

impl fmt::Display for Decoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Rust => "rust",
            Self::Ffmpeg => "ffmpeg",
        })
    }
}

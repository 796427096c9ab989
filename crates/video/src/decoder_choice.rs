//! The choice of decoder.

use std::fmt;

/// The decoder of video files; frames of an intact file are the same bytes with either. Folders of images need none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(
    feature = "parameters",
    derive(serde::Deserialize, schemars::JsonSchema),
    serde(rename_all = "snake_case")
)]
pub enum DecoderChoice {
    /// `ffmpeg` if the program was built with it, which is faster and reads everything; else `rust`.
    #[default]
    Auto,
    /// The decoder in pure Rust: 8-bit 4:2:0 progressive H.264 in mp4 or mov.
    Rust,
    /// The system's FFmpeg, of a program built with the feature `ffmpeg`: every codec and container that it supports.
    Ffmpeg,
}

impl DecoderChoice {
    /// Whether this build has it.
    #[must_use]
    pub fn is_built(self) -> bool {
        self != Self::Ffmpeg || cfg!(feature = "ffmpeg")
    }

    /// Its name in a graph.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Rust => "rust",
            Self::Ffmpeg => "ffmpeg",
        }
    }

    /// Whether libavcodec is the decoder.
    pub(crate) fn is_ffmpeg(self) -> bool {
        cfg!(feature = "ffmpeg") && self != Self::Rust
    }
}

/// The decoders of this build with their versions, for caches of anything that depends on decoded frames: for damaged files,
/// other versions may return other frames.
pub fn decoders() -> String {
    let own = concat!("glad-video ", env!("CARGO_PKG_VERSION")).to_owned();
    #[cfg(feature = "ffmpeg")]
    let own = format!(
        "{own} libavcodec {:#x} libavformat {:#x} libswscale {:#x}",
        ffmpeg_next::codec::version(),
        ffmpeg_next::format::version(),
        ffmpeg_next::software::scaling::version()
    );
    own
}

impl fmt::Display for DecoderChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

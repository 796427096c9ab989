//! Decoding with the system's FFmpeg libraries, through `ffmpeg-next`.
//!
//! libavcodec decodes H.264 in mp4 and mov with the same index as the pure-Rust decoder
//! ([`h264`]); other files go through libavformat, with an index made from its packets
//! ([`index`]). Either way each stretch from an entry point on is decoded separately, by one
//! thread, and a decoder's warning counts as damage, which libav would conceal.

mod decoder;
pub(crate) mod h264;
pub(crate) mod index;
mod input;
mod mpeg4;
mod order;
mod picture;
mod sample;
mod stretch;
mod survey;
mod track;

use std::sync::Once;

pub(crate) use index::AvIndex;

/// To be called before the first use of the libraries.
fn prepare() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // Registers the errors' names; nothing else can fail.
        let _ = ffmpeg_next::init();
        // Failures are returned as errors; libav's own log would go to the terminal.
        ffmpeg_next::log::set_level(ffmpeg_next::log::Level::Quiet);
    });
}

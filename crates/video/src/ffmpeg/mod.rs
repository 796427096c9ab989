//! Decoding by the system's FFmpeg libraries, through `ffmpeg-next`.
//!
//! libavcodec decodes H.264 in mp4 and mov by the same index as the pure-Rust decoder
//! ([`h264`]); what that does not read goes through libavformat, by an index made of its packets
//! ([`index`]). Either way each stretch from an entry point on is decoded on its own, by one
//! thread, and a decoder's complaint is damage: libav would conceal it.

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

/// Before the first call to the libraries.
fn prepare() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // Gives the errors their names; there is nothing else to fail.
        let _ = ffmpeg_next::init();
        // What goes wrong is told by errors; libav's own log goes to the terminal.
        ffmpeg_next::log::set_level(ffmpeg_next::log::Level::Quiet);
    });
}

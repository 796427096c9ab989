//! A libavcodec decoder that tracks the sample of each packet and reports it with each picture.

use ffmpeg_next::codec::decoder::{Check, Video};
use ffmpeg_next::codec::{Context, Id, Parameters};
use ffmpeg_next::error::EAGAIN;
use ffmpeg_next::ffi::{AV_CODEC_FLAG_OUTPUT_CORRUPT, AV_CODEC_FLAG_UNALIGNED};
use ffmpeg_next::{Error, Packet, frame, packet};

/// Pictures that an H.264 decoder may hold back, as many as libavcodec can keep.
const MAX_DELAY: usize = 15;

pub(super) struct Decoder {
    inner: Video,
    picture: frame::Video,
}

/// A picture, and the sample it was coded in.
pub(super) struct Decoded<'a> {
    /// `None` if the decoder lost it.
    pub sample: Option<usize>,
    pub picture: &'a frame::Video,
    /// Whether the decoder concealed an error.
    pub concealed: bool,
}

impl Decoder {
    /// A decoder for a stream.
    pub(super) fn of(parameters: &Parameters, max_pixels: u64) -> Result<Self, Error> {
        Self::open(
            Context::from_parameters(parameters.clone())?,
            parameters.id(),
            None,
            max_pixels,
        )
    }

    /// A decoder for an H.264 stream with start codes and parameter sets, which holds `delay` pictures back
    /// to return them in display order. Few is faster; `None` is safe.
    pub(super) fn h264(delay: Option<usize>, max_pixels: u64) -> Result<Self, Error> {
        let codec = ffmpeg_next::decoder::find(Id::H264).ok_or(Error::DecoderNotFound)?;
        Self::open(Context::new_with_codec(codec), Id::H264, delay, max_pixels)
    }

    fn open(mut context: Context, id: Id, delay: Option<usize>, max_pixels: u64) -> Result<Self, Error> {
        // SAFETY: the context was just created and is not shared; these are plain integers.
        unsafe {
            let raw = context.as_mut_ptr();
            (*raw).thread_count = 1;
            // This crate decides whether a picture is intact. libavcodec would drop intact ones after
            // the start of an open GOP, of which not all pictures are fed to it.
            (*raw).flags |= AV_CODEC_FLAG_OUTPUT_CORRUPT as i32;
            // Crops to the exact pixel, even if the data is then unaligned.
            (*raw).flags |= AV_CODEC_FLAG_UNALIGNED as i32;
            (*raw).max_pixels = i64::try_from(max_pixels).unwrap_or(i64::MAX);
            if id == Id::H264 {
                // It would otherwise learn the number by losing some pictures.
                (*raw).has_b_frames = delay.unwrap_or(MAX_DELAY).min(MAX_DELAY) as i32;
            }
        }
        Ok(Self {
            inner: context.decoder().video()?,
            picture: frame::Video::empty(),
        }
        .strict(true))
    }

    /// Sets the error handling. With `strict` any irregularity is an error. Without it, after the start of an open GOP, only
    /// damage to a picture is: its leading pictures, whose references are missing, are not shown.
    pub(super) fn strict(mut self, strict: bool) -> Self {
        let mut check = Check::CRC | Check::BITSTREAM | Check::BUFFER;
        check.set(Check::EXPLODE, strict);
        // SAFETY: the context is owned; this is a plain integer, which is read for each picture.
        unsafe { (*self.inner.as_mut_ptr()).err_recognition = check.bits() };
        self
    }

    /// Feeds a packet, which is `sample`.
    pub(super) fn send(&mut self, packet: &mut Packet, sample: usize) -> Result<(), Error> {
        packet.set_pts(Some(sample as i64));
        packet.set_dts(Some(sample as i64));
        // Not `discard`: the index decides which pictures are shown.
        packet.set_flags(packet.flags() & packet::Flags::KEY);
        self.inner.send_packet(packet)
    }

    /// Signals the end of the packets.
    pub(super) fn finish(&mut self) -> Result<(), Error> {
        self.inner.send_eof()
    }

    /// The next picture, if one is ready.
    pub(super) fn receive(&mut self) -> Result<Option<Decoded<'_>>, Error> {
        match self.inner.receive_frame(&mut self.picture) {
            Ok(()) => Ok(Some(Decoded {
                sample: self.picture.pts().and_then(|n| usize::try_from(n).ok()),
                concealed: self.picture.is_corrupt() || self.picture.has_decode_errors(),
                picture: &self.picture,
            })),
            Err(Error::Eof | Error::Other { errno: EAGAIN }) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Drops all pictures, for a new start.
    pub(super) fn flush(&mut self) {
        self.inner.flush();
    }
}

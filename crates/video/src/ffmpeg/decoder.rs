//! A libavcodec decoder that is told which sample each packet is, and tells it of each picture.

use ffmpeg_next::codec::decoder::{Check, Video};
use ffmpeg_next::codec::{Context, Id, Parameters};
use ffmpeg_next::error::EAGAIN;
use ffmpeg_next::ffi::{AV_CODEC_FLAG_OUTPUT_CORRUPT, AV_CODEC_FLAG_UNALIGNED};
use ffmpeg_next::{Error, Packet, frame, packet};

/// Pictures that H.264 may hold back, as many as libavcodec can keep.
const MAX_DELAY: usize = 15;

pub(super) struct Decoder {
    inner: Video,
    picture: frame::Video,
}

/// A picture, and the sample it was coded in.
pub(super) struct Decoded<'a> {
    /// `None` where the decoder lost it.
    pub sample: Option<usize>,
    pub picture: &'a frame::Video,
    /// Whether the decoder filled something in.
    pub concealed: bool,
}

impl Decoder {
    /// One for a stream.
    pub fn of(parameters: &Parameters, max_pixels: u64) -> Result<Self, Error> {
        Self::open(
            Context::from_parameters(parameters.clone())?,
            parameters.id(),
            None,
            max_pixels,
        )
    }

    /// One for an H.264 stream with start codes and parameter sets, which holds `delay` pictures back
    /// to give them in display order. Few is faster; `None` is safe.
    pub fn h264(delay: Option<usize>, max_pixels: u64) -> Result<Self, Error> {
        let codec = ffmpeg_next::decoder::find(Id::H264).ok_or(Error::DecoderNotFound)?;
        Self::open(Context::new_with_codec(codec), Id::H264, delay, max_pixels)
    }

    fn open(mut context: Context, id: Id, delay: Option<usize>, max_pixels: u64) -> Result<Self, Error> {
        // SAFETY: the context was just made and nobody else has it; these are plain numbers.
        unsafe {
            let raw = context.as_mut_ptr();
            (*raw).thread_count = 1;
            // Whether a picture is sound is judged here. libavcodec would keep back sound ones after
            // the start of an open GOP, of which not all pictures are fed.
            (*raw).flags |= AV_CODEC_FLAG_OUTPUT_CORRUPT as i32;
            // Crops to the pixel, wherever that lies in memory.
            (*raw).flags |= AV_CODEC_FLAG_UNALIGNED as i32;
            (*raw).max_pixels = i64::try_from(max_pixels).unwrap_or(i64::MAX);
            if id == Id::H264 {
                // It would otherwise find out how many there are by losing some.
                (*raw).has_b_frames = delay.unwrap_or(MAX_DELAY).min(MAX_DELAY) as i32;
            }
        }
        Ok(Self {
            inner: context.decoder().video()?,
            picture: frame::Video::empty(),
        }
        .strict(true))
    }

    /// Sets how it takes what it does not expect: an error at once, or, where pictures are `open`,
    /// that is predicted from some that were left out and will not be shown, only what spoils a picture.
    pub fn strict(mut self, strict: bool) -> Self {
        let mut check = Check::CRC | Check::BITSTREAM | Check::BUFFER;
        check.set(Check::EXPLODE, strict);
        // SAFETY: the context is ours; this is a plain number, which is read picture by picture.
        unsafe { (*self.inner.as_mut_ptr()).err_recognition = check.bits() };
        self
    }

    /// Feeds a packet, which is `sample`.
    pub fn send(&mut self, packet: &mut Packet, sample: usize) -> Result<(), Error> {
        packet.set_pts(Some(sample as i64));
        packet.set_dts(Some(sample as i64));
        // Not `discard`: which pictures are shown is the index's to say.
        packet.set_flags(packet.flags() & packet::Flags::KEY);
        self.inner.send_packet(packet)
    }

    /// Says that no packet will follow.
    pub fn finish(&mut self) -> Result<(), Error> {
        self.inner.send_eof()
    }

    /// The next picture, if one is ready.
    pub fn receive(&mut self) -> Result<Option<Decoded<'_>>, Error> {
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

    /// Forgets all pictures, to begin anew.
    pub fn flush(&mut self) {
        self.inner.flush();
    }
}

//! Files through libavformat: opening, and reading and seeking in one video stream.

use std::cmp::Reverse;
use std::ffi::CString;
use std::path::Path;
use std::ptr;

use ffmpeg_next::codec::Id;
use ffmpeg_next::ffi::{
    AV_CODEC_PROP_INTRA_ONLY, AV_PKT_FLAG_DISCARD, AVDiscard, AVFMTCTX_NOHEADER, AVFieldOrder, avcodec_descriptor_get,
    avformat_find_stream_info, avformat_open_input, avformat_seek_file,
};
use ffmpeg_next::format::context::Input;
use ffmpeg_next::format::stream::Disposition;
use ffmpeg_next::media::Type;
use ffmpeg_next::packet::Ref;
use ffmpeg_next::packet::side_data;
use ffmpeg_next::{Dictionary, Error, Packet, Stream};

use crate::mp4::choice;
use crate::orientation::Orientation;

/// Containers that may be opened: those that hold their video themselves. Playlists and scripts
/// (HLS, DASH, concat) name other files, which untrusted input must not do.
const FORMATS: &str = "mov,mp4,avi,matroska,webm,mpegts,mpeg,mpegvideo,flv,asf,ogg,gif,h264,hevc,m4v,obu,av1,ivf,mxf,\
                       nut,rm,dv,yuv4mpegpipe,vc1,mjpeg,wtv,nsv,swf,amv,bink,smk,roq,viv,xmv,wv,apng,webp_pipe,3gp";

/// Opens a file, without looking at its streams.
fn open(path: &Path) -> Result<Input, Error> {
    let name = [b"file:", path.as_os_str().as_encoded_bytes()].concat();
    let name = CString::new(name).map_err(|_| Error::InvalidData)?;
    let mut options = Dictionary::new();
    options.set("protocol_whitelist", "file");
    options.set("format_whitelist", FORMATS);
    let mut raw = ptr::null_mut();
    // SAFETY: `name` is a string that ends in zero; `options` is passed and returned;
    // `raw`, if set, is a context that is not shared.
    unsafe {
        let mut options = options.disown();
        let answer = avformat_open_input(&mut raw, name.as_ptr(), ptr::null(), &mut options);
        drop(Dictionary::own(options));
        match answer {
            0.. => Ok(Input::wrap(raw)),
            e => Err(Error::from(e)),
        }
    }
}

/// Determines the streams' properties, by decoding a part of them if necessary.
fn survey(input: &mut Input) -> Result<(), Error> {
    // SAFETY: the context is open.
    match unsafe { avformat_find_stream_info(input.as_mut_ptr(), ptr::null_mut()) } {
        0.. => Ok(()),
        e => Err(Error::from(e)),
    }
}

/// The streams that hold video.
fn videos(input: &Input) -> impl Iterator<Item = Stream<'_>> {
    input
        .streams()
        .filter(|s| s.parameters().medium() == Type::Video)
        .filter(|s| !s.disposition().contains(Disposition::ATTACHED_PIC))
}

/// Width and height of a stream's pictures, as far as the container or their headers state it.
fn size(stream: &Stream<'_>) -> (usize, usize) {
    let parameters = stream.parameters();
    // SAFETY: the parameters live as long as the stream.
    let (width, height) = unsafe { ((*parameters.as_ptr()).width, (*parameters.as_ptr()).height) };
    let side = |n: i32| usize::try_from(n).unwrap_or(0);
    (side(width), side(height))
}

/// Whether a packet's picture is only a reference: an edit list hides it.
pub(super) fn is_hidden(packet: &Packet) -> bool {
    // SAFETY: the packet is valid; this is a plain integer.
    unsafe { (*packet.as_ptr()).flags & AV_PKT_FLAG_DISCARD != 0 }
}

/// Whether every picture of a codec is intra-coded.
pub(super) fn is_intra_only(id: Id) -> bool {
    // SAFETY: the result is null or a constant of the library.
    unsafe {
        let descriptor = avcodec_descriptor_get(id.into());
        !descriptor.is_null() && (*descriptor).props & AV_CODEC_PROP_INTRA_ONLY != 0
    }
}

/// A file, read packet after packet.
pub(super) struct Reader {
    input: Input,
    stream: usize,
}

impl Reader {
    /// Opens a file and chooses its video stream as the program `ffmpeg` does: the one with most pixels, with a preference
    /// for those that are marked as default. Cover pictures do not count.
    pub(super) fn first(path: &Path) -> Result<Option<Self>, Error> {
        let mut input = open(path)?;
        survey(&mut input)?;
        let chosen = videos(&input)
            .max_by_key(|s| {
                let (width, height) = size(s);
                let advance = if s.disposition().contains(Disposition::DEFAULT) {
                    5_000_000
                } else {
                    0
                };
                (width * height + advance, Reverse((s.id(), s.index())))
            })
            .map(|s| s.index());
        Ok(chosen.map(|stream| Self::of(input, stream)))
    }

    /// A note on which of several video streams was chosen.
    pub(super) fn remark(&self) -> Option<String> {
        let sizes: Vec<_> = videos(&self.input).map(|s| (s.index(), size(&s))).collect();
        choice(self.stream, &sizes)
    }

    /// Opens a file again whose stream is known.
    pub(super) fn again(path: &Path, stream: usize) -> Result<Self, Error> {
        let mut input = open(path)?;
        // SAFETY: the context is open.
        let headless = unsafe { (*input.as_ptr()).ctx_flags & AVFMTCTX_NOHEADER != 0 };
        if headless || input.nb_streams() as usize <= stream {
            survey(&mut input)?;
        }
        if input.nb_streams() as usize <= stream {
            return Err(Error::StreamNotFound);
        }
        Ok(Self::of(input, stream))
    }

    fn of(mut input: Input, stream: usize) -> Self {
        for mut other in input.streams_mut().filter(|s| s.index() != stream) {
            // SAFETY: the stream belongs to the context, which is owned.
            unsafe { (*other.as_mut_ptr()).discard = AVDiscard::AVDISCARD_ALL };
        }
        Self { input, stream }
    }

    pub(super) fn stream(&self) -> Stream<'_> {
        match self.input.stream(self.stream) {
            Some(s) => s,
            // Both constructors have checked this.
            None => unreachable!("the stream is there"),
        }
    }

    /// The next packet of the stream; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Packet>, Error> {
        loop {
            let mut packet = Packet::empty();
            match packet.read(&mut self.input) {
                Ok(()) if packet.stream() == self.stream => return Ok(Some(packet)),
                Ok(()) => {}
                Err(Error::Eof) => return Ok(None),
                Err(e) => return Err(e),
            }
        }
    }

    /// Seeks to the last readable position at or before a time.
    pub(super) fn seek(&mut self, time: i64) -> Result<(), Error> {
        // SAFETY: the context is open and has the stream.
        match unsafe { avformat_seek_file(self.input.as_mut_ptr(), self.stream as i32, i64::MIN, time, time, 0) } {
            0.. => Ok(()),
            e => Err(Error::from(e)),
        }
    }

    /// Whether the container declares progressive video.
    pub(super) fn is_progressive(&self) -> bool {
        let parameters = self.stream().parameters();
        // SAFETY: the parameters live as long as the stream.
        unsafe { (*parameters.as_ptr()).field_order == AVFieldOrder::AV_FIELD_PROGRESSIVE }
    }

    /// The codec's extradata.
    pub(super) fn extradata(&self) -> Vec<u8> {
        let parameters = self.stream().parameters();
        // SAFETY: the parameters live as long as the stream, and own that many bytes.
        unsafe {
            let raw = &*parameters.as_ptr();
            if raw.extradata.is_null() || raw.extradata_size <= 0 {
                return Vec::new();
            }
            std::slice::from_raw_parts(raw.extradata, raw.extradata_size as usize).to_vec()
        }
    }

    /// The name of the container.
    pub(super) fn container(&self) -> String {
        self.input.format().name().to_owned()
    }

    /// The number of samples in the container's table, if it has a complete one.
    pub(super) fn table_length(&self) -> Option<usize> {
        if !self.container().starts_with("mov") {
            return None;
        }
        let stream = self.stream();
        // SAFETY: the stream belongs to the open context.
        let count = unsafe { ffmpeg_next::ffi::avformat_index_get_entries_count(stream.as_ptr()) };
        usize::try_from(count).ok().filter(|n| *n > 0)
    }

    /// The orientation of the pictures.
    pub(super) fn orientation(&self) -> Orientation {
        let stream = self.stream();
        let matrix = stream.side_data().find(|s| s.kind() == side_data::Type::DisplayMatrix);
        let Some(matrix) = matrix else {
            return Orientation::UPRIGHT;
        };
        let (words, _) = matrix.data().as_chunks::<4>();
        match <&[[u8; 4]; 9]>::try_from(words) {
            Ok(words) => Orientation::from_display_matrix(&words.map(i32::from_ne_bytes)),
            Err(_) => Orientation::UPRIGHT,
        }
    }
}

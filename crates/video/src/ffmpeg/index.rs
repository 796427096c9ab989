//! The index of a file that libavformat reads: display order, entry points.

use std::path::Path;

use ffmpeg_next::Error;
use ffmpeg_next::codec::{Id, Parameters};

use super::input::{Reader, is_intra_only};
use super::order::Syntax;
use super::sample::Sample;
use super::survey::{Raw, Survey};
use crate::nal::Entry;
use crate::orientation::Orientation;
use crate::{Limits, VideoError};

/// Everything that is needed to decode any frame.
pub(crate) struct AvIndex {
    pub(super) stream: usize,
    pub(super) parameters: SharedParameters,
    pub(super) samples: Vec<Sample>,
    /// The samples by position and size.
    by_position: Vec<u32>,
    /// The sample of each frame, in display order.
    pub frames: Vec<u32>,
    /// The samples at which decoding can begin, ascending.
    entries: Vec<(u32, Entry)>,
    pub fps: Option<f64>,
    /// A note on which of several streams was chosen.
    pub remark: Option<String>,
    pub(super) orientation: Orientation,
    pub(super) width: usize,
    pub(super) height: usize,
}

/// Parameters that are only read.
pub(super) struct SharedParameters(pub Parameters);

// SAFETY: an owned copy, which is never modified or moved out: it is copied into decoders.
unsafe impl Sync for SharedParameters {}

impl AvIndex {
    /// Reads all packets of a file's video stream; decodes them if they do not show the order
    /// of the pictures.
    pub(crate) fn read(path: &Path, limits: &Limits) -> Result<Self, VideoError> {
        super::prepare();
        let refused = |e: Error| VideoError::malformed(path, format!("libavformat does not read it ({e})"));
        let Some(mut reader) = Reader::first(path).map_err(refused)? else {
            return Err(VideoError::malformed(
                path,
                "there is no video in it; it has no video stream",
            ));
        };
        let parameters = reader.stream().parameters().clone();
        let id = parameters.id();
        let syntax = Syntax::of(id, &reader.extradata());
        let mut survey = Survey::of(path, limits, &parameters, syntax);
        let intra = is_intra_only(id);
        let mut plain = intra || syntax.tells_pictures() && (id != Id::H264 || reader.is_progressive());
        survey.packets(&mut reader, !plain)?;
        if plain && !intra && !survey.times_tell_the_order() {
            plain = false;
            let mut again = Reader::again(path, reader.stream().index()).map_err(refused)?;
            survey.packets(&mut again, true)?;
        }
        let table = reader.table_length().unwrap_or(0);
        if survey.raw.len() < table {
            return Err(VideoError::malformed(
                path,
                format!(
                    "the file is cut short: {} of its {table} coded pictures are there",
                    survey.raw.len()
                ),
            ));
        }
        let Some((width, height)) = survey.size else {
            return Err(VideoError::malformed(path, "none of its pictures can be decoded"));
        };
        let order = match (plain, intra) {
            (true, true) => (0..survey.raw.len() as u32).collect(),
            (true, false) => survey.by_time(),
            (false, _) => survey.by_decoding(),
        };
        let entries = survey.entries(intra);
        let index = Self {
            stream: reader.stream().index(),
            orientation: reader.orientation(),
            fps: rate(&reader),
            remark: reader.remark(),
            width,
            height,
            ..Self::arranged(survey.raw, order, entries, parameters.clone())
        };
        if index.frames.is_empty() {
            return Err(VideoError::malformed(path, "its video stream has no frames"));
        }
        Ok(index)
    }

    /// Ranks the samples by `order`, their display order, and lists the frames that can be reached.
    fn arranged(raw: Vec<Raw>, order: Vec<u32>, entries: Vec<(u32, Entry)>, parameters: Parameters) -> Self {
        let topmost = raw.iter().map(|r| r.traits.layer).max();
        let hidden: Vec<bool> = raw.iter().map(|r| r.hidden).collect();
        let mut samples: Vec<Sample> = raw
            .iter()
            .map(|r| Sample {
                // In the highest temporal layer no other picture can refer to it.
                disposable: r.traits.disposable && Some(r.traits.layer) == topmost,
                shown: false,
                ..r.sample
            })
            .collect();
        for (rank, &s) in order.iter().enumerate() {
            samples[s as usize].rank = rank as u32;
            samples[s as usize].shown = true;
        }
        let mut by_position: Vec<u32> = (0..samples.len() as u32).collect();
        by_position.sort_by_key(|&s| samples[s as usize].place());
        let mut index = Self {
            stream: 0,
            parameters: SharedParameters(parameters),
            samples,
            by_position,
            frames: Vec::new(),
            entries,
            fps: None,
            remark: None,
            orientation: Orientation::UPRIGHT,
            width: 0,
            height: 0,
        };
        // Pictures before the first start are not shown by any player.
        index.frames = order
            .into_iter()
            .filter(|&s| !hidden[s as usize] && index.entry_before(s as usize).is_some())
            .collect();
        index
    }

    /// Width and height of an upright frame.
    pub(crate) fn size(&self) -> (usize, usize) {
        self.orientation.size(self.width, self.height)
    }

    pub(super) fn entry_before(&self, sample: usize) -> Option<(usize, bool)> {
        let upto = self.entries.partition_point(|&(e, _)| e as usize <= sample);
        self.entries[..upto]
            .iter()
            .rev()
            .find(|&&(e, kind)| kind == Entry::Idr || self.samples[e as usize].rank <= self.samples[sample].rank)
            .map(|&(e, kind)| (e as usize, kind == Entry::Recovery))
    }

    /// The sample at a file position, if there is exactly one.
    pub(super) fn find(&self, position: i64, size: usize) -> Option<usize> {
        let place = (position, u32::try_from(size).ok()?);
        let at = |i: usize| self.by_position.get(i).map(|&s| self.samples[s as usize].place());
        let i = self
            .by_position
            .partition_point(|&s| self.samples[s as usize].place() < place);
        (position >= 0 && at(i) == Some(place) && at(i + 1) != Some(place)).then(|| self.by_position[i] as usize)
    }
}

/// Frames a second, on average.
fn rate(reader: &Reader) -> Option<f64> {
    let rate = reader.stream().avg_frame_rate();
    (rate.numerator() > 0 && rate.denominator() > 0)
        .then(|| f64::from(rate.numerator()) / f64::from(rate.denominator()))
}

//! Reads and checks coded pictures of an H.264 track, in the form that a decoder needs.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use crate::h264::{H264Index, Sample, annex_b};
use crate::parameter_sets::ParameterSets;
use crate::regular::open_file;
use crate::sps;
use crate::{Limits, VideoError, nal};

/// One sample that did not decode.
pub(crate) struct Fault {
    pub reason: String,
    /// Whether it is a reference picture.
    pub reference: bool,
}

/// A coded picture with start codes.
pub(crate) struct Coded {
    pub stream: Vec<u8>,
    /// Whether it is a reference picture.
    pub reference: bool,
    /// Macroblocks to decode, counting each slice up to the end of the picture.
    pub work: u64,
}

/// Reads samples of an open file.
pub(crate) struct Access<'a> {
    index: &'a H264Index,
    limits: &'a Limits,
    file: File,
    length: u64,
    /// Whether the decoder needs the messages (SEI) as well.
    messages: bool,
}

impl<'a> Access<'a> {
    pub(crate) fn open(
        path: &Path,
        index: &'a H264Index,
        limits: &'a Limits,
        messages: bool,
    ) -> Result<Self, VideoError> {
        let file = open_file(path).map_err(|e| VideoError::io(path, e))?;
        let length = file.metadata().map_err(|e| VideoError::io(path, e))?.len();
        Ok(Self {
            index,
            limits,
            file,
            length,
            messages,
        })
    }

    /// The picture of a sample, with the track's parameter sets in front if it is the `first` that
    /// a decoder gets; `None` if it is neither requested nor a reference. `sets` are those in
    /// force, and are updated.
    pub(crate) fn picture(
        &mut self,
        sets: &mut ParameterSets,
        sample: usize,
        wanted: bool,
        first: bool,
    ) -> Result<Option<Coded>, Fault> {
        let whole = |reason| Fault {
            reason,
            reference: true,
        };
        let bytes = self.read(self.index.samples[sample]).map_err(whole)?;
        let nals = nal::split(&bytes, self.index.length_size).map_err(whole)?;
        let (reference, starts) = nal::picture(&nals).map_err(whole)?;
        if !reference && !wanted {
            return Ok(None);
        }
        let fault = |reason| Fault { reason, reference };
        let mut identity = None;
        for &nal in &nals {
            if nal.kind() == nal::SPS && !sps::parse(nal.bytes).is_ok_and(|set| set.same_size(&self.index.sps)) {
                return Err(whole("the size of the pictures changes here".to_owned()));
            }
            sets.add(nal).map_err(whole)?;
            if nal.is_slice() {
                let own = sets.check_slice(nal).map_err(fault)?;
                if own.is_some() && *identity.get_or_insert(own) != own {
                    return Err(fault("its slices are of several pictures".to_owned()));
                }
            }
        }
        let units = nals
            .iter()
            .filter(|n| {
                n.is_slice() || matches!(n.kind(), nal::SPS | nal::PPS) || self.messages && n.kind() == nal::SEI
            })
            .map(|n| n.bytes);
        let mut stream = annex_b(units);
        if first {
            stream.splice(..0, self.index.set_units.iter().copied());
        }
        let blocks = self.index.sps.coded_pixels / 256;
        Ok(Some(Coded {
            stream,
            reference,
            work: starts.iter().map(|s| blocks.saturating_sub(u64::from(*s))).sum(),
        }))
    }

    fn read(&mut self, sample: Sample) -> Result<Vec<u8>, String> {
        let size = u64::from(sample.size);
        if size > self.limits.max_sample_bytes {
            return Err(format!(
                "its {size} bytes are more than the limit of {}",
                self.limits.max_sample_bytes
            ));
        }
        if sample.offset.saturating_add(size) > self.length {
            return Err(format!(
                "its data, {size} bytes at {}, lies behind the end of the file at {}",
                sample.offset, self.length
            ));
        }
        let mut bytes = vec![0; size as usize];
        self.file
            .seek(SeekFrom::Start(sample.offset))
            .and_then(|_| self.file.read_exact(&mut bytes))
            .map_err(|e| format!("its data cannot be read: {e}"))?;
        Ok(bytes)
    }
}

//! From the encoder's output to the contents of an mp4 file.

use shiguredo_mp4::Uint;
use shiguredo_mp4::boxes::{Avc1Box, AvccBox, SampleEntry, VisualSampleEntryFields};

use super::colour::Matrix;

/// The headers a decoder starts from.
#[derive(Default)]
pub(super) struct ParameterSets {
    sequence: Vec<Vec<u8>>,
    picture: Vec<Vec<u8>>,
}

impl ParameterSets {
    /// The `avc1` entry of the container, or `None` if a header is missing.
    pub(super) fn sample_entry(self, width: usize, height: usize, matrix: Matrix) -> Option<SampleEntry> {
        let &[_, profile, compatibility, level, ..] = self.sequence.first()?.as_slice() else {
            return None;
        };
        self.picture.first()?;
        let sequence = self.sequence.iter().map(|set| matrix.tag(set)).collect::<Option<_>>()?;
        // Only the profiles above Main carry the sample format (ISO/IEC 14496-15, 5.3.3.1).
        let high = !matches!(profile, 66 | 77 | 88);
        Some(SampleEntry::Avc1(Avc1Box {
            visual: VisualSampleEntryFields {
                data_reference_index: VisualSampleEntryFields::DEFAULT_DATA_REFERENCE_INDEX,
                width: u16::try_from(width).ok()?,
                height: u16::try_from(height).ok()?,
                horizresolution: VisualSampleEntryFields::DEFAULT_HORIZRESOLUTION,
                vertresolution: VisualSampleEntryFields::DEFAULT_VERTRESOLUTION,
                frame_count: VisualSampleEntryFields::DEFAULT_FRAME_COUNT,
                compressorname: VisualSampleEntryFields::NULL_COMPRESSORNAME,
                depth: VisualSampleEntryFields::DEFAULT_DEPTH,
            },
            avcc_box: AvccBox {
                avc_profile_indication: profile,
                profile_compatibility: compatibility,
                avc_level_indication: level,
                length_size_minus_one: Uint::new(3),
                sps_list: sequence,
                pps_list: self.picture,
                chroma_format: high.then(|| Uint::new(1)),
                bit_depth_luma_minus8: high.then(|| Uint::new(0)),
                bit_depth_chroma_minus8: high.then(|| Uint::new(0)),
                sps_ext_list: Vec::new(),
            },
            unknown_boxes: vec![matrix.colr()],
        }))
    }
}

/// Turns an Annex B access unit (start codes) into a container sample (32-bit lengths), with the
/// parameter sets taken out. Returns whether it holds an IDR picture.
pub(super) fn to_length_prefixed(unit: &[u8], sample: &mut Vec<u8>, sets: &mut ParameterSets) -> bool {
    sample.clear();
    let mut idr = false;
    for nal in nal_units(unit) {
        match nal[0] & 0x1f {
            7 => sets.sequence.push(nal.to_vec()),
            8 => sets.picture.push(nal.to_vec()),
            // Delimiters are not needed in a container.
            9 => {}
            kind => {
                idr |= kind == 5;
                sample.extend_from_slice(&(nal.len() as u32).to_be_bytes());
                sample.extend_from_slice(nal);
            }
        }
    }
    idr
}

/// The NAL units between the start codes of an Annex B stream, none of them empty.
fn nal_units(stream: &[u8]) -> impl Iterator<Item = &[u8]> {
    let starts: Vec<usize> = stream
        .windows(3)
        .enumerate()
        .filter(|(_, code)| code == &[0, 0, 1])
        .map(|(at, _)| at)
        .collect();
    let ends: Vec<usize> = starts.iter().skip(1).copied().chain([stream.len()]).collect();
    starts.into_iter().zip(ends).filter_map(move |(at, end)| {
        let nal = &stream[at + 3..end];
        // A NAL unit never ends in a zero byte: those belong to the next start code.
        let last = nal.iter().rposition(|&byte| byte != 0)?;
        Some(&nal[..=last])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_annex_b() {
        let stream = [0, 0, 0, 1, 0x67, 5, 6, 0, 0, 1, 0x68, 9, 0, 0, 0, 1, 0x65, 0, 2];
        let units: Vec<&[u8]> = nal_units(&stream).collect();
        assert_eq!(units, [&[0x67, 5, 6][..], &[0x68, 9], &[0x65, 0, 2]]);
        let (mut sample, mut sets) = (Vec::new(), ParameterSets::default());
        assert!(to_length_prefixed(&stream, &mut sample, &mut sets));
        assert_eq!(sample, [0, 0, 0, 3, 0x65, 0, 2]);
        assert_eq!((sets.sequence.len(), sets.picture.len()), (1, 1));
    }
}

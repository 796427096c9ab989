//! The matrix from RGB to the coded planes, and its description in the file: a reader that has to guess may guess wrong.

use rusty_h264_common::nal::{emulation_prevent_into, emulation_unprevent};
use rusty_h264_common::{BitReader, BitWriter};
use shiguredo_mp4::boxes::UnknownBox;
use shiguredo_mp4::{BoxSize, BoxType};
use yuv::YuvStandardMatrix;

/// Pictures from this height on are coded with the matrix of BT.709, smaller ones with BT.601's: what a reader assumes that
/// reads neither the stream's nor the container's description.
const HD_HEIGHT: usize = 720;

/// A matrix, limited range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Matrix {
    Bt601,
    Bt709,
}

impl Matrix {
    /// The matrix for pictures of this height.
    pub(super) fn of_height(height: usize) -> Self {
        if height < HD_HEIGHT { Self::Bt601 } else { Self::Bt709 }
    }

    /// The converter's name for it.
    pub(super) fn standard(self) -> YuvStandardMatrix {
        match self {
            Self::Bt601 => YuvStandardMatrix::Bt601,
            Self::Bt709 => YuvStandardMatrix::Bt709,
        }
    }

    /// Colour primaries, transfer characteristics and matrix coefficients all have this number (ITU-T H.273, tables 2
    /// to 4): BT.709's, or SMPTE 170M's, which is BT.601 for 525 lines.
    fn code(self) -> u8 {
        match self {
            Self::Bt601 => 6,
            Self::Bt709 => 1,
        }
    }

    /// The sequence parameter set with a colour description (ITU-T H.264, annex E), which the encoder omits:
    /// its last bit before the trailing ones says so. `None` for a set in another form than the encoder's.
    pub(super) fn tag(self, nal: &[u8]) -> Option<Vec<u8>> {
        let (header, bytes) = nal.split_first()?;
        let rbsp = emulation_unprevent(bytes);
        let last = rbsp.iter().rposition(|&b| b != 0)?;
        let used = last * 8 + 7 - rbsp[last].trailing_zeros() as usize;
        let mut r = BitReader::new(&rbsp);
        let mut w = BitWriter::new();
        for _ in 0..used.checked_sub(1)? {
            w.write_bit(r.read_bit().ok()?);
        }
        if r.read_bit() != Ok(false) {
            return None;
        }
        w.write_bit(true); // vui_parameters_present_flag
        w.write_bits(0, 2); // aspect_ratio_info_present_flag, overscan_info_present_flag
        w.write_bit(true); // video_signal_type_present_flag
        w.write_bits(5, 3); // video_format: unspecified
        w.write_bit(false); // video_full_range_flag
        w.write_bit(true); // colour_description_present_flag
        for _ in 0..3 {
            w.write_bits(self.code().into(), 8);
        }
        // chroma_loc_info, timing_info, nal_hrd, vcl_hrd, pic_struct and bitstream_restriction: all absent
        w.write_bits(0, 6);
        w.rbsp_trailing_bits();
        let mut out = vec![*header];
        emulation_prevent_into(&w.into_bytes(), &mut out);
        Some(out)
    }

    /// The same for the container (ISO/IEC 14496-12, 12.1.5).
    pub(super) fn colr(self) -> UnknownBox {
        let code = self.code();
        let payload = [b"nclx".as_slice(), &[0, code, 0, code, 0, code], &[0]].concat();
        UnknownBox {
            box_type: BoxType::Normal(*b"colr"),
            box_size: BoxSize::U32(8 + payload.len() as u32),
            payload,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_that_says_something_already_is_not_touched() {
        // all of `mbs`, then one bit for the description and the trailing one
        let set = |vui: bool| {
            let mut w = BitWriter::new();
            w.write_bits(0xab_cdef, 24);
            w.write_bit(vui);
            w.rbsp_trailing_bits();
            [&[0x67][..], &w.into_bytes()].concat()
        };
        assert!(Matrix::Bt709.tag(&set(false)).is_some());
        assert!(Matrix::Bt709.tag(&set(true)).is_none());
        assert!(Matrix::Bt709.tag(&[0x67]).is_none());
        assert!(Matrix::Bt709.tag(&[]).is_none());
    }
}

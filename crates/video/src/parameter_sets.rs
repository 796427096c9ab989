//! The parameter sets in force, and the numbers of them and of slice headers that the decoder
//! takes on trust when it allocates.

use std::collections::BTreeMap;
use std::sync::Arc;

use rusty_h264_common::BitReader;
use rusty_h264_common::nal::emulation_unprevent;
use rusty_h264_decoder::{Pps, Sps};

use crate::nal::{self, Nal};

/// Reference pictures that a stream may keep (ITU-T H.264, A.3.1).
const MAX_REFERENCE_FRAMES: u32 = 16;

/// Entries of a list of reference pictures (7.4.2.2, fields included).
const MAX_LIST: u32 = 32;

/// A slice header lies within this many bytes, as far as it is read here.
const HEADER_BYTES: usize = 96;

/// Parameter sets by their numbers.
#[derive(Debug, Clone, Default)]
pub(crate) struct ParameterSets {
    sps: BTreeMap<u32, Arc<Sps>>,
    pps: BTreeMap<u32, Arc<Pps>>,
}

impl ParameterSets {
    /// Takes note of a parameter set; other units are passed over. The error is a fragment.
    pub fn add(&mut self, nal: Nal<'_>) -> Result<(), String> {
        let rbsp = || emulation_unprevent(&nal.bytes[1..]);
        match nal.kind() {
            nal::SPS => {
                let sps = Sps::parse(&rbsp()).map_err(|e| format!("a sequence parameter set: {e}"))?;
                if sps.max_num_ref_frames > MAX_REFERENCE_FRAMES {
                    return Err(format!(
                        "a sequence parameter set asks for {} reference pictures",
                        sps.max_num_ref_frames
                    ));
                }
                self.sps.insert(sps.seq_parameter_set_id, Arc::new(sps));
            }
            nal::PPS => {
                let pps = Pps::parse(&rbsp()).map_err(|e| format!("a picture parameter set: {e}"))?;
                check_list(pps.num_ref_idx_l0_default)?;
                check_list(pps.num_ref_idx_l1_default)?;
                self.pps.insert(pps.pic_parameter_set_id, Arc::new(pps));
            }
            _ => {}
        }
        Ok(())
    }

    /// Whether the header of a slice asks for more reference pictures than there can be. Headers
    /// that break off or name unknown sets are the decoder's to refuse.
    pub fn check_slice(&self, slice: Nal<'_>) -> Result<(), String> {
        match self.list_lengths(slice) {
            Some((first, second)) => check_list(first).and_then(|()| check_list(second)),
            None => Ok(()),
        }
    }

    /// `num_ref_idx_l0_active` and `l1` of a slice header (7.3.3), where it overrides them.
    fn list_lengths(&self, slice: Nal<'_>) -> Option<(u32, u32)> {
        let bytes = slice.bytes.get(1..)?;
        let rbsp = emulation_unprevent(&bytes[..bytes.len().min(HEADER_BYTES)]);
        let mut r = BitReader::new(&rbsp);
        r.read_ue().ok()?; // first_mb_in_slice
        let kind = r.read_ue().ok()?;
        let (predicted, both) = match kind {
            0 | 5 => (true, false),
            1 | 6 => (true, true),
            _ => (false, false),
        };
        let pps = self.pps.get(&r.read_ue().ok()?)?;
        let sps = self.sps.get(&pps.seq_parameter_set_id)?;
        r.read_bits(sps.log2_max_frame_num).ok()?;
        if !sps.frame_mbs_only {
            r.read_bit().ok()?; // field_pic_flag; fields are refused
        }
        if slice.kind() == nal::IDR_SLICE {
            r.read_ue().ok()?; // idr_pic_id
        }
        match sps.pic_order_cnt_type {
            0 => {
                r.read_bits(sps.log2_max_pic_order_cnt_lsb).ok()?;
                if pps.bottom_field_pic_order_present {
                    r.read_se().ok()?;
                }
            }
            1 if !sps.delta_pic_order_always_zero => {
                r.read_se().ok()?;
                if pps.bottom_field_pic_order_present {
                    r.read_se().ok()?;
                }
            }
            _ => {}
        }
        if pps.redundant_pic_cnt_present_flag {
            r.read_ue().ok()?;
        }
        if both {
            r.read_bit().ok()?; // direct_spatial_mv_pred_flag
        }
        // num_ref_idx_active_override_flag
        if !predicted || !r.read_bit().ok()? {
            return None;
        }
        let first = r.read_ue().ok()?.saturating_add(1);
        let second = match both {
            true => r.read_ue().ok()?.saturating_add(1),
            false => 0,
        };
        Some((first, second))
    }
}

fn check_list(length: u32) -> Result<(), String> {
    if length > MAX_LIST {
        return Err(format!("it refers to {length} pictures"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusty_h264_common::BitWriter;

    fn unit(header: u8, w: BitWriter) -> Vec<u8> {
        let mut out = vec![header];
        rusty_h264_common::nal::emulation_prevent_into(&w.into_bytes(), &mut out);
        out
    }

    fn sps(references: u32) -> Vec<u8> {
        let mut w = BitWriter::new();
        w.write_bits(77, 8);
        w.write_bits(0, 8);
        w.write_bits(30, 8);
        for v in [0, 0, 0, 4, references] {
            w.write_ue(v);
        }
        w.write_bit(false);
        w.write_ue(3);
        w.write_ue(3);
        w.write_bits(0b1100, 4);
        w.rbsp_trailing_bits();
        unit(0x67, w)
    }

    fn pps(list: u32) -> Vec<u8> {
        let mut w = BitWriter::new();
        w.write_ue(0);
        w.write_ue(0);
        w.write_bits(0, 2);
        w.write_ue(0);
        w.write_ue(list);
        w.write_ue(0);
        w.write_bits(0b100, 3);
        w.write_se(0);
        w.write_se(0);
        w.write_se(0);
        w.write_bits(0, 3);
        w.rbsp_trailing_bits();
        unit(0x68, w)
    }

    fn slice(kind: u32, lists: &[u32]) -> Vec<u8> {
        let mut w = BitWriter::new();
        w.write_ue(0);
        w.write_ue(kind);
        w.write_ue(0);
        w.write_bits(1, 4); // frame_num
        w.write_bits(2, 8); // pic_order_cnt_lsb
        if kind == 1 {
            w.write_bit(true);
        }
        w.write_bit(!lists.is_empty());
        for &l in lists {
            w.write_ue(l);
        }
        w.rbsp_trailing_bits();
        unit(0x41, w)
    }

    fn nal(bytes: &[u8]) -> Nal<'_> {
        Nal { bytes }
    }

    #[test]
    fn numbers_out_of_all_proportion_are_refused() {
        let mut sets = ParameterSets::default();
        // Before any set is known, a slice is the decoder's to judge.
        assert!(sets.check_slice(nal(&slice(0, &[99]))).is_ok());
        assert!(sets.add(nal(&sps(17))).is_err());
        sets.add(nal(&sps(16))).unwrap();
        assert!(sets.add(nal(&pps(32))).is_err());
        sets.add(nal(&pps(2))).unwrap();
        for (kind, lists) in [(0, &[][..]), (0, &[31]), (1, &[31, 31]), (2, &[])] {
            assert!(sets.check_slice(nal(&slice(kind, lists))).is_ok());
        }
        for (kind, lists) in [(0, &[32][..]), (0, &[1 << 30]), (1, &[0, 32])] {
            let e = sets.check_slice(nal(&slice(kind, lists)));
            assert!(e.is_err(), "{kind} {lists:?}");
        }
    }
}

//! The parameter sets in force. Their values, and those of slice headers, are checked before the decoder reads them, because it
//! does not check them before arithmetic and allocation.

use std::collections::BTreeMap;
use std::sync::Arc;

use rusty_h264_common::nal::emulation_unprevent;
use rusty_h264_decoder::{Pps, Sps};

use crate::bits::Bits;
use crate::nal::{self, Nal};
use crate::slice_header::{self, Context, HEADER_BYTES, Identity, LAST_REFERENCE};
use crate::sps;

/// Parameter sets by their numbers.
#[derive(Debug, Clone, Default)]
pub(crate) struct ParameterSets {
    sps: BTreeMap<u32, Arc<Sps>>,
    pps: BTreeMap<u32, Arc<Pps>>,
}

impl ParameterSets {
    /// Records a parameter set; other units are skipped. The error is a sentence fragment.
    pub(crate) fn add(&mut self, nal: Nal<'_>) -> Result<(), String> {
        let rbsp = || emulation_unprevent(&nal.bytes[1..]);
        match nal.kind() {
            nal::SPS => {
                let named = |e: &dyn std::fmt::Display| format!("a sequence parameter set: {e}");
                let rbsp = rbsp();
                sps::check(&rbsp).map_err(|e| named(&e))?;
                let sps = Sps::parse(&rbsp).map_err(|e| named(&e))?;
                self.sps.insert(sps.seq_parameter_set_id, Arc::new(sps));
            }
            nal::PPS => {
                let named = |e: &dyn std::fmt::Display| format!("a picture parameter set: {e}");
                let rbsp = rbsp();
                check_pps(&rbsp).map_err(|e| named(&e))?;
                let pps = Pps::parse(&rbsp).map_err(|e| named(&e))?;
                self.pps.insert(pps.pic_parameter_set_id, Arc::new(pps));
            }
            _ => {}
        }
        Ok(())
    }

    /// Checks the header of a slice: every value is within its bounds. Returns what all slices of its picture share; `None`
    /// if the decoder itself rejects the slice.
    pub(crate) fn check_slice(&self, slice: Nal<'_>) -> Result<Option<Identity>, String> {
        let bytes = slice.bytes.get(1..).unwrap_or(&[]);
        let rbsp = emulation_unprevent(&bytes[..bytes.len().min(HEADER_BYTES)]);
        let mut bits = Bits::new(&rbsp);
        let (first, kind, set) = slice_header::begin(&mut bits)?;
        let Some(pps) = self.pps.get(&set) else {
            return Err(format!("a slice names picture parameter set {set}, which is not there"));
        };
        let Some(sps) = self.sps.get(&pps.seq_parameter_set_id) else {
            return Err(format!(
                "a slice names sequence parameter set {}, which is not there",
                pps.seq_parameter_set_id
            ));
        };
        let blocks = sps.pic_width_in_mbs * sps.pic_height_in_mbs;
        if first as usize >= blocks {
            return Err(format!("a slice begins at macroblock {first} of {blocks}"));
        }
        let context = Context {
            sps,
            pps,
            idr: slice.kind() == nal::IDR_SLICE,
            reference: slice.is_reference(),
        };
        slice_header::rest(&mut bits, kind, &context).map_err(|e| format!("the header of a slice: {e}"))
    }
}

/// Checks the numbers of a picture parameter set (7.3.2.2).
fn check_pps(rbsp: &[u8]) -> Result<(), String> {
    let mut bits = Bits::new(rbsp);
    bits.ue("pic_parameter_set_id", 255)?;
    bits.ue("seq_parameter_set_id", 31)?;
    bits.flag("entropy_coding_mode_flag")?;
    bits.flag("bottom_field_pic_order_in_frame_present_flag")?;
    if bits.ue("num_slice_groups_minus1", 7)? > 0 {
        // The decoder does not read them, and reports that.
        return Ok(());
    }
    bits.ue("num_ref_idx_l0_default_active_minus1", LAST_REFERENCE)?;
    bits.ue("num_ref_idx_l1_default_active_minus1", LAST_REFERENCE)?;
    bits.flag("weighted_pred_flag")?;
    if bits.bits(2, "weighted_bipred_idc")? > 2 {
        return Err("`weighted_bipred_idc` is 3, above 2".to_owned());
    }
    bits.se("pic_init_qp_minus26", -26..=25)?;
    bits.se("pic_init_qs_minus26", -26..=25)?;
    bits.se("chroma_qp_index_offset", -12..=12)?;
    bits.bits(3, "redundant_pic_cnt_present_flag")?;
    if !bits.more() {
        return Ok(());
    }
    let transform = bits.flag("transform_8x8_mode_flag")?;
    if bits.flag("pic_scaling_matrix_present_flag")? {
        for list in 0..if transform { 8 } else { 6 } {
            if bits.flag("pic_scaling_list_present_flag")? {
                bits.scaling_list(if list < 6 { 16 } else { 64 })?;
            }
        }
    }
    bits.se("second_chroma_qp_index_offset", -12..=12)?;
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

    fn pps(list: u32, quantiser: i32) -> Vec<u8> {
        let mut w = BitWriter::new();
        w.write_ue(0);
        w.write_ue(0);
        w.write_bits(0, 2);
        w.write_ue(0);
        w.write_ue(list);
        w.write_ue(0);
        w.write_bits(0, 3);
        w.write_se(quantiser);
        w.write_se(0);
        w.write_se(0);
        w.write_bits(0, 3);
        w.rbsp_trailing_bits();
        unit(0x68, w)
    }

    fn slice(kind: u32, lists: &[u32]) -> Vec<u8> {
        slice_of(0, kind, lists, 0)
    }

    fn slice_of(first: u32, kind: u32, lists: &[u32], quantiser: i32) -> Vec<u8> {
        let mut w = BitWriter::new();
        w.write_ue(first);
        w.write_ue(kind);
        w.write_ue(0);
        w.write_bits(1, 4); // frame_num
        w.write_bits(2, 8); // pic_order_cnt_lsb
        if kind == 1 {
            w.write_bit(true);
        }
        if kind < 2 {
            w.write_bit(!lists.is_empty());
            for &l in lists {
                w.write_ue(l);
            }
            w.write_bits(0, 1 + kind); // ref_pic_list_modification_flag_l0, l1
        }
        w.write_bit(false); // adaptive_ref_pic_marking_mode_flag
        w.write_se(quantiser);
        w.rbsp_trailing_bits();
        unit(0x41, w)
    }

    fn nal(bytes: &[u8]) -> Nal<'_> {
        Nal { bytes }
    }

    #[test]
    fn numbers_out_of_all_proportion_are_refused() {
        let mut sets = ParameterSets::default();
        let refused = |outcome: Result<(), String>, words: &str| {
            let e = outcome.unwrap_err();
            assert!(e.contains(words), "{e}");
        };
        refused(
            sets.check_slice(nal(&slice(0, &[9]))).map(drop),
            "picture parameter set 0, which is not there",
        );
        refused(sets.add(nal(&sps(17))), "`max_num_ref_frames` is 17, above 16");
        sets.add(nal(&sps(16))).unwrap();
        refused(
            sets.add(nal(&pps(32, 0))),
            "`num_ref_idx_l0_default_active_minus1` is 32, above 31",
        );
        refused(
            sets.add(nal(&pps(2, i32::MAX))),
            "`pic_init_qp_minus26` is 2147483647, not -26 to 25",
        );
        sets.add(nal(&pps(2, 20))).unwrap();
        let check = |bytes: &[u8]| sets.check_slice(nal(bytes)).map(drop);
        for (kind, lists) in [(0, &[][..]), (0, &[31]), (1, &[31, 31]), (7, &[])] {
            check(&slice(kind, lists)).unwrap();
        }
        for (kind, lists) in [(0, &[32][..]), (0, &[1 << 30]), (1, &[0, 32])] {
            refused(check(&slice(kind, lists)), "`num_ref_idx_active_minus1` is ");
        }
        refused(check(&slice(10, &[])), "`slice_type` is 10, above 9");
        // 16 macroblocks, a quantiser of 46 in the set.
        refused(check(&slice_of(16, 0, &[], 0)), "begins at macroblock 16 of 16");
        check(&slice_of(15, 0, &[], 5)).unwrap();
        refused(check(&slice_of(0, 0, &[], 6)), "its quantiser is 52");
        refused(check(&slice_of(0, 0, &[], i32::MIN + 1)), "`slice_qp_delta` is ");
        refused(check(&slice(0, &[])[..3]), "its header ends before ");
    }
}

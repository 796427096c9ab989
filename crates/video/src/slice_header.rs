//! The header of a slice (ITU-T H.264, 7.3.3), whose values the decoder does not check.

use std::ops::RangeInclusive;

use rusty_h264_decoder::{Pps, Sps};

use crate::bits::Bits;

/// A slice header ends within this many bytes: the longest has 32 weights for each of two lists and 66 changes of either.
pub(crate) const HEADER_BYTES: usize = 2048;

/// The last entry of a list of reference pictures (7.4.2.2, fields included).
pub(crate) const LAST_REFERENCE: u32 = 31;

/// Weights and offsets of explicit weighted prediction (7.4.3.2).
const WEIGHT: RangeInclusive<i32> = -128..=127;

/// The largest value of picture distances and numbers.
const PICTURES: u32 = 1 << 16;

/// Order counts, which are sums of such values.
const ORDER: RangeInclusive<i32> = -(1 << 24)..=1 << 24;

/// The values shared by all slices of a picture (7.4.1.2.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity {
    sequence: u32,
    frame_num: u32,
    idr: Option<u32>,
    order: (u32, i32),
    reference: bool,
}

/// The context needed to read a header.
pub(crate) struct Context<'a> {
    pub sps: &'a Sps,
    pub pps: &'a Pps,
    /// Whether it is a slice of an IDR picture.
    pub idr: bool,
    /// Whether it belongs to a reference picture.
    pub reference: bool,
}

/// The leading values: the first macroblock, the type, and the picture parameter set.
pub(crate) fn begin(bits: &mut Bits<'_>) -> Result<(u32, u32, u32), String> {
    Ok((
        bits.ue("first_mb_in_slice", u32::MAX)?,
        bits.ue("slice_type", 9)?,
        bits.ue("pic_parameter_set_id", 255)?,
    ))
}

/// Reads what follows [`begin`]. `None` if the decoder itself rejects this kind of slice: a slice of a
/// field, or one of the types SP and SI.
pub(crate) fn rest(bits: &mut Bits<'_>, kind: u32, cx: &Context<'_>) -> Result<Option<Identity>, String> {
    let Context { sps, pps, .. } = *cx;
    let (p, b) = (kind.is_multiple_of(5), kind % 5 == 1);
    if kind % 5 > 2 {
        return Ok(None);
    }
    let frame_num = bits.bits(sps.log2_max_frame_num, "frame_num")?;
    if !sps.frame_mbs_only && bits.flag("field_pic_flag")? {
        return Ok(None);
    }
    let idr = match cx.idr {
        true => Some(bits.ue("idr_pic_id", 0xffff)?),
        false => None,
    };
    let mut order = (0, 0);
    if sps.pic_order_cnt_type == 0 {
        order.0 = bits.bits(sps.log2_max_pic_order_cnt_lsb, "pic_order_cnt_lsb")?;
        if pps.bottom_field_pic_order_present {
            order.1 = bits.se("delta_pic_order_cnt_bottom", ORDER)?;
        }
    } else if sps.pic_order_cnt_type == 1 && !sps.delta_pic_order_always_zero {
        order.1 = bits.se("delta_pic_order_cnt[0]", ORDER)?;
        if pps.bottom_field_pic_order_present {
            bits.se("delta_pic_order_cnt[1]", ORDER)?;
        }
    }
    if pps.redundant_pic_cnt_present_flag {
        bits.ue("redundant_pic_cnt", 127)?;
    }
    if b {
        bits.flag("direct_spatial_mv_pred_flag")?;
    }
    if p || b {
        let lists = references(bits, b, pps)?;
        if p && pps.weighted_pred || b && pps.weighted_bipred_idc == 1 {
            weights(bits, &lists[..1 + usize::from(b)])?;
        }
    }
    if cx.reference {
        marking(bits, cx.idr)?;
    }
    if pps.entropy_coding_mode_flag && (p || b) {
        bits.ue("cabac_init_idc", 2)?;
    }
    let quantiser = pps.pic_init_qp + bits.se("slice_qp_delta", -87..=87)?;
    if !(0..=51).contains(&quantiser) {
        return Err(format!("its quantiser is {quantiser}, not 0 to 51"));
    }
    if pps.deblocking_filter_control_present_flag && bits.ue("disable_deblocking_filter_idc", 2)? != 1 {
        bits.se("slice_alpha_c0_offset_div2", -6..=6)?;
        bits.se("slice_beta_offset_div2", -6..=6)?;
    }
    if pps.entropy_coding_mode_flag && !bits.ones_to_byte()? {
        return Err("a bit between its header and its data is not 1".to_owned());
    }
    Ok(Some(Identity {
        sequence: pps.seq_parameter_set_id,
        frame_num,
        idr,
        order,
        reference: cx.reference,
    }))
}

/// The lengths of both lists of reference pictures, after skipping their modifications (7.3.3.1).
fn references(bits: &mut Bits<'_>, both: bool, pps: &Pps) -> Result<[u32; 2], String> {
    let mut last = [pps.num_ref_idx_l0_default, pps.num_ref_idx_l1_default].map(|n| n.saturating_sub(1));
    let lists = 1 + usize::from(both);
    if bits.flag("num_ref_idx_active_override_flag")? {
        for last in &mut last[..lists] {
            *last = bits.ue("num_ref_idx_active_minus1", LAST_REFERENCE)?;
        }
    }
    for last in &last[..lists] {
        if !bits.flag("ref_pic_list_modification_flag")? {
            continue;
        }
        let mut changes = 0;
        while bits.ue("modification_of_pic_nums_idc", 3)? != 3 {
            bits.ue("abs_diff_pic_num_minus1", PICTURES)?;
            changes += 1;
            if changes > last + 1 {
                return Err(format!("it changes {changes} of {} reference pictures", last + 1));
            }
        }
    }
    Ok(last.map(|n| n + 1))
}

/// `pred_weight_table` (7.3.3.2).
fn weights(bits: &mut Bits<'_>, lists: &[u32]) -> Result<(), String> {
    bits.ue("luma_log2_weight_denom", 7)?;
    bits.ue("chroma_log2_weight_denom", 7)?;
    for _ in 0..lists.iter().sum::<u32>() {
        for (flag, numbers) in [("luma_weight_flag", 2), ("chroma_weight_flag", 4)] {
            if bits.flag(flag)? {
                for _ in 0..numbers {
                    bits.se("weight or offset of a prediction", WEIGHT)?;
                }
            }
        }
    }
    Ok(())
}

/// `dec_ref_pic_marking` (7.3.3.3).
fn marking(bits: &mut Bits<'_>, idr: bool) -> Result<(), String> {
    if idr {
        bits.flag("no_output_of_prior_pics_flag")?;
        bits.flag("long_term_reference_flag")?;
        return Ok(());
    }
    if !bits.flag("adaptive_ref_pic_marking_mode_flag")? {
        return Ok(());
    }
    // A command for each reference picture, and those about all and about this one.
    for _ in 0..66 {
        let numbers = match bits.ue("memory_management_control_operation", 6)? {
            0 => return Ok(()),
            3 => 2,
            5 => 0,
            _ => 1,
        };
        for _ in 0..numbers {
            bits.ue("number of a picture to mark", PICTURES)?;
        }
    }
    Err("it marks more reference pictures than there can be".to_owned())
}

//! The sequence parameter set of H.264: picture size, cropping and colour (ITU-T H.264, 7.3.2.1.1
//! and annex E). The decoder has a parser of its own, but it stops before the colour description.

use std::ops::RangeInclusive;

use rusty_h264_common::nal::emulation_unprevent;
use rusty_h264_decoder::Sps as DecoderSps;

use crate::bits::Bits;
use crate::color::{Colour, Window};

/// Profiles whose parameter sets carry the chroma format, bit depth and scaling lists.
const HIGH_PROFILES: [u32; 13] = [100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135];

/// Reference pictures that a stream may keep (A.3.1).
const MAX_REFERENCE_FRAMES: u32 = 16;

/// The maximum macroblocks along a side: 2^20 pixels.
const LARGEST_SIDE: u32 = 0xffff;

/// Values that are skipped.
const ANY: RangeInclusive<i32> = i32::MIN..=i32::MAX;

/// The required part of a sequence parameter set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sps {
    /// Pixels of a coded picture.
    pub coded_pixels: u64,
    /// The part that is shown.
    pub window: Window,
    pub colour: Colour,
}

impl Sps {
    /// Whether pictures of both have the same size, coded and shown.
    pub(crate) fn same_size(&self, other: &Self) -> bool {
        (self.coded_pixels, self.window) == (other.coded_pixels, other.window)
    }
}

/// Why a parameter set cannot be used.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum SpsError {
    /// It is valid, but uses features that the decoder lacks; a sentence fragment.
    Unsupported(String),
    /// It is broken; a sentence fragment.
    Broken(String),
}

/// Parses a NAL unit of type 7, header byte included.
pub(crate) fn parse(nal: &[u8]) -> Result<Sps, SpsError> {
    let rbsp = emulation_unprevent(nal.get(1..).unwrap_or(&[]));
    let vui = check(&rbsp).map_err(|e| SpsError::Broken(format!("sequence parameter set: {e}")))?;
    let geometry = DecoderSps::parse(&rbsp).map_err(|e| match e {
        rusty_h264_decoder::DecodeError::Unsupported(what) => SpsError::Unsupported(format!("H.264 with {what}")),
        other => SpsError::Broken(format!("sequence parameter set: {other}")),
    })?;
    // The decoder's parser has checked that the crop leaves something.
    let (left, top) = (
        2 * geometry.frame_crop_left as usize,
        geometry.crop_unit_y() * geometry.frame_crop_top as usize,
    );
    let colour = colour(vui).unwrap_or(Colour::UNSPECIFIED);
    if !colour.is_supported() {
        return Err(SpsError::Unsupported(format!(
            "H.264 with colour matrix {} (coded RGB or YCgCo)",
            colour.matrix
        )));
    }
    Ok(Sps {
        coded_pixels: geometry.coded_width() as u64 * geometry.coded_height() as u64,
        window: Window {
            left,
            top,
            width: geometry.display_width(),
            height: geometry.display_height(),
        },
        colour,
    })
}

/// Checks that every value up to the VUI is within the standard's range; the decoder computes with them unchecked. Returns the
/// bits from the VUI on.
pub(crate) fn check(rbsp: &[u8]) -> Result<Bits<'_>, String> {
    let mut bits = Bits::new(rbsp);
    let profile = bits.bits(8, "profile_idc")?;
    bits.bits(16, "level_idc")?; // constraint flags as well
    bits.ue("seq_parameter_set_id", 31)?;
    if HIGH_PROFILES.contains(&profile) {
        let chroma_format = bits.ue("chroma_format_idc", 3)?;
        if chroma_format == 3 {
            bits.flag("separate_colour_plane_flag")?;
        }
        bits.ue("bit_depth_luma_minus8", 6)?;
        bits.ue("bit_depth_chroma_minus8", 6)?;
        bits.flag("qpprime_y_zero_transform_bypass_flag")?;
        if bits.flag("seq_scaling_matrix_present_flag")? {
            for list in 0..if chroma_format == 3 { 12 } else { 8 } {
                if bits.flag("seq_scaling_list_present_flag")? {
                    bits.scaling_list(if list < 6 { 16 } else { 64 })?;
                }
            }
        }
    }
    bits.ue("log2_max_frame_num_minus4", 12)?;
    match bits.ue("pic_order_cnt_type", 2)? {
        0 => {
            bits.ue("log2_max_pic_order_cnt_lsb_minus4", 12)?;
        }
        1 => {
            bits.flag("delta_pic_order_always_zero_flag")?;
            bits.se("offset_for_non_ref_pic", ANY)?;
            bits.se("offset_for_top_to_bottom_field", ANY)?;
            for _ in 0..bits.ue("num_ref_frames_in_pic_order_cnt_cycle", 255)? {
                bits.se("offset_for_ref_frame", ANY)?;
            }
        }
        _ => {}
    }
    bits.ue("max_num_ref_frames", MAX_REFERENCE_FRAMES)?;
    bits.flag("gaps_in_frame_num_value_allowed_flag")?;
    bits.ue("pic_width_in_mbs_minus1", LARGEST_SIDE)?;
    bits.ue("pic_height_in_map_units_minus1", LARGEST_SIDE)?;
    if !bits.flag("frame_mbs_only_flag")? {
        bits.flag("mb_adaptive_frame_field_flag")?;
    }
    bits.flag("direct_8x8_inference_flag")?;
    if bits.flag("frame_cropping_flag")? {
        for _ in 0..4 {
            bits.ue("frame_crop_offset", 32 * LARGEST_SIDE)?;
        }
    }
    Ok(bits)
}

/// The colour description of the VUI. `None` if the set ends early or has none: a file whose
/// VUI is cut short still decodes.
fn colour(mut bits: Bits<'_>) -> Option<Colour> {
    let mut flag = |name| bits.flag(name).ok();
    if !flag("vui_parameters_present_flag")? {
        return None;
    }
    if flag("aspect_ratio_info_present_flag")? {
        const EXTENDED_SAR: u32 = 255;
        if bits.bits(8, "aspect_ratio_idc").ok()? == EXTENDED_SAR {
            bits.bits(32, "sar_height").ok()?;
        }
    }
    let mut flag = |name| bits.flag(name).ok();
    if flag("overscan_info_present_flag")? {
        flag("overscan_appropriate_flag")?;
    }
    if !flag("video_signal_type_present_flag")? {
        return None;
    }
    bits.bits(3, "video_format").ok()?;
    let full_range = bits.flag("video_full_range_flag").ok()?;
    let mut matrix = Colour::UNSPECIFIED.matrix;
    if bits.flag("colour_description_present_flag").ok()? {
        bits.bits(16, "transfer_characteristics").ok()?; // colour_primaries as well
        matrix = bits.bits(8, "matrix_coefficients").ok()? as u8;
    }
    Some(Colour { full_range, matrix })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusty_h264_common::BitWriter;

    struct Vui {
        full_range: bool,
        matrix: Option<u8>,
    }

    /// A parameter set of `mbs_w` x `mbs_h` macroblocks, cropped by `crop` units.
    fn sps(profile: u32, mbs_w: u32, mbs_h: u32, crop: [u32; 4], vui: Option<Vui>) -> Vec<u8> {
        let mut w = BitWriter::new();
        w.write_bits(profile, 8);
        w.write_bits(0, 8);
        w.write_bits(30, 8);
        w.write_ue(0);
        if profile == 100 {
            w.write_ue(1);
            w.write_ue(0);
            w.write_ue(0);
            w.write_bits(0, 1);
            w.write_bits(0, 1);
        }
        w.write_ue(0);
        w.write_ue(0);
        w.write_ue(2);
        w.write_ue(1);
        w.write_bits(0, 1);
        w.write_ue(mbs_w - 1);
        w.write_ue(mbs_h - 1);
        w.write_bits(1, 1);
        w.write_bits(1, 1);
        w.write_bits(u32::from(crop != [0; 4]), 1);
        if crop != [0; 4] {
            for c in crop {
                w.write_ue(c);
            }
        }
        w.write_bits(u32::from(vui.is_some()), 1);
        if let Some(v) = vui {
            w.write_bits(1, 1);
            w.write_bits(255, 8);
            w.write_bits(4, 16);
            w.write_bits(3, 16);
            w.write_bits(0, 1);
            w.write_bits(1, 1);
            w.write_bits(5, 3);
            w.write_bits(u32::from(v.full_range), 1);
            w.write_bits(u32::from(v.matrix.is_some()), 1);
            if let Some(m) = v.matrix {
                w.write_bits(1, 8);
                w.write_bits(1, 8);
                w.write_bits(u32::from(m), 8);
            }
            w.write_bits(0, 4);
        }
        w.rbsp_trailing_bits();
        let rbsp = w.into_bytes();
        let mut nal = vec![0x67];
        rusty_h264_common::nal::emulation_prevent_into(&rbsp, &mut nal);
        nal
    }

    #[test]
    fn size_and_crop() {
        let s = parse(&sps(100, 22, 16, [1, 5, 2, 0], None)).unwrap();
        assert_eq!(
            s.window,
            Window {
                left: 2,
                top: 4,
                width: 340,
                height: 252
            }
        );
        assert_eq!(s.coded_pixels, 352 * 256);
        assert_eq!(s.colour, Colour::UNSPECIFIED);
    }

    /// `log2_max_frame_num_minus4` of 2³² − 2: four more would be 2, which would be a valid number of bits.
    #[test]
    fn numbers_that_go_beyond_32_bits_are_refused() {
        let mut w = BitWriter::new();
        w.write_bits(66, 8);
        w.write_bits(0, 8);
        w.write_bits(30, 8);
        w.write_ue(0);
        w.write_bits(0, 31);
        w.write_bits(1, 1);
        w.write_bits(u32::MAX >> 1, 31);
        for n in [2, 1] {
            w.write_ue(n);
        }
        w.write_bits(0, 1);
        for n in [3, 2] {
            w.write_ue(n);
        }
        w.write_bits(0b1100, 4);
        w.rbsp_trailing_bits();
        let mut nal = vec![0x67];
        rusty_h264_common::nal::emulation_prevent_into(&w.into_bytes(), &mut nal);
        let broken = |nal: &[u8], words: &str| match parse(nal) {
            Err(SpsError::Broken(e)) => assert!(e.contains(words), "{e}"),
            other => panic!("{other:?}"),
        };
        broken(&nal, "`log2_max_frame_num_minus4` is 4294967294, above 12");
        // Cropped at the left and right by 2³² + 1 units: one, in 32 bits.
        for crop in [[u32::MAX - 1, 3, 0, 0], [0, 0, 3, u32::MAX - 1]] {
            broken(&sps(66, 4, 4, crop, None), "`frame_crop_offset` is 4294967294");
        }
        // 2³² macroblocks across and 2³³ down are 2⁶⁵, which is 0 in 64 bits.
        broken(&sps(66, u32::MAX, 4, [0; 4], None), "`pic_width_in_mbs_minus1` is ");
        for crop in [[16, 16, 0, 0], [0, 0, 32, 0]] {
            let e = parse(&sps(66, 4, 4, crop, None)).unwrap_err();
            assert_eq!(e, SpsError::Unsupported("H.264 with crop exceeds frame".to_owned()));
        }
    }

    #[test]
    fn colour_of_the_vui() {
        for profile in [66, 100] {
            let vui = Vui {
                full_range: true,
                matrix: Some(1),
            };
            let s = parse(&sps(profile, 4, 4, [0; 4], Some(vui))).unwrap();
            assert_eq!(
                s.colour,
                Colour {
                    full_range: true,
                    matrix: 1
                }
            );
        }
        let vui = Vui {
            full_range: false,
            matrix: None,
        };
        let s = parse(&sps(66, 4, 4, [0; 4], Some(vui))).unwrap();
        assert_eq!(s.colour, Colour::UNSPECIFIED);
    }

    #[test]
    fn coded_rgb_is_refused() {
        let vui = Vui {
            full_range: true,
            matrix: Some(0),
        };
        let e = parse(&sps(100, 4, 4, [0; 4], Some(vui))).unwrap_err();
        assert!(matches!(e, SpsError::Unsupported(_)), "{e:?}");
    }

    #[test]
    fn cut_short_at_every_byte() {
        let whole = sps(100, 22, 16, [1, 5, 2, 0], None);
        for n in 0..whole.len() {
            let _ = parse(&whole[..n]);
        }
        assert!(matches!(parse(&whole[..6]), Err(SpsError::Broken(_))));
    }
}

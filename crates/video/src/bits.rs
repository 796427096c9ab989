//! Numbers of H.264 headers, each checked against the standard's range.

use std::ops::RangeInclusive;

use rusty_h264_common::BitReader;

/// Reads an RBSP. Errors are fragments that name what was read.
pub(crate) struct Bits<'a>(BitReader<'a>);

impl<'a> Bits<'a> {
    pub(crate) fn new(rbsp: &'a [u8]) -> Self {
        Self(BitReader::new(rbsp))
    }

    /// `u(n)`, no more than 32 bits.
    pub(crate) fn bits(&mut self, n: u32, name: &str) -> Result<u32, String> {
        self.0.read_bits(n).map_err(|_| ends(name))
    }

    /// `u(1)`.
    pub(crate) fn flag(&mut self, name: &str) -> Result<bool, String> {
        self.0.read_bit().map_err(|_| ends(name))
    }

    /// `ue(v)`, from 0 to `most`.
    pub(crate) fn ue(&mut self, name: &str, most: u32) -> Result<u32, String> {
        let value = self.0.read_ue().map_err(|_| ends(name))?;
        match value <= most {
            true => Ok(value),
            false => Err(format!("`{name}` is {value}, above {most}")),
        }
    }

    /// `se(v)` in a range.
    pub(crate) fn se(&mut self, name: &str, range: RangeInclusive<i32>) -> Result<i32, String> {
        let value = self.0.read_se().map_err(|_| ends(name))?;
        match range.contains(&value) {
            true => Ok(value),
            false => Err(format!("`{name}` is {value}, not {} to {}", range.start(), range.end())),
        }
    }

    /// A scaling list of `size` entries (7.3.2.1.1.1), which are skipped.
    pub(crate) fn scaling_list(&mut self, size: usize) -> Result<(), String> {
        let (mut last, mut next) = (8, 8);
        for _ in 0..size {
            if next != 0 {
                next = (last + self.se("delta_scale", -128..=127)?).rem_euclid(256);
            }
            if next != 0 {
                last = next;
            }
        }
        Ok(())
    }

    /// `more_rbsp_data()` (7.2).
    pub(crate) fn more(&self) -> bool {
        self.0.more_rbsp_data()
    }

    /// Whether all bits up to the next whole byte are 1, as before the data of a CABAC slice (7.3.4).
    pub(crate) fn ones_to_byte(&mut self) -> Result<bool, String> {
        while !self.0.is_byte_aligned() {
            if !self.flag("cabac_alignment_one_bit")? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

fn ends(name: &str) -> String {
    format!("its header ends before `{name}`")
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusty_h264_common::BitWriter;

    #[test]
    fn numbers_are_within_their_bounds() {
        let mut w = BitWriter::new();
        for v in [7, 8, u32::MAX - 1] {
            w.write_ue(v);
        }
        for v in [-26, -27] {
            w.write_se(v);
        }
        w.rbsp_trailing_bits();
        let rbsp = w.into_bytes();
        let mut bits = Bits::new(&rbsp);
        assert_eq!(bits.ue("a", 7), Ok(7));
        assert_eq!(bits.ue("b", 7), Err("`b` is 8, above 7".to_owned()));
        assert_eq!(bits.ue("c", 31), Err("`c` is 4294967294, above 31".to_owned()));
        assert_eq!(bits.se("d", -26..=25), Ok(-26));
        assert_eq!(bits.se("e", -26..=25), Err("`e` is -27, not -26 to 25".to_owned()));
        assert!(!bits.more());
        assert!(bits.bits(32, "f").is_err());
    }
}

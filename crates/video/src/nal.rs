//! The properties of a coded picture that are known without decoding it: its NAL units (ITU-T H.264, 7.3.1).

use rusty_h264_common::BitReader;
use rusty_h264_common::nal::emulation_unprevent;

/// Coded slice of a non-IDR picture.
pub(crate) const SLICE: u8 = 1;
/// Coded slice of an IDR picture.
pub(crate) const IDR_SLICE: u8 = 5;
/// Supplemental enhancement information.
pub(crate) const SEI: u8 = 6;
/// Sequence parameter set.
pub(crate) const SPS: u8 = 7;
/// Picture parameter set.
pub(crate) const PPS: u8 = 8;

/// More slices than a level allows; a sample with this many is not a picture.
const MAX_SLICES: usize = 1024;

/// One NAL unit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Nal<'a> {
    /// Header byte and payload.
    pub bytes: &'a [u8],
}

impl Nal<'_> {
    pub(crate) fn kind(self) -> u8 {
        self.bytes[0] & 0x1f
    }

    /// Whether it belongs to a reference picture.
    pub(crate) fn is_reference(self) -> bool {
        self.bytes[0] & 0x60 != 0
    }

    pub(crate) fn is_slice(self) -> bool {
        matches!(self.kind(), SLICE | IDR_SLICE)
    }

    /// Checks that the bytes are a valid NAL unit (7.4.1), as far as a decoder reads them: an encoder inserts a 3 after any two
    /// zeros that 0 to 3 would follow. Parts overwritten with zeros (a hole, an incomplete download) and
    /// many other overwrites break this rule; a decoder would read such zeros as valid data.
    fn check(self) -> Result<(), String> {
        let bytes = match self.kind() {
            SLICE | IDR_SLICE => self.bytes,
            // Writers of containers leave the zeros between units after these.
            SPS | PPS => {
                let end = self.bytes.iter().rposition(|b| *b != 0).map_or(0, |last| last + 1);
                &self.bytes[..end]
            }
            _ => return Ok(()),
        };
        let wrong = |at: usize, what: &str| {
            Err(format!(
                "its data was overwritten: {what} at byte {at} of a NAL unit of {} bytes",
                bytes.len()
            ))
        };
        for (at, window) in bytes.windows(3).enumerate() {
            match *window {
                [0, 0, 0..=2] => return wrong(at, "zeros that no encoder writes"),
                [0, 0, 3] if bytes.get(at + 3).is_some_and(|next| *next > 3) => {
                    return wrong(at, "an escape that no encoder writes");
                }
                _ => {}
            }
        }
        match bytes.last() {
            Some(0) => wrong(bytes.len() - 1, "a zero that no encoder writes"),
            _ => Ok(()),
        }
    }

    /// `first_mb_in_slice`, the first value of a slice: where in the picture it begins.
    fn first_macroblock(self) -> Option<u32> {
        // No more than 9 bytes, if it is to fit 32 bits.
        let bytes = self.bytes.get(1..)?;
        let head = emulation_unprevent(&bytes[..bytes.len().min(16)]);
        BitReader::new(&head).read_ue().ok()
    }
}

/// Splits a sample into NAL units, each after its length in `length_size` bytes
/// (ISO/IEC 14496-15). The error is a sentence fragment.
pub(crate) fn split(mut sample: &[u8], length_size: usize) -> Result<Vec<Nal<'_>>, String> {
    let mut nals = Vec::new();
    while !sample.is_empty() {
        let Some((length, rest)) = sample.split_at_checked(length_size) else {
            return Err("its data ends inside the length of a NAL unit".to_owned());
        };
        let length = big_endian(length);
        let Some((bytes, rest)) = rest.split_at_checked(length) else {
            return Err(format!(
                "a NAL unit claims {length} bytes where {} are left",
                rest.len()
            ));
        };
        sample = rest;
        match bytes.first() {
            // Zero-length units occur as padding.
            None => {}
            Some(header) if header & 0x80 != 0 => {
                return Err("a NAL unit has its forbidden bit set".to_owned());
            }
            Some(_) => {
                let nal = Nal { bytes };
                nal.check()?;
                nals.push(nal);
            }
        }
    }
    Ok(nals)
}

/// The NAL units at the beginning of a sample, of which `head` is a part: the last may be cut.
pub(crate) fn split_head(mut head: &[u8], length_size: usize) -> Vec<Nal<'_>> {
    let mut nals = Vec::new();
    while let Some((length, rest)) = head.split_at_checked(length_size) {
        let length = big_endian(length).min(rest.len());
        let (bytes, rest) = rest.split_at(length);
        if !bytes.is_empty() {
            nals.push(Nal { bytes });
        }
        head = rest;
    }
    nals
}

fn big_endian(bytes: &[u8]) -> usize {
    bytes.iter().fold(0, |n, &b| n << 8 | usize::from(b))
}

/// The slices of one picture, checked: at least one, the first of which begins the picture and each other starts further
/// on, no data partitions. Returns whether it is a reference picture, and where its slices begin.
pub(crate) fn picture(nals: &[Nal<'_>]) -> Result<(bool, Vec<u32>), String> {
    let (mut starts, mut reference): (Vec<u32>, _) = (Vec::new(), false);
    for nal in nals {
        match nal.kind() {
            SLICE | IDR_SLICE => {
                let Some(first) = nal.first_macroblock() else {
                    return Err("a slice has no header".to_owned());
                };
                match starts.last() {
                    None if first > 0 => return Err("its first slice is missing".to_owned()),
                    Some(&last) if first <= last => {
                        return Err("its slices overlap, or are of several pictures".to_owned());
                    }
                    _ => starts.push(first),
                }
                reference |= nal.is_reference();
            }
            2..=4 => return Err("it uses data partitions, which are not supported".to_owned()),
            _ => {}
        }
    }
    match starts.len() {
        0 => Err("it holds no picture".to_owned()),
        n if n > MAX_SLICES => Err(format!("it has {n} slices")),
        _ => Ok((reference, starts)),
    }
}

/// How decoding can begin at a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Entry {
    /// It cannot.
    None,
    /// Everything from here on, in decoding order, is decodable.
    Idr,
    /// Everything from here on, in display order, is decodable: the start of an open GOP.
    Recovery,
}

/// Classifies a picture by its NAL units; those after the first slice are not needed.
pub(crate) fn entry(nals: &[Nal<'_>]) -> Entry {
    let mut recovers = false;
    for nal in nals {
        match nal.kind() {
            IDR_SLICE => return Entry::Idr,
            SLICE if recovers => return Entry::Recovery,
            SLICE => return Entry::None,
            SEI => recovers |= recovers_at_once(&emulation_unprevent(&nal.bytes[1..])),
            _ => {}
        }
    }
    Entry::None
}

/// Whether an SEI unit holds a recovery point (D.1.8) that guarantees exact pictures from this one
/// on: `recovery_frame_cnt` 0, `exact_match_flag` 1, `broken_link_flag` 0.
fn recovers_at_once(mut sei: &[u8]) -> bool {
    const RECOVERY_POINT: usize = 6;
    while sei.len() > 2 {
        let (Some(kind), Some(size)) = (sei_value(&mut sei), sei_value(&mut sei)) else {
            return false;
        };
        let Some((payload, rest)) = sei.split_at_checked(size) else {
            return false;
        };
        if kind == RECOVERY_POINT {
            let mut r = BitReader::new(payload);
            return r.read_ue() == Ok(0) && r.read_bit() == Ok(true) && r.read_bit() == Ok(false);
        }
        sei = rest;
    }
    false
}

/// A payload type or size: the sum of bytes up to the first that is not 255.
fn sei_value(sei: &mut &[u8]) -> Option<usize> {
    let mut value = 0;
    loop {
        let (&byte, rest) = sei.split_first()?;
        *sei = rest;
        value += usize::from(byte);
        if byte != 255 {
            return Some(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(units: &[&[u8]]) -> Vec<u8> {
        let mut out = Vec::new();
        for u in units {
            out.extend_from_slice(&(u.len() as u32).to_be_bytes());
            out.extend_from_slice(u);
        }
        out
    }

    #[test]
    fn splits_and_classifies() {
        let s = sample(&[&[0x09, 0x10], &[], &[0x65, 0x88, 1], &[0x65, 0x40, 1]]);
        let nals = split(&s, 4).unwrap();
        assert_eq!(nals.iter().map(|n| n.kind()).collect::<Vec<_>>(), [9, 5, 5]);
        assert_eq!(picture(&nals), Ok((true, vec![0, 1])));
        assert_eq!(entry(&nals), Entry::Idr);

        let s = sample(&[&[0x01, 0x88, 1]]);
        let nals = split(&s, 4).unwrap();
        assert_eq!(picture(&nals), Ok((false, vec![0])));
        assert_eq!(entry(&nals), Entry::None);
    }

    #[test]
    fn recovery_points_must_promise_exact_pictures() {
        // Payload bits: ue(recovery_frame_cnt), exact_match_flag, broken_link_flag, two bits.
        for (payload, want) in [
            (0b1100_0100_u8, Entry::Recovery),
            (0b1000_0100, Entry::None),
            (0b1110_0100, Entry::None),
            (0b0101_0001, Entry::None),
        ] {
            let unregistered = [5, 3, 1, 2, 3];
            let sei = [&[0x06][..], &unregistered, &[6, 1, payload, 0x80]].concat();
            let s = sample(&[&sei, &[0x41, 0x88, 1]]);
            assert_eq!(entry(&split(&s, 4).unwrap()), want, "{payload:08b}");
        }
    }

    #[test]
    fn bytes_that_no_encoder_writes_are_damage() {
        let of = |unit: &[u8]| split(&sample(&[unit]), 4).map(|nals| nals.len());
        for sound in [
            &[0x65, 0x88, 0, 0, 3, 0, 0, 3, 1, 0, 0, 3, 2, 0, 0, 3, 3][..],
            // A cabac_zero_word at the end, and zeros that are not a pair.
            &[0x41, 0x88, 0x80, 0, 0, 3],
            &[0x41, 0, 9, 0, 0, 4, 0, 1],
            // Units that no decoder reads, and zeros after parameter sets.
            &[0x06, 5, 0, 0, 0, 0],
            &[0x68, 0xce, 0x38, 0x80, 0, 0],
        ] {
            assert_eq!(of(sound), Ok(1), "{sound:?}");
        }
        for (broken, words) in [
            (
                &[0x65, 0x88, 0, 0, 0, 9][..],
                "zeros that no encoder writes at byte 2 of",
            ),
            (&[0x65, 0x88, 0, 0, 1, 9], "zeros that no encoder writes at byte 2 of"),
            (&[0x41, 0, 0, 2, 9], "zeros that no encoder writes at byte 1 of"),
            (
                &[0x41, 0x88, 0, 0, 3, 4],
                "an escape that no encoder writes at byte 2 of",
            ),
            (&[0x41, 0x88, 9, 0], "a zero that no encoder writes at byte 3 of"),
            (&[0x67, 0, 0, 1, 0x80], "zeros that no encoder writes at byte 1 of"),
        ] {
            let e = of(broken).unwrap_err();
            assert!(e.contains(words), "{e}");
        }
    }

    #[test]
    fn bad_lengths_and_crowds_are_errors() {
        assert!(split(&[0, 0, 0, 9, 1], 4).is_err());
        assert!(split(&[0, 0], 4).is_err());
        assert!(split(&sample(&[&[0x85, 1]]), 4).is_err());
        // 1 is coded as 010, 2 as 011: the beginnings of slices must ascend from 0.
        let (zero, one, two) = ([0x65, 0x88], [0x65, 0x48], [0x65, 0x68]);
        let of = |units: &[&[u8]]| picture(&split(&sample(units), 4).unwrap());
        assert_eq!(of(&[&zero, &one, &two]), Ok((true, vec![0, 1, 2])));
        for wrong in [
            &[&zero[..], &zero][..],
            &[&zero, &two, &one],
            &[&one],
            &[&zero, &one, &one],
            &[],
            &[&[0x65]],
        ] {
            assert!(of(wrong).is_err(), "{wrong:?}");
        }
    }
}

//! Whether every scan of a JPEG codes each of its MCUs: its Huffman codes are read to the end, as ITU-T T.81, Annexes F and G,
//! has it. What is an error here is at most a warning of libjpeg's: a scan that ends early, data that is left over, a
//! restart marker out of sequence, a code that no table has.

use super::huffman::{Bits, Table};
use super::segments::{SOS, Segment};
use crate::Limits;

/// A component of the picture.
struct Component {
    id: u8,
    /// Blocks of a MCU, across and down.
    per_mcu: (usize, usize),
    /// Blocks, across and down, where a scan holds this component alone.
    blocks: (usize, usize),
    /// Of a progressive picture: a bit for each coefficient of each block that is not 0, by which refinements go.
    known: Vec<u64>,
}

#[derive(Default)]
struct Picture {
    progressive: bool,
    components: Vec<Component>,
    /// MCUs where a scan interleaves components.
    mcus: usize,
    /// MCUs between restart markers; 0 if there are none.
    interval: usize,
    dc: [Option<Table>; 4],
    ac: [Option<Table>; 4],
}

/// The most scans that the decoder reads of a progressive picture; of others each block takes bits, so that the file bounds them.
const MOST_SCANS: usize = 100;

/// An error, a sentence fragment, unless every scan is whole. What the headers should be is left to the decoder, and so are
/// pictures beyond the limits.
pub(super) fn whole(segments: &[Segment<'_>], limits: &Limits) -> Result<(), String> {
    let mut picture = Picture::default();
    let mut scans = 0;
    for segment in segments {
        let taken = match segment.marker {
            0xc0..=0xc2 if !picture.components.is_empty() => return Err("it has two frame headers".to_owned()),
            0xc0..=0xc2 => picture.frame(segment, limits),
            0xc4 => picture.tables(segment.parameters),
            0xdd => picture.restarts(segment.parameters),
            SOS if picture.progressive && scans == MOST_SCANS => None,
            SOS => {
                scans += 1;
                let outcome = picture.scan(segment);
                outcome.transpose().map_err(|why| format!("scan {scans} {why}"))?
            }
            _ => Some(()),
        };
        // Only the decoder can tell.
        if taken.is_none() {
            return Ok(());
        }
    }
    Ok(())
}

impl Picture {
    fn frame(&mut self, segment: &Segment<'_>, limits: &Limits) -> Option<()> {
        let p = segment.parameters;
        let number = |at: usize| Some(usize::from(u16::from_be_bytes([*p.get(at)?, *p.get(at + 1)?])));
        let (height, width) = (number(1)?, number(3)?);
        let count = usize::from(*p.get(5)?);
        let list = p.get(6..6 + 3 * count)?;
        let sampling = |c: &[u8]| (usize::from(c[1] >> 4), usize::from(c[1] & 15));
        let sizes = list.chunks_exact(3).map(sampling);
        let odd = sizes
            .clone()
            .any(|(h, v)| !(1..=4).contains(&h) || !(1..=4).contains(&v));
        if odd || (width * height) as u64 > limits.max_pixels {
            return None;
        }
        let (h_most, v_most) = sizes.fold((1, 1), |(a, b), (h, v)| (a.max(h), b.max(v)));
        self.progressive = segment.marker == 0xc2;
        self.mcus = width.div_ceil(8 * h_most) * height.div_ceil(8 * v_most);
        self.components = list
            .chunks_exact(3)
            .map(|c| {
                let (h, v) = sampling(c);
                let blocks = ((width * h).div_ceil(8 * h_most), (height * v).div_ceil(8 * v_most));
                Component {
                    id: c[0],
                    per_mcu: (h, v),
                    blocks,
                    known: match self.progressive {
                        true => vec![0; blocks.0 * blocks.1],
                        false => vec![],
                    },
                }
            })
            .collect();
        Some(())
    }

    fn tables(&mut self, mut p: &[u8]) -> Option<()> {
        while let [kind, rest @ ..] = p {
            let counts = rest.get(..16)?;
            let total: usize = counts.iter().map(|n| usize::from(*n)).sum();
            let symbols = rest.get(16..16 + total)?;
            let of = if kind >> 4 == 0 { &mut self.dc } else { &mut self.ac };
            *of.get_mut(usize::from(kind & 15))? = Some(Table::new(counts, symbols)?);
            p = &rest[16 + total..];
        }
        Some(())
    }

    fn restarts(&mut self, p: &[u8]) -> Option<()> {
        self.interval = usize::from(u16::from_be_bytes([*p.first()?, *p.get(1)?]));
        Some(())
    }

    /// Reads all of a scan; `None` if its header is none.
    fn scan(&mut self, segment: &Segment<'_>) -> Option<Result<(), String>> {
        let p = segment.parameters;
        let count = usize::from(*p.first()?);
        let list = p.get(1..1 + 2 * count)?;
        let &[start, end, approximation] = p.get(1 + 2 * count..4 + 2 * count)? else {
            return None;
        };
        let coding = match (self.progressive, start, approximation >> 4) {
            (false, ..) => Coding::Sequential,
            (true, 0, 0) => Coding::DcFirst,
            (true, 0, _) => Coding::DcRefine,
            (true, _, 0) => Coding::AcFirst,
            (true, ..) => Coding::AcRefine,
        };
        let ac_alone = matches!(coding, Coding::AcFirst | Coding::AcRefine);
        if self.progressive && (end > 63 || start > end || ac_alone && count != 1) {
            return None;
        }
        let mut parts = vec![];
        for c in list.chunks_exact(2) {
            let component = self.components.iter().position(|own| own.id == c[0])?;
            let table = |of: &[Option<Table>; 4], n: u8| of.get(usize::from(n))?.clone();
            let part = Part {
                component,
                dc: table(&self.dc, c[1] >> 4),
                ac: table(&self.ac, c[1] & 15),
            };
            let dc = !matches!(coding, Coding::Sequential | Coding::DcFirst) || part.dc.is_some();
            let ac = matches!(coding, Coding::DcFirst | Coding::DcRefine) || part.ac.is_some();
            // Motion JPEG may leave the standard's own tables out.
            if !dc || !ac {
                return None;
            }
            parts.push(part);
        }
        let total = match parts.as_slice() {
            [] => return None,
            [one] => {
                let (across, down) = self.components[one.component].blocks;
                across * down
            }
            _ => self.mcus,
        };
        let mut reader = Reader {
            coding,
            band: (start.into(), end.into()),
            parts: &parts,
            components: &mut self.components,
            run: 0,
            bits: Bits::default(),
        };
        Some(intervals(segment.data, self.interval, total, &mut reader))
    }
}

/// Bytes after the last MCU of a scan that are no damage: libjpeg reads so far ahead, and says nothing of them. Some cameras pad
/// with a byte or two.
const AHEAD: usize = 7;

/// Reads a scan of `total` MCUs, restart interval by restart interval.
fn intervals(data: &[u8], interval: usize, total: usize, reader: &mut Reader<'_>) -> Result<(), String> {
    let mut rest = data;
    let (mut done, mut number) = (0, 0u8);
    loop {
        let marker = rest
            .windows(2)
            .position(|pair| pair[0] == 0xff && matches!(pair[1], 0xd0..=0xd7));
        reader.begin(&rest[..marker.unwrap_or(rest.len())]);
        let wanted = match interval {
            0 => total - done,
            n => n.min(total - done),
        };
        let read = reader.mcus(done, wanted).map_err(|mcu| {
            format!("has a code at MCU {mcu} of {total} that is in none of its Huffman tables: the file is damaged")
        })?;
        done += read;
        let left = reader.bits.left();
        let allowed = if done == total { AHEAD } else { 0 };
        match marker {
            _ if read < wanted => {
                return Err(format!(
                    "ends after {done} of {total} MCUs: the file is damaged or cut short"
                ));
            }
            _ if left > allowed => {
                return Err(format!(
                    "has {left} bytes that belong to no MCU, after {done} of {total}: the file is damaged"
                ));
            }
            None if done < total => {
                return Err(format!(
                    "ends after {done} of {total} MCUs: the file is damaged or cut short"
                ));
            }
            None => return Ok(()),
            Some(at) => {
                let found = rest[at + 1] - 0xd0;
                // Some encoders write one more after the last MCU, with whatever number.
                if found != number && done < total {
                    return Err(format!(
                        "has the restart marker RST{found} after MCU {done} of {total}, where RST{number} belongs: the file is damaged"
                    ));
                }
                number = (number + 1) % 8;
                rest = &rest[at + 2..];
            }
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Coding {
    Sequential,
    DcFirst,
    DcRefine,
    AcFirst,
    AcRefine,
}

/// A component of a scan.
struct Part {
    component: usize,
    dc: Option<Table>,
    ac: Option<Table>,
}

/// Reads the MCUs of a scan.
struct Reader<'a> {
    coding: Coding,
    /// The first and the last coefficient.
    band: (usize, usize),
    parts: &'a [Part],
    components: &'a mut [Component],
    /// Blocks that still belong to a run of ends of bands.
    run: usize,
    bits: Bits,
}

/// A code that no table has.
struct NoCode;

impl Reader<'_> {
    /// Begins a restart interval.
    fn begin(&mut self, data: &[u8]) {
        self.bits.load(data);
        self.run = 0;
    }

    /// Reads up to `count` MCUs of which the first has the number `from`. Returns how many there are. The error is the number of
    /// the MCU with a code that no table has.
    fn mcus(&mut self, from: usize, count: usize) -> Result<usize, usize> {
        let mut n = 0;
        while n < count {
            // What a run covers takes no bits.
            if self.coding == Coding::AcFirst && self.run > 0 {
                let covered = self.run.min(count - n);
                self.run -= covered;
                n += covered;
                continue;
            }
            self.mcu(from + n).map_err(|NoCode| from + n)?;
            if self.bits.over() {
                return Ok(n);
            }
            n += 1;
        }
        Ok(n)
    }

    fn mcu(&mut self, number: usize) -> Result<(), NoCode> {
        let parts = self.parts;
        if let [part] = parts {
            return self.block(part, number);
        }
        for part in parts {
            let (across, down) = self.components[part.component].per_mcu;
            for _ in 0..across * down {
                self.block(part, number)?;
            }
        }
        Ok(())
    }

    /// Reads a block; `number` is its place where the component is alone.
    fn block(&mut self, part: &Part, number: usize) -> Result<(), NoCode> {
        match self.coding {
            Coding::Sequential => {
                self.dc(part)?;
                self.coefficients(part)
            }
            Coding::DcFirst => self.dc(part),
            Coding::DcRefine => {
                self.bits.skip(1);
                Ok(())
            }
            Coding::AcFirst => self.first(part, number),
            Coding::AcRefine => self.refine(part, number),
        }
    }

    fn dc(&mut self, part: &Part) -> Result<(), NoCode> {
        let size = part.dc.as_ref().and_then(|t| self.bits.symbol(t)).ok_or(NoCode)?;
        self.bits.skip(size);
        Ok(())
    }

    /// A zero run and the size of the coefficient after it.
    fn pair(&mut self, part: &Part) -> Result<(usize, u8), NoCode> {
        let symbol = part.ac.as_ref().and_then(|t| self.bits.symbol(t)).ok_or(NoCode)?;
        Ok((usize::from(symbol >> 4), symbol & 15))
    }

    fn coefficients(&mut self, part: &Part) -> Result<(), NoCode> {
        let mut k = 1;
        while k < 64 {
            match self.pair(part)? {
                (15, 0) => k += 16,
                (_, 0) => break,
                (zeros, size) => {
                    self.bits.skip(size);
                    k += zeros + 1;
                }
            }
        }
        Ok(())
    }

    fn first(&mut self, part: &Part, number: usize) -> Result<(), NoCode> {
        let (mut k, end) = self.band;
        while k <= end {
            match self.pair(part)? {
                (15, 0) => k += 16,
                (length, 0) => {
                    self.run = (1 << length) - 1 + self.bits.take(length as u8) as usize;
                    break;
                }
                (zeros, size) => {
                    self.bits.skip(size);
                    k += zeros;
                    self.mark(part, number, k);
                    k += 1;
                }
            }
        }
        Ok(())
    }

    fn refine(&mut self, part: &Part, number: usize) -> Result<(), NoCode> {
        let (mut k, end) = self.band;
        let known = self.components[part.component].known.get(number).copied().unwrap_or(0);
        while self.run == 0 && k <= end {
            let (mut zeros, size) = self.pair(part)?;
            match (zeros, size) {
                (15, 0) => {}
                (length, 0) => {
                    self.run = (1 << length) + self.bits.take(length as u8) as usize;
                    break;
                }
                (_, 1) => self.bits.skip(1),
                // A new coefficient is 1 or -1.
                _ => return Err(NoCode),
            }
            while k <= end {
                if known >> k & 1 == 1 {
                    self.bits.skip(1);
                } else if zeros == 0 {
                    break;
                } else {
                    zeros -= 1;
                }
                k += 1;
            }
            if size == 1 {
                self.mark(part, number, k);
            }
            k += 1;
        }
        if self.run > 0 {
            // A bit for each coefficient that is known.
            if k <= end {
                let band = u64::MAX >> (63 - end) & u64::MAX << k;
                self.bits.skip((known & band).count_ones() as u8);
            }
            self.run -= 1;
        }
        Ok(())
    }

    fn mark(&mut self, part: &Part, number: usize, k: usize) {
        if let Some(known) = self.components[part.component].known.get_mut(number)
            && k < 64
        {
            *known |= 1 << k;
        }
    }
}

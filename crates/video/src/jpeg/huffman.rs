//! Huffman tables and the bits of entropy-coded data (ITU-T T.81, Annexes C and F).

/// Bits that one look into the table resolves.
const QUICK: u32 = 9;

/// A table of codes of up to 16 bits.
#[derive(Clone)]
pub(super) struct Table {
    /// By the next [`QUICK`] bits, for shorter codes: the length, and the symbol. Length 0: the code is longer.
    quick: Vec<(u8, u8)>,
    /// By length: the first code beyond those of this length, aligned to 16 bits.
    end: [u32; 17],
    /// By length: what to add to a code for its index among the symbols.
    offset: [i32; 17],
    symbols: Vec<u8>,
}

impl Table {
    /// From the numbers of codes of each length, from 1 to 16, and the symbols. `None` if there are more codes than fit.
    pub(super) fn new(counts: &[u8], symbols: &[u8]) -> Option<Self> {
        let mut table = Self {
            quick: vec![(0, 0); 1 << QUICK],
            end: [0; 17],
            offset: [0; 17],
            symbols: symbols.to_vec(),
        };
        let (mut code, mut index) = (0u32, 0u32);
        for (length, &count) in (1u32..).zip(counts) {
            table.offset[length as usize] = index as i32 - code as i32;
            for _ in 0..count {
                if code >= 1 << length {
                    return None;
                }
                if length <= QUICK {
                    let entry = (length as u8, *symbols.get(index as usize)?);
                    let first = (code << (QUICK - length)) as usize;
                    table.quick[first..first + (1 << (QUICK - length))].fill(entry);
                }
                code += 1;
                index += 1;
            }
            table.end[length as usize] = code << (16 - length);
            code <<= 1;
        }
        (index as usize == symbols.len()).then_some(table)
    }

    /// The length and symbol of the code that the 16 bits begin with.
    fn find(&self, bits: u32) -> Option<(u32, u8)> {
        let (length, symbol) = self.quick[(bits >> (16 - QUICK)) as usize];
        if length > 0 {
            return Some((u32::from(length), symbol));
        }
        let length = (QUICK as usize + 1..=16).find(|&n| bits < self.end[n])?;
        let index = (bits >> (16 - length)) as i32 + self.offset[length];
        Some((length as u32, *self.symbols.get(index as usize)?))
    }
}

/// The bits between two restart markers.
#[derive(Default)]
pub(super) struct Bits {
    /// Without the zeros after 255, then zeros to look into.
    bytes: Vec<u8>,
    /// How many bits there are.
    count: usize,
    at: usize,
}

/// Bytes after the data that may be looked at.
const MARGIN: usize = 4;

impl Bits {
    /// Takes other data.
    pub(super) fn load(&mut self, data: &[u8]) {
        self.bytes.clear();
        let mut rest = data;
        while let Some(n) = rest.iter().position(|b| *b == 0xff) {
            self.bytes.extend_from_slice(&rest[..n]);
            match rest.get(n + 1) {
                Some(0) => {
                    self.bytes.push(0xff);
                    rest = &rest[n + 2..];
                }
                // A fill byte.
                _ => rest = &rest[n + 1..],
            }
        }
        self.bytes.extend_from_slice(rest);
        self.count = 8 * self.bytes.len();
        self.bytes.resize(self.bytes.len() + MARGIN, 0);
        self.at = 0;
    }

    fn peek(&self) -> u32 {
        let from = (self.at / 8).min(self.bytes.len() - MARGIN);
        let word = &self.bytes[from..from + MARGIN];
        let word = u32::from_be_bytes([word[0], word[1], word[2], word[3]]);
        (word << (self.at % 8)) >> 16
    }

    /// The next symbol; `None` if no code is so. Beyond the end there are zeros: [`Self::over`] tells.
    pub(super) fn symbol(&mut self, table: &Table) -> Option<u8> {
        let (length, symbol) = table.find(self.peek())?;
        self.at += length as usize;
        Some(symbol)
    }

    /// `n` bits, no more than 16.
    pub(super) fn take(&mut self, n: u8) -> u32 {
        let bits = if n == 0 { 0 } else { self.peek() >> (16 - n) };
        self.at += usize::from(n);
        bits
    }

    /// Passes over `n` bits.
    pub(super) fn skip(&mut self, n: u8) {
        self.at += usize::from(n);
    }

    /// Whether more was taken than there is.
    pub(super) fn over(&self) -> bool {
        self.at > self.count
    }

    /// Whole bytes that were not taken.
    pub(super) fn left(&self) -> usize {
        (self.count / 8).saturating_sub(self.at.div_ceil(8))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_every_length_are_found() {
        // 0, 10, 110, …, and one of 16 bits.
        let counts = [1u8; 16];
        let symbols: Vec<u8> = (10..26).collect();
        let table = Table::new(&counts, &symbols).unwrap();
        for (n, symbol) in (0..16).zip(10u8..) {
            // n ones and a zero.
            let code = 0xffffu32 << (16 - n) & 0xffff;
            assert_eq!(table.find(code), Some((n + 1, symbol)));
        }
        assert_eq!(table.find(0xffff), None);
        assert!(Table::new(&[3], &[1, 2, 3]).is_none());
        assert!(Table::new(&[1], &[1, 2]).is_none());
    }

    #[test]
    fn bits_end_where_the_data_does() {
        let mut bits = Bits::default();
        bits.load(&[0b1010_0000, 0xff, 0, 7, 0, 0xff]);
        assert_eq!((bits.take(3), bits.take(13)), (0b101, 0xff));
        assert_eq!((bits.left(), bits.over()), (2, false));
        assert_eq!(bits.take(16), 7 << 8);
        assert_eq!((bits.left(), bits.over()), (0, false));
        assert_eq!(bits.take(1), 0);
        assert!(bits.over());
    }
}

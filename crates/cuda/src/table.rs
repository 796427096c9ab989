//! Parameters of an optimiser, many of which are updated by one launch: a table of them is an argument of the kernel.

use crate::launch::{THREADS, line};
use crate::{Launch, Result};

/// Numbers of a parameter for each block.
const CHUNK: usize = 4096;

/// A line of the table: addresses, and what else the kernel takes of a parameter, as words.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row<const ADDRESSES: usize, const REST: usize> {
    pub addresses: [u64; ADDRESSES],
    pub len: usize,
    pub rest: [u32; REST],
}

/// Parameters of one launch, as the kernels have them: how many there are, then the words of each (its addresses, its length,
/// the first of its blocks, and the rest).
pub(crate) struct Table {
    pub words: Vec<u32>,
    pub blocks: usize,
}

impl Table {
    pub fn launch(&self, op: &'static str, module: &'static str, kernel: &'static str) -> Result<Launch> {
        line(op, module, kernel, self.blocks * THREADS)
    }
}

/// Tables of all rows that hold anything, `most` in each: a kernel's arguments may take 4096 bytes together.
pub(crate) fn tables<const A: usize, const R: usize>(most: usize, rows: impl Iterator<Item = Row<A, R>>) -> Vec<Table> {
    let rows: Vec<Row<A, R>> = rows.filter(|row| row.len > 0).collect();
    let each = 2 * (A + 1) + 1 + R;
    let table = |rows: &[Row<A, R>]| {
        let mut words = vec![rows.len() as u32];
        let mut blocks = 0;
        for row in rows {
            for wide in row.addresses.into_iter().chain([row.len as u64]) {
                words.extend([wide as u32, (wide >> 32) as u32]);
            }
            words.push(blocks as u32);
            words.extend(row.rest);
            blocks += row.len.div_ceil(CHUNK);
        }
        words.resize(1 + most * each, 0);
        Table { words, blocks }
    };
    rows.chunks(most).map(table).collect()
}

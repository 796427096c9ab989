//! Tables of the parameters that one launch of an optimiser's kernel updates. A table is a kernel argument.

use crate::launch::{THREADS, line};
use crate::{Launch, Result};

/// Values of a parameter for each block.
const CHUNK: usize = 4096;

/// A row of the table: addresses, and the parameter's other settings as words.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row<const ADDRESSES: usize, const REST: usize> {
    pub addresses: [u64; ADDRESSES],
    pub len: usize,
    pub rest: [u32; REST],
}

/// Parameters of one launch in the layout of the kernels: their number, then the words of each (its addresses, its length, its
/// first block, and the rest).
pub(crate) struct Table {
    pub words: Vec<u32>,
    pub blocks: usize,
}

impl Table {
    pub(crate) fn launch(&self, op: &'static str, module: &'static str, kernel: &'static str) -> Result<Launch> {
        line(op, module, kernel, self.blocks * THREADS)
    }
}

/// Tables of all rows that are not empty, `most` in each: the arguments of a kernel together may take 4096 bytes.
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

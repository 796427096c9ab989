//! Output tiles of a pass, and blocks of them.

use super::super::gather::Gather;
use super::{POINTS, SIDE};

/// The output pixels of a [`Gather`], cut into tiles of 4×4.
#[derive(Debug, Clone)]
pub(in super::super) struct Tiles {
    n: usize,
    /// Grid frames, rows and columns.
    grid: [usize; 3],
    /// Tiles along height and width.
    across: [usize; 2],
    /// Offsets of the source frames that a grid frame reads.
    pub frames: Vec<isize>,
    /// Offset of the first tap along height and width.
    first: [isize; 2],
    src_step: usize,
    src_dims: [usize; 3],
    out_dims: [usize; 3],
    out_step: usize,
    out_at: usize,
    /// Tiles of a block, and of a block of a weight gradient.
    pub block: usize,
    sums_block: usize,
}

/// Cycles, about, that transforming one vector of channels of a tile takes, both ways together.
const TRANSFORM: usize = 380;
/// The same of a vector of filters, there and back: most of it is memory.
const FILTER: usize = 450;
/// Values that the transformed tiles of a block have, about, so that they stay in the second-level cache.
const BLOCK_VALUES: usize = 400 * 1024;
/// Tiles of a block at least: transformed filters are read once for each block.
const LEAST: usize = 48;
/// And at most.
const MOST: usize = 96;

impl Tiles {
    /// The tiles of a pass with `columns` output channels, if the kernel is 3×3 over space and tiles pay.
    pub fn of(g: &Gather, columns: usize) -> Option<Tiles> {
        let steps = g.src_step[1..] == [1; 2] && g.out_step[1..] == [1; 2] && g.out_at[1..] == [0; 2];
        let three = g.taps_per_run == 3 && !g.runs.is_empty() && g.runs.len().is_multiple_of(3);
        if !steps || !three || g.groups != 1 || g.runs.len() != g.lines.len() {
            return None;
        }
        let first = [g.lines[0][1], g.runs[0].1];
        let whole = g
            .lines
            .chunks(3)
            .all(|rows| (0..3).all(|i| rows[i] == [rows[0][0], first[0] + i as isize]));
        let in_order = g.runs.iter().enumerate().all(|(i, run)| *run == (i, first[1]));
        if !whole || !in_order {
            return None;
        }
        let across = [g.grid[1].div_ceil(SIDE), g.grid[2].div_ceil(SIDE)];
        let depth = g.runs.len() / 3 * g.channels;
        let tiles = across[0] * across[1];
        let total = g.n * g.grid[0] * tiles;
        // In multiply-adds of vectors of 16 channels.
        let filters = depth * columns.div_ceil(16);
        let winograd = POINTS * total * filters
            + TRANSFORM / 2 * total * (depth.div_ceil(16) + columns.div_ceil(16))
            + FILTER * filters;
        let direct = 9 * g.n * g.grid.iter().product::<usize>() * filters;
        if winograd > direct / 10 * 9 {
            return None;
        }
        let block = (BLOCK_VALUES / (POINTS * (depth + columns))).clamp(LEAST, MOST);
        Some(Tiles {
            n: g.n,
            grid: g.grid,
            across,
            frames: g.lines.chunks(3).map(|rows| rows[0][0]).collect(),
            first,
            src_step: g.src_step[0],
            src_dims: g.src_dims,
            out_dims: g.out_dims,
            out_step: g.out_step[0],
            out_at: g.out_at[0],
            // Blocks of one size.
            block: total.div_ceil(total.div_ceil(block)),
            // Transformed tiles are then about as many values as the sums.
            sums_block: (depth * columns / (depth + columns)).clamp(64, 128),
        })
    }

    /// The same in larger blocks, for a pass whose sums are read and written once for each block.
    pub fn for_sums(&self) -> Tiles {
        let block = self.sums_block.min(self.count());
        Tiles {
            block: self.count().div_ceil(self.count().div_ceil(block)),
            ..self.clone()
        }
    }

    /// Values of the buffers that a pass works in: transformed filters and the tiles of a block.
    pub fn pass_values(&self, g: &Gather, columns: usize) -> usize {
        let depth = self.frames.len() * g.channels;
        POINTS * (depth * columns + self.block * (depth + columns))
    }

    /// Tiles in all.
    pub fn count(&self) -> usize {
        self.n * self.grid[0] * self.across[0] * self.across[1]
    }

    pub fn blocks(&self) -> usize {
        self.count().div_ceil(self.block)
    }

    /// First tile and number of tiles of a block.
    pub fn block_at(&self, block: usize) -> (usize, usize) {
        crate::parallel::chunk_of(self.count(), self.block, block)
    }

    /// Output pixels of a block.
    pub fn pixels(&self, block: usize) -> usize {
        let (start, len) = self.block_at(block);
        (start..start + len)
            .map(|tile| {
                let [rows, columns] = self.place(tile).valid;
                rows * columns
            })
            .sum()
    }

    /// Where tile `i` lies.
    pub(super) fn place(&self, i: usize) -> Place {
        let [down, along] = self.across;
        let (tx, rest) = (i % along, i / along);
        let (ty, rest) = (rest % down, rest / down);
        let (z, n) = (rest % self.grid[0], rest / self.grid[0]);
        let (y, x) = (ty * SIDE, tx * SIDE);
        let frame = n * self.out_dims[0] + self.out_at + z * self.out_step;
        Place {
            n,
            frame: z * self.src_step,
            at: [y as isize + self.first[0], x as isize + self.first[1]],
            out: (frame * self.out_dims[1] + y) * self.out_dims[2] + x,
            valid: [SIDE.min(self.grid[1] - y), SIDE.min(self.grid[2] - x)],
        }
    }

    /// Output pixels between two rows of a tile.
    pub fn out_stride(&self) -> usize {
        self.out_dims[2]
    }

    /// Pointers to the 6×6 source pixels that a tile reads in the source frame at `offset`, to `zeros` outside.
    pub(super) fn sources(
        &self,
        place: &Place,
        offset: isize,
        src: &[f32],
        channels: usize,
        zeros: *const f32,
    ) -> [*const f32; POINTS] {
        let [frames, height, width] = self.src_dims;
        let frame = place.frame.checked_add_signed(offset).filter(|z| *z < frames);
        let Some(frame) = frame.map(|z| place.n * frames + z) else {
            return [zeros; POINTS];
        };
        std::array::from_fn(|i| {
            let (y, x) = (place.at[0] + (i / 6) as isize, place.at[1] + (i % 6) as isize);
            if y < 0 || x < 0 || y as usize >= height || x as usize >= width {
                return zeros;
            }
            src[((frame * height + y as usize) * width + x as usize) * channels..].as_ptr()
        })
    }
}

/// Where a tile lies.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    n: usize,
    /// The source frame without an offset, of this sample.
    frame: usize,
    /// Row and column of the first source pixel.
    at: [isize; 2],
    /// The first output pixel.
    pub out: usize,
    /// Rows and columns of the tile that are inside the output.
    pub valid: [usize; 2],
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conv::Conv;

    #[test]
    fn tiles_cover_the_output_once() {
        for (n, size, kernel) in [(2, [1, 9, 14], [1, 3, 3]), (1, [5, 8, 6], [3, 3, 3])] {
            let conv = Conv::new_3d(n, size, 32, 32, kernel, [1; 3], [kernel[0] / 2, 1, 1]);
            let g = Gather::forward(&conv);
            let tiles = Tiles::of(&g, 32).unwrap();
            let mut seen = vec![0; g.rows()];
            for i in 0..tiles.count() {
                let place = tiles.place(i);
                for y in 0..place.valid[0] {
                    for x in 0..place.valid[1] {
                        seen[place.out + y * tiles.out_stride() + x] += 1;
                    }
                }
            }
            assert!(seen.iter().all(|n| *n == 1));
            let pixels: usize = (0..tiles.blocks()).map(|b| tiles.pixels(b)).sum();
            assert_eq!(pixels, g.rows());
        }
    }

    #[test]
    fn only_where_it_pays() {
        let fits = |conv: Conv| Tiles::of(&Gather::forward(&conv), conv.co).is_some();
        let base = Conv::new_2d(8, [28, 28], 64, 64, 3, 1, 1);
        assert!(fits(base));
        assert!(
            !fits(Conv {
                stride: [1, 2, 2],
                ..base
            }),
            "stride"
        );
        assert!(
            !fits(Conv {
                dilation: [1, 2, 2],
                ..base
            }),
            "dilation"
        );
        assert!(!fits(Conv { groups: 2, ..base }), "groups");
        assert!(!fits(Conv::new_2d(8, [2, 2], 64, 64, 3, 1, 1)), "2×2 outputs");
        assert!(!fits(Conv::new_2d(8, [28, 28], 64, 64, 1, 1, 0)), "1×1");
        assert!(!fits(Conv::new_2d(8, [28, 28], 2, 2, 3, 1, 1)), "few channels");
    }
}

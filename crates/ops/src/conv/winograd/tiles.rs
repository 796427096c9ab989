//! Output tiles of a pass, and blocks of them.

use super::super::gather::Gather;
use super::{POINTS, POINTS_OF_A_LINE};

/// What a tile covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Along {
    /// 4×4 pixels of a frame, for kernels of 3×3 pixels.
    Space,
    /// 3×3 pixels of a frame, for kernels of 4×4 pixels.
    Wide,
    /// One pixel of 4 frames, for kernels of 3 frames.
    Time,
}

impl Along {
    /// Values of a transformed tile.
    pub(super) fn points(self) -> usize {
        match self {
            Along::Space | Along::Wide => POINTS,
            Along::Time => POINTS_OF_A_LINE,
        }
    }

    /// Outputs along a side.
    fn side(self) -> usize {
        match self {
            Along::Space | Along::Time => 4,
            Along::Wide => 3,
        }
    }

    /// Taps of a filter.
    pub(super) fn taps(self) -> usize {
        match self {
            Along::Space => 9,
            Along::Wide => 16,
            Along::Time => 3,
        }
    }
}

/// The output pixels of a [`Gather`], cut into tiles.
#[derive(Debug, Clone)]
pub(in super::super) struct Tiles {
    pub(super) along: Along,
    n: usize,
    /// Grid frames, rows and columns.
    grid: [usize; 3],
    /// Tiles along time, height and width.
    across: [usize; 3],
    /// Offsets of the source frames that a tile reads, of the first one along time.
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

/// Approximate number of values of the transformed tiles of a block, so that they stay in the second-level cache.
const BLOCK_VALUES: usize = 400 * 1024;

/// Values that all partial sums of a weight gradient together may hold, and how many there are at most.
const PARTIAL_VALUES: usize = 2 << 20;
const MOST_SPLITS: usize = 4;

impl Tiles {
    /// The tiles of a pass with `columns` output channels, if the kernel is supported and tiles are faster.
    pub(crate) fn of(g: &Gather, columns: usize) -> Option<Tiles> {
        let (along, frames) = Self::kernel(g)?;
        let side = along.side();
        let across = match along {
            Along::Space | Along::Wide => [g.grid[0], g.grid[1].div_ceil(side), g.grid[2].div_ceil(side)],
            Along::Time => [g.grid[0].div_ceil(side), g.grid[1], g.grid[2]],
        };
        let depth = frames.len() * g.channels;
        let total = g.n * across.iter().product::<usize>();
        // In multiply-adds of vectors of 16 channels: what transforming a vector of a tile takes, and one of the filters,
        // both there and back, most of which is memory; tiles of a block at least, because transformed filters are read
        // once for each block, and at most.
        let (transform, filter, least, most) = match along {
            Along::Space | Along::Wide => (190, 450, 48, 96),
            Along::Time => (30, 80, 96, 384),
        };
        let filters = depth * columns.div_ceil(16);
        let winograd = along.points() * total * filters
            + transform * total * (depth.div_ceil(16) + columns.div_ceil(16))
            + filter * filters;
        let direct = along.taps() * g.n * g.grid.iter().product::<usize>() * filters;
        if winograd > direct / 10 * 9 {
            return None;
        }
        let block = (BLOCK_VALUES / (along.points() * (depth + columns))).clamp(least, most);
        Some(Tiles {
            along,
            n: g.n,
            grid: g.grid,
            across,
            frames,
            first: [g.lines[0][1], g.runs[0].1],
            src_step: g.src_step[0],
            src_dims: g.src_dims,
            out_dims: g.out_dims,
            out_step: g.out_step[0],
            out_at: g.out_at[0],
            // Blocks of one size.
            block: total.div_ceil(total.div_ceil(block)),
            // Transformed tiles are then about as many values as the sums.
            sums_block: (depth * columns / (depth + columns)).clamp(64, 128) * least / 48,
        })
    }

    /// What tiles cover for this kernel, and the offsets of its source frames; `None` if it is not supported.
    fn kernel(g: &Gather) -> Option<(Along, Vec<isize>)> {
        let flat = g.src_step[1..] == [1; 2] && g.out_step[1..] == [1; 2] && g.out_at[1..] == [0; 2];
        let (first, runs) = (*g.lines.first()?, *g.runs.first()?);
        let in_order = g.runs.iter().enumerate().all(|(i, run)| *run == (i, runs.1));
        // Lines of a filter.
        let height = if g.taps_per_run == 4 { 4 } else { 3 };
        if !flat || !in_order || g.groups != 1 || g.runs.len() != g.lines.len() || !g.runs.len().is_multiple_of(height)
        {
            return None;
        }
        let one_after_the_other = |lines: &[[isize; 2]], axis: usize| {
            (0..height)
                .all(|i| lines[i][axis] == lines[0][axis] + i as isize && lines[i][1 - axis] == lines[0][1 - axis])
        };
        if let 3 | 4 = g.taps_per_run {
            let rows = |lines: &[[isize; 2]]| lines[0][1] == first[1] && one_after_the_other(lines, 1);
            let frames = g.lines.chunks(height).map(|lines| lines[0][0]).collect();
            let along = if height == 4 { Along::Wide } else { Along::Space };
            return g.lines.chunks(height).all(rows).then_some((along, frames));
        }
        let along_time = g.taps_per_run == 1
            && g.lines.len() == 3
            && one_after_the_other(&g.lines, 0)
            && (g.src_step[0], g.out_step[0], g.out_at[0]) == (1, 1, 0);
        along_time.then(|| (Along::Time, vec![first[0]]))
    }

    /// The same in larger blocks, for a pass whose sums are read and written once for each block.
    pub(crate) fn for_sums(&self) -> Tiles {
        let block = self.sums_block.min(self.count());
        Tiles {
            block: self.count().div_ceil(self.count().div_ceil(block)),
            ..self.clone()
        }
    }

    /// Independent sums that the blocks of a weight gradient go to, of so many values each: depends on the shape alone. A
    /// power of two, since threads mostly are.
    pub(crate) fn splits(&self, values: usize) -> usize {
        let most = (PARTIAL_VALUES / values).clamp(1, MOST_SPLITS).min(self.blocks());
        1 << most.ilog2()
    }

    /// Values of the buffers that a pass works in: transformed filters and the tiles of a block.
    pub(crate) fn pass_values(&self, g: &Gather, columns: usize) -> usize {
        let depth = self.frames.len() * g.channels;
        self.along.points() * (depth * columns + self.block * (depth + columns))
    }

    /// The same of a weight gradient, whose sums may be several.
    pub(crate) fn sums_values(&self, g: &Gather, columns: usize) -> usize {
        let sums = self.along.points() * self.frames.len() * g.channels * columns;
        self.pass_values(g, columns) + (self.splits(sums) - 1) * sums
    }

    /// Tiles in all.
    pub(crate) fn count(&self) -> usize {
        self.n * self.across.iter().product::<usize>()
    }

    pub(crate) fn blocks(&self) -> usize {
        self.count().div_ceil(self.block)
    }

    /// First tile and number of tiles of a block.
    pub(crate) fn block_at(&self, block: usize) -> (usize, usize) {
        crate::parallel::chunk_of(self.count(), self.block, block)
    }

    /// Output pixels of a block.
    pub(crate) fn pixels(&self, block: usize) -> usize {
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
        let [times, down, right] = self.across;
        let (tx, rest) = (i % right, i / right);
        let (ty, rest) = (rest % down, rest / down);
        let (tz, n) = (rest % times, rest / times);
        let side = self.along.side();
        let (z, y, x) = match self.along {
            Along::Space | Along::Wide => (tz, ty * side, tx * side),
            Along::Time => (tz * side, ty, tx),
        };
        let frame = n * self.out_dims[0] + self.out_at + z * self.out_step;
        let valid = match self.along {
            Along::Space | Along::Wide => [side.min(self.grid[1] - y), side.min(self.grid[2] - x)],
            Along::Time => [side.min(self.grid[0] - z), 1],
        };
        Place {
            n,
            frame: z * self.src_step,
            at: [y as isize + self.first[0], x as isize + self.first[1]],
            out: (frame * self.out_dims[1] + y) * self.out_dims[2] + x,
            valid,
        }
    }

    /// Output pixels between two rows of a tile, or two frames of one along time.
    pub(crate) fn out_stride(&self) -> usize {
        match self.along {
            Along::Space | Along::Wide => self.out_dims[2],
            Along::Time => self.out_dims[1] * self.out_dims[2],
        }
    }

    /// Pointers to the source pixels that a tile reads, 6×6 of the source frame at `offset`, or one of each of 6 frames
    /// from there on; to `zeros` outside.
    pub(super) fn sources(
        &self,
        place: &Place,
        offset: isize,
        src: &[f32],
        channels: usize,
        zeros: *const f32,
    ) -> [*const f32; POINTS] {
        let [frames, height, width] = self.src_dims;
        let pixel = |z: isize, y: isize, x: isize| {
            let inside = |i: isize, size: usize| usize::try_from(i).ok().filter(|i| *i < size);
            match (inside(z, frames), inside(y, height), inside(x, width)) {
                (Some(z), Some(y), Some(x)) => {
                    src[(((place.n * frames + z) * height + y) * width + x) * channels..].as_ptr()
                }
                _ => zeros,
            }
        };
        let ([y, x], z) = (place.at, place.frame as isize + offset);
        match self.along {
            Along::Space | Along::Wide => std::array::from_fn(|i| pixel(z, y + (i / 6) as isize, x + (i % 6) as isize)),
            Along::Time => {
                let mut all = [zeros; POINTS];
                for (i, one) in all.iter_mut().take(POINTS_OF_A_LINE).enumerate() {
                    *one = pixel(z + i as isize, y, x);
                }
                all
            }
        }
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
        let kernels = [[1, 3, 3], [3, 3, 3], [3, 1, 1], [2, 4, 4]];
        for (n, size, kernel) in [
            (2, [1, 9, 14], kernels[0]),
            (1, [5, 8, 6], kernels[1]),
            (2, [6, 5, 7], kernels[2]),
            (2, [3, 9, 11], kernels[3]),
        ] {
            let conv = Conv::new_3d(n, size, 64, 64, kernel, [1; 3], kernel.map(|k| k / 2));
            let g = Gather::forward(&conv);
            let tiles = Tiles::of(&g, 64).unwrap();
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
        assert!(!fits(Conv::new_2d(1, [7, 7], 512, 512, 3, 1, 1)), "few pixels");
        let along_time = |frames| Conv::new_3d(1, [frames, 14, 14], 64, 64, [3, 1, 1], [1; 3], [1, 0, 0]);
        assert!(fits(along_time(4)));
        assert!(!fits(along_time(2)), "2 frames");
        assert!(!fits(Conv::new_2d(8, [28, 28], 2, 2, 3, 1, 1)), "few channels");
    }
}

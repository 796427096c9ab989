//! Weights in the order in which the kernels read them.

use super::fold::Fold;
use super::gather::Gather;
use super::kernels::{Kernels, Panel};
use super::shape::Conv;
use super::turn::{OUTSIDE, turn};
use crate::error::{Result, check_len, shape};
use crate::isa::{self, Isa};
use crate::parallel::{self, Shared};
use crate::scratch::{self, Scratch};

/// The weights of one gather: `[group][panel][depth][width of the panel]`, zero beyond the last channel.
pub(super) struct Panels {
    pub list: Vec<Panel>,
    /// Values per group, and those of a column over the whole depth.
    group_len: usize,
    depth: usize,
    data: Scratch,
}

impl Panels {
    fn new(kernels: &Kernels, gather: &Gather, columns: usize) -> Self {
        let list = kernels.panels(columns, kernels.tiles.len());
        let depth = gather.depth();
        let group_len = list.iter().map(|panel| panel.width).sum::<usize>() * depth;
        Self {
            list,
            group_len,
            depth,
            data: scratch::take(group_len * gather.groups),
        }
    }

    /// The panel's weights `[depth][width]`.
    pub(super) fn panel(&self, group: usize, panel: &Panel) -> &[f32] {
        &self.data[group * self.group_len + panel.at * self.depth..][..panel.width * self.depth]
    }

    /// Fills the panels in parallel; `fill(group, panel, its weights)`.
    fn fill(&mut self, groups: usize, fill: impl Fn(usize, &Panel, &mut [f32]) + Sync + Send) {
        let count = self.list.len();
        let work = self.data.len();
        let (depth, group_len, list) = (self.depth, self.group_len, &self.list);
        let data = Shared::new(&mut self.data);
        parallel::run(groups * count, work, |task| {
            let (group, panel) = (task / count, &list[task % count]);
            // SAFETY: panels are disjoint parts of `data`, which outlives the call.
            let part = unsafe { data.part(group * group_len + panel.at * depth, panel.width * depth) };
            if panel.columns < panel.width {
                part.fill(0.0);
            }
            fill(group, panel, part);
        });
    }
}

/// The kernel that weights have, where only a part of its taps is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Source {
    /// Size of the whole kernel.
    pub kernel: [usize; 3],
    /// The first tap that is used, along each axis.
    pub first: [usize; 3],
}

impl Source {
    fn all(conv: &Conv) -> Source {
        Source {
            kernel: conv.kernel,
            first: [0; 3],
        }
    }

    /// Of each tap of a kernel of size `used`: its place among all.
    fn taps(&self, used: [usize; 3]) -> Vec<usize> {
        let [kt, kh, kw] = used;
        (0..kt * kh * kw)
            .map(|tap| {
                let at = [tap / kw / kh, tap / kw % kh, tap % kw];
                let [t, y, x]: [usize; 3] = std::array::from_fn(|a| at[a] + self.first[a]);
                (t * self.kernel[1] + y) * self.kernel[2] + x
            })
            .collect()
    }
}

/// Filters that a task of [`Source::place`] fills.
const FILTERS: usize = 1 << 10;

impl Source {
    /// The gradient of all taps, `whole`, from that of the `used` ones of `conv` that this is the source of; zero for the
    /// others.
    ///
    /// # Errors
    /// The source has too few taps, or a buffer's length is not the shape's.
    pub fn place(&self, conv: &Conv, used: &[f32], whole: &mut [f32]) -> Result<()> {
        const OP: &str = "placing a weight gradient";
        self.check(OP, conv)?;
        let filters = conv.co * (conv.ci / conv.groups);
        let (places, taps) = (self.taps(conv.kernel), self.kernel.iter().product::<usize>());
        check_len(OP, "gradient", used.len(), filters * places.len())?;
        check_len(OP, "whole gradient", whole.len(), filters * taps)?;
        let work = whole.len();
        let whole = Shared::new(whole);
        parallel::run(filters.div_ceil(FILTERS), work, |i| {
            let (at, len) = parallel::chunk_of(filters, FILTERS, i);
            // SAFETY: tasks have filters of their own, and the lengths were checked.
            let whole = unsafe { whole.part(at * taps, len * taps) };
            let used = &used[at * places.len()..][..len * places.len()];
            whole.fill(0.0);
            for (whole, used) in whole.chunks_exact_mut(taps).zip(used.chunks_exact(places.len())) {
                places
                    .iter()
                    .zip(used)
                    .for_each(|(&place, &value)| whole[place] = value);
            }
        });
        Ok(())
    }

    fn check(&self, op: &'static str, conv: &Conv) -> Result<()> {
        if (0..3).any(|a| self.first[a] + conv.kernel[a] > self.kernel[a]) {
            let problem = format!("{self:?} has not all taps of the kernel {:?}", conv.kernel);
            return Err(shape(op, problem));
        }
        Ok(())
    }
}

/// Where each of `taps` taps of the source is in a gather's order of those that are `used`; out of range where it has
/// none.
fn positions(order: &[usize], used: &[usize], taps: usize) -> Vec<usize> {
    let mut positions = vec![OUTSIDE; taps];
    order
        .iter()
        .enumerate()
        .for_each(|(at, &tap)| positions[used[tap]] = at);
    positions
}

/// The line of each value of a filter `[ci][taps]` of the source among those of the folded convolution.
fn folded_lines(fold: &Fold, used: &[usize], ci: usize, taps: usize) -> Vec<usize> {
    let all: Vec<usize> = (0..fold.folded.taps()).collect();
    let order = positions(&Gather::forward(&fold.folded).taps, &all, all.len());
    let mut lines = vec![OUTSIDE; ci * taps];
    for (tap, source) in used.iter().enumerate() {
        for channel in 0..ci {
            let (tap, at) = fold.place(tap, channel);
            lines[channel * taps + source] = order[tap] * fold.folded.ci + at;
        }
    }
    lines
}

/// Weights packed for the forward pass, for the input gradient, or for both.
pub struct PackedWeights {
    conv: Conv,
    source: Source,
    isa: Isa,
    forward: Option<Panels>,
    /// One per residue class of the stride; empty unless requested.
    pub(super) backward: Vec<Panels>,
}

impl PackedWeights {
    /// Packs `weights` (`[co, ci / groups, kt, kh, kw]`) for both directions and the current instruction set.
    ///
    /// # Errors
    /// The shape makes no sense, or the number of weights is not the shape's.
    pub fn new(conv: &Conv, weights: &[f32]) -> Result<Self> {
        Self::pack(conv, Source::all(conv), weights, [true, true])
    }

    /// Packs for the forward pass only.
    ///
    /// # Errors
    /// As [`PackedWeights::new`].
    pub fn forward_only(conv: &Conv, weights: &[f32]) -> Result<Self> {
        Self::pack(conv, Source::all(conv), weights, [true, false])
    }

    /// Packs for the input gradient only.
    ///
    /// # Errors
    /// As [`PackedWeights::new`].
    pub fn backward_only(conv: &Conv, weights: &[f32]) -> Result<Self> {
        Self::pack(conv, Source::all(conv), weights, [false, true])
    }

    /// Packs a part of the taps of `weights`, for the forward pass or, with `backward`, for the input gradient only.
    ///
    /// # Errors
    /// As [`PackedWeights::new`], and if the source has too few taps.
    pub fn part(conv: &Conv, source: Source, backward: bool, weights: &[f32]) -> Result<Self> {
        Self::pack(conv, source, weights, [!backward, backward])
    }

    fn pack(conv: &Conv, source: Source, weights: &[f32], [forward, backward]: [bool; 2]) -> Result<Self> {
        conv.validate()?;
        source.check("packing weights", conv)?;
        let isa = isa::current();
        let kernels = Kernels::of(isa);
        let classes = if backward { Gather::backward(conv) } else { Vec::new() };
        let backward = classes
            .iter()
            .map(|class| Panels::new(kernels, class, conv.ci / conv.groups))
            .collect();
        let mut packed = Self {
            conv: *conv,
            source,
            isa,
            forward: forward.then(|| {
                let run = Fold::of(conv).map_or(*conv, |fold| fold.folded);
                Panels::new(kernels, &Gather::forward(&run), conv.co / conv.groups)
            }),
            backward,
        };
        packed.repack(weights)?;
        Ok(packed)
    }

    /// Packs other weights of the same shape into the same memory.
    ///
    /// # Errors
    /// The number of weights is not the shape's.
    pub fn repack(&mut self, weights: &[f32]) -> Result<()> {
        let (conv, isa) = (self.conv, self.isa);
        let (ci, co) = (conv.ci / conv.groups, conv.co / conv.groups);
        let taps: usize = self.source.kernel.iter().product();
        check_len("packing weights", "weights", weights.len(), conv.co * ci * taps)?;
        let used = self.source.taps(conv.kernel);

        if let Some(forward) = &mut self.forward {
            // Filters are rows of (channel, tap), and become columns.
            let fold = Fold::of(&conv);
            let lines = match &fold {
                Some(fold) => folded_lines(fold, &used, ci, taps),
                None => {
                    let order = positions(&Gather::forward(&conv).taps, &used, taps);
                    let line = |at: usize| match order[at % taps] {
                        OUTSIDE => OUTSIDE,
                        order => order * ci + at / taps,
                    };
                    (0..ci * taps).map(line).collect()
                }
            };
            forward.fill(conv.groups, |group, panel, part| {
                if fold.is_some() {
                    // Squares have taps that the kernel lacks.
                    part.fill(0.0);
                }
                let filters = &weights[(group * co + panel.at) * ci * taps..];
                turn(isa, filters, &lines, panel, part);
            });
        }
        let classes = self.backward.iter_mut().zip(Gather::backward(&conv));
        for (class, gather) in classes.filter(|(_, gather)| !gather.taps.is_empty()) {
            // A filter's channels are rows of taps, and become columns, those of this class.
            let order = positions(&gather.taps, &used, taps);
            let lines: Vec<usize> = order.iter().map(|order| order.saturating_mul(co)).collect();
            class.fill(conv.groups, |group, panel, part| {
                for c in 0..co {
                    let filter = &weights[((group * co + c) * ci + panel.at) * taps..];
                    let part = &mut part[c * panel.width..];
                    if taps == 1 {
                        part[..panel.columns].copy_from_slice(&filter[..panel.columns]);
                    } else if let [tap] = used[..] {
                        let values = filter[tap..].iter().step_by(taps);
                        part[..panel.columns]
                            .iter_mut()
                            .zip(values)
                            .for_each(|(to, from)| *to = *from);
                    } else {
                        turn(isa, filter, &lines, panel, part);
                    }
                }
            });
        }
        Ok(())
    }

    /// The panels of the forward pass.
    pub(super) fn forward(&self) -> Option<&Panels> {
        self.forward.as_ref()
    }

    /// The convolution that these weights were packed for; its samples and input size do not matter.
    pub fn conv(&self) -> &Conv {
        &self.conv
    }

    /// The instruction set that the weights were packed for, which the passes then use.
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// Whether the input gradient can be computed.
    pub fn has_backward(&self) -> bool {
        !self.backward.is_empty()
    }
}

impl std::fmt::Debug for PackedWeights {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PackedWeights")
            .field("conv", &self.conv)
            .field("isa", &self.isa)
            .finish_non_exhaustive()
    }
}

//! Weights in the order in which the kernels read them.

use super::gather::Gather;
use super::kernels::{Kernels, Panel};
use super::shape::Conv;
use crate::error::{Result, check_len};
use crate::isa::{self, Isa};
use crate::parallel::{self, Shared};
use crate::scratch::Aligned;

/// The weights of one gather: `[group][panel][depth][width of the panel]`, zero beyond the last channel.
pub(super) struct Panels {
    pub list: Vec<Panel>,
    /// Values per group, and those of a column over the whole depth.
    group_len: usize,
    depth: usize,
    data: Aligned,
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
            data: Aligned::zeros(group_len * gather.groups),
        }
    }

    /// The panel's weights `[depth][width]`.
    pub fn panel(&self, group: usize, panel: &Panel) -> &[f32] {
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
            fill(group, panel, part);
        });
    }
}

/// Weights packed for the forward pass and for the input gradient; made once per optimiser step.
pub struct PackedWeights {
    conv: Conv,
    isa: Isa,
    pub(super) forward: Panels,
    /// One per residue class of the stride; empty unless asked for.
    pub(super) backward: Vec<Panels>,
}

impl PackedWeights {
    /// Packs `weights` (`[co, ci / groups, kt, kh, kw]`) for both directions and the current instruction set.
    ///
    /// # Errors
    /// The shape makes no sense, or the number of weights is not the shape's.
    pub fn new(conv: &Conv, weights: &[f32]) -> Result<Self> {
        Self::pack(conv, weights, true)
    }

    /// Packs for the forward pass only: for evaluation, or where the input needs no gradient.
    ///
    /// # Errors
    /// As [`PackedWeights::new`].
    pub fn forward_only(conv: &Conv, weights: &[f32]) -> Result<Self> {
        Self::pack(conv, weights, false)
    }

    fn pack(conv: &Conv, weights: &[f32], both: bool) -> Result<Self> {
        conv.validate()?;
        let isa = isa::current();
        let kernels = Kernels::of(isa);
        let forward = Panels::new(kernels, &Gather::forward(conv), conv.co / conv.groups);
        let classes = if both { Gather::backward(conv) } else { Vec::new() };
        let backward = classes
            .iter()
            .map(|class| Panels::new(kernels, class, conv.ci / conv.groups))
            .collect();
        let mut packed = Self {
            conv: *conv,
            isa,
            forward,
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
        let conv = self.conv;
        check_len("packing weights", "weights", weights.len(), conv.weight_len())?;
        let (ci, co, taps) = (conv.ci / conv.groups, conv.co / conv.groups, conv.taps());

        let gather = Gather::forward(&conv);
        let block = (64 / taps).max(1);
        self.forward.fill(conv.groups, |group, panel, part| {
            // A block's lines of the panel stay in the first-level cache while the filters fill them.
            for c0 in (0..ci).step_by(block) {
                for j in 0..panel.columns {
                    let filter = &weights[(group * co + panel.at + j) * ci * taps..][..ci * taps];
                    for c in c0..(c0 + block).min(ci) {
                        for (order, &tap) in gather.taps.iter().enumerate() {
                            part[(order * ci + c) * panel.width + j] = filter[c * taps + tap];
                        }
                    }
                }
            }
        });
        for (class, gather) in self.backward.iter_mut().zip(Gather::backward(&conv)) {
            class.fill(conv.groups, |group, panel, part| {
                for c in 0..co {
                    let filter = &weights[((group * co + c) * ci + panel.at) * taps..][..panel.columns * taps];
                    for (order, &tap) in gather.taps.iter().enumerate() {
                        let line = &mut part[(order * co + c) * panel.width..][..panel.columns];
                        for (j, value) in line.iter_mut().enumerate() {
                            *value = filter[j * taps + tap];
                        }
                    }
                }
            });
        }
        Ok(())
    }

    /// The convolution that these weights were packed for; its samples and input size do not matter.
    pub fn conv(&self) -> &Conv {
        &self.conv
    }

    /// The instruction set that the weights were packed for, which the passes then use.
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// Whether the input gradient can be taken.
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

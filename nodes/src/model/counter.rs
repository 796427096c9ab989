//! Walks a network's sizes and sums up what a pass costs.

use super::conv_bn::ConvBn;
use crate::Cost;
use crate::op::pool::MaxPool;

/// Where a pass stands, and what it has cost so far.
#[derive(Clone, Debug)]
pub(crate) struct Counter {
    /// Samples of the batch: clips, or frames of a 2-D network.
    pub samples: usize,
    /// Time, height and width.
    pub size: [usize; 3],
    /// Channels.
    pub channels: usize,
    pub cost: Cost,
}

impl Counter {
    /// In front of a network that takes images of three channels.
    pub fn new(samples: usize, size: [usize; 3]) -> Counter {
        Counter {
            samples,
            size,
            channels: 3,
            cost: Cost::default(),
        }
    }

    /// Numbers of the tensor here.
    pub fn values(&self) -> usize {
        self.samples * self.size.iter().product::<usize>() * self.channels
    }

    /// So many numbers are kept for the backward pass.
    pub fn keep(&mut self, values: usize) {
        self.cost.kept += 4 * values as u64;
    }

    /// A unit keeps its convolution's output and its own.
    pub fn unit(&mut self, unit: &ConvBn) {
        let shape = unit.on(self.samples, self.size);
        self.cost.macs += shape.macs();
        self.size = shape.output();
        self.channels = shape.co;
        self.keep(2 * shape.output_len());
    }

    /// A pooling keeps its output and the places of the maxima, a byte each.
    pub fn pool(&mut self, pool: &MaxPool) {
        let shape = pool.on(self.samples, self.size, self.channels);
        self.size = shape.output();
        self.keep(shape.output_len());
        self.cost.kept += shape.output_len() as u64;
    }

    /// Counts a branch that begins at `input` and leaves the size here as it is.
    pub fn beside(&mut self, input: &Counter, branch: impl FnOnce(&mut Counter)) {
        let mut other = Counter {
            cost: self.cost,
            ..input.clone()
        };
        branch(&mut other);
        self.cost = other.cost;
    }
}

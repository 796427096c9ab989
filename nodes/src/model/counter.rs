//! Walks a network's sizes and adds up the cost of a pass.

use crate::Precision;
use crate::op::pool::MaxPool;
use glad_ops::{Conv, conv};

/// The position in a pass, and its cost so far.
#[derive(Clone, Debug)]
pub(crate) struct Counter {
    /// Samples of the batch.
    pub samples: usize,
    /// Time, height and width.
    pub size: [usize; 3],
    /// Channels.
    pub channels: usize,
    /// Bytes per activation value.
    pub number: u64,
    /// Multiply-adds so far.
    pub macs: u64,
    /// Bytes of the largest buffers that a convolution has used so far.
    pub workspace: u64,
    /// What the current part has kept.
    pub own: Own,
}

/// What a part of a network keeps for its backward pass.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Own {
    /// Bytes, in addition to its input and output.
    pub kept: u64,
    /// Whether it keeps its input, and its output.
    pub input: bool,
    pub output: bool,
    /// Temporary bytes of its backward pass, in addition to the gradient of its output and one more of that size.
    pub moving: u64,
}

impl Counter {
    /// At the input of a network that takes images of so many channels.
    pub(super) fn new(samples: usize, size: [usize; 3], channels: usize, precision: Precision) -> Counter {
        Counter {
            samples,
            size,
            channels,
            number: precision.activation_bytes(),
            macs: 0,
            workspace: 0,
            own: Own::default(),
        }
    }

    /// Begins the next part.
    pub(super) fn begin(&mut self) {
        self.own = Own::default();
    }

    /// Values of the current tensor.
    pub(super) fn values(&self) -> usize {
        self.samples * self.size.iter().product::<usize>() * self.channels
    }

    /// Bytes of the current tensor.
    pub(super) fn bytes(&self) -> u64 {
        self.number * self.values() as u64
    }

    /// Counts values that are kept for the backward pass.
    pub(super) fn keep(&mut self, values: usize) {
        self.own.kept += self.number * values as u64;
    }

    /// Counts a convolution.
    pub(super) fn conv(&mut self, shape: &Conv) {
        self.macs += shape.macs();
        self.workspace = self.workspace.max(conv::workspace(shape) as u64);
    }

    /// Counts a pooling: it keeps the positions of the maxima, a byte each; its input's gradient is a new tensor.
    pub(super) fn pool(&mut self, pool: &MaxPool) {
        self.own.moving = self.own.moving.max(self.bytes());
        let shape = pool.on(self.samples, self.size, self.channels);
        self.size = shape.output();
        self.own.kept += shape.output_len() as u64;
    }

    /// Counts a branch that begins at `input` and leaves the current size unchanged.
    pub(super) fn beside(&mut self, input: &Counter, branch: impl FnOnce(&mut Counter)) {
        let here = (self.size, self.channels);
        (self.size, self.channels) = (input.size, input.channels);
        branch(self);
        (self.size, self.channels) = here;
    }
}

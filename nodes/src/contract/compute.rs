//! Nodes of the compute side: batches of tensors, forward and backward. The graph is the tape.

use super::host::Args;
use super::precision::Precision;
use super::problem::ParamProblem;
use super::rng::Key;
use super::weights::{LoadedWeights, Scope, WeightSpec};
use anyhow::Result;
use candle_core::{Device, Tensor};
use std::any::Any;
use std::collections::BTreeMap;
use std::path::Path;

/// What a forward pass keeps for its backward pass; freed when that has run.
pub type Saved = Box<dyn Any>;

/// What a call on the device knows, besides its inputs.
pub struct Step<'a> {
    /// The node's own weights.
    pub weights: Scope<'a>,
    /// Names this node's random numbers in this step.
    pub key: Key,
    /// Whether this is training (dropout, batch statistics).
    pub training: bool,
    /// The share of the phase that is done, in [0, 1] (GRL schedules).
    pub progress: f64,
    /// Optimiser steps done in this phase.
    pub step: u64,
    /// Which of the flattened inputs want a gradient.
    pub wants: &'a [bool],
    /// Whether a backward pass will follow: where not, nothing need be kept.
    pub backward: bool,
    /// Whether this forward pass repeats one of the same step: what that one changed (running statistics) stays as it is.
    pub again: bool,
    /// Of a pass that computes running statistics anew: the share of this batch in all so far, from 0 to 1. They are then the
    /// mean over the batches, in the place of a moving one.
    pub average: Option<f64>,
    /// Whether what is asked of a GPU may be recorded, and repeated in later steps (CUDA graphs).
    pub record: bool,
    /// Where tensors live.
    pub device: &'a Device,
    /// The precision in which `device` computes: on the CPU always [`Precision::F32`], whatever the graph asks for.
    pub precision: Precision,
}

/// What a node's weights start from, where a graph has to name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartsFrom<'a> {
    /// The graph does not name it.
    NotGiven,
    /// Random numbers, as the graph asks.
    Random,
    /// The values in this file.
    File(&'a Path),
}

/// A node of the compute side. One value serves all calls of the node; what a call keeps goes into [`Saved`].
pub trait Compute: Send + Sync {
    /// The weights that it has.
    fn weights(&self) -> Vec<WeightSpec> {
        vec![]
    }

    /// What its weights start from, where a graph has to name it (backbones); `None` where that is no choice. A run of a node
    /// that has the choice and does not make it is refused.
    fn starts_from(&self) -> Option<StartsFrom<'_>> {
        None
    }

    /// Whether the file that its weights start from fits them, without reading their values: asked before anything runs, and
    /// only where the file is there.
    ///
    /// # Errors
    /// What does not fit, and what to write.
    fn examine(&self) -> Result<(), ParamProblem> {
        Ok(())
    }

    /// Reads the values that its weights start from out of the file of [`Compute::starts_from`]. Called once, when the
    /// weights are made.
    ///
    /// # Errors
    /// The file is not there, is damaged, or does not fit.
    fn load(&self, device: &Device) -> Result<Option<LoadedWeights>> {
        let _ = device;
        Ok(None)
    }

    /// Computes the outputs, in the contract's order (for a joint node: the outputs of the first stream, then of
    /// the next; its inputs have one value per stream).
    ///
    /// # Errors
    /// An input has another shape than in the contract, or the device fails.
    fn forward(&self, step: &mut Step<'_>, inputs: &Args<Tensor>) -> Result<(Vec<Tensor>, Saved)>;

    /// Takes the gradients of the outputs (`None`: none arrived), adds those of its weights to `step.weights`, and
    /// returns those of its flattened inputs (`None` where not wanted).
    ///
    /// # Errors
    /// `saved` is another call's, or the device fails.
    fn backward(&self, step: &mut Step<'_>, saved: Saved, grads: Vec<Option<Tensor>>) -> Result<Vec<Option<Tensor>>>;

    /// What a call costs, for a batch of `batch` samples of each stream, computed in `precision`.
    fn cost(&self, batch: usize, precision: Precision) -> Cost {
        let _ = (batch, precision);
        Cost::default()
    }
}

/// What a call costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Multiply-adds of the forward pass (a training step has about three times as many).
    pub macs: u64,
    /// Bytes kept from forward to backward, besides the outputs.
    pub kept: u64,
    /// Bytes needed only while a call runs, at most, in addition to what it keeps: in a backward pass those of its weights'
    /// gradients included.
    pub scratch: u64,
}

/// Computes values of each video from the rows of all videos of a list, such as labels by clusters.
pub trait OverList: Send + Sync {
    /// Takes the rows of all videos that the pass could use, on the CPU and in the order of the list, and returns the outputs
    /// in the contract's order: as many rows as the first port has. Their bits may not depend on the number of threads.
    ///
    /// # Errors
    /// The rows do not fit together, or are not finite.
    fn compute(&self, inputs: &Args<Tensor>) -> Result<Vec<Tensor>>;
}

/// A score over a split, such as mean class accuracy, or a measure between the lists of several streams.
pub trait Metric: Send + Sync {
    /// Starts to count.
    fn start(&self) -> Box<dyn Tally>;
}

/// A [`Metric`]'s running count.
pub trait Tally: Send {
    /// Takes a batch. Of a metric over several streams, whose lists may differ in length, the ports of a stream that
    /// has run out have no values.
    ///
    /// # Errors
    /// What arrives cannot be scored, such as a label beyond the classes.
    fn update(&mut self, inputs: &Args<Tensor>) -> Result<()>;
    /// The scores so far, in the order of the contract's outputs where the values have ports.
    fn scores(&self) -> Scores;
}

/// What a metric found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scores {
    /// Named values in [0, 1] or in the unit in the name, the main one first.
    pub values: Vec<(String, f64)>,
    /// Rows: true class; columns: predicted class; counts.
    pub confusion: Option<Vec<Vec<u64>>>,
    /// What was counted, where whole distributions are worth a look.
    pub distributions: Vec<Distribution>,
    /// Decimals that the values are shown with, where they are no shares.
    pub decimals: Option<usize>,
}

/// How often each whole number occurs, such as the lengths of a stream's videos.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Distribution {
    /// Whose it is, such as a stream.
    pub name: String,
    /// How often, by number.
    pub counts: BTreeMap<u32, u64>,
}

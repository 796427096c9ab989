//! A phase's optimiser, as written.

use crate::diag::{Place, Spanned};
use glad_nodes::Role;

/// SGD with momentum (PyTorch's definition).
#[derive(Clone, Debug)]
pub struct OptimizerDef {
    /// Learning rate before schedule and groups.
    pub lr: f64,
    /// Momentum; 0 is plain SGD.
    pub momentum: f64,
    /// L2 added to the gradient.
    pub weight_decay: f64,
    /// Nesterov's form.
    pub nesterov: bool,
    /// The gradient's largest L2 norm over all weights.
    pub clip_norm: Option<f64>,
    /// Steps of linear warm-up from 0; `lr · min(1, (step + 1) / warmup_steps)`.
    pub warmup_steps: usize,
    /// How the rate falls.
    pub schedule: ScheduleDef,
    /// Rates and decays of parts of the weights; the first that matches counts.
    pub groups: Vec<GroupDef>,
    /// Where it was written.
    pub place: Option<Place>,
}

/// How the learning rate falls.
#[derive(Clone, Debug, PartialEq)]
pub enum ScheduleDef {
    /// Not at all.
    Constant,
    /// Times `gamma` at each of these epochs (or steps, where the phase is given in steps).
    Step {
        /// When.
        at: Vec<usize>,
        /// By how much.
        gamma: f64,
    },
    /// Half a cosine to `end · lr`, over the phase.
    Cosine {
        /// The share that is left at the end.
        end: f64,
    },
}

/// A group of weights.
#[derive(Clone, Debug)]
pub struct GroupDef {
    /// Nodes or composites; empty is all.
    pub nodes: Vec<Spanned<String>>,
    /// Roles; empty is all.
    pub roles: Vec<Role>,
    /// Times the learning rate.
    pub lr_scale: f64,
    /// Weight decay of this group instead of the optimiser's.
    pub weight_decay: Option<f64>,
}

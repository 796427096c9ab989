//! A phase's optimiser, as written.

use super::schedule::ScheduleDef;
use crate::diag::{Problem, Spanned};
use crate::keys::{Rules, Value, Word, Words, schema, table};
use crate::tree::{Out, Tree, TreeValue};
use glad_nodes::Role;
use serde_json::{Value as Json, json};

/// An optimiser.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OptimizerKind {
    /// SGD with momentum.
    #[default]
    Sgd,
    /// Adam; its weight decay is L2.
    Adam,
    /// Adam with decoupled weight decay.
    AdamW,
}

impl OptimizerKind {
    /// The tensors of its state for each trained weight, each of the weight's size, by their names in checkpoints.
    pub fn buffers(self) -> &'static [&'static str] {
        match self {
            OptimizerKind::Sgd => &["momentum"],
            OptimizerKind::Adam | OptimizerKind::AdamW => &["first_moment", "second_moment"],
        }
    }

    /// The keys that other optimisers lack.
    pub fn own_keys(self) -> &'static [&'static str] {
        match self {
            OptimizerKind::Sgd => &["momentum", "nesterov"],
            OptimizerKind::Adam | OptimizerKind::AdamW => &["betas", "eps"],
        }
    }
}

impl Word for OptimizerKind {
    const WHAT: &'static str = "optimizer";
    const ALL: &'static [OptimizerKind] = &[OptimizerKind::Sgd, OptimizerKind::Adam, OptimizerKind::AdamW];

    fn word(self) -> &'static str {
        match self {
            OptimizerKind::Sgd => "sgd",
            OptimizerKind::Adam => "adam",
            OptimizerKind::AdamW => "adamw",
        }
    }
}

table! {
    /// How weights are updated, as PyTorch defines it: SGD with momentum (`sgd`), Adam (`adam`; Kingma and Ba, ICLR 2015), or Adam
    /// with decoupled weight decay (`adamw`; Loshchilov and Hutter, ICLR 2019).
    pub struct OptimizerDef as "optimizer" {
        /// The optimiser.
        kind: OptimizerKind;
        /// Learning rate before schedule and groups.
        lr: f64, [least = 0.0];
        /// Of `sgd`: 0, the default, is plain SGD.
        momentum: Option<f64>, [least = 0.0, below = 1.0];
        /// Of `adam` and `adamw`: β₁ and β₂, the decay rates of the moving averages of the gradient and of its square; [0.9, 0.999]
        /// by default.
        betas: Option<Betas>;
        /// Of `adam` and `adamw`: ε, added to the root of the second moment; 1e-8 by default.
        eps: Option<f64>, [least = 1e-30];
        /// L2 added to the gradient; with `adamw` decoupled: each step subtracts `lr · weight_decay · w`.
        weight_decay: f64, [least = 0.0];
        /// Of `sgd`: Nesterov's form.
        nesterov: bool;
        /// The gradient's largest L2 norm over all weights.
        clip_norm: Option<f64>, [above = 0.0];
        /// Steps over which the rate rises from 0: `lr · min(1, (step + 1) / warmup_steps)`.
        warmup_steps: usize, [omit = 0.0];
        /// The schedule of the learning rate.
        schedule: ScheduleDef = ScheduleDef::Constant;
        /// Learning rates and weight decays of parts of the weights; the first group that matches a weight applies.
        groups: Vec<GroupDef>;
    }
}

/// The update of a weight, with the defaults filled in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Update {
    /// SGD.
    Sgd {
        /// 0 is plain SGD.
        momentum: f64,
        /// Nesterov's form.
        nesterov: bool,
    },
    /// Adam or AdamW.
    Adam {
        /// β₁ and β₂.
        betas: [f64; 2],
        /// ε.
        eps: f64,
        /// Decoupled weight decay: AdamW.
        decoupled: bool,
    },
}

impl OptimizerDef {
    /// The update of a weight.
    pub fn update(&self) -> Update {
        match self.kind {
            OptimizerKind::Sgd => Update::Sgd {
                momentum: self.momentum.unwrap_or(0.0),
                nesterov: self.nesterov,
            },
            OptimizerKind::Adam | OptimizerKind::AdamW => Update::Adam {
                betas: self.betas.unwrap_or_default().0,
                eps: self.eps.unwrap_or(1e-8),
                decoupled: self.kind == OptimizerKind::AdamW,
            },
        }
    }

    /// Sets the kind's own keys that are absent to their defaults, so that the effective graph shows them.
    pub fn fill(&mut self) {
        match self.update() {
            Update::Sgd { momentum, .. } => self.momentum = Some(momentum),
            Update::Adam { betas, eps, .. } => (self.betas, self.eps) = (Some(Betas(betas)), Some(eps)),
        }
    }
}

/// β₁ and β₂ of Adam.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Betas(pub [f64; 2]);

impl Default for Betas {
    fn default() -> Betas {
        Betas([0.9, 0.999])
    }
}

/// With 1 a moving average would never change.
const BETA: Rules = Rules {
    least: Some(0.0),
    below: Some(1.0),
    ..Rules::NONE
};

impl Value for Betas {
    fn read(at: &str, t: &Tree, _: &Rules, out: &mut Out) -> Option<Self> {
        let items = out.list(at, t)?;
        let [first, second] = items else {
            let p = Problem::error(format!("`{at}` takes two numbers, and has {}", items.len()));
            out.push(p.at(&t.place, "here").help("β₁ and β₂: `betas = [0.9, 0.999]`"));
            return None;
        };
        let name = format!("items of {at}");
        let beta = |t: &Tree, out: &mut Out| f64::read(&name, t, &BETA, out);
        let (first, second) = (beta(first, out), beta(second, out));
        Some(Betas([first?, second?]))
    }

    fn write(&self, _: &Rules) -> Option<TreeValue> {
        Some(crate::tree::list(self.0.into_iter().map(TreeValue::Float)))
    }

    fn schema(doc: &str, _: &Rules) -> Json {
        let item = f64::schema("β₁, then β₂.", &BETA);
        schema::or_param(json!({ "type": "array", "items": item, "minItems": 2, "maxItems": 2, "description": doc }))
    }
}

table! {
    /// A parameter group.
    pub struct GroupDef as "group" {
        /// Nodes or composites; default: all.
        nodes: Vec<Spanned<String>>;
        /// Which of their weights; default: all.
        roles: Words<Role>;
        /// Factor of the learning rate.
        lr_scale: f64 = 1.0, [least = 0.0];
        /// Replaces the optimiser's.
        weight_decay: Option<f64>, [least = 0.0];
    }
}

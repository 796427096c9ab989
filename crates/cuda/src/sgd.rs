//! Stochastic gradient descent over many parameters at a time, and clipping by the norm of all gradients, with the semantics
//! of [`glad_ops::sgd`].

use crate::launch::{THREADS, check, check_number, holds, line, shape};
use crate::table::{Row, tables};
use crate::{Arg, Gpu, In, Memory, Number, Out, Result, Value};

const OP: &str = "sgd";
const MODULE: &str = "sgd";

/// Parameters of a table, as `kernels/sgd.cu` has them.
const PARAMETERS: usize = 80;

/// Settings shared by all parameters of a step.
#[derive(Clone, Copy, Debug)]
pub struct Sgd<'a> {
    /// The learning rate; on the device f32 `[1]`.
    pub lr: Value<'a, f32>,
    /// Factor of the gradients, as [`clip`] writes it: f32 `[1]`. Without it gradients are not scaled.
    pub clip_scale: Option<In<'a>>,
    /// The momentum; with 0 buffers are not used.
    pub momentum: f32,
    /// Whether Nesterov's momentum is used.
    pub nesterov: bool,
}

/// A parameter with its gradient and momentum; all are f32 and of the same length.
#[derive(Debug)]
pub struct Parameter<'a> {
    /// The weights, updated in place.
    pub weights: Out<'a>,
    /// Its gradient.
    pub grad: In<'a>,
    /// Its momentum buffer; without momentum it may be empty.
    pub buffer: Out<'a>,
    /// The factor of the learning rate.
    pub lr_scale: f32,
    /// The weight decay.
    pub weight_decay: f32,
    /// Whether this is its first step: then the buffer's contents do not matter.
    pub first: bool,
}

/// One step, in one launch for every 80 parameters: `d = clip_scale · grad + weight_decay · w`;
/// `buffer = momentum · buffer + d` (at the first step `d`); `w −= lr · lr_scale · buffer`, or with `nesterov`
/// `w −= lr · lr_scale · (d + momentum · buffer)`.
///
/// # Errors
/// Operands that do not fit.
pub fn step<G: Gpu>(gpu: &G, sgd: &Sgd<'_>, parameters: &mut [Parameter<'_>]) -> Result<()> {
    let (lr_at, lr_by_value) = match sgd.lr {
        Value::Host(lr) => (0, lr),
        Value::Device(lr) => {
            check(OP, "lr", holds!(lr), 1, Number::F32)?;
            (lr.address(), 0.0)
        }
    };
    if let Some(scale) = sgd.clip_scale {
        check(OP, "clip_scale", holds!(scale), 1, Number::F32)?;
    }
    let with_momentum = sgd.momentum != 0.0;
    for parameter in &*parameters {
        let len = parameter.weights.len();
        check_number(OP, "weights", parameter.weights.number(), Number::F32)?;
        check(OP, "grad", holds!(parameter.grad), len, Number::F32)?;
        if with_momentum {
            check(OP, "buffer", holds!(parameter.buffer), len, Number::F32)?;
        }
    }
    let rows = parameters.iter().map(|parameter| {
        let buffer = if with_momentum { parameter.buffer.address() } else { 0 };
        let [lr_scale, weight_decay] = [parameter.lr_scale, parameter.weight_decay].map(f32::to_bits);
        Row {
            addresses: [parameter.weights.address(), parameter.grad.address(), buffer],
            len: parameter.grad.len(),
            rest: [lr_scale, weight_decay, parameter.first.into()],
        }
    });
    for table in tables(PARAMETERS, rows) {
        let args = [
            Arg::Words(&table.words),
            Arg::Address(lr_at),
            Arg::F32(lr_by_value),
            Arg::Address(sgd.clip_scale.map_or(0, |s| s.address())),
            Arg::F32(sgd.momentum),
            Arg::U32(sgd.nesterov.into()),
        ];
        // SAFETY: the arguments are the kernel's, and every length was checked.
        unsafe { gpu.launch(&table.launch(OP, MODULE, "sgd_step")?, &args)? };
    }
    Ok(())
}

/// The norm of all `grads` (f32) together, `√Σ g²`, to f32 `norm` `[1]`, and to f32 `scale` `[1]` the factor to
/// scale them with: `max / (norm + 1e-6)` where the norm is above `max`, else 1 (also without `max`).
///
/// # Errors
/// Operands that do not fit.
pub fn clip<G: Gpu>(gpu: &G, grads: &[In<'_>], max: Option<f32>, norm: Out<'_>, scale: Out<'_>) -> Result<()> {
    for grad in grads {
        check_number(OP, "grad", grad.number(), Number::F32)?;
    }
    check(OP, "norm", holds!(norm), 1, Number::F32)?;
    check(OP, "scale", holds!(scale), 1, Number::F32)?;
    let rows = grads.iter().map(|grad| Row {
        addresses: [0, grad.address(), 0],
        len: grad.len(),
        rest: [0; 3],
    });
    let tables = tables(PARAMETERS, rows);
    let blocks = tables.iter().map(|t| t.blocks).sum::<usize>();
    // A sum is of 64 bits: two words.
    let partial = gpu.alloc(2 * blocks, Number::U32)?;
    let mut at = partial.input().address();
    for table in &tables {
        // SAFETY: the arguments are the kernel's; each table's blocks write their sums after those of the previous tables.
        unsafe {
            gpu.launch(
                &table.launch(OP, MODULE, "sgd_squares")?,
                &[Arg::Words(&table.words), Arg::Address(at)],
            )?
        };
        at += 8 * table.blocks as u64;
    }
    let count = u32::try_from(blocks).map_err(|_| shape(OP, format!("{blocks} chunks of gradients are too many")))?;
    let args = [
        Arg::Address(partial.input().address()),
        Arg::U32(count),
        Arg::F32(max.unwrap_or(f32::INFINITY)),
        Arg::Address(norm.address()),
        Arg::Address(scale.address()),
    ];
    // SAFETY: as above.
    unsafe { gpu.launch(&line(OP, MODULE, "sgd_clip", THREADS)?, &args) }
}

//! Adam and AdamW over many parameters at a time, with the semantics of [`glad_ops::adam`].

use crate::launch::{check, check_number, holds};
use crate::table::{Row, tables};
use crate::{Arg, Gpu, In, Number, Out, Result};
use glad_ops::Adam;

const OP: &str = "adam";
const MODULE: &str = "adam";

/// Parameters of a table, as `kernels/adam.cu` has them.
const PARAMETERS: usize = 64;

/// A parameter with its gradient and moments; all are f32 and of the same length.
#[derive(Debug)]
pub struct Parameter<'a> {
    /// The weights, updated in place.
    pub weights: Out<'a>,
    /// Its gradient.
    pub grad: In<'a>,
    /// Its first moment, 0 before the first step.
    pub first: Out<'a>,
    /// Its second moment, 0 before the first step.
    pub second: Out<'a>,
    /// The number of this step of the parameter, from 1.
    pub t: u64,
    /// The factor of the learning rate.
    pub lr_scale: f64,
    /// The weight decay.
    pub weight_decay: f64,
}

/// One step, in one launch for every 64 parameters. `adam` has the settings that they share: each has its own factor of the
/// learning rate and its own weight decay (that of `adam` is not used).
///
/// # Errors
/// Operands that do not fit.
pub fn step<G: Gpu>(gpu: &G, adam: &Adam, parameters: &mut [Parameter<'_>]) -> Result<()> {
    for parameter in &*parameters {
        let len = parameter.weights.len();
        check_number(OP, "weights", parameter.weights.number(), Number::F32)?;
        check(OP, "grad", holds!(parameter.grad), len, Number::F32)?;
        check(OP, "first", holds!(parameter.first), len, Number::F32)?;
        check(OP, "second", holds!(parameter.second), len, Number::F32)?;
    }
    let rows = parameters.iter().map(|parameter| {
        let own = Adam {
            lr: adam.lr * parameter.lr_scale,
            weight_decay: parameter.weight_decay,
            ..*adam
        };
        let rates = own.rates(parameter.t);
        Row {
            addresses: [
                parameter.weights.address(),
                parameter.grad.address(),
                parameter.first.address(),
                parameter.second.address(),
            ],
            len: parameter.grad.len(),
            rest: [rates.l2, rates.keep, rates.step, rates.root].map(f32::to_bits),
        }
    });
    // These rates do not depend on the parameter.
    let rates = adam.rates(1);
    for table in tables(PARAMETERS, rows) {
        let args = [
            Arg::Words(&table.words),
            Arg::F32(rates.clip),
            Arg::F32(rates.first),
            Arg::F32(rates.second_keep),
            Arg::F32(rates.second),
            Arg::F32(rates.eps),
        ];
        // SAFETY: the arguments are the kernel's, and every length was checked.
        unsafe { gpu.launch(&table.launch(OP, MODULE, "adam_step")?, &args)? };
    }
    Ok(())
}

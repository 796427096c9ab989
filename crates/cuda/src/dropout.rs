//! Dropout with masks that depend on a key and a value's index alone: those of [`glad_ops::dropout`], bit for bit.

use crate::launch::{check, check_floats, holds, line, shape, variant, vector_of};
use crate::{Arg, Gpu, In, Number, Out, Result, Value};

const OP: &str = "dropout";
const MODULE: &str = "dropout";

/// `y = x / (1 − p)` where value `i` of `key` is kept, which has probability `1 − p`, else 0; f32 or bf16. The gradient is
/// the same function of the gradient, with the same `key` and `p`. A key on the device is u32 `[2]`, the lower half first.
///
/// # Errors
/// `p` outside `[0, 1)`, or operands that do not fit.
pub fn dropout<G: Gpu>(gpu: &G, key: Value<'_, u64>, p: f32, x: In<'_>, y: Out<'_>) -> Result<()> {
    if !(0.0..1.0).contains(&p) {
        return Err(shape(OP, format!("a probability of {p} is not in [0, 1)")));
    }
    check_floats(OP, "x", x.number())?;
    check(OP, "y", holds!(y), x.len(), x.number())?;
    let (key_at, by_value) = match key {
        Value::Host(key) => (0, key),
        Value::Device(key) => {
            check(OP, "key", holds!(key), 2, Number::U32)?;
            (key.address(), 0)
        }
    };
    if x.is_empty() {
        return Ok(());
    }
    let vector = vector_of(x.number(), &[x.address(), y.address()]);
    let launch = line(
        OP,
        MODULE,
        variant!("dropout", x.number(), vector),
        x.len().div_ceil(vector),
    )?;
    let args = [
        Arg::Address(key_at),
        Arg::U64(by_value),
        // Exact for any `f32` p: 2³² · p has at most 24 significant bits.
        Arg::U32((f64::from(p) * 4_294_967_296.0) as u32),
        Arg::F32(1.0 / (1.0 - p)),
        Arg::Address(x.address()),
        Arg::Address(y.address()),
        Arg::U64(x.len() as u64),
    ];
    // SAFETY: the arguments are the kernel's, and `x` and `y` are of one length.
    unsafe { gpu.launch(&launch, &args) }
}

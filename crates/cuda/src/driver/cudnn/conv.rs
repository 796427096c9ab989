//! Convolution on a GPU: forward, and the gradients of input and weights.
//!
//! Layouts are those of the CPU's kernels except for the weights: activations `[n, t, h, w, c]`, weights
//! `[co, kt, kh, kw, ci / groups]` (channels last, where PyTorch's files and `glad_ops` have `[co, ci / groups, kt, kh, kw]`).

pub use super::Chosen;
pub use super::problem::Precision;
use super::problem::{Pass, Problem};
use crate::driver::CudaGpu;
use crate::{Error, In, Number, Out, Result};
use glad_ops::Conv;

const OP: &str = "convolution";

/// The plans of all convolutions that the GPU has run, the slowest first, for a report on a network's
/// speed.
pub fn chosen(gpu: &CudaGpu) -> Vec<Chosen> {
    gpu.lock_cudnn().report()
}

/// The output `[n, t', h', w', co]` of an input `[n, t, h, w, ci]` and weights `[co, kt, kh, kw, ci / groups]`.
///
/// # Errors
/// A shape, length or type of number that does not fit; or cuDNN or the driver fails.
pub fn forward(gpu: &CudaGpu, shape: &Conv, precision: Precision, x: In<'_>, w: In<'_>, y: Out<'_>) -> Result<()> {
    shape.validate()?;
    let number = precision.number();
    check("x", x, shape.input_len(), number)?;
    check("w", w, shape.weight_len(), number)?;
    check("y", y.read(), shape.output_len(), number)?;
    call(gpu, Pass::Forward, shape, precision, [x, w, y.read()])
}

/// The gradient `[n, t, h, w, ci]` of the input; with `accumulate` it is added to what `dx` holds.
///
/// # Errors
/// A shape, length or type of number that does not fit; or cuDNN or the driver fails.
pub fn backward_input(
    gpu: &CudaGpu,
    shape: &Conv,
    precision: Precision,
    dy: In<'_>,
    w: In<'_>,
    dx: Out<'_>,
    accumulate: bool,
) -> Result<()> {
    shape.validate()?;
    let number = precision.number();
    check("dy", dy, shape.output_len(), number)?;
    check("w", w, shape.weight_len(), number)?;
    check("dx", dx.read(), shape.input_len(), number)?;
    call(gpu, Pass::Input { accumulate }, shape, precision, [dx.read(), w, dy])
}

/// The gradient `[co, kt, kh, kw, ci / groups]` of the weights, in the precision's type of number: cuDNN has no kernel that
/// writes 32 bits for 16-bit operands.
///
/// # Errors
/// A shape, length or type of number that does not fit; or cuDNN or the driver fails.
pub fn backward_weight(
    gpu: &CudaGpu,
    shape: &Conv,
    precision: Precision,
    x: In<'_>,
    dy: In<'_>,
    dw: Out<'_>,
) -> Result<()> {
    shape.validate()?;
    let number = precision.number();
    check("x", x, shape.input_len(), number)?;
    check("dy", dy, shape.output_len(), number)?;
    check("dw", dw.read(), shape.weight_len(), number)?;
    call(gpu, Pass::Weight, shape, precision, [x, dw.read(), dy])
}

fn check(name: &'static str, operand: In<'_>, len: usize, number: Number) -> Result<()> {
    if operand.number() != number {
        return Err(Error::Number {
            op: OP,
            name,
            got: operand.number(),
            expected: number,
        });
    }
    if operand.len() != len {
        return Err(Error::Shape(glad_ops::Error::Length {
            op: OP,
            name,
            got: operand.len(),
            expected: len,
        }));
    }
    Ok(())
}

/// Runs a pass on its operands in the order input, weights, output, one of which is written.
fn call(gpu: &CudaGpu, pass: Pass, shape: &Conv, precision: Precision, operands: [In<'_>; 3]) -> Result<()> {
    let at = operands.map(|o| o.address());
    let problem = Problem {
        pass,
        conv: *shape,
        precision,
        alignment: alignment(at),
        deterministic: true,
    };
    gpu.lock_cudnn().run(gpu.queue(), problem, at)
}

/// The common alignment of all addresses in bytes, at most 16: the fastest kernels read 16 bytes at a time.
fn alignment(at: [u64; 3]) -> i64 {
    let all = at.iter().fold(16, |bits, a| bits | a);
    1 << all.trailing_zeros()
}

#[cfg(test)]
mod tests {
    use super::alignment;

    #[test]
    fn alignment_is_that_of_the_worst_address() {
        assert_eq!(alignment([512, 1024, 0]), 16);
        assert_eq!(alignment([512, 1032, 256]), 8);
        assert_eq!(alignment([512, 1032, 258]), 2);
    }
}

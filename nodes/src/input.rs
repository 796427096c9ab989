//! Checks of input types that kinds share.

use crate::{BuildCx, ParamProblem, Size, Type};

/// The known size of dimension `index` of `ty`.
pub(crate) fn known(ty: &Type, index: usize) -> Result<usize, Vec<ParamProblem>> {
    match ty.dims.get(index) {
        Some(Size::Known(n)) => Ok(*n),
        _ => Err(vec![ParamProblem::new(
            "",
            format!(
                "dimension {} of `{ty}` must be a number that is the same for every sample",
                index + 1
            ),
        )]),
    }
}

/// The type at `port`, which the contract requires.
pub(crate) fn input<'a>(cx: &'a BuildCx<'_>, port: &str) -> Result<&'a Type, Vec<ParamProblem>> {
    cx.input(port)
        .ok_or_else(|| vec![ParamProblem::new("", format!("nothing is connected to `{port}`"))])
}

/// Rejects scores of a single class at `port`: whatever they are, their softmax is 1.
pub(crate) fn several_classes(cx: &BuildCx<'_>, port: &str) -> Result<(), Vec<ParamProblem>> {
    match cx.input(port).and_then(|ty| ty.known(-1)) {
        Some(1) => Err(vec![
            ParamProblem::new(
                "",
                format!("`{port}` are scores of a single class, so there is nothing to tell apart"),
            )
            .help("give the classifier as many outputs as there are classes; two at least"),
        ]),
        _ => Ok(()),
    }
}

/// Rejects inputs of two streams whose rows are paired by their place, where one has more than the other.
pub(crate) fn as_many_rows(cx: &BuildCx<'_>, a: &str, b: &str) -> Result<(), Vec<ParamProblem>> {
    let (x, y) = (input(cx, a)?, input(cx, b)?);
    match x.dims.first() == y.dims.first() {
        true => Ok(()),
        false => Err(vec![ParamProblem::new(
            "",
            format!("`{a}` is {x} and `{b}` {y}: each row of one goes with one of the other"),
        )]),
    }
}

/// Rows for each sample of the batch: 2 for features of both domains stacked, `[2*B,D]`.
pub(crate) fn rows_per_sample(ty: &Type) -> usize {
    match ty.dims.first() {
        Some(Size::Batch(n)) => *n,
        _ => 1,
    }
}

/// Port types `{head}[{letter}1,…]`, one per reference: `at(i)` writes the type of reference `i`, counted from 1.
pub(crate) fn per_reference(count: usize, at: impl Fn(usize) -> String) -> Vec<String> {
    (1..=count.max(1)).map(at).collect()
}

//! Bounds of parameters that several losses have.

use crate::{BuildCx, ParamProblem};

/// A number.
pub(super) fn finite(name: &str, v: f64) -> Option<ParamProblem> {
    (!v.is_finite()).then(|| ParamProblem::new(name, format!("{v} is not a number")))
}

/// A number above zero.
pub(super) fn positive(name: &str, v: f64) -> Option<ParamProblem> {
    not_above_zero(v).map(|what| ParamProblem::new(name, what))
}

/// What is wrong with a number that has to be above zero.
pub(crate) fn not_above_zero(v: f64) -> Option<String> {
    (!(v.is_finite() && v > 0.0)).then(|| format!("{v} is not a number above zero"))
}

/// A number of zero or more.
pub(super) fn not_negative(name: &str, v: f64) -> Option<ParamProblem> {
    (!(v.is_finite() && v >= 0.0)).then(|| ParamProblem::new(name, format!("{v} is not a number of zero or more")))
}

/// What is added inside a logarithm of probabilities: small next to 1.
pub(super) fn eps(name: &str, v: f64) -> Option<ParamProblem> {
    (!(0.0..=0.1).contains(&v)).then(|| ParamProblem::new(name, format!("{v} is not in 0 to 0.1")))
}

/// Refuses a single reference at a port that compares several: `what` they are.
pub(super) fn several(cx: &BuildCx<'_>, port: &str, what: &str) -> Result<(), Vec<ParamProblem>> {
    match cx.inputs.get(port).map_or(0, Vec::len) {
        1 => Err(vec![ParamProblem::new(
            "",
            format!("`{port}` has 1 reference, and {what} are two or more"),
        )]),
        _ => Ok(()),
    }
}

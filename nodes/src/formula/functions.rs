//! The functions of formulas: their names, and what they take.

/// A function of one value, element by element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unary {
    Exp,
    Log,
    Sqrt,
    Abs,
    Relu,
    Sigmoid,
    LogSigmoid,
    Softplus,
    Tanh,
    Negative,
    Not,
}

/// What makes one number of those along some axes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reduce {
    Sum,
    Mean,
    Max,
    Min,
    Norm,
    LogSumExp,
}

/// What changes numbers by all those along some axes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Along {
    Softmax,
    LogSoftmax,
    Normalize,
}

/// A function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Function {
    Unary(Unary),
    /// The larger (`true`) or smaller of two values.
    Larger(bool),
    Where,
    Reduce(Reduce),
    Along(Along),
    OneHot,
    Detach,
    Size,
    Index,
}

/// A name, the function, and how it is written.
pub(super) const FUNCTIONS: [(&str, Function, &str); 25] = [
    ("exp", Function::Unary(Unary::Exp), "exp(x)"),
    ("log", Function::Unary(Unary::Log), "log(x)"),
    ("sqrt", Function::Unary(Unary::Sqrt), "sqrt(x)"),
    ("abs", Function::Unary(Unary::Abs), "abs(x)"),
    ("relu", Function::Unary(Unary::Relu), "relu(x)"),
    ("sigmoid", Function::Unary(Unary::Sigmoid), "sigmoid(x)"),
    ("log_sigmoid", Function::Unary(Unary::LogSigmoid), "log_sigmoid(x)"),
    ("softplus", Function::Unary(Unary::Softplus), "softplus(x)"),
    ("tanh", Function::Unary(Unary::Tanh), "tanh(x)"),
    ("maximum", Function::Larger(true), "maximum(a, b)"),
    ("minimum", Function::Larger(false), "minimum(a, b)"),
    ("where", Function::Where, "where(a > b, x, y)"),
    ("sum", Function::Reduce(Reduce::Sum), "sum(x, n)"),
    ("mean", Function::Reduce(Reduce::Mean), "mean(x, n)"),
    ("max", Function::Reduce(Reduce::Max), "max(x, n)"),
    ("min", Function::Reduce(Reduce::Min), "min(x, n)"),
    ("norm", Function::Reduce(Reduce::Norm), "norm(x, d)"),
    ("logsumexp", Function::Reduce(Reduce::LogSumExp), "logsumexp(x, k)"),
    ("softmax", Function::Along(Along::Softmax), "softmax(x, k)"),
    ("log_softmax", Function::Along(Along::LogSoftmax), "log_softmax(x, k)"),
    ("normalize", Function::Along(Along::Normalize), "normalize(x, d)"),
    ("one_hot", Function::OneHot, "one_hot(label, k)"),
    ("detach", Function::Detach, "detach(x)"),
    ("size", Function::Size, "size(n)"),
    ("index", Function::Index, "index(i)"),
];

/// The function of this name, and how it is written.
pub(super) fn function(name: &str) -> Option<(Function, &'static str)> {
    let found = FUNCTIONS.iter().find(|f| f.0 == name)?;
    Some((found.1, found.2))
}

/// The names of all functions.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    FUNCTIONS.iter().map(|f| f.0)
}

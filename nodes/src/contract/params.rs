//! Parameters that several kinds have.

use super::dim::DimExpr;
use super::problem::ParamProblem;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt;

/// A size that a parameter states as a number or by the graph's `dims`: `2`, `"G"`, `"G+L"`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(try_from = "Value", into = "Value")]
#[schemars(with = "CountSchema")]
pub struct Count(DimExpr);

#[derive(JsonSchema)]
#[serde(untagged)]
#[allow(dead_code, reason = "only its schema is used")]
enum CountSchema {
    /// A number.
    Number(usize),
    /// An expression over the graph's `dims`.
    Dims(String),
}

impl Count {
    /// A number.
    pub fn number(n: usize) -> Count {
        Count(DimExpr::Number(n))
    }

    /// By name.
    pub fn dim(name: &str) -> Count {
        Count(DimExpr::Global(name.into()))
    }

    /// The expression.
    pub fn expr(&self) -> &DimExpr {
        &self.0
    }

    /// The number in this phase or view. The checker has already reported it if there is none.
    ///
    /// # Errors
    /// It is no number in this phase or view.
    pub fn get(&self, dims: &super::dim::DimScope) -> Result<usize, ParamProblem> {
        match self.0.eval(dims) {
            Ok(super::dim::Size::Known(n)) => Ok(n),
            Ok(s) => Err(ParamProblem::new("", format!("`{}` is {s}, not a number", self.0))),
            Err(e) => Err(ParamProblem::new("", e.to_string())),
        }
    }
}

/// Writes what contracts read: names of `dims` behind `$`.
impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fn write(e: &DimExpr, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            let list = |f: &mut fmt::Formatter<'_>, v: &[DimExpr], sep: &str| {
                write!(f, "(")?;
                for (i, e) in v.iter().enumerate() {
                    if i > 0 {
                        write!(f, "{sep}")?;
                    }
                    write(e, f)?;
                }
                write!(f, ")")
            };
            match e {
                DimExpr::Global(n) => write!(f, "${n}"),
                DimExpr::Sum(v) => list(f, v, "+"),
                DimExpr::Product(v) => list(f, v, "*"),
                DimExpr::Factorial(e) => {
                    write(e, f)?;
                    write!(f, "!")
                }
                e => write!(f, "{e}"),
            }
        }
        write(&self.0, f)
    }
}

impl TryFrom<Value> for Count {
    type Error = String;
    fn try_from(v: Value) -> Result<Self, String> {
        match &v {
            Value::Number(n) if n.as_u64().is_some() => Ok(Count::number(
                usize::try_from(n.as_u64().expect("checked")).map_err(|e| e.to_string())?,
            )),
            Value::String(s) => DimExpr::parse(s, true).map(Count),
            _ => Err("expected a whole number or an expression over dims such as \"G+L\"".into()),
        }
    }
}

impl From<Count> for Value {
    fn from(c: Count) -> Value {
        match c.0 {
            DimExpr::Number(n) => n.into(),
            e => e.to_string().into(),
        }
    }
}

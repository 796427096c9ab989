//! Reading a node's parameters: all mistakes at once, each with its path.

use super::dim::DimExpr;
use super::kind::{Kind, Node, ParamProblem};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt;
use std::sync::Arc;

/// A size that a parameter gives as a number or by the graph's `dims`: `2`, `"G"`, `"G+L"`.
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

    /// The number in this phase or view. The checker has already said if there is none.
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

/// Parses the parameters of kind `K`. Where a field is wrong it is noted, left out, and the rest is read on, so that
/// all mistakes are told at once.
pub(super) fn parse<K: Kind>(params: &Value) -> Result<Arc<dyn Node>, Vec<ParamProblem>> {
    let mut problems = vec![];
    let mut rest = params.clone();
    loop {
        let text = rest.to_string();
        let mut de = serde_json::Deserializer::from_str(&text);
        match serde_path_to_error::deserialize::<_, K>(&mut de) {
            Ok(k) => {
                // Where fields were left out, what is said of the node as a whole may be but their absence.
                let whole = problems.is_empty();
                problems.extend(k.validate().into_iter().filter(|p| whole || !p.path.is_empty()));
                return if problems.is_empty() {
                    Ok(Arc::new(k))
                } else {
                    Err(problems)
                };
            }
            Err(e) => {
                let path = match e.path().to_string() {
                    p if p == "." => String::new(),
                    p => p,
                };
                let message = trim_position(&e.inner().to_string());
                problems.push(ParamProblem::new(path.clone(), message));
                let top = path.split(['.', '[']).next().unwrap_or("");
                let removed = rest.as_object_mut().and_then(|o| o.remove(top));
                if removed.is_none() {
                    return Err(problems);
                }
                // A required field that was just left out would be reported as missing: it has been told already.
                if serde_json::from_value::<K>(rest.clone())
                    .is_err_and(|e| e.to_string().contains(&format!("missing field `{top}`")))
                {
                    return Err(problems);
                }
            }
        }
    }
}

/// serde_json ends its messages with a line and column of its own text, which mean nothing in a graph file.
fn trim_position(message: &str) -> String {
    match message.rfind(" at line ") {
        Some(i) => message[..i].to_string(),
        None => message.to_string(),
    }
}

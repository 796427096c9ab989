//! Sizes of images as parameters.

use super::input::positive;
use crate::contract::{Count, DimScope, ParamProblem};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

/// Height and width: one number (or name of `dims`) for a square, or `[height, width]`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(try_from = "Value")]
#[schemars(with = "ExtentSchema")]
pub struct Extent {
    /// Pixels down.
    pub height: Count,
    /// Pixels across.
    pub width: Count,
}

#[derive(JsonSchema)]
#[serde(untagged)]
#[allow(dead_code, reason = "only its schema is used")]
enum ExtentSchema {
    /// A square.
    Square(Count),
    /// Height and width.
    Sides([Count; 2]),
}

impl TryFrom<Value> for Extent {
    type Error = String;
    fn try_from(v: Value) -> Result<Self, String> {
        match v {
            Value::Array(sides) => match <[Value; 2]>::try_from(sides) {
                Ok([height, width]) => Ok(Extent {
                    height: height.try_into()?,
                    width: width.try_into()?,
                }),
                Err(sides) => Err(format!("expected [height, width], not {} numbers", sides.len())),
            },
            side => {
                let side = Count::try_from(side)?;
                Ok(Extent {
                    height: side.clone(),
                    width: side,
                })
            }
        }
    }
}

impl Extent {
    /// Height and width in this phase or view; what is wrong with them goes to `problems`.
    pub(super) fn get(&self, param: &str, dims: &DimScope, problems: &mut Vec<ParamProblem>) -> (usize, usize) {
        let height = positive(&self.height, param, dims, problems);
        if self.height == self.width {
            return (height, height);
        }
        (height, positive(&self.width, param, dims, problems))
    }
}

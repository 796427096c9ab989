//! Bounds of values.

use crate::diag::Problem;
use crate::tree::{Out, Tree, TreeValue, at_value};
use serde_json::{Map, Value as Json, json};

/// Bounds of a key's value, and how the schema states them.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// The smallest number.
    pub least: Option<f64>,
    /// The largest number.
    pub most: Option<f64>,
    /// The value must be above this.
    pub above: Option<f64>,
    /// The value must be below this.
    pub below: Option<f64>,
    /// The value at which a file omits the key.
    pub omit: Option<f64>,
    /// The schema definition of the values of a table with free keys.
    pub of: Option<&'static str>,
}

impl Rules {
    /// Any value.
    pub const NONE: Rules = Rules {
        least: None,
        most: None,
        above: None,
        below: None,
        omit: None,
        of: None,
    };

    /// Whether `n` at `at` is within the bounds; else a problem is reported.
    pub(super) fn hold(&self, at: &str, n: f64, t: &Tree, out: &mut Out) -> bool {
        let wrong = [
            self.least.filter(|least| n < *least).map(|b| ("at least", b)),
            self.most.filter(|most| n > *most).map(|b| ("at most", b)),
            self.above.filter(|above| n <= *above).map(|b| ("above", b)),
            self.below.filter(|below| n >= *below).map(|b| ("below", b)),
        ];
        let wrong = wrong.into_iter().flatten().next();
        if let Some((what, bound)) = wrong {
            // Written out, what is next to 0 is a row of zeros.
            let bound = match bound {
                b if b != 0.0 && b.abs() < 1e-4 => format!("{b:e}"),
                b => b.to_string(),
            };
            // Beyond 2^53 a float is not the number that was written.
            let n = match t.value {
                TreeValue::Integer(n) => n.to_string(),
                _ => n.to_string(),
            };
            let p = Problem::error(format!("`{at}` is {n}, and has to be {what} {bound}"));
            out.push(at_value(p, t, "this value"));
        }
        wrong.is_none()
    }

    /// A JSON schema of `kind` with the bounds.
    pub(super) fn schema(&self, kind: &str, doc: &str) -> Json {
        let mut s = Map::new();
        s.insert("type".into(), json!(kind));
        for (name, bound) in [
            ("minimum", self.least),
            ("maximum", self.most),
            ("exclusiveMinimum", self.above),
            ("exclusiveMaximum", self.below),
        ] {
            let Some(b) = bound else { continue };
            let whole = b.fract() == 0.0;
            s.insert(name.into(), if whole { json!(b as i64) } else { json!(b) });
        }
        s.insert("description".into(), json!(doc));
        super::schema::or_param(Json::Object(s))
    }
}

//! Reading a node's parameters: all mistakes at once, each with its path.

use super::kind::{Kind, Node};
use super::problem::ParamProblem;
use serde_json::Value;
use std::sync::Arc;

/// Parses the parameters of kind `K`. Where a field is wrong it is noted, left out, and the rest is read on, so that
/// all mistakes are reported at once.
pub(super) fn parse<K: Kind>(params: &Value) -> Result<Arc<dyn Node>, Vec<ParamProblem>> {
    let mut problems = vec![];
    let mut rest = params.clone();
    loop {
        let text = rest.to_string();
        let mut de = serde_json::Deserializer::from_str(&text);
        match serde_path_to_error::deserialize::<_, K>(&mut de) {
            Ok(k) => {
                // Where fields were left out, an error about the node as a whole may only be their absence.
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
                // A required field that was just left out would be reported as missing: it has been reported already.
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

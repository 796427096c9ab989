//! The list of kinds that graphs may use.

use super::kind::{Group, Kind, Node};
use super::parse::parse;
use super::problem::ParamProblem;
use indexmap::IndexMap;
use serde_json::Value;
use std::sync::Arc;

type Parse = fn(&Value) -> Result<Arc<dyn Node>, Vec<ParamProblem>>;

/// An entry of the [`Registry`].
#[derive(Clone)]
pub struct KindEntry {
    /// Its name.
    pub name: &'static str,
    /// What it is for.
    pub group: Group,
    /// JSON schema of its parameters, with their docs.
    pub schema: Value,
    parse: Parse,
}

impl KindEntry {
    /// The entry of `K`.
    pub fn of<K: Kind>() -> KindEntry {
        KindEntry {
            name: K::NAME,
            group: K::GROUP,
            schema: schemars::schema_for!(K).to_value(),
            parse: parse::<K>,
        }
    }

    /// Its docs: the rustdoc of the parameter struct.
    pub fn doc(&self) -> &str {
        self.schema["description"].as_str().unwrap_or("")
    }

    /// Names of its parameters.
    pub fn params(&self) -> Vec<&str> {
        self.schema["properties"]
            .as_object()
            .map(|o| o.keys().map(String::as_str).collect())
            .unwrap_or_default()
    }

    /// A node with these parameters (a JSON object without `kind`, `inputs` and the framework's own keys), or all
    /// that is wrong with them.
    ///
    /// # Errors
    /// All that is wrong with the parameters.
    pub fn parse(&self, params: &Value) -> Result<Arc<dyn Node>, Vec<ParamProblem>> {
        (self.parse)(params)
    }
}

/// All kinds that graphs may use, by name.
#[derive(Clone, Default)]
pub struct Registry {
    kinds: IndexMap<&'static str, KindEntry>,
}

impl Registry {
    /// Adds a kind. A name that is taken is a mistake in code and panics.
    pub fn add<K: Kind>(&mut self) -> &mut Self {
        let old = self.kinds.insert(K::NAME, KindEntry::of::<K>());
        assert!(old.is_none(), "node kind `{}` is registered twice", K::NAME);
        self
    }

    /// A kind.
    pub fn get(&self, name: &str) -> Option<&KindEntry> {
        self.kinds.get(name)
    }

    /// All kinds, in the order they were added.
    pub fn iter(&self) -> impl Iterator<Item = &KindEntry> {
        self.kinds.values()
    }
}

//! Values of keys that are tables with free keys: sizes, texts, sections.

use super::values::read_table;
use super::{Rules, Table, Value, schema};
use crate::diag::{Place, Spanned};
use crate::tree::{Out, Tree, TreeValue, Written};
use indexmap::IndexMap;
use serde_json::{Map, Value as Json, json};

/// Values of one type by free names, such as sizes.
impl<T: Value> Value for IndexMap<String, Spanned<T>> {
    fn read(at: &str, t: &Tree, rules: &Rules, out: &mut Out) -> Option<Self> {
        let mut map = IndexMap::new();
        for (name, t) in out.table(at, t)? {
            let value = Spanned::<T>::read(&format!("{at}.{name}"), t, rules, out);
            map.extend(value.map(|v| (name.clone(), v)));
        }
        Some(map)
    }

    fn write(&self, rules: &Rules) -> Option<TreeValue> {
        let mut to = Written::nowhere();
        for (name, value) in self {
            to.opt(name, value.write(rules));
        }
        (!self.is_empty()).then(|| to.tree().value)
    }

    fn schema(doc: &str, rules: &Rules) -> Json {
        schema::object(doc, Map::new(), T::schema("A value.", rules))
    }
}

/// A table of the language as the value of a key.
#[derive(Clone, Debug)]
pub struct Sub<T>(pub T);

impl<T: Table> Value for Sub<T> {
    fn read(at: &str, t: &Tree, rules: &Rules, out: &mut Out) -> Option<Self> {
        read_table(at, &format!("`{at}`"), t, rules, out).map(Sub)
    }

    fn write(&self, _: &Rules) -> Option<TreeValue> {
        let mut to = Written::nowhere();
        self.0.write(&mut to);
        Some(to.tree().value)
    }

    fn schema(_: &str, _: &Rules) -> Json {
        schema::to(T::NAME)
    }
}

/// A table kept as written, which is read where more is known: nodes, phases, parameters.
#[derive(Clone, Debug, Default)]
pub struct Free {
    /// Its values.
    pub entries: IndexMap<String, Tree>,
    /// Where its key was written, if it was read.
    pub key: Option<Place>,
}

impl Value for Free {
    fn read(at: &str, t: &Tree, _: &Rules, out: &mut Out) -> Option<Self> {
        Some(Free {
            entries: out.table(at, t)?.clone(),
            key: Some(t.key.clone()),
        })
    }

    fn write(&self, _: &Rules) -> Option<TreeValue> {
        (!self.entries.is_empty()).then(|| TreeValue::Table(self.entries.clone()))
    }

    fn schema(doc: &str, rules: &Rules) -> Json {
        schema::object(doc, Map::new(), rules.of.map_or(json!(true), schema::to))
    }
}

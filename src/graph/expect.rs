//! `expect`: the published number for an experiment, by setting.

use crate::diag::{Problem, Spanned};
use crate::keys::{Rules, Value, schema};
use crate::tree::{Out, Tree, TreeValue, basic_string};
use indexmap::IndexMap;
use serde_json::{Map, Value as Json};

/// The key for a graph without a setting, such as the effective graph of a run.
const NO_SETTING: &str = "without_setting";

/// Published numbers by setting.
#[derive(Clone, Debug, Default)]
pub struct Expect(IndexMap<String, Spanned<String>>);

impl Expect {
    /// The number for `setting`, if there is one: other data would not be comparable.
    pub fn of(&self, setting: Option<&str>) -> Option<Spanned<String>> {
        self.0.get(setting.unwrap_or(NO_SETTING)).cloned()
    }

    /// The number of a graph that has no setting.
    pub fn without_setting(number: Spanned<String>) -> Expect {
        Expect(IndexMap::from([(NO_SETTING.to_string(), number)]))
    }
}

impl Value for Expect {
    fn read(at: &str, t: &Tree, rules: &Rules, out: &mut Out) -> Option<Self> {
        let TreeValue::String(number) = &t.value else {
            return Value::read(at, t, rules, out).map(Expect);
        };
        let p = Problem::error(format!("`{at}` is a table: a published number belongs to a setting"))
            .at(&t.place, "a number alone");
        let number = basic_string(number);
        out.push(p.help(format!(
            "write `expect = {{ kinetics_babel_tsm = {number} }}`, with the name of its setting; it is printed under that one"
        )));
        None
    }

    fn write(&self, rules: &Rules) -> Option<TreeValue> {
        self.0.write(rules)
    }

    fn schema(doc: &str, rules: &Rules) -> Json {
        schema::object(doc, Map::new(), String::schema("Such as `37.7 ± 2.5`.", rules))
    }
}

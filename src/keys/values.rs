//! Values of keys: numbers, words, lists.

use super::{Rules, Table, Value, schema};
use crate::diag::{Problem, Spanned, suggest};
use crate::tree::{MOST, Out, Tree, TreeValue, Written, string, strings};
use glad_nodes::{Precision, Role};
use serde_json::{Value as Json, json};

impl<T: Value> Value for Option<T> {
    fn read(at: &str, t: &Tree, rules: &Rules, out: &mut Out) -> Option<Self> {
        T::read(at, t, rules, out).map(Some)
    }

    fn write(&self, rules: &Rules) -> Option<TreeValue> {
        self.as_ref()?.write(rules)
    }

    fn schema(doc: &str, rules: &Rules) -> Json {
        T::schema(doc, rules)
    }
}

impl<T: Value> Value for Spanned<T> {
    fn read(at: &str, t: &Tree, rules: &Rules, out: &mut Out) -> Option<Self> {
        Some(Spanned::new(T::read(at, t, rules, out)?, t.place.clone()))
    }

    fn write(&self, rules: &Rules) -> Option<TreeValue> {
        self.value.write(rules)
    }

    fn schema(doc: &str, rules: &Rules) -> Json {
        T::schema(doc, rules)
    }
}

impl Value for bool {
    fn read(at: &str, t: &Tree, _: &Rules, out: &mut Out) -> Option<Self> {
        out.boolean(at, t)
    }

    fn write(&self, _: &Rules) -> Option<TreeValue> {
        self.then_some(TreeValue::Boolean(true))
    }

    fn schema(doc: &str, _: &Rules) -> Json {
        schema::typed("boolean", doc)
    }
}

impl Value for String {
    fn read(at: &str, t: &Tree, _: &Rules, out: &mut Out) -> Option<Self> {
        out.string(at, t).map(|s| s.value)
    }

    fn write(&self, _: &Rules) -> Option<TreeValue> {
        Some(string(self))
    }

    fn schema(doc: &str, _: &Rules) -> Json {
        schema::typed("string", doc)
    }
}

impl Value for f64 {
    fn read(at: &str, t: &Tree, rules: &Rules, out: &mut Out) -> Option<Self> {
        let n = out.number(at, t)?.value;
        rules.hold(at, n, t, out).then_some(n)
    }

    fn write(&self, rules: &Rules) -> Option<TreeValue> {
        (rules.omit != Some(*self)).then_some(TreeValue::Float(*self))
    }

    fn schema(doc: &str, rules: &Rules) -> Json {
        rules.schema("number", doc)
    }
}

impl Value for u64 {
    fn read(at: &str, t: &Tree, rules: &Rules, out: &mut Out) -> Option<Self> {
        let n = out.whole(at, t)?.value;
        rules.hold(at, n as f64, t, out).then_some(n)
    }

    fn write(&self, rules: &Rules) -> Option<TreeValue> {
        (rules.omit != Some(*self as f64)).then_some(TreeValue::Integer(*self as i64))
    }

    fn schema(doc: &str, rules: &Rules) -> Json {
        let least = rules.least.or(Some(0.0));
        Rules { least, ..*rules }.schema("integer", doc)
    }
}

impl Value for usize {
    fn read(at: &str, t: &Tree, rules: &Rules, out: &mut Out) -> Option<Self> {
        let most = rules.most.or(Some(MOST as f64));
        let n = u64::read(at, t, &Rules { most, ..*rules }, out)?;
        usize::try_from(n).ok()
    }

    fn write(&self, rules: &Rules) -> Option<TreeValue> {
        (*self as u64).write(rules)
    }

    fn schema(doc: &str, rules: &Rules) -> Json {
        u64::schema(doc, rules)
    }
}

/// A list of distinct strings.
impl Value for Vec<Spanned<String>> {
    fn read(at: &str, t: &Tree, _: &Rules, out: &mut Out) -> Option<Self> {
        out.names(at, t)
    }

    fn write(&self, _: &Rules) -> Option<TreeValue> {
        (!self.is_empty()).then(|| strings(self.iter().map(|s| &s.value)))
    }

    fn schema(doc: &str, _: &Rules) -> Json {
        schema::names(doc)
    }
}

/// A list of tables.
impl<T: Table> Value for Vec<T> {
    fn read(at: &str, t: &Tree, rules: &Rules, out: &mut Out) -> Option<Self> {
        let items = out.list(at, t)?;
        Some(
            items
                .iter()
                .filter_map(|t| read_table(at, &format!("an item of `{at}`"), t, rules, out))
                .collect(),
        )
    }

    fn write(&self, _: &Rules) -> Option<TreeValue> {
        let item = |t: &T| {
            let mut to = Written::nowhere();
            t.write(&mut to);
            to.tree()
        };
        (!self.is_empty()).then(|| TreeValue::Array(self.iter().map(item).collect()))
    }

    fn schema(doc: &str, _: &Rules) -> Json {
        json!({ "type": "array", "items": schema::to(T::NAME), "description": doc })
    }
}

/// A table at `at`; unknown keys are reported.
pub(super) fn read_table<T: Table>(at: &str, of: &str, t: &Tree, _: &Rules, out: &mut Out) -> Option<T> {
    let table = out.table(at, t)?;
    out.unknown_keys(of, table, &T::names());
    Some(T::read(&format!("{at}."), table, out))
}

/// One word of a fixed set.
pub trait Word: Copy + 'static {
    /// What it names, for messages.
    const WHAT: &'static str;
    /// All of them.
    const ALL: &'static [Self];

    /// As written in files.
    fn word(self) -> &'static str;
}

/// The word with this text; any other is reported.
fn word<T: Word>(text: &Spanned<String>, out: &mut Out) -> Option<T> {
    let found = T::ALL.iter().copied().find(|w| w.word() == text.value);
    if found.is_none() {
        let what = T::WHAT;
        let p = Problem::error(format!("unknown {what} `{}`", text.value)).at(&text.place, format!("no such {what}"));
        let known = T::ALL.iter().map(|w| w.word());
        out.push(p.help(suggest(&text.value, &format!("{what}s"), known)));
    }
    found
}

impl<T: Word> Value for T {
    fn read(at: &str, t: &Tree, _: &Rules, out: &mut Out) -> Option<Self> {
        out.string(at, t).and_then(|text| word(&text, out))
    }

    fn write(&self, _: &Rules) -> Option<TreeValue> {
        Some(string(self.word()))
    }

    fn schema(doc: &str, _: &Rules) -> Json {
        schema::one_of(&T::ALL.iter().map(|w| w.word()).collect::<Vec<_>>(), doc)
    }
}

/// Some words of a fixed set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words<T>(pub Vec<T>);

impl<T> Default for Words<T> {
    fn default() -> Self {
        Words(vec![])
    }
}

impl<T: Word> Value for Words<T> {
    fn read(at: &str, t: &Tree, _: &Rules, out: &mut Out) -> Option<Self> {
        let names = out.names(at, t)?;
        Some(Words(names.iter().filter_map(|n| word(n, out)).collect()))
    }

    fn write(&self, _: &Rules) -> Option<TreeValue> {
        (!self.0.is_empty()).then(|| strings(self.0.iter().map(|w| w.word())))
    }

    fn schema(doc: &str, _: &Rules) -> Json {
        let words: Vec<&str> = T::ALL.iter().map(|w| w.word()).collect();
        schema::or_param(json!({ "type": "array", "items": { "enum": words }, "description": doc }))
    }
}

impl Word for Role {
    const WHAT: &'static str = "role";
    const ALL: &'static [Role] = &[Role::Weight, Role::Bias, Role::Norm];

    fn word(self) -> &'static str {
        match self {
            Role::Weight => "weight",
            Role::Bias => "bias",
            Role::Norm => "norm",
            // Not trained, so no group names it.
            Role::Buffer => "buffer",
        }
    }
}

impl Word for Precision {
    const WHAT: &'static str = "precision";
    const ALL: &'static [Precision] = &Precision::ALL;

    fn word(self) -> &'static str {
        self.name()
    }
}

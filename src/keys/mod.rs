//! The keys of the graph language, each declared once: its name, type, bounds, default and documentation.
//!
//! `table!` declares a table of the language as a struct. The loader reads files with it, the effective graph and the
//! key of shared phases are written with it, and the schema for editors is generated from it. A new key is one field.

mod maps;
mod rules;
pub(crate) mod schema;
mod values;

pub use maps::{Free, Sub};
pub use rules::Rules;
pub use values::{Word, Words};

use crate::tree::{Out, Tree, TreeValue, Written};
use indexmap::IndexMap;
use serde_json::Value as Json;

/// A type that a key may have.
pub trait Value: Sized {
    /// Reads the value of the key at the dotted path `at`; `None`, with a problem in `out`, where it is wrong.
    fn read(at: &str, t: &Tree, rules: &Rules, out: &mut Out) -> Option<Self>;
    /// The value as written in a file; `None` where leaving the key out means the same.
    fn write(&self, rules: &Rules) -> Option<TreeValue>;
    /// The JSON schema of the value, with `doc` as its description.
    fn schema(doc: &str, rules: &Rules) -> Json;
}

/// A key of a table.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Its name in the file.
    pub name: &'static str,
    /// Its documentation.
    pub doc: &'static str,
    /// Bounds of its value.
    pub rules: Rules,
    schema: fn(&str, &Rules) -> Json,
}

impl Key {
    #[doc(hidden)]
    pub const fn new(name: &'static str, doc: &'static str, rules: Rules, schema: fn(&str, &Rules) -> Json) -> Key {
        Key {
            name,
            doc,
            rules,
            schema,
        }
    }

    /// The JSON schema of its value.
    pub fn schema(&self) -> Json {
        (self.schema)(&schema::sentence(self.doc), &self.rules)
    }
}

/// A table of the language.
pub trait Table: Sized {
    /// Its definition in the schema.
    const NAME: &'static str;
    /// Its documentation.
    const DOC: &'static str;
    /// Its keys, in the order in which files have them.
    const KEYS: &'static [Key];

    /// Reads the keys of `table`, which is at the dotted path `at`; other keys are ignored. A wrong key is reported and
    /// gets its default.
    fn read(at: &str, table: &IndexMap<String, Tree>, out: &mut Out) -> Self;
    /// Adds the keys that are not at their defaults.
    fn write(&self, to: &mut Written);

    /// The names of its keys.
    fn names() -> Vec<&'static str> {
        Self::KEYS.iter().map(|k| k.name).collect()
    }

    /// Its properties in the schema.
    fn properties() -> serde_json::Map<String, Json> {
        Self::KEYS.iter().map(|k| (k.name.to_owned(), k.schema())).collect()
    }

    /// Its definition in the schema: no other key is allowed.
    fn definition() -> Json {
        schema::object(&schema::sentence(Self::DOC), Self::properties(), Json::Bool(false))
    }
}

/// Declares a table of the language: `key: Type = default, [least = 0.0];`. Without a default the type's is used,
/// bounds are fields of [`Rules`], and the documentation is also the schema's.
macro_rules! table {
    (
        $(#[doc = $about:literal])*
        $vis:vis struct $name:ident as $definition:literal {
            $( $(#[doc = $doc:literal])* $key:ident : $ty:ty $(= $default:expr)? $(, [$($rule:ident = $bound:expr),*])? ; )*
        }
    ) => {
        $(#[doc = $about])*
        #[derive(Clone, Debug)]
        $vis struct $name {
            $( $(#[doc = $doc])* pub $key: $ty, )*
        }

        impl $crate::keys::Table for $name {
            const NAME: &'static str = $definition;
            const DOC: &'static str = concat!($($about, "\n"),*);
            const KEYS: &'static [$crate::keys::Key] = &[$(
                $crate::keys::Key::new(
                    stringify!($key),
                    concat!($($doc, "\n"),*),
                    $crate::keys::Rules { $($($rule: Some($bound),)*)? ..$crate::keys::Rules::NONE },
                    <$ty as $crate::keys::Value>::schema,
                ),
            )*];

            fn read(at: &str, table: &indexmap::IndexMap<String, $crate::tree::Tree>, out: &mut $crate::tree::Out) -> Self {
                let mut keys = <Self as $crate::keys::Table>::KEYS.iter();
                $(
                    let key = keys.next().expect("a key for every field");
                    let found = table.get(key.name).and_then(|t| {
                        <$ty as $crate::keys::Value>::read(&format!("{at}{}", key.name), t, &key.rules, out)
                    });
                    let $key: $ty = found.unwrap_or_else(|| $crate::keys::table!(@default $($default)?));
                )*
                $name { $($key),* }
            }

            fn write(&self, to: &mut $crate::tree::Written) {
                let mut keys = <Self as $crate::keys::Table>::KEYS.iter();
                $(
                    let key = keys.next().expect("a key for every field");
                    to.opt(key.name, $crate::keys::Value::write(&self.$key, &key.rules));
                )*
            }
        }
    };
    (@default) => { Default::default() };
    (@default $default:expr) => { $default };
}
pub(crate) use table;

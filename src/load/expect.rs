//! `expect`: the published number for an experiment, by the setting that it is of.

use super::read::Out;
use crate::diag::{Problem, Spanned};
use crate::tree::{Tree, TreeValue, basic_string};

/// Names a graph that has no setting, such as the effective one of a run.
pub(super) const NO_SETTING: &str = "without_setting";

/// The number for `setting`, if there is one: beside other data it would say nothing.
pub(super) fn expect(t: &Tree, setting: Option<&str>, out: &mut Out) -> Option<Spanned<String>> {
    if let TreeValue::String(number) = &t.value {
        let p = Problem::error("`expect` is a table: a published number belongs to a setting")
            .at(&t.place, "a number alone");
        let number = basic_string(number);
        out.push(p.help(format!(
            "write `expect = {{ kinetics_babel_tsm = {number} }}`, with the name of its setting; it is printed under that one"
        )));
        return None;
    }
    let mut found = None;
    for (name, value) in out.table("expect", t)? {
        let value = out.string(&format!("expect.{name}"), value);
        if name == setting.unwrap_or(NO_SETTING) {
            found = value;
        }
    }
    found
}

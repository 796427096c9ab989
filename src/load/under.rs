//! `under.SETTING`: what a file changes where the graph runs under the setting of this name.

use super::builtin::{Use, built_ins};
use super::layers::{Layer, Stack};
use crate::diag::{Problem, did_you_mean};
use crate::tree::{Tree, TreeValue};

/// What decides about layers is read before the setting is known to be the one that a table is for.
const NOT_INSIDE: [&str; 4] = ["extends", "setting", "under", "composite"];

impl Stack<'_> {
    /// Takes `under` out of all layers. The table of `setting`, the name of the setting in use, becomes a layer of its own,
    /// right above the file that has it. Returns notes about names that no setting seems to have.
    pub(super) fn take_under(&mut self, setting: Option<&str>) -> Vec<Problem> {
        let mut notes = vec![];
        let mut layers = vec![];
        for mut layer in std::mem::take(&mut self.layers) {
            let under = layer.tree.entries_mut().and_then(|t| t.shift_remove("under"));
            let (file, role) = (layer.file, layer.role);
            layers.push(layer);
            let Some(under) = under else { continue };
            let what = under.what();
            let TreeValue::Table(settings) = under.value else {
                let p = Problem::error("`under` is a table of settings").at(&under.place, format!("this is {what}"));
                self.reader.problems.push(p.help(SUCH_AS));
                continue;
            };
            for (name, tree) in settings {
                let used = setting == Some(name.as_str());
                notes.extend(misspelt(&name, &tree).filter(|_| !used));
                if self.is_overlay(&name, &tree) && used {
                    layers.push(Layer { file, role, tree });
                }
            }
        }
        self.layers = layers;
        notes
    }

    /// Whether `under.NAME` may be a layer; reported where it may not.
    fn is_overlay(&mut self, name: &str, tree: &Tree) -> bool {
        let problems = &mut self.reader.problems;
        let Some(entries) = tree.entries() else {
            let p = Problem::error(format!("`under.{name}` is a table of changes"));
            let p = p.at(&tree.place, format!("this is {}", tree.what()));
            problems.push(p.help(SUCH_AS));
            return false;
        };
        let before = problems.len();
        for key in NOT_INSIDE {
            if let Some(t) = entries.get(key) {
                let p = Problem::error(format!("`{key}` cannot depend on the setting"));
                let p = p.at(&t.key, format!("inside `under.{name}`"));
                problems.push(p.help(format!("write it at the top of the file; {SUCH_AS}")));
            }
        }
        problems.len() == before
    }
}

const SUCH_AS: &str =
    "what is under a setting is an overlay, such as `[under.mini.set.phases.main]` with `steps = 600`";

/// A note where `name` is not a built-in setting, but nearly one.
fn misspelt(name: &str, tree: &Tree) -> Option<Problem> {
    let known = || built_ins().filter(|b| b.used_as() == Use::Setting).map(|b| b.short());
    if known().any(|k| k == name) {
        return None;
    }
    let help = did_you_mean(name, known())?;
    let p = Problem::warning(format!(
        "`under.{name}` applies under a setting of this name alone, which is no built-in one"
    ));
    Some(p.at(&tree.key, "not applied here").help(help))
}

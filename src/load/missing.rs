//! Help for a graph file that does not exist: which graph files do.

use super::builtin::{self, Use};
use super::layers::shown;
use crate::diag::{did_you_mean, suggest};
use crate::tree::Role;
use std::path::Path;

/// How many files are examined for being graph files; a folder with more gets no complete list.
const MOST: usize = 200;

/// Help where there is no file `path`; `role` where the command line names it.
pub(super) fn help(path: &Path, role: Option<Role>) -> Option<String> {
    // Typos are looked for among graph files, below.
    if path.to_str().is_some_and(|text| text.contains(['\\', '~', '$', '%']))
        && let Some(advice) = glad_video::lists::meant(path)
    {
        return Some(advice);
    }
    let here = here(path.parent()?);
    let folder = here.as_ref().map_or("", |h| h.0.as_str());
    let files = here.as_ref().map(|h| h.1.as_slice()).unwrap_or_default();
    let missing = path.file_name()?.to_str()?;
    let mut known: Vec<&str> = files.iter().map(String::as_str).collect();
    if let Some(role) = role {
        let asked = path.to_str()?;
        if let Some(other) = other_use(asked, role) {
            return Some(other);
        }
        known.extend(builtin::names_for(role));
        if let Some(near) = did_you_mean(asked, known.iter().copied()) {
            return Some(near);
        }
    }
    if let Some(near) = did_you_mean(missing, files.iter().map(String::as_str)) {
        return Some(near);
    }
    let same = builtin::same_file_name(path).map(|b| match role {
        Some(_) => b.short().to_string(),
        None => builtin::written(b.name),
    });
    if let Some(name) = same {
        return Some(format!("the program has a file of this name inside: write `{name}`"));
    }
    let listed = match (&here, role) {
        (None, _) => format!("there is no folder `{}` either", shown(path.parent()?)),
        (Some(_), Some(_)) if files.is_empty() => String::new(),
        _ => suggest(
            missing,
            &format!("graph files in `{folder}`"),
            files.iter().map(String::as_str),
        ),
    };
    let inside = role.map(|_| "`glad-run list` shows the graph files inside the program");
    let parts = [listed.as_str(), inside.unwrap_or_default()];
    Some(
        parts
            .into_iter()
            .filter(|t| !t.is_empty())
            .collect::<Vec<_>>()
            .join("; "),
    )
}

/// Names a built-in file of this name that has another role.
fn other_use(asked: &str, role: Role) -> Option<String> {
    let is = |b: &builtin::BuiltIn| b.short() == asked || b.name == asked || b.name.rsplit('/').next() == Some(asked);
    let found = builtin::built_ins().find(is)?;
    Some(match (found.used_as(), role) {
        (Use::Composite, _) => format!(
            "`{0}` is a composite, a node of other graphs: `kind = \"{1}\"`",
            found.name,
            builtin::written(found.name)
        ),
        (Use::Setting, Role::Setting) | (Use::Graph, Role::Graph | Role::With) => {
            format!("did you mean `{}`?", found.short())
        }
        (Use::Setting, _) => format!(
            "`{0}` is a setting: write `--setting {0}` behind a graph",
            found.short()
        ),
        (Use::Graph, _) => format!("`{0}` is a graph, and no setting: `glad-run {0}`", found.name),
    })
}

/// A folder as shown to users, and the graph files in it; `None` where it does not exist.
fn here(folder: &Path) -> Option<(String, Vec<String>)> {
    let folder = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .ok()?
        .filter_map(|e| e.ok()?.file_name().into_string().ok())
        .filter(|n| n.ends_with(".toml"))
        .take(MOST)
        .filter(|n| is_graph_file(&folder.join(n)))
        .collect();
    names.sort();
    let shown = if folder == Path::new(".") {
        ".".into()
    } else {
        shown(folder)
    };
    Some((shown, names))
}

/// Whether a TOML file holds what graph files hold, and is not another program's, such as `Cargo.toml`.
fn is_graph_file(path: &Path) -> bool {
    const KEYS: [&str; 10] = [
        "extends",
        "setting",
        "streams",
        "nodes",
        "phases",
        "views",
        "composite",
        "set",
        "dims",
        "params",
    ];
    let small = path.metadata().is_ok_and(|m| m.is_file() && m.len() < 1 << 20);
    let text = if small { glad_video::read_text(path).ok() } else { None };
    match text.and_then(|t| t.parse::<toml::Table>().ok()) {
        Some(table) => table.keys().any(|k| KEYS.contains(&k.as_str())),
        // It may be an unfinished graph.
        None => small && path.file_name().is_some_and(|n| n != "Cargo.toml"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(text: &str, role: Role) -> String {
        help(Path::new(text), Some(role)).unwrap()
    }

    #[test]
    fn names_that_are_nearly_right() {
        assert_eq!(printed("ful", Role::Graph), "did you mean `full`?");
        assert_eq!(printed("smok", Role::Setting), "did you mean `smoke`?");
        assert_eq!(printed("cdan", Role::Graph), "did you mean `methods/cdan`?");
        assert_eq!(
            printed("ablations/2a_al", Role::With),
            "did you mean `ablations/2a_all`?"
        );
        assert_eq!(
            printed("smoke", Role::Graph),
            "`smoke` is a setting: write `--setting smoke` behind a graph"
        );
        assert_eq!(
            printed("dann", Role::Setting),
            "`dann` is a graph, and no setting: `glad-run dann`"
        );
        assert_eq!(
            printed("lib/order", Role::Graph),
            "`lib/order` is a composite, a node of other graphs: `kind = \"glad:lib/order\"`"
        );
    }

    #[test]
    fn files_of_the_folder() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::write(at("Cargo.toml"), "[package]\nname = \"x\"\n").unwrap();
        std::fs::write(at("mine.toml"), "extends = \"glad:full\"\n").unwrap();
        assert_eq!(
            help(&at("mien.toml"), Some(Role::Graph)).unwrap(),
            "did you mean `mine.toml`?"
        );
        let other = help(&at("something.toml"), Some(Role::Graph)).unwrap();
        assert!(
            other.contains("mine.toml; `glad-run list`") && !other.contains("Cargo"),
            "{other}"
        );
        assert_eq!(
            help(&at("no/lib/order.toml"), None).unwrap(),
            "the program has a file of this name inside: write `glad:lib/order`"
        );
        let none = help(&at("no/such.toml"), Some(Role::Graph)).unwrap();
        assert!(none.starts_with("there is no folder"), "{none}");
    }
}

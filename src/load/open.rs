//! The entry point: from the command line's options, or a text, to a [`Graph`].

use super::build::build;
use super::builtin;
use super::layers::{Layer, Reader, Stack, shown};
use super::merge::Merger;
use super::{set_arg, what};
use crate::diag::{Problem, Problems, Severity, Spanned};
use crate::graph::Graph;
use crate::tree::{History, Role};
use crate::tree::{Tree, TreeValue};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What to load, with paths as the user gave them.
#[derive(Clone, Debug, Default)]
pub struct LoadOptions {
    /// The graph: a file, or the name of a built-in one.
    pub graph: PathBuf,
    /// A setting instead of the one that the graph names: a file, or the name of a built-in one.
    pub setting: Option<PathBuf>,
    /// Overlays, applied to the graph in this order: files, or names of built-in ones.
    pub with: Vec<PathBuf>,
    /// `a.b=value`, applied last.
    pub set: Vec<String>,
}

impl LoadOptions {
    /// Only a graph.
    pub fn of(graph: impl Into<PathBuf>) -> LoadOptions {
        LoadOptions {
            graph: graph.into(),
            ..LoadOptions::default()
        }
    }
}

/// Loads a graph with its layers.
///
/// # Errors
/// All problems of its files.
pub fn load(options: &LoadOptions) -> Result<Graph, Problems> {
    let mut reader = Reader::default();
    let mut stack = Stack::new(&mut reader);
    stack.lay(
        &builtin::from_command_line(&options.graph, Role::Graph),
        None,
        Role::Graph,
    );
    finish(stack, options)
}

/// Loads a text as if it were a file called `name` in `folder`; its relative paths are resolved against `folder`.
///
/// # Errors
/// All problems of the text and of the files that it names.
pub fn load_text(name: &str, text: &str, folder: &Path) -> Result<Graph, Problems> {
    let mut reader = Reader::default();
    let mut stack = Stack::new(&mut reader);
    stack.lay_text(&folder.join(name), text);
    finish(stack, &LoadOptions::default())
}

fn finish(mut stack: Stack, options: &LoadOptions) -> Result<Graph, Problems> {
    let own = stack.layers.last().map(|l| l.tree.place.clone());
    for with in &options.with {
        stack.lay(&builtin::from_command_line(with, Role::With), None, Role::With);
    }
    let mut sets: Vec<Layer> = options
        .set
        .iter()
        .filter_map(|s| set_arg::parse(stack.reader, s))
        .collect();
    let mut setting = stack.take_setting().map(|s| {
        (
            builtin::resolve(&stack.reader.files.folder(s.place.file), &s.value),
            Some(s.place),
        )
    });
    if let Some(s) = sets.iter_mut().filter_map(take_setting).last() {
        let path = builtin::from_command_line(Path::new(&s.value), Role::Setting);
        setting = Some((path, Some(s.place)));
    }
    if let Some(path) = &options.setting {
        setting = Some((builtin::from_command_line(path, Role::Setting), None));
    }
    // A file with syntax errors, read in part, is not taken for another kind of file.
    if let (true, Some(own)) = (stack.reader.problems.is_empty(), own)
        && let Some(p) = what::of_graph(&stack, &own, setting.is_some() || sets.iter().any(sets_streams))
    {
        stack.reader.problems.push(p);
        return join(stack.reader, vec![], vec![], None);
    }
    let name = setting.as_ref().and_then(|(path, _)| path.file_stem());
    let name = name.map(|n| n.to_string_lossy().into_owned());
    let notes = stack.take_under(name.as_deref());
    let graph = std::mem::take(&mut stack.layers);
    if let Some((path, from)) = setting {
        stack.repeated = None;
        stack.lay(&path, from.as_ref(), Role::Setting);
        // Layers were laid in this order.
        let of_graph = |i: usize| graph.get(i).is_some_and(|l| l.role == Role::Graph);
        if let Some((_, place)) = stack.repeated.take().filter(|(i, _)| of_graph(*i))
            && !stack.layers.is_empty()
        {
            let p = what::extends_graph(&shown(&path), &place);
            stack.reader.problems.push(p);
            return join(stack.reader, vec![], vec![], None);
        }
    }
    if stack.reader.problems.is_empty()
        && let Some(p) = what::of_setting(&stack.reader.files, &stack.layers, &graph)
    {
        stack.reader.problems.push(p);
        return join(stack.reader, vec![], vec![], None);
    }
    for layer in &mut stack.layers {
        let own = layer.tree.entries_mut().and_then(|t| t.shift_remove("setting"));
        if let Some(t) = own {
            let p = Problem::error("a setting cannot name a setting").at(&t.key, "this file is the lowest layer");
            stack
                .reader
                .problems
                .push(p.help("to build on another setting, write `extends = …`"));
        }
        if let Some(t) = layer.tree.entries_mut().and_then(|t| t.shift_remove("under")) {
            let p = Problem::error("`under` belongs to a graph").at(&t.key, "this file is the setting itself");
            stack
                .reader
                .problems
                .push(p.help("write the values at the top of the file"));
        }
    }
    let mut layers = std::mem::take(&mut stack.layers);
    layers.extend(graph);
    layers.append(&mut sets);
    join(stack.reader, layers, notes, name.as_deref())
}

/// Merges the layers and reads the result, with `notes` about them. `setting` is the name of the setting among them.
fn join(
    reader: &mut Reader,
    layers: Vec<Layer>,
    notes: Vec<Problem>,
    setting: Option<&str>,
) -> Result<Graph, Problems> {
    // A file with syntax errors, read in part, would only cause false errors.
    if let (true, Some(first)) = (reader.problems.is_empty(), layers.first()) {
        let tree = Tree::table(first.tree.place.clone());
        let history = History::default();
        let mut merger = Merger {
            problems: &mut reader.problems,
            tree,
            history,
        };
        for layer in layers {
            merger.lay(layer);
        }
        let Merger { mut tree, history, .. } = merger;
        // The graph's own file stands for the whole.
        if let Some(l) = history.layers.iter().rev().find(|l| l.1 == Role::Graph) {
            tree.place.file = l.0;
            tree.key.file = l.0;
        }
        let graph = build(reader, tree, history, setting);
        if let (Some(mut graph), false) = (graph, reader.problems.iter().any(|p| p.severity == Severity::Error)) {
            graph.files = Arc::new(std::mem::take(&mut reader.files));
            graph.notes.splice(..0, notes);
            return Ok(graph);
        }
    }
    let mut list = std::mem::take(&mut reader.problems);
    // In the order of the files, the lowest layers first.
    list.sort_by_key(|p| p.labels.first().map(|(place, _)| (place.file, place.span.start)));
    // A composite that is used twice has its mistakes reported twice.
    list.dedup_by(|b, a| b.labels == a.labels && b.help == a.help && !a.labels.is_empty());
    Err(Problems {
        files: Arc::new(std::mem::take(&mut reader.files)),
        list,
    })
}

/// Whether `--set` gives the graph its streams.
fn sets_streams(layer: &Layer) -> bool {
    layer.tree.at(["set", "streams"]).is_some()
}

fn take_setting(layer: &mut Layer) -> Option<Spanned<String>> {
    let set = layer.tree.entries_mut()?.get_mut("set")?.entries_mut()?;
    match set.get("setting")?.value {
        TreeValue::String(_) => {}
        _ => return None,
    }
    let t = set.shift_remove("setting")?;
    Some(Spanned::new(t.text()?.to_string(), t.place))
}

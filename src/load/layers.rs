//! Which files are layered, in which order: the setting, what the graph extends, the graph, overlays.

use super::builtin;
use super::{missing, raw};
use crate::diag::{FileId, Files, Place, Problem, Spanned, lexical, simplified};
use crate::tree::{Role, Tree, TreeValue};
use std::collections::HashMap;
use std::io::Read;
use std::path::{Path, PathBuf};

/// A file's tree, ready to be layered on the ones below.
pub(super) struct Layer {
    pub file: FileId,
    pub role: Role,
    pub tree: Tree,
}

/// The size limit of a file in bytes: far more than anybody writes by hand.
const LARGEST: u64 = 2 << 20;
/// The limits on the number of files of a graph and on the depth of `extends`.
const MOST_FILES: usize = 256;
const DEEPEST: usize = 32;

/// Reads a file, unless it is too large, endless such as a device, or a pipe without a writer.
fn read_all(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = vec![];
    // The pipes of the shell (`<(…)`, `/dev/stdin`) have a writer.
    let file = match is_pipe(path) && ["/dev", "/proc"].iter().any(|of_shell| path.starts_with(of_shell)) {
        true => std::fs::File::open(path)?,
        false => glad_video::open_file(path)?,
    };
    file.take(LARGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST {
        return Err(std::io::Error::other("it is too large to be a graph"));
    }
    Ok(bytes)
}

/// Whether a file is a pipe.
fn is_pipe(path: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        path.metadata().is_ok_and(|m| m.file_type().is_fifo())
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        false
    }
}

/// Reads files, each once, and collects their problems.
#[derive(Default)]
pub(super) struct Reader {
    pub files: Files,
    pub problems: Vec<Problem>,
    read: HashMap<PathBuf, Option<(FileId, Tree)>>,
    full: bool,
}

impl Reader {
    /// Reads the file at `path`, which `from` names (`None`: the command line, as a file of `role`). Problems are
    /// reported where it cannot.
    pub(super) fn file(&mut self, path: &Path, from: Option<&Place>, role: Role) -> Option<(FileId, Tree)> {
        let id = identity(path);
        if let Some(known) = self.read.get(&id) {
            if known.is_none()
                && let Some(place) = from
            {
                self.problems
                    .push(Problem::error(format!("cannot read `{}`", shown(path))).at(place, "named here, too"));
            }
            return known.clone();
        }
        if self.read.len() >= MOST_FILES {
            // Each further one would be reported, and so hide this.
            if !std::mem::replace(&mut self.full, true) {
                let p = Problem::error(format!(
                    "a graph may consist of {MOST_FILES} files, and this one of more"
                ));
                self.problems.push(match from {
                    Some(place) => p.at(place, format!("`{}` is one too many", shown(path))),
                    None => p,
                });
            }
            return None;
        }
        let read = match builtin::name_of(path) {
            Some(name) => self.built_in(&name, path, from),
            None => match read_all(path) {
                Ok(bytes) => {
                    let text = self.utf8(path, bytes);
                    Some(self.text(path, &text))
                }
                Err(e) => {
                    let mut p = Problem::error(format!("cannot read `{}`: {}", shown(path), reason(&e)));
                    if let Some(place) = from {
                        p = p.at(place, "named here; relative to this file's folder");
                    }
                    p.help = missing::help(path, from.is_none().then_some(role));
                    self.problems.push(p);
                    None
                }
            },
        };
        self.read.insert(id, read.clone());
        read
    }

    fn built_in(&mut self, name: &str, path: &Path, from: Option<&Place>) -> Option<(FileId, Tree)> {
        let Some(found) = builtin::built_in(name) else {
            let mut p = Problem::error(format!("there is no built-in file `{}`", builtin::written(name)));
            if let Some(place) = from {
                p = p.at(place, "named here");
            }
            let near = builtin::meant(name).map(|n| format!("did you mean `{n}`?"));
            self.problems
                .push(p.help(near.unwrap_or_else(|| "`glad-run list` shows all of them".into())));
            return None;
        };
        let file = self.files.add_named(&builtin::written(name), path, found.text);
        Some((file, raw::parse(file, found.text, &mut self.problems)))
    }

    /// Reads `text` as the file at `path`.
    pub(super) fn text(&mut self, path: &Path, text: &str) -> (FileId, Tree) {
        let file = self.files.add_file(&simplified(path), text);
        (file, raw::parse(file, text, &mut self.problems))
    }

    fn utf8(&mut self, path: &Path, bytes: Vec<u8>) -> String {
        match String::from_utf8(bytes) {
            Ok(text) if text.contains('\0') => {
                let file = self.files.add_file(&simplified(path), &text.replace('\0', ""));
                let p = Problem::error("not UTF-8 text: it holds NUL characters, as UTF-16 does");
                let p = p.at(&Place { file, span: 0..1 }, "the file begins here");
                self.problems.push(p.help(SAVE_AS));
                String::new()
            }
            Ok(text) => text,
            Err(e) => {
                let at = e.utf8_error().valid_up_to();
                let mut text = String::from_utf8_lossy(e.as_bytes()).into_owned();
                if at == 0 {
                    // Of UTF-16 every second byte is NUL.
                    text = text.replace('\0', "");
                }
                let file = self.files.add_file(&simplified(path), &text);
                let place = Place {
                    file,
                    span: at..at + '\u{fffd}'.len_utf8(),
                };
                let p = Problem::error("not UTF-8 text").at(&place, "the first byte that is none");
                self.problems.push(p.help(SAVE_AS));
                // What was read before the error would only be reported as incomplete.
                String::new()
            }
        }
    }
}

/// What to do about another encoding.
const SAVE_AS: &str = "save the file as UTF-8";

/// The graph's layers, lowest first, and the setting that they name.
pub(super) struct Stack<'a> {
    pub reader: &'a mut Reader,
    pub layers: Vec<Layer>,
    done: Vec<PathBuf>,
    /// Where a file that is already layered is extended again last, and which it is.
    pub repeated: Option<(usize, Place)>,
    open: Vec<(PathBuf, String, Option<Place>)>,
}

impl<'a> Stack<'a> {
    pub(super) fn new(reader: &'a mut Reader) -> Self {
        Stack {
            reader,
            layers: vec![],
            done: vec![],
            repeated: None,
            open: vec![],
        }
    }

    /// Layers the file at `path`, after what it extends. A file that is already layered stays where it is.
    pub(super) fn lay(&mut self, path: &Path, from: Option<&Place>, role: Role) {
        let id = identity(path);
        if let Some(start) = self.open.iter().position(|o| o.0 == id) {
            return self.cycle(start, path, from);
        }
        if let Some(i) = self.done.iter().position(|d| *d == id) {
            self.repeated = from.map(|place| (i, place.clone()));
            return;
        }
        if self.open.len() >= DEEPEST {
            let p = Problem::error(format!("`extends` goes deeper than {DEEPEST} files"));
            self.reader.problems.push(match from {
                Some(place) => p.at(place, "this one is one too many"),
                None => p,
            });
            return;
        }
        if let Some((file, tree)) = self.reader.file(path, from, role) {
            self.lay_tree(id, path, file, tree, from, role);
        }
    }

    /// Layers a text that was already read.
    pub(super) fn lay_text(&mut self, path: &Path, text: &str) {
        let (file, tree) = self.reader.text(path, text);
        self.lay_tree(identity(path), path, file, tree, None, Role::Graph);
    }

    fn lay_tree(&mut self, id: PathBuf, path: &Path, file: FileId, mut tree: Tree, from: Option<&Place>, role: Role) {
        self.open.push((id.clone(), shown(path), from.cloned()));
        let folder = self.reader.files.folder(file);
        let extends = tree.entries_mut().and_then(|t| t.shift_remove("extends"));
        for base in extends
            .iter()
            .flat_map(|e| e.items().map_or(std::slice::from_ref(e), |items| items))
        {
            match base.text() {
                Some(text) => self.lay(&builtin::resolve(&folder, text), Some(&base.place), role),
                None => self
                    .reader
                    .problems
                    .push(Problem::error("`extends` names files").at(&base.place, format!("this is {}", base.what()))),
            }
        }
        self.open.pop();
        self.done.push(id);
        self.layers.push(Layer { file, role, tree });
    }

    fn cycle(&mut self, start: usize, path: &Path, from: Option<&Place>) {
        let mut names: Vec<&str> = self.open[start..].iter().map(|o| o.1.as_str()).collect();
        let last = shown(path);
        names.push(&last);
        let mut p = Problem::error(format!("`extends` goes in a circle: {}", names.join(" → ")));
        if let Some(place) = from {
            p = p.at(place, "this closes it");
        }
        for (_, name, place) in &self.open[start + 1..] {
            if let Some(place) = place {
                p = p.at(place, format!("extends {name}"));
            }
        }
        self.reader.problems.push(p);
    }

    /// Removes `setting` and `set.setting` from all layers: returns the path that applies, and who wrote it.
    pub(super) fn take_setting(&mut self) -> Option<Spanned<String>> {
        let mut found: Option<Spanned<String>> = None;
        for layer in &mut self.layers {
            let Some(table) = layer.tree.entries_mut() else {
                continue;
            };
            let plain = table.shift_remove("setting");
            let changed = table
                .get_mut("set")
                .and_then(Tree::entries_mut)
                .and_then(|t| t.shift_remove("setting"));
            for (value, is_set) in [(changed, true), (plain, false)] {
                let Some(Tree { value, place, key }) = value else {
                    continue;
                };
                let problems = &mut self.reader.problems;
                let TreeValue::String(text) = value else {
                    problems.push(Problem::error("`setting` names a file").at(&place, "not a string"));
                    continue;
                };
                match &found {
                    Some(old) if !is_set => problems.push(
                        Problem::error("`setting` is already set")
                            .at(&key, "written again here")
                            .at(&old.place, "set here")
                            .help("to change it, write `set.setting = …`, or run with `--setting FILE`"),
                    ),
                    None if is_set => problems.push(
                        Problem::error("no layer below names a `setting`")
                            .at(&key, "so there is none to change")
                            .help("write `setting = …`"),
                    ),
                    _ => {}
                }
                found = Some(Spanned::new(text, place));
            }
        }
        found
    }
}

/// The identity of a file: its real path, where it has one.
fn identity(path: &Path) -> PathBuf {
    if builtin::name_of(path).is_some() {
        return path.to_path_buf();
    }
    path.canonicalize().unwrap_or_else(|_| lexical(path))
}

/// A file as shown to users.
pub(super) fn shown(path: &Path) -> String {
    match builtin::name_of(path) {
        Some(name) => builtin::written(&name),
        None => crate::diag::shown(path),
    }
}

/// Why a file cannot be read, without the numbers of the operating system.
fn reason(e: &std::io::Error) -> String {
    match e.kind() {
        std::io::ErrorKind::NotFound => "there is no such file".into(),
        std::io::ErrorKind::IsADirectory => "it is a folder".into(),
        std::io::ErrorKind::PermissionDenied => "no permission".into(),
        _ => {
            let text = e.to_string();
            text.split(" (os error").next().unwrap_or_default().to_lowercase()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Error, ErrorKind};

    #[test]
    fn a_file_of_the_largest_size_is_read_and_a_byte_more_is_not() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let bytes = vec![b'\n'; LARGEST as usize + 1];
        std::fs::write(file.path(), &bytes[1..]).unwrap();
        assert_eq!(read_all(file.path()).unwrap().len() as u64, LARGEST);
        std::fs::write(file.path(), &bytes).unwrap();
        let e = read_all(file.path()).unwrap_err();
        assert_eq!(reason(&e), "it is too large to be a graph");
    }

    #[test]
    fn reasons_have_no_numbers_of_the_operating_system() {
        let of = |kind: ErrorKind| reason(&Error::from(kind));
        assert_eq!(of(ErrorKind::NotFound), "there is no such file");
        assert_eq!(of(ErrorKind::IsADirectory), "it is a folder");
        assert_eq!(of(ErrorKind::PermissionDenied), "no permission");
        assert_eq!(reason(&Error::from_raw_os_error(5)), "input/output error");
    }
}

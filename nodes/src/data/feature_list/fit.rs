//! Whether a file of features is as the parameters say: else all files of a list are read in vain.

use super::footage::{FeatureFootage, Layout};
use crate::contract::*;
use crate::model::{ArrayError, row_size};
use glad_video::{Template, first_number, likely_template};
use std::path::Path;

/// Endings of files of features.
const ENDINGS: [&str; 8] = ["npy", "npz", "pkl", "pickle", "pth", "pt", "t7", "safetensors"];

impl FeatureFootage {
    /// Looks at the header of the file, of a folder its first one: whether it fits, or the parameter that has to be another.
    /// `None` where it is not there, or damaged by itself.
    pub(super) fn fit(&self, size: &Count) -> Option<Result<(), ParamProblem>> {
        let Layout {
            template, start_index, ..
        } = &*self.layout;
        let path = &self.path;
        let file = match (template, path.metadata().ok()?.is_dir()) {
            (None, false) => path.clone(),
            (Some(template), true) => {
                let file = path.join(template.name(*start_index));
                if !file.exists() {
                    return Some(Err(other_names(path, template, *start_index)?));
                }
                file
            }
            (None, true) => {
                let (likely, first) = likely_template(path, &ENDINGS)?;
                let p = ParamProblem::new(
                    "template",
                    format!(
                        "{} is a folder, and no `template` says what its files are called",
                        path.display()
                    ),
                );
                return Some(Err(p.help(format!("write {}", written(&likely, first, *start_index)))));
            }
            (Some(template), false) => {
                let p = ParamProblem::new(
                    "template",
                    format!(
                        "{} is a file, and `template` says that each video is a folder of files",
                        path.display()
                    ),
                );
                return Some(Err(p.help(format!(
                    "leave out `template = \"{template}\"`, or name the folders in the list"
                ))));
            }
        };
        match self.file(&file) {
            Ok(_) => Some(Ok(())),
            Err(ArrayError::File(_)) => None,
            Err(ArrayError::Key(what)) => Some(Err(ParamProblem::new("key", format!("{}: {what}", file.display())))),
            Err(ArrayError::Size { shape, size: stated }) => {
                let row = row_size(&shape);
                let p = ParamProblem::new(
                    "size",
                    format!(
                        "{} has the shape {shape:?}, where rows of {stated} numbers are expected",
                        file.display()
                    ),
                );
                Some(Err(p.help(match size.expr() {
                    DimExpr::Global(name) => {
                        format!("write `{name} = {row}` in `dims`, or name features of {stated} numbers")
                    }
                    _ => format!("write `size = {row}`, or name features of {stated} numbers"),
                })))
            }
        }
    }
}

/// What a folder without the first file that its names would have has instead.
fn other_names(folder: &Path, template: &Template, start_index: usize) -> Option<ParamProblem> {
    let lacks = |what: String| format!("{} has no {}: {what}", folder.display(), template.name(start_index));
    if let Some(first) = first_number(folder, template) {
        let p = ParamProblem::new("start_index", lacks(format!("its first is {}", template.name(first))));
        return Some(p.help(format!("write `start_index = {first}`")));
    }
    let (likely, first) = likely_template(folder, &ENDINGS)?;
    let p = ParamProblem::new(
        "template",
        lacks(format!("its files are called as {}", likely.name(first))),
    );
    Some(p.help(format!("write {}", written(&likely, first, start_index))))
}

/// The parameters for a folder.
fn written(template: &Template, first: usize, start_index: usize) -> String {
    let start = match first == start_index {
        true => String::new(),
        false => format!(" and `start_index = {first}`"),
    };
    format!("`template = \"{template}\"`{start}")
}

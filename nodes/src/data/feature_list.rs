//! `feature_list`: the features of a stream's videos, by lists.

mod fit;
mod footage;
mod source;
#[cfg(test)]
mod tests;

use self::source::Listed;
use super::classes::Classes;
use super::input::positive;
use super::listing;
use super::lists::Lists;
use crate::contract::*;
use glad_video::Template;
use glad_video::lists::ListFormat;
use schemars::JsonSchema;
use serde::Deserialize;

/// Features that were computed before, from lists with a line for each video, and their labels: heads train on them in
/// seconds. Lists, labels and classes are those of `video_list`; a list may also be a folder that `glad-run predict --port`
/// wrote (its `index.csv`).
///
/// A path is a file with the rows of a video, one a frame or clip: `.npy`, `.npz`, `.safetensors`, PyTorch's
/// `.pth`, `.pt` or `.t7`, or `.pkl` with arrays of NumPy, by its content, whatever its ending. Or it is a folder with a file
/// for each row, named by `template`. The last axis of an array is a row, but for axes of one element; the others are the
/// rows in order. Nothing in a file is executed. Segments of a list (`path offset frames label`) count rows.
///
/// Samplers select rows as they select frames, and `gather_features` reads these alone. A video with a number that is not
/// finite is a bad video.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("examples" = [{ "list": "features/source_train", "size": "D" }]))]
pub struct FeatureList {
    /// The list or folder, one for all splits, or a table by split: `{ train = "a.txt", test = "features/b" }`.
    pub list: Lists,
    /// Numbers of a row, such as 2048.
    pub size: Count,
    /// The folder that the paths in a list are relative to; without, the list's own.
    #[serde(default)]
    pub root: Option<String>,
    /// What kind of lists these are.
    #[serde(default)]
    pub format: ListFormat,
    /// The columns of the lists, as of `video_list`.
    #[serde(default)]
    pub columns: Option<String>,
    /// Names of the files of a folder, one a row, with one number, such as `"img_%05d.t7"`.
    #[serde(default)]
    pub template: Option<String>,
    /// The number of a folder's first file; by default 0, of EPIC-KITCHENS 1.
    #[serde(default)]
    pub start_index: Option<usize>,
    /// Which array is meant where files hold several, such as `"rgb"`, or `"features.RGB"` of nested dictionaries.
    #[serde(default)]
    pub key: Option<String>,
    /// Names of the classes, in order: a list, or a file with one on each line; without, the `classes.txt` of folders of features.
    #[serde(default)]
    pub classes: Option<Classes>,
}

impl Kind for FeatureList {
    const NAME: &'static str = "feature_list";
    const GROUP: Group = Group::Data;

    fn validate(&self) -> Vec<ParamProblem> {
        let mut problems = listing::problems(self.columns.as_deref(), self.format);
        if let Some(Err(e)) = self.template.as_deref().map(Template::parse) {
            problems.push(ParamProblem::new("template", e));
        }
        if self.start_index.is_some() && self.template.is_none() {
            problems.push(
                ParamProblem::new(
                    "start_index",
                    "numbers the files of a folder, and there is no `template`",
                )
                .help("give the names of the files, such as `template = \"img_%05d.t7\"`, or leave it out"),
            );
        }
        if let Some(Classes::Names(names)) = &self.classes {
            problems.extend(Classes::mistakes(names).map(|e| ParamProblem::new("classes", e)));
        }
        problems
    }

    fn contract(&self, _: &Wiring) -> Contract {
        Contract::on(Side::Host)
            .output(
                "video",
                &format!("Sequence[B,{}]", self.size),
                "the features of the video",
            )
            .output("label", "Label[B]", "its class")
            .supervision()
    }

    fn build(&self, cx: &BuildCx<'_>) -> Result<Body, Vec<ParamProblem>> {
        let mut problems = vec![];
        let size = positive(&self.size, "size", cx.dims, &mut problems);
        match problems.is_empty() {
            true => Listed::new(self, size, cx.folder.clone()).map(|l| Body::Source(Box::new(l))),
            false => Err(problems),
        }
    }
}

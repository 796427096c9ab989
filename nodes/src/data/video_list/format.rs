//! The kinds of lists, as a parameter.

use glad_video::lists::ListFormat;
use schemars::JsonSchema;
use serde::Deserialize;

/// What kind of list a file is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// By what most lines look like; where lines can be read in two ways, an error says what to do.
    #[default]
    Auto,
    /// `path label`.
    Plain,
    /// `path frames label`: Kinetics of Kinetics→BABEL.
    Kinetics,
    /// `path offset frames label`, segments of sequences: BABEL of Kinetics→BABEL (with `start_index = 1`).
    Babel,
    /// `path label` or `path frames label`: UCF101 and HMDB51 of UCF-HMDB.
    UcfHmdb,
    /// `path label`: Mixamo and Kinetics of Mixamo→Kinetics.
    MixamoKinetics,
    /// CSV with the columns `participant_id`, `video_id`, `start_frame`, `stop_frame` and `verb_class` (or `verb`, with
    /// `classes`), in any order: frames `start_frame` to `stop_frame` of `participant_id/video_id`.
    EpicKitchens,
}

impl Format {
    /// File names of a folder's images, unless said otherwise.
    pub(super) fn template(self) -> &'static str {
        match self {
            Format::EpicKitchens => "frame_%010d.jpg",
            _ => "img_%05d.jpg",
        }
    }

    /// The number of a folder's first image, unless said otherwise.
    pub(super) fn start_index(self) -> usize {
        usize::from(self == Format::EpicKitchens)
    }
}

impl From<Format> for ListFormat {
    fn from(f: Format) -> Self {
        match f {
            Format::Auto => ListFormat::Auto,
            Format::Plain => ListFormat::Plain,
            Format::Kinetics => ListFormat::Kinetics,
            Format::Babel => ListFormat::Babel,
            Format::UcfHmdb => ListFormat::UcfHmdb,
            Format::MixamoKinetics => ListFormat::MixamoKinetics,
            Format::EpicKitchens => ListFormat::EpicKitchens,
        }
    }
}

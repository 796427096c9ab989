//! The parameter `init` of backbones.

use crate::StartsFrom;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// The initial weights of a backbone: `"random"`, a file's path, or a table with `file` and options for it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "Value")]
#[schemars(with = "StartSchema")]
pub enum Start {
    /// Random initialisation.
    Random,
    /// Read from a file.
    File(StartFile),
}

#[derive(JsonSchema)]
#[serde(untagged)]
#[allow(dead_code, reason = "only its schema is used")]
enum StartSchema {
    /// "random", or the path of a file.
    Name(String),
    /// A file with its options.
    File(StartFile),
}

/// A file of weights.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StartFile {
    /// Its path.
    pub file: PathBuf,
    /// The position of the weights in the file, if it contains several networks: the keys or the prefix of the names, such as
    /// `"state_dict_ema"` or `"encoder_q"`; `"."` is the top level.
    #[serde(default)]
    pub state: Option<String>,
    /// Weights that the file may lack, or have in another shape, and tensors that are ignored: names or their
    /// prefixes, such as `"layer4"` or `"*.non_local_block"`, where `*` matches anything. These weights are initialised at
    /// random.
    #[serde(default)]
    pub partial: Vec<String>,
}

impl StartFile {
    /// A complete file, without exceptions.
    pub fn whole(file: impl Into<PathBuf>) -> StartFile {
        StartFile {
            file: file.into(),
            state: None,
            partial: vec![],
        }
    }
}

impl TryFrom<Value> for Start {
    type Error = String;
    fn try_from(v: Value) -> Result<Self, String> {
        match v {
            Value::String(s) if s == "random" => Ok(Start::Random),
            Value::String(s) if s.is_empty() => Err("expected \"random\" or the path of a file".into()),
            Value::String(s) => Ok(Start::File(StartFile::whole(s))),
            Value::Object(_) => serde_json::from_value(v).map(Start::File).map_err(|e| e.to_string()),
            v => Err(format!(
                "expected \"random\", the path of a file or {{ file = \"…\", partial = [\"…\"] }}, found {v}"
            )),
        }
    }
}

impl Start {
    /// The same with the file's path relative to `folder`.
    pub(crate) fn in_folder(&self, folder: &Path) -> Start {
        match self {
            Start::Random => Start::Random,
            Start::File(f) => Start::File(StartFile {
                file: folder.join(&f.file),
                ..f.clone()
            }),
        }
    }

    /// The form that the framework uses.
    pub(crate) fn source(start: Option<&Start>) -> StartsFrom<'_> {
        match start {
            None => StartsFrom::NotGiven,
            Some(Start::Random) => StartsFrom::Random,
            Some(Start::File(f)) => StartsFrom::File(&f.file),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(v: Value) -> Result<Start, String> {
        serde_json::from_value(v).map_err(|e| e.to_string())
    }

    #[test]
    fn what_init_may_be() {
        assert_eq!(read(json!("random")), Ok(Start::Random));
        assert_eq!(read(json!("./random")), Ok(Start::File(StartFile::whole("./random"))));
        assert_eq!(read(json!("a.pth")), Ok(Start::File(StartFile::whole("a.pth"))));
        assert_eq!(
            read(json!({ "file": "a.pth" })),
            Ok(Start::File(StartFile::whole("a.pth")))
        );
        let all = StartFile {
            file: "a.pth".into(),
            state: Some("ema".into()),
            partial: vec!["layer4".into()],
        };
        let v = json!({ "file": "a.pth", "state": "ema", "partial": ["layer4"] });
        assert_eq!(read(v), Ok(Start::File(all)));
        for (v, printed) in [
            (json!(3), "expected \"random\", the path"),
            (json!(true), "found true"),
            (json!(""), "expected \"random\""),
            (json!({ "path": "a" }), "unknown field `path`"),
            (json!({ "partial": ["a"] }), "missing field `file`"),
            (json!({ "file": "a", "partial": "b" }), "expected a sequence"),
        ] {
            let e = read(v).unwrap_err();
            assert!(e.contains(printed), "{e}");
        }
    }

    #[test]
    fn paths_are_meant_from_a_folder() {
        let file = |s: &str| Start::File(StartFile::whole(s));
        assert_eq!(file("a.pth").in_folder(Path::new("f")), file("f/a.pth"));
        assert_eq!(file("/a.pth").in_folder(Path::new("f")), file("/a.pth"));
        assert_eq!(Start::Random.in_folder(Path::new("f")), Start::Random);
    }
}

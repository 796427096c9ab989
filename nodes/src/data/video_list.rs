//! `video_list`: the videos of a stream, by lists.

use super::classes::Classes;
use super::footage::ListedFootage;
use super::lists::Lists;
use crate::contract::*;
use anyhow::{Context, Result, bail};
use glad_mini::MiniConfig;
use glad_video::lists::{Columns, ListEntry, ListOptions, read_list};
use glad_video::{OpenOptions, Template, Watch};
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// The label of a video that has none.
const UNKNOWN: u32 = u32::MAX;

/// The videos of a stream, from annotation lists with a line for each video, and their labels.
///
/// A line is `path label`, `path frames label` (frames of the file), `path offset frames label` (a segment of the
/// file) or a bare path; which one, most lines tell. Labels are numbers from 0, or names of `classes`; `-` is none.
/// Blank lines and lines that begin with `#` are passed over. A path is a video file, or a folder of images, one a
/// frame. Frames are counted when a video is opened: what a list says of whole files is not relied on.
///
/// Relative paths of parameters are meant from the folder of the graph file that gives them, or, with `generate`,
/// from the folder of the data that is made.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VideoList {
    /// The list, one for all splits, or a table of lists by split: `{ train = "a.txt", test = "b.txt" }`.
    pub list: Lists,
    /// The folder that the paths in a list are relative to; without, the list's own.
    #[serde(default)]
    pub root: Option<String>,
    /// The columns of the lists, where the lines leave it open, such as `"path offset frames label"`; `_` is a column
    /// to pass over.
    #[serde(default)]
    pub columns: Option<String>,
    /// File names of folders of images, with one number.
    #[serde(default = "template")]
    pub template: String,
    /// The number of a folder's first image.
    #[serde(default)]
    pub start_index: usize,
    /// Names of the classes, in order: a list, or a file with one on each line.
    #[serde(default)]
    pub classes: Option<Classes>,
    /// What decodes the videos.
    #[serde(default)]
    pub backend: Backend,
    /// Minutes without a frame after which a video is taken for hanging: the run ends then, and names it. How long a video
    /// takes never makes it bad.
    #[serde(default = "ten")]
    pub stall_minutes: f64,
    /// Data to make on first use, in the cache folder (`GLAD_CACHE`, else the system's).
    #[serde(default)]
    pub generate: Option<Generate>,
}

fn template() -> String {
    "img_%05d.jpg".into()
}

fn ten() -> f64 {
    10.0
}

/// The longest time that can be asked for, in minutes.
const YEAR: f64 = 60.0 * 24.0 * 365.0;

/// What decodes videos.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Backend {
    /// By what is in the file: H.264 in mp4 or mov, or a folder of jpeg or png images.
    #[default]
    Auto,
}

/// Data that can be made.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Generate {
    /// The small procedural stand-in for Kinetics→BABEL; its settings. Lists: `source_train.txt`, `source_test.txt`,
    /// `target_train.txt`, `target_val.txt`, `target_test.txt`, `auxiliary_train.txt`, `auxiliary_test.txt`; class
    /// names: `classes.txt`, `auxiliary_classes.txt`.
    pub mini: MiniConfig,
}

impl Kind for VideoList {
    const NAME: &'static str = "video_list";
    const GROUP: Group = Group::Data;

    fn validate(&self) -> Vec<ParamProblem> {
        let mut problems = vec![];
        if let Some(columns) = &self.columns
            && let Err(e) = Columns::parse(columns)
        {
            problems.push(ParamProblem::new("columns", e));
        }
        if let Err(e) = Template::parse(&self.template) {
            problems.push(ParamProblem::new("template", e));
        }
        if !(self.stall_minutes > 0.0 && self.stall_minutes <= YEAR) {
            let message = "`stall_minutes` must be above 0, and no more than a year";
            problems.push(ParamProblem::new("stall_minutes", message));
        }
        if let Some(Classes::Names(names)) = &self.classes {
            problems.extend(Classes::mistakes(names).map(|e| ParamProblem::new("classes", e)));
        }
        if let Some(Generate { mini }) = &self.generate
            && let Err(e) = mini.check()
        {
            problems.push(ParamProblem::new("generate.mini", e.to_string()));
        }
        problems
    }

    fn contract(&self, _: &Wiring) -> Contract {
        Contract::on(Side::Host)
            .output("video", "Video[B]", "the video")
            .output("label", "Label[B]", "its class")
            .supervision()
    }

    fn build(&self, cx: &BuildCx<'_>) -> Result<Body, Vec<ParamProblem>> {
        Listed::new(self, cx.folder.clone()).map(|l| Body::Source(Box::new(l)))
    }
}

struct Listed {
    params: VideoList,
    columns: Option<Columns>,
    template: Template,
    /// Where data that can be made is kept.
    cache: PathBuf,
    /// The folder that relative paths of parameters are meant from.
    base: PathBuf,
}

impl Listed {
    fn new(params: &VideoList, folder: PathBuf) -> Result<Self, Vec<ParamProblem>> {
        let problem = |path: &str, e: String| vec![ParamProblem::new(path, e)];
        let columns = params.columns.as_deref().map(Columns::parse).transpose();
        let listed = Listed {
            columns: columns.map_err(|e| problem("columns", e))?,
            template: Template::parse(&params.template).map_err(|e| problem("template", e))?,
            params: params.clone(),
            cache: PathBuf::new(),
            base: folder,
        };
        match &params.generate {
            None => Ok(listed),
            Some(_) => match glad_mini::cache_dir() {
                Ok(cache) => Ok(listed.made_in(cache)),
                Err(e) => Err(problem("generate", e.to_string())),
            },
        }
    }

    /// With data that is made kept in `cache`.
    fn made_in(mut self, cache: PathBuf) -> Self {
        if let Some(Generate { mini }) = &self.params.generate {
            self.base = glad_mini::folder(&cache, mini);
        }
        self.cache = cache;
        self
    }

    /// What is said where data is wanted that has not been made yet; `None` where there is nothing to make.
    fn unmade(&self) -> Option<String> {
        let Generate { mini } = self.params.generate.as_ref()?;
        (!glad_mini::is_complete(&self.base, mini))
            .then(|| format!("the small data set is made on first use, in {}", self.base.display()))
    }

    fn list(&self, split: &str) -> Result<PathBuf> {
        match self.params.list.of(split) {
            Some(list) => Ok(self.base.join(list)),
            None => bail!(
                "there is no list for split `{split}`, only for {}",
                self.params.list.named()
            ),
        }
    }

    fn class_names(&self) -> Result<Option<Vec<String>>> {
        match &self.params.classes {
            None => Ok(None),
            Some(Classes::Names(names)) => Ok(Some(names.clone())),
            Some(Classes::File(file)) => Ok(Some(Classes::read(&self.base.join(file))?)),
        }
    }

    fn entries(&self, list: &Path) -> Result<Vec<ListEntry>> {
        if let Some(unmade) = self.unmade() {
            bail!("{} is not there yet: {unmade}", list.display());
        }
        let options = ListOptions {
            columns: self.columns.clone(),
            classes: self.class_names()?,
        };
        let entries = read_list(list, &options)?;
        if entries.is_empty() {
            bail!("{}: the list names no videos", list.display());
        }
        Ok(entries)
    }

    fn video(&self, index: usize, list: &Path, root: &Path, entry: ListEntry) -> Arc<Video> {
        let path = root.join(&entry.path);
        let line = format!("{}:{}", list.display(), entry.line);
        let options = OpenOptions {
            offset: entry.offset.unwrap_or(0),
            // Of a whole file it is the file that tells.
            frames: entry.offset.and(entry.frames),
            template: self.template.clone(),
            start_index: self.params.start_index,
            ..OpenOptions::default()
        };
        let watch = Watch {
            limit: Duration::from_secs_f64(60.0 * self.params.stall_minutes),
        };
        Arc::new(Video {
            index,
            footage: Arc::new(ListedFootage::new(path.clone(), line.clone(), options, watch)),
            path,
            line,
            label: entry.label,
        })
    }
}

impl Source for Listed {
    fn videos(&self, split: &str) -> Result<Vec<Arc<Video>>> {
        let list = self.list(split)?;
        let root = match &self.params.root {
            Some(root) => self.base.join(root),
            None => list.parent().map(Path::to_path_buf).unwrap_or_default(),
        };
        let entries = self.entries(&list)?.into_iter().enumerate();
        Ok(entries.map(|(i, e)| self.video(i, &list, &root, e)).collect())
    }

    fn values(&self, video: &Arc<Video>) -> Result<Vec<HostValue>> {
        let label = match video.label {
            Some(l) => u32::try_from(l).ok().filter(|l| *l != UNKNOWN),
            None => Some(UNKNOWN),
        };
        let label = label.with_context(|| format!("{}: the label is too large", video.line))?;
        Ok(vec![HostValue::Video(video.clone()), HostValue::Label(label)])
    }

    fn ensure(&self, progress: &(dyn Fn(&str, usize, usize) + Sync)) -> Result<()> {
        let Some(Generate { mini }) = &self.params.generate else {
            return Ok(());
        };
        glad_mini::generate(&self.cache, mini, &|p| match p {
            glad_mini::Progress::Waiting => progress("waiting for another process that makes the data", 0, 0),
            glad_mini::Progress::Videos { done, total } => progress("making the small data set", done, total),
        })?;
        Ok(())
    }

    fn absent(&self, files: bool) -> Vec<String> {
        if let Some(unmade) = self.unmade() {
            return vec![unmade];
        }
        let mut absent = vec![];
        if let Some(Classes::File(file)) = &self.params.classes {
            absent.extend(missing(&self.base.join(file)));
        }
        for (split, list) in self.params.list.distinct() {
            absent.extend(missing(&self.base.join(list)));
            // What is wrong with a list itself is for `videos` to tell.
            if let (true, Ok(videos)) = (files, self.videos(split)) {
                let bad = videos.par_iter().filter_map(|v| v.footage.frame_count().err());
                absent.extend(bad.map(|e| format!("{e:#}")).collect::<Vec<_>>());
            }
        }
        absent
    }

    fn splits(&self) -> Vec<String> {
        self.params.list.splits()
    }

    fn classes(&self) -> Result<Option<Vec<String>>> {
        match self.unmade() {
            Some(_) if matches!(self.params.classes, Some(Classes::File(_))) => Ok(None),
            _ => self.class_names(),
        }
    }
}

/// That a file is not there.
fn missing(path: &Path) -> Option<String> {
    (!path.exists()).then(|| format!("{} is not there", path.display()))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{dims, problems};
    use super::*;
    use glad_video::write::VideoWriter;
    use serde_json::{Value, json};
    use std::fs;

    /// A folder with `a.mp4` of 12 and `b.mp4` of 5 frames, 16 by 16; frame i is grey, 20·i.
    fn folder() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, frames) in [("a.mp4", 12), ("b.mp4", 5)] {
            let mut video = VideoWriter::create(dir.path().join(name), 16, 16, 24.0).unwrap();
            for i in 0..frames {
                video.push(&[20 * i as u8; 16 * 16 * 3]).unwrap();
            }
            video.finish().unwrap();
        }
        dir
    }

    fn source(dir: &Path, params: Value) -> Listed {
        let params: VideoList = serde_json::from_value(params).unwrap();
        assert_eq!(params.validate(), []);
        Listed::new(&params, dir.to_path_buf()).unwrap()
    }

    /// The videos of a list with this text, as (line, label, frames).
    fn read(text: &str, mut params: Value) -> Result<Vec<(usize, Option<usize>, usize)>> {
        let dir = folder();
        fs::write(dir.path().join("l.txt"), text).unwrap();
        params["list"] = json!("l.txt");
        let videos = source(dir.path(), params).videos("train")?;
        let row = |v: &Arc<Video>| {
            let line = v.line.rsplit(':').next().unwrap().parse().unwrap();
            Ok((line, v.label, v.footage.frame_count()?))
        };
        videos.iter().map(row).collect()
    }

    #[test]
    fn frames_are_counted_and_segments_taken_from_the_list() {
        let whole = [(1, Some(0), 12), (3, Some(1), 5)];
        assert_eq!(read("a.mp4 0\n\nb.mp4 1\n", json!({})).unwrap(), whole);
        assert_eq!(read("a.mp4 999 0\n# b\nb.mp4 1 1\n", json!({})).unwrap(), whole);
        assert_eq!(
            read("a.mp4 0 7 0\na.mp4 7 5 -\n", json!({})).unwrap(),
            [(1, Some(0), 7), (2, None, 5)]
        );
        assert_eq!(
            read(
                "run 3 a.mp4\n",
                json!({"columns": "label offset path", "classes": ["walk", "run"]})
            )
            .unwrap(),
            [(1, Some(1), 9)]
        );
        let e = read("a.mp4 7 6 0\n", json!({})).unwrap_err().to_string();
        assert!(
            e.contains("l.txt:1: ") && e.contains("a.mp4") && e.contains("12 frames"),
            "{e}"
        );
    }

    #[test]
    fn frames_of_a_segment_are_the_files() {
        let dir = folder();
        fs::write(dir.path().join("l.txt"), "a.mp4 4 6 0\n").unwrap();
        let videos = source(dir.path(), json!({"list": "l.txt"})).videos("test").unwrap();
        let footage = &videos[0].footage;
        let greys = |frames: Vec<Frame>| frames.iter().map(|f| f.data[0]).collect::<Vec<_>>();
        for (got, wanted) in greys(footage.frames(&[5, 0, 5]).unwrap())
            .into_iter()
            .zip([180, 80, 180u8])
        {
            assert!(got.abs_diff(wanted) <= 3, "{got}, {wanted}");
        }
        let mut seen = vec![];
        let mut take = |i, f: Frame| {
            seen.push((i, f.data[0]));
            Ok(())
        };
        footage.visit(&[3, 1, 3], &mut take).unwrap();
        seen.sort();
        assert_eq!(seen.iter().map(|s| s.0).collect::<Vec<_>>(), [1, 3]);
        assert!(seen[0].1.abs_diff(100) <= 3 && seen[1].1.abs_diff(140) <= 3, "{seen:?}");
        let e = footage.frames(&[6]).unwrap_err().to_string();
        assert!(e.contains("l.txt:1: ") && e.contains("frame 6"), "{e}");
        let stop = footage.visit(&[1], &mut |_, _| bail!("enough")).unwrap_err();
        assert_eq!(stop.to_string(), "enough");
    }

    #[test]
    fn a_stamp_changes_with_the_file_and_the_segment() {
        let dir = folder();
        fs::write(
            dir.path().join("l.txt"),
            "a.mp4 0 6 0\na.mp4 1 6 0\na.mp4 0 6 1\nb.mp4 0 5 0\n",
        )
        .unwrap();
        let stamps = || -> Vec<String> {
            let videos = source(dir.path(), json!({"list": "l.txt"})).videos("train").unwrap();
            videos.iter().map(|v| v.footage.stamp().unwrap()).collect()
        };
        let before = stamps();
        assert_eq!(before, stamps());
        assert_eq!(before[0], before[2]);
        assert!(before[0] != before[1] && before[0] != before[3]);
        fs::copy(dir.path().join("b.mp4"), dir.path().join("a.mp4")).unwrap();
        assert_ne!(stamps()[0], before[0]);
    }

    #[test]
    fn folders_of_images() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("v")).unwrap();
        let png = |i: usize| dir.path().join(format!("v/frame{i}.png"));
        for i in 1..=4 {
            fs::write(png(i), grey_png(10 * i as u8)).unwrap();
        }
        fs::write(dir.path().join("l.txt"), "v 1 2 0\n").unwrap();
        let params = json!({"list": "l.txt", "template": "frame%d.png", "start_index": 1});
        let videos = source(dir.path(), params).videos("train").unwrap();
        let frames = videos[0].footage.frames(&[0, 1]).unwrap();
        assert_eq!((frames[0].data[0], frames[1].data[0]), (20, 30));
        let before = videos[0].footage.stamp();
        fs::write(png(4), "another one").unwrap();
        assert_eq!(videos[0].footage.stamp(), before);
        fs::write(png(3), "another one").unwrap();
        assert_ne!(videos[0].footage.stamp(), before);
    }

    /// A png of one grey pixel, bytes stored as they are.
    fn grey_png(v: u8) -> Vec<u8> {
        let sum = |bytes: &[u8]| {
            let step = |crc: u32| {
                if crc & 1 == 1 {
                    0xedb8_8320 ^ (crc >> 1)
                } else {
                    crc >> 1
                }
            };
            let byte = |crc: u32, b: &u8| (0..8).fold(crc ^ u32::from(*b), |c, _| step(c));
            !bytes.iter().fold(!0u32, byte)
        };
        let chunk = |kind: &[u8], body: &[u8]| {
            let named = [kind, body].concat();
            [
                &(body.len() as u32).to_be_bytes(),
                &named[..],
                &sum(&named).to_be_bytes(),
            ]
            .concat()
        };
        // no filter, then the pixel; its adler32
        let (a, b) = (1 + u32::from(v), 1 + 1 + u32::from(v));
        let adler = (b << 16 | a).to_be_bytes();
        let data = [&[0x78, 1, 1, 2, 0, !2, !0, 0, v], &adler[..]].concat();
        [
            b"\x89PNG\r\n\x1a\n".to_vec(),
            chunk(b"IHDR", &[0, 0, 0, 1, 0, 0, 0, 1, 8, 0, 0, 0, 0]),
            chunk(b"IDAT", &data),
            chunk(b"IEND", &[]),
        ]
        .concat()
    }

    #[test]
    fn labels_are_values_and_none_is_the_largest() {
        let dir = folder();
        fs::write(dir.path().join("l.txt"), "a.mp4 3\nb.mp4 -\n").unwrap();
        let source = source(dir.path(), json!({"list": "l.txt"}));
        let label = |v: &Arc<Video>| match &source.values(v).unwrap()[..] {
            [HostValue::Video(same), HostValue::Label(l)] if Arc::ptr_eq(same, v) => *l,
            v => panic!("{v:?}"),
        };
        let videos = source.videos("train").unwrap();
        assert_eq!(videos.iter().map(label).collect::<Vec<_>>(), [3, u32::MAX]);
    }

    #[test]
    fn what_is_wrong_with_a_list_is_told_at_once() {
        let e = read("a.mp4 10 0\nb.mp4 x 1\nc.mp4 9 2\nd.mp4 1\n", json!({}))
            .unwrap_err()
            .to_string();
        assert!(e.contains("l.txt:2: ") && e.contains("l.txt:4: "), "{e}");
        let e = read("a.mp4 0\nb.mp4 2\n", json!({"classes": ["walk", "run"]}))
            .unwrap_err()
            .to_string();
        assert!(e.contains("l.txt:2: label 2 is beyond the 2 classes"), "{e}");
        let e = read("# nothing\n\n", json!({})).unwrap_err().to_string();
        assert!(e.ends_with("l.txt: the list names no videos"), "{e}");
        let e = read("a.mp4 0\nc.mp4 0\n", json!({})).unwrap_err().to_string();
        assert!(e.contains("l.txt:2: ") && e.contains("c.mp4: cannot read"), "{e}");
    }

    #[test]
    fn lists_by_split() {
        let dir = folder();
        fs::write(dir.path().join("a.txt"), "a.mp4 0\n").unwrap();
        fs::create_dir(dir.path().join("lists")).unwrap();
        fs::write(dir.path().join("lists/b.txt"), "a.mp4 0\nb.mp4 1\n").unwrap();
        let source = source(
            dir.path(),
            json!({"list": {"train": "a.txt", "test": "lists/b.txt", "val": "c.txt"}}),
        );
        assert_eq!(source.splits(), ["train", "test", "val"]);
        assert_eq!(source.videos("train").unwrap().len(), 1);
        assert_eq!(source.videos("test").unwrap()[1].path, dir.path().join("lists/b.mp4"));
        let e = source.videos("extra").err().unwrap().to_string();
        assert_eq!(e, "there is no list for split `extra`, only for `train`, `test`, `val`");
        let e = source.videos("val").err().unwrap().to_string();
        assert!(e.contains("c.txt: cannot read"), "{e}");
        let c = dir.path().join("c.txt");
        assert_eq!(source.absent(false), [format!("{} is not there", c.display())]);
        // the videos of lists/b.txt are beside it, which is not where they are
        let absent = source.absent(true);
        assert_eq!(absent.len(), 3, "{absent:?}");
        assert!(
            absent[0].contains("b.txt:1: ") && absent[1].contains("b.txt:2: "),
            "{absent:?}"
        );
        let rooted = json!({"list": {"test": "lists/b.txt"}, "root": "."});
        assert_eq!(super::tests::source(dir.path(), rooted).absent(true), [""; 0]);
    }

    #[test]
    fn classes_of_a_file() {
        let dir = folder();
        fs::write(dir.path().join("l.txt"), "a.mp4 run\nb.mp4 0\n").unwrap();
        fs::write(dir.path().join("classes.txt"), "# two\nwalk\n\nrun\n").unwrap();
        let source = source(dir.path(), json!({"list": "l.txt", "classes": "classes.txt"}));
        assert_eq!(source.classes().unwrap().unwrap(), ["walk", "run"]);
        let labels: Vec<_> = source.videos("train").unwrap().iter().map(|v| v.label).collect();
        assert_eq!(labels, [Some(1), Some(0)]);
        fs::write(dir.path().join("classes.txt"), "walk\nwalk\n").unwrap();
        let e = source.videos("train").err().unwrap().to_string();
        assert!(e.ends_with("classes.txt: classes come twice: walk"), "{e}");
        fs::remove_file(dir.path().join("classes.txt")).unwrap();
        assert!(source.absent(false)[0].contains("classes.txt is not there"));
    }

    #[test]
    fn data_is_made_on_first_use() {
        let cache = tempfile::tempdir().unwrap();
        let mini = json!({
            "source_train": 2, "source_test": 1, "target_train": 1, "target_val": 1, "target_test": 1,
            "auxiliary_train": 1, "auxiliary_test": 1, "source_seconds": [0.5, 0.6], "target_seconds": [0.3, 0.4],
            "auxiliary_seconds": [0.3, 0.4],
        });
        let params =
            json!({"list": {"train": "source_train.txt"}, "classes": "classes.txt", "generate": {"mini": mini}});
        let source = source(Path::new("elsewhere"), params).made_in(cache.path().to_path_buf());
        let e = source.videos("train").err().unwrap().to_string();
        assert!(
            e.contains("source_train.txt is not there yet: the small data set is made on first use"),
            "{e}"
        );
        assert_eq!(source.absent(true).len(), 1);
        assert_eq!(source.classes().unwrap(), None);
        let last = std::sync::Mutex::new((0, 0));
        source
            .ensure(&|what, done, of| {
                assert_eq!(what, "making the small data set");
                let mut last = last.lock().unwrap();
                *last = (done.max(last.0), of);
            })
            .unwrap();
        assert_eq!(*last.lock().unwrap(), (8, 8));
        assert_eq!(source.absent(true), [""; 0]);
        let videos = source.videos("train").unwrap();
        assert_eq!(videos.len(), 2);
        assert!((10..20).contains(&videos[0].footage.frame_count().unwrap()));
        assert_eq!(source.classes().unwrap().unwrap().len(), 12);
        source.ensure(&|what, _, _| panic!("{what}, once more")).unwrap();
    }

    #[test]
    fn mistakes_are_told() {
        let found = |p| problems::<VideoList>(p, &dims(&[]));
        let wrong = found(json!({
            "list": "l.txt", "columns": "path lable", "template": "img.jpg", "classes": ["a", "a"],
            "generate": {"mini": {"size": 47}},
        }));
        assert_eq!(wrong.len(), 4, "{wrong:?}");
        for (problem, start) in wrong
            .iter()
            .zip(["columns: ", "template: ", "classes: ", "generate.mini: "])
        {
            assert!(problem.starts_with(start), "{problem}");
        }
        assert!(found(json!({"list": 3}))[0].starts_with("list: expected a path, or a table"));
        assert_eq!(
            found(json!({"list": {"train": 3}})),
            ["list: the list of split `train` is a path, not 3"]
        );
    }
}

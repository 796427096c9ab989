//! The values of a port as a folder that `feature_list` reads: an index, and a file for each video.

use crate::run::{PortValue, lock, write_whole};
use anyhow::{Context, Result, bail};
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The list of a folder's files.
const INDEX: &str = "index.csv";
/// The names of the classes, one a line.
const CLASSES: &str = "classes.txt";
/// Locked while a folder is filled.
const LOCK: &str = ".lock";
/// Letters of a video's name in the name of its file.
const LONGEST: usize = 80;

/// A folder that is being filled, next to where it will be: it gets its name when it is complete.
#[derive(Debug)]
pub struct FeatureFolder {
    out: PathBuf,
    partial: PathBuf,
    /// Held while it is filled; `None` where the file system knows no locks.
    lock: Option<Arc<fs::File>>,
    index: csv::Writer<Vec<u8>>,
    count: usize,
    complete: bool,
}

impl FeatureFolder {
    /// Begins the folder `out`, which is not there, or empty. What a process that was killed left of it is removed.
    ///
    /// # Errors
    /// Something else is there, another process is writing it, or no folder can be made next to it.
    pub fn begin(out: &Path) -> Result<FeatureFolder> {
        FeatureFolder::free(out)?;
        // `features/` and `features` are one.
        let out: PathBuf = out.components().collect();
        let mut name = out.file_name().context("it has no name")?.to_owned();
        name.push(".partial");
        let partial = out.with_file_name(name);
        let lock = emptied(&partial)?;
        let mut folder = FeatureFolder {
            out,
            partial,
            lock,
            index: csv::Writer::from_writer(vec![]),
            count: 0,
            complete: false,
        };
        folder
            .index
            .write_record(["video", "label", "file", "shape", "offset", "frames"])?;
        Ok(folder)
    }

    /// Refuses a place where something is: nothing is overwritten.
    ///
    /// # Errors
    /// Something is there.
    pub fn free(out: &Path) -> Result<()> {
        match fs::read_dir(out) {
            Ok(mut there) => match there.next() {
                Some(_) => bail!("{} is there and not empty: name another folder", out.display()),
                None => Ok(()),
            },
            Err(_) if out.symlink_metadata().is_ok() => {
                bail!("{} is there and no folder: name another one", out.display())
            }
            Err(_) => Ok(()),
        }
    }

    /// Writes the file of one more video, and a line of the index.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn add(&mut self, value: &PortValue) -> Result<()> {
        let file = format!("{:06}-{}.safetensors", self.count, plain(&value.video));
        let bytes: Vec<u8> = value.value.iter().flat_map(|x| x.to_le_bytes()).collect();
        let port = value.port.split('@').next().unwrap_or(&value.port);
        let view = TensorView::new(Dtype::F32, value.shape.clone(), &bytes)?;
        let path = self.partial.join(&file);
        let bytes = safetensors::serialize([(port, view)], None).with_context(|| format!("cannot write {file}"))?;
        // The folder as a whole is what is written at once.
        fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
        let shape: Vec<String> = value.shape.iter().map(usize::to_string).collect();
        let label = value.label.map_or(String::new(), |l| l.to_string());
        // From any folder, and on any list: what it was computed from decides what may be trained on it.
        let video = std::path::absolute(&value.video).unwrap_or_else(|_| value.video.clone().into());
        let [offset, frames] =
            [value.segment.offset, value.segment.frames].map(|n| n.map_or(String::new(), |n| n.to_string()));
        self.index.write_record([
            &video.display().to_string(),
            &label,
            &file,
            &shape.join("x"),
            &offset,
            &frames,
        ])?;
        self.count += 1;
        Ok(())
    }

    /// Completes the folder: the index and the names of the classes, where they are known. Returns how many videos it has.
    ///
    /// # Errors
    /// There is none, or the folder cannot be written or named.
    pub fn finish(mut self, classes: &[String]) -> Result<usize> {
        if self.count == 0 {
            bail!(
                "there is nothing to write to {}: no video has a value",
                self.out.display()
            );
        }
        self.index.flush()?;
        if !classes.is_empty() {
            write_whole(&self.partial.join(CLASSES), (classes.join("\n") + "\n").as_bytes())?;
        }
        write_whole(&self.partial.join(INDEX), self.index.get_ref())?;
        // What came there in the meantime stays: only an empty folder is replaced.
        FeatureFolder::free(&self.out)?;
        let lock = self.partial.join(LOCK);
        fs::remove_file(&lock).with_context(|| format!("cannot remove {}", lock.display()))?;
        self.lock = None;
        fs::rename(&self.partial, &self.out).with_context(|| format!("cannot write {}", self.out.display()))?;
        self.complete = true;
        Ok(self.count)
    }
}

/// Makes the folder that is filled, or empties what a killed process left of it. Returns the lock that this process has on it.
fn emptied(partial: &Path) -> Result<Option<Arc<fs::File>>> {
    let lock_file = partial.join(LOCK);
    let entries = |what: &str| fs::read_dir(partial).with_context(|| format!("cannot {what} {}", partial.display()));
    if partial.symlink_metadata().is_ok() && !lock_file.is_file() && entries("read")?.next().is_some() {
        bail!(
            "{} is there, and nothing that was left unfinished: move it away",
            partial.display()
        );
    }
    fs::create_dir_all(partial).with_context(|| format!("cannot make {}", partial.display()))?;
    let lock = lock(&lock_file)?;
    for entry in entries("empty")? {
        let path = entry?.path();
        if path != lock_file {
            fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
    }
    Ok(lock)
}

/// What was not completed is not left behind.
impl Drop for FeatureFolder {
    fn drop(&mut self) {
        if !self.complete {
            let _ = fs::remove_dir_all(&self.partial);
        }
    }
}

/// The name of a video's file as every file system takes it.
fn plain(video: &str) -> String {
    let stem = Path::new(video)
        .file_stem()
        .map_or(String::new(), |s| s.to_string_lossy().into_owned());
    let letter = |c: char| match c {
        c if c.is_ascii_alphanumeric() || "._-".contains(c) => c,
        _ => '_',
    };
    stem.chars().take(LONGEST).map(letter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use glad_nodes::Stated;

    fn value(video: &str, label: Option<usize>, rows: usize) -> PortValue {
        PortValue {
            port: "embed.y@target".into(),
            video: video.into(),
            segment: Stated::default(),
            label,
            value: (0..2 * rows).map(|i| i as f32 / 4.0).collect(),
            shape: vec![rows, 2],
        }
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(folder)
            .unwrap()
            .map(|e| e.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_folder_has_an_index_and_a_file_for_each_video() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("made/features");
        let mut folder = FeatureFolder::begin(&out).unwrap();
        folder.add(&value("/a/b, \"c\".mp4", Some(1), 3)).unwrap();
        let segment = Stated {
            offset: Some(5),
            frames: Some(7),
        };
        folder
            .add(&PortValue {
                segment,
                ..value("d.mp4", None, 1)
            })
            .unwrap();
        assert!(!out.exists());
        assert_eq!(folder.finish(&["run".into(), "sit".into()]).unwrap(), 2);
        assert_eq!(
            names(&out),
            [
                "000000-b___c_.safetensors",
                "000001-d.safetensors",
                "classes.txt",
                "index.csv"
            ]
        );
        assert_eq!(names(&dir.path().join("made")), ["features"]);
        // The same from any folder.
        let d = std::path::absolute("d.mp4").unwrap();
        assert_eq!(
            fs::read_to_string(out.join("index.csv")).unwrap(),
            format!(
                "video,label,file,shape,offset,frames\n\"/a/b, \"\"c\"\".mp4\",1,000000-b___c_.safetensors,3x2,,\n\
                 {},,000001-d.safetensors,1x2,5,7\n",
                d.display()
            )
        );
        let bytes = fs::read(out.join("000000-b___c_.safetensors")).unwrap();
        let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        let t = file.tensor("embed.y").unwrap();
        assert_eq!((t.shape(), &t.data()[4..8]), (&[3, 2][..], &0.25f32.to_le_bytes()[..]));
    }

    #[test]
    fn what_a_killed_process_left_is_begun_anew() {
        let dir = tempfile::tempdir().unwrap();
        let (out, partial) = (dir.path().join("f"), dir.path().join("f.partial"));
        let mut killed = FeatureFolder::begin(&out).unwrap();
        killed.add(&value("a.mp4", None, 1)).unwrap();
        killed.add(&value("b.mp4", None, 1)).unwrap();
        // While it is at work, no other is.
        let e = format!("{:#}", FeatureFolder::begin(&out).unwrap_err());
        assert!(e.contains("another process is at work there"), "{e}");
        killed.lock = None;
        std::mem::forget(killed);
        assert_eq!(
            names(&partial),
            [".lock", "000000-a.safetensors", "000001-b.safetensors"]
        );
        let mut folder = FeatureFolder::begin(&out).unwrap();
        folder.add(&value("c.mp4", None, 1)).unwrap();
        folder.finish(&[]).unwrap();
        assert_eq!(names(dir.path()), ["f"]);
        assert_eq!(names(&out), ["000000-c.safetensors", "index.csv"]);
        // A folder of somebody's own stays as it is.
        fs::remove_dir_all(&out).unwrap();
        fs::create_dir_all(partial.join("mine")).unwrap();
        let e = format!("{:#}", FeatureFolder::begin(&out).unwrap_err());
        assert!(
            e.contains("f.partial is there, and nothing that was left unfinished"),
            "{e}"
        );
        assert_eq!(names(&partial), ["mine"]);
    }

    #[test]
    fn nothing_is_overwritten_or_left_behind() {
        let dir = tempfile::tempdir().unwrap();
        let (full, empty, file) = (
            dir.path().join("full"),
            dir.path().join("empty"),
            dir.path().join("file"),
        );
        fs::create_dir_all(full.join("x")).unwrap();
        fs::create_dir(&empty).unwrap();
        fs::write(&file, "").unwrap();
        let e = FeatureFolder::begin(&full).unwrap_err().to_string();
        assert!(e.ends_with("full is there and not empty: name another folder"), "{e}");
        let e = FeatureFolder::begin(&file).unwrap_err().to_string();
        assert!(e.ends_with("file is there and no folder: name another one"), "{e}");
        let folder = FeatureFolder::begin(&dir.path().join("none")).unwrap();
        assert!(
            folder
                .finish(&[])
                .unwrap_err()
                .to_string()
                .contains("no video has a value")
        );
        let mut folder = FeatureFolder::begin(&empty).unwrap();
        folder.add(&value("a.mp4", None, 1)).unwrap();
        folder.finish(&[]).unwrap();
        assert_eq!(names(dir.path()), ["empty", "file", "full"]);
        assert_eq!(names(&empty), ["000000-a.safetensors", "index.csv"]);
    }
}

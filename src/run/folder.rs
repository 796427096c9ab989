//! A run's folder: what is in it, and files that are written whole or not at all.

use anyhow::{Context, Result, bail};
use glad_nodes::Precision;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

/// The folder of one run.
#[derive(Clone, Debug)]
pub struct RunFolder {
    root: PathBuf,
}

/// What a folder that is asked for holds already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing: a new run.
    Empty,
    /// The same graph: it can be resumed.
    Same,
}

impl RunFolder {
    /// Opens `root` for the run of `graph` (the effective graph's text). A folder that holds a run is taken only to
    /// resume it, and only for the same graph; a folder that holds something else is not taken.
    pub fn open(root: &Path, graph: &str, resume: bool) -> Result<(RunFolder, Found)> {
        let folder = RunFolder {
            root: root.to_path_buf(),
        };
        let there = folder.graph();
        if there.exists() {
            let old = fs::read_to_string(&there).with_context(|| format!("cannot read {}", there.display()))?;
            if !resume {
                bail!(
                    "{} holds a run already; add --resume to go on with it, or name another folder with --out",
                    root.display()
                );
            }
            if let Some((before, now)) = other_precision(&old, graph) {
                bail!(
                    "{} holds a run in {before}, so it cannot be resumed in {now}: add --set precision={before}",
                    root.display()
                );
            }
            if old != graph {
                bail!(
                    "{} holds a run of another graph, so it cannot be resumed with this one\n  \
                     see what differs: glad-run diff {} GRAPH\n  resume it as it was: glad-run {} --out {} --resume",
                    root.display(),
                    there.display(),
                    there.display(),
                    root.display()
                );
            }
            return Ok((folder, Found::Same));
        }
        if root.exists()
            && fs::read_dir(root)
                .with_context(|| format!("cannot read {}", root.display()))?
                .next()
                .is_some()
        {
            bail!(
                "{} is not empty and holds no run; name another folder with --out",
                root.display()
            );
        }
        if resume {
            bail!("there is no run in {} to resume", root.display());
        }
        fs::create_dir_all(folder.checkpoints()).with_context(|| format!("cannot make {}", root.display()))?;
        write_whole(&there, graph.as_bytes())?;
        Ok((folder, Found::Empty))
    }

    /// The folder of a run that is there.
    pub fn existing(root: &Path) -> Result<RunFolder> {
        let folder = RunFolder {
            root: root.to_path_buf(),
        };
        if !folder.graph().exists() {
            bail!("there is no run in {} (no graph.toml)", root.display());
        }
        Ok(folder)
    }

    /// An unused folder below `runs`: `runs/full-mini`, `runs/full-mini-2`, …
    pub fn unused(runs: &Path, name: &str) -> PathBuf {
        (1..)
            .map(|i| {
                runs.join(if i == 1 {
                    name.to_string()
                } else {
                    format!("{name}-{i}")
                })
            })
            .find(|p| !p.exists())
            .expect("some number is free")
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }
    /// The effective graph.
    pub fn graph(&self) -> PathBuf {
        self.root.join("graph.toml")
    }
    /// What was planned.
    pub fn plan(&self) -> PathBuf {
        self.root.join("plan.txt")
    }
    /// One JSON object a step.
    pub fn metrics(&self) -> PathBuf {
        self.root.join("metrics.jsonl")
    }
    /// TensorBoard's event file.
    pub fn events(&self) -> PathBuf {
        self.root.join("events.out.tfevents.glad")
    }
    /// One row a scored video.
    pub fn predictions(&self) -> PathBuf {
        self.root.join("predictions.csv")
    }
    /// The result, for programs.
    pub fn summary(&self) -> PathBuf {
        self.root.join("summary.json")
    }
    /// Saved states.
    pub fn checkpoints(&self) -> PathBuf {
        self.root.join("checkpoints")
    }
    /// The newest state.
    pub fn last(&self) -> PathBuf {
        self.checkpoints().join("last.safetensors")
    }
    /// The state with the best validation score (a declared oracle).
    pub fn best(&self) -> PathBuf {
        self.checkpoints().join("best.safetensors")
    }
}

/// The precisions of two effective graphs that differ in nothing else.
fn other_precision(a: &str, b: &str) -> Option<(Precision, Precision)> {
    // The top of an effective graph has a line for each key.
    let key = "precision = ";
    let (written, rest): (Vec<_>, Vec<_>) = [a, b]
        .map(|t| t.lines().partition::<Vec<&str>, _>(|l| l.starts_with(key)))
        .into_iter()
        .unzip();
    let read = |lines: &[&str]| match lines {
        [] => Some(Precision::default()),
        [line] => Precision::ALL.into_iter().find(|p| **line == format!("{key}\"{p}\"")),
        _ => None,
    };
    let (a, b) = (read(&written[0])?, read(&written[1])?);
    (a != b && rest[0] == rest[1]).then_some((a, b))
}

/// Writes a file whole or not at all: a reader sees the old bytes or the new ones, also after a crash.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    if path.metadata().is_ok_and(|m| !m.is_file() && !m.is_dir()) {
        // A device or a pipe is written to; a file does not take its place.
        return fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()));
    }
    let partial = path.with_extension(format!("{}.partial", std::process::id()));
    let write = || -> std::io::Result<()> {
        let mut f = fs::File::create(&partial)?;
        f.write_all(bytes)?;
        f.sync_all()?;
        match path.is_symlink() {
            true => fs::rename(&partial, fs::canonicalize(path)?)?,
            false => fs::rename(&partial, path)?,
        }
        if let Some(dir) = path.parent()
            && let Ok(d) = fs::File::open(dir)
        {
            // Makes the new name itself last; not every file system can.
            let _ = d.sync_all();
        }
        Ok(())
    };
    let written = write();
    if written.is_err() {
        let _ = fs::remove_file(&partial);
    }
    written.with_context(|| format!("cannot write {}", path.display()))
}

/// Where results that runs share are kept: `GLAD_CACHE`, else the platform's cache folder; `None` where neither is known.
pub fn cache_folder() -> Option<PathBuf> {
    glad_mini::cache_dir().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("r");
        assert_eq!(RunFolder::open(&root, "a", false).unwrap().1, Found::Empty);
        let e = RunFolder::open(&root, "a", false).unwrap_err().to_string();
        assert!(e.contains("--resume"), "{e}");
        assert_eq!(RunFolder::open(&root, "a", true).unwrap().1, Found::Same);
        let e = RunFolder::open(&root, "b", true).unwrap_err().to_string();
        assert!(e.contains("another graph"), "{e}");
        assert_eq!(fs::read_to_string(root.join("graph.toml")).unwrap(), "a");
    }

    #[cfg(unix)]
    #[test]
    fn a_device_and_a_link_stay_what_they_are() {
        use std::os::unix::fs::{FileTypeExt, symlink};
        let dir = tempfile::tempdir().unwrap();
        write_whole(Path::new("/dev/null"), b"x").unwrap();
        assert!(Path::new("/dev/null").metadata().unwrap().file_type().is_char_device());
        let (file, link) = (dir.path().join("file"), dir.path().join("link"));
        fs::write(&file, "old").unwrap();
        symlink(&file, &link).unwrap();
        write_whole(&link, b"new").unwrap();
        assert!(link.is_symlink());
        assert_eq!(fs::read(&file).unwrap(), b"new");
        // What fails leaves nothing behind.
        let e = format!("{:#}", write_whole(&dir.path().join("none/x"), b"x").unwrap_err());
        assert!(e.contains("none/x"), "{e}");
        fs::create_dir(dir.path().join("folder")).unwrap();
        assert!(write_whole(&dir.path().join("folder"), b"x").is_err());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 3);
    }

    #[test]
    fn another_precision_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("r");
        let (full, half) = ("seed = 1\n", "seed = 1\nprecision = \"bf16\"\n");
        RunFolder::open(&root, full, false).unwrap();
        let e = RunFolder::open(&root, half, true).unwrap_err().to_string();
        assert!(
            e.ends_with("holds a run in f32, so it cannot be resumed in bf16: add --set precision=f32"),
            "{e}"
        );
        let e = RunFolder::open(&root, "seed = 2\nprecision = \"bf16\"\n", true).unwrap_err();
        assert!(e.to_string().contains("another graph"), "{e}");
    }

    #[test]
    fn a_folder_with_other_things_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("thesis.tex"), "x").unwrap();
        assert!(RunFolder::open(dir.path(), "a", false).is_err());
        assert!(RunFolder::open(&dir.path().join("none"), "a", true).is_err());
    }
}

//! A run's folder: what is in it, and files that are written whole or not at all.

use anyhow::{Context, Result, bail};
use glad_nodes::Precision;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// The folder of one run.
#[derive(Clone, Debug)]
pub struct RunFolder {
    root: PathBuf,
    /// Held while the run is at work, so that no second process works in the folder; released with the process.
    _lock: Option<Arc<fs::File>>,
}

/// What may become of the run's folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// A run begins; the folder holds none.
    New,
    /// The folder's run goes on.
    Resume,
    /// The folder's run goes on, or begins where there is none: for schedulers, which start the same command again.
    GoOn,
}

/// What a folder that is asked for holds already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing, or what a process left that was killed while it made the folder: a new run.
    Nothing,
    /// A run.
    Run,
}

impl RunFolder {
    /// Opens `root` for a run. A folder that holds a run is taken only to go on with it; a folder that holds something else is
    /// not taken. Partial files that killed processes left are removed.
    ///
    /// # Errors
    /// The folder is not to be taken, another process works in it, or it cannot be read or made.
    pub fn open(root: &Path, begin: Begin) -> Result<(RunFolder, Found)> {
        let mut folder = RunFolder {
            root: root.to_path_buf(),
            _lock: None,
        };
        let named = root.display();
        let holds = folder.holds()?;
        match (&holds, begin) {
            (Holds::Run, Begin::New) => {
                bail!("{named} holds a run already; add --resume to go on with it, or name another folder with --out")
            }
            (Holds::Nothing, Begin::Resume) => bail!(
                "there is no run in {named} to resume; begin one without --resume, or take --go-on, which does whichever is \
                 to be done"
            ),
            (Holds::Other(what), _) => bail!(
                "{named} is not empty and holds no run (there is {what}, and no graph.toml); name another folder with --out"
            ),
            _ => {}
        }
        folder.only_files()?;
        fs::create_dir_all(folder.checkpoints()).with_context(|| format!("cannot make {named}"))?;
        folder._lock = lock(&root.join(LOCK)).with_context(|| format!("cannot work in {named}"))?;
        for dir in [root, &folder.checkpoints()] {
            sweep(dir).with_context(|| format!("cannot remove partial files from {}", dir.display()))?;
        }
        let found = match holds {
            Holds::Run => Found::Run,
            _ => Found::Nothing,
        };
        Ok((folder, found))
    }

    /// What lies in the folder.
    fn holds(&self) -> Result<Holds> {
        if self.graph().exists() {
            return Ok(Holds::Run);
        }
        if !self.root.exists() {
            return Ok(Holds::Nothing);
        }
        let names = |dir: &Path| -> std::io::Result<Vec<String>> {
            let mut names: Vec<String> = fs::read_dir(dir)?
                .map(|e| Ok(e?.file_name().to_string_lossy().into_owned()))
                .collect::<std::io::Result<_>>()?;
            names.sort();
            Ok(names)
        };
        let read = || -> std::io::Result<Holds> {
            let mut holds = Holds::Nothing;
            for name in names(&self.root)? {
                // What is written before graph.toml, and so may be there without it.
                let ours = match name.as_str() {
                    "checkpoints" => names(&self.checkpoints())?.iter().all(|n| is_partial(n)),
                    LOCK => continue,
                    _ => ["run.json", "inputs.jsonl"].contains(&name.as_str()) || is_partial(&name),
                };
                if !ours {
                    return Ok(Holds::Other(name));
                }
                holds = Holds::Begun;
            }
            Ok(holds)
        };
        read().with_context(|| format!("cannot read {}", self.root.display()))
    }

    /// The folder of a run that is there.
    ///
    /// # Errors
    /// There is no run in the folder.
    pub fn existing(root: &Path) -> Result<RunFolder> {
        let folder = RunFolder {
            root: root.to_path_buf(),
            _lock: None,
        };
        if !folder.graph().exists() {
            bail!("there is no run in {} (no graph.toml)", root.display());
        }
        folder.only_files()?;
        Ok(folder)
    }

    /// An error where a named pipe, a device or a socket has the name of a file of a run: opening it may wait without end.
    fn only_files(&self) -> Result<()> {
        let mut names = vec![
            self.root.join(LOCK),
            self.graph(),
            self.record(),
            self.inputs(),
            self.plan(),
            self.metrics(),
            self.events(),
            self.predictions(),
            self.summary(),
            self.last(),
            self.best(),
        ];
        names.extend(["per_class.csv", "lengths.csv", "curves.svg", "report.html"].map(|n| self.root.join(n)));
        for path in names {
            glad_video::may_be_written(&path).with_context(|| format!("{} is in the way", path.display()))?;
        }
        Ok(())
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
    /// What the run is, for other programs and for going on.
    pub fn record(&self) -> PathBuf {
        self.root.join("run.json")
    }
    /// What it reads: a line for each video.
    pub fn inputs(&self) -> PathBuf {
        self.root.join("inputs.jsonl")
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

/// What a folder holds.
enum Holds {
    Nothing,
    /// What is made before graph.toml.
    Begun,
    Run,
    /// Something else: a name of it.
    Other(String),
}

const LOCK: &str = ".lock";

/// Takes the lock of a folder; `None` where the file system knows no locks.
pub(crate) fn lock(path: &Path) -> Result<Option<Arc<fs::File>>> {
    glad_video::may_be_written(path).with_context(|| path.display().to_string())?;
    let file = fs::OpenOptions::new().create(true).append(true).open(path)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(Arc::new(file))),
        Err(fs::TryLockError::WouldBlock) => bail!("another process is at work there"),
        Err(fs::TryLockError::Error(_)) => Ok(None),
    }
}

/// Whether a file is one that [`write_whole`] did not end: `last.1234.partial`.
fn is_partial(name: &str) -> bool {
    let stem = name.strip_suffix(".partial").and_then(|n| n.rsplit_once('.'));
    stem.is_some_and(|(_, process)| !process.is_empty() && process.bytes().all(|b| b.is_ascii_digit()))
}

/// Removes partial files.
fn sweep(dir: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if is_partial(&entry.file_name().to_string_lossy()) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// How old a partial file of the cache has to be: what another process, here or on another machine, is writing is newer.
const OLD: Duration = Duration::from_secs(24 * 3600);

/// Removes the partial files that killed processes left in the cache. Nothing that a run needs: what fails is left.
pub(super) fn sweep_cache(cache: &Path) {
    let old = |entry: &fs::DirEntry| {
        let written = entry.metadata().and_then(|m| m.modified());
        written.is_ok_and(|at| at.elapsed().is_ok_and(|age| age > OLD))
    };
    for folder in ["phases", "backgrounds"] {
        let entries = fs::read_dir(cache.join(folder)).into_iter().flatten().flatten();
        for entry in entries {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            // The second is how images are written.
            if (is_partial(&name) || name.starts_with(".tmp-")) && old(&entry) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

/// The precisions of two effective graphs that differ in nothing else.
pub(super) fn other_precision(a: &str, b: &str) -> Option<(Precision, Precision)> {
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

/// As [`write_whole`], where the user names the place: a device or a pipe there is written to, and a file does not take its
/// place.
///
/// # Errors
/// As [`write_whole`].
pub fn write_out(path: &Path, bytes: &[u8]) -> Result<()> {
    match path.metadata().is_ok_and(|m| !m.is_file() && !m.is_dir()) {
        true => fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display())),
        false => write_whole(path, bytes),
    }
}

/// Writes a file whole or not at all: a reader sees the old bytes or the new ones, also after a crash.
///
/// # Errors
/// The file or its folder cannot be written, or something that is not a file is there.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    glad_video::may_be_written(path).with_context(|| format!("cannot write {}", path.display()))?;
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

    fn error(root: &Path, begin: Begin) -> String {
        format!("{:#}", RunFolder::open(root, begin).unwrap_err())
    }

    #[test]
    fn a_run_is_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("r");
        let (folder, found) = RunFolder::open(&root, Begin::New).unwrap();
        assert_eq!(found, Found::Nothing);
        write_whole(&folder.graph(), b"a").unwrap();
        let e = error(&root, Begin::Resume);
        assert!(e.contains("another process is at work there"), "{e}");
        drop(folder);
        let e = error(&root, Begin::New);
        assert!(e.contains("--resume"), "{e}");
        for begin in [Begin::Resume, Begin::GoOn] {
            assert_eq!(RunFolder::open(&root, begin).unwrap().1, Found::Run);
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_device_and_a_link_stay_what_they_are() {
        use std::os::unix::fs::{FileTypeExt, symlink};
        let dir = tempfile::tempdir().unwrap();
        write_out(Path::new("/dev/null"), b"x").unwrap();
        let e = format!("{:#}", write_whole(Path::new("/dev/null"), b"x").unwrap_err());
        assert_eq!(e, "cannot write /dev/null: it is a device, not a file");
        assert!(Path::new("/dev/null").metadata().unwrap().file_type().is_char_device());
        let (file, link) = (dir.path().join("file"), dir.path().join("link"));
        fs::write(&file, "old").unwrap();
        symlink(&file, &link).unwrap();
        write_out(&link, b"new").unwrap();
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
    fn another_precision_is_reported() {
        let (full, half) = ("seed = 1\n", "seed = 1\nprecision = \"bf16\"\n");
        let precisions = Some((Precision::F32, Precision::Bf16));
        assert_eq!(other_precision(full, half), precisions);
        assert_eq!(other_precision(full, "seed = 2\nprecision = \"bf16\"\n"), None);
        assert_eq!(other_precision(full, full), None);
    }

    #[test]
    fn a_folder_with_other_things_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("thesis.tex"), "x").unwrap();
        for begin in [Begin::New, Begin::Resume, Begin::GoOn] {
            let e = error(dir.path(), begin);
            assert!(e.contains("holds no run (there is thesis.tex"), "{e}");
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn nothing_is_begun_and_not_resumed() {
        let dir = tempfile::tempdir().unwrap();
        for root in [dir.path().join("none"), dir.path().to_path_buf()] {
            let e = error(&root, Begin::Resume);
            assert!(e.contains("there is no run in") && e.contains("--go-on"), "{e}");
            assert!(!root.join("checkpoints").exists());
        }
        for (name, begin) in [("a", Begin::New), ("b", Begin::GoOn)] {
            assert_eq!(
                RunFolder::open(&dir.path().join(name), begin).unwrap().1,
                Found::Nothing
            );
        }
    }

    #[test]
    fn what_a_kill_left_is_begun_and_swept() {
        let dir = tempfile::tempdir().unwrap();
        for (i, begin) in [Begin::New, Begin::Resume, Begin::GoOn].into_iter().enumerate() {
            let root = dir.path().join(i.to_string());
            fs::create_dir_all(root.join("checkpoints")).unwrap();
            for left in ["graph.123.partial", "run.json", "checkpoints/last.7.partial"] {
                fs::write(root.join(left), "").unwrap();
            }
            let (folder, found) = RunFolder::open(&root, begin).unwrap();
            assert_eq!(found, Found::Nothing);
            assert!(!root.join("graph.123.partial").exists());
            assert_eq!(fs::read_dir(folder.checkpoints()).unwrap().count(), 0);
        }
        // A state without its graph, and files of others' are no leftovers.
        for name in ["checkpoints/last.safetensors", "paper.partial", "a.b.partial"] {
            let root = dir.path().join(name.replace(['/', '.'], "-"));
            fs::create_dir_all(root.join("checkpoints")).unwrap();
            fs::write(root.join(name), "").unwrap();
            assert!(error(&root, Begin::GoOn).contains("holds no run"));
            assert!(root.join(name).exists());
        }
    }

    #[test]
    fn old_partial_files_of_the_cache_are_swept() {
        let dir = tempfile::tempdir().unwrap();
        let old = [
            "phases/0f.12.partial",
            "backgrounds/.tmp-x1",
            "backgrounds/ab.7.partial",
        ];
        let stay = [
            "phases/0f.jsonl",
            "phases/mine.partial",
            "backgrounds/ab.ppm",
            "phases/1e.9.partial",
            "backgrounds/.tmp-x2",
        ];
        for (i, name) in old.iter().chain(&stay).enumerate() {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            let file = fs::File::create(&path).unwrap();
            // The last two are being written.
            if i < 6 {
                file.set_modified(std::time::SystemTime::now() - 2 * OLD).unwrap();
            }
        }
        sweep_cache(dir.path());
        sweep_cache(&dir.path().join("none"));
        assert!(old.iter().all(|name| !dir.path().join(name).exists()));
        assert!(stay.iter().all(|name| dir.path().join(name).exists()));
    }

    #[test]
    fn nothing_partial_is_left_by_an_error() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("taken")).unwrap();
        fs::write(dir.path().join("taken/x"), "").unwrap();
        assert!(write_whole(&dir.path().join("taken"), b"x").is_err());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}

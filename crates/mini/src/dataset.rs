//! Writes the data set: video files, list files, and what they were made from.

use std::collections::HashSet;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use glad_video::write::{Effort, VideoWriter, WriteOptions};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::config::MiniConfig;
use crate::error::MiniError;
use crate::scene::Scene;
use crate::split::{Domain, Split};

/// Version of the generator: increased whenever the same settings give different videos, so that no
/// older data set is mistaken for a new one.
pub const GENERATOR_VERSION: u32 = 1;

/// Version of the generator of optical flow, as [`GENERATOR_VERSION`].
const FLOW_VERSION: u32 = 1;

/// The folder of the optical flow, in that of the data set: a folder for each video, by its path without the ending.
pub const FLOW_FOLDER: &str = "flow";

/// The files of a video's flow, across and down: grey videos, of one frame less than the video has.
pub const FLOW_FILES: [&str; 2] = ["flow_x.mp4", "flow_y.mp4"];

/// Quantiser of the files of flow, which are to be near to what was computed.
const FLOW_QP: u8 = 4;

/// What a data set was made from; written last, as `mini.json`.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Manifest {
    generator: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    flow: Option<u32>,
    config: MiniConfig,
}

impl Manifest {
    fn of(config: &MiniConfig) -> Self {
        Self {
            generator: GENERATOR_VERSION,
            flow: config.flow.then_some(FLOW_VERSION),
            config: config.clone(),
        }
    }
}

/// All that the content of the data set of `config` depends on: the versions of the generator, and the settings.
pub fn identity(config: &MiniConfig) -> String {
    let settings = serde_json::to_string(config).expect("plain settings have a JSON form");
    let flow = if config.flow {
        format!("flow {FLOW_VERSION} ")
    } else {
        String::new()
    };
    format!("{GENERATOR_VERSION} {flow}{settings}")
}

const MANIFEST: &str = "mini.json";

/// The hash (BLAKE3) and name of every other file but `mini.json`, one a line, as `b3sum` writes and checks them.
const SUMS: &str = "b3sums.txt";

/// The progress of [`generate`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// The data set exists, but a file differs from the generated one: it is generated again.
    Altered {
        /// The file, by its name in the data set.
        file: String,
        /// Where the altered data set is now.
        kept: PathBuf,
    },
    /// Waiting for another process that generates the same data set.
    Waiting,
    /// The number of videos written so far.
    Videos {
        /// Videos written so far.
        done: usize,
        /// Videos in all.
        total: usize,
    },
}

/// Where [`generate`] puts the data set of `config` inside `dir`: the name carries a hash of the
/// settings and the generator's version, so that several data sets can exist in one folder.
pub fn folder(dir: &Path, config: &MiniConfig) -> PathBuf {
    dir.join(name(config))
}

fn name(config: &MiniConfig) -> String {
    let key = manifest_text(config);
    format!("mini-{}", &blake3::hash(key.as_bytes()).to_hex()[..16])
}

fn manifest_text(config: &MiniConfig) -> String {
    serde_json::to_string_pretty(&Manifest::of(config)).expect("plain settings have a JSON form") + "\n"
}

/// Whether `folder` holds the whole data set of `config`: settings and version as recorded, every
/// list present, and the right number of videos in each folder. Reads no video.
pub fn is_complete(folder: &Path, config: &MiniConfig) -> bool {
    let recorded = glad_video::read_text(&folder.join(MANIFEST)).ok();
    let recorded = recorded.and_then(|text| serde_json::from_str::<Manifest>(&text).ok());
    recorded.is_some_and(|recorded| recorded == Manifest::of(config))
        && folder.join(SUMS).is_file()
        && Split::ALL.iter().all(|&split| {
            let videos = fs::read_dir(folder.join(split.folder())).map_or(0, |entries| entries.flatten().count());
            let flow = fs::read_dir(flow_path(folder, split)).map_or(0, |entries| entries.flatten().count());
            videos == config.videos(split) && (!config.flow || flow == videos) && list_path(folder, split).is_file()
        })
}

/// The first file that differs from the generated one, by its name in `folder`. Reads every file.
fn altered(folder: &Path) -> Option<String> {
    let Ok(sums) = glad_video::read_text(&folder.join(SUMS)) else {
        return Some(SUMS.to_owned());
    };
    let lines: Vec<&str> = sums.lines().collect();
    let differs = |line: &&str| match line.split_once("  ") {
        Some((sum, name)) => match glad_video::read_bytes(&folder.join(name)) {
            Ok(bytes) if blake3::hash(&bytes).to_hex().as_str() == sum => None,
            _ => Some(name.to_owned()),
        },
        None => Some(SUMS.to_owned()),
    };
    lines.par_iter().find_map_first(differs)
}

/// Whether `folder` is complete and every file unchanged; `Err` names a changed file. The files are read once
/// per process.
fn is_intact(folder: &Path, config: &MiniConfig) -> Result<bool, String> {
    static INTACT: Mutex<Option<HashSet<PathBuf>>> = Mutex::new(None);
    if !is_complete(folder, config) {
        return Ok(false);
    }
    let intact = || INTACT.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if intact().get_or_insert_default().contains(folder) {
        return Ok(true);
    }
    match altered(folder) {
        Some(file) => Err(file),
        None => {
            intact().get_or_insert_default().insert(folder.to_path_buf());
            Ok(true)
        }
    }
}

/// An unused name for an altered data set.
fn beside(folder: &Path) -> PathBuf {
    let name = |i: usize| folder.with_extension(format!("altered-{i}"));
    (1..).map(name).find(|p| !p.exists()).expect("some number is free")
}

fn flow_path(folder: &Path, split: Split) -> PathBuf {
    folder.join(FLOW_FOLDER).join(split.folder())
}

fn list_path(folder: &Path, split: Split) -> PathBuf {
    folder.join(format!("{}.txt", split.name()))
}

/// Makes sure that the data set of `config` is in `dir` and returns its [`folder`], which holds
///
/// - `source/train/00003_kick.mp4` and so on: H.264 videos in a folder for each [`Split`];
/// - `source_train.txt` and so on: a list for each split with a line `path frames label` for each
///   video, paths relative to the list. The target lists carry labels too: not using them is
///   up to the user;
/// - with `flow`: `flow/source/train/00003_kick/flow_x.mp4` and `flow_y.mp4` and so on, the motion of every pixel to the next
///   frame as [`Scene::flow`] has it, in grey;
/// - `classes.txt` and `auxiliary_classes.txt`: the names of the labels, one a line;
/// - `b3sums.txt`: the hash of each of these files;
/// - `mini.json`: the settings and the generator's version.
///
/// An existing data set is left as it is, after a check of every file's hash, once per process. One that lacks
/// files is generated again; one with altered files, too, and is kept under another name ([`Progress::Altered`]). The
/// videos are made on the current Rayon pool; `progress` is called from its threads. The folder
/// appears when it is complete; processes that need the same data set at the same time wait for
/// the first one. The bytes depend on the settings alone.
///
/// # Errors
/// [`MiniError::Config`] for settings out of range, [`MiniError::Io`] and [`MiniError::Video`] if
/// something cannot be written; then nothing is left behind.
pub fn generate(dir: &Path, config: &MiniConfig, progress: &(dyn Fn(Progress) + Sync)) -> Result<PathBuf, MiniError> {
    config.check()?;
    let folder = folder(dir, config);
    if is_intact(&folder, config) == Ok(true) {
        return Ok(folder);
    }
    fs::create_dir_all(dir).map_err(MiniError::io(dir))?;
    let name = name(config);
    let lock = lock(&dir.join(format!(".{name}.lock")), progress)?;
    match is_intact(&folder, config) {
        Ok(true) => return Ok(folder),
        Ok(false) => {}
        Err(file) => {
            let kept = beside(&folder);
            fs::rename(&folder, &kept).map_err(MiniError::io(&folder))?;
            progress(Progress::Altered { file, kept });
        }
    }
    let prefix = format!(".{name}.tmp-");
    if lock.is_some() {
        remove_leftovers(dir, &prefix);
    }
    let workplace = tempfile::Builder::new()
        .prefix(&prefix)
        .tempdir_in(dir)
        .map_err(MiniError::io(dir))?;
    // Temporary folders are not accessible to other users; a folder inside one is not.
    let fresh = workplace.path().join("new");
    write(&fresh, config, progress)?;
    if folder.exists() {
        // An incomplete data set: it is deleted with the workplace.
        let _ = fs::rename(&folder, workplace.path().join("old"));
    }
    match fs::rename(&fresh, &folder) {
        Ok(()) => Ok(folder),
        // Where locks do not work, another process may have been faster: its files are the same.
        Err(_) if is_complete(&folder, config) => Ok(folder),
        Err(error) => Err(MiniError::io(&folder)(error)),
    }
}

/// Takes the lock of one data set; it is released with the file, or when the process ends. `None` where the
/// file system has no locks.
fn lock(path: &Path, progress: &(dyn Fn(Progress) + Sync)) -> Result<Option<File>, MiniError> {
    let file = glad_video::may_be_written(path).and_then(|()| File::create(path));
    let file = file.map_err(MiniError::io(path))?;
    let taken = match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => {
            progress(Progress::Waiting);
            file.lock()
        }
        Err(TryLockError::Error(error)) => Err(error),
    };
    Ok(taken.is_ok().then_some(file))
}

/// Removes the workplaces of processes that were killed. Best effort: they only waste space.
fn remove_leftovers(dir: &Path, prefix: &str) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(prefix) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Writes the data set into the new folder `fresh`.
fn write(fresh: &Path, config: &MiniConfig, progress: &(dyn Fn(Progress) + Sync)) -> Result<(), MiniError> {
    for split in Split::ALL {
        let folder = fresh.join(split.folder());
        fs::create_dir_all(&folder).map_err(MiniError::io(&folder))?;
    }
    let videos: Vec<(Split, usize)> = Split::ALL
        .into_iter()
        .flat_map(|split| (0..config.videos(split)).map(move |index| (split, index)))
        .collect();
    let total = videos.len();
    let done = AtomicUsize::new(0);
    let lines = videos
        .par_iter()
        .with_max_len(1)
        .map(|&(split, index)| {
            let line = write_video(fresh, config, split, index)?;
            let done = done.fetch_add(1, Ordering::Relaxed) + 1;
            progress(Progress::Videos { done, total });
            Ok(line)
        })
        .collect::<Result<Vec<String>, MiniError>>()?;

    let put = |path: PathBuf, text: &str| fs::write(&path, text).map_err(MiniError::io(&path));
    let mut lines = lines.into_iter();
    for split in Split::ALL {
        let list: String = lines.by_ref().take(config.videos(split)).collect();
        put(list_path(fresh, split), &list)?;
    }
    for (file, domain) in [
        ("classes.txt", Domain::Source),
        ("auxiliary_classes.txt", Domain::Auxiliary),
    ] {
        put(fresh.join(file), &(domain.class_names().join("\n") + "\n"))?;
    }
    put(fresh.join(SUMS), &sums(fresh)?)?;
    put(fresh.join(MANIFEST), &manifest_text(config))
}

/// The lines of [`SUMS`], by name.
fn sums(fresh: &Path) -> Result<String, MiniError> {
    let (mut names, mut open) = (vec![], vec![fresh.to_path_buf()]);
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).map_err(MiniError::io(&folder))? {
            let path = entry.map_err(MiniError::io(&folder))?.path();
            match path.is_dir() {
                true => open.push(path),
                false => names.push(path),
            }
        }
    }
    names.sort();
    let line = |path: &PathBuf| {
        let bytes = fs::read(path).map_err(MiniError::io(path))?;
        let name: Vec<_> = path
            .strip_prefix(fresh)
            .unwrap_or(path)
            .iter()
            .map(|part| part.to_string_lossy())
            .collect();
        Ok(format!("{}  {}\n", blake3::hash(&bytes).to_hex(), name.join("/")))
    };
    names.par_iter().map(line).collect()
}

/// Writes one video; returns its line of the list.
fn write_video(fresh: &Path, config: &MiniConfig, split: Split, index: usize) -> Result<String, MiniError> {
    let label = split.label(index);
    let scene = Scene::draw(config, split, index);
    let relative = format!(
        "{}/{index:05}_{}.mp4",
        split.folder(),
        split.domain().class_names()[label]
    );
    let options = WriteOptions {
        qp: config.qp,
        gop: config.gop,
        effort: Effort::Fast,
        ..WriteOptions::default()
    };
    let (size, fps) = (config.size, f64::from(config.fps));
    let mut video = VideoWriter::create_with(fresh.join(&relative), size, size, fps, options)?;
    let mut rgb = Vec::with_capacity(size * size * 3);
    for frame in 0..scene.frame_count() {
        scene.frame(frame, &mut rgb);
        video.push(&rgb)?;
    }
    let frames = video.finish()?;
    if config.flow {
        let name = relative.trim_end_matches(".mp4");
        write_flow(&fresh.join(FLOW_FOLDER).join(name), config, &scene)?;
    }
    Ok(format!("{relative} {frames} {label}\n"))
}

/// Writes the optical flow of one video into the new folder `folder`.
fn write_flow(folder: &Path, config: &MiniConfig, scene: &Scene) -> Result<(), MiniError> {
    fs::create_dir_all(folder).map_err(MiniError::io(folder))?;
    let options = WriteOptions {
        qp: FLOW_QP,
        gop: config.gop,
        effort: Effort::Fast,
        ..WriteOptions::default()
    };
    let (size, fps) = (config.size, f64::from(config.fps));
    let create = |name: &str| VideoWriter::create_with(folder.join(name), size, size, fps, options);
    let mut files = [create(FLOW_FILES[0])?, create(FLOW_FILES[1])?];
    for frame in 0..scene.flow_count() {
        for (file, component) in files.iter_mut().zip(scene.flow(frame)) {
            let grey: Vec<u8> = component.into_iter().flat_map(|v| [v; 3]).collect();
            file.push(&grey)?;
        }
    }
    for file in files {
        file.finish()?;
    }
    Ok(())
}

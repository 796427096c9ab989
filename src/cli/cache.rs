//! `glad-run cache`: what runs share on this machine, and emptying it.

use super::exit::Failure;
use crate::describe::{bytes, table};
use crate::diag::{one_line, terminal};
use crate::run::cache_folder;
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};

/// A kind of things in the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Phases,
    Backgrounds,
    Data,
    Plans,
}

impl Part {
    const ALL: [Part; 4] = [Part::Phases, Part::Backgrounds, Part::Data, Part::Plans];

    fn name(self) -> &'static str {
        match self {
            Part::Phases => "trained phases",
            Part::Backgrounds => "backgrounds",
            Part::Data => "generated data",
            Part::Plans => "cuDNN's choices",
        }
    }

    /// What an entry of the cache's folder is. Other files are not of this program, and never touched.
    fn of(name: &str) -> Option<Part> {
        match name {
            "phases" => Some(Part::Phases),
            "backgrounds" => Some(Part::Backgrounds),
            "cudnn-plans.txt" => Some(Part::Plans),
            _ => {
                let data = name.trim_start_matches('.').strip_prefix("mini-")?;
                let hash = data.get(..16)?;
                hash.bytes().all(|b| b.is_ascii_hexdigit()).then_some(Part::Data)
            }
        }
    }

    /// The entries that may be removed of a folder in the cache; those of the cache's own folder are whole.
    fn endings(self) -> Option<&'static [&'static str]> {
        match self {
            Part::Phases => Some(&["safetensors", "jsonl", "partial"]),
            Part::Backgrounds => Some(&["ppm", "partial"]),
            Part::Data | Part::Plans => None,
        }
    }
}

/// Files or folders of a part.
struct Found {
    part: Part,
    paths: Vec<PathBuf>,
    files: u64,
    bytes: u64,
}

/// Lists what is there, or removes it.
///
/// # Errors
/// There is no cache folder, or it cannot be read or emptied.
pub(super) fn cache(clear: bool) -> Result<(), Failure> {
    let root = cache_folder().context("there is no cache: neither GLAD_CACHE nor a home folder is set")?;
    let found = look(&root)?;
    let mut rows = vec![];
    for f in found.iter().filter(|f| f.files > 0) {
        rows.push(vec![f.part.name().to_string(), files(f.files), bytes(f.bytes)]);
    }
    let all = |count: fn(&Found) -> u64| found.iter().map(count).sum::<u64>();
    rows.push(vec![
        "together".into(),
        files(all(|f| f.files)),
        bytes(all(|f| f.bytes)),
    ]);
    let place = root.display().to_string();
    terminal::out(&format!("{}\n{}", one_line(&place), table(&rows, &[1, 2], "  ")));
    if !clear {
        terminal::out(
            "the environment variable GLAD_CACHE names another folder; `glad-run cache --clear` empties this one\n",
        );
        return Ok(());
    }
    for path in found.iter().flat_map(|f| &f.paths) {
        remove(path)?;
    }
    terminal::out("emptied\n");
    Ok(())
}

fn files(n: u64) -> String {
    format!("{n} file{}", if n == 1 { "" } else { "s" })
}

fn look(root: &Path) -> Result<Vec<Found>> {
    let mut found: Vec<Found> = Part::ALL
        .map(|part| Found {
            part,
            paths: vec![],
            files: 0,
            bytes: 0,
        })
        .into();
    for (name, path) in entries(root)? {
        let Some(part) = Part::of(&name) else { continue };
        let of = found.iter_mut().find(|f| f.part == part).expect("all parts are there");
        match part.endings() {
            None => of.paths.push(path),
            Some(endings) => {
                // Images are written under another name first.
                let has = |name: &str, p: &Path| {
                    p.extension().is_some_and(|e| endings.iter().any(|k| e == *k)) || name.starts_with(".tmp-")
                };
                let ours = entries(&path)?.into_iter().filter(|(name, p)| has(name, p));
                of.paths.extend(ours.map(|e| e.1));
            }
        }
    }
    for f in &mut found {
        f.paths.sort();
        for path in &f.paths {
            let (files, bytes) = size(path);
            f.files += files;
            f.bytes += bytes;
        }
    }
    Ok(found)
}

/// Names and paths in a folder; none where there is no folder.
fn entries(folder: &Path) -> Result<Vec<(String, PathBuf)>> {
    let read = match fs::read_dir(folder) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(vec![]),
        read => read.with_context(|| format!("cannot read {}", folder.display()))?,
    };
    let named = |e: fs::DirEntry| (e.file_name().to_string_lossy().into_owned(), e.path());
    Ok(read.flatten().map(named).collect())
}

/// Files and bytes of a file, or of a folder with all below it. Links are not followed.
fn size(path: &Path) -> (u64, u64) {
    let Ok(meta) = path.symlink_metadata() else {
        return (0, 0);
    };
    if !meta.is_dir() {
        return (1, meta.len());
    }
    let below = entries(path).unwrap_or_default();
    let sizes = below.iter().map(|(_, p)| size(p));
    sizes.fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1))
}

fn remove(path: &Path) -> Result<()> {
    let is_dir = path.symlink_metadata().is_ok_and(|m| m.is_dir());
    let removed = if is_dir {
        fs::remove_dir_all(path)
    } else {
        fs::remove_file(path)
    };
    match removed {
        // Another process was faster.
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
        removed => removed.with_context(|| format!("cannot remove {}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_of_this_program_is_neither_counted_nor_removed() {
        let dir = tempfile::tempdir().unwrap();
        let ours = [
            "phases/0f.safetensors",
            "phases/0f.jsonl",
            "backgrounds/ab.ppm",
            "backgrounds/.tmp-3fA",
            "mini-0123456789abcdef/source/a.mp4",
            ".mini-0123456789abcdef.lock",
            "cudnn-plans.txt",
        ];
        let others = ["thesis.tex", "phases/notes.txt", "mini-golf/a.mp4", "data/a.ppm"];
        for file in ours.iter().chain(&others) {
            let path = dir.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "12345").unwrap();
        }
        let found = look(dir.path()).unwrap();
        let counts: Vec<(u64, u64)> = found.iter().map(|f| (f.files, f.bytes)).collect();
        assert_eq!(counts, [(2, 10), (2, 10), (2, 10), (1, 5)]);
        for path in found.iter().flat_map(|f| &f.paths) {
            remove(path).unwrap();
        }
        assert!(ours.iter().all(|f| !dir.path().join(f).exists()));
        assert!(others.iter().all(|f| dir.path().join(f).exists()));
        assert!(look(&dir.path().join("none")).unwrap().iter().all(|f| f.files == 0));
    }
}

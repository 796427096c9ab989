//! Files that commands write: what is wrong with their names or places is found before the work.

use super::exit::Failure;
use anyhow::{Context, Result, bail};
use std::path::Path;

/// Refuses a name whose ending is that of another kind of file than what is written.
///
/// # Errors
/// [`Failure::Usage`]: the ending is another.
pub(super) fn ends_in(out: &Path, what: &str, endings: &[&str]) -> Result<(), Failure> {
    let Some(given) = ending(out) else { return Ok(()) };
    if endings.contains(&given.as_str()) {
        return Ok(());
    }
    let all: Vec<String> = endings.iter().map(|e| format!("`.{e}`")).collect();
    Err(Failure::Usage(format!(
        "{what} is written as {}, and {} ends in `.{given}`: write {}",
        all.join(" or "),
        out.display(),
        out.with_extension(endings[0]).display()
    )))
}

/// Refuses the name of a file where a folder is written.
///
/// # Errors
/// [`Failure::Usage`]: the name ends as those of files do, and no such folder is there.
pub(super) fn is_folder(out: &Path) -> Result<(), Failure> {
    const FILES: [&str; 16] = [
        "csv",
        "html",
        "jpeg",
        "jpg",
        "json",
        "log",
        "md",
        "mov",
        "mp4",
        "pdf",
        "png",
        "pth",
        "safetensors",
        "svg",
        "toml",
        "txt",
    ];
    match ending(out).filter(|e| FILES.contains(&e.as_str()) && !out.is_dir()) {
        Some(ending) => Err(Failure::Usage(format!(
            "--out is a folder, and {} ends in `.{ending}`: write {}",
            out.display(),
            out.with_extension("").display()
        ))),
        None => Ok(()),
    }
}

/// The ending of a file's name, in lower case.
pub(super) fn ending(out: &Path) -> Option<String> {
    Some(out.extension()?.to_string_lossy().to_lowercase())
}

/// Tries whether a file can be written, and makes the folder that it is in. What is there stays as it is.
///
/// # Errors
/// It cannot be written.
pub(super) fn writable(out: &Path) -> Result<()> {
    let attempt = || -> Result<()> {
        match out.metadata() {
            Ok(there) if there.is_dir() => bail!("it is a folder"),
            // A device or a pipe: that it takes what is written shows when it is.
            Ok(there) if !there.is_file() => return Ok(()),
            _ => {}
        }
        let folder = match out.parent() {
            Some(p) if !p.as_os_str().is_empty() => p,
            _ => Path::new("."),
        };
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        tempfile::Builder::new().prefix(".glad-").tempfile_in(folder)?;
        Ok(())
    };
    attempt().with_context(|| format!("cannot write {}", out.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ending_that_says_something_else_is_refused() {
        for fine in ["x.svg", "x.SVG", "a/x", "/dev/stdout"] {
            assert!(ends_in(Path::new(fine), "a picture", &["svg"]).is_ok(), "{fine}");
        }
        let Err(Failure::Usage(text)) = ends_in(Path::new("a/x.png"), "a picture", &["svg"]) else {
            panic!("a PNG is not written");
        };
        assert_eq!(
            text,
            "a picture is written as `.svg`, and a/x.png ends in `.png`: write a/x.svg"
        );
    }

    #[test]
    fn a_folder_is_not_named_as_a_file() {
        for fine in ["runs/a", "runs/v1.5", "runs/a.2026", "."] {
            assert!(is_folder(Path::new(fine)).is_ok(), "{fine}");
        }
        let Err(Failure::Usage(text)) = is_folder(Path::new("a/look.png")) else {
            panic!("it is no folder")
        };
        assert_eq!(text, "--out is a folder, and a/look.png ends in `.png`: write a/look");
    }

    #[test]
    fn what_cannot_be_written_is_known_before() {
        let dir = tempfile::tempdir().unwrap();
        writable(&dir.path().join("a/b/c.txt")).unwrap();
        assert_eq!(std::fs::read_dir(dir.path().join("a/b")).unwrap().count(), 0);
        let e = format!("{:#}", writable(&dir.path().join("a")).unwrap_err());
        assert!(e.ends_with("a: it is a folder"), "{e}");
        std::fs::write(dir.path().join("file"), "").unwrap();
        let e = format!("{:#}", writable(&dir.path().join("file/x.txt")).unwrap_err());
        assert!(e.contains("file/x.txt: cannot make"), "{e}");
        writable(&dir.path().join("file")).unwrap();
        writable(Path::new("/dev/null")).unwrap();
    }
}

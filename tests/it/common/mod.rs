//! The harness of the end-to-end tests: the real program, in a folder of its own.
#![allow(dead_code, missing_docs, reason = "each test file uses a part of it")]

pub(crate) mod own;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The repository.
pub(crate) fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The smoke setting, by absolute path.
pub(crate) fn smoke() -> String {
    repository().join("graphs/settings/smoke.toml").display().to_string()
}

/// The methods of two modalities, pictures and optical flow, whose settings have flow.
pub(crate) const WITH_FLOW: [&str; 4] = ["mm_sada", "cia", "cmco", "stcda"];

/// A graph of the repository, by absolute path.
pub(crate) fn graph(name: &str) -> String {
    repository().join("graphs").join(name).display().to_string()
}

/// A cache shared by all tests: the small data set is generated once.
pub(crate) fn cache() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache")
}

/// `glad-run` with these arguments, ready to start.
pub(crate) fn command<S: AsRef<std::ffi::OsStr>>(args: &[S]) -> Command {
    let mut c = Command::new(env!("CARGO_BIN_EXE_glad-run"));
    c.args(args)
        .env("GLAD_CACHE", cache())
        .stdin(Stdio::null())
        .current_dir(repository());
    c
}

/// Runs `glad-run` to its end.
pub(crate) fn glad<S: AsRef<std::ffi::OsStr>>(args: &[S]) -> Output {
    command(args).output().expect("the program starts")
}

/// Runs `glad-run` and returns its standard output; a failure shows all of its output.
pub(crate) fn ok<S: AsRef<std::ffi::OsStr>>(args: &[S]) -> String {
    let out = glad(args);
    assert!(
        out.status.success(),
        "exit {:?}\n{}\n{}",
        out.status.code(),
        String::from_utf8_lossy(&out.stdout),
        String::from_utf8_lossy(&out.stderr)
    );
    String::from_utf8(out.stdout).expect("output is UTF-8")
}

/// The files of a run that must be equal to the byte whenever the run is the same.
pub(crate) fn bytes_of(run: &Path) -> Vec<(String, Vec<u8>)> {
    [
        "graph.toml",
        "metrics.jsonl",
        "predictions.csv",
        "checkpoints/last.safetensors",
    ]
    .iter()
    .map(|f| {
        (
            f.to_string(),
            std::fs::read(run.join(f)).unwrap_or_else(|e| panic!("{f}: {e}")),
        )
    })
    .collect()
}

/// Reports which of the files differ.
pub(crate) fn differing(a: &Path, b: &Path) -> Vec<String> {
    bytes_of(a)
        .into_iter()
        .zip(bytes_of(b))
        .filter(|(x, y)| x != y)
        .map(|(x, _)| x.0)
        .collect()
}

//! Lists the files below `graphs/`, so that the program holds them (`src/load/builtin.rs`).

use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=graphs");
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("graphs");
    let mut files = vec![];
    below(&root, &mut files)?;
    files.sort();
    let mut out = String::from("&[\n");
    for path in &files {
        let name = path.strip_prefix(&root).expect("it is below").with_extension("");
        let name: Vec<_> = name.iter().map(|part| part.to_string_lossy()).collect();
        out += &format!("    ({:?}, include_str!({:?})),\n", name.join("/"), path);
    }
    out += "]\n";
    let to = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it")).join("builtin.rs");
    fs::write(to, out)
}

fn below(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            below(&path, files)?;
        } else if path.extension().is_some_and(|e| e == "toml") {
            files.push(path);
        }
    }
    Ok(())
}

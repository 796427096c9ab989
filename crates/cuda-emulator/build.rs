//! Compiles Candle's kernels as C++, the part that glad runs, with shims in place of CUDA.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs, io};

/// The kernel files that are compiled; the others are convolutions, sorting and quantised matrices.
const FILES: [&str; 8] = [
    "affine", "binary", "cast", "fill", "indexing", "reduce", "ternary", "unary",
];

fn main() -> io::Result<()> {
    if env::var_os("CARGO_FEATURE_GPU").is_none() {
        return Ok(());
    }
    println!("cargo::rerun-if-changed=shim");
    println!("cargo::rerun-if-changed=../cuda-host/shim/shim.h");
    println!("cargo::rerun-if-changed=../../Cargo.lock");
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or_else(|| io::Error::other("cargo gave no OUT_DIR"))?);
    let candle = candle_kernels()?.join("src");
    let compiler = || {
        let mut build = cc::Build::new();
        build
            .cpp(true)
            .std("c++17")
            .includes([Path::new("shim"), Path::new("../cuda-host/shim"), &candle])
            .flag("-fno-strict-aliasing")
            .flag("-Wno-unknown-pragmas")
            .opt_level(2)
            .warnings(false)
            .extra_warnings(false);
        build
    };
    let mut build = compiler();
    build.link_lib_modifier("+whole-archive");
    for file in FILES {
        let source = out.join(format!("candle_{file}.cpp"));
        // In an anonymous namespace: several files define the same functions.
        let head = format!("#include \"candle.h\"\nnamespace {{\n#include \"{file}.cu\"\n");
        fs::write(&source, format!("{head}}}\n"))?;
        let expanded = String::from_utf8_lossy(&compiler().file(&source).expand()).into_owned();
        let mut text = head;
        let _ = writeln!(text, "constexpr char MODULE[] = \"candle/{file}\";");
        for name in entries(&expanded) {
            let _ = writeln!(text, "const Entry entry_of_{name}(MODULE, \"{name}\", {name});");
        }
        text.push_str("}\n");
        fs::write(&source, text)?;
        build.file(source);
    }
    build.compile("glad_candle_kernels");
    Ok(())
}

/// The names of the kernels in a file after macro expansion.
fn entries(text: &str) -> BTreeSet<String> {
    const MARK: &str = "extern \"C\" __attribute__((used))";
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    words
        .split(MARK)
        .skip(1)
        .filter_map(|rest| {
            let name = rest.trim_start().strip_prefix("void")?.split('(').next()?.trim();
            Some(name.to_owned())
        })
        .collect()
}

/// The folder of the crate's sources.
fn candle_kernels() -> io::Result<PathBuf> {
    let cargo = env::var_os("CARGO").ok_or_else(|| io::Error::other("no CARGO"))?;
    let target = env::var("TARGET").unwrap_or_default();
    let printed = Command::new(cargo)
        .args([
            "metadata",
            "--format-version",
            "1",
            "--locked",
            "--filter-platform",
            &target,
        ])
        .args(["--features", "glad/cuda", "--manifest-path", "../../Cargo.toml"])
        .output()?;
    let text = String::from_utf8_lossy(&printed.stdout);
    // The end of a JSON string.
    let end = text
        .match_indices("/Cargo.toml\"")
        .map(|(at, _)| &text[..at])
        .find_map(|before| {
            let path = &before[before.rfind('"')? + 1..];
            let name = path.rsplit('/').next()?;
            name.starts_with("candle-kernels-").then(|| PathBuf::from(path))
        });
    end.ok_or_else(|| {
        let why = String::from_utf8_lossy(&printed.stderr).into_owned();
        io::Error::other(format!("cargo does not say where the crate candle-kernels is: {why}"))
    })
}

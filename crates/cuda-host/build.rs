//! Compiles the kernels as C++, with the shim in place of CUDA.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=shim");
    println!("cargo::rerun-if-changed=../cuda/kernels");
    println!("cargo::rerun-if-env-changed=GLAD_SANITIZE");
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or_else(|| io::Error::other("cargo gave no OUT_DIR"))?);
    fs::write(out.join("modules.h"), modules()?)?;
    let mut build = cc::Build::new();
    build
        .cpp(true)
        .std("c++17")
        .file("shim/kernels.cpp")
        .includes([Path::new("../cuda/kernels"), Path::new("shim"), &out])
        // Vectors are read through pointers to scalars, and vice versa.
        .flag("-fno-strict-aliasing")
        .flag("-Wno-unknown-pragmas")
        .opt_level(2);
    if let Ok(kinds) = env::var("GLAD_SANITIZE") {
        build
            .flag(format!("-fsanitize={kinds}"))
            .flag("-fno-sanitize-recover=all")
            .flag("-g");
        for kind in kinds.split(',') {
            let library = match kind {
                "address" => "asan",
                _ => "ubsan",
            };
            println!("cargo::rustc-link-lib=dylib={library}");
        }
    }
    build.compile("glad_kernels");
    Ok(())
}

/// Each kernel file, and the one with faulty kernels, in its own namespace, because they are compiled together.
fn modules() -> io::Result<String> {
    let mut files = vec![PathBuf::from("shim/faults.cu")];
    for entry in fs::read_dir("../cuda/kernels")? {
        files.push(entry?.path());
    }
    files.retain(|file| file.extension().is_some_and(|e| e == "cu"));
    files.sort();
    let mut text = String::new();
    for name in files.iter().filter_map(|file| file.file_stem()?.to_str()) {
        let _ = writeln!(
            text,
            "namespace of_{name} {{\nconstexpr char MODULE[] = \"{name}\";\n#include \"{name}.cu\"\n}}"
        );
    }
    Ok(text)
}

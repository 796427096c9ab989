//! Compiles the kernels (`kernels/*.cu`) to PTX, which the driver compiles for the GPU when they are
//! loaded. Only with the feature `driver`: without it this does nothing.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, exit};

/// Ampere. Newer GPUs run it too.
const ARCH: &str = "compute_80";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if env::var_os("CARGO_FEATURE_DRIVER").is_none() {
        return;
    }
    println!("cargo::rerun-if-changed=kernels");
    for name in ["GLAD_CUDA_ARCH", "NVCC", "CUDA_HOME", "CUDA_PATH", "PATH"] {
        println!("cargo::rerun-if-env-changed={name}");
    }
    if let Err(message) = compile() {
        for line in message.lines() {
            println!("cargo::error={line}");
        }
        exit(1);
    }
}

fn compile() -> Result<(), String> {
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo gave no OUT_DIR")?);
    let arch = env::var("GLAD_CUDA_ARCH").unwrap_or_else(|_| ARCH.to_owned());
    let mut modules = String::from("&[\n");
    for source in sources(Path::new("kernels"))? {
        let name = source
            .file_stem()
            .and_then(|n| n.to_str())
            .ok_or_else(|| format!("{}: not a name that a module can have", source.display()))?;
        let ptx = out.join(format!("{name}.ptx"));
        run_nvcc(&source, &ptx, &arch)?;
        let text = fs::read_to_string(&ptx).map_err(|e| format!("{}: {e}", ptx.display()))?;
        // The driver expects a C string.
        let _ = writeln!(modules, "    ({name:?}, concat!(include_str!({:?}), \"\\0\")),", ptx);
        if !text.contains(".entry") {
            return Err(format!(
                "{}: has no kernel (`extern \"C\" __global__`)",
                source.display()
            ));
        }
    }
    modules.push_str("]\n");
    fs::write(out.join("modules.rs"), modules).map_err(|e| format!("modules.rs: {e}"))
}

/// The kernels' files, in order of their names.
fn sources(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let entries = fs::read_dir(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(|e| format!("{}: {e}", folder.display()))?.path();
        if path.extension().is_some_and(|e| e == "cu") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn run_nvcc(source: &Path, ptx: &Path, arch: &str) -> Result<(), String> {
    let nvcc = nvcc();
    let output = Command::new(&nvcc)
        // No --use_fast_math: division and square root stay IEEE's.
        .args(["-ptx", "-O3", "-std=c++17", "-lineinfo"])
        .arg(format!("-arch={arch}"))
        .arg("-Ikernels")
        .arg("-o")
        .args([ptx, source])
        .output()
        .map_err(|e| {
            format!(
                "the feature `driver` (`cuda` of glad) compiles CUDA kernels, and `{}` cannot be run: {e}\n\
                 Install the CUDA toolkit (12.4 or later) and put nvcc on PATH, or name it in NVCC; or, on a machine without \
                 one, run tools/gpu/build.sh, which fetches the compiler alone.",
                nvcc.display()
            )
        })?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!(
        "{} -arch={arch} {}: {}\n{}{}",
        nvcc.display(),
        source.display(),
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    ))
}

/// `NVCC`, or that of `CUDA_HOME`, or the one on PATH.
fn nvcc() -> PathBuf {
    if let Some(named) = env::var_os("NVCC") {
        return PathBuf::from(named);
    }
    ["CUDA_HOME", "CUDA_PATH"]
        .into_iter()
        .filter_map(env::var_os)
        .map(|home| Path::new(&home).join("bin/nvcc"))
        .find(|nvcc| nvcc.is_file())
        .unwrap_or_else(|| PathBuf::from("nvcc"))
}

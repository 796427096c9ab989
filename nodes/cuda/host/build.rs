//! Compiles the kernels as C++, with the shim in place of CUDA.

fn main() {
    println!("cargo::rerun-if-changed=shim");
    println!("cargo::rerun-if-changed=../kernels");
    println!("cargo::rerun-if-env-changed=GLAD_SANITIZE");
    let mut build = cc::Build::new();
    build
        .cpp(true)
        .std("c++17")
        .file("shim/kernels.cpp")
        .include("../kernels")
        // Vectors are read through pointers to numbers, and the other way round.
        .flag("-fno-strict-aliasing")
        .flag("-Wno-unknown-pragmas")
        .opt_level(2);
    if let Ok(kinds) = std::env::var("GLAD_SANITIZE") {
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
}

# Compiles and links CUDA programs on a machine without NVIDIA's driver, toolkit or GPU. Sourced by build.sh and check.sh
# from the repository's root; needs Rust, a C compiler, and a python3 with pip.
#
# - The compiler is NVIDIA's, from PyPI: 270 MB, into target/gpu/toolchain.
# - Libraries to link against are stubs with the functions that the crate `cudarc` declares. The programs find the real ones
#   when they start. A stub's functions report that there is no device.
# - `nvcc` is a wrapper (tools/gpu/nvcc) of the compiler.

toolchain=$PWD/target/gpu/toolchain
compiler=$toolchain/compiler/nvidia/cu13

# fetch FOLDER PACKAGE==VERSION…: into a folder of the toolchain, unless they are there already.
fetch() {
    local folder=$toolchain/$1
    shift
    [ "$(cat "$folder/have" 2>/dev/null)" != "$*" ] || return 0
    python3 -m pip --version >/dev/null 2>&1 || { echo "python3 has no pip (Debian: apt-get install python3-pip)" >&2; return 1; }
    echo "fetching $*"
    rm -rf "$folder"
    python3 -m pip install -q --no-deps --disable-pip-version-check --root-user-action ignore --target "$folder" "$@"
    echo "$*" >"$folder/have"
}

# stub MODULE SONAME: lib NAME.so from the functions of cudarc's MODULE, which return `result`. Newer versions of a function
# are found by its old name, too.
stub() {
    local module=$1 soname=$2 result=$3 name
    name=${soname%%.so*}.so
    {
        # cuDNN calls these before anything else.
        [ "$module" != cublaslt ] || echo 'unsigned long cublasLtGetVersion(void) { return 130000; }'
        [ "$module" != cudnn ] || echo 'const char *cudnnGetErrorString(int status) { return "a stub"; }'
        grep -ohE 'pub unsafe fn [a-zA-Z0-9_]+' -r "$cudarc/src/$module/sys" | awk '{print $NF}' |
            sed -E 'p; s/_v[0-9]+$//' | sort -u | grep -vE '^(cublasLtGetVersion|cudnnGetErrorString)$' |
            sed "s/.*/int &(void) { return $result; }/"
    } >"$toolchain/stubs/$module.c"
    cc -shared -fPIC -w -fno-builtin -nostdlib -Wl,-soname,"$soname" -o "$toolchain/stubs/$name" "$toolchain/stubs/$module.c"
}

fetch compiler nvidia-cuda-nvcc==13.0.88 nvidia-cuda-crt==13.0.88 nvidia-nvvm==13.0.88 \
    nvidia-cuda-runtime==13.0.96 nvidia-cuda-cccl==13.0.85

# The wrapper, where tools that look for headers next to nvcc find them.
mkdir -p "$toolchain/bin" "$toolchain/stubs"
ln -sfn "$compiler/include" "$toolchain/include"
ln -sfn "$toolchain/stubs" "$toolchain/lib64"
ln -sfn "$PWD/tools/gpu/nvcc" "$toolchain/bin/nvcc"

host=$(rustc -vV | sed -n "s/^host: //p")
cudarc=$(cargo metadata --format-version 1 --locked --filter-platform "$host" --features cuda | python3 -c '
import json, os, sys
packages = json.load(sys.stdin)["packages"]
print(next(os.path.dirname(p["manifest_path"]) for p in packages if p["name"] == "cudarc"))')
if [ "$(cat "$toolchain/stubs/of" 2>/dev/null)" != "$cudarc" ]; then
    # CUDA_ERROR_NO_DEVICE, CURAND_STATUS_NOT_INITIALIZED, and so on.
    stub driver libcuda.so.1 100
    stub nvrtc libnvrtc.so.13 2
    stub curand libcurand.so.10 101
    stub cublas libcublas.so.13 1
    stub cublaslt libcublasLt.so.13 1
    stub cudnn libcudnn.so.9 1001
    ln -sfn "$compiler/lib/libcudart.so.13" "$toolchain/stubs/libcudart.so"
    echo "$cudarc" >"$toolchain/stubs/of"
fi

export GLAD_NVCC=$compiler/bin/nvcc
export NVCC=$toolchain/bin/nvcc CUDA_HOME=$toolchain
export PATH=$toolchain/bin:$PATH LIBRARY_PATH=$toolchain/stubs${LIBRARY_PATH:+:$LIBRARY_PATH}
# Every GPU since Ampere: the driver translates for newer ones.
export CUDA_COMPUTE_CAP=${CUDA_COMPUTE_CAP:-80}

#!/usr/bin/env bash
# Checks of the CUDA side without a GPU: all of it is compiled, our kernels by NVIDIA's compiler, and linted; and cuDNN itself
# makes its plans for a described H100. Needs what build.sh needs; part of CI.
set -euo pipefail
cd "$(dirname "$0")/../.."
. tools/gpu/toolchain.sh

export GLAD_CANDLE_KERNELS=none
cargo clippy --release --locked -p glad -p glad-nodes -p glad-cuda -p glad-cuda-host --features glad/cuda,glad-cuda-host/gpu \
    --all-targets -- -D warnings
cargo clippy --release --locked -p glad-cuda-emulator --features gpu --all-targets -- -D warnings

# cuDNN, the compiler that it uses, and the libraries that it calls (stubs that report that there is no device).
fetch cudnn nvidia-cudnn-cu13==9.28.1.4 nvidia-cuda-nvrtc==13.0.88
mkdir -p "$toolchain/run"
ln -sfn "$toolchain/stubs/libcuda.so" "$toolchain/run/libcuda.so.1"
ln -sfn "$toolchain/stubs/libcublasLt.so" "$toolchain/run/libcublasLt.so.13"
LD_LIBRARY_PATH=$toolchain/run:$toolchain/cudnn/nvidia/cudnn/lib:$toolchain/cudnn/nvidia/cu13/lib \
    cargo test --release --locked -p glad-cuda --features driver --lib -- --include-ignored driver

# And all of it runs, on an emulated GPU.
tools/gpu/emulated.sh

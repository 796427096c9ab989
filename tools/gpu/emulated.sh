#!/usr/bin/env bash
# Runs the tests of the device and small runs of glad on a GPU emulated by the CPU (crates/cuda-emulator), in place of NVIDIA's
# libraries: mostly as late as CUDA allows, so that missing waits show. Called by check.sh; by hand:
#
#   tools/gpu/emulated.sh [COMMAND…]      # without: everything; with: that command, on the emulated GPU
set -euo pipefail
cd "$(dirname "$0")/../.."
. tools/gpu/toolchain.sh

export GLAD_CANDLE_KERNELS=none
cargo build --release --locked -p glad-cuda-emulator --features gpu
gpu=$toolchain/emulated
mkdir -p "$gpu"
for name in libcuda.so.1 libcudnn.so.9 libcublas.so.13 libcurand.so.10; do
    ln -sfn "$PWD/target/release/libglad_cuda_emulator.so" "$gpu/$name"
done
libraries=$gpu:$compiler/lib
if [ $# -gt 0 ]; then
    exec env LD_LIBRARY_PATH="$libraries" "$@"
fi

cargo test --release --locked -p glad-cuda-emulator --features gpu

# Always the same packages, features and profile, so that nothing is built twice. The emulated GPU and Candle are what takes time
# in these tests: our two large crates are compiled quickly, without optimizations.
same=(--release --locked -p glad -p glad-nodes -p glad-cuda --features glad/cuda
    --config profile.release.package.glad-nodes.opt-level=0 --config profile.release.package.glad.opt-level=0)
on_gpu() { env LD_LIBRARY_PATH="$libraries" GLAD_TEST_DEVICE=cuda:0 GLAD_CUDNN_PLANS=3 "$@"; }
GLAD_EMULATOR=late on_gpu cargo test "${same[@]}" --test gpu -- --include-ignored
# Formulas and automatic differentiation were not made to work on a GPU yet: some of Candle's operations fail there.
GLAD_EMULATOR=late on_gpu cargo test "${same[@]}" --lib -- --skip formula:: --skip autodiff::
# Networks against PyTorch's numbers; and numbers that are not finite are found and reported. These also build glad-run for a
# GPU; the CPU program is restored at the end.
out=$(mktemp -d)
trap 'rm -rf "$out"; cargo build --release --locked --quiet --workspace --bin glad-run' EXIT
on_gpu cargo test "${same[@]}" --test parity --test it -- backbones_compute finite::

mkdir -p "$out/package/bin"
ln -s "$PWD/target/release/glad-run" "$out/package/bin/"
ln -s "$PWD/graphs" "$out/package/"
GLAD_EMULATOR=late on_gpu python3 tools/gpu/smoke.py --package "$out/package" --out "$out"

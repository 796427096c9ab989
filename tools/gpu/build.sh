#!/usr/bin/env bash
# Builds glad for NVIDIA GPUs on a machine without one, and packs everything for a machine with a GPU, without Rust or network:
# programs, tests, graphs, and measuring scripts. Needs Rust, a C compiler, a python3 with pip, and a network.
#
#   tools/gpu/build.sh             # → target/gpu/glad-gpu.tar.gz
#
# On the other machine, with NVIDIA's driver (580 or later), CUDA 13's libraries and cuDNN 9:
#
#   tar xzf glad-gpu.tar.gz && glad-gpu/tools/gpu/run.sh
set -euo pipefail
cd "$(dirname "$0")/../.."
. tools/gpu/toolchain.sh

# A separate folder: these programs do not start without a driver.
export CARGO_TARGET_DIR=target/gpu/build
package=target/gpu/glad-gpu
rm -rf "$package"
mkdir -p "$package/bin/tests"

# executables ARGUMENT…: builds, and lists the results as "target path".
executables() {
    cargo "$@" --message-format json-render-diagnostics | python3 -c '
import json, sys
for line in sys.stdin:
    message = json.loads(line)
    if message.get("executable"):
        package = message["package_id"].split("#")[1].split("@")[0]
        print(message["target"]["name"], message["target"]["kind"][0], package, message["executable"])'
}

# put FILE PLACE: strips the symbols, which are most of the file.
put() { strip -o "$package/bin/$2" "$1"; }

echo "building glad-run and step"
executables build --release --locked --features cuda --bin glad-run --bench step >target/gpu/programs
while read -r name _ _ path; do put "$path" "$name"; done <target/gpu/programs

echo "building tests"
# The tests of kernels, except those of the CPU implementation itself and those that only it can run.
kernels=()
for file in crates/cuda-host/tests/*.rs; do
    name=$(basename "$file" .rs)
    case $name in host | large) ;; *) kernels+=(--test "$name") ;; esac
done
# With glad among the packages, so that dependencies have the same features as above and are not built again.
executables test --no-run --release --locked -p glad -p glad-nodes -p glad-cuda -p glad-cuda-host \
    --features glad/cuda,glad-cuda-host/gpu --lib --test gpu --test parity "${kernels[@]}" >target/gpu/tests
while read -r name kind crate path; do
    # Of these, only the kernels' tests use a device.
    case $crate-$kind in glad-lib | glad-cuda-host-lib) continue ;; esac
    [ "$kind" = test ] && as=$crate-$name || as=$crate
    put "$path" "tests/$as"
    case $name in
    # Tests that need a GPU are ignored elsewhere.
    gpu) echo "--include-ignored" ;;
    # Its other test is of weights files, independent of the device.
    parity) echo "backbones_compute_what_pytorch_does" ;;
    esac >"$package/bin/tests/$as.args"
done <target/gpu/tests
cp -r nodes/tests/parity "$package/bin/tests/parity.files"

cp -r graphs "$package/"
mkdir -p "$package/tools"
cp -r tools/gpu tools/compare tools/parity "$package/tools/"
find "$package" -name __pycache__ -prune -exec rm -rf {} +
tar -C target/gpu -czf target/gpu/glad-gpu.tar.gz glad-gpu
size=$(du -m target/gpu/glad-gpu.tar.gz | cut -f1)
echo "target/gpu/glad-gpu.tar.gz: $size MB"
[ "$size" -le 60 ] || { echo "more than the 60 MB that it is meant to have at most" >&2; exit 1; }

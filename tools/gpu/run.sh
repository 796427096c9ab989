#!/usr/bin/env bash
# Tests glad on this machine's GPU, and compares it with PyTorch. Needs the package of build.sh, NVIDIA's driver, CUDA 13's
# libraries, cuDNN 9, and a python3 with PyTorch (PYTHON names another); no Rust, no network.
#
#   tools/gpu/run.sh [options of measure.py, such as --only tests,tsm50 or --budget 480]
#
# The results go to target/gpu/results (OUT names another folder): results.md, results.json and the programs' logs.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
packed=$root/target/gpu/glad-gpu.tar.gz
if [ -x "$root/bin/glad-run" ]; then
    package=$root
elif [ -f "$packed" ]; then
    rm -rf "$root/target/gpu/package"
    mkdir -p "$root/target/gpu/package"
    tar -xzf "$packed" -C "$root/target/gpu/package"
    program=$(find "$root/target/gpu/package" -path '*/bin/glad-run' | head -n 1)
    [ -n "$program" ] || { echo "$packed has no bin/glad-run: make it anew by tools/gpu/build.sh" >&2; exit 1; }
    package=$(dirname "$(dirname "$program")")
else
    echo "neither $root/bin/glad-run nor $packed is there: run tools/gpu/build.sh (on any machine with Rust and a network)" >&2
    exit 1
fi
exec "${PYTHON:-python3}" -u "$root/tools/gpu/measure.py" --package "$package" --out "${OUT:-$root/target/gpu/results}" "$@"

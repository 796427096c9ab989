#!/usr/bin/env bash
# Runs the tests of the device and small runs of glad on a card that is the CPU (nodes/cuda/emulator), in the place of NVIDIA's
# libraries: as a rule as late as CUDA allows, so that waits that are missing show. Called by check.sh; alone:
#
#   tools/gpu/emulated.sh [COMMAND…]      # without: everything; with: that command, on the emulated card
set -euo pipefail
cd "$(dirname "$0")/../.."
. tools/gpu/toolchain.sh

export GLAD_CANDLE_KERNELS=none
cargo build --release --locked -p glad-cuda-emulator --features card
card=$toolchain/emulated
mkdir -p "$card"
for name in libcuda.so.1 libcudnn.so.9 libcublas.so.13 libcurand.so.10; do
    ln -sfn "$PWD/target/release/libglad_cuda_emulator.so" "$card/$name"
done
libraries=$card:$compiler/lib
if [ $# -gt 0 ]; then
    exec env LD_LIBRARY_PATH="$libraries" "$@"
fi

cargo test --release --locked -p glad-cuda-emulator --features card

# Always of the same packages and features, so that nothing is built twice.
same=(--release --locked -p glad -p glad-nodes -p glad-cuda --features glad/cuda)
on_card() { env LD_LIBRARY_PATH="$libraries" GLAD_TEST_DEVICE=cuda:0 GLAD_CUDNN_PLANS=3 "$@"; }
GLAD_EMULATOR=late on_card cargo test "${same[@]}" --test card -- --include-ignored
GLAD_EMULATOR=late on_card cargo test "${same[@]}" --lib

cargo build "${same[@]}" --bin glad-run
out=$(mktemp -d)
# The program that needs no card comes back to its place.
trap 'rm -rf "$out"; cargo build --release --locked --quiet --bin glad-run' EXIT
# glad-run into a folder, on a device, in a precision: the whole GLAD graph, a few steps of each phase.
run() {
    local name=$1 device=$2 precision=$3
    shift 3
    on_card target/release/glad-run graphs/full.toml --setting graphs/settings/smoke.toml --device "$device" \
        --set precision="$precision" --set phases.pretrain.steps=4 --set phases.warmup.steps=3 --set phases.main.steps=4 \
        --no-share --save-every 2 --out "$out/$name" "$@" >"$out/$name.log" 2>&1
}
smoke() {
    run "$@" || { tail -n 20 "$out/$1.log" >&2; exit 1; }
    echo "smoke, $*: ok"
}
smoke cpu cpu f32
smoke f32 cuda:0 f32
smoke tf32 cuda:0 tf32
GLAD_EMULATOR=late smoke bf16 cuda:0 bf16

# Killed in the middle and gone on with: the same bits.
set -m # a group of processes of its own
run killed cuda:0 f32 &
set +m
steps() { [ -f "$out/killed/metrics.jsonl" ] && wc -l <"$out/killed/metrics.jsonl" || echo 0; }
until [ "$(steps)" -ge 6 ] || ! kill -0 $! 2>/dev/null; do sleep 0.1; done
kill -KILL -- -$! 2>/dev/null || true
wait $! 2>/dev/null && { echo "it ended before it was killed" >&2; exit 1; }
smoke killed cuda:0 f32 --resume
cmp "$out/f32/checkpoints/last.safetensors" "$out/killed/checkpoints/last.safetensors"

python3 - "$out" <<'PYTHON'
import json, sys

# Later steps go apart, as runs with other sums do.
first = lambda name: json.loads(open(f"{sys.argv[1]}/{name}/metrics.jsonl").readline())
cpu = first("cpu")
for name, most in (("f32", 1e-4), ("tf32", 1e-2), ("bf16", 5e-2)):
    got = first(name)
    for key in ("loss", "grad_norm"):
        apart = abs(got[key] - cpu[key]) / abs(cpu[key])
        print(f"first step, {name}: {key} {got[key]:.6f}, {apart:.1e} from the CPU's")
        assert apart < most, f"more than {most}"
PYTHON

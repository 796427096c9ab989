#!/usr/bin/env python3
"""The median of 300 frames of 340x256 pixels: glad compared with numpy, on one thread.

Needs numpy (`pip install numpy`) and this repository's Rust toolchain. Prints the times of both and checks that the
medians are equal, byte for byte.

    python tools/compare/median.py [--frames 300] [--width 340] [--height 256]
"""

import argparse
import os
import pathlib
import subprocess
import tempfile
import time

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np  # noqa: E402

RUNS = 5


def clip(frames: int, height: int, width: int) -> np.ndarray:
    """A textured still with noise and a large bright box moving in front: a video with a background."""
    rng = np.random.default_rng(1)
    still = rng.integers(30, 220, (height, width, 3))
    out = np.empty((frames, height, width, 3), np.uint8)
    for t in range(frames):
        frame = still + rng.normal(0, 4, still.shape)
        x = int((width - 80) * t / max(frames - 1, 1))
        frame[60:200, x : x + 80] = (240, 200, 60)
        out[t] = np.clip(frame, 0, 255)
    return out


def main() -> None:
    args = argparse.ArgumentParser()
    args.add_argument("--frames", type=int, default=300)
    args.add_argument("--width", type=int, default=340)
    args.add_argument("--height", type=int, default=256)
    args = args.parse_args()
    root = pathlib.Path(__file__).parents[2]
    build = ["cargo", "build", "--release", "--quiet", "-p", "glad-video", "--example", "median"]
    subprocess.run(build, cwd=root, check=True)
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", root / "target"))

    frames = clip(args.frames, args.height, args.width)
    times = []
    for _ in range(RUNS):
        since = time.perf_counter()
        theirs = np.median(frames, axis=0).astype(np.uint8)
        times.append(1e3 * (time.perf_counter() - since))
    numpy_best = min(times)
    print(f"{args.frames} frames of {args.width}x{args.height}x3, numpy {np.__version__}")
    print(f"{'numpy.median':28} best {numpy_best:8.1f} ms   mean {np.mean(times):8.1f} ms")

    with tempfile.TemporaryDirectory() as folder:
        raw, out = os.path.join(folder, "frames.rgb"), os.path.join(folder, "median.rgb")
        frames.tofile(raw)
        run = [target / "release" / "examples" / "median", raw, str(args.width), str(args.height), out]
        lines = subprocess.run(run, check=True, capture_output=True, text=True).stdout
        ours = np.fromfile(out, np.uint8).reshape(theirs.shape)
    for line in lines.splitlines():
        isa, even, best, mean = line.split()
        ratio = numpy_best / float(best)
        print(f"{f'glad {isa} {even.lower()}':28} best {float(best):8.1f} ms   mean {float(mean):8.1f} ms   {ratio:5.1f}x")
    assert (ours == theirs).all(), "the medians differ"
    print("the medians are equal")


if __name__ == "__main__":
    main()

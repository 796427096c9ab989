#!/usr/bin/env python3
"""CPU time of reading samples with two builds of glad, alternating: what a change to the pure-Rust decoder costs.

    cargo build --release -p glad-video --example sample_speed    # in either checkout
    python3 tools/compare/video_paired.py BEFORE/sample_speed AFTER/sample_speed CLIP.mp4 CLIP.mp4

Samples and columns are those of video.py. A round runs both programs on the same samples, one after the other, the order
changing from round to round; a ratio is of one round, so that other load on the machine affects both.
"""

import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from video import KEYINTS, SIZES, encode, plan

ROUNDS = int(os.environ.get("ROUNDS", 9))


def frames_of(path):
    out = subprocess.run(["ffprobe", "-v", "error", "-select_streams", "v:0", "-count_packets", "-show_entries",
                          "stream=nb_read_packets", "-of", "csv=p=0", path], check=True, capture_output=True, text=True)
    return int(out.stdout.strip().strip(","))


def cpu(program, samples):
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as f:
        f.writelines("\t".join([path, *map(str, frames)]) + "\n" for path, frames in samples)
        f.flush()
        used = lambda: sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])
        before = used()
        subprocess.run([program, "rust", "kept", "1", f.name], check=True, capture_output=True)
        return 1000 * (used() - before) / len(samples)


def main():
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    programs, clips = sys.argv[1:3], [Path(c) for c in sys.argv[3:]]
    print(f"| | before, ms | after, ms | after / before, median of {ROUNDS} | least to most |")
    print("|---|---:|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as folder:
        for size in SIZES:
            for keyint in KEYINTS:
                files = [encode(c, size, keyint, Path(folder)) for c in clips]
                samples = plan(files, [frames_of(f) for f in files], seed=1)
                times = [[], []]
                for round in range(ROUNDS):
                    for which in ([0, 1], [1, 0])[round % 2]:
                        times[which].append(cpu(programs[which], samples))
                ratios = sorted(b / a for a, b in zip(*times))
                print(f"| {size[0]}×{size[1]}, {keyint} | {min(times[0]):.1f} | {min(times[1]):.1f} | "
                      f"{statistics.median(ratios):.3f} | {ratios[0]:.3f} to {ratios[-1]:.3f} |", flush=True)


if __name__ == "__main__":
    main()

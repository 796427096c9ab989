#!/usr/bin/env python3
"""The speedup from preparing a data set: samples per second from original and from prepared videos, in one run.

    apt-get install ffmpeg
    cargo build --release && cargo build --release -p glad-video --example sample_speed
    python3 tools/compare/prepared.py CLIP.mp4 CLIP.mp4

The clips are coded by x264 with its defaults at three sizes (those that are larger than the clip are scaled up), prepared
by graphs/prepare.toml, and read by the pure-Rust decoder on one thread. A sample is that of tools/compare/video.py: one
clip of 8 frames over the whole video and two of 8 frames, every second, scaled to a short side of 256, cropped to 224.
Both get the same samples, alternately, and the best of REPEATS passes counts. PSNR is ffmpeg's average over planes, against
the old frames scaled bilinearly.
"""

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from video import ROOT, plan

SIZES = [(340, 256), (640, 360), (1280, 720)]
SAMPLES = int(os.environ.get("SAMPLES", 40))
REPEATS = int(os.environ.get("REPEATS", 3))
QP = [int(q) for q in os.environ.get("QP", "14 18 22").split()]


def run(*command, **kw):
    return subprocess.run([str(c) for c in command], check=True, capture_output=True, text=True, **kw)


def encode(clip, size, folder):
    out = folder / f"{clip.stem}.mp4"
    run("ffmpeg", "-v", "error", "-y", "-i", clip, "-an", "-vf", f"scale={size[0]}:{size[1]}", "-pix_fmt", "yuv420p",
        "-c:v", "libx264", out)
    return out


def frames(video):
    found = run("ffprobe", "-v", "error", "-count_packets", "-select_streams", "v:0", "-show_entries",
                "stream=nb_read_packets", "-of", "csv=p=0", video).stdout
    return int(found.strip().rstrip(","))


def prepare(folder, qp):
    """Prepares the list of a folder; returns the new videos, in its order, and the seconds that it took."""
    out = f"prepared-{qp}"
    start = time.perf_counter()
    run(ROOT / "target/release/glad-run", ROOT / "graphs/prepare.toml", "--quiet", "--out", folder / f"run-{qp}",
        "--set", "nodes.prepared.folder=.", "--set", f"nodes.prepared.out={out}", "--set", f"nodes.prepared.qp={qp}",
        "--set", "nodes.videos.folder=.", "--set", "nodes.videos.source.list=list.txt",
        "--set", "nodes.videos.classes=classes.txt", "--set", 'run=["train"]',
        "--set", 'views.train.streams=["source"]', "--threads", 1, "--workers", 1, cwd=folder)
    took = time.perf_counter() - start
    lines = [l for l in (folder / out / "list.txt").read_text().splitlines() if l and not l.startswith("#")]
    return [folder / out / re.match(r"(.*\.mp4) ", l).group(1) for l in lines], took


def seconds(samples):
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as f:
        f.writelines("\t".join([path, *map(str, wanted)]) + "\n" for path, wanted in samples)
        f.flush()
        return float(run(ROOT / "target/release/examples/sample_speed", "rust", "kept", 1, f.name).stdout)


def psnr(new, old):
    said = run("ffmpeg", "-nostdin", "-v", "info", "-i", new, "-i", old, "-lavfi",
               "[1][0]scale2ref=flags=bilinear[old][new];[new][old]psnr", "-f", "null", "-").stderr
    return float(re.search(r"PSNR .*average:([\d.]+)", said).group(1))


def mib(videos):
    return sum(v.stat().st_size for v in videos) / 2**20


def main():
    clips = [Path(c).resolve() for c in sys.argv[1:]]
    if not clips:
        sys.exit(__doc__)
    cpu = next(l.split(":")[1].strip() for l in open("/proc/cpuinfo") if l.startswith("model name"))
    print(f"{len(clips)} real clips, {SAMPLES} samples, best of {REPEATS}; one core of an {cpu}; {time.strftime('%Y-%m-%d')}.\n")
    print("| size | videos | samples/s | ms a sample | gain | PSNR, dB | MiB | ms a frame to prepare |")
    print("|---|---|---:|---:|---:|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as folder:
        for size in SIZES:
            here = Path(folder) / f"{size[0]}x{size[1]}"
            here.mkdir()
            old = [encode(c, size, here) for c in clips]
            (here / "classes.txt").write_text("a\n")
            (here / "list.txt").write_text("".join(f"{v.name} a\n" for v in old))
            counts = [frames(v) for v in old]
            kinds = {"as they come": (old, None)} | {f"prepared, `qp = {q}`": prepare(here, q) for q in QP}
            best = {}
            for kind in list(kinds) * REPEATS:
                took = seconds(plan(kinds[kind][0], counts, seed=1, samples=SAMPLES))
                best[kind] = min(best.get(kind, took), took)
            for kind, (videos, took) in kinds.items():
                each = best[kind] / SAMPLES
                row = [f"{size[0]}×{size[1]}", kind, f"{1 / each:.1f}", f"{1000 * each:.0f}"]
                if took is None:
                    row += ["", "", f"{mib(videos):.1f}", ""]
                else:
                    row += [f"{best['as they come'] / best[kind]:.2f}×",
                            f"{sum(map(psnr, videos, old)) / len(old):.1f}", f"{mib(videos):.1f}",
                            f"{1000 * took / sum(counts):.1f}"]
                print("| " + " | ".join(row) + " |", flush=True)


if __name__ == "__main__":
    main()

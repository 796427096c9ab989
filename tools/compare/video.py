#!/usr/bin/env python3
"""Samples per second: glad's video backends compared with torchcodec, decord and PyAV, in one run.

    apt-get install ffmpeg libavcodec-dev libavformat-dev libavutil-dev libswscale-dev libclang-dev
    python3 -m venv v && v/bin/pip install torch torchcodec decord av opencv-python-headless
    v/bin/python tools/compare/video.py CLIP.mp4 CLIP.mp4 > tools/compare/VIDEO.md

A sample is one global clip (8 frames over the whole video) and two local ones (8 frames, every second), decoded to
RGB, scaled to a short side of 256, cropped to 224. The given clips are re-encoded by x264 (its defaults: B-frames,
pyramid) with key frames every 250 and every 12 frames, at 340x256 and at 640x360. Every decoder gets the same samples
and one thread per video; "2 threads" are two samples at a time: processes in Python, threads in glad. torchcodec, decord
and PyAV open the file for every sample, as a data loader does; glad keeps a video's index after the first time, so
it has a second row without that.
"""

import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from multiprocessing import Pool
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SIZES = [(340, 256), (640, 360)]
KEYINTS = [250, 12]
SAMPLES = int(os.environ.get("SAMPLES", 40))
REPEATS = int(os.environ.get("REPEATS", 2))


def encode(clip, size, keyint, folder):
    out = folder / f"{clip.stem}-{size[0]}-{keyint}.mp4"
    scale = f"scale={size[0]}:{size[1]}"
    subprocess.run(["ffmpeg", "-v", "error", "-y", "-i", clip, "-an", "-vf", scale, "-pix_fmt", "yuv420p", "-c:v",
                    "libx264", "-g", str(keyint), out], check=True)
    return out


def plan(files, counts, seed, samples=SAMPLES):
    """Samples as (path, frames): one every 1/8 of the video, and two spans of 15 frames."""
    rng = random.Random(seed)
    planned = []
    for i in range(samples):
        path, n = files[i % len(files)], counts[i % len(files)]
        frames = [int((k + rng.random()) * n / 8) for k in range(8)]
        for _ in range(2):
            start = rng.randrange(n - 14)
            frames += range(start, start + 16, 2)[:8]
        planned.append((str(path), [min(f, n - 1) for f in frames]))
    return planned


def finish(frames):
    import cv2

    cv2.setNumThreads(1)
    out = []
    for f in frames:
        h, w = f.shape[:2]
        if min(h, w) != 256:
            s = 256 / min(h, w)
            f = cv2.resize(f, (int(w * s + 0.5), int(h * s + 0.5)), interpolation=cv2.INTER_LINEAR)
        y, x = (f.shape[0] - 224) // 2, (f.shape[1] - 224) // 2
        out.append(f[y:y + 224, x:x + 224].copy())
    return out


def torchcodec(sample):
    import torch
    from torchcodec.decoders import VideoDecoder

    torch.set_num_threads(1)
    path, frames = sample
    wanted = sorted(set(frames))
    decoder = VideoDecoder(path, num_ffmpeg_threads=1, dimension_order="NHWC")
    return len(finish(decoder.get_frames_at(wanted).data.numpy()))


def decord(sample):
    from decord import VideoReader, cpu

    path, frames = sample
    reader = VideoReader(path, ctx=cpu(0), num_threads=1)
    return len(finish(reader.get_batch(sorted(set(frames))).asnumpy()))


def pyav(sample):
    import av

    path, frames = sample
    wanted = sorted(set(frames))
    out = []
    with av.open(path) as container:
        stream = container.streams.video[0]
        stream.thread_type, stream.codec_context.thread_count = "NONE", 1
        time_of = lambda n: int(round(n / stream.average_rate / stream.time_base))
        at = -1  # the frame decoded last
        decoded = container.decode(stream)
        for n in wanted:
            if n - at > 24:
                container.seek(time_of(n), stream=stream)
                decoded = container.decode(stream)
            for frame in decoded:
                at = round(float(frame.pts * stream.time_base * stream.average_rate))
                if at >= n:
                    out.append(frame.to_ndarray(format="rgb24"))
                    break
    return len(finish(out))


def timed(task):
    """CPU seconds of one sample, in a worker."""
    reader, sample = task
    start = time.process_time()
    reader(sample)
    return time.process_time() - start


def in_python(reader, samples, threads):
    """Wall-clock seconds, and CPU seconds."""
    with Pool(threads) as pool:
        pool.map(timed, [(reader, s) for s in samples[:2 * threads]])  # imports
        start = time.perf_counter()
        cpu = sum(pool.map(timed, [(reader, s) for s in samples], chunksize=1))
        return time.perf_counter() - start, cpu


def in_glad(backend, index):
    def run(samples, threads):
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as f:
            f.writelines("\t".join([path, *map(str, frames)]) + "\n" for path, frames in samples)
            f.flush()
            program = ROOT / "target/release/examples/sample_speed"
            used = lambda: sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])
            before = used()
            out = subprocess.run([program, backend, index, str(threads), f.name], check=True, capture_output=True)
            return float(out.stdout), used() - before

    return run


def reading(reader):
    return lambda samples, threads: in_python(reader, samples, threads)


READERS = {
    "glad `ffmpeg`": in_glad("ffmpeg", "kept"),
    "glad `ffmpeg`, index made anew": in_glad("ffmpeg", "anew"),
    "glad `rust`": in_glad("rust", "kept"),
    "glad `rust`, index made anew": in_glad("rust", "anew"),
    "torchcodec": reading(torchcodec),
    "decord": reading(decord),
    "PyAV": reading(pyav),
}


LIMITS = """
## What limits

- `ffmpeg` and torchcodec decode with the same libavcodec, which takes 81 % of glad's CPU time at 340×256 with key frames
  250 apart (`perf`, 2026-11-25). glad does not decode pictures that no requested one is predicted from, does not probe
  the file, and converts only requested frames; if everything besides decoding were free, the ratio would be 1.6.
- `rust`: of its CPU time in the same column, 32 % are spent on CABAC, one bin after the other; the rest is spread, no
  function above 7 % (`perf`, 2026-11-25). Its deblocking and motion compensation are SIMD. To be 1.8 times decord it would
  have to decode faster than libavcodec.
"""


def versions():
    import importlib.metadata as m

    names = ", ".join(f"{n} {m.version(n)}" for n in ["torchcodec", "decord", "av", "torch"])
    ffmpeg = subprocess.run(["ffmpeg", "-version"], capture_output=True, text=True).stdout.split()[2]
    cpu = next(l.split(":")[1].strip() for l in open("/proc/cpuinfo") if l.startswith("model name"))
    return f"{names}, FFmpeg {ffmpeg} (glad's and torchcodec's); {os.cpu_count()} cores of an {cpu}; {time.strftime('%Y-%m-%d')}"


def main():
    clips = [Path(c) for c in sys.argv[1:]]
    if not clips:
        sys.exit(__doc__)
    subprocess.run(["cargo", "build", "--release", "-q", "-p", "glad-video", "--features", "ffmpeg", "--example",
                    "sample_speed"], cwd=ROOT, check=True)
    rates, costs = {name: {} for name in READERS}, {name: {} for name in READERS}
    with tempfile.TemporaryDirectory() as folder:
        for size in SIZES:
            for keyint in KEYINTS:
                files = [encode(c, size, keyint, Path(folder)) for c in clips]
                import av

                counts = [av.open(str(f)).streams.video[0].frames for f in files]
                samples = plan(files, counts, seed=1)
                where = f"{size[0]}×{size[1]}, {keyint}"
                for threads in [1, 2]:
                    # Alternating, and the best of each: other load on the machine comes and goes.
                    for name in list(READERS) * REPEATS:
                        wall, cpu = READERS[name](samples, threads)
                        print(where, threads, name, f"{wall:.3f} {cpu:.3f}", file=sys.stderr, flush=True)
                        if threads == 1:
                            costs[name][where] = min(costs[name].get(where, 1e9), 1000 * cpu / len(samples))
                        key = f"{where}, {threads}"
                        rates[name][key] = max(rates[name].get(key, 0), len(samples) / wall)
    print("# Reading video\n")
    print(f"Made by `tools/compare/video.py`, which defines a sample, from {len(clips)} real clips; {versions()}.")
    print(f"Columns: size, distance of key frames. The best of {REPEATS} passes over {SAMPLES} samples.")
    print("\n## CPU time: milliseconds per sample, one thread\n")
    print("(glad's includes the start of its program, about 35 ms for all samples; Python's does not.)\n")
    rows(costs, "{:.1f}")
    print("\nThe other reader's time over glad's (above 1: glad is faster):\n")
    pairs = [("glad `ffmpeg`", "torchcodec"), ("glad `ffmpeg`, index made anew", "torchcodec"),
             ("glad `ffmpeg`", "decord"), ("glad `rust`", "torchcodec"), ("glad `rust`", "decord"),
             ("glad `rust`", "PyAV")]
    rows({f"{b} / {a}": {k: costs[b][k] / costs[a][k] for k in costs[a]} for a, b in pairs}, "{:.2f}")
    print("\n## Wall-clock time: samples per second, with 1 and 2 threads\n")
    rows(rates, "{:.1f}")
    print(LIMITS, end="")


def rows(table, form):
    columns = next(iter(table.values())).keys()
    print("| | " + " | ".join(columns) + " |\n|---" + "|---:" * len(columns) + "|")
    for name, row in table.items():
        print(f"| {name} | " + " | ".join(form.format(v) for v in row.values()) + " |")


if __name__ == "__main__":
    main()

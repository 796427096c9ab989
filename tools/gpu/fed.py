"""Training from video files for a while: the GPU's utilisation, and which side waits."""

import re
import shutil
import signal
import statistics
import subprocess
import time

import gpu
from machine import ROOT, Ended, last_line, say

# Warm-up steps: kernels are chosen, and the queue of samples fills.
WARM_UP = 5
# Time limit of generating the videos and the first steps, in seconds.
START = 150
# glad's progress line; its figures count from the phase's beginning.
PROGRESS = re.compile(
    r"^main (\d+)/\d+ .*?(\d+) videos/s, waits for data (\d+) %, data waits (\d+) %(?:, device busy (\d+) %)?.*$", re.M
)
SHARES = ("waits", "data_waits", "device_busy")


def command(machine, videos, out):
    sets = {"run": '["main"]', "precision": machine.precision, "phases.main.batch": videos, "phases.main.epochs": 100000}
    if machine.tiny:
        small = {"size": 48, "source_train": 12, "target_train": 12, "source_seconds": [1.0, 1.5], "target_seconds": [1.0, 1.5]}
        sets |= {f"nodes.videos.generate.mini.{k}": v for k, v in small.items()}
        sets |= {"nodes.augment.short": 36, "nodes.augment.size": 32, "nodes.bg_mix.short": 36, "nodes.backbone.depth": '"small"'}
        sets |= {"params.domain_hidden": 64, "params.order_hidden": 64}
    found = [machine.glad(), "graphs/full.toml", "--setting", ROOT / "tools/gpu/fed.toml"]
    found += ["--device", machine.device, "--no-share", "--out", out]
    return [str(c) for c in found] + [a for k, v in sets.items() for a in ("--set", f"{k}={v}")]


def lines(path):
    return path.read_bytes().count(b"\n") if path.exists() else 0


def measure(machine, videos):
    """Trains for a while; the lines of the run's log show when each step ended."""
    out = machine.out / "runs" / f"fed-{int(time.time())}"
    steps = out / "metrics.jsonl"
    say(f"training from files, {videos} videos a stream")
    sampler = gpu.Sampler(machine.index)
    process, log = machine.start("fed", command(machine, videos, out))
    ends, began, told = [], time.monotonic(), 0
    try:
        while True:
            now, count = time.monotonic(), lines(steps)
            ends += [now] * (count - len(ends))
            if process.poll() is not None:
                raise Ended(f"it ended with status {process.returncode}", log.read_text(errors="replace"))
            enough, late = len(ends) > WARM_UP + 5, now - began > START + 3 * machine.seconds or machine.left() < 5
            if enough and (late or now - ends[WARM_UP] > 2 * machine.seconds):
                break
            if late:
                raise Ended(f"only {len(ends)} steps in {now - began:.0f} s", log.read_text(errors="replace"))
            if now - told > 5:
                told = now
                say(f"  {len(ends)} steps; {last_line(log.read_text(errors='replace'))}")
            time.sleep(0.01)
    finally:
        sampler.end()
        stop(process)
    found = {"videos": videos, **summary(ends, sampler)}
    found |= waits(log.read_text(errors="replace"), videos)
    # States are large.
    shutil.rmtree(out, ignore_errors=True)
    say(f"  {found['ms']:.0f} ms a step, {2e3 * videos / found['ms']:.0f} videos/s")
    return found


def summary(ends, sampler):
    """Results of the steps after the warm-up."""
    begin, end = ends[WARM_UP], ends[-1]
    steps = len(ends) - 1 - WARM_UP
    took = sorted(b - a for a, b in zip(ends[WARM_UP:], ends[WARM_UP + 1 :]))
    return {
        "steps": steps,
        "ms": 1e3 * (end - begin) / steps,
        "median_ms": 1e3 * statistics.median(took),
        "gpu": sampler.between(begin, end),
    }


def waits(text, videos):
    """Shares of time after the first progress lines, in percent: compute waited for data, data for compute, and the device was
    busy; and the last of the lines."""
    told = list(PROGRESS.finditer(text))
    if not told:
        return dict.fromkeys(SHARES)
    found = []
    for m in told:
        step, rate, *shares = [int(g) if g else None for g in m.groups()]
        # Time since the phase's beginning.
        found.append((step, step * 2 * videos / max(rate, 1), shares))
    first = next((f for f in found if f[0] > WARM_UP), found[-1])
    (_, a, before), (_, b, after) = first, found[-1]

    def share(x, y):
        if y is None or b <= a:
            return y
        return min(100.0, max(0.0, (y * b - x * a) / (b - a)))

    return dict(zip(SHARES, map(share, before, after))) | {"said": told[-1].group(0)}


def stop(process):
    """Ends it as Ctrl-C does, so that nothing is left behind."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

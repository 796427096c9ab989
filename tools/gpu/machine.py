"""The measured machine: its device, glad's programs, folders, and the time that is left."""

import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools/compare"))

from workers import Ended, Worker  # noqa: E402

BEGAN = time.monotonic()


def say(text):
    print(f"[{time.monotonic() - BEGAN:4.0f} s] {text}", file=sys.stderr, flush=True)


class OverBudget(Exception):
    """No time is left."""


@dataclass
class Machine:
    package: Path
    out: Path
    device: str
    precision: str
    budget: float
    # Seconds of a row's rounds, and of training from files.
    seconds: float
    gpu: dict
    # The environment of glad's programs.
    env: dict = field(default_factory=dict)
    # Small sizes, to try this program on a CPU.
    tiny: bool = False

    def __post_init__(self):
        # Independent of a home folder: else each process would compile the kernels and time the plans anew.
        kept = {"GLAD_CACHE": self.cache / "glad", "CUDA_CACHE_PATH": self.cache / "kernels"}
        for folder in kept.values():
            folder.mkdir(parents=True, exist_ok=True)
        self.env = {name: str(folder) for name, folder in kept.items()} | self.env

    @property
    def index(self):
        """The GPU's index."""
        return int(self.device.split(":")[1]) if ":" in self.device else 0

    @property
    def cores(self):
        count = len(os.sched_getaffinity(0))
        try:
            # What a container may have of them.
            quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
            return max(1, min(count, int(quota) // int(period)))
        except (OSError, ValueError):
            return count

    @property
    def cache(self):
        """The cache for later calls: generated videos, compiled kernels, cuDNN's plans."""
        return (ROOT / "target/gpu" if os.access(ROOT, os.W_OK) else self.out) / "cache"

    def left(self):
        return self.budget - (time.monotonic() - BEGAN)

    def need(self, seconds):
        """Raises where fewer than this many seconds are left."""
        if self.left() < seconds:
            raise OverBudget(f"needs about {seconds:.0f} s, and {max(self.left(), 0):.0f} s of the budget were left")

    def glad(self):
        """glad-run."""
        return self.package / "bin/glad-run"

    def log(self, name):
        """Where a program's standard error goes."""
        (self.out / "logs").mkdir(parents=True, exist_ok=True)
        return self.out / "logs" / f"{name}.txt"

    def start(self, name, command, env=None):
        """Starts one of glad's programs; returns the process and the file with its output."""
        log = self.log(name)
        env = {**os.environ, **self.env, **(env or {})}
        with open(log, "w") as f:
            process = subprocess.Popen(
                [str(c) for c in command],
                cwd=self.package,
                env=env,
                stdout=f,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
            )
        return process, log

    def run(self, name, command, until, env=None):
        """Runs one of glad's programs to its end; returns its status (None if it was stopped at `until`) and its output."""
        try:
            process, log = self.start(name, command, env)
        except OSError as e:
            return 127, f"error: {e}"
        try:
            status = process.wait(timeout=max(5, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            status = None
        finally:
            process.kill()
            process.wait()
        return status, log.read_text(errors="replace")


def last_line(text):
    """The last line of a program's output."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else ""


def said(text):
    """The line of a failed program's output with the reason: glad's `error: …`, which advice follows, or the last line."""
    errors = [line for line in text.splitlines() if line.startswith("error: ")]
    return last_line(errors[-1] if errors else text)


__all__ = ["BEGAN", "Ended", "Machine", "OverBudget", "ROOT", "Worker", "last_line", "said", "say"]

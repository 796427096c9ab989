"""Whole training steps of glad and PyTorch on one GPU, alternating.

Each program is a separate process. One after the other takes some untimed steps and some timed ones, and gives freed memory
back before the next one's turn, so that each has the GPU's memory to itself. The order changes from round to round. Medians of
the rounds' ratios are compared.
"""

import json
import statistics
import sys
import time

import gpu
from machine import ROOT, Ended, OverBudget, Worker, last_line, said, say

import rows

# Videos of a stream in a step of the paper.
PAPER = 24
STEPS = ROOT / "tools/compare/steps.py"
# Duration of a turn's timed steps, in seconds.
TURN = 1.5
# Time limit of starting and a first step; compiled ones take longer.
START, COMPILE = 120, 240
# Rounds of a row.
MOST = 9
OOM = ("out of memory", "out_of_memory", "alloc_failed", "of the device's memory")
SEGMENTS = {"PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True", "PYTORCH_ALLOC_CONF": "expandable_segments:True"}

# PyTorch's programs: flags of steps.py.
EAGER = {"eager": ["--channels-last"]}
# The same, where channels-last need not be the faster layout.
BOTH = {**EAGER, "eager contiguous": []}
COMPILED = {"compile": ["--channels-last", "--compile"]}
# glad once more, with its backbone recorded as CUDA graphs: where launches may dominate the time.
RECORDED = {"glad recorded": ["--cuda-graphs"]}


def step_rows(tiny):
    """Rows by name: a function from the number of videos per stream to the row, and PyTorch's programs to compare with."""
    size = 32 if tiny else 224
    fixed = rows.steps(1)
    clips = lambda videos: 6 * videos
    return {
        "tsm50": (lambda v: rows.backbone("TSM-R50", "tsm50", 8, clips(v), size), EAGER),
        "i3d": (lambda v: rows.backbone("I3D-R50-NL", "i3d_r50", 8, clips(v), size), BOTH),
        "glad_tsm50": (lambda v: rows.method("TSM-R50", "tsm50", "tsm", v, size), EAGER),
        "glad_i3d": (lambda v: rows.method("I3D-R50-NL", "i3d_r50", "i3d", v, size), BOTH),
        "glad_small": (lambda _: fixed["glad_small"], EAGER),
    }


def out_of_memory(e):
    text = f"{e}\n{getattr(e, 'text', '')}".lower()
    return any(word in text for word in OOM)


def why(e):
    """The error, in one line."""
    told = said(getattr(e, "text", ""))
    # The first lines of a program's end are its command.
    what = last_line(str(e)) if isinstance(e, Ended) else f"{type(e).__name__}: {last_line(str(e))}"
    if out_of_memory(e):
        return f"out of memory: {told or what}"
    return f"{what}: {told}" if told and told not in what else what


class Program:
    """One of the programs that alternate on a row."""

    def __init__(self, machine, name, row, flags):
        self.machine, self.name, self.row, self.flags = machine, name, row, flags
        self.worker, self.found, self.env = None, {"ms": []}, {}
        self.count = 1
        self.of_glad = name.startswith("glad")

    def command(self):
        m = self.machine
        if self.of_glad:
            at = ["--device", m.device, "--precision", m.precision, "--threads", m.cores, "--serve"]
            return [m.package / "bin/step", *self.row["command"], *at, *self.flags]
        at = ["--device", m.device, "--precision", m.precision, "--threads", m.cores]
        return [sys.executable, STEPS, "--spec", json.dumps(self.row["spec"]), *at, *self.flags]

    def start(self):
        """Starts it and takes the first, untimed steps: kernels are chosen and compiled in them."""
        m = self.machine
        longest = COMPILE if "--compile" in self.flags else START
        env = m.env if self.of_glad else {"TORCHINDUCTOR_CACHE_DIR": str(m.cache / "inductor")}
        log = m.log(f"{self.row['title']}-{self.name}".replace(" ", "_").replace("/", "_"))
        self.worker = Worker(self.command(), {**env, **self.env}, log, m.package)
        began = time.monotonic()
        self.found["facts"] = self.read(self.worker.read, longest)
        for _ in range(2):
            answer = self.ask("1", longest)
        self.found["start_s"] = time.monotonic() - began
        self.count = max(1, min(50, int(1e3 * TURN / answer["ms"])))
        self.found["smi_mib"] = gpu.held_by(self.worker.process.pid)
        self.keep(answer)
        self.release()

    def read(self, how, seconds):
        left = self.machine.left()
        if left <= 2:
            raise OverBudget("the budget was used up on the way")
        return how(seconds=min(seconds, left))

    def ask(self, request, seconds=START):
        return self.read(lambda seconds: self.worker.ask(request, seconds), seconds)

    def keep(self, answer):
        for key in ("peak_mib", "device_mib", "device_held_mib"):
            if answer.get(key) is not None:
                self.found[key] = max(answer[key], self.found.get(key, 0))
        self.found["loss"] = answer["loss"]

    def turn(self):
        # Memory is allocated anew in the first.
        self.ask("1")
        answer = self.ask(str(self.count))
        self.found["ms"].append(answer["ms"])
        self.keep(answer)
        self.release()

    def release(self):
        self.ask("release")

    def end(self):
        if self.worker:
            self.worker.end(max(1, min(20, self.machine.left())))


def started(program):
    """Whether a program does its first steps; if not, `found` has the reason."""
    try:
        try:
            program.start()
        except Ended as e:
            if not out_of_memory(e) or program.of_glad or program.machine.device == "cpu":
                raise
            # PyTorch's other allocator strategy wastes less memory.
            program.env = SEGMENTS
            program.found["segments"] = True
            program.start()
        return True
    except OverBudget:
        raise
    except Exception as e:  # noqa: BLE001  (whatever is wrong with a program, the others go on)
        failed(program, e)
        return False


def failed(program, e):
    if out_of_memory(e):
        program.found["out_of_memory"] = True
        say(f"  {program.name}: out of memory")
    else:
        program.found["failed"] = why(e)
        say(f"  {program.name}: {program.found['failed']}")
    if program.worker:
        program.worker.kill()


def in_turns(row, flags, machine, by, keep):
    """Rounds in which every program of a row has a turn; the results of each are in `by`, and `keep` is called after each
    round."""
    programs = [Program(machine, "glad", row, [])] + [Program(machine, n, row, f) for n, f in flags.items()]
    by.update((p.name, p.found) for p in programs)
    say(f"{row['title']}: {', '.join(p.name for p in programs)}")
    try:
        alive = [p for p in programs if started(p)]
        counts = {p.name: p.found["facts"]["parameters"] for p in alive}
        if len(set(counts.values())) > 1:
            raise Ended(f"the networks differ in their numbers of parameters: {counts}")
        began, turn = time.monotonic(), 0
        while alive and machine.left() > 3:
            for p in alive[turn % len(alive) :] + alive[: turn % len(alive)]:
                try:
                    p.turn()
                except OverBudget:
                    raise
                except Exception as e:  # noqa: BLE001
                    failed(p, e)
            alive = [p for p in alive if not p.found.keys() & {"failed", "out_of_memory"}]
            turn += 1
            keep()
            say(f"  round {turn}: " + ", ".join(f"{p.name} {p.found['ms'][-1]:.1f} ms" for p in alive))
            # With nothing to compare with, two rounds are enough to time its steps.
            compared = len(alive) > 1 and alive[0].name == "glad"
            over = turn >= 3 and time.monotonic() - began > machine.seconds
            if over or turn == (MOST if compared else 2):
                break
    except OverBudget as e:
        say(f"  {e}")
        for p in programs:
            if not p.found["ms"] and not p.found.keys() & {"failed", "out_of_memory"}:
                p.found["failed"] = str(e)
    finally:
        for p in programs:
            p.end()


def fits(by):
    """Whether none of the programs that count ran out of memory: PyTorch's second layout may, and glad's recordings."""
    return not any(found.get("out_of_memory") for name, found in by.items() if name not in ("eager contiguous", *RECORDED))


def measure(name, videos, flags, machine, found, keep):
    """A row at this many videos per stream, halved until all its programs fit; the results at each number of videos tried
    are added to the list `found`, and `keep` is called."""
    make = step_rows(machine.tiny)[name][0]
    while True:
        row, by = make(videos), {}
        found.append({"title": row["title"], "videos": videos, "by": by})
        in_turns(row, flags, machine, by, keep)
        if fits(by) or videos == 1 or name == "glad_small":
            return
        videos //= 2
        say(f"  half of it: {videos} videos a stream")
        machine.need(20)


def ratio(by, name):
    """How many times as fast as a program of PyTorch glad is; None where either has no times."""
    pairs = list(zip(by.get(name, {}).get("ms", []), by["glad"]["ms"]))
    return statistics.median(t / g for t, g in pairs) if pairs else None


def fastest(by):
    """The faster of PyTorch's eager layouts."""
    names = [n for n in by if n.startswith("eager") and by[n]["ms"]]
    return min(names, key=lambda n: statistics.median(by[n]["ms"]), default=None)

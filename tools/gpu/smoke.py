"""Small runs of the whole method on the device: a few steps of each phase in each precision, whose first step is compared with
the CPU's; one that is recorded as CUDA graphs, and one that is killed and resumed. A part of measure.py's tests; on its own, as
emulated.sh calls it:

  python3 tools/gpu/smoke.py --package FOLDER --out FOLDER [--device cuda:0]      # FOLDER has bin/glad-run and graphs/
"""

import argparse
import filecmp
import json
import re
import shutil
import sys
import time
from pathlib import Path

import gpu
from machine import Machine, said, say

# Time limit of one run, in seconds.
LONGEST = 90
STEPS = {"pretrain": 4, "warmup": 3, "main": 4}
# Tolerance of the first step against the CPU's in f32, for rounding. Later steps diverge, as with any other order of sums.
APART = {"f32": 1e-4, "tf32": 1e-2, "bf16": 5e-2}
COMPARED = ("loss", "grad_norm")
NO_TIME = "not run, no time was left"


def command(machine, out, device, precision, *more):
    found = [machine.glad(), "graphs/full.toml", "--setting", "graphs/settings/smoke.toml", "--device", device]
    sets = {"precision": precision} | {f"phases.{phase}.steps": n for phase, n in STEPS.items()}
    found += [a for k, v in sets.items() for a in ("--set", f"{k}={v}")]
    return [*found, "--no-share", "--save-every", 2, "--out", out, *more]


def folder(machine, name):
    """A run's folder, emptied of an earlier call's files."""
    out = machine.out / "smoke" / name
    shutil.rmtree(out, ignore_errors=True)
    return out


def steps(out):
    """The complete step lines of a run's log."""
    log = out / "metrics.jsonl"
    lines = log.read_text().split("\n")[:-1] if log.exists() else []
    return [line for line in lines if '"phase"' in line]


def row(name, began, status, text, wrong=None, apart=None):
    """The result of a run. `wrong` describes an error, `apart` is the difference of its first step from the CPU's."""
    if status is None:
        wrong = f"stopped after {time.monotonic() - began:.0f} s"
    elif status != 0:
        wrong = f"status {status}: {said(text)}"
    told = wrong or "ok" + (f", first step {apart:.1e} from the CPU's" if apart is not None else "")
    found = {"name": name, "seconds": time.monotonic() - began, "apart": apart, "wrong": wrong}
    say(f"  {name}: {told} ({found['seconds']:.0f} s)")
    return found


def run(machine, device, precision, until, cpu, longest):
    """Runs to the end; compares the first step with that in `cpu`, another run's folder."""
    name, began = f"smoke-{device.replace(':', '')}-{precision}", time.monotonic()
    out = folder(machine, name)
    status, text = machine.run(name, command(machine, out, device, precision), min(until, began + longest))
    wrong = apart = None
    if cpu is not None and steps(out) and steps(cpu):
        here, there = (json.loads(steps(f)[0]) for f in (out, cpu))
        apart = max(abs(here[k] - there[k]) / max(abs(there[k]), 1e-6) for k in COMPARED)
        # Also catches NaN.
        if not apart <= APART[precision]:
            wrong = f"its first step is {apart:.1e} from the CPU's, more than {APART[precision]}"
    elif status == 0 and cpu is not None:
        wrong = "there is no first step of the CPU's to compare with"
    return out, row(name, began, status, text, wrong, apart)


def as_bits(whole, out):
    """Whether two runs left the same state."""
    last = [f / "checkpoints/last.safetensors" for f in (whole, out)]
    return all(f.exists() for f in last) and filecmp.cmp(*last, shallow=False)


def recorded(machine, precision, whole, until, longest):
    """A run with a recorded backbone; its final state must equal that of `whole`, bit for bit."""
    name, began = f"smoke-recorded-{precision}", time.monotonic()
    out = folder(machine, name)
    asked = command(machine, out, machine.device, precision, "--cuda-graphs")
    status, text = machine.run(name, asked, min(until, began + longest))
    wrong = None if as_bits(whole, out) else "recorded, it leaves other bits than not recorded"
    # One line per phase.
    launches = [int(n) for n in re.findall(r"(\d+) launches of CUDA graphs", text)]
    if len(launches) != len(STEPS) or not all(launches):
        wrong = wrong or f"launches of CUDA graphs by phase: {launches}"
    return row(name, began, status, text, wrong)


def killed(machine, precision, whole, until, longest):
    """A run that is killed halfway and resumed; its final state must equal that of `whole`, bit for bit."""
    name, began = f"smoke-killed-{precision}", time.monotonic()
    out, until = folder(machine, name), min(until, began + longest)
    process, _ = machine.start(name, command(machine, out, machine.device, precision))
    try:
        while process.poll() is None and len(steps(out)) <= sum(STEPS.values()) // 2 and time.monotonic() < until:
            time.sleep(0.005)
    finally:
        early = process.poll() is not None
        process.kill()
        process.wait()
    if early:
        return row(name, began, 0, "", "it ended before it was killed")
    again = command(machine, out, machine.device, precision, "--resume")
    status, text = machine.run(f"{name}-resumed", again, until)
    return row(name, began, status, text, None if as_bits(whole, out) else "gone on with, it leaves other bits than uninterrupted")


def measure(machine, until, keep, longest=LONGEST):
    """Runs all of them; `keep` is called with the row of each as soon as it is done; none takes longer than this many seconds.
    The folders of the runs are kept where one failed."""
    rows = []

    def told(row):
        rows.append(row)
        keep(row)

    each(machine, until, told, longest)
    if not any(r["wrong"] for r in rows):
        shutil.rmtree(machine.out / "smoke", ignore_errors=True)


def each(machine, until, keep, longest):
    cases = [("cpu", "f32")] + [(machine.device, p) for p in APART if machine.device != "cpu"]
    cpu, whole = None, {}
    for device, precision in cases:
        if time.monotonic() > until:
            keep({"name": f"smoke in {precision}", "seconds": 0, "apart": None, "wrong": NO_TIME})
            continue
        out, found = run(machine, device, precision, until, cpu, longest)
        keep(found)
        cpu = cpu or out
        if device == machine.device and not found["wrong"]:
            whole[precision] = out
    for test, precision in [(killed, "f32"), *((recorded, p) for p in ("f32", "bf16") if machine.device != "cpu")]:
        if precision in whole and time.monotonic() < until:
            keep(test(machine, precision, whole[precision], until, longest))
        else:
            why = NO_TIME if precision in whole else f"not run, there is no whole run in {precision} to compare with"
            keep({"name": f"smoke-{test.__name__}-{precision}", "seconds": 0, "apart": None, "wrong": why})


def main():
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("--package", type=Path, required=True)
    parse.add_argument("--out", type=Path, required=True)
    parse.add_argument("--device", default="cuda:0")
    args = parse.parse_args()
    machine = Machine(args.package.resolve(), args.out.resolve(), args.device, "f32", 0, 0, gpu.NONE)
    rows = []
    # An emulated GPU is slow.
    measure(machine, time.monotonic() + 3600, rows.append, longest=600)
    if wrong := [f"{r['name']}: {r['wrong']}" for r in rows if r["wrong"]]:
        sys.exit("\n".join(wrong) + f"\nwhat they wrote: {machine.out / 'logs'}")


if __name__ == "__main__":
    main()

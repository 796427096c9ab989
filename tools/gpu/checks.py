"""The tests on the device: the packed test programs, and small runs beside the CPU's."""

import json
import os
import re
import shutil
import subprocess
import time

from machine import last_line, say

# The longest that one program may take, in seconds.
LONGEST = 90
# Losses of a first step in f32 differ by rounding alone.
SAME = 1e-3
RESULT = re.compile(r"^test result: \w+\. (\d+) passed; (\d+) failed; (\d+) ignored", re.M)


def programs(machine):
    """The test programs with their arguments: `NAME.args`, beside a program, holds them."""
    folder = machine.package / "bin/tests"
    found = sorted(p for p in folder.glob("*") if p.is_file() and os.access(p, os.X_OK)) if folder.is_dir() else []
    args = lambda p: p.parent / f"{p.name}.args"
    return [(p, args(p).read_text().split() if args(p).exists() else []) for p in found]


def tested(machine):
    """What tests need of the environment: the device, and (if packed) what PyTorch computed of the networks."""
    parity = machine.package / "bin/tests/parity.files"
    found = {"GLAD_TEST_DEVICE": machine.device}
    return found | ({"GLAD_PARITY": str(parity)} if parity.is_dir() else {})


def run(machine, name, command, until):
    """A program to its end: status, and all that it wrote. The status of one that takes too long is None."""
    log = machine.log(name)
    with open(log, "w") as f:
        process = subprocess.Popen(
            [str(c) for c in command],
            cwd=machine.package,
            env={**os.environ, **machine.env, **tested(machine)},
            stdout=f,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
        )
        try:
            status = process.wait(timeout=max(5, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            status = None
    return status, log.read_text(errors="replace")


def tests(machine, sanitize, until):
    """Runs each test program; a row for each."""
    rows, longest = [], LONGEST * (10 if sanitize else 1)
    for program, args in programs(machine):
        command = [program, *args]
        if sanitize:
            command = ["compute-sanitizer", "--tool", sanitize, "--error-exitcode", "99", *command]
        began = time.monotonic()
        if began > until:
            status, text = None, ""
        else:
            status, text = run(machine, f"test-{program.name}", command, min(until, began + longest))
        counts = [tuple(map(int, m)) for m in RESULT.findall(text)]
        row = {"name": program.name, "status": status, "seconds": time.monotonic() - began}
        row |= dict(zip(("passed", "failed", "ignored"), map(sum, zip(*counts)) if counts else (0, 0, 0)))
        row["failures"] = re.findall(r"^test (\S+) \.\.\. FAILED", text, re.M)
        if status != 0 and not row["failures"]:
            row["said"] = last_line(text)
        rows.append(row)
        say(f"  {words(row)}")
    return rows


def words(row):
    if row["status"] is None:
        end = f"stopped after {row['seconds']:.0f} s" if row["seconds"] >= 1 else "not run, no time was left"
    elif row["status"] == 0:
        end = "ok" if row["passed"] else "NOTHING RAN"
    else:
        end = f"FAILED (status {row['status']}) {', '.join(row['failures']) or row.get('said', '')}"
    return f"{row['name']}: {row['passed']} passed, {row['failed']} failed, {row['ignored']} ignored: {end}"


def first_step(folder):
    """Losses and gradient norm of a run's first step."""
    with open(folder / "metrics.jsonl") as f:
        row = json.loads(f.readline())
    return {k: v for k, v in row.items() if isinstance(v, float)}


def smoke(machine, until):
    """The smoke setting on the device in each precision, and on the CPU: do they end, and begin with the same losses?"""
    cases = [("cpu", "f32")]
    cases += [(machine.device, p) for p in ("f32", "bf16", "tf32")] if machine.device != "cpu" else []
    rows, first = [], {}
    for device, precision in cases:
        name = f"smoke-{device.replace(':', '')}-{precision}"
        out = machine.out / "runs" / name
        command = [machine.glad(), "graphs/full.toml", "--setting", "graphs/settings/smoke.toml", "--device", device]
        command += ["--set", f"precision={precision}", "--no-share", "--out", out]
        # Of an earlier call.
        shutil.rmtree(out, ignore_errors=True)
        began = time.monotonic()
        status, text = run(machine, name, command, min(until, began + LONGEST))
        row = {"name": name, "status": status, "seconds": time.monotonic() - began}
        if status != 0:
            row["said"] = last_line(text)
        if (out / "metrics.jsonl").exists() and (out / "metrics.jsonl").stat().st_size:
            first[name] = first_step(out)
            reference = first.get("smoke-cpu-f32", {})
            apart = [abs(v - reference[k]) / max(abs(reference[k]), 1e-6) for k, v in first[name].items() if k in reference]
            row["apart"] = max(apart) if apart else None
        rows.append(row)
        apart = "" if row.get("apart") is None or name == "smoke-cpu-f32" else f", first step {row['apart']:.1e} from the CPU's"
        say(f"  {name}: {'ok' if status == 0 else row.get('said') or 'stopped'} in {row['seconds']:.0f} s{apart}")
    return rows


def measure(machine, sanitize, seconds):
    """Both, within so many seconds; what failed, in words, beside the rows."""
    until = time.monotonic() + seconds
    found = {"tests": tests(machine, sanitize, until), "smoke": smoke(machine, until)}
    wrong = [words(r) for r in found["tests"] if r["status"] != 0 or not r["passed"]]
    if not found["tests"]:
        wrong.append("there are no test programs in the package")
    for r in found["smoke"]:
        if r["status"] != 0:
            wrong.append(f"{r['name']}: {r.get('said') or 'took too long'}")
        elif r["name"].endswith("-f32") and (r.get("apart") or 0) > SAME:
            wrong.append(f"{r['name']}: its first step is {r['apart']:.1e} from the CPU's, more than {SAME}")
    found["wrong"] = wrong
    return found

"""The tests on the device: the packed test programs, and small runs (smoke.py)."""

import os
import re
import time

import smoke
from machine import said, say

# Time limit of one program, in seconds.
LONGEST = 90
# The most failed tests of a program that are named.
NAMED = 4
PANIC = re.compile(r"^thread .* panicked at .*\n(.+)", re.M)
RESULT = re.compile(r"^test result: \w+\. (\d+) passed; (\d+) failed; (\d+) ignored", re.M)


def programs(machine):
    """The test programs with their arguments, from `NAME.args` next to a program."""
    folder = machine.package / "bin/tests"
    found = sorted(p for p in folder.glob("*") if p.is_file() and os.access(p, os.X_OK)) if folder.is_dir() else []
    args = lambda p: p.parent / f"{p.name}.args"
    return [(p, args(p).read_text().split() if args(p).exists() else []) for p in found]


def tested(machine):
    """The environment of the tests: the device, and (if packed) PyTorch's results for the networks."""
    parity = machine.package / "bin/tests/parity.files"
    found = {"GLAD_TEST_DEVICE": machine.device}
    return found | ({"GLAD_PARITY": str(parity)} if parity.is_dir() else {})


def tests(machine, sanitize, until, keep):
    """Runs each test program; `keep` is called with a row for each."""
    longest = LONGEST * (10 if sanitize else 1)
    for program, args in programs(machine):
        command = [program, *args]
        if sanitize:
            command = ["compute-sanitizer", "--tool", sanitize, "--error-exitcode", "99", *command]
        began = time.monotonic()
        if began > until:
            status, text = None, ""
        else:
            status, text = machine.run(f"test-{program.name}", command, min(until, began + longest), tested(machine))
        counts = [tuple(map(int, m)) for m in RESULT.findall(text)]
        row = {"name": program.name, "status": status, "seconds": time.monotonic() - began}
        row |= dict(zip(("passed", "failed", "ignored"), map(sum, zip(*counts)) if counts else (0, 0, 0)))
        row["failures"] = re.findall(r"^test (\S+) \.\.\. FAILED", text, re.M)
        if status != 0:
            first = PANIC.search(text)
            row["said"] = first[1][:300] if first else said(text)
        keep(row)
        say(f"  {words(row)}")


def words(row):
    if row["status"] is None:
        end = f"stopped after {row['seconds']:.0f} s" if row["seconds"] >= 1 else "not run, no time was left"
    elif row["status"] == 0:
        end = "ok" if row["passed"] else "NOTHING RAN"
    else:
        named, more = row["failures"][:NAMED], len(row["failures"]) - NAMED
        names = ", ".join(named + ([f"{more} more"] if more > 0 else []))
        end = f"FAILED (status {row['status']}) " + (f"{names}; the first says: " if names else "") + row["said"]
    return f"{row['name']}: {row['passed']} passed, {row['failed']} failed, {row['ignored']} ignored: {end}"


def wrong(found):
    """The failures, as text."""
    lines = [words(r) for r in found["tests"] if r["status"] != 0 or not r["passed"]]
    if not found["tests"]:
        lines.append("there are no test programs in the package")
    return lines + [f"{r['name']}: {r['wrong']}" for r in found["smoke"] if r["wrong"]]


def measure(machine, sanitize, seconds, found, keep):
    """Both, within this many seconds; `keep` is called after each row that is added to `found`."""
    until = time.monotonic() + seconds
    found |= {"tests": [], "smoke": []}

    def to(name):
        def add(row):
            found[name].append(row)
            keep()

        return add

    tests(machine, sanitize, until, to("tests"))
    smoke.measure(machine, until, to("smoke"))

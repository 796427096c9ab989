"""The results of measure.py as tables."""

import math
import statistics

from machine import ROOT  # noqa: F401  (finds the modules of tools/compare)
from tables import number, table

import checks
import turns

GOALS = {"eager": 1.25, "compile": 1.0, "memory": 0.8, "busy": 95}


def head(found):
    """The machine and versions of the measurement."""
    gpu, torch, at = found["gpu"], found.get("torch") or "PyTorch is not there", found["precision"]
    name = gpu["name"] or found["device"]
    memory = f", {gpu['total_mib'] / 1024:.0f} GiB, driver {gpu['driver']}" if gpu["total_mib"] else ""
    return f"{found['date']}; {name}{memory}; {found['cores']} cores; {torch}; glad in {at}, PyTorch in {found['torch_precision']}."


def one(by, name):
    """A program's step in a cell."""
    found = by.get(name)
    if not found:
        return "–"
    if found.get("out_of_memory"):
        return "out of memory"
    if found["ms"]:
        return number(statistics.median(found["ms"]))
    # Neither: it was cut off before its turn.
    return "failed" if "failed" in found else "–"


def eager(by):
    """PyTorch's faster layout: its name and its cell."""
    best = turns.fastest(by)
    if best is None:
        return "eager", one(by, "eager")
    return best, one(by, best) + (" (contiguous)" if "contiguous" in best else "")


def times(value):
    return f"**{value:.2f}×**" if value else "–"


def memory(found, key):
    return f"{found[key]:.0f}" if found and found.get(key) else "–"


def by_title(found):
    """Groups rows by title: measurements against eager mode, and against torch.compile."""
    together = {}
    for tried in found["rows"].values():
        for at in tried:
            kind = "compile" if "compile" in at["by"] else "eager"
            together.setdefault(at["title"], {})[kind] = at["by"]
    return together


def steps(found):
    speed, taken = [], []
    for title, measured in by_title(found).items():
        beside, compiled = measured.get("eager", {}), measured.get("compile", {})
        best, cell = eager(beside)
        glad = (beside or compiled)["glad"]
        ratios = [times(turns.ratio(by, name)) if by else "–" for by, name in ((beside, best), (compiled, "compile"))]
        rounds = max(len(f["ms"]) for by in (beside, compiled) for f in by.values())
        speed.append([title, cell, one(compiled, "compile"), one({"glad": glad}, "glad"), *ratios, str(rounds)])
        key = "peak_mib" if found["device"] == "cpu" else "device_mib"
        torch = [beside.get(best, {}), compiled.get("compile", {})]
        share = lambda one, key: times(glad[key] / one[key] if glad.get(key) and one.get(key) else None)
        row = [title, *(memory(t, key) for t in (*torch, glad)), *(share(t, key) for t in torch)]
        taken.append(row + [" / ".join(memory(t, k) for t in (*torch, glad)) for k in ("device_held_mib", "smi_mib")])
    what = ["step", "PyTorch eager, ms", "torch.compile, ms", "glad, ms", "speed, eager", "speed, compile", "rounds"]
    names = "eager / compile / glad"
    held = ["step", "eager, MiB", "compile, MiB", "glad, MiB", "glad / eager", "glad / compile"]
    held += [f"held: {names}", f"by nvidia-smi: {names}"]
    return "\n\n".join(["### Training steps", table(what, speed), "### Peak memory", table(held, taken)])


def recorded(found):
    """Steps of glad without and with CUDA graphs."""
    lines = []
    for at in [at for tried in found["rows"].values() for at in tried if turns.RECORDED.keys() & at["by"].keys()]:
        plain, graphs = at["by"]["glad"], at["by"]["glad recorded"]
        ratios = [a / b for a, b in zip(plain["ms"], graphs["ms"])]
        cells = [one(at["by"], "glad"), one(at["by"], "glad recorded"), times(statistics.median(ratios) if ratios else None)]
        lines.append([at["title"], *cells, *(memory(by, "device_mib") for by in (plain, graphs))])
    if not lines:
        return None
    what = ["step", "glad, ms", "recorded, ms", "speed", "glad, MiB", "recorded, MiB"]
    return f"### Recorded as CUDA graphs\n\n{table(what, lines)}"


def fed(found):
    one = found["fed"]
    gpu = one.get("gpu") or {}
    percent = lambda v: "–" if v is None else f"{v:.0f} %"
    alone = one.get("alone_ms")
    row = [f"{one['videos']} videos a stream, {one['steps']} steps", number(one["ms"]), number(alone) if alone else "–"]
    row += [percent(100 * alone / one["ms"] if alone else None), percent(gpu.get("busy"))]
    row += [percent(one[k]) for k in ("device_busy", "waits", "data_waits")]
    row += [f"{2e3 * one['videos'] / one['ms']:.0f}", memory(gpu, "used_mib"), memory(gpu, "watts")]
    what = ["training from files", "a step, ms", "the step alone, ms", "alone / fed", "GPU busy (nvidia-smi)"]
    what += ["GPU busy (glad)", "compute waits for data", "data waits for compute"]
    what += ["videos/s", "GPU memory, MiB", "watts"]
    return f"### Fed from video files\n\n{table(what, [row])}"


def tests(found):
    rows = [
        [r["name"], str(r["passed"]), str(r["failed"]), str(r["ignored"]), f"{r['seconds']:.0f}", checks.words(r).split(": ", 2)[2]]
        for r in found["tests"]
    ]
    parts = ["### Tests on the device"]
    if rows:
        parts.append(table(["program", "passed", "failed", "ignored", "s", ""], rows))
    runs = [
        [r["name"], r["wrong"] or "ok", f"{r['seconds']:.0f}", "–" if r["apart"] is None else f"{r['apart']:.1e}"]
        for r in found["smoke"]
    ]
    return "\n\n".join([*parts, table(["run", "", "s", "the first step, from the CPU's"], runs)])


def goals(found):
    """Each goal with its measurement, for the rows at the largest number of videos that fits."""
    lines, rows = [], found["rows"]
    for tried in filter(None, rows.values()):
        last = tried[-1]
        by, title = last["by"], last["title"]
        best = "compile" if "compile" in by else eager(by)[0]
        what = "compile" if best == "compile" else "eager"
        if value := turns.ratio(by, best):
            lines.append(goal(f"{title}: {value:.2f}× {best}", value >= GOALS[what], f"≥ {GOALS[what]:.2f}×"))
        g, t = by["glad"].get("device_mib"), by.get(best, {}).get("device_mib")
        if g and t:
            lines.append(goal(f"{title}: memory {g / t:.2f}× {best}", g / t <= GOALS["memory"], f"≤ {GOALS['memory']}×"))
    busy = ((found.get("fed") or {}).get("gpu") or {}).get("busy")
    if busy is not None:
        lines.append(goal(f"fed from files: GPU busy {busy:.0f} %", busy >= GOALS["busy"], f"≥ {GOALS['busy']} %"))
    return "\n".join(lines)


def goal(text, met, wanted):
    return f"- {text} ({wanted}): {'met' if met else 'NOT MET'}"


def wrong(found):
    """What failed, was left out or ran out of memory, as text."""
    lines = [f"- {name}: {why}" for name, why in found["failed"].items()]
    lines += [f"- {text}" for text in (checks.wrong(found["checks"]) if found.get("checks") else [])]
    for tried in found["rows"].values():
        for at in tried:
            for program, by in at["by"].items():
                if by.get("out_of_memory"):
                    lines.append(f"- {at['title']}, {program}: out of memory")
                elif by.get("failed"):
                    lines.append(f"- {at['title']}, {program}: {by['failed']}")
                # JSON cannot express numbers that are not finite.
                elif by["ms"] and (by.get("loss") is None or not math.isfinite(by["loss"])):
                    lines.append(f"- {at['title']}, {program}: its loss is {by['loss']}")
    return "\n".join(lines)


def text(found):
    parts = [f"# glad on a GPU\n\n{head(found)}"]
    if found["device"] == "cpu":
        parts.append("A dry run on the CPU with tiny sizes: its numbers mean nothing.")
    if found["rows"]:
        parts += filter(None, [steps(found), recorded(found)])
    if found.get("fed"):
        parts.append(fed(found))
    if found["device"] != "cpu" and (listed := goals(found)):
        parts.append(f"### Goals\n\n{listed}")
    if found.get("checks"):
        parts.append(tests(found["checks"]))
    if listed := wrong(found):
        parts.append(f"### What failed or was left out\n\n{listed}")
    return "\n\n".join(parts) + "\n"

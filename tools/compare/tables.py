"""The tables of benches/README.md, from what compute.py found."""

import statistics

GOALS = {"tsm50": 1.25, "i3d8": 1.5, "i3d32": 1.5, "glad_tsm50": 1.25}


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "|".join("---" if i == 0 else "---:" for i in range(len(head))) + "|"]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def number(ms):
    return f"{ms:.0f}" if ms >= 100 else f"{ms:.1f}" if ms >= 10 else f"{ms:.2f}"


def median(found, name):
    return statistics.median(found[name]["ms"])


def fastest(found, layout):
    """The faster of PyTorch's two allocators in a layout."""
    names = [n for n in (layout, layout + "_kept") if not found[n].get("out")]
    return min(names, key=lambda n: median(found, n))


def speed(found, name):
    """How many times as fast glad is: the median of the rounds' ratios."""
    return statistics.median(t / g for t, g in zip(found[name]["ms"], found["glad"]["ms"]))


def used(found, name):
    return found[name]["peak_mib"] - found[name]["start_mib"]


def rate(by, machine):
    """GF/s of glad's step and its share of the peak: three times the forward pass's multiply-adds."""
    gf = 6e-6 * by["glad"]["facts"]["multiply_adds"] / median(by, "glad")
    return f"{gf:.0f} ({100 * gf / machine['gf_per_s']:.0f} %)"


def steps(found, machine):
    compiled = any("contiguous_compile" in f["by"] for row in found.values() for f in row.values())
    times, memory = [], []
    for name, row in found.items():
        for threads, one in row.items():
            by = one["by"]
            layouts = [fastest(by, layout) for layout in ("contiguous", "channels_last")]
            best = min(layouts, key=lambda n: median(by, n))
            cells = [number(median(by, n)) + (" k" if n.endswith("_kept") else "") for n in layouts]
            if compiled:
                tried = [number(median(by, n)) for n in by if n.endswith("_compile")]
                cells.append(" / ".join(tried) or "–")
            goal = f"{GOALS[name]:.2f}" if name in GOALS else "–"
            times.append([one["title"], threads, *cells, number(median(by, "glad")), f"**{speed(by, best):.2f}×**", goal])
            times[-1].append(rate(by, machine[threads]))
            torch = [n for n in by if n != "glad" and not n.endswith("_compile")]
            least = min(torch, key=lambda n: used(by, n))
            g = used(by, "glad")
            memory.append(
                [one["title"], threads, f"{used(by, best):.0f}", f"{used(by, least):.0f} ({least.replace('_kept', ' k').replace('_', '-')})"]
                + [f"{g:.0f}", f"**{g / used(by, least):.2f}×**", f"{by[best]['start_mib']:.0f} / {by['glad']['start_mib']:.0f}"]
            )
    head = ["step", "threads", "PyTorch contiguous, ms", "channels-last, ms"] + (["compiled, ms"] if compiled else [])
    first = table(head + ["glad, ms", "speed", "goal", "glad, GF/s (of the peak)"], times)
    head = ["step", "threads", "fastest PyTorch, MiB", "least PyTorch, MiB", "glad, MiB", "memory", "before the network, MiB"]
    return first + f"\n\n{table(head, memory)}"


def name_of(c):
    """A convolution in words."""
    t, h, w = c["input"]
    size = f"{c['n'] * t if t == 1 else t}×{h}²"
    kernel = "×".join(map(str, c["kernel"][1:] if t == 1 else c["kernel"]))
    stride = f" /{c['stride'][2]}" if c["stride"][2] > 1 else ""
    return f"{kernel}{stride} {c['ci']}→{c['co']}, {size}"


def giga(op):
    """Operations of a pass of a convolution or linear layer, in units of 10⁹."""
    if op["op"] == "linear":
        return 2e-9 * op["rows"] * op["inputs"] * op["outputs"]
    out = [(i + 2 * p - k) // s + 1 for i, p, k, s in zip(op["input"], op["pad"], op["kernel"], op["stride"])]
    taps = op["kernel"][0] * op["kernel"][1] * op["kernel"][2]
    return 2e-9 * op["n"] * out[0] * out[1] * out[2] * op["ci"] * op["co"] * taps


def gigabytes(op, key):
    """The data that a pass reads and writes without caches, in GB."""
    if op["op"] == "norm":
        # Statistics and normalisation read x; backward reads x and dy twice, with a residual y too, and writes its gradient.
        streams = {"forward": 4 if op["residual"] else 3, "backward": 8 if op["residual"] else 5}[key]
        return 4e-9 * op["rows"] * op["channels"] * streams
    if op["op"] == "pool":
        out = [(i + 2 * p - k) // s + 1 for i, p, k, s in zip(op["input"], op["pad"], op["kernel"], op["stride"])]
        x, y = (op["n"] * op["channels"] * a[0] * a[1] * a[2] for a in (op["input"], out))
        return 1e-9 * (4 * x + 5 * y)
    if op["op"] == "shift":
        return 8e-9 * op["t"] * op["n"] * op["pixels"] * op["channels"]
    if op["op"] == "sgd":
        return 4e-9 * 5 * sum(op["sizes"])
    return 4e-9 * op["inputs"] * op["outputs"]


PASSES = {"forward": "forward", "input": "dX", "weight": "dW", "backward": "backward", "step": "step"}


def convolutions(listed, peak):
    rows, total = [], {}
    for at, one in enumerate(listed):
        gf = giga(one["op"])
        cells = [one["name"] + (f" (×{one['times']})" if one["times"] > 1 else "")]
        for key in ("forward", "input", "weight"):
            if at == 0 and key == "input":
                # The first layer's input needs no gradient.
                cells.append("–")
                continue
            torch = min(one[layout][key] for layout in ("contiguous", "channels_last"))
            glad = one["glad"][key]
            cells.append(f"{number(torch)} / {number(glad)} = **{torch / glad:.2f}×** ({100 * gf / glad * 1e3 / peak:.0f} %)")
            sums = total.setdefault(key, [0, 0, 0])
            for i, v in enumerate((torch, glad, gf)):
                sums[i] += v * one["times"]
        rows.append(cells)
    cells = ["all"]
    for key in ("forward", "input", "weight"):
        torch, glad, gf = total[key]
        cells.append(f"{number(torch)} / {number(glad)} = **{torch / glad:.2f}×** ({100 * gf / glad * 1e3 / peak:.0f} %)")
    return table(["convolution", "forward", "dX", "dW"], rows + [cells])


def others(listed, machine):
    rows = []
    for one in listed:
        for key in one["glad"]:
            layouts = [one[layout][key] for layout in ("contiguous", "channels_last")]
            glad = one["glad"][key]
            rate = gigabytes(one["op"], key) / glad * 1e3
            rows.append(
                [f"{one['name']}, {PASSES[key]}", *map(number, layouts), number(glad), f"**{min(layouts) / glad:.2f}×**"]
                + [f"{rate:.1f}", f"{100 * rate / machine['gb_per_s']:.0f} %"]
            )
    head = ["operation", "PyTorch contiguous, ms", "channels-last, ms", "glad, ms", "speed", "glad, GB/s", "of the machine's"]
    return table(head, rows)


def heads(by):
    """All heads with all numbers of threads."""
    rows = []
    for threads, one in by.items():
        for h in one["heads"]:
            ms = [f"{h[key]:.3f}" if key in h else "–" for key in ("eager", "compiled", "glad")]
            torch = min(h[key] for key in ("eager", "compiled") if key in h)
            rows.append([h["name"], threads, *ms, f"**{torch / h['glad']:.2f}×**"])
    return table(["head", "threads", "PyTorch, ms", "compiled, ms", "glad, ms", "speed"], rows)


def text(found):
    """All tables with results."""
    parts = []
    ops = found["ops"]
    torch = next((o["versions"]["version"] for o in ops.values()), None)
    torch = torch or next((o["version"] for o in found.get("heads", {}).values()), None)
    for row in found["steps"].values():
        for one in row.values():
            torch = torch or one["by"]["contiguous"]["facts"]["version"]
    can = [f"{m['gf_per_s']:.0f} GF/s and {m['gb_per_s']:.1f} GB/s with {t} thread{'s' if t != '1' else ''}" for t, m in found["machine"].items()]
    isa = next(iter(found["machine"].values()))["isa"]
    parts.append(f"{found['date']}, {found['processor']}, {found['cores']} cores, {isa}, which can do {', '.join(can)}; PyTorch {torch}.")
    if found["steps"]:
        parts += ["### Whole steps", steps(found["steps"], found["machine"])]
    for threads, one in ops.items():
        machine = found["machine"][threads]
        parts.append(f"### Operations, {threads} thread{'s' if threads != '1' else ''}")
        titles = {"resnet50": "ResNet-50, 8 frames of 224×224", "i3d_r50": "I3D, a clip of 32×224×224"}
        for group, title in titles.items():
            if group in one:
                parts += [f"{title}: PyTorch's best layout / glad, ms, and glad's share of the peak.", convolutions(one[group], machine["gf_per_s"])]
        if "others" in one:
            parts.append(others(one["others"], machine))
    if found.get("heads"):
        parts += ["### Heads", heads(found["heads"])]
    return "\n\n".join(parts) + "\n"

"""glad's compute engine and PyTorch on this machine's CPU, side by side: whole training steps with their peak memory,
and operations.

  python3 -m venv /tmp/compare && /tmp/compare/bin/pip install torch safetensors numpy
  /tmp/compare/bin/python tools/compare/compute.py --out benches/README.md

prints the tables and inserts them into benches/README.md, in more than half an hour on 2 cores. Rows and threads can be
chosen:

  … compute.py --only tsm50,i3d8 --threads 1       two rows of whole steps
  … compute.py --only tsm50 --into found.json      results are added to a file, and the tables are of all in it
  … compute.py --ops resnet50                      operations only: resnet50, i3d_r50, others, heads

How it is measured. Each program is a separate process; they alternate step by step, in an order that changes from round to
round, so that other load on the machine affects all alike. Times are medians over rounds, ratios are medians of the rounds'
ratios. PyTorch runs in both of its layouts (contiguous and channels-last), each with the C library's default allocator and
with freed memory kept (as glad keeps it, by the environment), and glad is compared with the fastest of the four (where a
round takes minutes, an allocator that was slower in the first is left out of the next). Peak memory is that of the process
above what it held before the network was made, and glad is compared with the least of the four. Operations are the best of several runs on both sides; PyTorch's with freed memory kept. Heads
are passes forward and backward; both programs alternate, and the shortest of each counts, with one thread by its processor time,
which other load does not lengthen.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

import rows
import tables
from workers import ROOT, Ended, Worker

HERE = Path(__file__).resolve().parent
# What `run::keep_freed_memory` does in glad.
KEPT = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(2**31 - 1), "MALLOC_TOP_PAD_": str(64 << 20)}
BENCHES = ("step", "ops", "heads")
# A round of steps that takes more seconds is long: not every variant of PyTorch is worth another.
LONG = 40
LAYOUTS = {"contiguous": [], "channels_last": ["--channels-last"]}


def say(text):
    print(text, file=sys.stderr, flush=True)


def build():
    """The programs of glad, built: paths by name."""
    say("building glad's benchmarks …")
    command = ["cargo", "bench", "--no-run", "-p", "glad", "-p", "glad-nodes", "-p", "glad-ops", "--features", "glad-nodes/testing"]
    command += [part for name in BENCHES for part in ("--bench", name)]
    made = subprocess.run(command + ["--message-format", "json"], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    if made.returncode:
        sys.exit("cargo could not build them")
    found = [json.loads(line) for line in made.stdout.splitlines()]
    return {m["target"]["name"]: m["executable"] for m in found if m.get("executable")}


def available_mib():
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) / 1024


def starters(row, threads, step, compiled):
    """The command of each program of a row, by name."""
    python = [sys.executable, str(HERE / "steps.py"), "--spec", json.dumps(row["spec"]), "--threads", str(threads)]
    found = {"glad": lambda: Worker([step, *row["command"], "--threads", str(threads), "--serve"])}
    for layout, flags in LAYOUTS.items():
        for kept in (False, True):
            name = layout + ("_kept" if kept else "")
            found[name] = lambda flags=flags, kept=kept: Worker(python + flags, KEPT if kept else None)
        if compiled:
            found[layout + "_compile"] = lambda flags=flags: Worker(python + flags + ["--compile"], KEPT)
    return found


def measure(row, threads, args, step):
    """Rounds in which every program does a step: milliseconds and memory of each."""
    start = starters(row, threads, step, args.compile)
    found = {name: {"ms": [], "peak_mib": 0, "start_mib": 0} for name in start}
    free, held, largest, alive = available_mib(), 0, 0, {}

    def started(name):
        worker = start[name]()
        ready = worker.read()
        found[name] |= {k: ready[k] for k in ("start_mib", "parameters")} | {"facts": ready}
        # Work of the first steps only (PyTorch's choice of kernels, memory that is kept) is not timed.
        if worker.ask()["ms"] < 8000:
            worker.ask()
        return worker

    def timed(name, worker):
        answer = worker.ask()
        found[name]["ms"].append(answer["ms"])
        found[name]["peak_mib"] = max(found[name]["peak_mib"], answer["peak_mib"])

    began, names = time.monotonic(), list(start)
    for turn in range(args.rounds):
        order = names[turn % len(names) :] + names[: turn % len(names)]
        for name in order:
            worker = alive.get(name) or started(name)
            timed(name, worker)
            if name not in alive:
                # Programs stay alive while there is memory for one more; else each starts anew in every round.
                size = found[name]["start_mib"] + found[name]["peak_mib"]
                held, largest = held + (size if turn == 0 else 0), max(largest, size)
                if turn == 0 and held + largest < 0.8 * free:
                    alive[name] = worker
                else:
                    worker.end()
        latest = " ".join(f"{n} {found[n]['ms'][-1]:.0f}" for n in names)
        say(f"  {row['title']}, {threads} threads, round {turn + 1}: {latest} ms")
        if turn == 0 and sum(found[n]["ms"][0] for n in names) > LONG * 1e3:
            # Of each layout the faster allocator continues.
            for pair in [[n for n in names if n.removesuffix("_kept") == layout] for layout in LAYOUTS]:
                slower = max(pair, key=lambda n: found[n]["ms"][0])
                found[slower]["out"] = True
                names.remove(slower)
                if slower in alive:
                    alive.pop(slower).end()
        if turn >= 2 and time.monotonic() - began > args.seconds:
            break
    for worker in alive.values():
        worker.end()
    counts = {name: f["parameters"] for name, f in found.items()}
    if len(set(counts.values())) > 1:
        sys.exit(f"{row['title']}: the networks differ in their numbers of parameters: {counts}")
    return found


def measure_machine(threads, ops):
    """Peak of multiply-adds and bandwidth of memory, with this many threads."""
    glad = Worker([ops, f"threads={threads}"])
    found = glad.ask(json.dumps({"op": "machine"}))
    glad.end()
    return found


def measure_ops(wanted, threads, args, ops):
    """Milliseconds of each pass of each operation, by group."""
    glad = Worker([ops, f"threads={threads}"])
    torch = Worker([sys.executable, str(HERE / "ops.py"), "--threads", str(threads)], KEPT)
    found = {"versions": torch.read()}
    for group in wanted:
        shapes = {"resnet50": rows.resnet50, "i3d_r50": rows.i3d_r50}.get(group)
        listed = [(tables.name_of(c), c, times) for c, times in shapes()] if shapes else [(n, o, 1) for n, o in rows.others()]
        found[group] = []
        for name, op, times in listed:
            merged = {"name": name, "op": op, "times": times, "glad": {}, "contiguous": {}, "channels_last": {}}
            for turn in range(args.op_rounds):
                for who in ("glad", "contiguous", "channels_last")[:: 1 if turn % 2 == 0 else -1]:
                    request = {**op, "ms": 60}
                    answer = glad.ask(json.dumps(request)) if who == "glad" else torch.ask(json.dumps({**request, "layout": who}))
                    for key, ms in answer.items():
                        merged[who][key] = min(ms, merged[who].get(key, ms))
            found[group].append(merged)
            say(f"  {group}, {threads} threads: {name}")
    glad.end()
    torch.end()
    return found


def measure_heads(threads, args, heads):
    """Milliseconds of a pass forward and backward of each head. Both programs have the same numbers, or the command stops."""
    glad = Worker([heads, f"threads={threads}"], KEPT)
    flags = ["--threads", str(threads)] + (["--compile"] if args.compile else [])
    torch = Worker([sys.executable, str(HERE / "heads.py"), *flags], KEPT)
    found = {"version": torch.read()["version"], "heads": []}
    for name, op in rows.heads():
        merged = {"name": name}
        for turn in range(args.head_rounds):
            request = json.dumps({**op, "ms": 60})
            asked = [(who.ask(request), who) for who in ([glad, torch] if turn % 2 else [torch, glad])]
            ours, theirs = (next(answer for answer, who in asked if who is one) for one in (glad, torch))
            for key in ("value", "slope"):
                if abs(ours[key] - theirs[key]) > 1e-3 * max(1.0, abs(theirs[key])):
                    sys.exit(f"{name}: the programs do not compute the same: {key} {ours[key]} and {theirs[key]}")
            # With one thread its own time, which other load does not lengthen; with more of them the clock's.
            at = 1 if threads == 1 else 0
            answers = {"glad": [ours["step"], ours["cpu"]][at]} | {f: theirs[f][at] for f in ("eager", "compiled") if f in theirs}
            merged |= {key: min(ms, merged.get(key, ms)) for key, ms in answers.items()}
        found["heads"].append(merged)
        say(f"  {name}, {threads} threads: " + ", ".join(f"{f} {merged[f]:.3f}" for f in ("eager", "compiled", "glad") if f in merged) + " ms")
    glad.end()
    torch.end()
    return found


def processor():
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":")[1].strip()
    return platform.processor()


def write(path, text):
    """Writes a file: between its marks, or as the whole file."""
    old = path.read_text() if path.exists() else ""
    (head, begin, rest), end = old.partition("<!-- tables -->\n"), "<!-- end of tables -->"
    path.write_text(head + begin + "\n" + text + "\n" + end + rest.partition(end)[2] if begin else text)


def main():
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    known = rows.steps(1)
    groups = ["resnet50", "i3d_r50", "others", "heads"]
    parse.add_argument("--only", help=f"rows of whole steps, of {','.join(known)}; no operations unless --ops is given")
    parse.add_argument("--ops", nargs="?", const=",".join(groups), help=f"operations, of {','.join(groups)}; no rows unless --only is given")
    parse.add_argument("--threads", default="1,2", help="numbers of threads [1,2]")
    parse.add_argument("--clips", type=int, default=1, help="clips of a step of tsm50, i3d8, i3d32 [1]")
    parse.add_argument("--rounds", type=int, default=9, help="rounds of a row, at most [9]")
    parse.add_argument("--seconds", type=float, default=30, help="no further round of a row after so long (three at least) [30]")
    parse.add_argument("--op-rounds", type=int, default=2, help="rounds of an operation [2]")
    parse.add_argument("--head-rounds", type=int, default=7, help="rounds of a head [7]")
    parse.add_argument("--compile", action="store_true", help="also torch.compile, of which the faster counts for heads (a minute or more a row; needs a C++ compiler)")
    parse.add_argument("--into", type=Path, help="a JSON file that results are added to")
    parse.add_argument("--out", type=Path, help="where the tables go, besides standard output; of a file with the marks of benches/README.md the rest stays")
    args = parse.parse_args()
    neither = args.only is None and args.ops is None
    names = args.only.split(",") if args.only else list(known) if neither else []
    wanted = args.ops.split(",") if args.ops else groups if neither else []
    for unknown in [n for n in names if n not in known] + [w for w in wanted if w not in groups]:
        sys.exit(f"there is no row and no group `{unknown}`; rows: {', '.join(known)}; groups: {', '.join(groups)}")
    threads = [int(t) for t in args.threads.split(",")]
    found = json.loads(args.into.read_text()) if args.into and args.into.exists() else {}
    for part in ("machine", "steps", "ops", "heads"):
        found.setdefault(part, {})
    programs = build()
    found |= {"processor": processor(), "cores": os.cpu_count(), "date": time.strftime("%Y-%m-%d")}

    def keep():
        if args.into:
            args.into.write_text(json.dumps(found))

    for t in threads:
        found["machine"][str(t)] = measure_machine(t, programs["ops"])
    for name in names:
        row = rows.steps(args.clips)[name]
        for t in threads:
            by = measure(row, t, args, programs["step"])
            found["steps"].setdefault(name, {})[str(t)] = {"title": row["title"], "by": by}
            keep()
    shapes = [group for group in wanted if group != "heads"]
    for t in threads if shapes else []:
        found["ops"].setdefault(str(t), {}).update(measure_ops(shapes, t, args, programs["ops"]))
        keep()
    for t in threads if "heads" in wanted else []:
        found["heads"][str(t)] = measure_heads(t, args, programs["heads"])
        keep()
    text = tables.text(found)
    print(text)
    if args.out:
        write(args.out, text)


if __name__ == "__main__":
    try:
        main()
    except Ended as e:
        sys.exit(str(e))

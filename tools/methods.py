#!/usr/bin/env python3
"""Trains every method on the small data set, and prints a page that says which of them learned.

    cargo build --release
    python3 tools/methods.py --out docs/methods_mini.md        # every method; hours on 2 cores
    python3 tools/methods.py --only adda,mcd                   # some of them
    python3 tools/methods.py --show                            # the page of what is done so far; runs nothing

The methods are the graphs of graphs/methods, with full, gla, dann and source_only, so that a new file there is taken up by
itself. Each is run as a user would, with the setting that it names. What a method needs besides, it gets:

- one on features (its `nodes.videos` is a `feature_list`): those of `source_only`, trained before, N clips a video;
- one with a second source: both sources are halves of the training list.

Runs are kept in a folder (--keep, by default target/methods), one for each seed. What is done is not run again, unless its graph
changed since; what was stopped is resumed. A seed is that of the data and of the training: seed 0 is the page's, and lengths and
rates in the methods' files are chosen on others (--seed 1). The exit code is 1 where a method failed, or is not done.
"""

import argparse
import csv
import datetime
import json
import math
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import threading
import time
import tomllib
from concurrent.futures import ThreadPoolExecutor

ROOT = pathlib.Path(__file__).resolve().parent.parent
BESIDE = ["source_only", "dann", "gla", "full"]  # of graphs/, next to the folder of methods
SPLITS = ["source_train", "source_test", "target_train", "target_test"]
STEPS = 20  # over which the first and the last loss are means
TIMES = 3  # the accuracy on the source is at least so many times chance
SHARE = 0.5  # the class term ends at most at this share of ln K


def say(text):
    print(text, file=sys.stderr, flush=True)


def graphs():
    """The graphs by their names on the page."""
    found = {name: ROOT / f"graphs/{name}.toml" for name in BESIDE}
    return found | {f"methods/{p.stem}": p for p in sorted((ROOT / "graphs/methods").glob("*.toml"))}


def commit():
    git = lambda *a: subprocess.run(["git", *a], cwd=ROOT, capture_output=True, text=True).stdout.strip()
    return git("rev-parse", "--short=10", "HEAD") + (" and changes" if git("status", "--porcelain", "-uno") else "")


def processor():
    found = re.search(r"^model name\s*: (.*)$", pathlib.Path("/proc/cpuinfo").read_text(), re.M)
    return found[1] if found else "unknown processor"


class Trainer:
    """Runs graphs, each in a folder of its own."""

    def __init__(self, args):
        self.program = args.program.resolve()
        self.seed, self.threads = args.seed, args.threads
        self.keep = args.keep.resolve() / f"seed_{args.seed}"
        self.guard, self.locks, self.shared = threading.Lock(), {}, threading.Lock()

    def glad(self, *args):
        done = subprocess.run([self.program, *map(str, args)], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        return done.returncode, done.stdout, done.stderr

    def value(self, graph, path):
        """A value of the graph, or nothing where it has none there."""
        code, out, _ = self.glad("explain", graph, path)
        return tomllib.loads("value = " + out.splitlines()[0].split(" = ", 1)[1])["value"] if code == 0 else None

    def run(self, name, graph, more=()):
        """Runs a graph, from where it was stopped, and anew where it is another than before. Returns why it failed."""
        out = self.folder(name)
        here = [graph, "--seed", self.seed, "--threads", self.threads, "--workers", self.threads, "--out", out, "--quiet", "--go-on"]
        here += [a for m in more for a in ("--set", m)]
        with self.guard:
            lock = self.locks.setdefault(name, threading.Lock())
        with lock:  # `source_only` is what others need, too
            return out, self.begin(name, out, here)

    def begin(self, name, out, here):
        code, errors = self.timed(out, here)
        if code == 1 and "another graph" in errors:
            say(f"{name}: begun anew, since its graph has changed")
            shutil.rmtree(out)
            self.clock(out).unlink(missing_ok=True)
            code, errors = self.timed(out, here)
        if code == 130:
            raise KeyboardInterrupt
        return (" ".join(errors.split())[:300] or f"exit code {code}") if code else None

    def timed(self, out, args):
        """Runs glad, and adds the time that it took to that of its folder's runs before."""
        before, begin = self.seconds(out), time.monotonic()
        try:
            code, _, errors = self.glad(*args)
        finally:
            self.clock(out).write_text(f"{before + time.monotonic() - begin:.1f}")
        return code, errors

    def clock(self, out):
        return out.with_suffix(".seconds")

    def seconds(self, out):
        return float(self.clock(out).read_text()) if self.clock(out).exists() else 0.0

    def data(self):
        """The set of a data seed: every graph of it takes the same videos."""
        return [f"nodes.videos.generate.mini.seed={self.seed}"]

    def source(self):
        """The run of `source_only`, and the folder of the data that it generated."""
        out, failed = self.run("source_only", graphs()["source_only"], self.data())
        if failed:
            raise RuntimeError(f"source_only, which it needs: {failed}")
        first = next(csv.DictReader((out / "predictions.csv").open()))
        return out, pathlib.Path(first["video"]).parents[2]

    def features(self, rows):
        """Folders of features of the four lists, `rows` clips a video."""
        _, data = self.source()
        folders = {split: self.keep / f"features_{rows}" / split for split in SPLITS}
        if all(f.exists() for f in folders.values()):
            return folders
        # The phases are those of `source_only`, so that they are shared with it.
        clips = ["views.infer.dims={ G = %d, L = 0 }" % rows]
        run, failed = self.run(f"features_of_{rows}_clips", graphs()["source_only"], self.data() + clips)
        for split, folder in folders.items():
            if failed or folder.exists():
                continue
            code, _, errors = self.glad("predict", "--run", run, "--list", data / f"{split}.txt", "--port", "backbone.feature", "--out", folder, "--threads", self.threads, "--workers", self.threads, "--quiet")
            failed = errors if code else None
        if failed:
            raise RuntimeError(f"features: {failed}")
        return folders

    def halves(self):
        """Lists of the two halves of the training videos of the source."""
        _, data = self.source()
        lines = [l for l in (data / "source_train.txt").read_text().splitlines() if l and not l.startswith("#")]
        lists = []
        for half in range(2):
            lists.append(self.keep / f"source_train_half_{half + 1}.txt")
            lists[half].write_text("".join(f"{data / line}\n" for line in lines[half::2]))
        return lists

    def needs(self, graph):
        """What the graph does not bring itself."""
        quoted = lambda p: "'" + str(p) + "'"
        if self.value(graph, "nodes.videos.kind") == "feature_list":
            folders = self.features(self.value(graph, "dims.N"))
            size = next(csv.DictReader((folders["source_train"] / "index.csv").open()))["shape"].split("x")[-1]
            of = lambda s: "{ train = %s, val = %s, test = %s }" % tuple(quoted(folders[f"{s}_{x}"]) for x in ("train", "test", "test"))
            return [f"dims.D={size}", *(f"nodes.videos.{s}.list={of(s)}" for s in ("source", "target"))]
        if "source_2" in self.value(graph, "streams"):
            first, second = map(quoted, self.halves())
            return self.data() + [f"nodes.videos.source.list.train={first}", f"nodes.videos.source_2.list.train={second}"]
        return self.data()

    def method(self, name, graph):
        """What is known of a method after its run; kept next to it."""
        before = self.known(name)
        try:
            with self.shared:
                needs = self.needs(graph)
            out, failed = self.run(name, graph, needs)
            found = {"failed": failed} if failed else results(out)
        except RuntimeError as e:
            found = {"failed": str(e)[:300]}
        # A finished run that was only looked at again stays as it was.
        if before and {**before, "at": None} == {**found, "at": None}:
            return before
        seconds = round(self.seconds(self.folder(name)))
        found["at"] = {"commit": commit(), "date": f"{datetime.date.today()}", "seconds": seconds}
        self.path(name).write_text(json.dumps(found, indent=1))
        return found

    def folder(self, name):
        return self.keep / name.replace("/", "_")

    def path(self, name):
        return self.folder(name).with_suffix(".json")

    def known(self, name):
        return json.loads(self.path(name).read_text()) if self.path(name).exists() else None


def class_term(graph):
    """The phase, the round (if it has any) and the name of the loss by which the classes are learned, and whether that is a cross-entropy alone:
    the last phase with a loss that reads labels of the lists, and of its losses a cross-entropy, else the first."""
    reads = lambda t: [r for v in t.get("inputs", {}).values() for r in (v if isinstance(v, list) else [v])]

    def labelled(node, seen=frozenset()):
        refs = reads(graph["nodes"].get(node, {})) if node not in seen else []
        return any(r.startswith("batch.label") or labelled(r.split("@")[0].rsplit(".", 1)[0], seen | {node}) for r in refs)

    found = None
    for phase in graph["run"]:
        table = graph["phases"].get(phase, {})
        rounds = table.get("rounds") or {None: table}
        terms = [(r, name, loss) for r, t in rounds.items() for name, loss in t.get("losses", {}).items()]
        classes = []
        for r, name, loss in terms:
            at = loss.get("of", name) if isinstance(loss, dict) else name
            node = at if at in graph["nodes"] else at.rsplit(".", 1)[0]
            if labelled(node):
                plain = graph["nodes"][node]["kind"] == "cross_entropy"
                classes.append((not plain, (phase, r, name, plain)))
        found = min(classes, key=lambda c: c[0])[1] if classes else found
    return found


def results(run):
    """The numbers of a finished run."""
    graph = tomllib.loads((run / "graph.toml").read_text())
    summary = json.loads((run / "summary.json").read_text())
    of_classes = [s for s in summary["views"]["infer"]["scores"] if "mean_class_accuracy" in s["values"]]
    tables = {s["stream"]: s for s in sorted(of_classes, key=lambda s: s["node"] == "scores")}
    if not {"source", "target"} <= tables.keys():
        raise RuntimeError("the view `infer` does not score both streams")
    scores = {stream: s["values"]["mean_class_accuracy"] for stream, s in tables.items()}
    if (chosen := class_term(graph)) is None:
        raise RuntimeError("no loss of its phases reads labels")
    phase, round, term, plain = chosen
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    rows = [r for r in rows if r.get("phase") == phase and "view" not in r]
    key = f"{round}/{term}" if round else term
    mean = lambda of, name: statistics.fmean(r[name] for r in of)
    found = {"phase": phase, "term": key, "plain": plain, "steps": {}, "classes": len(tables["source"]["confusion"])}
    found |= {"first": mean(rows[:STEPS], key), "last": mean(rows[-STEPS:], key)}
    trained = [k for k in (f"{key}.accuracy", f"{round}/ce.accuracy" if round else "ce.accuracy") if k in rows[-1]]
    found["trained"] = mean(rows[-STEPS:], trained[0]) if trained else None
    for line in (run / "metrics.jsonl").read_text().splitlines():
        row = json.loads(line)
        if "phase" in row and "step" in row and "view" not in row:
            found["steps"][row["phase"]] = row["step"] + 1
    return found | {"source": scores["source"], "target": scores["target"]}


def wrong(found):
    """Why a method counts as not learned."""
    if found is None:
        return "not done"
    if found.get("failed"):
        return found["failed"]
    chance, why = 1 / found["classes"], []
    if found["source"] < TIMES * chance:
        why.append(f"accuracy on the source {100 * found['source']:.1f} %")
    if found["plain"] and found["last"] > SHARE * math.log(found["classes"]):
        why.append(f"`{found['term']}` ends at {found['last']:.2f}")
    return ", ".join(why)


def page(found, args, command):
    done = {name: f for name, f in found.items() if f and not f.get("failed")}
    k = statistics.mode([f["classes"] for f in done.values()] or [12])  # of the rule, each has its own: OSBP counts the unknown class
    commits = sorted({f["at"]["commit"] for f in found.values() if f})
    dates = sorted({f["at"]["date"] for f in found.values() if f})
    lines = [f"<!-- made by `{command}` -->", "", "# Every method on the small data set", ""]
    lines += [
        f"{' to '.join(sorted({*dates[:1], *dates[-1:]})) or 'nothing is done yet'}; {processor()}, {args.threads} thread{'s' * (args.threads > 1)} each, seed {args.seed} of data and training; commit{'s' * (len(commits) > 1)} {', '.join(commits)}.",
        "",
        "One seed shows that a method trains, and decides nothing between methods. Accuracies are mean class accuracies in percent: `training` is",
        f"that of the last {STEPS} steps' source videos, the others are of the test videos; chance is {100 / k:.1f}. The class term is the loss by which the",
        f"classes of the source are learned, at its first {STEPS} steps and at its last {STEPS}; chance is ln {k} = {math.log(k):.2f}. Steps are those of all phases, and",
        "seconds are of a machine with other work, without phases that another run had trained in the same way.",
        "",
        f"A method fails where its accuracy on the source's test videos is below {TIMES} times chance ({100 * TIMES / k:.1f}), or where its class term, if it is",
        f"a cross-entropy alone, ends above {SHARE:g} · ln K ({SHARE * math.log(k):.2f}).",
        "",
        "| graph | class term | first | last | training | source | target | steps | seconds | |",
        "|---|---|---:|---:|---:|---:|---:|---|---:|---|",
    ]
    percent = lambda x: "–" if x is None else f"{100 * x:.1f}"
    for name, f in ((n, f) for n, f in found.items() if f):
        why = wrong(f)
        verdict = f"**fails**: {why}" if why else "trains"
        if name not in done:
            lines.append(f"| `{name}` | – | – | – | – | – | – | – | – | {verdict} |")
            continue
        steps = ", ".join(f"{phase} {n}" for phase, n in f["steps"].items() if phase != "pretrain")
        term = f"`{f['term']}`" + (f" of {f['phase']}" if f["phase"] != "main" else "")
        numbers = [f"{f['first']:.2f}", f"{f['last']:.2f}", *(percent(f[x]) for x in ("trained", "source", "target"))]
        lines.append(f"| `{name}` | {term} | {' | '.join(numbers)} | {steps} | {f['at']['seconds']} | {verdict} |")
    fails = [name for name, f in found.items() if f and wrong(f)]
    left = [name for name, f in found.items() if f is None]
    lines += ["", f"{len(found) - len(left)} graphs: {len(found) - len(fails) - len(left)} train, {len(fails)} fail."]
    if left:
        lines += ["Not run here: " + ", ".join(f"`{name}`" for name in left) + "."]
    return "\n".join(lines) + "\n", bool(fails or left)


def main():
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("--only", help="graphs, separated by commas: `adda`, `full`")
    parse.add_argument("--seed", type=int, default=0, help="of the data and of the training")
    parse.add_argument("--threads", type=int, default=1, help="of each run")
    parse.add_argument("--jobs", type=int, default=1, help="runs at the same time")
    parse.add_argument("--keep", type=pathlib.Path, default=ROOT / "target/methods", help="the folder of the runs")
    parse.add_argument("--program", type=pathlib.Path, default=ROOT / "target/release/glad-run")
    parse.add_argument("--out", type=pathlib.Path, help="a file for the page, besides printing it")
    parse.add_argument("--show", action="store_true", help="only print what is known")
    args = parse.parse_args()
    every = graphs()
    short = {name.removeprefix("methods/"): name for name in reversed(every)} | {name: name for name in every}
    wanted = args.only.split(",") if args.only else list(every)
    if unknown := [w for w in wanted if w not in short]:
        parse.error(f"there is no graph {unknown[0]}: {', '.join(every)}")
    wanted = [short[w] for w in wanted]
    trainer = Trainer(args)

    def one(name):
        found = trainer.method(name, every[name])
        say(f"{datetime.datetime.now():%H:%M:%S} {name}: {wrong(found) or 'trains'} ({found['at']['seconds']} s)")

    if not args.show:
        if not trainer.program.exists():
            parse.error(f"there is no {trainer.program.name}: cargo build --release")
        trainer.keep.mkdir(parents=True, exist_ok=True)
        with ThreadPoolExecutor(args.jobs) as pool:
            try:
                list(pool.map(one, wanted))
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
    command = "python3 tools/methods.py" + (f" --seed {args.seed}" if args.seed else "") + (f" --threads {args.threads}" if args.threads != 1 else "")
    text, fails = page({name: trainer.known(name) for name in every if name in wanted or not args.only}, args, command)
    print(text, end="")
    if args.out:
        args.out.write_text(text)
    sys.exit(fails)


if __name__ == "__main__":
    main()

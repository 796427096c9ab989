#!/usr/bin/env python3
"""Mutation testing of what holds the numbers: a seeded sample of mutants for each part of the code, and what share of them the
tests notice.

    cargo install cargo-mutants --locked
    python3 tools/mutants.py                      # every part: some hours on 2 cores
    python3 tools/mutants.py training --shard 0/5 # a fifth of one part's sample
    python3 tools/mutants.py --shares             # what is known so far, with the mutants that no test notices

A part's mutants are drawn once by their names, so a shard is the same mutants on every machine, and results add up in
`target/mutants/results.json` until the code or its tests change (a mutant is known by its file, place and replacement).

Mutants are made in a copy of the tree, `target/mutants/tree`, with build folders of its own: the crate that is mutated is
compiled without optimisation and incrementally, since that is what takes the time. Only the tests are run that are quick and
meant for the part: the unit tests of its folder (`--lib`). The checker and the loader are held by graphs and by the messages
that people see (tests/bad_graphs), which are integration tests in this process; for these two parts they run, too.
"""

import argparse
import hashlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
WORK = ROOT / "target/mutants"
TREE = WORK / "tree"
RESULTS = WORK / "results.json"

# Name: package, files, mutants in the sample, goal in per cent, arguments of `cargo test`.
GRAPHS = ["--lib", "--test", "it", "--", "bad_graphs::", "check::", "load", "diag::"]
PARTS = {
    "training": ("glad", ["src/run/optim.rs", "src/run/exec.rs", "src/run/step.rs", "src/run/train.rs", "src/run/phase.rs", "src/run/data/*.rs"], 150, 90, ["--lib", "--", "run::"]),
    "check": ("glad", ["src/check/*.rs"], 30, 80, GRAPHS),
    "overlays": ("glad", [f"src/load/{f}.rs" for f in ("overlay", "merge", "layers", "set_arg", "open", "raw")], 30, 80, GRAPHS),
    "samplers": ("glad-nodes", ["nodes/src/data/*_sampler.rs", "nodes/src/data/starts.rs"], 30, 80, ["--lib", "--", "data::"]),
    "align": ("glad-nodes", ["nodes/src/align/*.rs"], 30, 80, ["--lib", "--", "align::"]),
    "loss": ("glad-nodes", ["nodes/src/loss/*.rs"], 30, 80, ["--lib", "--", "loss::"]),
    "order": ("glad-nodes", ["nodes/src/order/*.rs"], 30, 80, ["--lib", "--", "order::"]),
}


def copy_tree():
    """Brings the copy to what is here; files that are the same keep their times, so that little is built."""
    names = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, check=True)
    names = {n for n in names.stdout.decode().split("\0") if n and (ROOT / n).is_file()}
    for name in names:
        here, there = ROOT / name, TREE / name
        if not there.exists() or there.read_bytes() != here.read_bytes():
            there.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(here, there)
    for there in TREE.rglob("*"):
        name = there.relative_to(TREE)
        if there.is_file() and str(name) not in names and name.parts[0] not in ("target", "mutants.out", "mutants.out.old"):
            there.unlink()


def cargo_mutants(args, **options):
    env = {**os.environ, "CARGO_INCREMENTAL": "1", "CARGO_TARGET_DIR": str(WORK / "target"), "INSTA_UPDATE": "no"}
    return subprocess.run(["cargo", "mutants", *args], cwd=TREE, env=env, **options)


def sample(part):
    """The part's mutants, by name: those whose names' hashes are the smallest."""
    package, files, count, _, _ = PARTS[part]
    # Files that only tests have are no part of the program.
    listed = cargo_mutants(["--list", "-p", package, *[a for f in files for a in ("-f", f)]], capture_output=True, text=True, check=True)
    names = [n for n in listed.stdout.splitlines() if n and "/testing.rs" not in n]
    names.sort(key=lambda n: hashlib.blake2b(re.sub(r":\d+:\d+:", ":", n, count=1).encode() + n.encode()).digest())
    return names[:count]


def run(part, shard, known):
    package, files, _, _, tests = PARTS[part]
    at, of = shard
    names = [n for n in sample(part)[at::of] if n not in known.get(part, {})]
    if not names:
        return
    split = tests.index("--")
    args = ["--in-place", "--no-shuffle", "-p", package, *[a for f in files for a in ("-f", f)]]
    args += ["--re", "^(?:" + "|".join(map(re.escape, names)) + ")$"]
    args += [f"--cargo-arg={a}" for a in tests[:split]]
    args += [f"--cargo-arg=--config=profile.release.package.{package}.opt-level=0"]
    args += [f"--cargo-test-arg={a}" for a in tests[split:]]
    done = cargo_mutants(args).returncode
    # 2: some were missed, 3: some timed out.
    if done not in (0, 2, 3):
        sys.exit(f"cargo mutants failed with {done}: see {TREE / 'mutants.out'}")
    outcomes = json.loads((TREE / "mutants.out/outcomes.json").read_text())["outcomes"]
    for outcome in outcomes:
        if outcome["scenario"] != "Baseline":
            known.setdefault(part, {})[outcome["scenario"]["Mutant"]["name"]] = outcome["summary"]
    RESULTS.write_text(json.dumps(known, indent=1))


def shares(known):
    print(f"{'part':10} {'sample':>6} {'run':>5} {'caught':>6} {'missed':>6} {'share':>6}  goal")
    missed = []
    for part, (_, _, count, goal, _) in PARTS.items():
        found = list(known.get(part, {}).items())
        # What does not compile says nothing.
        found = [(n, s) for n, s in found if s not in ("Unviable", "Failure")]
        lost = sorted(n for n, s in found if s == "MissedMutant")
        missed += lost
        share = f"{100 * (1 - len(lost) / len(found)):.0f} %" if found else "-"
        print(f"{part:10} {count:6} {len(found):5} {len(found) - len(lost):6} {len(lost):6} {share:>6}  {goal} %")
    print(*([""] + ["missed:"] + missed if missed else []), sep="\n")


def main():
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("parts", nargs="*", help=f"which: {', '.join(PARTS)}; all by default")
    parse.add_argument("--shard", default="0/1", help="K/N: every N-th mutant of a sample, from the K-th on")
    parse.add_argument("--shares", action="store_true", help="only print what is known")
    parse.add_argument("--again", action="store_true", help="run what was missed once more, with today's tests")
    args = parse.parse_args()
    for part in args.parts:
        if part not in PARTS:
            parse.error(f"there is no part {part}: {', '.join(PARTS)}")
    WORK.mkdir(parents=True, exist_ok=True)
    known = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    if not args.shares:
        copy_tree()
        for part in args.parts or PARTS:
            if args.again:
                known[part] = {n: s for n, s in known.get(part, {}).items() if s != "MissedMutant"}
            run(part, tuple(map(int, args.shard.split("/"))), known)
    shares(known)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Mutation testing: the share of small mistakes in the code that its tests notice.

    cargo install cargo-mutants --locked
    python3 tools/mutants.py                      # every part
    python3 tools/mutants.py training --shard 0/5 # a fifth of one part's sample
    python3 tools/mutants.py --shares             # the results so far, with the mutants that no test notices

`cargo mutants --list` (settings: .cargo/mutants.toml) lists the mutants. Of each part a sample is taken by the hash of their
names, so a shard has the same mutants on every machine; results accumulate in `target/mutants/results.json` while the code is
unchanged. Building the program once for each mutant would take most of a day, so all of a part's mutants are built into one: the
body of a function becomes a `match` on a number in the environment (GLAD_MUTANT), with a copy of the body for each
mutant, in a copy of the tree below `target/mutants`. Mutants that do not compile are left out, as in cargo-mutants; so are
functions that return an `impl Trait`, whose copies are of different types.

The tests that run are the unit tests of the part's folder (`--lib`). The checker and the loader are tested by graphs with
their messages (tests/bad_graphs), too: there, these integration tests run, which need no other process, and take seconds.
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
TARGET = os.environ.get("CARGO_TARGET_DIR", str(WORK / "target"))
LIMIT = 120  # seconds, for a mutant that never ends

GRAPHS = [("it", ["bad_graphs::"]), ("it", ["check::", "load::", "load_layers::", "numbers::"])]
OVERLAYS = ("overlay", "merge", "layers", "set_arg", "open", "raw")
# Name: package, files, mutants in the sample, goal in per cent, and the tests that run, by the program that has them: those of
# each line only where those before noticed nothing.
PARTS = {
    "training": ("glad", ["src/run/{exec,step,train,phase}.rs", "src/run/optim/*.rs", "src/run/data/*.rs"], 150, 90, [("lib", ["run::tests::optimizer", "run::tests::adam", "run::tests::schedules", "run::tests::steps", "run::data::"]), ("lib", ["run::"])]),
    "check": ("glad", ["src/check/*.rs"], 30, 80, [("lib", ["check::"]), *GRAPHS]),
    "overlays": ("glad", [f"src/load/{{{','.join(OVERLAYS)}}}.rs"], 30, 80, [("lib", ["load::", "tree::", "keys::"]), *GRAPHS]),
    "samplers": ("glad-nodes", ["nodes/src/data/*_sampler.rs", "nodes/src/data/starts.rs"], 30, 80, [("lib", ["sampler"]), ("lib", ["data::"])]),
    "align": ("glad-nodes", ["nodes/src/align/*.rs"], 30, 80, [("lib", ["align::"])]),
    "loss": ("glad-nodes", ["nodes/src/loss/*.rs"], 30, 80, [("lib", ["loss::"]), ("lib", ["align::", "methods"])]),
    "order": ("glad-nodes", ["nodes/src/order/*.rs"], 30, 80, [("lib", ["order::"])]),
}
LIBRARIES = {"glad": "src/lib.rs", "glad-nodes": "nodes/src/lib.rs"}
CHOSEN = """
/// The mutant that the environment names.
pub(crate) fn mutant() -> u32 {
    static CHOSEN: std::sync::OnceLock<u32> = std::sync::OnceLock::new();
    *CHOSEN.get_or_init(|| std::env::var("GLAD_MUTANT").map_or(0, |n| n.parse().unwrap_or(0)))
}
"""


def listed(package, files):
    """The package's mutants by name, with numbers from 1."""
    globs = [g for f in files for g in braces(f)]
    out = subprocess.run(
        ["cargo", "mutants", "--list", "--json", "-p", package, *[a for g in globs for a in ("-f", g)]],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )
    all = [m for m in json.loads(out.stdout) if not m["file"].endswith("testing.rs") and m.get("function")]
    all = [m for m in all if "impl " not in m["function"]["return_type"]]
    return {m["name"]: m | {"number": i} for i, m in enumerate(all, 1)}


def braces(glob):
    found = re.match(r"(.*)\{(.*)\}(.*)", glob)
    return [found[1] + x + found[3] for x in found[2].split(",")] if found else [glob]


def sample(mutants, count):
    return sorted(mutants, key=lambda n: hashlib.blake2b(n.encode()).digest())[:count]


def offset(text, at):
    """The offset of a place given as line and column, in characters."""
    start = 0
    for _ in range(at["line"] - 1):
        start = text.index("\n", start) + 1
    return start + at["column"] - 1


def body(text, start, end):
    """The braces of a function's body."""
    depth = 0
    for i in range(start, end):
        depth += {"(": 1, "[": 1, ")": -1, "]": -1}.get(text[i], 0)
        if text[i] == "{" and depth == 0:
            return i, end
    sys.exit(f"a function without a body: {text[start:end][:80]}")


def with_mutants(text, mutants):
    """The file with all these mutants in it, and the lines of each."""
    functions = {}
    spans = {(offset(text, m["function"]["span"]["start"]), offset(text, m["function"]["span"]["end"])) for m in mutants}
    outer = {s for s in spans if not any(o != s and o[0] <= s[0] and s[1] <= o[1] for o in spans)}
    for m in mutants:
        at = (offset(text, m["span"]["start"]), offset(text, m["span"]["end"]))
        function = next(s for s in outer if s[0] <= at[0] and at[1] <= s[1])
        functions.setdefault(function, []).append((m, at))
    for (start, end), inside in sorted(functions.items(), reverse=True):
        a, b = body(text, start, end)
        arms = ""
        for m, (x, y) in inside:
            copy = text[a:x] + m["replacement"] + text[y:b]
            arms += f"/*mutant {m['number']}*/ {m['number']} => {copy}\n/*end*/\n"
        text = text[:a] + "{ match crate::mutant() {\n" + arms + "_ => " + text[a:b] + "\n} }" + text[b:]
    lines, current = {}, None
    for i, line in enumerate(text.split("\n"), 1):
        if found := re.match(r"/\*mutant (\d+)\*/", line):
            current = int(found[1])
        elif line.startswith("/*end*/"):
            current = None
        if current:
            lines[i] = current
    return text, lines


def write_tree(package, mutants):
    """Writes the tree with these mutants. Unchanged files keep their times, so that they are not rebuilt."""
    names = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, check=True)
    names = [n for n in names.stdout.decode().split("\0") if n and (ROOT / n).is_file()]
    # The tree is inside the checkout, whose settings hold there, too: twice the same flag would build every dependency again.
    names = [n for n in names if n != ".cargo/config.toml"]
    files, places = {}, {}
    for m in mutants:
        files.setdefault(m["file"], []).append(m)
    for name in names:
        data = (ROOT / name).read_bytes()
        if name in files:
            text, lines = with_mutants(data.decode(), files[name])
            data = text.encode()
            places |= {(name, line): n for line, n in lines.items()}
        if name == LIBRARIES[package]:
            data += CHOSEN.encode()
        there = TREE / name
        if not there.exists() or there.read_bytes() != data:
            there.parent.mkdir(parents=True, exist_ok=True)
            there.write_bytes(data)
            shutil.copymode(ROOT / name, there)
    for there in TREE.rglob("*"):
        if there.is_file() and str(there.relative_to(TREE)) not in names:
            there.unlink()
    return places


def build(package, wanted, mutants):
    """Builds the tests with all mutants that compile. Returns the programs' paths, and the mutants that do not."""
    sources = {"lib": TREE / LIBRARIES[package], "it": TREE / "tests/it/main.rs"}
    what = [a for w in wanted for a in {"lib": ["--lib"], "it": ["--test", "it"]}[w]]
    refused = set()
    env = {**os.environ, "CARGO_TARGET_DIR": TARGET, "CARGO_INCREMENTAL": "1"}
    while True:
        places = write_tree(package, [m for m in mutants if m["number"] not in refused])
        # Both packages, whichever has the mutants, so that their dependencies are built once, with one set of features.
        both = [a for p in LIBRARIES for a in ("-p", p, "--config", f"profile.release.package.{p}.opt-level=0")]
        command = ["cargo", "test", "--release", "--no-run", "--message-format=json", *both, *what]
        out = subprocess.run(command, cwd=TREE, env=env, capture_output=True, text=True)
        messages = [json.loads(line) for line in out.stdout.splitlines() if line.startswith("{")]
        if out.returncode == 0:
            programs = {m["target"]["src_path"]: m["executable"] for m in messages if m.get("executable") and m["profile"]["test"]}
            return {w: programs[str(sources[w])] for w in wanted}, refused
        errors = [m["message"] for m in messages if m["reason"] == "compiler-message" and m["message"]["level"] == "error"]
        found = {places.get((s["file_name"], s["line_start"])) for e in errors for s in all_spans(e) if s["is_primary"]} - {None}
        if not found:
            sys.exit("the mutants do not build:\n" + "\n".join(e["rendered"] for e in errors)[:4000] + out.stderr[-2000:])
        print(f"  {len(found)} mutants do not compile", flush=True)
        refused |= found


def all_spans(message):
    return message["spans"] + [s for child in message["children"] for s in all_spans(child)]


def fails(programs, package, tests, number):
    folder = TREE / pathlib.Path(LIBRARIES[package]).parent.parent
    env = {**os.environ, "GLAD_MUTANT": str(number), "INSTA_UPDATE": "no", "INSTA_WORKSPACE_ROOT": str(TREE)}
    for program, filters in tests:
        try:
            done = subprocess.run([programs[program], *filters], cwd=folder, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=LIMIT)
        except subprocess.TimeoutExpired:
            return True
        if done.returncode != 0:
            return True
    return False


def run(part, shard, known):
    package, files, count, _, tests = PARTS[part]
    mutants = listed(package, files)
    chosen = [mutants[n] for n in sample(mutants, count)]
    programs, refused = build(package, sorted({program for program, _ in tests}), chosen)
    if fails(programs, package, tests, 0):
        sys.exit(f"{part}: the tests fail without any mutant")
    results = known.setdefault(part, {})
    at, of = shard
    for i, m in enumerate(chosen[at::of]):
        if m["number"] in refused:
            results[m["name"]] = "does not compile"
        elif m["name"] not in results:
            results[m["name"]] = "caught" if fails(programs, package, tests, m["number"]) else "missed"
            print(f"  {part} {i + 1}: {results[m['name']]} {m['name']}", flush=True)
            RESULTS.write_text(json.dumps(known, indent=1))
    RESULTS.write_text(json.dumps(known, indent=1))


def shares(known):
    print(f"{'part':10} {'sample':>6} {'run':>5} {'caught':>6} {'missed':>6} {'share':>6}  goal")
    missed = []
    for part, (_, _, count, goal, _) in PARTS.items():
        found = [(n, s) for n, s in known.get(part, {}).items() if s != "does not compile"]
        lost = sorted(n for n, s in found if s == "missed")
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
        for part in args.parts or PARTS:
            if args.again:
                known[part] = {n: s for n, s in known.get(part, {}).items() if s != "missed"}
            run(part, tuple(map(int, args.shard.split("/"))), known)
    shares(known)


if __name__ == "__main__":
    main()

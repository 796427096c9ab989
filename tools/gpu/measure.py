"""Tests glad on a GPU and compares it with PyTorch: one table, within 8 minutes. Started by run.sh.

  tools/gpu/run.sh                              all, the most important first, as far as the budget lasts
  tools/gpu/run.sh --only tests                 some parts alone
  tools/gpu/run.sh --only i3d+compile --into target/gpu/results/results.json    more parts, added to what is there
  python3 tools/gpu/measure.py --dry-run-cpu    the same on the CPU with tiny sizes, of target/release, to try this program

Parts, in their order:
  tests                 the packed tests, and small runs of the whole method in each precision (smoke.py)
  tsm50, i3d            a training step of TSM-R50 and I3D-R50-NL with a classifier, on as many clips as the paper's batch has
                        (24 videos × 3 clips × 2 streams, 8 frames of 224×224), against PyTorch's eager mixed precision
  glad_tsm50, glad_i3d  a step of the whole method, 24 videos of each stream
  fed                   training for a while from video files generated on the spot
  glad_small            the whole method with the small network
  …+compile             the same rows against torch.compile
  …/4                   the same rows at a quarter of the batch
Where a batch does not fit all programs of its row, that is reported and half of it is tried.

PyTorch: bf16 autocast, channels-last (the networks in 3-D also contiguous), cudnn.benchmark, the faster of fused and foreach
SGD, ReLU and residual sum in place (tools/compare/steps.py). Both programs: random clips that are on the GPU, the clock
read after the GPU is done, peaks of the timed steps only.
"""

import argparse
import json
import signal
import statistics
import subprocess
import sys
import time
import traceback
from pathlib import Path

import gpu
import checks
import fed
import libraries
import page
import turns
from machine import ROOT, Ended, Machine, OverBudget, last_line, say

ROWS = ["tsm50", "glad_tsm50", "fed", "i3d", "tsm50+compile", "i3d+compile", "tsm50/4", "i3d/4", "glad_tsm50+compile"]
ROWS += ["glad_small", "glad_i3d", "tsm50/4+compile", "i3d/4+compile", "glad_i3d+compile", "glad_small+compile"]
PARTS = ["tests", *ROWS]
# The minimum time of a part, in seconds: with less left it is not begun.
LEAST = {"tests": 20, "fed": 60, "compile": 75}


def torch_facts():
    """PyTorch's version and libraries; None where it is missing."""
    code = "import torch; print(f'PyTorch {torch.__version__}, cuDNN {torch.backends.cudnn.version()}')"
    try:
        told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=90)
    except subprocess.TimeoutExpired:
        say("PyTorch is not there (it does not answer for 90 s): only glad is measured")
        return None
    if told.returncode:
        say(f"PyTorch is not there ({last_line(told.stderr)}): only glad is measured; PYTHON=… names a python3 that has it")
    return told.stdout.strip() or None


def local_package(out):
    """glad's programs of this checkout, for a dry run, in place of the package's."""
    made = subprocess.run(
        ["cargo", "bench", "--no-run", "-p", "glad", "--bench", "step", "--message-format", "json-render-diagnostics"],
        cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True,
    )
    subprocess.run(["cargo", "build", "--release", "-p", "glad", "--bin", "glad-run"], cwd=ROOT, check=True)
    found = [json.loads(line) for line in made.stdout.splitlines()]
    step = next(m["executable"] for m in found if m.get("executable") and m["target"]["name"] == "step")
    package = out / "package"
    (package / "bin/tests").mkdir(parents=True, exist_ok=True)
    links = {"bin/step": step, "bin/glad-run": ROOT / "target/release/glad-run", "graphs": ROOT / "graphs"}
    for name, target in links.items():
        (package / name).unlink(missing_ok=True)
        (package / name).symlink_to(target)
    return package


def part(name, machine, found, args):
    """Runs a part; the results go into `found`."""
    least = next((s for word, s in LEAST.items() if word in name), 25)
    machine.need(min(least, machine.budget / 4))
    if name == "tests":
        # Measuring comes second, and needs its time, too.
        found["checks"] = {}
        share = 1 if args.parts == ["tests"] else 0.35
        checks.measure(machine, args.sanitize, machine.left() * share, found["checks"], lambda: write(found, args.out))
    elif name == "fed":
        videos = largest(found, "glad_tsm50", ["glad"], machine)
        found["fed"] = fed.measure(machine, videos)
        found["fed"]["alone_ms"] = alone(found, videos)
    else:
        base, _, compiled = name.partition("+")
        row, _, quarter = base.partition("/")
        flags = turns.COMPILED if compiled else turns.step_rows(machine.tiny)[row][1]
        if not found["torch"]:
            if compiled:
                raise Ended("there is no PyTorch to compare with")
            flags = {}
        if not compiled and (quarter or row == "glad_small"):
            flags = {**flags, **turns.RECORDED}
        videos = paper(machine) // 4 if quarter else largest(found, row, ["glad", "eager"], machine)
        found["rows"][name] = []
        turns.measure(row, max(videos, 1), flags, machine, found["rows"][name], lambda: write(found, args.out))


def paper(machine):
    return 4 if machine.tiny else turns.PAPER


def largest(found, row, programs, machine):
    """The most videos at which none of the programs ran out of memory on this row; the paper's, if none was tried."""
    tried = found["rows"].get(row, [])
    fits = [t["videos"] for t in tried if not any(t["by"].get(p, {}).get("out_of_memory") for p in programs)]
    return max(fits, default=paper(machine))


def alone(found, videos):
    """glad's step on clips that are on the GPU already, in milliseconds."""
    for tried in found["rows"].get("glad_tsm50", []):
        if tried["videos"] == videos and tried["by"]["glad"]["ms"]:
            return statistics.median(tried["by"]["glad"]["ms"])
    return None


def write(found, out):
    """Writes the results so far, atomically: they must survive any later failure."""
    put(out / "results.json", json.dumps(found, indent=1) + "\n")
    try:
        text = page.text(found)
    except Exception:  # noqa: BLE001  (a page that cannot be written must not end the measuring)
        text = f"The page could not be made of results.json:\n\n```\n{traceback.format_exc()}```\n"
    put(out / "results.md", text)


def keep_earlier(args):
    """Renames results of an earlier call, unless they are added to."""
    for old in (args.out / "results.json", args.out / "results.md"):
        if old.exists() and args.into is None:
            old.replace(old.with_stem(time.strftime("results-%Y%m%d-%H%M%S", time.localtime(old.stat().st_mtime))))


def put(path, text):
    new = path.with_suffix(".new")
    new.write_text(text)
    new.replace(path)


def options():
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("--only", help=f"parts, of {','.join(PARTS)}")
    parse.add_argument("--budget", type=float, default=480, help="seconds for all [480]")
    parse.add_argument("--seconds", type=float, default=12, help="seconds of a row's rounds; twice that of training from files [12]")
    parse.add_argument("--device", default="cuda:0", help="the GPU [cuda:0]")
    parse.add_argument("--precision", default="bf16", choices=["bf16", "tf32", "f32"], help="of both programs [bf16]")
    parse.add_argument("--sanitize", metavar="TOOL", help="the tests under compute-sanitizer: memcheck, racecheck, …")
    parse.add_argument("--package", type=Path, help="the folder with bin/ and graphs/ [what build.sh packed: see run.sh]")
    parse.add_argument("--out", type=Path, default=ROOT / "target/gpu/results", help="where results and logs go")
    parse.add_argument("--into", type=Path, help="results.json of another call: what is measured now is added to it")
    parse.add_argument("--dry-run-cpu", action="store_true", help="on the CPU, tiny sizes")
    args = parse.parse_args()
    args.parts = args.only.split(",") if args.only else PARTS
    if unknown := [p for p in args.parts if p not in PARTS]:
        sys.exit(f"there is no part `{unknown[0]}`; parts: {', '.join(PARTS)}")
    return args


def start(args):
    """The machine, if it has everything that is needed; else reports what it lacks."""
    args.out = args.out.resolve()
    args.out.mkdir(parents=True, exist_ok=True)
    if args.dry_run_cpu:
        args.device, args.package = "cpu", args.package or local_package(args.out)
    if args.package is None:
        sys.exit("--package is not given: start this by tools/gpu/run.sh")
    machine = Machine(
        package=args.package.resolve(),
        out=args.out,
        device=args.device,
        precision=args.precision,
        budget=args.budget,
        seconds=2 if args.dry_run_cpu else args.seconds,
        gpu=gpu.NONE,
        tiny=args.dry_run_cpu,
    )
    lacks = [f"{p} is not there: make the package anew by tools/gpu/build.sh" for p in (machine.glad(), machine.package / "bin/step") if not p.exists()]
    if not lacks:
        try:
            path, missing = libraries.search_path(machine.glad())
            machine.env["LD_LIBRARY_PATH"] = path
            lacks += [f"not found: {m}" for m in missing]
        except OSError as e:
            lacks.append(str(e))
    if args.device != "cpu":
        machine.gpu = gpu.facts(machine.index, machine.env.get("LD_LIBRARY_PATH", ""))
        if machine.gpu["name"] is None:
            lacks.append(f"neither nvidia-smi nor NVIDIA's driver (libcuda.so.1) reports a GPU {machine.index}: is the driver installed?")
    if lacks:
        sys.exit("cannot begin:\n" + "\n".join(f"  {text}" for text in lacks))
    return machine


def main():
    args = options()
    machine = start(args)
    found = json.loads(args.into.read_text()) if args.into else {"rows": {}, "failed": {}}
    found |= {"date": time.strftime("%Y-%m-%d"), "device": args.device, "precision": args.precision, "gpu": machine.gpu}
    found |= {"torch": torch_facts(), "cores": machine.cores}
    found["torch_precision"] = {"bf16": "bf16 autocast", "tf32": "TF32", "f32": "f32"}[args.precision]
    keep_earlier(args)
    say(page.head(found))
    # A kill from outside also ends the started programs.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("killed"))
    for name in args.parts:
        say(f"— {name}")
        found["failed"].pop(name, None)
        try:
            part(name, machine, found, args)
        except OverBudget as e:
            found["failed"][name] = f"not measured: it {e}"
            say(f"  {found['failed'][name]}")
        except Exception as e:  # noqa: BLE001  (whatever is wrong with a part, the others go on)
            found["failed"][name] = turns.why(e)
            say(f"  failed: {found['failed'][name]}")
        finally:
            # Also when this program is killed.
            write(found, args.out)
    print((args.out / "results.md").read_text())
    say(f"written: {args.out / 'results.md'}, {args.out / 'results.json'}")


if __name__ == "__main__":
    main()

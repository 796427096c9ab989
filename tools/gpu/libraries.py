"""Where a program's CUDA libraries are: prints the value of LD_LIBRARY_PATH with which it starts, or reports what is missing.

  export LD_LIBRARY_PATH=$(python3 tools/gpu/libraries.py target/release/glad-run)

Searched, in this order: LD_LIBRARY_PATH as it is, the `nvidia` packages of this Python (PyTorch brings them), the
toolkit (CUDA_HOME, /usr/local/cuda*), and the folders of the driver. Folders in which nothing is found are left out.
"""

import glob
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

# Where a library comes from, by the beginning of its name.
SOURCES = {
    "libcuda.so": "NVIDIA's driver (580 or later, for CUDA 13)",
    "libcudnn": "cuDNN 9: `pip install nvidia-cudnn-cu13`",
    "libcublas": "cuBLAS: `pip install nvidia-cublas`",
    "libcurand": "cuRAND: `pip install nvidia-curand`",
    "libnvrtc": "NVRTC: `pip install nvidia-cuda-nvrtc`",
    "libcudart": "the CUDA runtime: `pip install nvidia-cuda-runtime`",
}


def folders():
    """Folders that may hold CUDA's libraries."""
    found = [f for f in os.environ.get("LD_LIBRARY_PATH", "").split(":") if f]
    spec = importlib.util.find_spec("nvidia")
    for root in spec.submodule_search_locations if spec else []:
        found += sorted(glob.glob(f"{root}/*/lib"))
    if home := os.environ.get("CUDA_HOME"):
        found += [f"{home}/lib64", f"{home}/lib"]
    found += sorted(glob.glob("/usr/local/cuda*/lib64"), reverse=True)
    found += ["/usr/local/nvidia/lib64", "/usr/lib/x86_64-linux-gnu/nvidia/current"]
    return list(dict.fromkeys(os.path.abspath(f) for f in found if os.path.isdir(f)))


def unresolved(program, path):
    """The libraries of a program that are not found."""
    env = {**os.environ, "LD_LIBRARY_PATH": path, "LC_ALL": "C"}
    try:
        told = subprocess.run(["ldd", str(program)], env=env, capture_output=True, text=True)
    except FileNotFoundError:
        raise OSError("ldd is missing, which lists the libraries that a program lacks (it comes with the C library: libc-bin)") from None
    if told.returncode:
        raise OSError(f"{program}: {told.stderr.strip() or 'not a program that can be run here'}")
    lines = told.stdout.splitlines() + told.stderr.splitlines()
    missing = [m[1] for line in lines if (m := re.match(r"\s*(\S+) => not found", line))]
    # A system library that is too old is reported in a separate line.
    return missing + [line.strip() for line in lines if "version `" in line and "not found" in line]


def search_path(program):
    """The value of LD_LIBRARY_PATH for a program, and libraries that are still missing, each with its source."""
    missing = unresolved(program, os.environ.get("LD_LIBRARY_PATH", ""))
    if not missing:
        return os.environ.get("LD_LIBRARY_PATH", ""), []
    asked = os.environ.get("LD_LIBRARY_PATH", "").split(":")
    # cuDNN and NVRTC load further libraries by name from their own folders.
    useful = [f for f in folders() if f in asked or any(glob.glob(f"{f}/{stem}*") for stem in SOURCES)]
    path = ":".join(useful)
    told = []
    for name in unresolved(program, path):
        source = next((s for stem, s in SOURCES.items() if name.startswith(stem)), None)
        told.append(f"{name}: from {source}" if source else name)
    return path, told


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    program = Path(sys.argv[1])
    if not program.exists():
        sys.exit(f"{program} is not there")
    path, missing = search_path(program)
    if missing:
        sys.exit("not found:\n" + "\n".join(f"  {m}" for m in missing) + "\nlooked in:\n  " + "\n  ".join(folders()))
    print(path)


if __name__ == "__main__":
    main()

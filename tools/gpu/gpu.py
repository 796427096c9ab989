"""Facts of the GPU from nvidia-smi: name, memory, processes and utilisation. Without nvidia-smi the driver gives the name, and
the rest is unknown."""

import os
import shutil
import subprocess
import sys
import threading
import time

NONE = {"name": None, "driver": None, "total_mib": None}


def query(what, *more):
    """Rows of nvidia-smi, or none where it is missing or does not answer."""
    if not shutil.which("nvidia-smi"):
        return []
    command = ["nvidia-smi", f"--query-{what}", "--format=csv,noheader,nounits", *more]
    try:
        told = subprocess.run(command, capture_output=True, text=True, timeout=20)
    except subprocess.TimeoutExpired:
        return []
    rows = [[cell.strip() for cell in line.split(",")] for line in told.stdout.splitlines() if line.strip()]
    return rows if told.returncode == 0 else []


def number(text):
    try:
        return float(text)
    except ValueError:
        return None


# In a separate process, with its own library path.
NAME = """
import ctypes, sys
cuda, gpu, name = ctypes.CDLL("libcuda.so.1"), ctypes.c_int(), ctypes.create_string_buffer(256)
status = cuda.cuInit(0) or cuda.cuDeviceGet(ctypes.byref(gpu), int(sys.argv[1])) or cuda.cuDeviceGetName(name, 256, gpu)
sys.exit(status) if status else print(name.value.decode())
"""


def facts(index, path):
    """Name, driver and memory of a GPU; `path`: where libraries are."""
    rows = query("gpu=name,driver_version,memory.total", f"--id={index}")
    if rows:
        name, driver, total = rows[0]
        return {"name": name, "driver": driver, "total_mib": number(total)}
    try:
        command, env = [sys.executable, "-c", NAME, str(index)], {**os.environ, "LD_LIBRARY_PATH": path}
        told = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)
    except subprocess.TimeoutExpired:
        return dict(NONE)
    return {**NONE, "name": told.stdout.strip() if told.returncode == 0 else None}


def held_by(pid):
    """MiB of GPU memory of a process, its context and libraries included; None where that is not reported."""
    rows = [r for r in query("compute-apps=pid,used_memory") if r[0] == str(pid)]
    return number(rows[0][1]) if rows else None


class Sampler:
    """Samples the GPU's utilisation ten times a second, until it is ended. Each value of nvidia-smi is the share of its own
    last period (a sixth of a second to a second) in which any kernel ran."""

    def __init__(self, index):
        self.samples, self.process = [], None
        if not shutil.which("nvidia-smi"):
            return
        what = "--query-gpu=utilization.gpu,memory.used,power.draw,clocks.sm"
        command = ["nvidia-smi", f"--id={index}", what, "--format=csv,noheader,nounits", "-lms", "100"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self):
        for line in self.process.stdout:
            values = [number(cell.strip()) for cell in line.split(",")]
            if len(values) == 4:
                self.samples.append((time.monotonic(), *values))

    def between(self, begin, end):
        """Means over a period: utilisation in percent, peak MiB in use, watts, MHz. None where there are none."""
        rows = [row[1:] for row in self.samples if begin <= row[0] <= end]
        names, summary = ("busy", "used_mib", "watts", "mhz"), {}
        for i, name in enumerate(names):
            values = [row[i] for row in rows if row[i] is not None]
            if values:
                summary[name] = max(values) if name == "used_mib" else sum(values) / len(values)
        return summary or None

    def end(self):
        if self.process:
            self.process.kill()
            self.process.wait()

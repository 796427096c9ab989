"""Programs that answer each line with a line of JSON, so that several can take turns."""

import json
import os
import queue
import subprocess
import sys
import threading
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


class Ended(Exception):
    """A program that ended, reported an error, or did not answer in time; `text` has the end of its output."""

    def __init__(self, what, text=""):
        super().__init__(what)
        self.text = text


class Worker:
    """A process that answers each line with a line of JSON. Its standard error goes to the file `log`, or is passed through."""

    def __init__(self, command, env=None, log=None, cwd=ROOT):
        self.command, self.log = [str(c) for c in command], log
        errors = open(log, "w") if log else None
        self.process = subprocess.Popen(
            self.command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            cwd=cwd,
            env={**os.environ, **(env or {})},
        )
        if errors:
            errors.close()
        self.lines = queue.Queue()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self):
        for line in self.process.stdout:
            if line.startswith("{"):
                self.lines.put(line)
            else:
                # No answer: output of a library.
                sys.stderr.write(line)
        self.lines.put(None)

    def read(self, seconds=None):
        """The next answer, within this many seconds."""
        try:
            line = self.lines.get(timeout=seconds)
        except queue.Empty:
            self.kill()
            raise Ended(f"no answer in {seconds:.0f} s", self.said()) from None
        if line is None:
            status = self.process.wait()
            raise Ended(f"{' '.join(self.command)}\nended with status {status}", self.said())
        found = json.loads(line)
        if "error" in found:
            self.kill()
            raise Ended(found["error"], found["error"])
        return found

    def ask(self, request="", seconds=None):
        try:
            self.process.stdin.write(request + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            # It has ended; reading shows how.
            pass
        return self.read(seconds)

    def said(self):
        """The end of what it wrote to standard error."""
        return Path(self.log).read_text(errors="replace")[-4000:] if self.log else ""

    def end(self, seconds=20):
        try:
            self.process.stdin.close()
            self.process.wait(timeout=seconds)
        except (BrokenPipeError, subprocess.TimeoutExpired):
            self.kill()

    def kill(self):
        self.process.kill()
        self.process.wait()

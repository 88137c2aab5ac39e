"""Run a tool that renders files of a repository: bounded in time, memory and output, with nothing of its user's in reach.

A chart can loop for ever and fill the memory, so each run is a process of its own, killed with its whole group. Its home, caches and
configuration are empty temporary folders, and proxies and credentials of the environment are not passed on.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import site
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic

from llmscan.records import Record

SECONDS = 30
MEMORY_KIB = 2 * 1024 * 1024
MAX_OUTPUT = 16 * 1024 * 1024
LIMITED = f'ulimit -v {MEMORY_KIB} 2>/dev/null; ulimit -c 0 2>/dev/null; exec "$@"'
OUT_OF_MEMORY = ("out of memory", "cannot allocate memory", "MemoryError", "errno=12", "failed to create new OS thread")
KEPT = ("PATH", "LANG", "SYSTEMROOT", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "VIRTUAL_ENV")


class ToolRun(Record, frozen=True):
    """What a tool printed. `stopped` says which limit ended it, in words that complete "it was stopped: …"; else ""."""

    output: str
    errors: str
    code: int
    stopped: str = ""

    @property
    def worked(self) -> bool:
        """Whether all of the output is there."""
        return self.code == 0 and not self.stopped


@contextlib.contextmanager
def workspace() -> Iterator[Path]:
    """An empty folder outside of every tree, gone afterwards."""
    with TemporaryDirectory(prefix="llmscan-", ignore_cleanup_errors=True) as folder:
        yield Path(folder).resolve()


def tool(*names: str) -> str | None:
    """The first of the commands that is on PATH."""
    return next((found for name in names if (found := shutil.which(name))), None)


def run_tool(command: Sequence[str], folder: Path, given: str = "") -> ToolRun:
    """Run `command` in `folder` (a workspace), with `given` as its input."""
    process = subprocess.Popen(
        [*_limits(), *command],
        cwd=folder,
        env=environment(folder),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    return _Watch(process, SECONDS).result(given.encode())


def _limits() -> list[str]:
    """The shell sets the limits and becomes the tool: no code runs between fork and exec, so threads may start tools."""
    return ["/bin/sh", "-c", LIMITED, "sh"] if os.name == "posix" else []


def environment(folder: Path) -> Mapping[str, str]:
    """The environment of a tool: a home without anything in it, and no cluster."""
    home = folder / "home"
    home.mkdir(exist_ok=True)
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    empty = {
        name: str(home)
        for name in ("HOME", "TMPDIR", "HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME", "HELM_PLUGINS")
    }
    empty["PYTHONUSERBASE"] = site.getuserbase()
    return kept | empty | {"KUBECONFIG": str(home / "none"), "GOMAXPROCS": "2"}


class _Watch:
    """Reads both pipes of a process up to their limits, and ends it when one is passed."""

    def __init__(self, process: subprocess.Popen[bytes], seconds: float) -> None:
        self.process, self.seconds = process, seconds
        self.stopped = ""

    def result(self, given: bytes) -> ToolRun:
        kept: list[bytearray] = [bytearray(), bytearray()]
        pipes = (self.process.stdout, self.process.stderr)
        readers = [
            threading.Thread(target=self._read, args=(pipe, into), daemon=True)
            for pipe, into in zip(pipes, kept, strict=True)
        ]
        threads = [*readers, threading.Thread(target=self._feed, args=(given,), daemon=True)]
        for thread in threads:
            thread.start()
        self._wait(readers)
        for thread in threads:
            thread.join(5)
        for pipe in pipes:
            if pipe is not None:
                pipe.close()
        output, errors = (bytes(part).decode("utf-8", "replace") for part in kept)
        code = self.process.wait()
        if code and not self.stopped and any(sign in errors for sign in OUT_OF_MEMORY):
            self.stopped = f"it took more than {MEMORY_KIB // 1024 // 1024} GB of memory"
        return ToolRun(output, errors, code, self.stopped)

    def _wait(self, readers: Sequence[threading.Thread]) -> None:
        """Until both pipes have ended and then the process, which does not poll; or until the time is up."""
        deadline = monotonic() + self.seconds
        try:
            for thread in readers:
                thread.join(max(0.0, deadline - monotonic()))
            self.process.wait(max(0.001, deadline - monotonic()))
        except subprocess.TimeoutExpired:
            self.stopped = self.stopped or f"it took more than {self.seconds:g} seconds"
        finally:
            self._kill()

    def _read(self, pipe: object, into: bytearray) -> None:
        while chunk := pipe.read1(65536):  # type: ignore[attr-defined]
            into += chunk
            if len(into) > MAX_OUTPUT:
                self.stopped = f"it printed more than {MAX_OUTPUT // 1024 // 1024} MB"
                self._kill()
                return

    def _feed(self, given: bytes) -> None:
        assert self.process.stdin is not None
        with contextlib.suppress(OSError):
            self.process.stdin.write(given)
        with contextlib.suppress(OSError):
            self.process.stdin.close()

    def _kill(self) -> None:
        """End the process and all that it started, unless it has ended and its number may be another's by now."""
        if self.process.returncode is not None:
            return
        with contextlib.suppress(OSError):
            if os.name == "posix":
                os.killpg(self.process.pid, signal.SIGKILL)
            else:
                self.process.kill()

"""Start real servers on loopback, each from a virtual environment of its own and in a folder of its own, and stop them for good."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent
INSTALLED = HERE.parent.parent / ".tools" / "servers"
PATIENCE = 120.0


class NotInstalled(Exception):
    """The server's package is not there; `install.sh` brings it."""


class DidNotStart(Exception):
    """The server ended, or did not answer in time; the text has the end of what it printed."""


@dataclass(frozen=True)
class Recipe:
    """How to start a server. Words may hold `{port}`, `{port2}`..., `{home}` (its own folder) and `{here}` (this folder)."""

    package: str
    command: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    ready: str = "/"
    files: Mapping[str, str] = field(default_factory=dict)
    prepare: Sequence[str] = ()
    stop: Sequence[str] = ()


class Server:
    """A started server: `url`, and `stop()`."""

    def __init__(self, recipe: Recipe, home: Path) -> None:
        self.recipe, self.home = recipe, home
        self.bin = INSTALLED / recipe.package / "bin"
        if not (INSTALLED / recipe.package / ".installed").exists():
            raise NotInstalled(recipe.package)
        self.ports = {"port": free_port(), "port2": free_port(), "port3": free_port(), "port4": free_port()}
        self.url = f"http://127.0.0.1:{self.ports['port']}"
        for name, text in recipe.files.items():
            (home / name).write_text(self._filled(text, braces=False))
        if recipe.prepare:
            subprocess.run(
                self._words(recipe.prepare),
                cwd=home,
                env=self._env(),
                check=True,
                capture_output=True,
                timeout=PATIENCE,
            )
        self._log = (home / "server.log").open("wb")
        self.process = subprocess.Popen(
            self._words(recipe.command),
            cwd=home,
            env=self._env(),
            stdout=self._log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )

    def wait(self) -> None:
        """Return as soon as it answers. Raises DidNotStart."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            if self.process.poll() is not None:
                break
            if self._answers():
                return
            time.sleep(0.2)
        tail = (self.home / "server.log").read_text(errors="replace")[-1500:]
        self.stop()
        raise DidNotStart(f"{self.recipe.package}: {tail}")

    def _answers(self) -> bool:
        with (
            suppress(OSError, http.client.HTTPException),
            closing(http.client.HTTPConnection("127.0.0.1", self.ports["port"], timeout=5)) as connection,
        ):
            connection.request("GET", self.recipe.ready)
            return connection.getresponse().status not in (502, 503)
        return False

    def stop(self) -> None:
        """End it and all that it started."""
        if self.recipe.stop and self.process.poll() is None:
            with suppress(subprocess.SubprocessError):
                subprocess.run(
                    self._words(self.recipe.stop), cwd=self.home, env=self._env(), capture_output=True, timeout=30
                )
        for wanted in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, wanted)
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(10)
        self._log.close()

    def _words(self, words: Sequence[str]) -> list[str]:
        filled = [self._filled(word) for word in words]
        own = self.bin / filled[0]
        return [str(own) if own.exists() else filled[0], *filled[1:]]

    def _filled(self, text: str, braces: bool = True) -> str:
        values = {**{name: str(port) for name, port in self.ports.items()}, "home": str(self.home), "here": str(HERE)}
        for name, value in values.items():
            text = text.replace("{" + name + "}", value)
        return text

    def _env(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("LANG", "SSL_CERT_FILE", "OPENBLAS_CORETYPE") if name in os.environ}
        own = {name: self._filled(value) for name, value in self.recipe.env.items()}
        path = f"{self.bin}:{os.environ.get('PATH', '')}"
        return kept | {"HOME": str(self.home), "PATH": path, "TMPDIR": "/tmp", "DO_NOT_TRACK": "1"} | own


def free_port() -> int:
    """A port of loopback that nobody has at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

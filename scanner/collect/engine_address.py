"""Finds the engine to talk to, as the docker command would: option, environment, context, then the usual sockets."""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from llmscan.collect.engine_json import as_map, as_text, plain
from llmscan.collect.errors import TargetUnreachable
from llmscan.records import Record

DOCKER_SOCKET = Path("/var/run/docker.sock")
DOCKER_PIPE = "npipe:////./pipe/docker_engine"
MAX_CONTEXT_FILE = 1_000_000
LOOPBACK = re.compile(r"(?:localhost|127(?:\.\d+){3}|::1)\Z")


class Tls(Record, frozen=True):
    """Which files prove who is who. `verify` False: whoever answers is believed."""

    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    verify: bool = True


class EngineAddress(Record, frozen=True):
    """Where an engine listens. `name`: safe for a path; `local`: it sees the same files as this process."""

    url: str
    name: str
    tls: Tls | None = None

    @property
    def local(self) -> bool:
        parts = urlsplit(self.url)
        return parts.scheme in ("unix", "npipe") or bool(LOOPBACK.match(parts.hostname or ""))

    @property
    def plain_tcp(self) -> str:
        """The address, where it takes commands over TCP without TLS; else ""."""
        bare = self.url.startswith(("tcp://", "http://")) and self.tls is None
        return urlsplit(self.url).netloc.rpartition("@")[2] if bare else ""

    def __str__(self) -> str:
        return plain(re.sub(r"//[^/@]*@", "//", self.url))


def find_engine(context: str | None, host: str | None, environment: Mapping[str, str] | None = None) -> EngineAddress:
    """The engine that the docker command would talk to, given its `--context` and `--host`. Raises TargetUnreachable."""
    env = os.environ if environment is None else environment
    if context and host:
        raise TargetUnreachable("Give either a docker context or a host, not both.")
    folder = Path(env.get("DOCKER_CONFIG") or os.path.expanduser("~/.docker"))  # noqa: PTH111 - Path's raises where nobody has a home
    if not context and (url := host or env.get("DOCKER_HOST", "")):
        return _address(url, _tls_of_environment(env, folder))
    name = context or env.get("DOCKER_CONTEXT") or _current_context(folder)
    if name in ("", "default"):
        return EngineAddress(_usual_socket(env), "local")
    return _of_context(name, folder)


def _address(url: str, tls: Tls | None) -> EngineAddress:
    """The address that a host setting means: a bare path is a socket, a bare host is TCP."""
    if url.startswith("/"):
        url = f"unix://{url}"
    elif "://" not in url:
        url = f"tcp://{url}"
    try:
        parts = urlsplit(url)
        hostname = parts.hostname or ""
    except ValueError:
        raise TargetUnreachable("The engine's address is not a URL that can be read.") from None
    if parts.scheme not in ("unix", "npipe", "tcp", "http", "https", "ssh"):
        raise TargetUnreachable(
            f"The engine's address begins with {plain(parts.scheme)}://, which is no way to an engine."
        )
    if parts.scheme == "https" and tls is None:
        tls = Tls()
    over_tcp = parts.scheme in ("tcp", "http", "https")
    return EngineAddress(url, _safe(hostname) if hostname else "local", tls if over_tcp else None)


def _safe(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:80] or "engine"


def _tls_of_environment(env: Mapping[str, str], folder: Path) -> Tls | None:
    """The TLS files that DOCKER_TLS_VERIFY (any value, even 0) or DOCKER_TLS asks for."""
    verify = bool(env.get("DOCKER_TLS_VERIFY"))
    if not verify and not env.get("DOCKER_TLS"):
        return None
    return _tls_in(Path(env.get("DOCKER_CERT_PATH") or folder), verify)


def _tls_in(folder: Path, verify: bool) -> Tls:
    ca, cert, key = (_existing(folder / name) for name in ("ca.pem", "cert.pem", "key.pem"))
    return Tls(ca, cert if key else None, key if cert else None, verify)


def _existing(path: Path) -> Path | None:
    return path if path.is_file() else None


def _usual_socket(env: Mapping[str, str]) -> str:
    """Docker's socket, else a rootless Docker's or Podman's where one is there."""
    if os.name == "nt":
        return DOCKER_PIPE
    runtime = Path(env.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}")
    others = (runtime / "docker.sock", Path("/run/podman/podman.sock"), runtime / "podman/podman.sock")
    for path in (DOCKER_SOCKET, *others):
        if _is_socket(path):
            return f"unix://{path}"
    return f"unix://{DOCKER_SOCKET}"


def _is_socket(path: Path) -> bool:
    try:
        return stat.S_ISSOCK(path.stat().st_mode)
    except OSError:
        return False


def _current_context(folder: Path) -> str:
    try:
        return as_text(_read_json(folder / "config.json").get("currentContext"))
    except TargetUnreachable:
        return ""


def _of_context(name: str, folder: Path) -> EngineAddress:
    """The engine of a stored context; its files lie under the hash of its name."""
    digest = hashlib.sha256(name.encode("utf-8", "replace")).hexdigest()
    meta = folder / "contexts" / "meta" / digest / "meta.json"
    if not meta.is_file():
        raise TargetUnreachable(f"There is no docker context called {plain(name)}.")
    endpoint = as_map(as_map(_read_json(meta).get("Endpoints")).get("docker"))
    url = as_text(endpoint.get("Host"))
    if not url:
        raise TargetUnreachable(f"The docker context {plain(name)} names no engine.")
    stored = folder / "contexts" / "tls" / digest / "docker"
    verify = endpoint.get("SkipTLSVerify") is not True
    tls = _tls_in(stored, verify) if stored.is_dir() or not verify else None
    found = _address(url, tls)
    return EngineAddress(found.url, _safe(name), found.tls)


def _read_json(path: Path) -> Mapping[str, Any]:
    """An object from one of the docker command's own files. Raises TargetUnreachable."""
    try:
        with path.open("rb") as file:
            return as_map(json.loads(file.read(MAX_CONTEXT_FILE)))
    except (OSError, ValueError, RecursionError):
        raise TargetUnreachable(f"{path.name} of the docker command cannot be read as JSON.") from None

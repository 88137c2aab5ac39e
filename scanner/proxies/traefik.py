"""What a Traefik with the docker provider passes on: the labels of the workloads beside it.

Facts: https://doc.traefik.io/traefik/providers/docker/ and .../routing/providers/docker/, Traefik 3; names of labels and flags know no case.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from llmscan.commandline import Line
from llmscan.config_files import lookup
from llmscan.model import ConfigFile, Container
from llmscan.proxies.onward import ASKING_NAME, Onward

ASKING_KINDS = frozenset({"basicauth", "digestauth", "forwardauth"})
ENTRY_POINT = re.compile(r"--entrypoints\.([\w-]{1,100})\.address\Z")
ENTRY_VARIABLE = re.compile(r"traefik_entrypoints_([a-z0-9-]{1,100})_address\Z")
ADDRESS = re.compile(r"(?P<host>[^:\s]*|\[[^\]\s]*\]):(?P<port>\d{1,5})(?:/tcp)?\Z")
ENTRY_NAME = re.compile(r"^[ \t]*\[?(?:entryPoints\.)?[\"']?([\w-]{1,100})[\"']?(?::[ \t]*$|\])", re.MULTILINE)
SERVER_PORT = ["loadbalancer", "server", "port"]
PORT = re.compile(r"[0-9]{1,5}")
INTERNAL = "traefik"
"""The entry point of its API, which no router uses unless it says so."""


class Edge(NamedTuple):
    """How a Traefik is set up: the ports of its entry points, what asks on each, and whether workloads have to say that they want it."""

    entries: Mapping[str, int]
    asking: Mapping[str, tuple[str, ...]]
    by_default: bool
    provider: bool


def edge_of(container: Container, lines: Sequence[Line]) -> Edge:
    """The static configuration of a Traefik, from its flags, variables and file."""
    given = dict(_given(container, lines))
    entries: dict[str, int] = {}
    asking: dict[str, tuple[str, ...]] = {}
    for name, value in given.items():
        if found := ENTRY_POINT.match(name):
            address = ADDRESS.match(value)
            if address and not address["host"].startswith(("127.", "localhost", "[::1]")):
                entries[found[1]] = int(address["port"])
        elif name.startswith("--entrypoints.") and name.endswith(".http.middlewares"):
            asking[name.split(".")[1]] = _names(value)
    docker = [name for name in given if name.startswith(("--providers.docker", "--providers.swarm"))]
    on = any(given[name].lower() != "false" or "." in name.removeprefix("--providers.") for name in docker)
    by_default = all(given[name].lower() != "false" for name in docker if name.endswith(".exposedbydefault"))
    return Edge(entries or {"http": 80}, asking, by_default, on)


def _given(container: Container, lines: Sequence[Line]) -> Iterator[tuple[str, str]]:
    """Each setting as its flag is called, in small letters, and its value."""
    for file in container.files:
        if re.search(r"/traefik\.(ya?ml|toml)\Z", file.path):
            for name in ("docker", "swarm"):
                for _ in lookup(file, f"providers.{name}"):
                    yield f"--providers.{name}", "true"
                for value, _ in lookup(file, f"providers.{name}.exposedByDefault"):
                    yield f"--providers.{name}.exposedbydefault", value
            yield from _entries_in(file)
    for name, setting in container.env.items():
        low = name.lower()
        if found := ENTRY_VARIABLE.match(low):
            yield f"--entrypoints.{found[1]}.address", setting.value or ""
        elif low.startswith("traefik_providers_"):
            yield "--" + low.removeprefix("traefik_").replace("_", "."), setting.value or ""
    for line in lines:
        for word in line:
            if word.raw.startswith("--"):
                name, _, value = (word.value or word.raw).partition("=")
                yield name.lower(), value or "true"


def _entries_in(file: ConfigFile) -> Iterator[tuple[str, str]]:
    """The entry points of a static file; a mapping has no names to look up, so that they come from its lines."""
    names = {match[1] for match in ENTRY_NAME.finditer(file.text)}
    for name in sorted(names):
        for value, _ in lookup(file, f"entryPoints.{name}.address"):
            yield f"--entrypoints.{name.lower()}.address", value
        for value, _ in lookup(file, f"entryPoints.{name}.http.middlewares"):
            yield f"--entrypoints.{name.lower()}.http.middlewares", value


class _Router(NamedTuple):
    """What labels say of one router."""

    service: str
    entries: tuple[str, ...]
    middlewares: tuple[str, ...]


def onward(edge: Edge, labels: Mapping[str, str], asking: Mapping[str, bool]) -> Iterator[Onward]:
    """The ways that a Traefik opens to one workload, whose labels have small names. asking: middlewares of the stack by their names."""
    enabled = labels.get("traefik.enable", "").strip().lower()
    if enabled not in ("true", "1") and (enabled or not edge.by_default):
        return
    ports = dict(_ports(labels))
    for router in _routers(labels):
        entries = [name for name in router.entries if name in edge.entries] if router.entries else _usual(edge)
        port = ports.get(router.service) if router.service else next(iter(ports.values()), None)
        if "@" in router.service or (router.service and ports and router.service not in ports):
            continue
        for entry in entries:
            middlewares = (*router.middlewares, *edge.asking.get(entry, ()))
            asks = next((f"Traefik, middleware '{name}'" for name in middlewares if _asks(name, asking)), "")
            yield Onward("", port, frozenset({edge.entries[entry]}), asks)


def _usual(edge: Edge) -> list[str]:
    return [name for name in edge.entries if name != INTERNAL]


def _ports(labels: Mapping[str, str]) -> Iterator[tuple[str, int]]:
    for name, value in labels.items():
        parts = name.split(".")
        named = parts[:1] == ["traefik"] and parts[2:3] == ["services"] and parts[4:] == SERVER_PORT
        if named and PORT.fullmatch(value.strip()):
            yield parts[3], int(value)


def _routers(labels: Mapping[str, str]) -> list[_Router]:
    """The routers of a workload; the one that Traefik makes where it names none."""
    found: dict[str, dict[str, str]] = {}
    for name, value in labels.items():
        parts = name.split(".")
        if (
            parts[:1] == ["traefik"]
            and parts[1:2] in (["http"], ["tcp"])
            and parts[2:3] == ["routers"]
            and len(parts) > 4
        ):
            found.setdefault(f"{parts[1]}.{parts[3]}", {})[".".join(parts[4:])] = value
    made = [
        _Router(
            one.get("service", "").strip().lower(),
            _names(one.get("entrypoints", "")),
            _names(one.get("middlewares", "")),
        )
        for one in found.values()
    ]
    return made or [_Router("", (), ())]


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip().lower() for name in text.split(",")[:50] if name.strip())


def asking_middlewares(every: Iterator[Mapping[str, str]]) -> dict[str, bool]:
    """Each middleware that labels of the stack declare, and whether it asks callers for a credential; chains ask if one in them does."""
    found: dict[str, bool] = {}
    chains: dict[str, tuple[str, ...]] = {}
    for labels in every:
        for name, value in labels.items():
            parts = name.split(".")
            if parts[:3] == ["traefik", "http", "middlewares"] and len(parts) > 4:
                found[parts[3]] = found.get(parts[3], False) or parts[4] in ASKING_KINDS
                if parts[4:] == ["chain", "middlewares"]:
                    chains[parts[3]] = _names(value)
    for _ in range(5):
        for chain, names in chains.items():
            found[chain] = found[chain] or any(_asks(name, found) for name in names)
    return found


def _asks(name: str, asking: Mapping[str, bool]) -> bool:
    """Whether a middleware asks for a credential; one that was not seen, by how it is called."""
    own, _, provider = name.partition("@")
    if provider in ("", "docker") and own in asking:
        return asking[own]
    return bool(ASKING_NAME.search(own))

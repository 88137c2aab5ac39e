"""Proxies that ask callers to log in and pass them on: which containers stand behind one, by the upstream that it names."""

from __future__ import annotations

import re
from collections.abc import Iterator

from llmscan import Container, Scan, Workload
from llmscan.proxies.onward import LOCAL

URL = re.compile(r"https?://(?P<host>\[::1\]|[A-Za-z0-9_.-]+)(?::(?P<port>\d+))?")
UPSTREAM = re.compile(r"upstream|(?:^|[\s{-])(?:to|backend|target)s?\s*[:=]", re.IGNORECASE)


def fronts(container: Container, scan: Scan) -> tuple[str, ...]:
    """The proxies before a container, as a reader would name them."""
    workload = scan.workload_of(container)
    ports = {endpoint.port for endpoint in scan.endpoints_of(container)}
    names = {service.name for service in scan.links.services_of(workload)} | (
        set() if workload.orchestrated else {workload.name, container.name}
    )
    found = [
        f"{name} in {home.kind} '{home.name}'"
        for name, home, host, port in scan.memo("front proxies", lambda: tuple(_upstreams(scan)))
        if (host in LOCAL and home is workload and port in ports)
        or (host.partition(".")[0] in names and _same_space(host, home, workload))
    ]
    return tuple(dict.fromkeys(found))


def _same_space(host: str, home: Workload, workload: Workload) -> bool:
    """Whether a host name means a Service beside the workload: it names the namespace, or both are in one."""
    parts = host.split(".")
    return parts[1] == workload.namespace if len(parts) > 1 else home.namespace == workload.namespace


def _upstreams(scan: Scan) -> Iterator[tuple[str, Workload, str, int]]:
    """Each proxy that asks for a login, with its workload and one host and port that it leads to."""
    for workload, container in scan.containers():
        running = next((one for one in scan.products_of(container) if _asks(one.product.roles)), None)
        if running is None or container.role == "init" or not workload.runs:
            continue
        for text in _texts(container, scan):
            for match in URL.finditer(text):
                yield running.name, workload, match["host"], int(match["port"] or 80)


def _asks(roles: tuple[str, ...]) -> bool:
    return "authenticates-callers" in roles and "proxies" in roles


def _texts(container: Container, scan: Scan) -> Iterator[str]:
    """What names an upstream: flags and the word after them, variables, lines of configuration files."""
    for line in scan.command_lines(container):
        for index, word in enumerate(line):
            if UPSTREAM.search(word.raw):
                yield word.value or word.raw
                if "=" not in word.raw and index + 1 < len(line):
                    yield line[index + 1].value or ""
    yield from (one.value for one in container.env.values() if one.value and UPSTREAM.search(one.name))
    for file in container.files:
        yield from (line for line in file.text.splitlines() if UPSTREAM.search(line))

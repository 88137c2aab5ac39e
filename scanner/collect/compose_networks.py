"""The ways to a compose service: its published ports, its networks, and whose network it shares."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from llmscan.collect.compose_forms import items_of, scalar_text, truth
from llmscan.collect.compose_interpolation import Interpolated, decided, gap_of
from llmscan.collect.compose_mounts import section
from llmscan.model import Gap, Network, Port, Published, Workload
from llmscan.places import Place, PlacedMap, place_of

SPAN = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?(?:/([a-z]+))?\Z")
PORT_VARIABLE = re.compile(r"\$\{\w*PORT\w*\}\Z", re.IGNORECASE)
"""A variable that is called a port holds one, and not an address with it."""
MAX_EXPOSED = 256


def published(service: PlacedMap) -> tuple[Published, ...]:
    """The ports of the host that lead to a service."""
    found = items_of(service.get("ports"), service.place)
    return tuple([_published(item, place) for item, place in found if isinstance(item, dict)])


def _published(item: Mapping[Any, Any], place: Place) -> Published:
    target, host = scalar_text(item.get("target")) or "", scalar_text(item.get("published")) or ""
    address = scalar_text(item.get("host_ip")) or ""
    gap = gap_of(address, place) or _address_gap(host, address, place) or _wide(target, place)
    at = decided(place, address, host, target)
    known_address = "" if gap_of(address, place) else str(address)
    return Published(_port(target), _port(host), known_address, str(item.get("protocol") or "tcp"), at, gap)


def _port(text: str) -> int | None:
    return int(text) if text.isdecimal() and text.isascii() and len(text) < 6 else None


def _address_gap(host: str, address: str, place: Place) -> Gap | None:
    """An unknown variable before the container's port may hold an address too, unless it is called a port."""
    unknown = isinstance(host, Interpolated) and not host.complete
    return gap_of(host, place) if unknown and not address and not PORT_VARIABLE.match(host) else None


def _wide(target: str, place: Place) -> Gap | None:
    """Why it is not known that one port is published. That a variable gives its number is no reason: whichever it is, it is published."""
    if _port(target) is not None or gap_of(target, place) is not None:
        return None
    return Gap("config", f"ports {target}", "is not one port, nor a range that is told apart", "", place)


def expose(service: PlacedMap) -> Iterator[Port]:
    """The ports that a service declares for its networks."""
    for item, place in items_of(service.get("expose"), service.place):
        found = SPAN.match(str(item).strip().lower())
        if found:
            first, last = int(found[1]), int(found[2] or found[1])
            for number in range(first, min(last, first + MAX_EXPOSED - 1) + 1):
                yield Port(number, found[3] or "tcp", "", place)


def networks_of(service: PlacedMap) -> tuple[str, ...]:
    """The networks that a service joins: those it names, else the project's default one; none where it has another's or none."""
    mode = scalar_text(service.get("network_mode")) or ""
    if mode and mode != "default":
        return (mode,) if mode not in ("host", "none") and ":" not in mode else ()
    node = service.get("networks")
    named = tuple(str(name) for name in node) if isinstance(node, dict) else ()
    return named or ("default",)


def shared_with(service: PlacedMap, services: Mapping[Any, Any]) -> str:
    """The workload whose network a service uses, by its service's name where it is one of the project."""
    kind, sign, name = (scalar_text(service.get("network_mode")) or "").partition(":")
    if not sign or kind not in ("service", "container"):
        return ""
    if kind == "service":
        return name
    for other, tree in services.items():
        if isinstance(tree, dict) and tree.get("container_name") == name:
            return str(other)
    return name


def declared_networks(tree: PlacedMap, workloads: tuple[Workload, ...]) -> tuple[Network, ...]:
    """The networks of a project: those it declares, and those that its services join without a declaration."""
    declared = section(tree, "networks")
    found = {str(name): _network(str(name), node, place_of(declared, name)) for name, node in declared.items()}
    for workload in workloads:
        for name in workload.networks:
            found.setdefault(name, Network(name, external=name == "bridge"))
    return tuple(found.values())


def _network(name: str, node: Any, place: Place | None) -> Network:
    if not isinstance(node, dict):
        return Network(name, place=place)
    external = node.get("external")
    return Network(name, truth(node.get("internal")), isinstance(external, dict) or truth(external), place)

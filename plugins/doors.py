"""Doors: the endpoints of a product, how far they can be reached, and whether callers are asked for a credential there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from llmscan import Container, Decision, Endpoint, Reach, Running, Scan, Verdict, unknown
from llmscan.records import Record


class Door(Record, frozen=True):
    """One product in one container, the endpoints of one role, and whether it asks callers for a credential there."""

    running: Running
    role: str
    decision: Decision
    reach: Reach
    endpoint: Endpoint | None
    limited: bool


def doors(container: Container, scan: Scan) -> tuple[Door, ...]:
    """The doors of a container, one for each product and role that the catalogue decides separately."""
    return scan.memo(("doors", id(container)), lambda: tuple(_doors(container, scan)))


def _doors(container: Container, scan: Scan) -> Iterator[Door]:
    for running in scan.serving(container):
        for role in _roles(running, container, scan):
            decision = scan.decision("authentication", running, container, role)
            if decision is not None and decision.possible:
                yield _door(running, role, decision, container, scan)


def _roles(running: Running, container: Container, scan: Scan) -> Iterator[str]:
    """The roles of ports that the catalogue decides separately; of an endpoint known by its address, its own."""
    block = running.product.facts.get("authentication")
    if not isinstance(block, Mapping):
        yield ""
    elif scan.only_addresses:
        yield from dict.fromkeys(endpoint.role for endpoint in scan.endpoints_of(container))
    else:
        yield from block


def _door(running: Running, role: str, decision: Decision, container: Container, scan: Scan) -> Door:
    endpoints = [e for e in scan.endpoints_of(container) if e.product == running.id and (not role or e.role == role)]
    if not endpoints and not role and not running.product.facts.get("ports"):
        endpoints = [endpoint for endpoint in scan.endpoints_of(container) if not endpoint.product]
    serving = [e for e in endpoints if e.role not in ("metrics",)] or endpoints
    endpoint = max(serving, key=lambda e: e.reach, default=None)
    default = Reach.CLUSTER if not endpoints and not _loopback(running, container, scan) else Reach.LOOPBACK
    reach = endpoint.reach if endpoint is not None else default
    return Door(
        running, role, decision, reach, endpoint, bool(endpoint and endpoint.limited_by and reach <= Reach.CLUSTER)
    )


def _loopback(running: Running, container: Container, scan: Scan) -> bool:
    listens = scan.decision("listens", running, container)
    return listens is not None and listens.answer == "loopback"


def fix_of(facts: Mapping[str, Any], role: str) -> str:
    fix = facts.get("authentication_fix", "")
    return str(fix.get(role, "")) if isinstance(fix, Mapping) else str(fix)


def said(decision: Decision) -> str:
    return decision.say.rstrip(".") or "asks its callers for no credential"


def ways_to(door: Door, proxies: tuple[str, ...]) -> str:
    """By which way callers come, and what asks others on another. `proxies`: those that ask before they pass callers on."""
    if door.endpoint is None:
        return "Every peer that reaches it can use it."
    if door.limited:
        return f"Policy '{door.endpoint.limited_by[0]}' admits only some peers to it, and those are asked for nothing."
    farthest = door.endpoint.farthest()
    text = farthest.text if farthest is not None else ""
    guards = (*door.endpoint.guards, *proxies)
    if guards and door.reach <= Reach.CLUSTER:
        return (
            f"Callers from outside are asked for a credential first ({guards[0]}); the direct way stays open: {text}."
        )
    if guards:
        return f"One way asks for a credential ({guards[0]}), and another does not: {text}."
    return f"{text[:1].upper()}{text[1:]}." if text else ""


def unseen_ways(door: Door, endpoint: Endpoint) -> Verdict:
    """An open door, and ways to it that were not seen."""
    return unknown(
        f"{door.running.name} may be open to the internet as well: not every way to it was seen.", *endpoint.unseen,
        fix=fix_of(door.running.product.facts, door.role), setting=f"authentication {door.role}".strip(), product=door.running,
    )  # fmt: skip

"""What probes saw, laid over what settings and defaults say: the one place where an observation upgrades, corrects or settles an answer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from packaging.version import InvalidVersion, Version

from llmscan.decisions import Decision, Possible
from llmscan.model import Container, Gap, Reach, Workload
from llmscan.probe.observation import PRODUCT, Observation, Seen
from llmscan.products import Product, Running
from llmscan.reach import Endpoint, Way
from llmscan.records import replace

SAID: Mapping[tuple[str, str], str] = {
    ("authentication", "open"): "answered without asking for a credential",
    ("authentication", "required"): "asks its callers for a credential",
    ("authentication", "first-visitor"): "lets the first visitor become its administrator",
    ("registration", "open"): "lets every visitor make an account",
    ("cors", "any"): "lets pages of every origin read its answers",
    ("cors", "any-with-credentials"): "allows every origin, and credentials with it",
    ("cors", "reflected"): "answers a foreign origin with its own name",
    ("cors", "reflected-with-credentials"): "answers a foreign origin with its own name, and allows credentials",
    ("cors", "null"): "allows the origin null",
}
NO_CONFLICT = frozenset({("first-visitor", "required")})
"""Answers of settings beside which another observed one says nothing new: a door that opens to its first visitor asks everybody else."""


def unread_settings() -> tuple[Gap, ...]:
    """Why no setting of an endpoint is known that was only asked over its network."""
    what, why = "the settings of this endpoint", "were not read: it was only asked over its network"
    return tuple(Gap(kind, what, why) for kind in ("environment", "arguments", "config"))


def settled(block: str, decision: Decision | None, seen: Seen | None) -> Decision | None:
    """A decision with what was seen: confirmed (it keeps its reasons), narrowed to what remains, or corrected."""
    if seen is None or (decision is not None and (decision.answer, seen.answer) in NO_CONFLICT):
        return decision
    possible = tuple(item for item in decision.possible if item.answer == seen.answer) if decision else ()
    if not possible:
        clause = {"then": seen.answer, "say": SAID.get((block, seen.answer), "")}
        possible = (Possible(seen.answer, clause),)
    return Decision(possible, (), frozenset({seen.answer}), seen.quote)


def seen_of(observed: Iterable[Observation], block: str, product: str) -> Seen | None:
    """What was seen of one product on some endpoints; where they differ, what is worst for its owner."""
    found = [o.decisions[block] for o in observed if o.product == product and block in o.decisions]
    return next((seen for seen in found if seen.answer == "open"), found[0] if found else None)


def products_seen(
    found: Iterable[Running], observed: Iterable[Observation], products: Mapping[str, Product]
) -> Iterator[Running]:
    """The products of a container with what was seen of them: the version as the server tells it, and what only answers show."""
    left = {o.product: o for o in observed if o.outcome == PRODUCT and o.product in products}
    for running in found:
        seen = left.pop(running.id, None)
        yield _versioned(running, seen) if seen is not None else running
    for product_id, seen in left.items():
        yield _versioned(Running(products[product_id], None, seen.because, "its answers do not tell it"), seen)


def _versioned(running: Running, seen: Observation) -> Running:
    try:
        return replace(running, version=Version(seen.version), unknown_because="", serves=True)
    except InvalidVersion:
        return replace(running, serves=True)


def addressed(workload: Workload, container: Container, seen: Observation, products: Mapping[str, Product]) -> Endpoint:
    """The endpoint that an address is, where nothing but the address is known."""
    block = products[seen.product].facts.get("authentication") if seen.product in products else None
    role = next(iter(block)) if isinstance(block, Mapping) else ""
    way = Way("address", seen.reach, f"it answered at {seen.url}, {ADDRESS[seen.reach]}", seen.port)
    return Endpoint(workload, container, seen.port, "http", role, seen.product, ways=(way,))


ADDRESS: Mapping[Reach, str] = {
    Reach.LOOPBACK: "a loopback address",
    Reach.POD: "an address of its pod",
    Reach.CLUSTER: "an address inside its cluster",
    Reach.HOST_NETWORK: "an address of a private network",
    Reach.INTERNET: "a public address",
}

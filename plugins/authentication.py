"""Unauthenticated endpoints: whether a product asks its callers for a credential, from its settings and its version."""

from __future__ import annotations

from collections.abc import Iterator

from llmscan import (
    Container,
    Reach,
    Rule,
    Scan,
    Severity,
    Verdict,
    fail,
    hookimpl,
    passed,
    rule,
    unknown,
)
from llmscan.plugins.doors import Door, doors, fix_of, said, unseen_ways, ways_to
from llmscan.plugins.front_proxies import fronts

CATEGORY = "unauthenticated-endpoint"
REFS = ("CWE-306", "API2:2023", "LLM06:2026", "AML.T0040", "AISVS-1.0:C5")


def _told(container: Container, scan: Scan) -> tuple[tuple[Door, bool], ...]:
    """The doors that there is something to tell of, the farthest first, and whether each is open or may be."""
    return scan.memo(("told doors", id(container)), lambda: tuple(_to_tell(container, scan)))


def _to_tell(container: Container, scan: Scan) -> Iterator[tuple[Door, bool]]:
    told: set[str] = set()
    for door in sorted(doors(container, scan), key=lambda d: -d.reach):
        if door.running.id in told:
            continue
        answers = door.decision.answers
        if door.endpoint is not None and door.endpoint.guarded:
            told.add(door.running.id)
        elif answers == {"open"} or ("open" in answers and door.decision.missing):
            told.add(door.running.id)
            yield door, True
        elif door.decision.answer in ("required", "first-visitor"):
            yield door, False


def _judge(container: Container, scan: Scan, reach: Reach, limited: bool = False) -> Iterator[Verdict]:
    for door, is_open in _told(container, scan):
        if is_open:
            same = ("door", door.running.id, door.role, door.decision.answers, reach, limited)
            if (door.reach, door.limited) == (reach, limited) and scan.first(container, same):
                yield _verdict(door, container, scan)
            elif reach is Reach.INTERNET and door.endpoint is not None and door.endpoint.unseen:
                yield unseen_ways(door, door.endpoint)
        elif reach is Reach.CLUSTER and not limited:
            yield passed()


def _verdict(door: Door, container: Container, scan: Scan) -> Verdict:
    facts, decision = door.running.product.facts, door.decision
    fix = str(decision.first.clause.get("fix") or fix_of(facts, door.role))
    setting = f"authentication {door.role}".strip()
    if decision.answer != "open":
        what = "; ".join(dict.fromkeys(str(gap) for gap in decision.missing))
        return unknown(
            f"Whether {door.running.name} asks its callers for a credential is not known: {what}.{_alternatives(door)}",
            *decision.missing, fix=fix, setting=setting, product=door.running, reach=door.reach,
        )  # fmt: skip
    found = decision.deciding
    place = found.place if found is not None else None
    return fail(
        f"{door.running.name} {said(decision)}. {ways_to(door, fronts(container, scan))}",
        fix=fix, place=place, evidence=decision.evidence, setting=setting, product=door.running, reach=door.reach,
        quote=decision.quote,
    )  # fmt: skip


def _alternatives(door: Door) -> str:
    parts = []
    for item in door.decision.possible:
        since, before = item.clause.get("since"), item.clause.get("before")
        span = " ".join(
            part for part in (f"from {since}" if since else "", f"before {before}" if before else "") if part
        )
        if span:
            parts.append(f"{span}: {item.answer}")
    return f" It depends on the version ({'; '.join(parts)})." if len(door.decision.answers) > 1 and parts else ""


@rule(
    "AUT001",
    "Unauthenticated endpoint open to the internet",
    Severity.CRITICAL,
    category=CATEGORY,
    refs=(*REFS, "AML.T0034"),
    observable=True,
)
def open_to_the_internet(container: Container, scan: Scan) -> Iterator[Verdict]:
    """Anyone who finds the address can run the model, read what it serves, and often load, change or delete models.

    Set the product's key, or put an authenticating proxy in front and publish only that.
    """
    yield from _judge(container, scan, Reach.INTERNET)


@rule(
    "AUT002",
    "Unauthenticated endpoint open to the network of its host",
    Severity.HIGH,
    category=CATEGORY,
    refs=REFS,
    observable=True,
)
def open_to_the_network(container: Container, scan: Scan) -> Iterator[Verdict]:
    """Everyone on the network of the host can use the endpoint as its owner can.

    Set the product's key, and publish the port on loopback or behind an authenticating proxy only.
    """
    yield from _judge(container, scan, Reach.HOST_NETWORK)


@rule(
    "AUT003",
    "Unauthenticated endpoint open to its cluster",
    Severity.MEDIUM,
    category=CATEGORY,
    refs=REFS,
    observable=True,
)
def open_to_the_cluster(container: Container, scan: Scan) -> Iterator[Verdict]:
    """Any workload beside it, also a compromised one, can use the endpoint without a credential.

    Set the product's key, and let a network policy admit only the workloads that need it.
    """
    yield from _judge(container, scan, Reach.CLUSTER)


@rule(
    "AUT004",
    "Unauthenticated endpoint open to the peers that a policy admits",
    Severity.LOW,
    category=CATEGORY,
    refs=REFS,
)
def open_to_admitted_peers(container: Container, scan: Scan) -> Iterator[Verdict]:
    """A network policy limits who can connect, and those who can are still asked for nothing.

    Set the product's key as well: a policy knows addresses, not callers.
    """
    yield from _judge(container, scan, Reach.CLUSTER, limited=True)


@rule(
    "AUT011",
    "Endpoint that was seen to answer its own host without a credential",
    Severity.LOW,
    category=CATEGORY,
    refs=("CWE-306", "AISVS-1.0:C5"),
    observable=True,
)
def open_to_its_host(container: Container, scan: Scan) -> Iterator[Verdict]:
    """Every user and program on that host, and pages in its browsers, can use it; one forwarded port opens it to others.

    Set the product's key where others than its owner use the host.
    """
    for door in doors(container, scan):
        if door.decision.answer == "open" and door.decision.quote and door.reach is Reach.LOOPBACK:
            yield _verdict(door, container, scan)


@hookimpl
def llmscan_rules() -> list[Rule]:
    """The rules of this family."""
    return [
        open_to_the_internet,
        open_to_the_network,
        open_to_the_cluster,
        open_to_admitted_peers,
        open_to_its_host,
    ]

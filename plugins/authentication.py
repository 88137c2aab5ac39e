"""Unauthenticated endpoints: whether a product asks its callers for a credential, from its settings and its version."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from llmscan import (
    Container,
    Decision,
    Endpoint,
    Evidence,
    Found,
    Gap,
    Reach,
    Rule,
    Running,
    Scan,
    Severity,
    Verdict,
    fail,
    hookimpl,
    passed,
    rule,
    unknown,
)
from llmscan.decisions import condition, holds
from llmscan.plugins.front_proxies import fronts

CATEGORY = "unauthenticated-endpoint"
WEAK = "weak-authentication"
REFS = ("CWE-306", "API2:2023", "LLM06:2026", "AML.T0040", "AISVS-1.0:C5")


@dataclass(frozen=True, slots=True)
class Door:
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
    workload = scan.workload_of(container)
    if container.role == "init" or not workload.runs:
        return
    for running in scan.products_of(container):
        if not running.serves:
            continue
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


def _judge(container: Container, scan: Scan, reach: Reach, limited: bool = False) -> Iterator[Verdict]:
    told: set[str] = set()
    for door in sorted(doors(container, scan), key=lambda d: -d.reach):
        if door.running.id in told:
            continue
        answers = door.decision.answers
        if door.endpoint is not None and door.endpoint.guarded:
            told.add(door.running.id)
        elif answers == {"open"} or ("open" in answers and door.decision.missing):
            told.add(door.running.id)
            same = ("door", door.running.id, door.role, answers, reach, limited)
            if (door.reach, door.limited) == (reach, limited) and scan.first(container, same):
                yield _verdict(door, container, scan)
            elif reach is Reach.INTERNET and door.endpoint is not None and door.endpoint.unseen:
                yield _unseen(door, door.endpoint)
        elif reach is Reach.CLUSTER and not limited and door.decision.answer in ("required", "first-visitor"):
            yield passed()


def _unseen(door: Door, endpoint: Endpoint) -> Verdict:
    """An open door, and ways to it that were not seen."""
    return unknown(
        f"{door.running.name} may be open to the internet as well: not every way to it was seen.", *endpoint.unseen,
        fix=_fix(door.running.product.facts, door.role), setting=f"authentication {door.role}".strip(), product=door.running,
    )  # fmt: skip


def _verdict(door: Door, container: Container, scan: Scan) -> Verdict:
    facts, decision = door.running.product.facts, door.decision
    fix = str(decision.first.clause.get("fix") or _fix(facts, door.role))
    setting = f"authentication {door.role}".strip()
    if decision.answer != "open":
        what = "; ".join(dict.fromkeys(str(gap) for gap in decision.missing))
        return unknown(
            f"Whether {door.running.name} asks its callers for a credential is not known: {what}. {_alternatives(door)}",
            *decision.missing, fix=fix, setting=setting, product=door.running, reach=door.reach,
        )  # fmt: skip
    found = decision.deciding
    place = found.place if found is not None else None
    return fail(
        f"{door.running.name} {_said(decision)}. {_ways(door, fronts(container, scan))}",
        fix=fix, place=place, evidence=decision.evidence, setting=setting, product=door.running, reach=door.reach,
        quote=decision.quote,
    )  # fmt: skip


def _fix(facts: Mapping[str, Any], role: str) -> str:
    fix = facts.get("authentication_fix", "")
    return str(fix.get(role, "")) if isinstance(fix, Mapping) else str(fix)


def _said(decision: Decision) -> str:
    return decision.say.rstrip(".") or "asks its callers for no credential"


def _alternatives(door: Door) -> str:
    parts = []
    for item in door.decision.possible:
        since, before = item.clause.get("since"), item.clause.get("before")
        span = " ".join(
            part for part in (f"from {since}" if since else "", f"before {before}" if before else "") if part
        )
        if span:
            parts.append(f"{span}: {item.answer}")
    return f"It depends on the version ({'; '.join(parts)})." if parts else ""


def _ways(door: Door, proxies: tuple[str, ...]) -> str:
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


def _secured(container: Container, scan: Scan) -> Iterator[Door]:
    """Doors that do ask for a credential, and that more can reach than the peers of a policy, who have the credential anyway."""
    for door in doors(container, scan):
        if door.decision.answer in ("required", "first-visitor") and door.reach >= Reach.CLUSTER and not door.limited:
            yield door


@rule(
    "AUT005",
    "Routes that the key does not cover",
    Severity.MEDIUM,
    category=WEAK,
    refs=("CWE-306", "API5:2023", "AISVS-1.0:C5"),
    observable=True,
)
def routes_without_the_key(container: Container, scan: Scan) -> Iterator[Verdict]:
    """A key is set, and some routes do not ask for it: whoever knows them gets the same work, or control, without it.

    Let only the guarded routes through a proxy in front, and keep the port itself inside.
    """
    policies = scan.unseen("networkpolicies.networking.k8s.io")
    for door in _secured(container, scan):
        reading = scan.reading(door.running, container)
        for entry in door.running.product.facts.get("uncovered", ()):
            if door.role and entry.get("role") not in (None, door.role):
                continue
            if holds(entry, reading).truth:
                yield _uncovered(door, entry, policies if door.reach <= Reach.CLUSTER else ())


def _uncovered(door: Door, entry: Mapping[str, Any], unseen: tuple[Gap, ...]) -> Verdict:
    """Routes without the key; who may knock at them is not known where policies were not seen."""
    routes = ", ".join(entry.get("routes", ())[:6])
    text = f"{door.running.name} has a key and leaves {routes} open: {str(entry.get('say', '')).rstrip('.')}."
    fix, setting = str(entry.get("fix", "")), f"uncovered {routes}"
    if unseen:
        text += " Whether a policy admits only peers that have the key is not known."
        return unknown(text, *unseen, fix=fix, setting=setting, product=door.running, reach=door.reach)
    return fail(
        text, fix=fix, evidence=Evidence.DEFAULT, setting=setting, product=door.running, reach=door.reach
    )  # fmt: skip


@rule(
    "AUT006",
    "A setting that looks like authentication and is not",
    Severity.MEDIUM,
    category=WEAK,
    refs=("CWE-1188", "CWE-306"),
)
def looks_like_authentication(container: Container, scan: Scan) -> Iterator[Verdict]:
    """The setting protects nothing, and whoever wrote it believes that callers are asked for a credential.

    Use the setting that the product checks, and remove this one.
    """
    for door in doors(container, scan):
        if door.decision.answer not in ("open", "application"):
            continue
        reading = scan.reading(door.running, container)
        for entry in door.running.product.facts.get("misleading", ()):
            found = reading.setting(entry["setting"])
            if found.present and found.origin != "image" and holds(entry, reading).truth:
                yield fail(
                    f"{found.name} is set, and protects nothing: {str(entry.get('say', '')).rstrip('.')}.",
                    fix=str(entry.get("fix") or _fix(door.running.product.facts, door.role)),
                    place=found.place, setting=found.name, product=door.running,
                )  # fmt: skip
        return


@rule(
    "AUT007", "Well-known default credential", Severity.HIGH, category=WEAK, refs=("CWE-1392", "CWE-798", "AML.T0012")
)
def default_credential(container: Container, scan: Scan) -> Iterator[Verdict]:
    """The credential stands in the product's public documentation or source; the first guess of an attacker is right.

    Set one of your own from a secret, and change it where it was already used.
    """
    if container.role == "init" or not scan.workload_of(container).runs:
        return
    for running in scan.products_of(container):
        reading = scan.reading(running, container)
        for entry in running.product.facts.get("default_credentials", ()):
            found = _known_value(entry, reading)
            if found is not None:
                what = f"{found.name} is a value" if "setting" in entry else f"{running.name} starts with a credential"
                yield fail(
                    f"{what} that everybody knows: {str(entry.get('say', running.name + ' ships it')).rstrip('.')}.",
                    fix=str(entry.get("fix", "")), place=found.place,
                    evidence=Evidence.DECLARED if found.declared else Evidence.DEFAULT,
                    setting=found.name or "default credential", product=running,
                )  # fmt: skip


def _known_value(entry: Mapping[str, Any], reading: Any) -> Found | None:
    """The setting that holds a well-known value, or that is left out so that one holds."""
    if not holds({k: v for k, v in entry.items() if k != "then"}, reading).truth:
        return None
    if "setting" not in entry:
        held = condition(entry.get("when", {}), reading)
        return next((found for found in held.found if found.present), Found(False)) if "when" in entry else None
    found = reading.setting(entry["setting"])
    if not found.present or found.value is None:
        return None
    digest = hashlib.sha256(found.value.encode()).hexdigest()
    known = found.value in entry.get("values", ()) or digest in entry.get("sha256", ())
    return found if known else None


@rule(
    "AUT008",
    "Anyone may register an account",
    Severity.MEDIUM,
    category=WEAK,
    refs=("CWE-287", "AML.T0012"),
    observable=True,
)
def open_registration(container: Container, scan: Scan) -> Iterator[Verdict]:
    """A login protects little where every visitor may make an account.

    Switch self-registration off once the accounts that you need exist, or connect your identity provider.
    """
    for running, decision in _decided(container, scan, "registration"):
        if decision.answer == "open":
            found = decision.deciding
            yield fail(
                f"{running.name} {decision.say.rstrip('.') or 'lets every visitor make an account'}.",
                fix=str(running.product.facts.get("registration_fix", "")),
                place=found.place if found else None,
                evidence=decision.evidence, setting="registration", product=running, quote=decision.quote,
            )  # fmt: skip
        elif decision.answer == "closed":
            yield passed()


@rule(
    "AUT009",
    "The first visitor becomes administrator",
    Severity.LOW,
    category=WEAK,
    refs=("CWE-1188",),
    observable=True,
)
def first_visitor(container: Container, scan: Scan) -> Iterator[Verdict]:
    """Until somebody has made the first account, whoever comes first owns the installation.

    Create the administrator's account in the same step as the deployment, before anybody else can reach it.
    """
    for door in doors(container, scan):
        if door.decision.answer != "first-visitor":
            continue
        if door.reach < Reach.HOST_NETWORK and door.endpoint is not None and door.endpoint.unseen:
            yield _unseen(door, door.endpoint)
        elif door.reach >= Reach.HOST_NETWORK:
            yield fail(
                f"{door.running.name} {_said(door.decision)}. {_ways(door, fronts(container, scan))}",
                fix=_fix(door.running.product.facts, door.role), evidence=door.decision.evidence,
                setting="first visitor", product=door.running, reach=door.reach, quote=door.decision.quote,
            )  # fmt: skip


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


def _decided(container: Container, scan: Scan, block: str) -> Iterator[tuple[Running, Decision]]:
    if container.role == "init" or not scan.workload_of(container).runs:
        return
    for running in scan.products_of(container):
        decision = scan.decision(block, running, container)
        if decision is not None and running.serves:
            yield running, decision


@hookimpl
def llmscan_rules() -> list[Rule]:
    """The rules of this family."""
    return [
        open_to_the_internet,
        open_to_the_network,
        open_to_the_cluster,
        open_to_admitted_peers,
        routes_without_the_key,
        looks_like_authentication,
        default_credential,
        open_registration,
        first_visitor,
        open_to_its_host,
    ]

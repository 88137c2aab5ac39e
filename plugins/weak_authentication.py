"""Weak authentication: keys that leave routes open, settings that only look like a lock, credentials that everybody knows, accounts for everybody."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

from llmscan import (
    Container,
    Decision,
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
from llmscan.plugins.doors import Door, doors, fix_of, said, unseen_ways, ways_to
from llmscan.plugins.front_proxies import fronts

CATEGORY = "weak-authentication"


def _secured(container: Container, scan: Scan) -> Iterator[Door]:
    """Doors that do ask for a credential, and that more can reach than the peers of a policy, who have the credential anyway."""
    for door in doors(container, scan):
        if door.decision.answer in ("required", "first-visitor") and door.reach >= Reach.CLUSTER and not door.limited:
            yield door


@rule(
    "AUT005",
    "Routes that the key does not cover",
    Severity.MEDIUM,
    category=CATEGORY,
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
    category=CATEGORY,
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
                    fix=str(entry.get("fix") or fix_of(door.running.product.facts, door.role)),
                    place=found.place, setting=found.name, product=door.running,
                )  # fmt: skip
        return


@rule(
    "AUT007",
    "Well-known default credential",
    Severity.HIGH,
    category=CATEGORY,
    refs=("CWE-1392", "CWE-798", "AML.T0012"),
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
    if not holds(entry, reading).truth:
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
    category=CATEGORY,
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
    category=CATEGORY,
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
            yield unseen_ways(door, door.endpoint)
        elif door.reach >= Reach.HOST_NETWORK:
            yield fail(
                f"{door.running.name} {said(door.decision)}. {ways_to(door, fronts(container, scan))}",
                fix=fix_of(door.running.product.facts, door.role), evidence=door.decision.evidence,
                setting="first visitor", product=door.running, reach=door.reach, quote=door.decision.quote,
            )  # fmt: skip


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
        routes_without_the_key,
        looks_like_authentication,
        default_credential,
        open_registration,
        first_visitor,
    ]

"""Dangerous switches: development modes, code execution, control APIs and the like, as the catalogue knows them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from llmscan import Container, Evidence, Reading, Rule, Running, Scan, Severity, Verdict, fail, hookimpl, rule
from llmscan.decisions import holds
from llmscan.products import Product

CATEGORY = "dangerous-switch"
Entry = Mapping[str, Any]
REFS = ("CWE-489", "LLM03:2026", "AISVS-1.0:C9")


def _judge(container: Container, scan: Scan, severity: Severity) -> Iterator[Verdict]:
    for running in scan.serving(container):
        entries = running.product.once(_by_severity).get(str(severity))
        if entries:
            reading = scan.reading(running, container)
            for entry in entries:
                if scan.first(container, ("switch", running.id, entry["id"])):
                    yield from _entry(entry, running, reading)


def _by_severity(product: Product) -> Mapping[str, list[Entry]]:
    """The switches of a product, by how bad each is."""
    found: dict[str, list[Entry]] = {}
    for entry in product.facts.get("switches", ()):
        found.setdefault(entry.get("severity", ""), []).append(entry)
    return found


def _entry(entry: Entry, running: Running, reading: Reading) -> Iterator[Verdict]:
    held = holds(entry, reading)
    if not held.truth:
        return
    found = next((item for item in held.found if item.declared), None)
    yield fail(
        f"{running.name}: {str(entry['say']).rstrip('.')}.", fix=str(entry.get("fix", "")), place=found.place if found else None,
        setting=f"switch {entry['id']}", product=running, evidence=Evidence.DECLARED if found else Evidence.DEFAULT,
    )  # fmt: skip


@rule("SWI001", "A switch hands control to callers", Severity.HIGH, category=CATEGORY, refs=REFS)
def control_for_callers(container: Container, scan: Scan) -> Iterator[Verdict]:
    """Development modes, debug consoles and code tools let callers run code or change the server, and anybody can read how.

    Switch it off wherever anybody but its developer can reach the server.
    """
    yield from _judge(container, scan, Severity.HIGH)


@rule("SWI002", "A switch widens what callers can do", Severity.MEDIUM, category=CATEGORY, refs=REFS)
def wider_for_callers(container: Container, scan: Scan) -> Iterator[Verdict]:
    """Loading adapters or fetching addresses on a caller's word makes the server act for whoever asks.

    Switch it off, or limit it to a list of names that you chose.
    """
    yield from _judge(container, scan, Severity.MEDIUM)


@rule("SWI003", "A switch weakens a protection", Severity.LOW, category=CATEGORY, refs=REFS)
def better_off(container: Container, scan: Scan) -> Iterator[Verdict]:
    """It gives more than most deployments need, and takes away a protection that costs nothing.

    Switch it off unless you need it.
    """
    yield from _judge(container, scan, Severity.LOW)


@hookimpl
def llmscan_rules() -> list[Rule]:
    """The rules of this family."""
    return [control_for_callers, wider_for_callers, better_off]

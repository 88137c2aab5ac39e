"""Telemetry and egress: where a product calls home, checks for updates, relays to a cloud, or fetches what it runs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from llmscan import (
    Container,
    Evidence,
    Origin,
    Reading,
    Rule,
    Running,
    Scan,
    Severity,
    Verdict,
    decide,
    fail,
    hookimpl,
    passed,
    rule,
    unknown,
)
from llmscan.commandline import line_text
from llmscan.decisions import holds
from llmscan.products import Product
from llmscan.records import Record

CATEGORY = "telemetry-egress"
REFS = ("CWE-359", "AML.T0025", "LLM02:2026")
KINDS: Mapping[str, tuple[str, ...]] = {
    "EGR001": ("telemetry",),
    "EGR002": ("update-check",),
    "EGR003": ("cloud-relay", "callback"),
    "EGR004": ("download",),
}
"""The kinds of entries that each rule tells of."""
INSTALLS = re.compile(
    r"\b(?:pip3?|uv pip|conda|mamba)\s+install\b(?!.*--no-index)|\b(?:apt|apt-get|yum|dnf|microdnf)\s+(?:-\S+\s+)*install\b|\bapk\s+(?:-\S+\s+)*add\b"
    r"|\bnpm\s+(?:i|install|ci)\b|\bnpx\s+(?:-y|--yes)\b|\buvx\s+|\bcurl\b[^|]*\|\s*(?:ba|z)?sh\b|\bwget\b[^|]*\|\s*(?:ba|z)?sh\b"
)


def _judge(container: Container, scan: Scan, rule: str) -> Iterator[Verdict]:
    for running in scan.serving(container):
        sendings = running.product.once(_by_rule)[rule]
        if sendings and scan.first(container, ("egress", running.id, rule)):
            reading = scan.reading(running, container)
            for sending in sendings:
                yield from _entry(sending, running, reading)


class Sending(Record, frozen=True):
    """Something that a product sends, or fetches, unless it is told not to."""

    facts: Mapping[str, Any]
    what: str
    setting: str
    fix: str


def _by_rule(product: Product) -> Mapping[str, list[Sending]]:
    """What a product sends, by the rule that tells of it."""
    entries = product.facts.get("egress", ())
    return {
        rule: [_sending(entry, product) for entry in entries if entry.get("kind") in kinds]
        for rule, kinds in KINDS.items()
    }


def _sending(entry: Mapping[str, Any], product: Product) -> Sending:
    what = f"{product.name}: {entry['what'].rstrip('.')}" + (f", to {entry['to']}" if entry.get("to") else "")
    return Sending(entry, what, f"egress {entry['id']}", str(entry.get("fix", "")))


def _entry(sending: Sending, running: Running, reading: Reading) -> Iterator[Verdict]:
    decision = decide(sending.facts["decision"], reading)
    if not decision.possible:
        return
    answer = decision.answer
    if answer == "off":
        yield passed()
    elif answer == "on":
        found = decision.deciding
        misspelt = _misspelt(sending.facts, reading)
        place = misspelt[1] if misspelt else (found.place if found else None)
        said = f" {misspelt[0]}" if misspelt else ""
        yield fail(
            f"{sending.what}.{said}", fix=sending.fix, place=place, setting=sending.setting, product=running,
            evidence=Evidence.DECLARED if misspelt or (found is not None and found.declared) else Evidence.DEFAULT,
        )  # fmt: skip
    else:
        missing = "; ".join(dict.fromkeys(str(gap) for gap in decision.missing))
        yield unknown(
            f"{sending.what}, unless switched off; {missing}.",
            *decision.missing,
            fix=sending.fix,
            setting=sending.setting,
            product=running,
        )


def _misspelt(entry: Mapping[str, Any], reading: Reading) -> tuple[str, Any] | None:
    """A setting that was meant to switch it off, and does not."""
    for wrong in entry.get("misspelt", ()):
        found = reading.setting(wrong["setting"])
        meant = found.present and found.value not in (None, "") and found.value not in wrong.get("not", ())
        if meant and found.origin != "image" and holds(wrong, reading).truth:
            return f"{found.name} is set without effect: {str(wrong.get('say', '')).rstrip('.')}.", found.place
    return None


@rule("EGR001", "Sends usage data to its vendor", Severity.LOW, category=CATEGORY, refs=REFS)
def telemetry(container: Container, scan: Scan) -> Iterator[Verdict]:
    """A stack that was put in-house so that nothing leaves it tells its vendor what runs there, and how much.

    Switch the telemetry off with the setting that the product names, and let a network policy deny what should not leave.
    """
    yield from _judge(container, scan, "EGR001")


@rule("EGR002", "Asks the internet for updates", Severity.INFO, category="update-check", refs=REFS)
def update_check(container: Container, scan: Scan) -> Iterator[Verdict]:
    """A check for new versions tells a third party that this installation exists, and fails noisily where the network is closed.

    Switch the check off where your updates come another way.
    """
    yield from _judge(container, scan, "EGR002")


@rule("EGR003", "Relays requests to a cloud", Severity.MEDIUM, category="cloud-relay", refs=REFS)
def cloud_relay(container: Container, scan: Scan) -> Iterator[Verdict]:
    """Prompts that callers send to a local server can leave for somebody else's, signed with your account.

    Switch the relay off unless it is what you want, and let only known callers reach the server.
    """
    yield from _judge(container, scan, "EGR003")


@rule("EGR004", "Downloads models or data when it starts", Severity.INFO, category="model-download", refs=REFS)
def download_at_start(container: Container, scan: Scan) -> Iterator[Verdict]:
    """A start then depends on somebody else's server, and on what it serves that day.

    Bring the files along (a volume or an image), and switch the download off.
    """
    yield from _judge(container, scan, "EGR004")


@rule(
    "EGR005",
    "Installs software from the internet at every start",
    Severity.MEDIUM,
    category=CATEGORY,
    refs=("CWE-494", "LLM04:2026", *REFS),
)
def installs_at_start(container: Container, scan: Scan) -> Iterator[Verdict]:
    """Every restart runs whatever the package index serves at that moment, with the rights of this container.

    Build an image that holds what is needed, and pin it.
    """
    for line in scan.command_lines(container):
        if INSTALLS.search(line_text(line)):
            yield fail(
                f"Container '{container.name}' installs software from the internet when it starts.",
                place=line[0].place,
                setting="install at start",
            )
            return


TELEMETRY_ON = re.compile(
    r"(?:^|_)(?:ANONYMOUS|ANONYMIZED|USAGE)?_?(?:TELEMETRY|ANALYTICS|USAGE_(?:STATS|REPORTING|COLLECTION))(?:_(?:ENABLED?|ON))?$"
    r"|^ENABLE_(?:\w+_)?(?:TELEMETRY|ANALYTICS)$",
    re.IGNORECASE,
)
TELEMETRY_OFF = re.compile(
    r"(?:DISABLE|NO|OPT_?OUT_?(?:OF)?)_(?:\w+_)?(?:TELEMETRY|ANALYTICS|USAGE_STATS)$|(?:TELEMETRY|ANALYTICS)_(?:DISABLED?|OPT_?OUT)$|^DO_NOT_TRACK$",
    re.IGNORECASE,
)
YES, NO = frozenset({"true", "1", "yes", "on"}), frozenset({"false", "0", "no", "off"})


@rule("EGR006", "A setting switches telemetry on", Severity.LOW, category=CATEGORY, refs=REFS)
def telemetry_by_name(container: Container, scan: Scan) -> Iterator[Verdict]:
    """A variable named after telemetry is on: the program tells its vendor what runs here, and how it is used.

    Switch it off, and let a network policy deny what should not leave.
    """
    if container.role == "init" or not container.env or not scan.workload_of(container).runs:
        return
    if any(running.product.category != "base-image" for running in scan.products_of(container)):
        return
    if any(name.startswith("OTEL_") for name in container.env):
        return  # telemetry then means traces that go to a collector of one's own
    for setting in container.env.values():
        if setting.origin != Origin.IMAGE and _leaves_on(setting.name, (setting.value or "").strip().lower()):
            yield fail(f"{setting.name} leaves telemetry on.", place=setting.place, setting=setting.name)
            return


def _leaves_on(name: str, value: str) -> bool:
    if TELEMETRY_OFF.search(name):
        return value in NO
    return (
        value in YES and bool(TELEMETRY_ON.search(name)) and not re.search(r"OTEL|OPEN_?TELEMETRY", name, re.IGNORECASE)
    )


@hookimpl
def llmscan_rules() -> list[Rule]:
    """The rules of this family."""
    return [telemetry, update_check, cloud_relay, download_at_start, installs_at_start, telemetry_by_name]

"""Permissive CORS: which web pages may call an endpoint from a visitor's browser."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from llmscan import (
    Container,
    Decision,
    Origin,
    Resource,
    Rule,
    Running,
    Scan,
    Setting,
    Severity,
    Stack,
    Verdict,
    fail,
    hookimpl,
    passed,
    rule,
    unknown,
)
from llmscan.records import Record

CATEGORY = "permissive-cors"
REFS = ("CWE-942", "API8:2023", "AISVS-1.0:C4")
BY_ANSWER = {
    "any": "COR001",
    "reflected": "COR001",
    "any-with-credentials": "COR002",
    "reflected-with-credentials": "COR002",
    "null": "COR003",
}
NAMED = re.compile(
    r"CORS_?(?:ALLOW(?:ED)?_?)?(?:ORIGINS?|HOSTS?|DOMAINS?)|(?:^|_)ORIGINS?(?:_REGEX|_PATTERN)?$|_CORS$|^CORS$",
    re.IGNORECASE,
)
ALLOWS_ALL = re.compile(r"ALLOW_?ALL_?ORIGINS?|ORIGINS?_?ALLOW_?ALL|CORS_?ALLOW_?ALL|ALLOW_?ANY_?ORIGIN", re.IGNORECASE)
"""Names of switches (Django's `CORS_ALLOW_ALL_ORIGINS=True`)."""
EVERY_ORIGIN = frozenset({"*", ".*", "^.*$"})


class Decided(Record, frozen=True):
    """Which web pages may call a product, and which rules tell of the answers that remain (None: no rule does)."""

    running: Running
    decision: Decision
    rules: frozenset[str | None]


def _decisions(container: Container, scan: Scan) -> tuple[Decided, ...]:
    return scan.memo(("cors", id(container)), lambda: tuple(_decided(container, scan)))


def _decided(container: Container, scan: Scan) -> Iterator[Decided]:
    if container.role == "init" or not scan.workload_of(container).runs:
        return
    for running in scan.products_of(container):
        decision = scan.decision("cors", running, container)
        if decision is not None and decision.possible and running.serves:
            yield Decided(running, decision, frozenset(BY_ANSWER.get(item.answer) for item in decision.possible))


def _judge(container: Container, scan: Scan, id: str) -> Iterator[Verdict]:
    for decided in _decisions(container, scan):
        running, decision, rules = decided.running, decided.decision, decided.rules
        if rules == {id}:
            found = decision.deciding
            if scan.first(container, ("cors", running.id, id, found.place if found is not None else None)):
                yield _fail(running, decision)
        elif id in rules and _first_rule(decision) == id:
            what = "; ".join(dict.fromkeys(str(gap) for gap in decision.missing))
            yield unknown(
                f"Which web pages may call {running.name} is not known: {what}.",
                *decision.missing, fix=_fix(running), setting="cors", product=running,
            )  # fmt: skip
        elif rules == {None} and id == "COR001":
            yield passed()


def _first_rule(decision: Decision) -> str | None:
    return next((BY_ANSWER[item.answer] for item in decision.possible if item.answer in BY_ANSWER), None)


def _fail(running: Running, decision: Decision) -> Verdict:
    found = decision.deciding
    place = found.place if found is not None else None
    said = decision.say.rstrip(".") or f"answers {decision.first.answer.replace('-', ' ')} origin"
    return fail(
        f"{running.name} {said}.",
        fix=_fix(running),
        place=place,
        evidence=decision.evidence,
        setting="cors",
        product=running,
        quote=decision.quote,
    )


def _fix(running: Running) -> str:
    return str(running.product.facts.get("cors_fix", ""))


@rule(
    "COR001",
    "Any web page may call it",
    Severity.MEDIUM,
    category=CATEGORY,
    refs=REFS,
    observable=True,
)
def any_origin(container: Container, scan: Scan) -> Iterator[Verdict]:
    """A page that somebody inside your network visits can call this API from their browser, and read the answers.

    Allow only the origins of your own front ends.
    """
    yield from _judge(container, scan, "COR001")


@rule(
    "COR002",
    "Any web page may call it with the visitor's credentials",
    Severity.HIGH,
    category=CATEGORY,
    refs=REFS,
    observable=True,
)
def any_origin_with_credentials(container: Container, scan: Scan) -> Iterator[Verdict]:
    """A page that a signed-in user visits can act here as that user: cookies are sent along, and the answers can be read.

    Allow only the origins of your own front ends; never reflect the caller's origin together with credentials.
    """
    yield from _judge(container, scan, "COR002")


@rule(
    "COR003",
    "The null origin may call it",
    Severity.MEDIUM,
    category=CATEGORY,
    refs=REFS,
    observable=True,
)
def null_origin(container: Container, scan: Scan) -> Iterator[Verdict]:
    """A sandboxed frame on any page has the origin `null`, so allowing it allows everybody.

    Remove `null` from the allowed origins.
    """
    yield from _judge(container, scan, "COR003")


@rule("COR004", "A setting allows any origin", Severity.MEDIUM, category=CATEGORY, refs=REFS)
def declared_any_origin(container: Container, scan: Scan) -> Iterator[Verdict]:
    """A setting named after allowed origins holds `*`: any page that a user visits may call the service and read its answers.

    List the origins of your own front ends instead.
    """
    if container.role != "init" and not _decisions(container, scan):
        yield from _declared((*container.env.values(), *_flags(container, scan)))


@rule("COR005", "An env file allows any origin", Severity.MEDIUM, category=CATEGORY, refs=REFS)
def any_origin_in_a_file(stack: Stack, scan: Scan) -> Iterator[Verdict]:
    """Whoever starts a service with this file lets any page that a user visits call it and read its answers.

    List the origins of your own front ends instead.
    """
    for loose in stack.loose_values:
        if loose.kind == "env file":
            yield from _declared((loose.setting,), Resource(loose.kind, loose.name, loose.namespace))


def _declared(settings: Iterable[Setting], resource: Resource | None = None) -> Iterator[Verdict]:
    for setting in settings:
        if setting.value is not None and setting.origin != Origin.IMAGE and _allows_any(setting.name, setting.value):
            yield fail(
                f"{setting.name} allows every origin.", place=setting.place, setting=setting.name, resource=resource
            )


def _allows_any(name: str, value: str) -> bool:
    name = name.lstrip("-").replace("-", "_")
    if ALLOWS_ALL.search(name):
        return value.strip().lower() in ("true", "1", "yes", "on")
    return bool(NAMED.search(name)) and any(part.strip(" \t\"'[]") in EVERY_ORIGIN for part in value.split(","))


def _flags(container: Container, scan: Scan) -> Iterator[Setting]:
    """The flags of a container with their values (`--cors-origins *`)."""
    for line in scan.command_lines(container):
        for index, word in enumerate(line):
            name, equals, value = word.raw.partition("=")
            if not name.startswith("--") or word.value is None:
                continue
            following = line[index + 1].value if not equals and index + 1 < len(line) else None
            yield Setting(name, value if equals else following, word.place)


@hookimpl
def llmscan_rules() -> list[Rule]:
    """The rules of this family."""
    return [any_origin, any_origin_with_credentials, null_origin, declared_any_origin, any_origin_in_a_file]

"""Permissive CORS: which web pages may call an endpoint from a visitor's browser."""

from __future__ import annotations

import re
from collections.abc import Iterator

from llmscan import (
    Container,
    Decision,
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
    r"CORS_?(?:ALLOW(?:ED)?_?)?(?:ORIGINS?|HOSTS?|DOMAINS?)|(?:ALLOW(?:ED)?|WEB|ACCEPTED)_?ORIGINS?|CORS_ORIGINS?|_CORS$",
    re.IGNORECASE,
)
ANY_ORIGIN = re.compile(r"""^[\s\["']*\*[\s\]"']*$""")


def _decisions(container: Container, scan: Scan) -> Iterator[tuple[Running, Decision]]:
    if container.role == "init" or not scan.workload_of(container).runs:
        return
    for running in scan.products_of(container):
        decision = scan.decision("cors", running, container)
        if decision is not None and decision.possible and running.serves:
            yield running, decision


def _judge(container: Container, scan: Scan, id: str) -> Iterator[Verdict]:
    for running, decision in _decisions(container, scan):
        rules = {BY_ANSWER.get(item.answer) for item in decision.possible}
        if rules == {id}:
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
    """A variable named after allowed origins holds `*`: any page that a user visits may call the service and read its answers.

    List the origins of your own front ends instead.
    """
    if container.role == "init" or any(True for _ in _decisions(container, scan)):
        return
    for name, setting in container.env.items():
        if (
            setting.value is not None
            and NAMED.search(name)
            and ANY_ORIGIN.match(setting.value)
            and setting.origin != "image"
        ):
            yield fail(f"{name} allows every origin.", place=setting.place, setting=name)


@hookimpl
def llmscan_rules() -> list[Rule]:
    """The rules of this family."""
    return [any_origin, any_origin_with_credentials, null_origin, declared_any_origin]

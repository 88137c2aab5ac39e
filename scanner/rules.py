"""What a rule is: a function with its id, severity and references, called on each object of the type of its first argument."""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from llmscan.findings import Evidence, Related, Resource, RuleNote, Severity, Status, Verdict
from llmscan.model import Container, Gap, Reach, Stack, Workload
from llmscan.places import Place
from llmscan.reach import Endpoint
from llmscan.records import Record

RULE_ID = re.compile(r"[A-Z]{2,8}[0-9]{3}\Z")
CATEGORY = re.compile(r"[a-z]+(?:-[a-z]+)*\Z")
TARGETS: Mapping[type, str] = {Container: "container", Workload: "workload", Endpoint: "endpoint", Stack: "stack"}

PASSED = Verdict(Status.PASS)
"""What most passes say: they are many, and one record serves for all of them."""


class BadRule(Exception):
    """A rule that cannot be registered; the text says which and why."""


class Option(Record, frozen=True):
    """A value that a rule takes from its user: `log_retention_days` becomes `--log-retention-days`."""

    name: str
    type: type
    default: Any
    help: str


class Rule(Record, frozen=True):
    """A registered rule. `why` and `fix` are the first two paragraphs of its docstring; `target` is the type that it is called on."""

    id: str
    title: str
    severity: Severity
    category: str
    refs: tuple[str, ...]
    options: tuple[Option, ...]
    target: type
    why: str
    fix: str
    call: Callable[[Any, Any], Iterable[Verdict]]
    observable: bool = False
    """Judges what answers show, so that it also holds where nothing but an endpoint's address is known."""

    def note(self) -> RuleNote:
        """What a report says of it."""
        name = "".join(word.capitalize() for word in self.call.__name__.split("_"))
        return RuleNote(self.id, self.title, self.category, self.severity, self.why, self.fix, self.refs, name)


def rule(
    id: str,
    title: str,
    severity: Severity,
    *,
    category: str,
    refs: Iterable[str] = (),
    options: Iterable[Option] = (),
    observable: bool = False,
) -> Callable[[Callable[[Any, Any], Iterable[Verdict]]], Rule]:
    """Make a rule of a function `(object, scan) -> Iterable[Verdict]`.

    The annotation of the first argument says on what it is called: `Container`, `Workload`, `Endpoint` or `Stack`. The docstring's first
    paragraph says why it matters, the second how to mend it. A rule that yields nothing did not apply. `observable` rules are also called on
    endpoints of which nothing but their answers is known; they must rest on `scan.decision` alone.

    Raises `BadRule` where id, category, docstring or annotation do not fit.
    """

    def make(function: Callable[[Any, Any], Iterable[Verdict]]) -> Rule:
        if not RULE_ID.match(id):
            raise BadRule(f"{id}: a rule id is two to eight capital letters and three digits")
        if not CATEGORY.match(category):
            raise BadRule(f"{id}: the category {category!r} is not a slug such as exposed-port")
        parts = re.split(r"\n\s*\n", inspect.getdoc(function) or "")
        paragraphs = [" ".join(part.split()) for part in parts if part.strip()]
        if len(paragraphs) < 2:
            raise BadRule(f"{id}: its docstring needs two paragraphs, why it matters and how to mend it")
        target = _target(id, function)
        return Rule(
            id,
            title,
            severity,
            category,
            tuple(refs),
            tuple(options),
            target,
            paragraphs[0],
            paragraphs[1],
            function,
            observable,
        )

    return make


def _target(id: str, function: Callable[..., Any]) -> type:
    parameters = list(inspect.signature(function).parameters)
    if len(parameters) != 2:
        raise BadRule(f"{id}: a rule takes two arguments, the object and the scan")
    target = typing.get_type_hints(function).get(parameters[0])
    if target not in TARGETS:
        raise BadRule(f"{id}: its first argument must be annotated with Container, Workload, Endpoint or Stack")
    return typing.cast(type, target)


def fail(
    message: str,
    *,
    fix: str = "",
    place: Place | None = None,
    evidence: Evidence = Evidence.DECLARED,
    setting: str = "",
    resource: Resource | None = None,
    via: Related | None = None,
    reach: Reach | None = None,
    product: Any = None,
    quote: str = "",
) -> Verdict:
    """The object is wrong in what this rule looks at. See `Verdict` for the arguments; `product` is what `scan.products_of` gives."""
    note = product.note() if product is not None else None
    return Verdict(Status.FAIL, message, fix, place, evidence, setting, resource, via, reach, (), note, quote)


def unknown(
    message: str,
    *missing: Gap,
    fix: str = "",
    place: Place | None = None,
    setting: str = "",
    resource: Resource | None = None,
    product: Any = None,
    reach: Reach | None = None,
) -> Verdict:
    """It cannot be told; `missing` is what was not seen."""
    note = product.note() if product is not None else None
    return Verdict(
        Status.UNKNOWN,
        message,
        fix,
        place,
        setting=setting,
        resource=resource,
        missing=missing,
        product=note,
        reach=reach,
    )


def passed(message: str = "", *, evidence: Evidence = Evidence.DECLARED) -> Verdict:
    """The object is right in what this rule looks at."""
    if not message and evidence is Evidence.DECLARED:
        return PASSED
    return Verdict(Status.PASS, message, evidence=evidence)

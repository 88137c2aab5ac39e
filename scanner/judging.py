"""Judge: every rule on every object of its type, and findings out of what they say."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, Protocol

from llmscan.collection import Collection
from llmscan.findings import Failure, Finding, InventoryItem, Related, Resource, Status, Verdict
from llmscan.host import Host
from llmscan.model import Container, Gap, Stack, Workload
from llmscan.places import Place
from llmscan.products import Catalogue
from llmscan.records import Record, replace
from llmscan.rule_view import Case, Scan
from llmscan.rules import Rule


class Learner(Protocol):
    """What has to know the values of a scan, to redact those that are not public: `llmscan.redact.Secrets`."""

    def add(self, scan: Scan, workloads: Sequence[Workload], whole: bool) -> None:
        """Take in the values of some workloads of a stack, once they are judged. whole: those of the stack itself too."""

    def learnt(self) -> Any:
        """All that was taken in, to be handed from one process to another."""

    def join(self, learnt: Any) -> None:
        """Take in what another took in."""


class Judged(Record, frozen=True):
    """What the judging of some workloads gave."""

    findings: tuple[Finding, ...]
    passed: Counter[str]
    inventory: tuple[InventoryItem, ...]
    gaps: tuple[Gap, ...]
    failures: tuple[Failure, ...]
    learnt: Any


class Portion(Record, frozen=True):
    """Workloads of a stack that are judged together: the templates of one object. `first`: the stack itself is judged with them."""

    stack: Stack
    workloads: tuple[Workload, ...]
    first: bool


BATCH = 200
"""Workloads of small stacks that are judged together: a rule is called on all of them in one go."""


def portions_of(stacks: Iterable[Stack]) -> list[Portion]:
    """Stacks as portions, in order; one without workloads is a portion too."""
    portions: list[Portion] = []
    for stack in stacks:
        groups = groupby(stack.workloads, key=lambda w: (w.kind, w.namespace, w.name))
        workloads = [tuple(group) for _, group in groups] or [()]
        portions += (Portion(stack, group, first=not index) for index, group in enumerate(workloads))
    return portions


def judge_portions(
    portions: Sequence[Portion],
    collection: Collection,
    host: Host,
    catalogue: Catalogue,
    options: Mapping[str, Any],
    probe: Callable[[Scan], Any] | None,
    learner: Learner | None,
) -> Judged:
    """Judge some portions; the failures of rules are taken from the host, to be handed back with the rest."""
    findings: list[Finding] = []
    passed: Counter[str] = Counter()
    inventory: list[InventoryItem] = []
    gaps: list[Gap] = []
    before = len(host.failures)
    for batch in batches(portions):
        cases: list[Case] = []
        seen: list[tuple[Scan, list[Workload], bool]] = []
        for workloads, whole, stack in batch:
            scan = Scan(stack, catalogue, options)
            if probe is not None:
                scan.observe(probe(scan))
                gaps += scan.observed.gaps
            cases += cases_of(scan, workloads, whole)
            seen.append((scan, workloads, whole))
        findings += judge(cases, host, passed, collection.origin)
        for scan, workloads, whole in seen:
            if learner is not None:
                learner.add(scan, workloads, whole)
            inventory += inventory_of(scan, workloads)
    failures = tuple(host.failures[before:])
    del host.failures[before:]
    learnt = learner.learnt() if learner is not None else None
    return Judged(tuple(findings), passed, tuple(inventory), tuple(gaps), failures, learnt)


def batches(portions: Sequence[Portion]) -> Iterator[list[tuple[list[Workload], bool, Stack]]]:
    """The stacks of some portions, many small ones together: the workloads to judge, whether the stack itself is, and the stack."""
    batch: list[tuple[list[Workload], bool, Stack]] = []
    size = 0
    for _, group in groupby(portions, key=lambda portion: id(portion.stack)):
        together = list(group)
        workloads = [workload for portion in together for workload in portion.workloads]
        batch.append((workloads, together[0].first, together[0].stack))
        size += len(workloads)
        if size >= BATCH:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def judge(cases: Sequence[Case], host: Host, passed: Counter[str], origin: str) -> Iterator[Finding]:
    """Call every rule on every case of its type. `origin`: see Collection, empty for files."""
    by_type: dict[type, list[Case]] = {}
    readable: dict[type, list[Case]] = {}
    for case in cases:
        by_type.setdefault(type(case.target), []).append(case)
        if not case.scan.only_addresses:
            readable.setdefault(type(case.target), []).append(case)
    for rule in host.rules.values():
        judged = (by_type if rule.observable else readable).get(rule.target, ())
        for case, verdict in host.verdicts(rule, judged):
            if verdict.status is Status.PASS:
                passed[rule.id] += 1
                continue
            made = finding(rule, _held_back(rule, verdict, case), case, origin)
            if _own(made, case.scan.stack):
                yield made


def _own(made: Finding, stack: Stack) -> bool:
    """Whether a finding is the stack's own: of a variant laid over other files, what stands in those is told with them."""
    return not stack.overlay or made.place is None or made.place.path in stack.overlay


def _held_back(rule: Rule, verdict: Verdict, case: Case) -> Verdict:
    """Of an object that was seen in part, what no line of its own says is not known."""
    if verdict.status is not Status.FAIL:
        return verdict
    target = case.target
    workload = target if isinstance(target, Workload) else getattr(target, "workload", None)
    if isinstance(target, Container):
        workload = case.scan.workload_of(target)
    if workload is None or workload.partial is None:
        return verdict
    if verdict.place is not None and verdict.place not in (
        case.place,
        workload.place,
        workload.place and workload.place.start,
    ):
        return verdict
    message = f"{rule.title}: not known, since {workload.partial}."
    return replace(verdict, status=Status.UNKNOWN, message=message, missing=(workload.partial,))


def cases_of(scan: Scan, workloads: Sequence[Workload], whole: bool) -> Iterator[Case]:
    """Everything that rules are called on. whole: the stack itself too."""
    stack = scan.stack
    live_namespace = stack.source == "kubernetes"
    unit = Resource("Namespace", stack.namespace) if live_namespace else Resource("Stack", stack.unit, stack.namespace)
    if whole:
        yield Case(stack, scan, unit, stack.place)
    for workload in workloads:
        yield Case(workload, scan, Resource(workload.kind, workload.name, workload.namespace), workload.place)
        for container in workload.containers:
            resource = Resource(workload.kind, workload.name, workload.namespace, container.name)
            yield Case(container, scan, resource, container.place or workload.place)
            for endpoint in scan.endpoints_of(container) if workload.runs else ():
                yield Case(endpoint, scan, resource, endpoint.declared or container.place or workload.place)


def finding(rule: Rule, verdict: Verdict, case: Case, origin: str) -> Finding:
    """A finding from a verdict."""
    about = verdict.resource or case.resource
    where = verdict.place or case.place
    identity = (rule.id, about.kind, about.namespace, about.name, about.container, verdict.setting)
    path = origin or (where.path if where is not None else "")
    return Finding(
        rule=rule.id,
        title=rule.title,
        category=rule.category,
        status=verdict.status,
        severity=rule.severity,
        evidence=verdict.evidence,
        message=verdict.message,
        fix=verdict.fix or rule.fix,
        resource=about,
        place=where,
        unit=case.scan.stack.unit,
        refs=rule.refs,
        setting=verdict.setting,
        product=verdict.product,
        reach=verdict.reach,
        via=verdict.via,
        missing=verdict.missing,
        quote=verdict.quote,
        fingerprint=hashlib.sha256("\0".join((*identity, path)).encode()).hexdigest()[:32],
        live=bool(origin),
        rendered_by=case.scan.stack.rendered_by if where is not None else "",
    )


def merge(findings: Iterable[Finding]) -> list[Finding]:
    """One finding for one mistake: what decides on the same line, or has the same identity, is told once with the others as related.

    Settings keep apart what lacks a line of its own and so stands at that of its object.
    """
    result: dict[Any, Finding] = {}
    seen: dict[str, Any] = {}
    for item in findings:
        line = (
            (item.rule, item.status, item.place, item.setting)
            if item.place is not None
            else (item.rule, item.status, item.fingerprint)
        )
        key = seen.get(item.fingerprint + item.status) or line
        if key not in result:
            result[key] = item
        elif _elsewhere(item, result[key]):
            other = Related(item.resource.name, item.resource.kind, item.resource.namespace, item.place)
            if other not in result[key].related:
                result[key] = replace(result[key], related=(*result[key].related, other))
        seen[item.fingerprint + item.status] = key
    return list(result.values())


def _elsewhere(item: Finding, told: Finding) -> bool:
    """Whether a finding is about another object than the one told, or another file: not the next template of the same object."""
    if item.resource != told.resource:
        return True
    return item.place is not None and told.place is not None and item.place.path != told.place.path


def order(item: Finding) -> tuple[Any, ...]:
    """The worst first, failures before unknowns, then by place."""
    place = item.place or Place("", 0, 0, 0)
    return (item.status is Status.UNKNOWN, -item.severity, place[:4], str(item.resource), item.rule, item.setting)


def inventory_of(scan: Scan, workloads: Sequence[Workload]) -> Iterator[InventoryItem]:
    """What runs where."""
    for workload, container in ((w, c) for w in workloads for c in w.containers):
        yield InventoryItem(
            Resource(workload.kind, workload.name, workload.namespace, container.name),
            container.image.reference if container.image else "",
            tuple(running.note() for running in scan.products_of(container)),
            tuple(f"{e.port or '?'}/{e.protocol} {e.reach}" for e in scan.endpoints_of(container)),
            container.place or workload.place,
            scan.stack.unit,
            tuple(one.note() for one in scan.observed.of(container)),
        )

"""The flow of a scan: link, identify, probe, judge, decide. Collecting comes before, reporting after."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any, TypeVar

from llmscan.commandline import Line, command_lines
from llmscan.decisions import Decision, decide, holds
from llmscan.findings import (
    Coverage,
    Failure,
    Finding,
    InventoryItem,
    Related,
    Report,
    Resource,
    Status,
    Target,
    Verdict,
)
from llmscan.host import Host
from llmscan.model import Container, Gap, Reach, Stack, Workload
from llmscan.places import Place
from llmscan.probe.observation import NOT_PROBED, Observations
from llmscan.probe.overlay import addressed, products_seen, seen_of, settled, unread_settings
from llmscan.products import Catalogue, Running
from llmscan.reach import Endpoint, KnownPort, Links
from llmscan.rules import Rule
from llmscan.settings import Reading
from llmscan.version import __version__

T = TypeVar("T")

PORT = re.compile(r"(?:^:?|[^:]:)(\d{1,5})/?$")
"""The port in `8000`, `:8000`, `0.0.0.0:8000` and `http://[::]:8000`; an address alone names none, and the default then holds."""


@dataclass(frozen=True, slots=True)
class Collection:
    """What the collectors brought: stacks, and what did not work or was not seen."""

    target: Target
    stacks: tuple[Stack, ...] = ()
    failures: tuple[Failure, ...] = ()
    gaps: tuple[Gap, ...] = ()
    notes: tuple[str, ...] = ()
    files: int = 0
    objects: int = 0
    live: bool = False

    @property
    def origin(self) -> str:
        """What a live finding is known by where one of a file has its path: the target, whose name outlives that of a context."""
        return f"{self.target.kind}/{self.target.name}" if self.live else ""


class Scan:
    """What a rule sees beside the object that it was given: the stack, the products, the endpoints, and what was not seen.

    `options` has the options that rules declared, by name. `observed` has what probes saw, by endpoint.
    """

    def __init__(
        self, stack: Stack, catalogue: Catalogue, options: Mapping[str, Any], observed: Observations = NOT_PROBED
    ) -> None:
        self.stack, self.catalogue = stack, catalogue
        self.options = SimpleNamespace(**options)
        self.observed = observed
        self.links = Links(stack)
        self._workloads: dict[int, Workload] = {}
        self._lines: dict[int, tuple[Line, ...]] = {}
        self._products: dict[int, tuple[Running, ...]] = {}
        self._endpoints: dict[int, tuple[Endpoint, ...]] = {}
        self._memo: dict[Any, Any] = {}
        for workload in stack.workloads:
            for container in workload.containers:
                self._workloads[id(container)] = workload

    def observe(self, observed: Observations) -> None:
        """Take in what probes saw; what was concluded before is concluded anew."""
        self.observed = observed
        for concluded in (self._products, self._endpoints, self._memo):
            concluded.clear()

    def workload_of(self, container: Container) -> Workload:
        """The workload that a container belongs to."""
        return self._workloads[id(container)]

    def command_lines(self, container: Container) -> tuple[Line, ...]:
        """Each simple command that a container starts, its variables put in."""
        found = self._lines.get(id(container))
        if found is None:
            found = self._lines[id(container)] = command_lines(container)
        return found

    def products_of(self, container: Container) -> tuple[Running, ...]:
        """The products of the catalogue that a container runs."""
        found = self._products.get(id(container))
        if found is None:
            lines = self.command_lines(container)
            found = self.catalogue.identify(container, self.workload_of(container), lines)
            found = tuple(products_seen(found, self.observed.of(container), self.catalogue.products))
            self._products[id(container)] = found
        return found

    @property
    def only_addresses(self) -> bool:
        """Whether nothing is known but addresses and what answered there."""
        return self.stack.source == "endpoints"

    def reading(self, running: Running, container: Container) -> Reading:
        """The settings of a product as the container has them."""
        return self.memo(("reading", running.id, id(container)), lambda: self._reading(running, container))

    def _reading(self, running: Running, container: Container) -> Reading:
        workload = self.workload_of(container)
        if self.only_addresses:
            unread = replace(container, gaps=unread_settings())
            return Reading(running, unread, workload, ())
        return Reading(running, container, workload, self.command_lines(container))

    def endpoints_of(self, container: Container) -> tuple[Endpoint, ...]:
        """The endpoints of a container, with every way that leads to them."""
        found = self._endpoints.get(id(container))
        if found is None and self.only_addresses:
            workload, seen = self.workload_of(container), self.observed.of(container)
            found = tuple(addressed(workload, container, one, self.catalogue.products) for one in seen if one.answered)
            self._endpoints[id(container)] = found
        if found is None:
            known = [port for running in self.products_of(container) for port in self._known_ports(running, container)]
            found = tuple(self.links.endpoints(self.workload_of(container), container, known))
            self._endpoints[id(container)] = found
        return found

    def _known_ports(self, running: Running, container: Container) -> Iterator[KnownPort]:
        facts, reading = running.product.facts, self.reading(running, container)
        loopback = decide(facts["listens"], reading).answer == "loopback" if "listens" in facts else False
        for entry in facts.get("ports", ()):
            port = _port_number(entry, reading) if holds(entry, reading).truth is not False else None
            if port is not None:
                yield KnownPort(port, entry.get("protocol", "tcp"), entry.get("role", ""), running.id, loopback)

    def decision(self, block: str, running: Running, container: Container, role: str = "") -> Decision | None:
        """The outcome of a product's decision block, as probes saw it or else by settings and defaults; None where nothing is known."""
        return self.memo(("decision", block, role, running.id, id(container)), lambda: self._decision(block, running, container, role))

    def _decision(self, block: str, running: Running, container: Container, role: str) -> Decision | None:
        clauses = running.product.facts.get(block)
        if isinstance(clauses, Mapping):
            clauses = clauses.get(role)
        decided = decide(clauses, self.reading(running, container)) if clauses and not self.only_addresses else None
        if not self.observed.seen:
            return decided
        ports = {endpoint.port for endpoint in self.endpoints_of(container) if not role or endpoint.role == role}
        seen = [one for one in self.observed.of(container) if one.port in ports]
        return settled(block, decided, seen_of(seen, block, running.id))

    def unseen(self, *resources: str) -> tuple[Gap, ...]:
        """The lists of these types that the API did not give, so that what a verdict misses in them may be there all the same.

        Named as RBAC does: `services`, `networkpolicies.networking.k8s.io`. From files nothing is unseen in this sense.
        """
        return tuple(gap for gap in self.stack.gaps if gap.resource and gap.resource in resources)

    def memo(self, key: Any, make: Callable[[], T]) -> T:
        """Make a value once for this stack."""
        if key not in self._memo:
            self._memo[key] = make()
        return self._memo[key]  # type: ignore[no-any-return]

    def first(self, container: Container, key: Any) -> bool:
        """Whether this is the first container of its object that asks for `key`: replicas of a template make one mistake."""
        workload = self.workload_of(container)
        whole = ("first", workload.kind, workload.namespace, workload.name, workload.place and workload.place.path, key)
        return self.memo(whole, lambda: id(container)) == id(container)

    def containers(self) -> Iterator[tuple[Workload, Container]]:
        """Every container of the stack with its workload."""
        for workload in self.stack.workloads:
            for container in workload.containers:
                yield workload, container


def _port_number(entry: Mapping[str, Any], reading: Reading) -> int | None:
    for source in entry.get("from", ()):
        found = reading.source(source)
        if found.present and found.value is None:
            break
        match = PORT.search(found.value or "")
        if match and 0 < int(match[1]) < 65536:
            return int(match[1])
    number = entry.get("port", "")
    return int(number) if str(number).isdigit() else None


def run(
    collection: Collection,
    host: Host,
    catalogue: Catalogue,
    options: Mapping[str, Any],
    probe: Callable[[Scan], Any] | None = None,
    learn: Callable[[Scan], None] = lambda scan: None,
) -> Report:
    """Judge what was collected with every rule, and make the report. `learn` is told of each stack, to redact its values later."""
    findings: list[Finding] = []
    passed: dict[str, int] = {}
    inventory: list[InventoryItem] = []
    gaps: list[Gap] = []
    for stack in collection.stacks:
        scan = Scan(stack, catalogue, options)
        if probe is not None:
            scan.observe(probe(scan))
            gaps += scan.observed.gaps
        learn(scan)
        findings += judge(scan, host, passed, collection.origin)
        inventory += inventory_of(scan)
    return Report(
        version=__version__,
        target=collection.target,
        findings=tuple(sorted(merge(findings), key=order)),
        passed=dict(sorted(passed.items())),
        failures=(*collection.failures, *host.told()),
        coverage=coverage_of(collection, gaps),
        inventory=tuple(inventory),
        rules=tuple(rule.note() for rule in sorted(host.rules.values(), key=lambda rule: rule.id)),
    )


def judge(scan: Scan, host: Host, passed: dict[str, int], origin: str) -> Iterator[Finding]:
    """Call every rule on every object of its type. `origin`: see Collection, empty for files."""
    by_target: dict[type, list[Rule]] = {}
    for rule in host.rules.values():
        by_target.setdefault(rule.target, []).append(rule)
    for target, resource, place in objects(scan):
        for rule in by_target.get(type(target), ()):
            if scan.only_addresses and not rule.observable:
                continue
            for verdict in host.call(rule, target, scan, place):
                if verdict.status is Status.PASS:
                    passed[rule.id] = passed.get(rule.id, 0) + 1
                    continue
                made = finding(rule, _held_back(rule, verdict, target, place, scan), resource, place, scan, origin)
                if _own(made, scan.stack):
                    yield made


def _own(made: Finding, stack: Stack) -> bool:
    """Whether a finding is the stack's own: of a variant laid over other files, what stands in those is told with them."""
    return not stack.overlay or made.place is None or made.place.path in stack.overlay


def _held_back(rule: Rule, verdict: Verdict, target: Any, place: Place | None, scan: Scan) -> Verdict:
    """Of an object that was seen in part, what no line of its own says is not known."""
    workload = target if isinstance(target, Workload) else getattr(target, "workload", None)
    if isinstance(target, Container):
        workload = scan.workload_of(target)
    if workload is None or workload.partial is None or verdict.status is not Status.FAIL:
        return verdict
    if verdict.place is not None and verdict.place not in (
        place,
        workload.place,
        workload.place and workload.place.start,
    ):
        return verdict
    message = f"{rule.title}: not known, since {workload.partial}."
    return replace(verdict, status=Status.UNKNOWN, message=message, missing=(workload.partial,))


def objects(scan: Scan) -> Iterator[tuple[Any, Resource, Place | None]]:
    """Everything that rules are called on, with the resource and place that it stands for."""
    stack = scan.stack
    live_namespace = stack.source == "kubernetes"
    whole = Resource("Namespace", stack.namespace) if live_namespace else Resource("Stack", stack.unit, stack.namespace)
    yield stack, whole, stack.place
    for workload in stack.workloads:
        whole = Resource(workload.kind, workload.name, workload.namespace)
        yield workload, whole, workload.place
        for container in workload.containers:
            resource = Resource(workload.kind, workload.name, workload.namespace, container.name)
            yield container, resource, container.place or workload.place
            for endpoint in scan.endpoints_of(container) if workload.runs else ():
                yield endpoint, resource, endpoint.declared or container.place or workload.place


def finding(rule: Rule, verdict: Verdict, resource: Resource, place: Place | None, scan: Scan, origin: str) -> Finding:
    """A finding from a verdict."""
    about = verdict.resource or resource
    where = verdict.place or place
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
        unit=scan.stack.unit,
        refs=rule.refs,
        setting=verdict.setting,
        product=verdict.product,
        reach=verdict.reach,
        via=verdict.via,
        missing=verdict.missing,
        quote=verdict.quote,
        fingerprint=hashlib.sha256("\0".join((*identity, path)).encode()).hexdigest()[:32],
        live=bool(origin),
        rendered_by=scan.stack.rendered_by if where is not None else "",
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


def inventory_of(scan: Scan) -> Iterator[InventoryItem]:
    """What runs where."""
    for workload, container in scan.containers():
        yield InventoryItem(
            Resource(workload.kind, workload.name, workload.namespace, container.name),
            container.image.reference if container.image else "",
            tuple(running.note() for running in scan.products_of(container)),
            tuple(f"{e.port or '?'}/{e.protocol} {e.reach}" for e in scan.endpoints_of(container)),
            container.place or workload.place,
            scan.stack.unit,
            tuple(one.note() for one in scan.observed.of(container)),
        )


def coverage_of(collection: Collection, more: Iterable[Gap] = ()) -> Coverage:
    """What was read, and every gap once."""
    gaps = [*collection.gaps, *more, *(gap for stack in collection.stacks for gap in stack.gaps)]
    gaps += [g for s in collection.stacks for w in s.workloads for c in w.containers for g in c.gaps]
    workloads = [workload for stack in collection.stacks for workload in stack.workloads]
    return Coverage(
        units=tuple(stack.unit for stack in collection.stacks),
        workloads=len(workloads),
        containers=sum(len(workload.containers) for workload in workloads),
        objects=collection.objects,
        files=collection.files,
        gaps=tuple(dict.fromkeys(gaps)),
        notes=collection.notes,
    )


def worst_reach(endpoints: Sequence[Endpoint]) -> Reach:
    """The farthest reach of some endpoints."""
    return max((endpoint.reach for endpoint in endpoints), default=Reach.POD)


def option_defaults(rules: Iterable[Rule]) -> dict[str, Any]:
    """Each option that rules declare, with its default."""
    return {option.name: option.default for rule in rules for option in rule.options}

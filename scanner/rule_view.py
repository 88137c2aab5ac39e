"""What a rule sees beside the object that it was given."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from types import SimpleNamespace
from typing import Any, TypeVar

from llmscan.commandline import Line, command_lines
from llmscan.decisions import Decision, decide, holds
from llmscan.findings import Resource
from llmscan.model import Container, Gap, Stack, Workload
from llmscan.places import Place
from llmscan.probe.observation import NOT_PROBED, Observations
from llmscan.probe.overlay import addressed, products_seen, seen_of, settled, unread_settings
from llmscan.products import Catalogue, Running
from llmscan.proxies import READABLE
from llmscan.reach import Endpoint, KnownPort, Links, Passage
from llmscan.records import Record, replace
from llmscan.settings import Reading

T = TypeVar("T")
PORT = re.compile(r"(?:^:?|[^:]:)(\d{1,5})/?$")
"""The port in `8000`, `:8000`, `0.0.0.0:8000` and `http://[::]:8000`; an address alone names none, and the default then holds."""


class Scan:
    """What a rule sees beside the object that it was given: the stack, the products, the endpoints, and what was not seen.

    `options` has the options that rules declared, by name. `observed` has what probes saw, by endpoint. `only_addresses`: nothing is known
    but addresses and what answered there.
    """

    def __init__(
        self, stack: Stack, catalogue: Catalogue, options: Mapping[str, Any], observed: Observations = NOT_PROBED
    ) -> None:
        self.stack, self.catalogue = stack, catalogue
        self.options = SimpleNamespace(**options)
        self.observed = observed
        self.links = Links(stack, self._passages)
        self.only_addresses = stack.source == "endpoints"
        self._workloads: dict[int, Workload] = {}
        self._lines: dict[int, tuple[Line, ...]] = {}
        self._products: dict[int, tuple[Running, ...]] = {}
        self._endpoints: dict[int, tuple[Endpoint, ...]] = {}
        self._serving: dict[int, tuple[Running, ...]] = {}
        self._readings: dict[tuple[int, str], Reading] = {}
        self._decisions: dict[tuple[int, str, str, str], Decision | None] = {}
        self._first: dict[tuple[str | None, ...], dict[Any, int]] = {}
        self._firsts: dict[int, dict[Any, int]] = {}
        self._memo: dict[Any, Any] = {}
        for workload in stack.workloads:
            for container in workload.containers:
                self._workloads[id(container)] = workload

    def observe(self, observed: Observations) -> None:
        """Take in what probes saw; what was concluded before is concluded anew."""
        self.observed = observed
        concluded: list[dict[Any, Any]] = [self._products, self._serving, self._endpoints, self._readings]
        concluded += [self._decisions, self._first, self._firsts, self._memo]
        for one in concluded:
            one.clear()

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

    def serving(self, container: Container) -> tuple[Running, ...]:
        """The products with which a container serves; none of an init container, or where nothing is to run."""
        found = self._serving.get(id(container))
        if found is None:
            idle = container.role == "init" or not self.workload_of(container).runs
            found = () if idle else tuple(running for running in self.products_of(container) if running.serves)
            self._serving[id(container)] = found
        return found

    def reading(self, running: Running, container: Container) -> Reading:
        """The settings of a product as the container has them."""
        key = (id(container), running.product.id)
        found = self._readings.get(key)
        if found is None:
            found = self._readings[key] = self._reading(running, container)
        return found

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
            serving = [running for running in self.products_of(container) if running.serves]
            known = [port for running in serving for port in self._known_ports(running, container)]
            found = tuple(self.links.endpoints(self.workload_of(container), container, known))
            self._endpoints[id(container)] = found
        return found

    def _passages(self) -> Mapping[int, tuple[Passage, ...]]:
        """The ways through the proxies of the stack, where no cluster routes requests."""
        found = [
            (running, workload, container)
            for workload, container in self.containers()
            if not workload.orchestrated and workload.runs
            for running in self.products_of(container)
            if running.id in READABLE and running.serves
        ]
        if not found:
            return {}
        from llmscan.proxies.ways import Proxy, passages

        proxies = [
            Proxy(running.id, workload, container, self.command_lines(container), self._managed(running, container))
            for running, workload, container in found
        ]
        return passages(self.stack, proxies)

    def _managed(self, running: Running, container: Container) -> frozenset[int]:
        """The ports on which a product is managed."""
        return frozenset(port.port for port in self._known_ports(running, container) if port.role == "management")

    def _known_ports(self, running: Running, container: Container) -> Iterator[KnownPort]:
        facts, reading = running.product.facts, self.reading(running, container)
        loopback = decide(facts["listens"], reading).answer == "loopback" if "listens" in facts else False
        for entry in facts.get("ports", ()):
            port = _port_number(entry, reading) if holds(entry, reading).truth is not False else None
            if port is not None:
                yield KnownPort(port, entry.get("protocol", "tcp"), entry.get("role", ""), running.id, loopback)

    def decision(self, block: str, running: Running, container: Container, role: str = "") -> Decision | None:
        """The outcome of a product's decision block, as probes saw it or else by settings and defaults; None where nothing is known."""
        key = (id(container), running.product.id, block, role)
        if key not in self._decisions:
            self._decisions[key] = self._decision(block, running, container, role)
        return self._decisions[key]

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
        first = self._firsts.get(id(container))
        if first is None:
            workload = self.workload_of(container)
            path = workload.place.path if workload.place is not None else None
            whole = (workload.kind, workload.namespace, workload.name, path)
            first = self._firsts[id(container)] = self._first.setdefault(whole, {})
        return first.setdefault(key, id(container)) == id(container)

    def containers(self) -> Iterator[tuple[Workload, Container]]:
        """Every container of the stack with its workload."""
        for workload in self.stack.workloads:
            for container in workload.containers:
                yield workload, container


class Case(Record, frozen=True):
    """Something that rules are called on, what they see beside it, and the resource and place that it stands for."""

    target: Any
    scan: Scan
    resource: Resource
    place: Place | None


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

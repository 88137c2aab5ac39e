"""Link a stack: from where each endpoint can be reached, and by which ways.

Selectors, ports, routes, gateways, published ports, host networking and policies are taken together here, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from llmscan.findings import Related
from llmscan.model import (
    Backend,
    Container,
    Gap,
    Peer,
    Policy,
    PolicyRule,
    Published,
    Reach,
    Route,
    Selector,
    Service,
    ServicePort,
    Stack,
    Workload,
)
from llmscan.places import Place
from llmscan.records import Record, replace

LOOPBACK_ADDRESSES = ("127.", "::1", "localhost", "[::1]")
UNKNOWN_PORT = 0
"""The number of a port that a variable without a value gives."""
WAYS_IN = frozenset(
    {
        "services",
        "ingresses.networking.k8s.io",
        "httproutes.gateway.networking.k8s.io",
        "grpcroutes.gateway.networking.k8s.io",
        "tcproutes.gateway.networking.k8s.io",
        "tlsroutes.gateway.networking.k8s.io",
        "routes.route.openshift.io",
        "ingressroutes.traefik.io",
        "virtualservices.networking.istio.io",
        "custom resources",
    }
)
"""Types that open ways to a workload, as a gap names them."""


class Way(Record, frozen=True):
    """One way to an endpoint: what opens it, how far it reaches, and the line that opens it.

    kind: `published port`, `hostPort`, `host network`, `LoadBalancer`, `NodePort`, `external IP`, `ClusterIP`, `Ingress`, `HTTPRoute`, `pod`...
    opener: the object that opens it, where that is another than the workload. port: where a caller knocks.
    """

    kind: str
    reach: Reach
    text: str
    port: int | None = None
    opener: Related | None = None
    place: Place | None = None
    authenticated_by: str = ""
    gap: Gap | None = None
    conditional: str = ""


class Passage(Record, frozen=True):
    """A way through a proxy to one port of a workload; port None: to the only one that it has."""

    port: int | None
    way: Way


@dataclass(frozen=True)
class Endpoint:
    """A port on which a container serves, with every way that leads to it."""

    workload: Workload
    container: Container
    port: int
    protocol: str = "tcp"
    role: str = ""
    """`inference`, `management`, `debug`, `data`, `web`, `metrics`, `cluster`, or "" where nothing tells."""
    product: str = ""
    """Id of the product that serves here, or ""."""
    declared: Place | None = None
    ways: tuple[Way, ...] = ()
    limited_by: tuple[str, ...] = ()
    """Policies that admit only named peers to it."""
    unseen: tuple[Gap, ...] = ()
    """Lists that the API did not give and that may hold further ways to it: its reach is at least what it says."""

    @cached_property
    def reach(self) -> Reach:
        """The farthest reach of all ways that ask nobody for a credential; of all ways, if each of them asks."""
        open_ways = [way for way in self.ways if not way.authenticated_by] or list(self.ways)
        return max((way.reach for way in open_ways), default=Reach.POD)

    @property
    def guards(self) -> tuple[str, ...]:
        """What asks for a credential in front of it, on any way."""
        return tuple(dict.fromkeys(way.authenticated_by for way in self.ways if way.authenticated_by))

    @property
    def guarded(self) -> bool:
        """Whether every way that leads to it from another pod or host asks for a credential."""
        ways = [way for way in self.ways if way.reach > Reach.LOOPBACK]
        return bool(ways) and all(way.authenticated_by for way in ways)

    def farthest(self) -> Way | None:
        """The open way with the farthest reach."""
        ways = [way for way in self.ways if not way.authenticated_by] or list(self.ways)
        return max(ways, key=lambda way: way.reach, default=None)


class KnownPort(Record, frozen=True):
    """A port that a container serves on because its product does: from the catalogue, at the number that its settings give."""

    port: int
    protocol: str
    role: str
    product: str
    loopback: bool = False
    gap: Gap | None = None


def selects(selector: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    """Whether equal-label selection holds; an empty selector selects nothing (a Service without one)."""
    return bool(selector) and all(labels.get(key) == value for key, value in selector.items())


def matches(selector: Selector, labels: Mapping[str, str]) -> bool:
    """Whether a policy's selector holds; an empty one selects everything."""
    return all(labels.get(k) == v for k, v in selector.labels.items()) and all(
        _expression(labels, *expression) for expression in selector.expressions
    )


def _expression(labels: Mapping[str, str], key: str, operator: str, values: tuple[str, ...]) -> bool:
    if operator == "In":
        return labels.get(key) in values
    if operator == "NotIn":
        return labels.get(key) not in values
    return (key in labels) == (operator == "Exists")


def is_loopback(address: str) -> bool:
    """Whether an address of the host is its loopback."""
    return address.startswith(LOOPBACK_ADDRESSES)


def network_owner(stack: Stack, workload: Workload) -> Workload:
    """The workload whose network one uses (`network_mode: service:x`), itself in most cases: its ports lead to both."""
    owner = workload
    for _ in range(len(stack.workloads) if workload.shares_network_with else 0):
        named = (other for other in stack.workloads if other.name == owner.shares_network_with)
        found = next(named, None) if owner.shares_network_with else None
        if found is None:
            break
        owner = found
    return owner


class Links:
    """The objects of one stack, indexed for linking.

    passages: makes the ways through proxies, by the id of the workload to which they lead; it is asked once, and only where needed.
    """

    def __init__(self, stack: Stack, passages: Callable[[], Mapping[int, Sequence[Passage]]] = dict) -> None:
        self.stack, self._make_passages = stack, passages
        self.routes: dict[tuple[str, str], list[tuple[Route, Backend]]] = {}
        for route in stack.routes:
            for backend in route.backends:
                key = (backend.namespace or route.namespace, backend.service)
                self.routes.setdefault(key, []).append((route, backend))
        self.gateways = {f"{gateway.namespace}/{gateway.name}": gateway for gateway in stack.gateways}
        self.services: dict[tuple[str, str, str], list[Service]] = {}
        self.unseen = tuple(gap for gap in stack.gaps if gap.resource in WAYS_IN)
        self._services_of: dict[int, tuple[Workload, tuple[Service, ...]]] = {}
        """By the id of the workload, which is kept beside them so that no other can have that id."""
        self._in_file: dict[str, list[Workload]] = {}
        self._labelled: dict[tuple[str, str, str], list[Workload]] = {}
        for workload in stack.workloads:
            if workload.place is not None:
                self._in_file.setdefault(workload.place.path, []).append(workload)
            for label, value in workload.labels.items() if workload.orchestrated else ():
                self._labelled.setdefault((workload.namespace, label, value), []).append(workload)
        for service in stack.services:
            if service.selector:
                key3 = (service.namespace, *next(iter(service.selector.items())))
                self.services.setdefault(key3, []).append(service)

    @cached_property
    def passages(self) -> Mapping[int, Sequence[Passage]]:
        """The ways through proxies, by the id of the workload to which they lead."""
        return self._make_passages()

    def services_of(self, workload: Workload) -> tuple[Service, ...]:
        """The Services that select the pods of a workload."""
        known = self._services_of.get(id(workload))
        if known is None:
            services = tuple(self._selecting(workload)) if workload.orchestrated else ()
            known = self._services_of[id(workload)] = (workload, services)
        return known[1]

    def _selecting(self, workload: Workload) -> Iterator[Service]:
        seen: set[int] = set()
        for key, value in workload.labels.items():
            for service in self.services.get((workload.namespace, key, value), ()):
                if (
                    id(service) not in seen
                    and selects(service.selector, workload.labels)
                    and self._near(service, workload)
                ):
                    seen.add(id(service))
                    yield service

    def _near(self, service: Service, workload: Workload) -> bool:
        """A Service that matches in its own file means that one: variants of a deployment stand side by side in a folder."""
        if service.place is None or workload.place is None or service.place.path == workload.place.path:
            return True
        return not any(
            other.namespace == service.namespace and selects(service.selector, other.labels)
            for other in self._in_file.get(service.place.path, ())
        )

    def behind(self, opener: Related) -> tuple[Workload, ...]:
        """The workloads to which a Service, a route through its Services, or a proxy leads."""
        whole = (opener.kind, opener.namespace, opener.name)
        if any(not workload.orchestrated for workload in self.stack.workloads) and opener.kind in (
            "service",
            "container",
        ):
            return tuple(self._proxied(whole))
        services = [s for s in self.stack.services if (s.kind, s.namespace, s.name) == whole]
        for route in self.stack.routes:
            if (route.kind, route.namespace, route.name) == whole:
                named = {(backend.namespace or route.namespace, backend.service) for backend in route.backends}
                services += [s for s in self.stack.services if (s.namespace, s.name) in named]
        return tuple({id(w): w for s in services for w in self._selected(s)}.values())

    def _proxied(self, proxy: tuple[str, str, str]) -> Iterator[Workload]:
        for workload in self.stack.workloads:
            openers = (passage.way.opener for passage in self.passages.get(id(workload), ()))
            if any(one is not None and (one.kind, one.namespace, one.name) == proxy for one in openers):
                yield workload

    def _selected(self, service: Service) -> Iterator[Workload]:
        if not service.selector:
            return
        for workload in self._labelled.get((service.namespace, *next(iter(service.selector.items()))), ()):
            if selects(service.selector, workload.labels) and self._near(service, workload):
                yield workload

    def policies_of(self, workload: Workload) -> Iterator[Policy]:
        """The policies that select the pods of a workload."""
        for policy in self.stack.policies:
            if policy.covers:
                if policy.covers == f"{workload.kind}/{workload.name}" and policy.namespace == workload.namespace:
                    yield policy
            elif policy.namespace in (workload.namespace, "*") and matches(policy.selector, workload.labels):
                yield policy

    def endpoints(self, workload: Workload, container: Container, known: Sequence[KnownPort]) -> Iterator[Endpoint]:
        """The endpoints of one container, each with the ways to it."""
        if container.role == "init":
            return
        services = self.services_of(workload)
        every = list(self.policies_of(workload))
        policies = [policy for policy in every if policy.ingress is not None]
        guard = next((policy.authenticates for policy in every if policy.authenticates), "")
        found = list(_ports(workload, container, known, services))
        for port, protocol, role, product, loopback, place in found:
            ways = tuple(self._ways(workload, container, port, services, loopback))
            if not workload.orchestrated and not loopback:
                ways += tuple(self._proxy_ways(workload, port, len(found) == 1))
            if guard:
                ways = tuple(_guarded(way, guard) for way in ways)
            if policies and not any(_admitting(policies, port, container)):
                ways = tuple(way for way in ways if way.reach > Reach.CLUSTER) or (SHUT,)
            limited = _limited(policies, port, container) if policies else ()
            unseen = self.unseen if workload.orchestrated and not loopback else ()
            yield Endpoint(workload, container, port, protocol, role, product, place, ways, limited, unseen)

    def _ways(
        self, workload: Workload, container: Container, port: int, services: tuple[Service, ...], loopback: bool
    ) -> Iterator[Way]:
        yield _own_way(workload, loopback)
        if loopback:  # a published port leads to the container's own address
            return
        for published in container.published:
            if published.container_port in (port, None):
                yield _published_way(published, workload)
        owner = network_owner(self.stack, workload)
        for published in owner.containers[0].published if owner is not workload and owner.containers else ():
            if published.container_port == port:
                yield _published_way(published, workload, owner)
        if owner.host_network.value:
            text = f"the pod shares the host's network, so port {port} is open on the node"
            if not workload.orchestrated:
                text = f"it shares the host's network, so port {port} is open on the host"
            yield Way("host network", Reach.HOST_NETWORK, text, port, place=owner.host_network.place)
        for service in services:
            for service_port in service.ports:
                if _leads_to(service_port, port, container):
                    yield from self._service_ways(service, service_port)

    def _proxy_ways(self, workload: Workload, port: int, only: bool) -> Iterator[Way]:
        for passage in self.passages.get(id(workload), ()):
            if passage.port == port or (passage.port is None and only):
                yield passage.way

    def _service_ways(self, service: Service, port: ServicePort) -> Iterator[Way]:
        yield service_way(service, port)
        for route, backend in self.routes.get((service.namespace, service.name), ()):
            if _meant(route, backend, port):
                yield self.route_way(route, backend)

    def route_way(self, route: Route, backend: Backend) -> Way:
        """The way that a route opens to one of its backends."""
        internal = route.internal or any(
            gateway.internal for name in route.parents if (gateway := self.gateways.get(name)) is not None
        )
        hosts = ", ".join(route.hosts[:3]) or "every host name"
        text = f"{route.kind} '{route.name}' leads to it from outside for {hosts}"
        if internal:
            text += ", inside the private network only"
        opener = Related(route.name, route.kind, route.namespace, backend.place or route.place)
        return Way(
            route.kind,
            Reach.HOST_NETWORK if internal else Reach.INTERNET,
            text,
            443 if route.tls else 80,
            opener,
            backend.place or route.place,
            route.authenticated_by,
            route.gap,
        )


def _guarded(way: Way, guard: str) -> Way:
    """A way with what asks at the workload itself (the sidecar of a mesh), unless something asks before."""
    if way.authenticated_by or way.kind in ("host network", "hostPort"):
        return way
    return replace(way, authenticated_by=guard)


def service_way(service: Service, port: ServicePort) -> Way:
    """The way that one port of a Service opens by itself."""
    kind, reach, text = _service_reach(service, port)
    place = service.type.place or service.place
    opener = Related(service.name, service.kind, service.namespace, place)
    return Way(kind, reach, text, port.node_port if kind == "NodePort" else port.number, opener, place)


def _service_reach(service: Service, port: ServicePort) -> tuple[str, Reach, str]:
    name = f"{service.kind} '{service.name}'"
    if service.type.value == "LoadBalancer":
        if service.internal:
            return "LoadBalancer", Reach.HOST_NETWORK, f"{name} is an internal LoadBalancer on port {port.number}"
        if service.source_ranges and "0.0.0.0/0" not in service.source_ranges:
            text = f"{name} is a LoadBalancer on port {port.number}, limited to chosen source addresses"
            return "LoadBalancer", Reach.HOST_NETWORK, text
        return "LoadBalancer", Reach.INTERNET, f"{name} is a LoadBalancer on port {port.number}"
    if service.type.value == "NodePort":
        number = f"port {port.node_port}" if port.node_port else "a port that the cluster chooses"
        return "NodePort", Reach.HOST_NETWORK, f"{name} opens {number} on every node"
    if service.external_ips:
        return "external IP", Reach.HOST_NETWORK, f"{name} answers on external addresses, port {port.number}"
    return "ClusterIP", Reach.CLUSTER, f"{name} offers it inside the cluster on port {port.number}"


def _meant(route: Route, backend: Backend, port: ServicePort) -> bool:
    """Whether a route leads to a port of its Service: by the Service's number or name, on OpenShift by that of the pods as well."""
    if backend.port in (None, port.number, port.name):
        return True
    target = port.target if port.target is not None else port.number
    return route.kind == "Route" and str(backend.port) == str(target)


ON_LOOPBACK = Way("pod", Reach.LOOPBACK, "it listens on loopback alone")
SHUT = Way("pod", Reach.LOOPBACK, "a network policy admits nobody to it")
IN_CLUSTER = Way("pod", Reach.CLUSTER, "every pod of the cluster can reach its address")
WITHOUT_NETWORK = Way("pod", Reach.LOOPBACK, "it has no network")
ON_NETWORKS = Way("container network", Reach.CLUSTER, "every container on its networks can reach it")


def _own_way(workload: Workload, loopback: bool) -> Way:
    if loopback:
        return ON_LOOPBACK
    if workload.orchestrated:
        return IN_CLUSTER
    if not workload.networks and not workload.host_network.value and not workload.shares_network_with:
        return WITHOUT_NETWORK
    return ON_NETWORKS


def _published_way(published: Published, workload: Workload, owner: Workload | None = None) -> Way:
    """The way that a published port opens. owner: the workload that publishes it, where that is another one with the same network."""
    where = f"{published.address or 'every interface of the host'}"
    node = "node" if workload.orchestrated else "host"
    opened = f"hostPort {published.host_port} opens it on every {node} that it runs on"
    number = f"port {published.host_port}" if published.host_port is not None else "a port"
    text = opened if published.kind == "hostPort" else f"{number} is published on {where}"
    if owner is not None:
        text += f" by '{owner.name}', whose network it uses"
    reach = Reach.LOOPBACK if is_loopback(published.address) else Reach.HOST_NETWORK
    return Way(
        published.kind, reach, text, published.host_port, None, published.place, gap=published.gap,
        conditional=workload.conditional,
    )  # fmt: skip


def _leads_to(service_port: ServicePort, port: int, container: Container) -> bool:
    target = service_port.target if service_port.target is not None else service_port.number
    if isinstance(target, int):
        return target == port
    return any(p.name == target and p.number == port for p in container.ports)


def _ports(
    workload: Workload, container: Container, known: Sequence[KnownPort], services: Iterable[Service]
) -> Iterator[tuple[int, str, str, str, bool, Place | None]]:
    """Each port that the container is known, declared or addressed to serve on."""
    by_number: dict[int, KnownPort] = {}
    for entry in known:  # of two products that may have the same port, the one that comes first has it
        by_number.setdefault(entry.port, entry)
    declared = {port.number: port for port in container.ports}
    numbers = list(
        dict.fromkeys([*by_number, *declared, *_addressed(workload, container, services, bool(by_number or declared))])
    )
    for number in numbers:
        fact, port = by_number.get(number), declared.get(number)
        protocol = port.protocol if port else (fact.protocol if fact else "tcp")
        role, product = (fact.role, fact.product) if fact else ("", "")
        yield number, protocol, role, product, bool(fact and fact.loopback), port.place if port else None


def _addressed(workload: Workload, container: Container, services: Iterable[Service], known: bool) -> Iterator[int]:
    """The ports that something leads to. `known`: the container's own are, so that a way to a port of unknown number leads to them."""
    for published in container.published:
        if published.container_port is not None:
            yield published.container_port
        elif not known:
            yield UNKNOWN_PORT
    regular = [c for c in workload.containers if c.role in ("regular", "sidecar")]
    if len(regular) != 1 and any(c.ports for c in regular):
        return
    if regular and container is not regular[0]:
        return
    for service in services:
        for port in service.ports:
            target = port.target if port.target is not None else port.number
            if isinstance(target, int):
                yield target


def _limited(policies: Sequence[Policy], port: int, container: Container) -> tuple[str, ...]:
    """The policies that admit only named peers to a port: none where one of them admits everybody, since what any of them admits passes."""
    names = _names_of(port, container)
    if any(_admits_everybody(policy, port, names) for policy in policies):
        return ()
    return tuple(policy.name for policy in list(_admitting(policies, port, container)) or policies)


def _admitting(policies: Sequence[Policy], port: int, container: Container) -> Iterator[Policy]:
    """The policies that admit anybody to a port."""
    names = _names_of(port, container)
    return (policy for policy in policies if any(_about(rule, port, names) for rule in policy.ingress or ()))


def _names_of(port: int, container: Container) -> frozenset[str]:
    return frozenset(declared.name for declared in container.ports if declared.number == port and declared.name)


def _admits_everybody(policy: Policy, port: int, names: Collection[str]) -> bool:
    """Whether a policy of ingress lets every pod of the cluster, or every address, pass to a port."""
    rules = [rule for rule in policy.ingress or () if _about(rule, port, names)]
    return any(not rule.peers or any(map(_everybody, rule.peers)) for rule in rules)


def _about(rule: PolicyRule, port: int, names: Collection[str]) -> bool:
    if not rule.ports and not rule.ranges:
        return True
    return (
        port in rule.ports
        or any(str(one) in names for one in rule.ports)
        or any(a <= port <= b for a, b in rule.ranges)
    )


def _everybody(peer: Peer) -> bool:
    """Every address, or the pods of every namespace: an empty selector selects all, and without one of pods, all pods."""
    if peer.block:
        return peer.block.endswith("/0")
    return peer.namespaces == Selector() and peer.pods in (None, Selector())

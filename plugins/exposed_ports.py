"""Exposed ports: endpoints that can be reached from beyond the host's loopback or the cluster, and by which way."""

from __future__ import annotations

from collections.abc import Iterator

from llmscan import (
    Container,
    Endpoint,
    Gap,
    Reach,
    Related,
    Resource,
    Rule,
    Scan,
    Severity,
    Stack,
    Verdict,
    Way,
    fail,
    hookimpl,
    passed,
    rule,
    unknown,
)
from llmscan.reach import UNKNOWN_PORT, service_way

CONTROL = frozenset({"management", "debug", "cluster"})
NAMES = {
    "inference": "the inference API",
    "management": "a management interface",
    "debug": "a debug interface",
    "cluster": "the cluster's own traffic",
    "data": "a data store",
    "web": "the web page",
    "metrics": "metrics",
}
PAGES = ("web", "metrics")
REFS = ("CWE-668", "LLM06:2026", "AML.T0006", "NSA-CISA-K8s-1.2:network", "AISVS-1.0:C4")


def exposing(endpoint: Endpoint) -> Iterator[Way]:
    """The ways that open an endpoint to more than its cluster or its container network.

    A hostPort has a rule of its own, and what a proxy passes to a page is told with the proxy's own port.
    """
    host_ports = any(way.kind == "hostPort" for way in endpoint.ways)
    for way in endpoint.ways:
        if (
            way.reach >= Reach.HOST_NETWORK
            and way.kind != "hostPort"
            and not (way.kind == "host network" and host_ports)
            and not (way.kind == "proxy" and endpoint.role in PAGES)
        ):
            yield way


def level(endpoint: Endpoint, way: Way) -> Severity:
    """How bad it is that this way leads to this endpoint; what asks callers for a credential in front takes a level off."""
    internet = way.reach is Reach.INTERNET
    if endpoint.role in CONTROL:
        severity = Severity.CRITICAL if internet else Severity.HIGH
    elif endpoint.role in ("inference", "data"):
        severity = Severity.HIGH
    elif endpoint.role in PAGES:
        severity = Severity.MEDIUM if internet else Severity.LOW
    else:
        severity = Severity.MEDIUM
    return Severity(max(severity - (1 if way.authenticated_by else 0), Severity.LOW))


def _key(endpoint: Endpoint, way: Way) -> tuple[object, ...]:
    """What one mistake is: the object that opens the way, or the line of the workload that does."""
    if way.opener is not None and way.opener.name:
        return (way.opener.kind, way.opener.namespace, way.opener.name)
    return (
        endpoint.workload.kind,
        endpoint.workload.namespace,
        endpoint.workload.name,
        way.kind,
        way.place or way.port,
    )


def _worst(endpoint: Endpoint, way: Way, scan: Scan) -> tuple[Severity, int]:
    """Of all endpoints to which the same mistake leads, the one that makes it worst: how bad, and its id."""
    key = _key(endpoint, way)
    opened = scan.links.behind(way.opener) if way.opener is not None and way.opener.name else (endpoint.workload,)
    worst = (level(endpoint, way), id(endpoint))
    seen = False
    for workload in opened or (endpoint.workload,):
        for other in (e for c in workload.containers for e in scan.endpoints_of(c)) if workload.runs else ():
            for its_way in exposing(other):
                found = (level(other, its_way), id(other))
                if _key(other, its_way) == key and (not seen or found[0] > worst[0]):
                    worst, seen = found, True
    return worst


def _judge(endpoint: Endpoint, scan: Scan, severity: Severity) -> Iterator[Verdict]:
    for found, verdict in scan.memo(("exposed", id(endpoint)), lambda: tuple(_judged(endpoint, scan))):
        if found is severity:
            yield verdict


def _judged(endpoint: Endpoint, scan: Scan) -> Iterator[tuple[Severity, Verdict]]:
    """What is wrong with an endpoint, and how bad each is."""
    for way in exposing(endpoint):
        severity, worst = scan.memo(("worst way", _key(endpoint, way)), lambda way=way: _worst(endpoint, way, scan))  # type: ignore[misc]
        if worst == id(endpoint):
            yield severity, _verdict(endpoint, way)
    unseen = level(endpoint, Way("", Reach.INTERNET, ""))
    if _may_be(endpoint, unseen):
        yield unseen, _unseen(endpoint)


def _may_be(endpoint: Endpoint, severity: Severity) -> bool:
    """Whether a way that was not seen could open an endpoint to the internet, where no other way is as bad as that."""
    if not endpoint.unseen or any(way.reach is Reach.INTERNET for way in endpoint.ways):
        return False
    return severity not in {level(endpoint, way) for way in exposing(endpoint)}


def _unseen(endpoint: Endpoint) -> Verdict:
    text = f"Whether {_what(endpoint)} is open beyond its cluster is not known."
    return unknown(text, *endpoint.unseen, setting="ways that were not seen")


def _verdict(endpoint: Endpoint, way: Way) -> Verdict:
    resource = _opener(way)
    setting = f"{way.kind} {endpoint.port}"
    if way.gap is not None:
        return unknown(
            f"Whether {_what(endpoint)} is open is not known: {way.text}.",
            way.gap,
            place=way.place,
            setting=setting,
            resource=resource,
        )
    message = f"{way.text[0].upper()}{way.text[1:]}, which leads to {_what(endpoint)}."
    if way.authenticated_by:
        message += f" Callers are asked for a credential first ({way.authenticated_by})."
    if way.conditional:
        message += f" It runs with {way.conditional}."
    via = way.opener or Related(endpoint.workload.name, endpoint.workload.kind, endpoint.workload.namespace, way.place)
    return fail(message, place=way.place, setting=setting, resource=resource, via=via, reach=way.reach, fix=_fix(way))


def _what(endpoint: Endpoint) -> str:
    """What is open, and whose it is: `the inference API of service 'x' on port 8000`, or `port 8000 of service 'x'`."""
    of = f"{endpoint.workload.kind} '{endpoint.workload.name}'"
    if endpoint.port == UNKNOWN_PORT:
        return f"a port of {of} whose number a variable gives"
    if endpoint.role in NAMES:
        return f"{NAMES[endpoint.role]} of {of} on port {endpoint.port}"
    return f"port {endpoint.port} of {of}"


def _opener(way: Way) -> Resource | None:
    if way.opener is None:
        return None
    return Resource(way.opener.kind, way.opener.name, way.opener.namespace)


def _fix(way: Way) -> str:
    if way.kind == "published port":
        return f'Publish it on loopback alone ("127.0.0.1:{way.port or "PORT"}:..."), or drop the entry and let other containers use the network.'
    if way.kind in ("LoadBalancer", "NodePort", "external IP"):
        return "Make the Service type ClusterIP and put an authenticating gateway in front; an internal load balancer narrows it to your network."
    if way.kind == "host network":
        return "Stop sharing the host's network and publish only the port that is needed, on loopback."
    if way.kind == "proxy":
        return "Take the route out of the proxy's configuration, or have the proxy ask callers for a credential on it."
    return "Take the route away, or have it ask callers for a credential (an auth annotation, oauth2-proxy, a gateway policy)."


@rule("EXP001", "Control port open to the internet", Severity.CRITICAL, category="exposed-port", refs=REFS)
def control_port_on_the_internet(endpoint: Endpoint, scan: Scan) -> Iterator[Verdict]:
    """Whoever finds a management, debug or cluster port on the internet can usually run code behind it, and go on from there.

    Keep such ports inside: a ClusterIP Service, a loopback binding, and a tunnel for those who need it.
    """
    yield from _judge(endpoint, scan, Severity.CRITICAL)


@rule("EXP002", "Model, data or control port open beyond its host", Severity.HIGH, category="exposed-port", refs=REFS)
def serving_port_beyond_the_host(endpoint: Endpoint, scan: Scan) -> Iterator[Verdict]:
    """Everyone on the network can reach the model server or data store: overload it, try passwords, exploit its flaws.

    Publish it on loopback or inside the cluster only, and put an authenticating proxy in front of what must be open.
    """
    yield from _judge(endpoint, scan, Severity.HIGH)


@rule("EXP003", "Port open beyond its host", Severity.MEDIUM, category="exposed-port", refs=REFS)
def port_beyond_the_host(endpoint: Endpoint, scan: Scan) -> Iterator[Verdict]:
    """A port that more people can reach than need it widens what an attacker can try.

    Publish it on loopback or inside the cluster only, unless it is meant for everyone on that network.
    """
    yield from _judge(endpoint, scan, Severity.MEDIUM)


@rule("EXP004", "Web page or metrics open beyond its host", Severity.LOW, category="exposed-port", refs=REFS)
def page_beyond_the_host(endpoint: Endpoint, scan: Scan) -> Iterator[Verdict]:
    """A page or metrics that the whole network can load tells what runs here, and is one more way in.

    Publish it on loopback, or behind the proxy that signs users in.
    """
    yield from _judge(endpoint, scan, Severity.LOW)


@rule(
    "EXP005", "hostPort opens a port of every node", Severity.HIGH, category="exposed-port",
    refs=("PSS-1.37:hostPorts", "CWE-668", *REFS[1:3]),
)  # fmt: skip
def host_port(container: Container, scan: Scan) -> Iterator[Verdict]:
    """A hostPort opens the container on the node's own address, past Services and most network policies.

    Remove `hostPort` (and `hostNetwork`), and let a Service lead to the container.
    """
    found = False
    for published in container.published:
        if published.kind != "hostPort":
            continue
        found = True
        inside = (
            " (a pod on the host's network opens each of its ports so)"
            if scan.workload_of(container).host_network.value
            else ""
        )
        yield fail(
            f"Port {published.container_port} of container '{container.name}' is open on port {published.host_port} "
            f"of every node that it runs on{inside}.",
            place=published.place,
            setting=f"hostPort {published.host_port}",
            reach=Reach.HOST_NETWORK,
        )
    if not found and scan.workload_of(container).orchestrated:
        yield passed()


def _in_use(scan: Scan) -> set[int]:
    """The Services that lead to a workload of the stack."""
    return {id(service) for workload in scan.stack.workloads for service in scan.links.services_of(workload)}


def _ways_to_the_unseen(scan: Scan) -> Iterator[Way]:
    """Services and routes that open what is not part of the stack: made by an operator, in other files, or on other machines."""
    used = _in_use(scan)
    for service in scan.stack.services:
        if id(service) not in used and service.ports:
            yield max((service_way(service, port) for port in service.ports), key=lambda way: way.reach)
    known = {(service.namespace, service.name) for service in scan.stack.services if id(service) in used}
    for route in scan.stack.routes:
        backends = {
            (backend.namespace or route.namespace, backend.service) for backend in route.backends if backend.service
        }
        if backends and not backends & known:
            yield scan.links.route_way(route, route.backends[0])


@rule("EXP006", "Way in from outside to what was not seen", Severity.MEDIUM, category="exposed-port", refs=REFS)
def way_to_the_unseen(stack: Stack, scan: Scan) -> Iterator[Verdict]:
    """Something is opened to the network or the internet, and what it is stands elsewhere, if anywhere: an operator makes it, or other files do.

    Make the Service type ClusterIP unless it must be reached from outside, and have what is open ask callers for a credential.
    """
    if stack.surroundings.seen:  # of a cluster every pod was seen: a Service that selects none opens nothing
        return
    for way in _ways_to_the_unseen(scan):
        if way.reach < Reach.HOST_NETWORK or way.opener is None:
            continue
        text = way.text.replace("leads to it", "leads on").rstrip(".")
        what = f"what {way.opener.kind} '{way.opener.name}' leads to"
        gap = Gap(
            "file",
            what,
            "was not found beside it",
            "the manifests of what it selects, or a scan of the live cluster",
            way.place,
        )
        yield unknown(
            f"{text[:1].upper()}{text[1:]}; whether anything answers there is not known.", gap, place=way.place,
            setting=f"{way.kind} {way.opener.kind} {way.opener.name}", resource=_opener(way), reach=way.reach, fix=_fix(way),
        )  # fmt: skip


@hookimpl
def llmscan_rules() -> list[Rule]:
    """The rules of this family."""
    return [
        control_port_on_the_internet,
        serving_port_beyond_the_host,
        port_beyond_the_host,
        page_beyond_the_host,
        host_port,
        way_to_the_unseen,
    ]

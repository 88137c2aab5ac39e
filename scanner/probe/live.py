"""Probes of a live scan: which endpoints of a stack are asked, by which way, and what could not be asked."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Iterator
from functools import partial

from llmscan.collect.api_client import ApiFailure
from llmscan.collect.cluster import Cluster, TargetUnreachable
from llmscan.model import Container, Gap, Published, Workload
from llmscan.probe.asking import CUT_OFF, NOT_HTTP, NOT_PROXIED, UNTRUSTED, Asker
from llmscan.probe.direct import Direct
from llmscan.probe.endpoints import ProbeOptions, each
from llmscan.probe.examination import NO_ANSWER_BEHIND, examine
from llmscan.probe.identification import Askable
from llmscan.probe.observation import NOTHING_KNOWN, PRODUCT, SILENT, Observation, Observations
from llmscan.probe.through_api import Backend, ThroughApi
from llmscan.products import Product
from llmscan.reach import Endpoint
from llmscan.records import Record, replace
from llmscan.rule_view import Scan

Probe = Callable[[Scan], Observations]
EVERYWHERE = frozenset({"", "0.0.0.0", "::", "[::]"})  # noqa: S104  (what a published port says, nothing that is bound here)
FORBIDDEN = "the caller may not use the API server's proxy"
PERMISSION = "permission to get pods/proxy or services/proxy"
LEFT_OUT = frozenset({"cluster", "metrics"})
"""Roles of ports on which no caller is asked for anything in HTTP."""


class Door(Record, frozen=True):
    """One endpoint that is worth asking, and the products that are known to serve there."""

    endpoint: Endpoint
    expected: tuple[Product, ...]

    @property
    def name(self) -> str:
        """What a report calls it."""
        workload = self.endpoint.workload
        where = f" in namespace {workload.namespace}" if workload.namespace else ""
        return f"port {self.endpoint.port} of {workload.kind} {workload.name}{where}"


class Question(Record, frozen=True):
    """A door, the way in by a scheme (`http` or `https`), and the URL that stands for it in reports."""

    door: Door
    way: Callable[[str], tuple[Asker, str]]


def doors(scan: Scan, askable: Askable) -> Iterator[Door]:
    """The endpoints of what runs a product that can be asked, or nothing that is known."""
    known = {product.id: product for product in askable.products}
    for workload, container in scan.containers():
        if container.role == "init" or not workload.runs:
            continue
        serving = [running.id for running in scan.products_of(container) if running.serves]
        expected = tuple(known[name] for name in serving if name in known)
        if serving and not expected:
            continue
        for endpoint in scan.endpoints_of(container):
            if endpoint.protocol in ("http", "https", "tcp") and endpoint.role not in LEFT_OUT:
                here = tuple(product for product in expected if endpoint.product in ("", product.id))
                if here or not expected:
                    yield Door(endpoint, here)


def published_ports(products: Iterable[Product], options: ProbeOptions, host: str = "127.0.0.1") -> Probe:
    """Asks through the ports that a container engine publishes. host: where the engine runs, as seen from here."""
    askable = Askable(products)

    def probe(scan: Scan) -> Observations:
        found, gaps = [], []
        for door in doors(scan, askable):
            address = next((a for p in door.endpoint.container.published if (a := _address(p, door, host))), "")
            if not address:
                gaps.append(_not_asked(door, "it is published on no address that can be reached from here"))
                continue
            found.append(Question(door, partial(_directly, address, options)))
        return _observations(found, askable, options, gaps)

    return probe


def _directly(address: str, options: ProbeOptions, scheme: str) -> tuple[Asker, str]:
    url = f"{scheme}://{address}"
    return Direct(url, options.patience, verify=options.verify, use_env=options.use_env), url


def _address(published: Published, door: Door, host: str) -> str:
    """Host and port where a published port leads to a door; "" where it does not, or only on the engine's own host elsewhere."""
    if published.container_port != door.endpoint.port or not published.host_port or published.protocol != "tcp":
        return ""
    if published.address in EVERYWHERE:
        return f"{_bracketed(host)}:{published.host_port}"
    if _is_loopback(published.address) and not _is_loopback(host):
        return ""
    return f"{_bracketed(published.address)}:{published.host_port}"


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def through_cluster(cluster: Cluster, products: Iterable[Product], options: ProbeOptions) -> Probe:
    """Asks through the API server's proxy, to a pod or else to a Service, where the caller may."""
    askable = Askable(products)

    def probe(scan: Scan) -> Observations:
        asked = list(doors(scan, askable))
        ways = _Ways(cluster, scan) if asked else None
        found, gaps = [], []
        for door in asked if ways is not None else ():
            backend, why = ways.to(door.endpoint) if ways is not None else (None, "")
            if backend is None:
                gaps.append(_not_asked(door, why, PERMISSION if why == FORBIDDEN else ""))
            else:
                found.append(Question(door, partial(_proxied, cluster, backend, options)))
        return _observations(found, askable, options, gaps, cross_origin=False)

    return probe


def _proxied(cluster: Cluster, backend: Backend, options: ProbeOptions, scheme: str) -> tuple[Asker, str]:
    there = replace(backend, scheme="https" if scheme == "https" else "")
    return ThroughApi(cluster, there, options.patience), there.path + "/"


class _Ways:
    """How a cluster's doors can be reached through its API server."""

    def __init__(self, cluster: Cluster, scan: Scan) -> None:
        self._cluster, self._scan = cluster, scan
        self._allowed: dict[tuple[str, str], bool] = {}
        self._pods: dict[int, str] = {}

    def to(self, endpoint: Endpoint) -> tuple[Backend | None, str]:
        """The way to an endpoint, or why there is none."""
        workload = endpoint.workload
        try:
            if self._may("pods", workload.namespace) and (pod := self._pod(workload)):
                return Backend("pods", workload.namespace, pod, endpoint.port), ""
            if self._may("services", workload.namespace):
                service = self._service(workload, endpoint.container, endpoint.port)
                if service is not None:
                    return Backend("services", workload.namespace, *service), ""
                return None, "no running pod and no Service of it was found"
        except (ApiFailure, TargetUnreachable) as failure:
            return None, f"the API server did not help: {failure}"
        if self._allowed.get(("pods", workload.namespace)):
            return None, "no pod of it runs"
        return None, FORBIDDEN

    def _may(self, resource: str, namespace: str) -> bool:
        key = (resource, namespace)
        if key not in self._allowed:
            self._allowed[key] = self._cluster.may_proxy(resource, namespace)
        return self._allowed[key]

    def _pod(self, workload: Workload) -> str:
        if id(workload) not in self._pods:
            named = self._cluster.running_pods(workload.namespace, workload.labels) if workload.labels else iter(())
            self._pods[id(workload)] = workload.name if workload.kind == "Pod" else next(named, "")
        return self._pods[id(workload)]

    def _service(self, workload: Workload, container: Container, port: int) -> tuple[str, int] | None:
        for service in self._scan.links.services_of(workload):
            for offered in service.ports:
                target = offered.target if offered.target is not None else offered.number
                named = any(p.name == target and p.number == port for p in container.ports)
                if target == port or named:
                    return service.name, offered.number
        return None


def _not_asked(door: Door, why: str, would: str = "") -> Gap:
    return Gap("probe", door.name, f"was not asked: {why}", would)


def _observations(
    found: list[Question], askable: Askable, options: ProbeOptions, gaps: list[Gap], *, cross_origin: bool = True
) -> Observations:
    """Ask all questions at the same time; what gave no answer, or another than was expected, is a gap."""
    asked = each(found, lambda question: _asked(question, askable), options.patience.at_once)
    seen: dict[tuple[int, int], Observation] = {}
    for question, observation in zip(found, asked, strict=True):
        endpoint = question.door.endpoint
        seen[id(endpoint.container), endpoint.port] = observation
        if observation.outcome != PRODUCT:
            gaps.append(Gap("probe", question.door.name, f"was asked, and tells nothing: {observation.because}"))
        elif "cors" in observation.unsettled and not cross_origin:
            gaps.append(
                Gap("probe", f"CORS on {question.door.name}", f"was not asked: {observation.unsettled['cors']}")
            )
    return Observations(seen, tuple(gaps))


def _asked(question: Question, askable: Askable) -> Observation:
    """What a door says: in TLS where it takes nothing else."""
    endpoint, expected = question.door.endpoint, question.door.expected

    def examined(scheme: str) -> Observation:
        asker, url = question.way(scheme)
        return examine(asker, url, endpoint.port, endpoint.reach, askable, expected)

    if endpoint.protocol == "https":
        return examined("https")
    seen = examined("http")
    if not _may_speak_tls(seen):
        return seen
    in_tls = examined("https")
    return in_tls if in_tls.answered or in_tls.because.startswith(UNTRUSTED) else seen


def _may_speak_tls(seen: Observation) -> bool:
    """Whether an answer in plain HTTP is one that a server gives which speaks TLS alone."""
    if seen.outcome == SILENT:
        return seen.because in (CUT_OFF, NOT_HTTP, NOT_PROXIED) or seen.because.startswith(NO_ANSWER_BEHIND)
    return seen.outcome == NOTHING_KNOWN

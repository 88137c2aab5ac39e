"""The ways that the proxies of a stack open to the workloads behind them, where no cluster routes requests."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from llmscan.commandline import Line
from llmscan.findings import Related
from llmscan.model import Container, Published, Reach, Stack, Workload
from llmscan.proxies import caddy, haproxy, nginx, traefik
from llmscan.proxies.onward import LOCAL, Onward
from llmscan.reach import Passage, Way, is_loopback, network_owner
from llmscan.records import Record, replace

READERS: Mapping[str, Callable[[Container, Sequence[Line]], Iterator[Onward]]] = {
    "caddy": caddy.onward,
    "nginx": nginx.onward,
    "haproxy": haproxy.onward,
}
"""What reads the configuration of a proxy, by its id in the catalogue."""
TRAEFIK = "traefik"
MAX_ONWARD = 2000


class Proxy(Record, frozen=True):
    """A container that passes requests on, by a product whose configuration can be read.

    managed: the ports on which the product is managed and passes nothing on, where its configuration does not tell.
    """

    product: str
    workload: Workload
    container: Container
    lines: tuple[Line, ...]
    managed: frozenset[int] = frozenset()


def passages(stack: Stack, proxies: Sequence[Proxy]) -> dict[int, tuple[Passage, ...]]:
    """The ways through proxies, by the id of the workload to which they lead."""
    found: dict[int, dict[Passage, None]] = {}
    for proxy in proxies:
        for count, (target, one) in enumerate(_led_to(stack, proxy)):
            if count >= MAX_ONWARD:
                break
            for way in _ways(proxy, one):
                found.setdefault(id(target), {})[Passage(one.port, way)] = None
    return {key: tuple(ways) for key, ways in found.items()}


def _led_to(stack: Stack, proxy: Proxy) -> Iterator[tuple[Workload, Onward]]:
    """Each workload that a proxy passes requests to."""
    if proxy.product == TRAEFIK:
        yield from _labelled(stack, proxy)
        return
    named: dict[str, list[Workload]] = {}
    for workload in stack.workloads:
        for name in {workload.name, *(container.name for container in workload.containers)}:
            named.setdefault(name.lower(), []).append(workload)
    for one in READERS[proxy.product](proxy.container, proxy.lines):
        local = one.host in LOCAL
        if local and proxy.workload.host_network.value:
            yield from _published_here(stack, one)
        for target in stack.workloads if local else named.get(one.host.lower(), ()):
            if _same_host(proxy.workload, target) if local else _joined(proxy.workload, target, stack):
                yield target, one


def _published_here(stack: Stack, one: Onward) -> Iterator[tuple[Workload, Onward]]:
    """The workloads with a published port that a proxy on the host's network names by the host's loopback."""
    for target in stack.workloads:
        for container in () if target.orchestrated else target.containers:
            for published in container.published:
                if published.host_port == one.port and published.container_port is not None:
                    yield target, replace(one, port=published.container_port)


def _labelled(stack: Stack, proxy: Proxy) -> Iterator[tuple[Workload, Onward]]:
    edge = traefik.edge_of(proxy.container, proxy.lines)
    if not edge.provider:
        return
    labels = {id(one): {name.lower(): value for name, value in one.labels.items()} for one in stack.workloads}
    asking = traefik.asking_middlewares(iter(labels.values()))
    for target in stack.workloads:
        if target is not proxy.workload and _joined(proxy.workload, target, stack):
            for one in traefik.onward(edge, labels[id(target)], asking):
                yield target, one


def _joined(proxy: Workload, target: Workload, stack: Stack) -> bool:
    """Whether a proxy finds a workload by its name: both are on one network."""
    nets = set(network_owner(stack, proxy).networks)
    return target is not proxy and not target.orchestrated and bool(nets.intersection(target.networks))


def _same_host(proxy: Workload, target: Workload) -> bool:
    """Whether loopback is the same to both: they use one network, or that of the host."""
    if target is proxy or target.orchestrated:
        return False
    if proxy.host_network.value and target.host_network.value:
        return True
    return target.name == proxy.shares_network_with or (
        bool(proxy.shares_network_with) and proxy.shares_network_with == target.shares_network_with
    )


def _ways(proxy: Proxy, one: Onward) -> Iterator[Way]:
    """The ways that one upstream opens: one for each port of the host that leads to where the proxy listens for it."""
    for published in proxy.container.published:
        port = published.container_port
        if port is not None and one.listens is not None and port not in one.listens:
            continue
        if one.listens is None and port in proxy.managed:
            continue
        if published.protocol == "tcp":
            yield _way(proxy, one, published)
    if proxy.workload.host_network.value:
        yield _open_on_host(proxy, one)


def _way(proxy: Proxy, one: Onward, published: Published) -> Way:
    where = published.address or "every interface of the host"
    number = f"port {published.host_port}" if published.host_port is not None else "a port"
    text = f"'{proxy.workload.name}' passes requests to it from {number}, published on {where}"
    return Way(
        "proxy",
        Reach.LOOPBACK if is_loopback(published.address) else Reach.HOST_NETWORK,
        text,
        published.host_port,
        _opener(proxy, published),
        one.place or published.place,
        one.asks,
        published.gap,
        proxy.workload.conditional,
    )


def _opener(proxy: Proxy, published: Published | None) -> Related:
    workload = proxy.workload
    return Related(workload.name, workload.kind, workload.namespace, published.place if published else workload.place)


def _open_on_host(proxy: Proxy, one: Onward) -> Way:
    """A proxy on the host's network listens on the host itself."""
    port = min(one.listens) if one.listens else None
    text = f"'{proxy.workload.name}', on the host's network, passes requests to it" + (
        f" from port {port}" if port else ""
    )
    place = one.place or proxy.workload.host_network.place
    return Way(
        "proxy", Reach.HOST_NETWORK, text, port, _opener(proxy, None), place, one.asks, None, proxy.workload.conditional
    )

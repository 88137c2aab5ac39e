"""Which texts of a stack are held to be secret, and which are public.

Every value is held to be secret unless it is a name, an image, a path, a port, or a setting that the catalogue calls public.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from llmscan.model import ConfigData, Container, Gateway, Network, Policy, Route, Service, Stack, Workload
from llmscan.rule_view import Scan

KEY = re.compile(r"^[ \t-]*[\"']?([A-Za-z_][\w.-]{0,40})[\"']?[ \t]*(?::(?=\s)|=(?=[^=\s]))", re.MULTILINE)
"""The name of an entry of a configuration file: what is before `: ` or `=`, and no line of a key in base64."""


def private_texts(stack: Stack) -> Iterator[str]:
    """Every value of a stack, whole: a file is one text, a command line as many as it has words."""
    for workload in stack.workloads:
        yield from workload.annotations.values()
        if not workload.orchestrated:  # a proxy's users stand in the labels of a container; those of a pod are names
            yield from workload.labels.values()
        if workload.resource is not None:
            yield from _scalars(workload.resource)
        for container in workload.containers:
            yield from _container_values(container)
    for config in stack.configs:
        yield from (setting.value for setting in config.entries.values() if setting.value)
    for loose in stack.loose_values:
        yield from (text for text in (loose.setting.value, loose.decoded) if text)
    for service in stack.services:
        yield from service.annotations.values()
    for route in stack.routes:
        yield from route.annotations.values()


def _container_values(container: Container) -> Iterator[str]:
    yield from (setting.value for setting in container.env.values() if setting.value)
    yield from (word.text for word in (*(container.command or ()), *(container.args or ())))
    yield from (file.text for file in container.files)
    yield from (host.value for host in container.probed_hosts if host.value)
    if container.logging is not None:
        yield from container.logging.options.values()


def _scalars(node: Any) -> Iterator[str]:
    """The texts of a tree, names of objects and images left out."""
    stack = [("", node)]
    while stack:
        key, node = stack.pop()
        if isinstance(node, dict):
            stack += node.items()
        elif isinstance(node, list):
            stack += ((key, item) for item in node)
        elif isinstance(node, str) and key not in ("name", "namespace", "image", "kind", "apiVersion"):
            yield node


def public_texts(scan: Scan, workloads: Sequence[Workload]) -> Iterator[str]:
    """Every text of a stack that reports may show, as far as it is the stack's own or that of some workloads."""
    stack = scan.stack
    yield from (stack.unit, stack.namespace)
    for workload in workloads:
        yield from _workload_names(workload)
        for container in workload.containers:
            yield from _container_names(container)
            yield from _public_settings(scan, container)
            yield from (str(endpoint.port) for endpoint in scan.endpoints_of(container))
    named: list[Service | Route | Policy | ConfigData | Network] = []
    named += (*stack.services, *stack.routes, *stack.policies, *stack.configs, *stack.networks)
    for one in named:
        yield one.name
        yield from ((one.place.path,) if one.place else ())
    spaces: list[Service | Route | Gateway | Policy | ConfigData] = []
    spaces += (*stack.services, *stack.routes, *stack.gateways, *stack.policies, *stack.configs)
    yield from (one.namespace for one in spaces)
    for config in stack.configs:
        yield from config.entries
    for service in stack.services:
        yield from _service_ports(service)
    for route in stack.routes:
        yield from _route_names(route)


def _public_settings(scan: Scan, container: Container) -> Iterator[str]:
    """Values of settings that the catalogue calls public, of those that a rule has looked at: no other is shown."""
    for running in scan.products_of(container):
        for found in scan.reading(running, container).cache.values():
            if found.public and found.value:
                yield found.value


def _workload_names(workload: Workload) -> Iterator[str]:
    yield from (workload.kind, workload.name, workload.namespace, workload.variant, workload.conditional)
    if workload.orchestrated:
        yield from workload.labels.values()
    yield from (volume.source for volume in workload.volumes)
    if workload.place:
        yield workload.place.path


def _container_names(container: Container) -> Iterator[str]:
    yield container.name
    yield from container.env
    if container.image:
        yield from (container.image.reference, container.image.name, container.image.tag or "")
    for volume in container.mounts:
        yield from (volume.source, volume.mounted_at)
    for file in container.files:
        yield file.path
        yield from KEY.findall(file.text)
    yield from (str(port.number) for port in container.ports)
    for published in container.published:
        yield from (str(published.host_port), str(published.container_port), published.address)
    yield from (gap.what for gap in container.gaps)
    if container.security.run_as_user:
        yield str(container.security.run_as_user.value)
    added, dropped = container.security.capabilities_added, container.security.capabilities_dropped
    yield from (capability.value for capability in (*added, *dropped) if capability.value)


def _service_ports(service: Service) -> Iterator[str]:
    for port in service.ports:
        yield from (str(port.number), str(port.target), str(port.node_port), port.name)


def _route_names(route: Route) -> Iterator[str]:
    yield from route.hosts
    yield from (backend.path for backend in route.backends)

"""What KubeRay makes of a Ray resource beside its pods: the labels that Services select them by, and the Service of the head.

Of a live cluster these are objects like others; in files nothing but the Ray resource stands for them. Names, selectors and ports are those that
KubeRay's controllers/ray/common/service.go gives.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from llmscan.collect.fields import items, mapping
from llmscan.model import Service, ServicePort, Value, Workload
from llmscan.places import Place, place_of
from llmscan.records import replace

CLUSTER_SPECS = {"RayCluster": "", "RayService": "rayClusterConfig", "RayJob": "rayClusterSpec"}
"""Where in the spec of each kind the cluster is described."""
DEFAULT_PORTS = (6379, 8265, 10001, 8000)
METRICS, SERVE = 8080, 8000
NODE_TYPE = "ray.io/node-type"
CLUSTER = "ray.io/cluster"
MADE_BY = "KubeRay makes it"


def labelled(made: Workload) -> Workload:
    """A workload with the labels that KubeRay gives to its pods; those of its template win."""
    if made.kind not in CLUSTER_SPECS:
        return made
    node_type = "head" if made.variant in ("head", "") else "worker"  # a cluster of one pod template is its head
    return replace(made, labels={NODE_TYPE: node_type, CLUSTER: made.name, **made.labels})


def head_services(resource: Mapping[str, Any], namespace: str) -> Iterator[Service]:
    """The Services by the names that routes lead to, and, where a type opens the head to others, the way in that the resource itself asks for."""
    if resource.get("kind") not in CLUSTER_SPECS:
        return
    spec = mapping(resource, "spec")
    part = CLUSTER_SPECS[resource["kind"]]
    head = mapping(mapping(spec, part) if part else spec, "headGroupSpec")
    if not head:
        return
    name = str(mapping(resource, "metadata").get("name") or "")
    selector, ports = {NODE_TYPE: "head", CLUSTER: name}, _ports(head)
    kind, place = _type(head)
    yield Service(
        f"{name}-head-svc", namespace, Value("ClusterIP", place), selector, ports, place=place, because=MADE_BY
    )
    if kind in ("NodePort", "LoadBalancer"):
        opened = Value(kind, place)
        yield Service(name, namespace, opened, selector, ports, place=place, kind=resource["kind"], because=MADE_BY)


def _type(head: Mapping[str, Any]) -> tuple[str, Place | None]:
    """`serviceType`, or the type of a Service that is given as a whole."""
    spec = mapping(mapping(head, "headService"), "spec")
    if isinstance(spec.get("type"), str):
        return spec["type"], place_of(spec, "type")
    if isinstance(head.get("serviceType"), str):
        return head["serviceType"], place_of(head, "serviceType")
    return "ClusterIP", place_of(head)


def _ports(head: Mapping[str, Any]) -> tuple[ServicePort, ...]:
    """Those that the head's container declares, else the usual ones; the metrics in either case."""
    containers = items(mapping(mapping(head, "template"), "spec"), "containers")
    first = containers[0] if containers and isinstance(containers[0], dict) else {}
    declared = [port.get("containerPort") for port in items(first, "ports") if isinstance(port, dict)]
    numbers = [number for number in declared if isinstance(number, int)] or list(DEFAULT_PORTS)
    return tuple(ServicePort(number, number) for number in dict.fromkeys([*numbers, METRICS]))

"""The ways to its pods that a custom resource asks its operator for: the type of the Service that it makes, and the routes to it.

Of a live cluster these are objects like others; in files nothing but the resource stands for them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from llmscan.collect.fields import items, mapping
from llmscan.model import Backend, Route, Service, ServicePort, Value, Workload
from llmscan.places import place_of
from llmscan.records import replace

MADE_BY = "its operator makes it"
NIM = "NIMService"
ELASTIC: Mapping[str, tuple[int, str]] = {
    "Elasticsearch": (9200, "es"),
    "Kibana": (5601, "kb"),
    "ApmServer": (8200, "apm"),
    "EnterpriseSearch": (3002, "ent"),
    "Logstash": (9600, "ls"),
}
"""The port of each kind of Elastic Cloud on Kubernetes, and what its Service is called by: `<name>-es-http`."""
OPEN = ("NodePort", "LoadBalancer")


KSERVE = "InferenceService"
BY_KSERVE = "serving.kserve.io/inferenceservice"
VISIBILITY = "networking.kserve.io/visibility"
LLM = "LLMInferenceService"
BY_LLM = "app.kubernetes.io/name"
"""The label by which KServe's Services select the pods of an LLMInferenceService: its name."""
LLM_PORT = 8000


def selected(made: Workload) -> Workload:
    """A workload with the labels by which its operator's Services select it."""
    if made.kind == NIM:
        return replace(made, labels={"app": made.name, **made.labels})
    if made.kind == KSERVE:
        part = made.variant if made.variant in ("transformer", "explainer") else "predictor"
        return replace(made, labels={BY_KSERVE: made.name, "app": f"isvc.{made.name}-{part}", **made.labels})
    if made.kind == LLM:
        return replace(made, labels={BY_LLM: made.name, **made.labels})
    return made


def operator_services(resource: Mapping[str, Any], namespace: str) -> Iterator[Service]:
    """The Services that an operator makes of a resource."""
    group = str(resource.get("apiVersion", ""))
    name = str(mapping(resource, "metadata").get("name") or "")
    if resource.get("kind") == NIM and group.startswith("apps.nvidia.com"):
        node = mapping(mapping(mapping(resource, "spec"), "expose"), "service")
        port = node.get("port")
        number = port if isinstance(port, int) else 8000
        yield _service(resource, name, namespace, node, (ServicePort(number, number),), {"app": name})
    elif resource.get("kind") == KSERVE:
        ports = (ServicePort(80, _predictor_port(mapping(mapping(resource, "spec"), "predictor"))),)
        label = {"app": f"isvc.{name}-predictor"}
        yield Service(
            f"{name}-predictor", namespace, selector=label, ports=ports, place=place_of(resource), because=MADE_BY
        )
    elif resource.get("kind") == LLM:
        yield Service(
            f"{name}-workload", namespace, selector={BY_LLM: name}, ports=(ServicePort(LLM_PORT, LLM_PORT),),
            place=place_of(resource), because=MADE_BY,
        )  # fmt: skip
    elif resource.get("kind") in ELASTIC and ".k8s.elastic.co" in group:
        number, short = ELASTIC[resource["kind"]]
        node = mapping(mapping(mapping(mapping(resource, "spec"), "http"), "service"), "spec")
        if node.get("type") in OPEN:
            label = {f"{resource['kind'].lower()}.k8s.elastic.co/name": name}
            yield _service(resource, f"{name}-{short}-http", namespace, node, (ServicePort(number, number),), label)


def _predictor_port(predictor: Mapping[str, Any]) -> int:
    """The port that a predictor declares, else the one that KServe's servers have."""
    holders = [mapping(predictor, "model"), *items(predictor, "containers")]
    ports = [port for holder in holders for port in items(holder, "ports") if isinstance(port, dict)]
    numbers = [port["containerPort"] for port in ports if isinstance(port.get("containerPort"), int)]
    return numbers[0] if numbers else 8080


def _service(
    resource: Mapping[str, Any],
    name: str,
    namespace: str,
    node: Mapping[str, Any],
    ports: tuple[ServicePort, ...],
    selector: Mapping[str, str],
) -> Service:
    """The resource itself stands for the Service that opens it, and is named so."""
    kind, place = str(node.get("type") or "ClusterIP"), place_of(node, "type") or place_of(resource)
    opens = kind in OPEN
    return Service(
        mapping(resource, "metadata").get("name", name) if opens else name, namespace, Value(kind, place), selector, ports,
        place=place, kind=resource["kind"] if opens else "Service", because=MADE_BY,
    )  # fmt: skip


def operator_routes(resource: Mapping[str, Any], namespace: str) -> Iterator[Route]:
    """The routes from outside that operators make: those that a NIMService or an LLMInferenceService asks for, and that of a model to be exposed."""
    labels = mapping(mapping(resource, "metadata"), "labels")
    if resource.get("kind") == KSERVE and labels.get(VISIBILITY) == "exposed":
        name, place = str(mapping(resource, "metadata").get("name") or ""), place_of(labels, VISIBILITY)
        yield Route(KSERVE, name, namespace, (), (Backend(f"{name}-predictor", place=place),), place=place)
    if resource.get("kind") == LLM:
        yield from _llm_route(resource, namespace)
    if resource.get("kind") != NIM:
        return
    spec, name = mapping(resource, "spec"), str(mapping(resource, "metadata").get("name") or "")
    expose = mapping(spec, "expose")
    ingress = mapping(expose, "ingress")
    if ingress.get("enabled") is True:
        rules = [rule for rule in items(mapping(ingress, "spec"), "rules") if isinstance(rule, dict)]
        hosts = tuple(str(rule["host"]) for rule in rules if rule.get("host"))
        place = place_of(expose, "ingress")
        yield Route(NIM, name, namespace, hosts, (Backend(name, place=place),), place=place)
    for holder in (spec, expose):
        router = mapping(holder, "router")
        gateway = mapping(router, "gateway")
        routed = any(gateway.get(key) is True for key in ("httpRoutesEnabled", "grpcRoutesEnabled"))
        if "ingress" in router or routed:
            place = place_of(router, "ingress" if "ingress" in router else "gateway")
            host = str(router.get("hostDomainName") or "")
            parent = (f"{gateway.get('namespace') or namespace}/{gateway.get('name')}",) if routed else ()
            hosts = (f"{name}.{namespace}.{host}",) if host else ()
            yield Route(NIM, name, namespace, hosts, (Backend(name, place=place),), parents=parent, place=place)


def _llm_route(resource: Mapping[str, Any], namespace: str) -> Iterator[Route]:
    """The route that KServe makes where `spec.router.route` is there, empty as it may be; with `refs` in it, others lead to the service.

    Source: kserve/kserve pkg/apis/serving/v1alpha1/llm_inference_service_types.go (RouterSpec).
    """
    router = mapping(mapping(resource, "spec"), "router")
    if not isinstance(router.get("route"), dict) or items(mapping(mapping(router, "route"), "http"), "refs"):
        return
    name, place = str(mapping(resource, "metadata").get("name") or ""), place_of(router, "route")
    gateways = [gateway for gateway in items(mapping(router, "gateway"), "refs") if isinstance(gateway, dict)]
    parents = tuple(f"{gateway.get('namespace') or namespace}/{gateway.get('name')}" for gateway in gateways)
    yield Route(LLM, name, namespace, (), (Backend(f"{name}-workload", place=place),), parents=parents, place=place)

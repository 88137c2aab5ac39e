"""Kubernetes resources, from files or from an API, as the parts of a stack."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from llmscan.collect.fields import items, mapping
from llmscan.collect.guards import Named, guarded_routes, mesh_policies, named_guards
from llmscan.collect.openshift_templates import is_template, objects_of
from llmscan.collect.operator_services import operator_routes, operator_services, selected
from llmscan.collect.pods import BUILT_IN, Configs, PodSpec, find_pod_specs, workload
from llmscan.collect.ray_services import head_services, labelled
from llmscan.collect.routes import gateways, routes
from llmscan.collect.serving_runtimes import Runtimes, runtimes_of, started
from llmscan.model import (
    ConfigData,
    Gateway,
    LooseValue,
    Peer,
    Policy,
    PolicyRule,
    Route,
    Selector,
    Service,
    ServicePort,
    Setting,
    Value,
    Workload,
)
from llmscan.places import Place, place_of
from llmscan.records import Record

IGNORED_KINDS = frozenset({"CustomResourceDefinition", "Kustomization", "Component", "List"})
INTERNAL_LOAD_BALANCER: Mapping[str, frozenset[str]] = {
    "networking.gke.io/load-balancer-type": frozenset({"internal"}),
    "cloud.google.com/load-balancer-type": frozenset({"internal"}),
    "service.beta.kubernetes.io/aws-load-balancer-internal": frozenset({"true", "0.0.0.0/0"}),
    "service.beta.kubernetes.io/aws-load-balancer-scheme": frozenset({"internal"}),
    "service.beta.kubernetes.io/azure-load-balancer-internal": frozenset({"true"}),
    "service.kubernetes.io/ibm-load-balancer-cloud-provider-ip-type": frozenset({"private"}),
    "service.beta.kubernetes.io/openstack-internal-load-balancer": frozenset({"true"}),
    "service.beta.kubernetes.io/oci-load-balancer-internal": frozenset({"true"}),
    "oci-network-load-balancer.oraclecloud.com/internal": frozenset({"true"}),
    "service.beta.kubernetes.io/alibaba-cloud-loadbalancer-address-type": frozenset({"intranet"}),
}
"""Annotations by which a cloud keeps a load balancer inside its private network, with the values that do."""
DEFAULT_NAMESPACE = "default"
ENABLE_AUTH = "security.opendatahub.io/enable-auth"
"""The annotation by which Open Data Hub and OpenShift AI put a check of tokens before a model server."""


@dataclass(slots=True)
class Parts:
    """The parts of a stack while it is collected."""

    workloads: list[Workload] = field(default_factory=list)
    services: list[Service] = field(default_factory=list)
    routes: list[Route] = field(default_factory=list)
    gateways: list[Gateway] = field(default_factory=list)
    policies: list[Policy] = field(default_factory=list)
    configs: list[ConfigData] = field(default_factory=list)
    loose_values: list[LooseValue] = field(default_factory=list)
    namespace_places: dict[str, Place | None] = field(default_factory=dict)


def is_resource(tree: Any) -> bool:
    """Whether a document is a Kubernetes object: it has a kind and an API version, and is none of the kinds that only describe."""
    return (
        isinstance(tree, dict)
        and isinstance(tree.get("kind"), str)
        and isinstance(tree.get("apiVersion"), str)
        and tree["kind"] not in IGNORED_KINDS
    )


def resources_in(tree: Any, depth: int = 0) -> Iterator[Mapping[str, Any]]:
    """The resources of a document: itself, the items of a `List`, or the objects of an OpenShift Template."""
    if (
        isinstance(tree, dict)
        and isinstance(tree.get("items"), list)
        and str(tree.get("kind", "")).endswith("List")
        and depth < 5
    ):
        for item in tree["items"]:
            yield from resources_in(item, depth + 1)
    elif is_template(tree) and depth < 5:
        for item in objects_of(tree):
            yield from resources_in(item, depth + 1)
    elif is_resource(tree):
        yield tree


def collect(resources: Iterable[Mapping[str, Any]], namespace: str = DEFAULT_NAMESPACE) -> Parts:
    """Translate resources; those that name no namespace are in `namespace`."""
    parts = Parts()
    rest: list[Mapping[str, Any]] = []
    for resource in resources:
        if resource["kind"] in ("ConfigMap", "Secret"):
            _add_config(parts, resource, namespace)
        else:
            rest.append(resource)
    configs = {(config.namespace, config.name): config for config in parts.configs}
    spaced = [(resource, namespace_of(resource, namespace)) for resource in rest]
    guards = named_guards(spaced)
    beside = Beside(configs, guards, runtimes_of(rest))
    for resource, space in spaced:
        _add(parts, resource, space, beside)
    parts.services += _operator_services(parts, spaced)
    parts.policies += mesh_policies(spaced)
    parts.routes = guarded_routes(parts.routes, parts.services, spaced)
    return parts


def _operator_services(parts: Parts, resources: Iterable[tuple[Mapping[str, Any], str]]) -> list[Service]:
    """Services that operators make, where the object itself is not there, as it is in a live cluster."""
    there = {(service.namespace, service.name) for service in parts.services}
    made = [(*head_services(resource, space), *operator_services(resource, space)) for resource, space in resources]
    return [
        service for group in made if group and (group[0].namespace, group[0].name) not in there for service in group
    ]


def namespace_of(resource: Mapping[str, Any], default: str) -> str:
    """The namespace that a resource names, or `default`."""
    return str(mapping(resource, "metadata").get("namespace") or default)


class Beside(Record, frozen=True):
    """What stands beside a resource and decides of it."""

    configs: Configs
    guards: Named
    runtimes: Runtimes


def _add(parts: Parts, resource: Mapping[str, Any], namespace: str, beside: Beside) -> None:
    kind = resource["kind"]
    if kind == "Service" and not str(resource.get("apiVersion", "")).startswith("serving.knative"):
        parts.services.append(service(resource, namespace))
    elif kind == "InferencePool" and str(resource.get("apiVersion", "")).startswith("inference.networking."):
        parts.services.append(_inference_pool(resource, namespace))
    elif kind == "NetworkPolicy":
        parts.policies.append(network_policy(resource, namespace))
    elif kind in ("CiliumNetworkPolicy", "CiliumClusterwideNetworkPolicy"):
        parts.policies.append(cilium_policy(resource, namespace))
    elif kind == "Namespace":
        parts.namespace_places[_name(resource)] = place_of(resource)
    else:
        parts.routes += (*routes(resource, namespace, beside.guards), *operator_routes(resource, namespace))
        parts.gateways += gateways(resource, namespace)
        found = find_pod_specs(resource)
        parts.workloads += [
            selected(labelled(workload(resource, pod, namespace, beside.configs)))
            for pod in found or _bare(resource, beside.runtimes)
        ]
        parts.policies += operator_policies(resource, namespace)


def _bare(resource: Mapping[str, Any], runtimes: Runtimes) -> list[PodSpec]:
    """A custom resource whose operator makes the pod from an image that it names (`spec.image.repository`), or from a model."""
    if resource["kind"] in BUILT_IN:
        return []
    found: list[PodSpec] = []
    for variant, body in [("", mapping(resource, "spec")), *_predictors(resource)]:
        container = _image_container(body)
        if container is not None:
            made = started(container, _model(resource, variant), runtimes) if variant == "predictor" else container
            found.append(PodSpec({"containers": [made]}, {}, variant))
    return found


def _model(resource: Mapping[str, Any], part: str) -> Mapping[str, Any]:
    return mapping(mapping(mapping(resource, "spec"), part), "model")


def _predictors(resource: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    spec = mapping(resource, "spec")
    for part in ("predictor", "transformer", "explainer"):
        for key, body in mapping(spec, part).items():
            if isinstance(body, dict) and ("storageUri" in body or "modelFormat" in body or "image" in body):
                yield (
                    part,
                    {"image": body.get("image"), **{k: v for k, v in body.items() if k != "image"}, "_framework": key},
                )


def _image_container(body: Mapping[str, Any]) -> Mapping[str, Any] | None:
    image = body.get("image")
    if isinstance(image, dict) and isinstance(image.get("repository"), str):
        tag = image.get("tag")
        reference = f"{image['repository']}:{tag}" if tag else image["repository"]
        return _as_container(body, reference)
    if "_framework" in body:
        return _as_container(body, image if isinstance(image, str) else None)
    return None


def _as_container(body: Mapping[str, Any], reference: str | None) -> Mapping[str, Any]:
    """A container as the operator makes it; without a reference where a runtime of the cluster brings the image."""
    keep = ("env", "envFrom", "args", "command", "ports", "resources", "securityContext")
    named = {} if reference is None else {"image": reference}
    return {"name": "main", **named, **{key: body[key] for key in keep if key in body}}


def _name(resource: Mapping[str, Any]) -> str:
    metadata = mapping(resource, "metadata")
    return str(metadata.get("name") or metadata.get("generateName") or "(unnamed)")


def _texts(node: Mapping[str, Any]) -> dict[str, str]:
    return {
        str(key): "true" if value is True else "false" if value is False else str(value) for key, value in node.items()
    }


def service(resource: Mapping[str, Any], namespace: str) -> Service:
    """A Service."""
    spec, annotations = mapping(resource, "spec"), _texts(mapping(mapping(resource, "metadata"), "annotations"))
    kind = str(spec.get("type") or "ClusterIP")
    return Service(
        name=_name(resource),
        namespace=namespace,
        type=Value(kind, place_of(spec, "type") if "type" in spec else place_of(resource)),
        selector=_texts(mapping(spec, "selector")),
        ports=tuple(_service_ports(spec)),
        external_ips=tuple(str(ip) for ip in items(spec, "externalIPs")),
        internal=_internal(annotations, spec),
        headless=spec.get("clusterIP") == "None",
        external_name=str(spec.get("externalName") or ""),
        annotations=annotations,
        place=place_of(resource),
        source_ranges=tuple(str(block) for block in items(spec, "loadBalancerSourceRanges")),
    )


def _inference_pool(resource: Mapping[str, Any], namespace: str) -> Service:
    """A pool of the Gateway API Inference Extension: routes lead to it, and it to the pods that it selects, as a Service does.

    v1 has `targetPorts` and a selector with `matchLabels`, v1alpha2 one `targetPortNumber` and the labels themselves (its guide for
    implementers).
    """
    spec = mapping(resource, "spec")
    selector = mapping(spec, "selector")
    ports = [entry.get("number") for entry in items(spec, "targetPorts") if isinstance(entry, dict)]
    numbers = [number for number in (*ports, spec.get("targetPortNumber")) if isinstance(number, int)]
    return Service(
        name=_name(resource),
        namespace=namespace,
        type=Value("ClusterIP", place_of(resource)),
        selector=_texts(mapping(selector, "matchLabels") or selector),
        ports=tuple(ServicePort(number, target=number, place=place_of(spec)) for number in numbers),
        place=place_of(resource),
        kind="InferencePool",
    )


def _internal(annotations: Mapping[str, str], spec: Mapping[str, Any]) -> bool:
    if any(value.lower() in INTERNAL_LOAD_BALANCER.get(key, ()) for key, value in annotations.items()):
        return True
    external_controller = annotations.get("service.beta.kubernetes.io/aws-load-balancer-type") in ("external", "nlb-ip")
    if external_controller and "service.beta.kubernetes.io/aws-load-balancer-scheme" not in annotations:
        return True  # the AWS Load Balancer Controller makes internal ones unless the scheme says internet-facing
    return str(spec.get("loadBalancerClass", "")).startswith("tailscale")


def _service_ports(spec: Mapping[str, Any]) -> Iterator[ServicePort]:
    for index, port in enumerate(items(spec, "ports")):
        if not isinstance(port, dict) or not isinstance(port.get("port"), int):
            continue
        target, node_port = port.get("targetPort"), port.get("nodePort")
        if isinstance(target, str) and target.isdigit():
            target = int(target)
        yield ServicePort(
            port["port"],
            target if isinstance(target, int | str) else None,
            node_port if isinstance(node_port, int) else None,
            str(port.get("name") or ""),
            str(port.get("protocol") or "TCP").lower(),
            place_of(spec.get("ports"), index),
        )


def network_policy(resource: Mapping[str, Any], namespace: str) -> Policy:
    """A NetworkPolicy; without `policyTypes` it is of ingress, and of egress where it has egress rules."""
    spec = mapping(resource, "spec")
    types = [str(t) for t in items(spec, "policyTypes")] or ["Ingress", *(["Egress"] if spec.get("egress") else [])]
    return Policy(
        _name(resource),
        namespace,
        selector(mapping(spec, "podSelector")),
        _rules(spec, "ingress", "from") if "Ingress" in types else None,
        _rules(spec, "egress", "to") if "Egress" in types else None,
        place=place_of(resource),
    )


def _rules(spec: Mapping[str, Any], key: str, peers: str) -> tuple[PolicyRule, ...]:
    return tuple(_policy_rule(rule, peers) for rule in items(spec, key) if isinstance(rule, dict))


def _policy_rule(rule: Mapping[str, Any], peers: str) -> PolicyRule:
    ports = [
        port for port in items(rule, "ports") if isinstance(port, dict) and isinstance(port.get("port"), int | str)
    ]
    return PolicyRule(
        tuple(_peer(peer) for peer in items(rule, peers) if isinstance(peer, dict)),
        tuple(port["port"] for port in ports if "endPort" not in port),
        tuple((port["port"], port["endPort"]) for port in ports if isinstance(port.get("endPort"), int)),
    )


def _peer(peer: Mapping[str, Any]) -> Peer:
    pods, spaces = peer.get("podSelector"), peer.get("namespaceSelector")
    return Peer(
        selector(pods) if isinstance(pods, dict) else None,
        selector(spaces) if isinstance(spaces, dict) else None,
        str(mapping(peer, "ipBlock").get("cidr", "")),
    )


def selector(node: Mapping[str, Any]) -> Selector:
    """A label selector with equal labels and expressions."""
    return Selector(
        _texts(mapping(node, "matchLabels")),
        tuple(
            (str(e.get("key")), str(e.get("operator")), tuple(str(v) for v in items(e, "values")))
            for e in items(node, "matchExpressions")
            if isinstance(e, dict)
        ),
    )


def cilium_policy(resource: Mapping[str, Any], namespace: str) -> Policy:
    """A Cilium policy, as far as who it selects and whether it has rules of ingress and egress."""
    spec = mapping(resource, "spec")
    raw = mapping(spec, "endpointSelector")
    labels = {str(k).rpartition(":")[2]: v for k, v in mapping(raw, "matchLabels").items()}
    everywhere = resource["kind"] == "CiliumClusterwideNetworkPolicy"
    named = (PolicyRule((Peer(other="cilium"),)),)
    return Policy(
        _name(resource),
        "*" if everywhere else namespace,
        Selector(_texts(labels)),
        named if "ingress" in spec else None,
        named if "egress" in spec else None,
        resource["kind"],
        place_of(resource),
    )


def operator_policies(resource: Mapping[str, Any], namespace: str) -> Iterator[Policy]:
    """Policies that an operator makes for a custom resource that asks for them (KubeRay: `spec.networkPolicy`), and a login (Open Data Hub)."""
    covers, notes = f"{resource['kind']}/{_name(resource)}", mapping(mapping(resource, "metadata"), "annotations")
    if str(notes.get(ENABLE_AUTH)).lower() == "true" and resource["kind"] in (
        "InferenceService",
        "LLMInferenceService",
    ):
        asks = f"annotation {ENABLE_AUTH}"
        yield Policy(
            asks,
            namespace,
            kind=resource["kind"],
            place=place_of(notes, ENABLE_AUTH),
            covers=covers,
            authenticates=asks,
        )
    for spec in (mapping(resource, "spec"), mapping(mapping(resource, "spec"), "rayClusterConfig")):
        wanted = spec.get("networkPolicy")
        if isinstance(wanted, dict) and wanted.get("enabled") is not False and find_pod_specs(resource):
            mode = str(wanted.get("mode", ""))
            named = (PolicyRule((Peer(other="operator"),)),)
            yield Policy(
                f"networkPolicy of {_name(resource)}",
                namespace,
                ingress=None if mode == "denyAllEgress" else named,
                egress=None if mode == "denyAllIngress" else named,
                kind=resource["kind"],
                place=place_of(spec, "networkPolicy"),
                covers=covers,
            )


def _add_config(parts: Parts, resource: Mapping[str, Any], namespace: str) -> None:
    secret = resource["kind"] == "Secret"
    entries: dict[str, Setting] = {}
    for key in ("data", "stringData") if secret else ("data",):
        body = mapping(resource, key)
        for name, value in body.items():
            text = value if isinstance(value, str) else "" if value is None else str(value)
            setting = Setting(str(name), text, place_of(body, name))
            entries[str(name)] = Setting(str(name), None, setting.place) if secret else setting
            if secret:
                decoded = _decoded(text) if key == "data" else text
                parts.loose_values.append(
                    LooseValue("Secret", _name(resource), setting, namespace_of(resource, namespace), decoded)
                )
    parts.configs.append(
        ConfigData(_name(resource), namespace_of(resource, namespace), entries, place_of(resource), secret)
    )


def _decoded(text: str) -> str | None:
    try:
        return base64.b64decode(text.strip() + "=" * (-len(text.strip()) % 4), validate=True).decode()
    except (binascii.Error, ValueError):
        return None

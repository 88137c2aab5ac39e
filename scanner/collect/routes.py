"""Ways from outside that Kubernetes resources open: Ingress, Gateway API, OpenShift, Istio, Traefik; and what authenticates on them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from llmscan.collect.fields import items, mapping
from llmscan.collect.guards import Named, named_guard
from llmscan.model import Backend, Gateway, Route
from llmscan.places import Place, place_of

AUTHENTICATING: Mapping[str, str] = {
    "nginx.ingress.kubernetes.io/auth-url": "",
    "nginx.ingress.kubernetes.io/auth-type": r"basic|digest",
    "nginx.ingress.kubernetes.io/auth-tls-secret": "",
    "haproxy.org/auth-type": r"basic",
    "haproxy-ingress.github.io/auth-url": "",
    "ingress.kubernetes.io/auth-type": r"basic|digest|forward",
    "alb.ingress.kubernetes.io/auth-type": r"cognito|oidc",
    "nginx.org/basic-auth-secret": "",
    "nginx.com/jwt-key": "",
    "projectcontour.io/auth-realm": "",
}
"""Annotations by which an ingress controller asks callers for a credential, with the values that do ("": any but empty)."""
NAMING = ("konghq.com/plugins", "traefik.ingress.kubernetes.io/router.middlewares", "nginx.org/policies")
"""Annotations that name middlewares or plugins, which stand beside the Ingress or elsewhere."""
INTERNAL_CLASS = re.compile(r"internal|private|intranet|-rilb$|-ilb$", re.IGNORECASE)
INTERNAL_ANNOTATIONS: Mapping[str, str] = {
    "kubernetes.io/ingress.class": r"internal|private",
    "alb.ingress.kubernetes.io/scheme": r"^internal$",
    "appgw.ingress.kubernetes.io/use-private-ip": r"^true$",
    "kubernetes.io/ingress.regional-static-ip-name": r"(?!)",
}
HTTP_ROUTES = frozenset({"HTTPRoute", "GRPCRoute", "TCPRoute", "TLSRoute"})


def routes(resource: Mapping[str, Any], namespace: str, guards: Named) -> Iterator[Route]:
    """The routes that a resource opens; most open none. `guards`: the middlewares and plugins that stand beside it."""
    kind, group = resource["kind"], str(resource.get("apiVersion", ""))
    if kind == "Ingress":
        yield _ingress(resource, namespace, guards)
    elif kind in HTTP_ROUTES and group.startswith("gateway.networking"):
        yield _gateway_route(resource, namespace)
    elif kind == "Route" and group.startswith("route.openshift"):
        yield _openshift(resource, namespace)
    elif kind == "VirtualService" and "istio" in group:
        yield _virtual_service(resource, namespace)
    elif kind == "IngressRoute" and "traefik" in group:
        yield _ingress_route(resource, namespace, guards)


def gateways(resource: Mapping[str, Any], namespace: str) -> Iterator[Gateway]:
    """The gateway that a resource is, if it is one."""
    if resource["kind"] != "Gateway":
        return
    spec, metadata = mapping(resource, "spec"), mapping(resource, "metadata")
    name = str(spec.get("gatewayClassName") or "")
    annotations = {**mapping(mapping(spec, "infrastructure"), "annotations"), **mapping(metadata, "annotations")}
    internal = bool(INTERNAL_CLASS.search(name)) or any(
        "internal" in str(key) and str(value).lower() in ("true", "internal") for key, value in annotations.items()
    )
    yield Gateway(str(metadata.get("name", "")), namespace, name, internal, place_of(resource))


def _head(resource: Mapping[str, Any]) -> tuple[str, dict[str, str]]:
    metadata = mapping(resource, "metadata")
    return str(metadata.get("name") or "(unnamed)"), {
        str(k): str(v) for k, v in mapping(metadata, "annotations").items()
    }


def _guard(
    resource: Mapping[str, Any], annotations: Mapping[str, str], namespace: str, guards: Named
) -> tuple[str, Place | None]:
    node = mapping(mapping(resource, "metadata"), "annotations")
    for key, pattern in AUTHENTICATING.items():
        value = annotations.get(key, "")
        if value and re.search(pattern, value, re.IGNORECASE):
            return f"annotation {key}", place_of(node, key)
    for key in NAMING:
        if named_guard(re.split(r"[,\s]+", annotations.get(key, "")), namespace, guards):
            return f"annotation {key}", place_of(node, key)
    return "", None


def _ingress(resource: Mapping[str, Any], namespace: str, guards: Named) -> Route:
    spec = mapping(resource, "spec")
    name, annotations = _head(resource)
    guard, place = _guard(resource, annotations, namespace, guards)
    because = _internal_because(str(spec.get("ingressClassName") or ""), annotations)
    rules = [rule for rule in items(spec, "rules") if isinstance(rule, dict)]
    return Route(
        "Ingress",
        name,
        namespace,
        tuple(str(rule["host"]) for rule in rules if rule.get("host")),
        tuple(_ingress_backends(spec, rules)),
        bool(because),
        because,
        guard,
        place,
        tls=bool(spec.get("tls")),
        annotations=annotations,
        place=place_of(resource),
    )


def _internal_because(class_name: str, annotations: Mapping[str, str]) -> str:
    if INTERNAL_CLASS.search(class_name):
        return f"its class is '{class_name}'"
    for key, pattern in INTERNAL_ANNOTATIONS.items():
        if key in annotations and re.search(pattern, annotations[key]):
            return f"annotation {key}"
    on_alb = class_name == "alb" or annotations.get("kubernetes.io/ingress.class") == "alb"
    if on_alb and "alb.ingress.kubernetes.io/scheme" not in annotations:
        return "an ALB is internal unless its scheme says internet-facing"
    return ""


def _ingress_backends(spec: Mapping[str, Any], rules: list[Any]) -> Iterator[Backend]:
    default = spec.get("defaultBackend") or spec.get("backend")
    if isinstance(default, dict):
        yield from _backend(default, "", place_of(spec, "defaultBackend"))
    for rule in rules:
        for path in items(mapping(rule, "http"), "paths"):
            if isinstance(path, dict) and isinstance(path.get("backend"), dict):
                yield from _backend(path["backend"], str(path.get("path") or "/"), place_of(path, "backend"))


def _backend(node: Mapping[str, Any], path: str, place: Place | None) -> Iterator[Backend]:
    service = mapping(node, "service")
    if service:
        port = mapping(service, "port")
        number = port.get("number") if isinstance(port.get("number"), int) else port.get("name")
        yield Backend(str(service.get("name", "")), "", number, path, place)
    elif isinstance(node.get("serviceName"), str):
        yield Backend(node["serviceName"], "", node.get("servicePort"), path, place)


def _gateway_route(resource: Mapping[str, Any], namespace: str) -> Route:
    spec = mapping(resource, "spec")
    name, annotations = _head(resource)
    parents = tuple(
        f"{parent.get('namespace') or namespace}/{parent.get('name')}"
        for parent in items(spec, "parentRefs")
        if isinstance(parent, dict)
    )
    filters = [f for rule in items(spec, "rules") for f in items(rule, "filters") if isinstance(f, dict)]
    guard = next((f"filter {f.get('type')}" for f in filters if "auth" in str(f).lower()), "")
    return Route(
        resource["kind"], name, namespace, tuple(str(h) for h in items(spec, "hostnames")),
        tuple(_references(spec)), authenticated_by=guard, parents=parents, annotations=annotations, place=place_of(resource),
    )  # fmt: skip


def _references(spec: Mapping[str, Any]) -> Iterator[Backend]:
    for rule in items(spec, "rules"):
        references = items(rule, "backendRefs")
        for index, reference in enumerate(references):
            if isinstance(reference, dict) and reference.get("kind", "Service") in ("Service", "InferencePool"):
                yield Backend(
                    str(reference.get("name", "")), str(reference.get("namespace") or ""), reference.get("port"),
                    place=place_of(references, index),
                )  # fmt: skip


def _openshift(resource: Mapping[str, Any], namespace: str) -> Route:
    spec = mapping(resource, "spec")
    name, annotations = _head(resource)
    to = mapping(spec, "to")
    backend = Backend(str(to.get("name", "")), "", mapping(spec, "port").get("targetPort"), place=place_of(spec, "to"))
    host = (str(spec["host"]),) if spec.get("host") else ()
    return Route(
        "Route", name, namespace, host, (backend,), tls="tls" in spec, annotations=annotations, place=place_of(resource)
    )


def _virtual_service(resource: Mapping[str, Any], namespace: str) -> Route:
    spec = mapping(resource, "spec")
    name, annotations = _head(resource)
    gateways_named = [str(gateway) for gateway in items(spec, "gateways")]
    inside = not gateways_named or gateways_named == ["mesh"]
    return Route(
        "VirtualService", name, namespace, tuple(str(h) for h in items(spec, "hosts")), () if inside else tuple(_destinations(spec)),
        parents=tuple(g if "/" in g else f"{namespace}/{g}" for g in gateways_named), annotations=annotations, place=place_of(resource),
    )  # fmt: skip


def _destinations(spec: Mapping[str, Any]) -> Iterator[Backend]:
    for protocol in ("http", "tcp", "tls"):
        for rule in items(spec, protocol):
            for route in items(rule, "route"):
                destination = mapping(route, "destination")
                host = str(destination.get("host", "")).split(".")
                if host[0]:
                    space = host[1] if len(host) > 2 else ""
                    yield Backend(
                        host[0], space, mapping(destination, "port").get("number"), place=place_of(destination)
                    )


def _ingress_route(resource: Mapping[str, Any], namespace: str, known: Named) -> Route:
    spec = mapping(resource, "spec")
    name, annotations = _head(resource)
    backends: list[Backend] = []
    guards: list[str] = []
    for rule in items(spec, "routes"):
        for service in items(rule, "services"):
            if isinstance(service, dict):
                backends.append(
                    Backend(str(service.get("name", "")), str(service.get("namespace") or ""), service.get("port"))
                )
        names = [str(m.get("name", "")) for m in items(rule, "middlewares") if isinstance(m, dict)]
        guards.append(named_guard(names, namespace, known))
    return Route(
        "IngressRoute", name, namespace, (), tuple(backends), authenticated_by=f"middleware '{guards[0]}'" if guards and all(guards) else "",
        tls="tls" in spec, annotations=annotations, place=place_of(resource),
    )  # fmt: skip

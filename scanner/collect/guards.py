"""Objects that ask callers for a credential on the way to a workload: Istio policies, policies of gateways, middlewares of ingress controllers.

They stand beside the routes and workloads that they guard, and name them: by their name, by a reference to a target, or by labels.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from llmscan.collect.fields import items, mapping, texts
from llmscan.model import Peer, Policy, PolicyRule, Route, Selector, Service
from llmscan.places import place_of
from llmscan.records import replace

Resource = Mapping[str, Any]
Named = Mapping[tuple[str, str], bool]
MESH_NAMESPACE = "istio-system"
ASKING_PLUGIN = re.compile(r"auth|oidc|openid|jwt|sso|login|acl", re.IGNORECASE)
ASKING_KEYS: Mapping[str, frozenset[str]] = {
    "Middleware": frozenset({"forwardAuth", "basicAuth", "digestAuth"}),
    "Policy": frozenset({"basicAuth", "jwt", "oidc", "ingressMTLS", "apiKey", "externalAuth"}),
    "SecurityPolicy": frozenset({"oidc", "jwt", "basicAuth", "apiKeyAuth", "extAuth"}),
    "TrafficPolicy": frozenset({"extAuth", "jwt", "jwtAuth", "basicAuth", "apiKeyAuth", "apiKeyAuthentication"}),
}
"""For each kind of policy, the keys of its spec that make it ask for a credential."""
GROUPS: Mapping[str, str] = {
    "Middleware": "traefik",
    "Policy": "k8s.nginx.org",
    "SecurityPolicy": "gateway.envoyproxy.io",
    "TrafficPolicy": "kgateway",
    "KongPlugin": "konghq",
    "KongClusterPlugin": "konghq",
    "AuthPolicy": "kuadrant.io",
    "GCPBackendPolicy": "networking.gke.io",
    "BackendConfig": "cloud.google.com",
    "AuthorizationPolicy": "istio",
}


def _is(resource: Resource, *kinds: str) -> bool:
    kind = resource.get("kind")
    return kind in kinds and GROUPS[kind] in str(resource.get("apiVersion", ""))


def _name(resource: Resource) -> str:
    return str(mapping(resource, "metadata").get("name") or "")


def named_guards(resources: Iterable[tuple[Resource, str]]) -> Named:
    """Middlewares and plugins that routes name, each with whether it asks for a credential. `resources`: each with its namespace."""
    found: dict[tuple[str, str], bool] = {}
    for resource, namespace in resources:
        if _is(resource, "Middleware", "Policy"):
            found[namespace, _name(resource)] = _asks_by_keys(resource)
        elif _is(resource, "KongPlugin", "KongClusterPlugin"):
            found[namespace, _name(resource)] = bool(ASKING_PLUGIN.search(str(resource.get("plugin", ""))))
    return found


def _asks_by_keys(resource: Resource) -> bool:
    spec = mapping(resource, "spec")
    plugins = " ".join(map(str, mapping(spec, "plugin")))
    return bool(ASKING_KEYS[resource["kind"]] & spec.keys()) or bool(ASKING_PLUGIN.search(plugins))


def named_guard(names: Iterable[str], namespace: str, known: Named) -> str:
    """The first of some middlewares or plugins that asks for a credential: what stands beside decides, else the name has to tell."""
    for name in names:
        plain = name.partition("@")[0].strip()
        for key in ((namespace, plain), (namespace, plain.removeprefix(f"{namespace}-"))):
            if key in known:
                if known[key]:
                    return name
                break
        else:
            if ASKING_PLUGIN.search(plain):
                return name
    return ""


def guarded_routes(
    routes: Sequence[Route], services: Sequence[Service], resources: Sequence[tuple[Resource, str]]
) -> list[Route]:
    """Routes with what asks on them: a policy that targets the route, its gateway, or the Service that it leads to."""
    if not routes:
        return []
    targets = dict(_targets(resources)) | dict(_identity_aware(services, resources))
    return [
        route if route.authenticated_by else replace(route, authenticated_by=_of_route(route, targets))
        for route in routes
    ]


def _of_route(route: Route, targets: Mapping[tuple[str, str, str], str]) -> str:
    keys = [(route.kind, route.namespace, route.name)]
    keys += [("Gateway", *_split(parent)) for parent in route.parents]
    keys += [("Service", backend.namespace or route.namespace, backend.service) for backend in route.backends]
    return next((targets[key] for key in keys if key in targets), "")


def _split(parent: str) -> tuple[str, str]:
    namespace, _, name = parent.partition("/")
    return namespace, name


def _targets(resources: Sequence[tuple[Resource, str]]) -> Iterator[tuple[tuple[str, str, str], str]]:
    for resource, namespace in resources:
        if not _is(
            resource, "SecurityPolicy", "TrafficPolicy", "AuthPolicy", "GCPBackendPolicy", "AuthorizationPolicy"
        ):
            continue
        if not _asks(resource):
            continue
        spec, text = mapping(resource, "spec"), f"{resource['kind']} '{_name(resource)}'"
        for target in (mapping(spec, "targetRef"), *items(spec, "targetRefs")):
            if isinstance(target, dict) and target.get("name"):
                space = str(target.get("namespace") or namespace)
                yield (str(target.get("kind", "")), space, str(target["name"])), text
        if resource["kind"] == "AuthorizationPolicy":
            yield from _mesh_gateways(mapping(mapping(spec, "selector"), "matchLabels"), text, resources)


def _mesh_gateways(
    labels: Mapping[str, Any], text: str, resources: Sequence[tuple[Resource, str]]
) -> Iterator[tuple[tuple[str, str, str], str]]:
    """The Istio gateways whose pods a policy selects."""
    for resource, namespace in resources:
        chosen = mapping(mapping(resource, "spec"), "selector")
        if resource.get("kind") == "Gateway" and labels and labels.items() <= chosen.items():
            yield ("Gateway", namespace, _name(resource)), text


def _asks(resource: Resource) -> bool:
    spec = mapping(resource, "spec")
    if resource["kind"] == "AuthPolicy":
        rules = mapping(mapping(spec, "defaults") or mapping(spec, "overrides") or spec, "rules")
        return any(
            "anonymous" not in rule for rule in mapping(rules, "authentication").values() if isinstance(rule, dict)
        )
    if resource["kind"] == "GCPBackendPolicy":
        return mapping(mapping(spec, "default"), "iap").get("enabled") is True
    if resource["kind"] == "AuthorizationPolicy":
        return _mesh_asks(spec)
    return _asks_by_keys(resource)


def _identity_aware(
    services: Iterable[Service], resources: Sequence[tuple[Resource, str]]
) -> Iterator[tuple[tuple[str, str, str], str]]:
    """Services that a BackendConfig puts behind the Identity-Aware Proxy of Google Cloud."""
    switched = {
        (namespace, _name(resource))
        for resource, namespace in resources
        if _is(resource, "BackendConfig") and mapping(mapping(resource, "spec"), "iap").get("enabled") is True
    }
    for service in services:
        text = " ".join(
            value for key, value in service.annotations.items() if key.endswith("cloud.google.com/backend-config")
        )
        for namespace, name in switched:
            if namespace == service.namespace and f'"{name}"' in text:
                yield ("Service", service.namespace, service.name), f"BackendConfig '{name}' (Identity-Aware Proxy)"


def _sources(rule: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [mapping(entry, "source") for entry in items(rule, "from") if isinstance(entry, dict)]


def _paths(rule: Mapping[str, Any]) -> bool:
    """Whether a rule is about some paths only."""
    operations = [mapping(entry, "operation") for entry in items(rule, "to") if isinstance(entry, dict)]
    paths = [path for operation in operations for path in items(operation, "paths")]
    return bool(paths) and not {"*", "/*"} & set(map(str, paths))


def _of_token(rule: Mapping[str, Any]) -> bool:
    """Whether a rule holds only for callers with a valid token."""
    sources = _sources(rule)
    by_source = bool(sources) and all("requestPrincipals" in source for source in sources)
    conditions = [str(entry.get("key", "")) for entry in items(rule, "when") if isinstance(entry, dict)]
    return by_source or any(key.startswith("request.auth.") for key in conditions)


def _mesh_asks(spec: Mapping[str, Any]) -> bool:
    """Whether an Istio AuthorizationPolicy lets nobody through without a credential: a token that Istio checks, or what a provider says."""
    action = str(spec.get("action") or "ALLOW")
    rules = [rule for rule in items(spec, "rules") if isinstance(rule, dict)]
    if action == "CUSTOM":
        return any(not _paths(rule) for rule in rules)
    if action == "DENY":
        return any("notRequestPrincipals" in source for rule in rules if not _paths(rule) for source in _sources(rule))
    whole = [rule for rule in rules if not _paths(rule)]
    return action == "ALLOW" and bool(whole) and all(map(_of_token, whole))


def mesh_policies(resources: Iterable[tuple[Resource, str]]) -> Iterator[Policy]:
    """Istio AuthorizationPolicies as policies of the workloads that they select: who may pass, and whether a credential is asked for."""
    for resource, namespace in resources:
        if not _is(resource, "AuthorizationPolicy"):
            continue
        spec = mapping(resource, "spec")
        if "targetRef" in spec or "targetRefs" in spec:
            continue
        labels = texts(mapping(mapping(spec, "selector"), "matchLabels"))
        asks = f"AuthorizationPolicy '{_name(resource)}'" if _mesh_asks(spec) else ""
        named = _named_callers(spec)
        if asks or named is not None:
            everywhere = namespace == MESH_NAMESPACE and not labels
            yield Policy(
                _name(resource), "*" if everywhere else namespace, Selector(labels), None if asks else named,
                kind="AuthorizationPolicy", place=place_of(resource), authenticates=asks,
            )  # fmt: skip


def _named_callers(spec: Mapping[str, Any]) -> tuple[PolicyRule, ...] | None:
    """The rules of a policy that admits chosen workloads, namespaces or addresses alone; None where it admits others too."""
    rules = [rule for rule in items(spec, "rules") if isinstance(rule, dict)]
    if str(spec.get("action") or "ALLOW") != "ALLOW" or any(not _sources(rule) for rule in rules):
        return None
    return tuple(PolicyRule((Peer(other="mesh"),)) for _ in rules)
